/* Inside captcha: questions in words. Everything about one follows from a random number. */
#ifndef FEATURES_CAPTCHA_QUESTION_H
#define FEATURES_CAPTCHA_QUESTION_H

#include "text/i18n.h"

/* The question as people read it. */
str question_text(const struct catalog *c, const struct locale *l, struct arena *a, uint32_t number);
/* Is that the answer, as a numeral or as a word, in any of the languages? */
bool question_answered(const struct catalog *c, struct arena *a, uint32_t number, str answer);

#endif
