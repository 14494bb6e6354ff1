/* Inside vault: what vault.c, sign.c and rotate.c share. */
#ifndef VAULT_INTERNAL_H
#define VAULT_INTERNAL_H

#include "vault/master.h"
#include "vault/vault.h"

#include <pthread.h>

enum { VAULT_CACHE_SLOTS = 1024 };

/* The rows of master_key: the one in use, and during a rotation the one that comes. */
enum master_row { MASTER_IN_USE = 1, MASTER_NEXT = 2 };

struct cached {
    id subject;
    int64_t until; /* clock_ticks */
    struct key key;
};

struct vault {
    struct db *keyring;
    const struct clock *clock;
    struct master_paths paths;
    bool read_only;
    pthread_mutex_t rotation; /* one at a time */
    pthread_mutex_t mutex;    /* of masters and cache */
    struct masters *masters; /* in locked memory */
    struct cached *cache;    /* in locked memory */
};

/* A key as it lies in the keyring: bound to what it is for (a label) and to the master key. */
str vault_wrap(struct arena *a, const struct master *m, str label, const struct key *k);
/* Opens it with the master key of that name; the key files are read again where it is not known,
 * for another process may have rotated. */
CHECKED enum err vault_unwrap(struct vault *v, struct arena *a, str master, str label, str wrapped,
                              struct key *out, struct fault *f);
/* Reads the key files again. */
CHECKED enum err vault_load_masters(struct vault *v, struct fault *f);
str vault_subject_label(struct arena *a, id subject);

/* A secret of the installation's, newest generation first; made where there is none. */
struct secret_keys {
    struct key key[2];
    int64_t generation[2];
    int n;
};
void secret_keys_wipe(struct secret_keys *s); /* for CLEANUP */
CHECKED enum err vault_secret(struct vault *v, const char *secret, struct secret_keys *out,
                              struct arena *a, struct fault *f);
str vault_secret_label(struct arena *a, str name, int64_t generation);

#endif
