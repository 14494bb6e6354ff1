/* The compiled set and its rendering. Reading a source into nodes is in template_parse.c. */
#include "text/template_nodes.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"

enum { MAX_DEPTH = 64, MAX_STACK = 64 };

struct template_set *template_set_new(struct arena *a, enum template_dialect dialect,
                                      const struct catalog *catalog)
{
    struct template_set *s = ARENA_NEW(a, struct template_set);
    s->arena = a;
    s->dialect = dialect;
    s->catalog = catalog;
    return s;
}

void template_add(struct template_set *s, str name, str source)
{
    for (struct template *t = s->first; t != NULL; t = t->next) {
        if (str_eq(t->name, name)) {
            t->source = source;
            return;
        }
    }
    struct template *t = ARENA_NEW(s->arena, struct template);
    t->name = str_dup(s->arena, name);
    t->source = source;
    t->next = s->first;
    s->first = t;
}

static struct template *find(const struct template_set *s, str name)
{
    for (struct template *t = s->first; t != NULL; t = t->next)
        if (str_eq(t->name, name))
            return t;
    return NULL;
}

bool template_has(const struct template_set *s, str name)
{
    return find(s, name) != NULL;
}

/* Partials and parents are found once, so that rendering looks up no template by name. */
static enum err link_nodes(struct template_set *s, struct template *t, struct node *n,
                           struct fault *f)
{
    for (; n != NULL; n = n->next) {
        if ((n->kind == NODE_PARTIAL || n->kind == NODE_PARENT) && !n->dynamic) {
            n->target = find(s, n->name);
            if (n->target == NULL && s->dialect != TEMPLATE_SPEC)
                return FAIL(f, ERR_INPUT, "%.*s:%d: there is no template %.*s", STR_FMT(t->name),
                            n->line, STR_FMT(n->name));
        }
        TRY(link_nodes(s, t, n->first, f));
    }
    return OK;
}

enum err template_compile(struct template_set *s, struct fault *f)
{
    for (struct template *t = s->first; t != NULL; t = t->next)
        TRY(template_parse(s, t, f));
    for (struct template *t = s->first; t != NULL; t = t->next)
        TRY(link_nodes(s, t, t->nodes, f));
    return OK;
}

/* ---- rendering ---- */

/* Blocks given by a parent tag; where several give the same, the outermost wins. */
struct overrides {
    const struct node *parent;
    const struct overrides *outer; /* those that go before ours */
};

struct renderer {
    const struct template_set *set;
    const struct template *current;
    const struct locale *locale;
    struct buf *out;
    struct fault *fault;
    const json_t *stack[MAX_STACK];
    int depth; /* of the stack */
    int level; /* of templates */
    str indent;
    str pending;  /* to be written before anything else on this line */
    bool started; /* something stands on this line */
};

static enum err render_nodes(struct renderer *r, const struct node *n, const struct overrides *o);

static void flush(struct renderer *r)
{
    if (r->pending.n > 0)
        buf_put(r->out, r->pending);
    r->pending = (str){NULL, 0};
    r->started = true;
}

static void put_text(struct renderer *r, str s)
{
    if (s.n == 0)
        return;
    flush(r);
    buf_put(r->out, s);
    if (s.p[s.n - 1] == '\n')
        r->started = false;
}

#define FAIL_AT(r, n, ...)                                                                         \
    template_fail_at((r)->fault, (r)->current, (n)->line, str_fmt((r)->out->arena, __VA_ARGS__))

enum err template_fail_at(struct fault *f, const struct template *t, int line, str why)
{
    return FAIL(f, ERR_INPUT, "%.*s:%d: %.*s", STR_FMT(t->name), line, STR_FMT(why));
}

static const json_t *member(const json_t *object, str name)
{
    return json_is_object(object) ? json_object_getn(object, name.p, name.n) : NULL;
}

/* The value of a (dotted) name: its first part is searched from the innermost context outwards,
 * the rest within what was found. NULL where there is none. */
static const json_t *lookup(const struct renderer *r, const struct path *p)
{
    if (p->n == 0)
        return r->stack[r->depth - 1];
    const json_t *v = NULL;
    for (int i = r->depth - 1; i >= 0 && v == NULL; i--)
        v = member(r->stack[i], p->parts[0]);
    for (size_t k = 1; k < p->n && v != NULL; k++)
        v = member(v, p->parts[k]);
    return v;
}

static enum err find_value(struct renderer *r, const struct node *n, const json_t **out)
{
    *out = lookup(r, &n->path);
    if (*out == NULL && r->set->dialect != TEMPLATE_SPEC)
        return FAIL_AT(r, n, "the view has no %.*s", STR_FMT(n->name));
    return OK;
}

static str real_text(struct arena *a, double v)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        double again = 0;
        if (sscanf(text, "%lf", &again) == 1 && again == v)
            break;
    }
    return str_dup(a, str_from(text));
}

static enum err value_text(struct renderer *r, const struct node *n, const json_t *v, str *out)
{
    switch (v == NULL ? JSON_NULL : json_typeof(v)) {
    case JSON_STRING:
        *out = json_str(v);
        return OK;
    case JSON_INTEGER:
        *out = str_fmt(r->out->arena, "%lld", (long long)json_integer_value(v));
        return OK;
    case JSON_REAL:
        *out = real_text(r->out->arena, json_real_value(v));
        return OK;
    case JSON_NULL:
        *out = (str){NULL, 0};
        return OK;
    default:
        if (r->set->dialect != TEMPLATE_SPEC)
            return FAIL_AT(r, n, "%.*s is no text and no number", STR_FMT(n->name));
        *out = json_is_true(v) ? STR("true") : json_is_false(v) ? STR("false") : (str){NULL, 0};
        return OK;
    }
}

static void put_escaped(struct buf *b, str s, bool apostrophe)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *e = NULL;
        switch (s.p[i]) {
        case '&':
            e = "&amp;";
            break;
        case '<':
            e = "&lt;";
            break;
        case '>':
            e = "&gt;";
            break;
        case '"':
            e = "&quot;";
            break;
        case '\'':
            e = apostrophe ? "&#39;" : NULL;
            break;
        default:
            break;
        }
        if (e == NULL)
            continue;
        buf_put(b, str_of(s.p + from, i - from));
        buf_text(b, e);
        from = i + 1;
    }
    buf_put(b, str_skip(s, from));
}

/* A whole URL that comes from a value: a path of ours, or one of four harmless schemes. */
static bool url_ok(str s)
{
    if (s.n > 0 && (s.p[0] == '/' || s.p[0] == '#' || s.p[0] == '?'))
        return !str_starts(s, STR("//")) && !str_starts(s, STR("/\\"));
    return str_starts(s, STR("https://")) || str_starts(s, STR("http://")) ||
           str_starts(s, STR("mailto:")) || str_starts(s, STR("geo:"));
}

/* Writes a value for the place where it stands. */
static enum err put_value(struct renderer *r, const struct node *n, str s, enum place place)
{
    flush(r);
    switch (place) {
    case PLACE_PLAIN:
        buf_put(r->out, s);
        return OK;
    case PLACE_SPEC:
        put_escaped(r->out, s, false);
        return OK;
    case PLACE_TEXT:
    case PLACE_ATTRIBUTE:
        put_escaped(r->out, s, true);
        return OK;
    case PLACE_URL:
        if (!url_ok(s))
            return FAIL_AT(r, n, "the value of %.*s is no URL for a page", STR_FMT(n->name));
        put_escaped(r->out, s, true);
        return OK;
    case PLACE_URL_PART:
        buf_put(r->out, percent_encode(r->out->arena, s));
        return OK;
    }
    return ERR_IO;
}

/* ---- texts by key ---- */

static enum err piece_value(struct renderer *r, const struct node *n, str name, str *out)
{
    struct path p = {.n = 0};
    str rest = name;
    while (p.n < COUNT(p.parts) && str_cut(rest, '.', &p.parts[p.n], &rest))
        p.n++;
    if (p.n < COUNT(p.parts))
        p.parts[p.n++] = rest;
    const json_t *v = lookup(r, &p);
    if (v == NULL)
        return FAIL_AT(r, n, "the view has no %.*s, which the text %.*s needs", STR_FMT(name),
                       STR_FMT(n->name));
    return value_text(r, n, v, out);
}

static enum err put_link(struct renderer *r, const struct node *n, const struct piece *p)
{
    str url = p->url;
    if (p->name.n > 0)
        TRY(piece_value(r, n, p->name, &url));
    if (n->place == PLACE_PLAIN) {
        buf_put(r->out, p->text);
        buf_text(r->out, " (");
        buf_put(r->out, url);
        buf_text(r->out, ")");
        return OK;
    }
    if (n->place != PLACE_TEXT)
        return FAIL_AT(r, n, "the text %.*s has a link, which cannot stand here", STR_FMT(n->name));
    buf_text(r->out, "<a href=\"");
    TRY(put_value(r, n, url, PLACE_URL));
    buf_text(r->out, "\">");
    put_escaped(r->out, p->text, true);
    buf_text(r->out, "</a>");
    return OK;
}

static enum err render_message(struct renderer *r, const struct node *n)
{
    const struct catalog *c = r->set->catalog;
    int key = n->key;
    if (n->dynamic) {
        const json_t *v;
        TRY(find_value(r, n, &v));
        key = catalog_key(c, json_str(v));
        if (key < 0)
            return FAIL_AT(r, n, "there is no text %.*s", STR_FMT(json_str(v)));
    }
    int64_t count = 0;
    if (catalog_has_plural(c, key)) {
        static const struct path path = {.parts = {{"count", 5}}, .n = 1};
        const json_t *v = lookup(r, &path);
        if (!json_is_integer(v))
            return FAIL_AT(r, n, "the text %.*s needs a count", STR_FMT(n->name));
        count = json_integer_value(v);
    }
    flush(r);
    const struct message *m = catalog_message(c, r->locale->language, key, count);
    for (size_t i = 0; i < m->n; i++) {
        const struct piece *p = &m->pieces[i];
        if (p->kind == PIECE_TEXT) {
            TRY(put_value(r, n, p->text, n->place));
        } else if (p->kind == PIECE_LINK) {
            TRY(put_link(r, n, p));
        } else {
            str s;
            TRY(piece_value(r, n, p->name, &s));
            TRY(put_value(r, n, format_value(r->out->arena, r->locale, p->format, s), n->place));
        }
    }
    return OK;
}

/* ---- sections, partials, blocks ---- */

static bool is_falsy(const json_t *v)
{
    return v == NULL || json_is_null(v) || json_is_false(v) ||
           (json_is_array(v) && json_array_size(v) == 0);
}

static enum err render_with(struct renderer *r, const struct node *n, const json_t *v,
                            const struct overrides *o)
{
    if (r->depth == MAX_STACK)
        return FAIL(r->fault, ERR_LIMIT, "%.*s:%d: sections too deep", STR_FMT(r->current->name),
                    n->line);
    r->stack[r->depth++] = v;
    enum err e = render_nodes(r, n->first, o);
    r->depth--;
    return e;
}

static enum err render_section(struct renderer *r, const struct node *n, const struct overrides *o)
{
    const json_t *v;
    TRY(find_value(r, n, &v));
    if (n->kind == NODE_INVERTED)
        return is_falsy(v) ? render_nodes(r, n->first, o) : OK;
    if (is_falsy(v))
        return OK;
    if (!json_is_array(v))
        return render_with(r, n, v, o);
    for (size_t i = 0; i < json_array_size(v); i++)
        TRY(render_with(r, n, json_array_get(v, i), o));
    return OK;
}

static str join(struct renderer *r, str a, str b)
{
    return a.n == 0 ? b : b.n == 0 ? a : str_fmt(r->out->arena, "%.*s%.*s", STR_FMT(a), STR_FMT(b));
}

/* Another template, its lines indented by what stood before the tag. */
static enum err render_target(struct renderer *r, const struct node *n, const struct template *t,
                              const struct overrides *o)
{
    if (t == NULL)
        return OK;
    if (r->level == MAX_DEPTH)
        return FAIL(r->fault, ERR_LIMIT, "%.*s:%d: templates too deep", STR_FMT(r->current->name),
                    n->line);
    const struct template *caller = r->current;
    str indent = r->indent;
    if (!n->standalone)
        flush(r);
    r->indent = join(r, r->indent, n->indent);
    r->current = t;
    r->level++;
    enum err e = render_nodes(r, t->nodes, o);
    r->level--;
    r->current = caller;
    r->indent = indent;
    return e;
}

static const struct node *block_in(const struct node *parent, str name)
{
    for (const struct node *n = parent->first; n != NULL; n = n->next)
        if (n->kind == NODE_BLOCK && str_eq(n->name, name))
            return n;
    return NULL;
}

/* What stands for a block: the outermost override, or its own content. */
static enum err render_block(struct renderer *r, const struct node *n, const struct overrides *o)
{
    const struct node *content = n;
    for (const struct overrides *x = o; x != NULL; x = x->outer) {
        const struct node *found = block_in(x->parent, n->name);
        if (found != NULL)
            content = found;
    }
    /* An override may hold the very block that it overrides. */
    if (r->level == MAX_DEPTH)
        return FAIL(r->fault, ERR_LIMIT, "%.*s:%d: blocks too deep", STR_FMT(r->current->name),
                    n->line);
    str indent = r->indent;
    r->indent = join(r, r->indent, n->indent);
    if (n->standalone && !r->started)
        r->pending = r->indent;
    else if (!n->standalone)
        flush(r);
    r->level++;
    enum err e = render_nodes(r, content->first, o);
    r->level--;
    r->indent = indent;
    return e;
}

static enum err render_node(struct renderer *r, const struct node *n, const struct overrides *o)
{
    switch (n->kind) {
    case NODE_LINE:
        if (r->started)
            put_text(r, n->indent); /* within a line: blanks are just that */
        else
            r->pending = join(r, r->indent, n->indent);
        return OK;
    case NODE_TEXT:
        put_text(r, n->text);
        return OK;
    case NODE_VALUE: {
        const json_t *v;
        str s;
        TRY(find_value(r, n, &v));
        TRY(value_text(r, n, v, &s));
        if (n->format != FORMAT_NONE)
            s = format_value(r->out->arena, r->locale, n->format, s);
        return put_value(r, n, s, n->place);
    }
    case NODE_MESSAGE:
        return render_message(r, n);
    case NODE_SECTION:
    case NODE_INVERTED:
        return render_section(r, n, o);
    case NODE_PARTIAL:
        return render_target(r, n, n->target, NULL);
    case NODE_PARENT: {
        struct overrides mine = {n, o};
        return render_target(r, n, n->target, &mine);
    }
    case NODE_BLOCK:
        return render_block(r, n, o);
    }
    return ERR_IO;
}

static enum err render_nodes(struct renderer *r, const struct node *n, const struct overrides *o)
{
    for (; n != NULL; n = n->next)
        TRY(render_node(r, n, o));
    return OK;
}

enum err template_render(const struct template_set *s, str name, const json_t *view,
                         const struct locale *locale, struct buf *out, struct fault *f)
{
    const struct template *t = find(s, name);
    if (t == NULL)
        return FAIL(f, ERR_NOT_FOUND, "there is no template %.*s", STR_FMT(name));
    struct renderer r = {.set = s, .current = t, .locale = locale, .out = out, .fault = f};
    r.stack[r.depth++] = view;
    TRY(render_nodes(&r, t->nodes, NULL));
    if (r.pending.n > 0)
        flush(&r);
    if (out->over)
        return FAIL(f, ERR_LIMIT, "%.*s: the page is larger than %zu bytes", STR_FMT(name), out->max);
    return OK;
}
