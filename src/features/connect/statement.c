/* What an app shows before anything else, and the acceptance (spec WPS-01 to WPS-06, WPS-29, WPS-30). */
#include "features/connect/model.h"

#include <string.h>

#include <sodium.h>

#include "privacy/consent.h"

enum { DIGEST_BYTES = 20, TEXT_BYTES = 256 << 10 };

/* ---- the text ---- */

static str text_of(const struct portal *p, struct arena *a, const struct locale *l, const char *key, const json_t *values)
{
    return catalog_text(p->privacy.catalog, l, a, key, values);
}

void statement_put_fields(const struct portal *p, struct arena *a, const struct locale *l, json_t *list)
{
    const struct document *d = p->connect;
    for (size_t i = 0; i < d->n_leaves; i++) {
        const struct leaf *x = &d->leaves[i];
        json_t *j = json_add_object(list);
        json_put_text(j, "name", x->name);
        if (x->group)
            json_put_text(j, "group", x->group);
        json_put_str(j, "meaning", text_of(p, a, l, str_fmt(a, "leaf.%s", x->schema).p, NULL));
    }
}

static json_t *values_of(const struct portal *p, const struct application *x)
{
    json_t *v = json_object();
    json_put_text(v, "application", x->name);
    json_put_str(v, "product", p->privacy.organisation->product);
    return v;
}

/* What holds for every app, and what this one is. */
static str whole_text(const struct portal *p, struct arena *a, const struct application *x, const struct locale *l)
{
    CLEANUP(json_done) json_t *values = values_of(p, x);
    str own = text_of(p, a, l, str_fmt(a, "statement.%s.%d", x->id, x->statement).p, values);
    str common = text_of(p, a, l, MSG("statement.text"), values);
    return str_fmt(a, "%.*s\n%.*s", STR_FMT(own), STR_FMT(common));
}

static str title_of(const struct portal *p, struct arena *a, const struct application *x, const struct locale *l)
{
    CLEANUP(json_done) json_t *values = values_of(p, x);
    return text_of(p, a, l, MSG("statement.title"), values);
}

static void put_document(const struct portal *p, struct arena *a, const struct locale *l, json_t *list, const char *rel,
                         const char *title, const char *path)
{
    json_t *j = json_add_object(list);
    json_put_text(j, "rel", rel);
    json_put_str(j, "title", text_of(p, a, l, title, NULL));
    json_put_str(j, "url", str_fmt(a, "%.*s%s", STR_FMT(p->settings->public_url), path));
}

static void put_documents(const struct portal *p, struct arena *a, const struct locale *l, json_t *list)
{
    put_document(p, a, l, list, "products-and-services-policy", MSG("products.title"), "/privacy/products-and-services");
    put_document(p, a, l, list, "license-agreement", MSG("agreement.title"), "/license-agreement");
    put_document(p, a, l, list, "privacy-policy", MSG("statement.policy"), "/privacy/my-account");
    put_document(p, a, l, list, "terms", MSG("statement.terms"), "/services/my-account/terms");
    put_document(p, a, l, list, "disconnecting", MSG("disconnecting.title"), "/help/disconnecting");
}

/* All but the version. */
static void put_contents(const struct portal *p, struct arena *a, const struct application *x, const struct locale *l,
                         json_t *out)
{
    json_put_text(out, "application_id", x->id);
    json_put_text(out, "locale", l->code);
    json_put_str(out, "title", title_of(p, a, x, l));
    json_put_str(out, "text", whole_text(p, a, x, l));
    put_documents(p, a, l, json_put_array(out, "documents"));
    statement_put_fields(p, a, l, json_put_array(out, "fields"));
}

/* It is what is said that is accepted: whatever of it changes, in whatever language, is another version. */
static str make_version(const struct portal *p, struct arena *a, const struct application *x)
{
    unsigned char hash[DIGEST_BYTES];
    struct buf b = buf_new(a, TEXT_BYTES);
    for (size_t i = 0; i < catalog_languages(p->privacy.catalog); i++) {
        struct locale l = {(int)i, catalog_language(p->privacy.catalog, (int)i), NULL, p->privacy.formats};
        CLEANUP(json_done) json_t *j = json_object();
        put_contents(p, a, x, &l, j);
        buf_put(&b, json_encode(a, j, false));
    }
    crypto_generichash(hash, sizeof hash, (const unsigned char *)b.p, b.n, NULL, 0);
    return str_fmt(a, "%d.%.*s", x->statement, STR_FMT(base32_encode(a, hash, sizeof hash)));
}

enum err statements_make(struct portal *p, struct document *d, struct fault *f)
{
    for (size_t i = 0; i < d->n_applications; i++) {
        struct application *x = &d->applications[i];
        str key = str_fmt(p->arena, "statement.%s.%d", x->id, x->statement);
        if (catalog_key(p->privacy.catalog, key) < 0)
            return FAIL(f, ERR_INPUT, "openapi.yaml needs a text %.*s, and no .po file has it", STR_FMT(key));
    }
    for (size_t i = 0; i < d->n_leaves; i++) {
        str key = str_fmt(p->arena, "leaf.%s", d->leaves[i].schema);
        if (catalog_key(p->privacy.catalog, key) < 0)
            return FAIL(f, ERR_INPUT, "openapi.yaml needs a text %.*s, and no .po file has it", STR_FMT(key));
    }
    for (size_t i = 0; i < d->n_applications; i++)
        d->applications[i].version = make_version(p, p->arena, &d->applications[i]);
    return OK;
}

void statement_put(const struct portal *p, struct arena *a, const struct application *x, const struct locale *l,
                   json_t *out)
{
    put_contents(p, a, x, l, out);
    json_put_str(out, "version", x->version);
}

/* ---- reading it ---- */

/* The language that was asked for: "sv-SE" is sv. */
static struct locale locale_for(struct request *req, str wanted)
{
    struct locale l = req->locale;
    str language, rest;
    if (!str_cut(wanted, '-', &language, &rest))
        language = wanted;
    int found = catalog_find_language(request_privacy(req)->catalog, str_lower(req->arena, language));
    if (found >= 0) {
        l.language = found;
        l.code = catalog_language(request_privacy(req)->catalog, found);
    }
    return l;
}

enum err get_statement(struct request *req)
{
    const struct application *x = document_application(document_of(req), req->segment[0]);
    if (x == NULL)
        return request_problem(req, 404, MSG("problem.application-unknown"));
    struct locale l = locale_for(req, request_query(req, "locale", 40));
    str tag = str_fmt(req->arena, "%.*s-%s", STR_FMT(x->version), l.code);
    request_etag(req, tag);
    response_header(req->response, "Cache-Control", STR("no-cache"));
    response_header(req->response, "Vary", STR("Accept-Language"));
    if (request_matches(req, tag))
        return request_empty(req, 304);
    statement_put(PORTAL(req), req->arena, x, &l, req->view);
    return request_json(req, 200);
}

/* ---- accepting ---- */

/* What is chosen is to take part; a plain refusal sends nothing (WPS-03). */
static enum err read_choice(struct request *req, const struct application *x, str version, bool *everybody)
{
    str choice = message_text(req, "choice");
    if (str_is(choice, "withdrawn"))
        return request_problem(req, 400, MSG("problem.choice-is-none"));
    if (!str_eq(version, x->version))
        return request_problem(req, 409, MSG("problem.statement-changed"));
    *everybody = str_is(choice, "participate-for-all");
    return OK;
}

enum err accept_statement(struct request *req)
{
    const struct application *x = document_application(document_of(req), message_text(req, "application_id"));
    bool everybody;
    str token;
    moment ends;
    if (x == NULL)
        return request_problem(req, 404, MSG("problem.application-unknown"));
    TRY(read_choice(req, x, req->segment[0], &everybody));
    TRY(context_open(request_write(req), request_privacy(req)->clock, x, x->version, everybody, &token, &ends));
    json_put_str(req->view, "context", token);
    json_put_moment(req->view, "expires", req->arena, ends);
    return request_json(req, 201);
}

/* The consent in the ledger, for sending (WPS-03). */
enum err statement_consent(struct tx *tx, const struct privacy *p, account_id which, bool given, const char *language)
{
    const struct purpose *purpose = inventory_purpose(p->inventory, STR(PURPOSE_REPORTS));
    return consent_record(tx, p, which.id, purpose, given, language, given ? CONSENT_WAY_APP : CONSENT_WAY_ENDED_BY_APP);
}

enum err accept_again(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    const struct privacy *p = request_privacy(req);
    struct binding b = *bound(req);
    const struct application *x = document_application(document_of(req), b.app);
    bool everybody, again;
    struct tx *tx;
    if (!str_eq(req->segment[0], id_str(&b.id.id)))
        return no_binding(req);
    if (x == NULL || !str_eq(message_text(req, "application_id"), b.app))
        return request_problem(req, 403, MSG("problem.application-differs"));
    TRY(vault_subject_key(p->vault, b.account.id, &k, req->arena, req->fault));
    TRY(answer_again(req, &k, &again));
    if (again)
        return OK;
    TRY(read_choice(req, x, request_query(req, "version", 60), &everybody));
    if (b.office && !everybody)
        return request_problem(req, 422, MSG("problem.attestation-missing"));
    tx = request_write(req);
    TRY(statement_consent(tx, p, b.account, true, req->locale.code));
    TRY(connect_may(req, tx, b.account));
    TRY(device_set_statement(tx, p->clock, &b, x->version, everybody));
    return answer_keep(req, tx, &k, 204);
}
