/*
 * Readings: who of the staff looked at whose data, at which records, and why (spec REC-01, REC-06,
 * REC-07, SEC-04). A reading is recorded before anything is shown, and opens that one person's
 * records to that one reader for READING_LASTS; then the reason is asked for again.
 *
 * It stands in the person's own security log (trail.h): chained, sealed with their key, theirs to
 * read and to take along. What the log holds of the reader is a pseudonym and the roles, not a name:
 * who works here is a person too, and what matters to the one who was read is that they can ask, and
 * that somebody can tell. The privacy role can: the pseudonym leads to the account.
 *
 * For the review, staff_reading lists all readings in their order, by nothing but the log's row: when
 * the person is erased, their log goes with them, and what is left says that somebody then looked at
 * somebody who is forgotten now.
 */
#ifndef PRIVACY_READING_H
#define PRIVACY_READING_H

#include "privacy/trail.h"

#define READING_LASTS (15 * MOMENT_MINUTE)

enum { READING_REASON_MAX = 500 };

#define EVENT_READ    "read-by-staff"  /* in the log of the one who was read */
#define EVENT_IN_VAIN "search-in-vain" /* in the searcher's own: there was nobody */

/* May these roles read the record? Where its subject restricts the use (RGT-05), only what is kept for
 * a purpose that goes on; except for the privacy role, which has to settle it. */
bool reading_may(const struct record *r, unsigned roles, bool restricted);
/* What they may read of a subject of that kind: names of records with commas between; may be empty. */
str reading_records(const struct privacy *p, struct arena *a, str kind, unsigned roles,
                    bool restricted);

struct reading {
    id reader; /* the account of the one who reads */
    str pseudonym;
    unsigned roles;
    str records; /* as reading_records() has it; empty with EVENT_IN_VAIN */
    str reason;  /* a case number, or words */
    str address, browser; /* of the one who reads; only kept with EVENT_IN_VAIN */
};

/* Records it in the subject's log and for the review. ERR_INPUT: no reason, or too long a one. */
CHECKED enum err reading_add(struct tx *tx, const struct privacy *p, id subject,
                             const struct key *k, const struct reading *r);
/* A search that found nobody: in the searcher's own log, with their key. */
CHECKED enum err reading_in_vain(struct tx *tx, const struct privacy *p, const struct key *k,
                                 const struct reading *r);

/* Has the reader recorded one of these records that still lasts? *until is its end, 0 where not. */
CHECKED enum err reading_holds(struct tx *tx, const struct privacy *p, id subject,
                               const struct key *k, id reader, str records, moment *until);

/* How many readings and searches of that reader since then: for a limit. */
CHECKED enum err reading_count(struct tx *tx, id reader, moment since, int64_t *count);

/* A log row's note of EVENT_READ and EVENT_IN_VAIN, taken apart. False: it is none. */
struct reading_note {
    unsigned roles;
    str pseudonym, records, reason;
};
bool reading_parse(str note, struct reading_note *out);
/* The same in words: {who: "customer support (k7qm4t)", records: "account, consents", reason}. The
 * caller owns it. */
json_t *reading_view(const struct privacy *p, struct arena *a, const struct locale *l,
                     const struct reading_note *n);

/* ---- the review ---- */

struct reading_entry {
    id event;   /* the log's row: with `made`, where the next page begins */
    moment made;
    id reader;
    bool erased; /* the person was erased since: nothing else is known */
    bool in_vain;
    id subject;
    struct reading_note note;
};

/* Newest first, after the one that was made then (0: from the newest); of one reader, or of all (none).
 * At most `limit`. */
CHECKED enum err reading_list(struct tx *tx, const struct privacy *p, id reader, moment before,
                              id before_event, int limit, struct reading_entry **out, size_t *n);

/* For verification: readings in people's logs that the review does not have. */
struct check;
CHECKED enum err check_readings(struct check *c);

#endif
