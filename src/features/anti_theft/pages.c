/*
 * Securing a device that is lost or stolen (ATW): where it is, an alarm, locking, wiping. What is asked for waits
 * for the device's app as a command (features/devices); the pages show how far each has come.
 */
#include "features/anti_theft/pages.h"

#include <math.h>
#include <string.h>

#include "features/anti_theft/map.h"
#include "features/connect/connect.h"
#include "text/fold.h"

#define FEATURE        "anti-theft" /* an app that has it says so */
#define SIGNED_IN(req) ((account_id){(req)->session.account})
#define SHOWS(...)     (const struct form *const[]){__VA_ARGS__, NULL}

#define TOWN_CLOSE     10e3 /* metres: what is known of a town is its middle */
#define TOWN_FARTHEST  300e3

enum { LOG_LENGTH = 50 };

/* What is asked for from a button on the page, and what from a page of its own. */
static const char *const kinds[] = {"locate", "alarm", "lock", "wipe"};

static const struct form_field lock_fields[] = {
    {"message", FIELD_LINES, .max = COMMAND_TEXT_MAX, .label = MSG("theft.message"), .hint = MSG("theft.message-hint")},
    {"name", FIELD_TEXT, .required = true, .max = DEVICE_NAME_MAX, .label = MSG("theft.type-name")},
};
static const struct form lock_form = {"lock", lock_fields, COUNT(lock_fields)};

static const struct form_field wipe_fields[] = {
    {"name", FIELD_TEXT, .required = true, .max = DEVICE_NAME_MAX, .label = MSG("theft.type-name")},
};
static const struct form wipe_form = {"wipe", wipe_fields, COUNT(wipe_fields)};

static const char *const back_kinds[] = {"locate", "alarm", "lock", "wipe", NULL};
static const struct form_field back_fields[] = {{"kind", FIELD_CHOICE, .required = true, .choices = back_kinds}};
static const struct form back_form = {"take_back", back_fields, COUNT(back_fields)};

static str words(struct request *req, const char *key, const json_t *values)
{
    return catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, key, values);
}

/* ---- the device ---- */

struct target {
    device_id id;
    struct key key; /* wiped by who has it */
    struct device_entry device;
    str title;
    bool can; /* an app on it can do what is asked for here */
};

static void target_wipe(struct target *t)
{
    key_wipe(&t->key);
}

static str title_of(struct request *req, const struct device_entry *d)
{
    return d->name.n ? d->name : words(req, MSG("devices.nameless"), NULL);
}

/* Of another's device one learns nothing: ERR_NOT_FOUND. */
static enum err read_target(struct request *req, struct tx *tx, struct target *t)
{
    if (id_parse(req->segment[0], &t->id.id) != OK)
        return ERR_NOT_FOUND;
    TRY(request_key(req, &t->key));
    TRY(device_get(tx, request_privacy(req), SIGNED_IN(req), t->id, &t->key, &t->device));
    t->title = title_of(req, &t->device);
    t->can = device_offers(&t->device, STR(FEATURE));
    return OK;
}

static str url_of(struct request *req, const struct target *t, const char *rest)
{
    return str_fmt(req->arena, LIST "/%s%s", t->id.id.text, rest);
}

static void put_device(struct request *req, json_t *j, const struct device_entry *d)
{
    json_put_str(j, "id", id_str(&d->id.id));
    json_put_str(j, "title", title_of(req, d));
    json_put_bool(j, "has_type", d->type.n > 0);
    json_put_str(j, "type_key", str_fmt(req->arena, "device-type.%.*s", STR_FMT(d->type)));
    json_put_str(j, "system", str_fmt(req->arena, "%.*s%s%.*s", STR_FMT(d->os_type), d->os_version.n ? " " : "", STR_FMT(d->os_version)));
    json_put_moment(j, "seen", req->arena, d->seen);
    json_put_bool(j, "silent", clock_now(request_privacy(req)->clock) - d->seen > DEVICE_STALE);
}

/* Pages that stay open are told of changes by the devices' own page (assets/live.js). */
static void put_live(struct request *req, str source)
{
    json_t *live = json_put_object(req->view, "live");
    json_put_str(live, "script", asset_url(req->arena, "live.js"));
    json_put_str(live, "source", source);
    json_put_text(live, "events", PORTAL(req)->live ? "/account/devices/events" : "");
}

/* ---- all devices ---- */

static enum err show_list(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct device_entry *devices;
    size_t n;
    TRY(request_key(req, &k));
    TRY(device_list(request_read(req), request_privacy(req), SIGNED_IN(req), &k, &devices, &n));
    json_t *able = json_put_array(req->view, "devices"), *others = json_put_array(req->view, "others");
    for (size_t i = 0; i < n; i++)
        put_device(req, json_add_object(device_offers(&devices[i], STR(FEATURE)) ? able : others), &devices[i]);
    json_put_bool(req->view, "has_devices", json_array_size(able) > 0);
    json_put_bool(req->view, "has_others", json_array_size(others) > 0);
    return request_page(req, "anti_theft/list");
}

/* ---- how far a command has come ---- */

/* One thing that was asked for is a command for each app; what has come farthest counts. */
static int rank(const struct command *c)
{
    static const char *const order[] = {"expired", "failed", "queued", "delivered", "done"};
    for (int i = 0; i < (int)COUNT(order); i++)
        if (str_is(c->state, order[i]))
            return i;
    return -1;
}

static const struct command *latest(const struct command *list, size_t n, const char *kind)
{
    const struct command *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!str_is(list[i].kind, kind))
            continue;
        if (best == NULL || (list[i].made == best->made && rank(&list[i]) > rank(best)))
            best = &list[i];
    }
    return best;
}

/* Codes of apps that have words here; others have them among the devices' own, or are shown as they are. */
static const char *const reasons[] = {"no-position", "not-known-here", "not-kept"};

static str reason_of(struct request *req, str code)
{
    CLEANUP(json_done) json_t *values = json_object();
    const char *prefix = MSG("device-reason.");
    if (code.n == 0)
        return words(req, MSG("theft.reason-none"), NULL);
    for (size_t i = 0; i < COUNT(reasons); i++)
        if (str_is(code, reasons[i]))
            prefix = MSG("theft.reason.");
    str key = str_fmt(req->arena, "%s%.*s", prefix, STR_FMT(code));
    if (catalog_key(request_privacy(req)->catalog, key) >= 0)
        return words(req, key.p, NULL);
    json_put_str(values, "code", code);
    return words(req, MSG("theft.reason-other"), values);
}

/* The state in a word, for whoever hears the page. */
static str state_of(struct request *req, const struct command *c)
{
    if (c == NULL)
        return STR("");
    if (str_is(c->reason, COMMAND_TAKEN_BACK))
        return words(req, MSG("theft.taken-back"), NULL);
    return words(req, str_fmt(req->arena, "command-state.%.*s", STR_FMT(c->state)).p, NULL);
}

static void put_state(struct request *req, json_t *j, const struct command *c)
{
    static const struct command none;
    bool taken_back = c && str_is(c->reason, COMMAND_TAKEN_BACK);
    bool queued = c && str_is(c->state, "queued"), delivered = c && str_is(c->state, "delivered");
    bool failed = c && str_is(c->state, "failed");
    json_put_bool(j, "any", c != NULL);
    json_put_bool(j, "running", queued || delivered);
    json_put_bool(j, "queued", queued);
    json_put_bool(j, "delivered", delivered);
    json_put_bool(j, "done", c && str_is(c->state, "done"));
    json_put_bool(j, "failed", failed);
    json_put_bool(j, "taken_back", taken_back);
    json_put_bool(j, "expired", c && str_is(c->state, "expired") && !taken_back);
    json_put_str(j, "reason", failed ? reason_of(req, c->reason) : STR(""));
    json_put_str(j, "say", state_of(req, c));
    if (c == NULL)
        c = &none;
    json_put_moment(j, "made", req->arena, c->made);
    json_put_bool(j, "was_fetched", c->delivered != 0);
    json_put_moment(j, "fetched", req->arena, c->delivered);
    json_put_bool(j, "was_ended", c->ended != 0);
    json_put_moment(j, "ended", req->arena, c->ended);
    json_put_moment(j, "until", req->arena, c->expires);
}

/* ---- where it is ---- */

/* As many decimals as the place is certain: a degree is 111 km. */
static int decimals(double accuracy)
{
    return accuracy < 10 ? 5 : accuracy < 100 ? 4 : accuracy < 1000 ? 3 : accuracy < 10000 ? 2 : 1;
}

static int zoom(double accuracy)
{
    return accuracy < 100 ? 17 : accuracy < 1000 ? 15 : accuracy < 10000 ? 12 : 9;
}

/* "30 metres", "4 kilometres": rounded up to two digits. */
static str distance(struct request *req, double metres)
{
    CLEANUP(json_done) json_t *values = json_object();
    bool near = metres < 995;
    double v = fmax(1, ceil(near ? metres : metres / 1000)), unit = v < 100 ? 1 : pow(10, floor(log10(v)) - 1);
    json_put_int(values, "count", (int64_t)(ceil(v / unit) * unit));
    return words(req, near ? MSG("theft.metres") : MSG("theft.kilometres"), values);
}

static str picture_words(struct request *req, const struct map_place *at)
{
    CLEANUP(json_done) json_t *values = json_object();
    str country = map_country(req->arena, at);
    json_put_str(values, "country", country);
    return words(req, country.n ? MSG("theft.map-in") : MSG("theft.map"), values);
}

/* "Close to Lund", "about 40 kilometres from Lund"; empty where no town that is known here is so near. */
static str landmark(struct request *req, const struct map_place *at)
{
    CLEANUP(json_done) json_t *values = json_object();
    struct map_town t = map_nearest(at);
    if (t.metres > TOWN_FARTHEST)
        return STR("");
    json_put_str(values, "town", format_zone_town(req->arena, &req->locale, t.zone));
    json_put_str(values, "distance", distance(req, t.metres));
    return words(req, t.metres < TOWN_CLOSE ? MSG("theft.close-to") : MSG("theft.far-from"), values);
}

static void put_place(struct request *req, json_t *j, const struct target *t, const struct position *p)
{
    struct map_place at = {p->latitude, p->longitude, p->accuracy};
    int d = decimals(p->accuracy);
    struct arena *a = req->arena;
    json_put_str(j, "coordinates", str_fmt(a, "%.*f, %.*f", d, p->latitude, d, p->longitude));
    json_put_str(j, "within", distance(req, p->accuracy));
    str near = landmark(req, &at);
    json_put_bool(j, "has_landmark", near.n > 0);
    json_put_str(j, "landmark", near);
    json_put_str(j, "street_map", str_fmt(a, "https://www.openstreetmap.org/?mlat=%.*f&mlon=%.*f#map=%d/%.*f/%.*f", d, p->latitude, d,
                                          p->longitude, zoom(p->accuracy), d, p->latitude, d, p->longitude));
    json_put_str(j, "geo", str_fmt(a, "geo:%.*f,%.*f;u=%.0f", d, p->latitude, d, p->longitude, ceil(p->accuracy)));
    json_put_str(j, "picture", picture_words(req, &at));
    /* A page that stays open asks for the picture of a new place by another name. */
    json_put_str(j, "map", url_of(req, t, str_fmt(a, "/map?told=%lld", (long long)p->made).p));
    json_put_str(j, "dark_map", url_of(req, t, str_fmt(a, "/map?told=%lld&look=dark", (long long)p->made).p));
    json_put_int(j, "width", MAP_WIDTH);
    json_put_int(j, "height", MAP_HEIGHT);
    json_put_moment(j, "told", a, p->made);
    json_put_moment(j, "gone", a, p->ends);
}

static enum err put_position(struct request *req, const struct target *t)
{
    struct position p;
    json_t *list = json_put_array(req->view, "position");
    enum err e = position_get(request_read(req), request_privacy(req), SIGNED_IN(req), t->id, &t->key, &p);
    json_put_bool(req->view, "has_position", e == OK);
    if (e == ERR_NOT_FOUND)
        return OK;
    TRY(e);
    put_place(req, json_add_object(list), t, &p);
    return OK;
}

static enum err show_map(struct request *req)
{
    CLEANUP(target_wipe) struct target t = {0};
    struct position p;
    str svg;
    TRY(read_target(req, request_read(req), &t));
    TRY(position_get(request_read(req), request_privacy(req), SIGNED_IN(req), t.id, &t.key, &p));
    struct map_place at = {p.latitude, p.longitude, p.accuracy};
    TRY(map_draw(req->arena, &req->locale, &at, str_is(request_query(req, "look", 10), "dark"), &svg));
    response_header(req->response, "Cache-Control", STR("private, no-store"));
    return request_bytes(req, 200, "image/svg+xml", svg);
}

/* ---- the log ---- */

/* By which sign-in: this one, another that is still there, or one that has ended. */
static void put_giver(struct request *req, json_t *j, const struct command *c, const struct session_entry *s, size_t n)
{
    bool here = id_eq(c->session, req->session.id), there = false;
    str browser = {NULL, 0}, address = {NULL, 0};
    for (size_t i = 0; i < n; i++)
        if (id_eq(s[i].id, c->session)) {
            there = true;
            browser = s[i].browser;
            address = request_origin(req, &req->locale, s[i].address);
        }
    json_put_bool(j, "here", here);
    json_put_bool(j, "elsewhere", there && !here);
    json_put_bool(j, "over", !there && !here);
    json_put_str(j, "browser", browser.n ? browser : words(req, MSG("theft.browser-unknown"), NULL));
    json_put_bool(j, "has_address", address.n > 0);
    json_put_str(j, "address", address);
}

static str app_of(struct request *req, const struct target *t, binding_id binding)
{
    for (size_t i = 0; i < t->device.n_products; i++)
        if (id_eq(t->device.products[i].binding.id, binding.id))
            return connect_application_name(PORTAL(req), t->device.products[i].app);
    return (str){NULL, 0};
}

static enum err put_log(struct request *req, const struct target *t, const struct command *commands, size_t n)
{
    struct session_entry *sessions;
    size_t n_sessions;
    TRY(session_list(request_read(req), request_privacy(req), req->session.account, &t->key, &sessions, &n_sessions));
    json_t *list = json_put_array(req->view, "log");
    for (size_t i = 0; i < n; i++) {
        json_t *j = json_add_object(list);
        str app = t->device.n_products > 1 ? app_of(req, t, commands[i].binding) : (str){NULL, 0};
        put_state(req, j, &commands[i]);
        put_giver(req, j, &commands[i], sessions, n_sessions);
        json_put_str(j, "kind_key", str_fmt(req->arena, "command.%.*s", STR_FMT(commands[i].kind)));
        json_put_str(j, "state_key", str_fmt(req->arena, "command-state.%.*s", STR_FMT(commands[i].state)));
        json_put_bool(j, "has_text", commands[i].text.n > 0);
        json_put_str(j, "text", commands[i].text);
        json_put_bool(j, "has_app", app.n > 0);
        json_put_str(j, "app", app);
    }
    json_put_bool(req->view, "has_log", n > 0);
    return OK;
}

/* ---- one device ---- */

static void put_target(struct request *req, const struct target *t)
{
    put_device(req, json_put_object(req->view, "device"), &t->device);
    json_put_bool(req->view, "can", t->can);
    json_put_int(req->view, "hours", POSITION_LASTS / MOMENT_HOUR);
    json_put_int(req->view, "days", COMMAND_LASTS / MOMENT_DAY);
}

static enum err show_device(struct request *req)
{
    CLEANUP(target_wipe) struct target t = {0};
    struct command *commands;
    size_t n;
    struct tx *tx = request_read(req);
    TRY(read_target(req, tx, &t));
    TRY(command_list(tx, request_privacy(req), SIGNED_IN(req), t.id, &t.key, LOG_LENGTH, &commands, &n));
    put_target(req, &t);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        json_t *j = json_put_object(req->view, kinds[i]);
        json_put_text(j, "kind", kinds[i]);
        const struct command *c = latest(commands, n, kinds[i]);
        put_state(req, j, c);
        json_put_bool(j, "shown", t.can || c != NULL);
    }
    TRY(put_position(req, &t));
    TRY(put_log(req, &t, commands, n));
    put_live(req, url_of(req, &t, ""));
    return request_page(req, "anti_theft/device");
}

/* ---- asking for something ---- */

static enum err see_device(struct request *req, const struct target *t, int status, const char *done)
{
    return request_see(req, status, url_of(req, t, done));
}

/* Why it is not done, as a page that says so; anything else goes up. */
static enum err refused(struct request *req, const struct target *t, enum err e)
{
    const char *why = e == ERR_CONFLICT    ? "?done=theft-waits"
                      : e == ERR_NOT_FOUND ? "?done=theft-cannot"
                      : e == ERR_DENIED    ? "?done=theft-restricted"
                                           : NULL;
    if (why == NULL)
        return e;
    fault_clear(req->fault);
    return see_device(req, t, e == ERR_DENIED ? 403 : 409, why);
}

static enum err give(struct request *req, struct tx *tx, const struct target *t, const char *kind, str text)
{
    command_id given;
    struct command_start s = {.account = SIGNED_IN(req), .device = t->id, .kind = kind, .text = text,
                              .session = req->session.id, .feature = FEATURE};
    return command_add(tx, PORTAL(req), &t->key, &s, &given);
}

static enum err ask(struct request *req, const char *kind, const char *done)
{
    CLEANUP(target_wipe) struct target t = {0};
    struct tx *tx = request_write(req);
    TRY(read_target(req, tx, &t));
    enum err e = give(req, tx, &t, kind, (str){NULL, 0});
    return e == OK ? see_device(req, &t, 202, done) : refused(req, &t, e);
}

static enum err locate(struct request *req)
{
    return ask(req, "locate", "?done=theft-locate");
}

static enum err alarm(struct request *req)
{
    return ask(req, "alarm", "?done=theft-alarm");
}

/* What is hard to undo: the device's name is typed, as it stands on the page (ATW-04). It is noted in the security
 * log, too. */
struct grave {
    const char *kind, *event, *done;
};

static enum err ask_gravely(struct request *req, const struct grave *g, str text)
{
    CLEANUP(target_wipe) struct target t = {0};
    struct tx *tx = request_write(req);
    TRY(read_target(req, tx, &t));
    if (!str_eq(text_fold(req->arena, form_value(&req->form, "name")), text_fold(req->arena, t.title))) {
        form_fail(&req->form, "name", MSG("theft.name-wrong"));
        return request_again(req, 422);
    }
    enum err e = give(req, tx, &t, g->kind, text);
    if (e != OK)
        return refused(req, &t, e);
    TRY(account_note(req, tx, SIGNED_IN(req), &t.key, g->event));
    return see_device(req, &t, 202, g->done);
}

static enum err lock(struct request *req)
{
    static const struct grave locking = {"lock", "device-lock", "?done=theft-lock"};
    return ask_gravely(req, &locking, str_trim(form_value(&req->form, "message")));
}

static enum err wipe(struct request *req)
{
    static const struct grave wiping = {"wipe", "device-wipe", "?done=theft-wipe"};
    return ask_gravely(req, &wiping, (str){NULL, 0});
}

static enum err show_confirm(struct request *req, const char *view)
{
    CLEANUP(target_wipe) struct target t = {0};
    TRY(read_target(req, request_read(req), &t));
    put_target(req, &t);
    json_put_str(req->view, "lock_url", url_of(req, &t, "/lock"));
    return request_page(req, view);
}

static enum err show_lock(struct request *req)
{
    return show_confirm(req, "anti_theft/lock");
}

static enum err show_wipe(struct request *req)
{
    return show_confirm(req, "anti_theft/wipe");
}

static enum err take_back(struct request *req)
{
    CLEANUP(target_wipe) struct target t = {0};
    struct tx *tx = request_write(req);
    TRY(read_target(req, tx, &t));
    const char *kind = str_cstr(req->arena, form_value(&req->form, "kind"));
    enum err e = command_take_back(tx, request_privacy(req), SIGNED_IN(req), t.id, kind);
    if (e == ERR_CONFLICT)
        return see_device(req, &t, 409, "?done=theft-too-late");
    TRY(e);
    return see_device(req, &t, 200, "?done=theft-taken-back");
}

#define ONE LIST "/:id"

/*
 * Locking and wiping ask for a proof of the last minutes; the password is enough for it. A second step is not asked
 * for again: the telephone that it needs may be the one that is lost.
 */
const struct route anti_theft_routes[] = {
    {METHOD_GET, LIST, show_list, GUARD_SIGNED_IN, RATE_PAGE},
    {METHOD_GET, ONE, show_device, GUARD_SIGNED_IN, RATE_PAGE},
    {METHOD_GET, ONE "/map", show_map, GUARD_SIGNED_IN, RATE_PAGE},
    {METHOD_POST, ONE "/locate", locate, GUARD_SIGNED_IN, RATE_FORM, &form_button, .again = ONE},
    {METHOD_POST, ONE "/alarm", alarm, GUARD_SIGNED_IN, RATE_FORM, &form_button, .again = ONE},
    {METHOD_POST, ONE "/take-back", take_back, GUARD_SIGNED_IN, RATE_FORM, &back_form, .again = ONE},
    {METHOD_GET, ONE "/lock", show_lock, GUARD_RECENT, RATE_PAGE, .shows = SHOWS(&lock_form)},
    {METHOD_POST, ONE "/lock", lock, GUARD_RECENT, RATE_FORM, &lock_form, .again = ONE "/lock"},
    {METHOD_GET, ONE "/wipe", show_wipe, GUARD_RECENT, RATE_PAGE, .shows = SHOWS(&wipe_form)},
    {METHOD_POST, ONE "/wipe", wipe, GUARD_RECENT, RATE_FORM, &wipe_form, .again = ONE "/wipe"},
    {0},
};
