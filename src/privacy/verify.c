#include "privacy/verify.h"

#include <string.h>

#include "privacy/consent.h"
#include "privacy/erasure.h"
#include "privacy/policy.h"
#include "privacy/retention.h"
#include "privacy/trail.h"
#include "privacy/words.h"

enum { SAMPLE = 1000, CHAINS = 5000, CHECK_ARENA = 64 << 20 };

const char *verdict_name(enum verdict v)
{
    static const char *const names[] = {"kept", "broken", "unknown"};
    return names[v];
}

static void say(struct check *c, bool kept, const char *evidence)
{
    c->verdict = kept ? VERDICT_KEPT : VERDICT_BROKEN;
    c->evidence = evidence;
}

/* ---- promises of every portal ---- */

struct builtin {
    const char *key, *ids;
    enum err (*run)(struct check *c, const struct verify_facts *facts);
};

static enum err check_columns(struct check *c, const struct verify_facts *facts)
{
    struct fault why = {0};
    enum schema_state state;
    struct migrations none = {NULL, 0};
    enum err e = schema_check(c->p->db, &c->p->inventory->schema, facts->migrations, c->arena,
                              &state, &why);
    if (e == OK)
        e = schema_check(vault_keyring(c->p->vault), vault_schema(), &none, c->arena, &state, &why);
    size_t columns = 0;
    for (size_t i = 0; i < c->p->inventory->schema.n_tables; i++)
        columns += c->p->inventory->schema.tables[i].n_columns;
    json_put_int(c->values, "columns", (int64_t)columns);
    json_put_int(c->values, "tables", (int64_t)c->p->inventory->schema.n_tables);
    json_put_text(c->values, "why", why.text);
    if (e != OK && e != ERR_CONFLICT)
        return e;
    say(c, e == OK, e == OK ? MSG("evidence.columns") : MSG("evidence.columns-broken"));
    return OK;
}

/* Looks at some values of a sealed column: from a random subject on, and round to the first. */
static enum err sample_column(struct check *c, const struct record *r, const struct field *f,
                              int64_t *seen, int64_t *plain)
{
    int64_t left = SAMPLE;
    id from = id_new();
    for (int round = 0; round < 2 && left > 0; round++) {
        struct query *q = tx_query(
            c->tx, str_fmt(c->arena, "SELECT %.*s FROM %.*s WHERE %.*s IS NOT NULL AND %.*s %s $1 LIMIT $2",
                           STR_FMT(f->name), STR_FMT(r->name), STR_FMT(f->name),
                           STR_FMT(record_subject_column(r)), round == 0 ? ">" : "<="));
        bind_id(q, from);
        bind_int(q, left);
        for (; query_row(q); left--)
            *plain += !vault_looks_sealed(row_blob(q, 0));
        TRY(query_end(q));
    }
    *seen += SAMPLE - left;
    return OK;
}

static enum err check_sealed(struct check *c, const struct verify_facts *facts)
{
    int64_t seen = 0, plain = 0;
    (void)facts;
    for (size_t i = 0; i < c->p->inventory->n_records; i++) {
        const struct record *r = &c->p->inventory->records[i];
        for (size_t k = 0; k < r->n_fields; k++)
            if (r->fields[k].type == COLUMN_SEALED)
                TRY(sample_column(c, r, &r->fields[k], &seen, &plain));
    }
    json_put_int(c->values, "count", seen);
    json_put_int(c->values, "plain", plain);
    say(c, plain == 0, plain ? MSG("evidence.sealed-broken") : MSG("evidence.sealed"));
    return OK;
}

static enum err check_rotation(struct check *c, const struct verify_facts *facts)
{
    struct vault_state s;
    TRY(vault_state(c->p->vault, c->arena, &s, c->fault));
    moment due = term_end(s.since, facts->rotation) + MOMENT_DAY;
    json_put_moment(c->values, "since", c->arena, s.since);
    json_put_moment(c->values, "due", c->arena, due);
    bool kept = clock_now(c->p->clock) <= due;
    say(c, kept, kept ? MSG("evidence.rotation") : MSG("evidence.rotation-broken"));
    return OK;
}

static enum err check_erasures(struct check *c, const struct verify_facts *facts)
{
    moment now = clock_now(c->p->clock);
    (void)facts;
    struct query *q = SQL(c->tx, "SELECT count(*), min(due) FROM erasure WHERE done IS NULL");
    bool row = query_row(q);
    int64_t waiting = row ? row_int(q, 0) : 0;
    moment due = row && waiting ? row_time(q, 1) : 0;
    TRY(query_end(q));
    q = SQL(c->tx, "SELECT count(*), coalesce(max(done - due), 0) FROM erasure WHERE done > due");
    int64_t late = query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    json_put_int(c->values, "count", waiting);
    json_put_int(c->values, "late", late);
    json_put_moment(c->values, "due", c->arena, due);
    bool kept = late == 0 && (waiting == 0 || due > now);
    say(c, kept,
        !kept          ? MSG("evidence.erasures-broken")
        : waiting == 0 ? MSG("evidence.erasures-none")
                       : MSG("evidence.erasures"));
    return OK;
}

static enum err check_receipts(struct check *c, const struct verify_facts *facts)
{
    (void)facts;
    struct query *q = SQL(c->tx, "SELECT count(*) FROM erasure");
    int64_t all = query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    q = SQL(c->tx, "SELECT count(*) FROM erasure WHERE done IS NOT NULL AND pending IS NOT NULL");
    int64_t bad = query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    json_put_int(c->values, "count", all);
    json_put_int(c->values, "bad", bad);
    say(c, bad == 0, bad ? MSG("evidence.receipts-broken") : MSG("evidence.receipts"));
    return OK;
}

static enum err check_chains(struct check *c, const struct verify_facts *facts)
{
    int64_t seen = 0, broken = 0;
    id *subjects = ARENA_ARRAY(c->arena, id, CHAINS), from = id_new();
    (void)facts;
    /* From a random subject on, and round to the first ones. */
    for (int round = 0; round < 2; round++) {
        struct query *q =
            round == 0 ? SQL(c->tx, "SELECT DISTINCT subject FROM consent WHERE subject > $1 LIMIT $2")
                       : SQL(c->tx, "SELECT DISTINCT subject FROM consent WHERE subject <= $1 LIMIT $2");
        bind_id(q, from);
        bind_int(q, CHAINS - seen);
        while (query_row(q))
            subjects[seen++] = row_id(q, 0);
        TRY(query_end(q));
    }
    for (int64_t i = 0; i < seen; i++) {
        enum err e = consent_check_chain(c->tx, subjects[i]);
        if (e != OK && e != ERR_CONFLICT)
            return e;
        broken += e == ERR_CONFLICT;
    }
    json_put_int(c->values, "count", seen);
    json_put_int(c->values, "broken", broken);
    say(c, broken == 0, broken ? MSG("evidence.chains-broken") : MSG("evidence.chains"));
    return OK;
}

/* Subjects whose chains are looked at this time: from a random one on, and round to the first. */
static enum err check_logs(struct check *c, const struct verify_facts *facts)
{
    int64_t seen = 0, broken = 0;
    id *subjects = ARENA_ARRAY(c->arena, id, CHAINS), from = id_new();
    (void)facts;
    for (int round = 0; round < 2; round++) {
        struct query *q =
            round == 0 ? SQL(c->tx, "SELECT subject FROM security_head WHERE subject > $1 LIMIT $2")
                       : SQL(c->tx, "SELECT subject FROM security_head WHERE subject <= $1 LIMIT $2");
        bind_id(q, from);
        bind_int(q, CHAINS - seen);
        while (query_row(q))
            subjects[seen++] = row_id(q, 0);
        TRY(query_end(q));
    }
    for (int64_t i = 0; i < seen; i++) {
        CLEANUP(key_wipe) struct key k;
        struct arena *a = arena_new(1 << 20); /* each its own: there are many */
        enum err e = vault_subject_key(c->p->vault, subjects[i], &k, a, c->fault);
        if (e == OK)
            e = trail_check(c->p->db, c->p, subjects[i], &k, c->fault);
        arena_free(&a);
        if (e == ERR_NOT_FOUND) /* being erased just now */
            fault_clear(c->fault);
        else if (e != OK && e != ERR_CONFLICT)
            return e;
        broken += e == ERR_CONFLICT;
    }
    json_put_int(c->values, "count", seen);
    json_put_int(c->values, "broken", broken);
    say(c, broken == 0, broken ? MSG("evidence.logs-broken") : MSG("evidence.logs"));
    return OK;
}

static enum err check_sweeps(struct check *c, const struct verify_facts *facts)
{
    (void)facts;
    struct query *q = SQL(c->tx, "SELECT max(made) FROM sweep");
    moment last = query_row(q) && !row_is_null(q, 0) ? row_time(q, 0) : 0;
    TRY(query_end(q));
    json_put_moment(c->values, "last", c->arena, last);
    if (last == 0) {
        c->verdict = VERDICT_UNKNOWN;
        c->evidence = MSG("evidence.sweeps-none");
        return OK;
    }
    bool kept = clock_now(c->p->clock) - last <= RETENTION_MARGIN;
    say(c, kept, kept ? MSG("evidence.sweeps") : MSG("evidence.sweeps-broken"));
    return OK;
}

static enum err check_policy(struct check *c, const struct verify_facts *facts)
{
    str service;
    (void)facts;
    TRY(policy_check(c->tx, c->p, &service));
    json_put_str(c->values, "service", service);
    json_put_int(c->values, "count", (int64_t)c->p->inventory->n_services);
    say(c, service.n == 0, service.n ? MSG("evidence.policy-broken") : MSG("evidence.policy"));
    return OK;
}

static enum err check_keyless(struct check *c, const struct verify_facts *facts)
{
    int64_t keyless = 0;
    (void)facts;
    TRY(erasure_count_keyless(c->p, &keyless, c->fault));
    struct vault_state s;
    TRY(vault_state(c->p->vault, c->arena, &s, c->fault));
    json_put_int(c->values, "count", s.subjects);
    json_put_int(c->values, "keyless", keyless);
    say(c, keyless == 0, keyless ? MSG("evidence.keyless-broken") : MSG("evidence.keyless"));
    return OK;
}

static const struct builtin builtins[] = {
    {"declared-columns", "GEN-05 GEN-23", check_columns},
    {"sealed-values", "SEC-03", check_sealed},
    {"published-policy", "GEN-06 RET-04", check_policy},
    {"swept-in-time", "RET-06", check_sweeps},
    {"erased-in-time", "MYA-21 MYA-23", check_erasures},
    {"nobody-comes-back", "RET-07 MYA-24", check_keyless},
    {"keys-replaced", "MYA-24", check_rotation},
    {"empty-receipts", "MYA-25", check_receipts},
    {"consents-unchanged", "CNS-02", check_chains},
    {"security-logs-unchanged", "SEC-04 REC-07", check_logs},
};

/* ---- keep rules ---- */

static str rule_promise(struct arena *a, const struct keep_rule *r)
{
    return str_fmt(a, "rule:%.*s:%.*s", STR_FMT(r->record->name), STR_FMT(r->name));
}

static enum err check_rule(struct check *c, const struct keep_rule *rule)
{
    struct rule_state s;
    TRY(retention_state(c->p, rule, &s, c->arena, c->fault));
    moment now = clock_now(c->p->clock);
    /* A chosen moment passes, then the next sweep comes: it has a margin after, not before. */
    moment limit = rule->kind == KEEP_AT ? s.due + RETENTION_MARGIN : s.due;
    bool kept = !s.any || now <= limit;
    json_put_moment(c->values, "oldest", c->arena, s.oldest);
    json_put_moment(c->values, "due", c->arena, s.due);
    say(c, kept,
        !kept                     ? MSG("evidence.rule-broken")
        : !s.any                  ? MSG("evidence.rule-none")
        : rule->kind == KEEP_AT   ? MSG("evidence.rule-at")
                                  : MSG("evidence.rule"));
    return OK;
}

/* ---- running and keeping ---- */

struct kept_verdict {
    const struct privacy *p;
    str promise, evidence;
    enum verdict verdict;
};

static enum err keep_verdict(struct tx *tx, void *arg)
{
    const struct kept_verdict *k = arg;
    moment now = clock_now(k->p->clock);
    str verdict = str_from(verdict_name(k->verdict));
    struct query *q = SQL(tx, "SELECT verdict, since FROM promise_check WHERE promise = $1");
    bind_text(q, k->promise);
    bool same = query_row(q) && str_eq(row_text(q, 0), verdict);
    moment since = same ? row_time(q, 1) : now;
    TRY(query_end(q));
    q = SQL(tx, "INSERT INTO promise_check (promise, checked, verdict, evidence, since) "
                "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (promise) DO UPDATE SET "
                "checked = excluded.checked, verdict = excluded.verdict, "
                "evidence = excluded.evidence, since = excluded.since");
    bind_text(q, k->promise);
    bind_time(q, now);
    bind_text(q, verdict);
    bind_text(q, k->evidence);
    bind_time(q, since);
    return query_run(q);
}

struct run {
    const struct privacy *p;
    const struct verify_facts *facts;
    int broken;
};

/* Runs one check in an arena and a transaction of its own, and keeps what it found. A check that
 * fails to run leaves the verdict "unknown", not an error: the others go on. */
static enum err run_one(struct run *r, str promise, const struct builtin *b, check_fn *named,
                        const struct keep_rule *rule, struct fault *f)
{
    struct fault own = {0};
    struct arena *a = arena_new(CHECK_ARENA);
    CLEANUP(json_done) json_t *values = json_object(), *evidence = json_object();
    struct tx *tx = tx_begin(r->p->db, TX_READ, a, &own);
    struct check c = {.p = r->p, .tx = tx, .arena = a, .fault = &own, .app = r->facts->app,
                      .verdict = VERDICT_UNKNOWN, .evidence = MSG("evidence.unknown"), .values = values};
    enum err e = b ? b->run(&c, r->facts) : named ? named(&c) : check_rule(&c, rule);
    tx_end(&tx);
    if (e != OK) {
        c.verdict = VERDICT_UNKNOWN;
        c.evidence = MSG("evidence.unknown");
        log_fault(r->p->log, "check-failed", promise, &own);
    }
    r->broken += c.verdict == VERDICT_BROKEN;
    json_put_text(evidence, "text", c.evidence);
    json_put(evidence, "values", json_incref(values));
    struct kept_verdict k = {r->p, promise, json_encode(a, evidence, false), c.verdict};
    e = db_transact(r->p->db, a, f, keep_verdict, &k);
    arena_free(&a);
    return e;
}

static check_fn *find_check(const struct verify_facts *facts, str name)
{
    for (size_t i = 0; i < facts->n_checks; i++)
        if (str_is(name, facts->checks[i].name))
            return facts->checks[i].run;
    return NULL;
}

enum err verify_check_names(const struct inventory *v, const struct verify_facts *facts,
                            struct fault *f)
{
    for (size_t i = 0; i < v->n_promises; i++)
        if (find_check(facts, v->promises[i].check) == NULL)
            return FAIL(f, ERR_INPUT, "promise %.*s: nobody exports the check %.*s",
                        STR_FMT(v->promises[i].key), STR_FMT(v->promises[i].check));
    return OK;
}

/* What this run has not looked at is no promise any more. */
static enum err forget_unmade(struct tx *tx, void *arg)
{
    const moment *began = arg;
    struct query *q = SQL(tx, "DELETE FROM promise_check WHERE checked < $1");
    bind_time(q, *began);
    return query_run(q);
}

enum err verify_run(const struct privacy *p, const struct verify_facts *facts, int *broken,
                    struct fault *f)
{
    struct run r = {p, facts, 0};
    const struct inventory *v = p->inventory;
    struct arena *a = arena_new(1 << 20);
    enum err e = OK;
    moment began = clock_now(p->clock);
    for (size_t i = 0; i < COUNT(builtins) && e == OK; i++)
        e = run_one(&r, str_from(builtins[i].key), &builtins[i], NULL, NULL, f);
    for (size_t i = 0; i < v->n_promises && e == OK; i++)
        e = run_one(&r, v->promises[i].key, NULL, find_check(facts, v->promises[i].check), NULL, f);
    for (size_t i = 0; i < v->n_records; i++)
        for (size_t k = 0; k < v->records[i].n_rules && e == OK; k++)
            if (!v->records[i].rules[k].implied)
                e = run_one(&r, rule_promise(a, &v->records[i].rules[k]), NULL, NULL,
                            &v->records[i].rules[k], f);
    if (e == OK)
        e = db_transact(p->db, a, f, forget_unmade, &began);
    arena_free(&a);
    if (broken)
        *broken = r.broken;
    return e;
}

/* ---- showing ---- */

static str rule_text(const struct privacy *p, const struct locale *l, struct arena *a,
                     const struct keep_rule *rule)
{
    CLEANUP(json_done) json_t *values = json_object();
    json_put_str(values, "record", words_record(p, l, a, rule->record));
    json_put_str(values, "rule", words_rule(p, l, a, rule));
    return catalog_text(p->catalog, l, a, MSG("promise.rule"), values);
}

/* All promises, not yet looked up; with a locale, in its words. */
static struct promise_state *list_promises(const struct privacy *p, const struct locale *l,
                                           struct arena *a, size_t *n)
{
    const struct inventory *v = p->inventory;
    size_t max = COUNT(builtins) + v->n_promises;
    for (size_t i = 0; i < v->n_records; i++)
        max += v->records[i].n_rules;
    struct promise_state *list = ARENA_ARRAY(a, struct promise_state, max), *s = list;
    for (size_t i = 0; i < COUNT(builtins); i++)
        *s++ = (struct promise_state){.promise = str_from(builtins[i].key),
                                      .ids = str_from(builtins[i].ids)};
    for (size_t i = 0; i < v->n_promises; i++)
        *s++ = (struct promise_state){.promise = v->promises[i].key, .ids = v->promises[i].ids};
    for (struct promise_state *x = list; l != NULL && x < s; x++)
        x->text = catalog_text(p->catalog, l, a, str_fmt(a, "promise.%.*s", STR_FMT(x->promise)).p,
                               NULL);
    for (size_t i = 0; i < v->n_records; i++)
        for (size_t k = 0; k < v->records[i].n_rules; k++)
            if (!v->records[i].rules[k].implied)
                *s++ = (struct promise_state){
                    .promise = rule_promise(a, &v->records[i].rules[k]),
                    .ids = STR("RET-01 RET-04"),
                    .text = l ? rule_text(p, l, a, &v->records[i].rules[k]) : (str){NULL, 0}};
    *n = (size_t)(s - list);
    for (size_t i = 0; i < *n; i++)
        list[i].verdict = VERDICT_UNKNOWN;
    return list;
}

/* NULL where it is not declared any more. */
static struct promise_state *state_of(struct promise_state *list, size_t n, str promise)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i].promise, promise))
            return &list[i];
    return NULL;
}

enum err verify_states(struct tx *tx, const struct privacy *p, const struct locale *l,
                       struct promise_state **out, size_t *n)
{
    struct arena *a = tx_arena(tx);
    *out = list_promises(p, l, a, n);
    struct query *q = SQL(tx, "SELECT promise, checked, verdict, evidence, since FROM promise_check");
    while (query_row(q)) {
        CLEANUP(json_done) json_t *evidence = NULL;
        struct promise_state *s = state_of(*out, *n, row_text(q, 0));
        str verdict = row_text(q, 2);
        if (s == NULL)
            continue;
        s->checked = row_time(q, 1);
        s->since = row_time(q, 4);
        s->verdict = str_is(verdict, "kept")     ? VERDICT_KEPT
                     : str_is(verdict, "broken") ? VERDICT_BROKEN
                                                 : VERDICT_UNKNOWN;
        TRY(tx_fail(tx, json_decode(row_text(q, 3), &evidence, tx_fault(tx))));
        s->evidence = catalog_text(p->catalog, l, a, str_cstr(a, json_get_str(evidence, "text")),
                                   json_object_get(evidence, "values"));
    }
    return query_end(q);
}

/* How many there are, without their words: every page of the portal's front asks. */
static int64_t number_of(const struct inventory *v)
{
    int64_t n = (int64_t)(COUNT(builtins) + v->n_promises);
    for (size_t i = 0; i < v->n_records; i++)
        for (size_t k = 0; k < v->records[i].n_rules; k++)
            n += !v->records[i].rules[k].implied;
    return n;
}

enum err verify_count(struct tx *tx, const struct privacy *p, int64_t *kept, int64_t *all)
{
    struct query *q = SQL(tx, "SELECT count(*) FROM promise_check WHERE verdict = 'kept'");
    *all = number_of(p->inventory);
    /* One that is no longer made leaves with the next run. */
    *kept = query_row(q) ? MIN_OF(row_int(q, 0), *all) : 0;
    return query_end(q);
}
