/* Asking, and taking the answer: signatures, single use, patience. */
#include "features/captcha/captcha.h"

#include <string.h>

#include <sodium.h>

#include "base/codec.h"
#include "features/captcha/question.h"
#include "features/captcha/work.h"
#include "web/quota.h"

enum { MAC_BYTES = 20 };

/* A script gets one question for each that its work would take as long as. */
static const struct quota questions = {"captcha-question", 10, 10 * MOMENT_SECOND};

/* ---- signing ---- */

/* Signatures of the generation before are good while they last. */
static enum err sign(struct request *req, str text, str out[2], int *n)
{
    struct vault_hashes h;
    TRY(vault_hash(request_privacy(req)->vault, "captcha", text, &h, req->arena, req->fault));
    for (int i = 0; i < h.n; i++)
        out[i] = hex_encode(req->arena, h.bytes[i], MAC_BYTES);
    *n = h.n;
    return OK;
}

static enum err is_signed(struct request *req, str text, str signature, bool *yes)
{
    str own[2];
    int n;
    TRY(sign(req, text, own, &n));
    *yes = false;
    for (int i = 0; i < n; i++)
        *yes |= secret_eq(signature, own[i]);
    return OK;
}

/* ---- once ---- */

struct using {
    const struct privacy *p;
    str nonce;
    moment ends;
    bool first;
};

static enum err use(struct tx *tx, void *arg)
{
    struct using *u = arg;
    struct query *q = SQL(tx, "INSERT INTO captcha_used (nonce, ends) VALUES ($1, $2) ON CONFLICT (nonce) DO NOTHING");
    bind_blob(q, u->nonce);
    bind_time(q, u->ends);
    TRY(query_run(q));
    u->first = query_changes(q) == 1;
    return OK;
}

static enum err use_once(struct request *req, str nonce, moment ends, enum captcha *out)
{
    const struct privacy *p = request_privacy(req);
    struct using *u = request_memo(req, "captcha", sizeof *u);
    if (u->p == NULL) { /* not in an earlier attempt */
        struct using x = {p, nonce, ends, false};
        TRY(db_transact(p->db, req->arena, req->fault, use, &x));
        *u = x;
    }
    *out = u->first ? CAPTCHA_PASSED : CAPTCHA_WRONG;
    return OK;
}

/* ---- the work ---- */

static enum err challenge(struct request *req)
{
    struct work_challenge c = work_new(clock_now(request_privacy(req)->clock));
    str signature[2];
    int n;
    TRY(sign(req, work_text(req->arena, &c), signature, &n));
    work_put(req->view, req->arena, &c, signature[0]);
    response_header(req->response, "Cache-Control", STR("no-store"));
    return request_bytes(req, 200, "application/json", json_encode(req->arena, req->view, false));
}

static enum err check_work(struct request *req, str payload, enum captcha *out)
{
    struct work_solution s;
    bool ours;
    moment now = clock_now(request_privacy(req)->clock);
    if (work_read(req->arena, payload, &s, req->fault) != OK) {
        fault_clear(req->fault);
        return OK;
    }
    TRY(is_signed(req, work_text(req->arena, &s.challenge), s.signature, &ours));
    if (!ours || s.challenge.expires < now / MOMENT_SECOND || !work_done(&s))
        return OK;
    str nonce = str_of((const char *)s.challenge.nonce, WORK_BYTES);
    return use_once(req, str_dup(req->arena, nonce), (s.challenge.expires + 1) * MOMENT_SECOND, out);
}

/* ---- the question ---- */

static uint32_t number_of(const struct asked *q)
{
    uint32_t n;
    unsigned char hash[16];
    crypto_generichash(hash, sizeof hash, q->nonce, sizeof q->nonce, NULL, 0);
    memcpy(&n, hash, sizeof n);
    return n;
}

static enum err ask(struct request *req, json_t *view)
{
    const struct privacy *p = request_privacy(req);
    struct asked q = {.made = clock_now(p->clock) / 1000};
    str signature[2];
    bool more;
    int n;
    TRY(quota_take(p, &questions, quota_range(req->arena, req->peer), &more, req->arena, req->fault));
    json_put_bool(view, "asks", more);
    if (!more)
        return OK;
    randombytes_buf(q.nonce, sizeof q.nonce);
    str text = question_token(req->arena, &q);
    TRY(sign(req, str_fmt(req->arena, "question|%.*s", STR_FMT(text)), signature, &n));
    json_put_str(view, "question", question_text(p->catalog, &req->locale, req->arena, number_of(&q)));
    json_put_str(view, "token", str_fmt(req->arena, "%.*s.%.*s", STR_FMT(text), STR_FMT(signature[0])));
    return OK;
}

static enum err check_answer(struct request *req, str token, str answer, enum captcha *out)
{
    const struct privacy *p = request_privacy(req);
    struct asked q;
    str text, signature;
    bool ours;
    if (!question_read(req->arena, token, &q, &text, &signature))
        return OK;
    TRY(is_signed(req, str_fmt(req->arena, "question|%.*s", STR_FMT(text)), signature, &ours));
    moment made = q.made * 1000, now = clock_now(p->clock);
    if (!ours || now < made + CAPTCHA_PATIENCE || now > made + CAPTCHA_LASTS)
        return OK;
    str nonce = str_dup(req->arena, str_of((const char *)q.nonce, NONCE_BYTES));
    enum captcha once;
    TRY(use_once(req, nonce, made + CAPTCHA_LASTS + MOMENT_SECOND, &once)); /* a wrong answer uses it too */
    if (once == CAPTCHA_PASSED && question_answered(p->catalog, req->arena, number_of(&q), answer))
        *out = CAPTCHA_PASSED;
    return OK;
}

/* ---- for forms ---- */

enum err captcha_check(struct request *req, enum captcha *out)
{
    str work = form_value(&req->form, "altcha"), token = form_value(&req->form, "captcha_question"),
        answer = form_value(&req->form, "captcha_answer");
    *out = CAPTCHA_ABSENT;
    if (work.n == 0 && answer.n == 0)
        return OK;
    *out = CAPTCHA_WRONG;
    if (work.n > 0)
        TRY(check_work(req, work, out));
    if (*out != CAPTCHA_PASSED && answer.n > 0)
        TRY(check_answer(req, token, answer, out));
    return OK;
}

/* What is said of the last answer, beside the question. */
static void put_error(struct request *req, json_t *view)
{
    int i = req->form.form ? form_index(req->form.form, STR("captcha_answer")) : -1;
    const char *error = i >= 0 ? req->form.error[i] : NULL;
    if (error)
        json_put_str(view, "error", catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, error, NULL));
    else
        json_put(view, "error", json_null());
}

enum err captcha_put(struct request *req, bool asked)
{
    if (!asked) {
        json_put_bool(req->view, "captcha", false);
        return OK;
    }
    json_t *view = json_put_object(req->view, "captcha");
    json_put_str(view, "style", asset_url(req->arena, "altcha.css"));
    json_put_str(view, "widget", asset_url(req->arena, "altcha.js"));
    json_put_str(view, "script", asset_url(req->arena, "captcha.js"));
    json_put_str(view, "worker", asset_url(req->arena, "pbkdf2.js"));
    put_error(req, view);
    return ask(req, view);
}

/* ---- for apps ---- */

static enum err issue_work(struct request *req, json_t *out)
{
    struct work_challenge c = work_new(clock_now(request_privacy(req)->clock));
    str signature[2];
    int n;
    TRY(sign(req, work_text(req->arena, &c), signature, &n));
    json_put_str(out, "captcha_id", hex_encode(req->arena, c.nonce, sizeof c.nonce));
    work_put(json_put_object(out, "challenge"), req->arena, &c, signature[0]);
    return OK;
}

enum err captcha_issue(struct request *req, bool question, json_t *out, bool *allowed)
{
    CLEANUP(json_done) json_t *view = json_object();
    *allowed = true;
    if (!question)
        return issue_work(req, out);
    TRY(ask(req, view));
    *allowed = json_get_bool(view, "asks");
    json_put_str(out, "captcha_id", json_get_str(view, "token"));
    json_put_str(json_put_object(out, "challenge"), "text", json_get_str(view, "question"));
    return OK;
}

/* The reply holds the whole challenge; it is the one that was named? */
static bool is_work_of(struct request *req, str which, str reply)
{
    struct work_solution s;
    bool read = work_read(req->arena, reply, &s, req->fault) == OK;
    fault_clear(req->fault);
    return read && str_eq(which, hex_encode(req->arena, s.challenge.nonce, sizeof s.challenge.nonce));
}

enum err captcha_reply(struct request *req, bool question, str which, str reply, enum captcha *out)
{
    *out = CAPTCHA_WRONG;
    if (question)
        return check_answer(req, which, reply, out);
    return is_work_of(req, which, reply) ? check_work(req, reply, out) : OK;
}

static const struct route routes[] = {
    {METHOD_GET, "/captcha/challenge", challenge, GUARD_PUBLIC, RATE_FORM},
    {0},
};

extern const struct feature feature_captcha;
const struct feature feature_captcha = {
    .name = "captcha",
    .routes = (const struct route *const[]){routes, NULL},
};
