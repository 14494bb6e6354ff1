/*
 * The second step is lost, with the recovery codes (spec MYA-12): whoever has proved the password asks to be
 * let in without it. That takes three days, of which the account's address hears at once and again when
 * they are over, and in which everybody who reads that mail can stop it. Then the second step is turned
 * off, at the next sign-in with the password.
 */
#include "features/account/model.h"

#include "features/factors/factors.h"

enum err lost_get(struct tx *tx, const struct privacy *p, account_id which, struct lost *out)
{
    moment now = clock_now(p->clock);
    struct query *q = SQL(tx, "SELECT made, ready, ends FROM lost_factor WHERE account = $1 AND ends > $2 LIMIT 1");
    bind_id(q, which.id);
    bind_time(q, now);
    *out = (struct lost){.there = query_row(q)};
    if (out->there)
        *out = (struct lost){true, row_time(q, 1) <= now, row_time(q, 0), row_time(q, 1), row_time(q, 2)};
    return query_end(q);
}

static enum err remove_rows(struct tx *tx, account_id which, bool *was_there)
{
    struct query *q = SQL(tx, "DELETE FROM lost_factor WHERE account = $1");
    bind_id(q, which.id);
    TRY(query_run(q));
    *was_there = query_changes(q) > 0;
    return OK;
}

enum err lost_drop(struct tx *tx, account_id which)
{
    bool there;
    TRY(remove_rows(tx, which, &there));
    return there ? ticket_use(tx, which, TICKET_LOST) : OK;
}

static enum err write_row(struct tx *tx, account_id which, moment now)
{
    struct query *q = SQL(tx, "INSERT INTO lost_factor (account, id, made, ready, ends) VALUES ($1, $2, $3, $4, $5)");
    bind_id(q, which.id);
    bind_id(q, id_new());
    bind_time(q, now);
    bind_time(q, now + LOST_WAITS);
    bind_time(q, now + LOST_WAITS + LOST_LASTS);
    return query_run(q);
}

/* The mail with the button that stops it. */
static enum err tell(struct tx *tx, struct portal *p, const struct account *x, const struct key *k,
                     const char *kind, const struct lost *l)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(json_done) json_t *values = json_object();
    str token;
    json_put_moment(values, "ready", a, l->ready);
    json_put_moment(values, "ends", a, l->ends);
    TRY(ticket_make(tx, &p->privacy, x->id, k, TICKET_LOST, (str){NULL, 0}, (str){NULL, 0}, l->ends, &token));
    return account_mail(tx, p, x, k, kind, x->email, str_fmt(a, "/recover/stop?t=%.*s", STR_FMT(token)), values);
}

enum err lost_begin(struct tx *tx, struct portal *p, account_id which, const struct key *k)
{
    struct account x;
    struct lost l;
    moment now = clock_now(p->privacy.clock);
    TRY(lost_get(tx, &p->privacy, which, &l));
    if (l.there)
        return ERR_CONFLICT;
    TRY(lost_drop(tx, which)); /* one that is over */
    TRY(account_get(tx, &p->privacy, which, k, &x));
    TRY(write_row(tx, which, now));
    TRY(lost_get(tx, &p->privacy, which, &l));
    TRY(tell(tx, p, &x, k, "lost-factor", &l));
    return job_add(tx, p->privacy.clock, JOB_LOST, which.id, STR(""), str_fmt(tx_arena(tx), "lost:%s:%lld", which.id.text, (long long)now), l.ready);
}

enum err lost_finish(struct tx *tx, struct portal *p, account_id which, const struct key *k)
{
    struct lost l;
    TRY(lost_get(tx, &p->privacy, which, &l));
    if (!l.there || !l.ready_now)
        return ERR_CONFLICT;
    TRY(lost_drop(tx, which));
    TRY(factors_clear(tx, which));
    return account_tell(tx, p, which, k, "factors-cleared", STR("/account/security"), NULL);
}

enum err lost_stop(struct tx *tx, struct portal *p, str token)
{
    struct ticket t;
    CLEANUP(key_wipe) struct key k;
    bool there;
    TRY(ticket_find(tx, &p->privacy, TICKET_LOST, token, &t));
    TRY(remove_rows(tx, t.account, &there));
    TRY(ticket_use(tx, t.account, TICKET_LOST));
    if (!there)
        return ERR_NOT_FOUND;
    TRY(vault_subject_key(p->privacy.vault, t.account.id, &k, tx_arena(tx), tx_fault(tx)));
    return account_log(tx, &p->privacy, t.account, &k, "lost-factor-stopped");
}

/* ---- when the three days are over ---- */

struct reminding {
    struct portal *p;
    account_id which;
};

static enum err remind(struct tx *tx, void *arg)
{
    const struct reminding *r = arg;
    CLEANUP(key_wipe) struct key k;
    struct account x;
    struct lost l;
    TRY(lost_get(tx, &r->p->privacy, r->which, &l));
    if (!l.there || !l.ready_now)
        return OK; /* stopped, used, or another one */
    TRY(vault_subject_key(r->p->privacy.vault, r->which.id, &k, tx_arena(tx), tx_fault(tx)));
    TRY(account_get(tx, &r->p->privacy, r->which, &k, &x));
    return x.closed ? OK : tell(tx, r->p, &x, &k, "lost-factor-ready", &l);
}

enum err run_lost(struct job_run *r)
{
    struct reminding x = {r->app, {r->job.subject}};
    enum err e = db_transact(x.p->privacy.db, r->arena, r->fault, remind, &x);
    work_wake(x.p->work);
    return e == ERR_NOT_FOUND ? OK : e; /* erased meanwhile */
}
