// A double of the store provider: speaks the shapes of Stripe's API that the portal uses, keeps cards, answers wrongly
// when it is told to, and signs its events with the official stripe package. Only for tests, only on this machine.
//
//     node tests/store/double.mjs PORT WEBHOOK_URL      (prints "ready" when it serves)
//
// It is driven from outside by /_test/…; what it holds of cards never leaves it otherwise than Stripe would.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";

const require = createRequire(new URL("../e2e/package.json", import.meta.url));
const required = require("stripe");
const stripe = new (required.default ?? required)("sk_test_none");

export const KEYS = {
    // As decision 0038 wants it: writes customers, checkout sessions and payment intents; reads nothing else.
    rk_test_portal: ["customers", "checkout_sessions", "payment_intents"],
    sk_test_everything: ["customers", "checkout_sessions", "payment_intents", "payment_methods", "refunds"],
};
export const SECRET = "whsec_double0of1the2store3";
// Stripe's own test numbers, and what happens with them.
const CARDS = { 4242424242424242: null, 4000000000000002: "generic_decline", 4000002500003155: "authentication_required" };
const BRANDS = { 4: "visa", 5: "mastercard" };

const id = (prefix) => `${prefix}_${randomBytes(12).toString("hex")}`;
const now = () => Math.floor(Date.now() / 1000);

// a[b][0]=c as nested objects.
function readForm(text) {
    const out = {};
    for (const [name, value] of new URLSearchParams(text)) {
        const path = name.replace(/\]/g, "").split("[");
        let at = out;
        path.slice(0, -1).forEach((step) => (at = at[step] ??= {}));
        at[path.at(-1)] = value;
    }
    return out;
}

class Refusal extends Error {
    constructor(status, type, message, more = {}) {
        super(message);
        this.status = status;
        this.body = { error: { ...more, message, type, doc_url: more.code && `https://stripe.com/docs/error-codes/${more.code}` } };
    }
}
const missing = (what, name) => new Refusal(404, "invalid_request_error", `No such ${what}: '${name}'`, { code: "resource_missing", param: "id" });
const wanted = (param) => new Refusal(400, "invalid_request_error", `Missing required param: ${param}.`, { code: "parameter_missing", param });

export class Double {
    customers = new Map();
    sessions = new Map();
    methods = new Map(); // with the card's number, which no answer has
    payments = new Map();
    saved = new Map(); // by idempotency key
    requests = []; // what came, for tests to look at
    faults = []; // { match, kind, times }
    events = [];
    lag = false; // events wait until told

    constructor(webhook) {
        this.webhook = webhook;
        this.server = createServer((req, res) => this.#serve(req, res));
    }

    listen(port = 0) {
        return new Promise((done) => this.server.listen(port, "127.0.0.1", () => {
            this.url = `http://127.0.0.1:${this.server.address().port}`;
            done(this);
        }));
    }

    close() {
        this.server.closeAllConnections();
        return new Promise((done) => this.server.close(done));
    }

    // ---- events

    async emit(type, object, more = {}) {
        const event = { id: id("evt"), object: "event", api_version: "2024-06-20", created: now(), livemode: false, pending_webhooks: 1,
            request: { id: null, idempotency_key: null }, type, data: { object, ...more } };
        this.events.push(event);
        return this.lag ? null : this.send(event);
    }

    async send(event) {
        const payload = JSON.stringify(event, null, 2);
        const header = stripe.webhooks.generateTestHeaderString({ payload, secret: SECRET });
        try {
            const answer = await fetch(this.webhook, { method: "POST", body: payload, redirect: "manual",
                headers: { "Content-Type": "application/json; charset=utf-8", "Stripe-Signature": header, "User-Agent": "Stripe/1.0" } });
            return answer.status;
        } catch {
            return 0;
        }
    }

    // ---- objects, as Stripe shows them

    #method(m) {
        return { id: m.id, object: "payment_method", allow_redisplay: "limited", created: m.created, customer: m.customer, livemode: false, metadata: {}, type: "card",
            billing_details: { address: { city: null, country: "SE", line1: null, line2: null, postal_code: null, state: null }, email: "card-canary@example.com",
                name: "Canary Cardholder", phone: null },
            card: { brand: BRANDS[m.number[0]] ?? "unknown", checks: { address_line1_check: null, address_postal_code_check: null, cvc_check: "pass" }, country: "SE",
                display_brand: "visa", exp_month: m.month, exp_year: m.year, fingerprint: "CanaryFingerprint", funding: "credit", last4: m.number.slice(-4),
                networks: { available: ["visa"], preferred: null }, three_d_secure_usage: { supported: true }, wallet: null } };
    }

    #payment(p) {
        return { id: p.id, object: "payment_intent", amount: p.amount, amount_received: p.status === "succeeded" ? p.amount : 0, capture_method: "automatic",
            client_secret: `${p.id}_secret_x`, confirmation_method: "automatic", created: p.created, currency: p.currency, customer: p.customer, description: null,
            last_payment_error: p.error ?? null, latest_charge: p.charge ?? null, livemode: false, metadata: p.metadata, next_action: null, payment_method: p.method,
            payment_method_types: ["card"], status: p.status };
    }

    // ---- what the API does

    #routes = [
        ["POST", /^\/v1\/customers$/, "customers", (f) => {
            const c = { id: id("cus"), object: "customer", created: now(), email: f.email ?? null, livemode: false, metadata: f.metadata ?? {}, name: f.name ?? null };
            this.customers.set(c.id, c);
            return c;
        }],
        ["GET", /^\/v1\/customers\/(\w+)$/, "customers", (f, name) => this.customers.get(name) ?? (() => { throw missing("customer", name); })()],
        ["DELETE", /^\/v1\/customers\/(\w+)$/, "customers", (f, name) => {
            if (!this.customers.delete(name)) {
                throw missing("customer", name);
            }
            for (const m of [...this.methods.values()].filter((m) => m.customer === name)) {
                this.methods.delete(m.id);
            }
            this.emit("customer.deleted", { id: name, object: "customer" });
            return { id: name, object: "customer", deleted: true };
        }],
        ["POST", /^\/v1\/checkout\/sessions$/, "checkout_sessions", (f) => {
            for (const param of ["mode", "success_url"]) {
                if (!f[param]) {
                    throw wanted(param);
                }
            }
            if (f.mode === "setup" && !f.currency && !f.payment_method_types) {
                throw wanted("currency");
            }
            if (f.customer && !this.customers.has(f.customer)) {
                throw missing("customer", f.customer);
            }
            const s = { id: id("cs_test"), object: "checkout.session", cancel_url: f.cancel_url ?? null, client_reference_id: f.client_reference_id ?? null, created: now(),
                customer: f.customer ?? null, expires_at: now() + 86400, livemode: false, locale: f.locale ?? null, metadata: {}, mode: f.mode,
                payment_method_types: Object.values(f.payment_method_types ?? {}), payment_status: "no_payment_required", setup_intent: id("seti"), status: "open",
                success_url: f.success_url };
            s.url = `${this.url}/pay/${s.id}`;
            this.sessions.set(s.id, s);
            return s;
        }],
        ["POST", /^\/v1\/payment_intents$/, "payment_intents", (f) => this.#pay(f)],
        ["GET", /^\/v1\/payment_intents$/, "payment_intents", (f) => this.#list("/v1/payment_intents", (p) => !f.customer || p.customer === f.customer, f.limit)],
        ["GET", /^\/v1\/payment_intents\/search$/, "payment_intents", (f) => {
            const m = /^metadata\['(\w+)'\]:'(\w+)'$/.exec(f.query ?? "");
            if (!m) {
                throw new Refusal(400, "invalid_request_error", "We were unable to parse your search query.");
            }
            return { ...this.#list("/v1/payment_intents/search", (p) => p.metadata[m[1]] === m[2], f.limit), object: "search_result", next_page: null };
        }],
        ["GET", /^\/v1\/payment_intents\/(pi_\w+)$/, "payment_intents", (f, name) => {
            if (!this.payments.has(name)) {
                throw missing("payment_intent", name);
            }
            return this.#payment(this.payments.get(name));
        }],
        ["GET", /^\/v1\/payment_methods\/(\w+)$/, "payment_methods", (f, name) => {
            if (!this.methods.has(name)) {
                throw missing("PaymentMethod", name);
            }
            return this.#method(this.methods.get(name));
        }],
        ["GET", /^\/v1\/customers\/(\w+)\/payment_methods$/, "payment_methods", (f, name) => ({
            object: "list", url: `/v1/customers/${name}/payment_methods`, has_more: false,
            data: [...this.methods.values()].filter((m) => m.customer === name).map((m) => this.#method(m)) })],
        ["POST", /^\/v1\/refunds$/, "refunds", (f) => {
            const p = this.payments.get(f.payment_intent);
            if (!p) {
                throw missing("payment_intent", f.payment_intent);
            }
            this.emit("charge.refunded", { id: p.charge, object: "charge", amount: p.amount, amount_refunded: p.amount, created: p.created, currency: p.currency,
                customer: p.customer, metadata: p.metadata, paid: true, payment_intent: p.id, refunded: true, status: "succeeded",
                payment_method_details: { type: "card", card: { ...this.#card(p.method) } } });
            return { id: id("re"), object: "refund", amount: p.amount, charge: p.charge, created: now(), currency: p.currency, payment_intent: p.id, status: "succeeded" };
        }],
    ];

    #card(method) {
        const m = this.methods.get(method);
        return m ? this.#method(m).card : {};
    }

    #list(url, keep, limit = 10) {
        const all = [...this.payments.values()].filter(keep).reverse();
        return { object: "list", url, has_more: all.length > limit, data: all.slice(0, Number(limit)).map((p) => this.#payment(p)) };
    }

    #pay(f) {
        for (const param of ["amount", "currency"]) {
            if (!f[param]) {
                throw wanted(param);
            }
        }
        const m = this.methods.get(f.payment_method);
        if (!this.customers.has(f.customer)) {
            throw missing("customer", f.customer);
        }
        if (!m || m.customer !== f.customer) {
            throw new Refusal(400, "invalid_request_error", `No such PaymentMethod: '${f.payment_method}'`, { code: "resource_missing", param: "payment_method" });
        }
        const p = { id: id("pi"), amount: Number(f.amount), created: now(), currency: f.currency, customer: f.customer, metadata: f.metadata ?? {}, method: m.id,
            status: "succeeded", charge: id("ch") };
        this.payments.set(p.id, p);
        const why = CARDS[m.number];
        if (!why) {
            this.emit("payment_intent.succeeded", this.#payment(p));
            return this.#payment(p);
        }
        const bank = why === "authentication_required";
        p.status = "requires_payment_method";
        p.error = { code: bank ? why : "card_declined", ...(bank ? {} : { decline_code: why }), message: "Your card was declined.", type: "card_error" };
        this.emit("payment_intent.payment_failed", this.#payment(p));
        throw new Refusal(402, "card_error", "Your card was declined.", { code: p.error.code, decline_code: why, payment_intent: this.#payment(p) });
    }

    // A person types a card on the hosted page.
    async give(session, number, month = 11, year = 2031) {
        const s = this.sessions.get(session);
        s.status = "complete";
        const m = { id: id("pm"), customer: s.customer, created: now(), number: String(number), month, year };
        this.methods.set(m.id, m);
        await this.emit("setup_intent.succeeded", { id: s.setup_intent, object: "setup_intent", customer: s.customer, payment_method: m.id, status: "succeeded" });
        await this.emit("payment_method.attached", this.#method(m));
        await this.emit("checkout.session.completed", { ...s });
        return m;
    }

    // ---- HTTP

    #permit(req, what) {
        const [scheme, value] = (req.headers.authorization ?? "").split(" ");
        const key = scheme === "Basic" ? Buffer.from(value, "base64").toString().replace(/:$/, "") : scheme === "Bearer" ? value : "";
        if (!KEYS[key]) {
            throw new Refusal(401, "invalid_request_error", `Invalid API Key provided: ${key.slice(0, 3)}***`);
        }
        if (!KEYS[key].includes(what)) {
            throw new Refusal(403, "invalid_request_error", `The provided key '${key.slice(0, 8)}***' does not have the required permissions for this endpoint. ` +
                `Having the 'rak_${what}_read' permission would allow this request to continue.`);
        }
    }

    #answer(req, path, query, body) {
        const once = req.headers["idempotency-key"];
        const told = `${req.method} ${path} ${body}`;
        const before = once && req.method === "POST" ? this.saved.get(once) : undefined;
        if (before && before.told !== told) {
            return [400, { error: { type: "idempotency_error", message: "Keys for idempotent requests can only be used with the same parameters they were first used with." } }, {}];
        }
        if (before) {
            return [before.status, before.body, { "Idempotent-Replayed": "true" }];
        }
        let status = 200, out;
        try {
            const row = this.#routes.find(([method, pattern]) => method === req.method && pattern.test(path));
            if (!row) {
                throw new Refusal(404, "invalid_request_error", `Unrecognized request URL (${req.method}: ${path}).`);
            }
            this.#permit(req, row[2]);
            out = row[3](req.method === "GET" ? query : readForm(body), row[1].exec(path)[1]);
        } catch (error) {
            if (!(error instanceof Refusal)) {
                throw error;
            }
            [status, out] = [error.status, error.body];
        }
        // Saved once it has run; what was refused before it ran is not.
        if (once && req.method === "POST" && ![401, 403, 404].includes(status)) {
            this.saved.set(once, { told, status, body: out });
        }
        return [status, out, {}];
    }

    #fault(told) {
        const f = this.faults.find((x) => told.startsWith(x.match) && x.times > 0);
        if (f) {
            f.times--;
        }
        return f?.kind;
    }

    async #serve(req, res) {
        let body = "";
        for await (const piece of req) {
            body += piece;
        }
        const url = new URL(req.url, "http://double");
        if (url.pathname.startsWith("/_test/")) {
            return this.#test(url.pathname.slice(7), body ? JSON.parse(body) : {}, res);
        }
        if (url.pathname.startsWith("/pay/")) {
            return this.#page(req, url.pathname.slice(5), body, res);
        }
        const told = `${req.method} ${url.pathname}`;
        this.requests.push({ method: req.method, path: req.url, headers: req.headers, body });
        const fault = this.#fault(told);
        const send = (status, text, headers = {}) => {
            res.writeHead(status, { "Content-Type": "application/json", "Request-Id": id("req"), ...headers });
            res.end(text);
        };
        switch (fault) {
        case "cut": // nothing was done
            return req.socket.destroy();
        case "silence":
            return undefined;
        case "saved 500": // nothing was done, and the same key gives the same failure again
            this.saved.set(req.headers["idempotency-key"], { told: `${told} ${body}`, status: 500, body: { error: { type: "api_error", message: "An unknown error occurred" } } });
            return send(500, JSON.stringify({ error: { type: "api_error", message: "An unknown error occurred" } }));
        case "503":
        case "429":
            return send(Number(fault), JSON.stringify({ error: { type: fault === "429" ? "invalid_request_error" : "api_error", code: fault === "429" ? "rate_limit" : undefined, message: "later" } }));
        case "redirect":
            return send(302, "", { Location: "http://127.0.0.1:1/elsewhere" });
        case "huge":
            return send(200, `{"id":"${"x".repeat(3 << 20)}"}`);
        }
        const [status, out, headers] = this.#answer(req, url.pathname, Object.fromEntries(url.searchParams), body);
        if (fault === "cut after") { // it was done, and nobody heard
            return req.socket.destroy();
        }
        return send(status, fault === "garbage" ? "<html>502 Bad Gateway" : JSON.stringify(out), headers);
    }

    // The hosted page, as plain as can be.
    async #page(req, session, body, res) {
        const s = this.sessions.get(session);
        if (!s) {
            res.writeHead(404).end();
        } else if (req.method === "POST") {
            const form = new URLSearchParams(body);
            await this.give(session, form.get("number").replace(/ /g, ""));
            res.writeHead(303, { Location: s.success_url }).end();
        } else {
            res.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
            res.end(`<!DOCTYPE html><html lang="${s.locale}"><title>Double</title><main><h1>Double of the store</h1><form method="post"><label>Card <input name="number"></label>` +
                `<button>Save</button></form><a href="${s.cancel_url}">Back</a></main></html>`);
        }
    }

    async #test(word, x, res) {
        const deeds = {
            requests: () => this.requests,
            payments: () => [...this.payments.values()],
            state: () => ({ customers: [...this.customers.values()], methods: [...this.methods.keys()], sessions: [...this.sessions.values()] }),
            fault: () => this.faults.push(x),
            lag: () => { this.lag = x.lag; },
            give: () => this.give(x.session, x.number),
            events: () => this.events,
            send: () => this.send(x.event ?? this.events.at(-1)),
            emit: () => this.emit(x.type, x.object, x.more),
        };
        const out = deeds[word] ? await deeds[word]() : null;
        res.writeHead(deeds[word] ? 200 : 404, { "Content-Type": "application/json" });
        res.end(JSON.stringify(out ?? null));
    }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    await new Double(process.argv[3]).listen(Number(process.argv[2]));
    console.log("ready");
}
