"""A mail server of a test's own (smtp.mjs), whose mails are files. Standard library only."""
import glob
import json
import os
import subprocess
import tempfile

import portal


class MailServer:
    """Takes mail on a port of its own; ends with close(). tls: None, "starttls" or "smtps"."""

    def __init__(self, folder, tls=None, certificate=None, user=None, password=None):
        self.dir = tempfile.mkdtemp(prefix="smtp-", dir=folder)
        self.port = portal.free_port()
        self.options = {"port": self.port, "dir": self.dir, "tls": tls, "user": user, "password": password}
        if certificate:
            for name in ("key", "cert"):
                with open(f"{certificate}.{name}") as f:
                    self.options[name] = f.read()
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(["node", os.path.join(os.path.dirname(os.path.abspath(__file__)), "smtp.mjs"), json.dumps(self.options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise AssertionError("the mail server does not start")

    def behave(self, **how):
        """Replaces how it behaves; without words: well."""
        self.process.stdin.write(json.dumps(how) + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait(10)
            self.process.stdout.close()
            self.process = None

    def taken(self, to=None):
        """What it has taken, in that order, as portal.read_mail() reads it, with its envelope."""
        found = []
        for path in sorted(glob.glob(os.path.join(self.dir, "*.eml"))):
            with open(path[:-4] + ".json") as f:
                envelope = json.load(f)
            if to is None or to in envelope["to"]:
                with open(path, "rb") as f:
                    raw = f.read()
                m = portal.read_mail(raw)
                m.raw, m.envelope = raw, envelope
                found.append(m)
        return found

    def mail(self, to, path=None):
        """Waits for a mail to that address, with a link to that path."""
        def there():
            return [m for m in self.taken(to) if path is None or (m.link and m.link.path == path)]
        return portal.until(there, f"mail to {to}", 40)[0]


def certificate(folder, name):
    """A key and a certificate that signs itself: NAME.key and NAME.cert in the folder."""
    base = os.path.join(folder, name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", f"{base}.key", "-out", f"{base}.cert"],
                   check=True, capture_output=True)
    return base
