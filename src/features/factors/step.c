/* Signing in, half done; and the devices where it is not asked for. Both are cookies whose hash we keep. */
#include "features/factors/model.h"

#include <string.h>

#include "base/codec.h"
#include "privacy/rights.h"

enum { TOKEN_LENGTH = 2 * ID_LENGTH + SECRET_LENGTH };

struct token {
    account_id account;
    id id;
    str secret;
};

static bool read_token(str text, struct token *t)
{
    t->secret = str_skip(text, MIN_OF(text.n, (size_t)(2 * ID_LENGTH)));
    return text.n == TOKEN_LENGTH && id_parse(str_head(text, ID_LENGTH), &t->account.id) == OK &&
           id_parse(str_head(str_skip(text, ID_LENGTH), ID_LENGTH), &t->id) == OK;
}

static str write_token(struct arena *a, account_id which, id row, const struct bearer *secret)
{
    return str_fmt(a, "%s%s%s", which.id.text, row.text, secret->text);
}

/* ---- the step ---- */

enum err factors_begin(struct request *req, struct tx *tx, account_id which, const char *how,
                       str next)
{
    struct bearer secret = bearer_new();
    id step = id_new();
    moment now = clock_now(request_privacy(req)->clock);
    struct query *q = SQL(tx, "INSERT INTO step (account, id, secret, how, tries, made, ends) "
                              "VALUES ($1, $2, $3, $4, 0, $5, $6)");
    bind_id(q, which.id);
    bind_id(q, step);
    bind_blob(q, secret_hash(req->arena, str_from(secret.text)));
    bind_text(q, str_from(how));
    bind_time(q, now);
    bind_time(q, now + STEP_LASTS);
    TRY(query_run(q));
    request_set_cookie(req, "step", write_token(req->arena, which, step, &secret));
    str onward = request_is_local(next) ? str_fmt(req->arena, "?next=%.*s", STR_FMT(percent_encode(req->arena, next)))
                                        : (str){NULL, 0};
    return request_see(req, 202, str_fmt(req->arena, "/sign-in/second%.*s", STR_FMT(onward)));
}

enum err step_find(struct request *req, struct tx *tx, struct step *out)
{
    struct token t;
    struct account x;
    *out = (struct step){0};
    if (!read_token(request_cookie(req, "step"), &t))
        return OK;
    struct query *q = SQL(tx, "SELECT secret, how FROM step WHERE account = $1 AND id = $2 AND ends > $3");
    bind_id(q, t.account.id);
    bind_id(q, t.id);
    bind_time(q, clock_now(request_privacy(req)->clock));
    struct step s = {.account = t.account, .id = t.id};
    if (query_row(q)) {
        s.there = secret_eq(row_blob(q, 0), secret_hash(req->arena, t.secret));
        s.how = row_text(q, 1);
    }
    TRY(query_end(q));
    if (!s.there)
        return OK;
    enum err e = account_get(tx, request_privacy(req), s.account, NULL, &x);
    if (e == ERR_NOT_FOUND || (e == OK && x.closed))
        return OK; /* closed meanwhile */
    *out = s;
    return e;
}

enum err step_end(struct request *req, struct tx *tx, const struct step *s)
{
    struct query *q = SQL(tx, "DELETE FROM step WHERE account = $1 AND id = $2");
    bind_id(q, s->account.id);
    bind_id(q, s->id);
    TRY(query_run(q));
    request_set_cookie(req, "step", (str){NULL, 0});
    return query_changes(q) == 1 ? OK : ERR_CONFLICT; /* one sign-in for each */
}

enum err factors_pending(struct request *req, struct tx *tx, account_id *which)
{
    struct step s;
    *which = (account_id){{{0}}};
    TRY(step_find(req, tx, &s));
    if (s.there)
        *which = s.account;
    return OK;
}

enum err factors_end_pending(struct request *req, struct tx *tx)
{
    struct step s;
    TRY(step_find(req, tx, &s));
    return s.there ? step_end(req, tx, &s) : ERR_CONFLICT;
}

/* ---- devices ---- */

static enum err device_known(struct request *req, struct tx *tx, account_id which, bool *known)
{
    struct token t;
    moment now = clock_now(request_privacy(req)->clock);
    *known = false;
    if (!read_token(request_cookie(req, "device"), &t) || !id_eq(t.account.id, which.id))
        return OK;
    struct query *q =
        SQL(tx, "UPDATE known_device SET seen = $4 WHERE account = $1 AND id = $2 AND secret = $3 AND ends > $4");
    bind_id(q, which.id);
    bind_id(q, t.id);
    bind_blob(q, secret_hash(req->arena, t.secret));
    bind_time(q, now);
    TRY(query_run(q));
    *known = query_changes(q) == 1;
    return OK;
}

enum err factors_needed(struct request *req, struct tx *tx, account_id which, bool *needed)
{
    bool on, known = false;
    struct standing staff = {0};
    TRY(factors_on(tx, which, &on));
    if (on)
        TRY(feature_standing(tx, PORTAL(req), which.id, (str){NULL, 0}, &staff));
    if (on && !staff.here) /* who works here is asked every time (SEC-07) */
        TRY(device_known(req, tx, which, &known));
    *needed = on && !known;
    return OK;
}

enum err device_remember(struct request *req, struct tx *tx, account_id which, const struct key *k)
{
    const struct privacy *p = request_privacy(req);
    struct bearer secret = bearer_new();
    id device = id_new();
    moment now = clock_now(p->clock);
    enum may may;
    str browser = request_browser(req);
    TRY(privacy_may(tx, p, which.id, (str){NULL, 0}, "protect-accounts", &may));
    struct query *q = SQL(tx, "INSERT INTO known_device (account, id, secret, browser, made, seen, ends) "
                              "VALUES ($1, $2, $3, $4, $5, $5, $6)");
    bind_id(q, which.id);
    bind_id(q, device);
    bind_blob(q, secret_hash(req->arena, str_from(secret.text)));
    if (may == MAY && browser.n > 0)
        bind_blob(q, privacy_seal(req->arena, k, "known_device", "browser", device, browser));
    else
        bind_null(q);
    bind_time(q, now);
    bind_time(q, now + DEVICE_LASTS);
    TRY(query_run(q));
    request_set_cookie(req, "device", write_token(req->arena, which, device, &secret));
    return account_note(req, tx, which, k, "device-remembered");
}

enum err device_forget(struct tx *tx, account_id which, id device)
{
    struct query *q = SQL(tx, "DELETE FROM known_device WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, device);
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_NOT_FOUND;
}

enum err device_any(struct tx *tx, account_id which, bool *any)
{
    struct query *q = SQL(tx, "SELECT 1 FROM known_device WHERE account = $1 LIMIT 1");
    bind_id(q, which.id);
    *any = query_row(q);
    return query_end(q);
}

enum err known_device_list(struct request *req, struct tx *tx, account_id which, const struct key *k,
                     json_t *list)
{
    struct token own = {0};
    bool has = read_token(request_cookie(req, "device"), &own);
    struct query *q = SQL(tx, "SELECT id, browser, made, seen, ends FROM known_device "
                              "WHERE account = $1 AND ends > $2 ORDER BY seen DESC, id LIMIT 100");
    bind_id(q, which.id);
    bind_time(q, clock_now(request_privacy(req)->clock));
    while (query_row(q)) {
        id device = row_id(q, 0);
        str browser = {NULL, 0};
        if (!row_is_null(q, 1))
            TRY(privacy_unseal(req->arena, k, "known_device", "browser", device, row_blob(q, 1), &browser,
                               req->fault));
        json_t *j = json_add_object(list);
        json_put_text(j, "id", device.text);
        json_put_str(j, "browser", browser);
        json_put_bool(j, "unknown_browser", browser.n == 0);
        json_put_bool(j, "current", has && id_eq(own.id, device));
        json_put_moment(j, "made", req->arena, row_time(q, 2));
        json_put_moment(j, "seen", req->arena, row_time(q, 3));
        json_put_moment(j, "ends", req->arena, row_time(q, 4));
    }
    return query_end(q);
}
