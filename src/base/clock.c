#include "base/clock.h"

#include <time.h>

moment clock_now(const struct clock *c)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (moment)ts.tv_sec * MOMENT_SECOND + ts.tv_nsec / 1000 + c->offset;
}

int64_t clock_ticks(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * MOMENT_SECOND + ts.tv_nsec / 1000;
}
