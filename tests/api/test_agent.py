"""troth-agent against the portal, as they are: the agent in a network namespace of its own, nginx with TLS before
the portal as deploy/nginx.conf has it. The ten steps and each refusal; commands that are really done; a network
that goes away; the end. Needs root (tests/api/front.py)."""
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time

import front
import portal
from portal import PASSWORD, until
from test_factors import code_of, set_up_app, wrong_code
from test_licenses import issue, member

BUILD = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(portal.BIN))))
AGENT = os.path.join(BUILD, "src/client/agent/troth-agent")
JSON = {"Accept": "application/json"}


class Machine:
    """A computer with the agent, in the network namespace; all that it keeps is in one folder."""

    def __init__(self, case, name="machine"):
        self.network, self.front = case.network, case.front
        self.home = tempfile.mkdtemp(prefix=f"troth-{name}-")
        case.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.state, self.sandbox = os.path.join(self.home, "state"), os.path.join(self.home, "sandbox")
        self.config = os.path.join(self.home, "config.json")
        with open(self.config, "w", encoding="utf-8") as f:
            json.dump({"sandbox": self.sandbox, "position": {"latitude": 59.33, "longitude": 18.07, "accuracy": 25}}, f)
        self.env = {"PATH": os.environ["PATH"], "HOME": self.home, "LANG": "C.UTF-8", "http_proxy": "http://127.0.0.1:1",
                    **{k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_"))}}

    def words(self, *words, ca=True):
        trust = ["--ca", self.front.at("ca.pem")] if ca else []
        return self.network.words(AGENT, *words, "--state", self.state, "--config", self.config, *trust)

    def run(self, *words, said="", code=0, ca=True):
        """What it printed, and complained."""
        ran = subprocess.run(self.words(*words, ca=ca), input=said, env=self.env, capture_output=True, text=True, timeout=60)
        if ran.returncode != code:
            raise AssertionError(f"{' '.join(words)}: exit {ran.returncode}, not {code}\n{ran.stdout}{ran.stderr}")
        return ran.stdout + ran.stderr

    def start(self, *words):
        return subprocess.Popen(self.words(*words), env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, bufsize=1)

    def connect(self, *words, **kw):
        return self.run("connect", self.front.url, *words, **kw)

    def kept(self, name="troth.json"):
        try:
            with open(os.path.join(self.state, name), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""


def read_until(process, word):
    """What a program says, up to a line with that word."""
    said = ""
    for line in process.stdout:
        said += line
        if word in line:
            return said
    raise AssertionError(f"it ended before {word!r}:\n{said}")


class Agent(portal.Case):
    @classmethod
    def setUpClass(cls):
        if not os.access(AGENT, os.X_OK):
            raise AssertionError(f"{AGENT} is not built")
        cls.network = front.Network()
        cls.addClassCleanup(cls.network.close)
        cls.front = front.Front(cls.network.address)
        cls.addClassCleanup(cls.front.close)
        cls.shared = front.Portal(cls.front).start()
        cls.addClassCleanup(cls.shared.close)

    @property
    def portal(self):
        return self.shared

    def count(self, table):
        return int(self.portal.rows(f"SELECT count(*) FROM {table}")[0][0])

    def password_to_connect(self, b):
        r = b.post("/account/devices/add")
        self.assertEqual(r.status, 200, r.text[:500])
        return re.search(r"<code data-copy[^>]*>([^<]+)</code>", r.text).group(1)

    def connected(self, b, name="machine"):
        m = Machine(self, name)
        m.connect("--code", self.password_to_connect(b), said="yes\n")
        return m

    def devices(self, b):
        return b.get("/account/devices", headers=JSON).json()["devices"]

    # ---- the ways in ----

    def test_wps_01_wps_02_wps_15_registering(self):
        """Fails if anything is sent before a person has read and accepted, or a new person cannot come in by the agent."""
        p, m = self.portal, Machine(self)
        before = self.count("connect_context")
        said = m.connect("--device-code", said="no\n", code=1)
        statement = p.browser().get("/api/v1/statements/troth-agent").json()
        for piece in [statement["title"], *statement["text"].split("\n"), *(d["url"] for d in statement["documents"]),
                      *(f["meaning"] for f in statement["fields"])]:
            self.assertIn(piece, said)
        self.assertIn(f"Version {statement['version']}", said)
        self.assertIn("Nothing was sent.", said)
        m.connect("--device-code", "--accept", "1.another", code=1)
        m.connect("--device-code", code=1)  # nobody is there who could accept
        self.assertEqual(self.count("connect_context"), before)
        self.assertEqual(m.kept(), "")

        program = m.start("connect", self.front.url, "--register", "new@example.com", "--region", "SE", "--accept", statement["version"])
        program.stdin.write(f"{PASSWORD}\n")
        program.stdin.flush()
        read_until(program, "a mail on its way")
        self.assertEqual(m.kept(), "")
        mail = p.mail("new@example.com", "/verify-email")
        self.assertEqual(p.browser().post("/verify-email", {"t": mail.token}, page=mail.path).status, 303)
        said, _ = program.communicate("\n", timeout=30)
        self.assertEqual(program.returncode, 0, said)
        self.assertIn("Connected.", said)
        kept = os.path.join(m.state, "troth.json")
        self.assertEqual(stat.S_IMODE(os.stat(kept).st_mode), 0o600)
        self.assertNotIn(PASSWORD, m.kept() + m.kept("agent.json") + m.kept("agent.log"))
        self.assertIn("is connected with", m.connect("--device-code", code=1))
        said = m.run("disconnect")
        self.assertIn("Disconnected.", said)
        m.run("disconnect", code=2)

    def test_wps_12_wps_14_signing_in_with_a_second_step(self):
        """Fails if the agent gets in with a wrong password or code, or cannot with the right ones; or if it speaks to
        what is not the portal."""
        p, m = self.portal, Machine(self)
        b = p.account("second@example.com")
        secret = set_up_app(b)
        version = b.get("/api/v1/statements/troth-agent").json()["version"]
        words = ("--sign-in", "second@example.com", "--accept", version)
        self.assertIn("credentials-wrong", m.connect(*words, said="wrong horse battery\n", code=1))
        self.assertIn("code-wrong", m.connect(*words, said=f"{PASSWORD}\n{wrong_code(secret)}\n", code=1))
        self.assertEqual(json.loads(m.kept() or "{}").get("token"), None)
        self.assertIn("Connected.", m.connect(*words, said=f"{PASSWORD}\n{code_of(secret)}\n"))
        self.assertIn("not a portal", Machine(self).connect(*words, ca=False, code=1))  # nobody vouches for its certificate
        other = Machine(self)
        other.run("connect", f"http://{front.NAME}:{self.front.plain}", *words, code=2)  # no TLS
        other.run("connect", f"{self.front.url}/", *words, code=2)

    def test_wps_16_rfc_8628_without_typing_a_password(self):
        """Fails if a code to connect with is good twice or by chance, or if a device gets in without somebody's consent at
        the portal."""
        p = self.portal
        b = p.account("codes@example.com")
        code = self.password_to_connect(b)
        m = Machine(self)
        self.assertIn("connection-password-wrong", m.connect("--code", "ABCD-EFGH", said="yes\n", code=1))
        self.assertIn("Connected.", m.connect("--code", code, said="yes\n"))
        self.assertIn("connection-password-wrong", Machine(self).connect("--code", code, said="yes\n", code=1))
        self.assertEqual(len(self.devices(b)), 1)

        running = []
        for decision in ("agree", "deny"):
            program = Machine(self).start("connect", self.front.url, "--device-code", "--for-all")
            program.stdin.write("yes\n")
            program.stdin.flush()
            shown = re.search(r"type in the code (\S+)", read_until(program, "type in the code")).group(1)
            r = b.post("/device", {"user_code": shown, "decision": decision}, page=f"/device?user_code={shown}")
            self.assertEqual(r.status, 303, r.text[:500])
            running.append(program)
        said, _ = running[0].communicate(timeout=30)
        self.assertEqual((running[0].returncode, "Connected." in said), (0, True), said)
        said, _ = running[1].communicate(timeout=30)
        self.assertEqual((running[1].returncode, "access_denied" in said), (1, True), said)
        self.assertEqual(len(self.devices(b)), 2)

    # ---- what is told, and what is done ----

    def test_wps_08_wps_21_wps_22_reports_and_licenses(self):
        """Fails if the portal does not show what the machine is, a license that a code gives is not good without a
        network, or what the owner ordered is not done at once by an agent that waits."""
        p = self.portal
        b = member(p, "facts@example.com")
        m = self.connected(b)
        m.run("run", "--once")
        with open("/etc/os-release", encoding="utf-8") as f:
            release = dict(line.rstrip("\n").split("=", 1) for line in f if "=" in line)
        d = self.devices(b)[0]
        self.assertEqual(d["network_name"], os.uname().nodename)
        self.assertEqual(d["os"], f"{release['NAME'].strip(chr(34))} {release.get('VERSION_ID', os.uname().release).strip(chr(34))}")
        self.assertEqual(self.portal.rows("SELECT count(*) FROM device_report")[0][0], str(self.count("device_report")))

        codes, _ = issue(p, 1, "linux-agent")
        self.assertIn("no-license", m.run("license", code=1))
        self.assertIn("code-", m.run("activate", "AAAAA-AAAAA-AAAAA-AAAAA-AAAAA", code=1))
        self.assertIn("last activation: code-", m.run("status"))
        m.run("activate", codes[0])
        said = m.run("status")
        self.assertNotIn("last activation", said)
        self.assertRegex(said, "license: .*active")
        self.assertIn("linux-agent: good", m.run("license"))
        self.network.link(False)
        try:
            said = m.run("license")
            self.assertIn("what is kept is checked", said)
            self.assertIn("linux-agent: good", said)
            m.run("run", "--once", code=3)
        finally:
            self.network.link(True)

        m.run("set", "protection=off")
        m.run("run", "--once")
        d = self.devices(b)[0]
        self.assertEqual(json.loads(m.kept("agent.json"))["protection"], False)
        program = m.start("run")
        self.addCleanup(program.kill)
        until(lambda: self.waits(m), "the agent to wait")
        asked = time.monotonic()
        r = b.post(f"/account/devices/{d['id']}/fix", {"fix": "enable-protection"}, page=f"/account/devices/{d['id']}")
        self.assertEqual(r.status, 303, r.text[:500])
        until(lambda: json.loads(m.kept("agent.json"))["protection"], "the protection to be on", 5)
        self.assertLess(time.monotonic() - asked, 4)  # it reports every five minutes: it was told
        until(lambda: self.portal.rows("SELECT state FROM device_command WHERE kind = 'enable-protection'") == [("done",)], "its answer")
        self.assertNotIn("not a portal", m.kept("agent.log"))  # what nginx says is an answer of the API's, too
        program.terminate()
        program.wait()

    def waits(self, m):
        """Has the agent asked to be told? nginx holds the connection."""
        said = subprocess.run(self.network.words("ss", "-Htn", "state", "established"), capture_output=True, text=True, check=True).stdout
        return said.strip() != "" and len(m.kept("agent.json")) > 0

    def order(self, b, m, kind, **fields):
        """What the owner orders under Anti-Theft: what the agent then says, and what the portal knows of it."""
        d = self.devices(b)[0]
        page = f"/anti-theft/{d['id']}"
        grave = kind in ("lock", "wipe")
        r = b.post(f"{page}/{kind}", {"name": d["network_name"], **fields} if grave else None, page=f"{page}/{kind}" if grave else page)
        self.assertEqual((r.status, r.location), (303, f"{page}?done=theft-{kind}"), r.text[:500])
        return self.carried_out(m)

    def carried_out(self, m):
        said = m.run("run", "--once")
        return said, self.portal.rows("SELECT state, reason FROM device_command ORDER BY made DESC LIMIT 1")[0]

    def other_order(self, b, m, kind):
        """One that no page gives: another's, put in its place while it waits."""
        d = self.devices(b)[0]
        r = b.post(f"/anti-theft/{d['id']}/alarm", page=f"/anti-theft/{d['id']}")
        self.assertEqual(r.status, 303, r.text[:500])
        self.write(f"UPDATE device_command SET kind = '{kind}' WHERE kind = 'alarm' AND state = 'queued'")
        return self.carried_out(m)

    def write(self, sql):
        if self.portal.database:
            portal.psql(self.portal.database, sql)
            return
        import sqlite3
        with sqlite3.connect(f"{self.portal.data}/troth.db", timeout=10) as c:
            c.execute(sql)
        c.close()

    def test_wps_20_atw_02_commands_are_really_done(self):
        """Fails if an order is said to be done and was not, or if one reaches anything but the folder that is there for it."""
        b = member(self.portal, "orders@example.com")
        m = self.connected(b)
        m.run("activate", issue(self.portal, 1, "linux-agent")[0][0])  # its license has Anti-Theft
        m.run("run", "--once")
        outside = os.path.join(m.home, "outside")
        os.makedirs(os.path.join(m.sandbox, "deep/er"))
        os.mkdir(outside)
        for name in (f"{m.sandbox}/a", f"{m.sandbox}/deep/er/b", f"{outside}/mine"):
            with open(name, "w", encoding="ascii") as f:
                f.write("x")
        os.symlink(outside, os.path.join(m.sandbox, "link"))
        said, state = self.other_order(b, m, "message")
        self.assertEqual(state, ("done", ""))
        self.assertIn("message: ", said)
        self.assertIn("message: ", m.kept("agent.log"))
        said, state = self.order(b, m, "alarm")
        self.assertEqual((state, "\a" in said), (("done", ""), True))
        self.assertEqual(self.order(b, m, "locate")[1], ("done", ""))
        self.assertEqual(self.count("device_position"), 1)
        text = "Found it? \u202eCall\u0085 070-123 45 67"
        said, state = self.order(b, m, "lock", message=text)
        self.assertEqual(state, ("done", ""))
        self.assertRegex(said, r"lock: Found it\? \??Call\?? 070-123 45 67")  # without what turns a terminal around
        self.assertEqual(stat.S_IMODE(os.stat(m.sandbox).st_mode), 0)
        with open(f"{m.sandbox}.note", encoding="utf-8") as f:
            self.assertIn("070-123 45 67", f.read())
        self.assertEqual(self.order(b, m, "wipe")[1], ("done", ""))
        self.assertEqual(os.listdir(m.sandbox), [])
        self.assertEqual(os.listdir(outside), ["mine"])
        m.run("unlock")
        self.assertEqual(stat.S_IMODE(os.stat(m.sandbox).st_mode), 0o700)
        self.assertFalse(os.path.exists(f"{m.sandbox}.note"))
        self.assertEqual(self.other_order(b, m, "dance")[1], ("failed", "not-known-here"))
        with open(m.config, "w", encoding="utf-8") as f:
            json.dump({"sandbox": m.home}, f)  # it holds what the agent keeps
        self.assertEqual(self.order(b, m, "wipe")[1], ("failed", "sandbox-refused"))
        self.assertEqual(self.order(b, m, "locate")[1], ("failed", "no-position"))
        self.assertEqual(os.listdir(outside), ["mine"])

    # ---- as others use it ----

    def installed(self):
        """Where `meson install` has put it, below a folder; as a package's build does."""
        folder = tempfile.mkdtemp(prefix="troth-installed-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        front.run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", folder)
        return folder

    def test_wps_29_the_way_in_of_the_documentation(self):
        """Fails if what is installed is not enough to build an app with, or the example of docs/apps.md is no C99, or does
        not come in."""
        root = self.installed()
        config = subprocess.run(["find", root, "-name", "troth.pc"], capture_output=True, text=True, check=True).stdout.strip()
        for wanted in ("troth.h", "libtroth.so.0", "troth-agent", "troth-agent.1", "troth-agent.service"):
            self.assertTrue(front.run("find", root, "-name", wanted).strip(), wanted)
        flags = front.run("pkg-config", "--cflags", "--libs", "troth", env={"PATH": os.environ["PATH"], "PKG_CONFIG_SYSROOT_DIR": root,
                                                                          "PKG_CONFIG_PATH": os.path.dirname(config)}).split()
        with open(os.path.join(portal.ROOT, "docs/apps.md"), encoding="utf-8") as f:
            code = re.search(r"```c\n(.*?)```", f.read(), re.S).group(1)
        libraries = os.path.dirname(front.run("find", root, "-name", "libtroth.so.0").strip())
        sanitized = ["-fsanitize=address,undefined"] if b"__asan_init" in open(os.path.join(libraries, "libtroth.so.0"), "rb").read() else []
        program = os.path.join(root, "app")
        ran = subprocess.run(["cc", "-std=c99", "-pedantic-errors", "-Wall", "-Wextra", "-Werror", *sanitized, "-x", "c", "-", *flags,
                              f"-Wl,-rpath,{libraries}", "-o", program], input=code, capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stderr)

        b = self.portal.account("example@example.com")
        m = Machine(self, "example")
        words = self.network.words(program, self.front.url, m.state, self.password_to_connect(b), self.front.at("ca.pem"))
        app = subprocess.Popen(words, env=m.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(app.kill)
        app.stdin.write("yes\n")
        app.stdin.flush()
        until(lambda: self.devices(b) and self.devices(b)[0]["network_name"] == "workbench", "the example's report")
        ours = self.devices(b)[0]["id"]
        r = b.post(f"/account/devices/{ours}/disconnect", page=f"/account/devices/{ours}/disconnect")
        self.assertEqual(r.status, 303, r.text[:500])
        app.kill()
        app.communicate()
        app = subprocess.run(words, env=m.env, input="", capture_output=True, text=True, timeout=30)
        self.assertEqual(app.returncode, 1)
        self.assertIn("the connection has ended", app.stderr)
        app = subprocess.run(words, env=m.env, input="no\n", capture_output=True, text=True, timeout=30)
        self.assertEqual(app.returncode, 1)  # it asks anew
        self.assertIn("Do you accept it?", app.stdout)

    # ---- the statement changes; the end ----

    def test_wps_10_wps_28_wps_30_suspended_and_ended(self):
        """Fails if anything is sent on a statement that nobody accepted or after the end; or if what came stays here."""
        p = self.portal
        b = p.account("end@example.com")
        m, other = self.connected(b), self.connected(b, "other")
        m.run("run", "--once")
        p.stop()
        overlay = os.path.join(p.dir, "overlay/connect/locale")
        os.makedirs(overlay)
        with open(os.path.join(p.dir, "sv.po"), "w", encoding="utf-8") as f:
            f.write('msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\nPlural-Forms: nplurals=2; plural=(n != 1);\\n"\n'
                    'msgid "statement.troth-agent.1"\nmsgstr "En ny mening."\n')
        front.run("msgfmt", "-o", os.path.join(overlay, "sv.mo"), os.path.join(p.dir, "sv.po"))
        p.env["TROTH_OVERLAY"] = os.path.join(p.dir, "overlay")
        p.start()
        reports = self.count("device_report")
        m.run("set", "protection=off")
        self.assertIn("statement-changed", m.run("run", "--once", code=1))
        self.assertIn("En ny mening.", m.run("accept", "--locale", "sv", said="no\n", code=1))
        self.assertIn("statement-changed", m.run("run", "--once", code=1))
        self.assertEqual(self.count("device_report"), reports)
        m.run("accept", said="yes\n")
        m.run("run", "--once")

        devices = self.devices(b)
        self.assertEqual(len(devices), 2)
        ours = json.loads(m.kept())["device_id"]
        r = b.post(f"/account/devices/{ours}/disconnect", page=f"/account/devices/{ours}/disconnect")
        self.assertEqual(r.status, 303, r.text[:500])
        self.assertIn("connection has ended", m.run("run", "--once", code=1))
        self.assertEqual(json.loads(m.kept()), {"url": self.front.url})
        self.assertEqual(sorted(os.listdir(m.state)), ["troth.json", "troth.lock"])
        m.run("run", "--once", code=1)
        # The other one leaves while there is no network: it is silent at once, and says so when there is one.
        self.network.link(False)
        try:
            self.assertIn("has not heard of it yet", other.run("disconnect"))
        finally:
            self.network.link(True)
        self.assertEqual(len(self.devices(b)), 1)
        self.assertIn("connection has ended", other.run("run", "--once", code=1))
        self.assertEqual(self.devices(b), [])
        self.assertEqual(json.loads(other.kept()), {"url": self.front.url})
        for secret in (b"d1.", b"ABCD-EFGH", PASSWORD.encode()):
            self.assertNotIn(secret, self.front.written())


if __name__ == "__main__":
    portal.main()
