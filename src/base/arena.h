/*
 * Memory with a lifetime: everything taken from an arena goes when the arena goes.
 *
 * One arena per process, request and job. Allocation never fails and never returns NULL: sizes
 * that come from outside are refused at the door (body limits, field limits, buf_init's maximum),
 * so an arena that would pass its maximum is a bug and aborts. Memory is zeroed and aligned for
 * any type. An arena belongs to one thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/macros.h"

struct arena;

/* A new arena that may hand out at most `max` bytes. The caller owns it. */
struct arena *arena_new(size_t max);

/* Overwrites and frees the arena with all that came from it, and sets *a to NULL. */
void arena_free(struct arena **a);

/* Overwrites what was handed out, forgets it, and keeps the first block for reuse. A request's
 * arena held passwords and mail addresses: nothing of them may wait in memory for the next one. */
void arena_reset(struct arena *a);

/* n zeroed bytes (n may be 0). */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc, returns_nonnull));

/* An array of `count` zeroed elements; a product that overflows aborts. */
#define ARENA_ARRAY(a, type, count) ((type *)arena_array((a), (count), sizeof(type)))
void *arena_array(struct arena *a, size_t count, size_t size) __attribute__((returns_nonnull));

#define ARENA_NEW(a, type) ARENA_ARRAY(a, type, 1)

/* Grows the array to hold at least `need` elements, doubling; the old content is copied. */
#define ARENA_GROW(a, array, cap, need)                                                            \
    do {                                                                                           \
        if ((size_t)(need) > (cap)) {                                                              \
            size_t grow_cap_ = (cap) ? (cap) * 2 : 8;                                              \
            while (grow_cap_ < (size_t)(need))                                                     \
                grow_cap_ *= 2;                                                                    \
            void *grow_p_ = arena_array((a), grow_cap_, sizeof *(array));                          \
            if (cap)                                                                               \
                __builtin_memcpy(grow_p_, (array), (cap) * sizeof *(array));                       \
            (array) = grow_p_;                                                                     \
            (cap) = grow_cap_;                                                                     \
        }                                                                                          \
    } while (0)

/* Bytes handed out so far. */
size_t arena_used(const struct arena *a);

#endif
