/*
 * Mail out: written in the person's language as text and HTML (GMime), queued sealed with their
 * key, handed to an SMTP server (libcurl) or to files (spec NTF-01, NTF-04, NTF-05, KSO-05).
 *
 * Never twice: a mail's last step is noted in the database before it is taken (the final dot of the
 * SMTP transaction). If the process dies between the note and the server's answer, nobody can
 * know whether the server has the mail; it is then not sent again, and counted as uncertain. A
 * crash before the note sends it again, for the server has only a part that it throws away.
 *
 * Each message has a purpose. One that is marketing, or rests on consent, asks privacy_may() when it is
 * sent, not only when it is queued, and carries a way out (RFC 8058).
 */
#ifndef WORK_MAIL_H
#define WORK_MAIL_H

#include "work/work.h"

struct mailer;

struct mail_config {
    str target; /* smtp://[user:password@]host[:port], smtps://…, or file:DIR (one .eml each) */
    str from;   /* the sender's address */
    str from_name;
    const char *ca_file;  /* whom to believe; NULL: the system's */
    const struct template_set *html, *plain; /* must have "work/mail" */
    const struct privacy *privacy;
    int timeout_ms; /* for one message; 0 means 30 s */
};

/* smtp:// to another machine needs TLS (STARTTLS); to this one it may go plain. ERR_INPUT. */
CHECKED enum err mailer_open(struct mailer **out, const struct mail_config *config,
                             struct fault *f);
void mailer_close(struct mailer **m); /* for CLEANUP */

/*
 * What a mail says is in the catalog: mail.KIND.subject, mail.KIND.p1 … p4 (those there are),
 * mail.KIND.action (the label of its button, if it has one), mail.KIND.why (why one gets it).
 */
struct mail {
    const char *kind;
    const char *purpose;
    id subject;              /* whose it is: sealed with their key, gone with them */
    const struct key *key;
    str to;                  /* as email_parse() calls `wire` */
    const struct locale *locale;
    str action_url;          /* absolute; empty where there is none */
    str unsubscribe_url;     /* absolute; marketing, and what rests on consent, needs one */
    const json_t *values;    /* for the texts; may be NULL */
};

/* Queues it, with the job that sends it, in the caller's transaction. ERR_DENIED: its purpose is not
 * declared, or is marketing or rests on consent, and has no way out. */
CHECKED enum err mail_add(struct tx *tx, const struct mailer *m, const struct mail *mail);

/* The job that sends one: its payload is the mail's ID. `mailer_of` finds the mailer in the app. */
CHECKED enum err mail_send(const struct mailer *m, id subject, id mail, struct arena *a,
                           struct fault *f);

/* Mails of a subject that are not sent yet. */
CHECKED enum err mail_waiting(struct tx *tx, id subject, int64_t *count);

/* For verification: mails of marketing purposes that were sent without a consent. */
struct check;
CHECKED enum err check_marketing_mail(struct check *c);

#define JOB_MAIL "mail"

#endif
