/*
 * The whole portal in one process: every route there is, walked by a stranger, by the wrong person
 * and by a database that goes away in the middle; sessions and forms against a clock that moves.
 */
#include "cli/config.h"
#include "cli/portal.h"

#include "base/file.h"
#include "features/account/model.h"
#include "features/account/password.h"
#include "privacy/consent.h"
#include "privacy/retention.h"
#include "store/testing.h"
#include "web/quota.h"

#include <assert.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

static struct arena *a, *snapshots;
static struct fault fault;
static struct clock clock_;
static struct log log_ = {.fd = -1};
static enum db_kind kind;
static struct settings settings;
static struct portal *p;
static char dir[64];
static account_id anna, james;

#define PASSWORD "correct horse battery staple"

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        if ((expr) != OK)                                                                          \
            fail_msg("%s: %s", #expr, fault.text);                                                 \
    } while (0)

/* ---- a portal of our own ---- */

/* PostgreSQL: a database of its own for each test. */
static char *fresh_database(void)
{
    static char url[512];
    const char *server = getenv("TROTH_TEST_POSTGRES");
    id name = id_new();
    PGconn *c = PQconnectdb(server);
    PGresult *r = PQexec(c, str_fmt(a, "CREATE DATABASE p_%s", name.text).p);
    assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
    PQfinish(c);
    snprintf(url, sizeof url, "TROTH_DATABASE=%.*s/p_%s", (int)(strrchr(server, '/') - server), server, name.text);
    return url;
}

static account_id make_account(const char *address, const char *language)
{
    account_id out;
    str hash;
    struct secret password = {str_from(PASSWORD)};
    assert_ok(password_hash(p->passwords, password, a, &hash, &fault));
    assert_ok(account_make(p, str_from(address), hash, language, "Europe/Stockholm", a, &out, &fault));
    return out;
}

static int up(void **state)
{
    (void)state;
    a = arena_new(1 << 30);
    snapshots = arena_new(1 << 30);
    fault_clear(&fault);
    clock_ = (struct clock){0};
    log_.clock = &clock_;
    snprintf(dir, sizeof dir, "/tmp/troth-portal-XXXXXX");
    assert_non_null(mkdtemp(dir));
    static char url[] = "TROTH_PUBLIC_URL=https://portal.example.com", memory[] = "TROTH_ARGON_MEMORY=8388608",
                passes[] = "TROTH_ARGON_PASSES=1", limits[] = "TROTH_LIMITS=off";
    char *environment[] = {str_cstr(a, str_fmt(a, "TROTH_DATA=%s/data", dir)),
                           str_cstr(a, str_fmt(a, "TROTH_MAIL=file:%s/mail", dir)),
                           url, memory, passes, limits,
                           kind == DB_POSTGRES ? fresh_database() : NULL, NULL};
    assert_ok(config_read(NULL, environment, a, &settings, &fault));
    assert_ok(dir_make(str_fmt(a, "%s/data", dir).p, 0700, &fault));
    assert_ok(vault_make_master(str_cstr(a, settings.master_key_file), &fault));
    assert_ok(portal_open(&p, &settings, &clock_, &log_, PORTAL_MIGRATED, NULL, &fault));
    anna = make_account("anna.marker@example.com", "sv");
    james = make_account("james.marker@example.com", "en");
    return 0;
}

static int down(void **state)
{
    (void)state;
    char command[128];
    portal_close(&p);
    arena_free(&a);
    arena_free(&snapshots);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

/* ---- a browser ---- */

struct browser {
    char session[SESSION_TOKEN_LENGTH + 1], form[SECRET_LENGTH + 1], language[8], known[64];
    const char *accept, *origin, *site; /* NULL: not sent */
};

struct answer {
    int status;
    str body, location, problem;
    int cookies;
};

static void keep_cookie(struct browser *b, str header)
{
    str name, rest, value;
    assert_true(str_cut(header, '=', &name, &rest) && str_cut(rest, ';', &value, &rest));
    /* COO-07, SEC-06: nothing that a script, another site or a plain connection could have. */
    assert_true(str_contains(rest, STR("HttpOnly")) && str_contains(rest, STR("Secure")) &&
                str_contains(rest, STR("SameSite=Lax")) && str_contains(rest, STR("Path=/;")));
    char *to = str_is(name, "__Host-session")    ? b->session
               : str_is(name, "__Host-form")     ? b->form
               : str_is(name, "__Host-language") ? b->language
               : str_is(name, "__Host-known")    ? b->known
                                                 : NULL;
    assert_non_null(to);
    memcpy(to, value.p, value.n);
    to[value.n] = '\0';
}

static struct answer ask(struct browser *b, const char *method, const char *target, str body)
{
    struct header headers[12];
    struct head h = {.method = str_from(method), .target = str_from(target), .version = STR("HTTP/1.1"),
                     .headers = headers, .peer = STR("192.0.2.7")};
    struct answer out = {0};
    headers[h.n_headers++] = (struct header){STR("Host"), STR("portal.example.com")};
    headers[h.n_headers++] = (struct header){STR("Cookie"), str_fmt(a, "__Host-session=%s; x=y; __Host-form=%s; __Host-language=%s; __Host-known=%s", b->session, b->form, b->language, b->known)};
    if (b->accept)
        headers[h.n_headers++] = (struct header){STR("Accept"), str_from(b->accept)};
    if (b->origin)
        headers[h.n_headers++] = (struct header){STR("Origin"), str_from(b->origin)};
    if (b->site)
        headers[h.n_headers++] = (struct header){STR("Sec-Fetch-Site"), str_from(b->site)};
    if (body.p)
        headers[h.n_headers++] = (struct header){STR("Content-Type"), STR("application/x-www-form-urlencoded")};
    struct exchange *x = web_begin(p->web, &h);
    if (!web_refused(x) && body.p)
        web_body(x, body);
    const struct response *r = web_finish(x);
    out.status = r->status;
    out.body = str_dup(a, r->body);
    out.location = str_dup(a, response_get(r, "Location"));
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!str_is(r->headers[i].name, "Set-Cookie"))
            continue;
        out.cookies++;
        keep_cookie(b, r->headers[i].value);
    }
    web_end(&x);
    return out;
}

static struct answer get(struct browser *b, const char *target)
{
    return ask(b, "GET", target, (str){NULL, 0});
}

/* The token of the first form on a page. */
static str token_on(struct browser *b, const char *page)
{
    struct answer r = get(b, page);
    static const char mark[] = "name=\"csrf\" value=\"";
    const char *at = memmem(r.body.p, r.body.n, mark, sizeof mark - 1);
    if (at == NULL)
        fail_msg("no form on %s: %d", page, r.status);
    at += sizeof mark - 1;
    return str_of(at, (size_t)(strchr(at, '"') - at));
}

static struct answer post(struct browser *b, const char *page, const char *target, const char *fields)
{
    str token = token_on(b, page);
    return ask(b, "POST", target, str_fmt(a, "csrf=%.*s%s%s", STR_FMT(token), *fields ? "&" : "", fields));
}

static struct answer sign_in(struct browser *b, const char *address)
{
    return post(b, "/sign-in", "/sign-in", str_fmt(a, "email=%s&password=correct+horse+battery+staple&next=", address).p);
}

#define ANNA "anna.marker%40example.com"
#define JAMES "james.marker%40example.com"

/* ---- what is stored, as one text: two are the same where nothing has changed ---- */

static void put_value(struct buf *b, struct query *q, int at, enum column_type type)
{
    if (row_is_null(q, at))
        buf_put(b, STR("-"));
    else if (type == COLUMN_BLOB || type == COLUMN_SEALED)
        buf_put(b, row_blob(q, at));
    else if (type == COLUMN_TEXT)
        buf_put(b, row_text(q, at));
    else
        buf_fmt(b, "%lld", (long long)row_int(q, at));
    buf_put(b, STR(","));
}

static void put_table(struct buf *b, struct tx *tx, const struct table *t)
{
    struct buf sql = buf_new(snapshots, 4000);
    buf_put(&sql, STR("SELECT "));
    for (size_t k = 0; k < t->n_columns; k++)
        buf_fmt(&sql, k ? ", %.*s" : "%.*s", STR_FMT(t->columns[k].name));
    buf_fmt(&sql, " FROM %.*s ORDER BY 1", STR_FMT(t->name));
    for (size_t k = 1; k < t->n_columns; k++)
        buf_fmt(&sql, ", %zu", k + 1);
    buf_fmt(b, "[%.*s]", STR_FMT(t->name));
    struct query *q = tx_query(tx, buf_str(&sql));
    while (query_row(q))
        for (size_t k = 0; k < t->n_columns; k++)
            put_value(b, q, (int)k, t->columns[k].type);
    assert_ok(query_end(q));
}

static str stored(struct db *db, const struct schema *s)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(db, TX_READ, snapshots, &fault);
    struct buf b = buf_new(snapshots, 8 << 20);
    for (size_t i = 0; i < s->n_tables; i++)
        put_table(&b, tx, &s->tables[i]);
    return buf_str(&b);
}

static str all_stored(void)
{
    return stored(p->privacy.db, &p->privacy.inventory->schema);
}

/* ---- every route ---- */

typedef void each_fn(const struct route *r, const char *target);

static void each_route(each_fn *fn)
{
    int n = 0;
    for (size_t i = 0; i < n_features; i++)
        for (const struct route *const *list = features[i]->routes; list && *list; list++)
            for (const struct route *r = *list; r->path; r++, n++) {
                struct buf target = buf_new(a, 200);
                bool value = false;
                for (const char *c = r->path; *c; c++) {
                    if (*c == ':')
                        buf_put(&target, STR("1"));
                    value = *c == ':' || (value && *c != '/');
                    if (!value)
                        buf_put(&target, str_of(c, 1));
                }
                fn(r, str_cstr(a, buf_str(&target)));
            }
    assert_true(n > 50); /* the crawl is worth nothing if it finds no routes */
}

static void stranger_sees_nothing(const struct route *r, const char *target)
{
    static const char *const accepts[] = {"text/html", "application/json"};
    for (size_t i = 0; i < COUNT(accepts); i++) {
        struct browser b = {.accept = accepts[i]};
        bool reads = r->method == METHOD_GET;
        struct answer x = ask(&b, reads ? "GET" : r->method == METHOD_PUT ? "PUT" : "POST", target, reads ? (str){NULL, 0} : STR("csrf=aaaa"));
        bool guarded = r->guard == GUARD_SIGNED_IN || r->guard == GUARD_RECENT;
        if (str_contains(x.body, STR("marker")) || str_contains(x.body, str_from(anna.id.text)))
            fail_msg("%s shows somebody's data to a stranger", target);
        if (guarded && i == 0 && !(x.status == 303 && str_starts(x.location, STR("/sign-in?next="))))
            fail_msg("%s: a stranger gets %d", target, x.status);
        if (guarded && i == 1 && x.status != 401)
            fail_msg("%s: a stranger's program gets %d", target, x.status);
        bool hidden = r->guard == GUARD_LOOPBACK || r->guard == GUARD_STAFF;
        if (hidden && x.status != 404)
            fail_msg("%s: is open to %s", target, "192.0.2.7");
        if (x.status >= 500)
            fail_msg("%s: %d", target, x.status);
        if (r->guard == GUARD_DEVICE && x.status != 401)
            fail_msg("%s: an app without a token gets %d", target, x.status);
        bool program = r->guard == GUARD_APP || r->guard == GUARD_DEVICE || r->raw;
        if (program && !reads && x.status < 400)
            fail_msg("%s takes a form that is none of its own: %d", target, x.status);
        if (!guarded && !hidden && !program && !reads && !r->no_csrf && x.status != 403)
            fail_msg("%s takes a form without our token: %d", target, x.status);
    }
}

static void gen_26_strangers_get_no_personal_data(void **state)
{
    (void)state;
    struct browser program = {.accept = "application/json"};
    assert_int_equal(get(&program, "/api/v1/keys").status, 200); /* the portal's key to sign with is made when it is first asked for */
    str before = all_stored();
    each_route(stranger_sees_nothing);
    assert_true(str_eq(before, all_stored()));
}

static struct browser reader;

static void page_is_whole(const struct route *r, const char *target)
{
    static const char *const accepts[] = {"text/html", "application/json"};
    for (size_t i = 0; i < COUNT(accepts) && r->method == METHOD_GET; i++) {
        reader.accept = accepts[i];
        struct answer x = get(&reader, target);
        bool fine = x.status == 200 || x.status == 303 || x.status == 404 || x.status == 410 || x.status == 202 || x.status == 401 ||
                    x.status == 204; /* events, where nobody holds connections */
        if (!fine)
            fail_msg("%s as %s: %d %s", target, accepts[i], x.status, str_cstr(a, str_head(x.body, 2000)));
        if (x.status == 200 && i == 1 && !str_starts(str_from(target), STR("/assets")) && x.body.n > 0 && x.body.p[0] == '{') {
            CLEANUP(json_done) json_t *j = NULL;
            assert_ok(json_decode(x.body, &j, &fault));
        }
        if (x.status == 200 && i == 0 && str_starts(x.body, STR("<!"))) {
            bool swedish = strcmp(reader.language, "sv") == 0;
            if (!str_contains(x.body, swedish ? STR("<html lang=\"sv\"") : STR("<html lang=\"en\"")))
                fail_msg("%s is not in the reader's language", target);
            if (str_contains(x.body, STR("style=\"")) || str_contains(x.body, STR("<script>")) || str_contains(x.body, STR("onclick")))
                fail_msg("%s has something inline, which its policy forbids", target);
        }
    }
}

/* Fails if a page cannot be made in one of the languages: an absent name, a missing text. */
static void gen_21_every_page_is_whole_in_both_languages(void **state)
{
    (void)state;
    static const char *const languages[] = {"en", "sv"};
    for (size_t i = 0; i < COUNT(languages); i++) {
        reader = (struct browser){0};
        assert_int_equal(sign_in(&reader, ANNA).status, 303);
        snprintf(reader.language, sizeof reader.language, "%s", languages[i]);
        each_route(page_is_whole);
        struct browser stranger = {0};
        snprintf(stranger.language, sizeof stranger.language, "%s", languages[i]);
        reader = stranger;
        each_route(page_is_whole);
    }
}

/* ---- forms ---- */

/* Fails if a form from another site, or with another's token, does anything. */
static void sec_06_forms_come_from_our_own_pages(void **state)
{
    (void)state;
    struct browser b = {0}, other = {0};
    assert_int_equal(sign_in(&b, ANNA).status, 303);
    assert_int_equal(sign_in(&other, JAMES).status, 303);
    str own = token_on(&b, "/account/settings"), theirs = token_on(&other, "/account/settings");
    static const char fields[] = "language=en&zone=Europe%2FStockholm&country=SE";
    assert_false(str_eq(own, theirs));
    str before = all_stored();
#define SEND(token) ask(&b, "POST", "/account/settings", str_fmt(a, "csrf=%.*s&%s", STR_FMT(token), fields)).status
    assert_int_equal(SEND(theirs), 403);
    assert_int_equal(SEND(STR("")), 403);
    assert_int_equal(SEND(str_head(own, own.n - 1)), 403);
    assert_int_equal(ask(&b, "POST", "/account/settings", str_from(fields)).status, 403);
    b.origin = "https://evil.example";
    assert_int_equal(SEND(own), 403);
    b.origin = "null";
    assert_int_equal(SEND(own), 403);
    b.origin = "https://portal.example.com.evil.example";
    assert_int_equal(SEND(own), 403);
    b.origin = NULL;
    b.site = "cross-site";
    assert_int_equal(SEND(own), 403);
    b.site = "same-site";
    assert_int_equal(SEND(own), 403);
    assert_true(str_eq(before, all_stored()));
    b.site = "same-origin";
    b.origin = "https://portal.example.com";
    assert_int_equal(SEND(own), 303);
    assert_false(str_eq(before, all_stored()));
#undef SEND
}

/* Fails if a form takes what it does not declare, or tells nothing of why it does not. */
static void gen_23_undeclared_fields_are_refused(void **state)
{
    (void)state;
    struct browser b = {.accept = "application/json"};
    str token;
    {
        struct browser html = {0};
        token = token_on(&html, "/sign-up");
        memcpy(b.form, html.form, sizeof b.form);
    }
    str before = all_stored();
    struct answer x = ask(&b, "POST", "/sign-up", str_fmt(a, "csrf=%.*s&email=x%%40example.com&password=%s&admin=1", STR_FMT(token), "long+enough+for+anybody"));
    assert_int_equal(x.status, 400);
    assert_true(str_contains(x.body, STR("\"code\":\"problem.form\"")));
    x = ask(&b, "POST", "/sign-up", str_fmt(a, "csrf=%.*s&email=nobody&password=short", STR_FMT(token)));
    assert_int_equal(x.status, 422);
    assert_true(str_contains(x.body, STR("\"field\":\"email\"")));
    assert_true(str_contains(x.body, STR("urn:troth:request:")));
    char *big = arena_alloc(a, 20000);
    memset(big, 'a', 20000);
    x = ask(&b, "POST", "/sign-up", str_of(big, 20000));
    assert_int_equal(x.status, 413);
    assert_true(str_eq(before, all_stored()));
}

/* ---- sessions ---- */

/* MYA-14. Fails if a session outlives its end, its owner's wish, or a password's. */
static void mya_14_sessions_end(void **state)
{
    (void)state;
    struct browser b = {0}, second = {0};
    assert_int_equal(get(&b, "/account").status, 303);
    assert_int_equal(sign_in(&b, ANNA).status, 303);
    assert_int_equal(get(&b, "/account").status, 200);

    struct browser tampered = b;
    tampered.session[SESSION_TOKEN_LENGTH - 1] ^= 1;
    assert_int_equal(get(&tampered, "/account").status, 303);
    tampered = b;
    memcpy(tampered.session, james.id.text, ID_LENGTH); /* somebody else's, with my secret */
    assert_int_equal(get(&tampered, "/account").status, 303);

    /* Idle: two days without use. */
    clock_.offset += SESSION_IDLE - MOMENT_MINUTE;
    assert_int_equal(get(&b, "/account").status, 200);
    clock_.offset += SESSION_IDLE - MOMENT_MINUTE; /* it was used a moment ago */
    assert_int_equal(get(&b, "/account").status, 200);
    clock_.offset += SESSION_IDLE + MOMENT_MINUTE;
    assert_int_equal(get(&b, "/account").status, 303);

    /* Absolute: two weeks, however busy. */
    assert_int_equal(sign_in(&b, ANNA).status, 303);
    for (int day = 0; day < 13; day++) {
        clock_.offset += MOMENT_DAY;
        assert_int_equal(get(&b, "/account").status, 200);
    }
    clock_.offset += MOMENT_DAY + MOMENT_MINUTE;
    assert_int_equal(get(&b, "/account").status, 303);

    /* Made anew at every sign-in; signing out ends it, whatever the browser keeps. */
    struct browser fresh = {0};
    assert_int_equal(sign_in(&fresh, ANNA).status, 303);
    struct browser copy = fresh;
    assert_int_equal(post(&fresh, "/account", "/sign-out", "").status, 303);
    assert_string_equal(fresh.session, "");
    assert_int_equal(get(&copy, "/account").status, 303);

    /* A new password ends the others. */
    assert_int_equal(sign_in(&fresh, ANNA).status, 303);
    assert_int_equal(sign_in(&second, ANNA).status, 303);
    assert_string_not_equal(fresh.session, second.session);
    assert_int_equal(post(&fresh, "/account/security", "/account/security/password",
                          "password=correct+horse+battery+staple&new_password=another+long+secret+phrase").status, 303);
    assert_int_equal(get(&fresh, "/account").status, 200);
    assert_int_equal(get(&second, "/account").status, 303);
    assert_int_equal(sign_in(&second, ANNA).status, 401);
}

/* Fails if what needs a fresh proof of the password is open to a session left behind. */
static void a_proof_of_the_password_is_recent(void **state)
{
    (void)state;
    struct browser b = {0};
    assert_int_equal(sign_in(&b, ANNA).status, 303);
    assert_int_equal(get(&b, "/account/close").status, 200);
    clock_.offset += SESSION_RECENT + MOMENT_SECOND;
    struct answer x = get(&b, "/account/close");
    assert_int_equal(x.status, 303);
    assert_true(str_is(x.location, "/account/confirm?next=%2Faccount%2Fclose"));
    x = post(&b, "/account/confirm?next=%2Faccount%2Fclose", "/account/confirm", "password=wrong+one&next=%2Faccount%2Fclose");
    assert_int_equal(x.status, 403);
    x = post(&b, "/account/confirm?next=%2Faccount%2Fclose", "/account/confirm", "password=correct+horse+battery+staple&next=%2Faccount%2Fclose");
    assert_int_equal(x.status, 303);
    assert_true(str_is(x.location, "/account/close"));
    assert_int_equal(get(&b, "/account/close").status, 200);
}

/* Fails if a link to our sign-in can send people elsewhere. */
static void sec_06_no_way_out_through_next(void **state)
{
    (void)state;
    static const char *const bad[] = {"https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example",
                                      "javascript%3Aalert(1)", "%2Fa%0Ab"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct browser b = {0};
        str fields = str_fmt(a, "email=%s&password=correct+horse+battery+staple&next=%s", ANNA, bad[i]);
        struct answer x = post(&b, "/sign-in", "/sign-in", fields.p);
        bool local = x.status == 303 && str_is(x.location, "/account");
        if (!local && x.status != 422 && x.status != 400)
            fail_msg("next=%s goes to %s", bad[i], str_cstr(a, x.location));
        struct browser signed_in = {0};
        assert_int_equal(sign_in(&signed_in, ANNA).status, 303);
        x = get(&signed_in, str_fmt(a, "/sign-in?next=%s", bad[i]).p);
        assert_true(str_is(x.location, "/account"));
        x = get(&signed_in, str_fmt(a, "/language?to=sv&back=%s", bad[i]).p);
        assert_true(str_is(x.location, "/"));
    }
}

/* ---- how often ---- */

/*
 * SEC-06. Against a model that counts in whole microseconds, over random pauses: a bucket never gives
 * more than its burst and what has come back since, and never less than a token that is there.
 */
static void sec_06_a_quota_gives_what_it_says(void **state)
{
    (void)state;
    const struct quota kinds[] = {{"a", 5, MOMENT_MINUTE}, {"b", 1, MOMENT_SECOND}, {"c", 1000, 7 * MOMENT_SECOND}, {"d", 3, 31 * MOMENT_DAY}};
    for (size_t k = 0; k < COUNT(kinds); k++) {
        const struct quota *q = &kinds[k];
        moment begun = clock_now(&clock_), last = begun;
        int64_t given = 0;
        double model = (double)q->burst;
        for (int i = 0; i < 300; i++) {
            bool had, has;
            clock_.offset += (moment)((double)rand() / RAND_MAX * (double)q->every * (i % 50 == 0 ? 8 : 1.2));
            moment now = clock_now(&clock_);
            model = MIN_OF((double)q->burst, model + (double)(now - last) / (double)q->every);
            last = now;
            struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
            assert_ok(quota_has(tx, &p->privacy, q, STR("somebody"), &has));
            tx_end(&tx);
            assert_ok(quota_take(&p->privacy, q, STR("somebody"), &had, a, &fault));
            if (model > 1.01 && !had)
                fail_msg("%s: there were %.3f, and none was given", q->name, model);
            if (model < 0.98 && had)
                fail_msg("%s: there were %.3f, and one was given", q->name, model);
            if (model > 1.01 || model < 0.98)
                assert_int_equal(had, has);
            model = had ? MAX_OF(model - 1, 0.0) : 0; /* who asks in vain waits from now on */
            given += had;
        }
        assert_true((double)given <= (double)q->burst + (double)(last - begun) / (double)q->every + 1);
        assert_true(given > 20 || q->every > MOMENT_DAY); /* not empty all the time: one pause in six is long enough */
        bool other;
        assert_ok(quota_take(&p->privacy, q, STR("somebody else"), &other, a, &fault));
        assert_true(other);
    }
    /* A clock that goes back gives nothing for it. */
    bool had = true;
    for (int i = 0; i < 3; i++)
        assert_ok(quota_take(&p->privacy, &kinds[1], STR("time"), &had, a, &fault));
    assert_false(had);
    clock_.offset -= MOMENT_DAY;
    assert_ok(quota_take(&p->privacy, &kinds[1], STR("time"), &had, a, &fault));
    assert_false(had);
    assert_true(str_eq(quota_range(a, STR("2001:db8:1:2:3:4:5:6")), quota_range(a, STR("2001:db8:1:2::9"))));
    assert_false(str_eq(quota_range(a, STR("2001:db8:1:2::1")), quota_range(a, STR("2001:db8:1:3::1"))));
    assert_true(str_is(quota_range(a, STR("192.0.2.1")), "192.0.2.1"));
}

/* ---- a database that goes away ---- */

struct deed {
    const char *page, *target, *fields;
    bool as_anna;
};

static const struct deed deeds[] = {
    {"/sign-up", "/sign-up", "email=new%40example.com&password=a+long+and+good+phrase&news=yes", false},
    {"/sign-up", "/sign-up", "email=" ANNA "&password=a+long+and+good+phrase", false},
    {"/sign-in", "/sign-in", "email=" ANNA "&password=correct+horse+battery+staple&next=", false},
    {"/recover", "/recover", "email=" ANNA, false},
    {"/account/settings", "/account/settings", "language=en&zone=Europe%2FParis&country=FR", true},
    {"/account/settings", "/account/settings/email", "email=other%40example.com&password=correct+horse+battery+staple", true},
    {"/account/security", "/account/security/password", "password=correct+horse+battery+staple&new_password=another+long+secret+phrase", true},
    {"/account/privacy", "/account/privacy/consent", "purpose=product-news&decision=yes", true},
    {"/account/privacy", "/account/privacy/restrict", "reason=accuracy&note=", true},
    {"/account/privacy", "/account/privacy/takeout", "scope=all", true},
    {"/services/business-hub/join", "/services/business-hub/join", "country=SE&business-hub-news=yes&terms=yes&version=1", true},
    {"/services/endpoint-cloud/join", "/services/endpoint-cloud/join", "", true},
    {"/services/partner-portal/join", "/services/partner-portal/join", "terms=yes&version=1", true},
    {"/services/business-hub", "/services/business-hub", "country=NO", true},
    {"/services/business-hub/leave", "/services/business-hub/leave", "", true},
    {"/services/partner-portal/leave", "/services/partner-portal/leave", "", true},
    {"/account/close", "/account/close", "when=now&sure=yes", true},
};

/* Does it with the n-th call to the database failing; true when it went through. */
static bool try_deed(const struct deed *d, struct browser *b, str token, int n)
{
    arena_reset(snapshots);
    str before = all_stored();
    db_make_faulty(p->privacy.db, n);
    struct answer x = ask(b, "POST", d->target, str_fmt(a, "csrf=%.*s%s%s", STR_FMT(token), *d->fields ? "&" : "", d->fields));
    db_make_faulty(p->privacy.db, 0);
    if (x.status < 400 && str_eq(before, all_stored()))
        fail_msg("%s with call %d failing: said to be done (%d), and it is not", d->target, n, x.status);
    if (x.status < 400)
        return true;
    if (x.status != 503)
        fail_msg("%s with call %d failing: %d %s", d->target, n, x.status, str_cstr(a, str_head(x.body, 500)));
    if (!str_eq(before, all_stored()))
        fail_msg("%s with call %d failing: half of it stays", d->target, n);
    return false; /* a key without a row is no data; reconciling removes it (vault.h) */
}

/* GEN-26, SEC-01. Fails if a deed that the person is told failed has happened, in part or whole. */
static void sec_01_a_database_that_goes_away_leaves_nothing_half_done(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(deeds); i++) {
        const struct deed *d = &deeds[i];
        struct browser b = {0};
        int n = 1;
        if (d->as_anna) {
            struct answer x = sign_in(&b, ANNA);
            if (x.status == 401) /* an earlier deed was a new password */
                x = post(&b, "/sign-in", "/sign-in", "email=" ANNA "&password=another+long+secret+phrase&next=");
            assert_int_equal(x.status, 303);
        }
        str token = token_on(&b, d->page);
        while (!try_deed(d, &b, token, n))
            if (++n > 300)
                fail_msg("%s never succeeds", d->target);
        assert_true(n > 2); /* some call has failed: the test can fail */
    }
}

/* Does any stretch of these bytes open with the key, as that? */
static bool opens_anywhere(str bytes, str key, str what)
{
    unsigned char out[KEY_BYTES];
    enum { NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, SEALED = KEY_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES };
    for (size_t i = 0; i + NONCE + SEALED <= bytes.n; i++) {
        const unsigned char *at = (const unsigned char *)bytes.p + i;
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, at + NONCE, SEALED, (const unsigned char *)what.p, what.n,
                                                       at, (const unsigned char *)key.p) == 0)
            return true;
    }
    return false;
}

/*
 * The hashes that find an address are renewed with the master key. Fails if the key of the hashes
 * before lies anywhere in the keyring's bytes in a form that the new master key opens: with it, an
 * old copy of the data could be asked who had been in it.
 */
static void mya_24_the_old_hashes_are_beyond_the_new_master_key(void **state)
{
    (void)state;
    if (kind != DB_SQLITE)
        return;
    int64_t n;
    assert_ok(portal_rotate(p, a, &n, &fault));
    str key, files[2], master = {NULL, 0};
    assert_ok(file_read(a, str_cstr(a, settings.master_key_file), 64, &key, &fault));
    assert_ok(file_read(a, str_fmt(a, "%s/data/keyring.db", dir).p, 64 << 20, &files[0], &fault));
    assert_ok(file_read(a, str_fmt(a, "%s/data/keyring.db-wal", dir).p, 64 << 20, &files[1], &fault));
    CLEANUP(tx_end) struct tx *tx = tx_begin(vault_keyring(p->privacy.vault), TX_READ, a, &fault);
    struct query *q = SQL(tx, "SELECT master FROM master_key");
    assert_true(query_row(q));
    master = row_text(q, 0);
    assert_ok(query_end(q));
    str before = str_fmt(a, "secret:account_email:1|%.*s", STR_FMT(master)), now = str_fmt(a, "secret:account_email:2|%.*s", STR_FMT(master));
    assert_true(opens_anywhere(files[0], key, now) || opens_anywhere(files[1], key, now)); /* it can be found */
    assert_false(opens_anywhere(files[0], key, before) || opens_anywhere(files[1], key, before));
}

/* The portal is back by itself when its database is. */
static void a_lost_database_is_503_and_then_over(void **state)
{
    (void)state;
    struct browser b = {0}, json = {.accept = "application/json"};
    assert_int_equal(sign_in(&b, ANNA).status, 303);
    db_make_faulty(p->privacy.db, 1);
    assert_int_equal(get(&b, "/account").status, 503);
    assert_int_equal(get(&json, "/readyz").status, 503);
    assert_int_equal(get(&json, "/healthz").status, 200);
    assert_true(b.session[0] != '\0'); /* nobody is signed out by it */
    db_make_faulty(p->privacy.db, 0);
    assert_int_equal(get(&b, "/account").status, 200);
    assert_int_equal(get(&json, "/readyz").status, 200);
}

/* ---- what the account promises beside its pages ---- */

static void *sign_in_by_nobody(void *arg)
{
    struct arena *own = arena_new(1 << 20);
    struct fault f = {0};
    struct secret password = {str_from(PASSWORD)};
    enum sign_in result;
    account_id which;
    bool dated;
    str proved;
    (void)arg;
    enum err e = account_sign_in(p, STR("nobody@example.com"), password, own, &f, &result, &which, &dated, &proved);
    assert(e == OK && result == SIGN_IN_WRONG);
    arena_free(&own);
    return NULL;
}

/* Fails if those who wait for their hash hold the connections that pages need. */
static void a_burst_of_sign_ins_starves_no_page(void **state)
{
    (void)state;
    enum { BURST = 60, PAGES = 16 }; /* as many as there are connections */
    struct tx *pages[PAGES];
    struct hasher *before = p->passwords, *slow;
    pthread_t threads[BURST];
    assert_ok(hasher_new(&slow, 8 << 20, 12, 1, &fault));
    int64_t began = clock_ticks();
    password_verify(slow, (struct secret){STR("x")}, (str){NULL, 0});
    int64_t one = clock_ticks() - began;
    p->passwords = slow;
    for (int i = 0; i < BURST; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_in_by_nobody, NULL), 0);
    nanosleep(&(struct timespec){0, 100 * 1000 * 1000}, NULL); /* all of them wait */
    began = clock_ticks();
    for (int i = 0; i < PAGES; i++)
        pages[i] = tx_begin(p->privacy.db, TX_READ, a, &fault);
    int64_t waited = clock_ticks() - began;
    for (int i = 0; i < PAGES; i++)
        tx_end(&pages[i]);
    for (int i = 0; i < BURST; i++)
        pthread_join(threads[i], NULL);
    p->passwords = before;
    hasher_free(&slow);
    /* Who is starved waits for most of the burst; a busy machine does not make it a sixth. */
    if (waited > BURST / 6 * one)
        fail_msg("pages waited %lld us, a hash takes %lld", (long long)waited, (long long)one);
}

/* ---- where data is to lie ---- */

static struct placed {
    int n;
    char region[3];
    enum err answer;
} placed;

static enum err note_place(struct tx *tx, struct portal *portal, id account, str region)
{
    struct query *q = SQL(tx, "SELECT 1 FROM account WHERE id = $1 AND country = $2");
    (void)portal;
    bind_id(q, account);
    bind_text(q, region);
    assert_false(query_row(q)); /* before it is written */
    assert_ok(query_end(q));
    placed.n++;
    snprintf(placed.region, sizeof placed.region, "%.*s", STR_FMT(region));
    return placed.answer;
}

/* WPF-12. Fails if a region is stored before it is asked where its data is to lie, or against the answer. */
static void wpf_12_a_region_says_where_data_lies(void **state)
{
    (void)state;
    struct browser b = {0};
    placed = (struct placed){0};
    p->place = note_place;
    make_account("klara.marker@example.com", "sv");
    assert_true(placed.n == 1 && placed.region[0] == '\0');
    assert_int_equal(sign_in(&b, ANNA).status, 303);
    static const char norway[] = "language=sv&zone=Europe%2FOslo&country=NO";
    assert_int_equal(post(&b, "/account/settings", "/account/settings", norway).status, 303);
    assert_int_equal(placed.n, 2);
    assert_string_equal(placed.region, "NO");
    assert_int_equal(post(&b, "/account/settings", "/account/settings", norway).status, 303); /* the same */
    assert_int_equal(placed.n, 2);
    placed.answer = ERR_BUSY;
    str before = all_stored();
    struct answer x = post(&b, "/account/settings", "/account/settings", "language=sv&zone=Europe%2FOslo&country=FI");
    assert_int_equal(x.status, 503);
    assert_true(str_eq(before, all_stored()));
    p->place = NULL;
}

static struct registration registration(const char *address)
{
    static struct locale l;
    struct registration r = {.id = id_new(), .password_hash = STR("a hash"), .locale = &l};
    l = (struct locale){0, catalog_language(p->privacy.catalog, 0), NULL, p->privacy.formats};
    assert_ok(email_parse(a, str_from(address), &r.email));
    return r;
}

static void register_now(const char *address)
{
    struct registration r = registration(address);
    struct tx *tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    assert_ok(account_register(tx, p, &r));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
}

static bool is_there(const char *address)
{
    account_id which;
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    enum err e = account_find(tx, &p->privacy, str_from(address), &which);
    fault_clear(&fault);
    assert_true(e == OK || e == ERR_NOT_FOUND);
    return e == OK;
}

static void sweep(void)
{
    struct sweep_report report;
    assert_ok(retention_sweep(&p->privacy, false, true, a, &report, &fault));
}

/* MYA-06. Fails if a link is dead before the day that its mail promises, because somebody had begun
 * with the same address before; or if what is never confirmed stays. */
static void mya_06_a_second_attempt_has_its_whole_time(void **state)
{
    (void)state;
    register_now("slow@example.com");
    clock_.offset += 46 * MOMENT_HOUR;
    sweep();
    register_now("slow@example.com");
    clock_.offset += 24 * MOMENT_HOUR;
    sweep();
    assert_true(is_there("slow@example.com"));
    clock_.offset += 24 * MOMENT_HOUR;
    sweep();
    assert_false(is_there("slow@example.com"));
}

/* MYA-24. Fails if the time to think leaves no time, within the promised month, until the master key
 * is replaced: until then a backup could bring a person back. */
static void mya_24_the_window_leaves_time_for_the_key(void **state)
{
    struct account x;
    id receipt;
    (void)state;
    assert_int_equal(term_parse(STR("P1M"), &settings.reopen_window), OK);
    struct tx *tx = tx_begin(p->privacy.db, TX_WRITE, a, &fault);
    assert_ok(account_close(tx, p, james, false, "request", &receipt));
    assert_ok(tx_commit(tx));
    tx_end(&tx);
    tx = tx_begin(p->privacy.db, TX_READ, a, &fault);
    assert_ok(account_get(tx, &p->privacy, james, NULL, &x));
    tx_end(&tx);
    assert_true(x.erase_at > x.closed + 14 * MOMENT_DAY);
    assert_true(term_end(x.erase_at, settings.master_key_every) + MOMENT_DAY <= term_end(x.closed, (struct term){.months = 1}));
}

/* GEN-21. A form that was open for too long is no matter of who may do what. */
static void a_stale_form_says_to_try_again(void **state)
{
    (void)state;
    struct browser b = {0};
    struct answer x = ask(&b, "POST", "/sign-up", STR("csrf=aaaa"));
    assert_int_equal(x.status, 403);
    assert_true(str_contains(x.body, STR("Please try that again")));
    assert_false(str_contains(x.body, STR("not open to you")));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(gen_26_strangers_get_no_personal_data),
        T(gen_21_every_page_is_whole_in_both_languages),
        T(sec_06_forms_come_from_our_own_pages),
        T(gen_23_undeclared_fields_are_refused),
        T(mya_14_sessions_end),
        T(a_proof_of_the_password_is_recent),
        T(sec_06_no_way_out_through_next),
        T(sec_06_a_quota_gives_what_it_says),
        T(sec_01_a_database_that_goes_away_leaves_nothing_half_done),
        T(mya_24_the_old_hashes_are_beyond_the_new_master_key),
        T(a_lost_database_is_503_and_then_over),
        T(a_burst_of_sign_ins_starves_no_page),
        T(wpf_12_a_region_says_where_data_lies),
        T(mya_06_a_second_attempt_has_its_whole_time),
        T(mya_24_the_window_leaves_time_for_the_key),
        T(a_stale_form_says_to_try_again),
    };
    static const char *const names[] = {[DB_SQLITE] = "portal on SQLite", [DB_POSTGRES] = "portal on PostgreSQL"};
    int failed = 0;
    for (kind = DB_SQLITE; kind <= DB_POSTGRES; kind++)
        if (testing_wants(kind))
            failed += cmocka_run_group_tests_name(names[kind], tests, NULL, NULL);
    return failed;
}
