"""Licenses over HTTP and at the terminal: codes, the pages of their owner, the desk, files."""
import os
import re

import portal
from test_staff import staff, view

CODE = re.compile(r"^([2-9A-HJ-NP-Z]{5}-){4}[2-9A-HJ-NP-Z]{5}$")


def issue(p, n=1, product="total-security", note="order 7"):
    run = p.cli("license", "issue", "--product", product, "--count", str(n), "--note", note)
    assert run.returncode == 0, run.stderr
    codes = run.stdout.split()
    return codes, re.search(r"Lot (\w{4}):", run.stderr).group(1)


def member(p, address, **kw):
    """Somebody with an account in My Account."""
    b = p.account(address, **kw)
    terms = view(b, "/services/my-account/join").json()["service"]["terms"]
    r = b.post("/services/my-account/join", {"terms": "yes", "version": str(terms)})
    assert r.status == 303, (r.status, r.text[:2000])
    return b


def add(b, code):
    return b.post("/account/licenses", {"code": code})


def view_code(b, code):
    token = b.token("/desk/licenses")
    r = b.post("/desk/licenses/code", {"code": code}, token=token, headers={"Accept": "application/json"})
    return r.json()["code"]


class Licenses(portal.Case):
    def test_mya_42_50_codes_from_the_terminal_to_their_owner(self):
        """Fails if a code is printed twice or kept plain, a wrong one is taken, or another account gets it or learns whose it is."""
        p = self.portal
        codes, lot = issue(p, 3)
        self.assertEqual(len(set(codes)), 3)
        for code in codes:
            self.assertRegex(code, CODE)
            self.assertEqual(code[:4], lot)
        anna, james = member(p, "anna@example.com"), member(p, "james@example.com", language="en")
        # Without the service: the page says what to do first.
        other = p.account("other@example.com", language="en")
        self.assertIn("/services/my-account/join", other.get("/account/licenses").text)
        self.assertEqual(add(other, codes[0]).status, 403)
        slip = codes[0][:-1] + ("A" if codes[0][-1] != "A" else "B")
        for wrong in ("nothing", codes[0][:20], slip):
            self.assertEqual(add(anna, wrong).status, 422)
        r = add(anna, codes[0].lower().replace("-", " "))
        self.assertEqual(r.status, 303, r.text[:3000])
        self.assertRegex(r.location, r"^/account/licenses/\w{26}\?done=license-added$")
        self.assertEqual(add(anna, codes[0]).status, 409)
        # MYA-50: told that it is taken, where to write, and nothing of whose it is.
        r = add(james, codes[0])
        self.assertEqual(r.status, 409)
        self.assertIn("/privacy#contact", r.text)
        self.assertNotIn("anna", r.text)
        self.assertEqual(len(view(anna, "/account/licenses").json()["licenses"]), 1)
        self.assertEqual(len(view(james, "/account/licenses").json()["licenses"]), 0)
        # One's own license is another's 404.
        one = view(anna, "/account/licenses").json()["licenses"][0]["id"]
        for path in (f"/account/licenses/{one}", f"/account/licenses/{one}/code"):
            self.assertEqual(anna.get(path).status, 200)
            self.assertEqual(james.get(path).status, 404)
        self.assertEqual(james.post(f"/account/licenses/{one}/devices/off", {"device": one}, page="/account/licenses").status, 404)
        # The code is on its own page only, and nowhere plain.
        plain = codes[0].replace("-", "")
        self.assertIn(codes[0], anna.get(f"/account/licenses/{one}/code").text)
        self.assertNotIn(codes[0], anna.get(f"/account/licenses/{one}").text)
        self.assertNotIn(plain, p.logged())
        if not p.database:
            for root, _, names in os.walk(p.data):
                for name in (n for n in names if not n.endswith(".sock")):
                    with open(os.path.join(root, name), "rb") as f:
                        self.assertNotIn(plain.encode(), f.read(), name)
        # A lot that is revoked: the others can no longer be added, hers has ended.
        p.ok("license", "revoke", lot)
        self.assertEqual(add(anna, codes[1]).status, 422)
        portal.until(lambda: view(anna, f"/account/licenses/{one}").json()["license"]["next_revoked"], "the license to be revoked")

    def test_the_command_says_what_is_wrong(self):
        """Fails if a mistake makes codes, overwrites a file, or exits with 0."""
        p = self.new_portal()
        path = os.path.join(p.dir, "codes.txt")
        for words, code in ((("issue",), 2), (("issue", "--product", "total-security", "--count", "0"), 2),
                            (("issue", "--product", "none", "--count", "1"), 1), (("revoke", "nothing"), 1),
                            (("revoke",), 2), (("revoke", "2345"), 1), (("catalogue", "x"), 2), ((), 2)):
            self.assertEqual(p.cli("license", *words).returncode, code, words)
        run = p.cli("license", "issue", "--product", "mobile-security", "--count", "1000", "--out", path)
        self.assertEqual((run.returncode, run.stdout), (0, ""), run.stderr)
        with open(path) as f:
            self.assertEqual(len(set(f.read().split())), 1000)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(p.cli("license", "issue", "--product", "mobile-security", "--count", "1", "--out", path).returncode, 1)
        self.assertEqual(p.rows("SELECT count(*) FROM code_lot"), [("1",)])
        self.assertIn("total-security", p.ok("license", "catalogue"))
        for words in ((), ("issue",), ("revoke",), ("catalogue",)):
            self.assertIn("Activation codes.", p.ok("license", *words, "--help"))
        # A catalogue of one's own, and one with a mistake.
        own = os.path.join(p.dir, "shop.yaml")
        with open(own, "w") as f:
            f.write("reminders: [P7D]\nrenewal: P2D\nproducts:\n  x:\n    name: X\n    edition: e\n    application: a\n    term: P1Y\n    devices: 1\n")
        self.assertRegex(p.ok("license", "catalogue", env={"TROTH_CATALOGUE": own}), r"^x +X ")
        with open(own, "a") as f:
            f.write("    colour: red\n")
        run = p.cli("license", "catalogue", env={"TROTH_CATALOGUE": own})
        self.assertEqual(run.returncode, 1)
        self.assertIn("shop.yaml:10: colour is not a word of this file", run.stderr)

    def test_rec_01_the_desk_tells_whose_a_code_is_only_after_a_reason(self):
        """Fails if the desk says whose a code is without a recorded reading, or opens to another role."""
        p = self.portal
        (code,), lot = issue(p)
        anna, james = member(p, "anna@example.com"), member(p, "james@example.com")
        felix, nora = staff(p, "felix@example.com", "licensing"), staff(p, "nora@example.com", "support")
        self.assertEqual(add(anna, code).status, 303)
        self.assertEqual(add(james, code).status, 409)
        number = p.rows("SELECT account FROM license")[0][0]
        self.assertEqual(nora.get("/desk/licenses").status, 403)
        self.assertEqual(anna.get("/desk/licenses").status, 404)
        self.assertIn(lot, felix.get("/desk/licenses").text)
        r = felix.post("/desk/licenses/code", {"code": code}, page="/desk/licenses")
        self.assertEqual(r.status, 200, r.text[:2000])
        self.assertEqual(r.text.count(f'name="code" value="{code.replace("-", "")}"'), 2)
        self.assertNotIn(number, r.text)
        self.assertNotIn("anna", r.text)
        self.assertEqual(view_code(felix, code)["count"], 1)
        self.assertEqual(felix.get(f"/desk/licenses/owner?id={number}").status, 404)
        r = felix.post("/desk/licenses/owner", {"code": code.replace("-", ""), "reason": ""}, page="/desk/licenses")
        self.assertEqual(r.status, 422)
        self.assertNotIn(number, r.text)
        r = felix.post("/desk/licenses/owner", {"code": code.replace("-", ""), "reason": "case 77"}, page="/desk/licenses")
        self.assertEqual((r.status, r.location), (303, f"/desk/licenses/owner?id={number}"), r.text[:2000])
        page = felix.get(r.location).text
        self.assertIn(number, page)
        self.assertNotIn("anna@example.com", page)  # the address is support's to read
        self.assertNotIn(code, page)
        self.assertIn("case 77", anna.get("/account/security/log").text)
        # Issuing: shown once.
        r = felix.post("/desk/licenses/lots", {"product": "mobile-security", "count": "2", "note": ""}, page="/desk/licenses")
        made = re.findall(r"<code>((?:\w{5}-){4}\w{5})</code>", r.text)
        self.assertEqual((r.status, len(made)), (200, 2), r.text[:2000])
        self.assertEqual(felix.post("/desk/licenses/lots", {"product": "mobile-security", "count": "501", "note": ""}, page="/desk/licenses").status, 422)
        self.assertEqual(add(james, made[0]).status, 303)
        r = felix.post("/desk/licenses/revoke", {"code": code.replace("-", "")}, page="/desk/licenses")
        self.assertEqual(r.status, 303)
        self.assertTrue(view(anna, "/account/licenses").json()["licenses"][0]["next_revoked"])

    def test_mya_44_46_trials_and_reminders(self):
        """Fails if a trial is had twice, a reminder is on by itself, or its link asks for a sign-in."""
        p = self.portal
        anna = member(p, "anna@example.com", language="en")
        self.assertFalse(view(anna, "/account/licenses").json()["reminders"]["on"])
        r = anna.post("/account/licenses/trials", {"product": "total-security-trial"}, page="/account/licenses")
        self.assertEqual(r.status, 303)
        self.assertIn("trial-begun", r.location)
        r = anna.post("/account/licenses/trials", {"product": "total-security-trial"}, page="/account/licenses")
        self.assertIn("trial-had", r.location)
        self.assertEqual(anna.post("/account/licenses/trials", {"product": "total-security"}, page="/account/licenses").status, 404)
        self.assertEqual(anna.post("/account/licenses/reminders", {"decision": "yes"}, page="/account/licenses").status, 303)
        self.assertTrue(view(anna, "/account/licenses").json()["reminders"]["on"])
        stranger = p.browser()
        self.assertEqual(stranger.get("/licenses/reminders?t=" + "a" * 58).status, 404)
        self.assertEqual(stranger.get("/licenses/reminders").status, 404)
        self.assertEqual(p.rows("SELECT count(*) FROM mail WHERE purpose = 'license-reminders'"), [("0",)])


if __name__ == "__main__":
    portal.main()
