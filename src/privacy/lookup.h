/*
 * Finding a subject by something that is sealed, such as an address: through a keyed hash in a
 * lookup table (records.yaml, kind: lookup), never through the thing itself.
 *
 * The key of the hash is replaced with the master key (lookup_renew): then the hashes in old
 * copies of the database cannot even be compared with a guess. While it is replaced, both
 * generations are found.
 */
#ifndef PRIVACY_LOOKUP_H
#define PRIVACY_LOOKUP_H

#include "privacy/privacy.h"

/* The subject, or ERR_NOT_FOUND. `text` is what email_parse() calls `same`, for addresses. */
CHECKED enum err lookup_find(struct tx *tx, const struct privacy *p, const char *table, str text,
                             id *subject);
/* ERR_CONFLICT where somebody has it (also the same subject). */
CHECKED enum err lookup_add(struct tx *tx, const struct privacy *p, const char *table, str text,
                            id subject);
/* Removes all that finds this subject in the table. */
CHECKED enum err lookup_remove(struct tx *tx, const struct privacy *p, const char *table,
                               id subject);

/* Gives every lookup table's hashes a new key: batches, safe to be cut off and called again. */
CHECKED enum err lookup_renew(const struct privacy *p, int64_t *rehashed, struct fault *f);

/* Hashes anew, with the key in use, what a backup from before its renewal brought back: until then
 * nobody in it is found. Reads through an index; where there is nothing to do, it costs a query. */
CHECKED enum err lookup_catch_up(const struct privacy *p, int64_t *rehashed, struct fault *f);

#endif
