/* What the services promise, against the facts. */
#include "features/services/services.h"

static enum err number(struct check *c, struct query *q, int64_t *out)
{
    (void)c;
    *out = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

static enum err add_number(struct check *c, struct query *q, int64_t *sum)
{
    int64_t n;
    TRY(number(c, q, &n));
    *sum += n;
    return OK;
}

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

/* Rows of the service that no enrolment holds. */
static enum err count_orphans(struct check *c, const struct service_account *s, int64_t *sum)
{
    const struct inventory *v = c->p->inventory;
    const struct record *own = s->record;
    for (size_t i = 0; i < v->n_records; i++) {
        const struct record *r = &v->records[i];
        if (r == own || record_is_subject(r) || !str_eq(r->service, s->service) || !str_eq(r->subject, own->subject))
            continue;
        TRY(add_number(c, tx_query(c->tx, str_fmt(c->arena, "SELECT count(*) FROM %.*s r LEFT JOIN %.*s e ON e.%.*s = r.%.*s "
                                                            "WHERE e.%.*s IS NULL",
                                                  STR_FMT(r->name), STR_FMT(own->name), STR_FMT(own->subject),
                                                  STR_FMT(own->subject), STR_FMT(own->subject))),
                       sum));
    }
    return OK;
}

/* Consents that still stand though nobody is enrolled. */
static enum err count_standing(struct check *c, const struct service *s, int64_t *sum)
{
    const struct record *r = s->account->record;
    for (size_t i = 0; i < s->n_consents; i++) {
        struct query *q = tx_query(
            c->tx, str_fmt(c->arena, "SELECT count(*) FROM consent c "
                                     "LEFT JOIN consent later ON later.subject = c.subject AND later.purpose = c.purpose AND later.seq > c.seq "
                                     "LEFT JOIN %.*s e ON e.%.*s = c.subject AND e.left_at IS NULL "
                                     "WHERE c.purpose = $1 AND c.granted = 1 AND later.subject IS NULL AND e.%.*s IS NULL",
                           STR_FMT(r->name), STR_FMT(r->subject), STR_FMT(r->subject)));
        bind_text(q, s->consents[i]->name);
        TRY(add_number(c, q, sum));
    }
    return OK;
}

static enum err check_left(struct check *c)
{
    const struct services *all = ((const struct portal *)c->app)->services;
    int64_t left = 0, wrong = 0;
    for (size_t i = 0; i < all->n; i++) {
        const struct record *r = all->list[i].account->record;
        TRY(add_number(c, tx_query(c->tx, str_fmt(c->arena, "SELECT count(*) FROM %.*s WHERE left_at IS NOT NULL", STR_FMT(r->name))), &left));
        if (record_field(r, STR("role")) != NULL)
            TRY(add_number(c, tx_query(c->tx, str_fmt(c->arena, "SELECT count(*) FROM %.*s WHERE left_at IS NOT NULL AND role IS NOT NULL", STR_FMT(r->name))), &wrong));
        TRY(count_orphans(c, all->list[i].account, &wrong));
        TRY(count_standing(c, &all->list[i], &wrong));
    }
    json_put_int(c->values, "count", left);
    json_put_int(c->values, "wrong", wrong);
    say(c, wrong == 0, wrong ? MSG("evidence.left-broken") : MSG("evidence.left"));
    return OK;
}

/* ---- what was accepted can be read again ---- */

static enum err check_terms(struct check *c)
{
    const struct inventory *v = c->p->inventory;
    int64_t accepted = 0, lost = 0;
    for (size_t i = 0; i < v->n_accounts; i++) {
        const struct service_account *s = &v->accounts[i];
        if (s->terms == 0)
            continue;
        TRY(add_number(c, tx_query(c->tx, str_fmt(c->arena, "SELECT count(*) FROM %.*s", STR_FMT(s->record->name))), &accepted));
        struct query *q = tx_query(
            c->tx, str_fmt(c->arena, "SELECT count(*) FROM %.*s r LEFT JOIN terms_text t ON t.service = $1 AND "
                                     "t.version = r.terms_version AND t.language = r.terms_language WHERE t.service IS NULL",
                           STR_FMT(s->record->name)));
        bind_text(q, s->service);
        TRY(add_number(c, q, &lost));
    }
    json_put_int(c->values, "count", accepted);
    json_put_int(c->values, "lost", lost);
    say(c, lost == 0, lost ? MSG("evidence.terms-broken") : MSG("evidence.terms"));
    return OK;
}

const struct named_check service_checks[] = {
    {"check_service_forms", check_forms},
    {"check_service_left", check_left},
    {"check_service_terms", check_terms},
};
const size_t n_service_checks = COUNT(service_checks);
