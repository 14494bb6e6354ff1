/*
 * The configuration: a YAML file, or the environment.
 *
 * Input: a configuration file; its lines are also tried as variables. What must hold of settings
 * that are accepted: numbers lie within the limits of their rows, the public URL is http(s) without
 * a slash at its end, and the sender's address is one that no header can break on.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/config.h"

static void check(const struct settings *s)
{
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *k = &config_keys[i];
        const void *at = (const char *)s + k->offset;
        if (k->type == KEY_INT || k->type == KEY_BYTES_SIZE)
            MUST(*(const int64_t *)at >= k->least && *(const int64_t *)at <= k->most);
        if (k->type == KEY_TERM)
            MUST(!term_is_zero(*(const struct term *)at));
    }
    MUST(str_starts(s->public_url, STR("http://")) || str_starts(s->public_url, STR("https://")));
    MUST(!str_ends(s->public_url, STR("/")));
    MUST(s->database.n > 0 && s->keyring.n > 0 && s->master_key_file.n > 0);
    MUST(str_has(s->mail_from, '@') && s->mail_from.n <= 254);
    for (size_t i = 0; i < s->mail_from.n; i++)
        MUST(s->mail_from.p[i] > 0x20 && s->mail_from.p[i] < 0x7f);
}

static void try_file(struct arena *a, const uint8_t *data, size_t n)
{
    static char *const nothing[] = {NULL};
    char path[40];
    struct settings s;
    struct fault f = {0};
    CLEANUP(fd_close) int fd = memfd_create("config", MFD_CLOEXEC);
    MUST(fd >= 0 && fd_write_all(fd, str_of(data, n), &f) == OK);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (config_read(path, nothing, a, &s, &f) == OK)
        check(&s);
    else
        MUST(f.code != OK && f.text[0] != '\0');
}

/* "public_url: x" in a file is "TROTH_PUBLIC_URL=x" in the environment. */
static char *variable(struct arena *a, str line)
{
    str name, value;
    if (!str_cut(line, ':', &name, &value))
        return str_cstr(a, line);
    str s = str_fmt(a, "TROTH_%.*s=%.*s", STR_FMT(name), STR_FMT(str_trim(value)));
    char *p = str_cstr(a, s);
    for (size_t i = 0; i < s.n && p[i] != '='; i++)
        if (p[i] >= 'a' && p[i] <= 'z')
            p[i] -= 'a' - 'A';
    return p;
}

static void try_environment(struct arena *a, str text)
{
    enum { MAX_LINES = 60 };
    char *list[MAX_LINES + 1] = {NULL};
    struct settings s;
    struct fault f = {0};
    for (size_t i = 0, from = 0; i < MAX_LINES && text.n > 0; i++) {
        list[i] = variable(a, next_line(&text));
        MUST(config_unknown(list, &from) == NULL || from <= i + 1);
    }
    if (config_read(NULL, list, a, &s, &f) == OK)
        check(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(FUZZ_ARENA);
    unsetenv("CREDENTIALS_DIRECTORY");
    try_file(a, data, n);
    try_environment(a, str_of(data, n));
    arena_free(&a);
    return 0;
}
