"""nginx before a portal, as deploy/nginx.conf says, with TLS, and a network namespace beside it: what an app on
another machine meets. Standard library only; tests/e2e/nginx.mjs does the same for browsers.

A network namespace is root's to make. Where it cannot be made the test fails: without it nothing was tested.
"""
import glob
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

import portal

NAME = "portal.example.com"  # as in deploy/nginx.conf
NOBODY = 65534


def run(*words, **kw):
    ran = subprocess.run(words, capture_output=True, text=True, **kw)
    if ran.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


class Network:
    """Another machine: a network namespace, joined to this one by a wire. There the portal's name is ours."""

    def __init__(self):
        mark = os.urandom(3).hex()
        self.name, self.wire, self.other = f"troth-{mark}", f"trh-{mark}", f"trn-{mark}"
        octets = (int(mark[:2], 16), int(mark[2:4], 16) & 0xfc)
        self.address, there = f"10.{octets[0]}.{octets[1]}.1", f"10.{octets[0]}.{octets[1]}.2"
        self.etc = f"/etc/netns/{self.name}"  # ip netns exec lays it over /etc
        if os.geteuid() != 0:
            raise AssertionError("network namespaces are made by root: run this test as root")
        run("ip", "netns", "add", self.name)
        try:
            run("ip", "link", "add", self.wire, "type", "veth", "peer", "name", self.other, "netns", self.name)
            run("ip", "address", "add", f"{self.address}/30", "dev", self.wire)
            run("ip", "link", "set", self.wire, "up")
            for words in (("address", "add", f"{there}/30", "dev", self.other), ("link", "set", self.other, "up"),
                          ("link", "set", "lo", "up")):
                run("ip", "-n", self.name, *words)
            os.makedirs(self.etc)
            with open(f"{self.etc}/hosts", "w", encoding="ascii") as f:
                f.write(f"127.0.0.1 localhost\n{self.address} {NAME}\n")
        except BaseException:
            self.close()
            raise

    def words(self, *words):
        return ["ip", "netns", "exec", self.name, *words]

    def link(self, up):
        run("ip", "-n", self.name, "link", "set", self.other, "up" if up else "down")

    def close(self):
        subprocess.run(["ip", "link", "del", self.wire], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
        shutil.rmtree(self.etc, ignore_errors=True)


def certificates(folder):
    """A certification authority (ca.pem), and the server's certificate by it."""
    def at(name):
        return os.path.join(folder, name)
    with open(at("leaf.cnf"), "w", encoding="ascii") as f:
        f.write(f"subjectAltName=DNS:{NAME}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("openssl", "req", "-x509", *key, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-days", "2", "-subj", "/CN=Troth test",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("openssl", "req", *key, "-keyout", at("tls.key"), "-out", at("leaf.csr"), "-subj", f"/CN={NAME}")
    run("openssl", "x509", "-req", "-in", at("leaf.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial",
        "-out", at("tls.pem"), "-days", "2", "-extfile", at("leaf.cnf"))


def free_port(address):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


class Front:
    """nginx at `address`. `socket` is where the portal is to listen, `live` where it says that something waits."""

    def __init__(self, address):
        self.dir = tempfile.mkdtemp(prefix="troth-front-")
        self.address = address
        self.port, self.plain, live = free_port(address), free_port(address), portal.free_port()
        self.url, self.live = f"https://{NAME}:{self.port}", f"http://127.0.0.1:{live}"
        os.chmod(self.dir, 0o755)
        self.sockets = self.at("sockets")  # as under systemd, nginx gets in by the group alone
        os.mkdir(self.sockets)
        os.chown(self.sockets, 0, NOBODY)
        os.chmod(self.sockets, 0o2750)
        self.socket = os.path.join(self.sockets, "troth.sock")
        certificates(self.dir)
        self.context = ssl.create_default_context(cafile=self.at("ca.pem"))
        work = self.at("nginx")
        os.mkdir(work)
        with open(self.at("nginx.conf"), "w", encoding="utf-8") as f:
            f.write(self.configured(work, live))
        for name in (work, self.at("tls.key"), self.at("tls.pem")):
            os.chown(name, NOBODY, NOBODY)
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", work, "-c", self.at("nginx.conf"), "-e", f"{work}/error.log", "-g", "daemon off;"],
                                        user=NOBODY, group=NOBODY, extra_groups=[], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=open(self.at("said"), "wb"))
        try:
            portal.until(self.listens, "nginx to listen")
        except BaseException:
            self.close()
            raise

    def at(self, name):
        return os.path.join(self.dir, name)

    def configured(self, work, live):
        """deploy/nginx.conf, with only what a test cannot have put in another's place."""
        with open(os.path.join(portal.ROOT, "deploy/nginx.conf"), encoding="utf-8") as f:
            text = f.read()
        folders = "".join(f"{x}_temp_path {work}/temp-{x}; " for x in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        for old, new in (("user www-data;", "# unprivileged:"),
                         ("pid /run/nginx.pid;", f"pid {work}/nginx.pid;"),
                         ("error_log /var/log/nginx/error.log", f"error_log {work}/error.log"),
                         ("client_body_temp_path /var/lib/nginx/body;", folders),
                         ("/etc/letsencrypt/live/portal.example.com/fullchain.pem", self.at("tls.pem")),
                         ("/etc/letsencrypt/live/portal.example.com/privkey.pem", self.at("tls.key")),
                         ("root /var/www/acme;", f"root {work}/acme;"),
                         ("listen 127.0.0.1:8081;", f"listen 127.0.0.1:{live};"),
                         ("server unix:/run/troth/troth.sock;", f"server unix:{self.socket};"),
                         ("listen 80;", f"listen {self.address}:{self.plain};"),
                         ("listen [::]:80", "# no IPv6 here"),
                         ("listen 443 ssl", f"listen {self.address}:{self.port} ssl"),
                         ("listen [::]:443", "# no IPv6 here"),
                         (f"308 https://{NAME}$request_uri", f"308 https://{NAME}:{self.port}$request_uri")):
            if old not in text:
                raise AssertionError(f'deploy/nginx.conf does not say "{old}"')
            text = text.replace(old, new)
        return text

    def listens(self):
        if self.process.poll() is not None:
            with open(self.at("said"), encoding="utf-8", errors="replace") as f:
                raise AssertionError(f"nginx ended: {f.read()}")
        with socket.socket() as s:
            return s.connect_ex((self.address, self.port)) == 0

    @property
    def settings(self):
        return {"TROTH_LISTEN": f"unix:{self.socket}", "TROTH_PUBLIC_URL": self.url, "TROTH_BEHIND_PROXY": "true", "TROTH_LIVE": self.live}

    def written(self):
        """All that nginx has written."""
        found = b""
        for path in glob.glob(self.at("nginx/**"), recursive=True) + [self.at("said")]:
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    found += f.read()
        return found

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Connection(http.client.HTTPSConnection):
    def __init__(self, front, timeout):
        super().__init__(NAME, front.port, timeout=timeout, context=front.context)
        self.front = front

    def connect(self):
        plain = socket.create_connection((self.front.address, self.front.port), self.timeout)
        self.sock = self.front.context.wrap_socket(plain, server_hostname=NAME)


class Browser(portal.Browser):
    def connection(self, timeout):
        return Connection(self.portal.front, timeout)


class Portal(portal.Portal):
    """A portal that is reached through nginx alone."""

    def __init__(self, front, env=None, **kw):
        self.front = front
        super().__init__(env={**front.settings, **(env or {})}, **kw)

    def browser(self, **kw):
        return Browser(self, **kw)
