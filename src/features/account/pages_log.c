/* The security log, read and downloaded by its owner (spec SEC-04, REC-07). */
#include "features/account/pages.h"

#include "base/codec.h"
#include "privacy/reading.h"
#include "privacy/trail.h"

enum { A_PAGE = 50, PART = 1000, PARTS = 10 };

enum err own_note(struct request *req, const char *kind)
{
    CLEANUP(key_wipe) struct key k;
    TRY(request_key(req, &k));
    return account_note(req, request_write(req), SIGNED_IN(req), &k, kind);
}

static str in_words(struct request *req, const char *record, const char *field, str value)
{
    const struct privacy *p = request_privacy(req);
    const struct field *f = record_field(inventory_record(p->inventory, str_from(record)), str_from(field));
    return inventory_value_words(p->catalog, &req->locale, req->arena, f, value);
}
/* "support privacy" */
static str roles_words(struct request *req, str roles)
{
    struct buf b = buf_new(req->arena, 1000);
    str name, rest = roles;
    while (rest.n > 0) {
        if (!str_cut(rest, ' ', &name, &rest)) {
            name = rest;
            rest = (str){NULL, 0};
        }
        int role = role_named(name);
        str words = role < 0 ? name
                             : catalog_text(request_privacy(req)->catalog, &req->locale, req->arena,
                                            str_fmt(req->arena, "role.%s", role_name((enum role)role)).p, NULL);
        buf_fmt(&b, "%s%.*s", b.n ? ", " : "", STR_FMT(words));
    }
    return buf_str(&b);
}

static str note_words(struct request *req, const struct trail_event *e)
{
    str decision, number;
    if (str_is(e->kind, "signed-in"))
        return in_words(req, "session", "how", e->note);
    if (str_starts(e->kind, STR("staff-")))
        return roles_words(req, e->note);
    if (str_is(e->kind, "objection-decided") && str_cut(e->note, ' ', &decision, &number))
        return in_words(req, "objection", "state", decision);
    return e->note;
}

/* What stands in the note: of a reading, by whom, what and why; of a sign-in, by what; otherwise as it is. */
static void put_note(struct request *req, const struct trail_event *e, json_t *j)
{
    struct reading_note n;
    bool reading = (str_is(e->kind, EVENT_READ) || str_is(e->kind, EVENT_IN_VAIN)) && reading_parse(e->note, &n);
    json_put_bool(j, "reading", reading);
    if (reading)
        json_put(j, "read", reading_view(request_privacy(req), req->arena, &req->locale, &n));
    str note = note_words(req, e);
    json_put_bool(j, "has_note", !reading && note.n > 0);
    json_put_str(j, "note", note);
}

static void put_event(struct request *req, const struct trail_event *e, json_t *list)
{
    json_t *j = json_add_object(list);
    json_put_int(j, "number", e->seq);
    json_put_str(j, "kind", e->kind);
    json_put_str(j, "what", in_words(req, "security_event", "kind", e->kind));
    json_put_moment(j, "when", req->arena, e->made);
    json_put_str(j, "browser", e->browser);
    json_put_str(j, "address", request_origin(req, &req->locale, e->address));
    json_put_bool(j, "has_origin", e->browser.n > 0 || e->address.n > 0);
    put_note(req, e, j);
}

static enum err read_events(struct request *req, int64_t before, int limit, struct trail_event **events, size_t *n)
{
    CLEANUP(key_wipe) struct key k;
    TRY(request_key(req, &k));
    return trail_list(request_read(req), request_privacy(req), req->session.account, &k, before, limit, events, n);
}

static enum err show_log(struct request *req)
{
    struct trail_event *events;
    size_t n;
    int64_t before = 0;
    str given = request_query(req, "before", 20);
    if (given.n > 0 && (!str_to_int(given, &before) || before < 1))
        return ERR_NOT_FOUND;
    TRY(read_events(req, before, A_PAGE + 1, &events, &n));
    bool more = n > A_PAGE;
    json_t *list = json_put_array(req->view, "events");
    for (size_t i = 0; i < n && i < A_PAGE; i++)
        put_event(req, &events[i], list);
    json_put_bool(req->view, "more", more);
    json_put_str(req->view, "next", more ? str_fmt(req->arena, "/account/security/log?before=%lld", (long long)events[A_PAGE - 1].seq)
                                         : STR(""));
    json_put_bool(req->view, "newest", before == 0);
    return request_page(req, "account/log");
}

/* The latest ten thousand: more than anybody does in a year, and no more than fits in a request. */
static enum err list_latest(struct request *req, json_t *list, bool *more)
{
    int64_t before = 0;
    *more = true;
    for (int part = 0; part < PARTS && *more; part++) {
        struct trail_event *events;
        size_t n;
        TRY(read_events(req, before, PART, &events, &n));
        for (size_t i = 0; i < n; i++)
            put_event(req, &events[i], list);
        *more = n == PART;
        before = n > 0 ? events[n - 1].seq : 0;
    }
    return OK;
}

static enum err download_log(struct request *req)
{
    CLEANUP(json_done) json_t *j = json_object();
    const struct privacy *p = request_privacy(req);
    struct date d = moment_date(clock_now(p->clock));
    json_put_moment(j, "made", req->arena, clock_now(p->clock));
    bool more;
    TRY(list_latest(req, json_put_array(j, "events"), &more));
    json_put_bool(j, "more", more);
    response_header(req->response, "Cache-Control", STR("no-store"));
    response_header(req->response, "Content-Disposition",
                    str_fmt(req->arena, "attachment; filename=\"security-log-%04d-%02d-%02d.json\"", d.year, d.month, d.day));
    return request_bytes(req, 200, "application/json", json_encode(req->arena, j, true));
}

const struct route log_routes[] = {
    {METHOD_GET, "/account/security/log", show_log, GUARD_SIGNED_IN, RATE_PAGE},
    {METHOD_GET, "/account/security/log/download", download_log, GUARD_RECENT, RATE_FORM},
    {0},
};
