// An app that makes codes (RFC 6238), as people have one on their telephone.
import { createHmac } from "node:crypto";

const STEP_MS = 30_000;

function base32(text) {
    const bits = [...text].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0")).join("");
    return Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
}

// The code of this moment, or of some steps from it. The portal takes each once.
export function appCode(secret, step = 0) {
    // The oldest that is taken is that of the step before: near a step's end it would be too old when it arrives.
    const left = STEP_MS - Date.now() % STEP_MS;
    if (step < 0 && left < 3_000)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, left);
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / STEP_MS) + step));
    const mac = createHmac("sha1", base32(secret)).update(counter).digest(), at = mac.at(-1) & 15;
    return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}
