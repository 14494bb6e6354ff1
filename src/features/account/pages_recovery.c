/* Getting back in: the security question, and the way around a second step that is lost. */
#include "features/account/pages.h"

#include <string.h>

#include "features/factors/factors.h"
#include "text/fold.h"

static const char *const question_choices[] = {"first-teacher", "first-street", "first-pet", "favourite-book", "own", NULL};

static const struct form_field question_fields[] = {
    {"question", FIELD_CHOICE, .required = true, .label = MSG("field.question"), .choices = question_choices,
     .choice_prefix = "question."},
    {"own", FIELD_TEXT, .max = 150, .label = MSG("field.own-question"), .hint = MSG("field.own-question-hint")},
    {"answer", FIELD_PASSWORD, .required = true, .max = 200, .label = MSG("field.answer"), .hint = MSG("field.answer-hint"),
     .autocomplete = "off"},
};
static const struct form question_form = {"question", question_fields, COUNT(question_fields)};

static const struct form_field stop_fields[] = {
    {"t", FIELD_HIDDEN, .required = true, .max = TICKET_TOKEN_LENGTH},
};
static const struct form stop_form = {"stop", stop_fields, COUNT(stop_fields)};

#define SHOWS(...) (const struct form *const[]){__VA_ARGS__, NULL}

/* ---- the question, set ---- */

struct own {
    struct key key;
    struct own_question question;
    bool offered;
};

static void own_wipe(struct own *o)
{
    key_wipe(&o->key);
}

static enum err open_own(struct request *req, struct own *o)
{
    struct tx *tx = request_read(req);
    TRY(request_key(req, &o->key));
    TRY(question_offered(tx, request_privacy(req), SIGNED_IN(req), &o->offered));
    return question_get(tx, SIGNED_IN(req), &o->key, &o->question);
}

static enum err show_question(struct request *req)
{
    CLEANUP(own_wipe) struct own o;
    TRY(open_own(req, &o));
    if (!o.offered && !o.question.there)
        return ERR_NOT_FOUND;
    json_put_bool(req->view, "set", o.question.there);
    json_put_bool(req->view, "offered", o.offered);
    json_put_str(req->view, "question", o.question.question);
    json_put_moment(req->view, "made", req->arena, o.question.made);
    return request_page(req, "account/question");
}

/* In the words that the person chose it by: they are asked in these. */
static str chosen_question(struct request *req)
{
    str choice = form_value(&req->form, "question");
    if (str_is(choice, "own"))
        return form_value(&req->form, "own");
    return catalog_text(request_privacy(req)->catalog, &req->locale, req->arena,
                        str_fmt(req->arena, "question.%.*s", STR_FMT(choice)).p, NULL);
}

/* An answer that stands in its question is none. */
static const char *answer_weakness(struct request *req, str question, str answer)
{
    str q = text_fold(req->arena, question);
    if (answer.n < ANSWER_MIN)
        return MSG("question.short");
    return memmem(q.p, q.n, answer.p, answer.n) ? MSG("question.obvious") : NULL;
}

static enum err set_question(struct request *req)
{
    CLEANUP(own_wipe) struct own o;
    str hash, question = chosen_question(req);
    struct secret answer = {question_answer(req->arena, form_secret(&req->form, "answer").bytes)};
    const char *weak = answer_weakness(req, question, answer.bytes);
    bool proved;
    TRY(factors_proved(req, &proved));
    if (!proved)
        return factors_ask_proof(req);
    TRY(open_own(req, &o));
    if (!o.offered)
        return ERR_NOT_FOUND;
    if (question.n == 0)
        form_fail(&req->form, "own", MSG("form.required"));
    else if (weak)
        form_fail(&req->form, "answer", weak);
    if (req->form.wrong)
        return request_again(req, 422);
    request_rest(req);
    TRY(password_hash(PORTAL(req)->passwords, answer, req->arena, &hash, req->fault));
    struct tx *tx = request_write(req);
    TRY(question_set(tx, request_privacy(req), SIGNED_IN(req), &o.key, question, hash));
    TRY(own_note(req, "question-set"));
    TRY(account_tell(tx, PORTAL(req), SIGNED_IN(req), &o.key, "question-changed", STR("/account/security"), NULL));
    return request_see(req, 200, STR("/account/security?done=question-set"));
}

static enum err remove_question(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    bool proved;
    TRY(factors_proved(req, &proved));
    if (!proved)
        return factors_ask_proof(req);
    TRY(request_key(req, &k));
    TRY(question_remove(request_write(req), SIGNED_IN(req)));
    TRY(own_note(req, "question-removed"));
    TRY(account_tell(request_write(req), PORTAL(req), SIGNED_IN(req), &k, "question-changed", STR("/account/security"), NULL));
    return request_see(req, 200, STR("/account/security?done=question-removed"));
}

/* ---- the question, asked ---- */

static enum err find_question(struct request *req, account_id which, struct own_question *out)
{
    CLEANUP(key_wipe) struct key k;
    TRY(vault_subject_key(request_privacy(req)->vault, which.id, &k, req->arena, req->fault));
    return question_get(request_read(req), which, &k, out);
}

enum err recovery_put_question(struct request *req, account_id which)
{
    struct own_question q;
    TRY(find_question(req, which, &q));
    json_put_bool(req->view, "asks", q.there);
    json_put_str(req->view, "question", q.question);
    return OK;
}

enum err recovery_check_answer(struct request *req, account_id which)
{
    struct own_question q;
    bool allowed;
    struct secret typed = form_secret(&req->form, "answer");
    TRY(find_question(req, which, &q));
    request_rest(req);
    if (!q.there)
        return OK;
    if (typed.bytes.n == 0) {
        form_fail(&req->form, "answer", MSG("form.required"));
        return request_again(req, 422);
    }
    TRY(question_try(req, which, &allowed));
    if (!allowed) {
        form_fail(&req->form, "answer", MSG("question.too-many"));
        return request_again(req, 429);
    }
    struct secret answer = {question_answer(req->arena, typed.bytes)};
    if (password_verify(PORTAL(req)->passwords, answer, q.answer_hash))
        return OK;
    form_fail(&req->form, "answer", MSG("question.wrong"));
    return request_again(req, 403);
}

/* ---- the card on /account/security ---- */

enum err recovery_put_card(struct request *req, const struct key *k)
{
    struct own_question q;
    struct lost l;
    bool offered;
    struct tx *tx = request_read(req);
    TRY(question_offered(tx, request_privacy(req), SIGNED_IN(req), &offered));
    TRY(question_get(tx, SIGNED_IN(req), k, &q));
    TRY(lost_get(tx, request_privacy(req), SIGNED_IN(req), &l));
    json_t *j = json_put_object(req->view, "recovery");
    json_put_bool(j, "question_offered", offered || q.there);
    json_put_bool(j, "question_set", q.there);
    json_put_bool(j, "lost", l.there);
    json_put_moment(j, "ready", req->arena, l.ready);
    json_put_moment(j, "made", req->arena, l.made);
    return OK;
}

/* ---- the second step is lost ---- */

static enum err nobody_waits(struct request *req)
{
    return request_see(req, 401, STR("/sign-in?done=step-gone"));
}

/* Whose password was proved here; *staff: theirs is not turned off without somebody who knows them. */
static enum err find_waiting(struct request *req, struct tx *tx, account_id *which, bool *staff)
{
    struct standing s = {0};
    TRY(factors_pending(req, tx, which));
    if (!id_is_none(which->id))
        TRY(feature_standing(tx, PORTAL(req), which->id, (str){NULL, 0}, &s));
    *staff = s.here;
    return OK;
}

static enum err show_lost(struct request *req)
{
    account_id which;
    struct lost l;
    bool staff;
    TRY(find_waiting(req, request_read(req), &which, &staff));
    if (id_is_none(which.id))
        return nobody_waits(req);
    TRY(lost_get(request_read(req), request_privacy(req), which, &l));
    json_put_bool(req->view, "staff", staff);
    json_put_bool(req->view, "begins", !staff && !l.there);
    json_put_bool(req->view, "waits", !staff && l.there && !l.ready_now);
    json_put_bool(req->view, "ready", !staff && l.ready_now);
    json_put_moment(req->view, "at", req->arena, l.ready);
    json_put_moment(req->view, "ends", req->arena, l.ends);
    return request_page(req, "account/lost");
}

static enum err begin_lost(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    account_id which;
    bool staff;
    struct tx *tx = request_write(req);
    TRY(find_waiting(req, tx, &which, &staff));
    if (id_is_none(which.id))
        return nobody_waits(req);
    if (staff)
        return ERR_DENIED;
    TRY(vault_subject_key(request_privacy(req)->vault, which.id, &k, req->arena, req->fault));
    enum err e = lost_begin(tx, PORTAL(req), which, &k);
    if (e == OK)
        e = account_note(req, tx, which, &k, "lost-factor-asked");
    if (e != OK && e != ERR_CONFLICT)
        return e;
    return request_see(req, 202, STR("/sign-in/lost"));
}

static enum err finish_lost(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    account_id which;
    bool staff;
    struct tx *tx = request_write(req);
    TRY(find_waiting(req, tx, &which, &staff));
    if (id_is_none(which.id))
        return nobody_waits(req);
    if (staff)
        return ERR_DENIED;
    TRY(vault_subject_key(request_privacy(req)->vault, which.id, &k, req->arena, req->fault));
    TRY(factors_end_pending(req, tx));
    TRY(lost_finish(tx, PORTAL(req), which, &k));
    TRY(account_note(req, tx, which, &k, "factors-cleared"));
    return account_enter(req, tx, which, "password", STR("/account/security?done=factors-cleared"));
}

static enum err drop_lost(struct request *req)
{
    struct lost l;
    TRY(lost_get(request_write(req), request_privacy(req), SIGNED_IN(req), &l));
    TRY(lost_drop(request_write(req), SIGNED_IN(req)));
    if (l.there)
        TRY(own_note(req, "lost-factor-stopped"));
    return request_see(req, 200, STR("/account/security?done=lost-stopped"));
}

/* ---- by the link in the mail: a page with a button, as all of them ---- */

static enum err show_stop(struct request *req)
{
    struct ticket t;
    str token = req->method == METHOD_POST ? form_value(&req->form, "t") : request_query(req, "t", TICKET_TOKEN_LENGTH);
    enum err e = ticket_find(request_read(req), request_privacy(req), TICKET_LOST, token, &t);
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    form_put(request_form(req, "stop"), "t", token);
    return request_page(req, "account/lost-stop");
}

static enum err stop_lost(struct request *req)
{
    enum err e = lost_stop(request_write(req), PORTAL(req), form_value(&req->form, "t"));
    if (e == ERR_NOT_FOUND)
        return page_link_gone(req);
    TRY(e);
    return request_see(req, 200, STR("/recover?done=lost-stopped"));
}

const struct route recovery_routes[] = {
    {METHOD_GET, "/account/security/question", show_question, GUARD_RECENT, RATE_PAGE,
     .shows = SHOWS(&question_form, &form_button)},
    {METHOD_POST, "/account/security/question", set_question, GUARD_RECENT, RATE_SIGN_IN, &question_form,
     .again = "/account/security/question"},
    {METHOD_POST, "/account/security/question/off", remove_question, GUARD_RECENT, RATE_FORM, &form_button,
     .again = "/account/security/question"},
    {METHOD_POST, "/account/security/lost/stop", drop_lost, GUARD_SIGNED_IN, RATE_FORM, &form_button,
     .again = "/account/security"},
    {METHOD_GET, "/sign-in/lost", show_lost, GUARD_PUBLIC, RATE_PAGE, .shows = SHOWS(&form_button)},
    {METHOD_POST, "/sign-in/lost", begin_lost, GUARD_PUBLIC, RATE_SIGN_IN, &form_button, .again = "/sign-in/lost"},
    {METHOD_POST, "/sign-in/lost/finish", finish_lost, GUARD_PUBLIC, RATE_SIGN_IN, &form_button,
     .again = "/sign-in/lost"},
    {METHOD_GET, "/recover/stop", show_stop, GUARD_PUBLIC, RATE_PAGE, .shows = SHOWS(&stop_form)},
    {METHOD_POST, "/recover/stop", stop_lost, GUARD_PUBLIC, RATE_FORM, &stop_form, .again = "/recover/stop"},
    {0},
};
