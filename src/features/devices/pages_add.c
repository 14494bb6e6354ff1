/* Connecting one (MYA-36, WPS-16): a password that an app is told, once, within ten minutes. And the office's
 * page (SOS-01 to SOS-03), whose devices are connected after a promise. */
#include "features/devices/pages.h"

#include "features/licenses/licenses.h"
#include "web/qr.h"

static const struct form_field informed_fields[] = {
    {"informed", FIELD_CHECK, .required = true, .label = MSG("office.informed")},
};
static const struct form informed_form = {"attest", informed_fields, COUNT(informed_fields)};

/* ---- the password ---- */

/* What a camera reads: where, and the password behind a '#', which no browser sends on (decision 0040). */
static enum err put_picture(struct request *req, str password)
{
    struct qr qr;
    TRY(qr_make(req->arena, request_url(req, req->arena, str_fmt(req->arena, "/connect#%.*s", STR_FMT(password))), &qr, req->fault));
    json_t *j = json_put_object(req->view, "picture");
    json_put_int(j, "side", qr.side);
    json_put_str(j, "path", qr.path);
    return OK;
}

enum err device_show_password(struct request *req, bool office, const char *template)
{
    CLEANUP(key_wipe) struct key k;
    str password;
    moment ends;
    struct tx *tx = request_write(req);
    TRY(request_key(req, &k));
    TRY(device_password_make(tx, request_privacy(req), SIGNED_IN(req), office, &password, &ends));
    TRY(account_note(req, tx, SIGNED_IN(req), &k, "connection-password"));
    json_put_bool(req->view, "made", true);
    json_put_str(req->view, "password", password);
    json_put_moment(req->view, "ends", req->arena, ends);
    TRY(put_picture(req, password));
    response_header(req->response, "Cache-Control", STR("no-store"));
    return request_page(req, template);
}

/* ---- a device of one's own ---- */

static enum err show_add(struct request *req)
{
    json_put_bool(req->view, "made", false);
    return request_page(req, "devices/add");
}

static enum err add(struct request *req)
{
    return device_show_password(req, false, "devices/add");
}

/* Where a camera without the app comes to. */
static enum err show_connect(struct request *req)
{
    return request_page(req, "devices/connect");
}

const struct route device_add_routes[] = {
    {METHOD_GET, LIST "/add", show_add, GUARD_SIGNED_IN, RATE_PAGE, .shows = SHOWS(&form_button)},
    {METHOD_POST, LIST "/add", add, GUARD_SIGNED_IN, RATE_FORM, &form_button, .shows = SHOWS(&form_button), .again = LIST "/add"},
    {METHOD_GET, "/connect", show_connect, GUARD_PUBLIC, RATE_PAGE},
    {0},
};

/* ---- an office ---- */

static bool is_on(const struct license *l, const struct product *x)
{
    return x && str_is(x->edition, "office") && !str_is(l->state, "revoked");
}

static enum err put_licenses(struct request *req)
{
    struct license *list;
    size_t n;
    TRY(license_list(request_read(req), PORTAL(req), SIGNED_IN(req), NULL, &list, &n));
    json_t *licenses = json_put_array(req->view, "licenses");
    for (size_t i = 0; i < n; i++) {
        if (!is_on(&list[i], product_named(PORTAL(req), list[i].product)))
            continue;
        json_t *j = json_add_object(licenses);
        json_put_str(j, "license_id", id_str(&list[i].id.id));
        json_put_str(j, "license_title", product_title(PORTAL(req), list[i].product, &req->locale));
        json_put_str(j, "license_state", device_word(req, MSG("license-state."), list[i].state));
        json_put_bool(j, "license_good", str_is(list[i].state, "active") || str_is(list[i].state, "new"));
        json_put_bool(j, "license_ends", list[i].expires != 0);
        json_put_moment(j, "license_expires", req->arena, list[i].expires);
        json_put_int(j, "license_used", list[i].used);
        json_put_int(j, "count", list[i].devices);
    }
    json_put_bool(req->view, "has_licenses", json_array_size(licenses) > 0);
    return OK;
}

static enum err show_office(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct account x;
    TRY(request_key(req, &k));
    TRY(devices_put(req, &k, true));
    TRY(put_licenses(req));
    TRY(account_get(request_read(req), request_privacy(req), SIGNED_IN(req), &k, &x));
    json_put_str(req->view, "administrator", x.email);
    device_put_live(req, STR("/office"));
    json_put_text(req->view, "from", "office");
    return request_page(req, "devices/office");
}

static enum err show_office_add(struct request *req)
{
    json_put_bool(req->view, "made", false);
    return request_page(req, "devices/office-add");
}

/* Ticked: the form insists. The next device has its own people, so the tick does not stay. */
static enum err office_add(struct request *req)
{
    str wording = catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, MSG("office.informed"), NULL);
    TRY(office_attest(request_write(req), request_privacy(req), SIGNED_IN(req), wording, req->locale.code));
    *request_form(req, "attest") = (struct form_state){.form = &informed_form};
    return device_show_password(req, true, "devices/office-add");
}

const struct route office_routes[] = {
    {METHOD_GET, "/office", show_office, GUARD_SIGNED_IN, RATE_PAGE, .shows = SHOWS(&fix_form)},
    {METHOD_GET, "/office/add", show_office_add, GUARD_SIGNED_IN, RATE_PAGE, .shows = SHOWS(&informed_form)},
    {METHOD_POST, "/office/add", office_add, GUARD_SIGNED_IN, RATE_FORM, &informed_form, .shows = SHOWS(&informed_form),
     .again = "/office/add"},
    {0},
};
