/*
 * How often: token buckets per class of route and per address range (IPv4 /32, IPv6 /64).
 *
 * Kept in this process's memory, in a table of fixed size: a first wall against floods. Addresses are
 * kept as a keyed hash only, and only until the bucket is full again.
 */
#ifndef WEB_LIMITS_H
#define WEB_LIMITS_H

#include "base/str.h"

enum rate {
    RATE_MISSING = 0,
    RATE_PAGE,
    RATE_FORM,
    RATE_SIGN_IN,
    RATE_MAIL,
    RATE_REPORT, /* of connected apps: a whole office may come from one address */
    RATE_TOKEN,  /* beside it, of each of them: by its token */
    RATE_CLASSES,
};

struct limits;

struct rate_config {
    double per_second; /* 0: no limit */
    double burst;
};

struct limits *limits_new(const struct rate_config config[RATE_CLASSES]);
void limits_free(struct limits **l); /* for CLEANUP */

/* Takes a token. False: not now; *wait_s is when there will be one. */
bool limits_take(struct limits *l, enum rate rate, str peer, int *wait_s);
/* The same by a name instead of an address. */
bool limits_take_named(struct limits *l, enum rate rate, str name, int *wait_s);

#endif
