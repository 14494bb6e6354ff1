"""Real mail: what a server takes over SMTP, read back; and what becomes of it when the server misbehaves.

Every recipient's words are the server's files (smtp.py), never the portal's own.
"""
import email.utils
import os
import shutil
import time

import portal
import smtp
from portal import PASSWORD, ROOT, until

# A name that libcurl takes for this machine without asking anybody (RFC 6761), and that the portal
# takes for another, since it believes only "localhost" and addresses to be here.
ELSEWHERE = "mail.localhost"


class MailCase(portal.Case):
    def server(self, **kw):
        if not hasattr(self, "folder"):
            self.folder = self.new_folder()
        s = smtp.MailServer(self.folder, **kw)
        self.addCleanup(s.close)
        return s

    def new_folder(self):
        folder = portal.tempfile.mkdtemp(prefix="troth-mail-")
        self.addCleanup(shutil.rmtree, folder, True)
        return folder

    def sending(self, server, scheme="smtp", host="127.0.0.1", user="", **env):
        """A portal that sends through that server."""
        return self.new_portal(env={"TROTH_MAIL": f"{scheme}://{user}{host}:{server.port}", "TROTH_LOG_LEVEL": "debug", **env}).start()

    def sign_up(self, p, address, language="en", **fields):
        r = p.browser(language=language).post("/sign-up", {"email": address, "password": PASSWORD, **fields})
        self.assertEqual((r.status, r.location), (303, "/sign-up/sent"), r.text[:1000])

    def states(self, p):
        return sorted(state for state, in p.rows("SELECT state FROM mail"))

    def settled(self, p):
        """Waits until no mail is on its way."""
        until(lambda: p.rows("SELECT count(*) FROM job") == [("0",)], "the last job's end", 40)


class Letters(MailCase):
    TEXTS = {
        "en": ("Confirm your address", "Press the button to confirm that it is yours.", "Confirm address", "Welcome to our news"),
        "sv": ("Bekräfta din adress", "Tryck på knappen för att bekräfta att adressen är din.", "Bekräfta adressen", "Välkommen till våra nyheter"),
    }

    def organisation(self):
        """The demo's, with a name that needs encoding in a header."""
        path = os.path.join(self.new_folder(), "organisation.yaml")
        with open(os.path.join(ROOT, "demo/organisation.yaml"), encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("product: Example Security", "product: Räksmörgås & Söner"))
        return path

    def check_letter(self, m, address, language, subject):
        self.assertEqual(m["Subject"], subject)
        self.assertEqual(m["To"], address)
        self.assertEqual([(a.display_name, a.addr_spec) for a in m["From"].addresses], [("Räksmörgås & Söner", "no-reply@portal.example.com")])
        self.assertEqual(m.envelope["from"], "no-reply@portal.example.com")
        self.assertEqual(m.envelope["to"], [address])
        self.assertEqual(m["Content-Language"], language)
        self.assertEqual(m["MIME-Version"], "1.0")
        self.assertEqual(m["Auto-Submitted"], "auto-generated")
        self.assertRegex(m["Message-ID"], r"^<[a-z0-9]{20,}@portal\.example\.com>$")
        sent = email.utils.parsedate_to_datetime(str(m["Date"]))
        self.assertLess(abs(sent.timestamp() - time.time()), 120)
        self.assertEqual(m.get_content_type(), "multipart/alternative")
        self.assertEqual([p.get_content_type() for p in m.iter_parts()], ["text/plain", "text/html"])
        self.assertEqual([p.get_content_charset() for p in m.iter_parts()], ["utf-8", "utf-8"])
        self.assertFalse(m.defects or [d for p in m.walk() for d in p.defects])
        self.assertIn(f'<html lang="{language}"', m.html)
        # RFC 5321: seven bits, CRLF, lines of at most 998.
        self.assertNotRegex(m.raw, rb"[^\x00-\x7f]|[^\r]\n|\r[^\n]")
        self.assertLess(max(map(len, m.raw.split(b"\r\n"))), 999)
        for name in ("Subject", "From", "To", "Date", "Message-ID", "MIME-Version", "Content-Type"):
            self.assertEqual(len(m.get_all(name)), 1, name)

    def letters(self, language):
        subject, sentence, action, welcome = self.TEXTS[language]
        s, address = self.server(), f"anna.{language}@example.com"
        p = self.sending(s, TROTH_ORGANISATION_FILE=self.organisation(), TROTH_PUBLIC_URL="https://portal.example.com")
        b = p.browser(language=language)
        self.sign_up(p, address, language, news="yes")
        m = s.mail(address)
        self.check_letter(m, address, language, subject)
        self.assertIsNone(m["List-Unsubscribe"])  # nobody can end what the service must say (KSO-05)
        self.assertIn(sentence, m.text)
        self.assertIn(f"{action}:\nhttps://portal.example.com/verify-email?t=", m.text)
        self.assertIn(sentence, m.html)
        self.assertIn(f'href="https://portal.example.com/verify-email?t={m.token}"', m.html)
        self.assertEqual(b.post("/verify-email", {"t": m.token}, page=m.path).status, 303)

        news = s.mail(address, "/unsubscribe")
        self.check_letter(news, address, language, welcome)
        url = f"https://portal.example.com{news.path}"
        self.assertEqual(news["List-Unsubscribe"], f"<{url}>")
        self.assertEqual(news["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click")
        self.assertIn(url, news.text)
        self.assertIn(f'href="{url}"', news.html)
        self.assertNotEqual(m["Message-ID"], news["Message-ID"])
        self.settled(p)
        self.assertEqual(len(s.taken()), 2)
        p.stop()
        for word in (m.token, news.token, address, PASSWORD, "verify-email?", "unsubscribe?"):
            self.assertNotIn(word, p.logged())
        self.assertIn("/verify-email", p.logged())  # the log is one: places are there, what they carry is not

    def test_ntf_01_ntf_05_mails_in_english(self):
        """Fails if a mail lacks a header or a part, is not in the person's language, or its secret is logged."""
        self.letters("en")

    def test_ntf_01_ntf_05_mails_in_swedish(self):
        """Fails as the English one does; and if a letter outside ASCII does not survive the way."""
        self.letters("sv")

    def test_mya_03_an_international_domain_is_written_as_mail_servers_know_it(self):
        """Fails if a domain outside ASCII is put on the wire as it is typed, or is lost."""
        s = self.server()
        self.sign_up(self.sending(s), "anna@bücher.example")
        m = s.mail("anna@bücher.example")  # the server reads it so
        self.assertEqual(m["To"], "anna@xn--bcher-kva.example")


class Misbehaving(MailCase):
    def test_ntf_04_a_temporary_refusal_is_tried_again_and_delivered_once(self):
        """Fails if a mail that a server does not take now (4xx) is lost, or comes twice."""
        s = self.server()
        p = self.sending(s)
        s.behave(rcpt={"anna@example.com": [451, 1]})
        self.sign_up(p, "anna@example.com")
        until(lambda: p.events("mail-later"), "the first refusal")
        s.behave(data=[452, 1])  # refuses the whole mail, after its end
        self.sign_up(p, "bert@example.com")
        until(lambda: len(p.events("mail-later")) >= 2, "the second refusal")
        self.assertEqual(s.taken(), [])
        self.settled(p)
        self.assertEqual(sorted(m["To"] for m in s.taken()), ["anna@example.com", "bert@example.com"])
        self.assertEqual(self.states(p), ["sent", "sent"])
        self.assertEqual(sorted(e["code"] for e in p.events("mail-later")), [451, 452])

    def test_ntf_04_a_permanent_refusal_blocks_nobody_else(self):
        """Fails if a bounce (5xx) is tried for ever, or holds up other people's mail."""
        s = self.server()
        p = self.sending(s, TROTH_WORKERS="1")
        s.behave(rcpt={"gone@example.com": [550, -1]})
        self.sign_up(p, "gone@example.com")
        self.sign_up(p, "anna@example.com")
        s.mail("anna@example.com")
        until(lambda: len(p.events("mail-refused")) == 1, "the refusal of the recipient")
        s.behave(data=[554, 1])
        self.sign_up(p, "spam@example.com")
        until(lambda: len(p.events("mail-refused")) == 2, "the refusal of the mail itself")
        self.sign_up(p, "bert@example.com")
        s.mail("bert@example.com")
        self.settled(p)
        self.assertEqual(self.states(p), ["refused", "refused", "sent", "sent"])
        self.assertEqual([e["code"] for e in p.events("mail-refused")], [550, 554])
        self.assertNotIn("gone@", p.logged())
        # What could not be handed over is not kept for ever either.
        self.assertEqual(p.rows("SELECT count(*) FROM mail WHERE content IS NOT NULL"), [("0",)])

    def test_ntf_04_a_line_cut_before_the_answer_sends_nothing_twice(self):
        """Fails if a mail that the server may have is sent again, when it hangs up instead of answering."""
        s = self.server()
        p = self.sending(s)
        s.behave(hang_up=1)
        self.sign_up(p, "anna@example.com")
        until(lambda: p.events("mail-uncertain"), "the cut")
        self.sign_up(p, "bert@example.com")
        s.mail("bert@example.com")
        self.settled(p)
        self.assertEqual(sorted(m["To"] for m in s.taken()), ["anna@example.com", "bert@example.com"])
        self.assertEqual(self.states(p), ["sent", "uncertain"])

    def test_ntf_04_a_server_that_is_away_gets_the_mail_when_it_returns(self):
        """Fails if mail is given up because nobody answers, or a slow answer makes it come twice."""
        s = self.server()
        p = self.sending(s)
        s.close()
        self.sign_up(p, "anna@example.com")
        until(lambda: p.events("mail-later"), "the first attempt")
        s.start()
        s.behave(slow=1500)
        s.mail("anna@example.com")
        self.settled(p)
        self.assertEqual(len(s.taken()), 1)
        self.assertEqual(self.states(p), ["sent"])


class Encrypted(MailCase):
    """To another machine nothing goes in the clear, and only to one that the operator believes."""

    @classmethod
    def setUpClass(cls):
        cls.keys = portal.tempfile.mkdtemp(prefix="troth-mail-")
        cls.ours = smtp.certificate(cls.keys, ELSEWHERE)
        cls.strangers = smtp.certificate(cls.keys, "stranger.example")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.keys, ignore_errors=True)

    def arrives(self, s, p, tls=True):
        self.sign_up(p, "anna@example.com")
        self.assertEqual(s.mail("anna@example.com").envelope["tls"], tls)
        return s.taken()[0]

    def refused(self, s, p):
        """The portal keeps the mail: it is told, not sent."""
        self.sign_up(p, "anna@example.com")
        until(lambda: p.events("mail-later"), "the attempt")
        self.assertEqual(s.taken(), [])
        self.assertEqual(self.states(p), ["queued"])

    def test_sec_02_smtps_with_the_certificate(self):
        """Fails if a server with the operator's own certificate cannot be used."""
        s = self.server(tls="smtps", certificate=self.ours)
        self.arrives(s, self.sending(s, "smtps", ELSEWHERE, TROTH_MAIL_CA_FILE=f"{self.ours}.cert"))

    def test_sec_02_smtps_without_the_certificate(self):
        """Fails if anybody's certificate will do."""
        s = self.server(tls="smtps", certificate=self.ours)
        self.refused(s, self.sending(s, "smtps", ELSEWHERE))

    def test_sec_02_smtps_of_another_name(self):
        """Fails if a certificate that is believed need not be the server's own."""
        s = self.server(tls="smtps", certificate=self.strangers)
        self.refused(s, self.sending(s, "smtps", ELSEWHERE, TROTH_MAIL_CA_FILE=f"{self.strangers}.cert"))

    def test_sec_02_starttls_with_the_certificate(self):
        s = self.server(tls="starttls", certificate=self.ours)
        self.arrives(s, self.sending(s, "smtp", ELSEWHERE, TROTH_MAIL_CA_FILE=f"{self.ours}.cert"))

    def test_sec_02_starttls_without_the_certificate(self):
        s = self.server(tls="starttls", certificate=self.ours)
        self.refused(s, self.sending(s, "smtp", ELSEWHERE))

    def test_sec_02_nothing_goes_in_the_clear_to_another_machine(self):
        """Fails if a server that offers no TLS (or a stranger who hides the offer) is sent to plainly."""
        s = self.server()
        self.refused(s, self.sending(s, "smtp", ELSEWHERE))

    def test_sec_02_this_machine_may_have_any_certificate(self):
        """Fails if a mail server on this machine is refused for a certificate of another name, as a
        fresh Postfix has: nobody stands between."""
        s = self.server(tls="starttls", certificate=self.strangers)
        self.arrives(s, self.sending(s))

    def test_sec_02_signing_in(self):
        """Fails if a server that asks for a name and a password does not get them, or they are logged."""
        s = self.server(tls="smtps", certificate=self.ours, user="troth@example.com", password="p:w@d")
        p = self.sending(s, "smtps", ELSEWHERE, "troth@example.com:p:w@d@", TROTH_MAIL_CA_FILE=f"{self.ours}.cert")
        self.assertEqual(self.arrives(s, p).envelope["user"], "troth@example.com")
        p.stop()
        self.assertNotIn("p:w@d", p.logged())

    def test_sec_02_a_wrong_password_is_about_us_and_loses_no_mail(self):
        """Fails if a mail is given up because the operator mistyped a password, or the password is logged."""
        s = self.server(tls="smtps", certificate=self.ours, user="troth", password="right")
        p = self.sending(s, "smtps", ELSEWHERE, "troth:mistyped@", TROTH_MAIL_CA_FILE=f"{self.ours}.cert")
        self.refused(s, p)
        self.assertEqual(p.events("mail-later")[0]["code"], 535)
        p.stop()
        self.assertNotIn("mistyped", p.logged())


if __name__ == "__main__":
    portal.main()
