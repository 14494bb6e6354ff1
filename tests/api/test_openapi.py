"""The Connect API against its own document: that it takes the statement's list and not one field more; every
operation with messages spoiled in every way and at random; two accounts at every operation; messages that come
twice; and what is left when an app has been disconnected."""
import glob
import json
import os
import random
import re
import shutil
import tempfile
import threading
import time
import urllib.parse

import portal
from connect import App
from openapi import NEVER, Document, Watch, Wire, add_command, differing, early_message, execute, fill, message, of_accounts, stored
from portal import until
from test_factors import NUMBER, SEC, code_of, set_up_app
from test_licenses import issue

# Another run: TROTH_TEST_SEED.
SEED = int(os.environ.get("TROTH_TEST_SEED", "4"))

# The statement's list (spec WPF-01 to WPF-32), by what messages call each.
LIST = {1: ["email"], 2: ["password"], 3: ["context"], 4: ["captcha_id"], 5: ["captcha_type"], 6: ["captcha_reply"], 7: ["locale"],
        8: ["one_time_password"], 9: ["user_id"], 10: ["device_id"], 11: ["temporary_device_id"], 12: ["region"],
        13: ["marketing_agreement"], 14: ["connection_password"], 15: ["activation_code"], 16: ["application_instance_id"],
        17: ["application_id"], 18: ["application_version"], 19: ["application_locale"],
        20: ["device.device_id", "device.network_name", "device.type", "device.os_type", "device.os_version"],
        21: ["license.type", "license.status", "license.service_information", "license.activation_error", "license.expires",
             "license.features"],
        22: ["device_token_type"], 23: ["service_id"], 24: ["binding_id"], 25: ["item_name"], 26: ["purchased_at"], 27: ["package_name"],
        28: ["receipt_name"], 29: ["purchase_token"], 30: ["signature"], 31: ["purchase_status"], 32: ["choice"]}
NAMES = [name for n in sorted(LIST) for name in LIST[n]]

# What is no field of the list, and why a message has it nevertheless.
BESIDE = {"position": {"latitude", "longitude", "accuracy"},  # Anti-Theft's own, and never unasked
          "device_authorization": {"client_id", "scope"},     # RFC 8628's names of application_id and context
          "token_wish": {"grant_type", "device_code", "client_id"}}

# To count a wrong try is what these refusals are for.
COUNTED = {"credentials-wrong", "code-wrong", "too-many-codes-tried", "captcha-needed", "connection-password-wrong", "code-unknown",
           "authorization_pending", "slow_down"}
COUNTS = {"code_try", "quota", "step", "security_event", "totp", "connect_grant"}


class Portal(portal.Case):
    def setUp(self):
        self.people = {}

    def ready(self, *names):
        p = self.portal
        for name in names:
            self.people[name] = p.account(f"{name}@example.com")
        self.document = Document(App(p).get("/openapi.json").json())
        return p

    def refused(self, r, status, code):
        self.assertEqual((r.status, r.code), (status, code), r.text)


class Leaves(Portal):
    def test_wpf_01_wpf_32_the_list_and_not_one_field_more(self):
        """Fails if the document does not mark the 41 leaves of the list's 32 bullets, each with its type and limit; if a message
        takes a field that is none of them; if one of them is in no message; or if the statement publishes another list."""
        p = self.ready()
        d = self.document
        self.assertEqual((len(LIST), len(NAMES), len(LIST[20]), len(LIST[21])), (32, 41, 5, 6))
        schemas = d.json["components"]["schemas"]
        group = {n: {v["$ref"].split("/")[-1]: k for k, v in schemas[n]["properties"].items()} for n in ("device", "license")}
        marked = []
        for name, s in schemas.items():
            for bullet in s.get("x-wpf", []):
                n = int(re.fullmatch(r"WPF-(\d\d)", bullet).group(1))
                marked.append((n, {20: f"device.{group['device'].get(name)}", 21: f"license.{group['license'].get(name)}"}.get(n, name)))
                limited = "enum" in s or "maxLength" in s or s["type"] == "boolean" or s.get("maxItems") or s.get("x-max-bytes")
                self.assertTrue(s["type"] and limited, name)
        self.assertEqual(sorted(marked), sorted((n, x) for n, names in LIST.items() for x in names))
        # Secrets of the list are marked, and they alone.
        self.assertEqual({n for n, s in schemas.items() if s.get("writeOnly")}, {"password", "captcha_reply", "one_time_password", "connection_password"})

        used = set()

        def leaves(schema, ref, at):
            """Each field of a message, and the leaf that it refers to."""
            s = d.resolve(schema)
            if s.get("properties") is None:
                yield at, ref
                return
            self.assertIs(s.get("additionalProperties"), False, (ref, at))
            for name, inner in s["properties"].items():
                yield from leaves(inner, inner.get("$ref", "").split("/")[-1], f"{at}.{name}" if at else name)
        for o in d.operations:
            kind, _ = d.content(o)
            if kind is None:
                continue
            name = d.message_name(o)
            for field, ref in leaves({"$ref": f"#/components/schemas/{name}"}, name, ""):
                if name == "nothing":
                    self.assertEqual(field, "")
                    continue
                if field in BESIDE.get(name, ()):
                    self.assertNotIn(field, NAMES)
                    continue
                self.assertIn(field, NAMES, (o["operationId"], field))
                self.assertIn("x-wpf", schemas[ref], (o["operationId"], field))
                used.add(field)
        # The user's ID is told to the app, and never asked of it.
        self.assertEqual(set(NAMES) - used, {"user_id"})
        for language in ("en", "sv"):
            published = App(p).get(f"/statements/troth-agent?locale={language}").json()["fields"]
            self.assertEqual([f"{f['group']}.{f['name']}" if "group" in f else f["name"] for f in published], NAMES)
            self.assertEqual(len({f["meaning"] for f in published}), 40, "words of their own, but for the device's ID, which is there twice")
        page = p.browser().get("/statements/troth-agent").text
        for name in NAMES:
            self.assertIn(name.split(".")[-1], page)


# ---- messages, spoiled ----

JUNK = ["", " ", "\0", "a\u0000b", "é" * 300, "x" * 3000, "\u202e", "\U0001f511", "'; DROP TABLE account; --", "<script>", "{{x}}", "%s%n", "../../x", "null",
        0, -1, 1, 2 ** 31, 2 ** 63 - 1, -(2 ** 63), 0.5, -0.0, 1e308, True, False, None, [], {}, [[]], {"a": {"b": 1}}, ["x"] * 40,
        {f"k{n}": n for n in range(40)}]
RAW = ["1e999", "-1e999", "9" * 400, "-" + "9" * 30, "1E400", "0x10", "01", "NaN", "Infinity", "1.", ".5", "+1", '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"',
       "'x'", "tru", "undefined", "[" * 60 + "]" * 60, '{"a":' * 30 + "1" + "}" * 30]
BYTES = [b"", b" ", b"{", b"}", b"[]", b"null", b"1", b'""', b"{}{}", b"{},", b"\xff", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'{"\xff":1}', b'{"a":"\xc0\x80"}',
         b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf4\x90\x80\x80"}', b"\0" * 50, b"[" * 5000, b'{"a":' * 1500, b"{" + b'"a":1,' * 1200 + b'"b":1}', b"<xml/>", b"a=1&b=2"]


def paths(value, at=()):
    """Where something stands in a message."""
    for name in value if isinstance(value, dict) else ():
        yield (*at, name)
        yield from paths(value[name], (*at, name))


def copy_with(value, at, change):
    """A copy in which the object that holds that member was changed."""
    out = json.loads(json.dumps(value))
    holder = out
    for name in at[:-1]:
        holder = holder[name]
    change(holder, at[-1])
    return out


def setting(to):
    return lambda o, n: o.update({n: to})


class Spoiler:
    """Messages of one operation that are not as they should be: (what was done, body, (field, its code) or None)."""

    def __init__(self, d, o, good, rng):
        self.d, self.o, self.good, self.rng = d, o, good, rng
        self.schema = d.content(o)[1]

    @staticmethod
    def text(m):
        return json.dumps(m, ensure_ascii=False).encode("utf-8", "surrogatepass")

    def wrongs(self, s):
        """Values that a schema does not allow, each with what is said of it."""
        kinds = s["type"] if isinstance(s["type"], list) else [s["type"]]
        yield ([1], "type") if "array" not in kinds else ({"a": 1}, "type")
        if "boolean" not in kinds:
            yield True, "type"
        if "null" not in kinds:
            yield None, "type"
        if "string" in kinds:
            yield 7, "type"
            if "enum" in s:
                yield "no such value", "choice"
                return
            yield "x" * (s["maxLength"] + 1), "long"
            yield "line\nline", "pattern"
            if s.get("minLength", 0) > 0:
                yield "", "short"
        if "number" in kinds:
            yield s["maximum"] + 1, "range"
            yield s["minimum"] - 1, "range"
            yield "7", "type"
        if "array" in kinds:
            yield ["a"] * (s["maxItems"] + 1), "long"
        if "object" in kinds and "properties" not in s:
            yield {f"k{n}": 1 for n in range(s["maxProperties"] + 1)}, "long"
            yield {f"k{n}": "x" * 190 for n in range(8)}, "long"

    def by_rule(self, s=None, at=()):
        """Each field missing, unknown, of another type, too long, too short, out of its range or choice."""
        s = s or self.schema
        dotted = lambda name: ".".join((*at, name))
        for name in ("shoe_size", "Email", "email ", "__proto__", "x" * 70):
            yield f"{dotted(name)} added", self.text(copy_with(self.good, (*at, name), setting(44))), (dotted(name), "field-unknown")
        for name, inner in s.get("properties", {}).items():
            inner = self.d.resolve(inner)
            if name in s.get("required", []):
                yield f"{dotted(name)} left out", self.text(copy_with(self.good, (*at, name), lambda o, n: o.pop(n))), (dotted(name), "field-missing")
            for value, why in self.wrongs(inner):
                yield f"{dotted(name)} = {value!r:.60}", self.text(copy_with(self.good, (*at, name), setting(value))), (dotted(name), f"field-{why}")
            holder = self.good
            for step in at:
                holder = holder[step]
            if "properties" in inner and name in holder:
                yield from self.by_rule(inner, (*at, name))

    def at_random(self, n):
        r = self.rng
        places = list(paths(self.good)) or [("x",)]
        for _ in range(n):
            m, done = self.good, []
            for _ in range(r.choice((1, 1, 1, 2, 3))):
                at = r.choice(places)
                junk = r.choice(JUNK)
                kind = r.choice(("junk", "junk", "out", "rename", "swap"))
                change = {"junk": setting(junk), "out": lambda o, k: o.pop(k, None), "swap": setting(r.choice(list(self.good.values()) or [0])),
                          "rename": lambda o, k: o.update({k + r.choice((" ", "\0", "s", "\u200b")): o.pop(k, 1)})}[kind]
                try:
                    m = copy_with(m, at, change)
                except (KeyError, TypeError, AttributeError):
                    continue
                done.append(f"{kind} {'.'.join(at)} {junk!r:.40}")
            yield "; ".join(done), self.text(m), None
        for raw in r.sample(RAW, n // 4 + 1):
            at = r.choice(places)
            marked = self.text(copy_with(self.good, at, setting("@@RAW@@")))
            yield f"{'.'.join(at)} = {raw:.40}", marked.replace(b'"@@RAW@@"', raw.encode()), None
        whole = self.text(self.good)
        name = next(iter(self.good), "x")
        yield "a field twice", whole[:-1] + (b", " if self.good else b"") + json.dumps(name).encode() + b": 1, " + json.dumps(name).encode() + b": 2}", None
        for _ in range(n // 2):
            b = bytearray(whole)
            for _ in range(r.randint(1, 3)):
                i = r.randrange(len(b) + 1)
                how = r.choice(("cut", "flip", "in"))
                if how == "cut":
                    del b[i:i + r.randint(1, 20)]
                elif how == "in":
                    b[i:i] = r.choice((b"\xff", b"\0", b"\xc3", b'"', b"{", b"}", b"\\", b"\\u12", b"\xef\xbf\xbf", b",", b"9" * 30))
                elif i < len(b):
                    b[i] ^= 1 << r.randrange(8)
            yield "bytes", bytes(b), None


class Fuzz(Portal):
    def context(self, x, stage, who="anna"):
        x.accept()
        if stage == "second":
            x.sign_in("bea@example.com")
        elif stage == "bind":
            x.sign_in(f"{who}@example.com")
        return x.context

    STAGES = {"proveSecondFactor": "second", "sendCode": "second", "bind": "bind"}

    def fresh(self, o):
        """(app, path, query, message) of a good request; what it needs is made anew."""
        p, d = self.portal, self.document
        name = d.message_name(o)
        if not o.get("security"):
            x = self.early
            context = self.context(x, self.STAGES.get(o["operationId"], "accepted")) if name and name != "acceptance" else None
            m = early_message(name, x, context) if name else None
            return x, fill(o["path"], application_id=x.application, version=x.statement()["version"]), "", m
        if o["operationId"] == "disconnect":
            x = self.bound = App(p, "total-security").connect("anna@example.com")
        else:
            x = self.bound
        query = {"acceptAgain": f"?version={x.statement()['version']}", "commandFailed": "?reason=no-such-thing"}.get(o["operationId"], "")
        command = {"commandDone": "alarm", "commandFailed": "alarm", "reportPosition": "locate"}.get(o["operationId"])
        which = NEVER
        if command:
            self.commands += 1
            which = add_command(p, x, command, self.commands)
        m = message(name, x) if name else None
        if name == "code_wish":
            m["activation_code"] = self.code
        return x, fill(o["path"], binding_id=x.ids["binding_id"], command_id=which), query, m

    @staticmethod
    def held(good):
        """What a good message holds of its own: its path, its context, its IDs."""
        x, path, _, m = good
        return [path, (m or {}).get("context", (m or {}).get("scope", "")), *(x.ids or {}).values()]

    def send(self, o, x, path, body, note, headers=None, method=None, token=None):
        every = {"Accept": "application/json", "Content-Type": "application/json", "Connection": "keep-alive", "Accept-Language": "en"}
        if o.get("security"):
            every["Authorization"] = f"Bearer {token or x.token}"
        every.update(headers or {})
        r = self.wire.ask(method or o["method"], path, body, {k: v for k, v in every.items() if v is not None})
        self.note = (o["operationId"], method or o["method"], path[:200], note, (body or b"")[:500], r.status, r.text[:600])
        return r

    def spoiled(self, o, good, headers=None):
        """Everything that this operation is to be sent: (what was done, path's ending or None, headers, body, method, expected)."""
        rng = random.Random(f"{SEED} {o['operationId']}")
        x, path, query, m = good
        s = Spoiler(self.document, o, m, rng)
        whole = s.text(m) if m is not None else None
        kind, _ = self.document.content(o)
        if kind == "application/json":
            for note, body, field in s.by_rule():
                yield note, path + query, {}, body, None, field
            for note, body, field in s.at_random(24):
                yield note, path + query, {}, body, None, field
            for body in BYTES:
                yield f"bytes {body[:20]!r}", path + query, {}, body, None, None
            for wrong in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data; boundary=x", "", None,
                          "application/xml", "application/json-patch+json"):
                yield f"type {wrong}", path + query, {"Content-Type": wrong}, whole, None, ("media-type", 415)
            yield "type with a charset", path + query, {"Content-Type": "Application/JSON; charset=utf-8"}, b"{", None, ("json", 400)
            size = 40000
            yield "too large", path + query, {}, b'{"a":"' + b"x" * size + b'"}', None, ("too-large", 413)
            yield "a key that is none", path + query, {"Idempotency-Key": "a b"}, whole, None, None
            yield "a key that is too long", path + query, {"Idempotency-Key": "k" * 300}, whole, None, None
        elif kind:
            form = {"Content-Type": kind}
            pairs = dict(m)
            for name in list(pairs):
                for value in (None, "", "x" * 200, "\n", "\0", "é", "\udcff", pairs[name] + "0", pairs[name][:-1]):
                    changed = {k: v for k, v in {**pairs, name: value}.items() if v is not None}
                    yield f"{name} = {value!r:.20}", path, form, urllib.parse.urlencode(changed, errors="surrogateescape").encode(), None, None
            for body in (*BYTES, urllib.parse.urlencode({**pairs, "extra": "1"}).encode(), urllib.parse.urlencode([*pairs.items(), *pairs.items()]).encode()):
                yield f"bytes {body[:20]!r}", path, form, body, None, None
            yield "type", path, {"Content-Type": "application/json"}, json.dumps(m).encode(), None, ("media-type", 415)
        for wrong in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"} - self.methods[o["path"]]:
            yield f"method {wrong}", path + query, {}, whole, wrong, ("method", 405)
        for q in ("?shoe_size=44", "?" + "a" * 900, "?%00=1", "?locale=%ff", "?version=..&version=1", "?&&=&", "?reason=" + "r" * 300, "?locale=x"):
            if kind != "application/x-www-form-urlencoded":
                yield f"query {q[:30]}", path + q, {}, whole, None, None
        for at in {path + "/", path + "/x", path + "%00", path.rsplit("/", 1)[0] + "/" + "x" * 300, path.upper(), path + "%2f..", "/" + path, path + ";a=1"}:
            yield f"path {at[:60]}", at, {}, whole, None, None
        if o.get("security"):
            for token in ("", "x", "d1." + NEVER * 4, x.token[:-1] + ("0" if x.token[-1] != "0" else "1"), x.token + "0", x.token[:-1], "é", "d1." + "0" * 900):
                yield f"token {token[:20]}", path + query, {"Authorization": f"Bearer {token}".encode("utf-8")}, whole, None, ("token-unknown", 401)
            for given in (None, "Basic eDp5", x.token, f"bearer\t{x.token}", "Bearer"):
                yield f"authorization {given and given[:10]}", path + query, {"Authorization": given}, whole, None, ("token-unknown", 401)
        yield "an odd If-None-Match", path + query, {"If-None-Match": '",,W/"' * 20}, whole, None, None

    def beyond(self, watch, counted):
        """What refusals have stored, but for tries that are counted."""
        return {t: n for t, n in watch.changes().items() if not (counted and t in COUNTS)}

    def test_wps_09_every_operation_with_messages_spoiled_by_rule_and_at_random(self):
        """Fails if anything is answered by a 5xx, by what the document does not have for that operation, or by no problem with a
        code; if a field that is wrong is not named with what is wrong with it; or if a refusal has stored anything."""
        p = self.ready("anna", "bea")
        print(f"# seed {SEED}")
        set_up_app(self.people["bea"])
        d = self.document
        self.code = issue(p)[0][0]
        self.wire, self.commands = Wire(p), 0
        self.addCleanup(self.wire.close)
        self.early = App(p)
        self.bound = App(p, "total-security").connect("anna@example.com")
        self.assertEqual(self.bound.send().status, 200)
        self.methods = {}
        # At an address that is none, or is another's: what any of them may answer, and no more.
        d.anything = {"method": "GET", "responses": {}, "security": [1], "x-codes": sorted({c for o in d.operations for c in o.get("x-codes", [])})}
        for o in d.operations:
            self.methods.setdefault(o["path"], {"HEAD"}).add(o["method"])
        began, codes, by_rule, refusals = time.monotonic(), {}, 0, 0
        watch = Watch(p)
        self.addCleanup(watch.close)
        for o in d.operations:
            good = origin = self.fresh(o)
            names, carried = {good[1]}, []
            watch.look()
            counted = False
            for note, path, headers, body, method, expected in self.spoiled(o, origin):
                for old, new in carried:
                    path = path.replace(old, new)
                    body = body and body.replace(old.encode(), new.encode())
                r = self.send(o, good[0], path, body, note, headers, method)
                elsewhere = path.split("?")[0] not in names
                bad = None
                if elsewhere or (method and method not in self.methods[o["path"]]):
                    moved = r.status == 308 and path.split("?")[0].endswith("/") and r.location in (path[:-1], "/api/v1" + path.split("?")[0][:-1])
                    bad = None if moved else d.undocumented(d.anything, r)
                else:
                    bad = d.undocumented(o, r)
                self.assertIsNone(bad, self.note)
                if expected and isinstance(expected[1], int):
                    self.assertEqual((r.code, r.status), expected, self.note)
                elif expected:
                    by_rule += 1
                    field, code = expected
                    self.assertEqual((r.status, r.code), (400, "field-unknown" if code == "field-unknown" else "fields"), self.note)
                    self.assertEqual(r.fields.get(field), code, self.note)
                if r.status < 300 or r.status == 429:
                    good = self.fresh(o)
                    names.add(good[1])
                    carried = [(a, b) for a, b in zip(self.held(origin), self.held(good)) if a != b]
                    watch.look()
                    counted = False
                    continue
                if r.status < 400:
                    continue
                refusals += 1
                code = r.code if "code" in r.json() else r.json()["error"]
                codes[code] = codes.get(code, 0) + 1
                counted = counted or code in COUNTED
                if watch.wrote():
                    self.assertEqual(self.beyond(watch, counted), {}, self.note)
            self.assertEqual(self.beyond(watch, counted), {}, o["operationId"])
        took = time.monotonic() - began
        print(f"# {self.wire.sent} requests, {refusals} refused, {by_rule} by rule, {took:.1f} s; {dict(sorted(codes.items()))}")
        self.assertGreater(by_rule, 400)
        self.assertGreater(self.wire.sent, 2000)
        self.assertLess(took, 90)
        self.assertEqual(self.bound.send().status in (200, 410), True)


class Others(Portal):
    def masked(self, r, *ids):
        """An answer without what is its own: the request's ID, the time, and the ID that was asked for."""
        text = re.sub(r"urn:troth:request:[0-9a-z]{26}", "urn", r.text)
        for i in ids:
            text = text.replace(i, "ID")
        return r.status, text, sorted((n, v) for n, v in r.headers.items() if n not in ("Date",))

    def test_wps_26_mya_41_what_is_anothers_is_as_if_it_never_was(self):
        """Fails if an app, at any operation and with any ID of another account's in path, message or token, is answered otherwise
        than for an ID that never was, to the byte; sees anything of the other; or changes anything of theirs."""
        p = self.ready("anna", "eve")
        d = self.document
        anna = App(p, "total-security", name="annas-laptop").connect("anna@example.com")
        eve = App(p, "total-security", name="eves-laptop").connect("eve@example.com")
        code = issue(p)[0][0]
        r = anna.post("/activation-codes", {"activation_code": code, "binding_id": anna.ids["binding_id"]})
        self.assertEqual(r.status, 200, r.text)
        commands = {kind: add_command(p, anna, kind, n) for n, kind in enumerate(("alarm", "locate"), 1)}
        waiting = App(p, "total-security")  # an app of hers on its way, and one without a keyboard
        waiting.accept()
        grant = waiting.form("/device_authorization", {"client_id": waiting.application, "scope": waiting.context}).json()
        anna.send()
        hers = f"WHERE account = '{anna.ids['user_id']}'"
        before = stored(p, of_accounts(p), hers)
        self.assertGreater(sum(n for n, _ in before.values()), 10)
        version = anna.statement()["version"]
        own = ("annas-laptop", *(v for v in anna.ids.values() if isinstance(v, str)), anna.token, code, waiting.context, grant["device_code"])
        tried = set()

        def both(o, ask, theirs_, never, status, code):
            """The same question with an ID of hers and with one that never was."""
            a, b = ask(theirs_), ask(never)
            self.assertEqual(self.masked(a, theirs_), self.masked(b, never), o["operationId"])
            self.assertEqual(a.status, status, (o["operationId"], a.text))
            if code:
                self.assertEqual(a.code, code, (o["operationId"], a.text))
            for value in own:
                if value != theirs_:
                    self.assertNotIn(value, a.text, o["operationId"])
            tried.add(o["operationId"])
        for o in d.operations:
            name, path = d.message_name(o), o["path"]
            query = {"acceptAgain": f"?version={version}", "commandFailed": "?reason=no-such-thing"}.get(o["operationId"], "")
            if not o.get("security"):
                continue
            m = message(name, eve) if name else None
            if "{binding_id}" in path:
                # Another's in the path is a 404, whatever the message says.
                for said in filter(None, (m, message(name, anna) if name else None)) if m else (None,):
                    both(o, lambda i: eve.ask(o["method"], fill(path, binding_id=i) + query, said), anna.ids["binding_id"], NEVER, 404, "binding-unknown")
            if "{command_id}" in path:
                for which in commands.values():
                    status, code_ = (403, "position-not-asked") if name == "position" else (404, "command-unknown")
                    both(o, lambda i: eve.ask(o["method"], fill(path, command_id=i) + query, m), which, NEVER, status, code_)
            here = fill(path, binding_id=eve.ids["binding_id"]) + query
            for at in [at for at in ((("binding_id",), "binding_id"), (("device_id",), "device_id"), (("application_instance_id",), "application_instance_id"),
                                     (("device", "device_id"), "device_id")) if m and at[0] in set(paths(m))]:
                both(o, lambda i: eve.ask(o["method"], here, copy_with(m, at[0], setting(i))), anna.ids[at[1]], NEVER, 403, "not-yours")
            # With her IDs in a token that is not hers; and with her token's secret beside an ID of one's own.
            forged = lambda account, binding: "d1." + account + binding + eve.token[55:]
            both(o, lambda i: eve.ask(o["method"], here, m, token=forged(anna.ids["user_id"], i)), anna.ids["binding_id"], NEVER, 401, "token-unknown")
            both(o, lambda i: eve.ask(o["method"], here, m, token=forged(i, eve.ids["binding_id"])), anna.ids["user_id"], NEVER, 401, "token-unknown")
            both(o, lambda i: eve.ask(o["method"], here, m, token=forged(eve.ids["user_id"], i)), anna.ids["binding_id"], NEVER, 401, "token-unknown")
            if m is None and o["method"] == "GET" and "{" not in path:
                r = eve.ask("GET", path)  # what has no ID is one's own
                for value in own:
                    self.assertNotIn(value, r.text, path)
                tried.add(o["operationId"])
        # What comes before the binding: a context, a device's code, and the device that an app says it is on.
        early = App(p, "total-security")
        for name in ("captcha_wish", "registration", "sign_in", "second_factor", "context_alone", "connection", "binding_wish"):
            o = next(o for o in d.operations if d.message_name(o) == name)
            spoilt = lambda i: "c1." + i + "0" * (len(waiting.context) - 29)
            both(o, lambda i: early.ask("POST", o["path"], early_message(name, early, spoilt(i))), waiting.context[3:29], NEVER, 410, "context-over")
        form = early_message("token_wish", early, None)
        both(d.by_id("token"), lambda i: early.form("/token", {**form, "device_code": i + "0" * (len(grant["device_code"]) - 26)}),
             grant["device_code"][:26], NEVER, 400, None)
        both(d.by_id("authorizeDevice"), lambda i: early.form("/device_authorization", {"client_id": early.application, "scope": "c1." + i + "0" * 52}),
             waiting.context[3:29], NEVER, 400, None)
        eves = App(p, "total-security")
        eves.accept()
        self.assertEqual(eves.sign_in("eve@example.com").status, 200)
        both(d.by_id("bind"), lambda i: eves.ask("POST", "/bindings", {**eves.bind_message(), "device": {**eves.device, "device_id": i}}),
             anna.ids["device_id"], NEVER, 403, "not-yours")
        # A license of hers: her code is told to be taken (MYA-50), and nothing of whose it is.
        r = eve.post("/activation-codes", {"activation_code": code, "binding_id": eve.ids["binding_id"]})
        self.refused(r, 409, "code-in-another-account")
        for value in (*own, "anna"):
            self.assertNotIn(value, r.text)
        reads = {"openapi", "readStatement", "acceptStatement", "licenseKeys", "revocations"}  # no ID of anybody's
        self.assertEqual({o["operationId"] for o in d.operations} - tried, reads)
        # Nothing of hers is otherwise than before: every row of hers, in every table.
        self.assertEqual(differing(before, stored(p, of_accounts(p), hers)), {})
        self.assertEqual(anna.send().status, 200)


class Twice(Portal):
    """Messages that come twice, tokens that are renewed, reports that say nothing new, and the end."""

    def same(self, watch, o, ask, other, may=()):
        """The same message with the same key: done once, and answered the same; another one under it is refused."""
        key = {"Idempotency-Key": f"key-of-{o}"}
        first = ask(key)
        self.assertLess(first.status, 300, (o, first.text))
        watch.look()
        again = ask(key)
        self.assertEqual((again.status, again.body), (first.status, first.body), o)
        self.assertEqual(set(watch.changes()) - set(may), set(), o)
        self.assertEqual(other(key).code, "idempotency-key-reused", o)
        self.assertEqual(set(watch.changes()) - set(may), set(), o)
        self.tried.add(o)
        return first

    def test_wps_18_every_write_with_its_key_twice(self):
        """Fails if a message with an Idempotency-Key is done twice, is answered otherwise the second time, or lets another message
        pass under its key; at any operation that takes one. Fails, too, if a POST takes none and is not known to need none."""
        texts = tempfile.mkdtemp(prefix="troth-texts-")
        self.addCleanup(shutil.rmtree, texts, True)
        self._portal = self.new_portal(env={"TROTH_SMS": f"file:{texts}"}).start()
        p = self.ready("anna", "bea")
        watch, self.tried = Watch(p), set()
        self.addCleanup(watch.close)
        keyed = {o["operationId"] for o in self.document.operations if any(q["name"] == "Idempotency-Key" for q in self.document.parameters(o))}
        posts = {o["operationId"] for o in self.document.operations if o["method"] == "POST"}
        # Docs/decisions/0044 says why these need none.
        self.assertEqual(posts - keyed, {"acceptStatement", "askCaptcha", "authorizeDevice", "token", "disconnect"})
        b = self.people["bea"]
        secret = set_up_app(b)
        b.post(f"{SEC}/phone", {"number": NUMBER}, page=f"{SEC}/phone")
        read = lambda n: until(lambda: len(glob.glob(f"{texts}/*.json")) >= n and sorted(glob.glob(f"{texts}/*.json"), key=os.path.getmtime), "a text message")
        with open(read(1)[0], encoding="utf-8") as f:
            b.post(f"{SEC}/phone/code", {"code": re.match(r"\d{6}", json.load(f)["text"]).group(0)}, page=f"{SEC}/phone")

        sent = ("job", "mail", "intake", "text_code", "text_sent", "schedule")  # by itself, meanwhile
        x = App(p, "total-security")
        x.accept()
        wish = {**early_message("registration", x, x.context), **x.captcha()}
        self.same(watch, "register", lambda k: x.post("/accounts", wish, headers=k), lambda k: x.post("/accounts", {**wish, "region": "FI"}, headers=k),
                  may=sent)
        p.mail("b@example.com", "/verify-email")
        self.assertEqual(len([m for m in p.mails() if m["To"] == "b@example.com"]), 1)
        m = {**x.credentials("bea@example.com")}
        self.same(watch, "signIn", lambda k: x.post("/sign-ins", m, headers=k), lambda k: x.post("/sign-ins", {**m, "locale": "sv"}, headers=k))
        alone = {"context": x.context}
        self.same(watch, "sendCode", lambda k: x.post("/second-factors/messages", alone, headers=k),
                  lambda k: x.post("/second-factors", {**alone, "one_time_password": "000000"}, headers=k), may=sent)
        read(2)
        self.assertEqual([p.rows(f"SELECT count(*) FROM {t}") for t in ("text_code", "text_sent")], [[("2",)], [("2",)]])
        code = code_of(secret)
        self.same(watch, "proveSecondFactor", lambda k: x.post("/second-factors", {**alone, "one_time_password": code}, headers=k),
                  lambda k: x.post("/second-factors/messages", alone, headers=k))
        # The token is kept nowhere: the second answer has a new one.
        m, answers = x.bind_message(), []

        def bind(key):
            r = x.post("/bindings", m, headers=key)
            self.assertEqual(r.status, 201, r.text)
            answers.append(r.json())
            return x.get("/openapi.json")
        self.same(watch, "bind", bind, lambda k: x.post("/bindings", {**m, "device": {**m["device"], "type": "phone"}}, headers=k), may=("binding",))
        self.assertEqual(*({n: v for n, v in a.items() if n != "token"} for a in answers))
        x.ids, x.token = answers[1], answers[1]["token"]
        self.assertEqual(x.send().status, 200)
        self.refused(x.get("/commands", token=answers[0]["token"]), 401, "token-unknown")
        self.assertEqual([int(p.rows(f"SELECT count(*) FROM {t}")[0][0]) for t in ("device", "binding")], [1, 1])

        version = x.statement()["version"]
        self.same(watch, "acceptAgain", lambda k: x.post(f"{x.at}/acceptances?version={version}", message("acceptance", x), headers=k),
                  lambda k: x.post(f"{x.at}/acceptances?version={version}", message("acceptance", x, choice="participate-for-all"), headers=k))
        alarms = [add_command(p, x, "alarm", n) for n in (1, 2, 3)]
        where = add_command(p, x, "locate", 4)
        x.get("/commands")
        self.same(watch, "commandDone", lambda k: x.post(f"/commands/{alarms[0]}/done", {}, headers=k), lambda k: x.post(f"/commands/{alarms[2]}/done", {}, headers=k))
        self.same(watch, "commandFailed", lambda k: x.post(f"/commands/{alarms[1]}/failed?reason=no-sound", {}, headers=k),
                  lambda k: x.post(f"/commands/{alarms[1]}/failed?reason=other", {}, headers=k))
        self.same(watch, "reportPosition", lambda k: x.post(f"/commands/{where}/position", message("position", x), headers=k),
                  lambda k: x.post(f"/commands/{where}/position", message("position", x, latitude=10), headers=k))
        codes = issue(p, 2)[0]
        self.same(watch, "addCode", lambda k: x.post("/activation-codes", message("code_wish", x, activation_code=codes[0]), headers=k),
                  lambda k: x.post("/activation-codes", message("code_wish", x, activation_code=codes[1]), headers=k))
        # Purchases: test_purchases.py. The password for connecting is shown by the devices' pages.
        self.assertEqual(keyed - self.tried, {"handOverPurchase", "connectAutomatically"})
        # All at once: one is done, and nobody else's key answers for it.
        y = App(p)
        y.accept()
        y.sign_in("anna@example.com")
        key, got = {"Idempotency-Key": "key-of-all-at-once"}, []
        threads = [threading.Thread(target=lambda: got.append(y.post("/bindings", y.bind_message(), headers=key))) for _ in range(5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertLessEqual({r.status for r in got}, {201, 409}, [r.text for r in got])
        self.assertEqual(len({r.json()["binding_id"] for r in got if r.status == 201}), 1)
        self.assertEqual(int(p.rows("SELECT count(*) FROM device")[0][0]), 2)

    def test_wps_08_wps_10_wps_18_reports_tokens_and_the_end(self):
        """Fails if a report that says nothing new writes anything, or one that does is taken for old; if a token lives on after the
        next was used, or dies before; or if after a disconnection any operation answers but by 410, or what was told is left."""
        p = self.ready("anna")
        d = self.document
        x = App(p, "total-security", name="canary-of-a-name").connect("anna@example.com")
        watch = Watch(p)
        self.addCleanup(watch.close)
        tag = x.send().headers["ETag"]
        watch.look()
        state = f"{x.at}/state"
        for ask in (lambda t: x.send(etag=t), lambda t: x.get(state, headers={"If-None-Match": t})):
            for said in (tag, f"W/{tag}", f'"other", {tag}'):
                r = ask(said)
                self.assertEqual((r.status, r.body, r.headers["ETag"]), (304, b"", tag), said)
            self.assertEqual(watch.changes(), {})
            self.assertFalse(watch.wrote())
            for said in ('"other"', tag[1:-1], tag[:-2] + '"', "*"):
                self.assertEqual(ask(said).status, 200, said)
        for what, changed in (("os_version", {"device": {**x.report()["device"], "os_version": "99"}}), ("features", {"license": {**x.report()["license"], "features": ["firewall"]}}),
                              ("application_version", {"application_version": "9.9"})):
            r = x.send({**x.report(), **changed}, etag=tag)
            self.assertEqual(r.status, 200, what)
            self.assertNotEqual(r.headers["ETag"], tag, what)
        tag = x.send().headers["ETag"]
        add_command(p, x, "alarm", 1)
        execute(p, f"UPDATE binding SET pending = 1 WHERE id = '{x.ids['binding_id']}'")
        self.assertEqual([x.send(etag=tag).json()["commands_waiting"], x.get(state, headers={"If-None-Match": tag}).status], [1, 200])
        self.assertEqual(len(x.get("/commands").json()["commands"]), 1)

        # Renewed when its time has come; an answer that was lost costs nothing.
        old = x.token
        tokens = []
        for _ in range(2):
            execute(p, f"UPDATE binding SET rotated = 0 WHERE id = '{x.ids['binding_id']}'")
            tokens.append(x.send(etag=tag).json()["token"])
        self.assertEqual(len({old, *tokens}), 3)
        self.assertEqual(x.get("/commands", token=old).status, 200)
        self.refused(x.get("/commands", token=tokens[0]), 401, "token-unknown")  # it was never used
        self.assertEqual(x.send(token=tokens[1]).status, 200)
        self.refused(x.get("/commands", token=old), 401, "token-unknown")
        x.token = tokens[1]
        self.assertNotIn("token", x.send(etag='"other"').json())

        y = App(p, name="canary-of-a-name")  # another app on the same device
        y.accept()
        y.sign_in("anna@example.com")
        y.device["device_id"] = x.ids["device_id"]
        self.assertEqual(y.bind().status, 201)
        y.device.pop("device_id")
        self.assertEqual(y.send().status, 200)
        code = issue(p)[0][0]
        key = {"Idempotency-Key": "a-code-for-the-end"}
        self.assertEqual(x.post("/activation-codes", message("code_wish", x, activation_code=code), headers=key).status, 200)
        where = add_command(p, x, "locate", 2)
        x.get("/commands")
        self.assertEqual(x.post(f"/commands/{where}/position", message("position", x)).status, 204)
        count = lambda t, more="": int(p.rows(f"SELECT count(*) FROM {t} {more}")[0][0])
        self.assertEqual([count("device_report"), count("device_position"), count("seat", "WHERE freed IS NULL")], [2, 1, 1])
        self.assertEqual(x.post("/disconnections", message("disconnection", x)).status, 200)
        self.assertEqual((count("device_report"), y.send().status), (1, 200))  # the other is still there
        watch.look()
        tried = 0
        for o in filter(lambda o: o.get("security"), d.operations):
            name = d.message_name(o)
            query = {"acceptAgain": f"?version={x.statement()['version']}", "commandFailed": "?reason=code"}.get(o["operationId"], "")
            for token in (x.token, old, tokens[0]):
                r = x.ask(o["method"], fill(o["path"], binding_id=x.ids["binding_id"], command_id=where) + query, message(name, x) if name else None,
                          token=token, headers={"Idempotency-Key": "after-the-end-01"})
                self.refused(r, *((410, "disconnected") if token == x.token else (401, "token-unknown")))
            tried += 1
        self.assertEqual(tried, 13)
        self.refused(x.post("/activation-codes", message("code_wish", x, activation_code=code), headers=key), 410, "disconnected")
        self.assertEqual(watch.changes(), {})
        self.assertEqual(y.post("/disconnections", message("disconnection", y)).status, 200)
        self.assertEqual([count("device_report"), count("device_position"), count("seat", "WHERE freed IS NULL"), count("device_password")], [0] * 4)
        self.assertEqual(count("device_command", "WHERE state IN ('queued', 'delivered')"), 0)
        self.assertEqual(p.rows("SELECT count(*) FROM binding WHERE ended IS NULL OR next_token IS NOT NULL"), [("0",)])
        self.assertEqual(p.rows("SELECT count(*) FROM device WHERE disconnected IS NULL"), [("0",)])
        # What is left says that there was one, so that it can be refused: no fact of the device's. (Names are sealed: the row is.)
        self.assertEqual(p.rows("SELECT count(*) FROM device WHERE name IS NOT NULL"), [("0",)])


if __name__ == "__main__":
    portal.main()
