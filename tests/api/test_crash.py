"""`kill -9`, fifty times in the middle of each: registrations, exports, erasures, sweeps.

What was acknowledged must be there, nothing may be left half erased, and no mail may go twice. A
kill counts only if it came while that kind of work was under way. TROTH_TEST_SEED repeats the
moments of a run.

On SQLite a start takes back what the dead process had taken; on PostgreSQL, where others may live, a
dead process's leases last two minutes, so there the clock leaps at each start.
"""
import collections
import contextlib
import glob
import http.client
import io
import json
import os
import queue
import random
import re
import shutil
import sqlite3
import subprocess
import threading
import time
import urllib.parse
import zipfile

import portal
import smtp
from portal import PASSWORD, RELEASE, until

# On PostgreSQL a start takes longer, and it is not ours to prove that it keeps what it has committed.
KILLS = 20 if portal.POSTGRES else 50
SEED = int(os.environ.get("TROTH_TEST_SEED") or random.SystemRandom().randrange(10**9))
HOUR, DAY = 3600, 86400
BROKEN = (OSError, http.client.HTTPException)


def say(text):
    print(f"# {text}", flush=True)


class Mailbox:
    """What lies in the outbox, each mail read once."""

    def __init__(self, p):
        self.p, self.seen, self.lock = p, set(), threading.Lock()
        self.by_address = collections.defaultdict(list)

    def to(self, address):
        with self.lock:
            for path in glob.glob(os.path.join(self.p.mail_dir, "*.eml")):
                if path not in self.seen:
                    with open(path, "rb") as f:
                        m = portal.read_mail(f.read())
                    self.seen.add(path)
                    self.by_address[m["To"]].append(m)
            return self.by_address[address]


class Storm:
    """A portal that is killed and started again."""

    def __init__(self, case, **env):
        self.p = case.new_portal(binary=RELEASE, env={"TROTH_WORKERS": "4", **env})
        self.random = random.Random(f"{SEED} {case.id()}")
        self.box = Mailbox(self.p)
        self.leapt = 0
        self.kills = self.rounds = 0
        self.began = time.monotonic()

    def leap(self, seconds):
        self.leapt += seconds
        self.p.ahead(self.leapt)

    def start(self):
        if self.p.database and self.rounds:
            self.leap(150)
        self.rounds += 1
        if self.random.random() < 0.1:  # now and then the start is cut off too
            self.p.start(wait=False)
            time.sleep(self.random.uniform(0, 0.05))
            self.p.kill()
        self.p.start()

    def last_start(self):
        """The one after which everything must come right: hours later, when all leases have run out."""
        self.leap(2 * HOUR)
        self.p.start()

    def now(self):
        return int((time.time() + self.leapt) * 1_000_000)

    def count(self, sql):
        return int(self.p.rows(sql)[0][0])

    def due(self, kind):
        """Jobs of a kind that wait for a process that lives."""
        return self.count(f"SELECT count(*) FROM job WHERE kind = '{kind}' AND due <= {self.now()}")

    def settled(self):
        until(lambda: self.count("SELECT count(*) FROM job") == 0, "the last job's end", 60)

    def report(self, what):
        say(f"{what}: {self.kills} kills in {self.rounds} starts, {time.monotonic() - self.began:.1f} s")

    # What is in the stores, when nobody is changing them.

    def keys(self):
        return keys_of(self.p)

    def subjects(self):
        return subjects_of(self.p)

    def people(self, names):
        """Signs people up as they do it, several at a time."""
        todo, made = queue.Queue(), []
        for name in names:
            todo.put(name)

        def sign_up():
            while True:
                try:
                    made.append(Person(self, todo.get_nowait()))
                except queue.Empty:
                    return
        together([sign_up] * 4)
        return made

    @contextlib.contextmanager
    def clients(self, functions):
        """Runs them beside what the body does; the body must end them. Fails if one did."""
        wrong = []

        def run():
            try:
                together(functions)
            except BaseException as e:
                wrong.append(e)
        beside = threading.Thread(target=run)
        beside.start()
        try:
            yield
        except BaseException:
            if self.p.process:
                self.p.kill()
            raise
        finally:
            beside.join()
        if wrong:
            raise wrong[0]


class Person:
    """With an account, and a browser that is signed in to it."""

    def __init__(self, storm, address):
        self.address = address
        self.lock = threading.Lock()  # one thing at a time
        self.browser = b = storm.p.browser()
        token = b.token("/sign-up")
        r = b.post("/sign-up", {"email": address, "password": PASSWORD}, token=token)
        assert r.location == "/sign-up/sent", r.text
        m = until(lambda: storm.box.to(address), f"mail to {address}", 60)[0]
        assert b.post("/verify-email", {"t": m.token}, token=token).status == 303
        assert self.enter()
        self.id = b.cookies["session"][:26]

    def enter(self):
        """Signs in: False where they cannot any more."""
        b = self.browser
        b.cookies.pop("session", None)
        r = b.sign_in(self.address)
        assert r.status in (303, 401, 403), (r.status, r.text[-800:])
        if r.status == 303:
            self.token = b.token("/account/settings")
        return r.status == 303

    def post(self, path, fields):
        """None where they cannot sign in any more."""
        with self.lock:
            r = self.browser.post(path, fields, token=self.token)
            # In the end a session is not recent any more, or it has ended.
            if r.status == 403 or r.location.startswith(("/sign-in", "/account/confirm")):
                if not self.enter():
                    return None
                r = self.browser.post(path, fields, token=self.token)
            return r

    def ask_takeout(self, scope):
        r = self.post("/account/privacy/takeout", {"scope": scope})
        assert r.status == 303 and "takeout-asked" in r.location, (r.status, r.location)

    def close(self):
        """The receipt's number; None where they are closed already."""
        for _ in range(50):
            r = self.post("/account/close", {"when": "now", "sure": "yes"})
            if r is None or r.status != 503:
                break
            time.sleep(0.1)  # too many at once on PostgreSQL: nothing was done, and they press again
        if r is None:
            return None
        if r.status != 303 or "number" not in r.location:
            raise ConnectionAbortedError(r.status)  # it ended under their hands
        return urllib.parse.parse_qs(urllib.parse.urlsplit(r.location).query)["number"][0]


def together(functions):
    """Runs them at the same time, and fails if one did."""
    wrong = []

    def guarded(f):
        def run():
            try:
                f()
            except BaseException as e:
                wrong.append(e)
        return run
    threads = [threading.Thread(target=guarded(f)) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if wrong:
        raise wrong[0]


def keys_of(p):
    if p.database:
        return {key for key, in p.rows("SELECT subject FROM keyring.subject_key")}
    with contextlib.closing(sqlite3.connect(f"file:{p.data}/keyring.db?mode=ro", uri=True)) as c:
        return {key for key, in c.execute("SELECT subject FROM subject_key")}


def columns_of(p):
    """{table: columns}"""
    if p.database:
        rows = p.rows("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")
    else:
        rows = p.rows("SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'")
    found = collections.defaultdict(list)
    for table, column in rows:
        found[table].append(column)
    return found


def select_all(p, queries):
    """{table: the rows that its query finds, as text}; asks once."""
    if not p.database:
        return {table: {repr(row) for row in p.rows(sql)} for table, sql in queries.items()}
    found = {table: set() for table in queries}
    union = " UNION ALL ".join(f"SELECT '{table}', CAST(r AS text) FROM ({sql}) r" for table, sql in queries.items())
    for line in portal.psql(p.database, union).splitlines():
        table, _, row = line.partition("|")
        found.setdefault(table, set()).add(row)  # a text of several lines counts as several
    return found


def subjects_of(p):
    """{table: the people that it has rows of}, for every table that has a column for them."""
    queries = {}
    for table, columns in columns_of(p).items():
        column = "id" if table == "account" else next((c for c in ("account", "subject") if c in columns), None)
        if column:
            queries[table] = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"
    assert {"account", "account_email", "takeout", "mail", "ticket", "session", "consent", "job"} <= set(queries), queries
    return {table: {re.search("[a-z0-9]{26}", row).group(0) for row in rows} for table, rows in select_all(p, queries).items()}


def files_of(p):
    return {os.path.basename(path) for path in glob.glob(os.path.join(p.data, "files", "*", "*"))}


class Crash(portal.Case):
    @classmethod
    def setUpClass(cls):
        say(f"seed {SEED}")

    def whole(self, s):
        """At the end: keyring, rows and files tell of the same people; every promise is kept."""
        p = s.p
        # Files that a killed process left are collected when they are a day old. Now they are.
        for path in glob.glob(os.path.join(p.data, "files", "*", "*")):
            os.utime(path, (time.time() - 3 * DAY,) * 2)
        left = files_of(p)
        p.ok("sweep")
        subjects, keys = s.subjects(), s.keys()
        self.assertEqual(keys, subjects["account"])
        self.assertEqual(subjects["account_email"], subjects["account"])
        for table, people in subjects.items():
            self.assertLessEqual(people, subjects["account"], table)
        self.assertEqual(files_of(p), {name for name, in p.rows("SELECT file FROM takeout WHERE file IS NOT NULL")})
        self.assertEqual(p.rows("SELECT count(*) FROM job"), [("0",)])
        self.assertEqual(glob.glob(os.path.join(p.data, "**", "*.part"), recursive=True), [])
        self.assertEqual(glob.glob(os.path.join(p.mail_dir, "*.new")), [])
        out = p.cli("verify")
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        return len(left) - len(files_of(p))

    # ---- registrations ----

    def register(self, s):
        """Kills a portal while people register: (addresses tried, addresses acknowledged)."""
        p, tried, acknowledged = s.p, set(), set()
        forms = []
        p.start()
        for _ in range(4):
            b = p.browser()
            forms.append((b, b.token("/sign-up")))
        p.stop()
        while s.kills < KILLS:
            self.assertLess(s.rounds, 3 * KILLS, "kills do not meet registrations")
            s.start()
            cut = []

            def client(n):
                def go_on():
                    b, token = forms[n]
                    for i in range(10**6):
                        address = f"p{s.rounds}.{n}.{i}@example.com"
                        tried.add(address)
                        try:
                            r = b.post("/sign-up", {"email": address, "password": PASSWORD}, token=token)
                        except BROKEN as e:
                            if not isinstance(e, ConnectionRefusedError):
                                cut.append(address)
                            return
                        self.assertEqual((r.status, r.location), (303, "/sign-up/sent"), r.text[:1000])
                        acknowledged.add(address)
                return go_on
            enough = len(acknowledged) + s.random.randrange(8)
            with s.clients([client(n) for n in range(len(forms))]):
                until(lambda: len(acknowledged) >= enough, "registrations")
                time.sleep(s.random.uniform(0, 0.03))
                p.kill()
            s.kills += bool(cut)
        return tried, acknowledged

    def test_mya_03_ntf_04_registrations_with_mail_to_files(self):
        """Fails if an acknowledged registration is lost, or is not told exactly once how to go on."""
        s = Storm(self)
        tried, acknowledged = self.register(s)
        s.last_start()
        s.settled()
        s.box.to("")
        sent = {address: mails for address, mails in s.box.by_address.items() if mails}
        self.assertEqual({a for a in acknowledged if len(sent.get(a, [])) != 1}, set())
        self.assertEqual({a for a in sent if a not in tried or len(sent[a]) != 1}, set())
        b = s.p.browser()
        for mails in sent.values():
            self.assertEqual(b.get(mails[0].path).status, 200)  # it is there, and can be confirmed
        self.whole(s)
        self.assertEqual(s.count("SELECT count(*) FROM account"), len(sent))
        s.report(f"registrations ({len(acknowledged)} acknowledged, {len(sent)} there)")

    def test_ntf_04_registrations_with_mail_over_smtp(self):
        """Fails if a mail that a server may have is sent again after a crash, or one is lost although the
        crash came before the server could have it.

        At most once is the promise: where the process died between the end of the mail and the
        server's answer, nobody can know, and the mail counts as uncertain. All others went once."""
        folder = portal.tempfile.mkdtemp(prefix="troth-crash-")
        self.addCleanup(shutil.rmtree, folder, True)
        server = smtp.MailServer(folder)
        self.addCleanup(server.close)
        server.behave(slow=10)  # so that kills find mails whose answer is on its way
        s = Storm(self, TROTH_MAIL=f"smtp://127.0.0.1:{server.port}")
        tried, acknowledged = self.register(s)
        s.last_start()
        s.settled()
        taken = server.taken()
        self.assertEqual([n for n, times in collections.Counter(m["Message-ID"] for m in taken).items() if times > 1], [])
        times = collections.Counter(m["To"] for m in taken)
        self.assertEqual([a for a in times if times[a] > 1 or a not in tried], [])
        states = collections.Counter(state for state, in s.p.rows("SELECT state FROM mail"))
        self.assertLessEqual(set(states), {"sent", "uncertain"})
        # Every registration has its mail; those that did not go are among the uncertain ones.
        self.assertEqual(sum(states.values()), s.count("SELECT count(*) FROM account"))
        lost = acknowledged - set(times)
        self.assertLessEqual(len(lost), states["uncertain"])
        self.assertLessEqual(states["sent"], len(times))
        b = s.p.browser()
        for m in taken:
            self.assertEqual(b.get(m.path).status, 200)
        self.whole(s)
        s.report(f"registrations over SMTP ({len(acknowledged)} acknowledged, {len(taken)} mails taken, {states['uncertain']} uncertain)")

    # ---- exports ----

    def test_rgt_06_exports(self):
        """Fails if an export that was asked for does not come, is not whole, or is made twice."""
        s = Storm(self, TROTH_WORKERS="2")
        p = s.p
        p.start()
        people = s.people(f"e{n}@example.com" for n in range(16))
        p.stop()
        asked, ready = collections.Counter(), {}
        while s.kills < KILLS:
            self.assertLess(s.rounds, 3 * KILLS, "kills do not meet exports")
            waiting = {(who, scope) for who, scope in p.rows("SELECT subject, scope FROM takeout WHERE ready IS NULL")}
            free = [(x, scope) for x in people for scope in ("all", "portable") if (x.id, scope) not in waiting]
            s.random.shuffle(free)
            s.start()
            acknowledged = []

            def client(n):
                def ask():
                    for x, scope in free[n::3]:
                        try:
                            x.ask_takeout(scope)
                        except BROKEN:
                            return
                        acknowledged.append((x.id, scope))
                return ask
            with s.clients([client(n) for n in range(3)]):
                enough = min(s.random.randrange(1, 12), len(free))
                until(lambda: len(acknowledged) >= enough, "exports asked for")
                time.sleep(s.random.uniform(0, 0.015))
                p.kill()
            asked.update(acknowledged)
            rows = p.rows("SELECT subject, scope, id, ready, file FROM takeout")
            there = collections.Counter((who, scope) for who, scope, *_ in rows)
            for which, times in asked.items():
                self.assertGreaterEqual(there[which], times)  # nothing acknowledged is lost
            asked = there  # and what was not acknowledged may be there
            for _, _, which, when, file in rows:
                if when:
                    self.assertEqual(ready.setdefault(which, (when, file)), (when, file))  # made once
            s.kills += s.due("account.takeout") > 0
        s.last_start()
        s.settled()
        rows = p.rows("SELECT subject, scope, id, ready, file FROM takeout")
        self.assertEqual(collections.Counter((who, scope) for who, scope, *_ in rows), asked)
        self.assertTrue(all(when and file for *_, when, file in rows))
        self.assertEqual(len({file for *_, file in rows}), len(rows))
        now = {which: (when, file) for _, _, which, when, file in rows}
        self.assertEqual({which for which, state in ready.items() if now[which] != state}, set())

        def check(some):
            def fetch():
                for x in some:
                    x.enter()
                    for who, scope, which, *_ in rows:
                        if who == x.id:
                            self.check_zip(x.browser, which, x.address, scope)
            return fetch
        together([check(people[n::3]) for n in range(3)])
        orphans = self.whole(s)
        s.report(f"exports ({len(rows)} made, {orphans} cut off and collected)")

    def check_zip(self, b, which, address, scope):
        r = b.get(f"/account/privacy/takeouts/{which}")
        self.assertEqual(r.status, 200)
        z = zipfile.ZipFile(io.BytesIO(r.body))
        self.assertIsNone(z.testzip())
        data = json.loads(z.read("data.json"))
        self.assertEqual((data["scope"], data["records"]["account"][0]["email"]), (scope, address))
        self.assertIn(address, z.read("index.html").decode())

    # ---- erasures ----

    def close_all(self, s, people):
        """Closes accounts for good, as people and the operator do, and kills the portal now and then: (IDs of
        those whose end was acknowledged, numbers of receipts)."""
        p, todo, gone, receipts = s.p, queue.Queue(), set(), set()
        for x in people:
            todo.put(x)
        while len(gone) < len(people):
            s.start()
            commands = []

            def person():
                while not todo.empty():
                    x = todo.get()
                    try:
                        number = x.close()
                    except BROKEN:
                        todo.put(x)
                        return
                    gone.add(x.id)
                    receipts.update([number] if number else [])

            def operator():
                while not todo.empty():
                    x = todo.get()
                    command = subprocess.Popen([RELEASE, "erase", x.address], env=p.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                    commands.append(command)
                    out = command.communicate()[0]
                    if command.returncode != 0:
                        todo.put(x)  # cut off, or there is nobody of that address any more: they look themselves
                        return
                    gone.add(x.id)
                    receipts.add(urllib.parse.parse_qs(out.split("?")[1].strip())["number"][0])
            enough = len(gone) + s.random.randrange(1, 8)
            with s.clients([person, person, operator]):
                until(lambda: len(gone) >= min(enough, len(people)), "closed accounts")
                time.sleep(s.random.uniform(0, 0.03))
                p.kill()
                for command in commands:
                    command.kill()
        return gone, receipts

    def close_many(self, s, people, gone, receipts):
        """A pile of accounts whose erasure is to come: they close as fast as they can, and the portal is killed."""
        s.start()
        began = time.monotonic()

        def close(some):
            def f():
                for x in some:
                    if time.monotonic() > began + 1.8:  # the first erasure is due
                        return
                    receipts.add(x.close())
                    gone.add(x.id)
            return f
        together([close(people[n::3]) for n in range(3)])
        s.p.kill()

    def test_mya_21_mya_23_erasures(self):
        """Fails if an acknowledged erasure does not end with nothing: no row, no key, no file; or if anything
        of somebody stays whose erasure was cut off, or of somebody else goes."""
        s = Storm(self)
        p = s.p
        p.start()
        stay = s.people(f"stays{n}@example.com" for n in range(3))
        people = s.people(f"g{n}@example.com" for n in range(56))
        for x in people:
            x.ask_takeout("all")  # a sealed file
        until(lambda: s.count("SELECT count(*) FROM takeout WHERE ready IS NULL") == 0, "the exports", 60)
        p.stop()
        gone, receipts = self.close_all(s, people[:16])
        closing = s.rounds
        self.close_many(s, people[16:], gone, receipts)
        time.sleep(2)  # an erasure leaves the last mail that long
        pile = s.due("account.erase")
        self.assertGreater(pile, 10)
        leapt = s.leapt
        s.p = q = self.new_portal(binary=RELEASE, init=False, env={"TROTH_WORKERS": "2"})
        s.box = Mailbox(q)
        halves = copies = 0
        while s.kills < KILLS:
            self.assertLess(copies, 5 * KILLS, "kills do not meet erasures")
            s.leapt = leapt
            self.copied(p, q)
            q.ahead(s.leapt)
            copies += 1
            while s.due("account.erase") > 0:
                s.start()
                time.sleep(s.random.uniform(0, 0.02) if s.kills < KILLS else 1)  # once there were enough, it may end
                q.kill()
                s.kills += s.due("account.erase") > 0
                halves += len(s.keys()) < s.count("SELECT count(*) FROM account")
            if copies % 10 and s.kills < KILLS:
                s.leap(2 * HOUR)
                q.ok("sweep")
                self.erased(s, people, gone, receipts)
        s.last_start()
        s.settled()
        self.erased(s, people, gone, receipts)
        # Who did not go is there, whole.
        there = s.subjects()["account"]
        for x in stay + [x for x in people if x.id in there]:
            b = q.browser()
            self.assertEqual(b.sign_in(x.address).location, "/account")
            self.assertEqual(b.cookies["session"][:26], x.id)
            self.assertIn(x.address, b.get("/account/privacy").text)
        orphans = self.whole(s)
        s.report(f"erasures ({len(gone)} of {len(people)} acknowledged in {closing} starts, then {copies} times {pile} to erase; "
                 f"{halves} times keys were gone and rows not, {orphans} files collected)")

    def erased(self, s, people, gone, receipts):
        subjects, keys = s.subjects(), s.keys()
        for table, there in subjects.items():
            self.assertFalse(there & gone, table)
            self.assertLessEqual(there, subjects["account"], table)
        self.assertEqual(keys, subjects["account"])
        # The receipts say so, and nothing of whom.
        self.assertEqual(s.count("SELECT count(*) FROM erasure WHERE done IS NULL OR pending IS NOT NULL"), 0)
        noted = {number for number, in s.p.rows("SELECT id FROM erasure")}
        self.assertLessEqual(receipts, noted)
        self.assertEqual(len(noted), len({x.id for x in people} - subjects["account"]))

    # ---- sweeps ----

    def copied(self, p, q):
        """Makes q's stores what p's are; nobody has them open."""
        shutil.rmtree(q.data, ignore_errors=True)
        shutil.copytree(p.data, q.data, ignore=shutil.ignore_patterns("*.sock"))
        if p.database:
            portal.psql("postgres", f"DROP DATABASE {q.database}")
            portal.psql("postgres", f"CREATE DATABASE {q.database} TEMPLATE {p.database}")

    def state(self, p):
        """What a sweep leaves. Not: when it was done, and which of its steps came upon a row first (a receipt
        counts those that went with the person, not those whose own term was over)."""
        leaves_out = {"sweep": None, "schedule": None, "promise_check": None, "erasure": {"done", "records", "files"},
                      "account_email": {"hash", "generation"}}  # a server renews these at once, after twenty days
        queries = {}
        for table, columns in columns_of(p).items():
            if leaves_out.get(table, ()) is not None:
                queries[table] = f"SELECT {', '.join(sorted(set(columns) - set(leaves_out.get(table, ()))))} FROM {table}"
        return {"keys": keys_of(p), "files": files_of(p), **select_all(p, queries)}

    def test_ret_06_sweeps(self):
        """Fails if a sweep that is cut off, and done again, ends with anything else than one that is not."""
        s = Storm(self)
        p = s.p
        p.start()
        people = s.people(f"s{n}@example.com" for n in range(16))
        for x in people[:12]:
            x.ask_takeout("all")
        until(lambda: s.count("SELECT count(*) FROM takeout WHERE ready IS NULL") == 0, "the exports", 60)
        for x in people[:12]:
            self.assertEqual(x.post("/account/close", {"when": "window", "sure": "yes"}).status, 303)
        b = p.browser()
        token = b.token("/sign-up")
        for n in range(150):
            self.assertEqual(b.post("/sign-up", {"email": f"u{n}@example.com", "password": PASSWORD}, token=token).status, 303)
        until(lambda: s.count("SELECT count(*) FROM job WHERE kind IN ('mail', 'account.intake')") == 0, "the mails", 60)
        p.stop()

        q = self.new_portal(binary=RELEASE, init=False)
        q.ahead(20 * DAY)
        self.copied(p, q)
        before = self.state(q)
        began = time.monotonic()
        q.ok("sweep")
        takes = time.monotonic() - began
        expected = self.state(q)
        # PostgreSQL may have had to begin a registration again: its first key has no rows.
        self.assertEqual((len(before["account"]), len(before["keys"]) >= 166, len(before["files"])), (166, True, 12))
        self.assertEqual([len(expected[what]) for what in ("account", "keys", "files")], [4, 4, 0])

        halves = copies = 0
        while s.kills < KILLS:
            self.assertLess(copies, 2 * KILLS, "kills do not meet sweeps")
            self.copied(p, q)
            copies += 1
            for _ in range(4):
                if s.rounds % 2:
                    command = subprocess.Popen([RELEASE, "sweep"], env=q.env, stdout=subprocess.DEVNULL)
                    time.sleep(s.random.uniform(0.1, 1.1) * takes)
                    command.kill()
                    cut = command.wait() != 0
                else:  # a server's own
                    q.start(wait=False)
                    time.sleep(s.random.uniform(0.1, 1.1) * takes)
                    q.kill()
                    cut = True
                s.rounds += 1
                left = int(q.rows("SELECT count(*) FROM account")[0][0])
                if not cut or left == 4:
                    break
                s.kills += 1
                halves += len(keys_of(q)) < left
            q.ok("sweep")
            state = self.state(q)
            self.assertEqual([what for what in expected if state[what] != expected[what]], [])
            self.assertEqual(q.rows("SELECT count(*) FROM erasure WHERE done IS NULL OR pending IS NOT NULL"), [("0",)])
        q.ok("vault", "rotate")  # it is long due
        out = q.cli("verify")
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        s.report(f"sweeps ({copies} copies of {len(before['account'])} people, {halves} times keys were gone and rows not)")


if __name__ == "__main__":
    portal.main()
