/*
 * Inside store: what a database must be able to do. db.c holds what both share, sqlite.c and
 * postgres.c implement this, faulty.c wraps either.
 */
#ifndef STORE_BACKEND_H
#define STORE_BACKEND_H

#include "store/db.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MAX_PARAMS = 32 };

enum param_kind { PARAM_NULL, PARAM_INT, PARAM_TEXT, PARAM_BLOB };

struct param {
    enum param_kind kind;
    int64_t number;
    str bytes;
};

enum query_state { QUERY_BINDING, QUERY_RUNNING, QUERY_DONE };

struct query {
    struct tx *tx;
    str sql;
    struct param params[MAX_PARAMS];
    int n_params;
    enum query_state state;
    int64_t changes;
    void *statement;    /* sqlite: sqlite3_stmt*; postgres: PGresult* */
    int row;            /* postgres: the row in the result */
    bool uncached;      /* a statement that will not come again */
    struct query *next; /* of the same transaction */
};

struct conn {
    struct conn *next; /* in the pool's free list */
    bool broken;       /* not to be used again */
};

struct after {
    tx_told *fn;
    void *arg;
    id about;
    struct after *next;
};

struct tx {
    struct db *db;
    struct conn *conn; /* NULL where beginning failed */
    enum tx_mode mode;
    struct arena *arena;
    struct fault *fault;
    struct fault own_fault; /* where the caller gave none */
    enum err error;         /* sticky */
    bool retry;
    bool ended; /* committed or rolled back */
    struct query *queries;
    struct after *after; /* the last one first */
};

enum step { STEP_ROW, STEP_END, STEP_FAILED };

struct backend {
    enum err (*open)(struct db *db, struct fault *f);
    void (*close)(struct db *db);
    /* Takes a connection and begins; on failure tx->conn stays NULL. */
    enum err (*begin)(struct tx *tx);
    enum err (*commit)(struct tx *tx); /* gives the connection back, whatever the answer */
    void (*rollback)(struct tx *tx);   /* likewise */
    enum err (*start)(struct query *q); /* prepares, binds; postgres also runs it */
    enum step (*step)(struct query *q);
    void (*finish)(struct query *q);
    /* Reads a column of the current row into *out; kinds other than the three are a failure. */
    enum err (*column)(struct query *q, int column, struct param *out);
    enum err (*ddl)(struct tx *tx, str sql);
    enum err (*checkpoint)(struct db *db, struct fault *f);
    enum err (*vacuum)(struct db *db, struct fault *f);
};

struct db {
    const struct backend *ops;
    enum db_kind kind;
    struct arena *arena; /* the configuration */
    const char *target;  /* path or connection string */
    const char *space;
    int connections;
    int deadline_ms;
    void *state; /* the back end's */
    atomic_int_least64_t commits, batches, retries, failures, scanned;
    const struct backend *inner;       /* faulty.c: what it wraps */
    atomic_int_least64_t calls_to_fault; /* faulty.c: calls until it fails; 0: never */
};

extern const struct backend sqlite_backend;
extern const struct backend postgres_backend;
extern const struct backend faulty_backend;

/* Notes a failure of the query's transaction and makes it stick. */
#define QUERY_FAIL(q, e, ...) tx_fail((q)->tx, FAIL((q)->tx->fault, (e), __VA_ARGS__))

/* For the tables of prepared statements. */
uint32_t sql_hash(str sql);

/* A moment on the clock that cond_timedwait was told to use, `ms` from now. */
struct timespec deadline_in(int ms);

/* A condition variable that waits by the monotonic clock. */
void cond_init(pthread_cond_t *c);

#endif
