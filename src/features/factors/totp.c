/* An app that makes codes: RFC 6238 over HMAC-SHA-1, six digits, thirty seconds; what every app can. */
#include "features/factors/model.h"

#include <stdlib.h>
#include <string.h>

#include <liboath/oath.h>
#include <sodium.h>

#include "base/codec.h"
#include "web/qr.h"

#define WAITS (30 * MOMENT_MINUTE)

enum { WINDOW = 1 };

bool totp_right(str secret, moment now, str code, int64_t *counter)
{
    char digits[TOTP_DIGITS + 1] = {0};
    uint64_t step;
    int position;
    if (code.n != TOTP_DIGITS)
        return false;
    for (size_t i = 0; i < code.n; i++)
        if (code.p[i] < '0' || code.p[i] > '9')
            return false;
    memcpy(digits, code.p, code.n);
    int r = oath_totp_validate3(secret.p, secret.n, (time_t)(now / MOMENT_SECOND), TOTP_STEP, 0, WINDOW,
                                &position, &step, digits);
    sodium_memzero(digits, sizeof digits);
    if (r < 0)
        return false;
    *counter = (int64_t)step;
    return true;
}

/* ---- for the app ---- */

static str base32(struct arena *a, str secret)
{
    char *text = NULL;
    size_t n = 0;
    if (oath_base32_encode(secret.p, secret.n, &text, &n) != OATH_OK)
        return (str){NULL, 0};
    str out = str_dup(a, str_of(text, n));
    sodium_memzero(text, n);
    free(text);
    return out;
}

str totp_text(struct arena *a, str secret)
{
    str s = base32(a, secret);
    struct buf b = buf_new(a, 100);
    for (size_t i = 0; i < s.n; i++) {
        if (i > 0 && i % 4 == 0)
            buf_char(&b, ' ');
        buf_char(&b, s.p[i]);
    }
    return buf_str(&b);
}

str totp_uri(struct arena *a, str secret, str product, str email)
{
    str issuer = percent_encode(a, product);
    return str_fmt(a, "otpauth://totp/%.*s:%.*s?secret=%.*s&issuer=%.*s&algorithm=SHA1&digits=%d&period=%d",
                   STR_FMT(issuer), STR_FMT(percent_encode(a, email)), STR_FMT(base32(a, secret)),
                   STR_FMT(issuer), TOTP_DIGITS, TOTP_STEP);
}

/* Dark on light in every theme. */
enum err totp_picture(struct arena *a, str uri, str *svg, struct fault *f)
{
    struct qr qr;
    TRY(qr_make(a, uri, &qr, f));
    *svg = str_fmt(a, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">"
                      "<path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/><path fill=\"#000\" d=\"%.*s\"/></svg>",
                   qr.side, qr.side, qr.side, qr.side, STR_FMT(qr.path));
    return OK;
}

/* ---- the store ---- */

static enum err remove_state(struct tx *tx, account_id which, const char *state, bool *was_there)
{
    struct query *q = SQL(tx, "DELETE FROM totp WHERE account = $1 AND state = $2");
    bind_id(q, which.id);
    bind_text(q, str_from(state));
    TRY(query_run(q));
    *was_there = query_changes(q) > 0;
    return OK;
}

enum err totp_begin(struct tx *tx, const struct privacy *p, account_id which, const struct key *k)
{
    struct arena *a = tx_arena(tx);
    char *secret = arena_alloc(a, TOTP_SECRET);
    id totp = id_new();
    moment now = clock_now(p->clock);
    bool there;
    randombytes_buf(secret, TOTP_SECRET);
    TRY(remove_state(tx, which, "new", &there));
    struct query *q = SQL(tx, "INSERT INTO totp (account, id, state, secret, counter, made, ends) "
                              "VALUES ($1, $2, 'new', $3, 0, $4, $5)");
    bind_id(q, which.id);
    bind_id(q, totp);
    bind_blob(q, privacy_seal(a, k, "totp", "secret", totp, str_of(secret, TOTP_SECRET)));
    bind_time(q, now);
    bind_time(q, now + WAITS);
    return query_run(q);
}

struct row {
    id id;
    str secret;
    int64_t counter;
};

/* ERR_NOT_FOUND. */
static enum err read_row(struct tx *tx, const struct privacy *p, account_id which,
                         const struct key *k, const char *state, struct row *out)
{
    struct query *q = SQL(tx, "SELECT id, secret, counter FROM totp WHERE account = $1 AND state = $2 "
                              "AND (ends IS NULL OR ends > $3)");
    bind_id(q, which.id);
    bind_text(q, str_from(state));
    bind_time(q, clock_now(p->clock));
    bool found = query_row(q);
    str sealed = {NULL, 0};
    if (found) {
        out->id = row_id(q, 0);
        sealed = row_blob(q, 1);
        out->counter = row_int(q, 2);
    }
    TRY(query_end(q));
    if (!found)
        return ERR_NOT_FOUND;
    return privacy_unseal(tx_arena(tx), k, "totp", "secret", out->id, sealed, &out->secret, tx_fault(tx));
}

enum err totp_waiting(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                      str *secret)
{
    struct row r;
    TRY(read_row(tx, p, which, k, "new", &r));
    *secret = r.secret;
    return OK;
}

enum err totp_turn_on(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                      str code, bool *right)
{
    struct row r;
    int64_t counter = 0;
    bool there;
    TRY(read_row(tx, p, which, k, "new", &r));
    *right = totp_right(r.secret, clock_now(p->clock), code, &counter);
    if (!*right)
        return OK;
    TRY(remove_state(tx, which, "on", &there));
    struct query *q = SQL(tx, "UPDATE totp SET state = 'on', counter = $3, made = $4, ends = NULL "
                              "WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, r.id);
    bind_int(q, counter);
    bind_time(q, clock_now(p->clock));
    return query_run(q);
}

enum err totp_use(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                  str code, bool *right)
{
    struct row r;
    int64_t counter = 0;
    *right = false;
    enum err e = read_row(tx, p, which, k, "on", &r);
    if (e == ERR_NOT_FOUND)
        return OK;
    TRY(e);
    if (!totp_right(r.secret, clock_now(p->clock), code, &counter))
        return OK;
    /* Each step once: of two that come together, one changes the row (RFC 6238 §5.2). */
    struct query *q =
        SQL(tx, "UPDATE totp SET counter = $3 WHERE account = $1 AND id = $2 AND counter < $3");
    bind_id(q, which.id);
    bind_id(q, r.id);
    bind_int(q, counter);
    TRY(query_run(q));
    *right = query_changes(q) == 1;
    return OK;
}

enum err totp_turn_off(struct tx *tx, account_id which, bool *was_on)
{
    bool waiting;
    TRY(remove_state(tx, which, "new", &waiting));
    return remove_state(tx, which, "on", was_on);
}
