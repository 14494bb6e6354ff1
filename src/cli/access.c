#include "cli/access.h"

#include <string.h>

enum { TEXT_BYTES = 1 << 20 };

static const char *const heads[VISITORS] = {
    [VISITOR_STRANGER] = "stranger",
    [VISITOR_PROGRAM] = "program",
    [VISITOR_APP] = "app",
    [VISITOR_CUSTOMER] = "customer",
    [VISITOR_STALE] = "stale proof",
    [VISITOR_STAFF + ROLE_SUPPORT] = "support",
    [VISITOR_STAFF + ROLE_LICENSING] = "licensing",
    [VISITOR_STAFF + ROLE_MARKETING] = "marketing",
    [VISITOR_STAFF + ROLE_PRIVACY] = "privacy",
    [VISITOR_STAFF + ROLE_STATISTICS] = "statistics",
    [VISITOR_STAFF + ROLE_OPERATIONS] = "operations",
    [VISITOR_NO_FACTOR] = "no factor",
    [VISITOR_UNPROVED] = "unproved",
    [VISITOR_ELSEWHERE] = "elsewhere",
    [VISITOR_LOOPBACK] = "loopback",
};

static bool is_staff(enum visitor v)
{
    return v >= VISITOR_STAFF && v < VISITOR_NO_FACTOR;
}

static const char *of_staff(const struct route *r, enum visitor v)
{
    if (v == VISITOR_NO_FACTOR)
        return "sets up";
    if (v == VISITOR_UNPROVED)
        return "proves";
    if (v == VISITOR_ELSEWHERE)
        return "403";
    if (!is_staff(v))
        return "404";
    return r->roles & ROLE_BIT(v - VISITOR_STAFF) ? "enters" : "403";
}

const char *access_outcome(const struct route *r, enum visitor v)
{
    bool nobody = v == VISITOR_STRANGER || v == VISITOR_LOOPBACK;
    switch (r->guard) {
    case GUARD_PUBLIC:
    case GUARD_APP:
        return "enters";
    case GUARD_DEVICE:
        return v == VISITOR_APP ? "enters" : "401";
    case GUARD_LOOPBACK:
        return v == VISITOR_LOOPBACK ? "enters" : "404";
    case GUARD_STAFF:
        return of_staff(r, v);
    case GUARD_SIGNED_IN:
    case GUARD_RECENT:
        return v == VISITOR_PROGRAM || v == VISITOR_APP                                ? "401"
               : nobody                                            ? "signs in"
               : r->guard == GUARD_RECENT && v == VISITOR_STALE    ? "proves"
                                                                   : "enters";
    case GUARD_MISSING:
        break;
    }
    return "404";
}

/* ---- the page ---- */

static const char intro[] =
    "# Who may enter where\n\n"
    "Made by `troth help access` from the routes and records that are declared. A test walks every\n"
    "route as every kind of visitor and compares. To renew this page: `build/troth help access >docs/access.md`.\n\n"
    "| visitor | is |\n|---|---|\n"
    "| stranger | nobody that we know, with a browser |\n"
    "| program | a stranger's program: it asks for JSON |\n"
    "| app | a connected app, by its token (Authorization: Bearer), without cookies |\n"
    "| customer | signed in, the password proved within ten minutes |\n"
    "| stale proof | the same, the proof older than that |\n"
    "| support … operations | somebody who works here, in that role alone, with a second factor |\n"
    "| no factor | somebody of every role without a second factor |\n"
    "| unproved | somebody of every role, signed in before the second factor was set up |\n"
    "| elsewhere | somebody of every role, from outside `staff_networks` |\n"
    "| loopback | nobody that we know, on the machine itself and past no proxy |\n\n"
    "| there | means |\n|---|---|\n"
    "| ✓ | enters: the page or form is theirs; what is not about them is still not shown |\n"
    "| signs in | is sent to the sign-in (303), and 401 as a program |\n"
    "| proves | is asked for the password, or the second factor, again (303 to /account/confirm) |\n"
    "| sets up | is sent to set up a second factor (303 to /account/security) |\n"
    "| 401, 403, 404 | is refused with that status |\n\n"
    "What is the staff's does not exist for anybody else (404): a 403 would say which paths there are, and\n"
    "whose account is one of the staff's.\n";

static const char *method_of(const struct route *r)
{
    return r->method == METHOD_GET ? "GET" : r->method == METHOD_PUT ? "PUT" : "POST";
}

static void put_routes(struct buf *b)
{
    buf_text(b, "\n## Routes\n\n| route |");
    for (int v = 0; v < VISITORS; v++)
        buf_fmt(b, " %s |", heads[v]);
    buf_text(b, "\n|---|");
    for (int v = 0; v < VISITORS; v++)
        buf_text(b, "---|");
    buf_char(b, '\n');
    for (size_t i = 0; i < n_features; i++) {
        for (const struct route *const *list = features[i]->routes; list && *list; list++) {
            for (const struct route *r = *list; r->path; r++) {
                buf_fmt(b, "| `%s %s` |", method_of(r), r->path);
                for (int v = 0; v < VISITORS; v++) {
                    const char *there = access_outcome(r, (enum visitor)v);
                    buf_fmt(b, " %s |", strcmp(there, "enters") == 0 ? "✓" : there);
                }
                buf_char(b, '\n');
            }
        }
    }
}

static void put_reads(struct buf *b)
{
    buf_text(b, "\n## What routes of the staff show of people\n\n"
                "\"By role\": whatever the next table opens to the reader, after a reason was recorded.\n\n| route | records |\n|---|---|\n");
    for (size_t i = 0; i < n_features; i++) {
        for (const struct route *const *list = features[i]->routes; list && *list; list++) {
            for (const struct route *r = *list; r->path; r++) {
                if (r->guard != GUARD_STAFF)
                    continue;
                buf_fmt(b, "| `%s %s` |", r->method == METHOD_GET ? "GET" : "POST", r->path);
                if (r->reads == reads_by_role)
                    buf_text(b, " by role");
                for (size_t k = 0; r->reads && r->reads != reads_by_role && r->reads[k]; k++)
                    buf_fmt(b, "%s %s", k ? "," : "", r->reads[k]);
                buf_text(b, r->reads ? " |\n" : " none |\n");
            }
        }
    }
}

static void put_records(struct buf *b, struct arena *a, const struct portal_words *w)
{
    struct locale english = {0, "en", NULL, w->formats};
    buf_text(b, "\n## Records of people\n\nWho may read them at the desk, with a reason that is recorded first. A record that "
                "says nothing\n(`staff:` in records.yaml) is open to nobody.\n\n| record | what |");
    for (int i = 0; i < ROLES; i++)
        buf_fmt(b, " %s |", role_name((enum role)i));
    buf_text(b, "\n|---|---|");
    for (int i = 0; i < ROLES; i++)
        buf_text(b, "---|");
    buf_char(b, '\n');
    for (size_t i = 0; i < w->inventory->n_records; i++) {
        const struct record *r = &w->inventory->records[i];
        if (!record_has_subject(r))
            continue;
        str what = catalog_text(w->catalog, &english, a, str_fmt(a, "record.%.*s", STR_FMT(r->name)).p, NULL);
        buf_fmt(b, "| `%.*s` | %.*s |", STR_FMT(r->name), STR_FMT(what));
        for (int k = 0; k < ROLES; k++)
            buf_text(b, r->staff & ROLE_BIT(k) ? " reads |" : " |");
        buf_char(b, '\n');
    }
}

str access_text(struct arena *a, const struct portal_words *w)
{
    struct buf b = buf_new(a, TEXT_BYTES);
    buf_text(&b, intro);
    put_routes(&b);
    put_reads(&b);
    put_records(&b, a, w);
    return buf_str(&b);
}
