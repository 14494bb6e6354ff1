/* Changes to what has shipped, by number (docs/migrations.md). */
#ifndef CLI_MIGRATIONS_H
#define CLI_MIGRATIONS_H

#include "store/schema.h"

extern const struct migrations migrations;

#endif
