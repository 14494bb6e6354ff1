#include "features/services/services.h"

static enum err start(struct portal *p, struct fault *f)
{
    struct services *s = NULL;
    TRY(services_make(p, &s, f));
    p->services = s;
    return OK;
}

static const struct menu_entry menu[] = {
    {"/services", MSG("menu.services"), .place = 5},
};

const struct feature feature_services = {
    .name = "services",
    .routes = (const struct route *const[]){service_routes, NULL},
    .menu = menu,
    .n_menu = COUNT(menu),
    .checks = service_checks,
    .n_checks = 3,
    .start = start,
};
