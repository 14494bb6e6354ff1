/*
 * The one clock. All code takes the time from here; nothing else calls time() or
 * clock_gettime(CLOCK_REALTIME).
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Microseconds since 1970-01-01T00:00:00Z, without leap seconds, as POSIX counts. */
typedef int64_t moment;

#define MOMENT_SECOND ((moment)1000000)
#define MOMENT_MINUTE (60 * MOMENT_SECOND)
#define MOMENT_HOUR   (60 * MOMENT_MINUTE)
#define MOMENT_DAY    (24 * MOMENT_HOUR)

struct clock {
    moment offset; /* added to the system's time; only tests set it */
};

moment clock_now(const struct clock *c);

/* Microseconds of a clock that never jumps: for measuring and waiting, never for storing. */
int64_t clock_ticks(void);

#endif
