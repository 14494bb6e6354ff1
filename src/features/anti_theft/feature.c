#include "features/anti_theft/pages.h"

static const struct menu_entry menu[] = {{LIST, MSG("menu.anti-theft"), .place = 4}};

extern const struct feature feature_anti_theft;
const struct feature feature_anti_theft = {
    .name = "anti_theft",
    .routes = (const struct route *const[]){anti_theft_routes, NULL},
    .menu = menu,
    .n_menu = COUNT(menu),
};
