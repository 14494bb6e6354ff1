/*
 * YAML files of ours (libyaml) as a tree that knows its lines, so that every complaint can name
 * the place. The subset: mappings, sequences, scalars; no aliases, tags or duplicate keys; one
 * document; at most 16 levels and 20,000 nodes.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/str.h"

enum yaml_kind { YAML_SCALAR, YAML_MAP, YAML_LIST };

struct yaml {
    enum yaml_kind kind;
    int line;          /* from 1 */
    bool quoted;       /* a scalar in quotes: "null" is a word, not nothing */
    str text;          /* a scalar's, valid UTF-8; empty for the others */
    str key;           /* its name in the mapping above it; empty in a list */
    struct yaml *next; /* its next sibling */
    struct yaml *first;
    size_t count; /* of children */
};

/* Everything is copied into the arena. An empty document is an empty mapping. ERR_INPUT:
 * the fault's text begins with the line, "2: a stands twice", for a file's name to be put before. */
CHECKED enum err yaml_parse(struct arena *a, str text, struct yaml **out, struct fault *f);

/* The child of that name, or NULL. */
const struct yaml *yaml_get(const struct yaml *map, const char *key);
/* A child scalar's text, or the empty slice. */
str yaml_text(const struct yaml *map, const char *key);

#define YAML_EACH(child, parent)                                                                   \
    for (const struct yaml *child = (parent) ? (parent)->first : NULL; child; child = child->next)

#endif
