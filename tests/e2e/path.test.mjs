// Proves that a person can walk the whole way, in English and in Swedish: sign up, confirm, sign in,
// look, change, take along, pause, object, forget the password, close, come back, and be forgotten.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openBrowser } from "./browser.mjs";
import { firstStatus, Person, press } from "./person.mjs";
import { startPortal, until } from "./portal.mjs";
import { LANGUAGES, untranslated, words } from "./words.mjs";

const FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const ERASED_WITHIN_MS = 15_000;

const portal = await startPortal();
const browser = await openBrowser();
const { test } = portal;

after(async () => {
    await browser.close();
    await portal.stop();
});

function unzip(zip, into) {
    execFileSync("unzip", ["-q", "-d", into, zip]);
    return (name) => readFileSync(join(into, name), "utf8");
}

test("GEN-21 every text stands in both languages, and in its own words", () => {
    assert.deepEqual(untranslated(), []);
});

for (const language of LANGUAGES) {
    describe(`a person's whole way, in ${language}`, () => wholeWay(language));
}

function wholeWay(language) {
    const say = words(language);
    const other = language === "en" ? "sv" : "en";
    let me, elsewhere, visitor; // a person, the same on a second device, and nobody in particular
    let confirmLink;

    test("GEN-19 GEN-21 a visitor comes to pages in the language of their browser, and can switch", async () => {
        me = await Person.come(browser, portal, language, `kim.${language}@example.com`);
        elsewhere = await Person.come(browser, portal, language, me.address, { userAgent: FIREFOX });
        visitor = await Person.come(browser, portal, language, "nobody@example.com");
        await visitor.go("/");
        await visitor.sees("home.headline");
        const switcher = visitor.page.getByRole("navigation", { name: say.text("layout.language") });
        assert.equal(await switcher.locator("[aria-current]").getAttribute("lang"), language);
        await press(visitor.page, switcher.locator(`a[lang=${other}]`));
        assert.equal(await visitor.page.locator("html").getAttribute("lang"), other);
        assert.equal(await visitor.page.locator("h1").innerText(), words(other).text("home.headline"));
        await visitor.context.clearCookies();
    });

    test("MYA-03 MYA-07 CNS-01 GEN-24 signing up takes an address and a password; news is not ticked", async () => {
        await me.go("/");
        await me.follow("home.sign-up");
        await me.sees("sign-up.title");
        const asked = me.page.locator("main input:not([type=hidden])");
        assert.deepEqual(await asked.evaluateAll((all) => all.map((i) => [i.name, i.required])),
            [["email", true], ["password", true], ["news", false]]);
        assert.equal(await me.field("consent.product-news.1").isChecked(), false);
        assert.ok(await me.page.getByText(say.text("sign-up.needed")).isVisible());
        await me.signUp();
        assert.ok(await me.page.getByText(say.text("sign-up.sent-lead")).isVisible());
        assert.equal(me.path(), "/sign-up/sent");
    });

    test("MYA-04 an address that is not confirmed opens nothing", async () => {
        await until(() => portal.mails().some((m) => m.to === me.address), "the account to be there");
        assert.equal(await firstStatus(await me.signIn()), 401); // as for an address that somebody else has
        await me.isRefused(me.field("field.password"), "sign-in.wrong");
        await me.go("/account");
        assert.equal(me.path(), "/sign-in");
    });

    test("MYA-04 NTF-05 the mailed link, opened, asks for a press; the press confirms, once", async () => {
        const mail = await me.mail("mail.confirm.subject");
        confirmLink = mail.link;
        assert.equal(mail.language, language);
        assert.match(mail.text, say.like("mail.confirm.p1"));
        await me.go(confirmLink);
        await me.sees("verify.title");
        await visitor.go(confirmLink); // as a mail scanner does
        await me.press("verify.submit");
        await me.isTold("done.confirmed");
        assert.equal((await me.go(confirmLink)).status(), 410);
        await me.sees("link.title");
    });

    test("MYA-14 MYA-01 signing in leads to the overview", async () => {
        await me.signIn();
        await me.sees("overview.title");
        const main = me.page.locator("main");
        assert.ok(await main.getByText(me.address).isVisible());
        assert.ok(await main.getByText(say.text("overview.sessions", { count: 1 })).isVisible());
        assert.ok(await main.getByText(say.text("overview.news-no")).isVisible());
        const menu = me.page.getByRole("navigation", { name: say.text("layout.account-menu") });
        assert.deepEqual(await menu.getByRole("link").allInnerTexts(),
            ["overview", "devices", "licenses", "purchases", "anti-theft", "services", "settings", "security", "privacy"].map((m) => say.text(`menu.${m}`)));
    });

    test("MYA-07 who did not ask for news has got none", () => {
        const got = portal.mails().filter((m) => m.to === me.address).map((m) => m.subject);
        assert.deepEqual(got, [say.text("mail.confirm.subject")]);
    });

    test("MYA-19 MYA-17 language, time zone and country can be changed and changed back", async () => {
        await me.go("/account/settings");
        await me.sees("settings.title");
        await me.field("field.language").selectOption(other);
        await me.press("settings.save");
        assert.equal(await me.page.locator("h1").innerText(), words(other).text("settings.title"));
        assert.equal(await me.page.locator("html").getAttribute("lang"), other);
        await me.page.locator("#preferences-language").selectOption(language);
        await press(me.page, me.page.getByRole("button", { name: words(other).text("settings.save"), exact: true }));
        await me.sees("settings.title");
        await me.isTold("done.saved");

        const labelled = (key) => me.page.getByLabel(say.text(key)); // with "optional" behind it
        await labelled("field.zone").selectOption("Asia/Tokyo");
        await labelled("field.country").selectOption("JP");
        await me.press("settings.save");
        assert.equal(await labelled("field.zone").inputValue(), "Asia/Tokyo");
        assert.equal(await labelled("field.country").inputValue(), "JP");
        const hour = new Date().toLocaleTimeString("sv-SE", { timeZone: "Asia/Tokyo", hour: "2-digit" });
        await me.go("/account/security");
        const seen = await me.page.getByText(say.like("security.seen")).innerText();
        const shown = /(\d\d):\d\d/.exec(seen)[1];
        assert.ok([hour, String((Number(hour) + 23) % 24).padStart(2, "0")].includes(shown), `${seen}: not Tokyo's ${hour}`);
    });

    test("MYA-17 NTF-05 a new address must be confirmed at both, and then signs in", async () => {
        const fresh = `kim.new.${language}@example.com`, old = me.address;
        await me.go("/account/settings");
        const card = me.card("settings.address");
        await me.field("field.new-email", card).fill(fresh);
        await me.field("field.password", card).fill(me.password);
        await me.press("settings.address-submit", card);
        await me.isTold("done.address-asked");
        assert.ok(await me.page.getByText(say.text("settings.old-waits")).isVisible());
        assert.ok(await me.page.getByText(say.text("settings.new-waits")).isVisible());

        const toNew = await me.mail("mail.change-new.subject", fresh);
        await visitor.go(toNew.link); // where that mailbox is read, nobody need be signed in
        await visitor.sees("agree.title");
        await visitor.press("agree.submit");
        await visitor.sees("agree.waits");
        await me.go("/account/settings");
        assert.ok(await me.page.getByText(say.text("settings.new-agreed")).isVisible());
        assert.ok(await card.getByText(old, { exact: true }).isVisible());

        const toOld = await me.mail("mail.change-old.subject", old);
        assert.notEqual(toOld.link, toNew.link);
        await visitor.go(toOld.link);
        await visitor.press("agree.submit");
        await visitor.sees("agree.changed");
        await me.go("/account/settings");
        assert.ok(await card.getByText(fresh, { exact: true }).isVisible());
        assert.equal(await firstStatus(await elsewhere.signIn({ address: old })), 401);
        me.address = elsewhere.address = fresh;
        await elsewhere.signIn();
        await elsewhere.sees("overview.title");
    });

    test("MYA-14 both devices are listed, and one ends the other", async () => {
        await me.go("/account/security");
        const rows = me.card("security.sessions").getByRole("listitem");
        assert.equal(await rows.count(), 2);
        const mine = rows.filter({ hasText: say.text("security.this-one") });
        assert.equal(await mine.count(), 1);
        const theirs = rows.filter({ hasText: "Firefox" });
        assert.ok(await theirs.getByText("Windows").isVisible());
        await me.press("security.end", theirs);
        await me.isTold("done.session-ended");
        assert.equal(await rows.count(), 1);
        await elsewhere.go("/account");
        assert.equal(elsewhere.path(), "/sign-in");
    });

    test("MYA-18 MYA-14 changing the password needs the current one, and ends the other device", async () => {
        await elsewhere.signIn();
        await elsewhere.sees("overview.title");
        await me.go("/account/security");
        const card = me.card("security.password");
        const fresh = "seven quiet herons wade";
        await me.field("field.current-password", card).fill("not my password at all");
        await me.field("field.new-password", card).fill(fresh);
        assert.equal(await firstStatus(await me.press("security.password-submit", card)), 403);
        await me.isRefused(me.field("field.current-password", card), "password.wrong");
        assert.equal((await elsewhere.go("/account")).status(), 200);
        assert.equal(elsewhere.path(), "/account");

        await me.field("field.current-password", card).fill(me.password);
        await me.field("field.new-password", card).fill(fresh);
        await me.press("security.password-submit", card);
        await me.isTold("done.password-changed");
        await elsewhere.go("/account");
        assert.equal(elsewhere.path(), "/sign-in");
        assert.equal(await firstStatus(await elsewhere.signIn()), 401);
        me.password = elsewhere.password = fresh;
        await me.mail("mail.password-changed.subject");
        await me.go("/account");
        await me.sees("overview.title");
    });

    test("MYA-16 RGT-02 all that is held opens up on one page, the address with it", async () => {
        await me.go("/account/privacy");
        await me.sees("own.title");
        const account = me.card("own.held").locator("details").filter({ hasText: say.text("record.account") }).first();
        const address = account.getByRole("cell", { name: me.address });
        assert.equal(await address.isVisible(), false);
        await account.locator("summary").click();
        assert.ok(await address.isVisible());
        for (const about of ["own.why", "own.basis", "own.until", "own.recipients"]) {
            assert.ok(await account.getByText(say.text(about), { exact: true }).isVisible(), about);
        }
        assert.ok(await account.getByText(say.text("field.account.password")).isVisible());
        assert.ok(await account.getByText(say.text("takeout.secret")).isVisible());
    });

    test("CNS-01 CNS-03 RGT-10 MYA-07 news is given and taken back with one press each, and the history says so", async () => {
        const card = me.card("own.choices");
        const tag = (key) => card.locator(".tag", { hasText: say.text(key) });
        await me.go("/account/privacy");
        assert.ok(await tag("own.not-given").isVisible());
        await me.press("own.give", card);
        await me.isTold("done.consent-given");
        assert.ok(await tag("own.given").isVisible());
        const news = await me.mail("mail.news-welcome.subject");
        assert.equal(news.language, language);

        await me.press("own.withdraw", card);
        await me.isTold("done.consent-withdrawn");
        assert.ok(await tag("own.not-given").isVisible());
        await card.locator("summary", { hasText: say.text("own.history") }).click();
        const history = card.getByRole("listitem");
        assert.match((await history.allInnerTexts()).find((t) => say.like("own.history-given").test(t)) ?? "",
            say.like("own.history-given", { way: say.text("way.privacy-page"), version: "1" }));
        assert.ok(await card.getByText(say.like("own.history-withdrawn", { way: say.text("way.privacy-page") })).isVisible());
    });

    test("CNS-02 GEN-21 each choice has a receipt, with the text and the language it was given in", async () => {
        const card = me.card("own.choices");
        const given = card.getByRole("listitem").filter({ hasText: say.like("own.history-given") });
        const [download] = await Promise.all([me.page.waitForEvent("download"), me.link("own.receipt", given).click()]);
        const receipt = readFileSync(await download.path(), "utf8");
        JSON.parse(receipt);
        assert.ok(receipt.includes(say.text("consent.product-news.1")), receipt);
        assert.match(receipt, new RegExp(`"language": ?"${language}"`));
    });

    test("NWS-05 CNS-03 the link in a news mail ends the news without signing in", async () => {
        await me.go("/account/privacy");
        await me.press("own.give", me.card("own.choices"));
        const { link } = await me.mail("mail.news-welcome.subject");
        await visitor.go(link);
        await visitor.sees("unsubscribe.title");
        await visitor.press("unsubscribe.submit");
        await visitor.sees("unsubscribe.done-title");
        await me.go("/account/privacy");
        assert.ok(await me.card("own.choices").locator(".tag", { hasText: say.text("own.not-given") }).isVisible());
        await me.card("own.choices").locator("summary").click();
        assert.ok(await me.page.getByText(say.like("own.history-withdrawn", { way: say.text("way.link-in-mail") })).isVisible());
    });

    async function copyReady(scopeKey) {
        const row = me.card("own.takeout").getByRole("listitem").filter({ hasText: say.text(scopeKey) });
        await until(async () => {
            await me.go("/account/privacy");
            return row.getByText(say.like("own.takeout-ready")).isVisible();
        }, "the copy to be made");
        return row;
    }

    test("RGT-02 RGT-06 MYA-16 a copy of everything is made, downloads, and can be read by people and programs", async () => {
        await me.go("/account/privacy");
        const card = me.card("own.takeout");
        assert.ok(await me.field("takeout.choice-all", card).isChecked());
        await me.press("own.takeout-submit", card);
        await me.isTold("done.takeout-asked");
        const row = await copyReady("takeout.short-all");
        const [download] = await Promise.all([me.page.waitForEvent("download"), me.link("own.download", row).click()]);
        assert.match(download.suggestedFilename(), /^my-data-\d{4}-\d\d-\d\d\.zip$/);
        const zip = join(portal.dir, `${language}.zip`), folder = join(portal.dir, `copy-${language}`);
        await download.saveAs(zip);
        const read = unzip(zip, folder);
        const data = JSON.parse(read("data.json"));
        assert.equal(data.language, language);
        assert.equal(data.records.account[0].email, me.address);
        assert.equal(data.records.account[0].country, "JP");
        assert.ok(data.records.consent.length >= 4);
        JSON.parse(read(data.$schema));

        const page = await me.context.newPage(), complaints = [];
        page.on("console", (m) => complaints.push(m.text()));
        page.on("pageerror", (error) => complaints.push(error.message));
        page.on("requestfailed", (request) => complaints.push(request.url()));
        await page.goto(`file://${folder}/index.html`);
        assert.equal(await page.locator("h1").innerText(), say.text("takeout.title"));
        assert.equal(await page.locator("html").getAttribute("lang"), language);
        assert.ok(await page.getByRole("cell", { name: me.address }).first().isVisible());
        assert.deepEqual(complaints, []);
        await page.close();
    });

    test("RGT-06 somebody of their choosing fetches the portable part by a link, without signing in", async () => {
        await me.field("takeout.choice-portable").check();
        await me.press("own.takeout-submit", me.card("own.takeout"));
        const row = await copyReady("takeout.short-portable");
        await me.press("own.share", row);
        await me.sees("share.title");
        const link = await me.page.locator("main code").innerText();
        const got = await visitor.context.request.get(link);
        assert.equal(got.headers()["content-type"], "application/zip");
        assert.equal((await got.body()).subarray(0, 2).toString(), "PK");
    });

    test("RGT-05 pausing the use stops the news until the pause ends", async () => {
        await me.go("/account/privacy");
        const card = me.card("own.restrict");
        await card.locator("summary").click();
        await me.field("field.reason", card).selectOption("claims");
        await card.getByRole("textbox").fill("A case at court.\nTwo lines of it.");
        await me.press("own.restrict-submit", card);
        await me.isTold("done.restricted");
        assert.ok(await card.getByText(say.like("own.restricted", { reason: say.text("restriction.claims") })).isVisible());

        await me.press("own.give", me.card("own.choices"));
        await sleep(500); // a mail takes some 50 ms
        const news = portal.mails().filter((m) => m.to === me.address && m.subject === say.text("mail.news-welcome.subject"));
        assert.equal(news.length, 2, "those from before the pause");
        await me.press("own.withdraw", me.card("own.choices"));

        await me.press("own.lift", card);
        await me.isTold("done.restriction-lifted");
        assert.ok(await card.getByText(say.text("own.restrict-open")).isVisible());
    });

    test("RGT-07 an objection stops the use at once, and can be taken back", async () => {
        const card = me.card("own.object");
        const purpose = say.text("purpose.protect-accounts");
        await me.go("/account/privacy");
        await card.locator("summary").click();
        await me.field("field.purpose", card).selectOption({ label: purpose });
        await card.getByRole("textbox").fill("I share this computer.");
        await me.press("own.object-submit", card);
        await me.isTold("done.objected");
        const row = card.getByRole("listitem").filter({ has: me.page.locator(".sentence", { hasText: purpose }) });
        assert.ok(await row.getByText(say.text("objection.open")).isVisible());

        await elsewhere.signIn(); // from where, must not be kept now
        await me.go("/account/security");
        const sessions = me.card("security.sessions");
        assert.equal(await sessions.getByText("Firefox").count(), 0);
        assert.equal(await sessions.getByText("127.0.0.1").count(), 0);
        await elsewhere.signOut();

        await me.go("/account/privacy");
        await me.press("own.object-withdraw", row);
        await me.isTold("done.objection-withdrawn");
        assert.ok(await row.getByText(say.text("objection.withdrawn")).isVisible());
        await elsewhere.signIn();
        await me.go("/account/security");
        assert.ok(await sessions.getByText("Firefox").isVisible());
    });

    test("RGT-09 objecting to marketing ends the news without a decision", async () => {
        const card = me.card("own.object"), choices = me.card("own.choices");
        const purpose = say.text("purpose.direct-marketing");
        await me.go("/account/privacy");
        await me.press("own.give", choices);
        await card.locator("summary").click();
        await me.field("field.purpose", card).selectOption({ label: purpose });
        await me.press("own.object-submit", card);
        const row = card.getByRole("listitem").filter({ has: me.page.locator(".sentence", { hasText: purpose }) });
        assert.equal(await row.locator(".tag").innerText(), say.text("objection.upheld"));
        assert.ok(await choices.locator(".tag", { hasText: say.text("own.not-given") }).isVisible());
        await me.press("own.object-withdraw", row);
        assert.equal(await row.locator(".tag").innerText(), say.text("objection.withdrawn"));
    });

    test("MYA-15 a forgotten password is replaced by mail, and the page says the same for an unknown address", async () => {
        await visitor.go("/sign-in");
        await visitor.follow("sign-in.forgotten");
        await visitor.sees("recover.title");
        await visitor.field("field.email").fill(visitor.address);
        await visitor.press("recover.submit");
        await visitor.sees("recover.sent-title");
        const forUnknown = await visitor.page.locator("main").innerText();
        await visitor.go("/recover");
        await visitor.field("field.email").fill(me.address);
        await visitor.press("recover.submit");
        assert.equal(await visitor.page.locator("main").innerText(), forUnknown);

        const { link, language: spoken } = await me.mail("mail.recover.subject");
        assert.equal(spoken, language);
        const fresh = "nine tall storks argue";
        await visitor.go(link);
        await visitor.sees("recover.new-title");
        await visitor.field("field.new-password").fill(fresh);
        await visitor.press("recover.new-submit");
        await visitor.isTold("done.password-changed");
        assert.equal((await visitor.go(link)).status(), 410);
        await me.go("/account");
        assert.equal(me.path(), "/sign-in");
        me.password = elsewhere.password = fresh;
        await me.signIn();
        await me.sees("overview.title");
        assert.deepEqual(portal.mails().filter((m) => m.to === visitor.address), []);
    });

    test("MYA-14 signing out ends it", async () => {
        await me.signOut();
        await me.isTold("done.signed-out");
        await me.go("/account/privacy");
        assert.equal(new URL(me.page.url()).searchParams.get("next"), "/account/privacy");
        await me.field("field.email").fill(me.address);
        await me.field("field.password").fill(me.password);
        await me.press("sign-in.submit");
        await me.sees("own.title"); // where they were going
    });

    async function close(choiceKey) {
        await me.go("/account/settings");
        await me.follow("settings.close-link");
        await me.sees("close.title");
        await me.field(choiceKey).check();
        await me.field("close.sure").check();
        await me.press("close.submit");
        await me.sees("receipt.title");
        await me.isTold("done.closed");
        return me.page.locator("main code").innerText();
    }

    test("MYA-20 MYA-22 closed with a window, the account is shut at once, and the mailed link opens it again", async () => {
        await elsewhere.signIn();
        await elsewhere.sees("overview.title");
        const number = await close("close.choice-window");
        assert.equal(await me.page.locator("main .tag").innerText(), say.text("receipt.waits"));
        await elsewhere.go("/account");
        assert.equal(elsewhere.path(), "/sign-in");
        assert.equal(await firstStatus(await me.signIn()), 403);
        await me.isRefused(me.field("field.password"), "sign-in.closed");

        const mail = await me.mail("mail.closed.subject");
        assert.match(mail.text, new RegExp(number));
        await me.go(mail.link);
        await me.sees("reopen.title");
        await me.press("reopen.submit");
        await me.isTold("done.reopened");
        await me.mail("mail.reopened.subject");
        await me.signIn();
        await me.sees("overview.title");
    });

    test("MYA-20 MYA-21 MYA-22 MYA-25 closed for good, everything is erased within seconds, and the receipt says so", async () => {
        const number = await close("close.choice-now");
        const mail = await me.mail("mail.closed-now.subject");
        assert.match(mail.text, new RegExp(number));
        assert.equal(mail.link, `${portal.url}/privacy/receipt?number=${number}`);
        await until(async () => {
            await visitor.go(mail.link);
            return visitor.page.locator("main .tag", { hasText: say.text("receipt.erased") }).isVisible();
        }, "the erasure", ERASED_WITHIN_MS);
        assert.equal((await visitor.page.content()).includes(me.address), false);
        assert.equal(await firstStatus(await me.signIn()), 401);
        await me.isRefused(me.field("field.password"), "sign-in.wrong");
    });

    test("after all this every promise is kept: verify exits 0", async () => {
        const said = JSON.parse(portal.command("verify", "--json"));
        assert.ok(JSON.stringify(said).includes("kept"));
        await Promise.all([me, elsewhere, visitor].map((p) => p.context.close()));
    });
}
