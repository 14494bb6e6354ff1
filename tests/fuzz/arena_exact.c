/* The arena of src/base, with one malloc for each allocation: slower, and nothing goes unseen. */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct piece {
    struct piece *next;
    void *bytes;
};

struct arena {
    struct piece *pieces;
    size_t used, max;
};

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

struct arena *arena_new(size_t max)
{
    struct arena *a = must(calloc(1, sizeof *a));
    a->max = max;
    return a;
}

void arena_reset(struct arena *a)
{
    for (struct piece *p = a->pieces, *next; p != NULL; p = next) {
        next = p->next;
        free(p->bytes);
        free(p);
    }
    a->pieces = NULL;
    a->used = 0;
}

void arena_free(struct arena **a)
{
    if (*a == NULL)
        return;
    arena_reset(*a);
    free(*a);
    *a = NULL;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->max - a->used) {
        fprintf(stderr, "arena: %zu bytes more than the maximum of %zu\n", n, a->max);
        abort();
    }
    struct piece *p = must(calloc(1, sizeof *p));
    p->bytes = must(calloc(1, n ? n : 1));
    p->next = a->pieces;
    a->pieces = p;
    a->used += n;
    return p->bytes;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        abort();
    return arena_alloc(a, n);
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
