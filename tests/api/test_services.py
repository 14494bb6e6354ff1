"""Service accounts over HTTP: every service that there is, joined, corrected, left, by its own declaration.

What is asked is read from the program's own view of the form (Accept: application/json), so that a
service which is added is tested with the others.
"""
import json
import os
import re
import shutil
import sqlite3
import unittest
import urllib.parse

import portal

SERVICES = ["my-account", "business-hub", "endpoint-cloud", "cloud-console", "company-account", "mail-protection", "partner-portal", "report-parser"]
AT_ONCE = ["partner-portal", "report-parser"]
HOSTILE = """<script>alert(1)</script>"'&amp;{{=<% %>=}} ${7*7} '; DROP TABLE account; -- åäö"""


def write(p, sql):
    """Changes the store while nobody has it open."""
    p.stop()
    if p.database:
        portal.psql(p.database, sql)
    else:
        with sqlite3.connect(f"{p.data}/troth.db") as c:
            c.executescript(sql)
    p.start()


class Services(portal.Case):
    def person(self, name, language=None):
        b = self.portal.account(f"{name}@example.com", language=language)
        b.view = lambda path: b.get(path, headers={"Accept": "application/json"}).json()
        return b

    def table(self, service):
        return service.replace("-", "_")

    def count(self, service):
        return int(self.portal.rows(f"SELECT count(*) FROM {self.table(service)}")[0][0])

    def form(self, b, service, text=None):
        """Fields of the form, with an answer to each question: (all, the required questions, the consents)."""
        view = b.view(f"/services/{service}/join")
        fields, required = {}, []
        for q in view["questions"]:
            fields[q["name"]] = "SE" if any(o["value"] == "SE" for o in q["options"]) else "sv" if q["is_select"] else (text or f"Marker {q['name']} {service}")
            if q["required"]:
                required.append(q["name"])
        if view["service"]["has_terms"]:
            fields["terms"] = "yes"
            fields["version"] = str(view["service"]["terms"])
        return fields, required, [t["name"] for t in view["ticks"]]

    def send(self, b, path, fields, page):
        """As a program: the answer is a problem or a place to go on."""
        token = b.token(page)
        return b.post(path, fields, token=token, headers={"Accept": "application/json"})

    def join(self, b, service, **more):
        if service == "endpoint-cloud" and b.view("/services/business-hub")["state"] != "joined":
            b.post("/services/business-hub/join", self.form(b, "business-hub")[0])
        fields = {**self.form(b, service)[0], **more}
        r = b.post(f"/services/{service}/join", fields)
        self.assertEqual((r.status, r.location), (303, f"/services/{service}?done=service-joined"), r.text[:3000])
        return fields

    def leave(self, b, service):
        r = b.post(f"/services/{service}/leave")
        self.assertEqual(r.status, 303, r.text[:2000])
        return r

    def test_gen_23_gen_24_kso_01_cac_02_each_form_takes_what_it_declares(self):
        """Fails if a join goes through without what is required, with what is not declared, or leaves anything behind."""
        b = self.person("anna")
        self.assertEqual([s["service"] for s in b.view("/services")["services"]], SERVICES)
        for service in SERVICES:
            if service == "endpoint-cloud":
                continue
            fields, required, consents = self.form(b, service)
            page, path = f"/services/{service}/join", f"/services/{service}/join"
            html = b.get(page)
            self.assertIn("text/html", html.headers["Content-Type"])
            for missing in required + ["terms"]:
                for without in ({k: v for k, v in fields.items() if k != missing}, {**fields, missing: "   "}):
                    r = self.send(b, path, without, page)
                    self.assertEqual(r.status, 422, (service, missing, r.text))
                    self.assertEqual([e["field"] for e in r.json()["errors"]], [missing])
            for extra in ("password", "mobile", "role", "left_at", "license_ended", "joined", "account"):
                self.assertEqual(self.send(b, path, {**fields, extra: "x"}, page).status, 400, (service, extra))
            self.assertEqual(self.send(b, path, {**fields, "version": "99"}, page).json()["errors"][0]["code"], "services.terms-changed")
            for name in fields:
                if name in ("terms", "version"):
                    continue
                self.assertEqual(self.send(b, path, {**fields, name: "x" * 4001}, page).status, 422, (service, name))
            self.assertEqual(self.count(service), 0)
            self.assertEqual(b.view(f"/services/{service}")["state"], "none")
            # what is optional may be absent
            r = b.post(path, {k: v for k, v in fields.items() if k in required + ["terms", "version"]})
            self.assertEqual(r.status, 303, r.text[:2000])
            self.assertEqual(self.count(service), 1)
            for name in [n for n in fields if n not in required + ["terms", "version"]]:
                self.assertEqual(self.portal.rows(f"SELECT {name} FROM {self.table(service)}")[0][0], "")
            self.assertEqual(self.send(b, path, fields, f"/services/{service}").status, 409)
        self.assertEqual(self.portal.rows("SELECT count(*) FROM consent")[0][0], "0")

    def test_kes_01_kes_02_endpoint_cloud_takes_a_hub_account_and_nothing_else(self):
        """Fails if there is a way in past the hub, or a field to fill in."""
        b = self.person("anna")
        view = b.view("/services/endpoint-cloud/join")
        self.assertFalse(view["possible"])
        self.assertEqual((view["questions"], view["ticks"]), ([], []))
        self.assertEqual(self.send(b, "/services/endpoint-cloud/join", {}, "/account/settings").status, 403)
        self.assertEqual(self.count("endpoint-cloud"), 0)
        self.join(b, "endpoint-cloud")
        columns = self.portal.rows("SELECT role FROM endpoint_cloud")
        self.assertEqual(columns, [("user",)])
        self.leave(b, "business-hub")
        self.assertEqual(b.view("/services/endpoint-cloud")["state"], "left")

    def test_kso_02_a_hub_account_serves_and_the_company_is_asked_once(self):
        b = self.person("anna")
        self.join(b, "business-hub")
        self.assertIn("Business Hub", b.get("/services/mail-protection/join").text)
        self.assertTrue(b.view("/services/mail-protection/join")["serves"])
        self.join(b, "mail-protection")
        self.assertEqual(b.view("/services/mail-protection")["served_by"], "Business Hub")

    def test_cns_01_kbh_04_kbh_05_consents_are_unticked_and_apart(self):
        """Fails if a box is ticked beforehand, one consent brings another, or joining needs one."""
        b = self.person("anna")
        for service in SERVICES:
            html = b.get(f"/services/{service}/join").text
            self.assertNotRegex(html, r"<input[^>]*type=\"checkbox\"[^>]*checked")
        self.join(b, "business-hub", **{"business-hub-reviews": "yes"})
        def given(service):
            return {c["purpose"]: c["given"] for c in b.view(f"/services/{service}")["consents"]}
        self.assertEqual(given("business-hub"), {"business-hub-news": False, "business-hub-reviews": True})
        self.assertEqual(self.portal.rows("SELECT purpose, granted, way, version FROM consent"), [("business-hub-reviews", "1", "join-form", "1")])
        r = b.post("/services/business-hub/choice", {"purpose": "business-hub-news", "decision": "yes"}, page="/services/business-hub")
        self.assertEqual(r.status, 303)
        r = b.post("/services/business-hub/choice", {"purpose": "business-hub-reviews", "decision": "no"}, page="/services/business-hub")
        self.assertEqual(given("business-hub"), {"business-hub-news": True, "business-hub-reviews": False})
        # another service's, one that is no consent, one that is not there
        for purpose in ("mail-protection-news", "provide-business-hub", "product-news", "nothing"):
            r = b.post("/services/business-hub/choice", {"purpose": purpose, "decision": "yes"}, page="/services/business-hub")
            self.assertEqual(r.status, 404, purpose)
        # on the page of all choices, those of services that were not joined are not offered
        offered = {c["purpose"] for c in b.view("/account/privacy")["consents"]}
        self.assertEqual(offered, {"product-news", "business-hub-news", "business-hub-reviews"})
        self.assertEqual(b.post("/account/privacy/consent", {"purpose": "mail-protection-news", "decision": "yes"}, page="/account/privacy").status, 400)
        self.leave(b, "business-hub")
        granted = self.portal.rows("SELECT c.purpose FROM consent c WHERE c.granted = 1 AND NOT EXISTS "
                                   "(SELECT 1 FROM consent l WHERE l.subject = c.subject AND l.purpose = c.purpose AND l.seq > c.seq)")
        self.assertEqual(granted, [])
        self.assertEqual(self.portal.rows("SELECT DISTINCT way FROM consent WHERE granted = 0 AND purpose = 'business-hub-news'"), [("account-closed",)])

    def test_sec_06_hostile_text_stays_text(self):
        """Fails if what somebody types becomes a part of the page, or is changed."""
        b = self.person("anna")
        for service in ("mail-protection", "company-account"):
            fields = {**self.form(b, service, HOSTILE)[0]}
            fields = {k: v[:40] if k == "license" else v[:60] for k, v in fields.items()}
            r = b.post(f"/services/{service}/join", fields)
            self.assertEqual(r.status, 303, r.text[:3000])
            html = b.get(f"/services/{service}").text
            self.assertNotIn("<script>alert", html)
            self.assertIn("&lt;script&gt;alert(1)", html)
            kept = {q["name"]: q["value"] for q in b.view(f"/services/{service}")["questions"]}
            for name, value in kept.items():
                self.assertEqual(value, fields[name].strip())
            self.assertNotIn("<script>alert", b.get("/account/privacy").text)
        for value in ("a\nb", "a\x00b", "\udcff"):
            body = urllib.parse.urlencode({"company": value, "csrf": b.token("/services/mail-protection")}, errors="surrogateescape")
            r = b.ask("POST", "/services/mail-protection", body, {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"})
            self.assertIn(r.status, (400, 422), value)

    def test_cac_08_kbh_09_correcting_and_somebody_else(self):
        """Fails if one person sees or changes what is another's, or a wrong correction changes anything."""
        anna, james = self.person("anna"), self.person("james")
        for service in SERVICES:
            if service not in AT_ONCE:
                self.join(anna, service) if anna.view(f"/services/{service}")["state"] == "none" else None
        for service in SERVICES:
            mine = f"/services/{service}"
            self.assertEqual(james.view(mine)["state"], "none")
            for page in (mine, f"{mine}/join", "/services", "/account/privacy"):
                self.assertNotIn("Marker", json.dumps(james.view(page)), (service, page))
            self.assertEqual(james.get(f"{mine}/leave").status, 404)
            self.assertEqual(james.post(f"{mine}/leave", page="/account/settings").status, 404)
            self.assertIn(james.post(f"{mine}/accept", {"terms": "yes", "version": "1"}, page="/account/settings").status, (400, 404))
            self.assertEqual(james.get(f"{mine}/accept").status, 404)
        changed = {"first_name": "Anna", "last_name": "Ek", "company": "Ek AB", "country": "NO", "license": "EX-1", "language": ""}
        page = "/services/company-account"
        self.assertEqual(james.post(page, changed, page="/account/settings").status, 404)
        for wrong in ({"country": "Atlantis"}, {"company": ""}, {"language": "tlh"}, {"country": ""}):
            r = self.send(anna, page, {**changed, **wrong}, page)
            self.assertEqual((r.status, [e["field"] for e in r.json()["errors"]]), (422, list(wrong)))
        self.assertIn("Marker company company-account", json.dumps(anna.view(page)))
        self.assertEqual(anna.post(page, changed).status, 303)
        kept = {q["name"]: q["value"] for q in anna.view(page)["questions"]}
        self.assertEqual(kept, changed)
        self.assertEqual(anna.get("/services/nothing").status, 404)
        self.assertEqual(anna.post("/services/nothing/join", {}, page="/account/settings").status, 404)
        stranger = self.portal.browser(accept="application/json")
        for path in ("/services", "/services/business-hub", "/services/business-hub/join", "/services/business-hub/leave"):
            self.assertEqual(stranger.get(path).status, 401)

    def test_cac_30_prt_11_gsi_07_leaving_and_coming_back(self):
        """Fails if leaving leaves a way to use the service, erases too much or too little, or says something else than it does."""
        b = self.person("anna")
        for service in SERVICES:
            if b.view(f"/services/{service}")["state"] == "none":
                self.join(b, service)
            names = [q["name"] for q in b.view(f"/services/{service}")["questions"]]
            held = lambda: f"Marker {names[0]} {service}" in json.dumps(b.view("/account/privacy")) if names and service != "business-hub" else None
            self.assertIn(held(), (True, None))
            r = self.leave(b, service)
            if service in AT_ONCE:
                self.assertEqual(r.location, "/services?done=service-erased")
                self.assertEqual((self.count(service), b.view(f"/services/{service}")["state"]), (0, "none"))
            else:
                view = b.view(f"/services/{service}")
                self.assertEqual((view["state"], self.count(service)), ("left", 1))
                self.assertRegex(view["gone"], r"^\d{4}-\d\d-\d\dT")
                self.assertIn(held(), (True, None))  # kept until its term, and shown to its owner
                answers = {n: v for n, v in self.form(b, service)[0].items() if n in names}
                self.assertEqual(b.post(f"/services/{service}", answers, page="/account/settings").status, 404)
            self.assertEqual(b.get(f"/services/{service}/leave").status, 404)
            self.join(b, service)  # back
            self.assertEqual(b.view(f"/services/{service}")["state"], "joined")
            self.assertEqual(self.count(service), 1)
        self.assertEqual(self.portal.cli("verify").returncode, 0, self.portal.cli("verify").stdout)

    def test_cns_05_new_terms_are_asked_again_and_old_ones_can_be_read(self):
        b = self.person("anna")
        self.join(b, "company-account")
        self.assertFalse(b.view("/services/company-account")["ask_terms"])
        write(self.portal, "UPDATE company_account SET terms_version = 7")
        self.assertTrue(b.view("/services/company-account")["ask_terms"])
        self.assertIn("/services/company-account/accept", b.get("/services").text)
        path = "/services/company-account/accept"
        for wrong in ({"version": "1"}, {"terms": "yes", "version": "7"}):
            r = self.send(b, path, wrong, path)
            self.assertEqual((r.status, r.json()["errors"][0]["field"]), (422, "terms"))
        self.assertTrue(b.view("/services/company-account")["ask_terms"])
        self.assertEqual(b.post(path, {"terms": "yes", "version": "1"}).status, 303)
        self.assertFalse(b.view("/services/company-account")["ask_terms"])
        stranger = self.portal.browser()
        for service in SERVICES:
            r = stranger.get(f"/services/{service}/terms")
            self.assertEqual(r.status, 404 if service == "endpoint-cloud" else 200, service)
            self.assertEqual(stranger.get(f"/services/{service}/terms/99").status, 404)
        self.assertEqual(stranger.get("/services/company-account/terms/1").status, 200)

    def test_prt_08_prt_17_members_object_and_others_are_not_asked(self):
        """Fails if a purpose on legitimate interest cannot be objected to, or is offered to those whom it does not concern."""
        b = self.person("anna")
        def offered():
            html = b.get("/account/privacy").text
            return set(re.findall(r'<option value="(partner-[a-z]+)"', html))
        self.assertEqual(offered(), set())
        self.join(b, "partner-portal")
        five = {"partner-information", "partner-content", "partner-offers", "partner-improvement", "partner-search"}
        self.assertEqual(offered(), five)
        for purpose in five:
            self.assertEqual(b.post("/account/privacy/object", {"purpose": purpose, "reason": ""}, page="/account/privacy").status, 303)
        self.assertEqual({r[0] for r in self.portal.rows("SELECT purpose FROM objection WHERE state IN ('open', 'upheld')")}, five)

    def test_mya_20_mya_22_closing_the_identity_closes_all_and_reopening_opens_them(self):
        b = self.person("anna")
        for service in SERVICES:
            if b.view(f"/services/{service}")["state"] == "none":
                self.join(b, service)
        self.assertEqual(b.post("/account/close", {"when": "window", "sure": "yes"}).status, 303)
        for service in SERVICES:
            self.assertEqual(self.portal.rows(f"SELECT count(*) FROM {self.table(service)} WHERE left_at IS NOT NULL"), [("1",)])
        m = self.portal.mail("anna@example.com", "/account/reopen")
        self.assertEqual(self.portal.browser().post("/account/reopen", {"t": m.token}, page=m.path).status, 303)
        b.sign_in("anna@example.com")
        self.assertEqual([s["state"] for s in b.view("/services")["services"]], ["joined"] * len(SERVICES))
        self.assertEqual(b.post("/account/close", {"when": "now", "sure": "yes"}).status, 303)
        portal.until(lambda: self.portal.rows("SELECT count(*) FROM account")[0][0] == "0", "the erasure")
        self.assertEqual([self.count(s) for s in SERVICES], [0] * len(SERVICES))

    def test_gen_06_each_policy_says_what_is_declared_in_both_languages(self):
        for language in ("en", "sv"):
            b = self.portal.browser(accept="application/json", language=language)
            for service in SERVICES:
                policy = b.get(f"/privacy/{service}").json()["policy"]
                self.assertEqual(policy["language"], language)
                self.assertNotIn("MSG", json.dumps(policy))
                self.assertTrue(policy["account"]["uses"] and policy["purposes"] and policy["records"])
                labels = {f["label"] for r in policy["records"] for f in r["fields"]}
                self.assertTrue({a["label"] for a in policy["account"]["asks"]} <= labels)
                html = self.portal.browser(language=language).get(f"/privacy/{service}")
                self.assertEqual(html.status, 200)

    @unittest.skipIf(portal.POSTGRES, "a SQLite file is what is restored; test_enrolment does it on both")
    def test_kbh_23_a_restored_backup_does_not_bring_back_a_service_that_was_left(self):
        """Fails if rows of a backup from before the leaving are there again once the portal runs, or tell anything."""
        p = self.portal
        b, ben = self.person("anna"), self.person("ben")
        for who in (b, ben):
            self.join(who, "partner-portal")
        p.stop()
        kept = os.path.join(p.dir, "kept.db")
        shutil.copy(f"{p.data}/troth.db", kept)
        p.start()
        self.leave(b, "partner-portal")
        p.stop()
        shutil.copy(kept, f"{p.data}/troth.db")
        for suffix in ("-wal", "-shm"):
            if os.path.exists(f"{p.data}/troth.db{suffix}"):
                os.remove(f"{p.data}/troth.db{suffix}")
        self.assertEqual(self.count("partner-portal"), 2)  # the backup has both
        p.start()
        portal.until(lambda: self.count("partner-portal") == 1, "data and keyring to be joined")
        self.assertEqual(b.view("/services/partner-portal")["state"], "none")
        self.assertEqual(ben.view("/services/partner-portal")["state"], "joined")
        self.assertIn("0 broken", p.ok("verify"))

    def test_ret_06_a_trace_of_somebody_who_left_is_found(self):
        """Fails if the proof would not notice a role, a consent or an unreadable term that stayed."""
        b = self.person("anna")
        self.join(b, "business-hub", **{"business-hub-news": "yes"})
        self.leave(b, "business-hub")
        cases = {
            "left-is-left": ("UPDATE business_hub SET role = 'user'", "UPDATE business_hub SET role = NULL"),
            "terms-readable": ("UPDATE business_hub SET terms_version = 9", "UPDATE business_hub SET terms_version = 1"),
        }
        for promise, (breaks, mends) in cases.items():
            for sql, verdict in ((breaks, "broken"), (mends, "kept")):
                write(self.portal, sql)
                self.portal.cli("verify")
                states = self.portal.browser(accept="application/json").get("/privacy/promises").json()["general"]
                self.assertEqual({s["promise"]: s["verdict"] for s in states}[promise], verdict, sql)
        write(self.portal, "DELETE FROM consent WHERE granted = 0")
        self.portal.cli("verify")
        states = self.portal.browser(accept="application/json").get("/privacy/promises").json()["general"]
        self.assertEqual({s["promise"]: s["verdict"] for s in states}["left-is-left"], "broken")
        self.assertEqual({s["promise"]: s["verdict"] for s in states}["ask-only-declared"], "kept")


if __name__ == "__main__":
    portal.main()
