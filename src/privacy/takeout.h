/*
 * Taking along what is held (spec RGT-02, RGT-06, REC-06, MYA-16): for the page that shows it, and
 * as one zip: data.json with its JSON Schema, a readable index.html, and the files.
 *
 * Scope "all" is the right of access; "portable" is the right to portability: what rests on
 * contract or consent. Secrets (a password's hash, proofs of links) are not shown: that they are
 * held is said.
 */
#ifndef PRIVACY_TAKEOUT_H
#define PRIVACY_TAKEOUT_H

#include "privacy/privacy.h"

#define TAKEOUT_ALL      "all"
#define TAKEOUT_PORTABLE "portable"

/* How long a finished one can be fetched. */
#define TAKEOUT_KEPT (7 * MOMENT_DAY)

enum { TAKEOUT_MAX_BYTES = 256 << 20 };

/* Of each record a page shows the latest so many; a copy holds all. */
enum { TAKEOUT_SHOWN = 100 };

/*
 * Everything held of a subject, for machines: {format, made, scope, subject, controller, records:
 * {NAME: [{FIELD: value}]}, about: {NAME: {title, purpose, …, fields: {FIELD: {label, category,
 * shown}}}}}. The caller owns it.
 */
CHECKED enum err takeout_collect(struct tx *tx, const struct privacy *p, str kind, id subject,
                                 const char *scope, const struct locale *l, json_t **out);

/* The same for a page: of each record the latest TAKEOUT_SHOWN. */
CHECKED enum err takeout_collect_shown(struct tx *tx, const struct privacy *p, str kind, id subject,
                                       const struct locale *l, json_t **out);

/* What of it these roles of the staff may read (REC-01), and nothing else: scope "staff". Where its
 * subject has asked that nothing be done with it (RGT-05), only what goes on all the same. For a page, too. */
#define TAKEOUT_STAFF "staff"
CHECKED enum err takeout_collect_for(struct tx *tx, const struct privacy *p, str kind, id subject,
                                     unsigned roles, bool restricted, const struct locale *l,
                                     json_t **out);

/* The same as lists with labels, for templates: {records: [{title, why, basis, kept, recipients,
 * count, entries: [{fields: [{label, text, …}]}]}]}. Borrows nothing; the caller owns it. */
json_t *takeout_view(const struct privacy *p, struct arena *a, const json_t *data,
                     const struct locale *l);

/* The JSON Schema (2020-12) of data.json. */
json_t *takeout_schema(const struct privacy *p, struct arena *a);

/* The whole zip, in memory. ERR_LIMIT where it would be larger than TAKEOUT_MAX_BYTES. */
CHECKED enum err takeout_zip(struct tx *tx, const struct privacy *p, str kind, id subject,
                             const char *scope, const struct locale *l, str *zip);

/* ---- asked for, made in the background, fetched ---- */

struct takeout {
    id id;
    str scope;
    moment asked;
    moment ready; /* 0: being made */
    moment gone;
    id file;
    int64_t size;
};

/* ERR_LIMIT where one of that scope is being made. */
CHECKED enum err takeout_ask(struct tx *tx, const struct privacy *p, id subject, const char *scope,
                             id *out);
/* Makes the zip and seals it with the subject's key. Doing it again does nothing. */
CHECKED enum err takeout_make(const struct privacy *p, str kind, id subject, id which,
                              const struct locale *l, struct arena *a, struct fault *f);
CHECKED enum err takeout_list(struct tx *tx, id subject, struct takeout **out, size_t *n);
CHECKED enum err takeout_get(struct tx *tx, id subject, id which, struct takeout *out);

#endif
