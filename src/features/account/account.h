/*
 * The customer account (spec MYA-01 to MYA-25): what other features and commands may call.
 */
#ifndef FEATURES_ACCOUNT_H
#define FEATURES_ACCOUNT_H

#include "features/feature.h"

ID_TYPE(account_id);

struct account {
    account_id id;
    str email; /* opened */
    str language, zone, country;
    moment made;
    moment unconfirmed; /* when the registration began; 0: confirmed */
    moment closed;      /* 0: open */
    moment erase_at;    /* 0: open */
};

/* ERR_NOT_FOUND. With a key, the address is opened. */
CHECKED enum err account_get(struct tx *tx, const struct privacy *p, account_id which,
                             const struct key *k, struct account *out);
/* By address, however it is written. ERR_NOT_FOUND, ERR_INPUT. */
CHECKED enum err account_find(struct tx *tx, const struct privacy *p, str address, account_id *out);

/* Makes an account whose address needs no confirmation: for demos, tests and commands. `hash` is
 * what password_hash() made. ERR_CONFLICT: somebody has the address. */
CHECKED enum err account_make(struct portal *p, str address, str hash, const char *language,
                              const char *zone, struct arena *a, account_id *out,
                              struct fault *f);

/*
 * Signs somebody in who has proved who they are: a session of its own (the one before in this
 * browser ends), its cookie, the security log, and the answer: on to `next`, where that is a path of ours.
 * Who works here gets one of the shorter sessions, which opens the desk.
 * `how` says by what: "password", "password+totp", "passkey" …
 */
CHECKED enum err account_enter(struct request *req, struct tx *tx, account_id which, const char *how,
                               str next);

/* Is that the account's password? Takes as long as signing in; hold no transaction meanwhile. */
CHECKED enum err account_check_password(struct portal *p, account_id which, struct secret password,
                                        struct arena *a, struct fault *f, bool *right);

/* A line in the person's security log: event.KIND, with where this request came from. */
CHECKED enum err account_note(struct request *req, struct tx *tx, account_id which, const struct key *k,
                              const char *kind);

/* Sends the person one of our mails (mail.KIND; see work/mail.h) at their own address, in their language;
 * `path` is where its button leads. `values` may be NULL. */
CHECKED enum err account_tell(struct tx *tx, struct portal *p, account_id which, const struct key *k,
                              const char *kind, str path, const json_t *values);

/* ---- for apps (features/connect), which bring messages instead of forms. The same limits and the same work
 * as on the pages: what is counted there is counted here. ---- */

enum account_entry { ENTRY_WRONG, ENTRY_RIGHT, ENTRY_CLOSED };

/* Is a captcha needed before that address is tried (or signed up)? Holds no transaction. */
CHECKED enum err account_asks(struct request *req, str address, bool sign_up, bool *asks);
/* Tries address and password, as account_check_password() does; a wrong one is counted. *proved is for
 * account_unchanged(). Hold no transaction meanwhile. */
CHECKED enum err account_try(struct request *req, str address, struct secret password, enum account_entry *out,
                             account_id *which, str *proved);
/* In the transaction that lets somebody in: is that still their password, and the account open? */
CHECKED enum err account_unchanged(struct tx *tx, const struct privacy *p, account_id which, str proved, bool *yes);
/* Is it a country that people may say they live in (ISO 3166)? Empty: they need not. */
bool account_is_country(struct request *req, str code);
/* Why a new password is refused: a key; NULL: it is good enough. */
const char *account_weak(struct request *req, str address, struct secret password);
/* Takes a registration in, the same for every address; what comes of it comes by mail. Begins the request's
 * write transaction. */
struct account_wish {
    str address;
    struct secret password;
    str country;
    bool news;
    const struct locale *locale;
};
CHECKED enum err account_wish(struct request *req, const struct account_wish *w);

/*
 * Closes an account at once (sign-in, mail, sessions) and orders its erasure: now, or when the window
 * for reopening has passed. Sends the last mail. *receipt is the number to ask for later.
 * ERR_CONFLICT: it is closed already.
 */
CHECKED enum err account_close(struct tx *tx, struct portal *p, account_id which, bool now,
                               const char *cause, id *receipt);

/* Erases a closed account whose time has come: waits a little for its last mail, then forgets it. */
CHECKED enum err account_erase(struct portal *p, account_id which, bool wait_for_mail,
                               struct arena *a, struct fault *f);

#endif
