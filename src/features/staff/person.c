/* A person's card: first the reason, then what the reader's roles may read, and nothing else. */
#include "features/staff/model.h"

#include "privacy/rights.h"
#include "privacy/takeout.h"

static const struct form_field reason_fields[] = {
    {"id", FIELD_HIDDEN, .required = true, .max = ID_LENGTH},
    {"reason", FIELD_TEXT, .required = true, .max = READING_REASON_MAX, .label = MSG("desk.reason"), .hint = MSG("desk.reason-hint")},
};
static const struct form reason_form = {"reason", reason_fields, COUNT(reason_fields)};

struct person_read {
    account_id account;
    struct key key;
    bool restricted;
    str records; /* that the reader's roles may read of them */
};

static void wipe_person(struct person_read *p)
{
    key_wipe(&p->key);
}

static enum err read_person(struct request *req, str which, struct person_read *out)
{
    const struct privacy *p = request_privacy(req);
    struct account x;
    struct restriction r;
    if (id_parse(which, &out->account.id) != OK)
        return ERR_NOT_FOUND;
    TRY(account_get(request_read(req), p, out->account, NULL, &x));
    TRY(vault_subject_key(p->vault, out->account.id, &out->key, req->arena, req->fault));
    TRY(restriction_get(request_read(req), p, out->account.id, &out->key, &r));
    out->restricted = r.active;
    out->records = reading_records(p, req->arena, STR("account"), req->staff.roles, r.active);
    return OK;
}

static enum err put_records(struct request *req, const struct person_read *who)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(json_done) json_t *data = NULL;
    TRY(takeout_collect_for(request_read(req), p, STR("account"), who->account.id, req->staff.roles, who->restricted,
                            &req->locale, &data));
    json_t *card = takeout_view(p, req->arena, data, &req->locale);
    json_put(req->view, "records", json_incref(json_object_get(card, "records")));
    json_decref(card);
    return OK;
}

/* Without a reading that lasts there is nothing on it but the ID that the reader brought. */
static enum err show_person(struct request *req)
{
    CLEANUP(wipe_person) struct person_read who = {0};
    moment until = 0;
    str which = req->method == METHOD_POST ? form_value(&req->form, "id") : request_query(req, "id", ID_LENGTH);
    TRY(read_person(req, which, &who));
    bool readable = who.records.n > 0;
    if (readable)
        TRY(reading_holds(request_read(req), request_privacy(req), who.account.id, &who.key, req->session.account,
                          who.records, &until));
    json_put_str(req->view, "id", id_str(&who.account.id));
    json_put_bool(req->view, "asks", readable && until == 0);
    json_put_bool(req->view, "unreadable", !readable);
    json_put_bool(req->view, "open", until != 0);
    json_put_bool(req->view, "restricted", until != 0 && who.restricted);
    json_put_moment(req->view, "until", req->arena, until);
    if (until != 0)
        TRY(put_records(req, &who));
    else
        json_put_array(req->view, "records");
    form_put(request_form(req, "reason"), "id", which);
    return request_page(req, "staff/person");
}

static enum err open_person(struct request *req)
{
    CLEANUP(wipe_person) struct person_read who = {0};
    struct reading r;
    TRY(read_person(req, form_value(&req->form, "id"), &who));
    if (who.records.n == 0)
        return ERR_DENIED;
    TRY(reading_begin(req, &r));
    r.records = who.records;
    r.reason = form_value(&req->form, "reason");
    TRY(reading_add(request_write(req), request_privacy(req), who.account.id, &who.key, &r));
    return request_see(req, 200, str_fmt(req->arena, "/desk/person?id=%s", who.account.id.text));
}

#define READERS (SEARCHERS | ROLE_BIT(ROLE_OPERATIONS))

const struct route person_routes[] = {
    {METHOD_GET, "/desk/person", show_person, GUARD_STAFF, RATE_PAGE, .shows = (const struct form *const[]){&reason_form, NULL},
     .roles = READERS, .reads = reads_by_role},
    {METHOD_POST, "/desk/person", open_person, GUARD_STAFF, RATE_FORM, &reason_form, .again = "/desk/person",
     .roles = READERS, .reads = reads_by_role},
    {0},
};
