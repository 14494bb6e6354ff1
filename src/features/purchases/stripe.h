/*
 * Stripe (https://docs.stripe.com/api, API version STRIPE_VERSION): the one store provider that there is.
 *
 *   POST   /v1/customers                     metadata[user]: the internal ID, nothing else
 *   POST   /v1/checkout/sessions             mode=setup: the hosted page where a card is given
 *   POST   /v1/payment_intents               off_session, confirm; Idempotency-Key: the order's ID
 *   GET    /v1/payment_intents?customer=     is an order there?
 *   GET    /v1/payment_intents/search        the history, by metadata['user']
 *   DELETE /v1/customers/ID                  forgets customer and card
 *   GET    /v1/payment_methods/ID            of a card that is none: 403 is right (MYA-31)
 *
 * The key is a restricted one (rk_…): customers, checkout sessions and payment intents may be written, all
 * else nothing; decision 0038 says what that holds and what it does not.
 */
#ifndef FEATURES_PURCHASES_STRIPE_H
#define FEATURES_PURCHASES_STRIPE_H

#include "features/purchases/provider.h"

#define STRIPE_VERSION "2024-06-20"

struct stripe_config {
    str target;  /* https://KEY@HOST[:PORT] */
    str secret;  /* whsec_…; several with blanks while it is rolled; empty: no event is believed */
    const char *ca_file; /* NULL: the system's */
    int timeout_ms;      /* 0: 20 s */
};
/* ERR_INPUT as store_wrong_target() has it. */
CHECKED enum err stripe_open(struct store_provider **out, const struct stripe_config *config, struct fault *f);

/* ---- for the above, and for tests and the fuzzer ---- */

#define STRIPE_TOLERANCE (300 * MOMENT_SECOND)

/* Is the header's signature (t=…,v1=…) made with one of the secrets, over this body, within the tolerance? Any of
 * its v1 may be right; other schemes do not count. ERR_DENIED. */
CHECKED enum err stripe_signature(str secrets, str header, str body, moment now, struct fault *f);
/* Reads what is signed; drops all of it but what struct store_event has. ERR_INPUT. */
CHECKED enum err stripe_event(struct arena *a, str body, struct store_event *out, struct fault *f);

#endif
