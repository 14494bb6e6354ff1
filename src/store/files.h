/*
 * A folder of files by ID, for what people upload and what is made for them to take along.
 *
 * store knows nothing of what is in them; the vault writes and reads them sealed. A file appears
 * whole or not at all: it is written under a temporary name and named when it is done. Two levels
 * of folders by the first characters of the (random) name keep each folder small.
 * Several servers on one database share this folder (docs/operating.md).
 */
#ifndef STORE_FILES_H
#define STORE_FILES_H

#include "base/file.h"
#include "base/clock.h"
#include "base/id.h"

struct files {
    const char *dir; /* made if it is not there, mode 0700 */
};

/* An empty file to write; nothing of that name is visible before files_keep(). */
CHECKED enum err files_create(const struct files *s, id name, int *fd, struct fault *f);
/* Syncs what was written and gives it its name. Closes fd. */
CHECKED enum err files_keep(const struct files *s, id name, int *fd, struct fault *f);
/* Closes fd and removes what was written so far. */
void files_discard(const struct files *s, id name, int *fd);

CHECKED enum err files_open(const struct files *s, id name, int *fd, struct fault *f);
/* Removing what is not there is fine. */
CHECKED enum err files_remove(const struct files *s, id name, struct fault *f);

/* Calls `each` for every file that was kept before `before`, and removes temporary ones that a
 * crash left before it. `each` may remove the file that it was called for. A file is named by a row
 * soon after it was kept, so `before` should leave it a day. */
CHECKED enum err files_walk(const struct files *s, enum err (*each)(id name, void *arg), void *arg,
                            moment before, struct fault *f);

#endif
