/* The file of products (docs/catalogue.md). */
#include "features/licenses/model.h"

enum { KEY_MAX = 60, FEATURES_AT_MOST = 32, DEVICES_AT_MOST = 1000, PRICE_DIGITS = 12 };

struct reader {
    struct arena *arena;
    struct fault *fault;
    str source;
    const char *const *languages;
    size_t n_languages;
    struct catalogue *c;
};

#define SAY(r, node, ...)                                                                          \
    FAIL((r)->fault, ERR_INPUT, "%.*s:%d: %.*s", STR_FMT((r)->source), (node)->line,               \
         STR_FMT(str_fmt((r)->arena, __VA_ARGS__)))

static enum err only_keys(struct reader *r, const struct yaml *map, const char *const *keys, size_t n)
{
    if (map->kind != YAML_MAP)
        return SAY(r, map, "%.*s must be a mapping", STR_FMT(map->key));
    YAML_EACH(child, map)
    {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known |= str_is(child->key, keys[i]);
        if (!known)
            return SAY(r, child, "%.*s is not a word of this file", STR_FMT(child->key));
    }
    return OK;
}
#define ONLY_KEYS(r, map, ...)                                                                     \
    only_keys((r), (map), (const char *const[]){__VA_ARGS__}, COUNT(((const char *const[]){__VA_ARGS__})))

/* A name that stands in addresses, files and other people's programs. `more` are characters beside small
 * letters, digits and '-'. */
static bool is_key(str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool small = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (!small && !str_has(str_from(more), c))
            return false;
    }
    return s.n > 0 && s.n <= KEY_MAX;
}

static enum err read_texts(struct reader *r, const struct yaml *n, struct texts *out)
{
    for (size_t i = 0; i < r->n_languages; i++) {
        out->text[i] = n->kind == YAML_SCALAR ? n->text : yaml_text(n, r->languages[i]);
        if (out->text[i].n == 0)
            return SAY(r, n, "%.*s has no text in language %s", STR_FMT(n->key), r->languages[i]);
    }
    return OK;
}

static enum err read_features(struct reader *r, const struct yaml *map)
{
    r->c->features = ARENA_ARRAY(r->arena, struct feature_name, map ? map->count : 0);
    if (map && map->kind != YAML_MAP)
        return SAY(r, map, "features must be a mapping");
    YAML_EACH(n, map)
    {
        struct feature_name *f = &r->c->features[r->c->n_features++];
        f->key = n->key;
        if (!is_key(n->key, "_") || n->key.n > 40)
            return SAY(r, n, "a feature is at most 40 small letters, digits, - and _: %.*s", STR_FMT(n->key));
        TRY(read_texts(r, n, &f->name));
    }
    return OK;
}

static bool is_feature(const struct catalogue *c, str key)
{
    for (size_t i = 0; i < c->n_features; i++)
        if (str_eq(c->features[i].key, key))
            return true;
    return false;
}

static enum err read_product_features(struct reader *r, const struct yaml *n, struct product *out)
{
    const struct yaml *list = yaml_get(n, "features");
    if (list != NULL && list->kind != YAML_LIST)
        return SAY(r, list, "features of a product are a list");
    if (list != NULL && list->count > FEATURES_AT_MOST)
        return SAY(r, list, "a product has at most %d features", FEATURES_AT_MOST);
    str *keys = ARENA_ARRAY(r->arena, str, list ? list->count : 0);
    YAML_EACH(f, list)
    {
        if (!is_feature(r->c, f->text))
            return SAY(r, f, "the features above do not name %.*s", STR_FMT(f->text));
        keys[out->n_features++] = f->text;
    }
    out->features = keys;
    return OK;
}

static enum err read_term(struct reader *r, const struct yaml *map, const char *key, bool needed, struct term *out)
{
    const struct yaml *n = yaml_get(map, key);
    *out = (struct term){0};
    if (n == NULL)
        return needed ? SAY(r, map, "product %.*s has no %s", STR_FMT(map->key), key) : OK;
    if (term_parse(n->text, out) != OK || (needed && term_is_zero(*out)))
        return SAY(r, n, "%.*s is no term (ISO 8601): P1Y, P30D", STR_FMT(n->text));
    return OK;
}

/* "499.00 SEK": as many decimals as the currency has. */
static enum err read_price(struct reader *r, const struct yaml *map, struct product *out)
{
    const struct yaml *n = yaml_get(map, "price");
    str amount, currency, whole, cents = {NULL, 0};
    if (n == NULL)
        return OK;
    bool fine = str_cut(n->text, ' ', &amount, &currency) && currency.n == 3;
    for (size_t i = 0; fine && i < currency.n; i++)
        fine = currency.p[i] >= 'A' && currency.p[i] <= 'Z';
    if (fine && !str_cut(amount, '.', &whole, &cents))
        whole = amount;
    str digits = fine ? str_fmt(r->arena, "%.*s%.*s", STR_FMT(whole), STR_FMT(cents)) : (str){NULL, 0};
    for (size_t i = 0; i < digits.n; i++)
        fine &= digits.p[i] >= '0' && digits.p[i] <= '9';
    if (!fine || whole.n == 0 || digits.n > PRICE_DIGITS || !str_to_int(digits, &out->price) || out->price <= 0)
        return SAY(r, n, "a price is an amount and a currency (ISO 4217): 499.00 SEK");
    out->currency = currency;
    out->price_text = n->text;
    return OK;
}

static enum err read_product(struct reader *r, const struct yaml *n)
{
    struct product *p = &r->c->products[r->c->n_products++];
    TRY(ONLY_KEYS(r, n, "name", "edition", "application", "term", "grace", "devices", "features", "trial", "price",
                  "store_item"));
    *p = (struct product){.key = n->key,
                          .edition = yaml_text(n, "edition"),
                          .application = yaml_text(n, "application"),
                          .store_item = yaml_text(n, "store_item")};
    if (!is_key(n->key, ""))
        return SAY(r, n, "a product's key is at most %d small letters, digits and -: %.*s", KEY_MAX, STR_FMT(n->key));
    const struct yaml *name = yaml_get(n, "name"), *devices = yaml_get(n, "devices"), *trial = yaml_get(n, "trial");
    if (name == NULL)
        return SAY(r, n, "product %.*s has no name", STR_FMT(n->key));
    TRY(read_texts(r, name, &p->name));
    if (!is_key(p->edition, ""))
        return SAY(r, n, "product %.*s has no edition (small letters, digits and -)", STR_FMT(n->key));
    if (!is_key(p->application, "._ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        return SAY(r, n, "product %.*s has no application", STR_FMT(n->key));
    TRY(read_term(r, n, "term", true, &p->term));
    TRY(read_term(r, n, "grace", false, &p->grace));
    if (devices == NULL || !str_to_int(devices->text, &p->devices) || p->devices < 1 || p->devices > DEVICES_AT_MOST)
        return SAY(r, devices ? devices : n, "product %.*s: devices is a number from 1 to %d", STR_FMT(n->key), DEVICES_AT_MOST);
    TRY(read_product_features(r, n, p));
    TRY(read_price(r, n, p));
    if (trial != NULL && !str_is(trial->text, "true") && !str_is(trial->text, "false"))
        return SAY(r, trial, "trial is true or false");
    p->trial = trial != NULL && str_is(trial->text, "true");
    if (p->trial && p->price > 0)
        return SAY(r, trial, "a trial has no price");
    if (p->store_item.n > 0 && !is_key(p->store_item, "._ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        return SAY(r, n, "store_item is letters, digits, - . and _");
    return OK;
}

static enum err read_products(struct reader *r, const struct yaml *root)
{
    const struct yaml *map = yaml_get(root, "products");
    if (map == NULL || map->kind != YAML_MAP || map->count == 0)
        return SAY(r, map ? map : root, "the file names no products");
    r->c->products = ARENA_ARRAY(r->arena, struct product, map->count);
    YAML_EACH(n, map)
    {
        TRY(read_product(r, n));
        const struct product *new = &r->c->products[r->c->n_products - 1];
        for (size_t i = 0; i + 1 < r->c->n_products; i++)
            if (new->store_item.n > 0 && str_eq(r->c->products[i].store_item, new->store_item))
                return SAY(r, n, "store_item %.*s stands twice", STR_FMT(new->store_item));
    }
    return OK;
}

/* Days, for they are counted back from an end; months have no length. */
static enum err read_days(struct reader *r, const struct yaml *n, struct term *out)
{
    bool days = term_parse(n->text, out) == OK && out->months == 0 && out->exact % MOMENT_DAY == 0;
    if (!days || out->exact < MOMENT_DAY || out->exact > 366 * MOMENT_DAY)
        return SAY(r, n, "%.*s is no time before an end: whole days, from P1D to P366D", STR_FMT(n->text));
    return OK;
}

static enum err read_reminders(struct reader *r, const struct yaml *root)
{
    const struct yaml *list = yaml_get(root, "reminders"), *renewal = yaml_get(root, "renewal");
    struct catalogue *c = r->c;
    if (list == NULL || list->kind != YAML_LIST || list->count == 0 || list->count > REMINDERS_MAX)
        return SAY(r, list ? list : root, "reminders is a list of at most %d times: [P30D, P7D]", REMINDERS_MAX);
    YAML_EACH(n, list)
    {
        TRY(read_days(r, n, &c->reminders[c->n_reminders]));
        if (c->n_reminders > 0 && c->reminders[c->n_reminders].exact >= c->reminders[c->n_reminders - 1].exact)
            return SAY(r, n, "reminders go from the longest to the shortest");
        c->n_reminders++;
    }
    if (renewal == NULL)
        return SAY(r, root, "the file does not say when a renewal is ordered (renewal: P2D)");
    return read_days(r, renewal, &c->renewal);
}

enum err catalogue_read(struct arena *a, str name, str text, const char *const *languages, size_t n_languages,
                        struct catalogue **out, struct fault *f)
{
    struct reader r = {a, f, name, languages, n_languages, ARENA_NEW(a, struct catalogue)};
    struct yaml *root;
    enum err e = yaml_parse(a, text, &root, f);
    if (e != OK)
        fault_prefix(f, "%.*s:", STR_FMT(name));
    TRY(e);
    TRY(ONLY_KEYS(&r, root, "reminders", "renewal", "features", "products"));
    TRY(read_reminders(&r, root));
    TRY(read_features(&r, yaml_get(root, "features")));
    TRY(read_products(&r, root));
    *out = r.c;
    return OK;
}

/* ---- asking it ---- */

const struct catalogue *catalogue_of(const struct portal *p)
{
    return p->catalogue;
}

str product_name(const struct product *p, const struct locale *l)
{
    return p->name.text[l->language];
}

str product_title(const struct portal *p, str key, const struct locale *l)
{
    const struct product *x = product_named(p, key);
    return x ? product_name(x, l) : key;
}

const struct product *product_named(const struct portal *p, str key)
{
    const struct catalogue *c = p->catalogue;
    for (size_t i = 0; i < c->n_products; i++)
        if (str_eq(c->products[i].key, key))
            return &c->products[i];
    return NULL;
}

const struct product *product_of_store_item(const struct portal *p, str item)
{
    const struct catalogue *c = p->catalogue;
    for (size_t i = 0; item.n > 0 && i < c->n_products; i++)
        if (str_eq(c->products[i].store_item, item))
            return &c->products[i];
    return NULL;
}

const struct product *product_list(const struct portal *p, size_t *n)
{
    const struct catalogue *c = p->catalogue;
    *n = c->n_products;
    return c->products;
}

str catalogue_feature(const struct catalogue *c, str key, const struct locale *l)
{
    for (size_t i = 0; i < c->n_features; i++)
        if (str_eq(c->features[i].key, key))
            return c->features[i].name.text[l->language];
    return key;
}

str catalogue_steps(const struct catalogue *c, struct arena *a, const struct locale *l)
{
    struct buf b = buf_new(a, 1000);
    for (size_t i = 0; i < c->n_reminders; i++) {
        if (i > 0)
            buf_text(&b, ", ");
        buf_put(&b, format_value(a, l, FORMAT_TERM, term_format(a, c->reminders[i])));
    }
    return buf_str(&b);
}
