"""Getting back in, and knowing who got in: the security question, a second step that is lost, the mail of a
new sign-in, the security log, passwords that many have."""
import json
import os
import re
import sqlite3

import mmdb
import portal
from portal import PASSWORD, RELEASE, until
from test_factors import code_of, half_in, second, set_up_app
from test_staff import enter, invited, join

SEC = "/account/security"
DAY = 86400
NEW = "another four quiet otters"
SUBJECT = "A new sign-in to your account"


def view(b, path):
    return b.get(path, headers={"Accept": "application/json"})


def join_service(b, service):
    v = view(b, f"/services/{service}/join").json()
    fields = {q["name"]: "SE" if q["name"] == "country" else "" for q in v["questions"]}
    r = b.post(f"/services/{service}/join", {**fields, "terms": "yes", "version": str(v["service"]["terms"])})
    assert r.status == 303, r.text[:2000]


def recovery_link(p, address):
    b = p.browser()
    assert b.post("/recover", {"email": address}).status == 303
    return b, p.mail(address, "/recover/new")


def write(p, sql):
    """Changes the store behind the program's back."""
    p.stop()
    if p.database:
        portal.psql(p.database, sql)
    else:
        with sqlite3.connect(f"{p.data}/troth.db") as c:
            c.executescript(sql)
    p.start()


class NewSignIn(portal.Case):
    def told(self, address):
        return [m for m in self.portal.mails() if m["To"] == address and m["Subject"] == SUBJECT]

    def test_ntf_02_a_browser_that_is_new_is_told_of_once(self):
        """Fails if the owner hears nothing of a stranger's sign-in, or hears of their own again and again."""
        p = self.portal
        anna = p.account("anna@example.com")
        self.assertEqual(self.told("anna@example.com"), [], "the very first is no news")
        anna.post("/sign-out", page="/account")
        anna.sign_in("anna@example.com")
        other = p.browser()
        other.sign_in("anna@example.com")
        m = until(lambda: self.told("anna@example.com"), "the mail")[0]
        self.assertIn("Firefox, Linux", m.text)
        self.assertIn("127.0.0.1", m.text)
        self.assertEqual(m.path, f"{SEC}?")
        other.post("/sign-out", page="/account")
        other.sign_in("anna@example.com")
        p.stop()  # all mail is written
        self.assertEqual(len(self.told("anna@example.com")), 1)

    def test_mya_11_the_password_alone_makes_no_browser_known(self):
        """Fails if a browser counts as known, and passes the gate, before the second step."""
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        b = half_in(p, "anna@example.com")
        self.assertNotIn("known", b.cookies)
        self.assertEqual(second(b, "totp", code_of(secret)).status, 303)
        self.assertIn("known", b.cookies)
        until(lambda: self.told("anna@example.com"), "the mail")

    def test_ntf_02_two_people_share_a_browser(self):
        """Fails if each is a stranger again whenever the other has signed in between."""
        p = self.portal
        names = [f"{n}@example.com" for n in ("anna", "ben", "cecilia")]
        for name in names:
            p.account(name)
        b = p.browser()
        for _ in range(2):
            for name in names:
                b.cookies.pop("session", None)
                self.assertEqual(b.sign_in(name).location, "/account")
        p.stop()
        self.assertEqual([len(self.told(name)) for name in names], [1, 1, 1])

    def test_mya_14_a_new_password_ends_sign_ins_that_are_half_done(self):
        """Fails if the old password, already given, is good for anything once there is a new one."""
        p = self.portal
        anna = p.account("anna@example.com")
        secret = set_up_app(anna)
        b = half_in(p, "anna@example.com")
        self.assertEqual(anna.post(f"{SEC}/password", {"password": PASSWORD, "new_password": NEW}, page=SEC).status, 303)
        self.assertEqual(b.get("/sign-in/second").location, "/sign-in?done=step-gone")
        self.assertEqual(b.post("/sign-in/second/totp", {"code": code_of(secret), "next": ""}, page="/sign-in").location, "/sign-in?done=step-gone")

    def test_sec_06_a_made_up_cookie_is_no_bodys(self):
        """Fails if what a browser sends as the cookie of a known device ends the server, or is handed on."""
        p = self.portal
        p.account("anna@example.com")
        for made_up in ("-" * 40, "0" * 40, "zzzzzzzz" + "a" * 32, "é" * 20, "00000000" + "A" * 32, "x" * 39, ("0" * 8 + "-" * 32) * 5, "a" * 4000):
            b = p.browser()
            b.cookies["known"] = made_up.encode("utf-8").decode("latin-1")
            self.assertEqual(b.sign_in("anna@example.com").location, "/account", made_up)
            self.assertRegex(b.cookies["known"], r"^[0-9a-z]{40}([0-9a-z]{40})*$")
        self.assertEqual(p.browser().get("/healthz").status, 200)

    def test_mya_15_signing_up_and_then_in_tells_nothing(self):
        """Fails if the answer to a sign-in tells an address that was just signed up from one that somebody has."""
        p = self.portal
        p.account("known@example.com")
        answers = []
        for address in ("known@example.com", "fresh@example.com"):
            b = p.browser()
            self.assertEqual(b.post("/sign-up", {"email": address, "password": NEW}).status, 303)
            until(lambda: p.rows("SELECT count(*) FROM intake") == [("0",)], "the job")
            r = b.sign_in(address, NEW)
            answers.append((r.status, r.text.replace(address, "ADDRESS")))
        strip = lambda text: re.sub(r'value="[0-9a-z]{32}"|[0-9a-z]{26}', "", text)
        self.assertEqual(answers[0][0], answers[1][0])
        self.assertEqual(strip(answers[0][1]), strip(answers[1][1]))

    def test_mya_14_links_end_with_the_password(self):
        """Fails if a link that was made under the old password, or went to the old address, still opens something."""
        p = self.portal
        anna = p.account("anna@example.com")
        _, recover = recovery_link(p, "anna@example.com")
        anna.post("/account/settings/email", {"email": "anna.new@example.com", "password": PASSWORD}, page="/account/settings")
        change = p.mail("anna@example.com", "/account/email")
        self.assertEqual(anna.post(f"{SEC}/password", {"password": PASSWORD, "new_password": NEW}, page=SEC).status, 303)
        for m in (recover, change):
            self.assertEqual(p.browser().get(m.path).status, 410, m.path)

    def test_rgt_07_where_from_is_left_out_for_who_objects(self):
        """Fails if an address is written down for somebody who said stop."""
        p = self.portal
        anna = p.account("anna@example.com")
        anna.post("/account/privacy/object", {"purpose": "protect-accounts", "reason": "mine"}, page="/account/privacy")
        p.browser().sign_in("anna@example.com")
        m = until(lambda: self.told("anna@example.com"), "the mail")[0]
        self.assertNotRegex(m.text, r"(?<!/)127\.0\.0\.1")  # its link aside
        self.assertNotIn("Firefox", m.text)


class Places(portal.Case):
    def test_ntf_02_about_where_in_the_readers_language(self):
        """Fails if a place is another's, in another language, kept, or shown where none is known; or a bad file starts."""
        p = self.new_portal(env={"TROTH_BEHIND_PROXY": "true"})
        file = os.path.join(p.dir, "places.mmdb")
        mmdb.write(file, {
            "198.51.100.0/24": {"city": {"names": {"en": "Gothenburg", "sv": "Göteborg"}}, "country": {"iso_code": "SE"}},
            "203.0.113.0/24": {"country": {"iso_code": "DE"}},
            "192.0.2.0/25": {"city": {"names": {"en": "x" * 200}}, "country": {"iso_code": "<b>"}},
            "2001:db8::/32": {"city": {"names": {"en": "Lund"}}, "country": {"iso_code": "SE"}},
        })
        p.env["TROTH_PLACES"] = file
        p.start()
        anna = p.account("anna@example.com", language="sv")
        shown = {}
        for address in ("198.51.100.7", "203.0.113.9", "192.0.2.1", "192.0.2.200", "2001:db8::5"):
            b = p.browser()
            b.headers["X-Forwarded-For"] = address
            b.sign_in("anna@example.com")
            shown[address] = view(b, f"{SEC}/log").json()["events"][0]["address"]
        self.assertEqual(shown, {"198.51.100.7": "198.51.100.7 (Göteborg, Sverige)", "203.0.113.9": "203.0.113.9 (Tyskland)",
                                 "192.0.2.1": "192.0.2.1", "192.0.2.200": "192.0.2.200", "2001:db8::5": "2001:db8::5 (Lund, Sverige)"})
        self.assertIn("198.51.100.7 (Göteborg, Sverige)", anna.get(SEC).text)
        until(lambda: [m for m in p.mails() if "198.51.100.7 (Göteborg, Sverige)" in m.text], "the mail")
        p.stop()
        with open(f"{p.data}/troth.db", "rb") if not p.database else open(os.devnull, "rb") as f:
            self.assertNotIn("Göteborg".encode(), f.read())
        for wrong in (os.path.join(p.dir, "nothing.mmdb"), p.log_path):
            run = p.cli("verify", env={"TROTH_PLACES": wrong})
            self.assertEqual(run.returncode, 1)
            self.assertIn("places: ", run.stderr)


class Log(portal.Case):
    def kinds(self, b, path=f"{SEC}/log"):
        return [e["kind"] for e in view(b, path).json()["events"]]

    def test_sec_04_what_happens_is_there_to_read_and_to_keep(self):
        """Fails if something that matters is missing, or the download is less than the page, or opens without a recent proof."""
        p = self.portal
        anna, ben = p.account("anna@example.com", language="sv"), p.account("ben@example.com")
        other = p.browser()
        other.sign_in("anna@example.com")
        anna.post(f"{SEC}/sessions/others", page=SEC)
        anna.post(f"{SEC}/password", {"password": PASSWORD, "new_password": NEW}, page=SEC)
        anna.post("/account/privacy/takeout", {"scope": "all"}, page="/account/privacy")
        self.assertEqual(self.kinds(anna), ["takeout-asked", "password-changed", "sessions-ended", "signed-in", "signed-in"])
        self.assertEqual(self.kinds(ben), ["signed-in"])
        page = anna.get(f"{SEC}/log").text
        for text in ("Lösenordet ändrades", "med lösenordet", "Firefox, Linux"):
            self.assertIn(text, page)
        r = anna.get(f"{SEC}/log/download")
        self.assertEqual(r.status, 200)
        self.assertIn("attachment", r.headers["Content-Disposition"])
        kept = json.loads(r.text)["events"]
        self.assertEqual([e["number"] for e in kept], [5, 4, 3, 2, 1])
        self.assertEqual(p.browser().get(f"{SEC}/log").status, 303)
        self.assertEqual(anna.get(f"{SEC}/log?before=nonsense").status, 404)
        write(p, "UPDATE session SET proved = proved - 1200000000")
        r = anna.get(f"{SEC}/log/download")
        self.assertEqual((r.status, r.location.split("?")[0]), (303, "/account/confirm"))
        self.assertEqual(anna.get(f"{SEC}/log").status, 200)

    def test_sec_04_a_long_log_has_pages(self):
        p = self.portal
        anna = p.account("anna@example.com")
        for _ in range(53):
            p.browser().sign_in("anna@example.com")
        first = view(anna, f"{SEC}/log").json()
        self.assertEqual((len(first["events"]), first["more"]), (50, True))
        rest = view(anna, first["next"]).json()
        self.assertEqual([e["number"] for e in rest["events"]], [4, 3, 2, 1])
        self.assertFalse(rest["more"])
        self.assertEqual(len(json.loads(anna.get(f"{SEC}/log/download").text)["events"]), 54)

    def test_sec_04_what_changes_nothing_is_no_event(self):
        """Fails if somebody can fill the log, and with it every page and proof that reads it, at a press."""
        p = self.portal
        anna = p.account("anna@example.com")
        for path in ("sessions/others", "lost/stop", "devices/all"):
            anna.ask("POST", f"{SEC}/{path}", f"csrf={anna.token(SEC)}", {"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(self.kinds(anna), ["signed-in"])

    def test_rgt_02_a_page_of_what_is_held_has_an_end(self):
        """Fails if a long log makes the page of one's own data fail, or grow without end."""
        p = self.portal
        anna = p.account("anna@example.com")
        for n in range(130):
            anna.post(f"{SEC}/password", {"password": (PASSWORD, NEW)[n % 2], "new_password": (NEW, PASSWORD)[n % 2]}, page=SEC)
        held = {r["name"]: r for r in view(anna, "/account/privacy").json()["records"]}
        self.assertEqual((held["security_event"]["count"], held["security_event"]["more"]), (100, True))
        self.assertFalse(held["account"]["more"])
        self.assertEqual(held["security_event"]["entries"][0]["fields"][1]["text"], "Password changed")
        self.assertIn("The latest 100 are shown here", anna.get("/account/privacy").text)
        self.assertEqual(len(json.loads(anna.get(f"{SEC}/log/download").text)["events"]), 131)
        p.stop()
        self.assertIn("0 broken", p.ok("verify"))

    def test_sec_04_verify_finds_what_was_changed_behind_the_programs_back(self):
        """Fails if a line can be removed, changed or added unseen."""
        p = self.portal
        anna = p.account("anna@example.com")
        for _ in range(3):
            p.browser().sign_in("anna@example.com")
        p.stop()
        self.assertIn("0 broken", p.ok("verify"))
        for change, back in (("UPDATE security_event SET kind = 'totp-on' WHERE seq = 2", "UPDATE security_event SET kind = 'signed-in' WHERE seq = 2"),
                             ("UPDATE security_event SET made = made - 1 WHERE seq = 3", "UPDATE security_event SET made = made + 1 WHERE seq = 3"),
                             ("UPDATE security_head SET seq = 3", "UPDATE security_head SET seq = 4"),
                             ("INSERT INTO security_event (subject, id, seq, kind, actor, made, earlier, address, browser, note, chain) "
                              "SELECT subject, 'x', 5, kind, actor, made, earlier, address, browser, note, chain FROM security_event WHERE seq = 4",
                              "DELETE FROM security_event WHERE seq = 5"),
                             ("DELETE FROM security_event WHERE seq = 4", None)):
            write(p, change)
            p.stop()
            run = p.cli("verify")
            self.assertEqual(run.returncode, 1, f"{change}\n{run.stdout}")
            self.assertRegex(run.stdout, r"(?m)^BROKEN .*[Ll]og", change)
            if back:
                write(p, back)
                p.stop()
                self.assertEqual(p.cli("verify").returncode, 0, back)


class Question(portal.Case):
    def setUp(self):
        self.anna = self.portal.account("anna@example.com")

    def set(self, question="first-pet", answer="Fluffy the Cat", own=""):
        return self.anna.post(f"{SEC}/question", {"question": question, "own": own, "answer": answer})

    def test_kbh_07_ksc_04_only_members_of_services_that_offer_it_have_one(self):
        """Fails if everybody is asked, or the question outlives the service that it is for."""
        p, anna = self.portal, self.anna
        self.assertEqual(anna.get(f"{SEC}/question").status, 404)
        self.assertNotIn(f"{SEC}/question", anna.get(SEC).text)
        r = anna.ask("POST", f"{SEC}/question", f"csrf={anna.token(SEC)}&question=first-pet&own=&answer=Fluffy+the+Cat",
                     {"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(r.status, 404)
        join_service(anna, "business-hub")
        join_service(anna, "cloud-console")
        self.assertIn(f"{SEC}/question", anna.get(SEC).text)
        self.assertEqual(self.set().status, 303)
        anna.post("/services/business-hub/leave")
        self.assertEqual(len(p.rows("SELECT id FROM security_question")), 1)
        anna.post("/services/cloud-console/leave")
        self.assertEqual(p.rows("SELECT id FROM security_question"), [])
        self.assertEqual(anna.get(f"{SEC}/question").status, 404)

    def test_kbh_08_the_answer_is_a_hash_and_asked_for_beside_the_link(self):
        """Fails if the link alone is enough, or the answer alone does anything, or capitals and blanks count."""
        p = self.portal
        join_service(self.anna, "business-hub")
        for question, answer, own, field in (("first-pet", "ab", "", "answer"), ("own", "Volvo", "My Volvo?", "answer"), ("own", "Saab 900", "", "own")):
            r = self.set(question, answer, own)
            self.assertEqual(r.status, 422, answer)
            self.assertIn(f'id="question-{field}-error"', r.text)
        self.assertEqual(self.set().status, 303)
        b, m = recovery_link(p, "anna@example.com")
        page = b.get(m.path)
        self.assertIn("What was your first pet called?", page.text)
        for answer, status in (("", 422), ("Rex", 403)):
            r = b.post("/recover/new", {"t": m.token, "password": NEW, "answer": answer}, page=m.path)
            self.assertEqual(r.status, status, answer)
        self.assertEqual(b.sign_in("anna@example.com", NEW).status, 401)
        r = b.post("/recover/new", {"t": m.token, "password": NEW, "answer": "  fluffy  THE cat"}, page=m.path)
        self.assertEqual(r.status, 303, r.text[:2000])
        self.assertEqual(b.sign_in("anna@example.com", NEW).location, "/account")

    def test_kbh_08_a_change_is_told_of_and_asks_for_the_second_step(self):
        """Fails if somebody with the session alone can put a question of theirs before the owner's recovery."""
        p = self.portal
        join_service(self.anna, "business-hub")
        self.set()
        until(lambda: [m for m in p.mails() if m["Subject"] == "Your security question was changed"], "the mail")
        set_up_app(self.anna)
        write(p, "UPDATE session SET factor = NULL")
        for path, fields in ((f"{SEC}/question", {"question": "first-pet", "own": "", "answer": "Rex the Dog"}), (f"{SEC}/question/off", {})):
            r = self.anna.post(path, fields, page=f"{SEC}/question")
            self.assertTrue(r.location.startswith("/account/confirm?with=factor"), (path, r.status, r.location))
        self.assertEqual(len(p.rows("SELECT id FROM security_question")), 1)

    def test_kbh_08_five_answers_a_day(self):
        """Fails if an answer can be guessed at without end, by new links either."""
        p = self.portal
        join_service(self.anna, "business-hub")
        self.set()
        for n in range(5):
            if n % 2 == 0:
                b, m = recovery_link(p, "anna@example.com")
            self.assertEqual(b.post("/recover/new", {"t": m.token, "password": NEW, "answer": f"wrong {n}"}, page=m.path).status, 403)
        r = b.post("/recover/new", {"t": m.token, "password": NEW, "answer": "Fluffy the Cat"}, page=m.path)
        self.assertEqual(r.status, 429)
        write(p, f"UPDATE answer_try SET made = made - {DAY * 10**6}, ends = ends - {DAY * 10**6}")
        r = b.post("/recover/new", {"t": m.token, "password": NEW, "answer": "Fluffy the Cat"}, page=m.path)
        self.assertEqual(r.status, 303)


class Lost(portal.Case):
    def test_mya_12_three_days_then_the_password_is_enough(self):
        """Fails if it opens a minute early, or nobody is told, or the old second step still counts."""
        p = self.new_portal(binary=RELEASE)
        p.ahead(0)
        p.start()
        anna = p.account("anna@example.com")
        secret = set_up_app(anna)
        b = half_in(p, "anna@example.com")
        self.assertEqual(b.post("/sign-in/lost/finish", page="/sign-in/lost").status, 409)
        self.assertEqual(b.post("/sign-in/lost").location, "/sign-in/lost")
        first = p.mail("anna@example.com", "/recover/stop")
        self.assertEqual(b.post("/sign-in/lost", page="/sign-in/second").location, "/sign-in/lost")  # twice is once
        self.assertTrue(view(b, "/sign-in/lost").json()["waits"])
        self.assertIn("asked to sign in without your second step", anna.get(SEC).text)
        for seconds, status in ((3 * DAY - 60, 409), (3 * DAY + 60, 303)):
            p.ahead(seconds)
            b = half_in(p, "anna@example.com")
            r = b.post("/sign-in/lost/finish", page="/sign-in/second")
            self.assertEqual(r.status, status, r.text[:1000])
        self.assertEqual(b.get(r.location).status, 200)
        late = p.mail("anna@example.com", "/recover/stop")
        self.assertNotEqual(first["Subject"], late["Subject"])
        until(lambda: [m for m in p.mails() if m["Subject"] == "Two-step sign-in is off"], "the last mail")
        self.assertEqual(p.rows("SELECT id FROM totp"), [])
        self.assertEqual(p.browser().get(late.path).status, 410)
        self.assertEqual(p.browser().sign_in("anna@example.com").location, "/account")
        kinds = [e["kind"] for e in view(b, f"{SEC}/log").json()["events"]]
        self.assertEqual([k for k in kinds if "lost" in k or "cleared" in k], ["factors-cleared", "lost-factor-asked"])
        self.assertIsNotNone(secret)

    def test_mya_12_it_can_be_stopped_by_the_mail_by_the_account_and_by_the_second_step(self):
        """Fails if whoever has only the password gets in all the same."""
        p = self.portal
        anna = p.account("anna@example.com")
        secret = set_up_app(anna)

        def ask():
            b = half_in(p, "anna@example.com")
            self.assertEqual(b.post("/sign-in/lost").status, 303)
            self.assertEqual(len(p.rows("SELECT id FROM lost_factor")), 1)
            return p.mail("anna@example.com", "/recover/stop")
        m = ask()
        stranger = p.browser()
        self.assertEqual(stranger.get(m.path).status, 200)
        self.assertEqual(len(p.rows("SELECT id FROM lost_factor")), 1, "opening the link does nothing")
        self.assertEqual(stranger.post("/recover/stop", {"t": m.token}, page=m.path).location, "/recover?done=lost-stopped")
        self.assertEqual(p.rows("SELECT id FROM lost_factor"), [])
        self.assertEqual(stranger.get(m.path).status, 410)
        ask()
        self.assertEqual(anna.post(f"{SEC}/lost/stop", page=SEC).status, 303)
        self.assertEqual(p.rows("SELECT id FROM lost_factor"), [])
        m = ask()
        self.assertEqual(second(half_in(p, "anna@example.com"), "totp", code_of(secret)).location, "/account")
        self.assertEqual(p.rows("SELECT id FROM lost_factor"), [])
        self.assertEqual(stranger.get(m.path).status, 410)

    def test_mya_12_nobody_gets_there_without_the_password(self):
        p = self.portal
        set_up_app(p.account("anna@example.com"))
        b = p.browser()
        r = b.get("/sign-in/lost")
        self.assertEqual((r.status, r.location), (303, "/sign-in?done=step-gone"))
        for path in ("/sign-in/lost", "/sign-in/lost/finish"):
            self.assertEqual(b.post(path, page="/sign-in").location, "/sign-in?done=step-gone")
        for bad in ("", "x", "0" * 78):
            self.assertEqual(b.get(f"/recover/stop?t={bad}").status, 410)

    def test_sec_07_the_staff_ask_somebody_who_knows_them(self):
        """Fails if three days and a password open the desk."""
        p = self.portal
        eva = p.account("eva@example.com")
        secret = set_up_app(eva)
        join(eva, invited(p, "eva@example.com", "support"))
        b = half_in(p, "eva@example.com")
        self.assertTrue(view(b, "/sign-in/lost").json()["staff"])
        for path in ("/sign-in/lost", "/sign-in/lost/finish"):
            self.assertEqual(b.post(path, page="/sign-in/second").status, 403)
        self.assertEqual(enter(eva, "eva@example.com", secret).location, "/desk")
        self.assertEqual(p.cli("staff", "reset", "nobody@example.com").returncode, 1)
        self.assertEqual(p.cli("staff", "reset").returncode, 2)
        p.ok("staff", "reset", "eva@example.com")
        self.assertEqual(eva.get("/account").status, 303)
        self.assertEqual(eva.sign_in("eva@example.com").location, "/desk")
        self.assertEqual(eva.get("/desk").location, f"{SEC}?done=second-factor-first")
        until(lambda: [m for m in p.mails() if m["Subject"] == "Your second step was taken away"], "the mail")


class Common(portal.Case):
    def test_mya_05_passwords_that_many_have_are_refused(self):
        """Fails if a word with a year and a sign is taken, in either language; or words that nobody has are not."""
        b = self.portal.browser()
        for n, password in enumerate(("Sommar2026!", "p@ssw0rd", "Elephant1987", "QWERTY12345", "Fotboll123", "pa$$word!", "iloveyou2")):
            r = b.post("/sign-up", {"email": f"x{n}@example.com", "password": password})
            self.assertEqual(r.status, 422, password)
        for n, password in enumerate((PASSWORD, "grön stol under bordet", "korrekthäst batteri", "Xk9#pL2$vQ")):
            self.assertEqual(b.post("/sign-up", {"email": f"y{n}@example.com", "password": password}).status, 303, password)

    def test_mya_05_at_recovery_too_ones_own_address_is_no_password(self):
        p = self.portal
        p.account("annika.bergstrom@example.com")
        b, m = recovery_link(p, "annika.bergstrom@example.com")
        self.assertEqual(b.post("/recover/new", {"t": m.token, "password": "annika.bergstrom1"}, page=m.path).status, 422)
        self.assertEqual(b.post("/recover/new", {"t": m.token, "password": NEW}, page=m.path).status, 303)


if __name__ == "__main__":
    portal.main()
