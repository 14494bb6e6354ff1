#include "features/devices/pages.h"

#include "privacy/enrolment.h"

extern const struct feature feature_devices;

static const struct menu_entry menu[] = {{LIST, MSG("menu.devices"), .place = 1}};

static enum err left(struct tx *tx, struct portal *p, id account)
{
    bool enrolled;
    TRY(enrolment_active(tx, &p->privacy, account, STR("my-account"), &enrolled));
    return enrolled ? OK : devices_end(tx, p, (account_id){account});
}

const struct feature feature_devices = {
    .name = "devices",
    .routes = (const struct route *const[]){device_add_routes, device_routes, office_routes, NULL},
    .menu = menu,
    .n_menu = COUNT(menu),
    .checks = device_checks,
    .n_checks = 2,
    .left = left,
};
