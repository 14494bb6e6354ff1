/* The account itself: overview, settings, security. */
#include "features/account/pages.h"

#include <string.h>

#include "features/account/gate.h"
#include "features/factors/factors.h"
#include "privacy/consent.h"

/* ---- forms ---- */

static const struct form_field preferences_fields[] = {
    {"language", FIELD_CHOICE, .required = true, .label = MSG("field.language")},
    {"zone", FIELD_CHOICE, .label = MSG("field.zone"), .hint = MSG("field.zone-hint")},
    {"country", FIELD_CHOICE, .label = MSG("field.country"), .hint = MSG("field.country-hint")},
};
static const struct form preferences_form = {"preferences", preferences_fields,
                                             COUNT(preferences_fields)};

static const struct form_field address_fields[] = {
    {"email", FIELD_EMAIL, .required = true, .label = MSG("field.new-email"), .autocomplete = "email"},
    {"password", FIELD_PASSWORD, .required = true, .label = MSG("field.password"),
     .autocomplete = "current-password"},
};
static const struct form address_form = {"address", address_fields, COUNT(address_fields)};

static const struct form_field agree_fields[] = {
    {"t", FIELD_HIDDEN, .required = true, .max = TICKET_TOKEN_LENGTH},
};
static const struct form agree_form = {"agree", agree_fields, COUNT(agree_fields)};

static const struct form_field password_fields[] = {
    {"password", FIELD_PASSWORD, .required = true, .label = MSG("field.current-password"),
     .autocomplete = "current-password"},
    {"new_password", FIELD_NEW_PASSWORD, .required = true, .label = MSG("field.new-password"),
     .hint = MSG("field.new-password-hint"), .autocomplete = "new-password"},
};
static const struct form password_form = {"password", password_fields, COUNT(password_fields)};

static const struct form_field session_fields[] = {
    {"session", FIELD_HIDDEN, .required = true, .max = ID_LENGTH},
};
static const struct form session_form = {"session", session_fields, COUNT(session_fields)};

#define SHOWS(...) (const struct form *const[]){__VA_ARGS__, NULL}

/* ---- overview ---- */

static enum err put_account(struct request *req, struct key *k, struct account *x)
{
    const struct privacy *p = request_privacy(req);
    TRY(request_key(req, k));
    TRY(account_get(request_read(req), p, SIGNED_IN(req), k, x));
    json_t *j = json_put_object(req->view, "account");
    json_put_str(j, "email", x->email);
    json_put_str(j, "language", x->language);
    json_put_str(j, "zone", x->zone);
    json_put_str(j, "country", x->country);
    json_put_moment(j, "made", req->arena, x->made);
    return OK;
}

static enum err show_overview(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(key_wipe) struct key k;
    struct account x;
    struct session_entry *sessions;
    size_t n;
    bool news;
    TRY(put_account(req, &k, &x));
    TRY(session_list(request_read(req), p, x.id.id, &k, &sessions, &n));
    TRY(consent_holds(request_read(req), p, x.id.id,
                      inventory_purpose(p->inventory, STR("product-news")), &news, NULL));
    json_put_int(req->view, "count", (int64_t)n);
    json_put_bool(req->view, "news", news);
    return request_page(req, "account/overview");
}

/* ---- settings ---- */

static void offer_languages(struct request *req, struct form_state *f)
{
    const struct catalog *c = request_privacy(req)->catalog;
    size_t n = catalog_languages(c);
    str *codes = ARENA_ARRAY(req->arena, str, n), *names = ARENA_ARRAY(req->arena, str, n);
    for (size_t i = 0; i < n; i++) {
        struct locale own = {(int)i, catalog_language(c, (int)i), NULL, req->locale.formats};
        codes[i] = str_from(own.code);
        names[i] = format_value(req->arena, &own, FORMAT_LANGUAGE, codes[i]);
    }
    form_offer(f, "language", codes, names, n);
}

static void offer_zones(struct request *req, struct form_state *f)
{
    str *zones;
    size_t n;
    format_zones(req->arena, &zones, &n);
    /* The first is none: times are then shown in UTC. */
    str *values = ARENA_ARRAY(req->arena, str, n + 1), *labels = ARENA_ARRAY(req->arena, str, n + 1);
    values[0] = STR("");
    labels[0] = catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, MSG("field.zone-none"), NULL);
    for (size_t i = 0; i < n; i++) {
        char *label = str_cstr(req->arena, zones[i]);
        for (char *c = label; *c; c++)
            *c = *c == '_' ? ' ' : *c;
        values[i + 1] = zones[i];
        labels[i + 1] = str_from(label);
    }
    form_offer(f, "zone", values, labels, n + 1);
}

static void offer_countries(struct request *req, struct form_state *f)
{
    str *codes, *names;
    size_t n;
    format_countries(req->arena, &req->locale, &codes, &names, &n);
    str *values = ARENA_ARRAY(req->arena, str, n + 1), *labels = ARENA_ARRAY(req->arena, str, n + 1);
    values[0] = STR("");
    labels[0] = catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, MSG("field.country-none"), NULL);
    memcpy(values + 1, codes, n * sizeof *codes);
    memcpy(labels + 1, names, n * sizeof *names);
    form_offer(f, "country", values, labels, n + 1);
}

static enum err put_address_change(struct request *req, const struct account *x,
                                   const struct key *k)
{
    struct address_change c;
    TRY(address_change_get(request_read(req), request_privacy(req), x->id, k, &c));
    if (!c.there) {
        json_put(req->view, "change", json_null());
        return OK;
    }
    json_t *j = json_put_object(req->view, "change");
    json_put_str(j, "address", c.address);
    json_put_bool(j, "old_agreed", c.old_agreed);
    json_put_bool(j, "new_agreed", c.new_agreed);
    json_put_moment(j, "ends", req->arena, c.ends);
    return OK;
}

static enum err show_settings(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct account x;
    struct form_state *f = request_form(req, "preferences");
    TRY(put_account(req, &k, &x));
    offer_languages(req, f);
    offer_zones(req, f);
    offer_countries(req, f);
    form_put(f, "language", x.language);
    form_put(f, "zone", x.zone);
    form_put(f, "country", x.country);
    TRY(put_address_change(req, &x, &k));
    return request_page(req, "account/settings");
}

bool account_is_country(struct request *req, str code)
{
    str *codes, *names;
    size_t n;
    format_countries(req->arena, &req->locale, &codes, &names, &n);
    for (size_t i = 0; i < n; i++)
        if (str_eq(codes[i], code))
            return true;
    return code.n == 0;
}

static enum err set_preferences(struct request *req)
{
    str language = form_value(&req->form, "language"), zone = form_value(&req->form, "zone");
    str country = form_value(&req->form, "country");
    if (catalog_find_language(request_privacy(req)->catalog, language) < 0)
        form_fail(&req->form, "language", MSG("form.choose"));
    if (zone.n > 0 && !format_zone_ok(zone))
        form_fail(&req->form, "zone", MSG("form.choose"));
    if (!account_is_country(req, country))
        form_fail(&req->form, "country", MSG("form.choose"));
    if (req->form.wrong)
        return request_again(req, 422);
    TRY(account_set_preferences(request_write(req), PORTAL(req), SIGNED_IN(req), language, zone, country));
    request_set_cookie(req, "language", language);
    return request_see(req, 200, STR("/account/settings?done=saved"));
}

/* ---- the address ---- */

static enum err ask_address(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct account x;
    struct email to, own;
    TRY(email_parse(req->arena, form_value(&req->form, "email"), &to));
    TRY(gate_password(req, SIGNED_IN(req)));
    TRY(put_account(req, &k, &x));
    TRY(email_parse(req->arena, x.email, &own));
    if (str_eq(own.same, to.same)) {
        form_fail(&req->form, "email", MSG("settings.same-address"));
        return request_again(req, 422);
    }
    TRY(gate_address(req, SIGNED_IN(req), to.same));
    TRY(address_change_ask(request_write(req), PORTAL(req), SIGNED_IN(req), &to));
    return request_see(req, 202, STR("/account/settings?done=address-asked"));
}

static enum err drop_address(struct request *req)
{
    TRY(address_change_drop(request_write(req), SIGNED_IN(req)));
    return request_see(req, 200, STR("/account/settings?done=address-dropped"));
}

static enum err show_agree(struct request *req)
{
    str token = request_query(req, "t", TICKET_TOKEN_LENGTH);
    if (req->method == METHOD_POST)
        token = form_value(&req->form, "t");
    enum err e = address_change_find(request_read(req), request_privacy(req), token);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    form_put(request_form(req, "agree"), "t", token);
    return request_page(req, "account/email-agree");
}

static enum err agree(struct request *req)
{
    enum address_answer answer;
    enum err e = address_change_agree(request_write(req), PORTAL(req),
                                      form_value(&req->form, "t"), &answer);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    json_put_bool(req->view, "changed", answer == ADDRESS_CHANGED);
    json_put_bool(req->view, "waits", answer == ADDRESS_WAITS);
    json_put_bool(req->view, "taken", answer == ADDRESS_TAKEN);
    return request_page(req, "account/email-agreed");
}

/* ---- security ---- */

static enum err show_security(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(key_wipe) struct key k;
    struct session_entry *sessions;
    size_t n;
    TRY(request_key(req, &k));
    TRY(session_list(request_read(req), p, req->session.account, &k, &sessions, &n));
    json_t *list = json_put_array(req->view, "sessions");
    for (size_t i = 0; i < n; i++) {
        json_t *s = json_add_object(list);
        json_put_str(s, "id", str_from(sessions[i].id.text));
        json_put_bool(s, "current", id_eq(sessions[i].id, req->session.id));
        json_put_str(s, "browser", sessions[i].browser);
        json_put_bool(s, "unknown_browser", sessions[i].browser.n == 0);
        json_put_str(s, "address", request_origin(req, &req->locale, sessions[i].address));
        json_put_bool(s, "has_address", sessions[i].address.n > 0);
        json_put_moment(s, "made", req->arena, sessions[i].made);
        json_put_moment(s, "seen", req->arena, sessions[i].seen);
    }
    json_put_bool(req->view, "others", n > 1);
    TRY(factors_put_card(req, &k));
    TRY(recovery_put_card(req, &k));
    return request_page(req, "account/security");
}

static enum err change_password(struct request *req)
{
    struct portal *p = PORTAL(req);
    struct secret fresh = form_secret(&req->form, "new_password");
    CLEANUP(key_wipe) struct key k;
    struct account x;
    str hash, own;
    TRY(gate_password(req, SIGNED_IN(req)));
    TRY(put_account(req, &k, &x));
    TRY(account_own_words(request_read(req), &p->privacy, &x, &own));
    const char *weak = password_weakness(req->arena, fresh, own);
    if (weak) {
        form_fail(&req->form, "new_password", weak);
        return request_again(req, 422);
    }
    request_rest(req);
    TRY(password_hash(p->passwords, fresh, req->arena, &hash, req->fault));
    TRY(account_set_password(request_write(req), p, x.id, hash, req->session.id, true));
    TRY(session_prove(request_write(req), p->privacy.clock, &req->session));
    TRY(own_note(req, "password-changed"));
    return request_see(req, 200, STR("/account/security?done=password-changed"));
}

static enum err end_session(struct request *req)
{
    id session;
    TRY(id_parse(form_value(&req->form, "session"), &session));
    TRY(session_end(request_write(req), req->session.account, session));
    TRY(own_note(req, "session-ended"));
    if (id_eq(session, req->session.id)) {
        request_sign_out(req);
        return request_see(req, 200, STR("/?done=signed-out"));
    }
    return request_see(req, 200, STR("/account/security?done=session-ended"));
}

static enum err end_others(struct request *req)
{
    bool others; /* what changes nothing is no event: a log has no room for those */
    TRY(session_has_others(request_write(req), req->session.account, req->session.id, &others));
    TRY(session_end_others(request_write(req), req->session.account, req->session.id));
    if (others)
        TRY(own_note(req, "sessions-ended"));
    return request_see(req, 200, STR("/account/security?done=sessions-ended"));
}

const struct route manage_routes[] = {
    {METHOD_GET, "/account", show_overview, GUARD_SIGNED_IN, RATE_PAGE},
    {METHOD_GET, "/account/settings", show_settings, GUARD_SIGNED_IN, RATE_PAGE,
     .shows = SHOWS(&preferences_form, &address_form, &form_button)},
    {METHOD_POST, "/account/settings", set_preferences, GUARD_SIGNED_IN, RATE_FORM, &preferences_form,
     .again = "/account/settings"},
    {METHOD_POST, "/account/settings/email", ask_address, GUARD_SIGNED_IN, RATE_SIGN_IN, &address_form,
     .again = "/account/settings"},
    {METHOD_POST, "/account/settings/email/drop", drop_address, GUARD_SIGNED_IN, RATE_FORM, &form_button,
     .again = "/account/settings"},
    {METHOD_GET, "/account/email", show_agree, GUARD_PUBLIC, RATE_PAGE, .shows = SHOWS(&agree_form)},
    {METHOD_POST, "/account/email", agree, GUARD_PUBLIC, RATE_FORM, &agree_form, .again = "/account/email"},
    {METHOD_GET, "/account/security", show_security, GUARD_SIGNED_IN, RATE_PAGE,
     .shows = SHOWS(&password_form, &session_form, &form_button)},
    {METHOD_POST, "/account/security/password", change_password, GUARD_SIGNED_IN, RATE_SIGN_IN, &password_form,
     .again = "/account/security"},
    {METHOD_POST, "/account/security/sessions", end_session, GUARD_SIGNED_IN, RATE_FORM, &session_form,
     .again = "/account/security"},
    {METHOD_POST, "/account/security/sessions/others", end_others, GUARD_SIGNED_IN, RATE_FORM, &form_button,
     .again = "/account/security"},
    {0},
};
