// Makes tests/vectors/store.json: signatures by others' programs, and their verdicts. Run it by hand:
//     node tests/store/vectors.mjs >tests/vectors/store.json
//
// Stripe's events are signed and judged by the official stripe package; Google Play's data is signed by openssl; the
// App Store's transactions by keys under a chain that openssl issues, with Apple's marks.
import { execFileSync } from "node:child_process";
import { createPrivateKey, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(new URL("../e2e/package.json", import.meta.url));
const Stripe = require("stripe");
const stripe = new (Stripe.default ?? Stripe)("sk_test_none");
const dir = mkdtempSync(join(tmpdir(), "store-vectors-"));
const openssl = (...words) => execFileSync("openssl", words, { cwd: dir, stdio: ["ignore", "pipe", "pipe"] });
const file = (name, text) => writeFileSync(join(dir, name), text);
const read = (name) => readFileSync(join(dir, name));
const NOW = 1_800_000_000; // seconds

// ---- Stripe

const secret = "whsec_3f1aYbQ6fWn0e8LxqvC2", other = "whsec_another9Secret4Of7ours";
const body = JSON.stringify({
    id: "evt_1PgVectors0001", object: "event", api_version: "2024-06-20", created: NOW - 2, type: "payment_method.attached",
    data: { object: {
        id: "pm_1PgCard0001", object: "payment_method", type: "card", customer: "cus_Vector0001", created: NOW - 3, livemode: false,
        billing_details: { address: { city: "Lund", country: "SE" }, email: "canary@example.com", name: "Canary Name", phone: null },
        card: { brand: "visa", checks: { cvc_check: "pass" }, country: "SE", exp_month: 3, exp_year: 2031, fingerprint: "CanaryFinger", funding: "credit", last4: "4242", iin: "424242" },
    } },
});
const header = (t, key = secret, payload = body, scheme = "v1") => stripe.webhooks.generateTestHeaderString({ payload, secret: key, timestamp: t, scheme });
const v1 = (h) => /v1=([0-9a-f]+)/.exec(h)[1];
const events = [
    ["good", header(NOW), body],
    ["at the edge of the tolerance", header(NOW - 300), body],
    ["past the tolerance", header(NOW - 301), body],
    ["another secret", header(NOW, other), body],
    ["the body differs in one byte", header(NOW), body.replace("4242", "4243")],
    ["a blank more at the end", header(NOW), `${body} `],
    ["the moment is another", header(NOW - 5).replace(String(NOW - 5), String(NOW)), body],
    ["two signatures, the second is right", `t=${NOW},v1=${v1(header(NOW, other))},v1=${v1(header(NOW))}`, body],
    ["only a scheme of the past", header(NOW).replace("v1=", "v0="), body],
    ["a scheme of the past beside it", `${header(NOW)},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39`, body],
    ["no moment", `v1=${v1(header(NOW))}`, body],
    ["no signature", `t=${NOW}`, body],
    ["nothing", "", body],
    ["a signature cut short", header(NOW).slice(0, -2), body],
    ["capitals", header(NOW).toUpperCase().replace("T=", "t=").replace("V1=", "v1="), body],
].map(([name, h, text]) => {
    let right = true;
    try {
        stripe.webhooks.constructEvent(text, h, secret, 300, undefined, NOW * 1000);
    } catch {
        right = false;
    }
    return { name, header: h, body: text, right };
});

// ---- Google Play

for (const name of ["play", "other"]) {
    openssl("genrsa", "-out", `${name}.pem`, "2048");
    openssl("rsa", "-in", `${name}.pem`, "-pubout", "-outform", "DER", "-out", `${name}.der`);
}
const data = (more = {}) => JSON.stringify({
    orderId: "GPA.3345-1111-2222-33333", packageName: "com.example.totalsecurity", productId: "total_security_1y",
    purchaseTime: (NOW - 3600) * 1000 + 123, purchaseState: 0, purchaseToken: "opaque-token-up-to-1000-characters", quantity: 1, acknowledged: false,
    obfuscatedAccountId: "dropped", ...more,
});
const playSign = (text, digest = "-sha1", key = "play") => {
    file("data", text);
    return `${Buffer.from(text).toString("base64")}.${openssl("dgst", digest, "-sign", `${key}.pem`, "data").toString("base64")}`;
};
const swap = (signed, text) => `${Buffer.from(text).toString("base64")}.${signed.split(".")[1]}`;
const play = [
    { name: "good, SHA-1", text: playSign(data()), right: true, state: "purchased" },
    { name: "good, SHA-256", text: playSign(data(), "-sha256"), right: true, state: "purchased" },
    { name: "refunded", text: playSign(data({ purchaseState: 2 })), right: true, state: "refunded" },
    { name: "cancelled", text: playSign(data({ purchaseState: 1 })), right: true, state: "refunded" },
    { name: "pending", text: playSign(data({ purchaseState: 4 })), right: true, state: "pending" },
    { name: "another's key", text: playSign(data(), "-sha1", "other"), right: false },
    { name: "signed, then changed", text: swap(playSign(data()), data({ productId: "total_security_family_1y" })), right: false },
    { name: "signed, then written anew with blanks", text: swap(playSign(data()), JSON.stringify(JSON.parse(data()), null, 1)), right: false },
    { name: "another package", text: playSign(data({ packageName: "com.example.other" })), right: false },
    { name: "no order", text: playSign(data({ orderId: undefined })), right: false },
    { name: "no signature", text: `${playSign(data()).split(".")[0]}.`, right: false },
    { name: "MD5", text: playSign(data(), "-md5"), right: false },
];

// ---- App Store

const LEAF = "1.2.840.113635.100.6.11.1", INTERMEDIATE = "1.2.840.113635.100.6.2.1";
function issue(name, issuer, extensions, days = 7000) {
    openssl("ecparam", "-name", name.startsWith("p384") ? "secp384r1" : "prime256v1", "-genkey", "-noout", "-out", `${name}.pem`);
    openssl("req", "-new", "-key", `${name}.pem`, "-subj", `/CN=Test ${name}`, "-out", `${name}.csr`);
    file(`${name}.ext`, extensions.join("\n"));
    const by = issuer ? ["-CA", `${issuer}.crt`, "-CAkey", `${issuer}.pem`, "-CAcreateserial"] : ["-signkey", `${name}.pem`];
    openssl("x509", "-req", "-in", `${name}.csr`, ...by, "-days", String(days), "-sha256", "-extfile", `${name}.ext`, "-out", `${name}.crt`);
}
const CA = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"], END = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"];
const mark = (oid) => `${oid}=ASN1:NULL`;
issue("root", null, CA);
issue("middle", "root", [...CA, mark(INTERMEDIATE)]);
issue("leaf", "middle", [...END, mark(LEAF)]);
issue("plainleaf", "middle", END);
issue("plainmiddle", "root", CA);
issue("leafofplain", "plainmiddle", [...END, mark(LEAF)]);
issue("root2", null, CA);
issue("middle2", "root2", [...CA, mark(INTERMEDIATE)]);
issue("leaf2", "middle2", [...END, mark(LEAF)]);
issue("notca", "root", [...END, mark(INTERMEDIATE)]);
issue("leafofnotca", "notca", [...END, mark(LEAF)]);
issue("p384leaf", "middle", [...END, mark(LEAF)]);
issue("shortleaf", "middle", [...END, mark(LEAF)], 1);
const der = (name) => openssl("x509", "-in", `${name}.crt`, "-outform", "DER").toString("base64");
const b64url = (x) => Buffer.from(x).toString("base64url");
// The certificates begin now; so signing is tomorrow, and the check a day later.
const SIGNED = Math.floor(Date.now() / 1000) + 86_400 / 2;
const transaction = (more = {}) => ({
    transactionId: "2000000123456789", originalTransactionId: "2000000123456700", bundleId: "com.example.totalsecurity", productId: "total_security_1y",
    purchaseDate: (SIGNED - 600) * 1000, quantity: 1, type: "Non-Renewing Subscription", inAppOwnershipType: "PURCHASED", signedDate: SIGNED * 1000,
    environment: "Production", storefront: "SWE", price: 499000, currency: "SEK", ...more,
});
function jws(payload, { chain = ["leaf", "middle", "root"], key = chain[0], alg = "ES256", tamper } = {}) {
    const head = b64url(JSON.stringify({ alg, x5c: chain.map(der) }));
    const text = b64url(JSON.stringify(payload));
    const signature = sign("sha256", Buffer.from(`${head}.${text}`), { key: createPrivateKey(read(`${key}.pem`)), dsaEncoding: "ieee-p1363" });
    return `${head}.${tamper ? b64url(JSON.stringify(tamper)) : text}.${signature.toString("base64url")}`;
}
const late = SIGNED + 5 * 86_400;
const apple = [
    { name: "good", text: jws(transaction()), right: true, state: "purchased" },
    { name: "refunded", text: jws(transaction({ revocationDate: SIGNED * 1000 - 5000, revocationReason: 0 })), right: true, state: "refunded" },
    { name: "signed, then changed", text: jws(transaction(), { tamper: transaction({ productId: "total_security_family_1y" }) }), right: false },
    { name: "another root", text: jws(transaction(), { chain: ["leaf2", "middle2", "root2"] }), right: false },
    { name: "another root, ours shown", text: jws(transaction(), { chain: ["leaf2", "middle2", "root"] }), right: false },
    { name: "a leaf without Apple's mark", text: jws(transaction(), { chain: ["plainleaf", "middle", "root"] }), right: false },
    { name: "an authority without Apple's mark", text: jws(transaction(), { chain: ["leafofplain", "plainmiddle", "root"] }), right: false },
    { name: "issued by what is no authority", text: jws(transaction(), { chain: ["leafofnotca", "notca", "root"] }), right: false },
    { name: "two certificates", text: jws(transaction(), { chain: ["leaf", "middle"] }), right: false },
    { name: "four certificates", text: jws(transaction(), { chain: ["leaf", "middle", "root", "root"] }), right: false },
    { name: "another curve", text: jws(transaction(), { chain: ["p384leaf", "middle", "root"] }), right: false },
    { name: "another algorithm is named", text: jws(transaction(), { alg: "none" }), right: false },
    { name: "Xcode's own", text: jws(transaction({ environment: "Xcode" })), right: false },
    { name: "the sandbox", text: jws(transaction({ environment: "Sandbox" })), right: false },
    { name: "another app", text: jws(transaction({ bundleId: "com.example.other" })), right: false },
    { name: "signed in the future", text: jws(transaction({ signedDate: (late + 3600) * 1000 })), right: false },
    { name: "a leaf that had ended when it was signed", text: jws(transaction({ signedDate: (SIGNED + 3 * 86_400) * 1000 }), { chain: ["shortleaf", "middle", "root"] }), right: false },
    { name: "a leaf that has ended since", text: jws(transaction(), { chain: ["shortleaf", "middle", "root"] }), right: true, state: "purchased" },
];
process.stdout.write(`${JSON.stringify({
    note: "Made by tests/store/vectors.mjs.",
    stripe: { version: stripe.VERSION ?? Stripe.PACKAGE_VERSION ?? "", secret, other, now: NOW, events },
    play: { package: "com.example.totalsecurity", key: read("play.der").toString("base64"), now: NOW, cases: play },
    apple: { bundle: "com.example.totalsecurity", root: der("root"), now: late, cases: apple },
}, null, 1)}\n`);
rmSync(dir, { recursive: true, force: true });
