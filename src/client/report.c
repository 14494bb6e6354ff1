/* While the app is bound: the regular report, commands and their answers, codes, purchases, the end. */
#include "client/internal.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

enum troth_result may_send(const struct troth *t)
{
    if (!state_bound(t))
        return TROTH_USAGE;
    return json_is_true(json_object_get(t->kept, "leaving")) ? TROTH_DISCONNECTED : TROTH_OK;
}

/* The binding has ended, here or at the portal: of it nothing is kept. */
static enum troth_result forget(struct troth *t)
{
    json_t *fresh = json_pack("{s:s}", "url", t->url);
    if (!fresh)
        return TROTH_STORAGE;
    json_wipe(&t->kept);
    t->kept = fresh;
    told_state_done(&t->state);
    return state_save(t);
}

enum troth_result heard(struct troth *t, enum troth_result r)
{
    if (r != TROTH_DISCONNECTED)
        return r;
    enum troth_result saved = forget(t);
    return saved == TROTH_OK ? r : saved;
}

/* ---- what the portal tells ---- */

/* The new token is on disk before it is used: its first use is the old one's end. */
static void take_token(struct troth *t, const json_t *j)
{
    const char *token = answer_text(j, "token", 199);
    if (answer_token(token))
        state_set(t, "token", json_string(token));
}

/* A copy all through, without the token: the answer is overwritten when it was read. */
static json_t *whole_state(const struct troth *t, const json_t *j)
{
    if (json_object_get(j, "commands_waiting")) {
        json_t *whole = json_deep_copy(j);
        json_object_del(whole, "token");
        return whole;
    }
    CLEANUP(json_done) json_t *codes = json_array();
    return json_pack("{s:i, s:i, s:o, s:O}", "commands_waiting", t->state.is.commands_waiting, "interval",
                     t->state.is.interval, "license", json_deep_copy(json_object_get(j, "license")), "activation_codes",
                     codes);
}

enum troth_result report_state(struct troth *t, json_t *j)
{
    CLEANUP(json_done) json_t *whole = whole_state(t, j);
    if (!whole)
        return TROTH_ANSWER;
    TRY(answer_state(whole, &t->state));
    state_set(t, "told", json_incref(whole));
    take_token(t, j);
    return state_save(t);
}

/* ---- 7: the report ---- */

static json_t *license_json(const struct troth_license *l)
{
    json_t *features = json_array();
    for (size_t i = 0; i < l->n_features; i++)
        json_array_append_new(features, json_string(l->features[i]));
    json_t *information = answer_json(l->service_information ? l->service_information : "{}",
                                      l->service_information ? strlen(l->service_information) : 2);
    return json_pack("{s:s, s:s, s:o, s:s, s:s?, s:o}", "type", l->type, "status", l->status, "service_information",
                     information, "activation_error", l->activation_error, "expires", l->expires, "features", features);
}

static json_t *report_json(struct troth *t, const struct troth_device *d, const struct troth_license *l)
{
    const char *id = state_text(t, "device_id");
    json_t *device = json_pack("{s:s, s:s, s:s, s:s, s:s}", "device_id", id, "network_name", d->network_name, "type",
                               d->type, "os_type", d->os_type, "os_version", d->os_version);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s}", "device_id", id, "application_instance_id",
                     state_text(t, "application_instance_id"), "application_id", t->application_id,
                     "application_version", t->application_version, "application_locale", t->application_locale,
                     "device", device, "license", license_json(l ? l : troth_state(t)->license), "binding_id",
                     state_text(t, "binding_id"));
}

static bool digest(const json_t *j, char out[static 33])
{
    unsigned char hash[16];
    CLEANUP(text_free) char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return false;
    crypto_generichash(hash, sizeof hash, (const unsigned char *)text, strlen(text), NULL, 0);
    sodium_bin2hex(out, 33, hash, sizeof hash);
    return true;
}

static bool is_kept(const struct troth *t, const char *name, const char *value)
{
    const char *kept = state_text(t, name);
    return kept && strcmp(kept, value) == 0;
}

/* Unchanged: one small question. Changed: all of it, and its ETag is kept beside the digest of what was sent. */
enum troth_result report_send(struct troth *t, const struct troth_device *d, const struct troth_license *l)
{
    char sent[33];
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(json_wipe) json_t *j = NULL;
    CLEANUP(json_done) json_t *body = report_json(t, d, l);
    CLEANUP(text_free) char *path = text_format("/bindings/%s/state", state_text(t, "binding_id"));
    if (!body || !path || !digest(body, sent))
        return TROTH_USAGE;
    const char *etag = state_text(t, "etag");
    bool same = etag && is_kept(t, "reported", sent);
    struct call c = {.method = same ? "GET" : "PUT", .path = path, .body = same ? NULL : body, .etag = etag, .signs = true};
    TRY(http_ask_json(t, &c, &a, &j));
    if (!j)
        return TROTH_UNCHANGED;
    if (!same) {
        state_set(t, "reported", json_string(sent));
        state_set(t, "etag", json_string(a.etag));
    } else if (!is_kept(t, "etag", a.etag)) {
        state_forget(t, "etag"); /* the portal has another report than we think: the next one is whole */
    }
    return report_state(t, j);
}

enum troth_result troth_report(struct troth *t, const struct troth_device *d, const struct troth_license *l)
{
    ENTER(t);
    if (!d || d->size < sizeof *d || (l && l->size < sizeof *l))
        return TROTH_USAGE;
    TRY(may_send(t));
    return heard(t, report_send(t, d, l));
}

/* ---- commands ---- */

enum troth_result troth_commands(struct troth *t, const struct troth_command **out, size_t *n)
{
    ENTER(t);
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(json_done) json_t *j = NULL;
    TRY(may_send(t));
    TRY(heard(t, http_ask_json(t, &(struct call){.method = "GET", .path = "/commands", .signs = true}, &a, &j)));
    TRY(answer_commands(j, &t->commands));
    t->state.is.commands_waiting = 0;
    *out = t->commands.is;
    *n = t->commands.n;
    return TROTH_OK;
}

static enum troth_result answer_command(struct troth *t, const char *id, const char *rest, json_t *body)
{
    ENTER(t);
    CLEANUP(json_done) json_t *owned = body;
    TRY(may_send(t));
    if (!answer_id(id) || !body)
        return TROTH_USAGE;
    CLEANUP(text_free) char *path = text_format("/commands/%s/%s", id, rest);
    return heard(t, queue_send(t, path, json_incref(owned)));
}

enum troth_result troth_done(struct troth *t, const char *id)
{
    return answer_command(t, id, "done", json_object());
}

enum troth_result troth_failed(struct troth *t, const char *id, const char *reason)
{
    if (!reason || !*reason || strlen(reason) > 40 || strspn(reason, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(reason))
        return TROTH_USAGE;
    CLEANUP(text_free) char *rest = text_format("failed?reason=%s", reason);
    return rest ? answer_command(t, id, rest, json_object()) : TROTH_STORAGE;
}

enum troth_result troth_position(struct troth *t, const char *id, double latitude, double longitude, double accuracy)
{
    return answer_command(t, id, "position",
                          json_pack("{s:f, s:f, s:f}", "latitude", latitude, "longitude", longitude, "accuracy", accuracy));
}

/* ---- 8, 9 ---- */

enum troth_result troth_activate(struct troth *t, const char *code)
{
    ENTER(t);
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(json_done) json_t *j = NULL;
    TRY(may_send(t));
    CLEANUP(json_done)
    json_t *body = code ? json_pack("{s:s, s:s}", "activation_code", code, "binding_id", state_text(t, "binding_id")) : NULL;
    if (!body)
        return TROTH_USAGE;
    struct call c = {.method = "POST", .path = "/activation-codes", .body = body, .signs = true};
    TRY(heard(t, http_ask_json(t, &c, &a, &j)));
    return json_object_get(j, "license") ? report_state(t, j) : TROTH_ANSWER;
}

enum troth_result troth_purchase(struct troth *t, const struct troth_purchase *p)
{
    ENTER(t);
    TRY(may_send(t));
    if (!p || p->size < sizeof *p)
        return TROTH_USAGE;
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "item_name", p->item_name, "purchased_at",
                             p->purchased_at, "package_name", p->package_name, "receipt_name", p->receipt_name,
                             "purchase_token", p->purchase_token, "signature", p->signature, "purchase_status",
                             p->purchase_status, "binding_id", state_text(t, "binding_id"));
    return body ? heard(t, queue_send(t, "/purchases", body)) : TROTH_USAGE;
}

/* ---- 10 ---- */

enum troth_result end_send(struct troth *t)
{
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(json_done) json_t *j = NULL;
    CLEANUP(json_done)
    json_t *body = json_pack("{s:s, s:s}", "binding_id", state_text(t, "binding_id"), "choice", "withdrawn");
    struct call c = {.method = "POST", .path = "/disconnections", .body = body, .signs = true};
    enum troth_result r = http_ask_json(t, &c, &a, &j);
    /* A token that the portal does not know is an end, too. */
    if (r == TROTH_OK || r == TROTH_DISCONNECTED || (r == TROTH_REFUSED && t->problem.status == 401))
        return forget(t);
    return r;
}

enum troth_result troth_disconnect(struct troth *t)
{
    ENTER(t);
    if (!state_bound(t))
        return TROTH_USAGE;
    state_forget(t, "queue");
    state_set(t, "leaving", json_true());
    TRY(state_save(t));
    enum troth_result r = end_send(t);
    return r == TROTH_OFFLINE || r == TROTH_LATER || r == TROTH_ANSWER ? TROTH_QUEUED : r;
}
