/* What there is to join, one page each, joining, correcting, leaving. */
#include "features/services/services.h"

#include <string.h>

#include "privacy/consent.h"
#include "privacy/policy.h"
#include "privacy/retention.h"
#include "privacy/trail.h"

/* ---- forms ---- */

static const char *const yes_no[] = {"yes", "no", NULL};
static const struct form_field choice_fields[] = {
    {"purpose", FIELD_HIDDEN, .required = true, .max = 40},
    {"decision", FIELD_CHOICE, .required = true, .choices = yes_no},
};
static const struct form choice_form = {"choice", choice_fields, COUNT(choice_fields)};

#define SHOWS(...) (const struct form *const[]){__VA_ARGS__, NULL}

/* The service that the path names. */
static const struct service *asked(struct request *req)
{
    return service_named(PORTAL(req)->services, req->segment[0]);
}

static const struct form *join_form(struct request *req)
{
    const struct service *s = asked(req);
    return s ? &s->join : NULL;
}

static const struct form *correct_form(struct request *req)
{
    const struct service *s = asked(req);
    return s ? &s->correct : NULL;
}

static const struct form *accept_form(struct request *req)
{
    const struct service *s = asked(req);
    return s ? &s->accept : NULL;
}

static str text_of(struct request *req, str key)
{
    return catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, str_cstr(req->arena, key), NULL);
}

static str url_of(struct request *req, const struct service *s, const char *rest)
{
    return str_fmt(req->arena, "/services/%.*s%s", STR_FMT(s->account->service), rest);
}

static enum err state_of(struct request *req, const struct service *s, struct enrolment *e)
{
    return enrolment_get(request_read(req), request_privacy(req), req->session.account, s->account, e);
}

static void put_state(struct request *req, json_t *j, const struct enrolment *e)
{
    static const char *const names[] = {"none", "joined", "left"};
    json_put_text(j, "state", names[e->state]);
    json_put_bool(j, "joined", e->state == ENROLMENT_ACTIVE);
    json_put_bool(j, "left", e->state == ENROLMENT_LEFT);
    json_put_bool(j, "ends", e->gone != 0 && e->state == ENROLMENT_ACTIVE);
    json_put_moment(j, "since", req->arena, e->joined);
    json_put_moment(j, "left_at", req->arena, e->left);
    json_put_moment(j, "gone", req->arena, e->gone);
    json_put_bool(j, "ask_terms", e->state == ENROLMENT_ACTIVE && !e->terms_current);
}

/* ---- all of them ---- */

static enum err show_services(struct request *req)
{
    const struct services *all = PORTAL(req)->services;
    json_t *list = json_put_array(req->view, "services");
    int64_t joined = 0;
    for (size_t i = 0; i < all->n; i++) {
        const struct service *s = &all->list[i];
        struct enrolment e;
        TRY(state_of(req, s, &e));
        json_t *j = json_add_object(list);
        json_put_str(j, "service", s->account->service);
        json_put_str(j, "title", text_of(req, str_fmt(req->arena, "service.%.*s", STR_FMT(s->account->service))));
        json_put_str(j, "about", text_of(req, str_fmt(req->arena, "about.%.*s", STR_FMT(s->account->service))));
        json_put_str(j, "url", url_of(req, s, ""));
        put_state(req, j, &e);
        joined += e.state == ENROLMENT_ACTIVE;
    }
    json_put_int(req->view, "count", joined);
    return request_page(req, "services/list");
}

/* ---- one ---- */

/* What the published policy says of it too: purposes, bases, terms of keeping, what is asked. */
static void put_declared(struct request *req, const struct service *s)
{
    json_t *policy = policy_body(request_privacy(req), req->arena, s->account->service, &req->locale);
    json_t *j = json_put_object(req->view, "service");
    json_put_str(j, "service", s->account->service);
    json_put_str(j, "url", url_of(req, s, ""));
    json_put_str(j, "now", text_of(req, str_fmt(req->arena, "now.%.*s", STR_FMT(s->account->service))));
    json_put(j, "title", json_incref(json_object_get(policy, "title")));
    json_put(req->view, "title", json_incref(json_object_get(policy, "title")));
    json_put(j, "purposes", json_incref(json_object_get(policy, "purposes")));
    json_t *account = json_object_get(policy, "account");
    const char *name;
    json_t *value;
    json_object_foreach(account, name, value)
    json_put(j, name, json_incref(value));
    /* Where it has no terms of its own, those of the account that it needs. */
    str terms = s->account->terms ? s->account->service : s->account->needs;
    json_put_str(j, "terms_url", str_fmt(req->arena, "/services/%.*s/terms", STR_FMT(terms)));
    json_decref(policy);
}

static enum err put_consents(struct request *req, const struct service *s)
{
    const struct privacy *p = request_privacy(req);
    json_t *list = json_put_array(req->view, "consents");
    for (size_t i = 0; i < s->n_consents; i++) {
        const struct purpose *purpose = s->consents[i];
        bool given;
        TRY(consent_holds(request_read(req), p, req->session.account, purpose, &given, NULL));
        json_t *j = json_add_object(list);
        json_put_str(j, "purpose", purpose->name);
        json_put_str(j, "title", text_of(req, str_fmt(req->arena, "purpose.%.*s", STR_FMT(purpose->name))));
        json_put_str(j, "wording", text_of(req, str_fmt(req->arena, "consent.%.*s.%d", STR_FMT(purpose->name), purpose->version)));
        json_put_bool(j, "given", given);
    }
    json_put_bool(req->view, "has_consents", s->n_consents > 0);
    return OK;
}

/* Accounts that would be left together with this one, or that it serves. */
static enum err put_leaning(struct request *req, const struct service *s)
{
    const struct services *all = PORTAL(req)->services;
    json_t *with = json_put_array(req->view, "ends_too"), *alone = json_put_array(req->view, "goes_on");
    for (size_t i = 0; i < all->n; i++) {
        const struct service_account *other = all->list[i].account;
        bool needs = str_eq(other->needs, s->account->service), served = str_eq(other->served_by, s->account->service);
        struct enrolment e;
        if (!needs && !served)
            continue;
        TRY(state_of(req, &all->list[i], &e));
        if (e.state != ENROLMENT_ACTIVE || (served && e.served_by.n == 0))
            continue;
        json_put_str(json_add_object(needs ? with : alone), "title",
                     text_of(req, str_fmt(req->arena, "service.%.*s", STR_FMT(other->service))));
    }
    json_put_bool(req->view, "has_ends_too", json_array_size(with) > 0);
    return OK;
}

static enum err put_role(struct request *req, const struct service *s, const struct enrolment *e)
{
    json_put(req->view, "role", json_null());
    if (e->role.n > 0)
        json_put_str(req->view, "role", text_of(req, str_fmt(req->arena, "role.%.*s.%.*s", STR_FMT(s->account->service), STR_FMT(e->role))));
    json_put(req->view, "served_by", json_null());
    if (e->served_by.n > 0)
        json_put_str(req->view, "served_by", text_of(req, str_fmt(req->arena, "service.%.*s", STR_FMT(e->served_by))));
    json_put_int(req->view, "version", e->terms);
    json_put_moment(req->view, "accepted", req->arena, e->accepted);
    json_put_bool(req->view, "has_terms", e->terms > 0);
    return OK;
}

/* ---- questions on the page ---- */

static void offer(struct request *req, struct form_state *f, const struct question *q)
{
    const char *name = str_cstr(req->arena, q->field->name);
    str *codes, *names;
    size_t n;
    bool country = strcmp(q->field->category->name, "country") == 0;
    if (country) {
        format_countries(req->arena, &req->locale, &codes, &names, &n);
    } else {
        const struct catalog *c = request_privacy(req)->catalog;
        n = catalog_languages(c);
        codes = ARENA_ARRAY(req->arena, str, n);
        names = ARENA_ARRAY(req->arena, str, n);
        for (size_t i = 0; i < n; i++) {
            struct locale own = {(int)i, catalog_language(c, (int)i), NULL, req->locale.formats};
            codes[i] = str_from(own.code);
            names[i] = format_value(req->arena, &own, FORMAT_LANGUAGE, codes[i]);
        }
    }
    str *values = ARENA_ARRAY(req->arena, str, n + 1), *labels = ARENA_ARRAY(req->arena, str, n + 1);
    values[0] = STR("");
    labels[0] = text_of(req, q->required ? STR("services.choose") : STR("services.no-answer"));
    if (n > 0) {
        memcpy(values + 1, codes, n * sizeof *codes);
        memcpy(labels + 1, names, n * sizeof *names);
    }
    form_offer(f, name, values, labels, n + 1);
}

static bool is_choice(const struct form *form, size_t i)
{
    return form->fields[i].type == FIELD_CHOICE;
}

static void offer_choices(struct request *req, const struct service *s, struct form_state *f)
{
    for (size_t i = 0; i < s->account->n_form; i++)
        if (is_choice(f->form, i))
            offer(req, f, &s->account->form[i]);
}

/* The form's fields in their order, for a template. */
static void put_fields(struct request *req, const struct form_state *f)
{
    const struct privacy *p = request_privacy(req);
    CLEANUP(json_done) json_t *view = form_view(f, p->catalog, &req->locale, req->arena, (str){NULL, 0});
    json_t *questions = json_put_array(req->view, "questions"), *ticks = json_put_array(req->view, "ticks");
    for (size_t i = 0; i < f->form->n; i++) {
        const struct form_field *field = &f->form->fields[i];
        json_t *j = json_object_get(view, field->name);
        if (field->type == FIELD_HIDDEN || strcmp(field->name, FIELD_TERMS) == 0)
            continue;
        json_array_append(field->type == FIELD_CHECK ? ticks : questions, j);
    }
    json_put_bool(req->view, "has_questions", json_array_size(questions) > 0);
    json_put_bool(req->view, "has_ticks", json_array_size(ticks) > 0);
}

/* What is held, as the form's values. */
static enum err put_answers(struct request *req, const struct service *s, const struct enrolment *e, struct form_state *f)
{
    CLEANUP(key_wipe) struct key k;
    str *answers = ARENA_ARRAY(req->arena, str, s->account->n_form);
    if (e->state == ENROLMENT_NONE || s->account->n_form == 0)
        return OK;
    TRY(request_key(req, &k));
    TRY(enrolment_answers(request_read(req), request_privacy(req), req->session.account, s->account, e, answers));
    for (size_t i = 0; i < s->account->n_form; i++)
        form_put(f, f->form->fields[i].name, answers[i]);
    return OK;
}

/* The version on the page is always the present one, whatever was sent. */
static void put_version(struct request *req, const struct service *s, struct form_state *f)
{
    int i = form_index(f->form, STR(FIELD_VERSION));
    if (i >= 0)
        f->value[i] = str_fmt(req->arena, "%d", s->account->terms);
}

/* ---- checking what was sent ---- */

static bool offered(struct request *req, const struct question *q, str value)
{
    str *codes, *names;
    size_t n;
    if (value.n == 0)
        return !q->required;
    if (strcmp(q->field->category->name, "language") == 0)
        return catalog_find_language(request_privacy(req)->catalog, value) >= 0;
    format_countries(req->arena, &req->locale, &codes, &names, &n);
    for (size_t i = 0; i < n; i++)
        if (str_eq(codes[i], value))
            return true;
    return false;
}

static str *answers_of(struct request *req, const struct service *s)
{
    str *answers = ARENA_ARRAY(req->arena, str, s->account->n_form);
    for (size_t i = 0; i < s->account->n_form; i++) {
        const char *name = req->form.form->fields[i].name;
        answers[i] = form_value(&req->form, name);
        if (is_choice(req->form.form, i) && !offered(req, &s->account->form[i], answers[i]))
            form_fail(&req->form, name, MSG("form.choose"));
    }
    return answers;
}

static void check_version(struct request *req, const struct service *s)
{
    int64_t version;
    if (s->account->terms == 0)
        return;
    if (!str_to_int(form_value(&req->form, FIELD_VERSION), &version) || version != s->account->terms)
        form_fail(&req->form, FIELD_TERMS, MSG("services.terms-changed"));
}

/* ---- the page of a service ---- */

static enum err show_service(struct request *req)
{
    const struct service *s = asked(req);
    struct enrolment e;
    if (s == NULL)
        return ERR_NOT_FOUND;
    TRY(state_of(req, s, &e));
    put_declared(req, s);
    put_state(req, req->view, &e);
    TRY(put_consents(req, s));
    TRY(put_role(req, s, &e));
    struct form_state *f = request_form(req, "correct");
    if (e.state == ENROLMENT_ACTIVE)
        TRY(put_answers(req, s, &e, f));
    offer_choices(req, s, f);
    put_fields(req, f);
    return request_page(req, "services/service");
}

static enum err note(struct request *req, struct tx *tx, const struct service *s, const struct key *k, const char *kind)
{
    struct trail_event event = {
        .kind = str_from(kind),
        .address = req->peer,
        .browser = request_browser(req),
        .note = text_of(req, str_fmt(req->arena, "service.%.*s", STR_FMT(s->account->service))),
    };
    return trail_add(tx, request_privacy(req), req->session.account, k, &event);
}

static enum err correct(struct request *req)
{
    const struct service *s = asked(req);
    CLEANUP(key_wipe) struct key k;
    str *answers = answers_of(req, s);
    if (req->form.wrong)
        return request_again(req, 422);
    TRY(request_key(req, &k));
    TRY(enrolment_correct(request_write(req), request_privacy(req), req->session.account, s->account, answers));
    return request_see(req, 200, url_of(req, s, "?done=saved"));
}

static enum err choose(struct request *req)
{
    const struct service *s = asked(req);
    const struct privacy *p = request_privacy(req);
    const struct purpose *purpose = inventory_purpose(p->inventory, form_value(&req->form, "purpose"));
    bool wanted = str_is(form_value(&req->form, "decision"), "yes"), enrolled;
    if (s == NULL || purpose == NULL || purpose->basis != BASIS_CONSENT || !str_eq(purpose->service, s->account->service))
        return ERR_NOT_FOUND;
    struct tx *tx = request_write(req);
    TRY(enrolment_active(tx, p, req->session.account, s->account->service, &enrolled));
    if (!enrolled)
        return ERR_NOT_FOUND;
    TRY(consent_record(tx, p, req->session.account, purpose, wanted, req->locale.code, CONSENT_WAY_SERVICE));
    return request_see(req, 200, url_of(req, s, wanted ? "?done=consent-given#choices" : "?done=consent-withdrawn#choices"));
}

/* ---- joining ---- */

static enum err show_join(struct request *req)
{
    const struct service *s = asked(req);
    struct enrolment e;
    bool there = true;
    if (s == NULL)
        return ERR_NOT_FOUND;
    TRY(state_of(req, s, &e));
    if (e.state == ENROLMENT_ACTIVE)
        return request_see(req, 200, url_of(req, s, ""));
    if (s->account->needs.n > 0)
        TRY(enrolment_active(request_read(req), request_privacy(req), req->session.account, s->account->needs, &there));
    bool serves = false;
    if (s->account->served_by.n > 0)
        TRY(enrolment_active(request_read(req), request_privacy(req), req->session.account, s->account->served_by, &serves));
    put_declared(req, s);
    put_state(req, req->view, &e);
    json_put_bool(req->view, "possible", there);
    json_put_bool(req->view, "serves", serves);
    struct form_state *f = request_form(req, "join");
    TRY(put_answers(req, s, &e, f));
    offer_choices(req, s, f);
    put_version(req, s, f);
    put_fields(req, f);
    return request_page(req, "services/join");
}

static enum err give_consents(struct request *req, struct tx *tx, const struct service *s)
{
    for (size_t i = 0; i < s->n_consents; i++)
        if (form_ticked(&req->form, str_cstr(req->arena, s->consents[i]->name)))
            TRY(consent_record(tx, request_privacy(req), req->session.account, s->consents[i], true,
                               req->locale.code, CONSENT_WAY_JOIN));
    return OK;
}

static enum err join(struct request *req)
{
    const struct service *s = asked(req);
    CLEANUP(key_wipe) struct key k;
    str *answers = answers_of(req, s);
    check_version(req, s);
    if (req->form.wrong)
        return request_again(req, 422);
    TRY(request_key(req, &k));
    struct tx *tx = request_write(req);
    TRY(enrolment_join(tx, request_privacy(req), req->session.account, s->account, answers, req->locale.code));
    TRY(give_consents(req, tx, s));
    TRY(note(req, tx, s, &k, "service-joined"));
    return request_see(req, 201, url_of(req, s, "?done=service-joined"));
}

/* ---- leaving ---- */

static enum err show_leave(struct request *req)
{
    const struct service *s = asked(req);
    struct enrolment e;
    if (s == NULL)
        return ERR_NOT_FOUND;
    TRY(state_of(req, s, &e));
    if (e.state != ENROLMENT_ACTIVE)
        return ERR_NOT_FOUND;
    put_declared(req, s);
    TRY(put_leaning(req, s));
    moment now = clock_now(request_privacy(req)->clock);
    json_put_moment(req->view, "by", req->arena, retention_due(request_privacy(req), s->account->leaving, now));
    json_put_bool(req->view, "has_consents", s->n_consents > 0);
    return request_page(req, "services/leave");
}

static enum err leave(struct request *req)
{
    const struct service *s = asked(req);
    CLEANUP(key_wipe) struct key k;
    if (s == NULL)
        return ERR_NOT_FOUND;
    TRY(request_key(req, &k));
    struct tx *tx = request_write(req);
    TRY(enrolment_leave(tx, request_privacy(req), req->session.account, s->account, req->locale.code));
    TRY(feature_left(tx, PORTAL(req), req->session.account));
    TRY(note(req, tx, s, &k, "service-left"));
    return request_see(req, 200, s->account->erase_at_leaving ? STR("/services?done=service-erased")
                                                              : url_of(req, s, "?done=service-left"));
}

/* ---- terms ---- */

static void put_paragraphs(json_t *list, str text)
{
    str line;
    while (text.n > 0) {
        if (!str_cut(text, '\n', &line, &text)) {
            line = text;
            text = (str){NULL, 0};
        }
        if (str_trim(line).n > 0)
            json_add_str(list, str_trim(line));
    }
}

static enum err put_terms(struct request *req, const struct service *s, int64_t version)
{
    str text;
    moment published;
    if (s == NULL || s->account->terms == 0)
        return ERR_NOT_FOUND;
    TRY(terms_text(request_read(req), request_privacy(req), s->account, version, req->locale.code, &text, &published));
    json_put_str(req->view, "service", s->account->service);
    json_put_str(req->view, "title", text_of(req, str_fmt(req->arena, "service.%.*s", STR_FMT(s->account->service))));
    json_put_int(req->view, "version", version ? version : s->account->terms);
    json_put_bool(req->view, "current", version == 0 || version == s->account->terms);
    json_put_moment(req->view, "published", req->arena, published);
    json_put_str(req->view, "policy_url", str_fmt(req->arena, "/privacy/%.*s", STR_FMT(s->account->service)));
    put_paragraphs(json_put_array(req->view, "paragraphs"), text);
    return OK;
}

static enum err show_terms(struct request *req)
{
    TRY(put_terms(req, asked(req), 0));
    return request_page(req, "services/terms");
}

static enum err show_terms_version(struct request *req)
{
    int64_t version;
    if (!str_to_int(req->segment[1], &version) || version < 1)
        return ERR_NOT_FOUND;
    TRY(put_terms(req, asked(req), version));
    return request_page(req, "services/terms");
}

/* A new version: read it, then go on. */
static enum err show_accept(struct request *req)
{
    const struct service *s = asked(req);
    struct enrolment e;
    TRY(put_terms(req, s, 0));
    TRY(state_of(req, s, &e));
    if (e.state != ENROLMENT_ACTIVE)
        return ERR_NOT_FOUND;
    put_version(req, s, request_form(req, "accept"));
    json_put_str(req->view, "url", url_of(req, s, ""));
    json_put_bool(req->view, "due", !e.terms_current);
    return request_page(req, "services/accept");
}

static enum err accept(struct request *req)
{
    const struct service *s = asked(req);
    CLEANUP(key_wipe) struct key k;
    if (s->account->terms == 0)
        return ERR_NOT_FOUND;
    check_version(req, s);
    if (req->form.wrong)
        return request_again(req, 422);
    TRY(request_key(req, &k));
    struct tx *tx = request_write(req);
    TRY(enrolment_accept(tx, request_privacy(req), req->session.account, s->account, req->locale.code));
    TRY(note(req, tx, s, &k, "terms-accepted"));
    return request_see(req, 200, url_of(req, s, "?done=terms-accepted"));
}

const struct route service_routes[] = {
    {METHOD_GET, "/services", show_services, GUARD_SIGNED_IN, RATE_PAGE},
    {METHOD_GET, "/services/:service", show_service, GUARD_SIGNED_IN, RATE_PAGE,
     .shows = SHOWS(&choice_form), .forms = correct_form},
    {METHOD_POST, "/services/:service", correct, GUARD_SIGNED_IN, RATE_FORM, .forms = correct_form,
     .again = "/services/:service"},
    {METHOD_GET, "/services/:service/accept", show_accept, GUARD_SIGNED_IN, RATE_PAGE, .forms = accept_form},
    {METHOD_POST, "/services/:service/accept", accept, GUARD_SIGNED_IN, RATE_FORM, .forms = accept_form,
     .again = "/services/:service/accept"},
    {METHOD_POST, "/services/:service/choice", choose, GUARD_SIGNED_IN, RATE_FORM, &choice_form,
     .again = "/services/:service"},
    {METHOD_GET, "/services/:service/join", show_join, GUARD_SIGNED_IN, RATE_PAGE, .forms = join_form},
    {METHOD_POST, "/services/:service/join", join, GUARD_SIGNED_IN, RATE_FORM, .forms = join_form,
     .again = "/services/:service/join"},
    {METHOD_GET, "/services/:service/leave", show_leave, GUARD_RECENT, RATE_PAGE, .shows = SHOWS(&form_button)},
    {METHOD_POST, "/services/:service/leave", leave, GUARD_RECENT, RATE_FORM, &form_button,
     .again = "/services/:service/leave"},
    {METHOD_GET, "/services/:service/terms", show_terms, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/services/:service/terms/:version", show_terms_version, GUARD_PUBLIC, RATE_PAGE},
    {0},
};
