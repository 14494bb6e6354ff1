"""The contract that others script against: commands, exit codes, configuration, refusals to start."""
import json
import os
import re
import shutil
import socket
import stat
import sqlite3
import subprocess
import unittest
import zipfile

import portal
from portal import PASSWORD, POSTGRES


class Words(portal.Case):
    def cli(self, *words, **kw):
        return self.bare().cli(*words, **kw)

    def bare(self):
        if not hasattr(self, "_bare"):
            self._bare = self.new_portal(init=False, postgres=False)
        return self._bare

    def test_usage_is_2_and_says_how(self):
        """Fails if wrong usage is taken for success, or leaves the person without the right form."""
        for words in ([], ["nonsense"], ["--nonsense"], ["export"], ["export", "a@example.com"], ["erase"], ["policy"],
                      ["policy", "due", "2026-01-31"], ["policy", "due", "2026-01-31T12:00:00Z", "a month"],
                      ["policy", "show", "no-such-service"], ["vault"], ["vault", "burn"], ["rights"], ["rights", "rule"], ["staff"], ["staff", "add"], ["staff", "add", "a@example.com"],
                      ["staff", "add", "nobody", "--role", "support"], ["staff", "add", "a@example.com", "--role", "pope"],
                      ["staff", "add", "a@example.com", "--role", "support", "--language", "xx"], ["staff", "fire", "a@example.com"],
                      ["--config"], ["help", "nonsense"], ["verify", "extra"], ["sweep", "--wet"]):
            env = {}
            if words and words[0] in ("export", "erase", "rights", "staff", "verify", "sweep"):
                self.bare().cli("vault", "init")
            run = self.cli(*words, env=env)
            self.assertEqual(run.returncode, 2, (words, run.stdout, run.stderr))
            self.assertRegex(run.stderr, r"usage: troth|wants", words)
            self.assertEqual(run.stdout, "", words)

    def test_every_command_has_help(self):
        help_text = self.cli("--help").stdout
        commands = re.findall(r"^  (\w+) ", help_text, re.M)
        for needed in ("serve", "migrate", "sweep", "verify", "export", "erase", "policy", "vault", "staff", "demo"):
            self.assertIn(needed, commands)
        for command in commands:
            run = self.cli(command, "--help")
            self.assertEqual(run.returncode, 0, command)
            self.assertTrue(run.stdout.startswith(f"usage: troth {command}"), run.stdout)
            self.assertTrue(all(len(line) < 90 for line in run.stdout.splitlines()), run.stdout)
        self.assertEqual(self.cli("--version").returncode, 0)

    def test_man_page_is_mdoc(self):
        """Fails if groff finds a macro that it does not know."""
        page = self.cli("help", "man").stdout
        self.assertTrue(page.startswith(".Dd "))
        run = subprocess.run(["groff", "-Kutf8", "-mdoc", "-Tutf8", "-ww", "-z"], input=page, capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stderr), (0, ""))

    def test_ret_01_policy_due_counts_in_calendar_months(self):
        """Fails if a month is taken for 30 days, or a short month pushes a promise past its end."""
        for anchor, term, end in (
                ("2026-01-31T12:00:00Z", "P1M", "2026-02-28T12:00:00Z"),
                ("2024-01-31T12:00:00Z", "P1M", "2024-02-29T12:00:00Z"),
                ("2026-03-31T23:59:59Z", "P1M", "2026-04-30T23:59:59Z"),
                ("2024-02-29T00:00:00Z", "P1Y", "2025-02-28T00:00:00Z"),
                ("2026-12-15T00:00:00Z", "P1M", "2027-01-15T00:00:00Z"),
                ("2026-01-31T12:00:00Z", "P14D", "2026-02-14T12:00:00Z"),
                ("2026-01-31T12:00:00Z", "P1Y2M", "2027-03-31T12:00:00Z"),
                ("2026-01-31T12:00:00Z", "PT36H", "2026-02-02T00:00:00Z"),
                ("1970-01-01T00:00:00Z", "P10Y", "1980-01-01T00:00:00Z")):
            run = self.cli("policy", "due", anchor, term)
            self.assertEqual((run.returncode, run.stdout.strip()), (0, end), (anchor, term, run.stderr))

    def test_policy_shows_what_is_declared(self):
        for language, word in (("en", "Your account"), ("sv", "Ditt konto")):
            out = self.bare().ok("policy", "show", "--language", language)
            self.assertIn(word, out)
        json.loads(self.bare().ok("policy", "show", "--format", "json"))
        self.assertIn("https://w3id.org/dpv", self.bare().ok("policy", "show", "--format", "dpv"))
        csv = self.bare().ok("policy", "show", "--format", "csv")
        self.assertIn("account", csv)


class Configuration(portal.Case):
    def with_file(self, text, *words, env=None):
        p = self.new_portal(init=False, postgres=False)
        path = os.path.join(p.dir, "troth.yaml")
        with open(path, "w") as f:
            f.write(text)
        for key in ("TROTH_DATA", "TROTH_LISTEN", "TROTH_MAIL"):
            p.env.pop(key)
        return p, path, p.cli("--config", path, *(words or ("vault", "init")), env=env)

    def test_bad_keys_and_values_are_refused_by_name_with_file_and_line(self):
        cases = (
            ("data: /tmp/x\ncolour: red\n", r"troth.yaml:2: .*colour"),
            ("data: /tmp/x\nmax_connections: many\n", r"troth.yaml:2: max_connections"),
            ("data: /tmp/x\nmax_connections: 0\n", r"troth.yaml:2: max_connections"),
            ("data: /tmp/x\n\nreopen_window: soon\n", r"troth.yaml:3: reopen_window"),
            ("data: /tmp/x\nlog_level: loud\n", r"troth.yaml:2: log_level"),
            ("data: /tmp/x\ndemo: perhaps\n", r"troth.yaml:2: demo"),
            ("data: /tmp/x\ndata: /tmp/y\n", r"troth.yaml:2: .*data"),
            ("data: [1, 2]\n", r"troth.yaml:1: data"),
            ("- a\n- b\n", r"troth.yaml:1"),
            ("data: 'unfinished\n", r"troth.yaml:\d+"),
            ("data: /tmp/x\ndatabase: mysql://x\n", r"troth.yaml:2: database"),
            ("data: /tmp/x\npublic_url: ftp://x\n", r"troth.yaml:2: public_url"),
            ("data: /tmp/x\nlisten: nowhere\n", r"troth.yaml:2: listen"),
            ("data: /tmp/x\nmail: pigeon:loft\n", r"troth.yaml:2: mail"),
            ("data: /tmp/x\nstaff_networks: here\n", r"troth.yaml:2: staff_networks: networks, such as"),
            ("data: /tmp/x\nstaff_networks: 192.0.2.1/24\n", r"troth.yaml:2: staff_networks"),
            ("data: /tmp/x\nstaff_networks: [192.0.2.0/24, 10.0.0.0/33]\n", r"troth.yaml:2: staff_networks"),
            ("data: /tmp/x\nstaff_networks: [[192.0.2.0/24]]\n", r"troth.yaml:2: staff_networks: a list of networks"),
            ("data: /tmp/x\nmail_from: nobody\n", r"troth.yaml:2: mail_from"),
        )
        for text, expected in cases:
            _, _, run = self.with_file(text)
            self.assertEqual(run.returncode, 1, (text, run.stdout, run.stderr))
            self.assertRegex(run.stderr, expected, text)
            self.assertFalse(os.path.exists("/tmp/x"))

    def test_environment_goes_before_the_file_and_is_named_too(self):
        p, _, run = self.with_file("data: /nonexistent/by/file\n", env={"TROTH_DATA": "/nonexistent/by/environment"})
        self.assertIn("/nonexistent/by/environment", run.stderr + run.stdout)
        _, _, run = self.with_file("data: /tmp/x\n", env={"TROTH_MAX_CONNECTIONS": "many"})
        self.assertRegex(run.stderr, r"TROTH_MAX_CONNECTIONS")
        self.assertEqual(run.returncode, 1)

    def test_a_file_is_enough(self):
        p, path, run = self.with_file("data: /nonexistent\n", "policy", "check")
        self.assertEqual(run.returncode, 1)
        with open(path, "w") as f:
            f.write(f"data: {p.dir}/d\nlisten: 127.0.0.1:{p.port}\nmail: file:{p.dir}/m\n")
        self.assertEqual(p.cli("vault", "init", "--config", path).returncode, 0)
        self.assertEqual(stat.S_IMODE(os.stat(f"{p.dir}/d/master.key").st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(f"{p.dir}/d").st_mode), 0o700)
        self.assertEqual(os.path.getsize(f"{p.dir}/d/master.key"), 32)
        self.assertEqual(p.cli("vault", "init", "--config", path).returncode, 1)  # it is there
        run = p.cli("verify", "--config", path)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)


class Start(portal.Case):
    def refused(self, p, pattern, *words):
        run = p.cli(*(words or ("serve",)))
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
        self.assertRegex(run.stderr, pattern)

    def test_sec_03_no_start_without_the_right_master_key(self):
        """Fails if a portal runs with a key that does not open its keyring, or makes one unasked."""
        p = self.new_portal(init=False)
        self.refused(p, r"no master key at .*vault init")
        p.ok("vault", "init")
        p.start().stop()
        key = os.path.join(p.data, "master.key")
        with open(key, "rb") as f:
            right = f.read()
        for wrong, says in ((os.urandom(32), r"master key"), (right[:31], r"32"), (right + b"x", r"32")):
            os.chmod(key, 0o600)
            with open(key, "wb") as f:
                f.write(wrong)
            self.refused(p, says)
        with open(key, "wb") as f:
            f.write(right)
        os.chmod(key, 0o644)
        self.refused(p, r"0600|mode|readable")
        os.chmod(key, 0o600)
        p.start().stop()

    def test_gen_06_a_column_that_nobody_declared_stops_the_start(self):
        p = self.new_portal()
        p.start().stop()
        sql = "ALTER TABLE account ADD COLUMN shoe_size TEXT"
        if p.database:
            portal.psql(p.database, sql)
        else:
            with sqlite3.connect(f"{p.data}/troth.db") as c:
                c.execute(sql)
        self.refused(p, r"account\.?.*shoe_size")
        self.refused(p, r"shoe_size", "verify")

    def test_a_table_that_nobody_declared_stops_the_start(self):
        p = self.new_portal()
        p.start().stop()
        sql = "CREATE TABLE shadow (id TEXT)"
        if p.database:
            portal.psql(p.database, sql)
        else:
            with sqlite3.connect(f"{p.data}/troth.db") as c:
                c.execute(sql)
        self.refused(p, r"shadow")

    def test_a_database_from_a_newer_version_is_refused(self):
        p = self.new_portal()
        p.start().stop()
        sql = "UPDATE schema_version SET number = 9000"
        if p.database:
            portal.psql(p.database, sql)
        else:
            with sqlite3.connect(f"{p.data}/troth.db") as c:
                c.execute(sql)
        self.refused(p, r"newer")
        self.refused(p, r"newer", "migrate")

    def test_ret_07_a_backup_from_before_a_rotation_works_again(self):
        """Fails if people in a restored backup cannot sign in, or their addresses seem free."""
        if POSTGRES:
            self.skipTest("a SQLite file is what is restored; test_privacy does it on both")
        p = self.new_portal()
        p.ok("demo")
        kept = os.path.join(p.dir, "kept.db")
        shutil.copy(f"{p.data}/troth.db", kept)
        p.ok("vault", "rotate")
        shutil.copy(kept, f"{p.data}/troth.db")
        p.start()
        self.assertEqual(p.browser().sign_in("anna.lindqvist@example.com", "correct horse battery staple").location, "/account")
        self.assertEqual(len(p.events("lookups-caught-up")), 1)

    def test_ret_07_an_empty_database_does_not_empty_the_keyring(self):
        """Fails if a wrong path, or a start before the restore, destroys everybody's key."""
        p = self.new_portal()
        p.ok("demo")
        empty = {"TROTH_DATABASE": f"sqlite:{p.dir}/empty.db", "TROTH_KEYRING": p.env.get("TROTH_DATABASE", f"sqlite:{p.data}/keyring.db")}
        for words in (("serve",), ("migrate",), ("sweep",), ("demo",)):
            run = p.cli(*words, env=empty)
            self.assertEqual(run.returncode, 1, (words, run.stdout, run.stderr))
            self.assertRegex(run.stderr, r"the database is empty, and the keyring holds the keys of \d+ people")
        p.ok("export", "anna.lindqvist@example.com", os.path.join(p.dir, "still.zip"))

    def test_a_taken_address_and_a_taken_data_directory_are_said(self):
        p = self.new_portal().start()
        other = self.new_portal(env={"TROTH_LISTEN": p.env["TROTH_LISTEN"]})
        self.refused(other, r"127.0.0.1:\d+|in use|taken")
        if not p.database:
            self.refused(p, r"data directory")

    def test_unix_socket(self):
        p = self.new_portal()
        path = os.path.join(p.dir, "s")
        p.env["TROTH_LISTEN"] = f"unix:{path}"
        p.env["TROTH_PUBLIC_URL"] = "https://portal.example.com"
        p.start()
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: portal.example.com\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: s.recv(4096), b""))
        self.assertRegex(answer, rb"^HTTP/1\.1 200 [\s\S]*\r\n\r\nok\s*$")
        p.stop()
        self.assertFalse(os.path.exists(path))


class Beside(portal.Case):
    """Every command, with and without a server."""

    def export(self, p, name):
        path = os.path.join(p.dir, name)
        p.ok("export", "anna@example.com", path)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with zipfile.ZipFile(path) as z:
            self.assertIn("anna@example.com", z.read("data.json").decode())
        run = p.cli("export", "anna@example.com", path)
        self.assertEqual(run.returncode, 1)  # never over a file that is there

    def walk(self, p, name):
        self.export(p, f"{name}.zip")
        out = p.ok("verify")
        self.assertRegex(out, r"\d+ promises: \d+ kept, 0 broken\.")
        states = json.loads(p.ok("verify", "--json"))
        self.assertTrue(states["all_kept"])
        self.assertGreater(len(states["promises"]), 20)
        self.assertTrue(all(s["evidence"] and s["checked"] for s in states["promises"]))
        p.ok("sweep", "--dry-run")
        p.ok("sweep")
        p.ok("policy", "check")
        p.ok("vault", "rotate")
        p.ok("rights", "list")
        run = p.cli("export", "nobody@example.com", os.path.join(p.dir, "no.zip"))
        self.assertEqual(run.returncode, 1)
        self.assertFalse(os.path.exists(os.path.join(p.dir, "no.zip")))
        self.assertEqual(p.cli("export", "nobody", os.path.join(p.dir, "no.zip")).returncode, 2)
        self.assertEqual(p.cli("erase", "nobody@example.com").returncode, 1)

    def test_rgt_06_commands_work_beside_a_server_and_without(self):
        p = self.portal
        b = p.account("anna@example.com")
        self.walk(p, "with")
        self.assertEqual(b.get("/account").status, 200)  # nothing of that disturbed anybody
        p.stop()
        self.walk(p, "without")
        out = p.ok("erase", "anna@example.com")
        number = re.search(r"Receipt: (\w+)", out).group(1)
        p.start()
        self.assertEqual(b.get("/account").status, 303)
        self.assertIn(number, p.browser().get(f"/privacy/receipt?number={number}").text)
        self.assertEqual(p.cli("erase", "anna@example.com").returncode, 1)

    def test_rgt_04_erase_beside_a_server(self):
        p = self.portal
        b = p.account("anna@example.com")
        other = p.account("other@example.com")
        p.ok("erase", "Anna@Example.com")
        self.assertEqual(b.get("/account").status, 303)
        self.assertEqual(other.get("/account").status, 200)
        self.assertEqual(p.rows("SELECT count(*) FROM account"), [("1",)])
        self.assertEqual(p.cli("verify").returncode, 0)

    def test_ret_06_verify_exits_1_when_a_promise_is_broken(self):
        """Fails if `verify` is a decoration: data older than promised must be found."""
        p = self.portal
        p.account("anna@example.com")
        p.ok("verify")
        p.stop()
        sql = "UPDATE account SET closed = 1000000"
        if p.database:
            portal.psql(p.database, sql)
        else:
            with sqlite3.connect(f"{p.data}/troth.db") as c:
                c.execute(sql)
        run = p.cli("verify")
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertIn("BROKEN   Your account: at the latest 1 month after the account was closed.", run.stdout)
        self.assertFalse(json.loads(p.cli("verify", "--json").stdout)["all_kept"])
        p.ok("sweep")
        self.assertEqual(p.cli("verify").returncode, 0)

    def test_gen_15_a_human_decides_an_objection(self):
        p = self.portal
        b = p.account("anna@example.com")
        b.post("/account/privacy/object", {"purpose": "protect-accounts", "reason": "Jag har skäl"}, page="/account/privacy")
        number = p.ok("rights", "list").split()[0]
        self.assertIn("Jag har skäl", p.ok("rights", "show", number))
        self.assertEqual(p.cli("rights", "rule", number, "--uphold").returncode, 1)  # nobody's name
        self.assertEqual(p.cli("rights", "rule", number, "--by", "Eva Ek", "--overrule").returncode, 1)  # no ground
        p.ok("rights", "rule", number, "--by", "Eva Ek", "--overrule", "--ground", "Pågående intrång")
        self.assertIn("Pågående intrång", b.get("/account/privacy").text)
        self.assertEqual(p.cli("rights", "rule", number, "--by", "Eva Ek", "--uphold").returncode, 1)

    def test_demo_is_whole_and_made_once(self):
        p = self.new_portal()
        out = p.ok("demo")
        self.assertIn("anna.lindqvist@example.com", out)
        n = p.rows("SELECT count(*) FROM account")
        p.ok("demo")
        self.assertEqual(p.rows("SELECT count(*) FROM account"), n)
        p.start()
        b = p.browser()
        self.assertEqual(b.sign_in("anna.lindqvist@example.com", "correct horse battery staple").location, "/account")
        p.ok("verify")


if __name__ == "__main__":
    portal.main()
