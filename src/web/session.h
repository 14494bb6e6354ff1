/*
 * Being signed in (spec MYA-14, COO-07, COO-15): the cookie carries the account's and the session's
 * ID and a secret; the store has the secret's hash. A session ends when it is idle too long, at its
 * absolute end, or when somebody ends it; it is made anew at every sign-in.
 */
#ifndef WEB_SESSION_H
#define WEB_SESSION_H

#include "privacy/privacy.h"

#define SESSION_IDLE   (2 * MOMENT_DAY)
#define SESSION_LASTS  (14 * MOMENT_DAY)
#define SESSION_RECENT (10 * MOMENT_MINUTE) /* how long a proof counts as recent */

/* Of people who work here, who may see others' data (SEC-07). */
#define SESSION_STAFF_IDLE  (30 * MOMENT_MINUTE)
#define SESSION_STAFF_LASTS (10 * MOMENT_HOUR)

enum { SESSION_TOKEN_LENGTH = 2 * ID_LENGTH + SECRET_LENGTH };

struct session {
    bool there;
    id account;
    id id;
    moment made, seen, proved, ends;
    moment factor; /* when a second step last proved it, too; 0: never */
    bool staff; /* one of the shorter ones; opens the desk */
    struct bearer secret; /* as the cookie has it: forms are signed with it */
};

/* Reads the cookie's value and finds the session. Not found, ended or wrong: out->there is false. */
CHECKED enum err session_find(struct tx *tx, const struct clock *clock, str token,
                              struct session *out);
/* Notes that it is in use, at most every five minutes. */
CHECKED enum err session_touch(struct db *db, const struct clock *clock, const struct session *s,
                               struct arena *a, struct fault *f);

/*
 * Begins one; *token is the cookie's value. Where it comes from (address, browser) is kept sealed so
 * that its owner can tell it from a stranger's, unless they object to that (RGT-07).
 */
struct session_start {
    id account;
    const struct key *key;
    str address, browser;
    const char *how; /* by what it was proved who it is: "password", "password+totp", "passkey" … ;
                      * more than a password is a second step (session_prove_factor) */
    bool staff;
};
CHECKED enum err session_begin(struct tx *tx, const struct privacy *p, const struct session_start *s,
                               struct session *out, str *token);
CHECKED enum err session_end(struct tx *tx, id account, id session);
/* All but `keep`, which may be none. */
CHECKED enum err session_end_others(struct tx *tx, id account, id keep);
/* Are there others than `keep`? */
CHECKED enum err session_has_others(struct tx *tx, id account, id keep, bool *yes);
/* The password was just proved. */
CHECKED enum err session_prove(struct tx *tx, const struct clock *clock, const struct session *s);
/* The same by something that only its owner has: a code, a passkey. */
CHECKED enum err session_prove_factor(struct tx *tx, const struct clock *clock,
                                      const struct session *s);
bool session_is_recent(const struct session *s, const struct clock *clock);

struct session_entry {
    id id;
    moment made, seen;
    str how;
    str address, browser; /* opened; empty where they are not kept */
};
CHECKED enum err session_list(struct tx *tx, const struct privacy *p, id account,
                              const struct key *k, struct session_entry **out, size_t *n);

#endif
