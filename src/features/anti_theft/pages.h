/* Inside anti_theft. */
#ifndef FEATURES_ANTI_THEFT_PAGES_H
#define FEATURES_ANTI_THEFT_PAGES_H

#include "features/devices/devices.h"

#define LIST "/anti-theft"

extern const struct route anti_theft_routes[];

#endif
