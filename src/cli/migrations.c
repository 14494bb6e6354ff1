#include "cli/migrations.h"

/* Nothing has shipped yet. The first change adds: {1, "what it does", STR("…;\n")}. */
const struct migrations migrations = {NULL, 0};
