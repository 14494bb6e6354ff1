/* Inside the adapter: what is read of Stripe's objects. */
#ifndef FEATURES_PURCHASES_STRIPE_READ_H
#define FEATURES_PURCHASES_STRIPE_READ_H

#include "base/json.h"
#include "features/purchases/provider.h"

/* Letters, digits and _, beginning so, STORE_ID_MAX at most. */
bool stripe_id_ok(str s, const char *prefix);

/* A PaymentIntent; false where it is none. What it has of a card is not looked at. */
bool stripe_payment(struct arena *a, const json_t *j, struct store_payment *out);

#endif
