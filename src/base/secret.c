#include "base/secret.h"

#include <sodium.h>

void key_wipe(struct key *k)
{
    sodium_memzero(k, sizeof *k);
}

struct key key_new(void)
{
    struct key k;
    randombytes_buf(k.bytes, sizeof k.bytes);
    return k;
}

bool key_eq(const struct key *a, const struct key *b)
{
    return sodium_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

str secret_hash(struct arena *a, str secret)
{
    unsigned char *h = arena_alloc(a, KEY_BYTES);
    crypto_generichash(h, KEY_BYTES, (const unsigned char *)secret.p, secret.n, NULL, 0);
    return str_of(h, KEY_BYTES);
}

bool secret_eq(str a, str b)
{
    return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}
