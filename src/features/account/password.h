/*
 * Passwords (spec MYA-05): Argon2id, salted; a bounded number of hashes at a time, in a process that gives
 * way to everything else (hasher.h), so that a burst of sign-ins starves nobody and takes a bounded amount of memory. Strength by zxcvbn, with the
 * person's own words as the first guesses; no rules of composition.
 */
#ifndef FEATURES_ACCOUNT_PASSWORD_H
#define FEATURES_ACCOUNT_PASSWORD_H

#include "base/id.h"
#include "base/secret.h"

enum { PASSWORD_MIN = 8, PASSWORD_MAX = 1024, PASSWORD_BITS = 27 };

struct hasher;

/* `memory` bytes and `passes` a hash (libsodium's memlimit and opslimit); `at_once` of them run
 * together, 0: one for each core. */
CHECKED enum err hasher_new(struct hasher **out, int64_t memory, int64_t passes, int at_once,
                            struct fault *f);
void hasher_free(struct hasher **h);

/* The hash to keep: libsodium's text form, with its parameters and salt. */
CHECKED enum err password_hash(struct hasher *h, struct secret password, struct arena *a, str *out,
                               struct fault *f);
/* Takes as long for a hash that is empty (no such person) as for any. */
bool password_verify(struct hasher *h, struct secret password, str hash);
/* Was it made with other parameters than today's? */
bool password_is_dated(const struct hasher *h, str hash);

/* Is it a word of the lists, with at most a few digits and signs around it (common.c)? */
bool password_is_common(struct arena *a, struct secret password);

/* NULL: good enough; otherwise the key of what is wrong with it. `own` are the person's words. */
const char *password_weakness(struct arena *a, struct secret password, str own);

#endif
