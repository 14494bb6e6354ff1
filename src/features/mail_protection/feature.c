/* Mail Protection for Microsoft 365: what can be joined is declared in records.yaml; features/services does the rest. */
#include "features/feature.h"

extern const struct feature feature_mail_protection;

const struct feature feature_mail_protection = {.name = "mail_protection"};
