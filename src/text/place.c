/*
 * Where in HTML each value of a template stands. The source's own text is followed with a small
 * tokenizer (WHATWG HTML §13.2.5, the states that a template of ours can be in); what stands in a
 * section must end in the state in which it began, a partial and a block stand between tags. So
 * every value's place is known when the template compiles, and escaping can be right by
 * construction.
 */
#include "text/template_nodes.h"

#include <string.h>
#include <strings.h>

enum state {
    IN_TEXT,
    IN_TAG_OPEN,  /* after "<" */
    IN_TAG_NAME,
    IN_TAG,       /* between attributes */
    IN_ATTR_NAME,
    IN_ATTR_EQUALS, /* after "=" */
    IN_VALUE,       /* in double quotes */
    IN_MARKUP,      /* <! … > */
    IN_COMMENT,
    IN_RAW,         /* script, style */
};

enum { NAME_BYTES = 24 };

struct scan {
    const struct template *t;
    struct fault *fault;
    enum state state;
    char tag[NAME_BYTES];
    char attr[NAME_BYTES];
    bool at_start; /* of the attribute's value */
};

static enum err walk(struct scan *s, struct node *n);

static void name_add(char *name, char c)
{
    size_t n = strlen(name);
    if (n + 1 < NAME_BYTES) {
        name[n] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        name[n + 1] = '\0';
    }
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool one_of(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static bool is_url_attr(const char *name)
{
    static const char *const list[] = {"href", "src", "action", "formaction", "poster", "cite"};
    return one_of(name, list, COUNT(list));
}

/* Attributes whose values are programs or lists of URLs: no value goes there. */
static bool is_forbidden_attr(const char *name)
{
    static const char *const list[] = {"style", "srcdoc", "srcset", "ping", "archive", "background"};
    return strncmp(name, "on", 2) == 0 || one_of(name, list, COUNT(list));
}

static void tag_done(struct scan *s)
{
    bool raw = strcmp(s->tag, "script") == 0 || strcmp(s->tag, "style") == 0;
    s->state = raw ? IN_RAW : IN_TEXT;
}

static enum err step(struct scan *s, int line, char c)
{
    switch (s->state) {
    case IN_TEXT:
        if (c == '<')
            s->state = IN_TAG_OPEN;
        return OK;
    case IN_TAG_OPEN:
        s->tag[0] = '\0';
        if (c == '!') {
            s->state = IN_MARKUP;
        } else if (c == '/' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            name_add(s->tag, c);
            s->state = IN_TAG_NAME;
        } else {
            return template_fail_at(s->fault, s->t, line, STR("a < that begins no tag: write &lt;"));
        }
        return OK;
    case IN_TAG_NAME:
        if (c == '>')
            tag_done(s);
        else if (is_white(c) || c == '/')
            s->state = IN_TAG;
        else
            name_add(s->tag, c);
        return OK;
    case IN_TAG:
        if (c == '>') {
            tag_done(s);
        } else if (!is_white(c) && c != '/') {
            s->attr[0] = '\0';
            name_add(s->attr, c);
            s->state = IN_ATTR_NAME;
        }
        return OK;
    case IN_ATTR_NAME:
        if (c == '>')
            tag_done(s);
        else if (c == '=')
            s->state = IN_ATTR_EQUALS;
        else if (is_white(c) || c == '/')
            s->state = IN_TAG;
        else
            name_add(s->attr, c);
        return OK;
    case IN_ATTR_EQUALS:
        if (c != '"')
            return template_fail_at(s->fault, s->t, line,
                                    STR("an attribute's value must be in double quotes"));
        s->state = IN_VALUE;
        s->at_start = true;
        return OK;
    case IN_VALUE:
        if (c == '"')
            s->state = IN_TAG;
        s->at_start = false;
        return OK;
    case IN_MARKUP:
        if (c == '>')
            s->state = IN_TEXT;
        else if (c == '-')
            s->state = IN_COMMENT;
        return OK;
    case IN_COMMENT:
    case IN_RAW:
        return OK; /* their ends are found as words */
    }
    return OK;
}

static enum err walk_text(struct scan *s, const struct node *n)
{
    for (size_t i = 0; i < n->text.n; i++) {
        str rest = str_skip(n->text, i);
        if (s->state == IN_COMMENT && str_starts(rest, STR("-->"))) {
            s->state = IN_TEXT;
            i += 2;
        } else if (s->state == IN_RAW && rest.n >= 2 && strncmp(rest.p, "</", 2) == 0) {
            s->state = IN_TAG_OPEN;
        } else {
            TRY(step(s, n->line, n->text.p[i]));
        }
    }
    return OK;
}

static enum err place_of(struct scan *s, struct node *n)
{
    if (s->state == IN_TEXT) {
        n->place = PLACE_TEXT;
        return OK;
    }
    if (s->state != IN_VALUE)
        return template_fail_at(s->fault, s->t, n->line,
                                STR("a value can stand in text or in a double-quoted attribute only"));
    if (is_forbidden_attr(s->attr))
        return template_fail_at(s->fault, s->t, n->line, STR("no value can stand in this attribute"));
    if (!is_url_attr(s->attr))
        n->place = PLACE_ATTRIBUTE;
    else
        n->place = s->at_start ? PLACE_URL : PLACE_URL_PART;
    s->at_start = false;
    return OK;
}

static enum err walk_inside(struct scan *s, struct node *n)
{
    struct scan before = *s;
    TRY(walk(s, n->first));
    if (s->state == IN_ATTR_NAME)
        s->state = IN_TAG; /* {{#x}}checked{{/x}}: the name ends with the section */
    bool same = s->state == before.state &&
                (s->state != IN_VALUE || strcmp(s->attr, before.attr) == 0);
    if (!same)
        return template_fail_at(s->fault, s->t, n->line,
                                STR("a section must end where in the HTML it began"));
    return OK;
}

static enum err walk(struct scan *s, struct node *n)
{
    for (; n != NULL; n = n->next) {
        switch (n->kind) {
        case NODE_LINE:
            break;
        case NODE_TEXT:
            TRY(walk_text(s, n));
            break;
        case NODE_VALUE:
        case NODE_MESSAGE:
            TRY(place_of(s, n));
            break;
        case NODE_SECTION:
        case NODE_INVERTED:
            TRY(walk_inside(s, n));
            break;
        case NODE_PARTIAL:
        case NODE_PARENT:
        case NODE_BLOCK:
            if (s->state != IN_TEXT)
                return template_fail_at(s->fault, s->t, n->line,
                                        STR("a partial or block must stand between tags"));
            if (n->kind == NODE_PARENT) {
                for (struct node *b = n->first; b != NULL; b = b->next)
                    TRY(walk_inside(s, b));
            } else if (n->kind == NODE_BLOCK) {
                TRY(walk_inside(s, n));
            }
            break;
        }
    }
    return OK;
}

enum err template_places(struct template *t, struct fault *f)
{
    struct scan s = {.t = t, .fault = f, .state = IN_TEXT};
    TRY(walk(&s, t->nodes));
    if (s.state != IN_TEXT)
        return template_fail_at(f, t, 0, STR("the template ends within a tag"));
    return OK;
}
