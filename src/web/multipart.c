#include "web/multipart.h"

#include <string.h>
#include <strings.h>

#include "base/codec.h"

enum { MAX_PARTS = 100, HEAD_MAX = 4096, BOUNDARY_MAX = 70, KEEP = 4096 + 128 };

enum state { AT_START, IN_HEAD, IN_DATA, AT_END };

struct multipart {
    struct arena *arena;
    struct fault *fault;
    const struct multipart_ops *ops;
    void *arg;
    char delimiter[BOUNDARY_MAX + 5]; /* "\r\n--boundary" */
    size_t n_delimiter;
    enum state state;
    int parts;
    /* what is not yet decided: a head, or the beginning of a delimiter */
    char held[KEEP];
    size_t n_held;
};

/* Cuts at the next ';' that does not stand in quotes. */
static bool cut_param(str *value, str *one)
{
    bool quoted = false;
    size_t n = 0;
    if (value->n == 0)
        return false;
    for (; n < value->n && (quoted || value->p[n] != ';'); n++) {
        if (quoted && value->p[n] == '\\' && n + 1 < value->n)
            n++;
        else if (value->p[n] == '"')
            quoted = !quoted;
    }
    *one = str_trim(str_head(*value, n));
    *value = str_skip(*value, n + 1);
    return true;
}

static str unquoted(struct arena *a, str v)
{
    if (v.n == 0 || v.p[0] != '"')
        return v;
    char *text = arena_alloc(a, v.n + 1);
    size_t n = 0;
    for (size_t i = 1; i < v.n && v.p[i] != '"'; i++) {
        if (v.p[i] == '\\' && i + 1 < v.n && (v.p[i + 1] == '"' || v.p[i + 1] == '\\'))
            i++;
        text[n++] = v.p[i];
    }
    return str_of(text, n);
}

/* A parameter of a header's value: name="…" or name=…; quoted pairs are undone. */
static bool param(struct arena *a, str value, const char *name, str *out)
{
    size_t len = strlen(name);
    str one;
    while (cut_param(&value, &one)) {
        if (one.n <= len || strncasecmp(one.p, name, len) != 0 || one.p[len] != '=')
            continue;
        *out = unquoted(a, str_skip(one, len + 1));
        return true;
    }
    return false;
}

enum err multipart_new(struct arena *a, str content_type, const struct multipart_ops *ops,
                       void *arg, struct multipart **out, struct fault *f)
{
    static const char kind[] = "multipart/form-data";
    str boundary;
    if (content_type.n < sizeof kind - 1 ||
        strncasecmp(content_type.p, kind, sizeof kind - 1) != 0 ||
        !param(a, content_type, "boundary", &boundary) || boundary.n == 0 ||
        boundary.n > BOUNDARY_MAX)
        return FAIL(f, ERR_INPUT, "not a form with files");
    struct multipart *m = ARENA_NEW(a, struct multipart);
    m->arena = a;
    m->fault = f;
    m->ops = ops;
    m->arg = arg;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.p, boundary.n);
    m->n_delimiter = boundary.n + 4;
    /* The first delimiter stands without a line end before it: as if one had come. */
    memcpy(m->held, "\r\n", 2);
    m->n_held = 2;
    *out = m;
    return OK;
}

#define BAD(m, why) FAIL((m)->fault, ERR_INPUT, "a form with files: %s", (why))

static str part_header(str head, const char *name)
{
    size_t len = strlen(name);
    str line;
    while (head.n > 0) {
        const char *at = memmem(head.p, head.n, "\r\n", 2);
        line = str_head(head, at ? (size_t)(at - head.p) : head.n);
        head = str_skip(head, line.n + 2);
        if (line.n > len && strncasecmp(line.p, name, len) == 0 && line.p[len] == ':')
            return str_trim(str_skip(line, len + 1));
    }
    return (str){NULL, 0};
}

static enum err begin_part(struct multipart *m, str head)
{
    str disposition = part_header(head, "Content-Disposition"), name, file = {NULL, 0};
    if (++m->parts > MAX_PARTS)
        return BAD(m, "too many parts");
    if (!str_starts(disposition, STR("form-data")) || !param(m->arena, disposition, "name", &name) ||
        !utf8_is_line(name))
        return BAD(m, "a part without a name");
    bool is_file = param(m->arena, disposition, "filename", &file);
    if (is_file && !utf8_is_line(file))
        return BAD(m, "a file's name that is no text");
    m->state = IN_DATA;
    return m->ops->begin(m->arg, name, file, is_file);
}

static void drop(struct multipart *m, size_t n)
{
    memmove(m->held, m->held + n, m->n_held - n);
    m->n_held -= n;
}

/* Takes what can be decided from what is held; *more tells whether to go on. */
static enum err step(struct multipart *m, bool *more)
{
    str held = {m->held, m->n_held};
    *more = false;
    if (m->state == IN_HEAD) {
        if (held.n >= 2 && memcmp(held.p, "--", 2) == 0) {
            m->state = AT_END;
            return OK;
        }
        const char *end = memmem(held.p, held.n, "\r\n\r\n", 4);
        /* Without its end it has at least this length: so the limit is the same in any pieces. */
        size_t head_n = end ? (size_t)(end - held.p) : held.n - MIN_OF(held.n, (size_t)3);
        if (head_n > HEAD_MAX)
            return BAD(m, "a part's head is too long");
        if (end == NULL)
            return OK;
        if (held.n < 2 || memcmp(held.p, "\r\n", 2) != 0)
            return BAD(m, "no line end after a boundary");
        str head = str_dup(m->arena, str_skip(str_head(held, head_n), 2));
        drop(m, head_n + 4);
        *more = true;
        return begin_part(m, head);
    }
    if (m->state == AT_END) {
        m->n_held = 0; /* an epilogue, if any, means nothing */
        return OK;
    }
    const char *at = memmem(held.p, held.n, m->delimiter, m->n_delimiter);
    /* Without a delimiter, all but its possible beginning at the end is content. */
    size_t n = at ? (size_t)(at - held.p)
                  : held.n - MIN_OF(held.n, m->n_delimiter - 1);
    if (m->state == IN_DATA && n > 0)
        TRY(m->ops->data(m->arg, str_head(held, n)));
    if (at == NULL) {
        drop(m, n);
        return OK;
    }
    if (m->state == IN_DATA)
        TRY(m->ops->end(m->arg));
    drop(m, n + m->n_delimiter);
    m->state = IN_HEAD;
    *more = true;
    return OK;
}

enum err multipart_push(struct multipart *m, str bytes)
{
    while (bytes.n > 0) {
        size_t n = MIN_OF(bytes.n, sizeof m->held - m->n_held);
        memcpy(m->held + m->n_held, bytes.p, n);
        m->n_held += n;
        bytes = str_skip(bytes, n);
        for (bool more = true; more;)
            TRY(step(m, &more));
        if (m->n_held == sizeof m->held)
            return BAD(m, "cannot be read");
    }
    return OK;
}

enum err multipart_finish(struct multipart *m)
{
    bool more = true;
    while (more)
        TRY(step(m, &more));
    return m->state == AT_END ? OK : BAD(m, "cut off");
}
