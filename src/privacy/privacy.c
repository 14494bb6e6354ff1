#include "privacy/privacy.h"

struct vault_place privacy_place(const char *table, const char *column, const id *record)
{
    return (struct vault_place){str_from(table), str_from(column), id_str(record)};
}

str privacy_seal(struct arena *a, const struct key *k, const char *table, const char *column,
                 id record, str plain)
{
    return vault_seal(a, k, privacy_place(table, column, &record), plain);
}

enum err privacy_unseal(struct arena *a, const struct key *k, const char *table,
                        const char *column, id record, str sealed, str *plain, struct fault *f)
{
    return vault_unseal(a, k, privacy_place(table, column, &record), sealed, plain, f);
}
