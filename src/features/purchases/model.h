/* Inside purchases: decisions and SQL; no HTML. */
#ifndef FEATURES_PURCHASES_MODEL_H
#define FEATURES_PURCHASES_MODEL_H

#include "features/purchases/apps.h"
#include "features/purchases/provider.h"
#include "features/purchases/purchases.h"

#define STORE_SERVICE "my-account"
#define PURPOSE_BUY   "buy-in-store"

/* What the feature has, made at the start: portal->store. */
struct purchases {
    struct store_provider *provider; /* NULL: no store is connected */
    struct app_stores apps;
};
const struct purchases *purchases_of(const struct portal *p);

/* ---- the link (link.c) ---- */

#define LINK_NONE   "none"   /* there was one, and it is undone */
#define LINK_OPEN   "open"   /* known at the provider; no card yet */
#define LINK_CARD   "card"   /* a card is linked */

struct store_link {
    id row;
    bool there;      /* a row: the person has been at the store */
    str state;
    str customer;    /* what the provider calls them; opened, as is all that follows */
    str secret;
    str method;      /* what the provider calls the card */
    str ending, expiry; /* "4242", "2028-11" */
    moment linked, told;
};
/* Not there: *out says so; no error. */
CHECKED enum err link_get(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                          struct store_link *out);
/* A customer that the provider has made for this account. ERR_CONFLICT: there is one already. */
CHECKED enum err link_open(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                           str customer);
/* Whose customer is it? ERR_NOT_FOUND. */
CHECKED enum err link_find(struct tx *tx, const struct privacy *p, str customer, account_id *out);
/* The provider tells of a card. An event that is older than the last one changes nothing. */
CHECKED enum err link_card(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                           const struct store_event *e);
CHECKED enum err link_card_gone(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                                const struct store_event *e);
/* Undoes it: nothing of the card or of the customer is left, orders that have not left are called off, and the
 * provider is told by a job. *was says whether there was one. */
CHECKED enum err link_undo(struct tx *tx, const struct portal *p, account_id which, const struct key *k,
                           bool tell, bool *was);

#define JOB_FORGET   "store-forget"
#define FORGET_LASTS (14 * MOMENT_DAY)
CHECKED enum err run_forget(struct job_run *r);

/* ---- orders (order.c) ---- */

#define ORDER_QUEUED    "queued"
#define ORDER_SENT      "sent"      /* the provider may have it */
#define ORDER_PAID      "paid"
#define ORDER_DECLINED  "declined"
#define ORDER_REFUNDED  "refunded"
#define ORDER_CANCELLED "cancelled" /* it never left */
#define ORDER_UNCERTAIN "uncertain" /* nobody knows: the history will tell */

#define JOB_ORDER    "store-order"
/* The provider keeps an idempotency key for a day at least: within that, the same order is the same. */
#define ORDER_LASTS  (20 * MOMENT_HOUR)

struct order {
    id id;
    account_id account;
    str product, currency, state, reason, mandate, license;
    int64_t amount;
    moment made, done, term;
    str proof;
};

enum order_asked {
    ORDER_TAKEN,
    ORDER_ALREADY,   /* the same form was sent twice */
    ORDER_WAITS,     /* another order of the product has not been answered yet */
    ORDER_NO_CARD,
    ORDER_NOT_SOLD,  /* not at that price, or not at all */
    ORDER_MAY_NOT,   /* privacy_may() refuses */
};
/* An order by the person's own act, in their session: it is queued and nothing more. `once` comes with the form. */
struct order_start {
    account_id account;
    const struct key *key;
    id once, session;
    str product, price; /* as the person saw it */
};
CHECKED enum err order_add(struct tx *tx, struct portal *p, const struct order_start *s, enum order_asked *out);
CHECKED enum err order_get(struct tx *tx, account_id which, id order, struct order *out);
/* The newest first. */
CHECKED enum err order_list(struct tx *tx, account_id which, int limit, struct order **out, size_t *n);
CHECKED enum err run_order(struct job_run *r);

/* What the provider says of an order, by answer or by event; what is settled stays settled. */
CHECKED enum err order_settle(struct tx *tx, struct portal *p, const struct order *o,
                              const struct store_payment *paid);

/* ---- events (events.c) ---- */

/* Applies one event, once. *outcome is for the log: "done", "again", "unknown", "stranger", "ignored". */
CHECKED enum err event_apply(struct tx *tx, struct portal *p, const struct store_event *e, const char **outcome);

/* ---- pages, proof ---- */

extern const struct route purchase_routes[];
extern const struct named_check purchase_checks[];
enum { PURCHASE_CHECKS = 2 };
CHECKED enum err task_probe(void *app, struct arena *a, struct fault *f);

#endif
