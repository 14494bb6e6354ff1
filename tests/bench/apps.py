"""What connected apps cost: reports, a crowd that waits, license files; each a part of its own in the table."""
import json
import os
import re
import shutil
import subprocess
import time

from parts import CONNECTIONS, ID, Row, cost_row, logged, median, number, quoted, rate_row, rate_rows
from servers import HELPERS, ROOT, Server, figures, free_port, get, helper, resident, run

SAMPLED = 20_000  # devices that report
AGENTS = 10_000
EVERY = 300       # seconds between an app's reports, as the portal asks
TABLES = ("my_account", "consent", "device", "binding", "device_report", "license", "seat")


def statement(portal):
    with portal:
        return json.loads(get(portal.port, "/api/v1/statements/troth-agent")[1])["version"]


def connected(b, kind, n):
    """(a portal whose n people have an app connected, the file of those that report)."""
    portal = b.store(kind, n)
    if (kind, n) not in b.connected:
        b.connected[kind, n] = portal.data / "devices"
        portal.env["TROTH_PUBLIC_URL"] = "https://portal.example.com"  # the statement names it
        if kind == "SQLite" or n <= b.small:
            run(HELPERS / "apps", statement(portal), SAMPLED, portal.data / "devices", env=portal.env)
        else:
            copy_devices(b, *connected(b, "SQLite", n), portal, n)
        run("sync")
    return portal, b.connected[kind, n]


def copy_devices(b, source, devices, portal, n):
    """The same devices on PostgreSQL."""
    for table in TABLES:
        b.copy_table(source.data / "troth.db", table, f"people_{n}", table)
    b.copy_table(source.data / "keyring.db", "subject_key", f"people_{n}", "keyring.subject_key")
    b.postgres.sql(f"people_{n}", "VACUUM ANALYZE")
    shutil.copy(devices, portal.data / "devices")


# ---- the statements of a report ----

def whose(devices):
    return [line.split() for line in devices.read_text(encoding="ascii").splitlines()]


def statements_of(b, portal, name, devices, what):
    """Of one report, after the portal has seen the device before: [(text, [(letter, value)])]."""
    one = devices.with_name("one")
    one.write_text(devices.read_text(encoding="ascii").splitlines()[0] + "\n", encoding="ascii")
    _, account, binding, device, _ = whose(one)[0]

    def report():
        with portal:
            helper("agents", "report", portal.port, 1, 0.2, one, what)

    found = [s for s in logged(b, name, report) if account in s[1]]
    reads = [i for i, (text, _) in enumerate(found) if text.startswith("SELECT device, application")]
    if what == "changed":  # by the token twice: to find out who it is, and again in the transaction
        found = found[reads[-4]:reads[-2]]
    else:
        found = found[reads[-2]:reads[-1]]

    def said(value):
        if value is None:
            return "z", ""
        if value in (account, binding, device):
            return {account: "a", binding: "x", device: "d"}[value], ""
        if value.startswith("\\x"):
            return "b", str(len(value) // 2 - 1)
        return ("n", value) if re.fullmatch(r"\d{1,18}", value) else ("s", value)

    return [(text, [said(v) for v in values]) for text, values in found]


def for_bare(rows):
    return "".join("\t".join(["0", re.sub(r"\$(\d+)", r"?\1", text), *(letter + value for letter, value in values)]) + "\n"
                   for text, values in rows)


def for_pgbench(rows):
    """Each client's own device, looked up once; what is written, in one transaction."""
    def said(parameter):
        letter, value = parameter
        return {"a": ":account", "x": ":binding", "d": ":device", "b": f"decode(repeat('ab', {value or 0}), 'hex')", "n": value,
                "s": quoted(value), "z": "NULL"}[letter]

    lines = [re.sub(r"\$(\d+)", lambda m, values=values: said(values[int(m.group(1)) - 1]), text) + ";\n" for text, values in rows]
    own = ("\\if :begun = 0\nSELECT account, binding, device FROM bench.device WHERE n = :client_id \\gset\n\\set begun 1\n\\endif\n")
    if len(lines) == 1:
        return own + lines[0]
    return own + lines[0] + "BEGIN;\n" + "".join(lines[1:]) + "COMMIT;\n"


def list_devices(b, name, devices):
    rows = "".join(f"{n}\t{account}\t{binding}\t{device}\n" for n, (_, account, binding, device, _) in enumerate(whose(devices)[:CONNECTIONS]))
    b.postgres.sql(name, "DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench; CREATE TABLE bench.device (n int PRIMARY KEY, account text, "
                         f"binding text, device text);\nCOPY bench.device FROM STDIN;\n{rows}\\.\n")


# ---- reports ----

def send(portal, devices, seconds, what):
    f = helper("agents", "report", portal.port, CONNECTIONS, seconds, devices, what)
    if f["failed"]:
        raise SystemExit(f"bench: {f['failed']:.0f} reports failed; see {portal.data}/log.json")
    return f["rate"], f["p99"] / 1000


def written(b, devices, rows):
    """The statements and the devices for the bare work, in files."""
    folder = b.folder("reports")
    (folder / "rows").write_text(for_bare(rows), encoding="utf-8")
    (folder / "devices").write_text("".join(f"{a} {x} {d}\n" for _, a, x, d, _ in whose(devices)), encoding="ascii")
    return folder


def bare_changed(b, lite, folder):
    return lambda: (helper("bare", "change", lite.data, folder / "rows", b.seconds, CONNECTIONS, folder / "devices")["rate"], 0)


def bare_unchanged(b, lite, folder, rows):
    text = re.sub(r"\$(\d+)", lambda m: {"a": ":account", "x": ":session"}[rows[0][1][int(m.group(1)) - 1][0]], rows[0][0])
    (folder / "statement").write_text(text + "\n", encoding="utf-8")

    def measure():
        f = helper("bare", "read", lite.data / "troth.db", folder / "statement", folder / "devices", CONNECTIONS, b.seconds)
        return f["rate"], f["p99"] / 1000
    return measure


def reports(b):
    lite, post = connected(b, "SQLite", b.small), connected(b, "PostgreSQL", b.small)
    name, rows = f"people_{b.small}", []
    list_devices(b, name, post[1])
    for what in ("unchanged", "changed"):
        statements = statements_of(b, post[0], name, post[1], what)
        folder = written(b, lite[1], statements)
        bare = bare_changed(b, lite[0], folder) if what == "changed" else bare_unchanged(b, lite[0], folder, statements)

        def pgbench(statements=statements):
            return b.postgres.pgbench(name, for_pgbench(statements), CONNECTIONS, b.seconds, b.folder("pgbench"), begun=0,
                                      account="-", binding="-", device="-")

        def told(store, what=what):
            with store[0]:
                time.sleep(0.5)
                return send(*store, b.seconds, what)

        on_sqlite, on_postgres, statements_only, others = b.turns(lambda: told(lite), lambda: told(post), bare, pgbench)
        title = f"{what} reports ({len(statements)} statement{'s' if len(statements) > 1 else ''})"
        rows += [rate_row(f"{title} on SQLite, against pgbench", on_sqlite, others, least=0.7),
                 rate_row(f"{title} on SQLite, against the statements alone", on_sqlite, statements_only),
                 *rate_rows(f"{title} on PostgreSQL, against pgbench", on_postgres, others, least=0.7)]
    return rows


def licenses(b):
    """Is a license good? Asked of libtroth, offline; and the signed files that the portal makes for it."""
    folder, lite, post = b.folder("offline"), connected(b, "SQLite", b.small), connected(b, "PostgreSQL", b.small)
    run(HELPERS / "offline", "sign", folder)

    def offline(what, *words):
        return lambda: (helper("offline", what, *words)["rate"], 0)

    def files(store):
        with store[0]:
            time.sleep(0.5)
            return send(*store, b.seconds, "license")

    asked, verified = b.turns(offline("check", folder, b.seconds), offline("bare", folder, b.seconds))
    on_sqlite, on_postgres, signed = b.turns(lambda: files(lite), lambda: files(post), offline("signatures", b.seconds, os.cpu_count()))
    return [rate_row("license checks offline, one thread, against the two signatures alone", asked, verified),
            rate_row("license files signed and sent on SQLite, against signatures alone", on_sqlite, signed),
            rate_row("license files signed and sent on PostgreSQL, against signatures alone", on_postgres, signed)]


def growth(b):
    """What one report costs with a thousand devices stored, and with a million."""
    rows = []
    for kind in ("SQLite", "PostgreSQL"):
        small, big = connected(b, kind, b.small), connected(b, kind, b.big)

        def cost(store):
            portal, devices = store
            with portal:
                time.sleep(0.5)
                return 1e6 / send(portal, devices, b.seconds, "changed")[0]

        full, few = b.turns(lambda: cost(big), lambda: cost(small))
        rows.append(cost_row(f"a changed report on {kind}, {b.big:,} devices stored against {b.small:,}", full, few, "µs", 1.5))
    return rows


# ---- a crowd that waits ----

class Front(Server):
    """nginx as deploy/nginx.conf has it, with a certificate of its own; all apps come from one address here, so that
    its limits for one are away."""

    def __init__(self, folder, portal_port, live):
        super().__init__()
        self.folder = folder
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "key",
            "-out", folder / "pem", "-days", "2", "-subj", "/CN=portal.example.com")
        text = (ROOT / "deploy/nginx.conf").read_text(encoding="utf-8")
        temps = " ".join(f"{x}_temp_path {folder}/{x};" for x in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        for pattern, to in ((r"user www-data;.*", "user root; daemon off;" if os.getuid() == 0 else "daemon off;"),
                            (r"pid /run/nginx.pid;", f"pid {folder}/pid;"),
                            (r"error_log \S+ alert;", f"error_log {folder}/error.log alert;"),
                            (r"worker_connections \d+;", "worker_connections 19000;"),
                            (r"client_body_temp_path \S+;", temps),
                            (r"limit_(req|conn) (zone=)?\w+ ?[^;]*;", ""),
                            (r"ssl_certificate \S+;", f"ssl_certificate {folder}/pem;"),
                            (r"ssl_certificate_key \S+;", f"ssl_certificate_key {folder}/key;"),
                            (r"server unix:\S+;", f"server 127.0.0.1:{portal_port};"),
                            (r"listen 127.0.0.1:8081;", f"listen 127.0.0.1:{live};"),
                            (r"listen \[::\]:\d+.*;", ""),
                            (r"nchan_subscriber_timeout \w+;", "nchan_subscriber_timeout 15m;"),
                            (r"listen 80;", f"listen 127.0.0.1:{self.port};"),
                            (r"listen 443 ssl", f"listen 127.0.0.1:{self.tls} ssl")):
            text, n = re.subn(pattern, to, text)
            if n == 0:
                raise SystemExit(f"bench: deploy/nginx.conf has no {pattern}")
        (folder / "nginx.conf").write_text(text.replace("return 308", "return 200 ok; #"), encoding="utf-8")

    ready = "/"

    @property
    def tls(self):
        self._tls = getattr(self, "_tls", None) or free_port()
        return self._tls

    def command(self):
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        return [nginx, "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log"], None, self.folder / "stderr"


def crowd(b):
    n = 200 if b.quick else AGENTS
    portal, devices = connected(b, "SQLite", max(n, b.small))
    live = free_port()
    portal.env |= {"TROTH_LIVE": f"http://127.0.0.1:{live}", "TROTH_TRUSTED_PROXIES": "127.0.0.1"}
    rate = max(n, AGENTS) / EVERY
    few, many, grown = [], [], []
    for _ in range(1 if b.quick else 3):
        for count, into in ((REPORTING, few), (n, many)):
            front = Front(b.folder("front"), portal.port, live)
            with portal, front:
                time.sleep(2)
                into.append(waited(b, portal, front, devices, count, rate, grown if count == n else None))
    nginx, troth = median(x[0] for x in grown), median(x[1] for x in grown)
    p99, alone = median(x["p99"] / 1000 for x in many), median(x["p99"] / 1000 for x in few)
    title = f"reports ({rate:.0f} /s) through nginx and TLS, p99, with {n:,} apps that wait against {REPORTING}"
    return [Row(title, f"{number(p99)} ms", f"{number(alone)} ms", p99 / alone),
            Row(f"memory for {n:,} that wait: nginx with TLS; troth", f"{number(nginx)} MiB", f"{number(troth)} MiB", nginx / troth if troth > 0 else 0)]


REPORTING = 16


def waited(b, portal, front, devices, count, rate, grown):
    def held():
        return resident(front.process.pid) / 1024, resident(portal.process.pid) / 1024

    before = held()
    agents = subprocess.Popen([HELPERS / "agents", "hold", str(front.tls), str(count), str(4 * b.seconds), str(rate), devices],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if agents.stdout.readline().split() != ["held", str(count)]:
        raise SystemExit("bench: they do not wait")
    if grown is not None:
        after = held()
        grown.append((after[0] - before[0], after[1] - before[1]))
    out, _ = agents.communicate("go\n")
    f = figures(out)
    if agents.returncode or f["failed"] or f["answered"]:
        raise SystemExit(f"bench: of {count} that wait, {f['answered']:.0f} were answered, {f['failed']:.0f} reports failed")
    return f


PARTS = {"reports": reports, "licenses": licenses, "crowd": crowd, "report-growth": growth}
