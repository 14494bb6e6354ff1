#include "features/connect/shape.h"

#include <regex.h>
#include <string.h>

#include "base/codec.h"
#include "base/email.h"
#include "base/calendar.h"
#include "text/i18n.h"

enum {
    TYPE_STRING = 1,
    TYPE_INTEGER = 2,
    TYPE_NUMBER = 4,
    TYPE_BOOLEAN = 8,
    TYPE_OBJECT = 16,
    TYPE_ARRAY = 32,
    TYPE_NULL = 64,
};

enum text_format { TEXT_ANY, TEXT_MAIL, TEXT_TIME };

enum { NAME_SHOWN = 80, DEPTH_MAX = 12 };

struct member {
    const char *name;
    struct shape *schema;
    bool required;
};

struct shape {
    const json_t *at;
    unsigned types; /* 0: any */
    const char **choices;
    size_t n_choices;
    int64_t min_length, max_length, max_bytes, max_properties, max_items; /* max: -1 without one */
    bool has_minimum, has_maximum;
    double minimum, maximum;
    regex_t *pattern;
    enum text_format format;
    bool secret, closed;
    struct member *members;
    size_t n_members;
    struct shape *others, *items;
    struct shape *next; /* in its set */
};

struct pattern {
    regex_t regex;
    struct pattern *next;
};

struct shape_set {
    struct arena *arena;
    const json_t *document;
    struct shape *made;
    struct pattern *patterns;
};

struct shape_set *shape_set_new(struct arena *a, const json_t *document)
{
    struct shape_set *s = ARENA_NEW(a, struct shape_set);
    s->arena = a;
    s->document = document;
    return s;
}

void shape_set_free(struct shape_set **s)
{
    if (*s)
        for (struct pattern *p = (*s)->patterns; p; p = p->next)
            regfree(&p->regex);
    *s = NULL;
}

/* ---- reading ---- */

/* "#/components/schemas/email" */
static const json_t *refer(const struct shape_set *s, str ref)
{
    const json_t *at = s->document;
    str rest = ref, name;
    if (!str_starts(ref, STR("#/")))
        return NULL;
    rest = str_skip(rest, 2);
    for (bool more = true; more && at;) {
        more = str_cut(rest, '/', &name, &rest);
        at = json_object_get(at, str_cstr(s->arena, more ? name : rest));
    }
    return at;
}

static bool read_type(const json_t *v, unsigned *types)
{
    static const struct {
        const char *name;
        unsigned type;
    } names[] = {{"string", TYPE_STRING},   {"integer", TYPE_INTEGER}, {"number", TYPE_NUMBER | TYPE_INTEGER},
                 {"boolean", TYPE_BOOLEAN}, {"object", TYPE_OBJECT},   {"array", TYPE_ARRAY},
                 {"null", TYPE_NULL}};
    for (size_t i = 0; i < COUNT(names); i++)
        if (str_is(json_str(v), names[i].name)) {
            *types |= names[i].type;
            return true;
        }
    return false;
}

static bool read_types(const json_t *v, unsigned *types)
{
    if (!json_is_array(v))
        return read_type(v, types);
    bool all = json_array_size(v) > 0;
    for (size_t i = 0; i < json_array_size(v); i++)
        all &= read_type(json_array_get(v, i), types);
    return all;
}

static bool read_count(const json_t *v, int64_t *out)
{
    *out = json_integer_value(v);
    return json_is_integer(v) && *out >= 0;
}

/* Characters that mean the same to both kinds of expressions. */
static bool read_pattern(struct shape_set *s, const json_t *v, regex_t **out)
{
    str p = json_str(v);
    if (p.n < 3 || p.p[0] != '^' || p.p[p.n - 1] != '$' || str_has(p, '\\') || str_has(p, '|') || str_contains(p, STR("(?")))
        return false;
    struct pattern *x = ARENA_NEW(s->arena, struct pattern);
    if (regcomp(&x->regex, str_cstr(s->arena, p), REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    x->next = s->patterns;
    s->patterns = x;
    *out = &x->regex;
    return true;
}

static bool read_choices(struct shape_set *s, const json_t *v, struct shape *out)
{
    out->n_choices = json_array_size(v);
    out->choices = ARENA_ARRAY(s->arena, const char *, out->n_choices + 1);
    for (size_t i = 0; i < out->n_choices; i++) {
        out->choices[i] = json_string_value(json_array_get(v, i));
        if (out->choices[i] == NULL)
            return false;
    }
    return out->n_choices > 0;
}

static bool read_format(const json_t *v, enum text_format *out)
{
    *out = str_is(json_str(v), "email") ? TEXT_MAIL : str_is(json_str(v), "date-time") ? TEXT_TIME : TEXT_ANY;
    return *out != TEXT_ANY;
}

static enum err make(struct shape_set *s, const json_t *at, const char *where, int depth, struct shape **out,
                     struct fault *f);

static enum err read_members(struct shape_set *s, const json_t *v, const char *where, int depth, struct shape *out,
                             struct fault *f)
{
    const char *name;
    json_t *value;
    out->members = ARENA_ARRAY(s->arena, struct member, json_object_size(v) + 1);
    union {
        const json_t *in;
        json_t *iterated;
    } object = {.in = v};
    json_object_foreach(object.iterated, name, value)
    {
        struct member *m = &out->members[out->n_members++];
        m->name = name;
        TRY(make(s, value, str_fmt(s->arena, "%s.%s", where, name).p, depth + 1, &m->schema, f));
    }
    return OK;
}

/* After its members are known. */
static bool read_required(const json_t *v, struct shape *out)
{
    for (size_t i = 0; i < json_array_size(v); i++) {
        str name = json_str(json_array_get(v, i));
        bool found = false;
        for (size_t k = 0; k < out->n_members; k++)
            if (str_is(name, out->members[k].name))
                found = out->members[k].required = true;
        if (!found)
            return false;
    }
    return json_is_array(v);
}

/* One word. *known is false where there is no such, *fine where it does not mean what it should. */
static enum err read_word(struct shape_set *s, const char *word, const json_t *v, const char *where, int depth,
                          struct shape *o, bool *known, bool *fine, struct fault *f)
{
    str w = str_from(word);
    *known = *fine = true;
    if (str_is(w, "type"))
        *fine = read_types(v, &o->types);
    else if (str_is(w, "enum"))
        *fine = read_choices(s, v, o);
    else if (str_is(w, "minLength"))
        *fine = read_count(v, &o->min_length);
    else if (str_is(w, "maxLength"))
        *fine = read_count(v, &o->max_length);
    else if (str_is(w, "x-max-bytes"))
        *fine = read_count(v, &o->max_bytes);
    else if (str_is(w, "maxProperties"))
        *fine = read_count(v, &o->max_properties);
    else if (str_is(w, "maxItems"))
        *fine = read_count(v, &o->max_items);
    else if (str_is(w, "pattern"))
        *fine = read_pattern(s, v, &o->pattern);
    else if (str_is(w, "format"))
        *fine = read_format(v, &o->format);
    else if (str_is(w, "minimum")) {
        o->has_minimum = *fine = json_is_number(v);
        o->minimum = json_number_value(v);
    } else if (str_is(w, "maximum")) {
        o->has_maximum = *fine = json_is_number(v);
        o->maximum = json_number_value(v);
    } else if (str_is(w, "properties"))
        TRY(read_members(s, v, where, depth, o, f));
    else if (str_is(w, "items"))
        TRY(make(s, v, where, depth + 1, &o->items, f));
    else if (str_is(w, "additionalProperties") && json_is_object(v))
        TRY(make(s, v, where, depth + 1, &o->others, f));
    else if (str_is(w, "additionalProperties"))
        o->closed = *fine = json_is_false(v);
    else if (str_is(w, "writeOnly"))
        o->secret = *fine = json_is_true(v);
    else if (!str_is(w, "description") && !str_is(w, "x-wpf") && !str_is(w, "required"))
        *known = false;
    return OK;
}

static enum err read_words(struct shape_set *s, const json_t *at, const char *where, int depth, struct shape *o,
                           struct fault *f)
{
    const char *word;
    json_t *value;
    union {
        const json_t *in;
        json_t *iterated;
    } object = {.in = at};
    json_object_foreach(object.iterated, word, value)
    {
        bool known, fine;
        TRY(read_word(s, word, value, where, depth, o, &known, &fine, f));
        if (!known || !fine)
            return FAIL(f, ERR_INPUT, "%s: %s %s", where, word, known ? "says nothing that is known" : "is no word that is known");
    }
    const json_t *required = json_object_get(at, "required");
    if (required && !read_required(required, o))
        return FAIL(f, ERR_INPUT, "%s: required names what is no property", where);
    return OK;
}

static enum err make(struct shape_set *s, const json_t *at, const char *where, int depth, struct shape **out,
                     struct fault *f)
{
    const json_t *ref = json_object_get(at, "$ref");
    if (ref) {
        if (json_object_size(at) != 1 || (at = refer(s, json_str(ref))) == NULL)
            return FAIL(f, ERR_INPUT, "%s: refers to nothing, or says more than that", where);
        return make(s, at, json_string_value(ref), depth + 1, out, f);
    }
    if (!json_is_object(at) || depth > DEPTH_MAX)
        return FAIL(f, ERR_INPUT, "%s: is no schema, or too deep", where);
    for (struct shape *x = s->made; x; x = x->next)
        if (x->at == at) {
            *out = x;
            return OK;
        }
    struct shape *o = ARENA_NEW(s->arena, struct shape);
    *o = (struct shape){.at = at, .max_length = -1, .max_bytes = -1, .max_properties = -1, .max_items = -1};
    TRY(read_words(s, at, where, depth, o, f));
    o->next = s->made;
    s->made = o;
    *out = o;
    return OK;
}

enum err shape_make(struct shape_set *s, const json_t *at, const char *where, struct shape **out, struct fault *f)
{
    return make(s, at, where, 0, out, f);
}

bool shape_is_closed(const struct shape *s)
{
    bool closed = s->types != 0;
    if (s->types & TYPE_OBJECT)
        closed &= s->closed || (s->others != NULL && s->max_properties >= 0);
    if (s->types & TYPE_ARRAY)
        closed &= s->items != NULL && s->max_items >= 0 && shape_is_closed(s->items);
    if (s->types & TYPE_STRING)
        closed &= s->n_choices > 0 || s->max_length >= 0;
    for (size_t i = 0; i < s->n_members; i++)
        closed &= shape_is_closed(s->members[i].schema);
    return closed && (s->others == NULL || shape_is_closed(s->others));
}

bool shape_is_secret(const struct shape *s, const char *member)
{
    for (size_t i = 0; i < s->n_members; i++)
        if (strcmp(s->members[i].name, member) == 0)
            return s->members[i].schema->secret;
    return false;
}

/* ---- checking ---- */

struct checking {
    struct arena *arena;
    shape_wrong *wrong;
    void *arg;
};

static unsigned type_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_INTEGER:
        return TYPE_INTEGER;
    case JSON_REAL:
        return TYPE_NUMBER;
    case JSON_OBJECT:
        return TYPE_OBJECT;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    case JSON_NULL:
        return TYPE_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return TYPE_BOOLEAN;
    }
    return 0;
}

static const char *wrong_format(const struct checking *c, const struct shape *s, str text)
{
    struct email email;
    moment m;
    if (s->format == TEXT_MAIL && email_parse(c->arena, text, &email) != OK)
        return MSG("problem.field-email");
    if (s->format == TEXT_TIME && moment_parse(text, &m) != OK)
        return MSG("problem.field-time");
    return NULL;
}

static const char *wrong_text(const struct checking *c, const struct shape *s, str text)
{
    if (!utf8_is_line(text))
        return MSG("problem.field-pattern");
    if (s->n_choices > 0) {
        for (size_t i = 0; i < s->n_choices; i++)
            if (str_is(text, s->choices[i]))
                return NULL;
        return MSG("problem.field-choice");
    }
    int64_t length = (int64_t)utf8_length(text);
    if ((s->max_length >= 0 && length > s->max_length) || (s->max_bytes >= 0 && (int64_t)text.n > s->max_bytes))
        return MSG("problem.field-long");
    if (length < s->min_length)
        return MSG("problem.field-short");
    if (s->pattern && regexec(s->pattern, str_cstr(c->arena, text), 0, NULL, 0) != 0)
        return MSG("problem.field-pattern");
    return wrong_format(c, s, text);
}

static const char *wrong_number(const struct shape *s, double v)
{
    bool fine = (!s->has_minimum || v >= s->minimum) && (!s->has_maximum || v <= s->maximum);
    return fine ? NULL : MSG("problem.field-range");
}

static str member_name(const struct checking *c, str outer, str name)
{
    name = str_head(name, NAME_SHOWN);
    while (name.n > 0 && !utf8_valid(name)) /* cut within a character */
        name.n--;
    return outer.n ? str_fmt(c->arena, "%.*s.%.*s", STR_FMT(outer), STR_FMT(name)) : str_dup(c->arena, name);
}

static void check(const struct checking *c, const struct shape *s, str name, const json_t *v);

static const struct member *member_of(const struct shape *s, const char *name)
{
    for (size_t i = 0; i < s->n_members; i++)
        if (strcmp(s->members[i].name, name) == 0)
            return &s->members[i];
    return NULL;
}

static void check_object(const struct checking *c, const struct shape *s, str outer, const json_t *v)
{
    const char *name;
    json_t *value;
    union {
        const json_t *in;
        json_t *iterated;
    } object = {.in = v};
    json_object_foreach(object.iterated, name, value)
    {
        const struct member *m = member_of(s, name);
        str inner = member_name(c, outer, str_from(name));
        if (m)
            check(c, m->schema, inner, value);
        else if (s->others && str_from(name).n <= NAME_SHOWN && utf8_is_line(str_from(name)))
            check(c, s->others, inner, value);
        else if (s->closed || s->others)
            c->wrong(c->arg, inner, MSG("problem.field-unknown"));
    }
    for (size_t i = 0; i < s->n_members; i++)
        if (s->members[i].required && json_object_get(v, s->members[i].name) == NULL)
            c->wrong(c->arg, member_name(c, outer, str_from(s->members[i].name)), MSG("problem.field-missing"));
    bool many = s->max_properties >= 0 && (int64_t)json_object_size(v) > s->max_properties;
    bool big = s->max_bytes >= 0 && (int64_t)json_encode(c->arena, v, false).n > s->max_bytes;
    if (many || big)
        c->wrong(c->arg, outer, MSG("problem.field-long"));
}

static void check_array(const struct checking *c, const struct shape *s, str name, const json_t *v)
{
    size_t n = json_array_size(v);
    if (s->max_items >= 0 && (int64_t)n > s->max_items) {
        c->wrong(c->arg, name, MSG("problem.field-long"));
        return;
    }
    for (size_t i = 0; s->items && i < n; i++)
        check(c, s->items, name, json_array_get(v, i));
}

static void check(const struct checking *c, const struct shape *s, str name, const json_t *v)
{
    const char *why = NULL;
    unsigned type = type_of(v);
    if (s->types && (s->types & type) == 0)
        why = MSG("problem.field-type");
    else if (type == TYPE_STRING)
        why = wrong_text(c, s, json_str(v));
    else if (type & (TYPE_NUMBER | TYPE_INTEGER))
        why = wrong_number(s, json_number_value(v));
    if (why)
        c->wrong(c->arg, name, why);
    else if (type == TYPE_OBJECT)
        check_object(c, s, name, v);
    else if (type == TYPE_ARRAY)
        check_array(c, s, name, v);
}

void shape_check(const struct shape *s, struct arena *a, str name, const json_t *value, shape_wrong *wrong,
                  void *arg)
{
    struct checking c = {a, wrong, arg};
    check(&c, s, name, value);
}

void shape_check_text(const struct shape *s, struct arena *a, str name, str text, shape_wrong *wrong, void *arg)
{
    struct checking c = {a, wrong, arg};
    const char *why = wrong_text(&c, s, text);
    if (why)
        wrong(arg, name, why);
}
