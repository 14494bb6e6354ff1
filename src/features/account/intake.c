/*
 * Signing up and recovering, in two steps (spec MYA-04, MYA-15): the page takes the wish in, sealed with
 * a key of its own, by the same work for every address; a job finds out whose the address is and does
 * what is right. Neither the answer nor its time tells whether somebody is a customer here.
 */
#include "features/account/model.h"

#include <string.h>

#include <sodium.h>

#define INTAKE_KEPT MOMENT_DAY /* if jobs stand still; otherwise it is gone at once */

/* The job begins at a random moment of the next second: else the next request could be timed for the
 * work that this one left behind, which is more for an address that is new. */
static moment some_moment_soon(const struct clock *c)
{
    return clock_now(c) + (moment)randombytes_uniform((uint32_t)MOMENT_SECOND);
}

static const char *const names[] = {[INTAKE_SIGN_UP] = "sign-up", [INTAKE_RECOVER] = "recover"};

enum err intake_add(struct tx *tx, struct portal *p, enum intake what, const struct registration *r)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    id which = r->id;
    moment now = clock_now(p->privacy.clock);
    TRY(account_new_key(p, which, "intake", &k, a, tx_fault(tx)));
    struct query *q = SQL(tx, "INSERT INTO intake (id, kind, email, password, language, zone, news, country, "
                              "made, ends) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    bind_id(q, which);
    bind_text(q, str_from(names[what]));
    bind_blob(q, privacy_seal(a, &k, "intake", "email", which, r->email.shown));
    bind_blob(q, privacy_seal(a, &k, "intake", "password", which, r->password_hash));
    bind_text(q, str_from(r->locale->code));
    bind_text(q, str_from(r->locale->zone));
    bind_flag(q, r->news);
    bind_text(q, r->country);
    bind_time(q, now);
    bind_time(q, now + INTAKE_KEPT);
    TRY(query_run(q));
    return job_add(tx, p->privacy.clock, JOB_INTAKE, which, STR(""), str_fmt(a, "intake:%s", which.text),
                   some_moment_soon(p->privacy.clock));
}

/* ---- the job ---- */

struct taken {
    struct portal *p;
    id which;
    id account; /* if there is to be one */
};

static enum err read_intake(struct tx *tx, const struct taken *t, str *kind, struct registration *r,
                            struct locale *l)
{
    struct arena *a = tx_arena(tx);
    const struct privacy *p = &t->p->privacy;
    CLEANUP(key_wipe) struct key k;
    str email, hash, plain;
    struct query *q = SQL(tx, "SELECT kind, email, password, language, zone, news, country FROM intake WHERE id = $1");
    bind_id(q, t->which);
    bool found = query_row(q);
    if (found) {
        *kind = row_text(q, 0);
        email = row_blob(q, 1);
        hash = row_blob(q, 2);
        l->language = catalog_find_language(p->catalog, row_text(q, 3));
        l->zone = str_cstr(a, row_text(q, 4));
        r->news = row_flag(q, 5);
        r->country = row_text(q, 6);
    }
    TRY(query_end(q));
    if (!found)
        return ERR_NOT_FOUND;
    l->language = MAX_OF(l->language, 0);
    l->code = catalog_language(p->catalog, l->language);
    l->formats = p->formats;
    r->locale = l;
    TRY(vault_subject_key(p->vault, t->which, &k, a, tx_fault(tx)));
    TRY(privacy_unseal(a, &k, "intake", "email", t->which, email, &plain, tx_fault(tx)));
    TRY(privacy_unseal(a, &k, "intake", "password", t->which, hash, &r->password_hash, tx_fault(tx)));
    return email_parse(a, plain, &r->email);
}

/* What was asked for, and the end of the intake, in one transaction: done once or not at all. */
static enum err take(struct tx *tx, void *arg)
{
    struct taken *t = arg;
    struct registration r = {.id = t->account};
    struct locale l = {0};
    str kind;
    enum err e = read_intake(tx, t, &kind, &r, &l);
    if (e == ERR_NOT_FOUND) { /* done before, or its key is gone */
        fault_clear(tx_fault(tx));
        return OK;
    }
    TRY(e);
    if (str_is(kind, names[INTAKE_SIGN_UP]))
        TRY(account_register(tx, t->p, &r));
    else
        TRY(account_send_recovery(tx, t->p, r.email.shown));
    struct query *q = SQL(tx, "DELETE FROM intake WHERE id = $1");
    bind_id(q, t->which);
    return query_run(q);
}

enum err run_intake(struct job_run *r)
{
    struct portal *p = r->app;
    struct taken t = {p, r->job.subject, r->job.id};
    TRY(db_transact(p->privacy.db, r->arena, r->fault, take, &t));
    work_wake(p->work); /* the mail */
    return vault_forget(p->privacy.vault, t.which, r->arena, r->fault);
}
