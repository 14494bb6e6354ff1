/* Part of `troth demo`: its people join services, and some leave. */
#ifndef CLI_DEMO_SERVICES_H
#define CLI_DEMO_SERVICES_H

#include "features/feature.h"

CHECKED enum err demo_join_services(struct portal *p, struct fault *f);

#endif
