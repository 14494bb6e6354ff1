/* A person's devices (MYA-37, MYA-38, MYA-40): the list, one of them, fixes, its name, its end. */
#include "features/devices/pages.h"

#include <string.h>

#include "features/connect/connect.h"
#include "features/licenses/licenses.h"
#include "features/live/live.h"

enum { HISTORY = 30 };

static const char *const places[] = {"list", "office", "device", NULL};

static const struct form_field fix_fields[] = {
    {"fix", FIELD_HIDDEN, .required = true, .max = FIX_MAX},
    {"from", FIELD_CHOICE, .choices = places},
};
const struct form fix_form = {"fix", fix_fields, COUNT(fix_fields)};

static const struct form_field name_fields[] = {
    {"name", FIELD_TEXT, .max = DEVICE_NAME_MAX, .label = MSG("devices.name"), .hint = MSG("devices.name-hint")},
};
static const struct form name_form = {"rename", name_fields, COUNT(name_fields)};

static str url_of(struct request *req, id device, const char *rest)
{
    return str_fmt(req->arena, LIST "/%s%s", device.text, rest);
}

/* ---- the list ---- */

static enum err show_list(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    TRY(request_key(req, &k));
    TRY(devices_put(req, &k, false));
    device_put_live(req, STR(LIST));
    json_put_text(req->view, "from", "list");
    return request_page(req, "devices/list");
}

/* ---- one of them ---- */

static enum err read_one(struct request *req, struct tx *tx, const struct key *k, struct device_entry *out)
{
    device_id device;
    if (id_parse(req->segment[0], &device.id) != OK)
        return ERR_NOT_FOUND;
    return device_get(tx, request_privacy(req), SIGNED_IN(req), device, k, out);
}

static const struct device_product *product_of(const struct device_entry *d, id binding)
{
    for (size_t i = 0; i < d->n_products; i++)
        if (id_eq(d->products[i].binding.id, binding))
            return &d->products[i];
    return NULL;
}

static void put_command(struct request *req, json_t *j, const struct device_entry *d, const struct command *c)
{
    const struct device_product *by = product_of(d, c->binding.id);
    bool done = str_is(c->state, "done"), failed = str_is(c->state, "failed"), expired = str_is(c->state, "expired");
    json_put_str(j, "command", device_word(req, MSG("command."), c->kind));
    json_put_str(j, "command_state", device_word(req, MSG("command-state."), c->state));
    json_put_bool(j, "command_done", done);
    json_put_bool(j, "command_bad", failed || expired);
    json_put_bool(j, "command_waits", !done && !failed && !expired);
    json_put_bool(j, "command_failed", failed && c->reason.n > 0);
    json_put_str(j, "command_reason", device_reason(req, c->reason));
    json_put_str(j, "command_app", by ? connect_application_name(PORTAL(req), by->app) : STR(""));
    json_put_bool(j, "command_has_app", by && d->n_products > 1);
    json_put_moment(j, "asked", req->arena, c->made);
    json_put_bool(j, "was_fetched", c->delivered != 0);
    json_put_moment(j, "fetched", req->arena, c->delivered);
    json_put_bool(j, "has_ended", c->ended != 0);
    json_put_moment(j, "ended", req->arena, c->ended);
    json_put_moment(j, "waits_until", req->arena, c->expires);
}

static enum err put_history(struct request *req, const struct key *k, const struct device_entry *d)
{
    struct command *list;
    size_t n;
    TRY(command_list(request_read(req), request_privacy(req), SIGNED_IN(req), d->id, k, HISTORY, &list, &n));
    json_t *history = json_put_array(req->view, "history");
    for (size_t i = 0; i < n; i++)
        put_command(req, json_add_object(history), d, &list[i]);
    json_put_bool(req->view, "has_history", n > 0);
    return OK;
}

static bool offers(const struct product *x, const char *feature)
{
    for (size_t i = 0; x && i < x->n_features; i++)
        if (str_is(x->features[i], feature))
            return true;
    return false;
}

/* Licenses of the account's on it; may one of them, or an app by its own word, look for it when it is lost? */
static enum err put_licenses(struct request *req, const struct device_entry *d)
{
    struct license *list;
    size_t n;
    bool lost = false;
    TRY(license_list_on(request_read(req), PORTAL(req), SIGNED_IN(req), d->id.id, &list, &n));
    json_t *licenses = json_put_array(req->view, "licenses");
    for (size_t i = 0; i < n; i++) {
        json_t *j = json_add_object(licenses);
        json_put_str(j, "license_id", id_str(&list[i].id.id));
        json_put_str(j, "license_title", product_title(PORTAL(req), list[i].product, &req->locale));
        json_put_str(j, "license_state", device_word(req, MSG("license-state."), list[i].state));
        json_put_bool(j, "license_good", str_is(list[i].state, "active"));
        json_put_bool(j, "license_ends", list[i].expires != 0);
        json_put_moment(j, "license_expires", req->arena, list[i].expires);
        lost |= offers(product_named(PORTAL(req), list[i].product), "anti-theft");
    }
    json_put_bool(req->view, "has_licenses", n > 0);
    json_put_bool(req->view, "anti_theft", lost || device_offers(d, STR("anti-theft")));
    return OK;
}

static enum err show_one(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct device_entry d;
    struct command *fixes;
    size_t n;
    TRY(request_key(req, &k));
    TRY(read_one(req, request_read(req), &k, &d));
    TRY(fix_list(request_read(req), request_privacy(req), SIGNED_IN(req), d.id, &fixes, &n));
    device_put(req, json_put_object(req->view, "device"), &d, fixes, n);
    TRY(put_history(req, &k, &d));
    TRY(put_licenses(req, &d));
    form_put(request_form(req, "rename"), "name", d.own_name);
    device_put_live(req, url_of(req, d.id.id, ""));
    json_put_text(req->view, "from", "device");
    return request_page(req, "devices/one");
}

static enum err rename_one(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    device_id device;
    if (id_parse(req->segment[0], &device.id) != OK)
        return ERR_NOT_FOUND;
    TRY(request_key(req, &k));
    TRY(device_rename(request_write(req), SIGNED_IN(req), device, &k, form_value(&req->form, "name")));
    return request_see(req, 200, url_of(req, device.id, "?done=device-renamed"));
}

/* ---- fixes ---- */

/* Only what would mend something that is wrong is asked for. */
static const char *fix_wanted(const struct device_entry *d, str fix)
{
    for (size_t i = 0; i < d->n_products; i++)
        for (size_t k = 0; k < d->products[i].n_problems; k++) {
            const char *mends = d->products[i].problems[k].fix;
            if (mends && str_is(fix, mends))
                return mends;
        }
    return NULL;
}

static str back_to(struct request *req, const struct device_entry *d, const char *done)
{
    str from = form_value(&req->form, "from");
    const char *page = str_is(from, "list") ? LIST : str_is(from, "office") ? "/office" : url_of(req, d->id.id, "").p;
    return str_fmt(req->arena, "%s?done=%s", page, done);
}

static enum err fix(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct device_entry d;
    command_id made;
    struct tx *tx = request_write(req);
    TRY(request_key(req, &k));
    TRY(read_one(req, tx, &k, &d));
    const char *kind = fix_wanted(&d, form_value(&req->form, "fix"));
    if (kind == NULL)
        return request_see(req, 409, back_to(req, &d, "fix-not-needed"));
    struct command_start s = {.account = SIGNED_IN(req), .device = d.id, .kind = kind, .session = req->session.id};
    enum err e = command_add(tx, PORTAL(req), &k, &s, &made);
    if (e == ERR_CONFLICT || e == ERR_DENIED) {
        fault_clear(req->fault);
        return request_see(req, e == ERR_CONFLICT ? 409 : 403, back_to(req, &d, e == ERR_CONFLICT ? "fix-waits" : "fix-restricted"));
    }
    TRY(e);
    return request_see(req, 202, back_to(req, &d, "fix-asked"));
}

/* ---- the end ---- */

static enum err show_disconnect(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct device_entry d;
    struct license *licenses;
    size_t n;
    TRY(request_key(req, &k));
    TRY(read_one(req, request_read(req), &k, &d));
    TRY(license_list_on(request_read(req), PORTAL(req), SIGNED_IN(req), d.id.id, &licenses, &n));
    device_put(req, json_put_object(req->view, "device"), &d, NULL, 0);
    json_put_bool(req->view, "has_licenses", n > 0);
    return request_page(req, "devices/disconnect");
}

static enum err disconnect(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    device_id device;
    struct tx *tx = request_write(req);
    if (id_parse(req->segment[0], &device.id) != OK)
        return ERR_NOT_FOUND;
    TRY(request_key(req, &k));
    TRY(device_disconnect_all(tx, PORTAL(req), SIGNED_IN(req), device));
    TRY(account_note(req, tx, SIGNED_IN(req), &k, "device-disconnected"));
    return request_see(req, 200, STR(LIST "?done=device-disconnected"));
}

/* ---- told of changes ---- */

/* 204 ends it for good: a browser does not ask again (WHATWG HTML, 9.2.3). */
static enum err events(struct request *req)
{
    bool held;
    TRY(live_hold(req, LIVE_EVENTS, req->session.account, &held));
    return held ? OK : request_empty(req, 204);
}

#define ONE LIST "/:id"

const struct route device_routes[] = {
    {METHOD_GET, LIST, show_list, GUARD_SIGNED_IN, RATE_PAGE, .shows = SHOWS(&fix_form)},
    {METHOD_GET, LIST "/events", events, GUARD_SIGNED_IN, RATE_PAGE},
    {METHOD_GET, ONE, show_one, GUARD_SIGNED_IN, RATE_PAGE, .shows = SHOWS(&name_form, &fix_form)},
    {METHOD_POST, ONE "/name", rename_one, GUARD_SIGNED_IN, RATE_FORM, &name_form, .again = ONE},
    {METHOD_POST, ONE "/fix", fix, GUARD_SIGNED_IN, RATE_FORM, &fix_form, .again = ONE},
    {METHOD_GET, ONE "/disconnect", show_disconnect, GUARD_SIGNED_IN, RATE_PAGE, .shows = SHOWS(&form_button)},
    {METHOD_POST, ONE "/disconnect", disconnect, GUARD_SIGNED_IN, RATE_FORM, &form_button, .again = ONE "/disconnect"},
    {0},
};
