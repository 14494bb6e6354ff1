/*
 * Licenses (spec MYA-42 to MYA-50, WPS-21, WPS-22): activation codes, what they grant, on which devices,
 * until when. What other features may call.
 *
 * A code is five groups of five ("ABCDE-…", 25 characters of an alphabet without look-alikes): product
 * lot, 95 random bits, and check characters, so that a slip is told from an unknown code without asking
 * anybody (license_code_check). It is stored as a keyed hash; sealed with its owner's key from the
 * moment that somebody has added it.
 */
#ifndef FEATURES_LICENSES_H
#define FEATURES_LICENSES_H

#include "features/account/account.h"

ID_TYPE(license_id);

enum { LICENSE_CODE_LENGTH = 25, LICENSE_CODE_TEXT = 29 };

/* ---- the catalogue (a file of the operator's; the demo's where there is none) ---- */

struct product {
    str key;          /* "total-security" */
    struct texts name;
    str edition;      /* "standard", "family", "office" … */
    str application;  /* the application ID that it is for (WPF-17) */
    struct term term; /* how long a license lasts from its activation */
    struct term grace;
    int64_t devices;  /* how many at a time */
    const str *features;
    size_t n_features;
    bool trial;
    int64_t price;    /* in the currency's smallest unit; 0: not sold here */
    str currency;
    str price_text;   /* as the file has it: "499.00 SEK" */
    str store_item;   /* its name in app stores (WPF-25); or empty */
};
/* Name in the reader's language. */
str product_name(const struct product *p, const struct locale *l);
/* The same by key; the key itself where the catalogue has it no more. */
str product_title(const struct portal *p, str key, const struct locale *l);
/* NULL: no such product. */
const struct product *product_named(const struct portal *p, str key);
const struct product *product_of_store_item(const struct portal *p, str item);
const struct product *product_list(const struct portal *p, size_t *n);

/* ---- codes ---- */

enum code_shape { CODE_FINE, CODE_SLIP, CODE_MALFORMED };
/* Blanks, dashes and case do not count; `out` is the plain 25. CODE_SLIP: a character is wrong. */
enum code_shape license_code_check(str typed, char out[LICENSE_CODE_LENGTH]);

str license_code_text(struct arena *a, str plain); /* in groups of five */

/* Why a code was refused; for ERR_INPUT, ERR_NOT_FOUND, ERR_CONFLICT, ERR_DENIED. Stable in the API. */
#define CODE_ERROR_MALFORMED "code-malformed"
#define CODE_ERROR_SLIP      "code-mistyped"
#define CODE_ERROR_UNKNOWN   "code-unknown"
#define CODE_ERROR_TAKEN     "code-in-another-account" /* MYA-50 */
#define CODE_ERROR_MINE      "code-added-already"
#define CODE_ERROR_REVOKED   "code-revoked"
#define CODE_ERROR_TOO_OFTEN "too-many-codes"
#define LICENSE_ERROR_FULL     "device-limit-reached"
#define LICENSE_ERROR_COOLING  "license-moved-lately"
#define LICENSE_ERROR_OVER     "license-expired"
#define LICENSE_ERROR_PRODUCT  "other-product"
#define LICENSE_ERROR_JOIN     "not-enrolled" /* in My Account */

struct license {
    license_id id;
    str product, origin; /* origin: code, purchase, store, trial */
    str state;           /* new, active, grace, expired, revoked */
    moment added, activated, expires; /* activated, expires 0: not yet used */
    moment last;                      /* until when it works on: the end of its grace; 0 likewise */
    int64_t devices, used;            /* how many it allows, how many use it */
    bool renews;                      /* the person has switched on automatic renewal */
    str code;                         /* opened; empty where there was none, or without a key */
};

/* Adds a code to the account (MYA-42). *why is one of the above where it is refused; with CODE_ERROR_MINE
 * *out is the license that the account has of it. Tries are counted and limited in a transaction of their
 * own; hold no other. An app that sends a code wants both: this, then license_bind(). */
CHECKED enum err license_redeem(struct portal *p, account_id which, const struct key *k, str typed,
                                struct arena *a, license_id *out, const char **why, struct fault *f);
/* A license without a code: bought, from an app store, a trial. ERR_CONFLICT: that trial was had (one for
 * each product and account); ERR_DENIED: not enrolled in My Account. */
CHECKED enum err license_grant(struct tx *tx, struct portal *p, account_id which, const struct key *k,
                               const struct product *product, const char *origin, license_id *out);
/* Ends one for good (refund, misuse); its devices hear of it. */
CHECKED enum err license_revoke(struct tx *tx, struct portal *p, account_id which, license_id license);
/* A further term, from the end of the present one, or from now where that has passed. ERR_CONFLICT: it is
 * revoked, or not yet activated. */
CHECKED enum err license_renew(struct tx *tx, struct portal *p, account_id which, license_id license,
                               moment *expires);

CHECKED enum err license_list(struct tx *tx, struct portal *p, account_id which, const struct key *k,
                              struct license **out, size_t *n);
/* Those that have a seat on the device. */
CHECKED enum err license_list_on(struct tx *tx, struct portal *p, account_id which, id device,
                                 struct license **out, size_t *n);
CHECKED enum err license_get(struct tx *tx, struct portal *p, account_id which, license_id license,
                             const struct key *k, struct license *out);

/* ---- on devices (MYA-43). A device is its ID: this feature does not know more of it. ---- */

/* A seat on the device; the first activates the license. *why where it is refused (ERR_CONFLICT,
 * ERR_DENIED, ERR_INPUT). A device that has a seat for the application by another license of the account's
 * moves over: that seat is free at once. Again for the same device: nothing. */
CHECKED enum err license_bind(struct tx *tx, struct portal *p, account_id which, license_id license,
                              id device, str application, const char **why);
/* The seat is free again; after LICENSE_COOLING another device can have it. */
#define LICENSE_COOLING (1 * MOMENT_DAY)
CHECKED enum err license_unbind(struct tx *tx, struct portal *p, account_id which, license_id license,
                                id device);
/* All seats of a device that was disconnected. */
CHECKED enum err license_forget_device(struct tx *tx, struct portal *p, account_id which, id device);
/* The device was heard of (heartbeat): its seat is in use. Written at most once an hour. */
CHECKED enum err license_seen(struct tx *tx, struct portal *p, account_id which, id device);

/* What the portal tells a device of its license: the six leaves, {type, status, service_information,
 * activation_error, expires, features}; of type "none" where it has no seat. */
CHECKED enum err license_leaves(struct tx *tx, struct portal *p, account_id which, id device,
                                str application, json_t *out);
/* Codes that this device is to activate: those of the account's that its owner has sent to it. */
CHECKED enum err license_codes_for(struct tx *tx, struct portal *p, account_id which,
                                   const struct key *k, id device, str **codes, size_t *n);

/* The seat of a device for an application. ERR_NOT_FOUND. */
CHECKED enum err license_of_device(struct tx *tx, account_id which, id device, str application,
                                   license_id *out);

/* A signed license file for offline use (Ed25519; docs/license-file.md): bytes to save as a file. A write
 * transaction: it notes until when the file is good. ERR_NOT_FOUND: no seat; ERR_DENIED: it is over. */
CHECKED enum err license_file(struct tx *tx, struct portal *p, account_id which, license_id license,
                              id device, struct arena *a, str *out);
/* The signed list of seats whose files are void before their time. It makes the first key where there is
 * none: a write transaction. */
CHECKED enum err license_revocations(struct tx *tx, struct portal *p, struct arena *a, str *out);
/* {"keys": […]}: a JWK Set (RFC 7517), public keys that sign, will sign, or have signed what is good. */
CHECKED enum err license_keys(struct tx *tx, struct portal *p, json_t *out);

/* ---- lots of codes: for the desk and the commands ---- */

enum { LOT_LENGTH = 4, LOT_CODES_MAX = 100000, LOT_NOTE_MAX = 100 };

/* What was agreed when it was issued; a changed catalogue changes no code. */
struct lot {
    str lot, product, application, note, issuer;
    struct term term, grace;
    int64_t devices, codes;
    moment made, revoked;
};
bool lot_ok(str text); /* the four characters that a lot's codes begin with */
/* Makes `n` codes of the product. *codes are n times LICENSE_CODE_LENGTH characters, which nobody can read
 * again later. ERR_LIMIT: more than LOT_CODES_MAX, or none; ERR_INPUT: the note is too long or no line. */
CHECKED enum err lot_issue(struct portal *p, const struct product *product, int64_t n, str note, str issuer,
                           struct arena *a, struct lot *out, char **codes, struct fault *f);
/* No code of it can be added from now on; a job revokes the licenses that were made of them. ERR_NOT_FOUND. */
CHECKED enum err lot_revoke(struct tx *tx, struct portal *p, str lot);
/* One code, and the license that was made of it. ERR_NOT_FOUND. */
CHECKED enum err code_revoke(struct tx *tx, struct portal *p, const char code[LICENSE_CODE_LENGTH]);

#endif
