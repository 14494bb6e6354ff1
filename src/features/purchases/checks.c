/* What buying promises, against the facts. */
#include "features/purchases/model.h"

#define PROBE_OLD (3 * MOMENT_DAY)

static enum err count_rows(struct query *q, int64_t *n)
{
    *n = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

/* MYA-32: each order was made by what the person did, or by the mandate that they gave; by just one. */
static enum err check_orders(struct check *c)
{
    int64_t all, mandates, wrong;
    TRY(count_rows(SQL(c->tx, "SELECT count(*) FROM store_order"), &all));
    TRY(count_rows(SQL(c->tx, "SELECT count(*) FROM store_order WHERE mandate IS NOT NULL"), &mandates));
    TRY(count_rows(SQL(c->tx, "SELECT count(*) FROM store_order WHERE (act IS NULL AND mandate IS NULL) OR "
                              "(act IS NOT NULL AND mandate IS NOT NULL) OR (mandate IS NOT NULL AND license IS NULL)"), &wrong));
    json_put_int(c->values, "count", all);
    json_put_int(c->values, "mandates", mandates);
    json_put_int(c->values, "wrong", wrong);
    c->verdict = wrong ? VERDICT_BROKEN : VERDICT_KEPT;
    c->evidence = wrong ? MSG("evidence.orders-broken") : MSG("evidence.orders");
    return OK;
}

/* MYA-28 to MYA-31, MYA-34: of a card that is not linked, nothing is here; our key cannot read cards. */
static enum err check_cards(struct check *c)
{
    int64_t linked, left;
    str probe = {NULL, 0};
    moment asked = 0;
    TRY(count_rows(SQL(c->tx, "SELECT count(*) FROM store_link WHERE state = 'card'"), &linked));
    TRY(count_rows(SQL(c->tx, "SELECT count(*) FROM store_link WHERE (state <> 'card' AND (method IS NOT NULL OR ending IS NOT NULL OR "
                              "expiry IS NOT NULL)) OR (state = 'none' AND (customer IS NOT NULL OR secret IS NOT NULL))"), &left));
    struct query *q = SQL(c->tx, "SELECT outcome, made FROM store_probe WHERE name = 'cards'");
    if (query_row(q)) {
        probe = row_text(q, 0);
        asked = row_time(q, 1);
    }
    TRY(query_end(q));
    bool connected = purchases_of(c->app)->provider != NULL, reads = str_is(probe, "reads");
    bool fresh = asked > clock_now(c->p->clock) - PROBE_OLD;
    json_put_int(c->values, "count", linked);
    json_put_int(c->values, "left", left);
    json_put_moment(c->values, "asked", c->arena, asked);
    c->verdict = left > 0 || (connected && reads) ? VERDICT_BROKEN : connected && !fresh ? VERDICT_UNKNOWN : VERDICT_KEPT;
    c->evidence = left > 0             ? MSG("evidence.cards-left")
                  : connected && reads ? MSG("evidence.cards-readable")
                  : !connected         ? MSG("evidence.cards-no-store")
                  : !fresh             ? MSG("evidence.cards-unknown")
                                       : MSG("evidence.cards");
    return OK;
}

/* ---- may our key read a card? ---- */

struct probing {
    const char *outcome;
    moment now;
};

static enum err note_probe(struct tx *tx, void *arg)
{
    const struct probing *x = arg;
    struct query *q = SQL(tx, "INSERT INTO store_probe (name, outcome, made) VALUES ('cards', $1, $2) "
                              "ON CONFLICT (name) DO UPDATE SET outcome = excluded.outcome, made = excluded.made");
    bind_text(q, str_from(x->outcome));
    bind_time(q, x->now);
    return query_run(q);
}

enum err task_probe(void *app, struct arena *a, struct fault *f)
{
    struct portal *p = app;
    struct store_provider *s = purchases_of(p)->provider;
    bool reads;
    if (s == NULL)
        return OK;
    if (s->probe(s, a, &reads, f) != STORE_DONE)
        return ERR_BUSY;
    if (reads)
        log_event(p->privacy.log, LOG_WARNING, "store-key-reads-cards");
    struct probing x = {reads ? "reads" : "refused", clock_now(p->privacy.clock)};
    return db_transact(p->privacy.db, a, f, note_probe, &x);
}

const struct named_check purchase_checks[] = {
    {"check_orders", check_orders},
    {"check_cards", check_cards},
};
