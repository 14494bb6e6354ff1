// A portal of a test's own: fresh, on a free port of this machine, in a folder that goes with it.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import { test as nodeTest } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { scratch } from "./browser.mjs";
import { readMail } from "./mail.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const PROGRAM = resolve(HERE, process.env.TROTH_BIN ?? "../../build/troth");
const START_MS = 20_000, STOP_MS = 20_000, MAIL_MS = 15_000;

export const PASSWORD = "four unlikely badgers dance";

// Waits until the question has an answer that is not false, and gives that.
export async function until(question, what, ms = 10_000) {
    const end = Date.now() + ms;
    for (;;) {
        const answer = await question();
        if (answer) {
            return answer;
        }
        if (Date.now() > end) {
            throw new Error(`waited ${ms} ms in vain for ${what}`);
        }
        await sleep(50);
    }
}

export function freePort() {
    return new Promise((done, failed) => {
        const server = createServer();
        server.on("error", failed);
        server.listen(0, "127.0.0.1", () => {
            const { port } = server.address();
            server.close(() => done(port));
        });
    });
}

// Starts one. `env` goes over what every test needs ({ TROTH_DEMO: "true" } …); `demo` fills it with
// people first.
export async function startPortal({ env = {}, demo = false } = {}) {
    const dir = scratch("portal");
    const listen = env.TROTH_LISTEN ?? `127.0.0.1:${await freePort()}`;
    const settings = {
        PATH: process.env.PATH,
        TROTH_DATA: join(dir, "data"),
        TROTH_MAIL: `file:${join(dir, "mail")}`,
        TROTH_SMS: `file:${join(dir, "texts")}`,
        TROTH_LISTEN: listen,
        TROTH_PUBLIC_URL: `http://${listen.replace(/^127\.0\.0\.1:/, "localhost:")}`, // passkeys need a name
        TROTH_ARGON_MEMORY: String(8 << 20), // the least: hashing is not what is tested here
        TROTH_ARGON_PASSES: "1",
        TROTH_LIMITS: "off", // all of a test's people come from one address
        ...env,
    };
    const portal = new Portal(dir, settings, settings.TROTH_PUBLIC_URL);
    portal.command("vault", "init");
    if (demo) {
        portal.command("demo");
    }
    await portal.start();
    return portal;
}

class Portal {
    #child;
    #log = "";
    #taken = new Set();
    #kill = () => this.#child.kill("SIGKILL");

    constructor(dir, settings, url) {
        this.dir = dir;
        this.url = url;
        this.settings = settings;
        this.mailDir = settings.TROTH_MAIL.slice("file:".length);
    }

    async start() {
        this.#child = spawn(PROGRAM, ["serve"], { env: this.settings, stdio: ["ignore", "pipe", "pipe"] });
        process.once("exit", this.#kill); // whatever happens to the test, nothing stays behind
        let said = "";
        this.#child.stdout.on("data", (text) => (said += text));
        this.#child.stderr.on("data", (text) => (this.#log += text));
        let ended = null;
        this.#child.once("error", (error) => (ended = error.message));
        this.#child.once("exit", (code, signal) => (ended = `exit ${code ?? signal}`));
        await until(() => {
            if (ended !== null) {
                throw new Error(`${PROGRAM} serve: ${ended}\n${this.#log}`);
            }
            return said.includes("troth serves");
        }, "the portal to serve", START_MS);
    }

    // What the server has logged so far.
    get logged() {
        return this.#log;
    }

    // Runs a command of the program beside the server; it must exit 0 unless the test says otherwise.
    command(...words) {
        const ran = spawnSync(PROGRAM, words, { env: this.settings, encoding: "utf8" });
        if (ran.status !== 0) {
            throw new Error(`troth ${words.join(" ")}: exit ${ran.status}\n${ran.stdout}${ran.stderr}`);
        }
        return ran.stdout;
    }

    // All mail, in no order: { to, subject, language, text, link, headers }.
    mails() {
        if (!existsSync(this.mailDir)) {
            return [];
        }
        return readdirSync(this.mailDir)
            .filter((name) => name.endsWith(".eml"))
            .map((name) => ({ name, ...readMail(readFileSync(join(this.mailDir, name), "utf8")) }));
    }

    // Text messages, the latest last: { to, text, when }.
    texts() {
        const dir = this.settings.TROTH_SMS.slice("file:".length);
        return (existsSync(dir) ? readdirSync(dir) : [])
            .filter((name) => name.endsWith(".json"))
            .map((name) => JSON.parse(readFileSync(join(dir, name), "utf8")))
            .sort((a, b) => (a.when < b.when ? -1 : 1));
    }

    // Waits for the nth text message to that number, and gives its code.
    async code(to, nth = 1) {
        const found = await until(() => this.texts().filter((m) => m.to === to)[nth - 1], `message ${nth} to ${to}`);
        return /^\d{6}/.exec(found.text)[0];
    }

    // Waits for a mail to that address with that subject, and takes it: it is not given again.
    async mail(to, subject) {
        const found = await until(
            () => this.mails().find((m) => m.to === to && m.subject === subject && !this.#taken.has(m.name)),
            `mail "${subject}" to ${to}`, MAIL_MS);
        this.#taken.add(found.name);
        return found;
    }

    // node:test's test, except that a failure is followed by what the server had to say.
    test = (title, run) => nodeTest(title, async (t) => {
        const before = this.#log.length;
        try {
            await run(t);
        } catch (error) {
            process.stderr.write(`--- the server's log during "${title}":\n${this.#log.slice(before)}---\n`);
            throw error;
        }
    });

    // Ends it by its own process ID, and its folder with it. It must have ended in order.
    async stop() {
        const gone = new Promise((done) => this.#child.once("exit", (code, signal) => done(code ?? signal)));
        const running = this.#child.exitCode === null && this.#child.signalCode === null;
        const how = running && this.#child.kill("SIGTERM")
            ? await Promise.race([gone, sleep(STOP_MS, "no end", { ref: false })])
            : this.#child.exitCode ?? this.#child.signalCode;
        if (how === "no end") {
            this.#kill();
        }
        process.off("exit", this.#kill);
        rmSync(this.dir, { recursive: true, force: true });
        if (how !== 0) {
            throw new Error(`the portal ended with ${how}\n${this.#log}`);
        }
    }
}
