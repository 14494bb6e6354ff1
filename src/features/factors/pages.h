/* Inside factors: its pages' handlers, forms and routes. */
#ifndef FEATURES_FACTORS_PAGES_H
#define FEATURES_FACTORS_PAGES_H

#include "features/factors/model.h"

#define SHOWS(...) (const struct form *const[]){__VA_ARGS__, NULL}
#define SIGNED_IN(req) ((account_id){(req)->session.account})

/* Codes: their forms, on two pages (proofs.c). `base` is the page's path, `about` names what text messages
 * are for there. Puts view.proofs and whether there is a script to load. */
struct proofs {
    const char *base;
    account_id account;
    id about;
    const struct key *key;
    bool remember; /* offer to remember the device */
};
CHECKED enum err proofs_put(struct request *req, const struct proofs *p, const struct factors *f);

/* Checks the code of a form; wrong or too many: the form says so, and the answer is request_again()'s.
 * Right: the request is writing. */
struct code_check {
    account_id account;
    const struct key *key;
    id step, about; /* step: none where there is none */
    enum factor kind;
};
CHECKED enum err proofs_check_code(struct request *req, const struct code_check *c);
CHECKED enum err proofs_check_passkey(struct request *req, enum ceremony c, account_id *which);
/* What a page goes on to: the query's on GET, the form's on POST. */
str proofs_next(struct request *req);
/* The answer to a script: JSON. */
CHECKED enum err answer_options(struct request *req, enum ceremony c, account_id which);
void put_script(struct request *req);

extern const struct route step_routes[], factor_routes[], confirm_routes[];

#endif
