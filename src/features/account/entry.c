/* Being let in: what every way of signing in ends with. */
#include "features/account/model.h"

#include "privacy/trail.h"

enum err account_enter(struct request *req, struct tx *tx, account_id which, const char *how, str next)
{
    CLEANUP(key_wipe) struct key k;
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
    if (req->session.there) { /* a new one at every sign-in; it may have ended meanwhile */
        enum err e = session_end(tx, req->session.account, req->session.id);
        if (e != OK && e != ERR_NOT_FOUND)
            return e;
    }
    TRY(session_begin(tx, p, &start, &s, &token));
    TRY(trail_add(tx, p, which.id, &k, &event));
    request_sign_in(req, token);
    return request_see(req, 200, request_is_local(next) ? next
                                 : staff.here            ? STR("/desk")
                                                         : STR("/account"));
}

enum err account_tell(struct tx *tx, struct portal *p, account_id which, const struct key *k,
                      const char *kind, str path, const json_t *values)
{
    struct account x;
    TRY(account_get(tx, &p->privacy, which, k, &x));
    return account_mail(tx, p, &x, k, kind, x.email, path, values);
}
