// Can people with any means use the page? Asked of axe-core.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// All rules that axe has not withdrawn, save one: contrast of 7:1 (level AAA) leaves no second tone.
const RULES = { "target-size": { enabled: true }, "identical-links-same-purpose": { enabled: true } };

// Through the debugger, which the page's policy does not bind; the policy stays on for the page itself.
// `only`: the rules that the look can change, none at all where it is empty; all but `without` otherwise.
export async function askAxe(page, look, { only, without = [] } = {}) {
    if (only?.length === 0) {
        return [];
    }
    if (!await page.evaluate(() => window.axe !== undefined)) {
        const session = await page.context().newCDPSession(page);
        await session.send("Runtime.evaluate", { expression: `(() => {${AXE}})()` });
        await session.detach();
    }
    const asked = only ? { runOnly: only } : { rules: { ...RULES, ...Object.fromEntries(without.map((r) => [r, { enabled: false }])) } };
    const { violations, passes } = await page.evaluate((rules) => window.axe.run(document, { ...rules, resultTypes: ["violations"] }), asked);
    const found = violations.flatMap((v) => v.nodes.map((n) => `axe (${look}) ${v.id}: ${v.help}: ${n.target.join(" ")}: ${n.failureSummary}`));
    return passes.length > (only ? 0 : 10) ? found : ["axe did not run", ...found];
}
