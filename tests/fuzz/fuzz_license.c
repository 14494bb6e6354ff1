/*
 * What people type as an activation code, and what operators write as a catalogue.
 *
 * Input: the text. What must hold: an accepted code is 25 characters of the alphabet, accepted again as it is
 * shown, and none with one character changed; an accepted catalogue has what its products promise.
 */
#include "fuzz.h"

#include <string.h>

#include "features/licenses/model.h"

static const char alphabet[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

static void check_code(struct arena *a, str s)
{
    char plain[LICENSE_CODE_LENGTH], again[LICENSE_CODE_LENGTH];
    if (license_code_check(s, plain) != CODE_FINE)
        return;
    str text = license_code_text(a, str_of(plain, sizeof plain));
    MUST(text.n == LICENSE_CODE_TEXT && s.n >= LICENSE_CODE_LENGTH);
    MUST(license_code_check(text, again) == CODE_FINE && memcmp(plain, again, sizeof plain) == 0);
    for (size_t i = 0; i < sizeof plain; i++) {
        char right = plain[i];
        MUST(strchr(alphabet, right) != NULL);
        plain[i] = alphabet[(size_t)(strchr(alphabet, right) - alphabet + 1) % 32];
        MUST(license_code_check(str_of(plain, sizeof plain), again) == CODE_SLIP);
        plain[i] = right;
    }
}

/* A code that is right is found by no chance: the first 23 characters of the input are given their checks. */
static void check_made(struct arena *a, str s)
{
    char lot[LOT_LENGTH], code[LICENSE_CODE_LENGTH], plain[LICENSE_CODE_LENGTH];
    for (int i = 0; i < LOT_LENGTH; i++)
        lot[i] = alphabet[(unsigned char)s.p[i] % 32];
    license_code_new(lot, code);
    MUST(license_code_check(str_of(code, sizeof code), plain) == CODE_FINE);
    check_code(a, str_of(code, sizeof code));
    MUST(lot_ok(str_of(code, LOT_LENGTH)));
}

static void check_catalogue(struct arena *a, str s)
{
    static const char *const languages[] = {"en", "sv"};
    struct catalogue *c;
    struct fault f = {0};
    if (catalogue_read(a, STR("f"), s, languages, COUNT(languages), &c, &f) != OK) {
        MUST(f.text[0] != '\0');
        return;
    }
    MUST(c->n_products > 0 && c->n_reminders > 0 && c->renewal.exact > 0);
    for (size_t i = 0; i < c->n_products; i++) {
        const struct product *p = &c->products[i];
        MUST(p->devices > 0 && !term_is_zero(p->term) && p->name.text[0].n > 0 && p->name.text[1].n > 0);
        MUST(!(p->trial && p->price > 0) && (p->price > 0) == (p->currency.n == 3));
    }
    MUST(license_next_look(c, 1000 * MOMENT_DAY, 0) > 0);
    MUST(license_next_look(c, 1000 * MOMENT_DAY, 1000 * MOMENT_DAY) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(FUZZ_ARENA);
    str s = str_of(data, n);
    check_code(a, s);
    if (n >= LOT_LENGTH)
        check_made(a, s);
    check_catalogue(a, s);
    arena_free(&a);
    return 0;
}
