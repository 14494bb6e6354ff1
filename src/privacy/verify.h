/*
 * The proof: every promise is checked against the facts, with evidence, by `troth verify`, once a
 * day by the program itself, and shown on /privacy/promises (spec README, RET-06, GEN-06).
 *
 * Promises are: each keep rule of the inventory; those below that hold for every portal; and those
 * that a feature declares in its records.yaml with the name of a check.
 */
#ifndef PRIVACY_VERIFY_H
#define PRIVACY_VERIFY_H

#include "privacy/privacy.h"

enum verdict {
    VERDICT_KEPT,
    VERDICT_BROKEN,
    VERDICT_UNKNOWN, /* it could not be checked now: the evidence says why */
};
const char *verdict_name(enum verdict v);

struct check {
    const struct privacy *p;
    struct tx *tx; /* to read with */
    struct arena *arena;
    struct fault *fault;
    void *app; /* as verify_facts has it */
    /* the answer */
    enum verdict verdict;
    const char *evidence; /* a key of the catalog … */
    json_t *values;       /* … and its values (numbers, RFC 3339 times, names of declarations) */
};

typedef enum err check_fn(struct check *c);

/* A check that a room or feature exports under the name that its records.yaml gives. */
struct named_check {
    const char *name;
    check_fn *run;
};

struct promise_state {
    str promise; /* "rule:session:session.ends", or the promise's key */
    str ids;
    str text;     /* in the reader's language */
    str evidence; /* likewise */
    enum verdict verdict;
    moment checked; /* 0: never */
    moment since;   /* since when this verdict holds */
};

/* Schema and migrations, for the check that nothing undeclared is there. */
struct verify_facts {
    const struct migrations *migrations;
    const struct named_check *checks;
    size_t n_checks;
    struct term rotation; /* how often the master key is to be replaced */
    void *app;            /* for checks that look beyond the store */
};

/* Checks all promises and keeps the verdicts. *broken counts those that are broken. */
CHECKED enum err verify_run(const struct privacy *p, const struct verify_facts *facts, int *broken,
                            struct fault *f);

/* The verdicts as they were last found, in the reader's language. */
CHECKED enum err verify_states(struct tx *tx, const struct privacy *p, const struct locale *l,
                               struct promise_state **out, size_t *n);

/* How many of all promises were kept when they were last checked. */
CHECKED enum err verify_count(struct tx *tx, const struct privacy *p, int64_t *kept, int64_t *all);

/* Every check that the inventory names must be there. ERR_INPUT, by name. */
CHECKED enum err verify_check_names(const struct inventory *v, const struct verify_facts *facts,
                                    struct fault *f);

#endif
