/*
 * Recovery codes: ten, for when the rest is lost. Each has 80 random bits, so a fast hash is enough (a
 * slow one is for what people think up: at a trillion guesses a second 80 bits take 19,000 years on
 * average), and it is keyed with the person's own key all the same.
 */
#include "features/factors/model.h"

#include <sodium.h>

#define LABEL "troth recovery code"

enum { CODE_BYTES = 10 };

/* As people type it: small and capital letters, blanks, dashes; and what looks alike is alike. */
static str plain_code(struct arena *a, str typed)
{
    struct buf b = buf_new(a, RECOVERY_LENGTH + 1);
    str s = str_lower(a, typed);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == ' ' || c == '-')
            continue;
        buf_char(&b, c == 'o' ? '0' : c == 'i' || c == 'l' ? '1' : c);
    }
    return b.over ? (str){NULL, 0} : buf_str(&b);
}

static str hash_of(struct arena *a, const struct key *k, str typed)
{
    return factor_hash(a, k, LABEL, plain_code(a, typed));
}

static enum err insert(struct tx *tx, account_id which, str hash, moment now)
{
    struct query *q = SQL(tx, "INSERT INTO recovery_code (account, id, hash, made, used) "
                              "VALUES ($1, $2, $3, $4, NULL)");
    bind_id(q, which.id);
    bind_id(q, id_new());
    bind_blob(q, hash);
    bind_time(q, now);
    return query_run(q);
}

enum err recovery_make(struct tx *tx, const struct privacy *p, account_id which,
                       const struct key *k, str codes[RECOVERY_CODES])
{
    struct arena *a = tx_arena(tx);
    moment now = clock_now(p->clock);
    struct query *q = SQL(tx, "DELETE FROM recovery_code WHERE account = $1");
    bind_id(q, which.id);
    TRY(query_run(q));
    for (int i = 0; i < RECOVERY_CODES; i++) {
        unsigned char bytes[CODE_BYTES];
        randombytes_buf(bytes, sizeof bytes);
        str c = base32_encode(a, bytes, sizeof bytes);
        sodium_memzero(bytes, sizeof bytes);
        codes[i] = str_fmt(a, "%.4s-%.4s-%.4s-%.4s", c.p, c.p + 4, c.p + 8, c.p + 12);
        TRY(insert(tx, which, hash_of(a, k, c), now));
    }
    return OK;
}

enum err recovery_use(struct tx *tx, const struct privacy *p, account_id which,
                      const struct key *k, str code, bool *right)
{
    struct query *q = SQL(tx, "UPDATE recovery_code SET used = $3 "
                              "WHERE account = $1 AND hash = $2 AND used IS NULL");
    bind_id(q, which.id);
    bind_blob(q, hash_of(tx_arena(tx), k, code));
    bind_time(q, clock_now(p->clock));
    TRY(query_run(q));
    *right = query_changes(q) == 1;
    return OK;
}

enum err recovery_is(struct tx *tx, account_id which, const struct key *k, str code, bool *yes)
{
    struct query *q = SQL(tx, "SELECT 1 FROM recovery_code "
                              "WHERE account = $1 AND hash = $2 AND used IS NULL");
    bind_id(q, which.id);
    bind_blob(q, hash_of(tx_arena(tx), k, code));
    *yes = query_row(q);
    return query_end(q);
}
