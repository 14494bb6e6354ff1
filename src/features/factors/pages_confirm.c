/* Proving again who one is, by code or passkey: what stands on /account/confirm beside the password. */
#include "features/factors/pages.h"

#include "base/codec.h"

enum err factors_put_confirm(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct factors f;
    TRY(request_key(req, &k));
    TRY(factors_get(request_read(req), SIGNED_IN(req), &k, &f));
    struct proofs p = {"/account/confirm", SIGNED_IN(req), req->session.id, &k, false};
    bool factor = factors_any(&f) && str_is(request_query(req, "with", 10), "factor");
    json_put_bool(req->view, "with_factor", factor);
    return proofs_put(req, &p, &f);
}

enum err factors_ask_proof(struct request *req)
{
    str page = req->method == METHOD_GET ? req->path : req->route->again ? str_from(req->route->again) : STR("/account");
    return request_see(req, 403, str_fmt(req->arena, "/account/confirm?with=factor&next=%.*s",
                                         STR_FMT(percent_encode(req->arena, page))));
}

static enum err proved(struct request *req)
{
    str next = proofs_next(req);
    TRY(session_prove_factor(request_write(req), request_privacy(req)->clock, &req->session));
    return request_see(req, 200, next.n ? next : STR("/account"));
}

static enum err by_code(struct request *req, enum factor kind)
{
    CLEANUP(key_wipe) struct key k;
    TRY(request_key(req, &k));
    struct code_check c = {SIGNED_IN(req), &k, {{0}}, req->session.id, kind};
    TRY(proofs_check_code(req, &c));
    return proved(req);
}

static enum err by_totp(struct request *req)
{
    return by_code(req, FACTOR_TOTP);
}

static enum err by_text(struct request *req)
{
    return by_code(req, FACTOR_TEXT);
}

static enum err by_recovery(struct request *req)
{
    return by_code(req, FACTOR_RECOVERY);
}

static enum err by_passkey(struct request *req)
{
    account_id which = SIGNED_IN(req);
    TRY(proofs_check_passkey(req, CEREMONY_CONFIRM, &which));
    return proved(req);
}

static enum err send_text(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    enum text_asked asked;
    str next = request_query(req, "next", 500);
    if (PORTAL(req)->texts == NULL)
        return ERR_NOT_FOUND;
    TRY(request_key(req, &k));
    TRY(text_ask(request_write(req), PORTAL(req), SIGNED_IN(req), &k, PHONE_ON, req->session.id,
                 req->locale.code, &asked));
    bool too_many = asked == TEXT_TOO_MANY;
    return request_see(req, too_many ? 429 : 202,
                       str_fmt(req->arena, "/account/confirm?with=factor%s&next=%.*s",
                               too_many ? "&done=text-limit" : "",
                               STR_FMT(percent_encode(req->arena, request_is_local(next) ? next : STR("/account")))));
}

static enum err confirm_options(struct request *req)
{
    return answer_options(req, CEREMONY_CONFIRM, SIGNED_IN(req));
}

const struct route confirm_routes[] = {
    {METHOD_POST, "/account/confirm/totp", by_totp, GUARD_SIGNED_IN, RATE_SIGN_IN, &factors_totp_form,
     .again = "/account/confirm"},
    {METHOD_POST, "/account/confirm/text", by_text, GUARD_SIGNED_IN, RATE_SIGN_IN, &factors_text_form,
     .again = "/account/confirm"},
    {METHOD_POST, "/account/confirm/recovery", by_recovery, GUARD_SIGNED_IN, RATE_SIGN_IN, &factors_recovery_form,
     .again = "/account/confirm"},
    {METHOD_POST, "/account/confirm/passkey", by_passkey, GUARD_SIGNED_IN, RATE_SIGN_IN, &factors_passkey_form,
     .again = "/account/confirm"},
    {METHOD_POST, "/account/confirm/send", send_text, GUARD_SIGNED_IN, RATE_SIGN_IN, &form_button,
     .again = "/account/confirm"},
    {METHOD_POST, "/account/confirm/passkey/options", confirm_options, GUARD_SIGNED_IN, RATE_SIGN_IN, &form_button},
    {0},
};
