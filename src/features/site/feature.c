/* The public pages, and what machines ask for: health, metrics, the well-known files. */
#include "features/site/site.h"

#include <string.h>

/* ---- home and language ---- */

static enum err show_home(struct request *req)
{
    int64_t kept, all;
    TRY(verify_count(request_read(req), request_privacy(req), &kept, &all));
    json_put_int(req->view, "kept", kept);
    json_put_int(req->view, "promises", all);
    json_put_bool(req->view, "all_kept", kept == all);
    return request_page(req, "site/home");
}

/* A link rather than a form: it works for everybody, and all it does is a cookie of theirs. */
static enum err set_language(struct request *req)
{
    const struct catalog *c = request_privacy(req)->catalog;
    str to = request_query(req, "to", 8), back = request_query(req, "back", 600);
    int l = catalog_find_language(c, to);
    if (l < 0)
        return ERR_NOT_FOUND;
    request_set_cookie(req, "language", str_from(catalog_language(c, l)));
    return request_see(req, 200, request_is_local(back) ? back : STR("/"));
}

static enum err get_asset(struct request *req)
{
    const struct asset *x = asset_find(req->segment[0]);
    const char *encoding;
    if (x == NULL)
        return ERR_NOT_FOUND;
    str body = asset_body(x, head_get(req->head, "Accept-Encoding"), &encoding);
    response_header(req->response, "Cache-Control", STR("public, max-age=31536000, immutable"));
    response_header(req->response, "Vary", STR("Accept-Encoding"));
    if (encoding)
        response_header(req->response, "Content-Encoding", str_from(encoding));
    return request_bytes(req, 200, x->type, body);
}

/* ---- for machines ---- */

static enum err healthz(struct request *req)
{
    response_header(req->response, "Cache-Control", STR("no-store"));
    return request_bytes(req, 200, "text/plain; charset=utf-8", STR("ok\n"));
}

/* Ready means that both stores answer. */
static enum err readyz(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    struct vault_state s;
    TRY(query_run(SQL(request_read(req), "SELECT 1")));
    TRY(vault_state(p->vault, req->arena, &s, req->fault));
    response_header(req->response, "Cache-Control", STR("no-store"));
    return request_bytes(req, 200, "text/plain; charset=utf-8", STR("ready\n"));
}

static void put_metric(struct buf *b, const char *name, const char *kind, const char *help,
                       int64_t value)
{
    buf_fmt(b, "# HELP troth_%s %s\n# TYPE troth_%s %s\ntroth_%s %lld\n", name, help, name, kind,
            name, (long long)value);
}

static enum err count_rows(struct request *req, struct query *q, int64_t *out)
{
    (void)req;
    *out = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

/* Prometheus text format 0.0.4. Counts only: nothing of anybody. */
static enum err metrics(struct request *req)
{
    struct portal *p = PORTAL(req);
    struct web_figures w = web_figures(p->web);
    struct db_figures d = db_figures(p->privacy.db);
    struct work_figures k = work_figures(p->work);
    int64_t waiting, broken;
    struct buf b = buf_new(req->arena, 64 * 1024);
    TRY(count_rows(req, SQL(request_read(req), "SELECT count(*) FROM job"), &waiting));
    TRY(count_rows(req, SQL(request_read(req), "SELECT count(*) FROM promise_check WHERE verdict = 'broken'"), &broken));
    buf_text(&b, "# HELP troth_requests_total Requests answered, by class of status.\n"
                 "# TYPE troth_requests_total counter\n");
    for (int i = 1; i < 6; i++)
        buf_fmt(&b, "troth_requests_total{class=\"%dxx\"} %lld\n", i, (long long)w.requests[i]);
    put_metric(&b, "request_microseconds_total", "counter", "Time spent answering.", w.micros);
    put_metric(&b, "requests_active", "gauge", "Requests being answered.", w.active);
    put_metric(&b, "database_commits_total", "counter", "Write transactions committed.", d.commits);
    put_metric(&b, "database_batches_total", "counter", "Commits on disk.", d.batches);
    put_metric(&b, "database_retries_total", "counter", "Transactions begun anew.", d.retries);
    put_metric(&b, "database_failures_total", "counter", "Statements that failed.", d.failures);
    put_metric(&b, "jobs_waiting", "gauge", "Jobs not done.", waiting);
    put_metric(&b, "jobs_done_total", "counter", "Jobs done.", k.done);
    put_metric(&b, "jobs_failed_total", "counter", "Attempts that failed.", k.failed);
    put_metric(&b, "jobs_given_up_total", "counter", "Jobs given up.", k.given_up);
    put_metric(&b, "promises_broken", "gauge", "Promises found broken.", broken);
    response_header(req->response, "Cache-Control", STR("no-store"));
    return request_bytes(req, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&b));
}

/* RFC 9116. */
static enum err security_txt(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    moment now = clock_now(p->clock);
    moment expires = (now / MOMENT_DAY + 180) * MOMENT_DAY;
    str body = str_fmt(req->arena,
                       "Contact: %.*s\nExpires: %.*s\nPreferred-Languages: en, sv\n"
                       "Canonical: %.*s\nPolicy: %.*s\n",
                       STR_FMT(p->organisation->security_contact),
                       STR_FMT(moment_format(req->arena, expires)),
                       STR_FMT(request_url(req, req->arena, STR("/.well-known/security.txt"))),
                       STR_FMT(request_url(req, req->arena, STR("/privacy"))));
    response_header(req->response, "Cache-Control", STR("public, max-age=86400"));
    return request_bytes(req, 200, "text/plain; charset=utf-8", body);
}

/* W3C "A Well-Known URL for Changing Passwords". */
static enum err change_password(struct request *req)
{
    return request_see(req, 200, STR("/account/security"));
}

/* W3C Global Privacy Control: nothing is sold or shared here, so honouring it is all there is. */
static enum err gpc(struct request *req)
{
    response_header(req->response, "Cache-Control", STR("public, max-age=86400"));
    return request_bytes(req, 200, "application/json", STR("{\"gpc\":true,\"lastUpdate\":\"2026-11-22\"}"));
}

static enum err robots(struct request *req)
{
    response_header(req->response, "Cache-Control", STR("public, max-age=86400"));
    return request_bytes(req, 200, "text/plain; charset=utf-8", STR("User-agent: *\nDisallow: /account\nDisallow: /takeout\n"));
}

static const struct route public_routes[] = {
    {METHOD_GET, "/", show_home, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/language", set_language, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/assets/:name", get_asset, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/robots.txt", robots, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/healthz", healthz, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/readyz", readyz, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/metrics", metrics, GUARD_LOOPBACK, RATE_PAGE},
    {METHOD_GET, "/.well-known/security.txt", security_txt, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/.well-known/change-password", change_password, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/.well-known/gpc.json", gpc, GUARD_PUBLIC, RATE_PAGE},
    {0},
};

const struct feature feature_site = {
    .name = "site",
    .routes = (const struct route *const[]){public_routes, policy_routes, NULL},
};
