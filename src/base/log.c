#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/calendar.h"
#include "base/codec.h"

enum { LINE_MAX_BYTES = 4096 };

/* A line on the stack: logging must work where memory or arenas are the problem. */
struct line {
    char p[LINE_MAX_BYTES];
    size_t n;
};

static void put(struct line *l, const char *p, size_t n)
{
    size_t room = sizeof l->p - 4 - l->n; /* room for the closing "}\n" */
    n = MIN_OF(n, room);
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void put_json(struct line *l, str s)
{
    put(l, "\"", 1);
    bool valid = utf8_valid(s);
    for (size_t i = 0; i < s.n && l->n < sizeof l->p - 16; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char escape[8];
        if (c == '"' || c == '\\') {
            escape[0] = '\\', escape[1] = (char)c;
            put(l, escape, 2);
        } else if (c < 0x20 || c == 0x7f) {
            put(l, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
        } else if (c >= 0x80 && !valid) {
            put(l, "\xef\xbf\xbd", 3);
        } else {
            put(l, (const char *)&c, 1);
        }
    }
    put(l, "\"", 1);
}

static void put_key(struct line *l, const char *key)
{
    put(l, l->n > 1 ? ",\"" : "\"", l->n > 1 ? 2 : 1);
    put(l, key, strlen(key));
    put(l, "\":", 2);
}

static void put_time(struct line *l, moment now)
{
    struct date d = moment_date(now);
    int64_t in_day = now - date_moment(d);
    char text[64];
    int n = snprintf(text, sizeof text, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", d.year, d.month,
                     d.day, (int)(in_day / MOMENT_HOUR), (int)(in_day / MOMENT_MINUTE % 60),
                     (int)(in_day / MOMENT_SECOND % 60), (int)(in_day / 1000 % 1000));
    put(l, text, (size_t)n);
}

void log_write(const struct log *log, enum log_level level, const char *event,
               const struct log_field *fields)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    if (log == NULL || log->fd < 0 || level < log->least)
        return;
    struct line l = {.n = 0};
    put(&l, "{", 1);
    put_key(&l, "time");
    put_time(&l, clock_now(log->clock));
    put_key(&l, "level");
    put_json(&l, str_from(levels[level]));
    put_key(&l, "event");
    put_json(&l, str_from(event));
    for (; fields->key != NULL; fields++) {
        put_key(&l, fields->key);
        if (fields->kind == LOG_IS_TEXT) {
            put_json(&l, fields->text);
        } else {
            char text[24];
            put(&l, text,
                (size_t)snprintf(text, sizeof text, "%lld", (long long)fields->number));
        }
    }
    l.p[l.n++] = '}';
    l.p[l.n++] = '\n';
    ssize_t ignored = write(log->fd, l.p, l.n); /* there is nobody to tell */
    (void)ignored;
}

void log_fault(const struct log *log, const char *event, str id, const struct fault *f)
{
    log_event(log, LOG_ERROR, event, LOG_TEXT("id", id),
              LOG_TEXT("error", str_from(err_name(f->code))), LOG_TEXT("why", str_from(f->text)),
              LOG_TEXT("file", str_from(f->file)), LOG_INT("line", f->line));
}
