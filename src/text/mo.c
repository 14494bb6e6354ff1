#include "text/mo.h"

#include <byteswap.h>
#include <string.h>

#define MAGIC 0x950412deu

static uint32_t word(const struct mo *m, size_t at)
{
    uint32_t v;
    memcpy(&v, m->bytes.p + at, sizeof v);
    return m->swapped ? bswap_32(v) : v;
}

enum err mo_open(str bytes, struct mo *out, struct fault *f)
{
    struct mo m = {.bytes = bytes};
    if (bytes.n < 28 || bytes.n > UINT32_MAX)
        return FAIL(f, ERR_INPUT, "not a .mo file");
    uint32_t magic = word(&m, 0);
    m.swapped = magic == bswap_32(MAGIC);
    if (magic != MAGIC && !m.swapped)
        return FAIL(f, ERR_INPUT, "not a .mo file");
    if (word(&m, 4) >> 16 != 0)
        return FAIL(f, ERR_INPUT, "a .mo file of an unknown version");
    m.n = word(&m, 8);
    m.originals = word(&m, 12);
    m.translations = word(&m, 16);
    uint64_t size = (uint64_t)m.n * 8;
    if (m.originals + size > bytes.n || m.translations + size > bytes.n)
        return FAIL(f, ERR_INPUT, "a .mo file that is cut off");
    *out = m;
    return OK;
}

static bool string_at(const struct mo *m, size_t table, uint32_t i, str *out)
{
    uint64_t n = word(m, table + (size_t)i * 8), at = word(m, table + (size_t)i * 8 + 4);
    if (at + n > m->bytes.n)
        return false;
    *out = str_of(m->bytes.p + at, n);
    return true;
}

enum err mo_entry(const struct mo *m, uint32_t i, str *key, bool *plural, str *forms,
                  struct fault *f)
{
    str original;
    if (i >= m->n || !string_at(m, m->originals, i, &original) ||
        !string_at(m, m->translations, i, forms))
        return FAIL(f, ERR_INPUT, "a .mo file that is cut off");
    str after;
    *plural = str_cut(original, '\0', key, &after);
    if (!*plural)
        *key = original;
    return OK;
}

str mo_header(const struct mo *m, const char *field)
{
    str key, forms;
    bool plural;
    for (uint32_t i = 0; i < m->n; i++) {
        if (mo_entry(m, i, &key, &plural, &forms, NULL) != OK || key.n != 0)
            continue;
        str line, rest = forms, name, value;
        while (rest.n > 0) {
            if (!str_cut(rest, '\n', &line, &rest)) {
                line = rest;
                rest = (str){NULL, 0};
            }
            if (str_cut(line, ':', &name, &value) && str_is(name, field))
                return str_trim(value);
        }
    }
    return (str){NULL, 0};
}

/* ---- plural expressions: C's, over n ---- */

struct parser {
    str s;
    struct plural *p;
    bool bad;
    int depth;
};

static int node(struct parser *x, char op, int64_t value, int a, int b, int c)
{
    if (x->p->n >= (int)COUNT(x->p->nodes)) {
        x->bad = true;
        return 0;
    }
    x->p->nodes[x->p->n] = (struct plural_node){op, value, a, b, c};
    return x->p->n++;
}

static bool take(struct parser *x, const char *token)
{
    x->s = str_trim(x->s);
    if (!str_starts(x->s, str_from(token)))
        return false;
    x->s = str_skip(x->s, strlen(token));
    return true;
}

static int ternary(struct parser *x);

static int primary(struct parser *x)
{
    if (++x->depth > 32) {
        x->bad = true;
        return 0;
    }
    int r = 0;
    x->s = str_trim(x->s);
    if (take(x, "(")) {
        r = ternary(x);
        x->bad |= !take(x, ")");
    } else if (take(x, "!")) {
        r = node(x, '!', 0, primary(x), 0, 0);
    } else if (take(x, "n")) {
        r = node(x, 'n', 0, 0, 0, 0);
    } else {
        size_t n = 0;
        int64_t v;
        while (n < x->s.n && n < 10 && x->s.p[n] >= '0' && x->s.p[n] <= '9')
            n++;
        if (str_to_int(str_head(x->s, n), &v))
            r = node(x, '#', v, 0, 0, 0);
        else
            x->bad = true;
        x->s = str_skip(x->s, n);
    }
    x->depth--;
    return r;
}

/* Operators from the tightest to the loosest; longer tokens before their beginnings. */
static const struct level {
    struct {
        const char *token;
        char op;
    } ops[4];
} levels[] = {
    {{{"*", '*'}, {"/", '/'}, {"%", '%'}}},
    {{{"+", '+'}, {"-", '-'}}},
    {{{"<=", 'l'}, {">=", 'g'}, {"<", '<'}, {">", '>'}}},
    {{{"==", '='}, {"!=", '~'}}},
    {{{"&&", '&'}}},
    {{{"||", '|'}}},
};

static int binary(struct parser *x, int level)
{
    if (level < 0)
        return primary(x);
    int a = binary(x, level - 1);
    for (bool more = true; more && !x->bad;) {
        more = false;
        for (size_t i = 0; i < COUNT(levels[level].ops) && levels[level].ops[i].token; i++) {
            if (!take(x, levels[level].ops[i].token))
                continue;
            a = node(x, levels[level].ops[i].op, 0, a, binary(x, level - 1), 0);
            more = true;
            break;
        }
    }
    return a;
}

static int ternary(struct parser *x)
{
    int a = binary(x, (int)COUNT(levels) - 1);
    if (x->bad || !take(x, "?"))
        return a;
    int b = ternary(x);
    x->bad |= !take(x, ":");
    int c = x->bad ? 0 : ternary(x);
    return node(x, '?', 0, a, b, c);
}

enum err plural_parse(str s, struct plural *out)
{
    struct parser x = {.s = s, .p = out};
    *out = (struct plural){0};
    if (!take(&x, "nplurals") || !take(&x, "="))
        return ERR_INPUT;
    x.s = str_trim(x.s);
    if (x.s.n == 0 || x.s.p[0] < '1' || x.s.p[0] > '9')
        return ERR_INPUT;
    out->forms = x.s.p[0] - '0';
    x.s = str_skip(x.s, 1);
    if (!take(&x, ";") || !take(&x, "plural") || !take(&x, "="))
        return ERR_INPUT;
    out->root = ternary(&x);
    take(&x, ";");
    return x.bad || str_trim(x.s).n != 0 ? ERR_INPUT : OK;
}

static int64_t evaluate(const struct plural *p, int i, int64_t n)
{
    const struct plural_node *x = &p->nodes[i];
    if (x->op == 'n')
        return n;
    if (x->op == '#')
        return x->value;
    int64_t a = evaluate(p, x->a, n);
    if (x->op == '!')
        return !a;
    if (x->op == '?')
        return evaluate(p, a ? x->b : x->c, n);
    int64_t b = evaluate(p, x->b, n), r = 0;
    switch (x->op) {
    case '*':
        return __builtin_mul_overflow(a, b, &r) ? 0 : r;
    case '/':
        return b <= 0 ? 0 : a / b;
    case '%':
        return b <= 0 ? 0 : a % b;
    case '+':
        return __builtin_add_overflow(a, b, &r) ? 0 : r;
    case '-':
        return __builtin_sub_overflow(a, b, &r) ? 0 : r;
    case 'l':
        return a <= b;
    case 'g':
        return a >= b;
    case '<':
        return a < b;
    case '>':
        return a > b;
    case '=':
        return a == b;
    case '~':
        return a != b;
    case '&':
        return a && b;
    default:
        return a || b;
    }
}

int plural_choose(const struct plural *p, int64_t n)
{
    if (p->n == 0)
        return 0;
    int64_t form = evaluate(p, p->root, n < 0 ? (n == INT64_MIN ? 0 : -n) : n);
    return form < 0 || form >= p->forms ? p->forms - 1 : (int)form;
}
