/* The same message twice is done once, and answered the same (Idempotency-Key). */
#include "features/connect/model.h"

#include <string.h>

#include <sodium.h>

str idempotency_key(const struct request *req)
{
    return head_get(req->head, "Idempotency-Key");
}

/*
 * What is used and not kept (a password, a code) is not in it: even a hash of it would be something to guess
 * by. So two messages that differ in that alone are the same; only what succeeded is kept.
 */
str answer_digest(struct request *req)
{
    const struct operation *o = document_operation(document_of(req), req->route);
    CLEANUP(json_done) json_t *said = json_copy(req->message);
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(said, next, name, value)
        if (shape_is_secret(o->message, name) || strcmp(name, "context") == 0)
            json_object_del(said, name);
    struct buf b = buf_new(req->arena, 128 << 10);
    buf_fmt(&b, "%s|%.*s|%.*s|", o->id, STR_FMT(req->path), STR_FMT(req->query));
    buf_put(&b, json_encode(req->arena, said, false));
    return secret_hash(req->arena, buf_str(&b));
}

/* Of one binding: another app's key is another. */
static str name_of(struct request *req)
{
    const struct binding *b = bound(req);
    return secret_hash(req->arena, str_fmt(req->arena, "%s|%.*s", b->id.id.text, STR_FMT(idempotency_key(req))));
}

static enum err say_again(struct request *req, const struct key *k, id row, int status, str sealed)
{
    CLEANUP(json_done) json_t *kept = NULL;
    str text;
    if (status == 204)
        return request_empty(req, status);
    TRY(privacy_unseal(req->arena, k, "connect_answer", "answer", row, sealed, &text, req->fault));
    TRY(json_decode(text, &kept, req->fault));
    json_object_update(req->view, kept);
    return request_json(req, status);
}

enum err answer_again(struct request *req, const struct key *k, bool *again)
{
    str digest = {NULL, 0}, sealed = {NULL, 0};
    int status = 0;
    id row = {{0}};
    *again = false;
    if (idempotency_key(req).n == 0)
        return OK;
    struct query *q = SQL(request_read(req), "SELECT id, digest, status, answer FROM connect_answer "
                                             "WHERE account = $1 AND name = $2 AND ends > $3");
    bind_id(q, bound(req)->account.id);
    bind_blob(q, name_of(req));
    bind_time(q, clock_now(request_privacy(req)->clock));
    if (query_row(q)) {
        row = row_id(q, 0);
        digest = row_blob(q, 1);
        status = (int)row_int(q, 2);
        sealed = row_blob(q, 3);
    }
    TRY(query_end(q));
    if (id_is_none(row))
        return OK;
    if (!secret_eq(digest, answer_digest(req)))
        return request_problem(req, 422, MSG("problem.idempotency-key-reused"));
    *again = true;
    return say_again(req, k, row, status, sealed);
}

static enum err keep(struct request *req, struct tx *tx, const struct key *k, int status)
{
    id row = id_new();
    moment now = clock_now(request_privacy(req)->clock);
    struct query *q = SQL(tx, "DELETE FROM connect_answer WHERE account = $1 AND name = $2 AND ends <= $3");
    bind_id(q, bound(req)->account.id);
    bind_blob(q, name_of(req));
    bind_time(q, now);
    TRY(query_run(q));
    q = SQL(tx, "INSERT INTO connect_answer (account, id, name, digest, status, answer, made, ends) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    bind_id(q, bound(req)->account.id);
    bind_id(q, row);
    bind_blob(q, name_of(req));
    bind_blob(q, answer_digest(req));
    bind_int(q, status);
    bind_blob(q, privacy_seal(req->arena, k, "connect_answer", "answer", row, json_encode(req->arena, req->view, false)));
    bind_time(q, now);
    bind_time(q, now + ANSWER_LASTS);
    return query_run(q);
}

enum err answer_keep(struct request *req, struct tx *tx, const struct key *k, int status)
{
    if (idempotency_key(req).n > 0)
        TRY(keep(req, tx, k, status));
    return status == 204 ? request_empty(req, status) : request_json(req, status);
}
