#include "vault/vault.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

enum {
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    HEAD = 1 + NONCE,
};
_Static_assert(HEAD + TAG == VAULT_OVERHEAD, "the overhead is what the header says");
_Static_assert(KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "one key size");

/* "table\0column\0record": no two places read the same, for names hold no NUL. */
static str place_text(struct arena *a, struct vault_place p)
{
    struct buf b = buf_new(a, 1024);
    buf_put(&b, p.table);
    buf_char(&b, '\0');
    buf_put(&b, p.column);
    buf_char(&b, '\0');
    buf_put(&b, p.record);
    assert(!b.over);
    return buf_str(&b);
}

str vault_seal(struct arena *a, const struct key *k, struct vault_place place, str plain)
{
    unsigned char *out = arena_alloc(a, plain.n + VAULT_OVERHEAD);
    str ad = place_text(a, place);
    out[0] = VAULT_VERSION;
    randombytes_buf(out + 1, NONCE);
    unsigned long long n;
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + HEAD, &n, (const unsigned char *)plain.p,
                                               plain.n, (const unsigned char *)ad.p, ad.n, NULL,
                                               out + 1, k->bytes);
    return str_of(out, HEAD + n);
}

bool vault_looks_sealed(str value)
{
    return value.n >= VAULT_OVERHEAD && value.p[0] == VAULT_VERSION;
}

enum err vault_unseal(struct arena *a, const struct key *k, struct vault_place place, str sealed,
                      str *plain, struct fault *f)
{
    if (!vault_looks_sealed(sealed))
        return FAIL(f, ERR_CONFLICT, "%.*s.%.*s: not a sealed value", STR_FMT(place.table),
                    STR_FMT(place.column));
    const unsigned char *in = (const unsigned char *)sealed.p;
    unsigned char *out = arena_alloc(a, sealed.n - VAULT_OVERHEAD + 1);
    str ad = place_text(a, place);
    unsigned long long n;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, &n, NULL, in + HEAD, sealed.n - HEAD,
                                                   (const unsigned char *)ad.p, ad.n, in + 1,
                                                   k->bytes) != 0)
        return FAIL(f, ERR_CONFLICT, "%.*s.%.*s: damaged, or not of this record",
                    STR_FMT(place.table), STR_FMT(place.column));
    *plain = str_of(out, n);
    return OK;
}
