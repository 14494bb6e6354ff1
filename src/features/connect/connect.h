/*
 * The Connect API: what other features may call. What apps send is declared in openapi.yaml.
 */
#ifndef FEATURES_CONNECT_H
#define FEATURES_CONNECT_H

#include "features/feature.h"

/* What people call an application (WPF-17): "Troth Agent"; the ID itself where there is no such one any more. */
str connect_application_name(const struct portal *p, str application);

#endif
