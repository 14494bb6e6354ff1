/*
 * Inside factors: WebAuthn Level 2, the relying party's part, without a store. What comes in is
 * foreign to the last byte: sizes are capped, CBOR is walked by a strict scanner before any library
 * sees it (CTAP2 canonical form: definite lengths, little depth, nothing after the end), and libfido2
 * checks the signatures.
 *
 * Errors: ERR_INPUT, with the reason in the fault; for the log, not for people.
 */
#ifndef FEATURES_FACTORS_WEBAUTHN_H
#define FEATURES_FACTORS_WEBAUTHN_H

#include "base/str.h"

enum {
    WEBAUTHN_CHALLENGE = 32,
    WEBAUTHN_CLIENT_DATA_MAX = 2048,
    WEBAUTHN_AUTH_DATA_MAX = 2048,
    WEBAUTHN_ATTESTATION_MAX = 4096,
    WEBAUTHN_SIGNATURE_MAX = 512,
    WEBAUTHN_CREDENTIAL_MAX = 1023,
};

/* COSE's numbers of the algorithms that are taken. */
enum { WEBAUTHN_ES256 = -7, WEBAUTHN_EDDSA = -8, WEBAUTHN_RS256 = -257 };

struct webauthn_site {
    str rp_id;  /* "portal.example.com" */
    str origin; /* "https://portal.example.com" */
};

#define WEBAUTHN_CREATE "webauthn.create"
#define WEBAUTHN_GET    "webauthn.get"

/* Checks type, origin and crossOrigin; *challenge is what the browser was asked with, to be compared
 * by the caller. */
CHECKED enum err webauthn_client_data(struct arena *a, const struct webauthn_site *site,
                                      const char *type, str json, str *challenge, struct fault *f);

struct webauthn_key {
    str credential;  /* its ID */
    int64_t algorithm;
    str public_key;  /* as libfido2 has it: x‖y, n‖e, or 32 bytes */
    int64_t counter; /* 0: the authenticator counts nothing */
};

/* The public key of an attestation object. Attestation is "none": who made the authenticator is not asked;
 * a statement that it signed itself ("packed" without certificates) is checked, others are refused. */
CHECKED enum err webauthn_register(struct arena *a, const struct webauthn_site *site,
                                   str client_data, str attestation, struct webauthn_key *out,
                                   struct fault *f);

struct webauthn_answer {
    str client_data, auth_data, signature;
};
/* ERR_DENIED: well-formed, and the signature is not this key's. `verified` asks for the person
 * to have been verified (PIN, fingerprint), not only present. *counter is the authenticator's. */
CHECKED enum err webauthn_assert(const struct webauthn_site *site, const struct webauthn_key *key,
                                 const struct webauthn_answer *answer, bool verified,
                                 int64_t *counter, struct fault *f);

/* One CBOR item at the beginning of `bytes`, in the strict form; *used is its length. */
CHECKED enum err webauthn_cbor(str bytes, size_t *used);

#endif
