/* Company Account: what can be joined is declared in records.yaml; features/services does the rest. */
#include "features/feature.h"

extern const struct feature feature_company_account;

const struct feature feature_company_account = {.name = "company_account"};
