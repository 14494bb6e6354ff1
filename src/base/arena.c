#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

enum { FIRST_BLOCK = 16 * 1024, MAX_BLOCK = 1024 * 1024 };

struct block {
    struct block *next;
    size_t size; /* of data */
    size_t used;
    alignas(max_align_t) unsigned char data[];
};

struct arena {
    struct block *head; /* the block in use; the first one is last in the list */
    size_t used;
    size_t max;
};

/* Where the arena's own header ends in its first block. */
static size_t header_size(void)
{
    return (sizeof(struct arena) + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static struct block *block_new(size_t size)
{
    struct block *b = malloc(sizeof *b + size);
    if (b == NULL) {
        /* Out of memory: nothing sensible can be done, and the store survives a crash. */
        fputs("out of memory\n", stderr);
        abort();
    }
    b->next = NULL;
    b->size = size;
    b->used = 0;
    return b;
}

struct arena *arena_new(size_t max)
{
    struct block *first = block_new(FIRST_BLOCK);
    struct arena *a = (struct arena *)first->data;
    first->used = header_size();
    a->head = first;
    a->used = 0;
    a->max = max;
    return a;
}

void arena_free(struct arena **a)
{
    if (*a == NULL)
        return;
    struct block *b = (*a)->head;
    while (b != NULL) {
        struct block *next = b->next;
        sodium_memzero(b->data, b->used);
        free(b);
        b = next;
    }
    *a = NULL;
}

void arena_reset(struct arena *a)
{
    struct block *b = a->head;
    while (b->next != NULL) {
        struct block *next = b->next;
        sodium_memzero(b->data, b->used);
        free(b);
        b = next;
    }
    sodium_memzero(b->data + header_size(), b->used - header_size());
    a->head = b;
    a->used = 0;
    b->used = header_size();
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t want = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (want < n || a->used + want < a->used || a->used + want > a->max) {
        fprintf(stderr, "arena: %zu bytes more than the maximum of %zu\n", n, a->max);
        abort();
    }
    struct block *b = a->head;
    if (b->size - b->used < want) {
        size_t size = MIN_OF(b->size * 2, (size_t)MAX_BLOCK);
        struct block *fresh = block_new(MAX_OF(size, want));
        fresh->next = b;
        a->head = b = fresh;
    }
    void *p = b->data + b->used;
    b->used += want;
    a->used += want;
    return memset(p, 0, want); /* blocks come from malloc: what is fresh is not yet zero */
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n)) {
        fputs("arena: size overflow\n", stderr);
        abort();
    }
    return arena_alloc(a, n);
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
