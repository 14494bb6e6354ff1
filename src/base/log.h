/*
 * Logs as lines of JSON, one write(2) each, to stderr: {"time":…,"level":…,"event":…,…}.
 *
 * Logs hold what happened and how long it took; never a secret, an address, a name, a query
 * string or a body (spec LOG-09, LOG-11). Fields are typed so that nothing is written by habit:
 * there is no way to log a struct secret.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct log {
    int fd;               /* where lines go; -1: nowhere */
    enum log_level least; /* what is below is not written */
    const struct clock *clock;
};

struct log_field {
    const char *key; /* NULL ends the list */
    enum { LOG_IS_TEXT, LOG_IS_INT } kind;
    str text; /* bytes that are not UTF-8 are written as U+FFFD */
    int64_t number;
};

#define LOG_TEXT(k, s) {.key = (k), .kind = LOG_IS_TEXT, .text = (s)}
#define LOG_INT(k, v)  {.key = (k), .kind = LOG_IS_INT, .number = (v)}

/* log_event(log, LOG_INFO, "started", LOG_TEXT("listen", addr), LOG_INT("pid", pid)); */
#define log_event(log, level, event, ...)                                                          \
    log_write((log), (level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
void log_write(const struct log *log, enum log_level level, const char *event,
               const struct log_field *fields);

/* A failure with its text and place. `id` names it to the person who saw it; it may be empty. */
void log_fault(const struct log *log, const char *event, str id, const struct fault *f);

#endif
