/*
 * Reading a template: source to items (texts and tags), items by line (what stands alone on its
 * line leaves no trace of it), items to a tree.
 */
#include "text/template_nodes.h"

#include <string.h>

#include "base/codec.h"

enum { MAX_NESTING = 64, MAX_DELIMITER = 16 };

struct item {
    char sigil; /* 0: text; 'v': a value; else the tag's own character */
    bool drop;
    bool standalone;
    bool line_start; /* a line begins here, with `indent` */
    int line;
    str text;   /* text, or what stands in the tag */
    str indent; /* of the line */
};

struct parser {
    struct template_set *set;
    struct template *t;
    struct fault *fault;
    struct item *items;
    size_t n, cap;
    size_t at; /* building the tree */
    int line;
    str open, close; /* delimiters */
};

#define FAIL_LINE(p, line, why) template_fail_at((p)->fault, (p)->t, (line), (why))

/* ---- source to items ---- */

static void add_item(struct parser *p, char sigil, str text)
{
    ARENA_GROW(p->set->arena, p->items, p->cap, p->n + 1);
    p->items[p->n++] = (struct item){.sigil = sigil, .text = text, .line = p->line};
    for (size_t i = 0; i < text.n; i++)
        p->line += text.p[i] == '\n';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_blank(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_space(s.p[i]) && s.p[i] != '\n' && s.p[i] != '\r')
            return false;
    return true;
}

/* Tags that may stand alone on a line; `inherit` are those that may do so together. */
static bool may_stand_alone(char sigil)
{
    return strchr("#^/!=><$", sigil) != NULL && sigil != '\0';
}

enum alone { ALONE_NOT, ALONE_YES, ALONE_BLOCK };

/*
 * Do the items of a line stand alone? One tag does, and so do several that belong to inheritance;
 * a block that opens and closes on its line (ALONE_BLOCK) leaves the line's end.
 */
static enum alone stands_alone(const struct parser *p, size_t from, size_t to)
{
    size_t tags = 0;
    bool inherit = true;
    const struct item *first = NULL, *last = NULL;
    for (size_t i = from; i < to; i++) {
        const struct item *x = &p->items[i];
        if (x->sigil == 0) {
            if (!is_blank(x->text))
                return ALONE_NOT;
            continue;
        }
        if (!may_stand_alone(x->sigil))
            return ALONE_NOT;
        inherit &= x->sigil == '<' || x->sigil == '$' || x->sigil == '/';
        first = first ? first : x;
        last = x;
        tags++;
    }
    if (tags == 1)
        return ALONE_YES;
    if (tags == 0 || !inherit)
        return ALONE_NOT;
    if (tags == 2 && first->sigil == '$' && last->sigil == '/')
        return ALONE_BLOCK;
    return ALONE_YES;
}

static str leading_blanks(str s)
{
    size_t n = 0;
    while (n < s.n && is_space(s.p[n]))
        n++;
    return str_head(s, n);
}

static str line_end(str s)
{
    return str_ends(s, STR("\r\n")) ? str_skip(s, s.n - 2)
           : str_ends(s, STR("\n")) ? str_skip(s, s.n - 1)
                                    : (str){NULL, 0};
}

/* Settles the items of one line. */
static void end_line(struct parser *p, size_t from, size_t to)
{
    if (from == to)
        return;
    struct item *first = &p->items[from];
    str indent = first->sigil == 0 ? leading_blanks(first->text) : (str){NULL, 0};
    enum alone alone = stands_alone(p, from, to);
    if (alone == ALONE_NOT) {
        first->line_start = true;
        first->indent = indent;
        if (first->sigil == 0)
            first->text = str_skip(first->text, indent.n);
        return;
    }
    for (size_t i = from; i < to; i++) {
        struct item *x = &p->items[i];
        if (x->sigil != 0) {
            x->standalone = true;
            x->indent = indent;
        } else if (alone == ALONE_BLOCK && i + 1 == to) {
            x->text = line_end(x->text);
        } else {
            x->drop = true;
        }
    }
}

static enum err set_delimiters(struct parser *p, str inside)
{
    str s = str_trim(inside);
    size_t n = 0;
    while (n < s.n && !is_space(s.p[n]) && s.p[n] != '\n')
        n++;
    str open = str_head(s, n), close = str_trim(str_skip(s, n));
    if (open.n == 0 || close.n == 0 || open.n > MAX_DELIMITER || close.n > MAX_DELIMITER ||
        str_has(open, '=') || str_has(close, '=') || str_has(close, ' '))
        return FAIL_LINE(p, p->line, STR("these cannot be delimiters"));
    p->open = open;
    p->close = close;
    return OK;
}

/* Reads one tag at the start of *rest, which begins with the opening delimiter. */
static enum err read_tag(struct parser *p, str *rest)
{
    str s = str_skip(*rest, p->open.n);
    char sigil = s.n > 0 && strchr("#^/!=><$&{", s.p[0]) && s.p[0] != '\0' ? s.p[0] : 'v';
    if (sigil == 'v' && p->set->dialect != TEMPLATE_SPEC && s.n > 0 && s.p[0] == '_')
        sigil = '_';
    str inner = sigil == 'v' ? s : str_skip(s, 1);
    char ending[MAX_DELIMITER + 2];
    size_t n = 0;
    if (sigil == '{' || sigil == '=')
        ending[n++] = sigil == '{' ? '}' : '=';
    memcpy(ending + n, p->close.p, p->close.n);
    n += p->close.n;
    const char *at = inner.n ? memmem(inner.p, inner.n, ending, n) : NULL;
    if (at == NULL)
        return FAIL_LINE(p, p->line, STR("a tag that does not end"));
    str inside = str_head(inner, (size_t)(at - inner.p));
    int line = p->line;
    add_item(p, sigil, inside);
    *rest = str_skip(inner, inside.n + n);
    if (sigil == '=')
        return set_delimiters(p, inside);
    str name = str_trim(inside);
    if (sigil != '!' && name.n == 0)
        return FAIL_LINE(p, line, STR("a tag without a name"));
    if (p->set->dialect == TEMPLATE_HTML && (sigil == '{' || sigil == '&'))
        return FAIL_LINE(p, line, STR("values that are not escaped do not compile"));
    return OK;
}

static enum err read_items(struct parser *p)
{
    str s = p->t->source;
    size_t line_from = 0;
    while (s.n > 0) {
        const char *tag = memmem(s.p, s.n, p->open.p, p->open.n);
        size_t n = tag ? (size_t)(tag - s.p) : s.n;
        const char *newline = n ? memchr(s.p, '\n', n) : NULL;
        if (newline != NULL) {
            n = (size_t)(newline - s.p) + 1;
            add_item(p, 0, str_head(s, n));
            s = str_skip(s, n);
            end_line(p, line_from, p->n);
            line_from = p->n;
            continue;
        }
        if (n > 0)
            add_item(p, 0, str_head(s, n));
        s = str_skip(s, n);
        if (s.n > 0)
            TRY(read_tag(p, &s));
    }
    end_line(p, line_from, p->n);
    return OK;
}

/* ---- items to a tree ---- */

static enum err read_path(struct parser *p, struct node *n, str name)
{
    n->path.n = 0;
    if (str_is(name, "."))
        return OK;
    str part, rest = name;
    for (bool more = true; more;) {
        more = str_cut(rest, '.', &part, &rest);
        if (!more)
            part = rest;
        if (part.n == 0 || n->path.n == MAX_PARTS)
            return FAIL_LINE(p, n->line, str_fmt(p->set->arena, "%.*s is no name", STR_FMT(name)));
        n->path.parts[n->path.n++] = part;
    }
    return OK;
}

/* {{name|format}}: only in our dialects, where a name is plain. */
static enum err read_value(struct parser *p, struct node *n)
{
    str name = n->name, format;
    if (p->set->dialect != TEMPLATE_SPEC && str_cut(n->name, '|', &name, &format)) {
        name = str_trim(name);
        n->format = format_named(str_trim(format));
        if (n->format == FORMAT_UNKNOWN)
            return FAIL_LINE(p, n->line,
                             str_fmt(p->set->arena, "there is no format %.*s", STR_FMT(format)));
    }
    return read_path(p, n, name);
}

static enum err read_message(struct parser *p, struct node *n)
{
    if (n->name.p[0] == '*') {
        n->dynamic = true;
        return read_path(p, n, str_skip(n->name, 1));
    }
    n->key = p->set->catalog ? catalog_key(p->set->catalog, n->name) : -1;
    if (n->key < 0)
        return FAIL_LINE(p, n->line,
                         str_fmt(p->set->arena, "there is no text %.*s", STR_FMT(n->name)));
    return OK;
}

static str without_prefix(str s, str prefix)
{
    return str_starts(s, prefix) ? str_skip(s, prefix.n) : s;
}

/* Takes the indentation that a block's content has of itself out of its lines. */
static void dedent(struct node *n, str prefix)
{
    for (; n != NULL; n = n->next) {
        if (n->kind == NODE_LINE || n->standalone)
            n->indent = without_prefix(n->indent, prefix);
        /* A nested block's content has lost its own already; a parent's blocks are arguments. */
        if (n->kind == NODE_SECTION || n->kind == NODE_INVERTED)
            dedent(n->first, prefix);
    }
}

static void settle_block(struct node *block)
{
    struct node *first = block->first;
    if (first == NULL || !(first->kind == NODE_LINE || first->standalone)) {
        if (!block->standalone)
            block->indent = (str){NULL, 0};
        return;
    }
    str own = first->indent;
    dedent(block->first, own);
    block->indent = block->standalone ? own : (str){NULL, 0};
}

static enum err read_nodes(struct parser *p, const struct item *opener, int depth,
                           struct node **out);

/* A parent tag's content: only its blocks count. */
static void keep_blocks(struct node *parent)
{
    struct node **link = &parent->first;
    for (struct node *n = parent->first; n != NULL; n = n->next) {
        if (n->kind != NODE_BLOCK)
            continue;
        *link = n;
        link = &n->next;
    }
    *link = NULL;
}

static enum err read_node(struct parser *p, const struct item *x, int depth, struct node *n)
{
    n->line = x->line;
    n->text = x->text;
    n->name = str_trim(x->text);
    n->standalone = x->standalone;
    n->indent = x->standalone ? x->indent : (str){NULL, 0};
    n->place = p->set->dialect == TEMPLATE_SPEC ? PLACE_SPEC : PLACE_PLAIN;
    switch (x->sigil) {
    case 0:
        n->kind = NODE_TEXT;
        return OK;
    case '{':
    case '&':
        n->place = PLACE_PLAIN;
        n->kind = NODE_VALUE;
        return read_value(p, n);
    case 'v':
        n->kind = NODE_VALUE;
        return read_value(p, n);
    case '_':
        n->kind = NODE_MESSAGE;
        return read_message(p, n);
    case '#':
    case '^':
        n->kind = x->sigil == '#' ? NODE_SECTION : NODE_INVERTED;
        TRY(read_path(p, n, n->name));
        return read_nodes(p, x, depth + 1, &n->first);
    case '>':
        n->kind = NODE_PARTIAL;
        return OK;
    case '<':
        n->kind = NODE_PARENT;
        TRY(read_nodes(p, x, depth + 1, &n->first));
        keep_blocks(n);
        return OK;
    default:
        n->kind = NODE_BLOCK;
        TRY(read_nodes(p, x, depth + 1, &n->first));
        settle_block(n);
        return OK;
    }
}

static struct node *append(struct parser *p, struct node ***tail)
{
    struct node *n = ARENA_NEW(p->set->arena, struct node);
    **tail = n;
    *tail = &n->next;
    return n;
}

static enum err read_nodes(struct parser *p, const struct item *opener, int depth,
                           struct node **out)
{
    struct node **tail = out;
    str opened = opener ? str_trim(opener->text) : (str){NULL, 0};
    int line = opener ? opener->line : 0;
    if (depth > MAX_NESTING)
        return FAIL_LINE(p, line, STR("sections nested too deep"));
    while (p->at < p->n) {
        const struct item x = p->items[p->at++];
        if (x.line_start && !(x.sigil == 0 && is_blank(x.text) && x.indent.n == 0)) {
            struct node *n = append(p, &tail);
            n->kind = NODE_LINE;
            n->indent = x.indent;
        }
        if (x.drop || x.sigil == '!' || x.sigil == '=' || (x.sigil == 0 && x.text.n == 0))
            continue;
        if (x.sigil == '/') {
            if (opener != NULL && str_eq(str_trim(x.text), opened))
                return OK;
            return FAIL_LINE(p, x.line, str_fmt(p->set->arena, "%.*s ends what did not begin",
                                                STR_FMT(str_trim(x.text))));
        }
        TRY(read_node(p, &x, depth, append(p, &tail)));
    }
    if (opener != NULL)
        return FAIL_LINE(p, line,
                         str_fmt(p->set->arena, "%.*s does not end", STR_FMT(opened)));
    return OK;
}

enum err template_parse(struct template_set *s, struct template *t, struct fault *f)
{
    struct parser p = {.set = s, .t = t, .fault = f, .line = 1, .open = STR("{{"), .close = STR("}}")};
    if (s->dialect != TEMPLATE_SPEC && (!utf8_valid(t->source) || str_has(t->source, '\0')))
        return FAIL_LINE(&p, 1, STR("not text in UTF-8"));
    TRY(read_items(&p));
    TRY(read_nodes(&p, NULL, 0, &t->nodes));
    return s->dialect == TEMPLATE_HTML ? template_places(t, f) : OK;
}
