/* The privacy role's own pages: who looked at what, and objections that wait for a human. */
#include "features/staff/model.h"

#include "base/codec.h"
#include "privacy/rights.h"

enum { PAGE = 25 };

static const char *const decisions[] = {"uphold", "overrule", NULL};
static const struct form_field open_fields[] = {
    {"id", FIELD_HIDDEN, .required = true, .max = ID_LENGTH},
};
static const struct form open_form = {"open", open_fields, COUNT(open_fields)};
static const struct form_field decide_fields[] = {
    {"id", FIELD_HIDDEN, .required = true, .max = ID_LENGTH},
    {"decision", FIELD_RADIO, .required = true, .label = MSG("desk.decision"), .choices = decisions, .choice_prefix = MSG("desk.choice-")},
    {"ground", FIELD_LINES, .max = 2000, .label = MSG("desk.ground"), .hint = MSG("desk.ground-hint")},
};
static const struct form decide_form = {"decide", decide_fields, COUNT(decide_fields)};

/* ---- who looked at what ---- */

/* What was recorded of readings is the privacy role's to read without a reason of its own: to ask for
 * one here would record the reading of the record of readings, without an end. */

static str pseudonym_of(const struct staff *staff, size_t n, id account)
{
    for (size_t i = n; i > 0; i--) /* the latest, where somebody came back */
        if (id_eq(staff[i - 1].account.id, account))
            return staff[i - 1].pseudonym;
    return (str){NULL, 0};
}

static void put_choice(json_t *list, str pseudonym, str chosen)
{
    json_t *j = json_add_object(list);
    json_put_str(j, "pseudonym", pseudonym);
    json_put_bool(j, "chosen", str_eq(pseudonym, chosen));
}

static void put_entry(struct request *req, json_t *list, const struct reading_entry *e, str pseudonym)
{
    json_t *j = json_add_object(list);
    json_t *words = reading_view(request_privacy(req), req->arena, &req->locale, &e->note);
    bool known = e->note.pseudonym.n > 0;
    json_put_moment(j, "when", req->arena, e->made);
    json_put(j, "who", known ? json_incref(json_object_get(words, "who")) : json_stringn(pseudonym.n ? pseudonym.p : "–", pseudonym.n ? pseudonym.n : 3));
    json_put(j, "records", json_incref(json_object_get(words, "records")));
    json_put(j, "reason", json_incref(json_object_get(words, "reason")));
    json_put_bool(j, "erased", e->erased);
    json_put_bool(j, "in_vain", e->in_vain);
    json_put_bool(j, "read", !e->erased && !e->in_vain);
    json_put_str(j, "person", id_str(&e->subject));
    json_decref(words);
}

/* Where the next page begins. */
static void put_more(struct request *req, const struct reading_entry *last, bool more, str staff)
{
    json_put_bool(req->view, "more", more);
    json_put_str(req->view, "next",
                 more ? str_fmt(req->arena, "/desk/access?before=%lld&event=%s&staff=%.*s", (long long)last->made,
                                last->event.text, STR_FMT(staff))
                      : STR("/desk/access"));
}

static enum err show_access(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    struct tx *tx = request_read(req);
    struct staff *staff;
    struct reading_entry *entries;
    size_t n_staff, n;
    str who = request_query(req, "staff", 20), before = request_query(req, "before", 20), event = request_query(req, "event", ID_LENGTH);
    id reader = {{0}}, before_event = {{0}};
    int64_t from = 0;
    if (before.n > 0 && (!str_to_int(before, &from) || from < 1 || id_parse(event, &before_event) != OK))
        return ERR_NOT_FOUND;
    TRY(staff_list(tx, true, &staff, &n_staff));
    json_t *choices = json_put_array(req->view, "staff");
    for (size_t i = 0; i < n_staff; i++) {
        put_choice(choices, staff[i].pseudonym, who);
        if (str_eq(staff[i].pseudonym, who))
            reader = staff[i].account.id;
    }
    if (who.n > 0 && id_is_none(reader))
        return ERR_NOT_FOUND;
    TRY(reading_list(tx, p, reader, from, before_event, PAGE + 1, &entries, &n));
    bool more = n > PAGE;
    n = MIN_OF(n, (size_t)PAGE);
    json_t *list = json_put_array(req->view, "readings");
    for (size_t i = 0; i < n; i++)
        put_entry(req, list, &entries[i], pseudonym_of(staff, n_staff, entries[i].reader));
    json_put_bool(req->view, "empty", n == 0);
    put_more(req, &entries[n ? n - 1 : 0], more, who);
    return request_page(req, "staff/access");
}

/* ---- objections ---- */

static str purpose_words(struct request *req, str purpose)
{
    str key = str_fmt(req->arena, "purpose.%.*s", STR_FMT(purpose));
    return catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, key.p, NULL);
}

static void put_objection(struct request *req, json_t *j, const struct objection *o)
{
    json_put_str(j, "id", id_str(&o->id));
    json_put_str(j, "title", purpose_words(req, o->purpose));
    json_put_moment(j, "made", req->arena, o->made);
}

/* One that waits, not yet opened. ERR_NOT_FOUND. */
static enum err find_open(struct request *req, str number, struct objection *out)
{
    struct objection *list;
    size_t n;
    id which;
    if (id_parse(number, &which) != OK)
        return ERR_NOT_FOUND;
    TRY(objection_open(request_read(req), &list, &n));
    for (size_t i = 0; i < n; i++) {
        if (!id_eq(list[i].id, which))
            continue;
        *out = list[i];
        return OK;
    }
    return ERR_NOT_FOUND;
}

static enum err is_opened(struct request *req, const struct objection *o, bool *yes)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(key_wipe) struct key k;
    moment until = 0;
    TRY(vault_subject_key(p->vault, o->subject, &k, req->arena, req->fault));
    if (request_may_read(req, "objection"))
        TRY(reading_holds(request_read(req), p, o->subject, &k, req->session.account, STR("objection"), &until));
    *yes = until != 0;
    return OK;
}

static enum err show_one(struct request *req, str number)
{
    struct objection o;
    bool opened;
    TRY(find_open(req, number, &o));
    TRY(is_opened(req, &o, &opened));
    if (opened)
        TRY(objection_read(request_read(req), request_privacy(req), o.id, &o));
    json_t *j = json_put_object(req->view, "objection");
    put_objection(req, j, &o);
    json_put_str(j, "person", id_str(&o.subject));
    json_put_bool(j, "opened", opened);
    json_put_bool(j, "no_reason", opened && o.reason.n == 0);
    json_put_str(j, "reason", o.reason);
    form_put(request_form(req, "open"), "id", number);
    form_put(request_form(req, "decide"), "id", number);
    return request_page(req, "staff/objection");
}

static enum err show_rights(struct request *req)
{
    struct objection *list;
    size_t n;
    str number = req->method == METHOD_POST ? form_value(&req->form, "id") : request_query(req, "id", ID_LENGTH);
    if (number.n > 0)
        return show_one(req, number);
    TRY(objection_open(request_read(req), &list, &n));
    json_t *all = json_put_array(req->view, "objections");
    for (size_t i = 0; i < n; i++)
        put_objection(req, json_add_object(all), &list[i]);
    json_put_bool(req->view, "empty", n == 0);
    return request_page(req, "staff/rights");
}

/* The case is the objection itself: its number is the reason. */
static enum err open_objection(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(key_wipe) struct key k;
    struct objection o;
    struct reading r;
    TRY(find_open(req, form_value(&req->form, "id"), &o));
    if (!request_may_read(req, "objection"))
        return ERR_DENIED;
    TRY(reading_begin(req, &r));
    r.records = STR("objection");
    r.reason = str_fmt(req->arena, "%s", o.id.text);
    TRY(vault_subject_key(p->vault, o.subject, &k, req->arena, req->fault));
    TRY(reading_add(request_write(req), p, o.subject, &k, &r));
    return request_see(req, 200, str_fmt(req->arena, "/desk/rights?id=%s", o.id.text));
}

/* By a human with a name (GEN-15); what was decided stands in the log of the one who objected. */
static enum err decide_as(struct request *req, const struct objection *o, bool uphold, str ground)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(key_wipe) struct key own, theirs;
    struct staff me;
    struct trail_event e = {.kind = STR("objection-decided"), .actor = req->session.account,
                            .note = str_fmt(req->arena, "%s %s", uphold ? "upheld" : "overruled", o->id.text)};
    struct tx *tx = request_write(req);
    TRY(request_key(req, &own));
    TRY(vault_subject_key(p->vault, o->subject, &theirs, req->arena, req->fault));
    TRY(staff_get(tx, p, (account_id){req->session.account}, &own, &me));
    str by = str_fmt(req->arena, "%.*s (%.*s)", STR_FMT(me.name), STR_FMT(me.pseudonym));
    TRY(objection_decide(tx, p, o->id, uphold, by, ground));
    return trail_add(tx, p, o->subject, &theirs, &e);
}

static enum err decide(struct request *req)
{
    struct objection o;
    bool opened, uphold = str_is(form_value(&req->form, "decision"), "uphold");
    str ground = str_trim(form_value(&req->form, "ground"));
    if (find_open(req, form_value(&req->form, "id"), &o) != OK)
        return ERR_CONFLICT; /* decided meanwhile, or withdrawn */
    TRY(is_opened(req, &o, &opened));
    if (!opened)
        return ERR_CONFLICT; /* nobody decides what they have not read */
    if (!uphold && ground.n == 0) {
        form_fail(&req->form, "ground", MSG("desk.ground-needed"));
        return request_again(req, 422);
    }
    TRY(decide_as(req, &o, uphold, ground));
    return request_see(req, 200, STR("/desk/rights?done=objection-decided"));
}

#define PRIVACY ROLE_BIT(ROLE_PRIVACY)
#define READS(...) (const char *const[]){__VA_ARGS__, NULL}

const struct route review_routes[] = {
    {METHOD_GET, "/desk/access", show_access, GUARD_STAFF, RATE_PAGE, .roles = PRIVACY, .reads = READS("security_event", "staff")},
    {METHOD_GET, "/desk/rights", show_rights, GUARD_STAFF, RATE_PAGE,
     .shows = (const struct form *const[]){&open_form, &decide_form, NULL}, .roles = PRIVACY, .reads = READS("objection")},
    {METHOD_POST, "/desk/rights/open", open_objection, GUARD_STAFF, RATE_FORM, &open_form, .again = "/desk/rights",
     .roles = PRIVACY, .reads = READS("objection")},
    {METHOD_POST, "/desk/rights", decide, GUARD_STAFF, RATE_FORM, &decide_form, .again = "/desk/rights", .roles = PRIVACY,
     .reads = READS("objection")},
    {0},
};
