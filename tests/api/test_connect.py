"""The Connect API over HTTP: the ten steps and each refusal, by the program that an app would be; two accounts
at every endpoint; every field of every message, wrong in every way; and that secrets are found nowhere."""
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse

import portal
from connect import App, solve
from portal import PASSWORD, ROOT, until
from test_factors import code_of, set_up_app, wrong_code
from test_licenses import issue


class Person(portal.Case):
    def person(self, name, **kw):
        return self.portal.account(f"{name}@example.com", **kw)

    def count(self, table):
        return int(self.portal.rows(f"SELECT count(*) FROM {table}")[0][0])

    def refused(self, r, status, code):
        self.assertEqual((r.status, r.code), (status, code), r.text)
        self.assertEqual(r.headers["Content-Type"], "application/problem+json")


class Steps(Person):
    def test_wps_01_wps_15_wps_21_the_ten_steps(self):
        """Fails if an app cannot go the whole way from a statement to a disconnection, with a new person, or if
        anything is asked of it beyond the list."""
        p = self.portal
        x = App(p)
        s = x.statement()
        self.assertEqual(len(s["fields"]), 41)
        self.assertEqual({d["rel"] for d in s["documents"]},
                         {"products-and-services-policy", "license-agreement", "privacy-policy", "terms", "disconnecting"})
        b = p.browser()
        for d in s["documents"]:
            path = d["url"].replace(p.env.get("TROTH_PUBLIC_URL", ""), "") if "TROTH_PUBLIC_URL" in p.env else re.sub(r"^https?://[^/]+", "", d["url"])
            self.assertEqual(b.get(path).status, 200, d)
        swedish = x.get(f"/statements/{x.application}?locale=sv-SE").json()
        self.assertEqual((swedish["locale"], swedish["version"]), ("sv", s["version"]))
        self.assertNotEqual(swedish["text"], s["text"])
        etag = x.get(f"/statements/{x.application}").headers["ETag"]
        self.assertEqual(x.get(f"/statements/{x.application}", headers={"If-None-Match": etag}).status, 304)
        other = App(p, "total-security").statement()
        self.assertNotEqual(other["version"], s["version"])

        x.accept()
        wish = {"context": x.context, "email": "new@example.com", "password": PASSWORD, **x.captcha(), "locale": "en-GB",
                "region": "SE", "marketing_agreement": True}
        r = x.post("/accounts", wish)
        self.assertEqual((r.status, r.json()), (202, {"next": "confirm-address", "context": x.context}), r.text)
        known = x.post("/accounts", {**wish, **x.captcha(), "email": "new@example.com"})
        self.assertEqual((known.status, known.text), (r.status, r.text))
        self.refused(x.sign_in("new@example.com"), 401, "credentials-wrong")  # not confirmed yet
        m = p.mail("new@example.com", "/verify-email")
        self.assertEqual(p.browser().post("/verify-email", {"t": m.token}, page=m.path).status, 303)
        r = x.sign_in("new@example.com")
        self.assertEqual((r.status, r.json()["next"]), (200, "bind"), r.text)
        user = r.json()["user_id"]
        r = x.bind()
        self.assertEqual(r.status, 201, r.text)
        self.assertEqual(set(r.json()), {"device_id", "application_instance_id", "binding_id", "user_id", "token", "interval"})
        self.assertEqual(r.json()["user_id"], user)
        self.refused(x.post("/bindings", x.bind_message(), token=""), 410, "context-over")

        r = x.put(f"{x.at}/service", {"device_token_type": "none", "service_id": "my-account", "binding_id": x.ids["binding_id"]})
        self.assertEqual((r.status, r.body), (204, b""))
        r = x.send()
        self.assertEqual(r.status, 200, r.text)
        self.assertEqual(set(r.json()) - {"token"}, {"commands_waiting", "license", "activation_codes", "interval"})
        self.assertEqual(set(r.json()["license"]), {"type", "status", "service_information", "activation_error", "expires", "features"})
        etag = r.headers["ETag"]
        self.assertEqual((x.send(etag=etag).status, x.send(etag=etag).body), (304, b""))
        self.assertEqual(x.get(f"{x.at}/state", headers={"If-None-Match": etag}).status, 304)
        x.device["os_version"] = "12.1"
        changed = x.send(etag=etag)
        self.assertEqual(changed.status, 200)
        self.assertNotEqual(changed.headers["ETag"], etag)
        self.assertEqual(x.get("/commands").json()["commands"], [])
        self.assertEqual(x.get("/commands/wait").status, 304)

        b = p.browser()
        b.sign_in("new@example.com")
        settings = b.get("/account/settings").text
        self.assertRegex(settings, r'value="SE"[^>]*selected|selected[^>]*value="SE"')  # the region, shown
        consents = b.get("/account/privacy", headers={"Accept": "application/json"}).json()["consents"]
        given = {c["purpose"]: c["given"] for c in consents}
        self.assertEqual((given["remote-management"], given["product-news"]), (True, True))

        r = x.post("/disconnections", {"binding_id": x.ids["binding_id"], "choice": "withdrawn"})
        self.assertEqual(r.status, 200, r.text)
        self.assertEqual(set(r.json()), {"ended"})
        for again in (x.send(), x.get("/commands"), x.post("/disconnections", {"binding_id": x.ids["binding_id"], "choice": "withdrawn"})):
            self.refused(again, 410, "disconnected")
        consents = b.get("/account/privacy", headers={"Accept": "application/json"}).json()["consents"]
        self.assertNotIn("remote-management", [c["purpose"] for c in consents if c["given"]])

    def test_wps_02_wps_03_wps_12_wps_13_wps_17_each_refusal(self):
        """Fails if a step is taken without the one before it, twice, or by somebody else; or if a captcha counts
        twice, for another kind, or when it is wrong."""
        p = self.portal
        self.person("anna")
        x = App(p)
        before = self.count("connect_context")
        for path, message in (("/sign-ins", x.credentials("anna@example.com") | {"context": "c1." + "0" * 78}),
                              ("/connections", {"context": "c1." + "0" * 78, "connection_password": "ABCD-EFGH", "temporary_device_id": x.temporary}),
                              ("/bindings", {**x.bind_message(), "context": "c1." + "0" * 78})):
            self.refused(x.post(path, message), 410, "context-over")
        version = x.statement()["version"]
        self.refused(x.post(f"/statements/{version}/acceptances", {**x.about, "choice": "withdrawn"}), 400, "choice-is-none")
        self.refused(x.post(f"/statements/1.{'0' * 32}/acceptances", {**x.about, "choice": "participate"}), 409, "statement-changed")
        self.refused(x.get("/statements/no-such-app"), 404, "application-unknown")
        self.assertEqual(self.count("connect_context"), before)  # nothing was stored

        x.accept()
        self.refused(x.bind(), 409, "context-out-of-order")
        self.refused(x.post("/second-factors", {"context": x.context, "one_time_password": "123456"}), 409, "context-out-of-order")
        self.refused(x.sign_in("anna@example.com", "wrong horse battery"), 401, "credentials-wrong")
        self.refused(x.sign_in("nobody@example.com"), 401, "credentials-wrong")
        wish = {"context": x.context, "email": "b@example.com", "password": PASSWORD, "locale": "sv", "region": "SE", "marketing_agreement": False}
        c = x.captcha()
        self.refused(x.post("/accounts", {**wish, **c, "captcha_reply": "bm90aGluZw=="}), 403, "captcha-wrong")
        self.refused(x.post("/accounts", {**wish, **c, "captcha_type": "question"}), 403, "captcha-wrong")
        self.refused(x.post("/accounts", {**wish, **c, "captcha_id": "0" * 32}), 403, "captcha-wrong")
        self.refused(x.post("/accounts", {**wish, **c, "password": "password1"}), 422, "password-weak")
        self.refused(x.post("/accounts", {**wish, **c, "region": "ZZ"}), 400, "fields")
        self.assertEqual(x.post("/accounts", {**wish, **c}).status, 202)
        self.refused(x.post("/accounts", {**wish, **c}), 403, "captcha-wrong")  # used
        question = x.post("/captchas", {"context": x.context, "captcha_type": "question"})
        self.assertEqual((question.status, set(question.json()["challenge"])), (201, {"text"}))

        self.assertEqual(x.sign_in("anna@example.com").status, 200)
        self.refused(x.sign_in("anna@example.com"), 409, "context-out-of-order")
        self.refused(x.post("/bindings", {**x.bind_message(), "temporary_device_id": "another-one-" + "0" * 8}), 403, "not-yours")
        self.refused(x.post("/bindings", {**x.bind_message(), "application_id": "mobile-security"}), 403, "application-differs")
        self.assertEqual(x.bind().status, 201)
        self.refused(x.ask("GET", "/commands", token="d1.nobody"), 401, "token-unknown")
        r = x.ask("GET", "/commands", token="")
        self.refused(r, 401, "token-unknown")
        self.assertEqual(r.headers["WWW-Authenticate"], "Bearer")
        self.refused(x.ask("DELETE", "/commands"), 405, "method")
        self.refused(x.get("/nothing"), 404, "not-found")
        # A message in no JSON, in none that is one object, of another type, too long, or deep.
        for raw in (b"", b"{", b"[]", b"null", b'{"a":1}{"b":2}', b'{"a":1,"a":2}', b'{"a":' + b"[" * 50 + b"]" * 50 + b"}", b'"\xff"'):
            self.refused(x.ask("POST", "/sign-ins", raw=raw), 400, "json")
        self.refused(x.ask("POST", "/sign-ins", raw=b"{}", kind="text/plain"), 415, "media-type")
        self.refused(x.ask("POST", "/sign-ins", raw=b" " * 9000), 413, "too-large")

    def test_wps_14_second_factor(self):
        """Fails if an app gets in without the second step, by a wrong or used code, or is not told what it may use."""
        p = self.portal
        b = self.person("anna")
        secret = set_up_app(b)
        x = App(p)
        x.accept()
        r = x.sign_in("anna@example.com")
        self.assertEqual((r.status, r.json()["next"], r.json()["ways"]), (200, "second-factor", ["totp"]), r.text)
        self.assertNotIn("user_id", r.json())
        self.refused(x.bind(), 409, "context-out-of-order")
        self.refused(x.post("/second-factors/messages", {"context": x.context}), 404, "no-text-messages")
        self.refused(x.post("/second-factors", {"context": x.context, "one_time_password": wrong_code(secret)}), 401, "code-wrong")
        code = code_of(secret)
        r = x.post("/second-factors", {"context": x.context, "one_time_password": code[:3] + " " + code[3:]})
        self.assertEqual((r.status, r.json()["next"]), (200, "bind"), r.text)
        y = App(p)
        y.accept()
        y.sign_in("anna@example.com")
        self.refused(y.post("/second-factors", {"context": y.context, "one_time_password": code}), 401, "code-wrong")
        for _ in range(4):
            y.post("/second-factors", {"context": y.context, "one_time_password": wrong_code(secret)})
        r = y.post("/second-factors", {"context": y.context, "one_time_password": code_of(secret, 1)})
        self.refused(r, 429, "too-many-codes-tried")
        self.assertIn("Retry-After", r.headers)
        self.assertEqual(x.bind().status, 201)

    def test_wps_18_the_same_message_twice(self):
        """Fails if a message that is sent again with its key is done again, or if a key is good for another message."""
        p = self.portal
        self.person("anna")
        x = App(p)
        x.accept()
        key = {"Idempotency-Key": "sign-in-00001"}
        first = x.post("/sign-ins", x.credentials("anna@example.com"), headers=key)
        again = x.post("/sign-ins", x.credentials("anna@example.com"), headers=key)
        self.assertEqual((first.status, again.status, first.json()), (200, 200, again.json()))
        self.refused(x.post("/sign-ins", x.credentials("eve@example.com"), headers=key), 422, "idempotency-key-reused")
        key = {"Idempotency-Key": "binding-00001"}
        first = x.bind(headers=key)
        old = x.token
        again = x.bind(headers=key)
        self.assertEqual((first.status, again.status), (201, 201), again.text)
        same = ("device_id", "application_instance_id", "binding_id", "user_id")
        self.assertEqual([first.json()[k] for k in same], [again.json()[k] for k in same])
        self.assertNotEqual(old, x.token)  # the first one is nowhere to be had
        self.assertEqual(x.send().status, 200)
        self.refused(x.get("/commands", token=old), 401, "token-unknown")
        self.assertEqual(self.count("device" if "device" in self.tables() else "devices"), 1)
        self.refused(x.bind(headers={"Idempotency-Key": "x"}), 400, "fields")

    def tables(self):
        if self.portal.database:
            return [r[0] for r in self.portal.rows("SELECT tablename FROM pg_tables")]
        return [r[0] for r in self.portal.rows("SELECT name FROM sqlite_master")]

    def test_wps_12_rfc_8628_without_a_keyboard(self):
        """Fails if a device gets in without the explicit consent of somebody signed in, or by another's code."""
        p = self.portal
        b = self.person("anna")
        x = App(p)
        x.accept()
        r = x.form("/device_authorization", {"client_id": x.application, "scope": x.context})
        self.assertEqual(r.status, 200, r.text)
        g = r.json()
        self.assertEqual((g["expires_in"], g["interval"]), (900, 5))
        self.assertRegex(g["user_code"], "^[B-Z]{4}-[B-Z]{4}$")
        wish = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": g["device_code"], "client_id": x.application}

        def poll(**more):
            r = x.form("/token", {**wish, **more})
            return r.status, r.json().get("error")
        self.assertEqual(poll(), (400, "authorization_pending"))
        self.assertEqual(poll(), (400, "slow_down"))
        self.assertEqual(poll(device_code=g["device_code"][:-1] + ("0" if g["device_code"][-1] != "0" else "1")), (400, "invalid_grant"))
        self.assertEqual(poll(grant_type="password"), (400, "unsupported_grant_type"))
        self.assertEqual(p.browser().get(f"/device?user_code={g['user_code']}").status, 303)  # sign in first
        page = b.get(f"/device?user_code={g['user_code'].lower()}")
        self.assertEqual(page.status, 200)
        self.assertIn("Troth Agent", page.text)
        self.assertEqual(poll()[0], 400)  # to look is not to agree
        self.assertEqual(b.get("/device?user_code=BBBB-BBBB").status, 404)
        r = b.post("/device", {"user_code": g["user_code"], "decision": "agree"})
        self.assertEqual((r.status, r.location), (303, "/device?done=device-agreed"))
        r = x.form("/token", wish)
        self.assertEqual((r.status, r.json()["token_type"]), (200, "context"), r.text)
        x.context = r.json()["access_token"]
        self.assertEqual(poll(), (400, "invalid_grant"))  # once
        self.assertEqual(x.bind().status, 201)
        y = App(p)
        y.accept()
        g = y.form("/device_authorization", {"client_id": y.application, "scope": y.context}).json()
        b.post("/device", {"user_code": g["user_code"], "decision": "deny"})
        r = y.form("/token", {**wish, "device_code": g["device_code"]})
        self.assertEqual((r.status, r.json()["error"]), (400, "access_denied"))
        self.refused(y.bind(), 409, "context-out-of-order")
        self.assertEqual(y.form("/device_authorization", {"client_id": "mobile-security", "scope": y.context}).json()["error"], "invalid_client")

    def test_wps_30_a_changed_statement_suspends_sending(self):
        """Fails if an app may go on sending after its statement was changed, or cannot go on once it is accepted."""
        if not shutil.which("msgfmt"):
            self.skipTest("no msgfmt")
        p = self.portal
        self.person("anna")
        x = App(p).connect("anna@example.com")
        y = App(p, "mobile-security").connect("anna@example.com")
        p.stop()
        overlay = os.path.join(p.dir, "overlay", "connect", "locale")
        os.makedirs(overlay)
        po = os.path.join(p.dir, "sv.po")
        with open(po, "w", encoding="utf-8") as f:
            f.write('msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\nPlural-Forms: nplurals=2; plural=(n != 1);\\n"\n'
                    'msgid "statement.troth-agent.1"\nmsgstr "En ny mening."\n')
        subprocess.run(["msgfmt", "-o", os.path.join(overlay, "sv.mo"), po], check=True)
        p.env["TROTH_OVERLAY"] = os.path.join(p.dir, "overlay")
        p.start()
        for r in (x.send(), x.get("/commands"), x.get(f"{x.at}/state"),
                  x.put(f"{x.at}/service", {"device_token_type": "none", "service_id": "my-account", "binding_id": x.ids["binding_id"]})):
            self.refused(r, 403, "statement-changed")
        self.assertEqual(y.send().status, 200)  # another app has a statement of its own
        version = x.statement()["version"]
        self.refused(x.post(f"{x.at}/acceptances?version=1.{'0' * 32}", {**x.about, "choice": "participate"}), 409, "statement-changed")
        self.assertEqual(x.post(f"{x.at}/acceptances?version={version}", {**x.about, "choice": "participate"}).status, 204)
        self.assertEqual(x.send().status, 200)

    def test_wps_10_cns_04_consent_taken_back_on_the_page(self):
        """Fails if an app may send after its person took the consent back elsewhere than in the app."""
        p = self.portal
        b = self.person("anna")
        x = App(p).connect("anna@example.com")
        self.assertEqual(x.send().status, 200)
        b.post("/account/privacy/consent", {"purpose": "remote-management", "decision": "no"}, page="/account/privacy")
        x.device["os_version"] = "13"
        self.refused(x.send(), 403, "consent-withdrawn")
        r = b.post("/account/privacy/consent", {"purpose": "remote-management", "decision": "yes"}, page="/account/privacy")
        self.assertEqual(r.status, 400)  # only the statement asks for it
        version = x.statement()["version"]
        self.assertEqual(x.post(f"{x.at}/acceptances?version={version}", {**x.about, "choice": "participate"}).status, 204)
        self.assertEqual(x.send().status, 200)


class Licenses(Person):
    def test_wps_22_mya_43_activation_codes_both_ways(self):
        """Fails if a code that an app sends does not become its license, is taken twice or by another account, or if a
        code that its owner sends to a device does not reach it."""
        p = self.portal
        b = self.person("anna")
        self.person("eve")
        codes, _ = issue(p, 2)
        x = App(p, "total-security").connect("anna@example.com")
        wish = lambda code, app=x: {"activation_code": code, "binding_id": app.ids["binding_id"]}
        slip = codes[0][:-1] + ("A" if codes[0][-1] != "A" else "B")
        self.refused(x.post("/activation-codes", wish(slip)), 400, "code-mistyped")
        self.refused(x.post("/activation-codes", wish("ABC")), 400, "code-malformed")
        self.refused(x.get("/license-file"), 404, "no-license")
        key = {"Idempotency-Key": "a-code-000001"}
        r = x.post("/activation-codes", wish(codes[0]), headers=key)
        self.assertEqual(r.status, 200, r.text)
        self.assertEqual(r.json()["license"]["status"], "active")
        self.assertEqual(x.post("/activation-codes", wish(codes[0]), headers=key).json(), r.json())
        again = x.post("/activation-codes", wish(codes[0]))  # its answer was lost, and it had no key
        self.assertEqual((again.status, again.json()), (200, r.json()))
        self.refused(x.post("/activation-codes", wish(codes[1]), headers=key), 422, "idempotency-key-reused")
        state = x.send()
        self.assertEqual(state.json()["license"], r.json()["license"])
        self.assertEqual(len(x.get("/license-file").text.strip().split(".")), 3)
        self.assertEqual({k["kty"] for k in x.get("/keys", token="").json()["keys"]}, {"OKP"})
        self.assertEqual(len(x.get("/revocations", token="").text.strip().split(".")), 3)
        eve = App(p, "total-security").connect("eve@example.com")
        self.refused(eve.post("/activation-codes", wish(codes[0], eve)), 409, "code-in-another-account")
        other = App(p, "mobile-security").connect("anna@example.com")
        self.refused(other.post("/activation-codes", wish(codes[0], other)), 409, "other-product")
        # The other way: from the page to a second device.
        y = App(p, "total-security", name="desk").connect("anna@example.com")
        self.assertEqual(y.send().json()["activation_codes"], [])
        mine = b.get("/account/licenses", headers={"Accept": "application/json"}).json()["licenses"][0]
        r = b.post(f"/account/licenses/{mine['id']}/send", {"device": y.ids["device_id"]}, page=f"/account/licenses/{mine['id']}")
        self.assertEqual(r.status, 303, r.text[:3000])
        state = y.send()
        self.assertEqual((state.status, [c.replace("-", "") for c in state.json()["activation_codes"]]), (200, [codes[0].replace("-", "")]), state.text)
        r = y.post("/activation-codes", wish(state.json()["activation_codes"][0], y))
        self.assertEqual(r.status, 200, r.text)
        self.assertEqual(y.send().json()["activation_codes"], [])

    def test_wps_23_a_purchase_that_no_store_signed(self):
        """Fails if a purchase makes a license without the store's signature, or before it was made."""
        p = self.portal
        self.person("anna")
        x = App(p, "total-security").connect("anna@example.com")
        wish = Others.message(self, "purchase", x)
        r = x.post("/purchases", wish)
        self.assertIn((r.status, r.code), ((422, "purchase-signature-wrong"), (404, "purchase-unknown-item")), r.text)
        self.assertEqual(x.send().json()["license"]["type"], "none")


class Others(portal.Case):
    def test_wps_26_mya_41_two_accounts_at_every_endpoint(self):
        """Fails if an app sees or does anything that is another account's, at any endpoint that the document has."""
        p = self.portal
        for name in ("anna", "eve"):
            p.account(f"{name}@example.com")
        anna, eve = App(p, name="annas-laptop").connect("anna@example.com"), App(p, name="eves-laptop").connect("eve@example.com")
        self.assertEqual(anna.send().status, 200)
        before = p.rows("SELECT count(*) FROM connect_answer")
        document = anna.get("/openapi.json").json()
        tried = 0
        for path, methods in document["paths"].items():
            for method, o in methods.items():
                if not o.get("security"):
                    continue
                tried += 1
                foreign = path.replace("{binding_id}", anna.ids["binding_id"]).replace("{command_id}", anna.ids["binding_id"])
                if o["operationId"] == "acceptAgain":
                    foreign += f"?version={anna.statement()['version']}"
                if o["operationId"] == "commandFailed":
                    foreign += "?reason=no-such-thing"
                message = None
                if "requestBody" in o:
                    name = o["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
                    message = self.message(name, anna)
                r = eve.ask(method.upper(), foreign, message)
                if "{" in path or message:
                    self.assertIn(r.status, (403, 404), (method, path, r.text))
                    self.assertIn(r.code, ("not-yours", "binding-unknown", "command-unknown", "position-not-asked"), (method, path, r.text))
                for own in ("annas-laptop", anna.ids["device_id"], anna.ids["user_id"], anna.ids["application_instance_id"]):
                    self.assertNotIn(own, r.text, (method, path))
        self.assertEqual(tried, 13)
        self.assertEqual(p.rows("SELECT count(*) FROM connect_answer"), before)
        self.assertEqual(anna.send().status, 200)  # unharmed
        for mixed in ("binding_id", "device_id", "application_instance_id"):
            r = eve.put(f"{eve.at}/state", {**eve.report(), mixed: anna.ids[mixed]})
            self.assertEqual((r.status, r.code), (403, "not-yours"), mixed)
        report = eve.report()
        report["device"]["device_id"] = anna.ids["device_id"]
        self.assertEqual(eve.send(report).code, "not-yours")
        again = App(p)
        again.accept()
        again.sign_in("eve@example.com")
        again.device["device_id"] = anna.ids["device_id"]
        self.assertEqual(again.bind().code, "not-yours")

    def message(self, name, x):
        """A good message of that schema, with the IDs of that app."""
        purchase = {"item_name": "total_security_1y", "purchased_at": "2026-11-01T10:00:00Z", "package_name": "com.example.x",
                    "receipt_name": "r1", "purchase_token": "t1", "signature": "c2lnbmF0dXJl.c2lnbmF0dXJl", "purchase_status": "purchased"}
        binding = {"binding_id": x.ids["binding_id"]}
        return {"acceptance": {**x.about, "choice": "participate"}, "report": x.report(), "nothing": {},
                "service_choice": {"device_token_type": "none", "service_id": "my-account", **binding},
                "position": {"latitude": 59.3, "longitude": 18.1, "accuracy": 20},
                "code_wish": {"activation_code": "ABCDE-ABCDE-ABCDE-ABCDE-ABCDE", **binding},
                "purchase": {**purchase, **binding}, "disconnection": {"choice": "withdrawn", **binding}}[name]


class Fields(portal.Case):
    def resolve(self, schema):
        if "$ref" in schema:
            at = self.document
            for part in schema["$ref"][2:].split("/"):
                at = at[part]
            return at
        return schema

    def wrongs(self, schema):
        """Values that the schema does not allow, each with what is told of it."""
        kind = schema.get("type")
        kinds = kind if isinstance(kind, list) else [kind]
        yield ([1], "type") if "array" not in kinds else ({"a": 1}, "type")
        if "boolean" not in kinds:
            yield True, "type"
        if "null" not in kinds:
            yield None, "type"
        if "string" in kinds:
            yield 7, "type"
            if "enum" in schema:
                yield "no such value", "choice"
                return
            yield "x" * (schema["maxLength"] + 1), "long"
            yield "line\nline", "pattern"
            if schema.get("minLength", 0) > 0:
                yield "", "short"
        if "number" in kinds:
            yield schema["maximum"] + 1, "range"
            yield "7", "type"

    def spoiled(self, message, schema, at=()):
        """(what was done, the message, the field's name, its code)."""
        schema = self.resolve(schema)
        dotted = lambda name: ".".join((*at, name))
        whole = json.loads(json.dumps(message))
        part = whole
        for name in at:
            part = part[name]

        def copy(change):
            kept = json.dumps(part)
            change(part)
            out = json.loads(json.dumps(whole))
            part.clear()
            part.update(json.loads(kept))
            return out
        yield copy(lambda m: m.update({"shoe_size": 44})), dotted("shoe_size"), "field-unknown"
        for name, inner in schema.get("properties", {}).items():
            inner = self.resolve(inner)
            if name in schema.get("required", []):
                yield copy(lambda m: m.pop(name)), dotted(name), "field-missing"
            for value, why in self.wrongs(inner):
                yield copy(lambda m: m.update({name: value})), dotted(name), f"field-{why}"
            if "properties" in inner and name in part:
                yield from self.spoiled(message, inner, (*at, name))

    def test_wps_09_every_field_of_every_message_wrong(self):
        """Fails if any field of any endpoint may be missing, unknown, of another type, too long or too short without
        a 400 that names it; if any of it is answered by a 5xx; or if anything is stored of it."""
        p = self.portal
        p.account("anna@example.com")
        x = App(p).connect("anna@example.com")
        self.assertEqual(x.send().status, 200)
        self.document = x.get("/openapi.json").json()
        context = "c1." + "0" * 78
        binding = {"binding_id": x.ids["binding_id"]}
        captcha = {"captcha_id": "0" * 32, "captcha_type": "altcha", "captcha_reply": "x"}
        good = {
            "captcha_wish": {"context": context, "captcha_type": "altcha"},
            "registration": {"context": context, "email": "b@example.com", "password": PASSWORD, **captcha, "locale": "sv", "region": "SE",
                             "marketing_agreement": False},
            "sign_in": {**x.credentials("anna@example.com"), "context": context, **captcha},
            "second_factor": {"context": context, "one_time_password": "123456"}, "context_alone": {"context": context},
            "connection": {"context": context, "connection_password": "ABCD-EFGH", "temporary_device_id": x.temporary},
            "binding_wish": {**x.bind_message(), "context": context, "device": {**x.device, "device_id": x.ids["device_id"]}},
        }
        tables = [t for t in ("connect_context", "connect_answer", "connect_grant", "account", "intake", "captcha_used", "job", "mail")]
        stored = lambda: [p.rows(f"SELECT count(*) FROM {t}") for t in tables]
        before = stored()
        sent = 0
        for path, methods in self.document["paths"].items():
            for method, o in methods.items():
                content = o.get("requestBody", {}).get("content", {})
                if "application/json" not in content:
                    continue
                schema = content["application/json"]["schema"]
                name = schema["$ref"].split("/")[-1]
                message = good.get(name) or Others.message(self, name, x)
                where = path.replace("{binding_id}", x.ids["binding_id"]).replace("{command_id}", x.ids["binding_id"])
                where = where.replace("{version}", x.statement()["version"])
                where += {"acceptAgain": f"?version={x.statement()['version']}", "commandFailed": "?reason=code"}.get(o["operationId"], "")
                for wrong, field, code in self.spoiled(message, schema):
                    r = x.ask(method.upper(), where, wrong)
                    sent += 1
                    self.assertEqual(r.status, 400, (method, path, wrong, r.text))
                    self.assertEqual(r.fields.get(field), code, (method, path, wrong, r.text))
                    self.assertEqual(r.code, "field-unknown" if code == "field-unknown" else "fields")
        self.assertGreater(sent, 300)
        # Paths and queries are checked likewise.
        for method, path in (("GET", "/statements/UPPER"), ("GET", "/statements/troth-agent?locale=x"), ("GET", "/statements/troth-agent?lang=sv"),
                             ("GET", "/bindings/short/state"), ("GET", f"{x.at}/state?x=1"), ("GET", "/commands?all=1")):
            r = x.ask(method, path)
            self.assertEqual(r.status, 400, (path, r.text))
        r = x.post("/commands/" + x.ids["binding_id"] + "/failed", {})
        self.assertEqual(r.fields, {"reason": "field-missing"}, r.text)
        self.assertEqual(stored(), before)

    def test_wpf_02_wpf_06_wpf_08_wpf_14_wps_25_secrets_are_found_nowhere(self):
        """Fails if a password, a captcha's reply, a code of a second step or a one-time password is found in anything
        that the program keeps or logs."""
        p = self.portal
        secret = set_up_app(p.account("anna@example.com", "canary Plover 4471 password"))
        x = App(p)
        x.accept()
        captcha = x.captcha()
        canaries = {"password": "canary Plover 4471 password", "wrong password": "canary Dunlin 8812 wrong", "reply": captcha["captcha_reply"],
                    "code": "CANA RYCO DE77 88XX", "connection": "CANARYCONNECT77"}
        key = lambda n: {"Idempotency-Key": f"canary-key-{n:04}"}
        x.post("/accounts", {"context": x.context, "email": "b@example.com", "password": canaries["password"], **captcha, "locale": "sv",
                             "region": "SE", "marketing_agreement": False}, headers=key(1))
        x.sign_in("anna@example.com", canaries["wrong password"])
        x.post("/connections", {"context": x.context, "connection_password": canaries["connection"], "temporary_device_id": x.temporary}, headers=key(2))
        x.post("/sign-ins", x.credentials("anna@example.com", canaries["password"]), headers=key(3))
        x.post("/second-factors", {"context": x.context, "one_time_password": canaries["code"]}, headers=key(4))
        r = x.post("/second-factors", {"context": x.context, "one_time_password": code_of(secret)}, headers=key(5))
        self.assertEqual(r.status, 200, r.text)
        x.bind(headers=key(9))
        canaries["token"] = x.token.split(".")[1][52:] or x.token
        canaries["context"] = x.context[29:]
        p.mail("b@example.com")
        p.stop()
        kept = p.logged().encode()
        if p.database:
            kept += subprocess.run([os.path.join(os.environ["TROTH_TEST_PG_BIN"], "pg_dump"), p.env["TROTH_DATABASE"]], capture_output=True, check=True).stdout
        for root, _, files in os.walk(p.data):
            for name in files:
                with open(os.path.join(root, name), "rb") as f:
                    kept += f.read()
        for what, canary in canaries.items():
            for form in (canary.encode(), canary.encode().hex().encode(), urllib.parse.quote(canary).encode()):
                self.assertNotIn(form.lower(), kept.lower(), what)
        self.assertIn(b"troth-agent", kept)  # what is kept is looked at


class Limited(portal.Case):
    settings = {"TROTH_LIMITS": "on"}

    def test_wps_13_mya_14_a_captcha_after_wrong_passwords(self):
        """Fails if an app may try passwords without end, or if the captcha that it is asked for does not let it on."""
        p = self.portal
        p.account("anna@example.com")
        x = App(p)
        x.accept()
        codes = [x.sign_in("anna@example.com", "wrong horse battery").code for _ in range(12)]
        self.assertEqual((codes[0], codes[-1]), ("credentials-wrong", "captcha-needed"), codes)
        r = x.sign_in("anna@example.com", PASSWORD, **x.captcha())
        self.assertEqual((r.status, r.json()["next"]), (200, "bind"), r.text)
        # The page knows of it, too: what is counted here is counted there.
        self.assertEqual(p.browser().sign_in("anna@example.com").status, 429)

    def test_rfc_8628_5_1_codes_are_not_guessed(self):
        """Fails if a person may try more than a few codes."""
        b = self.portal.account("anna@example.com")
        seen = [b.get(f"/device?user_code=BBBBBB{a}{c}").status for a in "BCDF" for c in "BCDF"]
        self.assertEqual((seen[0], seen[-1]), (404, 429), seen)


if __name__ == "__main__":
    portal.main()
