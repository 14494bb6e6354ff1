#include "features/connect/document.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/codec.h"
#include "base/yaml.h"

enum { JSON_BYTES = 1 << 20, TAG_BYTES = 15 };

/* ---- from YAML ---- */

static json_t *scalar(const struct yaml *y)
{
    char *end;
    int64_t n;
    if (!y->quoted) {
        if (str_is(y->text, "true") || str_is(y->text, "false"))
            return json_boolean(str_is(y->text, "true"));
        if (str_is(y->text, "null") || y->text.n == 0)
            return json_null();
        if (str_to_int(y->text, &n))
            return json_integer(n);
        double d = strtod(y->text.p, &end);
        if (end == y->text.p + y->text.n)
            return json_real(d);
    }
    return json_stringn(y->text.p ? y->text.p : "", y->text.n);
}

static json_t *value_of(struct arena *a, const struct yaml *y)
{
    if (y->kind == YAML_SCALAR)
        return scalar(y);
    json_t *out = y->kind == YAML_MAP ? json_object() : json_array();
    YAML_EACH(child, y)
    {
        if (y->kind == YAML_MAP)
            json_put(out, str_cstr(a, child->key), value_of(a, child));
        else
            json_array_append_new(out, value_of(a, child));
    }
    return out;
}

static const json_t *part(const json_t *at, const char *path)
{
    char name[80];
    while (at && *path) {
        size_t n = strcspn(path, ">");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        at = json_object_get(at, name);
        path += n + (path[n] == '>');
    }
    return at;
}

/* json_object_foreach() asks for what it will not change. */
static json_t *each_of(const json_t *object)
{
    union {
        const json_t *in;
        json_t *out;
    } both = {.in = object};
    return both.out;
}

/* ---- operations ---- */

struct making {
    struct arena *arena;
    struct document *document;
    struct fault *fault;
    size_t cap;
};

/* "/statements/{version}" is a route's "/api/v1/statements/:version". */
static const char *route_path(struct arena *a, const char *shown)
{
    struct buf b = buf_new(a, 300);
    buf_text(&b, API);
    for (const char *c = shown; *c; c++)
        if (*c != '}')
            buf_char(&b, *c == '{' ? ':' : *c);
    return str_cstr(a, buf_str(&b));
}

/* Which of the path's segments has that name? */
static int segment_of(const char *path, const char *name)
{
    int n = 0;
    for (const char *c = strchr(path, ':'); c; c = strchr(c + 1, ':'), n++)
        if (strncmp(c + 1, name, strlen(name)) == 0 && (c[1 + strlen(name)] == '/' || c[1 + strlen(name)] == '\0'))
            return n;
    return -1;
}

static enum err add_parameter(struct making *m, struct operation *o, const json_t *at)
{
    str ref = json_get_str(at, "$ref"), in;
    if (ref.n > 0)
        at = part(m->document->json, str_fmt(m->arena, "components>parameters>%s",
                                             strrchr(str_cstr(m->arena, ref), '/') + 1).p);
    in = json_get_str(at, "in");
    if (o->n_parameters == PARAMETERS_MAX || json_get_str(at, "name").n == 0)
        return FAIL(m->fault, ERR_INPUT, "%s: a parameter too many, or without a name", o->id);
    struct parameter *p = &o->parameters[o->n_parameters++];
    p->name = json_string_value(json_object_get(at, "name"));
    p->in = str_is(in, "path") ? IN_PATH : str_is(in, "query") ? IN_QUERY : IN_HEADER;
    p->required = json_get_bool(at, "required");
    p->segment = segment_of(o->path, p->name);
    if (p->in == IN_PATH && p->segment < 0)
        return FAIL(m->fault, ERR_INPUT, "%s: %s is not in its path", o->id, p->name);
    TRY(shape_make(m->document->schemas, json_object_get(at, "schema"), p->name, &p->schema, m->fault));
    return shape_is_closed(p->schema) ? OK : FAIL(m->fault, ERR_INPUT, "%s: %s has no limit", o->id, p->name);
}

static enum err add_message(struct making *m, struct operation *o, const json_t *body)
{
    const json_t *json = part(body, "content>application/json>schema"),
                 *form = part(body, "content>application/x-www-form-urlencoded>schema");
    struct shape *checked;
    if ((o->method == METHOD_GET) != (body == NULL) || (body && !json && !form))
        return FAIL(m->fault, ERR_INPUT, "%s: takes a message, or should", o->id);
    if (body == NULL)
        return OK;
    TRY(shape_make(m->document->schemas, json ? json : form, o->id, &checked, m->fault));
    if (!shape_is_closed(checked))
        return FAIL(m->fault, ERR_INPUT, "%s: its message takes what is not listed, or has no limit", o->id);
    if (json)
        o->message = checked;
    else
        o->form = part(m->document->json, str_fmt(m->arena, "components>schemas>%s>properties",
                                                  strrchr(json_string_value(json_object_get(form, "$ref")), '/') + 1).p);
    return OK;
}

static enum err add_operation(struct making *m, const char *shown, const char *method, const json_t *at)
{
    struct document *d = m->document;
    ARENA_GROW(m->arena, d->operations, m->cap, d->n_operations + 1);
    struct operation *o = &d->operations[d->n_operations++];
    *o = (struct operation){
        .id = json_string_value(json_object_get(at, "operationId")),
        .method = strcmp(method, "get") == 0 ? METHOD_GET : strcmp(method, "put") == 0 ? METHOD_PUT : METHOD_POST,
        .path = route_path(m->arena, shown),
        .shown = shown,
        .tag = json_string_value(json_array_get(json_object_get(at, "tags"), 0)),
        .summary = json_string_value(json_object_get(at, "summary")),
        .codes = json_object_get(at, "x-codes"),
        .device = json_array_size(json_object_get(at, "security")) > 0,
    };
    o->suspended = o->device && !json_get_bool(at, "x-while-suspended");
    if (o->id == NULL || o->tag == NULL || o->summary == NULL)
        return FAIL(m->fault, ERR_INPUT, "%s %s: no operationId, tag or summary", method, shown);
    const json_t *parameters = json_object_get(at, "parameters");
    for (size_t i = 0; i < json_array_size(parameters); i++)
        TRY(add_parameter(m, o, json_array_get(parameters, i)));
    return add_message(m, o, json_object_get(at, "requestBody"));
}

static enum err add_operations(struct making *m)
{
    const char *shown, *method;
    json_t *path, *at;
    json_object_foreach(each_of(json_object_get(m->document->json, "paths")), shown, path)
        json_object_foreach(path, method, at)
            TRY(add_operation(m, shown, method, at));
    return m->document->n_operations > 0 ? OK : FAIL(m->fault, ERR_INPUT, "no paths");
}

/* ---- applications and leaves ---- */

static enum err add_applications(struct making *m)
{
    struct document *d = m->document;
    const json_t *list = json_object_get(d->json, "x-applications");
    d->applications = ARENA_ARRAY(m->arena, struct application, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *at = json_array_get(list, i);
        struct application x = {json_string_value(json_object_get(at, "id")), json_string_value(json_object_get(at, "name")),
                                (int)json_get_int(at, "statement")};
        if (x.id == NULL || x.name == NULL || x.statement < 1)
            return FAIL(m->fault, ERR_INPUT, "x-applications: id, name, or statement is missing");
        d->applications[d->n_applications++] = x;
    }
    return OK;
}

static int bullet_of(const json_t *text)
{
    int64_t n;
    str s = json_str(text);
    return str_starts(s, STR("WPF-")) && str_to_int(str_skip(s, 4), &n) && n >= 1 && n <= BULLETS ? (int)n : 0;
}

static int compare_leaves(const void *x, const void *y)
{
    const struct leaf *a = x, *b = y;
    return a->bullet - b->bullet;
}

/* As messages call it: the group "device" calls its device_type "type". */
static const char *leaf_name(const struct document *d, const char *group, const char *schema)
{
    const char *name;
    json_t *value;
    json_object_foreach(each_of(part(d->json, strcmp(group, "device") == 0 ? "components>schemas>device>properties"
                                                                            : "components>schemas>license>properties")),
                        name, value)
        if (str_ends(json_get_str(value, "$ref"), str_from(schema)) &&
            strcmp(strrchr(json_string_value(json_object_get(value, "$ref")), '/') + 1, schema) == 0)
            return name;
    return schema;
}

enum { BULLET_DEVICE = 20, BULLET_LICENSE = 21 };

static enum err add_leaves(struct making *m)
{
    struct document *d = m->document;
    const char *name;
    json_t *at;
    size_t cap = 0;
    json_object_foreach(each_of(part(d->json, "components>schemas")), name, at)
    {
        const json_t *bullets = json_object_get(at, "x-wpf");
        struct shape *checked;
        TRY(shape_make(d->schemas, at, name, &checked, m->fault));
        for (size_t i = 0; i < json_array_size(bullets); i++) {
            int bullet = bullet_of(json_array_get(bullets, i));
            const char *group = bullet == BULLET_DEVICE ? "device" : bullet == BULLET_LICENSE ? "license" : NULL;
            if (bullet == 0)
                return FAIL(m->fault, ERR_INPUT, "%s: no such bullet", name);
            ARENA_GROW(m->arena, d->leaves, cap, d->n_leaves + 1);
            d->leaves[d->n_leaves++] = (struct leaf){group ? leaf_name(d, group, name) : name, group, name, bullet};
        }
    }
    if (d->n_leaves != LEAVES)
        return FAIL(m->fault, ERR_INPUT, "%d leaves are marked, and the statement's list has %d", (int)d->n_leaves, LEAVES);
    /* Few, and those of one bullet stay in their order. */
    for (size_t i = 1; i < d->n_leaves; i++)
        for (size_t k = i; k > 0 && compare_leaves(&d->leaves[k - 1], &d->leaves[k]) > 0; k--) {
            struct leaf swap = d->leaves[k];
            d->leaves[k] = d->leaves[k - 1];
            d->leaves[k - 1] = swap;
        }
    return OK;
}

/* ---- refusals ---- */

/* Has every code that an operation names a status? */
static enum err check_problems(struct making *m)
{
    struct document *d = m->document;
    d->problems = json_object_get(d->json, "x-problems");
    const json_t *own = json_object_get(d->problems, "own"), *bound = json_object_get(d->problems, "bound");
    for (size_t i = 0; i < d->n_operations; i++)
        for (size_t k = 0; k < json_array_size(d->operations[i].codes); k++) {
            const char *code = json_string_value(json_array_get(d->operations[i].codes, k));
            if (code == NULL || (!json_object_get(own, code) && !json_object_get(bound, code)))
                return FAIL(m->fault, ERR_INPUT, "%s names the code %s, which x-problems does not have", d->operations[i].id,
                            code ? code : "?");
        }
    return OK;
}

/* ---- the whole ---- */

static void make_text(struct making *m)
{
    unsigned char hash[TAG_BYTES];
    struct document *d = m->document;
    d->text = json_encode(m->arena, d->json, false);
    crypto_generichash(hash, sizeof hash, (const unsigned char *)d->text.p, d->text.n, NULL, 0);
    d->tag = base32_encode(m->arena, hash, sizeof hash);
}

enum err document_read(struct arena *a, str text, struct document **out, struct fault *f)
{
    struct yaml *y;
    struct document *d = ARENA_NEW(a, struct document);
    struct making m = {a, d, f, 0};
    enum err e = yaml_parse(a, text, &y, f);
    if (e == OK) {
        d->json = value_of(a, y);
        d->schemas = shape_set_new(a, d->json);
        e = add_operations(&m);
    }
    if (e == OK)
        e = add_applications(&m);
    if (e == OK)
        e = add_leaves(&m);
    if (e == OK)
        e = check_problems(&m);
    if (e != OK) {
        fault_prefix(f, "connect/openapi.yaml: ");
        document_free(&d);
        return e;
    }
    make_text(&m);
    *out = d;
    return OK;
}

void document_free(struct document **d)
{
    if (*d == NULL)
        return;
    shape_set_free(&(*d)->schemas);
    json_decref((*d)->json);
    *d = NULL;
}

const struct operation *document_operation(const struct document *d, const struct route *row)
{
    for (size_t i = 0; i < d->n_operations; i++)
        if (d->operations[i].method == row->method && strcmp(d->operations[i].path, row->path) == 0)
            return &d->operations[i];
    return NULL;
}

enum err document_each_code(const struct document *d, enum err (*each)(void *arg, const char *code, struct fault *f),
                            void *arg, struct fault *f)
{
    const char *group, *code;
    json_t *codes, *status;
    json_object_foreach(each_of(d->problems), group, codes)
    {
        for (size_t i = 0; i < json_array_size(codes); i++)
            TRY(each(arg, json_string_value(json_array_get(codes, i)), f));
        json_object_foreach(codes, code, status)
            TRY(each(arg, code, f));
    }
    return OK;
}

const struct application *document_application(const struct document *d, str which)
{
    for (size_t i = 0; i < d->n_applications; i++)
        if (str_is(which, d->applications[i].id))
            return &d->applications[i];
    return NULL;
}

/* A form's fields are the properties that the document names, no more and no fewer. */
static bool same_fields(const struct operation *o, const struct route *row)
{
    bool same = row->form->n == json_object_size(o->form);
    for (size_t i = 0; i < row->form->n; i++)
        same &= json_object_get(o->form, row->form->fields[i].name) != NULL;
    return same;
}

enum err document_covers(const struct document *d, const struct route *rows, struct fault *f)
{
    size_t n = 0;
    for (const struct route *row = rows; row->path; row++, n++) {
        const struct operation *o = document_operation(d, row);
        if (o == NULL)
            return FAIL(f, ERR_INPUT, "route %s is not in openapi.yaml", row->path);
        if (o->device != (row->guard == GUARD_DEVICE) || (o->form != NULL) != (row->form != NULL) ||
            (row->form && !same_fields(o, row)))
            return FAIL(f, ERR_INPUT, "route %s is not as openapi.yaml has it", row->path);
    }
    if (n != d->n_operations)
        return FAIL(f, ERR_INPUT, "openapi.yaml has %d operations, and %d are routes", (int)d->n_operations, (int)n);
    return OK;
}
