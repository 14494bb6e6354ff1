// How a page looks to axe, wide and light, small and dark, and whether anything runs off its side. With SHOTS=DIR, a
// picture of each, in more looks.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { askAxe } from "./axe.mjs";

const { SHOTS } = process.env;
const EXTRA = SHOTS ? [[1280, "dark"], [390, "light"], [390, "dark"]] : [];

// All of axe's rules once; those that the look can change once more. Colours know no language: English is asked.
function rules(width, colorScheme, language) {
    const colours = language === "en" ? [] : ["color-contrast"];
    if (width === 1280 && colorScheme === "light") {
        return { without: colours };
    }
    return { only: width === 320 ? ["target-size", ...(colours.length ? [] : ["color-contrast"])] : [] };
}

// `twin`: a browser that runs scripts, as axe is one, to look at the page of somebody whose browser does not.
export async function look(who, name, { twin } = {}) {
    const wrong = [];
    const context = twin ? await twin.newContext({ storageState: await who.context.storageState(), locale: who.language, reducedMotion: "reduce" }) : null;
    const page = context ? await context.newPage() : who.page;
    if (context) {
        await page.goto(who.page.url());
    }
    for (const [width, colorScheme] of [[1280, "light"], ...EXTRA, [320, "dark"]]) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        wrong.push(...await askAxe(page, `${width} ${colorScheme}`, rules(width, colorScheme, who.language)));
        if (await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)) {
            wrong.push(`${width}: runs off the side`);
        }
        if (SHOTS) {
            mkdirSync(SHOTS, { recursive: true });
            await page.screenshot({ path: join(SHOTS, `${name}-${who.language}-${width}-${colorScheme}.png`), fullPage: true });
        }
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: "light" });
    await context?.close();
    assert.deepEqual(wrong, [], name);
}

// A picture alone, of what quality.test.mjs looks at.
export const shoot = (...of) => (SHOTS ? look(...of) : null);
