#include "privacy/role.h"

enum { NAMES_BYTES = 100 };

static const char *const names[ROLES] = {"support", "licensing", "marketing", "privacy", "statistics", "operations"};

const char *role_name(enum role r)
{
    return names[r];
}

int role_named(str name)
{
    for (int i = 0; i < ROLES; i++)
        if (str_is(name, names[i]))
            return i;
    return -1;
}

enum err roles_parse(str s, unsigned *out)
{
    unsigned roles = 0;
    while (s.n > 0) {
        size_t n = 0;
        while (n < s.n && s.p[n] != ',' && s.p[n] != ' ')
            n++;
        int role = role_named(str_head(s, n));
        if (role < 0 || roles & ROLE_BIT(role))
            return ERR_INPUT;
        roles |= ROLE_BIT(role);
        s = str_skip(s, n + (n < s.n));
    }
    if (roles == 0)
        return ERR_INPUT;
    *out = roles;
    return OK;
}

str roles_text(struct arena *a, unsigned roles, char between)
{
    struct buf b = buf_new(a, NAMES_BYTES);
    for (int i = 0; i < ROLES; i++) {
        if (!(roles & ROLE_BIT(i)))
            continue;
        if (b.n > 0)
            buf_char(&b, between);
        buf_text(&b, names[i]);
    }
    return buf_str(&b);
}
