#include "store/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

#define PART ".part" /* the ending of what is not yet whole */

static enum err path_of(const struct files *s, id name, const char *ending, char *out,
                        struct fault *f)
{
    int n = snprintf(out, PATH_BYTES, "%s/%.2s/%s%s", s->dir, name.text, name.text, ending);
    if (n < 0 || n >= PATH_BYTES)
        return FAIL(f, ERR_INPUT, "path too long: %s", s->dir);
    return OK;
}

enum err files_create(const struct files *s, id name, int *fd, struct fault *f)
{
    char dir[PATH_BYTES], path[PATH_BYTES];
    int n = snprintf(dir, sizeof dir, "%s/%.2s", s->dir, name.text);
    if (n < 0 || n >= PATH_BYTES)
        return FAIL(f, ERR_INPUT, "path too long: %s", s->dir);
    TRY(dir_make(dir, 0700, f));
    TRY(path_of(s, name, PART, path, f));
    *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return FAIL(f, err_from_errno(errno), "create %s: %s", path, strerror(errno));
    return OK;
}

enum err files_keep(const struct files *s, id name, int *fd, struct fault *f)
{
    char part[PATH_BYTES], path[PATH_BYTES], dir[PATH_BYTES];
    TRY(path_of(s, name, PART, part, f));
    TRY(path_of(s, name, "", path, f));
    snprintf(dir, sizeof dir, "%s/%.2s", s->dir, name.text);
    int synced = fsync(*fd);
    int e = errno;
    fd_close(fd);
    if (synced != 0)
        return FAIL(f, err_from_errno(e), "sync %s: %s", part, strerror(e));
    if (rename(part, path) != 0)
        return FAIL(f, err_from_errno(errno), "rename %s: %s", part, strerror(errno));
    return dir_sync(dir, f);
}

void files_discard(const struct files *s, id name, int *fd)
{
    char part[PATH_BYTES];
    fd_close(fd);
    if (path_of(s, name, PART, part, NULL) == OK)
        unlink(part);
}

enum err files_open(const struct files *s, id name, int *fd, struct fault *f)
{
    char path[PATH_BYTES];
    TRY(path_of(s, name, "", path, f));
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0)
        return FAIL(f, err_from_errno(errno), "open %s: %s", path, strerror(errno));
    return OK;
}

enum err files_remove(const struct files *s, id name, struct fault *f)
{
    char path[PATH_BYTES];
    TRY(path_of(s, name, "", path, f));
    if (unlink(path) != 0 && errno != ENOENT)
        return FAIL(f, err_from_errno(errno), "remove %s: %s", path, strerror(errno));
    return OK;
}

static void dir_done(DIR **d)
{
    if (*d != NULL)
        closedir(*d);
}

static enum err walk_folder(const char *dir, enum err (*each)(id name, void *arg), void *arg,
                            moment before, struct fault *f)
{
    CLEANUP(dir_done) DIR *d = opendir(dir);
    if (d == NULL)
        return FAIL(f, err_from_errno(errno), "open %s: %s", dir, strerror(errno));
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        str name = str_from(entry->d_name);
        id file;
        struct stat st;
        if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            (moment)st.st_mtim.tv_sec * MOMENT_SECOND >= before)
            continue;
        if (id_parse(name, &file) == OK)
            TRY(each(file, arg));
        else if (str_ends(name, STR(PART)))
            unlinkat(dirfd(d), entry->d_name, 0);
    }
    return OK;
}

enum err files_walk(const struct files *s, enum err (*each)(id name, void *arg), void *arg,
                    moment before, struct fault *f)
{
    CLEANUP(dir_done) DIR *d = opendir(s->dir);
    if (d == NULL && errno == ENOENT)
        return OK;
    if (d == NULL)
        return FAIL(f, err_from_errno(errno), "open %s: %s", s->dir, strerror(errno));
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        char dir[PATH_BYTES];
        if (strlen(entry->d_name) != 2 || entry->d_name[0] == '.')
            continue;
        int n = snprintf(dir, sizeof dir, "%s/%s", s->dir, entry->d_name);
        if (n > 0 && n < PATH_BYTES)
            TRY(walk_folder(dir, each, arg, before, f));
    }
    return OK;
}
