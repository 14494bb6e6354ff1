/*
 * Keys and passwords: a type of its own, which neither the log nor the JSON encoder takes.
 * Compared in constant time, wiped when they leave the scope.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/str.h"

enum { KEY_BYTES = 32 };

/* A 256-bit key. */
struct key {
    unsigned char bytes[KEY_BYTES];
};

/* A password as it was typed: borrowed bytes of the request, which the request's arena wipes. */
struct secret {
    str bytes;
};

void key_wipe(struct key *k); /* for CLEANUP */
struct key key_new(void);     /* random */
bool key_eq(const struct key *a, const struct key *b);

/* What the store keeps of a bearer secret (256 random bits): its BLAKE2b hash, 32 bytes. */
str secret_hash(struct arena *a, str secret);

/* In time that depends on the lengths only. */
bool secret_eq(str a, str b);

#endif
