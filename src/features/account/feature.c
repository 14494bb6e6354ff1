#include "features/account/pages.h"

static enum err person(struct tx *tx, void *app, id account, struct person *out)
{
    struct portal *p = app;
    struct account x;
    TRY(account_get(tx, &p->privacy, (account_id){account}, NULL, &x));
    *out = (struct person){x.language, x.zone};
    return OK;
}

/* Every address finds one account, and every account is found by one. */
static enum err check_addresses(struct check *c)
{
    struct query *q = SQL(c->tx, "SELECT count(*) FROM account");
    int64_t accounts = query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    q = SQL(c->tx, "SELECT count(*), count(DISTINCT account) FROM account_email");
    bool row = query_row(q);
    int64_t addresses = row ? row_int(q, 0) : 0, owners = row ? row_int(q, 1) : 0;
    TRY(query_end(q));
    json_put_int(c->values, "count", accounts);
    json_put_int(c->values, "addresses", addresses);
    bool kept = accounts == addresses && addresses == owners;
    c->verdict = kept ? VERDICT_KEPT : VERDICT_BROKEN;
    c->evidence = kept ? MSG("evidence.addresses") : MSG("evidence.addresses-broken");
    return OK;
}

static enum err before(struct portal *p, struct fault *f)
{
    struct hasher *h = NULL;
    TRY(hasher_new(&h, p->settings->argon_memory, p->settings->argon_passes, 0, f));
    p->passwords = h;
    return OK;
}

static void stop(struct portal *p)
{
    struct hasher *h = p->passwords;
    hasher_free(&h);
    p->passwords = NULL;
}

static const struct menu_entry menu[] = {
    {"/account", MSG("menu.overview")},
    {"/account/settings", MSG("menu.settings"), .place = 6},
    {"/account/security", MSG("menu.security"), .place = 7},
    {"/account/privacy", MSG("menu.privacy"), .place = 8},
};

static const struct job_kind jobs[] = {
    {JOB_MAIL, run_mail, {0, 3 * MOMENT_DAY}},
    {JOB_ERASE, run_erase, {1, 0}},
    {JOB_TAKEOUT, run_takeout, {0, MOMENT_DAY}},
    {JOB_INTAKE, run_intake, {0, MOMENT_DAY}},
    {JOB_LOST, run_lost, {0, 3 * MOMENT_DAY}},
};

static const struct named_check checks[] = {
    {"check_addresses", check_addresses},
};

const struct feature feature_account = {
    .name = "account",
    .routes = (const struct route *const[]){enter_routes, recovery_routes, manage_routes, log_routes, privacy_routes, NULL},
    .menu = menu,
    .n_menu = COUNT(menu),
    .jobs = jobs,
    .n_jobs = COUNT(jobs),
    .checks = checks,
    .n_checks = COUNT(checks),
    .person = person,
    .left = question_left,
    .before = before,
    .stop = stop,
};
