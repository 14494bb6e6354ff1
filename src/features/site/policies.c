/* The published policies, their proof, people's rights, receipts (spec GEN, RGT-01, CNT, MYA-25). */
#include "features/site/site.h"

#include <string.h>

#include "privacy/erasure.h"
#include "privacy/policy.h"

/* ---- policies ---- */

static void put_surfaces(struct request *req)
{
    const struct organisation *o = request_privacy(req)->organisation;
    json_t *list = json_put_array(req->view, "surfaces");
    for (size_t i = 0; i < o->n_surfaces; i++) {
        json_t *s = json_add_object(list);
        json_put_str(s, "name", o->surfaces[i].name.text[req->locale.language]);
        json_put_bool(s, "covered", o->surfaces[i].covered);
        json_put(s, "policy", o->surfaces[i].policy_url.n
                                  ? json_stringn(o->surfaces[i].policy_url.p, o->surfaces[i].policy_url.n)
                                  : json_null());
    }
}

/* Whoever comes to the page: controllers, contacts, the authority, as the newest policy has them. */
static void copy_contacts(struct request *req, const json_t *policy)
{
    static const char *const copied[] = {"controllers", "contacts", "authority", "processors",
                                         "countries", "has_countries", "regions"};
    for (size_t i = 0; i < COUNT(copied); i++)
        json_put(req->view, copied[i], json_incref(json_object_get(policy, copied[i])));
}

static enum err show_index(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    json_t *list = json_put_array(req->view, "policies");
    for (size_t i = 0; i < p->inventory->n_services; i++) {
        CLEANUP(json_done) json_t *policy = NULL;
        TRY(policy_get(request_read(req), p, p->inventory->services[i], 0, &req->locale, &policy));
        json_t *j = json_add_object(list);
        json_put_str(j, "policy", p->inventory->services[i]);
        json_put_str(j, "title", json_get_str(policy, "title"));
        json_put_int(j, "version", json_get_int(policy, "version"));
        json_put_str(j, "published", json_get_str(policy, "published"));
        if (i == 0)
            copy_contacts(req, policy);
    }
    put_surfaces(req);
    return request_page(req, "site/privacy");
}

static enum err put_versions(struct request *req, str service, int64_t shown)
{
    struct policy_version *versions;
    size_t n;
    TRY(policy_versions(request_read(req), request_privacy(req), service, &versions, &n));
    json_t *list = json_put_array(req->view, "versions");
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_add_object(list);
        json_put_int(v, "version", versions[i].version);
        json_put_moment(v, "published", req->arena, versions[i].published);
        json_put_bool(v, "current", versions[i].version == shown);
        json_put_str(v, "url", str_fmt(req->arena, "/privacy/%.*s/versions/%lld", STR_FMT(service),
                                       (long long)versions[i].version));
    }
    json_put_bool(req->view, "latest", n > 0 && versions[0].version == shown);
    return OK;
}

static enum err put_policy(struct request *req, str service, int64_t version)
{
    json_t *policy = NULL;
    TRY(policy_get(request_read(req), request_privacy(req), service, version, &req->locale, &policy));
    int64_t shown = json_get_int(policy, "version");
    json_put_bool(policy, "changed", json_array_size(json_object_get(policy, "changes")) > 0);
    json_put(req->view, "policy", policy);
    json_put(req->view, "told", json_null());
    feature_policy(req, service);
    return put_versions(req, service, shown);
}

static enum err show_policy(struct request *req)
{
    TRY(put_policy(req, req->segment[0], 0));
    return request_page(req, "site/policy");
}

static enum err show_version(struct request *req)
{
    int64_t version;
    if (!str_to_int(req->segment[1], &version) || version < 1)
        return ERR_NOT_FOUND;
    TRY(put_policy(req, req->segment[0], version));
    return request_page(req, "site/policy");
}

/* ---- the proof ---- */

static void put_promise(struct request *req, json_t *list, const struct promise_state *s)
{
    json_t *j = json_add_object(list);
    json_put_str(j, "promise", s->promise);
    json_put_str(j, "ids", s->ids);
    json_put_str(j, "text", s->text);
    json_put_text(j, "verdict", verdict_name(s->verdict));
    json_put_bool(j, "kept", s->verdict == VERDICT_KEPT);
    json_put_bool(j, "broken", s->verdict == VERDICT_BROKEN);
    json_put_bool(j, "unknown", s->verdict == VERDICT_UNKNOWN);
    json_put_str(j, "evidence", s->evidence);
    json_put_bool(j, "checked_ever", s->checked != 0);
    json_put_moment(j, "checked", req->arena, s->checked);
    json_put_moment(j, "since", req->arena, s->since);
}

static enum err show_promises(struct request *req)
{
    struct promise_state *states;
    size_t n, kept = 0, broken = 0;
    TRY(verify_states(request_read(req), request_privacy(req), &req->locale, &states, &n));
    json_t *general = json_put_array(req->view, "general"), *rules = json_put_array(req->view, "rules");
    moment last = 0;
    for (size_t i = 0; i < n; i++) {
        put_promise(req, str_starts(states[i].promise, STR("rule:")) ? rules : general, &states[i]);
        kept += states[i].verdict == VERDICT_KEPT;
        broken += states[i].verdict == VERDICT_BROKEN;
        last = MAX_OF(last, states[i].checked);
    }
    json_put_int(req->view, "kept", (int64_t)kept);
    json_put_int(req->view, "promises", (int64_t)n);
    json_put_int(req->view, "count", (int64_t)broken);
    json_put_bool(req->view, "all_kept", kept == n);
    json_put_bool(req->view, "some_broken", broken > 0);
    json_put_bool(req->view, "checked_ever", last != 0);
    json_put_moment(req->view, "checked", req->arena, last);
    return request_page(req, "site/promises");
}

/* ---- rights, receipts ---- */

static enum err show_rights(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(json_done) json_t *policy = NULL;
    TRY(policy_get(request_read(req), p, p->inventory->services[0], 0, &req->locale, &policy));
    copy_contacts(req, policy);
    return request_page(req, "site/rights");
}

static const struct form_field receipt_fields[] = {
    {"number", FIELD_TEXT, .required = true, .max = 60, .label = MSG("field.receipt")},
};
static const struct form receipt_form = {"receipt", receipt_fields, COUNT(receipt_fields)};

/* What a person types or pastes: blanks and capitals do not matter. */
static bool read_number(struct request *req, id *out)
{
    str typed = str_lower(req->arena, request_query(req, "number", 60));
    char text[64];
    size_t n = 0;
    for (size_t i = 0; i < typed.n && n < sizeof text; i++)
        if (typed.p[i] != ' ' && typed.p[i] != '-')
            text[n++] = typed.p[i];
    return id_parse(str_of(text, n), out) == OK;
}

static enum err show_receipt(struct request *req)
{
    struct receipt r;
    id number;
    str typed = request_query(req, "number", 60);
    enum err e = ERR_NOT_FOUND;
    if (read_number(req, &number))
        e = erasure_receipt(request_read(req), number, &r);
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    form_put(request_form(req, "receipt"), "number", typed);
    json_put_bool(req->view, "asked", typed.n > 0);
    json_put_bool(req->view, "unknown", typed.n > 0 && e != OK);
    if (e != OK) {
        json_put(req->view, "receipt", json_null());
        return request_page_as(req, typed.n > 0 ? 404 : 200, "site/receipt");
    }
    json_t *j = json_put_object(req->view, "receipt");
    json_put_str(j, "number", str_dup(req->arena, str_from(number.text)));
    json_put_moment(j, "asked", req->arena, r.asked);
    json_put_moment(j, "due", req->arena, r.due);
    json_put_moment(j, "erased", req->arena, r.done);
    json_put_bool(j, "done", r.done != 0);
    json_put_int(j, "records", r.records);
    json_put_int(j, "files", r.files);
    return request_page(req, "site/receipt");
}

const struct route policy_routes[] = {
    {METHOD_GET, "/privacy", show_index, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/privacy/promises", show_promises, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/privacy/rights", show_rights, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/privacy/receipt", show_receipt, GUARD_PUBLIC, RATE_FORM,
     .shows = (const struct form *const[]){&receipt_form, NULL}},
    {METHOD_GET, "/privacy/:service", show_policy, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/privacy/:service/versions/:version", show_version, GUARD_PUBLIC, RATE_PAGE},
    {0},
};
