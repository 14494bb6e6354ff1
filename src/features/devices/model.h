/* Inside devices: what model.c, report.c and commands.c share. */
#ifndef FEATURES_DEVICES_MODEL_H
#define FEATURES_DEVICES_MODEL_H

#include "features/devices/devices.h"

/* The app speaks with its next token: from now on that is the only one. Nothing where it does not. */
CHECKED enum err binding_settle(struct tx *tx, const struct binding *b);

/* What is wrong, from what an app told; fills problems and n_problems. */
void product_judge(struct device_product *p);
/* The worst of a device's products at that moment. */
const char *device_state(const struct device_entry *d, moment now);

/* Is that one of the features that an app told, a JSON array of words? */
bool told_feature(str told, str feature);

/* The commands of a binding, or of all (none), are over: what was not done is not done any more. */
CHECKED enum err commands_drop(struct tx *tx, account_id which, binding_id binding);

/* The person has left My Account, or closes: every device is disconnected, here and now (MYA-22). */
CHECKED enum err devices_end(struct tx *tx, struct portal *p, account_id which);

/* Fixes that were asked for of late, the newest first; of one device, or of all (none). */
enum { FIXES_MAX = 400 };
CHECKED enum err fix_list(struct tx *tx, const struct privacy *p, account_id which, device_id device,
                          struct command **out, size_t *n);

/* Notes that those who use an office's devices were told before and agreed, in the words that were ticked. */
CHECKED enum err office_attest(struct tx *tx, const struct privacy *p, account_id which, str wording,
                               const char *language);

extern const struct named_check device_checks[];
extern const size_t n_device_checks;


#endif
