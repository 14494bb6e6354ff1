#include "store/backend.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

enum {
    DEFAULT_CONNECTIONS = 16,
    DEFAULT_DEADLINE_MS = 5000,
    MAX_ATTEMPTS = 8,
    CONFIG_BYTES = 64 * 1024,
};

struct timespec deadline_in(int ms)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += (long)(ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}

uint32_t sql_hash(str sql)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < sql.n; i++)
        h = (h ^ (unsigned char)sql.p[i]) * 16777619u;
    return h;
}

void cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

enum err db_open(struct db **out, const struct db_config *config, struct fault *f)
{
    static const str sqlite = {"sqlite:", 7};
    struct arena *a = arena_new(CONFIG_BYTES);
    struct db *db = ARENA_NEW(a, struct db);
    db->arena = a;
    db->space = config->space ? str_cstr(a, str_from(config->space)) : "public";
    db->connections = config->connections ? config->connections : DEFAULT_CONNECTIONS;
    db->deadline_ms = config->deadline_ms ? config->deadline_ms : DEFAULT_DEADLINE_MS;
    enum err e = OK;
    if (str_starts(config->url, sqlite) && config->url.n > sqlite.n) {
        db->kind = DB_SQLITE;
        db->target = str_cstr(a, str_skip(config->url, sqlite.n));
        db->ops = &sqlite_backend;
    } else if (str_starts(config->url, STR("postgres://")) ||
               str_starts(config->url, STR("postgresql://"))) {
        db->kind = DB_POSTGRES;
        db->target = str_cstr(a, config->url);
        db->ops = &postgres_backend;
    } else {
        e = FAIL(f, ERR_INPUT, "a database is sqlite:PATH or postgres://…");
    }
    if (e == OK)
        e = db->ops->open(db, f);
    if (e != OK) {
        arena_free(&a);
        return e;
    }
    *out = db;
    return OK;
}

void db_close(struct db **db)
{
    if (*db == NULL)
        return;
    struct arena *a = (*db)->arena;
    (*db)->ops->close(*db);
    *db = NULL;
    arena_free(&a);
}

enum db_kind db_kind(const struct db *db)
{
    return db->kind;
}

struct tx *tx_begin(struct db *db, enum tx_mode mode, struct arena *a, struct fault *f)
{
    struct tx *tx = ARENA_NEW(a, struct tx);
    tx->db = db;
    tx->mode = mode;
    tx->arena = a;
    tx->fault = f ? f : &tx->own_fault;
    enum err e = db->ops->begin(tx);
    if (e != OK)
        tx->error = e;
    return tx;
}

enum err tx_error(const struct tx *tx)
{
    return tx->error;
}

struct arena *tx_arena(const struct tx *tx)
{
    return tx->arena;
}

struct fault *tx_fault(const struct tx *tx)
{
    return tx->fault;
}

struct db *tx_db(const struct tx *tx)
{
    return tx->db;
}

bool tx_should_retry(const struct tx *tx)
{
    return tx->retry;
}

enum err tx_fail(struct tx *tx, enum err e)
{
    if (tx->error == OK)
        tx->error = e;
    return tx->error;
}

static void finish_queries(struct tx *tx)
{
    for (struct query *q = tx->queries; q != NULL; q = q->next) {
        if (q->state == QUERY_RUNNING)
            tx->db->ops->finish(q);
        q->state = QUERY_DONE;
    }
    tx->queries = NULL;
}

enum err tx_commit(struct tx *tx)
{
    assert(!tx->ended);
    finish_queries(tx);
    if (tx->error != OK)
        return tx->error;
    tx->ended = true;
    enum err e = tx->db->ops->commit(tx);
    tx->conn = NULL;
    if (e == OK && tx->mode == TX_WRITE)
        tx->db->commits++;
    for (struct after *x = e == OK ? tx->after : NULL; x; x = x->next)
        x->fn(x->arg, x->about);
    return e == OK ? OK : tx_fail(tx, e);
}

void tx_after(struct tx *tx, tx_told *fn, void *arg, id about)
{
    struct after *x = ARENA_NEW(tx->arena, struct after);
    *x = (struct after){fn, arg, about, tx->after};
    tx->after = x;
}

void tx_end(struct tx **tx)
{
    struct tx *t = *tx;
    *tx = NULL;
    if (t == NULL)
        return;
    if (t->retry)
        t->db->retries++;
    if (t->ended)
        return;
    finish_queries(t);
    t->ended = true;
    if (t->conn != NULL)
        t->db->ops->rollback(t);
    t->conn = NULL;
}

void db_give_way(int attempt)
{
    enum { LONGEST = 6 };
    uint32_t most = 1000000u << MIN_OF(attempt, (int)LONGEST); /* ns */
    struct timespec pause = {0, randombytes_uniform(most)};
    nanosleep(&pause, NULL);
}

enum err db_transact(struct db *db, struct arena *a, struct fault *f, db_work *work, void *arg)
{
    for (int attempt = 1;; attempt++) {
        struct fault local = {0};
        CLEANUP(tx_end) struct tx *tx = tx_begin(db, TX_WRITE, a, &local);
        enum err e = work(tx, arg);
        if (e == OK)
            e = tx_commit(tx);
        if (e == OK)
            return OK;
        if (!tx->retry || attempt == MAX_ATTEMPTS) {
            if (f != NULL && f->code == OK)
                *f = local;
            return e;
        }
        tx_end(&tx);
        db_give_way(attempt);
    }
}

struct query *tx_query(struct tx *tx, str sql)
{
    struct query *q = ARENA_NEW(tx->arena, struct query);
    q->tx = tx;
    q->sql = sql;
    q->next = tx->queries;
    tx->queries = q;
    return q;
}

static struct param *next_param(struct query *q)
{
    assert(q->state == QUERY_BINDING && q->n_params < MAX_PARAMS);
    return &q->params[q->n_params++];
}

void bind_text(struct query *q, str s)
{
    *next_param(q) = (struct param){PARAM_TEXT, 0, s};
}

void bind_int(struct query *q, int64_t v)
{
    *next_param(q) = (struct param){PARAM_INT, v, {NULL, 0}};
}

void bind_time(struct query *q, moment m)
{
    bind_int(q, m);
}

void bind_flag(struct query *q, bool v)
{
    bind_int(q, v);
}

void bind_blob(struct query *q, str bytes)
{
    *next_param(q) = (struct param){PARAM_BLOB, 0, bytes};
}

void bind_id(struct query *q, id i)
{
    bind_text(q, str_dup(q->tx->arena, id_str(&i)));
}

void bind_null(struct query *q)
{
    *next_param(q) = (struct param){PARAM_NULL, 0, {NULL, 0}};
}

/* The next step; starts the query at the first one. */
static enum step advance(struct query *q)
{
    struct tx *tx = q->tx;
    if (tx->error != OK || q->state == QUERY_DONE)
        return tx->error != OK ? STEP_FAILED : STEP_END;
    if (q->state == QUERY_BINDING) {
        q->state = QUERY_RUNNING;
        enum err e = tx->db->ops->start(q);
        if (e != OK) {
            tx_fail(tx, e);
            return STEP_FAILED;
        }
    }
    return tx->db->ops->step(q);
}

static void finish(struct query *q)
{
    if (q->state == QUERY_RUNNING)
        q->tx->db->ops->finish(q);
    q->state = QUERY_DONE;
}

bool query_row(struct query *q)
{
    return advance(q) == STEP_ROW;
}

enum err query_end(struct query *q)
{
    finish(q);
    return q->tx->error;
}

enum err query_run(struct query *q)
{
    while (advance(q) == STEP_ROW)
        ;
    return query_end(q);
}

int64_t query_changes(const struct query *q)
{
    return q->changes;
}

/* The column if it is of that kind; NULL gives the empty answer of every kind. */
static struct param column_of(struct query *q, int column, enum param_kind want)
{
    struct param p = {0};
    if (q->tx->error != OK)
        return p;
    assert(q->state == QUERY_RUNNING);
    enum err e = q->tx->db->ops->column(q, column, &p);
    if (e == OK && p.kind != want && p.kind != PARAM_NULL)
        e = QUERY_FAIL(q, ERR_IO, "column %d is of another type: %.*s", column, STR_FMT(q->sql));
    if (e != OK) {
        tx_fail(q->tx, e);
        return (struct param){0};
    }
    return p;
}

str row_text(struct query *q, int column)
{
    struct param p = column_of(q, column, PARAM_TEXT);
    return p.kind == PARAM_NULL ? (str){NULL, 0} : str_dup(q->tx->arena, p.bytes);
}

str row_blob(struct query *q, int column)
{
    struct param p = column_of(q, column, PARAM_BLOB);
    return p.kind == PARAM_NULL ? (str){NULL, 0} : str_dup(q->tx->arena, p.bytes);
}

int64_t row_int(struct query *q, int column)
{
    return column_of(q, column, PARAM_INT).number;
}

moment row_time(struct query *q, int column)
{
    return row_int(q, column);
}

bool row_flag(struct query *q, int column)
{
    return row_int(q, column) != 0;
}

id row_id(struct query *q, int column)
{
    id i = {{0}};
    struct param p = column_of(q, column, PARAM_TEXT);
    if (p.kind == PARAM_TEXT && id_parse(p.bytes, &i) != OK)
        QUERY_FAIL(q, ERR_IO, "column %d is no ID: %.*s", column, STR_FMT(q->sql));
    return i;
}

bool row_is_null(struct query *q, int column)
{
    struct param p = {0};
    return q->tx->error != OK || q->tx->db->ops->column(q, column, &p) != OK ||
           p.kind == PARAM_NULL;
}

enum err tx_ddl(struct tx *tx, str sql)
{
    if (tx->error != OK)
        return tx->error;
    enum err e = tx->db->ops->ddl(tx, sql);
    return e == OK ? OK : tx_fail(tx, e);
}

enum err db_checkpoint(struct db *db, struct fault *f)
{
    return db->ops->checkpoint(db, f);
}

enum err db_vacuum(struct db *db, struct fault *f)
{
    return db->ops->vacuum(db, f);
}

struct db_figures db_figures(struct db *db)
{
    return (struct db_figures){db->commits, db->batches, db->retries, db->failures, db->scanned};
}
