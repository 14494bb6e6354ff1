#include "vault/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/file.h"
#include "base/id.h"

void master_wipe(struct master *m)
{
    sodium_memzero(m, sizeof *m);
}

enum err master_paths(const char *file, const char *next, struct master_paths *out, struct fault *f)
{
    int a = snprintf(out->file, sizeof out->file, "%s", file);
    int b = next ? snprintf(out->next, sizeof out->next, "%s", next)
                 : snprintf(out->next, sizeof out->next, "%s.next", file);
    int c = snprintf(out->old, sizeof out->old, "%s.old", file);
    if (a <= 0 || b <= 0 || a >= PATH_MAX || b >= PATH_MAX || c >= PATH_MAX)
        return FAIL(f, ERR_INPUT, "the master key's path is empty or too long");
    return OK;
}

static enum err write_key(int fd, const char *path, struct fault *f)
{
    CLEANUP(key_wipe) struct key k = key_new();
    TRY(fd_write_all(fd, str_of(k.bytes, sizeof k.bytes), f));
    return fsync(fd) == 0 ? OK : FAIL(f, ERR_IO, "sync %s: %s", path, strerror(errno));
}

/* Whole before it has its name: a crash leaves no half key, nor a key whose name is not yet on disk
 * when the first subject is wrapped with it. */
enum err master_make(const char *path, struct fault *f)
{
    char temp[PATH_MAX];
    int n = snprintf(temp, sizeof temp, "%s.new", path);
    if (n <= 0 || n >= PATH_MAX)
        return FAIL(f, ERR_INPUT, "the master key's path is empty or too long");
    unlink(temp); /* of a crash; never written over, for it may be the same file by two names */
    CLEANUP(fd_close) int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return FAIL(f, err_from_errno(errno), "create %s: %s", temp, strerror(errno));
    enum err e = write_key(fd, temp, f);
    if (e == OK && link(temp, path) != 0)
        e = errno == EEXIST
                ? FAIL(f, ERR_CONFLICT, "there is a master key at %s already", path)
                : FAIL(f, err_from_errno(errno), "name %s: %s", path, strerror(errno));
    unlink(temp);
    return e == OK ? name_sync(path, f) : e;
}

/* The key's name: it tells keys apart and gives nothing of them away. */
static void name_master(struct master *m)
{
    static const char text[] = "troth master key";
    unsigned char hash[16];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)text, sizeof text - 1,
                       m->key.bytes, sizeof m->key.bytes);
    struct arena *a = arena_new(1024);
    str s = base32_encode(a, hash, sizeof hash);
    memcpy(m->id, s.p, MASTER_ID_CHARS);
    m->id[MASTER_ID_CHARS] = '\0';
    arena_free(&a);
}

enum err master_read(const char *path, struct master *out, struct fault *f)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        return FAIL(f, ERR_NOT_FOUND, "there is no master key at %s (troth vault init makes one)",
                    path);
    if (fd < 0 || fstat(fd, &st) != 0)
        return FAIL(f, ERR_DENIED, "the master key at %s cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return FAIL(f, ERR_DENIED, "the master key at %s is not a file", path);
    if ((st.st_mode & 077) != 0)
        return FAIL(f, ERR_DENIED, "the master key at %s is open to others (mode %03o): chmod 600 it",
                    path, (unsigned)st.st_mode & 0777);
    if (st.st_size != KEY_BYTES)
        return FAIL(f, ERR_DENIED, "the master key at %s has %lld bytes, not %d", path,
                    (long long)st.st_size, KEY_BYTES);
    if (read(fd, out->key.bytes, KEY_BYTES) != KEY_BYTES)
        return FAIL(f, ERR_DENIED, "the master key at %s cannot be read", path);
    name_master(out);
    return OK;
}

const struct master *master_find(const struct masters *m, str name)
{
    for (int i = 0; i < m->n; i++)
        if (str_is(name, m->list[i].id))
            return &m->list[i];
    return NULL;
}

enum err masters_load(const struct master_paths *p, struct masters *out, struct fault *f)
{
    const char *const paths[MAX_MASTERS] = {p->file, p->next, p->old};
    sodium_memzero(out, sizeof *out);
    for (int i = 0; i < MAX_MASTERS; i++) {
        struct fault own = {0};
        enum err e = master_read(paths[i], &out->list[out->n], &own);
        if (e == OK)
            out->n++;
        else if (e != ERR_NOT_FOUND)
            return FAIL(f, e, "%s", own.text);
    }
    if (out->n > 0)
        return OK;
    return FAIL(f, ERR_NOT_FOUND, "there is no master key at %s (troth vault init makes one)",
                p->file);
}

static bool holds(const char *path, str name)
{
    struct master m;
    bool yes = master_read(path, &m, NULL) == OK && str_is(name, m.id);
    master_wipe(&m);
    return yes;
}

static enum err rename_file(const char *from, const char *to, struct fault *f)
{
    if (rename(from, to) != 0)
        return FAIL(f, err_from_errno(errno), "rename %s: %s", from, strerror(errno));
    return name_sync(to, f);
}

enum err master_settle(const struct master_paths *p, str name, struct fault *f)
{
    if (!holds(p->file, name)) {
        if (holds(p->next, name)) {
            if (file_exists(p->file))
                TRY(rename_file(p->file, p->old, f));
            TRY(rename_file(p->next, p->file, f));
        } else if (holds(p->old, name)) {
            TRY(rename_file(p->old, p->file, f));
        } else {
            return FAIL(f, ERR_DENIED, "no file holds the master key %.*s", STR_FMT(name));
        }
    }
    char temp[PATH_MAX + 8]; /* a second name of a key, where master_make() was cut off */
    snprintf(temp, sizeof temp, "%s.new", p->next);
    unlink(temp);
    return file_shred(p->old, f);
}
