/* Part of `troth demo`: connected devices (demo_devices.c). The people and their services must be there. */
#ifndef CLI_DEMO_DEVICES_H
#define CLI_DEMO_DEVICES_H

#include "features/feature.h"

CHECKED enum err demo_connect_devices(struct portal *p, struct fault *f);

#endif
