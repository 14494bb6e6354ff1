#include "features/licenses/model.h"

#include "privacy/enrolment.h"

extern const struct feature feature_licenses;

static enum err start(struct portal *p, struct fault *f)
{
    const struct catalog *c = p->privacy.catalog;
    const char *languages[I18N_MAX_LANGUAGES];
    size_t n = catalog_languages(c);
    struct catalogue *out;
    for (size_t i = 0; i < n; i++)
        languages[i] = catalog_language(c, (int)i);
    TRY(catalogue_read(p->arena, p->catalogue_name, p->catalogue_text, languages, n, &out, f));
    p->catalogue = out;
    return OK;
}

/* My Account is left, or the account closed: nothing is renewed any more, the licenses are on no device, and
 * files for offline use are void (MYA-22). Who comes back finds the licenses, and puts them on devices anew. */
static enum err left(struct tx *tx, struct portal *p, id account)
{
    account_id which = {account};
    bool enrolled;
    TRY(enrolment_active(tx, &p->privacy, account, STR(LICENSE_SERVICE), &enrolled));
    if (enrolled)
        return OK;
    TRY(mandates_end(tx, p, which));
    return seats_end(tx, p, which);
}

static const struct menu_entry menu[] = {
    {"/account/licenses", MSG("menu.licenses"), .place = 2},
    {"/desk/licenses", MSG("licdesk.menu"), ROLE_BIT(ROLE_LICENSING)},
};

static const struct job_kind jobs[] = {
    {JOB_RENEW, run_renew, {0, 3 * MOMENT_DAY}},
    {JOB_REVOKE_LOT, run_revoke_lot, {0, 7 * MOMENT_DAY}},
};

static const struct task tasks[] = {
    {"licenses", task_licenses, MOMENT_HOUR},
    {"signing-keys", task_signing_keys, MOMENT_DAY},
};

const struct feature feature_licenses = {
    .name = "licenses",
    .routes = (const struct route *const[]){license_routes, license_desk_routes, NULL},
    .menu = menu,
    .n_menu = COUNT(menu),
    .jobs = jobs,
    .n_jobs = COUNT(jobs),
    .tasks = tasks,
    .n_tasks = COUNT(tasks),
    .checks = license_checks,
    .n_checks = 3,
    .left = left,
    .start = start,
};
