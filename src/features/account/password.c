#include "features/account/hasher.h"
#include "features/account/password.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>
#include <zxcvbn.h>

#include "text/i18n.h"

enum { WORDS = 40, LOOKED_AT = 100 };

struct hasher {
    unsigned long long passes;
    size_t memory;
    struct hasher_child *child;
    pthread_mutex_t lock;
    char nobody[crypto_pwhash_STRBYTES]; /* the hash of a password that nobody knows; empty: not made yet */
};

static bool hash(struct hasher *h, str password, char text[crypto_pwhash_STRBYTES], bool verifies)
{
    struct hashing x = {.password = password, .verifies = verifies, .passes = h->passes, .memory = h->memory};
    if (verifies)
        memcpy(x.text, text, sizeof x.text);
    hasher_child_run(h->child, &x);
    memcpy(text, x.text, sizeof x.text);
    sodium_memzero(x.text, sizeof x.text);
    return x.right;
}

enum err hasher_new(struct hasher **out, int64_t memory, int64_t passes, int at_once,
                    struct fault *f)
{
    struct hasher *h = calloc(1, sizeof *h);
    if (h == NULL || sodium_init() < 0) {
        free(h);
        return FAIL(f, ERR_BUSY, "out of memory");
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    h->passes = (unsigned long long)passes;
    h->memory = (size_t)memory;
    h->child = hasher_child_new(at_once > 0 ? at_once : cores > 0 ? (int)cores : 1);
    pthread_mutex_init(&h->lock, NULL);
    if (h->child == NULL) {
        hasher_free(&h);
        return FAIL(f, ERR_BUSY, "out of memory");
    }
    *out = h;
    return OK;
}

void hasher_free(struct hasher **h)
{
    if (*h == NULL)
        return;
    hasher_child_free(&(*h)->child);
    pthread_mutex_destroy(&(*h)->lock);
    free(*h);
    *h = NULL;
}

enum err password_hash(struct hasher *h, struct secret password, struct arena *a, str *out,
                       struct fault *f)
{
    char text[crypto_pwhash_STRBYTES];
    if (!hash(h, password.bytes, text, false))
        return FAIL(f, ERR_BUSY, "no memory to hash a password");
    *out = str_dup(a, str_from(text));
    sodium_memzero(text, sizeof text);
    return OK;
}

/* Made at the first password that is looked at, whoever's it is: most commands look at none. */
static bool make_nobody(struct hasher *h)
{
    pthread_mutex_lock(&h->lock);
    struct bearer b = bearer_new();
    bool made = h->nobody[0] != '\0' || hash(h, str_from(b.text), h->nobody, false);
    if (!made)
        h->nobody[0] = '\0';
    pthread_mutex_unlock(&h->lock);
    return made;
}

bool password_verify(struct hasher *h, struct secret password, str kept)
{
    if (!make_nobody(h))
        return false; /* no memory for a hash: nobody gets in */
    char text[crypto_pwhash_STRBYTES] = {0};
    bool known = kept.n > 0 && kept.n < sizeof text;
    memcpy(text, known ? kept.p : h->nobody, known ? kept.n : sizeof text);
    bool right = hash(h, password.bytes, text, true);
    sodium_memzero(text, sizeof text);
    return known && right;
}

bool password_is_dated(const struct hasher *h, str kept)
{
    char text[crypto_pwhash_STRBYTES] = {0};
    if (kept.n >= sizeof text)
        return true;
    memcpy(text, kept.p, kept.n);
    return crypto_pwhash_str_needs_rehash(text, h->passes, h->memory) != 0;
}

/* The words of an address or a name, which a guesser tries first. */
static void split_words(struct arena *a, str own, const char *words[WORDS + 1])
{
    size_t n = 0, from = 0;
    if (own.n > 0)
        words[n++] = str_cstr(a, own);
    for (size_t i = 0; i <= own.n && n < WORDS; i++) {
        bool word = i < own.n && strchr("@.-_+ ", own.p[i]) == NULL;
        if (word)
            continue;
        if (i - from >= 3)
            words[n++] = str_cstr(a, str_of(own.p + from, i - from));
        from = i + 1;
    }
    words[n] = NULL;
}

const char *password_weakness(struct arena *a, struct secret password, str own)
{
    const char *words[WORDS + 1];
    if (password.bytes.n < PASSWORD_MIN)
        return MSG("password.short");
    if (password.bytes.n > PASSWORD_MAX)
        return MSG("form.too-long");
    if (password_is_common(a, password))
        return MSG("password.common");
    /* The cost of looking grows faster than the length; a hundred characters tell. */
    char *text = str_cstr(a, str_head(password.bytes, LOOKED_AT));
    split_words(a, own, words);
    double bits = ZxcvbnMatch(text, words, NULL);
    sodium_memzero(text, strlen(text));
    return bits < PASSWORD_BITS ? MSG("password.weak") : NULL;
}
