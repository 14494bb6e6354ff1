/* The answer in words: pages with their frame, problem pages, problem+json, headers. */
#include "web/internal.h"

#include <string.h>

#include "base/codec.h"

enum { PAGE_BYTES = 4 << 20 };

/* ---- headers that every answer has ---- */

void page_headers(struct request *req)
{
    static const struct {
        const char *name;
        const char *value;
    } always[] = {
        {"Content-Security-Policy",
         "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
         "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
         "frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        /* no-referrer would make browsers send "Origin: null" with honest forms */
        {"Referrer-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), interest-cohort=()"},
    };
    for (size_t i = 0; i < COUNT(always); i++)
        response_header(req->response, always[i].name, str_from(always[i].value));
    if (req->web->tls)
        response_header(req->response, "Strict-Transport-Security", STR("max-age=63072000; includeSubDomains"));
}

static void put_type(struct request *req, const char *type)
{
    response_header(req->response, "Content-Type", str_from(type));
    if (response_get(req->response, "Cache-Control").p == NULL)
        response_header(req->response, "Cache-Control", STR("no-store"));
}

/* ---- the frame around a page ---- */

static void put_languages(struct request *req, json_t *page)
{
    const struct catalog *c = req->web->config.privacy->catalog;
    json_t *list = json_put_array(page, "languages");
    str back = str_fmt(req->arena, "%.*s%s%.*s", STR_FMT(req->path), req->query.n ? "?" : "",
                       STR_FMT(req->query));
    bool show = req->method != METHOD_POST && req->status < 400;
    for (size_t i = 0; i < catalog_languages(c); i++) {
        struct locale own = {(int)i, catalog_language(c, (int)i), NULL, req->locale.formats};
        json_t *x = json_add_object(list);
        json_put_text(x, "code", own.code);
        json_put_str(x, "name", format_value(req->arena, &own, FORMAT_LANGUAGE, str_from(own.code)));
        json_put_bool(x, "current", (int)i == req->locale.language);
        json_put_str(x, "url", str_fmt(req->arena, "/language?to=%s&back=%.*s", own.code,
                                       STR_FMT(percent_encode(req->arena, show ? back : STR("/")))));
    }
}

/* A person's own menu, or the desk's, by roles. */
static void put_menu(struct request *req, json_t *page, const char *name, bool desk)
{
    const struct web_config *c = &req->web->config;
    json_t *list = json_put_array(page, name);
    for (size_t i = 0; i < c->n_menu && req->session.there; i++) {
        bool mine = desk ? (c->menu[i].roles & req->staff.roles) != 0 : c->menu[i].roles == 0;
        if (!mine)
            continue;
        json_t *x = json_add_object(list);
        json_put_text(x, "url", c->menu[i].path);
        json_put_str(x, "label", catalog_text(c->privacy->catalog, &req->locale, req->arena, c->menu[i].label, NULL));
        json_put_bool(x, "current", str_is(req->path, c->menu[i].path));
    }
}

/* A word after a redirect: ?done=KEY shows the text done.KEY, if there is one. */
static void put_notice(struct request *req, json_t *page)
{
    const struct catalog *c = req->web->config.privacy->catalog;
    str done = req->method == METHOD_POST ? (str){NULL, 0} : request_query(req, "done", 60);
    str key = str_fmt(req->arena, "done.%.*s", STR_FMT(done));
    if (done.n > 0 && catalog_key(c, key) >= 0)
        json_put_str(page, "notice", catalog_text(c, &req->locale, req->arena, key.p, NULL));
    else
        json_put(page, "notice", json_null());
}

static json_t *frame_of(struct request *req)
{
    const struct web_config *c = &req->web->config;
    json_t *page = json_object();
    json_put_text(page, "language", req->locale.code);
    json_put_str(page, "product", c->privacy->organisation->product);
    json_put_bool(page, "signed_in", req->session.there);
    json_put_str(page, "csrf", req->session.there ? csrf_token(req) : (str){NULL, 0});
    json_put_str(page, "style", asset_url(req->arena, "app.css"));
    json_put_str(page, "script", asset_url(req->arena, "app.js"));
    json_put_str(page, "icon", asset_url(req->arena, "icon.svg"));
    json_put_bool(page, "demo", c->demo);
    json_put_str(page, "path", req->path);
    put_languages(req, page);
    json_put_bool(page, "staff", req->session.there && req->session.staff);
    put_menu(req, page, "menu", false);
    put_menu(req, page, "desk_menu", true);
    put_notice(req, page);
    return page;
}

static void put_forms(struct request *req)
{
    const struct catalog *c = req->web->config.privacy->catalog;
    if (req->n_shown == 0)
        return;
    str csrf = csrf_token(req);
    json_t *forms = json_put_object(req->view, "forms");
    bool wrong = false;
    for (size_t i = 0; i < req->n_shown; i++) {
        json_put(forms, req->shown[i].form->name, form_view(&req->shown[i], c, &req->locale, req->arena, csrf));
        wrong |= req->shown[i].wrong;
    }
    json_put_bool(req->view, "wrong", wrong);
    json_put_str(req->view, "csrf", csrf);
}

enum err page_render(struct request *req, int status, const char *template)
{
    req->status = req->response->status = status;
    put_forms(req);
    if (req->json) {
        put_type(req, "application/json");
        req->response->body = json_encode(req->arena, req->view, false);
        return OK;
    }
    struct buf b = buf_new(req->arena, PAGE_BYTES);
    json_put(req->view, "page", frame_of(req));
    TRY(template_render(req->web->config.pages, str_from(template), req->view, &req->locale, &b,
                        req->fault));
    put_type(req, "text/html; charset=utf-8");
    response_header(req->response, "Content-Language", str_from(req->locale.code));
    req->response->body = buf_str(&b);
    return OK;
}

/* ---- problems ---- */

static str problem_text(struct request *req, const char *key)
{
    return catalog_text(req->web->config.privacy->catalog, &req->locale, req->arena, key, NULL);
}

static void put_errors(struct request *req, json_t *problem)
{
    json_t *list = NULL;
    for (size_t i = 0; i < req->form.form->n; i++) {
        if (req->form.error[i] == NULL)
            continue;
        if (list == NULL)
            list = json_put_array(problem, "errors");
        json_t *x = json_add_object(list);
        json_put_text(x, "field", req->form.form->fields[i].name);
        json_put_text(x, "code", req->form.error[i]);
        json_put_str(x, "detail", problem_text(req, req->form.error[i]));
    }
}

/* Fields of a message, as programs get them. */
static void put_wrong(struct request *req, json_t *problem)
{
    json_t *list = json_put_array(problem, "fields");
    for (size_t i = 0; i < req->n_wrong; i++) {
        json_t *x = json_add_object(list);
        json_put_str(x, "name", req->wrong[i].name);
        json_put_str(x, "code", message_code(req->wrong[i].why));
        json_put_str(x, "detail", problem_text(req, req->wrong[i].why));
    }
}

/* A heading by its status; a form that has grown stale has one of its own. */
static str problem_title(struct request *req, int status, const char *why)
{
    if (strcmp(why, "problem.csrf") == 0)
        return problem_text(req, MSG("problem.csrf.title"));
    return problem_text(req, str_fmt(req->arena, "problem.%d", status).p);
}

/* RFC 9457. `why` says more than the status does; it is a key. */
static void problem_json(struct request *req, int status, const char *why)
{
    CLEANUP(json_done) json_t *j = json_object();
    struct arena *a = req->arena;
    str code = req->api ? message_code(why) : str_from(why);
    if (req->api) {
        json_put_str(j, "type", request_url(req, a, str_fmt(a, "/developers#%.*s", STR_FMT(code))));
        json_put_str(j, "title", problem_title(req, status, why));
    } else {
        json_put_text(j, "type", "about:blank");
        json_put_text(j, "title", status_text(status));
    }
    json_put_int(j, "status", status);
    json_put_str(j, "detail", problem_text(req, why));
    json_put_str(j, "code", code);
    json_put_str(j, "instance", str_fmt(a, "urn:troth:request:%s", req->id.text));
    if (req->n_wrong > 0)
        put_wrong(req, j);
    else if (req->form.form != NULL)
        put_errors(req, j);
    put_type(req, "application/problem+json");
    req->response->body = json_encode(a, j, false);
}

/* The page with the frame may itself be what fails; then a plain one says it. */
static void problem_plain(struct request *req, int status, const char *why)
{
    put_type(req, "text/plain; charset=utf-8");
    req->response->body = str_fmt(req->arena, "%d %s\n%.*s\n%s\n", status, status_text(status),
                                  STR_FMT(problem_text(req, why)), req->id.text);
}

void page_problem(struct exchange *x, int status, const char *why)
{
    struct request *req = &x->req;
    req->status = req->response->status = status;
    req->response->body = (str){NULL, 0};
    if (status == 429 || status == 503)
        response_header(req->response, "Retry-After", str_fmt(req->arena, "%d", x->wait_s ? x->wait_s : 5));
    if (req->json) {
        problem_json(req, status, why);
        return;
    }
    json_decref(req->view);
    req->view = json_object();
    req->n_shown = 0;
    json_put_int(req->view, "status", status);
    json_put_str(req->view, "title", problem_title(req, status, why));
    json_put_str(req->view, "detail", problem_text(req, why));
    json_put_str(req->view, "id", id_str(&req->id));
    json_put_bool(req->view, "ours", status >= 500);
    struct fault own = {0};
    struct fault *outer = req->fault;
    req->fault = &own;
    if (page_render(req, status, "web/problem") != OK)
        problem_plain(req, status, why);
    req->fault = outer;
}
