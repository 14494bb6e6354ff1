"""People who work here: invited, let in, looking at others' data with a reason, and leaving."""
import json
import os
import unittest
import zipfile

import portal
from portal import POSTGRES
from test_factors import code_of, second, set_up_app

DAY = 86400


def invited(p, address, *roles, language=None):
    """Invites, and gives the path of the link."""
    words = ["staff", "add", address]
    for role in roles:
        words += ["--role", role]
    p.ok(*words, *(["--language", language] if language else []))
    return p.mail(address, "/staff/invitation")


def join(b, link, name="Eva Berg"):
    return b.post("/staff/invitation", {"t": link.token, "name": name}, page=link.path)


def enter(b, address, secret, step=0):
    """Signs in with both steps. Each step's code is good once."""
    r = b.sign_in(address)
    assert r.status == 303 and r.location.startswith("/sign-in/second"), (r.status, r.location)
    return second(b, "totp", code_of(secret, step))


def staff(p, address, *roles):
    """Somebody who works here, signed in, with the desk open."""
    b = p.account(address)
    secret = set_up_app(b)
    r = join(b, invited(p, address, *roles))
    assert r.status == 303 and r.location.startswith("/sign-in"), (r.status, r.text[:800])
    r = enter(b, address, secret)
    assert r.status == 303 and r.location == "/desk", (r.status, r.location)
    return b


def search(b, who, reason="case 1042"):
    return b.post("/desk/search", {"who": who, "reason": reason}, page="/desk")


def view(b, path):
    return b.get(path, headers={"Accept": "application/json"})


class Staff(portal.Case):
    def test_sec_07_an_invitation_works_once_for_one_address_and_seven_days(self):
        """Fails if the link lets in anybody else, or twice, or says who was invited."""
        p = self.portal
        other = p.account("other@example.com")
        link = invited(p, "eva@example.com", "support", "privacy", language="sv")
        self.assertIn("kundtjänst, dataskydd", link.text)
        stranger = p.browser()
        page = stranger.get(link.path)
        self.assertEqual(page.status, 200)
        self.assertNotIn("eva@example.com", page.text)
        self.assertEqual(stranger.ask("POST", "/staff/invitation", "csrf=x&t=x&name=x",
                                      headers={"Content-Type": "application/x-www-form-urlencoded"}).location.split("?")[0], "/sign-in")
        page = other.get(link.path)
        self.assertNotIn("eva@example.com", page.text)
        r = other.post("/staff/invitation", {"t": link.token, "name": "Mallory"}, page="/account/settings")
        self.assertEqual(r.status, 403)
        self.assertEqual(other.get("/desk").status, 404)

        eva = p.account("Eva@example.com")  # however it is written
        secret = set_up_app(eva)
        self.assertEqual(join(eva, link, name="").status, 422)
        self.assertEqual(join(eva, link).status, 303)
        self.assertEqual(eva.get("/account").status, 303)  # the longer session is over
        self.assertEqual(eva.get(link.path).status, 410)
        self.assertEqual(enter(eva, "eva@example.com", secret).location, "/desk")
        self.assertEqual(eva.get("/desk").status, 200)
        self.assertEqual(eva.post("/staff/invitation", {"t": link.token, "name": "Eva"}, page="/account/settings").status, 410)
        self.assertEqual(p.cli("staff", "add", "eva@example.com", "--role", "support").returncode, 1)

        for bad in ("", "x", link.token[:-1] + ("0" if link.token[-1] != "0" else "1"), link.token + "0"):
            self.assertEqual(other.get(f"/staff/invitation?t={bad}").status, 410)
        first, second = invited(p, "kim@example.com", "support"), invited(p, "kim@example.com", "statistics")
        self.assertEqual(other.get(first.path).status, 410)  # the later one stands in its place
        self.assertEqual(other.get(second.path).status, 200)
        out = p.ok("staff", "list")
        self.assertRegex(out, r"(?m)^invited kim@example.com +statistics")
        self.assertRegex(out, r"(?m)^\w{6}  Eva@example.com +support,privacy")
        p.ok("staff", "remove", "kim@example.com")
        self.assertEqual(other.get(second.path).status, 410)
        self.assertEqual(p.cli("staff", "remove", "kim@example.com").returncode, 1)
        p.stop()
        self.assertEqual(p.ok("verify").count("BROKEN"), 0)

    def test_sec_07_an_invitation_ends_after_seven_days_and_is_erased(self):
        """Fails if a link that was forgotten in a mailbox works for ever, or the address stays."""
        late = self.new_portal().start()
        link = invited(late, "late@example.com", "support")
        self.assertEqual(late.browser().get(link.path).status, 200)
        late.stop()
        # As it will be: the row, eight days on.
        self.sql(late, f"UPDATE staff_invitation SET made = made - {8 * DAY * 10**6}, ends = ends - {8 * DAY * 10**6}")
        late.start()
        self.assertEqual(late.browser().get(link.path).status, 410)
        late.ok("sweep")
        self.assertEqual(late.rows("SELECT count(*) FROM staff_invitation"), [("0",)])

    def sql(self, p, text):
        if p.database:
            portal.psql(p.database, text)
        else:
            import sqlite3
            with sqlite3.connect(f"{p.data}/troth.db") as c:
                c.execute(text)

    def test_sec_07_without_a_second_factor_the_desk_stays_shut(self):
        p = self.new_portal().start()
        b = p.account("eva@example.com")
        join(b, invited(p, "eva@example.com", "support"))
        r = b.sign_in("eva@example.com")
        self.assertEqual(r.location, "/desk")
        r = b.get("/desk")
        self.assertEqual((r.status, r.location), (303, "/account/security?done=second-factor-first"))
        r = b.get(r.location, headers={"Accept-Language": "en"})
        self.assertIn("two-step sign-in", r.text)
        r = view(b, "/desk/person?id=x")
        self.assertEqual((r.status, r.json()["code"]), (403, "problem.second-factor"))
        self.assertIn("no second factor", p.ok("staff", "list"))

    def test_sec_07_a_session_from_before_the_factor_is_asked_for_it_and_no_device_is_let_by(self):
        """Fails if the desk opens to a session that never brought the second step, or on a remembered device."""
        p = self.portal
        b = p.account("eva@example.com")
        join(b, invited(p, "eva@example.com", "support"))
        b.sign_in("eva@example.com")
        there = p.browser()
        there.sign_in("eva@example.com")
        secret = set_up_app(there)
        self.assertEqual(there.get("/desk").status, 200)  # it was just proved here
        r = b.get("/desk")
        self.assertEqual((r.status, r.location), (303, "/account/confirm?with=factor&next=%2Fdesk"))
        r = b.post("/account/confirm/totp", {"code": code_of(secret), "next": "/desk"}, page="/account/confirm")
        self.assertEqual((r.status, r.location), (303, "/desk"))
        self.assertEqual(b.get("/desk").status, 200)
        other = p.browser()
        other.sign_in("eva@example.com")
        self.assertEqual(second(other, "totp", code_of(secret, 1), remember="on").location, "/desk")
        other.cookies.pop("session")
        self.assertTrue(other.sign_in("eva@example.com").location.startswith("/sign-in/second"))

    def test_rec_07_rec_06_a_reading_is_the_persons_to_see(self):
        """Fails if a reading shows anything unrecorded, or the person does not find it in their export."""
        p = self.portal
        anna, ben = p.account("anna@example.com", language="sv"), p.account("ben@example.com")
        eva = staff(p, "eva@example.com", "support")
        self.assertEqual(search(eva, "nobody@example.com").status, 404)
        self.assertEqual(search(eva, "anna@example.com", reason="").status, 422)
        r = search(eva, "anna@example.com", "Ärende 4711")
        self.assertEqual(r.status, 303)
        card = r.location
        shown = view(eva, card).json()
        self.assertTrue(shown["open"])
        self.assertIn("anna@example.com", json.dumps(shown))
        names = {x["name"] for x in shown["records"]}
        self.assertLessEqual({"account", "consent", "session"}, names)
        self.assertFalse(names & {"session_origin", "security_event", "mail", "ticket", "objection"})

        # Another person, another reading.
        ben_id = self.id_of(ben)
        shut = view(eva, f"/desk/person?id={ben_id}").json()
        self.assertEqual((shut["open"], shut["records"]), (False, []))
        self.assertNotIn("ben@example.com", json.dumps(shut))
        self.assertEqual(eva.post("/desk/person", {"id": ben_id, "reason": "case 9"}, page=f"/desk/person?id={ben_id}").status, 303)
        self.assertTrue(view(eva, f"/desk/person?id={ben_id}").json()["open"])

        # Anna's own page and her zip say who (not by name), what and why.
        held = view(anna, "/account/privacy").json()
        notes = self.notes(held)
        self.assertEqual(len(notes), 1)
        self.assertRegex(notes[0], r"^support \w{6} [a-z_,]+\nÄrende 4711$")
        path = os.path.join(p.dir, "anna.zip")
        p.ok("export", "anna@example.com", path)
        with zipfile.ZipFile(path) as z:
            data = json.loads(z.read("data.json"))
            page = z.read("index.html").decode()
        events = [e for e in data["records"]["security_event"] if e["kind"] == "read-by-staff"]
        self.assertEqual(len(events), 1)
        self.assertIn("Ärende 4711", events[0]["note"])
        self.assertIn("Ärende 4711", page)
        self.assertNotIn("Eva Berg", json.dumps(data))
        self.assertIn("0 broken", p.ok("verify"))

    def id_of(self, b):
        return b.cookies["session"][:26]

    def notes(self, held):
        found = []
        for record in held["records"]:
            if record["name"] != "security_event":
                continue
            for entry in record["entries"]:
                found += [f["text"] for f in entry["fields"] if f["text"] and "Ärende" in f["text"]]
        return found

    def test_rec_07_who_works_here_does_not_go_with_the_name(self):
        """Fails if somebody who looked at people's data can take the name behind the pseudonym away."""
        p = self.portal
        eva = staff(p, "eva@example.com", "support")
        for when in ("now", "window"):
            r = eva.post("/account/close", {"when": when, "sure": "yes"})
            self.assertEqual(r.status, 403)
            self.assertIn("You work here", r.text)
        self.assertEqual(eva.get("/desk").status, 200)

    def test_rec_01_a_role_that_is_taken_away_reads_nothing_more(self):
        p = self.portal
        p.account("anna@example.com")
        eva = staff(p, "eva@example.com", "support")
        card = search(eva, "anna@example.com").location
        self.assertTrue(view(eva, card).json()["open"])
        p.ok("staff", "role", "eva@example.com", "--role", "marketing")
        self.assertEqual(view(eva, card).status, 403)
        self.assertFalse(view(eva, "/desk").json()["searches"])
        r = eva.ask("POST", "/desk/search", "csrf=x&who=anna%40example.com&reason=x", headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(r.status, 403)
        p.ok("staff", "role", "eva@example.com", "--role", "support")
        self.assertTrue(view(eva, card).json()["open"])
        p.ok("staff", "remove", "eva@example.com")
        self.assertEqual(view(eva, card).status, 404)
        self.assertEqual(eva.get("/account").status, 303)
        self.assertEqual(p.mail("eva@example.com")["To"], "eva@example.com")
        gone = p.browser()
        self.assertTrue(gone.sign_in("eva@example.com").location.startswith("/sign-in/second"))  # their own factor stays
        self.assertEqual(gone.get("/desk").status, 404)

    @unittest.skipUnless(POSTGRES, "two servers share a PostgreSQL")
    def test_sec_07_removal_holds_at_once_on_every_server(self):
        """Fails if a second server still lets in whom the first has shown out."""
        p = self.portal
        second = self.second_server(p)
        p.account("anna@example.com")
        eva = staff(p, "eva@example.com", "support")
        there = second.browser()
        there.cookies = eva.cookies
        self.assertEqual(there.get("/desk").status, 200)
        card = search(there, "anna@example.com").location
        self.assertTrue(view(eva, card).json()["open"])  # the reason was given once, for both
        p.ok("staff", "role", "eva@example.com", "--role", "statistics")
        self.assertEqual(view(there, card).status, 403)
        p.ok("staff", "role", "eva@example.com", "--role", "support")
        self.assertTrue(view(there, card).json()["open"])
        p.ok("staff", "remove", "eva@example.com")
        self.assertEqual(there.get("/desk").status, 404)
        self.assertEqual(there.get("/account").status, 303)

    def second_server(self, p):
        other = self.new_portal(postgres=False, init=False, env={"TROTH_DATABASE": p.env["TROTH_DATABASE"],
                                "TROTH_MASTER_KEY_FILE": os.path.join(p.data, "master.key"), "TROTH_MAIL": p.env["TROTH_MAIL"]})
        return other.start()

    def test_rec_07_gen_15_the_privacy_role_reviews_and_decides(self):
        p = self.portal
        anna = p.account("anna@example.com")
        anna.post("/account/privacy/object", {"purpose": "protect-accounts", "reason": "My reason."}, page="/account/privacy")
        eva = staff(p, "eva@example.com", "support")
        officer = staff(p, "dpo@example.com", "privacy")
        search(eva, "anna@example.com", "case 7")
        search(eva, "noone@example.com", "case 8")
        self.assertEqual(eva.get("/desk/access").status, 403)
        seen = view(officer, "/desk/access").json()["readings"]
        self.assertEqual([(x["reason"], x["in_vain"]) for x in seen], [("case 8", True), ("case 7", False)])
        self.assertNotIn("Eva Berg", json.dumps(seen))
        self.assertNotIn("eva@example.com", json.dumps(seen))
        number = view(officer, "/desk/rights").json()["objections"][0]["id"]
        page = f"/desk/rights?id={number}"
        self.assertNotIn("My reason.", officer.get(page).text)
        self.assertEqual(officer.post("/desk/rights/open", {"id": number}, page=page).status, 303)
        self.assertIn("My reason.", officer.get(page).text)
        self.assertEqual(officer.post("/desk/rights", {"id": number, "decision": "overrule", "ground": ""}, page=page).status, 422)
        self.assertEqual(officer.post("/desk/rights", {"id": number, "decision": "uphold", "ground": ""}, page=page).status, 303)
        self.assertTrue(view(officer, "/desk/rights").json()["empty"])
        self.assertEqual(view(officer, "/desk/access").json()["readings"][0]["reason"], number)

    def test_rec_07_the_review_says_that_somebody_was_erased_since_and_nothing_else(self):
        p = self.portal
        anna = p.account("anna@example.com")
        number = self.id_of(anna)
        eva, officer = staff(p, "eva@example.com", "support"), staff(p, "dpo@example.com", "privacy")
        search(eva, "anna@example.com", "a reason with a marker")
        p.ok("erase", "anna@example.com")
        seen = view(officer, "/desk/access").json()["readings"]
        self.assertEqual((len(seen), seen[0]["erased"], seen[0]["reason"], seen[0]["person"]), (1, True, "", ""))
        self.assertEqual(search(eva, number, "again").status, 404)
        self.assertEqual(view(eva, f"/desk/person?id={number}").status, 404)

    def test_sec_07_the_desk_opens_from_declared_networks_past_our_proxy(self):
        p = self.new_portal(env={"TROTH_STAFF_NETWORKS": "198.51.100.0/24, 2001:db8::/32", "TROTH_BEHIND_PROXY": "true"}).start()
        b = p.account("eva@example.com")
        secret = set_up_app(b)
        join(b, invited(p, "eva@example.com", "support"))
        enter(b, "eva@example.com", secret)
        for address, status in ((None, 403), ("198.51.100.7", 200), ("203.0.113.5", 403), ("2001:db8::9", 200),
                                ("203.0.113.5, 198.51.100.7", 200), ("198.51.100.7, 203.0.113.5", 403), ("nonsense", 403)):
            r = b.get("/desk", headers={"X-Forwarded-For": address} if address else None)
            self.assertEqual(r.status, status, address)


if __name__ == "__main__":
    portal.main()
