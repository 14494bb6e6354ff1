/* Apps without a keyboard: RFC 8628. */
#include "features/connect/model.h"

#include <string.h>

#include <sodium.h>

#include "base/codec.h"

enum { CODE_LENGTH = 8, PAUSE = 5, PAUSE_LONGEST = 60, DEVICE_CODE_LENGTH = ID_LENGTH + SECRET_LENGTH };

/* Without vowels, so that no code is a word, and without letters that are read for digits. */
static const char letters[] = "BCDFGHJKLMNPQRSTVWXZ";

static const struct form_field authorization_fields[] = {
    {"client_id", FIELD_HIDDEN, .max = 60},
    {"scope", FIELD_HIDDEN, .max = 90},
};
const struct form device_authorization_form = {"device_authorization", authorization_fields, COUNT(authorization_fields)};

static const struct form_field token_fields[] = {
    {"grant_type", FIELD_TEXT, .max = 60},
    {"device_code", FIELD_HIDDEN, .max = DEVICE_CODE_LENGTH},
    {"client_id", FIELD_HIDDEN, .max = 60},
};
const struct form token_form = {"token", token_fields, COUNT(token_fields)};

/* RFC 6749, 5.2. */
static enum err oauth_error(struct request *req, const char *error)
{
    json_object_clear(req->view);
    json_put_text(req->view, "error", error);
    return request_json(req, 400);
}

/* A code that people read and type is hashed with a secret of ours: there are few enough to try them all. */
static enum err hash_code(const struct privacy *p, struct arena *a, str code, struct vault_hashes *h, struct fault *f)
{
    return vault_hash(p->vault, "user-code", code, h, a, f);
}

static str new_code(struct arena *a)
{
    char *code = arena_alloc(a, CODE_LENGTH);
    for (int i = 0; i < CODE_LENGTH; i++)
        code[i] = letters[randombytes_uniform(sizeof letters - 1)];
    return str_of(code, CODE_LENGTH);
}

struct granting {
    id row;
    struct bearer secret;
    str code;
    struct context context;
};

static enum err add_grant(struct request *req, const struct granting *g)
{
    const struct privacy *p = request_privacy(req);
    struct vault_hashes h;
    moment now = clock_now(p->clock);
    TRY(hash_code(p, req->arena, g->code, &h, req->fault));
    struct query *q = SQL(request_write(req), "INSERT INTO connect_grant (account, id, device_code, user_code, context, "
                                              "application, state, pause, polled, made, ends) "
                                              "VALUES (NULL, $1, $2, $3, $4, $5, 'waiting', $6, NULL, $7, $8)");
    bind_id(q, g->row);
    bind_blob(q, secret_hash(req->arena, str_from(g->secret.text)));
    bind_blob(q, str_of((const char *)h.bytes[0], VAULT_HASH_BYTES));
    bind_id(q, g->context.id);
    bind_text(q, g->context.application);
    bind_int(q, PAUSE);
    bind_time(q, now);
    bind_time(q, now + GRANT_LASTS);
    return query_run(q);
}

enum err authorize_device(struct request *req)
{
    struct granting g = {.row = id_new(), .secret = bearer_new(), .code = new_code(req->arena)};
    str url;
    if (req->form.wrong || form_value(&req->form, "client_id").n == 0 || form_value(&req->form, "scope").n == 0)
        return oauth_error(req, "invalid_request");
    enum err e = context_find(request_read(req), request_privacy(req)->clock, form_value(&req->form, "scope"), &g.context);
    if (e == ERR_NOT_FOUND || (e == OK && g.context.stage != STAGE_ACCEPTED)) {
        fault_clear(req->fault);
        return oauth_error(req, "invalid_scope");
    }
    TRY(e);
    if (!str_eq(g.context.application, form_value(&req->form, "client_id")))
        return oauth_error(req, "invalid_client");
    TRY(add_grant(req, &g));
    str shown = str_fmt(req->arena, "%.4s-%.4s", g.code.p, g.code.p + 4);
    url = request_url(req, req->arena, STR("/device"));
    json_put_str(req->view, "device_code", str_fmt(req->arena, "%s%s", g.row.text, g.secret.text));
    json_put_str(req->view, "user_code", shown);
    json_put_str(req->view, "verification_uri", url);
    json_put_str(req->view, "verification_uri_complete", str_fmt(req->arena, "%.*s?user_code=%.*s", STR_FMT(url), STR_FMT(shown)));
    json_put_int(req->view, "expires_in", GRANT_LASTS / MOMENT_SECOND);
    json_put_int(req->view, "interval", PAUSE);
    return request_json(req, 200);
}

/* ---- asking whether somebody agreed ---- */

struct polled {
    str state, application;
    int64_t pause;
    moment last, ends;
    id context;
};

static enum err find_polled(struct request *req, struct tx *tx, id row, str secret, struct polled *out)
{
    str hash = {NULL, 0};
    struct query *q = SQL(tx, "SELECT device_code, state, application, pause, polled, ends, context FROM connect_grant WHERE id = $1");
    bind_id(q, row);
    if (query_row(q)) {
        hash = row_blob(q, 0);
        *out = (struct polled){row_text(q, 1), row_text(q, 2), row_int(q, 3), row_is_null(q, 4) ? 0 : row_time(q, 4), row_time(q, 5),
                               row_id(q, 6)};
    }
    TRY(query_end(q));
    return hash.n && secret_eq(hash, secret_hash(req->arena, secret)) ? OK : ERR_NOT_FOUND;
}

/* Who asks too soon waits longer from then on (RFC 8628, 3.5). */
static enum err note_poll(struct tx *tx, id row, moment now, int64_t pause)
{
    struct query *q = SQL(tx, "UPDATE connect_grant SET polled = $2, pause = $3 WHERE id = $1");
    bind_id(q, row);
    bind_time(q, now);
    bind_int(q, pause);
    return query_run(q);
}

static enum err remove_grant(struct tx *tx, id row)
{
    struct query *q = SQL(tx, "DELETE FROM connect_grant WHERE id = $1");
    bind_id(q, row);
    return query_run(q);
}

static enum err hand_out(struct request *req, struct tx *tx, id row, const struct polled *p)
{
    str token;
    TRY(remove_grant(tx, row));
    TRY(context_token(tx, p->context, &token));
    json_put_str(req->view, "access_token", token);
    json_put_text(req->view, "token_type", "context");
    json_put_int(req->view, "expires_in", CONTEXT_LASTS / MOMENT_SECOND);
    return request_json(req, 200);
}

enum err give_token(struct request *req)
{
    str code = form_value(&req->form, "device_code");
    struct polled p;
    id row;
    moment now = clock_now(request_privacy(req)->clock);
    if (req->form.wrong || code.n == 0 || form_value(&req->form, "client_id").n == 0 || form_value(&req->form, "grant_type").n == 0)
        return oauth_error(req, "invalid_request");
    if (!str_is(form_value(&req->form, "grant_type"), "urn:ietf:params:oauth:grant-type:device_code"))
        return oauth_error(req, "unsupported_grant_type");
    if (code.n != DEVICE_CODE_LENGTH || id_parse(str_head(code, ID_LENGTH), &row) != OK)
        return oauth_error(req, "invalid_grant");
    struct tx *tx = request_write(req);
    enum err e = find_polled(req, tx, row, str_skip(code, ID_LENGTH), &p);
    if (e == ERR_NOT_FOUND) {
        fault_clear(req->fault);
        return oauth_error(req, "invalid_grant");
    }
    TRY(e);
    if (!str_eq(p.application, form_value(&req->form, "client_id")))
        return oauth_error(req, "invalid_client");
    if (p.ends <= now)
        return oauth_error(req, "expired_token");
    if (str_is(p.state, "granted"))
        return hand_out(req, tx, row, &p);
    if (str_is(p.state, "denied"))
        return oauth_error(req, "access_denied");
    bool early = p.last && now - p.last < p.pause * MOMENT_SECOND;
    TRY(note_poll(tx, row, now, early ? MIN_OF(p.pause + PAUSE, (int64_t)PAUSE_LONGEST) : p.pause));
    return oauth_error(req, early ? "slow_down" : "authorization_pending");
}

/* ---- for the page ---- */

/* As people type it: small letters, without the dash. */
static str tidy(struct arena *a, str typed)
{
    struct buf b = buf_new(a, 64);
    for (size_t i = 0; i < typed.n && b.n < 32; i++)
        if (typed.p[i] != ' ' && typed.p[i] != '-')
            buf_char(&b, typed.p[i] >= 'a' && typed.p[i] <= 'z' ? (char)(typed.p[i] - 32) : typed.p[i]);
    return buf_str(&b);
}

enum err grant_find(struct tx *tx, const struct privacy *p, str typed, struct grant *out)
{
    struct vault_hashes h;
    bool found = false;
    str code = tidy(tx_arena(tx), typed);
    if (code.n != CODE_LENGTH)
        return ERR_NOT_FOUND;
    TRY(hash_code(p, tx_arena(tx), code, &h, tx_fault(tx)));
    for (int i = 0; i < h.n && !found; i++) {
        struct query *q = SQL(tx, "SELECT id, context, application, made FROM connect_grant "
                                  "WHERE user_code = $1 AND state = 'waiting' AND ends > $2");
        bind_blob(q, str_of((const char *)h.bytes[i], VAULT_HASH_BYTES));
        bind_time(q, clock_now(p->clock));
        if (query_row(q)) {
            *out = (struct grant){row_id(q, 0), row_id(q, 1), row_text(q, 2), row_time(q, 3)};
            found = true;
        }
        TRY(query_end(q));
    }
    return found ? OK : ERR_NOT_FOUND;
}

enum err grant_decide(struct tx *tx, const struct privacy *p, const struct grant *g, account_id which, bool agreed)
{
    moment now = clock_now(p->clock);
    struct query *q = SQL(tx, "UPDATE connect_grant SET state = $2, account = $3 WHERE id = $1 AND state = 'waiting' AND ends > $4");
    bind_id(q, g->id);
    bind_text(q, agreed ? STR("granted") : STR("denied"));
    bind_id(q, which.id);
    bind_time(q, now);
    TRY(query_run(q));
    if (query_changes(q) != 1)
        return ERR_NOT_FOUND;
    if (!agreed)
        return OK;
    /* From now on the context is theirs, and lasts as long as if they had signed in just now. */
    q = SQL(tx, "UPDATE connect_context SET account = $2, stage = 'bind', ends = $3 WHERE id = $1 AND stage = 'accepted'");
    bind_id(q, g->context);
    bind_id(q, which.id);
    bind_time(q, now + CONTEXT_LASTS);
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_NOT_FOUND;
}
