/* Inside captcha: questions in words. Everything about one follows from a random number. */
#ifndef FEATURES_CAPTCHA_QUESTION_H
#define FEATURES_CAPTCHA_QUESTION_H

#include "text/i18n.h"

enum { NONCE_BYTES = 16 };

/* What travels with a question, "TIME.NONCE.SIGNATURE": the nonce says which question it is. */
struct asked {
    int64_t made; /* milliseconds since 1970; as microseconds they are a moment */
    unsigned char nonce[NONCE_BYTES];
};
/* Without the signature, which is over that text. */
str question_token(struct arena *a, const struct asked *q);
/* False where it cannot be read. *text and *signature are parts of the token. */
bool question_read(struct arena *a, str token, struct asked *q, str *text, str *signature);

/* The question as people read it. */
str question_text(const struct catalog *c, const struct locale *l, struct arena *a, uint32_t number);
/* Is that the answer, as a numeral or as a word, in any of the languages? */
bool question_answered(const struct catalog *c, struct arena *a, uint32_t number, str answer);

#endif
