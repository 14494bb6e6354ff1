/*
 * Putting the portal together from its rooms and features, for the server, the commands and the
 * tests; and taking it apart again.
 */
#ifndef CLI_PORTAL_H
#define CLI_PORTAL_H

#include "features/feature.h"

enum portal_need {
    PORTAL_MIGRATED, /* the schema must be current; an empty database is filled */
    PORTAL_MIGRATE,  /* bring it up to date first */
};

/* Inventory, organisation, translations and views alone: for commands that need no database. */
struct portal_words {
    const struct inventory *inventory;
    const struct organisation *organisation;
    struct catalog *catalog;
    struct formats *formats;
    struct template_set *html, *plain;
};
CHECKED enum err portal_words(struct portal_words *out, const struct settings *s, struct arena *a,
                              struct fault *f);

/*
 * Opens everything but the listening socket and the worker threads. `clock` and `log` must outlive
 * it. ERR_CONFLICT: the database is not as declared; ERR_DENIED: the master key does not fit.
 */
CHECKED enum err portal_open(struct portal **out, const struct settings *s,
                             const struct clock *clock, const struct log *log,
                             enum portal_need need, int *changes, struct fault *f);
void portal_close(struct portal **p); /* for CLEANUP */

/* On SQLite one process owns the data directory. ERR_CONFLICT: another does. */
CHECKED enum err portal_lock(const struct settings *s, int *fd, struct fault *f);
bool portal_on_sqlite(const struct settings *s);

/* Replaces the master key and the keys of lookups. */
CHECKED enum err portal_rotate(struct portal *p, struct arena *a, int64_t *rewrapped,
                               struct fault *f);

/* Limits that requests of tests and benchmarks may pass; the program has its own. */
extern const struct rate_config portal_rates[RATE_CLASSES];

#endif
