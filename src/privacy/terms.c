/* The texts that people accept when they join a service: each version as it was published. */
#include "privacy/enrolment.h"

#include <sodium.h>

enum { HASH_BYTES = 32 };

static str hash_of(struct arena *a, str text)
{
    unsigned char *h = arena_alloc(a, HASH_BYTES);
    crypto_generichash(h, HASH_BYTES, (const unsigned char *)text.p, text.n, NULL, 0);
    return str_of(h, HASH_BYTES);
}

static str wording(const struct privacy *p, struct arena *a, const struct service_account *s, int language)
{
    struct locale l = {.language = language, .code = catalog_language(p->catalog, language)};
    return catalog_text(p->catalog, &l, a, str_fmt(a, "terms.%.*s.%d", STR_FMT(s->service), s->terms).p, NULL);
}

static enum err publish_one(struct tx *tx, const struct privacy *p, const struct service_account *s, int language)
{
    struct arena *a = tx_arena(tx);
    str code = str_from(catalog_language(p->catalog, language)), text = wording(p, a, s, language);
    str hash = hash_of(a, text);
    struct query *q = SQL(tx, "SELECT hash FROM terms_text WHERE service = $1 AND version = $2 AND language = $3");
    bind_text(q, s->service);
    bind_int(q, s->terms);
    bind_text(q, code);
    bool found = query_row(q), same = found && str_eq(row_blob(q, 0), hash);
    TRY(query_end(q));
    if (found && !same)
        return FAIL(tx_fault(tx), ERR_CONFLICT,
                    "the terms of %.*s (%.*s) have changed, their version %d has not: raise it in records.yaml",
                    STR_FMT(s->service), STR_FMT(code), s->terms);
    if (found)
        return OK;
    q = SQL(tx, "INSERT INTO terms_text (service, version, language, wording, hash, published) "
                "VALUES ($1, $2, $3, $4, $5, $6)");
    bind_text(q, s->service);
    bind_int(q, s->terms);
    bind_text(q, code);
    bind_text(q, text);
    bind_blob(q, hash);
    bind_time(q, clock_now(p->clock));
    return query_run(q);
}

static enum err publish_all(struct tx *tx, void *arg)
{
    const struct privacy *p = arg;
    for (size_t i = 0; i < p->inventory->n_accounts; i++)
        for (size_t l = 0; p->inventory->accounts[i].terms > 0 && l < catalog_languages(p->catalog); l++)
            TRY(publish_one(tx, p, &p->inventory->accounts[i], (int)l));
    return OK;
}

enum err terms_publish(const struct privacy *p, struct fault *f)
{
    struct arena *a = arena_new(16 << 20);
    struct privacy copy = *p;
    enum err e = db_transact(p->db, a, f, publish_all, &copy);
    arena_free(&a);
    return e;
}

enum err terms_text(struct tx *tx, const struct privacy *p, const struct service_account *s, int64_t version,
                    const char *language, str *text, moment *published)
{
    (void)p;
    struct query *q = SQL(tx, "SELECT wording, published FROM terms_text "
                              "WHERE service = $1 AND version = $2 AND language = $3");
    bind_text(q, s->service);
    bind_int(q, version ? version : s->terms);
    bind_text(q, str_from(language));
    bool found = query_row(q);
    if (found) {
        *text = row_text(q, 0);
        *published = row_time(q, 1);
    }
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}
