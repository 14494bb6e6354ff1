/*
 * What a function answers when it may fail, and the note that tells why.
 *
 * Every function that may fail returns `enum err`; OK is 0. The first failure also leaves a text
 * and its place in a `struct fault`, which travels up beside the code and is logged once, at the
 * top (web, work, cli). The text is for operators: it never holds a secret or personal data.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/macros.h"

enum err {
    OK = 0,
    ERR_INPUT,     /* what was handed in is malformed or out of range */
    ERR_DENIED,    /* known, well-formed, and refused */
    ERR_NOT_FOUND, /* no such thing, or none that the asker may see */
    ERR_CONFLICT,  /* the state of things does not allow it (a duplicate, a used token) */
    ERR_LIMIT,     /* too much, too many, too often */
    ERR_BUSY,      /* not now: the database is away, the disk is full; trying later helps */
    ERR_IO,        /* a failure that trying again will not mend */
};

struct fault {
    enum err code;    /* OK until the first failure */
    const char *file; /* where it was noticed */
    int line;
    char text[480]; /* why, for the operator */
};

/* Notes a failure (the first one stays) and returns its code. `f` may be NULL. */
#define FAIL(f, code, ...) fault_set((f), (code), __FILE__, __LINE__, __VA_ARGS__)
enum err fault_set(struct fault *f, enum err code, const char *file, int line, const char *fmt,
                   ...) PRINTF_LIKE(5, 6);

/* Puts words before the text of a noted failure: "records.yaml: " and the like. */
void fault_prefix(struct fault *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

void fault_clear(struct fault *f);

/* The code's own name: "input", "denied" … */
const char *err_name(enum err e);

/* Hands a failure up. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum err try_e_ = (expr);                                                                  \
        if (try_e_ != OK)                                                                          \
            return try_e_;                                                                         \
    } while (0)

#endif
