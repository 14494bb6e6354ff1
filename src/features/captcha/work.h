/*
 * Inside captcha: the proof of work, in ALTCHA's format (widget 3, "PBKDF2/SHA-256"): find a counter for
 * which PBKDF2(nonce + counter, salt, cost) begins with a zero byte: 256 tries on average.
 */
#ifndef FEATURES_CAPTCHA_WORK_H
#define FEATURES_CAPTCHA_WORK_H

#include "base/clock.h"
#include "base/json.h"

enum { WORK_BYTES = 16, WORK_COST = 5000, WORK_KEY = 32 };

/* What a challenge says; everything else in it is fixed. */
struct work_challenge {
    unsigned char nonce[WORK_BYTES], salt[WORK_BYTES];
    int64_t expires; /* seconds since 1970 */
};

struct work_solution {
    struct work_challenge challenge;
    str signature; /* as it came: hex */
    uint32_t counter;
    unsigned char key[WORK_KEY];
};

struct work_challenge work_new(moment now);
/* The text that is signed: the fields, each once, in their order. */
str work_text(struct arena *a, const struct work_challenge *c);
/* {"parameters": {…}, "signature": …} */
void work_put(json_t *to, struct arena *a, const struct work_challenge *c, str signature);
/* Reads what the widget sends (standard base64 of JSON). ERR_INPUT: anything but just that. */
CHECKED enum err work_read(struct arena *a, str payload, struct work_solution *out, struct fault *f);
/* Is the work done? Costs one derivation: ask only after the signature was right. */
bool work_done(const struct work_solution *s);

#endif
