#include "web/session.h"

#include <string.h>

#include "privacy/rights.h"

#define TOUCH_EVERY (5 * MOMENT_MINUTE)

enum { LIST_MAX = 100 };

static bool read_token(str token, struct session *s)
{
    if (token.n != SESSION_TOKEN_LENGTH || id_parse(str_head(token, ID_LENGTH), &s->account) != OK ||
        id_parse(str_head(str_skip(token, ID_LENGTH), ID_LENGTH), &s->id) != OK)
        return false;
    memcpy(s->secret.text, token.p + 2 * ID_LENGTH, SECRET_LENGTH);
    s->secret.text[SECRET_LENGTH] = '\0';
    return true;
}

enum err session_find(struct tx *tx, const struct clock *clock, str token, struct session *out)
{
    struct session s = {0};
    *out = s;
    if (!read_token(token, &s))
        return OK;
    struct query *q = SQL(tx, "SELECT secret, made, seen, proved, idle_ends, ends, staff, factor FROM session "
                              "WHERE account = $1 AND id = $2");
    bind_id(q, s.account);
    bind_id(q, s.id);
    if (query_row(q)) {
        moment now = clock_now(clock);
        s.made = row_time(q, 1);
        s.seen = row_time(q, 2);
        s.proved = row_time(q, 3);
        s.ends = row_time(q, 5);
        s.staff = row_flag(q, 6);
        s.factor = row_time(q, 7);
        s.there = secret_eq(row_blob(q, 0), secret_hash(tx_arena(tx), str_from(s.secret.text))) &&
                  row_time(q, 4) > now && s.ends > now;
    }
    TRY(query_end(q));
    if (s.there)
        *out = s;
    return OK;
}

static moment idle_end(const struct session *s, moment now)
{
    return MIN_OF(now + (s->staff ? SESSION_STAFF_IDLE : SESSION_IDLE), s->ends);
}

struct touching {
    const struct session *session;
    moment now;
};

static enum err touch(struct tx *tx, void *arg)
{
    const struct touching *t = arg;
    struct query *q = SQL(tx, "UPDATE session SET seen = $3, idle_ends = $4 "
                              "WHERE account = $1 AND id = $2");
    bind_id(q, t->session->account);
    bind_id(q, t->session->id);
    bind_time(q, t->now);
    bind_time(q, idle_end(t->session, t->now));
    return query_run(q);
}

enum err session_touch(struct db *db, const struct clock *clock, const struct session *s,
                       struct arena *a, struct fault *f)
{
    struct touching t = {s, clock_now(clock)};
    if (!s->there || t.now - s->seen < TOUCH_EVERY)
        return OK;
    return db_transact(db, a, f, touch, &t);
}

static enum err keep_origin(struct tx *tx, const struct privacy *p, const struct session *s,
                            const struct key *k, str address, str browser)
{
    enum may may;
    struct arena *a = tx_arena(tx);
    TRY(privacy_may(tx, p, s->account, (str){NULL, 0}, "protect-accounts", &may));
    if (may != MAY)
        return OK;
    struct query *q = SQL(tx, "INSERT INTO session_origin (account, id, address, browser, ends) "
                              "VALUES ($1, $2, $3, $4, $5)");
    bind_id(q, s->account);
    bind_id(q, s->id);
    bind_blob(q, privacy_seal(a, k, "session_origin", "address", s->id, address));
    bind_blob(q, privacy_seal(a, k, "session_origin", "browser", s->id, browser));
    bind_time(q, s->ends);
    return query_run(q);
}

/* A password alone is none, nor is a device that need not be asked again. */
static bool has_factor(const char *how)
{
    return strcmp(how, "password") != 0;
}

enum err session_begin(struct tx *tx, const struct privacy *p, const struct session_start *start,
                       struct session *out, str *token)
{
    moment now = clock_now(p->clock);
    struct session s = {.there = true,
                        .account = start->account,
                        .id = id_new(),
                        .made = now,
                        .seen = now,
                        .proved = now,
                        .factor = has_factor(start->how) ? now : 0,
                        .ends = now + (start->staff ? SESSION_STAFF_LASTS : SESSION_LASTS),
                        .staff = start->staff,
                        .secret = bearer_new()};
    struct query *q = SQL(tx, "INSERT INTO session (account, id, secret, how, staff, made, seen, "
                              "proved, idle_ends, ends, factor) VALUES ($1, $2, $3, $4, $5, $6, $6, $6, $7, $8, $9)");
    bind_id(q, s.account);
    bind_id(q, s.id);
    bind_blob(q, secret_hash(tx_arena(tx), str_from(s.secret.text)));
    bind_text(q, str_from(start->how));
    bind_flag(q, s.staff);
    bind_time(q, now);
    bind_time(q, idle_end(&s, now));
    bind_time(q, s.ends);
    if (s.factor)
        bind_time(q, s.factor);
    else
        bind_null(q);
    TRY(query_run(q));
    TRY(keep_origin(tx, p, &s, start->key, start->address, start->browser));
    *token = str_fmt(tx_arena(tx), "%s%s%s", s.account.text, s.id.text, s.secret.text);
    *out = s;
    return OK;
}

enum err session_end(struct tx *tx, id account, id session)
{
    struct query *q = SQL(tx, "DELETE FROM session WHERE account = $1 AND id = $2");
    bind_id(q, account);
    bind_id(q, session);
    TRY(query_run(q));
    bool found = query_changes(q) == 1;
    q = SQL(tx, "DELETE FROM session_origin WHERE account = $1 AND id = $2");
    bind_id(q, account);
    bind_id(q, session);
    TRY(query_run(q));
    return found ? OK : ERR_NOT_FOUND;
}

enum err session_end_others(struct tx *tx, id account, id keep)
{
    struct query *q = SQL(tx, "DELETE FROM session WHERE account = $1 AND id <> $2");
    bind_id(q, account);
    bind_text(q, str_dup(tx_arena(tx), str_from(keep.text)));
    TRY(query_run(q));
    q = SQL(tx, "DELETE FROM session_origin WHERE account = $1 AND id <> $2");
    bind_id(q, account);
    bind_text(q, str_dup(tx_arena(tx), str_from(keep.text)));
    return query_run(q);
}

enum err session_has_others(struct tx *tx, id account, id keep, bool *yes)
{
    struct query *q = SQL(tx, "SELECT 1 FROM session WHERE account = $1 AND id <> $2 LIMIT 1");
    bind_id(q, account);
    bind_id(q, keep);
    *yes = query_row(q);
    return query_end(q);
}

enum err session_prove(struct tx *tx, const struct clock *clock, const struct session *s)
{
    struct query *q = SQL(tx, "UPDATE session SET proved = $3 WHERE account = $1 AND id = $2");
    bind_id(q, s->account);
    bind_id(q, s->id);
    bind_time(q, clock_now(clock));
    return query_run(q);
}

enum err session_prove_factor(struct tx *tx, const struct clock *clock, const struct session *s)
{
    struct query *q =
        SQL(tx, "UPDATE session SET proved = $3, factor = $3 WHERE account = $1 AND id = $2");
    bind_id(q, s->account);
    bind_id(q, s->id);
    bind_time(q, clock_now(clock));
    return query_run(q);
}

bool session_is_recent(const struct session *s, const struct clock *clock)
{
    return s->there && clock_now(clock) - s->proved < SESSION_RECENT;
}

static enum err open_column(struct query *q, int column, struct tx *tx, const struct key *k,
                            const char *name, id record, str *out)
{
    *out = (str){NULL, 0};
    if (row_is_null(q, column))
        return tx_error(tx);
    return privacy_unseal(tx_arena(tx), k, "session_origin", name, record, row_blob(q, column), out,
                          tx_fault(tx));
}

enum err session_list(struct tx *tx, const struct privacy *p, id account, const struct key *k,
                      struct session_entry **out, size_t *n)
{
    struct query *q = SQL(tx, "SELECT s.id, s.made, s.seen, s.how, o.address, o.browser FROM session s "
                              "LEFT JOIN session_origin o ON o.account = s.account AND o.id = s.id "
                              "WHERE s.account = $1 AND s.idle_ends > $2 AND s.ends > $2 "
                              "ORDER BY s.seen DESC, s.id LIMIT $3");
    bind_id(q, account);
    bind_time(q, clock_now(p->clock));
    bind_int(q, LIST_MAX);
    *out = ARENA_ARRAY(tx_arena(tx), struct session_entry, LIST_MAX);
    *n = 0;
    while (query_row(q)) {
        struct session_entry *e = &(*out)[(*n)++];
        e->id = row_id(q, 0);
        e->made = row_time(q, 1);
        e->seen = row_time(q, 2);
        e->how = row_text(q, 3);
        TRY(open_column(q, 4, tx, k, "address", e->id, &e->address));
        TRY(open_column(q, 5, tx, k, "browser", e->id, &e->browser));
    }
    return query_end(q);
}
