/* The parsers and checks of the second step: RFC 6238's vectors, and WebAuthn against what another
 * implementation says (tests/vectors/webauthn.json, made by tests/e2e/webauthn-vectors.mjs). */
#include "features/factors/model.h"
#include "features/factors/webauthn.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fido.h>
#include <liboath/oath.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/json.h"

static struct arena *a;

static int up(void **state)
{
    (void)state;
    a = arena_new(64 << 20);
    fido_init(0);
    return oath_init() != OATH_OK;
}

static int down(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

/* ---- RFC 6238, appendix B (SHA-1): its eight digits end in our six ---- */

static const struct {
    int64_t at;
    const char *code;
} rfc_6238[] = {{59, "94287082"},         {1111111109, "07081804"},  {1111111111, "14050471"},
                {1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"}};

static const str rfc_secret = STR("12345678901234567890");

static void mya_10_rfc_6238_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rfc_6238); i++) {
        int64_t counter = 0;
        str code = str_from(rfc_6238[i].code + 2);
        assert_true(totp_right(rfc_secret, rfc_6238[i].at * MOMENT_SECOND, code, &counter));
        assert_int_equal(counter, rfc_6238[i].at / TOTP_STEP);
        /* A step before and after it still counts, as that step; two do not. */
        for (int off = -2; off <= 2; off++) {
            moment then = (rfc_6238[i].at + off * TOTP_STEP) * MOMENT_SECOND;
            bool near = off >= -1 && off <= 1;
            if (then < 0)
                continue;
            assert_int_equal(totp_right(rfc_secret, then, code, &counter), near);
            assert_int_equal(counter, rfc_6238[i].at / TOTP_STEP);
        }
    }
}

/* RFC 4226, appendix D: the same by counter. */
static void mya_10_rfc_4226_vectors(void **state)
{
    (void)state;
    static const char *const codes[] = {"755224", "287082", "359152", "969429", "338314",
                                        "254676", "287922", "162583", "399871", "520489"};
    for (size_t i = 0; i < COUNT(codes); i++) {
        int64_t counter = -1;
        assert_true(totp_right(rfc_secret, (moment)i * TOTP_STEP * MOMENT_SECOND, str_from(codes[i]), &counter));
        assert_int_equal(counter, i);
    }
}

static void codes_that_are_none(void **state)
{
    (void)state;
    static const char *const none[] = {"", "75522", "7552244", "75522a", "+75522", " 75522", "-55224", "00755224"};
    int64_t counter;
    for (size_t i = 0; i < COUNT(none); i++)
        assert_false(totp_right(rfc_secret, 0, str_from(none[i]), &counter));
    assert_false(totp_right(rfc_secret, 0, str_of("75522\0", 6), &counter));
}

static void what_the_app_reads(void **state)
{
    (void)state;
    struct fault f = {0};
    str svg, uri = totp_uri(a, rfc_secret, STR("Ex & Co"), STR("anna+x@example.com"));
    assert_true(str_is(uri, "otpauth://totp/Ex%20%26%20Co:anna%2Bx%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
                            "&issuer=Ex%20%26%20Co&algorithm=SHA1&digits=6&period=30"));
    assert_true(str_is(totp_text(a, rfc_secret), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"));
    assert_int_equal(totp_picture(a, uri, &svg, &f), OK);
    assert_true(str_starts(svg, STR("<svg xmlns=")) && str_ends(svg, STR("</svg>")));
}

/* ---- WebAuthn ---- */

static str member(const json_t *x, const char *name)
{
    str out;
    assert_int_equal(base64url_decode(a, json_get_str(x, name), &out), OK);
    return out;
}

static const json_t *case_named(const json_t *cases, str alg, str name)
{
    size_t i;
    json_t *x;
    json_array_foreach(cases, i, x) if (str_is(json_get_str(x, "kind"), "create") && str_eq(json_get_str(x, "alg"), alg) &&
                                        str_eq(json_get_str(x, "name"), name)) return x;
    fail_msg("no case of that name");
    return NULL;
}

static bool challenge_is(const struct webauthn_site *site, const char *type, const json_t *x, struct fault *f)
{
    str challenge;
    return webauthn_client_data(a, site, type, member(x, "client_data"), &challenge, f) == OK &&
           str_eq(challenge, member(x, "challenge"));
}

static bool create(const struct webauthn_site *site, const json_t *x, struct webauthn_key *key, struct fault *f)
{
    return challenge_is(site, WEBAUTHN_CREATE, x, f) &&
           webauthn_register(a, site, member(x, "client_data"), member(x, "attestation"), key, f) == OK &&
           str_eq(key->credential, member(x, "credential"));
}

static bool get(const struct webauthn_site *site, const json_t *cases, const json_t *x, struct fault *f)
{
    struct webauthn_key key;
    struct webauthn_answer answer = {member(x, "client_data"), member(x, "auth_data"), member(x, "signature")};
    int64_t counter, before = json_get_int(x, "before");
    if (!create(site, case_named(cases, json_get_str(x, "alg"), json_get_str(x, "of")), &key, f))
        fail_msg("the key of %s", f->text);
    return challenge_is(site, WEBAUTHN_GET, x, f) &&
           webauthn_assert(site, &key, &answer, json_get_bool(x, "verified"), &counter, f) == OK &&
           (counter > before || (counter == 0 && before == 0)); /* as passkey_use() has it */
}

static json_t *read_vectors(struct webauthn_site *site)
{
    struct fault f = {0};
    json_t *all = NULL;
    str text;
    const char *path = str_fmt(a, "%s/tests/vectors/webauthn.json", getenv("TROTH_SOURCE")).p;
    assert_int_equal(file_read(a, path, 4 << 20, &text, &f), OK);
    assert_int_equal(json_decode(text, &all, &f), OK);
    *site = (struct webauthn_site){str_dup(a, json_get_str(all, "rp_id")), str_dup(a, json_get_str(all, "origin"))};
    return all;
}

/* Fails if one is taken that should not be, or the other way round. */
static void webauthn_as_another_implementation_has_it(void **state)
{
    (void)state;
    struct webauthn_site site;
    CLEANUP(json_done) json_t *all = read_vectors(&site);
    const json_t *cases = json_object_get(all, "cases");
    size_t i, n = 0;
    json_t *x;
    json_array_foreach(cases, i, x)
    {
        struct fault f = {0};
        struct webauthn_key key;
        bool created = str_is(json_get_str(x, "kind"), "create");
        bool accepted = created ? create(&site, x, &key, &f) : get(&site, cases, x, &f);
        if (accepted != json_get_bool(x, "accepted"))
            fail_msg("%.*s %.*s %.*s: %s (%s)", STR_FMT(json_get_str(x, "alg")), STR_FMT(json_get_str(x, "kind")),
                     STR_FMT(json_get_str(x, "name")), accepted ? "taken" : "refused", f.text);
        n++;
    }
    assert_true(n > 140);
}

/* Every cut of every registration and every bit of a sign-in changed: refused, and nothing read past the end. */
static void webauthn_no_cut_and_no_flipped_bit_is_taken(void **state)
{
    (void)state;
    struct webauthn_site site;
    CLEANUP(json_done) json_t *all = read_vectors(&site);
    const json_t *cases = json_object_get(all, "cases");
    static const char *const algorithms[] = {"ES256", "EdDSA", "RS256"};
    for (size_t k = 0; k < COUNT(algorithms); k++) {
        const json_t *x = case_named(cases, str_from(algorithms[k]), STR("right"));
        struct webauthn_key key;
        struct fault f = {0};
        str client = member(x, "client_data"), object = member(x, "attestation");
        assert_true(create(&site, x, &key, &f));
        for (size_t n = 0; n < object.n; n++) {
            struct webauthn_key cut;
            char *exact = malloc(n ? n : 1); /* the sanitizer sees a byte past it */
            memcpy(exact, object.p, n);
            assert_int_not_equal(webauthn_register(a, &site, client, str_of(exact, n), &cut, &f), OK);
            free(exact);
        }
        size_t i;
        json_t *y;
        json_array_foreach(cases, i, y)
        {
            if (!str_is(json_get_str(y, "kind"), "get") || !str_is(json_get_str(y, "name"), "right") ||
                !str_is(json_get_str(y, "alg"), algorithms[k]))
                continue;
            str data = member(y, "auth_data"), signature = member(y, "signature");
            for (size_t bit = 0; bit < 8 * data.n; bit++) {
                str changed = str_dup(a, data);
                ((char *)(uintptr_t)changed.p)[bit / 8] ^= (char)(1 << bit % 8);
                struct webauthn_answer answer = {member(y, "client_data"), changed, signature};
                int64_t counter;
                assert_int_not_equal(webauthn_assert(&site, &key, &answer, true, &counter, &f), OK);
            }
        }
    }
}

static void cbor_that_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int used; /* -1: refused */
    } items[] = {
        {"00", 1},         {"17", 1},         {"1818", 2},     {"1817", -1}, /* longer than it must be */
        {"1900ff", -1},    {"190100", 3},     {"1a00010000", 5}, {"1a0000ffff", -1},
        {"1b0000000100000000", 9},            {"1b00000000ffffffff", -1},
        {"40", 1},         {"4101", 2},       {"4201", -1},    {"5f4101ff", -1},
        {"6161", 2},       {"7f6161ff", -1},  {"80", 1},       {"8100", 2},
        {"9fff", -1},      {"a0", 1},         {"a10000", 3},   {"a100", -1},
        {"bfff", -1},      {"c000", -1},      {"f4", 1},       {"f5", 1},
        {"f6", 1},         {"f7", -1},        {"f800", -1},    {"f90000", -1},
        {"fb0000000000000000", -1},           {"ff", -1},      {"1c", -1},
        {"", -1},          {"8181818100", 5}, {"818181818100", -1}, /* too deep */
        {"9bffffffffffffffff", -1},           {"bb8000000000000000", -1}, /* no memory for that */
        {"5bffffffffffffffff", -1},           {"9a00ffffff", -1},
    };
    for (size_t i = 0; i < COUNT(items); i++) {
        str bytes;
        size_t used = 0;
        assert_int_equal(hex_decode(a, str_from(items[i].hex), &bytes), OK);
        enum err e = webauthn_cbor(bytes, &used);
        if ((e == OK ? (int)used : -1) != items[i].used)
            fail_msg("%s: %d, %zu used", items[i].hex, e, used);
    }
}

/* ---- numbers and gateways ---- */

static void mya_08_numbers_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *number; /* NULL: refused */
    } numbers[] = {
        {"+46701234567", "+46701234567"},        {" +46 70-123 45 67 ", "+46701234567"},
        {"0046 (70) 123.45.67", "+46701234567"}, {"+4670/1234567", "+46701234567"},
        {"0701234567", NULL},                    {"46701234567", NULL},
        {"+0701234567", NULL},                   {"000701234567", NULL},
        {"+4670123", NULL},                      {"+461234567890123", "+461234567890123"},
        {"+4612345678901234", NULL},             {"+46701234567x", NULL},
        {"++46701234567", NULL},                 {"+46701234567;ext=1", NULL},
        {"", NULL},                              {"+", NULL},
    };
    for (size_t i = 0; i < COUNT(numbers); i++) {
        str out = {NULL, 0};
        bool fine = sms_number(a, str_from(numbers[i].typed), &out) == OK;
        if (fine != (numbers[i].number != NULL) || (fine && !str_is(out, numbers[i].number)))
            fail_msg("\"%s\" gives %.*s", numbers[i].typed, STR_FMT(out));
    }
    assert_true(sms_prefix_ok(STR("+46701234567"), STR("+45 +46")));
    assert_true(sms_prefix_ok(STR("+358401234567"), STR("+358")));
    assert_false(sms_prefix_ok(STR("+35401234567"), STR("+358 +46")));
    assert_false(sms_prefix_ok(STR("+46701234567"), STR("")));
    assert_false(sms_prefix_ok(STR("+46701234567"), STR("+ ")));
}

static void gateways_that_are_refused(void **state)
{
    (void)state;
    static const char *const fine[] = {"https://AC1:t0ken@api.twilio.com?from=+46700000000",
                                       "https://AC1:t0ken@api.twilio.com:8443/sub?from=%2B46700000000",
                                       "http://AC1:t0ken@127.0.0.1:8?from=Example", "http://AC1:t0ken@localhost?from=Example",
                                       "file:/tmp/x", ""};
    static const char *const wrong[] = {"https://api.twilio.com?from=+46700000000", "https://AC1@h?from=+46700000000",
                                        "https://AC1:t@h", "https://AC1:t@h?to=x", "https://AC1:t@?from=X",
                                        "http://AC1:t@h.example?from=X", "http://AC1:t@127.0.0.1.evil.example?from=X", "https://AC1:t@h?from=TwelveLetters",
                                        "https://A C:t@h?from=X", "https://AC1:@h?from=X",
                                        "https://AC1:t@h h?from=X", "https://AC1:t\n@h?from=X", "smtp://x", "file:", "x"};
    for (size_t i = 0; i < COUNT(fine); i++)
        assert_null(sms_wrong_target(a, str_from(fine[i])));
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (sms_wrong_target(a, str_from(wrong[i])) == NULL)
            fail_msg("taken: %s", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mya_10_rfc_6238_vectors, up, down),
        cmocka_unit_test_setup_teardown(mya_10_rfc_4226_vectors, up, down),
        cmocka_unit_test_setup_teardown(codes_that_are_none, up, down),
        cmocka_unit_test_setup_teardown(what_the_app_reads, up, down),
        cmocka_unit_test_setup_teardown(webauthn_as_another_implementation_has_it, up, down),
        cmocka_unit_test_setup_teardown(webauthn_no_cut_and_no_flipped_bit_is_taken, up, down),
        cmocka_unit_test_setup_teardown(cbor_that_is_strict, up, down),
        cmocka_unit_test_setup_teardown(mya_08_numbers_as_people_write_them, up, down),
        cmocka_unit_test_setup_teardown(gateways_that_are_refused, up, down),
    };
    return cmocka_run_group_tests_name("factors", tests, NULL, NULL);
}
