/* A request's way through the platform: head, session, body, handler, commit, answer. */
#include "web/internal.h"

#include <string.h>
#include <stdlib.h>
#include <time.h>

#include "base/codec.h"

enum {
    REQUEST_ARENA = 64 << 20,
    DEFAULT_BODY = 16 * 1024,
    MAX_ATTEMPTS = 8,
};

/* ---- opening ---- */

enum err web_open(struct web **out, const struct web_config *config, struct fault *f)
{
    struct arena *a = arena_new(1 << 20);
    struct web *w = ARENA_NEW(a, struct web);
    w->arena = a;
    w->config = *config;
    w->tls = str_starts(config->public_url, STR("https://"));
    w->origin = config->public_url;
    enum err e = router_new(a, config->privacy ? config->privacy->inventory : NULL, config->routes, config->n_lists, &w->router, f);
    if (e == OK && (w->limits = limits_new(config->rates)) == NULL)
        e = FAIL(f, ERR_BUSY, "out of memory");
    if (e != OK) {
        arena_free(&a);
        return e;
    }
    *out = w;
    return OK;
}

void web_close(struct web **w)
{
    if (*w == NULL)
        return;
    struct arena *a = (*w)->arena;
    limits_free(&(*w)->limits);
    *w = NULL;
    arena_free(&a);
}

/* ---- the head ---- */

static void refuse(struct exchange *x, int status, const char *why)
{
    if (x->refused == 0) {
        x->refused = status;
        x->why = why;
    }
}

/* Do they want JSON rather than a page? */
static bool wants_json(const struct head *h)
{
    str accept = head_get(h, "Accept");
    return (str_contains(accept, STR("application/json")) ||
            str_contains(accept, STR("application/problem+json"))) &&
           !str_contains(accept, STR("text/html"));
}

/* The address of the visitor: the socket's, or what our own proxy says. */
static str peer_of(const struct web *w, const struct head *h)
{
    str forwarded = head_get(h, "X-Forwarded-For"), before, last;
    if (!w->config.behind_proxy || forwarded.n == 0)
        return h->peer;
    return str_cut_last(forwarded, ',', &before, &last) ? str_trim(last) : str_trim(forwarded);
}

static bool is_loopback(const struct web *w, const struct head *h)
{
    bool proxied = head_count(h, "X-Forwarded-For") > 0 || head_count(h, "Forwarded") > 0;
    (void)w;
    return !proxied && (h->peer.n == 0 || str_starts(h->peer, STR("127.")) || str_is(h->peer, "::1"));
}

static void set_locale(struct exchange *x, const struct person *person)
{
    struct request *req = &x->req;
    const struct privacy *p = request_privacy(req);
    int l = catalog_find_language(p->catalog, cookie_read(req, "language")); /* programs have none */
    if (l < 0 && person != NULL)
        l = catalog_find_language(p->catalog, person->language);
    if (l < 0)
        l = catalog_negotiate(p->catalog, head_get(req->head, "Accept-Language"));
    req->locale = (struct locale){l, catalog_language(p->catalog, l), NULL, p->formats};
    if (person != NULL && person->zone.n > 0)
        req->locale.zone = str_cstr(req->arena, person->zone);
}

/* Who is it? A database that is away is no reason to forget that somebody is signed in. */
static enum err find_person(struct exchange *x)
{
    struct request *req = &x->req;
    const struct privacy *p = request_privacy(req);
    struct person person = {0};
    str token = cookie_read(req, "session");
    if (token.n == 0)
        return OK;
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, req->arena, req->fault);
    TRY(session_find(tx, p->clock, token, &req->session));
    if (!req->session.there)
        return OK;
    if (req->web->config.person)
        TRY(req->web->config.person(tx, req->web->config.app, req->session.account, &person));
    set_locale(x, &person);
    /* Asked anew at every request: what is taken from somebody is gone on every server at once. */
    if (req->route->guard == GUARD_STAFF && req->session.staff && req->web->config.standing)
        TRY(req->web->config.standing(tx, req->web->config.app, req->session.account, req->peer, &req->staff));
    return session_touch(p->db, p->clock, &req->session, req->arena, req->fault);
}

static str allow_text(struct arena *a, int allowed)
{
    struct buf b = buf_new(a, 40);
    static const struct {
        int method;
        const char *name;
    } names[] = {{METHOD_GET, "GET, HEAD"}, {METHOD_POST, "POST"}, {METHOD_PUT, "PUT"}};
    for (size_t i = 0; i < COUNT(names); i++)
        if (allowed & names[i].method)
            buf_fmt(&b, "%s%s", b.n ? ", " : "", names[i].name);
    return buf_str(&b);
}

/*
 * To the public and to customers, nothing under the desk's paths exists: a 401 or 403 would say which
 * paths there are, and to somebody who has got hold of an account, whether it is one of the staff's.
 * Who works here is told what keeps them out, for they can do something about it.
 */
static void check_staff(struct exchange *x, str here)
{
    struct request *req = &x->req;
    const struct standing *s = &req->staff;
    if (!s->here) {
        /* The same page, to the byte, as at an address that is none: there nobody is asked who they are. */
        req->session = (struct session){0};
        set_locale(x, NULL);
        refuse(x, 404, MSG("problem.not-found"));
    } else if (!s->network) {
        refuse(x, 403, MSG("problem.network"));
    } else if (!s->second_factor) {
        refuse(x, 403, MSG("problem.second-factor"));
        req->redirect = STR("/account/security?done=second-factor-first");
    } else if (req->session.factor == 0) { /* the session is older than the factor */
        refuse(x, 403, MSG("problem.confirm"));
        req->redirect = str_fmt(req->arena, "/account/confirm?with=factor&next=%.*s",
                                STR_FMT(percent_encode(req->arena, req->route->method == METHOD_GET ? here : STR("/desk"))));
    } else if ((s->roles & req->route->roles) == 0) {
        refuse(x, 403, MSG("problem.role"));
    }
}

/* A row's page to come back to, with this request's own values for its segments. */
static str again_path(const struct request *req)
{
    str pattern = str_from(req->route->again ? req->route->again : "/account");
    struct buf b = buf_new(req->arena, 1024);
    int segment = 0;
    for (size_t i = 0; i < pattern.n; i++) {
        bool value = pattern.p[i] == ':';
        buf_put(&b, value ? req->segment[segment++] : str_of(pattern.p + i, 1));
        while (value && i + 1 < pattern.n && pattern.p[i + 1] != '/')
            i++;
    }
    return buf_str(&b);
}

/* By its token. The transaction is kept for the handler, unless a body is still to come. */
static enum err check_device(struct exchange *x)
{
    struct request *req = &x->req;
    const struct web_config *c = &req->web->config;
    str given = head_get(req->head, "Authorization"), token = str_skip(given, 7);
    bool bearer = given.n > 7 && given.n < 300 && strncasecmp(given.p, "Bearer ", 7) == 0 && utf8_is_line(token);
    enum err e = ERR_NOT_FOUND;
    if (bearer && !limits_take_named(req->web->limits, RATE_TOKEN, token, &x->wait_s)) {
        refuse(x, 429, MSG("problem.too-often"));
        return OK;
    }
    if (bearer && c->device)
        e = c->device(req, token);
    if (req->route->method != METHOD_GET)
        request_rest(req);
    if (e == ERR_NOT_FOUND)
        response_header(&x->response, "WWW-Authenticate", STR("Bearer"));
    if (e == ERR_NOT_FOUND || e == ERR_DENIED) {
        fault_clear(req->fault);
        refuse(x, e == ERR_DENIED ? 410 : 401, e == ERR_DENIED ? MSG("problem.disconnected") : MSG("problem.token-unknown"));
    }
    return e == ERR_NOT_FOUND || e == ERR_DENIED ? OK : e;
}

/* The guard of a row, before its handler. */
static void check_guard(struct exchange *x)
{
    struct request *req = &x->req;
    const struct route *r = req->route;
    str here = str_fmt(req->arena, "%.*s%s%.*s", STR_FMT(req->path), req->query.n ? "?" : "",
                       STR_FMT(req->query));
    if (r->guard == GUARD_STAFF) {
        check_staff(x, here);
    } else if (r->guard == GUARD_DEVICE) {
        if (check_device(x) != OK)
            refuse(x, 503, MSG("problem.busy"));
    } else if (r->guard == GUARD_LOOPBACK && !is_loopback(req->web, req->head)) {
        refuse(x, 404, MSG("problem.not-found"));
    } else if (r->guard == GUARD_SIGNED_IN || r->guard == GUARD_RECENT) {
        bool recent = session_is_recent(&req->session, request_privacy(req)->clock);
        if (!req->session.there) {
            refuse(x, 401, MSG("problem.sign-in"));
            req->redirect = str_fmt(req->arena, "/sign-in?next=%.*s",
                                    STR_FMT(percent_encode(req->arena, r->method == METHOD_GET ? here : STR("/account"))));
        } else if (r->guard == GUARD_RECENT && !recent) {
            refuse(x, 403, MSG("problem.confirm"));
            str back = r->method == METHOD_GET ? here : again_path(req);
            req->redirect = str_fmt(req->arena, "/account/confirm?next=%.*s",
                                    STR_FMT(percent_encode(req->arena, back)));
        }
    }
}

static void check_body(struct exchange *x)
{
    struct request *req = &x->req;
    str type = head_get(req->head, "Content-Type"), length = head_get(req->head, "Content-Length");
    size_t max = req->route->body_max ? req->route->body_max : DEFAULT_BODY;
    int64_t n = 0;
    if (req->route->raw) {
        if (length.n > 0 && (!str_to_int(length, &n) || n > (int64_t)max))
            refuse(x, 413, MSG("problem.too-large"));
        x->body = buf_new(x->arena, max);
        return;
    }
    req->form.form = req->route->forms ? req->route->forms(req) : req->route->form;
    if (req->route->message && req->form.form == NULL) {
        if (length.n > 0 && (!str_to_int(length, &n) || n > (int64_t)max))
            refuse(x, 413, MSG("problem.too-large"));
        else
            message_begin(x);
        x->body = buf_new(x->arena, max);
        return;
    }
    if (req->form.form == NULL) {
        refuse(x, 404, MSG("problem.not-found"));
        return;
    }
    if (length.n > 0 && (!str_to_int(length, &n) || n > (int64_t)max)) {
        refuse(x, 413, MSG("problem.too-large"));
    } else if (str_starts(type, STR("multipart/form-data"))) {
        bool files = false;
        for (size_t i = 0; i < req->form.form->n; i++)
            files |= req->form.form->fields[i].type == FIELD_FILE;
        if (!files || !req->session.there)
            refuse(x, 415, MSG("problem.media-type"));
        else if (upload_start(x, type) != OK)
            refuse(x, 400, MSG("problem.form"));
    } else if (type.n > 0 && !str_starts(type, STR("application/x-www-form-urlencoded"))) {
        refuse(x, 415, MSG("problem.media-type"));
    }
    x->body = buf_new(x->arena, max);
}

static void read_head(struct exchange *x)
{
    struct request *req = &x->req;
    struct web *w = req->web;
    int allowed;
    req->api = str_starts(req->head->target, STR("/api/")); /* also where nothing else of it can be read */
    req->json = req->api || wants_json(req->head);
    req->peer = peer_of(w, req->head);
    set_locale(x, NULL);
    if (head_check(req->head, req->fault) != OK) {
        x->response.close = true;
        refuse(x, 400, MSG("problem.request"));
        return;
    }
    if (target_split(x->arena, req->head->target, &req->path, &req->query) != OK) {
        req->path = STR("/");
        refuse(x, 400, MSG("problem.request"));
        return;
    }
    if (str_starts(req->path, STR("/api/"))) {
        req->api = req->json = true;
        set_locale(x, NULL); /* anew: not by a cookie */
    }
    req->method = method_named(req->head->method);
    req->route = router_find(w->router, req->method, req->path, req->segment, &allowed);
    if (req->route == NULL && router_is_staffs(w->router, req->path))
        allowed = 0; /* 405 would say that there is something */
    if (req->route == NULL && allowed == 0 && req->path.n > 1 && str_ends(req->path, STR("/"))) {
        req->redirect = str_head(req->path, req->path.n - 1);
        if (router_find(w->router, METHOD_GET, req->redirect, req->segment, &allowed) != NULL &&
            !router_is_staffs(w->router, req->redirect)) {
            refuse(x, 308, MSG("problem.moved"));
            return;
        }
        req->redirect = (str){NULL, 0};
        allowed = 0;
    }
    if (req->route == NULL) {
        if (allowed)
            response_header(&x->response, "Allow", allow_text(x->arena, allowed));
        refuse(x, allowed ? 405 : 404, allowed ? MSG("problem.method") : MSG("problem.not-found"));
    } else if (!limits_take(w->limits, req->route->rate, req->peer, &x->wait_s)) {
        refuse(x, 429, MSG("problem.too-often"));
    } else if (!req->api && find_person(x) != OK) {
        refuse(x, 503, MSG("problem.busy"));
    } else {
        check_guard(x);
        if (x->refused == 0 && (req->method == METHOD_POST || req->method == METHOD_PUT))
            check_body(x);
    }
}

struct exchange *web_begin(struct web *w, const struct head *head)
{
    struct arena *a = arena_new(REQUEST_ARENA);
    struct exchange *x = ARENA_NEW(a, struct exchange);
    w->active++;
    x->arena = a;
    x->head = *head;
    x->began = clock_ticks();
    x->response.status = 200;
    x->req = (struct request){.web = w,
                              .arena = a,
                              .fault = &x->fault,
                              .head = &x->head,
                              .view = json_object(),
                              .response = &x->response,
                              .id = id_new()};
    read_head(x);
    return x;
}

bool web_refused(const struct exchange *x)
{
    return x->refused != 0;
}

/* ---- the body ---- */

static int status_of(enum err e)
{
    static const int statuses[] = {
        [OK] = 200,          [ERR_INPUT] = 400, [ERR_DENIED] = 403, [ERR_NOT_FOUND] = 404,
        [ERR_CONFLICT] = 409, [ERR_LIMIT] = 429, [ERR_BUSY] = 503,   [ERR_IO] = 500,
    };
    return statuses[e];
}

static const char *why_of(enum err e)
{
    static const char *const keys[] = {
        [OK] = MSG("problem.request"),
        [ERR_INPUT] = MSG("problem.request"),
        [ERR_DENIED] = MSG("problem.denied"),
        [ERR_NOT_FOUND] = MSG("problem.not-found"),
        [ERR_CONFLICT] = MSG("problem.conflict"),
        [ERR_LIMIT] = MSG("problem.too-often"),
        [ERR_BUSY] = MSG("problem.busy"),
        [ERR_IO] = MSG("problem.broken"),
    };
    return keys[e];
}

void web_body(struct exchange *x, str bytes)
{
    if (x->refused != 0 || (x->req.method != METHOD_POST && x->req.method != METHOD_PUT))
        return;
    if (bytes.n > x->body.max - MIN_OF(x->body.n, x->body.max)) {
        refuse(x, 413, MSG("problem.too-large"));
        return;
    }
    if (x->multipart == NULL) {
        buf_put(&x->body, bytes);
        return;
    }
    x->body.n += bytes.n; /* counted, not kept */
    enum err e = multipart_push(x->multipart, bytes);
    if (e == ERR_LIMIT)
        refuse(x, 413, MSG("problem.too-large"));
    else if (e != OK)
        refuse(x, e == ERR_INPUT ? 400 : status_of(e), e == ERR_INPUT ? MSG("problem.form") : why_of(e));
}

/* ---- the handler ---- */

static void prepare_forms(struct request *req, const struct route *page)
{
    size_t n = 0;
    const struct form *chosen = page->forms ? page->forms(req) : NULL;
    while (page->shows && page->shows[n])
        n++;
    req->n_shown = n + (chosen != NULL);
    req->shown = ARENA_ARRAY(req->arena, struct form_state, req->n_shown);
    for (size_t i = 0; i < req->n_shown; i++) {
        req->shown[i].form = i < n ? page->shows[i] : chosen;
        if (req->shown[i].form == req->form.form)
            req->shown[i] = req->form;
    }
}

static void forget_attempt(struct request *req)
{
    tx_end(&req->tx);
    req->writing = false;
    json_object_clear(req->view);
    req->template = NULL;
    req->redirect = (str){NULL, 0};
    req->response->body = (str){NULL, 0};
    req->problem = NULL;
}

/* Runs the handler and commits; begins anew where another transaction was in the way. */
static enum err run_handler(struct request *req, handler *run)
{
    size_t headers = req->response->n_headers;
    struct session session = req->session;
    for (int attempt = 1;; attempt++) {
        enum err e = run(req);
        bool retry = false, wrote = req->writing;
        if (req->tx != NULL) {
            if (e == OK)
                e = tx_commit(req->tx);
            retry = e != OK && tx_should_retry(req->tx);
        }
        if (!retry || attempt == MAX_ATTEMPTS) {
            tx_end(&req->tx);
            req->writing = false;
            if (e != OK)
                req->response->n_headers = headers; /* no cookie of what was not done */
            if (e == OK && wrote && req->web->config.committed)
                req->web->config.committed(req->web->config.app);
            return e;
        }
        forget_attempt(req);
        db_give_way(attempt);
        fault_clear(req->fault);
        req->response->n_headers = headers;
        req->session = session; /* a handler that signs out has cleared it */
    }
}

/* The form was wrong: its page is made again, with the same values and the messages. */
static enum err show_again(struct request *req)
{
    int allowed;
    str segments[MAX_SEGMENTS];
    const struct route *page =
        req->route->again
            ? router_find(req->web->router, METHOD_GET, again_path(req), segments, &allowed)
            : NULL;
    forget_attempt(req);
    fault_clear(req->fault);
    if (page == NULL || req->json)
        return ERR_INPUT;
    if (req->status < 400)
        req->status = 422;
    memcpy(req->segment, segments, sizeof segments);
    prepare_forms(req, page);
    return run_handler(req, page->run);
}

void web_refuse(struct exchange *x, int status, const char *why)
{
    refuse(x, status, why);
}

enum err web_run(struct request *req)
{
    return run_handler(req, req->route->run);
}

static enum err read_form(struct exchange *x)
{
    struct request *req = &x->req;
    if (x->multipart)
        TRY(upload_finish(x));
    else
        TRY(form_read(&req->form, x->arena, buf_str(&x->body), &x->csrf, req->fault));
    return OK;
}

static enum err run_post(struct exchange *x)
{
    struct request *req = &x->req;
    if (req->route->raw) {
        req->body = buf_str(&x->body);
        return run_handler(req, req->route->run);
    }
    if (read_form(x) != OK) {
        refuse(x, 400, MSG("problem.form"));
        return ERR_INPUT;
    }
    if (!req->api && !req->route->no_csrf && !csrf_ok(req, x->csrf)) {
        refuse(x, 403, MSG("problem.csrf"));
        return ERR_DENIED;
    }
    form_check(&req->form, x->arena);
    enum err e = OK;
    if (req->route->shows && !req->form.wrong)
        prepare_forms(req, req->route);
    if (!req->form.wrong || req->route->own_errors)
        e = run_handler(req, req->route->run);
    if (!req->form.wrong || req->route->own_errors || (e != OK && e != ERR_INPUT))
        return e;
    int status = req->status >= 400 ? req->status : 422;
    e = show_again(req);
    if (e != OK) {
        refuse(x, status, MSG("problem.fields"));
        return ERR_INPUT;
    }
    return OK;
}

static enum err run_get(struct request *req)
{
    prepare_forms(req, req->route);
    return run_handler(req, req->route->run);
}

/* ---- the answer ---- */

static void answer_redirect(struct request *req, int status)
{
    req->status = req->response->status = status;
    response_header(req->response, "Location", req->redirect);
    response_header(req->response, "Cache-Control", STR("no-store"));
}

/* A handler said "see there". */
static enum err answer_see(struct request *req)
{
    if (!req->json) {
        answer_redirect(req, 303);
        return OK;
    }
    json_put_str(req->view, "location", req->redirect);
    return page_render(req, req->status, "");
}

static enum err answer(struct request *req)
{
    if (req->redirect.n > 0)
        return answer_see(req);
    if (req->template != NULL)
        return page_render(req, req->status, req->template);
    if (req->response->body.p != NULL || req->response->source.read != NULL)
        return OK;
    return FAIL(req->fault, ERR_IO, "the handler gave no answer");
}

/* A page that says what is wrong, such as a link that was used: a program gets it as a problem. */
static bool is_problem(const struct request *req)
{
    return req->json && req->template != NULL && req->redirect.n == 0 && req->status >= 400;
}

static void answer_refused(struct exchange *x)
{
    struct request *req = &x->req;
    bool moved = x->refused == 308;
    if (req->redirect.n > 0 && (moved || !req->json)) {
        answer_redirect(req, moved ? 308 : 303);
        return;
    }
    page_problem(x, x->refused, x->why);
}

static void log_request(struct exchange *x)
{
    struct web *w = x->req.web;
    int64_t micros = clock_ticks() - x->began;
    int status = x->response.status;
    if (x->unseen)
        return;
    w->requests[status / 100 % 6]++;
    w->micros += micros;
    if (x->fault.code != OK && status >= 500)
        log_fault(w->config.privacy->log, "request-failed", id_str(&x->req.id), &x->fault);
    /* The route, never the path: a path may carry a token. */
    log_event(w->config.privacy->log, LOG_INFO, "request", LOG_TEXT("id", id_str(&x->req.id)),
              LOG_TEXT("method", str_from(x->req.method == METHOD_POST  ? "POST"
                                          : x->req.method == METHOD_PUT  ? "PUT"
                                          : x->req.method == METHOD_HEAD ? "HEAD"
                                          : x->req.method == METHOD_GET  ? "GET"
                                                                         : "other")),
              LOG_TEXT("route", str_from(x->req.route ? x->req.route->path : "none")),
              LOG_INT("status", status), LOG_INT("micros", micros));
}

const struct response *web_finish(struct exchange *x)
{
    struct request *req = &x->req;
    enum err e = OK;
    page_headers(req);
    if (x->refused == 0) {
        bool message = req->route->message && req->form.form == NULL;
        e = message ? message_run(x) : req->method == METHOD_POST ? run_post(x) : run_get(req);
        if (e == OK && is_problem(req))
            refuse(x, req->status,
                   req->status == 410   ? MSG("problem.gone")
                   : req->status == 404 ? MSG("problem.not-found")
                                        : MSG("problem.request"));
        else if (e == OK)
            e = answer(req);
        if (e != OK) {
            req->redirect = (str){NULL, 0}; /* where it would have led, had it been done */
            x->wait_s = req->wait_s ? req->wait_s : x->wait_s;
            if (req->problem)
                refuse(x, req->status, req->problem);
            refuse(x, status_of(e), why_of(e));
        }
    }
    if (x->refused != 0) {
        if (x->response.source.read != NULL)
            x->response.source.close(x->response.source.state);
        x->response.source = (struct body_source){0};
        answer_refused(x);
    }
    if (req->set_form_cookie)
        request_set_cookie(req, "form", req->form_secret);
    log_request(x);
    return &x->response;
}

void web_end(struct exchange **x)
{
    struct exchange *e = *x;
    *x = NULL;
    if (e->response.source.read != NULL)
        e->response.source.close(e->response.source.state);
    tx_end(&e->req.tx);
    upload_done(&e->req);
    json_decref(e->req.view);
    json_decref(e->req.message);
    e->req.web->active--;
    struct arena *a = e->arena;
    arena_free(&a);
}

struct web_figures web_figures(const struct web *w)
{
    struct web_figures g = {.active = w->active,
                            .micros = w->micros};
    for (size_t i = 0; i < COUNT(g.requests); i++)
        g.requests[i] = w->requests[i];
    return g;
}
