/*
 * May we? And the rights that change the answer: restriction and objection (spec RGT-05, RGT-07 to
 * RGT-09, GEN-12 to GEN-15, GEN-22, CNS-04, NTF-03).
 *
 * Whatever uses data for a purpose asks privacy_may() at the moment of use.
 */
#ifndef PRIVACY_RIGHTS_H
#define PRIVACY_RIGHTS_H

#include "privacy/privacy.h"

enum may {
    MAY,
    MAY_NOT_DECLARED,   /* nobody declared such a purpose */
    MAY_NOT_CONSENTED,  /* no consent, or to another version, or ended */
    MAY_NOT_OBJECTED,   /* an objection is open or was upheld */
    MAY_NOT_RESTRICTED, /* the subject asked that nothing be done with the data */
    MAY_NOT_ENROLLED,   /* it is a service's, which the person has not joined or has left */
    MAY_NOT_ASSESSED,   /* the person's country asks for an impact assessment first */
};
const char *may_name(enum may m); /* "yes", "not-consented" … for logs and evidence */

/* `country` is the person's; empty: as their own record says, and where that says none, the
 * organisation's. A refusal is no error: *out says why, and it is logged (purpose and reason only). */
CHECKED enum err privacy_may(struct tx *tx, const struct privacy *p, id subject, str country,
                             const char *purpose, enum may *out);

/* ---- restriction ---- */

extern const char *const restriction_reasons[4]; /* accuracy, unlawful, claims, objection */

struct restriction {
    bool active;
    id id;
    str reason;
    str note; /* opened; empty where none was given */
    moment made;
};

/* ERR_CONFLICT where it is restricted already. */
CHECKED enum err restriction_set(struct tx *tx, const struct privacy *p, id subject,
                                 const struct key *k, str reason, str note);
CHECKED enum err restriction_lift(struct tx *tx, const struct privacy *p, id subject);
CHECKED enum err restriction_get(struct tx *tx, const struct privacy *p, id subject,
                                 const struct key *k, struct restriction *out);

/* ---- objection ---- */

#define OBJECTION_MARKETING "direct-marketing" /* not a purpose: all that are marketing */

struct objection {
    id id;
    id subject;
    str purpose;
    str reason; /* opened */
    str state;  /* open, upheld, overruled, withdrawn */
    moment made;
    moment decided;
    str ground; /* of the decision; opened */
};

/* May one object to it: it rests on legitimate interest, or it is OBJECTION_MARKETING? */
bool objection_possible(const struct privacy *p, str purpose);
/*
 * Stops the purpose at once. What was kept for it alone is deleted. Against direct marketing, all or
 * one kind of it, it is final. Against all, the address (`same`, may be empty) is kept as a keyed hash, so
 * that no list brings it back (NTF-03). ERR_INPUT: not possible; ERR_CONFLICT: made already.
 */
CHECKED enum err objection_make(struct tx *tx, const struct privacy *p, id subject,
                                const struct key *k, str purpose, str reason, str same);
CHECKED enum err objection_withdraw(struct tx *tx, const struct privacy *p, id subject, id which);
CHECKED enum err objection_list(struct tx *tx, const struct privacy *p, id subject,
                                const struct key *k, struct objection **out, size_t *n);
/* Those that wait for a decision, of all subjects; reasons are not opened. */
CHECKED enum err objection_open(struct tx *tx, struct objection **out, size_t *n);
/* One that waits, with its reason: for the human who decides. ERR_CONFLICT where none does. */
CHECKED enum err objection_read(struct tx *tx, const struct privacy *p, id which,
                                struct objection *out);
/*
 * A human decides (GEN-15: no decision without a person's name). To uphold it needs no ground;
 * to overrule it needs compelling grounds, which the person reads. ERR_INPUT without a name, or
 * without a ground; ERR_CONFLICT where it is decided, or is one against marketing.
 */
CHECKED enum err objection_decide(struct tx *tx, const struct privacy *p, id which, bool uphold,
                                  str by, str ground);

/* Is this address one that must not be mailed offers? */
CHECKED enum err suppression_has(struct tx *tx, const struct privacy *p, str same, bool *has);

#endif
