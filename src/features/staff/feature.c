#include "features/staff/model.h"

/* Who is it, as somebody who works here? Asked at every request of the desk, of the database: what is
 * taken from somebody is gone at once, on every server. */
static enum err standing(struct tx *tx, void *app, id account, str peer, struct standing *out)
{
    struct portal *p = app;
    const struct networks *networks = &p->settings->staff_networks;
    struct staff s;
    *out = (struct standing){0};
    enum err e = staff_get(tx, &p->privacy, (account_id){account}, NULL, &s);
    if (e == ERR_NOT_FOUND)
        return OK;
    TRY(e);
    *out = (struct standing){.here = true,
                             .network = networks->n == 0 || networks_have(networks, peer),
                             .roles = s.roles,
                             .pseudonym = s.pseudonym};
    return feature_second_factor(tx, p, account, &out->second_factor);
}

static const struct menu_entry menu[] = {
    {"/desk", MSG("desk.menu-start"), ALL_ROLES, -1},
    {"/desk/rights", MSG("desk.menu-rights"), ROLE_BIT(ROLE_PRIVACY)},
    {"/desk/access", MSG("desk.menu-access"), ROLE_BIT(ROLE_PRIVACY)},
    {"/desk/staff", MSG("desk.menu-staff"), ROLE_BIT(ROLE_PRIVACY) | ROLE_BIT(ROLE_OPERATIONS)},
};

const struct feature feature_staff = {
    .name = "staff",
    .routes = (const struct route *const[]){join_routes, desk_routes, person_routes, review_routes, NULL},
    .menu = menu,
    .n_menu = COUNT(menu),
    .standing = standing,
};
