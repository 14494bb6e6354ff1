"""The promised month, by the clock: the real program, with time moved by libfaketime.

MYA-21 MYA-06 RET-05 RET-06: closed on 31 January, still inside the term on 27 February, nothing left by
28 February: no row, and no byte of the person in any file, write-ahead log and logs included, or in a
PostgreSQL dump or its data directory."""
import datetime
import os
import shutil
import subprocess
import time

import portal
from portal import POSTGRES, until

UTC = datetime.timezone.utc
NOTE = "Mitt namn är Åsa Klockmärke"
PLACE = "203.0.113.217"
BROWSER = "clock-marker-browser"


def at(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Clock(portal.Case):
    def new(self, **env):
        p = self.new_portal(binary=portal.RELEASE, env={"TROTH_BEHIND_PROXY": "true", **env})
        return p

    def move(self, p, text):
        p.ahead(at(text) - time.time())

    def markers(self, address):
        name = address.split("@")[0]
        return [address.encode(), name.encode(), NOTE.encode(), "Klockmärke".encode(), PLACE.encode()]

    def folders(self, p):
        found = [p.data, p.log_path]
        if p.database:
            portal.psql(p.database, "CHECKPOINT")
            dump = subprocess.run([os.path.join(os.environ["TROTH_TEST_PG_BIN"], "pg_dump"), f"{POSTGRES.rsplit('/', 1)[0]}/{p.database}"],
                                  capture_output=True, check=True).stdout
            path = os.path.join(p.dir, "dump.sql")
            with open(path, "wb") as f:
                f.write(dump)
            self.assertIn(b"CREATE TABLE public.account", dump)
            found += [path, os.environ["TROTH_TEST_PG_DATA"]]
        return found

    def copies(self, p, address):
        """Which markers stand as bytes in which files. Mail that was sent is at its reader's: the outbox is not looked at."""
        found = []
        for folder in self.folders(p):
            files = [folder] if os.path.isfile(folder) else [os.path.join(d, n) for d, _, names in os.walk(folder) for n in names]
            for path in filter(os.path.isfile, files):
                try:
                    with open(path, "rb") as f:
                        data = f.read().lower()
                except (FileNotFoundError, PermissionError):
                    continue
                found += [(path, m) for m in self.markers(address) if m.lower() in data]
        return found

    def rows_of(self, p, account):
        n = 0
        if p.database:
            tables = [t for t, in p.rows("SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name IN ('account', 'subject') GROUP BY 1")]
            column = lambda t: p.rows(f"SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{t}' AND column_name IN ('account', 'subject')")[0][0]
        else:
            tables = [t for t, in p.rows("SELECT DISTINCT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name IN ('account', 'subject')")]
            column = lambda t: p.rows(f"SELECT name FROM pragma_table_info('{t}') WHERE name IN ('account', 'subject')")[0][0]
        self.assertGreater(len(tables), 8)
        for t in tables:
            n += int(p.rows(f"SELECT count(*) FROM {t} WHERE {column(t)} = '{account}'")[0][0])
        return n + int(p.rows(f"SELECT count(*) FROM account WHERE id = '{account}'")[0][0])

    def person(self, p, address):
        """With a note, a place and a browser that are theirs, as the forms take them."""
        b = p.browser(language="sv")
        b.headers.update({"X-Forwarded-For": PLACE, "User-Agent": f"Mozilla/5.0 (X11; Linux x86_64) {BROWSER} Firefox/128.0"})
        self.assertEqual(b.post("/sign-up", {"email": address, "password": portal.PASSWORD, "news": "yes"}).status, 303)
        m = p.mail(address, "/verify-email")
        self.assertEqual(b.post("/verify-email", {"t": m.token}, page=m.path).status, 303)
        self.assertEqual(b.sign_in(address).status, 303)
        self.assertEqual(b.post("/account/privacy/restrict", {"reason": "accuracy", "note": NOTE}, page="/account/privacy").status, 303)
        self.assertEqual(b.post("/account/privacy/takeout", {"scope": "all"}, page="/account/privacy").status, 303)
        self.assertIn(NOTE, b.get("/account/privacy").text)
        return b

    def test_mya_21_ret_05_closed_on_31_january(self):
        """Fails if anything of the person is left when the month has ended, or goes before they were promised they could return."""
        # A window longer than the month: the month ends it, as late as it can, for the master key is replaced by the hour.
        p = self.new(TROTH_REOPEN_WINDOW="P3M", TROTH_MASTER_KEY_EVERY="PT1H")
        address = "asa.klockmarke@example.com"
        self.move(p, "2026-01-31T11:58:00")
        p.start()
        b = self.person(p, address)
        account = b.cookies["session"][:26]
        self.assertGreater(self.rows_of(p, account), 5)
        # The search finds what is there: in the mail that was sent, and in a file put beside the data.
        with open(os.path.join(p.data, "planted"), "w", encoding="utf-8") as f:
            f.write(f"…{NOTE}…{address.upper()}")
        self.assertGreaterEqual({os.path.basename(f) for f, _ in self.copies(p, address)}, {"planted"})
        os.unlink(os.path.join(p.data, "planted"))
        self.assertIn(address, p.mails()[0]["To"])
        # Even now, nothing of them stands plain.
        self.assertEqual(self.copies(p, address), [])

        self.move(p, "2026-01-31T12:00:00")
        r = b.post("/account/close", {"when": "window", "sure": "yes"}, page="/account/close")
        self.assertEqual(r.status, 303)
        way_back = p.mail(address, "/account/reopen")
        self.assertEqual(p.browser().sign_in(address).status, 403)  # shut at once (MYA-22)
        due = p.ok("policy", "due", "2026-01-31T12:00:00Z", "P1M").strip()
        self.assertEqual(due, "2026-02-28T12:00:00Z")

        self.move(p, "2026-02-26T22:00:00")
        p.ok("sweep")
        self.assertGreater(self.rows_of(p, account), 3)
        self.assertEqual(p.browser().get(way_back.path).status, 200)  # still inside the term: the way back is open
        self.move(p, "2026-02-27T09:00:00")
        p.ok("sweep")
        self.assertGreater(self.rows_of(p, account), 3)

        # One run fails: the server is off for half of the last day; then it does its work by itself.
        p.stop()
        self.move(p, "2026-02-28T01:00:00")
        p.start()
        until(lambda: self.rows_of(p, account) == 0, "the erasure", 30)
        self.assertEqual(p.browser().get(way_back.path).status, 410)
        self.assertEqual(p.rows("SELECT count(*) FROM account"), [("0",)])
        number = r.location.split("number=")[1].split("&")[0]
        receipt = p.browser().get(f"/privacy/receipt?number={number}").text
        self.assertNotIn(address, receipt)
        p.ok("verify")
        p.stop()
        self.assertEqual(self.copies(p, address), [])

    def test_mya_06_a_registration_that_nobody_confirms_expires(self):
        """Fails if an address that somebody typed is kept for longer than three days."""
        p = self.new()
        self.move(p, "2027-02-27T12:00:00")
        p.start()
        b = p.browser()
        b.post("/sign-up", {"email": "typed.klockmarke@example.com", "password": portal.PASSWORD})
        p.mail("typed.klockmarke@example.com", "/verify-email")
        self.assertEqual(p.rows("SELECT count(*) FROM account"), [("1",)])
        self.move(p, "2027-03-01T10:00:00")
        p.ok("sweep")
        self.assertEqual(p.rows("SELECT count(*) FROM account"), [("1",)])
        self.move(p, "2027-03-02T11:59:00")  # three days have not passed: the sweeper is early, never late
        p.ok("sweep")
        self.assertEqual(p.rows("SELECT count(*) FROM account"), [("0",)])
        p.ok("verify")
        p.stop()
        self.assertEqual(self.copies(p, "typed.klockmarke@example.com"), [])

    def test_mya_24_ret_07_an_old_copy_yields_nothing_after_a_rotation(self):
        """Fails if a copy of data and keyring from before an erasure opens with the master key of after it."""
        p = self.new()
        p.start()
        address = "asa.klockmarke@example.com"
        self.person(p, address)
        p.stop()
        old = self.new_portal(binary=portal.RELEASE, init=False, postgres=False)
        if p.database:
            # The rows as they were, and the keyring's with them.
            copy = "t" + os.urandom(8).hex()
            portal.psql("postgres", f"CREATE DATABASE {copy} TEMPLATE {p.database}")
            self.addCleanup(lambda: portal.psql("postgres", f"DROP DATABASE {copy} WITH (FORCE)"))
            old.env["TROTH_DATABASE"] = f"{POSTGRES.rsplit('/', 1)[0]}/{copy}"
        shutil.copytree(p.data, old.data)
        # With the key of then, the copy gives the person back: that is what a copy is.
        out = os.path.join(old.dir, "before.zip")
        self.assertEqual(old.cli("export", address, out).returncode, 0)
        p.start()
        p.ok("erase", address)
        p.ok("vault", "rotate")
        p.stop()
        shutil.copy(os.path.join(p.data, "master.key"), os.path.join(old.data, "master.key"))
        run = old.cli("export", address, os.path.join(old.dir, "after.zip"))
        self.assertNotEqual(run.returncode, 0, run.stdout)
        self.assertFalse(os.path.exists(os.path.join(old.dir, "after.zip")))
        self.assertRegex(run.stderr, "master key")
        run = old.cli("verify")
        self.assertNotEqual(run.returncode, 0)
        # And the old key is nowhere any more.
        with open(os.path.join(p.data, "master.key"), "rb") as f:
            self.assertEqual(len(f.read()), 32)
        self.assertEqual([n for n in os.listdir(p.data) if n.startswith("master.key.")], [])


if __name__ == "__main__":
    portal.main()
