#include "web/limits.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"

enum { SLOTS = 4096, WAYS = 4 };

struct bucket {
    uint64_t key; /* 0: free */
    double tokens;
    int64_t at; /* clock_ticks */
};

struct limits {
    struct rate_config config[RATE_CLASSES];
    unsigned char secret[crypto_shorthash_KEYBYTES];
    pthread_mutex_t mutex;
    struct bucket buckets[SLOTS];
};

struct limits *limits_new(const struct rate_config config[RATE_CLASSES])
{
    struct limits *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    memcpy(l->config, config, sizeof l->config);
    randombytes_buf(l->secret, sizeof l->secret);
    pthread_mutex_init(&l->mutex, NULL);
    return l;
}

void limits_free(struct limits **l)
{
    if (*l == NULL)
        return;
    pthread_mutex_destroy(&(*l)->mutex);
    free(*l);
    *l = NULL;
}

/* The range that an address belongs to, as bytes: a household has a /64. */
static size_t range_of(str peer, unsigned char *out)
{
    char text[64];
    size_t n = MIN_OF(peer.n, sizeof text - 1);
    if (n)
        memcpy(text, peer.p, n);
    text[n] = '\0';
    if (inet_pton(AF_INET, text, out) == 1)
        return 4;
    if (inet_pton(AF_INET6, text, out) == 1)
        return 8;
    memcpy(out, text, MIN_OF(n, (size_t)16));
    return MIN_OF(n, (size_t)16);
}

static uint64_t key_of(const struct limits *l, enum rate rate, str peer)
{
    unsigned char in[17] = {(unsigned char)rate}, out[crypto_shorthash_BYTES];
    size_t n = range_of(peer, in + 1);
    uint64_t key;
    crypto_shorthash(out, in, n + 1, l->secret);
    memcpy(&key, out, sizeof key);
    return key ? key : 1;
}

static bool take(struct limits *l, enum rate rate, uint64_t key, int *wait_s)
{
    const struct rate_config *c = &l->config[rate];
    if (c->per_second <= 0)
        return true;
    int64_t now = clock_ticks();
    pthread_mutex_lock(&l->mutex);
    /* A few places for each key; the one that has waited longest makes room. */
    struct bucket *b = NULL, *first = &l->buckets[key % (SLOTS / WAYS) * WAYS];
    for (int i = 0; i < WAYS && b == NULL; i++)
        if (first[i].key == key)
            b = &first[i];
    if (b == NULL) {
        b = first;
        for (int i = 1; i < WAYS; i++)
            if (first[i].at < b->at)
                b = &first[i];
        *b = (struct bucket){key, c->burst, now};
    }
    b->tokens = MIN_OF(c->burst, b->tokens + (double)(now - b->at) / 1e6 * c->per_second);
    b->at = now;
    bool ok = b->tokens >= 1;
    if (ok)
        b->tokens -= 1;
    else
        *wait_s = (int)((1 - b->tokens) / c->per_second) + 1;
    pthread_mutex_unlock(&l->mutex);
    return ok;
}

bool limits_take(struct limits *l, enum rate rate, str peer, int *wait_s)
{
    return take(l, rate, key_of(l, rate, peer), wait_s);
}

bool limits_take_named(struct limits *l, enum rate rate, str name, int *wait_s)
{
    unsigned char in[1 + crypto_generichash_BYTES_MIN] = {(unsigned char)rate}, out[crypto_shorthash_BYTES];
    uint64_t key;
    crypto_generichash(in + 1, sizeof in - 1, (const unsigned char *)name.p, name.n, NULL, 0);
    crypto_shorthash(out, in, sizeof in, l->secret);
    memcpy(&key, out, sizeof key);
    return take(l, rate, key ? key : 1, wait_s);
}
