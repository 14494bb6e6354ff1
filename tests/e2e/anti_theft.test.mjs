// What a person does when a telephone is lost, in both languages and without JavaScript (ATW-01 to ATW-06): finds
// it on a map that is drawn here, has it sound, locks it with a message, begins to erase it and takes that back.
// With SHOTS=DIR, a picture of each page.
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { openBrowser } from "./browser.mjs";
import { ConnectedApp, GOOD } from "./connected.mjs";
import { look } from "./look.mjs";
import { firstStatus, Person, press } from "./person.mjs";
import { startPortal } from "./portal.mjs";
import { LANGUAGES } from "./words.mjs";

const PLACE = { latitude: 59.329324, longitude: 18.068581, accuracy: 24.6 };
const PHONE = { application: "mobile-security", name: "Kims telefon", facts: { type: "phone", os_type: "Android", os_version: "15" } };
const [portal, browser] = await Promise.all([startPortal(), openBrowser()]);
const { test } = portal;

after(async () => {
    await browser.close();
    await portal.stop();
});

async function connect(who, told, license) {
    const app = new ConnectedApp(portal.url, told);
    await who.go("/account/devices/add");
    await who.press("devices.make");
    assert.equal((await app.connect((await who.page.locator(".pass code").innerText()).trim())).status, 201);
    await app.report({ protection: "on" }, license);
    return app;
}

const has = async (who, card, key) => assert.match(await who.card(card).innerText(), who.say.like(key), key);

for (const language of LANGUAGES) {
    describe(`anti-theft, in ${language}`, () => {
        // Fails if a step needs a script, the map or the place is not there, a wrong name is enough, or what was
        // asked for cannot be followed or taken back.
        test(`ATW-01 ATW-02 ATW-03 ATW-04 ATW-05 ATW-06 a lost telephone (${language})`, async () => {
            const who = await Person.come(browser, portal, language, `kim.${language}@example.com`, { javaScriptEnabled: false }), { page } = who;
            await who.join();
            await who.follow("menu.anti-theft", page.getByRole("navigation"));
            await who.sees("theft.title");
            await look(who, "theft-none", { twin: browser });
            const app = await connect(who, PHONE, GOOD);
            await connect(who, {}, {});
            await who.go("/anti-theft");
            await look(who, "theft-list", { twin: browser });
            await press(page, page.getByRole("link", { name: `${who.say.text("theft.secure")} ${PHONE.name}`, exact: true }));
            await look(who, "theft-new", { twin: browser });

            await who.press("theft.locate");
            await who.isTold("done.theft-locate");
            await has(who, "theft.where", "theft.step-queued");
            assert.equal(await who.button("theft.locate-again").count(), 0, "asked once");
            await look(who, "theft-waits", { twin: browser });
            const [locate] = await app.commands();
            await page.reload();
            await has(who, "theft.where", "theft.step-delivered");
            assert.equal((await app.position(locate, PLACE)).status, 204);
            await app.done(locate);
            await page.reload();
            await has(who, "theft.where", "theft.was-here");
            assert.equal(await page.locator("#where code").innerText(), "59.3293, 18.0686");
            const map = page.getByRole("img", { name: who.say.text("theft.map-in", { country: language === "sv" ? "Sverige" : "Sweden" }) });
            assert.ok(await map.evaluate((img) => img.complete && img.naturalWidth === 720));
            assert.equal(await who.link("theft.street-map").getAttribute("href"), "https://www.openstreetmap.org/?mlat=59.3293&mlon=18.0686#map=17/59.3293/18.0686");
            assert.equal(await who.link("theft.geo").getAttribute("href"), "geo:59.3293,18.0686;u=25");

            await who.press("theft.alarm");
            await app.failed((await app.commands())[0], "not-possible");
            await who.follow("theft.lock");
            await look(who, "theft-lock", { twin: browser });
            await who.field("theft.type-name").fill("Kims dator");
            assert.equal(await firstStatus(await who.press("theft.lock-submit")), 422);
            await who.isRefused(who.field("theft.type-name"), "theft.name-wrong");
            await page.locator("textarea").fill("Tack! Ring 070-123 45 67.");
            await who.field("theft.type-name").fill("kims telefon");
            await who.press("theft.lock-submit");
            await who.isTold("done.theft-lock");
            const [lock] = await app.commands();
            assert.deepEqual([lock.kind, lock.text], ["lock", "Tack! Ring 070-123 45 67."]);
            await app.done(lock);

            await page.reload();
            await has(who, "theft.lock-title", "theft.lock-done");
            await who.follow("theft.wipe");
            await look(who, "theft-wipe", { twin: browser });
            await who.field("theft.type-name").fill(PHONE.name);
            await who.press("theft.wipe-submit");
            await who.isTold("done.theft-wipe");
            await look(who, "theft-found", { twin: browser });
            await who.press("theft.take-back");
            await who.isTold("done.theft-taken-back");
            assert.deepEqual(await app.commands(), []);
            assert.equal(await page.locator("#log > ul > li").count(), 4);
            await has(who, "theft.log", "theft.taken-back");
            await look(who, "theft-log", { twin: browser });
            await who.context.close();
        });
    });
}
