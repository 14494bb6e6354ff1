/*
 * A mail server for tests: npm's smtp-server, which writes what it takes as files and misbehaves when
 * told to. smtp.py starts it and speaks with it.
 *
 *     node smtp.mjs '{"port": 2525, "dir": "/tmp/box", "tls": "starttls", "key": PEM, "cert": PEM,
 *                     "user": "u", "password": "p"}'
 *
 * A line of JSON on its standard input replaces how it behaves, and is answered with a line:
 *
 *     rcpt    {address: [code, times]}   what RCPT TO is answered, so many times (-1: always)
 *     data    [code, times]              what the final dot is answered
 *     hang_up times                      the mail is taken, and the line is cut without an answer
 *     slow    milliseconds               between the mail's being taken and the answer
 *
 * A mail that is taken is FILE.eml with FILE.json beside it (envelope, TLS, user), there before the
 * answer is. A mail that is refused is not.
 */
import { createRequire } from "node:module";
import { renameSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const { SMTPServer } = createRequire(new URL("../e2e/", import.meta.url))("smtp-server");
const options = JSON.parse(process.argv[2]);
let behaviour = {};
let taken = 0;

/* Is this one of the times? Counts them. */
function refusal(rule) {
    if (!rule || rule[1] === 0)
        return null;
    rule[1] -= 1;
    return Object.assign(new Error("told to refuse"), { responseCode: rule[0] });
}

async function bytes(stream) {
    const parts = [];
    for await (const part of stream)
        parts.push(part);
    return Buffer.concat(parts);
}

function keep(mail, session) {
    const name = `${options.dir}/${process.pid}-${String(++taken).padStart(6, "0")}`;
    writeFileSync(`${name}.json`, JSON.stringify({
        from: session.envelope.mailFrom.address,
        to: session.envelope.rcptTo.map(r => r.address),
        tls: session.secure,
        user: session.user ?? null,
    }));
    writeFileSync(`${name}.part`, mail);
    renameSync(`${name}.part`, `${name}.eml`);
}

function cut(session) {
    for (const c of server.connections)
        if (c.session === session)
            c._socket.destroy();
}

async function take(stream, session, done) {
    const mail = await bytes(stream);
    const wrong = refusal(behaviour.data);
    if (wrong)
        return done(wrong);
    keep(mail, session);
    if (behaviour.hang_up > 0) {
        behaviour.hang_up -= 1;
        return cut(session);
    }
    if (behaviour.slow)
        await pause(behaviour.slow);
    return done(null, "taken");
}

const off = ["PIPELINING"];
if (options.tls !== "starttls")
    off.push("STARTTLS");
if (!options.user)
    off.push("AUTH");

const server = new SMTPServer({
    name: "mail.test",
    secure: options.tls === "smtps",
    key: options.key,
    cert: options.cert,
    disabledCommands: off,
    disableReverseLookup: true,
    authOptional: !options.user,
    allowInsecureAuth: true,
    logger: false,
    onAuth(auth, session, done) {
        const right = auth.username === options.user && auth.password === options.password;
        done(right ? null : Object.assign(new Error("wrong"), { responseCode: 535 }), right ? { user: auth.username } : undefined);
    },
    onRcptTo(address, session, done) {
        done(refusal(behaviour.rcpt?.[address.address]));
    },
    onData(stream, session, done) {
        take(stream, session, done).catch(done);
    },
});
server.on("error", () => {}); /* lines that are cut, hands that are refused */
server.listen(options.port, "127.0.0.1", () => console.log("ready"));
createInterface({ input: process.stdin })
    .on("line", line => {
        behaviour = JSON.parse(line);
        console.log("so be it");
    })
    .on("close", () => process.exit(0));
