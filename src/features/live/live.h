/*
 * Waiting without holding a thread (spec WPS-20, MYA-37): what other features may call.
 *
 * An app asks whether there is something for it; a page listens for changes. Behind nginx the answer to
 * both is "wait there": X-Accel-Redirect to a location that nobody reaches otherwise, where nginx holds the
 * connection until it hears "look again" (work/live.h, deploy/nginx.conf). Without nginx nothing
 * waits, and whoever asks looks again by itself.
 */
#ifndef FEATURES_LIVE_H
#define FEATURES_LIVE_H

#include "features/feature.h"

enum live_kind {
    LIVE_WAIT,   /* a long poll: an app waits for commands; `who` is its binding */
    LIVE_EVENTS, /* server-sent events: somebody's pages; `who` is the account */
};

/* Answers with "wait there", after whoever asks was found to be allowed to. *there is false, and nothing
 * answered, where nobody holds connections for us (setting `live`). */
CHECKED enum err live_hold(struct request *req, enum live_kind kind, id who, bool *there);

/* Once this transaction is committed, somebody's open pages are told to look again. Apps are told through
 * feature_waits() (feature.h). */
void live_wake_pages(struct tx *tx, struct portal *p, id account);

#endif
