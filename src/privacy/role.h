/*
 * What people who work here may be there for (spec README B, REC-01, SEC-07). A member of staff has
 * one role or several; each route of the desk and each record says which roles it is open to, and
 * what says nothing is open to none.
 */
#ifndef PRIVACY_ROLE_H
#define PRIVACY_ROLE_H

#include "base/str.h"

enum role {
    ROLE_SUPPORT,    /* helps customers */
    ROLE_LICENSING,  /* licenses and the catalogue */
    ROLE_MARKETING,  /* newsletters, surveys */
    ROLE_PRIVACY,    /* the data protection officer: rights, and who looked at what */
    ROLE_STATISTICS, /* figures, never people */
    ROLE_OPERATIONS, /* runs the portal, and knows who works in it */
    ROLES,
};

/* Several, as bits. */
#define ROLE_BIT(role) (1u << (role))
enum { ALL_ROLES = (1 << ROLES) - 1 };

const char *role_name(enum role r); /* "support" … */
/* Its role, or -1. */
int role_named(str name);

/* Names with one of these between: ',' or ' '. ERR_INPUT: none at all, an unknown one, one twice. */
CHECKED enum err roles_parse(str names, unsigned *out);
/* The reverse, in the order above. */
str roles_text(struct arena *a, unsigned roles, char between);

#endif
