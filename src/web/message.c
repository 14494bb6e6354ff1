/* Messages of programs: one JSON object in, JSON, nothing, or a problem out. */
#include "web/internal.h"

#include <assert.h>
#include <string.h>

enum { TAG_MAX = 80 };

/* ---- the body ---- */

void message_begin(struct exchange *x)
{
    str type = head_get(x->req.head, "Content-Type"), kind, parameters;
    if (!str_cut(type, ';', &kind, &parameters))
        kind = type;
    if (!str_is(str_lower(x->arena, str_trim(kind)), "application/json"))
        web_refuse(x, 415, MSG("problem.media-type"));
}

/*
 * Not too deep, not too many values: before it is parsed, for a parser's own limits are in thousands. What
 * is not JSON at all may pass here and fails there.
 */
static bool is_modest(str body)
{
    int depth = 0, values = 1;
    bool in_text = false;
    for (size_t i = 0; i < body.n; i++) {
        char c = body.p[i];
        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        else if (in_text)
            continue;
        else if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        else if (c == ',')
            values++;
        if (depth > MESSAGE_DEPTH || values > MESSAGE_VALUES)
            return false;
    }
    return true;
}

enum err message_read(str body, json_t **out, struct fault *f)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (!is_modest(body))
        return FAIL(f, ERR_INPUT, "a message that is too deep or too long");
    TRY(json_decode(body, &j, f));
    if (!json_is_object(j))
        return FAIL(f, ERR_INPUT, "a message that is no object");
    *out = json_incref(j);
    return OK;
}

enum err message_run(struct exchange *x)
{
    struct request *req = &x->req;
    if (req->route->method != METHOD_GET && message_read(buf_str(&x->body), &req->message, req->fault) != OK) {
        fault_clear(req->fault);
        return request_problem(req, 400, MSG("problem.json"));
    }
    TRY(req->route->message(req));
    if (req->n_wrong > 0)
        return request_problem(req, 400, req->unlisted ? MSG("problem.field-unknown") : MSG("problem.fields"));
    return web_run(req);
}

/* ---- what is wrong ---- */

str message_code(const char *why)
{
    str key = str_from(why);
    return str_starts(key, STR("problem.")) ? str_skip(key, 8) : key;
}

enum err request_problem(struct request *req, int status, const char *why)
{
    req->status = status;
    req->problem = why;
    return ERR_DENIED;
}

void request_wrong(struct request *req, str name, const char *why)
{
    req->unlisted |= strcmp(why, "problem.field-unknown") == 0;
    if (req->n_wrong < WRONG_FIELDS)
        req->wrong[req->n_wrong++] = (struct wrong_field){name, why};
}

/* ---- answers ---- */

enum err request_json(struct request *req, int status)
{
    if (response_get(req->response, "Cache-Control").p == NULL)
        response_header(req->response, "Cache-Control", STR("no-store"));
    return request_bytes(req, status, "application/json", json_encode(req->arena, req->view, false));
}

enum err request_empty(struct request *req, int status)
{
    req->status = req->response->status = status;
    req->response->body = STR("");
    return OK;
}

void request_etag(struct request *req, str tag)
{
    assert(tag.n <= TAG_MAX);
    response_header(req->response, "ETag", str_fmt(req->arena, "\"%.*s\"", STR_FMT(tag)));
}

bool request_matches(const struct request *req, str tag)
{
    str rest = head_get(req->head, "If-None-Match"), one;
    for (bool more = rest.n > 0; more;) {
        more = str_cut(rest, ',', &one, &rest);
        one = str_trim(more ? one : rest);
        if (str_starts(one, STR("W/")))
            one = str_skip(one, 2);
        if (one.n == tag.n + 2 && one.p[0] == '"' && one.p[one.n - 1] == '"' && str_eq(str_of(one.p + 1, tag.n), tag))
            return true;
    }
    return false;
}
