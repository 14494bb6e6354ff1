// Proves that a form which is wrong comes again, in English and in Swedish: with a status that says
// so, the message beside the field and tied to it, all that was typed except passwords, and nothing
// done. Every form of the portal is here.
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { openBrowser } from "./browser.mjs";
import { Person } from "./person.mjs";
import { startPortal } from "./portal.mjs";
import { LANGUAGES, words } from "./words.mjs";

const portal = await startPortal();
const browser = await openBrowser();
const { test } = portal;

after(async () => {
    await browser.close();
    await portal.stop();
});

for (const language of LANGUAGES) {
    describe(`forms that are wrong, in ${language}`, () => wrongForms(language));
}

function wrongForms(language) {
    const say = words(language);
    const typed = "hunter2 hunter2"; // a password that must not come back
    let me, visitor;

    // Fills in and presses; the page must come again with 4xx, keep the text and forget the password.
    async function refused(who, { fill = [], tick = [], submit, within, status = 422, field, message, kept = [] }) {
        const root = within ? who.card(within) : who.page.locator("main");
        for (const [key, text] of fill) {
            await root.getByLabel(say.text(key), { exact: true }).fill(text);
        }
        for (const key of tick) {
            await root.getByLabel(say.text(key), { exact: true }).check();
        }
        const response = await who.press(submit, root);
        assert.equal(response.status(), status);
        const now = within ? who.card(within) : who.page.locator("main");
        await who.isRefused(now.getByLabel(say.text(field), { exact: true }), message);
        for (const [key, text] of kept) {
            assert.equal(await now.getByLabel(say.text(key), { exact: true }).inputValue(), text, "what was typed is kept");
        }
        for (const input of await who.page.locator("input[type=password]").all()) {
            assert.equal(await input.inputValue(), "");
        }
        assert.equal((await response.text()).includes(typed), false, "a password came back");
    }

    test("the people for it come", async () => {
        visitor = await Person.come(browser, portal, language, `typo.${language}@example.com`);
        me = await (await Person.come(browser, portal, language, `robin.${language}@example.com`)).join();
    });

    test("GEN-24 SEC-06 signing up: empty, no address, a weak password, each beside its field", async () => {
        const wrong = async (form) => {
            await visitor.go("/sign-up");
            await refused(visitor, { submit: "sign-up.submit", ...form });
            assert.ok(await visitor.page.getByRole("alert").isVisible());
        };
        await wrong({ field: "field.email", message: "form.required" });
        await wrong({ fill: [["field.email", "kim@"], ["field.password", typed]], tick: ["consent.product-news.1"],
            field: "field.email", message: "form.email", kept: [["field.email", "kim@"]] });
        assert.ok(await visitor.field("consent.product-news.1").isChecked(), "the tick is kept");
        await wrong({ fill: [["field.email", visitor.address], ["field.password", "short"]],
            field: "field.password", message: "password.short", kept: [["field.email", visitor.address]] });
        await wrong({ fill: [["field.email", visitor.address], ["field.password", "password1"]],
            field: "field.password", message: "password.common", kept: [["field.email", visitor.address]] });
        await wrong({ fill: [["field.email", visitor.address]],
            field: "field.password", message: "form.required", kept: [["field.email", visitor.address]] });
        assert.deepEqual(portal.mails().filter((m) => m.to === visitor.address), []);
    });

    test("MYA-14 signing in: empty, and a wrong password, which is not told from an unknown address", async () => {
        await visitor.go("/sign-in");
        await refused(visitor, { submit: "sign-in.submit", field: "field.email", message: "form.required" });
        for (const address of [me.address, visitor.address]) {
            await visitor.go("/sign-in");
            await refused(visitor, { fill: [["field.email", address], ["field.password", typed]], submit: "sign-in.submit",
                status: 401, field: "field.password", message: "sign-in.wrong", kept: [["field.email", address]] });
        }
    });

    test("MYA-15 a forgotten password: no address, and a weak new password", async () => {
        for (const [address, message] of [["", "form.required"], ["kim at example", "form.email"]]) {
            await visitor.go("/recover");
            await refused(visitor, { fill: [["field.email", address]], submit: "recover.submit",
                field: "field.email", message, kept: [["field.email", address]] });
        }
        await visitor.field("field.email").fill(me.address);
        await visitor.press("recover.submit");
        await visitor.go((await me.mail("mail.recover.subject")).link);
        for (const [password, message] of [["", "form.required"], ["12345678", "password.common"], ["aaaabbbbcccc", "password.weak"]]) {
            await refused(visitor, { fill: [["field.new-password", password]], submit: "recover.new-submit",
                field: "field.new-password", message });
        }
        await visitor.field("field.new-password").fill(me.password); // the link still works
        await visitor.press("recover.new-submit");
        await visitor.isTold("done.password-changed");
        await me.signIn();
    });

    test("MYA-20 proving the password again: a wrong one", async () => {
        await me.go("/account/confirm?next=/account/close");
        await me.sees("confirm.title");
        await refused(me, { fill: [["field.password", typed]], submit: "confirm.submit", status: 403,
            field: "field.password", message: "password.wrong" });
        await me.field("field.password").fill(me.password);
        await me.press("confirm.submit");
        await me.sees("close.title");
    });

    test("MYA-19 MYA-17 the settings: a choice that is none, and a new address that is none, one's own, or unproved", async () => {
        await me.go("/account/settings");
        await me.field("field.language").evaluate((select) => { select.options[0].value = "xx"; select.selectedIndex = 0; });
        await refused(me, { within: "settings.preferences", submit: "settings.save", field: "field.language", message: "form.choose" });
        const address = (form) => refused(me, { within: "settings.address", submit: "settings.address-submit", ...form });
        await address({ field: "field.new-email", message: "form.required" });
        await address({ fill: [["field.new-email", "kim@"], ["field.password", typed]],
            field: "field.new-email", message: "form.email", kept: [["field.new-email", "kim@"]] });
        await address({ fill: [["field.new-email", "new@example.com"], ["field.password", typed]], status: 403,
            field: "field.password", message: "password.wrong", kept: [["field.new-email", "new@example.com"]] });
        await address({ fill: [["field.new-email", me.address], ["field.password", me.password]],
            field: "field.new-email", message: "settings.same-address", kept: [["field.new-email", me.address]] });
    });

    test("MYA-18 a new password: the current one wrong, the new one weak", async () => {
        await me.go("/account/security");
        const change = (form) => refused(me, { within: "security.password", submit: "security.password-submit", ...form });
        await change({ field: "field.current-password", message: "form.required" });
        await change({ fill: [["field.current-password", typed], ["field.new-password", `${typed} again`]], status: 403,
            field: "field.current-password", message: "password.wrong" });
        await change({ fill: [["field.current-password", me.password], ["field.new-password", "qwertyuiop"]],
            field: "field.new-password", message: "password.common" });
    });

    test("RGT-05 RGT-07 one's own data: a note that is too long, a purpose that is none", async () => {
        await me.go("/account/privacy");
        const note = "a".repeat(2001);
        await me.card("own.restrict").locator("summary").click();
        const text = () => me.card("own.restrict").getByRole("textbox");
        await text().evaluate((area) => area.removeAttribute("maxlength"));
        await text().fill(note);
        assert.equal((await me.press("own.restrict-submit", me.card("own.restrict"))).status(), 422);
        await me.isRefused(text(), "form.too-long"); // visible: what is wrong stands open
        assert.equal(await text().inputValue(), note);

        await me.go("/account/privacy");
        await me.card("own.object").locator("summary").click();
        await me.card("own.object").getByRole("textbox").fill("It is my own affair.");
        await me.field("field.purpose").evaluate((select) => { select.options[0].value = "provide-account"; });
        assert.equal((await me.press("own.object-submit", me.card("own.object"))).status(), 422);
        await me.isRefused(me.field("field.purpose"), "form.choose");
        assert.equal(await me.card("own.object").getByRole("textbox").inputValue(), "It is my own affair.");
    });

    test("RGT-06 a copy of nothing that there is", async () => {
        await me.go("/account/privacy");
        const choice = me.field("takeout.choice-all");
        await choice.evaluate((input) => { input.value = "nothing"; });
        assert.equal((await me.press("own.takeout-submit")).status(), 422);
        const group = me.page.getByRole("group", { name: say.text("field.scope") });
        assert.equal(await group.locator(`#${await group.getAttribute("aria-describedby")}`).innerText(), say.text("form.choose"));
    });

    test("MYA-20 closing: without the tick nothing happens, and the choice is kept", async () => {
        await me.go("/account/close");
        await refused(me, { tick: ["close.choice-now"], submit: "close.submit", field: "close.sure", message: "form.tick" });
        assert.ok(await me.field("close.choice-now").isChecked());
        await me.go("/account");
        await me.sees("overview.title");
    });

    test("MYA-25 a receipt that there is none of", async () => {
        await visitor.go("/privacy/receipt");
        await visitor.page.getByLabel(say.text("field.receipt")).fill("no such number");
        assert.equal((await visitor.press("receipt.submit")).status(), 404);
        assert.equal(await visitor.page.getByRole("alert").innerText(), say.text("receipt.unknown"));
        assert.equal(await visitor.page.getByLabel(say.text("field.receipt")).inputValue(), "no such number");
    });

    test("SEC-06 a form that another site could have sent is refused, and changes nothing", async () => {
        await me.go("/account/settings");
        await me.card("settings.preferences").locator("input[name=csrf]").evaluate((input) => { input.value = "0".repeat(32); });
        await me.page.getByLabel(say.text("field.country")).selectOption("NO");
        assert.equal((await me.press("settings.save")).status(), 403);
        assert.ok(await me.page.getByText(say.text("problem.csrf")).isVisible());
        await me.go("/account/settings");
        assert.equal(await me.page.getByLabel(say.text("field.country")).inputValue(), "");
        await Promise.all([me.context.close(), visitor.context.close()]);
    });
}
