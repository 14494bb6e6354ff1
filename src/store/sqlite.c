/*
 * SQLite: one connection writes, the others read.
 *
 * Debian 12's SQLite 3.40.1 has the WAL-reset bug (sqlite.org/wal.html#walresetbug): commits may be
 * lost when two connections write or checkpoint at once. Here exactly one connection of one
 * process does both; the readers have wal_autocheckpoint=0 and are opened read-only.
 *
 * Group commit: each write transaction is a savepoint in one outer transaction. Whoever finishes
 * while others wait hands the writer over and sleeps until the batch is on disk; whoever finishes
 * with nobody waiting (or as the MAX_BATCH-th) commits for all.
 */
#include "store/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

enum {
    CACHE_SLOTS = 512, /* prepared statements of a connection; a power of two */
    MAX_BATCH = 128,   /* transactions that share a commit */
};

struct sqlite_conn {
    struct conn conn;
    sqlite3 *sqlite;
    struct {
        str sql; /* malloc'ed; NULL where free */
        sqlite3_stmt *statement;
        bool used; /* by a query that runs */
        int params[MAX_PARAMS]; /* the library's index of $1, $2 …; 0 where absent */
    } cache[CACHE_SLOTS];
    int cached;
};

/* Transactions that share a commit; each that waits for it holds a reference. */
struct batch {
    int waiting;
    bool done;
    enum err error;
};

struct sqlite_state {
    pthread_mutex_t mutex;
    pthread_cond_t turn;      /* the writer or a reader is free */
    pthread_cond_t committed; /* a batch ended */

    struct sqlite_conn *writer;
    bool busy;           /* somebody has the writer */
    int waiting;         /* for the writer */
    struct batch *batch; /* the one that is open: BEGIN was said; NULL: none */

    struct conn *idle; /* readers */
    int readers;       /* opened */
};

static enum err map_error(int code)
{
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
        return ERR_BUSY;
    default:
        return ERR_IO;
    }
}

static struct sqlite_state *state_of(struct db *db)
{
    return db->state;
}

static struct sqlite_conn *conn_of(const struct tx *tx)
{
    return (struct sqlite_conn *)tx->conn;
}

#define FAIL_SQLITE(f, c, what)                                                                    \
    FAIL((f), map_error(sqlite3_extended_errcode((c)->sqlite)), "sqlite: " what ": %s",            \
         sqlite3_errmsg((c)->sqlite))

static enum err run(struct sqlite_conn *c, const char *sql, struct fault *f)
{
    if (sqlite3_exec(c->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK)
        return OK;
    enum err e = map_error(sqlite3_extended_errcode(c->sqlite));
    return FAIL(f, e, "sqlite: %s: %s", sql, sqlite3_errmsg(c->sqlite));
}

static void conn_close(struct sqlite_conn *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < CACHE_SLOTS; i++) {
        if (c->cache[i].sql.p == NULL)
            continue;
        sqlite3_finalize(c->cache[i].statement);
        free((void *)(uintptr_t)c->cache[i].sql.p);
    }
    sqlite3_close(c->sqlite);
    free(c);
}

static enum err conn_open(struct db *db, bool writer, struct sqlite_conn **out, struct fault *f)
{
    struct sqlite_conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return FAIL(f, ERR_BUSY, "out of memory");
    int flags = SQLITE_OPEN_NOMUTEX |
                (writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
    enum err e = OK;
    if (sqlite3_open_v2(db->target, &c->sqlite, flags, NULL) != SQLITE_OK)
        e = FAIL(f, map_error(sqlite3_extended_errcode(c->sqlite)), "open %s: %s", db->target,
                 sqlite3_errmsg(c->sqlite));
    /* Temporary tables and sorts stay in memory: nothing of a person in a forgotten file. */
    if (e == OK)
        e = run(c, "PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=2000", f);
    if (e == OK && writer)
        e = run(c,
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;"
                "PRAGMA wal_autocheckpoint=1000; PRAGMA cell_size_check=ON",
                f);
    if (e == OK && !writer)
        e = run(c, "PRAGMA wal_autocheckpoint=0; PRAGMA query_only=ON; PRAGMA cache_size=-4000", f);
    if (e != OK) {
        conn_close(c);
        return e;
    }
    *out = c;
    return OK;
}

static enum err sqlite_open(struct db *db, struct fault *f)
{
    struct sqlite_conn *writer;
    TRY(conn_open(db, true, &writer, f));
    struct sqlite_state *s = calloc(1, sizeof *s);
    if (s == NULL) {
        conn_close(writer);
        return FAIL(f, ERR_BUSY, "out of memory");
    }
    s->writer = writer;
    pthread_mutex_init(&s->mutex, NULL);
    cond_init(&s->turn);
    cond_init(&s->committed);
    db->state = s;
    return OK;
}

static void sqlite_close(struct db *db)
{
    struct sqlite_state *s = state_of(db);
    for (struct conn *c = s->idle, *next; c != NULL; c = next) {
        next = c->next;
        conn_close((struct sqlite_conn *)c);
    }
    conn_close(s->writer);
    pthread_cond_destroy(&s->turn);
    pthread_cond_destroy(&s->committed);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* ---- readers ---- */

static enum err take_reader(struct tx *tx)
{
    struct sqlite_state *s = state_of(tx->db);
    struct timespec until = deadline_in(tx->db->deadline_ms);
    pthread_mutex_lock(&s->mutex);
    while (s->idle == NULL && s->readers >= tx->db->connections) {
        int r = pthread_cond_timedwait(&s->turn, &s->mutex, &until);
        if (r == ETIMEDOUT && s->idle == NULL) {
            pthread_mutex_unlock(&s->mutex);
            return FAIL(tx->fault, ERR_BUSY, "no database connection became free");
        }
    }
    struct conn *c = s->idle;
    if (c != NULL)
        s->idle = c->next;
    else
        s->readers++;
    pthread_mutex_unlock(&s->mutex);
    if (c == NULL) {
        struct sqlite_conn *fresh;
        enum err e = conn_open(tx->db, false, &fresh, tx->fault);
        if (e != OK) {
            pthread_mutex_lock(&s->mutex);
            s->readers--;
            pthread_cond_broadcast(&s->turn);
            pthread_mutex_unlock(&s->mutex);
            return e;
        }
        c = &fresh->conn;
    }
    tx->conn = c;
    return OK;
}

static void give_reader(struct db *db, struct conn *c)
{
    struct sqlite_state *s = state_of(db);
    pthread_mutex_lock(&s->mutex);
    c->next = s->idle;
    s->idle = c;
    /* Those who wait for the writer use the same condition: wake all. */
    pthread_cond_broadcast(&s->turn);
    pthread_mutex_unlock(&s->mutex);
}

/* ---- the writer ---- */

static enum err take_writer(struct db *db, struct fault *f)
{
    struct sqlite_state *s = state_of(db);
    struct timespec until = deadline_in(db->deadline_ms);
    enum err e = OK;
    pthread_mutex_lock(&s->mutex);
    s->waiting++;
    while (s->busy && e == OK)
        if (pthread_cond_timedwait(&s->turn, &s->mutex, &until) == ETIMEDOUT && s->busy)
            e = FAIL(f, ERR_BUSY, "the database's writer did not become free");
    s->waiting--;
    if (e == OK)
        s->busy = true;
    pthread_mutex_unlock(&s->mutex);
    return e;
}

static void give_writer(struct sqlite_state *s)
{
    pthread_mutex_lock(&s->mutex);
    s->busy = false;
    pthread_cond_broadcast(&s->turn);
    pthread_mutex_unlock(&s->mutex);
}

/* Tells all that wait for the open batch how it ended. The caller has the writer. */
static void end_batch(struct sqlite_state *s, enum err e)
{
    pthread_mutex_lock(&s->mutex);
    struct batch *b = s->batch;
    s->batch = NULL;
    b->done = true;
    b->error = e;
    if (b->waiting == 0)
        free(b);
    pthread_cond_broadcast(&s->committed);
    pthread_mutex_unlock(&s->mutex);
}

static enum err commit_batch(struct db *db, struct fault *f)
{
    struct sqlite_state *s = state_of(db);
    enum err e = run(s->writer, "COMMIT", f);
    if (e != OK && !sqlite3_get_autocommit(s->writer->sqlite)) {
        enum err ignored = run(s->writer, "ROLLBACK", NULL);
        (void)ignored;
    }
    end_batch(s, e);
    if (e == OK)
        db->batches++;
    return e;
}

/*
 * Gives the writer back at a transaction's end; `mine`: it succeeded and waits for the commit.
 * Where others wait for the writer, the last of them commits for all; where nobody does, this
 * one commits now. The decision and the release are one step, so somebody always commits.
 */
static enum err release_writer(struct db *db, bool mine, struct fault *f)
{
    struct sqlite_state *s = state_of(db);
    pthread_mutex_lock(&s->mutex);
    struct batch *b = s->batch;
    bool lead = b != NULL && (s->waiting == 0 || b->waiting + mine >= MAX_BATCH);
    if (lead) {
        pthread_mutex_unlock(&s->mutex);
        enum err e = commit_batch(db, f);
        give_writer(s);
        return e;
    }
    s->busy = false;
    pthread_cond_broadcast(&s->turn);
    enum err e = OK;
    if (mine) {
        b->waiting++;
        while (!b->done)
            pthread_cond_wait(&s->committed, &s->mutex);
        e = b->error;
        if (--b->waiting == 0)
            free(b);
    }
    pthread_mutex_unlock(&s->mutex);
    return e == OK ? OK : FAIL(f, e, "sqlite: the batch was not committed");
}

static enum err begin_batch(struct sqlite_state *s, struct fault *f)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return FAIL(f, ERR_BUSY, "out of memory");
    /* One that could not even be rolled back, for want of memory, is still open. */
    enum err e = sqlite3_get_autocommit(s->writer->sqlite) ? OK : run(s->writer, "ROLLBACK", f);
    if (e == OK)
        e = run(s->writer, "BEGIN IMMEDIATE", f);
    if (e != OK) {
        free(b);
        return e;
    }
    pthread_mutex_lock(&s->mutex);
    s->batch = b;
    pthread_mutex_unlock(&s->mutex);
    return OK;
}

static enum err begin_writing(struct tx *tx)
{
    struct sqlite_state *s = state_of(tx->db);
    TRY(take_writer(tx->db, tx->fault));
    enum err e = s->batch == NULL ? begin_batch(s, tx->fault) : OK;
    if (e == OK)
        e = run(s->writer, "SAVEPOINT t", tx->fault);
    if (e != OK) {
        enum err ignored = release_writer(tx->db, false, NULL);
        (void)ignored;
        return e;
    }
    tx->conn = &s->writer->conn;
    return OK;
}

static enum err sqlite_begin(struct tx *tx)
{
    return tx->mode == TX_READ ? take_reader(tx) : begin_writing(tx);
}

static void sqlite_rollback(struct tx *tx)
{
    struct sqlite_state *s = state_of(tx->db);
    if (tx->mode == TX_READ) {
        give_reader(tx->db, tx->conn);
        return;
    }
    enum err ignored = OK;
    /* A failure such as a full disk has rolled back the whole batch: all in it failed. So they have
     * where this one cannot be taken out of it. */
    if (!sqlite3_get_autocommit(s->writer->sqlite) &&
        run(s->writer, "ROLLBACK TO t; RELEASE t", NULL) != OK)
        ignored = run(s->writer, "ROLLBACK", NULL);
    if (ignored != OK || sqlite3_get_autocommit(s->writer->sqlite))
        end_batch(s, ERR_BUSY);
    ignored = release_writer(tx->db, false, NULL);
    (void)ignored;
}

static enum err sqlite_commit(struct tx *tx)
{
    struct sqlite_state *s = state_of(tx->db);
    if (tx->mode == TX_READ) {
        give_reader(tx->db, tx->conn);
        return OK;
    }
    enum err e = run(s->writer, "RELEASE t", tx->fault);
    if (e != OK) {
        sqlite_rollback(tx);
        return e;
    }
    return release_writer(tx->db, true, tx->fault);
}

/* ---- queries ---- */

static enum err prepare(struct query *q, unsigned flags, sqlite3_stmt **out)
{
    struct sqlite_conn *c = conn_of(q->tx);
    const char *tail;
    if (sqlite3_prepare_v3(c->sqlite, q->sql.p, (int)q->sql.n, flags, out, &tail) != SQLITE_OK)
        return FAIL(q->tx->fault, map_error(sqlite3_extended_errcode(c->sqlite)), "sqlite: %s: %.*s",
                    sqlite3_errmsg(c->sqlite), STR_FMT(q->sql));
    if (*out == NULL || str_trim(str_skip(q->sql, (size_t)(tail - q->sql.p))).n != 0) {
        sqlite3_finalize(*out);
        return FAIL(q->tx->fault, ERR_IO, "sqlite: not one statement: %.*s", STR_FMT(q->sql));
    }
    return OK;
}

/* SQLite numbers $1, $2 … by first appearance; the name is what counts. */
static void index_params(sqlite3_stmt *statement, int *params)
{
    for (int i = 0; i < MAX_PARAMS; i++) {
        char name[16];
        snprintf(name, sizeof name, "$%d", i + 1);
        params[i] = sqlite3_bind_parameter_index(statement, name);
    }
}

static enum err statement_of(struct query *q, sqlite3_stmt **out, const int **params, int *own)
{
    struct sqlite_conn *c = conn_of(q->tx);
    uint32_t at = sql_hash(q->sql) & (CACHE_SLOTS - 1);
    for (; c->cache[at].sql.p != NULL; at = (at + 1) & (CACHE_SLOTS - 1)) {
        if (!str_eq(c->cache[at].sql, q->sql))
            continue;
        if (c->cache[at].used)
            break; /* the same query, nested: a statement of its own */
        c->cache[at].used = true;
        *out = c->cache[at].statement;
        *params = c->cache[at].params;
        return OK;
    }
    if (c->cache[at].sql.p != NULL || c->cached >= CACHE_SLOTS * 3 / 4) {
        q->uncached = true;
        TRY(prepare(q, 0, out));
        index_params(*out, own);
        *params = own;
        return OK;
    }
    TRY(prepare(q, SQLITE_PREPARE_PERSISTENT, out));
    char *copy = malloc(q->sql.n + 1);
    if (copy == NULL) {
        sqlite3_finalize(*out);
        return FAIL(q->tx->fault, ERR_BUSY, "out of memory");
    }
    memcpy(copy, q->sql.p, q->sql.n);
    c->cache[at].sql = str_of(copy, q->sql.n);
    c->cache[at].statement = *out;
    c->cache[at].used = true;
    c->cached++;
    index_params(*out, c->cache[at].params);
    *params = c->cache[at].params;
    return OK;
}

static int bind(sqlite3_stmt *s, int index, const struct param *p)
{
    switch (p->kind) {
    case PARAM_NULL:
        return sqlite3_bind_null(s, index);
    case PARAM_INT:
        return sqlite3_bind_int64(s, index, p->number);
    case PARAM_TEXT:
        return sqlite3_bind_text64(s, index, p->bytes.n ? p->bytes.p : "", p->bytes.n,
                                   SQLITE_STATIC, SQLITE_UTF8);
    case PARAM_BLOB:
        return sqlite3_bind_blob64(s, index, p->bytes.n ? p->bytes.p : "", p->bytes.n,
                                   SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static enum err sqlite_start(struct query *q)
{
    sqlite3_stmt *s;
    const int *params;
    int own[MAX_PARAMS];
    TRY(statement_of(q, &s, &params, own));
    q->statement = s;
    if (sqlite3_bind_parameter_count(s) != q->n_params)
        return FAIL(q->tx->fault, ERR_IO, "%d values for %d parameters: %.*s", q->n_params,
                    sqlite3_bind_parameter_count(s), STR_FMT(q->sql));
    for (int i = 0; i < q->n_params; i++)
        if (params[i] == 0 || bind(s, params[i], &q->params[i]) != SQLITE_OK)
            return FAIL(q->tx->fault, ERR_IO, "parameter $%d: %.*s", i + 1, STR_FMT(q->sql));
    return OK;
}

static enum step sqlite_step(struct query *q)
{
    struct sqlite_conn *c = conn_of(q->tx);
    int r = sqlite3_step(q->statement);
    if (r == SQLITE_ROW)
        return STEP_ROW;
    if (r == SQLITE_DONE) {
        q->changes = sqlite3_stmt_readonly(q->statement) ? 0 : sqlite3_changes64(c->sqlite);
        return STEP_END;
    }
    enum err e = map_error(sqlite3_extended_errcode(c->sqlite));
    if (e != ERR_CONFLICT)
        q->tx->db->failures++;
    QUERY_FAIL(q, e, "sqlite: %s: %.*s", sqlite3_errmsg(c->sqlite), STR_FMT(q->sql));
    return STEP_FAILED;
}

static void sqlite_finish(struct query *q)
{
    if (q->statement == NULL)
        return;
    q->tx->db->scanned += sqlite3_stmt_status(q->statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
    if (q->uncached) {
        sqlite3_finalize(q->statement);
        return;
    }
    struct sqlite_conn *c = conn_of(q->tx);
    sqlite3_reset(q->statement);
    sqlite3_clear_bindings(q->statement);
    uint32_t at = sql_hash(q->sql) & (CACHE_SLOTS - 1);
    while (c->cache[at].statement != q->statement)
        at = (at + 1) & (CACHE_SLOTS - 1);
    c->cache[at].used = false;
    q->statement = NULL;
}

static enum err sqlite_column(struct query *q, int column, struct param *out)
{
    sqlite3_stmt *s = q->statement;
    if (column >= sqlite3_column_count(s))
        return FAIL(q->tx->fault, ERR_IO, "no column %d: %.*s", column, STR_FMT(q->sql));
    switch (sqlite3_column_type(s, column)) {
    case SQLITE_NULL:
        *out = (struct param){.kind = PARAM_NULL};
        return OK;
    case SQLITE_INTEGER:
        *out = (struct param){.kind = PARAM_INT, .number = sqlite3_column_int64(s, column)};
        return OK;
    case SQLITE_TEXT: {
        const void *p = sqlite3_column_text(s, column);
        *out = (struct param){.kind = PARAM_TEXT,
                              .bytes = str_of(p, (size_t)sqlite3_column_bytes(s, column))};
        return OK;
    }
    case SQLITE_BLOB: {
        const void *p = sqlite3_column_blob(s, column);
        *out = (struct param){.kind = PARAM_BLOB,
                              .bytes = str_of(p, (size_t)sqlite3_column_bytes(s, column))};
        return OK;
    }
    default:
        return FAIL(q->tx->fault, ERR_IO, "column %d is no type of ours: %.*s", column,
                    STR_FMT(q->sql));
    }
}

static enum err sqlite_ddl(struct tx *tx, str sql)
{
    return run(conn_of(tx), str_cstr(tx->arena, sql), tx->fault);
}

/* The writer outside a transaction: commits what is open first. */
static enum err take_writer_alone(struct db *db, struct fault *f)
{
    struct sqlite_state *s = state_of(db);
    TRY(take_writer(db, f));
    if (s->batch == NULL)
        return OK;
    enum err e = commit_batch(db, f);
    if (e != OK)
        give_writer(s);
    return e;
}

static enum err truncate_wal(struct sqlite_conn *c, bool *busy, struct fault *f)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(c->sqlite, "PRAGMA wal_checkpoint(TRUNCATE)", -1, &s, NULL) != SQLITE_OK)
        return FAIL_SQLITE(f, c, "checkpoint");
    int r = sqlite3_step(s);
    *busy = r == SQLITE_ROW && sqlite3_column_int(s, 0) != 0;
    sqlite3_finalize(s);
    if (r == SQLITE_BUSY || r == SQLITE_LOCKED) {
        *busy = true;
        return OK;
    }
    return r == SQLITE_ROW ? OK : FAIL_SQLITE(f, c, "checkpoint");
}

static enum err sqlite_checkpoint(struct db *db, struct fault *f)
{
    struct sqlite_state *s = state_of(db);
    int64_t until = clock_ticks() + (int64_t)db->deadline_ms * 1000;
    for (;;) {
        bool busy = false;
        TRY(take_writer_alone(db, f));
        enum err e = truncate_wal(s->writer, &busy, f);
        give_writer(s);
        if (e != OK || !busy)
            return e;
        if (clock_ticks() > until)
            return FAIL(f, ERR_BUSY, "a reader held up the checkpoint");
        struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL);
    }
}

static enum err sqlite_vacuum(struct db *db, struct fault *f)
{
    struct sqlite_state *s = state_of(db);
    TRY(take_writer_alone(db, f));
    enum err e = run(s->writer, "VACUUM", f);
    give_writer(s);
    TRY(e);
    return sqlite_checkpoint(db, f);
}

const struct backend sqlite_backend = {
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .start = sqlite_start,
    .step = sqlite_step,
    .finish = sqlite_finish,
    .column = sqlite_column,
    .ddl = sqlite_ddl,
    .checkpoint = sqlite_checkpoint,
    .vacuum = sqlite_vacuum,
};
