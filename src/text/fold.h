/*
 * Words that two people, or one person twice, write differently and mean the same (ICU).
 */
#ifndef TEXT_FOLD_H
#define TEXT_FOLD_H

#include "base/arena.h"
#include "base/str.h"

/*
 * Unicode's NFKC_Casefold (UAX #31), then blanks: none at the ends, one between words. "Fluffy  the ＣＡＴ "
 * is "fluffy the cat". Empty where it is no UTF-8.
 */
str text_fold(struct arena *a, str s);

#endif
