/*
 * Replacing the master key. Safe to be cut off anywhere:
 *
 *   1. FILE.next is written.                      Nothing uses it yet.
 *   2. Every key is wrapped anew, in batches.     Each row says which master key opens it; both
 *                                                 files are there.
 *   3. In one transaction the rest is wrapped and the keyring names the next key as the one in
 *      use.                                       New subjects are wrapped with it from here on.
 *   4. The files follow: FILE to FILE.old, FILE.next to FILE, FILE.old overwritten and removed.
 *
 * Steps 1 to 3 begin again where they stopped; step 4 is finished by vault_start().
 */
#include "vault/internal.h"

#include "base/file.h"

#include <sodium.h>

enum { REWRAP_BATCH = 500 };

struct rewrap {
    struct vault *vault;
    const struct master *next;
    int64_t done; /* in this batch */
};

struct wrapped_row {
    str name; /* subject, or the secret's name */
    int64_t generation;
    str master, wrapped;
};

static enum err rewrap_subjects(struct tx *tx, void *arg)
{
    struct rewrap *r = arg;
    struct arena *a = tx_arena(tx);
    struct wrapped_row rows[REWRAP_BATCH];
    size_t n = 0;
    struct query *q = SQL(tx, "SELECT subject, master, wrapped FROM subject_key WHERE master <> $1 "
                              "LIMIT $2");
    bind_text(q, str_from(r->next->id));
    bind_int(q, REWRAP_BATCH);
    while (query_row(q))
        rows[n++] = (struct wrapped_row){row_text(q, 0), 0, row_text(q, 1), row_blob(q, 2)};
    TRY(query_end(q));
    for (size_t i = 0; i < n; i++) {
        CLEANUP(key_wipe) struct key k;
        id subject;
        TRY(tx_fail(tx, id_parse(rows[i].name, &subject)));
        str what = vault_subject_label(a, subject);
        TRY(vault_unwrap(r->vault, a, rows[i].master, what, rows[i].wrapped, &k, tx_fault(tx)));
        q = SQL(tx, "UPDATE subject_key SET master = $2, wrapped = $3 WHERE subject = $1");
        bind_text(q, rows[i].name);
        bind_text(q, str_from(r->next->id));
        bind_blob(q, vault_wrap(a, r->next, what, &k));
        TRY(query_run(q));
    }
    r->done = (int64_t)n;
    return OK;
}

static enum err rewrap_secrets(struct tx *tx, struct rewrap *r)
{
    struct arena *a = tx_arena(tx);
    struct wrapped_row rows[REWRAP_BATCH];
    size_t n = 0;
    struct query *q = SQL(tx, "SELECT name, generation, master, wrapped FROM secret_key "
                              "WHERE master <> $1 LIMIT $2");
    bind_text(q, str_from(r->next->id));
    bind_int(q, REWRAP_BATCH);
    while (query_row(q))
        rows[n++] =
            (struct wrapped_row){row_text(q, 0), row_int(q, 1), row_text(q, 2), row_blob(q, 3)};
    TRY(query_end(q));
    for (size_t i = 0; i < n; i++) {
        CLEANUP(key_wipe) struct key k;
        str what = vault_secret_label(a, rows[i].name, rows[i].generation);
        TRY(vault_unwrap(r->vault, a, rows[i].master, what, rows[i].wrapped, &k, tx_fault(tx)));
        q = SQL(tx, "UPDATE secret_key SET master = $3, wrapped = $4 "
                    "WHERE name = $1 AND generation = $2");
        bind_text(q, rows[i].name);
        bind_int(q, rows[i].generation);
        bind_text(q, str_from(r->next->id));
        bind_blob(q, vault_wrap(a, r->next, what, &k));
        TRY(query_run(q));
    }
    return OK;
}

/* The step from which there is no way back: wraps the few that are left and makes the next master
 * key the one in use, in one transaction. */
static enum err promote(struct tx *tx, void *arg)
{
    struct rewrap *r = arg;
    do
        TRY(rewrap_subjects(tx, r));
    while (r->done > 0);
    TRY(rewrap_secrets(tx, r));
    struct query *q = SQL(tx, "UPDATE master_key SET master = $1, since = $2 WHERE one_row = 1");
    bind_text(q, str_from(r->next->id));
    bind_time(q, clock_now(r->vault->clock));
    return query_run(q);
}

enum err vault_prepare_rotation(struct vault *v, struct fault *f)
{
    if (file_exists(v->paths.next))
        return OK;
    if (v->read_only)
        return FAIL(f, ERR_DENIED,
                    "the master key %s is not ours to replace: bring the next one as %s",
                    v->paths.file, v->paths.next);
    return master_make(v->paths.next, f);
}

/* Has an earlier rotation, cut off before its last steps, made this key the one in use already? */
static enum err is_current(struct vault *v, struct arena *a, const struct master *next, bool *yes,
                           struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(v->keyring, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT 1 FROM master_key WHERE one_row = 1 AND master = $1");
    bind_text(q, str_from(next->id));
    *yes = query_row(q);
    return query_end(q);
}

enum err vault_rotate(struct vault *v, struct arena *a, int64_t *rewrapped, struct fault *f)
{
    CLEANUP(master_wipe) struct master next = {0};
    struct rewrap r = {v, &next, 0};
    int64_t total = 0;
    bool cut_off = false;
    TRY(vault_prepare_rotation(v, f));
    TRY(master_read(v->paths.next, &next, f));
    TRY(is_current(v, a, &next, &cut_off, f));
    if (cut_off && v->read_only)
        return FAIL(f, ERR_CONFLICT, "%s holds the master key in use: bring a new one",
                    v->paths.next);
    do {
        struct arena *batch = arena_new(16 << 20);
        enum err e = db_transact(v->keyring, batch, f, rewrap_subjects, &r);
        arena_free(&batch);
        TRY(e);
        total += r.done;
    } while (r.done > 0);
    if (!cut_off)
        TRY(db_transact(v->keyring, a, f, promote, &r));
    if (!v->read_only)
        TRY(master_settle(&v->paths, str_from(next.id), f));
    pthread_mutex_lock(&v->mutex);
    enum err e = masters_load(&v->paths, v->masters, f);
    pthread_mutex_unlock(&v->mutex);
    TRY(e);
    if (rewrapped)
        *rewrapped = total;
    return db_checkpoint(v->keyring, f);
}
