/* Inside web: the platform's own state. */
#ifndef WEB_INTERNAL_H
#define WEB_INTERNAL_H

#include "vault/sealed_file.h"
#include "web/message.h"
#include "web/multipart.h"
#include "web/router.h"
#include "web/web.h"

#include <stdatomic.h>

struct web {
    struct web_config config;
    struct arena *arena;
    struct router *router;
    struct limits *limits;
    bool tls;         /* the public URL is https: cookies are __Host-, HSTS is sent */
    str origin;       /* of the public URL */
    atomic_int_least64_t requests[6], active, micros;
};

/* A file on its way in: sealed as it comes, with the signed-in person's key. */
struct upload {
    int field;
    id file;
    struct sealed_writer *writer;
    bool kept; /* whole and visible; a handler that adopts it names it in a row */
    bool in_file, skip;
    str name; /* of the plain field being read */
    struct buf value;
};

struct exchange {
    struct request req;
    struct head head;
    struct fault fault;
    struct response response;
    struct arena *arena;
    struct buf body;
    struct multipart *multipart;
    str csrf;
    int64_t began;
    bool unseen; /* our own verification's: neither counted nor logged */
    int refused; /* a status; 0: not refused */
    const char *why; /* a key: what the person is told */
    int wait_s;
};

/* page.c: the answer in words. */
CHECKED enum err page_render(struct request *req, int status, const char *template);
void page_problem(struct exchange *x, int status, const char *why);
void page_headers(struct request *req);

/* csrf.c */
str csrf_token(struct request *req);
bool csrf_ok(struct request *req, str token);

/* web.c: refuses before the body is read; the first reason stays */
void web_refuse(struct exchange *x, int status, const char *why);
/* web.c: the handler, its commit, and again where another transaction was in the way */
CHECKED enum err web_run(struct request *req);

/* message.c */
void message_begin(struct exchange *x);
CHECKED enum err message_run(struct exchange *x);
/* The key of a problem, as programs get it: without "problem.". */
str message_code(const char *why);

/* upload.c */
CHECKED enum err upload_start(struct exchange *x, str content_type);
CHECKED enum err upload_finish(struct exchange *x);
void upload_done(struct request *req);

/* cookie.c */
str cookie_read(const struct request *req, const char *name);

#endif
