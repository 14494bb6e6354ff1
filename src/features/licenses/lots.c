/* Lots of codes: issuing and revoking them. */
#include "features/licenses/model.h"

#include <string.h>

#include "base/codec.h"

enum { BATCH = 1000, REVOKE_BATCH = 100, BATCH_BYTES = 8 << 20 };

/* ---- reading ---- */

#define COLUMNS "lot, product, application, term, leeway, devices, codes, note, issuer, made, revoked"

static enum err read_lot(struct query *q, struct tx *tx, struct lot *out)
{
    *out = (struct lot){.lot = row_text(q, 0),
                        .product = row_text(q, 1),
                        .application = row_text(q, 2),
                        .devices = row_int(q, 5),
                        .codes = row_int(q, 6),
                        .note = row_text(q, 7),
                        .issuer = row_text(q, 8),
                        .made = row_time(q, 9),
                        .revoked = row_time(q, 10)};
    if (term_parse(row_text(q, 3), &out->term) != OK || term_parse(row_text(q, 4), &out->grace) != OK)
        return tx_error(tx) != OK ? tx_error(tx) : FAIL(tx_fault(tx), ERR_IO, "a lot has no term");
    return OK;
}

enum err lot_get(struct tx *tx, str lot, struct lot *out)
{
    struct query *q = SQL(tx, "SELECT " COLUMNS " FROM code_lot WHERE lot = $1");
    bind_text(q, lot);
    bool found = query_row(q);
    if (found)
        TRY(read_lot(q, tx, out));
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

enum err lot_list(struct tx *tx, int limit, struct lot **out, size_t *n)
{
    struct lot *list = ARENA_ARRAY(tx_arena(tx), struct lot, (size_t)limit);
    struct query *q = SQL(tx, "SELECT " COLUMNS " FROM code_lot ORDER BY made DESC, lot LIMIT $1");
    bind_int(q, limit);
    for (*n = 0; query_row(q); ++*n)
        TRY(read_lot(q, tx, &list[*n]));
    *out = list;
    return query_end(q);
}

enum err lot_count_used(struct tx *tx, str lot, int64_t *used, int64_t *revoked)
{
    struct query *q = SQL(tx, "SELECT count(activated), count(revoked) FROM activation_code WHERE lot = $1");
    bind_text(q, lot);
    *used = *revoked = 0;
    if (query_row(q)) {
        *used = row_int(q, 0);
        *revoked = row_int(q, 1);
    }
    return query_end(q);
}

/* ---- issuing ---- */

struct issuing {
    struct portal *p;
    struct lot *lot;
    const char *codes;
    int64_t from, to;
    const struct code_hasher *hasher;
    bool taken; /* there is a lot of that name */
};

static enum err add_lot(struct tx *tx, void *arg)
{
    struct issuing *x = arg;
    const struct lot *l = x->lot;
    struct query *q = SQL(tx, "INSERT INTO code_lot (lot, product, application, term, leeway, devices, codes, note, "
                              "issuer, made, revoked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL) "
                              "ON CONFLICT (lot) DO NOTHING");
    bind_text(q, l->lot);
    bind_text(q, l->product);
    bind_text(q, l->application);
    bind_text(q, term_format(tx_arena(tx), l->term));
    bind_text(q, term_format(tx_arena(tx), l->grace));
    bind_int(q, l->devices);
    bind_int(q, l->codes);
    bind_text(q, l->note);
    bind_text(q, l->issuer);
    bind_time(q, l->made);
    TRY(query_run(q));
    x->taken = query_changes(q) == 0;
    return OK;
}

static enum err add_codes(struct tx *tx, void *arg)
{
    const struct issuing *x = arg;
    for (int64_t i = x->from; i < x->to; i++) {
        struct query *q = SQL(tx, "INSERT INTO activation_code (hash, lot, activated, expires, revoked, ended) "
                                  "VALUES ($1, $2, NULL, NULL, NULL, NULL)");
        bind_blob(q, code_hash(x->hasher, tx_arena(tx), x->codes + i * LICENSE_CODE_LENGTH));
        bind_text(q, x->lot->lot);
        TRY(query_run(q));
    }
    return OK;
}

static enum err revoke_row(struct tx *tx, const struct portal *p, str lot, bool *there)
{
    struct query *q = SQL(tx, "UPDATE code_lot SET revoked = $2 WHERE lot = $1 AND revoked IS NULL");
    bind_text(q, lot);
    bind_time(q, clock_now(p->privacy.clock));
    TRY(query_run(q));
    *there = query_changes(q) == 1;
    return OK;
}

/* Codes that nobody was told of are good for nobody. */
static enum err take_back(struct tx *tx, void *arg)
{
    const struct issuing *x = arg;
    bool there;
    return revoke_row(tx, x->p, x->lot->lot, &there);
}

static enum err name_lot(struct issuing *x, struct arena *a, struct fault *f)
{
    char name[LOT_LENGTH];
    for (x->taken = true; x->taken;) {
        lot_new(name);
        x->lot->lot = str_dup(a, str_of(name, sizeof name));
        TRY(db_transact(x->p->privacy.db, a, f, add_lot, x));
    }
    return OK;
}

/* In batches, so that others write in between. */
static enum err store_codes(struct issuing *x, struct fault *f)
{
    enum err e = OK;
    for (int64_t n = x->lot->codes; e == OK && x->from < n; x->from = x->to) {
        struct arena *batch = arena_new(BATCH_BYTES);
        x->to = MIN_OF(x->from + BATCH, n);
        e = db_transact(x->p->privacy.db, batch, f, add_codes, x);
        arena_free(&batch);
    }
    return e;
}

enum err lot_issue(struct portal *p, const struct product *product, int64_t n, str note, str issuer, struct arena *a,
                   struct lot *out, char **codes, struct fault *f)
{
    CLEANUP(code_hasher_wipe) struct code_hasher h;
    if (n < 1 || n > LOT_CODES_MAX)
        return FAIL(f, ERR_LIMIT, "a lot has from 1 to %d codes", LOT_CODES_MAX);
    if (note.n > LOT_NOTE_MAX || !utf8_is_line(note))
        return FAIL(f, ERR_INPUT, "a note is a line of at most %d bytes", LOT_NOTE_MAX);
    *out = (struct lot){.product = product->key,
                        .application = product->application,
                        .term = product->term,
                        .grace = product->grace,
                        .devices = product->devices,
                        .codes = n,
                        .note = note,
                        .issuer = issuer,
                        .made = clock_now(p->privacy.clock)};
    char *list = arena_alloc(a, (size_t)n * LICENSE_CODE_LENGTH);
    struct issuing x = {.p = p, .lot = out, .codes = list, .hasher = &h};
    TRY(code_hasher_get(&p->privacy, a, &h, f));
    TRY(name_lot(&x, a, f));
    for (int64_t i = 0; i < n; i++)
        license_code_new(out->lot.p, list + i * LICENSE_CODE_LENGTH);
    enum err e = store_codes(&x, f);
    if (e != OK) {
        struct fault second = {0};
        if (db_transact(p->privacy.db, a, &second, take_back, &x) != OK)
            log_fault(p->privacy.log, "lot-not-taken-back", (str){NULL, 0}, &second);
        return e;
    }
    *codes = list;
    return OK;
}

/* ---- revoking ---- */

enum err code_revoke(struct tx *tx, struct portal *p, const char code[LICENSE_CODE_LENGTH])
{
    struct code_state c;
    moment now = clock_now(p->privacy.clock);
    TRY(code_find(tx, &p->privacy, code, &c));
    if (!c.there)
        return ERR_NOT_FOUND;
    if (c.owned)
        return license_revoke(tx, p, c.owner, c.license);
    struct query *q = SQL(tx, "UPDATE activation_code SET revoked = $2, ended = $2 WHERE hash = $1 AND revoked IS NULL");
    bind_blob(q, c.hash);
    bind_time(q, now);
    return query_run(q);
}

enum err lot_revoke(struct tx *tx, struct portal *p, str lot)
{
    struct lot l;
    bool now;
    TRY(lot_get(tx, lot, &l));
    TRY(revoke_row(tx, p, lot, &now));
    if (!now)
        return OK;
    return job_add(tx, p->privacy.clock, JOB_REVOKE_LOT, (id){{0}}, lot, (str){NULL, 0}, clock_now(p->privacy.clock));
}

struct lot_work {
    struct portal *p;
    str lot;
    account_id account;
    license_id license;
    int64_t done;
};

static enum err revoke_batch(struct tx *tx, void *arg)
{
    struct lot_work *w = arg;
    struct query *q = SQL(tx, "UPDATE activation_code SET revoked = $2, ended = $2 WHERE hash IN (SELECT hash FROM "
                              "activation_code WHERE lot = $1 AND revoked IS NULL LIMIT $3)");
    bind_text(q, w->lot);
    bind_time(q, clock_now(w->p->privacy.clock));
    bind_int(q, BATCH);
    TRY(query_run(q));
    w->done = query_changes(q);
    return OK;
}

static enum err revoke_one(struct tx *tx, void *arg)
{
    struct lot_work *w = arg;
    enum err e = license_revoke(tx, w->p, w->account, w->license);
    return e == ERR_NOT_FOUND ? OK : e; /* erased meanwhile */
}

struct owned {
    str hash;
    account_id account;
    license_id license;
};

static enum err owners_after(struct lot_work *w, str after, struct owned *out, size_t *n, struct arena *a, struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(w->p->privacy.db, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT hash, account, license FROM code_owner WHERE lot = $1 AND hash > $2 "
                              "ORDER BY hash LIMIT $3");
    bind_text(q, w->lot);
    bind_blob(q, after);
    bind_int(q, REVOKE_BATCH);
    for (*n = 0; query_row(q); ++*n)
        out[*n] = (struct owned){row_blob(q, 0), {row_id(q, 1)}, {row_id(q, 2)}};
    return query_end(q);
}

/* Licenses one by one, each in its account's own transaction; then the codes that nobody has added. What is
 * revoked already is left as it is, so running again is fine. */
enum err run_revoke_lot(struct job_run *r)
{
    struct lot_work w = {.p = r->app, .lot = r->job.payload};
    struct owned owners[REVOKE_BATCH];
    size_t n = REVOKE_BATCH;
    for (str after = STR(""); n == REVOKE_BATCH;) {
        TRY(owners_after(&w, after, owners, &n, r->arena, r->fault));
        for (size_t i = 0; i < n; i++) {
            struct arena *one = arena_new(BATCH_BYTES);
            w.account = owners[i].account;
            w.license = owners[i].license;
            after = owners[i].hash;
            enum err e = db_transact(w.p->privacy.db, one, r->fault, revoke_one, &w);
            arena_free(&one);
            TRY(e);
        }
    }
    for (w.done = 1; w.done > 0;)
        TRY(db_transact(w.p->privacy.db, r->arena, r->fault, revoke_batch, &w));
    return OK;
}
