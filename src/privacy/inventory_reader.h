/* Inside privacy: reading records.yaml, for the files that read its parts. */
#ifndef PRIVACY_INVENTORY_READER_H
#define PRIVACY_INVENTORY_READER_H

#include "privacy/inventory.h"

struct reader {
    struct arena *arena;
    struct fault *fault;
    str source;
    str service;
    struct inventory *v;
    size_t cap_services, cap_purposes, cap_records, cap_accounts, cap_cookies, cap_promises;
};

/* ERR_INPUT, with source and line. */
CHECKED enum err reader_say(struct reader *r, int line, str why);
#define SAY(r, node, ...)                                                                          \
    reader_say((r), (node)->line, str_fmt((r)->arena, __VA_ARGS__))

/* Every key of a mapping must be one that somebody reads: a misspelt word is found by name. */
CHECKED enum err reader_only_keys(struct reader *r, const struct yaml *map,
                                  const char *const *keys, size_t n);
#define ONLY_KEYS(r, map, ...)                                                                     \
    reader_only_keys((r), (map), (const char *const[]){__VA_ARGS__},                               \
                     COUNT(((const char *const[]){__VA_ARGS__})))

CHECKED enum err reader_flag(struct reader *r, const struct yaml *map, const char *key, bool *out);
CHECKED enum err reader_term(struct reader *r, const struct yaml *map, const char *key,
                             struct term *out);
CHECKED enum err reader_list(struct reader *r, const struct yaml *n, const char *key, str **out,
                             size_t *count);
bool reader_key_ok(str s); /* letters, digits, hyphens: a name that people may meet */
CHECKED enum err reader_name(struct reader *r, const struct yaml *n); /* n->key as table or column */
CHECKED enum err reader_purpose(struct reader *r, const struct yaml *n, const struct purpose **out);
/* Type, category and null of a field; what else may stand there is the caller's. */
CHECKED enum err reader_field(struct reader *r, const struct yaml *n, struct field *out);
/* A record that belongs to a subject, of which name, service, subject and fields are there already:
 * reads purpose, keep and recipients from `n` and makes its table. */
CHECKED enum err reader_tenant(struct reader *r, const struct yaml *n, struct record *rec);
void reader_index(struct reader *r, struct table *t, str *columns, size_t n, bool unique,
                  str not_null);

/* inventory_account.c: the block `account:`, and what can be said of all of them at the end. */
CHECKED enum err reader_account(struct reader *r, const struct yaml *n);
CHECKED enum err reader_accounts_done(struct reader *r);

#endif
