/*
 * Inside connect: a part of JSON Schema 2020-12, read at the start from our own OpenAPI document and held
 * against every message.
 *
 * Words: type (one, or a list), enum (of texts), minLength and maxLength (code points), pattern (anchored;
 * what POSIX extended expressions and ECMA-262 read alike), format (email, date-time), minimum, maximum,
 * properties, required, additionalProperties (false, or a schema), maxProperties, items, maxItems, $ref
 * (within the document), description, writeOnly; and our own x-max-bytes and x-wpf. Another word, or one where
 * it means nothing, stops the start. Every text is a line: no control characters.
 */
#ifndef FEATURES_CONNECT_SHAPE_H
#define FEATURES_CONNECT_SHAPE_H

#include "base/json.h"

struct shape;

/* All that are made of one document; they refer to one another. */
struct shape_set;

struct shape_set *shape_set_new(struct arena *a, const json_t *document);
void shape_set_free(struct shape_set **s); /* what patterns hold; for CLEANUP. The rest is the arena's */

/* Compiles the schema that stands at `at`, and those that it refers to. ERR_INPUT, naming `where`. */
CHECKED enum err shape_make(struct shape_set *s, const json_t *at, const char *where, struct shape **out,
                             struct fault *f);
/* Does it, wherever it takes an object, say which members that has? Only such are for messages. */
bool shape_is_closed(const struct shape *s);

/* What a message is wrong in: a member ("device.os_type") and a key problem.field-…; called for each. */
typedef void shape_wrong(void *arg, str name, const char *why);
/* Checks a value; `name` is what it is called itself (empty: the message). */
void shape_check(const struct shape *s, struct arena *a, str name, const json_t *value, shape_wrong *wrong,
                  void *arg);
/* The same of a text from a path, a query, a header. */
void shape_check_text(const struct shape *s, struct arena *a, str name, str text, shape_wrong *wrong, void *arg);

/* Is the member one that is used and not kept (writeOnly)? */
bool shape_is_secret(const struct shape *s, const char *member);

#endif
