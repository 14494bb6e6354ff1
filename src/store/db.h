/*
 * One SQL interface for SQLite and PostgreSQL.
 *
 * A program opens a database once (struct db: a pool), begins a transaction (struct tx), makes
 * queries in it (struct query), and commits. The first failure in a transaction sticks: whatever
 * is done after it does nothing, and tx_commit() answers it. So bind, read and run freely and
 * check where it matters.
 *
 *     CLEANUP(tx_end) struct tx *tx = tx_begin(db, TX_WRITE, arena, fault);
 *     struct query *q = SQL(tx, "UPDATE account SET locale = $2 WHERE id = $1");
 *     bind_id(q, account);
 *     bind_text(q, locale);
 *     TRY(query_run(q));
 *     TRY(tx_commit(tx));
 *
 * The dialect is the common ground of SQLite >= 3.40, PostgreSQL 15 and Citus (docs/sql.md).
 * SQL is a literal; values are parameters, $1 to $32, bound in their order.
 *
 * Errors: ERR_CONFLICT a constraint refused it; ERR_BUSY the database is away, the disk is full, a
 * deadline passed, or (tx_should_retry) another transaction was in the way; ERR_IO a bug or a
 * damaged file. What is expected to collide is written with ON CONFLICT DO NOTHING and asked with
 * query_changes(): on PostgreSQL an error ends the transaction.
 *
 * SQLite: one connection does all writes and all checkpoints; transactions that wait for it are
 * committed together (group commit, synchronous=FULL), and tx_commit() returns once the batch is on
 * disk. PostgreSQL: SERIALIZABLE for writes, each read statement by itself for reads; libpq is
 * driven asynchronously with a deadline of our own. Several threads may use one struct db; a
 * transaction belongs to one thread.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"

struct db;
struct tx;
struct query;

enum db_kind { DB_SQLITE, DB_POSTGRES };

struct db_config {
    str url;           /* sqlite:PATH or postgres://… */
    const char *space; /* PostgreSQL: the schema that holds the tables, [a-z_]+; SQLite: unused */
    int connections;   /* readers (SQLite) or all (PostgreSQL); 0 means 16 */
    int deadline_ms;   /* for a statement, a connection, a place in the pool; 0 means 5000 */
};

/* Opens the pool and makes one connection, so that a wrong address shows at once. */
CHECKED enum err db_open(struct db **out, const struct db_config *config, struct fault *f);
void db_close(struct db **db); /* for CLEANUP; no transaction may be open */
enum db_kind db_kind(const struct db *db);

enum tx_mode { TX_READ, TX_WRITE };

/* Never NULL: a failure to begin sticks like any other. Rows and texts live in the arena. */
struct tx *tx_begin(struct db *db, enum tx_mode mode, struct arena *a, struct fault *f);
CHECKED enum err tx_commit(struct tx *tx);
/* Calls fn(arg, about) when this transaction is committed, and never if it is not. It may not fail, and holds
 * nothing up: it tells somebody. */
typedef void tx_told(void *arg, id about);
void tx_after(struct tx *tx, tx_told *fn, void *arg, id about);
void tx_end(struct tx **tx); /* rolls back what was not committed; for CLEANUP */
enum err tx_error(const struct tx *tx);
struct arena *tx_arena(const struct tx *tx);
struct fault *tx_fault(const struct tx *tx);
struct db *tx_db(const struct tx *tx);
/* It failed only because of another transaction: the same work, begun anew, may succeed. */
bool tx_should_retry(const struct tx *tx);
/* Before it is begun anew: a random moment, up to 2 ms after the first attempt, twice that after each further one, 64 ms
 * at most. Those who were in each other's way would be again if both began at once. Hold no transaction. */
void db_give_way(int attempt);
/* Makes the transaction fail, so that it cannot be committed. */
enum err tx_fail(struct tx *tx, enum err e);

/* Runs `work` in a write transaction and commits it; begins anew, a few times, where another
 * transaction was in the way. `work` must be able to run more than once. */
typedef enum err db_work(struct tx *tx, void *arg);
CHECKED enum err db_transact(struct db *db, struct arena *a, struct fault *f, db_work *work,
                             void *arg);

/* A query of a literal. */
#define SQL(tx, literal) tx_query((tx), STR(literal))
/* A query of a text that this program composed from declared names (inventory, migrations). */
struct query *tx_query(struct tx *tx, str sql);

/* Bind the next parameter. The bytes must live until the query has run. */
void bind_text(struct query *q, str s);
void bind_int(struct query *q, int64_t v);
void bind_time(struct query *q, moment m);
void bind_flag(struct query *q, bool v);
void bind_blob(struct query *q, str bytes);
void bind_id(struct query *q, id i);
void bind_null(struct query *q);

/* Runs it for its effect. */
CHECKED enum err query_run(struct query *q);
int64_t query_changes(const struct query *q); /* rows that it inserted, updated or deleted */

/* while (query_row(q)) …; TRY(query_end(q)); the end tells whether rows ended or failed. */
bool query_row(struct query *q);
CHECKED enum err query_end(struct query *q);

/* The current row's columns, from 0; another type than asked for is a failure that sticks.
 * Texts and blobs are copied into the transaction's arena. NULL reads as empty or 0. */
str row_text(struct query *q, int column);
int64_t row_int(struct query *q, int column);
moment row_time(struct query *q, int column);
bool row_flag(struct query *q, int column);
str row_blob(struct query *q, int column);
id row_id(struct query *q, int column);
bool row_is_null(struct query *q, int column);

/* Runs one statement of DDL, or of a migration, in a write transaction; it may take an hour. */
CHECKED enum err tx_ddl(struct tx *tx, str sql);

/* Makes what was deleted unreadable in the files as far as the database can: SQLite: a truncating
 * checkpoint of the write-ahead log, tried until no reader is in the way (ERR_BUSY after the
 * deadline). PostgreSQL: nothing (its remnants are why keys are rotated). */
CHECKED enum err db_checkpoint(struct db *db, struct fault *f);
/* SQLite: rewrites the file without its remnants. PostgreSQL: VACUUM. Outside a transaction. */
CHECKED enum err db_vacuum(struct db *db, struct fault *f);

/* Counters since the start, for /metrics. */
struct db_figures {
    int64_t commits;  /* transactions that were acknowledged */
    int64_t batches;  /* commits on disk: fewer, where group commit joined them */
    int64_t retries;  /* transactions that another one was in the way of */
    int64_t failures; /* statements that failed for any other reason */
    int64_t scanned;  /* SQLite: rows that were read for want of an index */
};
struct db_figures db_figures(struct db *db);

/* Lets the n-th call to the database from now (1 = the next) and all after it fail as if it had
 * gone away; 0 ends that. For tests of what happens then. */
void db_make_faulty(struct db *db, int64_t n);

#endif
