#include "text/i18n.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "text/mo.h"

enum { HASH_FIRST = 1024, MAX_TEXT = 16 * 1024 };

struct entry {
    str key;
    bool plural;
    /* [language][form] */
    struct message *messages[I18N_MAX_LANGUAGES];
    int forms[I18N_MAX_LANGUAGES];
};

struct catalog {
    struct arena *arena;
    const char *codes[I18N_MAX_LANGUAGES];
    struct plural plurals[I18N_MAX_LANGUAGES];
    size_t n_languages;
    struct entry *entries;
    size_t n, cap;
    int *slots; /* open addressing by key; -1 is free */
    size_t n_slots;
};

struct catalog *catalog_new(struct arena *a, const char *const *languages, size_t n)
{
    assert(n > 0 && n <= I18N_MAX_LANGUAGES);
    struct catalog *c = ARENA_NEW(a, struct catalog);
    c->arena = a;
    c->n_languages = n;
    for (size_t i = 0; i < n; i++)
        c->codes[i] = languages[i];
    return c;
}

static uint32_t hash(str s)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 16777619u;
    return h;
}

static int *slot_of(const struct catalog *c, str key)
{
    size_t at = hash(key) & (c->n_slots - 1);
    while (c->slots[at] >= 0 && !str_eq(c->entries[c->slots[at]].key, key))
        at = (at + 1) & (c->n_slots - 1);
    return &c->slots[at];
}

static void rehash(struct catalog *c)
{
    c->n_slots = c->n_slots ? c->n_slots * 2 : HASH_FIRST;
    c->slots = ARENA_ARRAY(c->arena, int, c->n_slots);
    memset(c->slots, -1, c->n_slots * sizeof *c->slots);
    for (size_t i = 0; i < c->n; i++)
        *slot_of(c, c->entries[i].key) = (int)i;
}

int catalog_key(const struct catalog *c, str key)
{
    return c->n_slots == 0 ? -1 : *slot_of(c, key);
}

size_t catalog_size(const struct catalog *c)
{
    return c->n;
}

str catalog_key_name(const struct catalog *c, int key)
{
    return c->entries[key].key;
}

static struct entry *entry_for(struct catalog *c, str key)
{
    if (c->n * 2 >= c->n_slots)
        rehash(c);
    int *slot = slot_of(c, key);
    if (*slot < 0) {
        ARENA_GROW(c->arena, c->entries, c->cap, c->n + 1);
        c->entries[c->n] = (struct entry){.key = str_dup(c->arena, key)};
        *slot = (int)c->n++;
    }
    return &c->entries[*slot];
}

/* ---- reading a text into pieces ---- */

struct pieces {
    struct arena *arena;
    struct piece *list;
    size_t n, cap;
};

static void add_piece(struct pieces *p, struct piece piece)
{
    ARENA_GROW(p->arena, p->list, p->cap, p->n + 1);
    p->list[p->n++] = piece;
}

static bool name_ok(str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.'))
            return false;
    }
    return s.n > 0;
}

/* "{name|format}" without its braces. */
static bool read_value(str inside, struct piece *out)
{
    str format;
    *out = (struct piece){.kind = PIECE_VALUE};
    if (str_cut(inside, '|', &out->name, &format))
        out->format = format_named(format);
    else
        out->name = inside;
    return name_ok(out->name) && out->format != FORMAT_UNKNOWN;
}

/* "[[label|target]]" without its brackets. */
static bool read_link(str inside, struct piece *out)
{
    str target;
    *out = (struct piece){.kind = PIECE_LINK};
    if (!str_cut_last(inside, '|', &out->text, &target) || out->text.n == 0 || target.n < 2 ||
        str_has(out->text, '{'))
        return false;
    if (target.p[0] == '{' && target.p[target.n - 1] == '}')
        return name_ok(out->name = str_head(str_skip(target, 1), target.n - 2));
    out->url = target;
    return target.p[0] == '/' || target.p[0] == '#';
}

static bool read_pieces(struct pieces *p, str s)
{
    while (s.n > 0) {
        size_t n = 0;
        while (n < s.n && s.p[n] != '{' && !(s.p[n] == '[' && n + 1 < s.n && s.p[n + 1] == '['))
            n++;
        if (n > 0)
            add_piece(p, (struct piece){.kind = PIECE_TEXT, .text = str_head(s, n)});
        s = str_skip(s, n);
        if (s.n == 0)
            return true;
        bool link = s.p[0] == '[';
        str end = link ? STR("]]") : STR("}");
        s = str_skip(s, end.n);
        const char *at = s.n ? memmem(s.p, s.n, end.p, end.n) : NULL;
        struct piece piece;
        if (at == NULL)
            return false;
        str inside = str_head(s, (size_t)(at - s.p));
        if (!(link ? read_link(inside, &piece) : read_value(inside, &piece)))
            return false;
        add_piece(p, piece);
        s = str_skip(s, inside.n + end.n);
    }
    return true;
}

static enum err read_forms(struct catalog *c, struct entry *e, int language, str forms,
                           struct fault *f)
{
    struct message *list = ARENA_ARRAY(c->arena, struct message, I18N_MAX_PLURALS);
    int n = 0;
    for (bool more = true; more; n++) {
        str one = forms, rest;
        more = str_cut(forms, '\0', &one, &rest);
        forms = rest;
        if (n == I18N_MAX_PLURALS || one.n == 0 || one.n > MAX_TEXT || !utf8_valid(one))
            return FAIL(f, ERR_INPUT, "%s: the text of %.*s is empty, too long or not UTF-8",
                        c->codes[language], STR_FMT(e->key));
        struct pieces p = {.arena = c->arena};
        if (!read_pieces(&p, one))
            return FAIL(f, ERR_INPUT, "%s: the text of %.*s has a {value} or [[link]] that cannot be read",
                        c->codes[language], STR_FMT(e->key));
        list[n] = (struct message){p.list, p.n};
    }
    if (e->plural && n != c->plurals[language].forms)
        return FAIL(f, ERR_INPUT, "%s: %.*s has %d plural forms, not %d", c->codes[language],
                    STR_FMT(e->key), n, c->plurals[language].forms);
    if (!e->plural && n != 1)
        return FAIL(f, ERR_INPUT, "%s: %.*s has forms that it should not have", c->codes[language],
                    STR_FMT(e->key));
    e->messages[language] = list;
    e->forms[language] = n;
    return OK;
}

enum err catalog_add(struct catalog *c, const char *language, str bytes, bool over, struct fault *f)
{
    struct mo mo;
    int l = catalog_find_language(c, str_from(language));
    if (l < 0)
        return FAIL(f, ERR_INPUT, "no language %s in this catalog", language);
    TRY(mo_open(bytes, &mo, f));
    str plural = mo_header(&mo, "Plural-Forms");
    if (plural.n > 0 && plural_parse(plural, &c->plurals[l]) != OK)
        return FAIL(f, ERR_INPUT, "%s: Plural-Forms cannot be read", language);
    for (uint32_t i = 0; i < mo.n; i++) {
        str key, forms;
        bool is_plural;
        TRY(mo_entry(&mo, i, &key, &is_plural, &forms, f));
        if (key.n == 0)
            continue;
        if (!utf8_is_line(key))
            return FAIL(f, ERR_INPUT, "%s: a key that is not text", language);
        struct entry *e = entry_for(c, key);
        if (e->messages[l] != NULL && !over)
            return FAIL(f, ERR_CONFLICT, "%s: %.*s stands in two files", language, STR_FMT(key));
        bool known = false;
        for (size_t k = 0; k < c->n_languages; k++)
            known |= e->messages[k] != NULL;
        if (known && e->plural != is_plural)
            return FAIL(f, ERR_INPUT, "%s: %.*s has plural forms in one language only", language,
                        STR_FMT(key));
        e->plural = is_plural;
        TRY(read_forms(c, e, l, forms, f));
    }
    return OK;
}

enum err catalog_complete(struct catalog *c, struct fault *f)
{
    for (size_t i = 0; i < c->n; i++)
        for (size_t l = 0; l < c->n_languages; l++)
            if (c->entries[i].messages[l] == NULL)
                return FAIL(f, ERR_CONFLICT, "%.*s has no text in language %s",
                            STR_FMT(c->entries[i].key), c->codes[l]);
    return OK;
}

size_t catalog_languages(const struct catalog *c)
{
    return c->n_languages;
}

const char *catalog_language(const struct catalog *c, int language)
{
    return c->codes[language];
}

int catalog_find_language(const struct catalog *c, str code)
{
    for (size_t i = 0; i < c->n_languages; i++)
        if (str_is(code, c->codes[i]))
            return (int)i;
    return -1;
}

/* "q=0.8" in thousandths; 1000 where there is none; -1 where it cannot be read. */
static int quality(str params)
{
    str name, value;
    if (!str_cut(str_trim(params), '=', &name, &value))
        return params.n == 0 ? 1000 : -1;
    value = str_trim(value);
    if (!str_is(str_trim(name), "q") || value.n == 0 || (value.p[0] != '0' && value.p[0] != '1'))
        return -1;
    int q = (value.p[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < value.n && i < 5; i++, unit /= 10) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return -1;
        q += (value.p[i] - '0') * unit;
    }
    return MIN_OF(q, 1000);
}

int catalog_negotiate(const struct catalog *c, str header)
{
    int best = 0, best_q = 0;
    header = str_head(header, 512);
    for (bool more = true; more;) {
        str range = header, rest = {NULL, 0}, params = {NULL, 0}, region;
        more = str_cut(header, ',', &range, &rest);
        header = rest;
        str_cut(range, ';', &range, &params);
        range = str_trim(range);
        str_cut(range, '-', &range, &region);
        int q = quality(params);
        for (size_t i = 0; i < c->n_languages; i++) {
            if (q > best_q && range.n == strlen(c->codes[i]) &&
                strncasecmp(range.p, c->codes[i], range.n) == 0) {
                best = (int)i;
                best_q = q;
            }
        }
    }
    return best;
}

const struct message *catalog_message(const struct catalog *c, int language, int key, int64_t count)
{
    const struct entry *e = &c->entries[key];
    int form = e->plural ? plural_choose(&c->plurals[language], count) : 0;
    return &e->messages[language][form < e->forms[language] ? form : 0];
}

bool catalog_has_plural(const struct catalog *c, int key)
{
    return c->entries[key].plural;
}

static str value_text(struct arena *a, const json_t *values, str name)
{
    const json_t *v = json_object_getn(values, name.p, name.n);
    if (json_is_integer(v))
        return str_fmt(a, "%lld", (long long)json_integer_value(v));
    return json_str(v);
}

str catalog_text(const struct catalog *c, const struct locale *l, struct arena *a, const char *key,
                 const json_t *values)
{
    int k = catalog_key(c, str_from(key));
    if (k < 0)
        return str_from(key);
    const struct message *m = catalog_message(c, l->language, k, json_get_int(values, "count"));
    struct buf b = buf_new(a, 4 * MAX_TEXT);
    for (size_t i = 0; i < m->n; i++) {
        const struct piece *p = &m->pieces[i];
        if (p->kind == PIECE_VALUE)
            buf_put(&b, format_value(a, l, p->format, value_text(a, values, p->name)));
        else
            buf_put(&b, p->text);
    }
    return buf_str(&b);
}
