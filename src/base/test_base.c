/*
 * base: what every room stands on. Each test says in its title which promise it proves.
 */
#include "base/calendar.h"
#include "base/codec.h"
#include "base/email.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/network.h"
#include "base/secret.h"
#include "base/yaml.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static int arena_up(void **state)
{
    *state = arena_new(64 << 20);
    return 0;
}

static int arena_down(void **state)
{
    arena_free((struct arena **)state);
    return 0;
}

#define assert_str(s, literal)                                                                     \
    do {                                                                                           \
        str assert_s_ = (s);                                                                       \
        char assert_t_[512] = {0};                                                                 \
        memcpy(assert_t_, assert_s_.p, MIN_OF(assert_s_.n, sizeof assert_t_ - 1));                 \
        assert_string_equal(assert_t_, (literal));                                                 \
    } while (0)

static moment at(const char *text)
{
    moment m = 0;
    assert_int_equal(moment_parse(str_from(text), &m), OK);
    return m;
}

static struct term term(const char *text)
{
    struct term t = {0};
    assert_int_equal(term_parse(str_from(text), &t), OK);
    return t;
}

/* Fails if months roll over (31 January + P1M = 3 March) instead of being clipped. */
static void ret_05_months_are_clipped(void **state)
{
    struct arena *a = *state;
    static const struct {
        const char *anchor, *term, *end;
    } cases[] = {
        {"2026-01-31T12:00:00Z", "P1M", "2026-02-28T12:00:00Z"},
        {"2028-01-31T12:00:00Z", "P1M", "2028-02-29T12:00:00Z"},
        {"2026-01-28T00:00:00Z", "P1M", "2026-02-28T00:00:00Z"},
        {"2026-03-31T23:59:59Z", "P1M", "2026-04-30T23:59:59Z"},
        {"2026-08-31T01:02:03Z", "P6M", "2027-02-28T01:02:03Z"},
        {"2024-02-29T00:00:00Z", "P1Y", "2025-02-28T00:00:00Z"},
        {"2024-02-29T00:00:00Z", "P4Y", "2028-02-29T00:00:00Z"},
        {"2100-02-28T00:00:00Z", "P1D", "2100-03-01T00:00:00Z"},
        {"2026-12-31T22:00:00Z", "P1M", "2027-01-31T22:00:00Z"},
        {"2026-11-22T10:00:00Z", "P2W", "2026-12-06T10:00:00Z"},
        {"2026-11-22T10:00:00Z", "P90D", "2027-02-20T10:00:00Z"},
        {"2026-01-31T12:00:00Z", "P1M1D", "2026-03-01T12:00:00Z"},
        {"2026-01-31T12:00:00Z", "PT30M", "2026-01-31T12:30:00Z"},
        {"9999-12-01T00:00:00Z", "P2M", "9999-12-31T23:59:59.999999Z"},
        {"1969-12-31T23:00:00Z", "P1M", "1970-01-31T23:00:00Z"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_str(moment_format(a, term_end(at(cases[i].anchor), term(cases[i].term))),
                   cases[i].end);
}

/* Fails if the cut-off lets anything stay past its term, or is not the latest such anchor. */
static void ret_05_cutoff_is_never_late(void **state)
{
    (void)state;
    static const char *const terms[] = {"P1M", "P2M", "P6M", "P1Y", "P14D", "P1M3D", "PT36H", "P3Y"};
    for (size_t t = 0; t < COUNT(terms); t++) {
        struct term T = term(terms[t]);
        for (int day = 0; day < 1461; day++) {
            moment now = at("2026-01-01T00:00:00Z") + day * MOMENT_DAY + (day * 7919LL % 86400) * MOMENT_SECOND;
            moment cut = term_cutoff(now, T);
            assert_true(term_end(cut, T) <= now);
            /* whatever is anchored later has not ended yet */
            for (int step = 1; step < 400; step++)
                assert_true(term_end(cut + step * MOMENT_HOUR / 2, T) > now);
            assert_true(term_end(cut + 1, T) > now || cut % MOMENT_DAY == MOMENT_DAY - 1);
            /* and no earlier anchor would be overdue after the sweep: all of them are taken */
            for (int step = 0; step < 200; step++)
                assert_true(term_end(cut - step * MOMENT_HOUR, T) <= now + MOMENT_DAY);
        }
    }
}

static void terms_are_read_strictly(void **state)
{
    struct arena *a = *state;
    static const char *const bad[] = {"", "P", "1M", "P1", "PT", "P1MT", "-P1M", "P-1M", "P1.5M",
                                      "P1D1M", "P1M1M", "PT1D", "P1H", "p1m", "P1M ", "P99999Y",
                                      "P1M\0", "PT9999999999S"};
    struct term t;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(term_parse(str_from(bad[i]), &t),
                         strcmp(bad[i], "P1M") == 0 ? OK : ERR_INPUT);
    static const char *const same[] = {"P1Y", "P1Y6M", "P1M2DT3H", "PT0S", "P14D", "PT30M", "PT1H2M3S"};
    for (size_t i = 0; i < COUNT(same); i++)
        assert_str(term_format(a, term(same[i])), same[i]);
    assert_str(term_format(a, term("P2W")), "P14D");
    assert_str(term_format(a, term("PT24H")), "P1D");
}

static void moments_are_read_strictly(void **state)
{
    struct arena *a = *state;
    static const char *const bad[] = {"", "2026-02-29T00:00:00Z", "2026-01-31", "2026-01-31 12:00:00Z",
                                      "2026-13-01T00:00:00Z", "2026-01-31T24:00:00Z", "2026-1-31T00:00:00Z",
                                      "2026-01-31T12:00:00", "2026-01-31T12:00:00+25:00", "0000-01-01T00:00:00Z",
                                      "2026-01-31T12:00:00Zz", "2026-01-31T12:00:00.Z"};
    moment m;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(moment_parse(str_from(bad[i]), &m), ERR_INPUT);
    assert_str(moment_format(a, at("2026-01-31T13:30:00+01:30")), "2026-01-31T12:00:00Z");
    assert_str(moment_format(a, at("2026-01-31T12:00:00.25Z")), "2026-01-31T12:00:00.250000Z");
    assert_str(moment_format(a, at("1900-02-28T23:59:59Z")), "1900-02-28T23:59:59Z");
}

static int compare_ids(const void *x, const void *y)
{
    return memcmp(x, y, sizeof(id));
}

/* Fails if an ID repeats, leaves its alphabet, or has a character that is far from uniform. */
static void gen_08_ids_are_random_and_unique(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    id *ids = calloc(MANY, sizeof *ids);
    size_t seen[256] = {0};
    for (int i = 0; i < MANY; i++) {
        ids[i] = id_new();
        id again;
        assert_int_equal(id_parse(id_str(&ids[i]), &again), OK);
        for (int k = 0; k < ID_LENGTH - 1; k++) /* the last holds 3 bits only */
            seen[(unsigned char)ids[i].text[k]]++;
    }
    size_t expected = (size_t)MANY * (ID_LENGTH - 1) / 32;
    size_t letters = 0;
    for (int c = 0; c < 256; c++) {
        if (seen[c] == 0)
            continue;
        letters++;
        assert_in_range(seen[c], expected * 97 / 100, expected * 103 / 100);
    }
    assert_int_equal(letters, 32);
    qsort(ids, MANY, sizeof *ids, compare_ids);
    for (int i = 1; i < MANY; i++)
        assert_int_not_equal(compare_ids(&ids[i - 1], &ids[i]), 0);
    free(ids);
}

static void ids_from_outside_are_checked(void **state)
{
    (void)state;
    id i;
    assert_int_equal(id_parse(STR("0123456789abcdefghjkmnpqrs"), &i), OK);
    assert_int_equal(id_parse(STR("0123456789abcdefghjkmnpqr"), &i), ERR_INPUT);
    assert_int_equal(id_parse(STR("0123456789abcdefghjkmnpqrS"), &i), ERR_INPUT);
    assert_int_equal(id_parse(STR("0123456789abcdefghjkmnpqri"), &i), ERR_INPUT);
    assert_int_equal(id_parse(STR("0123456789abcdefghjkmnpqr\0"), &i), ERR_INPUT);
}

static void codecs_round_trip_and_refuse(void **state)
{
    struct arena *a = *state;
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    str out;
    for (size_t n = 0; n <= 256; n += 17) {
        assert_int_equal(hex_decode(a, hex_encode(a, bytes, n), &out), OK);
        assert_true(str_eq(out, str_of(bytes, n)));
        assert_int_equal(base64url_decode(a, base64url_encode(a, bytes, n), &out), OK);
        assert_true(str_eq(out, str_of(bytes, n)));
    }
    assert_str(percent_encode(a, STR("a b/å?&=~")), "a%20b%2F%C3%A5%3F%26%3D~");
    assert_int_equal(percent_decode(a, STR("a+b%20%C3%A5"), true, &out), OK);
    assert_str(out, "a b \xc3\xa5");
    static const char *const bad[] = {"%", "%2", "%zz", "a%00b"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(percent_decode(a, str_from(bad[i]), true, &out), ERR_INPUT);
    assert_int_equal(hex_decode(a, STR("abc"), &out), ERR_INPUT);
    assert_int_equal(base64url_decode(a, STR("a+b/"), &out), ERR_INPUT);
}

static void utf8_is_checked(void **state)
{
    (void)state;
    assert_true(utf8_valid(STR("Åsa Öberg \xf0\x9f\x8c\xb2")));
    static const char *const bad[] = {"\xc0\x80", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xff", "\xc3", "a\x80"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(utf8_valid(str_from(bad[i])));
    assert_int_equal(utf8_length(STR("åäö")), 3);
    assert_true(utf8_is_line(STR("Åsa")));
    assert_false(utf8_is_line(STR("a\nb")));
    assert_false(utf8_is_line(STR("a\xe2\x80\xae""b")));
}

static void mya_04_addresses_are_compared_as_people_do(void **state)
{
    struct arena *a = *state;
    struct email e;
    static const struct {
        const char *typed, *shown, *wire, *same;
    } good[] = {
        {" Anna.Lind@Example.COM ", "Anna.Lind@example.com", "Anna.Lind@example.com", "anna.lind@example.com"},
        {"a+b@x.se", "a+b@x.se", "a+b@x.se", "a+b@x.se"},
        {"info@r\xc3\xa4ksm\xc3\xb6rg\xc3\xa5s.se", "info@r\xc3\xa4ksm\xc3\xb6rg\xc3\xa5s.se",
         "info@xn--rksmrgs-5wao1o.se", "info@xn--rksmrgs-5wao1o.se"},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(email_parse(a, str_from(good[i].typed), &e), OK);
        assert_str(e.shown, good[i].shown);
        assert_str(e.wire, good[i].wire);
        assert_str(e.same, good[i].same);
    }
    static const char *const bad[] = {"", "@", "a@", "@b.se", "a@b", "a b@c.se", "a@b..se", "a@-b.se", ".a@b.se",
                                      "a..b@c.se", "a@b.se\r\nBcc: x@y.se", "\"a b\"@c.se", "a@[127.0.0.1]",
                                      "a@1.2.3.4", "<a@b.se>", "a@b.se,c@d.se", "a@b_c.se", "\xff@b.se"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(email_parse(a, str_from(bad[i]), &e), ERR_INPUT);
}

/* SEC-07. Fails if a network is read wider or narrower than it is written, or an address slips in. */
static void sec_07_networks_are_read_strictly(void **state)
{
    static const char *const bad[] = {
        "", "/", "/24", "10", "10.1", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8/8",
        "10.0.0.1/8", "010.0.0.0/8", "10.0.0.0.0/8", "10.0.0.256", "::/129", "2001:db8::1/32", "2001:db8:::/32", "fe80::1%eth0",
        "::ffff:192.0.2.0/120", "example.com", "10.0.0.0/8\n", "1.2.3.4 /8", "2001:db8::/1000"};
    struct network n;
    struct networks some;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (network_parse(str_from(bad[i]), &n) != ERR_INPUT)
            fail_msg("\"%s\" is taken for a network", bad[i]);
    assert_int_equal(network_parse(str_of("10.0.0.0\0", 9), &n), ERR_INPUT);
    assert_int_equal(networks_parse(*state, STR("10.0.0.0/8, 10.0.0.1/8"), &some), ERR_INPUT);
    assert_int_equal(networks_parse(*state, STR(" , "), &some), OK);
    assert_int_equal(some.n, 0);
    assert_false(networks_have(&some, STR("192.0.2.7")));
    assert_int_equal(networks_parse(*state, STR("192.0.2.0/24,198.51.100.7\t2001:db8:4000::/34 10.0.0.128/25"), &some), OK);
    assert_int_equal(some.n, 4);
    static const char *const in[] = {"192.0.2.0", "192.0.2.255", "198.51.100.7", "2001:db8:4000::", "2001:DB8:7fff:ffff::1",
                                     "10.0.0.128", "10.0.0.255", "::ffff:192.0.2.9"};
    static const char *const outside[] = {"", "192.0.3.0", "192.0.1.255", "198.51.100.6", "198.51.100.8", "2001:db8:8000::", "2001:db8:3fff::",
                                          "10.0.0.127", "::ffff:192.0.3.9", "::192.0.2.9", "192.0.2", "192.0.2.7, 192.0.2.8", "unix", "c000:0207::"};
    for (size_t i = 0; i < COUNT(in); i++)
        if (!networks_have(&some, str_from(in[i])))
            fail_msg("%s is in none", in[i]);
    for (size_t i = 0; i < COUNT(outside); i++)
        if (networks_have(&some, str_from(outside[i])))
            fail_msg("%s is in one", outside[i]);
    assert_int_equal(networks_parse(*state, STR("0.0.0.0/0"), &some), OK); /* everywhere, and said so */
    assert_true(networks_have(&some, STR("203.0.113.1")) && !networks_have(&some, STR("2001:db8::1")));
}

static void yaml_knows_its_lines(void **state)
{
    struct arena *a = *state;
    struct yaml *root;
    struct fault f = {0};
    assert_int_equal(yaml_parse(a, STR("a: 1\nb:\n  - x\n  - {y: 'null', z: ~}\n"), &root, &f), OK);
    const struct yaml *b = yaml_get(root, "b");
    assert_int_equal(b->line, 3);
    assert_int_equal(b->count, 2);
    assert_true(yaml_get(b->first->next, "y")->quoted);
    assert_str(yaml_text(root, "a"), "1");
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"a: 1\na: 2\n", "2: a stands twice (also line 1)"},
        {"a: [1\n", "2: did not find expected ',' or ']'"},
        {"a: &x 1\nb: *x\n", "2: aliases are not taken"},
        {"a: !int 1\n", "1: tags are not taken"},
        {"[a]: 1\n", "1: a key must be a word"},
        {"a: 1\n---\nb: 1\n", "3: a second document"},
        {"a: \"\\0\"\n", "1: not text"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        fault_clear(&f);
        assert_int_equal(yaml_parse(a, str_from(bad[i].text), &root, &f), ERR_INPUT);
        assert_string_equal(f.text, bad[i].why);
    }
    char deep[64];
    memset(deep, '[', sizeof deep);
    fault_clear(&f);
    assert_int_equal(yaml_parse(a, str_of(deep, sizeof deep), &root, &f), ERR_INPUT);
}

static void files_are_replaced_whole_and_shredded(void **state)
{
    struct arena *a = *state;
    char dir[] = "/tmp/troth-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct fault f = {0};
    char *path = str_cstr(a, str_fmt(a, "%s/x/y/z", dir));
    assert_int_equal(dir_make(str_cstr(a, str_fmt(a, "%s/x/y", dir)), 0700, &f), OK);
    str s;
    struct stat st;
    assert_int_equal(file_create(path, STR("first"), 0600, &f), OK);
    assert_int_equal(file_create(path, STR("never"), 0600, NULL), ERR_CONFLICT);
    assert_int_equal(file_read(a, path, 9, &s, &f), OK);
    assert_true(str_is(s, "first"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_create("/nowhere/at/all", STR("x"), 0600, NULL), ERR_NOT_FOUND);
    assert_int_equal(file_write(path, STR("one"), 0600, &f), OK);
    assert_int_equal(file_write(path, STR("two"), 0600, &f), OK);
    assert_int_equal(file_read(a, path, 3, &s, &f), OK);
    assert_str(s, "two");
    assert_int_equal(file_read(a, path, 2, &s, NULL), ERR_LIMIT);
    assert_int_equal(file_read(a, "/nowhere/at/all", 2, &s, NULL), ERR_NOT_FOUND);
    /* the bytes are overwritten before the name goes: an open descriptor sees noise */
    CLEANUP(fd_close) int fd = open(path, O_RDONLY);
    assert_int_equal(file_shred(path, &f), OK);
    char left[3];
    assert_int_equal(pread(fd, left, 3, 0), 3);
    assert_memory_not_equal(left, "two", 3);
    assert_false(file_exists(path));
    assert_int_equal(file_shred(path, &f), OK);
}

/* Fails if our encoder and the library's differ in a byte: hashes of published texts depend on it. */
static void json_is_encoded_as_by_the_library(void **state)
{
    struct arena *a = *state;
    static const char *const texts[] = {
        "{}", "[]", "\"\"", "null", "true", "[false,0,-1,9223372036854775807,-9223372036854775808]",
        "[1.5,-0.0,1e300,0.1,123456789.125]", "{\"b\":1,\"a\":{\"\":[[],{}]},\"\\u00e5\":\"\"}",
        "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f \\\"\\\\/\\u007f\"",
        "[\"\\u00e5\\u20ac\\ud83d\\ude00\",\"plain\"]",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        json_error_t error;
        CLEANUP(json_done) json_t *v = json_loads(texts[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        assert_non_null(v);
        char *theirs = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
        assert_str(json_encode(a, v, false), theirs);
        free(theirs);
        theirs = json_dumps(v, JSON_ENCODE_ANY | JSON_INDENT(2));
        assert_str(json_encode(a, v, true), theirs);
        free(theirs);
    }
}

/* Fails if a line is not one JSON object, or a control character gets through. */
static void log_lines_are_json(void **state)
{
    struct arena *a = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct clock clock = {0};
    struct log log = {.fd = fds[1], .least = LOG_INFO, .clock = &clock};
    log_event(&log, LOG_DEBUG, "unseen");
    log_event(&log, LOG_INFO, "seen", LOG_TEXT("text", STR("a\"b\\c\n\x01\xff")), LOG_INT("n", -5));
    char line[1024];
    ssize_t n = read(fds[0], line, sizeof line);
    assert_int_equal(line[n - 1], '\n');
    CLEANUP(json_done) json_t *j = NULL;
    assert_int_equal(json_decode(str_of(line, (size_t)n), &j, NULL), OK);
    assert_str(json_get_str(j, "event"), "seen");
    assert_str(json_get_str(j, "text"), "a\"b\\c\n\x01\xef\xbf\xbd");
    assert_int_equal(json_get_int(j, "n"), -5);
    moment m;
    assert_int_equal(moment_parse(json_get_str(j, "time"), &m), OK);
    char *big = arena_alloc(a, 100000);
    memset(big, 'x', 100000);
    log_event(&log, LOG_INFO, "long", LOG_TEXT("text", str_of(big, 100000)), LOG_INT("n", 1));
    n = read(fds[0], big, 100000);
    assert_true(n < 5000 && big[n - 1] == '\n' && big[n - 2] == '}');
    close(fds[0]);
    close(fds[1]);
}

static void slices_cut_and_count(void **state)
{
    (void)state;
    str before, after;
    assert_true(str_cut(STR("a=b=c"), '=', &before, &after));
    assert_str(after, "b=c");
    assert_true(str_cut_last(STR("a=b=c"), '=', &before, &after));
    assert_str(before, "a=b");
    assert_false(str_cut(STR("abc"), '=', &before, &after));
    int64_t v;
    assert_true(str_to_int(STR("-9223372036854775808"), &v) && v == INT64_MIN);
    assert_false(str_to_int(STR("9223372036854775808"), &v));
    assert_false(str_to_int(STR("12x"), &v));
    assert_false(str_to_int(STR(""), &v));
    assert_str(str_trim(STR(" \t a b \r\n")), "a b");
}

static void buffers_have_a_maximum(void **state)
{
    struct arena *a = *state;
    struct buf b = buf_new(a, 10);
    buf_text(&b, "12345");
    buf_fmt(&b, "%d", 67890);
    str s;
    assert_int_equal(buf_end(&b, &s), OK);
    assert_str(s, "1234567890");
    buf_char(&b, 'x');
    assert_int_equal(buf_end(&b, &s), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ret_05_months_are_clipped, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(ret_05_cutoff_is_never_late, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(terms_are_read_strictly, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(moments_are_read_strictly, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(gen_08_ids_are_random_and_unique, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(ids_from_outside_are_checked, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(codecs_round_trip_and_refuse, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(utf8_is_checked, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(mya_04_addresses_are_compared_as_people_do, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(sec_07_networks_are_read_strictly, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(yaml_knows_its_lines, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(files_are_replaced_whole_and_shredded, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(json_is_encoded_as_by_the_library, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(log_lines_are_json, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(slices_cut_and_count, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(buffers_have_a_maximum, arena_up, arena_down),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
