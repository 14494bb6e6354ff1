/* Inside web: which row of which table answers a path. */
#ifndef WEB_ROUTER_H
#define WEB_ROUTER_H

#include "web/web.h"

struct router;

/* Checks every row, and what the staff's rows read against the inventory (NULL: there are no records).
 * ERR_INPUT by its path. */
CHECKED enum err router_new(struct arena *a, const struct inventory *v,
                            const struct route *const *lists, size_t n, struct router **out,
                            struct fault *f);

/* The i-th row; NULL after the last. */
const struct route *router_row(const struct router *r, size_t i);

/* The row for method and path; *allowed are the methods that the path knows (0: no such path). */
const struct route *router_find(const struct router *r, enum method method, str path,
                                str segments[MAX_SEGMENTS], int *allowed);

/* Is there a row of the staff's for this path, whatever the method? */
bool router_is_staffs(const struct router *r, str path);

#endif
