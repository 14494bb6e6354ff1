#include "web/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

enum {
    DEFAULT_CONNECTIONS = 64,
    DEFAULT_TIMEOUT_S = 30,
    HEAD_BYTES = 32 * 1024,
    MAX_HEADERS = 100,
    STACK_BYTES = 1024 * 1024,
    BLOCK = 64 * 1024,
};

struct server {
    struct MHD_Daemon *daemon;
    struct web *web;
    const struct log *log;
    char *socket_path; /* of a unix socket, to be removed */
};

/* One request on a connection. */
struct visit {
    struct head head;
    struct header headers[MAX_HEADERS];
    bool too_many;
    char peer[64];
    struct exchange *exchange;
    const char *uri; /* the library's own copy, in the buffer that holds the request's first line */
    char target[];
};

static void *visit_begin(void *cls, const char *uri, struct MHD_Connection *c)
{
    (void)cls, (void)c;
    size_t n = strlen(uri);
    struct visit *v = calloc(1, sizeof *v + n + 1);
    if (v == NULL)
        return NULL;
    memcpy(v->target, uri, n + 1);
    v->head.target = str_of(v->target, n);
    v->uri = uri;
    return v;
}

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                   size_t key_size, const char *value, size_t value_size)
{
    struct visit *v = cls;
    (void)kind;
    if (v->head.n_headers == MAX_HEADERS) {
        v->too_many = true;
        return MHD_NO;
    }
    v->headers[v->head.n_headers++] =
        (struct header){str_of(key, key_size), str_of(value ? value : "", value_size)};
    return MHD_YES;
}

static void read_peer(struct visit *v, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;
    if (a != NULL && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, v->peer,
                  sizeof v->peer);
    else if (a != NULL && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, v->peer,
                  sizeof v->peer);
    v->head.peer = str_from(v->peer);
}

static ssize_t read_source(void *cls, uint64_t pos, char *p, size_t max)
{
    const struct body_source *s = cls;
    (void)pos;
    int64_t n = s->read(s->state, p, max);
    return n > 0 ? (ssize_t)n : n == 0 ? MHD_CONTENT_READER_END_OF_STREAM
                                       : MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *body_of(const struct response *r)
{
    /* The exchange outlives the response: visit_end() comes after the last byte. The library asks
     * for pointers to what it will not change. */
    if (r->source.read != NULL) {
        union {
            const struct body_source *in;
            void *out;
        } source = {.in = &r->source};
        return MHD_create_response_from_callback(
            r->source.size >= 0 ? (uint64_t)r->source.size : MHD_SIZE_UNKNOWN, BLOCK, read_source,
            source.out, NULL);
    }
    union {
        const char *in;
        void *out;
    } bytes = {.in = r->body.n ? r->body.p : ""};
    return MHD_create_response_from_buffer(r->body.n, bytes.out, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result respond(struct MHD_Connection *c, const struct response *r)
{
    struct MHD_Response *m = body_of(r);
    struct arena *a = arena_new(1 << 20);
    enum MHD_Result ok = m != NULL ? MHD_YES : MHD_NO;
    for (size_t i = 0; i < r->n_headers && ok == MHD_YES; i++)
        ok = MHD_add_response_header(m, str_cstr(a, r->headers[i].name), str_cstr(a, r->headers[i].value));
    if (ok == MHD_YES && r->close)
        ok = MHD_add_response_header(m, MHD_HTTP_HEADER_CONNECTION, "close");
    if (ok == MHD_YES)
        ok = MHD_queue_response(c, (unsigned)r->status, m);
    if (m != NULL)
        MHD_destroy_response(m);
    arena_free(&a);
    return ok;
}

/* The library takes the target for a C string: "/\0x" would be "/" to us, and something else to
 * whoever stands before us. Where nothing is hidden, the version begins one blank behind it. */
static bool is_one_line(const struct visit *v, const char *version)
{
    return version == v->uri + v->head.target.n + 1;
}

static enum MHD_Result serve(void *cls, struct MHD_Connection *c, const char *url,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_size, void **state)
{
    struct server *s = cls;
    struct visit *v = *state;
    (void)url;
    if (v == NULL)
        return MHD_NO;
    if (v->exchange == NULL) {
        v->head.method = str_from(method);
        v->head.version = str_from(version);
        v->head.headers = v->headers;
        MHD_get_connection_values_n(c, MHD_HEADER_KIND, take_header, v);
        read_peer(v, c);
        v->head.torn = v->too_many || !is_one_line(v, version);
        v->exchange = web_begin(s->web, &v->head);
        /* Refused before its body: answered at once, and the connection ends. */
        if (web_refused(v->exchange))
            return respond(c, web_finish(v->exchange));
        return MHD_YES;
    }
    if (*upload_size > 0) {
        web_body(v->exchange, str_of(upload, *upload_size));
        *upload_size = 0;
        return MHD_YES;
    }
    return respond(c, web_finish(v->exchange));
}

static void visit_end(void *cls, struct MHD_Connection *c, void **state,
                      enum MHD_RequestTerminationCode why)
{
    struct visit *v = *state;
    (void)cls, (void)c, (void)why;
    if (v == NULL)
        return;
    if (v->exchange != NULL)
        web_end(&v->exchange);
    free(v);
    *state = NULL;
}

/* Paths and queries are decoded in one place, strictly (target_split). */
static size_t leave_escaped(void *cls, struct MHD_Connection *c, char *s)
{
    (void)cls, (void)c;
    return strlen(s);
}

static void library_log(void *cls, const char *format, va_list ap)
{
    const struct server *s = cls;
    char text[256];
    (void)ap;
    /* Its words may hold what a request held: the format alone says what happened. */
    snprintf(text, sizeof text, "%s", format);
    size_t n = strcspn(text, "\n");
    log_event(s->log, LOG_WARNING, "http-library", LOG_TEXT("why", str_of(text, n)));
}

/* ---- listening ---- */

static enum err listen_unix(struct server *s, const char *path, int *out, struct fault *f)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return FAIL(f, ERR_INPUT, "the socket's path is too long: %s", path);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return FAIL(f, ERR_BUSY, "socket: %s", strerror(errno));
    /* One that nobody listens on is left from before. */
    if (connect(fd, (const struct sockaddr *)&a, sizeof a) == 0) {
        close(fd);
        return FAIL(f, ERR_CONFLICT, "another server listens on %s", path);
    }
    unlink(path);
    close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mode_t before = umask(0117);
    int bound = bind(fd, (const struct sockaddr *)&a, sizeof a);
    umask(before);
    if (bound != 0 || listen(fd, SOMAXCONN) != 0) {
        close(fd);
        return FAIL(f, errno == EACCES ? ERR_DENIED : ERR_IO, "listen on %s: %s", path, strerror(errno));
    }
    s->socket_path = strdup(path);
    *out = fd;
    return OK;
}

static enum err listen_tcp(str where, int *out, struct fault *f)
{
    char host[256], port[16];
    str h, p;
    if (!str_cut_last(where, ':', &h, &p) || p.n == 0 || p.n >= sizeof port || h.n >= sizeof host)
        return FAIL(f, ERR_INPUT, "listen on HOST:PORT or unix:PATH, not %.*s", STR_FMT(where));
    if (h.n > 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
        h = str_head(str_skip(h, 1), h.n - 2);
    snprintf(host, sizeof host, "%.*s", STR_FMT(h));
    snprintf(port, sizeof port, "%.*s", STR_FMT(p));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list;
    if (getaddrinfo(h.n ? host : NULL, port, &hints, &list) != 0)
        return FAIL(f, ERR_INPUT, "no such address: %.*s", STR_FMT(where));
    int fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, 0), yes = 1, e = 0;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0)
        e = errno;
    freeaddrinfo(list);
    if (e != 0) {
        close(fd);
        return FAIL(f, e == EADDRINUSE ? ERR_CONFLICT : e == EACCES ? ERR_DENIED : ERR_IO,
                    "listen on %.*s: %s", STR_FMT(where), strerror(e));
    }
    *out = fd;
    return OK;
}

static enum err listen_on(struct server *s, str where, int *out, struct fault *f)
{
    char path[256];
    if (!str_starts(where, STR("unix:")))
        return listen_tcp(where, out, f);
    snprintf(path, sizeof path, "%.*s", STR_FMT(str_skip(where, 5)));
    return listen_unix(s, path, out, f);
}

enum err server_start(struct server **out, struct web *web, const struct server_config *config,
                      struct fault *f)
{
    struct server *s = calloc(1, sizeof *s);
    int fd = -1;
    if (s == NULL)
        return FAIL(f, ERR_BUSY, "out of memory");
    s->web = web;
    s->log = config->log;
    enum err e = listen_on(s, config->listen, &fd, f);
    if (e == OK) {
        int connections = config->max_connections ? config->max_connections : DEFAULT_CONNECTIONS;
        int timeout = config->timeout_s ? config->timeout_s : DEFAULT_TIMEOUT_S;
        s->daemon = MHD_start_daemon(
            MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
                MHD_USE_ITC | MHD_USE_ERROR_LOG,
            0, NULL, NULL, serve, s, MHD_OPTION_EXTERNAL_LOGGER, library_log, s,
            MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)connections,
            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)timeout, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
            (size_t)HEAD_BYTES, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, visit_begin, NULL,
            MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_NOTIFY_COMPLETED,
            visit_end, NULL, MHD_OPTION_END);
        if (s->daemon == NULL)
            e = FAIL(f, ERR_IO, "the HTTP server did not start");
    }
    if (e != OK) {
        if (fd >= 0)
            close(fd);
        free(s->socket_path);
        free(s);
        return e;
    }
    *out = s;
    return OK;
}

void server_drain(struct server **server, int ms)
{
    struct server *s = *server;
    *server = NULL;
    if (s == NULL)
        return;
    MHD_socket fd = MHD_quiesce_daemon(s->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
    if (s->socket_path != NULL)
        unlink(s->socket_path);
    int64_t until = clock_ticks() + (int64_t)ms * 1000;
    while (web_figures(s->web).active > 0 && clock_ticks() < until) {
        struct timespec pause = {0, 10 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    MHD_stop_daemon(s->daemon);
    free(s->socket_path);
    free(s);
}
