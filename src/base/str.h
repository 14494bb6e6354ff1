/*
 * Text and bytes as borrowed slices, and a buffer that builds them.
 *
 * A `str` points into memory that somebody else owns (an arena, a literal, a request body); it is
 * passed by copy and need not end with NUL. Its bytes are not promised to be UTF-8 unless the
 * function that made it says so.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/arena.h"
#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char *p;
    size_t n;
} str;

/* A slice of a literal, known at compile time: STR("text"). */
#define STR(literal) ((str){"" literal "", sizeof(literal) - 1})
/* printf("%.*s", STR_FMT(s)) */
#define STR_FMT(s) (int)(s).n, (s).p ? (s).p : ""

str str_from(const char *cstring); /* NULL gives the empty slice */
str str_of(const void *p, size_t n);
bool str_eq(str a, str b);
bool str_is(str a, const char *literal);
int str_cmp(str a, str b); /* bytewise, shorter first */
bool str_starts(str s, str prefix);
bool str_ends(str s, str suffix);
bool str_has(str s, char c);
bool str_contains(str s, str part);
str str_trim(str s);                     /* without ASCII blanks at both ends */
str str_skip(str s, size_t n);           /* without the first n bytes */
str str_head(str s, size_t n);           /* at most the first n bytes */
bool str_cut(str s, char c, str *before, str *after); /* at the first c; false if there is none */
bool str_cut_last(str s, char c, str *before, str *after);
bool str_to_int(str s, int64_t *out); /* decimal, all of it, in range */

/* Copies into the arena. str_dup's bytes are followed by a NUL, so .p is a C string too. */
str str_dup(struct arena *a, str s);
char *str_cstr(struct arena *a, str s);
str str_lower(struct arena *a, str s); /* ASCII letters only */
str str_fmt(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * A growing buffer in an arena. What would pass its maximum is dropped and remembered: act
 * freely, check buf_end() once.
 */
struct buf {
    struct arena *arena;
    char *p;
    size_t n;
    size_t cap;
    size_t max;
    bool over;
};

struct buf buf_new(struct arena *a, size_t max);
void buf_put(struct buf *b, str s);
void buf_text(struct buf *b, const char *cstring);
void buf_char(struct buf *b, char c);
void buf_int(struct buf *b, int64_t v);
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
str buf_str(const struct buf *b); /* what is there; valid until the next put */
/* What was built, or ERR_LIMIT where it passed the maximum. */
CHECKED enum err buf_end(const struct buf *b, str *out);

#endif
