/*
 * Names of records: 128 random bits as 26 lower-case letters and digits (Crockford's base 32:
 * no i, l, o, u). Made here, never derived from what they name (spec GEN-08).
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/str.h"

enum { ID_LENGTH = 26, SECRET_LENGTH = 52 };

typedef struct {
    char text[ID_LENGTH + 1]; /* NUL-terminated; empty when none */
} id;

/* IDs of different kinds of things are different types, so that they cannot be swapped. */
#define ID_TYPE(name)                                                                              \
    typedef struct {                                                                               \
        id id;                                                                                     \
    } name

id id_new(void);
str id_str(const id *i); /* borrows from *i */
bool id_is_none(id i);
bool id_eq(id a, id b);
/* Reads one that came from outside: exactly 26 characters of the alphabet. ERR_INPUT. */
CHECKED enum err id_parse(str s, id *out);

/* 256 random bits as 52 letters and digits: a bearer secret for a link or a cookie. */
struct bearer {
    char text[SECRET_LENGTH + 1];
};
struct bearer bearer_new(void);

/* `n` bytes in the same alphabet: (n * 8 + 4) / 5 characters. */
str base32_encode(struct arena *a, const void *bytes, size_t n);

#endif
