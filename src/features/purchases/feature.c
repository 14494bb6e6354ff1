#include "features/purchases/model.h"

#include <libgen.h>

#include "base/file.h"
#include "features/purchases/stripe.h"
#include "privacy/enrolment.h"

enum { APP_STORES_MAX = 64 * 1024, PROVIDER_MS = 10000 };

extern const struct feature feature_purchases;

const struct purchases *purchases_of(const struct portal *p)
{
    return p->store;
}

static enum err read_app_stores(struct portal *p, struct purchases *x, struct fault *f)
{
    str text, file = p->settings->app_stores;
    if (file.n == 0)
        return OK;
    TRY(file_read(p->arena, str_cstr(p->arena, file), APP_STORES_MAX, &text, f));
    enum err e = app_stores_read(p->arena, text, dirname(str_cstr(p->arena, file)), &x->apps, f);
    if (e != OK)
        fault_prefix(f, "%.*s:", STR_FMT(file));
    return e;
}

static enum err start(struct portal *p, struct fault *f)
{
    const struct settings *s = p->settings;
    struct purchases *x = ARENA_NEW(p->arena, struct purchases);
    p->store = x;
    TRY(read_app_stores(p, x, f));
    if (s->store.n == 0)
        return OK;
    struct stripe_config config = {.target = s->store,
                                   .secret = s->store_webhook_secret,
                                   .ca_file = s->store_ca_file.n ? str_cstr(p->arena, s->store_ca_file) : NULL,
                                   .timeout_ms = PROVIDER_MS};
    return stripe_open(&x->provider, &config, f);
}

static void stop(struct portal *p)
{
    struct purchases *x = p->store;
    if (x && x->provider)
        x->provider->close(&x->provider);
    p->store = NULL;
}

/* Who leaves My Account, or closes the account, is forgotten by the provider as well (MYA-34). */
static enum err left(struct tx *tx, struct portal *p, id account)
{
    CLEANUP(key_wipe) struct key k;
    bool enrolled, was;
    TRY(enrolment_active(tx, &p->privacy, account, STR(STORE_SERVICE), &enrolled));
    if (enrolled)
        return OK;
    TRY(vault_subject_key(p->privacy.vault, account, &k, tx_arena(tx), tx_fault(tx)));
    return link_undo(tx, p, (account_id){account}, &k, true, &was);
}

static const struct job_kind jobs[] = {
    {JOB_ORDER, run_order, {0, ORDER_LASTS + 2 * MOMENT_HOUR}},
    {JOB_FORGET, run_forget, {0, FORGET_LASTS}},
};

static const struct task tasks[] = {
    {"store-probe", task_probe, MOMENT_DAY},
};

static const struct menu_entry menu[] = {{"/account/purchases", MSG("menu.purchases"), .place = 3}};

const struct feature feature_purchases = {
    .name = "purchases",
    .routes = (const struct route *const[]){purchase_routes, NULL},
    .menu = menu,
    .n_menu = COUNT(menu),
    .jobs = jobs,
    .n_jobs = COUNT(jobs),
    .tasks = tasks,
    .n_tasks = COUNT(tasks),
    .checks = purchase_checks,
    .n_checks = PURCHASE_CHECKS,
    .left = left,
    .start = start,
    .stop = stop,
};
