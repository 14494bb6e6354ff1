/*
 * privacy: the heart, on the real declarations of all features, on SQLite and on PostgreSQL.
 */
#include "privacy/consent.h"
#include "privacy/erasure.h"
#include "privacy/lookup.h"
#include "privacy/policy.h"
#include "privacy/retention.h"
#include "privacy/rights.h"
#include "privacy/takeout.h"
#include "privacy/trail.h"
#include "privacy/verify.h"

#include "store/testing.h"
#include "vault/sealed_file.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>
#include <cmocka.h>

static struct testing_db t, keyring;
static struct arena *a;
static struct fault fault;
static struct clock clock_;
static struct log log_ = {.fd = -1};
static struct privacy p;
static enum db_kind kind;
static char master[128];
static const struct locale english = {0, "en", NULL, NULL}, swedish = {1, "sv", NULL, NULL};
static const struct migrations none = {NULL, 0};

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        if ((expr) != OK)                                                                          \
            fail_msg("%s: %s", #expr, fault.text);                                                 \
    } while (0)

static str source(const char *path)
{
    str s;
    assert_ok(file_read(a, str_cstr(a, str_fmt(a, "%s/%s", getenv("TROTH_SOURCE"), path)), 1 << 20, &s, &fault));
    return s;
}

enum { SOURCES = 64 };

/* The declarations of the rooms and of every feature that there is, found as the build finds them. */
static size_t read_sources(struct inventory_source s[SOURCES])
{
    static const char *const rooms[] = {"privacy", "work", "web"};
    struct dirent **folders;
    size_t n = 0;
    for (size_t i = 0; i < COUNT(rooms); i++)
        s[n++].name = str_fmt(a, "src/%s/records.yaml", rooms[i]);
    int found = scandir(str_fmt(a, "%s/src/features", getenv("TROTH_SOURCE")).p, &folders, NULL, alphasort);
    assert_true(found > 2);
    for (int i = 0; i < found; i++) {
        str path = str_fmt(a, "src/features/%s/records.yaml", folders[i]->d_name);
        str whole = str_fmt(a, "%s/%.*s", getenv("TROTH_SOURCE"), STR_FMT(path));
        if (folders[i]->d_name[0] != '.' && access(whole.p, R_OK) == 0) {
            assert_true(n < SOURCES);
            s[n++].name = path;
        }
        free(folders[i]);
    }
    free(folders);
    for (size_t i = 0; i < n; i++)
        s[i].text = source(s[i].name.p);
    return n;
}

static const struct inventory *read_inventory(void)
{
    struct inventory_source s[SOURCES];
    struct inventory *v;
    size_t n = read_sources(s);
    assert_ok(inventory_read(a, s, n, &v, &fault));
    return v;
}

static const struct organisation *read_organisation(str text)
{
    static const char *const languages[] = {"en", "sv"};
    struct organisation *o;
    assert_ok(organisation_read(a, STR("organisation.yaml"), text, languages, 2, &o, &fault));
    assert_ok(organisation_check(o, p.inventory, &fault));
    return o;
}

static int up(void **state)
{
    (void)state;
    static const char *const languages[] = {"en", "sv"};
    a = arena_new(1 << 30);
    fault_clear(&fault);
    testing_db_open(&t, kind, "main");
    testing_db_open(&keyring, kind, "keyring");
    clock_ = (struct clock){0};
    log_.clock = &clock_;
    snprintf(master, sizeof master, "%s/master.key", keyring.dir);
    struct files *files = ARENA_NEW(a, struct files);
    files->dir = str_cstr(a, str_fmt(a, "%s/files", t.dir));
    struct catalog *catalog = catalog_new(a, languages, 2);
    struct template_set *pages = template_set_new(a, TEMPLATE_SPEC, NULL);
    template_add(pages, STR("privacy/takeout"), STR("{{#records}}{{#entries}}{{#fields}}{{label}}={{text}};{{/fields}}{{/entries}}{{/records}}"));
    assert_ok(template_compile(pages, &fault));
    p = (struct privacy){.catalog = catalog, .pages = pages, .db = t.db, .files = files,
                         .clock = &clock_, .log = &log_};
    p.inventory = read_inventory();
    p.organisation = read_organisation(source("demo/organisation.yaml"));
    assert_ok(schema_migrate(t.db, &p.inventory->schema, &none, a, NULL, &fault));
    assert_ok(schema_migrate(keyring.db, vault_schema(), &none, a, NULL, &fault));
    assert_ok(vault_make_master(master, &fault));
    struct vault_config config = {.master_path = master};
    assert_ok(vault_start(&p.vault, &config, keyring.db, &clock_, &fault));
    assert_ok(retention_load(&p, a, &fault));
    assert_ok(consent_publish(&p, &fault));
    return 0;
}

static int down(void **state)
{
    (void)state;
    vault_stop(&p.vault);
    testing_db_close(&t);
    testing_db_close(&keyring);
    arena_free(&a);
    return 0;
}

/* ---- a subject with a marker in every declared field ---- */

static str marker(const struct record *r, const struct field *f)
{
    return str_fmt(a, "MARK-%.*s-%.*s", STR_FMT(r->name), STR_FMT(f->name));
}

/* Two subjects are seeded; some fields are unique. */
static str unique_marker(const struct record *r, const struct field *f)
{
    id i = id_new();
    return str_fmt(a, "%.*s-%s", STR_FMT(marker(r, f)), i.text);
}

static id make_file(const struct key *k, str content)
{
    struct sealed_writer *w;
    id name = id_new();
    assert_ok(sealed_create(p.files, name, k, a, &w, &fault));
    assert_ok(sealed_write(w, content));
    assert_ok(sealed_keep(&w));
    return name;
}

static bool ends_by(const struct record *r, str field, enum keep_kind how)
{
    for (size_t i = 0; i < r->n_rules; i++)
        if (r->rules[i].kind == how && str_eq(r->rules[i].field, field))
            return true;
    return false;
}

static void bind_marker(struct query *q, const struct record *r, const struct field *f,
                        const struct key *k, id record)
{
    moment now = clock_now(&clock_);
    switch (f->type) {
    case COLUMN_TEXT:
        if (f->file)
            bind_id(q, make_file(k, marker(r, f)));
        else if (str_eq(r->name, STR("consent")) && str_eq(f->name, STR("purpose")))
            bind_text(q, STR("product-news"));
        else
            bind_text(q, unique_marker(r, f));
        return;
    case COLUMN_INT:
        bind_int(q, 1);
        return;
    case COLUMN_FLAG:
        bind_flag(q, true);
        return;
    case COLUMN_TIME:
        if (f->null && record_is_subject(r))
            bind_null(q);
        else
            bind_time(q, ends_by(r, f->name, KEEP_AT) ? now + 10 * MOMENT_DAY : now);
        return;
    case COLUMN_BLOB:
        bind_blob(q, unique_marker(r, f));
        return;
    case COLUMN_SEALED: {
        struct vault_place place = {r->name, f->name, id_str(&record)};
        bind_blob(q, vault_seal(a, k, place, marker(r, f)));
        return;
    }
    }
}

static void seed_record(struct tx *tx, const struct record *r, id subject, const struct key *subjects)
{
    CLEANUP(key_wipe) struct key own;
    const struct key *k = subjects;
    struct buf sql = buf_new(a, 8192), values = buf_new(a, 1024);
    const struct table *table = r->table;
    id record = record_is_subject(r) ? subject : id_new();
    if (inventory_is_account(p.inventory, r)) { /* an enrolment has a key of its own */
        assert_ok(vault_add_subject(p.vault, record, str_cstr(a, r->name), a, &fault));
        assert_ok(vault_subject_key(p.vault, record, &own, a, &fault));
        k = &own;
    }
    buf_fmt(&sql, "INSERT INTO %.*s (", STR_FMT(r->name));
    for (size_t i = 0; i < table->n_columns; i++) {
        buf_fmt(&sql, i ? ", %.*s" : "%.*s", STR_FMT(table->columns[i].name));
        buf_fmt(&values, i ? ", $%zu" : "$%zu", i + 1);
    }
    buf_fmt(&sql, ") VALUES (%.*s)", STR_FMT(buf_str(&values)));
    struct query *q = tx_query(tx, buf_str(&sql));
    for (size_t i = 0; i < table->n_columns; i++) {
        str name = table->columns[i].name;
        const struct field *f = record_field(r, name);
        if (str_is(name, "id"))
            bind_id(q, record);
        else if (f == NULL)
            bind_id(q, subject);
        else
            bind_marker(q, r, f, k, record);
    }
    assert_ok(query_run(q));
}

/* An account with one row in every record that can be an account's, every field filled. */
static id seed(void)
{
    CLEANUP(key_wipe) struct key k;
    id subject = id_new();
    assert_ok(vault_add_subject(p.vault, subject, "account", a, &fault));
    assert_ok(vault_subject_key(p.vault, subject, &k, a, &fault));
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    for (size_t i = 0; i < p.inventory->n_records; i++) {
        const struct record *r = &p.inventory->records[i];
        if (record_of_any(r) || str_is(r->subject, "account"))
            seed_record(tx, r, subject, &k);
    }
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    return subject;
}

static int64_t number(const char *sql)
{
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    struct query *q = tx_query(tx, str_from(sql));
    int64_t n = query_row(q) ? row_int(q, 0) : -1;
    assert_ok(query_end(q));
    tx_end(&tx);
    return n;
}

static void run(const char *sql)
{
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    assert_ok(query_run(tx_query(tx, str_from(sql))));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
}

/* Rows of that subject in all tables. */
static int64_t rows_of(id subject)
{
    int64_t n = 0;
    for (size_t i = 0; i < p.inventory->n_records; i++) {
        const struct record *r = &p.inventory->records[i];
        if (record_of_any(r) || str_is(r->subject, "account"))
            n += number(str_fmt(a, "SELECT count(*) FROM %.*s WHERE %.*s = '%s'", STR_FMT(r->name),
                                STR_FMT(record_subject_column(r)), subject.text).p);
    }
    return n;
}

/* Copies of a text in all bytes that the databases and the file store left on disk. */
static long copies(const char *text)
{
    char command[1024];
    if (kind == DB_SQLITE)
        snprintf(command, sizeof command, "cat $(find %s %s -type f) | grep -a -o -F '%s' | wc -l", t.dir, keyring.dir, text);
    else
        snprintf(command, sizeof command,
                 "$TROTH_TEST_PG_BIN/psql -q $TROTH_TEST_POSTGRES -c CHECKPOINT; "
                 "(cat $(find %s %s $TROTH_TEST_PG_DATA/base $TROTH_TEST_PG_DATA/pg_wal -type f); "
                 "$TROTH_TEST_PG_BIN/pg_dump $TROTH_TEST_POSTGRES) 2>/dev/null | grep -a -o -F '%s' | wc -l",
                 t.dir, keyring.dir, text);
    FILE *f = popen(command, "r");
    long n = -1;
    assert_int_equal(fscanf(f, "%ld", &n), 1);
    pclose(f);
    return n;
}

/* ---- the generic promise test of every feature ---- */

/*
 * Seeds every declared field with a marker. The export holds each that may be shown. What is
 * sealed stands nowhere on disk, not even before the erasure. After it no row, no file and (on
 * SQLite, after the sweep) no byte of any marker is left; the clock moved far forward, only the
 * receipt and counts remain, and then they go too.
 */
static void mya_21_mya_23_rgt_02_rgt_04_every_record_is_exported_and_erased(void **state)
{
    (void)state;
    id subject = seed(), other = seed();
    CLEANUP(json_done) json_t *data = NULL;
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(takeout_collect(tx, &p, STR("account"), subject, TAKEOUT_ALL, &english, &data));
    tx_end(&tx);
    str text = json_encode(a, data, false);
    int shown = 0, sealed = 0;
    for (size_t i = 0; i < p.inventory->n_records; i++) {
        const struct record *r = &p.inventory->records[i];
        if (!record_of_any(r) && !str_is(r->subject, "account"))
            continue;
        for (size_t k = 0; k < r->n_fields; k++) {
            const struct field *f = &r->fields[k];
            bool marked = f->type == COLUMN_SEALED || (f->type == COLUMN_TEXT && !f->file);
            if (str_eq(r->name, STR("consent")) && str_eq(f->name, STR("purpose")))
                continue;
            if (marked && f->category->secret == str_contains(text, marker(r, f)))
                fail_msg("%s %s", f->category->secret ? "shown:" : "not exported:", str_cstr(a, marker(r, f)));
            shown += marked && !f->category->secret;
            if (f->type != COLUMN_SEALED && !f->file)
                continue;
            assert_int_equal(copies(str_cstr(a, marker(r, f))), 0);
            sealed++;
        }
    }
    assert_true(shown > 25 && sealed > 8);
    assert_true(copies("MARK-mail-kind") > 0); /* the search finds what is there: no person's, plain */
    assert_true(rows_of(subject) > 10);
    id receipt;
    tx = tx_begin(t.db, TX_WRITE, a, &fault);
    assert_ok(erasure_announce(tx, &p, subject, "request", clock_now(&clock_) + MOMENT_DAY, &receipt));
    assert_ok(tx_commit(tx));
    tx_end(&tx);

    int64_t others = rows_of(other), before = rows_of(subject);
    struct erasure_counts counts = {0};
    assert_ok(erasure_run(&p, STR("account"), &subject, 1, &counts, a, &fault));
    assert_int_equal(counts.records, before);
    assert_int_equal(counts.files, 1);
    assert_int_equal(rows_of(subject), 0);
    assert_int_equal(rows_of(other), others);
    tx = tx_begin(t.db, TX_READ, a, &fault);
    struct receipt got;
    assert_ok(erasure_receipt(tx, receipt, &got));
    assert_true(got.done > 0 && got.records == before && got.files == 1);
    assert_int_equal(takeout_collect(tx, &p, STR("account"), subject, TAKEOUT_ALL, &english, &data), ERR_NOT_FOUND);
    tx_end(&tx);
    assert_int_equal(number(str_fmt(a, "SELECT count(*) FROM erasure WHERE pending = '%s'", subject.text).p), 0);

    assert_ok(erasure_run(&p, STR("account"), &other, 1, &counts, a, &fault));
    struct sweep_report report;
    assert_ok(retention_sweep(&p, false, true, a, &report, &fault));
    if (kind == DB_SQLITE) {
        assert_ok(db_vacuum(t.db, &fault));
        assert_ok(db_vacuum(keyring.db, &fault));
        assert_int_equal(copies("MARK-"), 0);
        assert_int_equal(copies(subject.text), 0);
    }
    /* what the law holds: the receipt, and counts of sweeps; three years later nothing */
    assert_int_equal(number("SELECT count(*) FROM erasure"), 1);
    clock_.offset += 1100 * MOMENT_DAY;
    assert_ok(retention_sweep(&p, false, true, a, &report, &fault));
    assert_int_equal(number("SELECT count(*) FROM erasure"), 0);
}

/* ---- retention ---- */

static id plain_account(void)
{
    id subject = id_new();
    CLEANUP(key_wipe) struct key k;
    assert_ok(vault_add_subject(p.vault, subject, "account", a, &fault));
    assert_ok(vault_subject_key(p.vault, subject, &k, a, &fault));
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    seed_record(tx, inventory_record(p.inventory, STR("account")), subject, &k);
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    run(str_fmt(a, "UPDATE account SET country = '' WHERE id = '%s'", subject.text).p);
    return subject;
}

static moment at(const char *text)
{
    moment m;
    assert_int_equal(moment_parse(str_from(text), &m), OK);
    return m;
}

static void set_now(const char *text)
{
    struct clock real = {0};
    clock_.offset = at(text) - clock_now(&real);
}

static int64_t sweep_subjects(void)
{
    struct sweep_report report;
    assert_ok(retention_sweep(&p, false, false, a, &report, &fault));
    return report.subjects;
}

static void close_at(id subject, const char *when)
{
    run(str_fmt(a, "UPDATE account SET closed = %lld WHERE id = '%s'", (long long)at(when), subject.text).p);
}

/* Closed on 31 January: there until a day (and an hour) before the term's end on 28 February, gone
 * with the last sweep before it. Fails if a sweep is late, or earlier than its margin. */
static void mya_21_ret_06_closed_accounts_go_within_the_month(void **state)
{
    (void)state;
    id subject = plain_account(), open = plain_account();
    close_at(subject, "2026-01-31T12:00:00Z");
    set_now("2026-02-27T10:59:00Z");
    assert_int_equal(sweep_subjects(), 0);
    assert_int_equal(rows_of(subject), 1);
    set_now("2026-02-27T11:00:01Z"); /* 25 hours before: a day's outage breaks nothing */
    assert_int_equal(sweep_subjects(), 1);
    assert_int_equal(rows_of(subject), 0);
    assert_int_equal(rows_of(open), 1);
    CLEANUP(key_wipe) struct key k;
    assert_int_equal(vault_subject_key(p.vault, subject, &k, a, NULL), ERR_NOT_FOUND);
    id later = plain_account();
    set_now("2026-03-05T00:00:00Z");
    run(str_fmt(a, "UPDATE account SET erase_at = %lld WHERE id = '%s'", (long long)at("2026-03-05T00:00:01Z"), later.text).p);
    assert_int_equal(sweep_subjects(), 0); /* a chosen moment has no margin */
    set_now("2026-03-05T00:00:02Z");
    assert_int_equal(sweep_subjects(), 1);
}

static void mya_06_unconfirmed_registrations_expire(void **state)
{
    (void)state;
    id subject = plain_account();
    moment now = clock_now(&clock_);
    run(str_fmt(a, "UPDATE account SET unconfirmed = %lld WHERE id = '%s'", (long long)now, subject.text).p);
    clock_.offset += MOMENT_DAY;
    assert_int_equal(sweep_subjects(), 0);
    clock_.offset += 2 * MOMENT_DAY;
    assert_int_equal(sweep_subjects(), 1);
}

static void a_dry_run_only_counts(void **state)
{
    (void)state;
    id subject = plain_account();
    close_at(subject, "2020-01-31T12:00:00Z");
    struct sweep_report report;
    assert_ok(retention_sweep(&p, true, true, a, &report, &fault));
    assert_int_equal(report.subjects, 1);
    assert_true(str_is(report.lines[0].rule, "account.closed"));
    assert_int_equal(rows_of(subject), 1);
    assert_int_equal(number("SELECT count(*) FROM sweep"), 0);
}

static void more_than_a_batch_is_swept(void **state)
{
    (void)state;
    id subject = plain_account();
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    for (int i = 0; i < RETENTION_BATCH * 2 + 7; i++) {
        struct query *q = SQL(tx, "INSERT INTO ticket (account, id, kind, secret, detail, made, ends) "
                                  "VALUES ($1, $2, 'x', $3, '', 0, $4)");
        bind_id(q, subject);
        bind_id(q, id_new());
        bind_blob(q, STR("x"));
        bind_time(q, i == 0 ? INT64_MAX / 2 : 1);
        assert_ok(query_run(q));
    }
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    struct sweep_report report;
    assert_ok(retention_sweep(&p, false, false, a, &report, &fault));
    assert_int_equal(report.records, RETENTION_BATCH * 2 + 6);
    assert_int_equal(number("SELECT count(*) FROM ticket"), 1);
}

static const struct keep_rule *closed_rule(void)
{
    const struct record *r = inventory_record(p.inventory, STR("account"));
    for (size_t i = 0; i < r->n_rules; i++)
        if (str_is(r->rules[i].name, "account.closed"))
            return &r->rules[i];
    return NULL;
}

/* The same declarations, with one of account's changed. */
static void reload_with(const char *from, const char *to)
{
    struct inventory_source s[SOURCES];
    struct inventory *v;
    size_t n = read_sources(s), i = 0;
    while (!str_is(s[i].name, "src/features/account/records.yaml"))
        assert_true(++i < n);
    char *text = str_cstr(a, s[i].text), *found = strstr(text, from);
    struct buf b = buf_new(a, 1 << 20);
    assert_non_null(found);
    buf_put(&b, str_of(text, (size_t)(found - text)));
    buf_text(&b, to);
    buf_text(&b, found + strlen(from));
    s[i].text = buf_str(&b);
    assert_ok(inventory_read(a, s, n, &v, &fault));
    p.inventory = v;
    assert_ok(retention_load(&p, a, &fault));
}

/* A longer term holds for what is anchored after it was published, a shorter one at once. Fails if
 * a change of policy keeps anybody's data longer than was promised when it was given. */
static void ret_04_longer_terms_do_not_reach_back(void **state)
{
    (void)state;
    id before = plain_account(), after = plain_account();
    close_at(before, "2026-03-10T00:00:00Z");
    close_at(after, "2026-03-20T00:00:00Z");
    set_now("2026-03-15T00:00:00Z");
    reload_with("{after: account.closed, for: P1M}", "{after: account.closed, for: P2M}");
    assert_true(retention_due(&p, closed_rule(), at("2026-03-10T00:00:00Z")) == at("2026-04-10T00:00:00Z"));
    assert_true(retention_due(&p, closed_rule(), at("2026-03-20T00:00:00Z")) == at("2026-05-20T00:00:00Z"));
    set_now("2026-04-10T00:00:00Z");
    assert_int_equal(sweep_subjects(), 1);
    assert_int_equal(rows_of(before), 0);
    set_now("2026-05-10T00:00:00Z");
    assert_int_equal(sweep_subjects(), 0);
    reload_with("{after: account.closed, for: P1M}", "{after: account.closed, for: P14D}");
    assert_true(retention_due(&p, closed_rule(), at("2026-03-20T00:00:00Z")) == at("2026-04-03T00:00:00Z"));
    assert_int_equal(sweep_subjects(), 1);
}

/* GEN-12: the law of one country may shorten a term. */
static void gen_12_a_country_may_have_a_shorter_term(void **state)
{
    (void)state;
    struct buf b = buf_new(a, 1 << 20);
    buf_put(&b, source("demo/organisation.yaml"));
    buf_text(&b, "\ncountry_rules:\n  CN: {keep: {account.closed: P1W}}\n");
    p.organisation = read_organisation(buf_str(&b));
    assert_ok(retention_load(&p, a, &fault));
    id here = plain_account(), there = plain_account();
    close_at(here, "2026-03-10T00:00:00Z");
    close_at(there, "2026-03-10T00:00:00Z");
    run(str_fmt(a, "UPDATE account SET country = 'CN' WHERE id = '%s'", there.text).p);
    set_now("2026-03-16T23:00:00Z");
    assert_int_equal(sweep_subjects(), 1);
    assert_int_equal(rows_of(there), 0);
    assert_int_equal(rows_of(here), 1);
}

/* ---- erasure that is cut off, and backups ---- */

/* Fails if an erasure that is cut off at any call to either database leaves a person readable once
 * its key is gone, or cannot be finished. */
static void mya_21_a_cut_off_erasure_is_finished(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        for (int n = 1;; n++) {
            assert_true(n < 300);
            id subject = plain_account();
            struct erasure_counts counts = {0};
            db_make_faulty(which ? t.db : keyring.db, n);
            fault_clear(&fault);
            enum err e = erasure_run(&p, STR("account"), &subject, 1, &counts, a, &fault);
            db_make_faulty(which ? t.db : keyring.db, 0);
            if (e == OK)
                break;
            fault_clear(&fault);
            CLEANUP(key_wipe) struct key k;
            enum err key = vault_subject_key(p.vault, subject, &k, a, NULL);
            int64_t rows = rows_of(subject);
            assert_true((key == OK && rows == 1) || (key == ERR_NOT_FOUND && rows <= 1));
            assert_ok(erasure_reconcile(&p, &counts, &fault));
            assert_int_equal(rows_of(subject), key == OK ? 1 : 0);
        }
    }
}

/* A restored backup is joined with today's keyring: who was erased stays erased (RET-07). */
static void ret_07_mya_24_a_restored_backup_brings_nobody_back(void **state)
{
    (void)state;
    id gone[700], kept = plain_account();
    for (size_t i = 0; i < COUNT(gone); i++)
        gone[i] = plain_account();
    for (size_t i = 0; i < COUNT(gone); i += ERASURE_BATCH)
        assert_ok(vault_forget_many(p.vault, gone + i, MIN_OF(COUNT(gone) - i, (size_t)ERASURE_BATCH), a, &fault));
    /* the rows of the backup are all there; their keys are not */
    int64_t keyless;
    assert_ok(erasure_count_keyless(&p, &keyless, &fault));
    assert_int_equal(keyless, COUNT(gone));
    struct sweep_report report;
    assert_ok(retention_sweep(&p, false, true, a, &report, &fault));
    assert_int_equal(report.subjects, COUNT(gone));
    assert_int_equal(number("SELECT count(*) FROM account"), 1);
    assert_int_equal(rows_of(kept), 1);
    /* a key whose registration was cut off goes after an hour */
    id orphan = id_new();
    assert_ok(vault_add_subject(p.vault, orphan, "account", a, &fault));
    struct erasure_counts counts = {0};
    assert_ok(erasure_reconcile(&p, &counts, &fault));
    assert_int_equal(counts.subjects, 0);
    clock_.offset += 2 * MOMENT_HOUR;
    assert_ok(erasure_reconcile(&p, &counts, &fault));
    assert_int_equal(counts.subjects, 1);
}

/*
 * What an erasure and a sweep read does not grow with the store. Fails if one of their statements
 * reads a table for want of an index: of 700 accounts, each with a row in every record, one is
 * erased and one is due, in all that it has.
 */
static void the_cost_of_forgetting_does_not_grow(void **state)
{
    (void)state;
    if (kind != DB_SQLITE)
        return;
    struct erasure_counts counts = {0};
    struct sweep_report report;
    id subject = seed();
    for (int i = 0; i < 700; i++)
        seed();
    id due = seed();
    for (size_t i = 0; i < p.inventory->n_records; i++) {
        const struct record *r = &p.inventory->records[i];
        for (size_t k = 0; k < r->n_rules; k++)
            if (str_eq(r->rules[k].table, r->name) && record_has_subject(r))
                run(str_fmt(a, "UPDATE %.*s SET %.*s = 1 WHERE %.*s = '%s'", STR_FMT(r->name), STR_FMT(r->rules[k].field),
                            STR_FMT(record_subject_column(r)), due.text).p);
    }
    int64_t before = db_figures(t.db).scanned + db_figures(keyring.db).scanned;
    assert_ok(erasure_run(&p, STR("account"), &subject, 1, &counts, a, &fault));
    assert_ok(retention_sweep(&p, false, false, a, &report, &fault));
    assert_int_equal(report.subjects, 1);
    assert_true(report.records > 8);
    int64_t scanned = db_figures(t.db).scanned + db_figures(keyring.db).scanned - before;
    if (scanned > 100)
        fail_msg("%lld rows were read for want of an index", (long long)scanned);
}

/* ---- consent ---- */

static const struct purpose *news(void)
{
    return inventory_purpose(p.inventory, STR("product-news"));
}

static bool holds(id subject)
{
    bool yes;
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(consent_holds(tx, &p, subject, news(), &yes, NULL));
    tx_end(&tx);
    return yes;
}

static void decide(id subject, bool granted, const char *language, const char *way)
{
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    assert_ok(consent_record(tx, &p, subject, news(), granted, language, way));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
}

static void cns_02_gen_04_decisions_are_kept_with_their_proof(void **state)
{
    (void)state;
    id subject = plain_account();
    assert_false(holds(subject));
    decide(subject, false, "en", CONSENT_WAY_SETTINGS); /* nothing to withdraw */
    decide(subject, true, "sv", CONSENT_WAY_SIGN_UP);
    decide(subject, true, "sv", CONSENT_WAY_SETTINGS); /* given already */
    assert_true(holds(subject));
    decide(subject, false, "en", CONSENT_WAY_MAIL);
    assert_false(holds(subject));
    struct consent *list;
    size_t n;
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(consent_history(tx, &p, subject, &list, &n));
    assert_int_equal(n, 2);
    assert_true(!list[0].granted && list[1].granted && str_is(list[1].language, "sv"));
    assert_true(str_is(list[1].way, CONSENT_WAY_SIGN_UP) && list[1].version == 1);
    assert_true(str_is(list[1].wording, "consent.product-news.1"));
    CLEANUP(json_done) json_t *receipt = consent_receipt(&p, a, subject, &list[1]);
    assert_true(str_is(json_get_str(json_object_get(receipt, "controller"), "name"), "Example Security AB"));
    assert_ok(consent_check_chain(tx, subject));
    tx_end(&tx);
    static const char *const tampering[] = {
        "UPDATE consent SET way = 'forged' WHERE seq = 1",
        "UPDATE consent SET made = made + 1 WHERE seq = 2",
        "DELETE FROM consent WHERE seq = 1",
    };
    for (size_t i = 0; i < COUNT(tampering); i++) {
        id victim = plain_account();
        decide(victim, true, "en", CONSENT_WAY_SIGN_UP);
        decide(victim, false, "en", CONSENT_WAY_MAIL);
        run(str_fmt(a, "%s AND subject = '%s'", tampering[i], victim.text).p);
        tx = tx_begin(t.db, TX_READ, a, &fault);
        assert_int_equal(consent_check_chain(tx, victim), ERR_CONFLICT);
        tx_end(&tx);
    }
}

static void cns_05_a_changed_text_needs_a_new_consent(void **state)
{
    (void)state;
    id subject = plain_account();
    decide(subject, true, "en", CONSENT_WAY_SIGN_UP);
    reload_with("legal_basis: consent, version: 1", "legal_basis: consent, version: 2");
    assert_false(holds(subject));
    /* and a text that changes under its version stops the start */
    run("UPDATE consent_text SET hash = wording_bytes FROM (SELECT hash AS wording_bytes FROM consent_text LIMIT 0) x");
    run(kind == DB_SQLITE ? "UPDATE consent_text SET hash = x'00'" : "UPDATE consent_text SET hash = '\\x00'");
    reload_with("legal_basis: consent, version: 1", "legal_basis: consent, version: 1");
    fault_clear(&fault);
    assert_int_equal(consent_publish(&p, &fault), ERR_CONFLICT);
    assert_non_null(strstr(fault.text, "raise it in records.yaml"));
}

static void ret_03_a_consent_with_a_period_ends(void **state)
{
    (void)state;
    reload_with("legal_basis: consent, version: 1", "legal_basis: consent, version: 1, lasts: P1M");
    id subject = plain_account();
    decide(subject, true, "en", CONSENT_WAY_SIGN_UP);
    assert_true(holds(subject));
    clock_.offset += 32 * MOMENT_DAY;
    assert_false(holds(subject));
    sweep_subjects();
    struct consent *list;
    size_t n;
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(consent_history(tx, &p, subject, &list, &n));
    assert_int_equal(n, 2);
    assert_true(str_is(list[0].way, CONSENT_WAY_ENDED) && !list[0].granted);
    tx_end(&tx);
}

/* ---- may we? ---- */

static enum may may(id subject, const char *country, const char *purpose)
{
    enum may m;
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(privacy_may(tx, &p, subject, str_from(country), purpose, &m));
    tx_end(&tx);
    return m;
}

static void key_of(id subject, struct key *k)
{
    assert_ok(vault_subject_key(p.vault, subject, k, a, &fault));
}

static void gen_22_cns_04_use_is_asked_for_at_the_time_of_use(void **state)
{
    (void)state;
    id subject = plain_account();
    assert_int_equal(may(subject, "", "provide-account"), MAY);
    assert_int_equal(may(subject, "", "sell-to-brokers"), MAY_NOT_DECLARED);
    assert_int_equal(may(subject, "", "product-news"), MAY_NOT_CONSENTED);
    decide(subject, true, "en", CONSENT_WAY_SIGN_UP);
    assert_int_equal(may(subject, "", "product-news"), MAY);
    decide(subject, false, "en", CONSENT_WAY_MAIL);
    assert_int_equal(may(subject, "", "product-news"), MAY_NOT_CONSENTED);
}

static void rgt_05_restriction_stops_all_but_the_essential(void **state)
{
    (void)state;
    id subject = plain_account();
    CLEANUP(key_wipe) struct key k;
    key_of(subject, &k);
    decide(subject, true, "en", CONSENT_WAY_SIGN_UP);
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    assert_int_equal(restriction_set(tx, &p, subject, &k, STR("because"), STR("")), ERR_INPUT);
    tx_end(&tx);
    fault_clear(&fault);
    tx = tx_begin(t.db, TX_WRITE, a, &fault);
    assert_ok(restriction_set(tx, &p, subject, &k, STR("accuracy"), STR("My country is wrong")));
    assert_int_equal(restriction_set(tx, &p, subject, &k, STR("accuracy"), STR("")), ERR_CONFLICT);
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    assert_int_equal(may(subject, "", "product-news"), MAY_NOT_RESTRICTED);
    assert_int_equal(may(subject, "", "protect-accounts"), MAY_NOT_RESTRICTED);
    assert_int_equal(may(subject, "", "sign-in"), MAY);
    struct restriction r;
    tx = tx_begin(t.db, TX_WRITE, a, &fault);
    assert_ok(restriction_get(tx, &p, subject, &k, &r));
    assert_true(r.active && str_is(r.note, "My country is wrong"));
    assert_ok(restriction_lift(tx, &p, subject));
    assert_int_equal(restriction_lift(tx, &p, subject), ERR_CONFLICT);
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    assert_int_equal(may(subject, "", "product-news"), MAY);
}

static id object(id subject, const char *purpose, const char *same)
{
    CLEANUP(key_wipe) struct key k;
    key_of(subject, &k);
    struct objection *list;
    size_t n;
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    assert_ok(objection_make(tx, &p, subject, &k, str_from(purpose), STR("I live with my ex"), str_from(same)));
    assert_ok(objection_list(tx, &p, subject, &k, &list, &n));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    return list[0].id;
}

static enum err rule(id which, bool uphold, const char *by, const char *ground)
{
    struct fault own = {0};
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &own);
    enum err e = objection_decide(tx, &p, which, uphold, str_from(by), str_from(ground));
    if (e == OK)
        e = tx_commit(tx);
    tx_end(&tx);
    return e;
}

static void rgt_07_gen_15_objections_stop_use_until_a_human_decides(void **state)
{
    (void)state;
    id subject = seed();
    assert_int_equal(may(subject, "", "protect-accounts"), MAY);
    assert_true(number("SELECT count(*) FROM session_origin") == 1);
    id which = object(subject, "protect-accounts", "");
    assert_int_equal(may(subject, "", "protect-accounts"), MAY_NOT_OBJECTED);
    assert_int_equal(number("SELECT count(*) FROM session_origin"), 0); /* what was kept for it is gone */
    assert_int_equal(rule(which, false, "", "claims"), ERR_INPUT);
    assert_int_equal(rule(which, false, "Karin Ek", " "), ERR_INPUT);
    assert_int_equal(may(subject, "", "protect-accounts"), MAY_NOT_OBJECTED);
    assert_int_equal(rule(which, false, "Karin Ek", "A fraud case is open"), OK);
    assert_int_equal(rule(which, true, "Karin Ek", ""), ERR_CONFLICT);
    assert_int_equal(may(subject, "", "protect-accounts"), MAY);
    CLEANUP(key_wipe) struct key k;
    struct objection *list;
    size_t n;
    key_of(subject, &k);
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(objection_list(tx, &p, subject, &k, &list, &n));
    bool found = false;
    for (size_t i = 0; i < n; i++)
        found |= id_eq(list[i].id, which) && str_is(list[i].state, "overruled") &&
                 str_is(list[i].ground, "A fraud case is open") && str_is(list[i].reason, "I live with my ex");
    assert_true(found);
    tx_end(&tx);
    /* contract and essential purposes cannot be objected to */
    assert_false(objection_possible(&p, STR("provide-account")));
    assert_false(objection_possible(&p, STR("run-portal")));
    assert_false(objection_possible(&p, STR("nothing")));
}

static void rgt_09_ntf_03_objecting_to_marketing_is_absolute(void **state)
{
    (void)state;
    id subject = plain_account();
    decide(subject, true, "en", CONSENT_WAY_SIGN_UP);
    id which = object(subject, OBJECTION_MARKETING, "anna@example.com");
    assert_int_equal(may(subject, "", "product-news"), MAY_NOT_OBJECTED);
    assert_int_equal(rule(which, false, "Karin Ek", "we want to"), ERR_CONFLICT);
    bool has;
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(suppression_has(tx, &p, STR("anna@example.com"), &has));
    assert_true(has);
    assert_ok(suppression_has(tx, &p, STR("bo@example.com"), &has));
    assert_false(has);
    tx_end(&tx);
    /* by the purpose's own name it is as absolute, whatever the purpose rests on */
    reload_with("  product-news:", "  offer-surveys: {legal_basis: legitimate-interest, marketing: true}\n  product-news:");
    id other = plain_account();
    assert_int_equal(may(other, "", "offer-surveys"), MAY);
    assert_int_equal(rule(object(other, "offer-surveys", ""), false, "Karin Ek", "we want to"), ERR_CONFLICT);
    assert_int_equal(may(other, "", "offer-surveys"), MAY_NOT_OBJECTED);
    /* it outlives the account, as a hash */
    struct erasure_counts counts = {0};
    assert_ok(erasure_run(&p, STR("account"), &subject, 1, &counts, a, &fault));
    tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(suppression_has(tx, &p, STR("anna@example.com"), &has));
    assert_true(has);
    tx_end(&tx);
    assert_int_equal(copies("anna@example.com"), 0);
}

static void decide_for(id subject, const char *purpose, bool granted)
{
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    assert_ok(consent_record(tx, &p, subject, inventory_purpose(p.inventory, str_from(purpose)), granted, "en", CONSENT_WAY_SETTINGS));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
}

static void gen_13_gen_14_countries_ask_for_more(void **state)
{
    (void)state;
    struct buf b = buf_new(a, 1 << 20);
    buf_put(&b, source("demo/organisation.yaml"));
    buf_text(&b, "\ncountry_rules:\n"
                 "  CN: {purposes: {provide-account: {separate_consent: true}}}\n"
                 "  CH: {purposes: {protect-accounts: {assessment: true}}}\n"
                 "  GB: {purposes: {protect-accounts: {assessment: true, assessment_ref: DPIA-7}}}\n");
    p.organisation = read_organisation(buf_str(&b));
    id subject = plain_account();
    assert_int_equal(may(subject, "SE", "provide-account"), MAY);
    assert_int_equal(may(subject, "CN", "provide-account"), MAY_NOT_CONSENTED);
    assert_int_equal(may(subject, "CH", "protect-accounts"), MAY_NOT_ASSESSED);
    assert_int_equal(may(subject, "GB", "protect-accounts"), MAY);
    decide_for(subject, "provide-account", true);
    assert_int_equal(may(subject, "CN", "provide-account"), MAY);
    /* where the caller does not say the country, it is the person's: no caller forgets it */
    assert_int_equal(may(subject, "", "protect-accounts"), MAY);
    run("UPDATE account SET country = 'CH'");
    assert_int_equal(may(subject, "", "protect-accounts"), MAY_NOT_ASSESSED);
    run("UPDATE account SET country = 'CN'");
    assert_int_equal(may(subject, "", "provide-account"), MAY);
    decide_for(subject, "provide-account", false);
    assert_int_equal(may(subject, "", "provide-account"), MAY_NOT_CONSENTED);
    /* the ledger holds what was asked, as for any consent */
    assert_ok(consent_publish(&p, &fault));
    struct consent *list;
    size_t n;
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(consent_history(tx, &p, subject, &list, &n));
    assert_int_equal(n, 2);
    assert_true(str_is(list[0].wording, "purpose.provide-account") && str_is(list[1].wording, "purpose.provide-account"));
    tx_end(&tx);
}

/* ---- lookups ---- */

static id account_at(const char *address)
{
    CLEANUP(key_wipe) struct key k;
    id subject = plain_account();
    key_of(subject, &k);
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    struct query *q = SQL(tx, "UPDATE account SET email = $2 WHERE id = $1");
    bind_id(q, subject);
    bind_blob(q, privacy_seal(a, &k, "account", "email", subject, str_from(address)));
    assert_ok(query_run(q));
    str lower = str_lower(a, str_from(address));
    assert_ok(lookup_add(tx, &p, "account_email", lower, subject));
    assert_int_equal(lookup_add(tx, &p, "account_email", lower, id_new()), ERR_CONFLICT);
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    return subject;
}

static enum err find(const char *address, id *out)
{
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    enum err e = lookup_find(tx, &p, "account_email", str_from(address), out);
    tx_end(&tx);
    return e;
}

/* Fails if an address stands readable on disk, if renewal loses an account, or if a hash in an old
 * copy can still be compared with a guess afterwards. */
static void mya_04_addresses_are_found_by_a_hash_that_is_renewed(void **state)
{
    (void)state;
    id anna = account_at("Anna@Example.com"), bo = account_at("bo@example.com"), found;
    assert_int_equal(find("anna@example.com", &found), OK);
    assert_true(id_eq(found, anna));
    assert_int_equal(find("cecilia@example.com", &found), ERR_NOT_FOUND);
    assert_int_equal(copies("nna@Example.com"), 0);
    struct vault_hashes before, after;
    assert_ok(vault_hash(p.vault, "account_email", STR("anna@example.com"), &before, a, &fault));
    for (int n = 1;; n++) { /* cut off anywhere: everybody is found all the time */
        assert_true(n < 100);
        db_make_faulty(t.db, n);
        enum err e = lookup_renew(&p, NULL, &fault);
        db_make_faulty(t.db, 0);
        fault_clear(&fault);
        assert_int_equal(find("anna@example.com", &found), OK);
        assert_int_equal(find("bo@example.com", &found), OK);
        assert_true(id_eq(found, bo));
        if (e == OK)
            break;
    }
    assert_ok(vault_hash(p.vault, "account_email", STR("anna@example.com"), &after, a, &fault));
    assert_int_equal(after.n, 1);
    assert_memory_not_equal(before.bytes[0], after.bytes[0], VAULT_HASH_BYTES);
    assert_int_equal(number("SELECT count(*) FROM account_email"), 2);
}

/* Fails if people in a backup from before a renewal are not found after it was restored: they could
 * not sign in, and somebody else could take their address. */
static void ret_07_a_restored_backup_is_found_again(void **state)
{
    (void)state;
    id anna = account_at("anna@example.com"), found;
    int64_t rehashed;
    struct vault_hashes before;
    assert_ok(vault_hash(p.vault, "account_email", STR("anna@example.com"), &before, a, &fault));
    assert_ok(lookup_renew(&p, NULL, &fault));
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault); /* the row as the backup has it */
    struct query *q = SQL(tx, "UPDATE account_email SET hash = $1, generation = $2 WHERE account = $3");
    bind_blob(q, str_of(before.bytes[0], VAULT_HASH_BYTES));
    bind_int(q, before.generation[0]);
    bind_id(q, anna);
    assert_ok(query_run(q));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    assert_int_equal(find("anna@example.com", &found), ERR_NOT_FOUND);
    assert_ok(lookup_catch_up(&p, &rehashed, &fault));
    assert_int_equal(rehashed, 1);
    assert_int_equal(find("anna@example.com", &found), OK);
    assert_true(id_eq(found, anna));
    assert_ok(lookup_catch_up(&p, &rehashed, &fault));
    assert_int_equal(rehashed, 0);
}

/* ---- the security log ---- */

static void note_event(id subject, const struct key *k, const char *what, str note)
{
    struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    struct trail_event e = {.kind = str_from(what), .address = STR("192.0.2.44"), .browser = STR("Firefox, Linux"), .note = note};
    assert_ok(trail_add(tx, &p, subject, k, &e));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
}

static enum err log_state(id subject, const struct key *k)
{
    return trail_check(t.db, &p, subject, k, &fault);
}

/* Fails if a log that was tampered with passes for whole, or one that aged as it should for broken. */
static void sec_04_rec_07_a_security_log_shows_what_was_done_to_it(void **state)
{
    (void)state;
    id subject = plain_account();
    CLEANUP(key_wipe) struct key k;
    key_of(subject, &k);
    assert_int_equal(log_state(subject, &k), OK);
    static const char *const kinds[] = {"signed-in", "password-changed", "read-by-staff", "signed-out"};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        note_event(subject, &k, kinds[i], STR("MARK-log-note"));
        clock_.offset += 40 * MOMENT_DAY;
    }
    assert_int_equal(log_state(subject, &k), OK);
    assert_int_equal(copies("MARK-log-note"), 0);
    struct trail_event *list;
    size_t n;
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(trail_list(tx, &p, subject, &k, 0, 3, &list, &n));
    assert_int_equal(n, 3);
    assert_true(str_is(list[0].kind, "signed-out") && list[0].seq == 4 && str_is(list[0].note, "MARK-log-note"));
    assert_ok(trail_list(tx, &p, subject, &k, 2, 3, &list, &n));
    assert_true(n == 1 && str_is(list[0].kind, "signed-in") && str_is(list[0].address, "192.0.2.44"));
    tx_end(&tx);

    static const char *const tampering[] = {
        "UPDATE security_event SET kind = 'signed-in' WHERE seq = 2",
        "UPDATE security_event SET made = made + 1 WHERE seq = 3",
        "UPDATE security_event SET actor = 'x' WHERE seq = 3",
        "UPDATE security_event SET note = address WHERE seq = 3",
        "UPDATE security_event SET chain = (SELECT chain FROM security_event WHERE seq = 1) WHERE seq = 2",
        "DELETE FROM security_event WHERE seq = 2",
        "DELETE FROM security_event WHERE seq = 4", /* the newest: nothing follows it */
        "DELETE FROM security_event WHERE seq = 1", /* the oldest, before its time */
        "DELETE FROM security_event",
        "UPDATE security_head SET seq = 3",
        "DELETE FROM security_head",
    };
    run("CREATE TABLE kept AS SELECT * FROM security_event");
    run("CREATE TABLE kept_head AS SELECT * FROM security_head");
    for (size_t i = 0; i < COUNT(tampering); i++) {
        run(tampering[i]);
        if (log_state(subject, &k) != ERR_CONFLICT)
            fail_msg("passes for whole: %s", tampering[i]);
        run("DELETE FROM security_event");
        run("DELETE FROM security_head");
        run("INSERT INTO security_event SELECT * FROM kept");
        run("INSERT INTO security_head SELECT * FROM kept_head");
        assert_int_equal(log_state(subject, &k), OK);
    }
    run("DROP TABLE kept");
    run("DROP TABLE kept_head");

    /* Rows leave by their term, one after the other, and the rest is whole. */
    for (int month = 0; month < 13; month++) {
        struct sweep_report report;
        clock_.offset += 31 * MOMENT_DAY;
        assert_ok(retention_sweep(&p, false, false, a, &report, &fault));
        assert_int_equal(log_state(subject, &k), OK);
    }
    assert_int_equal(number("SELECT count(*) FROM security_event"), 0);
    note_event(subject, &k, "signed-in", STR(""));
    assert_int_equal(log_state(subject, &k), OK);
    struct trail_event e = {.kind = STR("signed-in"), .note = str_of(arena_alloc(a, TRAIL_NOTE_MAX + 1), TRAIL_NOTE_MAX + 1)};
    tx = tx_begin(t.db, TX_WRITE, a, &fault);
    assert_int_equal(trail_add(tx, &p, subject, &k, &e), ERR_INPUT);
    tx_end(&tx);
}

/* ---- taking along ---- */

static str zip_entry(str zip, const char *name)
{
    zip_error_t error;
    zip_source_t *s = zip_source_buffer_create(zip.p, zip.n, 0, &error);
    zip_t *z = zip_open_from_source(s, ZIP_RDONLY | ZIP_CHECKCONS, &error);
    assert_non_null(z);
    zip_file_t *f = zip_fopen(z, name, 0);
    if (f == NULL) {
        zip_discard(z);
        return (str){NULL, 0};
    }
    char *out = arena_alloc(a, 1 << 20);
    zip_int64_t n = zip_fread(f, out, 1 << 20);
    assert_true(n >= 0);
    zip_fclose(f);
    zip_discard(z);
    return str_of(out, (size_t)n);
}

static void rgt_06_the_zip_is_whole_sealed_and_portable(void **state)
{
    (void)state;
    id subject = seed();
    for (int portable = 0; portable < 2; portable++) {
        const char *scope = portable ? TAKEOUT_PORTABLE : TAKEOUT_ALL;
        id which;
        struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
        assert_ok(takeout_ask(tx, &p, subject, scope, &which));
        assert_int_equal(takeout_ask(tx, &p, subject, scope, &which), ERR_LIMIT);
        struct takeout *list;
        size_t n;
        assert_ok(takeout_list(tx, subject, &list, &n));
        assert_ok(tx_commit(tx));
        tx_end(&tx);
        which = list[0].id;
        for (size_t i = 0; i < n; i++)
            if (list[i].ready == 0)
                which = list[i].id;
        assert_ok(takeout_make(&p, STR("account"), subject, which, &english, a, &fault));
        assert_ok(takeout_make(&p, STR("account"), subject, which, &english, a, &fault));
        struct takeout x;
        tx = tx_begin(t.db, TX_READ, a, &fault);
        assert_ok(takeout_get(tx, subject, which, &x));
        assert_int_equal(takeout_get(tx, id_new(), which, &x), ERR_NOT_FOUND);
        tx_end(&tx);
        CLEANUP(key_wipe) struct key k;
        key_of(subject, &k);
        struct sealed_reader *r;
        struct buf b = buf_new(a, 8 << 20);
        assert_ok(sealed_open(p.files, x.file, &k, a, &r, &fault));
        for (str s = {"x", 1}; s.n > 0;) {
            assert_ok(sealed_read(r, &s));
            buf_put(&b, s);
        }
        sealed_close(&r);
        assert_int_equal(buf_str(&b).n, x.size);
        CLEANUP(json_done) json_t *data = NULL, *schema = NULL;
        assert_ok(json_decode(zip_entry(buf_str(&b), "data.json"), &data, &fault));
        assert_ok(json_decode(zip_entry(buf_str(&b), "schema.json"), &schema, &fault));
        str html = zip_entry(buf_str(&b), "index.html");
        assert_true(str_contains(html, STR("MARK-account-email")));
        assert_true(str_contains(html, STR("MARK-session_origin-address")) == !portable);
        assert_int_equal(json_object_get(json_object_get(data, "records"), "session_origin") != NULL, !portable);
        /* every record and field that is there, the schema knows */
        const char *record, *name;
        json_t *rows, *value;
        const json_t *known = json_object_get(json_object_get(json_object_get(schema, "properties"), "records"), "properties");
        json_object_foreach(json_object_get(data, "records"), record, rows)
        {
            const json_t *fields = json_object_get(json_object_get(json_object_get(known, record), "items"), "properties");
            json_object_foreach(json_array_get(rows, 0), name, value)
                assert_non_null(json_object_get(fields, name));
        }
    }
    assert_int_equal(copies("MARK-account-email"), 0);
}

/* ---- the published policy ---- */

static void gen_25_gen_06_versions_are_published_and_never_change(void **state)
{
    (void)state;
    int n;
    assert_ok(policy_publish(&p, &n, &fault));
    assert_int_equal(n, p.inventory->n_services);
    assert_ok(policy_publish(&p, &n, &fault));
    assert_int_equal(n, 0);
    p.policies = policies_new(); /* as the portal has it */
    CLEANUP(json_done) json_t *one = NULL, *again = NULL, *two = NULL, *sv = NULL;
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(policy_get(tx, &p, STR("portal"), 0, &english, &one));
    assert_int_equal(policy_get(tx, &p, STR("nothing"), 0, &english, &two), ERR_NOT_FOUND);
    tx_end(&tx);
    /* the matrix says what is declared */
    const json_t *purposes = json_object_get(one, "purposes");
    size_t named = 0;
    for (size_t i = 0; i < json_array_size(purposes); i++) {
        const json_t *x = json_array_get(purposes, i);
        const struct purpose *declared = inventory_purpose(p.inventory, json_get_str(x, "name"));
        assert_true(str_is(json_get_str(x, "legal_basis"), basis_name(declared->basis)));
        named += str_is(declared->name, "product-news") && declared->basis == BASIS_CONSENT;
    }
    assert_int_equal(named, 1);

    clock_.offset += MOMENT_DAY;
    reload_with("{after: account.closed, for: P1M}", "{after: account.closed, for: P14D}");
    str service;
    tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(policy_check(tx, &p, &service));
    tx_end(&tx);
    /* the test's catalog has no texts, so a term does not show in words; a new field does */
    reload_with("zone:        {type: text, category: time-zone}",
                "zone:        {type: text, category: time-zone}\n      nickname: {type: sealed, category: name, null: true}");
    tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(policy_check(tx, &p, &service));
    assert_true(str_is(service, "portal"));
    tx_end(&tx);
    assert_ok(policy_publish(&p, &n, &fault));
    assert_int_equal(n, 1);
    struct policy_version *versions;
    size_t count;
    tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(policy_versions(tx, &p, STR("portal"), &versions, &count));
    assert_int_equal(count, 2);
    assert_ok(policy_get(tx, &p, STR("portal"), 1, &english, &again));
    assert_ok(policy_get(tx, &p, STR("portal"), 0, &english, &two));
    assert_ok(policy_get(tx, &p, STR("portal"), 0, &swedish, &sv));
    tx_end(&tx);
    assert_true(json_equal(one, again));
    /* what a page adds to its own is not there for the next one */
    json_put_bool(again, "changed", true);
    json_t *third = NULL;
    tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(policy_get(tx, &p, STR("portal"), 1, &english, &third));
    tx_end(&tx);
    assert_true(json_equal(one, third));
    json_decref(third);
    policies_free(&p.policies);
    assert_int_equal(json_get_int(two, "version"), 2);
    assert_int_equal(json_get_int(sv, "version"), 2);
    assert_int_equal(json_array_size(json_object_get(two, "changes")), 1);
    assert_true(str_is(json_str(json_array_get(json_object_get(two, "changes"), 0)), "change.field-added"));
}

static void the_record_of_processing_names_every_record(void **state)
{
    (void)state;
    str csv = policy_record_csv(&p, a, &english);
    CLEANUP(json_done) json_t *dpv = policy_record_dpv(&p, a, &english);
    size_t lines = 0, personal = 0;
    for (size_t i = 0; i < csv.n; i++)
        lines += csv.p[i] == '\n';
    for (size_t i = 0; i < p.inventory->n_records; i++)
        personal += record_has_subject(&p.inventory->records[i]);
    assert_int_equal(lines, p.inventory->n_records + 1);
    assert_int_equal(json_array_size(json_object_get(dpv, "@graph")), personal);
}

/* ---- verification ---- */

static enum err always_kept(struct check *c)
{
    c->verdict = VERDICT_KEPT;
    c->evidence = "evidence.none";
    return OK;
}

/* What features check is tried where they are: here every such promise is kept. */
static struct verify_facts facts_of(const struct inventory *v)
{
    struct named_check *checks = ARENA_ARRAY(a, struct named_check, v->n_promises);
    for (size_t i = 0; i < v->n_promises; i++)
        checks[i] = (struct named_check){str_cstr(a, v->promises[i].check), always_kept};
    return (struct verify_facts){&none, checks, v->n_promises, {0, 7 * MOMENT_DAY}, NULL};
}

static enum verdict verdict_of(const char *promise)
{
    struct promise_state *list;
    size_t n;
    int64_t kept, all;
    struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    assert_ok(verify_states(tx, &p, &english, &list, &n));
    assert_ok(verify_count(tx, &p, &kept, &all));
    tx_end(&tx);
    for (size_t i = 0; i < n; i++)
        kept -= list[i].verdict == VERDICT_KEPT;
    assert_int_equal(kept, 0); /* the short way to the number finds the same */
    assert_int_equal(all, n);
    for (size_t i = 0; i < n; i++)
        if (str_is(list[i].promise, promise))
            return list[i].verdict;
    fail_msg("no promise %s", promise);
    return VERDICT_UNKNOWN;
}

/* Fails if a broken promise is not found: each is broken on purpose, once. */
static void ret_06_verify_finds_each_broken_promise(void **state)
{
    (void)state;
    int broken = -1;
    struct sweep_report report;
    struct verify_facts facts = facts_of(p.inventory);
    id subject = plain_account();
    decide(subject, true, "en", CONSENT_WAY_SIGN_UP);
    run("UPDATE account SET language = 'en'");
    assert_ok(policy_publish(&p, NULL, &fault));
    assert_ok(retention_sweep(&p, false, true, a, &report, &fault));
    assert_ok(verify_run(&p, &facts, &broken, &fault));
    if (broken != 0) {
        struct promise_state *list;
        size_t n;
        struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
        assert_ok(verify_states(tx, &p, &english, &list, &n));
        tx_end(&tx);
        for (size_t i = 0; i < n; i++)
            if (list[i].verdict != VERDICT_KEPT)
                fail_msg("%s is broken", str_cstr(a, list[i].promise));
    }
    moment now = clock_now(&clock_);
    str overdue = str_fmt(a, "UPDATE account SET closed = %lld", (long long)(now - 40 * MOMENT_DAY));
    str late = str_fmt(a, "INSERT INTO erasure (id, cause, pending, asked, due, done, records, files) "
                          "VALUES ('x', 'request', 'y', %lld, %lld, NULL, 0, 0)", (long long)now, (long long)(now - 1));
    struct {
        const char *promise, *breaks, *mends;
    } cases[] = {
        {"rule:account:account.closed", overdue.p, "UPDATE account SET closed = NULL"},
        {"declared-columns", "ALTER TABLE account ADD COLUMN shoe_size BIGINT", "ALTER TABLE account DROP COLUMN shoe_size"},
        {"consents-unchanged", "UPDATE consent SET way = 'forged'", "UPDATE consent SET way = 'sign-up-form'"},
        {"erased-in-time", late.p, "DELETE FROM erasure"},
        {"empty-receipts", "INSERT INTO erasure (id, cause, pending, asked, due, done, records, files) VALUES ('x', 'request', 'y', 0, 5, 1, 0, 0)", "DELETE FROM erasure"},
        {"published-policy", "UPDATE policy_version SET hash = (SELECT hash FROM consent_text LIMIT 1)", NULL},
        {"sealed-values", kind == DB_SQLITE ? "UPDATE account SET email = CAST('anna@example.com' AS BLOB)" : "UPDATE account SET email = 'anna@example.com'", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        run(cases[i].breaks);
        assert_ok(verify_run(&p, &facts, &broken, &fault));
        if (verdict_of(cases[i].promise) != VERDICT_BROKEN)
            fail_msg("not found: %s", cases[i].promise);
        if (cases[i].mends == NULL)
            continue;
        run(cases[i].mends);
        assert_ok(verify_run(&p, &facts, &broken, &fault));
        if (verdict_of(cases[i].promise) != VERDICT_KEPT)
            fail_msg("still broken: %s", cases[i].promise);
    }
    assert_ok(vault_forget(p.vault, subject, a, &fault));
    clock_.offset += 9 * MOMENT_DAY; /* no sweep, no rotation */
    assert_ok(verify_run(&p, &facts, &broken, &fault));
    assert_int_equal(verdict_of("nobody-comes-back"), VERDICT_BROKEN);
    assert_int_equal(verdict_of("keys-replaced"), VERDICT_BROKEN);
    assert_int_equal(verdict_of("swept-in-time"), VERDICT_BROKEN);
}

/* ---- what the inventory refuses ---- */

static void gen_05_gen_11_bad_declarations_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"records: {}", "x:1: the file says no service"},
        {"service: s\nrecord: {}", "x:2: record is not a word of this file"},
        {"service: s\nrecords: {a: {kind: subject, fields: {b: {type: text, category: count}}}}", "x:2: a says no purpose"},
        {"service: s\npurposes: {p: {legal_basis: habit}}", "x:2: habit is no legal_basis"},
        {"service: s\npurposes: {p: {legal_basis: consent}}", "x:2: purpose p rests on consent: say the version of its text"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords:\n  a:\n    kind: subject\n    purpose: p\n    keep: [{at: t}]\n"
         "    fields:\n      t: {type: time, category: lifecycle}\n      email: {type: text, category: email-address}",
         "x:10: field email holds email-address, which must be sealed"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords:\n  a: {kind: subject, purpose: p, keep: [{at: t}], fields: {t: {type: time, category: lifecycle}, health_note: {type: sealed, category: free-text}}}",
         "x:4: health_note: data of special categories is not kept (GEN-11)"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords: {a: {kind: subject, purpose: p, fields: {t: {type: time, category: lifecycle}}}}",
         "x:3: record a says not how long it is kept"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords: {a: {kind: subject, purpose: p, keep: [{after: u, for: P1M}], fields: {t: {type: time, category: lifecycle}}}}",
         "x:3: u is no time field of this record or of its subject"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords: {a: {kind: subject, purpose: p, keep: [{after: t, for: 1 month}], fields: {t: {type: time, category: lifecycle}}}}",
         "x:3: 1 month is no term (ISO 8601: P1M, P14D, PT30M)"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords: {a: {kind: log, purpose: p, keep: [{at: t}], fields: {t: {type: time, category: lifecycle}, n: {type: sealed, category: name}}}}",
         "x:3: n is sealed: with whose key? the record has no subject"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords: {order: {kind: subject, purpose: p, fields: {}}}",
         "x:3: order cannot name a table or column"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords: {a: {subject: nobody, purpose: p, fields: {t: {type: time, category: lifecycle}}}}",
         "x:3: nobody is no kind of subject"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords: {a: {kind: subject, purpose: p, keep: [{at: t}], staff: support, fields: {t: {type: time, category: lifecycle}}}}",
         "x:3: staff is a list of roles"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords:\n  a:\n    kind: subject\n    purpose: p\n    keep: [{at: t}]\n    staff: [support,\n      pope]\n"
         "    fields: {t: {type: time, category: lifecycle}}", "x:9: pope is no role"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords: {a: {kind: subject, purpose: p, keep: [{at: t}], staff: [privacy, support, privacy], fields: {t: {type: time, category: lifecycle}}}}",
         "x:3: the role privacy stands twice"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\nrecords: {a: {kind: log, purpose: p, keep: [{at: t}], staff: [support], fields: {t: {type: time, category: lifecycle}}}}",
         "x:3: a is of nobody: there is nothing to protect from the staff"},
        {"service: s\npurposes: {p: {legal_basis: contract}}\ncookies: {c: {type: tracking, purpose: p}}", "x:3: tracking is no type"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct inventory_source s = {STR("x"), str_from(cases[i].text)};
        struct inventory *v;
        fault_clear(&fault);
        assert_int_equal(inventory_read(a, &s, 1, &v, &fault), ERR_INPUT);
        assert_string_equal(fault.text, cases[i].says);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(mya_21_mya_23_rgt_02_rgt_04_every_record_is_exported_and_erased),
        T(mya_21_ret_06_closed_accounts_go_within_the_month),
        T(mya_06_unconfirmed_registrations_expire),
        T(a_dry_run_only_counts),
        T(more_than_a_batch_is_swept),
        T(ret_04_longer_terms_do_not_reach_back),
        T(gen_12_a_country_may_have_a_shorter_term),
        T(mya_21_a_cut_off_erasure_is_finished),
        T(ret_07_mya_24_a_restored_backup_brings_nobody_back),
        T(the_cost_of_forgetting_does_not_grow),
        T(cns_02_gen_04_decisions_are_kept_with_their_proof),
        T(cns_05_a_changed_text_needs_a_new_consent),
        T(ret_03_a_consent_with_a_period_ends),
        T(gen_22_cns_04_use_is_asked_for_at_the_time_of_use),
        T(rgt_05_restriction_stops_all_but_the_essential),
        T(rgt_07_gen_15_objections_stop_use_until_a_human_decides),
        T(rgt_09_ntf_03_objecting_to_marketing_is_absolute),
        T(gen_13_gen_14_countries_ask_for_more),
        T(mya_04_addresses_are_found_by_a_hash_that_is_renewed),
        T(ret_07_a_restored_backup_is_found_again),
        T(sec_04_rec_07_a_security_log_shows_what_was_done_to_it),
        T(rgt_06_the_zip_is_whole_sealed_and_portable),
        T(gen_25_gen_06_versions_are_published_and_never_change),
        T(the_record_of_processing_names_every_record),
        T(ret_06_verify_finds_each_broken_promise),
        T(gen_05_gen_11_bad_declarations_are_refused_by_name),
    };
    int failed = 0;
    kind = DB_SQLITE;
    if (testing_wants(kind))
        failed += cmocka_run_group_tests_name("privacy on SQLite", tests, NULL, NULL);
    kind = DB_POSTGRES;
    if (testing_wants(kind))
        failed += cmocka_run_group_tests_name("privacy on PostgreSQL", tests, NULL, NULL);
    return failed;
}
