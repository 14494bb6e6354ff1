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

bool secret_eq(str a, str b)
{
    return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}
