/*
 * Forms are declared: what is not declared does not exist. A declared field has a type, a limit and
 * words for people; from the declaration come reading, checking, the fields on the page and the
 * message beside a field that is wrong (spec GEN-23, GEN-24).
 */
#ifndef WEB_FORM_H
#define WEB_FORM_H

#include "base/json.h"
#include "base/secret.h"
#include "text/i18n.h"

enum field_type {
    FIELD_EMAIL = 1,    /* a mail address */
    FIELD_PASSWORD,     /* the current one: not trimmed, not shown again */
    FIELD_NEW_PASSWORD, /* a new one */
    FIELD_TEXT,         /* a line */
    FIELD_LINES,        /* several lines */
    FIELD_CHECK,        /* ticked or not: "yes" */
    FIELD_CHOICE,       /* one of those offered */
    FIELD_RADIO,        /* likewise, all in view */
    FIELD_HIDDEN,       /* carried along: an ID, a token; letters, digits, - . _ / = ? & + */
    FIELD_FILE,         /* an upload, streamed and sealed */
};

struct form_field {
    const char *name;
    enum field_type type;
    bool required;
    size_t max; /* bytes; 0: the type's own (254 for an address, 1024 for a password, 200 for a line,
                 * 4000 for lines, 600 hidden) */
    const char *label, *hint;      /* keys of the catalog; hint may be NULL */
    const char *inputmode;         /* which keys a telephone shows: "numeric", "tel"; NULL: all */
    const char *autocomplete;      /* what the browser may fill in; NULL: nothing */
    const char *const *choices;    /* FIELD_CHOICE, FIELD_RADIO: values, NULL-terminated; NULL: the
                                    * page offers them (form_offer) */
    const char *choice_prefix;     /* their labels: key prefix + value; NULL: the value itself */
    int64_t max_file;              /* FIELD_FILE */
};

struct form {
    const char *name;
    const struct form_field *fields;
    size_t n;
};

enum { FORM_MAX_FIELDS = 24 };

/* Forms without fields of their own: a button. */
extern const struct form form_button;

struct offered {
    const str *values;
    const str *labels; /* NULL: the values */
    size_t n;
};

/* A form with values in it: what was submitted, or what the page puts in. */
struct form_state {
    const struct form *form;
    bool submitted;
    str value[FORM_MAX_FIELDS];
    bool given[FORM_MAX_FIELDS];
    const char *error[FORM_MAX_FIELDS]; /* a key of the catalog, or NULL */
    struct offered offered[FORM_MAX_FIELDS];
    bool wrong; /* some field has an error */
};

int form_index(const struct form *form, str name); /* -1: not declared */

/* Takes one pair. ERR_INPUT: not declared, or there already; the fault names it. Values are not yet
 * checked. */
CHECKED enum err form_take(struct form_state *s, struct arena *a, str name, str value,
                           struct fault *f);
/* Reads application/x-www-form-urlencoded. "csrf" goes to *csrf. ERR_INPUT. */
CHECKED enum err form_read(struct form_state *s, struct arena *a, str body, str *csrf,
                           struct fault *f);
/* Checks every field by its type and limit; s->wrong and s->error tell. */
void form_check(struct form_state *s, struct arena *a);

/* For handlers; an undeclared name is a bug and aborts. */
str form_value(const struct form_state *s, const char *name);
struct secret form_secret(const struct form_state *s, const char *name);
bool form_ticked(const struct form_state *s, const char *name);
void form_fail(struct form_state *s, const char *name, const char *error_key);
void form_put(struct form_state *s, const char *name, str value); /* unless it was submitted */
void form_offer(struct form_state *s, const char *name, const str *values, const str *labels,
                size_t n);

/* The form for a template: {csrf, wrong, FIELD: {name, id, label, hint, value, error, …}}. */
json_t *form_view(const struct form_state *s, const struct catalog *c, const struct locale *l,
                  struct arena *a, str csrf);

#endif
