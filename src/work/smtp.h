/* Inside work: handing a mail over, to an SMTP server or to a folder. */
#ifndef WORK_SMTP_H
#define WORK_SMTP_H

#include "base/str.h"

enum delivery {
    DELIVERED,
    DELIVERY_LATER,     /* the server is away or said 4xx: it has nothing */
    DELIVERY_REFUSED,   /* 5xx: it never will */
    DELIVERY_UNCERTAIN, /* the connection was lost after the final dot */
};

struct smtp_target {
    const char *url;
    const char *user, *password; /* or NULL */
    const char *ca_file;
    bool need_tls;
    int timeout_ms;
};

/* Called before the final dot; an error stops the mail before it. */
typedef enum err before_dot_fn(void *arg);

/* `code` is the server's last reply code, for the log. */
enum delivery smtp_deliver(const struct smtp_target *t, const char *from, const char *to, str mail,
                           before_dot_fn *before_dot, void *arg, long *code);

#endif
