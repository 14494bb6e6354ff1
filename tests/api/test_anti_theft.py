"""Anti-Theft over HTTP (ATW): what is asked of a lost device, by whom, how far it has come; where it is, and for how long."""
import os
import unittest

import portal
from connect import App
from test_licenses import member
from test_staff import view

FEATURES = {"features": ["virus-protection", "anti-theft"]}
PLACE = {"latitude": 59.329324, "longitude": 18.068581, "accuracy": 24.6}
STALE = 11 * 60  # seconds: a proof is older than that
HOURS = 3600


class Theft(portal.Case):
    def phone(self, address, name="anna-phone"):
        """An app of that person's that can do it."""
        app = App(self.portal, name=name).connect(address)
        r = app.put(f"{app.at}/state", app.report(**FEATURES))
        self.assertEqual(r.status, 200, r.text)
        return app

    def ask(self, b, app, what, fields=None, page=None):
        return b.post(f"/anti-theft/{app.ids['device_id']}/{what}", fields, page=page or f"/anti-theft/{app.ids['device_id']}")

    def gravely(self, b, app, what, name="anna-phone", **more):
        page = f"/anti-theft/{app.ids['device_id']}/{what}"
        return b.post(page, {"name": name, **more}, page=page)

    def seen(self, b, app):
        r = view(b, f"/anti-theft/{app.ids['device_id']}")
        self.assertEqual(r.status, 200, r.text[:500])
        return r.json()

    def fetched(self, app):
        return app.get("/commands").json()["commands"]

    def stored(self):
        return self.portal.rows("SELECT count(*) FROM device_position")[0][0]

    def test_atw_02_03_06_a_command_from_its_owner_to_the_device_and_back(self):
        """Fails if a command does not reach the app, loses a state or its time, or its owner cannot see who gave it."""
        p = self.portal
        anna = member(p, "anna@example.com", language="en")
        self.assertFalse(view(anna, "/anti-theft").json()["has_devices"])
        plain = App(p, name="plain-laptop").connect("anna@example.com")
        app = self.phone("anna@example.com")
        r = view(anna, "/anti-theft").json()
        self.assertEqual([[d["title"] for d in r[kind]] for kind in ("devices", "others")], [["anna-phone"], ["plain-laptop"]])
        device = f"/anti-theft/{app.ids['device_id']}"
        # An app that has no Anti-Theft is asked for nothing.
        self.assertFalse(self.seen(anna, plain)["can"])
        r = anna.post(f"/anti-theft/{plain.ids['device_id']}/alarm", token=anna.token(device))
        self.assertIn("theft-cannot", r.location)
        self.assertEqual(self.fetched(plain), [])
        # Queued; the same once more is refused, another is not.
        r = self.ask(anna, app, "alarm")
        self.assertEqual((r.status, r.location), (303, f"{device}?done=theft-alarm"), r.text[:2000])
        r = anna.post(f"{device}/alarm", token=anna.token(device), headers={"Accept": "application/json"})
        self.assertEqual(r.status, 409)
        self.assertIn("theft-waits", r.json()["location"])
        self.assertTrue(self.seen(anna, app)["alarm"]["queued"])
        message = "Found it? <b>Call</b> 070-123 45 67"
        self.assertEqual(self.gravely(anna, app, "lock", " Anna-PHONE ", message=message).location, f"{device}?done=theft-lock")
        # Delivered, with the message as it was typed; then done, or failed with a reason in words.
        alarm, lock = self.fetched(app)
        self.assertEqual((alarm["kind"], lock["kind"], lock["text"]), ("alarm", "lock", message))
        seen = self.seen(anna, app)
        self.assertTrue(seen["alarm"]["delivered"] and seen["lock"]["delivered"] and not seen["lock"]["was_ended"])
        self.assertEqual(app.post(f"/commands/{lock['id']}/done", {}).status, 204)
        self.assertEqual(app.post(f"/commands/{alarm['id']}/failed?reason=not-known-here", {}).status, 204)
        seen = self.seen(anna, app)
        self.assertTrue(seen["lock"]["done"] and seen["lock"]["was_ended"] and seen["alarm"]["failed"])
        self.assertEqual(seen["alarm"]["reason"], "the app cannot do it")
        # Too late to take back what was fetched; what was not is never delivered.
        self.assertIn("too-late", self.ask(anna, app, "take-back", {"kind": "lock"}).location)
        self.assertEqual(self.gravely(anna, app, "wipe").location, f"{device}?done=theft-wipe")
        self.assertIn("taken-back", self.ask(anna, app, "take-back", {"kind": "wipe"}).location)
        self.assertEqual(self.fetched(app), [])
        self.assertTrue(self.seen(anna, app)["wipe"]["taken_back"])
        self.assertEqual(self.ask(anna, app, "take-back", {"kind": "message"}).status, 422)
        # ATW-06: by whom and when, newest first; from elsewhere it reads as another sign-in.
        log = self.seen(anna, app)["log"]
        self.assertEqual([x["kind_key"] for x in log], ["command.wipe", "command.lock", "command.alarm"])
        self.assertTrue(all(x["here"] and x["made"] for x in log))
        other = p.browser(language="en")
        other.sign_in("anna@example.com")
        log = self.seen(other, app)["log"]
        self.assertTrue(all(x["elsewhere"] and not x["here"] and "Firefox" in x["browser"] for x in log))
        page = other.get(device).text
        self.assertIn("Found it? &lt;b&gt;Call&lt;/b&gt; 070-123 45 67", page)
        self.assertIn("A device was to be wiped", other.get("/account/security/log").text)
        # The message is nowhere plain.
        if not p.database:
            for root, _, names in os.walk(p.data):
                for name in (n for n in names if not n.endswith(".sock")):
                    with open(os.path.join(root, name), "rb") as f:
                        self.assertNotIn(b"070-123 45 67", f.read(), name)
        # Disconnected: the device is gone from here, with what waited.
        self.ask(anna, app, "alarm")
        self.assertEqual(app.post("/disconnections", {"binding_id": app.ids["binding_id"], "choice": "withdrawn"}).status, 200)
        self.assertEqual(anna.get(device).status, 404)
        self.assertEqual(app.get("/commands").status, 410)

    def test_atw_04_05_refused(self):
        """Fails if a lock or wipe goes without a fresh proof or the device's name, or another's device can be seen or asked."""
        p = self.portal
        anna, james = member(p, "anna@example.com", language="en"), member(p, "james@example.com", language="en")
        app, own = self.phone("anna@example.com"), self.phone("james@example.com", "james-phone")
        device, mine = (f"/anti-theft/{x.ids['device_id']}" for x in (app, own))
        for what in ("lock", "wipe"):
            for wrong in ("", "anna", "james-phone", "anna-phone2"):
                r = self.gravely(anna, app, what, wrong)
                self.assertEqual(r.status, 422, (what, wrong))
            # Another's device is none, whatever is typed.
            token = james.token(f"{mine}/{what}")
            self.assertEqual(james.post(f"{device}/{what}", {"name": "anna-phone"}, token=token).status, 404)
            self.assertEqual(james.get(f"{device}/{what}").status, 404)
        self.ask(anna, app, "locate")
        (locate,) = self.fetched(app)
        self.assertEqual(locate["kind"], "locate")
        # Only the app that was asked may say where it is, only for that command, once it was asked (ATW-05).
        self.assertEqual(own.post(f"/commands/{locate['id']}/position", PLACE).status, 403)
        self.ask(anna, app, "alarm")
        (alarm,) = (c for c in self.fetched(app) if c["kind"] == "alarm")
        self.assertEqual(app.post(f"/commands/{alarm['id']}/position", PLACE).code, "position-not-asked")
        self.assertEqual(app.post("/commands/" + "a" * 26 + "/position", PLACE).status, 403)
        self.assertEqual(self.stored(), "0")
        self.assertEqual(app.post(f"/commands/{locate['id']}/position", PLACE).status, 204)
        self.assertEqual(app.post(f"/commands/{locate['id']}/done", {}).status, 204)
        self.assertEqual(app.post(f"/commands/{locate['id']}/position", PLACE).status, 403)
        self.assertEqual(self.stored(), "1")
        token = james.token(mine)
        for path in (device, f"{device}/map"):
            self.assertEqual(james.get(path).status, 404)
        for what, fields in (("locate", {}), ("alarm", {}), ("take-back", {"kind": "alarm"})):
            self.assertEqual(james.post(f"{device}/{what}", fields, token=token).status, 404)
        self.assertEqual(self.fetched(own), [])
        self.assertIn("/sign-in", p.browser().get(device).location)
        # Shown to its owner alone, no more exact than it is, and nowhere in the log or plain on disk.
        seen = self.seen(anna, app)["position"][0]
        self.assertEqual((seen["coordinates"], seen["within"]), ("59.3293, 18.0686", "25 metres"))
        r = anna.get(f"{device}/map")
        self.assertEqual((r.status, r.headers["Content-Type"], r.headers["Cache-Control"]), (200, "image/svg+xml", "private, no-store"))
        self.assertIn("Sweden", r.text)
        self.assertNotIn("59.3293", p.logged())
        # Restricted: nothing is asked of a device.
        self.assertEqual(anna.post("/account/privacy/restrict", {"reason": "accuracy", "note": "Wrong."}, page="/account/privacy").status, 303)
        r = anna.post(f"{device}/locate", token=anna.token(device))
        self.assertIn("theft-restricted", r.location)

    @unittest.skipUnless(portal.FAKETIME, "needs faketime")
    def test_atw_03_04_05_times(self):
        """Fails if a stale proof is enough for a wipe, a position outlives its hours, or a command never expires."""
        p = portal.Portal(binary=portal.RELEASE)
        self.addCleanup(p.close)
        p.ahead(0)
        self._portal = p.start()
        anna = member(p, "anna@example.com", language="en")
        app = self.phone("anna@example.com")
        device = f"/anti-theft/{app.ids['device_id']}"
        self.ask(anna, app, "locate")
        (locate,) = self.fetched(app)
        app.post(f"/commands/{locate['id']}/position", PLACE)
        app.post(f"/commands/{locate['id']}/done", {})
        self.ask(anna, app, "alarm")
        token = anna.token(f"{device}/wipe")
        p.ahead(STALE)
        self.assertIn("/account/confirm", anna.get(f"{device}/wipe").location)
        for what in ("lock", "wipe"):
            r = anna.post(f"{device}/{what}", {"name": "anna-phone"}, token=token, headers={"Accept": "application/json"})
            self.assertEqual(r.status, 403, what)
        self.assertEqual([c["kind"] for c in self.fetched(app)], ["alarm"])
        p.ahead(6 * HOURS - 60)
        self.assertTrue(self.seen(anna, app)["has_position"])
        p.ahead(6 * HOURS + 60)
        seen = self.seen(anna, app)
        self.assertFalse(seen["has_position"])
        self.assertTrue(seen["locate"]["done"])
        self.assertEqual(anna.get(f"{device}/map").status, 404)
        portal.until(lambda: self.stored() == "0", "the position to be erased", 30)
        self.ask(anna, app, "locate")
        p.ahead(6 * HOURS + 60 + 3 * 24 * HOURS)
        anna = p.browser(language="en")
        anna.sign_in("anna@example.com")
        seen = self.seen(anna, app)
        self.assertTrue(seen["locate"]["expired"] and seen["alarm"]["expired"] and seen["log"][0]["over"])
        self.assertEqual(self.fetched(app), [])


if __name__ == "__main__":
    portal.main()
