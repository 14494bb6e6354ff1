/* App stores: whom to believe, and what Google Play signs. */
#include "features/purchases/apps.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sodium.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"

enum { MIN_RSA_BITS = 2048, MAX_ROOT = 16 * 1024 };

enum err base64_decode(struct arena *a, str s, str *out)
{
    size_t n = 0, max = s.n / 4 * 3;
    unsigned char *bytes = arena_alloc(a, max + 1);
    const char *end;
    for (size_t i = 0; i < s.n; i++) /* libsodium 1.0.18 takes some bytes from 0x80 on for digits */
        if ((unsigned char)s.p[i] >= 0x80)
            return ERR_INPUT;
    if (s.n == 0 || s.n % 4 != 0 ||
        sodium_base642bin(bytes, max, s.p, s.n, NULL, &n, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != s.p + s.n)
        return ERR_INPUT;
    *out = str_of(bytes, n);
    return OK;
}

/* ---- whom to believe ---- */

static EVP_PKEY *key_of(str der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    EVP_PKEY *k = d2i_PUBKEY(NULL, &p, (long)der.n);
    bool fine = k && p == (const unsigned char *)der.p + der.n && EVP_PKEY_get_base_id(k) == EVP_PKEY_RSA &&
                EVP_PKEY_get_bits(k) >= MIN_RSA_BITS;
    if (!fine) {
        EVP_PKEY_free(k);
        return NULL;
    }
    return k;
}

static enum err read_play(struct arena *a, const struct yaml *map, struct app_stores *out, struct fault *f)
{
    YAML_EACH(n, map)
    {
        struct play_key k = {.package = n->key};
        if (out->n_play == PLAY_KEYS_MAX || n->kind != YAML_SCALAR || base64_decode(a, n->text, &k.key) != OK)
            return FAIL(f, ERR_INPUT, "%d: a package and its key, as the Play Console shows it (base64)", n->line);
        EVP_PKEY *key = key_of(k.key);
        if (key == NULL)
            return FAIL(f, ERR_INPUT, "%d: the key of %.*s is no RSA key of %d bits or more", n->line, STR_FMT(n->key), MIN_RSA_BITS);
        EVP_PKEY_free(key);
        out->play[out->n_play++] = k;
    }
    return OK;
}

/* A certificate, in PEM or DER, as DER. */
static enum err read_root(struct arena *a, const char *path, str *out, struct fault *f)
{
    str bytes;
    TRY(file_read(a, path, MAX_ROOT, &bytes, f));
    BIO *b = BIO_new_mem_buf(bytes.p, (int)bytes.n);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
    const unsigned char *p = (const unsigned char *)bytes.p;
    if (x == NULL)
        x = d2i_X509(NULL, &p, (long)bytes.n);
    unsigned char *der = NULL;
    int n = x ? i2d_X509(x, &der) : -1;
    if (n > 0)
        *out = str_dup(a, str_of(der, (size_t)n));
    OPENSSL_free(der);
    X509_free(x);
    BIO_free(b);
    return n > 0 ? OK : FAIL(f, ERR_INPUT, "%s is no certificate", path);
}

static enum err read_apple(struct arena *a, const struct yaml *map, const char *dir, struct app_stores *out,
                           struct fault *f)
{
    YAML_EACH(n, map)
    {
        bool root = str_is(n->key, "root"), sandbox = str_is(n->key, "sandbox"), bundles = str_is(n->key, "bundles");
        if (!root && !sandbox && !bundles)
            return FAIL(f, ERR_INPUT, "%d: root, bundles and sandbox are known here", n->line);
        if (root)
            TRY(read_root(a, str_starts(n->text, STR("/")) ? str_cstr(a, n->text) : str_fmt(a, "%s/%.*s", dir, STR_FMT(n->text)).p,
                          &out->root, f));
        out->sandbox |= sandbox && str_is(n->text, "true");
        if (!bundles)
            continue;
        YAML_EACH(b, n)
        {
            if (out->n_bundles == BUNDLES_MAX || b->kind != YAML_SCALAR)
                return FAIL(f, ERR_INPUT, "%d: a list of bundle IDs", n->line);
            out->bundles[out->n_bundles++] = b->text;
        }
    }
    if (out->root.n == 0 || out->n_bundles == 0)
        return FAIL(f, ERR_INPUT, "%d: app_store needs root and bundles", map->line);
    return OK;
}

enum err app_stores_read(struct arena *a, str text, const char *dir, struct app_stores *out, struct fault *f)
{
    struct yaml *root;
    *out = (struct app_stores){0};
    TRY(yaml_parse(a, text, &root, f));
    if (root->kind != YAML_MAP)
        return FAIL(f, ERR_INPUT, "1: a mapping: google_play, app_store");
    YAML_EACH(n, root)
    {
        bool play = str_is(n->key, "google_play"), apple = str_is(n->key, "app_store");
        if ((!play && !apple) || n->kind != YAML_MAP)
            return FAIL(f, ERR_INPUT, "%d: google_play and app_store are known here, each a mapping", n->line);
        TRY(play ? read_play(a, n, out, f) : read_apple(a, n, dir, out, f));
    }
    return OK;
}

/* ---- Google Play ---- */

static bool word_ok(str s, size_t max)
{
    return s.n > 0 && s.n <= max && utf8_is_line(s);
}

enum err play_read(struct arena *a, str data, struct signed_purchase *out, struct fault *f)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (json_decode(data, &j, NULL) != OK || !json_is_object(j))
        return FAIL(f, ERR_DENIED, "signed purchase data is no JSON object");
    const json_t *state = json_object_get(j, "purchaseState"), *time = json_object_get(j, "purchaseTime");
    struct signed_purchase p = {.item = str_dup(a, json_get_str(j, "productId")),
                                .package = str_dup(a, json_get_str(j, "packageName")),
                                .receipt = str_dup(a, json_get_str(j, "orderId")),
                                .token = str_dup(a, json_get_str(j, "purchaseToken"))};
    bool words = word_ok(p.item, PURCHASE_WORD_MAX) && word_ok(p.package, PURCHASE_WORD_MAX) &&
                 word_ok(p.receipt, PURCHASE_WORD_MAX) && word_ok(p.token, PURCHASE_TOKEN_MAX);
    if (!words || !json_is_integer(state) || !json_is_integer(time) || json_integer_value(time) <= 0 ||
        json_integer_value(time) > INT64_MAX / 1000)
        return FAIL(f, ERR_DENIED, "signed purchase data lacks what a purchase has");
    /* 0 purchased, 1 cancelled, 2 refunded; whatever else there is, or will be, is not paid for. */
    json_int_t s = json_integer_value(state);
    p.state = s == 0 ? SIGNED_PAID : s == 1 || s == 2 ? SIGNED_REFUNDED : SIGNED_PENDING;
    p.bought = json_integer_value(time) * 1000;
    *out = p;
    return OK;
}

static bool signed_by(EVP_PKEY *key, const EVP_MD *md, str data, str signature)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool yes = c && EVP_DigestVerifyInit(c, NULL, md, NULL, key) == 1 &&
               EVP_DigestVerify(c, (const unsigned char *)signature.p, signature.n, (const unsigned char *)data.p, data.n) == 1;
    EVP_MD_CTX_free(c);
    return yes;
}

/* Which package's key signed it? Which one it names is not believed before. */
static const struct play_key *signer_of(const struct app_stores *s, str data, str signature)
{
    const struct play_key *found = NULL;
    for (size_t i = 0; i < s->n_play && !found; i++) {
        EVP_PKEY *key = key_of(s->play[i].key);
        if (key && (signed_by(key, EVP_sha256(), data, signature) || signed_by(key, EVP_sha1(), data, signature)))
            found = &s->play[i];
        EVP_PKEY_free(key);
    }
    return found;
}

enum err play_verify(const struct app_stores *s, struct arena *a, str text, struct signed_purchase *out, struct fault *f)
{
    str data64, signature64, data, signature;
    struct signed_purchase p;
    if (text.n > SIGNED_MAX || !str_cut(text, '.', &data64, &signature64) || base64_decode(a, data64, &data) != OK ||
        base64_decode(a, signature64, &signature) != OK)
        return FAIL(f, ERR_DENIED, "signed purchase data is not BASE64.BASE64");
    const struct play_key *k = signer_of(s, data, signature);
    if (k == NULL)
        return FAIL(f, ERR_DENIED, "purchase data is not signed by a key that is known");
    TRY(play_read(a, data, &p, f));
    if (!str_eq(p.package, k->package))
        return FAIL(f, ERR_DENIED, "purchase data is signed by another package's key");
    *out = p;
    return OK;
}

enum err signed_verify(const struct app_stores *s, struct arena *a, str text, moment now, struct signed_purchase *out,
                       struct fault *f)
{
    size_t dots = 0;
    for (size_t i = 0; i < text.n; i++)
        dots += text.p[i] == '.';
    return dots == 2 ? jws_verify(s, a, text, now, out, f) : play_verify(s, a, text, out, f);
}
