#include "web/quota.h"

#include <arpa/inet.h>
#include <string.h>

/* Tokens are counted in thousandths, so that slow buckets fill evenly. */
enum { TOKEN = 1000 };

struct bucket {
    int64_t tokens; /* thousandths */
    moment at;
};

static enum err key_of(const struct privacy *p, const struct quota *q, str whom, struct arena *a,
                       struct fault *f, str *key)
{
    struct vault_hashes h;
    str text = str_fmt(a, "%s|%.*s", q->name, STR_FMT(whom));
    TRY(vault_hash(p->vault, "quota", text, &h, a, f));
    *key = str_dup(a, str_of((const char *)h.bytes[0], VAULT_HASH_BYTES));
    return OK;
}

/* What is in it now; full where there is no row. */
static int64_t filled(const struct quota *q, const struct bucket *b, moment now)
{
    int64_t since = MAX_OF(now - b->at, (moment)0), most = q->burst * TOKEN;
    if (since >= q->every * q->burst) /* and nothing below can overflow */
        return most;
    return MIN_OF(most, b->tokens + since * TOKEN / q->every);
}

static enum err read_bucket(struct tx *tx, const struct quota *q, str key, moment now, int64_t *tokens)
{
    struct query *s = SQL(tx, "SELECT tokens, at FROM quota WHERE bucket = $1");
    bind_blob(s, key);
    *tokens = q->burst * TOKEN;
    if (query_row(s)) {
        struct bucket b = {row_int(s, 0), row_time(s, 1)};
        *tokens = filled(q, &b, now);
    }
    return query_end(s);
}

enum err quota_has(struct tx *tx, const struct privacy *p, const struct quota *q, str whom, bool *has)
{
    str key;
    int64_t tokens;
    TRY(key_of(p, q, whom, tx_arena(tx), tx_fault(tx), &key));
    TRY(read_bucket(tx, q, key, clock_now(p->clock), &tokens));
    *has = tokens >= TOKEN;
    return OK;
}

struct taking {
    const struct privacy *p;
    const struct quota *quota;
    str key;
    bool had;
};

static enum err take(struct tx *tx, void *arg)
{
    struct taking *t = arg;
    moment now = clock_now(t->p->clock);
    int64_t tokens;
    TRY(read_bucket(tx, t->quota, t->key, now, &tokens));
    t->had = tokens >= TOKEN;
    tokens = t->had ? tokens - TOKEN : 0;
    struct query *q = SQL(tx, "INSERT INTO quota (bucket, tokens, at, filled) VALUES ($1, $2, $3, $4) "
                              "ON CONFLICT (bucket) DO UPDATE SET tokens = excluded.tokens, "
                              "at = excluded.at, filled = excluded.filled");
    bind_blob(q, t->key);
    bind_int(q, tokens);
    bind_time(q, now);
    bind_time(q, now + t->quota->every * t->quota->burst);
    return query_run(q);
}

enum err quota_take(const struct privacy *p, const struct quota *q, str whom, bool *had,
                    struct arena *a, struct fault *f)
{
    struct taking t = {.p = p, .quota = q};
    TRY(key_of(p, q, whom, a, f, &t.key));
    TRY(db_transact(p->db, a, f, take, &t));
    *had = t.had;
    return OK;
}

str quota_range(struct arena *a, str address)
{
    unsigned char b[16];
    char text[64];
    size_t n = MIN_OF(address.n, sizeof text - 1);
    if (n > 0)
        memcpy(text, address.p, n);
    text[n] = '\0';
    if (inet_pton(AF_INET6, text, b) != 1)
        return str_dup(a, str_of(text, n));
    return str_fmt(a, "%02x%02x:%02x%02x:%02x%02x:%02x%02x::/64", b[0], b[1], b[2], b[3], b[4], b[5],
                   b[6], b[7]);
}
