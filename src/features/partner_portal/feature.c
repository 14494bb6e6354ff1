/* Partner Portal: what can be joined is declared in records.yaml; features/services does the rest. */
#include "features/feature.h"

extern const struct feature feature_partner_portal;

const struct feature feature_partner_portal = {.name = "partner_portal"};
