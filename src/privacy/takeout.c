#include "privacy/takeout.h"

#include <string.h>

#include <zip.h>

#include "base/codec.h"
#include "privacy/reading.h"
#include "privacy/words.h"
#include "vault/sealed_file.h"

#define FORMAT "troth-takeout/1"

enum { PAGE_BYTES = 64 << 20, LIST_MAX = 100 };

/* Whose, and what of it. */
struct selection {
    str kind;
    id subject;
    const char *scope;
    unsigned roles;  /* TAKEOUT_STAFF: whose reading it is … */
    bool restricted; /* … and does the subject restrict the use? */
    bool shown;      /* for a page: not without end */
};

static bool in_scope(const struct record *r, const struct selection *s)
{
    if (!record_of_any(r) && !str_eq(r->subject, s->kind))
        return false;
    if (strcmp(s->scope, TAKEOUT_STAFF) == 0)
        return reading_may(r, s->roles, s->restricted);
    if (strcmp(s->scope, TAKEOUT_ALL) == 0)
        return true;
    return r->purpose->basis == BASIS_CONTRACT || r->purpose->basis == BASIS_CONSENT;
}

/* ---- rows as JSON ---- */

static str select_sql(struct arena *a, const struct record *r, bool shown)
{
    const struct field *made = record_field(r, STR("made"));
    struct buf b = buf_new(a, 8192);
    buf_text(&b, "SELECT ");
    buf_put(&b, r->has_id ? STR("id") : record_subject_column(r));
    for (size_t i = 0; i < r->n_fields; i++)
        buf_fmt(&b, ", %.*s", STR_FMT(r->fields[i].name));
    buf_fmt(&b, " FROM %.*s WHERE %.*s = $1 ORDER BY ", STR_FMT(r->name),
            STR_FMT(record_subject_column(r)));
    if (shown && made && made->type == COLUMN_TIME)
        buf_text(&b, "made DESC, ");
    for (size_t i = 0; i < r->table->n_key; i++)
        buf_fmt(&b, i ? ", %.*s" : "%.*s", STR_FMT(r->table->key[i]));
    if (shown)
        buf_fmt(&b, " LIMIT %d", TAKEOUT_SHOWN + 1);
    return buf_str(&b);
}

static json_t *bytes_value(struct arena *a, str bytes)
{
    if (utf8_valid(bytes))
        return json_stringn(bytes.n ? bytes.p : "", bytes.n);
    str text = base64url_encode(a, bytes.p, bytes.n);
    return json_stringn(text.p, text.n);
}

static enum err field_value(struct query *q, int column, struct tx *tx, const struct record *r,
                            const struct field *f, id record, const struct key *k, json_t **out)
{
    struct arena *a = tx_arena(tx);
    str s;
    if (row_is_null(q, column)) {
        *out = json_null();
        return tx_error(tx);
    }
    if (f->category->secret) {
        *out = json_pack("{s:b}", "held", 1);
        return OK;
    }
    switch (f->type) {
    case COLUMN_TEXT:
        *out = bytes_value(a, row_text(q, column));
        return OK;
    case COLUMN_INT:
        *out = json_integer(row_int(q, column));
        return OK;
    case COLUMN_TIME:
        *out = bytes_value(a, moment_format(a, row_time(q, column)));
        return OK;
    case COLUMN_FLAG:
        *out = json_boolean(row_flag(q, column));
        return OK;
    case COLUMN_BLOB:
        s = row_blob(q, column);
        *out = bytes_value(a, hex_encode(a, s.p, s.n));
        return OK;
    case COLUMN_SEALED: {
        struct vault_place place = {r->name, f->name, id_str(&record)};
        TRY(vault_unseal(a, k, place, row_blob(q, column), &s, tx_fault(tx)));
        *out = bytes_value(a, s);
        return OK;
    }
    }
    return ERR_IO;
}

/* An enrolment's row is sealed with its own key; one whose key is gone is about to be erased. */
static enum err key_of_row(struct tx *tx, const struct privacy *p, id row, struct key *out, bool *gone)
{
    enum err e = vault_subject_key(p->vault, row, out, tx_arena(tx), tx_fault(tx));
    *gone = e == ERR_NOT_FOUND;
    if (*gone)
        fault_clear(tx_fault(tx));
    return *gone ? OK : e;
}

static enum err collect_rows(struct tx *tx, const struct privacy *p, const struct record *r,
                             const struct selection *s, const struct key *subjects, json_t *list)
{
    CLEANUP(key_wipe) struct key own;
    const struct key *k = subjects;
    bool enrolments = inventory_is_account(p->inventory, r), gone = false;
    struct query *q = tx_query(tx, select_sql(tx_arena(tx), r, s->shown));
    bind_id(q, s->subject);
    while (query_row(q)) {
        id record = row_id(q, 0);
        if (enrolments) {
            TRY(key_of_row(tx, p, record, &own, &gone));
            k = &own;
        }
        if (gone)
            continue;
        json_t *row = json_add_object(list);
        if (r->has_id)
            json_put_str(row, "id", str_from(record.text));
        for (size_t i = 0; i < r->n_fields; i++) {
            json_t *v = NULL;
            TRY(field_value(q, (int)i + 1, tx, r, &r->fields[i], record, k, &v));
            json_put(row, str_cstr(tx_arena(tx), r->fields[i].name), v);
        }
    }
    return query_end(q);
}

/* ---- what it means ---- */

static json_t *about_record(const struct privacy *p, struct arena *a, const struct record *r,
                            const struct locale *l)
{
    json_t *j = json_object();
    json_put_str(j, "title", words_record(p, l, a, r));
    json_put_str(j, "service", words_service(p, l, a, r->service));
    json_put_str(j, "purpose", words_purpose(p, l, a, r->purpose));
    json_put_text(j, "legal_basis", basis_name(r->purpose->basis));
    json_put_str(j, "legal_basis_text", words_basis(p, l, a, r->purpose->basis));
    json_put(j, "kept", words_kept(p, l, a, r));
    json_put(j, "recipients", words_recipients(p, l, a, r));
    json_put(j, "readers", words_readers(p, l, a, r->staff));
    json_t *fields = json_put_object(j, "fields");
    for (size_t i = 0; i < r->n_fields; i++) {
        const struct field *f = &r->fields[i];
        json_t *one = json_put_object(fields, str_cstr(a, f->name));
        json_put_str(one, "label", words_field(p, l, a, r, f));
        json_put_text(one, "category", f->category->name);
        json_put_bool(one, "shown", !f->category->secret);
    }
    return j;
}

static enum err collect_records(struct tx *tx, const struct privacy *p, const struct selection *s,
                                const struct key *k, const struct locale *l, json_t *out)
{
    struct arena *a = tx_arena(tx);
    json_t *records = json_put_object(out, "records"), *about = json_put_object(out, "about");
    for (size_t i = 0; i < p->inventory->n_records; i++) {
        const struct record *r = &p->inventory->records[i];
        if (!in_scope(r, s))
            continue;
        const char *name = str_cstr(a, r->name);
        json_t *rows = json_put_array(records, name), *words = about_record(p, a, r, l);
        json_put(about, name, words);
        TRY(collect_rows(tx, p, r, s, k, rows));
        bool more = s->shown && json_array_size(rows) > TAKEOUT_SHOWN;
        if (more)
            json_array_remove(rows, TAKEOUT_SHOWN);
        if (s->shown)
            json_put_bool(words, "more", more);
    }
    return OK;
}

static enum err collect(struct tx *tx, const struct privacy *p, const struct selection *s,
                        const struct locale *l, json_t **out)
{
    CLEANUP(key_wipe) struct key k;
    CLEANUP(json_done) json_t *j = json_object();
    struct arena *a = tx_arena(tx);
    TRY(vault_subject_key(p->vault, s->subject, &k, a, tx_fault(tx)));
    json_put_text(j, "$schema", "schema.json");
    json_put_text(j, "format", FORMAT);
    json_put_moment(j, "made", a, clock_now(p->clock));
    json_put_text(j, "scope", s->scope);
    json_put_text(j, "language", l->code);
    json_put_str(j, "portal", p->organisation->product);
    json_t *who = json_put_object(j, "subject");
    json_put_str(who, "kind", s->kind);
    json_put_str(who, "id", str_from(s->subject.text));
    json_put(j, "controller", words_party(organisation_controller(p->organisation, (str){NULL, 0}), l));
    json_put(j, "authority", words_party(&p->organisation->authority, l));
    TRY(collect_records(tx, p, s, &k, l, j));
    *out = TAKE(j);
    return OK;
}

enum err takeout_collect(struct tx *tx, const struct privacy *p, str kind, id subject,
                         const char *scope, const struct locale *l, json_t **out)
{
    struct selection s = {.kind = kind, .subject = subject, .scope = scope};
    return collect(tx, p, &s, l, out);
}

enum err takeout_collect_shown(struct tx *tx, const struct privacy *p, str kind, id subject,
                               const struct locale *l, json_t **out)
{
    struct selection s = {.kind = kind, .subject = subject, .scope = TAKEOUT_ALL, .shown = true};
    return collect(tx, p, &s, l, out);
}

enum err takeout_collect_for(struct tx *tx, const struct privacy *p, str kind, id subject,
                             unsigned roles, bool restricted, const struct locale *l, json_t **out)
{
    struct selection s = {kind, subject, TAKEOUT_STAFF, roles, restricted, true};
    return collect(tx, p, &s, l, out);
}

/* ---- for people ---- */

/* What one is shown in: words, and the reader's language. */
struct showing {
    const struct catalog *catalog;
    const struct locale *locale;
    struct arena *arena;
};

static json_t *field_view(const struct showing *s, const struct record *r, const char *name,
                          const json_t *value, const json_t *about)
{
    struct arena *a = s->arena;
    json_t *j = json_object();
    const struct field *f = record_field(r, str_from(name));
    json_put_str(j, "label", json_get_str(about, "label"));
    bool time = f->type == COLUMN_TIME && json_is_string(value);
    json_put(j, "time", time ? json_incref((json_t *)(uintptr_t)value) : json_null());
    json_put_bool(j, "secret", f->category->secret && !json_is_null(value));
    bool empty = json_is_string(value) && json_string_length(value) == 0;
    json_put_bool(j, "none", json_is_null(value) || empty);
    if (json_is_boolean(value))
        json_put_bool(j, json_is_true(value) ? "yes" : "no", true);
    str text = json_str(value);
    if (json_is_integer(value))
        text = str_fmt(a, "%lld", (long long)json_integer_value(value));
    bool plain = text.n > 0 && !time;
    if (plain && json_is_string(value))
        text = inventory_value_words(s->catalog, s->locale, a, f, text);
    json_put(j, "text", plain ? json_stringn(text.p, text.n) : json_null());
    if (json_object_get(j, "yes") == NULL)
        json_put_bool(j, "yes", false);
    if (json_object_get(j, "no") == NULL)
        json_put_bool(j, "no", false);
    return j;
}

static json_t *record_view(const struct showing *s, const struct record *r, const json_t *rows,
                           const json_t *about)
{
    struct arena *a = s->arena;
    json_t *j = json_object();
    json_put_str(j, "name", r->name);
    static const char *const copied[] = {"title", "service", "purpose", "legal_basis",
                                         "legal_basis_text", "kept", "recipients", "readers"};
    for (size_t i = 0; i < COUNT(copied); i++)
        json_put(j, copied[i], json_incref(json_object_get(about, copied[i])));
    json_put_int(j, "count", (int64_t)json_array_size(rows));
    json_put_bool(j, "empty", json_array_size(rows) == 0);
    json_put_bool(j, "more", json_get_bool(about, "more"));
    json_put_bool(j, "has_recipients", r->n_recipients > 0);
    json_put_bool(j, "has_readers", r->staff != 0);
    json_t *entries = json_put_array(j, "entries");
    const json_t *fields = json_object_get(about, "fields");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *list = json_put_array(json_add_object(entries), "fields");
        const json_t *row = json_array_get(rows, i);
        for (size_t k = 0; k < r->n_fields; k++) {
            const char *name = str_cstr(a, r->fields[k].name);
            json_t *one = field_view(s, r, name, json_object_get(row, name),
                                     json_object_get(fields, name));
            json_array_append_new(list, one);
        }
    }
    return j;
}

json_t *takeout_view(const struct privacy *p, struct arena *a, const json_t *data,
                     const struct locale *l)
{
    json_t *j = json_object();
    static const char *const copied[] = {"made", "scope", "language", "portal", "controller",
                                         "authority"};
    for (size_t i = 0; i < COUNT(copied); i++)
        json_put(j, copied[i], json_incref(json_object_get(data, copied[i])));
    json_put_bool(j, "all", str_is(json_get_str(data, "scope"), TAKEOUT_ALL));
    json_t *list = json_put_array(j, "records");
    struct showing s = {p->catalog, l, a};
    const json_t *records = json_object_get(data, "records"), *about = json_object_get(data, "about");
    for (size_t i = 0; i < p->inventory->n_records; i++) {
        const struct record *r = &p->inventory->records[i];
        const char *name = str_cstr(a, r->name);
        if (json_object_get(records, name) != NULL)
            json_array_append_new(list, record_view(&s, r, json_object_get(records, name),
                                                    json_object_get(about, name)));
    }
    return j;
}

/* ---- the schema of data.json ---- */

static json_t *field_schema(const struct field *f)
{
    const char *type = "string";
    if (f->category->secret)
        return json_pack("{s:[s,s]}", "type", "object", "null");
    if (f->type == COLUMN_INT)
        type = "integer";
    if (f->type == COLUMN_FLAG)
        type = "boolean";
    json_t *j = f->null ? json_pack("{s:[s,s]}", "type", type, "null") : json_pack("{s:s}", "type", type);
    if (f->type == COLUMN_TIME)
        json_put_text(j, "format", "date-time");
    return j;
}

static json_t *record_schema(struct arena *a, const struct record *r)
{
    json_t *j = json_pack("{s:s, s:b}", "type", "object", "additionalProperties", 0);
    json_t *properties = json_put_object(j, "properties"), *required = json_put_array(j, "required");
    if (r->has_id) {
        json_put(properties, "id", json_pack("{s:s}", "type", "string"));
        json_add_str(required, STR("id"));
    }
    for (size_t i = 0; i < r->n_fields; i++) {
        json_put(properties, str_cstr(a, r->fields[i].name), field_schema(&r->fields[i]));
        json_add_str(required, r->fields[i].name);
    }
    return json_pack("{s:s, s:o}", "type", "array", "items", j);
}

json_t *takeout_schema(const struct privacy *p, struct arena *a)
{
    json_t *j = json_pack("{s:s, s:s, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema",
                          "title", FORMAT, "type", "object");
    json_t *properties = json_put_object(j, "properties");
    static const char *const texts[] = {"$schema", "format", "made", "scope", "language", "portal"};
    for (size_t i = 0; i < COUNT(texts); i++)
        json_put(properties, texts[i], json_pack("{s:s}", "type", "string"));
    static const char *const objects[] = {"subject", "controller", "authority", "about"};
    for (size_t i = 0; i < COUNT(objects); i++)
        json_put(properties, objects[i], json_pack("{s:s}", "type", "object"));
    json_t *records = json_put_object(properties, "records");
    json_put_text(records, "type", "object");
    json_put_bool(records, "additionalProperties", false);
    json_t *each = json_put_object(records, "properties");
    for (size_t i = 0; i < p->inventory->n_records; i++)
        if (record_has_subject(&p->inventory->records[i]))
            json_put(each, str_cstr(a, p->inventory->records[i].name),
                     record_schema(a, &p->inventory->records[i]));
    json_put_bool(j, "additionalProperties", false);
    json_t *required = json_put_array(j, "required");
    json_add_str(required, STR("format"));
    json_add_str(required, STR("records"));
    return j;
}

/* ---- the zip ---- */

static enum err add_file(zip_t *z, const char *name, str content, struct fault *f)
{
    zip_source_t *s = zip_source_buffer(z, content.p, content.n, 0);
    if (s == NULL || zip_file_add(z, name, s, ZIP_FL_ENC_UTF_8) < 0) {
        zip_source_free(s);
        return FAIL(f, ERR_IO, "zip: %s", zip_strerror(z));
    }
    return OK;
}

static enum err read_sealed(const struct privacy *p, id file, const struct key *k, struct buf *out,
                            struct arena *a, struct fault *f)
{
    CLEANUP(sealed_close) struct sealed_reader *r = NULL;
    TRY(sealed_open(p->files, file, k, a, &r, f));
    for (;;) {
        str s;
        TRY(sealed_read(r, &s));
        if (s.n == 0)
            return out->over ? FAIL(f, ERR_LIMIT, "the files are too large to take along in one zip")
                             : OK;
        buf_put(out, s);
    }
}

/* Files that people uploaded; not the zips made for them before. */
static enum err add_uploads(zip_t *z, const struct privacy *p, const json_t *data,
                            const struct key *k, struct arena *a, struct fault *f)
{
    const char *name;
    json_t *rows;
    json_object_foreach(json_object_get(data, "records"), name, rows)
    {
        const struct record *r = inventory_record(p->inventory, str_from(name));
        if (strcmp(name, "takeout") == 0)
            continue;
        for (size_t i = 0; i < r->n_fields; i++) {
            for (size_t n = 0; r->fields[i].file && n < json_array_size(rows); n++) {
                id file;
                struct buf b = buf_new(a, TAKEOUT_MAX_BYTES);
                str s = json_get_str(json_array_get(rows, n), str_cstr(a, r->fields[i].name));
                if (id_parse(s, &file) != OK)
                    continue;
                TRY(read_sealed(p, file, k, &b, a, f));
                TRY(add_file(z, str_cstr(a, str_fmt(a, "files/%s", file.text)), buf_str(&b), f));
            }
        }
    }
    return OK;
}

static enum err fill_zip(zip_t *z, struct tx *tx, const struct privacy *p, str kind, id subject,
                         const char *scope, const struct locale *l)
{
    struct arena *a = tx_arena(tx);
    struct fault *f = tx_fault(tx);
    CLEANUP(key_wipe) struct key k;
    CLEANUP(json_done) json_t *data = NULL, *view = NULL, *schema = NULL;
    TRY(takeout_collect(tx, p, kind, subject, scope, l, &data));
    TRY(vault_subject_key(p->vault, subject, &k, a, f));
    schema = takeout_schema(p, a);
    view = takeout_view(p, a, data, l);
    struct buf html = buf_new(a, PAGE_BYTES);
    TRY(template_render(p->pages, STR("privacy/takeout"), view, l, &html, f));
    TRY(add_file(z, "data.json", json_encode(a, data, true), f));
    TRY(add_file(z, "schema.json", json_encode(a, schema, true), f));
    TRY(add_file(z, "index.html", buf_str(&html), f));
    return add_uploads(z, p, data, &k, a, f);
}

static void source_done(zip_source_t **s)
{
    if (*s != NULL)
        zip_source_free(*s);
}

static enum err read_source(zip_source_t *s, struct arena *a, str *out, struct fault *f)
{
    if (zip_source_open(s) != 0 || zip_source_seek(s, 0, SEEK_END) != 0)
        return FAIL(f, ERR_IO, "zip: cannot read what was written");
    zip_int64_t size = zip_source_tell(s);
    if (size < 0 || size > TAKEOUT_MAX_BYTES || zip_source_seek(s, 0, SEEK_SET) != 0)
        return FAIL(f, ERR_LIMIT, "what is held is too large to take along in one zip");
    char *p = arena_alloc(a, (size_t)size + 1);
    zip_int64_t n = zip_source_read(s, p, (zip_uint64_t)size);
    zip_source_close(s);
    if (n != size)
        return FAIL(f, ERR_IO, "zip: cannot read what was written");
    *out = str_of(p, (size_t)size);
    return OK;
}

enum err takeout_zip(struct tx *tx, const struct privacy *p, str kind, id subject,
                     const char *scope, const struct locale *l, str *zip)
{
    zip_error_t error;
    zip_error_init(&error);
    CLEANUP(source_done) zip_source_t *s = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_t *z = s ? zip_open_from_source(s, ZIP_TRUNCATE, &error) : NULL;
    if (z == NULL)
        return FAIL(tx_fault(tx), ERR_IO, "zip: %s", zip_error_strerror(&error));
    zip_source_keep(s); /* closing the archive frees one reference */
    enum err e = fill_zip(z, tx, p, kind, subject, scope, l);
    if (e != OK) {
        zip_discard(z);
        return e;
    }
    if (zip_close(z) != 0) {
        e = FAIL(tx_fault(tx), ERR_IO, "zip: %s", zip_strerror(z));
        zip_discard(z);
        return e;
    }
    return read_source(s, tx_arena(tx), zip, tx_fault(tx));
}

/* ---- asked for, made, fetched ---- */

enum err takeout_ask(struct tx *tx, const struct privacy *p, id subject, const char *scope, id *out)
{
    struct query *q = SQL(tx, "SELECT 1 FROM takeout WHERE subject = $1 AND scope = $2 AND "
                              "ready IS NULL LIMIT 1");
    bind_id(q, subject);
    bind_text(q, str_from(scope));
    bool waiting = query_row(q);
    TRY(query_end(q));
    if (waiting)
        return ERR_LIMIT;
    moment now = clock_now(p->clock);
    *out = id_new();
    q = SQL(tx, "INSERT INTO takeout (subject, id, scope, asked, ready, file, size, gone) "
                "VALUES ($1, $2, $3, $4, NULL, NULL, 0, $5)");
    bind_id(q, subject);
    bind_id(q, *out);
    bind_text(q, str_from(scope));
    bind_time(q, now);
    bind_time(q, now + TAKEOUT_KEPT);
    return query_run(q);
}

static struct takeout read_takeout(struct query *q)
{
    return (struct takeout){.id = row_id(q, 0),
                            .scope = row_text(q, 1),
                            .asked = row_time(q, 2),
                            .ready = row_time(q, 3),
                            .file = row_id(q, 4),
                            .size = row_int(q, 5),
                            .gone = row_time(q, 6)};
}

enum err takeout_get(struct tx *tx, id subject, id which, struct takeout *out)
{
    struct query *q = SQL(tx, "SELECT id, scope, asked, ready, file, size, gone FROM takeout "
                              "WHERE subject = $1 AND id = $2");
    bind_id(q, subject);
    bind_id(q, which);
    bool found = query_row(q);
    if (found)
        *out = read_takeout(q);
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

enum err takeout_list(struct tx *tx, id subject, struct takeout **out, size_t *n)
{
    struct query *q = SQL(tx, "SELECT id, scope, asked, ready, file, size, gone FROM takeout "
                              "WHERE subject = $1 ORDER BY asked DESC LIMIT $2");
    bind_id(q, subject);
    bind_int(q, LIST_MAX);
    *out = ARENA_ARRAY(tx_arena(tx), struct takeout, LIST_MAX);
    *n = 0;
    while (query_row(q))
        (*out)[(*n)++] = read_takeout(q);
    return query_end(q);
}

struct finished {
    id subject, which, file;
    int64_t size;
    moment now;
};

static enum err finish(struct tx *tx, void *arg)
{
    const struct finished *x = arg;
    struct query *q = SQL(tx, "UPDATE takeout SET ready = $3, file = $4, size = $5 "
                              "WHERE subject = $1 AND id = $2 AND ready IS NULL");
    bind_id(q, x->subject);
    bind_id(q, x->which);
    bind_time(q, x->now);
    bind_id(q, x->file);
    bind_int(q, x->size);
    return query_run(q);
}

enum err takeout_make(const struct privacy *p, str kind, id subject, id which,
                      const struct locale *l, struct arena *a, struct fault *f)
{
    struct takeout t;
    str zip;
    CLEANUP(key_wipe) struct key k;
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, a, f);
    TRY(takeout_get(tx, subject, which, &t));
    if (t.ready != 0)
        return OK;
    TRY(takeout_zip(tx, p, kind, subject, str_cstr(a, t.scope), l, &zip));
    TRY(vault_subject_key(p->vault, subject, &k, a, f));
    struct finished x = {subject, which, id_new(), (int64_t)zip.n, clock_now(p->clock)};
    CLEANUP(sealed_discard) struct sealed_writer *w = NULL;
    TRY(sealed_create(p->files, x.file, &k, a, &w, f));
    TRY(sealed_write(w, zip));
    TRY(sealed_keep(&w));
    return db_transact(p->db, a, f, finish, &x);
}
