/*
 * Declarations: records.yaml, and the organisation's own file.
 *
 * Input: one YAML file, read as either: as declarations alone, or else beside those of a small
 * neighbour. What must hold of an inventory that is accepted:
 * - what identifies a person is sealed, or a sealed file;
 * - every column of a primary key always has a value and stands there once, and a tenant's key
 *   begins with its subject;
 * - what the file calls unique, is;
 * - SQLite takes the statements that follow from it, and makes every table and every index.
 */
#include "fuzz.h"

#include <sqlite3.h>

#include "privacy/organisation.h"

static const char *const languages[] = {"en", "sv"};

/* What another feature declares, for files that refer to it. */
static const char neighbour[] =
    "service: neighbour\n"
    "purposes:\n"
    "  run-portal: {legal_basis: legitimate-interest}\n"
    "records:\n"
    "  account:\n"
    "    kind: subject\n"
    "    purpose: run-portal\n"
    "    keep: [{after: closed, for: P1M}]\n"
    "    fields:\n"
    "      email:  {type: sealed, category: email-address}\n"
    "      closed: {type: time, category: lifecycle, null: true}\n";

static void check_fields(const struct record *r)
{
    for (size_t i = 0; i < r->n_fields; i++) {
        const struct field *f = &r->fields[i];
        MUST(f->category != NULL);
        MUST(!f->category->sealed || f->type == COLUMN_SEALED || f->file);
        MUST(record_field(r, f->name) == f);
    }
    for (size_t i = 0; i < r->n_rules; i++)
        MUST(r->rules[i].record == r);
    MUST(r->purpose != NULL);
}

static const struct column *column_of(const struct table *t, str name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (str_eq(t->columns[i].name, name))
            return &t->columns[i];
    return NULL;
}

static void check_key(const struct table *t)
{
    MUST(t->n_key > 0);
    for (size_t i = 0; i < t->n_key; i++) {
        const struct column *c = column_of(t, t->key[i]);
        MUST(c != NULL && !c->null);
        for (size_t k = 0; k < i; k++)
            MUST(!str_eq(t->key[i], t->key[k]));
    }
    MUST(t->kind != TABLE_TENANT || str_eq(t->key[0], t->subject));
}

static bool is_unique(const struct table *t, const struct yaml *columns)
{
    for (size_t i = 0; i < t->n_indexes; i++) {
        const struct index *x = &t->indexes[i];
        size_t at = 0;
        YAML_EACH(c, columns)
        at += at < x->n_columns && str_eq(x->columns[at], c->text);
        if (x->unique && at == columns->count && at == x->n_columns)
            return true;
    }
    return false;
}

static void check_unique(struct arena *a, const struct inventory *v, str text)
{
    struct yaml *root;
    MUST(yaml_parse(a, text, &root, NULL) == OK);
    YAML_EACH(r, yaml_get(root, "records"))
    YAML_EACH(columns, yaml_get(r, "unique"))
    MUST(is_unique(inventory_record(v, r->key)->table, columns));
}

static int count_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    MUST(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW);
    int n = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* Runs the statements; a name that stands for two things would leave one of them unmade. */
static void check_ddl(struct arena *a, const struct schema *schema)
{
    sqlite3 *db;
    size_t indexes = 0, n;
    str *list;
    MUST(sqlite3_open(":memory:", &db) == SQLITE_OK);
    MUST(sqlite3_exec(db, "CREATE TABLE schema_version (number BIGINT)", NULL, NULL, NULL) ==
         SQLITE_OK);
    for (size_t i = 0; i < schema->n_tables; i++) {
        schema_ddl(&schema->tables[i], DB_POSTGRES, a, &list, &n);
        MUST(n == schema->tables[i].n_indexes + 1);
        for (size_t k = 0; k < n; k++)
            MUST(list[k].n > 0);
        schema_ddl(&schema->tables[i], DB_SQLITE, a, &list, &n);
        for (size_t k = 0; k < n; k++) {
            char *message = NULL, *sql = str_cstr(a, list[k]);
            if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
                fprintf(stderr, "%s: %s\n", sql, message);
            MUST(message == NULL);
        }
        indexes += n - 1;
    }
    MUST(count_of(db, "SELECT count(*) FROM sqlite_master WHERE type = 'table'") ==
         (int)schema->n_tables + 1);
    MUST(count_of(db, "SELECT count(*) FROM sqlite_master WHERE type = 'index' "
                      "AND sql IS NOT NULL") == (int)indexes);
    sqlite3_close(db);
}

static enum err see_key(str key, void *arg)
{
    (void)arg;
    MUST(key.n > 0);
    return OK;
}

static enum err read_inventory(struct arena *a, str text, struct inventory **out, struct fault *f)
{
    struct inventory_source sources[] = {{STR("records.yaml"), text},
                                         {STR("neighbour.yaml"), str_from(neighbour)}};
    enum err e = inventory_read(a, sources, 1, out, f);
    if (e == OK)
        return OK;
    MUST(f->code == e && f->text[0] != '\0');
    fault_clear(f);
    return inventory_read(a, sources, 2, out, f);
}

static void check_inventory(struct arena *a, const struct inventory *v, str text)
{
    for (size_t i = 0; i < v->n_records; i++) {
        check_fields(&v->records[i]);
        check_key(&v->schema.tables[i]);
    }
    check_unique(a, v, text);
    check_ddl(a, &v->schema);
    MUST(schema_citus(&v->schema, a).n > 0);
    MUST(inventory_each_text(v, a, see_key, NULL) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(FUZZ_ARENA);
    str text = str_of(data, n);
    struct inventory *v = NULL;
    struct organisation *o = NULL;
    struct fault f = {0}, other = {0};

    if (read_inventory(a, text, &v, &f) == OK)
        check_inventory(a, v, text);
    if (organisation_read(a, STR("organisation.yaml"), text, languages, COUNT(languages), &o,
                          &other) == OK) {
        MUST(o->n_controllers > 0 && o->product.n > 0 && o->authority.name.n > 0);
        MUST(organisation_controller(o, (str){NULL, 0}) == &o->controllers[0]);
    } else {
        MUST(other.code != OK && other.text[0] != '\0');
    }
    arena_free(&a);
    return 0;
}
