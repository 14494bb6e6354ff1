// Debian's Chromium under Playwright, for the browser tests and for looking at pages.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

// `home` is a folder to take for the person's own: with certificates that they believe, for example.
export async function openBrowser({ args = [], home } = {}) {
    const env = home ? { ...process.env, HOME: home } : undefined;
    return chromium.launch({ executablePath: "/usr/bin/chromium", args: [...FLAGS, ...args], headless: true, env });
}

export function scratch(name) {
    return mkdtempSync(join(tmpdir(), `troth-${name}-`));
}
