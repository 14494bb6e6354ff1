#include "privacy/rights.h"

#include <string.h>

#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/erasure.h"

enum { MAX_LISTED = 1000 };

const char *may_name(enum may m)
{
    static const char *const names[] = {"yes",          "not-declared",   "not-consented",
                                        "not-objected", "not-restricted", "not-enrolled",
                                        "not-assessed"};
    return names[m];
}

/* ---- may we? ---- */

static enum err has_objection(struct tx *tx, id subject, str purpose, bool *has)
{
    struct query *q = SQL(tx, "SELECT 1 FROM objection WHERE subject = $1 AND purpose = $2 "
                              "AND state IN ('open', 'upheld') LIMIT 1");
    bind_id(q, subject);
    bind_text(q, purpose);
    *has = query_row(q);
    return query_end(q);
}

static enum err is_restricted(struct tx *tx, id subject, bool *yes)
{
    struct query *q =
        SQL(tx, "SELECT 1 FROM restriction WHERE subject = $1 AND lifted IS NULL LIMIT 1");
    bind_id(q, subject);
    *yes = query_row(q);
    return query_end(q);
}

static enum err decide(struct tx *tx, const struct privacy *p, id subject, str country,
                       const struct purpose *purpose, enum may *out)
{
    const struct country_rule *rule = organisation_rule(p->organisation, country, purpose->name);
    bool yes;
    if (rule != NULL && rule->assessment && rule->assessment_ref.n == 0) {
        *out = MAY_NOT_ASSESSED;
        return OK;
    }
    TRY(enrolment_active(tx, p, subject, purpose->service, &yes));
    if (!yes) {
        *out = MAY_NOT_ENROLLED;
        return OK;
    }
    if (!purpose->essential) {
        TRY(is_restricted(tx, subject, &yes));
        if (yes) {
            *out = MAY_NOT_RESTRICTED;
            return OK;
        }
    }
    if (purpose->basis == BASIS_LEGITIMATE_INTEREST) {
        TRY(has_objection(tx, subject, purpose->name, &yes));
        if (yes) {
            *out = MAY_NOT_OBJECTED;
            return OK;
        }
    }
    if (purpose->marketing) {
        TRY(has_objection(tx, subject, STR(OBJECTION_MARKETING), &yes));
        if (yes) {
            *out = MAY_NOT_OBJECTED;
            return OK;
        }
    }
    if (purpose->basis == BASIS_CONSENT || (rule != NULL && rule->separate_consent)) {
        TRY(consent_holds(tx, p, subject, purpose, &yes, NULL));
        if (!yes) {
            *out = MAY_NOT_CONSENTED;
            return OK;
        }
    }
    *out = MAY;
    return OK;
}

/* The country that the subject's own record says, where its kind has one. */
static enum err country_of(struct tx *tx, const struct privacy *p, id subject, str *out)
{
    for (size_t i = 0; i < p->inventory->n_records && out->n == 0; i++) {
        const struct record *r = &p->inventory->records[i];
        const struct field *f = record_is_subject(r) ? record_of_category(r, "country") : NULL;
        if (f == NULL)
            continue;
        struct query *q = tx_query(tx, str_fmt(tx_arena(tx), "SELECT %.*s FROM %.*s WHERE id = $1",
                                               STR_FMT(f->name), STR_FMT(r->name)));
        bind_id(q, subject);
        if (query_row(q))
            *out = row_text(q, 0);
        TRY(query_end(q));
    }
    return OK;
}

enum err privacy_may(struct tx *tx, const struct privacy *p, id subject, str country,
                     const char *purpose, enum may *out)
{
    const struct purpose *declared = inventory_purpose(p->inventory, str_from(purpose));
    enum may m = MAY_NOT_DECLARED;
    if (declared != NULL && country.n == 0 && p->organisation->n_rules > 0)
        TRY(country_of(tx, p, subject, &country));
    if (declared != NULL)
        TRY(decide(tx, p, subject, country, declared, &m));
    if (m != MAY)
        log_event(p->log, LOG_INFO, "use-refused", LOG_TEXT("purpose", str_from(purpose)),
                  LOG_TEXT("why", str_from(may_name(m))));
    *out = m;
    return OK;
}

/* ---- restriction ---- */

const char *const restriction_reasons[4] = {"accuracy", "unlawful", "claims", "objection"};

static bool is_reason(str s)
{
    for (size_t i = 0; i < COUNT(restriction_reasons); i++)
        if (str_is(s, restriction_reasons[i]))
            return true;
    return false;
}

static void bind_sealed(struct query *q, struct arena *a, const struct key *k, const char *table,
                        const char *column, id record, str plain)
{
    if (plain.n == 0)
        bind_null(q);
    else
        bind_blob(q, privacy_seal(a, k, table, column, record, plain));
}

enum err restriction_set(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                         str reason, str note)
{
    bool already;
    if (!is_reason(reason))
        return FAIL(tx_fault(tx), ERR_INPUT, "no such reason for a restriction");
    TRY(is_restricted(tx, subject, &already));
    if (already)
        return ERR_CONFLICT;
    id record = id_new();
    struct query *q = SQL(tx, "INSERT INTO restriction (subject, id, reason, note, made, lifted) "
                              "VALUES ($1, $2, $3, $4, $5, NULL)");
    bind_id(q, subject);
    bind_id(q, record);
    bind_text(q, reason);
    bind_sealed(q, tx_arena(tx), k, "restriction", "note", record, note);
    bind_time(q, clock_now(p->clock));
    return query_run(q);
}

enum err restriction_lift(struct tx *tx, const struct privacy *p, id subject)
{
    struct query *q =
        SQL(tx, "UPDATE restriction SET lifted = $2 WHERE subject = $1 AND lifted IS NULL");
    bind_id(q, subject);
    bind_time(q, clock_now(p->clock));
    TRY(query_run(q));
    return query_changes(q) > 0 ? OK : ERR_CONFLICT;
}

/* A sealed column of the current row, opened; NULL is empty. */
static enum err row_unseal(struct query *q, int column, struct tx *tx, const struct key *k,
                           const char *table, const char *name, id record, str *out)
{
    *out = (str){NULL, 0};
    if (row_is_null(q, column))
        return tx_error(tx);
    return privacy_unseal(tx_arena(tx), k, table, name, record, row_blob(q, column), out,
                          tx_fault(tx));
}

enum err restriction_get(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                         struct restriction *out)
{
    (void)p;
    struct query *q = SQL(tx, "SELECT id, reason, made, note FROM restriction "
                              "WHERE subject = $1 AND lifted IS NULL LIMIT 1");
    bind_id(q, subject);
    *out = (struct restriction){.active = query_row(q)};
    if (out->active) {
        out->id = row_id(q, 0);
        out->reason = row_text(q, 1);
        out->made = row_time(q, 2);
        TRY(row_unseal(q, 3, tx, k, "restriction", "note", out->id, &out->note));
    }
    return query_end(q);
}

/* ---- objection ---- */

/* An objection that nobody weighs (RGT-09): to all direct marketing, or to one kind of it. */
static bool is_absolute(const struct privacy *p, str purpose)
{
    const struct purpose *d = inventory_purpose(p->inventory, purpose);
    return str_is(purpose, OBJECTION_MARKETING) || (d != NULL && d->marketing);
}

bool objection_possible(const struct privacy *p, str purpose)
{
    if (str_is(purpose, OBJECTION_MARKETING))
        return true;
    const struct purpose *d = inventory_purpose(p->inventory, purpose);
    return d != NULL && d->basis == BASIS_LEGITIMATE_INTEREST && !d->essential;
}

static enum err suppress(struct tx *tx, const struct privacy *p, str same)
{
    struct vault_hashes h;
    TRY(vault_hash(p->vault, "suppression", same, &h, tx_arena(tx), tx_fault(tx)));
    struct query *q = SQL(tx, "INSERT INTO suppression (hash, made) VALUES ($1, $2) "
                              "ON CONFLICT (hash) DO NOTHING");
    bind_blob(q, str_of(h.bytes[0], VAULT_HASH_BYTES));
    bind_time(q, clock_now(p->clock));
    return query_run(q);
}

enum err suppression_has(struct tx *tx, const struct privacy *p, str same, bool *has)
{
    struct vault_hashes h;
    TRY(vault_hash(p->vault, "suppression", same, &h, tx_arena(tx), tx_fault(tx)));
    struct query *q = SQL(tx, "SELECT 1 FROM suppression WHERE hash = $1");
    bind_blob(q, str_dup(tx_arena(tx), str_of(h.bytes[0], VAULT_HASH_BYTES)));
    *has = query_row(q);
    return query_end(q);
}

enum err objection_make(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                        str purpose, str reason, str same)
{
    bool already, marketing = str_is(purpose, OBJECTION_MARKETING);
    if (!objection_possible(p, purpose))
        return FAIL(tx_fault(tx), ERR_INPUT, "nobody can object to this purpose");
    TRY(has_objection(tx, subject, purpose, &already));
    if (already)
        return ERR_CONFLICT;
    id record = id_new();
    struct query *q =
        SQL(tx, "INSERT INTO objection (subject, id, purpose, reason, state, made, decided, "
                "decided_by, ground) VALUES ($1, $2, $3, $4, $5, $6, NULL, NULL, NULL)");
    bind_id(q, subject);
    bind_id(q, record);
    bind_text(q, purpose);
    bind_sealed(q, tx_arena(tx), k, "objection", "reason", record, reason);
    bind_text(q, is_absolute(p, purpose) ? STR("upheld") : STR("open"));
    bind_time(q, clock_now(p->clock));
    TRY(query_run(q));
    if (marketing && same.n > 0)
        TRY(suppress(tx, p, same));
    return marketing ? OK : erasure_of_purpose(tx, p, subject, purpose);
}

enum err objection_withdraw(struct tx *tx, const struct privacy *p, id subject, id which)
{
    struct query *q = SQL(tx, "UPDATE objection SET state = 'withdrawn', decided = $3 "
                              "WHERE subject = $1 AND id = $2 AND state IN ('open', 'upheld')");
    bind_id(q, subject);
    bind_id(q, which);
    bind_time(q, clock_now(p->clock));
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_NOT_FOUND;
}

static enum err read_objections(struct query *q, struct tx *tx, const struct key *k,
                                struct objection **out, size_t *n)
{
    struct objection *list = NULL;
    size_t cap = 0;
    *n = 0;
    while (query_row(q)) {
        ARENA_GROW(tx_arena(tx), list, cap, *n + 1);
        struct objection *o = &list[(*n)++];
        *o = (struct objection){.subject = row_id(q, 0),
                                .id = row_id(q, 1),
                                .purpose = row_text(q, 2),
                                .state = row_text(q, 3),
                                .made = row_time(q, 4),
                                .decided = row_time(q, 5)};
        if (k == NULL)
            continue;
        TRY(row_unseal(q, 6, tx, k, "objection", "reason", o->id, &o->reason));
        TRY(row_unseal(q, 7, tx, k, "objection", "ground", o->id, &o->ground));
    }
    *out = list;
    return query_end(q);
}

enum err objection_list(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                        struct objection **out, size_t *n)
{
    (void)p;
    struct query *q = SQL(tx, "SELECT subject, id, purpose, state, made, decided, reason, ground "
                              "FROM objection WHERE subject = $1 ORDER BY made DESC LIMIT $2");
    bind_id(q, subject);
    bind_int(q, MAX_LISTED);
    return read_objections(q, tx, k, out, n);
}

enum err objection_open(struct tx *tx, struct objection **out, size_t *n)
{
    struct query *q = SQL(tx, "SELECT subject, id, purpose, state, made, decided, reason, ground "
                              "FROM objection WHERE state = 'open' ORDER BY made LIMIT $1");
    bind_int(q, MAX_LISTED);
    return read_objections(q, tx, NULL, out, n);
}

static enum err subject_of_open(struct tx *tx, const struct privacy *p, id which, id *subject,
                                struct key *k)
{
    struct query *q = SQL(tx, "SELECT subject FROM objection WHERE id = $1 AND state = 'open'");
    bind_id(q, which);
    bool found = query_row(q);
    if (found)
        *subject = row_id(q, 0);
    TRY(query_end(q));
    if (!found)
        return FAIL(tx_fault(tx), ERR_CONFLICT, "no open objection of that number");
    return vault_subject_key(p->vault, *subject, k, tx_arena(tx), tx_fault(tx));
}

enum err objection_read(struct tx *tx, const struct privacy *p, id which, struct objection *out)
{
    CLEANUP(key_wipe) struct key k;
    struct objection *list;
    id subject;
    size_t n;
    TRY(subject_of_open(tx, p, which, &subject, &k));
    struct query *q = SQL(tx, "SELECT subject, id, purpose, state, made, decided, reason, ground "
                              "FROM objection WHERE subject = $1 AND id = $2");
    bind_id(q, subject);
    bind_id(q, which);
    TRY(read_objections(q, tx, &k, &list, &n));
    if (n == 0)
        return ERR_CONFLICT;
    *out = list[0];
    return OK;
}

enum err objection_decide(struct tx *tx, const struct privacy *p, id which, bool uphold, str by,
                          str ground)
{
    CLEANUP(key_wipe) struct key k;
    if (str_trim(by).n == 0)
        return FAIL(tx_fault(tx), ERR_INPUT, "a decision needs the name of the person who takes it");
    if (!uphold && str_trim(ground).n == 0)
        return FAIL(tx_fault(tx), ERR_INPUT, "an objection is overruled on compelling grounds only: say which");
    id subject;
    TRY(subject_of_open(tx, p, which, &subject, &k));
    struct query *q = SQL(tx, "UPDATE objection SET state = $3, decided = $4, decided_by = $5, ground = $6 "
                "WHERE subject = $1 AND id = $2 AND state = 'open'");
    bind_id(q, subject);
    bind_id(q, which);
    bind_text(q, uphold ? STR("upheld") : STR("overruled"));
    bind_time(q, clock_now(p->clock));
    bind_sealed(q, tx_arena(tx), &k, "objection", "decided_by", which, by);
    bind_sealed(q, tx_arena(tx), &k, "objection", "ground", which, ground);
    return query_run(q);
}
