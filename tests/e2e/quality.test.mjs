// Proves of every page, in both languages, in light and dark, wide and on a small telephone: people
// with any means can use it (axe-core), its HTML is valid (html-validate), nothing of it is refused by
// its own Content-Security-Policy, nothing comes from elsewhere, nothing runs off the side, and each
// has what all pages must have. And that the way in and out needs neither JavaScript nor a mouse.
// With SHOTS=DIR, a picture of each is left there.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { FileSystemConfigLoader, HtmlValidate } from "html-validate";
import { askAxe } from "./axe.mjs";
import { openBrowser } from "./browser.mjs";
import { Person } from "./person.mjs";
import { makePeople, places } from "./places.mjs";
import { startPortal, until } from "./portal.mjs";
import { LANGUAGES, words } from "./words.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const SHOTS = process.env.SHOTS;

// axe's rules that go by colour, or by where things stand, are asked in the look that they depend on; the others
// once. Colours know no language: one of the two is asked for them.
const LOOKS = {
    en: [
        { width: 1280, colorScheme: "light" },
        { width: 1280, colorScheme: "dark", only: ["color-contrast"] },
        { width: 320, colorScheme: "light", only: ["target-size", "scrollable-region-focusable"] },
    ],
    sv: [
        { width: 1280, colorScheme: "light", without: ["color-contrast"] },
        { width: 1280, colorScheme: "dark", only: [] },
        { width: 320, colorScheme: "light", only: ["target-size", "scrollable-region-focusable"] },
    ],
};

const validator = new HtmlValidate(new FileSystemConfigLoader());
const portal = await startPortal({ env: { TROTH_DEMO: "true" } });
const browser = await openBrowser();
const { test } = portal;

after(async () => {
    await browser.close();
    await portal.stop();
});

// ---- what is noted while a page is open ----

// Complaints of the browser, and requests to anywhere else. That a page's own answer is 4xx is known.
function watch(person) {
    const { page } = person;
    person.complaints = [];
    const complain = (text) => person.complaints.push(text);
    page.on("console", (message) => {
        const own = message.location().url === page.url() && /^Failed to load resource.* 4\d\d /.test(message.text());
        if (["error", "warning"].includes(message.type()) && !own) {
            complain(`console: ${message.text()}`);
        }
    });
    page.on("pageerror", (error) => complain(`script: ${error.message}`));
    page.on("requestfailed", (request) => {
        const { errorText } = request.failure();
        if (errorText !== "net::ERR_ABORTED") { // aborted: the browser went on to another page before it came
            complain(`failed: ${request.url()} ${errorText}`);
        }
    });
    page.on("request", (request) => {
        if (new URL(request.url()).origin !== portal.url) {
            complain(`elsewhere: ${request.url()}`);
        }
    });
    return page.addInitScript(() => {
        document.addEventListener("securitypolicyviolation", (e) =>
            console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
    });
}

// ---- what is asked of each page: each question gives what is wrong, in words ----

// Said of a page when it is not so.
const unless = (so, said) => (so ? [] : [said]);

async function askFrame(page, language) {
    const say = words(language);
    const languages = page.getByRole("navigation", { name: say.text("layout.language") });
    const current = languages.locator("[aria-current]");
    return [
        ...unless(await page.locator("html").getAttribute("lang") === language, "another language"),
        ...unless(await page.locator("h1").count() === 1, "not one h1"),
        ...unless(await page.locator("h1").first().isVisible(), "an h1 that is not seen"),
        ...unless(await page.locator("footer a[href='/privacy']").innerText() === say.text("layout.privacy"), "no link to the policy"),
        ...unless(await page.locator("header a[href='/'] svg").isVisible(), "no mark"),
        ...unless(await current.getAttribute("lang") === language && await current.isVisible(), "the language is not named"),
    ];
}

// What html-validate recommends, but for matters of taste: small letters in the doctype; integrity
// attributes on files of our own, which the name has the hash of; `for` on a label that also holds
// its field, which some speech control needs; blanks at a line's end, as in a mail's "-- ".
async function askHtml(response, name) {
    const report = await validator.validateString(await response.text(), join(HERE, `${name}.html`));
    return report.results.flatMap((r) => r.messages).map((m) => `HTML ${m.line}:${m.column} ${m.ruleId}: ${m.message}`);
}

async function askSkipLink(page) {
    const first = page.locator("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']").first();
    const wrong = [
        ...unless(await first.getAttribute("href") === "#main", "the skip link is not first"),
        ...unless(await page.locator("main#main").count() === 1, "the skip link leads nowhere"),
    ];
    if (await page.evaluate(() => document.activeElement !== document.body)) {
        return wrong; // the first wrong field has the focus: from there one goes on
    }
    await page.keyboard.press("Tab");
    const { href, top } = await page.evaluate(() => ({
        href: document.activeElement.getAttribute("href"),
        top: document.activeElement.getBoundingClientRect().top,
    }));
    wrong.push(...unless(href === "#main", "the first Tab does not go to the skip link"), ...unless(top >= 0, "the skip link is not seen"));
    await page.keyboard.press("Enter");
    const focused = await page.evaluate(() => document.activeElement.id);
    return [...wrong, ...unless(focused === "main", "the skip link does not move the focus")];
}

async function shoot(page, name) {
    if (SHOTS) {
        mkdirSync(SHOTS, { recursive: true });
        await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
    }
}

// Whose right side is outside, the innermost of them.
function widest(page, width) {
    return page.evaluate((limit) => [...document.querySelectorAll("body *")]
        .filter((x) => x.getBoundingClientRect().right > limit && ![...x.children].some((y) => y.getBoundingClientRect().right > limit))
        .map((x) => `<${x.localName} class="${x.className}"> ${x.innerText?.slice(0, 60)}`).join(", "), width);
}

async function askLooks(page, name, language) {
    const wrong = [];
    for (const { width, colorScheme, ...rules } of LOOKS[language]) {
        const look = `${colorScheme}, ${width}`;
        await page.setViewportSize({ width, height: 800 });
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await shoot(page, `${name}-${language}-${colorScheme}-${width}`);
        const needed = await page.evaluate(() => document.documentElement.scrollWidth);
        wrong.push(...unless(needed <= width, `${needed} wide at ${width}: ${await widest(page, width)}`), ...await askAxe(page, look, rules));
    }
    return wrong;
}

// All that can be opened is open: what is closed is part of it.
async function openAll(page, name, language) {
    await shoot(page, `${name}-${language}-light-1280-closed`);
    await page.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
}

async function askAll({ page, complaints }, name, [, status, , { opened = false } = {}], response, language) {
    const wrong = [
        ...unless(response.status() === status, `status ${response.status()}, not ${status}`),
        ...await askFrame(page, language),
        ...await askHtml(response, name),
    ];
    if (opened) {
        await openAll(page, name, language);
    }
    return [...wrong, ...await askLooks(page, name, language), ...await askSkipLink(page), ...complaints];
}

async function visit(people, name, place, language) {
    const [who, , how] = place;
    const person = people[who];
    person.complaints.length = 0;
    await person.page.setViewportSize({ width: 1280, height: 800 });
    const response = await how(person, people.links);
    const wrong = await askAll(person, name, place, response, language);
    assert.ok(wrong.length === 0, `\n${wrong.join("\n")}`);
}

// ---- cookies ----

// What is set is what the policy lists, for no longer than it says, and holds nothing readable.
async function askCookies(person) {
    const sessionOnly = person.say.text("policy.cookie-session");
    const rows = person.page.locator("table").last().locator("tbody tr");
    await person.go("/privacy/portal");
    const listed = new Map((await rows.allInnerTexts()).map((row) => [row.split(/\s/)[0], row]));
    const set = await person.context.cookies();
    assert.ok(set.length > 0, "there are some to look at");
    for (const cookie of set) {
        const row = listed.get(cookie.name);
        assert.ok(row, `the policy lists ${cookie.name}`);
        assert.match(cookie.value, /^[A-Za-z0-9]+$/);
        assert.equal(cookie.httpOnly, true);
        assert.equal(cookie.sameSite, "Lax");
        const days = cookie.expires < 0 ? 0 : (cookie.expires - Date.now() / 1000) / 86400;
        const [, n, unit] = /(\d+)\s(day|dag|dygn|year|år)/.exec(row) ?? [];
        const said = row.includes(sessionOnly) ? 0 : n * (/^(year|år)$/.test(unit) ? 366 : 1);
        assert.ok(days <= said, `${cookie.name} lasts ${days} days; the policy says: ${row}`);
    }
    const kept = await person.page.evaluate(async () =>
        [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length, (await caches.keys()).length]);
    assert.deepEqual(kept, [0, 0, 0, 0], "nothing else is kept in the browser");
    return set.map((c) => c.name).sort();
}

for (const language of LANGUAGES) {
    describe(`GEN-02 GEN-19 GEN-20 GEN-21 every page is whole, in ${language}`, () => {
        let people;

        before(async () => {
            people = await makePeople(browser, portal, language);
            await Promise.all(["visitor", "fresh", "settled", "member", "guarded", "stepping", "worker", "counter", "invited"].map((who) => watch(people[who])));
        });

        for (const [name, place] of Object.entries(places)) {
            test(`${name} (${language})`, () => visit(people, name, place, language));
        }

        test(`GEN-01 the policy names its day as people write it (${language})`, async () => {
            const { visitor } = people;
            await visitor.go("/privacy/my-account");
            const day = new Intl.DateTimeFormat(language === "en" ? "en-GB" : "sv-SE", { dateStyle: "long", timeZone: "UTC" });
            const said = [0, 1].map((ago) => visitor.say.text("policy.version",
                { version: "1", published: day.format(Date.now() - ago * 60_000) })); // midnight may have passed
            assert.ok(said.includes(await visitor.page.locator("main .lead").innerText()), said[0]);
        });

        test(`COO-02 COO-03 COO-07 COO-12 COO-15 the cookies that are set are those that the policy lists (${language})`, async () => {
            await people.fresh.go(`/language?to=${language}`);
            assert.deepEqual(await askCookies(people.fresh), ["form", "known", "language", "session"]);
        });
    });

    describe(`the way in and out, in ${language}`, () => {
        test(`MYA-03 MYA-14 RGT-10 RGT-06 MYA-20 without JavaScript (${language})`, () => withoutScript(language));
        test(`MYA-03 MYA-14 MYA-20 by keyboard alone, the focus always to be seen (${language})`, () => byKeyboard(language));
    });
}

// ---- without JavaScript ----

async function withoutScript(language) {
    const me = await Person.come(browser, portal, language, `plain.${language}@example.com`, { javaScriptEnabled: false });
    await me.join();
    await me.go("/account/settings");
    assert.equal(await me.page.getByRole("button", { name: me.say.text("form.show-password") }).count(), 0, "no script runs");
    await me.page.getByLabel(me.say.text("field.zone")).selectOption("Europe/Oslo");
    await me.press("settings.save");
    await me.isTold("done.saved");
    await me.go("/account/privacy");
    await me.card("own.held").locator("summary").first().click();
    assert.ok(await me.page.getByRole("cell", { name: me.address }).first().isVisible());
    await me.press("own.give");
    await me.press("own.withdraw");
    await me.isTold("done.consent-withdrawn");
    await me.press("own.takeout-submit");
    await until(async () => {
        await me.go("/account/privacy");
        return me.link("own.download").isVisible();
    }, "the copy");
    const [download] = await Promise.all([me.page.waitForEvent("download"), me.link("own.download").click()]);
    assert.equal(readFileSync(await download.path()).subarray(0, 2).toString(), "PK");
    await me.go("/account/close");
    await me.press("close.submit");
    await me.isRefused(me.field("close.sure"), "form.tick");
    await me.field("close.choice-now").check();
    await me.field("close.sure").check();
    await me.press("close.submit");
    await me.isTold("done.closed");
    await me.context.close();
}

// ---- by keyboard ----

// Goes on with Tab until that has the focus, and looks that the focus can be seen wherever it comes.
async function tabTo(page, name) {
    for (let i = 0; i < 80; i++) {
        await page.keyboard.press("Tab");
        const { said, outline } = await page.evaluate(() => {
            const x = document.activeElement, style = getComputedStyle(x);
            return {
                said: (x.labels?.[0]?.querySelector("span:not(.optional)") ?? x.labels?.[0] ?? x).innerText?.trim(),
                outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
            };
        });
        assert.ok(outline >= 2, `the focus on "${said}" is not seen`);
        if (said === name) {
            return;
        }
    }
    throw new Error(`no Tab leads to "${name}"`);
}

async function byKeyboard(language) {
    const me = await Person.come(browser, portal, language, `keys.${language}@example.com`);
    const { page, say } = me;
    const to = (key) => tabTo(page, say.text(key));
    const type = (text) => page.keyboard.type(text);
    const key = (name) => page.keyboard.press(name);
    const go = (name) => Promise.all([page.waitForNavigation(), key(name)]);

    await me.go("/");
    await to("layout.sign-up");
    await go("Enter");
    await to("field.email");
    await type(me.address);
    await to("field.password");
    await type(me.password);
    await to("consent.product-news.1");
    await key("Space");
    assert.ok(await me.field("consent.product-news.1").isChecked());
    await key("Space");
    await to("sign-up.submit");
    await go("Enter");
    await me.sees("sign-up.sent-title");

    await me.go((await me.mail("mail.confirm.subject")).link);
    await to("verify.submit");
    await go("Space");
    await me.isTold("done.confirmed");

    await to("field.email");
    await type(me.address);
    await to("field.password");
    await type("not the password");
    await go("Enter");
    await me.isRefused(me.field("field.password"), "sign-in.wrong");
    assert.equal(await page.evaluate(() => document.activeElement.name), "password", "the wrong field has the focus");
    await type(me.password);
    await to("form.show-password");
    await key("Space");
    assert.equal(await me.field("field.password").inputValue(), me.password);
    assert.equal(await me.field("field.password").getAttribute("type"), "text", "the password is shown");
    await go("Enter"); // the focus is in the field again
    await me.sees("overview.title");

    await to("menu.settings");
    await go("Enter");
    await to("settings.close-link");
    await go("Enter");
    await to("close.choice-window");
    await key("ArrowDown");
    assert.ok(await me.field("close.choice-now").isChecked());
    await to("close.sure");
    await key("Space");
    await to("close.submit");
    await go("Enter");
    await me.isTold("done.closed");
    await me.context.close();
}
