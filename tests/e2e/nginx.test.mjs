// Proves that the portal stands behind nginx as deploy/ configures it (SEC-02, SEC-06, LOG-09): TLS, HTTP/2 and a
// unix socket; a person's whole way in a browser that checks the certificate; and what a stranger must
// not get past nginx. Each test says what would make it fail.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { after, describe } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { openBrowser } from "./browser.mjs";
import { CONF, configured, makeCertificates, NAME, socketFolder, startNginx } from "./nginx.mjs";
import { Person } from "./person.mjs";
import { startPortal, until } from "./portal.mjs";
import { LANGUAGES } from "./words.mjs";

const SPOOFED = "203.0.113.77"; // what a client says that it is
const HEADERS = {
    "content-security-policy": /^default-src 'none'; .*frame-ancestors 'none'$/,
    "strict-transport-security": /^max-age=63072000; includeSubDomains$/,
    "x-content-type-options": /^nosniff$/,
    "x-frame-options": /^DENY$/,
    "referrer-policy": /^same-origin$/,
    "cross-origin-opener-policy": /^same-origin$/,
    "server": /^nginx$/,
};

const certificates = makeCertificates();
const socketDir = socketFolder();
const socket = join(socketDir, "troth.sock");
const nginx = await startNginx({ socket, certificates });
const portal = await startPortal({ env: {
    TROTH_LISTEN: `unix:${socket}`, TROTH_PUBLIC_URL: nginx.url, TROTH_BEHIND_PROXY: "true", TROTH_DEMO: "true", TROTH_LIMITS: "on",
} });
// Nobody serves behind this one, and its patience is short enough to be waited for.
const alone = await startNginx({ socket: join(socketDir, "nobody.sock"), certificates, headerTimeout: "1s" });
const browser = await openBrowser({ home: certificates.home, args: [`--host-resolver-rules=MAP ${NAME} 127.0.0.1`] });
const { test } = portal;
const secrets = []; // what no log may hold

after(async () => {
    await browser.close();
    await Promise.all([nginx.stop(), alone.stop(), portal.stop()]);
    [certificates.dir, socketDir].forEach((dir) => rmSync(dir, { recursive: true, force: true }));
});

// ---- a client that says what no browser would ----

// Each test comes from an address of its own (127.0.0.0/8 is all this machine), so that none meets
// another's limits. Gives everything that came back until the other side ended, and how long it took.
function raw(bytes, { from = "127.0.0.2", port = nginx.https, tls = true, name = NAME, drip, patience = 10_000 } = {}) {
    return new Promise((done, failed) => {
        const began = Date.now();
        const plain = connectPlain({ port, host: "127.0.0.1", localAddress: from });
        const s = tls ? connectTls({ socket: plain, servername: name, ca: certificates.ca, ALPNProtocols: ["http/1.1"] }) : plain;
        const got = [];
        let dripping = null;
        const end = (how) => {
            clearInterval(dripping);
            clearTimeout(limit);
            plain.destroy();
            const text = Buffer.concat(got).toString("latin1");
            done({ text, how, ms: Date.now() - began, status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0) });
        };
        const limit = setTimeout(() => end("patience"), patience);
        s.on("data", (d) => got.push(d));
        s.on("error", (error) => end(error.code ?? error.message));
        s.on("close", () => end("close"));
        s.once(tls ? "secureConnect" : "connect", () => {
            if (!drip) {
                s.write(bytes, "latin1");
                return;
            }
            let at = 0;
            dripping = setInterval(() => (at < bytes.length ? s.write(bytes[at++], "latin1") : clearInterval(dripping)), drip);
        });
        plain.on("error", failed);
    });
}

const request = (method, path, headers = [], body = "") =>
    [`${method} ${path} HTTP/1.1`, `Host: ${NAME}`, "Connection: close", ...headers, "", body].join("\r\n");

const get = (path, headers = [], options = {}) => raw(request("GET", path, headers), options);
const headOf = (answer) => answer.text.split("\r\n\r\n")[0].toLowerCase();

// How many requests Troth has seen. A line of its log may come a moment after the answer.
async function seen() {
    await sleep(100);
    return portal.logged.split('"event":"request"').length - 1;
}

// ---- a person ----

// Everything that the browser asks for, and by what protocol it came.
async function watch(person) {
    const got = { urls: [], protocols: new Set(), complaints: [] };
    const session = await person.context.newCDPSession(person.page);
    await session.send("Network.enable");
    session.on("Network.requestWillBeSent", ({ request: r }) => got.urls.push(r.url));
    session.on("Network.responseReceived", ({ response }) => got.protocols.add(response.protocol));
    person.page.on("console", (message) => got.complaints.push(...(message.type() === "error" ? [message.text()] : [])));
    person.page.on("pageerror", (error) => got.complaints.push(String(error)));
    return got;
}

for (const language of LANGUAGES) {
    describe(`a person's way through nginx, in ${language}`, () => way(language));
}

function way(language) {
    let me, got;

    // Fails if the certificate is not believed, if nginx cannot reach the socket, or if links that are
    // mailed, or the Origin check, do not know the public address.
    test("MYA-03 MYA-04 MYA-14 signs up, confirms by the mailed link, and signs in", async () => {
        me = await Person.come(browser, portal, language, `kim.${language}@example.com`,
            { extraHTTPHeaders: { "X-Forwarded-For": SPOOFED, Forwarded: `for=${SPOOFED}` } });
        got = await watch(me);
        await me.signUp();
        const link = await me.confirm();
        assert.ok(link.startsWith(`${nginx.url}/verify-email?t=`), link);
        await me.signIn();
        await me.sees("overview.title");
        secrets.push(me.address, new URL(link).searchParams.get("t"));
    });

    // Fails without TLS's half of the cookies: `tls` in web.c, or a public_url that is http.
    test("COO-02 SEC-02 the cookies are for this host and TLS alone", async () => {
        await me.go(`/language?to=${language}&back=/account`);
        const cookies = await me.context.cookies();
        assert.deepEqual(cookies.map((c) => c.name).sort(), ["__Host-form", "__Host-known", "__Host-language", "__Host-session"]);
        for (const cookie of cookies) {
            assert.deepEqual([cookie.secure, cookie.httpOnly, cookie.path, cookie.domain, cookie.sameSite],
                [true, true, "/", NAME, "Lax"], cookie.name);
            secrets.push(...(cookie.name === "__Host-language" ? [] : [cookie.value]));
        }
    });

    // Fails if nginx adds to X-Forwarded-For instead of setting it, and the first is believed; or if
    // Troth takes the address of the socket.
    test("SEC-06 the session's address is what nginx saw, not what the client said", async () => {
        await me.go("/account/security");
        const row = await me.card("security.sessions").getByRole("listitem").innerText();
        assert.ok(row.includes("127.0.0.1"), row);
        assert.ok(!(await me.page.content()).includes(SPOOFED));
    });

    test("RGT-02 RGT-06 sees what is held, and takes a copy along", async () => {
        await me.go("/account/privacy");
        await me.sees("own.title");
        await me.press("own.takeout-submit");
        await me.isTold("done.takeout-asked");
        await until(async () => {
            await me.go("/account/privacy");
            return me.link("own.download").isVisible();
        }, "the copy");
        const [download] = await Promise.all([me.page.waitForEvent("download"), me.link("own.download").click()]);
        execFileSync("unzip", ["-tqq", await download.path()]); // whole, through nginx's buffers
        secrets.push(/takeouts\/(\w+)/.exec(download.url())[1]);
    });

    test("MYA-20 closes, and is gone", async () => {
        await me.go("/account/close");
        await me.field("close.choice-now").check();
        await me.field("close.sure").check();
        await me.press("close.submit");
        await me.isTold("done.closed");
        secrets.push(new URL(me.page.url()).searchParams.get("number"));
    });

    // Fails if anything of a page comes from elsewhere or without TLS, or not by HTTP/2 ("http2" in a
    // listen line), or if the policy stops something of ours.
    test("SEC-02 all of it came over TLS by HTTP/2, from here, and nothing was stopped", async () => {
        assert.ok(got.urls.length > 20);
        assert.deepEqual(got.urls.filter((url) => new URL(url).origin !== nginx.url), []);
        assert.deepEqual([...got.protocols], ["h2"]);
        assert.deepEqual(got.complaints, []);
        await me.context.close();
    });
}

// ---- what every answer says ----

// Fails if nginx drops or doubles a header, or says its version ("server_tokens off" removed).
test("SEC-06 pages, assets and problems have their headers once, through nginx", async () => {
    const style = /href="(\/assets\/[^"]+\.css)"/.exec((await get("/")).text)[1];
    for (const [path, status] of [["/", 200], ["/privacy", 200], [style, 200], ["/nothing", 404], ["/account", 303]]) {
        const answer = await get(path), lines = headOf(answer).split("\r\n").slice(1);
        assert.equal(answer.status, status, path);
        for (const [name, value] of Object.entries(HEADERS)) {
            const values = lines.filter((l) => l.startsWith(`${name}: `)).map((l) => l.slice(name.length + 2));
            assert.equal(values.length, 1, `${path}: ${name}: ${values}`);
            assert.match(values[0], new RegExp(value, "i"), path);
        }
    }
});

// Fails if nginx compresses pages ("gzip on"), or unpacks what Troth has compressed.
test("SEC-06 assets come compressed, pages never (BREACH)", async () => {
    const style = /href="(\/assets\/[^"]+\.css)"/.exec((await get("/")).text)[1];
    assert.match(headOf(await get(style, ["Accept-Encoding: gzip"])), /content-encoding: gzip/);
    for (const path of ["/", "/sign-up", "/nothing"]) {
        assert.ok(!headOf(await get(path, ["Accept-Encoding: gzip, br"])).includes("content-encoding"), path);
    }
});

// Fails if port 80 serves anything but the way to TLS and the certificate's proof.
test("SEC-02 without TLS there is only the way to TLS", async () => {
    const plain = { port: nginx.http, tls: false };
    for (const [method, path] of [["GET", "/"], ["GET", "/verify-email?t=a%20b"], ["POST", "/sign-in"]]) {
        const answer = await raw(request(method, path, ["Content-Length: 0"]), plain);
        assert.equal(answer.status, 308);
        assert.match(headOf(answer), new RegExp(`\r\nlocation: ${nginx.url}${path}(\r\n|$)`.replaceAll("?", "\\?"), "i"));
        assert.ok(!headOf(answer).includes("set-cookie"));
    }
    const proof = await get("/.well-known/acme-challenge/a-token", [], plain);
    assert.equal(proof.status, 200);
    assert.ok(proof.text.endsWith("a proof"));
    assert.equal((await get("/.well-known/acme-challenge/../../nginx.conf", [], plain)).status, 308);
});

// Fails if another name gets a certificate, a page of nginx's own, or Troth ("default_server" removed).
test("SEC-02 who asks for another name gets nothing", async () => {
    const before = await seen();
    const handshake = await get("/", [], { name: "other.example.com" });
    assert.equal(handshake.text, "");
    assert.match(handshake.how, /ALERT|EPROTO|SSL/);
    const inside = await raw(`GET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n`);
    assert.equal(inside.text, "", "a certificate for one name, and a request for another");
    assert.equal(await seen(), before);
});

// Fails if a place for this machine only is open to the world, under whatever spelling. Nothing that
// the file says of /metrics and /demo/ may be needed for it: Troth itself refuses what comes by a proxy.
test("SEC-06 GEN-26 /metrics and /demo are for nobody who comes through nginx", async () => {
    const spellings = ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics", "/./metrics", "/metrics?a", "/metrics%00",
        "/METRICS", "/demo", "/demo/", "/demo/mail", "//demo/mail", "/demo//mail", "/demo%2fmail", "/./demo/mail", "/x/../demo/mail"];
    const without = await startNginx({ socket, certificates, change: (text) => {
        const changed = text.replace(/^ *location (= \/metrics|\/demo\/) \{ return 404; \}$/gm, "");
        assert.equal(text.split("\n").length, changed.split("\n").length);
        assert.notEqual(text, changed);
        return changed;
    } });
    try {
        for (const [i, { https: port }] of [nginx, without].entries()) {
            const from = `127.0.1.${i}`; // fewer requests than one address may send at once
            for (const path of spellings) {
                for (const headers of [[], [`X-Forwarded-For: 127.0.0.1`], ["X-Forwarded-For:"], ["Forwarded: for=127.0.0.1"], ["X-Real-IP: 127.0.0.1"]]) {
                    const answer = await get(path, headers, { from, port });
                    assert.ok([308, 400, 404].includes(answer.status), `${path}: ${answer.status}`);
                }
            }
        }
    } finally {
        await without.stop();
    }
});

// ---- hostile framing ----

const POST = `POST /sign-in HTTP/1.1\r\nHost: ${NAME}\r\nContent-Type: application/x-www-form-urlencoded\r\n`;
const SMUGGLED = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
const framing = {
    "two lengths": `${POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\na=b&c${SMUGGLED}`,
    "two equal lengths": `${POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\na=b&c${SMUGGLED}`,
    "a list of lengths": `${POST}Content-Length: 5, 6\r\n\r\na=b&c${SMUGGLED}`,
    "a signed length": `${POST}Content-Length: +5\r\n\r\na=b&c${SMUGGLED}`,
    "a length and chunks": `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    "chunks and a length": `${POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    "chunks twice": `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    "unknown coding": `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    "two codings": `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    "a blank before the colon": `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    "a chunk's size that is none": `${POST}Transfer-Encoding: chunked\r\n\r\n0x5\r\na=b&c\r\n0\r\n\r\n${SMUGGLED}`,
    "two hosts": `GET / HTTP/1.1\r\nHost: ${NAME}\r\nHost: x\r\n\r\n${SMUGGLED}`,
    "no host": `GET / HTTP/1.1\r\n\r\n${SMUGGLED}`,
    "a NUL in a header": `GET / HTTP/1.1\r\nHost: ${NAME}\r\nX-A: b\0c\r\n\r\n${SMUGGLED}`,
    "a line that is no header": `GET / HTTP/1.1\r\nHost: ${NAME}\r\nnothing\r\nb\0: c\r\n\r\n${SMUGGLED}`,
};

// Fails if nginx lets such a request through, or takes what follows it for a second one.
for (const [name, bytes] of Object.entries(framing)) {
    test(`SEC-06 refused by nginx: ${name}`, async () => {
        const before = await seen();
        const answer = await raw(bytes, { from: "127.0.0.4" });
        assert.ok([400, 501].includes(answer.status), `${answer.status} ${answer.how}`);
        assert.equal(answer.text.split("HTTP/1.1 ").length, 2, "one answer");
        assert.equal(await seen(), before, "Troth saw it");
    });
}

// One conversation over HTTP/2; gives the status, or the stream's error.
function ask2(session, headers, body) {
    return new Promise((done) => {
        const stream = session.request({ ":authority": NAME, ...headers }, { endStream: body === undefined });
        let status = 0;
        stream.on("response", (h) => (status = h[":status"]));
        stream.on("error", (error) => (status ||= error.code));
        stream.on("close", () => done(status));
        stream.resume();
        if (body !== undefined) {
            stream.end(body);
        }
    });
}

function open2(from, port = nginx.https) {
    const plain = connectPlain({ port, host: "127.0.0.1", localAddress: from });
    return connectHttp2(nginx.url, { createConnection: () =>
        connectTls({ socket: plain, servername: NAME, ca: certificates.ca, ALPNProtocols: ["h2"] }) });
}

// Fails if a length that lies is handed on as HTTP/1.1, where the rest would begin a request.
test("SEC-06 refused by nginx: an HTTP/2 body that is not as long as it says", async () => {
    const before = await seen();
    const form = { ":method": "POST", ":path": "/sign-in", "content-type": "application/x-www-form-urlencoded" };
    const session = open2("127.0.0.5");
    assert.equal(await ask2(session, { ":method": "GET", ":path": "/" }), 200);
    for (const length of ["5", "500"]) {
        const status = await ask2(session, { ...form, "content-length": length }, `a=b&c${SMUGGLED}`);
        assert.ok(status === 400 || typeof status === "string", `${length}: ${status}`);
    }
    session.close();
    assert.equal(await seen(), before + 1);
});

// ---- limits ----

// Fails if a client that sends a byte now and then is waited for (client_header_timeout): the time counts
// from the first byte, not from the last.
test("SEC-06 a head must be there in time, however it drips; so must the handshake", async () => {
    const slow = { port: alone.https, from: "127.0.0.6" };
    const dripped = await raw(request("GET", "/", ["X-A: ".padEnd(400, "a")]), { ...slow, drip: 100 });
    assert.ok(dripped.how !== "patience" && dripped.ms < 4000, `${dripped.how} after ${dripped.ms} ms`);
    assert.ok([0, 408].includes(dripped.status), `${dripped.status}`);
    const silent = await raw("", { ...slow, tls: false });
    assert.ok(silent.how !== "patience" && silent.ms < 4000, `${silent.how} after ${silent.ms} ms`);
    const plain = await raw("GET / HTTP/1.1\r\nHo", { port: alone.http, from: "127.0.0.6", tls: false });
    assert.ok(plain.how !== "patience" && plain.ms < 4000, `${plain.how} after ${plain.ms} ms`);
});

// Fails if a body that is too large reaches Troth's limit or memory, or if nginx's page tells its version.
test("SEC-06 a body over a limit is 413: Troth's for a form, nginx's before it", async () => {
    const send = (n, chunked) => raw(POST + "Connection: close\r\n" + (chunked
        ? `Transfer-Encoding: chunked\r\n\r\n${n.toString(16)}\r\n${"a".repeat(n)}\r\n0\r\n\r\n`
        : `Content-Length: ${n}\r\n\r\n${"a".repeat(n)}`), { from: "127.0.0.7" });
    for (const chunked of [false, true]) {
        const form = await send(20_000, chunked);
        assert.equal(form.status, 413);
        assert.match(form.text, /<main/, "Troth says it in words");
        const before = await seen();
        const large = await send(70_000, chunked);
        assert.equal(large.status, 413);
        assertBare(large);
        assert.equal(await seen(), before);
    }
});

function assertBare(answer) {
    assert.match(headOf(answer), /\r\nserver: nginx(\r\n|$)/);
    assert.ok(!/nginx\/|\d+\.\d+\.\d+|debian|unix:|upstream/i.test(answer.text.replace(/^HTTP\/1\.1/, "")), answer.text);
    assert.ok(!/set-cookie/i.test(headOf(answer)));
}

// Fails if the flood of one address is served (limit_req), or shuts others out.
test("SEC-06 a flood from one address is 429 from nginx, and others are served", async () => {
    const session = open2("127.0.0.8");
    const statuses = [];
    for (let i = 0; i < 16; i++) {
        statuses.push(...await Promise.all(Array.from({ length: 16 }, () => ask2(session, { ":method": "GET", ":path": "/sign-up/sent" }))));
    }
    session.close();
    assert.deepEqual([...new Set(statuses)].sort(), [200, 429]);
    const served = statuses.filter((status) => status === 200).length;
    assert.ok(served >= 100 && served < 240, `${served} were served`);
    const more = await Promise.all(Array.from({ length: 20 }, () => get("/", [], { from: "127.0.0.8" })));
    const refused = more.filter((answer) => answer.status === 429);
    assert.ok(refused.length > 0);
    refused.forEach(assertBare);
    assert.equal((await get("/", [], { from: "127.0.0.9" })).status, 200);
});

// Fails if Troth counts by what the client says (each would be its first), or by the socket (all would be
// one). This is the other way in which a spoofed address would show.
test("SEC-06 Troth's own limit counts the address that nginx saw", async () => {
    const mail = (from, i) => raw(request("POST", "/recover",
        ["Content-Length: 0", `X-Forwarded-For: 203.0.113.${i}`, `Forwarded: for=203.0.113.${i}`]), { from });
    const answers = [];
    let refused;
    for (let i = 0; i < 200 && refused === undefined; i += 10) { // ten at a time: the bucket fills again meanwhile
        answers.push(...await Promise.all(Array.from({ length: 10 }, (_, k) => mail("127.0.0.10", i + k))));
        refused = answers.find((a) => a.status === 429);
    }
    assert.ok(refused !== undefined, `${answers.length} answers, none 429`);
    assert.match(refused.text, /<main/, "Troth's, in words");
    assert.match(headOf(refused), /\r\nretry-after: \d+/);
    assert.equal((await mail("127.0.0.11", 0)).status, 403, "another address is another's");
});

// Fails if one address can take all connections (limit_conn).
test("SEC-06 one address has so many requests at a time", async () => {
    const part = POST + "Connection: close\r\nContent-Length: 10\r\n\r\n";
    const many = Array.from({ length: 40 }, () => raw(part, { from: "127.0.0.12", patience: 2500 }));
    const statuses = (await Promise.all(many)).map((a) => a.status).sort((a, b) => a - b);
    assert.deepEqual(statuses, [...Array(32).fill(0), ...Array(8).fill(429)]); // 0: waited for, as it should be
});

// Fails if a portal that is away is told of by paths, versions or names.
test("SEC-06 without a portal behind it nginx says 502, and nothing else", async () => {
    const answer = await get("/account?t=secret", [], { port: alone.https, from: "127.0.0.13" });
    assert.equal(answer.status, 502);
    assertBare(answer);
    assert.ok(!answer.text.includes("secret"));
});

// ---- what is left behind ----

// Fails if nginx logs requests (its error log does from the level "crit" down), or puts a body aside;
// or if Troth's log names somebody. It comes last: all of the above has been tried.
test("LOG-09 neither log holds an address, a token or a name", async () => {
    assert.ok(secrets.length >= 10 && secrets.every((s) => s?.length > 5), String(secrets));
    const logs = { nginx: nginx.written(), "nginx alone": alone.written(), troth: portal.logged };
    assert.match(logs.nginx, /error\.log\n/);
    assert.match(logs.troth, /"route":"\/verify-email"/);
    for (const [whose, text] of Object.entries(logs)) {
        const marks = [...secrets, SPOOFED, "203.0.113.", "/verify-email?", "?t=", ...(whose === "troth" ? ['"127.0.0.'] : ["127.0.0.", "/account"])];
        for (const mark of marks) {
            const line = text.split("\n").find((l) => l.includes(mark));
            assert.equal(line, undefined, `${whose}: ${mark}`);
        }
    }
});

// Fails if a line that a test changes may be gone from the file: what ran would not be what is deployed.
test("each line that is changed for the tests must be there", () => {
    const options = { dir: "/d", socket: "/s", https: 1, http: 2, headerTimeout: "1s" };
    const file = readFileSync(CONF, "utf8");
    assert.notEqual(configured(options, file), file);
    for (const line of ["listen 443 ssl", "client_header_timeout 10s;", "pid /run/nginx.pid;", "listen [::]:80"]) {
        assert.throws(() => configured(options, file.replaceAll(line, "")), /does not say/);
    }
});
