/*
 * Cookies (RFC 6265bis): declared ones only, __Host- under TLS, HttpOnly, SameSite=Lax, and with the
 * lifetime that the policy says (spec COO-02, COO-03, COO-07, COO-15).
 */
#include "web/internal.h"

#include <assert.h>
#include <string.h>

#include "privacy/verify.h"

/* The name on the wire. */
static str wire_name(const struct web *w, struct arena *a, const char *name)
{
    return w->tls ? str_fmt(a, "__Host-%s", name) : str_from(name);
}

str cookie_read(const struct request *req, const char *name)
{
    str wanted = wire_name(req->web, req->arena, name);
    if (req->api)
        return (str){NULL, 0};
    for (size_t i = 0; i < req->head->n_headers; i++) {
        const struct header *h = &req->head->headers[i];
        str rest = h->value, pair, key, value;
        if (h->name.n != 6 || strncasecmp(h->name.p, "Cookie", 6) != 0)
            continue;
        while (rest.n > 0) {
            if (!str_cut(rest, ';', &pair, &rest)) {
                pair = rest;
                rest = (str){NULL, 0};
            }
            if (str_cut(str_trim(pair), '=', &key, &value) && str_eq(key, wanted))
                return value;
        }
    }
    return (str){NULL, 0};
}

str request_cookie(const struct request *req, const char *name)
{
    return cookie_read(req, name);
}

static bool value_ok(str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
            return false;
    }
    return true;
}

void request_set_cookie(struct request *req, const char *name, str value)
{
    const struct cookie *declared =
        inventory_cookie(req->web->config.privacy->inventory, str_from(name));
    assert(declared != NULL && "a cookie that no records.yaml declares");
    assert(!req->api && "a cookie for a program");
    assert(value_ok(value) && "a cookie that is not letters and digits");
    struct arena *a = req->arena;
    struct buf b = buf_new(a, 1024);
    str wire = wire_name(req->web, a, name);
    buf_fmt(&b, "%.*s=%.*s; Path=/; HttpOnly; SameSite=Lax", STR_FMT(wire), STR_FMT(value));
    if (req->web->tls)
        buf_text(&b, "; Secure");
    if (value.n == 0)
        buf_text(&b, "; Max-Age=0");
    else if (!term_is_zero(declared->lasts))
        buf_fmt(&b, "; Max-Age=%lld", (long long)(term_end(0, declared->lasts) / MOMENT_SECOND));
    response_header(req->response, "Set-Cookie", buf_str(&b));
}

/* ---- the proof ---- */

/* The number after "Max-Age=", or -1. */
static int64_t max_age(str header)
{
    str pair, rest = header;
    int64_t n;
    for (bool more = true; more;) {
        more = str_cut(rest, ';', &pair, &rest);
        pair = str_trim(more ? pair : rest);
        if (str_starts(pair, STR("Max-Age=")) && str_to_int(str_skip(pair, 8), &n))
            return n;
    }
    return -1;
}

/* Is this Set-Cookie header one that a stranger may get: declared, needed, no longer than it says? */
static bool cookie_is_kept(const struct inventory *v, str header, str *name)
{
    str rest;
    if (!str_cut(header, '=', name, &rest))
        return false;
    if (str_starts(*name, STR("__Host-")))
        *name = str_skip(*name, 7);
    const struct cookie *c = inventory_cookie(v, *name);
    if (c == NULL || c->purpose->basis == BASIS_CONSENT)
        return false;
    int64_t longest = term_is_zero(c->lasts) ? -1 : term_end(0, c->lasts) / MOMENT_SECOND;
    int64_t age = max_age(header);
    return age == 0 || age <= longest; /* 0: it is being removed */
}

static bool visit(struct web *w, struct check *c, const struct route *r, int64_t *cookies)
{
    struct header headers[] = {{STR("Host"), STR("localhost")}};
    struct head h = {.method = STR("GET"), .target = str_from(r->path), .version = STR("HTTP/1.1"),
                     .headers = headers, .n_headers = COUNT(headers)};
    struct exchange *x = web_begin(w, &h);
    x->unseen = true;
    const struct response *answer = web_finish(x);
    bool kept = true;
    for (size_t i = 0; i < answer->n_headers && kept; i++) {
        str name = {NULL, 0};
        if (!str_is(answer->headers[i].name, "Set-Cookie"))
            continue;
        ++*cookies;
        kept = cookie_is_kept(c->p->inventory, answer->headers[i].value, &name);
        if (!kept)
            json_put_str(c->values, "cookie", name);
    }
    web_end(&x);
    return kept;
}

enum err web_check_cookies(struct web *w, struct check *c)
{
    const struct route *r;
    int64_t pages = 0, cookies = 0;
    bool kept = true;
    for (size_t i = 0; kept && (r = router_row(w->router, i)) != NULL; i++) {
        if (r->method != METHOD_GET || r->guard != GUARD_PUBLIC || strchr(r->path, ':') != NULL)
            continue;
        pages++;
        kept = visit(w, c, r, &cookies);
        if (!kept)
            json_put_text(c->values, "page", r->path);
    }
    json_put_int(c->values, "count", pages);
    json_put_int(c->values, "cookies", cookies);
    c->verdict = kept ? VERDICT_KEPT : VERDICT_BROKEN;
    c->evidence = kept ? MSG("evidence.cookies") : MSG("evidence.cookies-broken");
    return OK;
}
