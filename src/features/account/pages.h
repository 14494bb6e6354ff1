/* Inside account: its pages' handlers, forms and routes. Thin: form in, model, view out. */
#ifndef FEATURES_ACCOUNT_PAGES_H
#define FEATURES_ACCOUNT_PAGES_H

#include "features/account/model.h"

/* The signed-in person's account. */
#define SIGNED_IN(req) ((account_id){(req)->session.account})

/* A link that is used, too old or mistyped: says what to do instead. */
CHECKED enum err page_link_gone(struct request *req);

extern const struct route enter_routes[], manage_routes[], privacy_routes[];

#endif
