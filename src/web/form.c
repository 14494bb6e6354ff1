#include "web/form.h"

#include <assert.h>
#include <string.h>

#include "base/codec.h"
#include "base/email.h"

enum { MAX_PAIRS = 100 };

const struct form form_button = {"button", NULL, 0};

int form_index(const struct form *form, str name)
{
    for (size_t i = 0; i < form->n; i++)
        if (str_is(name, form->fields[i].name))
            return (int)i;
    return -1;
}

static size_t limit_of(const struct form_field *f)
{
    static const size_t limits[] = {
        [FIELD_EMAIL] = EMAIL_MAX, [FIELD_PASSWORD] = 1024, [FIELD_NEW_PASSWORD] = 1024,
        [FIELD_TEXT] = 200,        [FIELD_LINES] = 4000,    [FIELD_CHECK] = 3,
        [FIELD_CHOICE] = 100,      [FIELD_RADIO] = 100,     [FIELD_HIDDEN] = 600,
        [FIELD_FILE] = 255,
    };
    return f->max ? f->max : limits[f->type];
}

enum err form_take(struct form_state *s, struct arena *a, str name, str value, struct fault *f)
{
    int i = form_index(s->form, name);
    if (i < 0)
        return FAIL(f, ERR_INPUT, "the form has no field %.*s", STR_FMT(str_head(name, 40)));
    if (s->given[i])
        return FAIL(f, ERR_INPUT, "the field %s was sent twice", s->form->fields[i].name);
    s->given[i] = true;
    s->value[i] = str_dup(a, value);
    return OK;
}

enum err form_read(struct form_state *s, struct arena *a, str body, str *csrf, struct fault *f)
{
    str pair;
    int pairs = 0;
    s->submitted = true;
    while (body.n > 0) {
        str name, value, raw_name, raw_value = {NULL, 0};
        if (!str_cut(body, '&', &pair, &body)) {
            pair = body;
            body = (str){NULL, 0};
        }
        if (++pairs > MAX_PAIRS)
            return FAIL(f, ERR_INPUT, "too many fields");
        if (!str_cut(pair, '=', &raw_name, &raw_value))
            raw_name = pair;
        if (percent_decode(a, raw_name, true, &name) != OK ||
            percent_decode(a, raw_value, true, &value) != OK || !utf8_valid(name) ||
            !utf8_valid(value))
            return FAIL(f, ERR_INPUT, "a field that is no text");
        if (str_is(name, "csrf")) {
            *csrf = value;
            continue;
        }
        if (name.n > 0)
            TRY(form_take(s, a, name, value, f));
    }
    return OK;
}

/* ---- checking ---- */

static bool is_offered(const struct form_state *s, int i, str value)
{
    const struct form_field *f = &s->form->fields[i];
    if (f->choices == NULL)
        return true; /* the page knows; its handler checks */
    for (const char *const *c = f->choices; *c; c++)
        if (str_is(value, *c))
            return true;
    return false;
}

static bool lines_ok(str s)
{
    if (!utf8_valid(s))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool hidden_ok(str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == '\0' || strchr("-._/=?&+", c) == NULL))
            return false;
    }
    return true;
}

/* CRLF, as forms send line ends, becomes LF. */
static str unix_lines(struct arena *a, str s)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\r')
            p[n++] = s.p[i];
    return str_of(p, n);
}

/* The message for what is wrong with a value, or NULL. */
static const char *wrong_with(struct form_state *s, struct arena *a, int i)
{
    const struct form_field *f = &s->form->fields[i];
    str *v = &s->value[i];
    struct email email;
    bool password = f->type == FIELD_PASSWORD || f->type == FIELD_NEW_PASSWORD;
    if (!password && f->type != FIELD_FILE)
        *v = str_trim(*v);
    if (v->n == 0)
        return !f->required           ? NULL
               : f->type == FIELD_CHECK ? MSG("form.tick")
               : f->type == FIELD_CHOICE || f->type == FIELD_RADIO ? MSG("form.choose")
                                                                   : MSG("form.required");
    if (v->n > limit_of(f))
        return MSG("form.too-long");
    switch (f->type) {
    case FIELD_EMAIL:
        return email_parse(a, *v, &email) == OK ? NULL : MSG("form.email");
    case FIELD_PASSWORD:
    case FIELD_NEW_PASSWORD:
        return NULL;
    case FIELD_TEXT:
    case FIELD_FILE:
        return utf8_is_line(*v) ? NULL : MSG("form.line");
    case FIELD_LINES:
        *v = unix_lines(a, *v);
        return lines_ok(*v) ? NULL : MSG("form.line");
    case FIELD_CHECK:
        return str_is(*v, "yes") || str_is(*v, "on") ? NULL : MSG("form.choose");
    case FIELD_CHOICE:
    case FIELD_RADIO:
        return utf8_is_line(*v) && is_offered(s, i, *v) ? NULL : MSG("form.choose");
    case FIELD_HIDDEN:
        return hidden_ok(*v) ? NULL : MSG("form.line");
    }
    return NULL;
}

void form_check(struct form_state *s, struct arena *a)
{
    for (size_t i = 0; i < s->form->n; i++) {
        s->error[i] = wrong_with(s, a, (int)i);
        s->wrong |= s->error[i] != NULL;
    }
}

/* ---- for handlers ---- */

static int known(const struct form_state *s, const char *name)
{
    int i = form_index(s->form, str_from(name));
    assert(i >= 0 && "the form declares no such field");
    return i;
}

str form_value(const struct form_state *s, const char *name)
{
    return s->value[known(s, name)];
}

struct secret form_secret(const struct form_state *s, const char *name)
{
    return (struct secret){s->value[known(s, name)]};
}

bool form_ticked(const struct form_state *s, const char *name)
{
    return s->value[known(s, name)].n > 0;
}

void form_fail(struct form_state *s, const char *name, const char *error_key)
{
    s->error[known(s, name)] = error_key;
    s->wrong = true;
}

void form_put(struct form_state *s, const char *name, str value)
{
    if (!s->submitted)
        s->value[known(s, name)] = value;
}

void form_offer(struct form_state *s, const char *name, const str *values, const str *labels,
                size_t n)
{
    s->offered[known(s, name)] = (struct offered){values, labels, n};
}

/* ---- for pages ---- */

static str words(const struct catalog *c, const struct locale *l, struct arena *a, const char *key)
{
    return catalog_text(c, l, a, key, NULL);
}

static void put_words(json_t *j, const char *name, const struct catalog *c, const struct locale *l,
                      struct arena *a, const char *key)
{
    if (key)
        json_put_str(j, name, words(c, l, a, key));
    else
        json_put(j, name, json_null());
}

static void put_option(json_t *list, struct arena *a, str id, str value, str label, bool chosen)
{
    json_t *o = json_add_object(list);
    json_put_str(o, "id", str_fmt(a, "%.*s-%.*s", STR_FMT(id), STR_FMT(value)));
    json_put_str(o, "value", value);
    json_put_str(o, "label", label);
    json_put_bool(o, "chosen", chosen);
}

static json_t *options_of(const struct form_state *s, size_t i, const struct catalog *c,
                          const struct locale *l, struct arena *a, str id)
{
    const struct form_field *f = &s->form->fields[i];
    json_t *list = json_array();
    for (const char *const *v = f->choices; v && *v; v++) {
        str label = f->choice_prefix ? words(c, l, a, str_fmt(a, "%s%s", f->choice_prefix, *v).p)
                                     : str_from(*v);
        put_option(list, a, id, str_from(*v), label, str_is(s->value[i], *v));
    }
    for (size_t k = 0; k < s->offered[i].n; k++) {
        str value = s->offered[i].values[k];
        put_option(list, a, id, value, s->offered[i].labels ? s->offered[i].labels[k] : value,
                   str_eq(s->value[i], value));
    }
    return list;
}

static const char *input_type(enum field_type t)
{
    switch (t) {
    case FIELD_EMAIL:
        return "email";
    case FIELD_PASSWORD:
    case FIELD_NEW_PASSWORD:
        return "password";
    case FIELD_FILE:
        return "file";
    case FIELD_HIDDEN:
        return "hidden";
    default:
        return "text";
    }
}

static json_t *field_view(const struct form_state *s, size_t i, const struct catalog *c,
                          const struct locale *l, struct arena *a)
{
    const struct form_field *f = &s->form->fields[i];
    json_t *j = json_object();
    str id = str_fmt(a, "%s-%s", s->form->name, f->name);
    bool secret = f->type == FIELD_PASSWORD || f->type == FIELD_NEW_PASSWORD;
    bool select = f->type == FIELD_CHOICE, radio = f->type == FIELD_RADIO;
    bool check = f->type == FIELD_CHECK, lines = f->type == FIELD_LINES;
    json_put_text(j, "name", f->name);
    json_put_str(j, "id", id);
    put_words(j, "label", c, l, a, f->label);
    put_words(j, "hint", c, l, a, f->hint);
    put_words(j, "error", c, l, a, s->error[i]);
    json_put_text(j, "type", input_type(f->type));
    json_put_text(j, "autocomplete", f->autocomplete ? f->autocomplete : "off");
    json_put_text(j, "inputmode", f->inputmode ? f->inputmode : f->type == FIELD_EMAIL ? "email" : "text");
    json_put_bool(j, "required", f->required);
    json_put_int(j, "max", (int64_t)limit_of(f));
    json_put_str(j, "value", secret || !utf8_valid(s->value[i]) ? (str){NULL, 0} : s->value[i]);
    json_put_bool(j, "is_select", select);
    json_put_bool(j, "is_radio", radio);
    json_put_bool(j, "is_check", check);
    json_put_bool(j, "is_lines", lines);
    json_put_bool(j, "is_input", !select && !radio && !check && !lines);
    json_put_bool(j, "is_password", secret);
    json_put_bool(j, "ticked", check && s->value[i].n > 0);
    json_put(j, "options", options_of(s, i, c, l, a, id));
    json_put_bool(j, "described", f->hint != NULL || s->error[i] != NULL);
    return j;
}

json_t *form_view(const struct form_state *s, const struct catalog *c, const struct locale *l,
                  struct arena *a, str csrf)
{
    json_t *j = json_object();
    json_put_str(j, "csrf", csrf);
    json_put_bool(j, "wrong", s->wrong);
    for (size_t i = 0; i < s->form->n; i++)
        json_put(j, s->form->fields[i].name, field_view(s, i, c, l, a));
    return j;
}
