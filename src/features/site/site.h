/* Inside site. */
#ifndef FEATURES_SITE_H
#define FEATURES_SITE_H

#include "features/feature.h"

extern const struct route policy_routes[];
extern const struct feature feature_site;

#endif
