/* Being invited: the link, and joining with the address that it was sent to. */
#include "features/staff/model.h"

#include "base/codec.h"
#include "base/email.h"

static const struct form_field join_fields[] = {
    {"t", FIELD_HIDDEN, .required = true, .max = INVITATION_TOKEN_LENGTH},
    {"name", FIELD_TEXT, .required = true, .max = STAFF_NAME_MAX, .label = MSG("join.name"), .hint = MSG("join.name-hint"),
     .autocomplete = "name"},
};
static const struct form join_form = {"join", join_fields, COUNT(join_fields)};

static enum err page_gone(struct request *req)
{
    return request_page_as(req, 410, "staff/invitation-gone");
}

/* Is the signed-in account the one of that address? */
static enum err is_theirs(struct request *req, struct tx *tx, const struct staff_invitation *x, str *email,
                          bool *yes)
{
    CLEANUP(key_wipe) struct key k;
    struct account account;
    struct email own, invited;
    TRY(request_key(req, &k));
    TRY(account_get(tx, request_privacy(req), (account_id){req->session.account}, &k, &account));
    TRY(email_parse(req->arena, account.email, &own));
    TRY(email_parse(req->arena, x->address, &invited));
    *email = account.email;
    *yes = str_eq(own.same, invited.same);
    return OK;
}

static enum err show_invitation(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    struct staff_invitation x;
    str email = {NULL, 0}, token = request_query(req, "t", INVITATION_TOKEN_LENGTH);
    bool theirs = false;
    if (req->method == METHOD_POST)
        token = form_value(&req->form, "t");
    enum err e = invitation_find(request_read(req), p, token, &x);
    if (e == ERR_NOT_FOUND)
        return page_gone(req);
    TRY(e);
    if (req->session.there)
        TRY(is_theirs(req, request_read(req), &x, &email, &theirs));
    str here = str_fmt(req->arena, "/staff/invitation?t=%.*s", STR_FMT(token));
    json_put_str(req->view, "roles", roles_words(p, &req->locale, req->arena, x.roles));
    json_put_str(req->view, "product", p->organisation->product);
    json_put_moment(req->view, "ends", req->arena, x.ends);
    json_put_bool(req->view, "theirs", theirs);
    json_put_bool(req->view, "other", req->session.there && !theirs);
    json_put_bool(req->view, "nobody", !req->session.there);
    json_put_str(req->view, "email", email);
    json_put_str(req->view, "sign_in", str_fmt(req->arena, "/sign-in?next=%.*s", STR_FMT(percent_encode(req->arena, here))));
    form_put(request_form(req, "join"), "t", token);
    return request_page(req, "staff/invitation");
}

static enum err join(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    struct staff_invitation x;
    str email;
    bool theirs;
    struct tx *tx = request_write(req);
    enum err e = invitation_find(tx, p, form_value(&req->form, "t"), &x);
    if (e == ERR_NOT_FOUND)
        return page_gone(req);
    TRY(e);
    TRY(is_theirs(req, tx, &x, &email, &theirs));
    if (!theirs)
        return ERR_DENIED;
    TRY(invitation_use(tx, p, x.id));
    TRY(staff_join(tx, PORTAL(req), (account_id){req->session.account}, form_value(&req->form, "name"), x.roles, x.made));
    request_sign_out(req);
    return request_see(req, 200, STR("/sign-in?next=%2Fdesk&done=staff-joined"));
}

const struct route join_routes[] = {
    {METHOD_GET, "/staff/invitation", show_invitation, GUARD_PUBLIC, RATE_PAGE,
     .shows = (const struct form *const[]){&join_form, NULL}},
    {METHOD_POST, "/staff/invitation", join, GUARD_SIGNED_IN, RATE_FORM, &join_form, .again = "/staff/invitation"},
    {0},
};
