/*
 * What was not sent for want of a network: answers to commands, purchases. Each is kept with its own key, so that
 * a message whose answer was lost is not done twice; they are sent in their order, and one that the portal refuses
 * is dropped (it would be refused again), unless what is in the way passes. Member "queue" of what lasts:
 * [{path, key, body}].
 */
#include "client/internal.h"

#include <string.h>

static json_t *queue_of(struct troth *t)
{
    json_t *list = json_object_get(t->kept, "queue");
    if (!json_is_array(list)) {
        state_set(t, "queue", json_array());
        list = json_object_get(t->kept, "queue");
    }
    return list;
}

static enum troth_result send_one(struct troth *t, const json_t *message)
{
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(json_done) json_t *j = NULL;
    struct call c = {.method = "POST",
                     .path = answer_text(message, "path", 200),
                     .body = json_object_get(message, "body"),
                     .key = answer_text(message, "key", 64),
                     .signs = true};
    if (!c.path || !c.key || !c.body)
        return TROTH_USAGE;
    TRY(http_ask_json(t, &c, &a, &j));
    json_t *license = json_object_get(j, "license");
    return license ? report_state(t, j) : TROTH_OK;
}

/* A restriction that the person asked for ends some day; so does whatever holds up an unknown token. */
static bool passes(const struct troth_problem *p)
{
    return strcmp(p->code, "restricted") == 0 || p->status == 401 || p->status == 408;
}

/* Is it of no use to send it again? What is no portal's answer may be a hotel's network. */
static bool is_final(const struct troth *t, enum troth_result r)
{
    return r == TROTH_OK || r == TROTH_USAGE || (r == TROTH_REFUSED && !passes(&t->problem));
}

enum troth_result queue_flush(struct troth *t, enum troth_result *last)
{
    json_t *list = queue_of(t);
    while (json_array_size(list) > 0) {
        enum troth_result r = send_one(t, json_array_get(list, 0));
        if (!is_final(t, r))
            return r;
        *last = r;
        json_array_remove(list, 0);
        TRY(state_save(t));
    }
    return TROTH_OK;
}

enum troth_result queue_send(struct troth *t, const char *path, json_t *body)
{
    char key[33];
    CLEANUP(json_done) json_t *owned = body;
    os_random_text(key, sizeof key);
    CLEANUP(json_done) json_t *message = path ? json_pack("{s:s, s:s, s:O}", "path", path, "key", key, "body", owned) : NULL;
    if (!message)
        return TROTH_USAGE;
    if (json_array_size(queue_of(t)) >= QUEUE_MAX)
        return TROTH_FULL;
    /* Kept first: an app that is ended while it sends has sent it, or will. */
    json_array_append(queue_of(t), message);
    TRY(state_save(t));
    enum troth_result last = TROTH_OK, r = queue_flush(t, &last);
    if (r == TROTH_OK)
        return last; /* ours: it is the last one */
    return r == TROTH_OFFLINE || r == TROTH_LATER || r == TROTH_ANSWER || r == TROTH_REFUSED ? TROTH_QUEUED : r;
}
