#include "privacy/consent.h"

#include <sodium.h>

#include "privacy/erasure.h"

enum { HASH_BYTES = 32, MAX_ROWS = 10000, END_BATCH = 500 };

static str wording_hash(struct arena *a, str wording)
{
    unsigned char *h = arena_alloc(a, HASH_BYTES);
    crypto_generichash(h, HASH_BYTES, (const unsigned char *)wording.p, wording.n, NULL, 0);
    return str_of(h, HASH_BYTES);
}

/* ---- texts ---- */

/* Where a country asks for a separate consent to what rests on another basis, the purpose itself is
 * what is asked. */
static str wording_of(const struct privacy *p, struct arena *a, const struct purpose *purpose,
                      int language)
{
    struct locale l = {.language = language, .code = catalog_language(p->catalog, language)};
    str key = purpose->basis == BASIS_CONSENT
                  ? str_fmt(a, "consent.%.*s.%d", STR_FMT(purpose->name), purpose->version)
                  : str_fmt(a, "purpose.%.*s", STR_FMT(purpose->name));
    return catalog_text(p->catalog, &l, a, key.p, NULL);
}

static enum err publish_one(struct tx *tx, const struct privacy *p, const struct purpose *purpose,
                            int language)
{
    struct arena *a = tx_arena(tx);
    str code = str_from(catalog_language(p->catalog, language));
    str wording = wording_of(p, a, purpose, language);
    str hash = wording_hash(a, wording);
    struct query *q = SQL(tx, "SELECT hash FROM consent_text "
                              "WHERE purpose = $1 AND version = $2 AND language = $3");
    bind_text(q, purpose->name);
    bind_int(q, purpose->version);
    bind_text(q, code);
    bool found = query_row(q);
    bool same = found && str_eq(row_blob(q, 0), hash);
    TRY(query_end(q));
    if (found && !same)
        return FAIL(tx_fault(tx), ERR_CONFLICT,
                    "the text of consent %.*s (%.*s) has changed, its version %d has not: raise it "
                    "in records.yaml",
                    STR_FMT(purpose->name), STR_FMT(code), purpose->version);
    if (found)
        return OK;
    q = SQL(tx, "INSERT INTO consent_text (purpose, version, language, wording, hash, published) "
                "VALUES ($1, $2, $3, $4, $5, $6)");
    bind_text(q, purpose->name);
    bind_int(q, purpose->version);
    bind_text(q, code);
    bind_text(q, wording);
    bind_blob(q, hash);
    bind_time(q, clock_now(p->clock));
    return query_run(q);
}

static enum err publish_all(struct tx *tx, void *arg)
{
    const struct privacy *p = arg;
    for (size_t i = 0; i < p->inventory->n_purposes; i++) {
        const struct purpose *purpose = &p->inventory->purposes[i];
        if (purpose->basis != BASIS_CONSENT && !organisation_asks(p->organisation, purpose->name))
            continue;
        for (size_t l = 0; l < catalog_languages(p->catalog); l++)
            TRY(publish_one(tx, p, purpose, (int)l));
    }
    return OK;
}

enum err consent_publish(const struct privacy *p, struct fault *f)
{
    struct arena *a = arena_new(4 << 20);
    struct privacy copy = *p;
    enum err e = db_transact(p->db, a, f, publish_all, &copy);
    arena_free(&a);
    return e;
}

/* ---- the chain ---- */

struct row {
    struct consent c;
    str hash;  /* of the wording */
    str chain; /* of this row and those before it */
};

static str chain_of(struct arena *a, id subject, const struct row *r, str before)
{
    unsigned char *h = arena_alloc(a, HASH_BYTES);
    str text = str_fmt(a, "%s|%lld|%.*s|%d|%lld|%.*s|%.*s|%.*s|%lld|%lld|", subject.text,
                       (long long)r->c.seq, STR_FMT(r->c.purpose), r->c.granted,
                       (long long)r->c.version, STR_FMT(r->c.language), STR_FMT(r->c.controller),
                       STR_FMT(r->c.way), (long long)r->c.made, (long long)r->c.ends);
    crypto_generichash_state s;
    crypto_generichash_init(&s, NULL, 0, HASH_BYTES);
    crypto_generichash_update(&s, (const unsigned char *)before.p, before.n);
    crypto_generichash_update(&s, (const unsigned char *)text.p, text.n);
    crypto_generichash_update(&s, (const unsigned char *)r->hash.p, r->hash.n);
    crypto_generichash_final(&s, h, HASH_BYTES);
    return str_of(h, HASH_BYTES);
}

static struct row read_row(struct query *q)
{
    return (struct row){
        .c = {.seq = row_int(q, 0),
              .purpose = row_text(q, 1),
              .granted = row_flag(q, 2),
              .version = row_int(q, 3),
              .language = row_text(q, 4),
              .controller = row_text(q, 5),
              .way = row_text(q, 6),
              .made = row_time(q, 7),
              .ends = row_time(q, 8)},
        .hash = row_blob(q, 9),
        .chain = row_blob(q, 10),
    };
}

#define ROW_COLUMNS                                                                                \
    "seq, purpose, granted, version, language, controller, way, made, ends, wording, chain "

static enum err last_row(struct tx *tx, id subject, struct row *out, bool *found)
{
    struct query *q = SQL(tx, "SELECT " ROW_COLUMNS "FROM consent WHERE subject = $1 "
                              "ORDER BY seq DESC LIMIT 1");
    bind_id(q, subject);
    *found = query_row(q);
    if (*found)
        *out = read_row(q);
    return query_end(q);
}

static enum err last_for(struct tx *tx, id subject, str purpose, struct row *out, bool *found)
{
    struct query *q = SQL(tx, "SELECT " ROW_COLUMNS "FROM consent "
                              "WHERE subject = $1 AND purpose = $2 ORDER BY seq DESC LIMIT 1");
    bind_id(q, subject);
    bind_text(q, purpose);
    *found = query_row(q);
    if (*found)
        *out = read_row(q);
    return query_end(q);
}

static bool says(const struct privacy *p, const struct row *r, const struct purpose *purpose)
{
    return r->c.granted && r->c.version == purpose->version &&
           (r->c.ends == 0 || r->c.ends > clock_now(p->clock));
}

enum err consent_holds(struct tx *tx, const struct privacy *p, id subject,
                       const struct purpose *purpose, bool *holds, int64_t *seq)
{
    struct row r;
    bool found;
    TRY(last_for(tx, subject, purpose->name, &r, &found));
    *holds = found && says(p, &r, purpose);
    if (seq != NULL)
        *seq = *holds ? r.c.seq : 0;
    return OK;
}

enum err consent_record(struct tx *tx, const struct privacy *p, id subject,
                        const struct purpose *purpose, bool granted, const char *language,
                        const char *way)
{
    struct arena *a = tx_arena(tx);
    struct row r, last;
    bool found;
    int l = catalog_find_language(p->catalog, str_from(language));
    TRY(last_for(tx, subject, purpose->name, &r, &found));
    if (granted ? found && says(p, &r, purpose) : !found || !r.c.granted)
        return OK;
    TRY(last_row(tx, subject, &last, &found));
    moment now = clock_now(p->clock);
    r = (struct row){
        .c = {.seq = found ? last.c.seq + 1 : 1,
              .purpose = purpose->name,
              .granted = granted,
              .version = purpose->version,
              .language = str_from(language),
              .controller = organisation_controller(p->organisation, purpose->controller)->key,
              .way = str_from(way),
              .made = now,
              .ends = granted && !term_is_zero(purpose->lasts) ? term_end(now, purpose->lasts) : 0},
        .hash = wording_hash(a, wording_of(p, a, purpose, l < 0 ? 0 : l)),
    };
    r.chain = chain_of(a, subject, &r, found ? last.chain : (str){NULL, 0});
    struct query *q = SQL(tx, "INSERT INTO consent (subject, " ROW_COLUMNS
                              ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
    bind_id(q, subject);
    bind_int(q, r.c.seq);
    bind_text(q, r.c.purpose);
    bind_flag(q, r.c.granted);
    bind_int(q, r.c.version);
    bind_text(q, r.c.language);
    bind_text(q, r.c.controller);
    bind_text(q, r.c.way);
    bind_time(q, r.c.made);
    if (r.c.ends)
        bind_time(q, r.c.ends);
    else
        bind_null(q);
    bind_blob(q, r.hash);
    bind_blob(q, r.chain);
    return query_run(q);
}

/* ---- consents that end ---- */

struct ended {
    id subject;
    str purpose;
    str language;
};

static enum err end_one(struct tx *tx, const struct privacy *p, const struct ended *e)
{
    const struct purpose *purpose = inventory_purpose(p->inventory, e->purpose);
    if (purpose == NULL)
        return OK;
    TRY(consent_record(tx, p, e->subject, purpose, false, str_cstr(tx_arena(tx), e->language),
                       CONSENT_WAY_ENDED));
    return erasure_of_purpose(tx, p, e->subject, e->purpose);
}

/* Those that ended within a year and have no later row for their purpose. */
static enum err end_batch(struct tx *tx, void *arg)
{
    struct privacy *p = arg;
    struct ended *list = ARENA_ARRAY(tx_arena(tx), struct ended, END_BATCH);
    size_t n = 0;
    moment now = clock_now(p->clock);
    struct query *q =
        SQL(tx, "SELECT c.subject, c.purpose, c.language FROM consent c "
                "WHERE c.ends > $1 AND c.ends <= $2 AND NOT EXISTS (SELECT 1 FROM consent later "
                "WHERE later.subject = c.subject AND later.purpose = c.purpose AND "
                "later.seq > c.seq) LIMIT $3");
    bind_time(q, now - 366 * MOMENT_DAY);
    bind_time(q, now);
    bind_int(q, END_BATCH);
    while (query_row(q))
        list[n++] = (struct ended){row_id(q, 0), row_text(q, 1), row_text(q, 2)};
    TRY(query_end(q));
    for (size_t i = 0; i < n; i++)
        TRY(end_one(tx, p, &list[i]));
    return OK;
}

enum err consent_end_due(const struct privacy *p, struct fault *f)
{
    struct arena *a = arena_new(16 << 20);
    struct privacy copy = *p;
    enum err e = db_transact(p->db, a, f, end_batch, &copy);
    arena_free(&a);
    return e;
}

enum err consent_history(struct tx *tx, const struct privacy *p, id subject, struct consent **out,
                         size_t *n)
{
    (void)p;
    struct consent *list = NULL;
    size_t cap = 0;
    struct query *q =
        SQL(tx, "SELECT c.seq, c.purpose, c.granted, c.version, c.language, c.controller, c.way, "
                "c.made, c.ends, t.wording FROM consent c "
                "LEFT JOIN consent_text t ON t.purpose = c.purpose AND t.version = c.version "
                "AND t.language = c.language WHERE c.subject = $1 ORDER BY c.seq DESC LIMIT $2");
    bind_id(q, subject);
    bind_int(q, MAX_ROWS);
    *n = 0;
    while (query_row(q)) {
        ARENA_GROW(tx_arena(tx), list, cap, *n + 1);
        list[(*n)++] = (struct consent){
            .seq = row_int(q, 0),
            .purpose = row_text(q, 1),
            .granted = row_flag(q, 2),
            .version = row_int(q, 3),
            .language = row_text(q, 4),
            .controller = row_text(q, 5),
            .way = row_text(q, 6),
            .made = row_time(q, 7),
            .ends = row_time(q, 8),
            .wording = row_text(q, 9),
        };
    }
    *out = list;
    return query_end(q);
}

enum err consent_check_chain(struct tx *tx, id subject)
{
    struct query *q = SQL(tx, "SELECT " ROW_COLUMNS "FROM consent WHERE subject = $1 ORDER BY seq");
    bind_id(q, subject);
    str before = {NULL, 0};
    int64_t seq = 0;
    bool whole = true;
    while (query_row(q)) {
        struct row r = read_row(q);
        whole &= r.c.seq == ++seq && str_eq(r.chain, chain_of(tx_arena(tx), subject, &r, before));
        before = r.chain;
    }
    TRY(query_end(q));
    return whole ? OK : ERR_CONFLICT;
}

json_t *consent_receipt(const struct privacy *p, struct arena *a, id subject,
                        const struct consent *c)
{
    json_t *j = json_object();
    const struct party *controller = organisation_controller(p->organisation, c->controller);
    json_put_str(j, "subject", str_from(subject.text));
    json_put_int(j, "number", c->seq);
    json_put_str(j, "purpose", c->purpose);
    json_put_text(j, "decision", c->granted ? "given" : "withdrawn");
    json_put_int(j, "version", c->version);
    json_put_str(j, "language", c->language);
    json_put_str(j, "wording", c->wording);
    json_put_str(j, "way", c->way);
    json_put_moment(j, "time", a, c->made);
    if (c->ends)
        json_put_moment(j, "ends", a, c->ends);
    json_t *who = json_put_object(j, "controller");
    json_put_str(who, "name", controller ? controller->name : c->controller);
    json_put_str(who, "address", controller ? controller->address : (str){NULL, 0});
    return j;
}
