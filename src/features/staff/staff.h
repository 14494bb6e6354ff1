/*
 * People who work here (spec REC-01, REC-07, SEC-07): what commands and other features may call.
 *
 * Somebody is invited by mail, signs in (or up) with that very address, and joins. From then on their
 * sessions are short and end with the job; the desk opens once they have a second factor.
 */
#ifndef FEATURES_STAFF_H
#define FEATURES_STAFF_H

#include "features/account/account.h"
#include "privacy/reading.h"

#define STAFF_INVITED_FOR (7 * MOMENT_DAY)

enum { STAFF_NAME_MAX = 100 };

struct staff {
    account_id account;
    id id;         /* of the row */
    str name;      /* opened; empty without a key */
    str pseudonym; /* six letters and digits: as the people whom they look at read it */
    unsigned roles;
    moment invited, made;
    moment removed; /* 0: works here */
};

/* ERR_NOT_FOUND: does not work here, now. */
CHECKED enum err staff_get(struct tx *tx, const struct privacy *p, account_id which,
                           const struct key *k, struct staff *out);
/* All who do, or also (`gone`) those who did within the year; the longest first. Names are not opened. */
CHECKED enum err staff_list(struct tx *tx, bool gone, struct staff **out, size_t *n);

struct staff_invitation {
    id id;
    str address; /* opened */
    unsigned roles;
    moment made, ends;
};
/* Those that are open. */
CHECKED enum err staff_invitations(struct tx *tx, const struct privacy *p,
                                   struct staff_invitation **out, size_t *n);

/*
 * Mails an invitation, in place of one that was open. `language` may be NULL: the account's, if there is
 * one. ERR_CONFLICT: works here already; ERR_INPUT: no address.
 */
CHECKED enum err staff_invite(struct portal *p, str address, unsigned roles, const char *language,
                              struct arena *a, moment *ends, struct fault *f);
/* Its link opens nothing any more. ERR_NOT_FOUND. */
CHECKED enum err staff_uninvite(struct tx *tx, struct portal *p, str address);

/* Somebody joins: all their sessions end, for those were longer. ERR_CONFLICT: works here already. */
CHECKED enum err staff_join(struct tx *tx, struct portal *p, account_id which, str name,
                            unsigned roles, moment invited);
/* From the next request on, on every server. ERR_NOT_FOUND. */
CHECKED enum err staff_set_roles(struct tx *tx, struct portal *p, account_id which, unsigned roles);
/* Ends all their sessions at once, and tells them. ERR_NOT_FOUND. */
CHECKED enum err staff_remove(struct tx *tx, struct portal *p, account_id which);

/* ---- for desks of other features ---- */

/* Readings and searches of one member of staff within an hour; more are refused. */
enum { READINGS_AN_HOUR = 60 };
/* The beginning of a reading by the one who asks: all but records and reason. ERR_LIMIT: too many. */
CHECKED enum err reading_begin(struct request *req, struct reading *out);

#endif
