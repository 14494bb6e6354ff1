/*
 * Forgetting: one path for a request, an expiry, a disconnect (spec MYA-21 to MYA-25, README
 * decision 3). The subject's key is destroyed first, then its rows, then its files; each step may
 * be cut off and begun again.
 *
 * A receipt is a random number with times and counts. While the erasure is to come it holds the
 * subject's pseudonym; afterwards nothing of the subject.
 */
#ifndef PRIVACY_ERASURE_H
#define PRIVACY_ERASURE_H

#include "privacy/privacy.h"

struct erasure_counts {
    int64_t subjects;
    int64_t records;
    int64_t files;
    int64_t enrolments; /* ended by erasure_reconcile(): their key was gone */
};

/* Erases subjects of one kind, together: one transaction for their keys, one for their rows.
 * Adds to *counts. At most ERASURE_BATCH. */
enum { ERASURE_BATCH = 500 };
CHECKED enum err erasure_run(const struct privacy *p, str kind, const id *subjects, size_t n,
                             struct erasure_counts *counts, struct arena *a, struct fault *f);

/* Deletes what is kept of a subject for one purpose only (a consent withdrawn, an objection). */
CHECKED enum err erasure_of_purpose(struct tx *tx, const struct privacy *p, id subject,
                                    str purpose);

struct receipt {
    id number;
    str cause;   /* request, operator … */
    moment asked;
    moment due;  /* the end of the promised term */
    moment done; /* 0: not yet */
    int64_t records, files;
};

/* Notes that an erasure is to come. */
CHECKED enum err erasure_announce(struct tx *tx, const struct privacy *p, id subject,
                                  const char *cause, moment due, id *number);
/* It will not come (the account was reopened). */
CHECKED enum err erasure_cancel(struct tx *tx, id subject);
/* ERR_NOT_FOUND where there is no such number. */
CHECKED enum err erasure_receipt(struct tx *tx, id number, struct receipt *out);

/*
 * Finishes what was cut off, and what a restored backup brought back: rows whose subject has no
 * key are dropped, keys that have no rows (a registration that was cut off) are destroyed. Reads
 * every subject's ID once, in pages.
 */
CHECKED enum err erasure_reconcile(const struct privacy *p, struct erasure_counts *counts,
                                   struct fault *f);

/* Counts rows' subjects that have no key: those that erasure_reconcile() would drop. */
CHECKED enum err erasure_count_keyless(const struct privacy *p, int64_t *count, struct fault *f);

/* Removes files of a day and older that no row names. */
CHECKED enum err erasure_collect_files(const struct privacy *p, int64_t *removed, struct fault *f);

#endif
