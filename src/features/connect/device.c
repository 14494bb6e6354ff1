/* Requests against the declaration, and apps by their token. */
#include "features/connect/model.h"

#include <string.h>

#include "privacy/rights.h"

/* ---- by the declaration ---- */

str message_text(const struct request *req, const char *member)
{
    return json_get_str(req->message, member);
}

static void note_wrong(void *arg, str name, const char *why)
{
    request_wrong(arg, name, why);
}

static str value_of(struct request *req, const struct parameter *p, bool *there)
{
    str value = p->in == IN_PATH   ? req->segment[p->segment]
                : p->in == IN_QUERY ? request_query(req, p->name, 200)
                                    : head_get(req->head, p->name);
    *there = value.n > 0;
    return value;
}

/* A name in the query that the operation does not have. */
static void check_query(struct request *req, const struct operation *o)
{
    str rest = req->query, pair, name, value;
    while (rest.n > 0) {
        bool known = false;
        if (!str_cut(rest, '&', &pair, &rest)) {
            pair = rest;
            rest = (str){NULL, 0};
        }
        if (!str_cut(pair, '=', &name, &value))
            name = pair;
        for (size_t i = 0; i < o->n_parameters; i++)
            known |= o->parameters[i].in == IN_QUERY && str_is(name, o->parameters[i].name);
        if (!known)
            request_wrong(req, STR("query"), MSG("problem.field-unknown"));
    }
}

static void check_parameters(struct request *req, const struct operation *o)
{
    check_query(req, o);
    for (size_t i = 0; i < o->n_parameters; i++) {
        const struct parameter *p = &o->parameters[i];
        bool there;
        str value = value_of(req, p, &there);
        if (there)
            shape_check_text(p->schema, req->arena, str_from(p->name), value, note_wrong, req);
        else if (p->required)
            request_wrong(req, str_from(p->name), MSG("problem.field-missing"));
    }
}

/* Was the statement changed since this app's person accepted it? Then nothing is taken (WPS-30). */
static enum err check_statement(struct request *req)
{
    const struct binding *b = bound(req);
    const struct application *x = document_application(document_of(req), b->app);
    if (x && str_eq(b->statement, x->version))
        return OK;
    return request_problem(req, 403, MSG("problem.statement-changed"));
}

enum err connect_check(struct request *req)
{
    const struct operation *o = document_operation(document_of(req), req->route);
    check_parameters(req, o);
    if (o->message)
        shape_check(o->message, req->arena, (str){NULL, 0}, req->message, note_wrong, req);
    if (req->n_wrong == 0 && o->suspended)
        return check_statement(req);
    return OK;
}

/* ---- by the token ---- */

enum err connect_device(struct request *req, str token)
{
    struct binding *b = ARENA_NEW(req->arena, struct binding);
    TRY(device_by_token(request_read(req), request_privacy(req)->clock, token, b));
    req->device = b;
    return OK;
}

enum err not_yours(struct request *req)
{
    return request_problem(req, 403, MSG("problem.not-yours"));
}

enum err no_binding(struct request *req)
{
    return request_problem(req, 404, MSG("problem.binding-unknown"));
}

enum err connect_may(struct request *req, struct tx *tx, account_id which)
{
    enum may may;
    TRY(privacy_may(tx, request_privacy(req), which.id, (str){NULL, 0}, PURPOSE_REPORTS, &may));
    if (may == MAY)
        return OK;
    return request_problem(req, 403, may == MAY_NOT_CONSENTED ? MSG("problem.consent-withdrawn") : MSG("problem.restricted"));
}

static str token_of(const struct request *req)
{
    return str_skip(head_get(req->head, "Authorization"), sizeof "Bearer " - 1);
}

enum err bound_for_writing(struct request *req, struct tx **tx, struct binding *out, struct key *k)
{
    const struct privacy *p = request_privacy(req);
    *tx = request_write(req);
    enum err e = device_by_token(*tx, p->clock, token_of(req), out);
    if (e == ERR_DENIED || e == ERR_NOT_FOUND) {
        fault_clear(req->fault);
        return request_problem(req, 410, MSG("problem.disconnected"));
    }
    TRY(e);
    TRY(connect_may(req, *tx, out->account));
    return vault_subject_key(p->vault, out->account.id, k, req->arena, req->fault);
}
