/*
 * Messages of programs (rows under /api/): one JSON object each, with limits on its size (the row's), its
 * depth and the number of its values. What it may hold is checked by the row's message_fn.
 */
#ifndef WEB_MESSAGE_H
#define WEB_MESSAGE_H

#include "base/json.h"

enum { MESSAGE_DEPTH = 8, MESSAGE_VALUES = 512 };

/* The caller owns it. ERR_INPUT: no object, something after it, too deep, too many values, a name twice. */
CHECKED enum err message_read(str body, json_t **out, struct fault *f);

#endif
