/*
 * vault: keys, seals, sealed files, rotation; on a keyring in SQLite and in PostgreSQL.
 */
#include "vault/sealed_file.h"
#include "vault/vault.h"

#include "store/testing.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static struct testing_db t;
static struct arena *a;
static struct fault fault;
static struct clock clock_;
static struct vault *v;
static struct vault_config config;
static char master[128];
static enum db_kind kind;

static void start(void)
{
    fault_clear(&fault);
    if (vault_start(&v, &config, t.db, &clock_, &fault) != OK)
        fail_msg("%s", fault.text);
}

static int up(void **state)
{
    (void)state;
    testing_db_open(&t, kind, "keyring");
    a = arena_new(256 << 20);
    fault_clear(&fault);
    snprintf(master, sizeof master, "%s/master.key", t.dir);
    config = (struct vault_config){.master_path = master};
    struct migrations none = {NULL, 0};
    assert_int_equal(schema_migrate(t.db, vault_schema(), &none, a, NULL, &fault), OK);
    assert_int_equal(vault_make_master(master, &fault), OK);
    start();
    return 0;
}

static int down(void **state)
{
    (void)state;
    vault_stop(&v);
    arena_free(&a);
    testing_db_close(&t);
    return 0;
}

static const struct vault_place place = {{"account", 7}, {"email", 5}, {"r1", 2}};

static id subject_with(str secret, str *sealed)
{
    CLEANUP(key_wipe) struct key k;
    id s = id_new();
    assert_int_equal(vault_add_subject(v, s, "account", a, &fault), OK);
    assert_int_equal(vault_subject_key(v, s, &k, a, &fault), OK);
    *sealed = vault_seal(a, &k, place, secret);
    return s;
}

static enum err open_it(id s, str sealed, str *plain)
{
    CLEANUP(key_wipe) struct key k;
    TRY(vault_subject_key(v, s, &k, a, NULL));
    return vault_unseal(a, &k, place, sealed, plain, NULL);
}

/* Fails if a sealed value shows what it holds, opens elsewhere, or opens though it was changed. */
static void sec_03_sealed_values_open_in_their_place_only(void **state)
{
    (void)state;
    str sealed, plain;
    str secret = STR("anna@example.com");
    id s = subject_with(secret, &sealed);
    assert_false(str_contains(sealed, secret));
    assert_int_equal(sealed.n, secret.n + VAULT_OVERHEAD);
    assert_int_equal(open_it(s, sealed, &plain), OK);
    assert_true(str_eq(plain, secret));

    CLEANUP(key_wipe) struct key k;
    assert_int_equal(vault_subject_key(v, s, &k, a, &fault), OK);
    static const struct vault_place others[] = {
        {{"account", 7}, {"email", 5}, {"r2", 2}},
        {{"account", 7}, {"emai", 4}, {"lr1", 3}},
        {{"accoun", 6}, {"email", 5}, {"r1", 2}},
    };
    for (size_t i = 0; i < COUNT(others); i++)
        assert_int_equal(vault_unseal(a, &k, others[i], sealed, &plain, NULL), ERR_CONFLICT);
    for (size_t i = 0; i < sealed.n; i++) {
        char *bent = str_cstr(a, sealed);
        bent[i] ^= 1;
        assert_int_equal(vault_unseal(a, &k, place, str_of(bent, sealed.n), &plain, NULL), ERR_CONFLICT);
    }
    for (size_t n = 0; n < sealed.n; n++)
        assert_int_equal(vault_unseal(a, &k, place, str_head(sealed, n), &plain, NULL), ERR_CONFLICT);
    str other;
    id s2 = subject_with(secret, &other);
    assert_int_equal(open_it(s2, sealed, &plain), ERR_CONFLICT);
    assert_false(str_eq(str_skip(sealed, 1), str_skip(other, 1)));
    str empty = vault_seal(a, &k, place, STR(""));
    assert_int_equal(vault_unseal(a, &k, place, empty, &plain, NULL), OK);
    assert_int_equal(plain.n, 0);
}

/* Fails if a forgotten subject's values can still be opened. */
static void mya_21_forgetting_the_key_forgets_the_person(void **state)
{
    (void)state;
    str sealed, plain;
    id s = subject_with(STR("x"), &sealed);
    assert_int_equal(vault_forget(v, s, a, &fault), OK);
    assert_int_equal(open_it(s, sealed, &plain), ERR_NOT_FOUND);
    assert_int_equal(vault_forget(v, s, a, &fault), OK);
    vault_stop(&v);
    start();
    assert_int_equal(open_it(s, sealed, &plain), ERR_NOT_FOUND);
}

static void subjects_are_listed_and_missing_ones_found(void **state)
{
    (void)state;
    id *list;
    size_t n;
    str ignored;
    for (int i = 0; i < 5; i++)
        subject_with(STR("x"), &ignored);
    assert_int_equal(vault_add_subject(v, id_new(), "company", a, &fault), OK);
    moment later = clock_now(&clock_) + MOMENT_HOUR;
    id none = {{0}};
    assert_int_equal(vault_list_subjects(v, "account", none, later, 3, a, &list, &n, &fault), OK);
    assert_int_equal(n, 3);
    assert_int_equal(vault_list_subjects(v, "account", list[2], later, 3, a, &list, &n, &fault), OK);
    assert_int_equal(n, 2);
    assert_int_equal(vault_list_subjects(v, "account", none, 0, 3, a, &list, &n, &fault), OK);
    assert_int_equal(n, 0);
    assert_int_equal(vault_list_subjects(v, "account", none, later, 9, a, &list, &n, &fault), OK);
    assert_int_equal(vault_forget(v, list[1], a, &fault), OK);
    assert_int_equal(vault_forget(v, list[4], a, &fault), OK);
    bool missing[5];
    assert_int_equal(vault_missing(v, list, 5, missing, a, &fault), OK);
    bool expected[5] = {false, true, false, false, true};
    assert_memory_equal(missing, expected, sizeof missing);
}

static void secrets_are_stable_and_have_generations(void **state)
{
    (void)state;
    struct vault_hashes h1, h2, other;
    assert_int_equal(vault_hash(v, "email", STR("a@b.se"), &h1, a, &fault), OK);
    vault_stop(&v);
    start();
    assert_int_equal(vault_hash(v, "email", STR("a@b.se"), &h2, a, &fault), OK);
    assert_int_equal(vault_hash(v, "form", STR("a@b.se"), &other, a, &fault), OK);
    assert_memory_equal(h1.bytes[0], h2.bytes[0], VAULT_HASH_BYTES);
    assert_memory_not_equal(h1.bytes[0], other.bytes[0], VAULT_HASH_BYTES);
    assert_int_equal(h1.n, 1);
    assert_int_equal(vault_renew_secret(v, "email", a, &fault), OK);
    assert_int_equal(vault_renew_secret(v, "email", a, &fault), OK); /* two at the most */
    assert_int_equal(vault_hash(v, "email", STR("a@b.se"), &h2, a, &fault), OK);
    assert_int_equal(h2.n, 2);
    assert_memory_equal(h1.bytes[0], h2.bytes[1], VAULT_HASH_BYTES);
    assert_true(h2.generation[0] > h2.generation[1]);
    assert_int_equal(vault_retire_secret(v, "email", a, &fault), OK);
    assert_int_equal(vault_hash(v, "email", STR("a@b.se"), &h1, a, &fault), OK);
    assert_int_equal(h1.n, 1);
    assert_memory_equal(h1.bytes[0], h2.bytes[0], VAULT_HASH_BYTES);
}

static void the_master_key_is_guarded(void **state)
{
    (void)state;
    struct vault *w = NULL;
    assert_int_equal(vault_make_master(master, NULL), ERR_CONFLICT);
    chmod(master, 0640);
    fault_clear(&fault);
    assert_int_equal(vault_start(&w, &config, t.db, &clock_, &fault), ERR_DENIED);
    assert_non_null(strstr(fault.text, "open to others (mode 640)"));
    chmod(master, 0600);
    /* a wrong one: refused, and says so */
    char other[160];
    snprintf(other, sizeof other, "%s.other", master);
    fault_clear(&fault);
    assert_int_equal(vault_make_master(other, &fault), OK);
    struct vault_config wrong = {.master_path = other};
    fault_clear(&fault);
    assert_int_equal(vault_start(&w, &wrong, t.db, &clock_, &fault), ERR_DENIED);
    assert_non_null(strstr(fault.text, "does not open this keyring"));
    assert_int_equal(truncate(other, 31), 0);
    fault_clear(&fault);
    assert_int_equal(vault_start(&w, &wrong, t.db, &clock_, &fault), ERR_DENIED);
    assert_non_null(strstr(fault.text, "31 bytes"));
    unlink(other);
    fault_clear(&fault);
    assert_int_equal(vault_start(&w, &wrong, t.db, &clock_, &fault), ERR_NOT_FOUND);
    assert_non_null(strstr(fault.text, "troth vault init"));
}

/* ---- rotation ---- */

static str read_master(void)
{
    str s;
    assert_int_equal(file_read(a, master, 64, &s, &fault), OK);
    return s;
}

static void rotation_keeps_what_lives(void **state)
{
    (void)state;
    enum { MANY = 1200 }; /* more than two batches */
    static id ids[MANY];
    str sealed[3], plain;
    for (int i = 0; i < MANY; i++)
        ids[i] = i < 3 ? subject_with(STR("kept"), &sealed[i]) : id_new();
    assert_int_equal(vault_add_subjects(v, ids + 3, MANY - 3, "account", a, &fault), OK);
    struct vault_hashes before, after;
    assert_int_equal(vault_hash(v, "email", STR("a"), &before, a, &fault), OK);
    str old = read_master();
    int64_t n;
    clock_.offset += MOMENT_DAY;
    assert_int_equal(vault_rotate(v, a, &n, &fault), OK);
    assert_int_equal(n, MANY);
    assert_false(str_eq(old, read_master()));
    char path[160];
    snprintf(path, sizeof path, "%s.next", master);
    assert_false(file_exists(path));
    snprintf(path, sizeof path, "%s.old", master);
    assert_false(file_exists(path));
    for (int restart = 0; restart < 2; restart++) {
        for (int i = 0; i < 3; i++) {
            assert_int_equal(open_it(ids[i], sealed[i], &plain), OK);
            assert_true(str_is(plain, "kept"));
        }
        assert_int_equal(vault_hash(v, "email", STR("a"), &after, a, &fault), OK);
        assert_memory_equal(before.bytes[0], after.bytes[0], VAULT_HASH_BYTES);
        vault_stop(&v);
        start();
    }
    struct vault_state s;
    assert_int_equal(vault_state(v, a, &s, &fault), OK);
    assert_int_equal(s.subjects, MANY);
    assert_false(s.rotating);
    assert_true(s.since > clock_now(&clock_) - MOMENT_HOUR);
    clock_.offset = 0;
}

/* Fails if a rotation that is stopped by the n-th call to the keyring, for any n, or between any
 * two of its steps with the files, loses a key or cannot be finished. */
static void rotation_survives_being_cut_off_anywhere(void **state)
{
    (void)state;
    str sealed, plain;
    id s = subject_with(STR("kept"), &sealed);
    for (int i = 0; i < 20; i++)
        assert_int_equal(vault_add_subject(v, id_new(), "account", a, &fault), OK);
    for (int n = 1;; n++) {
        assert_true(n < 200);
        str old = read_master();
        db_make_faulty(t.db, n);
        fault_clear(&fault);
        enum err e = vault_rotate(v, a, NULL, &fault);
        db_make_faulty(t.db, 0);
        vault_stop(&v); /* a new process */
        start();
        assert_int_equal(open_it(s, sealed, &plain), OK);
        id fresh = id_new();
        assert_int_equal(vault_add_subject(v, fresh, "account", a, &fault), OK);
        assert_int_equal(vault_forget(v, fresh, a, &fault), OK);
        if (e == OK) {
            assert_false(str_eq(old, read_master()));
            break;
        }
        assert_int_equal(e, ERR_BUSY);
    }
    /* the steps with the files: as a crash between any two of them leaves them */
    /* the steps with the files, as a crash between any two of them leaves them: the key in use is
     * in .next, the one before still in the file (0) or already renamed to .old (1) */
    char next[160], old[160];
    snprintf(next, sizeof next, "%s.next", master);
    snprintf(old, sizeof old, "%s.old", master);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rename(master, next), 0);
        assert_int_equal(vault_make_master(i == 0 ? master : old, &fault), OK);
        vault_stop(&v);
        start();
        assert_int_equal(open_it(s, sealed, &plain), OK);
        assert_true(file_exists(master) && !file_exists(next) && !file_exists(old));
    }
}

/* ---- a process that ends at the n-th step with the files ---- */

/* The linker sends the calls of base and vault here (meson.build). */
static int steps_left; /* 0: never */
static void step(void)
{
    if (steps_left > 0 && --steps_left == 0)
        _exit(9);
}
#define WRAP(type, name, params, args)                                                             \
    type __real_##name params;                                                                     \
    type __wrap_##name params;                                                                     \
    type __wrap_##name params                                                                      \
    {                                                                                              \
        step();                                                                                    \
        return __real_##name args;                                                                 \
    }
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, link, (const char *from, const char *to), (from, to))
WRAP(int, unlink, (const char *path), (path))

/* Rotates in a process of its own that ends before its n-th step; did it come to the end? */
static bool rotate_and_die(int n)
{
    struct db *mine = NULL;
    struct vault *w = NULL;
    struct db_config db_config = {.url = str_from(t.url), .space = t.space};
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct arena *own = arena_new(64 << 20);
        bool good = db_open(&mine, &db_config, NULL) == OK &&
                    vault_start(&w, &config, mine, &clock_, NULL) == OK;
        steps_left = n;
        good = good && vault_rotate(w, own, NULL, NULL) == OK;
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
    return WEXITSTATUS(status) == 0;
}

static void reopen(void)
{
    struct db_config db_config = {.url = str_from(t.url), .space = t.space};
    assert_int_equal(db_open(&t.db, &db_config, &fault), OK);
    start();
}

/* Fails if a power cut before any single step of a rotation with its files leaves a portal that does
 * not start, a key that is lost, a rotation that cannot be finished, or a file too many. */
static void rotation_survives_a_crash_at_every_step_with_files(void **state)
{
    (void)state;
    str sealed, plain;
    id s = subject_with(STR("kept"), &sealed);
    bool done = false;
    int n = 0;
    while (!done) {
        assert_true(++n < 100);
        vault_stop(&v);
        db_close(&t.db);
        done = rotate_and_die(n);
        reopen();
        assert_int_equal(open_it(s, sealed, &plain), OK);
        id fresh = id_new();
        assert_int_equal(vault_add_subject(v, fresh, "account", a, &fault), OK);
        assert_int_equal(vault_forget(v, fresh, a, &fault), OK);
        str before = read_master();
        assert_int_equal(vault_rotate(v, a, NULL, &fault), OK);
        assert_false(str_eq(before, read_master()));
        assert_int_equal(open_it(s, sealed, &plain), OK);
        static const char *const endings[] = {".next", ".old", ".next.new", ".new"};
        for (size_t i = 0; i < COUNT(endings); i++)
            assert_false(file_exists(str_fmt(a, "%s%s", master, endings[i]).p));
    }
    assert_true(n > 6); /* it was cut off somewhere */
}

/*
 * Fails if a rotation that was cut off, and is called again after somebody was erased in between,
 * ends with a master key that still opens a copy of the keyring from in between.
 */
static void mya_24_a_rotation_begun_before_an_erasure_forgets_too(void **state)
{
    (void)state;
    str sealed;
    struct key k;
    for (int n = 2;; n++) {
        assert_true(n < 200);
        id gone = subject_with(STR("gone"), &sealed);
        db_make_faulty(t.db, n);
        fault_clear(&fault);
        enum err e = vault_rotate(v, a, NULL, &fault);
        db_make_faulty(t.db, 0);
        fault_clear(&fault);
        struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
        struct query *q = SQL(tx, "SELECT master, wrapped FROM subject_key WHERE subject = $1");
        bind_id(q, gone);
        assert_true(query_row(q));
        str name = row_text(q, 0), wrapped = row_blob(q, 1); /* the copy */
        assert_int_equal(query_end(q), OK);
        tx_end(&tx);
        assert_int_equal(vault_forget(v, gone, a, &fault), OK);
        vault_stop(&v);
        start();
        assert_int_equal(vault_rotate(v, a, NULL, &fault), OK);
        tx = tx_begin(t.db, TX_WRITE, a, &fault);
        q = SQL(tx, "INSERT INTO subject_key (subject, kind, master, wrapped, made) "
                    "VALUES ($1, 'account', $2, $3, 0)");
        bind_id(q, gone);
        bind_text(q, name);
        bind_blob(q, wrapped);
        assert_int_equal(query_run(q), OK);
        assert_int_equal(tx_commit(tx), OK);
        tx_end(&tx);
        if (vault_subject_key(v, gone, &k, a, NULL) != ERR_DENIED)
            fail_msg("cut off at call %d, the copy still opens", n);
        assert_int_equal(vault_forget(v, gone, a, &fault), OK);
        if (e == OK)
            break;
    }
}

/* Two vaults on one keyring, as two servers or a command beside the server: the one follows the
 * rotation of the other. */
static void another_process_follows_a_rotation(void **state)
{
    (void)state;
    struct vault *other = NULL;
    assert_int_equal(vault_start(&other, &config, t.db, &clock_, &fault), OK);
    assert_int_equal(vault_rotate(other, a, NULL, &fault), OK);
    str sealed, plain;
    id s = subject_with(STR("x"), &sealed);
    assert_int_equal(open_it(s, sealed, &plain), OK);
    struct vault *mine = v;
    v = other;
    assert_int_equal(open_it(s, sealed, &plain), OK);
    v = mine;
    vault_stop(&other);
}

struct reading {
    struct vault *vault;
    const id *subjects;
    int n;
    atomic_bool stop;
    long read, failed;
};

static void *read_keys(void *arg)
{
    struct reading *r = arg;
    for (int i = 0; !r->stop; i = (i + 1) % r->n) {
        CLEANUP(key_wipe) struct key k;
        struct arena *own = arena_new(1 << 20);
        r->failed += vault_subject_key(r->vault, r->subjects[i], &k, own, NULL) != OK;
        r->read++;
        arena_free(&own);
    }
    return NULL;
}

/* Fails if somebody is refused because the master key is replaced this very moment, here or by
 * another process. */
static void everybody_is_served_while_it_rotates(void **state)
{
    (void)state;
    enum { MANY = 3000 }; /* more than the cache holds */
    static id ids[MANY];
    struct vault *other = NULL;
    pthread_t threads[2];
    for (int i = 0; i < MANY; i++)
        ids[i] = id_new();
    assert_int_equal(vault_add_subjects(v, ids, MANY, "account", a, &fault), OK);
    assert_int_equal(vault_start(&other, &config, t.db, &clock_, &fault), OK);
    struct reading r[2] = {{.vault = v, .subjects = ids, .n = MANY},
                           {.vault = other, .subjects = ids, .n = MANY}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_keys, &r[i]), 0);
    for (int i = 0; i < 10; i++) {
        struct arena *own = arena_new(64 << 20);
        enum err e = vault_rotate(v, own, NULL, &fault);
        assert_true(e == OK || e == ERR_BUSY); /* a reader may hold up the checkpoint */
        fault_clear(&fault);
        arena_free(&own);
    }
    for (int i = 0; i < 2; i++) {
        r[i].stop = true;
        pthread_join(threads[i], NULL);
        assert_true(r[i].read > 1000);
        assert_int_equal(r[i].failed, 0);
    }
    vault_stop(&other);
}

static void an_operators_key_is_left_alone(void **state)
{
    (void)state;
    char next[160];
    snprintf(next, sizeof next, "%s/credential-next", t.dir);
    config.next_path = next;
    config.read_only = true;
    vault_stop(&v);
    start();
    str sealed, plain, before = read_master();
    id s = subject_with(STR("x"), &sealed);
    fault_clear(&fault);
    assert_int_equal(vault_rotate(v, a, NULL, &fault), ERR_DENIED);
    assert_non_null(strstr(fault.text, "bring the next one"));
    fault_clear(&fault);
    assert_int_equal(vault_make_master(next, &fault), OK);
    assert_int_equal(vault_rotate(v, a, NULL, &fault), OK);
    assert_true(str_eq(before, read_master())); /* the operator replaces it */
    assert_int_equal(open_it(s, sealed, &plain), OK);
    assert_int_equal(vault_rotate(v, a, NULL, NULL), ERR_CONFLICT); /* the same key again */
    assert_int_equal(rename(next, master), 0);
    vault_stop(&v);
    start();
    assert_int_equal(open_it(s, sealed, &plain), OK);
}

/*
 * The promise behind "forgotten": an old copy of data and keyring, with every master key that
 * exists after the rotation, opens nothing of an erased person. With the bytes of before.
 */
static void mya_24_old_copies_yield_nothing_after_a_rotation(void **state)
{
    (void)state;
    if (kind != DB_SQLITE)
        return;
    str sealed, plain, kept_sealed;
    id gone = subject_with(STR("gone"), &sealed);
    id kept = subject_with(STR("kept"), &kept_sealed);
    char command[512], url[256], copy[128];
    snprintf(copy, sizeof copy, "%s/copy", t.dir);
    snprintf(command, sizeof command, "mkdir %s && cp -p %s/keyring.db* %s/", copy, t.dir, copy);
    assert_int_equal(system(command), 0);
    assert_int_equal(vault_forget(v, gone, a, &fault), OK);
    snprintf(url, sizeof url, "sqlite:%s/keyring.db", copy);
    struct db_config db_config = {.url = str_from(url)};

    /* before the rotation the copy would still give it back: this is what rotation is for */
    struct vault *w = NULL;
    struct db *db = NULL;
    CLEANUP(key_wipe) struct key k;
    assert_int_equal(db_open(&db, &db_config, &fault), OK);
    assert_int_equal(vault_start(&w, &config, db, &clock_, &fault), OK);
    assert_int_equal(vault_subject_key(w, gone, &k, a, &fault), OK);
    assert_int_equal(vault_unseal(a, &k, place, sealed, &plain, &fault), OK);
    vault_stop(&w);
    db_close(&db);

    assert_int_equal(vault_rotate(v, a, NULL, &fault), OK);
    assert_int_equal(db_open(&db, &db_config, &fault), OK);
    fault_clear(&fault);
    assert_int_equal(vault_start(&w, &config, db, &clock_, &fault), ERR_DENIED);
    assert_int_equal(open_it(kept, kept_sealed, &plain), OK);
    assert_int_equal(open_it(gone, sealed, &plain), ERR_NOT_FOUND);
    /* nor does the old row put back into today's keyring: it names a master key that is no more */
    struct tx *from = tx_begin(db, TX_READ, a, &fault), *to = tx_begin(t.db, TX_WRITE, a, &fault);
    struct query *q = SQL(from, "SELECT master, wrapped FROM subject_key WHERE subject = $1");
    bind_id(q, gone);
    assert_true(query_row(q));
    struct query *put = SQL(to, "INSERT INTO subject_key (subject, kind, master, wrapped, made) "
                                "VALUES ($1, 'account', $2, $3, 0)");
    bind_id(put, gone);
    bind_text(put, row_text(q, 0));
    bind_blob(put, row_blob(q, 1));
    assert_int_equal(query_run(put), OK);
    assert_int_equal(tx_commit(to), OK);
    tx_end(&from);
    tx_end(&to);
    db_close(&db);
    fault_clear(&fault);
    assert_int_equal(vault_subject_key(v, gone, &k, a, &fault), ERR_DENIED);
}

/* ---- files ---- */

static struct files files_;

static id write_file(const struct key *k, size_t size)
{
    struct sealed_writer *w;
    id name = id_new();
    assert_int_equal(sealed_create(&files_, name, k, a, &w, &fault), OK);
    char part[1000];
    for (size_t done = 0; done < size;) {
        size_t n = MIN_OF(size - done, sizeof part);
        for (size_t i = 0; i < n; i++)
            part[i] = (char)((done + i) * 31);
        assert_int_equal(sealed_write(w, str_of(part, n)), OK);
        done += n;
    }
    assert_int_equal(sealed_written(w), size);
    assert_int_equal(sealed_keep(&w), OK);
    return name;
}

static enum err read_file(const struct key *k, id name, size_t *size)
{
    CLEANUP(sealed_close) struct sealed_reader *r = NULL;
    TRY(sealed_open(&files_, name, k, a, &r, NULL));
    *size = 0;
    for (;;) {
        str s;
        TRY(sealed_read(r, &s));
        if (s.n == 0)
            return OK;
        for (size_t i = 0; i < s.n; i++)
            assert_int_equal(s.p[i], (char)((*size + i) * 31));
        *size += s.n;
    }
}

/* Fails if a sealed file is accepted that was cut, extended, reordered, renamed or changed. */
static void sec_03_sealed_files_are_whole_or_refused(void **state)
{
    (void)state;
    files_.dir = str_cstr(a, str_fmt(a, "%s/files", t.dir));
    CLEANUP(key_wipe) struct key k = key_new(), other = key_new();
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 200000};
    size_t n;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        id name = write_file(&k, sizes[i]);
        assert_int_equal(read_file(&k, name, &n), OK);
        assert_int_equal(n, sizes[i]);
        assert_int_equal(read_file(&other, name, &n), ERR_CONFLICT);
    }
    id name = write_file(&k, 200000), second = write_file(&k, 200000);
    char path[256], path2[256];
    snprintf(path, sizeof path, "%s/%.2s/%s", files_.dir, name.text, name.text);
    snprintf(path2, sizeof path2, "%s/%.2s/%s", files_.dir, second.text, second.text);
    static const long cuts[] = {0, 10, 25, 1000, 65577, 65578, 200000, 200092};
    str whole;
    assert_int_equal(file_read(a, path, 1 << 20, &whole, &fault), OK);
    for (size_t i = 0; i < COUNT(cuts); i++) {
        assert_true((size_t)cuts[i] < whole.n);
        assert_int_equal(file_write(path, str_head(whole, (size_t)cuts[i]), 0600, &fault), OK);
        assert_int_equal(read_file(&k, name, &n), ERR_CONFLICT);
    }
    struct buf b = buf_new(a, 1 << 20);
    buf_put(&b, whole);
    buf_text(&b, "x");
    assert_int_equal(file_write(path, buf_str(&b), 0600, &fault), OK);
    assert_int_equal(read_file(&k, name, &n), ERR_CONFLICT);
    assert_int_equal(rename(path2, path), 0); /* another file under this name */
    assert_int_equal(read_file(&k, name, &n), ERR_CONFLICT);
    assert_int_equal(read_file(&k, id_new(), &n), ERR_NOT_FOUND);
    struct sealed_writer *w;
    id dropped = id_new();
    assert_int_equal(sealed_create(&files_, dropped, &k, a, &w, &fault), OK);
    assert_int_equal(sealed_write(w, STR("x")), OK);
    sealed_discard(&w);
    assert_int_equal(read_file(&k, dropped, &n), ERR_NOT_FOUND);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sec_03_sealed_values_open_in_their_place_only),
        T(mya_21_forgetting_the_key_forgets_the_person),
        T(subjects_are_listed_and_missing_ones_found),
        T(secrets_are_stable_and_have_generations),
        T(the_master_key_is_guarded),
        T(rotation_keeps_what_lives),
        T(rotation_survives_being_cut_off_anywhere),
        T(rotation_survives_a_crash_at_every_step_with_files),
        T(mya_24_a_rotation_begun_before_an_erasure_forgets_too),
        T(another_process_follows_a_rotation),
        T(everybody_is_served_while_it_rotates),
        T(an_operators_key_is_left_alone),
        T(mya_24_old_copies_yield_nothing_after_a_rotation),
        T(sec_03_sealed_files_are_whole_or_refused),
    };
    int failed = 0;
    kind = DB_SQLITE;
    if (testing_wants(kind))
        failed += cmocka_run_group_tests_name("vault on SQLite", tests, NULL, NULL);
    kind = DB_POSTGRES;
    if (testing_wants(kind))
        failed += cmocka_run_group_tests_name("vault on PostgreSQL", tests, NULL, NULL);
    return failed;
}
