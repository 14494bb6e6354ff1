#include "base/json.h"

#include "base/calendar.h"

#include <assert.h>

void json_done(json_t **j)
{
    json_decref(*j);
    *j = NULL;
}

void json_put(json_t *object, const char *key, json_t *value)
{
    assert(value != NULL);
    int r = json_object_set_new_nocheck(object, key, value);
    assert(r == 0);
    (void)r;
}

static json_t *text_value(str s)
{
    json_t *v = json_stringn(s.n ? s.p : "", s.n);
    assert(v != NULL && "text must be UTF-8");
    return v;
}

void json_put_str(json_t *object, const char *key, str s)
{
    json_put(object, key, text_value(s));
}

void json_put_text(json_t *object, const char *key, const char *cstring)
{
    json_put_str(object, key, str_from(cstring));
}

void json_put_int(json_t *object, const char *key, int64_t v)
{
    json_put(object, key, json_integer(v));
}

void json_put_bool(json_t *object, const char *key, bool v)
{
    json_put(object, key, json_boolean(v));
}

void json_put_moment(json_t *object, const char *key, struct arena *a, moment m)
{
    json_put_str(object, key, moment_format(a, m));
}

json_t *json_put_object(json_t *object, const char *key)
{
    json_t *v = json_object();
    json_put(object, key, v);
    return v;
}

json_t *json_put_array(json_t *object, const char *key)
{
    json_t *v = json_array();
    json_put(object, key, v);
    return v;
}

json_t *json_add_object(json_t *array)
{
    json_t *v = json_object();
    int r = json_array_append_new(array, v);
    assert(r == 0);
    (void)r;
    return v;
}

void json_add_str(json_t *array, str s)
{
    int r = json_array_append_new(array, text_value(s));
    assert(r == 0);
    (void)r;
}

str json_str(const json_t *value)
{
    return json_is_string(value)
               ? str_of(json_string_value(value), json_string_length(value))
               : (str){NULL, 0};
}

str json_get_str(const json_t *object, const char *key)
{
    return json_str(json_object_get(object, key));
}

int64_t json_get_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

bool json_get_bool(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static int add_to_buf(const char *p, size_t n, void *data)
{
    buf_put(data, str_of(p, n));
    return 0;
}

static void dump(struct buf *b, const json_t *value, size_t flags)
{
    int r = json_dump_callback(value, add_to_buf, b, JSON_ENCODE_ANY | flags);
    assert(r == 0);
    (void)r;
}

static void put_text(struct buf *b, const char *p, size_t n)
{
    static const char letters[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    size_t from = 0;
    buf_char(b, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_put(b, str_of(p + from, i - from));
        from = i + 1;
        if (c >= 0x20)
            buf_put(b, str_of((const char[]){'\\', (char)c}, 2));
        else if (c < sizeof letters && letters[c])
            buf_put(b, str_of((const char[]){'\\', letters[c]}, 2));
        else
            buf_fmt(b, "\\u%04X", c);
    }
    buf_put(b, str_of(p + from, n - from));
    buf_char(b, '"');
}

/* As the library writes it, byte for byte, at a third of its time: that looks for loops, with a
 * table of what it has seen, and views have none. */
static void put_value(struct buf *b, json_t *v)
{
    size_t n = 0, key_n;
    const char *key;
    json_t *member;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        buf_char(b, '{');
        json_object_keylen_foreach(v, key, key_n, member)
        {
            if (n++ > 0)
                buf_char(b, ',');
            put_text(b, key, key_n);
            buf_char(b, ':');
            put_value(b, member);
        }
        buf_char(b, '}');
        return;
    case JSON_ARRAY:
        buf_char(b, '[');
        for (; n < json_array_size(v); n++) {
            if (n > 0)
                buf_char(b, ',');
            put_value(b, json_array_get(v, n));
        }
        buf_char(b, ']');
        return;
    case JSON_STRING:
        put_text(b, json_string_value(v), json_string_length(v));
        return;
    case JSON_INTEGER:
        buf_int(b, json_integer_value(v));
        return;
    default:
        dump(b, v, JSON_COMPACT);
    }
}

str json_encode(struct arena *a, const json_t *value, bool pretty)
{
    struct buf b = buf_new(a, SIZE_MAX / 4);
    union {
        const json_t *in;
        json_t *out; /* the library walks through what it will not change */
    } v = {.in = value};
    if (pretty)
        dump(&b, value, JSON_INDENT(2));
    else
        put_value(&b, v.out);
    return buf_str(&b);
}

enum err json_decode(str s, json_t **out, struct fault *f)
{
    json_error_t error;
    json_t *v = json_loadb(s.n ? s.p : "", s.n, JSON_REJECT_DUPLICATES, &error);
    if (v == NULL)
        return FAIL(f, ERR_INPUT, "not JSON: line %d: %s", error.line, error.text);
    *out = v;
    return OK;
}
