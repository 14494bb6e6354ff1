/*
 * Keeping no longer than promised (spec RET-01 to RET-07).
 *
 * The keep rules of records.yaml become bounded SQL: at most RETENTION_BATCH rows a transaction,
 * through an index on the anchor, so a sweep costs what it removes. Rules whose anchor lies in the
 * subject's own record end the subject (erasure_run); those of a service account end all that the
 * service holds of that person (enrolment_end); others delete rows.
 *
 * A promised term ("after … for …") is swept RETENTION_MARGIN early, so that an outage of a day
 * breaks no promise; a moment that somebody chose ("at …") is kept to the moment.
 *
 * Terms have versions: a longer one holds for what is anchored after it was published, a shorter
 * one at once (RET-04).
 */
#ifndef PRIVACY_RETENTION_H
#define PRIVACY_RETENTION_H

#include "privacy/privacy.h"

enum { RETENTION_BATCH = 500 };
#define RETENTION_MARGIN (25 * MOMENT_HOUR)

/* Reads the versions of all terms, publishes those that are new, and makes the SQL. Lives in the
 * arena; sets p->retention. To be called when the schema is current. */
CHECKED enum err retention_load(struct privacy *p, struct arena *a, struct fault *f);

struct sweep_line {
    str rule;        /* "session.ends"; "reconcile" and "files" for those two steps */
    str record;      /* what it ends */
    int64_t records; /* rows removed (or that would be) */
    int64_t subjects;
};

struct sweep_report {
    struct sweep_line *lines; /* one per rule that had something to do */
    size_t n;
    int64_t records, subjects, files;
};

/*
 * Removes what is due, notes it as counts, and empties the write-ahead log. With `dry`, only
 * counts. With `whole`, also joins keyring and data and collects files (erasure_reconcile), which
 * costs a read of every subject's ID: at the start, on command, once a day.
 */
CHECKED enum err retention_sweep(const struct privacy *p, bool dry, bool whole, struct arena *a,
                                 struct sweep_report *out, struct fault *f);

/* How a rule stands, for verification: its oldest record and when that is due. */
struct rule_state {
    const struct keep_rule *rule;
    int64_t waiting; /* records that are due and still there */
    bool any;        /* is there a record with an anchor? */
    moment oldest;   /* its anchor */
    moment due;      /* when its term ends */
};
CHECKED enum err retention_state(const struct privacy *p, const struct keep_rule *rule,
                                 struct rule_state *out, struct arena *a, struct fault *f);

/* When a record anchored then must be gone, by the versions of the rule's term. */
moment retention_due(const struct privacy *p, const struct keep_rule *rule, moment anchor);

#endif
