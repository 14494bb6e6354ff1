/*
 * The consent ledger (spec CNS-01 to CNS-05, GEN-04, RET-03): every consent given or taken back is a
 * row that is never changed: whose, for what, which text and version in which language, to which
 * controller, in what way, when, until when. Each row carries a hash over itself and the row
 * before it, so that a change or a removal shows.
 */
#ifndef PRIVACY_CONSENT_H
#define PRIVACY_CONSENT_H

#include "privacy/privacy.h"

/* How it was given or taken back: shown on receipts. */
#define CONSENT_WAY_SIGN_UP  "sign-up-form"
#define CONSENT_WAY_SETTINGS "privacy-page"
#define CONSENT_WAY_MAIL     "link-in-mail"
#define CONSENT_WAY_ENDED    "period-ended"
#define CONSENT_WAY_CLOSED   "account-closed"

/* One row, as a person sees it. */
struct consent {
    int64_t seq;
    str purpose;
    bool granted;
    int64_t version;
    str language;
    str controller; /* the party's key */
    str way;
    moment made;
    moment ends; /* 0: until it is withdrawn */
    str wording; /* the text that was shown */
};

/* Publishes the texts that consents refer to. ERR_CONFLICT where a text has changed and its
 * version has not: raise the version in records.yaml, so that old consents do not speak for the
 * new text (CNS-05). */
CHECKED enum err consent_publish(const struct privacy *p, struct fault *f);

/* Adds a row. A second of the same kind in a row adds nothing. */
CHECKED enum err consent_record(struct tx *tx, const struct privacy *p, id subject,
                                const struct purpose *purpose, bool granted, const char *language,
                                const char *way);

/* Is there a consent now: granted, to the current version, not ended? `seq` (may be NULL) is the row
 * that says so. */
CHECKED enum err consent_holds(struct tx *tx, const struct privacy *p, id subject,
                               const struct purpose *purpose, bool *holds, int64_t *seq);

/* All rows of a subject, newest first. */
CHECKED enum err consent_history(struct tx *tx, const struct privacy *p, id subject,
                                 struct consent **out, size_t *n);

/* Withdraws consents whose period has ended, and deletes what was kept by them alone (RET-03). */
CHECKED enum err consent_end_due(const struct privacy *p, struct fault *f);

/* Checks a subject's chain: ERR_CONFLICT where a row was changed or removed. */
CHECKED enum err consent_check_chain(struct tx *tx, id subject);

/* A row as a receipt (JSON, with the controller's address and the wording), for the person to
 * keep. */
json_t *consent_receipt(const struct privacy *p, struct arena *a, id subject,
                        const struct consent *c);

#endif
