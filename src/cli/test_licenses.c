/*
 * Licenses on both databases, against a clock that moves: codes, devices, files, reminders, renewal.
 */
#include "cli/config.h"
#include "cli/portal.h"

#include "base/codec.h"
#include "base/file.h"
#include "features/licenses/model.h"
#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/erasure.h"
#include "store/testing.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

static struct arena *a;
static struct fault fault;
static struct clock clock_;
static struct log log_ = {.fd = -1};
static enum db_kind kind;
static struct settings settings;
static struct portal *p;
static char dir[64];
static account_id anna, james;
static struct key anna_key, james_key;
static struct tx *tx; /* one at a time */

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        if ((expr) != OK)                                                                          \
            fail_msg("%s: %s", #expr, fault.text);                                                 \
    } while (0)

/* Runs statements on a write transaction `tx` and commits them. */
#define WRITE(...)                                                                                 \
    do {                                                                                           \
        tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);                              \
        __VA_ARGS__;                                                                               \
        assert_ok(tx_commit(tx));                                                                  \
        tx_end(&tx);                                                                               \
    } while (0)

/* ---- a portal of our own ---- */

static char *fresh_database(void)
{
    static char url[512];
    const char *server = getenv("TROTH_TEST_POSTGRES");
    id name = id_new();
    PGconn *c = PQconnectdb(server);
    PGresult *r = PQexec(c, str_fmt(a, "CREATE DATABASE l_%s", name.text).p);
    assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
    PQfinish(c);
    snprintf(url, sizeof url, "TROTH_DATABASE=%.*s/l_%s", (int)(strrchr(server, '/') - server), server, name.text);
    return url;
}

static account_id make_account(const char *address, const char *language, struct key *k)
{
    account_id out;
    const struct service_account *s = inventory_account(p->privacy.inventory, STR("my-account"));
    assert_ok(account_make(p, str_from(address), STR("no password"), language, "Europe/Stockholm", a, &out, &fault));
    WRITE(assert_ok(enrolment_join(tx, &p->privacy, out.id, s, NULL, language)));
    assert_ok(vault_subject_key(p->privacy.vault, out.id, k, a, &fault));
    return out;
}

static int up(void **state)
{
    (void)state;
    a = arena_new(1 << 30);
    fault_clear(&fault);
    clock_ = (struct clock){0};
    log_.clock = &clock_;
    snprintf(dir, sizeof dir, "/tmp/troth-licenses-XXXXXX");
    assert_non_null(mkdtemp(dir));
    static char url[] = "TROTH_PUBLIC_URL=https://portal.example.com";
    char *environment[] = {str_cstr(a, str_fmt(a, "TROTH_DATA=%s/data", dir)),
                           str_cstr(a, str_fmt(a, "TROTH_MAIL=file:%s/mail", dir)), url,
                           kind == DB_POSTGRES ? fresh_database() : NULL, NULL};
    assert_ok(config_read(NULL, environment, a, &settings, &fault));
    assert_ok(dir_make(str_fmt(a, "%s/data", dir).p, 0700, &fault));
    assert_ok(vault_make_master(str_cstr(a, settings.master_key_file), &fault));
    assert_ok(portal_open(&p, &settings, &clock_, &log_, PORTAL_MIGRATED, NULL, &fault));
    anna = make_account("anna.marker@example.com", "sv", &anna_key);
    james = make_account("james.marker@example.com", "en", &james_key);
    return 0;
}

static int down(void **state)
{
    (void)state;
    char command[128];
    portal_close(&p);
    arena_free(&a);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static moment now(void)
{
    return clock_now(&clock_);
}

static void later(moment by)
{
    clock_.offset += by;
}

static str issue(const char *product, struct lot *lot)
{
    char *codes;
    assert_ok(lot_issue(p, product_named(p, str_from(product)), 1, STR("test"), STR(""), a, lot, &codes, &fault));
    return str_dup(a, str_of(codes, LICENSE_CODE_LENGTH));
}

static const char *why;

static enum err add_code(account_id who, const struct key *k, str code, license_id *out)
{
    enum err e = license_redeem(p, who, k, code, a, out, &why, &fault);
    if (why == NULL)
        why = "";
    return e;
}

static license_id give(account_id who, const struct key *k, const char *product)
{
    license_id out;
    WRITE(assert_ok(license_grant(tx, p, who, k, product_named(p, str_from(product)), ORIGIN_PURCHASE, &out)));
    return out;
}

static enum err bind(account_id who, license_id license, id device)
{
    tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    why = NULL;
    enum err e = license_bind(tx, p, who, license, device, STR(""), &why);
    if (e == OK)
        assert_ok(tx_commit(tx));
    tx_end(&tx);
    return e;
}

static struct license read_license(account_id who, license_id which)
{
    struct license out;
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(license_get(tx, p, who, which, NULL, &out));
    tx_end(&tx);
    return out;
}

#define assert_state(who, which, wanted) assert_true(str_is(read_license(who, which).state, wanted))

static int64_t count(const char *sql)
{
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    struct query *q = tx_query(tx, str_from(sql));
    int64_t n = query_row(q) ? row_int(q, 0) : -1;
    assert_ok(query_end(q));
    tx_end(&tx);
    return n;
}

/* ---- codes ---- */

static const char letters[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/* MYA-42. Fails if any one wrong character, or any two in each other's place, passes for another code. */
static void mya_42_every_slip_and_every_swap_is_told(void **state)
{
    (void)state;
    char out[LICENSE_CODE_LENGTH];
    for (int sample = 0; sample < 300; sample++) {
        char lot[LOT_LENGTH], code[LICENSE_CODE_LENGTH];
        lot_new(lot);
        license_code_new(lot, code);
        str whole = str_of(code, sizeof code);
        assert_int_equal(license_code_check(whole, out), CODE_FINE);
        assert_memory_equal(code, out, sizeof out);
        for (size_t i = 0; i < sizeof code; i++) {
            char right = code[i];
            for (const char *c = letters; *c; c++) {
                code[i] = *c;
                assert_int_equal(license_code_check(whole, out), *c == right ? CODE_FINE : CODE_SLIP);
            }
            code[i] = right;
            for (size_t j = i + 1; j < sizeof code; j++) {
                code[i] = code[j];
                code[j] = right;
                assert_int_equal(license_code_check(whole, out), code[i] == right ? CODE_FINE : CODE_SLIP);
                code[j] = code[i];
                code[i] = right;
            }
        }
    }
}

/* MYA-42. Fails if how somebody writes a code decides whether it is one. */
static void mya_42_blanks_dashes_and_capitals_do_not_count(void **state)
{
    (void)state;
    char lot[LOT_LENGTH], code[LICENSE_CODE_LENGTH], out[LICENSE_CODE_LENGTH], wrong[LICENSE_CODE_LENGTH];
    lot_new(lot);
    license_code_new(lot, code);
    str plain = str_of(code, sizeof code), text = license_code_text(a, plain);
    assert_int_equal(text.n, LICENSE_CODE_TEXT);
    assert_int_equal(license_code_check(text, out), CODE_FINE);
    assert_int_equal(license_code_check(str_lower(a, text), out), CODE_FINE);
    assert_int_equal(license_code_check(str_fmt(a, " \t%.*s\xe2\x80\x93%.*s\xc2\xa0", 5, code, 20, code + 5), out), CODE_FINE);
    assert_memory_equal(code, out, sizeof out);
    assert_int_equal(license_code_check(str_head(plain, 24), out), CODE_MALFORMED);
    assert_int_equal(license_code_check(str_fmt(a, "%.*sA", STR_FMT(plain)), out), CODE_MALFORMED);
    assert_int_equal(license_code_check(STR(""), out), CODE_MALFORMED);
    /* What looks like another character is a slip, not another kind of thing. */
    static const char alike[] = "01IO";
    for (size_t i = 0; i < 4; i++) {
        memcpy(wrong, code, sizeof wrong);
        wrong[7] = alike[i];
        assert_int_equal(license_code_check(str_of(wrong, sizeof wrong), out), CODE_SLIP);
    }
    memcpy(wrong, code, sizeof wrong);
    wrong[7] = '!';
    assert_int_equal(license_code_check(str_of(wrong, sizeof wrong), out), CODE_MALFORMED);
}

/* MYA-42. Fails if a code is taken that is none, or the reason is not the one that helps. */
static void mya_42_good_malformed_mistyped_unknown_revoked(void **state)
{
    (void)state;
    struct lot lot;
    license_id one, two;
    char unknown[LICENSE_CODE_LENGTH];
    str code = issue("total-security", &lot), other = issue("total-security", &lot), slip = str_dup(a, code);
    assert_int_equal(add_code(anna, &anna_key, STR("what is this"), &one), ERR_INPUT);
    assert_string_equal(why, CODE_ERROR_MALFORMED);
    ((char *)(uintptr_t)slip.p)[9] = code.p[9] == 'A' ? 'B' : 'A';
    assert_int_equal(add_code(anna, &anna_key, slip, &one), ERR_INPUT);
    assert_string_equal(why, CODE_ERROR_SLIP);
    license_code_new(lot.lot.p, unknown);
    assert_int_equal(add_code(anna, &anna_key, str_of(unknown, sizeof unknown), &one), ERR_NOT_FOUND);
    assert_string_equal(why, CODE_ERROR_UNKNOWN);
    WRITE(assert_ok(code_revoke(tx, p, other.p)));
    assert_int_equal(add_code(anna, &anna_key, other, &one), ERR_DENIED);
    assert_string_equal(why, CODE_ERROR_REVOKED);
    assert_ok(add_code(anna, &anna_key, code, &one));
    assert_state(anna, one, "new");
    assert_int_equal(add_code(anna, &anna_key, license_code_text(a, code), &two), ERR_CONFLICT);
    assert_string_equal(why, CODE_ERROR_MINE);
    assert_true(id_eq(one.id, two.id));
    /* The code is sealed, and opens with its owner's key. */
    struct license l;
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(license_get(tx, p, anna, one, &anna_key, &l));
    tx_end(&tx);
    assert_true(str_eq(l.code, code));
    assert_int_equal(count("SELECT count(*) FROM license"), 1);
}

/* MYA-42. Fails if codes can be tried without end. */
static void mya_42_tries_are_limited(void **state)
{
    (void)state;
    license_id out;
    char lot[LOT_LENGTH], code[LICENSE_CODE_LENGTH];
    enum err e = OK;
    int n = 0;
    for (lot_new(lot); n < 30 && e != ERR_LIMIT; n++) {
        license_code_new(lot, code);
        e = add_code(anna, &anna_key, str_of(code, sizeof code), &out);
    }
    assert_int_equal(e, ERR_LIMIT);
    assert_int_equal(n, 11);
    assert_string_equal(why, CODE_ERROR_TOO_OFTEN);
    /* Another account is not held up, and a slip costs nothing. */
    assert_int_equal(add_code(james, &james_key, str_of(code, sizeof code), &out), ERR_NOT_FOUND);
    assert_int_equal(add_code(anna, &anna_key, STR("x"), &out), ERR_INPUT);
    later(7 * MOMENT_MINUTE);
    assert_int_equal(add_code(anna, &anna_key, str_of(code, sizeof code), &out), ERR_NOT_FOUND);
}

/* MYA-50. Fails if a second account gets a code, or the first loses it, or nobody can see that it was tried. */
static void mya_50_a_code_is_owned_once(void **state)
{
    (void)state;
    struct lot lot;
    struct code_state c;
    license_id one, two;
    str code = issue("total-security", &lot);
    assert_ok(add_code(anna, &anna_key, code, &one));
    assert_int_equal(add_code(james, &james_key, code, &two), ERR_CONFLICT);
    assert_string_equal(why, CODE_ERROR_TAKEN);
    assert_int_equal(count("SELECT count(*) FROM license"), 1);
    assert_state(anna, one, "new");
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(code_find(tx, &p->privacy, code.p, &c));
    tx_end(&tx);
    assert_int_equal(c.conflicts, 1);
    assert_true(id_eq(c.owner.id, anna.id));
    assert_int_equal(count("SELECT count(*) FROM code_conflict"), 1);
}

/* Fails if a code is lost, or its time begins anew, when its owner is forgotten. */
static void mya_50_what_is_left_of_a_code_is_free_again(void **state)
{
    (void)state;
    struct lot lot;
    license_id one, two;
    const struct service_account *s = inventory_account(p->privacy.inventory, STR("my-account"));
    struct enrolment_ended ended = {0};
    str code = issue("total-security", &lot);
    assert_ok(add_code(anna, &anna_key, code, &one));
    assert_ok(bind(anna, one, id_new()));
    moment expires = read_license(anna, one).expires;
    later(100 * MOMENT_DAY);
    WRITE(assert_ok(enrolment_end(tx, &p->privacy, anna.id, s, &ended)));
    assert_int_equal(count("SELECT count(*) FROM license"), 0);
    assert_int_equal(count("SELECT count(*) FROM code_owner"), 0);
    assert_ok(add_code(james, &james_key, code, &two));
    assert_state(james, two, "active");
    assert_true(read_license(james, two).expires == expires);
}

/* Fails if a lot that was withdrawn leaves a code or a license that works. */
static void mya_42_a_lot_is_revoked_with_all_that_came_of_it(void **state)
{
    (void)state;
    struct lot lot;
    char *codes;
    int ran;
    license_id one, two;
    assert_ok(lot_issue(p, product_named(p, STR("total-security")), 5, STR(""), STR(""), a, &lot, &codes, &fault));
    assert_ok(add_code(anna, &anna_key, str_of(codes, LICENSE_CODE_LENGTH), &one));
    WRITE(assert_ok(lot_revoke(tx, p, lot.lot)));
    assert_int_equal(add_code(james, &james_key, str_of(codes + LICENSE_CODE_LENGTH, LICENSE_CODE_LENGTH), &two), ERR_DENIED);
    assert_string_equal(why, CODE_ERROR_REVOKED);
    assert_ok(work_run_due(p->work, (id){{0}}, &ran, &fault));
    assert_state(anna, one, "revoked");
    assert_int_equal(count("SELECT count(*) FROM activation_code WHERE revoked IS NULL OR ended IS NULL"), 0);
}

/* ---- devices ---- */

/* MYA-43. Fails if more devices get a seat than the license has, or one seat goes round among many. */
static void mya_43_the_limit_and_the_cooling_off(void **state)
{
    (void)state;
    license_id l = give(anna, &anna_key, "total-security"); /* three devices */
    id devices[5];
    for (int i = 0; i < 5; i++)
        devices[i] = id_new();
    for (int i = 0; i < 3; i++)
        assert_ok(bind(anna, l, devices[i]));
    assert_ok(bind(anna, l, devices[2])); /* again is nothing */
    assert_int_equal(read_license(anna, l).used, 3);
    assert_int_equal(bind(anna, l, devices[3]), ERR_CONFLICT);
    assert_string_equal(why, LICENSE_ERROR_FULL);
    WRITE(assert_ok(license_unbind(tx, p, anna, l, devices[0])));
    assert_int_equal(read_license(anna, l).used, 2);
    assert_int_equal(bind(anna, l, devices[3]), ERR_CONFLICT);
    assert_string_equal(why, LICENSE_ERROR_COOLING);
    assert_ok(bind(anna, l, devices[0])); /* but the same may come back */
    WRITE(assert_ok(license_unbind(tx, p, anna, l, devices[0])));
    later(LICENSE_COOLING - MOMENT_MINUTE);
    assert_int_equal(bind(anna, l, devices[3]), ERR_CONFLICT);
    later(2 * MOMENT_MINUTE);
    assert_ok(bind(anna, l, devices[3]));
    assert_int_equal(read_license(anna, l).used, 3);
    /* A seat that nobody used for a month is free at once. */
    later(SEAT_UNUSED + MOMENT_HOUR);
    WRITE(assert_ok(license_seen(tx, p, anna, devices[1])));
    WRITE(assert_ok(license_unbind(tx, p, anna, l, devices[2])));
    assert_ok(bind(anna, l, devices[4]));
}

/* MYA-43. Fails if a license works on another's device list, for another application, or after its end. */
static void mya_43_what_does_not_fit_is_refused(void **state)
{
    (void)state;
    license_id l = give(anna, &anna_key, "total-security");
    id device = id_new();
    assert_int_equal(bind(james, l, device), ERR_NOT_FOUND);
    tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    assert_int_equal(license_bind(tx, p, anna, l, device, STR("mobile-security"), &why), ERR_INPUT);
    assert_string_equal(why, LICENSE_ERROR_PRODUCT);
    tx_end(&tx);
    assert_ok(bind(anna, l, device));
    later(366 * MOMENT_DAY);
    assert_int_equal(bind(anna, l, id_new()), ERR_DENIED);
    assert_string_equal(why, LICENSE_ERROR_OVER);
}

/* MYA-43. Fails if a device keeps two seats for one application, or the one that it left is not free. */
static void mya_43_a_device_moves_to_another_license(void **state)
{
    (void)state;
    license_id one = give(anna, &anna_key, "total-security"), two = give(anna, &anna_key, "total-security-family");
    id device = id_new();
    assert_ok(bind(anna, one, device));
    assert_ok(bind(anna, two, device));
    assert_int_equal(read_license(anna, one).used, 0);
    assert_int_equal(read_license(anna, two).used, 1);
    WRITE(assert_ok(license_forget_device(tx, p, anna, device)));
    assert_int_equal(read_license(anna, two).used, 0);
}

static json_t *leaves_of(account_id who, id device)
{
    json_t *out = json_object();
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(license_leaves(tx, p, who, device, STR("total-security"), out));
    tx_end(&tx);
    return out;
}

/* WPS-21, WPF-21. Fails if a device hears anything but the six leaves, or not how it stands now. */
static void wps_21_a_license_is_six_leaves_and_its_state_goes_with_the_time(void **state)
{
    (void)state;
    static const char *const names[] = {"type", "status", "service_information", "activation_error", "expires", "features"};
    static const struct {
        int days;
        const char *state;
    } steps[] = {{0, "active"}, {364, "active"}, {366, "grace"}, {378, "grace"}, {381, "expired"}};
    license_id l = give(anna, &anna_key, "total-security");
    id device = id_new();
    json_t *none = leaves_of(anna, device);
    assert_true(str_is(json_get_str(none, "type"), "none") && str_is(json_get_str(none, "status"), "none"));
    json_decref(none);
    assert_state(anna, l, "new");
    assert_ok(bind(anna, l, device));
    moment begun = clock_.offset;
    for (size_t i = 0; i < COUNT(steps); i++) {
        clock_.offset = begun + steps[i].days * MOMENT_DAY;
        json_t *j = leaves_of(anna, device);
        assert_int_equal(json_object_size(j), COUNT(names));
        for (size_t k = 0; k < COUNT(names); k++)
            assert_non_null(json_object_get(j, names[k]));
        if (!str_is(json_get_str(j, "status"), steps[i].state))
            fail_msg("after %d days: %.*s", steps[i].days, STR_FMT(json_get_str(j, "status")));
        assert_true(str_is(json_get_str(j, "type"), "commercial"));
        assert_int_equal(json_array_size(json_object_get(j, "features")), 5);
        json_decref(j);
    }
    clock_.offset = begun;
    WRITE(assert_ok(license_revoke(tx, p, anna, l)));
    json_t *j = leaves_of(anna, device);
    assert_true(str_is(json_get_str(j, "status"), "revoked"));
    json_decref(j);
    j = leaves_of(james, device); /* another account's device is none of his */
    assert_true(str_is(json_get_str(j, "status"), "none"));
    json_decref(j);
}

/* WPS-22. Fails if a device gets a code that was not sent to it, or after the week. */
static void wps_22_a_code_goes_to_the_device_that_it_was_sent_to(void **state)
{
    (void)state;
    struct lot lot;
    license_id l;
    str code = issue("total-security", &lot), *codes;
    size_t n;
    id device = id_new();
    assert_ok(add_code(anna, &anna_key, code, &l));
#define CODES_FOR(who, key, which)                                                                 \
    do {                                                                                           \
        tx = tx_begin(p->privacy.db, TX_READ, a, &fault);                               \
        assert_ok(license_codes_for(tx, p, who, key, which, &codes, &n));                          \
        tx_end(&tx);                                                                               \
    } while (0)
    CODES_FOR(anna, &anna_key, device);
    assert_int_equal(n, 0);
    WRITE(assert_ok(license_send_code(tx, p, anna, l, device)));
    CODES_FOR(anna, &anna_key, id_new());
    assert_int_equal(n, 0);
    CODES_FOR(james, &james_key, device);
    assert_int_equal(n, 0);
    CODES_FOR(anna, &anna_key, device);
    assert_int_equal(n, 1);
    assert_true(str_eq(codes[0], code));
    moment begun = clock_.offset;
    later(CODE_SENT_LASTS + MOMENT_MINUTE);
    CODES_FOR(anna, &anna_key, device);
    assert_int_equal(n, 0);
    clock_.offset = begun;
    assert_ok(bind(anna, l, device)); /* it has been used */
    CODES_FOR(anna, &anna_key, device);
    assert_int_equal(n, 0);
}

/* MYA-44. Fails if the list is not what the account has, with product, state and end. */
static void mya_44_the_list_is_what_the_account_has(void **state)
{
    (void)state;
    struct lot lot;
    struct license *list;
    license_id coded;
    size_t n;
    license_id bought = give(anna, &anna_key, "mobile-security");
    later(MOMENT_MINUTE);
    str code = issue("total-security-family", &lot);
    assert_ok(add_code(anna, &anna_key, code, &coded));
    give(james, &james_key, "small-office");
    assert_ok(bind(anna, bought, id_new()));
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(license_list(tx, p, anna, &anna_key, &list, &n));
    assert_int_equal(n, 2);
    assert_true(id_eq(list[0].id.id, coded.id) && str_is(list[0].product, "total-security-family"));
    assert_true(str_is(list[0].state, "new") && list[0].devices == 10 && list[0].used == 0 && list[0].expires == 0);
    assert_true(str_eq(list[0].code, code) && str_is(list[0].origin, "code"));
    assert_true(id_eq(list[1].id.id, bought.id) && str_is(list[1].state, "active") && list[1].code.n == 0);
    assert_true(list[1].used == 1 && list[1].devices == 1);
    assert_true(list[1].expires == term_end(list[1].activated, (struct term){.months = 12}));
    assert_int_equal(license_get(tx, p, james, coded, NULL, list), ERR_NOT_FOUND);
    tx_end(&tx);
}

/* Fails if a product can be tried twice, or for longer than it says. */
static void mya_44_a_product_is_tried_once(void **state)
{
    (void)state;
    license_id l, again;
    const struct product *trial = product_named(p, STR("total-security-trial"));
    WRITE(assert_ok(license_grant(tx, p, anna, &anna_key, trial, ORIGIN_TRIAL, &l)));
    tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    assert_int_equal(license_grant(tx, p, anna, &anna_key, trial, ORIGIN_TRIAL, &again), ERR_CONFLICT);
    tx_end(&tx);
    WRITE(assert_ok(license_grant(tx, p, james, &james_key, trial, ORIGIN_TRIAL, &again)));
    assert_ok(bind(anna, l, id_new()));
    later(30 * MOMENT_DAY + MOMENT_MINUTE);
    assert_state(anna, l, "expired");
}

/* Fails if a renewal costs what is left of the term, or brings back what was withdrawn. */
static void a_renewal_goes_on_from_the_end(void **state)
{
    (void)state;
    license_id l = give(anna, &anna_key, "total-security");
    id device = id_new();
    moment expires;
    tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    assert_int_equal(license_renew(tx, p, anna, l, &expires), ERR_CONFLICT); /* not begun */
    tx_end(&tx);
    assert_ok(bind(anna, l, device));
    moment first = read_license(anna, l).expires;
    later(300 * MOMENT_DAY);
    WRITE(assert_ok(license_renew(tx, p, anna, l, &expires)));
    assert_true(expires == term_end(first, (struct term){.months = 12}));
    later(900 * MOMENT_DAY); /* long over */
    WRITE(assert_ok(license_renew(tx, p, anna, l, &expires)));
    assert_true(expires > now() + 360 * MOMENT_DAY);
    WRITE(assert_ok(license_revoke(tx, p, anna, l)));
    tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    assert_int_equal(license_renew(tx, p, anna, l, &expires), ERR_CONFLICT);
    tx_end(&tx);
}

/* ---- license files ---- */

static json_t *part_of(str token, int which)
{
    str part = {NULL, 0}, rest = token, bytes;
    json_t *out;
    for (int i = 0; i <= which; i++)
        if (!str_cut(rest, '.', &part, &rest))
            part = rest;
    assert_ok(base64url_decode(a, part, &bytes));
    assert_ok(json_decode(bytes, &out, &fault));
    return out;
}

/* As another implementation would: three parts, the key by its name, the signature over the first two. */
static bool verifies(str token, const json_t *keys)
{
    str text, last, signature, x = {NULL, 0};
    size_t i;
    json_t *key;
    CLEANUP(json_done) json_t *head = part_of(token, 0);
    assert_true(str_cut_last(token, '.', &text, &last));
    assert_true(str_is(json_get_str(head, "alg"), "EdDSA"));
    json_array_foreach(json_object_get(keys, "keys"), i, key)
        if (str_eq(json_get_str(key, "kid"), json_get_str(head, "kid")))
            assert_ok(base64url_decode(a, json_get_str(key, "x"), &x));
    assert_ok(base64url_decode(a, last, &signature));
    return x.n == 32 && signature.n == 64 &&
           crypto_sign_verify_detached((const unsigned char *)signature.p, (const unsigned char *)text.p, text.n,
                                       (const unsigned char *)x.p) == 0;
}

static json_t *keys_now(void)
{
    json_t *out = json_object();
    WRITE(assert_ok(license_keys(tx, p, out)));
    return out;
}

static str file_for(account_id who, license_id l, id device)
{
    str out = {NULL, 0};
    WRITE(assert_ok(license_file(tx, p, who, l, device, a, &out)));
    return out;
}

static bool list_has(str token, str seat)
{
    size_t i;
    json_t *one;
    CLEANUP(json_done) json_t *payload = part_of(token, 1);
    json_array_foreach(json_object_get(payload, "seats"), i, one)
        if (str_eq(json_str(one), seat))
            return true;
    return false;
}

/* docs/license-file.md. Fails if a file does not verify, says more or less than is written there, or is for
 * another device. */
static void license_files_verify_and_are_for_one_device(void **state)
{
    (void)state;
    static const char *const names[] = {"iss", "iat", "exp", "license", "seat", "device", "product", "application", "ends", "features"};
    license_id l = give(anna, &anna_key, "total-security");
    id device = id_new();
    str out;
    assert_ok(bind(anna, l, device));
    str file = file_for(anna, l, device);
    CLEANUP(json_done) json_t *keys = keys_now();
    CLEANUP(json_done) json_t *payload = part_of(file, 1);
    assert_true(verifies(file, keys));
    assert_int_equal(json_object_size(payload), COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++)
        assert_non_null(json_object_get(payload, names[i]));
    assert_true(str_eq(json_get_str(payload, "device"), id_str(&device)));
    assert_true(str_is(json_get_str(payload, "iss"), "https://portal.example.com"));
    assert_true(json_get_int(payload, "exp") - json_get_int(payload, "ends") == 14 * 86400);
    ((char *)(uintptr_t)file.p)[file.n / 2] ^= 1;
    assert_false(verifies(file, keys));
    tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    assert_int_equal(license_file(tx, p, anna, l, id_new(), a, &out), ERR_NOT_FOUND);
    assert_int_equal(license_file(tx, p, james, l, device, a, &out), ERR_NOT_FOUND);
    tx_end(&tx);
}

/* Fails if a file that is out stays good after the license has left the device, or the list keeps what has
 * ended by itself. */
static void license_files_are_void_when_the_seat_is_given_up(void **state)
{
    (void)state;
    license_id l = give(anna, &anna_key, "total-security");
    id device = id_new(), other = id_new();
    str list = {NULL, 0};
    assert_ok(bind(anna, l, device));
    assert_ok(bind(anna, l, other));
    CLEANUP(json_done) json_t *payload = part_of(file_for(anna, l, device), 1);
    str seat = json_get_str(payload, "seat");
    WRITE(assert_ok(license_revocations(tx, p, a, &list)));
    assert_false(list_has(list, seat));
    WRITE(assert_ok(license_unbind(tx, p, anna, l, device)); assert_ok(license_unbind(tx, p, anna, l, other)));
    WRITE(assert_ok(license_revocations(tx, p, a, &list)));
    assert_true(list_has(list, seat));
    CLEANUP(json_done) json_t *keys = keys_now();
    assert_true(verifies(list, keys));
    /* For the other device no file was made: nothing to revoke. */
    assert_int_equal(count("SELECT count(*) FROM revoked_seat"), 1);
    later(381 * MOMENT_DAY);
    WRITE(assert_ok(license_revocations(tx, p, a, &list)));
    assert_false(list_has(list, seat));
}

/* Fails if a key signs before it could be known, or goes before what it signed, or its secret half stays. */
static void license_keys_change_with_overlap(void **state)
{
    (void)state;
    license_id l = give(anna, &anna_key, "total-security");
    id device = id_new();
    struct vault_signers s;
    assert_ok(bind(anna, l, device));
    str first = file_for(anna, l, device);
    CLEANUP(json_done) json_t *before = keys_now();
    assert_int_equal(json_array_size(json_object_get(before, "keys")), 1);
    assert_ok(task_signing_keys(p, a, &fault));
    CLEANUP(json_done) json_t *same = keys_now();
    assert_int_equal(json_array_size(json_object_get(same, "keys")), 1);
    later(SIGNING_EVERY + MOMENT_HOUR);
    assert_ok(task_signing_keys(p, a, &fault));
    assert_ok(task_signing_keys(p, a, &fault)); /* again is nothing */
    CLEANUP(json_done) json_t *two = keys_now();
    assert_int_equal(json_array_size(json_object_get(two, "keys")), 2);
    /* The old one goes on signing: who fetched the keys yesterday can read what is made today. */
    assert_true(verifies(file_for(anna, l, device), before));
    later(SIGNING_OVERLAP + MOMENT_HOUR);
    str second = file_for(anna, l, device);
    assert_false(verifies(second, before));
    assert_true(verifies(second, two) && verifies(first, two));
    assert_ok(task_signing_keys(p, a, &fault));
    assert_ok(vault_signers(p->privacy.vault, "license-signing", &s, a, &fault));
    assert_int_equal(s.n, 1);
    CLEANUP(json_done) json_t *after = keys_now();
    assert_true(verifies(first, after));
    later(FILE_LASTS + MOMENT_DAY);
    assert_ok(task_signing_keys(p, a, &fault));
    CLEANUP(json_done) json_t *last = keys_now();
    assert_false(verifies(first, last));
}

/* RFC 8037, A.3; docs/license-file.md. Fails if another implementation would not take what we call a file. */
static void license_files_are_those_of_the_vector(void **state)
{
    (void)state;
    str text, x;
    json_t *v;
    assert_ok(file_read(a, str_fmt(a, "%s/tests/vectors/license.json", getenv("TROTH_SOURCE")).p, 65536, &text, &fault));
    assert_ok(json_decode(text, &v, &fault));
    assert_ok(base64url_decode(a, json_get_str(v, "x"), &x));
    assert_true(str_is(license_key_id(a, (const unsigned char *)x.p), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
    CLEANUP(json_done) json_t *keys = json_object();
    json_t *key = json_add_object(json_put_array(keys, "keys"));
    json_put_str(key, "kid", json_get_str(v, "kid"));
    json_put_str(key, "x", json_get_str(v, "x"));
    static const char *const which[] = {"license", "revocations"};
    for (size_t i = 0; i < COUNT(which); i++) {
        str token = json_get_str(v, which[i]);
        assert_true(verifies(token, keys));
        CLEANUP(json_done) json_t *payload = part_of(token, 1);
        assert_true(json_equal(payload, json_object_get(v, str_fmt(a, "%s_payload", which[i]).p)));
    }
    json_decref(v);
}

/* ---- reminders ---- */

static void ask_for_reminders(account_id who, bool wanted)
{
    WRITE(assert_ok(reminders_set(tx, p, who, wanted, "en", WAY_LICENSES)));
}

static void run_task(void)
{
    int ran;
    assert_ok(task_licenses(p, a, &fault));
    assert_ok(work_run_due(p->work, (id){{0}}, &ran, &fault));
}

static int64_t reminders_sent(void)
{
    return count("SELECT count(*) FROM mail WHERE purpose = 'license-reminders' AND state = 'sent'");
}

/* MYA-45, MYA-48, MYA-49. Fails if somebody is reminded who has not asked, or twice at a step, or otherwise
 * than by mail. */
static void mya_45_49_reminders_only_where_asked_for_and_once(void **state)
{
    (void)state;
    license_id l = give(anna, &anna_key, "mobile-security"), other = give(james, &james_key, "mobile-security");
    assert_ok(bind(anna, l, id_new()));
    assert_ok(bind(james, other, id_new()));
    ask_for_reminders(anna, true);
    moment begun = clock_.offset, year = read_license(anna, l).expires - now();
    static const struct {
        int before, mails; /* days before the end; mails in all, then */
    } steps[] = {{40, 0}, {31, 0}, {29, 1}, {20, 1}, {8, 1}, {6, 2}, {2, 2}, {0, 3}};
    for (size_t i = 0; i < COUNT(steps); i++) {
        clock_.offset = begun + year - steps[i].before * MOMENT_DAY - MOMENT_HOUR;
        run_task();
        run_task();
        if (reminders_sent() != steps[i].mails)
            fail_msg("%d days before: %lld mails", steps[i].before, (long long)reminders_sent());
    }
    clock_.offset = begun + year + MOMENT_DAY;
    run_task();
    assert_int_equal(reminders_sent(), 3);
    assert_int_equal(count("SELECT count(*) FROM mail WHERE purpose = 'license-reminders'"), 3);
    assert_int_equal(count("SELECT count(*) FROM text_code") + count("SELECT count(*) FROM text_sent"), 0);
    assert_int_equal(count("SELECT count(*) FROM license_reminder"), 3);
}

/* MYA-49. Fails if a job that was cut off after its work, and runs again, sends a second mail. */
static void mya_49_looking_again_sends_no_second(void **state)
{
    (void)state;
    license_id l = give(anna, &anna_key, "mobile-security");
    assert_ok(bind(anna, l, id_new()));
    ask_for_reminders(anna, true);
    later(read_license(anna, l).expires - now() - 5 * MOMENT_DAY);
    run_task();
    assert_int_equal(reminders_sent(), 1); /* the last step that has come, not each that was missed */
    tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    struct query *q = SQL(tx, "UPDATE license SET look_at = 1");
    assert_ok(query_run(q));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    run_task();
    assert_int_equal(reminders_sent(), 1);
}

/* MYA-46. Fails if the request is no row of the ledger with time and wording, is on by default, or cannot be
 * withdrawn by the mail's own link. */
static void mya_46_the_request_is_in_the_ledger_and_ends_with_a_click(void **state)
{
    (void)state;
    bool wanted;
    struct consent *rows;
    size_t n;
    str token;
    account_id found;
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(reminders_get(tx, p, anna, &wanted));
    assert_false(wanted);
    tx_end(&tx);
    ask_for_reminders(anna, true);
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(consent_history(tx, &p->privacy, anna.id, &rows, &n));
    tx_end(&tx);
    assert_int_equal(n, 1);
    assert_true(rows[0].granted && rows[0].made > 0 && str_is(rows[0].way, WAY_LICENSES));
    assert_true(str_is(rows[0].wording, "Send me an e-mail before one of my licenses ends."));
    assert_ok(reminders_token(&p->privacy, anna, a, &token, &fault));
    assert_ok(reminders_find(&p->privacy, token, a, &found, &fault));
    assert_true(id_eq(found.id, anna.id));
    ((char *)(uintptr_t)token.p)[token.n - 1] ^= 1;
    assert_int_equal(reminders_find(&p->privacy, token, a, &found, &fault), ERR_NOT_FOUND);
    /* Withdrawn while one is due: nothing goes. */
    license_id l = give(anna, &anna_key, "mobile-security");
    assert_ok(bind(anna, l, id_new()));
    ask_for_reminders(anna, false);
    later(read_license(anna, l).expires - now() - 5 * MOMENT_DAY);
    run_task();
    assert_int_equal(count("SELECT count(*) FROM mail WHERE purpose = 'license-reminders'"), 0);
}

/* ---- the catalogue ---- */

static void complains(const char *text, const char *words)
{
    static const char *const languages[] = {"en", "sv"};
    struct catalogue *c;
    struct fault f = {0};
    assert_int_equal(catalogue_read(a, STR("shop.yaml"), str_from(text), languages, 2, &c, &f), ERR_INPUT);
    if (strstr(f.text, words) == NULL)
        fail_msg("%s: %s", words, f.text);
}

#define TOP "reminders: [P7D]\nrenewal: P2D\nfeatures:\n  a: A\nproducts:\n"
#define ONE TOP "  x:\n    name: X\n    edition: one\n    application: com.x\n    term: P1Y\n    devices: 1\n"

/* docs/catalogue.md. Fails if a mistake in the file is not named with file and line. */
static void the_catalogue_is_checked_with_file_and_line(void **state)
{
    (void)state;
    static const char *const languages[] = {"en", "sv"};
    struct catalogue *c;
    struct fault f = {0};
    assert_int_equal(catalogue_read(a, STR("shop.yaml"), STR(ONE), languages, 2, &c, &f), OK);
    assert_int_equal(c->n_products, 1);
    complains(ONE "    colour: red\n", "shop.yaml:12: colour is not a word of this file");
    complains(ONE "    features: [b]\n", "shop.yaml:12: the features above do not name b");
    complains(ONE "    price: 5\n", "shop.yaml:12: a price is an amount and a currency");
    complains(ONE "    price: 5.00 SEK\n    trial: true\n", "shop.yaml:13: a trial has no price");
    complains(TOP "  x:\n    name: X\n    edition: one\n    application: com.x\n    term: P1Y\n    devices: 0\n", "shop.yaml:11: product x: devices");
    complains(TOP "  x:\n    name: {en: X}\n    edition: one\n", "shop.yaml:7: name has no text in language sv");
    complains("reminders: [P1M]\nrenewal: P2D\nproducts: {}\n", "shop.yaml:1: P1M is no time before an end");
    complains("reminders: [P1D, P7D]\nrenewal: P2D\nproducts: {}\n", "shop.yaml:1: reminders go from the longest");
    complains("reminders: [P7D]\nrenewal: P2D\n", "shop.yaml:1: the file names no products");
    complains("a: 1\na: 2\n", "shop.yaml:2: a stands twice");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(mya_42_every_slip_and_every_swap_is_told),
        T(mya_42_blanks_dashes_and_capitals_do_not_count),
        T(mya_42_good_malformed_mistyped_unknown_revoked),
        T(mya_42_tries_are_limited),
        T(mya_42_a_lot_is_revoked_with_all_that_came_of_it),
        T(mya_50_a_code_is_owned_once),
        T(mya_50_what_is_left_of_a_code_is_free_again),
        T(mya_43_the_limit_and_the_cooling_off),
        T(mya_43_what_does_not_fit_is_refused),
        T(mya_43_a_device_moves_to_another_license),
        T(mya_44_the_list_is_what_the_account_has),
        T(mya_44_a_product_is_tried_once),
        T(wps_21_a_license_is_six_leaves_and_its_state_goes_with_the_time),
        T(wps_22_a_code_goes_to_the_device_that_it_was_sent_to),
        T(a_renewal_goes_on_from_the_end),
        T(license_files_verify_and_are_for_one_device),
        T(license_files_are_void_when_the_seat_is_given_up),
        T(license_keys_change_with_overlap),
        T(license_files_are_those_of_the_vector),
        T(mya_45_49_reminders_only_where_asked_for_and_once),
        T(mya_49_looking_again_sends_no_second),
        T(mya_46_the_request_is_in_the_ledger_and_ends_with_a_click),
        T(the_catalogue_is_checked_with_file_and_line),
    };
    static const char *const names[] = {[DB_SQLITE] = "licenses on SQLite", [DB_POSTGRES] = "licenses on PostgreSQL"};
    int failed = 0;
    for (kind = DB_SQLITE; kind <= DB_POSTGRES; kind++)
        if (testing_wants(kind))
            failed += cmocka_run_group_tests_name(names[kind], tests, NULL, NULL);
    return failed;
}
