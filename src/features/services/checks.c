/* What the services promise, against the facts. */
#include "features/services/services.h"

static void say(struct check *c, bool kept, const char *evidence)
{
    c->verdict = kept ? VERDICT_KEPT : VERDICT_BROKEN;
    c->evidence = evidence;
}

/* ---- only what is declared is asked, and nothing is ticked beforehand ---- */

static bool is_declared(const struct service *s, const char *name)
{
    str field = str_from(name);
    bool found = s->account->terms > 0 && (str_is(field, FIELD_TERMS) || str_is(field, FIELD_VERSION));
    for (size_t i = 0; i < s->account->n_form; i++)
        found |= str_eq(s->account->form[i].field->name, field);
    for (size_t i = 0; i < s->n_consents; i++)
        found |= str_eq(s->consents[i]->name, field);
    return found;
}

static enum err check_forms(struct check *c)
{
    const struct services *all = ((const struct portal *)c->app)->services;
    int64_t questions = 0, wrong = 0;
    for (size_t i = 0; i < all->n; i++) {
        const struct service *s = &all->list[i];
        size_t expected = s->account->n_form + s->n_consents + (s->account->terms > 0 ? 2 : 0);
        struct form_state fresh = {.form = &s->join};
        wrong += s->join.n != expected;
        for (size_t k = 0; k < s->join.n; k++) {
            const struct form_field *f = &s->join.fields[k];
            wrong += !is_declared(s, f->name);
            wrong += f->type == FIELD_CHECK && (form_ticked(&fresh, f->name) ||
                                                (f->required && !str_is(str_from(f->name), FIELD_TERMS)));
            questions += f->type != FIELD_HIDDEN;
        }
    }
    json_put_int(c->values, "count", questions);
    json_put_int(c->values, "forms", (int64_t)all->n);
    json_put_int(c->values, "wrong", wrong);
    say(c, wrong == 0, wrong ? MSG("evidence.forms-broken") : MSG("evidence.forms"));
    return OK;
}

/* ---- whoever has left has no role, no consent there, and leaves nothing behind ---- */

static enum err count_all(struct check *c, struct enrolment_counts *sum)
{
    const struct inventory *v = c->p->inventory;
    *sum = (struct enrolment_counts){0};
    for (size_t i = 0; i < v->n_accounts; i++) {
        struct enrolment_counts n;
        TRY(enrolment_count(c->tx, c->p, &v->accounts[i], &n));
        sum->enrolled += n.enrolled;
        sum->left += n.left;
        sum->roles += n.roles;
        sum->orphans += n.orphans;
        sum->consents += n.consents;
        sum->unread += n.unread;
    }
    return OK;
}

static enum err check_left(struct check *c)
{
    struct enrolment_counts n;
    TRY(count_all(c, &n));
    int64_t wrong = n.roles + n.orphans + n.consents;
    json_put_int(c->values, "count", n.left);
    json_put_int(c->values, "wrong", wrong);
    say(c, wrong == 0, wrong ? MSG("evidence.left-broken") : MSG("evidence.left"));
    return OK;
}

/* ---- what was accepted can be read again ---- */

static enum err check_terms(struct check *c)
{
    struct enrolment_counts n;
    TRY(count_all(c, &n));
    json_put_int(c->values, "count", n.enrolled + n.left);
    json_put_int(c->values, "lost", n.unread);
    say(c, n.unread == 0, n.unread ? MSG("evidence.terms-broken") : MSG("evidence.terms"));
    return OK;
}

const struct named_check service_checks[] = {
    {"check_service_forms", check_forms},
    {"check_service_left", check_left},
    {"check_service_terms", check_terms},
};
const size_t n_service_checks = COUNT(service_checks);
