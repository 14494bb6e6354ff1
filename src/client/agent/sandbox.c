/*
 * Lock and wipe, in the one folder that was given for it. Everything is done on a folder that is held open and was
 * looked at: by the time of the deed, a path could lead elsewhere.
 */
#include "client/agent/agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 64, ABOVE_MAX = 256 };

static void fd_close(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is `folder` the place, or does it hold it? What cannot be told is taken for yes. */
static bool holds(const struct stat *folder, const char *place)
{
    struct stat s, before = {0};
    int at = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; at >= 0 && i < ABOVE_MAX && fstat(at, &s) == 0; i++) {
        bool found = same(folder, &s), top = i > 0 && same(&before, &s);
        int up = found || top ? -1 : openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(at);
        if (found || top)
            return found;
        before = s;
        at = up;
    }
    fd_close(&at);
    return true;
}

/* The home that the system knows, and the one that the environment names. */
static bool holds_home(const struct stat *folder)
{
    const struct passwd *p = getpwuid(geteuid());
    const char *named = getenv("HOME");
    return !p || holds(folder, p->pw_dir) || (named && *named && holds(folder, named));
}

/* The folder, held. Refused: a link, another's, the root, and what holds the home or what this app keeps. */
static const char *open_sandbox(const char *folder, const char *state_folder, int *out, mode_t *mode)
{
    struct stat s;
    if (!*folder)
        return "no-sandbox";
    CLEANUP(fd_close) int fd = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &s) != 0)
        return "no-sandbox";
    if (s.st_uid != geteuid() || holds(&s, "/") || holds_home(&s) || holds(&s, state_folder))
        return "sandbox-refused";
    *mode = s.st_mode & 07777;
    *out = fd;
    fd = -1;
    return NULL;
}

/* A folder of mode 0 can be held, but not changed by what is held: its entry in /proc can. */
static bool set_mode(int fd, mode_t mode)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return chmod(path, mode) == 0;
}

static bool note_path(const char *folder, char out[static PATH_MAX])
{
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    return snprintf(out, PATH_MAX, "%.*s.note", (int)n, folder) < PATH_MAX;
}

static bool write_note(const char *folder, const char *note)
{
    char path[PATH_MAX];
    if (!note_path(folder, path))
        return false;
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd >= 0 && dprintf(fd, "%s\n", note) > 0;
}

const char *sandbox_lock(const char *folder, const char *state_folder, const char *note)
{
    CLEANUP(fd_close) int fd = -1;
    mode_t mode;
    const char *why = open_sandbox(folder, state_folder, &fd, &mode);
    if (why)
        return why;
    if (!write_note(folder, note ? note : ""))
        return "note-not-written";
    return set_mode(fd, 0) ? NULL : "lock-failed";
}

const char *sandbox_unlock(const char *folder, const char *state_folder)
{
    CLEANUP(fd_close) int fd = -1;
    char note[PATH_MAX];
    mode_t mode;
    const char *why = open_sandbox(folder, state_folder, &fd, &mode);
    if (why)
        return why;
    if (!set_mode(fd, 0700))
        return "unlock-failed";
    if (note_path(folder, note))
        (void)unlink(note);
    return NULL;
}

/* ---- wipe ---- */

static bool empty(int at, dev_t device, int depth);

static bool remove_entry(int at, const char *name, dev_t device, int depth)
{
    struct stat s;
    if (fstatat(at, name, &s, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT;
    if (!S_ISDIR(s.st_mode))
        return unlinkat(at, name, 0) == 0;
    if (s.st_dev != device || depth >= DEPTH_MAX)
        return false; /* something is mounted there: it is not of this folder */
    CLEANUP(fd_close) int inner = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return inner >= 0 && empty(inner, device, depth + 1) && unlinkat(at, name, AT_REMOVEDIR) == 0;
}

/* Goes on after what it cannot remove. */
static bool empty(int at, dev_t device, int depth)
{
    int own = fcntl(at, F_DUPFD_CLOEXEC, 0);
    DIR *d = own >= 0 ? fdopendir(own) : NULL;
    bool all = d != NULL;
    if (!d)
        fd_close(&own);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !remove_entry(at, e->d_name, device, depth))
            all = false;
    if (d)
        closedir(d);
    return all;
}

const char *sandbox_wipe(const char *folder, const char *state_folder)
{
    CLEANUP(fd_close) int fd = -1;
    mode_t mode;
    struct stat s;
    const char *why = open_sandbox(folder, state_folder, &fd, &mode);
    if (why)
        return why;
    if (!set_mode(fd, 0700))
        return "wipe-failed";
    CLEANUP(fd_close) int inner = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool all = inner >= 0 && fstat(inner, &s) == 0 && empty(inner, s.st_dev, 0);
    if (!set_mode(fd, mode) || !all)
        return "wipe-incomplete";
    return NULL;
}
