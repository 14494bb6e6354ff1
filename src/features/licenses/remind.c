/* Before a license ends: reminders to who has asked for them, renewals for who has switched them on. */
#include "features/licenses/model.h"

#include <string.h>

#include "base/email.h"
#include "features/purchases/purchases.h"
#include "privacy/consent.h"
#include "privacy/rights.h"

enum { BATCH = 100, MAC_BYTES = 20, MAC_CHARS = 32, LOOK_BYTES = 4 << 20 };

/* ---- when ---- */

moment license_next_look(const struct catalogue *c, moment expires, moment after)
{
    moment next = 0;
    for (size_t i = 0; i <= c->n_reminders; i++) {
        moment at = expires - (i < c->n_reminders ? c->reminders[i].exact : c->renewal.exact);
        if (at > after && (next == 0 || at < next))
            next = at;
    }
    return next;
}

/* The last step that has come; NULL: none has, or the license has ended. A step that was missed is not
 * made up for beside a later one. */
static const struct term *step_now(const struct catalogue *c, moment expires, moment now)
{
    const struct term *step = NULL;
    for (size_t i = 0; i < c->n_reminders; i++)
        if (now >= expires - c->reminders[i].exact)
            step = &c->reminders[i];
    return now < expires ? step : NULL;
}

/* ---- asking for them, and ending them ---- */

static const struct purpose *purpose_of(const struct portal *p)
{
    return inventory_purpose(p->privacy.inventory, STR(PURPOSE_REMINDERS));
}

enum err reminders_set(struct tx *tx, const struct portal *p, account_id which, bool wanted, const char *language,
                       const char *way)
{
    return consent_record(tx, &p->privacy, which.id, purpose_of(p), wanted, language, way);
}

enum err reminders_get(struct tx *tx, const struct portal *p, account_id which, bool *wanted)
{
    return consent_holds(tx, &p->privacy, which.id, purpose_of(p), wanted, NULL);
}

static enum err reminders_mac(const struct privacy *p, account_id which, struct arena *a, str *out, struct fault *f)
{
    struct vault_hashes h;
    TRY(vault_hash(p->vault, "unsubscribe", str_fmt(a, "%s " PURPOSE_REMINDERS, which.id.text), &h, a, f));
    *out = base32_encode(a, h.bytes[0], MAC_BYTES);
    return OK;
}

enum err reminders_token(const struct privacy *p, account_id which, struct arena *a, str *out, struct fault *f)
{
    str mac;
    TRY(reminders_mac(p, which, a, &mac, f));
    *out = str_fmt(a, "%s%.*s", which.id.text, STR_FMT(mac));
    return OK;
}

enum err reminders_find(const struct privacy *p, str token, struct arena *a, account_id *out, struct fault *f)
{
    str mac;
    account_id which;
    if (token.n != ID_LENGTH + MAC_CHARS || id_parse(str_head(token, ID_LENGTH), &which.id) != OK)
        return ERR_NOT_FOUND;
    TRY(reminders_mac(p, which, a, &mac, f));
    if (!secret_eq(mac, str_skip(token, ID_LENGTH)))
        return ERR_NOT_FOUND;
    *out = which;
    return OK;
}

/* ---- one reminder ---- */

static struct locale locale_of(const struct portal *p, struct arena *a, const struct account *x)
{
    int l = MAX_OF(catalog_find_language(p->privacy.catalog, x->language), 0);
    return (struct locale){l, catalog_language(p->privacy.catalog, l), x->zone.n ? str_cstr(a, x->zone) : NULL,
                           p->privacy.formats};
}

/* The row decides that it is sent once: it is written in the transaction that queues the mail. */
static enum err first_of_step(struct tx *tx, const struct portal *p, const struct license_row *l, const struct term *step,
                              bool *first)
{
    struct query *q = SQL(tx, "INSERT INTO license_reminder (account, license, expires, step, made) "
                              "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, license, expires, step) DO NOTHING");
    bind_id(q, l->account.id);
    bind_id(q, l->id.id);
    bind_time(q, l->expires);
    bind_text(q, term_format(tx_arena(tx), *step));
    bind_time(q, clock_now(p->privacy.clock));
    TRY(query_run(q));
    *first = query_changes(q) == 1;
    return OK;
}

static enum err mail_reminder(struct tx *tx, struct portal *p, const struct license_row *l)
{
    CLEANUP(key_wipe) struct key k;
    CLEANUP(json_done) json_t *values = json_object();
    struct arena *a = tx_arena(tx);
    struct account x;
    struct email to;
    str token;
    TRY(vault_subject_key(p->privacy.vault, l->account.id, &k, a, tx_fault(tx)));
    TRY(account_get(tx, &p->privacy, l->account, &k, &x));
    TRY(email_parse(a, x.email, &to));
    TRY(reminders_token(&p->privacy, l->account, a, &token, tx_fault(tx)));
    struct locale locale = locale_of(p, a, &x);
    json_put_str(values, "license", product_title(p, l->product, &locale));
    json_put_moment(values, "expires", a, l->expires);
    const char *url = str_cstr(a, p->settings->public_url);
    struct mail mail = {.kind = id_is_none(l->mandate) ? "license-ends" : "license-renews",
                        .purpose = PURPOSE_REMINDERS,
                        .subject = l->account.id,
                        .key = &k,
                        .to = to.wire,
                        .locale = &locale,
                        .action_url = str_fmt(a, "%s/account/licenses/%s", url, l->id.id.text),
                        .unsubscribe_url = str_fmt(a, "%s/licenses/reminders?t=%.*s", url, STR_FMT(token)),
                        .values = values};
    return mail_add(tx, p->mailer, &mail);
}

static enum err remind(struct tx *tx, struct portal *p, const struct license_row *l, moment now)
{
    const struct term *step = step_now(catalogue_of(p), l->expires, now);
    enum may may;
    bool first;
    if (step == NULL)
        return OK;
    TRY(privacy_may(tx, &p->privacy, l->account.id, (str){NULL, 0}, PURPOSE_REMINDERS, &may));
    if (may != MAY)
        return OK;
    TRY(first_of_step(tx, p, l, step, &first));
    return first ? mail_reminder(tx, p, l) : OK;
}

/* ---- automatic renewal ---- */

enum err mandate_set(struct tx *tx, const struct portal *p, account_id which, license_id license, bool on,
                     const struct locale *l)
{
    struct license_row row;
    moment now = clock_now(p->privacy.clock);
    struct arena *a = tx_arena(tx);
    TRY(license_row(tx, which, license, &row));
    if (on == !id_is_none(row.mandate))
        return OK;
    const struct product *product = product_named(p, row.product);
    if (on && (row.revoked || product == NULL || product->price == 0))
        return ERR_CONFLICT;
    struct query *q = SQL(tx, "UPDATE renewal_mandate SET ended = $3 WHERE account = $1 AND license = $2 AND ended IS NULL");
    bind_id(q, which.id);
    bind_id(q, license.id);
    bind_time(q, now);
    TRY(query_run(q));
    id mandate = id_new();
    q = SQL(tx, "UPDATE license SET mandate = $3 WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, license.id);
    if (on)
        bind_id(q, mandate);
    else
        bind_null(q);
    TRY(query_run(q));
    if (!on)
        return OK;
    q = SQL(tx, "INSERT INTO renewal_mandate (account, id, license, wording, price, currency, language, made, ended) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL)");
    bind_id(q, which.id);
    bind_id(q, mandate);
    bind_id(q, license.id);
    bind_text(q, mandate_wording(p, a, product, l));
    bind_int(q, product->price);
    bind_text(q, product->currency);
    bind_text(q, str_from(l->code));
    bind_time(q, now);
    return query_run(q);
}

enum err mandates_end(struct tx *tx, const struct portal *p, account_id which)
{
    struct query *q = SQL(tx, "UPDATE renewal_mandate SET ended = $2 WHERE account = $1 AND ended IS NULL");
    bind_id(q, which.id);
    bind_time(q, clock_now(p->privacy.clock));
    TRY(query_run(q));
    q = SQL(tx, "UPDATE license SET mandate = NULL WHERE account = $1 AND mandate IS NOT NULL");
    bind_id(q, which.id);
    return query_run(q);
}

str mandate_wording(const struct portal *p, struct arena *a, const struct product *product, const struct locale *l)
{
    CLEANUP(json_done) json_t *values = json_object();
    json_put_str(values, "license", product_name(product, l));
    json_put_str(values, "price", product->price_text);
    json_put_str(values, "period", format_value(a, l, FORMAT_TERM, term_format(a, product->term)));
    json_put_str(values, "before", format_value(a, l, FORMAT_TERM, term_format(a, catalogue_of(p)->renewal)));
    return catalog_text(p->privacy.catalog, l, a, MSG("renewal.wording"), values);
}

/* What was agreed to was a price: a higher one is to be agreed to anew. */
static enum err still_agreed(struct tx *tx, const struct portal *p, const struct license_row *l, bool *yes)
{
    const struct product *product = product_named(p, l->product);
    struct query *q = SQL(tx, "SELECT price, currency FROM renewal_mandate WHERE account = $1 AND id = $2 AND ended IS NULL");
    bind_id(q, l->account.id);
    bind_id(q, l->mandate);
    *yes = query_row(q) && product != NULL && product->price > 0 && product->price <= row_int(q, 0) &&
           str_eq(product->currency, row_text(q, 1));
    return query_end(q);
}

static enum err stop_renewing(struct tx *tx, struct portal *p, const struct license_row *l)
{
    CLEANUP(key_wipe) struct key k;
    CLEANUP(json_done) json_t *values = json_object();
    struct account x;
    TRY(vault_subject_key(p->privacy.vault, l->account.id, &k, tx_arena(tx), tx_fault(tx)));
    TRY(account_get(tx, &p->privacy, l->account, NULL, &x));
    struct locale locale = locale_of(p, tx_arena(tx), &x);
    TRY(mandate_set(tx, p, l->account, l->id, false, &locale));
    json_put_str(values, "license", product_title(p, l->product, &locale));
    json_put_moment(values, "expires", tx_arena(tx), l->expires);
    return account_tell(tx, p, l->account, &k, "renewal-stopped", str_fmt(tx_arena(tx), "/account/licenses/%s", l->id.id.text),
                        values);
}

/* Orders it once for each term: the primary key decides, and the job is added with the row. */
static enum err order_renewal(struct tx *tx, struct portal *p, const struct license_row *l, moment now)
{
    struct arena *a = tx_arena(tx);
    enum may may;
    bool agreed;
    if (id_is_none(l->mandate) || now < l->expires - catalogue_of(p)->renewal.exact || now >= license_last(l))
        return OK;
    TRY(privacy_may(tx, &p->privacy, l->account.id, (str){NULL, 0}, PURPOSE_LICENSES, &may));
    if (may != MAY)
        return OK;
    TRY(still_agreed(tx, p, l, &agreed));
    if (!agreed)
        return stop_renewing(tx, p, l);
    struct query *q = SQL(tx, "INSERT INTO renewal_order (account, license, expires, mandate, made) "
                              "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, license, expires) DO NOTHING");
    bind_id(q, l->account.id);
    bind_id(q, l->id.id);
    bind_time(q, l->expires);
    bind_id(q, l->mandate);
    bind_time(q, now);
    TRY(query_run(q));
    if (query_changes(q) == 0)
        return OK;
    return job_add(tx, p->privacy.clock, JOB_RENEW, l->account.id, str_fmt(a, "%s", l->id.id.text),
                   str_fmt(a, "renew:%s:%lld", l->id.id.text, (long long)l->expires), now);
}

/* The switch is asked once more: it may have been turned since. */
static enum err still_wanted(struct portal *p, account_id which, license_id license, str *mandate, struct arena *a,
                             struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, f);
    struct license_row l;
    enum err e = license_row(tx, which, license, &l);
    *mandate = (str){NULL, 0};
    if (e == OK && !l.revoked && !id_is_none(l.mandate))
        *mandate = str_fmt(a, "%s", l.mandate.text);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err run_renew(struct job_run *r)
{
    struct portal *p = r->app;
    account_id which = {r->job.subject};
    license_id license;
    str mandate;
    TRY(id_parse(r->job.payload, &license.id));
    TRY(still_wanted(p, which, license, &mandate, r->arena, r->fault));
    return mandate.n > 0 ? purchase_renew(p, which, license, mandate, r->arena, r->fault) : OK;
}

/* ---- the task ---- */

struct looking {
    struct portal *p;
    account_id account;
    license_id license;
};

static enum err look(struct tx *tx, void *arg)
{
    const struct looking *x = arg;
    struct license_row l;
    moment now = clock_now(x->p->privacy.clock);
    enum err e = license_row(tx, x->account, x->license, &l);
    if (e == ERR_NOT_FOUND) /* erased meanwhile */
        return OK;
    TRY(e);
    if (l.look_at == 0 || l.look_at > now)
        return OK;
    moment next = l.revoked || l.expires == 0 ? 0 : license_next_look(catalogue_of(x->p), l.expires, now);
    struct query *q = SQL(tx, "UPDATE license SET look_at = $3 WHERE account = $1 AND id = $2");
    bind_id(q, l.account.id);
    bind_id(q, l.id.id);
    if (next)
        bind_time(q, next);
    else
        bind_null(q);
    TRY(query_run(q));
    if (l.revoked || l.expires == 0)
        return OK;
    TRY(remind(tx, x->p, &l, now));
    return order_renewal(tx, x->p, &l, now);
}

static enum err due(const struct portal *p, struct looking *out, size_t *n, struct arena *a, struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT account, id FROM license WHERE look_at <= $1 ORDER BY look_at LIMIT $2");
    bind_time(q, clock_now(p->privacy.clock));
    bind_int(q, BATCH);
    for (*n = 0; query_row(q); ++*n)
        out[*n] = (struct looking){.account = {row_id(q, 0)}, .license = {row_id(q, 1)}};
    return query_end(q);
}

/* Each license is looked at when something of its own is due, and then not before the next: the cost does
 * not grow with licenses that wait. One that fails does not hold up the others; it is tried with the next run. */
enum err task_licenses(void *app, struct arena *a, struct fault *f)
{
    struct portal *p = app;
    struct looking list[BATCH];
    size_t n = BATCH, good = 1;
    while (n == BATCH && good > 0) {
        TRY(due(p, list, &n, a, f));
        good = 0;
        for (size_t i = 0; i < n; i++) {
            struct arena *one = arena_new(LOOK_BYTES);
            struct fault why = {0};
            list[i].p = p;
            if (db_transact(p->privacy.db, one, &why, look, &list[i]) == OK)
                good++;
            else
                log_fault(p->privacy.log, "license-not-looked-at", (str){NULL, 0}, &why);
            arena_free(&one);
        }
    }
    return OK;
}
