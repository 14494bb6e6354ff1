/* Inside account: its pages' handlers, forms and routes. Thin: form in, model, view out. */
#ifndef FEATURES_ACCOUNT_PAGES_H
#define FEATURES_ACCOUNT_PAGES_H

#include "features/account/model.h"

/* The signed-in person's account. */
#define SIGNED_IN(req) ((account_id){(req)->session.account})

/* A link that is used, too old or mistyped: says what to do instead. */
CHECKED enum err page_link_gone(struct request *req);

/* A line in the signed-in person's security log. */
CHECKED enum err own_note(struct request *req, const char *kind);

/* For /recover/new: the question that whoever follows the link is asked as well (view.question), and its
 * answer. ERR_INPUT, with the form telling what is wrong. */
CHECKED enum err recovery_put_question(struct request *req, account_id which);
CHECKED enum err recovery_check_answer(struct request *req, account_id which);
/* /account/security: the card "If you cannot sign in", as view.recovery. */
CHECKED enum err recovery_put_card(struct request *req, const struct key *k);

extern const struct route enter_routes[], recovery_routes[], manage_routes[], log_routes[], privacy_routes[];

#endif
