"""What nobody's browser sends: malformed framing, oversized anything, other people's tokens."""
import json
import os
import re
import socket
import time
import urllib.parse

import portal
from portal import PASSWORD, until

HOST = b"Host: portal.example.com\r\n"


class Raw(portal.Case):
    def send(self, data, half_close=True, seconds=5):
        """Everything that comes back for these bytes, until the server closes or nothing comes."""
        with socket.create_connection(("127.0.0.1", self.portal.port), timeout=seconds) as s:
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it may have closed already: what it said counts
            got = b""
            try:
                while chunk := s.recv(65536):
                    got += chunk
            except (socket.timeout, ConnectionResetError):
                pass
        return got

    def statuses(self, data):
        return [int(m) for m in re.findall(rb"^HTTP/1\.1 (\d+)", self.send(data), re.M)]

    def test_sec_06_smuggling_is_refused_and_the_connection_ends(self):
        """Fails if bytes that one reader takes for a body are another's request."""
        inner = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
        post = b"POST /sign-in HTTP/1.1\r\n" + HOST
        form = b"Content-Type: application/x-www-form-urlencoded\r\n"
        cases = (
            post + form + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
            post + form + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + inner,
            post + form + b"Content-Length: 3\r\nContent-Length: 40\r\n\r\na=b" + inner,
            post + form + b"Content-Length: 3, 40\r\n\r\na=b" + inner,
            post + form + b"Content-Length: +3\r\n\r\na=b" + inner,
            post + form + b"Content-Length: -3\r\n\r\na=b" + inner,
            post + form + b"Content-Length: 0x3\r\n\r\na=b" + inner,
            post + form + b"Content-Length: 99999999999999999999999\r\n\r\na=b" + inner,
            post + form + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
            post + form + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner,
            post + form + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
            b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n" + inner,
            b"GET / HTTP/1.1\r\n\r\n" + inner,
        )
        for data in cases:
            got = self.send(data)
            found = {int(m) for m in re.findall(rb"^HTTP/1\.1 (\d+)", got, re.M)}
            self.assertLessEqual(found, {400, 413}, data)  # nothing, or a refusal
            self.assertNotIn(b"\r\n\r\nok\n", got, data)  # the inner request was not answered

    def test_good_framing_is_taken(self):
        """The counterpart: without it, refusing everything would pass."""
        self.assertEqual(self.statuses(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\nGET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"), [200, 200])
        chunked = (b"POST /sign-in HTTP/1.1\r\n" + HOST + b"Content-Type: application/x-www-form-urlencoded\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n")
        self.assertEqual(self.statuses(chunked), [400])  # no field "a": but it was read
        self.assertIn(b"<html", self.send(chunked))

    def test_malformed_requests_harm_nobody(self):
        cases = (
            b"\r\n\r\n\r\n", b"GARBAGE\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00" * 4096,
            b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET / HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n", b"GET / HTTP/1.1\r\n" + HOST + b"X(y): z\r\n\r\n",
            b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n", b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
            b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % i for i in range(500)) + b"\r\n",
            b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 100000 + b"\r\n\r\n",
            b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
            b"POST /sign-in HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
            b"POST /sign-in HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
            b"POST /sign-in HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc",  # and gone
            b"GET /%ff%fe HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET /../../etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /assets/..%2f..%2fetc/passwd HTTP/1.1\r\n" + HOST + b"\r\n",
        )
        for data in cases:
            got = self.send(data, seconds=3)
            found = [int(m) for m in re.findall(rb"^HTTP/1\.1 (\d+)", got, re.M)]
            self.assertTrue(all(400 <= s < 500 or s == 505 for s in found), (data[:80], found))
            self.assertNotIn(b"root:", got)
        self.assertEqual(self.statuses(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"), [200])

    def test_a_head_that_cannot_be_read_whole_is_answered(self):
        """Fails if the connection ends without a word, or goes on."""
        inner = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
        for data in (b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % i for i in range(120)) + b"\r\n",
                     b"GET /\x00x HTTP/1.1\r\n" + HOST + b"\r\n"):
            got = self.send(data + inner)
            self.assertEqual(re.findall(rb"^HTTP/1\.1 (\d+)", got, re.M), [b"400"], data[:40])
            self.assertIn(b"<h1>", got)
            self.assertNotIn(b"\r\n\r\nok\n", got)

    def test_headers_that_the_library_takes_stay_one_request(self):
        """A value with a NUL (read up to it) and a folded one (joined): nginx refuses the first. Fails if either
        becomes two answers, or breaks the server."""
        for line in (b"X: a\x00b\r\n", b"X: a\r\n  folded\r\n"):
            found = self.statuses(b"GET /healthz HTTP/1.1\r\n" + HOST + line + b"Connection: close\r\n\r\n")
            self.assertIn(found, ([200], [400]), line)

    def test_oversized_bodies_are_413_while_they_come(self):
        """Fails if a body is taken into memory before its size is known to be wrong."""
        form = b"Content-Type: application/x-www-form-urlencoded\r\n"
        head = b"POST /sign-in HTTP/1.1\r\n" + HOST + form
        self.assertEqual(self.statuses(head + b"Content-Length: 1000000000\r\n\r\nemail=a"), [413])
        endless = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"ffff\r\n" + b"a" * 0xffff + b"\r\n" + b"0\r\n\r\n"
        self.assertEqual(self.statuses(endless), [413])
        self.assertEqual(self.statuses(b"POST /sign-in HTTP/1.1\r\n" + HOST + b"Content-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>"), [415])
        self.assertEqual(self.statuses(b"POST /sign-in HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n\r\n--x"), [415])

    def test_methods_and_paths(self):
        b = self.portal.browser()
        r = b.ask("DELETE", "/account")
        self.assertEqual((r.status, r.headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(b.ask("POST", "/healthz").status, 405)
        self.assertEqual(b.get("/sign-in/").status, 308)
        self.assertEqual(b.get("/sign-in/").location, "/sign-in")
        for path in ("/nowhere", "/account/privacy/takeouts", "/.git/config", "/assets/none.css"):
            self.assertEqual(b.get(path).status, 404, path)
        head = b.ask("HEAD", "/sign-in")
        get = b.get("/sign-in")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["Content-Type"], get.headers["Content-Type"])

    def test_sec_06_headers_stand_on_every_answer(self):
        b = self.portal.browser()
        for path in ("/", "/sign-in", "/nowhere", "/healthz", "/account", "/privacy", "/assets/none.css"):
            r = b.get(path)
            policy = r.headers["Content-Security-Policy"]
            self.assertIn("default-src 'none'", policy, path)
            self.assertNotIn("unsafe", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertEqual(r.headers["X-Content-Type-Options"], "nosniff")
            self.assertIn("Referrer-Policy", r.headers)
            self.assertNotIn("Strict-Transport-Security", r.headers)  # plain HTTP here
            self.assertNotIn("Server", r.headers)

    def test_coo_01_a_visit_sets_no_cookie(self):
        """Fails if looking around leaves anything in the browser: only forms need a cookie."""
        b = self.portal.browser()
        for path in ("/", "/privacy", "/privacy/promises", "/privacy/rights", "/nowhere"):
            b.get(path)
        self.assertEqual(b.cookies, {})
        b.get("/sign-in")
        self.assertEqual(list(b.cookies), ["form"])


class Tokens(portal.Case):
    def test_links_work_once_for_their_kind_and_owner(self):
        """Fails if a link of one kind does another's work, or a damaged one does any."""
        p = self.portal
        b = p.account("anna@example.com")
        b.post("/recover", {"email": "anna@example.com"}, token=b.token("/account"))
        m = p.mail("anna@example.com", "/recover/new")
        stranger = p.browser()
        t = stranger.token("/sign-in")
        for path, fields in (("/verify-email", {}), ("/account/reopen", {}), ("/account/email", {})):
            r = stranger.post(path, {"t": m.token, **fields}, token=t)
            self.assertEqual(r.status, 410, path)
        for bad in ("", "x", m.token[:-1], m.token + "a", m.token.upper(), m.token[:52] + "a" * 52, "\u00e5" * 20, "a" * 3000):
            r = stranger.post("/recover/new", {"t": bad, "password": "a quite different long phrase"}, token=t)
            self.assertIn(r.status, (410, 422), bad[:60])
            r = stranger.get("/recover/new?" + urllib.parse.urlencode({"t": bad}))
            self.assertEqual(r.status, 410, bad[:60])
        self.assertEqual(p.browser().sign_in("anna@example.com").status, 303)  # the old password still holds
        self.assertEqual(stranger.get(m.path).status, 200)

    def test_invalid_text_is_refused_in_the_readers_language(self):
        p = self.portal
        b = p.browser(language="sv")
        token = b.token("/sign-up")
        for raw in (b"email=%ff%fe", b"email=a%00b", b"email=%c3%28", b"email=%zz", b"email=a&email=b", b"\xff\xfe=1", b"a[]=1",
                    b"&".join(b"x%d=1" % i for i in range(300))):
            r = b.ask("POST", "/sign-up", b"csrf=" + token.encode() + b"&" + raw, {"Content-Type": "application/x-www-form-urlencoded"})
            self.assertEqual(r.status, 400, raw)
            self.assertIn('lang="sv"', r.text)
        r = b.post("/sign-up", {"email": "nobody", "password": "x"}, token=token)
        self.assertEqual(r.status, 422)
        self.assertIn('aria-invalid="true"', r.text)
        self.assertIn('value="nobody"', r.text)  # what was typed is still there
        self.assertNotIn('value="x"', r.text)  # but not the password
        self.assertEqual(p.rows("SELECT count(*) FROM account"), [("0",)])

    def test_hostile_text_stays_text(self):
        """Fails if what a person types is ever markup, in a page, a mail or the export."""
        p = self.portal
        evil = "\"><script>alert(1)</script>{{name}}<!--"
        b = p.account("anna@example.com")
        b.post("/account/privacy/restrict", {"reason": "accuracy", "note": evil}, page="/account/privacy")
        page = b.get("/account/privacy").text
        self.assertNotIn("<script>alert", page)
        self.assertIn("&lt;script&gt;alert(1)&lt;/script&gt;{{name}}", page)
        r = b.get("/sign-in?" + urllib.parse.urlencode({"next": evil, "done": evil}))
        self.assertNotIn("<script>alert", r.text)

    def test_somebody_elses_things_are_not_there(self):
        """Fails if an ID is enough: Anna's export, session and consent for James."""
        p = self.portal
        anna, james = p.account("anna@example.com", news=True), p.account("james@example.com")
        anna.post("/account/privacy/takeout", {"scope": "all"}, page="/account/privacy")
        path = until(lambda: re.search(r"/account/privacy/takeouts/[a-z0-9]+", anna.get("/account/privacy").text), "the export").group(0)
        self.assertEqual(james.get(path).status, 404)
        self.assertEqual(anna.get(path).status, 200)
        session = p.rows("SELECT id FROM session s WHERE EXISTS (SELECT 1 FROM consent c WHERE c.subject = s.account)")[0][0]
        r = james.post("/account/security/sessions", {"session": session}, page="/account/security")
        self.assertEqual(r.status, 404)
        self.assertEqual(anna.get("/account").status, 200)

    def test_log_09_logs_hold_no_secret_and_nobody(self):
        """Fails if a log line has an address, a password, a token or a visitor's IP."""
        p = self.portal
        b = p.account("anna.logmarker@example.com", password="logmarker secret phrase 17", news=True)
        session = b.cookies["session"]
        b.get("/account?x=logmarker")
        b.get("/recover/new?t=logmarker")
        b.post("/sign-in", {"email": "anna.logmarker@example.com", "password": "wrong logmarker", "next": ""}, page="/account/confirm")
        b.post("/account/privacy/restrict", {"reason": "accuracy", "note": "logmarker"}, page="/account/privacy")
        p.ok("erase", "anna.logmarker@example.com")
        p.stop()
        log = p.logged()
        self.assertGreater(log.count('"event":"request"'), 10)
        for secret in ("logmarker", session, session[52:], "127.0.0.1\"", "example.com\""):
            lines = [l for l in log.splitlines() if secret in l and '"event":"started"' not in l]
            self.assertEqual(lines, [], secret)
        for line in log.splitlines():
            json.loads(line)


class Limits(portal.Case):
    settings = {"TROTH_LIMITS": "on"}

    def test_sec_06_a_flood_is_429_and_says_when(self):
        p = self.portal
        b = p.browser(language="sv")
        for _ in range(2000):
            r = b.get("/captcha/challenge")
            if r.status == 429:
                break
        self.assertEqual(r.status, 429)
        self.assertGreaterEqual(int(r.headers["Retry-After"]), 1)
        self.assertIn('lang="sv"', r.text)
        self.assertEqual(b.get("/").status, 200)  # reading goes on


class Drain(portal.Case):
    def test_a_stop_lets_running_requests_end(self):
        """Fails if SIGTERM cuts off an answer, or new requests are taken after it."""
        p = self.portal
        p.account("anna@example.com")
        with socket.create_connection(("127.0.0.1", p.port)) as slow:
            body = urllib.parse.urlencode({"csrf": "a", "email": "anna@example.com"}).encode()
            slow.sendall(b"POST /recover HTTP/1.1\r\n" + HOST + b"Content-Type: application/x-www-form-urlencoded\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(body) + body[:-3])
            time.sleep(0.3)
            p.process.terminate()
            time.sleep(0.5)
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.1", p.port), timeout=2).close()
            slow.sendall(body[-3:])
            self.assertRegex(slow.recv(65536), rb"^HTTP/1\.1 403")
        self.assertEqual(p.process.wait(20), 0)
        p.gone()


if __name__ == "__main__":
    portal.main()
