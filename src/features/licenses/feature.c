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

/* My Account is left, or the account closed: nothing is renewed any more, and files for offline use are void
 * (MYA-22). */
static enum err left(struct tx *tx, struct portal *p, id account)
{
    account_id which = {account};
    bool enrolled;
    TRY(enrolment_active(tx, &p->privacy, account, STR(LICENSE_SERVICE), &enrolled));
    if (enrolled)
        return OK;
    TRY(mandates_end(tx, p, which));
    return seats_revoke_files(tx, p, which, (license_id){{{0}}});
}

static const struct job_kind jobs[] = {
    {JOB_REVOKE_LOT, run_revoke_lot, {0, 7 * MOMENT_DAY}},
};

static const struct task tasks[] = {
    {"licenses", task_licenses, MOMENT_HOUR},
    {"signing-keys", task_signing_keys, MOMENT_DAY},
};

const struct feature feature_licenses = {
    .name = "licenses",
    .jobs = jobs,
    .n_jobs = COUNT(jobs),
    .tasks = tasks,
    .n_tasks = COUNT(tasks),
    .checks = license_checks,
    .n_checks = 3,
    .left = left,
    .start = start,
};
