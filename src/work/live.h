/*
 * Telling whoever waits: an app that waits for commands, a page that is open. nginx holds the waiting
 * connections (nchan, deploy/nginx.conf) and costs us no thread; what is said here is only "look again",
 * never what there is to see. Whoever does not hear it looks again by itself after a while, so nothing is
 * lost where nginx is away.
 *
 * A channel is a path of letters, digits and '/': "wait/BINDING" or "events/ACCOUNT". Threads may share a
 * struct live.
 */
#ifndef WORK_LIVE_H
#define WORK_LIVE_H

#include "base/err.h"
#include "base/str.h"

struct live;

enum { LIVE_CHANNEL_MAX = 80, LIVE_TARGETS_MAX = 8 };

/* `targets`: where nginx takes it, one for each nginx, a blank between: http://127.0.0.1:PORT. NULL: fine;
 * else what it should be. Empty is none. */
const char *live_wrong_targets(struct arena *a, str targets);
/* *out is NULL where there are none. */
CHECKED enum err live_open(struct live **out, str targets, struct fault *f);
void live_close(struct live **l); /* for CLEANUP */

/* Says it to all, `text` (of type `type`: "application/json") being what those who wait get; waits 300 ms for each
 * at most. ERR_BUSY: one did not hear it. Nothing with l NULL. */
CHECKED enum err live_say(struct live *l, str channel, const char *type, const char *text, struct fault *f);

#endif
