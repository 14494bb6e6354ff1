/*
 * Inside account: the process that hashes.
 *
 * A password's hash takes a core for a tenth of a second and 64 MiB, which the kernel maps and unmaps each
 * time. In a thread of the portal, however low its priority, that holds up every page: while the
 * memory is mapped, nobody else's is. So a child process does it, at a low priority; who reads does not
 * notice who signs in. It is forked before the stores are opened, so it has no key in its memory, holds no file but its channels,
 * and ends with its parent. Where it cannot be had, hashing happens in the caller's thread.
 */
#ifndef FEATURES_ACCOUNT_HASHER_H
#define FEATURES_ACCOUNT_HASHER_H

#include <sodium.h>

#include "base/secret.h"

struct hashing {
    str password;
    bool verifies; /* text is held against the password; otherwise it is made */
    char text[crypto_pwhash_STRBYTES];
    unsigned long long passes; /* of a new one */
    size_t memory;
    bool right; /* it fits; or it was made */
};

struct hasher_child;
/* One that hashes `n` at a time. NULL where there is no memory for it. */
struct hasher_child *hasher_child_new(int n);
void hasher_child_free(struct hasher_child **c); /* nobody may wait for it */
/* Waits for a turn, first come, first served. */
void hasher_child_run(struct hasher_child *c, struct hashing *x);

#endif
