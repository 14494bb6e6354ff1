#include "features/factors/webauthn.h"

#include <string.h>

#include <cbor.h>
#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <fido/rs256.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "base/codec.h"
#include "base/json.h"

enum { DEPTH = 4, HEADER = 37, AAGUID = 16, HASH = 32 };

/* authData's flags (WebAuthn §6.1). */
enum { FLAG_UP = 0x01, FLAG_UV = 0x04, FLAG_BE = 0x08, FLAG_BS = 0x10, FLAG_AT = 0x40, FLAG_ED = 0x80 };

/* ---- CBOR ---- */

enum { MAJOR_BYTES = 2, MAJOR_TEXT = 3, MAJOR_ARRAY = 4, MAJOR_MAP = 5, MAJOR_TAG = 6, MAJOR_SIMPLE = 7 };

/* The head of an item: major type and argument, in the shortest form. */
static bool read_item(str *s, int *major, uint64_t *argument)
{
    if (s->n == 0)
        return false;
    unsigned char first = (unsigned char)s->p[0];
    int info = first & 31, width = info < 24 ? 0 : 1 << (info - 24);
    *major = first >> 5;
    if (info > 27 || s->n < 1 + (size_t)width) /* 31: an indefinite length */
        return false;
    *argument = (uint64_t)info;
    if (width > 0) {
        *argument = 0;
        for (int i = 1; i <= width; i++)
            *argument = *argument << 8 | (unsigned char)s->p[i];
        uint64_t least = width == 1 ? 24 : (uint64_t)1 << (width * 4);
        if (*argument < least)
            return false;
    }
    *s = str_skip(*s, 1 + (size_t)width);
    return true;
}

static bool skip_item(str *s, int depth)
{
    int major;
    uint64_t n;
    if (depth > DEPTH || !read_item(s, &major, &n) || major == MAJOR_TAG)
        return false;
    if (major == MAJOR_BYTES || major == MAJOR_TEXT) {
        if (n > s->n)
            return false;
        *s = str_skip(*s, (size_t)n);
        return true;
    }
    if (major == MAJOR_SIMPLE)
        return n >= 20 && n <= 22; /* false, true, null */
    if (major != MAJOR_ARRAY && major != MAJOR_MAP)
        return true;
    if (n > s->n) /* each part has a byte at least */
        return false;
    for (uint64_t i = 0; i < (major == MAJOR_MAP ? 2 * n : n); i++)
        if (!skip_item(s, depth + 1))
            return false;
    return true;
}

enum err webauthn_cbor(str bytes, size_t *used)
{
    str rest = bytes;
    if (!skip_item(&rest, 0))
        return ERR_INPUT;
    *used = bytes.n - rest.n;
    return OK;
}

/* ---- the client's data ---- */

enum err webauthn_client_data(struct arena *a, const struct webauthn_site *site, const char *type,
                              str json, str *challenge, struct fault *f)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (json.n == 0 || json.n > WEBAUTHN_CLIENT_DATA_MAX || json_decode(json, &j, NULL) != OK ||
        !json_is_object(j))
        return FAIL(f, ERR_INPUT, "client data: no JSON object of our size");
    const json_t *cross = json_object_get(j, "crossOrigin");
    if (!str_is(json_get_str(j, "type"), type))
        return FAIL(f, ERR_INPUT, "client data: another type");
    if (!str_eq(json_get_str(j, "origin"), site->origin))
        return FAIL(f, ERR_INPUT, "client data: another origin");
    if ((cross != NULL && !json_is_false(cross)) || json_object_get(j, "topOrigin") != NULL)
        return FAIL(f, ERR_INPUT, "client data: from a page within a page");
    if (base64url_decode(a, json_get_str(j, "challenge"), challenge) != OK ||
        challenge->n != WEBAUTHN_CHALLENGE)
        return FAIL(f, ERR_INPUT, "client data: no challenge of ours");
    return OK;
}

/* ---- the authenticator's data ---- */

struct auth_data {
    unsigned char flags;
    int64_t counter;
    str credential; /* with FLAG_AT */
};

static bool read_credential(str *rest, str *credential)
{
    size_t used;
    if (rest->n < AAGUID + 2)
        return false;
    size_t n = (size_t)((unsigned char)rest->p[AAGUID] << 8 | (unsigned char)rest->p[AAGUID + 1]);
    *rest = str_skip(*rest, AAGUID + 2);
    if (n == 0 || n > WEBAUTHN_CREDENTIAL_MAX || n > rest->n)
        return false;
    *credential = str_head(*rest, n);
    *rest = str_skip(*rest, n);
    if (rest->n == 0 || (unsigned char)rest->p[0] >> 5 != MAJOR_MAP || webauthn_cbor(*rest, &used) != OK)
        return false;
    *rest = str_skip(*rest, used);
    return true;
}

static enum err read_auth_data(const struct webauthn_site *site, str bytes, bool attested,
                               struct auth_data *out, struct fault *f)
{
    unsigned char rp[HASH];
    struct auth_data d = {0};
    size_t used;
    if (bytes.n < HEADER || bytes.n > WEBAUTHN_AUTH_DATA_MAX)
        return FAIL(f, ERR_INPUT, "authenticator data: not of our size");
    crypto_hash_sha256(rp, (const unsigned char *)site->rp_id.p, site->rp_id.n);
    if (sodium_memcmp(rp, bytes.p, HASH) != 0)
        return FAIL(f, ERR_INPUT, "authenticator data: for another site");
    const unsigned char *u = (const unsigned char *)bytes.p;
    d.flags = u[HASH];
    d.counter = (int64_t)u[33] << 24 | (int64_t)u[34] << 16 | (int64_t)u[35] << 8 | u[36];
    if (!(d.flags & FLAG_UP))
        return FAIL(f, ERR_INPUT, "authenticator data: nobody was there");
    if ((d.flags & FLAG_BS) && !(d.flags & FLAG_BE))
        return FAIL(f, ERR_INPUT, "authenticator data: backed up, and cannot be");
    if (!!(d.flags & FLAG_AT) != attested)
        return FAIL(f, ERR_INPUT, "authenticator data: %s key", attested ? "without a" : "with a");
    str rest = str_skip(bytes, HEADER);
    if (attested && !read_credential(&rest, &d.credential))
        return FAIL(f, ERR_INPUT, "authenticator data: a key that is none");
    if (d.flags & FLAG_ED) {
        if (rest.n == 0 || (unsigned char)rest.p[0] >> 5 != MAJOR_MAP || webauthn_cbor(rest, &used) != OK)
            return FAIL(f, ERR_INPUT, "authenticator data: extensions that are none");
        rest = str_skip(rest, used);
    }
    if (rest.n > 0)
        return FAIL(f, ERR_INPUT, "authenticator data: something after its end");
    *out = d;
    return OK;
}

static void sha256(str bytes, unsigned char out[HASH])
{
    crypto_hash_sha256(out, (const unsigned char *)bytes.p, bytes.n);
}

/* ---- registering ---- */

struct statement {
    str format, auth_data, signature;
    int64_t algorithm;
    bool empty, chained; /* chained: it has certificates */
};

static bool is_key(const cbor_item_t *k, const char *name)
{
    return cbor_isa_string(k) && cbor_string_is_definite(k) &&
           str_is(str_of(cbor_string_handle(k), cbor_string_length(k)), name);
}

static bool take_bytes(struct arena *a, const cbor_item_t *v, str *out)
{
    if (!cbor_isa_bytestring(v) || !cbor_bytestring_is_definite(v))
        return false;
    *out = str_dup(a, str_of(cbor_bytestring_handle(v), cbor_bytestring_length(v)));
    return true;
}

static bool read_statement(struct arena *a, const cbor_item_t *map, struct statement *out)
{
    if (!cbor_isa_map(map))
        return false;
    out->empty = cbor_map_size(map) == 0;
    const struct cbor_pair *pairs = cbor_map_handle(map);
    for (size_t i = 0; i < cbor_map_size(map); i++) {
        const cbor_item_t *v = pairs[i].value;
        if (is_key(pairs[i].key, "x5c"))
            out->chained = true;
        else if (is_key(pairs[i].key, "sig") && !take_bytes(a, v, &out->signature))
            return false;
        else if (is_key(pairs[i].key, "alg")) {
            if (!cbor_is_int(v))
                return false;
            int64_t n = (int64_t)(cbor_get_int(v) & INT64_MAX);
            out->algorithm = cbor_isa_negint(v) ? -1 - n : n;
        }
    }
    return true;
}

static bool read_members(struct arena *a, const cbor_item_t *root, struct statement *out)
{
    if (!cbor_isa_map(root) || cbor_map_size(root) != 3)
        return false;
    const struct cbor_pair *pairs = cbor_map_handle(root);
    bool statement = false;
    for (size_t i = 0; i < 3; i++) {
        const cbor_item_t *v = pairs[i].value;
        if (is_key(pairs[i].key, "fmt") && cbor_isa_string(v))
            out->format = str_dup(a, str_of(cbor_string_handle(v), cbor_string_length(v)));
        else if (is_key(pairs[i].key, "authData") && !take_bytes(a, v, &out->auth_data))
            return false;
        else if (is_key(pairs[i].key, "attStmt"))
            statement = read_statement(a, v, out);
    }
    return statement && out->format.n > 0 && out->auth_data.n > 0;
}

static enum err read_attestation(struct arena *a, str bytes, struct statement *out, struct fault *f)
{
    struct statement s = {0};
    struct cbor_load_result result;
    size_t used;
    if (bytes.n == 0 || bytes.n > WEBAUTHN_ATTESTATION_MAX || webauthn_cbor(bytes, &used) != OK ||
        used != bytes.n)
        return FAIL(f, ERR_INPUT, "attestation: no CBOR of our form and size");
    cbor_item_t *root = cbor_load((cbor_data)bytes.p, bytes.n, &result);
    bool fine = root != NULL && read_members(a, root, &s);
    if (root)
        cbor_decref(&root);
    if (!fine)
        return FAIL(f, ERR_INPUT, "attestation: not its three members");
    *out = s;
    return OK;
}

/* libfido2 finds the key where its algorithm is the one that is asked for. */
static fido_cred_t *credential_of(int algorithm, const struct webauthn_site *site,
                                  const unsigned char hash[HASH], const struct statement *s)
{
    fido_cred_t *c = fido_cred_new();
    char rp[256];
    if (c == NULL || site->rp_id.n >= sizeof rp) {
        fido_cred_free(&c);
        return NULL;
    }
    memcpy(rp, site->rp_id.p, site->rp_id.n);
    rp[site->rp_id.n] = '\0';
    if (fido_cred_set_type(c, algorithm) != FIDO_OK || fido_cred_set_clientdata_hash(c, hash, HASH) != FIDO_OK ||
        fido_cred_set_rp(c, rp, NULL) != FIDO_OK || fido_cred_set_fmt(c, "packed") != FIDO_OK ||
        fido_cred_set_authdata_raw(c, (const unsigned char *)s->auth_data.p, s->auth_data.n) != FIDO_OK)
        fido_cred_free(&c);
    return c;
}

/* A key as libfido2 wants it: one of the three. */
struct public_key {
    es256_pk_t *es256;
    rs256_pk_t *rs256;
    eddsa_pk_t *eddsa;
};

static void public_key_free(struct public_key *k)
{
    es256_pk_free(&k->es256);
    rs256_pk_free(&k->rs256);
    eddsa_pk_free(&k->eddsa);
}

static const void *public_key_of(int64_t algorithm, str key, struct public_key *k)
{
    if (algorithm == WEBAUTHN_ES256 && (k->es256 = es256_pk_new()) != NULL &&
        es256_pk_from_ptr(k->es256, key.p, key.n) == FIDO_OK)
        return k->es256;
    if (algorithm == WEBAUTHN_RS256 && (k->rs256 = rs256_pk_new()) != NULL &&
        rs256_pk_from_ptr(k->rs256, key.p, key.n) == FIDO_OK)
        return k->rs256;
    /* A point outside the main subgroup would let signatures through that nobody made. */
    if (algorithm == WEBAUTHN_EDDSA &&
        (key.n != crypto_core_ed25519_BYTES || crypto_core_ed25519_is_valid_point((const unsigned char *)key.p) != 1))
        return NULL;
    if (algorithm == WEBAUTHN_EDDSA && (k->eddsa = eddsa_pk_new()) != NULL &&
        eddsa_pk_from_ptr(k->eddsa, key.p, key.n) == FIDO_OK)
        return k->eddsa;
    return NULL;
}

/* Is it a key of that algorithm (a point on the curve, 2048 bits …)? */
static bool key_usable(int64_t algorithm, str key)
{
    CLEANUP(public_key_free) struct public_key k = {0};
    if (public_key_of(algorithm, key, &k) == NULL)
        return false;
    EVP_PKEY *pkey = k.es256   ? es256_pk_to_EVP_PKEY(k.es256)
                     : k.rs256 ? rs256_pk_to_EVP_PKEY(k.rs256)
                               : eddsa_pk_to_EVP_PKEY(k.eddsa);
    EVP_PKEY_free(pkey);
    return pkey != NULL;
}

/* Signed by the new key itself: then that must be true. */
static bool statement_right(fido_cred_t *c, const struct statement *s, int64_t algorithm)
{
    if (str_is(s->format, "none"))
        return s->empty;
    return str_is(s->format, "packed") && !s->chained && s->algorithm == algorithm && s->signature.n > 0 &&
           s->signature.n <= WEBAUTHN_SIGNATURE_MAX &&
           fido_cred_set_sig(c, (const unsigned char *)s->signature.p, s->signature.n) == FIDO_OK &&
           fido_cred_verify_self(c) == FIDO_OK;
}

enum err webauthn_register(struct arena *a, const struct webauthn_site *site, str client_data,
                           str attestation, struct webauthn_key *out, struct fault *f)
{
    static const int algorithms[] = {WEBAUTHN_ES256, WEBAUTHN_EDDSA, WEBAUTHN_RS256};
    struct statement s;
    struct auth_data d;
    unsigned char hash[HASH];
    TRY(read_attestation(a, attestation, &s, f));
    TRY(read_auth_data(site, s.auth_data, true, &d, f));
    sha256(client_data, hash);
    fido_cred_t *c = NULL;
    struct webauthn_key k = {.credential = d.credential, .counter = d.counter};
    for (size_t i = 0; i < COUNT(algorithms) && c == NULL; i++) {
        c = credential_of(algorithms[i], site, hash, &s);
        k.algorithm = algorithms[i];
    }
    if (c == NULL)
        return FAIL(f, ERR_INPUT, "attestation: a key of no algorithm that we take");
    k.public_key = str_dup(a, str_of(fido_cred_pubkey_ptr(c), fido_cred_pubkey_len(c)));
    bool usable = key_usable(k.algorithm, k.public_key), right = usable && statement_right(c, &s, k.algorithm);
    fido_cred_free(&c);
    if (!usable)
        return FAIL(f, ERR_INPUT, "attestation: a key that cannot be one");
    if (!right)
        return FAIL(f, ERR_INPUT, "attestation: neither none nor its own");
    *out = k;
    return OK;
}

/* ---- signing in ---- */

static int verify_with(fido_assert_t *t, const struct webauthn_key *k)
{
    CLEANUP(public_key_free) struct public_key own = {0};
    const void *key = public_key_of(k->algorithm, k->public_key, &own);
    return key ? fido_assert_verify(t, 0, (int)k->algorithm, key) : FIDO_ERR_INVALID_ARGUMENT;
}

static int verify(const char *rp, const unsigned char hash[HASH], const struct webauthn_key *k,
                  const struct webauthn_answer *x, bool verified)
{
    fido_assert_t *t = fido_assert_new();
    if (t == NULL)
        return FIDO_ERR_INTERNAL;
    int r = fido_assert_set_clientdata_hash(t, hash, HASH);
    if (r == FIDO_OK)
        r = fido_assert_set_rp(t, rp);
    if (r == FIDO_OK)
        r = fido_assert_set_count(t, 1);
    if (r == FIDO_OK)
        r = fido_assert_set_up(t, FIDO_OPT_TRUE);
    if (r == FIDO_OK)
        r = fido_assert_set_uv(t, verified ? FIDO_OPT_TRUE : FIDO_OPT_OMIT);
    if (r == FIDO_OK)
        r = fido_assert_set_authdata_raw(t, 0, (const unsigned char *)x->auth_data.p, x->auth_data.n);
    if (r == FIDO_OK)
        r = fido_assert_set_sig(t, 0, (const unsigned char *)x->signature.p, x->signature.n);
    if (r == FIDO_OK)
        r = verify_with(t, k);
    fido_assert_free(&t);
    return r;
}

enum err webauthn_assert(const struct webauthn_site *site, const struct webauthn_key *key,
                         const struct webauthn_answer *answer, bool verified, int64_t *counter,
                         struct fault *f)
{
    struct auth_data d;
    unsigned char hash[HASH];
    char rp[256];
    TRY(read_auth_data(site, answer->auth_data, false, &d, f));
    if (answer->signature.n == 0 || answer->signature.n > WEBAUTHN_SIGNATURE_MAX || site->rp_id.n >= sizeof rp)
        return FAIL(f, ERR_INPUT, "assertion: a signature of no size");
    if (verified && !(d.flags & FLAG_UV))
        return FAIL(f, ERR_INPUT, "assertion: the person was not verified");
    memcpy(rp, site->rp_id.p, site->rp_id.n);
    rp[site->rp_id.n] = '\0';
    sha256(answer->client_data, hash);
    int r = verify(rp, hash, key, answer, verified);
    if (r != FIDO_OK)
        return FAIL(f, ERR_DENIED, "assertion: libfido2 says %d", r);
    *counter = d.counter;
    return OK;
}
