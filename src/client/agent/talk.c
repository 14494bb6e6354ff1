/* The terminal, and the log. */
#include "client/agent/agent.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192, LOG_MAX = 1 << 20 };

/* Bytes of what no terminal is to see, at the beginning of text: control characters, and those that turn the
 * direction of what follows. 0: none. */
static size_t unwanted(const unsigned char *text)
{
    if ((text[0] < 0x20 && text[0] != '\n') || text[0] == 0x7f)
        return 1;
    if (text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f)
        return 2;
    if (text[0] == 0xe2 && text[1] == 0x80 && text[2] >= 0xaa && text[2] <= 0xae)
        return 3;
    if (text[0] == 0xe2 && text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9)
        return 3;
    return 0;
}

static void clean(char *text)
{
    char *to = text;
    for (char *from = text; *from;) {
        size_t n = unwanted((const unsigned char *)from);
        *to++ = n ? '?' : *from;
        from += n ? n : 1;
    }
    *to = 0;
}

static void put(FILE *where, const char *format, va_list args)
{
    char text[LINE_MAX_BYTES];
    vsnprintf(text, sizeof text, format, args);
    clean(text);
    fputs(text, where);
    fflush(where);
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put(stdout, format, args);
    va_end(args);
}

void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("troth-agent: ", stderr);
    put(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

bool ask(const char *question, bool secret, char *out, size_t max)
{
    struct termios as_it_was;
    bool hides = secret && tcgetattr(STDIN_FILENO, &as_it_was) == 0;
    if (hides) {
        struct termios quiet = as_it_was;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    say("%s", question);
    bool there = fgets(out, (int)max, stdin) != NULL;
    if (hides) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &as_it_was);
        say("\n");
    }
    if (there)
        out[strcspn(out, "\r\n")] = 0;
    return there;
}

/* One older log is kept beside it. */
static int open_log(const char *folder)
{
    char path[PATH_MAX], old[PATH_MAX];
    struct stat s;
    if (snprintf(path, sizeof path, "%s/agent.log", folder) >= (int)sizeof path ||
        snprintf(old, sizeof old, "%s/agent.log.1", folder) >= (int)sizeof old)
        return -1;
    if (stat(path, &s) == 0 && s.st_size > LOG_MAX)
        (void)rename(path, old);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

void note_down(const struct agent *a, const char *what, const char *text)
{
    char line[LINE_MAX_BYTES], when[32];
    time_t now = (time_t)troth_now(a->t);
    struct tm calendar;
    gmtime_r(&now, &calendar);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &calendar);
    snprintf(line, sizeof line - 1, "%s %s: %s", when, what, text ? text : "");
    clean(line);
    for (char *c = line; (c = strchr(c, '\n'));)
        *c = ' '; /* an entry is one line, whatever it says */
    say("%s\n", line);
    size_t n = strlen(line);
    line[n] = '\n';
    int fd = open_log(a->options->folder);
    if (fd >= 0 && write(fd, line, n + 1) < 0)
        complain("agent.log cannot be written");
    if (fd >= 0)
        close(fd);
}
