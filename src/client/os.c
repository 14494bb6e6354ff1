/* The system: time, randomness, files, memory. */
#include "client/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

int64_t os_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

int64_t os_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void os_sleep(int64_t ms)
{
    if (ms > 0)
        (void)poll(NULL, 0, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

void os_random_text(char *out, size_t n)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i + 1 < n; i++)
        out[i] = letters[randombytes_uniform(sizeof letters - 1)];
    out[n - 1] = 0;
}

char *text_format(const char *format, ...)
{
    va_list args;
    char *out;
    va_start(args, format);
    int n = vasprintf(&out, format, args);
    va_end(args);
    return n < 0 ? NULL : out;
}

void text_free(char **text)
{
    free(*text);
    *text = NULL;
}

void text_wipe(char **text)
{
    if (*text)
        sodium_memzero(*text, strlen(*text));
    text_free(text);
}

void json_done(json_t **j)
{
    json_decref(*j);
    *j = NULL;
}

/* Jansson hands out its own bytes, as const; this is their end. */
static void wipe(json_t *j)
{
    const char *name;
    json_t *value;
    if (json_is_string(j))
        sodium_memzero((void *)(uintptr_t)json_string_value(j), json_string_length(j));
    json_object_foreach(j, name, value)
        wipe(value);
    for (size_t i = 0; i < json_array_size(j); i++)
        wipe(json_array_get(j, i));
}

void json_wipe(json_t **j)
{
    wipe(*j);
    json_done(j);
}

/* ---- files ---- */

static void file_close(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

void os_unlock(const int *fd)
{
    file_close(fd);
}

enum troth_result os_make_folder(const char *path)
{
    CLEANUP(text_free) char *part = strdup(path);
    for (char *slash = part; part && (slash = strchr(slash + 1, '/'));) {
        *slash = 0;
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return TROTH_STORAGE;
        *slash = '/';
    }
    if (!part || (mkdir(part, 0700) != 0 && errno != EEXIST))
        return TROTH_STORAGE;
    return TROTH_OK;
}

enum troth_result os_read(const char *path, char **out)
{
    CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? TROTH_UNCHANGED : TROTH_STORAGE;
    CLEANUP(text_wipe) char *text = calloc(1, ANSWER_MAX + 1);
    size_t n = 0;
    while (text && n < ANSWER_MAX) {
        ssize_t got = read(fd, text + n, ANSWER_MAX - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return TROTH_STORAGE;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    if (!text || n == ANSWER_MAX)
        return TROTH_STORAGE;
    *out = strdup(text);
    return *out ? TROTH_OK : TROTH_STORAGE;
}

static bool write_all(int fd, const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        ssize_t put = write(fd, text, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        text += put;
        n -= (size_t)put;
    }
    return fsync(fd) == 0;
}

enum troth_result os_write(const char *folder, const char *name, const char *text)
{
    CLEANUP(file_close) int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(text_free) char *fresh = text_format("%s.new", name);
    if (at < 0 || !fresh)
        return TROTH_STORAGE;
    CLEANUP(file_close) int fd = openat(at, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fchmod(fd, 0600) != 0 || !write_all(fd, text) || renameat(at, fresh, at, name) != 0)
        return TROTH_STORAGE;
    (void)fsync(at);
    return TROTH_OK;
}
