/* Files of the file system: read whole with a maximum, written so that a crash leaves either the
 * old content or the new. Paths are C strings. Failures: ERR_NOT_FOUND, ERR_LIMIT, ERR_IO, and
 * ERR_BUSY where the disk is full. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/str.h"

void fd_close(int *fd); /* for CLEANUP; -1 is none */

/* The whole file; more than `max` bytes is ERR_LIMIT. */
CHECKED enum err file_read(struct arena *a, const char *path, size_t max, str *out,
                           struct fault *f);

/* Writes a temporary file beside it, syncs, renames over `path`, syncs the directory. */
CHECKED enum err file_write(const char *path, str content, int mode, struct fault *f);

/* Makes a file that is there whole or not at all: it has no name until it is synced, so a crash leaves
 * nothing of it. (A file system without nameless files, such as NFS, gets file_write.)
 * ERR_CONFLICT: there is one of that name; it stays as it is. */
CHECKED enum err file_create(const char *path, str content, int mode, struct fault *f);

/* Makes the directory and those above it; one that is there is fine. */
CHECKED enum err dir_make(const char *path, int mode, struct fault *f);

/* Makes renames and removals in the directory durable. */
CHECKED enum err dir_sync(const char *path, struct fault *f);
/* The same for the directory that the name stands in. */
CHECKED enum err name_sync(const char *path, struct fault *f);

bool file_exists(const char *path);

/* Overwrites the file's bytes with random ones, syncs, and removes it. What is not there is fine.
 * (Flash and journalled file systems may keep a copy: hence the key rotation, see vault.) */
CHECKED enum err file_shred(const char *path, struct fault *f);

/* All of it, however often write() is interrupted. */
CHECKED enum err fd_write_all(int fd, str s, struct fault *f);

/* The answer that errno stands for. */
enum err err_from_errno(int e);

#endif
