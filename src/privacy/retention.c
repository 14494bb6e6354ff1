#include "privacy/retention.h"

#include <assert.h>
#include <string.h>

#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/erasure.h"

enum { MAX_VERSIONS = 32, BATCH_ARENA = 32 << 20 };

struct term_version {
    moment since;
    struct term term;
};

/* A rule with its terms and its SQL. Parameters of every statement: $1 and $2 bound the anchor's
 * interval, $3 is the cut-off, $4 the batch. */
struct compiled {
    const struct keep_rule *rule;
    bool ends_subject; /* the anchor lies in the subject's own record, and the record is it */
    const struct service_account *ends; /* … or in a service account's: all of the service's ends */
    struct term_version *versions; /* oldest first */
    size_t n_versions;
    str country; /* a shorter term for people of one country; empty: everybody's */
    str take;    /* subjects that are due, or the deletion itself */
    str count;
    str oldest;
};

struct retention {
    struct compiled *rules;
    size_t n;
};

/* ---- composing SQL from declared names ---- */

static str join_names(struct arena *a, const str *names, size_t n)
{
    struct buf b = buf_new(a, 1024);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_text(&b, ", ");
        buf_put(&b, names[i]);
    }
    return buf_str(&b);
}

/* The condition under which a record is due. */
static str condition(struct arena *a, const struct compiled *c, const struct privacy *p)
{
    const struct keep_rule *rule = c->rule;
    str field = rule->field;
    str due = str_fmt(a, "%.*s >= $1 AND %.*s < $2 AND %.*s <= $3", STR_FMT(field), STR_FMT(field),
                      STR_FMT(field));
    if (c->country.n > 0) { /* two capitals: organisation_read() has seen to it */
        str column = record_of_category(inventory_record(p->inventory, rule->table), "country")->name;
        bool ours = str_eq(c->country, p->organisation->country);
        due = str_fmt(a, "%.*s AND %.*s IN ('%.*s'%s)", STR_FMT(due), STR_FMT(column),
                      STR_FMT(c->country), ours ? ", ''" : "");
    }
    if (str_eq(rule->table, rule->record->name))
        return due;
    return str_fmt(a, "%.*s IN (SELECT id FROM %.*s WHERE %.*s)", STR_FMT(rule->table),
                   STR_FMT(rule->table), STR_FMT(due));
}

static str file_column(const struct record *r)
{
    for (size_t i = 0; i < r->n_fields; i++)
        if (r->fields[i].file)
            return r->fields[i].name;
    return (str){NULL, 0};
}

static void compose(struct arena *a, struct compiled *c, const struct privacy *p)
{
    const struct record *r = c->rule->record;
    str where = condition(a, c, p);
    str key = join_names(a, r->table->key, r->table->n_key);
    bool pair = r->table->n_key > 1;
    c->count = str_fmt(a, "SELECT count(*) FROM %.*s WHERE %.*s", STR_FMT(r->name), STR_FMT(where));
    if (c->ends != NULL) {
        c->take = str_fmt(a, "SELECT %.*s FROM %.*s WHERE %.*s ORDER BY %.*s LIMIT $4",
                          STR_FMT(r->subject), STR_FMT(r->name), STR_FMT(where), STR_FMT(c->rule->field));
    } else if (c->ends_subject) {
        c->take = str_fmt(a, "SELECT id FROM %.*s WHERE %.*s ORDER BY %.*s LIMIT $4",
                          STR_FMT(r->name), STR_FMT(where), STR_FMT(c->rule->field));
    } else {
        str file = file_column(r);
        c->take = str_fmt(a,
                          "DELETE FROM %.*s WHERE %s%.*s%s IN (SELECT %.*s FROM %.*s WHERE %.*s "
                          "LIMIT $4)%s%.*s",
                          STR_FMT(r->name), pair ? "(" : "", STR_FMT(key), pair ? ")" : "",
                          STR_FMT(key), STR_FMT(r->name), STR_FMT(where),
                          file.n ? " RETURNING " : "", STR_FMT(file));
    }
    if (str_eq(c->rule->table, r->name))
        c->oldest = str_fmt(a, "SELECT min(%.*s) FROM %.*s WHERE %.*s >= $1 AND %.*s < $2",
                            STR_FMT(c->rule->field), STR_FMT(r->name), STR_FMT(c->rule->field),
                            STR_FMT(c->rule->field));
}

/* ---- versions of terms ---- */

static str version_name(struct arena *a, const struct compiled *c)
{
    str name = str_fmt(a, "%.*s:%.*s", STR_FMT(c->rule->record->name), STR_FMT(c->rule->name));
    return c->country.n ? str_fmt(a, "%.*s:%.*s", STR_FMT(name), STR_FMT(c->country)) : name;
}

static enum err read_versions(struct tx *tx, struct compiled *c, str name)
{
    struct query *q = SQL(tx, "SELECT since, term FROM term_version WHERE rule = $1 ORDER BY since");
    bind_text(q, name);
    while (query_row(q)) {
        struct term_version v = {.since = row_time(q, 0)};
        if (term_parse(row_text(q, 1), &v.term) != OK || c->n_versions == MAX_VERSIONS - 1)
            return FAIL(tx_fault(tx), ERR_IO, "term_version: %.*s cannot be read", STR_FMT(name));
        c->versions[c->n_versions++] = v;
    }
    return query_end(q);
}

static enum err add_version(struct tx *tx, struct compiled *c, str name, struct term term,
                            moment now)
{
    struct query *q =
        SQL(tx, "INSERT INTO term_version (rule, since, term) VALUES ($1, $2, $3)");
    bind_text(q, name);
    bind_time(q, now);
    bind_text(q, term_format(tx_arena(tx), term));
    c->versions[c->n_versions++] = (struct term_version){now, term};
    return query_run(q);
}

struct loading {
    const struct privacy *p;
    struct retention *r;
    struct arena *arena;
};

static struct term country_term(const struct privacy *p, const struct compiled *c)
{
    for (size_t i = 0; i < p->organisation->n_terms; i++) {
        const struct country_term *t = &p->organisation->terms[i];
        if (str_eq(t->country, c->country) && str_eq(t->rule, c->rule->name))
            return t->term;
    }
    return c->rule->term;
}

static enum err load_versions(struct tx *tx, void *arg)
{
    struct loading *l = arg;
    moment now = clock_now(l->p->clock);
    for (size_t i = 0; i < l->r->n; i++) {
        struct compiled *c = &l->r->rules[i];
        c->n_versions = 0;
        if (c->rule->kind == KEEP_AT)
            continue;
        str name = version_name(tx_arena(tx), c);
        struct term term = country_term(l->p, c);
        TRY(read_versions(tx, c, name));
        if (c->n_versions == 0 || !term_eq(c->versions[c->n_versions - 1].term, term))
            TRY(add_version(tx, c, name, term, now));
    }
    return OK;
}

static const struct service_account *account_of(const struct inventory *v, const struct record *r)
{
    const struct service_account *s = inventory_account(v, r->service);
    return s != NULL && s->record == r ? s : NULL;
}

static void add_rule(struct loading *l, const struct keep_rule *rule, str country, size_t *cap)
{
    ARENA_GROW(l->arena, l->r->rules, *cap, l->r->n + 1);
    struct compiled *c = &l->r->rules[l->r->n++];
    *c = (struct compiled){.rule = rule,
                           .ends_subject = record_is_subject(rule->record),
                           .ends = account_of(l->p->inventory, rule->record),
                           .versions = ARENA_ARRAY(l->arena, struct term_version, MAX_VERSIONS),
                           .country = country};
    compose(l->arena, c, l->p);
}

enum err retention_load(struct privacy *p, struct arena *a, struct fault *f)
{
    struct retention *r = ARENA_NEW(a, struct retention);
    struct loading l = {p, r, a};
    size_t cap = 0;
    for (size_t i = 0; i < p->inventory->n_records; i++) {
        const struct record *record = &p->inventory->records[i];
        for (size_t k = 0; k < record->n_rules; k++) {
            if (record->rules[k].implied)
                continue;
            add_rule(&l, &record->rules[k], (str){NULL, 0}, &cap);
            for (size_t t = 0; t < p->organisation->n_terms; t++)
                if (record_is_subject(record) &&
                    str_eq(p->organisation->terms[t].rule, record->rules[k].name))
                    add_rule(&l, &record->rules[k], p->organisation->terms[t].country, &cap);
        }
    }
    struct arena *work = arena_new(BATCH_ARENA);
    enum err e = db_transact(p->db, work, f, load_versions, &l);
    arena_free(&work);
    p->retention = r;
    return e;
}

/* ---- what is due ---- */

/* One stretch of anchors with the terms that hold for it. */
struct stretch {
    moment from, until, cutoff;
};

/*
 * Anchors from `from` to `until` fell under version i. A longer term published later does not
 * reach back, a shorter one does: what ends such a record is the shortest of version i and all
 * after it, so the latest of their cut-offs.
 */
static struct stretch stretch_of(const struct compiled *c, size_t i, moment now)
{
    struct stretch s = {INT64_MIN, INT64_MAX, INT64_MIN};
    if (c->rule->kind == KEEP_AT) {
        s.cutoff = now;
        return s;
    }
    if (i > 0)
        s.from = c->versions[i].since;
    if (i + 1 < c->n_versions)
        s.until = c->versions[i + 1].since;
    for (size_t k = i; k < c->n_versions; k++)
        s.cutoff = MAX_OF(s.cutoff, term_cutoff(now + RETENTION_MARGIN, c->versions[k].term));
    return s;
}

static size_t stretches(const struct compiled *c)
{
    return c->rule->kind == KEEP_AT ? 1 : c->n_versions;
}

static void bind_stretch(struct query *q, const struct stretch *s)
{
    bind_time(q, s->from);
    bind_time(q, s->until);
    bind_time(q, s->cutoff);
}

struct sweeping {
    const struct privacy *p;
    const struct compiled *c;
    struct stretch stretch;
    int64_t taken; /* in this batch */
    id files[RETENTION_BATCH];
    size_t n_files;
    struct enrolment_ended ended; /* in this batch */
    struct erasure_counts counts; /* of the rule */
};

static enum err delete_batch(struct tx *tx, void *arg)
{
    struct sweeping *s = arg;
    struct query *q = tx_query(tx, s->c->take);
    s->n_files = 0;
    bind_stretch(q, &s->stretch);
    bind_int(q, RETENTION_BATCH);
    while (query_row(q))
        if (!row_is_null(q, 0))
            s->files[s->n_files++] = row_id(q, 0);
    TRY(query_end(q));
    s->taken = query_changes(q);
    return OK;
}

/* Service accounts whose term has ended, with all that their services hold. */
static enum err end_batch(struct tx *tx, void *arg)
{
    struct sweeping *s = arg;
    id *ids = ARENA_ARRAY(tx_arena(tx), id, RETENTION_BATCH);
    size_t n = 0;
    struct query *q = tx_query(tx, s->c->take);
    bind_stretch(q, &s->stretch);
    bind_int(q, RETENTION_BATCH);
    while (query_row(q))
        ids[n++] = row_id(q, 0);
    TRY(query_end(q));
    s->ended = (struct enrolment_ended){0};
    for (size_t i = 0; i < n; i++)
        TRY(enrolment_end(tx, s->p, ids[i], s->c->ends, &s->ended));
    s->taken = (int64_t)n;
    return OK;
}

static enum err end_enrolments(struct sweeping *s, struct arena *a, struct fault *f)
{
    TRY(db_transact(s->p->db, a, f, end_batch, s));
    s->counts.records += s->ended.records;
    s->counts.files += (int64_t)s->ended.n_files;
    for (size_t i = 0; i < s->ended.n_files; i++)
        TRY(files_remove(s->p->files, s->ended.files[i], f));
    return OK;
}

static enum err take_subjects(struct sweeping *s, struct arena *a, struct fault *f)
{
    id *ids = ARENA_ARRAY(a, id, RETENTION_BATCH);
    size_t n = 0;
    struct tx *tx = tx_begin(s->p->db, TX_READ, a, f);
    struct query *q = tx_query(tx, s->c->take);
    bind_stretch(q, &s->stretch);
    bind_int(q, RETENTION_BATCH);
    while (query_row(q))
        ids[n++] = row_id(q, 0);
    enum err e = query_end(q);
    tx_end(&tx);
    TRY(e);
    s->taken = (int64_t)n;
    return erasure_run(s->p, s->c->rule->record->name, ids, n, &s->counts, a, f);
}

static enum err sweep_batch(struct sweeping *s, struct arena *a, struct fault *f)
{
    if (s->c->ends_subject)
        return take_subjects(s, a, f);
    if (s->c->ends != NULL)
        return end_enrolments(s, a, f);
    TRY(db_transact(s->p->db, a, f, delete_batch, s));
    s->counts.records += s->taken;
    s->counts.files += (int64_t)s->n_files;
    for (size_t i = 0; i < s->n_files; i++)
        TRY(files_remove(s->p->files, s->files[i], f));
    return OK;
}

static enum err sweep_rule(const struct privacy *p, const struct compiled *c,
                           struct erasure_counts *counts, struct fault *f)
{
    struct sweeping s = {.p = p, .c = c};
    for (size_t i = 0; i < stretches(c); i++) {
        s.stretch = stretch_of(c, i, clock_now(p->clock));
        for (s.taken = RETENTION_BATCH; s.taken == RETENTION_BATCH;) {
            struct arena *a = arena_new(BATCH_ARENA);
            enum err e = sweep_batch(&s, a, f);
            arena_free(&a);
            TRY(e);
        }
    }
    *counts = s.counts;
    return OK;
}

static enum err count_rule(const struct privacy *p, const struct compiled *c, int64_t *out,
                           struct arena *a, struct fault *f)
{
    *out = 0;
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, a, f);
    for (size_t i = 0; i < stretches(c); i++) {
        struct stretch s = stretch_of(c, i, clock_now(p->clock));
        struct query *q = tx_query(tx, c->count);
        bind_stretch(q, &s);
        *out += query_row(q) ? row_int(q, 0) : 0;
        TRY(query_end(q));
    }
    return OK;
}

/* ---- the sweep ---- */

struct note {
    const struct privacy *p;
    const struct sweep_report *report;
};

static enum err note_line(struct tx *tx, const struct privacy *p, str rule, int64_t records)
{
    struct query *q = SQL(tx, "INSERT INTO sweep (id, made, rule, records) VALUES ($1, $2, $3, $4)");
    bind_id(q, id_new());
    bind_time(q, clock_now(p->clock));
    bind_text(q, rule);
    bind_int(q, records);
    return query_run(q);
}

/* Proof in counts only (RET-06): a line for the sweep, and one for each rule that removed. */
static enum err note_sweep(struct tx *tx, void *arg)
{
    const struct note *n = arg;
    TRY(note_line(tx, n->p, STR("all"), n->report->records));
    for (size_t i = 0; i < n->report->n; i++) {
        const struct sweep_line *line = &n->report->lines[i];
        TRY(note_line(tx, n->p, line->rule, line->subjects ? line->subjects : line->records));
    }
    return OK;
}

static void add_line(struct sweep_report *out, str rule, str record,
                     const struct erasure_counts *counts)
{
    out->records += counts->records;
    out->subjects += counts->subjects;
    out->files += counts->files;
    if (counts->records + counts->subjects + counts->files > 0)
        out->lines[out->n++] =
            (struct sweep_line){rule, record, counts->records, counts->subjects};
}

enum err retention_sweep(const struct privacy *p, bool dry, bool whole, struct arena *a,
                         struct sweep_report *out, struct fault *f)
{
    const struct retention *r = p->retention;
    *out = (struct sweep_report){.lines = ARENA_ARRAY(a, struct sweep_line, r->n + 2)};
    for (size_t i = 0; i < r->n; i++) {
        const struct compiled *c = &r->rules[i];
        struct erasure_counts counts = {0};
        if (dry)
            TRY(count_rule(p, c, c->ends_subject ? &counts.subjects : &counts.records, a, f));
        else
            TRY(sweep_rule(p, c, &counts, f));
        add_line(out, c->rule->name, c->rule->record->name, &counts);
    }
    if (dry)
        return OK;
    TRY(consent_end_due(p, f));
    if (whole) {
        struct erasure_counts rest = {0}, files = {0};
        TRY(erasure_reconcile(p, &rest, f));
        add_line(out, STR("reconcile"), STR("keyring"), &rest);
        TRY(erasure_collect_files(p, &files.files, f));
        add_line(out, STR("files"), STR("files"), &files);
    }
    struct note n = {p, out};
    TRY(db_transact(p->db, a, f, note_sweep, &n));
    TRY(db_checkpoint(p->db, f));
    return db_checkpoint(vault_keyring(p->vault), f);
}

/* ---- how it stands ---- */

static const struct compiled *compiled_for(const struct privacy *p, const struct keep_rule *rule)
{
    for (size_t i = 0; i < p->retention->n; i++)
        if (p->retention->rules[i].rule == rule && p->retention->rules[i].country.n == 0)
            return &p->retention->rules[i];
    return NULL;
}

moment retention_due(const struct privacy *p, const struct keep_rule *rule, moment anchor)
{
    const struct compiled *c = compiled_for(p, rule);
    if (rule->kind == KEEP_AT)
        return anchor;
    if (c == NULL)
        return term_end(anchor, rule->term);
    moment due = INT64_MAX;
    for (size_t i = 0; i < c->n_versions; i++) {
        bool later = i + 1 < c->n_versions && anchor >= c->versions[i + 1].since;
        if (!later)
            due = MIN_OF(due, term_end(anchor, c->versions[i].term));
    }
    return due;
}

enum err retention_state(const struct privacy *p, const struct keep_rule *rule,
                         struct rule_state *out, struct arena *a, struct fault *f)
{
    const struct compiled *c = compiled_for(p, rule);
    *out = (struct rule_state){.rule = rule};
    if (c == NULL || c->oldest.n == 0)
        return OK;
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, a, f);
    for (size_t i = 0; i < stretches(c); i++) {
        struct stretch s = stretch_of(c, i, clock_now(p->clock));
        struct query *q = tx_query(tx, c->oldest);
        bind_time(q, s.from);
        bind_time(q, s.until);
        bool any = query_row(q) && !row_is_null(q, 0);
        moment anchor = any ? row_time(q, 0) : 0;
        TRY(query_end(q));
        moment due = any ? retention_due(p, rule, anchor) : 0;
        if (any && (!out->any || due < out->due)) {
            out->any = true;
            out->oldest = anchor;
            out->due = due;
        }
    }
    return count_rule(p, c, &out->waiting, a, f);
}
