// What people who work here do, by the words that they see, in both languages: join, look somebody up with
// a reason, decide an objection, review who looked; and what the one who was looked at finds of it.
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

const REASON = "Case 4711: cannot sign in.";

async function come(name, language) {
    const who = await Person.come(browser, portal, language, `${name}.${language}@example.com`);
    return who.join();
}

// The records that a card shows, by their headings.
function headings(who) {
    return who.card("desk.held").locator("summary .row-title").allInnerTexts();
}

for (const language of LANGUAGES) {
    describe(`the desk, in ${language}`, () => {
        test(`SEC-07 somebody is invited, joins, and has only their own tasks before them (${language})`, async () => {
            const clerk = await come("clerk", language), { page, say } = clerk;
            assert.equal((await clerk.go("/desk")).status(), 404);
            assert.equal(await page.getByRole("link", { name: say.text("layout.desk"), exact: true }).count(), 0);
            await clerk.workHere("statistics");
            assert.ok(await page.getByText(say.text("desk.may-nothing")).isVisible());
            assert.equal(await page.getByLabel(say.text("desk.who")).count(), 0);
            const menu = page.getByRole("navigation", { name: say.text("desk.menu"), exact: true });
            assert.deepEqual(await menu.getByRole("link").allInnerTexts(), [say.text("desk.menu-start")]);
            await clerk.go("/account");
            await clerk.follow("layout.desk", page.getByRole("banner"));
            await clerk.sees("desk.title");
            assert.equal((await clerk.go("/desk/access")).status(), 403);
            assert.ok(await page.getByText(say.text("problem.role")).isVisible());
            portal.command("staff", "remove", clerk.address);
            assert.equal((await clerk.go("/desk")).status(), 404);
            await clerk.context.close();
        });

        test(`REC-01 REC-07 a reason comes first, one person at a time, and that person finds it (${language})`, async () => {
            const [anna, eva] = [await come("anna", language), await come("eva", language)], { page, say } = eva;
            await eva.workHere("support");
            await eva.search("anna", REASON);
            await eva.isRefused(eva.field("desk.who"), "desk.who-wrong");
            await eva.search(anna.address.replace("anna", "nobody"), REASON);
            await eva.isRefused(eva.field("desk.who"), "desk.nobody");
            await eva.search(anna.address, "");
            await eva.isRefused(eva.field("desk.reason"), "form.required");
            await eva.search(anna.address.toUpperCase(), REASON);
            await eva.sees("desk.person");
            const open = ["account", "address_change", "app_purchase", "binding", "consent", "device", "device_report", "lost_factor",
                "restriction", "session", "store_order"];
            assert.deepEqual((await headings(eva)).sort(), open.map((r) => say.text(`record.${r}`)).sort(), "what support may read, and nothing else");
            await eva.card("desk.held").locator("summary", { hasText: say.text("record.account") }).click();
            assert.ok(await page.getByRole("cell", { name: anna.address }).isVisible());

            await anna.go("/account/privacy");
            await anna.card("own.held").locator("summary", { hasText: say.text("record.security_event") }).click();
            assert.ok(await anna.page.getByText(REASON).first().isVisible(), "she reads who looked and why");
            assert.equal(await anna.page.getByText("Eva Berg").count(), 0, "a pseudonym, not a name");
            await Promise.all([anna, eva].map((who) => who.context.close()));
        });

        test(`GEN-15 RGT-07 REC-07 an objection is opened, decided with a ground, and all of it is open to review (${language})`, async () => {
            const [ben, dpo] = [await come("ben", language), await come("dpo", language)], { page, say } = dpo;
            await ben.go("/account/privacy");
            await ben.page.locator("#object details").last().evaluate((d) => { d.open = true; });
            await ben.page.selectOption("#object-purpose", "protect-accounts");
            await ben.page.fill("#object-reason", "My own reason.");
            await press(ben.page, ben.page.locator("form[action='/account/privacy/object'] [type=submit]"));
            await dpo.workHere("privacy");
            await dpo.follow("desk.menu-rights", page.getByRole("navigation"));
            await dpo.sees("desk.rights");
            await press(page, page.locator("main .row a.button").first());
            assert.equal(await page.getByText("My own reason.").count(), 0, "not before it is recorded");
            await dpo.press("desk.open-submit");
            assert.ok(await page.getByText("My own reason.").isVisible());
            await dpo.field("desk.choice-overrule").check();
            await dpo.press("desk.decide-submit");
            await dpo.isRefused(dpo.page.locator("#decide-ground"), "desk.ground-needed");
            await page.locator("#decide-ground").fill("An attack on accounts is under way.");
            await dpo.press("desk.decide-submit");
            await dpo.isTold("done.objection-decided");
            assert.ok(await page.getByText(say.text("desk.rights-empty")).isVisible());
            await ben.go("/account/privacy");
            assert.ok(await ben.page.locator("#object").getByText("An attack on accounts is under way.").isVisible(), "he reads the ground");

            await dpo.follow("desk.menu-access", page.getByRole("navigation"));
            await dpo.sees("desk.access");
            const newest = page.locator("main .rows .row").first();
            assert.match(await newest.innerText(), new RegExp(say.text("record.objection")));
            await dpo.follow("desk.menu-staff", page.getByRole("navigation"));
            await dpo.sees("desk.staff");
            assert.equal(await page.getByText("Eva Berg").count(), 0, "names are on the cards");
            await Promise.all([ben, dpo].map((who) => who.context.close()));
        });

        test(`REC-07 without JavaScript (${language})`, async () => {
            const plain = await Person.come(browser, portal, language, `plain.${language}@example.com`, { javaScriptEnabled: false });
            await plain.join();
            await plain.workHere("support", "privacy");
            await plain.search(plain.address, REASON);
            await plain.sees("desk.person");
            assert.ok((await headings(plain)).length > 5);
            await plain.context.close();
        });
    });
}
