#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

enum err err_from_errno(int e)
{
    switch (e) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
        return ERR_BUSY;
    case EFBIG:
        return ERR_LIMIT;
    default:
        return ERR_IO;
    }
}

#define FAIL_ERRNO(f, what, path) FAIL((f), err_from_errno(errno), what " %s: %s", path, strerror(errno))

enum err file_read(struct arena *a, const char *path, size_t max, str *out, struct fault *f)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return FAIL_ERRNO(f, "open", path);
    struct stat st;
    if (fstat(fd, &st) != 0)
        return FAIL_ERRNO(f, "stat", path);
    if (S_ISDIR(st.st_mode))
        return FAIL(f, ERR_INPUT, "%s is a directory", path);
    struct buf b = buf_new(a, max);
    char chunk[8192];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FAIL_ERRNO(f, "read", path);
        if (n == 0)
            break;
        buf_put(&b, str_of(chunk, (size_t)n));
        if (b.over)
            return FAIL(f, ERR_LIMIT, "%s is larger than %zu bytes", path, max);
    }
    sodium_memzero(chunk, sizeof chunk);
    return buf_end(&b, out);
}

enum err fd_write_all(int fd, str s, struct fault *f)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FAIL(f, err_from_errno(errno), "write: %s", strerror(errno));
        s = str_skip(s, (size_t)n);
    }
    return OK;
}

enum err name_sync(const char *path, struct fault *f)
{
    char dir[4096];
    str before, after;
    if (!str_cut_last(str_from(path), '/', &before, &after))
        before = STR(".");
    else if (before.n == 0)
        before = STR("/");
    if (before.n >= sizeof dir)
        return FAIL(f, ERR_INPUT, "path too long: %s", path);
    memcpy(dir, before.p, before.n);
    dir[before.n] = '\0';
    return dir_sync(dir, f);
}

enum err file_write(const char *path, str content, int mode, struct fault *f)
{
    char temp[4096];
    int n = snprintf(temp, sizeof temp, "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof temp)
        return FAIL(f, ERR_INPUT, "path too long: %s", path);
    CLEANUP(fd_close) int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return FAIL_ERRNO(f, "create", temp);
    enum err e = fd_write_all(fd, content, f);
    if (e == OK && fsync(fd) != 0)
        e = FAIL_ERRNO(f, "sync", temp);
    if (e == OK && rename(temp, path) != 0)
        e = FAIL_ERRNO(f, "rename", temp);
    if (e != OK) {
        unlink(temp);
        return e;
    }
    return name_sync(path, f);
}

enum err file_create(const char *path, str content, int mode, struct fault *f)
{
    char dir[4096], own[64];
    if (strlen(path) >= sizeof dir)
        return FAIL(f, ERR_INPUT, "path too long: %s", path);
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash != NULL)
        slash[slash == dir] = '\0';
    CLEANUP(fd_close) int fd = open(slash ? dir : ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
        return file_exists(path) ? FAIL(f, ERR_CONFLICT, "%s is there", path) : file_write(path, content, mode, f);
    if (fd < 0)
        return FAIL_ERRNO(f, "create in", dir);
    TRY(fd_write_all(fd, content, f));
    if (fsync(fd) != 0)
        return FAIL_ERRNO(f, "sync", path);
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) != 0)
        return errno == EEXIST ? FAIL(f, ERR_CONFLICT, "%s is there", path) : FAIL_ERRNO(f, "name", path);
    return name_sync(path, f);
}

enum err dir_make(const char *path, int mode, struct fault *f)
{
    char part[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return FAIL(f, ERR_INPUT, "not a directory's path: %s", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char held = part[i];
        part[i] = '\0';
        if (mkdir(part, (mode_t)mode) != 0 && errno != EEXIST)
            return FAIL_ERRNO(f, "make directory", part);
        part[i] = held;
    }
    struct stat st;
    if (stat(path, &st) != 0)
        return FAIL_ERRNO(f, "stat", path);
    if (!S_ISDIR(st.st_mode))
        return FAIL(f, ERR_IO, "%s is not a directory", path);
    return OK;
}

enum err dir_sync(const char *path, struct fault *f)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return FAIL_ERRNO(f, "open", path);
    if (fsync(fd) != 0)
        return FAIL_ERRNO(f, "sync", path);
    return OK;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

enum err file_shred(const char *path, struct fault *f)
{
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return OK;
    if (fd < 0)
        return FAIL_ERRNO(f, "open", path);
    struct stat st;
    if (fstat(fd, &st) != 0)
        return FAIL_ERRNO(f, "stat", path);
    char noise[4096];
    for (off_t left = st.st_size; left > 0; left -= (off_t)sizeof noise) {
        randombytes_buf(noise, sizeof noise);
        TRY(fd_write_all(fd, str_of(noise, (size_t)MIN_OF(left, (off_t)sizeof noise)), f));
    }
    if (fsync(fd) != 0)
        return FAIL_ERRNO(f, "sync", path);
    if (unlink(path) != 0)
        return FAIL_ERRNO(f, "remove", path);
    return name_sync(path, f);
}
