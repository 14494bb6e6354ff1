/*
 * What the store tells by events, and what app stores sign.
 *
 * Input: the text. What must hold: of a card, an accepted event has four digits and a month, and of nothing more than
 * a line; what is accepted of a purchase has all that makes one; nothing is believed that is not signed, whatever is
 * made of the signed texts that tests/vectors/store.json has (they are the corpus, with its root).
 */
#include "fuzz.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/codec.h"
#include "features/purchases/apps.h"
#include "features/purchases/stripe.h"

#define NOW (INT64_C(1800000000) * MOMENT_SECOND)

static struct app_stores stores;
static json_t *vectors;
static struct arena *kept; /* of both, for as long as the process lives */

static bool is_line(str s, size_t max)
{
    return s.n > 0 && s.n <= max && utf8_is_line(s);
}

static void check_event(struct arena *a, str s)
{
    struct store_event e;
    struct fault f = {0};
    if (stripe_event(a, s, &e, &f) != OK) {
        MUST(f.text[0] != '\0');
        return;
    }
    if (e.kind == EVENT_OTHER)
        return;
    MUST(is_line(e.id, STORE_ID_MAX));
    if (e.kind == EVENT_CARD) {
        MUST(e.ending.n == 4 && e.expiry.n == 7 && e.expiry.p[4] == '-');
        for (int i = 0; i < 4; i++)
            MUST(e.ending.p[i] >= '0' && e.ending.p[i] <= '9');
        MUST(is_line(e.customer, STORE_ID_MAX) && is_line(e.method, STORE_ID_MAX));
    }
    if (e.kind == EVENT_PAYMENT)
        MUST(e.proof.n > 0 && e.payment.order.n > 0 && e.payment.amount >= 0);
}

static void check_purchase(const struct signed_purchase *p)
{
    MUST(is_line(p->item, PURCHASE_WORD_MAX) && is_line(p->package, PURCHASE_WORD_MAX));
    MUST(is_line(p->receipt, PURCHASE_WORD_MAX) && is_line(p->token, PURCHASE_TOKEN_MAX));
    MUST(p->bought > 0);
}

static bool is_vector(str s)
{
    static const char *const kinds[] = {"play", "apple"};
    for (size_t k = 0; k < COUNT(kinds); k++) {
        const json_t *list = json_object_get(json_object_get(vectors, kinds[k]), "cases");
        for (size_t i = 0; i < json_array_size(list); i++)
            if (json_get_bool(json_array_get(list, i), "right") && str_eq(json_get_str(json_array_get(list, i), "text"), s))
                return true;
    }
    return false;
}

static void check_signed(struct arena *a, str s)
{
    struct signed_purchase p;
    struct fault f = {0};
    moment at;
    if (play_read(a, s, &p, &f) == OK)
        check_purchase(&p);
    fault_clear(&f);
    if (jws_read(&stores, s, &p, &at, a, &f) == OK)
        check_purchase(&p);
    fault_clear(&f);
    if (signed_verify(&stores, a, s, NOW, &p, &f) == OK)
        MUST(is_vector(s));
}

static void check_others(struct arena *a, str s)
{
    struct app_stores other;
    struct fault f = {0};
    str rest = s, header = next_line(&rest);
    MUST(stripe_signature(STR("whsec_nobodyHasThisOne"), header, rest, NOW, &f) != OK);
    fault_clear(&f);
    if (app_stores_read(a, s, "/nowhere", &other, &f) != OK)
        MUST(f.text[0] != '\0');
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct arena *a = kept = arena_new(FUZZ_ARENA);
    struct fault f = {0};
    json_t *j;
    str text;
    (void)argc;
    (void)argv;
    MUST(file_read(a, "tests/vectors/store.json", 1 << 20, &text, &f) == OK && json_decode(text, &j, &f) == OK);
    vectors = j;
    stores.play[0].package = json_get_str(json_object_get(j, "play"), "package");
    MUST(base64_decode(a, json_get_str(json_object_get(j, "play"), "key"), &stores.play[0].key) == OK);
    stores.n_play = 1;
    MUST(base64_decode(a, json_get_str(json_object_get(j, "apple"), "root"), &stores.root) == OK);
    stores.bundles[0] = json_get_str(json_object_get(j, "apple"), "bundle");
    stores.n_bundles = 1;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(FUZZ_ARENA);
    str s = str_of(data, n);
    check_event(a, s);
    check_signed(a, s);
    check_others(a, s);
    arena_free(&a);
    return 0;
}
