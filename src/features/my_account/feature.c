/* My Account: what can be joined is declared in records.yaml; features/services does the rest. */
#include "features/feature.h"

extern const struct feature feature_my_account;

const struct feature feature_my_account = {.name = "my_account"};
