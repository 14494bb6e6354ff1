/*
 * Forms come from our own pages: each carries a token made from the session's secret (or, for
 * visitors, from a cookie of their own), and where the browser says from which origin it comes, that
 * must be ours (spec SEC-06). Nobody who cannot read the cookie can make the token.
 */
#include "web/internal.h"

#include <string.h>

#include <sodium.h>

enum { TOKEN_BYTES = 20 };

/* The secret that this browser's forms are signed with; made for a visitor who has none. */
static str secret_of(struct request *req)
{
    if (req->session.there)
        return str_of(req->session.secret.text, SECRET_LENGTH);
    if (req->form_secret.n > 0)
        return req->form_secret;
    req->form_secret = cookie_read(req, "form");
    if (req->form_secret.n != SECRET_LENGTH) {
        struct bearer fresh = bearer_new();
        req->form_secret = str_dup(req->arena, str_from(fresh.text));
        req->set_form_cookie = true;
    }
    return req->form_secret;
}

str csrf_token(struct request *req)
{
    static const char text[] = "troth form";
    unsigned char hash[TOKEN_BYTES];
    str secret = secret_of(req);
    crypto_generichash(hash, sizeof hash, (const unsigned char *)text, sizeof text - 1,
                       (const unsigned char *)secret.p, secret.n);
    return base32_encode(req->arena, hash, sizeof hash);
}

/* A portal that people reach at this machine's own name only (a demo) has two: a browser may be at
 * either. Sets *port, what follows the name. */
static bool is_loopback(str origin, str *port)
{
    static const char *const names[] = {"http://localhost", "http://127.0.0.1"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (str_starts(origin, str_from(names[i]))) {
            *port = str_skip(origin, strlen(names[i]));
            return port->n == 0 || port->p[0] == ':';
        }
    return false;
}

static bool is_ours(const struct web *w, str origin)
{
    str theirs, own;
    return str_eq(origin, w->origin) ||
           (is_loopback(w->origin, &own) && is_loopback(origin, &theirs) && str_eq(own, theirs));
}

bool csrf_ok(struct request *req, str token)
{
    str origin = head_get(req->head, "Origin"), site = head_get(req->head, "Sec-Fetch-Site");
    if (origin.n > 0 && !is_ours(req->web, origin))
        return false;
    if (site.n > 0 && !str_is(site, "same-origin") && !str_is(site, "none"))
        return false;
    if (!req->session.there && cookie_read(req, "form").n != SECRET_LENGTH)
        return false;
    return token.n > 0 && secret_eq(token, csrf_token(req));
}
