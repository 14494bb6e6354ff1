/*
 * text: templates against the official specification and against hostile values, translations,
 * formats.
 */
#include "base/codec.h"
#include "base/file.h"
#include "text/fold.h"
#include "text/mo.h"
#include "text/template.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct arena *a;
static struct fault fault;
static struct formats *formats;
static struct locale english, swedish;

static int up(void **state)
{
    (void)state;
    a = arena_new(256 << 20);
    fault_clear(&fault);
    formats = formats_new();
    english = (struct locale){0, "en", "Europe/Stockholm", formats};
    swedish = (struct locale){1, "sv", "Europe/Stockholm", formats};
    return 0;
}

static int down(void **state)
{
    (void)state;
    formats_free(&formats);
    arena_free(&a);
    return 0;
}

#define assert_str(s, expected)                                                                    \
    do {                                                                                           \
        str assert_s_ = (s);                                                                       \
        assert_string_equal(str_cstr(a, assert_s_), (expected));                                   \
    } while (0)

/* ---- the official specification ---- */

static int run_spec_file(const char *name, int *failed)
{
    const char *dir = getenv("MUSTACHE_SPEC");
    str text;
    CLEANUP(json_done) json_t *file = NULL;
    assert_non_null(dir);
    assert_int_equal(file_read(a, str_cstr(a, str_fmt(a, "%s/%s", dir, name)), 1 << 20, &text, &fault), OK);
    assert_int_equal(json_decode(text, &file, &fault), OK);
    const json_t *tests = json_object_get(file, "tests"), *test;
    size_t i;
    json_array_foreach(tests, i, test)
    {
        fault_clear(&fault);
        struct template_set *s = template_set_new(a, TEMPLATE_SPEC, NULL);
        const char *partial;
        json_t *source;
        json_object_foreach(json_object_get(test, "partials"), partial, source)
            template_add(s, str_from(partial), json_str(source));
        template_add(s, STR("__main"), json_get_str(test, "template"));
        struct buf out = buf_new(a, 1 << 16);
        enum err e = template_compile(s, &fault);
        if (e == OK)
            e = template_render(s, STR("__main"), json_object_get(test, "data"), &english, &out, &fault);
        if (e != OK || !str_eq(buf_str(&out), json_get_str(test, "expected"))) {
            printf("%s, %s: %s\n  template %s\n  expected %s\n  got      %s\n", name,
                   json_string_value(json_object_get(test, "name")), fault.text,
                   json_dumps(json_object_get(test, "template"), JSON_ENCODE_ANY),
                   json_dumps(json_object_get(test, "expected"), JSON_ENCODE_ANY),
                   json_dumps(json_stringn(buf_str(&out).n ? buf_str(&out).p : "", buf_str(&out).n), JSON_ENCODE_ANY));
            ++*failed;
        }
    }
    return (int)json_array_size(tests);
}

/* Fails if any of the 136 core cases or the 27 of inheritance renders otherwise. */
static void the_official_mustache_cases(void **state)
{
    (void)state;
    static const char *const core[] = {"comments.json", "delimiters.json", "interpolation.json",
                                       "inverted.json", "partials.json", "sections.json"};
    int n = 0, failed = 0;
    for (size_t i = 0; i < COUNT(core); i++)
        n += run_spec_file(core[i], &failed);
    assert_int_equal(n, 136);
    n = run_spec_file("~inheritance.json", &failed);
    assert_int_equal(n, 27);
    assert_int_equal(failed, 0);
}

/* ---- our dialect ---- */

static const char po_en[] =
    "msgid \"\"\nmsgstr \"\"\n\"Content-Type: text/plain; charset=UTF-8\\n\"\n"
    "\"Plural-Forms: nplurals=2; plural=(n != 1);\\n\"\n\n"
    "msgid \"hello\"\nmsgstr \"Hello <{name}> & welcome\"\n\n"
    "msgid \"read\"\nmsgstr \"Read the [[policy|/privacy]] of {when|date} or [[this|{url}]].\"\n\n"
    "msgid \"devices\"\nmsgid_plural \"devices\"\nmsgstr[0] \"One device\"\nmsgstr[1] \"{count} devices\"\n\n"
    "msgid \"label\"\nmsgstr \"Say \\\"hi\\\"\"\n";
static const char po_sv[] =
    "msgid \"\"\nmsgstr \"\"\n\"Content-Type: text/plain; charset=UTF-8\\n\"\n"
    "\"Plural-Forms: nplurals=2; plural=(n != 1);\\n\"\n\n"
    "msgid \"hello\"\nmsgstr \"Hej <{name}> och välkommen\"\n\n"
    "msgid \"read\"\nmsgstr \"Läs [[policyn|/privacy]] från {when|date} eller [[denna|{url}]].\"\n\n"
    "msgid \"devices\"\nmsgid_plural \"devices\"\nmsgstr[0] \"En enhet\"\nmsgstr[1] \"{count} enheter\"\n\n"
    "msgid \"label\"\nmsgstr \"Säg \\\"hej\\\"\"\n";

static str msgfmt(const char *po)
{
    char dir[] = "/tmp/troth-text-XXXXXX", path[64], out[64], command[256];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x.po", dir);
    snprintf(out, sizeof out, "%s/x.mo", dir);
    assert_int_equal(file_write(path, str_from(po), 0600, &fault), OK);
    snprintf(command, sizeof command, "msgfmt -o %s %s", out, path);
    assert_int_equal(system(command), 0);
    str mo;
    assert_int_equal(file_read(a, out, 1 << 20, &mo, &fault), OK);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    return mo;
}

static struct catalog *catalog(void)
{
    static const char *const languages[] = {"en", "sv"};
    struct catalog *c = catalog_new(a, languages, 2);
    assert_int_equal(catalog_add(c, "en", msgfmt(po_en), false, &fault), OK);
    assert_int_equal(catalog_add(c, "sv", msgfmt(po_sv), false, &fault), OK);
    assert_int_equal(catalog_complete(c, &fault), OK);
    return c;
}

static enum err render(enum template_dialect d, const struct catalog *c, const struct locale *l,
                       const char *source, const char *view, str *out)
{
    CLEANUP(json_done) json_t *v = NULL;
    fault_clear(&fault);
    TRY(json_decode(str_from(view), &v, &fault));
    struct template_set *s = template_set_new(a, d, c);
    template_add(s, STR("t"), str_from(source));
    template_add(s, STR("part"), STR("({{x}})"));
    TRY(template_compile(s, &fault));
    struct buf b = buf_new(a, 1 << 16);
    TRY(template_render(s, STR("t"), v, l, &b, &fault));
    return buf_end(&b, out);
}

/* Fails if a value leaves the place where it stands. */
static void sec_06_values_are_escaped_by_place(void **state)
{
    (void)state;
    str out;
    static const struct {
        const char *source, *view, *expected;
    } cases[] = {
        {"<p>{{x}}</p>", "{\"x\":\"<script>\\\"'&\"}", "<p>&lt;script&gt;&quot;&#39;&amp;</p>"},
        {"<p title=\"{{x}}\">", "{\"x\":\"\\\" onclick='1\"}", "<p title=\"&quot; onclick=&#39;1\">"},
        {"<a href=\"/a/{{x}}?q={{y}}\">", "{\"x\":\"../b\",\"y\":\"1&z=å\"}",
         "<a href=\"/a/..%2Fb?q=1%26z%3D%C3%A5\">"},
        {"<a href=\"{{x}}\">", "{\"x\":\"/a?b=1&c=2\"}", "<a href=\"/a?b=1&amp;c=2\">"},
        {"<a href=\"{{x}}\">", "{\"x\":\"mailto:a@b.se\"}", "<a href=\"mailto:a@b.se\">"},
        {"<a href=\"{{x}}\">", "{\"x\":\"geo:59.3,18;u=20\"}", "<a href=\"geo:59.3,18;u=20\">"},
        {"<input {{#x}}checked{{/x}}>", "{\"x\":true}", "<input checked>"},
        {"<p>{{n}} {{f}}</p>", "{\"n\":-12,\"f\":1.21}", "<p>-12 1.21</p>"},
        {"<p>{{>part}}</p>", "{\"x\":\"<\"}", "<p>(&lt;)</p>"},
        {"<!-- a --><p>{{x}}</p>", "{\"x\":null}", "<!-- a --><p></p>"},
        {"<script src=\"/a.js\"></script><p>{{x}}</p>", "{\"x\":1}",
         "<script src=\"/a.js\"></script><p>1</p>"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (render(TEMPLATE_HTML, NULL, &english, cases[i].source, cases[i].view, &out) != OK)
            fail_msg("%s: %s", cases[i].source, fault.text);
        assert_str(out, cases[i].expected);
    }
    static const char *const urls[] = {"javascript:alert(1)", "//evil.example", "/\\\\evil.example",
                                       " javascript:1", "data:text/html,x", "JaVaScRiPt:1", ""};
    for (size_t i = 0; i < COUNT(urls); i++) {
        str view = str_fmt(a, "{\"x\":\"%s\"}", urls[i]);
        assert_int_equal(render(TEMPLATE_HTML, NULL, &english, "<a href=\"{{x}}\">", view.p, &out), ERR_INPUT);
    }
}

static void sec_06_unsafe_places_do_not_compile(void **state)
{
    (void)state;
    str out;
    static const char *const bad[] = {
        "<p>{{{x}}}</p>", "<p>{{&x}}</p>", "<p class={{x}}>", "<{{x}}>", "<p {{x}}>",
        "<p onclick=\"{{x}}\">", "<p style=\"{{x}}\">", "<script>{{x}}</script>",
        "<style>{{x}}</style>", "<p {{#x}}title=\"{{/x}}\">", "{{#x}}<p{{/x}}>", "<!-- {{x}} -->",
        "<p title='{{x}}'>", "<p {{>part}}>", "<p title=\"{{>part}}\">", "<p", "1 < 2",
        "<img srcset=\"{{x}}\">", "<p title=\"{{x}}",
        /* what browsers mend, and then read differently */
        "<script>1</scripty>{{x}}</script>", "<script><!--<script></script>{{x}}</script>",
        "<textarea><b title=\"</textarea>{{x}}\">", "<title>{{x}}", "<iframe>{{x}}</iframe>",
        "<!-- --!><b title=\"-->{{x}}\">",
        "<p title =\"a\" b=\"{{x}}\">", "<p a\"b=\"{{x}}\">", "<p =\"{{x}}\">", "</ a=\"{{x}}\">",
        "<a {{#x}}h{{/x}}ref=\"{{x}}\">", "<p{{#x}}re{{/x}}>{{x}}</p>",
        "<i {{#x}}><b {{/x}}title=\"{{x}}\">", "<!-- -{{#x}}-{{/x}}>{{x}}-->",
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        if (render(TEMPLATE_HTML, NULL, &english, bad[i], "{\"x\":1}", &out) != ERR_INPUT)
            fail_msg("compiled: %s", bad[i]);
}

static void an_absent_name_is_an_error(void **state)
{
    (void)state;
    str out;
    static const char *const sources[] = {"{{y}}", "{{#y}}{{/y}}", "{{^y}}{{/y}}", "{{x.y}}", "{{x}}"};
    for (size_t i = 0; i < COUNT(sources); i++)
        assert_int_equal(render(TEMPLATE_HTML, NULL, &english, sources[i], "{\"x\":{}}", &out), ERR_INPUT);
    assert_int_equal(render(TEMPLATE_SPEC, NULL, &english, "{{y}}", "{}", &out), OK);
    assert_int_equal(render(TEMPLATE_HTML, NULL, &english, "a\n{{y}}", "{}", &out), ERR_INPUT);
    assert_string_equal(fault.text, "t:2: the view has no y");
}

static void broken_templates_are_named(void **state)
{
    (void)state;
    str out;
    static const struct {
        const char *source, *says;
    } cases[] = {
        {"{{#a}}", "t:1: a does not end"},
        {"x\n{{/a}}", "t:2: a ends what did not begin"},
        {"{{#a}}{{/b}}{{/a}}", "t:1: b ends what did not begin"},
        {"{{a", "t:1: a tag that does not end"},
        {"{{}}", "t:1: a tag without a name"},
        {"{{a..b}}", "t:1: a..b is no name"},
        {"{{x|nonsense}}", "t:1: there is no format nonsense"},
        {"{{>nowhere}}", "t:1: there is no template nowhere"},
        {"{{_nothing}}", "t:1: there is no text nothing"},
        {"{{=a=}}", "t:1: these cannot be delimiters"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(render(TEMPLATE_HTML, catalog(), &english, cases[i].source, "{}", &out), ERR_INPUT);
        assert_string_equal(fault.text, cases[i].says);
    }
    struct template_set *s = template_set_new(a, TEMPLATE_SPEC, NULL);
    template_add(s, STR("t"), STR("{{>t}}"));
    assert_int_equal(template_compile(s, &fault), OK);
    struct buf b = buf_new(a, 1 << 16);
    assert_int_equal(template_render(s, STR("t"), json_null(), &english, &b, NULL), ERR_LIMIT);
}

/* Fails if a text is not in the reader's language, or its values are not escaped by place. */
static void gen_21_texts_in_both_languages(void **state)
{
    (void)state;
    struct catalog *c = catalog();
    str out;
    static const struct {
        const char *source, *view, *en, *sv;
    } cases[] = {
        {"<p>{{_hello}}</p>", "{\"name\":\"<A>\"}", "<p>Hello &lt;&lt;A&gt;&gt; &amp; welcome</p>",
         "<p>Hej &lt;&lt;A&gt;&gt; och v\xc3\xa4lkommen</p>"},
        {"<p title=\"{{_label}}\">", "{}", "<p title=\"Say &quot;hi&quot;\">",
         "<p title=\"S\xc3\xa4g &quot;hej&quot;\">"},
        {"{{_read}}", "{\"when\":\"2026-01-31T23:30:00Z\",\"url\":\"/a?b&c\"}",
         "Read the <a href=\"/privacy\">policy</a> of 1 February 2026 or <a href=\"/a?b&amp;c\">this</a>.",
         "L\xc3\xa4s <a href=\"/privacy\">policyn</a> fr\xc3\xa5n 1 februari 2026 eller <a href=\"/a?b&amp;c\">denna</a>."},
        {"{{_devices}}", "{\"count\":1}", "One device", "En enhet"},
        {"{{_devices}}", "{\"count\":0}", "0 devices", "0 enheter"},
        {"{{_*k}}", "{\"k\":\"devices\",\"count\":2}", "2 devices", "2 enheter"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (render(TEMPLATE_HTML, c, &english, cases[i].source, cases[i].view, &out) != OK)
            fail_msg("%s", fault.text);
        assert_str(out, cases[i].en);
        assert_int_equal(render(TEMPLATE_HTML, c, &swedish, cases[i].source, cases[i].view, &out), OK);
        assert_str(out, cases[i].sv);
    }
    assert_int_equal(render(TEMPLATE_HTML, c, &english, "<a title=\"{{_read}}\">",
                            "{\"when\":\"\",\"url\":\"/\"}", &out), ERR_INPUT);
    assert_int_equal(render(TEMPLATE_HTML, c, &english, "{{_hello}}", "{}", &out), ERR_INPUT);
    assert_int_equal(render(TEMPLATE_PLAIN, c, &english, "{{_hello}} {{_read}}",
                            "{\"name\":\"<A>\",\"when\":\"2026-01-01T00:00:00Z\",\"url\":\"https://x\"}", &out), OK);
    assert_str(out, "Hello <<A>> & welcome Read the policy (/privacy) of 1 January 2026 or this (https://x).");
    CLEANUP(json_done) json_t *values = json_object();
    json_put_str(values, "name", STR("A"));
    assert_str(catalog_text(c, &swedish, a, "hello", values), "Hej <A> och v\xc3\xa4lkommen");
}

static void a_missing_translation_is_found(void **state)
{
    (void)state;
    static const char *const languages[] = {"en", "sv"};
    struct catalog *c = catalog_new(a, languages, 2);
    assert_int_equal(catalog_add(c, "en", msgfmt(po_en), false, &fault), OK);
    assert_int_equal(catalog_add(c, "sv", msgfmt("msgid \"hello\"\nmsgstr \"Hej {name}\"\n"), false, &fault), OK);
    assert_int_equal(catalog_complete(c, &fault), ERR_CONFLICT);
    assert_non_null(strstr(fault.text, "has no text in language sv"));
    fault_clear(&fault);
    assert_int_equal(catalog_add(c, "sv", msgfmt("msgid \"hello\"\nmsgstr \"Hej {name\"\n"), true, &fault), ERR_INPUT);
    fault_clear(&fault);
    assert_int_equal(catalog_add(c, "en", msgfmt(po_en), false, &fault), ERR_CONFLICT);
}

static void languages_are_negotiated(void **state)
{
    (void)state;
    struct catalog *c = catalog();
    static const struct {
        const char *header;
        int language;
    } cases[] = {
        {"", 0}, {"sv", 1}, {"sv-SE,sv;q=0.9,en;q=0.8", 1}, {"en-GB,sv;q=0.9", 0}, {"de,fr;q=0.5", 0},
        {"de, sv;q=0.1", 1}, {"en;q=0.2, SV;q=0.3", 1}, {"sv;q=0, en;q=0.1", 0}, {"sv;q=x", 0}, {",,,;;;", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(catalog_negotiate(c, str_from(cases[i].header)), cases[i].language);
}

static void plural_forms_are_evaluated(void **state)
{
    (void)state;
    struct plural p;
    assert_int_equal(plural_parse(STR("nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && "
                                      "(n%100<10 || n%100>=20) ? 1 : 2);"), &p), OK);
    static const struct {
        int n, form;
    } polish[] = {{1, 0}, {2, 1}, {5, 2}, {12, 2}, {22, 1}, {25, 2}, {112, 2}, {0, 2}};
    for (size_t i = 0; i < COUNT(polish); i++)
        assert_int_equal(plural_choose(&p, polish[i].n), polish[i].form);
    static const char *const bad[] = {"", "nplurals=2", "nplurals=2; plural=", "nplurals=2; plural=n+;",
                                      "nplurals=0; plural=0;", "nplurals=2; plural=(n;", "nplurals=2; plural=m;"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(plural_parse(str_from(bad[i]), &p), ERR_INPUT);
    assert_int_equal(plural_parse(STR("nplurals=2; plural=n/0;"), &p), OK);
    assert_int_equal(plural_choose(&p, 5), 0);
    assert_int_equal(plural_parse(STR("nplurals=2; plural=n;"), &p), OK);
    assert_int_equal(plural_choose(&p, 1000), 1);
}

static void damaged_mo_files_are_refused(void **state)
{
    (void)state;
    static const char *const languages[] = {"en"};
    str whole = msgfmt(po_en);
    for (size_t n = 0; n < whole.n; n++) {
        struct catalog *c = catalog_new(a, languages, 1);
        enum err ignored = catalog_add(c, "en", str_dup(a, str_head(whole, n)), false, NULL);
        (void)ignored; /* must not read outside: ASan watches */
    }
    struct mo mo;
    assert_int_equal(mo_open(STR("not a mo file at all, but long enough"), &mo, NULL), ERR_INPUT);
    assert_int_equal(mo_open(str_head(whole, 20), &mo, NULL), ERR_INPUT);
}

static void values_are_formatted_for_people(void **state)
{
    (void)state;
    static const struct {
        enum format format;
        const char *value, *en, *sv;
    } cases[] = {
        {FORMAT_DATE, "2026-01-31T12:00:00Z", "31 January 2026", "31 januari 2026"},
        {FORMAT_DATE, "2026-06-30T22:30:00Z", "1 July 2026", "1 juli 2026"},
        {FORMAT_DATETIME, "2026-01-31T12:00:00Z", "31 January 2026 at 13:00 CET", "31 januari 2026 kl. 13:00 CET"},
        {FORMAT_TERM, "P1M", "1 month", "1 m\xc3\xa5nad"},
        {FORMAT_TERM, "P14D", "14 days", "14 dygn"},
        {FORMAT_TERM, "P1Y6M", "1 year and 6 months", "1 \xc3\xa5r och 6 m\xc3\xa5nader"},
        {FORMAT_TERM, "PT30M", "30 minutes", "30 minuter"},
        {FORMAT_NUMBER, "12345", "12,345", "12\xc2\xa0""345"},
        {FORMAT_BYTES, "12345", "12.3 kB", "12,3 kB"},
        {FORMAT_LANGUAGE, "sv", "Swedish", "Svenska"},
        {FORMAT_COUNTRY, "SE", "Sweden", "Sverige"},
        {FORMAT_UPPER, "abc1", "ABC1", "ABC1"},
        {FORMAT_DATE, "nonsense", "nonsense", "nonsense"},
    };
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < COUNT(cases); i++) {
            assert_str(format_value(a, &english, cases[i].format, str_from(cases[i].value)), cases[i].en);
            assert_str(format_value(a, &swedish, cases[i].format, str_from(cases[i].value)), cases[i].sv);
        }
    }
    assert_true(format_zone_ok(STR("Europe/Stockholm")));
    assert_false(format_zone_ok(STR("Europe/Atlantis")));
    assert_false(format_zone_ok(STR("")));
    str *zones;
    size_t n;
    format_zones(a, &zones, &n);
    assert_true(n > 300);
    assert_str(format_country_code(a, 752), "SE");
    assert_str(format_country_code(a, 0), "");
    assert_str(format_country_code(a, 150), ""); /* Europe is none */
    assert_str(format_zone_town(a, &swedish, "Europe/Copenhagen"), "K\xc3\xb6penhamn");
    assert_str(format_zone_town(a, &english, "America/New_York"), "New York");
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

/* KBH-08. Fails if two ways of writing one answer differ, or two answers are one. */
static void kbh_08_words_are_folded_as_people_mean_them(void **state)
{
    static const char *const same[][2] = {{"Fluffy the Cat", "  fluffy\tTHE   cat "}, {"Åsa", "A\xcc\x8asa"}, {"STRASSE", "straße"}, {"①②", "12"}};
    (void)state;
    for (size_t i = 0; i < COUNT(same); i++)
        assert_true(str_eq(text_fold(a, str_from(same[i][0])), text_fold(a, str_from(same[i][1]))));
    assert_false(str_eq(text_fold(a, STR("Asa")), text_fold(a, STR("Åsa"))));
    assert_false(str_eq(text_fold(a, STR("the cat")), text_fold(a, STR("thecat"))));
    assert_int_equal(text_fold(a, STR(" \t ")).n, 0);
    assert_int_equal(text_fold(a, STR("\xff\xfe")).n, 0);
    assert_int_equal(text_fold(a, STR("")).n, 0);
    assert_int_equal(text_fold(a, (str){NULL, 0}).n, 0);
    str ligature = STR("\xef\xb7\xba"); /* one character that becomes eighteen */
    assert_int_equal(utf8_valid(text_fold(a, ligature)), true);
    assert_true(text_fold(a, ligature).n > 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_official_mustache_cases),
        T(sec_06_values_are_escaped_by_place),
        T(sec_06_unsafe_places_do_not_compile),
        T(an_absent_name_is_an_error),
        T(broken_templates_are_named),
        T(gen_21_texts_in_both_languages),
        T(a_missing_translation_is_found),
        T(languages_are_negotiated),
        T(plural_forms_are_evaluated),
        T(damaged_mo_files_are_refused),
        T(values_are_formatted_for_people),
        T(kbh_08_words_are_folded_as_people_mean_them),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
