/*
 * ALTCHA's proof of work: the counter for which PBKDF2-HMAC-SHA-256(nonce + counter, salt, cost) begins with the
 * prefix. libsodium has the hash; what is keyed is hashed once for each counter, not for each round.
 */
#include "client/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* A million rounds are what a portal asks for (256 tries of 5000, on average): half a second to some seconds. It is
 * given up after 26 times as many, which one of a portal's in a hundred thousand million needs. */
enum { BYTES_MAX = 64, KEY = 32, COST_MAX = 20000, PREFIX_MAX = 3, ROUNDS_MAX = 1 << 25 };

struct work {
    unsigned char nonce[BYTES_MAX + 4], salt[BYTES_MAX];
    size_t n_nonce, n_salt;
    json_int_t cost;
    const char *prefix;
};

static bool hex(const json_t *p, const char *name, unsigned char *out, size_t *n)
{
    const char *text = answer_text(p, name, 2 * BYTES_MAX);
    return text && sodium_hex2bin(out, BYTES_MAX, text, strlen(text), NULL, n, NULL) == 0 && 2 * *n == strlen(text);
}

static bool read_work(const json_t *p, struct work *w)
{
    const char *algorithm = answer_text(p, "algorithm", 40);
    w->cost = json_integer_value(json_object_get(p, "cost"));
    w->prefix = answer_text(p, "keyPrefix", PREFIX_MAX);
    return algorithm && strcmp(algorithm, "PBKDF2/SHA-256") == 0 && w->cost > 0 && w->cost <= COST_MAX &&
           json_integer_value(json_object_get(p, "keyLength")) == KEY && w->prefix &&
           strspn(w->prefix, "0123456789abcdef") == strlen(w->prefix) && hex(p, "nonce", w->nonce, &w->n_nonce) &&
           hex(p, "salt", w->salt, &w->n_salt);
}

static void big_endian(unsigned char out[static 4], uint32_t n)
{
    for (int i = 0; i < 4; i++)
        out[i] = (unsigned char)(n >> (24 - 8 * i));
}

/* RFC 8018, 5.2, of one block: the key is as long as the hash. */
static void derive(struct work *w, uint32_t counter, unsigned char key[static KEY])
{
    static const unsigned char first[4] = {0, 0, 0, 1};
    crypto_auth_hmacsha256_state keyed, round;
    unsigned char u[KEY];
    big_endian(w->nonce + w->n_nonce, counter);
    crypto_auth_hmacsha256_init(&keyed, w->nonce, w->n_nonce + 4);
    round = keyed;
    crypto_auth_hmacsha256_update(&round, w->salt, w->n_salt);
    crypto_auth_hmacsha256_update(&round, first, sizeof first);
    crypto_auth_hmacsha256_final(&round, u);
    memcpy(key, u, KEY);
    for (json_int_t i = 1; i < w->cost; i++) {
        round = keyed;
        crypto_auth_hmacsha256_update(&round, u, KEY);
        crypto_auth_hmacsha256_final(&round, u);
        for (size_t k = 0; k < KEY; k++)
            key[k] ^= u[k];
    }
}

static char *payload(json_t *challenge, uint32_t counter, const char *key)
{
    CLEANUP(json_done)
    json_t *j = json_pack("{s:O, s:{s:I, s:s}}", "challenge", challenge, "solution", "counter", (json_int_t)counter,
                          "derivedKey", key);
    CLEANUP(text_free) char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    if (!text)
        return NULL;
    size_t n = sodium_base64_encoded_len(strlen(text), sodium_base64_VARIANT_ORIGINAL);
    char *out = malloc(n);
    if (out)
        sodium_bin2base64(out, n, (const unsigned char *)text, strlen(text), sodium_base64_VARIANT_ORIGINAL);
    return out;
}

char *work_solve(const json_t *challenge)
{
    struct work w;
    unsigned char key[KEY];
    char text[2 * KEY + 1];
    if (!read_work(json_object_get(challenge, "parameters"), &w))
        return NULL;
    for (uint32_t counter = 0; counter * w.cost < ROUNDS_MAX; counter++) {
        derive(&w, counter, key);
        sodium_bin2hex(text, sizeof text, key, KEY);
        if (strncmp(text, w.prefix, strlen(w.prefix)) != 0)
            continue;
        CLEANUP(json_done) json_t *own = json_deep_copy(challenge);
        return own ? payload(own, counter, text) : NULL;
    }
    return NULL;
}
