#include "web/router.h"

#include <stdlib.h>
#include <string.h>

const char *const reads_by_role[] = {"*", NULL};

/* A path without segments, found by search: most requests are for one. */
struct fixed {
    str path;
    const struct route *row;
};

struct router {
    const struct route **rows;
    size_t n;
    struct fixed *fixed; /* sorted by path */
    size_t n_fixed;
    const struct route **patterns; /* the others */
    size_t n_patterns;
};

static int compare_fixed(const void *x, const void *y)
{
    const struct fixed *a = x, *b = y;
    return str_cmp(a->path, b->path);
}

static void sort_rows(struct router *r, struct arena *a)
{
    r->fixed = ARENA_ARRAY(a, struct fixed, r->n + 1);
    r->patterns = ARENA_ARRAY(a, const struct route *, r->n + 1);
    for (size_t i = 0; i < r->n; i++) {
        if (strchr(r->rows[i]->path, ':'))
            r->patterns[r->n_patterns++] = r->rows[i];
        else
            r->fixed[r->n_fixed++] = (struct fixed){str_from(r->rows[i]->path), r->rows[i]};
    }
    qsort(r->fixed, r->n_fixed, sizeof *r->fixed, compare_fixed);
}

static bool is_api(const struct route *row)
{
    return row->guard == GUARD_APP || row->guard == GUARD_DEVICE;
}

static enum err check_row(const struct route *row, struct fault *f)
{
    const char *lacks = row->guard == GUARD_STAFF && row->roles == 0     ? "roles"
                        : row->guard != GUARD_STAFF && (row->roles || row->reads) ? "guard for the staff"
                        : row->run == NULL                                ? "handler"
                        : row->guard == GUARD_MISSING                   ? "guard"
                        : row->rate == RATE_MISSING                     ? "rate class"
                        : row->path[0] != '/'                           ? "path"
                        : is_api(row) != str_starts(str_from(row->path), STR("/api/")) ? "guard for its path"
                        : !is_api(row) && row->message          ? "guard for messages"
                        : is_api(row) && row->message == NULL && row->form == NULL ? "check of its messages"
                        : row->method == METHOD_PUT && row->message == NULL ? "check of its messages"
                        : row->method != METHOD_GET && row->method != METHOD_POST && row->method != METHOD_PUT ? "method"
                        : row->raw && (row->method != METHOD_POST || row->form || row->forms || row->guard != GUARD_PUBLIC)
                                                                          ? "public POST for a raw body"
                        : row->method == METHOD_POST && row->form == NULL && row->forms == NULL && row->message == NULL && !row->raw
                                                                          ? "form"
                        : row->form != NULL && row->form->n > FORM_MAX_FIELDS ? "short form"
                                                                         : NULL;
    if (lacks)
        return FAIL(f, ERR_INPUT, "route %s has no %s", row->path, lacks);
    return OK;
}

/* What it reads is declared, and open to every role that it is open to. */
static enum err check_reads(const struct route *row, const struct inventory *v, struct fault *f)
{
    for (size_t i = 0; row->reads && row->reads != reads_by_role && row->reads[i]; i++) {
        const struct record *r = v ? inventory_record(v, str_from(row->reads[i])) : NULL;
        if (r == NULL)
            return FAIL(f, ERR_INPUT, "route %s reads %s, which is no record", row->path, row->reads[i]);
        for (int role = 0; role < ROLES; role++)
            if (row->roles & ~r->staff & ROLE_BIT(role))
                return FAIL(f, ERR_INPUT, "route %s reads %s, which %s may not", row->path, row->reads[i],
                            role_name((enum role)role));
    }
    return OK;
}

/* A form that is wrong is shown again on a page whose guard is not asked a second time. */
static enum err check_again(const struct router *r, const struct route *row, struct fault *f)
{
    str segments[MAX_SEGMENTS];
    int allowed;
    const struct route *page =
        row->guard == GUARD_STAFF && row->again
            ? router_find(r, METHOD_GET, str_from(row->again), segments, &allowed)
            : NULL;
    if (page && (page->guard != GUARD_STAFF || row->roles & ~page->roles))
        return FAIL(f, ERR_INPUT, "route %s shows %s again to roles that it is not open to", row->path, row->again);
    return OK;
}

enum err router_new(struct arena *a, const struct inventory *v, const struct route *const *lists,
                    size_t n, struct router **out, struct fault *f)
{
    struct router *r = ARENA_NEW(a, struct router);
    size_t cap = 0;
    for (size_t i = 0; i < n; i++) {
        for (const struct route *row = lists[i]; row->path != NULL; row++) {
            TRY(check_row(row, f));
            TRY(check_reads(row, v, f));
            for (size_t k = 0; k < r->n; k++)
                if (r->rows[k]->method == row->method && strcmp(r->rows[k]->path, row->path) == 0)
                    return FAIL(f, ERR_INPUT, "route %s stands twice", row->path);
            ARENA_GROW(a, r->rows, cap, r->n + 1);
            r->rows[r->n++] = row;
        }
    }
    sort_rows(r, a);
    for (size_t i = 0; i < r->n; i++)
        TRY(check_again(r, r->rows[i], f));
    *out = r;
    return OK;
}

const struct route *router_row(const struct router *r, size_t i)
{
    return i < r->n ? r->rows[i] : NULL;
}

/* Does the path fit the pattern? Its ':' segments come out in their order. */
static bool fits(const char *pattern, str path, str segments[MAX_SEGMENTS])
{
    str p = str_from(pattern);
    int n = 0;
    for (int i = 0; i < MAX_SEGMENTS; i++)
        segments[i] = (str){NULL, 0};
    while (p.n > 0 && path.n > 0) {
        if (p.p[0] == ':') {
            size_t name = 0, value = 0;
            while (name < p.n && p.p[name] != '/')
                name++;
            while (value < path.n && path.p[value] != '/')
                value++;
            if (value == 0 || n == MAX_SEGMENTS)
                return false;
            segments[n++] = str_head(path, value);
            p = str_skip(p, name);
            path = str_skip(path, value);
        } else if (p.p[0] == path.p[0]) {
            p = str_skip(p, 1);
            path = str_skip(path, 1);
        } else {
            return false;
        }
    }
    return p.n == 0 && path.n == 0;
}

static const struct route *take(const struct route *row, enum method method, int *allowed)
{
    enum method wanted = method == METHOD_HEAD ? METHOD_GET : method;
    *allowed |= row->method == METHOD_GET ? METHOD_GET | METHOD_HEAD : (int)row->method;
    return row->method == wanted ? row : NULL;
}

static const struct route *find_fixed(const struct router *r, enum method method, str path, int *allowed)
{
    const struct route *found = NULL;
    size_t from = 0, to = r->n_fixed;
    while (from < to) { /* the first of that path */
        size_t middle = from + (to - from) / 2;
        if (str_cmp(r->fixed[middle].path, path) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    for (; found == NULL && from < r->n_fixed && str_eq(r->fixed[from].path, path); from++)
        found = take(r->fixed[from].row, method, allowed);
    return found;
}

const struct route *router_find(const struct router *r, enum method method, str path,
                                str segments[MAX_SEGMENTS], int *allowed)
{
    str own[MAX_SEGMENTS];
    *allowed = 0;
    for (int i = 0; i < MAX_SEGMENTS; i++)
        segments[i] = (str){NULL, 0};
    const struct route *found = find_fixed(r, method, path, allowed);
    if (found || *allowed)
        return found;
    for (size_t i = 0; i < r->n_patterns && found == NULL; i++) {
        if (!fits(r->patterns[i]->path, path, own))
            continue;
        found = take(r->patterns[i], method, allowed);
        if (found)
            memcpy(segments, own, sizeof own);
    }
    return found;
}

bool router_is_staffs(const struct router *r, str path)
{
    str segments[MAX_SEGMENTS];
    int allowed;
    const struct route *get = router_find(r, METHOD_GET, path, segments, &allowed);
    const struct route *post = router_find(r, METHOD_POST, path, segments, &allowed);
    return (get && get->guard == GUARD_STAFF) || (post && post->guard == GUARD_STAFF);
}
