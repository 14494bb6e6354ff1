/* The licensing desk: codes by the whole code, lots, the catalogue. Whose a code is, it says only after a
 * reading with its reason was recorded. */
#include "features/licenses/model.h"

#include <string.h>

#include "features/staff/staff.h"
#include "privacy/rights.h"
#include "privacy/takeout.h"

#define DESK      "/desk/licenses"
#define LICENSING ROLE_BIT(ROLE_LICENSING)
#define SHOWS(...) (const struct form *const[]){__VA_ARGS__, NULL}

enum { LOTS_SHOWN = 50, CODE_MAX = 100 };

static const struct form_field find_fields[] = {
    {"code", FIELD_TEXT, .required = true, .max = CODE_MAX, .label = MSG("licenses.code"), .hint = MSG("licdesk.code-hint")},
};
static const struct form find_form = {"find_code", find_fields, COUNT(find_fields)};

static const struct form_field issue_fields[] = {
    {"product", FIELD_CHOICE, .required = true, .label = MSG("licdesk.product")},
    {"count", FIELD_TEXT, .required = true, .max = 6, .label = MSG("licdesk.count"), .hint = MSG("licdesk.count-hint"),
     .inputmode = "numeric"},
    {"note", FIELD_TEXT, .max = LOT_NOTE_MAX, .label = MSG("licdesk.note"), .hint = MSG("licdesk.note-hint")},
};
static const struct form issue_form = {"issue", issue_fields, COUNT(issue_fields)};

static const struct form_field known_fields[] = {{"code", FIELD_HIDDEN, .required = true, .max = LICENSE_CODE_LENGTH}};
static const struct form revoke_form = {"revoke", known_fields, COUNT(known_fields)};

static const struct form_field open_fields[] = {
    {"code", FIELD_HIDDEN, .required = true, .max = LICENSE_CODE_LENGTH},
    {"reason", FIELD_TEXT, .required = true, .max = READING_REASON_MAX, .label = MSG("desk.reason"), .hint = MSG("desk.reason-hint")},
};
static const struct form open_form = {"open", open_fields, COUNT(open_fields)};

/* ---- the first page ---- */

static void put_lot(struct request *req, json_t *j, const struct lot *l)
{
    json_put_str(j, "lot", l->lot);
    json_put_str(j, "title", product_title(PORTAL(req), l->product, &req->locale));
    json_put_int(j, "count", l->codes);
    json_put_str(j, "note", l->note);
    json_put_bool(j, "noted", l->note.n > 0);
    json_put_str(j, "issuer", l->issuer);
    json_put_bool(j, "by_terminal", l->issuer.n == 0);
    json_put_moment(j, "made", req->arena, l->made);
    json_put_bool(j, "gone", l->revoked != 0);
    json_put_moment(j, "revoked", req->arena, l->revoked);
}

static void offer_products(struct request *req)
{
    size_t n;
    const struct product *products = product_list(PORTAL(req), &n);
    str *values = ARENA_ARRAY(req->arena, str, n), *labels = ARENA_ARRAY(req->arena, str, n);
    for (size_t i = 0; i < n; i++) {
        values[i] = products[i].key;
        labels[i] = product_name(&products[i], &req->locale);
    }
    form_offer(request_form(req, "issue"), "product", values, labels, n);
}

static enum err show_desk(struct request *req)
{
    struct lot *lots;
    size_t n;
    TRY(lot_list(request_read(req), LOTS_SHOWN, &lots, &n));
    json_t *list = json_put_array(req->view, "lots");
    for (size_t i = 0; i < n; i++)
        put_lot(req, json_add_object(list), &lots[i]);
    json_put_bool(req->view, "no_lots", n == 0);
    offer_products(req);
    return request_page(req, "licenses/desk");
}

/* ---- one code ---- */

static const char *state_of(const struct code_state *c, moment now)
{
    if (c->revoked)
        return "revoked";
    if (c->expires && now >= c->expires)
        return "expired";
    return c->activated ? "active" : c->owned ? "added" : "new";
}

static enum err put_code(struct request *req, const char code[LICENSE_CODE_LENGTH], const struct code_state *c)
{
    const char *state = state_of(c, clock_now(request_privacy(req)->clock));
    json_t *j = json_put_object(req->view, "code");
    json_put_str(j, "text", license_code_text(req->arena, str_of(code, LICENSE_CODE_LENGTH)));
    json_put_str(j, "lot", c->lot);
    json_put_str(j, "title", product_title(PORTAL(req), c->product, &req->locale));
    json_put_str(j, "state", catalog_text(request_privacy(req)->catalog, &req->locale, req->arena,
                                          str_fmt(req->arena, "licdesk-state.%s", state).p, NULL));
    json_put_bool(j, "bad", c->revoked != 0);
    json_put_bool(j, "owned", c->owned);
    json_put_bool(j, "begun", c->activated != 0);
    json_put_moment(j, "activated", req->arena, c->activated);
    json_put_moment(j, "expires", req->arena, c->expires);
    json_put_bool(j, "gone", c->revoked != 0);
    json_put_moment(j, "revoked", req->arena, c->revoked);
    json_put_bool(j, "contested", c->conflicts > 0);
    json_put_int(j, "count", c->conflicts);
    json_put_moment(j, "conflict", req->arena, c->conflict);
    str plain = str_dup(req->arena, str_of(code, LICENSE_CODE_LENGTH)); /* the page is made when this has returned */
    form_put(request_form(req, "open"), "code", plain);
    form_put(request_form(req, "revoke"), "code", plain);
    return request_page(req, "licenses/desk-code");
}

static enum err read_code(struct request *req, char code[LICENSE_CODE_LENGTH], struct code_state *out)
{
    *out = (struct code_state){0};
    if (license_code_check(form_value(&req->form, "code"), code) != CODE_FINE)
        return ERR_INPUT;
    TRY(code_find(request_read(req), request_privacy(req), code, out));
    return out->there ? OK : ERR_NOT_FOUND;
}

/* A code does not go into an address, where logs and the browser's history would keep it: the answer to the
 * search is the page itself. */
static enum err find_code(struct request *req)
{
    char code[LICENSE_CODE_LENGTH];
    struct code_state c;
    enum code_shape shape = license_code_check(form_value(&req->form, "code"), code);
    if (shape != CODE_FINE) {
        form_fail(&req->form, "code", shape == CODE_SLIP ? MSG("licenses.code-slip") : MSG("licenses.code-malformed"));
        return request_again(req, 422);
    }
    enum err e = read_code(req, code, &c);
    if (e == ERR_NOT_FOUND) {
        form_fail(&req->form, "code", MSG("licdesk.code-unknown"));
        return request_again(req, 404);
    }
    TRY(e);
    return put_code(req, code, &c);
}

static enum err revoke_code(struct request *req)
{
    char code[LICENSE_CODE_LENGTH];
    if (license_code_check(form_value(&req->form, "code"), code) != CODE_FINE)
        return ERR_INPUT;
    TRY(code_revoke(request_write(req), PORTAL(req), code));
    return request_see(req, 200, STR(DESK "?done=code-revoked"));
}

/* ---- whose it is ---- */

struct owner {
    account_id account;
    struct key key;
    bool restricted;
    str records;
};

static void wipe_owner(struct owner *o)
{
    key_wipe(&o->key);
}

static enum err read_owner(struct request *req, account_id which, struct owner *out)
{
    const struct privacy *p = request_privacy(req);
    struct restriction r;
    struct account x;
    out->account = which;
    TRY(account_get(request_read(req), p, which, NULL, &x));
    TRY(vault_subject_key(p->vault, which.id, &out->key, req->arena, req->fault));
    TRY(restriction_get(request_read(req), p, which.id, &out->key, &r));
    out->restricted = r.active;
    out->records = reading_records(p, req->arena, STR("account"), req->staff.roles & LICENSING, r.active);
    return OK;
}

static enum err open_owner(struct request *req)
{
    CLEANUP(wipe_owner) struct owner o = {0};
    char code[LICENSE_CODE_LENGTH];
    struct code_state c;
    struct reading r;
    TRY(read_code(req, code, &c));
    if (!c.owned)
        return ERR_NOT_FOUND;
    TRY(read_owner(req, c.owner, &o));
    TRY(reading_begin(req, &r));
    r.records = o.records;
    r.reason = form_value(&req->form, "reason");
    TRY(reading_add(request_write(req), request_privacy(req), o.account.id, &o.key, &r));
    return request_see(req, 200, str_fmt(req->arena, DESK "/owner?id=%s", o.account.id.text));
}

/* The code's page again, with what was wrong with the reason. */
static enum err show_code_again(struct request *req)
{
    char code[LICENSE_CODE_LENGTH];
    struct code_state c;
    if (req->method != METHOD_POST)
        return request_see(req, 200, STR(DESK));
    TRY(read_code(req, code, &c));
    return put_code(req, code, &c);
}

static enum err show_owner(struct request *req)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(wipe_owner) struct owner o = {0};
    CLEANUP(json_done) json_t *data = NULL;
    account_id which;
    moment until = 0;
    if (id_parse(request_query(req, "id", ID_LENGTH), &which.id) != OK)
        return ERR_NOT_FOUND;
    TRY(read_owner(req, which, &o));
    if (o.records.n > 0)
        TRY(reading_holds(request_read(req), p, which.id, &o.key, req->session.account, o.records, &until));
    if (until == 0) /* not asked for, or its time is over */
        return ERR_NOT_FOUND;
    TRY(takeout_collect_for(request_read(req), p, STR("account"), which.id, req->staff.roles & LICENSING, o.restricted,
                            &req->locale, &data));
    json_t *card = takeout_view(p, req->arena, data, &req->locale);
    json_put(req->view, "records", json_incref(json_object_get(card, "records")));
    json_decref(card);
    json_put_str(req->view, "id", id_str(&which.id));
    json_put_moment(req->view, "until", req->arena, until);
    json_put_bool(req->view, "restricted", o.restricted);
    return request_page(req, "licenses/desk-owner");
}

/* ---- lots ---- */

/* The answer itself shows them: they are not kept, so there is no page to go to. */
static enum err issue(struct request *req)
{
    const struct product *product = product_named(PORTAL(req), form_value(&req->form, "product"));
    struct lot lot;
    char *codes;
    int64_t n;
    if (product == NULL)
        form_fail(&req->form, "product", MSG("form.choose"));
    if (!str_to_int(form_value(&req->form, "count"), &n) || n < 1 || n > DESK_CODES_MAX)
        form_fail(&req->form, "count", MSG("licdesk.count-wrong"));
    if (req->form.wrong)
        return request_again(req, 422);
    request_rest(req);
    TRY(lot_issue(PORTAL(req), product, n, form_value(&req->form, "note"), req->staff.pseudonym, req->arena, &lot, &codes,
                  req->fault));
    put_lot(req, json_put_object(req->view, "lot"), &lot);
    json_t *list = json_put_array(req->view, "codes");
    for (int64_t i = 0; i < n; i++)
        json_add_str(list, license_code_text(req->arena, str_of(codes + i * LICENSE_CODE_LENGTH, LICENSE_CODE_LENGTH)));
    response_header(req->response, "Cache-Control", STR("no-store"));
    return request_page(req, "licenses/desk-issued");
}

static enum err show_lot(struct request *req)
{
    struct lot l;
    int64_t used, revoked;
    if (!lot_ok(req->segment[0]))
        return ERR_NOT_FOUND;
    TRY(lot_get(request_read(req), req->segment[0], &l));
    TRY(lot_count_used(request_read(req), l.lot, &used, &revoked));
    json_t *j = json_put_object(req->view, "lot");
    put_lot(req, j, &l);
    json_put_int(j, "used", used);
    json_put_int(j, "withdrawn", revoked);
    json_put_str(j, "term", term_format(req->arena, l.term));
    json_put_int(j, "devices", l.devices);
    return request_page(req, "licenses/desk-lot");
}

static enum err revoke_lot(struct request *req)
{
    if (!lot_ok(req->segment[0]))
        return ERR_NOT_FOUND;
    TRY(lot_revoke(request_write(req), PORTAL(req), req->segment[0]));
    return request_see(req, 200, str_fmt(req->arena, DESK "/lots/%.*s?done=lot-revoked", STR_FMT(req->segment[0])));
}

/* ---- the catalogue ---- */

static enum err show_catalogue(struct request *req)
{
    size_t n;
    const struct catalogue *c = catalogue_of(PORTAL(req));
    const struct product *products = product_list(PORTAL(req), &n);
    json_t *list = json_put_array(req->view, "products");
    for (size_t i = 0; i < n; i++) {
        const struct product *x = &products[i];
        json_t *j = json_add_object(list);
        json_put_str(j, "key", x->key);
        json_put_str(j, "title", product_name(x, &req->locale));
        json_put_str(j, "application", x->application);
        json_put_str(j, "term", term_format(req->arena, x->term));
        json_put_str(j, "grace", term_format(req->arena, x->grace));
        json_put_bool(j, "graced", !term_is_zero(x->grace));
        json_put_int(j, "devices", x->devices);
        json_put_bool(j, "trial", x->trial);
        json_put_str(j, "price", x->price_text);
        json_put_bool(j, "sold", x->price > 0);
        json_t *does = json_put_array(j, "features");
        for (size_t k = 0; k < x->n_features; k++)
            json_add_str(does, catalogue_feature(c, x->features[k], &req->locale));
        json_put_bool(j, "does", x->n_features > 0);
    }
    json_put_str(req->view, "steps", catalogue_steps(c, req->arena, &req->locale));
    return request_page(req, "licenses/desk-catalogue");
}

#define READS (const char *const[]){"license", "seat", "code_conflict", NULL}

const struct route license_desk_routes[] = {
    {METHOD_GET, DESK, show_desk, GUARD_STAFF, RATE_PAGE, .shows = SHOWS(&find_form, &issue_form), .roles = LICENSING},
    {METHOD_POST, DESK "/code", find_code, GUARD_STAFF, RATE_FORM, &find_form, .shows = SHOWS(&open_form, &revoke_form),
     .again = DESK, .roles = LICENSING},
    {METHOD_GET, DESK "/owner", show_owner, GUARD_STAFF, RATE_PAGE, .roles = LICENSING, .reads = READS},
    {METHOD_GET, DESK "/code", show_code_again, GUARD_STAFF, RATE_PAGE, .shows = SHOWS(&open_form, &revoke_form), .roles = LICENSING},
    {METHOD_POST, DESK "/owner", open_owner, GUARD_STAFF, RATE_FORM, &open_form, .again = DESK "/code", .roles = LICENSING,
     .reads = READS},
    {METHOD_POST, DESK "/revoke", revoke_code, GUARD_STAFF, RATE_FORM, &revoke_form, .again = DESK, .roles = LICENSING},
    {METHOD_POST, DESK "/lots", issue, GUARD_STAFF, RATE_FORM, &issue_form, .again = DESK, .roles = LICENSING},
    {METHOD_GET, DESK "/lots/:lot", show_lot, GUARD_STAFF, RATE_PAGE, .shows = SHOWS(&form_button), .roles = LICENSING},
    {METHOD_POST, DESK "/lots/:lot/revoke", revoke_lot, GUARD_STAFF, RATE_FORM, &form_button, .again = DESK "/lots/:lot",
     .roles = LICENSING},
    {METHOD_GET, DESK "/catalogue", show_catalogue, GUARD_STAFF, RATE_PAGE, .roles = LICENSING},
    {0},
};
