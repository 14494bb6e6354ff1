// Proves that a person can see what there is to join, join, correct, choose, leave and come back, in
// English and in Swedish, with and without JavaScript, and is told at each step what it means.
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { openBrowser } from "./browser.mjs";
import { Person, press } from "./person.mjs";
import { startPortal } from "./portal.mjs";
import { LANGUAGES } from "./words.mjs";

const portal = await startPortal();
const browser = await openBrowser();
const { test } = portal;

after(async () => {
    await browser.close();
    await portal.stop();
});

for (const language of LANGUAGES) {
    describe(`joining services and leaving them, in ${language}`, () => services(language, true));
    describe(`the same without JavaScript, in ${language}`, () => services(language, false));
}

function services(language, script) {
    let me;
    const title = (service) => me.say.text(`service.${service}`);
    const main = () => me.page.locator("main");
    const open = async (service) => {
        await me.go("/services");
        await press(me.page, main().getByRole("link", { name: title(service), exact: true }));
        assert.equal(await main().locator("h1").innerText(), title(service));
    };
    const enter = async (service) => {
        await open(service);
        await me.follow("services.join");
    };
    const row = (service) => main().locator("li.row", { has: me.page.getByRole("link", { name: title(service), exact: true }) });

    test("KBH-02 the menu leads to what there is, each with what it is for", async () => {
        const name = `service${script ? "" : ".plain"}.${language}@example.com`;
        me = await Person.come(browser, portal, language, name, { javaScriptEnabled: script });
        await me.join();
        await press(me.page, me.page.getByRole("link", { name: me.say.text("menu.services"), exact: true }).first());
        await me.sees("services.title");
        for (const service of ["my-account", "business-hub", "endpoint-cloud", "cloud-console", "mail-protection", "company-account",
            "partner-portal", "report-parser"]) {
            assert.ok((await row(service).innerText()).includes(me.say.text(`about.${service}`)));
            assert.equal(await row(service).locator(".tag").count(), 0, "not joined");
        }
    });

    test("GEN-24 KBH-01 KBH-04 KBH-05 CNS-01 joining Business Hub: told why, nothing ticked, each choice apart", async () => {
        await enter("business-hub");
        assert.ok(await main().getByText(me.say.text("services.decide")).isVisible());
        for (const box of await main().getByRole("checkbox").all()) {
            assert.equal(await box.isChecked(), false);
        }
        await me.press("services.join");
        await me.isRefused(me.field("services.accept"), "form.tick");
        await me.field("consent.business-hub-news.1").check();
        await me.field("services.accept").check();
        await me.press("services.join");
        await me.isTold("done.service-joined");
        const choices = main().locator("#choices .row");
        assert.deepEqual(await choices.locator(".tag").allInnerTexts(), [me.say.text("own.given"), me.say.text("own.not-given")]);
    });

    test("KES-01 KSO-02 Endpoint Cloud and Mail Protection lean on that account", async () => {
        await enter("endpoint-cloud");
        assert.equal(await main().locator("form :is(input:not([type=hidden]), select, textarea)").count(), 0, "nothing to fill in");
        await me.press("services.join");
        await me.isTold("done.service-joined");
        await enter("mail-protection");
        assert.ok(await main().getByText(me.say.text("services.serves-here", { title: title("business-hub") })).isVisible());
        await me.field("field.mail_protection.company").fill("Ek & Söner <AB>");
        await me.field("services.accept").check();
        await me.press("services.join");
        await me.isTold("done.service-joined");
        assert.equal(await me.field("field.mail_protection.company").inputValue(), "Ek & Söner <AB>");
    });

    test("CAC-02 CAC-08 Company Account: what is missing is said beside it and the rest kept; then corrected", async () => {
        await enter("company-account");
        await me.field("field.company_account.first_name").fill("Kim");
        await me.field("field.company_account.country").selectOption("SE");
        await me.press("services.join");
        await me.isRefused(me.field("field.company_account.last_name"), "form.required");
        assert.equal(await me.field("field.company_account.first_name").inputValue(), "Kim");
        assert.equal(await me.field("field.company_account.country").inputValue(), "SE");
        await me.field("field.company_account.last_name").fill("Ek");
        await me.field("field.company_account.company").fill("Ek AB");
        await me.field("field.company_account.license").fill("EX-1");
        await me.field("services.accept").check();
        await me.press("services.join");
        await me.isTold("done.service-joined");
        await me.field("field.company_account.last_name").fill("Öberg");
        await me.press("settings.save");
        await me.isTold("done.saved");
        assert.equal(await me.field("field.company_account.last_name").inputValue(), "Öberg");
        await me.go("/account/privacy");
        assert.ok((await main().innerHTML()).includes("Öberg"), "it stands among all that is held");
    });

    test("KBH-05 a choice changes on the page of its service, as easily back", async () => {
        await open("business-hub");
        await press(me.page, main().locator("#choices .row").nth(1).getByRole("button"));
        await me.isTold("done.consent-given");
        await press(me.page, main().locator("#choices .row").nth(1).getByRole("button"));
        await me.isTold("done.consent-withdrawn");
    });

    test("KBH-09 KBH-21 MYA-22 leaving says what goes and when, and ends what leans on it; one can come back", async () => {
        await open("business-hub");
        await me.follow("services.leave-link");
        const says = await main().innerText();
        assert.ok(says.includes(me.say.text("services.leave-with", { title: title("endpoint-cloud") })));
        assert.ok(says.includes(me.say.text("services.leave-alone", { title: title("mail-protection") })));
        await me.press("services.leave-submit");
        await me.isTold("done.service-left");
        assert.equal(await main().locator("#choices").count(), 0, "no use, no choices");
        await me.go("/services");
        for (const service of ["business-hub", "endpoint-cloud"]) {
            assert.equal(await row(service).locator(".tag").innerText(), me.say.text("services.left"));
        }
        assert.equal(await row("mail-protection").locator(".tag").innerText(), me.say.text("services.joined"));
        await open("business-hub");
        await me.follow("services.come-back");
        await me.field("services.accept").check();
        await me.press("services.come-back");
        await me.isTold("done.service-joined");
        assert.deepEqual(await main().locator("#choices .tag").allInnerTexts(), Array(2).fill(me.say.text("own.not-given")));
    });

    test("PRT-11 GSI-07 Partner Portal and Report Parser are gone at the first request", async () => {
        for (const service of ["partner-portal", "report-parser"]) {
            await enter(service);
            await me.field("services.accept").check();
            await me.press("services.join");
            await me.follow("services.leave-link");
            assert.ok((await main().innerText()).includes(me.say.text("services.leave-at-once")));
            await me.press("services.leave-submit");
            await me.isTold("done.service-erased");
            assert.equal(await row(service).locator(".tag").count(), 0);
        }
        await me.context.close();
    });
}
