/* Trying codes: counted before they are looked at. */
#include "features/factors/model.h"

struct taking {
    struct request *req;
    account_id account;
    id step;
    bool counted; /* by the hour and the day, too */
    struct try_taken taken;
};

static enum err take_of_step(struct tx *tx, struct taking *t)
{
    struct query *q = SQL(tx, "UPDATE step SET tries = tries + 1 "
                              "WHERE account = $1 AND id = $2 AND tries < $3");
    bind_id(q, t->account.id);
    bind_id(q, t->step);
    bind_int(q, STEP_TRIES);
    TRY(query_run(q));
    t->taken.allowed = query_changes(q) == 1;
    return OK;
}

static enum err count_since(struct tx *tx, account_id which, moment since, int64_t *n)
{
    struct query *q = SQL(tx, "SELECT count(*) FROM code_try WHERE account = $1 AND made > $2");
    bind_id(q, which.id);
    bind_time(q, since);
    *n = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

/* Somebody tries many: the owner hears of it, once for each time that it comes to that. */
static enum err warn_owner(struct tx *tx, struct taking *t)
{
    CLEANUP(key_wipe) struct key k;
    TRY(vault_subject_key(request_privacy(t->req)->vault, t->account.id, &k, tx_arena(tx), tx_fault(tx)));
    return factors_tell(t->req, tx, t->account, &k, "codes-wrong", "codes-wrong", NULL);
}

static enum err take_of_day(struct tx *tx, struct taking *t)
{
    moment now = clock_now(request_privacy(t->req)->clock);
    int64_t hour, day;
    TRY(count_since(tx, t->account, now - MOMENT_HOUR, &hour));
    TRY(count_since(tx, t->account, now - MOMENT_DAY, &day));
    t->taken.allowed = hour < CODES_AN_HOUR && day < CODES_A_DAY;
    if (!t->taken.allowed)
        return OK;
    t->taken.entry = id_new();
    struct query *q =
        SQL(tx, "INSERT INTO code_try (account, id, made, ends) VALUES ($1, $2, $3, $4)");
    bind_id(q, t->account.id);
    bind_id(q, t->taken.entry);
    bind_time(q, now);
    bind_time(q, now + MOMENT_DAY);
    TRY(query_run(q));
    return hour + 1 == CODES_AN_HOUR ? warn_owner(tx, t) : OK;
}

static enum err take(struct tx *tx, void *arg)
{
    struct taking *t = arg;
    t->taken = (struct try_taken){.allowed = true};
    if (!id_is_none(t->step))
        TRY(take_of_step(tx, t));
    return t->taken.allowed && t->counted ? take_of_day(tx, t) : OK;
}

enum err try_take(struct request *req, account_id which, id step, enum factor kind,
                  struct try_taken *out)
{
    bool counted = kind == FACTOR_TOTP || kind == FACTOR_TEXT;
    struct taking *t = request_memo(req, "try", sizeof *t);
    if (t->req == NULL) { /* not in an earlier attempt */
        struct taking x = {.req = req, .account = which, .step = step, .counted = counted};
        TRY(db_transact(request_privacy(req)->db, req->arena, req->fault, take, &x));
        *t = x;
    }
    *out = t->taken;
    return OK;
}

enum err try_give_back(struct tx *tx, account_id which, const struct try_taken *t)
{
    if (id_is_none(t->entry))
        return OK;
    struct query *q = SQL(tx, "DELETE FROM code_try WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, t->entry);
    return query_run(q);
}
