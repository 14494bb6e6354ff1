"""The document that a portal serves of its Connect API, good messages for each of its operations, and what an
answer has to be like to be one of those that it documents. Standard library only."""
import http.client
import json
import re
import socket
import time
import urllib.parse

import portal
from connect import Reply
from portal import PASSWORD

NEVER = "0" * 26  # the form of an ID, and none


class Document:
    def __init__(self, json_):
        self.json = json_
        self.problems = json_["x-problems"]
        self.operations = [{**o, "path": path, "method": method.upper()}
                           for path, methods in json_["paths"].items() for method, o in methods.items()]

    def resolve(self, schema):
        while "$ref" in schema:
            at = self.json
            for part in schema["$ref"][2:].split("/"):
                at = at[part]
            schema = at
        return schema

    def parameters(self, o):
        return [self.resolve(p) for p in o.get("parameters", [])]

    def content(self, o):
        """(media type, schema) of what the operation takes; (None, None)."""
        for kind, at in o.get("requestBody", {}).get("content", {}).items():
            return kind, self.resolve(at["schema"])
        return None, None

    def message_name(self, o):
        for at in o.get("requestBody", {}).get("content", {}).values():
            return at["schema"]["$ref"].split("/")[-1]

    def by_id(self, name):
        return next(o for o in self.operations if o["operationId"] == name)

    def statuses(self, o, code):
        """Those that the document has for that code at that operation."""
        for group in ("every", *(["bound"] if o.get("security") else [])):
            if code in self.problems[group]:
                return [self.problems[group][code]]
        if code not in o.get("x-codes", []):
            return []
        found = self.problems["own"].get(code, self.problems["bound"].get(code))
        return found if isinstance(found, list) else [found]

    def misfit(self, schema, value, at="answer"):
        """What a value has that its schema does not allow; or None."""
        schema = self.resolve(schema)
        kinds = {"string": str, "boolean": bool, "object": dict, "array": list, "null": type(None)}
        types = schema.get("type", [])
        types = types if isinstance(types, list) else [types]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if types and not any(number if t == "number" else number and isinstance(value, int) if t == "integer" else isinstance(value, kinds[t])
                             for t in types):
            return f"{at}: {value!r} is no {types}"
        if isinstance(value, str) and ("enum" in schema and value not in schema["enum"] or
                                       "pattern" in schema and not re.search(schema["pattern"], value) or
                                       len(value) > schema.get("maxLength", 1 << 20)):
            return f"{at}: {value!r} is none of {schema}"
        if isinstance(value, dict):
            lacking = [n for n in schema.get("required", []) if n not in value]
            strange = [n for n in value if n not in schema.get("properties", {})] if "properties" in schema else []
            if lacking or strange:
                return f"{at}: lacks {lacking}, has {strange}"
            return next(filter(None, (self.misfit(s, value[n], f"{at}.{n}") for n, s in schema.get("properties", {}).items() if n in value)), None)
        if isinstance(value, list) and "items" in schema:
            return next(filter(None, (self.misfit(schema["items"], v, f"{at}[]") for v in value)), None)
        return None

    def undocumented(self, o, r):
        """What is wrong with an answer, by the document; or None."""
        if r.status >= 500:
            return f"{r.status}: {r.text}"
        if "Set-Cookie" in r.headers:
            return "a cookie"
        kind = r.headers.get("Content-Type")
        if r.status < 400 or (r.status == 400 and kind == "application/json"):
            at = o["responses"].get(str(r.status))
            if at is None:
                return f"{r.status} is not documented"
            schema = self.resolve(at).get("content", {}).get("application/json", {}).get("schema")
            if schema is None:
                return None if r.status in (204, 304) and not r.body or kind == "application/jose" else f"a {kind}"
            return self.misfit(schema, r.json()) if o["method"] != "HEAD" else None
        if kind != "application/problem+json":
            return f"{r.status} in {kind}"
        j = r.json()
        bad = self.misfit(self.json["components"]["responses"]["problem"]["content"]["application/problem+json"]["schema"], j, "problem")
        if bad or j["status"] != r.status or not j["detail"] or not j["title"]:
            return bad or f"another status, or no words: {j}"
        if r.status not in self.statuses(o, j["code"]):
            return f"{r.status} {j['code']} is not documented"
        codes = {f["code"] for f in j.get("fields", [])} - set(self.problems["fields"]) - {"field-unknown"}
        # What is wrong with a password is said by its own name.
        return f"fields are called {codes}" if codes and j["code"] != "password-weak" else None


class Wire:
    """One connection after the other, and as little of HTTP as can be had: what is sent may be anything."""

    def __init__(self, p):
        self.port, self.c, self.sent = p.port, None, 0

    def ask(self, method, path, body=None, headers=None):
        for attempt in (1, 2):
            fresh = self.c is None
            if fresh:
                self.c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                self.c.connect()
                self.c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.c.putrequest(method, "/api/v1" + path, skip_accept_encoding=True)
                for name, value in (headers or {}).items():
                    self.c.putheader(name, value)
                if body is not None:
                    self.c.putheader("Content-Length", str(len(body)))
                self.c.endheaders(body)
                r = self.c.getresponse()
                answer = Reply(r, r.read())
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
                if fresh or attempt == 2:
                    raise
                continue
            if r.will_close:
                self.close()
            self.sent += 1
            return answer

    def close(self):
        if self.c:
            self.c.close()
        self.c = None


def execute(p, *statements):
    """Changes the store beside the server."""
    if p.database:
        portal.psql(p.database, ";".join(statements))
        return
    import sqlite3
    with sqlite3.connect(f"{p.data}/troth.db", timeout=20) as c:
        for sql in statements:
            c.execute(sql)
    c.close()


def tables(p):
    if p.database:
        return [r[0] for r in p.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
    return [r[0] for r in p.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1")]


def stored(p, which=None, where=""):
    """{table: (rows, a digest of them)} of the whole store, as it is now."""
    which = which or tables(p)
    if p.database:
        sql = " UNION ALL ".join(f"SELECT '{t}', count(*), md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM {t} x {where}" for t in which)
        return {t: (int(n), d) for t, n, d in p.rows(sql)}
    import hashlib
    import sqlite3
    with sqlite3.connect(f"file:{p.data}/troth.db?mode=ro", uri=True) as c:
        c.execute("BEGIN")
        found = {}
        for t in which:
            rows = sorted(map(repr, c.execute(f"SELECT * FROM {t} {where}")))
            found[t] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    c.close()
    return found


def of_accounts(p):
    """The tables whose rows are somebody's."""
    if p.database:
        return [r[0] for r in p.rows("SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'account' ORDER BY 1")]
    return [t for t in tables(p) if p.rows(f"SELECT 1 FROM pragma_table_info('{t}') WHERE name = 'account'")]


def differing(before, after):
    return {t: (before[t][0], after[t][0]) for t in before if before[t] != after[t]}


class Watch:
    """Tells what was stored since it last looked. On SQLite it can be asked after every message: the store itself says
    whether anybody wrote."""

    def __init__(self, p):
        self.p, self.c = p, None
        if not p.database:
            import sqlite3
            self.c = sqlite3.connect(f"file:{p.data}/troth.db?mode=ro", uri=True)
        self.look()

    def version(self):
        return self.c.execute("PRAGMA data_version").fetchone()[0] if self.c else None

    def look(self):
        self.at, self.known = self.version(), stored(self.p)

    def wrote(self):
        return self.c is not None and self.version() != self.at

    def changes(self):
        known, self.at = self.known, self.version()
        self.known = stored(self.p)
        return differing(known, self.known)

    def close(self):
        if self.c:
            self.c.close()


def add_command(p, x, kind="locate", number=1):
    """A command that waits for an app, as its owner's page makes it (without a text)."""
    which = f"{number:026d}"
    now = int(time.time()) * 1_000_000
    execute(p, "INSERT INTO device_command (account, id, device, binding, kind, text, state, reason, session, made, expires, delivered, ended) "
               f"VALUES ('{x.ids['user_id']}', '{which}', '{x.ids['device_id']}', '{x.ids['binding_id']}', '{kind}', NULL, 'queued', '', '', "
               f"{now}, {now + 86_400_000_000}, NULL, NULL)")
    return which


def message(name, x, **more):
    """A good message of that schema for a bound app, with its IDs."""
    binding = {"binding_id": x.ids["binding_id"]}
    purchase = {"item_name": "total_security_1y", "purchased_at": "2026-11-01T10:00:00Z", "package_name": "com.example.x",
                "receipt_name": "r1", "purchase_token": "t1", "signature": "c2lnbmF0dXJl.c2lnbmF0dXJl", "purchase_status": "purchased"}
    return {**{"acceptance": {**x.about, "choice": "participate"}, "report": x.report(), "nothing": {},
               "service_choice": {"device_token_type": "none", "service_id": "my-account", **binding},
               "position": {"latitude": 59.3, "longitude": 18.1, "accuracy": 20},
               "code_wish": {"activation_code": "ABCDE-ABCDE-ABCDE-ABCDE-ABCDE", **binding},
               "purchase": {**purchase, **binding}, "disconnection": {"choice": "withdrawn", **binding}}[name], **more}


def early_message(name, x, context):
    """The same of what comes before the binding."""
    captcha = {"captcha_id": "0" * 32, "captcha_type": "altcha", "captcha_reply": "bm8="}
    held = {"context": context}
    return {"acceptance": {**x.about, "choice": "participate"},
            "captcha_wish": {**held, "captcha_type": "question"},
            "registration": {**held, "email": "b@example.com", "password": PASSWORD, **captcha, "locale": "sv", "region": "SE", "marketing_agreement": False},
            "sign_in": {**held, "email": "anna@example.com", "password": PASSWORD, "locale": "sv-SE", "temporary_device_id": x.temporary, **captcha},
            "second_factor": {**held, "one_time_password": "123456"}, "context_alone": held,
            "connection": {**held, "connection_password": "ABCD-EFGH", "temporary_device_id": x.temporary},
            "binding_wish": {**held, "temporary_device_id": x.temporary, **x.about, "device": dict(x.device)},
            "device_authorization": {"client_id": x.application, "scope": context},
            "token_wish": {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "0" * 78, "client_id": x.application}}[name]


def fill(path, **ids):
    for name, value in ids.items():
        path = path.replace("{" + name + "}", urllib.parse.quote(value, safe=""))
    return path
