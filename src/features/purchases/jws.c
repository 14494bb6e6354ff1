/* What the App Store signs: a JWS (RFC 7515) whose certificates must lead to the root that is configured. */
#include "features/purchases/apps.h"

#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/codec.h"
#include "base/json.h"

/* Apple's marks: on the certificate that signs receipts, and on the authority that issued it. */
#define OID_LEAF         "1.2.840.113635.100.6.11.1"
#define OID_INTERMEDIATE "1.2.840.113635.100.6.2.1"

enum { CHAIN = 3, SIGNATURE_BYTES = 64, HALF = SIGNATURE_BYTES / 2 };
#define SIGNED_AHEAD (5 * MOMENT_MINUTE) /* clocks differ */

/* ---- the payload ---- */

static bool word_ok(str s)
{
    return s.n > 0 && s.n <= PURCHASE_WORD_MAX && utf8_is_line(s);
}

static bool in_ms(const json_t *j, const char *name, moment *out)
{
    const json_t *v = json_object_get(j, name);
    if (!json_is_integer(v) || json_integer_value(v) <= 0 || json_integer_value(v) > INT64_MAX / 1000)
        return false;
    *out = json_integer_value(v) * 1000;
    return true;
}

static bool bundle_known(const struct app_stores *s, str bundle)
{
    for (size_t i = 0; i < s->n_bundles; i++)
        if (str_eq(s->bundles[i], bundle))
            return true;
    return false;
}

enum err jws_read(const struct app_stores *s, str payload, struct signed_purchase *out, moment *signed_at,
                  struct arena *a, struct fault *f)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (json_decode(payload, &j, NULL) != OK || !json_is_object(j))
        return FAIL(f, ERR_DENIED, "a signed transaction is no JSON object");
    str environment = json_get_str(j, "environment"), original = json_get_str(j, "originalTransactionId");
    struct signed_purchase p = {.item = str_dup(a, json_get_str(j, "productId")),
                                .package = str_dup(a, json_get_str(j, "bundleId")),
                                .token = str_dup(a, json_get_str(j, "transactionId"))};
    p.receipt = original.n ? str_dup(a, original) : p.token;
    moment revoked;
    if (!word_ok(p.item) || !word_ok(p.package) || !word_ok(p.token) || !word_ok(p.receipt) ||
        !in_ms(j, "purchaseDate", &p.bought) || !in_ms(j, "signedDate", signed_at))
        return FAIL(f, ERR_DENIED, "a signed transaction lacks what a purchase has");
    /* Xcode and LocalTesting are signed by whoever runs them. */
    if (!str_is(environment, "Production") && !(s->sandbox && str_is(environment, "Sandbox")))
        return FAIL(f, ERR_DENIED, "a signed transaction from an environment that is not taken");
    if (!bundle_known(s, p.package))
        return FAIL(f, ERR_DENIED, "a signed transaction of another app");
    if (json_object_get(j, "revocationDate") && !json_is_null(json_object_get(j, "revocationDate"))) {
        if (!in_ms(j, "revocationDate", &revoked))
            return FAIL(f, ERR_DENIED, "a signed transaction that is revoked at no moment");
        p.state = SIGNED_REFUNDED;
    }
    *out = p;
    return OK;
}

/* ---- the chain ---- */

static X509 *certificate_of(struct arena *a, str base64)
{
    str der;
    if (base64_decode(a, base64, &der) != OK)
        return NULL;
    const unsigned char *p = (const unsigned char *)der.p;
    X509 *x = d2i_X509(NULL, &p, (long)der.n);
    if (x && p != (const unsigned char *)der.p + der.n) {
        X509_free(x);
        return NULL;
    }
    return x;
}

static bool has_mark(const X509 *x, const char *oid)
{
    ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
    bool yes = o && X509_get_ext_by_OBJ(x, o, -1) >= 0;
    ASN1_OBJECT_free(o);
    return yes;
}

/* The leaf by the intermediate by our root, all valid when it was signed. The root that came is not looked
 * at: it is ours or it is nobody's. */
static bool chain_leads_home(str root_der, X509 *leaf, X509 *intermediate, moment when)
{
    const unsigned char *p = (const unsigned char *)root_der.p;
    X509 *root = d2i_X509(NULL, &p, (long)root_der.n);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    STACK_OF(X509) *between = sk_X509_new_null();
    bool yes = root && store && c && between && X509_STORE_add_cert(store, root) == 1 &&
               sk_X509_push(between, intermediate) > 0 && X509_STORE_CTX_init(c, store, leaf, between) == 1;
    if (yes) {
        X509_VERIFY_PARAM *v = X509_STORE_CTX_get0_param(c);
        X509_VERIFY_PARAM_set_time(v, (time_t)(when / MOMENT_SECOND));
        X509_VERIFY_PARAM_set_depth(v, CHAIN - 1);
        X509_VERIFY_PARAM_set_purpose(v, X509_PURPOSE_ANY);
        yes = X509_verify_cert(c) == 1 && sk_X509_num(X509_STORE_CTX_get0_chain(c)) == CHAIN &&
              X509_check_ca(intermediate) == 1;
    }
    sk_X509_free(between);
    X509_STORE_CTX_free(c);
    X509_STORE_free(store);
    X509_free(root);
    return yes;
}

/* ES256 (RFC 7518, 3.4): r and s, 32 bytes each, of a key on P-256. */
static bool signed_by(X509 *leaf, str input, str signature)
{
    EVP_PKEY *key = X509_get0_pubkey(leaf);
    char group[32] = "";
    if (signature.n != SIGNATURE_BYTES || key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 || strcmp(group, "prime256v1") != 0)
        return false;
    const unsigned char *bytes = (const unsigned char *)signature.p;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(bytes, HALF, NULL), *s = BN_bin2bn(bytes + HALF, HALF, NULL);
    unsigned char *der = NULL;
    bool set = sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1;
    int n = set ? i2d_ECDSA_SIG(sig, &der) : -1;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool yes = n > 0 && c && EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
               EVP_DigestVerify(c, der, (size_t)n, (const unsigned char *)input.p, input.n) == 1;
    EVP_MD_CTX_free(c);
    OPENSSL_free(der);
    if (!set) {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return yes;
}

static enum err check_header(struct arena *a, str header, X509 **leaf, X509 **intermediate, struct fault *f)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (json_decode(header, &j, NULL) != OK || !str_is(json_get_str(j, "alg"), "ES256") || json_object_get(j, "crit"))
        return FAIL(f, ERR_DENIED, "a signed transaction's header is not ES256");
    const json_t *chain = json_object_get(j, "x5c");
    if (!json_is_array(chain) || json_array_size(chain) != CHAIN)
        return FAIL(f, ERR_DENIED, "a signed transaction has not three certificates");
    *leaf = certificate_of(a, json_str(json_array_get(chain, 0)));
    *intermediate = certificate_of(a, json_str(json_array_get(chain, 1)));
    if (*leaf == NULL || *intermediate == NULL)
        return FAIL(f, ERR_DENIED, "a signed transaction's certificates cannot be read");
    return OK;
}

static enum err check_chain(const struct app_stores *s, X509 *leaf, X509 *intermediate, moment when, struct fault *f)
{
    if (!has_mark(leaf, OID_LEAF) || !has_mark(intermediate, OID_INTERMEDIATE))
        return FAIL(f, ERR_DENIED, "a transaction's certificates are not for receipts");
    if (!chain_leads_home(s->root, leaf, intermediate, when))
        return FAIL(f, ERR_DENIED, "a transaction's certificates do not lead to the root that is configured");
    return OK;
}

enum err jws_verify(const struct app_stores *s, struct arena *a, str text, moment now, struct signed_purchase *out,
                    struct fault *f)
{
    str h64, rest, p64, s64, header, payload, signature;
    if (s->root.n == 0)
        return FAIL(f, ERR_DENIED, "no purchases of the App Store are taken here");
    if (text.n > SIGNED_MAX || !str_cut(text, '.', &h64, &rest) || !str_cut(rest, '.', &p64, &s64) ||
        base64url_decode(a, h64, &header) != OK || base64url_decode(a, p64, &payload) != OK ||
        base64url_decode(a, s64, &signature) != OK)
        return FAIL(f, ERR_DENIED, "a signed transaction is not three parts of base64url");
    X509 *leaf = NULL, *intermediate = NULL;
    struct signed_purchase p;
    moment when = 0;
    str input = str_of(text.p, h64.n + 1 + p64.n);
    enum err e = check_header(a, header, &leaf, &intermediate, f);
    /* When it was signed stands in what is signed: first the signature by the leaf, whoever that is; then
     * the moment; then whether the leaf was somebody at that moment. */
    if (e == OK && !signed_by(leaf, input, signature))
        e = FAIL(f, ERR_DENIED, "a transaction's signature is wrong");
    if (e == OK)
        e = jws_read(s, payload, &p, &when, a, f);
    if (e == OK && when > now + SIGNED_AHEAD)
        e = FAIL(f, ERR_DENIED, "a transaction that was signed in the future");
    if (e == OK)
        e = check_chain(s, leaf, intermediate, when, f);
    X509_free(leaf);
    X509_free(intermediate);
    if (e == OK)
        *out = p;
    return e;
}
