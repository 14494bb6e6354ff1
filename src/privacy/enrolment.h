/*
 * Service accounts: one identity joins services, each with its own form, terms, consents, roles and
 * end (spec README decision 1; inventory.h says how a service declares itself).
 *
 * Whoever does something for a service asks enrolment_active() at the moment of use; privacy_may()
 * asks it by itself for every purpose of a service that has an account.
 *
 * What a service holds of a person is the enrolment's row and every other record of that service
 * which belongs to the same kind of subject. It ends in one place, enrolment_end(): at the term
 * after leaving, at another declared term, or at once.
 *
 * Each enrolment has a key of its own in the keyring, under its row's ID; answers are sealed with it. The
 * end destroys the key first. So a backup from before yields no answers, and where one is restored, the
 * rows of a service that had ended have no key: erasure_reconcile() ends them once more (KBH-23).
 */
#ifndef PRIVACY_ENROLMENT_H
#define PRIVACY_ENROLMENT_H

#include "privacy/privacy.h"

enum enrolment_state {
    ENROLMENT_NONE,   /* never joined, or all is erased */
    ENROLMENT_ACTIVE,
    ENROLMENT_LEFT,   /* no longer used; kept until its term ends */
};

struct enrolment {
    enum enrolment_state state;
    id id;
    moment joined;
    moment left;   /* 0: active */
    moment gone;   /* by when all is erased at the latest, as it stands; 0: no term runs */
    int64_t terms; /* the version that was accepted; 0: the service has none of its own */
    str terms_language;
    moment accepted;
    bool terms_current;
    str role;      /* empty: none */
    str served_by; /* the service whose account serves here; empty: its own */
};

CHECKED enum err enrolment_get(struct tx *tx, const struct privacy *p, id subject,
                               const struct service_account *s, struct enrolment *out);

/* The answers to the form's questions, opened, in its order; empty where none was given. The row
 * must be there. */
CHECKED enum err enrolment_answers(struct tx *tx, const struct privacy *p, id subject,
                                   const struct service_account *s, const struct enrolment *e,
                                   str *answers);

/* Is the person enrolled now? True where the service has nothing to join. */
CHECKED enum err enrolment_active(struct tx *tx, const struct privacy *p, id subject, str service,
                                  bool *yes);

/*
 * Joins, with the answers in the form's order; accepts the present version of the terms, in the
 * language in which they were shown. Somebody who left and whose data is still there comes back to
 * it. Consents are the caller's (consent_record), one by one. ERR_CONFLICT: joined already.
 * ERR_DENIED: the account that it needs is not there.
 */
CHECKED enum err enrolment_join(struct tx *tx, const struct privacy *p, id subject,
                                const struct service_account *s, const str *answers,
                                const char *language);

/* Corrects the answers. ERR_NOT_FOUND: not enrolled. */
CHECKED enum err enrolment_correct(struct tx *tx, const struct privacy *p, id subject,
                                   const struct service_account *s, const str *answers);

/* Accepts the present version of the terms. ERR_NOT_FOUND: not enrolled. */
CHECKED enum err enrolment_accept(struct tx *tx, const struct privacy *p, id subject,
                                  const struct service_account *s, const char *language);

/*
 * Leaves: no use from now on, role and consents end, the service's term begins; where it declares
 * `leaving: erase`, all is erased here and now. Accounts that need this one are left with it.
 * ERR_NOT_FOUND: not enrolled.
 */
CHECKED enum err enrolment_leave(struct tx *tx, const struct privacy *p, id subject,
                                 const struct service_account *s, const char *language);

/* The subject itself closes: all services are left at that moment, and are there again if it reopens
 * (without their consents, with the first role). Nothing is erased before the subject is. */
CHECKED enum err enrolment_close_all(struct tx *tx, const struct privacy *p, id subject, moment at,
                                     const char *language);
CHECKED enum err enrolment_reopen_all(struct tx *tx, const struct privacy *p, id subject, moment at);

/* What an end removed. Files are named, not yet removed: that is done after the commit
 * (files_remove), or by the daily collection. */
struct enrolment_ended {
    int64_t records;
    id *files;
    size_t n_files, cap_files;
};

/* Erases all that the service holds of the subject. Adds to *out. */
CHECKED enum err enrolment_end(struct tx *tx, const struct privacy *p, id subject,
                               const struct service_account *s, struct enrolment_ended *out);

/* Of these subjects, the IDs of all that they are enrolled in: for whoever destroys their keys. *out grows
 * from what it has. */
CHECKED enum err enrolment_keys(struct tx *tx, const struct privacy *p, str kind, const id *subjects,
                                size_t n, id **out, size_t *count);

/* Joins enrolments and keyring: those whose key is gone are ended (or counted only), keys without an
 * enrolment that are an hour old are destroyed. */
CHECKED enum err enrolment_reconcile(const struct privacy *p, bool end, int64_t *ended, struct fault *f);

/* How a service stands, as counts: for the proof. */
struct enrolment_counts {
    int64_t enrolled, left;
    int64_t roles;    /* of people who left: should be none */
    int64_t orphans;  /* records of the service that no enrolment holds: should be none */
    int64_t consents; /* that stand though their giver is not enrolled: should be none */
    int64_t unread;   /* terms that were accepted and whose text is gone: should be none */
};
CHECKED enum err enrolment_count(struct tx *tx, const struct privacy *p,
                                 const struct service_account *s, struct enrolment_counts *out);

/* ---- terms ---- */

/* Keeps every text of terms as it is published. ERR_CONFLICT where a text has changed and its
 * version has not: raise it in records.yaml, so that people are asked again. */
CHECKED enum err terms_publish(const struct privacy *p, struct fault *f);

/* The text of a version (0: the present one) as it was published. ERR_NOT_FOUND. */
CHECKED enum err terms_text(struct tx *tx, const struct privacy *p,
                            const struct service_account *s, int64_t version,
                            const char *language, str *text, moment *published);

#endif
