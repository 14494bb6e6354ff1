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
    str receipt;   /* WPF-28: Google Play: the order's ID; App Store: the original transaction's */
    str token;     /* WPF-29: Google Play: the purchase token; App Store: the transaction's ID. Two of the same
                    * are one */
    str signature; /* WPF-30: Google Play: base64 of the signed JSON, ".", base64 of its RSA signature (standard
                    * base64 with padding); App Store: the JWS as it came. 16 KiB */
    str status;    /* WPF-31: purchased, pending, refunded */
};

#define PURCHASE_ERROR_FORGED  "purchase-signature-wrong"
#define PURCHASE_ERROR_OTHER   "purchase-data-differs"  /* what was said is not what was signed */
#define PURCHASE_ERROR_ITEM    "purchase-unknown-item"
#define PURCHASE_ERROR_TAKEN   "purchase-in-another-account"
#define PURCHASE_ERROR_PENDING "purchase-not-paid"
#define PURCHASE_ERROR_FUTURE  "purchase-in-the-future"
#define PURCHASE_ERROR_REFUNDED "purchase-refunded"     /* and handed over as if it were not */
#define PURCHASE_ERROR_JOIN     "not-enrolled"          /* in My Account */

/*
 * Checks the signature with the store's key and makes a license of it, once: handing it over again
 * answers the same license. A refund, signed likewise, revokes it, and answers it. What is said must be what is
 * signed: item, package, receipt, token, status, and the moment to the second. *why where it is refused:
 *
 *   ERR_DENIED    FORGED, PENDING, REFUNDED, JOIN
 *   ERR_INPUT     OTHER, ITEM (the catalogue sells no such thing), FUTURE
 *   ERR_CONFLICT  TAKEN: another account has it
 *
 * Whom to believe stands in the file of the setting `app_stores`; without it, everything is FORGED. *why is
 * untouched by failures of the machine. A write transaction.
 */
CHECKED enum err purchase_hand_over(struct tx *tx, struct portal *p, account_id which,
                                    const struct key *k, const struct store_purchase *s,
                                    license_id *out, const char **why);

/* Is a card linked, so that the license can renew by itself? */
CHECKED enum err purchase_can_renew(struct tx *tx, account_id which, bool *yes);
/* Orders the renewal of a license at the store (a job calls this once for each term, and again where it was
 * cut off): the mandate is the person's own act (MYA-32). The license has its further term when it answers
 * OK. Hold no transaction. ERR_BUSY: the store is away; the same order is sent again. ERR_DENIED: the card was
 * declined, or there is none, or the license does not renew any more: this order is over. */
CHECKED enum err purchase_renew(struct portal *p, account_id which, license_id license, str mandate,
                                struct arena *a, struct fault *f);

/* NULL: it can be read; otherwise what it should look like: https://KEY@HOST. http:// is for this machine only. */
const char *store_wrong_target(struct arena *a, str target);
/* The same of the secret that the store signs its events with: whsec_…, or file:PATH. */
const char *store_wrong_secret(struct arena *a, str secret);

#endif
