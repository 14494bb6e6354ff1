"""Secrets that went through the program, and everything that it wrote: none is found again (SEC-02, SEC-05,
MYA-05, MYA-10). What mail and text messages are sent for is in them, and nothing else is."""
import base64
import glob
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import urllib.parse

import portal
from portal import PASSWORD, POSTGRES, RELEASE, until
from test_factors import NUMBER, SEC, code_of, half_in, second, set_up_app, wrong_code
from test_recovery import join_service, recovery_link
from test_staff import invited, join

CHOSEN = {"password": "canary Finch 3718 password", "wrong password": "canary Siskin 5520 wrong", "new password": "canary Wren 9027 renewed",
          "recovered password": "canary Robin 4410 again", "answer": "canary Linnet answer", "wrong answer": "canary Bunting answer"}


def forms_of(secret):
    """As it may have been written: itself, for a URL, as hex, as base64 (where it begins, at each offset)."""
    raw = secret.encode()
    found = {raw, urllib.parse.quote_plus(secret).encode(), urllib.parse.quote(secret).encode(), raw.hex().encode(),
             "".join(f"\\u{ord(c):04x}" for c in secret).encode()}
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        found.add(text[-(-offset * 8 // 6):-2].encode())
    return {f.lower() for f in found if len(f) >= 12}


class Canaries(portal.Case):
    def setUp(self):
        self.secrets = dict(CHOSEN)

    def keep(self, what, secret):
        assert len(secret) >= 12, (what, secret)
        self.secrets[what] = secret

    def keep_cookies(self, b, who):
        for name, value in b.cookies.items():
            if name not in ("language",):
                # A session's and a step's begin with IDs, which are none; what follows is.
                self.keep(f"cookie {name} of {who}", value[52:] if len(value) > 60 else value)

    def walk(self, p, texts):
        """Every path that takes a secret."""
        b = p.account("anna@example.com", CHOSEN["password"])
        self.keep("token of a form", b.token("/account/settings"))
        self.keep_cookies(b, "anna")
        b.post(f"{SEC}/password", {"password": CHOSEN["wrong password"], "new_password": CHOSEN["new password"]}, page=SEC)
        b.post(f"{SEC}/password", {"password": CHOSEN["password"], "new_password": CHOSEN["new password"]}, page=SEC)
        p.browser().sign_in("anna@example.com", CHOSEN["wrong password"])
        b.post("/account/settings/email", {"email": "anna.new@example.com", "password": CHOSEN["new password"]}, page="/account/settings")
        for to in ("anna@example.com", "anna.new@example.com"):
            m = p.mail(to, "/account/email")
            self.keep(f"link to {to}", m.token[52:])
            self.assertEqual(p.browser().post("/account/email", {"t": m.token}, page=m.path).status, 200)
        secret = set_up_app(b)
        self.keep("app's secret", secret)
        self.secrets["app's secret as bytes"] = None
        self.raw = base64.b32decode(secret)
        self.codes = [wrong_code(secret), code_of(secret)]
        r = b.post(f"{SEC}/recovery-codes")
        self.recovery = re.findall(r"<code>([0-9a-z-]{19})</code>", r.text)
        for n, code in enumerate(self.recovery):
            self.keep(f"recovery code {n}", code)
            self.keep(f"recovery code {n} in one", code.replace("-", ""))
        b.post(f"{SEC}/phone", {"number": NUMBER}, page=f"{SEC}/phone")
        text = until(lambda: glob.glob(f"{texts}/*.json"), "the text message")[0]
        with open(text, encoding="utf-8") as f:
            self.codes.append(re.match(r"\d{6}", json.load(f)["text"]).group(0))
        self.assertEqual(b.post(f"{SEC}/phone/code", {"code": self.codes[-1]}, page=f"{SEC}/phone").status, 303)
        half = p.browser()
        half.sign_in("anna.new@example.com", CHOSEN["new password"])
        self.keep_cookies(half, "half in")
        second(half, "totp", self.codes[0])
        second(half, "totp", self.codes[1], remember="on")
        self.keep_cookies(half, "whole")
        other = p.browser()
        other.sign_in("anna.new@example.com", CHOSEN["new password"])
        second(other, "recovery", self.recovery[0])
        join_service(b, "business-hub")
        for answer in ("wrong answer", "answer"):
            b.post(f"{SEC}/question", {"question": "own", "own": "Which bird?", "answer": CHOSEN[answer]})
        c, m = recovery_link(p, "anna.new@example.com")
        self.keep("link to recover", m.token[52:])
        for answer in ("wrong answer", "answer"):
            r = c.post("/recover/new", {"t": m.token, "password": CHOSEN["recovered password"], "answer": CHOSEN[answer]}, page=m.path)
        self.assertEqual(r.status, 303, r.text[:2000])
        c.sign_in("anna.new@example.com", CHOSEN["recovered password"])
        c.post("/sign-in/lost", page="/sign-in/second")
        m = p.mail("anna.new@example.com", "/recover/stop")
        self.keep("link to stop", m.token[52:])
        c.post("/recover/stop", {"t": m.token}, page=m.path)
        eva = p.account("eva@example.com", CHOSEN["password"])
        link = invited(p, "eva@example.com", "support")
        self.keep("invitation", link.token[52:])
        join(eva, link)
        self.hostile(p, b)

    def hostile(self, p, b):
        """Secrets where none belongs: in a path, a query, a header, a form that is refused."""
        value = urllib.parse.quote(CHOSEN["password"])
        token = self.secrets["link to recover"]
        for path in (f"/no/such/{value}", f"/sign-in?next=/{value}", f"/recover/new?t={token}", f"/verify-email?t={token}&x={value}"):
            b.get(path)
        b.get("/", headers={"X-Secret": CHOSEN["password"], "Referer": f"http://127.0.0.1/recover/new?t={token}", "User-Agent": CHOSEN["password"]})
        b.post("/sign-in", {"email": "x@example.com", "password": CHOSEN["password"], "unknown": CHOSEN["answer"]}, page="/sign-up")
        b.ask("POST", "/sign-in", f"password={value}", {"Content-Type": "text/plain"})

    def written(self, p):
        """(path, bytes) of everything that the program wrote, or had written."""
        folders = [p.data, p.log_path, p.mail_dir]
        if p.database:
            portal.psql(p.database, "CHECKPOINT")
            dump = subprocess.run([os.path.join(os.environ["TROTH_TEST_PG_BIN"], "pg_dump"), f"{POSTGRES.rsplit('/', 1)[0]}/{p.database}"],
                                  capture_output=True, check=True).stdout
            yield "dump", dump
            # bytea stands there as hex
            yield "dump's bytes", b"".join(bytes.fromhex(h.decode()) + b"\n" for h in re.findall(rb"\\\\x((?:[0-9a-f]{2})+)", dump))
            folders.append(os.environ["TROTH_TEST_PG_DATA"])
        for folder in folders:
            files = [folder] if os.path.isfile(folder) else [os.path.join(d, n) for d, _, names in os.walk(folder) for n in names]
            for path in filter(os.path.isfile, files):
                try:
                    with open(path, "rb") as f:
                        yield path, f.read()
                except (FileNotFoundError, PermissionError):
                    continue

    def texts(self, p):
        """Every text of every table."""
        if p.database:
            tables = [t for t, in p.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")]
            kind = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'text' AND table_name = '{}'"
        else:
            tables = [t for t, in p.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
            kind = "SELECT name FROM pragma_table_info('{}') WHERE type = 'TEXT'"
        for table in tables:
            yield table
            for column, in p.rows(kind.format(table)):
                yield from (row[0] for row in p.rows(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL") if row)

    def test_sec_02_sec_05_no_secret_is_found_again(self):
        """Fails if a password, code, answer, token or cookie stands in store, log, WAL, dump or mail, in any usual writing."""
        texts = tempfile.mkdtemp(prefix="troth-texts-")
        self.addCleanup(shutil.rmtree, texts, True)
        p = self.new_portal(env={"TROTH_SMS": f"file:{texts}"}).start()
        self.walk(p, texts)
        self.assertGreater(len(self.secrets), 40)
        p.stop()
        # The search finds what is there: an address in a mail, an ID in the store.
        everything = list(self.written(p))
        self.assertTrue(any(b"anna.new@example.com" in data for path, data in everything if path.endswith(".eml")))
        self.assertTrue(any(b"security_question" in data for path, data in everything if not path.endswith(".eml")))
        found = []
        for what, secret in self.secrets.items():
            forms = {self.raw} if secret is None else forms_of(secret)
            for path, data in everything:
                # A link is mailed to whom it is for; nothing else is.
                if path.endswith(".eml") and what.startswith(("link", "invitation")):
                    continue
                low = data if secret is None else data.lower()
                found += [(what, path, f) for f in forms if f in low]
        self.assertEqual(found, [])
        # Six digits may stand anywhere in bytes by chance; in the store they are looked for in its texts.
        texts = "\n".join(self.texts(p))
        self.assertIn("business_hub", texts)
        for code in self.codes:
            self.assertIsNone(re.search(rf"(?<![\d.]){code}(?!\d)", texts), code)
            digits = re.compile(rb"(?<![\d.])" + code.encode() + rb"(?!\d)")
            self.assertEqual([path for path, data in everything if (path.endswith((".eml", "log.json"))) and digits.search(data)], [], code)

    def test_sec_02_a_crash_leaves_no_core(self):
        """Fails if a dead process leaves its memory, keys and all, to be read."""
        p = self.new_portal(binary=RELEASE)
        here = tempfile.mkdtemp(prefix="troth-core-")
        self.addCleanup(shutil.rmtree, here, True)
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        process = subprocess.Popen([RELEASE, "serve"], env=p.env, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)))
        self.assertIn(b"troth serves", process.stdout.readline())
        with open(f"/proc/{process.pid}/limits", encoding="ascii") as f:
            self.assertRegex(f.read(), r"Max core file size +0 +0 ")
        process.send_signal(signal.SIGSEGV)
        self.assertEqual(process.wait(20), -signal.SIGSEGV)
        process.stdout.close()
        self.assertEqual(os.listdir(here), [])


if __name__ == "__main__":
    portal.main()
