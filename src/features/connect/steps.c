/* From an accepted statement to a binding (spec WPS-12 to WPS-18, WPS-24, WPS-25). */
#include "features/connect/model.h"

#include <string.h>

#include "features/captcha/captcha.h"
#include "features/factors/factors.h"
#include "features/live/live.h"
#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "web/quota.h"

#define STAGE(s) (1u << (s))

/* ---- captchas ---- */

enum err ask_captcha(struct request *req)
{
    struct context c;
    bool again, allowed, question = str_is(message_text(req, "captcha_type"), "question");
    TRY(context_of(req, STAGE(STAGE_ACCEPTED) | STAGE(STAGE_SECOND), &c, &again));
    request_rest(req);
    TRY(captcha_issue(req, question, req->view, &allowed));
    if (!allowed) {
        req->wait_s = 10;
        return request_problem(req, 429, MSG("problem.captcha-too-many"));
    }
    json_put_str(req->view, "captcha_type", message_text(req, "captcha_type"));
    return request_json(req, 201);
}

/* The reply that a message brings. Holds no transaction. */
static enum err check_captcha(struct request *req, bool *passed)
{
    enum captcha result;
    str which = message_text(req, "captcha_id"), reply = message_text(req, "captcha_reply");
    *passed = false;
    if (which.n == 0 || reply.n == 0)
        return request_problem(req, 403, MSG("problem.captcha-needed"));
    TRY(captcha_reply(req, str_is(message_text(req, "captcha_type"), "question"), which, reply, &result));
    *passed = result == CAPTCHA_PASSED;
    return *passed ? OK : request_problem(req, 403, MSG("problem.captcha-wrong"));
}

/* ---- registering ---- */

/* The language that the person's app speaks with them: of mails, and of their account. */
static struct locale locale_of(struct request *req)
{
    struct locale l = req->locale;
    str wanted = message_text(req, "locale"), language, rest;
    if (!str_cut(wanted, '-', &language, &rest))
        language = wanted;
    int found = catalog_find_language(request_privacy(req)->catalog, str_lower(req->arena, language));
    if (found >= 0) {
        l.language = found;
        l.code = catalog_language(request_privacy(req)->catalog, found);
    }
    return l;
}

static enum err wish(struct request *req, const struct context *c)
{
    struct locale l = locale_of(req);
    struct context next = *c;
    struct account_wish w = {
        .address = message_text(req, "email"),
        .password = {message_text(req, "password")},
        .country = message_text(req, "region"),
        .news = json_get_bool(req->message, "marketing_agreement"),
        .locale = &l,
    };
    TRY(account_wish(req, &w));
    return context_answer(req, request_write(req), c, &next, "confirm-address", 202);
}

/* A password that is refused, or a region that is none, uses no captcha up. */
static enum err check_wish(struct request *req)
{
    const char *weak = account_weak(req, message_text(req, "email"), (struct secret){message_text(req, "password")});
    if (!account_is_country(req, message_text(req, "region"))) {
        request_wrong(req, STR("region"), MSG("problem.field-choice"));
        return request_problem(req, 400, MSG("problem.fields"));
    }
    if (weak) {
        request_wrong(req, STR("password"), weak);
        return request_problem(req, 422, MSG("problem.password-weak"));
    }
    return OK;
}

enum err register_person(struct request *req)
{
    struct context c;
    bool again, passed;
    TRY(context_of(req, STAGE(STAGE_ACCEPTED), &c, &again));
    if (again)
        return request_json(req, req->status);
    TRY(check_wish(req));
    request_rest(req);
    TRY(check_captcha(req, &passed));
    return wish(req, &c);
}

/* ---- signing in ---- */

static void put_user(struct request *req, account_id which)
{
    json_put_str(req->view, "user_id", str_dup(req->arena, str_from(which.id.text)));
}

static enum err put_ways(struct request *req, struct tx *tx, account_id which)
{
    struct app_ways ways;
    json_t *list = json_put_array(req->view, "ways");
    TRY(factors_app_ways(req, tx, which, &ways));
    if (ways.totp)
        json_add_str(list, STR("totp"));
    if (ways.text)
        json_add_str(list, STR("text"));
    if (ways.recovery)
        json_add_str(list, STR("recovery"));
    return OK;
}

/* A device that is remembered in a browser is none here: the second step is always asked for. */
static enum err enter(struct request *req, const struct context *c, account_id which, str proved)
{
    struct tx *tx = request_write(req);
    struct context next = *c;
    bool still, second;
    TRY(account_unchanged(tx, request_privacy(req), which, proved, &still));
    if (!still)
        return request_problem(req, 401, MSG("problem.credentials-wrong"));
    TRY(factors_on(tx, which, &second));
    next.account = which;
    next.device = context_device(req->arena, message_text(req, "temporary_device_id"));
    next.stage = second ? STAGE_SECOND : STAGE_BIND;
    next.step = (id){{0}};
    if (!second) {
        put_user(req, which);
        return context_answer(req, tx, c, &next, "bind", 200);
    }
    TRY(factors_app_begin(req, tx, which, &next.step));
    TRY(put_ways(req, tx, which));
    return context_answer(req, tx, c, &next, "second-factor", 200);
}

enum err sign_in_person(struct request *req)
{
    struct context c;
    account_id which;
    enum account_entry entry;
    bool again, asks, passed;
    str proved, email = message_text(req, "email");
    TRY(context_of(req, STAGE(STAGE_ACCEPTED) | STAGE(STAGE_SECOND), &c, &again));
    if (again)
        return request_json(req, req->status);
    request_rest(req);
    TRY(account_asks(req, email, false, &asks));
    if (asks)
        TRY(check_captcha(req, &passed));
    TRY(account_try(req, email, (struct secret){message_text(req, "password")}, &entry, &which, &proved));
    if (entry == ENTRY_CLOSED)
        return request_problem(req, 403, MSG("problem.account-closed"));
    if (entry != ENTRY_RIGHT)
        return request_problem(req, 401, MSG("problem.credentials-wrong"));
    return enter(req, &c, which, proved);
}

/* ---- the second step ---- */

enum err prove_second(struct request *req)
{
    struct context c, next;
    bool again;
    enum app_code result;
    const char *by;
    TRY(context_of(req, STAGE(STAGE_SECOND), &c, &again));
    if (again)
        return request_json(req, req->status);
    request_rest(req);
    TRY(factors_app_prove(req, c.account, c.step, message_text(req, "one_time_password"), &result, &by));
    if (result == APP_CODE_TOO_MANY) {
        req->wait_s = 3600;
        return request_problem(req, 429, MSG("problem.too-many-codes-tried"));
    }
    if (result == APP_CODE_OVER)
        return request_problem(req, 410, MSG("problem.context-over"));
    if (result != APP_CODE_RIGHT)
        return request_problem(req, 401, MSG("problem.code-wrong"));
    next = c;
    next.stage = STAGE_BIND;
    next.step = (id){{0}};
    put_user(req, c.account);
    return context_answer(req, request_write(req), &c, &next, "bind", 200);
}

enum err send_code(struct request *req)
{
    struct context c, next;
    bool again, sent;
    TRY(context_of(req, STAGE(STAGE_SECOND), &c, &again));
    if (again)
        return request_json(req, req->status);
    next = c;
    enum err e = factors_app_send(req, request_write(req), c.account, c.step, &sent);
    if (e == ERR_NOT_FOUND) {
        fault_clear(req->fault);
        return request_problem(req, 404, MSG("problem.no-text-messages"));
    }
    TRY(e);
    if (!sent) {
        req->wait_s = 3600;
        return request_problem(req, 429, MSG("problem.text-limit"));
    }
    return context_answer(req, request_write(req), &c, &next, "second-factor", 202);
}

/* ---- by the password that the portal showed ---- */

/* Fewer than a guesser needs of a password of 40 bits within its ten minutes. */
static const struct quota of_visitor = {"connection-range", 10, MOMENT_MINUTE};
static const struct quota of_all = {"connection-all", 1000, MOMENT_SECOND};

static enum err may_try(struct request *req, bool *yes)
{
    const struct privacy *p = request_privacy(req);
    bool one, all, *counted = request_memo(req, "connection", 2);
    if (!counted[0] && !PORTAL(req)->settings->limits_off) {
        TRY(quota_take(p, &of_visitor, quota_range(req->arena, req->peer), &one, req->arena, req->fault));
        TRY(quota_take(p, &of_all, STR(""), &all, req->arena, req->fault));
        counted[1] = !one || !all;
    }
    counted[0] = true;
    *yes = !counted[1];
    return OK;
}

enum err connect_automatically(struct request *req)
{
    struct context c, next;
    struct account x;
    bool again, office, allowed;
    account_id which;
    TRY(context_of(req, STAGE(STAGE_ACCEPTED), &c, &again));
    if (again)
        return request_json(req, req->status);
    request_rest(req);
    TRY(may_try(req, &allowed));
    if (!allowed) {
        req->wait_s = 60;
        return request_problem(req, 429, MSG("problem.too-often"));
    }
    struct tx *tx = request_write(req);
    enum err e = device_password_redeem(tx, request_privacy(req), message_text(req, "connection_password"), &which, &office);
    if (e == OK)
        e = account_get(tx, request_privacy(req), which, NULL, &x);
    if (e == ERR_NOT_FOUND || (e == OK && x.closed)) {
        fault_clear(req->fault);
        return request_problem(req, 401, MSG("problem.connection-password-wrong"));
    }
    TRY(e);
    next = c;
    next.account = which;
    next.office = office;
    next.stage = STAGE_BIND;
    next.device = context_device(req->arena, message_text(req, "temporary_device_id"));
    put_user(req, which);
    return context_answer(req, tx, &c, &next, "bind", 200);
}

/* ---- the binding ---- */

/* My Account holds devices: it is joined with the statement, which says so. */
static enum err join_service(struct request *req, struct tx *tx, account_id which)
{
    const struct privacy *p = request_privacy(req);
    const struct service_account *s = inventory_account(p->inventory, STR("my-account"));
    struct enrolment e;
    TRY(enrolment_get(tx, p, which.id, s, &e));
    if (e.state == ENROLMENT_ACTIVE)
        return OK;
    return enrolment_join(tx, p, which.id, s, NULL, req->locale.code);
}

static enum err check_binding(struct request *req, const struct context *c)
{
    const struct application *x = document_application(document_of(req), c->application);
    if (!str_eq(message_text(req, "application_id"), c->application))
        return request_problem(req, 403, MSG("problem.application-differs"));
    if (c->device.n > 0 && !secret_eq(c->device, context_device(req->arena, message_text(req, "temporary_device_id"))))
        return not_yours(req);
    if (x == NULL || !str_eq(c->statement, x->version))
        return request_problem(req, 403, MSG("problem.statement-changed"));
    if (c->office && !c->everybody)
        return request_problem(req, 422, MSG("problem.attestation-missing"));
    return OK;
}

static struct device_facts facts_of(const json_t *device)
{
    return (struct device_facts){json_get_str(device, "network_name"), json_get_str(device, "type"),
                                 json_get_str(device, "os_type"), json_get_str(device, "os_version")};
}

static void put_ids(struct request *req, const struct binding *b)
{
    json_put_str(req->view, "device_id", str_dup(req->arena, str_from(b->device.id.text)));
    json_put_str(req->view, "application_instance_id", str_dup(req->arena, str_from(b->application.text)));
    json_put_str(req->view, "binding_id", str_dup(req->arena, str_from(b->id.id.text)));
    put_user(req, b->account);
}

static enum err answer_binding(struct request *req, const struct binding *b, str token)
{
    put_ids(req, b);
    json_put_str(req->view, "token", token);
    json_put_int(req->view, "interval", connect_interval(req));
    return request_json(req, 201);
}

/* The first answer was lost: the same IDs, and a token in place of the one that nobody has. */
static enum err answer_lost(struct request *req, const struct context *c)
{
    struct binding b = {.account = c->account};
    str token;
    if (id_parse(json_get_str(req->view, "binding_id"), &b.id.id) != OK ||
        id_parse(json_get_str(req->view, "device_id"), &b.device.id) != OK ||
        id_parse(json_get_str(req->view, "application_instance_id"), &b.application) != OK)
        return request_problem(req, 410, MSG("problem.context-over"));
    enum err e = device_rotate(request_write(req), request_privacy(req)->clock, &b, &token);
    if (e == ERR_NOT_FOUND || e == ERR_DENIED) {
        fault_clear(req->fault);
        return request_problem(req, 410, MSG("problem.disconnected"));
    }
    TRY(e);
    json_object_del(req->view, "context");
    return answer_binding(req, &b, token);
}

static enum err note_binding(struct request *req, struct tx *tx, struct context *c, const struct binding *b)
{
    struct context next = *c;
    struct buf asked = buf_new(req->arena, 64);
    next.stage = STAGE_USED;
    next.binding = b->id.id;
    next.device = next.asked = next.answer = (str){NULL, 0};
    if (idempotency_key(req).n > 0) {
        buf_put(&asked, secret_hash(req->arena, idempotency_key(req)));
        buf_put(&asked, answer_digest(req));
        next.asked = buf_str(&asked);
        put_ids(req, b); /* without the token: that is kept nowhere */
        next.answer = str_fmt(req->arena, "201 %.*s", STR_FMT(json_encode(req->arena, req->view, false)));
    }
    return context_advance(tx, c, &next);
}

/* ERR_DENIED: what keeps the account from having one more. */
static enum err bind_or_say(struct request *req, struct tx *tx, const struct key *k, const struct context *c,
                            struct binding *b, str *token)
{
    const json_t *device = json_object_get(req->message, "device");
    struct binding_start start = {
        .account = c->account,
        .device = facts_of(device),
        .app = {message_text(req, "application_id"), message_text(req, "application_version"),
                message_text(req, "application_locale")},
        .statement = c->statement,
        .for_all = c->everybody,
        .office = c->office,
    };
    str same = json_get_str(device, "device_id");
    if (same.n > 0 && id_parse(same, &start.same.id) != OK)
        return not_yours(req);
    enum err e = device_bind(tx, request_privacy(req), k, &start, b, token);
    if (e != ERR_DENIED && e != ERR_NOT_FOUND)
        return e;
    fault_clear(req->fault);
    return e == ERR_NOT_FOUND ? not_yours(req) : request_problem(req, 403, MSG("problem.too-many-devices"));
}

enum err bind_device(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    const struct privacy *p = request_privacy(req);
    struct context c;
    struct account x;
    struct binding b;
    bool again;
    str token;
    TRY(context_of(req, STAGE(STAGE_BIND), &c, &again));
    if (again)
        return answer_lost(req, &c);
    TRY(check_binding(req, &c));
    struct tx *tx = request_write(req);
    TRY(account_get(tx, p, c.account, NULL, &x));
    if (x.closed)
        return request_problem(req, 403, MSG("problem.account-closed"));
    TRY(vault_subject_key(p->vault, c.account.id, &k, req->arena, req->fault));
    TRY(join_service(req, tx, c.account));
    TRY(statement_consent(tx, p, c.account, true, req->locale.code));
    TRY(connect_may(req, tx, c.account));
    TRY(bind_or_say(req, tx, &k, &c, &b, &token));
    TRY(note_binding(req, tx, &c, &b));
    live_wake_pages(tx, PORTAL(req), c.account.id);
    TRY(account_note(req, tx, c.account, &k, "app-connected"));
    return answer_binding(req, &b, token);
}
