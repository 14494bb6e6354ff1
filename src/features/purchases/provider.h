/*
 * A store provider: who keeps cards, takes the money and has the history of purchases. One adapter speaks one
 * provider's protocol; stripe.h is the one that there is.
 *
 * What an adapter is told of a person is the internal ID of their account, and nothing else (MYA-30, 33). It
 * has no call that reads a card (MYA-31): what is known of one comes with the provider's events, and is
 * expiry and last four.
 */
#ifndef FEATURES_PURCHASES_PROVIDER_H
#define FEATURES_PURCHASES_PROVIDER_H

#include "base/clock.h"
#include "base/id.h"

enum store_answer {
    STORE_DONE,
    STORE_LATER,     /* surely nothing was done: ask again */
    STORE_UNCERTAIN, /* it may have been done: ask again with the same key, or look */
    STORE_REFUSED,   /* it never will be done so; the reason is a code */
};

/* One payment, as the provider has it. */
struct store_payment {
    str order;     /* our ID of it; empty: it is none of ours */
    str product;   /* the catalogue's key */
    enum { PAYMENT_PAID, PAYMENT_PENDING, PAYMENT_FAILED, PAYMENT_REFUNDED } state;
    str reason;    /* of a failure: the provider's code, [a-z_], or empty */
    int64_t amount;
    str currency;  /* ISO 4217, capitals */
    moment made;
};

struct store_order {
    id user;       /* the internal ID */
    id order;      /* also the idempotency key */
    str customer, method;
    str product;
    int64_t amount;
    str currency;
    str proof;     /* made with the link's secret; comes back with each event of the payment */
    bool renewal;
};

struct store_event {
    str id;
    moment made;
    enum store_event_kind {
        EVENT_OTHER, /* not for us */
        EVENT_CARD, EVENT_CARD_GONE, EVENT_CUSTOMER_GONE, EVENT_PAYMENT,
    } kind;
    str customer;  /* of the first three */
    str method, ending, expiry;
    str user, proof; /* of a payment */
    struct store_payment payment;
};

enum { STORE_HISTORY_MAX = 50, STORE_EVENT_MAX = 64 * 1024, STORE_ID_MAX = 100 };

struct store_provider {
    const char *name;
    /* Each fills its out-parameters only with STORE_DONE; *f says why otherwise, without a secret. */
    enum store_answer (*open_customer)(struct store_provider *s, struct arena *a, id user, id once,
                                       str *customer, struct fault *f);
    /* The page where the person gives the provider a card. */
    enum store_answer (*card_page)(struct store_provider *s, struct arena *a, id user, str customer, id once,
                                   const char *language, str done_url, str back_url, str *url,
                                   struct fault *f);
    enum store_answer (*order)(struct store_provider *s, struct arena *a, const struct store_order *o,
                               struct store_payment *out, struct fault *f);
    /* Is an order there? Not found: out->order is empty. */
    enum store_answer (*find)(struct store_provider *s, struct arena *a, str customer, id order,
                              struct store_payment *out, struct fault *f);
    /* All payments of a person, the newest first; at most STORE_HISTORY_MAX. */
    enum store_answer (*history)(struct store_provider *s, struct arena *a, id user,
                                 struct store_payment **out, size_t *n, struct fault *f);
    /* Forgets the customer, with the card. Forgetting what is forgotten is done. */
    enum store_answer (*forget)(struct store_provider *s, struct arena *a, str customer, struct fault *f);
    /* Could our key read a card? Asked of a card that is none. */
    enum store_answer (*probe)(struct store_provider *s, struct arena *a, bool *reads, struct fault *f);
    /* An event as it came, with its signature. ERR_DENIED: not signed by the provider, or not now. ERR_INPUT:
     * signed, and not to be read. */
    enum err (*event)(struct store_provider *s, struct arena *a, str body, str signature, moment now,
                      struct store_event *out, struct fault *f);
    void (*close)(struct store_provider **s);
};

#endif
