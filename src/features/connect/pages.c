/* What people read of it: statements, the pages under /developers, how to disconnect, and agreeing on /device. */
#include "features/connect/model.h"

#include <string.h>

#include "web/quota.h"

/* ---- texts ---- */

/* Paragraphs of a text, parted by newlines. */
static void put_paragraphs(json_t *to, const char *name, str text)
{
    json_t *list = json_put_array(to, name);
    str rest = text, one;
    for (bool more = true; more;) {
        more = str_cut(rest, '\n', &one, &rest);
        one = str_trim(more ? one : rest);
        if (one.n)
            json_add_str(list, one);
    }
}

static str text_of(struct request *req, const char *key)
{
    CLEANUP(json_done) json_t *values = json_object();
    json_put_str(values, "product", request_privacy(req)->organisation->product);
    return catalog_text(request_privacy(req)->catalog, &req->locale, req->arena, key, values);
}

static enum err show_text(struct request *req, const char *title, const char *text, const char *link, const char *to)
{
    json_put_str(req->view, "link", text_of(req, link));
    json_put_text(req->view, "url", to);
    json_put_str(req->view, "title", text_of(req, title));
    put_paragraphs(req->view, "paragraphs", text_of(req, text));
    return request_page(req, "connect/text");
}

static enum err show_products(struct request *req)
{
    return show_text(req, MSG("products.title"), MSG("products.text"), MSG("statement.policy"), "/privacy/my-account");
}

static enum err show_agreement(struct request *req)
{
    return show_text(req, MSG("agreement.title"), MSG("agreement.text"), MSG("products.title"), "/privacy/products-and-services");
}

static enum err show_disconnecting(struct request *req)
{
    return show_text(req, MSG("disconnecting.title"), MSG("disconnecting.text"), MSG("disconnecting.devices"), "/account/devices");
}

/* The list as views want it: what has no group says so. */
static void put_list(struct request *req, json_t *to)
{
    json_t *list = json_put_array(to, "fields");
    statement_put_fields(PORTAL(req), req->arena, &req->locale, list);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_object_get(json_array_get(list, i), "group") == NULL)
            json_put(json_array_get(list, i), "group", json_null());
}

/* ---- statements ---- */

static enum err show_statement(struct request *req)
{
    CLEANUP(json_done) json_t *statement = json_object();
    const struct application *x = document_application(document_of(req), req->segment[0]);
    if (x == NULL)
        return ERR_NOT_FOUND;
    statement_put(PORTAL(req), req->arena, x, &req->locale, statement);
    json_put_str(req->view, "title", json_get_str(statement, "title"));
    json_put_str(req->view, "version", json_get_str(statement, "version"));
    json_put_text(req->view, "application", x->id);
    put_paragraphs(req->view, "paragraphs", json_get_str(statement, "text"));
    json_put(req->view, "documents", json_incref(json_object_get(statement, "documents")));
    put_list(req, req->view);
    return request_page(req, "connect/statement");
}

/* The list of My Account's policy: what connected apps tell. */
void put_policy_part(struct request *req, str service)
{
    if (!str_is(service, "my-account"))
        return;
    json_t *part = json_put_object(req->view, "told");
    put_list(req, part);
    json_t *list = json_put_array(part, "applications");
    for (size_t i = 0; i < document_of(req)->n_applications; i++) {
        json_t *j = json_add_object(list);
        json_put_text(j, "id", document_of(req)->applications[i].id);
        json_put_text(j, "name", document_of(req)->applications[i].name);
    }
}

/* ---- for developers: the document, readable ---- */

static const json_t *resolve(const struct document *d, const json_t *schema)
{
    str ref = json_get_str(schema, "$ref");
    const char *name = ref.n ? strrchr(json_string_value(json_object_get(schema, "$ref")), '/') + 1 : NULL;
    return name ? json_object_get(json_object_get(json_object_get(d->json, "components"), "schemas"), name) : schema;
}

static void put_words(struct buf *b, const json_t *list, const char *between)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        buf_fmt(b, "%s%s", i ? between : "", json_string_value(json_array_get(list, i)));
}

/* "string, 1–254", "string: none | apns": type and limits in few signs. */
static str describe(struct request *req, const json_t *schema)
{
    struct buf b = buf_new(req->arena, 2000);
    const json_t *type = json_object_get(schema, "type"), *most = json_object_get(schema, "maxLength"),
                 *bytes = json_object_get(schema, "x-max-bytes");
    if (json_is_array(type))
        put_words(&b, type, " | ");
    else
        buf_put(&b, json_str(type));
    if (json_object_get(schema, "format"))
        buf_fmt(&b, " (%s)", json_string_value(json_object_get(schema, "format")));
    if (json_object_get(schema, "enum")) {
        buf_text(&b, ": ");
        put_words(&b, json_object_get(schema, "enum"), " | ");
    } else if (most) {
        buf_fmt(&b, ", %lld–%lld", (long long)json_get_int(schema, "minLength"), (long long)json_integer_value(most));
    } else if (json_object_get(schema, "minimum")) {
        buf_fmt(&b, ", %g–%g", json_number_value(json_object_get(schema, "minimum")),
                json_number_value(json_object_get(schema, "maximum")));
    } else if (json_object_get(schema, "maxItems")) {
        buf_fmt(&b, ", 0–%lld", (long long)json_get_int(schema, "maxItems"));
    }
    if (bytes)
        buf_fmt(&b, ", ≤ %lld B", (long long)json_integer_value(bytes));
    return buf_str(&b);
}

static void put_fields(struct request *req, json_t *list, const json_t *schema, const char *before)
{
    const struct document *d = document_of(req);
    const json_t *required = json_object_get(schema, "required");
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(schema, "properties"), name, value)
    {
        const json_t *inner = resolve(d, value);
        bool needed = false;
        for (size_t i = 0; i < json_array_size(required); i++)
            needed |= str_is(json_str(json_array_get(required, i)), name);
        str full = str_fmt(req->arena, "%s%s", before, name);
        if (json_object_get(inner, "properties")) {
            put_fields(req, list, inner, str_fmt(req->arena, "%.*s.", STR_FMT(full)).p);
            continue;
        }
        json_t *j = json_add_object(list);
        json_put_str(j, "name", full);
        json_put_bool(j, "optional", !needed);
        json_put_bool(j, "secret", json_get_bool(inner, "writeOnly"));
        json_put_str(j, "type", describe(req, inner));
    }
}

static const json_t *message_schema(struct request *req, const struct operation *o)
{
    static const char *const types[] = {"application/json", "application/x-www-form-urlencoded"};
    const struct document *d = document_of(req);
    const char *method = o->method == METHOD_GET ? "get" : o->method == METHOD_PUT ? "put" : "post";
    const json_t *at = json_object_get(json_object_get(json_object_get(d->json, "paths"), o->shown), method);
    const json_t *content = json_object_get(json_object_get(at, "requestBody"), "content");
    for (size_t i = 0; i < COUNT(types); i++)
        if (json_object_get(content, types[i]))
            return resolve(d, json_object_get(json_object_get(content, types[i]), "schema"));
    return NULL;
}

static void put_parameters(json_t *list, const struct operation *o)
{
    for (size_t i = 0; i < o->n_parameters; i++) {
        if (o->parameters[i].in == IN_PATH)
            continue;
        json_t *j = json_add_object(list);
        json_put_text(j, "name", o->parameters[i].name);
        json_put_bool(j, "query", o->parameters[i].in == IN_QUERY);
        json_put_bool(j, "optional", !o->parameters[i].required);
    }
}

static void put_operation(struct request *req, json_t *list, const struct operation *o)
{
    json_t *j = json_add_object(list);
    const json_t *message = message_schema(req, o);
    json_put_text(j, "id", o->id);
    json_put_text(j, "method", o->method == METHOD_GET ? "GET" : o->method == METHOD_PUT ? "PUT" : "POST");
    json_put_str(j, "path", str_fmt(req->arena, API "%s", o->shown));
    json_put_text(j, "summary", o->summary);
    json_put_bool(j, "device", o->device);
    json_t *fields = json_put_array(j, "fields"), *parameters = json_put_array(j, "parameters"),
           *codes = json_put_array(j, "codes");
    if (message)
        put_fields(req, fields, message, "");
    put_parameters(parameters, o);
    for (size_t i = 0; i < json_array_size(o->codes); i++)
        json_add_str(codes, json_str(json_array_get(o->codes, i)));
    json_put_bool(j, "has_fields", json_array_size(fields) > 0);
    json_put_bool(j, "has_parameters", json_array_size(parameters) > 0);
    json_put_bool(j, "has_codes", json_array_size(codes) > 0);
}

static void put_operations(struct request *req)
{
    const struct document *d = document_of(req);
    json_t *groups = json_put_array(req->view, "groups");
    const json_t *tags = json_object_get(d->json, "tags");
    for (size_t t = 0; t < json_array_size(tags); t++) {
        str tag = json_get_str(json_array_get(tags, t), "name");
        json_t *g = json_add_object(groups);
        json_put_str(g, "tag", tag);
        json_put_str(g, "title", text_of(req, str_fmt(req->arena, "developers.tag.%.*s", STR_FMT(tag)).p));
        json_t *list = json_put_array(g, "operations");
        for (size_t i = 0; i < d->n_operations; i++)
            if (str_is(tag, d->operations[i].tag))
                put_operation(req, list, &d->operations[i]);
    }
}

struct code_list {
    struct request *req;
    json_t *list;
};

static enum err put_code(void *arg, const char *code, struct fault *f)
{
    const struct code_list *to = arg;
    json_t *j = json_add_object(to->list);
    (void)f;
    json_put_text(j, "code", code);
    json_put_str(j, "detail", text_of(to->req, str_fmt(to->req->arena, "problem.%s", code).p));
    return OK;
}

static enum err put_codes(struct request *req)
{
    struct code_list to = {req, json_put_array(req->view, "codes")};
    return document_each_code(document_of(req), put_code, &to, req->fault);
}

static void put_leaves(struct request *req)
{
    const struct document *d = document_of(req);
    json_t *list = json_put_array(req->view, "leaves");
    for (size_t i = 0; i < d->n_leaves; i++) {
        const struct leaf *x = &d->leaves[i];
        json_t *j = json_add_object(list);
        json_put_str(j, "name", x->group ? str_fmt(req->arena, "%s.%s", x->group, x->name) : str_from(x->name));
        json_put_int(j, "bullet", x->bullet);
        json_put_str(j, "meaning", text_of(req, str_fmt(req->arena, "leaf.%s", x->schema).p));
        const json_t *schema = json_object_get(json_object_get(json_object_get(d->json, "components"), "schemas"), x->schema);
        json_put_str(j, "type", describe(req, schema));
        json_put_bool(j, "secret", json_get_bool(schema, "writeOnly"));
    }
}

static enum err show_developers(struct request *req)
{
    const struct document *d = document_of(req);
    json_t *list = json_put_array(req->view, "applications");
    for (size_t i = 0; i < d->n_applications; i++) {
        json_t *j = json_add_object(list);
        json_put_text(j, "id", d->applications[i].id);
        json_put_text(j, "name", d->applications[i].name);
        json_put_str(j, "version", d->applications[i].version);
    }
    put_paragraphs(req->view, "about", text_of(req, MSG("developers.about")));
    put_operations(req);
    put_leaves(req);
    TRY(put_codes(req));
    return request_page(req, "connect/developers");
}

/* ---- agreeing (RFC 8628, 3.3) ---- */

/* A code has eight letters; whoever guesses gets a few tries an hour (RFC 8628, 5.1). */
static const struct quota of_account = {"user-code-account", 10, 6 * MOMENT_MINUTE};
static const struct quota of_visitor = {"user-code-range", 30, 2 * MOMENT_MINUTE};

static const struct form_field device_fields[] = {
    {"user_code", FIELD_TEXT, .required = true, .max = 20, .label = MSG("device.code"), .hint = MSG("device.code-hint"),
     .autocomplete = "off"},
    {"decision", FIELD_HIDDEN, .max = 6},
};
static const struct form device_form = {"device", device_fields, COUNT(device_fields)};

static enum err may_try(struct request *req, bool *yes)
{
    const struct privacy *p = request_privacy(req);
    struct tried {
        bool counted, refused;
    } *tried = request_memo(req, "user-code", sizeof *tried);
    bool account, visitor;
    if (!tried->counted && !PORTAL(req)->settings->limits_off) {
        TRY(quota_take(p, &of_account, str_from(req->session.account.text), &account, req->arena, req->fault));
        TRY(quota_take(p, &of_visitor, quota_range(req->arena, req->peer), &visitor, req->arena, req->fault));
        tried->refused = !account || !visitor;
    }
    tried->counted = true;
    *yes = !tried->refused;
    return OK;
}

static void put_grant(struct request *req, const struct grant *g)
{
    const struct application *x = document_application(document_of(req), g->application);
    json_t *j = json_put_object(req->view, "grant");
    json_put_text(j, "application", x ? x->name : "?");
    json_put_str(j, "id", g->application);
    json_put_moment(j, "made", req->arena, g->made);
}

static enum err show_device(struct request *req)
{
    struct grant g;
    struct form_state *form = request_form(req, "device");
    str code = req->method == METHOD_POST ? form_value(&req->form, "user_code") : request_query(req, "user_code", 20);
    bool allowed;
    json_put(req->view, "grant", json_null());
    json_put_bool(req->view, "unknown", false);
    json_put_bool(req->view, "limited", false);
    json_put_str(req->view, "code", code);
    if (code.n == 0 || form->wrong)
        return request_page(req, "connect/device");
    form_put(form, "user_code", code);
    TRY(may_try(req, &allowed));
    json_put_bool(req->view, "limited", !allowed);
    if (!allowed)
        return request_page_as(req, 429, "connect/device");
    enum err e = grant_find(request_read(req), request_privacy(req), code, &g);
    if (e == ERR_NOT_FOUND) {
        fault_clear(req->fault);
        json_put_bool(req->view, "unknown", true);
        return request_page_as(req, 404, "connect/device");
    }
    TRY(e);
    put_grant(req, &g);
    return request_page(req, "connect/device");
}

static enum err decide(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    const struct privacy *p = request_privacy(req);
    account_id which = {req->session.account};
    struct grant g;
    bool allowed, agreed = str_is(form_value(&req->form, "decision"), "agree");
    TRY(may_try(req, &allowed));
    if (!allowed)
        return ERR_LIMIT;
    struct tx *tx = request_write(req);
    enum err e = grant_find(tx, p, form_value(&req->form, "user_code"), &g);
    if (e == OK)
        e = grant_decide(tx, p, &g, which, agreed);
    if (e == ERR_NOT_FOUND) {
        fault_clear(req->fault);
        form_fail(&req->form, "user_code", MSG("device.unknown"));
        return request_again(req, 404);
    }
    TRY(e);
    if (!agreed)
        return request_see(req, 200, STR("/device?done=device-denied"));
    TRY(vault_subject_key(p->vault, which.id, &k, req->arena, req->fault));
    TRY(account_note(req, tx, which, &k, "app-allowed"));
    return request_see(req, 200, STR("/device?done=device-agreed"));
}

const struct route connect_pages[] = {
    {METHOD_GET, "/developers", show_developers, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/statements/:application", show_statement, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/privacy/products-and-services", show_products, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/license-agreement", show_agreement, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/help/disconnecting", show_disconnecting, GUARD_PUBLIC, RATE_PAGE},
    {METHOD_GET, "/device", show_device, GUARD_SIGNED_IN, RATE_FORM, .shows = (const struct form *const[]){&device_form, NULL}},
    {METHOD_POST, "/device", decide, GUARD_SIGNED_IN, RATE_SIGN_IN, &device_form, .again = "/device"},
    {0},
};
