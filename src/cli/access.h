/*
 * Who may enter where (spec REC-01, SEC-07, GEN-26): every route for every kind of visitor, and every
 * record for every role, as the declarations have it. docs/access.md is this table; test_access.c
 * walks all of it and holds what really happens against it.
 */
#ifndef CLI_ACCESS_H
#define CLI_ACCESS_H

#include "cli/portal.h"

enum visitor {
    VISITOR_STRANGER,
    VISITOR_PROGRAM,   /* a stranger's, that asks for JSON */
    VISITOR_APP,       /* a connected app, by its token */
    VISITOR_CUSTOMER,
    VISITOR_STALE,     /* a customer whose last proof is more than ten minutes old */
    VISITOR_STAFF,     /* the first of the roles … */
    VISITOR_NO_FACTOR = VISITOR_STAFF + ROLES, /* of every role, without a second factor */
    VISITOR_UNPROVED,  /* of every role, with one that this session has not been asked for */
    VISITOR_ELSEWHERE, /* of every role, from a network that the desk is not open to */
    VISITOR_LOOPBACK,  /* a stranger on the machine itself */
    VISITORS,
};

/* What becomes of them there: "enters", "signs in", "401", "proves", "404", "sets up", "403". */
const char *access_outcome(const struct route *r, enum visitor v);

/* docs/access.md. */
str access_text(struct arena *a, const struct portal_words *w);

#endif
