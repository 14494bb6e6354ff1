// What a person does with devices, in both languages: connects one with a password (MYA-36), sees how it is
// (MYA-37), mends what is wrong with it (MYA-38), gives it a name, and disconnects it (MYA-40), all without
// JavaScript; an office's, after those who use it were told (SOS-01 to SOS-03); and through nginx, how an open
// page changes by itself. With SHOTS=DIR, a picture of each page.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import { openBrowser } from "./browser.mjs";
import { ConnectedApp, GOOD } from "./connected.mjs";
import { look, shoot } from "./look.mjs";
import { makeCertificates, NAME, socketFolder, startNginx } from "./nginx.mjs";
import { Person, press } from "./person.mjs";
import { freePort, startPortal, until } from "./portal.mjs";
import { LANGUAGES } from "./words.mjs";

const certificates = makeCertificates();
const [portal, browser] = await Promise.all([
    startPortal(),
    openBrowser({ home: certificates.home, args: [`--host-resolver-rules=MAP ${NAME} 127.0.0.1`] }),
]);
const { test } = portal;

after(async () => {
    await browser.close();
    await portal.stop();
    rmSync(certificates.dir, { recursive: true, force: true });
});

const passwordOn = async (page) => (await page.locator(".pass code").innerText()).trim();
const deviceOn = (who) => who.page.locator("li.device");
const has = async (who, key, values) => assert.match(await who.page.locator("main").innerText(), who.say.like(key, values), key);
const lacks = async (who, key) => assert.doesNotMatch(await who.page.locator("main").innerText(), who.say.like(key), key);

for (const language of LANGUAGES) {
    describe(`devices, in ${language}`, () => {
        // Fails if a form needs a script, a password is good twice, a problem shows without its fix or a fix does
        // not reach the app, a state of a command is not told, or an app is listened to after it was disconnected.
        test(`MYA-36 MYA-37 MYA-38 MYA-40 a device from its password to its end, without JavaScript (${language})`, async () => {
            const who = await Person.come(browser, portal, language, `anna.${language}@example.com`, { javaScriptEnabled: false });
            const { page } = who, [app, thief] = [new ConnectedApp(portal.url), new ConnectedApp(portal.url)];
            await who.join();
            await who.follow("menu.devices", page.getByRole("navigation"));
            await who.sees("devices.title");
            await shoot(who, "devices-none", { twin: browser });
            await who.follow("devices.connect-first");
            await shoot(who, "devices-add", { twin: browser });
            await who.press("devices.make");
            const password = await passwordOn(page);
            assert.match(password, /^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
            assert.ok(await page.getByRole("img", { name: who.say.text("devices.picture") }).isVisible());
            assert.equal((await app.connect(password)).status, 201);
            assert.equal((await thief.connect(password)).status, 401, "good once");

            await who.go("/account/devices");
            await has(who, "device-state.unknown");
            await app.report({ protection: "off", databases: "outdated" }, GOOD);
            await who.go("/account/devices");
            assert.equal(await deviceOn(who).count(), 1);
            await has(who, "device-state.problem");
            await has(who, "device-problem.protection-off");
            await look(who, "devices-problem", { twin: browser });
            await press(page, page.locator("form:has([value=enable-protection]) button"));
            await who.isTold("done.fix-asked");
            await has(who, "devices.fix-queued");
            assert.equal(await page.locator("form:has([value=enable-protection])").count(), 0, "asked once");
            await look(who, "devices-waiting", { twin: browser });
            const [command] = await app.commands();
            assert.equal(command.kind, "enable-protection");
            await who.go("/account/devices");
            await has(who, "devices.fix-delivered");
            assert.equal((await app.done(command)).status, 204);
            await who.go("/account/devices");
            await has(who, "devices.fix-done");
            await app.report({ protection: "on", databases: "outdated" }, GOOD);
            await who.go("/account/devices");
            await lacks(who, "device-problem.protection-off");
            await has(who, "device-state.warning");

            await press(page, deviceOn(who).getByRole("link", { name: app.name }));
            await press(page, page.locator("form:has([value=update-databases]) button"));
            await app.failed((await app.commands())[0], "not-possible");
            await who.go(`/account/devices/${app.device}`);
            await has(who, "devices.fix-failed");
            await has(who, "device-reason.not-possible");
            assert.equal(await page.locator("#history li").count(), 2);
            assert.ok(await who.link("devices.lost-open").isVisible(), "an app that has Anti-Theft");
            await look(who, "devices-one", { twin: browser });
            await app.report({ protection: "on", databases: "current" }, GOOD);
            await page.locator("#rename-name").fill("Annas bärbara");
            await who.press("devices.rename");
            await who.isTold("done.device-renamed");
            assert.equal(await page.locator("h1").innerText(), "Annas bärbara");
            await has(who, "device-state.good");
            await shoot(who, "devices-good", { twin: browser });

            await who.follow("devices.disconnect-this");
            await shoot(who, "devices-disconnect", { twin: browser });
            await who.press("devices.disconnect-submit");
            await who.isTold("done.device-disconnected");
            assert.equal(await deviceOn(who).count(), 0);
            assert.equal((await app.report({}, GOOD)).status, 410);
            assert.equal((await who.go(`/account/devices/${app.device}`)).status(), 404);
            await who.context.close();
        });

        // Fails if an office's password is given without the tick, if its app connects without the word for
        // all, or if the office's page shows what is not the office's.
        test(`SOS-01 SOS-02 SOS-03 an office's devices (${language})`, async () => {
            const who = await Person.come(browser, portal, language, `office.${language}@example.com`), { page } = who;
            await who.join();
            await who.go("/office");
            await shoot(who, "office-none");
            await who.follow("devices.connect-first");
            await who.press("devices.make");
            await who.isRefused(who.field("office.informed"), "form.tick");
            assert.equal(await page.locator(".pass").count(), 0);
            const attested = async () => {
                await who.go("/account/privacy");
                return (await page.locator("#held").textContent()).split(who.say.text("office.informed")).length - 1;
            };
            assert.equal(await attested(), 0, "nothing is noted that was not ticked");
            const connect = async (path, app, choice) => {
                await who.go(path);
                if (path === "/office/add") {
                    await who.field("office.informed").check();
                }
                await who.press("devices.make");
                return app.connect(await passwordOn(page), choice);
            };
            const office = { application: "small-office-security", version: "9.1" };
            const desk = new ConnectedApp(portal.url, { ...office, name: "reception", facts: { type: "desktop", os_type: "Windows", os_version: "11" } });
            const hidden = await connect("/office/add", new ConnectedApp(portal.url, office), "participate");
            assert.deepEqual([hidden.status, hidden.code], [422, "attestation-missing"]);
            assert.equal((await connect("/office/add", desk, "participate-for-all")).status, 201);
            await look(who, "office-add");
            assert.equal(await attested(), 2, "once for each password, in the words that were ticked");
            const own = new ConnectedApp(portal.url, { application: "mobile-security", name: "my phone", facts: { type: "phone", os_type: "Android", os_version: "15" } });
            assert.equal((await connect("/account/devices/add", own)).status, 201);
            await desk.report({ protection: "off" }, GOOD);
            await own.report({ protection: "on" }, { ...GOOD, status: "grace" });
            await who.go("/office");
            assert.equal(await deviceOn(who).count(), 1);
            await has(who, "office.administrator", { administrator: who.address });
            await press(page, page.locator("form:has([value=enable-protection]) button"));
            assert.equal(who.path(), "/office");
            assert.equal((await desk.commands())[0].kind, "enable-protection");
            await look(who, "office");
            await who.go("/account/devices");
            assert.equal(await deviceOn(who).count(), 2);
            await has(who, "devices.calls", { count: "2", total: "2" });
            await look(who, "devices-two");
            await who.context.close();
        });
    });
}

describe("a page that is open", () => {
    // Fails if nginx does not hold the page's connection, if a change does not say so, if the script does not
    // exchange what changed, if it takes the keyboard's place away, or if nobody hears of it who does not see.
    test("MYA-37 MYA-38 changes by itself, and says so", async (t) => {
        const dir = socketFolder(), socket = join(dir, "troth.sock"), live = await freePort();
        const nginx = await startNginx({ socket, certificates, live });
        const behind = await startPortal({ env: { TROTH_LISTEN: `unix:${socket}`, TROTH_PUBLIC_URL: nginx.url, TROTH_BEHIND_PROXY: "true", TROTH_LIVE: `http://127.0.0.1:${live}` } });
        try {
            const who = await Person.come(browser, behind, "en", "live@example.com"), { page } = who;
            const app = new ConnectedApp(nginx.url, { ca: certificates.ca });
            Object.defineProperty(behind, "url", { value: nginx.url });
            await who.join();
            await who.go("/account/devices/add");
            await who.press("devices.make");
            const password = await passwordOn(page);
            await Promise.all([page.waitForResponse((r) => r.url().endsWith("/account/devices/events")), who.go("/account/devices")]);
            await page.evaluate(() => { window.same = true; });
            assert.equal((await app.connect(password)).status, 201);
            await deviceOn(who).waitFor();
            const title = deviceOn(who).getByRole("link", { name: app.name });
            await title.focus();
            await app.report({ protection: "off" }, GOOD);
            const fix = page.locator("form:has([value=enable-protection]) button");
            await fix.waitFor();
            assert.equal(await page.evaluate(() => document.activeElement.textContent), app.name);
            assert.match(await page.locator("[data-live-say]").innerText(), who.say.like("device-problem.protection-off"));
            assert.ok(await page.evaluate(() => window.same), "without loading it again");
            await press(page, fix);
            const [command] = await app.commands();
            await app.done(command);
            await until(async () => who.say.like("devices.fix-done").test(await page.locator("main").innerText()), "the page to say that it is done");
            await app.report({ protection: "on" }, GOOD);
            await until(async () => who.say.like("device-state.good").test(await page.locator("main").innerText()), "the page to say that all is well");
            await who.context.close();
        } finally {
            await Promise.all([nginx.stop(), behind.stop()]);
            rmSync(dir, { recursive: true, force: true });
        }
    });
});
