/*
 * Who may enter where, and who of the staff reads what: the whole portal in one process, every route
 * walked as every kind of visitor, and the desk's own rules (spec GEN-26, REC-01, REC-06, REC-07,
 * SEC-04, SEC-07).
 */
#include "cli/access.h"
#include "cli/config.h"

#include "base/file.h"
#include "features/account/password.h"
#include "features/devices/devices.h"
#include "features/factors/model.h"
#include "features/staff/staff.h"
#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/erasure.h"
#include "privacy/reading.h"
#include "privacy/retention.h"
#include "privacy/rights.h"
#include "store/testing.h"

#include <liboath/oath.h>
#include <libpq-fe.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PASSWORD "correct horse battery staple"
#define OFFICE   "198.51.100.7"
#define OUTSIDE  "192.0.2.7"

static struct arena *a;
static struct fault fault;
static struct clock clock_;
static struct log log_ = {.fd = -1};
static enum db_kind kind;
static struct settings settings;
static struct portal *p;
static char dir[64];
static account_id anna, james;

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        if ((expr) != OK)                                                                          \
            fail_msg("%s: %s", #expr, fault.text);                                                 \
    } while (0)

/* ---- a portal of our own ---- */

static char *fresh_database(void)
{
    static char url[512];
    const char *server = getenv("TROTH_TEST_POSTGRES");
    id name = id_new();
    PGconn *c = PQconnectdb(server);
    PGresult *r = PQexec(c, str_fmt(a, "CREATE DATABASE a_%s", name.text).p);
    assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
    PQfinish(c);
    snprintf(url, sizeof url, "TROTH_DATABASE=%.*s/a_%s", (int)(strrchr(server, '/') - server), server, name.text);
    return url;
}

static account_id make_account(const char *address)
{
    static str hash;
    account_id out;
    struct secret password = {str_from(PASSWORD)};
    if (hash.n == 0) {
        static char kept[512];
        str made;
        assert_ok(password_hash(p->passwords, password, a, &made, &fault));
        memcpy(kept, made.p, made.n);
        hash = str_of(kept, made.n);
    }
    assert_ok(account_make(p, str_from(address), hash, "en", "Europe/London", a, &out, &fault));
    return out;
}

/* ---- an app that makes codes ---- */

struct enrolling {
    account_id who;
    char secret[TOTP_SECRET];
};

static str code_now(const struct enrolling *x)
{
    char code[TOTP_DIGITS + 1];
    int r = oath_totp_generate(x->secret, TOTP_SECRET, (time_t)(clock_now(&clock_) / MOMENT_SECOND), TOTP_STEP, 0, TOTP_DIGITS, code);
    assert_int_equal(r, OATH_OK);
    return str_dup(a, str_from(code));
}

static str code_later(const struct enrolling *x)
{
    clock_.offset += TOTP_STEP * MOMENT_SECOND;
    return code_now(x);
}

static enum err enrol(struct tx *tx, void *arg)
{
    CLEANUP(key_wipe) struct key k;
    struct enrolling *x = arg;
    str secret;
    bool right;
    TRY(vault_subject_key(p->privacy.vault, x->who.id, &k, a, tx_fault(tx)));
    TRY(totp_begin(tx, &p->privacy, x->who, &k));
    TRY(totp_waiting(tx, &p->privacy, x->who, &k, &secret));
    memcpy(x->secret, secret.p, TOTP_SECRET);
    TRY(totp_turn_on(tx, &p->privacy, x->who, &k, code_now(x), &right));
    assert_true(right);
    return OK;
}

struct joining {
    account_id who;
    unsigned roles;
};

static enum err join(struct tx *tx, void *arg)
{
    const struct joining *j = arg;
    return staff_join(tx, p, j->who, STR("Eva Marker"), j->roles, clock_now(&clock_));
}

static account_id make_staff(const char *address, unsigned roles)
{
    struct joining j = {make_account(address), roles};
    assert_ok(db_transact(p->privacy.db, a, &fault, join, &j));
    return j.who;
}

static int up(void **state)
{
    (void)state;
    a = arena_new(1 << 30);
    fault_clear(&fault);
    clock_ = (struct clock){0};
    log_.clock = &clock_;
    snprintf(dir, sizeof dir, "/tmp/troth-access-XXXXXX");
    assert_non_null(mkdtemp(dir));
    static char url[] = "TROTH_PUBLIC_URL=https://portal.example.com", memory[] = "TROTH_ARGON_MEMORY=8388608",
                passes[] = "TROTH_ARGON_PASSES=1", limits[] = "TROTH_LIMITS=off",
                networks[] = "TROTH_STAFF_NETWORKS=198.51.100.0/24 2001:db8:7::/48";
    char *environment[] = {str_cstr(a, str_fmt(a, "TROTH_DATA=%s/data", dir)),
                           str_cstr(a, str_fmt(a, "TROTH_MAIL=file:%s/mail", dir)),
                           url, memory, passes, limits, networks,
                           kind == DB_POSTGRES ? fresh_database() : NULL, NULL};
    assert_ok(config_read(NULL, environment, a, &settings, &fault));
    assert_ok(dir_make(str_fmt(a, "%s/data", dir).p, 0700, &fault));
    assert_ok(vault_make_master(str_cstr(a, settings.master_key_file), &fault));
    assert_ok(portal_open(&p, &settings, &clock_, &log_, PORTAL_MIGRATED, NULL, &fault));
    anna = make_account("anna.marker@example.com");
    james = make_account("james.marker@example.com");
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

/* ---- a browser ---- */

struct browser {
    char session[SESSION_TOKEN_LENGTH + 1], form[SECRET_LENGTH + 1], step[SESSION_TOKEN_LENGTH + 1];
    const char *accept, *from, *forwarded, *token;
    bool json; /* sends messages, not forms */
};

struct answer {
    bool entered; /* the guard let them through */
    int status;
    str body, location;
};

static void keep_cookie(struct browser *b, str header)
{
    str name, rest, value;
    assert_true(str_cut(header, '=', &name, &rest) && str_cut(rest, ';', &value, &rest));
    char *to = str_is(name, "__Host-session") ? b->session : str_is(name, "__Host-form") ? b->form
               : str_is(name, "__Host-step") ? b->step : NULL;
    if (to == NULL)
        return;
    memcpy(to, value.p, value.n);
    to[value.n] = '\0';
}

static struct answer ask_as(struct browser *b, const char *method, const char *target, str body, bool whole)
{
    struct header headers[12];
    struct head h = {.method = str_from(method), .target = str_from(target), .version = STR("HTTP/1.1"),
                     .headers = headers, .peer = str_from(b->from ? b->from : OFFICE)};
    struct answer out = {0};
    headers[h.n_headers++] = (struct header){STR("Host"), STR("portal.example.com")};
    headers[h.n_headers++] = (struct header){STR("Cookie"), str_fmt(a, "__Host-session=%s; __Host-form=%s; __Host-step=%s", b->session, b->form, b->step)};
    headers[h.n_headers++] = (struct header){STR("Accept"), str_from(b->accept ? b->accept : "text/html")};
    if (b->forwarded)
        headers[h.n_headers++] = (struct header){STR("X-Forwarded-For"), str_from(b->forwarded)};
    if (b->token)
        headers[h.n_headers++] = (struct header){STR("Authorization"), str_fmt(a, "Bearer %s", b->token)};
    if (body.p)
        headers[h.n_headers++] = (struct header){STR("Content-Type"), b->json ? STR("application/json") : STR("application/x-www-form-urlencoded")};
    struct exchange *x = web_begin(p->web, &h);
    out.entered = !web_refused(x);
    if (!out.entered || whole) {
        if (!web_refused(x) && body.p)
            web_body(x, body);
        const struct response *r = web_finish(x);
        out.status = r->status;
        out.body = str_dup(a, r->body);
        out.location = str_dup(a, response_get(r, "Location"));
        for (size_t i = 0; i < r->n_headers; i++)
            if (str_is(r->headers[i].name, "Set-Cookie"))
                keep_cookie(b, r->headers[i].value);
    }
    web_end(&x);
    return out;
}

static struct answer get(struct browser *b, const char *target)
{
    return ask_as(b, "GET", target, (str){NULL, 0}, true);
}

static struct answer post(struct browser *b, const char *page, const char *target, const char *fields)
{
    const char *accept = b->accept;
    b->accept = NULL;
    struct answer r = get(b, page);
    b->accept = accept;
    static const char mark[] = "name=\"csrf\" value=\"";
    const char *at = memmem(r.body.p, r.body.n, mark, sizeof mark - 1);
    if (at == NULL)
        fail_msg("no form on %s: %d", page, r.status);
    at += sizeof mark - 1;
    str token = str_of(at, (size_t)(strchr(at, '"') - at));
    return ask_as(b, "POST", target, str_fmt(a, "csrf=%.*s&%s", STR_FMT(token), fields), true);
}

static struct browser sign_in(const char *address)
{
    struct browser b = {0};
    str fields = str_fmt(a, "email=%s&password=correct+horse+battery+staple&next=", address);
    struct answer r = post(&b, "/sign-in", "/sign-in", fields.p);
    if (r.status != 303)
        fail_msg("%s does not get in: %d", address, r.status);
    return b;
}

/* With the second step, too. The code that turned it on is used up: half a minute passes. */
static struct browser sign_in_whole(const char *address, const struct enrolling *x)
{
    struct browser b = sign_in(address);
    str code = code_later(x);
    struct answer r = post(&b, "/sign-in/second", "/sign-in/second/totp", str_fmt(a, "next=&code=%.*s", STR_FMT(code)).p);
    if (r.status != 303 || !str_is(r.location, "/desk"))
        fail_msg("%s does not get in with the second step: %d", address, r.status);
    return b;
}

static const char *next_address(void)
{
    static int n;
    return str_fmt(a, "staff%d@example.com", n++).p;
}

static void enrol_staff(struct enrolling *x)
{
    assert_ok(db_transact(p->privacy.db, a, &fault, enrol, x));
}

static struct browser staff_with(unsigned roles)
{
    const char *address = next_address();
    struct enrolling x = {make_staff(address, roles), ""};
    enrol_staff(&x);
    return sign_in_whole(address, &x);
}

/* A JSON answer of the desk. */
static json_t *read_json(struct browser *b, const char *target)
{
    json_t *j = NULL;
    b->accept = "application/json";
    struct answer r = get(b, target);
    b->accept = NULL;
    if (r.status != 200)
        fail_msg("%s: %d %s", target, r.status, str_cstr(a, str_head(r.body, 300)));
    assert_ok(json_decode(r.body, &j, &fault));
    return j;
}

static const char *card_of(account_id who)
{
    return str_fmt(a, "/desk/person?id=%s", who.id.text).p;
}

static struct answer open_card(struct browser *b, account_id who, const char *reason)
{
    return post(b, card_of(who), "/desk/person", str_fmt(a, "id=%s&reason=%s", who.id.text, reason).p);
}

static bool shows(struct browser *b, account_id who)
{
    CLEANUP(json_done) json_t *j = read_json(b, card_of(who));
    bool open = json_get_bool(j, "open");
    assert_int_equal(json_array_size(json_object_get(j, "records")) > 0, open);
    return open;
}

/* What was recorded in somebody's log by the staff, newest first. */
static size_t recorded(account_id who, struct reading_note *out, size_t most)
{
    CLEANUP(key_wipe) struct key k;
    struct trail_event *list;
    size_t n, found = 0;
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(vault_subject_key(p->privacy.vault, who.id, &k, a, &fault));
    assert_ok(trail_check(p->privacy.db, &p->privacy, who.id, &k, &fault));
    assert_ok(trail_list(tx, &p->privacy, who.id, &k, 0, 1000, &list, &n));
    for (size_t i = 0; i < n; i++) {
        if (!str_is(list[i].kind, EVENT_READ) && !str_is(list[i].kind, EVENT_IN_VAIN))
            continue;
        assert_false(id_is_none(list[i].actor));
        assert_int_equal(list[i].address.n > 0, str_is(list[i].kind, EVENT_IN_VAIN)); /* a colleague's is not the reader's business */
        if (found < most)
            assert_true(reading_parse(list[i].note, &out[found]));
        found++;
    }
    return found;
}

/* ---- a connected app ---- */

struct connecting {
    account_id who;
    const char *token;
};

static enum err connect_in(struct tx *tx, void *arg)
{
    CLEANUP(key_wipe) struct key k;
    struct connecting *c = arg;
    struct binding b;
    str token;
    struct binding_start start = {.account = c->who,
                                  .device = {STR("marker"), STR("desktop"), STR("Linux"), STR("6.1")},
                                  .app = {STR("troth-agent"), STR("1.0"), STR("en")},
                                  .statement = STR("1.x")};
    TRY(vault_subject_key(p->privacy.vault, c->who.id, &k, a, tx_fault(tx)));
    TRY(enrolment_join(tx, &p->privacy, c->who.id, inventory_account(p->privacy.inventory, STR("my-account")), NULL, "en"));
    TRY(device_bind(tx, &p->privacy, &k, &start, &b, &token));
    c->token = str_cstr(a, token);
    return OK;
}

static const char *connect_app(account_id who)
{
    struct connecting c = {.who = who};
    assert_ok(db_transact(p->privacy.db, a, &fault, connect_in, &c));
    return c.token;
}

/* ---- the matrix ---- */

typedef void each_fn(const struct route *r, const char *target);

static int each_route(each_fn *fn)
{
    int n = 0;
    for (size_t i = 0; i < n_features; i++)
        for (const struct route *const *list = features[i]->routes; list && *list; list++)
            for (const struct route *r = *list; r->path; r++, n++) {
                struct buf target = buf_new(a, 200);
                bool value = false;
                str any = str_starts(str_from(r->path), STR("/services/")) ? STR("business-hub") : STR("1");
                for (const char *c = r->path; *c; c++) {
                    if (*c == ':')
                        buf_put(&target, any);
                    value = *c == ':' || (value && *c != '/');
                    if (!value)
                        buf_put(&target, str_of(c, 1));
                }
                fn(r, str_cstr(a, buf_str(&target)));
            }
    return n;
}

static struct browser visitors[VISITORS];
static enum visitor visitor;
static int entered, kept_out;

static const char *outcome(const struct answer *x)
{
    if (x->entered)
        return "enters";
    if (x->status == 303 && str_starts(x->location, STR("/sign-in?next=")))
        return "signs in";
    if (x->status == 303 && str_starts(x->location, STR("/account/confirm?")))
        return "proves";
    if (x->status == 303 && str_is(x->location, "/account/security?done=second-factor-first"))
        return "sets up";
    return str_fmt(a, "%d", x->status).p;
}

static void holds_against_the_table(const struct route *r, const char *target)
{
    struct browser b = visitors[visitor];
    bool reads = r->method == METHOD_GET;
    const char *method = reads ? "GET" : r->method == METHOD_PUT ? "PUT" : "POST";
    b.json = r->message && !r->form;
    struct answer x = ask_as(&b, method, target, reads ? (str){NULL, 0} : STR(""), false);
    const char *got = outcome(&x), *said = access_outcome(r, visitor);
    if (strcmp(got, said) != 0)
        fail_msg("%s %s, visitor %d: %s, and the table says: %s", method, target, (int)visitor, got, said);
    entered += x.entered;
    kept_out += !x.entered;
}

static void make_visitors(void)
{
    memset(visitors, 0, sizeof visitors);
    clock_.offset -= MOMENT_MINUTE + SESSION_RECENT;
    visitors[VISITOR_STALE] = sign_in("james.marker%40example.com");
    clock_.offset += MOMENT_MINUTE + SESSION_RECENT;
    visitors[VISITOR_PROGRAM].accept = visitors[VISITOR_APP].accept = "application/json";
    visitors[VISITOR_APP].token = connect_app(anna);
    visitors[VISITOR_CUSTOMER] = sign_in("anna.marker%40example.com");
    for (int role = 0; role < ROLES; role++)
        visitors[VISITOR_STAFF + role] = staff_with(ROLE_BIT(role));
    const char *address = next_address();
    make_staff(address, ALL_ROLES);
    visitors[VISITOR_NO_FACTOR] = sign_in(address);
    address = next_address();
    struct enrolling x = {make_staff(address, ALL_ROLES), ""};
    visitors[VISITOR_UNPROVED] = sign_in(address);
    enrol_staff(&x);
    visitors[VISITOR_ELSEWHERE] = staff_with(ALL_ROLES);
    visitors[VISITOR_ELSEWHERE].from = OUTSIDE;
    visitors[VISITOR_LOOPBACK].from = "127.0.0.1";
}

/* Fails if any route is open to anybody whom the table does not name, or shut to somebody whom it does. */
static void gen_26_rec_01_sec_07_every_route_for_every_visitor(void **state)
{
    (void)state;
    make_visitors();
    entered = kept_out = 0;
    for (visitor = 0; visitor < VISITORS; visitor++)
        assert_true(each_route(holds_against_the_table) > 60);
    if (entered < 400 || kept_out < 150)
        fail_msg("%d entered and %d kept out: not enough to tell", entered, kept_out);
}

/* Fails if docs/access.md is not what is declared. */
static void rec_01_the_table_that_people_read_is_this_one(void **state)
{
    (void)state;
    struct portal_words w;
    str kept;
    assert_ok(portal_words(&w, &settings, a, &fault));
    str made = access_text(a, &w);
    formats_free(&w.formats);
    assert_ok(file_read(a, str_fmt(a, "%s/docs/access.md", getenv("TROTH_SOURCE")).p, 1 << 20, &kept, &fault));
    if (!str_eq(made, kept))
        fail_msg("%s", "docs/access.md is stale; renew it: troth help access >docs/access.md");
}

/* Fails if anybody who does not work here can tell by any answer that there is a desk at all. */
static void rec_01_to_strangers_and_customers_there_is_no_desk(void **state)
{
    (void)state;
    struct browser customer = sign_in("anna.marker%40example.com"), stranger = {0};
    struct browser *const who[] = {&customer, &stranger};
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};
    static const char *const paths[] = {"/desk", "/desk/", "/desk/person", "/desk/search", "/desk/search/", "/desk/access", "/desk/rights/open", "/desk/nothing"};
    for (size_t i = 0; i < COUNT(who); i++) {
        struct answer nowhere = get(who[i], "/no/such/page");
        for (size_t m = 0; m < COUNT(methods); m++) {
            for (size_t k = 0; k < COUNT(paths); k++) {
                struct answer x = ask_as(who[i], methods[m], paths[k], m == 2 ? STR("csrf=x") : (str){NULL, 0}, true);
                if (x.status != 404 || x.location.n > 0)
                    fail_msg("%s %s: %d", methods[m], paths[k], x.status);
            }
        }
        /* The page, too, is the one that any wrong address gets. */
        assert_int_equal(get(who[i], "/desk").body.n, nowhere.body.n);
    }
}

/* SEC-07. Behind a proxy it is the visitor's address that counts, not the proxy's. */
static void sec_07_the_desk_opens_from_declared_networks(void **state)
{
    (void)state;
    struct browser b = staff_with(ALL_ROLES);
    static const struct {
        const char *from, *forwarded;
        int status;
    } cases[] = {
        {OFFICE, NULL, 200},          {OUTSIDE, NULL, 403},          {"2001:db8:7::1", NULL, 200},
        {"2001:db8:8::1", NULL, 403}, {"::ffff:198.51.100.9", NULL, 200}, {"", NULL, 403},
        {OUTSIDE, OFFICE, 403}, /* nobody may say so themselves: there is no proxy of ours */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        b.from = cases[i].from;
        b.forwarded = cases[i].forwarded;
        if (get(&b, "/desk").status != cases[i].status)
            fail_msg("from \"%s\" (%s): not %d", cases[i].from, cases[i].forwarded ? cases[i].forwarded : "-", cases[i].status);
    }
    b.from = OUTSIDE;
    b.forwarded = NULL;
    assert_int_equal(get(&b, "/account").status, 200); /* their own account is open to them from anywhere */
}

/* SEC-07. Fails if staff's sessions last like others', or survive the job. */
static void sec_07_sessions_of_the_staff_are_short_and_end_with_the_job(void **state)
{
    (void)state;
    struct browser b = staff_with(ROLE_BIT(ROLE_SUPPORT));
    assert_int_equal(get(&b, "/desk").status, 200);
    clock_.offset += SESSION_STAFF_IDLE - MOMENT_MINUTE;
    assert_int_equal(get(&b, "/desk").status, 200);
    clock_.offset += SESSION_STAFF_IDLE + MOMENT_MINUTE;
    assert_int_equal(get(&b, "/desk").status, 404);
    assert_int_equal(get(&b, "/account").status, 303);

    account_id who = make_staff("busy@example.com", ROLE_BIT(ROLE_SUPPORT));
    struct enrolling x = {who, ""};
    enrol_staff(&x);
    b = sign_in_whole("busy@example.com", &x);
    for (moment t = 0; t < SESSION_STAFF_LASTS; t += 20 * MOMENT_MINUTE) {
        assert_int_equal(get(&b, "/desk").status, 200);
        clock_.offset += 20 * MOMENT_MINUTE;
    }
    assert_int_equal(get(&b, "/desk").status, 404);

    b = sign_in_whole("busy@example.com", &x);
    struct browser second = sign_in_whole("busy@example.com", &x);
    struct tx *tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    assert_ok(staff_remove(tx, p, who));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    assert_int_equal(get(&b, "/desk").status, 404);
    assert_int_equal(get(&second, "/account").status, 303);
    struct browser after = sign_in("busy@example.com"); /* a customer again, and no more */
    str code = code_later(&x);
    struct answer in = post(&after, "/sign-in/second", "/sign-in/second/totp", str_fmt(a, "next=&code=%.*s", STR_FMT(code)).p);
    assert_true(str_is(in.location, "/account"));
    assert_int_equal(get(&after, "/account").status, 200);
    assert_int_equal(get(&after, "/desk").status, 404);
}

/* ---- readings ---- */

/* REC-07. Fails if anything is shown before it is recorded who looks, at whom, at what, and why. */
static void rec_07_rec_06_nothing_is_shown_before_it_is_recorded(void **state)
{
    (void)state;
    struct browser b = staff_with(ROLE_BIT(ROLE_SUPPORT));
    struct reading_note n;
    assert_false(shows(&b, anna));
    struct answer closed = get(&b, card_of(anna));
    assert_false(str_contains(closed.body, STR("anna.marker")));
    assert_int_equal(recorded(anna, NULL, 0), 0);
    assert_int_equal(open_card(&b, anna, "").status, 422);
    assert_int_equal(open_card(&b, anna, "+++").status, 422);
    char *long_one = arena_alloc(a, READING_REASON_MAX + 2);
    memset(long_one, 'x', READING_REASON_MAX + 1);
    assert_int_equal(open_card(&b, anna, long_one).status, 422);
    assert_int_equal(recorded(anna, NULL, 0), 0);
    assert_false(shows(&b, anna));

    long_one[READING_REASON_MAX] = '\0';
    assert_int_equal(open_card(&b, james, long_one).status, 303); /* as long as it may be */
    assert_int_equal(open_card(&b, anna, "%C3%84rende+4711").status, 303);
    assert_int_equal(recorded(anna, &n, 1), 1);
    assert_int_equal(n.roles, ROLE_BIT(ROLE_SUPPORT));
    assert_true(str_is(n.reason, "Ärende 4711"));
    assert_true(str_contains(n.records, STR("account")) && !str_contains(n.records, STR("session_origin")));
    assert_true(shows(&b, anna));
    assert_true(str_contains(get(&b, card_of(anna)).body, STR("anna.marker@example.com")));

    /* For this reader alone, and a quarter of an hour. */
    struct browser other = staff_with(ROLE_BIT(ROLE_SUPPORT));
    assert_false(shows(&other, anna));
    clock_.offset += READING_LASTS - 2 * MOMENT_MINUTE;
    assert_true(shows(&b, anna));
    clock_.offset += 3 * MOMENT_MINUTE;
    assert_false(shows(&b, anna));
    assert_int_equal(recorded(anna, NULL, 0), 1);
    assert_int_equal(get(&b, "/desk/person?id=").status, 404);
    assert_int_equal(get(&b, str_fmt(a, "/desk/person?id=%s", id_new().text).p).status, 404);
}

/* Does it with the n-th call to the database failing; what failed is neither recorded nor shown. */
static void rec_07_a_reading_that_is_not_recorded_shows_nothing(void **state)
{
    (void)state;
    struct browser b = staff_with(ROLE_BIT(ROLE_PRIVACY));
    for (int n = 1;; n++) {
        struct answer page = get(&b, card_of(anna));
        static const char mark[] = "name=\"csrf\" value=\"";
        const char *at = memmem(page.body.p, page.body.n, mark, sizeof mark - 1);
        assert_non_null(at);
        at += sizeof mark - 1;
        str body = str_fmt(a, "csrf=%.*s&id=%s&reason=case+1", (int)(strchr(at, '"') - at), at, anna.id.text);
        db_make_faulty(p->privacy.db, n);
        struct answer x = ask_as(&b, "POST", "/desk/person", body, true);
        db_make_faulty(p->privacy.db, 0);
        if (x.status < 400) {
            if (n < 6 || !str_eq(x.location, str_from(card_of(anna))))
                fail_msg("call %d failed: %d %s", n, x.status, str_cstr(a, x.location));
            break;
        }
        if (x.status != 503)
            fail_msg("with call %d failing: %d", n, x.status);
        assert_int_equal(recorded(anna, NULL, 0), 0);
        assert_false(shows(&b, anna));
    }
    assert_int_equal(recorded(anna, NULL, 0), 1);
    assert_true(shows(&b, anna));
}

/* REC-01. Fails if a card has a record that its reader's roles may not read, or lacks one that they may. */
static void rec_01_a_card_has_what_the_roles_may_read_and_no_more(void **state)
{
    (void)state;
    static const unsigned roles[] = {ROLE_BIT(ROLE_SUPPORT), ROLE_BIT(ROLE_PRIVACY),
                                     ROLE_BIT(ROLE_SUPPORT) | ROLE_BIT(ROLE_MARKETING), ALL_ROLES};
    sign_in("anna.marker%40example.com"); /* a session, with where it came from */
    for (size_t i = 0; i < COUNT(roles); i++) {
        struct browser b = staff_with(roles[i]);
        assert_int_equal(open_card(&b, anna, "case+7").status, 303);
        CLEANUP(json_done) json_t *j = read_json(&b, card_of(anna));
        const json_t *records = json_object_get(j, "records");
        size_t found = 0, may = 0;
        for (size_t k = 0; k < p->privacy.inventory->n_records; k++) {
            const struct record *r = &p->privacy.inventory->records[k];
            bool allowed = (r->staff & roles[i]) != 0 && (record_of_any(r) || str_is(r->subject, "account")), there = false;
            for (size_t m = 0; m < json_array_size(records); m++)
                there |= str_eq(json_get_str(json_array_get(records, m), "name"), r->name);
            if (there != allowed)
                fail_msg("%s: %s", str_cstr(a, r->name), there ? "is shown" : "is not shown");
            found += there;
            may += allowed;
        }
        assert_int_equal(found, json_array_size(records));
        assert_true(may > 0);
        str text = json_encode(a, j, false);
        assert_true(str_contains(text, STR("anna.marker@example.com")));
        assert_int_equal(str_contains(text, STR(OFFICE)), (roles[i] & ROLE_BIT(ROLE_PRIVACY)) != 0);
        assert_false(str_contains(text, STR("$argon2"))); /* nobody's password, not even its hash */
    }
    struct browser operations = staff_with(ROLE_BIT(ROLE_OPERATIONS));
    assert_int_equal(open_card(&operations, anna, "case+7").status, 303);
    CLEANUP(json_done) json_t *j = read_json(&operations, card_of(anna));
    assert_int_equal(json_array_size(json_object_get(j, "records")), 1); /* who works here; of a customer, nothing */
    assert_false(str_contains(json_encode(a, j, false), STR("marker@")));
}

/* RGT-05. Fails if what its subject asked to leave alone is shown to all the same. */
static void rgt_05_restricted_data_is_shown_only_to_who_settles_it(void **state)
{
    (void)state;
    CLEANUP(key_wipe) struct key k;
    assert_ok(vault_subject_key(p->privacy.vault, anna.id, &k, a, &fault));
    struct tx *tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    assert_ok(restriction_set(tx, &p->privacy, anna.id, &k, STR("accuracy"), (str){NULL, 0}));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    const struct record *origin = inventory_record(p->privacy.inventory, STR("session_origin"));
    const struct record *account = inventory_record(p->privacy.inventory, STR("account"));
    struct record both = *origin;
    both.staff |= ROLE_BIT(ROLE_SUPPORT);
    assert_false(reading_may(&both, ROLE_BIT(ROLE_SUPPORT), true));
    assert_true(reading_may(&both, ROLE_BIT(ROLE_SUPPORT), false));
    assert_true(reading_may(&both, ROLE_BIT(ROLE_PRIVACY), true));
    assert_true(reading_may(account, ROLE_BIT(ROLE_SUPPORT), true));
    struct browser b = staff_with(ROLE_BIT(ROLE_SUPPORT));
    assert_int_equal(open_card(&b, anna, "case+9").status, 303);
    CLEANUP(json_done) json_t *j = read_json(&b, card_of(anna));
    assert_true(json_get_bool(j, "restricted"));
}

/* REC-01. Fails if a role that was taken away in the middle still reads, or a new one reads unrecorded. */
static void rec_01_roles_change_in_the_middle(void **state)
{
    (void)state;
    account_id who = make_staff("changing@example.com", ROLE_BIT(ROLE_SUPPORT));
    struct enrolling x = {who, ""};
    enrol_staff(&x);
    struct browser b = sign_in_whole("changing@example.com", &x);
    struct reading_note n[2];
#define SET(roles)                                                                                 \
    do {                                                                                           \
        struct tx *tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);                              \
        assert_ok(staff_set_roles(tx, p, who, (roles)));                                           \
        assert_ok(tx_commit(tx));                                                                  \
        tx_end(&tx);                                                                               \
    } while (0)
    assert_int_equal(open_card(&b, anna, "one").status, 303);
    assert_true(shows(&b, anna));
    SET(ROLE_BIT(ROLE_STATISTICS));
    assert_int_equal(get(&b, card_of(anna)).status, 403);
    assert_int_equal(get(&b, "/desk").status, 200);
    SET(ROLE_BIT(ROLE_PRIVACY)); /* reads more than was recorded: it is asked for again */
    assert_false(shows(&b, anna));
    assert_int_equal(open_card(&b, anna, "two").status, 303);
    assert_true(shows(&b, anna));
    assert_int_equal(recorded(anna, n, 2), 2);
    assert_true(str_contains(n[0].records, STR("session_origin")) && !str_contains(n[1].records, STR("session_origin")));
    SET(ROLE_BIT(ROLE_SUPPORT)); /* less than was recorded: that still holds */
    assert_true(shows(&b, anna));
#undef SET
}

/* REC-07. Fails if a search finds by a part, goes unrecorded, or can be repeated without an end. */
static void rec_07_a_search_is_a_reading(void **state)
{
    (void)state;
    struct browser b = staff_with(ROLE_BIT(ROLE_SUPPORT));
    struct reading_note n;
#define SEARCH(who, reason) post(&b, "/desk", "/desk/search", "who=" who "&reason=" reason)
    assert_int_equal(SEARCH("anna", "x").status, 422);
    assert_int_equal(SEARCH("%25%40example.com", "x").status, 404);
    assert_int_equal(SEARCH("nobody%40example.com", "").status, 422);
    struct answer x = SEARCH("nobody%40example.com", "case+1");
    assert_int_equal(x.status, 404);
    assert_true(str_contains(x.body, STR("There is nobody with that address or number")));
    assert_int_equal(recorded(anna, NULL, 0), 0);
    x = SEARCH("Anna.Marker%40EXAMPLE.com", "case+2");
    assert_int_equal(x.status, 303);
    assert_true(str_eq(x.location, str_from(card_of(anna))));
    assert_int_equal(recorded(anna, &n, 1), 1);
    assert_true(str_is(n.reason, "case 2"));
    assert_true(shows(&b, anna));
    x = post(&b, "/desk", "/desk/search", str_fmt(a, "who=%s&reason=case+3", james.id.text).p);
    assert_int_equal(x.status, 303);
    assert_int_equal(recorded(james, &n, 1), 1);
    int tries = 0;
    while ((x = SEARCH("nobody%40example.com", "again")).status == 404)
        assert_true(++tries < 100);
    assert_int_equal(x.status, 429);
    assert_int_equal(tries, 60 - 4); /* four were found or missed before */
    assert_int_equal(open_card(&b, james, "more").status, 429);
    clock_.offset += 20 * MOMENT_MINUTE; /* idle is thirty */
    assert_int_equal(get(&b, "/desk").status, 200);
    clock_.offset += 25 * MOMENT_MINUTE;
    assert_int_equal(get(&b, "/desk").status, 200);
    clock_.offset += 25 * MOMENT_MINUTE;
    assert_int_equal(SEARCH("james.marker%40example.com", "later").status, 303);
#undef SEARCH
}

/* ---- the review ---- */

static size_t page_through(struct browser *b, const char *from, json_t **all)
{
    str next = str_from(from);
    size_t pages = 0;
    *all = json_array();
    for (bool more = true; more; pages++) {
        CLEANUP(json_done) json_t *j = read_json(b, str_cstr(a, next));
        json_array_extend(*all, json_object_get(j, "readings"));
        more = json_get_bool(j, "more");
        next = str_dup(a, json_get_str(j, "next"));
        assert_true(pages < 20);
    }
    return pages;
}

/* REC-07. Fails if the review misses a reading, shows one twice, or keeps anything of somebody erased. */
static void rec_07_sec_04_the_review_has_every_reading_once(void **state)
{
    (void)state;
    enum { MANY = 56 };
    struct browser support = staff_with(ROLE_BIT(ROLE_SUPPORT)), officer = staff_with(ROLE_BIT(ROLE_PRIVACY));
    for (int i = 0; i < MANY; i++)
        assert_int_equal(open_card(&support, i % 2 ? anna : james, str_fmt(a, "case+%d", i).p).status, 303);
    assert_int_equal(open_card(&officer, anna, "audit").status, 303);
    /* All but the last of one moment: what parts them is their rows' IDs. */
    struct tx *tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    struct query *q = SQL(tx, "UPDATE staff_reading SET made = $1 WHERE made < (SELECT max(made) FROM staff_reading)");
    bind_time(q, clock_now(&clock_) - MOMENT_HOUR);
    assert_ok(query_run(q));
    assert_int_equal(query_changes(q), MANY);
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    CLEANUP(json_done) json_t *all = NULL, *mine = NULL, *gone = NULL;
    assert_int_equal(page_through(&officer, "/desk/access", &all), 3);
    assert_int_equal(json_array_size(all), MANY + 1);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *x = json_array_get(all, i);
        assert_true(json_get_bool(x, "read") && !json_get_bool(x, "erased"));
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(json_get_str(x, "reason"), json_get_str(json_array_get(all, k), "reason")));
        if (i > 0)
            assert_true(str_cmp(json_get_str(json_array_get(all, i - 1), "when"), json_get_str(x, "when")) >= 0);
    }
    str who = json_get_str(json_array_get(all, 0), "who"), before, pseudonym;
    assert_true(str_cut(who, '(', &before, &pseudonym));
    page_through(&officer, str_fmt(a, "/desk/access?staff=%.*s", STR_FMT(str_head(pseudonym, 6))).p, &mine);
    assert_int_equal(json_array_size(mine), 1); /* the newest was the officer's own */
    assert_int_equal(get(&officer, "/desk/access?staff=nobody").status, 404);
    assert_int_equal(get(&officer, "/desk/access?before=x&event=y").status, 404);

    struct erasure_counts counts = {0};
    assert_ok(erasure_run(&p->privacy, STR("account"), &james.id, 1, &counts, a, &fault));
    page_through(&officer, "/desk/access", &gone);
    assert_int_equal(json_array_size(gone), MANY + 1);
    size_t erased = 0;
    for (size_t i = 0; i < json_array_size(gone); i++) {
        const json_t *x = json_array_get(gone, i);
        erased += json_get_bool(x, "erased");
        assert_int_equal(json_get_str(x, "reason").n == 0, json_get_bool(x, "erased"));
    }
    assert_int_equal(erased, MANY / 2);
    str text = json_encode(a, gone, false);
    assert_false(str_contains(text, str_from(james.id.text)));
}

/* SEC-04. Fails if a reading that was taken out of the review, or given another reader or time, is not found. */
static void sec_04_a_reading_that_the_review_lacks_breaks_a_promise(void **state)
{
    (void)state;
    struct browser b = staff_with(ROLE_BIT(ROLE_SUPPORT));
    assert_int_equal(open_card(&b, anna, "case").status, 303);
    for (int i = 0; i < 4; i++) {
        CLEANUP(json_done) json_t *values = json_object();
        struct tx *tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
        if (i == 1)
            assert_ok(query_run(SQL(tx, "DELETE FROM staff_reading")));
        if (i == 2)
            assert_ok(query_run(SQL(tx, "UPDATE staff_reading SET actor = 'somebodyelse'")));
        if (i == 3)
            assert_ok(query_run(SQL(tx, "UPDATE staff_reading SET made = made + 1")));
        struct check c = {&p->privacy, tx, a, &fault, p, VERDICT_UNKNOWN, NULL, values};
        assert_ok(check_readings(&c));
        assert_int_equal(c.verdict, i == 0 ? VERDICT_KEPT : VERDICT_BROKEN);
        tx_end(&tx);
    }
}

/* ---- objections ---- */

/* GEN-15. Fails if an objection is decided by nobody, unread, or without a ground that it needs. */
static void gen_15_rgt_07_a_human_with_a_name_decides(void **state)
{
    (void)state;
    CLEANUP(key_wipe) struct key k;
    struct objection *list;
    size_t n;
    assert_ok(vault_subject_key(p->privacy.vault, anna.id, &k, a, &fault));
    struct tx *tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    assert_ok(objection_make(tx, &p->privacy, anna.id, &k, STR("protect-accounts"), STR("My marker reason."), (str){NULL, 0}));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(objection_open(tx, &list, &n));
    tx_end(&tx);
    assert_int_equal(n, 1);
    const char *page = str_fmt(a, "/desk/rights?id=%s", list[0].id.text).p;
    struct browser b = staff_with(ROLE_BIT(ROLE_PRIVACY)), support = staff_with(ROLE_BIT(ROLE_SUPPORT));
#define DECIDE(rest) post(&b, page, "/desk/rights", str_fmt(a, "id=%s&%s", list[0].id.text, rest).p).status
    assert_int_equal(get(&support, page).status, 403);
    assert_false(str_contains(get(&b, page).body, STR("My marker reason.")));
    assert_int_equal(DECIDE("decision=uphold&ground="), 409); /* unread */
    assert_int_equal(post(&b, page, "/desk/rights/open", str_fmt(a, "id=%s", list[0].id.text).p).status, 303);
    struct reading_note note;
    assert_int_equal(recorded(anna, &note, 1), 1);
    assert_true(str_is(note.records, "objection") && str_is(note.reason, list[0].id.text));
    assert_true(str_contains(get(&b, page).body, STR("My marker reason.")));
    assert_int_equal(DECIDE("decision=perhaps&ground="), 422);
    assert_int_equal(DECIDE("decision=overrule&ground=++"), 422);
    assert_int_equal(DECIDE("decision=overrule&ground=An+attack+is+under+way."), 303);
    assert_int_equal(get(&b, page).status, 404);
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(objection_list(tx, &p->privacy, anna.id, &k, &list, &n));
    assert_true(str_is(list[0].state, "overruled") && str_is(list[0].ground, "An attack is under way."));
    struct query *q = SQL(tx, "SELECT decided_by FROM objection WHERE subject = $1");
    bind_id(q, anna.id);
    assert_true(query_row(q));
    str by = row_blob(q, 0), name;
    assert_ok(query_end(q));
    assert_ok(privacy_unseal(a, &k, "objection", "decided_by", list[0].id, by, &name, &fault));
    assert_true(str_starts(name, STR("Eva Marker (")));
    tx_end(&tx);
#undef DECIDE
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(gen_26_rec_01_sec_07_every_route_for_every_visitor),
        T(rec_01_the_table_that_people_read_is_this_one),
        T(rec_01_to_strangers_and_customers_there_is_no_desk),
        T(sec_07_the_desk_opens_from_declared_networks),
        T(sec_07_sessions_of_the_staff_are_short_and_end_with_the_job),
        T(rec_07_rec_06_nothing_is_shown_before_it_is_recorded),
        T(rec_07_a_reading_that_is_not_recorded_shows_nothing),
        T(rec_01_a_card_has_what_the_roles_may_read_and_no_more),
        T(rgt_05_restricted_data_is_shown_only_to_who_settles_it),
        T(rec_01_roles_change_in_the_middle),
        T(rec_07_a_search_is_a_reading),
        T(rec_07_sec_04_the_review_has_every_reading_once),
        T(sec_04_a_reading_that_the_review_lacks_breaks_a_promise),
        T(gen_15_rgt_07_a_human_with_a_name_decides),
    };
    static const char *const names[] = {[DB_SQLITE] = "access on SQLite", [DB_POSTGRES] = "access on PostgreSQL"};
    int failed = 0;
    for (kind = DB_SQLITE; kind <= DB_POSTGRES; kind++)
        if (testing_wants(kind))
            failed += cmocka_run_group_tests_name(names[kind], tests, NULL, NULL);
    return failed;
}
