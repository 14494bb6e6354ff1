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
    if (declared == NULL || !value_ok(value)) {
        req->web->refused_cookies++;
        assert(!"a cookie that no records.yaml declares, or that is not letters and digits");
        return;
    }
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

enum err check_cookies(struct check *c)
{
    const struct inventory *v = c->p->inventory;
    json_put_int(c->values, "count", (int64_t)v->n_cookies);
    /* request_set_cookie() sets nothing else: what is declared is all that there is. */
    c->verdict = VERDICT_KEPT;
    c->evidence = MSG("evidence.cookies");
    return OK;
}
