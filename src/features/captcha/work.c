#include "features/captcha/work.h"

#include <string.h>

#include <openssl/evp.h>
#include <sodium.h>

#include "base/codec.h"

enum { PAYLOAD_MAX = 1600 };

#define LASTS_S    600
#define ALGORITHM  "PBKDF2/SHA-256"
#define KEY_PREFIX "00"

struct work_challenge work_new(moment now)
{
    struct work_challenge c = {.expires = now / MOMENT_SECOND + LASTS_S};
    randombytes_buf(c.nonce, sizeof c.nonce);
    randombytes_buf(c.salt, sizeof c.salt);
    return c;
}

str work_text(struct arena *a, const struct work_challenge *c)
{
    return str_fmt(a, "work|%lld|%.*s|%.*s", (long long)c->expires,
                   STR_FMT(hex_encode(a, c->nonce, sizeof c->nonce)),
                   STR_FMT(hex_encode(a, c->salt, sizeof c->salt)));
}

void work_put(json_t *to, struct arena *a, const struct work_challenge *c, str signature)
{
    json_t *p = json_put_object(to, "parameters");
    json_put_text(p, "algorithm", ALGORITHM);
    json_put_int(p, "cost", WORK_COST);
    json_put_int(p, "expiresAt", c->expires);
    json_put_int(p, "keyLength", WORK_KEY);
    json_put_text(p, "keyPrefix", KEY_PREFIX);
    json_put_str(p, "nonce", hex_encode(a, c->nonce, sizeof c->nonce));
    json_put_str(p, "salt", hex_encode(a, c->salt, sizeof c->salt));
    json_put_str(to, "signature", signature);
}

/* ---- reading ---- */

static bool read_hex(struct arena *a, const json_t *object, const char *name, unsigned char *out, size_t n)
{
    str bytes;
    if (hex_decode(a, json_get_str(object, name), &bytes) != OK || bytes.n != n)
        return false;
    memcpy(out, bytes.p, n);
    return true;
}

/* The parameters are ours, unchanged but for what is random: a cheaper one is none. */
static bool read_challenge(struct arena *a, const json_t *p, struct work_challenge *out)
{
    out->expires = json_get_int(p, "expiresAt");
    return str_is(json_get_str(p, "algorithm"), ALGORITHM) && json_get_int(p, "cost") == WORK_COST &&
           json_get_int(p, "keyLength") == WORK_KEY && str_is(json_get_str(p, "keyPrefix"), KEY_PREFIX) &&
           read_hex(a, p, "nonce", out->nonce, sizeof out->nonce) &&
           read_hex(a, p, "salt", out->salt, sizeof out->salt);
}

static enum err read_json(struct arena *a, str text, struct work_solution *out, struct fault *f)
{
    CLEANUP(json_done) json_t *j = NULL;
    struct work_solution s = {0};
    TRY(json_decode(text, &j, f));
    const json_t *challenge = json_object_get(j, "challenge"), *solution = json_object_get(j, "solution");
    int64_t counter = json_get_int(solution, "counter");
    s.signature = str_dup(a, json_get_str(challenge, "signature"));
    if (!read_challenge(a, json_object_get(challenge, "parameters"), &s.challenge) ||
        !json_is_integer(json_object_get(solution, "counter")) || counter < 0 || counter > UINT32_MAX ||
        !read_hex(a, solution, "derivedKey", s.key, sizeof s.key))
        return ERR_INPUT;
    s.counter = (uint32_t)counter;
    *out = s;
    return OK;
}

enum err work_read(struct arena *a, str payload, struct work_solution *out, struct fault *f)
{
    size_t n;
    if (payload.n == 0 || payload.n > PAYLOAD_MAX)
        return ERR_INPUT;
    for (size_t i = 0; i < payload.n; i++)
        if ((unsigned char)payload.p[i] >= 0x80) /* libsodium 1.0.18 takes some for digits */
            return ERR_INPUT;
    char *text = arena_alloc(a, payload.n);
    if (sodium_base642bin((unsigned char *)text, payload.n, payload.p, payload.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return ERR_INPUT;
    return read_json(a, str_of(text, n), out, f);
}

bool work_done(const struct work_solution *s)
{
    unsigned char password[WORK_BYTES + 4], key[WORK_KEY];
    memcpy(password, s->challenge.nonce, WORK_BYTES);
    for (int i = 0; i < 4; i++)
        password[WORK_BYTES + i] = (unsigned char)(s->counter >> (24 - 8 * i));
    if (PKCS5_PBKDF2_HMAC((const char *)password, sizeof password, s->challenge.salt, WORK_BYTES, WORK_COST,
                          EVP_sha256(), sizeof key, key) != 1)
        return false;
    return key[0] == 0 && sodium_memcmp(key, s->key, sizeof key) == 0;
}
