// Writes tests/vectors/webauthn.json: registrations and sign-ins with passkeys, good ones and each kind of
// wrong one, with what @simplewebauthn/server says of them; and seeds for the fuzzer. The good ones come
// from webauthn-emulator; the wrong ones from a small authenticator here, which signs what it is told, so
// that one thing is wrong at a time. src/features/factors/test_factors.c holds ours against them.
//
//     node tests/e2e/webauthn-vectors.mjs
import { createHash, createSign, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import emulation from "webauthn-emulator";

const { default: WebAuthnEmulator, AuthenticatorEmulator } = emulation;
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const ORIGIN = "https://portal.example.com", RP = "portal.example.com";
const b64 = (bytes) => Buffer.from(bytes).toString("base64url");
const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

// ---- CBOR, as much of it as is needed ----

function head(major, n) {
    const m = major << 5;
    return n < 24 ? Buffer.from([m | n]) : n < 256 ? Buffer.from([m | 24, n]) : Buffer.from([m | 25, n >> 8, n & 255]);
}
const int = (n) => (n < 0 ? head(1, -1 - n) : head(0, n));
const bytes = (b) => Buffer.concat([head(2, b.length), b]);
const text = (s) => Buffer.concat([head(3, Buffer.byteLength(s)), Buffer.from(s)]);
const map = (...pairs) => Buffer.concat([head(5, pairs.length), ...pairs.flat()]);

// ---- a small authenticator ----

const PAIRS = {
    ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
    EdDSA: () => generateKeyPairSync("ed25519"),
    RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
};

function cose(alg, publicKey) {
    const jwk = publicKey.export({ format: "jwk" }), raw = (name) => bytes(Buffer.from(jwk[name], "base64url"));
    return {
        ES256: () => map([int(1), int(2)], [int(3), int(-7)], [int(-1), int(1)], [int(-2), raw("x")], [int(-3), raw("y")]),
        EdDSA: () => map([int(1), int(1)], [int(3), int(-8)], [int(-1), int(6)], [int(-2), raw("x")]),
        RS256: () => map([int(1), int(3)], [int(3), int(-257)], [int(-1), raw("n")], [int(-2), raw("e")]),
    }[alg]();
}

function signed(alg, privateKey, data) {
    return alg === "EdDSA" ? sign(null, data, privateKey) : createSign("sha256").update(data).sign(privateKey);
}

const clientData = (type, challenge, change = {}) =>
    Buffer.from(JSON.stringify({ type, challenge: b64(challenge), origin: ORIGIN, crossOrigin: false, ...change }));
const counted = (n) => Buffer.from([n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);
const authData = ({ rp = RP, flags = 0x05, counter = 1, rest = Buffer.alloc(0) }) =>
    Buffer.concat([sha256(rp), Buffer.from([flags]), counted(counter), rest]);
const attested = (id, key) => Buffer.concat([Buffer.alloc(16), Buffer.from([id.length >> 8, id.length & 255]), id, key]);
const attestation = (auth, fmt = "none", statement = map()) =>
    map([text("fmt"), text(fmt)], [text("attStmt"), statement], [text("authData"), bytes(auth)]);

// ---- what the other side says ----

async function judge(run) {
    try {
        return (await run()).verified;
    } catch {
        return false;
    }
}

const judgeCreate = (x, challenge) => judge(() => verifyRegistrationResponse({
    response: { id: x.credential, rawId: x.credential, type: "public-key", clientExtensionResults: {},
        response: { clientDataJSON: x.client_data, attestationObject: x.attestation } },
    expectedChallenge: b64(challenge), expectedOrigin: ORIGIN, expectedRPID: RP, requireUserVerification: false,
    supportedAlgorithmIDs: [-7, -8, -257],
}));

const judgeGet = (x, challenge, credential, publicKey, counter) => judge(() => verifyAuthenticationResponse({
    response: { id: credential, rawId: credential, type: "public-key", clientExtensionResults: {},
        response: { clientDataJSON: x.client_data, authenticatorData: x.auth_data, signature: x.signature } },
    expectedChallenge: b64(challenge), expectedOrigin: ORIGIN, expectedRPID: RP, requireUserVerification: x.verified,
    credential: { id: credential, publicKey, counter },
}));

const cases = [], quarrels = [];

// `ours` is what we say; where the other side is more lenient, `strict` says why we are not.
async function add(kind, alg, name, x, said, { ours = said, strict = "" } = {}) {
    if (said !== ours && !strict) {
        quarrels.push(`${alg} ${name}: @simplewebauthn/server says ${said}`);
    }
    cases.push({ kind, alg, name, accepted: ours, ...(strict ? { strict } : {}), ...x });
}

// ---- good ones, by the emulator ----

const IDS = { ES256: -7, EdDSA: -8, RS256: -257 };

for (const alg of Object.keys(PAIRS)) {
    const emulator = new WebAuthnEmulator(new AuthenticatorEmulator({ algorithmIdentifiers: [alg] }));
    const made = randomBytes(32), asked = randomBytes(32);
    const created = await emulator.createJSON(ORIGIN, {
        challenge: b64(made), rp: { id: RP, name: "Example" }, user: { id: b64(randomBytes(16)), name: "a", displayName: "a" },
        pubKeyCredParams: [{ type: "public-key", alg: IDS[alg] }], attestation: "none", authenticatorSelection: { residentKey: "required", requireResidentKey: true },
    });
    const x = { credential: created.id, challenge: b64(made), client_data: created.response.clientDataJSON, attestation: created.response.attestationObject };
    await add("create", alg, "emulator", x, await judgeCreate(x, made), { ours: true });
    const { registrationInfo } = await verifyRegistrationResponse({ response: created, expectedChallenge: b64(made), expectedOrigin: ORIGIN, expectedRPID: RP, supportedAlgorithmIDs: [-7, -8, -257] });
    const got = await emulator.getJSON(ORIGIN, { challenge: b64(asked), rpId: RP, allowCredentials: [{ type: "public-key", id: created.id }], userVerification: "required" });
    const y = { of: "emulator", challenge: b64(asked), verified: true, client_data: got.response.clientDataJSON, auth_data: got.response.authenticatorData, signature: got.response.signature };
    await add("get", alg, "emulator", y, await judgeGet(y, asked, created.id, registrationInfo.credential.publicKey, registrationInfo.credential.counter), { ours: true });
}

// ---- wrong ones, each in one thing ----

for (const alg of Object.keys(PAIRS)) {
    const { privateKey, publicKey } = PAIRS[alg](), key = cose(alg, publicKey), id = randomBytes(32);
    const challenge = randomBytes(32), other = randomBytes(32);
    const create = async (name, { client = clientData("webauthn.create", challenge), object, ...more } = {}, verdict) => {
        const x = { credential: b64(id), challenge: b64(challenge), client_data: b64(client), attestation: b64(object ?? attestation(authData({ flags: 0x45, counter: 0, rest: attested(id, key), ...more }))) };
        await add("create", alg, name, x, await judgeCreate(x, challenge), verdict);
    };
    const good = authData({ flags: 0x45, counter: 0, rest: attested(id, key) });
    await create("right");
    await create("type", { client: clientData("webauthn.get", challenge) });
    await create("challenge", { client: clientData("webauthn.create", other) });
    await create("origin", { client: clientData("webauthn.create", challenge, { origin: "https://portal.example.com.evil.example" }) });
    await create("cross origin", { client: clientData("webauthn.create", challenge, { crossOrigin: true }) }, { ours: false, strict: "a page within a page" });
    await create("rp", { rp: "evil.example" });
    await create("nobody there", { flags: 0x44 });
    await create("no key flag", { flags: 0x05 });
    await create("backed up and cannot be", { flags: 0x55 }, { ours: false, strict: "WebAuthn 3 §7.1" });
    await create("after the end", { rest: Buffer.concat([attested(id, key), Buffer.from([0])]) }, { ours: false, strict: "nothing comes after the end" });
    await create("no credential", { rest: attested(Buffer.alloc(0), key) }, { ours: false, strict: "an ID has a byte" });
    await create("credential too long", { rest: attested(Buffer.alloc(1024), key) }, { ours: false, strict: "WebAuthn §5.8.3: at most 1023" });
    await create("truncated", { object: attestation(good).subarray(0, -7) }, { ours: false, strict: "the other CBOR reader fills in what is missing" });
    await create("cut key", { rest: attested(id, key.subarray(0, -1)) }, { ours: false, strict: "the other CBOR reader fills in what is missing" });
    await create("indefinite map", { object: Buffer.concat([Buffer.from([0xbf]), attestation(good).subarray(1), Buffer.from([0xff])]) }, { ours: false, strict: "CTAP2 canonical CBOR" });
    await create("indefinite key", { rest: attested(id, Buffer.concat([Buffer.from([0xbf]), key.subarray(1), Buffer.from([0xff])])) }, { ours: false, strict: "CTAP2 canonical CBOR" });
    await create("oversized", { object: attestation(good, "none", map([text("x"), bytes(Buffer.alloc(5000))])) }, { ours: false, strict: "4 KiB are enough" });
    await create("statement with none", { object: attestation(good, "none", map([text("x"), int(1)])) });
    await create("unknown format", { object: attestation(good, "never-heard") });
    await create("a member missing", { object: map([text("fmt"), text("none")], [text("attStmt"), map()]) });
    const hash = sha256(clientData("webauthn.create", challenge)), self = signed(alg, privateKey, Buffer.concat([good, hash]));
    const statement = (signature, named = IDS[alg]) => map([text("alg"), int(named)], [text("sig"), bytes(signature)]);
    await create("packed by itself", { object: attestation(good, "packed", statement(self)) });
    await create("packed, another signature", { object: attestation(good, "packed", statement(Buffer.from(self).fill(1, 8, 12))) });
    await create("packed, another algorithm", { object: attestation(good, "packed", statement(self, -65535)) }, { ours: false, strict: "the statement names the key's algorithm" });
    if (alg === "ES256") {
        const off = Buffer.from(key);
        off[off.length - 1] ^= 1;
        await create("not on the curve", { rest: attested(id, off) }, { ours: false, strict: "a key that can verify nothing" });
    }

    const get = async (name, { client = clientData("webauthn.get", challenge), auth = {}, raw, by = privateKey, change, before = 0, verified = true } = {}, verdict) => {
        const data = raw ?? authData(auth), mark = signed(alg, by, Buffer.concat([data, sha256(client)]));
        const x = { of: "right", challenge: b64(challenge), verified, before, client_data: b64(client), auth_data: b64(data), signature: b64(change ? change(Buffer.from(mark)) : mark) };
        await add("get", alg, name, x, await judgeGet(x, challenge, b64(id), key, before), verdict);
    };
    await get("right");
    await get("present is enough", { auth: { flags: 0x01 }, verified: false });
    await get("counts nothing", { auth: { counter: 0 } });
    await get("type", { client: clientData("webauthn.create", challenge) });
    await get("challenge", { client: clientData("webauthn.get", other) });
    await get("origin", { client: clientData("webauthn.get", challenge, { origin: "http://portal.example.com" }) });
    await get("port", { client: clientData("webauthn.get", challenge, { origin: "https://portal.example.com:8443" }) });
    await get("cross origin", { client: clientData("webauthn.get", challenge, { crossOrigin: true }) }, { ours: false, strict: "a page within a page" });
    await get("no JSON", { client: Buffer.from("{") });
    await get("rp", { auth: { rp: "portal.example.co" } });
    await get("nobody there", { auth: { flags: 0x04 } });
    await get("not verified", { auth: { flags: 0x01 } });
    await get("backed up and cannot be", { auth: { flags: 0x15 } }, { ours: false, strict: "WebAuthn 3 §7.2" });
    await get("a key where none belongs", { auth: { flags: 0x45, rest: attested(id, key) } }, { ours: false, strict: "nothing to register here" });
    await get("after the end", { auth: { rest: Buffer.from([0xa0]) } }, { ours: false, strict: "nothing comes after the end" });
    await get("cut", { raw: authData({}).subarray(0, 36) });
    await get("counter as before", { auth: { counter: 7 }, before: 7 });
    await get("counter less", { auth: { counter: 6 }, before: 7 });
    await get("counter reset", { auth: { counter: 0 }, before: 7 });
    await get("another's key", { by: PAIRS[alg]().privateKey });
    await get("signature changed", { change: (s) => s.fill(s[20] ^ 1, 20, 21) });
    await get("signature cut", { change: (s) => s.subarray(0, -1) });
    await get("no signature", { change: () => Buffer.alloc(0) });
    await get("extensions", { auth: { flags: 0x85, rest: map([text("credProtect"), int(2)]) } });
}

if (quarrels.length > 0) {
    console.error(quarrels.join("\n"));
    process.exit(1);
}
mkdirSync(join(ROOT, "tests/vectors"), { recursive: true });
writeFileSync(join(ROOT, "tests/vectors/webauthn.json"), `${JSON.stringify({ origin: ORIGIN, rp_id: RP, cases }, null, 1)}\n`);

// The fuzzer's inputs: a byte for what is read, then its bytes.
const corpus = join(ROOT, "tests/fuzz/corpus/webauthn");
mkdirSync(corpus, { recursive: true });
for (const x of cases.filter((c) => c.name === "right" || c.name === "emulator" || /packed by|extensions|indefinite/.test(c.name))) {
    const raw = (name) => Buffer.from(x[name], "base64url"), file = (part) => join(corpus, `${x.alg}-${x.kind}-${x.name}-${part}`.replaceAll(" ", "-").toLowerCase());
    writeFileSync(file("client"), Buffer.concat([Buffer.from("c"), raw("client_data")]));
    writeFileSync(file("object"), x.kind === "create" ? Buffer.concat([Buffer.from("a"), raw("attestation")]) : Buffer.concat([Buffer.from("g"), raw("auth_data")]));
}
console.log(`${cases.length} cases, ${cases.filter((c) => c.accepted).length} accepted`);
