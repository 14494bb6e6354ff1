/* A person's own data: what is held, choices, taking along, restricting, objecting, closing. */
#include "features/account/pages.h"

#include <string.h>

#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/erasure.h"
#include "privacy/rights.h"
#include "privacy/takeout.h"
#include "vault/sealed_file.h"

#define SHARE_WITHIN (3 * MOMENT_DAY)

/* ---- forms ---- */

static const char *const yes_no[] = {"yes", "no", NULL};
static const char *const scopes[] = {TAKEOUT_ALL, TAKEOUT_PORTABLE, NULL};
static const char *const reasons[] = {"accuracy", "unlawful", "claims", "objection", NULL};
static const char *const whens[] = {"window", "now", NULL};

static const struct form_field consent_fields[] = {
    {"purpose", FIELD_HIDDEN, .required = true, .max = 40},
    {"decision", FIELD_CHOICE, .required = true, .choices = yes_no},
};
static const struct form consent_form = {"consent", consent_fields, COUNT(consent_fields)};

static const struct form_field takeout_fields[] = {
    {"scope", FIELD_RADIO, .required = true, .label = MSG("field.scope"), .choices = scopes,
     .choice_prefix = MSG("takeout.choice-")},
};
static const struct form takeout_form = {"takeout", takeout_fields, COUNT(takeout_fields)};

static const struct form_field which_fields[] = {
    {"id", FIELD_HIDDEN, .required = true, .max = ID_LENGTH},
};
static const struct form share_form = {"share", which_fields, COUNT(which_fields)};
static const struct form withdraw_form = {"withdraw", which_fields, COUNT(which_fields)};

static const struct form_field restrict_fields[] = {
    {"reason", FIELD_CHOICE, .required = true, .label = MSG("field.reason"), .choices = reasons,
     .choice_prefix = MSG("restriction.")},
    {"note", FIELD_LINES, .max = 2000, .label = MSG("field.note"), .hint = MSG("field.note-hint")},
};
static const struct form restrict_form = {"restrict", restrict_fields, COUNT(restrict_fields)};

static const struct form_field object_fields[] = {
    {"purpose", FIELD_CHOICE, .required = true, .label = MSG("field.purpose")},
    {"reason", FIELD_LINES, .max = 2000, .label = MSG("field.objection-reason"), .hint = MSG("field.note-hint")},
};
static const struct form object_form = {"object", object_fields, COUNT(object_fields)};

static const struct form_field close_fields[] = {
    {"when", FIELD_RADIO, .required = true, .label = MSG("field.when"), .choices = whens,
     .choice_prefix = MSG("close.choice-")},
    {"sure", FIELD_CHECK, .required = true, .label = MSG("close.sure")},
};
static const struct form close_form = {"close", close_fields, COUNT(close_fields)};

static const struct form_field reopen_fields[] = {
    {"t", FIELD_HIDDEN, .required = true, .max = TICKET_TOKEN_LENGTH},
};
static const struct form reopen_form = {"reopen", reopen_fields, COUNT(reopen_fields)};

static const struct form_field unsubscribe_fields[] = {
    {"t", FIELD_HIDDEN, .max = 100},
    {"List-Unsubscribe", FIELD_HIDDEN, .max = 40},
};
static const struct form unsubscribe_form = {"unsubscribe", unsubscribe_fields,
                                             COUNT(unsubscribe_fields)};

#define SHOWS(...) (const struct form *const[]){__VA_ARGS__, NULL}

/* ---- what is held ---- */

static enum err put_held(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(json_done) json_t *data = NULL;
    TRY(takeout_collect_shown(request_read(req), p, STR("account"), req->session.account, &req->locale, &data));
    json_t *held = takeout_view(p, req->arena, data, &req->locale);
    json_put(req->view, "records", json_incref(json_object_get(held, "records")));
    json_decref(held);
    return OK;
}

static str text_of(struct request *req, const char *key)
{
    return catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, key, NULL);
}

static str purpose_text(struct request *req, str purpose)
{
    if (str_is(purpose, OBJECTION_MARKETING))
        return text_of(req, MSG("purpose.direct-marketing"));
    return text_of(req, str_fmt(req->arena, "purpose.%.*s", STR_FMT(purpose)).p);
}

static void put_history(struct request *req, json_t *j, str purpose, const struct consent *rows,
                        size_t n)
{
    json_t *list = json_put_array(j, "history");
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(rows[i].purpose, purpose))
            continue;
        json_t *h = json_add_object(list);
        json_put_int(h, "number", rows[i].seq);
        json_put_bool(h, "granted", rows[i].granted);
        json_put_int(h, "version", rows[i].version);
        json_put_str(h, "way", text_of(req, str_fmt(req->arena, "way.%.*s", STR_FMT(rows[i].way)).p));
        json_put_moment(h, "made", req->arena, rows[i].made);
    }
    json_put_bool(j, "has_history", json_array_size(list) > 0);
}

/* What may be consented to: purposes that rest on consent, and those for which the person's country
 * asks for a separate one. */
static bool needs_consent(const struct privacy *p, const struct purpose *purpose, str country)
{
    const struct country_rule *r = organisation_rule(p->organisation, country, purpose->name);
    return purpose->basis == BASIS_CONSENT || (r != NULL && r->separate_consent);
}

static enum err put_consents(struct request *req, str country)
{
    const struct privacy *p = request_privacy(req);
    struct consent *rows;
    size_t n;
    TRY(consent_history(request_read(req), p, req->session.account, &rows, &n));
    json_t *list = json_put_array(req->view, "consents");
    for (size_t i = 0; i < p->inventory->n_purposes; i++) {
        const struct purpose *purpose = &p->inventory->purposes[i];
        bool given, enrolled;
        if (!needs_consent(p, purpose, country))
            continue;
        TRY(enrolment_active(request_read(req), p, req->session.account, purpose->service, &enrolled));
        if (!enrolled)
            continue;
        TRY(consent_holds(request_read(req), p, req->session.account, purpose, &given, NULL));
        if (purpose->elsewhere && !given)
            continue;
        json_t *j = json_add_object(list);
        json_put_str(j, "purpose", purpose->name);
        json_put_str(j, "title", purpose_text(req, purpose->name));
        json_put_str(j, "wording",
                     purpose->basis == BASIS_CONSENT
                         ? text_of(req, str_fmt(req->arena, "consent.%.*s.%d", STR_FMT(purpose->name), purpose->version).p)
                         : purpose_text(req, purpose->name));
        json_put_bool(j, "given", given);
        put_history(req, j, purpose->name, rows, n);
    }
    return OK;
}

static enum err put_takeouts(struct request *req)
{
    struct takeout *rows;
    size_t n;
    TRY(takeout_list(request_read(req), req->session.account, &rows, &n));
    json_t *list = json_put_array(req->view, "takeouts");
    for (size_t i = 0; i < n; i++) {
        json_t *j = json_add_object(list);
        json_put_str(j, "id", str_from(rows[i].id.text));
        json_put_str(j, "scope", rows[i].scope);
        json_put_bool(j, "portable", str_is(rows[i].scope, TAKEOUT_PORTABLE));
        json_put_bool(j, "ready", rows[i].ready != 0);
        json_put_int(j, "size", rows[i].size);
        json_put_moment(j, "asked", req->arena, rows[i].asked);
        json_put_moment(j, "gone", req->arena, rows[i].gone);
    }
    json_put_bool(req->view, "has_takeouts", n > 0);
    return OK;
}

static enum err put_restriction(struct request *req, const struct key *k)
{
    struct restriction r;
    TRY(restriction_get(request_read(req), request_privacy(req), req->session.account, k, &r));
    if (!r.active) {
        json_put(req->view, "restriction", json_null());
        return OK;
    }
    json_t *j = json_put_object(req->view, "restriction");
    json_put_str(j, "reason", text_of(req, str_fmt(req->arena, "restriction.%.*s", STR_FMT(r.reason)).p));
    json_put_str(j, "note", r.note);
    json_put_moment(j, "made", req->arena, r.made);
    return OK;
}

static enum err put_objections(struct request *req, const struct key *k)
{
    const struct privacy *p = request_privacy(req);
    struct objection *rows;
    size_t n;
    TRY(objection_list(request_read(req), p, req->session.account, k, &rows, &n));
    json_t *list = json_put_array(req->view, "objections");
    for (size_t i = 0; i < n; i++) {
        bool stands = str_is(rows[i].state, "open") || str_is(rows[i].state, "upheld");
        json_t *j = json_add_object(list);
        json_put_str(j, "id", str_from(rows[i].id.text));
        json_put_str(j, "title", purpose_text(req, rows[i].purpose));
        json_put_str(j, "state", rows[i].state);
        json_put_str(j, "state_text", text_of(req, str_fmt(req->arena, "objection.%.*s", STR_FMT(rows[i].state)).p));
        json_put_str(j, "reason", rows[i].reason);
        json_put_str(j, "ground", rows[i].ground);
        json_put_bool(j, "has_ground", rows[i].ground.n > 0);
        json_put_bool(j, "stands", stands);
        json_put_moment(j, "made", req->arena, rows[i].made);
    }
    json_put_bool(req->view, "has_objections", n > 0);
    return OK;
}

/* The purposes that one may object to, and direct marketing. */
static enum err offer_purposes(struct request *req, struct form_state *f)
{
    const struct inventory *v = request_privacy(req)->inventory;
    str *values = ARENA_ARRAY(req->arena, str, v->n_purposes + 1);
    str *labels = ARENA_ARRAY(req->arena, str, v->n_purposes + 1);
    size_t n = 0;
    values[n] = STR(OBJECTION_MARKETING);
    labels[n++] = purpose_text(req, STR(OBJECTION_MARKETING));
    for (size_t i = 0; i < v->n_purposes; i++) {
        bool enrolled;
        if (!objection_possible(request_privacy(req), v->purposes[i].name))
            continue;
        TRY(enrolment_active(request_read(req), request_privacy(req), req->session.account, v->purposes[i].service,
                             &enrolled));
        if (!enrolled)
            continue;
        values[n] = v->purposes[i].name;
        labels[n++] = purpose_text(req, v->purposes[i].name);
    }
    form_offer(f, "purpose", values, labels, n);
    return OK;
}

static enum err show_privacy(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct account x;
    TRY(request_key(req, &k));
    TRY(account_get(request_read(req), request_privacy(req), SIGNED_IN(req), &k, &x));
    TRY(put_held(req));
    TRY(put_consents(req, x.country));
    TRY(put_takeouts(req));
    TRY(put_restriction(req, &k));
    TRY(put_objections(req, &k));
    TRY(offer_purposes(req, request_form(req, "object")));
    form_put(request_form(req, "takeout"), "scope", STR(TAKEOUT_ALL));
    return request_page(req, "account/privacy");
}

/* ---- choices ---- */

static enum err set_consent(struct request *req)
{
    struct portal *p = PORTAL(req);
    const struct purpose *purpose = inventory_purpose(p->privacy.inventory, form_value(&req->form, "purpose"));
    bool wanted = str_is(form_value(&req->form, "decision"), "yes");
    struct account x;
    bool enrolled = false;
    TRY(account_get(request_read(req), &p->privacy, SIGNED_IN(req), NULL, &x));
    if (purpose != NULL)
        TRY(enrolment_active(request_read(req), &p->privacy, x.id.id, purpose->service, &enrolled));
    if (purpose == NULL || !needs_consent(&p->privacy, purpose, x.country) || (wanted && (!enrolled || purpose->elsewhere)))
        return ERR_INPUT;
    if (str_is(purpose->name, "product-news")) {
        TRY(account_set_news(request_write(req), p, SIGNED_IN(req), wanted, req->locale.code, CONSENT_WAY_SETTINGS));
    } else {
        TRY(consent_record(request_write(req), &p->privacy, req->session.account, purpose, wanted,
                           req->locale.code, CONSENT_WAY_SETTINGS));
    }
    return request_see(req, 200, wanted ? STR("/account/privacy?done=consent-given#choices")
                                        : STR("/account/privacy?done=consent-withdrawn#choices"));
}

static enum err show_consent(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    struct consent *rows;
    size_t n;
    int64_t number;
    if (!str_to_int(req->segment[0], &number))
        return ERR_NOT_FOUND;
    TRY(consent_history(request_read(req), p, req->session.account, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        if (rows[i].seq != number)
            continue;
        CLEANUP(json_done) json_t *receipt = consent_receipt(p, req->arena, req->session.account, &rows[i]);
        response_header(req->response, "Content-Disposition",
                        str_fmt(req->arena, "attachment; filename=\"consent-%lld.json\"", (long long)number));
        response_header(req->response, "Cache-Control", STR("no-store"));
        return request_bytes(req, 200, "application/json", json_encode(req->arena, receipt, true));
    }
    return ERR_NOT_FOUND;
}

/* ---- taking along ---- */

static enum err ask_takeout(struct request *req)
{
    struct portal *p = PORTAL(req);
    struct tx *tx = request_write(req);
    id which;
    const char *scope = str_cstr(req->arena, form_value(&req->form, "scope"));
    enum err e = takeout_ask(tx, &p->privacy, req->session.account, scope, &which);
    if (e == ERR_LIMIT)
        return request_see(req, 202, STR("/account/privacy?done=takeout-asked#takeout"));
    TRY(e);
    str payload = str_dup(req->arena, str_from(which.text));
    TRY(job_add(tx, p->privacy.clock, JOB_TAKEOUT, req->session.account, payload,
                str_fmt(req->arena, "takeout:%s", which.text), clock_now(p->privacy.clock)));
    json_put_str(req->view, "id", payload);
    TRY(own_note(req, "takeout-asked"));
    return request_see(req, 202, STR("/account/privacy?done=takeout-asked#takeout"));
}

/* A sealed file on its way out. The reader lives in the request's arena. */
struct sending {
    struct sealed_reader *reader;
    str rest;
};

static int64_t read_more(void *state, char *p, size_t n)
{
    struct sending *s = state;
    if (s->rest.n == 0 && sealed_read(s->reader, &s->rest) != OK)
        return -1;
    size_t take = MIN_OF(n, s->rest.n);
    if (take > 0)
        memcpy(p, s->rest.p, take);
    s->rest = str_skip(s->rest, take);
    return (int64_t)take;
}

static void end_sending(void *state)
{
    struct sending *s = state;
    sealed_close(&s->reader);
}

static enum err send_takeout(struct request *req, id account, id which, const char *scope)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(key_wipe) struct key k;
    struct takeout t;
    struct sending *s = ARENA_NEW(req->arena, struct sending);
    TRY(takeout_get(request_read(req), account, which, &t));
    if (t.ready == 0 || t.gone <= clock_now(p->clock) || (scope && !str_is(t.scope, scope)))
        return ERR_NOT_FOUND;
    TRY(vault_subject_key(p->vault, account, &k, req->arena, req->fault));
    TRY(sealed_open(p->files, t.file, &k, req->arena, &s->reader, req->fault));
    struct body_source source = {read_more, end_sending, s, t.size};
    struct date d = moment_date(t.asked);
    return request_download(req, "application/zip",
                            str_fmt(req->arena, "my-data-%04d-%02d-%02d.zip", d.year, d.month, d.day),
                            source);
}

static enum err get_takeout(struct request *req)
{
    id which;
    if (id_parse(req->segment[0], &which) != OK)
        return ERR_NOT_FOUND;
    return send_takeout(req, req->session.account, which, NULL);
}

/* A link that somebody of the person's choosing may fetch the portable part with (RGT-06). */
static enum err share_takeout(struct request *req)
{
    struct portal *p = PORTAL(req);
    struct takeout t;
    id which;
    str token;
    TRY(id_parse(form_value(&req->form, "id"), &which));
    TRY(takeout_get(request_read(req), req->session.account, which, &t));
    if (!str_is(t.scope, TAKEOUT_PORTABLE) || t.ready == 0)
        return ERR_NOT_FOUND;
    moment ends = MIN_OF(clock_now(p->privacy.clock) + SHARE_WITHIN, t.gone);
    TRY(ticket_make(request_write(req), &p->privacy, SIGNED_IN(req), NULL, TICKET_SHARE,
                    (str){NULL, 0}, str_dup(req->arena, str_from(which.text)), ends, &token));
    json_put_str(req->view, "url", request_url(req, req->arena, str_fmt(req->arena, "/takeout?t=%.*s", STR_FMT(token))));
    json_put_moment(req->view, "ends", req->arena, ends);
    return request_page(req, "account/takeout-shared");
}

static enum err get_shared(struct request *req)
{
    struct ticket t;
    id which;
    enum err e = ticket_find(request_read(req), request_privacy(req), TICKET_SHARE,
                             request_query(req, "t", TICKET_TOKEN_LENGTH), &t);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    TRY(id_parse(t.detail, &which));
    return send_takeout(req, t.account.id, which, TAKEOUT_PORTABLE);
}

/* ---- restricting, objecting ---- */

static enum err restrict_use(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    TRY(request_key(req, &k));
    enum err e = restriction_set(request_write(req), request_privacy(req), req->session.account, &k,
                                 form_value(&req->form, "reason"), form_value(&req->form, "note"));
    if (e != ERR_CONFLICT)
        TRY(e);
    return request_see(req, 200, STR("/account/privacy?done=restricted#restrict"));
}

static enum err lift_restriction(struct request *req)
{
    enum err e = restriction_lift(request_write(req), request_privacy(req), req->session.account);
    if (e != ERR_CONFLICT)
        TRY(e);
    return request_see(req, 200, STR("/account/privacy?done=restriction-lifted#restrict"));
}

static enum err object(struct request *req)
{
    struct portal *p = PORTAL(req);
    CLEANUP(key_wipe) struct key k;
    struct account x;
    struct email own;
    str purpose = form_value(&req->form, "purpose");
    if (!objection_possible(&p->privacy, purpose)) {
        form_fail(&req->form, "purpose", MSG("form.choose"));
        return request_again(req, 422);
    }
    TRY(request_key(req, &k));
    TRY(account_get(request_read(req), &p->privacy, SIGNED_IN(req), &k, &x));
    TRY(email_parse(req->arena, x.email, &own));
    struct tx *tx = request_write(req);
    enum err e = objection_make(tx, &p->privacy, req->session.account, &k, purpose,
                                form_value(&req->form, "reason"), own.same);
    if (e == OK && str_is(purpose, OBJECTION_MARKETING))
        e = account_set_news(tx, p, x.id, false, req->locale.code, CONSENT_WAY_SETTINGS);
    if (e != ERR_CONFLICT)
        TRY(e);
    return request_see(req, 200, STR("/account/privacy?done=objected#object"));
}

static enum err withdraw_objection(struct request *req)
{
    id which;
    TRY(id_parse(form_value(&req->form, "id"), &which));
    TRY(objection_withdraw(request_write(req), request_privacy(req), req->session.account, which));
    return request_see(req, 200, STR("/account/privacy?done=objection-withdrawn#object"));
}

/* ---- closing and reopening ---- */

static enum err show_close(struct request *req)
{
    const struct settings *s = PORTAL(req)->settings;
    form_put(request_form(req, "close"), "when", STR("window"));
    json_put_str(req->view, "window", term_format(req->arena, s->reopen_window));
    return request_page(req, "account/close");
}

static enum err close_account(struct request *req)
{
    struct portal *p = PORTAL(req);
    bool now = str_is(form_value(&req->form, "when"), "now");
    id receipt;
    struct standing staff;
    /* Who looked at people's data is to be known for a year (REC-07): the name does not go while they look. */
    TRY(feature_standing(request_write(req), p, req->session.account, (str){NULL, 0}, &staff));
    if (staff.here) {
        form_fail(&req->form, "sure", MSG("close.staff"));
        return request_again(req, 403);
    }
    TRY(account_close(request_write(req), p, SIGNED_IN(req), now, "request", &receipt));
    request_sign_out(req);
    json_put_str(req->view, "receipt", str_dup(req->arena, str_from(receipt.text)));
    return request_see(req, 200, str_fmt(req->arena, "/privacy/receipt?number=%s&done=closed", receipt.text));
}

static enum err show_reopen(struct request *req)
{
    struct ticket t;
    str token = request_query(req, "t", TICKET_TOKEN_LENGTH);
    if (req->method == METHOD_POST)
        token = form_value(&req->form, "t");
    enum err e = ticket_find(request_read(req), request_privacy(req), TICKET_REOPEN, token, &t);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    form_put(request_form(req, "reopen"), "t", token);
    return request_page(req, "account/reopen");
}

static enum err reopen(struct request *req)
{
    enum err e = account_reopen(request_write(req), PORTAL(req), form_value(&req->form, "t"));
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    return request_see(req, 200, STR("/sign-in?done=reopened"));
}

/* ---- ending the news from a mail, without signing in ---- */

static str unsubscribe_given(struct request *req)
{
    str token = request_query(req, "t", 100);
    return token.n > 0 || req->method != METHOD_POST ? token : form_value(&req->form, "t");
}

static enum err show_unsubscribe(struct request *req)
{
    account_id which;
    str token = unsubscribe_given(req);
    enum err e = unsubscribe_find(request_privacy(req), token, req->arena, &which, req->fault);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    form_put(request_form(req, "unsubscribe"), "t", token);
    return request_page(req, "account/unsubscribe");
}

static enum err unsubscribe(struct request *req)
{
    struct portal *p = PORTAL(req);
    account_id which;
    struct account x;
    enum err e = unsubscribe_find(&p->privacy, unsubscribe_given(req), req->arena, &which, req->fault);
    if (e == OK)
        e = account_get(request_read(req), &p->privacy, which, NULL, &x);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    TRY(account_set_news(request_write(req), p, which, false, req->locale.code, CONSENT_WAY_MAIL));
    return request_page(req, "account/unsubscribed");
}

const struct route privacy_routes[] = {
    {METHOD_GET, "/account/privacy", show_privacy, GUARD_SIGNED_IN, RATE_PAGE,
     .shows = SHOWS(&consent_form, &takeout_form, &share_form, &restrict_form, &object_form, &withdraw_form,
                    &form_button)},
    {METHOD_POST, "/account/privacy/consent", set_consent, GUARD_SIGNED_IN, RATE_FORM, &consent_form,
     .again = "/account/privacy"},
    {METHOD_GET, "/account/privacy/consents/:number", show_consent, GUARD_SIGNED_IN, RATE_PAGE},
    {METHOD_POST, "/account/privacy/takeout", ask_takeout, GUARD_RECENT, RATE_FORM, &takeout_form,
     .again = "/account/privacy"},
    {METHOD_GET, "/account/privacy/takeouts/:id", get_takeout, GUARD_RECENT, RATE_PAGE},
    {METHOD_POST, "/account/privacy/takeout/share", share_takeout, GUARD_RECENT, RATE_FORM, &share_form,
     .again = "/account/privacy"},
    {METHOD_GET, "/takeout", get_shared, GUARD_PUBLIC, RATE_FORM},
    {METHOD_POST, "/account/privacy/restrict", restrict_use, GUARD_SIGNED_IN, RATE_FORM, &restrict_form,
     .again = "/account/privacy"},
    {METHOD_POST, "/account/privacy/restrict/lift", lift_restriction, GUARD_SIGNED_IN, RATE_FORM, &form_button,
     .again = "/account/privacy"},
    {METHOD_POST, "/account/privacy/object", object, GUARD_SIGNED_IN, RATE_FORM, &object_form,
     .again = "/account/privacy"},
    {METHOD_POST, "/account/privacy/object/withdraw", withdraw_objection, GUARD_SIGNED_IN, RATE_FORM, &withdraw_form,
     .again = "/account/privacy"},
    {METHOD_GET, "/account/close", show_close, GUARD_RECENT, RATE_PAGE, .shows = SHOWS(&close_form)},
    {METHOD_POST, "/account/close", close_account, GUARD_RECENT, RATE_FORM, &close_form, .again = "/account/close"},
    {METHOD_GET, "/account/reopen", show_reopen, GUARD_PUBLIC, RATE_PAGE, .shows = SHOWS(&reopen_form)},
    {METHOD_POST, "/account/reopen", reopen, GUARD_PUBLIC, RATE_FORM, &reopen_form, .again = "/account/reopen"},
    {METHOD_GET, "/unsubscribe", show_unsubscribe, GUARD_PUBLIC, RATE_PAGE, .shows = SHOWS(&unsubscribe_form)},
    {METHOD_POST, "/unsubscribe", unsubscribe, GUARD_PUBLIC, RATE_FORM, &unsubscribe_form, .again = "/unsubscribe",
     .no_csrf = true},
    {0},
};
