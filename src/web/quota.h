/*
 * How often, over all servers and across restarts: token buckets in the database (spec SEC-06). What is
 * counted (an address range, an account's address, the whole installation) stands there as a keyed
 * hash, and only until its bucket is full again.
 *
 * limits.h is the first wall, in memory, against floods of requests; this one is for what costs more
 * than a request: wrong passwords, mails, codes.
 */
#ifndef WEB_QUOTA_H
#define WEB_QUOTA_H

#include "privacy/privacy.h"

/* A kind of bucket: holds `burst` tokens, and gets one back every `every` microseconds. */
struct quota {
    const char *name; /* what is counted: two kinds never share a bucket */
    int64_t burst;
    int64_t every;
};

/* Is there a token in the bucket of `whom`? Takes none. */
CHECKED enum err quota_has(struct tx *tx, const struct privacy *p, const struct quota *q, str whom,
                           bool *has);
/*
 * Takes one, in a transaction of its own, so that it is gone whatever becomes of the caller's. *had is
 * false where there was none; an empty bucket stays empty as long as it is asked. Two servers that ask
 * at once take two.
 */
CHECKED enum err quota_take(const struct privacy *p, const struct quota *q, str whom, bool *had,
                            struct arena *a, struct fault *f);

/* The range that counts as one visitor, as text: IPv4 as it is, IPv6 by its /64. */
str quota_range(struct arena *a, str address);

#endif
