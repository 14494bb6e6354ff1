/*
 * Where in HTML each value of a template stands. The source's own text is followed with a small
 * tokenizer (WHATWG HTML §13.2.5, the states that a template of ours can be in); what stands in a
 * section must end in the state in which it began, a partial and a block stand between tags. So
 * every value's place is known when the template compiles, and escaping can be right by
 * construction. What browsers mend (a quote in a tag, a blank before "=", "<!" in a script) is
 * refused: here and there it would be read differently.
 */
#include "text/template_nodes.h"

#include <stdio.h>
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
    char tag[NAME_BYTES]; /* "p", "/p"; of markup its beginning: "!", "!-" */
    char attr[NAME_BYTES];
    char word[NAME_BYTES]; /* IN_RAW: what may become the end tag */
    char only[NAME_BYTES]; /* IN_TEXT of title or textarea: no tag but its end */
    int dashes;            /* IN_COMMENT: just before */
    bool at_start;         /* of the attribute's value */
    bool glued;            /* IN_TAG: a name ended with its section; nothing may lengthen it */
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
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
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
    static const char *const list[] = {"href",   "src",  "action", "formaction",
                                       "poster", "cite", "data",   "manifest", "xlink:href"};
    return one_of(name, list, COUNT(list));
}

/* Attributes whose values are programs or lists of URLs: no value goes there. */
static bool is_forbidden_attr(const char *name)
{
    static const char *const list[] = {"style", "srcdoc", "srcset", "ping", "archive", "background"};
    return strncmp(name, "on", 2) == 0 || one_of(name, list, COUNT(list));
}

#define REFUSE(s, line, why) template_fail_at((s)->fault, (s)->t, (line), STR(why))

/* A tag has ended: what follows is text, or what only that element's end tag ends. */
static enum err tag_done(struct scan *s, int line)
{
    static const char *const raw[] = {"script",  "style",    "iframe",   "noembed",
                                      "noframes", "noscript", "plaintext", "xmp"};
    static const char *const text_only[] = {"title", "textarea"};
    if (s->only[0] && (s->tag[0] != '/' || strcmp(s->tag + 1, s->only) != 0))
        return REFUSE(s, line, "only text can stand in title and textarea");
    s->state = one_of(s->tag, raw, COUNT(raw)) ? IN_RAW : IN_TEXT;
    s->word[0] = s->only[0] = '\0';
    if (one_of(s->tag, text_only, COUNT(text_only)))
        memcpy(s->only, s->tag, sizeof s->only);
    return OK;
}

static enum err step_tag_name(struct scan *s, int line, char c)
{
    bool begins = strcmp(s->tag, "/") == 0;
    if (c == '>' && !begins)
        return tag_done(s, line);
    if ((is_white(c) || c == '/') && !begins)
        s->state = IN_TAG;
    else if (is_letter(c) || (!begins && ((c >= '0' && c <= '9') || c == '-')))
        name_add(s->tag, c);
    else
        return REFUSE(s, line, "a tag's name has letters, digits and hyphens");
    return OK;
}

/* Between attributes, and in their names. */
static enum err step_attr(struct scan *s, int line, char c)
{
    bool named = s->state == IN_ATTR_NAME;
    if (c == '"' || c == '\'' || c == '<' || (c == '=' && !named))
        return REFUSE(s, line, "an attribute is NAME or NAME=\"VALUE\"");
    if (is_white(c) || c == '/' || c == '>') {
        s->state = IN_TAG;
        s->glued = false;
        return c == '>' ? tag_done(s, line) : OK;
    }
    if (s->glued)
        return REFUSE(s, line, "a blank must stand after a section that ends with a name");
    if (named && c == '=') {
        s->state = IN_ATTR_EQUALS;
        return OK;
    }
    if (!named)
        s->attr[0] = '\0';
    name_add(s->attr, c);
    s->state = IN_ATTR_NAME;
    return OK;
}

/* <!doctype html> and <!-- comments -->, which end where a browser says that they end. */
static enum err step_markup(struct scan *s, int line, char c)
{
    if (s->state == IN_COMMENT) {
        if (c == '>' && s->dashes >= 2)
            s->state = IN_TEXT;
        if (c == '!' && s->dashes >= 2)
            return REFUSE(s, line, "--! in a comment");
        s->dashes = c == '-' ? s->dashes + 1 : 0;
        return OK;
    }
    if (c == '-' && strcmp(s->tag, "!-") == 0) {
        s->state = IN_COMMENT;
        s->dashes = 2;
    } else if (strcmp(s->tag, "!") == 0 || strcmp(s->tag, "!-") == 0) {
        if (!(is_letter(c) || (c == '-' && s->tag[1] == '\0')))
            return REFUSE(s, line, "<! begins a doctype or a comment");
        name_add(s->tag, c);
    } else if (c == '>') {
        s->state = IN_TEXT;
    }
    return OK;
}

/* In script, style and the like only their own end tag means anything. */
static enum err step_raw(struct scan *s, int line, char c)
{
    char end[NAME_BYTES + 2];
    snprintf(end, sizeof end, "</%s", s->tag);
    if (strcmp(s->word, end) == 0 && (is_white(c) || c == '/' || c == '>')) {
        s->tag[0] = '\0'; /* an end tag's name is of no interest */
        s->state = IN_TAG;
        return step_attr(s, line, c);
    }
    if (c == '!' && strcmp(s->word, "<") == 0)
        return REFUSE(s, line, "a comment in script or style");
    if (c == '<')
        s->word[0] = '\0';
    if (c == '<' || s->word[0])
        name_add(s->word, c);
    if (strncmp(s->word, end, strlen(s->word)) != 0)
        s->word[0] = '\0';
    return OK;
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
        if (!(c == '/' || c == '!' || is_letter(c)) || (c == '!' && s->only[0]))
            return REFUSE(s, line, "a < that begins no tag: write &lt;");
        name_add(s->tag, c);
        s->state = c == '!' ? IN_MARKUP : IN_TAG_NAME;
        return OK;
    case IN_TAG_NAME:
        return step_tag_name(s, line, c);
    case IN_TAG:
    case IN_ATTR_NAME:
        return step_attr(s, line, c);
    case IN_ATTR_EQUALS:
        if (c != '"')
            return REFUSE(s, line, "an attribute's value must be in double quotes");
        s->state = IN_VALUE;
        s->at_start = true;
        return OK;
    case IN_VALUE:
        if (c == '"')
            s->state = IN_TAG;
        s->at_start = false;
        return OK;
    case IN_MARKUP:
    case IN_COMMENT:
        return step_markup(s, line, c);
    case IN_RAW:
        return step_raw(s, line, c);
    }
    return OK;
}

static enum err walk_text(struct scan *s, const struct node *n)
{
    for (size_t i = 0; i < n->text.n; i++)
        TRY(step(s, n->line, n->text.p[i]));
    return OK;
}

static enum err place_of(struct scan *s, struct node *n)
{
    if (s->state == IN_TEXT) {
        n->place = s->only[0] ? PLACE_ATTRIBUTE : PLACE_TEXT; /* text that can hold no link */
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

/* What may be there or not, once or often: it leaves everything as it was. */
static enum err walk_inside(struct scan *s, struct node *n)
{
    struct scan before = *s;
    if (s->state != IN_TEXT && s->state != IN_TAG && s->state != IN_VALUE)
        return REFUSE(s, n->line, "a section must stand in text, between attributes or in a value");
    TRY(walk(s, n->first));
    if (s->state == IN_ATTR_NAME) {
        s->state = IN_TAG; /* {{#x}}checked{{/x}}: the name ends with the section */
        s->glued = true;
    }
    bool same = s->state == before.state && strcmp(s->only, before.only) == 0 &&
                (s->state == IN_TEXT || strcmp(s->tag, before.tag) == 0) &&
                (s->state != IN_VALUE || strcmp(s->attr, before.attr) == 0);
    if (!same)
        return REFUSE(s, n->line, "a section must end where in the HTML it began");
    s->at_start &= before.at_start;
    s->glued |= before.glued;
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
                return REFUSE(s, n->line, "a partial or block must stand between tags");
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
    if (s.state != IN_TEXT || s.only[0])
        return template_fail_at(f, t, 0, STR("the template ends within a tag"));
    return OK;
}
