/*
 * Purchases (spec MYA-26 to MYA-35, MYA-47, WPS-23): the store provider, which keeps the cards and takes
 * the money, and purchases that apps hand over from app stores. What other features may call.
 */
#ifndef FEATURES_PURCHASES_H
#define FEATURES_PURCHASES_H

#include "features/licenses/licenses.h"

/* A purchase in an app store as an app hands it over: WPF-25 to WPF-31. */
struct store_purchase {
    str item;      /* WPF-25 */
    moment bought; /* WPF-26 */
    str package;   /* WPF-27 */
    str receipt;   /* WPF-28 */
    str token;     /* WPF-29: two of the same are one */
    str signature; /* WPF-30: Google Play: base64 of the signed JSON, ".", base64 of its RSA signature;
                    * App Store: the JWS as it came */
    str status;    /* WPF-31: purchased, pending, refunded */
};

#define PURCHASE_ERROR_FORGED  "purchase-signature-wrong"
#define PURCHASE_ERROR_OTHER   "purchase-data-differs"  /* what was said is not what was signed */
#define PURCHASE_ERROR_ITEM    "purchase-unknown-item"
#define PURCHASE_ERROR_TAKEN   "purchase-in-another-account"
#define PURCHASE_ERROR_PENDING "purchase-not-paid"
#define PURCHASE_ERROR_FUTURE  "purchase-in-the-future"

/*
 * Checks the signature with the store's key and makes a license of it, once: handing it over again
 * answers the same license. A refund, signed likewise, revokes it. *why where it is refused (ERR_DENIED,
 * ERR_CONFLICT, ERR_INPUT).
 */
CHECKED enum err purchase_hand_over(struct tx *tx, struct portal *p, account_id which,
                                    const struct key *k, const struct store_purchase *s,
                                    license_id *out, const char **why);

/* Is a card linked, so that the license can renew by itself? */
CHECKED enum err purchase_can_renew(struct tx *tx, account_id which, bool *yes);
/* Orders the renewal of a license at the store (a job calls this once for each term): the mandate is
 * the person's own act (MYA-32). ERR_BUSY: the store is away; the same order is sent again. */
CHECKED enum err purchase_renew(struct portal *p, account_id which, license_id license, str mandate,
                                struct arena *a, struct fault *f);

#endif
