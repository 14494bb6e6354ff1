// Every page of the portal, and how to get there: public pages, pages behind a mailed link, pages of
// somebody who is signed in (new, and with a history), forms that are wrong, and pages of errors.
import { ConnectedApp, GOOD } from "./connected.mjs";
import { Person, press } from "./person.mjs";
import { until } from "./portal.mjs";

const NEWS = "mail.news-welcome.subject";

const ROLES = ["support", "licensing", "marketing", "privacy", "statistics", "operations"];

// Who goes there: a visitor; a person who has just come; one with a history; one who has joined services; one
// who is leaving, whose links stand for those of many; one who works here in every role, one who counts only,
// and one who is invited.
export async function makePeople(browser, portal, language) {
    const come = (name) => Person.come(browser, portal, language, `${name}.${language}@example.com`);
    const [visitor, fresh, settled, leaving, member, worker, counter, invited] = await Promise.all(
        ["visitor", "fresh", "settled", "leaving", "member", "worker", "counter", "invited"].map(come));
    for (const [who, roles] of [[worker, ROLES], [counter, ["statistics"]]]) {
        await who.join();
        await who.workHere(...roles);
    }
    await invited.join();
    await fresh.join();
    await settled.join({ news: true });
    await leaving.join({ news: true });
    await giveHistory(settled);
    await member.join();
    await joinServices(member);
    const { guarded, stepping } = await makeGuarded(come);
    const links = await leave(leaving, visitor);
    links.invitation = await invited.invited("support", "privacy");
    return { visitor, fresh, settled, leaving, member, guarded, stepping, worker, counter, invited, links };
}

// One whose number is confirmed, with a device that is remembered, and the same person in the middle of
// signing in elsewhere.
async function makeGuarded(come) {
    const guarded = await come("guarded"), stepping = await come("guarded");
    const number = guarded.language === "en" ? "+447700900999" : "+46701740699";
    await guarded.join();
    await guarded.go("/account/security/phone");
    await guarded.page.fill("#number-number", number);
    await submit(guarded, "/account/security/phone");
    await guarded.page.fill("#number_code-code", await guarded.portal.code(number));
    await submit(guarded, "/account/security/phone/code");
    await submit(guarded, "/account/security/recovery-codes");
    await guarded.context.clearCookies({ name: "session" });
    await guarded.signIn();
    await press(guarded.page, guarded.page.locator("form[action^='/sign-in/second/send'] [type=submit]"));
    await guarded.page.fill("#text-code", await guarded.portal.code(number, 2));
    await guarded.page.check("#text-remember");
    await submit(guarded, "/sign-in/second/text");
    await stepping.signIn();
    return { guarded, stepping };
}

async function giveHistory(person) {
    await person.go("/account/settings");
    await person.page.fill("#address-email", `new.${person.address}`);
    await person.page.fill("#address-password", person.password);
    await submit(person, "/account/settings/email");
    await person.go("/account/privacy");
    await submit(person, "/account/privacy/takeout");
    await person.page.check("#takeout-scope-portable");
    await submit(person, "/account/privacy/takeout");
    await open(person, "#restrict");
    await person.page.fill("#restrict-note", "Something here is not right.");
    await submit(person, "/account/privacy/restrict");
    for (const purpose of ["protect-accounts", "direct-marketing"]) {
        await open(person, "#object");
        await person.page.selectOption("#object-purpose", purpose);
        await submit(person, "/account/privacy/object");
    }
    await until(async () => {
        await person.go("/account/privacy");
        return await person.page.locator("#takeout .row a.button").count() === 2;
    }, "the copies to be made");
    await person.context.clearCookies({ name: "session" }); // a second sign-in, beside the first
    await person.signIn();
}

// Joins some services, with answers and a choice, and leaves one again.
async function joinServices(person) {
    const answers = {
        "my-account": {},
        "business-hub": { "#join-country": "SE" },
        "endpoint-cloud": {},
        "mail-protection": { "#join-company": "Ek & Söner <AB>" },
        "company-account": {
            "#join-first_name": "Kim", "#join-last_name": "Ek", "#join-company": "Ek & Söner AB",
            "#join-country": "SE", "#join-license": "EX-1180-7720-0043",
        },
        "partner-portal": {},
    };
    for (const [service, fields] of Object.entries(answers)) {
        await person.go(`/services/${service}/join`);
        for (const [selector, value] of Object.entries(fields)) {
            const field = person.page.locator(selector);
            await (selector.endsWith("country") ? field.selectOption(value) : field.fill(value));
        }
        const boxes = person.page.locator("main [type=checkbox]");
        for (const box of [boxes.first(), boxes.last()]) {
            if (await boxes.count() > 0) {
                await box.check();
            }
        }
        await submit(person, `/services/${service}/join`);
    }
    await person.go("/services/my-account/leave");
    await submit(person, "/services/my-account/leave");
}

// The links that are mailed, each unused, and the numbers of two receipts.
async function leave(person, visitor) {
    const links = { unsubscribe: (await person.mail(NEWS)).link };
    visitor.say = person.say;
    await visitor.signUp();
    links.verify = (await visitor.mail("mail.confirm.subject")).link;
    await person.go("/recover");
    await person.page.fill("#recover-email", person.address);
    await submit(person, "/recover");
    links.recover = (await person.mail("mail.recover.subject")).link;
    const change = (name) => person.portal.mail(`new.settled.${person.language}@example.com`, person.say.text(name));
    links.agree = (await change("mail.change-new.subject")).link;

    const gone = await Person.come(person.context.browser(), person.portal, person.language, `gone.${person.language}@example.com`);
    for (const [who, when] of [[gone, "now"], [await twin(person), "window"]]) {
        await who.join();
        await who.go("/account/close");
        await who.page.check(`#close-when-${when}`);
        await who.page.check("#close-sure");
        await submit(who, "/account/close");
        links[when === "now" ? "erased" : "waiting"] = new URL(who.page.url()).pathname + new URL(who.page.url()).search;
        if (when === "window") {
            links.reopen = (await who.mail("mail.closed.subject")).link;
        }
        await who.context.close();
    }
    await until(async () => {
        await visitor.go(links.erased);
        return await visitor.page.locator("main .tag-yes").count() === 1;
    }, "the erasure");
    return links;
}

function twin(person) {
    return Person.come(person.context.browser(), person.portal, person.language, `closed.${person.language}@example.com`);
}

// An app without a keyboard asks to be let in: the code that it shows.
async function askWithoutKeyboard(url) {
    const api = `${url}/api/v1`;
    const about = { application_id: "troth-agent", application_version: "1.0", application_locale: "en" };
    const { version } = await (await fetch(`${api}/statements/troth-agent`)).json();
    const accepted = await fetch(`${api}/statements/${version}/acceptances`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...about, choice: "participate" }),
    });
    const { context } = await accepted.json();
    const body = new URLSearchParams({ client_id: about.application_id, scope: context });
    return (await (await fetch(`${api}/device_authorization`, { method: "POST", body })).json()).user_code;
}

// A telephone that is lost and found, with something of each kind asked of it.
async function lostPhone(who, links) {
    if (links.lost) {
        return links.lost;
    }
    const app = new ConnectedApp(who.portal.url, { application: "mobile-security", name: `Telefon <${who.language}> & Söner` });
    await who.go("/account/devices/add");
    await submit(who, "/account/devices/add");
    await app.connect((await who.page.locator(".pass code").innerText()).trim());
    await app.report({ protection: "on" }, GOOD);
    links.lost = `/anti-theft/${app.device}`;
    for (const what of ["locate", "alarm"]) {
        await who.go(links.lost);
        await submit(who, `${links.lost}/${what}`);
    }
    const [locate, alarm] = await app.commands();
    await app.position(locate, { latitude: 55.6, longitude: 13.0, accuracy: 40_000 });
    await app.done(locate);
    await app.failed(alarm, "not-known-here");
    await sent(`${links.lost}/lock`, `${links.lost}/lock`, { "#lock-message": "Ring <b>mig</b> & säg till.", "#lock-name": app.name })(who);
    return links.lost;
}

export function submit(person, action) {
    return press(person.page, person.page.locator(`main form[action="${action}"] [type=submit]`).first());
}

function open(person, card) {
    return person.page.locator(`${card} details`).last().evaluate((d) => { d.open = true; });
}

// Goes to a page, fills in what is given, sends the form.
const sent = (path, action, fields = {}) => async (who) => {
    await who.go(path);
    for (const [selector, value] of Object.entries(fields)) {
        await who.page.fill(selector, value);
    }
    return submit(who, action);
};

// A form that is changed behind the page's back, as no honest browser would.
const forged = (path, action, selector, change) => async (who) => {
    await who.go(path);
    await who.page.locator(selector).first().evaluate(change);
    return submit(who, action);
};

const at = (path) => (who) => who.go(path);
const by = (link) => (who, links) => who.go(links[link]);

// name: [who, the status, how, { opened: look again with all details open }]
export const places = {
    "home": ["visitor", 200, at("/")],
    "sign-up": ["visitor", 200, at("/sign-up")],
    "sign-up-sent": ["visitor", 200, at("/sign-up/sent")],
    "sign-in": ["visitor", 200, at("/sign-in")],
    "sign-in-notice": ["visitor", 200, at("/sign-in?done=confirmed")],
    "recover": ["visitor", 200, at("/recover")],
    "recover-sent": ["visitor", 200, at("/recover/sent")],
    "privacy": ["visitor", 200, at("/privacy")],
    "policy-account": ["visitor", 200, at("/privacy/my-account")],
    "policy-portal": ["visitor", 200, at("/privacy/portal")],
    "policy-version": ["visitor", 200, at("/privacy/my-account/versions/1")],
    "promises": ["visitor", 200, at("/privacy/promises")],
    "rights": ["visitor", 200, at("/privacy/rights")],
    "receipt": ["visitor", 200, at("/privacy/receipt")],
    "receipt-unknown": ["visitor", 404, at("/privacy/receipt?number=nothing")],
    "receipt-waiting": ["visitor", 200, by("waiting")],
    "receipt-erased": ["visitor", 200, by("erased")],
    "developers": ["visitor", 200, at("/developers")],
    "statement": ["visitor", 200, at("/statements/troth-agent")],
    "products-and-services": ["visitor", 200, at("/privacy/products-and-services")],
    "license-agreement": ["visitor", 200, at("/license-agreement")],
    "disconnecting": ["visitor", 200, at("/help/disconnecting")],
    "demo-mail": ["visitor", 200, at("/demo/mail")],
    "demo-messages": ["visitor", 200, at("/demo/messages")],

    "link-verify": ["visitor", 200, by("verify")],
    "link-recover": ["visitor", 200, by("recover")],
    "link-recover-wrong": ["visitor", 422, async (who, links) => {
        await who.go(links.recover);
        return submit(who, "/recover/new");
    }],
    "link-agree": ["visitor", 200, by("agree")],
    "link-agreed": ["visitor", 200, async (who, links) => {
        await who.go(links.agree);
        return submit(who, "/account/email");
    }],
    "link-reopen": ["visitor", 200, by("reopen")],
    "link-unsubscribe": ["visitor", 200, by("unsubscribe")],
    "link-unsubscribed": ["visitor", 200, async (who, links) => {
        await who.go(links.unsubscribe);
        return submit(who, "/unsubscribe");
    }],
    "link-gone": ["visitor", 410, at("/verify-email?t=gone")],

    "sign-up-empty": ["visitor", 422, sent("/sign-up", "/sign-up")],
    "sign-up-wrong": ["visitor", 422, sent("/sign-up", "/sign-up", { "#sign_up-email": "kim@example.com", "#sign_up-password": "short" })],
    "sign-in-wrong": ["visitor", 401, sent("/sign-in", "/sign-in", { "#sign_in-email": "kim@example.com", "#sign_in-password": "no such" })],
    "recover-wrong": ["visitor", 422, sent("/recover", "/recover", { "#recover-email": "kim@" })],

    "error-404": ["visitor", 404, at("/no/such/page")],
    "error-405": ["visitor", 405, at("/sign-out")],
    "error-403": ["visitor", 403, forged("/sign-up", "/sign-up", "[name=csrf]", (input) => { input.value = "0"; })],
    "error-400": ["visitor", 400, forged("/recover", "/recover", "#recover-email", (input) => { input.name = "nothing"; })],

    "device": ["fresh", 200, at("/device")],
    "device-unknown": ["fresh", 404, at("/device?user_code=BCDF-GHJK")],
    "device-asks": ["fresh", 200, async (who, links) => {
        links.code ??= await askWithoutKeyboard(who.portal.url);
        return who.go(`/device?user_code=${links.code}`);
    }],
    "account": ["fresh", 200, at("/account")],
    "home-signed-in": ["fresh", 200, at("/")],
    "settings": ["fresh", 200, at("/account/settings")],
    "settings-notice": ["fresh", 200, at("/account/settings?done=saved")],
    "security": ["fresh", 200, at("/account/security")],
    "totp": ["fresh", 200, at("/account/security/totp")],
    "totp-waiting": ["fresh", 200, async (who) => {
        await who.go("/account/security/totp");
        return submit(who, "/account/security/totp/new");
    }],
    "totp-wrong": ["fresh", 422, sent("/account/security/totp", "/account/security/totp", { "#app-code": "123" })],
    "phone": ["fresh", 200, at("/account/security/phone")],
    "phone-wrong": ["fresh", 422, sent("/account/security/phone", "/account/security/phone", { "#number-number": "070" })],
    "passkeys": ["fresh", 200, at("/account/security/passkeys")],
    "recovery-codes-none": ["fresh", 200, at("/account/security/recovery-codes")],
    "security-guarded": ["guarded", 200, at("/account/security")],
    "phone-on": ["guarded", 200, at("/account/security/phone")],
    "recovery-codes-left": ["guarded", 200, at("/account/security/recovery-codes")],
    "recovery-codes-fresh": ["guarded", 200, sent("/account/security/recovery-codes", "/account/security/recovery-codes")],
    "confirm-factor": ["guarded", 200, at("/account/confirm?with=factor&next=/account")],
    "confirm-either": ["guarded", 200, at("/account/confirm")],
    "second": ["stepping", 200, at("/sign-in/second")],
    "second-text": ["stepping", 200, async (who) => {
        await who.go("/sign-in/second");
        return press(who.page, who.page.locator("form[action^='/sign-in/second/send'] [type=submit]"));
    }],
    "second-wrong": ["stepping", 403, sent("/sign-in/second", "/sign-in/second/text", { "#text-code": "12" })],
    "second-recovery-wrong": ["stepping", 403, sent("/sign-in/second", "/sign-in/second/recovery", { "#recovery-code": "abcd" })],
    "lost": ["stepping", 200, at("/sign-in/lost")],
    "lost-waits": ["stepping", 200, sent("/sign-in/lost", "/sign-in/lost")],
    "lost-stop": ["stepping", 200, async (who, links) => {
        links.stop ??= (await who.mail("mail.lost-factor.subject")).link;
        return who.go(links.stop);
    }],
    "security-lost": ["guarded", 200, at("/account/security")],
    "sign-in-step-gone": ["visitor", 200, at("/sign-in/second")],
    "own": ["fresh", 200, at("/account/privacy"), { opened: true }],
    "close": ["fresh", 200, at("/account/close")],
    "confirm": ["fresh", 200, at("/account/confirm")],
    "error-404-signed-in": ["fresh", 404, at("/account/nothing")],

    "settings-wrong": ["fresh", 422, forged("/account/settings", "/account/settings", "#preferences-language",
        (select) => { select.options[0].value = "xx"; select.selectedIndex = 0; })],
    "settings-address-wrong": ["fresh", 422, sent("/account/settings", "/account/settings/email", { "#address-email": "kim@" })],
    "security-wrong": ["fresh", 422, sent("/account/security", "/account/security/password")],
    "confirm-wrong": ["fresh", 422, sent("/account/confirm", "/account/confirm")],
    "close-wrong": ["fresh", 422, sent("/account/close", "/account/close")],
    "own-takeout-wrong": ["fresh", 422, forged("/account/privacy", "/account/privacy/takeout", "[name=scope]", (input) => { input.value = "none"; })],
    "own-restrict-wrong": ["fresh", 422, async (who) => {
        await who.go("/account/privacy");
        await open(who, "#restrict");
        await who.page.locator("#restrict-note").evaluate((area) => { area.removeAttribute("maxlength"); area.value = "a ".repeat(1500); });
        return submit(who, "/account/privacy/restrict");
    }],
    "own-object-wrong": ["fresh", 422, async (who) => {
        await who.go("/account/privacy");
        await open(who, "#object");
        await who.page.locator("#object-purpose").evaluate((select) => { select.options[0].value = "none"; });
        return submit(who, "/account/privacy/object");
    }],

    "services": ["fresh", 200, at("/services")],
    "service": ["fresh", 200, at("/services/business-hub")],
    "service-surfaces": ["fresh", 200, at("/services/my-account")],
    "service-join": ["fresh", 200, at("/services/company-account/join")],
    "service-join-choices": ["fresh", 200, at("/services/business-hub/join")],
    "service-join-needs": ["fresh", 200, at("/services/endpoint-cloud/join")],
    "service-join-wrong": ["fresh", 422, sent("/services/company-account/join", "/services/company-account/join", { "#join-first_name": "Kim" })],
    "service-unknown": ["fresh", 404, at("/services/nothing")],
    "services-member": ["member", 200, at("/services")],
    "service-member": ["member", 200, at("/services/business-hub")],
    "service-member-served": ["member", 200, at("/services/mail-protection")],
    "service-member-answers": ["member", 200, at("/services/company-account?done=saved")],
    "service-correct-wrong": ["member", 422, sent("/services/company-account", "/services/company-account", { "#correct-company": "" })],
    "service-left": ["member", 200, at("/services/my-account")],
    "service-come-back": ["member", 200, at("/services/my-account/join")],
    "service-accept": ["member", 200, at("/services/business-hub/accept")],
    "service-accept-wrong": ["member", 422, sent("/services/business-hub/accept", "/services/business-hub/accept")],
    "service-leave": ["member", 200, at("/services/business-hub/leave")],
    "service-leave-at-once": ["member", 200, at("/services/partner-portal/leave")],
    "question": ["member", 200, at("/account/security/question")],
    "question-wrong": ["member", 422, sent("/account/security/question", "/account/security/question", { "#question-answer": "a" })],
    "question-set": ["member", 200, async (who) => {
        await who.go("/account/security/question");
        await who.page.fill("#question-answer", "Fluffy the Cat");
        await submit(who, "/account/security/question");
        return who.go("/account/security/question");
    }],
    "security-member": ["member", 200, at("/account/security")],
    "own-member": ["member", 200, at("/account/privacy"), { opened: true }],
    "service-terms": ["visitor", 200, at("/services/company-account/terms")],
    "policy-business-hub": ["visitor", 200, at("/privacy/business-hub")],
    "policy-endpoint-cloud": ["visitor", 200, at("/privacy/endpoint-cloud")],
    "policy-cloud-console": ["visitor", 200, at("/privacy/cloud-console")],
    "policy-mail-protection": ["visitor", 200, at("/privacy/mail-protection")],
    "policy-company-account": ["visitor", 200, at("/privacy/company-account")],
    "policy-partner-portal": ["visitor", 200, at("/privacy/partner-portal")],
    "policy-report-parser": ["visitor", 200, at("/privacy/report-parser")],

    "account-settled": ["settled", 200, at("/account")],
    "settings-settled": ["settled", 200, at("/account/settings")],
    "security-settled": ["settled", 200, at("/account/security")],
    "security-log": ["settled", 200, at("/account/security/log")],
    "own-settled": ["settled", 200, at("/account/privacy"), { opened: true }],
    "takeout-shared": ["settled", 200, async (who) => {
        await who.go("/account/privacy");
        return submit(who, "/account/privacy/takeout/share");
    }],

    "anti-theft-none": ["fresh", 200, at("/anti-theft")],
    "anti-theft-device": ["guarded", 200, async (who, links) => who.go(await lostPhone(who, links))],
    "anti-theft": ["guarded", 200, at("/anti-theft")],
    "anti-theft-lock": ["guarded", 200, async (who, links) => who.go(`${await lostPhone(who, links)}/lock`)],
    "anti-theft-lock-wrong": ["guarded", 422, async (who, links) => {
        const at = `${await lostPhone(who, links)}/lock`;
        return sent(at, at, { "#lock-name": "another" })(who);
    }],
    "anti-theft-wipe": ["guarded", 200, async (who, links) => who.go(`${await lostPhone(who, links)}/wipe`)],
    "anti-theft-another": ["guarded", 404, at(`/anti-theft/${"a".repeat(26)}`)],

    "invitation": ["visitor", 200, by("invitation")],
    "invitation-other": ["fresh", 200, by("invitation")],
    "invitation-own": ["invited", 200, by("invitation")],
    "invitation-wrong": ["invited", 422, async (who, links) => {
        await who.go(links.invitation);
        return submit(who, "/staff/invitation");
    }],
    "invitation-gone": ["visitor", 410, at("/staff/invitation?t=gone")],
    "security-second-factor-first": ["fresh", 200, at("/account/security?done=second-factor-first")],

    "desk": ["worker", 200, at("/desk")],
    "desk-counter": ["counter", 200, at("/desk")],
    "desk-wrong": ["worker", 422, sent("/desk", "/desk/search", { "#search-who": "kim@" })],
    "desk-nobody": ["worker", 404, sent("/desk", "/desk/search", { "#search-who": "nobody@example.com", "#search-reason": "1042" })],
    "desk-rights": ["worker", 200, at("/desk/rights")],
    // Before the card of the one who objected: with that open, the objection is, too.
    "desk-objection": ["worker", 200, firstObjection],
    "desk-objection-open": ["worker", 200, async (who) => {
        await firstObjection(who);
        return submit(who, "/desk/rights/open");
    }],
    "desk-objection-wrong": ["worker", 422, async (who) => {
        await firstObjection(who);
        await who.page.check("#decide-decision-overrule");
        return submit(who, "/desk/rights");
    }],
    "desk-card": ["worker", 200, (who) => who.search(`settled.${who.language}@example.com`, "1042: Something is not right."), { opened: true }],
    "desk-card-closed": ["worker", 200, async (who) => {
        await who.go("/desk/staff");
        return press(who.page, who.page.locator("main .row a.button").last());
    }],
    "desk-card-wrong": ["worker", 422, async (who) => {
        await who.go("/desk/staff");
        await press(who.page, who.page.locator("main .row a.button").last());
        return submit(who, "/desk/person");
    }],
    "desk-staff": ["worker", 200, at("/desk/staff")],
    "desk-access": ["worker", 200, at("/desk/access")],
    "desk-access-by": ["worker", 200, async (who) => {
        await who.go("/desk/access");
        await who.page.selectOption("#staff", { index: 1 });
        return submit(who, "/desk/access");
    }],
    "desk-not-yours": ["counter", 403, at("/desk/access")],
    "desk-not-there": ["fresh", 404, at("/desk")],
};

async function firstObjection(who) {
    await who.go("/desk/rights");
    return press(who.page, who.page.locator("main .row a.button").first());
}
