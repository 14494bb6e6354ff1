/*
 * What the fuzz targets share. A target is one function that libFuzzer calls with bytes; each says
 * at its head what must hold, and holds it with MUST.
 *
 * Every allocation of an arena is one of malloc's here (arena_exact.c), so that the sanitizer sees
 * a step of a single byte past its end.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* An arena that no input of ours may exhaust; one that does is a find. */
enum { FUZZ_ARENA = 256 << 20 };

/* The next line of *rest, without its end (LF or CRLF). */
static inline str next_line(str *rest)
{
    str line = *rest;
    if (!str_cut(*rest, '\n', &line, rest))
        *rest = (str){NULL, 0};
    return str_ends(line, STR("\r")) ? str_head(line, line.n - 1) : line;
}

#endif
