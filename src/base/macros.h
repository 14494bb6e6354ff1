/* Small tools of the language that every room uses. */
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#include <stddef.h>

/* The caller must look at the answer. */
#define CHECKED __attribute__((warn_unused_result))

/* printf-like: the compiler checks the arguments against the format. */
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/* Releases a resource when its variable leaves the scope: CLEANUP(file_close) int fd = -1; */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Passes ownership on: the variable is emptied, its value returned. */
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) *take_p_ = &(p);                                                             \
        __typeof__(p) take_v_ = *take_p_;                                                          \
        *take_p_ = NULL;                                                                           \
        take_v_;                                                                                   \
    })

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define MIN_OF(a, b)                                                                               \
    ({                                                                                             \
        __typeof__(a) min_a_ = (a);                                                                \
        __typeof__(b) min_b_ = (b);                                                                \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                         \
    })
#define MAX_OF(a, b)                                                                               \
    ({                                                                                             \
        __typeof__(a) max_a_ = (a);                                                                \
        __typeof__(b) max_b_ = (b);                                                                \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                         \
    })

#endif
