/*
 * Two-step sign-in (spec MYA-08 to MYA-12): what a person has beside the password, and proving it.
 * Three factors: an app that makes codes (TOTP), codes by text message, passkeys. Ten recovery codes
 * stand in for a factor that is lost. What other features may call is here.
 *
 * A way of signing in that has proved the password does
 *
 *     TRY(factors_needed(req, tx, which, &needed));
 *     return needed ? factors_begin(req, tx, which, "password", next)
 *                   : account_enter(req, tx, which, "password", next);
 *
 * What a person may do only after a proof of a second step says so in its handler:
 *
 *     TRY(factors_proved(req, &proved));
 *     if (!proved)
 *         return factors_ask_proof(req);
 */
#ifndef FEATURES_FACTORS_H
#define FEATURES_FACTORS_H

#include "features/account/account.h"

/* Has the person a second step that is on? */
CHECKED enum err factors_on(struct tx *tx, account_id which, bool *on);

/* Is one to be asked for now? Not of who has none, nor on a device that they said to remember (the staff
 * are asked there, too); that it was used is noted in tx, a write transaction. */
CHECKED enum err factors_needed(struct request *req, struct tx *tx, account_id which, bool *needed);
/* The password was right, and that is not enough: no session, but ten minutes to bring the second
 * step, and the answer: on to /sign-in/second. `how` is what was proved so far. */
CHECKED enum err factors_begin(struct request *req, struct tx *tx, account_id which, const char *how,
                               str next);

/* Whose sign-in waits for the second step in this browser? none: nobody's. */
CHECKED enum err factors_pending(struct request *req, struct tx *tx, account_id *which);
/* It is over; the caller lets them in by another way. */
CHECKED enum err factors_end_pending(struct request *req, struct tx *tx);

/* Has this session's person proved a second step lately (SESSION_RECENT), or has none? */
CHECKED enum err factors_proved(struct request *req, bool *proved);
/* The answer where not: on to /account/confirm, and back to this page. */
CHECKED enum err factors_ask_proof(struct request *req);

/* Everything goes: factors, recovery codes, remembered devices, sign-ins half done. For the slow path of
 * somebody who lost it all; the caller tells the person and the security log. */
CHECKED enum err factors_clear(struct tx *tx, account_id which);
/* Sign-ins that are half done are over: the password that they began with is another now. */
CHECKED enum err factors_end_steps(struct tx *tx, account_id which);
/* Every device is asked for the second step again. */
CHECKED enum err factors_forget_devices(struct tx *tx, account_id which);

/* ---- for apps (features/connect), which bring messages instead of forms ---- */

/* What a person may prove a second step by in an app; none of them: a passkey alone, which apps cannot ask for. */
struct app_ways {
    bool totp, text, recovery;
};
/* The password was right, and a second step is needed: *step is what waits for it. */
CHECKED enum err factors_app_begin(struct request *req, struct tx *tx, account_id which, id *step);
CHECKED enum err factors_app_ways(struct request *req, struct tx *tx, account_id which, struct app_ways *out);
/* Sends a code by text message. *sent is false where there are too many, ERR_NOT_FOUND where there is no number. */
CHECKED enum err factors_app_send(struct request *req, struct tx *tx, account_id which, id step, bool *sent);
enum app_code { APP_CODE_WRONG, APP_CODE_RIGHT, APP_CODE_TOO_MANY, APP_CODE_OVER };
/* A code of any of these. Counted before it is looked at, with the pages' own limits; the right one ends the
 * step, in the request's write transaction. *by is "totp", "text" or "recovery-code". Hold no transaction. */
CHECKED enum err factors_app_prove(struct request *req, account_id which, id step, str code, enum app_code *out,
                                   const char **by);

/* ---- for account's pages ---- */

/* /account/security: the card "Two-step sign-in" (view factors/card), as view.factors. */
CHECKED enum err factors_put_card(struct request *req, const struct key *k);
/* /account/confirm: what the person may prove it by (view factors/proofs), as view.proofs. The page
 * shows these forms. */
CHECKED enum err factors_put_confirm(struct request *req);
extern const struct form factors_totp_form, factors_text_form, factors_recovery_form,
    factors_passkey_form;
/* /sign-in: the button for a passkey (view factors/enter), as view.passkeys. The page shows
 * factors_passkey_form. */
void factors_put_enter(struct request *req);

#endif
