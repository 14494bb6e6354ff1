/* The second step in an app: as pages_step.c, with a message instead of a form. */
#include "features/factors/model.h"

#include "base/codec.h"

enum err factors_app_begin(struct request *req, struct tx *tx, account_id which, id *step)
{
    struct bearer secret = bearer_new(); /* nobody's: the app's context names the step */
    moment now = clock_now(request_privacy(req)->clock);
    *step = id_new();
    struct query *q = SQL(tx, "INSERT INTO step (account, id, secret, how, tries, made, ends) "
                              "VALUES ($1, $2, $3, $4, 0, $5, $6)");
    bind_id(q, which.id);
    bind_id(q, *step);
    bind_blob(q, secret_hash(req->arena, str_from(secret.text)));
    bind_text(q, STR("password"));
    bind_time(q, now);
    bind_time(q, now + STEP_LASTS);
    return query_run(q);
}

enum err factors_app_ways(struct request *req, struct tx *tx, account_id which, struct app_ways *out)
{
    struct factors f;
    TRY(factors_get(tx, which, NULL, &f));
    *out = (struct app_ways){f.totp, f.phone && PORTAL(req)->texts != NULL, f.recovery_left > 0};
    return OK;
}

enum err factors_app_send(struct request *req, struct tx *tx, account_id which, id step, bool *sent)
{
    CLEANUP(key_wipe) struct key k;
    struct app_ways ways;
    enum text_asked asked;
    TRY(factors_app_ways(req, tx, which, &ways));
    if (!ways.text)
        return ERR_NOT_FOUND;
    TRY(vault_subject_key(request_privacy(req)->vault, which.id, &k, req->arena, req->fault));
    TRY(text_ask(tx, PORTAL(req), which, &k, PHONE_ON, step, req->locale.code, &asked));
    *sent = asked == TEXT_COMES;
    return OK;
}

/* Six digits are an app's or a message's; what is longer is a recovery code. */
static bool is_short(struct arena *a, str typed, str *digits)
{
    struct buf b = buf_new(a, 64);
    bool all = true;
    for (size_t i = 0; i < typed.n; i++)
        if (typed.p[i] != ' ' && typed.p[i] != '-') {
            buf_char(&b, typed.p[i]);
            all &= typed.p[i] >= '0' && typed.p[i] <= '9';
        }
    *digits = buf_str(&b);
    return all && digits->n == TOTP_DIGITS;
}

struct proving {
    account_id which;
    id step;
    const struct key *key;
    struct factors factors;
    str typed, digits;
    bool is_short;
};

static enum err use(struct request *req, struct tx *tx, const struct proving *x, bool *right, const char **by)
{
    const struct privacy *p = request_privacy(req);
    *right = false;
    if (!x->is_short) {
        *by = "recovery-code";
        TRY(recovery_use(tx, p, x->which, x->key, x->typed, right));
        return *right ? factors_tell(req, tx, x->which, x->key, "recovery-code-used", "recovery-code-used", NULL) : OK;
    }
    *by = "totp";
    if (x->factors.totp)
        TRY(totp_use(tx, p, x->which, x->key, x->digits, right));
    if (*right || !x->factors.phone)
        return OK;
    *by = "text";
    return text_use(tx, p, x->which, x->key, x->step, x->digits, right);
}

/* It ends with a new password, and after ten minutes. */
static enum err end_step(struct request *req, struct tx *tx, const struct proving *x, bool *there)
{
    struct query *q = SQL(tx, "DELETE FROM step WHERE account = $1 AND id = $2 AND ends > $3");
    bind_id(q, x->which.id);
    bind_id(q, x->step);
    bind_time(q, clock_now(request_privacy(req)->clock));
    TRY(query_run(q));
    *there = query_changes(q) == 1;
    return OK;
}

enum err factors_app_prove(struct request *req, account_id which, id step, str code, enum app_code *out, const char **by)
{
    CLEANUP(key_wipe) struct key k;
    struct proving x = {.which = which, .step = step, .key = &k, .typed = code};
    struct try_taken taken;
    bool right, there;
    TRY(vault_subject_key(request_privacy(req)->vault, which.id, &k, req->arena, req->fault));
    TRY(factors_get(request_read(req), which, NULL, &x.factors));
    request_rest(req);
    x.is_short = is_short(req->arena, code, &x.digits);
    TRY(try_take(req, which, step, x.is_short ? FACTOR_TOTP : FACTOR_RECOVERY, &taken));
    *out = APP_CODE_TOO_MANY;
    if (!taken.allowed)
        return OK;
    if (x.is_short && x.factors.phone)
        TRY(text_take_try(req, which, step));
    struct tx *tx = request_write(req);
    TRY(use(req, tx, &x, &right, by));
    *out = APP_CODE_WRONG;
    if (!right)
        return OK;
    TRY(end_step(req, tx, &x, &there));
    *out = there ? APP_CODE_RIGHT : APP_CODE_OVER;
    return try_give_back(tx, which, &taken);
}
