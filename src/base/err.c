#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum err fault_set(struct fault *f, enum err code, const char *file, int line, const char *fmt, ...)
{
    if (f == NULL || f->code != OK)
        return code;
    f->code = code;
    f->file = file;
    f->line = line;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
    return code;
}

void fault_prefix(struct fault *f, const char *fmt, ...)
{
    if (f == NULL || f->code == OK)
        return;
    char text[sizeof f->text];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text)
        return;
    size_t room = sizeof text - (size_t)n;
    size_t len = strlen(f->text);
    if (len >= room)
        len = room - 1;
    memcpy(text + n, f->text, len);
    text[(size_t)n + len] = '\0';
    memcpy(f->text, text, sizeof text);
}

void fault_clear(struct fault *f)
{
    f->code = OK;
    f->file = NULL;
    f->line = 0;
    f->text[0] = '\0';
}

const char *err_name(enum err e)
{
    static const char *const names[] = {
        [OK] = "ok",
        [ERR_INPUT] = "input",
        [ERR_DENIED] = "denied",
        [ERR_NOT_FOUND] = "not-found",
        [ERR_CONFLICT] = "conflict",
        [ERR_LIMIT] = "limit",
        [ERR_BUSY] = "busy",
        [ERR_IO] = "io",
    };
    return (size_t)e < COUNT(names) ? names[e] : "unknown";
}
