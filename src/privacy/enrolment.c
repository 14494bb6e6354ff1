#include "privacy/enrolment.h"

#include "privacy/consent.h"
#include "privacy/retention.h"

/* ---- reading ---- */

static bool has(const struct service_account *s, const char *field)
{
    return record_field(s->record, str_from(field)) != NULL;
}

/* The first of the rules that run: by when nothing is left. */
static enum err set_gone(struct tx *tx, const struct privacy *p, id subject,
                         const struct service_account *s, struct enrolment *e)
{
    const struct record *r = s->record;
    e->gone = 0;
    for (size_t i = 0; i < r->n_rules; i++) {
        struct query *q = tx_query(tx, str_fmt(tx_arena(tx), "SELECT %.*s FROM %.*s WHERE %.*s = $1",
                                               STR_FMT(r->rules[i].field), STR_FMT(r->name), STR_FMT(r->subject)));
        bind_id(q, subject);
        moment anchor = query_row(q) && !row_is_null(q, 0) ? row_time(q, 0) : 0;
        TRY(query_end(q));
        if (anchor == 0)
            continue;
        moment due = retention_due(p, &r->rules[i], anchor);
        e->gone = e->gone ? MIN_OF(e->gone, due) : due;
    }
    return OK;
}

enum err enrolment_get(struct tx *tx, const struct privacy *p, id subject,
                       const struct service_account *s, struct enrolment *out)
{
    const struct record *r = s->record;
    bool terms = s->terms > 0;
    *out = (struct enrolment){.state = ENROLMENT_NONE};
    struct query *q = tx_query(
        tx, str_fmt(tx_arena(tx), "SELECT id, joined, left_at%s%s%s FROM %.*s WHERE %.*s = $1",
                    terms ? ", terms_version, terms_language, terms_accepted" : "", has(s, "role") ? ", role" : "",
                    has(s, "served_by") ? ", served_by" : "", STR_FMT(r->name), STR_FMT(r->subject)));
    bind_id(q, subject);
    if (query_row(q)) {
        int column = terms ? 6 : 3;
        out->id = row_id(q, 0);
        out->joined = row_time(q, 1);
        out->left = row_time(q, 2);
        out->state = row_is_null(q, 2) ? ENROLMENT_ACTIVE : ENROLMENT_LEFT;
        if (terms) {
            out->terms = row_int(q, 3);
            out->terms_language = row_text(q, 4);
            out->accepted = row_time(q, 5);
        }
        if (has(s, "role"))
            out->role = row_text(q, column++);
        if (has(s, "served_by"))
            out->served_by = row_text(q, column);
    }
    TRY(query_end(q));
    out->terms_current = out->terms == s->terms;
    return out->state == ENROLMENT_NONE ? OK : set_gone(tx, p, subject, s, out);
}

enum err enrolment_answers(struct tx *tx, const struct privacy *p, id subject, const struct service_account *s,
                           const struct enrolment *e, str *answers)
{
    struct arena *a = tx_arena(tx);
    const struct record *r = s->record;
    CLEANUP(key_wipe) struct key k;
    TRY(vault_subject_key(p->vault, e->id, &k, a, tx_fault(tx)));
    for (size_t i = 0; i < s->n_form; i++) {
        const struct field *f = s->form[i].field;
        struct query *q = tx_query(tx, str_fmt(a, "SELECT %.*s FROM %.*s WHERE %.*s = $1 AND id = $2",
                                               STR_FMT(f->name), STR_FMT(r->name), STR_FMT(r->subject)));
        bind_id(q, subject);
        bind_id(q, e->id);
        bool there = query_row(q) && !row_is_null(q, 0);
        str stored = !there ? (str){NULL, 0} : f->type == COLUMN_SEALED ? row_blob(q, 0) : row_text(q, 0);
        TRY(query_end(q));
        answers[i] = stored;
        if (there && f->type == COLUMN_SEALED)
            TRY(privacy_unseal(a, &k, str_cstr(a, r->name), str_cstr(a, f->name), e->id, stored, &answers[i],
                               tx_fault(tx)));
    }
    return OK;
}

enum err enrolment_active(struct tx *tx, const struct privacy *p, id subject, str service, bool *yes)
{
    const struct service_account *s = inventory_account(p->inventory, service);
    *yes = s == NULL;
    if (s == NULL)
        return OK;
    struct query *q = tx_query(tx, str_fmt(tx_arena(tx), "SELECT 1 FROM %.*s WHERE %.*s = $1 AND left_at IS NULL",
                                           STR_FMT(s->record->name), STR_FMT(s->record->subject)));
    bind_id(q, subject);
    *yes = query_row(q);
    return query_end(q);
}

/* ---- joining ---- */

struct joining {
    moment now;
    struct key key; /* the enrolment's own */
    const struct service_account *s;
    const str *answers;
    str language;
    str served_by;
    id row;
};

static void joining_wipe(struct joining *j)
{
    key_wipe(&j->key);
}

static const str *answer_of(const struct joining *j, const struct field *f)
{
    for (size_t i = 0; i < j->s->n_form; i++)
        if (j->s->form[i].field == f)
            return &j->answers[i];
    return NULL;
}

static void bind_answer(struct query *q, struct arena *a, const struct joining *j, const struct field *f, str answer)
{
    if (f->null && answer.n == 0)
        bind_null(q);
    else if (f->type == COLUMN_SEALED)
        bind_blob(q, privacy_seal(a, &j->key, str_cstr(a, j->s->record->name), str_cstr(a, f->name), j->row, answer));
    else
        bind_text(q, answer);
}

/* The value with which a field begins. */
static void bind_first(struct query *q, struct arena *a, const struct joining *j, const struct field *f)
{
    const str *answer = answer_of(j, f);
    if (answer != NULL)
        bind_answer(q, a, j, f, *answer);
    else if (!f->shared || str_is(f->name, "left_at"))
        bind_null(q);
    else if (str_is(f->name, "terms_version"))
        bind_int(q, j->s->terms);
    else if (str_is(f->name, "terms_language"))
        bind_text(q, j->language);
    else if (str_is(f->name, "role"))
        bind_text(q, j->s->roles[0]);
    else if (!str_is(f->name, "served_by"))
        bind_time(q, j->now); /* joined, terms_accepted */
    else if (j->served_by.n > 0)
        bind_text(q, j->served_by);
    else
        bind_null(q);
}

static enum err insert_row(struct tx *tx, id subject, const struct joining *j)
{
    struct arena *a = tx_arena(tx);
    const struct record *r = j->s->record;
    struct buf names = buf_new(a, 4096), values = buf_new(a, 1024);
    for (size_t i = 0; i < r->n_fields; i++) {
        buf_fmt(&names, ", %.*s", STR_FMT(r->fields[i].name));
        buf_fmt(&values, ", $%zu", i + 3);
    }
    struct query *q = tx_query(tx, str_fmt(a, "INSERT INTO %.*s (%.*s, id%.*s) VALUES ($1, $2%.*s) ON CONFLICT (%.*s) DO NOTHING",
                                           STR_FMT(r->name), STR_FMT(r->subject), STR_FMT(buf_str(&names)),
                                           STR_FMT(buf_str(&values)), STR_FMT(r->subject)));
    bind_id(q, subject);
    bind_id(q, j->row);
    for (size_t i = 0; i < r->n_fields; i++)
        bind_first(q, a, j, &r->fields[i]);
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_CONFLICT;
}

/* Which fields an update sets. */
typedef bool chosen_fn(const struct joining *j, const struct field *f);

static bool is_asked(const struct joining *j, const struct field *f)
{
    return answer_of(j, f) != NULL;
}

/* Coming back: what the program noted itself stays. */
static bool is_renewed(const struct joining *j, const struct field *f)
{
    return is_asked(j, f) || f->shared;
}

static bool is_terms(const struct joining *j, const struct field *f)
{
    (void)j;
    return f->shared && str_starts(f->name, STR("terms_"));
}

static enum err update_row(struct tx *tx, id subject, const struct joining *j, chosen_fn *chosen)
{
    struct arena *a = tx_arena(tx);
    const struct record *r = j->s->record;
    struct buf sets = buf_new(a, 4096);
    int n = 2;
    for (size_t i = 0; i < r->n_fields; i++)
        if (chosen(j, &r->fields[i]))
            n++, buf_fmt(&sets, n > 3 ? ", %.*s = $%d" : "%.*s = $%d", STR_FMT(r->fields[i].name), n);
    if (n == 2)
        return OK; /* nothing is asked */
    struct query *q = tx_query(tx, str_fmt(a, "UPDATE %.*s SET %.*s WHERE %.*s = $1 AND id = $2", STR_FMT(r->name),
                                           STR_FMT(buf_str(&sets)), STR_FMT(r->subject)));
    bind_id(q, subject);
    bind_id(q, j->row);
    for (size_t i = 0; i < r->n_fields; i++)
        if (chosen(j, &r->fields[i]))
            bind_first(q, a, j, &r->fields[i]);
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_NOT_FOUND;
}

/* A new enrolment's key is there before its row. */
static enum err make_key(struct tx *tx, const struct privacy *p, struct joining *j)
{
    struct arena *a = tx_arena(tx);
    j->row = id_new();
    TRY(vault_add_subject(p->vault, j->row, str_cstr(a, j->s->record->name), a, tx_fault(tx)));
    return vault_subject_key(p->vault, j->row, &j->key, a, tx_fault(tx));
}

enum err enrolment_join(struct tx *tx, const struct privacy *p, id subject, const struct service_account *s,
                        const str *answers, const char *language)
{
    struct enrolment e;
    CLEANUP(joining_wipe) struct joining j = {.now = clock_now(p->clock), .s = s, .answers = answers, .language = str_from(language)};
    bool there;
    TRY(enrolment_get(tx, p, subject, s, &e));
    if (e.state == ENROLMENT_ACTIVE)
        return ERR_CONFLICT;
    if (s->needs.n > 0) {
        TRY(enrolment_active(tx, p, subject, s->needs, &there));
        if (!there)
            return ERR_DENIED;
    }
    if (s->served_by.n > 0) {
        TRY(enrolment_active(tx, p, subject, s->served_by, &there));
        j.served_by = there ? s->served_by : (str){NULL, 0};
    }
    if (e.state != ENROLMENT_LEFT) {
        TRY(make_key(tx, p, &j));
        return insert_row(tx, subject, &j);
    }
    j.row = e.id;
    TRY(vault_subject_key(p->vault, e.id, &j.key, tx_arena(tx), tx_fault(tx)));
    return update_row(tx, subject, &j, is_renewed);
}

static enum err active(struct tx *tx, const struct privacy *p, id subject, const struct service_account *s,
                       struct enrolment *e)
{
    TRY(enrolment_get(tx, p, subject, s, e));
    return e->state == ENROLMENT_ACTIVE ? OK : ERR_NOT_FOUND;
}

enum err enrolment_correct(struct tx *tx, const struct privacy *p, id subject, const struct service_account *s,
                           const str *answers)
{
    struct enrolment e;
    TRY(active(tx, p, subject, s, &e));
    CLEANUP(joining_wipe) struct joining j = {.now = clock_now(p->clock), .s = s, .answers = answers, .row = e.id};
    TRY(vault_subject_key(p->vault, e.id, &j.key, tx_arena(tx), tx_fault(tx)));
    return update_row(tx, subject, &j, is_asked);
}

enum err enrolment_accept(struct tx *tx, const struct privacy *p, id subject, const struct service_account *s,
                          const char *language)
{
    struct enrolment e;
    TRY(active(tx, p, subject, s, &e));
    struct joining j = {.now = clock_now(p->clock), .s = s, .language = str_from(language), .row = e.id};
    return update_row(tx, subject, &j, is_terms);
}

/* ---- leaving ---- */

static enum err withdraw(struct tx *tx, const struct privacy *p, id subject, str service, const char *language,
                         const char *way)
{
    for (size_t i = 0; i < p->inventory->n_purposes; i++) {
        const struct purpose *purpose = &p->inventory->purposes[i];
        if (purpose->basis == BASIS_CONSENT && str_eq(purpose->service, service))
            TRY(consent_record(tx, p, subject, purpose, false, language, way));
    }
    return OK;
}

static enum err mark_left(struct tx *tx, id subject, const struct service_account *s, moment at)
{
    struct query *q = tx_query(tx, str_fmt(tx_arena(tx), "UPDATE %.*s SET left_at = $2%s WHERE %.*s = $1 AND left_at IS NULL",
                                           STR_FMT(s->record->name), has(s, "role") ? ", role = NULL" : "",
                                           STR_FMT(s->record->subject)));
    bind_id(q, subject);
    bind_time(q, at);
    return query_run(q);
}

/* Another's account served here: from now on it is one of its own. */
static enum err stand_alone(struct tx *tx, id subject, const struct service_account *s)
{
    struct query *q = tx_query(tx, str_fmt(tx_arena(tx), "UPDATE %.*s SET served_by = NULL WHERE %.*s = $1",
                                           STR_FMT(s->record->name), STR_FMT(s->record->subject)));
    bind_id(q, subject);
    return query_run(q);
}

/* What an account's end means for those that lean on it. */
static enum err let_go(struct tx *tx, const struct privacy *p, id subject, const struct service_account *s,
                       const char *language)
{
    for (size_t i = 0; i < p->inventory->n_accounts; i++) {
        const struct service_account *other = &p->inventory->accounts[i];
        if (str_eq(other->served_by, s->service))
            TRY(stand_alone(tx, subject, other));
        if (!str_eq(other->needs, s->service))
            continue;
        enum err e = enrolment_leave(tx, p, subject, other, language);
        if (e != OK && e != ERR_NOT_FOUND)
            return e;
    }
    return OK;
}

enum err enrolment_leave(struct tx *tx, const struct privacy *p, id subject, const struct service_account *s,
                         const char *language)
{
    struct enrolment e;
    TRY(active(tx, p, subject, s, &e));
    TRY(let_go(tx, p, subject, s, language));
    TRY(withdraw(tx, p, subject, s->service, language, CONSENT_WAY_CLOSED));
    TRY(mark_left(tx, subject, s, clock_now(p->clock)));
    struct enrolment_ended ended = {0};
    return s->erase_at_leaving ? enrolment_end(tx, p, subject, s, &ended) : OK;
}

enum err enrolment_close_all(struct tx *tx, const struct privacy *p, id subject, moment at, const char *language)
{
    for (size_t i = 0; i < p->inventory->n_accounts; i++) {
        TRY(withdraw(tx, p, subject, p->inventory->accounts[i].service, language, CONSENT_WAY_CLOSED));
        TRY(mark_left(tx, subject, &p->inventory->accounts[i], at));
    }
    return OK;
}

enum err enrolment_reopen_all(struct tx *tx, const struct privacy *p, id subject, moment at)
{
    for (size_t i = 0; i < p->inventory->n_accounts; i++) {
        const struct service_account *s = &p->inventory->accounts[i];
        struct query *q = tx_query(tx, str_fmt(tx_arena(tx), "UPDATE %.*s SET left_at = NULL%s WHERE %.*s = $1 AND left_at = $2",
                                               STR_FMT(s->record->name), has(s, "role") ? ", role = $3" : "",
                                               STR_FMT(s->record->subject)));
        bind_id(q, subject);
        bind_time(q, at);
        if (has(s, "role"))
            bind_text(q, s->roles[0]);
        TRY(query_run(q));
    }
    return OK;
}

/* ---- the end ---- */

static const struct field *file_of(const struct record *r)
{
    for (size_t i = 0; i < r->n_fields; i++)
        if (r->fields[i].file)
            return &r->fields[i];
    return NULL;
}

static enum err delete_rows(struct tx *tx, const struct record *r, id subject, struct enrolment_ended *out)
{
    struct arena *a = tx_arena(tx);
    const struct field *file = file_of(r);
    struct query *q = tx_query(tx, str_fmt(a, "DELETE FROM %.*s WHERE %.*s = $1%s%.*s", STR_FMT(r->name),
                                           STR_FMT(r->subject), file ? " RETURNING " : "",
                                           STR_FMT(file ? file->name : STR(""))));
    bind_id(q, subject);
    while (query_row(q)) {
        if (row_is_null(q, 0))
            continue;
        ARENA_GROW(a, out->files, out->cap_files, out->n_files + 1);
        out->files[out->n_files++] = row_id(q, 0);
    }
    TRY(query_end(q));
    out->records += query_changes(q);
    return OK;
}

enum err enrolment_end(struct tx *tx, const struct privacy *p, id subject, const struct service_account *s,
                       struct enrolment_ended *out)
{
    const struct inventory *v = p->inventory;
    struct enrolment e;
    TRY(enrolment_get(tx, p, subject, s, &e));
    const char *language = e.terms_language.n ? str_cstr(tx_arena(tx), e.terms_language) : catalog_language(p->catalog, 0);
    if (e.state != ENROLMENT_NONE) /* the key first: whatever becomes of the rest, it is done again without one */
        TRY(vault_forget(p->vault, e.id, tx_arena(tx), tx_fault(tx)));
    if (e.state == ENROLMENT_ACTIVE) { /* a term of another kind has ended */
        TRY(let_go(tx, p, subject, s, language));
        TRY(withdraw(tx, p, subject, s->service, language, CONSENT_WAY_ENDED));
    }
    for (size_t i = v->n_records; i-- > 0;) {
        const struct record *r = &v->records[i];
        if (str_eq(r->service, s->service) && str_eq(r->subject, s->record->subject) && !record_is_subject(r))
            TRY(delete_rows(tx, r, subject, out));
    }
    return OK;
}

/* ---- keys ---- */

enum { GROUP = 32, PAGE = 500, PAGE_ARENA = 32 << 20 };

enum err enrolment_keys(struct tx *tx, const struct privacy *p, str kind, const id *subjects, size_t n, id **out,
                        size_t *count)
{
    struct arena *a = tx_arena(tx);
    size_t cap = *count;
    for (size_t i = 0; i < p->inventory->n_accounts; i++) {
        const struct record *r = p->inventory->accounts[i].record;
        for (size_t from = 0; str_eq(r->subject, kind) && from < n; from += GROUP) {
            struct buf sql = buf_new(a, 1024);
            buf_fmt(&sql, "SELECT id FROM %.*s WHERE %.*s IN (", STR_FMT(r->name), STR_FMT(r->subject));
            for (int k = 1; k <= GROUP; k++)
                buf_fmt(&sql, k == 1 ? "$%d" : ", $%d", k);
            buf_char(&sql, ')');
            struct query *q = tx_query(tx, buf_str(&sql));
            for (size_t k = 0; k < GROUP; k++) /* a short group repeats its last */
                bind_id(q, subjects[from + MIN_OF(k, n - from - 1)]);
            while (query_row(q)) {
                ARENA_GROW(a, *out, cap, *count + 1);
                (*out)[(*count)++] = row_id(q, 0);
            }
            TRY(query_end(q));
        }
    }
    return OK;
}

struct page {
    id subjects[PAGE], rows[PAGE];
    size_t n;
};

/* Enrolments in the order of their IDs, after one of them. */
static enum err read_page(const struct privacy *p, const struct record *r, id after, struct page *out, struct arena *a,
                          struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, a, f);
    struct query *q = tx_query(tx, str_fmt(a, "SELECT %.*s, id FROM %.*s WHERE id > $1 ORDER BY id LIMIT $2", STR_FMT(r->subject),
                                           STR_FMT(r->name)));
    bind_text(q, str_from(after.text));
    bind_int(q, PAGE);
    out->n = 0;
    while (query_row(q)) {
        out->subjects[out->n] = row_id(q, 0);
        out->rows[out->n++] = row_id(q, 1);
    }
    return query_end(q);
}

struct ending {
    const struct privacy *p;
    const struct service_account *s;
    const id *subjects;
    size_t n;
    struct enrolment_ended ended;
};

static enum err end_all(struct tx *tx, void *arg)
{
    struct ending *e = arg;
    e->ended = (struct enrolment_ended){0};
    for (size_t i = 0; i < e->n; i++)
        TRY(enrolment_end(tx, e->p, e->subjects[i], e->s, &e->ended));
    return OK;
}

static enum err end_keyless(const struct privacy *p, const struct service_account *s, bool end, const struct page *page,
                            int64_t *count, struct arena *a, struct fault *f)
{
    bool missing[PAGE];
    id gone[PAGE];
    struct ending e = {.p = p, .s = s, .subjects = gone};
    TRY(vault_missing(p->vault, page->rows, page->n, missing, a, f));
    for (size_t i = 0; i < page->n; i++)
        if (missing[i])
            gone[e.n++] = page->subjects[i];
    *count += (int64_t)e.n;
    if (e.n == 0 || !end)
        return OK;
    TRY(db_transact(p->db, a, f, end_all, &e));
    for (size_t i = 0; i < e.ended.n_files; i++)
        TRY(files_remove(p->files, e.ended.files[i], f));
    return OK;
}

static enum err walk_enrolments(const struct privacy *p, const struct service_account *s, bool end, int64_t *count,
                                struct fault *f)
{
    id after = {{0}};
    for (size_t n = 1; n > 0;) {
        struct arena *a = arena_new(PAGE_ARENA);
        struct page *page = ARENA_NEW(a, struct page);
        enum err e = read_page(p, s->record, after, page, a, f);
        n = page->n;
        if (e == OK && n > 0)
            e = end_keyless(p, s, end, page, count, a, f);
        if (e == OK && n > 0)
            after = page->rows[n - 1];
        arena_free(&a);
        TRY(e);
    }
    return OK;
}

/* Of these keys, those that no enrolment has. */
static enum err without_row(const struct privacy *p, const struct record *r, const id *keys, size_t n, id *out, size_t *count,
                            struct arena *a, struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, a, f);
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        struct query *q = tx_query(tx, str_fmt(a, "SELECT 1 FROM %.*s WHERE id = $1", STR_FMT(r->name)));
        bind_id(q, keys[i]);
        bool there = query_row(q);
        TRY(query_end(q));
        if (!there)
            out[(*count)++] = keys[i];
    }
    return OK;
}

static enum err forget_rowless(const struct privacy *p, const struct service_account *s, struct fault *f)
{
    id after = {{0}};
    moment before = clock_now(p->clock) - MOMENT_HOUR;
    for (size_t n = 1; n > 0;) {
        struct arena *a = arena_new(PAGE_ARENA);
        id *keys, gone[PAGE];
        size_t count = 0;
        enum err e = vault_list_subjects(p->vault, str_cstr(a, s->record->name), after, before, PAGE, a, &keys, &n, f);
        if (e == OK && n > 0)
            e = without_row(p, s->record, keys, n, gone, &count, a, f);
        if (e == OK && count > 0)
            e = vault_forget_many(p->vault, gone, count, a, f);
        if (e == OK && n > 0)
            after = keys[n - 1];
        arena_free(&a);
        TRY(e);
    }
    return OK;
}

enum err enrolment_reconcile(const struct privacy *p, bool end, int64_t *ended, struct fault *f)
{
    for (size_t i = 0; i < p->inventory->n_accounts; i++) {
        TRY(walk_enrolments(p, &p->inventory->accounts[i], end, ended, f));
        if (end)
            TRY(forget_rowless(p, &p->inventory->accounts[i], f));
    }
    return OK;
}

/* ---- the proof ---- */

static enum err add_count(struct query *q, int64_t *sum)
{
    *sum += query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

/* Rows of the service that no enrolment holds. */
static enum err count_orphans(struct tx *tx, const struct inventory *v, const struct service_account *s, int64_t *sum)
{
    const struct record *own = s->record;
    for (size_t i = 0; i < v->n_records; i++) {
        const struct record *r = &v->records[i];
        if (r == own || record_is_subject(r) || !str_eq(r->service, s->service) || !str_eq(r->subject, own->subject))
            continue;
        TRY(add_count(tx_query(tx, str_fmt(tx_arena(tx), "SELECT count(*) FROM %.*s r LEFT JOIN %.*s e ON e.%.*s = r.%.*s "
                                                         "WHERE e.%.*s IS NULL",
                                           STR_FMT(r->name), STR_FMT(own->name), STR_FMT(own->subject),
                                           STR_FMT(own->subject), STR_FMT(own->subject))),
                      sum));
    }
    return OK;
}

static enum err count_consents(struct tx *tx, const struct inventory *v, const struct service_account *s, int64_t *sum)
{
    const struct record *r = s->record;
    for (size_t i = 0; i < v->n_purposes; i++) {
        const struct purpose *purpose = &v->purposes[i];
        if (purpose->basis != BASIS_CONSENT || !str_eq(purpose->service, s->service))
            continue;
        struct query *q = tx_query(
            tx, str_fmt(tx_arena(tx), "SELECT count(*) FROM consent c LEFT JOIN consent later ON later.subject = c.subject "
                                      "AND later.purpose = c.purpose AND later.seq > c.seq "
                                      "LEFT JOIN %.*s e ON e.%.*s = c.subject AND e.left_at IS NULL "
                                      "WHERE c.purpose = $1 AND c.granted = 1 AND later.subject IS NULL AND e.%.*s IS NULL",
                        STR_FMT(r->name), STR_FMT(r->subject), STR_FMT(r->subject)));
        bind_text(q, purpose->name);
        TRY(add_count(q, sum));
    }
    return OK;
}

static enum err count_unread(struct tx *tx, const struct service_account *s, int64_t *sum)
{
    struct query *q = tx_query(
        tx, str_fmt(tx_arena(tx), "SELECT count(*) FROM %.*s r LEFT JOIN terms_text t ON t.service = $1 AND "
                                  "t.version = r.terms_version AND t.language = r.terms_language WHERE t.service IS NULL",
                    STR_FMT(s->record->name)));
    bind_text(q, s->service);
    return add_count(q, sum);
}

enum err enrolment_count(struct tx *tx, const struct privacy *p, const struct service_account *s,
                         struct enrolment_counts *out)
{
    struct arena *a = tx_arena(tx);
    str table = s->record->name;
    struct enrolment_counts n = {0};
    TRY(add_count(tx_query(tx, str_fmt(a, "SELECT count(*) FROM %.*s WHERE left_at IS NULL", STR_FMT(table))), &n.enrolled));
    TRY(add_count(tx_query(tx, str_fmt(a, "SELECT count(*) FROM %.*s WHERE left_at IS NOT NULL", STR_FMT(table))), &n.left));
    if (has(s, "role"))
        TRY(add_count(tx_query(tx, str_fmt(a, "SELECT count(*) FROM %.*s WHERE left_at IS NOT NULL AND role IS NOT NULL",
                                           STR_FMT(table))),
                      &n.roles));
    TRY(count_orphans(tx, p->inventory, s, &n.orphans));
    TRY(count_consents(tx, p->inventory, s, &n.consents));
    if (s->terms > 0)
        TRY(count_unread(tx, s, &n.unread));
    *out = n;
    return OK;
}
