// What a person does with licenses, in both languages: a code with a slip, one that is right, one of
// somebody else's; a trial; reminders; the code itself. And the licensing desk: whose a code is comes after
// a reason. Each page is asked of axe, wide and on a small telephone. With SHOTS=DIR, a picture of each.
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { openBrowser } from "./browser.mjs";
import { look } from "./look.mjs";
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

function issue(count) {
    const codes = portal.command("license", "issue", "--product", "total-security", "--count", String(count));
    return codes.trim().split("\n").filter((line) => /^(\w{5}-){4}\w{5}$/.test(line));
}

async function member(name, language) {
    const who = await Person.come(browser, portal, language, `${name}.${language}@example.com`);
    await who.join();
    await who.go("/account/licenses");
    await who.follow("licenses.join");
    await who.field("services.accept").check();
    await who.press("services.join");
    await who.go("/account/licenses");
    return who;
}

async function add(who, code) {
    await who.go("/account/licenses");
    await who.field("licenses.code").fill(code);
    return who.press("licenses.add-submit");
}

for (const language of LANGUAGES) {
    const [first, second] = issue(2);

    describe(`licenses, in ${language}`, () => {
        test(`MYA-42 MYA-44 MYA-46 MYA-50 codes, trials and reminders of one's own (${language})`, async () => {
            const [anna, james] = [await member("anna", language), await member("james", language)], { page, say } = anna;
            await look(anna, "licenses-empty");
            await add(anna, first.slice(0, -1) + (first.endsWith("A") ? "B" : "A"));
            await anna.isRefused(anna.field("licenses.code"), "licenses.code-slip");
            await add(anna, first.toLowerCase());
            await anna.isTold("done.license-added");
            assert.ok((await page.locator("h1").innerText()).includes(say.text("license-state.new")));
            await look(anna, "licenses-one");
            await add(james, first);
            await james.isRefused(james.field("licenses.code"), "licenses.code-taken");
            const alert = james.page.locator(".notice-wrong a[href='/privacy#contact']");
            assert.ok(await alert.isVisible(), "the way to support");
            await look(james, "licenses-taken");

            await anna.go("/account/licenses");
            await press(page, page.getByRole("button", { name: say.text("licenses.try-this", { title: language === "sv" ? "Mobilskydd – prova på" : "Mobile Security – trial" }) }));
            await anna.isTold("done.trial-begun");
            await anna.go("/account/licenses");
            assert.equal(await page.locator("main ul.rows.card li.row").count(), 2);
            assert.ok(await anna.button("licenses.reminders-start").isVisible(), "off by itself");
            await anna.press("licenses.reminders-start");
            await anna.isTold("done.reminders-on");
            await look(anna, "licenses-list");
            await anna.press("licenses.reminders-stop");
            await anna.isTold("done.reminders-off");

            const row = page.locator("main li.row", { hasText: "Total Security" }).first();
            await press(page, row.locator("a.button"));
            assert.equal(await page.getByText(first).count(), 0, "not without asking");
            await anna.follow("licenses.code-show");
            assert.ok(await page.getByText(first).isVisible());
            await Promise.all([anna, james].map((who) => who.context.close()));
        });

        test(`REC-01 the licensing desk tells whose a code is after a reason (${language})`, async () => {
            const owner = await member("owner", language);
            await add(owner, second);
            const clerk = await Person.come(browser, portal, language, `clerk.${language}@example.com`), { page } = clerk;
            await clerk.join();
            await clerk.workHere("licensing");
            await clerk.follow("licdesk.menu", page.getByRole("navigation"));
            await clerk.sees("licdesk.title");
            await look(clerk, "licenses-desk");
            await clerk.field("licenses.code").fill(second);
            await clerk.press("licdesk.find-submit");
            await clerk.sees("licdesk.code");
            await look(clerk, "licenses-desk-code");
            await clerk.press("licdesk.owner-submit");
            await clerk.isRefused(clerk.field("desk.reason"), "form.required");
            await clerk.field("desk.reason").fill("Case 12: a code that is taken.");
            await clerk.press("licdesk.owner-submit");
            await clerk.sees("licdesk.owner");
            await look(clerk, "licenses-desk-owner");
            await clerk.go("/desk/licenses/catalogue");
            await look(clerk, "licenses-desk-catalogue");
            await clerk.go("/desk/licenses");
            await clerk.field("licdesk.count").fill("3");
            await page.selectOption("main select", "mobile-security");
            await clerk.press("licdesk.issue-submit");
            await clerk.sees("licdesk.issued");
            assert.equal(await page.locator("ol.codes li").count(), 3);
            await clerk.go("/desk/licenses");
            await press(page, page.locator("main li.row a.button").first());
            await look(clerk, "licenses-desk-lot");
            await Promise.all([owner, clerk].map((who) => who.context.close()));
        });
    });
}
