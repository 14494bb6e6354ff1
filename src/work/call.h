/*
 * A request of ours to somebody else's HTTP API: one, with its answer, by libcurl.
 *
 * TLS 1.2 or later, the certificate and the name checked; http:// is the caller's to allow (this machine
 * only). No redirect is followed, no proxy of the environment used, no cookie kept. The answer and the time are
 * limited. Where it went wrong, `sent` tells whether a byte of the request had left: if not, surely nothing was
 * done.
 */
#ifndef WORK_CALL_H
#define WORK_CALL_H

#include "base/secret.h"

enum { CALL_ANSWER_MAX = 1 << 20, CALL_HEADERS_MAX = 8 };

struct call {
    const char *method;  /* "GET", "POST", "DELETE" */
    str url;
    struct secret user;  /* basic authentication, with an empty password; or empty */
    str headers[CALL_HEADERS_MAX]; /* "Name: value" */
    size_t n_headers;
    str form;            /* POST: application/x-www-form-urlencoded */
    const char *ca_file; /* whom to believe; NULL: the system's */
    int timeout_ms;      /* 0: 20 s */
};

struct call_answer {
    long status; /* 0: there was none */
    bool sent;
    str body;
};

/* Before the first call, by the thread that starts the rest. */
void call_begin(void);

/* OK: there is an answer, whatever it says. ERR_BUSY: there is none, or only a part of one; ERR_LIMIT: it is longer
 * than CALL_ANSWER_MAX. *out is filled in any case. The fault names no URL and no secret. */
CHECKED enum err call_make(struct arena *a, const struct call *c, struct call_answer *out, struct fault *f);

/* For a form: name=value, both encoded, with & before all but the first. */
void call_field(struct buf *form, const char *name, str value);

#endif
