#include "vault/sealed_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

enum {
    CHUNK = 64 * 1024,
    OVERHEAD = crypto_secretstream_xchacha20poly1305_ABYTES,
    HEADER = crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    FILE_VERSION = 1,
};

struct sealed_writer {
    const struct files *files;
    id name;
    int fd;
    struct fault *fault;
    crypto_secretstream_xchacha20poly1305_state state;
    enum err error; /* sticky */
    bool first;     /* no chunk has been written */
    int64_t written;
    size_t held;
    unsigned char plain[CHUNK];
    unsigned char sealed[CHUNK + OVERHEAD];
};

struct sealed_reader {
    id name;
    int fd;
    struct fault *fault;
    crypto_secretstream_xchacha20poly1305_state state;
    bool first, last;
    unsigned char plain[CHUNK];
    unsigned char sealed[CHUNK + OVERHEAD];
};

enum err sealed_create(const struct files *files, id name, const struct key *k, struct arena *a,
                       struct sealed_writer **out, struct fault *f)
{
    struct sealed_writer *w = ARENA_NEW(a, struct sealed_writer);
    *w = (struct sealed_writer){.files = files, .name = name, .fd = -1, .fault = f, .first = true};
    TRY(files_create(files, name, &w->fd, f));
    unsigned char head[1 + HEADER] = {FILE_VERSION};
    crypto_secretstream_xchacha20poly1305_init_push(&w->state, head + 1, k->bytes);
    w->error = fd_write_all(w->fd, str_of(head, sizeof head), f);
    if (w->error != OK) {
        enum err e = w->error;
        sealed_discard(&w);
        return e;
    }
    *out = w;
    return OK;
}

static enum err push(struct sealed_writer *w, bool last)
{
    unsigned long long n;
    str ad = w->first ? id_str(&w->name) : (str){"", 0};
    crypto_secretstream_xchacha20poly1305_push(
        &w->state, w->sealed, &n, w->plain, w->held, (const unsigned char *)ad.p, ad.n,
        last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0);
    w->first = false;
    w->held = 0;
    return fd_write_all(w->fd, str_of(w->sealed, n), w->fault);
}

enum err sealed_write(struct sealed_writer *w, str bytes)
{
    while (bytes.n > 0 && w->error == OK) {
        if (w->held == CHUNK)
            w->error = push(w, false);
        size_t n = MIN_OF(bytes.n, CHUNK - w->held);
        memcpy(w->plain + w->held, bytes.p, n);
        w->held += n;
        w->written += (int64_t)n;
        bytes = str_skip(bytes, n);
    }
    return w->error;
}

int64_t sealed_written(const struct sealed_writer *w)
{
    return w->written;
}

enum err sealed_keep(struct sealed_writer **w)
{
    struct sealed_writer *s = *w;
    if (s->error == OK)
        s->error = push(s, true);
    if (s->error == OK)
        s->error = files_keep(s->files, s->name, &s->fd, s->fault);
    enum err e = s->error;
    if (e != OK)
        sealed_discard(w);
    else
        sodium_memzero(s, sizeof *s);
    *w = NULL;
    return e;
}

void sealed_discard(struct sealed_writer **w)
{
    if (*w == NULL)
        return;
    files_discard((*w)->files, (*w)->name, &(*w)->fd);
    sodium_memzero(*w, sizeof **w);
    *w = NULL;
}

/* Reads up to n bytes, as many as there are. */
static enum err read_some(struct sealed_reader *r, unsigned char *p, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t k = read(r->fd, p + *got, n - *got);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return FAIL(r->fault, ERR_IO, "read: %s", strerror(errno));
        if (k == 0)
            break;
        *got += (size_t)k;
    }
    return OK;
}

#define DAMAGED(r) FAIL((r)->fault, ERR_CONFLICT, "file %s is damaged or cut off", (r)->name.text)

static enum err read_head(struct sealed_reader *r, const struct key *k)
{
    unsigned char head[1 + HEADER];
    size_t got;
    TRY(read_some(r, head, sizeof head, &got));
    if (got != sizeof head || head[0] != FILE_VERSION ||
        crypto_secretstream_xchacha20poly1305_init_pull(&r->state, head + 1, k->bytes) != 0)
        return DAMAGED(r);
    return OK;
}

enum err sealed_open(const struct files *files, id name, const struct key *k, struct arena *a,
                     struct sealed_reader **out, struct fault *f)
{
    struct sealed_reader *r = ARENA_NEW(a, struct sealed_reader);
    *r = (struct sealed_reader){.name = name, .fd = -1, .fault = f, .first = true};
    TRY(files_open(files, name, &r->fd, f));
    enum err e = read_head(r, k);
    if (e != OK) {
        sealed_close(&r);
        return e;
    }
    *out = r;
    return OK;
}

enum err sealed_read(struct sealed_reader *r, str *out)
{
    if (r->last) {
        *out = (str){NULL, 0};
        return OK;
    }
    size_t got;
    unsigned long long n;
    unsigned char tag;
    TRY(read_some(r, r->sealed, sizeof r->sealed, &got));
    str ad = r->first ? id_str(&r->name) : (str){"", 0};
    if (got < OVERHEAD ||
        crypto_secretstream_xchacha20poly1305_pull(&r->state, r->plain, &n, &tag, r->sealed, got,
                                                   (const unsigned char *)ad.p, ad.n) != 0)
        return DAMAGED(r);
    r->first = false;
    r->last = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    if (r->last) {
        unsigned char more;
        TRY(read_some(r, &more, 1, &got));
        if (got != 0)
            return DAMAGED(r);
    }
    *out = str_of(r->plain, n);
    return OK;
}

void sealed_close(struct sealed_reader **r)
{
    if (*r == NULL)
        return;
    fd_close(&(*r)->fd);
    sodium_memzero(*r, sizeof **r);
    *r = NULL;
}
