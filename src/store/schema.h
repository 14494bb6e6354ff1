/*
 * Tables as data: what a database must hold, the DDL that makes it on either database, and the
 * check that it holds just that.
 *
 * A schema is composed by the rooms that own tables (privacy from records.yaml, vault for its
 * keyring). Column order is the declared order. Names are [a-z][a-z0-9_]*, at most 40 bytes, and
 * no reserved words.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "store/db.h"

enum column_type {
    COLUMN_TEXT,
    COLUMN_INT,    /* 64 bits */
    COLUMN_TIME,   /* microseconds UTC */
    COLUMN_FLAG,   /* 0 or 1 */
    COLUMN_BLOB,
    COLUMN_SEALED, /* a blob that only the vault opens */
};

/* What kind of table it is (docs/sql.md rule 4); Citus distributes by it. */
enum table_kind {
    TABLE_SUBJECT,   /* the data subjects themselves: id is the key */
    TABLE_TENANT,    /* belongs to a subject, whose column is first in the key */
    TABLE_LOOKUP,    /* finds a subject by something globally unique */
    TABLE_REFERENCE, /* small, of nobody */
    TABLE_QUEUE,     /* work to be done */
    TABLE_LOG,       /* appended to, of nobody */
};

struct column {
    str name;
    enum column_type type;
    bool null;
};

struct index {
    str name;
    str *columns;
    size_t n_columns;
    bool unique;
    str where_not_null; /* a partial index: rows where this column has a value; empty: all rows */
};

struct table {
    str name;
    enum table_kind kind;
    str subject;  /* the column that names its subject; empty: of nobody */
    bool foreign; /* that column is a foreign key to the table of the same name */
    struct column *columns;
    size_t n_columns;
    str *key; /* the primary key's columns */
    size_t n_key;
    struct index *indexes;
    size_t n_indexes;
};

struct schema {
    struct table *tables; /* subjects before what belongs to them */
    size_t n_tables;
};

/* A change to what has shipped. Numbers rise by one from 1; statements end with ";\n". */
struct migration {
    int number;
    const char *title;
    str sql;
};

struct migrations {
    const struct migration *list; /* in order */
    size_t n;
};

/* Is it a name that both databases take unquoted? */
bool schema_name_ok(str name);

/* CREATE TABLE and CREATE INDEX for one table, each statement on its own. */
void schema_ddl(const struct table *t, enum db_kind kind, struct arena *a, str **statements,
                size_t *n);

/*
 * Makes the database hold the schema: all of it in an empty database; in one that has shipped, the
 * migrations it lacks, then the tables and indexes that are new. One transaction: whole or not at
 * all. `changes` (may be NULL) is the number of statements run.
 * ERR_CONFLICT: it is from a newer version of the program, or holds what nobody declared.
 */
CHECKED enum err schema_migrate(struct db *db, const struct schema *schema,
                                const struct migrations *m, struct arena *a, int *changes,
                                struct fault *f);

enum schema_state { SCHEMA_CURRENT, SCHEMA_EMPTY, SCHEMA_OLDER };

/*
 * Compares the database with the schema. ERR_CONFLICT, with the name of the first table or column
 * that differs (undeclared, missing, of another type) or the number of the newer version.
 * An older version is no error here: *state tells.
 */
CHECKED enum err schema_check(struct db *db, const struct schema *schema,
                              const struct migrations *m, struct arena *a,
                              enum schema_state *state, struct fault *f);

/* The statements that distribute the tables on Citus, in their order, as a file to run. */
str schema_citus(const struct schema *schema, struct arena *a);

#endif
