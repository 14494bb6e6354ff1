/*
 * An upload, pushed as the network brings it.
 *
 * Input: a line with the Content-Type, then the body. What must hold: in whatever pieces the body
 * comes, the same parts with the same content are called back, with the same result.
 */
#include "fuzz.h"

#include "web/multipart.h"

struct run {
    struct buf heard; /* everything that was called back, as one text */
    enum err result;
};

/* A reader may refuse a part, and its answer must come through. */
static enum err begin_part(void *arg, str name, str file, bool is_file)
{
    struct run *r = arg;
    buf_fmt(&r->heard, "\n%s %zu %zu ", is_file ? "file" : "field", name.n, file.n);
    buf_put(&r->heard, name);
    buf_put(&r->heard, file);
    buf_char(&r->heard, ' ');
    return str_is(name, "refused") ? ERR_DENIED : OK;
}

static enum err part_data(void *arg, str bytes)
{
    struct run *r = arg;
    MUST(bytes.n > 0);
    buf_put(&r->heard, bytes);
    return OK;
}

static enum err end_part(void *arg)
{
    struct run *r = arg;
    buf_text(&r->heard, " end");
    return OK;
}

static const struct multipart_ops ops = {begin_part, part_data, end_part};

/* The size of the next piece: all at once, byte by byte, or whatever the seed makes of it. */
static size_t next_size(uint32_t *seed)
{
    if (*seed <= 1)
        return *seed == 0 ? SIZE_MAX : 1;
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed % 8 == 0 ? *seed % 5000 + 1 : *seed % 70 + 1;
}

static enum err push_all(struct arena *a, str type, str body, uint32_t seed, struct run *r)
{
    struct multipart *m;
    struct fault f = {0};
    TRY(multipart_new(a, type, &ops, r, &m, &f));
    while (body.n > 0) {
        str piece = str_head(body, next_size(&seed));
        char *own = arena_alloc(a, piece.n);
        __builtin_memcpy(own, piece.p, piece.n);
        TRY(multipart_push(m, str_of(own, piece.n)));
        body = str_skip(body, piece.n);
    }
    return multipart_finish(m);
}

static struct run run_with(struct arena *a, str type, str body, uint32_t seed)
{
    struct run r = {.heard = buf_new(a, 4 * body.n + 64 * 1024)};
    r.result = push_all(a, type, body, seed, &r);
    MUST(!r.heard.over);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(FUZZ_ARENA);
    str body = str_of(data, n), type = next_line(&body);
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ data[i]) * 16777619u;

    const uint32_t seeds[] = {1, hash | 2, (hash * 2654435761u) | 2};
    struct run whole = run_with(a, type, body, 0);
    for (size_t i = 0; i < COUNT(seeds); i++) {
        struct run pieces = run_with(a, type, body, seeds[i]);
        MUST(pieces.result == whole.result);
        MUST(str_eq(buf_str(&pieces.heard), buf_str(&whole.heard)));
    }
    arena_free(&a);
    return 0;
}
