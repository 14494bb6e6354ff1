/*
 * Orders (spec MYA-32, 33, 35, 47). An order is a row, made in the transaction in which the person asked for it
 * or for which they gave a mandate; a job sends it, with the row's ID as its idempotency key, until the provider
 * has answered. So an outage loses none, and none is made twice.
 */
#include "features/purchases/model.h"

#include <string.h>

#include <sodium.h>

#include "privacy/rights.h"

enum { PROOF_BYTES = 20 };
#define RENEWED_LATELY (3 * MOMENT_DAY)

/* ---- reading ---- */

#define COLUMNS "id, product, amount, currency, mandate, license, term, proof, state, reason, made, done"

static struct order read_order(struct query *q, account_id which)
{
    return (struct order){.id = row_id(q, 0),
                          .account = which,
                          .product = row_text(q, 1),
                          .amount = row_int(q, 2),
                          .currency = row_text(q, 3),
                          .mandate = row_text(q, 4),
                          .license = row_text(q, 5),
                          .term = row_time(q, 6),
                          .proof = row_blob(q, 7),
                          .state = row_text(q, 8),
                          .reason = row_text(q, 9),
                          .made = row_time(q, 10),
                          .done = row_time(q, 11)};
}

enum err order_get(struct tx *tx, account_id which, id order, struct order *out)
{
    struct query *q = SQL(tx, "SELECT " COLUMNS " FROM store_order WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, order);
    bool found = query_row(q);
    if (found)
        *out = read_order(q, which);
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

enum err order_list(struct tx *tx, account_id which, int limit, struct order **out, size_t *n)
{
    struct order *list = ARENA_ARRAY(tx_arena(tx), struct order, (size_t)limit);
    struct query *q = SQL(tx, "SELECT " COLUMNS " FROM store_order WHERE account = $1 ORDER BY made DESC, id LIMIT $2");
    bind_id(q, which.id);
    bind_int(q, limit);
    for (*n = 0; query_row(q); ++*n)
        list[*n] = read_order(q, which);
    *out = list;
    return query_end(q);
}

/* ---- asking for one ---- */

/* Only who has the link's secret can make it; from the order alone, nobody can. */
static str prove(struct arena *a, str secret, id order, const struct product *product)
{
    unsigned char mac[PROOF_BYTES];
    str text = str_fmt(a, "troth order %s %lld %.*s %.*s", order.text, (long long)product->price, STR_FMT(product->currency),
                       STR_FMT(product->key));
    crypto_generichash(mac, sizeof mac, (const unsigned char *)text.p, text.n, (const unsigned char *)secret.p, secret.n);
    return str_dup(a, str_of(mac, sizeof mac));
}

static enum err is_waiting(struct tx *tx, account_id which, str product, bool *yes)
{
    struct query *q = SQL(tx, "SELECT 1 FROM store_order WHERE account = $1 AND product = $2 AND state IN ('queued', 'sent') LIMIT 1");
    bind_id(q, which.id);
    bind_text(q, product);
    *yes = query_row(q);
    return query_end(q);
}

static enum err insert_order(struct tx *tx, const struct portal *p, const struct order *o, id act, bool *fresh)
{
    struct query *q =
        SQL(tx, "INSERT INTO store_order (account, id, product, amount, currency, act, mandate, license, term, proof, state, reason, made, done) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'queued', NULL, $11, NULL) ON CONFLICT DO NOTHING");
    bind_id(q, o->account.id);
    bind_id(q, o->id);
    bind_text(q, o->product);
    bind_int(q, o->amount);
    bind_text(q, o->currency);
    if (id_is_none(act)) {
        bind_null(q);
        bind_text(q, o->mandate);
        bind_text(q, o->license);
        bind_time(q, o->term);
    } else {
        bind_id(q, act);
        bind_null(q);
        bind_null(q);
        bind_null(q);
    }
    bind_blob(q, o->proof);
    bind_time(q, clock_now(p->privacy.clock));
    TRY(query_run(q));
    *fresh = query_changes(q) == 1;
    return OK;
}

enum err order_add(struct tx *tx, struct portal *p, const struct order_start *s, enum order_asked *out)
{
    const struct product *product = product_named(p, s->product);
    struct store_link link;
    struct order there;
    enum may may;
    bool waits, fresh;
    enum err e = order_get(tx, s->account, s->once, &there);
    if (e != ERR_NOT_FOUND) {
        *out = ORDER_ALREADY;
        return e;
    }
    TRY(link_get(tx, &p->privacy, s->account, s->key, &link));
    TRY(privacy_may(tx, &p->privacy, s->account.id, (str){NULL, 0}, PURPOSE_BUY, &may));
    TRY(is_waiting(tx, s->account, s->product, &waits));
    *out = may != MAY                                                     ? ORDER_MAY_NOT
           : product == NULL || product->price == 0 || product->trial     ? ORDER_NOT_SOLD
           : !str_eq(product->price_text, s->price)                       ? ORDER_NOT_SOLD
           : !str_is(link.state, LINK_CARD) || purchases_of(p)->provider == NULL ? ORDER_NO_CARD
           : waits                                                        ? ORDER_WAITS
                                                                          : ORDER_TAKEN;
    if (*out != ORDER_TAKEN)
        return OK;
    struct order o = {.id = s->once,
                      .account = s->account,
                      .product = product->key,
                      .amount = product->price,
                      .currency = product->currency,
                      .proof = prove(tx_arena(tx), link.secret, s->once, product)};
    TRY(insert_order(tx, p, &o, s->session, &fresh));
    if (!fresh) {
        *out = ORDER_ALREADY;
        return OK;
    }
    return job_add(tx, p->privacy.clock, JOB_ORDER, s->account.id, str_dup(tx_arena(tx), id_str(&o.id)),
                   str_fmt(tx_arena(tx), "order:%s", o.id.text), clock_now(p->privacy.clock));
}

/* ---- what comes of it ---- */

static enum err fulfil(struct tx *tx, struct portal *p, const struct order *o)
{
    CLEANUP(key_wipe) struct key k;
    const struct product *product = product_named(p, o->product);
    license_id license;
    moment expires;
    enum err e = ERR_NOT_FOUND;
    if (o->license.n > 0) {
        TRY(id_parse(o->license, &license.id));
        e = license_renew(tx, p, o->account, license, &expires);
    } else if (product != NULL) {
        TRY(vault_subject_key(p->privacy.vault, o->account.id, &k, tx_arena(tx), tx_fault(tx)));
        e = license_grant(tx, p, o->account, &k, product, "purchase", &license);
    }
    if (e == ERR_DENIED || e == ERR_CONFLICT || e == ERR_NOT_FOUND) {
        /* Paid, and there is nobody or nothing any more to give it to: people must look at it. */
        log_event(p->privacy.log, LOG_WARNING, "order-without-license", LOG_TEXT("order", id_str(&o->id)));
        fault_clear(tx_fault(tx));
        return OK;
    }
    TRY(e);
    struct query *q = SQL(tx, "UPDATE store_order SET license = $3 WHERE account = $1 AND id = $2");
    bind_id(q, o->account.id);
    bind_id(q, o->id);
    bind_id(q, license.id);
    return query_run(q);
}

static enum err move(struct tx *tx, const struct portal *p, const struct order *o, const char *to, str reason, bool *moved)
{
    struct query *q = SQL(tx, "UPDATE store_order SET state = $3, reason = $4, done = $5 WHERE account = $1 AND id = $2 AND state = $6");
    bind_id(q, o->account.id);
    bind_id(q, o->id);
    bind_text(q, str_from(to));
    if (reason.n > 0)
        bind_text(q, reason);
    else
        bind_null(q);
    bind_time(q, clock_now(p->privacy.clock));
    bind_text(q, o->state);
    TRY(query_run(q));
    *moved = query_changes(q) == 1;
    return OK;
}

static enum err take_back(struct tx *tx, struct portal *p, const struct order *o)
{
    license_id license;
    if (o->license.n == 0 || id_parse(o->license, &license.id) != OK)
        return OK;
    enum err e = license_revoke(tx, p, o->account, license);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err order_settle(struct tx *tx, struct portal *p, const struct order *o, const struct store_payment *paid)
{
    bool settled = str_is(o->state, ORDER_PAID) || str_is(o->state, ORDER_REFUNDED), moved = false;
    bool exact = paid->amount == o->amount && str_eq(paid->currency, o->currency);
    switch (paid->state) {
    case PAYMENT_PENDING:
        return OK;
    case PAYMENT_PAID:
        if (settled)
            return OK;
        if (!exact)
            return FAIL(tx_fault(tx), ERR_CONFLICT, "a payment is not what order %s asks for", o->id.text);
        TRY(move(tx, p, o, ORDER_PAID, (str){NULL, 0}, &moved));
        return moved ? fulfil(tx, p, o) : OK;
    case PAYMENT_FAILED:
        if (settled || str_is(o->state, ORDER_DECLINED))
            return OK;
        return move(tx, p, o, ORDER_DECLINED, paid->reason, &moved);
    case PAYMENT_REFUNDED:
        if (str_is(o->state, ORDER_REFUNDED))
            return OK;
        TRY(move(tx, p, o, ORDER_REFUNDED, (str){NULL, 0}, &moved));
        return moved ? take_back(tx, p, o) : OK;
    }
    return OK;
}

/* ---- sending ---- */

struct placing {
    struct portal *p;
    struct order order;
    struct store_link link;
    struct store_payment paid;
    const char *to; /* the state it is to have */
    struct arena *arena;
    struct fault *fault;
};

static enum err read_all(struct placing *x, account_id which, id order)
{
    CLEANUP(key_wipe) struct key k;
    CLEANUP(tx_end) struct tx *tx = tx_begin(x->p->privacy.db, TX_READ, x->arena, x->fault);
    TRY(order_get(tx, which, order, &x->order));
    TRY(vault_subject_key(x->p->privacy.vault, which.id, &k, x->arena, x->fault));
    return link_get(tx, &x->p->privacy, which, &k, &x->link);
}

static enum err set_state(struct tx *tx, void *arg)
{
    struct placing *x = arg;
    struct query *q = SQL(tx, "UPDATE store_order SET state = $3, done = $4 WHERE account = $1 AND id = $2 AND state IN ('queued', 'sent')");
    bind_id(q, x->order.account.id);
    bind_id(q, x->order.id);
    bind_text(q, str_from(x->to));
    if (strcmp(x->to, ORDER_SENT) == 0 || strcmp(x->to, ORDER_QUEUED) == 0)
        bind_null(q);
    else
        bind_time(q, clock_now(x->p->privacy.clock));
    TRY(query_run(q));
    /* Undone or settled meanwhile. */
    return query_changes(q) == 1 ? OK : ERR_NOT_FOUND;
}

static enum err to_state(struct placing *x, const char *to)
{
    x->to = to;
    return db_transact(x->p->privacy.db, x->arena, x->fault, set_state, x);
}

static enum err settle(struct tx *tx, void *arg)
{
    struct placing *x = arg;
    struct order now;
    TRY(order_get(tx, x->order.account, x->order.id, &now)); /* an event may have been faster */
    return order_settle(tx, x->p, &now, &x->paid);
}

/* Answered: what it is stands in x->paid. */
static enum err answered(struct placing *x)
{
    if (x->paid.state == PAYMENT_PENDING)
        return FAIL(x->fault, ERR_BUSY, "a payment is not decided yet");
    return db_transact(x->p->privacy.db, x->arena, x->fault, settle, x);
}

static enum err ask_provider(struct placing *x)
{
    struct store_provider *s = purchases_of(x->p)->provider;
    bool was_sent = str_is(x->order.state, ORDER_SENT);
    struct store_order o = {.user = x->order.account.id,
                            .order = x->order.id,
                            .customer = x->link.customer,
                            .method = x->link.method,
                            .product = x->order.product,
                            .amount = x->order.amount,
                            .currency = x->order.currency,
                            .proof = base32_encode(x->arena, x->order.proof.p, x->order.proof.n),
                            .renewal = x->order.mandate.n > 0};
    /* The provider gives the same answer to the same key, a failure of its own included: so where the last
     * one was not clear, look first whether the payment is there. */
    if (was_sent && s->find(s, x->arena, o.customer, o.order, &x->paid, x->fault) == STORE_DONE && x->paid.order.n > 0)
        return answered(x);
    fault_clear(x->fault);
    if (!was_sent)
        TRY(to_state(x, ORDER_SENT));
    enum store_answer answer = s->order(s, x->arena, &o, &x->paid, x->fault);
    switch (answer) {
    case STORE_DONE:
        return answered(x);
    case STORE_LATER:
        fault_clear(x->fault);
        if (!was_sent)
            TRY(to_state(x, ORDER_QUEUED));
        return FAIL(x->fault, ERR_BUSY, "the store cannot be reached");
    case STORE_UNCERTAIN:
        return FAIL(x->fault, ERR_BUSY, "the store gave no answer to an order");
    case STORE_REFUSED:
        fault_clear(x->fault);
        x->paid.state = PAYMENT_FAILED;
        x->paid.order = x->order.product;
        return answered(x);
    }
    return ERR_IO;
}

static enum err place(struct placing *x, account_id which, id order)
{
    enum err e = read_all(x, which, order);
    if (e == ERR_NOT_FOUND) { /* erased meanwhile */
        fault_clear(x->fault);
        return OK;
    }
    TRY(e);
    bool queued = str_is(x->order.state, ORDER_QUEUED), sent = str_is(x->order.state, ORDER_SENT);
    bool late = clock_now(x->p->privacy.clock) > x->order.made + ORDER_LASTS;
    if (!queued && !sent)
        return OK;
    if (late || !str_is(x->link.state, LINK_CARD))
        e = queued || sent ? to_state(x, queued ? ORDER_CANCELLED : ORDER_UNCERTAIN) : OK;
    else if (purchases_of(x->p)->provider == NULL)
        return FAIL(x->fault, ERR_BUSY, "no store is connected");
    else
        e = ask_provider(x);
    if (e != ERR_NOT_FOUND)
        return e;
    fault_clear(x->fault);
    return OK;
}

enum err run_order(struct job_run *r)
{
    struct placing x = {.p = r->app, .arena = r->arena, .fault = r->fault};
    id order;
    TRY(id_parse(r->job.payload, &order));
    return place(&x, (account_id){r->job.subject}, order);
}

/* ---- renewals ---- */

enum err purchase_can_renew(struct tx *tx, account_id which, bool *yes)
{
    struct query *q = SQL(tx, "SELECT 1 FROM store_link WHERE account = $1 AND state = 'card'");
    bind_id(q, which.id);
    *yes = query_row(q);
    return query_end(q);
}

struct renewing {
    struct portal *p;
    account_id account;
    license_id license;
    str mandate;
    id order; /* none: there is nothing to order */
};

/* Was it renewed just now, by an order of ours whose job was cut off after that? */
static enum err renewed_lately(struct tx *tx, const struct renewing *x, moment now, bool *yes)
{
    struct query *q = SQL(tx, "SELECT 1 FROM store_order WHERE account = $1 AND license = $2 AND mandate IS NOT NULL AND "
                              "state = 'paid' AND done > $3 LIMIT 1");
    bind_id(q, x->account.id);
    bind_id(q, x->license.id);
    bind_time(q, now - RENEWED_LATELY);
    *yes = query_row(q);
    return query_end(q);
}

static enum err find_renewal(struct tx *tx, const struct renewing *x, moment term, id *out)
{
    struct query *q = SQL(tx, "SELECT id FROM store_order WHERE account = $1 AND license = $2 AND term = $3");
    bind_id(q, x->account.id);
    bind_id(q, x->license.id);
    bind_time(q, term);
    if (query_row(q))
        *out = row_id(q, 0);
    return query_end(q);
}

static enum err begin_renewal(struct tx *tx, void *arg)
{
    CLEANUP(key_wipe) struct key k;
    struct renewing *x = arg;
    struct store_link link;
    struct license license;
    enum may may;
    bool lately, fresh;
    moment now = clock_now(x->p->privacy.clock);
    x->order = (id){{0}};
    TRY(renewed_lately(tx, x, now, &lately));
    if (lately)
        return OK;
    TRY(vault_subject_key(x->p->privacy.vault, x->account.id, &k, tx_arena(tx), tx_fault(tx)));
    TRY(license_get(tx, x->p, x->account, x->license, NULL, &license));
    TRY(link_get(tx, &x->p->privacy, x->account, &k, &link));
    TRY(privacy_may(tx, &x->p->privacy, x->account.id, (str){NULL, 0}, PURPOSE_BUY, &may));
    const struct product *product = product_named(x->p, license.product);
    if (!license.renews || x->mandate.n == 0 || !str_is(link.state, LINK_CARD) || may != MAY || product == NULL || product->price == 0)
        return FAIL(tx_fault(tx), ERR_DENIED, "a license does not renew: no mandate, no card, or it is not sold");
    struct order o = {.id = id_new(),
                      .account = x->account,
                      .product = product->key,
                      .amount = product->price,
                      .currency = product->currency,
                      .mandate = x->mandate,
                      .license = str_dup(tx_arena(tx), id_str(&x->license.id)),
                      .term = license.expires};
    o.proof = prove(tx_arena(tx), link.secret, o.id, product);
    TRY(insert_order(tx, x->p, &o, (id){{0}}, &fresh)); /* one for each term */
    return find_renewal(tx, x, license.expires, &x->order);
}

enum err purchase_renew(struct portal *p, account_id which, license_id license, str mandate, struct arena *a, struct fault *f)
{
    struct renewing x = {.p = p, .account = which, .license = license, .mandate = mandate};
    struct placing placing = {.p = p, .arena = a, .fault = f};
    TRY(db_transact(p->privacy.db, a, f, begin_renewal, &x));
    if (id_is_none(x.order))
        return OK;
    TRY(place(&placing, which, x.order));
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, f);
    TRY(order_get(tx, which, x.order, &placing.order));
    return str_is(placing.order.state, ORDER_PAID) ? OK : FAIL(f, ERR_DENIED, "a renewal was not paid for");
}
