#include "features/factors/pages.h"

#include <fido.h>
#include <liboath/oath.h>
#include <sodium.h>

extern const struct feature feature_factors;

/* The public URL's host, for browsers that offer a code of a text message on its own site only. */
static str host_of(str url)
{
    str before, rest = url, host;
    while (str_cut(rest, '/', &before, &host))
        rest = host;
    return str_cut(rest, ':', &host, &before) ? host : rest;
}

static enum err start(struct portal *p, struct fault *f)
{
    struct sms *s = NULL;
    struct sms_config config = {.target = p->settings->sms,
                                .catalog = p->privacy.catalog,
                                .clock = p->privacy.clock,
                                .product = p->privacy.organisation->product,
                                .host = host_of(p->settings->public_url)};
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
    .start = start,
    .stop = stop,
};
