/* The desk's first page, with the search; and who works here. */
#include "features/staff/model.h"

#include "base/email.h"
#include "privacy/rights.h"

static const struct form_field search_fields[] = {
    {"who", FIELD_TEXT, .required = true, .max = EMAIL_MAX, .label = MSG("desk.who"), .hint = MSG("desk.who-hint")},
    {"reason", FIELD_TEXT, .required = true, .max = READING_REASON_MAX, .label = MSG("desk.reason"), .hint = MSG("desk.reason-hint")},
};
static const struct form search_form = {"search", search_fields, COUNT(search_fields)};

/* ---- the first page ---- */

static void put_readable(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    json_t *list = json_put_array(req->view, "readable");
    for (size_t i = 0; i < p->inventory->n_records; i++)
        if (p->inventory->records[i].staff & req->staff.roles)
            json_add_str(list, catalog_text(p->catalog, &req->locale, req->arena,
                                            str_fmt(req->arena, "record.%.*s", STR_FMT(p->inventory->records[i].name)).p, NULL));
    json_put_bool(req->view, "reads", json_array_size(list) > 0);
}

static enum err show_desk(struct request *req)
{
    bool privacy = req->staff.roles & ROLE_BIT(ROLE_PRIVACY);
    struct objection *open;
    size_t n = 0;
    put_readable(req);
    if (privacy)
        TRY(objection_open(request_read(req), &open, &n));
    json_put_str(req->view, "roles", roles_words(request_privacy(req), &req->locale, req->arena, req->staff.roles));
    json_put_str(req->view, "pseudonym", req->staff.pseudonym);
    json_put_bool(req->view, "searches", req->staff.roles & SEARCHERS);
    json_put_bool(req->view, "decides", privacy);
    json_put_int(req->view, "count", (int64_t)n);
    return request_page(req, "staff/start");
}

/* ---- looking for somebody ---- */

enum err reading_begin(struct request *req, struct reading *out)
{
    int64_t n;
    const struct privacy *p = request_privacy(req);
    *out = (struct reading){.reader = req->session.account, .pseudonym = req->staff.pseudonym, .roles = req->staff.roles};
    TRY(reading_count(request_read(req), out->reader, clock_now(p->clock) - MOMENT_HOUR, &n));
    if (n >= READINGS_AN_HOUR)
        return FAIL(req->fault, ERR_LIMIT, "a member of staff read more than %d people within an hour", READINGS_AN_HOUR);
    return OK;
}

/* By exact address or exact ID; ERR_NOT_FOUND. Patterns would show people whom nobody asked about. */
static enum err find_person(struct request *req, str who, account_id *out)
{
    struct account x;
    if (id_parse(who, &out->id) != OK)
        return account_find(request_read(req), request_privacy(req), who, out);
    return account_get(request_read(req), request_privacy(req), *out, NULL, &x);
}

struct vain {
    const struct privacy *p;
    const struct reading *reading;
};

static enum err note_in_vain(struct tx *tx, void *arg)
{
    const struct vain *v = arg;
    CLEANUP(key_wipe) struct key k;
    TRY(vault_subject_key(v->p->vault, v->reading->reader, &k, tx_arena(tx), tx_fault(tx)));
    return reading_in_vain(tx, v->p, &k, v->reading);
}

/* That somebody is not here is an answer, too: it is recorded, whatever becomes of this request. */
static enum err nobody(struct request *req, struct reading *r)
{
    struct vain v = {request_privacy(req), r};
    r->address = req->peer;
    r->browser = request_browser(req);
    tx_end(&req->tx);
    TRY(db_transact(v.p->db, req->arena, req->fault, note_in_vain, &v));
    form_fail(&req->form, "who", MSG("desk.nobody"));
    return request_again(req, 404);
}

static enum err search(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(key_wipe) struct key k;
    struct reading r;
    struct restriction restriction;
    struct email e;
    account_id which;
    str who = form_value(&req->form, "who");
    if (id_parse(who, &which.id) != OK && email_parse(req->arena, who, &e) != OK) {
        form_fail(&req->form, "who", MSG("desk.who-wrong"));
        return request_again(req, 422);
    }
    TRY(reading_begin(req, &r));
    r.reason = form_value(&req->form, "reason");
    enum err found = find_person(req, who, &which);
    if (found == ERR_NOT_FOUND)
        return nobody(req, &r);
    TRY(found);
    TRY(vault_subject_key(p->vault, which.id, &k, req->arena, req->fault));
    struct tx *tx = request_write(req);
    TRY(restriction_get(tx, p, which.id, &k, &restriction));
    r.records = reading_records(p, req->arena, STR("account"), r.roles, restriction.active);
    TRY(reading_add(tx, p, which.id, &k, &r));
    return request_see(req, 200, str_fmt(req->arena, "/desk/person?id=%s", which.id.text));
}

/* ---- who works here ---- */

static enum err put_member(struct request *req, json_t *list, const struct staff *s)
{
    bool factor;
    json_t *j = json_add_object(list);
    TRY(feature_second_factor(request_read(req), PORTAL(req), s->account.id, &factor));
    json_put_str(j, "pseudonym", s->pseudonym);
    json_put_str(j, "id", id_str(&s->account.id));
    json_put_str(j, "roles", roles_words(request_privacy(req), &req->locale, req->arena, s->roles));
    json_put_moment(j, "made", req->arena, s->made);
    json_put_moment(j, "left", req->arena, s->removed);
    json_put_bool(j, "gone", s->removed != 0);
    json_put_bool(j, "no_factor", s->removed == 0 && !factor);
    return OK;
}

/* Pseudonyms, roles and times alone. A colleague's name is on their card, for whoever says why. */
static enum err show_staff(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    struct staff *staff;
    struct staff_invitation *invitations;
    size_t n, n_invitations;
    TRY(staff_list(request_read(req), true, &staff, &n));
    TRY(staff_invitations(request_read(req), p, &invitations, &n_invitations));
    json_t *here = json_put_array(req->view, "members"), *gone = json_put_array(req->view, "former");
    for (size_t i = 0; i < n; i++)
        TRY(put_member(req, staff[i].removed ? gone : here, &staff[i]));
    json_t *list = json_put_array(req->view, "invitations");
    for (size_t i = 0; i < n_invitations; i++) {
        json_t *j = json_add_object(list);
        json_put_str(j, "roles", roles_words(p, &req->locale, req->arena, invitations[i].roles));
        json_put_moment(j, "made", req->arena, invitations[i].made);
        json_put_moment(j, "ends", req->arena, invitations[i].ends);
    }
    json_put_bool(req->view, "has_former", json_array_size(gone) > 0);
    json_put_bool(req->view, "has_invitations", n_invitations > 0);
    return request_page(req, "staff/staff");
}

const struct route desk_routes[] = {
    {METHOD_GET, "/desk", show_desk, GUARD_STAFF, RATE_PAGE, .shows = (const struct form *const[]){&search_form, NULL},
     .roles = ALL_ROLES},
    {METHOD_POST, "/desk/search", search, GUARD_STAFF, RATE_FORM, &search_form, .again = "/desk", .roles = SEARCHERS,
     .reads = reads_by_role},
    {METHOD_GET, "/desk/staff", show_staff, GUARD_STAFF, RATE_PAGE, .roles = ROLE_BIT(ROLE_PRIVACY) | ROLE_BIT(ROLE_OPERATIONS),
     .reads = (const char *const[]){"staff", NULL}},
    {0},
};
