/*
 * The HTTP/1.1 server behind web: which library it is does not show (libmicrohttpd 0.9.75).
 *
 * One thread per connection, a bounded number of connections; a handler simply blocks. Meant for
 * loopback or a unix socket behind nginx, which holds the crowd (deploy/nginx.conf): it bounds how
 * slowly a header may drip, which this library does not.
 */
#ifndef WEB_SERVER_H
#define WEB_SERVER_H

#include "web/web.h"

struct server;

struct server_config {
    str listen;          /* "127.0.0.1:8080", "[::1]:8080" or "unix:PATH" (mode 0660) */
    int max_connections; /* 0 means 64 */
    int timeout_s;       /* a silent connection is closed after it; 0 means 30 */
    const struct log *log;
};

/* Starts listening. ERR_INPUT: no address; ERR_CONFLICT: it is taken; ERR_DENIED: it may not be. */
CHECKED enum err server_start(struct server **out, struct web *web,
                              const struct server_config *config, struct fault *f);
/* Takes no new connections, lets running requests end (at most `ms`), then stops. */
void server_drain(struct server **s, int ms);

#endif
