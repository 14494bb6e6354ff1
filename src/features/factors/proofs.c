/* Proving it by code or passkey: the forms, wherever they stand. */
#include "features/factors/pages.h"

#include "base/codec.h"

enum { CODE_MAX = 12, RECOVERY_MAX = 40 };

static const struct form_field totp_fields[] = {
    {"code", FIELD_TEXT, .required = true, .max = CODE_MAX, .label = MSG("field.totp-code"),
     .inputmode = "numeric", .autocomplete = "one-time-code"},
    {"remember", FIELD_CHECK, .label = MSG("field.remember")},
    {"next", FIELD_HIDDEN},
};
const struct form factors_totp_form = {"totp", totp_fields, COUNT(totp_fields)};

static const struct form_field text_fields[] = {
    {"code", FIELD_TEXT, .required = true, .max = CODE_MAX, .label = MSG("field.text-code"),
     .inputmode = "numeric", .autocomplete = "one-time-code"},
    {"remember", FIELD_CHECK, .label = MSG("field.remember")},
    {"next", FIELD_HIDDEN},
};
const struct form factors_text_form = {"text", text_fields, COUNT(text_fields)};

static const struct form_field recovery_fields[] = {
    {"code", FIELD_TEXT, .required = true, .max = RECOVERY_MAX, .label = MSG("field.recovery-code")},
    {"next", FIELD_HIDDEN},
};
const struct form factors_recovery_form = {"recovery", recovery_fields, COUNT(recovery_fields)};

/* base64url is a third longer than what it holds. */
#define ENCODED(n) ((n) * 4 / 3 + 4)

static const struct form_field passkey_fields[] = {
    {"credential", FIELD_HIDDEN, .required = true, .max = ENCODED(WEBAUTHN_CREDENTIAL_MAX)},
    {"client_data", FIELD_HIDDEN, .required = true, .max = ENCODED(WEBAUTHN_CLIENT_DATA_MAX)},
    {"auth_data", FIELD_HIDDEN, .required = true, .max = ENCODED(WEBAUTHN_AUTH_DATA_MAX)},
    {"signature", FIELD_HIDDEN, .required = true, .max = ENCODED(WEBAUTHN_SIGNATURE_MAX)},
    {"user_handle", FIELD_HIDDEN, .max = 100},
    {"remember", FIELD_CHECK, .label = MSG("field.remember")},
    {"next", FIELD_HIDDEN},
};
const struct form factors_passkey_form = {"passkey", passkey_fields, COUNT(passkey_fields)};

str proofs_next(struct request *req)
{
    str next = req->method == METHOD_POST && req->form.form && form_index(req->form.form, STR("next")) >= 0
                   ? form_value(&req->form, "next")
                   : request_query(req, "next", 500);
    return request_is_local(next) ? next : (str){NULL, 0};
}

void put_script(struct request *req)
{
    json_put_str(req->view, "passkey_script", asset_url(req->arena, "passkey.js"));
}

/* ---- showing ---- */

static enum err put_text(struct request *req, const struct proofs *p, const struct factors *f,
                         json_t *j)
{
    static const char *const states[] = {"none", "queued", "sent", "refused", "uncertain", "late"};
    str state = STR("none");
    bool offered = f->phone && PORTAL(req)->texts != NULL;
    json_put_bool(j, "text", offered);
    json_put_str(j, "ending", f->phone_ending);
    if (offered)
        TRY(text_state(request_read(req), request_privacy(req), p->account, p->about, &state));
    for (size_t i = 0; i < COUNT(states); i++)
        json_put_bool(j, str_fmt(req->arena, "text_%s", states[i]).p, str_is(state, states[i]));
    json_put_bool(j, "text_asked", !str_is(state, "none"));
    return OK;
}

static void put_next(struct request *req, str next)
{
    static const char *const names[] = {"totp", "text", "recovery", "passkey"};
    for (size_t i = 0; i < COUNT(names); i++)
        form_put(request_form(req, names[i]), "next", next);
}

enum err proofs_put(struct request *req, const struct proofs *p, const struct factors *f)
{
    json_t *j = json_put_object(req->view, "proofs");
    str next = proofs_next(req);
    bool passkey = f->passkeys > 0 && passkeys_offered(req);
    json_put_text(j, "base", p->base);
    json_put_str(j, "next", next);
    json_put_str(j, "send", str_fmt(req->arena, "%s/send?next=%.*s", p->base, STR_FMT(percent_encode(req->arena, next))));
    json_put_bool(j, "any", factors_any(f));
    json_put_bool(j, "totp", f->totp);
    json_put_bool(j, "passkey", passkey);
    json_put_bool(j, "recovery", f->recovery_left > 0);
    json_put_bool(j, "remember", p->remember);
    json_put_bool(j, "nothing", !f->totp && !passkey && !(f->phone && PORTAL(req)->texts) && f->recovery_left == 0);
    TRY(put_text(req, p, f, j));
    put_next(req, next);
    put_script(req);
    return OK;
}

/* ---- checking ---- */

/* As people type it: "123 456". */
static str digits_of(struct arena *a, str typed)
{
    struct buf b = buf_new(a, CODE_MAX + 1);
    for (size_t i = 0; i < typed.n; i++)
        if (typed.p[i] != ' ' && typed.p[i] != '-')
            buf_char(&b, typed.p[i]);
    return buf_str(&b);
}

static enum err use_code(struct request *req, struct tx *tx, const struct code_check *c, str code,
                         bool *right)
{
    const struct privacy *p = request_privacy(req);
    switch (c->kind) {
    case FACTOR_TOTP:
        return totp_use(tx, p, c->account, c->key, digits_of(req->arena, code), right);
    case FACTOR_TEXT:
        return text_use(tx, p, c->account, c->key, c->about, digits_of(req->arena, code), right);
    case FACTOR_RECOVERY:
        TRY(recovery_use(tx, p, c->account, c->key, code, right));
        return *right ? factors_tell(req, tx, c->account, c->key, "recovery-code-used", "recovery-code-used", NULL) : OK;
    case FACTOR_PASSKEY:
        break;
    }
    return ERR_INPUT;
}

enum err proofs_check_code(struct request *req, const struct code_check *c)
{
    static const char *const wrong[] = {[FACTOR_TOTP] = MSG("totp.wrong"), [FACTOR_TEXT] = MSG("text.wrong"),
                                        [FACTOR_RECOVERY] = MSG("recovery.wrong")};
    struct try_taken taken;
    bool right;
    TRY(try_take(req, c->account, c->step, c->kind, &taken));
    if (!taken.allowed) {
        form_fail(&req->form, "code", MSG("factor.too-many"));
        return request_again(req, 429);
    }
    if (c->kind == FACTOR_TEXT)
        TRY(text_take_try(req, c->account, c->about));
    struct tx *tx = request_write(req);
    TRY(use_code(req, tx, c, form_value(&req->form, "code"), &right));
    if (!right) {
        form_fail(&req->form, "code", wrong[c->kind]);
        return request_again(req, 403);
    }
    return try_give_back(tx, c->account, &taken);
}

enum err proofs_check_passkey(struct request *req, enum ceremony c, account_id *which)
{
    static const char *const wrong[] = {[PASSKEY_WRONG] = MSG("passkey.wrong"),
                                        [PASSKEY_UNKNOWN] = MSG("passkey.unknown"),
                                        [PASSKEY_COPIED] = MSG("passkey.copied")};
    enum passkey_result result;
    TRY(passkey_use(req, c, which, &result));
    if (result == PASSKEY_RIGHT)
        return OK;
    form_fail(&req->form, "credential", wrong[result]);
    return request_again(req, 403);
}

enum err answer_options(struct request *req, enum ceremony c, account_id which)
{
    CLEANUP(json_done) json_t *j = json_object();
    if (!passkeys_offered(req))
        return ERR_NOT_FOUND;
    TRY(passkey_options(req, request_write(req), c, which, j));
    response_header(req->response, "Cache-Control", STR("no-store"));
    return request_bytes(req, 200, "application/json", json_encode(req->arena, j, false));
}
