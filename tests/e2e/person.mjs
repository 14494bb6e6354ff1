// A person at a browser: what people do, by the words that they see.
import assert from "node:assert/strict";
import { appCode } from "./app.mjs";
import { PASSWORD } from "./portal.mjs";
import { words } from "./words.mjs";

const PATIENCE_MS = 10_000;
const LOCALES = { en: "en-GB", sv: "sv-SE" };

// Presses, and waits for the page that follows. Gives its response (the last, after redirects).
export async function press(page, target) {
    const [response] = await Promise.all([page.waitForNavigation(), target.click()]);
    return response;
}

// The status with which a press was answered, before any redirect.
export function firstStatus(response) {
    let request = response.request();
    while (request.redirectedFrom() !== null) {
        request = request.redirectedFrom();
    }
    return request.response().then((r) => r.status());
}

export class Person {
    // In a browser of their own (no cookies yet) that asks for their language.
    static async come(browser, portal, language, address, options = {}) {
        // Without motion: pages that scroll softly are slow to press on.
        const context = await browser.newContext({ locale: LOCALES[language], reducedMotion: "reduce", ...options });
        context.setDefaultTimeout(PATIENCE_MS);
        return new Person(context, await context.newPage(), portal, language, address);
    }

    constructor(context, page, portal, language, address) {
        Object.assign(this, { context, page, portal, language, address, say: words(language), password: PASSWORD });
    }

    go(path) {
        return this.page.goto(path.startsWith("http") ? path : this.portal.url + path);
    }

    path() {
        const url = new URL(this.page.url());
        return url.pathname;
    }

    // What has that label or name, in the page or in a part of it.
    field(key, within = this.page.locator("main")) {
        return within.getByLabel(this.say.text(key), { exact: true });
    }

    button(key, within = this.page.locator("main")) {
        return within.getByRole("button", { name: this.say.text(key), exact: true });
    }

    link(key, within = this.page.locator("main")) {
        return within.getByRole("link", { name: this.say.text(key), exact: true });
    }

    // A card of a page, by its heading.
    card(key) {
        return this.page.getByRole("region", { name: this.say.text(key), exact: true });
    }

    press(key, within) {
        return press(this.page, this.button(key, within));
    }

    follow(key, within) {
        return press(this.page, this.link(key, within));
    }

    // The page has that one heading, and is in their language.
    async sees(headingKey) {
        assert.equal(await this.page.locator("h1").innerText(), this.say.text(headingKey));
        assert.equal(await this.page.locator("html").getAttribute("lang"), this.language);
    }

    async isTold(key) {
        assert.equal(await this.page.getByRole("status").innerText(), this.say.text(key));
    }

    // Beside the field stands the message, tied to it for those who do not see it.
    async isRefused(field, key) {
        assert.equal(await field.getAttribute("aria-invalid"), "true");
        const described = (await field.getAttribute("aria-describedby")).split(/\s+/);
        const error = this.page.locator(`#${described.at(-1)}`);
        assert.equal(await error.innerText(), this.say.text(key));
        assert.ok(await error.isVisible());
        const [above, below] = [await field.boundingBox(), await error.boundingBox()];
        assert.ok(below.y - (above.y + above.height) < 40, "the message stands right below the field");
    }

    mail(subjectKey, to = this.address) {
        return this.portal.mail(to, this.say.text(subjectKey));
    }

    // ---- the steps that every story has ----

    async signUp({ news = false } = {}) {
        await this.go("/sign-up");
        await this.field("field.email").fill(this.address);
        await this.field("field.password").fill(this.password);
        if (news) {
            await this.field("consent.product-news.1").check();
        }
        await this.press("sign-up.submit");
        await this.sees("sign-up.sent-title");
    }

    async confirm() {
        const { link } = await this.mail("mail.confirm.subject");
        await this.go(link);
        await this.press("verify.submit");
        await this.isTold("done.confirmed");
        return link;
    }

    async signIn({ password = this.password, address = this.address } = {}) {
        await this.go("/sign-in");
        await this.field("field.email").fill(address);
        await this.field("field.password").fill(password);
        return this.press("sign-in.submit");
    }

    signOut() {
        return press(this.page, this.page.getByRole("button", { name: this.say.text("layout.sign-out"), exact: true }));
    }

    async join(options) {
        await this.signUp(options);
        await this.confirm();
        await this.signIn();
        await this.sees("overview.title");
        return this;
    }

    // ---- working here ----

    // Invited from the command line; the path of the link in the mail.
    async invited(...roles) {
        this.portal.command("staff", "add", this.address, "--language", this.language, ...roles.flatMap((r) => ["--role", r]));
        const subject = this.say.text("mail.staff-invitation.subject", { product: "Example Security" });
        return (await this.portal.mail(this.address, subject)).link;
    }

    // Two-step sign-in by app; its secret. This moment's code is left for signing in.
    async turnOnApp() {
        await this.go("/account/security/totp");
        await this.press("totp.begin");
        const secret = (await this.page.locator("main code").innerText()).replaceAll(" ", "");
        await this.field("field.totp-code").fill(appCode(secret, -1));
        await this.press("totp.submit");
        return secret;
    }

    // Somebody with an account begins to work here, and has the desk before them.
    async workHere(...roles) {
        const secret = await this.turnOnApp();
        await this.go(await this.invited(...roles));
        await this.field("join.name").fill("Eva Berg");
        await this.press("join.submit");
        await this.isTold("done.staff-joined");
        await this.field("field.email").fill(this.address);
        await this.field("field.password").fill(this.password);
        await this.press("sign-in.submit");
        await this.field("field.totp-code").fill(appCode(secret));
        await this.press("proofs.submit-totp");
        await this.sees("desk.title");
    }

    async search(who, reason) {
        await this.go("/desk");
        await this.field("desk.who").fill(who);
        await this.field("desk.reason").fill(reason);
        return this.press("desk.search-submit");
    }
}
