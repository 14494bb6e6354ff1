/* Turning factors on and off. Every page asks for a proof of the second step first, where there is one. */
#include "features/factors/pages.h"

enum { PHONE_MAX = 30, CODE_MAX = 12, TEXT_BYTES = 4096 };

static const struct form_field code_fields[] = {
    {"code", FIELD_TEXT, .required = true, .max = CODE_MAX, .label = MSG("field.totp-code"),
     .hint = MSG("field.code-hint"), .inputmode = "numeric", .autocomplete = "one-time-code"},
};
static const struct form app_form = {"app", code_fields, COUNT(code_fields)};

static const struct form_field number_fields[] = {
    {"number", FIELD_TEXT, .required = true, .max = PHONE_MAX, .label = MSG("field.number"),
     .hint = MSG("field.number-hint"), .inputmode = "tel", .autocomplete = "tel"},
};
static const struct form number_form = {"number", number_fields, COUNT(number_fields)};

static const struct form_field number_code_fields[] = {
    {"code", FIELD_TEXT, .required = true, .max = CODE_MAX, .label = MSG("field.text-code"),
     .inputmode = "numeric", .autocomplete = "one-time-code"},
};
static const struct form number_code_form = {"number_code", number_code_fields, COUNT(number_code_fields)};

static const struct form_field add_fields[] = {
    {"name", FIELD_TEXT, .required = true, .max = PASSKEY_NAME_MAX, .label = MSG("field.passkey-name"),
     .hint = MSG("field.passkey-name-hint")},
    {"client_data", FIELD_HIDDEN, .max = WEBAUTHN_CLIENT_DATA_MAX * 4 / 3 + 4},
    {"attestation", FIELD_HIDDEN, .max = WEBAUTHN_ATTESTATION_MAX * 4 / 3 + 4},
};
static const struct form add_form = {"add_passkey", add_fields, COUNT(add_fields)};

static const struct form_field passkey_fields[] = {
    {"passkey", FIELD_HIDDEN, .required = true, .max = ID_LENGTH},
};
static const struct form remove_form = {"remove_passkey", passkey_fields, COUNT(passkey_fields)};

static const struct form_field device_fields[] = {
    {"device", FIELD_HIDDEN, .required = true, .max = ID_LENGTH},
};
static const struct form device_form = {"forget_device", device_fields, COUNT(device_fields)};

static const struct form_field codes_fields[] = {
    {"codes", FIELD_HIDDEN, .required = true, .max = RECOVERY_CODES * (RECOVERY_LENGTH + 4)},
};
static const struct form codes_form = {"codes", codes_fields, COUNT(codes_fields)};

/* Begins a handler: a proof of the second step, the key, and what there is. Goes on where *go says so. */
struct own {
    struct key key;
    account_id account;
    struct factors factors;
    bool go;
};

static void own_wipe(struct own *o)
{
    key_wipe(&o->key);
}

static enum err begin(struct request *req, struct own *o)
{
    o->account = SIGNED_IN(req);
    TRY(factors_proved(req, &o->go));
    if (!o->go)
        return factors_ask_proof(req);
    TRY(request_key(req, &o->key));
    return factors_get(request_read(req), o->account, &o->key, &o->factors);
}

#define BEGIN(req)                                                                                 \
    CLEANUP(own_wipe) struct own own = {0};                                                        \
    TRY(begin(req, &own));                                                                         \
    if (!own.go)                                                                                   \
    return OK

static void put_factors(struct request *req, json_t *j, const struct factors *f)
{
    json_put_bool(j, "any", factors_any(f));
    json_put_bool(j, "totp", f->totp);
    json_put_moment(j, "totp_made", req->arena, f->totp_made);
    json_put_bool(j, "phone", f->phone);
    json_put_moment(j, "phone_made", req->arena, f->phone_made);
    json_put_str(j, "phone_ending", f->phone_ending);
    json_put_bool(j, "texts_offered", PORTAL(req)->texts != NULL);
    json_put_bool(j, "passkeys_offered", passkeys_offered(req));
    json_put_bool(j, "has_passkeys", f->passkeys > 0);
    json_put_int(j, "count", f->passkeys);
}

static void put_left(json_t *j, const struct factors *f)
{
    json_t *left = json_put_object(j, "codes");
    json_put_int(left, "count", f->recovery_left);
    json_put_bool(left, "none", f->recovery_left == 0);
}

enum err factors_put_card(struct request *req, const struct key *k)
{
    struct factors f;
    account_id which = SIGNED_IN(req);
    TRY(factors_get(request_read(req), which, k, &f));
    json_t *j = json_put_object(req->view, "factors");
    put_factors(req, j, &f);
    put_left(j, &f);
    json_t *list = json_put_array(j, "devices");
    TRY(known_device_list(req, request_read(req), which, k, list));
    json_put_bool(j, "has_devices", json_array_size(list) > 0);
    return OK;
}

/* The first factor: recovery codes are made next; any later one: back to the card. */
static enum err see_after_on(struct request *req, const struct factors *before, const char *done)
{
    return request_see(req, 200, str_fmt(req->arena, "%s?done=%s",
                                         before->recovery_left == 0 ? "/account/security/recovery-codes" : "/account/security",
                                         done));
}

/* ---- an app ---- */

static enum err show_totp(struct request *req)
{
    BEGIN(req);
    struct account x;
    str secret = {NULL, 0};
    enum err e = totp_waiting(request_read(req), request_privacy(req), own.account, &own.key, &secret);
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    put_factors(req, json_put_object(req->view, "factors"), &own.factors);
    json_put_bool(req->view, "waits", e == OK);
    json_put_str(req->view, "secret", e == OK ? totp_text(req->arena, secret) : (str){NULL, 0});
    TRY(account_get(request_read(req), request_privacy(req), own.account, &own.key, &x));
    json_put_str(req->view, "uri", e == OK ? totp_uri(req->arena, secret, request_privacy(req)->organisation->product, x.email) : (str){NULL, 0});
    return request_page(req, "factors/totp");
}

static enum err show_picture(struct request *req)
{
    BEGIN(req);
    struct account x;
    str secret, svg;
    const struct privacy *p = request_privacy(req);
    TRY(totp_waiting(request_read(req), p, own.account, &own.key, &secret));
    TRY(account_get(request_read(req), p, own.account, &own.key, &x));
    TRY(totp_picture(req->arena, totp_uri(req->arena, secret, p->organisation->product, x.email), &svg, req->fault));
    response_header(req->response, "Cache-Control", STR("no-store"));
    return request_bytes(req, 200, "image/svg+xml", svg);
}

static enum err begin_totp(struct request *req)
{
    BEGIN(req);
    TRY(totp_begin(request_write(req), request_privacy(req), own.account, &own.key));
    return request_see(req, 201, STR("/account/security/totp"));
}

static str plain_digits(struct arena *a, str typed)
{
    struct buf b = buf_new(a, CODE_MAX + 1);
    for (size_t i = 0; i < typed.n; i++)
        if (typed.p[i] != ' ')
            buf_char(&b, typed.p[i]);
    return buf_str(&b);
}

static enum err too_many(struct request *req)
{
    form_fail(&req->form, "code", MSG("factor.too-many"));
    return request_again(req, 429);
}

static enum err turn_on_totp(struct request *req)
{
    BEGIN(req);
    struct try_taken taken;
    bool right;
    TRY(try_take(req, own.account, (id){{0}}, FACTOR_TOTP, &taken));
    if (!taken.allowed)
        return too_many(req);
    struct tx *tx = request_write(req);
    TRY(totp_turn_on(tx, request_privacy(req), own.account, &own.key,
                     plain_digits(req->arena, form_value(&req->form, "code")), &right));
    if (!right) {
        form_fail(&req->form, "code", MSG("totp.wrong"));
        return request_again(req, 422);
    }
    TRY(try_give_back(tx, own.account, &taken));
    TRY(session_prove_factor(tx, request_privacy(req)->clock, &req->session));
    TRY(factors_tell(req, tx, own.account, &own.key, "totp-on", "factor-on", "totp"));
    return see_after_on(req, &own.factors, "totp-on");
}

static enum err turned_off(struct request *req, struct tx *tx, const struct own *own,
                           const char *event, const char *name)
{
    TRY(factors_settle(tx, own->account));
    TRY(factors_tell(req, tx, own->account, &own->key, event, "factor-off", name));
    return request_see(req, 200, str_fmt(req->arena, "/account/security?done=%s", event));
}

static enum err turn_off_totp(struct request *req)
{
    BEGIN(req);
    bool was_on;
    struct tx *tx = request_write(req);
    TRY(totp_turn_off(tx, own.account, &was_on));
    if (!was_on)
        return request_see(req, 200, STR("/account/security"));
    return turned_off(req, tx, &own, "totp-off", "totp");
}

/* ---- a number ---- */

static enum err put_waiting_number(struct request *req, const struct own *own)
{
    static const char *const states[] = {"none", "queued", "sent", "refused", "uncertain", "late"};
    id phone;
    str ending = {NULL, 0}, state = STR("none");
    enum err e = phone_waiting(request_read(req), request_privacy(req), own->account, &own->key, &phone, &ending);
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    if (e == OK)
        TRY(text_state(request_read(req), request_privacy(req), own->account, phone, &state));
    json_put_bool(req->view, "waits", e == OK);
    json_put_str(req->view, "ending", ending);
    for (size_t i = 0; i < COUNT(states); i++)
        json_put_bool(req->view, str_fmt(req->arena, "text_%s", states[i]).p, str_is(state, states[i]));
    return OK;
}

static enum err show_phone(struct request *req)
{
    BEGIN(req);
    put_factors(req, json_put_object(req->view, "factors"), &own.factors);
    TRY(put_waiting_number(req, &own));
    return request_page(req, "factors/phone");
}

/* Orders a code to a number that waits; too many: the page says so. */
static enum err send_to_new(struct request *req, struct tx *tx, const struct own *own, id phone)
{
    enum text_asked asked;
    TRY(text_ask(tx, PORTAL(req), own->account, &own->key, PHONE_NEW, phone, req->locale.code, &asked));
    if (asked == TEXT_TOO_MANY)
        return request_see(req, 429, STR("/account/security/phone?done=text-limit"));
    return request_see(req, 202, STR("/account/security/phone"));
}

static enum err begin_phone(struct request *req)
{
    BEGIN(req);
    str number;
    id phone;
    const struct settings *s = PORTAL(req)->settings;
    if (PORTAL(req)->texts == NULL)
        return ERR_NOT_FOUND;
    bool number_ok = sms_number(req->arena, form_value(&req->form, "number"), &number) == OK;
    if (!number_ok || !sms_prefix_ok(number, s->sms_prefixes)) {
        form_fail(&req->form, "number", number_ok ? MSG("number.abroad") : MSG("number.wrong"));
        return request_again(req, 422);
    }
    struct tx *tx = request_write(req);
    TRY(phone_begin(tx, request_privacy(req), own.account, &own.key, number, &phone));
    return send_to_new(req, tx, &own, phone);
}

static enum err send_again(struct request *req)
{
    BEGIN(req);
    id phone;
    str ending;
    if (PORTAL(req)->texts == NULL)
        return ERR_NOT_FOUND;
    TRY(phone_waiting(request_read(req), request_privacy(req), own.account, &own.key, &phone, &ending));
    return send_to_new(req, request_write(req), &own, phone);
}

static enum err turn_on_phone(struct request *req)
{
    BEGIN(req);
    const struct privacy *p = request_privacy(req);
    struct try_taken taken;
    id phone;
    str ending;
    bool right;
    enum err e = phone_waiting(request_read(req), p, own.account, &own.key, &phone, &ending);
    if (e == ERR_NOT_FOUND)
        return request_see(req, 409, STR("/account/security/phone"));
    TRY(e);
    TRY(try_take(req, own.account, (id){{0}}, FACTOR_TEXT, &taken));
    if (!taken.allowed)
        return too_many(req);
    TRY(text_take_try(req, own.account, phone));
    struct tx *tx = request_write(req);
    TRY(phone_turn_on(tx, p, own.account, &own.key, phone,
                      plain_digits(req->arena, form_value(&req->form, "code")), &right));
    if (!right) {
        form_fail(&req->form, "code", MSG("text.wrong"));
        return request_again(req, 422);
    }
    TRY(try_give_back(tx, own.account, &taken));
    TRY(session_prove_factor(tx, p->clock, &req->session));
    TRY(factors_tell(req, tx, own.account, &own.key, "phone-on", "factor-on", "phone"));
    return see_after_on(req, &own.factors, "phone-on");
}

static enum err turn_off_phone(struct request *req)
{
    BEGIN(req);
    bool was_on;
    struct tx *tx = request_write(req);
    TRY(phone_turn_off(tx, request_privacy(req)->clock, own.account, &was_on));
    if (!was_on)
        return request_see(req, 200, STR("/account/security"));
    return turned_off(req, tx, &own, "phone-off", "phone");
}

/* ---- passkeys ---- */

static enum err show_passkeys(struct request *req)
{
    BEGIN(req);
    put_factors(req, json_put_object(req->view, "factors"), &own.factors);
    TRY(passkey_list(request_read(req), own.account, &own.key, json_put_array(req->view, "list")));
    form_put(request_form(req, "add_passkey"), "name", request_browser(req));
    put_script(req);
    return request_page(req, "factors/passkeys");
}

static enum err add_options(struct request *req)
{
    BEGIN(req);
    return answer_options(req, CEREMONY_ADD, own.account);
}

static enum err add_passkey(struct request *req)
{
    BEGIN(req);
    enum passkey_result result = PASSKEY_WRONG;
    enum err e = passkey_add(req, own.account, &own.key, form_value(&req->form, "name"),
                             form_value(&req->form, "client_data"), form_value(&req->form, "attestation"), &result);
    const char *wrong = e == ERR_CONFLICT        ? MSG("passkey.there")
                        : e == ERR_LIMIT         ? MSG("passkey.limit")
                        : result != PASSKEY_RIGHT ? MSG("passkey.not-added")
                                                 : NULL;
    if (e != OK && e != ERR_CONFLICT && e != ERR_LIMIT)
        return e;
    if (wrong) {
        form_fail(&req->form, "name", wrong);
        return request_again(req, e == ERR_CONFLICT ? 409 : 422);
    }
    struct tx *tx = request_write(req);
    TRY(session_prove_factor(tx, request_privacy(req)->clock, &req->session));
    TRY(factors_tell(req, tx, own.account, &own.key, "passkey-added", "factor-on", "passkey"));
    return see_after_on(req, &own.factors, "passkey-added");
}

static enum err remove_passkey(struct request *req)
{
    BEGIN(req);
    id passkey;
    struct tx *tx = request_write(req);
    if (id_parse(form_value(&req->form, "passkey"), &passkey) != OK)
        return ERR_NOT_FOUND;
    TRY(passkey_remove(tx, own.account, passkey));
    return turned_off(req, tx, &own, "passkey-removed", "passkey");
}

/* ---- recovery codes ---- */

static enum err show_codes(struct request *req)
{
    BEGIN(req);
    put_factors(req, json_put_object(req->view, "factors"), &own.factors);
    put_left(req->view, &own.factors);
    json_put_bool(req->view, "fresh", false);
    json_put_array(req->view, "list");
    json_put_text(req->view, "joined", "");
    return request_page(req, "factors/recovery-codes");
}

/* The answer itself shows them: they are not kept, so there is no page to go to. */
static enum err make_codes(struct request *req)
{
    BEGIN(req);
    str codes[RECOVERY_CODES];
    struct buf joined = buf_new(req->arena, TEXT_BYTES);
    struct tx *tx = request_write(req);
    if (!factors_any(&own.factors))
        return request_see(req, 409, STR("/account/security"));
    TRY(recovery_make(tx, request_privacy(req), own.account, &own.key, codes));
    TRY(factors_tell(req, tx, own.account, &own.key, "recovery-codes-made", "recovery-codes-made", NULL));
    own.factors.recovery_left = RECOVERY_CODES;
    put_factors(req, json_put_object(req->view, "factors"), &own.factors);
    put_left(req->view, &own.factors);
    json_put_bool(req->view, "fresh", true);
    json_t *list = json_put_array(req->view, "list");
    for (int i = 0; i < RECOVERY_CODES; i++) {
        json_add_str(list, codes[i]);
        buf_fmt(&joined, "%s%.*s", i ? "." : "", STR_FMT(codes[i]));
    }
    json_put_str(req->view, "joined", buf_str(&joined));
    return request_page(req, "factors/recovery-codes");
}

/* The page sends back what it shows, and gets it as a file: without a script, and without our having
 * kept it. Only what are this person's codes is sent back. */
static enum err download_codes(struct request *req)
{
    BEGIN(req);
    const struct privacy *p = request_privacy(req);
    struct buf b = buf_new(req->arena, TEXT_BYTES);
    str one, rest = form_value(&req->form, "codes");
    CLEANUP(json_done) json_t *values = json_object();
    json_put_str(values, "product", p->organisation->product);
    str title = catalog_text(p->catalog, &req->locale, req->arena, MSG("recovery.file"), values);
    buf_fmt(&b, "%.*s\r\n\r\n", STR_FMT(title));
    while (rest.n > 0) {
        bool ours;
        if (!str_cut(rest, '.', &one, &rest)) {
            one = rest;
            rest = (str){NULL, 0};
        }
        TRY(recovery_is(request_read(req), own.account, &own.key, one, &ours));
        if (!ours)
            return ERR_NOT_FOUND;
        buf_fmt(&b, "%.*s\r\n", STR_FMT(one));
    }
    response_header(req->response, "Cache-Control", STR("no-store"));
    response_header(req->response, "Content-Disposition", STR("attachment; filename=\"recovery-codes.txt\""));
    return request_bytes(req, 200, "text/plain; charset=utf-8", buf_str(&b));
}

/* ---- devices: forgetting one makes things safer, so nothing more is asked for ---- */

static enum err forget_device(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    id device;
    struct tx *tx = request_write(req);
    TRY(request_key(req, &k));
    if (id_parse(form_value(&req->form, "device"), &device) != OK)
        return ERR_NOT_FOUND;
    TRY(device_forget(tx, SIGNED_IN(req), device));
    TRY(account_note(req, tx, SIGNED_IN(req), &k, "device-forgotten"));
    return request_see(req, 200, STR("/account/security?done=device-forgotten"));
}

static enum err forget_devices(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct tx *tx = request_write(req);
    TRY(request_key(req, &k));
    bool any;
    TRY(device_any(tx, SIGNED_IN(req), &any));
    TRY(factors_forget_devices(tx, SIGNED_IN(req)));
    if (any)
        TRY(account_note(req, tx, SIGNED_IN(req), &k, "devices-forgotten"));
    return request_see(req, 200, STR("/account/security?done=devices-forgotten"));
}

#define AT "/account/security/"

const struct route factor_routes[] = {
    {METHOD_GET, AT "totp", show_totp, GUARD_RECENT, RATE_PAGE, .shows = SHOWS(&app_form, &form_button)},
    {METHOD_GET, AT "totp/picture", show_picture, GUARD_RECENT, RATE_PAGE},
    {METHOD_POST, AT "totp/new", begin_totp, GUARD_RECENT, RATE_FORM, &form_button, .again = AT "totp"},
    {METHOD_POST, AT "totp", turn_on_totp, GUARD_RECENT, RATE_SIGN_IN, &app_form, .again = AT "totp"},
    {METHOD_POST, AT "totp/off", turn_off_totp, GUARD_RECENT, RATE_FORM, &form_button, .again = AT "totp"},
    {METHOD_GET, AT "phone", show_phone, GUARD_RECENT, RATE_PAGE, .shows = SHOWS(&number_form, &number_code_form, &form_button)},
    {METHOD_POST, AT "phone", begin_phone, GUARD_RECENT, RATE_SIGN_IN, &number_form, .again = AT "phone"},
    {METHOD_POST, AT "phone/send", send_again, GUARD_RECENT, RATE_SIGN_IN, &form_button, .again = AT "phone"},
    {METHOD_POST, AT "phone/code", turn_on_phone, GUARD_RECENT, RATE_SIGN_IN, &number_code_form, .again = AT "phone"},
    {METHOD_POST, AT "phone/off", turn_off_phone, GUARD_RECENT, RATE_FORM, &form_button, .again = AT "phone"},
    {METHOD_GET, AT "passkeys", show_passkeys, GUARD_RECENT, RATE_PAGE, .shows = SHOWS(&add_form, &remove_form)},
    {METHOD_POST, AT "passkeys/options", add_options, GUARD_RECENT, RATE_FORM, &form_button, .again = AT "passkeys"},
    {METHOD_POST, AT "passkeys", add_passkey, GUARD_RECENT, RATE_FORM, &add_form, .again = AT "passkeys"},
    {METHOD_POST, AT "passkeys/remove", remove_passkey, GUARD_RECENT, RATE_FORM, &remove_form, .again = AT "passkeys"},
    {METHOD_GET, AT "recovery-codes", show_codes, GUARD_RECENT, RATE_PAGE, .shows = SHOWS(&form_button)},
    {METHOD_POST, AT "recovery-codes", make_codes, GUARD_RECENT, RATE_FORM, &form_button, .again = AT "recovery-codes"},
    {METHOD_POST, AT "recovery-codes/file", download_codes, GUARD_RECENT, RATE_FORM, &codes_form, .again = AT "recovery-codes"},
    {METHOD_POST, AT "devices", forget_device, GUARD_SIGNED_IN, RATE_FORM, &device_form, .again = "/account/security"},
    {METHOD_POST, AT "devices/all", forget_devices, GUARD_SIGNED_IN, RATE_FORM, &form_button, .again = "/account/security"},
    {0},
};
