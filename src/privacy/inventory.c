#include "privacy/inventory_reader.h"

#include <string.h>

enum { MAX_SOURCES = 64 };

/* What Art. 9 GDPR sets apart: no field, record or category may be named so (GEN-11). */
static const char *const special[] = {
    "race",     "ethnic",   "religio",   "belief",  "political", "politics", "union_member",
    "health",   "medical",  "genetic",   "biometr", "sex_life",  "sexual",   "orientation",
    "criminal", "conviction",
};

enum err reader_say(struct reader *r, int line, str why)
{
    return FAIL(r->fault, ERR_INPUT, "%.*s:%d: %.*s", STR_FMT(r->source), line, STR_FMT(why));
}

const char *basis_name(enum legal_basis b)
{
    static const char *const names[] = {"contract", "legitimate-interest", "consent",
                                        "legal-obligation"};
    return names[b];
}

/* ---- small readers ---- */

/* Every key of a mapping must be one that somebody reads: a misspelt word is found by name. */
enum err reader_only_keys(struct reader *r, const struct yaml *map, const char *const *keys,
                          size_t n)
{
    if (map->kind != YAML_MAP)
        return SAY(r, map, "%.*s must be a mapping", STR_FMT(map->key));
    YAML_EACH(child, map)
    {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known |= str_is(child->key, keys[i]);
        if (!known)
            return SAY(r, child, "%.*s is not a word of this file", STR_FMT(child->key));
    }
    return OK;
}
enum err reader_flag(struct reader *r, const struct yaml *map, const char *key, bool *out)
{
    const struct yaml *n = yaml_get(map, key);
    *out = false;
    if (n == NULL)
        return OK;
    if (str_is(n->text, "true"))
        *out = true;
    else if (!str_is(n->text, "false"))
        return SAY(r, n, "%s is true or false", key);
    return OK;
}

enum err reader_term(struct reader *r, const struct yaml *map, const char *key,
                          struct term *out)
{
    const struct yaml *n = yaml_get(map, key);
    *out = (struct term){0};
    if (n != NULL && term_parse(n->text, out) != OK)
        return SAY(r, n, "%.*s is no term (ISO 8601: P1M, P14D, PT30M)", STR_FMT(n->text));
    return OK;
}

/* Which of the words it is. */
static enum err read_word(struct reader *r, const struct yaml *map, const char *key,
                          const char *const *words, size_t n, int otherwise, int *out)
{
    const struct yaml *node = yaml_get(map, key);
    *out = otherwise;
    if (node == NULL && otherwise >= 0)
        return OK;
    if (node == NULL)
        return SAY(r, map, "%.*s says no %s", STR_FMT(map->key), key);
    for (size_t i = 0; i < n; i++) {
        if (!str_is(node->text, words[i]))
            continue;
        *out = (int)i;
        return OK;
    }
    return SAY(r, node, "%.*s is no %s", STR_FMT(node->text), key);
}

/* A key in human-facing names: letters, digits and hyphens. */
bool reader_key_ok(str s)
{
    if (s.n == 0 || s.n > 40 || s.p[0] < 'a' || s.p[0] > 'z')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
              s.p[i] == '-' || s.p[i] == '_'))
            return false;
    return true;
}

enum err reader_name(struct reader *r, const struct yaml *n)
{
    if (!schema_name_ok(n->key))
        return SAY(r, n, "%.*s cannot name a table or column", STR_FMT(n->key));
    for (size_t i = 0; i < COUNT(special); i++)
        if (str_contains(n->key, str_from(special[i])))
            return SAY(r, n, "%.*s: data of special categories is not kept (GEN-11)",
                       STR_FMT(n->key));
    return OK;
}

/* ---- services, purposes, cookies, promises ---- */

static enum err read_service(struct reader *r, const struct yaml *root)
{
    const struct yaml *n = yaml_get(root, "service");
    if (n == NULL || !reader_key_ok(n->text))
        return SAY(r, root, "the file says no service");
    r->service = n->text;
    for (size_t i = 0; i < r->v->n_services; i++)
        if (str_eq(r->v->services[i], n->text))
            return OK;
    ARENA_GROW(r->arena, r->v->services, r->cap_services, r->v->n_services + 1);
    r->v->services[r->v->n_services++] = n->text;
    return OK;
}

static enum err read_purpose(struct reader *r, const struct yaml *n)
{
    static const char *const bases[] = {"contract", "legitimate-interest", "consent",
                                        "legal-obligation"};
    struct purpose p = {.name = n->key, .service = r->service};
    int basis;
    int64_t version = 1;
    TRY(ONLY_KEYS(r, n, "legal_basis", "marketing", "essential", "version", "lasts", "controller", "elsewhere"));
    if (!reader_key_ok(n->key) || inventory_purpose(r->v, n->key) != NULL)
        return SAY(r, n, "purpose %.*s is declared twice, or cannot be named so", STR_FMT(n->key));
    TRY(read_word(r, n, "legal_basis", bases, COUNT(bases), -1, &basis));
    TRY(reader_flag(r, n, "marketing", &p.marketing));
    TRY(reader_flag(r, n, "essential", &p.essential));
    TRY(reader_flag(r, n, "elsewhere", &p.elsewhere));
    TRY(reader_term(r, n, "lasts", &p.lasts));
    p.basis = (enum legal_basis)basis;
    p.controller = yaml_text(n, "controller");
    const struct yaml *v = yaml_get(n, "version");
    if (v != NULL && (!str_to_int(v->text, &version) || version < 1 || version > 100000))
        return SAY(r, v, "a version is a number from 1");
    if (p.basis == BASIS_CONSENT && v == NULL)
        return SAY(r, n, "purpose %.*s rests on consent: say the version of its text",
                   STR_FMT(n->key));
    if (p.basis != BASIS_CONSENT && (yaml_get(n, "lasts") || p.controller.n || p.elsewhere))
        return SAY(r, n, "purpose %.*s does not rest on consent", STR_FMT(n->key));
    p.version = (int)version;
    ARENA_GROW(r->arena, r->v->purposes, r->cap_purposes, r->v->n_purposes + 1);
    r->v->purposes[r->v->n_purposes++] = p;
    return OK;
}

enum err reader_purpose(struct reader *r, const struct yaml *n, const struct purpose **out)
{
    const struct yaml *name = yaml_get(n, "purpose");
    *out = name ? inventory_purpose(r->v, name->text) : NULL;
    if (name == NULL)
        return SAY(r, n, "%.*s says no purpose", STR_FMT(n->key));
    if (*out == NULL)
        return SAY(r, name, "no purpose %.*s is declared", STR_FMT(name->text));
    return OK;
}

static enum err read_cookie(struct reader *r, const struct yaml *n)
{
    static const char *const types[] = {"necessary", "functional", "analysis", "advertising"};
    struct cookie c = {.name = n->key, .service = r->service};
    int type;
    TRY(ONLY_KEYS(r, n, "type", "purpose", "lasts"));
    if (!reader_key_ok(n->key) || inventory_cookie(r->v, n->key) != NULL)
        return SAY(r, n, "cookie %.*s is declared twice, or cannot be named so", STR_FMT(n->key));
    TRY(read_word(r, n, "type", types, COUNT(types), -1, &type));
    TRY(reader_purpose(r, n, &c.purpose));
    TRY(reader_term(r, n, "lasts", &c.lasts));
    c.type = (enum cookie_type)type;
    ARENA_GROW(r->arena, r->v->cookies, r->cap_cookies, r->v->n_cookies + 1);
    r->v->cookies[r->v->n_cookies++] = c;
    return OK;
}

static enum err read_promise(struct reader *r, const struct yaml *n)
{
    struct promise p = {n->key, yaml_text(n, "ids"), yaml_text(n, "check"), r->service};
    TRY(ONLY_KEYS(r, n, "ids", "check"));
    if (!reader_key_ok(n->key) || p.ids.n == 0 || p.check.n == 0)
        return SAY(r, n, "promise %.*s says no ids or no check", STR_FMT(n->key));
    for (size_t i = 0; i < r->v->n_promises; i++)
        if (str_eq(r->v->promises[i].key, n->key))
            return SAY(r, n, "promise %.*s is declared twice", STR_FMT(n->key));
    ARENA_GROW(r->arena, r->v->promises, r->cap_promises, r->v->n_promises + 1);
    r->v->promises[r->v->n_promises++] = p;
    return OK;
}

/* ---- records ---- */

struct type_word {
    const char *word;
    enum column_type type;
    bool file;
};
static const struct type_word type_words[] = {
    {"text", COLUMN_TEXT, false},  {"int", COLUMN_INT, false},   {"time", COLUMN_TIME, false},
    {"flag", COLUMN_FLAG, false},  {"blob", COLUMN_BLOB, false}, {"sealed", COLUMN_SEALED, false},
    {"file", COLUMN_TEXT, true},
};

enum err reader_field(struct reader *r, const struct yaml *n, struct field *out)
{
    struct field f = {.name = n->key};
    TRY(reader_name(r, n));
    str type = yaml_text(n, "type"), category = yaml_text(n, "category");
    const struct type_word *w = NULL;
    for (size_t i = 0; i < COUNT(type_words); i++)
        if (str_is(type, type_words[i].word))
            w = &type_words[i];
    if (w == NULL)
        return SAY(r, n, "field %.*s: %.*s is no type", STR_FMT(n->key), STR_FMT(type));
    f.type = w->type;
    f.file = w->file;
    TRY(reader_flag(r, n, "null", &f.null));
    f.words = yaml_text(n, "words");
    if (f.words.n > 0 && (f.type != COLUMN_TEXT || !str_has(f.words, '*')))
        return SAY(r, n, "field %.*s: words are for text, and hold a * for the value", STR_FMT(n->key));
    f.category = category_named(category);
    if (f.category == NULL)
        return SAY(r, n, "field %.*s: %.*s is no category", STR_FMT(n->key), STR_FMT(category));
    if (f.category->sealed && f.type != COLUMN_SEALED && !f.file)
        return SAY(r, n, "field %.*s holds %s, which must be sealed", STR_FMT(n->key),
                   f.category->name);
    *out = f;
    return OK;
}

static enum err read_fields(struct reader *r, const struct yaml *n, struct record *rec)
{
    const struct yaml *fields = yaml_get(n, "fields");
    if (fields == NULL || fields->kind != YAML_MAP)
        return SAY(r, n, "record %.*s says no fields", STR_FMT(n->key));
    rec->fields = ARENA_ARRAY(r->arena, struct field, fields->count);
    YAML_EACH(child, fields)
    {
        if (str_is(child->key, "id") || str_eq(child->key, record_subject_column(rec)))
            return SAY(r, child, "%.*s is a column of its own accord", STR_FMT(child->key));
        TRY(ONLY_KEYS(r, child, "type", "category", "null", "words"));
        TRY(reader_field(r, child, &rec->fields[rec->n_fields++]));
    }
    return OK;
}

static enum err read_rule(struct reader *r, const struct yaml *n, struct record *rec)
{
    struct keep_rule rule = {.table = rec->name};
    TRY(ONLY_KEYS(r, n, "after", "for", "at", "at_most"));
    const struct yaml *after = yaml_get(n, "after"), *at = yaml_get(n, "at");
    if ((after == NULL) == (at == NULL) || (at != NULL && yaml_get(n, "for")))
        return SAY(r, n, "a rule is {after: FIELD, for: TERM} or {at: FIELD}");
    const struct yaml *anchor = after ? after : at;
    const struct record *of = rec;
    rule.kind = after ? KEEP_AFTER : KEEP_AT;
    rule.field = anchor->text;
    if (str_cut(anchor->text, '.', &rule.table, &rule.field) && !str_eq(rule.table, rec->name))
        of = str_eq(rule.table, rec->subject) ? inventory_record(r->v, rec->subject) : NULL;
    TRY(reader_term(r, n, "for", &rule.term));
    TRY(reader_term(r, n, "at_most", &rule.most));
    if (!term_is_zero(rule.most) && (at != NULL || term_end(0, rule.most) < term_end(0, rule.term)))
        return SAY(r, n, "at_most is the longest that an organisation may choose for a term");
    if (after && term_is_zero(rule.term))
        return SAY(r, n, "a rule says for how long");
    const struct field *f = of ? record_field(of, rule.field) : NULL;
    if (f == NULL || f->type != COLUMN_TIME)
        return SAY(r, anchor, "%.*s is no time field of this record or of its subject",
                   STR_FMT(anchor->text));
    rule.table = of->name;
    rule.name = str_fmt(r->arena, "%.*s.%.*s", STR_FMT(of->name), STR_FMT(rule.field));
    for (size_t i = 0; of != rec && i < of->n_rules; i++)
        rule.implied |= str_eq(of->rules[i].name, rule.name) && of->rules[i].kind == rule.kind &&
                        term_eq(of->rules[i].term, rule.term);
    rec->rules[rec->n_rules++] = rule;
    return OK;
}

enum err reader_list(struct reader *r, const struct yaml *n, const char *key, str **out,
                          size_t *count)
{
    const struct yaml *list = yaml_get(n, key);
    if (list == NULL)
        return OK;
    if (list->kind != YAML_LIST)
        return SAY(r, list, "%s is a list", key);
    *out = ARENA_ARRAY(r->arena, str, list->count);
    YAML_EACH(child, list)
    (*out)[(*count)++] = child->text;
    return OK;
}

/* Who of the staff may read it; where nothing is said, nobody. */
static enum err read_staff(struct reader *r, const struct yaml *n, struct record *rec)
{
    const struct yaml *list = yaml_get(n, "staff");
    if (list == NULL)
        return OK;
    if (list->kind != YAML_LIST)
        return SAY(r, list, "staff is a list of roles");
    if (rec->subject.n == 0)
        return SAY(r, list, "%.*s is of nobody: there is nothing to protect from the staff", STR_FMT(n->key));
    YAML_EACH(child, list)
    {
        int role = role_named(child->text);
        if (role < 0)
            return SAY(r, child, "%.*s is no role", STR_FMT(child->text));
        if (rec->staff & ROLE_BIT(role))
            return SAY(r, child, "the role %.*s stands twice", STR_FMT(child->text));
        rec->staff |= ROLE_BIT(role);
    }
    return OK;
}

static bool has_column(const struct table *t, str name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (str_eq(t->columns[i].name, name))
            return true;
    return false;
}

static bool same_columns(const struct index *x, const str *columns, size_t n)
{
    bool same = x->n_columns == n;
    for (size_t i = 0; i < n && same; i++)
        same = str_eq(x->columns[i], columns[i]);
    return same;
}

void reader_index(struct reader *r, struct table *t, str *columns, size_t n, bool unique,
                  str not_null)
{
    for (size_t i = 0; i < t->n_indexes; i++) {
        if (!same_columns(&t->indexes[i], columns, n))
            continue;
        t->indexes[i].unique |= unique;
        return;
    }
    struct buf name = buf_new(r->arena, 200);
    buf_put(&name, t->name);
    for (size_t i = 0; i < n; i++)
        buf_fmt(&name, "_%.*s", STR_FMT(columns[i]));
    t->indexes[t->n_indexes++] = (struct index){buf_str(&name), columns, n, unique, not_null};
}

static enum err read_indexes(struct reader *r, const struct yaml *n, const char *key, bool unique,
                             struct table *t)
{
    const struct yaml *list = yaml_get(n, key);
    if (list == NULL)
        return OK;
    YAML_EACH(one, list)
    {
        str *columns = ARENA_ARRAY(r->arena, str, one->count + 1);
        size_t count = 0;
        if (one->kind != YAML_LIST || one->count == 0)
            return SAY(r, one, "an index is a list of columns");
        YAML_EACH(c, one)
        {
            if (!has_column(t, c->text))
                return SAY(r, c, "no column %.*s", STR_FMT(c->text));
            columns[count++] = c->text;
        }
        reader_index(r, t, columns, count, unique, (str){NULL, 0});
    }
    return OK;
}

static void add_column(struct table *t, str name, enum column_type type, bool null)
{
    t->columns[t->n_columns++] = (struct column){name, type, null};
}

static str *one_name(struct reader *r, str name)
{
    str *list = ARENA_ARRAY(r->arena, str, 1);
    list[0] = name;
    return list;
}

/* The table that follows from the record. */
static enum err make_table(struct reader *r, const struct yaml *n, struct record *rec,
                           enum table_kind kind, struct table *t)
{
    size_t max_indexes = rec->n_rules + 2;
    static const char *const lists[] = {"indexes", "unique"};
    for (size_t i = 0; i < COUNT(lists); i++)
        max_indexes += yaml_get(n, lists[i]) ? yaml_get(n, lists[i])->count : 0;
    t->name = rec->name;
    t->kind = kind;
    t->columns = ARENA_ARRAY(r->arena, struct column, rec->n_fields + 2);
    t->indexes = ARENA_ARRAY(r->arena, struct index, max_indexes);
    bool owned = rec->subject.n > 0 && kind != TABLE_SUBJECT;
    str owner = record_subject_column(rec);
    t->subject = kind == TABLE_TENANT ? owner : (str){NULL, 0};
    t->foreign = kind == TABLE_TENANT && !record_of_any(rec);
    if (owned)
        add_column(t, owner, COLUMN_TEXT, rec->subject_optional);
    str *key = NULL;
    size_t n_key = 0;
    TRY(reader_list(r, n, "key", &key, &n_key));
    rec->has_id = n_key == 0;
    if (rec->has_id)
        add_column(t, STR("id"), COLUMN_TEXT, false);
    for (size_t i = 0; i < rec->n_fields; i++)
        add_column(t, rec->fields[i].name, rec->fields[i].type, rec->fields[i].null);
    /* A tenant's key begins with its subject, so that a person's rows lie together. */
    t->key = ARENA_ARRAY(r->arena, str, n_key + 2);
    if (kind == TABLE_TENANT)
        t->key[t->n_key++] = owner;
    if (rec->has_id)
        t->key[t->n_key++] = STR("id");
    for (size_t i = 0; i < n_key; i++) {
        const struct field *f = record_field(rec, key[i]);
        if (f == NULL || f->null)
            return SAY(r, n, "the key names %.*s, which is no field that always has a value",
                       STR_FMT(key[i]));
        for (size_t k = 0; k < t->n_key; k++)
            if (str_eq(t->key[k], key[i]))
                return SAY(r, n, "the key names %.*s twice", STR_FMT(key[i]));
        t->key[t->n_key++] = key[i];
    }
    TRY(read_indexes(r, n, "indexes", false, t));
    TRY(read_indexes(r, n, "unique", true, t));
    if (owned && kind != TABLE_TENANT)
        reader_index(r, t, one_name(r, owner), 1, false,
                  rec->subject_optional ? owner : (str){NULL, 0});
    for (size_t i = 0; i < rec->n_rules; i++) {
        str field = rec->rules[i].field;
        if (!str_eq(rec->rules[i].table, rec->name))
            continue;
        reader_index(r, t, one_name(r, field), 1, false,
                  record_field(rec, field)->null ? field : (str){NULL, 0});
    }
    return OK;
}

static enum err check_sealed(struct reader *r, const struct yaml *n, const struct record *rec)
{
    for (size_t i = 0; i < rec->n_fields; i++) {
        const struct field *f = &rec->fields[i];
        if (f->type != COLUMN_SEALED && !f->file)
            continue;
        if (rec->subject.n == 0 || rec->subject_optional)
            return SAY(r, n, "%.*s is sealed: with whose key? the record has no subject",
                       STR_FMT(f->name));
        if (!rec->has_id)
            return SAY(r, n, "%.*s is sealed in its place: the record needs an ID",
                       STR_FMT(f->name));
    }
    return OK;
}

static enum err read_finds(struct reader *r, const struct yaml *n, struct record *rec)
{
    const struct yaml *finds = yaml_get(n, "finds");
    if (finds == NULL)
        return SAY(r, n, "lookup %.*s says not what it finds", STR_FMT(n->key));
    if (!str_cut(finds->text, '.', &rec->finds_record, &rec->finds_field))
        return SAY(r, finds, "a lookup finds RECORD.FIELD");
    const struct record *found = inventory_record(r->v, rec->finds_record);
    const struct field *f = found ? record_field(found, rec->finds_field) : NULL;
    if (f == NULL || f->type != COLUMN_SEALED || !str_eq(found->subject, rec->subject))
        return SAY(r, finds, "%.*s is no sealed field of that subject", STR_FMT(finds->text));
    const struct field *hash = record_field(rec, STR("hash"));
    const struct field *generation = record_field(rec, STR("generation"));
    if (hash == NULL || hash->type != COLUMN_BLOB || generation == NULL ||
        generation->type != COLUMN_INT)
        return SAY(r, n, "a lookup has the fields hash (blob) and generation (int)");
    return OK;
}

static enum err read_rules(struct reader *r, const struct yaml *n, struct record *rec)
{
    const struct yaml *keep = yaml_get(n, "keep");
    rec->rules = ARENA_ARRAY(r->arena, struct keep_rule, keep ? keep->count : 0);
    YAML_EACH(rule, keep)
    TRY(read_rule(r, rule, rec));
    return OK;
}

/* Its table, and its place among the others. */
static enum err add_record(struct reader *r, const struct yaml *n, struct record *rec,
                           enum table_kind kind)
{
    struct table *t = ARENA_NEW(r->arena, struct table);
    TRY(make_table(r, n, rec, kind, t));
    TRY(check_sealed(r, n, rec));
    rec->table = t;
    ARENA_GROW(r->arena, r->v->records, r->cap_records, r->v->n_records + 1);
    r->v->records[r->v->n_records++] = *rec;
    return OK;
}

static enum err read_record(struct reader *r, const struct yaml *n)
{
    static const char *const kinds[] = {"subject", "tenant", "lookup", "reference", "queue", "log"};
    struct record rec = {.name = n->key, .service = r->service};
    int kind;
    TRY(ONLY_KEYS(r, n, "kind", "subject", "subject_optional", "purpose", "keep", "recipients",
                  "staff", "fields", "key", "indexes", "unique", "finds"));
    TRY(reader_name(r, n));
    if (inventory_record(r->v, n->key) != NULL)
        return SAY(r, n, "record %.*s is declared twice", STR_FMT(n->key));
    TRY(read_word(r, n, "kind", kinds, COUNT(kinds), TABLE_TENANT, &kind));
    rec.subject = kind == TABLE_SUBJECT ? rec.name : yaml_text(n, "subject");
    TRY(reader_flag(r, n, "subject_optional", &rec.subject_optional));
    if ((kind == TABLE_TENANT || kind == TABLE_LOOKUP) && rec.subject.n == 0)
        return SAY(r, n, "record %.*s says not whose it is", STR_FMT(n->key));
    if (kind == TABLE_REFERENCE && rec.subject.n > 0)
        return SAY(r, n, "a reference table is of nobody");
    if (rec.subject_optional && kind != TABLE_QUEUE && kind != TABLE_LOG)
        return SAY(r, n, "a row of %.*s always belongs to somebody", STR_FMT(n->key));
    if (kind != TABLE_SUBJECT && rec.subject.n > 0 && !record_of_any(&rec)) {
        const struct record *s = inventory_record(r->v, rec.subject);
        if (s == NULL || !record_is_subject(s))
            return SAY(r, n, "%.*s is no kind of subject", STR_FMT(rec.subject));
    }
    TRY(reader_purpose(r, n, &rec.purpose));
    TRY(read_fields(r, n, &rec));
    TRY(read_rules(r, n, &rec));
    if (rec.n_rules == 0 && kind == TABLE_SUBJECT)
        return SAY(r, n, "record %.*s says not how long it is kept", STR_FMT(n->key));
    if (rec.n_rules == 0 && rec.subject.n == 0 && kind != TABLE_REFERENCE)
        return SAY(r, n, "record %.*s says not how long it is kept", STR_FMT(n->key));
    TRY(reader_list(r, n, "recipients", &rec.recipients, &rec.n_recipients));
    TRY(read_staff(r, n, &rec));
    if (kind == TABLE_LOOKUP)
        TRY(read_finds(r, n, &rec));
    return add_record(r, n, &rec, (enum table_kind)kind);
}

enum err reader_tenant(struct reader *r, const struct yaml *n, struct record *rec)
{
    TRY(reader_name(r, &(struct yaml){.line = n->line, .key = rec->name}));
    if (inventory_record(r->v, rec->name) != NULL)
        return SAY(r, n, "record %.*s is declared twice", STR_FMT(rec->name));
    TRY(reader_purpose(r, n, &rec->purpose));
    TRY(read_rules(r, n, rec));
    TRY(reader_list(r, n, "recipients", &rec->recipients, &rec->n_recipients));
    return add_record(r, n, rec, TABLE_TENANT);
}

/* ---- names of tables and indexes ---- */

enum { NAME_BYTES = 63 }; /* of PostgreSQL: it would cut a longer one */

/* Tables and indexes share one room of names, and an index whose name is taken would silently not
 * be made. */
static enum err check_names(const struct reader *r, const struct schema *s)
{
    size_t cap = s->n_tables, n = 0;
    for (size_t i = 0; i < s->n_tables; i++)
        cap += 1 + s->tables[i].n_indexes;
    str *names = ARENA_ARRAY(r->arena, str, cap);
    for (size_t i = 0; i < s->n_tables; i++) {
        const struct table *t = &s->tables[i];
        names[n++] = t->name;
        names[n++] = str_fmt(r->arena, "%.*s_pkey", STR_FMT(t->name)); /* PostgreSQL's own */
        for (size_t k = 0; k < t->n_indexes; k++)
            names[n++] = t->indexes[k].name;
    }
    for (size_t i = 0; i < n; i++) {
        if (names[i].n > NAME_BYTES)
            return FAIL(r->fault, ERR_INPUT, "the index %.*s has too long a name", STR_FMT(names[i]));
        for (size_t k = 0; k < i; k++)
            if (str_eq(names[i], names[k]))
                return FAIL(r->fault, ERR_INPUT, "%.*s would name two tables or indexes",
                            STR_FMT(names[i]));
    }
    return OK;
}

/* ---- all together ---- */

static bool is_subject_node(const struct yaml *n)
{
    return str_is(yaml_text(n, "kind"), "subject");
}

static bool is_lookup_node(const struct yaml *n)
{
    return str_is(yaml_text(n, "kind"), "lookup");
}

/* What must be known before what refers to it: purposes; then subjects, what is theirs, lookups. */
static enum err read_pass(struct reader *r, const struct yaml *root, int pass)
{
    if (pass == 0) {
        TRY(ONLY_KEYS(r, root, "service", "purposes", "account", "records", "cookies", "promises"));
        YAML_EACH(n, yaml_get(root, "purposes"))
        TRY(read_purpose(r, n));
        YAML_EACH(n, yaml_get(root, "promises"))
        TRY(read_promise(r, n));
        return OK;
    }
    if (pass == 2 && yaml_get(root, "account") != NULL)
        TRY(reader_account(r, yaml_get(root, "account")));
    YAML_EACH(n, yaml_get(root, "records"))
    {
        int turn = is_subject_node(n) ? 1 : is_lookup_node(n) ? 3 : 2;
        if (turn == pass)
            TRY(read_record(r, n));
    }
    if (pass == 3)
        YAML_EACH(n, yaml_get(root, "cookies"))
        TRY(read_cookie(r, n));
    return OK;
}

enum err inventory_read(struct arena *a, const struct inventory_source *sources, size_t n,
                        struct inventory **out, struct fault *f)
{
    struct reader r = {.arena = a, .fault = f, .v = ARENA_NEW(a, struct inventory)};
    struct yaml *roots[MAX_SOURCES];
    if (n > MAX_SOURCES)
        return FAIL(f, ERR_LIMIT, "more than %d records.yaml files", MAX_SOURCES);
    for (size_t i = 0; i < n; i++) {
        enum err e = yaml_parse(a, sources[i].text, &roots[i], f);
        if (e != OK)
            fault_prefix(f, "%.*s:", STR_FMT(sources[i].name));
        TRY(e);
    }
    for (int pass = 0; pass <= 3; pass++) {
        for (size_t i = 0; i < n; i++) {
            r.source = sources[i].name;
            TRY(read_service(&r, roots[i]));
            TRY(read_pass(&r, roots[i], pass));
        }
    }
    struct inventory *v = r.v;
    v->schema.tables = ARENA_ARRAY(a, struct table, v->n_records);
    for (size_t i = 0; i < v->n_records; i++) {
        v->schema.tables[v->schema.n_tables++] = *v->records[i].table;
        for (size_t k = 0; k < v->records[i].n_rules; k++)
            v->records[i].rules[k].record = &v->records[i];
    }
    TRY(check_names(&r, &v->schema));
    TRY(reader_accounts_done(&r));
    *out = v;
    return OK;
}

const struct record *inventory_record(const struct inventory *v, str name)
{
    for (size_t i = 0; i < v->n_records; i++)
        if (str_eq(v->records[i].name, name))
            return &v->records[i];
    return NULL;
}

const struct purpose *inventory_purpose(const struct inventory *v, str name)
{
    for (size_t i = 0; i < v->n_purposes; i++)
        if (str_eq(v->purposes[i].name, name))
            return &v->purposes[i];
    return NULL;
}

const struct cookie *inventory_cookie(const struct inventory *v, str name)
{
    for (size_t i = 0; i < v->n_cookies; i++)
        if (str_eq(v->cookies[i].name, name))
            return &v->cookies[i];
    return NULL;
}

const struct service_account *inventory_account(const struct inventory *v, str service)
{
    for (size_t i = 0; i < v->n_accounts; i++)
        if (str_eq(v->accounts[i].service, service))
            return &v->accounts[i];
    return NULL;
}

str inventory_value_words(const struct catalog *c, const struct locale *l, struct arena *a,
                          const struct field *f, str value)
{
    str before, after;
    if (value.n == 0 || !str_cut(f->words, '*', &before, &after))
        return value;
    char *key = str_cstr(a, str_fmt(a, "%.*s%.*s%.*s", STR_FMT(before), STR_FMT(value), STR_FMT(after)));
    for (char *x = key; *x; x++)
        *x = *x == '+' ? '-' : *x;
    return catalog_key(c, str_from(key)) < 0 ? value : catalog_text(c, l, a, key, NULL);
}

bool inventory_is_account(const struct inventory *v, const struct record *r)
{
    for (size_t i = 0; i < v->n_accounts; i++)
        if (v->accounts[i].record == r)
            return true;
    return false;
}

bool service_account_offers(const struct service_account *s, const char *what)
{
    for (size_t i = 0; i < s->n_offers; i++)
        if (str_is(s->offers[i], what))
            return true;
    return false;
}

str inventory_field_key(struct arena *a, const struct record *r, const struct field *f)
{
    if (f->shared)
        return str_fmt(a, "field.enrolment.%.*s", STR_FMT(f->name));
    return str_fmt(a, "field.%.*s.%.*s", STR_FMT(r->name), STR_FMT(f->name));
}

const struct field *record_field(const struct record *r, str name)
{
    for (size_t i = 0; i < r->n_fields; i++)
        if (str_eq(r->fields[i].name, name))
            return &r->fields[i];
    return NULL;
}

const struct field *record_of_category(const struct record *r, const char *category)
{
    for (size_t i = 0; i < r->n_fields; i++)
        if (strcmp(r->fields[i].category->name, category) == 0)
            return &r->fields[i];
    return NULL;
}

bool record_has_subject(const struct record *r)
{
    return r->subject.n > 0;
}

bool record_is_subject(const struct record *r)
{
    return str_eq(r->subject, r->name);
}

bool record_of_any(const struct record *r)
{
    return str_is(r->subject, "any");
}

str record_subject_column(const struct record *r)
{
    return record_is_subject(r) ? STR("id") : record_of_any(r) ? STR("subject") : r->subject;
}

static enum err each_text_of_account(const struct service_account *s, struct arena *a,
                                     enum err (*each)(str key, void *arg), void *arg)
{
    TRY(each(str_fmt(a, "about.%.*s", STR_FMT(s->service)), arg));
    TRY(each(str_fmt(a, "now.%.*s", STR_FMT(s->service)), arg));
    if (s->terms > 0)
        TRY(each(str_fmt(a, "terms.%.*s.%d", STR_FMT(s->service), s->terms), arg));
    for (size_t i = 0; i < s->n_includes; i++)
        TRY(each(str_fmt(a, "service.%.*s", STR_FMT(s->includes[i])), arg));
    for (size_t i = 0; i < s->n_roles; i++)
        TRY(each(str_fmt(a, "role.%.*s.%.*s", STR_FMT(s->service), STR_FMT(s->roles[i])), arg));
    return OK;
}

enum err inventory_each_text(const struct inventory *v, struct arena *a,
                             enum err (*each)(str key, void *arg), void *arg)
{
    for (size_t i = 0; i < v->n_services; i++)
        TRY(each(str_fmt(a, "service.%.*s", STR_FMT(v->services[i])), arg));
    for (size_t i = 0; i < v->n_purposes; i++) {
        const struct purpose *p = &v->purposes[i];
        TRY(each(str_fmt(a, "purpose.%.*s", STR_FMT(p->name)), arg));
        if (p->basis == BASIS_CONSENT)
            TRY(each(str_fmt(a, "consent.%.*s.%d", STR_FMT(p->name), p->version), arg));
    }
    for (size_t i = 0; i < v->n_records; i++) {
        const struct record *r = &v->records[i];
        TRY(each(str_fmt(a, "record.%.*s", STR_FMT(r->name)), arg));
        for (size_t k = 0; k < r->n_fields; k++) {
            TRY(each(inventory_field_key(a, r, &r->fields[k]), arg));
            TRY(each(str_fmt(a, "category.%s", r->fields[k].category->name), arg));
        }
        for (size_t k = 0; k < r->n_rules; k++)
            TRY(each(str_fmt(a, "anchor.%.*s", STR_FMT(r->rules[k].name)), arg));
    }
    for (int i = 0; i < ROLES; i++)
        TRY(each(str_fmt(a, "role.%s", role_name((enum role)i)), arg));
    for (size_t i = 0; i < v->n_accounts; i++)
        TRY(each_text_of_account(&v->accounts[i], a, each, arg));
    for (size_t i = 0; i < v->n_cookies; i++)
        TRY(each(str_fmt(a, "cookie.%.*s", STR_FMT(v->cookies[i].name)), arg));
    for (size_t i = 0; i < v->n_promises; i++)
        TRY(each(str_fmt(a, "promise.%.*s", STR_FMT(v->promises[i].key)), arg));
    return OK;
}
