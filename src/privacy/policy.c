#include "privacy/policy.h"

#include <string.h>

#include <sodium.h>

#include "privacy/words.h"

enum { HASH_BYTES = 32, PUBLISH_ARENA = 64 << 20 };

/* ---- the body ---- */

static json_t *fields_of(const struct privacy *p, struct arena *a, const struct record *r,
                         const struct locale *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_fields; i++) {
        const struct field *f = &r->fields[i];
        json_t *one = json_add_object(list);
        json_put_str(one, "name", f->name);
        json_put_str(one, "label", words_field(p, l, a, r, f));
        json_put_str(one, "category", words_category(p, l, a, f->category));
        json_put_bool(one, "sealed", f->type == COLUMN_SEALED || f->file);
    }
    return list;
}

static json_t *record_of(const struct privacy *p, struct arena *a, const struct record *r,
                         const struct locale *l)
{
    json_t *j = json_object();
    json_put_str(j, "name", r->name);
    json_put_str(j, "title", words_record(p, l, a, r));
    json_put_str(j, "purpose", words_purpose(p, l, a, r->purpose));
    json_put_text(j, "legal_basis", basis_name(r->purpose->basis));
    json_put_str(j, "legal_basis_text", words_basis(p, l, a, r->purpose->basis));
    json_put_bool(j, "personal", record_has_subject(r));
    json_put(j, "kept", words_kept(p, l, a, r));
    json_t *recipients = words_recipients(p, l, a, r);
    json_put_bool(j, "has_recipients", json_array_size(recipients) > 0);
    json_put(j, "recipients", recipients);
    json_put_bool(j, "has_readers", r->staff != 0);
    json_put(j, "readers", words_readers(p, l, a, r->staff));
    json_put(j, "fields", fields_of(p, a, r, l));
    return j;
}

static json_t *purpose_of(const struct privacy *p, struct arena *a, const struct purpose *purpose,
                          const struct locale *l)
{
    json_t *j = json_object();
    json_put_str(j, "name", purpose->name);
    json_put_str(j, "title", words_purpose(p, l, a, purpose));
    json_put_text(j, "legal_basis", basis_name(purpose->basis));
    json_put_str(j, "legal_basis_text", words_basis(p, l, a, purpose->basis));
    json_put_bool(j, "consent", purpose->basis == BASIS_CONSENT);
    json_put_bool(j, "objectable", purpose->basis == BASIS_LEGITIMATE_INTEREST && !purpose->essential);
    json_put_int(j, "consent_version", purpose->basis == BASIS_CONSENT ? purpose->version : 0);
    if (purpose->basis == BASIS_CONSENT)
        json_put_str(j, "consent_text",
                     catalog_text(p->catalog, l, a,
                                  str_fmt(a, "consent.%.*s.%d", STR_FMT(purpose->name), purpose->version).p,
                                  NULL));
    else
        json_put(j, "consent_text", json_null());
    return j;
}

static json_t *cookie_of(const struct privacy *p, struct arena *a, const struct cookie *c,
                         const struct locale *l)
{
    static const char *const types[] = {MSG("cookie-type.necessary"), MSG("cookie-type.functional"),
                                        MSG("cookie-type.analysis"), MSG("cookie-type.advertising")};
    json_t *j = json_object();
    json_put_str(j, "name", c->name);
    json_put_str(j, "type", catalog_text(p->catalog, l, a, types[c->type], NULL));
    json_put_str(j, "about",
                 catalog_text(p->catalog, l, a,
                              str_fmt(a, "cookie.%.*s", STR_FMT(c->name)).p, NULL));
    json_put_bool(j, "session", term_is_zero(c->lasts));
    json_put_str(j, "lasts", term_format(a, c->lasts));
    return j;
}

static void add_title(json_t *list, str title)
{
    json_put_str(json_add_object(list), "title", title);
}

static void put_other(json_t *j, const char *name, const struct privacy *p, struct arena *a, str service,
                      const struct locale *l)
{
    if (service.n == 0) {
        json_put(j, name, json_null());
        return;
    }
    json_t *other = json_put_object(j, name);
    json_put_str(other, "service", service);
    json_put_str(other, "title", words_service(p, l, a, service));
}

/* What one joins there: what is asked, what is taken from the person's own record, and how it ends. */
static json_t *account_of(const struct privacy *p, struct arena *a, str service, const struct locale *l)
{
    const struct service_account *s = inventory_account(p->inventory, service);
    if (s == NULL)
        return json_null();
    const struct record *subject = inventory_record(p->inventory, s->record->subject);
    json_t *j = json_object();
    json_put_str(j, "about", catalog_text(p->catalog, l, a, str_fmt(a, "about.%.*s", STR_FMT(service)).p, NULL));
    json_t *asks = json_put_array(j, "asks"), *uses = json_put_array(j, "uses"), *includes = json_put_array(j, "includes");
    for (size_t i = 0; i < s->n_form; i++) {
        json_t *one = json_add_object(asks);
        json_put_str(one, "name", s->form[i].field->name);
        json_put_str(one, "label", words_field(p, l, a, s->record, s->form[i].field));
        json_put_str(one, "category", words_category(p, l, a, s->form[i].field->category));
        json_put_bool(one, "required", s->form[i].required);
        json_put_bool(one, "sealed", s->form[i].field->type == COLUMN_SEALED);
    }
    for (size_t i = 0; i < s->n_uses; i++)
        add_title(uses, words_field(p, l, a, subject, s->uses[i]));
    for (size_t i = 0; i < s->n_includes; i++)
        add_title(includes, words_service(p, l, a, s->includes[i]));
    json_put_bool(j, "has_asks", s->n_form > 0);
    json_put_bool(j, "has_includes", s->n_includes > 0);
    put_other(j, "needs", p, a, s->needs, l);
    put_other(j, "served_by", p, a, s->served_by, l);
    json_put_int(j, "terms", s->terms);
    json_put_bool(j, "has_terms", s->terms > 0);
    json_put_bool(j, "erased_at_once", s->erase_at_leaving);
    json_t *kept = json_put_array(j, "kept");
    for (size_t i = 0; i < s->record->n_rules; i++)
        json_add_str(kept, words_rule(p, l, a, &s->record->rules[i]));
    json_put_str(j, "leaving", words_rule(p, l, a, s->leaving));
    return j;
}

static void put_country_rules(json_t *j, const struct privacy *p)
{
    json_t *list = json_put_array(j, "country_rules");
    for (size_t i = 0; i < p->organisation->n_rules; i++) {
        const struct country_rule *r = &p->organisation->rules[i];
        json_t *one = json_add_object(list);
        json_put_str(one, "country", r->country);
        json_put_str(one, "purpose", r->purpose);
        json_put_bool(one, "separate_consent", r->separate_consent);
        json_put_bool(one, "assessment", r->assessment);
    }
    json_t *terms = json_put_array(j, "country_terms");
    for (size_t i = 0; i < p->organisation->n_terms; i++) {
        const struct country_term *t = &p->organisation->terms[i];
        json_t *one = json_add_object(terms);
        struct arena *a = arena_new(4096);
        json_put_str(one, "country", t->country);
        json_put_str(one, "rule", t->rule);
        json_put_str(one, "term", term_format(a, t->term));
        arena_free(&a);
    }
}

static void put_organisation(json_t *j, const struct privacy *p, const struct locale *l)
{
    const struct organisation *o = p->organisation;
    json_t *controllers = json_put_array(j, "controllers");
    for (size_t i = 0; i < o->n_controllers; i++)
        json_array_append_new(controllers, words_party(&o->controllers[i], l));
    json_t *contacts = json_put_array(j, "contacts");
    for (size_t i = 0; i < o->n_contacts; i++)
        json_array_append_new(contacts, words_party(&o->contacts[i], l));
    json_put(j, "authority", words_party(&o->authority, l));
    json_t *processors = json_put_array(j, "processors");
    for (size_t i = 0; i < o->n_processors; i++) {
        json_t *one = json_add_object(processors);
        json_put_str(one, "name", o->processors[i].name);
        json_put_str(one, "service", o->processors[i].service.text[l->language]);
        json_put_str(one, "country", o->processors[i].country);
        json_put_bool(one, "contract", o->processors[i].contract);
    }
    json_t *countries = json_put_array(j, "countries");
    for (size_t i = 0; i < o->n_countries; i++)
        json_put_str(json_add_object(countries), "country", o->countries[i]);
    json_put_bool(j, "has_countries", o->n_countries > 0);
    json_t *regions = json_put_array(j, "regions");
    for (size_t i = 0; i < o->n_regions; i++)
        json_add_str(regions, o->regions[i]);
}

json_t *policy_body(const struct privacy *p, struct arena *a, str service, const struct locale *l)
{
    const struct inventory *v = p->inventory;
    json_t *j = json_object();
    json_put_str(j, "policy", service);
    json_put_str(j, "title", words_service(p, l, a, service));
    json_put_str(j, "product", p->organisation->product);
    json_put_text(j, "language", l->code);
    json_put(j, "account", account_of(p, a, service, l));
    put_organisation(j, p, l);
    json_t *purposes = json_put_array(j, "purposes");
    for (size_t i = 0; i < v->n_purposes; i++)
        if (str_eq(v->purposes[i].service, service))
            json_array_append_new(purposes, purpose_of(p, a, &v->purposes[i], l));
    json_t *records = json_put_array(j, "records");
    for (size_t i = 0; i < v->n_records; i++)
        if (str_eq(v->records[i].service, service))
            json_array_append_new(records, record_of(p, a, &v->records[i], l));
    json_t *cookies = json_put_array(j, "cookies");
    for (size_t i = 0; i < v->n_cookies; i++)
        if (str_eq(v->cookies[i].service, service))
            json_array_append_new(cookies, cookie_of(p, a, &v->cookies[i], l));
    json_put_bool(j, "has_cookies", json_array_size(cookies) > 0);
    put_country_rules(j, p);
    return j;
}

/* ---- what changed ---- */

static const json_t *named(const json_t *list, str name)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_eq(json_get_str(json_array_get(list, i), "name"), name))
            return json_array_get(list, i);
    return NULL;
}

static str joined(struct arena *a, const json_t *texts)
{
    struct buf b = buf_new(a, 65536);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        if (i > 0)
            buf_text(&b, "; ");
        buf_put(&b, json_str(json_array_get(texts, i)));
    }
    return buf_str(&b);
}

static str names_of(struct arena *a, const json_t *list, const char *key)
{
    json_t *texts = json_array();
    for (size_t i = 0; i < json_array_size(list); i++)
        json_add_str(texts, json_get_str(json_array_get(list, i), key));
    str s = joined(a, texts);
    json_decref(texts);
    return s;
}

struct changes {
    const struct privacy *p;
    const struct locale *l;
    struct arena *a;
    json_t *list;
};

static void note(struct changes *c, const char *key, str title, str before, str after)
{
    CLEANUP(json_done) json_t *values = json_object();
    json_put_str(values, "title", title);
    json_put_str(values, "before", before);
    json_put_str(values, "after", after);
    json_add_str(c->list, catalog_text(c->p->catalog, c->l, c->a, key, values));
}

/* Entries of one list that are in one version only. */
static void note_lists(struct changes *c, const json_t *before, const json_t *after,
                       const char *added, const char *removed, const char *title)
{
    str none = {NULL, 0};
    for (size_t i = 0; i < json_array_size(after); i++) {
        const json_t *x = json_array_get(after, i);
        if (named(before, json_get_str(x, "name")) == NULL)
            note(c, added, json_get_str(x, title), none, none);
    }
    for (size_t i = 0; i < json_array_size(before); i++) {
        const json_t *x = json_array_get(before, i);
        if (named(after, json_get_str(x, "name")) == NULL)
            note(c, removed, json_get_str(x, title), none, none);
    }
}

/* Who inside may read it, as one change: a role alone says too little. */
static void note_readers(struct changes *c, str title, const json_t *before, const json_t *after)
{
    str was = names_of(c->a, before, "name"), is = names_of(c->a, after, "name");
    str nobody = catalog_text(c->p->catalog, c->l, c->a, MSG("readers.nobody"), NULL);
    if (!str_eq(was, is))
        note(c, MSG("change.readers"), title, was.n ? was : nobody, is.n ? is : nobody);
}

static void note_records(struct changes *c, const json_t *before, const json_t *after)
{
    for (size_t i = 0; i < json_array_size(after); i++) {
        const json_t *x = json_array_get(after, i), *old = named(before, json_get_str(x, "name"));
        if (old == NULL)
            continue;
        str title = json_get_str(x, "title");
        str kept_before = joined(c->a, json_object_get(old, "kept"));
        str kept_after = joined(c->a, json_object_get(x, "kept"));
        if (!str_eq(kept_before, kept_after))
            note(c, MSG("change.term"), title, kept_before, kept_after);
        str basis_before = json_get_str(old, "legal_basis_text");
        str basis_after = json_get_str(x, "legal_basis_text");
        if (!str_eq(basis_before, basis_after))
            note(c, MSG("change.basis"), title, basis_before, basis_after);
        note_lists(c, json_object_get(old, "fields"), json_object_get(x, "fields"),
                   MSG("change.field-added"), MSG("change.field-removed"), "label");
        note_lists(c, json_object_get(old, "recipients"), json_object_get(x, "recipients"),
                   MSG("change.recipient-added"), MSG("change.recipient-removed"), "name");
        note_readers(c, title, json_object_get(old, "readers"), json_object_get(x, "readers"));
    }
}

static json_t *changes_between(const struct privacy *p, struct arena *a, const struct locale *l,
                               const json_t *before, const json_t *after)
{
    struct changes c = {p, l, a, json_array()};
    const json_t *old = json_object_get(before, "records"), *now = json_object_get(after, "records");
    note_lists(&c, old, now, MSG("change.record-added"), MSG("change.record-removed"), "title");
    note_records(&c, old, now);
    note_lists(&c, json_object_get(before, "purposes"), json_object_get(after, "purposes"),
               MSG("change.purpose-added"), MSG("change.purpose-removed"), "title");
    note_lists(&c, json_object_get(before, "cookies"), json_object_get(after, "cookies"),
               MSG("change.cookie-added"), MSG("change.cookie-removed"), "name");
    note_lists(&c, json_object_get(before, "processors"), json_object_get(after, "processors"),
               MSG("change.processor-added"), MSG("change.processor-removed"), "name");
    if (json_array_size(c.list) == 0)
        json_add_str(c.list, catalog_text(p->catalog, l, a, MSG("change.wording"), NULL));
    return c.list;
}

/* ---- publishing ---- */

static str hash_of(struct arena *a, str body)
{
    unsigned char *h = arena_alloc(a, HASH_BYTES);
    crypto_generichash(h, HASH_BYTES, (const unsigned char *)body.p, body.n, NULL, 0);
    return str_of(h, HASH_BYTES);
}

static enum err latest(struct tx *tx, str service, const char *language, int64_t *version,
                       str *body, str *hash)
{
    struct query *q = SQL(tx, "SELECT version, body, hash FROM policy_version WHERE policy = $1 "
                              "AND language = $2 ORDER BY version DESC LIMIT 1");
    bind_text(q, service);
    bind_text(q, str_from(language));
    *version = 0;
    if (query_row(q)) {
        *version = row_int(q, 0);
        *body = row_text(q, 1);
        *hash = row_blob(q, 2);
    }
    return query_end(q);
}

static struct locale locale_of(const struct privacy *p, size_t language)
{
    return (struct locale){(int)language, catalog_language(p->catalog, (int)language), NULL,
                           p->formats};
}

static enum err insert_version(struct tx *tx, const struct privacy *p, str service, int64_t version,
                               const struct locale *l, json_t *body, str old_body, str hash)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(json_done) json_t *before = NULL;
    if (old_body.n > 0)
        TRY(tx_fail(tx, json_decode(old_body, &before, tx_fault(tx))));
    json_put(body, "changes", before ? changes_between(p, a, l, before, body) : json_array());
    struct query *q =
        SQL(tx, "INSERT INTO policy_version (policy, version, language, published, body, hash) "
                "VALUES ($1, $2, $3, $4, $5, $6)");
    bind_text(q, service);
    bind_int(q, version);
    bind_text(q, str_from(l->code));
    bind_time(q, clock_now(p->clock));
    bind_text(q, json_encode(a, body, false));
    bind_blob(q, hash);
    return query_run(q);
}

/* Does any language's published text differ from what is declared? */
static enum err differs(struct tx *tx, const struct privacy *p, str service, bool *yes)
{
    struct arena *a = tx_arena(tx);
    *yes = false;
    for (size_t i = 0; i < catalog_languages(p->catalog) && !*yes; i++) {
        struct locale l = locale_of(p, i);
        int64_t version;
        str body = {NULL, 0}, hash = {NULL, 0};
        TRY(latest(tx, service, l.code, &version, &body, &hash));
        CLEANUP(json_done) json_t *now = policy_body(p, a, service, &l);
        *yes = version == 0 || !str_eq(hash, hash_of(a, json_encode(a, now, false)));
    }
    return OK;
}

struct publishing {
    const struct privacy *p;
    int published;
};

static enum err publish_service(struct tx *tx, struct publishing *w, str service)
{
    bool changed;
    struct arena *a = tx_arena(tx);
    TRY(differs(tx, w->p, service, &changed));
    if (!changed)
        return OK;
    int64_t newest = 0;
    for (size_t i = 0; i < catalog_languages(w->p->catalog); i++) {
        int64_t version;
        str body, hash;
        TRY(latest(tx, service, catalog_language(w->p->catalog, (int)i), &version, &body, &hash));
        newest = MAX_OF(newest, version);
    }
    for (size_t i = 0; i < catalog_languages(w->p->catalog); i++) {
        struct locale l = locale_of(w->p, i);
        int64_t version;
        str old = {NULL, 0}, hash = {NULL, 0};
        TRY(latest(tx, service, l.code, &version, &old, &hash));
        CLEANUP(json_done) json_t *body = policy_body(w->p, a, service, &l);
        hash = hash_of(a, json_encode(a, body, false));
        TRY(insert_version(tx, w->p, service, newest + 1, &l, body, old, hash));
    }
    w->published++;
    return OK;
}

static enum err publish_all(struct tx *tx, void *arg)
{
    struct publishing *w = arg;
    w->published = 0;
    for (size_t i = 0; i < w->p->inventory->n_services; i++)
        TRY(publish_service(tx, w, w->p->inventory->services[i]));
    return OK;
}

enum err policy_publish(const struct privacy *p, int *published, struct fault *f)
{
    struct publishing w = {p, 0};
    struct arena *a = arena_new(PUBLISH_ARENA);
    enum err e = db_transact(p->db, a, f, publish_all, &w);
    arena_free(&a);
    policies_forget(p->policies);
    if (published)
        *published = w.published;
    return e;
}

enum err policy_check(struct tx *tx, const struct privacy *p, str *service)
{
    *service = (str){NULL, 0};
    for (size_t i = 0; i < p->inventory->n_services; i++) {
        bool yes;
        TRY(differs(tx, p, p->inventory->services[i], &yes));
        if (yes) {
            *service = p->inventory->services[i];
            return OK;
        }
    }
    return OK;
}

/* ---- the record of processing ---- */

/* RFC 4180; what a spreadsheet would take for a formula is made text. */
static void csv_cell(struct buf *b, str s, bool last)
{
    buf_char(b, '"');
    if (s.n > 0 && strchr("=+-@\t\r", s.p[0]) != NULL)
        buf_char(b, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_char(b, '"');
        buf_char(b, s.p[i]);
    }
    buf_text(b, last ? "\"\r\n" : "\",");
}

str policy_record_csv(const struct privacy *p, struct arena *a, const struct locale *l)
{
    struct buf b = buf_new(a, 4 << 20);
    buf_text(&b, "service,record,purpose,legal_basis,data,storage_duration,recipients,readers_inside,subject\r\n");
    for (size_t i = 0; i < p->inventory->n_records; i++) {
        const struct record *r = &p->inventory->records[i];
        CLEANUP(json_done) json_t *j = record_of(p, a, r, l);
        csv_cell(&b, words_service(p, l, a, r->service), false);
        csv_cell(&b, json_get_str(j, "title"), false);
        csv_cell(&b, json_get_str(j, "purpose"), false);
        csv_cell(&b, json_get_str(j, "legal_basis_text"), false);
        csv_cell(&b, names_of(a, json_object_get(j, "fields"), "label"), false);
        csv_cell(&b, joined(a, json_object_get(j, "kept")), false);
        csv_cell(&b, names_of(a, json_object_get(j, "recipients"), "name"), false);
        csv_cell(&b, names_of(a, json_object_get(j, "readers"), "name"), false);
        csv_cell(&b, r->subject, true);
    }
    return buf_str(&b);
}

static const char *dpv_basis(enum legal_basis b)
{
    static const char *const terms[] = {"eu-gdpr:A6-1-b", "eu-gdpr:A6-1-f", "eu-gdpr:A6-1-a",
                                        "eu-gdpr:A6-1-c"};
    return terms[b];
}

json_t *policy_record_dpv(const struct privacy *p, struct arena *a, const struct locale *l)
{
    json_t *j = json_pack("{s:{s:s, s:s, s:s}}", "@context", "dpv", "https://w3id.org/dpv#",
                          "eu-gdpr", "https://w3id.org/dpv/legal/eu/gdpr#", "dct",
                          "http://purl.org/dc/terms/");
    json_t *graph = json_put_array(j, "@graph");
    for (size_t i = 0; i < p->inventory->n_records; i++) {
        const struct record *r = &p->inventory->records[i];
        if (!record_has_subject(r))
            continue;
        json_t *x = json_add_object(graph);
        json_put_text(x, "@type", "dpv:Process");
        json_put_str(x, "@id", str_fmt(a, "urn:troth:%.*s:%.*s", STR_FMT(r->service), STR_FMT(r->name)));
        json_put_str(x, "dct:title", words_record(p, l, a, r));
        json_put_str(x, "dpv:hasPurpose", words_purpose(p, l, a, r->purpose));
        json_put_text(x, "dpv:hasLegalBasis", dpv_basis(r->purpose->basis));
        json_put_str(x, "dpv:hasDataController", p->organisation->controllers[0].name);
        json_t *data = json_put_array(x, "dpv:hasPersonalData");
        for (size_t k = 0; k < r->n_fields; k++)
            json_add_str(data, words_field(p, l, a, r, &r->fields[k]));
        json_put(x, "dpv:hasStorageCondition", words_kept(p, l, a, r));
        json_put(x, "dpv:hasRecipient", words_recipients(p, l, a, r));
    }
    return j;
}
