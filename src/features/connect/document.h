/* Inside connect: the declared protocol (openapi.yaml), read at the start. */
#ifndef FEATURES_CONNECT_DOCUMENT_H
#define FEATURES_CONNECT_DOCUMENT_H

#include "features/connect/shape.h"
#include "web/web.h"

#define API "/api/v1"

enum { PARAMETERS_MAX = 6, LEAVES = 41, LEAVES_DISTINCT = 40, BULLETS = 32 };

enum parameter_place { IN_PATH, IN_QUERY, IN_HEADER };

struct parameter {
    const char *name;
    enum parameter_place in;
    bool required;
    struct shape *schema;
    int segment; /* IN_PATH */
};

/* One method on one path. */
struct operation {
    const char *id;   /* "signIn" */
    enum method method;
    const char *path; /* as a route has it: "/api/v1/statements/:version/acceptances" */
    const char *shown; /* as the document has it */
    const char *tag, *summary;
    const json_t *codes;
    struct parameter parameters[PARAMETERS_MAX];
    size_t n_parameters;
    struct shape *message; /* NULL: takes none, or a form */
    const json_t *form;     /* the properties of one that takes a form */
    bool device;            /* by a binding's token */
    bool suspended;         /* while its statement waits to be accepted anew, it is refused */
};

/* A product that may connect. */
struct application {
    const char *id, *name;
    int statement; /* the number of its text */
    str version;   /* of it, as it stands: statement.c */
};

/* A leaf of the list that statements and the policy publish. */
struct leaf {
    const char *name;  /* "os_type" */
    const char *group; /* "device"; or NULL */
    const char *schema; /* its name under components/schemas */
    int bullet;
};

struct document {
    json_t *json;
    struct shape_set *schemas;
    struct operation *operations;
    size_t n_operations;
    struct application *applications;
    size_t n_applications;
    struct leaf *leaves; /* in the order of the bullets */
    size_t n_leaves;
    const json_t *problems; /* x-problems */
    str text; /* as JSON */
    str tag;  /* its ETag */
};

/* ERR_INPUT with the place: no OpenAPI as we speak it, a word in a schema that is not known, a message that
 * would take what is not listed. */
CHECKED enum err document_read(struct arena *a, str yaml, struct document **out, struct fault *f);
void document_free(struct document **d);

const struct operation *document_operation(const struct document *d, const struct route *row);
/* Is every row one of its operations, and every operation a row? */
CHECKED enum err document_covers(const struct document *d, const struct route *rows, struct fault *f);

/* Every code that x-problems has, in its order. */
CHECKED enum err document_each_code(const struct document *d, enum err (*each)(void *arg, const char *code, struct fault *f),
                                    void *arg, struct fault *f);

/* NULL where there is none. */
const struct application *document_application(const struct document *d, str which);

#endif
