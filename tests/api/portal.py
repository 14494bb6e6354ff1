"""A portal of a test's own, and a browser and a mailbox to use it with. Standard library only.

TROTH_BIN is the program; TROTH_TEST_POSTGRES, where set (script/with-postgres), is the server that
each portal gets a database of its own on; otherwise portals live on SQLite.
"""
import atexit
import email
import email.policy
import functools
import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BIN = os.path.abspath(os.environ.get("TROTH_BIN", os.path.join(ROOT, "build/troth")))
RELEASE = os.path.abspath(os.environ.get("TROTH_RELEASE", BIN))
POSTGRES = os.environ.get("TROTH_TEST_POSTGRES")
PASSWORD = "four unlikely badgers dance"
# Debian's package faketime. Not for a program with AddressSanitizer, which wants to be loaded first.
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


def until(question, what, seconds=15):
    """Waits until the question has an answer that is true, and gives that."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def psql(database, sql):
    url = f"{POSTGRES.rsplit('/', 1)[0]}/{database}"
    run = subprocess.run([os.path.join(os.environ["TROTH_TEST_PG_BIN"], "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", url, "-c", sql],
                         capture_output=True, text=True)
    if run.returncode != 0:
        raise AssertionError(run.stderr)
    return run.stdout


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def location(self):
        return self.headers.get("Location", "")

    def json(self):
        return json.loads(self.body)


class Browser:
    """Keeps cookies, follows nothing by itself."""

    def __init__(self, portal, accept="text/html", language=None):
        self.portal = portal
        self.cookies = {}
        self.headers = {"Accept": accept, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
        if language:
            self.headers["Accept-Language"] = language

    def connection(self, timeout):
        return http.client.HTTPConnection("127.0.0.1", self.portal.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, timeout=30):
        c = self.connection(timeout)
        every = dict(self.headers)
        if self.cookies:
            every["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        every.update(headers or {})
        try:
            c.request(method, path, body, every)
            r = c.getresponse()
            answer = Answer(r, r.read())
        finally:
            c.close()
        for value in r.headers.get_all("Set-Cookie") or []:
            name, rest = value.split("=", 1)
            self.cookies[name] = rest.split(";")[0]
            if "Max-Age=0" in value:
                del self.cookies[name]
        return answer

    def get(self, path, **kw):
        return self.ask("GET", path, **kw)

    def token(self, page):
        """The CSRF token of a page, as HTML has it."""
        r = self.get(page, headers={"Accept": "text/html"})
        found = re.search(r'name="csrf" value="([^"]+)"', r.text)
        if not found:
            raise AssertionError(f"no form on {page}: {r.status} {r.location}\n{r.text[:500]}")
        return found.group(1)

    def post(self, path, fields=None, page=None, token=None, **kw):
        fields = dict(fields or {})
        fields["csrf"] = token or self.token(page or path)
        kw.setdefault("headers", {})["Content-Type"] = "application/x-www-form-urlencoded"
        return self.ask("POST", path, urllib.parse.urlencode(fields), **kw)

    def sign_in(self, address, password=PASSWORD):
        return self.post("/sign-in", {"email": address, "password": password, "next": ""})


def read_mail(raw):
    m = email.message_from_bytes(raw, policy=email.policy.default)
    m.text = m.get_body(("plain",)).get_content().replace("\r\n", "\n")
    m.html = m.get_body(("html",)).get_content()
    link = re.search(r"https?://\S+", m.text)
    m.link = urllib.parse.urlsplit(link.group(0)) if link else None
    m.path = f"{m.link.path}?{m.link.query}" if m.link else None
    m.token = urllib.parse.parse_qs(m.link.query).get("t", [None])[0] if m.link else None
    return m


@functools.cache
def model():
    """To make all tables on PostgreSQL takes a while: portals of no settings of their own begin as copies of this."""
    p = Portal(env={})
    p.ok("migrate")
    atexit.register(shutil.rmtree, p.dir, ignore_errors=True)
    return p


class Portal:
    def __init__(self, binary=None, postgres=None, env=None, init=True, prefix=()):
        self.dir = tempfile.mkdtemp(prefix="troth-api-")
        self.binary = binary or BIN
        self.prefix = list(prefix)
        self.port = free_port()
        self.process = None
        self.log_path = os.path.join(self.dir, "log.json")
        self.mail_dir = os.path.join(self.dir, "mail")
        self.data = os.path.join(self.dir, "data")
        self.taken = set()
        self.env = {
            "PATH": os.environ["PATH"],
            "TROTH_DATA": self.data,
            "TROTH_MAIL": f"file:{self.mail_dir}",
            "TROTH_LISTEN": f"127.0.0.1:{self.port}",
            # The least there is: hashing is not what is tested here.
            "TROTH_ARGON_MEMORY": str(8 << 20),
            "TROTH_ARGON_PASSES": "1",
            "TROTH_LIMITS": "off",
            "ASAN_OPTIONS": "abort_on_error=0:exitcode=99",
        }
        self.database = None
        on_postgres = POSTGRES and postgres is not False
        copied = model() if on_postgres and init and env is None and not prefix else None
        if on_postgres:
            self.database = "t" + os.urandom(8).hex()
            psql("postgres", f"CREATE DATABASE {self.database}{f' TEMPLATE {copied.database}' if copied else ''}")
            self.env["TROTH_DATABASE"] = f"{POSTGRES.rsplit('/', 1)[0]}/{self.database}"
        self.env.update(env or {})
        if copied:
            shutil.copytree(copied.data, self.data)
        elif init:
            self.ok("vault", "init")

    def ahead(self, seconds):
        """From now on the program's clock, wherever it looks, is that much ahead of ours (or behind). A
        server that runs follows at once."""
        if "FAKETIME_TIMESTAMP_FILE" not in self.env:
            self.env.update({"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": os.path.join(self.dir, "clock"),
                             # Waiting stays real; and the file is looked at each time.
                             "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0",
                             "FAKETIME_NO_CACHE": "1"})
        path = os.path.join(self.dir, "clock")
        with open(f"{path}.new", "w") as f:
            f.write(f"{seconds:+.3f}\n")
        os.replace(f"{path}.new", path)

    def start(self, wait=True):
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.prefix + [self.binary, "serve"], env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log)
        if wait:
            for line in self.process.stdout:
                if line.startswith(b"troth serves"):
                    return self
            code = self.process.wait(10)
            self.gone()
            raise AssertionError(f"serve ended with {code}:\n{self.logged()}")
        return self

    def logged(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def events(self, name):
        found = []
        for line in self.logged().splitlines():
            if line.startswith("{"):
                e = json.loads(line)
                if e["event"] == name:
                    found.append(e)
        return found

    def stop(self):
        """In order: it must end by itself, with 0."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the server does not stop")
        self.gone()
        if code != 0:
            raise AssertionError(f"serve ended with {code}:\n{self.logged()[-4000:]}")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.gone()

    def gone(self):
        self.process.stdout.close()
        self.log.close()
        self.process = None

    def close(self):
        try:
            self.stop()
        finally:
            if self.process:
                self.kill()
            shutil.rmtree(self.dir, ignore_errors=True)
            if self.database:
                psql("postgres", f"DROP DATABASE {self.database} WITH (FORCE)")

    def cli(self, *words, env=None, **kw):
        return subprocess.run(self.prefix + [self.binary, *words], env={**self.env, **(env or {})}, capture_output=True, text=True,
                              timeout=120, **kw)

    def ok(self, *words, **kw):
        run = self.cli(*words, **kw)
        if run.returncode != 0:
            raise AssertionError(f"troth {' '.join(words)}: exit {run.returncode}\n{run.stdout}{run.stderr}")
        return run.stdout

    def mails(self):
        found = []
        for name in sorted(os.listdir(self.mail_dir)) if os.path.isdir(self.mail_dir) else []:
            if name.endswith(".eml"):
                with open(os.path.join(self.mail_dir, name), "rb") as f:
                    m = read_mail(f.read())
                m.name = name
                found.append(m)
        return found

    def mail(self, to, path=None):
        """Waits for a mail to that address (with a link to that path), and takes it."""
        def there():
            for m in self.mails():
                if m["To"] == to and m.name not in self.taken and (path is None or (m.link and m.link.path == path)):
                    return m
            return None
        m = until(there, f"mail to {to} with a link to {path}")
        self.taken.add(m.name)
        return m

    def browser(self, **kw):
        return Browser(self, **kw)

    def account(self, address, password=PASSWORD, language=None, news=False):
        """A person who has signed up, confirmed and signed in, as people do."""
        b = self.browser(language=language)
        fields = {"email": address, "password": password}
        if news:
            fields["news"] = "yes"
        r = b.post("/sign-up", fields)
        assert r.status == 303 and r.location == "/sign-up/sent", (r.status, r.text[:1000])
        m = self.mail(address, "/verify-email")
        r = b.post("/verify-email", {"t": m.token}, page=m.path)
        assert r.status == 303, r.status
        r = b.sign_in(address, password)
        assert r.status == 303 and r.location == "/account", (r.status, r.text[:1000])
        return b

    def rows(self, sql):
        """What a query finds, in a database that nobody has open (SQLite) or beside the server."""
        if self.database:
            return [tuple(line.split("|")) for line in psql(self.database, sql).splitlines()]
        import sqlite3
        with sqlite3.connect(f"file:{self.data}/troth.db?mode=ro", uri=True) as c:
            return [tuple("" if v is None else str(v) for v in row) for row in c.execute(sql)]


class Case(unittest.TestCase):
    """A test with a portal; `self.portal` is made when it is first asked for."""
    settings = {}
    maxDiff = None

    @property
    def portal(self):
        if not hasattr(self, "_portal"):
            self._portal = self.new_portal(env=self.settings).start()
        return self._portal

    def new_portal(self, **kw):
        p = Portal(**kw)
        self.addCleanup(p.close)
        return p


class Tap(unittest.TestResult):
    """Results as the Test Anything Protocol."""

    def __init__(self):
        super().__init__()
        self.n = self.bad = 0

    def line(self, ok, test, extra=""):
        self.n += 1
        self.bad += not ok
        print(f"{'ok' if ok else 'not ok'} {self.n} - {test.id()}{extra}", flush=True)

    def addSuccess(self, test):
        self.line(True, test)

    def addError(self, test, err):
        self.line(False, test)
        for line in self._exc_info_to_string(err, test).splitlines():
            print(f"# {line}", flush=True)

    addFailure = addError

    def addSkip(self, test, reason):
        self.line(True, test, f" # SKIP {reason}")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.addError(subtest, err)


def main():
    names = [w for w in sys.argv[1:] if not w.startswith("-")]
    module = sys.modules["__main__"]
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    result = Tap()
    suite.run(result)
    print(f"1..{result.n}")
    sys.exit(0 if result.n and not result.bad else 1)
