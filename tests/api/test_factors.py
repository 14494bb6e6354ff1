"""Two-step sign-in over HTTP: the pending step, codes, limits, races, devices, text messages and a gateway
that misbehaves."""
import base64
import glob
import hashlib
import hmac
import json
import os
import re
import struct
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import portal
from portal import PASSWORD, ROOT, until

NUMBER = "+46701234567"
SEC = "/account/security"
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")[0]


def code_of(secret, step=0):
    """RFC 6238, for the moment, some steps away from it. The oldest that is taken is that of the step before:
    near a step's end it would be too old when it arrives, so the next step is waited for."""
    left = 30 - time.time() % 30
    if step < 0 and left < 3:
        time.sleep(left)
    counter = int(time.time()) // 30 + step
    mac = hmac.new(base64.b32decode(secret), struct.pack(">Q", counter), hashlib.sha1).digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000:06}"


def wrong_code(secret):
    return next(c for c in (f"{n:06}" for n in range(10)) if c not in [code_of(secret, s) for s in range(-2, 4)])


def later(p, how):
    """Starts the portal again with its clock moved. libfaketime and the sanitizers exclude each other, so
    this is the release."""
    p.stop()
    p.binary = portal.RELEASE
    p.env.update(LD_PRELOAD=FAKETIME, FAKETIME=how)
    p.start()


def set_up_app(b):
    """Turns an app on and gives its secret. Uses the code of the step before, so that this step's is left."""
    r = b.post(f"{SEC}/totp/new", page=f"{SEC}/totp")
    assert r.status == 303 and r.location == f"{SEC}/totp", (r.status, r.location, r.text[:500])
    secret = b.get(f"{SEC}/totp", headers={"Accept": "application/json"}).json()["secret"].replace(" ", "")
    r = b.post(f"{SEC}/totp", {"code": code_of(secret, -1)})
    assert r.status == 303, (r.status, r.text)
    return secret


def half_in(p, address):
    b = p.browser()
    r = b.sign_in(address)
    assert r.status == 303 and r.location.startswith("/sign-in/second"), (r.status, r.location)
    assert "step" in b.cookies and "session" not in b.cookies, b.cookies
    return b


def second(b, kind, code, **more):
    return b.post(f"/sign-in/second/{kind}", {"code": code, "next": "", **more}, page="/sign-in/second")


class Step(portal.Case):
    def test_mya_11_a_password_alone_opens_nothing(self):
        """Fails if any page of a signed-in person opens with only the first step done."""
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        b = half_in(p, "anna@example.com")
        found = []
        for root, _, files in os.walk(os.path.join(ROOT, "src/features")):
            for name in files:
                if name.endswith(".c"):
                    with open(os.path.join(root, name), encoding="utf-8") as f:
                        text = f.read().replace('AT "', f'"{SEC}/')
                    found += re.findall(r'\{METHOD_(GET|POST), "([^"]+)", \w+,\s*GUARD_(SIGNED_IN|RECENT)', text)
        self.assertGreater(len(found), 40)
        token = b.token("/sign-in/second")
        for method, path, _ in found:
            path = re.sub(r":\w+", "1", path)
            body = None if method == "GET" else f"csrf={token}"
            r = b.ask(method, path, body, {"Content-Type": "application/x-www-form-urlencoded"} if body else None)
            self.assertEqual((r.status, r.location.split("?")[0]), (303, "/sign-in"), path)
            r = b.ask(method, path, body, {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"})
            self.assertEqual(r.status, 401, path)
        self.assertEqual(second(b, "totp", code_of(secret)).location, "/account")
        self.assertEqual(b.get("/account").status, 200)
        self.assertNotIn("step", b.cookies)
        self.assertEqual(p.rows("SELECT how FROM session ORDER BY made DESC LIMIT 1")[0][0], "password+totp")

    def test_mya_10_a_code_works_once_and_replay_is_refused(self):
        """Fails if a step's code opens a second session."""
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        code = code_of(secret)
        one, other = half_in(p, "anna@example.com"), half_in(p, "anna@example.com")
        self.assertEqual(second(one, "totp", code).status, 303)
        r = second(other, "totp", code)
        self.assertEqual(r.status, 403)
        self.assertIn("Each code works once", r.text)
        self.assertNotIn("session", other.cookies)
        # The one before is older than the last one that was used.
        self.assertEqual(second(other, "totp", code_of(secret, -1)).status, 403)

    def test_mya_10_two_at_once_one_wins(self):
        """Fails if the same code, sent twice at once, opens two sessions."""
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        browsers = [half_in(p, "anna@example.com") for _ in range(6)]
        tokens = [b.token("/sign-in/second") for b in browsers]
        code, statuses = code_of(secret), []
        barrier = threading.Barrier(len(browsers))
        def send(b, token):
            barrier.wait()
            statuses.append(b.post("/sign-in/second/totp", {"code": code, "next": ""}, token=token).status)
        threads = [threading.Thread(target=send, args=x) for x in zip(browsers, tokens)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(statuses), [303] + [403] * 5)

    def test_mya_10_the_sixth_try_is_refused_even_if_it_is_right(self):
        """Fails if a code can be guessed at without end."""
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        b = half_in(p, "anna@example.com")
        for _ in range(5):
            self.assertEqual(second(b, "totp", wrong_code(secret)).status, 403)
        r = second(b, "totp", code_of(secret))
        self.assertEqual(r.status, 429)
        self.assertNotIn("session", b.cookies)

    def test_mya_10_many_tries_over_many_sign_ins_are_counted_and_told(self):
        """Fails if somebody with the password gets new tries by signing in again, or the owner hears nothing;
        and if the owner is then locked out of a recovery code."""
        p = self.portal
        me = p.account("anna@example.com")
        secret = set_up_app(me)
        r = me.post(f"{SEC}/recovery-codes")
        recovery = re.findall(r"<code>([0-9a-z-]{19})</code>", r.text)
        for _ in range(2):
            b = half_in(p, "anna@example.com")
            for _ in range(5):
                self.assertEqual(second(b, "totp", wrong_code(secret)).status, 403)
        b = half_in(p, "anna@example.com")
        self.assertEqual(second(b, "totp", code_of(secret)).status, 429)
        until(lambda: [m for m in p.mails() if m["Subject"] == "Somebody is trying codes"], "the warning")
        self.assertEqual(second(b, "recovery", recovery[0]).location, "/account")

    def test_mya_11_a_step_ends(self):
        """Fails if ten minutes are no limit."""
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        b = half_in(p, "anna@example.com")
        token = b.token("/sign-in/second")
        later(p, "+11m")
        r = b.post("/sign-in/second/totp", {"code": code_of(secret, 22), "next": ""}, token=token)
        self.assertEqual((r.status, r.location), (303, "/sign-in?done=step-gone"))
        self.assertNotIn("step", b.cookies)

    def test_the_way_on_is_kept_and_stays_here(self):
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        b = p.browser()
        r = b.post("/sign-in", {"email": "anna@example.com", "password": PASSWORD, "next": "/account/settings"})
        self.assertEqual(r.location, "/sign-in/second?next=%2Faccount%2Fsettings")
        page = b.get(r.location).text
        self.assertIn('name="next" value="/account/settings"', page)
        r = second(b, "totp", wrong_code(secret), next="/account/settings")
        self.assertIn('name="next" value="/account/settings"', r.text)
        r = b.post("/sign-in/second/totp", {"code": code_of(secret), "next": "//elsewhere.example"}, page="/sign-in/second")
        self.assertEqual(r.location, "/account")

    def test_programs_are_told_where_to_go_on(self):
        """Fails if the JSON face hides that there is a step to come."""
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        b = p.browser(accept="application/json")
        def send(path, page, **fields):
            return b.post(path, fields, token=b.get(page).json()["csrf"])
        r = send("/sign-in", "/sign-in", email="anna@example.com", password=PASSWORD, next="")
        self.assertEqual((r.status, r.json()["location"]), (202, "/sign-in/second"))
        view = b.get("/sign-in/second").json()
        self.assertTrue(view["proofs"]["totp"])
        self.assertFalse(view["proofs"]["text"])
        r = send("/sign-in/second/totp", "/sign-in/second", code=wrong_code(secret), next="")
        self.assertEqual((r.status, r.json()["errors"][0]["field"]), (403, "code"))
        self.assertEqual(send("/sign-in/second/totp", "/sign-in/second", code=code_of(secret), next="").status, 200)


class Devices(portal.Case):
    def test_mya_11_a_remembered_device_is_not_asked_until_it_is_revoked_elsewhere(self):
        """Fails if a device is asked though it was remembered, or is not asked though that was taken back."""
        p = self.portal
        me = p.account("anna@example.com")
        secret = set_up_app(me)
        b = half_in(p, "anna@example.com")
        self.assertEqual(second(b, "totp", code_of(secret), remember="yes").status, 303)
        self.assertIn("device", b.cookies)
        b.post("/sign-out", page="/account")
        self.assertEqual(b.sign_in("anna@example.com").location, "/account")
        # The device's word is no second step: what needs one still asks.
        self.assertEqual(b.get(f"{SEC}/totp").location.split("?")[0], "/account/confirm")
        stranger = half_in(p, "anna@example.com")  # another browser is asked
        self.assertNotIn("session", stranger.cookies)
        listed = me.get(SEC, headers={"Accept": "application/json"}).json()["factors"]["devices"]
        self.assertEqual([d["browser"] for d in listed], ["Firefox, Linux"])
        r = me.post(f"{SEC}/devices", {"device": listed[0]["id"]}, page=SEC)
        self.assertEqual(r.location, f"{SEC}?done=device-forgotten")
        b.post("/sign-out", page="/account")
        self.assertTrue(b.sign_in("anna@example.com").location.startswith("/sign-in/second"))

    def test_a_cookie_that_was_made_up_is_none(self):
        """Fails if the account's and the device's ID, which are no secrets, are enough."""
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        b = half_in(p, "anna@example.com")
        second(b, "totp", code_of(secret), remember="yes")
        b.post("/sign-out", page="/account")
        real = b.cookies["device"]
        for forged in (real[:52] + "0" * 52, real[:51] + real[52:], real[:-1], "0" * 104):
            b.cookies["device"] = forged
            self.assertTrue(b.sign_in("anna@example.com").location.startswith("/sign-in/second"), forged)
        b.cookies["device"] = real
        self.assertEqual(b.sign_in("anna@example.com").location, "/account")

    def test_mya_15_a_new_password_by_mail_forgets_all_devices(self):
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        b = half_in(p, "anna@example.com")
        self.assertEqual(second(b, "totp", code_of(secret), remember="yes").status, 303)
        b.post("/sign-out", page="/account")
        b.post("/recover", {"email": "anna@example.com"})
        m = p.mail("anna@example.com", "/recover/new")
        fresh = "nine tall storks argue"
        self.assertEqual(b.post("/recover/new", {"t": m.token, "password": fresh}, page=m.path).status, 303)
        self.assertTrue(b.sign_in("anna@example.com", fresh).location.startswith("/sign-in/second"))

    def test_a_device_remembers_one_account_only(self):
        p = self.portal
        secret = set_up_app(p.account("anna@example.com"))
        set_up_app(p.account("james@example.com"))
        b = half_in(p, "anna@example.com")
        second(b, "totp", code_of(secret), remember="yes")
        b.post("/sign-out", page="/account")
        self.assertTrue(b.sign_in("james@example.com").location.startswith("/sign-in/second"))


class Recovery(portal.Case):
    def make(self, b):
        r = b.post(f"{SEC}/recovery-codes")
        self.assertEqual(r.status, 200)
        self.assertEqual(r.headers["Cache-Control"], "no-store")
        codes = re.findall(r"<code>([0-9a-z-]{19})</code>", r.text)
        self.assertEqual(len(set(codes)), 10)
        return codes, r

    def test_ten_codes_each_once(self):
        """Fails if a code works twice, an old one after new ones were made, or is shown again."""
        p = self.portal
        me = p.account("anna@example.com")
        set_up_app(me)
        old, _ = self.make(me)
        self.assertNotIn(old[0], me.get(f"{SEC}/recovery-codes").text)
        b = half_in(p, "anna@example.com")
        self.assertEqual(second(b, "recovery", old[0].upper().replace("-", " ")).location, "/account")
        self.assertIn("9 left", me.get(SEC).text)
        b = half_in(p, "anna@example.com")
        self.assertEqual(second(b, "recovery", old[0]).status, 403)
        fresh, _ = self.make(me)
        self.assertEqual(second(b, "recovery", old[1]).status, 403)
        self.assertEqual(second(b, "recovery", fresh[9]).location, "/account")
        until(lambda: [m for m in p.mails() if m["Subject"] == "A recovery code was used"], "the mail")

    def test_download_is_what_was_shown_and_nothing_else(self):
        """Fails if the file can be made to hold what somebody else wrote."""
        p = self.portal
        me = p.account("anna@example.com")
        set_up_app(me)
        codes, page = self.make(me)
        joined = re.search(r'name="codes" value="([^"]+)"', page.text).group(1)
        r = me.post(f"{SEC}/recovery-codes/file", {"codes": joined}, page=f"{SEC}/recovery-codes")
        self.assertEqual(r.status, 200)
        self.assertIn("attachment", r.headers["Content-Disposition"])
        self.assertEqual(r.text.split("\r\n")[2:12], codes)
        r = me.post(f"{SEC}/recovery-codes/file", {"codes": joined[:-19] + "written-by-somebody"[:19]}, page=f"{SEC}/recovery-codes")
        self.assertEqual(r.status, 404)

    def test_without_a_factor_there_are_none(self):
        p = self.portal
        me = p.account("anna@example.com")
        self.assertEqual(me.get(f"{SEC}/recovery-codes").status, 200)
        self.assertNotIn('action="/account/security/recovery-codes"', me.get(f"{SEC}/recovery-codes").text)


class Proof(portal.Case):
    def test_a_factor_is_turned_off_only_by_a_factor(self):
        """Fails if a session and the password are enough to take the second step away."""
        p = self.portal
        me = p.account("anna@example.com")
        secret = set_up_app(me)
        later(p, "+11m")
        r = me.get(f"{SEC}/totp")
        self.assertEqual((r.status, r.location.split("?")[0]), (303, "/account/confirm"))
        page = "/account/confirm?next=/account/security/totp"
        r = me.post("/account/confirm", {"password": PASSWORD, "next": "/account/security/totp"}, page=page)
        self.assertEqual(r.location, "/account/security/totp")
        r = me.get(r.location)  # recent, but not by a factor
        self.assertEqual(r.location, "/account/confirm?with=factor&next=%2Faccount%2Fsecurity%2Ftotp")
        self.assertNotIn('name="password"', me.get(r.location).text)
        token = me.token(r.location)
        for path in ("totp/off", "totp/new", "recovery-codes", "passkeys/options", "phone"):
            r = me.post(f"{SEC}/{path}", {"number": NUMBER} if path == "phone" else {}, token=token)
            self.assertEqual((r.status, r.location.split("?")[0]), (303, "/account/confirm"), path)
        self.assertEqual(p.rows("SELECT count(*) FROM totp WHERE state = 'on'")[0][0], "1")
        code = code_of(secret, 22)
        r = me.post("/account/confirm/totp", {"code": code, "next": f"{SEC}/totp"}, page=page)
        self.assertEqual((r.status, r.location), (303, f"{SEC}/totp"), r.text)
        self.assertEqual(me.post(f"{SEC}/totp/off", page=f"{SEC}/totp").location, f"{SEC}?done=totp-off")
        until(lambda: [m for m in p.mails() if m["Subject"] == "A second step was turned off"], "the mail")
        self.assertEqual(p.browser().sign_in("anna@example.com").location, "/account")

    def test_a_code_is_a_recent_proof(self):
        """Fails if closing or the export does not take a code for an answer."""
        p = self.portal
        me = p.account("anna@example.com")
        secret = set_up_app(me)
        later(p, "+11m")
        r = me.get("/account/close")
        self.assertEqual(r.location, "/account/confirm?next=%2Faccount%2Fclose")
        r = me.post("/account/confirm/totp", {"code": code_of(secret, 22), "next": "/account/close"}, page="/account/confirm")
        self.assertEqual(r.location, "/account/close")
        self.assertEqual(me.get("/account/close").status, 200)

    def test_the_last_factor_takes_codes_and_devices_along(self):
        p = self.portal
        me = p.account("anna@example.com")
        secret = set_up_app(me)
        me.post(f"{SEC}/recovery-codes")
        b = half_in(p, "anna@example.com")
        second(b, "totp", code_of(secret), remember="yes")
        self.assertEqual(me.post(f"{SEC}/totp/off", page=f"{SEC}/totp").status, 303)
        for table in ("totp", "recovery_code", "known_device"):
            self.assertEqual(p.rows(f"SELECT count(*) FROM {table}")[0][0], "0", table)

    def test_every_change_is_in_the_security_log(self):
        p = self.portal
        me = p.account("anna@example.com")
        set_up_app(me)
        me.post(f"{SEC}/recovery-codes")
        me.post(f"{SEC}/totp/off", page=f"{SEC}/totp")
        kinds = [k for (k,) in p.rows("SELECT kind FROM security_event ORDER BY seq")]
        self.assertEqual(kinds, ["signed-in", "totp-on", "recovery-codes-made", "totp-off"])


class Gateway(BaseHTTPRequestHandler):
    """Twilio's API as far as it is used, with answers to order."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, self.headers["Authorization"], dict(urllib.parse.parse_qsl(body))))
        plan = self.server.plan.pop(0) if self.server.plan else 201
        if plan == "silence":
            time.sleep(20)
            return
        if plan == "drop":
            self.close_connection = True
            self.connection.close()
            return
        answer = {"sid": "SM" + "0" * 32, "status": "queued"} if plan == 201 else {
            "code": {400: 21211, 401: 20003, 429: 20429}.get(plan, 20500), "message": "no", "status": plan}
        text = json.dumps(answer).encode()
        self.send_response(plan)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Texts(portal.Case):
    def gateway(self, *plan):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
        server.daemon_threads = True
        server.asked, server.plan = [], list(plan)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def with_gateway(self, *plan, **env):
        g = self.gateway(*plan)
        p = self.new_portal(env={"TROTH_SMS": f"http://AC123:s3cretToken@127.0.0.1:{g.server_port}?from=%2B46700000000", **env}).start()
        return p, g

    def sent(self, g, n):
        return until(lambda: len(g.asked) >= n and g.asked[n - 1], f"message {n}")

    def code(self, g, n):
        return re.match(r"(\d{6}) ", self.sent(g, n)[2]["Body"]).group(1)

    def settled(self, p, state):
        until(lambda: p.rows("SELECT state FROM text_code ORDER BY made DESC LIMIT 1")[0][0] == state, state)

    def begin(self, b, number=NUMBER):
        return b.post(f"{SEC}/phone", {"number": number}, page=f"{SEC}/phone")

    def confirmed(self, p, g, address="anna@example.com"):
        me = p.account(address)
        self.assertEqual(self.begin(me).location, f"{SEC}/phone")
        r = me.post(f"{SEC}/phone/code", {"code": self.code(g, len(g.asked) or 1)}, page=f"{SEC}/phone")
        self.assertEqual(r.status, 303, r.text)
        return me

    def test_mya_08_to_12_number_confirmed_used_replaced_removed(self):
        """Fails if a number counts before it is confirmed, a code works twice, or an old number stays."""
        p, g = self.with_gateway()
        me = p.account("anna@example.com", language="sv")
        self.assertEqual(self.begin(me, "0046 70-123 45 67").location, f"{SEC}/phone")
        path, authorization, form = self.sent(g, 1)
        self.assertEqual(path, "/2010-04-01/Accounts/AC123/Messages.json")
        self.assertEqual(base64.b64decode(authorization.split()[1]).decode(), "AC123:s3cretToken")
        self.assertEqual((form["To"], form["From"]), (NUMBER, "+46700000000"))
        self.assertIn("är din kod för", form["Body"])
        self.assertTrue(form["Body"].endswith(f"@127.0.0.1 #{self.code(g, 1)}"), form["Body"])
        # Not confirmed: a password is still enough (MYA-08).
        self.assertEqual(p.browser().sign_in("anna@example.com").location, "/account")
        self.assertEqual(me.post(f"{SEC}/phone/code", {"code": "000000"}, page=f"{SEC}/phone").status, 422)
        r = me.post(f"{SEC}/phone/code", {"code": self.code(g, 1)}, page=f"{SEC}/phone")
        self.assertEqual(r.location, f"{SEC}/recovery-codes?done=phone-on")

        b = half_in(p, "anna@example.com")
        r = b.post("/sign-in/second/send", page="/sign-in/second")
        self.assertEqual(r.status, 303)
        code = self.code(g, 2)
        self.assertEqual(second(b, "text", code).location, "/account")
        other = half_in(p, "anna@example.com")
        self.assertEqual(second(other, "text", code).status, 403)  # another sign-in, and used

        before = p.rows("SELECT id FROM phone")
        self.begin(me, "+46709999999")
        self.code(g, 3)
        self.assertEqual(g.asked[2][2]["To"], "+46709999999")
        me.post(f"{SEC}/phone/code", {"code": self.code(g, 3)}, page=f"{SEC}/phone")
        after = p.rows("SELECT id FROM phone")
        self.assertEqual(len(after), 1)
        self.assertNotEqual(before, after)  # MYA-12: the old one is gone
        self.assertEqual(me.post(f"{SEC}/phone/off", page=f"{SEC}/phone").location, f"{SEC}?done=phone-off")
        self.assertEqual(p.rows("SELECT count(*) FROM phone")[0][0], "0")
        # What is left of the codes is that they were sent: for the day's count, so that it cannot be begun anew.
        self.assertEqual(p.rows("SELECT count(*) FROM text_code WHERE code IS NOT NULL OR ends > (SELECT max(made) FROM security_event)")[0][0], "0")
        self.assertEqual(p.cli("verify").returncode, 0)
        # MYA-10: neither codes, nor numbers, nor the gateway's secret are in any log.
        log = p.logged()
        for secret in (code, "s3cretToken", "701234567", "709999999"):
            self.assertNotIn(secret, log)

    def test_mya_10_sixth_try_of_a_text_code(self):
        """Fails if a sixth try is looked at: it is right, and refused."""
        p, g = self.with_gateway()
        me = p.account("anna@example.com")
        self.begin(me)
        code = self.code(g, 1)
        wrong = "000000" if code != "000000" else "111111"
        for _ in range(5):
            self.assertEqual(me.post(f"{SEC}/phone/code", {"code": wrong}, page=f"{SEC}/phone").status, 422)
        self.assertEqual(me.post(f"{SEC}/phone/code", {"code": code}, page=f"{SEC}/phone").status, 422)
        self.assertEqual(p.rows("SELECT count(*) FROM phone WHERE state = 'on'")[0][0], "0")

    def test_mya_10_a_text_code_expires(self):
        p, g = self.with_gateway()
        me = p.account("anna@example.com")
        self.begin(me)
        code = self.code(g, 1)
        self.settled(p, "sent")
        later(p, "+601s")
        me.post("/account/confirm", {"password": PASSWORD, "next": ""})
        self.assertEqual(me.post(f"{SEC}/phone/code", {"code": code}, page=f"{SEC}/phone").status, 422)

    def test_sms_pumping_is_limited_by_account_and_by_number(self):
        """Fails if somebody can have texts sent without end, to one number or from one account."""
        p, g = self.with_gateway()
        me, other = p.account("anna@example.com"), p.account("james@example.com")
        numbers = [f"+4670123456{n}" for n in range(6)]
        for n in range(5):
            self.assertEqual(self.begin(me, numbers[n]).location, f"{SEC}/phone")
            self.sent(g, n + 1)  # a number that is replaced before its message went gets none
        self.assertEqual(self.begin(me, numbers[5]).location, f"{SEC}/phone?done=text-limit")
        people = [p.account(f"p{n}@example.com") for n in range(5)]
        for b in people:
            self.begin(b, NUMBER)  # one number, five people
        self.assertEqual(self.begin(other, NUMBER).location, f"{SEC}/phone?done=text-limit")
        until(lambda: len(g.asked) == 10, "ten messages")
        time.sleep(0.5)
        self.assertEqual(len(g.asked), 10)

    def test_the_whole_portal_has_a_limit_a_day(self):
        p, g = self.with_gateway(TROTH_SMS_PER_DAY="2")
        for n in range(3):
            r = self.begin(p.account(f"p{n}@example.com"), f"+4670123450{n}")
            self.assertEqual(r.location, f"{SEC}/phone" + ("?done=text-limit" if n == 2 else ""))

    def test_numbers_that_are_none_or_elsewhere(self):
        p, g = self.with_gateway()
        me = p.account("anna@example.com")
        for number in ("0701234567", "+0701234567", "+46", "+46abc", "+461234567890123456", "+4670\u0661234567"):
            r = self.begin(me, number)
            self.assertEqual(r.status, 422, number)
            self.assertIn("with a plus sign", r.text)
        r = self.begin(me, "+12125550100")
        self.assertEqual(r.status, 422)
        self.assertIn("do not send text messages to that country", r.text)
        self.assertEqual(g.asked, [])
        self.assertEqual(p.rows("SELECT count(*) FROM phone")[0][0], "0")

    def test_wrong_answers_never_a_second_message_and_the_person_is_told(self):
        """Fails if a message that may have gone out is sent again, or one that surely did not is given up at
        once, or the person is left without a word."""
        told = {400: "could not be delivered to this number", 500: "do not know whether the message arrived",
                "drop": "do not know whether the message arrived"}
        states = {400: "refused", 500: "uncertain", "drop": "uncertain"}
        for plan, words in told.items():
            with self.subTest(plan=plan):
                p, g = self.with_gateway(plan)
                me = p.account("anna@example.com")
                self.begin(me)
                self.sent(g, 1)
                self.settled(p, states[plan])
                self.assertIn(words, me.get(f"{SEC}/phone").text)
                time.sleep(1)
                self.assertEqual(len(g.asked), 1)
                self.assertEqual(p.rows("SELECT count(*) FROM text_code WHERE code IS NOT NULL")[0][0], "0")
                # Asked for again, a new one goes out at once.
                me.post(f"{SEC}/phone/send", page=f"{SEC}/phone")
                self.sent(g, 2)
                self.settled(p, "sent")

    def test_too_busy_or_away_is_tried_again(self):
        """Fails if 429, or a gateway that nobody reaches, costs the person their code."""
        p, g = self.with_gateway(429)
        me = p.account("anna@example.com")
        self.begin(me)
        self.sent(g, 2)
        self.settled(p, "sent")
        self.assertEqual(self.code(g, 1), self.code(g, 2))
        me.post(f"{SEC}/phone/code", {"code": self.code(g, 2)}, page=f"{SEC}/phone")
        self.assertEqual(p.rows("SELECT state FROM phone")[0][0], "on")

    def test_asking_twice_at_once_sends_one(self):
        p, g = self.with_gateway()
        self.confirmed(p, g)
        b = half_in(p, "anna@example.com")
        token = b.token("/sign-in/second")
        threads = [threading.Thread(target=b.post, args=("/sign-in/second/send",), kwargs={"token": token}) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.sent(g, 2)
        time.sleep(1)
        self.assertEqual(len(g.asked), 2)

    def test_without_a_gateway_texts_are_not_offered(self):
        p = self.portal
        me = p.account("anna@example.com")
        self.assertNotIn("/account/security/phone", me.get(SEC).text)
        self.assertEqual(me.get(f"{SEC}/phone").status, 200)
        r = me.post(f"{SEC}/phone", {"number": NUMBER}, page=SEC)
        self.assertEqual(r.status, 404)

    def test_a_bad_setting_is_refused_by_name_and_keeps_its_secret(self):
        for bad in ("https://AC123@host?from=+46700000000", "https://AC123:hush@host", "http://AC123:hush@elsewhere.example?from=+4670000000",
                    "ftp://AC123:hush@host?from=X", "https://AC123:hush@host?from=much+too+long", "file:"):
            p = self.new_portal(postgres=False)
            run = p.cli("verify", env={"TROTH_SMS": bad})
            self.assertNotEqual(run.returncode, 0, bad)
            self.assertIn("TROTH_SMS", run.stderr)
            self.assertNotIn("hush", run.stderr)
        run = self.new_portal(postgres=False).cli("verify", env={"TROTH_SMS_PREFIXES": "46"})
        self.assertIn("TROTH_SMS_PREFIXES", run.stderr)


class Source(portal.Case):
    def test_mya_09_one_function_opens_a_number(self):
        """Fails if any other place in the program opens a mobile number. (The export opens every sealed
        field of the person's own, by declaration.)"""
        opens = []
        for root, _, files in os.walk(os.path.join(ROOT, "src")):
            for name in files:
                if not name.endswith(".c") or name.startswith("test_"):
                    continue
                with open(os.path.join(root, name), encoding="utf-8") as f:
                    text = f.read()
                for m in re.finditer(r'unseal\([^;]*?"phone",\s*"number"', text):
                    before = text[:m.start()]
                    function = re.findall(r"^(?:static )?enum err (\w+)\(", before, re.M)[-1]
                    opens.append((name, function))
                if name != "text.c":
                    self.assertNotRegex(text, r"SELECT[^;]*\bnumber\b[^;]*FROM phone", name)
                    self.assertNotIn("sms_send_code(", text.replace("enum sms_result sms_send_code(", ""), name)
        self.assertEqual(opens, [("text.c", "read_number")])


class Erasure(portal.Case):
    def test_mya_21_nothing_of_it_remains(self):
        """Fails if a row about somebody's second step outlives them."""
        p = self.new_portal(env={"TROTH_SMS": f"file:{portal.tempfile.mkdtemp(prefix='troth-texts-')}"}).start()
        me = p.account("anna@example.com")
        secret = set_up_app(me)
        me.post(f"{SEC}/recovery-codes")
        me.post(f"{SEC}/phone", {"number": NUMBER}, page=f"{SEC}/phone")
        b = half_in(p, "anna@example.com")
        second(b, "totp", code_of(secret), remember="yes")
        half_in(p, "anna@example.com")
        me.post("/account/close", {"when": "now", "sure": "yes"})
        until(lambda: p.rows("SELECT count(*) FROM account")[0][0] == "0", "the erasure")
        for table in ("totp", "phone", "text_code", "recovery_code", "passkey", "step", "code_try", "known_device"):
            self.assertEqual(p.rows(f"SELECT count(*) FROM {table}")[0][0], "0", table)


if __name__ == "__main__":
    portal.main()
