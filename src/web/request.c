/* What handlers call. */
#include "web/internal.h"
#include "web/place.h"

#include <assert.h>
#include <string.h>

#include "base/codec.h"

void *request_app(const struct request *req)
{
    return req->web->config.app;
}

const struct privacy *request_privacy(const struct request *req)
{
    return req->web->config.privacy;
}

struct tx *request_read(struct request *req)
{
    if (req->tx == NULL)
        req->tx = tx_begin(request_privacy(req)->db, TX_READ, req->arena, req->fault);
    return req->tx;
}

struct tx *request_write(struct request *req)
{
    if (req->tx != NULL && req->writing)
        return req->tx;
    tx_end(&req->tx);
    req->tx = tx_begin(request_privacy(req)->db, TX_WRITE, req->arena, req->fault);
    req->writing = true;
    return req->tx;
}

struct memo {
    const char *what;
    void *bytes;
    struct memo *next;
};

void *request_memo(struct request *req, const char *what, size_t size)
{
    for (struct memo *m = req->memos; m; m = m->next)
        if (strcmp(m->what, what) == 0)
            return m->bytes;
    struct memo *m = ARENA_NEW(req->arena, struct memo);
    *m = (struct memo){what, arena_alloc(req->arena, size), req->memos};
    memset(m->bytes, 0, size);
    req->memos = m;
    return m->bytes;
}

void request_rest(struct request *req)
{
    if (!req->writing)
        tx_end(&req->tx);
}

enum err request_key(struct request *req, struct key *out)
{
    if (!req->session.there)
        return FAIL(req->fault, ERR_DENIED, "nobody is signed in");
    return vault_subject_key(request_privacy(req)->vault, req->session.account, out, req->arena,
                             req->fault);
}

bool request_may_read(const struct request *req, const char *record)
{
    const char *const *reads = req->route->reads;
    const struct record *r = inventory_record(request_privacy(req)->inventory, str_from(record));
    bool declared = reads == reads_by_role;
    assert(r != NULL);
    for (size_t i = 0; !declared && reads && reads[i]; i++)
        declared = strcmp(reads[i], record) == 0;
    return declared && (r->staff & req->staff.roles) != 0;
}

str request_query(struct request *req, const char *name, size_t max)
{
    str rest = req->query, pair, key, raw, value;
    while (rest.n > 0) {
        if (!str_cut(rest, '&', &pair, &rest)) {
            pair = rest;
            rest = (str){NULL, 0};
        }
        if (!str_cut(pair, '=', &key, &raw) || !str_is(key, name))
            continue;
        if (percent_decode(req->arena, raw, true, &value) != OK || value.n > max ||
            !utf8_is_line(value))
            break;
        return value;
    }
    return (str){NULL, 0};
}

struct form_state *request_form(struct request *req, const char *name)
{
    for (size_t i = 0; i < req->n_shown; i++)
        if (strcmp(req->shown[i].form->name, name) == 0)
            return &req->shown[i];
    assert(!"the route shows no such form");
    return NULL;
}

/* ---- answers ---- */

enum err request_page_as(struct request *req, int status, const char *template)
{
    req->status = req->status >= 400 ? req->status : status; /* shown again: what was wrong stays */
    req->template = template;
    return OK;
}

enum err request_page(struct request *req, const char *template)
{
    return request_page_as(req, 200, template);
}

enum err request_see(struct request *req, int status, str location)
{
    req->status = status;
    req->redirect = str_dup(req->arena, location);
    return OK;
}

enum err request_again(struct request *req, int status)
{
    req->status = status;
    req->form.wrong = true;
    return ERR_INPUT;
}

enum err request_bytes(struct request *req, int status, const char *type, str bytes)
{
    req->status = req->response->status = status;
    response_header(req->response, "Content-Type", str_from(type));
    req->response->body = bytes;
    return OK;
}

enum err request_download(struct request *req, const char *type, str name,
                          struct body_source source)
{
    req->status = req->response->status = 200;
    response_header(req->response, "Content-Type", str_from(type));
    response_header(req->response, "Cache-Control", STR("no-store"));
    response_header(req->response, "Content-Disposition",
                    str_fmt(req->arena, "attachment; filename=\"%.*s\"", STR_FMT(name)));
    req->response->source = source;
    return OK;
}

/* ---- signing in and out ---- */

void request_sign_in(struct request *req, str token)
{
    request_set_cookie(req, "session", token);
}

void request_sign_out(struct request *req)
{
    request_set_cookie(req, "session", (str){NULL, 0});
    req->session = (struct session){0};
}

/* ---- odds and ends ---- */

str request_url(const struct request *req, struct arena *a, str path)
{
    return str_fmt(a, "%.*s%.*s", STR_FMT(req->web->config.public_url), STR_FMT(path));
}

bool request_is_local(str path)
{
    return path.n > 0 && path.p[0] == '/' && !str_starts(path, STR("//")) &&
           !str_has(path, '\\') && utf8_is_line(path) && path.n < 600;
}

str request_origin(const struct request *req, const struct locale *l, str address)
{
    str place = place_of(req->web->config.places, req->arena, l, address);
    return place.n == 0 ? address : str_fmt(req->arena, "%.*s (%.*s)", STR_FMT(address), STR_FMT(place));
}

str request_browser(const struct request *req)
{
    /* Order counts: Edge says that it is Chrome, Chrome that it is Safari. */
    static const struct {
        const char *in, *out;
    } browsers[] = {{"Edg/", "Edge"},       {"OPR/", "Opera"},     {"Firefox/", "Firefox"},
                    {"Chrome/", "Chrome"},  {"Safari/", "Safari"}, {"curl/", "curl"}},
      systems[] = {{"Android", "Android"}, {"iPhone", "iPhone"},   {"iPad", "iPad"},
                   {"Windows", "Windows"}, {"Mac OS X", "macOS"},  {"Linux", "Linux"}};
    str agent = str_head(head_get(req->head, "User-Agent"), 512);
    const char *browser = NULL, *system = NULL;
    for (size_t i = 0; i < COUNT(browsers) && browser == NULL; i++)
        if (str_contains(agent, str_from(browsers[i].in)))
            browser = browsers[i].out;
    for (size_t i = 0; i < COUNT(systems) && system == NULL; i++)
        if (str_contains(agent, str_from(systems[i].in)))
            system = systems[i].out;
    if (browser && system)
        return str_fmt(req->arena, "%s, %s", browser, system);
    return str_from(browser ? browser : system ? system : "");
}
