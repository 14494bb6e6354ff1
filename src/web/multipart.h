/*
 * multipart/form-data (RFC 7578) as a stream: pushed in pieces of any size, it calls back for each
 * part's head and content. Memory does not grow with the upload.
 *
 * Limits: 100 parts, 4 KiB of headers a part. ERR_INPUT: malformed; whatever a callback answers.
 */
#ifndef WEB_MULTIPART_H
#define WEB_MULTIPART_H

#include "base/str.h"

struct multipart_ops {
    /* A part begins. `file` is empty for a plain field. The names live until the next call. */
    enum err (*begin)(void *arg, str name, str file, bool is_file);
    enum err (*data)(void *arg, str bytes);
    enum err (*end)(void *arg);
};

struct multipart;

/* From the Content-Type header's value. ERR_INPUT: not multipart/form-data, or no good boundary. */
CHECKED enum err multipart_new(struct arena *a, str content_type, const struct multipart_ops *ops,
                               void *arg, struct multipart **out, struct fault *f);
CHECKED enum err multipart_push(struct multipart *m, str bytes);
/* The body has ended: was the closing boundary there? */
CHECKED enum err multipart_finish(struct multipart *m);

#endif
