/* Inside connect: what happens between an accepted statement and a binding, and what comes after. */
#ifndef FEATURES_CONNECT_MODEL_H
#define FEATURES_CONNECT_MODEL_H

#include "features/account/account.h"
#include "features/connect/document.h"
#include "features/devices/devices.h"

#define CONTEXT_LASTS (30 * MOMENT_MINUTE)
#define GRANT_LASTS   (15 * MOMENT_MINUTE)
#define ANSWER_LASTS  (24 * MOMENT_HOUR)

#define CONSENT_WAY_APP   "app-statement"
#define CONSENT_WAY_ENDED_BY_APP "app-disconnected"

/* Seconds between an app's reports. */
enum { INTERVAL = 300, INTERVAL_DEMO = 5 };

static inline int connect_interval(const struct request *req)
{
    return PORTAL(req)->settings->demo ? INTERVAL_DEMO : INTERVAL;
}

static inline const struct document *document_of(const struct request *req)
{
    return PORTAL(req)->connect;
}

/* ---- the message, which the document has checked ---- */

str message_text(const struct request *req, const char *member);
/* Checks a request by its operation, and of a connected app whether it may send now; for struct route. */
enum err connect_check(struct request *req);
/* 403: an ID in the message. */
enum err not_yours(struct request *req);
/* 404: one in the path. What is another's is answered as what never was. */
enum err no_binding(struct request *req);

/* ---- statements (statement.c) ---- */

/* Makes the version of each text, "1.k3f…": its number, and a digest of all that it says, in every language.
 * ERR_INPUT: a text is missing. */
CHECKED enum err statements_make(struct portal *p, struct document *d, struct fault *f);
/* Adds to the ledger. */
CHECKED enum err statement_consent(struct tx *tx, const struct privacy *p, account_id which, bool given,
                                   const char *language);
/* {application_id, version, locale, title, text, documents, fields} */
void statement_put(const struct portal *p, struct arena *a, const struct application *x, const struct locale *l,
                   json_t *out);
/* The published list: [{name, group?, meaning}]. */
void statement_put_fields(const struct portal *p, struct arena *a, const struct locale *l, json_t *list);

/* ---- contexts (context.c) ---- */

enum stage {
    STAGE_ACCEPTED, /* the statement was accepted; now it is to be found out by whom */
    STAGE_SECOND,   /* the password was right; a second step is to come */
    STAGE_BIND,     /* it is known whose it is */
    STAGE_USED,     /* it has become a binding */
    STAGES,
};

struct context {
    id id;
    account_id account; /* none: nobody's yet */
    str application, statement;
    bool everybody; /* others use the device, and agreed (WPS-04) */
    enum stage stage;
    id step;
    str device; /* a hash of the temporary ID; empty until one was told */
    bool office;
    id binding;
    str asked, answer; /* the last message with an Idempotency-Key, and what it was answered */
    moment ends;
};

CHECKED enum err context_open(struct tx *tx, const struct clock *clock, const struct application *x, str statement,
                              bool everybody, str *token, moment *ends);
/* ERR_NOT_FOUND: never was one, or it is over. */
CHECKED enum err context_find(struct tx *tx, const struct clock *clock, str token, struct context *out);
/* Goes on, if nobody else did meanwhile (ERR_CONFLICT): writes all that *next has. */
CHECKED enum err context_advance(struct tx *tx, const struct context *was, const struct context *next);
/* A new secret for the same context: for whoever has not got the first one. */
CHECKED enum err context_token(struct tx *tx, id context, str *token);
/* A hash of what an app calls itself until it is bound. */
str context_device(struct arena *a, str temporary);

/*
 * The message's context, at a stage that is one of those in the mask (1 << STAGE_…); with the problem told
 * otherwise (410, 409). *again is true where the same message with the same Idempotency-Key was answered
 * before: the answer is then in req->view. Reads only.
 */
CHECKED enum err context_of(struct request *req, unsigned stages, struct context *out, bool *again);
/* The answer of a step: {context, next, …}, kept for the same message. */
CHECKED enum err context_answer(struct request *req, struct tx *tx, const struct context *was, struct context *next,
                                const char *what, int status);

/* ---- connected apps (device.c) ---- */

/* struct web_config's device_fn. */
enum err connect_device(struct request *req, str token);
static inline const struct binding *bound(const struct request *req)
{
    return req->device;
}
/* Once more, in the transaction that writes: it may have ended meanwhile. And may we keep what comes? Tells
 * the problem otherwise. */
CHECKED enum err bound_for_writing(struct request *req, struct tx **tx, struct binding *out, struct key *k);
CHECKED enum err connect_may(struct request *req, struct tx *tx, account_id which);

/* ---- the same message twice (answers.c) ---- */

/* *again: it was answered before, and the answer is made. Another message under the same key is told (422). */
CHECKED enum err answer_again(struct request *req, const struct key *k, bool *again);
/* Keeps it for a day where the app gave a key, and answers with req->view (204: with nothing). */
CHECKED enum err answer_keep(struct request *req, struct tx *tx, const struct key *k, int status);
/* A hash over the operation, the path, and what the message says but for its secrets. */
str answer_digest(struct request *req);
str idempotency_key(const struct request *req);

/* ---- handlers ---- */

enum err get_document(struct request *req);
enum err get_statement(struct request *req);
enum err accept_statement(struct request *req);
enum err accept_again(struct request *req);
enum err ask_captcha(struct request *req);
enum err register_person(struct request *req);
enum err sign_in_person(struct request *req);
enum err prove_second(struct request *req);
enum err send_code(struct request *req);
enum err connect_automatically(struct request *req);
enum err bind_device(struct request *req);
enum err set_service(struct request *req);
enum err get_state(struct request *req);
enum err put_state(struct request *req);
enum err get_commands(struct request *req);
enum err wait_for_commands(struct request *req);
enum err command_done(struct request *req);
enum err command_failed(struct request *req);
enum err report_position(struct request *req);
enum err add_code(struct request *req);
enum err hand_over(struct request *req);
enum err get_license_file(struct request *req);
enum err get_keys(struct request *req);
enum err get_revocations(struct request *req);
enum err disconnect(struct request *req);
enum err authorize_device(struct request *req);
enum err give_token(struct request *req);
extern const struct form device_authorization_form, token_form;

/* Pages (pages.c). */
extern const struct route connect_pages[];
void put_policy_part(struct request *req, str service);
/* Grants, for the page /device (grant.c). */
struct grant {
    id id, context;
    str application;
    moment made;
};
/* By the code that a person reads off the device. ERR_NOT_FOUND: none that waits. */
CHECKED enum err grant_find(struct tx *tx, const struct privacy *p, str typed, struct grant *out);
/* The person agrees, or does not. ERR_NOT_FOUND: it was over meanwhile. */
CHECKED enum err grant_decide(struct tx *tx, const struct privacy *p, const struct grant *g, account_id which,
                              bool agreed);

#endif
