/*
 * Translations as the program reads them: compiled (.mo), with their plural expression.
 *
 * Input: the bytes of a .mo file; the same bytes as a plural expression. What must hold: of a
 * catalog that is accepted every text can be chosen for every number, every piece of it is one
 * that can be shown, and a plural expression always chooses a form that there is.
 */
#include "fuzz.h"

#include "base/codec.h"
#include "text/i18n.h"
#include "text/mo.h"

static const int64_t numbers[] = {0, 1, 2, 3, 5, 11, 21, 100, 101, -1, INT64_MAX, INT64_MIN};

static void check_plural(str text)
{
    struct plural p;
    if (plural_parse(text, &p) != OK)
        return;
    MUST(p.forms >= 1 && p.forms <= 9);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        int form = plural_choose(&p, numbers[i]);
        MUST(form >= 0 && form < p.forms);
    }
}

static void check_piece(const struct piece *p)
{
    switch (p->kind) {
    case PIECE_TEXT:
        MUST(p->text.n > 0);
        return;
    case PIECE_VALUE:
        MUST(p->name.n > 0 && p->format != FORMAT_UNKNOWN);
        return;
    case PIECE_LINK:
        MUST(p->text.n > 0);
        MUST(p->name.n > 0 || (p->url.n > 0 && (p->url.p[0] == '/' || p->url.p[0] == '#')));
        return;
    }
    MUST(!"a piece of no kind");
}

static void check_catalog(struct arena *a, const struct catalog *c)
{
    struct locale l = {.code = "en"};
    for (size_t k = 0; k < catalog_size(c); k++) {
        str name = catalog_key_name(c, (int)k);
        MUST(name.n > 0 && utf8_valid(name) && catalog_key(c, name) == (int)k);
        for (size_t i = 0; i < COUNT(numbers); i++) {
            const struct message *m = catalog_message(c, 0, (int)k, numbers[i]);
            MUST(m->n > 0);
            for (size_t x = 0; x < m->n; x++)
                check_piece(&m->pieces[x]);
        }
        MUST(utf8_valid(catalog_text(c, &l, a, name.p, NULL)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const languages[] = {"en"};
    struct arena *a = arena_new(FUZZ_ARENA);
    str bytes = str_of(data, n), key, forms;
    struct fault f = {0};
    struct mo mo;
    bool plural;

    check_plural(bytes);
    if (mo_open(bytes, &mo, &f) == OK) {
        check_plural(mo_header(&mo, "Plural-Forms"));
        for (uint32_t i = 0; i < mo.n; i++)
            if (mo_entry(&mo, i, &key, &plural, &forms, &f) == OK)
                MUST(key.n + forms.n <= 2 * n);
    }
    struct catalog *c = catalog_new(a, languages, COUNT(languages));
    /* Twice: an operator's texts lie over ours. */
    if (catalog_add(c, "en", bytes, false, &f) == OK) {
        MUST(catalog_add(c, "en", bytes, true, &f) == OK);
        MUST(catalog_complete(c, &f) == OK);
        check_catalog(a, c);
    }
    arena_free(&a);
    return 0;
}
