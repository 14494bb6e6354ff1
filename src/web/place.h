/*
 * About where a network address is, from a file that the operator keeps (MaxMind's format, such as those of
 * MaxMind or DB-IP). Looked up when it is shown, and stored nowhere. Right about the country as a rule,
 * about the town now and then: people are told "about".
 */
#ifndef WEB_PLACE_H
#define WEB_PLACE_H

#include "text/format.h"

struct places;

/* An empty name: none are known (*out is NULL). ERR_INPUT: no such file, or not in that format. */
CHECKED enum err places_open(struct places **out, str file, struct fault *f);
void places_close(struct places **p);

/* "Lund, Sweden", or the country alone, in the reader's language; empty where nothing is known. */
str place_of(const struct places *p, struct arena *a, const struct locale *l, str address);

#endif
