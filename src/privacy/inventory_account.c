/* The block `account:` of records.yaml: what a person joins (inventory.h describes it). */
#include "privacy/inventory_reader.h"

#include <string.h>

enum { MAX_QUESTIONS = 16, DEFAULT_MAX = 200, LONGEST = 4000 };

/* Of the HTML standard's autofill names, those that a form of ours may ask for. */
static const char *const fills[] = {
    "given-name", "family-name", "name", "organization", "organization-title", "country", "tel",
    "street-address", "postal-code", "language",
};

static const struct category *category_of(const char *name)
{
    return category_named(str_from(name));
}

static void note_field(struct record *rec, const char *name, enum column_type type,
                       const char *category, bool null)
{
    rec->fields[rec->n_fields++] = (struct field){
        .name = str_from(name), .type = type, .null = null, .shared = true, .category = category_of(category)};
}

/* The columns that the program keeps for every service account. */
static void own_fields(struct record *rec, const struct service_account *s)
{
    note_field(rec, "joined", COLUMN_TIME, "lifecycle", false);
    note_field(rec, "left_at", COLUMN_TIME, "lifecycle", true);
    if (s->terms > 0) {
        note_field(rec, "terms_version", COLUMN_INT, "consent-evidence", false);
        note_field(rec, "terms_language", COLUMN_TEXT, "language", false);
        note_field(rec, "terms_accepted", COLUMN_TIME, "consent-evidence", false);
    }
    if (s->n_roles > 0)
        note_field(rec, "role", COLUMN_TEXT, "reference", true);
    if (s->served_by.n > 0)
        note_field(rec, "served_by", COLUMN_TEXT, "reference", true);
}

static enum err is_new(struct reader *r, const struct yaml *n, const struct record *rec)
{
    TRY(reader_name(r, n));
    if (str_is(n->key, "id") || str_eq(n->key, rec->subject) || record_field(rec, n->key) != NULL)
        return SAY(r, n, "%.*s is a column of its own accord", STR_FMT(n->key));
    return OK;
}

static enum err read_fill(struct reader *r, const struct yaml *n, const char **out)
{
    const struct yaml *fill = yaml_get(n, "fill");
    *out = NULL;
    for (size_t i = 0; fill != NULL && i < COUNT(fills); i++)
        if (str_is(fill->text, fills[i]))
            *out = fills[i];
    if (fill != NULL && *out == NULL)
        return SAY(r, fill, "%.*s is nothing that a browser fills in", STR_FMT(fill->text));
    return OK;
}

static enum err read_question(struct reader *r, const struct yaml *n, struct record *rec,
                              struct question *out)
{
    struct question q = {.max = DEFAULT_MAX};
    struct field *f = &rec->fields[rec->n_fields];
    const struct yaml *max = yaml_get(n, "max");
    int64_t most = DEFAULT_MAX;
    TRY(ONLY_KEYS(r, n, "type", "category", "required", "max", "fill"));
    TRY(is_new(r, n, rec));
    TRY(reader_field(r, n, f));
    if (f->file || (f->type != COLUMN_TEXT && f->type != COLUMN_SEALED))
        return SAY(r, n, "question %.*s: a form asks for text, plain or sealed", STR_FMT(n->key));
    TRY(reader_flag(r, n, "required", &q.required));
    if (max != NULL && (!str_to_int(max->text, &most) || most < 1 || most > LONGEST))
        return SAY(r, max, "question %.*s: max is a number of bytes from 1 to %d", STR_FMT(n->key), LONGEST);
    TRY(read_fill(r, n, &q.fill));
    q.max = (size_t)most;
    f->null = !q.required;
    rec->n_fields++;
    *out = q;
    return OK;
}

static enum err read_form(struct reader *r, const struct yaml *n, struct record *rec,
                          struct service_account *s)
{
    const struct yaml *form = yaml_get(n, "form");
    if (form != NULL && form->kind != YAML_MAP)
        return SAY(r, form, "form is a mapping of questions");
    if (form != NULL && form->count > MAX_QUESTIONS)
        return SAY(r, form, "a form asks at most %d questions", MAX_QUESTIONS);
    s->form = ARENA_ARRAY(r->arena, struct question, form ? form->count : 0);
    YAML_EACH(child, form)
    TRY(read_question(r, child, rec, &s->form[s->n_form++]));
    return OK;
}

static enum err read_notes(struct reader *r, const struct yaml *n, struct record *rec)
{
    YAML_EACH(child, yaml_get(n, "fields"))
    {
        struct field *f = &rec->fields[rec->n_fields];
        TRY(ONLY_KEYS(r, child, "type", "category", "null"));
        TRY(is_new(r, child, rec));
        TRY(reader_field(r, child, f));
        if (!f->null)
            return SAY(r, child, "field %.*s is not asked: when somebody joins it has no value, so say null: true",
                       STR_FMT(child->key));
        rec->n_fields++;
    }
    return OK;
}

/* account.email: fields of the subject's own record. */
static enum err read_uses(struct reader *r, const struct yaml *n, const struct record *subject,
                          struct service_account *s)
{
    const struct yaml *list = yaml_get(n, "uses");
    if (list != NULL && list->kind != YAML_LIST)
        return SAY(r, list, "uses is a list");
    s->uses = ARENA_ARRAY(r->arena, const struct field *, list ? list->count : 0);
    YAML_EACH(child, list)
    {
        str table, field;
        bool named = str_cut(child->text, '.', &table, &field) && str_eq(table, subject->name);
        const struct field *f = named ? record_field(subject, field) : NULL;
        if (f == NULL || f->category->secret)
            return SAY(r, child, "uses %.*s, which is no field of %.*s that may be used",
                       STR_FMT(child->text), STR_FMT(subject->name));
        s->uses[s->n_uses++] = f;
    }
    return OK;
}

static enum err read_names(struct reader *r, const struct yaml *n, const char *key, str **out,
                           size_t *count)
{
    TRY(reader_list(r, n, key, out, count));
    YAML_EACH(child, yaml_get(n, key))
    if (!reader_key_ok(child->text))
        return SAY(r, child, "%s: %.*s cannot be named so", key, STR_FMT(child->text));
    return OK;
}

static enum err read_terms(struct reader *r, const struct yaml *n, struct service_account *s)
{
    const struct yaml *terms = yaml_get(n, "terms");
    int64_t version = 0;
    if (terms == NULL && s->needs.n == 0)
        return SAY(r, n, "the account says no version of its terms");
    if (terms != NULL && (!str_to_int(terms->text, &version) || version < 1 || version > 100000))
        return SAY(r, terms, "terms is the version of their text, a number from 1");
    s->terms = (int)version;
    return OK;
}

static enum err read_leaving(struct reader *r, const struct yaml *n, struct service_account *s)
{
    const struct yaml *leaving = yaml_get(n, "leaving");
    s->erase_at_leaving = leaving != NULL;
    if (leaving != NULL && !str_is(leaving->text, "erase"))
        return SAY(r, leaving, "leaving: erase, or nothing at all");
    return OK;
}

enum err reader_account(struct reader *r, const struct yaml *n)
{
    struct service_account s = {.service = r->service, .line = n->line, .source = r->source};
    struct record rec = {.name = yaml_text(n, "record"), .service = r->service, .subject = yaml_text(n, "subject")};
    TRY(ONLY_KEYS(r, n, "record", "subject", "purpose", "terms", "uses", "form", "fields", "roles", "includes", "offers",
                  "needs", "served_by", "leaving", "keep", "recipients"));
    if (inventory_account(r->v, r->service) != NULL)
        return SAY(r, n, "%.*s has two accounts", STR_FMT(r->service));
    if (rec.name.n == 0)
        return SAY(r, n, "the account says no record");
    const struct record *subject = inventory_record(r->v, rec.subject);
    if (subject == NULL || !record_is_subject(subject))
        return SAY(r, n, "the account says not whose it is: %.*s is no kind of subject", STR_FMT(rec.subject));
    s.needs = yaml_text(n, "needs");
    s.served_by = yaml_text(n, "served_by");
    TRY(read_terms(r, n, &s));
    TRY(read_names(r, n, "roles", &s.roles, &s.n_roles));
    TRY(read_names(r, n, "includes", &s.includes, &s.n_includes));
    TRY(read_names(r, n, "offers", &s.offers, &s.n_offers));
    for (size_t i = 0; i < s.n_offers; i++)
        if (!str_is(s.offers[i], "security-question"))
            return SAY(r, n, "nothing that is called %.*s can be offered", STR_FMT(s.offers[i]));
    TRY(read_leaving(r, n, &s));
    TRY(read_uses(r, n, subject, &s));
    const struct yaml *form = yaml_get(n, "form"), *fields = yaml_get(n, "fields");
    rec.fields = ARENA_ARRAY(r->arena, struct field, 7 + (form ? form->count : 0) + (fields ? fields->count : 0));
    own_fields(&rec, &s);
    size_t first = rec.n_fields;
    TRY(read_form(r, n, &rec, &s));
    for (size_t i = 0; i < s.n_form; i++)
        s.form[i].field = &rec.fields[first + i];
    TRY(read_notes(r, n, &rec));
    TRY(reader_tenant(r, n, &rec));
    str *columns = ARENA_ARRAY(r->arena, str, 1), *id_column = ARENA_ARRAY(r->arena, str, 1);
    columns[0] = rec.subject;
    id_column[0] = STR("id");
    struct record *made = &r->v->records[r->v->n_records - 1];
    struct table *t = ARENA_NEW(r->arena, struct table);
    *t = *made->table;
    reader_index(r, t, columns, 1, true, (str){NULL, 0}); /* one row a person */
    reader_index(r, t, id_column, 1, false, (str){NULL, 0}); /* its key in the keyring has its name */
    made->table = t;
    s.index = r->v->n_records - 1;
    ARENA_GROW(r->arena, r->v->accounts, r->cap_accounts, r->v->n_accounts + 1);
    r->v->accounts[r->v->n_accounts++] = s;
    return OK;
}

/* ---- when all are known ---- */

static enum err check_other(struct reader *r, const struct service_account *s, const char *word, str other)
{
    const struct service_account *o = other.n ? inventory_account(r->v, other) : NULL;
    if (other.n == 0)
        return OK;
    if (o == NULL || o == s || !str_eq(o->record->subject, s->record->subject))
        return reader_say(r, s->line, str_fmt(r->arena, "%s: %.*s has no account that could", word, STR_FMT(other)));
    if (o->needs.n > 0)
        return reader_say(r, s->line, str_fmt(r->arena, "%s: %.*s itself needs another", word, STR_FMT(other)));
    return OK;
}

enum err reader_accounts_done(struct reader *r)
{
    for (size_t i = 0; i < r->v->n_accounts; i++)
        r->v->accounts[i].record = &r->v->records[r->v->accounts[i].index];
    for (size_t i = 0; i < r->v->n_accounts; i++) {
        struct service_account *s = &r->v->accounts[i];
        const struct record *rec = s->record;
        r->source = s->source;
        if (!str_eq(rec->purpose->service, s->service))
            return reader_say(r, s->line, str_fmt(r->arena, "purpose %.*s is another service's", STR_FMT(rec->purpose->name)));
        for (size_t k = 0; k < rec->n_rules; k++) {
            if (!str_eq(rec->rules[k].table, rec->name))
                return reader_say(r, s->line, str_fmt(r->arena, "%.*s: an account ends by its own fields",
                                                      STR_FMT(rec->rules[k].name)));
            if (str_is(rec->rules[k].field, "left_at") && rec->rules[k].kind == KEEP_AFTER)
                s->leaving = &rec->rules[k];
        }
        if (s->leaving == NULL)
            return reader_say(r, s->line, STR("the account says not how long it is kept after left_at"));
        TRY(check_other(r, s, "needs", s->needs));
        TRY(check_other(r, s, "served_by", s->served_by));
    }
    return OK;
}
