/*
 * The vault: a key for every data subject, and what is sealed with it.
 *
 * Each subject (an account, a company, a lead …) has a random 256-bit key. What identifies a person
 * is sealed with it; destroying the key is what forgetting means (spec README decision 3). Subject
 * keys lie in the keyring, a store of its own, wrapped by the master key; the master key lies in a
 * file of 32 random bytes, mode 0600, never in a database. Replacing the master key on a schedule
 * (vault_rotate) makes every earlier copy of the keyring worthless: databases keep remnants of what
 * was deleted, wrapped keys included.
 *
 * Wrapping and sealing are XChaCha20-Poly1305 (libsodium) with a random nonce and the place of the
 * value as associated data, so a sealed value moved to another row or column does not open.
 *
 * Unwrapped keys are cached for VAULT_CACHE_SECONDS; vault_forget() empties this process's cache
 * of that subject at once. Threads may share a vault.
 *
 * Errors: ERR_NOT_FOUND no such subject, or it has been forgotten; ERR_DENIED the master key does
 * not open this keyring; ERR_CONFLICT a sealed value is damaged or stands in the wrong place.
 */
#ifndef VAULT_VAULT_H
#define VAULT_VAULT_H

#include "base/clock.h"
#include "base/secret.h"
#include "store/db.h"
#include "store/schema.h"

enum { VAULT_CACHE_SECONDS = 2, VAULT_HASH_BYTES = 32 };

struct vault;

struct vault_config {
    const char *master_path; /* the master key's file */
    const char *next_path;   /* the next one, where the operator brings it; NULL: "<master>.next" */
    bool read_only;          /* the file is not ours to replace (a systemd credential) */
};

/* Writes a new master key (mode 0600). ERR_CONFLICT where a file is there already. */
CHECKED enum err vault_make_master(const char *path, struct fault *f);

/* The keyring's tables; the database that holds them must have been migrated to it. */
const struct schema *vault_schema(void);

/*
 * Opens the vault on its keyring. An empty keyring takes the master key as its own; any other must
 * have been wrapped by it (or by the next one, in the middle of a rotation). A rotation that was
 * cut off in its last steps is finished. The caller owns the vault; `keyring` and `clock` must
 * outlive it.
 */
CHECKED enum err vault_start(struct vault **out, const struct vault_config *config,
                             struct db *keyring, const struct clock *clock, struct fault *f);
void vault_stop(struct vault **v); /* wipes what it holds; for CLEANUP */
struct db *vault_keyring(const struct vault *v);

/* ---- subjects ---- */

/* Makes a key for a new subject of that kind (the table of such subjects). Durable when it
 * returns; made before the subject's first row. */
CHECKED enum err vault_add_subject(struct vault *v, id subject, const char *kind, struct arena *a,
                                   struct fault *f);
/* The same for several, in one commit. */
CHECKED enum err vault_add_subjects(struct vault *v, const id *subjects, size_t n,
                                    const char *kind, struct arena *a, struct fault *f);
/* Its key, to seal and unseal with. Wipe it: CLEANUP(key_wipe). */
CHECKED enum err vault_subject_key(struct vault *v, id subject, struct key *out, struct arena *a,
                                   struct fault *f);
/* Destroys the key; durable when it returns. Forgetting what is forgotten is fine. */
CHECKED enum err vault_forget(struct vault *v, id subject, struct arena *a, struct fault *f);
/* The same for several, in one commit. */
CHECKED enum err vault_forget_many(struct vault *v, const id *subjects, size_t n, struct arena *a,
                                   struct fault *f);

/* Subjects of a kind that have a key and were made before `before`, in the order of their IDs,
 * after `after` (none: from the beginning), at most `limit`. For joining keyring and data. */
CHECKED enum err vault_list_subjects(struct vault *v, const char *kind, id after, moment before,
                                     int limit, struct arena *a, id **out, size_t *n,
                                     struct fault *f);
/* Which of these subjects have no key? Sets missing[i]. */
CHECKED enum err vault_missing(struct vault *v, const id *subjects, size_t n, bool *missing,
                               struct arena *a, struct fault *f);

/* ---- sealing ---- */

/* Where a value stands: part of what is authenticated. */
struct vault_place {
    str table;
    str column;
    str record; /* the record's ID within its subject */
};

/* 1 version byte, 24 of nonce, the ciphertext, 16 of tag: 41 bytes longer than what it holds. */
enum { VAULT_OVERHEAD = 41, VAULT_VERSION = 1 };
str vault_seal(struct arena *a, const struct key *k, struct vault_place place, str plain);
CHECKED enum err vault_unseal(struct arena *a, const struct key *k, struct vault_place place,
                              str sealed, str *plain, struct fault *f);
/* Does it look like a sealed value? (For verification: version and length.) */
bool vault_looks_sealed(str value);

/* ---- the installation's own secrets ---- */

/*
 * Keyed hashes (BLAKE2b) for finding and signing. A secret is made at its first use and lies in
 * the keyring, wrapped like a subject's key. A secret may have two generations while a rotation
 * replaces it: hash with the newest, look up with each.
 */
struct vault_hashes {
    unsigned char bytes[2][VAULT_HASH_BYTES]; /* newest first */
    int64_t generation[2];
    int n; /* 1 or 2 */
};
CHECKED enum err vault_hash(struct vault *v, const char *secret, str text, struct vault_hashes *out,
                            struct arena *a, struct fault *f);
/* Adds a generation, unless two are there already. */
CHECKED enum err vault_renew_secret(struct vault *v, const char *secret, struct arena *a,
                                    struct fault *f);
/* Destroys all generations but the newest. */
CHECKED enum err vault_retire_secret(struct vault *v, const char *secret, struct arena *a,
                                     struct fault *f);

/*
 * Signing (Ed25519, RFC 8032): the secret is the seed, and leaves the vault no more than that of a hash.
 * While two generations are there, the caller says which signs: so a new key can be published before
 * it is used. vault_renew_secret() and vault_retire_secret() as above.
 */
enum { VAULT_PUBLIC_BYTES = 32, VAULT_SIGNATURE_BYTES = 64 };
struct vault_signers {
    unsigned char public_key[2][VAULT_PUBLIC_BYTES]; /* newest first */
    int64_t generation[2];
    int n; /* 1 or 2 */
};
CHECKED enum err vault_signers(struct vault *v, const char *secret, struct vault_signers *out,
                               struct arena *a, struct fault *f);
/* ERR_NOT_FOUND: that generation was retired. */
CHECKED enum err vault_sign(struct vault *v, const char *secret, int64_t generation, str text,
                            unsigned char signature[VAULT_SIGNATURE_BYTES], struct arena *a,
                            struct fault *f);

/* ---- the master key ---- */

struct vault_state {
    moment since;       /* when the master key in use took over */
    int64_t subjects;   /* keys in the keyring */
    bool rotating;      /* one has begun and has not ended */
};
CHECKED enum err vault_state(struct vault *v, struct arena *a, struct vault_state *out,
                             struct fault *f);

/*
 * Replaces the master key: writes the next one beside it, wraps every key anew in batches, makes
 * the next the current one, overwrites and removes the old file. May be cut off anywhere and
 * called again; others may use the vault meanwhile. With read_only, the next key must have been
 * brought by the operator, and the files are left to them; one that was cut off and called again
 * forgets those erased in between only with the key after it. ERR_BUSY: it is running already.
 * `rewrapped` (may be NULL) counts keys.
 */
CHECKED enum err vault_rotate(struct vault *v, struct arena *a, int64_t *rewrapped,
                              struct fault *f);
/* Only writes the next master key, to be carried to other servers before vault_rotate(). */
CHECKED enum err vault_prepare_rotation(struct vault *v, struct fault *f);

#endif
