#include "web/http.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/codec.h"

enum { TARGET_MAX = 4096 };

enum method method_named(str name)
{
    if (str_is(name, "GET"))
        return METHOD_GET;
    if (str_is(name, "HEAD"))
        return METHOD_HEAD;
    if (str_is(name, "POST"))
        return METHOD_POST;
    if (str_is(name, "PUT"))
        return METHOD_PUT;
    return METHOD_NONE;
}

static bool same_name(str a, const char *b)
{
    return a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0;
}

str head_get(const struct head *h, const char *name)
{
    for (size_t i = 0; i < h->n_headers; i++)
        if (same_name(h->headers[i].name, name))
            return h->headers[i].value;
    return (str){NULL, 0};
}

size_t head_count(const struct head *h, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n_headers; i++)
        n += same_name(h->headers[i].name, name);
    return n;
}

void response_header(struct response *r, const char *name, str value)
{
    assert(r->n_headers < MAX_RESPONSE_HEADERS);
    for (size_t i = 0; i < value.n; i++) /* no header can become two */
        assert(value.p[i] != '\r' && value.p[i] != '\n');
    r->headers[r->n_headers++] = (struct header){str_from(name), value};
}

str response_get(const struct response *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (same_name(r->headers[i].name, name))
            return r->headers[i].value;
    return (str){NULL, 0};
}

const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {303, "See Other"},
        {304, "Not Modified"}, {308, "Permanent Redirect"}, {400, "Bad Request"},
        {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
        {405, "Method Not Allowed"}, {409, "Conflict"}, {410, "Gone"},
        {413, "Content Too Large"}, {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"}, {429, "Too Many Requests"},
        {500, "Internal Server Error"}, {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Error";
}

/* A token (RFC 9110, 5.6.2). */
static bool name_ok(str name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z', digit = c >= '0' && c <= '9';
        if (!letter && !digit && (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return name.n > 0;
}

static bool value_ok(str value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

enum err head_check(const struct head *h, struct fault *f)
{
    static const char *const once[] = {"Host", "Content-Length", "Transfer-Encoding",
                                       "Content-Type", "Origin", "Expect", "X-Forwarded-For",
                                       "X-Forwarded-Proto", "Authorization", "Idempotency-Key"};
    for (size_t i = 0; i < COUNT(once); i++)
        if (head_count(h, once[i]) > 1)
            return FAIL(f, ERR_INPUT, "more than one %s header", once[i]);
    if (h->torn)
        return FAIL(f, ERR_INPUT, "a head that cannot be read whole");
    str length = head_get(h, "Content-Length"), coding = head_get(h, "Transfer-Encoding");
    if (length.p != NULL && coding.p != NULL)
        return FAIL(f, ERR_INPUT, "Content-Length and Transfer-Encoding together");
    if (coding.p != NULL && !same_name(coding, "chunked"))
        return FAIL(f, ERR_INPUT, "a Transfer-Encoding other than chunked");
    int64_t n;
    if (length.p != NULL &&
        (!str_to_int(length, &n) || n < 0 || (length.p[0] < '0' || length.p[0] > '9')))
        return FAIL(f, ERR_INPUT, "a Content-Length that is no number");
    if (str_is(h->version, "HTTP/1.1") && head_count(h, "Host") == 0)
        return FAIL(f, ERR_INPUT, "no Host header");
    for (size_t i = 0; i < h->n_headers; i++)
        if (!name_ok(h->headers[i].name) || !value_ok(h->headers[i].value))
            return FAIL(f, ERR_INPUT, "a header that is none");
    return OK;
}

/* No empty, "." or ".." segment, so that one thing has one path. */
static bool segments_ok(str path)
{
    if (path.n == 1)
        return true;
    str rest = str_skip(path, 1), segment;
    for (bool more = true; more;) {
        more = str_cut(rest, '/', &segment, &rest);
        if (!more)
            segment = rest;
        if (str_is(segment, ".") || str_is(segment, "..") || (segment.n == 0 && more))
            return false;
    }
    return true;
}

enum err target_split(struct arena *a, str target, str *path, str *query)
{
    str raw = target, q = {NULL, 0};
    if (target.n == 0 || target.n > TARGET_MAX || target.p[0] != '/')
        return ERR_INPUT;
    str_cut(target, '?', &raw, &q);
    TRY(percent_decode(a, raw, false, path));
    if (!utf8_is_line(*path) || !segments_ok(*path) || str_has(*path, '\\'))
        return ERR_INPUT;
    *query = q;
    return OK;
}
