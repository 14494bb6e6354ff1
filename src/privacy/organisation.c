#include "privacy/organisation.h"

#include <string.h>

struct reader {
    struct arena *arena;
    struct fault *fault;
    str source;
    const char *const *languages;
    size_t n_languages;
    struct organisation *o;
};

#define SAY(r, node, ...)                                                                          \
    FAIL((r)->fault, ERR_INPUT, "%.*s:%d: %.*s", STR_FMT((r)->source), (node)->line,               \
         STR_FMT(str_fmt((r)->arena, __VA_ARGS__)))

static enum err only_keys(struct reader *r, const struct yaml *map, const char *const *keys,
                          size_t n)
{
    if (map->kind != YAML_MAP)
        return SAY(r, map, "%.*s must be a mapping", STR_FMT(map->key));
    YAML_EACH(child, map)
    {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known |= str_is(child->key, keys[i]);
        if (!known)
            return SAY(r, child, "%.*s is not a word of this file", STR_FMT(child->key));
    }
    return OK;
}
#define ONLY_KEYS(r, map, ...)                                                                     \
    only_keys((r), (map), (const char *const[]){__VA_ARGS__},                                      \
              COUNT(((const char *const[]){__VA_ARGS__})))

/* A text for all languages, or a mapping with one for each. */
static enum err read_texts(struct reader *r, const struct yaml *map, const char *key,
                           struct texts *out)
{
    const struct yaml *n = yaml_get(map, key);
    if (n == NULL)
        return OK;
    for (size_t i = 0; i < r->n_languages; i++) {
        out->text[i] = n->kind == YAML_SCALAR ? n->text : yaml_text(n, r->languages[i]);
        if (out->text[i].n == 0)
            return SAY(r, n, "%s has no text in language %s", key, r->languages[i]);
    }
    return OK;
}

static bool country_ok(str s)
{
    return s.n == 2 && s.p[0] >= 'A' && s.p[0] <= 'Z' && s.p[1] >= 'A' && s.p[1] <= 'Z';
}

static enum err read_country(struct reader *r, const struct yaml *map, const char *key, str *out)
{
    const struct yaml *n = yaml_get(map, key);
    if (n != NULL && !country_ok(n->text))
        return SAY(r, n, "a country is two capitals (ISO 3166): SE");
    *out = n ? n->text : (str){NULL, 0};
    return OK;
}

static enum err read_party(struct reader *r, const struct yaml *n, struct party *out)
{
    TRY(ONLY_KEYS(r, n, "name", "role", "address", "email", "phone", "url", "country"));
    *out = (struct party){.key = n->key,
                          .name = yaml_text(n, "name"),
                          .address = str_trim(yaml_text(n, "address")),
                          .email = yaml_text(n, "email"),
                          .phone = yaml_text(n, "phone"),
                          .url = yaml_text(n, "url")};
    if (out->name.n == 0)
        return SAY(r, n, "%.*s has no name", STR_FMT(n->key));
    TRY(read_country(r, n, "country", &out->country));
    return read_texts(r, n, "role", &out->role);
}

static enum err read_parties(struct reader *r, const struct yaml *root, const char *key,
                             struct party **out, size_t *n)
{
    const struct yaml *map = yaml_get(root, key);
    if (map == NULL)
        return SAY(r, root, "the file names no %s", key);
    *out = ARENA_ARRAY(r->arena, struct party, map->count);
    YAML_EACH(child, map)
    TRY(read_party(r, child, &(*out)[(*n)++]));
    return OK;
}

static enum err read_processors(struct reader *r, const struct yaml *map)
{
    r->o->processors = ARENA_ARRAY(r->arena, struct processor, map ? map->count : 0);
    YAML_EACH(n, map)
    {
        struct processor *p = &r->o->processors[r->o->n_processors++];
        TRY(ONLY_KEYS(r, n, "name", "service", "country", "contract"));
        p->key = n->key;
        p->name = yaml_text(n, "name");
        p->contract = str_is(yaml_text(n, "contract"), "true");
        TRY(read_texts(r, n, "service", &p->service));
        TRY(read_country(r, n, "country", &p->country));
        if (p->name.n == 0 || p->country.n == 0 || p->service.text[0].n == 0)
            return SAY(r, n, "processor %.*s needs name, service and country", STR_FMT(n->key));
    }
    return OK;
}

static enum err read_country_list(struct reader *r, const struct yaml *list, str **out, size_t *n)
{
    *out = ARENA_ARRAY(r->arena, str, list ? list->count : 0);
    YAML_EACH(c, list)
    {
        if (!country_ok(c->text))
            return SAY(r, c, "a country is two capitals (ISO 3166): SE");
        (*out)[(*n)++] = c->text;
    }
    return OK;
}

static enum err read_regions(struct reader *r, const struct yaml *list)
{
    r->o->regions = ARENA_ARRAY(r->arena, str, list ? list->count : 0);
    YAML_EACH(c, list)
    r->o->regions[r->o->n_regions++] = c->text;
    return OK;
}

static enum err read_surfaces(struct reader *r, const struct yaml *list)
{
    r->o->surfaces = ARENA_ARRAY(r->arena, struct surface, list ? list->count : 0);
    YAML_EACH(n, list)
    {
        struct surface *s = &r->o->surfaces[r->o->n_surfaces++];
        TRY(ONLY_KEYS(r, n, "name", "url", "covered", "policy"));
        TRY(read_texts(r, n, "name", &s->name));
        s->url = yaml_text(n, "url");
        s->covered = str_is(yaml_text(n, "covered"), "true");
        s->policy_url = yaml_text(n, "policy");
        if (s->name.text[0].n == 0)
            return SAY(r, n, "a surface has a name");
    }
    return OK;
}

static enum err read_rule(struct reader *r, const struct yaml *n, str country)
{
    struct country_rule *rule = &r->o->rules[r->o->n_rules++];
    TRY(ONLY_KEYS(r, n, "separate_consent", "assessment", "assessment_ref"));
    *rule = (struct country_rule){.country = country,
                                  .purpose = n->key,
                                  .separate_consent = str_is(yaml_text(n, "separate_consent"), "true"),
                                  .assessment = str_is(yaml_text(n, "assessment"), "true"),
                                  .assessment_ref = yaml_text(n, "assessment_ref")};
    return OK;
}

/* country_rules: {CN: {purposes: {…}, keep: {account.closed: P2W}}} */
static enum err read_country_rules(struct reader *r, const struct yaml *map)
{
    size_t rules = 0, terms = 0;
    YAML_EACH(n, map)
    {
        rules += yaml_get(n, "purposes") ? yaml_get(n, "purposes")->count : 0;
        terms += yaml_get(n, "keep") ? yaml_get(n, "keep")->count : 0;
    }
    r->o->rules = ARENA_ARRAY(r->arena, struct country_rule, rules);
    r->o->terms = ARENA_ARRAY(r->arena, struct country_term, terms);
    YAML_EACH(n, map)
    {
        TRY(ONLY_KEYS(r, n, "purposes", "keep"));
        if (!country_ok(n->key))
            return SAY(r, n, "a country is two capitals (ISO 3166): SE");
        YAML_EACH(p, yaml_get(n, "purposes"))
        TRY(read_rule(r, p, n->key));
        YAML_EACH(k, yaml_get(n, "keep"))
        {
            struct country_term *t = &r->o->terms[r->o->n_terms++];
            *t = (struct country_term){.country = n->key, .rule = k->key};
            if (term_parse(k->text, &t->term) != OK)
                return SAY(r, k, "%.*s is no term (ISO 8601)", STR_FMT(k->text));
        }
    }
    return OK;
}

/* periods: {company_account.left_at: P3M} */
static enum err read_periods(struct reader *r, const struct yaml *map)
{
    r->o->periods = ARENA_ARRAY(r->arena, struct period, map ? map->count : 0);
    YAML_EACH(n, map)
    {
        struct period *p = &r->o->periods[r->o->n_periods++];
        p->rule = n->key;
        if (term_parse(n->text, &p->term) != OK || term_is_zero(p->term))
            return SAY(r, n, "%.*s is no term (ISO 8601)", STR_FMT(n->text));
    }
    return OK;
}

enum err organisation_read(struct arena *a, str name, str text, const char *const *languages,
                           size_t n_languages, struct organisation **out, struct fault *f)
{
    struct reader r = {a, f, name, languages, n_languages, ARENA_NEW(a, struct organisation)};
    struct organisation *o = r.o;
    struct yaml *root;
    enum err e = yaml_parse(a, text, &root, f);
    if (e != OK)
        fault_prefix(f, "%.*s:", STR_FMT(name));
    TRY(e);
    TRY(ONLY_KEYS(&r, root, "product", "country", "controllers", "contacts", "authority",
                  "processors", "countries", "regions", "surfaces", "country_rules",
                  "periods", "security_contact"));
    o->product = yaml_text(root, "product");
    o->security_contact = yaml_text(root, "security_contact");
    if (o->product.n == 0)
        return SAY(&r, root, "the file names no product");
    TRY(read_country(&r, root, "country", &o->country));
    TRY(read_parties(&r, root, "controllers", &o->controllers, &o->n_controllers));
    TRY(read_parties(&r, root, "contacts", &o->contacts, &o->n_contacts));
    if (o->n_controllers == 0 || o->country.n == 0 || o->security_contact.n == 0)
        return SAY(&r, root, "the file must name a controller, a country and a security_contact");
    const struct yaml *authority = yaml_get(root, "authority");
    if (authority == NULL)
        return SAY(&r, root, "the file names no authority that complaints may go to");
    TRY(read_party(&r, authority, &o->authority));
    TRY(read_processors(&r, yaml_get(root, "processors")));
    TRY(read_country_list(&r, yaml_get(root, "countries"), &o->countries, &o->n_countries));
    TRY(read_regions(&r, yaml_get(root, "regions")));
    TRY(read_surfaces(&r, yaml_get(root, "surfaces")));
    TRY(read_country_rules(&r, yaml_get(root, "country_rules")));
    TRY(read_periods(&r, yaml_get(root, "periods")));
    *out = o;
    return OK;
}

const struct party *organisation_controller(const struct organisation *o, str key)
{
    if (key.n == 0)
        return &o->controllers[0];
    for (size_t i = 0; i < o->n_controllers; i++)
        if (str_eq(o->controllers[i].key, key))
            return &o->controllers[i];
    return NULL;
}

bool organisation_asks(const struct organisation *o, str purpose)
{
    for (size_t i = 0; i < o->n_rules; i++)
        if (o->rules[i].separate_consent && str_eq(o->rules[i].purpose, purpose))
            return true;
    return false;
}

const struct processor *organisation_processor(const struct organisation *o, str key)
{
    for (size_t i = 0; i < o->n_processors; i++)
        if (str_eq(o->processors[i].key, key))
            return &o->processors[i];
    return NULL;
}

const struct country_rule *organisation_rule(const struct organisation *o, str country, str purpose)
{
    str where = country.n ? country : o->country;
    for (size_t i = 0; i < o->n_rules; i++)
        if (str_eq(o->rules[i].country, where) && str_eq(o->rules[i].purpose, purpose))
            return &o->rules[i];
    return NULL;
}

static struct keep_rule *rule_named(struct inventory *v, str name)
{
    for (size_t i = 0; i < v->n_records; i++)
        for (size_t k = 0; k < v->records[i].n_rules; k++)
            if (str_eq(v->records[i].rules[k].name, name) && str_eq(v->records[i].rules[k].table, v->records[i].name))
                return &v->records[i].rules[k];
    return NULL;
}

enum err organisation_choose_periods(const struct organisation *o, struct inventory *v, struct fault *f)
{
    for (size_t i = 0; i < o->n_periods; i++) {
        struct keep_rule *rule = rule_named(v, o->periods[i].rule);
        if (rule == NULL || term_is_zero(rule->most))
            return FAIL(f, ERR_INPUT, "periods: %.*s is no term that an organisation chooses", STR_FMT(o->periods[i].rule));
        if (term_end(0, o->periods[i].term) > term_end(0, rule->most))
            return FAIL(f, ERR_INPUT, "periods: %.*s can be a shorter time only", STR_FMT(o->periods[i].rule));
        rule->term = o->periods[i].term;
    }
    return OK;
}

static const struct keep_rule *subject_rule(const struct inventory *v, str name)
{
    for (size_t i = 0; i < v->n_records; i++)
        for (size_t k = 0; record_is_subject(&v->records[i]) && k < v->records[i].n_rules; k++)
            if (str_eq(v->records[i].rules[k].name, name))
                return &v->records[i].rules[k];
    return NULL;
}

enum err organisation_check(const struct organisation *o, const struct inventory *v,
                            struct fault *f)
{
    for (size_t i = 0; i < v->n_records; i++) {
        const struct record *r = &v->records[i];
        for (size_t k = 0; k < r->n_recipients; k++)
            if (organisation_processor(o, r->recipients[k]) == NULL)
                return FAIL(f, ERR_INPUT,
                            "record %.*s goes to %.*s, which the organisation's file does not name "
                            "among its processors",
                            STR_FMT(r->name), STR_FMT(r->recipients[k]));
    }
    for (size_t i = 0; i < v->n_purposes; i++)
        if (organisation_controller(o, v->purposes[i].controller) == NULL)
            return FAIL(f, ERR_INPUT, "purpose %.*s names an unknown controller",
                        STR_FMT(v->purposes[i].name));
    for (size_t i = 0; i < o->n_rules; i++)
        if (inventory_purpose(v, o->rules[i].purpose) == NULL)
            return FAIL(f, ERR_INPUT, "the rules of %.*s name an unknown purpose %.*s",
                        STR_FMT(o->rules[i].country), STR_FMT(o->rules[i].purpose));
    for (size_t i = 0; i < o->n_terms; i++) {
        const struct keep_rule *rule = subject_rule(v, o->terms[i].rule);
        if (rule == NULL || rule->kind != KEEP_AFTER)
            return FAIL(f, ERR_INPUT, "the rules of %.*s name an unknown term %.*s",
                        STR_FMT(o->terms[i].country), STR_FMT(o->terms[i].rule));
        if (record_of_category(rule->record, "country") == NULL)
            return FAIL(f, ERR_INPUT, "%.*s knows no country: no country can have a term of its own",
                        STR_FMT(rule->record->name));
        if (term_end(0, o->terms[i].term) > term_end(0, rule->term))
            return FAIL(f, ERR_INPUT, "%.*s: the term of %.*s can only be shorter than everybody's",
                        STR_FMT(o->terms[i].country), STR_FMT(o->terms[i].rule));
    }
    return OK;
}
