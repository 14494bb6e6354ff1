"""An installed app, as the Connect API sees it: the least that speaks it. Standard library only."""
import base64
import hashlib
import http.client
import json
import os

import portal

APPLICATION = "troth-agent"
VERSION = "1.4.2"


class Reply(portal.Answer):
    @property
    def code(self):
        return self.json()["code"]

    @property
    def fields(self):
        return {f["name"]: f["code"] for f in self.json().get("fields", [])}


def solve(challenge):
    """ALTCHA's work: the counter whose derived key begins as it must."""
    p = challenge["parameters"]
    nonce, salt = bytes.fromhex(p["nonce"]), bytes.fromhex(p["salt"])
    counter = 0
    while True:
        key = hashlib.pbkdf2_hmac("sha256", nonce + counter.to_bytes(4, "big"), salt, p["cost"], p["keyLength"])
        if key.hex().startswith(p["keyPrefix"]):
            break
        counter += 1
    said = {"challenge": challenge, "solution": {"counter": counter, "derivedKey": key.hex()}}
    return base64.b64encode(json.dumps(said).encode()).decode()


class App:
    def __init__(self, p, application=APPLICATION, name="kitchen-laptop", language="en"):
        self.portal, self.application, self.language = p, application, language
        self.temporary = "tmp-" + os.urandom(12).hex()
        self.device = {"network_name": name, "type": "laptop", "os_type": "Debian GNU/Linux", "os_version": "12"}
        self.token = self.context = self.ids = None

    def ask(self, method, path, message=None, token=None, headers=None, raw=None, kind="application/json"):
        c = http.client.HTTPConnection("127.0.0.1", self.portal.port, timeout=60)
        every = {"Accept": "application/json", "Accept-Language": self.language}
        token = self.token if token is None else token
        if token:
            every["Authorization"] = f"Bearer {token}"
        body = raw if raw is not None else json.dumps(message).encode() if message is not None else None
        if body is not None:
            every["Content-Type"] = kind
        every.update(headers or {})
        try:
            c.request(method, "/api/v1" + path, body, every)
            r = c.getresponse()
            answer = Reply(r, r.read())
        finally:
            c.close()
        assert "Set-Cookie" not in answer.headers, (method, path)
        return answer

    def get(self, path, **kw):
        return self.ask("GET", path, **kw)

    def post(self, path, message, **kw):
        return self.ask("POST", path, message, **kw)

    def put(self, path, message, **kw):
        return self.ask("PUT", path, message, **kw)

    def form(self, path, fields):
        import urllib.parse
        return self.ask("POST", path, raw=urllib.parse.urlencode(fields).encode(), kind="application/x-www-form-urlencoded")

    @property
    def about(self):
        return {"application_id": self.application, "application_version": VERSION, "application_locale": "en-GB"}

    def statement(self):
        return self.get(f"/statements/{self.application}").json()

    def accept(self, choice="participate"):
        r = self.post(f"/statements/{self.statement()['version']}/acceptances", {**self.about, "choice": choice}, token="")
        assert r.status == 201, (r.status, r.text)
        self.context = r.json()["context"]
        return self.context

    def captcha(self):
        c = self.post("/captchas", {"context": self.context, "captcha_type": "altcha"}).json()
        return {"captcha_id": c["captcha_id"], "captcha_type": "altcha", "captcha_reply": solve(c["challenge"])}

    def credentials(self, address, password=portal.PASSWORD):
        return {"context": self.context, "email": address, "password": password, "locale": "en-GB",
                "temporary_device_id": self.temporary}

    def sign_in(self, address, password=portal.PASSWORD, **more):
        return self.post("/sign-ins", {**self.credentials(address, password), **more}, token="")

    def bind_message(self):
        return {"context": self.context, "temporary_device_id": self.temporary, **self.about, "device": dict(self.device)}

    def bind(self, **kw):
        r = self.post("/bindings", self.bind_message(), token="", **kw)
        if r.status == 201:
            self.ids = r.json()
            self.token = self.ids["token"]
        return r

    def connect(self, address, password=portal.PASSWORD, choice="participate"):
        """All of it: an app that is bound to that account."""
        self.accept(choice)
        r = self.sign_in(address, password)
        assert r.status == 200 and r.json()["next"] == "bind", (r.status, r.text)
        r = self.bind()
        assert r.status == 201, (r.status, r.text)
        return self

    def report(self, **license):
        return {"device_id": self.ids["device_id"], "application_instance_id": self.ids["application_instance_id"], **self.about,
                "device": {"device_id": self.ids["device_id"], **self.device}, "binding_id": self.ids["binding_id"],
                "license": {"type": "none", "status": "none", "service_information": {"databases_days": 1}, "activation_error": "",
                            "expires": None, "features": [], **license}}

    @property
    def at(self):
        return f"/bindings/{self.ids['binding_id']}"

    def send(self, message=None, etag=None, **kw):
        return self.put(f"{self.at}/state", message or self.report(), headers={"If-None-Match": etag} if etag else None, **kw)
