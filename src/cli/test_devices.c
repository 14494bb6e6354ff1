/*
 * Devices on both databases, against a clock that moves: bindings and their tokens, reports, fixes and other
 * commands, positions, one-time passwords, the end. What a person reads of it is tests/e2e/devices.test.mjs,
 * what apps say tests/api/test_connect.py.
 */
#include "cli/config.h"
#include "cli/portal.h"

#include "base/file.h"
#include "features/devices/devices.h"
#include "features/licenses/licenses.h"
#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/rights.h"
#include "store/testing.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

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
#define assert_str(got, want) assert_string_equal(str_cstr(a, (got)), (want))

/* Runs statements on a write transaction `tx` and commits them. */
#define WRITE(...)                                                                                 \
    do {                                                                                           \
        tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);                                         \
        __VA_ARGS__;                                                                               \
        assert_ok(tx_commit(tx));                                                                  \
        tx_end(&tx);                                                                               \
    } while (0)

/* The answer of a call on `tx` that changes nothing where it refuses. */
#define ASK(call)                                                                                  \
    __extension__({                                                                                \
        tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);                                         \
        enum err asked = (call);                                                                   \
        if (asked == OK)                                                                           \
            assert_ok(tx_commit(tx));                                                              \
        tx_end(&tx);                                                                               \
        fault_clear(&fault);                                                                       \
        asked;                                                                                     \
    })

/* ---- a portal of our own ---- */

static char *fresh_database(void)
{
    static char url[512];
    const char *server = getenv("TROTH_TEST_POSTGRES");
    id name = id_new();
    PGconn *c = PQconnectdb(server);
    PGresult *r = PQexec(c, str_fmt(a, "CREATE DATABASE d_%s", name.text).p);
    assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
    PQfinish(c);
    snprintf(url, sizeof url, "TROTH_DATABASE=%.*s/d_%s", (int)(strrchr(server, '/') - server), server, name.text);
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
    snprintf(dir, sizeof dir, "/tmp/troth-devices-XXXXXX");
    assert_non_null(mkdtemp(dir));
    static char url[] = "TROTH_PUBLIC_URL=https://portal.example.com";
    char *environment[] = {str_cstr(a, str_fmt(a, "TROTH_DATA=%s/data", dir)), str_cstr(a, str_fmt(a, "TROTH_MAIL=file:%s/mail", dir)),
                           url, kind == DB_POSTGRES ? fresh_database() : NULL, NULL};
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

static void later(moment by)
{
    clock_.offset += by;
}

/* ---- an app ---- */

#define BOUND STR("kitchen-laptop")

static const struct app_facts app = {{"total-security", 14}, {"22.4", 4}, {"sv-SE", 5}};

static enum err bind_to(account_id who, const struct key *k, device_id same, bool office, struct binding *b, str *token)
{
    struct binding_start s = {.account = who,
                              .device = {BOUND, STR("laptop"), STR("Debian GNU/Linux"), STR("12")},
                              .app = app,
                              .same = same,
                              .statement = STR("1.k3f"),
                              .office = office};
    return device_bind(tx, &p->privacy, k, &s, b, token);
}

static str bound(account_id who, const struct key *k, struct binding *b)
{
    str token;
    WRITE(assert_ok(bind_to(who, k, (device_id){{{0}}}, false, b, &token)));
    return token;
}

static enum err by_token(str token, struct binding *b)
{
    return ASK(device_by_token(tx, &clock_, token, b));
}

/* Reports; was it news? */
static bool report(str token, const struct key *k, const char *information, const char *status)
{
    struct binding b;
    struct device_facts d = {BOUND, STR("laptop"), STR("Debian GNU/Linux"), STR("12")};
    struct license_facts l = {STR("subscription"), str_from(status), str_from(information), STR(""), 0, STR("[\"anti-theft\"]")};
    unsigned char digest[16] = {1};
    bool changed;
    for (size_t i = 0; information[i]; i++)
        digest[1 + i % 15] = (unsigned char)(digest[1 + i % 15] * 31 + information[i]);
    assert_int_equal(by_token(token, &b), OK);
    WRITE(assert_ok(device_report(tx, &p->privacy, k, &b, &d, &app, &l, digest, &changed)));
    return changed;
}

static struct device_entry entry(account_id who, const struct key *k, device_id device)
{
    struct device_entry d;
    WRITE(assert_ok(device_get(tx, &p->privacy, who, device, k, &d)));
    return d;
}

static size_t count_devices(account_id who, const struct key *k)
{
    struct device_entry *list;
    size_t n;
    WRITE(assert_ok(device_list(tx, &p->privacy, who, k, &list, &n)));
    return n;
}

static enum err order(account_id who, const struct key *k, device_id device, const char *command, command_id *out)
{
    struct command_start s = {.account = who, .device = device, .kind = command};
    return ASK(command_add(tx, p, k, &s, out));
}

static size_t fetch(str token, const struct key *k, struct command *first)
{
    struct binding b;
    struct command *list;
    size_t n;
    assert_int_equal(by_token(token, &b), OK);
    WRITE(assert_ok(command_fetch(tx, &p->privacy, k, &b, &list, &n)));
    if (n)
        *first = list[0];
    return n;
}

static enum err answer(const struct binding *b, const struct key *k, command_id command, bool done, const char *reason)
{
    return ASK(command_answer(tx, p, k, b, command, done, str_from(reason)));
}

static struct command newest(account_id who, const struct key *k, device_id device)
{
    struct command *list;
    size_t n;
    WRITE(assert_ok(command_list(tx, &p->privacy, who, device, k, 10, &list, &n)));
    assert_true(n > 0);
    return list[0];
}

static int64_t rows(struct query *q, account_id who)
{
    bind_id(q, who.id);
    int64_t n = query_row(q) ? row_int(q, 0) : -1;
    assert_ok(query_end(q));
    return n;
}
#define ROWS(table, who)                                                                           \
    __extension__({                                                                                \
        int64_t counted;                                                                           \
        WRITE(counted = rows(SQL(tx, "SELECT count(*) FROM " table " WHERE account = $1"), who)); \
        counted;                                                                                   \
    })

/* ---- the binding ---- */

/* Fails if a device is there before it is bound, if a token of another's or a made-up one is taken, or if an
 * account that has left My Account is bound to. */
static void mya_36_a_device_is_there_once_it_is_bound(void **state)
{
    (void)state;
    struct binding b, found;
    str token, none;
    assert_int_equal(count_devices(anna, &anna_key), 0);
    token = bound(anna, &anna_key, &b);
    assert_int_equal(count_devices(anna, &anna_key), 1);
    assert_int_equal(by_token(token, &found), OK);
    assert_true(id_eq(found.id.id, b.id.id) && id_eq(found.device.id, b.device.id) && id_eq(found.account.id, anna.id));
    struct device_entry d = entry(anna, &anna_key, b.device);
    assert_str(d.name, "kitchen-laptop");
    assert_string_equal(d.state, "unknown");
    char *forged = str_cstr(a, token);
    forged[token.n - 1] = forged[token.n - 1] == 'a' ? 'b' : 'a';
    assert_int_equal(by_token(str_from(forged), &found), ERR_NOT_FOUND);
    assert_int_equal(by_token(str_head(token, token.n - 1), &found), ERR_NOT_FOUND);
    /* the same secret, under another account's name */
    memcpy(forged, token.p, token.n);
    memcpy(forged + 3, james.id.text, ID_LENGTH);
    assert_int_equal(by_token(str_from(forged), &found), ERR_NOT_FOUND);
    WRITE(assert_ok(enrolment_leave(tx, &p->privacy, james.id, inventory_account(p->privacy.inventory, STR("my-account")), "en")));
    assert_int_equal(ASK(bind_to(james, &james_key, (device_id){{{0}}}, false, &b, &none)), ERR_DENIED);
}

/* Fails if a second app makes a second device of it, if one names a device of another account's, or if there
 * is no end to devices. */
static void mya_36_apps_share_a_device_and_devices_have_an_end(void **state)
{
    (void)state;
    struct binding first, second, b;
    str token;
    bound(anna, &anna_key, &first);
    assert_int_equal(ASK(bind_to(anna, &anna_key, first.device, false, &second, &token)), OK);
    assert_int_equal(count_devices(anna, &anna_key), 1);
    assert_int_equal(entry(anna, &anna_key, first.device).n_products, 2);
    assert_int_equal(ASK(bind_to(james, &james_key, first.device, false, &b, &token)), ERR_NOT_FOUND);
    WRITE(for (int i = 1; i < DEVICES_MAX; i++) assert_ok(bind_to(anna, &anna_key, (device_id){{{0}}}, false, &b, &token)));
    assert_int_equal(ASK(bind_to(anna, &anna_key, (device_id){{{0}}}, false, &b, &token)), ERR_DENIED);
    assert_int_equal(ASK(bind_to(anna, &anna_key, first.device, false, &b, &token)), OK);
}

/* Fails if the old token dies before the new one is used (an answer may be lost), or lives on after. */
static void wps_18_a_token_changes_without_a_gap(void **state)
{
    (void)state;
    struct binding b;
    str old = bound(anna, &anna_key, &b), fresh;
    WRITE(assert_ok(device_rotate(tx, &clock_, &b, &fresh)));
    assert_int_equal(by_token(old, &b), OK);
    assert_false(b.next_used);
    assert_int_equal(by_token(fresh, &b), OK);
    assert_true(b.next_used);
    report(fresh, &anna_key, "{}", "active");
    assert_int_equal(by_token(old, &b), ERR_NOT_FOUND);
    assert_int_equal(by_token(fresh, &b), OK);
    assert_false(b.next_used);
}

/* ---- reports ---- */

/* Fails if a report that says the same counts as news, if it is not noted at all that the app was heard of, or
 * if a device that has fallen silent looks well. */
static void wps_08_mya_37_reports_changed_and_unchanged(void **state)
{
    (void)state;
    struct binding b;
    str token = bound(anna, &anna_key, &b);
    assert_true(report(token, &anna_key, "{\"protection\":\"on\"}", "active"));
    assert_string_equal(entry(anna, &anna_key, b.device).state, "good");
    assert_false(report(token, &anna_key, "{\"protection\":\"on\"}", "active"));
    moment seen = entry(anna, &anna_key, b.device).seen;
    later(DEVICE_SEEN_EVERY - MOMENT_SECOND);
    assert_false(report(token, &anna_key, "{\"protection\":\"on\"}", "active"));
    assert_true(entry(anna, &anna_key, b.device).seen == seen);
    later(2 * MOMENT_SECOND);
    assert_false(report(token, &anna_key, "{\"protection\":\"on\"}", "active"));
    assert_true(entry(anna, &anna_key, b.device).seen > seen);
    later(DEVICE_STALE + MOMENT_SECOND);
    assert_string_equal(entry(anna, &anna_key, b.device).state, "silent");
    assert_true(report(token, &anna_key, "{\"protection\":\"off\"}", "active"));
    assert_string_equal(entry(anna, &anna_key, b.device).state, "problem");
}

/* Fails if a problem is not seen, has not the fix that mends it, or stays when the app says that it is gone;
 * if the fix is given twice, is delivered to nobody, or can be answered twice. */
static void mya_38_a_problem_its_fix_and_its_end(void **state)
{
    (void)state;
    struct binding b;
    struct command c;
    command_id made, again;
    str token = bound(anna, &anna_key, &b);
    report(token, &anna_key, "{\"protection\":\"off\",\"databases\":\"outdated\",\"else\":\"off\"}", "grace");
    struct device_entry d = entry(anna, &anna_key, b.device);
    assert_string_equal(d.state, "problem");
    assert_int_equal(d.products[0].n_problems, 3);
    assert_string_equal(d.products[0].problems[0].code, "protection-off");
    assert_string_equal(d.products[0].problems[0].fix, "enable-protection");
    assert_string_equal(d.products[0].problems[1].fix, "update-databases");
    assert_string_equal(d.products[0].problems[2].code, "license-ending");
    assert_null(d.products[0].problems[2].fix);

    assert_int_equal(order(anna, &anna_key, b.device, "enable-protection", &made), OK);
    assert_int_equal(order(anna, &anna_key, b.device, "enable-protection", &again), ERR_CONFLICT);
    assert_str(newest(anna, &anna_key, b.device).state, "queued");
    assert_int_equal(by_token(token, &b), OK);
    assert_int_equal(b.pending, 1);
    assert_int_equal(fetch(token, &anna_key, &c), 1);
    assert_true(id_eq(c.id.id, made.id));
    assert_str(newest(anna, &anna_key, b.device).state, "delivered");
    assert_int_equal(fetch(token, &anna_key, &c), 1); /* it is not lost with an app that ended */
    later(MOMENT_MINUTE);
    assert_int_equal(answer(&b, &anna_key, made, true, ""), OK);
    assert_int_equal(answer(&b, &anna_key, made, false, "too-late"), OK);
    c = newest(anna, &anna_key, b.device);
    assert_str(c.state, "done");
    assert_int_equal(c.ended - c.delivered, MOMENT_MINUTE);
    assert_int_equal(fetch(token, &anna_key, &c), 0);
    report(token, &anna_key, "{\"protection\":\"on\"}", "active");
    assert_string_equal(entry(anna, &anna_key, b.device).state, "good");
}

/* ---- commands ---- */

/* Fails if a command outlives its days, is given to the app after, or can be answered after; or if a failure
 * has not its reason. */
static void atw_03_commands_end_in_every_way(void **state)
{
    (void)state;
    struct binding b;
    struct command c;
    command_id late, lost, bad;
    str token = bound(anna, &anna_key, &b);
    assert_int_equal(order(anna, &anna_key, b.device, "alarm", &late), OK);
    later(COMMAND_LASTS - MOMENT_SECOND);
    assert_str(newest(anna, &anna_key, b.device).state, "queued");
    later(2 * MOMENT_SECOND);
    assert_str(newest(anna, &anna_key, b.device).state, "expired");
    assert_int_equal(fetch(token, &anna_key, &c), 0);
    assert_int_equal(answer(&b, &anna_key, late, true, ""), ERR_NOT_FOUND);
    assert_int_equal(order(anna, &anna_key, b.device, "alarm", &lost), OK);
    assert_int_equal(fetch(token, &anna_key, &c), 1);
    later(COMMAND_LASTS + MOMENT_SECOND);
    assert_str(newest(anna, &anna_key, b.device).state, "expired");
    assert_int_equal(order(anna, &anna_key, b.device, "alarm", &bad), OK);
    assert_int_equal(fetch(token, &anna_key, &c), 1);
    assert_int_equal(answer(&b, &anna_key, bad, false, "not-possible"), OK);
    c = newest(anna, &anna_key, b.device);
    assert_str(c.state, "failed");
    assert_str(c.reason, "not-possible");
}

/* Fails if a device is asked for anything while its owner has restricted the use of their data. */
static void rgt_05_no_command_under_restriction(void **state)
{
    (void)state;
    struct binding b;
    command_id made;
    bound(anna, &anna_key, &b);
    WRITE(assert_ok(restriction_set(tx, &p->privacy, anna.id, &anna_key, restriction_reasons[0], STR(""))));
    assert_int_equal(order(anna, &anna_key, b.device, "alarm", &made), ERR_DENIED);
    WRITE(assert_ok(restriction_lift(tx, &p->privacy, anna.id)));
    assert_int_equal(order(anna, &anna_key, b.device, "alarm", &made), OK);
}

/* ---- positions ---- */

static enum err tell_position(const struct binding *b, const struct key *k, command_id command, double latitude)
{
    struct position at = {.latitude = latitude, .longitude = 13.1932, .accuracy = 12.5};
    return ASK(position_add(tx, &p->privacy, k, b, command, &at));
}

/* Fails if a position is kept that nobody asked for, before it was fetched, for another command or for
 * another's device; if two are kept; or if one is there longer than was published. */
static void atw_05_a_position_only_on_command_and_for_hours(void **state)
{
    (void)state;
    struct binding b, other;
    struct command c;
    command_id locate, alarm;
    struct position at;
    str token = bound(anna, &anna_key, &b);
    bound(james, &james_key, &other);
    assert_int_equal(tell_position(&b, &anna_key, (command_id){id_new()}, 55.7), ERR_DENIED);
    assert_int_equal(order(anna, &anna_key, b.device, "alarm", &alarm), OK);
    assert_int_equal(order(anna, &anna_key, b.device, "locate", &locate), OK);
    assert_int_equal(tell_position(&b, &anna_key, locate, 55.7), ERR_DENIED);
    assert_int_equal(fetch(token, &anna_key, &c), 2);
    assert_int_equal(tell_position(&b, &anna_key, alarm, 55.7), ERR_DENIED);
    assert_int_equal(tell_position(&other, &james_key, locate, 55.7), ERR_DENIED);
    assert_int_equal(ROWS("device_position", anna) + ROWS("device_position", james), 0);
    assert_int_equal(tell_position(&b, &anna_key, locate, 55.7), OK);
    assert_int_equal(answer(&b, &anna_key, locate, true, ""), OK);
    assert_int_equal(tell_position(&b, &anna_key, locate, 55.8), ERR_DENIED);
    assert_int_equal(ASK(position_get(tx, &p->privacy, anna, b.device, &anna_key, &at)), OK);
    assert_float_equal(at.latitude, 55.7, 1e-6);
    assert_float_equal(at.longitude, 13.1932, 1e-6);
    assert_int_equal(ASK(position_get(tx, &p->privacy, james, b.device, &james_key, &at)), ERR_NOT_FOUND);
    assert_int_equal(order(anna, &anna_key, b.device, "locate", &locate), OK);
    assert_int_equal(fetch(token, &anna_key, &c), 2);
    assert_int_equal(tell_position(&b, &anna_key, locate, 56.0), OK);
    assert_int_equal(ROWS("device_position", anna), 1);
    later(POSITION_LASTS - MOMENT_SECOND);
    assert_int_equal(ASK(position_get(tx, &p->privacy, anna, b.device, &anna_key, &at)), OK);
    later(2 * MOMENT_SECOND);
    assert_int_equal(ASK(position_get(tx, &p->privacy, anna, b.device, &anna_key, &at)), ERR_NOT_FOUND);
}

/* ---- passwords ---- */

/* Fails if a password is good twice, after ten minutes, or beside a newer one; if how it is written counts; or
 * if an office's is taken for a person's own (SOS-03). */
static void wps_16_a_password_is_good_once_for_ten_minutes(void **state)
{
    (void)state;
    account_id who;
    bool office;
    str first, second;
    moment ends;
    WRITE(assert_ok(device_password_make(tx, &p->privacy, anna, false, &first, &ends)));
    assert_int_equal(first.n, 9);
    assert_int_equal(ends - clock_now(&clock_) > 9 * MOMENT_MINUTE, 1);
    char *shouted = str_cstr(a, str_fmt(a, " %.4s %.4s", first.p, first.p + 5));
    for (char *c = shouted; *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
    assert_int_equal(ASK(device_password_redeem(tx, &p->privacy, STR("aaaa-aaaa"), &who, &office)), ERR_NOT_FOUND);
    assert_int_equal(ASK(device_password_redeem(tx, &p->privacy, str_from(shouted), &who, &office)), OK);
    assert_true(id_eq(who.id, anna.id));
    assert_false(office);
    assert_int_equal(ASK(device_password_redeem(tx, &p->privacy, first, &who, &office)), ERR_NOT_FOUND);
    WRITE(assert_ok(device_password_make(tx, &p->privacy, anna, false, &first, &ends)));
    WRITE(assert_ok(device_password_make(tx, &p->privacy, anna, true, &second, &ends)));
    assert_int_equal(ASK(device_password_redeem(tx, &p->privacy, first, &who, &office)), ERR_NOT_FOUND);
    later(DEVICE_PASSWORD_LASTS - MOMENT_SECOND);
    assert_int_equal(ASK(device_password_redeem(tx, &p->privacy, second, &who, &office)), OK);
    assert_true(office);
    WRITE(assert_ok(device_password_make(tx, &p->privacy, anna, false, &first, &ends)));
    later(DEVICE_PASSWORD_LASTS + MOMENT_SECOND);
    assert_int_equal(ASK(device_password_redeem(tx, &p->privacy, first, &who, &office)), ERR_NOT_FOUND);
}

/* ---- whose ---- */

/* Fails if anything of a device is seen or done by another account than its own. */
static void mya_41_to_others_it_does_not_exist(void **state)
{
    (void)state;
    struct binding b, other;
    struct device_entry d;
    struct command *list;
    command_id made;
    size_t n;
    bound(anna, &anna_key, &b);
    bound(james, &james_key, &other);
    assert_int_equal(order(anna, &anna_key, b.device, "alarm", &made), OK);
    assert_int_equal(ASK(device_get(tx, &p->privacy, james, b.device, &james_key, &d)), ERR_NOT_FOUND);
    assert_int_equal(ASK(device_rename(tx, james, b.device, &james_key, STR("mine"))), ERR_NOT_FOUND);
    assert_int_equal(ASK(device_disconnect(tx, p, james, b.id)), ERR_NOT_FOUND);
    assert_int_equal(ASK(device_disconnect_all(tx, p, james, b.device)), ERR_NOT_FOUND);
    command_id theirs;
    assert_int_equal(order(james, &james_key, b.device, "wipe", &theirs), ERR_NOT_FOUND);
    assert_int_equal(answer(&other, &james_key, made, true, ""), ERR_NOT_FOUND);
    WRITE(assert_ok(command_list(tx, &p->privacy, james, b.device, &james_key, 10, &list, &n)));
    assert_int_equal(n, 0);
    assert_int_equal(count_devices(james, &james_key), 1);
    assert_str(entry(anna, &anna_key, b.device).name, "kitchen-laptop");
    assert_str(newest(anna, &anna_key, b.device).state, "queued");
}

static void a_name_is_the_owners_own(void **state)
{
    (void)state;
    struct binding b;
    char long_name[DEVICE_NAME_MAX + 2];
    memset(long_name, 'n', sizeof long_name);
    bound(anna, &anna_key, &b);
    assert_int_equal(ASK(device_rename(tx, anna, b.device, &anna_key, STR("Köket"))), OK);
    assert_str(entry(anna, &anna_key, b.device).name, "Köket");
    assert_str(entry(anna, &anna_key, b.device).network_name, "kitchen-laptop");
    assert_int_equal(ASK(device_rename(tx, anna, b.device, &anna_key, str_of(long_name, DEVICE_NAME_MAX + 1))), ERR_INPUT);
    assert_int_equal(ASK(device_rename(tx, anna, b.device, &anna_key, STR(""))), OK);
    assert_str(entry(anna, &anna_key, b.device).name, "kitchen-laptop");
}

/* ---- the end ---- */

/* Fails if a token is taken after its app was disconnected, if what it told or where it was is still there, if
 * a command waits on, a license stays, or the consent to sending outlives the last app. */
static void mya_40_wps_10_disconnecting_erases(void **state)
{
    (void)state;
    struct binding b, second;
    struct command c;
    command_id locate;
    license_id license;
    const char *why = NULL;
    bool holds;
    str other, token = bound(anna, &anna_key, &b);
    const struct purpose *sending = inventory_purpose(p->privacy.inventory, STR(PURPOSE_REPORTS));
    WRITE(assert_ok(consent_record(tx, &p->privacy, anna.id, sending, true, "sv", "app-statement")));
    assert_int_equal(ASK(bind_to(anna, &anna_key, b.device, false, &second, &other)), OK);
    WRITE(assert_ok(license_grant(tx, p, anna, &anna_key, product_named(p, STR("total-security")), "purchase", &license));
          assert_ok(license_bind(tx, p, anna, license, b.device.id, app.id, &why)));
    assert_int_equal(order(anna, &anna_key, b.device, "locate", &locate), OK);
    assert_int_equal(fetch(token, &anna_key, &c), 1);
    assert_int_equal(tell_position(&b, &anna_key, c.id, 55.7), OK);

    assert_int_equal(ASK(device_disconnect(tx, p, anna, b.id)), OK);
    assert_int_equal(by_token(token, &b), ERR_DENIED);
    assert_int_equal(by_token(other, &second), OK);
    assert_int_equal(entry(anna, &anna_key, second.device).n_products, 1);
    WRITE(assert_ok(license_of_device(tx, anna, second.device.id, app.id, &license));
          assert_ok(consent_holds(tx, &p->privacy, anna.id, sending, &holds, NULL)));
    assert_true(holds);

    assert_int_equal(ASK(device_disconnect_all(tx, p, anna, second.device)), OK);
    assert_int_equal(by_token(other, &second), ERR_DENIED);
    assert_int_equal(count_devices(anna, &anna_key), 0);
    assert_int_equal(ROWS("device_report", anna) + ROWS("device_position", anna), 0);
    assert_str(newest(anna, &anna_key, second.device).state, "expired");
    assert_int_equal(ASK(license_of_device(tx, anna, second.device.id, app.id, &license)), ERR_NOT_FOUND);
    WRITE(assert_ok(consent_holds(tx, &p->privacy, anna.id, sending, &holds, NULL)));
    assert_false(holds);
    assert_int_equal(ASK(device_disconnect_all(tx, p, anna, second.device)), ERR_NOT_FOUND);
    assert_int_equal(order(anna, &anna_key, second.device, "alarm", &locate), ERR_NOT_FOUND);
}

/* Fails if who leaves My Account, with an office in it, leaves an app behind that may still send. */
static void mya_22_sos_04_leaving_disconnects_everything(void **state)
{
    (void)state;
    struct binding b, office;
    moment ends;
    str password, theirs, token = bound(anna, &anna_key, &b);
    assert_int_equal(ASK(bind_to(anna, &anna_key, (device_id){{{0}}}, true, &office, &theirs)), OK);
    WRITE(assert_ok(device_password_make(tx, &p->privacy, anna, false, &password, &ends)));
    WRITE(assert_ok(enrolment_leave(tx, &p->privacy, anna.id, inventory_account(p->privacy.inventory, STR("my-account")), "sv"));
          assert_ok(feature_left(tx, p, anna.id)));
    assert_int_equal(by_token(token, &b), ERR_DENIED);
    assert_int_equal(by_token(theirs, &office), ERR_DENIED);
    assert_int_equal(count_devices(anna, &anna_key), 0);
    assert_int_equal(ROWS("device_report", anna) + ROWS("device_password", anna), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(mya_36_a_device_is_there_once_it_is_bound),
        T(mya_36_apps_share_a_device_and_devices_have_an_end),
        T(wps_18_a_token_changes_without_a_gap),
        T(wps_08_mya_37_reports_changed_and_unchanged),
        T(mya_38_a_problem_its_fix_and_its_end),
        T(atw_03_commands_end_in_every_way),
        T(rgt_05_no_command_under_restriction),
        T(atw_05_a_position_only_on_command_and_for_hours),
        T(wps_16_a_password_is_good_once_for_ten_minutes),
        T(mya_41_to_others_it_does_not_exist),
        T(a_name_is_the_owners_own),
        T(mya_40_wps_10_disconnecting_erases),
        T(mya_22_sos_04_leaving_disconnects_everything),
    };
    static const char *const names[] = {[DB_SQLITE] = "devices on SQLite", [DB_POSTGRES] = "devices on PostgreSQL"};
    int failed = 0;
    for (kind = DB_SQLITE; kind <= DB_POSTGRES; kind++)
        if (testing_wants(kind))
            failed += cmocka_run_group_tests_name(names[kind], tests, NULL, NULL);
    return failed;
}
