/* The second step of signing in, and signing in by passkey alone. */
#include "features/factors/pages.h"

#include "base/codec.h"

/* No step, or one that is over: from the beginning. */
static enum err step_gone(struct request *req)
{
    if (req->session.there)
        return request_see(req, 200, STR("/account"));
    if (request_cookie(req, "step").n > 0)
        request_set_cookie(req, "step", (str){NULL, 0});
    return request_see(req, 401, STR("/sign-in?done=step-gone"));
}

struct step_page {
    struct step step;
    struct factors factors;
};

static enum err open_step(struct request *req, struct key *k, struct step_page *out)
{
    TRY(step_find(req, request_read(req), &out->step));
    if (!out->step.there)
        return OK;
    TRY(vault_subject_key(request_privacy(req)->vault, out->step.account.id, k, req->arena, req->fault));
    return factors_get(request_read(req), out->step.account, k, &out->factors);
}

/* Who works here is asked every time (SEC-07). */
static enum err is_remembered(struct request *req, struct tx *tx, const struct step *s, bool *yes)
{
    struct standing staff;
    TRY(feature_standing(tx, PORTAL(req), s->account.id, (str){NULL, 0}, &staff));
    *yes = !staff.here;
    return OK;
}

static enum err show_second(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct step_page x;
    TRY(open_step(req, &k, &x));
    if (!x.step.there)
        return step_gone(req);
    bool remembered;
    TRY(is_remembered(req, request_read(req), &x.step, &remembered));
    struct proofs p = {"/sign-in/second", x.step.account, x.step.id, &k, remembered};
    TRY(proofs_put(req, &p, &x.factors));
    return request_page(req, "factors/second");
}

/* ---- in ---- */

static enum err enter(struct request *req, const struct step *s, const struct key *k, const char *by,
                      bool remember)
{
    struct tx *tx = request_write(req);
    TRY(step_end(req, tx, s));
    if (remember)
        TRY(is_remembered(req, tx, s, &remember));
    if (remember)
        TRY(device_remember(req, tx, s->account, k));
    const char *how = str_fmt(req->arena, "%.*s+%s", STR_FMT(s->how), by).p;
    return account_enter(req, tx, s->account, how, proofs_next(req));
}

static enum err enter_by_code(struct request *req, enum factor kind, const char *by)
{
    CLEANUP(key_wipe) struct key k;
    struct step_page x;
    TRY(open_step(req, &k, &x));
    if (!x.step.there)
        return step_gone(req);
    struct code_check c = {x.step.account, &k, x.step.id, x.step.id, kind};
    TRY(proofs_check_code(req, &c));
    return enter(req, &x.step, &k, by, kind != FACTOR_RECOVERY && form_ticked(&req->form, "remember"));
}

static enum err by_totp(struct request *req)
{
    return enter_by_code(req, FACTOR_TOTP, "totp");
}

static enum err by_text(struct request *req)
{
    return enter_by_code(req, FACTOR_TEXT, "text");
}

static enum err by_recovery(struct request *req)
{
    return enter_by_code(req, FACTOR_RECOVERY, "recovery-code");
}

static enum err by_passkey(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct step_page x;
    TRY(open_step(req, &k, &x));
    if (!x.step.there)
        return step_gone(req);
    TRY(proofs_check_passkey(req, CEREMONY_STEP, &x.step.account));
    return enter(req, &x.step, &k, "passkey", form_ticked(&req->form, "remember"));
}

static enum err send_text(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct step_page x;
    enum text_asked asked = TEXT_COMES;
    TRY(open_step(req, &k, &x));
    if (!x.step.there)
        return step_gone(req);
    if (!x.factors.phone || PORTAL(req)->texts == NULL)
        return ERR_NOT_FOUND;
    TRY(text_ask(request_write(req), PORTAL(req), x.step.account, &k, PHONE_ON, x.step.id,
                 req->locale.code, &asked));
    bool too_many = asked == TEXT_TOO_MANY;
    return request_see(req, too_many ? 429 : 202,
                       str_fmt(req->arena, "/sign-in/second?%snext=%.*s", too_many ? "done=text-limit&" : "",
                               STR_FMT(percent_encode(req->arena, proofs_next(req)))));
}

static enum err step_options(struct request *req)
{
    struct step s;
    TRY(step_find(req, request_read(req), &s));
    return s.there ? answer_options(req, CEREMONY_STEP, s.account) : ERR_DENIED;
}

/* ---- by passkey alone ---- */

void factors_put_enter(struct request *req)
{
    json_put_bool(req->view, "passkeys", passkeys_offered(req));
    put_script(req);
}

static enum err enter_options(struct request *req)
{
    return answer_options(req, CEREMONY_ENTER, (account_id){{{0}}});
}

static enum err refuse(struct request *req, const char *why)
{
    form_fail(&req->form, "credential", why);
    return request_again(req, 403);
}

/* The passkey is something that the person has, and they were verified: that is two already. */
static enum err enter_alone(struct request *req)
{
    account_id which = {{{0}}};
    struct account x;
    TRY(proofs_check_passkey(req, CEREMONY_ENTER, &which));
    struct tx *tx = request_write(req);
    TRY(account_get(tx, request_privacy(req), which, NULL, &x));
    if (x.closed || x.unconfirmed)
        return refuse(req, x.closed ? MSG("sign-in.closed") : MSG("sign-in.wrong"));
    return account_enter(req, tx, which, "passkey", proofs_next(req));
}

const struct route step_routes[] = {
    {METHOD_GET, "/sign-in/second", show_second, GUARD_PUBLIC, RATE_PAGE,
     .shows = SHOWS(&factors_totp_form, &factors_text_form, &factors_recovery_form, &factors_passkey_form)},
    {METHOD_POST, "/sign-in/second/totp", by_totp, GUARD_PUBLIC, RATE_SIGN_IN, &factors_totp_form,
     .again = "/sign-in/second"},
    {METHOD_POST, "/sign-in/second/text", by_text, GUARD_PUBLIC, RATE_SIGN_IN, &factors_text_form,
     .again = "/sign-in/second"},
    {METHOD_POST, "/sign-in/second/recovery", by_recovery, GUARD_PUBLIC, RATE_SIGN_IN, &factors_recovery_form,
     .again = "/sign-in/second"},
    {METHOD_POST, "/sign-in/second/passkey", by_passkey, GUARD_PUBLIC, RATE_SIGN_IN, &factors_passkey_form,
     .again = "/sign-in/second"},
    {METHOD_POST, "/sign-in/second/send", send_text, GUARD_PUBLIC, RATE_SIGN_IN, &form_button,
     .again = "/sign-in/second"},
    {METHOD_POST, "/sign-in/second/passkey/options", step_options, GUARD_PUBLIC, RATE_SIGN_IN, &form_button},
    {METHOD_POST, "/sign-in/passkey/options", enter_options, GUARD_PUBLIC, RATE_SIGN_IN, &form_button},
    {METHOD_POST, "/sign-in/passkey", enter_alone, GUARD_PUBLIC, RATE_SIGN_IN, &factors_passkey_form,
     .again = "/sign-in"},
    {0},
};
