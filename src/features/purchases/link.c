/*
 * The link between an account and the provider (spec MYA-27 to MYA-31, MYA-34): what the person is called there,
 * and a secret of the link's own. Orders are proved with the secret; nothing can be read with it.
 */
#include "features/purchases/model.h"

#include <sodium.h>

#define SECRET "store customer" /* the vault's, that customers are found by */

/* ---- reading ---- */

static enum err open_field(struct tx *tx, const struct key *k, const char *column, id row, str sealed, str *out)
{
    if (sealed.n == 0 || k == NULL)
        return OK;
    return privacy_unseal(tx_arena(tx), k, "store_link", column, row, sealed, out, tx_fault(tx));
}

enum err link_get(struct tx *tx, const struct privacy *p, account_id which, const struct key *k, struct store_link *out)
{
    struct query *q = SQL(tx, "SELECT id, state, customer, secret, method, ending, expiry, told, linked FROM store_link "
                              "WHERE account = $1");
    str sealed[5] = {{NULL, 0}};
    (void)p;
    *out = (struct store_link){.state = STR(LINK_NONE)};
    bind_id(q, which.id);
    out->there = query_row(q);
    if (out->there) {
        out->row = row_id(q, 0);
        out->state = row_text(q, 1);
        for (int i = 0; i < 5; i++)
            sealed[i] = row_blob(q, 2 + i);
        out->told = row_time(q, 7);
        out->linked = row_time(q, 8);
    }
    TRY(query_end(q));
    TRY(open_field(tx, k, "customer", out->row, sealed[0], &out->customer));
    TRY(open_field(tx, k, "secret", out->row, sealed[1], &out->secret));
    TRY(open_field(tx, k, "method", out->row, sealed[2], &out->method));
    TRY(open_field(tx, k, "ending", out->row, sealed[3], &out->ending));
    return open_field(tx, k, "expiry", out->row, sealed[4], &out->expiry);
}

static enum err customer_hash(struct tx *tx, const struct privacy *p, str customer, str *out)
{
    struct vault_hashes h;
    TRY(vault_hash(p->vault, SECRET, customer, &h, tx_arena(tx), tx_fault(tx)));
    *out = str_dup(tx_arena(tx), str_of(h.bytes[h.n - 1], VAULT_HASH_BYTES));
    return OK;
}

enum err link_find(struct tx *tx, const struct privacy *p, str customer, account_id *out)
{
    str hash;
    TRY(customer_hash(tx, p, customer, &hash));
    struct query *q = SQL(tx, "SELECT account FROM store_customer WHERE hash = $1");
    bind_blob(q, hash);
    bool found = query_row(q);
    if (found)
        out->id = row_id(q, 0);
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

/* ---- making ---- */

static void bind_sealed(struct query *q, struct tx *tx, const struct key *k, const char *column, id row, str plain)
{
    bind_blob(q, privacy_seal(tx_arena(tx), k, "store_link", column, row, plain));
}

enum err link_open(struct tx *tx, const struct privacy *p, account_id which, const struct key *k, str customer)
{
    struct store_link l;
    struct bearer secret = bearer_new();
    moment now = clock_now(p->clock);
    str hash;
    TRY(link_get(tx, p, which, NULL, &l));
    if (!str_is(l.state, LINK_NONE))
        return ERR_CONFLICT;
    id row = l.there ? l.row : id_new();
    struct query *q = SQL(tx, "INSERT INTO store_link (account, id, state, customer, secret, method, ending, expiry, told, made, linked) "
                              "VALUES ($1, $2, 'open', $3, $4, NULL, NULL, NULL, NULL, $5, NULL) "
                              "ON CONFLICT (account) DO UPDATE SET state = excluded.state, customer = excluded.customer, "
                              "secret = excluded.secret, made = excluded.made");
    bind_id(q, which.id);
    bind_id(q, row);
    bind_sealed(q, tx, k, "customer", row, customer);
    bind_sealed(q, tx, k, "secret", row, str_of(secret.text, SECRET_LENGTH));
    bind_time(q, now);
    TRY(query_run(q));
    sodium_memzero(&secret, sizeof secret);
    TRY(customer_hash(tx, p, customer, &hash));
    q = SQL(tx, "INSERT INTO store_customer (hash, account) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING");
    bind_blob(q, hash);
    bind_id(q, which.id);
    return query_run(q);
}

/* ---- the card ---- */

enum err link_card(struct tx *tx, const struct privacy *p, account_id which, const struct key *k, const struct store_event *e)
{
    struct store_link l;
    TRY(link_get(tx, p, which, k, &l));
    if (str_is(l.state, LINK_NONE) || e->made < l.told || !str_eq(l.customer, e->customer))
        return OK;
    struct query *q = SQL(tx, "UPDATE store_link SET state = 'card', method = $2, ending = $3, expiry = $4, told = $5, linked = $6 "
                              "WHERE account = $1");
    bind_id(q, which.id);
    bind_sealed(q, tx, k, "method", l.row, e->method);
    bind_sealed(q, tx, k, "ending", l.row, e->ending);
    bind_sealed(q, tx, k, "expiry", l.row, e->expiry);
    bind_time(q, e->made);
    bind_time(q, l.linked ? l.linked : clock_now(p->clock));
    return query_run(q);
}

enum err link_card_gone(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                        const struct store_event *e)
{
    struct store_link l;
    TRY(link_get(tx, p, which, k, &l));
    if (!str_is(l.state, LINK_CARD) || e->made < l.told || (e->method.n > 0 && !str_eq(l.method, e->method)))
        return OK;
    struct query *q = SQL(tx, "UPDATE store_link SET state = 'open', method = NULL, ending = NULL, expiry = NULL, told = $2, "
                              "linked = NULL WHERE account = $1");
    bind_id(q, which.id);
    bind_time(q, e->made);
    return query_run(q);
}

/* ---- its end ---- */

/* The provider is told by a job of nobody's: it goes on when the person is forgotten here meanwhile. */
static enum err say_farewell(struct tx *tx, const struct portal *p, str customer)
{
    id row = id_new();
    moment now = clock_now(p->privacy.clock);
    struct query *q = SQL(tx, "INSERT INTO store_farewell (id, customer, made) VALUES ($1, $2, $3)");
    bind_id(q, row);
    bind_text(q, customer);
    bind_time(q, now);
    TRY(query_run(q));
    return job_add(tx, p->privacy.clock, JOB_FORGET, (id){{0}}, str_dup(tx_arena(tx), id_str(&row)), STR(""), now);
}

enum err link_undo(struct tx *tx, const struct portal *p, account_id which, const struct key *k, bool tell, bool *was)
{
    struct store_link l;
    TRY(link_get(tx, &p->privacy, which, k, &l));
    *was = !str_is(l.state, LINK_NONE);
    if (!*was)
        return OK;
    struct query *q = SQL(tx, "UPDATE store_link SET state = 'none', customer = NULL, secret = NULL, method = NULL, ending = NULL, "
                              "expiry = NULL, told = NULL, linked = NULL WHERE account = $1");
    bind_id(q, which.id);
    TRY(query_run(q));
    q = SQL(tx, "DELETE FROM store_customer WHERE account = $1");
    bind_id(q, which.id);
    TRY(query_run(q));
    q = SQL(tx, "UPDATE store_order SET state = 'cancelled', done = $2 WHERE account = $1 AND state = 'queued'");
    bind_id(q, which.id);
    bind_time(q, clock_now(p->privacy.clock));
    TRY(query_run(q));
    return tell && l.customer.n > 0 ? say_farewell(tx, p, l.customer) : OK;
}

/* ---- telling the provider ---- */

static enum err read_farewell(struct portal *p, id row, str *customer, struct arena *a, struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT customer FROM store_farewell WHERE id = $1");
    bind_id(q, row);
    bool found = query_row(q);
    if (found)
        *customer = row_text(q, 0);
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

static enum err drop_farewell(struct tx *tx, void *arg)
{
    struct query *q = SQL(tx, "DELETE FROM store_farewell WHERE id = $1");
    bind_id(q, *(id *)arg);
    return query_run(q);
}

enum err run_forget(struct job_run *r)
{
    struct portal *p = r->app;
    struct store_provider *s = purchases_of(p)->provider;
    id row;
    str customer;
    TRY(id_parse(r->job.payload, &row));
    enum err e = read_farewell(p, row, &customer, r->arena, r->fault);
    if (e == ERR_NOT_FOUND) {
        fault_clear(r->fault);
        return OK;
    }
    TRY(e);
    if (s == NULL)
        return FAIL(r->fault, ERR_BUSY, "no store is connected that could be told to forget a customer");
    if (s->forget(s, r->arena, customer, r->fault) != STORE_DONE)
        return r->fault->code == OK ? FAIL(r->fault, ERR_BUSY, "the store does not forget a customer now") : ERR_BUSY;
    return db_transact(p->privacy.db, r->arena, r->fault, drop_farewell, &row);
}
