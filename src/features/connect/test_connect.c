/* The declared protocol: that its document is read as it must be, and that messages are held against it. */
#include "features/connect/document.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/file.h"

static struct arena *a;
static struct fault fault;
static struct document *document;

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        if ((expr) != OK)                                                                          \
            fail_msg("%s: %s", #expr, fault.text);                                                 \
    } while (0)

static str own_text(void)
{
    str text;
    const char *path = str_fmt(a, "%s/src/features/connect/openapi.yaml", getenv("TROTH_SOURCE")).p;
    assert_ok(file_read(a, path, 1 << 20, &text, &fault));
    return text;
}

static int up(void **state)
{
    (void)state;
    a = arena_new(128 << 20);
    fault_clear(&fault);
    return document_read(a, own_text(), &document, &fault) == OK ? 0 : (fprintf(stderr, "%s\n", fault.text), 1);
}

static int down(void **state)
{
    (void)state;
    document_free(&document);
    arena_free(&a);
    return 0;
}

/* ---- the list ---- */

/* Fails if the statement's list has another number of fields than 32 bullets, 41 leaves, 40 distinct, or if an
 * operation takes a leaf that is not one of them. */
static void wpf_01_wpf_32_wps_09_forty_one_leaves(void **state)
{
    (void)state;
    int bullets[BULLETS + 1] = {0}, distinct = 0;
    assert_int_equal(document->n_leaves, LEAVES);
    for (size_t i = 0; i < document->n_leaves; i++) {
        bool first = true;
        bullets[document->leaves[i].bullet]++;
        for (size_t k = 0; k < i; k++)
            first &= strcmp(document->leaves[k].schema, document->leaves[i].schema) != 0;
        distinct += first;
    }
    assert_int_equal(distinct, LEAVES_DISTINCT);
    for (int i = 1; i <= BULLETS; i++)
        assert_int_equal(bullets[i], i == 20 ? 5 : i == 21 ? 6 : 1);
}

static const char *replaced(str text, const char *from, const char *to)
{
    const char *at = strstr(text.p, from);
    if (at == NULL)
        fail_msg("openapi.yaml has no %s", from);
    return str_fmt(a, "%.*s%s%s", (int)(at - text.p), text.p, to, at + strlen(from)).p;
}

static void refused_with(const char *from, const char *to, const char *why)
{
    struct document *d = NULL;
    fault_clear(&fault);
    enum err e = document_read(a, str_from(replaced(own_text(), from, to)), &d, &fault);
    if (e != ERR_INPUT || strstr(fault.text, why) == NULL)
        fail_msg("%s -> %s: %s", from, to, e == OK ? "it starts" : fault.text);
}

/* Fails if one leaf more, a word that is not known, a message that takes what is not listed, or a field without
 * a limit let the program start. */
static void wps_09_a_document_that_is_not_strict_does_not_start(void **state)
{
    (void)state;
    refused_with("    opaque:  ", "    shoe_size: {x-wpf: [WPF-20], type: string, maxLength: 3}\n    opaque:  ", "42 leaves");
    refused_with("minLength: 3, maxLength: 254}", "minLength: 3, maxLength: 254, multipleOf: 2}", "multipleOf");
    refused_with("additionalProperties: false\n      properties:\n        context:", "properties:\n        context:", "not listed");
    refused_with("network_name:          {x-wpf: [WPF-20], type: string, minLength: 1, maxLength: 100, x-max-bytes: 100}",
                 "network_name:          {x-wpf: [WPF-20], type: string}", "no limit");
    refused_with("pattern: \"^[A-Z][A-Z]$\"", "pattern: \"[A-Z][A-Z]\"", "pattern");
    refused_with("required: [context, captcha_type]", "required: [context, captcha_sort]", "required");
    refused_with("$ref: \"#/components/schemas/acceptance\"", "$ref: \"#/components/schemas/acceptation\"", "refers to nothing");
}

/* ---- messages ---- */

static char told[2000];

static void tell(void *arg, str name, const char *why)
{
    (void)arg;
    size_t n = strlen(told);
    snprintf(told + n, sizeof told - n, "%s%.*s:%s", n ? " " : "", STR_FMT(name), why + sizeof "problem.field-" - 1);
}

static const struct operation *operation(const char *name)
{
    for (size_t i = 0; i < document->n_operations; i++)
        if (strcmp(document->operations[i].id, name) == 0)
            return &document->operations[i];
    fail_msg("no operation %s", name);
    return NULL;
}

static const char *check(const char *name, const char *message)
{
    CLEANUP(json_done) json_t *j = NULL;
    assert_ok(json_decode(str_from(message), &j, &fault));
    told[0] = '\0';
    shape_check(operation(name)->message, a, (str){NULL, 0}, j, tell, NULL);
    return told;
}

#define ID26 "abcdefghjkmnpqrstvwxyz0123"

static const char report[] =
    "{\"device_id\":\"" ID26 "\",\"application_instance_id\":\"" ID26 "\",\"application_id\":\"troth-agent\","
    "\"application_version\":\"1.2.3\",\"application_locale\":\"sv-SE\",\"binding_id\":\"" ID26 "\","
    "\"device\":{\"device_id\":\"" ID26 "\",\"network_name\":\"köket\",\"type\":\"laptop\",\"os_type\":\"Debian\",\"os_version\":\"12\"},"
    "\"license\":{\"type\":\"none\",\"status\":\"none\",\"service_information\":{\"databases\":3,\"on\":true,\"word\":\"x\"},"
    "\"activation_error\":\"\",\"expires\":null,\"features\":[\"scan\"]}}";

static const char *report_with(const char *from, const char *to)
{
    return check("report", replaced(str_from(report), from, to));
}

/* Fails if a report with a field that is missing, unknown, of another type, too long or of another form passes,
 * or if one that is as it should be does not. */
static void wps_09_wps_21_each_kind_of_wrong_is_named(void **state)
{
    (void)state;
    assert_string_equal(check("report", report), "");
    assert_string_equal(report_with("\"laptop\"", "\"toaster\""), "device.type:choice");
    assert_string_equal(report_with("\"laptop\"", "7"), "device.type:type");
    assert_string_equal(report_with("\"os_type\":\"Debian\",", ""), "device.os_type:missing");
    assert_string_equal(report_with("\"os_type\"", "\"serial\""), "device.serial:unknown device.os_type:missing");
    assert_string_equal(report_with("\"köket\"", "\"\""), "device.network_name:short");
    assert_string_equal(report_with("\"köket\"", "\"a\\nb\""), "device.network_name:pattern");
    assert_string_equal(report_with("\"1.2.3\"", "\"x1\""), "application_version:pattern");
    assert_string_equal(report_with("\"sv-SE\"", "\"sv_SE\""), "application_locale:pattern");
    assert_string_equal(report_with("null", "\"yesterday\""), "license.expires:time");
    assert_string_equal(report_with("null", "\"2027-01-31T00:00:00Z\""), "");
    assert_string_equal(report_with("true", "{\"deep\":1}"), "license.service_information.on:type");
    assert_string_equal(report_with("[\"scan\"]", "[\"scan\",3]"), "license.features:type");
    char many[40 * 5 + 40] = "[\"a\"";
    for (int i = 0; i < 40; i++)
        strcat(many, ",\"a\"");
    strcat(many, "]");
    assert_string_equal(report_with("[\"scan\"]", many), "license.features:long");
    /* 51 letters of two bytes are no more than 100 characters, and more than 100 bytes. */
    char wide[51 * 2 + 3] = "\"";
    for (int i = 0; i < 51; i++)
        strcat(wide, "ö");
    strcat(wide, "\"");
    assert_string_equal(report_with("\"köket\"", wide), "device.network_name:long");
    assert_string_equal(check("disconnect", "{\"binding_id\":\"" ID26 "\",\"choice\":\"maybe\"}"), "choice:choice");
    assert_string_equal(check("reportPosition", "{\"latitude\":90.5,\"longitude\":-181,\"accuracy\":\"3\"}"),
                        "latitude:range longitude:range accuracy:type");
    assert_string_equal(check("commandDone", "{\"\":1}"), ":unknown");
}

/* Fails if the size of a group in bytes is not looked at: each of its members may be allowed, and all of them not. */
static void wps_09_a_group_has_a_limit_of_its_own(void **state)
{
    (void)state;
    struct buf b = buf_new(a, 8000);
    buf_char(&b, '{');
    for (int i = 0; i < 8; i++)
        buf_fmt(&b, "%s\"k%d\":\"%0150d\"", i ? "," : "", i, 0);
    buf_char(&b, '}');
    assert_string_equal(report_with("{\"databases\":3,\"on\":true,\"word\":\"x\"}", str_cstr(a, buf_str(&b))),
                        "license.service_information:long");
}

/* Fails if a secret is not marked as one: what is marked is in no digest of an idempotent message. */
static void wps_25_secrets_are_marked(void **state)
{
    (void)state;
    assert_true(shape_is_secret(operation("signIn")->message, "password"));
    assert_true(shape_is_secret(operation("signIn")->message, "captcha_reply"));
    assert_true(shape_is_secret(operation("proveSecondFactor")->message, "one_time_password"));
    assert_true(shape_is_secret(operation("connectAutomatically")->message, "connection_password"));
    assert_false(shape_is_secret(operation("signIn")->message, "email"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wpf_01_wpf_32_wps_09_forty_one_leaves),
        cmocka_unit_test(wps_09_a_document_that_is_not_strict_does_not_start),
        cmocka_unit_test(wps_09_wps_21_each_kind_of_wrong_is_named),
        cmocka_unit_test(wps_09_a_group_has_a_limit_of_its_own),
        cmocka_unit_test(wps_25_secrets_are_marked),
    };
    return cmocka_run_group_tests_name("connect", tests, up, down);
}
