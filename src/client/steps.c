/* From the statement to the binding (WPS-01 to WPS-18). Nothing of it is kept before the binding is there. */
#include "client/internal.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT_MAX = 90 };

static json_t *about(const struct troth *t)
{
    return json_pack("{s:s, s:s, s:s}", "application_id", t->application_id, "application_version",
                     t->application_version, "application_locale", t->application_locale);
}

/* Sends it, and wipes it: passwords and codes are in it. */
static enum troth_result post(struct troth *t, const char *path, json_t *body, const char *key, json_t **out)
{
    CLEANUP(json_wipe) json_t *owned = body;
    CLEANUP(answer_done) struct answer a = {0};
    if (!body)
        return TROTH_USAGE;
    return http_ask_json(t, &(struct call){.method = "POST", .path = path, .body = owned, .key = key}, &a, out);
}

/* ---- 1: the statement ---- */

enum troth_result troth_statement(struct troth *t, const struct troth_statement **out)
{
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(json_done) json_t *j = NULL;
    CLEANUP(text_free)
    char *path = text_format("/statements/%s?locale=%s", t->application_id, t->application_locale);
    if (!path)
        return TROTH_STORAGE;
    statement_done(&t->statement);
    TRY(http_ask_json(t, &(struct call){.method = "GET", .path = path}, &a, &j));
    TRY(answer_statement(j, &t->statement));
    *out = &t->statement.is;
    return TROTH_OK;
}

static enum troth_result take_context(struct troth *t, const json_t *j)
{
    const char *context = answer_text(j, "context", CONTEXT_MAX);
    if (!context)
        return TROTH_ANSWER;
    char *own = strdup(context);
    if (!own)
        return TROTH_STORAGE;
    text_wipe(&t->context);
    t->context = own;
    return TROTH_OK;
}

static enum troth_result accept_again(struct troth *t, json_t *body)
{
    ENTER(t);
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(text_free)
    char *path = text_format("/bindings/%s/acceptances?version=%s", state_text(t, "binding_id"), t->statement.is.version);
    if (!path)
        return TROTH_STORAGE;
    TRY(http_ask(t, &(struct call){.method = "POST", .path = path, .body = body, .signs = true}, &a));
    t->try_at = t->failures = 0;
    return TROTH_OK;
}

enum troth_result troth_accept(struct troth *t, enum troth_choice choice)
{
    CLEANUP(json_done) json_t *body = about(t);
    CLEANUP(json_done) json_t *j = NULL;
    if (!body || !t->statement.from || (choice != TROTH_PARTICIPATE && choice != TROTH_PARTICIPATE_FOR_ALL))
        return TROTH_USAGE; /* what was not shown cannot be accepted */
    json_object_set_new(body, "choice", json_string(choice == TROTH_PARTICIPATE ? "participate" : "participate-for-all"));
    if (state_bound(t))
        return accept_again(t, body);
    CLEANUP(text_free) char *path = text_format("/statements/%s/acceptances", t->statement.is.version);
    if (!path)
        return TROTH_STORAGE;
    TRY(post(t, path, json_incref(body), NULL, &j));
    TRY(take_context(t, j));
    char temporary[25];
    os_random_text(temporary, sizeof temporary);
    os_random_text(t->bind_key, sizeof t->bind_key);
    text_free(&t->temporary_id);
    t->temporary_id = strdup(temporary);
    return t->temporary_id ? TROTH_OK : TROTH_STORAGE;
}

/* ---- 2: the captcha ---- */

static enum troth_result add_captcha(struct troth *t, json_t *body)
{
    CLEANUP(json_done) json_t *j = NULL;
    TRY(post(t, "/captchas", json_pack("{s:s, s:s}", "context", t->context, "captcha_type", "altcha"), NULL, &j));
    const char *id = answer_text(j, "captcha_id", 200), *type = answer_text(j, "captcha_type", 40);
    CLEANUP(text_free) char *reply = work_solve(json_object_get(j, "challenge"));
    if (!id || !type || strcmp(type, "altcha") != 0 || !reply)
        return TROTH_ANSWER;
    json_object_set_new(body, "captcha_id", json_string(id));
    json_object_set_new(body, "captcha_type", json_string(type));
    json_object_set_new(body, "captcha_reply", json_string(reply));
    return TROTH_OK;
}

/* ---- 3: registering, signing in, connecting ---- */

static enum troth_result onward(struct troth *t, const json_t *j, enum troth_next *next)
{
    enum troth_next is = answer_next(j);
    if (!is)
        return TROTH_ANSWER;
    TRY(take_context(t, j));
    if (next)
        *next = is;
    return TROTH_OK;
}

enum troth_result troth_register(struct troth *t, const struct troth_registration *r, enum troth_next *next)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (!t->context || !r || r->size < sizeof *r)
        return TROTH_USAGE;
    CLEANUP(json_wipe)
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "context", t->context, "email", r->email, "password",
                             r->password, "locale", r->locale, "region", r->region, "marketing_agreement",
                             r->marketing_agreement);
    if (!body)
        return TROTH_USAGE;
    TRY(add_captcha(t, body));
    TRY(post(t, "/accounts", json_incref(body), NULL, &j));
    return onward(t, j, next);
}

enum troth_result troth_sign_in(struct troth *t, const char *email, const char *password, const char *locale,
                                enum troth_next *next)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (!t->context || !email || !password || !locale)
        return TROTH_USAGE;
    CLEANUP(json_wipe)
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:s}", "context", t->context, "email", email, "password", password,
                             "locale", locale, "temporary_device_id", t->temporary_id);
    if (!body)
        return TROTH_USAGE;
    /* A second time only where a captcha is asked for; each has a key of its own, for it is another message. */
    CLEANUP(answer_done) struct answer a = {0};
    struct call c = {.method = "POST", .path = "/sign-ins", .body = body};
    enum troth_result r = http_ask_json(t, &c, &a, &j);
    if (r == TROTH_REFUSED && strcmp(t->problem.code, "captcha-needed") == 0) {
        TRY(add_captcha(t, body));
        r = http_ask_json(t, &c, &a, &j);
    }
    return r == TROTH_OK ? onward(t, j, next) : r;
}

/* ---- 4: the second factor, or the password to connect with ---- */

enum troth_result troth_send_code(struct troth *t)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (!t->context)
        return TROTH_USAGE;
    TRY(post(t, "/second-factors/messages", json_pack("{s:s}", "context", t->context), NULL, &j));
    return onward(t, j, NULL);
}

enum troth_result troth_second_factor(struct troth *t, const char *code)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (!t->context || !code)
        return TROTH_USAGE;
    TRY(post(t, "/second-factors", json_pack("{s:s, s:s}", "context", t->context, "one_time_password", code), NULL, &j));
    return onward(t, j, NULL);
}

enum troth_result troth_connect(struct troth *t, const char *password)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (!t->context || !password)
        return TROTH_USAGE;
    TRY(post(t, "/connections",
             json_pack("{s:s, s:s, s:s}", "context", t->context, "connection_password", password, "temporary_device_id",
                       t->temporary_id),
             NULL, &j));
    return onward(t, j, NULL);
}

/* ---- RFC 8628. What is put into the forms holds letters, digits, dots and dashes: see the checks of each. ---- */

enum troth_result troth_ask_grant(struct troth *t, const struct troth_grant **out)
{
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(json_done) json_t *j = NULL;
    if (!t->context)
        return TROTH_USAGE;
    CLEANUP(text_wipe) char *form = text_format("client_id=%s&scope=%s", t->application_id, t->context);
    TRY(http_ask_json(t, &(struct call){.method = "POST", .path = "/device_authorization", .form = form}, &a, &j));
    TRY(answer_grant(j, &t->grant_is));
    json_done(&t->grant);
    t->grant = json_incref(j);
    text_wipe(&t->device_code);
    t->device_code = strdup(answer_text(j, "device_code", 80));
    t->grant_interval = t->grant_is.interval;
    *out = &t->grant_is;
    return t->device_code ? TROTH_OK : TROTH_STORAGE;
}

enum troth_result troth_await_grant(struct troth *t)
{
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(json_done) json_t *j = NULL;
    if (!t->device_code)
        return TROTH_USAGE;
    CLEANUP(text_wipe)
    char *form = text_format("grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code=%s&client_id=%s",
                             t->device_code, t->application_id);
    os_sleep((int64_t)t->grant_interval * 1000);
    enum troth_result r = http_ask_json(t, &(struct call){.method = "POST", .path = "/token", .form = form}, &a, &j);
    if (r == TROTH_REFUSED && strcmp(t->problem.code, "slow_down") == 0)
        t->grant_interval += 5;
    else if (r != TROTH_REFUSED || strcmp(t->problem.code, "authorization_pending") != 0) {
        if (r != TROTH_OFFLINE && r != TROTH_LATER)
            text_wipe(&t->device_code);
        TRY(r);
        json_object_set(j, "context", json_object_get(j, "access_token"));
        return take_context(t, j);
    }
    return TROTH_PENDING;
}

/* ---- 5: the binding ---- */

static enum troth_result keep_binding(struct troth *t, json_t *j)
{
    static const char *const names[] = {"device_id", "application_instance_id", "binding_id", "user_id", "token"};
    ENTER(t);
    TRY(answer_binding(j));
    json_t *fresh = json_pack("{s:s}", "url", t->url);
    if (!fresh)
        return TROTH_STORAGE;
    for (size_t i = 0; i < COUNT(names); i++) /* copies: what was answered is overwritten */
        json_object_set_new(fresh, names[i], json_string(answer_text(j, names[i], TEXT_MAX)));
    json_wipe(&t->kept);
    t->kept = fresh;
    told_state_done(&t->state);
    t->state.is.interval = (int)json_integer_value(json_object_get(j, "interval"));
    t->report_at = t->try_at = t->failures = 0;
    return state_save(t);
}

enum troth_result troth_bind(struct troth *t, const struct troth_device *d)
{
    CLEANUP(json_wipe) json_t *j = NULL;
    json_t *body = about(t);
    if (!body || !t->context || !d || d->size < sizeof *d || state_bound(t)) {
        json_decref(body);
        return TROTH_USAGE;
    }
    json_t *device = json_pack("{s:s, s:s, s:s, s:s, s:s*}", "network_name", d->network_name, "type", d->type, "os_type",
                               d->os_type, "os_version", d->os_version, "device_id", d->device_id);
    json_object_set_new(body, "context", json_string(t->context));
    json_object_set_new(body, "temporary_device_id", json_string(t->temporary_id));
    if (json_object_set_new(body, "device", device) != 0) {
        json_decref(body);
        return TROTH_USAGE;
    }
    /* One key for the context: whoever lost the answer and calls again gets the same binding. */
    TRY(post(t, "/bindings", body, t->bind_key, &j));
    TRY(keep_binding(t, j));
    text_wipe(&t->context);
    text_free(&t->temporary_id);
    return TROTH_OK;
}

/* ---- 6 ---- */

enum troth_result troth_set_service(struct troth *t, const char *device_token_type, const char *service_id)
{
    ENTER(t);
    CLEANUP(answer_done) struct answer a = {0};
    if (!state_bound(t) || !device_token_type || !service_id)
        return TROTH_USAGE;
    const char *binding = state_text(t, "binding_id");
    CLEANUP(text_free) char *path = text_format("/bindings/%s/service", binding);
    CLEANUP(json_done)
    json_t *body = json_pack("{s:s, s:s, s:s}", "device_token_type", device_token_type, "service_id", service_id,
                             "binding_id", binding);
    if (!path || !body)
        return TROTH_USAGE;
    return http_ask(t, &(struct call){.method = "PUT", .path = path, .body = body, .signs = true}, &a);
}
