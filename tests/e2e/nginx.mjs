// nginx before a portal, as deploy/nginx.conf says: that file itself, with only what a test cannot
// have put in another's place. Unprivileged, in a folder of its own, gone afterwards.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratch } from "./browser.mjs";
import { freePort, until } from "./portal.mjs";

export const NAME = "portal.example.com"; // as in the file

export const CONF = join(dirname(fileURLToPath(import.meta.url)), "../../deploy/nginx.conf");
const ROOT = process.getuid() === 0;
const NOBODY = 65534; // with its group: who nginx is, where the test is root

function run(...words) {
    const ran = spawnSync(words[0], words.slice(1), { encoding: "utf8" });
    if (ran.status !== 0) {
        throw new Error(`${words.join(" ")}: ${ran.error ?? `exit ${ran.status}`}\n${ran.stdout}${ran.stderr}`);
    }
    return ran.stdout;
}

// A folder for a portal's socket. As under systemd, nginx gets in by the group alone.
export function socketFolder() {
    const dir = scratch("socket");
    if (ROOT) {
        chownSync(dir, 0, NOBODY);
    }
    chmodSync(dir, 0o2750);
    return dir;
}

// A certification authority and the server's certificate, and a home whose browser believes the first.
export function makeCertificates() {
    const dir = scratch("ca"), at = (name) => join(dir, name);
    writeFileSync(at("leaf.cnf"), `subjectAltName=DNS:${NAME}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n`);
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    run("openssl", "req", "-x509", ...key, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-days", "2", "-subj", "/CN=Troth test",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign");
    run("openssl", "req", ...key, "-keyout", at("leaf.key"), "-out", at("leaf.csr"), "-subj", `/CN=${NAME}`);
    run("openssl", "x509", "-req", "-in", at("leaf.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial",
        "-out", at("leaf.pem"), "-days", "2", "-extfile", at("leaf.cnf"));
    const store = join(dir, "home/.pki/nssdb");
    mkdirSync(store, { recursive: true });
    run("certutil", "-d", `sql:${store}`, "-N", "--empty-password");
    run("certutil", "-d", `sql:${store}`, "-A", "-t", "C,,", "-n", "Troth test", "-i", at("ca.pem"));
    return { dir, home: join(dir, "home"), ca: readFileSync(at("ca.pem")), pem: readFileSync(at("leaf.pem")), key: readFileSync(at("leaf.key")) };
}

const hasIpv6 = Object.values(networkInterfaces()).flat().some((a) => a.address === "::1");

// All that is changed in deploy/nginx.conf for a test; each line must find its place.
function substitutions({ dir, socket, https, http, live, headerTimeout }) {
    const at = (name) => join(dir, name);
    const six = (port) => (hasIpv6 ? `listen [::1]:${port}` : `# no IPv6 here`);
    return [
        // files
        ["pid /run/nginx.pid;", `pid ${at("nginx.pid")};`],
        ["error_log /var/log/nginx/error.log", `error_log ${at("error.log")}`],
        ["client_body_temp_path /var/lib/nginx/body;", // and those that Debian's nginx has without being told
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((x) => `${x}_temp_path ${at(`temp-${x}`)};`).join(" ")],
        ["/etc/letsencrypt/live/portal.example.com/fullchain.pem", at("tls.pem")],
        ["/etc/letsencrypt/live/portal.example.com/privkey.pem", at("tls.key")],
        ["root /var/www/acme;", `root ${at("acme")};`],
        ["listen 127.0.0.1:8081;", `listen 127.0.0.1:${live};`],
        ["server unix:/run/troth/troth.sock;", `server unix:${socket};`],
        // ports, of loopback
        ["listen 80;", `listen 127.0.0.1:${http};`],
        ["listen [::]:80", six(http)],
        ["listen 443 ssl", `listen 127.0.0.1:${https} ssl`],
        ["listen [::]:443", six(https)],
        [`308 https://${NAME}$request_uri`, `308 https://${NAME}:${https}$request_uri`],
        // the one number, and only for the test that waits for it
        ...(headerTimeout ? [["client_header_timeout 10s;", `client_header_timeout ${headerTimeout};`]] : []),
    ];
}

export function configured(options, text = readFileSync(CONF, "utf8")) {
    for (const [from, to] of substitutions(options)) {
        if (!text.includes(from)) {
            throw new Error(`deploy/nginx.conf does not say "${from}"`);
        }
        text = text.replaceAll(from, to);
    }
    return text;
}

export async function startNginx({ socket, certificates, headerTimeout, live, change = (text) => text }) {
    const dir = scratch("nginx"), at = (name) => join(dir, name);
    const [https, http] = [await freePort(), await freePort()];
    const challenge = at("acme/.well-known/acme-challenge");
    mkdirSync(challenge, { recursive: true });
    writeFileSync(join(challenge, "a-token"), "a proof");
    writeFileSync(at("nginx.conf"), change(configured({ dir, socket, https, http, live: live ?? await freePort(), headerTimeout })));
    writeFileSync(at("tls.pem"), certificates.pem);
    writeFileSync(at("tls.key"), certificates.key);
    if (ROOT) {
        run("chown", "-R", `${NOBODY}:${NOBODY}`, dir);
    }
    const nginx = new Nginx(dir, https, http);
    await nginx.start();
    return nginx;
}

class Nginx {
    #child;
    #said = "";
    #kill = () => this.#child.kill("SIGKILL");

    constructor(dir, https, http) {
        Object.assign(this, { dir, https, http, url: `https://${NAME}:${https}` });
    }

    async start() {
        const words = ["-p", this.dir, "-c", join(this.dir, "nginx.conf"), "-e", join(this.dir, "error.log"), "-g", "daemon off;"];
        const who = ROOT ? { uid: NOBODY, gid: NOBODY } : {};
        this.#child = spawn("/usr/sbin/nginx", words, { ...who, stdio: ["ignore", "ignore", "pipe"] });
        process.once("exit", this.#kill);
        let ended = null;
        this.#child.once("error", (error) => (ended = error.message));
        this.#child.once("exit", (code, signal) => (ended = `exit ${code ?? signal}`));
        this.#child.stderr.on("data", (text) => (this.#said += text));
        await until(() => {
            if (ended !== null) {
                throw new Error(`nginx: ${ended}\n${this.#said}`);
            }
            return new Promise((done) => {
                const socket = connect(this.https, "127.0.0.1", () => { socket.destroy(); done(true); });
                socket.on("error", () => done(false));
            });
        }, "nginx to listen");
    }

    // Everything that it has written: its log, and what it put aside in its folder.
    written() {
        const files = (dir) => readdirSync(dir).flatMap((name) => {
            const path = join(dir, name);
            return statSync(path).isDirectory() ? files(path) : [path];
        });
        const own = new Set(["nginx.conf", "tls.pem", "tls.key", "nginx.pid"].map((name) => join(this.dir, name)));
        return this.#said + files(this.dir).filter((path) => !own.has(path) && !path.includes("/acme/"))
            .map((path) => `${path}\n${readFileSync(path, "latin1")}`).join("\n");
    }

    async stop() {
        const gone = new Promise((done) => this.#child.once("exit", done));
        if (this.#child.exitCode === null && this.#child.kill("SIGQUIT")) {
            const slow = setTimeout(() => this.#child.kill("SIGTERM"), 2000); // a browser still holds on
            await gone;
            clearTimeout(slow);
        }
        process.off("exit", this.#kill);
        if (existsSync(this.dir)) {
            rmSync(this.dir, { recursive: true, force: true });
        }
    }
}
