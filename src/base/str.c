#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

str str_from(const char *cstring)
{
    return cstring == NULL ? (str){NULL, 0} : (str){cstring, strlen(cstring)};
}

str str_of(const void *p, size_t n)
{
    return (str){p, n};
}

bool str_eq(str a, str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_is(str a, const char *literal)
{
    return str_eq(a, str_from(literal));
}

int str_cmp(str a, str b)
{
    size_t n = MIN_OF(a.n, b.n);
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

bool str_starts(str s, str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(str s, str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

bool str_has(str s, char c)
{
    return s.n != 0 && memchr(s.p, c, s.n) != NULL;
}

bool str_contains(str s, str part)
{
    return part.n == 0 || (s.n >= part.n && memmem(s.p, s.n, part.p, part.n) != NULL);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

str str_trim(str s)
{
    while (s.n > 0 && is_blank(s.p[0]))
        s.p++, s.n--;
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

str str_skip(str s, size_t n)
{
    n = MIN_OF(n, s.n);
    return n == 0 ? s : (str){s.p + n, s.n - n};
}

str str_head(str s, size_t n)
{
    return (str){s.p, MIN_OF(n, s.n)};
}

static bool cut_at(str s, const char *at, str *before, str *after)
{
    if (at == NULL)
        return false;
    size_t n = (size_t)(at - s.p);
    *before = (str){s.p, n};
    *after = (str){at + 1, s.n - n - 1};
    return true;
}

bool str_cut(str s, char c, str *before, str *after)
{
    return cut_at(s, s.n ? memchr(s.p, c, s.n) : NULL, before, after);
}

bool str_cut_last(str s, char c, str *before, str *after)
{
    return cut_at(s, s.n ? memrchr(s.p, c, s.n) : NULL, before, after);
}

bool str_to_int(str s, int64_t *out)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    str digits = str_skip(s, minus);
    if (digits.n == 0)
        return false;
    int64_t v = 0;
    for (size_t i = 0; i < digits.n; i++) {
        int d = digits.p[i] - '0';
        if (d < 0 || d > 9)
            return false;
        if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_add_overflow(v, (int64_t)(minus ? -d : d), &v))
            return false;
    }
    *out = v;
    return true;
}

char *str_cstr(struct arena *a, str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

str str_dup(struct arena *a, str s)
{
    return (str){str_cstr(a, s), s.n};
}

str str_lower(struct arena *a, str s)
{
    char *p = str_cstr(a, s);
    for (size_t i = 0; i < s.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] += 'a' - 'A';
    return (str){p, s.n};
}

__attribute__((format(printf, 2, 0))) static str format(struct arena *a, const char *fmt,
                                                        va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, again);
    va_end(again);
    if (n < 0)
        return (str){"", 0};
    if ((size_t)n < sizeof small)
        return str_dup(a, (str){small, (size_t)n});
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    return (str){p, (size_t)n};
}

str str_fmt(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    str s = format(a, fmt, ap);
    va_end(ap);
    return s;
}

struct buf buf_new(struct arena *a, size_t max)
{
    return (struct buf){.arena = a, .max = max};
}

void buf_put(struct buf *b, str s)
{
    if (b->over || s.n == 0)
        return;
    if (s.n > b->max - b->n) {
        b->over = true;
        return;
    }
    if (b->cap == 0) {
        b->cap = MAX_OF(s.n, MIN_OF(b->max, (size_t)256));
        b->p = arena_alloc(b->arena, b->cap);
    }
    ARENA_GROW(b->arena, b->p, b->cap, b->n + s.n);
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
}

void buf_text(struct buf *b, const char *cstring)
{
    buf_put(b, str_from(cstring));
}

void buf_char(struct buf *b, char c)
{
    buf_put(b, (str){&c, 1});
}

void buf_int(struct buf *b, int64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)v);
    buf_put(b, (str){text, (size_t)n});
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_put(b, format(b->arena, fmt, ap));
    va_end(ap);
}

str buf_str(const struct buf *b)
{
    return (str){b->p, b->n};
}

enum err buf_end(const struct buf *b, str *out)
{
    if (b->over)
        return ERR_LIMIT;
    *out = buf_str(b);
    return OK;
}
