/*
 * web: framing, paths, forms, uploads' framing, the router and the limits, each by itself. Pages and
 * sessions are tested on the whole portal (src/cli/test_portal.c).
 */
#include "web/form.h"
#include "web/http.h"
#include "web/limits.h"
#include "web/multipart.h"
#include "web/router.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct arena *a;
static struct fault fault;

static int up(void **state)
{
    (void)state;
    a = arena_new(64 << 20);
    fault_clear(&fault);
    return 0;
}

static int down(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

#define assert_str(s, expected)                                                                    \
    do {                                                                                           \
        str assert_s_ = (s);                                                                       \
        assert_string_equal(str_cstr(a, assert_s_), (expected));                                   \
    } while (0)

/* ---- framing ---- */

static enum err check_head(const char *const pairs[], size_t n)
{
    struct header headers[12];
    struct head h = {.method = STR("POST"), .target = STR("/"), .version = STR("HTTP/1.1"), .headers = headers};
    for (size_t i = 0; i < n; i += 2)
        headers[h.n_headers++] = (struct header){str_from(pairs[i]), str_from(pairs[i + 1])};
    fault_clear(&fault);
    return head_check(&h, &fault);
}

#define HEAD(...)                                                                                  \
    check_head((const char *const[]){__VA_ARGS__},                                                 \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* Fails if a message whose length two readers would see differently is let in. */
static void sec_06_framing_that_two_readers_see_differently_is_refused(void **state)
{
    (void)state;
    assert_int_equal(HEAD("Host", "a"), OK);
    assert_int_equal(HEAD("Host", "a", "Content-Length", "12"), OK);
    assert_int_equal(HEAD("Host", "a", "Transfer-Encoding", "Chunked"), OK);
    assert_int_equal(HEAD("Accept", "x"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "host", "a"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "Content-Length", "1", "content-length", "1"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "Content-Length", "1", "Transfer-Encoding", "chunked"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "Transfer-Encoding", "gzip, chunked"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "Transfer-Encoding", "xchunked"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "Content-Length", "+1"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "Content-Length", "-1"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "Content-Length", "0x10"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "Content-Length", "1, 1"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "Content-Length", ""), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "Content-Length", "99999999999999999999"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "X", "a\x01"), ERR_INPUT);
    assert_int_equal(HEAD("Host", "a", "X", "a\rb"), ERR_INPUT);
}

static enum err split(const char *target, const char *path, const char *query)
{
    str p, q;
    enum err e = target_split(a, str_from(target), &p, &q);
    if (e == OK) {
        assert_str(p, path);
        assert_str(q, query);
    }
    return e;
}

/* Fails if one page can be named by two paths, or a path can climb. */
static void a_page_has_one_path(void **state)
{
    (void)state;
    assert_int_equal(split("/", "/", ""), OK);
    assert_int_equal(split("/a/b?c=d&e", "/a/b", "c=d&e"), OK);
    assert_int_equal(split("/a/", "/a/", ""), OK); /* web.c sends it to /a */
    assert_int_equal(split("/r%C3%A4tt", "/rätt", ""), OK);
    static const char *const bad[] = {"", "a", "*", "http://a/", "//a", "/a//b", "/./a", "/a/..", "/a/../b",
                                      "/%2e%2e/a", "/a%2", "/a%zz", "/%ff", "/%00", "/a%0ab", "/a\\b",
                                      "/%5cb", "/%c0%ae"};
    for (size_t i = 0; i < COUNT(bad); i++)
        if (split(bad[i], "", "") != ERR_INPUT)
            fail_msg("%s was taken", bad[i]);
    char *longest = arena_alloc(a, 5000);
    memset(longest, 'a', 4999);
    longest[0] = '/';
    longest[4999] = '\0';
    assert_int_equal(split(longest, "", ""), ERR_INPUT);
}

/* ---- forms ---- */

static const char *const colours[] = {"red", "blue", NULL};
static const struct form_field fields[] = {
    {"email", FIELD_EMAIL, .required = true},
    {"password", FIELD_NEW_PASSWORD, .required = true},
    {"line", FIELD_TEXT, .max = 10},
    {"lines", FIELD_LINES, .max = 20},
    {"tick", FIELD_CHECK},
    {"colour", FIELD_CHOICE, .choices = colours},
    {"id", FIELD_HIDDEN},
};
static const struct form form = {"f", fields, COUNT(fields)};

static enum err read_form(const char *body, struct form_state *s, str *csrf)
{
    *s = (struct form_state){.form = &form};
    *csrf = (str){NULL, 0};
    fault_clear(&fault);
    enum err e = form_read(s, a, str_from(body), csrf, &fault);
    if (e == OK)
        form_check(s, a);
    return e;
}

/* Fails if what is typed does not arrive, or what is not declared does. */
static void gen_23_a_form_takes_what_it_declares(void **state)
{
    (void)state;
    struct form_state s;
    str csrf;
    assert_int_equal(read_form("email=+Anna%40b%C3%BCcher.example+&password=+p%26+&line=a&tick=yes"
                               "&colour=blue&csrf=abc&id=a1&lines=a%0D%0Ab", &s, &csrf), OK);
    assert_false(s.wrong);
    assert_str(csrf, "abc");
    assert_str(form_value(&s, "email"), "Anna@bücher.example");
    assert_str(form_value(&s, "password"), " p& "); /* as typed: not trimmed */
    assert_str(form_value(&s, "lines"), "a\nb");
    assert_true(form_ticked(&s, "tick"));

    assert_int_equal(read_form("email=a%40b.example&password=x&unknown=1", &s, &csrf), ERR_INPUT);
    assert_non_null(strstr(fault.text, "unknown"));
    assert_int_equal(read_form("email=a%40b.example&email=c%40d.example&password=x", &s, &csrf), ERR_INPUT);
    assert_non_null(strstr(fault.text, "twice"));
    assert_int_equal(read_form("email=%ff", &s, &csrf), ERR_INPUT);
    assert_int_equal(read_form("email=%zz", &s, &csrf), ERR_INPUT);
    assert_int_equal(read_form("line=a%00b", &s, &csrf), ERR_INPUT);
    struct buf many = buf_new(a, 8192);
    for (int i = 0; i < 200; i++)
        buf_put(&many, STR("csrf=a&"));
    assert_int_equal(form_read(&s, a, buf_str(&many), &csrf, &fault), ERR_INPUT);
}

/* Fails if a wrong value passes, or a message says another field's trouble. */
static void gen_24_each_field_says_what_is_wrong_with_it(void **state)
{
    (void)state;
    static const struct {
        const char *body, *field, *error;
    } cases[] = {
        {"password=x", "email", "form.required"},
        {"email=+&password=x", "email", "form.required"},
        {"email=anna&password=x", "email", "form.email"},
        {"email=a%40b%0ABcc:x%40y.example&password=x", "email", "form.email"},
        {"email=a%40b.example", "password", "form.required"},
        {"email=a%40b.example&password=x&line=12345678901", "line", "form.too-long"},
        {"email=a%40b.example&password=x&line=a%0Ab", "line", "form.line"},
        {"email=a%40b.example&password=x&lines=a%01b", "lines", "form.line"},
        {"email=a%40b.example&password=x&tick=no", "tick", "form.choose"},
        {"email=a%40b.example&password=x&colour=green", "colour", "form.choose"},
        {"email=a%40b.example&password=x&id=%3Cscript%3E", "id", "form.line"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct form_state s;
        str csrf;
        assert_int_equal(read_form(cases[i].body, &s, &csrf), OK);
        assert_true(s.wrong);
        for (size_t k = 0; k < form.n; k++) {
            bool meant = strcmp(fields[k].name, cases[i].field) == 0;
            const char *error = s.error[k];
            if (meant ? error == NULL || strcmp(error, cases[i].error) != 0 : error != NULL)
                fail_msg("%s: %s says %s", cases[i].body, fields[k].name, error ? error : "nothing");
        }
    }
}

/* ---- uploads ---- */

static struct buf seen;

static enum err see_begin(void *arg, str name, str file, bool is_file)
{
    (void)arg;
    str line = str_fmt(a, "[%.*s%s%.*s:", STR_FMT(name), is_file ? " file " : "", STR_FMT(file));
    buf_put(&seen, line);
    return OK;
}

static enum err see_data(void *arg, str bytes)
{
    (void)arg;
    buf_put(&seen, bytes);
    return OK;
}

static enum err see_end(void *arg)
{
    (void)arg;
    buf_put(&seen, STR("]"));
    return OK;
}

static const struct multipart_ops see = {see_begin, see_data, see_end};

static enum err push(const char *type, str body, size_t piece)
{
    struct multipart *m;
    seen = buf_new(a, 1 << 16);
    fault_clear(&fault);
    TRY(multipart_new(a, str_from(type), &see, NULL, &m, &fault));
    while (body.n > 0) {
        size_t n = MIN_OF(piece, body.n);
        TRY(multipart_push(m, str_head(body, n)));
        body = str_skip(body, n);
    }
    return multipart_finish(m);
}

/* Fails if a part depends on how the network cut the body, or a delimiter in the data is missed. */
static void an_upload_is_the_same_however_it_is_cut(void **state)
{
    (void)state;
    static const char type[] = "multipart/form-data; boundary=\"x-y\"";
    static const char body[] =
        "--x-y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n"
        "--x-y\r\ncontent-disposition: form-data; name=\"f\"; filename=\"n;\\\"q\\\".txt\"\r\n"
        "Content-Type: text/plain\r\n\r\nl1\r\n--x-\r\n--\r\n\r\n--x-y--\r\n";
    for (size_t piece = 1; piece < sizeof body; piece++) {
        assert_int_equal(push(type, str_of(body, sizeof body - 1), piece), OK);
        assert_str(buf_str(&seen), "[a:one][f file n;\"q\".txt:l1\r\n--x-\r\n--\r\n]");
    }
    for (size_t n = 0; n < sizeof body - 5; n++) /* cut short anywhere: not whole */
        assert_int_equal(push(type, str_of(body, n), 7), ERR_INPUT);
}

static void malformed_uploads_are_refused(void **state)
{
    (void)state;
    static const char *const types[] = {"multipart/form-data", "multipart/form-data; boundary=",
                                        "multipart/mixed; boundary=x",
                                        "multipart/form-data; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < COUNT(types); i++)
        assert_int_equal(push(types[i], STR("--x\r\n"), 99), ERR_INPUT);
    static const char *const bodies[] = {
        "--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n",   /* no name */
        "--x\r\n\r\n1\r\n--x--\r\n",                                      /* no disposition */
        "--x\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n1\r\n--x--\r\n",
        "--x\r\nContent-Disposition: form-data; name=\"a\nb\"\r\n\r\n1\r\n--x--\r\n",
        "hello",
    };
    for (size_t i = 0; i < COUNT(bodies); i++)
        if (push("multipart/form-data; boundary=x", str_from(bodies[i]), 99) != ERR_INPUT)
            fail_msg("%s was taken", bodies[i]);
    struct buf big = buf_new(a, 16384);
    buf_put(&big, STR("--x\r\nContent-Disposition: form-data; name=\""));
    for (int i = 0; i < 9000; i++)
        buf_put(&big, STR("a"));
    assert_int_equal(push("multipart/form-data; boundary=x", buf_str(&big), 1000), ERR_INPUT);
    struct buf parts = buf_new(a, 1 << 16);
    for (int i = 0; i < 101; i++)
        buf_put(&parts, STR("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"));
    buf_put(&parts, STR("--x--\r\n"));
    assert_int_equal(push("multipart/form-data; boundary=x", buf_str(&parts), 1000), ERR_INPUT);
}

/* ---- router ---- */

static enum err nothing(struct request *req)
{
    (void)req;
    return OK;
}

static const struct route good[] = {
    {METHOD_GET, "/", nothing, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/a/:id", nothing, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_POST, "/a/new", nothing, GUARD_PUBLIC, RATE_FORM, &form_button},
    {METHOD_GET, "/a/:id/b/:x", nothing, GUARD_PUBLIC, RATE_PAGE},
    {0},
};

static const struct route *route(const struct router *r, enum method m, const char *path, int *allowed,
                                 str segments[MAX_SEGMENTS])
{
    return router_find(r, m, str_from(path), segments, allowed);
}

static void routes_are_found(void **state)
{
    (void)state;
    struct router *r;
    str seg[MAX_SEGMENTS];
    int allowed;
    const struct route *lists[] = {good};
    assert_int_equal(router_new(a, NULL, lists, 1, &r, &fault), OK);
    assert_ptr_equal(route(r, METHOD_GET, "/", &allowed, seg), &good[0]);
    assert_ptr_equal(route(r, METHOD_HEAD, "/a/7", &allowed, seg), &good[1]);
    assert_str(seg[0], "7");
    assert_ptr_equal(route(r, METHOD_GET, "/a/7/b/8", &allowed, seg), &good[3]);
    assert_str(seg[1], "8");
    assert_ptr_equal(route(r, METHOD_POST, "/a/new", &allowed, seg), &good[2]);
    /* A path that stands in the table by itself is not read as a value. */
    assert_null(route(r, METHOD_GET, "/a/new", &allowed, seg));
    assert_int_equal(allowed, METHOD_POST);
    assert_null(route(r, METHOD_POST, "/", &allowed, seg));
    assert_int_equal(allowed, METHOD_GET | METHOD_HEAD);
    static const char *const none[] = {"/a", "/a/", "/a/7/", "/a/7/b", "/a/7/b/", "/b", "/a/7/b/8/9", "/A/7"};
    for (size_t i = 0; i < COUNT(none); i++) {
        assert_null(route(r, METHOD_GET, none[i], &allowed, seg));
        assert_int_equal(allowed, 0);
    }
}

/* Fails if a row that forgets who may enter (or anything else) is served all the same. */
static void a_route_that_leaves_something_out_does_not_start(void **state)
{
    (void)state;
    static const struct route bad[][2] = {
        {{METHOD_GET, "/x", NULL, GUARD_PUBLIC, RATE_PAGE}},
        {{METHOD_GET, "/x", nothing, GUARD_MISSING, RATE_PAGE}},
        {{METHOD_GET, "/x", nothing, GUARD_PUBLIC, RATE_MISSING}},
        {{METHOD_GET, "x", nothing, GUARD_PUBLIC, RATE_PAGE}},
        {{METHOD_POST, "/x", nothing, GUARD_PUBLIC, RATE_PAGE}},
        {{METHOD_NONE, "/x", nothing, GUARD_PUBLIC, RATE_PAGE}},
    };
    struct router *r;
    for (size_t i = 0; i < COUNT(bad); i++) {
        const struct route *lists[] = {bad[i]};
        fault_clear(&fault);
        assert_int_equal(router_new(a, NULL, lists, 1, &r, &fault), ERR_INPUT);
        assert_non_null(strstr(fault.text, "x has no"));
    }
    /* REC-01: the staff's rows say to whom they are open, and no others do. */
    static const char *const account[] = {"account", NULL}, *const consent[] = {"consent", NULL}, *const typo[] = {"acount", NULL};
    static const struct record known[] = {
        {.name = {"account", 7}, .staff = ROLE_BIT(ROLE_SUPPORT) | ROLE_BIT(ROLE_PRIVACY)}, {.name = {"consent", 7}}};
    static const struct inventory inventory = {.records = (struct record *)(uintptr_t)known, .n_records = COUNT(known)};
    static const struct {
        struct route rows[3];
        const char *says;
    } staffs[] = {
        {{{METHOD_GET, "/x", nothing, GUARD_STAFF, RATE_PAGE}}, "route /x has no roles"},
        {{{METHOD_GET, "/x", nothing, GUARD_SIGNED_IN, RATE_PAGE, .roles = ROLE_BIT(ROLE_SUPPORT)}}, "route /x has no guard for the staff"},
        {{{METHOD_GET, "/x", nothing, GUARD_PUBLIC, RATE_PAGE, .reads = account}}, "route /x has no guard for the staff"},
        {{{METHOD_GET, "/x", nothing, GUARD_STAFF, RATE_PAGE, .roles = ROLE_BIT(ROLE_SUPPORT), .reads = typo}}, "route /x reads acount, which is no record"},
        {{{METHOD_GET, "/x", nothing, GUARD_STAFF, RATE_PAGE, .roles = ROLE_BIT(ROLE_SUPPORT), .reads = consent}}, "route /x reads consent, which support may not"},
        {{{METHOD_GET, "/x", nothing, GUARD_STAFF, RATE_PAGE, .roles = ROLE_BIT(ROLE_SUPPORT) | ROLE_BIT(ROLE_STATISTICS), .reads = account}}, "route /x reads account, which statistics may not"},
        {{{METHOD_GET, "/x", nothing, GUARD_STAFF, RATE_PAGE, .roles = ROLE_BIT(ROLE_PRIVACY)},
          {METHOD_POST, "/x", nothing, GUARD_STAFF, RATE_FORM, &form_button, .again = "/x", .roles = ALL_ROLES}}, "route /x shows /x again to roles that it is not open to"},
        {{{METHOD_GET, "/x", nothing, GUARD_STAFF, RATE_PAGE, .roles = ROLE_BIT(ROLE_SUPPORT), .reads = account}}, NULL},
        {{{METHOD_GET, "/x", nothing, GUARD_STAFF, RATE_PAGE, .roles = ALL_ROLES, .reads = reads_by_role}}, NULL},
    };
    for (size_t i = 0; i < COUNT(staffs); i++) {
        const struct route *lists[] = {staffs[i].rows};
        fault_clear(&fault);
        assert_int_equal(router_new(a, &inventory, lists, 1, &r, &fault), staffs[i].says ? ERR_INPUT : OK);
        assert_string_equal(fault.text, staffs[i].says ? staffs[i].says : "");
    }
    const struct route *twice[] = {good, good};
    fault_clear(&fault);
    assert_int_equal(router_new(a, NULL, twice, 2, &r, &fault), ERR_INPUT);
    assert_non_null(strstr(fault.text, "twice"));
}

/* ---- limits ---- */

/* Fails if a flood from one address range passes, or takes others down with it. */
static void sec_06_floods_are_slowed(void **state)
{
    (void)state;
    static const struct rate_config rates[RATE_CLASSES] = {
        [RATE_PAGE] = {0.001, 5}, [RATE_FORM] = {0.001, 2}, [RATE_SIGN_IN] = {1000, 1}};
    CLEANUP(limits_free) struct limits *l = limits_new(rates);
    int wait = 0;
    for (int i = 0; i < 5; i++)
        assert_true(limits_take(l, RATE_PAGE, STR("192.0.2.1"), &wait));
    assert_false(limits_take(l, RATE_PAGE, STR("192.0.2.1"), &wait));
    assert_in_range(wait, 900, 1001);
    assert_true(limits_take(l, RATE_PAGE, STR("192.0.2.2"), &wait));
    assert_true(limits_take(l, RATE_FORM, STR("192.0.2.1"), &wait)); /* each class by itself */
    /* A household has a /64. */
    for (int i = 0; i < 5; i++)
        assert_true(limits_take(l, RATE_PAGE, str_fmt(a, "2001:db8:1:2::%d", i), &wait));
    assert_false(limits_take(l, RATE_PAGE, STR("2001:db8:1:2:ffff::1"), &wait));
    assert_true(limits_take(l, RATE_PAGE, STR("2001:db8:1:3::1"), &wait));
    /* It fills up again. */
    assert_true(limits_take(l, RATE_SIGN_IN, STR("192.0.2.9"), &wait));
    usleep(5000);
    assert_true(limits_take(l, RATE_SIGN_IN, STR("192.0.2.9"), &wait));
    /* No limit is no limit. */
    for (int i = 0; i < 1000; i++)
        assert_true(limits_take(l, RATE_MAIL, STR("192.0.2.1"), &wait));
}

/* Memory does not grow with addresses: the table is fixed, and a crowd of strangers pushes out the
 * one that has waited longest, never the flood that goes on. */
static void sec_06_a_crowd_does_not_push_out_the_flood(void **state)
{
    (void)state;
    static const struct rate_config rates[RATE_CLASSES] = {[RATE_PAGE] = {0.001, 3}};
    CLEANUP(limits_free) struct limits *l = limits_new(rates);
    int wait, passed = 0;
    for (int i = 0; i < 100000; i++) {
        limits_take(l, RATE_PAGE, str_fmt(a, "10.%d.%d.%d", i >> 16, (i >> 8) & 255, i & 255), &wait);
        if (i % 100 == 0)
            passed += limits_take(l, RATE_PAGE, STR("192.0.2.1"), &wait);
    }
    assert_in_range(passed, 3, 30); /* of 1000 */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(sec_06_framing_that_two_readers_see_differently_is_refused),     T(a_page_has_one_path), T(gen_23_a_form_takes_what_it_declares), T(gen_24_each_field_says_what_is_wrong_with_it), T(an_upload_is_the_same_however_it_is_cut),
        T(malformed_uploads_are_refused), T(routes_are_found), T(a_route_that_leaves_something_out_does_not_start), T(sec_06_floods_are_slowed), T(sec_06_a_crowd_does_not_push_out_the_flood),
    };
    return cmocka_run_group_tests_name("web", tests, NULL, NULL);
}
