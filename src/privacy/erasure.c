#include "privacy/erasure.h"

#include <string.h>

#include "privacy/enrolment.h"

enum { GROUP = 32, PAGE = 500, PAGE_ARENA = 32 << 20 };

/* ---- rows ---- */

static const struct field *file_field(const struct record *r)
{
    for (size_t i = 0; i < r->n_fields; i++)
        if (r->fields[i].file)
            return &r->fields[i];
    return NULL;
}

/* Does a subject of that kind have rows in it? */
static bool concerns(const struct record *r, str kind)
{
    return record_of_any(r) || str_eq(r->subject, kind);
}

/* DELETE … WHERE subject IN ($1, …, $32): one statement for a group. */
static str delete_sql(struct arena *a, const struct record *r)
{
    struct buf b = buf_new(a, 1024);
    buf_fmt(&b, "DELETE FROM %.*s WHERE %.*s IN (", STR_FMT(r->name),
            STR_FMT(record_subject_column(r)));
    for (int i = 1; i <= GROUP; i++)
        buf_fmt(&b, i == 1 ? "$%d" : ", $%d", i);
    buf_char(&b, ')');
    const struct field *file = file_field(r);
    if (file != NULL)
        buf_fmt(&b, " RETURNING %.*s", STR_FMT(file->name));
    return buf_str(&b);
}

struct batch {
    const struct privacy *p;
    str kind;
    const id *subjects;
    size_t n;
    int64_t records; /* of this run */
    id *files;
    size_t n_files, cap_files;
    struct arena *arena; /* of the files' names */
};

static void note_file(struct batch *b, id name)
{
    ARENA_GROW(b->arena, b->files, b->cap_files, b->n_files + 1);
    b->files[b->n_files++] = name;
}

static enum err delete_group(struct tx *tx, struct batch *b, const struct record *r, size_t from,
                             size_t n)
{
    struct query *q = tx_query(tx, delete_sql(tx_arena(tx), r));
    for (size_t i = 0; i < GROUP; i++) /* a short group repeats its last */
        bind_text(q, str_from(b->subjects[from + MIN_OF(i, n - 1)].text));
    while (query_row(q))
        if (!row_is_null(q, 0))
            note_file(b, row_id(q, 0));
    TRY(query_end(q));
    b->records += query_changes(q);
    return OK;
}

static enum err mark_done(struct tx *tx, const struct batch *b)
{
    moment now = clock_now(b->p->clock);
    for (size_t i = 0; i < b->n; i++) {
        struct query *q = SQL(tx, "UPDATE erasure SET done = $2, pending = NULL, records = $3, "
                                  "files = $4 WHERE pending = $1");
        bind_text(q, str_from(b->subjects[i].text));
        bind_time(q, now);
        bind_int(q, b->records / (int64_t)b->n);
        bind_int(q, (int64_t)b->n_files / (int64_t)b->n);
        TRY(query_run(q));
    }
    return OK;
}

static enum err delete_rows(struct tx *tx, void *arg)
{
    struct batch *b = arg;
    const struct inventory *v = b->p->inventory;
    b->records = 0;
    b->n_files = 0;
    /* The subject's own row last: the others refer to it. */
    for (size_t i = v->n_records; i-- > 0;) {
        const struct record *r = &v->records[i];
        if (!concerns(r, b->kind))
            continue;
        for (size_t from = 0; from < b->n; from += GROUP)
            TRY(delete_group(tx, b, r, from, MIN_OF(b->n - from, (size_t)GROUP)));
    }
    return mark_done(tx, b);
}

/* ---- a subject whole ---- */

/* Their own keys and those of what they are enrolled in, in one commit. */
static enum err forget_keys(const struct batch *b, struct fault *f)
{
    struct arena *a = b->arena;
    id *keys = ARENA_ARRAY(a, id, b->n);
    size_t n = b->n;
    memcpy(keys, b->subjects, b->n * sizeof *keys);
    struct tx *tx = tx_begin(b->p->db, TX_READ, a, f);
    enum err e = enrolment_keys(tx, b->p, b->kind, b->subjects, b->n, &keys, &n);
    tx_end(&tx);
    TRY(e);
    return vault_forget_many(b->p->vault, keys, n, a, f);
}

enum err erasure_run(const struct privacy *p, str kind, const id *subjects, size_t n,
                     struct erasure_counts *counts, struct arena *a, struct fault *f)
{
    if (n == 0)
        return OK;
    struct batch b = {.p = p, .kind = kind, .subjects = subjects, .n = n, .arena = a};
    TRY(forget_keys(&b, f));
    TRY(db_transact(p->db, a, f, delete_rows, &b));
    for (size_t i = 0; i < b.n_files; i++)
        TRY(files_remove(p->files, b.files[i], f));
    counts->subjects += (int64_t)n;
    counts->records += b.records;
    counts->files += (int64_t)b.n_files;
    return OK;
}

enum err erasure_of_purpose(struct tx *tx, const struct privacy *p, id subject, str purpose)
{
    for (size_t i = 0; i < p->inventory->n_records; i++) {
        const struct record *r = &p->inventory->records[i];
        if (!record_has_subject(r) || record_is_subject(r) || !str_eq(r->purpose->name, purpose))
            continue;
        struct query *q =
            tx_query(tx, str_fmt(tx_arena(tx), "DELETE FROM %.*s WHERE %.*s = $1",
                                 STR_FMT(r->name), STR_FMT(record_subject_column(r))));
        bind_id(q, subject);
        TRY(query_run(q));
    }
    return OK;
}

/* ---- receipts ---- */

enum err erasure_announce(struct tx *tx, const struct privacy *p, id subject, const char *cause,
                          moment due, id *number)
{
    *number = id_new();
    struct query *q =
        SQL(tx, "INSERT INTO erasure (id, cause, pending, asked, due, done, records, files) "
                "VALUES ($1, $2, $3, $4, $5, NULL, 0, 0)");
    bind_id(q, *number);
    bind_text(q, str_from(cause));
    bind_id(q, subject);
    bind_time(q, clock_now(p->clock));
    bind_time(q, due);
    return query_run(q);
}

enum err erasure_cancel(struct tx *tx, id subject)
{
    struct query *q = SQL(tx, "DELETE FROM erasure WHERE pending = $1");
    bind_id(q, subject);
    return query_run(q);
}

enum err erasure_receipt(struct tx *tx, id number, struct receipt *out)
{
    struct query *q =
        SQL(tx, "SELECT cause, asked, due, done, records, files FROM erasure WHERE id = $1");
    bind_id(q, number);
    bool found = query_row(q);
    if (found)
        *out = (struct receipt){number,        row_text(q, 0), row_time(q, 1), row_time(q, 2),
                                row_time(q, 3), row_int(q, 4),  row_int(q, 5)};
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

/* ---- joining data and keyring ---- */

/* One page of the subjects that the data has, in the order of their IDs. */
static enum err data_page(const struct privacy *p, str kind, id after, struct arena *a, id **out,
                          size_t *n, struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, a, f);
    struct query *q = tx_query(
        tx, str_fmt(a, "SELECT id FROM %.*s WHERE id > $1 ORDER BY id LIMIT $2", STR_FMT(kind)));
    bind_text(q, str_from(after.text));
    bind_int(q, PAGE);
    *out = ARENA_ARRAY(a, id, PAGE);
    *n = 0;
    while (query_row(q))
        (*out)[(*n)++] = row_id(q, 0);
    return query_end(q);
}

/* Subjects whose key is gone: dropped, or only counted. */
static enum err drop_keyless(const struct privacy *p, str kind, bool drop,
                             struct erasure_counts *counts, struct fault *f)
{
    id after = {{0}};
    for (size_t n = 1; n > 0;) {
        struct arena *a = arena_new(PAGE_ARENA);
        id *page, gone[PAGE];
        bool missing[PAGE];
        size_t count = 0;
        enum err e = data_page(p, kind, after, a, &page, &n, f);
        if (e == OK)
            e = vault_missing(p->vault, page, n, missing, a, f);
        for (size_t i = 0; e == OK && i < n; i++)
            if (missing[i])
                gone[count++] = page[i];
        if (e == OK && count > 0 && drop)
            e = erasure_run(p, kind, gone, count, counts, a, f);
        else
            counts->subjects += (int64_t)count;
        if (e == OK && n > 0)
            after = page[n - 1];
        arena_free(&a);
        TRY(e);
    }
    return OK;
}

/* Of these subjects, which have no row? */
static enum err without_rows(const struct privacy *p, str kind, const id *subjects, size_t n,
                             id *out, size_t *count, struct arena *a, struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, a, f);
    struct query *q =
        tx_query(tx, str_fmt(a, "SELECT id FROM %.*s WHERE id >= $1 AND id <= $2 ORDER BY id",
                             STR_FMT(kind)));
    bind_text(q, str_from(subjects[0].text));
    bind_text(q, str_from(subjects[n - 1].text));
    size_t i = 0;
    *count = 0;
    while (query_row(q)) {
        id there = row_id(q, 0);
        for (; i < n && strcmp(subjects[i].text, there.text) < 0; i++)
            out[(*count)++] = subjects[i];
        if (i < n && id_eq(subjects[i], there))
            i++;
    }
    for (; i < n; i++)
        out[(*count)++] = subjects[i];
    return query_end(q);
}

/* A key is made before its subject's first row; one that is an hour old and has none was cut off. */
static enum err drop_rowless(const struct privacy *p, str kind, struct erasure_counts *counts,
                             struct fault *f)
{
    id after = {{0}};
    moment before = clock_now(p->clock) - MOMENT_HOUR;
    for (size_t n = 1; n > 0;) {
        struct arena *a = arena_new(PAGE_ARENA);
        id *page, gone[PAGE];
        size_t count = 0;
        enum err e = vault_list_subjects(p->vault, str_cstr(a, kind), after, before, PAGE, a, &page, &n, f);
        if (e == OK && n > 0)
            e = without_rows(p, kind, page, n, gone, &count, a, f);
        if (e == OK && count > 0)
            e = erasure_run(p, kind, gone, count, counts, a, f);
        if (e == OK && n > 0)
            after = page[n - 1];
        arena_free(&a);
        TRY(e);
    }
    return OK;
}

enum err erasure_reconcile(const struct privacy *p, struct erasure_counts *counts, struct fault *f)
{
    for (size_t i = 0; i < p->inventory->n_records; i++) {
        const struct record *r = &p->inventory->records[i];
        if (!record_is_subject(r))
            continue;
        TRY(drop_keyless(p, r->name, true, counts, f));
        TRY(drop_rowless(p, r->name, counts, f));
    }
    return enrolment_reconcile(p, true, &counts->enrolments, f);
}

enum err erasure_count_keyless(const struct privacy *p, int64_t *count, struct fault *f)
{
    struct erasure_counts counts = {0};
    for (size_t i = 0; i < p->inventory->n_records; i++)
        if (record_is_subject(&p->inventory->records[i]))
            TRY(drop_keyless(p, p->inventory->records[i].name, false, &counts, f));
    TRY(enrolment_reconcile(p, false, &counts.enrolments, f));
    *count = counts.subjects + counts.enrolments;
    return OK;
}

/* ---- files ---- */

struct collector {
    const struct privacy *p;
    int64_t removed;
    struct fault *fault;
};

static enum err is_named(struct tx *tx, const struct inventory *v, id name, bool *named)
{
    *named = false;
    for (size_t i = 0; i < v->n_records && !*named; i++) {
        const struct field *file = file_field(&v->records[i]);
        if (file == NULL)
            continue;
        struct query *q =
            tx_query(tx, str_fmt(tx_arena(tx), "SELECT 1 FROM %.*s WHERE %.*s = $1 LIMIT 1",
                                 STR_FMT(v->records[i].name), STR_FMT(file->name)));
        bind_id(q, name);
        *named = query_row(q);
        TRY(query_end(q));
    }
    return OK;
}

static enum err collect(id name, void *arg)
{
    struct collector *c = arg;
    struct arena *a = arena_new(1 << 20);
    struct tx *tx = tx_begin(c->p->db, TX_READ, a, c->fault);
    bool named = true;
    enum err e = is_named(tx, c->p->inventory, name, &named);
    tx_end(&tx);
    if (e == OK && !named) {
        e = files_remove(c->p->files, name, c->fault);
        c->removed++;
    }
    arena_free(&a);
    return e;
}

enum err erasure_collect_files(const struct privacy *p, int64_t *removed, struct fault *f)
{
    struct collector c = {.p = p, .fault = f};
    TRY(files_walk(p->files, collect, &c, clock_now(p->clock) - MOMENT_DAY, f));
    *removed += c.removed;
    return OK;
}
