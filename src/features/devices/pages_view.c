/* A device in words, for the pages: its state, what is wrong, and how what was asked for goes. */
#include "features/devices/pages.h"

#include <string.h>

#include "features/connect/connect.h"

str device_word(struct request *req, const char *prefix, str word)
{
    const struct catalog *c = request_privacy(req)->catalog;
    str key = str_fmt(req->arena, "%s%.*s", prefix, STR_FMT(word));
    return catalog_key(c, key) < 0 ? word : catalog_text(c, &req->locale, req->arena, key.p, NULL);
}

static str text_of(struct request *req, const char *key)
{
    return catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, key, NULL);
}

/* Why an app could not do it: a code of the app's own, and words where we know it. */
str device_reason(struct request *req, str code)
{
    static const char *const known[] = {"not-supported", "not-allowed", "not-possible"};
    for (size_t i = 0; i < COUNT(known); i++)
        if (str_is(code, known[i]))
            return device_word(req, MSG("device-reason."), code);
    return code;
}

static str counted(struct request *req, const char *key, int64_t n)
{
    CLEANUP(json_done) json_t *values = json_object();
    json_put_int(values, "count", n);
    return catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, key, values);
}

str device_ago(struct request *req, moment then)
{
    moment past = clock_now(request_privacy(req)->clock) - then;
    if (past < 2 * MOMENT_MINUTE)
        return text_of(req, MSG("devices.now"));
    if (past < MOMENT_HOUR)
        return counted(req, MSG("devices.minutes-ago"), past / MOMENT_MINUTE);
    if (past < MOMENT_DAY)
        return counted(req, MSG("devices.hours-ago"), past / MOMENT_HOUR);
    if (past < 30 * MOMENT_DAY)
        return counted(req, MSG("devices.days-ago"), past / MOMENT_DAY);
    return format_value(req->arena, &req->locale, FORMAT_DATE, moment_format(req->arena, then));
}

str device_title(struct request *req, const struct device_entry *d)
{
    return d->name.n > 0 ? d->name : text_of(req, MSG("devices.nameless"));
}

/* One of these is true. */
static void put_one_of(struct request *req, json_t *j, const char *prefix, const char *const *words, str word)
{
    for (; *words; words++)
        json_put_bool(j, str_fmt(req->arena, "%s%s", prefix, *words).p, str_is(word, *words));
}

/* ---- problems ---- */

/* The newest command of that kind for that app. */
static const struct command *fix_of(const struct device_product *p, const char *kind, const struct command *fixes, size_t n)
{
    for (size_t i = 0; kind && i < n; i++)
        if (id_eq(fixes[i].binding.id, p->binding.id) && str_is(fixes[i].kind, kind))
            return &fixes[i];
    return NULL;
}

/* What the person reads of it: what was done has to show in the app's next report. */
static const char *stage_of(const struct command *c, const struct device_product *p)
{
    if (c == NULL)
        return "none";
    if (str_is(c->state, "done"))
        return c->ended >= p->reported ? "done" : "vain";
    return str_is(c->state, "queued") ? "queued" : str_is(c->state, "delivered") ? "delivered"
         : str_is(c->state, "failed") ? "failed" : "expired";
}

static moment since_of(const struct command *c)
{
    return c == NULL ? 0 : c->ended ? c->ended : str_is(c->state, "expired") ? c->expires : c->delivered ? c->delivered : c->made;
}

static void put_problem(struct request *req, json_t *j, const struct device_product *p, const struct problem *x,
                        const struct command *fixes, size_t n)
{
    static const char *const stages[] = {"none", "queued", "delivered", "done", "vain", "failed", "expired", NULL};
    const struct command *c = fix_of(p, x->fix, fixes, n);
    const char *stage = stage_of(c, p);
    bool waits = strcmp(stage, "queued") == 0 || strcmp(stage, "delivered") == 0 || strcmp(stage, "done") == 0;
    json_put_str(j, "problem", device_word(req, MSG("device-problem."), str_from(x->code)));
    json_put_bool(j, "grave", x->grave);
    json_put_bool(j, "by_license", strncmp(x->code, "license-", 8) == 0 || strcmp(x->code, "activation-failed") == 0);
    json_put_text(j, "fix", x->fix ? x->fix : "");
    json_put_str(j, "fix_word", x->fix ? device_word(req, MSG("device-fix."), str_from(x->fix)) : STR(""));
    json_put_bool(j, "offered", x->fix && !waits);
    json_put_bool(j, "waits", waits);
    put_one_of(req, j, "fix_", stages, str_from(stage));
    json_put_str(j, "reason", c ? device_reason(req, c->reason) : STR(""));
    json_put_bool(j, "has_reason", c && c->reason.n > 0);
    json_put_str(j, "since", c ? device_ago(req, since_of(c)) : STR(""));
    json_put_moment(j, "since_at", req->arena, since_of(c));
}

/* ---- products ---- */

static const char *product_state(const struct device_product *p)
{
    const char *worst = p->license.status.n > 0 ? "good" : "unknown";
    for (size_t i = 0; i < p->n_problems; i++) {
        if (p->problems[i].grave)
            return "problem";
        worst = "warning";
    }
    return worst;
}

static const char *const states[] = {"good", "warning", "problem", "silent", "unknown", NULL};

static void put_state(struct request *req, json_t *j, const char *state)
{
    put_one_of(req, j, "is_", states, str_from(state));
    json_put_str(j, "state", device_word(req, MSG("device-state."), str_from(state)));
}

static void put_product(struct request *req, json_t *j, const struct device_product *p, const struct command *fixes, size_t n)
{
    json_put_str(j, "app", connect_application_name(PORTAL(req), p->app));
    json_put_str(j, "version", p->version);
    put_state(req, j, product_state(p));
    json_put_bool(j, "told", p->license.status.n > 0);
    json_put_str(j, "license", device_word(req, MSG("device-license."), p->license.status));
    json_put_bool(j, "ends", p->license.expires != 0);
    json_put_moment(j, "expires", req->arena, p->license.expires);
    json_put_str(j, "reported", device_ago(req, p->reported));
    json_put_moment(j, "reported_at", req->arena, p->reported);
    json_t *problems = json_put_array(j, "problems");
    for (size_t i = 0; i < p->n_problems; i++)
        put_problem(req, json_add_object(problems), p, &p->problems[i], fixes, n);
    json_put_bool(j, "has_problems", p->n_problems > 0);
}

/* ---- a device ---- */

void device_put(struct request *req, json_t *j, const struct device_entry *d, const struct command *fixes, size_t n)
{
    static const char *const types[] = {"desktop", "laptop", "server", "phone", "tablet", NULL};
    bool other = true, wrong = false;
    str title = device_title(req, d);
    for (size_t i = 0; types[i]; i++)
        other &= !str_is(d->type, types[i]);
    json_put_str(j, "id", id_str(&d->id.id));
    json_put_str(j, "title", title);
    json_put_bool(j, "named", d->own_name.n > 0 && d->network_name.n > 0);
    json_put_str(j, "network_name", d->network_name);
    put_one_of(req, j, "is_", types, d->type);
    json_put_bool(j, "is_other", other);
    json_put_str(j, "type", device_word(req, MSG("device-type."), other ? STR("other") : d->type));
    json_put_str(j, "os", d->os_type.n ? str_fmt(req->arena, "%.*s %.*s", STR_FMT(d->os_type), STR_FMT(d->os_version)) : STR(""));
    json_put_bool(j, "has_os", d->os_type.n > 0);
    json_put_bool(j, "office", d->office);
    put_state(req, j, d->state);
    json_put_str(j, "seen", device_ago(req, d->seen));
    json_put_moment(j, "seen_at", req->arena, d->seen);
    json_put_moment(j, "made", req->arena, d->made);
    json_t *products = json_put_array(j, "products");
    for (size_t i = 0; i < d->n_products; i++) {
        put_product(req, json_add_object(products), &d->products[i], fixes, n);
        wrong |= d->products[i].n_problems > 0;
    }
    json_put_bool(j, "has_products", d->n_products > 0);
    json_put_bool(j, "wrong_there", wrong);
}

/* ---- all of them ---- */

static bool needs_somebody(const struct device_entry *d)
{
    return strcmp(d->state, "problem") == 0 || strcmp(d->state, "warning") == 0;
}

enum err devices_put(struct request *req, const struct key *k, bool office)
{
    struct device_entry *list;
    struct command *fixes;
    size_t n, n_fixes;
    int64_t shown = 0, calls = 0, well = 0;
    TRY(device_list(request_read(req), request_privacy(req), SIGNED_IN(req), k, &list, &n));
    TRY(fix_list(request_read(req), request_privacy(req), SIGNED_IN(req), (device_id){{{0}}}, &fixes, &n_fixes));
    json_t *all = json_put_array(req->view, "devices");
    for (size_t i = 0; i < n; i++) {
        if (office && !list[i].office)
            continue;
        device_put(req, json_add_object(all), &list[i], fixes, n_fixes);
        calls += needs_somebody(&list[i]);
        well += strcmp(list[i].state, "good") == 0;
        shown++;
    }
    json_put_bool(req->view, "none", shown == 0);
    json_put_bool(req->view, "many", shown > 1);
    json_put_bool(req->view, "calls", calls > 0);
    json_put_bool(req->view, "well", well == shown);
    json_put_int(req->view, "total", shown);
    json_put_int(req->view, "count", calls > 0 ? calls : shown);
    return OK;
}

void device_put_live(struct request *req, str source)
{
    json_t *live = json_put_object(req->view, "live");
    json_put_str(live, "script", asset_url(req->arena, "live.js"));
    json_put_str(live, "source", source);
    /* Where nobody holds connections for us, the page looks by itself while it waits for a device. */
    json_put_text(live, "events", PORTAL(req)->live ? LIST "/events" : "");
}
