"""The whole path of a person, over HTTP: sign up, use, take along, change, close, be forgotten."""
import io
import json
import os
import re
import zipfile

import portal
from portal import PASSWORD, until

TEXTS = {
    "en": {"confirm": "Confirm your address", "html": '<html lang="en"'},
    "sv": {"confirm": "Bekräfta din adress", "html": '<html lang="sv"'},
}


class Path(portal.Case):
    def walk(self, language):
        """Fails if any step of a person's way does not do what it says, in their language."""
        p, address = self.portal, f"anna.{language}@example.com"
        b = p.browser(language=language)
        r = b.get("/sign-up")
        self.assertEqual(r.status, 200)
        self.assertIn(TEXTS[language]["html"], r.text)
        self.assertNotRegex(r.text, r'name="news"[^>]*checked')  # CNS: nothing is ticked for anybody

        r = b.post("/sign-up", {"email": address, "password": PASSWORD, "news": "yes"})
        self.assertEqual((r.status, r.location), (303, "/sign-up/sent"))
        m = p.mail(address, "/verify-email")
        self.assertEqual(m["Content-Language"], language)
        self.assertEqual(b.sign_in(address).status, 401)  # not confirmed yet: as for an address that somebody has
        self.assertEqual(b.get(m.path).status, 200)
        self.assertEqual(b.post("/verify-email", {"t": m.token}, page=m.path).location, "/sign-in?done=confirmed")
        self.assertEqual(b.get(m.path).status, 410)  # once
        news = p.mail(address, "/unsubscribe")
        self.assertIn("List-Unsubscribe", news)

        self.assertEqual(b.sign_in(address).location, "/account")
        for page in ("/account", "/account/settings", "/account/security", "/account/privacy"):
            r = b.get(page)
            self.assertEqual(r.status, 200, page)
            self.assertIn(TEXTS[language]["html"], r.text)
        self.assertIn(address, b.get("/account/privacy").text)

        # Correct something (RGT-03).
        r = b.post("/account/settings", {"language": language, "zone": "Europe/Helsinki", "country": "FI"})
        self.assertEqual(r.status, 303)
        self.assertIn("Helsinki", b.get("/account/settings").text)

        # Take it all along (RGT-06).
        self.assertEqual(b.post("/account/privacy/takeout", {"scope": "all"}, page="/account/privacy").status, 303)
        def ready():
            return re.search(r"/account/privacy/takeouts/[a-z0-9]+", b.get("/account/privacy").text)
        z = zipfile.ZipFile(io.BytesIO(b.get(until(ready, "the export").group(0)).body))
        self.assertIsNone(z.testzip())
        data = json.loads(z.read("data.json"))
        self.assertIn(address, json.dumps(data, ensure_ascii=False))
        self.assertIn("Helsinki", json.dumps(data))
        self.assertIn(address, z.read("index.html").decode())
        self.assertIn("schema.json", z.namelist())

        # Close, and be forgotten at once.
        r = b.post("/account/close", {"when": "now", "sure": "yes"})
        self.assertEqual(r.status, 303, r.text)
        receipt = b.get(r.location)
        self.assertEqual(receipt.status, 200)
        self.assertEqual(b.get("/account").status, 303)
        until(lambda: p.rows("SELECT count(*) FROM account")[0][0] == "0", "the erasure")
        self.assertEqual(b.sign_in(address).status, 401)
        out = p.cli("verify")
        self.assertEqual(out.returncode, 0, out.stdout)

    def test_rgt_06_path_in_english(self):
        self.walk("en")

    def test_rgt_06_path_in_swedish(self):
        self.walk("sv")


class Demo(portal.Case):
    settings = {"TROTH_DEMO": "true"}

    def test_the_newest_mail_is_shown_however_many_there_are(self):
        """Fails if a demo that has been used for long no longer shows the mail that one waits for."""
        p = self.portal
        p.account("first@example.com")
        with open(os.path.join(p.mail_dir, p.mails()[0].name), "rb") as f:
            old = f.read()
        def older(n, prefix):
            for i in range(n):
                path = os.path.join(p.mail_dir, f"{prefix}{i:03}.eml")
                with open(path, "wb") as out:
                    out.write(old)
                os.utime(path, (1, 1))
        older(250, "a")
        p.browser().post("/sign-up", {"email": "newest@example.com", "password": PASSWORD})
        p.mail("newest@example.com", "/verify-email")
        older(250, "z")
        self.assertIn("newest@example.com", p.browser().get("/demo/mail").text)


class Json(portal.Case):
    def test_same_urls_answer_with_the_view_model(self):
        """Fails if a program cannot walk the path that a browser can."""
        p, address = self.portal, "program@example.com"
        b = p.browser(accept="application/json")
        def send(path, page=None, **fields):
            view = b.get(page or path)
            return b.post(path, fields, token=view.json()["csrf"])
        r = send("/sign-up", email=address, password=PASSWORD)
        self.assertEqual((r.status, r.json()["location"]), (201, "/sign-up/sent"))
        m = p.mail(address, "/verify-email")
        self.assertEqual(send("/verify-email", page=m.path, t=m.token).status, 200)
        r = send("/sign-in", email=address, password="not this one", next="")
        self.assertEqual(r.status, 401)
        self.assertEqual(r.headers["Content-Type"], "application/problem+json")
        problem = r.json()
        self.assertEqual((problem["status"], problem["errors"][0]["field"]), (401, "password"))
        self.assertTrue(problem["instance"].startswith("urn:troth:request:"))
        self.assertEqual(send("/sign-in", email=address, password=PASSWORD, next="").status, 200)
        view = b.get("/account/privacy")
        self.assertEqual(view.headers["Content-Type"], "application/json")
        self.assertIn(address, view.text)
        self.assertEqual(b.get("/nowhere").status, 404)
        self.assertEqual(b.get("/nowhere").json()["status"], 404)


    def test_every_error_is_a_problem(self):
        """RFC 9457. Fails if a program must read a page's own view to learn what is wrong."""
        j = self.portal.browser(accept="application/json", language="sv")
        b = self.portal.browser()
        post = {"path": "/verify-email", "fields": {"t": "a" * 80}, "token": b.token("/sign-in")}
        j.cookies = dict(b.cookies)
        for r, status in ((j.get("/nowhere"), 404), (j.get("/account"), 401), (j.get("/verify-email?t=a"), 410),
                          (j.get("/account/email?t=a"), 410), (j.get("/recover/new?t=a"), 410), (j.get("/takeout?t=a"), 410),
                          (j.get("/privacy/receipt?number=a"), 404), (j.post(**post), 410)):
            self.assertEqual((r.status, r.headers["Content-Type"]), (status, "application/problem+json"), r.text)
            self.assertEqual(r.json()["status"], status)
            self.assertTrue(r.json()["code"].startswith("problem."))
            self.assertTrue(r.json()["detail"])


class Account(portal.Case):
    def test_mya_02_known_and_unknown_addresses_look_the_same(self):
        """Fails if a stranger can find out who has an account."""
        p = self.portal
        p.account("known@example.com")
        stranger = p.browser()
        def face(path, address):
            fields = {"email": address} if path == "/recover" else {"email": address, "password": PASSWORD}
            r = stranger.post(path, fields)
            headers = {k: v for k, v in r.headers.items() if k not in ("Date",)}
            return r.status, r.location, headers, re.sub(r"[a-z0-9.]+@example.com", "", r.text)
        for path in ("/sign-up", "/recover"):
            self.assertEqual(face(path, "known@example.com"), face(path, "unknown@example.com"))
        a = stranger.sign_in("known@example.com", "wrong password")
        b = stranger.sign_in("nobody@example.com", "wrong password")
        self.assertEqual(a.status, b.status)
        def same(r):
            text = re.sub(r"[a-z]+@example.com", "", r.text)
            return re.sub(r"urn:troth:request:\w+", "", text)
        self.assertEqual(same(a), same(b))
        # The owner is told; the other address gets a way to begin.
        self.assertIsNotNone(p.mail("known@example.com", "/sign-in"))
        self.assertIsNotNone(p.mail("unknown@example.com", "/verify-email"))

    def test_mya_06_a_forgotten_password(self):
        """Fails if a reset link works twice, for another, or leaves the old password or sessions valid."""
        p = self.portal
        b = p.account("anna@example.com")
        other = p.browser()
        self.assertEqual(other.post("/recover", {"email": "ANNA@example.com"}).status, 303)
        m = p.mail("anna@example.com", "/recover/new")
        new = "a quite different long phrase"
        weak = other.post("/recover/new", {"t": m.token, "password": "password1"}, page=m.path)
        self.assertEqual(weak.status, 422)
        tampered = m.token[:-1] + ("a" if m.token[-1] != "a" else "b")
        token = other.token("/sign-in")
        self.assertEqual(other.post("/recover/new", {"t": tampered, "password": new}, token=token).status, 410)
        self.assertEqual(other.post("/recover/new", {"t": m.token, "password": new}, page=m.path).status, 303)
        self.assertEqual(other.post("/recover/new", {"t": m.token, "password": new}, token=token).status, 410)
        self.assertEqual(b.get("/account").status, 303)  # signed out everywhere
        self.assertEqual(p.browser().sign_in("anna@example.com").status, 401)
        self.assertEqual(p.browser().sign_in("anna@example.com", new).location, "/account")

    def test_mya_07_a_new_address_is_confirmed_at_both(self):
        """Fails if one of the two alone can move the account, or the old address still signs in after."""
        p = self.portal
        b = p.account("old@example.com")
        r = b.post("/account/settings/email", {"email": "new@example.com", "password": PASSWORD}, page="/account/settings")
        self.assertEqual(r.status, 303, r.text[:2000])
        at_new, at_old = p.mail("new@example.com"), p.mail("old@example.com")
        self.assertNotEqual(at_new.token, at_old.token)
        one = p.browser()
        one.post("/account/email", {"t": at_new.token}, page=at_new.path)
        self.assertEqual(p.browser().sign_in("new@example.com").status, 401)
        one.post("/account/email", {"t": at_old.token}, page=at_old.path)
        self.assertEqual(p.browser().sign_in("new@example.com").location, "/account")
        self.assertEqual(p.browser().sign_in("old@example.com").status, 401)

    def test_mya_17_a_closed_account_reopens_within_its_window(self):
        """Fails if closing does not close at once, or what was there is not back after reopening."""
        p = self.portal
        b = p.account("anna@example.com")
        self.assertEqual(b.post("/account/close", {"when": "window", "sure": "yes"}).status, 303)
        self.assertEqual(p.browser().sign_in("anna@example.com").status, 403)
        m = p.mail("anna@example.com", "/account/reopen")
        stranger = p.browser()
        self.assertEqual(stranger.get(m.path).status, 200)
        self.assertEqual(stranger.post("/account/reopen", {"t": m.token}, page=m.path).status, 303)
        back = p.browser()
        self.assertEqual(back.sign_in("anna@example.com").location, "/account")
        self.assertIn("anna@example.com", back.get("/account/privacy").text)
        self.assertEqual(stranger.get(m.path).status, 410)

    def test_cns_05_news_ends_with_one_click_from_the_mail(self):
        """RFC 8058. Fails if ending the news needs a sign-in, a cookie or a second step."""
        p = self.portal
        b = p.account("anna@example.com", news=True)
        m = p.mail("anna@example.com", "/unsubscribe")
        url = m["List-Unsubscribe"].strip("<>")
        path = re.sub(r"^https?://[^/]+", "", url)
        mailer = p.browser()
        r = mailer.ask("POST", path, "List-Unsubscribe=One-Click", {"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(r.status, 200, r.text)
        page = b.get("/account/privacy", headers={"Accept": "application/json"}).json()
        self.assertIn('"by a link in an e-mail"', json.dumps(page))
        self.assertFalse(mailer.cookies)

    def test_rgt_07_restriction_and_objection(self):
        """Fails if either right is only written down: news stop at once under both."""
        p = self.portal
        b = p.account("anna@example.com", news=True)
        r = b.post("/account/privacy/restrict", {"reason": "accuracy", "note": "Fel adress"}, page="/account/privacy")
        self.assertEqual(r.status, 303)
        self.assertIn("Fel adress", b.get("/account/privacy").text)
        r = b.post("/account/privacy/restrict/lift", {}, page="/account/privacy")
        self.assertEqual(r.status, 303)
        r = b.post("/account/privacy/object", {"purpose": "direct-marketing", "reason": ""}, page="/account/privacy")
        self.assertEqual(r.status, 303, r.text[:3000])
        r = b.post("/account/privacy/object", {"purpose": "protect-accounts", "reason": "Jag vill inte"}, page="/account/privacy")
        self.assertEqual(r.status, 303)
        out = p.ok("rights", "list")
        self.assertIn("protect-accounts", out)
        self.assertNotIn("anna@", out)


if __name__ == "__main__":
    portal.main()
