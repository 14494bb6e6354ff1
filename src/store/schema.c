#include "store/schema.h"

#include <string.h>

enum { MAX_NAME = 40, MAX_DDL = 64 * 1024 };

#define VERSION_TABLE "schema_version"

bool schema_name_ok(str name)
{
    /* Words that SQLite 3.40 or PostgreSQL 15 keep for themselves, and our own table. */
    static const char *const reserved[] = {
        VERSION_TABLE,
        "add", "all", "alter", "analyse", "analyze", "and", "any", "array", "as", "asc",
        "asymmetric", "authorization", "autoincrement", "between", "binary", "both", "by", "case",
        "cast", "check", "collate", "collation", "column", "commit", "concurrently", "constraint",
        "create", "cross", "current_catalog", "current_date", "current_role", "current_schema",
        "current_time", "current_timestamp", "current_user", "default", "deferrable", "delete",
        "desc", "distinct", "do", "drop", "else", "end", "escape", "except", "exists", "false",
        "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group", "having", "if",
        "ilike", "in", "index", "initially", "inner", "insert", "intersect", "into", "is",
        "isnull", "join", "lateral", "leading", "left", "like", "limit", "localtime",
        "localtimestamp", "natural", "not", "nothing", "notnull", "null", "offset", "on", "only",
        "or", "order", "outer", "overlaps", "placing", "primary", "raise", "references",
        "returning", "right", "select", "session_user", "set", "similar", "some", "symmetric",
        "table", "tablesample", "then", "to", "trailing", "transaction", "true", "union",
        "unique", "update", "user", "using", "values", "variadic", "verbose", "when", "where",
        "window", "with",
    };
    if (name.n == 0 || name.n > MAX_NAME || name.p[0] < 'a' || name.p[0] > 'z' ||
        str_starts(name, STR("sqlite_")))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    for (size_t i = 0; i < COUNT(reserved); i++)
        if (str_is(name, reserved[i]))
            return false;
    return true;
}

static const char *type_word(enum column_type type, enum db_kind kind)
{
    switch (type) {
    case COLUMN_TEXT:
        return "TEXT";
    case COLUMN_INT:
    case COLUMN_TIME:
        return "BIGINT";
    case COLUMN_FLAG:
        return "INTEGER";
    case COLUMN_BLOB:
    case COLUMN_SEALED:
        return kind == DB_SQLITE ? "BLOB" : "BYTEA";
    }
    return "";
}

static void put_names(struct buf *b, const str *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_text(b, ", ");
        buf_put(b, names[i]);
    }
}

static str create_table(const struct table *t, enum db_kind kind, struct arena *a)
{
    struct buf b = buf_new(a, MAX_DDL);
    buf_fmt(&b, "CREATE TABLE %.*s (", STR_FMT(t->name));
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct column *c = &t->columns[i];
        buf_fmt(&b, "%.*s %s%s, ", STR_FMT(c->name), type_word(c->type, kind),
                c->null ? "" : " NOT NULL");
    }
    buf_text(&b, "PRIMARY KEY (");
    put_names(&b, t->key, t->n_key);
    buf_char(&b, ')');
    if (t->foreign)
        buf_fmt(&b, ", FOREIGN KEY (%.*s) REFERENCES %.*s(id) ON DELETE CASCADE",
                STR_FMT(t->subject), STR_FMT(t->subject));
    buf_char(&b, ')');
    return buf_str(&b);
}

static str create_index(const struct table *t, const struct index *x, struct arena *a)
{
    struct buf b = buf_new(a, MAX_DDL);
    buf_fmt(&b, "CREATE %sINDEX IF NOT EXISTS %.*s ON %.*s (", x->unique ? "UNIQUE " : "",
            STR_FMT(x->name), STR_FMT(t->name));
    put_names(&b, x->columns, x->n_columns);
    buf_char(&b, ')');
    if (x->where_not_null.n)
        buf_fmt(&b, " WHERE %.*s IS NOT NULL", STR_FMT(x->where_not_null));
    return buf_str(&b);
}

void schema_ddl(const struct table *t, enum db_kind kind, struct arena *a, str **statements,
                size_t *n)
{
    str *list = ARENA_ARRAY(a, str, t->n_indexes + 1);
    list[0] = create_table(t, kind, a);
    for (size_t i = 0; i < t->n_indexes; i++)
        list[i + 1] = create_index(t, &t->indexes[i], a);
    *statements = list;
    *n = t->n_indexes + 1;
}

/* ---- what the database holds ---- */

struct found {
    str table;
    str column;
    str type;
    bool null;
};

/* All that can hold a value or show one: generated columns and (materialized) views too, and on
 * PostgreSQL tables that this user may not read (information_schema would hide them). */
static enum err read_found(struct tx *tx, struct found **out, size_t *n)
{
    struct query *q =
        db_kind(tx_db(tx)) == DB_SQLITE
            ? SQL(tx, "SELECT m.name, p.name, upper(p.type), p.\"notnull\" "
                      "FROM sqlite_master m JOIN pragma_table_xinfo(m.name) p "
                      "WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' "
                      "ORDER BY m.name, p.cid")
            : SQL(tx, "SELECT c.relname, a.attname, upper(format_type(a.atttypid, NULL)), "
                      "CASE WHEN a.attnotnull THEN 1 ELSE 0 END FROM pg_namespace n "
                      "JOIN pg_class c ON c.relnamespace = n.oid "
                      "JOIN pg_attribute a ON a.attrelid = c.oid "
                      "WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') "
                      "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum");
    struct arena *a = tx_arena(tx);
    struct found *list = NULL;
    size_t cap = 0;
    *n = 0;
    while (query_row(q)) {
        ARENA_GROW(a, list, cap, *n + 1);
        list[(*n)++] = (struct found){row_text(q, 0), row_text(q, 1), row_text(q, 2),
                                      row_int(q, 3) == 0};
    }
    *out = list;
    return query_end(q);
}

static const struct table *table_named(const struct schema *s, str name)
{
    for (size_t i = 0; i < s->n_tables; i++)
        if (str_eq(s->tables[i].name, name))
            return &s->tables[i];
    return NULL;
}

static const struct column *column_named(const struct table *t, str name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (str_eq(t->columns[i].name, name))
            return &t->columns[i];
    return NULL;
}

static bool has_table(const struct found *found, size_t n, str table)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(found[i].table, table))
            return true;
    return false;
}

static bool has_column(const struct found *found, size_t n, str table, str column)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(found[i].table, table) && str_eq(found[i].column, column))
            return true;
    return false;
}

static enum err compare_found(const struct found *x, const struct schema *schema, enum db_kind kind,
                              struct fault *f)
{
    if (str_is(x->table, VERSION_TABLE))
        return OK;
    const struct table *t = table_named(schema, x->table);
    if (t == NULL)
        return FAIL(f, ERR_CONFLICT, "table %.*s is in the database, and no records.yaml declares it",
                    STR_FMT(x->table));
    const struct column *c = column_named(t, x->column);
    if (c == NULL)
        return FAIL(f, ERR_CONFLICT,
                    "column %.*s.%.*s is in the database, and no records.yaml declares it",
                    STR_FMT(x->table), STR_FMT(x->column));
    if (!str_is(x->type, type_word(c->type, kind)) || x->null != c->null)
        return FAIL(f, ERR_CONFLICT, "column %.*s.%.*s is %.*s%s in the database, declared as %s%s",
                    STR_FMT(x->table), STR_FMT(x->column), STR_FMT(x->type),
                    x->null ? "" : " NOT NULL", type_word(c->type, kind), c->null ? "" : " NOT NULL");
    return OK;
}

static enum err compare(const struct found *found, size_t n, const struct schema *schema,
                        enum db_kind kind, struct fault *f)
{
    for (size_t i = 0; i < n; i++)
        TRY(compare_found(&found[i], schema, kind, f));
    for (size_t i = 0; i < schema->n_tables; i++) {
        const struct table *t = &schema->tables[i];
        for (size_t k = 0; k < t->n_columns; k++)
            if (!has_column(found, n, t->name, t->columns[k].name))
                return FAIL(f, ERR_CONFLICT, "column %.*s.%.*s is declared and not in the database",
                            STR_FMT(t->name), STR_FMT(t->columns[k].name));
    }
    return OK;
}

/* ---- versions ---- */

static enum err read_version(struct tx *tx, int64_t *version)
{
    struct query *q = SQL(tx, "SELECT number FROM " VERSION_TABLE);
    *version = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

static int latest_of(const struct migrations *m)
{
    return m->n ? m->list[m->n - 1].number : 0;
}

static enum err check_version(int64_t version, const struct migrations *m, struct fault *f)
{
    if (version <= latest_of(m))
        return OK;
    return FAIL(f, ERR_CONFLICT,
                "the database is from a newer version of this program (schema %lld; this one knows "
                "up to %d)",
                (long long)version, latest_of(m));
}

static enum err run_statements(struct tx *tx, str sql, int *changes)
{
    while ((sql = str_trim(sql)).n > 0) {
        const char *end = memmem(sql.p, sql.n, ";\n", 2);
        size_t n = end ? (size_t)(end - sql.p) : sql.n;
        str one = str_head(sql, n);
        if (one.n > 0 && one.p[one.n - 1] == ';')
            one.n--;
        TRY(tx_ddl(tx, one));
        (*changes)++;
        sql = str_skip(sql, end ? n + 2 : n);
    }
    return OK;
}

static enum err run_migrations(struct tx *tx, const struct migrations *m, int64_t version,
                               int *changes)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->list[i].number <= version)
            continue;
        enum err e = run_statements(tx, m->list[i].sql, changes);
        if (e != OK)
            fault_prefix(tx_fault(tx), "migration %d (%s): ", m->list[i].number, m->list[i].title);
        TRY(e);
    }
    return OK;
}

static enum err create_missing(struct tx *tx, const struct schema *schema, int *changes)
{
    struct found *found;
    size_t n;
    TRY(read_found(tx, &found, &n));
    for (size_t i = 0; i < schema->n_tables; i++) {
        const struct table *t = &schema->tables[i];
        str *statements;
        size_t count;
        schema_ddl(t, db_kind(tx_db(tx)), tx_arena(tx), &statements, &count);
        bool there = has_table(found, n, t->name);
        for (size_t k = there; k < count; k++)
            TRY(tx_ddl(tx, statements[k]));
        *changes += there ? 0 : (int)count;
    }
    TRY(read_found(tx, &found, &n));
    return compare(found, n, schema, db_kind(tx_db(tx)), tx_fault(tx));
}

static enum err migrate(struct tx *tx, const struct schema *schema, const struct migrations *m,
                        int *changes)
{
    struct found *found;
    size_t n;
    int64_t version = latest_of(m);
    TRY(read_found(tx, &found, &n));
    if (has_table(found, n, STR(VERSION_TABLE))) {
        TRY(read_version(tx, &version));
        TRY(check_version(version, m, tx_fault(tx)));
        TRY(run_migrations(tx, m, version, changes));
    } else if (n > 0) {
        return FAIL(tx_fault(tx), ERR_CONFLICT,
                    "the database holds tables of something else (%.*s …); give this program one "
                    "of its own",
                    STR_FMT(found[0].table));
    } else {
        TRY(tx_ddl(tx, STR("CREATE TABLE " VERSION_TABLE " (number BIGINT NOT NULL)")));
        TRY(query_run(SQL(tx, "INSERT INTO " VERSION_TABLE " (number) VALUES (0)")));
    }
    TRY(create_missing(tx, schema, changes));
    struct query *q = SQL(tx, "UPDATE " VERSION_TABLE " SET number = $1");
    bind_int(q, latest_of(m));
    return query_run(q);
}

enum err schema_migrate(struct db *db, const struct schema *schema, const struct migrations *m,
                        struct arena *a, int *changes, struct fault *f)
{
    int count = 0;
    struct fault own = {0};
    CLEANUP(tx_end) struct tx *tx = tx_begin(db, TX_WRITE, a, f ? f : &own);
    TRY(tx_error(tx));
    TRY(migrate(tx, schema, m, &count));
    TRY(tx_commit(tx));
    if (changes)
        *changes = count;
    return OK;
}

enum err schema_check(struct db *db, const struct schema *schema, const struct migrations *m,
                      struct arena *a, enum schema_state *state, struct fault *f)
{
    struct found *found;
    size_t n;
    int64_t version;
    CLEANUP(tx_end) struct tx *tx = tx_begin(db, TX_READ, a, f);
    TRY(read_found(tx, &found, &n));
    if (n == 0) {
        *state = SCHEMA_EMPTY;
        return OK;
    }
    if (!has_table(found, n, STR(VERSION_TABLE)))
        return FAIL(f, ERR_CONFLICT, "table %.*s is in the database, and no records.yaml declares it",
                    STR_FMT(found[0].table));
    TRY(read_version(tx, &version));
    TRY(check_version(version, m, f));
    if (version < latest_of(m)) {
        *state = SCHEMA_OLDER;
        return OK;
    }
    *state = SCHEMA_CURRENT;
    return compare(found, n, schema, db_kind(db), f);
}

str schema_citus(const struct schema *schema, struct arena *a)
{
    struct buf b = buf_new(a, MAX_DDL);
    buf_text(&b, "SET citus.enable_local_reference_table_foreign_keys = off;\n");
    static const enum table_kind order[] = {TABLE_REFERENCE, TABLE_SUBJECT, TABLE_TENANT,
                                            TABLE_LOOKUP};
    for (size_t k = 0; k < COUNT(order); k++) {
        for (size_t i = 0; i < schema->n_tables; i++) {
            const struct table *t = &schema->tables[i];
            if (t->kind != order[k])
                continue;
            if (t->kind == TABLE_REFERENCE)
                buf_fmt(&b, "SELECT create_reference_table('%.*s');\n", STR_FMT(t->name));
            else if (t->foreign)
                buf_fmt(&b,
                        "SELECT create_distributed_table('%.*s', '%.*s', colocate_with => '%.*s');\n",
                        STR_FMT(t->name), STR_FMT(t->subject), STR_FMT(t->subject));
            else
                buf_fmt(&b, "SELECT create_distributed_table('%.*s', '%.*s'%s);\n", STR_FMT(t->name),
                        STR_FMT(t->key[0]), t->kind == TABLE_LOOKUP ? ", colocate_with => 'none'" : "");
        }
    }
    return buf_str(&b);
}
