/* Who signed it? The provider's events and app stores' purchases, against what other programs signed and judged
 * (tests/vectors/store.json, made by tests/store/vectors.mjs). */
#include "features/purchases/model.h"
#include "features/purchases/stripe.h"
#include "features/purchases/stripe_read.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <sodium.h>

#include "base/file.h"
#include "base/json.h"

static struct arena *a;
static json_t *vectors;
static struct app_stores stores;
static char dir[64];

static int up(void **state)
{
    (void)state;
    str text;
    struct fault f = {0};
    a = arena_new(256 << 20);
    if (sodium_init() < 0 || file_read(a, str_fmt(a, "%s/tests/vectors/store.json", getenv("TROTH_SOURCE")).p, 1 << 20, &text, &f) != OK)
        return 1;
    snprintf(dir, sizeof dir, "/tmp/troth-purchases-XXXXXX");
    if (mkdtemp(dir) == NULL || json_decode(text, &vectors, &f) != OK)
        return 1;
    const json_t *play = json_object_get(vectors, "play"), *apple = json_object_get(vectors, "apple");
    str root;
    if (base64_decode(a, json_get_str(apple, "root"), &root) != OK || file_write(str_fmt(a, "%s/root.der", dir).p, root, 0600, &f) != OK)
        return 1;
    str yaml = str_fmt(a, "google_play:\n  %.*s: %.*s\napp_store:\n  root: root.der\n  bundles: [%.*s]\n", STR_FMT(json_get_str(play, "package")),
                       STR_FMT(json_get_str(play, "key")), STR_FMT(json_get_str(apple, "bundle")));
    if (app_stores_read(a, yaml, dir, &stores, &f) != OK)
        fprintf(stderr, "%s\n", f.text);
    return f.code != OK;
}

static int down(void **state)
{
    (void)state;
    char command[128];
    json_decref(vectors);
    arena_free(&a);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

/* ---- the provider's events ---- */

/* Fails if one of Stripe's signatures is judged otherwise than Stripe's own package does. */
static void mya_29_signatures_as_the_official_package_has_them(void **state)
{
    (void)state;
    const json_t *s = json_object_get(vectors, "stripe"), *list = json_object_get(s, "events");
    moment now = json_get_int(s, "now") * MOMENT_SECOND;
    size_t i, right = 0;
    json_t *x;
    json_array_foreach(list, i, x)
    {
        struct fault f = {0};
        bool fine = stripe_signature(json_get_str(s, "secret"), json_get_str(x, "header"), json_get_str(x, "body"), now, &f) == OK;
        if (fine != json_get_bool(x, "right"))
            fail_msg("%s: %s", str_cstr(a, json_get_str(x, "name")), fine ? "taken" : f.text);
        right += fine;
    }
    assert_true(right >= 4 && i > 2 * right);
}

/* Fails if a signature holds with any character of it changed, with no secret set, or far in the future. */
static void mya_29_nothing_but_the_signature_itself(void **state)
{
    (void)state;
    const json_t *s = json_object_get(vectors, "stripe"), *x = json_array_get(json_object_get(s, "events"), 0);
    moment now = json_get_int(s, "now") * MOMENT_SECOND;
    str secret = json_get_str(s, "secret"), header = json_get_str(x, "header"), body = json_get_str(x, "body");
    struct fault f = {0};
    for (size_t i = 0; i < header.n; i++) {
        char *changed = str_cstr(a, header);
        changed[i] = changed[i] == '1' ? '2' : '1';
        if (strcmp(changed, str_cstr(a, header)) != 0)
            assert_int_not_equal(stripe_signature(secret, str_from(changed), body, now, &f), OK);
    }
    assert_int_equal(stripe_signature((str){NULL, 0}, header, body, now, &f), ERR_DENIED);
    assert_int_equal(stripe_signature(STR("  "), header, body, now, &f), ERR_DENIED);
    assert_int_equal(stripe_signature(secret, header, body, now - STRIPE_TOLERANCE - MOMENT_SECOND, &f), ERR_DENIED);
    /* While a secret is rolled, there are two. */
    str both = str_fmt(a, "%.*s %.*s", STR_FMT(json_get_str(s, "other")), STR_FMT(secret));
    assert_int_equal(stripe_signature(both, header, body, now, &f), OK);
}

/* Fails if more of a card is read than expiry and last four. */
static void mya_29_expiry_and_last_four_and_no_more(void **state)
{
    (void)state;
    const json_t *x = json_array_get(json_object_get(json_object_get(vectors, "stripe"), "events"), 0);
    struct arena *own = arena_new(1 << 20);
    struct store_event e;
    struct fault f = {0};
    assert_int_equal(stripe_event(own, json_get_str(x, "body"), &e, &f), OK);
    assert_int_equal(e.kind, EVENT_CARD);
    assert_true(str_is(e.ending, "4242") && str_is(e.expiry, "2031-03") && str_is(e.customer, "cus_Vector0001") && str_is(e.method, "pm_1PgCard0001"));
    assert_true(str_is(e.id, "evt_1PgVectors0001") && e.user.n == 0 && e.proof.n == 0);
    size_t used = arena_used(own);
    assert_true(used < 1024); /* the event is longer: it is not kept */
    arena_free(&own);
}

static struct store_event event_of(const char *type, const char *object, const char *more)
{
    struct store_event e;
    struct fault f = {0};
    str text = str_fmt(a, "{\"id\":\"evt_1\",\"object\":\"event\",\"created\":1800000000,\"type\":\"%s\",\"data\":{\"object\":%s%s}}", type, object, more);
    if (stripe_event(a, text, &e, &f) != OK)
        fail_msg("%s: %s", type, f.text);
    return e;
}

/* Fails if an event is taken for what it is not. */
static void mya_34_what_events_mean(void **state)
{
    (void)state;
    static const char card[] = "{\"id\":\"pm_1\",\"object\":\"payment_method\",\"type\":\"%s\",\"customer\":%s,\"card\":{\"last4\":\"%s\",\"exp_month\":%d,\"exp_year\":2030}}";
    assert_int_equal(event_of("payment_method.attached", str_fmt(a, card, "card", "\"cus_1\"", "4242", 12).p, "").kind, EVENT_CARD);
    assert_int_equal(event_of("payment_method.attached", str_fmt(a, card, "card", "\"cus_1\"", "42424242", 12).p, "").kind, EVENT_OTHER);
    assert_int_equal(event_of("payment_method.attached", str_fmt(a, card, "card", "\"cus_1\"", "42a2", 12).p, "").kind, EVENT_OTHER);
    assert_int_equal(event_of("payment_method.attached", str_fmt(a, card, "card", "\"cus_1\"", "4242", 13).p, "").kind, EVENT_OTHER);
    assert_int_equal(event_of("payment_method.attached", str_fmt(a, card, "sepa_debit", "\"cus_1\"", "4242", 12).p, "").kind, EVENT_OTHER);
    assert_int_equal(event_of("payment_method.attached", str_fmt(a, card, "card", "null", "4242", 12).p, "").kind, EVENT_OTHER);
    assert_int_equal(event_of("payment_method.detached", str_fmt(a, card, "card", "null", "4242", 12).p, ",\"previous_attributes\":{\"customer\":\"cus_1\"}").kind,
                     EVENT_CARD_GONE);
    assert_int_equal(event_of("customer.deleted", "{\"id\":\"cus_1\",\"object\":\"customer\"}", "").kind, EVENT_CUSTOMER_GONE);
    assert_int_equal(event_of("invoice.paid", "{\"id\":\"in_1\"}", "").kind, EVENT_OTHER);
    static const char pay[] = "{\"id\":\"pi_1\",\"object\":\"%s\",\"amount\":49900,\"currency\":\"sek\",\"created\":1800000000,\"status\":\"%s\",\"refunded\":%s,"
                              "\"metadata\":{\"user\":\"u\",\"order\":\"o\",\"product\":\"p\",\"proof\":\"%s\"}}";
    struct store_event e = event_of("payment_intent.succeeded", str_fmt(a, pay, "payment_intent", "succeeded", "false", "x").p, "");
    assert_true(e.kind == EVENT_PAYMENT && e.payment.state == PAYMENT_PAID && e.payment.amount == 49900 && str_is(e.payment.currency, "SEK"));
    assert_int_equal(event_of("payment_intent.succeeded", str_fmt(a, pay, "payment_intent", "succeeded", "false", "").p, "").kind, EVENT_OTHER);
    e = event_of("charge.refunded", str_fmt(a, pay, "charge", "succeeded", "true", "x").p, "");
    assert_true(e.kind == EVENT_PAYMENT && e.payment.state == PAYMENT_REFUNDED);
    /* A part of it: the license stays. */
    assert_int_equal(event_of("charge.refunded", str_fmt(a, pay, "charge", "succeeded", "false", "x").p, "").kind, EVENT_OTHER);
}

/* ---- app stores ---- */

static void verify_all(const json_t *of)
{
    static const char *const states[] = {"purchased", "pending", "refunded"};
    const json_t *list = json_object_get(of, "cases");
    moment now = json_get_int(of, "now") * MOMENT_SECOND;
    size_t i, right = 0;
    json_t *x;
    json_array_foreach(list, i, x)
    {
        struct fault f = {0};
        struct signed_purchase p = {.item = STR("untouched")};
        const char *name = str_cstr(a, json_get_str(x, "name"));
        enum err e = signed_verify(&stores, a, json_get_str(x, "text"), now, &p, &f);
        if ((e == OK) != json_get_bool(x, "right"))
            fail_msg("%s: %s", name, e == OK ? "taken" : f.text);
        if (e != OK && (e != ERR_DENIED || !str_is(p.item, "untouched")))
            fail_msg("%s: refused otherwise", name);
        if (e == OK && (!str_is(json_get_str(x, "state"), states[p.state]) || !str_is(p.item, "total_security_1y") ||
                        !str_is(p.package, "com.example.totalsecurity")))
            fail_msg("%s: read otherwise", name);
        right += e == OK;
    }
    assert_true(right >= 3 && i >= 10 && right < i);
}

/* Fails if data that Google Play did not sign is believed, or data that it did is not. */
static void wps_23_google_play(void **state)
{
    (void)state;
    verify_all(json_object_get(vectors, "play"));
}

/* Fails if a chain that does not lead to our root, or is not for receipts, is believed. */
static void wps_23_app_store(void **state)
{
    (void)state;
    verify_all(json_object_get(vectors, "apple"));
}

/* Fails if any byte of the JWS can be another. */
static void wps_23_every_byte_of_a_jws_counts(void **state)
{
    (void)state;
    const json_t *apple = json_object_get(vectors, "apple");
    str text = json_get_str(json_array_get(json_object_get(apple, "cases"), 0), "text");
    moment now = json_get_int(apple, "now") * MOMENT_SECOND;
    struct arena *own = arena_new(64 << 20);
    for (size_t i = 0; i < text.n; i += 7) {
        struct fault f = {0};
        struct signed_purchase p;
        char *changed = str_cstr(own, text);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_not_equal(jws_verify(&stores, own, str_from(changed), now, &p, &f), OK);
        arena_reset(own);
    }
    arena_free(&own);
}

/* Fails if a store that is not configured is believed all the same, or a weak key is taken. */
static void wps_23_whom_to_believe(void **state)
{
    (void)state;
    static const struct app_stores nobody;
    struct app_stores out;
    struct fault f = {0};
    struct signed_purchase p;
    static const char *const kinds[] = {"play", "apple"};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        const json_t *x = json_array_get(json_object_get(json_object_get(vectors, kinds[i]), "cases"), 0);
        assert_int_equal(signed_verify(&nobody, a, json_get_str(x, "text"), INT64_MAX / 4, &p, &f), ERR_DENIED);
    }
    static const char *const wrong[] = {
        "google_play:\n  com.example: AAAA\n", "google_play: yes\n", "app_store:\n  bundles: [x]\n", "app_store:\n  root: absent.pem\n  bundles: [x]\n",
        "amazon: {}\n", "app_store:\n  root: root.der\n  bundle: x\n",
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        fault_clear(&f);
        if (app_stores_read(a, str_from(wrong[i]), dir, &out, &f) == OK)
            fail_msg("taken: %s", wrong[i]);
    }
    /* 1024 bits */
    static const char weak[] = "google_play:\n  com.example: MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDE0IRq9oSOFSb2BoaoFJj+vwlkqkCyxV2FMcvScgo8cnfg6IvAGopy8k3oD5M689oSRJ43"
                               "wt3QVayCGeSqA2Alo8sHfengUDRaFTj8zgiWffwIdRgtAdQAb6Zyy3NMxLviHZ9Mq+mpKycJzgzlsoVbE49gF6sYdKQimBo5X51R+wIDAQAB\n";
    assert_int_equal(app_stores_read(a, str_from(weak), dir, &out, &f), ERR_INPUT);
}

/* ---- where the store is ---- */

/* Fails if a key could go somewhere unprotected, or a setting that is none is taken. */
static void sec_the_store_is_reached_by_https_only(void **state)
{
    (void)state;
    static const char *const good[] = {"", "https://rk_live_1A@api.stripe.com", "https://rk_1A:@api.stripe.com/", "http://rk_1@127.0.0.1:21300",
                                       "http://rk_1@localhost", "http://rk_1@[::1]:80"};
    static const char *const bad[] = {"https://api.stripe.com", "http://rk_1@api.stripe.com", "http://rk_1@127.0.0.1.example.com", "ftp://rk_1@x",
                                      "https://rk-1@x", "https://rk_1@", "https://rk_1@a b", "https://a:b@x", "https://rk_1@x/path"};
    for (size_t i = 0; i < COUNT(good); i++)
        if (store_wrong_target(a, str_from(good[i])))
            fail_msg("%s: %s", good[i], store_wrong_target(a, str_from(good[i])));
    for (size_t i = 0; i < COUNT(bad); i++)
        if (store_wrong_target(a, str_from(bad[i])) == NULL)
            fail_msg("taken: %s", bad[i]);
    assert_null(store_wrong_secret(a, STR("whsec_1 whsec_2")));
    assert_null(store_wrong_secret(a, STR("file:/etc/x")));
    assert_non_null(store_wrong_secret(a, STR("secret")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mya_29_signatures_as_the_official_package_has_them),
        cmocka_unit_test(mya_29_nothing_but_the_signature_itself),
        cmocka_unit_test(mya_29_expiry_and_last_four_and_no_more),
        cmocka_unit_test(mya_34_what_events_mean),
        cmocka_unit_test(wps_23_google_play),
        cmocka_unit_test(wps_23_app_store),
        cmocka_unit_test(wps_23_every_byte_of_a_jws_counts),
        cmocka_unit_test(wps_23_whom_to_believe),
        cmocka_unit_test(sec_the_store_is_reached_by_https_only),
    };
    return cmocka_run_group_tests(tests, up, down);
}
