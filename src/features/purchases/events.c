/*
 * What the provider tells by events. They come in any order, and more than once: each is taken once, an older
 * one changes nothing, and one that is about nobody we know is let go.
 */
#include "features/purchases/model.h"

#include "base/codec.h"

#define DONE     "done"
#define AGAIN    "again"
#define STRANGER "stranger"
#define IGNORED  "ignored"

static enum err first_time(struct tx *tx, const struct portal *p, const struct store_event *e, bool *first)
{
    struct query *q = SQL(tx, "INSERT INTO store_event (event, outcome, made) VALUES ($1, 'done', $2) ON CONFLICT (event) DO NOTHING");
    bind_text(q, e->id);
    bind_time(q, clock_now(p->privacy.clock));
    TRY(query_run(q));
    *first = query_changes(q) == 1;
    return OK;
}

static enum err note(struct tx *tx, const struct store_event *e, const char *outcome)
{
    struct query *q = SQL(tx, "UPDATE store_event SET outcome = $2 WHERE event = $1");
    bind_text(q, e->id);
    bind_text(q, str_from(outcome));
    return query_run(q);
}

/* A payment is one of ours if it names an order that is here, of that account, with the proof that only
 * its link's secret makes. A key to the provider alone cannot make a license. */
static enum err payment(struct tx *tx, struct portal *p, const struct store_event *e, const char **outcome)
{
    account_id which;
    struct order o;
    id order;
    *outcome = STRANGER;
    if (id_parse(e->user, &which.id) != OK || id_parse(e->payment.order, &order) != OK)
        return OK;
    enum err x = order_get(tx, which, order, &o);
    if (x == ERR_NOT_FOUND)
        return OK;
    TRY(x);
    if (!secret_eq(e->proof, base32_encode(tx_arena(tx), o.proof.p, o.proof.n)))
        return OK;
    if (e->payment.state == PAYMENT_PAID && (e->payment.amount != o.amount || !str_eq(e->payment.currency, o.currency)))
        return OK;
    *outcome = DONE;
    return order_settle(tx, p, &o, &e->payment);
}

static enum err card(struct tx *tx, struct portal *p, const struct store_event *e, const char **outcome)
{
    CLEANUP(key_wipe) struct key k;
    account_id which;
    bool was;
    enum err x = link_find(tx, &p->privacy, e->customer, &which);
    *outcome = STRANGER;
    if (x == ERR_NOT_FOUND)
        return OK;
    TRY(x);
    TRY(vault_subject_key(p->privacy.vault, which.id, &k, tx_arena(tx), tx_fault(tx)));
    *outcome = DONE;
    if (e->kind == EVENT_CARD)
        return link_card(tx, &p->privacy, which, &k, e);
    if (e->kind == EVENT_CARD_GONE)
        return link_card_gone(tx, &p->privacy, which, &k, e);
    return link_undo(tx, p, which, &k, false, &was); /* the provider has forgotten them */
}

enum err event_apply(struct tx *tx, struct portal *p, const struct store_event *e, const char **outcome)
{
    bool first;
    *outcome = IGNORED;
    if (e->kind == EVENT_OTHER)
        return OK;
    TRY(first_time(tx, p, e, &first));
    *outcome = AGAIN;
    if (!first)
        return OK;
    TRY(e->kind == EVENT_PAYMENT ? payment(tx, p, e, outcome) : card(tx, p, e, outcome));
    return note(tx, e, *outcome);
}
