/*
 * The security log: what happened to a person's account (signed in, password changed …) and who of the
 * staff looked at what is held of them, and why (spec SEC-04, REC-07). The person reads and downloads
 * it; the privacy role reviews the staff's part.
 *
 * Each row carries a keyed hash (BLAKE2b under the subject's own key) over itself and the row before
 * it, and the newest one stands in the subject's chain head, so that a change, a removal or an
 * addition behind the program's back shows. Old rows leave by their term; each row holds when the one
 * before it was made, so that a row that left too early shows as well.
 */
#ifndef PRIVACY_TRAIL_H
#define PRIVACY_TRAIL_H

#include "privacy/privacy.h"

/* One row. Texts are opened, and empty where nothing is kept. */
struct trail_event {
    int64_t seq;      /* from 1, without gaps, for each subject */
    str kind;         /* "signed-in": people read event.KIND; letters, digits, '-' */
    id actor;         /* of the staff; none: the person, or the program */
    moment made;
    str address;      /* the visitor's, unless they object to that (RGT-07) */
    str browser;      /* "Firefox, Linux" */
    str note;         /* what or why, in words; at most TRAIL_NOTE_MAX bytes */
};

enum { TRAIL_NOTE_MAX = 4000 };

/* Adds one: kind, actor, address, browser and note are the caller's; the rest is set here. In the
 * caller's transaction: the event is kept exactly if what it tells of was. ERR_INPUT: the note is too
 * long. */
CHECKED enum err trail_add(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                           const struct trail_event *e);

/* Has there ever been one, whether or not it is still there? */
CHECKED enum err trail_begun(struct tx *tx, id subject, bool *yes);

/* Newest first; those before `before` (0: from the newest), at most `limit`. */
CHECKED enum err trail_list(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                            int64_t before, int limit, struct trail_event **out, size_t *n);

/* ERR_CONFLICT where a row was changed, added or removed otherwise than by its term. Reads page by page, in
 * transactions of its own: of rows that are there when it begins. */
CHECKED enum err trail_check(struct db *db, const struct privacy *p, id subject, const struct key *k,
                             struct fault *f);

#endif
