"""The servers that are measured: the portal, nginx, PostgreSQL. Each is started here and stopped by
its own process ID."""
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELPERS = ROOT / "build/bench/tests/bench"
PASSWORD = "correct+horse+battery+staple"


def run(*command, env=None, text=None, cwd=None):
    """What it printed; its complaints where it failed."""
    done = subprocess.run([str(x) for x in command], env=env, input=text, cwd=cwd, text=True,
                          capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(str(x) for x in command)[:200]}\n{done.stdout[-500:]}{done.stderr[-2000:]}")
    return done.stdout


def figures(text):
    """Lines "name number" of a helper."""
    return {name: float(number) for name, number in (line.split() for line in text.splitlines())}


def helper(name, *args, env=None):
    return figures(run(HELPERS / name, *args, env=env))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(port, path, headers=()):
    """(status, body, headers' text), over a connection of its own; None while nobody answers."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *headers, "", ""]
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.sendall("\r\n".join(lines).encode())
            answer = b""
            while piece := s.recv(65536):
                answer += piece
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]), body, head.decode()) if head else None


def children(pid):
    out = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(x) for x in out]


def resident(pid):
    """KiB of memory that the process and its children have."""
    kib = 0
    for p in [pid, *children(pid)]:
        kib += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{p}/status").read_text()).group(1))
    return kib


class Server:
    """A process with a port."""
    ready = "/"

    def __init__(self):
        self.process = None
        self.port = free_port()

    def command(self):
        raise NotImplementedError

    def start(self):
        """Seconds until it answers."""
        command, env, errors = self.command()
        began = time.monotonic()
        with open(errors, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=log)
        while (answer := get(self.port, self.ready)) is None or answer[0] != 200:
            if self.process.poll() is not None or time.monotonic() - began > 60:
                raise SystemExit(f"bench: {command[0]} does not answer:\n{errors.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.001)
        return time.monotonic() - began

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


class Portal(Server):
    ready = "/healthz"

    def __init__(self, program, data, database=None, **settings):
        super().__init__()
        self.program = program
        self.data = Path(data)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")}
        self.env |= {"TROTH_DATA": str(data), "TROTH_MAIL": f"file:{data}/mail", "TROTH_LIMITS": "off",
                     "TROTH_LISTEN": f"127.0.0.1:{self.port}",
                     "TROTH_MAX_CONNECTIONS": "160"}  # twice 64, and those of the round before that still close
        if database:
            self.env["TROTH_DATABASE"] = database
        self.env |= {f"TROTH_{name.upper()}": str(value) for name, value in settings.items()}
        if not (self.data / "master.key").exists():
            self.data.mkdir(parents=True, exist_ok=True)
            self.run("vault", "init")

    def command(self):
        return [self.program, "serve"], self.env, self.data / "log.json"

    def run(self, *args):
        return run(self.program, *args, env=self.env)

    def load(self, *args):
        """The helper that works on the portal's stores, where the portal does not run."""
        return run(HELPERS / "load", *args, env=self.env)


class Nginx(Server):
    """nginx with files of the same length as the portal's pages, and as many headers."""

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder)
        self.root = self.folder / "www"
        self.root.mkdir(parents=True)
        (self.root / "index.html").write_text("ready\n", encoding="utf-8")

    def add(self, name, page):
        status, body, head = page
        assert status == 200
        (self.root / name).write_bytes(b"x" * len(body))
        return head

    def configure(self, head):
        """`head`: of an answer of the portal, whose own headers are sent here too."""
        own = ("date", "content-type", "content-length", "connection")
        extra = "\n".join(f'add_header {name} "{value}";' for name, value in
                          re.findall(r"^([\w-]+): (.*?)\r?$", head, re.M) if name.lower() not in own)
        user = "user root;" if os.getuid() == 0 else ""
        paths = "\n".join(f"{x}_temp_path {self.folder}/{x};" for x in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(f"""
{user} worker_processes 2; daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log;
events {{ worker_connections 512; }}
http {{
sendfile on; tcp_nopush on; keepalive_requests 1000000000; access_log {self.folder}/access.log;
types {{ text/html html; application/json json; }}
{paths}
server {{ listen 127.0.0.1:{self.port}; root {self.root};
{extra}
}}
}}
""", encoding="utf-8")

    def command(self):
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        return [nginx, "-c", str(self.folder / "nginx.conf"), "-e", str(self.folder / "error.log")], \
            None, self.folder / "stderr"


class Postgres:
    """A server of its own by script/with-postgres, which says where; with fsync, as in production."""

    def __init__(self):
        env = dict(os.environ, TROTH_TEST_PG_FSYNC="on")
        tell = 'printf "%s\\n%s\\n%s\\n" "$TROTH_TEST_POSTGRES" "$TROTH_TEST_PG_DATA" "$TROTH_TEST_PG_BIN"; read -r end'
        self.process = subprocess.Popen([ROOT / "script/with-postgres", "sh", "-c", tell], env=env, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        url = self.process.stdout.readline().strip()
        self.data = Path(self.process.stdout.readline().strip())
        self.bin = Path(self.process.stdout.readline().strip())
        self.base = url.rsplit("/", 1)[0]
        self.log = self.data.parent / "server.log"
        if not url:
            raise SystemExit("bench: PostgreSQL did not start")

    def database(self, name):
        self.sql("postgres", f"CREATE DATABASE {name}")
        return f"{self.base}/{name}"

    def drop(self, name):
        self.sql("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def sql(self, database, text):
        """Its rows as text, or those of a script."""
        return run(self.bin / "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-f", "-",
                   f"{self.base}/{database}", text=text)

    def version(self):
        return self.sql("postgres", "SHOW server_version").split()[0]

    def pgbench(self, database, script, clients, seconds, folder, **variables):
        """(transactions a second, p99 in ms) of the script, its statements prepared."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "script.sql").write_text(script, encoding="utf-8")
        given = [x for name, value in variables.items() for x in ("-D", f"{name}={value}")]
        out = run(self.bin / "pgbench", "-n", "-M", "prepared", "-c", clients, "-j", 2, "-T", seconds, "-l",
                  "-f", "script.sql", *given, f"{self.base}/{database}", cwd=folder)
        if "tps = " not in out:
            raise SystemExit(f"bench: pgbench did nothing:\n{script[:500]}\n{out[-1500:]}")
        times = sorted(int(line.split()[2]) for log in folder.glob("pgbench_log.*")
                       for line in log.read_text(encoding="utf-8").splitlines())
        rate = float(re.search(r"tps = ([\d.]+)", out).group(1))
        return rate, times[int(len(times) * 0.99)] / 1000

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def wrk(port, path, seconds, headers=(), threads=2, connections=64):
    """(requests a second, p99 in ms)."""
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for h in headers:
        command += ["-H", h]
    out = run(*command, f"http://127.0.0.1:{port}{path}")
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"bench: {path} failed:\n{out}")
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
            float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit])
