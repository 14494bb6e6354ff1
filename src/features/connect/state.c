/* What a connected app tells and gets (spec WPS-08, WPS-10, WPS-19 to WPS-23, WPS-26). */
#include "features/connect/model.h"

#include <string.h>

#include <sodium.h>

#include "features/licenses/licenses.h"
#include "features/live/live.h"
#include "features/purchases/purchases.h"

enum { DIGEST = 16 };

/* ---- whose ---- */

static bool is_own(const struct request *req, str binding)
{
    return str_eq(binding, id_str(&bound(req)->id.id));
}

static bool body_is_own(const struct request *req)
{
    return is_own(req, message_text(req, "binding_id"));
}

/* ---- what is answered ---- */

static str tag_of(struct arena *a, const unsigned char state[DIGEST])
{
    return base32_encode(a, state, DIGEST);
}

static enum err put_license(struct request *req, struct tx *tx, const struct binding *b)
{
    return license_leaves(tx, PORTAL(req), b->account, b->device.id, b->app, json_put_object(req->view, "license"));
}

static enum err put_codes(struct request *req, struct tx *tx, const struct binding *b, const struct key *k)
{
    str *codes;
    size_t n;
    json_t *list = json_put_array(req->view, "activation_codes");
    TRY(license_codes_for(tx, PORTAL(req), b->account, k, b->device.id, &codes, &n));
    for (size_t i = 0; i < n; i++)
        json_add_str(list, codes[i]);
    return OK;
}

static bool turn_of(const struct request *req, const struct binding *b)
{
    return clock_now(request_privacy(req)->clock) >= b->rotate_at;
}

static enum err answer_state(struct request *req, struct tx *tx, const struct binding *b, const struct key *k,
                             const unsigned char state[DIGEST])
{
    str token;
    json_put_int(req->view, "commands_waiting", b->pending);
    TRY(put_license(req, tx, b));
    TRY(put_codes(req, tx, b, k));
    json_put_int(req->view, "interval", connect_interval(req));
    if (turn_of(req, b)) {
        TRY(device_rotate(tx, request_privacy(req)->clock, b, &token));
        json_put_str(req->view, "token", token);
    }
    request_etag(req, tag_of(req->arena, state));
    return request_json(req, 200);
}

/* Nothing waits for the app, and its last report is the one that it names. */
static bool is_unchanged(const struct request *req, const struct binding *b)
{
    return b->pending == 0 && !b->next_used && !turn_of(req, b) && request_matches(req, tag_of(req->arena, b->state));
}

static enum err not_changed(struct request *req, const struct binding *b)
{
    request_etag(req, tag_of(req->arena, b->state));
    return request_empty(req, 304);
}

/* ---- the state ---- */

enum err get_state(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct binding b = *bound(req);
    struct tx *tx;
    if (!is_own(req, req->segment[0]))
        return no_binding(req);
    if (is_unchanged(req, &b))
        return not_changed(req, &b);
    TRY(bound_for_writing(req, &tx, &b, &k));
    return answer_state(req, tx, &b, &k, b.state);
}

static struct device_facts device_of(const json_t *d)
{
    return (struct device_facts){json_get_str(d, "network_name"), json_get_str(d, "type"), json_get_str(d, "os_type"),
                                 json_get_str(d, "os_version")};
}

static struct license_facts license_of(struct request *req, const json_t *l)
{
    struct license_facts f = {
        .type = json_get_str(l, "type"),
        .status = json_get_str(l, "status"),
        .information = json_encode(req->arena, json_object_get(l, "service_information"), false),
        .error = json_get_str(l, "activation_error"),
        .features = json_encode(req->arena, json_object_get(l, "features"), false),
    };
    if (moment_parse(json_get_str(l, "expires"), &f.expires) != OK)
        f.expires = 0; /* null */
    return f;
}

static bool report_is_own(const struct request *req)
{
    const struct binding *b = bound(req);
    str device = id_str(&b->device.id);
    return body_is_own(req) && str_eq(message_text(req, "device_id"), device) &&
           str_eq(json_get_str(json_object_get(req->message, "device"), "device_id"), device) &&
           str_eq(message_text(req, "application_instance_id"), id_str(&b->application));
}

static void digest_report(struct request *req, unsigned char out[DIGEST])
{
    str text = json_encode(req->arena, req->message, false);
    crypto_generichash(out, DIGEST, (const unsigned char *)text.p, text.n, NULL, 0);
}

/* The same as before, and heard of lately: not even that is written. */
static bool is_old_news(const struct request *req, const struct binding *b, const unsigned char digest[DIGEST])
{
    return sodium_memcmp(digest, b->state, DIGEST) == 0 && is_unchanged(req, b) &&
           clock_now(request_privacy(req)->clock) - b->reported < DEVICE_SEEN_EVERY;
}

enum err put_state(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    unsigned char digest[DIGEST];
    struct binding b = *bound(req);
    struct tx *tx;
    bool changed;
    if (!is_own(req, req->segment[0]))
        return no_binding(req);
    if (!report_is_own(req))
        return not_yours(req);
    if (!str_eq(message_text(req, "application_id"), b.app))
        return request_problem(req, 403, MSG("problem.application-differs"));
    digest_report(req, digest);
    if (is_old_news(req, &b, digest))
        return not_changed(req, &b);
    TRY(bound_for_writing(req, &tx, &b, &k));
    struct device_facts d = device_of(json_object_get(req->message, "device"));
    struct license_facts l = license_of(req, json_object_get(req->message, "license"));
    struct app_facts app = {message_text(req, "application_id"), message_text(req, "application_version"),
                            message_text(req, "application_locale")};
    bool quiet = b.pending == 0 && !turn_of(req, &b);
    TRY(device_report(tx, request_privacy(req), &k, &b, &d, &app, &l, digest, &changed));
    if (changed)
        live_wake_pages(tx, PORTAL(req), b.account.id);
    TRY(license_seen(tx, PORTAL(req), b.account, b.device.id));
    if (quiet && !changed && request_matches(req, tag_of(req->arena, digest)))
        return not_changed(req, &b);
    return answer_state(req, tx, &b, &k, digest);
}

enum err set_service(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct binding b;
    struct tx *tx;
    if (!is_own(req, req->segment[0]))
        return no_binding(req);
    if (!body_is_own(req))
        return not_yours(req);
    TRY(bound_for_writing(req, &tx, &b, &k));
    TRY(device_set_service(tx, &b, message_text(req, "device_token_type"), message_text(req, "service_id")));
    return request_empty(req, 204);
}

/* ---- commands ---- */

enum err get_commands(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct binding b;
    struct command *commands;
    size_t n;
    struct tx *tx;
    TRY(bound_for_writing(req, &tx, &b, &k));
    TRY(command_fetch(tx, request_privacy(req), &k, &b, &commands, &n));
    if (n > 0)
        live_wake_pages(tx, PORTAL(req), b.account.id);
    json_t *list = json_put_array(req->view, "commands");
    for (size_t i = 0; i < n; i++) {
        json_t *j = json_add_object(list);
        json_put_str(j, "id", id_str(&commands[i].id.id));
        json_put_str(j, "kind", commands[i].kind);
        if (commands[i].text.n)
            json_put_str(j, "text", commands[i].text);
        json_put_moment(j, "made", req->arena, commands[i].made);
        json_put_moment(j, "expires", req->arena, commands[i].expires);
    }
    json_put_int(req->view, "interval", connect_interval(req));
    return request_json(req, 200);
}

/* Where nothing is there, nginx holds the request for us (live.h); without it, the app is answered at once. */
enum err wait_for_commands(struct request *req)
{
    const struct binding *b = bound(req);
    bool held = false;
    if (b->pending == 0)
        TRY(live_hold(req, LIVE_WAIT, b->id.id, &held));
    if (held)
        return OK;
    if (b->pending == 0)
        return request_empty(req, 304);
    json_put_int(req->view, "commands_waiting", b->pending);
    json_put_int(req->view, "interval", connect_interval(req));
    return request_json(req, 200);
}

static enum err command_of(struct request *req, command_id *out)
{
    return id_parse(req->segment[0], &out->id) == OK ? OK : request_problem(req, 404, MSG("problem.command-unknown"));
}

/* One that another app or another account has is none. */
static enum err no_command(struct request *req, enum err e)
{
    if (e != ERR_NOT_FOUND)
        return e;
    fault_clear(req->fault);
    return request_problem(req, 404, MSG("problem.command-unknown"));
}

static enum err answer_command(struct request *req, bool done, str reason)
{
    CLEANUP(key_wipe) struct key k;
    struct binding b;
    struct tx *tx;
    command_id which;
    bool again;
    TRY(command_of(req, &which));
    TRY(vault_subject_key(request_privacy(req)->vault, bound(req)->account.id, &k, req->arena, req->fault));
    TRY(answer_again(req, &k, &again));
    if (again)
        return OK;
    TRY(bound_for_writing(req, &tx, &b, &k));
    TRY(no_command(req, command_answer(tx, PORTAL(req), &k, &b, which, done, reason)));
    return answer_keep(req, tx, &k, 204);
}

enum err command_done(struct request *req)
{
    return answer_command(req, true, (str){NULL, 0});
}

enum err command_failed(struct request *req)
{
    return answer_command(req, false, request_query(req, "reason", 60));
}

enum err report_position(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct binding b;
    struct tx *tx;
    command_id which;
    bool again;
    struct position at = {.latitude = json_number_value(json_object_get(req->message, "latitude")),
                          .longitude = json_number_value(json_object_get(req->message, "longitude")),
                          .accuracy = json_number_value(json_object_get(req->message, "accuracy"))};
    TRY(command_of(req, &which));
    TRY(vault_subject_key(request_privacy(req)->vault, bound(req)->account.id, &k, req->arena, req->fault));
    TRY(answer_again(req, &k, &again));
    if (again)
        return OK;
    TRY(bound_for_writing(req, &tx, &b, &k));
    enum err e = position_add(tx, request_privacy(req), &k, &b, which, &at);
    if (e == ERR_DENIED) {
        fault_clear(req->fault);
        return request_problem(req, 403, MSG("problem.position-not-asked"));
    }
    TRY(no_command(req, e));
    live_wake_pages(tx, PORTAL(req), b.account.id);
    return answer_keep(req, tx, &k, 204);
}

/* ---- licenses ---- */

/* The other features' reasons, and what status they have here. */
static enum err say_why(struct request *req, const char *why)
{
    static const struct {
        const char *why;
        int status;
        const char *key;
    } known[] = {
        {CODE_ERROR_MALFORMED, 400, MSG("problem.code-malformed")},
        {CODE_ERROR_SLIP, 400, MSG("problem.code-mistyped")},
        {CODE_ERROR_UNKNOWN, 404, MSG("problem.code-unknown")},
        {CODE_ERROR_TAKEN, 409, MSG("problem.code-in-another-account")},
        {CODE_ERROR_REVOKED, 409, MSG("problem.code-revoked")},
        {CODE_ERROR_TOO_OFTEN, 429, MSG("problem.too-many-codes")},
        {LICENSE_ERROR_FULL, 409, MSG("problem.device-limit-reached")},
        {LICENSE_ERROR_COOLING, 409, MSG("problem.license-moved-lately")},
        {LICENSE_ERROR_OVER, 409, MSG("problem.license-expired")},
        {LICENSE_ERROR_PRODUCT, 409, MSG("problem.other-product")},
        {LICENSE_ERROR_JOIN, 403, MSG("problem.restricted")},
        {PURCHASE_ERROR_FORGED, 422, MSG("problem.purchase-signature-wrong")},
        {PURCHASE_ERROR_OTHER, 422, MSG("problem.purchase-data-differs")},
        {PURCHASE_ERROR_ITEM, 404, MSG("problem.purchase-unknown-item")},
        {PURCHASE_ERROR_TAKEN, 409, MSG("problem.purchase-in-another-account")},
        {PURCHASE_ERROR_PENDING, 409, MSG("problem.purchase-not-paid")},
        {PURCHASE_ERROR_FUTURE, 400, MSG("problem.purchase-in-the-future")},
    };
    for (size_t i = 0; why && i < COUNT(known); i++)
        if (strcmp(why, known[i].why) == 0) {
            req->wait_s = known[i].status == 429 ? 3600 : 0;
            return request_problem(req, known[i].status, known[i].key);
        }
    return request_problem(req, 409, MSG("problem.conflict"));
}

static bool is_refusal(enum err e, const char *why)
{
    return why && (e == ERR_INPUT || e == ERR_DENIED || e == ERR_NOT_FOUND || e == ERR_CONFLICT || e == ERR_LIMIT);
}

/* A seat for this device, if it has none; then the license as the portal has it. */
static enum err seat(struct request *req, struct tx *tx, const struct binding *b, const struct key *k, license_id license)
{
    const char *why = NULL;
    enum err e = license_bind(tx, PORTAL(req), b->account, license, b->device.id, b->app, &why);
    if (is_refusal(e, why)) {
        fault_clear(req->fault);
        return say_why(req, why);
    }
    TRY(e);
    TRY(put_license(req, tx, b));
    return answer_keep(req, tx, k, 200);
}

/* The code is added by itself, and counted whatever becomes of it; the one that is here already is no error
 * to who sends it again. */
enum err add_code(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    const struct privacy *p = request_privacy(req);
    struct binding b = *bound(req);
    license_id license = {{{0}}};
    const char *why = NULL;
    struct tx *tx;
    bool again;
    if (!body_is_own(req))
        return not_yours(req);
    TRY(vault_subject_key(p->vault, b.account.id, &k, req->arena, req->fault));
    TRY(answer_again(req, &k, &again));
    if (again)
        return OK;
    TRY(connect_may(req, request_read(req), b.account));
    request_rest(req);
    struct added {
        bool done;
        license_id license;
    } *added = request_memo(req, "code", sizeof *added);
    if (!added->done) {
        enum err e = license_redeem(PORTAL(req), b.account, &k, message_text(req, "activation_code"), req->arena, &license,
                                    &why, req->fault);
        bool mine = e != OK && why && strcmp(why, CODE_ERROR_MINE) == 0 && !id_is_none(license.id);
        if (!mine && is_refusal(e, why)) {
            fault_clear(req->fault);
            return say_why(req, why);
        }
        if (!mine)
            TRY(e);
        fault_clear(req->fault);
        *added = (struct added){true, license};
    }
    TRY(bound_for_writing(req, &tx, &b, &k));
    return seat(req, tx, &b, &k, added->license);
}

enum err hand_over(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct binding b = *bound(req);
    license_id license;
    const char *why = NULL;
    struct tx *tx;
    bool again;
    struct store_purchase s = {
        .item = message_text(req, "item_name"),
        .package = message_text(req, "package_name"),
        .receipt = message_text(req, "receipt_name"),
        .token = message_text(req, "purchase_token"),
        .signature = message_text(req, "signature"),
        .status = message_text(req, "purchase_status"),
    };
    if (!body_is_own(req))
        return not_yours(req);
    if (moment_parse(message_text(req, "purchased_at"), &s.bought) != OK)
        return ERR_INPUT; /* the document has checked it */
    TRY(vault_subject_key(request_privacy(req)->vault, b.account.id, &k, req->arena, req->fault));
    TRY(answer_again(req, &k, &again));
    if (again)
        return OK;
    TRY(bound_for_writing(req, &tx, &b, &k));
    enum err e = purchase_hand_over(tx, PORTAL(req), b.account, &k, &s, &license, &why);
    if (is_refusal(e, why)) {
        fault_clear(req->fault);
        return say_why(req, why);
    }
    TRY(e);
    if (!str_is(s.status, "refunded"))
        return seat(req, tx, &b, &k, license);
    TRY(put_license(req, tx, &b));
    return answer_keep(req, tx, &k, 200);
}

enum err get_license_file(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct binding b;
    license_id license;
    struct tx *tx;
    str file;
    TRY(bound_for_writing(req, &tx, &b, &k));
    enum err e = license_of_device(tx, b.account, b.device.id, b.app, &license);
    if (e == OK)
        e = license_file(tx, PORTAL(req), b.account, license, b.device.id, req->arena, &file);
    if (e == ERR_NOT_FOUND || e == ERR_DENIED) {
        fault_clear(req->fault);
        return request_problem(req, 404, MSG("problem.no-license"));
    }
    TRY(e);
    response_header(req->response, "Cache-Control", STR("no-store"));
    return request_bytes(req, 200, "application/jose", file);
}

enum err get_keys(struct request *req)
{
    TRY(license_keys(request_write(req), PORTAL(req), req->view));
    response_header(req->response, "Cache-Control", STR("public, max-age=3600"));
    return request_json(req, 200);
}

enum err get_revocations(struct request *req)
{
    str list;
    TRY(license_revocations(request_write(req), PORTAL(req), req->arena, &list));
    response_header(req->response, "Cache-Control", STR("public, max-age=300"));
    return request_bytes(req, 200, "application/jose", list);
}

/* ---- the end ---- */

/* It withdraws the choice to take part, so nothing may stand in its way: no statement, no restriction. */
enum err disconnect(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    const struct privacy *p = request_privacy(req);
    struct binding b = *bound(req);
    if (!body_is_own(req))
        return not_yours(req);
    if (!str_is(message_text(req, "choice"), "withdrawn"))
        return request_problem(req, 400, MSG("problem.choice-is-none"));
    TRY(vault_subject_key(p->vault, b.account.id, &k, req->arena, req->fault));
    struct tx *tx = request_write(req);
    TRY(device_disconnect(tx, PORTAL(req), b.account, b.id));
    TRY(account_note(req, tx, b.account, &k, "app-disconnected"));
    json_put_moment(req->view, "ended", req->arena, clock_now(p->clock));
    return request_json(req, 200);
}
