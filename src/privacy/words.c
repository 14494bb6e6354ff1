#include "privacy/words.h"

static str text_of(const struct privacy *p, const struct locale *l, struct arena *a, str key)
{
    return catalog_text(p->catalog, l, a, str_cstr(a, key), NULL);
}

str words_service(const struct privacy *p, const struct locale *l, struct arena *a, str service)
{
    return text_of(p, l, a, str_fmt(a, "service.%.*s", STR_FMT(service)));
}

str words_purpose(const struct privacy *p, const struct locale *l, struct arena *a,
                  const struct purpose *purpose)
{
    return text_of(p, l, a, str_fmt(a, "purpose.%.*s", STR_FMT(purpose->name)));
}

str words_basis(const struct privacy *p, const struct locale *l, struct arena *a,
                enum legal_basis basis)
{
    return text_of(p, l, a, str_fmt(a, "basis.%s", basis_name(basis)));
}

str words_record(const struct privacy *p, const struct locale *l, struct arena *a,
                 const struct record *r)
{
    return text_of(p, l, a, str_fmt(a, "record.%.*s", STR_FMT(r->name)));
}

str words_field(const struct privacy *p, const struct locale *l, struct arena *a,
                const struct record *r, const struct field *f)
{
    return text_of(p, l, a, inventory_field_key(a, r, f));
}

str words_category(const struct privacy *p, const struct locale *l, struct arena *a,
                   const struct category *c)
{
    return text_of(p, l, a, str_fmt(a, "category.%s", c->name));
}

str words_rule(const struct privacy *p, const struct locale *l, struct arena *a,
               const struct keep_rule *rule)
{
    CLEANUP(json_done) json_t *values = json_object();
    json_put_str(values, "anchor", text_of(p, l, a, str_fmt(a, "anchor.%.*s", STR_FMT(rule->name))));
    if (rule->kind == KEEP_AT)
        return catalog_text(p->catalog, l, a, MSG("keep.at"), values);
    json_put_str(values, "term", term_format(a, rule->term));
    return catalog_text(p->catalog, l, a, MSG("keep.after"), values);
}

static void add_rules(json_t *list, const struct privacy *p, const struct locale *l,
                      struct arena *a, const struct record *r, bool implied)
{
    for (size_t i = 0; i < r->n_rules; i++)
        if (implied || !r->rules[i].implied)
            json_add_str(list, words_rule(p, l, a, &r->rules[i]));
}

json_t *words_kept(const struct privacy *p, const struct locale *l, struct arena *a,
                   const struct record *r)
{
    json_t *list = json_array();
    const struct service_account *s = inventory_account(p->inventory, r->service);
    add_rules(list, p, l, a, r, false);
    if (s != NULL && s->record != r && str_eq(r->subject, s->record->subject))
        add_rules(list, p, l, a, s->record, false); /* it ends with the service account */
    if (record_of_any(r))
        json_add_str(list, catalog_text(p->catalog, l, a, MSG("keep.with-subject"), NULL));
    else if (record_has_subject(r) && !record_is_subject(r))
        add_rules(list, p, l, a, inventory_record(p->inventory, r->subject), true);
    else if (r->n_rules == 0)
        json_add_str(list, catalog_text(p->catalog, l, a, MSG("keep.nobody"), NULL));
    return list;
}

json_t *words_recipients(const struct privacy *p, const struct locale *l, struct arena *a,
                         const struct record *r)
{
    (void)a;
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_recipients; i++) {
        const struct processor *who = organisation_processor(p->organisation, r->recipients[i]);
        if (who == NULL)
            continue;
        json_t *one = json_add_object(list);
        json_put_str(one, "name", who->name);
        json_put_str(one, "service", who->service.text[l->language]);
        json_put_str(one, "country", who->country);
    }
    return list;
}

json_t *words_readers(const struct privacy *p, const struct locale *l, struct arena *a,
                      unsigned roles)
{
    json_t *list = json_array();
    for (int i = 0; i < ROLES; i++) {
        if (!(roles & ROLE_BIT(i)))
            continue;
        json_t *one = json_add_object(list);
        json_put_str(one, "name", text_of(p, l, a, str_fmt(a, "role.%s", role_name((enum role)i))));
        json_put_text(one, "role", role_name((enum role)i));
    }
    return list;
}

static void put_or_null(json_t *j, const char *key, str s)
{
    if (s.n > 0)
        json_put_str(j, key, s);
    else
        json_put(j, key, json_null());
}

json_t *words_party(const struct party *party, const struct locale *l)
{
    json_t *j = json_object();
    json_put_str(j, "name", party->name);
    put_or_null(j, "role", party->role.text[l->language]);
    put_or_null(j, "email", party->email);
    put_or_null(j, "phone", party->phone);
    put_or_null(j, "url", party->url);
    put_or_null(j, "country", party->country);
    json_t *lines = json_put_array(j, "address");
    str rest = party->address, line;
    while (rest.n > 0) {
        if (!str_cut(rest, '\n', &line, &rest)) {
            line = rest;
            rest = (str){NULL, 0};
        }
        json_add_str(lines, str_trim(line));
    }
    return j;
}
