/* From declarations to forms: what is declared is asked, and nothing else is (spec GEN-23, CNS-01). */
#include "features/services/services.h"

#include <string.h>

/* How a question is put: by what it asks for. */
static enum field_type type_of(const struct question *q)
{
    const char *category = q->field->category->name;
    if (strcmp(category, "country") == 0 || strcmp(category, "language") == 0)
        return FIELD_CHOICE;
    return strcmp(category, "free-text") == 0 ? FIELD_LINES : FIELD_TEXT;
}

static const char *hint_of(const struct portal *p, const struct record *r, const struct question *q)
{
    str key = str_fmt(p->arena, "hint.%.*s.%.*s", STR_FMT(r->name), STR_FMT(q->field->name));
    return catalog_key(p->privacy.catalog, key) >= 0 ? key.p : NULL;
}

static void add_questions(const struct portal *p, const struct service_account *s, struct form_field *fields, size_t *n)
{
    for (size_t i = 0; i < s->n_form; i++) {
        const struct question *q = &s->form[i];
        fields[(*n)++] = (struct form_field){
            .name = str_cstr(p->arena, q->field->name),
            .type = type_of(q),
            .required = q->required,
            .max = q->max,
            .label = inventory_field_key(p->arena, s->record, q->field).p,
            .hint = hint_of(p, s->record, q),
            .autocomplete = q->fill,
        };
    }
}

static void add_consents(const struct portal *p, const struct service *s, struct form_field *fields, size_t *n)
{
    for (size_t i = 0; i < s->n_consents; i++)
        fields[(*n)++] = (struct form_field){
            .name = str_cstr(p->arena, s->consents[i]->name),
            .type = FIELD_CHECK,
            .label = str_fmt(p->arena, "consent.%.*s.%d", STR_FMT(s->consents[i]->name), s->consents[i]->version).p,
        };
}

/* The tick, and which version was shown beside it: nobody accepts what they have not seen. */
static void add_terms(const struct service_account *s, struct form_field *fields, size_t *n)
{
    if (s->terms == 0)
        return;
    fields[(*n)++] = (struct form_field){
        .name = FIELD_TERMS, .type = FIELD_CHECK, .required = true, .label = MSG("services.accept")};
    fields[(*n)++] = (struct form_field){.name = FIELD_VERSION, .type = FIELD_HIDDEN, .required = true, .max = 10};
}

static void find_consents(const struct portal *p, struct service *s)
{
    const struct inventory *v = p->privacy.inventory;
    s->consents = ARENA_ARRAY(p->arena, const struct purpose *, v->n_purposes);
    for (size_t i = 0; i < v->n_purposes; i++)
        if (v->purposes[i].basis == BASIS_CONSENT && !v->purposes[i].elsewhere &&
            str_eq(v->purposes[i].service, s->account->service))
            s->consents[s->n_consents++] = &v->purposes[i];
}

static enum err make_one(const struct portal *p, const struct service_account *account, struct service *s,
                         struct fault *f)
{
    s->account = account;
    find_consents(p, s);
    size_t most = account->n_form + s->n_consents + 2;
    if (most > FORM_MAX_FIELDS)
        return FAIL(f, ERR_INPUT, "the form of %.*s has more than %d fields", STR_FMT(account->service), FORM_MAX_FIELDS);
    struct form_field *join = ARENA_ARRAY(p->arena, struct form_field, most);
    struct form_field *accept = ARENA_ARRAY(p->arena, struct form_field, 2);
    size_t n = 0, n_accept = 0;
    add_questions(p, account, join, &n);
    s->correct = (struct form){"correct", join, n};
    add_consents(p, s, join, &n);
    add_terms(account, join, &n);
    s->join = (struct form){"join", join, n};
    add_terms(account, accept, &n_accept);
    s->accept = (struct form){"accept", accept, n_accept};
    return OK;
}

/* People's own account first, then as the declarations come; what needs another right after that. */
static size_t put_in_order(const struct inventory *v, const struct service_account **list)
{
    size_t n = 0;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < v->n_accounts; i++) {
            const struct service_account *s = &v->accounts[i];
            if (s->needs.n > 0 || str_is(s->service, "my-account") != (round == 0))
                continue;
            list[n++] = s;
            for (size_t k = 0; k < v->n_accounts; k++)
                if (str_eq(v->accounts[k].needs, s->service))
                    list[n++] = &v->accounts[k];
        }
    return n;
}

enum err services_make(struct portal *p, struct services **out, struct fault *f)
{
    const struct inventory *v = p->privacy.inventory;
    struct services *s = ARENA_NEW(p->arena, struct services);
    s->list = ARENA_ARRAY(p->arena, struct service, v->n_accounts);
    const struct service_account **order = ARENA_ARRAY(p->arena, const struct service_account *, v->n_accounts);
    size_t n = put_in_order(v, order);
    for (size_t i = 0; i < n; i++)
        TRY(make_one(p, order[i], &s->list[s->n++], f));
    *out = s;
    return OK;
}

const struct service *service_named(const struct services *s, str service)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->list[i].account->service, service))
            return &s->list[i];
    return NULL;
}
