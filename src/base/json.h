/*
 * JSON values (jansson), with our slices and our release by declaration.
 *
 * The json_put… functions add a member to an object. Text that is not valid UTF-8 is a bug of
 * the caller (it is checked at the door) and aborts.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/clock.h"
#include "base/str.h"

#include <jansson.h>

void json_done(json_t **j); /* CLEANUP(json_done) json_t *view = json_object(); */

void json_put(json_t *object, const char *key, json_t *value); /* takes the value */
void json_put_str(json_t *object, const char *key, str s);
void json_put_text(json_t *object, const char *key, const char *cstring);
void json_put_int(json_t *object, const char *key, int64_t v);
void json_put_bool(json_t *object, const char *key, bool v);
void json_put_moment(json_t *object, const char *key, struct arena *a, moment m); /* RFC 3339 */

/* Adds an empty object or array under `key` (or at an array's end) and lends it. */
json_t *json_put_object(json_t *object, const char *key);
json_t *json_put_array(json_t *object, const char *key);
json_t *json_add_object(json_t *array);
void json_add_str(json_t *array, str s);

/* Reading; what is absent or of another type gives the empty answer. */
str json_str(const json_t *value);
str json_get_str(const json_t *object, const char *key);
int64_t json_get_int(const json_t *object, const char *key);
bool json_get_bool(const json_t *object, const char *key);

/* As text: members in the order in which they were put. `pretty` indents. */
str json_encode(struct arena *a, const json_t *value, bool pretty);
/* One value, nothing after it, no duplicate names; the caller owns it. ERR_INPUT. */
CHECKED enum err json_decode(str s, json_t **out, struct fault *f);

#endif
