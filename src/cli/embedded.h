/* Files that are part of the program: declarations, views, translations (tools/embed.py). */
#ifndef CLI_EMBEDDED_H
#define CLI_EMBEDDED_H

#include "base/str.h"

struct embedded {
    const char *path; /* "account/views/sign-up.html" */
    const char *bytes;
    size_t size;
};

extern const struct embedded embedded[];
extern const size_t n_embedded;

#endif
