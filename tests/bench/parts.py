"""What is measured: each part gives rows of the table. Product and baseline take turns, several rounds,
and the medians stand in the table."""
import contextlib
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from servers import HELPERS, PASSWORD, Nginx, Portal, Postgres, figures, get, helper, resident, run, wrk

CONNECTIONS = 64
SIGN_IN_CLIENTS = 8
ID = 26
STORED = ("account", "account_email", "consent", "session", "session_origin")


@dataclass
class Row:
    what: str
    product: str
    baseline: str
    ratio: float
    aim: str = ""        # in words
    met: bool | None = None


class Bench:
    """What the parts share: how long, how much, and the stores that took long to fill."""

    def __init__(self, program, scratch, quick):
        self.program, self.scratch, self.quick = program, Path(scratch), quick
        self.rounds = 1 if quick else 5
        self.seconds = 1 if quick else 8
        self.small, self.big = (200, 2000) if quick else (1000, 1_000_000)
        self.erased = 10 if quick else 25  # twelve times of the small store, and of its copy
        self.due = 20 if quick else 10_000
        self.cores = os.cpu_count()
        self.stores, self.loaded, self.connected, self._postgres, self.made = {}, {}, {}, None, 0

    def folder(self, name):
        self.made += 1
        path = self.scratch / f"{name}-{self.made}"
        path.mkdir()
        return path

    @property
    def postgres(self):
        self._postgres = self._postgres or Postgres()
        return self._postgres

    def close(self):
        if self._postgres:
            self._postgres.stop()

    def portal(self, name, database=None, **settings):
        return Portal(self.program, self.folder(name), database, **settings)

    def store(self, kind, n):
        """A portal, not started, that holds n accounts."""
        if (kind, n) not in self.stores:
            make = self._fill if kind == "SQLite" else self._copy
            began = time.monotonic()
            self.stores[kind, n] = make(n)
            self.loaded[kind, n] = time.monotonic() - began
            run("sync")
        return self.stores[kind, n]

    def _fill(self, n):
        p = self.portal(f"sqlite-{n}")
        p.load("fill", n, p.data / "tokens")
        return p

    def _copy(self, n):
        """The same people on PostgreSQL: rows and keys as they are, under the same master key."""
        source = self.store("SQLite", n)
        name = f"people_{n}"
        data = self.folder(f"postgres-{n}")
        shutil.copy2(source.data / "master.key", data / "master.key")
        p = Portal(self.program, data, self.postgres.database(name))
        p.run("migrate")
        for table in STORED:
            self.copy_table(source.data / "troth.db", table, name, table)
        for table in ("secret_key", "subject_key"):
            self.copy_table(source.data / "keyring.db", table, name, f"keyring.{table}")
        self.postgres.sql(name, "VACUUM ANALYZE")
        p.tokens = source.data / "tokens"
        return p

    def copy_table(self, file, table, database, into):
        db = sqlite3.connect(file)
        columns = [(row[1], row[2]) for row in db.execute(f"PRAGMA table_info({table})")]
        db.close()
        wanted = ", ".join(f"'\\x' || hex({c})" if kind == "BLOB" else c for c, kind in columns)
        names = ", ".join(c for c, _ in columns)
        rows = subprocess.Popen(["sqlite3", "-csv", str(file), f"SELECT {wanted} FROM {table}"],
                                stdout=subprocess.PIPE)
        subprocess.run([self.postgres.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1",
                        f"{self.postgres.base}/{database}", "-c", f"DELETE FROM {into}", "-c",
                        f"COPY {into} ({names}) FROM STDIN (FORMAT csv)"], stdin=rows.stdout, check=True)
        if rows.wait() != 0:
            raise SystemExit(f"bench: {table} was not read")

    def turns(self, *measures):
        """Runs them in turn, in another order each round; lists of what each gave."""
        results = [[] for _ in measures]
        for i in range(self.rounds):
            for k in range(len(measures)):
                at = (i + k) % len(measures)
                results[at].append(measures[at]())
        return results


def median(values):
    return statistics.median(values)


def number(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def rate_row(what, product, baseline, least=None):
    p, b = median(x[0] for x in product), median(x[0] for x in baseline)
    aim = f"≥ {least:.2f}" if least else ""
    return Row(what, f"{number(p)} /s", f"{number(b)} /s", p / b, aim, p / b >= least if least else None)


def rate_rows(what, product, baseline, least=None):
    """With the p99 in a row of its own."""
    p99, b99 = median(x[1] for x in product), median(x[1] for x in baseline)
    return [rate_row(what, product, baseline, least),
            Row(f"{what}, p99", f"{number(p99)} ms", f"{number(b99)} ms", p99 / b99)]


def cost_row(what, product, baseline, unit, most=None):
    p, b = median(product), median(baseline)
    aim = f"≤ {most:.1f}" if most else ""
    return Row(what, f"{number(p)} {unit}", f"{number(b)} {unit}", p / b, aim, p / b <= most if most else None)


# ---- pages ----

def pages(b):
    rows = []
    portal, nginx = b.portal("pages"), Nginx(b.folder("nginx"))
    portal.run("demo")
    with portal:
        time.sleep(1)  # what it does first of all is done
        kinds = [(path, name, f"Accept: {accept}") for path in ("/", "/privacy/my-account")
                 for name, accept in (("HTML", "text/html"), ("JSON", "application/json"))]
        for i, (path, name, accept) in enumerate(kinds):
            head = nginx.add(f"{i}.{name.lower()}", get(portal.port, path, [accept]))
        nginx.configure(head)
        with nginx:
            for i, (path, name, accept) in enumerate(kinds):
                results = b.turns(lambda: wrk(portal.port, path, b.seconds, [accept]),
                                  lambda: wrk(nginx.port, f"/{i}.{name.lower()}", b.seconds, [accept]))
                rows += rate_rows(f"`{path}` {name}, against nginx", *results, least=1 / 3)
    return rows


# ---- a signed-in page ----

def quoted(value):
    return value if re.fullmatch(r"\d{1,18}", value) else "'" + value.replace("'", "''") + "'"


def logged(b, database, act):
    """The statements that `act` made PostgreSQL run: [(text, [parameters])]."""
    b.postgres.sql("postgres", f"ALTER DATABASE {database} SET log_statement = 'all'")
    before = b.postgres.log.stat().st_size
    act()
    b.postgres.sql("postgres", f"ALTER DATABASE {database} RESET log_statement")
    with open(b.postgres.log, encoding="utf-8") as f:
        f.seek(before)
        log = f.read()
    found = re.findall(r"execute \w+: (.*)\n(?:.*DETAIL:  parameters: (.*)\n)?", log)
    # A NULL is None.
    return [(text, [m.group(1) for m in re.finditer(r"\$\d+ = (?:'((?:[^']|'')*)'|NULL)", values)])
            for text, values in found]


def statements_of(b, portal, name, token):
    """The statements of /account."""
    def visit():
        with portal:
            for _ in range(2):  # the second finds the person's key in the cache
                assert get(portal.port, "/account", [f"Cookie: session={token}"])[0] == 200
                time.sleep(0.3)

    found = [s for s in logged(b, name, visit) if token[:ID] in s[1]]
    last = max(i for i, s in enumerate(found) if token[ID:2 * ID] in s[1])  # the session comes first
    return found[last:]


def with_values(statement, names):
    text, values = statement
    said = [names.get(v, quoted(v)) for v in values]
    return re.sub(r"\$(\d+)", lambda m: said[int(m.group(1)) - 1], text)


def visit_with(tokens, folder):
    """A script for wrk that visits /account as each of them in turn."""
    script = folder / "visit.lua"
    listed = ", ".join(f'"{t}"' for t in tokens)
    script.write_text(f"""local tokens, requests, i = {{{listed}}}, {{}}, 0
init = function(args)
  for k, t in ipairs(tokens) do requests[k] = wrk.format("GET", "/account", {{Cookie = "session=" .. t}}) end
end
request = function() i = i % #requests + 1; return requests[i] end
""", encoding="utf-8")
    return script


def wrk_script(port, script, seconds):
    out = run("wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", script, f"http://127.0.0.1:{port}")
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"bench: /account failed:\n{out}")
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
            float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit])


def signed_in(b):
    lite, post = b.store("SQLite", b.small), b.store("PostgreSQL", b.small)
    folder, name = b.folder("signed-in"), f"people_{b.small}"
    tokens = (lite.data / "tokens").read_text(encoding="ascii").split()[:CONNECTIONS]
    statements = statements_of(b, post, name, tokens[0])
    people = [(t[:ID], t[ID:2 * ID]) for t in tokens]
    own = {people[0][0]: ":account", people[0][1]: ":session"}
    lines = [with_values(s, own) for s in statements]
    (folder / "statements").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "people").write_text("".join(f"{a} {s}\n" for a, s in people), encoding="utf-8")
    script = visit_with(tokens, folder)

    def bare():
        f = helper("bare", "read", lite.data / "troth.db", folder / "statements", folder / "people",
                   CONNECTIONS, b.seconds)
        return f["rate"], f["p99"] / 1000

    def pgbench():
        return b.postgres.pgbench(name, ";\n".join(lines) + ";\n", CONNECTIONS, b.seconds, folder / "pgbench",
                                  account=people[0][0], session=people[0][1])

    rows = []
    for portal, kind, baseline in ((lite, "SQLite, against its bare statements", bare),
                                   (post, "PostgreSQL, against pgbench", pgbench)):
        with portal:
            time.sleep(1)
            results = b.turns(lambda: wrk_script(portal.port, script, b.seconds), baseline)
            both = rate_rows(f"`/account` on {kind} ({len(lines)} statements)", *results)
            rows += both if portal is post else both[:1]  # threads that only read have no queue, and so no p99
    return rows


# ---- registrations ----

CHEAP = {"argon_memory": 8388608, "argon_passes": 1}


def rows_of_registration(b, portal, name):
    """What a registration inserts: [(text, [parameter])], each parameter a letter and what goes with it:
    the account, another fresh ID, bytes with their length, a number, a text."""
    def register():
        with portal:
            helper("drive", "sign-up", portal.port, 1, 1)

    inserts = [x for x in logged(b, name, register) if x[0].startswith("INSERT INTO")]
    # The first intake, and what its job makes of it: the account, which has the job's name.
    intake = next(values[0] for text, values in inserts if "INTO subject_key" in text)
    account = next(values[1] for text, values in inserts if text.startswith("INSERT INTO job") and values[0] == intake)

    def kind(value):
        if value is None:
            return "z", ""
        if value == account:
            return "a", ""
        if value.startswith("\\x"):
            return "b", str(len(value) // 2 - 1)
        if re.search(rf"\b[0-9a-hjkmnp-tv-z]{{{ID}}}\b", value):
            return "i", ""
        return ("n", value) if re.fullmatch(r"\d{1,18}", value) else ("s", value)

    # What was begun anew stands in the log twice, sealed anew.
    def which(values):
        return [v for v in values[:2] if v is not None and not v.startswith("\\x")]

    once = {(text, *which(values)): (text, values) for text, values in inserts if account in values or intake in values}
    return [(text, [kind(v) for v in values]) for text, values in once.values()]


def for_bare(rows):
    """A line each: whether it is in the keyring, the statement, the parameters."""
    return "".join("\t".join([str(int("subject_key" in text)), re.sub(r"\$", "?", text),
                              *(letter + value for letter, value in values)]) + "\n" for text, values in rows)


def for_pgbench(rows):
    """The key committed first, then the rest."""
    def said(parameter):
        letter, value = parameter
        if letter == "b":  # 32 bytes are a hash, which may have to be the only one of its kind
            return "decode(md5(:a) || md5(:i), 'hex')" if value == "32" else f"decode(repeat('ab', {value}), 'hex')"
        return {"a": ":a", "i": ":i", "n": value, "s": quoted(value), "z": "NULL"}[letter]

    def filled(row):
        text, values = row
        text = text.replace("INTO subject_key", "INTO keyring.subject_key")
        return re.sub(r"\$(\d+)", lambda m: said(values[int(m.group(1)) - 1]), text) + ";\n"

    keys, others = ([filled(r) for r in rows if ("subject_key" in r[0]) == key] for key in (True, False))
    fresh = "SELECT substr(md5(random()::text), 1, 26) AS a, substr(md5(random()::text), 1, 26) AS i \\gset\n"
    return fresh + "".join(keys) + "BEGIN;\n" + "".join(others) + "COMMIT;\n"


def sign_up(b, database=None):
    """Registrations that are done a second: the page acknowledges and a job does the rest, so the time runs
    until the last job is done."""
    portal = b.portal("sign-up", database, **CHEAP)
    name = database.rsplit("/", 1)[1] if database else None

    def count(what):
        sql = f"SELECT count(*) FROM {what}"
        if name:
            return int(b.postgres.sql(name, sql))
        with contextlib.closing(sqlite3.connect(f"file:{portal.data}/troth.db?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchone()[0]

    with portal:
        time.sleep(1)
        began = time.monotonic()
        f = helper("drive", "sign-up", portal.port, CONNECTIONS, b.seconds)
        while count("intake"):
            time.sleep(0.05)
        rate = count("account") / (time.monotonic() - began)
    if f["failed"]:
        raise SystemExit(f"bench: {f['failed']:.0f} registrations failed; see {portal.data}/log.json")
    shutil.rmtree(portal.data)
    return rate, f["p99"] / 1000


def hashes(b, memory, passes):
    f = helper("bare", "hash", memory, passes, b.cores, b.seconds)
    return f["rate"], f["p99"] / 1000


def registrations(b):
    empty = b.portal("empty")
    empty.run("migrate")
    inserted = rows_of_registration(b, b.portal("bare", b.postgres.database("registrations"), **CHEAP), "registrations")
    (b.scratch / "inserts").write_text(for_bare(inserted), encoding="utf-8")

    def insert(batch):
        return helper("bare", "insert", empty.data, b.scratch / "inserts", b.seconds, batch)["rate"], 0

    def on_postgres():
        name = f"sign_up_{b.made}"
        result = sign_up(b, b.postgres.database(name))
        b.postgres.drop(name)
        return result

    lite, one, many, post, pgbench, hashed = b.turns(
        lambda: sign_up(b), lambda: insert(1), lambda: insert(CONNECTIONS), on_postgres,
        lambda: b.postgres.pgbench("registrations", for_pgbench(inserted), CONNECTIONS, b.seconds, b.scratch / "pgbench"),
        lambda: hashes(b, *CHEAP.values()))
    rows = []
    for what, product, baseline in (
            ("on SQLite, against bare inserts, each committed", lite, one),
            (f"on SQLite, against bare inserts, {CONNECTIONS} in a commit", lite, many),
            ("on SQLite, against bare hashes", lite, hashed),
            ("on PostgreSQL, against pgbench", post, pgbench),
            ("on PostgreSQL, against bare hashes", post, hashed)):
        rows.append(rate_row(f"registrations {what}", product, baseline))
    return rows


# ---- sign-ins ----

def sign_ins(b):
    portal = b.store("SQLite", b.small)
    addresses = b.scratch / "addresses"
    addresses.write_text("".join(f"person-{x}@example.com\n" for x in portal.load("ids", CONNECTIONS).split()),
                         encoding="ascii")

    def product():
        f = helper("drive", "sign-in", portal.port, SIGN_IN_CLIENTS, b.seconds, PASSWORD, addresses)
        if f["failed"]:
            raise SystemExit(f"bench: {f['failed']:.0f} sign-ins failed")
        return f["rate"], f["p99"] / 1000

    with portal:
        time.sleep(1)
        results = b.turns(product, lambda: hashes(b, 67108864, 3))
    return [rate_row("sign-ins, against bare hashes", *results, least=0.95), *second_steps(b), *beside_browsers(b, addresses)]


def driven(what, *args):
    f = helper("drive", *args)
    if f["failed"]:
        raise SystemExit(f"bench: {f['failed']:.0f} {what} failed")
    return f["rate"], f["p99"] / 1000


def second_steps(b):
    """With a code from an app. Each person signs in once in half a minute: a code is good once."""
    portal = b.store("SQLite", 4 * b.small)
    everybody = portal.load("second", 2 * b.small).splitlines(keepends=True)
    owners = []
    for i in range(b.rounds):  # others in each round: the next may come within the half minute
        owners.append(b.scratch / f"owners-{i}")
        owners[i].write_text("".join(everybody[i::b.rounds]), encoding="ascii")
    rounds = iter(owners)
    with portal:
        time.sleep(1)
        results = b.turns(lambda: driven("sign-ins", "sign-in", portal.port, SIGN_IN_CLIENTS, b.seconds, PASSWORD, next(rounds)),
                          lambda: hashes(b, 67108864, 3))
    return [rate_row("sign-ins with a code from an app, against bare hashes", *results)]


def beside_browsers(b, addresses):
    """64 people who read, alone and while 64 others sign in: what the first have to wait."""
    portal = b.store("SQLite", b.small)
    tokens = portal.data / "tokens"

    def browse():
        return driven("pages", "browse", portal.port, CONNECTIONS, b.seconds, tokens)

    rates = []

    def browse_beside():
        with ThreadPoolExecutor(1) as other:
            signing = other.submit(driven, "sign-ins", "sign-in", portal.port, CONNECTIONS, b.seconds + 1, PASSWORD, addresses)
            result = browse()
            rates.append(signing.result())
        return result

    with portal:
        time.sleep(1)
        beside, alone = b.turns(browse_beside, browse)
        hashed = [hashes(b, 67108864, 3) for _ in rates]
    return [cost_row(f"`/account` for {CONNECTIONS} who read, p99, while {CONNECTIONS} sign in, against alone",
                     [p99 for _, p99 in beside], [p99 for _, p99 in alone], "ms", 2),
            rate_row("sign-ins meanwhile, against bare hashes", rates, hashed)]


# ---- erasure and sweep ----

def tables_of(b, portal):
    path = b.scratch / "tables"
    path.write_text(portal.load("tables"), encoding="ascii")
    return path


def ids_of(b, portal):
    path = b.scratch / "ids"
    path.write_text(portal.load("ids", b.erased), encoding="ascii")
    return path


def erase_sql(b, portal, ids):
    """The erasures as a script for psql: prepared statements, two commits for each person."""
    tables = [line.split() for line in portal.load("tables").splitlines()]
    script = ["PREPARE k (text) AS DELETE FROM keyring.subject_key WHERE subject = $1;"]
    script += [f"PREPARE t{i} (text) AS DELETE FROM {t} WHERE {c} = $1;" for i, (t, c) in enumerate(tables)]
    script.append("SELECT extract(epoch FROM clock_timestamp());")
    for person in ids.read_text(encoding="ascii").split():
        script += [f"EXECUTE k('{person}');", "BEGIN;"]
        script += [f"EXECUTE t{i}('{person}');" for i in range(len(tables))] + ["COMMIT;"]
    script.append("SELECT extract(epoch FROM clock_timestamp());")
    return "\n".join(script)


def seconds_between(text):
    began, ended = (float(x) for x in text.split())
    return ended - began


def erasure_of(b, kind, n):
    """Milliseconds for one person: the portal's, and the bare statements'."""
    portal = b.store(kind, n)

    def product():
        return figures(portal.load("erase", ids_of(b, portal)))["seconds"] / b.erased * 1000

    def bare():
        ids = ids_of(b, portal)
        if kind == "SQLite":
            seconds = helper("bare", "erase", portal.data, tables_of(b, portal), ids)["seconds"]
        else:
            seconds = seconds_between(b.postgres.sql(f"people_{n}", erase_sql(b, portal, ids)))
        return seconds / b.erased * 1000

    product(), bare()  # once for the caches
    return b.turns(product, bare)


def erasure(b):
    rows = []
    for kind in ("SQLite", "PostgreSQL"):
        few, many = (erasure_of(b, kind, n) for n in (b.small, b.big))
        rows.append(cost_row(f"an erasure on {kind}, {b.small:,} accounts stored", *few, "ms", 2))
        rows.append(cost_row(f"an erasure on {kind}, {b.big:,} accounts stored", *many, "ms", 2))
        rows.append(cost_row(f"the same, {b.big:,} stored against {b.small:,}", many[0], few[0], "ms", 1.5))
        rows.append(cost_row("… and so the bare statements", many[1], few[1], "ms"))
    return rows


def sweep_sql(b, portal, cutoff):
    """Batch after batch as a script: what is due, its keys, its rows. ANY, so that it is few statements."""
    tables = [line.split() for line in portal.load("tables").splitlines()]
    script = ["CREATE TEMP TABLE due (id text);", "SELECT extract(epoch FROM clock_timestamp());"]
    for _ in range(-(-b.due // 500)):
        script += ["TRUNCATE due;",
                   f"INSERT INTO due SELECT id FROM account WHERE closed <= {cutoff} ORDER BY closed LIMIT 500;",
                   "DELETE FROM keyring.subject_key WHERE subject = ANY (ARRAY(SELECT id FROM due));", "BEGIN;"]
        script += [f"DELETE FROM {t} WHERE {c} = ANY (ARRAY(SELECT id FROM due));" for t, c in tables] + ["COMMIT;"]
    script.append("SELECT extract(epoch FROM clock_timestamp());")
    return "\n".join(script)


def sweep_of(b, kind):
    portal = b.store(kind, b.big)

    def close():
        return int(figures(portal.load("close", b.due))["cutoff"])

    def product():
        close()
        f = figures(portal.load("sweep"))
        assert f["subjects"] == b.due, f
        return f["seconds"]

    def bare():
        cutoff = close()
        if kind == "SQLite":
            f = helper("bare", "sweep", portal.data, tables_of(b, portal), cutoff, 500)
            assert f["subjects"] == b.due, f
            return f["seconds"]
        return seconds_between(b.postgres.sql(f"people_{b.big}", sweep_sql(b, portal, cutoff)))

    def whole():
        return figures(portal.load("sweep", "whole"))["seconds"]

    def scan():
        if kind == "SQLite":
            return helper("bare", "scan", portal.data)["seconds"]
        clock = "SELECT extract(epoch FROM clock_timestamp());\n"
        read = ("SELECT count(id) FROM (SELECT id FROM account ORDER BY id OFFSET 0) x \\g /dev/null\n"
                "SELECT count(subject) FROM (SELECT subject FROM keyring.subject_key WHERE kind = 'account' "
                "ORDER BY subject OFFSET 0) x \\g /dev/null\n")
        return seconds_between(b.postgres.sql(f"people_{b.big}", clock + 2 * read + clock))

    return b.turns(product, bare), b.turns(whole, scan)


def sweep(b):
    rows = []
    for kind in ("SQLite", "PostgreSQL"):
        hourly, whole = sweep_of(b, kind)
        rows.append(cost_row(f"a sweep on {kind}: {b.due:,} of {b.big:,} due", *hourly, "s", 2))
        rows.append(cost_row(f"the daily sweep of {b.big:,} on {kind}, nothing due, against reading all IDs", *whole, "s"))
    return rows


# ---- memory and start ----

def measured_under_load(server, path, seconds):
    """(MiB idle, MiB at 64 connections)."""
    time.sleep(3)
    idle, most = resident(server.process.pid), 0
    load = subprocess.Popen(["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{server.port}{path}"],
                            stdout=subprocess.DEVNULL)
    while load.poll() is None:
        most = max(most, resident(server.process.pid))
        time.sleep(0.05)
    return idle / 1024, most / 1024


def two_servers(b):
    portal, nginx = b.portal("alone"), Nginx(b.folder("nginx"))
    portal.run("demo")
    with portal:
        page = get(portal.port, "/")
    nginx.configure(nginx.add("0.html", page))
    return portal, nginx


def memory(b):
    portal, nginx = two_servers(b)

    def of(server, path):
        with server:
            return measured_under_load(server, path, b.seconds)

    product, baseline = b.turns(lambda: of(portal, "/"), lambda: of(nginx, "/0.html"))
    return [cost_row("memory, idle, against nginx", [x[0] for x in product], [x[0] for x in baseline], "MiB"),
            cost_row(f"memory, {CONNECTIONS} connections, against nginx", [x[1] for x in product],
                     [x[1] for x in baseline], "MiB")]


def start(b):
    portal, nginx = two_servers(b)
    big = b.store("SQLite", b.big)

    def of(server):
        seconds = server.start()
        time.sleep(0.5)
        server.stop()
        return seconds * 1000

    small, full, other = b.turns(lambda: of(portal), lambda: of(big), lambda: of(nginx))
    return [cost_row("start-up, the demo, against nginx", small, other, "ms"),
            cost_row(f"start-up, {b.big:,} accounts against the demo", full, small, "ms", 1.5)]


PARTS = {"pages": pages, "signed-in": signed_in, "registrations": registrations, "sign-ins": sign_ins,
         "erasure": erasure, "sweep": sweep, "memory": memory, "start": start}
