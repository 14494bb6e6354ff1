/* Inside account: the set that tools/common_passwords.py makes of Debian's word lists; sorted. */
#ifndef FEATURES_ACCOUNT_COMMON_H
#define FEATURES_ACCOUNT_COMMON_H

#include <stddef.h>
#include <stdint.h>

extern const uint32_t *const common_hashes;
extern const size_t common_count;

#endif
