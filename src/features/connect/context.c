/* What holds the steps of connecting together (spec WPS-12, WPF-03). */
#include "features/connect/model.h"

#include <string.h>

#include <sodium.h>

#include "base/codec.h"

#define PREFIX "c1."

enum { TOKEN_LENGTH = sizeof PREFIX - 1 + ID_LENGTH + SECRET_LENGTH };

static const char *const stages[STAGES] = {"accepted", "second-factor", "bind", "used"};

static enum stage stage_named(str name)
{
    for (int i = 0; i < STAGES; i++)
        if (str_is(name, stages[i]))
            return (enum stage)i;
    return STAGE_USED;
}

str context_device(struct arena *a, str temporary)
{
    return secret_hash(a, temporary);
}

enum err context_open(struct tx *tx, const struct clock *clock, const struct application *x, str statement,
                      bool everybody, str *token, moment *ends)
{
    struct arena *a = tx_arena(tx);
    struct bearer secret = bearer_new();
    id which = id_new();
    moment now = clock_now(clock);
    struct query *q = SQL(tx, "INSERT INTO connect_context (account, id, secret, application, statement, everybody, stage, "
                              "step, device, office, binding, asked, answer, made, ends) "
                              "VALUES (NULL, $1, $2, $3, $4, $5, 'accepted', NULL, NULL, 0, NULL, NULL, NULL, $6, $7)");
    bind_id(q, which);
    bind_blob(q, secret_hash(a, str_from(secret.text)));
    bind_text(q, str_from(x->id));
    bind_text(q, statement);
    bind_flag(q, everybody);
    bind_time(q, now);
    bind_time(q, now + CONTEXT_LASTS);
    TRY(query_run(q));
    *token = str_fmt(a, PREFIX "%s%s", which.text, secret.text);
    *ends = now + CONTEXT_LASTS;
    return OK;
}

enum err context_token(struct tx *tx, id context, str *token)
{
    struct arena *a = tx_arena(tx);
    struct bearer secret = bearer_new();
    struct query *q = SQL(tx, "UPDATE connect_context SET secret = $2 WHERE id = $1");
    bind_id(q, context);
    bind_blob(q, secret_hash(a, str_from(secret.text)));
    TRY(query_run(q));
    *token = str_fmt(a, PREFIX "%s%s", context.text, secret.text);
    return OK;
}

static id id_or_none(struct query *q, int column)
{
    return row_is_null(q, column) ? (id){{0}} : row_id(q, column);
}

enum err context_find(struct tx *tx, const struct clock *clock, str token, struct context *out)
{
    struct context c = {.id = {{0}}};
    str secret = {NULL, 0}, given = str_skip(token, MIN_OF(token.n, sizeof PREFIX - 1 + ID_LENGTH));
    if (token.n != TOKEN_LENGTH || !str_starts(token, STR(PREFIX)) ||
        id_parse(str_head(str_skip(token, sizeof PREFIX - 1), ID_LENGTH), &c.id) != OK)
        return ERR_NOT_FOUND;
    struct query *q = SQL(tx, "SELECT account, secret, application, statement, everybody, stage, step, device, office, binding, "
                              "asked, answer, ends FROM connect_context WHERE id = $1 AND ends > $2");
    bind_id(q, c.id);
    bind_time(q, clock_now(clock));
    if (query_row(q)) {
        c.account.id = id_or_none(q, 0);
        secret = row_blob(q, 1);
        c.application = row_text(q, 2);
        c.statement = row_text(q, 3);
        c.everybody = row_flag(q, 4);
        c.stage = stage_named(row_text(q, 5));
        c.step = id_or_none(q, 6);
        c.device = row_blob(q, 7);
        c.office = row_flag(q, 8);
        c.binding = id_or_none(q, 9);
        c.asked = row_blob(q, 10);
        c.answer = row_text(q, 11);
        c.ends = row_time(q, 12);
    }
    TRY(query_end(q));
    if (secret.n == 0 || !secret_eq(secret, secret_hash(tx_arena(tx), given)))
        return ERR_NOT_FOUND;
    *out = c;
    return OK;
}

static void bind_id_or_null(struct query *q, id i)
{
    if (id_is_none(i))
        bind_null(q);
    else
        bind_id(q, i);
}

static void bind_blob_or_null(struct query *q, str bytes)
{
    if (bytes.n == 0)
        bind_null(q);
    else
        bind_blob(q, bytes);
}

enum err context_advance(struct tx *tx, const struct context *was, const struct context *next)
{
    struct query *q = SQL(tx, "UPDATE connect_context SET account = $3, stage = $4, step = $5, device = $6, office = $7, "
                              "binding = $8, asked = $9, answer = $10 WHERE id = $1 AND stage = $2");
    bind_id(q, was->id);
    bind_text(q, str_from(stages[was->stage]));
    bind_id_or_null(q, next->account.id);
    bind_text(q, str_from(stages[next->stage]));
    bind_id_or_null(q, next->step);
    bind_blob_or_null(q, next->device);
    bind_flag(q, next->office);
    bind_id_or_null(q, next->binding);
    bind_blob_or_null(q, next->asked);
    if (next->answer.n)
        bind_text(q, next->answer);
    else
        bind_null(q);
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_CONFLICT;
}

/* ---- for the steps ---- */

/* Was just this message answered before? Then it is answered so again. */
static enum err find_answer(struct request *req, const struct context *c, bool *again)
{
    json_t *kept = NULL;
    str digest = answer_digest(req), key = idempotency_key(req), status, text;
    *again = false;
    if (key.n == 0 || c->asked.n != 2 * 32 || !secret_eq(str_head(c->asked, 32), secret_hash(req->arena, key)))
        return OK;
    if (!secret_eq(str_skip(c->asked, 32), digest))
        return request_problem(req, 422, MSG("problem.idempotency-key-reused"));
    int64_t n;
    if (!str_cut(c->answer, ' ', &status, &text) || !str_to_int(status, &n))
        return OK;
    TRY(json_decode(text, &kept, req->fault));
    json_object_update(req->view, kept);
    json_decref(kept);
    json_put_str(req->view, "context", message_text(req, "context"));
    req->status = (int)n;
    *again = true;
    return OK;
}

enum err context_of(struct request *req, unsigned stages_allowed, struct context *out, bool *again)
{
    enum err e = context_find(request_read(req), request_privacy(req)->clock, message_text(req, "context"), out);
    *again = false;
    if (e == ERR_NOT_FOUND) {
        fault_clear(req->fault);
        return request_problem(req, 410, MSG("problem.context-over"));
    }
    TRY(e);
    TRY(find_answer(req, out, again));
    if (*again)
        return OK;
    if (out->stage == STAGE_USED)
        return request_problem(req, 410, MSG("problem.context-over"));
    if (!(stages_allowed & 1u << out->stage))
        return request_problem(req, 409, MSG("problem.context-out-of-order"));
    return OK;
}

enum err context_answer(struct request *req, struct tx *tx, const struct context *was, struct context *next,
                        const char *what, int status)
{
    str key = idempotency_key(req);
    json_put_text(req->view, "next", what);
    next->asked = next->answer = (str){NULL, 0};
    if (key.n > 0) {
        struct buf b = buf_new(req->arena, 64);
        buf_put(&b, secret_hash(req->arena, key));
        buf_put(&b, answer_digest(req));
        next->asked = buf_str(&b);
        next->answer = str_fmt(req->arena, "%d %.*s", status, STR_FMT(json_encode(req->arena, req->view, false)));
    }
    TRY(context_advance(tx, was, next));
    json_put_str(req->view, "context", message_text(req, "context"));
    return request_json(req, status);
}
