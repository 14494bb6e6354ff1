/*
 * What crosses between the HTTP server and the pages: a request's head, a response. No library's
 * types: server.h hides which one it is.
 */
#ifndef WEB_HTTP_H
#define WEB_HTTP_H

#include "base/str.h"

enum method { METHOD_NONE = 0, METHOD_GET = 1, METHOD_HEAD = 2, METHOD_POST = 4, METHOD_PUT = 8 };
enum method method_named(str name); /* METHOD_NONE where we speak no such method */

struct header {
    str name; /* case does not count */
    str value;
};

/* A request as it came, before anything in it is believed. All slices are borrowed. */
struct head {
    str method;
    str target; /* as on the request line: path and query, still percent-encoded */
    str version; /* "HTTP/1.1" */
    struct header *headers;
    size_t n_headers;
    str peer; /* the address at the other end of the socket; empty for a unix socket */
    bool torn; /* the server could not read it whole: too many headers, a NUL in its first line */
};

/* The first header of that name, or empty. */
str head_get(const struct head *h, const char *name);
size_t head_count(const struct head *h, const char *name);

/* A body that is not in memory: read() fills up to n bytes and answers how many, 0 at the end, -1
 * on failure; close() releases it. */
struct body_source {
    int64_t (*read)(void *state, char *p, size_t n);
    void (*close)(void *state);
    void *state;
    int64_t size; /* bytes in all */
};

enum { MAX_RESPONSE_HEADERS = 32 };

struct response {
    int status;
    struct header headers[MAX_RESPONSE_HEADERS];
    size_t n_headers;
    str body;                  /* in the request's arena, or constant */
    struct body_source source; /* instead of body, where read is not NULL */
    bool close;                /* the connection ends after it */
};

void response_header(struct response *r, const char *name, str value);
str response_get(const struct response *r, const char *name);
const char *status_text(int status);

/*
 * RFC 9112 §6, strictly: of every header that frames or routes the message there is at most one;
 * Content-Length and Transfer-Encoding never stand together; Transfer-Encoding is "chunked" or
 * absent; HTTP/1.1 has a Host. Everything else is a smuggler's: ERR_INPUT.
 */
CHECKED enum err head_check(const struct head *h, struct fault *f);

/* The target's path and query: the path begins with '/', decodes to valid UTF-8 without control
 * characters, has no empty, "." or ".." segments. ERR_INPUT. */
CHECKED enum err target_split(struct arena *a, str target, str *path, str *query);

#endif
