/*
 * Templates, in all three dialects.
 *
 * Input: the sources of one template or of several, each but the first after a line "@@ NAME". They
 * are rendered with a view full of hostile values. What must hold of a page in the HTML dialect: no
 * value's "<", quote or apostrophe comes through as it is; and, by a tokenizer that is not ours
 * (html.h), every value stands in text or in a double-quoted attribute that is no program.
 */
#include "fuzz.h"
#include "html.h"

#include <string.h>

#include "text/template.h"

/* A value that would break out of wherever it stands; MARK survives escaping. */
#define MARK "QZQ"
#define EVIL MARK "<X'\\\"&>"

/*
 * Every list has one entry at most, or entries that hide the list: a list in a list in a list …
 * takes longer than anybody waits, and who writes templates may do that.
 */
static const char view_text[] =
    "{'text': '" EVIL "', 'url': '/" EVIL "', 'number': 12345, 'real': 2.5, 'yes': true, 'no': false,"
    " 'none': null, 'count': 2, 'when': '2026-01-31T12:00:00Z', 'term': 'P1M14D', 'country': 'SE',"
    " 'language': 'sv', 'key': 'value', 'empty': [], 'words': ['" EVIL "'],"
    " 'list': [{'text': '" EVIL "', 'list': []}, {'text': 'plain', 'list': [1]}],"
    " 'object': {'text': '" EVIL "', 'deep': {'url': '/" EVIL "'}},"
    /* as the program's own pages have them */
    " 'page': {'language': 'sv', 'product': '" EVIL "', 'style': '/a.css', 'script': '/a.js',"
    "   'icon': '/i.svg', 'notice': '" EVIL "', 'demo': true, 'signed_in': true, 'csrf': '" EVIL "',"
    "   'languages': [{'current': false, 'code': 'sv', 'name': '" EVIL "', 'url': '/" EVIL "'}],"
    "   'menu': [{'url': '/" EVIL "', 'label': '" EVIL "', 'current': true}]},"
    " 'is_input': true, 'is_lines': true, 'is_select': true, 'is_radio': true, 'is_check': true,"
    " 'id': '" EVIL "', 'label': '" EVIL "', 'hint': '" EVIL "', 'error': '" EVIL "',"
    " 'name': '" EVIL "', 'value': '" EVIL "', 'type': 'text', 'max': 200, 'autocomplete': 'off',"
    " 'required': true, 'is_password': true, 'described': true, 'ticked': true,"
    " 'options': [{'id': '" EVIL "', 'value': '" EVIL "', 'label': '" EVIL "', 'chosen': true}],"
    " 'title': '" EVIL "', 'subject': '" EVIL "', 'product': '" EVIL "', 'why': '" EVIL "',"
    " 'paragraphs': ['" EVIL "'], 'action': {'url': 'https://example.com/" EVIL "', 'label': 'x'},"
    " 'unsubscribe': 'https://example.com/', 'evidence': '" EVIL "', 'kept': true, 'broken': false,"
    " 'unknown': false, 'email': '" EVIL "', 'address': ['" EVIL "'], 'phone': null}";

/* ---- a catalog with every kind of text ---- */

static const struct {
    const char *key;
    size_t key_n;
    const char *text;
    size_t text_n;
} texts[] = {
#define TEXT(key, text) {key, sizeof key - 1, text, sizeof text - 1}
    TEXT("", "Plural-Forms: nplurals=2; plural=(n != 1);\n"),
    TEXT("link", "See [[here & there|{url}]], [[there|/path]]."),
    TEXT("many\0many", "{count} thing\0{count|number} \"things\""),
    TEXT("plain", "Words & <more>"),
    TEXT("value", "Hello {text}, {object.text|upper}, {when|date}"),
};

static void put_word(struct buf *b, size_t v)
{
    uint32_t word = (uint32_t)v;
    buf_put(b, str_of(&word, sizeof word));
}

/* A .mo file of these texts (gettext manual, 10.3): a head, two tables, the words. */
static str make_mo(struct arena *a)
{
    struct buf b = buf_new(a, 4096);
    size_t at = 28 + COUNT(texts) * 16;
    const size_t head[] = {0x950412de, 0, COUNT(texts), 28, 28 + COUNT(texts) * 8, 0, 0};
    for (size_t i = 0; i < COUNT(head); i++)
        put_word(&b, head[i]);
    for (size_t i = 0; i < COUNT(texts); at += texts[i++].key_n + 1) {
        put_word(&b, texts[i].key_n);
        put_word(&b, at);
    }
    for (size_t i = 0; i < COUNT(texts); at += texts[i++].text_n + 1) {
        put_word(&b, texts[i].text_n);
        put_word(&b, at);
    }
    for (size_t i = 0; i < COUNT(texts); i++)
        buf_put(&b, str_of(texts[i].key, texts[i].key_n + 1));
    for (size_t i = 0; i < COUNT(texts); i++)
        buf_put(&b, str_of(texts[i].text, texts[i].text_n + 1));
    return buf_str(&b);
}

/* ---- what every input shares ---- */

static struct arena *forever;
static struct catalog *catalog;
static struct formats *formats;
static json_t *view;

static void prepare(void)
{
    static const char *const languages[] = {"en"};
    struct fault f = {0};
    forever = arena_new(FUZZ_ARENA);
    catalog = catalog_new(forever, languages, COUNT(languages));
    formats = formats_new();
    char *text = str_cstr(forever, str_from(view_text));
    /* Apostrophes read better in a C string; those within values are put back. */
    for (char *p = text; *p; p++)
        if (*p == '\'' && p[-1] != 'X')
            *p = '"';
    MUST(catalog_add(catalog, "en", make_mo(forever), false, &f) == OK);
    MUST(json_decode(str_from(text), &view, &f) == OK);
}

/* ---- one input ---- */

enum { MAX_TEMPLATES = 4 };

static void add_templates(struct template_set *s, str input)
{
    str name = STR("main");
    for (int i = 0; i < MAX_TEMPLATES; i++) {
        const char *next = input.n ? memmem(input.p, input.n, "\n@@ ", 4) : NULL;
        str source = next ? str_head(input, (size_t)(next - input.p) + 1) : input;
        template_add(s, name, source);
        if (next == NULL)
            return;
        input = str_skip(input, source.n + 3);
        name = next_line(&input);
    }
}

static void check_page(str page)
{
    size_t at = 0;
    MUST(!str_contains(page, STR(MARK "<")) && !str_contains(page, STR(MARK "'")));
    MUST(!str_contains(page, STR(MARK "\"")) && !str_contains(page, STR("<X")));
    MUST(html_marks_safe(page, STR(MARK), &at));
}

static void render(enum template_dialect dialect, str input)
{
    struct arena *a = arena_new(FUZZ_ARENA);
    struct template_set *s = template_set_new(a, dialect, catalog);
    struct locale l = {.code = "en", .formats = formats};
    struct buf page = buf_new(a, 256 * 1024);
    struct fault f = {0};
    add_templates(s, input);
    if (template_compile(s, &f) != OK)
        MUST(f.code != OK && f.text[0] != '\0');
    else if (template_render(s, STR("main"), view, &l, &page, &f) == OK && dialect == TEMPLATE_HTML)
        check_page(buf_str(&page));
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    str input = str_of(data, n);
    if (forever == NULL)
        prepare();
    /* A template that says the mark itself would look as if a value had. */
    if (str_contains(input, STR(MARK)) || str_contains(input, STR("<X")))
        return 0;
    render(TEMPLATE_SPEC, input);
    render(TEMPLATE_PLAIN, input);
    render(TEMPLATE_HTML, input);
    return 0;
}
