/* One turn of an app's loop. Nothing is held while it waits. */
#include "client/internal.h"

#include <string.h>

enum { WAIT_AGAIN_MS = 15 * 60 * 1000, AT_ONCE_MS = 1000, FAILURE_MS = 2000, FAILURE_MAX_MS = 3600 * 1000, GAP_MS = 1000 };

/* After a failure: what the portal says, or twice as long as the last time, up to an hour; random from half of it. */
static enum troth_result note(struct troth *t, enum troth_result r)
{
    if (r >= TROTH_OK) {
        t->failures = 0;
        t->try_at = 0;
        return r;
    }
    int64_t wait = back_off(t->failures, FAILURE_MS, FAILURE_MAX_MS), said = (int64_t)t->retry_after * 1000;
    if (r == TROTH_LATER && said > wait)
        wait = back_off(0, 2 * said, 2 * said); /* no sooner than the portal says, and not all at once */
    t->failures++;
    t->failed_with = r;
    t->try_at = os_monotonic() + wait;
    t->retry_after = (int)((wait + 999) / 1000);
    return r;
}

static void sleep_until(int64_t then, int64_t at_most)
{
    int64_t wait = then - os_monotonic();
    os_sleep(wait < at_most ? wait : at_most);
}

static enum troth_result send_all(struct troth *t, const struct troth_device *d, const struct troth_license *l)
{
    ENTER(t);
    enum troth_result last;
    if (may_send(t) == TROTH_DISCONNECTED) {
        TRY(end_send(t));
        return TROTH_DISCONNECTED;
    }
    TRY(may_send(t));
    TRY(queue_flush(t, &last));
    if (os_monotonic() < t->report_at)
        return TROTH_UNCHANGED;
    enum troth_result r = troth_report(t, d, l);
    if (r >= TROTH_OK)
        t->report_at = os_monotonic() + (int64_t)t->state.is.interval * 1000;
    return r;
}

/* A portal without a front that holds requests answers at once: then we sleep, and ask it again a while later. */
static enum troth_result long_poll(struct troth *t, int64_t ms)
{
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(json_done) json_t *j = NULL;
    t->waited_at = os_monotonic();
    struct call c = {.method = "GET",
                     .path = "/commands/wait",
                     .signs = true,
                     .etag = t->wait_etag,
                     .modified = t->wait_modified,
                     .wait_ms = ms < LONG_POLL_MS ? ms : LONG_POLL_MS};
    enum troth_result r = http_ask_json(t, &c, &a, &j);
    if (r == TROTH_REFUSED && t->problem.status == 408)
        r = TROTH_UNCHANGED; /* what nginx says to a request that it held in vain */
    if (r == TROTH_OK) {
        memcpy(t->wait_etag, a.etag, sizeof a.etag);
        memcpy(t->wait_modified, a.modified, sizeof a.modified);
        r = answer_waiting(j) ? TROTH_OK : TROTH_UNCHANGED;
    }
    if (r == TROTH_OK)
        t->report_at = 0; /* something waits: the next report says what */
    else if (r == TROTH_UNCHANGED && os_monotonic() - t->waited_at < AT_ONCE_MS && ms > AT_ONCE_MS)
        t->wait_again = os_monotonic() + WAIT_AGAIN_MS;
    return r;
}

static enum troth_result wait_for(struct troth *t, int64_t end)
{
    int64_t now = os_monotonic(), ms = (t->report_at < end ? t->report_at : end) - now;
    if (ms <= 0)
        return TROTH_UNCHANGED;
    if (now < t->wait_again) {
        os_sleep(ms);
        return TROTH_UNCHANGED;
    }
    /* Never one after the other without a pause, whatever answers. */
    int64_t gap = t->waited_at > 0 ? t->waited_at + GAP_MS - now : 0;
    if (gap >= ms)
        gap = ms - 1;
    if (gap > 0)
        os_sleep(gap);
    return long_poll(t, gap > 0 ? ms - gap : ms);
}

/* The end may be heard of here, too. */
static enum troth_result hear(struct troth *t, enum troth_result r)
{
    ENTER(t);
    return heard(t, r);
}

enum troth_result troth_step(struct troth *t, const struct troth_device *d, const struct troth_license *l, int seconds)
{
    int64_t now = os_monotonic(), end = now + (int64_t)seconds * 1000;
    if (seconds < 0)
        return TROTH_USAGE;
    if (now < t->try_at) {
        sleep_until(t->try_at, end - now);
        return t->failed_with;
    }
    enum troth_result r = note(t, send_all(t, d, l));
    if (r != TROTH_UNCHANGED || seconds == 0)
        return r;
    r = wait_for(t, end);
    if (r == TROTH_OK)
        return note(t, send_all(t, d, l));
    return r == TROTH_UNCHANGED ? r : note(t, hear(t, r));
}
