/* Signing with a secret of the installation's: Ed25519. */
#include "vault/internal.h"

#include <sodium.h>

_Static_assert(crypto_sign_SEEDBYTES == KEY_BYTES && crypto_sign_PUBLICKEYBYTES == VAULT_PUBLIC_BYTES &&
                   crypto_sign_BYTES == VAULT_SIGNATURE_BYTES,
               "Ed25519");

struct pair {
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
};

static void pair_wipe(struct pair *p)
{
    sodium_memzero(p, sizeof *p);
}

enum err vault_signers(struct vault *v, const char *secret, struct vault_signers *out, struct arena *a,
                       struct fault *f)
{
    CLEANUP(secret_keys_wipe) struct secret_keys keys = {.n = 0};
    CLEANUP(pair_wipe) struct pair pair;
    TRY(vault_secret(v, secret, &keys, a, f));
    for (int i = 0; i < keys.n; i++) {
        crypto_sign_seed_keypair(out->public_key[i], pair.secret, keys.key[i].bytes);
        out->generation[i] = keys.generation[i];
    }
    out->n = keys.n;
    return OK;
}

enum err vault_sign(struct vault *v, const char *secret, int64_t generation, str text,
                    unsigned char signature[VAULT_SIGNATURE_BYTES], struct arena *a, struct fault *f)
{
    CLEANUP(secret_keys_wipe) struct secret_keys keys = {.n = 0};
    CLEANUP(pair_wipe) struct pair pair;
    TRY(vault_secret(v, secret, &keys, a, f));
    for (int i = 0; i < keys.n; i++) {
        if (keys.generation[i] != generation)
            continue;
        crypto_sign_seed_keypair(pair.public_key, pair.secret, keys.key[i].bytes);
        crypto_sign_detached(signature, NULL, (const unsigned char *)text.p, text.n, pair.secret);
        return OK;
    }
    return FAIL(f, ERR_NOT_FOUND, "the key that was to sign is retired");
}
