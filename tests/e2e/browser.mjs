// Debian's Chromium under Playwright, for the browser tests and for looking at pages.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

export async function openBrowser() {
    return chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS, headless: true });
}

export function scratch(name) {
    return mkdtempSync(join(tmpdir(), `troth-${name}-`));
}
