/* Business Hub: what can be joined is declared in records.yaml; features/services does the rest. */
#include "features/feature.h"

extern const struct feature feature_business_hub;

const struct feature feature_business_hub = {.name = "business_hub"};
