/*
 * privacy: the heart. What records.yaml declares is kept, found, sealed, exported, erased, asked,
 * published and proved from here, for every feature alike.
 *
 * struct privacy is made once at the start and then read by all threads.
 */
#ifndef PRIVACY_PRIVACY_H
#define PRIVACY_PRIVACY_H

#include "base/log.h"
#include "privacy/inventory.h"
#include "privacy/organisation.h"
#include "store/files.h"
#include "text/template.h"
#include "vault/vault.h"

struct retention;
struct policies;

struct privacy {
    const struct inventory *inventory;
    const struct organisation *organisation;
    const struct catalog *catalog;
    struct formats *formats;
    struct policies *policies; /* policy.h; may be NULL */
    const struct template_set *pages; /* HTML: the readable part of what people take along */
    struct db *db;
    struct vault *vault;
    const struct files *files;
    const struct clock *clock;
    const struct log *log;
    const struct retention *retention; /* set by retention_load() */
};

/* A sealed field's place in its record. */
struct vault_place privacy_place(const char *table, const char *column, const id *record);

/* Seals and opens a field of a record with its subject's key. The key is fetched by the caller
 * (vault_subject_key), so that a page needs it once. */
str privacy_seal(struct arena *a, const struct key *k, const char *table, const char *column,
                 id record, str plain);
CHECKED enum err privacy_unseal(struct arena *a, const struct key *k, const char *table,
                                const char *column, id record, str sealed, str *plain,
                                struct fault *f);

#endif
