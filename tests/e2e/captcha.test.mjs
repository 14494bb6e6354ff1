// Proves that whoever is asked whether they are a person can show it: by the widget, which computes in
// the browser and needs nobody else; by a question in words, without JavaScript; in both languages.
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { askAxe } from "./axe.mjs";
import { openBrowser } from "./browser.mjs";
import { Person } from "./person.mjs";
import { startPortal } from "./portal.mjs";
import { LANGUAGES } from "./words.mjs";

// One for each language: all their people come from one address, which is counted.
const portals = { en: await startPortal({ env: { TROTH_LIMITS: "on" } }), sv: await startPortal({ env: { TROTH_LIMITS: "on" } }) };
const browser = await openBrowser();

after(async () => {
    await browser.close();
    await Promise.all(Object.values(portals).map((p) => p.stop()));
});

// Wrong passwords until the captcha comes: at the eleventh.
async function provoke(who) {
    for (let i = 0; i < 14; i++) {
        await who.go("/sign-in");
        await who.field("field.email").fill(who.address);
        await who.field("field.password").fill(`wrong ${i}`);
        const response = await who.press("sign-in.submit");
        if (await who.page.locator("#captcha").count() === 1) {
            return response;
        }
        assert.equal(response.status(), 401);
    }
    throw new Error("nothing is asked");
}

// The page with the captcha open, in light and dark, wide and on a small telephone.
async function looks(page, language) {
    await page.locator("details").evaluate((d) => { d.open = true; });
    for (const [width, colorScheme] of [[1280, "light"], [1280, "dark"], [320, "light"]]) {
        await page.setViewportSize({ width, height: 800 });
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        if (process.env.SHOTS) {
            await page.screenshot({ path: `${process.env.SHOTS}/captcha-${language}-${colorScheme}-${width}.png`, fullPage: true });
        }
        assert.deepEqual(await askAxe(page, `${colorScheme}, ${width}`), []);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= width);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
}

// By the numbers' own words in that language.
function answerOf(question, say) {
    const words = Array.from({ length: 21 }, (_, n) => say.text(`captcha.n${n}`));
    const said = question.toLowerCase().match(/\p{L}+/gu).map((w) => words.indexOf(w)).filter((n) => n >= 0);
    const like = (key) => say.like(key).test(question);
    return like("captcha.sum") ? said[0] + said[1] : like("captcha.difference") ? said[0] - said[1]
        : like("captcha.largest") ? Math.max(...said) : said[0] + 1;
}

for (const language of LANGUAGES) {
    describe(`being asked, in ${language}`, () => {
        const portal = portals[language];
        const { test } = portal;

        test(`WPS-13 MYA-14 the widget computes, nothing of it comes from elsewhere, and the owner is in (${language})`, async () => {
            const owner = await (await Person.come(browser, portal, language, `owner.${language}@example.com`)).join();
            const elsewhere = await Person.come(browser, portal, language, owner.address);
            const strange = [];
            elsewhere.page.on("request", (r) => new URL(r.url()).origin === portal.url || strange.push(r.url()));
            elsewhere.page.on("console", (m) => ["error", "warning"].includes(m.type()) && !/40[13]|429/.test(m.text()) && strange.push(m.text()));
            await provoke(elsewhere);
            await elsewhere.page.getByText(elsewhere.say.text("captcha.needed")).or(elsewhere.page.locator("#captcha")).first().waitFor();
            await looks(elsewhere.page, language);
            await elsewhere.field("field.password").fill(owner.password);
            const response = await elsewhere.press("sign-in.submit"); // the right password alone does not do
            assert.equal(response.status(), 429);
            await elsewhere.page.getByRole("checkbox", { name: elsewhere.say.text("captcha.label") }).click();
            await elsewhere.page.getByText(elsewhere.say.text("captcha.done")).waitFor({ timeout: 60_000 });
            await elsewhere.field("field.password").fill(owner.password);
            await elsewhere.press("sign-in.submit");
            await elsewhere.sees("overview.title");
            assert.deepEqual(strange, []);
            // The owner's own browser is known, and is asked nothing.
            await owner.signOut();
            await owner.signIn();
            await owner.sees("overview.title");
            await Promise.all([owner.context.close(), elsewhere.context.close()]);
        });

        test(`WPS-13 without JavaScript a question in words does (${language})`, async () => {
            const owner = await (await Person.come(browser, portal, language, `plain.${language}@example.com`)).join();
            const plain = await Person.come(browser, portal, language, owner.address, { javaScriptEnabled: false });
            await provoke(plain);
            assert.equal(await plain.page.locator("altcha-widget").count(), 0);
            await plain.field("field.password").fill(owner.password);
            const answer = plain.page.locator("#captcha-answer");
            await answer.fill("1000");
            assert.equal((await plain.press("sign-in.submit")).status(), 429);
            assert.ok(await plain.page.getByText(plain.say.text("captcha.wrong")).isVisible());
            assert.equal(await answer.getAttribute("aria-invalid"), "true");
            const question = await plain.page.locator("label[for=captcha-answer]").innerText();
            await sleep(5200);
            await answer.fill(String(answerOf(question, plain.say)));
            await plain.field("field.password").fill(owner.password);
            await plain.press("sign-in.submit");
            await plain.sees("overview.title");
            await Promise.all([owner.context.close(), plain.context.close()]);
        });
    });
}
