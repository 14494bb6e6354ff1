/* For tests of every room: a fresh database of either kind, gone afterwards. */
#ifndef STORE_TESTING_H
#define STORE_TESTING_H

#include "store/db.h"

struct testing_db {
    struct db *db;
    enum db_kind kind;
    char url[512];   /* to open it a second time */
    char space[64];  /* PostgreSQL: the schema */
    char dir[64];    /* a folder of the test's own: holds the SQLite file, and what it likes */
};

/* Is this kind of database to be tested on? PostgreSQL where script/with-postgres has set
 * TROTH_TEST_POSTGRES, and then only it. */
bool testing_wants(enum db_kind kind);

/* A new database; a failure ends the test program. `name` tells two of one test apart. */
void testing_db_open(struct testing_db *t, enum db_kind kind, const char *name);
void testing_db_close(struct testing_db *t);

#endif
