/*
 * Files sealed with a subject's key, written and read as a stream: memory does not grow with them.
 *
 * XChaCha20-Poly1305 secretstream (libsodium) in chunks of 64 KiB; the file's ID is associated
 * data of the first chunk. A file without its final chunk was cut off and is refused. A reader has
 * authenticated what it hands out, chunk by chunk; it knows that the file is whole only at its end.
 */
#ifndef VAULT_SEALED_FILE_H
#define VAULT_SEALED_FILE_H

#include "store/files.h"
#include "vault/vault.h"

struct sealed_writer;
struct sealed_reader;

/* Begins a file of that name. The writer lives in the arena. */
CHECKED enum err sealed_create(const struct files *files, id name, const struct key *k,
                               struct arena *a, struct sealed_writer **out, struct fault *f);
CHECKED enum err sealed_write(struct sealed_writer *w, str bytes);
int64_t sealed_written(const struct sealed_writer *w); /* plain bytes so far */
/* Ends the file and makes it visible. */
CHECKED enum err sealed_keep(struct sealed_writer **w);
void sealed_discard(struct sealed_writer **w); /* what was not kept; for CLEANUP */

CHECKED enum err sealed_open(const struct files *files, id name, const struct key *k,
                             struct arena *a, struct sealed_reader **out, struct fault *f);
/* The next bytes, borrowed until the next call; empty at the end. ERR_CONFLICT: damaged. */
CHECKED enum err sealed_read(struct sealed_reader *r, str *out);
void sealed_close(struct sealed_reader **r); /* for CLEANUP */

#endif
