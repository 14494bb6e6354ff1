/*
 * Compiled translations (GNU .mo, gettext manual §10.3): read from memory, bounds checked, either
 * byte order; and the C expression of their Plural-Forms header.
 */
#ifndef TEXT_MO_H
#define TEXT_MO_H

#include "base/str.h"

struct mo {
    str bytes;
    bool swapped;
    uint32_t n, originals, translations;
};

CHECKED enum err mo_open(str bytes, struct mo *out, struct fault *f);
/* The i-th entry: the key, whether it has plural forms, and its forms separated by NUL. */
CHECKED enum err mo_entry(const struct mo *m, uint32_t i, str *key, bool *plural, str *forms,
                          struct fault *f);
/* A field of the header entry (key ""), such as "Plural-Forms"; empty where there is none. */
str mo_header(const struct mo *m, const char *field);

/* A compiled plural expression: at most 64 nodes. */
struct plural {
    int forms;
    int root;
    int n;
    struct plural_node {
        char op; /* 'n' the number, '#' a constant, '?' ':' and operators; see mo.c */
        int64_t value;
        int a, b, c;
    } nodes[64];
};
/* "nplurals=2; plural=(n != 1);" ERR_INPUT. */
CHECKED enum err plural_parse(str s, struct plural *out);
/* Which form, always within 0 … forms-1. */
int plural_choose(const struct plural *p, int64_t n);

#endif
