/* Inside account: decisions and SQL; no HTTP, no HTML. */
#ifndef FEATURES_ACCOUNT_MODEL_H
#define FEATURES_ACCOUNT_MODEL_H

#include "base/email.h"
#include "features/account/account.h"
#include "features/account/password.h"

/* ---- links that are mailed ---- */

enum { TICKET_TOKEN_LENGTH = 2 * ID_LENGTH + SECRET_LENGTH };

#define TICKET_CONFIRM "confirm" /* a registration */
#define TICKET_RECOVER "recover" /* a forgotten password */
#define TICKET_REOPEN  "reopen"  /* a closed account */
#define TICKET_SHARE   "share"   /* an export for somebody else */
#define TICKET_LOST    "lost"    /* stops the way around a lost second step */

struct ticket {
    account_id account;
    id id;
    str password; /* opened; a registration carries its own */
    str detail;
};

/* A link's token: account, ticket and secret. `password` may be empty. */
CHECKED enum err ticket_make(struct tx *tx, const struct privacy *p, account_id account,
                             const struct key *k, const char *kind, str password, str detail,
                             moment ends, str *token);
/* ERR_NOT_FOUND: wrong, used, or too late; all alike. */
CHECKED enum err ticket_find(struct tx *tx, const struct privacy *p, const char *kind, str token,
                             struct ticket *out);
/* All of a kind go, once one was used. */
CHECKED enum err ticket_use(struct tx *tx, account_id account, const char *kind);

/* ---- registration ---- */

struct registration {
    id id; /* of what comes of it: the intake, then the account. Chosen once, so that a transaction that is
            * begun anew leaves no key behind */
    struct email email;
    str password_hash;
    bool news;
    str country; /* ISO 3166; or empty */
    const struct locale *locale;
};

/* A new subject's key, or the one that an earlier try of the same made. */
CHECKED enum err account_new_key(struct portal *p, id subject, const char *kind, struct key *k,
                                 struct arena *a, struct fault *f);

/* The same outside for an address that is known: then its owner gets a mail that says so. */
CHECKED enum err account_register(struct tx *tx, struct portal *p, const struct registration *r);
/* Confirms an address; the password is the one that this registration chose. */
CHECKED enum err account_confirm(struct tx *tx, struct portal *p, str token);

/*
 * What the pages call: takes in what was asked for, the same way for every address, and leaves the
 * rest to a job. `password_hash` is empty and `news` false where a password is to be recovered.
 */
enum intake { INTAKE_SIGN_UP, INTAKE_RECOVER };
CHECKED enum err intake_add(struct tx *tx, struct portal *p, enum intake what,
                            const struct registration *r);

/* ---- signing in ---- */

enum sign_in { SIGN_IN_WRONG, SIGN_IN_OK, SIGN_IN_CLOSED };

/* Checks address and password; takes as long for an address that nobody has. As account_check_password()
 * it reads on a connection of its own and gives it back before the hash: hashes wait for one another, and
 * whoever waits must hold nothing that a page needs. *proved is the hash that the password fits: for
 * account_still(). An account that is not confirmed is wrong like any other. */
CHECKED enum err account_sign_in(struct portal *p, str address, struct secret password,
                                 struct arena *a, struct fault *f, enum sign_in *result,
                                 account_id *out, bool *dated, str *proved);
/* In the transaction that lets somebody in: has nothing changed since, while the hash waited for its turn (a new
 * password, closed, erased)? */
CHECKED enum err account_still(struct tx *tx, const struct privacy *p, account_id which, str proved,
                               bool *yes);

/* ---- a security question (question.c) ---- */

enum { ANSWER_MIN = 3, ANSWERS_A_DAY = 5 };

struct own_question {
    bool there;
    str question, answer_hash; /* opened */
    moment made;
};
/* Is the person a member of a service that offers one? */
CHECKED enum err question_offered(struct tx *tx, const struct privacy *p, account_id which, bool *yes);
CHECKED enum err question_get(struct tx *tx, account_id which, const struct key *k,
                              struct own_question *out);
/* What is hashed of an answer: capitals and blanks do not count. */
str question_answer(struct arena *a, str typed);
CHECKED enum err question_set(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                              str question, str answer_hash);
CHECKED enum err question_remove(struct tx *tx, account_id which);
/* Takes one of the day's tries, committed by itself, before an answer is looked at. */
CHECKED enum err question_try(struct request *req, account_id which, bool *allowed);
/* A service was left: without one that offers it, the question goes. */
CHECKED enum err question_left(struct tx *tx, struct portal *p, id account);

/* ---- the second step is lost (lost.c) ---- */

#define LOST_WAITS (3 * MOMENT_DAY) /* before it is turned off */
#define LOST_LASTS (7 * MOMENT_DAY) /* after that it must be asked for anew */

struct lost {
    bool there, ready_now;
    moment made, ready, ends;
};
CHECKED enum err lost_get(struct tx *tx, const struct privacy *p, account_id which, struct lost *out);
/* Begins it, and tells the account's address. ERR_CONFLICT: it has begun. */
CHECKED enum err lost_begin(struct tx *tx, struct portal *p, account_id which, const struct key *k);
/* Turns everything off. ERR_CONFLICT: it has not begun, or its time has not come. */
CHECKED enum err lost_finish(struct tx *tx, struct portal *p, account_id which, const struct key *k);
/* By the link in the mail. ERR_NOT_FOUND. */
CHECKED enum err lost_stop(struct tx *tx, struct portal *p, str token);
/* No longer needed, or not wanted. */
CHECKED enum err lost_drop(struct tx *tx, account_id which);

/* A person's own words, which a guesser tries first: the address, and what they told the services that they
 * have joined (names, a company). */
CHECKED enum err account_own_words(struct tx *tx, const struct privacy *p, const struct account *x, str *out);

/* ---- changes ---- */

CHECKED enum err account_write_password(struct tx *tx, const struct key *k, account_id which,
                                        str hash);
/* A new password ends the other sessions and open links, and is told of, where `tell` says so. */
CHECKED enum err account_send_recovery(struct tx *tx, struct portal *p, str address);
CHECKED enum err account_set_password(struct tx *tx, struct portal *p, account_id which, str hash,
                                      id keep_session, bool tell);
CHECKED enum err account_recover(struct tx *tx, struct portal *p, str token, str hash);
CHECKED enum err account_set_preferences(struct tx *tx, struct portal *p, account_id which, str language, str zone,
                                         str country);
/* Says where the data of an account is to lie (feature.h: place). */
CHECKED enum err account_place(struct tx *tx, struct portal *p, account_id which, str region);

/* A new address: both the old and the new one must agree by link. */
CHECKED enum err address_change_ask(struct tx *tx, struct portal *p, account_id which,
                                    const struct email *to);
enum address_answer { ADDRESS_WAITS, ADDRESS_CHANGED, ADDRESS_TAKEN };
CHECKED enum err address_change_agree(struct tx *tx, struct portal *p, str token,
                                      enum address_answer *answer);
struct address_change {
    bool there;
    str address; /* opened */
    bool old_agreed, new_agreed;
    moment ends;
};
CHECKED enum err address_change_get(struct tx *tx, const struct privacy *p, account_id which,
                                    const struct key *k, struct address_change *out);
CHECKED enum err address_change_find(struct tx *tx, const struct privacy *p, str token);
CHECKED enum err address_change_drop(struct tx *tx, account_id which);

CHECKED enum err account_reopen(struct tx *tx, struct portal *p, str token);

/* ---- news ---- */

/* The token of a link that ends the news without signing in, and its reverse. */
CHECKED enum err unsubscribe_token(const struct privacy *p, account_id which, struct arena *a,
                                   str *out, struct fault *f);
CHECKED enum err unsubscribe_find(const struct privacy *p, str token, struct arena *a,
                                  account_id *out, struct fault *f);
/* Gives or takes back the consent; giving it sends the first mail, with the way out. */
CHECKED enum err account_set_news(struct tx *tx, struct portal *p, account_id which, bool wanted,
                                  const char *language, const char *way);

/* The language and time zone that the person chose. */
struct locale account_locale(const struct portal *p, struct arena *a, const struct account *x);

/* A line in the security log, of something that needs no browser to have happened. */
CHECKED enum err account_log(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                             const char *kind);

/* ---- mail ---- */

/* One of our mails to this account, at its own address or another. */
CHECKED enum err account_mail(struct tx *tx, struct portal *p, const struct account *to,
                              const struct key *k, const char *kind, str address, str path,
                              const json_t *values);

#define JOB_ERASE   "account.erase"
#define JOB_TAKEOUT "account.takeout"
#define JOB_INTAKE  "account.intake"
#define JOB_LOST    "account.lost"

enum err run_erase(struct job_run *r);
enum err run_takeout(struct job_run *r);
enum err run_mail(struct job_run *r);
enum err run_intake(struct job_run *r);
enum err run_lost(struct job_run *r);

#endif
