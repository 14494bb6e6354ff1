/* Inside text: what a template is compiled to. */
#ifndef TEXT_TEMPLATE_NODES_H
#define TEXT_TEMPLATE_NODES_H

#include "text/template.h"

enum { MAX_PARTS = 8 };

/* A dotted name; no parts: the implicit iterator ".". */
struct path {
    str parts[MAX_PARTS];
    size_t n;
};

enum node_kind {
    NODE_LINE, /* the beginning of a line of the source: indentation goes here */
    NODE_TEXT,
    NODE_VALUE,
    NODE_MESSAGE,
    NODE_SECTION,
    NODE_INVERTED,
    NODE_PARTIAL,
    NODE_PARENT,
    NODE_BLOCK,
};

/* Where a value stands, and so how it is escaped. */
enum place {
    PLACE_PLAIN,     /* as it is */
    PLACE_SPEC,      /* as the Mustache specification escapes: & < > " */
    PLACE_TEXT,      /* between tags */
    PLACE_ATTRIBUTE, /* in a double-quoted attribute */
    PLACE_URL,       /* the whole of, or the beginning of, an attribute that is a URL */
    PLACE_URL_PART,  /* further on in a URL */
};

struct node {
    enum node_kind kind;
    int line;
    struct node *next, *first;
    str text;   /* NODE_TEXT */
    str name;   /* as written, for what is said of it */
    struct path path;
    enum place place;
    enum format format;
    int key;      /* NODE_MESSAGE */
    bool dynamic; /* NODE_MESSAGE: the key is a value; NODE_PARTIAL: not of this dialect */
    str indent;   /* NODE_LINE: blanks that begin it; PARTIAL, PARENT, BLOCK: what to indent by */
    bool standalone;
    const struct template *target; /* PARTIAL, PARENT */
};

struct template {
    struct template *next;
    str name;
    str source;
    struct node *nodes;
};

struct template_set {
    struct arena *arena;
    enum template_dialect dialect;
    const struct catalog *catalog;
    struct template *first;
};

CHECKED enum err template_parse(struct template_set *s, struct template *t, struct fault *f);
enum err template_fail_at(struct fault *f, const struct template *t, int line, str why);

/* Where in HTML a piece of source ends that began in TEXT; decides each value's place and refuses
 * those that no escaping makes safe (place.c). */
CHECKED enum err template_places(struct template *t, struct fault *f);

#endif
