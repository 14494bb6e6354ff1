/* Inside factors: decisions and SQL; no HTML. */
#ifndef FEATURES_FACTORS_MODEL_H
#define FEATURES_FACTORS_MODEL_H

#include "features/factors/factors.h"
#include "features/factors/webauthn.h"
#include "privacy/trail.h"
#include "work/sms.h"

/* ---- what a person has (model.c) ---- */

enum factor { FACTOR_TOTP, FACTOR_TEXT, FACTOR_RECOVERY, FACTOR_PASSKEY };

struct factors {
    bool totp, phone;
    moment totp_made, phone_made;
    str phone_ending; /* opened; the last two digits */
    int64_t passkeys, recovery_left;
};
/* Without a key, the number's ending stays empty. */
CHECKED enum err factors_get(struct tx *tx, account_id which, const struct key *k,
                             struct factors *out);
static inline bool factors_any(const struct factors *f)
{
    return f->totp || f->phone || f->passkeys > 0;
}

/* A keyed hash under the person's own key: it says nothing without it, and goes with it. */
str factor_hash(struct arena *a, const struct key *k, const char *label, str text);

/* A line in the security log, and a mail: mail.KIND, with {factor}, its name (factor.NAME) in the person's language. */
CHECKED enum err factors_tell(struct request *req, struct tx *tx, account_id which,
                              const struct key *k, const char *event, const char *mail,
                              const char *name);
/* Something was turned off: with the last factor go recovery codes and remembered devices. */
CHECKED enum err factors_settle(struct tx *tx, account_id which);

/* ---- trying codes (tries.c) ---- */

enum { CODES_AN_HOUR = 10, CODES_A_DAY = 30, STEP_TRIES = 5 };

/*
 * A try is taken, and committed by itself, before a code is looked at; whoever is right gets it back.
 * So tries that come together are counted together. `step` may be none. *allowed is false when
 * there are too many: of this sign-in, within the hour, or within the day. Recovery codes are too
 * long to guess and count for the sign-in only.
 */
struct try_taken {
    bool allowed;
    id entry; /* to give back; none where none was made */
};
CHECKED enum err try_take(struct request *req, account_id which, id step, enum factor kind,
                          struct try_taken *out);
CHECKED enum err try_give_back(struct tx *tx, account_id which, const struct try_taken *t);

/* ---- the app that makes codes (totp.c) ---- */

enum { TOTP_SECRET = 20, TOTP_DIGITS = 6, TOTP_STEP = 30 };

/* Is it the code of this moment, or of the step before or after (RFC 6238)? *counter is its step. */
bool totp_right(str secret, moment now, str code, int64_t *counter);
str totp_text(struct arena *a, str secret);                  /* base32 (RFC 4648), in fours */
str totp_uri(struct arena *a, str secret, str product, str email); /* otpauth:// */
CHECKED enum err totp_picture(struct arena *a, str uri, str *svg, struct fault *f);

/* A new secret that waits for its first code, in place of one that waits. */
CHECKED enum err totp_begin(struct tx *tx, const struct privacy *p, account_id which,
                            const struct key *k);
/* Not found: ERR_NOT_FOUND. */
CHECKED enum err totp_waiting(struct tx *tx, const struct privacy *p, account_id which,
                              const struct key *k, str *secret);
/* The first code turns it on, in place of one that was on. */
CHECKED enum err totp_turn_on(struct tx *tx, const struct privacy *p, account_id which,
                              const struct key *k, str code, bool *right);
/* Each step's code once. */
CHECKED enum err totp_use(struct tx *tx, const struct privacy *p, account_id which,
                          const struct key *k, str code, bool *right);
CHECKED enum err totp_turn_off(struct tx *tx, account_id which, bool *was_on);

/* ---- codes by text message (text.c) ---- */

enum { TEXT_DIGITS = 6, TEXT_TRIES = 5, TEXTS_AN_HOUR = 5, TEXTS_A_DAY = 10 };
#define TEXT_LASTS (10 * MOMENT_MINUTE)
#define TEXT_PAUSE (30 * MOMENT_SECOND)

#define PHONE_ON  "on"
#define PHONE_NEW "new"

/* Keeps a number that is to be confirmed; *phone names it. */
CHECKED enum err phone_begin(struct tx *tx, const struct privacy *p, account_id which,
                             const struct key *k, str number, id *phone);
/* ERR_NOT_FOUND. */
CHECKED enum err phone_waiting(struct tx *tx, const struct privacy *p, account_id which,
                               const struct key *k, id *phone, str *ending);
/* The right code turns it on, in place of one that was on. */
CHECKED enum err phone_turn_on(struct tx *tx, const struct privacy *p, account_id which,
                               const struct key *k, id phone, str code, bool *right);
/* For demos: on at once. */
CHECKED enum err phone_give(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                            str number);
CHECKED enum err phone_turn_off(struct tx *tx, const struct clock *clock, account_id which, bool *was_on);

enum text_asked { TEXT_COMES, TEXT_TOO_MANY };
/* Orders a code for `about` (a sign-in, a session, a number to be confirmed), unless one was just
 * ordered. The older ones are void. */
CHECKED enum err text_ask(struct tx *tx, struct portal *p, account_id which, const struct key *k,
                          const char *state, id about, const char *language,
                          enum text_asked *asked);
/* A try is taken of the newest code, as in try_take(). */
CHECKED enum err text_take_try(struct request *req, account_id which, id about);
CHECKED enum err text_use(struct tx *tx, const struct privacy *p, account_id which,
                          const struct key *k, id about, str code, bool *right);
/* How far the newest one is: "none", "queued", "sent", "refused", "uncertain", "late". */
CHECKED enum err text_state(struct tx *tx, const struct privacy *p, account_id which, id about,
                            str *state);

#define JOB_TEXT "factors.text"
enum err run_text(struct job_run *r);
enum err check_numbers(struct check *c);

/* ---- recovery codes (codes.c) ---- */

enum { RECOVERY_CODES = 10, RECOVERY_LENGTH = 16 };

/* Ten new ones in place of those there were; this is the only time that they can be read. */
CHECKED enum err recovery_make(struct tx *tx, const struct privacy *p, account_id which,
                               const struct key *k, str codes[RECOVERY_CODES]);
CHECKED enum err recovery_use(struct tx *tx, const struct privacy *p, account_id which,
                              const struct key *k, str code, bool *right);
/* Is it one of those that are left? */
CHECKED enum err recovery_is(struct tx *tx, account_id which, const struct key *k, str code,
                             bool *yes);

/* ---- passkeys (passkey.c) ---- */

enum { PASSKEYS_MAX = 20, PASSKEY_NAME_MAX = 60 };

enum ceremony { CEREMONY_ENTER, CEREMONY_STEP, CEREMONY_CONFIRM, CEREMONY_ADD };

/* Can browsers make passkeys for this portal? They need a name, not a number. */
bool passkeys_offered(const struct request *req);
/* What the browser is to be asked; `which` is none for CEREMONY_ENTER. */
CHECKED enum err passkey_options(struct request *req, struct tx *tx, enum ceremony c,
                                 account_id which, json_t *out);
enum passkey_result { PASSKEY_RIGHT, PASSKEY_WRONG, PASSKEY_UNKNOWN, PASSKEY_COPIED };
/* Checks what a form of factors_passkey_form brings; for CEREMONY_ENTER it says whose it is. The
 * challenge is used up by itself, whatever comes of it: the request may not be writing yet. */
CHECKED enum err passkey_use(struct request *req, enum ceremony c, account_id *which,
                             enum passkey_result *result);
/* ERR_CONFLICT: it is there already; ERR_LIMIT: as many as one may have. */
CHECKED enum err passkey_add(struct request *req, account_id which, const struct key *k, str name,
                             str client_data, str attestation, enum passkey_result *result);
CHECKED enum err passkey_remove(struct tx *tx, account_id which, id passkey);
CHECKED enum err passkey_list(struct tx *tx, account_id which, const struct key *k, json_t *list);

/* ---- signing in, half done (step.c) ---- */

#define STEP_LASTS   (10 * MOMENT_MINUTE)
#define DEVICE_LASTS (30 * MOMENT_DAY)

struct step {
    bool there;
    account_id account;
    id id;
    str how;
};
CHECKED enum err step_find(struct request *req, struct tx *tx, struct step *out);
CHECKED enum err step_end(struct request *req, struct tx *tx, const struct step *s);

CHECKED enum err device_remember(struct request *req, struct tx *tx, account_id which,
                                 const struct key *k);
CHECKED enum err device_forget(struct tx *tx, account_id which, id device);
CHECKED enum err device_any(struct tx *tx, account_id which, bool *any);
CHECKED enum err known_device_list(struct request *req, struct tx *tx, account_id which,
                             const struct key *k, json_t *list);

#endif
