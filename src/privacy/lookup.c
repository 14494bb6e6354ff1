#include "privacy/lookup.h"

#include <string.h>

#include "base/email.h"

enum { BATCH = 200, ARENA_BYTES = 16 << 20 };

static str hash_of(const struct vault_hashes *h, int i)
{
    return str_of(h->bytes[i], VAULT_HASH_BYTES);
}

enum err lookup_find(struct tx *tx, const struct privacy *p, const char *table, str text,
                     id *subject)
{
    struct vault_hashes h;
    const struct record *r = inventory_record(p->inventory, str_from(table));
    TRY(vault_hash(p->vault, table, text, &h, tx_arena(tx), tx_fault(tx)));
    str sql = str_fmt(tx_arena(tx), "SELECT %.*s FROM %s WHERE hash = $1", STR_FMT(r->subject), table);
    for (int i = 0; i < h.n; i++) {
        struct query *q = tx_query(tx, sql);
        bind_blob(q, hash_of(&h, i));
        bool found = query_row(q);
        if (found)
            *subject = row_id(q, 0);
        TRY(query_end(q));
        if (found)
            return OK;
    }
    return ERR_NOT_FOUND;
}

static enum err insert(struct tx *tx, const struct record *r, str hash, int64_t generation,
                       id subject)
{
    struct query *q = tx_query(
        tx, str_fmt(tx_arena(tx),
                    "INSERT INTO %.*s (%.*s, hash, generation) VALUES ($1, $2, $3) "
                    "ON CONFLICT (hash) DO NOTHING",
                    STR_FMT(r->name), STR_FMT(r->subject)));
    bind_id(q, subject);
    bind_blob(q, hash);
    bind_int(q, generation);
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_CONFLICT;
}

enum err lookup_add(struct tx *tx, const struct privacy *p, const char *table, str text, id subject)
{
    struct vault_hashes h;
    id other;
    enum err e = lookup_find(tx, p, table, text, &other);
    if (e != ERR_NOT_FOUND)
        return e == OK ? ERR_CONFLICT : e;
    TRY(vault_hash(p->vault, table, text, &h, tx_arena(tx), tx_fault(tx)));
    return insert(tx, inventory_record(p->inventory, str_from(table)), hash_of(&h, 0),
                  h.generation[0], subject);
}

enum err lookup_remove(struct tx *tx, const struct privacy *p, const char *table, id subject)
{
    const struct record *r = inventory_record(p->inventory, str_from(table));
    struct query *q = tx_query(tx, str_fmt(tx_arena(tx), "DELETE FROM %s WHERE %.*s = $1", table,
                                           STR_FMT(r->subject)));
    bind_id(q, subject);
    return query_run(q);
}

/* ---- a new key for the hashes ---- */

struct renewal {
    const struct privacy *p;
    const struct record *lookup;
    int64_t newest;
    int64_t done; /* in this batch */
};

struct old_row {
    str hash;
    id subject;
};

/* The text behind a subject's hash, made comparable. */
static enum err text_of(struct tx *tx, const struct renewal *w, id subject, str *out)
{
    const struct record *l = w->lookup;
    const struct record *of = inventory_record(w->p->inventory, l->finds_record);
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    struct query *q = tx_query(tx, str_fmt(a, "SELECT %.*s FROM %.*s WHERE %.*s = $1",
                                           STR_FMT(l->finds_field), STR_FMT(l->finds_record),
                                           STR_FMT(record_subject_column(of))));
    bind_id(q, subject);
    str sealed = query_row(q) ? row_blob(q, 0) : (str){NULL, 0};
    TRY(query_end(q));
    TRY(vault_subject_key(w->p->vault, subject, &k, a, tx_fault(tx)));
    struct vault_place place = {l->finds_record, l->finds_field, id_str(&subject)};
    TRY(vault_unseal(a, &k, place, sealed, out, tx_fault(tx)));
    const struct field *f = record_field(of, l->finds_field);
    struct email email;
    if (strcmp(f->category->name, "email-address") == 0 && email_parse(a, *out, &email) == OK)
        *out = email.same;
    return OK;
}

static enum err rehash_one(struct tx *tx, const struct renewal *w, const struct old_row *row)
{
    struct arena *a = tx_arena(tx);
    struct vault_hashes h;
    str text;
    enum err e = text_of(tx, w, row->subject, &text);
    struct query *q = tx_query(tx, str_fmt(a, "DELETE FROM %.*s WHERE hash = $1",
                                           STR_FMT(w->lookup->name)));
    bind_blob(q, row->hash);
    TRY(query_run(q));
    if (e == ERR_NOT_FOUND) {
        fault_clear(tx_fault(tx)); /* forgotten meanwhile: its hash goes too */
        return OK;
    }
    TRY(e);
    TRY(vault_hash(w->p->vault, str_cstr(a, w->lookup->name), text, &h, a, tx_fault(tx)));
    return insert(tx, w->lookup, hash_of(&h, 0), h.generation[0], row->subject);
}

static enum err rehash_batch(struct tx *tx, void *arg)
{
    struct renewal *w = arg;
    struct old_row rows[BATCH];
    size_t n = 0;
    struct query *q = tx_query(
        tx, str_fmt(tx_arena(tx), "SELECT hash, %.*s FROM %.*s WHERE generation < $1 LIMIT $2",
                    STR_FMT(w->lookup->subject), STR_FMT(w->lookup->name)));
    bind_int(q, w->newest);
    bind_int(q, BATCH);
    while (query_row(q))
        rows[n++] = (struct old_row){row_blob(q, 0), row_id(q, 1)};
    TRY(query_end(q));
    for (size_t i = 0; i < n; i++)
        TRY(rehash_one(tx, w, &rows[i]));
    w->done = (int64_t)n;
    return OK;
}

static enum err rehash_all(struct renewal *w, int64_t *total, struct fault *f)
{
    enum err e = OK;
    for (w->done = 1; e == OK && w->done > 0; *total += w->done) {
        struct arena *batch = arena_new(ARENA_BYTES);
        e = db_transact(w->p->db, batch, f, rehash_batch, w);
        arena_free(&batch);
    }
    return e;
}

static enum err renew_table(const struct privacy *p, const struct record *lookup, int64_t *total,
                            struct fault *f)
{
    struct renewal w = {.p = p, .lookup = lookup};
    struct vault_hashes h;
    struct arena *a = arena_new(ARENA_BYTES);
    const char *name = str_cstr(a, lookup->name);
    enum err e = vault_hash(p->vault, name, STR(""), &h, a, f); /* makes the first generation */
    if (e == OK)
        e = vault_renew_secret(p->vault, name, a, f);
    if (e == OK)
        e = vault_hash(p->vault, name, STR(""), &h, a, f);
    w.newest = h.generation[0];
    if (e == OK)
        e = rehash_all(&w, total, f);
    if (e == OK)
        e = vault_retire_secret(p->vault, name, a, f);
    arena_free(&a);
    return e;
}

enum err lookup_renew(const struct privacy *p, int64_t *rehashed, struct fault *f)
{
    int64_t total = 0;
    for (size_t i = 0; i < p->inventory->n_records; i++) {
        const struct record *r = &p->inventory->records[i];
        if (r->finds_record.n > 0)
            TRY(renew_table(p, r, &total, f));
    }
    if (rehashed)
        *rehashed = total;
    return OK;
}

enum err lookup_catch_up(const struct privacy *p, int64_t *rehashed, struct fault *f)
{
    *rehashed = 0;
    for (size_t i = 0; i < p->inventory->n_records; i++) {
        struct renewal w = {.p = p, .lookup = &p->inventory->records[i]};
        struct vault_hashes h;
        if (w.lookup->finds_record.n == 0)
            continue;
        struct arena *a = arena_new(ARENA_BYTES);
        enum err e = vault_hash(p->vault, str_cstr(a, w.lookup->name), STR(""), &h, a, f);
        arena_free(&a);
        TRY(e);
        w.newest = h.generation[0];
        TRY(rehash_all(&w, rehashed, f));
    }
    return OK;
}
