/*
 * PostgreSQL through libpq, asynchronously and with a deadline of our own: PQexec with
 * statement_timeout alone hangs where the server's machine hangs. A connection that missed its
 * deadline is closed, never reused. Write transactions are SERIALIZABLE; reads are single
 * statements. Numbers go out as text and come back binary; blobs are binary both ways.
 */
#include "store/backend.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <endian.h>
#include <libpq-fe.h>

enum {
    CACHE_SLOTS = 512,
    NAME_BYTES = 24,
    DDL_DEADLINE_MS = 60 * 60 * 1000, /* an index on a large table: nobody waits for a page */
};

enum { OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_TEXT = 25, OID_BYTEA = 17, OID_NAME = 19,
       OID_VARCHAR = 1043 };

struct pg_conn {
    struct conn conn;
    PGconn *pg;
    struct {
        str sql; /* malloc'ed; NULL where free */
        char name[NAME_BYTES];
    } cache[CACHE_SLOTS];
    int cached;
};

/* One that waits for a connection; it stands on its thread's stack. */
struct waiter {
    pthread_cond_t turn;
    bool served;
    struct conn *conn; /* NULL: it may open one */
    struct waiter *next;
};

struct pg_state {
    pthread_mutex_t mutex;
    struct conn *idle;
    int open; /* handed out or idle */
    struct waiter *first, **last;
};

static struct pg_state *state_of(struct db *db)
{
    return db->state;
}

static struct pg_conn *conn_of(const struct tx *tx)
{
    return (struct pg_conn *)tx->conn;
}

/* ---- waiting ---- */

/* Waits until the socket is readable (or writable); false at the deadline. */
static bool wait_for(PGconn *pg, bool write, int64_t until)
{
    for (;;) {
        int64_t left = until - clock_ticks();
        if (left <= 0)
            return false;
        struct pollfd p = {PQsocket(pg), (short)(POLLIN | (write ? POLLOUT : 0)), 0};
        int r = poll(&p, 1, (int)(left / 1000) + 1);
        if (r > 0)
            return true;
        if (r < 0 && errno != EINTR)
            return false;
    }
}

static enum err lost(struct conn *c, struct fault *f, const char *why)
{
    c->broken = true;
    return FAIL(f, ERR_BUSY, "postgres: %s", why);
}

/* The connection's messages end in newlines and may be long: one line of them. */
static const char *message_of(PGconn *pg, char *out, size_t n)
{
    snprintf(out, n, "%s", PQerrorMessage(pg));
    for (char *p = out; *p; p++)
        if (*p == '\n')
            *p = ' ';
    return out;
}

/* The answer to what was sent: the last result, with the queue drained. NULL where the connection
 * is lost. */
static PGresult *await(int deadline_ms, struct pg_conn *c, struct fault *f)
{
    int64_t until = clock_ticks() + (int64_t)deadline_ms * 1000;
    char text[256];
    PGresult *last = NULL;
    for (;;) {
        int flushed = PQflush(c->pg);
        if (flushed == 0 && !PQisBusy(c->pg)) {
            PGresult *r = PQgetResult(c->pg);
            if (r == NULL)
                return last;
            PQclear(last);
            last = r;
            continue;
        }
        bool ready = flushed >= 0 && wait_for(c->pg, flushed == 1, until);
        if (!ready || !PQconsumeInput(c->pg)) {
            PQclear(last);
            enum err ignored = lost(&c->conn, f, ready ? message_of(c->pg, text, sizeof text)
                                                       : "no answer before the deadline");
            (void)ignored;
            return NULL;
        }
    }
}

/* What a failed result means, by SQLSTATE class (docs/sql.md rule 17). */
static enum err failed(struct tx *tx, struct conn *c, struct fault *f, PGresult *r, str sql)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    str code = str_from(state ? state : "");
    enum err e = ERR_IO;
    if (str_is(code, "40001") || str_is(code, "40P01")) {
        e = ERR_BUSY;
        if (tx != NULL)
            tx->retry = true;
    } else if (str_starts(code, STR("23"))) {
        e = ERR_CONFLICT;
    } else if (code.n == 0 || str_starts(code, STR("08")) || str_starts(code, STR("57")) ||
               str_is(code, "XX000")) {
        e = ERR_BUSY;
        c->broken = true;
    } else if (str_starts(code, STR("53"))) {
        e = ERR_BUSY; /* disk full, out of memory, too many connections */
    }
    e = FAIL(f, e, "postgres: %.*s %s: %.*s", STR_FMT(code), message ? message : "", STR_FMT(sql));
    PQclear(r);
    return e;
}

static bool is_good(PGresult *r)
{
    ExecStatusType s = PQresultStatus(r);
    return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK;
}

/* One statement without parameters and without an answer worth keeping. */
static enum err simple_within(int deadline_ms, struct tx *tx, struct pg_conn *c, const char *sql,
                              struct fault *f)
{
    if (!PQsendQuery(c->pg, sql))
        return lost(&c->conn, f, "the connection is gone");
    PGresult *r = await(deadline_ms, c, f);
    if (r == NULL)
        return ERR_BUSY;
    if (!is_good(r))
        return failed(tx, &c->conn, f, r, str_from(sql));
    PQclear(r);
    return OK;
}

static enum err simple(struct db *db, struct tx *tx, struct pg_conn *c, const char *sql,
                       struct fault *f)
{
    return simple_within(db->deadline_ms, tx, c, sql, f);
}

/* ---- connections ---- */

static void conn_close(struct pg_conn *c)
{
    for (int i = 0; i < CACHE_SLOTS; i++)
        free((void *)(uintptr_t)c->cache[i].sql.p);
    PQfinish(c->pg);
    free(c);
}

static enum err conn_start(struct db *db, struct pg_conn *c, struct fault *f)
{
    char options[256], text[256];
    /* Of a small table PostgreSQL rather reads all than an index; under SERIALIZABLE all of it then counts as read,
     * and writers of different accounts fail each other. Where there is no index it still reads all, and thinks it
     * so dear that it would compile the query. */
    snprintf(options, sizeof options,
             "-c search_path=%s -c client_min_messages=warning -c timezone=UTC -c enable_seqscan=off -c jit=off", db->space);
    const char *const keys[] = {"dbname", "options", "application_name", "client_encoding",
                                "target_session_attrs", NULL};
    const char *const values[] = {db->target, options, "troth", "UTF8", "read-write", NULL};
    c->pg = PQconnectStartParams(keys, values, 1);
    if (c->pg == NULL)
        return FAIL(f, ERR_BUSY, "out of memory");
    int64_t until = clock_ticks() + (int64_t)db->deadline_ms * 1000;
    PostgresPollingStatusType s = PGRES_POLLING_WRITING;
    while (s != PGRES_POLLING_OK) {
        if (s == PGRES_POLLING_FAILED || PQstatus(c->pg) == CONNECTION_BAD)
            return FAIL(f, ERR_BUSY, "postgres: %s", message_of(c->pg, text, sizeof text));
        if (!wait_for(c->pg, s == PGRES_POLLING_WRITING, until))
            return FAIL(f, ERR_BUSY, "postgres: no connection before the deadline");
        s = PQconnectPoll(c->pg);
    }
    PQsetnonblocking(c->pg, 1);
    return OK;
}

static enum err conn_open(struct db *db, struct pg_conn **out, struct fault *f)
{
    struct pg_conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return FAIL(f, ERR_BUSY, "out of memory");
    enum err e = conn_start(db, c, f);
    if (e != OK) {
        conn_close(c);
        return e;
    }
    *out = c;
    return OK;
}

static enum err pg_open(struct db *db, struct fault *f)
{
    struct pg_conn *c;
    TRY(conn_open(db, &c, f));
    char sql[128];
    snprintf(sql, sizeof sql, "CREATE SCHEMA IF NOT EXISTS %s", db->space);
    enum err e = OK;
    if (strcmp(db->space, "public") != 0)
        e = simple(db, NULL, c, sql, f);
    struct pg_state *s = e == OK ? calloc(1, sizeof *s) : NULL;
    if (s == NULL) {
        conn_close(c);
        return e == OK ? FAIL(f, ERR_BUSY, "out of memory") : e;
    }
    pthread_mutex_init(&s->mutex, NULL);
    s->last = &s->first;
    s->idle = &c->conn;
    s->open = 1;
    db->state = s;
    return OK;
}

static void pg_close(struct db *db)
{
    struct pg_state *s = state_of(db);
    for (struct conn *c = s->idle, *next; c != NULL; c = next) {
        next = c->next;
        conn_close((struct pg_conn *)c);
    }
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

/*
 * A connection goes to whoever has waited longest, by hand: were it only put down, the thread that gave it
 * back would often have it again for its next request before a waiting one had woken up.
 */
static bool serve_first(struct pg_state *s, struct conn *c)
{
    struct waiter *w = s->first;
    if (w == NULL)
        return false;
    s->first = w->next;
    if (s->first == NULL)
        s->last = &s->first;
    w->conn = c;
    w->served = true;
    pthread_cond_signal(&w->turn);
    return true;
}

static void leave(struct pg_state *s, struct waiter *w)
{
    struct waiter **at = &s->first;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (*at == NULL)
        s->last = at;
}

static void give(struct db *db, struct conn *c)
{
    struct pg_state *s = state_of(db);
    bool broken = c->broken || PQstatus(((struct pg_conn *)c)->pg) != CONNECTION_OK;
    pthread_mutex_lock(&s->mutex);
    if (!serve_first(s, broken ? NULL : c)) {
        if (broken) {
            s->open--;
        } else {
            c->next = s->idle;
            s->idle = c;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    if (broken)
        conn_close((struct pg_conn *)c);
}

/* With the mutex held: a connection, or NULL where the caller may open one. False: none in time. */
static bool wait_for_turn(struct db *db, struct pg_state *s, struct conn **out)
{
    struct waiter w = {.served = false};
    struct timespec until = deadline_in(db->deadline_ms);
    cond_init(&w.turn);
    *s->last = &w;
    s->last = &w.next;
    while (!w.served && pthread_cond_timedwait(&w.turn, &s->mutex, &until) != ETIMEDOUT)
        ;
    if (!w.served)
        leave(s, &w);
    pthread_cond_destroy(&w.turn);
    *out = w.conn;
    return w.served;
}

static enum err take(struct db *db, struct conn **out, struct fault *f)
{
    struct pg_state *s = state_of(db);
    bool there = true;
    pthread_mutex_lock(&s->mutex);
    struct conn *c = s->idle;
    if (c != NULL)
        s->idle = c->next;
    else if (s->open < db->connections)
        s->open++;
    else
        there = wait_for_turn(db, s, &c);
    pthread_mutex_unlock(&s->mutex);
    if (!there)
        return FAIL(f, ERR_BUSY, "no database connection became free");
    if (c == NULL) {
        struct pg_conn *fresh;
        enum err e = conn_open(db, &fresh, f);
        if (e != OK) {
            pthread_mutex_lock(&s->mutex);
            if (!serve_first(s, NULL)) /* whoever waits may try */
                s->open--;
            pthread_mutex_unlock(&s->mutex);
            return e;
        }
        c = &fresh->conn;
    }
    *out = c;
    return OK;
}

/* Drops idle connections that the server closed meanwhile (a restart): one write finds out. Where the
 * server hangs, the others would only be waited for in turn. */
static enum err pg_begin(struct tx *tx)
{
    int64_t until = clock_ticks() + (int64_t)tx->db->deadline_ms * 1000;
    for (int attempt = 0;; attempt++) {
        struct conn *c;
        struct fault f = {0};
        enum err e = take(tx->db, &c, &f);
        if (e == OK && tx->mode == TX_READ) {
            struct pollfd p = {PQsocket(((struct pg_conn *)c)->pg), POLLIN, 0};
            if (poll(&p, 1, 0) == 0) {
                tx->conn = c;
                return OK;
            }
            c->broken = true; /* it says something though nothing was asked: goodbye */
            e = ERR_BUSY;
        } else if (e == OK) {
            e = simple(tx->db, NULL, (struct pg_conn *)c,
                       "BEGIN ISOLATION LEVEL SERIALIZABLE", &f);
            if (e == OK) {
                tx->conn = c;
                return OK;
            }
        } else {
            return FAIL(tx->fault, e, "%s", f.text);
        }
        bool stale = c->broken;
        give(tx->db, c);
        if (!stale || attempt > tx->db->connections || clock_ticks() >= until)
            return FAIL(tx->fault, e, "%s", f.text);
    }
}

static enum err pg_commit(struct tx *tx)
{
    enum err e = OK;
    if (tx->mode == TX_WRITE)
        e = simple(tx->db, tx, conn_of(tx), "COMMIT", tx->fault);
    if (e == OK && tx->mode == TX_WRITE)
        tx->db->batches++;
    give(tx->db, tx->conn);
    return e;
}

static void pg_rollback(struct tx *tx)
{
    if (tx->mode == TX_WRITE && !tx->conn->broken &&
        simple(tx->db, NULL, conn_of(tx), "ROLLBACK", NULL) != OK)
        tx->conn->broken = true;
    give(tx->db, tx->conn);
}

/* ---- queries ---- */

/* The statement's name on this connection, or "" where it is not kept. */
static enum err statement_of(struct query *q, const char **name)
{
    struct pg_conn *c = conn_of(q->tx);
    uint32_t at = sql_hash(q->sql) & (CACHE_SLOTS - 1);
    for (; c->cache[at].sql.p != NULL; at = (at + 1) & (CACHE_SLOTS - 1)) {
        if (str_eq(c->cache[at].sql, q->sql)) {
            *name = c->cache[at].name;
            return OK;
        }
    }
    bool keep = c->cached < CACHE_SLOTS * 3 / 4;
    char fresh[NAME_BYTES] = "";
    if (keep)
        snprintf(fresh, sizeof fresh, "s%d", c->cached + 1);
    if (!PQsendPrepare(c->pg, fresh, str_cstr(q->tx->arena, q->sql), 0, NULL))
        return lost(&c->conn, q->tx->fault, "the connection is gone");
    PGresult *r = await(q->tx->db->deadline_ms, c, q->tx->fault);
    if (r == NULL)
        return ERR_BUSY;
    if (!is_good(r))
        return failed(q->tx, &c->conn, q->tx->fault, r, q->sql);
    PQclear(r);
    char *copy = keep ? malloc(q->sql.n + 1) : NULL;
    if (copy == NULL) {
        *name = "";
        return OK;
    }
    memcpy(copy, q->sql.p, q->sql.n);
    c->cache[at].sql = str_of(copy, q->sql.n);
    memcpy(c->cache[at].name, fresh, sizeof fresh);
    c->cached++;
    *name = c->cache[at].name;
    return OK;
}

static enum err pg_start(struct query *q)
{
    struct pg_conn *c = conn_of(q->tx);
    const char *name;
    TRY(statement_of(q, &name));
    const char *values[MAX_PARAMS];
    int lengths[MAX_PARAMS], formats[MAX_PARAMS];
    char numbers[MAX_PARAMS][24];
    for (int i = 0; i < q->n_params; i++) {
        const struct param *p = &q->params[i];
        formats[i] = p->kind == PARAM_BLOB;
        lengths[i] = (int)p->bytes.n;
        switch (p->kind) {
        case PARAM_NULL:
            values[i] = NULL;
            break;
        case PARAM_INT:
            snprintf(numbers[i], sizeof numbers[i], "%lld", (long long)p->number);
            values[i] = numbers[i];
            break;
        case PARAM_TEXT:
            if (str_has(p->bytes, '\0'))
                return FAIL(q->tx->fault, ERR_INPUT, "text with a NUL");
            values[i] = str_cstr(q->tx->arena, p->bytes);
            break;
        case PARAM_BLOB:
            values[i] = p->bytes.n ? p->bytes.p : "";
            break;
        }
    }
    if (!PQsendQueryPrepared(c->pg, name, q->n_params, values, lengths, formats, 1))
        return lost(&c->conn, q->tx->fault, "the connection is gone");
    PGresult *r = await(q->tx->db->deadline_ms, c, q->tx->fault);
    if (r == NULL)
        return ERR_BUSY;
    if (!is_good(r)) {
        enum err e = failed(q->tx, &c->conn, q->tx->fault, r, q->sql);
        if (e != ERR_CONFLICT && !q->tx->retry)
            q->tx->db->failures++;
        return e;
    }
    int64_t changed;
    if (str_to_int(str_from(PQcmdTuples(r)), &changed) && PQntuples(r) == 0)
        q->changes = changed;
    else if (strncmp(PQcmdStatus(r), "SELECT", 6) != 0)
        q->changes = PQntuples(r); /* … RETURNING */
    q->statement = r;
    q->row = -1;
    return OK;
}

static enum step pg_step(struct query *q)
{
    return ++q->row < PQntuples(q->statement) ? STEP_ROW : STEP_END;
}

static void pg_finish(struct query *q)
{
    PQclear(q->statement);
    q->statement = NULL;
}

static enum err pg_column(struct query *q, int column, struct param *out)
{
    const PGresult *r = q->statement;
    if (column >= PQnfields(r))
        return FAIL(q->tx->fault, ERR_IO, "no column %d: %.*s", column, STR_FMT(q->sql));
    if (PQgetisnull(r, q->row, column)) {
        *out = (struct param){.kind = PARAM_NULL};
        return OK;
    }
    const char *p = PQgetvalue(r, q->row, column);
    size_t n = (size_t)PQgetlength(r, q->row, column);
    *out = (struct param){.kind = PARAM_INT, .bytes = str_of(p, n)};
    switch (PQftype(r, column)) {
    case OID_INT8: {
        uint64_t v;
        memcpy(&v, p, sizeof v);
        out->number = (int64_t)be64toh(v);
        return OK;
    }
    case OID_INT4: {
        uint32_t v;
        memcpy(&v, p, sizeof v);
        out->number = (int32_t)be32toh(v);
        return OK;
    }
    case OID_INT2: {
        uint16_t v;
        memcpy(&v, p, sizeof v);
        out->number = (int16_t)be16toh(v);
        return OK;
    }
    case OID_TEXT:
    case OID_VARCHAR:
    case OID_NAME:
        out->kind = PARAM_TEXT;
        return OK;
    case OID_BYTEA:
        out->kind = PARAM_BLOB;
        return OK;
    default:
        return FAIL(q->tx->fault, ERR_IO, "column %d is no type of ours: %.*s", column,
                    STR_FMT(q->sql));
    }
}

static enum err pg_ddl(struct tx *tx, str sql)
{
    return simple_within(DDL_DEADLINE_MS, tx, conn_of(tx), str_cstr(tx->arena, sql), tx->fault);
}

static enum err pg_checkpoint(struct db *db, struct fault *f)
{
    (void)db, (void)f;
    return OK;
}

static enum err pg_vacuum(struct db *db, struct fault *f)
{
    struct conn *c;
    TRY(take(db, &c, f));
    enum err e = simple_within(DDL_DEADLINE_MS, NULL, (struct pg_conn *)c, "VACUUM", f);
    give(db, c);
    return e;
}

const struct backend postgres_backend = {
    .open = pg_open,
    .close = pg_close,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .start = pg_start,
    .step = pg_step,
    .finish = pg_finish,
    .column = pg_column,
    .ddl = pg_ddl,
    .checkpoint = pg_checkpoint,
    .vacuum = pg_vacuum,
};
