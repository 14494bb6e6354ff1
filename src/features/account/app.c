/* Coming in from an app: as pages_enter.c, with a message instead of a form. */
#include "features/account/gate.h"
#include "features/account/password.h"

enum err account_asks(struct request *req, str address, bool sign_up, bool *asks)
{
    struct gate g;
    TRY(gate_of(req, sign_up ? GATE_SIGN_UP : GATE_SIGN_IN, address, &g));
    *asks = g.asks;
    return OK;
}

enum err account_try(struct request *req, str address, struct secret password, enum account_entry *out,
                     account_id *which, str *proved)
{
    struct gate g;
    enum sign_in result;
    bool dated;
    TRY(gate_of(req, GATE_SIGN_IN, address, &g));
    TRY(account_sign_in(PORTAL(req), address, password, req->arena, req->fault, &result, which, &dated, proved));
    *out = result == SIGN_IN_OK ? ENTRY_RIGHT : result == SIGN_IN_CLOSED ? ENTRY_CLOSED : ENTRY_WRONG;
    return result == SIGN_IN_OK ? OK : gate_count(req, &g);
}

enum err account_unchanged(struct tx *tx, const struct privacy *p, account_id which, str proved, bool *yes)
{
    return account_still(tx, p, which, proved, yes);
}

const char *account_weak(struct request *req, str address, struct secret password)
{
    struct email e;
    return password_weakness(req->arena, password, email_parse(req->arena, address, &e) == OK ? e.shown : address);
}

enum err account_wish(struct request *req, const struct account_wish *w)
{
    struct portal *p = PORTAL(req);
    struct registration r = {.id = req->id, .news = w->news, .country = w->country, .locale = w->locale};
    struct gate g;
    TRY(email_parse(req->arena, w->address, &r.email));
    TRY(gate_of(req, GATE_SIGN_UP, r.email.shown, &g));
    TRY(gate_count(req, &g));
    /* The hash is made for every address, known or not: it is what takes time. */
    TRY(password_hash(p->passwords, w->password, req->arena, &r.password_hash, req->fault));
    return intake_add(request_write(req), p, INTAKE_SIGN_UP, &r);
}
