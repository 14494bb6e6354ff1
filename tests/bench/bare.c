/*
 * bare: the work alone, for script/bench to compare the portal with.
 *
 *     bare fsync DIR N                             N appends of 4 KiB, each synced
 *     bare hash MEMORY PASSES THREADS SECONDS      Argon2id hashes, verified
 *     bare read DB STATEMENTS PEOPLE THREADS SECONDS
 *                         the statements of a page, one a line with :account and :session; PEOPLE
 *                         has a line "account session" for each; every thread has a connection
 *     bare insert DIR ROWS SECONDS BATCH
 *                         the rows of a registration: those of keyring.db committed first, then those
 *                         of troth.db; BATCH registrations share the two commits. ROWS has a line for
 *                         each: 1 for the keyring, the statement, and each parameter as a letter and
 *                         what goes with it, parted by tabs: a the account, i an ID, b bytes, n a
 *                         number, s a text, z nothing
 *     bare change DIR ROWS SECONDS BATCH DEVICES
 *                         the statements of a report: ROWS as above, with d the device and x the binding;
 *                         DEVICES has a line "account binding device" for each; BATCH reports share a commit
 *     bare erase DIR TABLES IDS                    the rows of each account of the file IDS
 *     bare sweep DIR TABLES CUTOFF BATCH           those of all accounts closed before CUTOFF
 *     bare scan DIR                                every ID of both stores, in order, twice
 *
 * TABLES has a line "table column" for each table that has rows of an account. Databases are opened
 * as the portal opens them: WAL, synchronous=FULL, secure_delete, foreign keys.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>
#include <sqlite3.h>

enum {
    MAX_THREADS = 512,
    MAX_LINES = 100000,
    MAX_STATEMENTS = 32,
    SLOTS = 200000, /* of the histogram */
    SLOT_MICROS = 5,
    ID = 26,
    MAX_VALUES = 32,
    MAX_BYTES = 16384,
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, sqlite3 *db)
{
    fprintf(stderr, "bare: %s%s%s\n", what, db ? ": " : "", db ? sqlite3_errmsg(db) : "");
    exit(1);
}

static char **lines_of(const char *path, int *n)
{
    char line[8192], **list = calloc(MAX_LINES, sizeof *list);
    FILE *in = fopen(path, "r");
    if (in == NULL)
        die(path, NULL);
    for (*n = 0; *n < MAX_LINES && fgets(line, sizeof line, in); ++*n) {
        line[strcspn(line, "\n")] = '\0';
        list[*n] = strdup(line);
    }
    fclose(in);
    return list;
}

/* ---- SQLite ---- */

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(sql, db);
}

static sqlite3 *open_db(const char *dir, const char *name, bool write)
{
    char path[1024];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s%s%s", dir, name ? "/" : "", name ? name : "");
    int flags = SQLITE_OPEN_NOMUTEX | (write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
        die(path, db);
    run(db, "PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=2000");
    run(db, write ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;"
                    "PRAGMA wal_autocheckpoint=1000; PRAGMA cell_size_check=ON"
                  : "PRAGMA wal_autocheckpoint=0; PRAGMA query_only=ON; PRAGMA cache_size=-4000");
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK)
        die(sql, db);
    return s;
}

static void bind_name(sqlite3_stmt *s, const char *name, const char *text)
{
    int at = sqlite3_bind_parameter_index(s, name);
    if (at > 0)
        sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

/* All its rows, each column read, and back to the beginning. */
static void finish(sqlite3 *db, sqlite3_stmt *s)
{
    int r;
    while ((r = sqlite3_step(s)) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(s); i++)
            if (sqlite3_column_type(s, i) != SQLITE_INTEGER)
                (void)sqlite3_column_bytes(s, i);
    if (r != SQLITE_DONE)
        die(sqlite3_sql(s), db);
    sqlite3_reset(s);
}

/* ---- the disk ---- */

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

static int command_fsync(char **arg)
{
    char path[1024], page[4096] = {0};
    int n = atoi(arg[1]);
    double *t = calloc((size_t)n, sizeof *t);
    snprintf(path, sizeof path, "%s/fsync", arg[0]);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < n; i++) {
        if (write(fd, page, sizeof page) != (ssize_t)sizeof page)
            die(path, NULL);
        double began = now();
        if (fdatasync(fd) != 0)
            die(path, NULL);
        t[i] = now() - began;
    }
    close(fd);
    unlink(path);
    qsort(t, (size_t)n, sizeof *t, compare);
    printf("micros %.1f\n", t[n / 2] * 1e6);
    return 0;
}

/* ---- threads that count ---- */

struct count {
    double from, until;
    const char *db;
    char **statements, **people;
    int n_statements, n_people;
    char hash[crypto_pwhash_STRBYTES];
    atomic_uint times[SLOTS];
    atomic_long done;
    atomic_int next;
};

static void note(struct count *c, double began)
{
    double ended = now();
    if (ended < c->from || ended >= c->until)
        return;
    long slot = (long)((ended - began) * 1e6 / SLOT_MICROS);
    c->times[slot < SLOTS ? slot : SLOTS - 1]++;
    c->done++;
}

static long percentile(const struct count *c, double part)
{
    long wanted = (long)((double)c->done * part), seen = 0;
    for (long i = 0; i < SLOTS; i++)
        if ((seen += c->times[i]) > wanted)
            return (i + 1) * SLOT_MICROS;
    return 0;
}

static int count_with(struct count *c, void *(*each)(void *), int threads, double seconds)
{
    pthread_t list[MAX_THREADS];
    if (threads < 1 || threads > MAX_THREADS)
        die("how many threads?", NULL);
    c->from = now() + 1;
    c->until = c->from + seconds;
    for (int i = 0; i < threads; i++)
        pthread_create(&list[i], NULL, each, c);
    for (int i = 0; i < threads; i++)
        pthread_join(list[i], NULL);
    printf("rate %.3f\np50 %ld\np99 %ld\n", (double)c->done / seconds, percentile(c, 0.5),
           percentile(c, 0.99));
    return 0;
}

static void *verify(void *arg)
{
    struct count *c = arg;
    while (now() < c->until) {
        double began = now();
        if (crypto_pwhash_str_verify(c->hash, "correct horse battery staple", 28) != 0)
            die("the hash does not fit", NULL);
        note(c, began);
    }
    return NULL;
}

static int command_hash(char **arg)
{
    static struct count c;
    if (crypto_pwhash_str_alg(c.hash, "correct horse battery staple", 28,
                              strtoull(arg[1], NULL, 10), strtoull(arg[0], NULL, 10),
                              crypto_pwhash_ALG_ARGON2ID13) != 0)
        die("no memory for a hash", NULL);
    return count_with(&c, verify, atoi(arg[2]), atof(arg[3]));
}

static void *read_pages(void *arg)
{
    struct count *c = arg;
    sqlite3 *db = open_db(c->db, NULL, false);
    sqlite3_stmt *s[MAX_STATEMENTS];
    for (int i = 0; i < c->n_statements; i++)
        s[i] = prepare(db, c->statements[i]);
    for (int person = c->next++; now() < c->until; person = (person + 1) % c->n_people) {
        char account[ID + 1], session[ID + 1];
        snprintf(account, sizeof account, "%.26s", c->people[person]);
        snprintf(session, sizeof session, "%.26s", c->people[person] + ID + 1);
        double began = now();
        for (int i = 0; i < c->n_statements; i++) {
            bind_name(s[i], ":account", account);
            bind_name(s[i], ":session", session);
            finish(db, s[i]);
        }
        note(c, began);
    }
    for (int i = 0; i < c->n_statements; i++)
        sqlite3_finalize(s[i]);
    sqlite3_close(db);
    return NULL;
}

static int command_read(char **arg)
{
    static struct count c;
    c.db = arg[0];
    c.statements = lines_of(arg[1], &c.n_statements);
    c.people = lines_of(arg[2], &c.n_people);
    if (c.n_statements > MAX_STATEMENTS || c.n_people < atoi(arg[3]))
        die("too many statements, or too few people", NULL);
    return count_with(&c, read_pages, atoi(arg[3]), atof(arg[4]));
}

/* ---- registrations ---- */

struct insert {
    bool key; /* in the keyring */
    sqlite3_stmt *statement;
    char *values[MAX_VALUES];
    int n;
};

static void random_id(char *out)
{
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
    unsigned char bytes[ID];
    randombytes_buf(bytes, sizeof bytes);
    for (int i = 0; i < ID; i++)
        out[i] = alphabet[bytes[i] & 31];
    out[ID] = '\0';
}

/* Whose row it is. */
struct whose {
    char account[ID + 1], binding[ID + 1], device[ID + 1];
};

static void insert_row(sqlite3 *db, const struct insert *x, const struct whose *w)
{
    static char ids[MAX_VALUES][ID + 1], bytes[MAX_VALUES][MAX_BYTES];
    for (int i = 0; i < x->n; i++) {
        const char *value = x->values[i] + 1;
        switch (x->values[i][0]) {
        case 'a':
            sqlite3_bind_text(x->statement, i + 1, w->account, ID, SQLITE_STATIC);
            break;
        case 'd':
            sqlite3_bind_text(x->statement, i + 1, w->device, ID, SQLITE_STATIC);
            break;
        case 'x':
            sqlite3_bind_text(x->statement, i + 1, w->binding, ID, SQLITE_STATIC);
            break;
        case 'i':
            random_id(ids[i]);
            sqlite3_bind_text(x->statement, i + 1, ids[i], ID, SQLITE_STATIC);
            break;
        case 'b':
            randombytes_buf(bytes[i], 32); /* what differs; the rest may stay */
            sqlite3_bind_blob(x->statement, i + 1, bytes[i], atoi(value), SQLITE_STATIC);
            break;
        case 'n':
            sqlite3_bind_int64(x->statement, i + 1, atoll(value));
            break;
        case 's':
            sqlite3_bind_text(x->statement, i + 1, value, -1, SQLITE_STATIC);
            break;
        default:
            sqlite3_bind_null(x->statement, i + 1);
        }
    }
    finish(db, x->statement);
}

static int read_inserts(const char *path, sqlite3 *const *db, struct insert *out)
{
    int n;
    char **lines = lines_of(path, &n);
    if (n > MAX_STATEMENTS)
        die("too many statements", NULL);
    for (int i = 0; i < n; i++) {
        char *rest = lines[i];
        out[i].key = strsep(&rest, "\t")[0] == '1';
        out[i].statement = prepare(db[out[i].key], strsep(&rest, "\t"));
        while (rest && out[i].n < MAX_VALUES) {
            char *value = out[i].values[out[i].n++] = strsep(&rest, "\t");
            if (value[0] == 'b' && atoi(value + 1) > MAX_BYTES)
                die("too many bytes", NULL);
        }
    }
    return n;
}

static int command_insert(char **arg)
{
    sqlite3 *db[2] = {open_db(arg[0], "troth.db", true), open_db(arg[0], "keyring.db", true)};
    static struct insert inserts[MAX_STATEMENTS];
    int n = read_inserts(arg[1], db, inserts), batch = atoi(arg[3]);
    long done = 0;
    double seconds = atof(arg[2]), began = now();
    struct whose *people = calloc((size_t)batch, sizeof *people);
    for (; now() < began + seconds; done += batch) {
        for (int k = 0; k < batch; k++)
            random_id(people[k].account);
        for (int key = 1; key >= 0; key--) {
            run(db[key], "BEGIN IMMEDIATE");
            for (int k = 0; k < batch; k++)
                for (int i = 0; i < n; i++)
                    if (inserts[i].key == (bool)key)
                        insert_row(db[key], &inserts[i], &people[k]);
            run(db[key], "COMMIT");
        }
    }
    printf("rate %.3f\n", (double)done / (now() - began));
    return 0;
}

/* ---- reports ---- */

static struct whose *read_devices(const char *path, int *n)
{
    char **lines = lines_of(path, n);
    struct whose *list = calloc((size_t)*n, sizeof *list);
    for (int i = 0; i < *n; i++)
        if (sscanf(lines[i], "%26s %26s %26s", list[i].account, list[i].binding, list[i].device) != 3)
            die(lines[i], NULL);
    return list;
}

static int command_change(char **arg)
{
    sqlite3 *db[2] = {open_db(arg[0], "troth.db", true), open_db(arg[0], "keyring.db", true)};
    static struct insert rows[MAX_STATEMENTS];
    int n = read_inserts(arg[1], db, rows), batch = atoi(arg[3]), n_devices;
    struct whose *devices = read_devices(arg[4], &n_devices);
    long done = 0;
    double seconds = atof(arg[2]), began = now();
    for (; now() < began + seconds; done += batch) {
        run(db[0], "BEGIN IMMEDIATE");
        for (int k = 0; k < batch; k++)
            for (int i = 0; i < n; i++)
                insert_row(db[0], &rows[i], &devices[(done + k) % n_devices]);
        run(db[0], "COMMIT");
    }
    printf("rate %.3f\n", (double)done / (now() - began));
    return 0;
}

/* ---- erasing ---- */

struct eraser {
    sqlite3 *keyring, *data;
    sqlite3_stmt *key, *rows[MAX_LINES / 1000];
    int n;
};

static struct eraser eraser_open(const char *dir, const char *tables)
{
    struct eraser e = {open_db(dir, "keyring.db", true), open_db(dir, "troth.db", true), NULL, {NULL}, 0};
    int n;
    char **list = lines_of(tables, &n);
    e.key = prepare(e.keyring, "DELETE FROM subject_key WHERE subject = ?");
    for (int i = 0; i < n; i++) {
        char table[64], column[64], sql[256];
        if (sscanf(list[i], "%63s %63s", table, column) != 2)
            die(list[i], NULL);
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE %s = ?", table, column);
        e.rows[e.n++] = prepare(e.data, sql);
    }
    return e;
}

/* Keys first, then rows: two commits. */
static void erase(struct eraser *e, char **ids, int n)
{
    run(e->keyring, "BEGIN IMMEDIATE");
    for (int i = 0; i < n; i++) {
        sqlite3_bind_text(e->key, 1, ids[i], ID, SQLITE_STATIC);
        finish(e->keyring, e->key);
    }
    run(e->keyring, "COMMIT");
    run(e->data, "BEGIN IMMEDIATE");
    for (int t = 0; t < e->n; t++) {
        for (int i = 0; i < n; i++) {
            sqlite3_bind_text(e->rows[t], 1, ids[i], ID, SQLITE_STATIC);
            finish(e->data, e->rows[t]);
        }
    }
    run(e->data, "COMMIT");
}

static int command_erase(char **arg)
{
    struct eraser e = eraser_open(arg[0], arg[1]);
    int n;
    char **ids = lines_of(arg[2], &n);
    double began = now();
    for (int i = 0; i < n; i++)
        erase(&e, &ids[i], 1);
    printf("seconds %.6f\n", now() - began);
    return 0;
}

static int command_sweep(char **arg)
{
    struct eraser e = eraser_open(arg[0], arg[1]);
    sqlite3 *reader = open_db(arg[0], "troth.db", false);
    sqlite3_stmt *due = prepare(reader, "SELECT id FROM account WHERE closed <= ? ORDER BY closed LIMIT ?");
    int batch = atoi(arg[3]), n = batch;
    long subjects = 0;
    char **ids = calloc((size_t)batch, sizeof *ids);
    for (int i = 0; i < batch; i++)
        ids[i] = malloc(ID + 1);
    double began = now();
    for (; n == batch; subjects += n) {
        sqlite3_bind_int64(due, 1, atoll(arg[2]));
        sqlite3_bind_int(due, 2, batch);
        for (n = 0; sqlite3_step(due) == SQLITE_ROW; n++)
            snprintf(ids[n], ID + 1, "%s", (const char *)sqlite3_column_text(due, 0));
        sqlite3_reset(due);
        if (n > 0)
            erase(&e, ids, n);
    }
    sqlite3_finalize(due);
    sqlite3_close(reader);
    /* What was deleted leaves the log as well, as the portal's sweep has it. */
    run(e.data, "PRAGMA wal_checkpoint(TRUNCATE)");
    run(e.keyring, "PRAGMA wal_checkpoint(TRUNCATE)");
    printf("seconds %.6f\nsubjects %ld\n", now() - began, subjects);
    return 0;
}

static int command_scan(char **arg)
{
    sqlite3 *data = open_db(arg[0], "troth.db", false), *keyring = open_db(arg[0], "keyring.db", false);
    double began = now();
    for (int i = 0; i < 2; i++) {
        finish(data, prepare(data, "SELECT id FROM account ORDER BY id"));
        finish(keyring, prepare(keyring, "SELECT subject FROM subject_key WHERE kind = 'account' "
                                         "ORDER BY subject"));
    }
    printf("seconds %.6f\n", now() - began);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        int (*run)(char **arg);
    } commands[] = {
        {"fsync", 2, command_fsync}, {"hash", 4, command_hash},   {"read", 5, command_read},
        {"insert", 4, command_insert}, {"change", 5, command_change}, {"erase", 3, command_erase}, {"sweep", 4, command_sweep},
        {"scan", 1, command_scan},
    };
    if (sodium_init() < 0)
        die("libsodium cannot be used", NULL);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (argc > 1 && strcmp(argv[1], commands[i].name) == 0 && argc == commands[i].args + 2)
            return commands[i].run(argv + 2);
    fprintf(stderr, "usage: bare fsync | hash | read | insert | erase | sweep | scan …\n");
    return 2;
}
