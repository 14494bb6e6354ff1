/* Coming in: sign up, confirm, sign in and out, recover. */
#include "features/account/pages.h"

#include <string.h>

#include "base/codec.h"
#include "features/account/gate.h"
#include "features/captcha/captcha.h"
#include "features/factors/factors.h"

/* ---- forms ---- */

static const struct form_field sign_up_fields[] = {
    {"email", FIELD_EMAIL, .required = true, .label = MSG("field.email"), .autocomplete = "email"},
    {"password", FIELD_NEW_PASSWORD, .required = true, .label = MSG("field.password"),
     .hint = MSG("field.new-password-hint"), .autocomplete = "new-password"},
    {"news", FIELD_CHECK, .label = MSG("consent.product-news.1")},
    CAPTCHA_FIELDS,
};
static const struct form sign_up_form = {"sign_up", sign_up_fields, COUNT(sign_up_fields)};

static const struct form_field link_fields[] = {
    {"t", FIELD_HIDDEN, .required = true, .max = TICKET_TOKEN_LENGTH},
};
static const struct form verify_form = {"verify", link_fields, COUNT(link_fields)};

static const struct form_field sign_in_fields[] = {
    {"email", FIELD_EMAIL, .required = true, .label = MSG("field.email"), .autocomplete = "username"},
    {"password", FIELD_PASSWORD, .required = true, .label = MSG("field.password"),
     .autocomplete = "current-password"},
    {"next", FIELD_HIDDEN},
    CAPTCHA_FIELDS,
};
static const struct form sign_in_form = {"sign_in", sign_in_fields, COUNT(sign_in_fields)};

static const struct form_field recover_fields[] = {
    {"email", FIELD_EMAIL, .required = true, .label = MSG("field.email"), .autocomplete = "username"},
    CAPTCHA_FIELDS,
};
static const struct form recover_form = {"recover", recover_fields, COUNT(recover_fields)};

static const struct form_field renew_fields[] = {
    {"t", FIELD_HIDDEN, .required = true, .max = TICKET_TOKEN_LENGTH},
    {"answer", FIELD_PASSWORD, .max = 200, .label = MSG("field.answer"), .autocomplete = "off"},
    {"password", FIELD_NEW_PASSWORD, .required = true, .label = MSG("field.new-password"),
     .hint = MSG("field.new-password-hint"), .autocomplete = "new-password"},
};
static const struct form renew_form = {"renew", renew_fields, COUNT(renew_fields)};

static const struct form_field confirm_fields[] = {
    {"password", FIELD_PASSWORD, .required = true, .label = MSG("field.password"),
     .autocomplete = "current-password"},
    {"next", FIELD_HIDDEN},
};
static const struct form confirm_form = {"confirm", confirm_fields, COUNT(confirm_fields)};

#define SHOWS(...) (const struct form *const[]){__VA_ARGS__, NULL}

/* ---- signing up ---- */

enum err page_link_gone(struct request *req)
{
    return request_page_as(req, 410, "account/link-gone");
}

static enum err show_sign_up(struct request *req)
{
    if (req->session.there)
        return request_see(req, 200, STR("/account"));
    TRY(gate_show(req, GATE_SIGN_UP, form_value(request_form(req, "sign_up"), "email")));
    return request_page(req, "account/sign-up");
}

static enum err sign_up(struct request *req)
{
    struct portal *p = PORTAL(req);
    struct registration r = {.id = req->id, .news = form_ticked(&req->form, "news"), .locale = &req->locale};
    struct gate gate;
    struct secret password = form_secret(&req->form, "password");
    TRY(email_parse(req->arena, form_value(&req->form, "email"), &r.email));
    const char *weak = password_weakness(req->arena, password, r.email.shown);
    if (weak) {
        form_fail(&req->form, "password", weak);
        return request_again(req, 422);
    }
    TRY(gate_enter(req, GATE_SIGN_UP, r.email.shown, &gate));
    TRY(gate_count(req, &gate));
    /* The hash is made for every address, known or not: it is what takes time. */
    TRY(password_hash(p->passwords, password, req->arena, &r.password_hash, req->fault));
    TRY(intake_add(request_write(req), p, INTAKE_SIGN_UP, &r));
    json_put_str(req->view, "username", r.email.shown);
    return request_see(req, 201, STR("/sign-up/sent"));
}

static enum err show_sent(struct request *req)
{
    return request_page(req, "account/sign-up-sent");
}

/* The link opens a page with a button: mail scanners open links, but press no buttons. */
static enum err show_verify(struct request *req)
{
    struct ticket t;
    str token = request_query(req, "t", TICKET_TOKEN_LENGTH);
    if (req->method == METHOD_POST)
        token = form_value(&req->form, "t");
    enum err e = ticket_find(request_read(req), request_privacy(req), TICKET_CONFIRM, token, &t);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    form_put(request_form(req, "verify"), "t", token);
    return request_page(req, "account/verify-email");
}

static enum err verify(struct request *req)
{
    enum err e = account_confirm(request_write(req), PORTAL(req), form_value(&req->form, "t"));
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    return request_see(req, 200, STR("/sign-in?done=confirmed"));
}

/* ---- signing in and out ---- */

static enum err show_sign_in(struct request *req)
{
    str next = request_query(req, "next", 500);
    if (req->session.there)
        return request_see(req, 200, request_is_local(next) ? next : STR("/account"));
    form_put(request_form(req, "sign_in"), "next", request_is_local(next) ? next : (str){NULL, 0});
    TRY(gate_show(req, GATE_SIGN_IN, form_value(request_form(req, "sign_in"), "email")));
    form_put(request_form(req, "passkey"), "next", request_is_local(next) ? next : (str){NULL, 0});
    factors_put_enter(req);
    return request_page(req, "account/sign-in");
}

static enum err not_in(struct request *req, const struct gate *gate, enum sign_in why)
{
    TRY(gate_count(req, gate));
    form_fail(&req->form, "password", why == SIGN_IN_CLOSED ? MSG("sign-in.closed") : MSG("sign-in.wrong"));
    return request_again(req, why == SIGN_IN_CLOSED ? 403 : 401);
}

static enum err sign_in(struct request *req)
{
    struct portal *p = PORTAL(req);
    struct secret password = form_secret(&req->form, "password");
    enum sign_in result;
    account_id which;
    struct gate gate;
    bool dated, still;
    str hash, proved;
    TRY(gate_enter(req, GATE_SIGN_IN, form_value(&req->form, "email"), &gate));
    TRY(account_sign_in(p, form_value(&req->form, "email"), password, req->arena, req->fault, &result,
                        &which, &dated, &proved));
    if (result != SIGN_IN_OK)
        return not_in(req, &gate, result);
    if (dated)
        TRY(password_hash(p->passwords, password, req->arena, &hash, req->fault));
    struct tx *tx = request_write(req);
    TRY(account_still(tx, &p->privacy, which, proved, &still));
    if (!still)
        return not_in(req, &gate, SIGN_IN_WRONG);
    if (dated)
        TRY(account_set_password(tx, p, which, hash, (id){{0}}, false));
    str next = form_value(&req->form, "next");
    bool second;
    TRY(factors_needed(req, tx, which, &second));
    return second ? factors_begin(req, tx, which, "password", next)
                  : account_enter(req, tx, which, "password", next);
}

static enum err sign_out(struct request *req)
{
    enum err e = session_end(request_write(req), req->session.account, req->session.id);
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    request_sign_out(req);
    return request_see(req, 200, STR("/?done=signed-out"));
}

/* ---- a forgotten password ---- */

static enum err show_recover(struct request *req)
{
    TRY(gate_show(req, GATE_RECOVER, form_value(request_form(req, "recover"), "email")));
    return request_page(req, "account/recover");
}

static enum err recover(struct request *req)
{
    struct registration r = {.id = req->id, .locale = &req->locale};
    struct gate gate;
    TRY(email_parse(req->arena, form_value(&req->form, "email"), &r.email));
    TRY(gate_enter(req, GATE_RECOVER, r.email.shown, &gate));
    TRY(gate_count(req, &gate));
    TRY(intake_add(request_write(req), PORTAL(req), INTAKE_RECOVER, &r));
    return request_see(req, 202, STR("/recover/sent"));
}

static enum err show_recover_sent(struct request *req)
{
    return request_page(req, "account/recover-sent");
}

static enum err show_renew(struct request *req)
{
    struct ticket t;
    str token = request_query(req, "t", TICKET_TOKEN_LENGTH);
    if (req->method == METHOD_POST)
        token = form_value(&req->form, "t");
    enum err e = ticket_find(request_read(req), request_privacy(req), TICKET_RECOVER, token, &t);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    form_put(request_form(req, "renew"), "t", token);
    TRY(recovery_put_question(req, t.account));
    return request_page(req, "account/recover-new");
}

/* Good enough, also for somebody who knows them? */
static enum err check_new_password(struct request *req, account_id which)
{
    CLEANUP(key_wipe) struct key k;
    struct account x;
    str own;
    const struct privacy *p = request_privacy(req);
    TRY(vault_subject_key(p->vault, which.id, &k, req->arena, req->fault));
    TRY(account_get(request_read(req), p, which, &k, &x));
    TRY(account_own_words(request_read(req), p, &x, &own));
    const char *weak = password_weakness(req->arena, form_secret(&req->form, "password"), own);
    if (weak == NULL)
        return OK;
    form_fail(&req->form, "password", weak);
    return request_again(req, 422);
}

/* The link may be used twice at once: the second finds it gone when it writes. */
static enum err renew(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct portal *p = PORTAL(req);
    struct ticket t;
    str hash;
    enum err e = ticket_find(request_read(req), &p->privacy, TICKET_RECOVER, form_value(&req->form, "t"), &t);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    TRY(check_new_password(req, t.account));
    TRY(recovery_check_answer(req, t.account));
    request_rest(req);
    TRY(password_hash(p->passwords, form_secret(&req->form, "password"), req->arena, &hash, req->fault));
    struct tx *tx = request_write(req);
    e = account_recover(tx, p, form_value(&req->form, "t"), hash);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    TRY(vault_subject_key(p->privacy.vault, t.account.id, &k, req->arena, req->fault));
    TRY(account_note(req, tx, t.account, &k, "password-recovered"));
    return request_see(req, 200, STR("/sign-in?done=password-changed"));
}

/* ---- proving it again: here by the password; by the rest, see factors ---- */

static enum err show_confirm(struct request *req)
{
    str next = request_query(req, "next", 500);
    form_put(request_form(req, "confirm"), "next", request_is_local(next) ? next : STR("/account"));
    TRY(factors_put_confirm(req));
    return request_page(req, "account/confirm");
}

static enum err confirm(struct request *req)
{
    TRY(gate_password(req, SIGNED_IN(req)));
    TRY(session_prove(request_write(req), request_privacy(req)->clock, &req->session));
    str next = form_value(&req->form, "next");
    return request_see(req, 200, request_is_local(next) ? next : STR("/account"));
}

const struct route enter_routes[] = {
    {METHOD_GET, "/sign-up", show_sign_up, GUARD_PUBLIC, RATE_PAGE, .shows = SHOWS(&sign_up_form)},
    {METHOD_POST, "/sign-up", sign_up, GUARD_PUBLIC, RATE_SIGN_IN, &sign_up_form, .again = "/sign-up"},
    {METHOD_GET, "/sign-up/sent", show_sent, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/verify-email", show_verify, GUARD_PUBLIC, RATE_PAGE, .shows = SHOWS(&verify_form)},
    {METHOD_POST, "/verify-email", verify, GUARD_PUBLIC, RATE_FORM, &verify_form, .again = "/verify-email"},
    {METHOD_GET, "/sign-in", show_sign_in, GUARD_PUBLIC, RATE_PAGE,
     .shows = SHOWS(&sign_in_form, &factors_passkey_form)},
    {METHOD_POST, "/sign-in", sign_in, GUARD_PUBLIC, RATE_SIGN_IN, &sign_in_form, .again = "/sign-in"},
    {METHOD_POST, "/sign-out", sign_out, GUARD_SIGNED_IN, RATE_FORM, &form_button},
    {METHOD_GET, "/recover", show_recover, GUARD_PUBLIC, RATE_PAGE, .shows = SHOWS(&recover_form)},
    {METHOD_POST, "/recover", recover, GUARD_PUBLIC, RATE_MAIL, &recover_form, .again = "/recover"},
    {METHOD_GET, "/recover/sent", show_recover_sent, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/recover/new", show_renew, GUARD_PUBLIC, RATE_PAGE, .shows = SHOWS(&renew_form)},
    {METHOD_POST, "/recover/new", renew, GUARD_PUBLIC, RATE_SIGN_IN, &renew_form, .again = "/recover/new"},
    {METHOD_GET, "/account/confirm", show_confirm, GUARD_SIGNED_IN, RATE_PAGE,
     .shows = SHOWS(&confirm_form, &factors_totp_form, &factors_text_form, &factors_recovery_form, &factors_passkey_form)},
    {METHOD_POST, "/account/confirm", confirm, GUARD_SIGNED_IN, RATE_SIGN_IN, &confirm_form, .again = "/account/confirm"},
    {0},
};
