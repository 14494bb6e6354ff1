/* What a person sees and does with their licenses. */
#include "features/licenses/model.h"

#include <string.h>

#include "features/devices/devices.h"
#include "features/factors/factors.h"
#include "features/purchases/purchases.h"
#include "privacy/consent.h"
#include "privacy/enrolment.h"

#define LIST        "/account/licenses"
#define SIGNED_IN(req) ((account_id){(req)->session.account})
#define SHOWS(...)  (const struct form *const[]){__VA_ARGS__, NULL}
#define SOON        (30 * MOMENT_DAY)

enum { TOKEN_MAX = 100, CODE_MAX = 100 };

static const char *const yes_no[] = {"yes", "no", NULL};

static const struct form_field code_fields[] = {
    {"code", FIELD_TEXT, .required = true, .max = CODE_MAX, .label = MSG("licenses.code"), .hint = MSG("licenses.code-hint")},
};
static const struct form code_form = {"add_code", code_fields, COUNT(code_fields)};

static const struct form_field trial_fields[] = {{"product", FIELD_HIDDEN, .required = true, .max = 60}};
static const struct form trial_form = {"trial", trial_fields, COUNT(trial_fields)};

static const struct form_field choice_fields[] = {{"decision", FIELD_CHOICE, .required = true, .choices = yes_no}};
static const struct form reminders_form = {"reminders", choice_fields, COUNT(choice_fields)};

static const struct form_field put_fields[] = {
    {"device", FIELD_CHOICE, .required = true, .label = MSG("licenses.device")},
};
static const struct form put_form = {"put_device", put_fields, COUNT(put_fields)};

static const struct form_field seat_fields[] = {{"device", FIELD_HIDDEN, .required = true, .max = ID_LENGTH}};
static const struct form seat_form = {"seat", seat_fields, COUNT(seat_fields)};

static const struct form_field stop_fields[] = {
    {"t", FIELD_HIDDEN, .max = TOKEN_MAX},
    {"List-Unsubscribe", FIELD_HIDDEN, .max = 40},
};
static const struct form stop_form = {"stop_reminders", stop_fields, COUNT(stop_fields)};

static str text_of(struct request *req, const char *key)
{
    return catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, key, NULL);
}

/* ---- one license in words ---- */

/* What to do next depends on this: one of them is true. */
static const char *next_of(const struct license *l, const struct product *product, moment now)
{
    if (!str_is(l->state, "active"))
        return str_is(l->state, "new") ? "new" : str_is(l->state, "grace") ? "grace" : str_is(l->state, "revoked") ? "revoked" : "expired";
    bool soon = l->expires - now < SOON && !(product && product->trial && l->expires - now > 7 * MOMENT_DAY);
    return l->renews ? "renews" : soon ? "soon" : "active";
}

static void put_license(struct request *req, json_t *j, const struct license *l)
{
    static const char *const nexts[] = {"new", "active", "soon", "renews", "grace", "expired", "revoked"};
    const struct portal *p = PORTAL(req);
    const struct product *product = product_named(p, l->product);
    moment now = clock_now(p->privacy.clock);
    const char *next = next_of(l, product, now);
    json_put_str(j, "id", id_str(&l->id.id));
    json_put_str(j, "title", product_title(p, l->product, &req->locale));
    json_put_str(j, "state", text_of(req, str_fmt(req->arena, "license-state.%.*s", STR_FMT(l->state)).p));
    json_put_str(j, "origin", text_of(req, str_fmt(req->arena, "license-origin.%.*s", STR_FMT(l->origin)).p));
    for (size_t i = 0; i < COUNT(nexts); i++)
        json_put_bool(j, str_fmt(req->arena, "next_%s", nexts[i]).p, strcmp(next, nexts[i]) == 0);
    json_put_bool(j, "good", str_is(l->state, "active") || str_is(l->state, "new"));
    json_put_bool(j, "warns", str_is(l->state, "grace"));
    json_put_bool(j, "bad", str_is(l->state, "expired") || str_is(l->state, "revoked"));
    json_put_bool(j, "begun", l->expires != 0);
    json_put_moment(j, "expires", req->arena, l->expires);
    json_put_moment(j, "added", req->arena, l->added);
    json_put_moment(j, "works_until", req->arena, l->last);
    json_put_int(j, "used", l->used);
    json_put_int(j, "count", l->devices);
    json_put_bool(j, "full", l->used >= l->devices);
}

/* ---- the list ---- */

static enum err put_trials(struct request *req)
{
    size_t n;
    const struct product *products = product_list(PORTAL(req), &n);
    json_t *had = json_object(), *list = json_put_array(req->view, "trials");
    struct query *q = SQL(request_read(req), "SELECT product FROM trial_taken WHERE account = $1");
    bind_id(q, req->session.account);
    while (query_row(q))
        json_put_bool(had, str_cstr(req->arena, row_text(q, 0)), true);
    for (size_t i = 0; i < n; i++) {
        if (!products[i].trial || json_object_get(had, str_cstr(req->arena, products[i].key)))
            continue;
        json_t *j = json_add_object(list);
        json_put_str(j, "product", products[i].key);
        json_put_str(j, "title", product_name(&products[i], &req->locale));
        json_put_str(j, "term", term_format(req->arena, products[i].term));
        json_put_int(j, "count", products[i].devices);
    }
    json_put_bool(req->view, "has_trials", json_array_size(list) > 0);
    json_decref(had);
    return query_end(q);
}

static enum err put_reminders(struct request *req)
{
    bool wanted;
    json_t *j = json_put_object(req->view, "reminders");
    TRY(reminders_get(request_read(req), PORTAL(req), SIGNED_IN(req), &wanted));
    json_put_bool(j, "on", wanted);
    json_put_str(j, "wording", text_of(req, MSG("consent.license-reminders.1")));
    json_put_str(j, "steps", catalogue_steps(catalogue_of(PORTAL(req)), req->arena, &req->locale));
    return OK;
}

static enum err is_enrolled(struct request *req, bool *yes)
{
    TRY(enrolment_active(request_read(req), request_privacy(req), req->session.account, STR(LICENSE_SERVICE), yes));
    json_put_bool(req->view, "enrolled", *yes);
    return OK;
}

static enum err show_list(struct request *req)
{
    struct license *list;
    size_t n;
    bool enrolled;
    struct form_state *form = request_form(req, "add_code");
    TRY(is_enrolled(req, &enrolled));
    TRY(license_list(request_read(req), PORTAL(req), SIGNED_IN(req), NULL, &list, &n));
    json_t *all = json_put_array(req->view, "licenses");
    for (size_t i = 0; i < n; i++)
        put_license(req, json_add_object(all), &list[i]);
    json_put_bool(req->view, "none", n == 0);
    const char *error = form->error[0];
    json_put_bool(req->view, "taken", error && strcmp(error, MSG("licenses.code-taken")) == 0);
    TRY(put_trials(req));
    TRY(put_reminders(req));
    return request_page(req, "licenses/list");
}

/* ---- adding ---- */

static const struct refusal {
    const char *why, *key;
    int status;
} refusals[] = {
    {CODE_ERROR_MALFORMED, MSG("licenses.code-malformed"), 422},
    {CODE_ERROR_SLIP, MSG("licenses.code-slip"), 422},
    {CODE_ERROR_UNKNOWN, MSG("licenses.code-unknown"), 422},
    {CODE_ERROR_TAKEN, MSG("licenses.code-taken"), 409},
    {CODE_ERROR_MINE, MSG("licenses.code-mine"), 409},
    {CODE_ERROR_REVOKED, MSG("licenses.code-revoked"), 422},
    {CODE_ERROR_TOO_OFTEN, MSG("licenses.code-too-often"), 429},
    {LICENSE_ERROR_FULL, MSG("licenses.full"), 409},
    {LICENSE_ERROR_COOLING, MSG("licenses.cooling"), 409},
    {LICENSE_ERROR_OVER, MSG("licenses.over"), 409},
    {LICENSE_ERROR_PRODUCT, MSG("licenses.other-product"), 422},
    {LICENSE_ERROR_JOIN, MSG("licenses.join-first"), 403},
};

static enum err refused(struct request *req, const char *field, const char *why)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        if (strcmp(refusals[i].why, why) != 0)
            continue;
        form_fail(&req->form, field, refusals[i].key);
        return request_again(req, refusals[i].status);
    }
    return ERR_IO;
}

static str url_of(struct request *req, id license, const char *rest)
{
    return str_fmt(req->arena, LIST "/%s%s", license.text, rest);
}

static enum err add_code(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    license_id license;
    const char *why = NULL;
    TRY(request_key(req, &k));
    enum err e = license_redeem(PORTAL(req), SIGNED_IN(req), &k, form_value(&req->form, "code"), req->arena, &license,
                                &why, req->fault);
    if (e != OK && why != NULL)
        return refused(req, "code", why);
    TRY(e);
    return request_see(req, 201, url_of(req, license.id, "?done=license-added"));
}

static enum err begin_trial(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    license_id license;
    const struct product *product = product_named(PORTAL(req), form_value(&req->form, "product"));
    if (product == NULL || !product->trial)
        return ERR_NOT_FOUND;
    TRY(request_key(req, &k));
    enum err e = license_grant(request_write(req), PORTAL(req), SIGNED_IN(req), &k, product, ORIGIN_TRIAL, &license);
    if (e == ERR_CONFLICT)
        return request_see(req, 409, STR(LIST "?done=trial-had"));
    TRY(e);
    return request_see(req, 201, url_of(req, license.id, "?done=trial-begun"));
}

static enum err set_reminders(struct request *req)
{
    bool wanted = str_is(form_value(&req->form, "decision"), "yes"), enrolled;
    TRY(enrolment_active(request_write(req), request_privacy(req), req->session.account, STR(LICENSE_SERVICE), &enrolled));
    if (wanted && !enrolled)
        return ERR_DENIED;
    TRY(reminders_set(request_write(req), PORTAL(req), SIGNED_IN(req), wanted, req->locale.code, WAY_LICENSES));
    return request_see(req, 200, wanted ? STR(LIST "?done=reminders-on#reminders") : STR(LIST "?done=reminders-off#reminders"));
}

/* ---- one license ---- */

struct shown {
    license_id id;
    struct license license;
    struct license_row row;
    const struct product *product;
    struct device_entry *devices;
    size_t n_devices;
    struct seat *seats;
    size_t n_seats;
};

static enum err read_shown(struct request *req, struct shown *out)
{
    CLEANUP(key_wipe) struct key k;
    struct tx *tx = request_read(req);
    if (id_parse(req->segment[0], &out->id.id) != OK)
        return ERR_NOT_FOUND;
    TRY(request_key(req, &k));
    TRY(license_row(tx, SIGNED_IN(req), out->id, &out->row));
    TRY(license_get(tx, PORTAL(req), SIGNED_IN(req), out->id, NULL, &out->license));
    TRY(seat_list(tx, SIGNED_IN(req), out->id, &out->seats, &out->n_seats));
    out->product = product_named(PORTAL(req), out->license.product);
    return device_list(tx, request_privacy(req), SIGNED_IN(req), &k, &out->devices, &out->n_devices);
}

static str name_of(const struct shown *s, id device)
{
    for (size_t i = 0; i < s->n_devices; i++)
        if (id_eq(s->devices[i].id.id, device))
            return s->devices[i].name;
    return (str){NULL, 0};
}

static bool has_seat(const struct shown *s, id device)
{
    for (size_t i = 0; i < s->n_seats; i++)
        if (s->seats[i].freed == 0 && id_eq(s->seats[i].device, device))
            return true;
    return false;
}

static void put_seats(struct request *req, const struct shown *s)
{
    moment now = clock_now(request_privacy(req)->clock), free_at = 0;
    json_t *list = json_put_array(req->view, "seats");
    for (size_t i = 0; i < s->n_seats; i++) {
        const struct seat *x = &s->seats[i];
        if (x->freed != 0) {
            moment cool = x->freed + LICENSE_COOLING;
            if (cool > now && (free_at == 0 || cool < free_at))
                free_at = cool;
            continue;
        }
        json_t *j = json_add_object(list);
        str name = name_of(s, x->device);
        json_put_str(j, "device", id_str(&x->device));
        json_put_str(j, "name", name);
        json_put_bool(j, "nameless", name.n == 0);
        json_put_bool(j, "unused", seat_unused(x, now));
        json_put_moment(j, "seen", req->arena, x->seen);
        json_put_bool(j, "filed", x->filed > now);
        json_put_bool(j, "file", !s->row.revoked && now < license_last(&s->row));
    }
    json_put_bool(req->view, "has_seats", json_array_size(list) > 0);
    json_put_bool(req->view, "cooling", free_at != 0);
    json_put_moment(req->view, "free_at", req->arena, free_at);
}

/* Devices that it can be put on: those that have no seat of this license. */
static void offer_devices(struct request *req, const struct shown *s)
{
    str *values = ARENA_ARRAY(req->arena, str, s->n_devices), *labels = ARENA_ARRAY(req->arena, str, s->n_devices);
    size_t n = 0;
    for (size_t i = 0; i < s->n_devices; i++) {
        if (has_seat(s, s->devices[i].id.id))
            continue;
        values[n] = id_str(&s->devices[i].id.id);
        labels[n++] = s->devices[i].name;
    }
    bool usable = !s->row.revoked && !(s->row.activated && clock_now(request_privacy(req)->clock) >= s->row.expires);
    form_offer(request_form(req, "put_device"), "device", values, labels, n);
    json_put_bool(req->view, "offers", n > 0 && usable);
    json_put_bool(req->view, "no_devices", s->n_devices == 0 && usable);
    json_put_bool(req->view, "sends", s->row.hash.n > 0);
}

static void put_features(struct request *req, const struct shown *s)
{
    json_t *list = json_put_array(req->view, "features");
    for (size_t i = 0; s->product && i < s->product->n_features; i++)
        json_add_str(list, catalogue_feature(catalogue_of(PORTAL(req)), s->product->features[i], &req->locale));
    json_put_bool(req->view, "has_features", json_array_size(list) > 0);
}

static enum err put_renewal(struct request *req, const struct shown *s)
{
    bool card = false, sold = s->product && s->product->price > 0 && !s->row.revoked;
    if (sold)
        TRY(purchase_can_renew(request_read(req), SIGNED_IN(req), &card));
    json_t *j = json_put_object(req->view, "renewal");
    json_put_bool(j, "on", s->license.renews);
    json_put_bool(j, "offered", sold && card && !s->license.renews);
    json_put_bool(j, "no_card", sold && !card && !s->license.renews);
    json_put_bool(j, "shown", sold || s->license.renews);
    json_put_str(j, "wording", sold ? mandate_wording(PORTAL(req), req->arena, s->product, &req->locale) : STR(""));
    return OK;
}

/* With the code in it where it was asked for; it is opened for that page alone. */
static enum err show(struct request *req, bool code)
{
    CLEANUP(key_wipe) struct key k;
    struct shown s;
    struct license opened;
    TRY(read_shown(req, &s));
    put_license(req, json_put_object(req->view, "license"), &s.license);
    put_seats(req, &s);
    offer_devices(req, &s);
    put_features(req, &s);
    TRY(put_renewal(req, &s));
    TRY(put_reminders(req));
    json_put_bool(req->view, "has_code", s.row.hash.n > 0);
    json_put_bool(req->view, "code_shown", code && s.row.hash.n > 0);
    json_put_text(req->view, "code", "");
    if (code && s.row.hash.n > 0) {
        TRY(request_key(req, &k));
        TRY(license_get(request_read(req), PORTAL(req), SIGNED_IN(req), s.id, &k, &opened));
        json_put_str(req->view, "code", license_code_text(req->arena, opened.code));
        response_header(req->response, "Cache-Control", STR("no-store"));
    }
    return request_page(req, "licenses/one");
}

static enum err show_one(struct request *req)
{
    return show(req, false);
}

static enum err show_code(struct request *req)
{
    bool proved;
    TRY(factors_proved(req, &proved));
    return proved ? show(req, true) : factors_ask_proof(req);
}

/* ---- on devices ---- */

struct wish {
    license_id license;
    device_id device;
};

/* The device must be the person's own. ERR_NOT_FOUND. */
static enum err read_wish(struct request *req, bool own, struct wish *out)
{
    CLEANUP(key_wipe) struct key k;
    struct device_entry entry;
    if (id_parse(req->segment[0], &out->license.id) != OK || id_parse(form_value(&req->form, "device"), &out->device.id) != OK)
        return ERR_NOT_FOUND;
    if (!own)
        return OK;
    TRY(request_key(req, &k));
    return device_get(request_write(req), request_privacy(req), SIGNED_IN(req), out->device, &k, &entry);
}

static enum err put_on_device(struct request *req)
{
    struct wish w;
    const char *why = NULL;
    TRY(read_wish(req, true, &w));
    enum err e = license_bind(request_write(req), PORTAL(req), SIGNED_IN(req), w.license, w.device.id, (str){NULL, 0}, &why);
    if (e != OK && why != NULL)
        return refused(req, "device", why);
    TRY(e);
    return request_see(req, 200, url_of(req, w.license.id, "?done=license-on-device"));
}

static enum err take_off_device(struct request *req)
{
    struct wish w;
    TRY(read_wish(req, false, &w));
    TRY(license_unbind(request_write(req), PORTAL(req), SIGNED_IN(req), w.license, w.device.id));
    return request_see(req, 200, url_of(req, w.license.id, "?done=license-off-device"));
}

static enum err send_to_device(struct request *req)
{
    struct wish w;
    TRY(read_wish(req, true, &w));
    enum err e = license_send_code(request_write(req), PORTAL(req), SIGNED_IN(req), w.license, w.device.id);
    if (e == ERR_CONFLICT)
        return refused(req, "device", LICENSE_ERROR_OVER);
    TRY(e);
    return request_see(req, 202, url_of(req, w.license.id, "?done=license-sent"));
}

static enum err get_file(struct request *req)
{
    struct wish w;
    str file;
    TRY(read_wish(req, false, &w));
    TRY(license_file(request_write(req), PORTAL(req), SIGNED_IN(req), w.license, w.device.id, req->arena, &file));
    response_header(req->response, "Cache-Control", STR("no-store"));
    response_header(req->response, "Content-Disposition", STR("attachment; filename=\"license.jws\""));
    return request_bytes(req, 200, "application/jose", file);
}

/* ---- renewal ---- */

static enum err switch_renewal(struct request *req, bool on)
{
    license_id license;
    if (id_parse(req->segment[0], &license.id) != OK)
        return ERR_NOT_FOUND;
    enum err e = mandate_set(request_write(req), PORTAL(req), SIGNED_IN(req), license, on, &req->locale);
    if (e == ERR_CONFLICT)
        return request_see(req, 409, url_of(req, license.id, "?done=renewal-not"));
    TRY(e);
    return request_see(req, 200, url_of(req, license.id, on ? "?done=renewal-on" : "?done=renewal-off"));
}

static enum err renewal_on(struct request *req)
{
    bool card;
    TRY(purchase_can_renew(request_write(req), SIGNED_IN(req), &card));
    return card ? switch_renewal(req, true) : ERR_CONFLICT;
}

/* To stop it nothing is asked for. */
static enum err renewal_off(struct request *req)
{
    return switch_renewal(req, false);
}

/* ---- ending the reminders from a mail, without signing in ---- */

static str token_given(struct request *req)
{
    str token = request_query(req, "t", TOKEN_MAX);
    return token.n > 0 || req->method != METHOD_POST ? token : form_value(&req->form, "t");
}

static enum err show_stop(struct request *req)
{
    account_id which;
    str token = token_given(req);
    TRY(reminders_find(request_privacy(req), token, req->arena, &which, req->fault));
    form_put(request_form(req, "stop_reminders"), "t", token);
    json_put_bool(req->view, "ended", false);
    return request_page(req, "licenses/stop");
}

static enum err stop_reminders(struct request *req)
{
    account_id which;
    struct account x;
    TRY(reminders_find(request_privacy(req), token_given(req), req->arena, &which, req->fault));
    TRY(account_get(request_read(req), request_privacy(req), which, NULL, &x));
    TRY(reminders_set(request_write(req), PORTAL(req), which, false, req->locale.code, CONSENT_WAY_MAIL));
    json_put_bool(req->view, "ended", true);
    return request_page(req, "licenses/stop");
}

#define ONE LIST "/:id"

const struct route license_routes[] = {
    {METHOD_GET, LIST, show_list, GUARD_SIGNED_IN, RATE_PAGE, .shows = SHOWS(&code_form, &trial_form, &reminders_form)},
    {METHOD_POST, LIST, add_code, GUARD_SIGNED_IN, RATE_FORM, &code_form, .again = LIST},
    {METHOD_POST, LIST "/trials", begin_trial, GUARD_SIGNED_IN, RATE_FORM, &trial_form, .again = LIST},
    {METHOD_POST, LIST "/reminders", set_reminders, GUARD_SIGNED_IN, RATE_FORM, &reminders_form, .again = LIST},
    {METHOD_GET, ONE, show_one, GUARD_SIGNED_IN, RATE_PAGE, .shows = SHOWS(&put_form, &seat_form, &form_button)},
    {METHOD_GET, ONE "/code", show_code, GUARD_RECENT, RATE_PAGE, .shows = SHOWS(&put_form, &seat_form, &form_button)},
    {METHOD_POST, ONE "/devices", put_on_device, GUARD_SIGNED_IN, RATE_FORM, &put_form, .again = ONE},
    {METHOD_POST, ONE "/devices/off", take_off_device, GUARD_SIGNED_IN, RATE_FORM, &seat_form, .again = ONE},
    {METHOD_POST, ONE "/send", send_to_device, GUARD_SIGNED_IN, RATE_FORM, &put_form, .again = ONE},
    {METHOD_POST, ONE "/file", get_file, GUARD_SIGNED_IN, RATE_FORM, &seat_form, .again = ONE},
    {METHOD_POST, ONE "/renewal/on", renewal_on, GUARD_RECENT, RATE_FORM, &form_button, .again = ONE},
    {METHOD_POST, ONE "/renewal/off", renewal_off, GUARD_SIGNED_IN, RATE_FORM, &form_button, .again = ONE},
    {METHOD_GET, "/licenses/reminders", show_stop, GUARD_PUBLIC, RATE_PAGE, .shows = SHOWS(&stop_form)},
    {METHOD_POST, "/licenses/reminders", stop_reminders, GUARD_PUBLIC, RATE_FORM, &stop_form, .again = "/licenses/reminders",
     .no_csrf = true},
    {0},
};
