"""Buying at the store, with a double of it that speaks Stripe's shapes; and what app stores sign."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import subprocess
import time

import connect
import portal
from test_licenses import member
from test_staff import view

DOUBLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../store/double.mjs")
SECRET = "whsec_double0of1the2store3"
GOOD, DECLINED, BANK = "4242424242424242", "4000000000000002", "4000002500003155"
CANARIES = ("4242424242424242", "Canary Cardholder", "card-canary@example.com", "CanaryFingerprint")
PAGE = "/account/purchases"


class Store:
    """The double, in a process of its own."""

    def __init__(self, port, webhook):
        self.port = port
        self.process = subprocess.Popen(["node", DOUBLE, str(port), webhook], stdout=subprocess.PIPE)
        assert self.process.stdout.readline().strip() == b"ready"

    def ask(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, json.loads(text)

    def test(self, word, **what):
        return self.ask("POST", f"/_test/{word}", json.dumps(what))[1]

    def paid(self):
        return [p for p in self.test("payments") if p["status"] == "succeeded"]

    def refund(self, payment):
        status, _ = self.ask("POST", "/v1/refunds", f"payment_intent={payment}",
                             {"Authorization": "Bearer sk_test_everything", "Content-Type": "application/x-www-form-urlencoded"})
        assert status == 200

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class Purchases(portal.Case):
    def setUp(self):
        port = portal.free_port()
        self.p = self.new_portal(env={"TROTH_STORE": f"http://rk_test_portal@127.0.0.1:{port}", "TROTH_STORE_WEBHOOK_SECRET": SECRET,
                                      "TROTH_LIMITS": "on"})
        self.store = Store(port, f"http://127.0.0.1:{self.p.port}/webhooks/store")
        self.addCleanup(self.store.close)
        self.p.start()  # asks at once what its key may read

    def page(self, b):
        r = view(b, PAGE)
        self.assertEqual(r.status, 200, r.text[:500])
        return r.json()

    def link(self, b, number=GOOD):
        r = b.post(f"{PAGE}/card", {}, page=PAGE, headers={"Accept": "application/json"})
        self.assertEqual(r.status, 200, r.text[:500])
        session = r.json()["url"].rsplit("/", 1)[1]
        self.store.test("give", session=session, number=number)
        portal.until(lambda: self.page(b)["card"]["linked"], "the card to be linked")

    def order(self, b, product="total-security", times=1, **change):
        at = f"{PAGE}/order/{product}"
        text = b.get(at).text
        fields = {name: text.split(f'name="{name}" value="', 1)[1].split('"', 1)[0] for name in ("once", "price")}
        token = b.token(at)
        for _ in range(times):
            r = b.post(at, {**fields, "sure": "yes", **change}, token=token)
        return r

    def event(self, body, t=None, secret=SECRET, header=None):
        t = int(time.time()) if t is None else t
        v1 = hmac.new(secret.encode(), f"{t}.{body}".encode(), hashlib.sha256).hexdigest()
        c = http.client.HTTPConnection("127.0.0.1", self.p.port, timeout=20)
        c.request("POST", "/webhooks/store", body, {"Content-Type": "application/json",
                                                    "Stripe-Signature": f"t={t},v1={v1}" if header is None else header})
        status = c.getresponse().status
        c.close()
        return status

    def licenses(self, b):
        return view(b, "/account/licenses").json()["licenses"]

    def test_mya_27_28_30_31_34_the_link(self):
        """Fails if more of a card than expiry and last four is kept, the store learns who it is, or unlinking leaves something."""
        anna = member(self.p, "anna@example.com", language="en")
        self.assertTrue(self.page(anna)["card"]["none"])
        self.link(anna)
        text = anna.get(PAGE).text
        self.assertIn("4242", text)
        self.assertIn("11/31", text)
        for canary in CANARIES:
            self.assertNotIn(canary, text)
            self.assertNotIn(canary, self.p.logged())
            if not self.p.database:
                for name in ("troth.db", "troth.db-wal", "keyring.db"):
                    with open(os.path.join(self.p.data, name), "rb") as f:
                        self.assertNotIn(canary.encode(), f.read(), name)
        said = json.dumps([r for r in self.store.test("requests")])
        for private in ("anna", "example.com/", "Europe"):
            self.assertNotIn(private, "".join(r["body"] for r in self.store.test("requests")), private)
        self.assertIn("rk_test_portal", base64.b64decode(json.loads(said)[0]["headers"]["authorization"].split()[1]).decode()
                      if json.loads(said)[0]["headers"]["authorization"].startswith("Basic") else said)
        # The key orders and does not read: the store itself says so, and so does the proof.
        method = self.store.test("state")["methods"][0]
        status, _ = self.store.ask("GET", f"/v1/payment_methods/{method}", headers={"Authorization": "Bearer rk_test_portal"})
        self.assertEqual(status, 403)
        promise = next(x for x in json.loads(self.p.ok("verify", "--json"))["promises"] if x["promise"] == "cards-stay-there")
        self.assertEqual(promise["verdict"], "kept", promise)
        r = anna.post(f"{PAGE}/card/off", {}, page=PAGE)
        self.assertEqual(r.status, 303)
        self.assertTrue(self.page(anna)["card"]["none"])
        self.assertEqual(self.p.rows("SELECT count(*) FROM store_link WHERE customer IS NOT NULL OR secret IS NOT NULL OR ending IS NOT NULL"),
                         [("0",)])
        portal.until(lambda: not self.store.test("state")["customers"], "the store to forget the person")
        portal.until(lambda: self.p.rows("SELECT count(*) FROM store_farewell") == [("0",)], "the farewell to be gone")

    def test_mya_32_33_35_orders(self):
        """Fails if an order is lost by an outage or made twice, or a license comes of what was not paid."""
        anna = member(self.p, "anna@example.com", language="en")
        self.assertNotIn("once", anna.get(f"{PAGE}/order/total-security").text)  # no card: nothing to press
        self.assertEqual(self.p.rows("SELECT count(*) FROM store_order"), [("0",)])
        self.link(anna)
        self.assertEqual(self.order(anna, price="1.00 SEK").location, f"{PAGE}?done=order-not-sold")
        # Three clicks are one order.
        self.assertEqual(self.order(anna, times=3).location, f"{PAGE}?done=order-made")
        portal.until(lambda: len(self.licenses(anna)) == 1, "the license")
        self.assertEqual([(p["amount"], p["currency"]) for p in self.store.paid()], [(49900, "sek")])
        self.assertEqual(len(self.page(anna)["history"]), 1)
        # Nothing done, and done with the answer lost: each is one payment in the end.
        for i, (kind, times) in enumerate((("cut", 1), ("cut after", 1), ("503", 3)), start=2):
            self.store.test("fault", match="POST /v1/payment_intents", kind=kind, times=times)
            self.assertEqual(self.order(anna, "mobile-security").location, f"{PAGE}?done=order-made", kind)
            if times > 1:  # it waits for some seconds: another of the same would be one too many
                self.assertEqual(self.order(anna, "mobile-security").location, f"{PAGE}?done=order-waits", kind)
            portal.until(lambda: len(self.licenses(anna)) == i, f"the license after {kind}", 60)
            self.assertEqual(len(self.store.paid()), i, kind)
        # The history is the store's: where it is away, the page says so.
        self.store.test("fault", match="GET /v1/payment_intents/search", kind="503", times=1)
        self.assertTrue(self.page(anna)["away"])
        # A refund takes the license.
        self.store.refund(self.store.paid()[0]["id"])
        portal.until(lambda: self.p.rows("SELECT count(*) FROM license WHERE revoked IS NOT NULL") == [("1",)], "the license to be revoked")
        self.assertIn("refunded", [x["state_key"].split(".")[1] for x in self.page(anna)["history"]])

    def test_mya_35_cards_that_pay_nothing(self):
        """Fails if a license comes of a payment that was declined, or the page does not say why there is none."""
        for address, number, bank in (("anna@example.com", DECLINED, False), ("james@example.com", BANK, True)):
            b = member(self.p, address, language="en")
            self.link(b, number)
            self.assertEqual(self.order(b).location, f"{PAGE}?done=order-made")
            portal.until(lambda b=b: any(x["declined"] for x in self.page(b)["open"]), "the refusal")
            self.assertEqual([x["needs_bank"] for x in self.page(b)["open"]], [bank])
            self.assertEqual(self.licenses(b), [])

    def test_mya_29_events(self):
        """Fails if an event is believed that the store did not sign now, or one is taken twice, or an old one changes anything."""
        anna = member(self.p, "anna@example.com", language="en")
        self.link(anna)
        self.assertEqual(self.order(anna).status, 303)
        portal.until(lambda: len(self.licenses(anna)) == 1, "the license")
        good = next(e for e in self.store.test("events") if e["type"] == "payment_method.attached")
        now, text = int(time.time()), json.dumps(good)
        known = self.p.rows("SELECT count(*) FROM store_event")
        for wrong in ({"secret": "whsec_another"}, {"t": now - 301}, {"t": now + 301}, {"header": ""}, {"header": f"t={now},v1=00"},
                      {"header": f"t={now},v0=" + "ab" * 32}):
            self.assertEqual(self.event(text, **wrong), 400, wrong)
        self.assertEqual(self.event(text[:-1]), 400)
        self.assertEqual(self.event(text), 200)  # once more: nothing
        self.assertEqual(self.p.rows("SELECT count(*) FROM store_event"), known)
        # An older one, of another card: the newer stands.
        older = json.loads(text)
        older["id"], older["created"] = "evt_older", good["created"] - 60
        older["data"]["object"]["card"]["last4"] = "9999"
        self.assertEqual(self.event(json.dumps(older)), 200)
        self.assertNotIn("9999", anna.get(PAGE).text)
        # A payment that somebody with the store's key alone made up: no proof, no license.
        made_up = next(e for e in self.store.test("events") if e["type"] == "payment_intent.succeeded")
        made_up["id"] = "evt_made_up"
        meta = made_up["data"]["object"]["metadata"]
        meta[next(name for name in meta if len(meta[name]) == 32)] = "0" * 32
        self.assertEqual(self.event(json.dumps(made_up)), 200)
        self.assertEqual(len(self.licenses(anna)), 1)


class AppStores(portal.Case):
    def test_wps_23_a_purchase_is_one_license(self):
        """Fails if a forged purchase is taken, one makes two licenses or two accounts' license, or a refund leaves it."""
        p = self.new_portal()
        openssl = lambda *words, data=None: subprocess.run(["openssl", *words], cwd=p.dir, input=data, capture_output=True, check=True).stdout
        openssl("genrsa", "-out", "play.pem", "2048")
        key = base64.b64encode(openssl("rsa", "-in", "play.pem", "-pubout", "-outform", "DER")).decode()
        with open(os.path.join(p.dir, "stores.yaml"), "w", encoding="ascii") as f:
            f.write(f"google_play:\n  com.example.totalsecurity: {key}\n")
        p.env["TROTH_APP_STORES"] = os.path.join(p.dir, "stores.yaml")
        p.start()
        for address in ("anna@example.com", "james@example.com"):
            p.account(address)
        anna = connect.App(p, "total-security").connect("anna@example.com")
        james = connect.App(p, "total-security", name="other").connect("james@example.com")
        bought = int(time.time()) - 3600

        def purchase(app, state=0, **more):
            data = json.dumps({"orderId": "GPA.1", "packageName": "com.example.totalsecurity", "productId": "total_security_1y",
                               "purchaseTime": bought * 1000, "purchaseState": state, "purchaseToken": "token-1"}).encode()
            signature = openssl("dgst", "-sha1", "-sign", "play.pem", data=data)
            if more.pop("forged", False):
                signature = signature[:-1] + bytes([signature[-1] ^ 1])
            return app.post("/purchases", {
                "item_name": "total_security_1y", "purchased_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(bought)),
                "package_name": "com.example.totalsecurity", "receipt_name": "GPA.1", "purchase_token": "token-1",
                "signature": f"{base64.b64encode(data).decode()}.{base64.b64encode(signature).decode()}",
                "purchase_status": {0: "purchased", 1: "refunded"}[state], "binding_id": app.ids["binding_id"], **more})

        r = purchase(anna, forged=True)
        self.assertEqual((r.status, r.code), (422 if r.status == 422 else 403, "purchase-signature-wrong"), r.text)
        self.assertEqual(purchase(anna, receipt_name="GPA.2").code, "purchase-data-differs")
        r = purchase(anna)
        self.assertIn(r.status, (200, 201), r.text)
        self.assertEqual(r.json()["license"]["status"], "active")
        self.assertIn(purchase(anna).status, (200, 201))
        self.assertEqual(p.rows("SELECT count(*) FROM license"), [("1",)])
        r = purchase(james)
        self.assertEqual((r.status, r.code), (409, "purchase-in-another-account"), r.text)
        r = purchase(anna, state=1)
        self.assertIn(r.status, (200, 201), r.text)
        self.assertEqual(r.json()["license"]["status"], "revoked")
        self.assertEqual(p.rows("SELECT count(*) FROM license WHERE revoked IS NOT NULL"), [("1",)])


if __name__ == "__main__":
    portal.main()
