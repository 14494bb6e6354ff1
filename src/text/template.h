/*
 * Logic-less templates: Mustache core and inheritance (mustache/spec 1.4), with three dialects.
 *
 * TEMPLATE_SPEC is the specification to the letter. TEMPLATE_HTML and TEMPLATE_PLAIN are strict: a
 * name that the view lacks is an error, not nothing; and they add
 *     {{_key}}         the text of that key in the reader's language (see i18n.h)
 *     {{_*name}}       the text whose key is the value of that name
 *     {{name|date}}    a value, formatted (see format.h)
 * TEMPLATE_HTML knows where each value stands and escapes for that place: text, a double-quoted
 * attribute, an attribute that is a URL. Values anywhere else (unquoted, in a tag, in script, style or
 * an on… attribute) and {{{unescaped}}} values do not compile. TEMPLATE_PLAIN (mail) escapes
 * nothing.
 *
 * A set is compiled once, then rendered by all threads. Delimiters, indentation of partials and
 * standalone lines are as in the specification.
 */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include "base/json.h"
#include "base/str.h"
#include "text/i18n.h"

enum template_dialect { TEMPLATE_SPEC, TEMPLATE_HTML, TEMPLATE_PLAIN };

struct template_set;

/* `catalog` may be NULL where no template has texts by key. */
struct template_set *template_set_new(struct arena *a, enum template_dialect dialect,
                                      const struct catalog *catalog);

/* Adds a template's source, which must outlive the set. A later one of the same name replaces it:
 * so an operator's folder lies over ours. */
void template_add(struct template_set *s, str name, str source);

/* Compiles all. ERR_INPUT, with the template's name and line. */
CHECKED enum err template_compile(struct template_set *s, struct fault *f);

bool template_has(const struct template_set *s, str name);

/* Renders into `out`. ERR_INPUT: the view lacks a name, or a value is of the wrong kind, by name;
 * ERR_NOT_FOUND: no such template; ERR_LIMIT: recursion deeper than 64, or `out` is full. */
CHECKED enum err template_render(const struct template_set *s, str name, const json_t *view,
                                 const struct locale *locale, struct buf *out, struct fault *f);

#endif
