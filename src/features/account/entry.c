/* Being let in: what every way of signing in ends with. */
#include "features/account/gate.h"

#include <string.h>

#include "privacy/rights.h"
#include "privacy/trail.h"

/* Where from, as its owner may keep it (RGT-07). */
static enum err put_origin(struct request *req, struct tx *tx, const struct account *x, json_t *values, bool *kept)
{
    const struct privacy *p = request_privacy(req);
    struct locale own = account_locale(PORTAL(req), req->arena, x);
    enum may may;
    TRY(privacy_may(tx, p, x->id.id, (str){NULL, 0}, "protect-accounts", &may));
    *kept = may == MAY;
    json_put_moment(values, "when", req->arena, clock_now(p->clock));
    if (*kept) {
        json_put_str(values, "browser", request_browser(req));
        json_put_str(values, "address", request_origin(req, &own, req->peer));
    }
    return OK;
}

/* A browser that has not been here with this account: its owner hears of it. The very first sign-in is no
 * news to anybody. */
static enum err tell_of_stranger(struct request *req, struct tx *tx, const struct account *x, const struct key *k)
{
    CLEANUP(json_done) json_t *values = json_object();
    struct email e;
    bool known, before, kept;
    TRY(tx_fail(tx, email_parse(req->arena, x->email, &e)));
    TRY(gate_knows(req, e.same, &known));
    TRY(trail_begun(tx, x->id.id, &before)); /* it stays when its rows have left */
    TRY(gate_remember(req, e.same));
    if (known || !before)
        return OK;
    TRY(put_origin(req, tx, x, values, &kept));
    return account_mail(tx, PORTAL(req), x, k, kept ? "new-sign-in" : "new-sign-in-brief", x->email,
                        STR("/account/security"), values);
}

enum err account_enter(struct request *req, struct tx *tx, account_id which, const char *how, str next)
{
    CLEANUP(key_wipe) struct key k;
    struct account x;
    struct session s;
    str token;
    const struct privacy *p = request_privacy(req);
    struct standing staff;
    TRY(feature_standing(tx, PORTAL(req), which.id, (str){NULL, 0}, &staff));
    struct session_start start = {.account = which.id,
                                  .key = &k,
                                  .address = req->peer,
                                  .browser = request_browser(req),
                                  .how = how,
                                  .staff = staff.here};
    struct trail_event event = {
        .kind = STR("signed-in"), .address = start.address, .browser = start.browser, .note = str_from(how)};
    TRY(vault_subject_key(p->vault, which.id, &k, req->arena, req->fault));
    TRY(account_get(tx, p, which, &k, &x));
    if (x.closed || x.unconfirmed) /* meanwhile: nobody asks again once there is a session */
        return ERR_DENIED;
    if (req->session.there) { /* a new one at every sign-in; it may have ended meanwhile */
        enum err e = session_end(tx, req->session.account, req->session.id);
        if (e != OK && e != ERR_NOT_FOUND)
            return e;
    }
    TRY(tell_of_stranger(req, tx, &x, &k));
    TRY(session_begin(tx, p, &start, &s, &token));
    TRY(trail_add(tx, p, which.id, &k, &event));
    if (s.factor) /* whoever has the second step needs no way around it */
        TRY(lost_drop(tx, which));
    request_sign_in(req, token);
    return request_see(req, 200, request_is_local(next) ? next
                                 : staff.here            ? STR("/desk")
                                                         : STR("/account"));
}

enum err account_note(struct request *req, struct tx *tx, account_id which, const struct key *k, const char *kind)
{
    struct trail_event e = {
        .kind = str_from(kind), .address = req->peer, .browser = request_browser(req)};
    return trail_add(tx, request_privacy(req), which.id, k, &e);
}

enum err account_tell(struct tx *tx, struct portal *p, account_id which, const struct key *k,
                      const char *kind, str path, const json_t *values)
{
    struct account x;
    TRY(account_get(tx, &p->privacy, which, k, &x));
    return account_mail(tx, p, &x, k, kind, x.email, path, values);
}
