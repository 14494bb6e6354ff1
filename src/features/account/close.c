/* Closing, reopening, erasing (spec MYA-20 to MYA-25, README decisions 2 and 3). */
#include "features/account/model.h"

#include <string.h>
#include <time.h>

#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/erasure.h"
#include "privacy/retention.h"
#include "privacy/takeout.h"

/* How long an erasure waits for the last mail to leave. */
#define LAST_MAIL MOMENT_MINUTE

static const struct keep_rule *closed_rule(const struct privacy *p)
{
    const struct record *r = inventory_record(p->inventory, STR("account"));
    for (size_t i = 0; i < r->n_rules; i++)
        if (str_is(r->rules[i].name, "account.closed"))
            return &r->rules[i];
    return NULL;
}

static enum err withdraw_all(struct tx *tx, struct portal *p, const struct account *x)
{
    const struct inventory *v = p->privacy.inventory;
    for (size_t i = 0; i < v->n_purposes; i++)
        if (v->purposes[i].basis == BASIS_CONSENT)
            TRY(consent_record(tx, &p->privacy, x->id.id, &v->purposes[i], false,
                               str_cstr(tx_arena(tx), x->language), CONSENT_WAY_CLOSED));
    return OK;
}

static enum err drop_links(struct tx *tx, account_id which)
{
    struct query *q = SQL(tx, "DELETE FROM ticket WHERE account = $1");
    bind_id(q, which.id);
    TRY(query_run(q));
    return address_change_drop(tx, which);
}

static str erase_name(struct arena *a, account_id which)
{
    return str_fmt(a, "erase:%s", which.id.text);
}

/* The last mail: what happens when, the receipt's number, and the way back if there is one. */
static enum err say_goodbye(struct tx *tx, struct portal *p, const struct account *x,
                            const struct key *k, bool now, moment erase_at, id receipt)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(json_done) json_t *values = json_object();
    str token;
    json_put_str(values, "receipt", str_from(receipt.text));
    json_put_moment(values, "erase_at", a, erase_at);
    if (now)
        return account_mail(tx, p, x, k, "closed-now", x->email,
                            str_fmt(a, "/privacy/receipt?number=%s", receipt.text), values);
    TRY(ticket_make(tx, &p->privacy, x->id, k, TICKET_REOPEN, (str){NULL, 0}, (str){NULL, 0},
                    erase_at, &token));
    return account_mail(tx, p, x, k, "closed", x->email,
                        str_fmt(a, "/account/reopen?t=%.*s", STR_FMT(token)), values);
}

enum err account_close(struct tx *tx, struct portal *p, account_id which, bool now,
                       const char *cause, id *receipt)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    struct account x;
    TRY(vault_subject_key(p->privacy.vault, which.id, &k, a, tx_fault(tx)));
    TRY(account_get(tx, &p->privacy, which, &k, &x));
    if (x.closed)
        return ERR_CONFLICT;
    moment at = clock_now(p->privacy.clock);
    moment due = retention_due(&p->privacy, closed_rule(&p->privacy), at);
    /* The window never reaches past the promised term, less the sweeper's margin and the time until
     * the master key is next replaced: only then is nothing left in a backup either (MYA-24). */
    moment replaced = term_end(at, p->settings->master_key_every) - at;
    moment window = MIN_OF(term_end(at, p->settings->reopen_window), due - RETENTION_MARGIN - replaced);
    moment erase_at = now ? at : MAX_OF(window, at);
    struct query *q = SQL(tx, "UPDATE account SET closed = $2, erase_at = $3 WHERE id = $1");
    bind_id(q, which.id);
    bind_time(q, at);
    bind_time(q, erase_at);
    TRY(query_run(q));
    TRY(session_end_others(tx, which.id, (id){{0}}));
    TRY(drop_links(tx, which));
    TRY(lost_drop(tx, which));
    TRY(account_log(tx, &p->privacy, which, &k, "account-closed"));
    TRY(withdraw_all(tx, p, &x));
    TRY(enrolment_close_all(tx, &p->privacy, which.id, at, str_cstr(a, x.language)));
    TRY(feature_left(tx, p, which.id)); /* what the services began ends with them (MYA-22) */
    TRY(erasure_announce(tx, &p->privacy, which.id, cause, due, receipt));
    /* "Now" leaves the last mail a moment to go first. */
    TRY(job_add(tx, p->privacy.clock, JOB_ERASE, which.id, STR(""), erase_name(a, which),
                now ? erase_at + 2 * MOMENT_SECOND : erase_at));
    return say_goodbye(tx, p, &x, &k, now, erase_at, *receipt);
}

enum err account_reopen(struct tx *tx, struct portal *p, str token)
{
    struct ticket t;
    struct account x;
    CLEANUP(key_wipe) struct key k;
    TRY(ticket_find(tx, &p->privacy, TICKET_REOPEN, token, &t));
    TRY(account_get(tx, &p->privacy, t.account, NULL, &x));
    moment closed = x.closed;
    struct query *q = SQL(tx, "UPDATE account SET closed = NULL, erase_at = NULL "
                              "WHERE id = $1 AND closed IS NOT NULL AND erase_at > $2");
    bind_id(q, t.account.id);
    bind_time(q, clock_now(p->privacy.clock));
    TRY(query_run(q));
    if (query_changes(q) == 0)
        return ERR_NOT_FOUND;
    TRY(ticket_use(tx, t.account, TICKET_REOPEN));
    TRY(enrolment_reopen_all(tx, &p->privacy, t.account.id, closed));
    TRY(erasure_cancel(tx, t.account.id));
    q = SQL(tx, "DELETE FROM job WHERE once = $1");
    bind_text(q, erase_name(tx_arena(tx), t.account));
    TRY(query_run(q));
    TRY(vault_subject_key(p->privacy.vault, t.account.id, &k, tx_arena(tx), tx_fault(tx)));
    TRY(account_get(tx, &p->privacy, t.account, &k, &x));
    TRY(account_log(tx, &p->privacy, t.account, &k, "account-reopened"));
    return account_mail(tx, p, &x, &k, "reopened", x.email, STR("/sign-in"), NULL);
}

/* ---- erasing ---- */

/* Is it time, and has the last mail left (or had time enough to)? */
static enum err may_erase(struct portal *p, account_id which, bool wait_for_mail, bool *yes,
                          bool *later, struct arena *a, struct fault *f)
{
    struct account x;
    int64_t mails;
    moment now = clock_now(p->privacy.clock);
    *yes = *later = false;
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, f);
    enum err e = account_get(tx, &p->privacy, which, NULL, &x);
    if (e == ERR_NOT_FOUND)
        return OK; /* gone already */
    TRY(e);
    TRY(mail_waiting(tx, which.id, &mails));
    if (x.closed == 0)
        return OK; /* reopened */
    bool due = x.erase_at <= now;
    bool waits = wait_for_mail && mails > 0 && now < x.closed + LAST_MAIL;
    *yes = due && !waits;
    *later = !*yes;
    return OK;
}

enum err account_erase(struct portal *p, account_id which, bool wait_for_mail, struct arena *a,
                       struct fault *f)
{
    struct erasure_counts counts = {0};
    bool yes, later;
    TRY(may_erase(p, which, wait_for_mail, &yes, &later, a, f));
    if (later)
        return FAIL(f, ERR_BUSY, "the erasure waits");
    return yes ? erasure_run(&p->privacy, STR("account"), &which.id, 1, &counts, a, f) : OK;
}

enum err run_erase(struct job_run *r)
{
    return account_erase(r->app, (account_id){r->job.subject}, true, r->arena, r->fault);
}

/* ---- other jobs ---- */

enum err run_takeout(struct job_run *r)
{
    struct portal *p = r->app;
    struct account x;
    id which;
    TRY(id_parse(r->job.payload, &which));
    struct tx *tx = tx_begin(p->privacy.db, TX_READ, r->arena, r->fault);
    enum err e = account_get(tx, &p->privacy, (account_id){r->job.subject}, NULL, &x);
    tx_end(&tx);
    if (e == ERR_NOT_FOUND)
        return OK; /* erased meanwhile */
    TRY(e);
    int l = catalog_find_language(p->privacy.catalog, x.language);
    l = l < 0 ? 0 : l;
    struct locale locale = {l, catalog_language(p->privacy.catalog, l),
                            x.zone.n ? str_cstr(r->arena, x.zone) : NULL, p->privacy.formats};
    e = takeout_make(&p->privacy, STR("account"), r->job.subject, which, &locale, r->arena, r->fault);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err run_mail(struct job_run *r)
{
    struct portal *p = r->app;
    id mail;
    TRY(id_parse(r->job.payload, &mail));
    return mail_send(p->mailer, r->job.subject, mail, r->arena, r->fault);
}
