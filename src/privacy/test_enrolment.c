/*
 * Service accounts, for every service that is declared, on SQLite and on PostgreSQL: joining, leaving,
 * coming back, the end of each term, and what closing the identity means. Two services get records of
 * their own here, so that it shows that these end with the account.
 */
#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/erasure.h"
#include "privacy/retention.h"
#include "privacy/rights.h"
#include "privacy/takeout.h"

#include "store/testing.h"
#include "vault/sealed_file.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct testing_db t, keyring;
static struct arena *a;
static struct fault fault;
static struct clock clock_;
static struct log log_ = {.fd = -1};
static struct privacy p;
static enum db_kind kind;
static struct inventory *inventory;
static const struct locale english = {0, "en", NULL, NULL};

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        if ((expr) != OK)                                                                          \
            fail_msg("%s: %s", #expr, fault.text);                                                 \
    } while (0)

/* ---- a privacy of our own ---- */

static const char children[] = "service: business-hub\n"
                               "records:\n"
                               "  hub_note:\n"
                               "    subject: account\n"
                               "    purpose: provide-business-hub\n"
                               "    fields:\n"
                               "      note: {type: sealed, category: free-text}\n"
                               "      attached: {type: file, category: file-content, null: true}\n";

static str source(str path)
{
    str s;
    assert_ok(file_read(a, str_fmt(a, "%s/%.*s", getenv("TROTH_SOURCE"), STR_FMT(path)).p, 1 << 20, &s, &fault));
    return s;
}

static struct inventory *read_inventory(void)
{
    static const char *const rooms[] = {"src/privacy", "src/work", "src/web"};
    struct inventory_source s[64];
    struct inventory *v;
    size_t n = 0;
    for (size_t i = 0; i < COUNT(rooms); i++)
        s[n++].name = str_fmt(a, "%s/records.yaml", rooms[i]);
    struct dirent **folders;
    int found = scandir(str_fmt(a, "%s/src/features", getenv("TROTH_SOURCE")).p, &folders, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        str path = str_fmt(a, "src/features/%s/records.yaml", folders[i]->d_name);
        if (folders[i]->d_name[0] != '.' && access(str_fmt(a, "%s/%.*s", getenv("TROTH_SOURCE"), STR_FMT(path)).p, R_OK) == 0)
            s[n++].name = path;
        free(folders[i]);
    }
    free(folders);
    for (size_t i = 0; i < n; i++)
        s[i].text = source(s[i].name);
    s[n++] = (struct inventory_source){STR("children"), str_from(children)};
    assert_ok(inventory_read(a, s, n, &v, &fault));
    return v;
}

static int up(void **state)
{
    (void)state;
    static const char *const languages[] = {"en", "sv"};
    struct migrations none = {NULL, 0};
    a = arena_new(1 << 30);
    fault_clear(&fault);
    testing_db_open(&t, kind, "main");
    testing_db_open(&keyring, kind, "keyring");
    clock_ = (struct clock){0};
    log_.clock = &clock_;
    struct files *files = ARENA_NEW(a, struct files);
    files->dir = str_cstr(a, str_fmt(a, "%s/files", t.dir));
    p = (struct privacy){.catalog = catalog_new(a, languages, 2), .db = t.db, .files = files, .clock = &clock_, .log = &log_};
    p.inventory = inventory = read_inventory();
    struct organisation *o;
    assert_ok(organisation_read(a, STR("o"), source(STR("demo/organisation.yaml")), languages, 2, &o, &fault));
    p.organisation = o;
    assert_ok(schema_migrate(t.db, &inventory->schema, &none, a, NULL, &fault));
    assert_ok(schema_migrate(keyring.db, vault_schema(), &none, a, NULL, &fault));
    char *master = str_cstr(a, str_fmt(a, "%s/master.key", keyring.dir));
    assert_ok(vault_make_master(master, &fault));
    struct vault_config config = {.master_path = master};
    assert_ok(vault_start(&p.vault, &config, keyring.db, &clock_, &fault));
    assert_ok(retention_load(&p, a, &fault));
    assert_ok(consent_publish(&p, &fault));
    assert_ok(terms_publish(&p, &fault));
    assert_true(inventory->n_accounts >= 8); /* the tests are worth nothing without services */
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

/* ---- people ---- */

static struct key key_of(id who)
{
    struct key k;
    assert_ok(vault_subject_key(p.vault, who, &k, a, &fault));
    return k;
}

#define READING  for (struct tx *tx = tx_begin(t.db, TX_READ, a, &fault), *once = tx; once; once = NULL, tx_end(&tx))
#define WRITING  for (struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault), *once = tx; once; once = NULL, tx_end(&tx))

static id person(void)
{
    id who = id_new();
    assert_ok(vault_add_subject(p.vault, who, "account", a, &fault));
    CLEANUP(key_wipe) struct key k = key_of(who);
    WRITING
    {
        struct query *q = SQL(tx, "INSERT INTO account (id, email, password, language, zone, country, made, unconfirmed, closed, erase_at) "
                                  "VALUES ($1, $2, $3, 'en', '', '', $4, NULL, NULL, NULL)");
        bind_id(q, who);
        bind_blob(q, privacy_seal(a, &k, "account", "email", who, STR("kim@example.com")));
        bind_blob(q, privacy_seal(a, &k, "account", "password", who, STR("hash")));
        bind_time(q, clock_now(&clock_));
        assert_ok(query_run(q));
        assert_ok(tx_commit(tx));
    }
    return who;
}

static str mark(const struct service_account *s, size_t i)
{
    return str_fmt(a, "MARK-%.*s-%zu", STR_FMT(s->record->name), i);
}

static str *marks(const struct service_account *s)
{
    str *answers = ARENA_ARRAY(a, str, s->n_form);
    for (size_t i = 0; i < s->n_form; i++)
        answers[i] = mark(s, i);
    return answers;
}

static enum err join_with(id who, const struct service_account *s, const str *answers)
{
    CLEANUP(key_wipe) struct key k = key_of(who);
    enum err e = OK;
    WRITING
    {
        e = enrolment_join(tx, &p, who, s, answers, "sv");
        if (e == OK)
            e = tx_commit(tx);
    }
    return e;
}

/* With what it needs. */
static void join(id who, const struct service_account *s)
{
    if (s->needs.n > 0)
        (void)join_with(who, inventory_account(inventory, s->needs), marks(inventory_account(inventory, s->needs)));
    assert_ok(join_with(who, s, marks(s)));
}

static enum err leave(id who, const struct service_account *s)
{
    enum err e = OK;
    WRITING
    {
        e = enrolment_leave(tx, &p, who, s, "en");
        if (e == OK)
            e = tx_commit(tx);
    }
    return e;
}

static struct enrolment state_of(id who, const struct service_account *s)
{
    struct enrolment e;
    READING
    assert_ok(enrolment_get(tx, &p, who, s, &e));
    return e;
}

static bool is_active(id who, str service)
{
    bool yes = false;
    READING
    assert_ok(enrolment_active(tx, &p, who, service, &yes));
    return yes;
}

static str export_of(id who)
{
    CLEANUP(json_done) json_t *data = NULL;
    READING
    assert_ok(takeout_collect(tx, &p, STR("account"), who, TAKEOUT_ALL, &english, &data));
    return json_encode(a, data, false);
}

/* How many of the answers does the export hold? */
static size_t held_of(id who, const struct service_account *s)
{
    str text = export_of(who);
    size_t n = 0;
    for (size_t i = 0; i < s->n_form; i++)
        n += str_contains(text, mark(s, i));
    return n;
}

static int64_t rows(const struct record *r, id who)
{
    int64_t n = 0;
    READING
    {
        struct query *q = tx_query(tx, str_fmt(a, "SELECT count(*) FROM %.*s WHERE account = $1", STR_FMT(r->name)));
        bind_id(q, who);
        n = query_row(q) ? row_int(q, 0) : -1;
        assert_ok(query_end(q));
    }
    return n;
}

static void run(const char *sql)
{
    WRITING
    {
        assert_ok(query_run(tx_query(tx, str_from(sql))));
        assert_ok(tx_commit(tx));
    }
}

static void sweep(void)
{
    struct sweep_report r;
    assert_ok(retention_sweep(&p, false, true, a, &r, &fault));
}

static void set_now(moment m)
{
    struct clock real = {0};
    clock_.offset = m - clock_now(&real);
}

static const struct service_account *named(const char *service)
{
    const struct service_account *s = inventory_account(inventory, str_from(service));
    assert_non_null(s);
    return s;
}

/* ---- what is declared ---- */

/* Spec table H. Fails if a service asks for more or less than it says there. */
static void table_h_services_ask_what_the_table_says(void **state)
{
    (void)state;
    static const struct {
        const char *service, *required, *optional, *uses;
    } table[] = {
        {"my-account", "", "", "email"},
        {"business-hub", "", "country", "email"},
        {"endpoint-cloud", "", "", "email"},
        {"cloud-console", "", "", "email"},
        {"mail-protection", "company", "", "email"},
        {"company-account", "first_name last_name company country license", "language", "email"},
        {"partner-portal", "", "", "email"},
        {"report-parser", "", "", "email"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        const struct service_account *s = named(table[i].service);
        struct buf required = buf_new(a, 500), optional = buf_new(a, 500), uses = buf_new(a, 500);
        for (size_t k = 0; k < s->n_form; k++) {
            struct buf *b = s->form[k].required ? &required : &optional;
            buf_fmt(b, b->n ? " %.*s" : "%.*s", STR_FMT(s->form[k].field->name));
            assert_int_equal(s->form[k].field->null, !s->form[k].required);
        }
        for (size_t k = 0; k < s->n_uses; k++)
            buf_fmt(&uses, k ? " %.*s" : "%.*s", STR_FMT(s->uses[k]->name));
        assert_string_equal(str_cstr(a, buf_str(&required)), table[i].required);
        assert_string_equal(str_cstr(a, buf_str(&optional)), table[i].optional);
        assert_string_equal(str_cstr(a, buf_str(&uses)), table[i].uses);
    }
    assert_int_equal(inventory->n_accounts, COUNT(table));
}

/* Spec G. Fails if a purpose of a service rests on another ground than the matrix says. */
static void gen_06_prt_08_purposes_rest_on_what_the_matrix_says(void **state)
{
    (void)state;
    static const char *const asked_for[] = {"manage-devices", "manage-licenses", "buy-in-store", "honour-purchases"};
    int interest = 0, consents = 0;
    for (size_t i = 0; i < inventory->n_purposes; i++) {
        const struct purpose *u = &inventory->purposes[i];
        if (inventory_account(inventory, u->service) == NULL)
            continue;
        bool provides = str_starts(u->name, STR("provide-"));
        for (size_t k = 0; k < COUNT(asked_for); k++)
            provides = provides || str_is(u->name, asked_for[k]);
        bool partner = str_is(u->service, "partner-portal");
        enum legal_basis wanted = provides ? BASIS_CONTRACT : partner ? BASIS_LEGITIMATE_INTEREST : BASIS_CONSENT;
        if (u->basis != wanted)
            fail_msg("%s rests on %s", str_cstr(a, u->name), basis_name(u->basis));
        interest += u->basis == BASIS_LEGITIMATE_INTEREST && objection_possible(&p, u->name);
        consents += u->basis == BASIS_CONSENT;
    }
    assert_int_equal(interest, 5);
    assert_int_equal(consents, 5);
}

/* ---- joining and leaving, each service ---- */

/*
 * KBH-21, KSC-15, CAC-30, PRT-11, GSI-07 and the others alike. Fails if somebody who left can still be
 * used, is gone before the term or there after it, comes back to life, or if another's are touched.
 */
static void kbh_21_ksc_15_cac_30_leaving_ends_use_at_once_and_data_by_the_term(void **state)
{
    (void)state;
    for (size_t i = 0; i < inventory->n_accounts; i++) {
        const struct service_account *s = &inventory->accounts[i];
        clock_ = (struct clock){0};
        id who = person(), other = person();
        assert_int_equal(state_of(who, s).state, ENROLMENT_NONE);
        assert_false(is_active(who, s->service));
        join(who, s);
        join(other, s);
        assert_int_equal(join_with(who, s, marks(s)), ERR_CONFLICT); /* once is enough */
        struct enrolment e = state_of(who, s);
        assert_true(e.state == ENROLMENT_ACTIVE && e.terms_current && e.gone == 0);
        assert_true(s->terms == 0 || str_is(e.terms_language, "sv"));
        assert_true(s->n_roles == 0 || str_eq(e.role, s->roles[0]));
        assert_int_equal(held_of(who, s), s->n_form);

        assert_ok(leave(who, s));
        assert_false(is_active(who, s->service));
        assert_true(is_active(other, s->service));
        assert_int_equal(leave(who, s), ERR_NOT_FOUND);
        e = state_of(who, s);
        if (s->erase_at_leaving) {
            assert_int_equal(e.state, ENROLMENT_NONE);
            assert_int_equal(rows(s->record, who), 0);
        } else {
            assert_int_equal(e.state, ENROLMENT_LEFT);
            assert_int_equal(e.role.n, 0);
            assert_int_equal(held_of(who, s), s->n_form); /* the export before holds it … */
            assert_true(e.gone == term_end(e.left, s->leaving->term));
            set_now(e.gone - RETENTION_MARGIN - MOMENT_HOUR);
            sweep();
            assert_int_equal(rows(s->record, who), 1);
            set_now(e.gone - MOMENT_SECOND);
            sweep();
            assert_int_equal(rows(s->record, who), 0);
        }
        assert_int_equal(held_of(who, s), 0); /* … and after it not */
        assert_int_equal(held_of(other, s), s->n_form);
        assert_int_equal(rows(s->record, other), 1);

        /* again: from nothing */
        str *answers = ARENA_ARRAY(a, str, s->n_form);
        for (size_t k = 0; k < s->n_form; k++)
            answers[k] = s->form[k].required ? STR("anew") : STR("");
        assert_ok(join_with(who, s, answers));
        e = state_of(who, s);
        assert_true(e.joined == e.accepted || s->terms == 0);
        assert_int_equal(held_of(who, s), 0);
    }
}

/* Fails if coming back in time loses what was there, or does not stop the erasure. */
static void coming_back_before_the_end_cancels_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < inventory->n_accounts; i++) {
        const struct service_account *s = &inventory->accounts[i];
        if (s->erase_at_leaving)
            continue;
        id who = person();
        join(who, s);
        struct enrolment before = state_of(who, s);
        assert_ok(leave(who, s));
        assert_ok(join_with(who, s, marks(s)));
        struct enrolment after = state_of(who, s);
        assert_true(after.state == ENROLMENT_ACTIVE && id_eq(after.id, before.id) && after.gone == 0);
        clock_.offset += 400 * MOMENT_DAY;
        sweep();
        assert_int_equal(rows(s->record, who), 1);
        assert_int_equal(held_of(who, s), s->n_form);
        clock_ = (struct clock){0};
    }
}

/* CAC-08, KBH-09. Fails if a correction reaches another's row, loses what was not sent, or works after leaving. */
static void mya_17_kbh_09_answers_are_corrected(void **state)
{
    (void)state;
    const struct service_account *s = named("company-account");
    id who = person(), other = person();
    join(who, s);
    join(other, s);
    str answers[] = {STR("Kim"), STR("<b>Ek</b>"), STR("Ek'; DROP TABLE account; --"), STR("SE"), STR("{{x}}"), STR("")};
    str got[COUNT(answers)];
    for (int leaving = 0; leaving < 2; leaving++) {
        CLEANUP(key_wipe) struct key k = key_of(who);
        WRITING
        {
            enum err e = enrolment_correct(tx, &p, who, s, answers);
            assert_int_equal(e, leaving ? ERR_NOT_FOUND : OK);
            if (e == OK)
                assert_ok(tx_commit(tx));
        }
        struct enrolment e = state_of(who, s);
        READING
        assert_ok(enrolment_answers(tx, &p, who, s, &e, got));
        for (size_t i = 0; i < COUNT(answers); i++)
            assert_true(str_eq(got[i], answers[i]));
        if (!leaving)
            assert_ok(leave(who, s));
    }
    assert_int_equal(held_of(other, s), s->n_form);
}

/* ---- accounts that lean on one another ---- */

/* KES-01, KSO-02. Fails if Endpoint Cloud works without the hub, outlives it, or if Mail Protection does not
 * know that the hub's account serves. */
static void kes_01_kso_02_the_hub_carries_others(void **state)
{
    (void)state;
    const struct service_account *hub = named("business-hub"), *cloud = named("endpoint-cloud"), *mail = named("mail-protection");
    id who = person(), alone = person();
    assert_int_equal(join_with(who, cloud, NULL), ERR_DENIED);
    assert_int_equal(state_of(who, cloud).state, ENROLMENT_NONE);
    join(who, cloud);
    join(who, mail);
    join(alone, mail);
    assert_true(str_is(state_of(who, mail).served_by, "business-hub"));
    assert_int_equal(state_of(alone, mail).served_by.n, 0);
    assert_ok(leave(who, hub));
    assert_int_equal(state_of(who, cloud).state, ENROLMENT_LEFT);
    assert_int_equal(state_of(who, mail).state, ENROLMENT_ACTIVE);
    assert_int_equal(state_of(who, mail).served_by.n, 0);
}

/* KSO-22, KSO-23, AMB-22. Fails if the data outlives six months after the license, or goes while it was renewed. */
static void kso_22_kso_23_six_months_after_the_license(void **state)
{
    (void)state;
    const struct service_account *s = named("mail-protection");
    id who = person();
    moment ended;
    join(who, s);
    assert_int_equal(moment_parse(STR("2027-08-31T10:00:00Z"), &ended), OK);
    run(str_fmt(a, "UPDATE mail_protection SET license_ended = %lld", (long long)ended).p);
    moment due;
    assert_int_equal(moment_parse(STR("2028-02-29T10:00:00Z"), &due), OK);
    assert_true(state_of(who, s).gone == due);
    WRITING
    {
        assert_ok(consent_record(tx, &p, who, inventory_purpose(inventory, STR("mail-protection-news")), true, "en", "join-form"));
        assert_ok(tx_commit(tx));
    }
    set_now(due - RETENTION_MARGIN - MOMENT_HOUR);
    sweep();
    assert_int_equal(rows(s->record, who), 1);
    run(str_fmt(a, "UPDATE mail_protection SET license_ended = %lld", (long long)(ended + 30 * MOMENT_DAY)).p); /* renewed */
    set_now(due + MOMENT_DAY);
    sweep();
    assert_int_equal(rows(s->record, who), 1);
    set_now(due + 32 * MOMENT_DAY);
    sweep();
    assert_int_equal(rows(s->record, who), 0);
    bool holds = true;
    READING
    assert_ok(consent_holds(tx, &p, who, inventory_purpose(inventory, STR("mail-protection-news")), &holds, NULL));
    assert_false(holds); /* consents of a service end with it */
}

/* GSI-13 and whatever else a service will keep. Fails if a record or file of the service outlives the account, or
 * one of another service goes with it. */
static void what_a_service_keeps_ends_with_its_account(void **state)
{
    (void)state;
    const struct service_account *s = named("business-hub"), *mine = named("my-account");
    id who = person(), file = id_new(), note = id_new();
    CLEANUP(key_wipe) struct key k = key_of(who);
    struct sealed_writer *w;
    join(who, s);
    join(who, mine);
    assert_ok(sealed_create(p.files, file, &k, a, &w, &fault));
    assert_ok(sealed_write(w, STR("attached")));
    assert_ok(sealed_keep(&w));
    WRITING
    {
        struct query *q = SQL(tx, "INSERT INTO hub_note (account, id, note, attached) VALUES ($1, $2, $3, $4)");
        bind_id(q, who);
        bind_id(q, note);
        bind_blob(q, privacy_seal(a, &k, "hub_note", "note", note, STR("MARK-note")));
        bind_id(q, file);
        assert_ok(query_run(q));
        assert_ok(tx_commit(tx));
    }
    const struct record *r = inventory_record(inventory, STR("hub_note"));
    assert_true(str_contains(export_of(who), STR("MARK-note")));
    assert_ok(leave(who, s));
    set_now(state_of(who, s).gone - MOMENT_HOUR);
    struct sweep_report report; /* without collecting what no row names, which would find it, too */
    assert_ok(retention_sweep(&p, false, false, a, &report, &fault));
    assert_int_equal(report.files, 1);
    assert_int_equal(rows(r, who), 0);
    assert_int_equal(rows(mine->record, who), 1);
    CLEANUP(sealed_close) struct sealed_reader *reader = NULL;
    assert_int_equal(sealed_open(p.files, file, &k, a, &reader, &fault), ERR_NOT_FOUND);
    fault_clear(&fault);
}

/*
 * KBH-23, MYA-24. The rows of a backup from before the end, with today's keyring: fails if a service that had
 * ended is there again, if what was answered can still be read, or if anybody else's goes with it.
 */
static void kbh_23_a_restored_backup_brings_no_service_back(void **state)
{
    (void)state;
    const struct service_account *s = named("company-account");
    id gone[40], stays = person();
    join(stays, s);
    for (size_t i = 0; i < COUNT(gone); i++)
        join(gone[i] = person(), s);
    for (size_t i = 0; i < COUNT(gone); i++)
        assert_ok(vault_forget(p.vault, state_of(gone[i], s).id, a, &fault)); /* what enrolment_end() does first */
    int64_t keyless;
    assert_ok(erasure_count_keyless(&p, &keyless, &fault));
    assert_int_equal(keyless, COUNT(gone));
    assert_int_equal(held_of(gone[0], s), 0); /* nothing of it can be read … */
    assert_int_equal(rows(s->record, gone[0]), 1);
    struct erasure_counts counts = {0};
    assert_ok(erasure_reconcile(&p, &counts, &fault));
    assert_int_equal(counts.enrolments, COUNT(gone));
    assert_int_equal(counts.subjects, 0);
    for (size_t i = 0; i < COUNT(gone); i++)
        assert_int_equal(rows(s->record, gone[i]), 0); /* … and now it is gone */
    assert_int_equal(held_of(stays, s), s->n_form);
    assert_ok(erasure_count_keyless(&p, &keyless, &fault));
    assert_int_equal(keyless, 0);
}

/* Fails if an enrolment's key outlives its person, or its service, or one that was cut off stays for ever. */
static void ret_07_keys_of_enrolments_end_with_them(void **state)
{
    (void)state;
    const struct service_account *left = named("partner-portal"), *held = named("business-hub");
    id who = person(), keys[3];
    join(who, left);
    join(who, held);
    keys[0] = state_of(who, left).id;
    keys[1] = state_of(who, held).id;
    keys[2] = id_new();
    assert_ok(vault_add_subject(p.vault, keys[2], "business_hub", a, &fault));
    struct key k;
    assert_ok(leave(who, left)); /* at once */
    assert_int_equal(vault_subject_key(p.vault, keys[0], &k, a, &fault), ERR_NOT_FOUND);
    fault_clear(&fault);
    struct erasure_counts counts = {0};
    clock_.offset += 2 * MOMENT_HOUR;
    assert_ok(erasure_reconcile(&p, &counts, &fault));
    assert_int_equal(vault_subject_key(p.vault, keys[2], &k, a, &fault), ERR_NOT_FOUND);
    fault_clear(&fault);
    assert_ok(vault_subject_key(p.vault, keys[1], &k, a, &fault));
    assert_ok(erasure_run(&p, STR("account"), &who, 1, &counts, a, &fault));
    assert_int_equal(vault_subject_key(p.vault, keys[1], &k, a, &fault), ERR_NOT_FOUND);
    fault_clear(&fault);
    key_wipe(&k);
}

/* ---- purposes, consents, terms ---- */

/* GEN-22, KBH-03 to KBH-05, KSC-02, CAC-04, PRT-08. Fails if a purpose of a service runs for somebody who has not
 * joined, without a consent of its own, or after leaving. */
static void kbh_03_gen_22_purposes_run_for_members_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < inventory->n_purposes; i++) {
        const struct purpose *u = &inventory->purposes[i];
        const struct service_account *s = inventory_account(inventory, u->service);
        if (s == NULL)
            continue;
        id who = person();
        enum may before = MAY, joined = MAY, agreed = MAY, after = MAY;
        READING
        assert_ok(privacy_may(tx, &p, who, STR("SE"), str_cstr(a, u->name), &before));
        join(who, s);
        READING
        assert_ok(privacy_may(tx, &p, who, STR("SE"), str_cstr(a, u->name), &joined));
        if (u->basis == BASIS_CONSENT) {
            WRITING
            {
                assert_ok(consent_record(tx, &p, who, u, true, "en", "join-form"));
                assert_ok(tx_commit(tx));
            }
        }
        READING
        assert_ok(privacy_may(tx, &p, who, STR("SE"), str_cstr(a, u->name), &agreed));
        assert_ok(leave(who, s));
        READING
        assert_ok(privacy_may(tx, &p, who, STR("SE"), str_cstr(a, u->name), &after));
        assert_string_equal(may_name(before), "not-enrolled");
        assert_int_equal(joined, u->basis == BASIS_CONSENT ? MAY_NOT_CONSENTED : MAY);
        assert_int_equal(agreed, MAY);
        assert_int_equal(after, MAY_NOT_ENROLLED);
        if (u->basis != BASIS_CONSENT || s->erase_at_leaving)
            continue;
        assert_ok(join_with(who, s, marks(s))); /* back: the consent is not */
        READING
        assert_ok(privacy_may(tx, &p, who, STR("SE"), str_cstr(a, u->name), &after));
        assert_int_equal(after, MAY_NOT_CONSENTED);
    }
}

/* Fails if new terms hold for somebody who has not accepted them, or a text can change under its version. */
static void cns_05_new_terms_are_asked_for_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < inventory->n_accounts; i++) {
        struct service_account *s = &inventory->accounts[i];
        str text;
        moment published;
        if (s->terms == 0)
            continue;
        id who = person();
        join(who, s);
        int before = s->terms++;
        assert_false(state_of(who, s).terms_current);
        READING
        assert_int_equal(terms_text(tx, &p, s, 0, "en", &text, &published), ERR_NOT_FOUND);
        assert_ok(terms_publish(&p, &fault));
        READING
        {
            assert_ok(terms_text(tx, &p, s, before, "sv", &text, &published));
            assert_ok(terms_text(tx, &p, s, 0, "sv", &text, &published));
        }
        WRITING
        {
            assert_ok(enrolment_accept(tx, &p, who, s, "en"));
            assert_ok(tx_commit(tx));
        }
        struct enrolment e = state_of(who, s);
        assert_true(e.terms_current && e.terms == before + 1 && str_is(e.terms_language, "en"));
        assert_int_equal(held_of(who, s), s->n_form);
    }
    run("UPDATE terms_text SET hash = (SELECT hash FROM terms_text WHERE service = 'report-parser' AND version = 2 AND language = 'en') "
        "WHERE service = 'cloud-console' AND version = 2");
    assert_int_equal(terms_publish(&p, &fault), ERR_CONFLICT);
    assert_non_null(strstr(fault.text, "have changed, their version 2 has not: raise it in records.yaml"));
    fault_clear(&fault);
}

/* ---- the identity ---- */

/* MYA-22, MYA-23. Fails if closing the identity leaves a service in use, reopening loses one, or erasing leaves a row. */
static void mya_22_closing_the_identity_starts_all(void **state)
{
    (void)state;
    id who = person(), left = person();
    moment at = clock_now(&clock_);
    for (size_t i = 0; i < inventory->n_accounts; i++) {
        join_with(who, &inventory->accounts[i], marks(&inventory->accounts[i]));
        join_with(left, &inventory->accounts[i], marks(&inventory->accounts[i]));
    }
    join_with(who, named("endpoint-cloud"), NULL);
    join_with(left, named("endpoint-cloud"), NULL);
    clock_.offset -= MOMENT_DAY;
    assert_ok(leave(left, named("cloud-console")));
    clock_.offset += MOMENT_DAY;
    WRITING
    {
        assert_ok(enrolment_close_all(tx, &p, who, at, "en"));
        assert_ok(enrolment_close_all(tx, &p, left, at, "en"));
        assert_ok(tx_commit(tx));
    }
    for (size_t i = 0; i < inventory->n_accounts; i++) {
        const struct service_account *s = &inventory->accounts[i];
        assert_false(is_active(who, s->service));
        assert_true(state_of(who, s).gone == term_end(at, s->leaving->term));
    }
    WRITING
    {
        assert_ok(enrolment_reopen_all(tx, &p, left, at));
        assert_ok(tx_commit(tx));
    }
    for (size_t i = 0; i < inventory->n_accounts; i++)
        assert_int_equal(is_active(left, inventory->accounts[i].service), !str_is(inventory->accounts[i].service, "cloud-console"));
    struct erasure_counts counts = {0};
    assert_ok(erasure_run(&p, STR("account"), &who, 1, &counts, a, &fault));
    for (size_t i = 0; i < inventory->n_accounts; i++)
        assert_int_equal(rows(inventory->accounts[i].record, who), 0);
    assert_true(counts.records > (int64_t)inventory->n_accounts);
}

/* ---- terms that an organisation chooses ---- */

/* CAC-31, AMB-14. Fails if the chosen period is not the one that holds, or can be endless. */
static void cac_31_the_period_is_chosen_finite_and_published(void **state)
{
    (void)state;
    static const char *const languages[] = {"en", "sv"};
    static const struct {
        const char *periods, *says;
    } cases[] = {
        {"{company_account.left_at: P3M}", NULL},
        {"{company_account.left_at: P2Y}", "periods: company_account.left_at can be a shorter time only"},
        {"{business_hub.left_at: P2M}", "periods: business_hub.left_at is no term that an organisation chooses"},
        {"{nothing.left_at: P1M}", "periods: nothing.left_at is no term that an organisation chooses"},
        {"{company_account.left_at: long}", "long is no term (ISO 8601)"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct organisation *o;
        str text = str_fmt(a, "%.*s\nperiods: %s\n", STR_FMT(source(STR("demo/organisation.yaml"))), cases[i].periods);
        fault_clear(&fault);
        enum err e = organisation_read(a, STR("o"), text, languages, 2, &o, &fault);
        if (e == OK)
            e = organisation_choose_periods(o, inventory, &fault);
        assert_int_equal(e, cases[i].says ? ERR_INPUT : OK);
        if (cases[i].says)
            assert_non_null(strstr(fault.text, cases[i].says));
    }
    fault_clear(&fault);
    assert_ok(retention_load(&p, a, &fault));
    const struct service_account *s = named("company-account");
    id who = person();
    join(who, s);
    assert_ok(leave(who, s));
    struct enrolment e = state_of(who, s);
    assert_true(e.gone == term_end(e.left, (struct term){3, 0}));
    set_now(term_end(e.left, (struct term){2, 0}));
    sweep();
    assert_int_equal(rows(s->record, who), 1);
    set_now(e.gone);
    sweep();
    assert_int_equal(rows(s->record, who), 0);
}

/* ---- what the inventory refuses ---- */

#define HEAD                                                                                       \
    "service: s\n"                                                                                 \
    "purposes: {p: {legal_basis: contract}}\n"                                                     \
    "records: {account: {kind: subject, purpose: p, keep: [{at: t}], fields: {t: {type: time, category: lifecycle}, " \
    "email: {type: sealed, category: email-address}, password: {type: sealed, category: credential}}}}\n"
#define KEEP "keep: [{after: left_at, for: P1M}]"
#define GOOD "record: r, subject: account, purpose: p, terms: 1, " KEEP

static void gen_05_bad_accounts_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *account, *says;
    } cases[] = {
        {"{" GOOD "}", NULL},
        {"{" GOOD ", colour: red}", "x:4: colour is not a word of this file"},
        {"{subject: account, purpose: p, terms: 1, " KEEP "}", "x:4: the account says no record"},
        {"{record: order, subject: account, purpose: p, terms: 1, " KEEP "}", "x:4: order cannot name a table or column"},
        {"{record: account, subject: account, purpose: p, terms: 1, " KEEP "}", "x:4: record account is declared twice"},
        {"{record: r, purpose: p, terms: 1, " KEEP "}", "x:4: the account says not whose it is:  is no kind of subject"},
        {"{record: r, subject: account, terms: 1, " KEEP "}", "x:4: account says no purpose"},
        {"{record: r, subject: account, purpose: q, terms: 1, " KEEP "}", "x:4: no purpose q is declared"},
        {"{record: r, subject: account, purpose: p, " KEEP "}", "x:4: the account says no version of its terms"},
        {"{record: r, subject: account, purpose: p, terms: 0, " KEEP "}", "x:4: terms is the version of their text, a number from 1"},
        {"{record: r, subject: account, purpose: p, terms: 1}", "x:4: the account says not how long it is kept after left_at"},
        {"{record: r, subject: account, purpose: p, terms: 1, keep: [{at: left_at}]}", "x:4: the account says not how long it is kept after left_at"},
        {"{record: r, subject: account, purpose: p, terms: 1, keep: [{after: left_at, for: P1M}, {at: account.t}]}", "x:4: account.t: an account ends by its own fields"},
        {"{record: r, subject: account, purpose: p, terms: 1, keep: [{after: left_at, for: P1M, at_most: P1W}]}", "x:4: at_most is the longest that an organisation may choose for a term"},
        {"{" GOOD ", form: [a]}", "x:4: form is a mapping of questions"},
        {"{" GOOD ", form: {a: {type: text, category: name}}}", "x:4: field a holds name, which must be sealed"},
        {"{" GOOD ", form: {a: {type: text, category: colour}}}", "x:4: field a: colour is no category"},
        {"{" GOOD ", form: {a: {type: time, category: lifecycle}}}", "x:4: question a: a form asks for text, plain or sealed"},
        {"{" GOOD ", form: {health: {type: sealed, category: name}}}", "x:4: health: data of special categories is not kept (GEN-11)"},
        {"{" GOOD ", form: {joined: {type: text, category: choice}}}", "x:4: joined is a column of its own accord"},
        {"{" GOOD ", form: {id: {type: text, category: choice}}}", "x:4: id is a column of its own accord"},
        {"{" GOOD ", form: {a: {type: text, category: choice, max: 0}}}", "x:4: question a: max is a number of bytes from 1 to 4000"},
        {"{" GOOD ", form: {a: {type: text, category: choice, required: perhaps}}}", "x:4: required is true or false"},
        {"{" GOOD ", form: {a: {type: text, category: choice, fill: shoe-size}}}", "x:4: shoe-size is nothing that a browser fills in"},
        {"{" GOOD ", form: {a: {type: text, category: choice, null: true}}}", "x:4: null is not a word of this file"},
        {"{" GOOD ", fields: {a: {type: time, category: lifecycle}}}", "x:4: field a is not asked: when somebody joins it has no value, so say null: true"},
        {"{" GOOD ", uses: [account.shoe_size]}", "x:4: uses account.shoe_size, which is no field of account that may be used"},
        {"{" GOOD ", uses: [account.password]}", "x:4: uses account.password, which is no field of account that may be used"},
        {"{" GOOD ", roles: [The Boss]}", "x:4: roles: The Boss cannot be named so"},
        {"{" GOOD ", leaving: slowly}", "x:4: leaving: erase, or nothing at all"},
        {"{" GOOD ", needs: nobody}", "x:4: needs: nobody has no account that could"},
        {"{" GOOD ", needs: s}", "x:4: needs: s has no account that could"},
        {"{" GOOD ", served_by: nobody}", "x:4: served_by: nobody has no account that could"},
        {"{" GOOD ", recipients: mail-provider}", "x:4: recipients is a list"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct inventory_source s = {STR("x"), str_fmt(a, HEAD "account: %s\n", cases[i].account)};
        struct inventory *v;
        fault_clear(&fault);
        enum err e = inventory_read(a, &s, 1, &v, &fault);
        if (e != (cases[i].says ? ERR_INPUT : OK))
            fail_msg("%s: %s", cases[i].account, fault.text);
        if (cases[i].says)
            assert_string_equal(fault.text, cases[i].says);
    }
    struct inventory_source two[] = {{STR("x"), STR(HEAD "account: {" GOOD "}")},
                                     {STR("y"), STR("service: s\naccount: {record: r2, subject: account, purpose: p, terms: 1, " KEEP "}")}};
    struct inventory *v;
    fault_clear(&fault);
    assert_int_equal(inventory_read(a, two, 2, &v, &fault), ERR_INPUT);
    assert_string_equal(fault.text, "y:2: s has two accounts");
    two[1].text = STR("service: s2\naccount: {record: r2, subject: account, purpose: p, terms: 1, " KEEP "}");
    fault_clear(&fault);
    assert_int_equal(inventory_read(a, two, 2, &v, &fault), ERR_INPUT);
    assert_string_equal(fault.text, "y:2: purpose p is another service's");
    fault_clear(&fault);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(table_h_services_ask_what_the_table_says),
        T(gen_06_prt_08_purposes_rest_on_what_the_matrix_says),
        T(kbh_21_ksc_15_cac_30_leaving_ends_use_at_once_and_data_by_the_term),
        T(coming_back_before_the_end_cancels_it),
        T(mya_17_kbh_09_answers_are_corrected),
        T(kes_01_kso_02_the_hub_carries_others),
        T(kso_22_kso_23_six_months_after_the_license),
        T(what_a_service_keeps_ends_with_its_account),
        T(kbh_23_a_restored_backup_brings_no_service_back),
        T(ret_07_keys_of_enrolments_end_with_them),
        T(kbh_03_gen_22_purposes_run_for_members_only),
        T(cns_05_new_terms_are_asked_for_again),
        T(mya_22_closing_the_identity_starts_all),
        T(cac_31_the_period_is_chosen_finite_and_published),
        T(gen_05_bad_accounts_are_refused_by_name),
    };
    static const char *const names[] = {[DB_SQLITE] = "enrolment on SQLite", [DB_POSTGRES] = "enrolment on PostgreSQL"};
    int failed = 0;
    for (kind = DB_SQLITE; kind <= DB_POSTGRES; kind++)
        if (testing_wants(kind))
            failed += cmocka_run_group_tests_name(names[kind], tests, NULL, NULL);
    return failed;
}
