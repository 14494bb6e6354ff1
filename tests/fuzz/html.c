#include "html.h"

#include <string.h>
#include <strings.h>

enum state {
    DATA,
    RAW, /* what a raw element holds, up to its end tag */
    TAG_NAME,
    BEFORE_NAME,
    ATTR_NAME,
    AFTER_NAME,
    BEFORE_VALUE,
    IN_DOUBLE,
    IN_SINGLE,
    UNQUOTED,
    AFTER_VALUE,
    COMMENT,
    BOGUS, /* a comment by mistake, or a doctype: up to ">" */
};

enum { NAME_MAX_BYTES = 40 };

struct page {
    str s;
    size_t i;
    enum state state;
    bool end_tag;
    char tag[NAME_MAX_BYTES], attr[NAME_MAX_BYTES];
    char raw[NAME_MAX_BYTES]; /* the element whose end tag ends RAW */
    int escaped;              /* script: 1 after "<!--", 2 also after "<script" */
};

static bool white(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void add(char *name, char c)
{
    size_t n = strlen(name);
    if (n + 1 < NAME_MAX_BYTES) {
        name[n] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        name[n + 1] = '\0';
    }
}

static bool ahead(const struct page *p, const char *word)
{
    size_t n = strlen(word);
    return p->s.n - p->i >= n && strncasecmp(p->s.p + p->i, word, n) == 0;
}

/* "</title" or "<script", and then something that ends a tag's name. */
static bool tag_ahead(const struct page *p, const char *opening, const char *name)
{
    size_t n = strlen(opening) + strlen(name);
    char word[NAME_MAX_BYTES + 2] = "";
    strncat(word, opening, 2);
    strncat(word, name, NAME_MAX_BYTES - 1);
    if (!ahead(p, word) || p->s.n - p->i <= n)
        return false;
    char c = p->s.p[p->i + n];
    return white(c) || c == '/' || c == '>';
}

static bool one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

static void end_of_tag(struct page *p)
{
    static const char *const raw[] = {"title",  "textarea", "style",   "xmp",      "iframe", "noembed",
                                      "noframes", "noscript", "script", "plaintext", NULL};
    p->state = DATA;
    if (p->end_tag || !one_of(p->tag, raw))
        return;
    p->state = RAW;
    p->escaped = 0;
    memcpy(p->raw, p->tag, sizeof p->raw);
}

static void begin_tag(struct page *p, bool end)
{
    p->end_tag = end;
    p->tag[0] = p->attr[0] = '\0';
    p->state = TAG_NAME;
    p->i += end ? 1 : 0; /* to the last byte before the name */
}

static void begin_comment(struct page *p)
{
    p->i += 3; /* the last byte of "<!--" */
    p->state = COMMENT;
    p->i++;
    if (ahead(p, ">"))
        p->state = DATA;
    else if (ahead(p, "->")) {
        p->i++;
        p->state = DATA;
    } else {
        p->i--;
    }
}

static void in_data(struct page *p)
{
    char next = p->i + 1 < p->s.n ? p->s.p[p->i + 1] : '\0';
    char after = p->i + 2 < p->s.n ? p->s.p[p->i + 2] : '\0';
    if (p->s.p[p->i] != '<')
        return;
    if (ahead(p, "<!--"))
        begin_comment(p);
    else if (next == '!' || next == '?' || (next == '/' && after != '>' && !letter(after)))
        p->state = BOGUS;
    else if (next == '/' && letter(after))
        begin_tag(p, true);
    else if (letter(next))
        begin_tag(p, false);
}

static void in_raw(struct page *p)
{
    char c = p->s.p[p->i];
    bool script = strcmp(p->raw, "script") == 0;
    if (strcmp(p->raw, "plaintext") == 0)
        return;
    if (script && p->escaped == 0 && ahead(p, "<!--")) {
        p->escaped = 1;
        p->i += 3;
    } else if (script && p->escaped && c == '>' && strncmp(p->s.p + p->i - 2, "--", 2) == 0) {
        p->escaped = 0;
    } else if (script && p->escaped == 1 && tag_ahead(p, "<", "script")) {
        p->escaped = 2;
    } else if (script && p->escaped == 2 && tag_ahead(p, "</", "script")) {
        p->escaped = 1;
    } else if (p->escaped < 2 && tag_ahead(p, "</", p->raw)) {
        begin_tag(p, true);
    }
}

static void before_name(struct page *p, char c)
{
    if (c == '>') {
        end_of_tag(p);
    } else if (!white(c) && c != '/') {
        p->attr[0] = '\0';
        add(p->attr, c);
        p->state = ATTR_NAME;
    }
}

static void in_tag(struct page *p, char c)
{
    switch (p->state) {
    case TAG_NAME:
        if (white(c) || c == '/')
            p->state = BEFORE_NAME;
        else if (c == '>')
            end_of_tag(p);
        else
            add(p->tag, c);
        return;
    case ATTR_NAME:
    case AFTER_NAME:
        if (c == '>')
            end_of_tag(p);
        else if (c == '=')
            p->state = BEFORE_VALUE;
        else if (c == '/')
            p->state = BEFORE_NAME;
        else if (white(c))
            p->state = AFTER_NAME;
        else if (p->state == AFTER_NAME)
            before_name(p, c);
        else
            add(p->attr, c);
        return;
    case BEFORE_VALUE:
        if (c == '"' || c == '\'')
            p->state = c == '"' ? IN_DOUBLE : IN_SINGLE;
        else if (c == '>')
            end_of_tag(p);
        else if (!white(c))
            p->state = UNQUOTED;
        return;
    case UNQUOTED:
        if (c == '>')
            end_of_tag(p);
        else if (white(c))
            p->state = BEFORE_NAME;
        return;
    default:
        before_name(p, c);
    }
}

static void step(struct page *p)
{
    char c = p->s.p[p->i];
    switch (p->state) {
    case DATA:
        in_data(p);
        break;
    case RAW:
        in_raw(p);
        break;
    case IN_DOUBLE:
    case IN_SINGLE:
        if (c == (p->state == IN_DOUBLE ? '"' : '\''))
            p->state = AFTER_VALUE;
        break;
    case COMMENT:
        if (ahead(p, "-->") || ahead(p, "--!>")) {
            p->i += ahead(p, "-->") ? 2 : 3;
            p->state = DATA;
        }
        break;
    case BOGUS:
        if (c == '>')
            p->state = DATA;
        break;
    default:
        in_tag(p, c);
    }
    p->i++;
}

static bool safe_here(const struct page *p)
{
    static const char *const text[] = {"title", "textarea", NULL};
    static const char *const programs[] = {"style", "srcdoc", NULL};
    if (p->state == RAW)
        return one_of(p->raw, text);
    if (p->state == IN_DOUBLE)
        return strncmp(p->attr, "on", 2) != 0 && !one_of(p->attr, programs);
    return p->state == DATA;
}

bool html_marks_safe(str page, str mark, size_t *at)
{
    struct page p = {.s = page};
    while (p.i < page.n) {
        *at = p.i;
        if (str_starts(str_skip(page, p.i), mark) && !safe_here(&p))
            return false;
        step(&p);
    }
    return true;
}
