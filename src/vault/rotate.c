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
 * Steps 1 to 3 begin again where they stopped; step 4 is finished by vault_start(). Copies from the
 * time in between hold keys that the next master key opens: so one that was cut off is finished,
 * and then followed by a whole one.
 */
#include "vault/internal.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

enum { REWRAP_BATCH = 500 };

struct rewrap {
    struct vault *vault;
    const struct master *next;
    char from[MASTER_ID_CHARS + 1]; /* the master key in use when it began */
    int64_t done;                   /* in this batch */
};

struct wrapped_row {
    str name; /* subject, or the secret's name */
    int64_t generation;
    str master, wrapped;
};

static enum err master_name(struct tx *tx, enum master_row which, str *name)
{
    struct query *q = SQL(tx, "SELECT master FROM master_key WHERE one_row = $1");
    bind_int(q, which);
    *name = query_row(q) ? row_text(q, 0) : (str){NULL, 0};
    return query_end(q);
}

/* Notes that keys are about to be wrapped with the next one. */
static enum err note_next(struct tx *tx, const struct rewrap *r)
{
    struct query *q = SQL(tx, "INSERT INTO master_key (one_row, master, since) VALUES ($1, $2, $3) "
                              "ON CONFLICT (one_row) DO UPDATE SET master = excluded.master");
    bind_int(q, MASTER_NEXT);
    bind_text(q, str_from(r->next->id));
    bind_time(q, clock_now(r->vault->clock));
    return query_run(q);
}

/* Keys that another master key opens. Two ranges, each through the index: one that is "<>" would
 * read the rewrapped ones again for every batch. */
static enum err others(struct tx *tx, const struct rewrap *r, struct wrapped_row *rows, size_t *n)
{
    *n = 0;
    for (int above = 0; above < 2 && *n < REWRAP_BATCH; above++) {
        struct query *q =
            above ? SQL(tx, "SELECT subject, master, wrapped FROM subject_key WHERE master > $1 LIMIT $2")
                  : SQL(tx, "SELECT subject, master, wrapped FROM subject_key WHERE master < $1 LIMIT $2");
        bind_text(q, str_from(r->next->id));
        bind_int(q, REWRAP_BATCH - (int64_t)*n);
        while (query_row(q))
            rows[(*n)++] = (struct wrapped_row){row_text(q, 0), 0, row_text(q, 1), row_blob(q, 2)};
        TRY(query_end(q));
    }
    return OK;
}

static enum err rewrap_subjects(struct tx *tx, void *arg)
{
    struct rewrap *r = arg;
    struct arena *a = tx_arena(tx);
    struct wrapped_row rows[REWRAP_BATCH];
    struct query *q;
    size_t n;
    str in_use;
    TRY(master_name(tx, MASTER_IN_USE, &in_use));
    if (!str_is(in_use, r->from))
        return FAIL(tx_fault(tx), ERR_CONFLICT, "another rotation has overtaken this one");
    TRY(note_next(tx, r));
    TRY(others(tx, r, rows, &n));
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
    struct query *q = SQL(tx, "UPDATE master_key SET master = $2, since = $3 WHERE one_row = $1");
    bind_int(q, MASTER_IN_USE);
    bind_text(q, str_from(r->next->id));
    bind_time(q, clock_now(r->vault->clock));
    TRY(query_run(q));
    q = SQL(tx, "DELETE FROM master_key WHERE one_row = $1");
    bind_int(q, MASTER_NEXT);
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

/* Who is in use now, and has an earlier rotation to this key been cut off? */
static enum err where_it_stands(struct rewrap *r, struct arena *a, bool *begun, struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(r->vault->keyring, TX_READ, a, f);
    str in_use, coming;
    TRY(master_name(tx, MASTER_IN_USE, &in_use));
    TRY(master_name(tx, MASTER_NEXT, &coming));
    snprintf(r->from, sizeof r->from, "%.*s", STR_FMT(in_use));
    *begun = str_is(coming, r->next->id) || str_is(in_use, r->next->id);
    return OK;
}

/* `begun`: it was finished, not begun. */
static enum err rotate(struct vault *v, struct arena *a, int64_t *total, bool *begun,
                       struct fault *f)
{
    CLEANUP(master_wipe) struct master next = {0};
    struct rewrap r = {.vault = v, .next = &next};
    TRY(vault_prepare_rotation(v, f));
    TRY(master_read(v->paths.next, &next, f));
    TRY(vault_load_masters(v, f)); /* before any key is wrapped with the next */
    TRY(where_it_stands(&r, a, begun, f));
    bool promoted = strcmp(r.from, next.id) == 0;
    if (promoted && v->read_only)
        return FAIL(f, ERR_CONFLICT, "%s holds the master key in use: bring a new one",
                    v->paths.next);
    do {
        struct arena *batch = arena_new(16 << 20);
        enum err e = db_transact(v->keyring, batch, f, rewrap_subjects, &r);
        arena_free(&batch);
        TRY(e);
        *total += r.done;
    } while (r.done > 0);
    if (!promoted)
        TRY(db_transact(v->keyring, a, f, promote, &r));
    if (!v->read_only)
        TRY(master_settle(&v->paths, str_from(next.id), f));
    return vault_load_masters(v, f);
}

enum err vault_rotate(struct vault *v, struct arena *a, int64_t *rewrapped, struct fault *f)
{
    int64_t total = 0;
    bool begun = false, again;
    if (pthread_mutex_trylock(&v->rotation) != 0)
        return FAIL(f, ERR_BUSY, "the master key is being replaced already");
    enum err e = rotate(v, a, &total, &begun, f);
    if (e == OK && begun && !v->read_only)
        e = rotate(v, a, &total, &again, f);
    pthread_mutex_unlock(&v->rotation);
    TRY(e);
    if (rewrapped)
        *rewrapped = total;
    return db_checkpoint(v->keyring, f);
}
