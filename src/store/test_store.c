/*
 * store: the same tests on SQLite and on PostgreSQL.
 */
#include "store/files.h"
#include "store/schema.h"
#include "store/testing.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

static struct testing_db t;
static struct arena *arena;
static struct fault fault;
static enum db_kind kind;

static int up(void **state)
{
    (void)state;
    testing_db_open(&t, kind, "main");
    arena = arena_new(256 << 20);
    fault_clear(&fault);
    CLEANUP(tx_end) struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(tx_ddl(tx, STR("CREATE TABLE item (id TEXT NOT NULL, n BIGINT, flag INTEGER, "
                                    "PRIMARY KEY (id))")), OK);
    assert_int_equal(tx_ddl(tx, kind == DB_SQLITE ? STR("ALTER TABLE item ADD COLUMN data BLOB")
                                                  : STR("ALTER TABLE item ADD COLUMN data BYTEA")), OK);
    assert_int_equal(tx_commit(tx), OK);
    return 0;
}

static int down(void **state)
{
    (void)state;
    arena_free(&arena);
    testing_db_close(&t);
    return 0;
}

static enum err add(struct tx *tx, const char *name, int64_t n)
{
    struct query *q = SQL(tx, "INSERT INTO item (id, n, flag, data) VALUES ($1, $2, $3, $4)");
    bind_text(q, str_from(name));
    bind_int(q, n);
    bind_flag(q, n % 2);
    bind_blob(q, STR("\x00\x01\xff"));
    return query_run(q);
}

static int64_t count(void)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(t.db, TX_READ, arena, &fault);
    struct query *q = SQL(tx, "SELECT count(*) FROM item");
    assert_true(query_row(q));
    int64_t n = row_int(q, 0);
    assert_int_equal(query_end(q), OK);
    return n;
}

static void values_round_trip(void **state)
{
    (void)state;
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "Åsa's \"item\"; DROP TABLE item; --", INT64_MIN), OK);
    struct query *q = SQL(tx, "INSERT INTO item (id, n, flag, data) VALUES ($1, $2, $3, $4)");
    bind_text(q, STR(""));
    bind_null(q);
    bind_null(q);
    bind_null(q);
    assert_int_equal(query_run(q), OK);
    assert_int_equal(query_changes(q), 1);
    assert_int_equal(tx_commit(tx), OK);
    tx_end(&tx);

    CLEANUP(tx_end) struct tx *r = tx_begin(t.db, TX_READ, arena, &fault);
    q = SQL(r, "SELECT id, n, flag, data FROM item WHERE n = $2 AND id = $1"); /* $2 comes first */
    bind_text(q, STR("Åsa's \"item\"; DROP TABLE item; --"));
    bind_int(q, INT64_MIN);
    assert_true(query_row(q));
    assert_true(str_is(row_text(q, 0), "Åsa's \"item\"; DROP TABLE item; --"));
    assert_true(row_int(q, 1) == INT64_MIN);
    assert_int_equal(row_flag(q, 2), 0);
    assert_true(str_eq(row_blob(q, 3), STR("\x00\x01\xff")));
    assert_false(query_row(q));
    assert_int_equal(query_end(q), OK);
    q = SQL(r, "SELECT id, n, data FROM item WHERE n IS NULL");
    assert_true(query_row(q));
    assert_true(row_is_null(q, 1) && row_is_null(q, 2) && !row_is_null(q, 0));
    assert_int_equal(row_text(q, 0).n, 0);
    assert_int_equal(query_end(q), OK);
}

static void the_first_failure_sticks(void **state)
{
    (void)state;
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "a", 1), OK);
    assert_int_equal(add(tx, "a", 2), ERR_CONFLICT);
    assert_int_equal(add(tx, "b", 3), ERR_CONFLICT);
    struct query *q = SQL(tx, "SELECT id FROM item");
    assert_false(query_row(q));
    assert_int_equal(query_end(q), ERR_CONFLICT);
    assert_int_equal(tx_commit(tx), ERR_CONFLICT);
    tx_end(&tx);
    assert_int_equal(count(), 0);
    assert_non_null(strstr(fault.text, "INSERT INTO item"));
}

static void a_wrong_type_is_a_failure(void **state)
{
    (void)state;
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "a", 1), OK);
    struct query *q = SQL(tx, "SELECT id FROM item");
    assert_true(query_row(q));
    assert_int_equal(row_int(q, 0), 0);
    assert_int_equal(query_end(q), ERR_IO);
    assert_int_equal(tx_commit(tx), ERR_IO);
    tx_end(&tx);
}

static void what_is_not_committed_is_not_there(void **state)
{
    (void)state;
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "a", 1), OK);
    tx_end(&tx);
    assert_int_equal(count(), 0);
}

static void conflicts_that_are_expected(void **state)
{
    (void)state;
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "a", 1), OK);
    struct query *q = SQL(tx, "INSERT INTO item (id, n) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING");
    bind_text(q, STR("a"));
    bind_int(q, 2);
    assert_int_equal(query_run(q), OK);
    assert_int_equal(query_changes(q), 0);
    q = SQL(tx, "UPDATE item SET n = 5 WHERE n = 1 RETURNING id");
    assert_true(query_row(q));
    assert_true(str_is(row_text(q, 0), "a"));
    assert_false(query_row(q));
    assert_int_equal(query_end(q), OK);
    assert_int_equal(query_changes(q), 1);
    q = SQL(tx, "DELETE FROM item WHERE n = 5");
    assert_int_equal(query_run(q), OK);
    assert_int_equal(query_changes(q), 1);
    assert_int_equal(tx_commit(tx), OK);
    tx_end(&tx);
}

static void queries_can_be_nested(void **state)
{
    (void)state;
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "a", 1), OK);
    assert_int_equal(add(tx, "b", 2), OK);
    int seen = 0;
    struct query *outer = SQL(tx, "SELECT n FROM item ORDER BY n");
    while (query_row(outer)) {
        struct query *inner = SQL(tx, "SELECT n FROM item ORDER BY n");
        while (query_row(inner))
            seen += (int)(row_int(outer, 0) * 10 + row_int(inner, 0));
        assert_int_equal(query_end(inner), OK);
    }
    assert_int_equal(query_end(outer), OK);
    assert_int_equal(seen, 11 + 12 + 21 + 22);
    assert_int_equal(tx_commit(tx), OK);
    tx_end(&tx);
}

/* ---- many at once ---- */

enum { THREADS = 16, EACH = 50 };

static enum err add_one(struct tx *tx, void *arg)
{
    char name[32];
    int *i = arg;
    snprintf(name, sizeof name, "%d", *i);
    return add(tx, name, *i);
}

static void *add_many(void *arg)
{
    struct arena *a = arena_new(64 << 20);
    int base = *(int *)arg * EACH;
    long failed = 0;
    for (int i = base; i < base + EACH; i++) {
        struct fault f = {0};
        if (i % 7 == 3) {
            /* some fail, in the same batches */
            struct tx *tx = tx_begin(t.db, TX_WRITE, a, &f);
            failed += add_one(tx, &i) != OK;
            failed += add_one(tx, &i) != ERR_CONFLICT;
            tx_end(&tx);
        }
        failed += db_transact(t.db, a, &f, add_one, &i) != OK;
        CLEANUP(tx_end) struct tx *r = tx_begin(t.db, TX_READ, a, &f);
        struct query *q = SQL(r, "SELECT n FROM item WHERE n = $1");
        bind_int(q, i);
        failed += !query_row(q); /* what was acknowledged can be read */
        failed += query_end(q) != OK;
    }
    arena_free(&a);
    return (void *)failed;
}

/* Fails if a transaction is lost, doubled or acknowledged before it can be read, or if those of
 * one batch draw one another along. */
static void many_threads_write_at_once(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_int_equal((long)failed, 0);
    }
    assert_int_equal(count(), THREADS * EACH);
    struct db_figures g = db_figures(t.db);
    assert_int_equal(g.commits, THREADS * EACH + 1);
    if (kind == DB_SQLITE)
        assert_true(g.batches < g.commits); /* they were joined */
}

static enum err bump(struct tx *tx, void *arg)
{
    (void)arg;
    struct query *q = SQL(tx, "SELECT n FROM item WHERE id = 'counter'");
    int64_t n = query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    q = SQL(tx, "UPDATE item SET n = $1 WHERE id = 'counter'");
    bind_int(q, n + 1);
    return query_run(q);
}

static void *bump_many(void *arg)
{
    struct arena *a = arena_new(64 << 20);
    long *done = arg;
    for (int i = 0; i < 20; i++)
        *done += db_transact(t.db, a, NULL, bump, NULL) == OK;
    arena_free(&a);
    return NULL;
}

/* Fails if two that read and then write lose an update (retry on 40001). */
static void reading_then_writing_loses_nothing(void **state)
{
    (void)state;
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "counter", 0), OK);
    assert_int_equal(tx_commit(tx), OK);
    tx_end(&tx);
    pthread_t threads[4];
    long done[4] = {0}, sum = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, bump_many, &done[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        sum += done[i];
    }
    CLEANUP(tx_end) struct tx *r = tx_begin(t.db, TX_READ, arena, &fault);
    struct query *q = SQL(r, "SELECT n FROM item WHERE id = 'counter'");
    assert_true(query_row(q));
    assert_true(sum > 40 && row_int(q, 0) == sum);
    assert_int_equal(query_end(q), OK);
}

static enum err raise_one(struct tx *tx, const char *name)
{
    struct query *q = SQL(tx, "UPDATE item SET n = n + 1 WHERE id = $1");
    bind_text(q, str_from(name));
    return query_run(q);
}

static int64_t value(struct tx *tx, const char *name)
{
    struct query *q = SQL(tx, "SELECT n FROM item WHERE id = $1");
    bind_text(q, str_from(name));
    int64_t n = query_row(q) ? row_int(q, 0) : -1;
    return query_end(q) == OK ? n : -1;
}

/* Fails if two that have nothing to do with each other get in each other's way, because a table is small: PostgreSQL
 * then reads all of it, and counts all of it as read. */
static void writers_of_different_rows_do_not_disturb_each_other(void **state)
{
    (void)state;
    if (kind != DB_POSTGRES) /* SQLite has one writer */
        return;
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "a", 1), OK);
    assert_int_equal(add(tx, "b", 2), OK);
    assert_int_equal(tx_ddl(tx, STR("ANALYZE item")), OK); /* now it knows how small it is */
    assert_int_equal(tx_commit(tx), OK);
    tx_end(&tx);
    CLEANUP(tx_end) struct tx *one = tx_begin(t.db, TX_WRITE, arena, &fault);
    CLEANUP(tx_end) struct tx *other = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(value(one, "a"), 1);
    assert_int_equal(value(other, "b"), 2);
    assert_int_equal(raise_one(one, "a"), OK);
    assert_int_equal(raise_one(other, "b"), OK);
    assert_int_equal(tx_commit(one), OK);
    assert_int_equal(tx_commit(other), OK);
}

/* Fails if a database that goes away at any call leaves a half transaction, or does not recover. */
static void a_faulty_database_leaves_nothing_half_done(void **state)
{
    (void)state;
    for (int n = 1; n < 12; n++) {
        fault_clear(&fault);
        db_make_faulty(t.db, n);
        struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
        enum err e = add(tx, "a", 1);
        if (e == OK)
            e = add(tx, "b", 2);
        if (e == OK)
            e = tx_commit(tx);
        tx_end(&tx);
        db_make_faulty(t.db, 0);
        if (e == OK) {
            assert_int_equal(count(), 2);
            assert_true(n > 3);
            return;
        }
        assert_int_equal(e, ERR_BUSY);
        assert_int_equal(count(), 0);
    }
    fail_msg("it never succeeded");
}

/* Fails if a server that hangs holds a caller longer than the deadline: once for every connection in
 * the pool, say. */
static void a_server_that_hangs_is_given_up_at_the_deadline(void **state)
{
    (void)state;
    enum { IDLE = 6, DEADLINE = 400 };
    if (kind != DB_POSTGRES)
        return;
    struct db_config config = {.url = str_from(t.url), .space = t.space, .deadline_ms = DEADLINE};
    struct db *db = NULL;
    struct tx *tx[IDLE];
    int64_t pid[IDLE];
    assert_int_equal(db_open(&db, &config, &fault), OK);
    for (int i = 0; i < IDLE; i++) {
        tx[i] = tx_begin(db, TX_WRITE, arena, &fault);
        struct query *q = SQL(tx[i], "SELECT pg_backend_pid()");
        assert_true(query_row(q));
        pid[i] = row_int(q, 0);
        assert_int_equal(query_end(q), OK);
    }
    for (int i = 0; i < IDLE; i++)
        tx_end(&tx[i]);
    for (int i = 0; i < IDLE; i++)
        assert_int_equal(kill((pid_t)pid[i], SIGSTOP), 0);
    int64_t began = clock_ticks();
    struct tx *hung = tx_begin(db, TX_WRITE, arena, &fault);
    enum err e = tx_error(hung);
    tx_end(&hung);
    int64_t took = clock_ticks() - began;
    for (int i = 0; i < IDLE; i++)
        kill((pid_t)pid[i], SIGCONT);
    assert_int_equal(e, ERR_BUSY);
    assert_true(took >= DEADLINE * 1000 && took < 2 * DEADLINE * 1000);
    fault_clear(&fault);
    db_close(&db);
}

/* Fails if a migration has to be done within a request's deadline. */
static void ddl_may_take_its_time(void **state)
{
    (void)state;
    if (kind != DB_POSTGRES)
        return;
    struct db_config config = {.url = str_from(t.url), .space = t.space, .deadline_ms = 200};
    struct db *db = NULL;
    assert_int_equal(db_open(&db, &config, &fault), OK);
    struct tx *tx = tx_begin(db, TX_WRITE, arena, &fault);
    assert_int_equal(tx_ddl(tx, STR("CREATE TABLE slow AS SELECT 1 AS x FROM pg_sleep(0.6)")), OK);
    assert_int_equal(tx_commit(tx), OK);
    tx_end(&tx);
    tx = tx_begin(db, TX_READ, arena, &fault);
    struct query *q = SQL(tx, "SELECT 1 FROM pg_sleep(0.6)");
    assert_false(query_row(q));
    assert_int_equal(query_end(q), ERR_BUSY);
    tx_end(&tx);
    fault_clear(&fault);
    db_close(&db);
}

/* Fails if what could not be rolled back, for want of memory, is committed with the next. */
static void what_cannot_be_rolled_back_is_not_committed(void **state)
{
    (void)state;
    if (kind != DB_SQLITE)
        return;
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "a", 1), OK);
    sqlite3_hard_heap_limit64(1);
    tx_end(&tx);
    sqlite3_hard_heap_limit64(0);
    tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "b", 2), OK);
    assert_int_equal(tx_commit(tx), OK);
    tx_end(&tx);
    assert_int_equal(count(), 1);
}

/* Fails if connections that the server closed (a restart) show to anybody who asks for one. */
static void closed_connections_are_replaced(void **state)
{
    (void)state;
    enum { IDLE = 4 };
    struct tx *tx[IDLE];
    if (kind != DB_POSTGRES)
        return;
    for (int mode = TX_READ; mode <= TX_WRITE; mode++) {
        for (int i = 0; i < IDLE; i++)
            tx[i] = tx_begin(t.db, TX_WRITE, arena, &fault);
        for (int i = 0; i < IDLE; i++)
            tx_end(&tx[i]);
        struct testing_db other;
        testing_db_open(&other, kind, "other");
        struct tx *killer = tx_begin(other.db, TX_READ, arena, &fault);
        struct query *q = SQL(killer, "SELECT CASE WHEN pg_terminate_backend(pid) THEN 1 ELSE 0 END FROM pg_stat_activity "
                                      "WHERE application_name = 'troth' AND pid <> pg_backend_pid()");
        assert_int_equal(query_run(q), OK);
        tx_end(&killer);
        testing_db_close(&other);
        usleep(50000);
        struct tx *mine = tx_begin(t.db, mode, arena, &fault);
        q = SQL(mine, "SELECT count(*) FROM item");
        assert_true(query_row(q));
        assert_int_equal(query_end(q), OK);
        assert_int_equal(tx_commit(mine), OK);
        tx_end(&mine);
    }
}

/* ---- schema ---- */

static struct column item_columns[] = {
    {{"id", 2}, COLUMN_TEXT, false},
    {{"n", 1}, COLUMN_INT, true},
    {{"flag", 4}, COLUMN_FLAG, true},
    {{"data", 4}, COLUMN_BLOB, true},
};
static str item_key[] = {{"id", 2}};

static struct table item = {
    .name = {"item", 4}, .kind = TABLE_SUBJECT, .columns = item_columns, .n_columns = 4,
    .key = item_key, .n_key = 1,
};
static struct column note_columns[] = {
    {{"item", 4}, COLUMN_TEXT, false}, {{"id", 2}, COLUMN_TEXT, false},
    {{"body", 4}, COLUMN_SEALED, false}, {{"read", 4}, COLUMN_TIME, true},
};
static str note_key[] = {{"item", 4}, {"id", 2}};
static str note_read[] = {{"read", 4}};
static struct index note_indexes[] = {
    {.name = {"note_read", 9}, .columns = note_read, .n_columns = 1, .where_not_null = {"read", 4}}};
static struct table note = {
    .name = {"note", 4}, .kind = TABLE_TENANT, .subject = {"item", 4}, .foreign = true, .columns = note_columns,
    .n_columns = 4, .key = note_key, .n_key = 2, .indexes = note_indexes, .n_indexes = 1,
};

static void run_ddl(const char *sql)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(tx_ddl(tx, str_from(sql)), OK);
    assert_int_equal(tx_commit(tx), OK);
}

/* Fails if an undeclared, missing or changed column gets past the start (design: no column
 * without a meaning), or is not named. */
static void gen_05_undeclared_columns_are_found_by_name(void **state)
{
    (void)state;
    run_ddl("DROP TABLE item");
    struct table both[] = {item, note};
    struct schema schema = {both, 2};
    struct migrations none = {NULL, 0};
    enum schema_state at;
    assert_int_equal(schema_check(t.db, &schema, &none, arena, &at, &fault), OK);
    assert_int_equal(at, SCHEMA_EMPTY);
    int changes = 0;
    assert_int_equal(schema_migrate(t.db, &schema, &none, arena, &changes, &fault), OK);
    assert_int_equal(changes, 3);
    assert_int_equal(schema_check(t.db, &schema, &none, arena, &at, &fault), OK);
    assert_int_equal(at, SCHEMA_CURRENT);
    assert_int_equal(schema_migrate(t.db, &schema, &none, arena, &changes, &fault), OK);
    assert_int_equal(changes, 0);

    const struct {
        const char *change, *undo, *says;
    } cases[] = {
        {"ALTER TABLE note ADD COLUMN shoe_size BIGINT", "ALTER TABLE note DROP COLUMN shoe_size",
         "column note.shoe_size is in the database, and no records.yaml declares it"},
        {"CREATE TABLE sqlitestray (x TEXT)", "DROP TABLE sqlitestray",
         "table sqlitestray is in the database, and no records.yaml declares it"},
        {kind == DB_SQLITE ? "ALTER TABLE note ADD COLUMN twin BIGINT AS (read + 1)"
                           : "ALTER TABLE note ADD COLUMN twin BIGINT GENERATED ALWAYS AS (read + 1) STORED",
         "ALTER TABLE note DROP COLUMN twin", "column note.twin is in the database, and no records.yaml declares it"},
        {kind == DB_SQLITE ? "CREATE TABLE copy AS SELECT item, id FROM note" : "CREATE MATERIALIZED VIEW copy AS SELECT item, id FROM note",
         kind == DB_SQLITE ? "DROP TABLE copy" : "DROP MATERIALIZED VIEW copy",
         "table copy is in the database, and no records.yaml declares it"},
        {"CREATE TABLE stray (x TEXT)", "DROP TABLE stray",
         "table stray is in the database, and no records.yaml declares it"},
        {"ALTER TABLE item RENAME COLUMN n TO m", "ALTER TABLE item RENAME COLUMN m TO n",
         "column item.m is in the database, and no records.yaml declares it"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        run_ddl(cases[i].change);
        fault_clear(&fault);
        assert_int_equal(schema_check(t.db, &schema, &none, arena, &at, &fault), ERR_CONFLICT);
        assert_string_equal(fault.text, cases[i].says);
        assert_int_equal(schema_migrate(t.db, &schema, &none, arena, NULL, &fault), ERR_CONFLICT);
        run_ddl(cases[i].undo);
    }
    schema.n_tables = 1;
    fault_clear(&fault);
    assert_int_equal(schema_check(t.db, &schema, &none, arena, &at, &fault), ERR_CONFLICT);
    assert_string_equal(fault.text, "table note is in the database, and no records.yaml declares it");
}

static void migrations_run_in_order_and_whole(void **state)
{
    (void)state;
    run_ddl("DROP TABLE item");
    struct table one[] = {item};
    struct schema before = {one, 1};
    struct migrations none = {NULL, 0};
    assert_int_equal(schema_migrate(t.db, &before, &none, arena, NULL, &fault), OK);
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "a", 41), OK);
    assert_int_equal(tx_commit(tx), OK);
    tx_end(&tx);

    struct column columns[5];
    memcpy(columns, item_columns, sizeof item_columns);
    columns[4] = (struct column){{"extra", 5}, COLUMN_INT, true};
    struct table wider = item;
    wider.columns = columns;
    wider.n_columns = 5;
    struct schema after = {&wider, 1};
    const struct migration list[] = {
        {1, "a column", STR("ALTER TABLE item ADD COLUMN extra BIGINT;\nUPDATE item SET extra = n;\n")},
        {2, "one more", STR("UPDATE item SET extra = extra + 1;\n")},
    };
    struct migrations two = {list, 2};
    enum schema_state at;
    assert_int_equal(schema_check(t.db, &after, &two, arena, &at, &fault), OK);
    assert_int_equal(at, SCHEMA_OLDER);
    /* a migration that fails leaves nothing of those before it */
    const struct migration broken[] = {list[0], {2, "broken", STR("UPDATE nowhere SET x = 1;\n")}};
    struct migrations bad = {broken, 2};
    fault_clear(&fault);
    assert_int_not_equal(schema_migrate(t.db, &after, &bad, arena, NULL, &fault), OK);
    assert_non_null(strstr(fault.text, "migration 2 (broken)"));
    fault_clear(&fault);
    assert_int_equal(schema_migrate(t.db, &after, &two, arena, NULL, &fault), OK);
    CLEANUP(tx_end) struct tx *r = tx_begin(t.db, TX_READ, arena, &fault);
    struct query *q = SQL(r, "SELECT extra FROM item");
    assert_true(query_row(q));
    assert_int_equal(row_int(q, 0), 42);
    assert_int_equal(query_end(q), OK);
    assert_int_equal(schema_check(t.db, &after, &two, arena, &at, &fault), OK);
    assert_int_equal(at, SCHEMA_CURRENT);
    /* and the older program refuses the newer database */
    fault_clear(&fault);
    assert_int_equal(schema_check(t.db, &before, &none, arena, &at, &fault), ERR_CONFLICT);
    assert_non_null(strstr(fault.text, "newer version"));
}

static void names_are_checked(void **state)
{
    (void)state;
    assert_true(schema_name_ok(STR("network_name")));
    static const char *const bad[] = {"", "Name", "1a", "a-b", "a b", "order", "user", "x;y", "_a",
                                      "a234567890123456789012345678901234567890x"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(schema_name_ok(str_from(bad[i])));
    str citus = schema_citus(&(struct schema){(struct table[]){item, note}, 2}, arena);
    assert_true(str_contains(citus, STR("create_distributed_table('note', 'item', "
                                        "colocate_with => 'item')")));
}

/* ---- bytes ---- */

static long copies_in_files(const char *marker)
{
    char command[256];
    snprintf(command, sizeof command, "cat %s/* | grep -c -a -o %s", t.dir, marker);
    FILE *p = popen(command, "r");
    long n = -1;
    assert_int_equal(fscanf(p, "%ld", &n), 1);
    pclose(p);
    return n;
}

/* Fails if a checkpoint leaves deleted bytes in the write-ahead log, or a reader holds it up for
 * ever (RET-06). */
static void ret_06_checkpoint_empties_the_log(void **state)
{
    (void)state;
    if (kind != DB_SQLITE)
        return;
    struct tx *tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(add(tx, "MARKER-BYTES", 1), OK);
    assert_int_equal(tx_commit(tx), OK);
    tx_end(&tx);
    assert_true(copies_in_files("MARKER-BYTES") > 0);
    tx = tx_begin(t.db, TX_WRITE, arena, &fault);
    assert_int_equal(query_run(SQL(tx, "DELETE FROM item")), OK);
    assert_int_equal(tx_commit(tx), OK);
    tx_end(&tx);
    assert_true(copies_in_files("MARKER-BYTES") > 0);
    assert_int_equal(db_checkpoint(t.db, &fault), OK);
    assert_int_equal(copies_in_files("MARKER-BYTES"), 0);
    assert_int_equal(db_vacuum(t.db, &fault), OK);
}

/* Operators keep their data where the disk is: the directory, or one above it, may be a link. */
static void the_directory_may_be_a_link(void **state)
{
    (void)state;
    if (kind != DB_SQLITE)
        return;
    struct db *db = NULL;
    str way = str_fmt(arena, "%s/link", t.dir), url = str_fmt(arena, "sqlite:%.*s/linked.db", STR_FMT(way));
    struct db_config config = {.url = url};
    assert_int_equal(symlink(t.dir, way.p), 0);
    assert_int_equal(db_open(&db, &config, &fault), OK);
    db_close(&db);
}

static enum err count_file(id name, void *arg)
{
    (void)name;
    ++*(int *)arg;
    return OK;
}

static void files_appear_whole(void **state)
{
    (void)state;
    struct files s = {str_cstr(arena, str_fmt(arena, "%s/files", t.dir))};
    id name = id_new();
    int fd = -1, n = 0;
    assert_int_equal(files_walk(&s, count_file, &n, INT64_MAX, &fault), OK);
    assert_int_equal(files_create(&s, name, &fd, &fault), OK);
    assert_int_equal(fd_write_all(fd, STR("hello"), &fault), OK);
    int other = -1;
    assert_int_equal(files_open(&s, name, &other, NULL), ERR_NOT_FOUND);
    assert_int_equal(files_keep(&s, name, &fd, &fault), OK);
    assert_int_equal(files_open(&s, name, &other, &fault), OK);
    fd_close(&other);
    assert_int_equal(files_walk(&s, count_file, &n, INT64_MAX, &fault), OK);
    assert_int_equal(n, 1);
    assert_int_equal(files_remove(&s, name, &fault), OK);
    assert_int_equal(files_remove(&s, name, &fault), OK);
    name = id_new();
    assert_int_equal(files_create(&s, name, &fd, &fault), OK);
    files_discard(&s, name, &fd);
    /* a crash leaves a part file; a later walk removes it */
    assert_int_equal(files_create(&s, name, &fd, &fault), OK);
    fd_close(&fd);
    struct clock clock = {0};
    assert_int_equal(files_walk(&s, count_file, &n, clock_now(&clock) - MOMENT_DAY, &fault), OK);
    assert_int_equal(files_create(&s, name, &fd, NULL), ERR_IO);
    assert_int_equal(files_walk(&s, count_file, &n, clock_now(&clock) + MOMENT_DAY, &fault), OK);
    assert_int_equal(files_create(&s, name, &fd, &fault), OK);
    files_discard(&s, name, &fd);
    assert_int_equal(n, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(values_round_trip),
        T(the_first_failure_sticks),
        T(a_wrong_type_is_a_failure),
        T(what_is_not_committed_is_not_there),
        T(conflicts_that_are_expected),
        T(queries_can_be_nested),
        T(many_threads_write_at_once),
        T(reading_then_writing_loses_nothing),
        T(writers_of_different_rows_do_not_disturb_each_other),
        T(a_faulty_database_leaves_nothing_half_done),
        T(a_server_that_hangs_is_given_up_at_the_deadline),
        T(ddl_may_take_its_time),
        T(what_cannot_be_rolled_back_is_not_committed),
        T(closed_connections_are_replaced),
        T(gen_05_undeclared_columns_are_found_by_name),
        T(migrations_run_in_order_and_whole),
        T(names_are_checked),
        T(ret_06_checkpoint_empties_the_log),
        T(the_directory_may_be_a_link),
        T(files_appear_whole),
    };
    int failed = 0;
    kind = DB_SQLITE;
    if (testing_wants(kind))
        failed += cmocka_run_group_tests_name("store on SQLite", tests, NULL, NULL);
    kind = DB_POSTGRES;
    if (testing_wants(kind))
        failed += cmocka_run_group_tests_name("store on PostgreSQL", tests, NULL, NULL);
    return failed;
}
