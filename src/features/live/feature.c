#include "features/live/live.h"

#include <stdio.h>

#include "work/live.h"

#define HELD "live/" /* the location in deploy/nginx.conf */

/* What they hear. An app gets it as the answer to its long poll, as openapi.yaml has it: how many, it learns when it
 * reports. */
static const struct {
    const char *name, *type, *text;
} kinds[] = {
    [LIVE_WAIT] = {"wait", "application/json", "{\"commands_waiting\":1}"},
    [LIVE_EVENTS] = {"events", "text/plain", "look"},
};

static str channel_of(struct arena *a, enum live_kind kind, id who)
{
    return str_fmt(a, "%s/%s", kinds[kind].name, who.text);
}

enum err live_hold(struct request *req, enum live_kind kind, id who, bool *there)
{
    *there = PORTAL(req)->live != NULL;
    if (!*there)
        return OK;
    str at = str_fmt(req->arena, "/" HELD "%.*s", STR_FMT(channel_of(req->arena, kind, who)));
    response_header(req->response, "X-Accel-Redirect", at);
    return request_bytes(req, 200, "text/plain; charset=utf-8", STR(""));
}

/* Who does not hear it looks again by itself: a failure is not worth more than a line. */
static void say(struct portal *p, enum live_kind kind, id who)
{
    char text[LIVE_CHANNEL_MAX];
    struct fault f = {0};
    int n = snprintf(text, sizeof text, "%s/%s", kinds[kind].name, who.text);
    if (live_say(p->live, str_of(text, (size_t)n), kinds[kind].type, kinds[kind].text, &f) != OK)
        log_fault(p->privacy.log, "live-unheard", (str){NULL, 0}, &f);
}

static void say_events(void *portal, id account)
{
    say(portal, LIVE_EVENTS, account);
}

void live_wake_pages(struct tx *tx, struct portal *p, id account)
{
    if (p->live)
        tx_after(tx, say_events, p, account);
}

static void say_waiting(struct portal *p, id binding)
{
    say(p, LIVE_WAIT, binding);
}

static enum err start(struct portal *p, struct fault *f)
{
    TRY(live_open(&p->live, p->settings->live, f));
    p->waiting = p->live ? say_waiting : NULL;
    return OK;
}

static void stop(struct portal *p)
{
    live_close(&p->live);
}

extern const struct feature feature_live;
const struct feature feature_live = {
    .name = "live",
    .start = start,
    .stop = stop,
};
