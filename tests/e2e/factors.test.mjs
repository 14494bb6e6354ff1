// Two-step sign-in as people meet it, in both languages: an app, text messages, passkeys, recovery codes,
// remembered devices. Passkeys are made by Chromium's virtual authenticator. And what its pages look like
// to axe, also where quality.test.mjs does not come: in the middle of signing in.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, describe } from "node:test";
import { appCode } from "./app.mjs";
import { openBrowser } from "./browser.mjs";
import { Person, press } from "./person.mjs";
import { startPortal } from "./portal.mjs";
import { LANGUAGES } from "./words.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const portal = await startPortal({ env: { TROTH_DEMO: "true", TROTH_LIMITS: "off" } });
const browser = await openBrowser();
const { test } = portal;

after(async () => {
    await browser.close();
    await portal.stop();
});

// ---- a browser's own authenticator ----

async function authenticator(person, options = {}) {
    const cdp = person.cdp ??= await person.context.newCDPSession(person.page);
    await cdp.send("WebAuthn.enable");
    const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", {
        options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, ...options },
    });
    return {
        verified: (isUserVerified) => cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified }),
        credentials: async () => (await cdp.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
        forget: () => cdp.send("WebAuthn.clearCredentials", { authenticatorId }),
    };
}

async function axe(person, where) {
    const { page } = person;
    for (const width of [1280, 320]) {
        await page.setViewportSize({ width, height: 900 });
        // One debugger's session for all: the end of any takes the virtual authenticator along.
        person.cdp ??= await page.context().newCDPSession(page);
        await person.cdp.send("Runtime.evaluate", { expression: `window.axe === undefined && (() => {${AXE}})()` });
        const { violations } = await page.evaluate(() => window.axe.run(document, { rules: { "target-size": { enabled: true } } }));
        assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(" ")}`), [], `${where}, ${width} wide`);
        const needed = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(needed <= width, `${where} is ${needed} wide at ${width}`);
    }
    await page.setViewportSize({ width: 1280, height: 900 });
}

const come = (name, language, options) => Person.come(browser, portal, language, `${name}.${language}@example.com`, options);
const form = (person, action) => person.page.locator(`main form[action="${action}"]`);
const send = (person, action) => press(person.page, form(person, action).locator("[type=submit]"));

async function setUpApp(person) {
    await person.go("/account/security");
    await person.follow("factors.totp-add");
    await person.sees("totp.title");
    await person.press("totp.begin");
    const secret = (await person.page.locator("main code").innerText()).replaceAll(" ", "");
    return secret;
}

async function turnOnApp(person, secret) {
    await person.field("field.totp-code").fill(appCode(secret, -1));
    await person.press("totp.submit");
    await person.isTold("done.totp-on");
    await person.sees("recovery.title");
}

for (const language of LANGUAGES) {
    describe(`two-step sign-in, in ${language}`, () => {
        test("MYA-08 MYA-11 an app: scanned, confirmed, asked for; a wrong code says so beside the field", async () => {
            const me = await come("app", language);
            await me.join();
            await me.go("/account/security");
            assert.ok(await me.card("factors.title").getByText(me.say.text("factors.about-none")).isVisible());
            await axe(me, "the card, empty");
            const secret = await setUpApp(me);
            const picture = me.page.getByAltText(me.say.text("totp.picture"));
            assert.ok(await picture.evaluate((img) => img.complete && img.naturalWidth > 0), "the picture is there");
            await axe(me, "the app's page");
            await me.field("field.totp-code").fill("000 000");
            await me.press("totp.submit");
            await me.isRefused(me.field("field.totp-code"), "totp.wrong");
            await turnOnApp(me, secret);
            await me.mail("mail.factor-on.subject");

            await me.press("recovery.make");
            const codes = await me.page.locator("main .codes code").allInnerTexts();
            assert.equal(codes.length, 10);
            await axe(me, "the codes");
            const [download] = await Promise.all([me.page.waitForEvent("download"), me.button("recovery.download").click()]);
            const file = readFileSync(await download.path(), "utf8");
            assert.equal(download.suggestedFilename(), "recovery-codes.txt");
            assert.ok(codes.every((code) => file.includes(code)));

            await me.signOut();
            await me.signIn();
            await me.sees("second.title");
            await axe(me, "the second step");
            await me.go("/account"); // the password alone opens nothing
            assert.equal(me.path(), "/sign-in");
            await me.go("/sign-in/second");
            await me.field("field.totp-code").fill("123456");
            await me.press("proofs.submit-totp");
            await me.isRefused(me.field("field.totp-code"), "totp.wrong");
            await axe(me, "the second step, wrong");
            await me.field("field.totp-code").fill(appCode(secret));
            await me.press("proofs.submit-totp");
            await me.sees("overview.title");

            await me.signOut();
            await me.signIn();
            await me.field("field.recovery-code").fill(codes[3]);
            await me.press("proofs.submit-recovery");
            await me.sees("overview.title");
            await me.go("/account/security");
            assert.ok(await me.card("factors.title").getByText(me.say.text("factors.codes-left", { count: 9 }, 9)).isVisible());
            await axe(me, "the card, with an app");

            await me.follow("factors.totp-change");
            await me.press("totp.off");
            await me.isTold("done.totp-off");
            await me.mail("mail.factor-off.subject");
            await me.signOut();
            await me.signIn();
            await me.sees("overview.title");
            await me.context.close();
        });

        test("MYA-08 MYA-10 MYA-12 text messages: a number confirmed, asked for, remembered, removed", async () => {
            const me = await come("text", language), number = language === "en" ? "+44 7700 900123" : "+46 70 174 06 05";
            const plain = number.replaceAll(" ", "");
            await me.join();
            await me.go("/account/security");
            await me.follow("factors.phone-add");
            await me.sees("phone.title");
            await me.field("field.number").fill("070-174 06 05");
            await me.press("phone.submit");
            await me.isRefused(me.field("field.number"), "number.wrong");
            await axe(me, "the number's page, wrong");
            await me.field("field.number").fill(number);
            await me.press("phone.submit");
            await axe(me, "the number's page, waiting");
            await me.field("field.text-code").fill(await portal.code(plain));
            await me.press("phone.code-submit");
            await me.isTold("done.phone-on");

            await me.signOut();
            await me.signIn();
            await me.sees("second.title");
            await me.press("text.send");
            const code = await portal.code(plain, 2);
            await axe(me, "the second step, a text message");
            await me.field("field.text-code").fill(code);
            await me.field("field.remember").check();
            await me.press("proofs.submit-text");
            await me.sees("overview.title");
            await me.go("/demo/messages");
            await me.sees("demo.messages-title");
            assert.ok(await me.page.locator("main pre").filter({ hasText: code }).isVisible());

            await me.signOut();
            await me.signIn();
            await me.sees("overview.title"); // not asked here
            await me.go("/account/security");
            const card = me.card("factors.title");
            assert.ok(await card.locator(".tag", { hasText: me.say.text("security.this-one") }).isVisible());
            await axe(me, "the card, with a device");
            await me.press("factors.device-forget", card);
            await me.isTold("done.device-forgotten");

            await me.go("/account/security/phone"); // and what changes it asks for a code, not for the password
            await me.sees("confirm.title");
            assert.equal(await me.field("field.password").count(), 0);
            await axe(me, "the proof");
            await me.press("text.send");
            await me.field("field.text-code").fill(await portal.code(plain, 3));
            await me.press("proofs.submit-text");
            await me.sees("phone.title");
            await me.press("phone.off");
            await me.isTold("done.phone-off");
            await me.context.close();
        });

        test("a passkey: made, signs in without a password, is the second step, proves it again, is removed", async () => {
            const me = await come("passkey", language);
            const device = await authenticator(me);
            await me.join();
            await me.go("/account/security");
            await me.follow("factors.passkeys-add");
            await me.sees("passkeys.title");
            await axe(me, "passkeys, none");
            await me.field("field.passkey-name").fill("Min dator & min");
            await me.press("passkeys.add");
            await me.isTold("done.passkey-added");
            assert.equal((await device.credentials()).length, 1);
            await me.mail("mail.factor-on.subject");

            // Once more on the same device: it is there already, and the page says that none was made.
            await me.go("/account/security/passkeys");
            assert.ok(await me.page.getByText("Min dator & min", { exact: true }).first().isVisible());
            await me.button("passkeys.add").click();
            await me.page.locator("[data-passkey-failed]").waitFor({ state: "visible" });
            await axe(me, "passkeys, one, and a failure");

            // Without a password.
            await me.signOut();
            await me.go("/sign-in");
            await axe(me, "sign-in");
            await me.press("passkey.use");
            await me.sees("overview.title");
            await me.go("/account/close"); // a recent proof already
            await me.sees("close.title");
            await me.go("/account/confirm?with=factor&next=/account/settings");
            await me.press("passkey.use");
            await me.sees("settings.title");

            // As the second step.
            await me.signOut();
            await me.signIn();
            await me.sees("second.title");
            await axe(me, "the second step, a passkey");
            await me.press("passkey.use");
            await me.sees("overview.title");

            // Nobody verified: as a second step that is enough, alone it is not.
            await me.signOut();
            await device.verified(false);
            await me.go("/sign-in");
            await me.button("passkey.use").click();
            await me.page.locator("[data-passkey-failed]").waitFor({ state: "visible" });
            assert.equal(me.path(), "/sign-in");
            await device.verified(true);
            await me.press("passkey.use");
            await me.sees("overview.title");

            // Removed: what is left on the device opens nothing, and its owner is told what to do.
            await me.go("/account/security/passkeys");
            await press(me.page, form(me, "/account/security/passkeys/remove").locator("[type=submit]"));
            await me.isTold("done.passkey-removed");
            await me.signOut();
            await me.go("/sign-in");
            await me.press("passkey.use");
            assert.equal(me.path(), "/sign-in/passkey");
            assert.ok(await me.page.getByText(me.say.text("passkey.unknown")).isVisible());
            await me.signIn();
            await me.sees("overview.title");
            await me.context.close();
        });

        test("a passkey's answer counts once, and in the browser that was asked only", async () => {
            const me = await come("once", language), other = await come("other", language);
            await authenticator(me);
            await me.join();
            await me.go("/account/security/passkeys");
            await me.press("passkeys.add");
            await me.signOut();
            await me.go("/sign-in");
            // The answer is taken on its way.
            const answer = await new Promise((done) => {
                me.page.route("**/sign-in/passkey", async (route) => {
                    const body = new URLSearchParams(route.request().postData());
                    await route.abort();
                    done(body);
                });
                me.button("passkey.use").click();
            });
            const post = (person, body) => person.context.request.post(`${portal.url}/sign-in/passkey`, {
                data: body.toString(), headers: { "Content-Type": "application/x-www-form-urlencoded", "Accept-Language": language }, maxRedirects: 0 });
            await other.go("/sign-in");
            const stolen = new URLSearchParams(answer);
            stolen.set("csrf", await other.page.locator("main [name=csrf]").first().inputValue());
            const refused = await post(other, stolen);
            assert.equal(refused.status(), 403);
            assert.ok((await refused.text()).includes(me.say.text("passkey.wrong")), "for the challenge, not for the form's token");
            assert.deepEqual((await other.context.cookies()).filter((c) => c.name === "session"), []);
            assert.equal((await post(me, answer)).status(), 303);
            await me.go("/account");
            await me.sees("overview.title");
            await me.signOut();
            assert.equal((await post(me, answer)).status(), 403);
            await Promise.all([me, other].map((p) => p.context.close()));
        });

        test("MYA-11 without JavaScript: an app and recovery codes do all; passkeys say what they need", async () => {
            const me = await come("plain2", language, { javaScriptEnabled: false });
            await me.join();
            const secret = await setUpApp(me);
            await turnOnApp(me, secret);
            await me.press("recovery.make");
            const code = await me.page.locator("main .codes code").first().innerText();
            await me.go("/account/security/passkeys");
            assert.ok(await me.page.getByText(me.say.text("passkey.no-script")).isVisible());
            assert.equal(await me.button("passkeys.add").count(), 0);
            await me.signOut();
            await me.signIn();
            await me.field("field.totp-code").fill(appCode(secret));
            await me.press("proofs.submit-totp");
            await me.sees("overview.title");
            await me.signOut();
            await me.signIn();
            await me.field("field.recovery-code").fill(code);
            await me.press("proofs.submit-recovery");
            await me.sees("overview.title");
            await me.context.close();
        });

        test("a browser without passkeys says so", async () => {
            const me = await come("old", language);
            await me.page.addInitScript(() => { delete window.PublicKeyCredential; });
            await me.go("/sign-in");
            assert.ok(await me.page.getByText(me.say.text("passkey.cannot")).isVisible());
            assert.equal(await me.button("passkey.use").count(), 0);
            await me.context.close();
        });
    });
}
