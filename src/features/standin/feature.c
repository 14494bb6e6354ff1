/* Stands in for second factors in tests of the desk until there are some: TO BE DROPPED WITH THIS COMMIT. */
#include "features/feature.h"

#include <stdlib.h>
#include <string.h>

static enum err second_factor(struct tx *tx, struct portal *p, id account, bool *on)
{
    const char *value = getenv("TROTH_TEST_SECOND_FACTOR");
    (void)tx, (void)p, (void)account;
    *on = value && strcmp(value, "on") == 0;
    return OK;
}

const struct feature feature_standin = {.name = "standin", .second_factor = second_factor};
