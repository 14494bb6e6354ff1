/* The Connect API: its routes, held against the document that declares it. */
#include "features/connect/connect.h"
#include "features/connect/model.h"

#include <string.h>

enum { PURCHASE_BODY = 32 << 10, BODY = 8 << 10 };

enum err get_document(struct request *req)
{
    const struct document *d = document_of(req);
    request_etag(req, d->tag);
    response_header(req->response, "Cache-Control", STR("public, max-age=300"));
    return request_matches(req, d->tag) ? request_empty(req, 304) : request_bytes(req, 200, "application/json", d->text);
}

#define APP(m, p, run_, rate_)    {m, API p, run_, GUARD_APP, rate_, .body_max = BODY, .message = connect_check}
#define DEVICE(m, p, run_, rate_) {m, API p, run_, GUARD_DEVICE, rate_, .body_max = BODY, .message = connect_check}

static const struct route routes[] = {
    APP(METHOD_GET, "/openapi.json", get_document, RATE_PAGE),
    APP(METHOD_GET, "/statements/:application_id", get_statement, RATE_PAGE),
    APP(METHOD_POST, "/statements/:version/acceptances", accept_statement, RATE_FORM),
    APP(METHOD_POST, "/captchas", ask_captcha, RATE_FORM),
    APP(METHOD_POST, "/accounts", register_person, RATE_SIGN_IN),
    APP(METHOD_POST, "/sign-ins", sign_in_person, RATE_SIGN_IN),
    APP(METHOD_POST, "/second-factors", prove_second, RATE_SIGN_IN),
    APP(METHOD_POST, "/second-factors/messages", send_code, RATE_MAIL),
    APP(METHOD_POST, "/connections", connect_automatically, RATE_SIGN_IN),
    {METHOD_POST, API "/device_authorization", authorize_device, GUARD_APP, RATE_FORM, &device_authorization_form,
     .body_max = BODY, .own_errors = true},
    {METHOD_POST, API "/token", give_token, GUARD_APP, RATE_REPORT, &token_form, .body_max = BODY, .own_errors = true},
    APP(METHOD_POST, "/bindings", bind_device, RATE_FORM),
    DEVICE(METHOD_PUT, "/bindings/:binding_id/service", set_service, RATE_REPORT),
    DEVICE(METHOD_POST, "/bindings/:binding_id/acceptances", accept_again, RATE_REPORT),
    DEVICE(METHOD_GET, "/bindings/:binding_id/state", get_state, RATE_REPORT),
    DEVICE(METHOD_PUT, "/bindings/:binding_id/state", put_state, RATE_REPORT),
    DEVICE(METHOD_GET, "/commands", get_commands, RATE_REPORT),
    DEVICE(METHOD_GET, "/commands/wait", wait_for_commands, RATE_REPORT),
    DEVICE(METHOD_POST, "/commands/:command_id/done", command_done, RATE_REPORT),
    DEVICE(METHOD_POST, "/commands/:command_id/failed", command_failed, RATE_REPORT),
    DEVICE(METHOD_POST, "/commands/:command_id/position", report_position, RATE_REPORT),
    DEVICE(METHOD_POST, "/activation-codes", add_code, RATE_REPORT),
    {METHOD_POST, API "/purchases", hand_over, GUARD_DEVICE, RATE_REPORT, .body_max = PURCHASE_BODY,
     .message = connect_check},
    DEVICE(METHOD_GET, "/license-file", get_license_file, RATE_REPORT),
    APP(METHOD_GET, "/keys", get_keys, RATE_PAGE),
    APP(METHOD_GET, "/revocations", get_revocations, RATE_PAGE),
    DEVICE(METHOD_POST, "/disconnections", disconnect, RATE_REPORT),
    {0},
};

str connect_application_name(const struct portal *p, str application)
{
    const struct application *x = document_application(p->connect, application);
    return x ? str_from(x->name) : application;
}

/* Every code that the document names has words for people. */
static enum err check_word(void *arg, const char *code, struct fault *f)
{
    const struct portal *p = arg;
    if (catalog_key(p->privacy.catalog, str_fmt(p->arena, "problem.%s", code)) < 0)
        return FAIL(f, ERR_INPUT, "openapi.yaml names the code %s, and no .po file has words for it", code);
    return OK;
}

static enum err start(struct portal *p, struct fault *f)
{
    struct document *d;
    TRY(document_read(p->arena, p->file("connect/openapi.yaml"), &d, f));
    p->connect = d;
    TRY(document_covers(d, routes, f));
    TRY(document_each_code(d, check_word, p, f));
    return statements_make(p, d, f);
}

static void stop(struct portal *p)
{
    struct document *d = p->connect;
    document_free(&d);
    p->connect = NULL;
}

extern const struct feature feature_connect;
const struct feature feature_connect = {
    .name = "connect",
    .routes = (const struct route *const[]){routes, connect_pages, NULL},
    .device = connect_device,
    .policy = put_policy_part,
    .start = start,
    .stop = stop,
};
