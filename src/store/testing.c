#include "store/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const struct fault *f)
{
    fprintf(stderr, "%s: %s\n", what, f->text);
    abort();
}

bool testing_wants(enum db_kind kind)
{
    return (getenv("TROTH_TEST_POSTGRES") != NULL) == (kind == DB_POSTGRES);
}

void testing_db_open(struct testing_db *t, enum db_kind kind, const char *name)
{
    struct fault f = {0};
    memset(t, 0, sizeof *t);
    t->kind = kind;
    snprintf(t->dir, sizeof t->dir, "/tmp/troth-test-XXXXXX");
    if (mkdtemp(t->dir) == NULL)
        die("mkdtemp", &f);
    if (kind == DB_SQLITE) {
        snprintf(t->url, sizeof t->url, "sqlite:%s/%s.db", t->dir, name);
        snprintf(t->space, sizeof t->space, "public");
    } else {
        id i = id_new();
        snprintf(t->url, sizeof t->url, "%s", getenv("TROTH_TEST_POSTGRES"));
        snprintf(t->space, sizeof t->space, "t_%s", i.text);
    }
    struct db_config config = {.url = str_from(t->url), .space = t->space};
    if (db_open(&t->db, &config, &f) != OK)
        die("open", &f);
}

void testing_db_close(struct testing_db *t)
{
    struct fault f = {0};
    char command[128];
    if (t->kind == DB_POSTGRES) {
        struct arena *a = arena_new(1 << 20);
        struct tx *tx = tx_begin(t->db, TX_WRITE, a, &f);
        if (tx_ddl(tx, str_fmt(a, "DROP SCHEMA %s CASCADE", t->space)) != OK || tx_commit(tx) != OK)
            die("drop", &f);
        tx_end(&tx);
        arena_free(&a);
    }
    db_close(&t->db);
    snprintf(command, sizeof command, "rm -rf %s", t->dir);
    if (system(command) != 0)
        die(command, &f);
}
