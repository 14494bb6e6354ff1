/*
 * What app stores sign: Google Play's purchase data and the App Store's transactions. No database: the
 * signature is checked over the bytes as they came, before anything in them is read, and only what is
 * named below is read at all.
 *
 * Sources: Google Play's INAPP_PURCHASE_DATA and INAPP_DATA_SIGNATURE (RSASSA-PKCS1-v1_5; SHA-1, and
 * SHA-256 where that was used); Apple's JWSTransaction (JWS compact, ES256, x5c of three certificates;
 * the checks of Apple's own library), RFC 7515, RFC 5280.
 *
 * Neither store is asked over the network: a refund is known when it is handed over, signed likewise. Apple's
 * certificates are not asked for revocation (OCSP) for the same reason.
 */
#ifndef FEATURES_PURCHASES_APPS_H
#define FEATURES_PURCHASES_APPS_H

#include "base/clock.h"
#include "base/str.h"
#include "text/template.h"

enum { SIGNED_MAX = 16 * 1024, /* bytes of what is signed, as it comes */
       PLAY_KEYS_MAX = 16, BUNDLES_MAX = 16, PURCHASE_WORD_MAX = 200, PURCHASE_TOKEN_MAX = 1000 };

struct play_key {
    str package;
    str key; /* DER: SubjectPublicKeyInfo, RSA of 2048 bits at least */
};

/* Whom to believe; from a file of the operator's. */
struct app_stores {
    struct play_key play[PLAY_KEYS_MAX];
    size_t n_play;
    str root; /* DER: the certificate that the App Store's chain must end in; empty: no purchases from there */
    str bundles[BUNDLES_MAX];
    size_t n_bundles;
    bool sandbox; /* take the App Store's test purchases as well */
};
/* The file: docs/configuration.md. ERR_INPUT with its line. */
CHECKED enum err app_stores_read(struct arena *a, str text, const char *dir, struct app_stores *out,
                                 struct fault *f);

enum signed_state { SIGNED_PAID, SIGNED_PENDING, SIGNED_REFUNDED };

struct signed_purchase {
    str item, package;
    str receipt; /* Play: the order's ID; App Store: the original transaction's */
    str token;   /* Play: the purchase token; App Store: the transaction's ID */
    moment bought;
    enum signed_state state;
};

/* "BASE64.BASE64": the data and its signature. ERR_DENIED: not signed by the key of the package that it
 * names, or not a purchase. */
CHECKED enum err play_verify(const struct app_stores *s, struct arena *a, str text,
                             struct signed_purchase *out, struct fault *f);
/* Three parts with dots. ERR_DENIED likewise; `now` bounds the moment of signing. */
CHECKED enum err jws_verify(const struct app_stores *s, struct arena *a, str text, moment now,
                            struct signed_purchase *out, struct fault *f);
/* Whichever of the two it is. */
CHECKED enum err signed_verify(const struct app_stores *s, struct arena *a, str text, moment now,
                               struct signed_purchase *out, struct fault *f);

/* What they say, once it is known who says so; for the two above, and for the fuzzer. */
CHECKED enum err play_read(struct arena *a, str data, struct signed_purchase *out, struct fault *f);
CHECKED enum err jws_read(const struct app_stores *s, str payload, struct signed_purchase *out,
                          moment *signed_at, struct arena *a, struct fault *f);

/* Standard base64 (RFC 4648), with its padding, nothing else in it. */
CHECKED enum err base64_decode(struct arena *a, str s, str *out);

#endif
