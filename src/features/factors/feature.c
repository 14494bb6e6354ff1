#include "features/factors/pages.h"

#include <fido.h>
#include <liboath/oath.h>
#include <sodium.h>

#include "base/network.h"

extern const struct feature feature_factors;

static enum err start(struct portal *p, struct fault *f)
{
    struct sms *s = NULL;
    struct sms_config config = {.target = p->settings->sms,
                                .catalog = p->privacy.catalog,
                                .clock = p->privacy.clock,
                                .product = p->privacy.organisation->product,
                                .host = url_host(p->settings->public_url)};
    fido_init(0);
    if (oath_init() != OATH_OK)
        return FAIL(f, ERR_IO, "liboath does not start");
    if (p->settings->sms.n == 0)
        return OK;
    TRY(sms_open(&s, &config, f));
    p->texts = s;
    return OK;
}

static void stop(struct portal *p)
{
    struct sms *s = p->texts;
    sms_close(&s);
    p->texts = NULL;
}

static enum err second_factor(struct tx *tx, struct portal *p, id account, bool *on)
{
    (void)p;
    return factors_on(tx, (account_id){account}, on);
}

/* ---- for demos: a number whose messages are shown at /demo/messages ---- */

struct giving {
    struct portal *p;
    account_id who;
    struct arena *a;
};

static enum err give(struct tx *tx, void *arg)
{
    static const char *const numbers[] = {"+46701740605", "+46701740606", "+46701740607", "+46701740608",
                                          "+46701740609", "+46701740610", "+46701740611", "+46701740612"};
    CLEANUP(key_wipe) struct key k;
    const struct giving *g = arg;
    bool on;
    TRY(factors_on(tx, g->who, &on));
    if (on)
        return OK;
    TRY(vault_subject_key(g->p->privacy.vault, g->who.id, &k, g->a, tx_fault(tx)));
    return phone_give(tx, &g->p->privacy, g->who, &k, str_from(numbers[randombytes_uniform(COUNT(numbers))]));
}

static enum err demo_factor(struct portal *p, id account, struct arena *a, str *how, struct fault *f)
{
    struct giving g = {p, {account}, a};
    if (p->texts == NULL) {
        *how = STR("none, for the configuration has no sms");
        return OK;
    }
    *how = STR("a code, at /demo/messages");
    return db_transact(p->privacy.db, a, f, give, &g);
}

static const struct job_kind jobs[] = {
    {JOB_TEXT, run_text, {0, TEXT_LASTS}},
};

static const struct named_check checks[] = {
    {"check_numbers", check_numbers},
};

const struct feature feature_factors = {
    .name = "factors",
    .routes = (const struct route *const[]){step_routes, confirm_routes, factor_routes, NULL},
    .jobs = jobs,
    .n_jobs = COUNT(jobs),
    .checks = checks,
    .n_checks = COUNT(checks),
    .second_factor = second_factor,
    .demo_factor = demo_factor,
    .start = start,
    .stop = stop,
};
