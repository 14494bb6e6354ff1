/*
 * Inside vault: the master key's files.
 *
 * FILE is the key in use. During a rotation FILE.next holds the one that comes; at its end FILE
 * becomes FILE.old, FILE.next becomes FILE, and FILE.old is overwritten and removed. Which of them
 * is in use is not told by the names but by the keyring; so every one that is there is loaded, and
 * a rotation that was cut off anywhere can be finished.
 */
#ifndef VAULT_MASTER_H
#define VAULT_MASTER_H

#include "base/secret.h"
#include "base/str.h"

#include <limits.h>

enum { MASTER_ID_CHARS = 26, MAX_MASTERS = 3 };

struct master {
    char id[MASTER_ID_CHARS + 1]; /* a keyed hash of the key, in letters and digits */
    struct key key;
};

struct masters {
    struct master list[MAX_MASTERS];
    int n;
};

struct master_paths {
    char file[PATH_MAX], next[PATH_MAX], old[PATH_MAX];
};

void master_wipe(struct master *m); /* for CLEANUP */

CHECKED enum err master_paths(const char *file, const char *next, struct master_paths *out,
                              struct fault *f);

/* A new random key in a file of mode 0600; never over one that is there (ERR_CONFLICT). */
CHECKED enum err master_make(const char *path, struct fault *f);

/* Reads one: exactly 32 bytes, a regular file, for its owner alone. ERR_DENIED names what is wrong
 * with it, ERR_NOT_FOUND that it is not there. */
CHECKED enum err master_read(const char *path, struct master *out, struct fault *f);

/* Reads all that are there; none at all is ERR_NOT_FOUND. */
CHECKED enum err masters_load(const struct master_paths *p, struct masters *out, struct fault *f);
const struct master *master_find(const struct masters *m, str name);

/* The last steps of a rotation: makes FILE hold the key of that ID and destroys the others, each
 * step safe to repeat. The key of that ID must be in one of the files. */
CHECKED enum err master_settle(const struct master_paths *p, str name, struct fault *f);

#endif
