/* troth staff: who works here. */
#include "cli/command.h"

#include <string.h>

#include "base/email.h"
#include "features/factors/factors.h"
#include "features/staff/staff.h"
#include "privacy/trail.h"

struct staffing {
    struct portal *p;
    str address;
    account_id account;
    unsigned roles;
    bool invited, worked; /* there was an invitation; they did */
};

static bool take_roles(struct call *c, unsigned *out)
{
    const char *name;
    *out = 0;
    while ((name = call_option(c, "--role")) != NULL) {
        int role = role_named(str_from(name));
        if (role < 0)
            return false;
        *out |= ROLE_BIT(role);
    }
    return *out != 0;
}

/* ---- add ---- */

static int add(struct call *c)
{
    unsigned roles;
    moment ends;
    bool named = take_roles(c, &roles);
    const char *language = call_option(c, "--language");
    struct email e;
    if (!named || c->argc != 3)
        return call_usage(c, "wants an address and roles: support, licensing, marketing, privacy, statistics, operations");
    if (email_parse(c->arena, str_from(c->argv[2]), &e) != OK)
        return call_usage(c, "that is no mail address");
    if (language && catalog_find_language(c->portal->privacy.catalog, str_from(language)) < 0)
        return call_usage(c, "there is no such language");
    enum err did = staff_invite(c->portal, e.shown, roles, language, c->arena, &ends, &c->fault);
    if (did == ERR_CONFLICT && c->fault.code == OK)
        return call_failed(c, "works here already: `troth staff role` changes the roles");
    if (did != OK)
        return call_failed(c, "staff");
    work_wake(c->portal->work);
    fprintf(c->out, "An invitation goes to %.*s. It works once, until %.*s.\n", STR_FMT(e.shown),
            STR_FMT(moment_format(c->arena, ends)));
    return EXIT_GOOD;
}

/* ---- list ---- */

static enum err print_member(struct call *c, struct tx *tx, const struct staff *s)
{
    const struct privacy *p = &c->portal->privacy;
    CLEANUP(key_wipe) struct key k;
    struct account x;
    bool factor;
    TRY(vault_subject_key(p->vault, s->account.id, &k, c->arena, &c->fault));
    TRY(account_get(tx, p, s->account, &k, &x));
    TRY(feature_second_factor(tx, c->portal, s->account.id, &factor));
    fprintf(c->out, "%.*s  %-32.*s  %.*s  since %.*s%s\n", STR_FMT(s->pseudonym), STR_FMT(x.email),
            STR_FMT(roles_text(c->arena, s->roles, ',')), STR_FMT(moment_format(c->arena, s->made)),
            factor ? "" : "  no second factor: the desk is shut");
    return OK;
}

static enum err print_all(struct call *c, size_t *count)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(c->portal->privacy.db, TX_READ, c->arena, &c->fault);
    struct staff *staff;
    struct staff_invitation *invited;
    size_t n, n_invited;
    TRY(staff_list(tx, false, &staff, &n));
    TRY(staff_invitations(tx, &c->portal->privacy, &invited, &n_invited));
    for (size_t i = 0; i < n; i++)
        TRY(print_member(c, tx, &staff[i]));
    for (size_t i = 0; i < n_invited; i++)
        fprintf(c->out, "invited %-32.*s  %.*s  until %.*s\n", STR_FMT(invited[i].address),
                STR_FMT(roles_text(c->arena, invited[i].roles, ',')), STR_FMT(moment_format(c->arena, invited[i].ends)));
    *count = n + n_invited;
    return OK;
}

static int list(struct call *c)
{
    size_t n;
    if (c->argc != 2)
        return call_usage(c, NULL);
    if (print_all(c, &n) != OK)
        return call_failed(c, "staff");
    if (n == 0)
        fprintf(c->out, "Nobody works here yet.\n");
    return EXIT_GOOD;
}

/* ---- role, remove ---- */

static enum err set_roles(struct tx *tx, void *arg)
{
    struct staffing *x = arg;
    TRY(account_find(tx, &x->p->privacy, x->address, &x->account));
    return staff_set_roles(tx, x->p, x->account, x->roles);
}

static int change(struct call *c)
{
    struct staffing x = {.p = c->portal};
    bool named = take_roles(c, &x.roles);
    struct email e;
    if (!named || c->argc != 3 || email_parse(c->arena, str_from(c->argv[2]), &e) != OK)
        return call_usage(c, "wants an address and roles: support, licensing, marketing, privacy, statistics, operations");
    x.address = e.shown;
    enum err did = db_transact(c->portal->privacy.db, c->arena, &c->fault, set_roles, &x);
    if (did == ERR_NOT_FOUND)
        fault_clear(&c->fault);
    if (did != OK)
        return call_failed(c, did == ERR_NOT_FOUND ? "nobody who works here has that address" : "staff");
    work_wake(c->portal->work);
    fprintf(c->out, "%.*s now has: %.*s\n", STR_FMT(e.shown), STR_FMT(roles_text(c->arena, x.roles, ',')));
    return EXIT_GOOD;
}

/* Somebody who works here, or an invitation that is open, or both. */
static enum err take_away(struct tx *tx, void *arg)
{
    struct staffing *x = arg;
    enum err e = staff_uninvite(tx, x->p, x->address);
    x->invited = e == OK;
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    e = account_find(tx, &x->p->privacy, x->address, &x->account);
    if (e == OK)
        e = staff_remove(tx, x->p, x->account);
    x->worked = e == OK;
    return e == ERR_NOT_FOUND && x->invited ? OK : e;
}

static int take_out(struct call *c)
{
    struct staffing x = {.p = c->portal};
    struct email e;
    if (c->argc != 3 || email_parse(c->arena, str_from(c->argv[2]), &e) != OK)
        return call_usage(c, "wants an address");
    x.address = e.shown;
    enum err did = db_transact(c->portal->privacy.db, c->arena, &c->fault, take_away, &x);
    if (did == ERR_NOT_FOUND)
        fault_clear(&c->fault);
    if (did != OK)
        return call_failed(c, did == ERR_NOT_FOUND ? "nobody who works here, or is invited, has that address" : "staff");
    work_wake(c->portal->work);
    if (x.worked)
        fprintf(c->out, "%.*s no longer works here, and is signed out everywhere.\n", STR_FMT(e.shown));
    if (x.invited)
        fprintf(c->out, "The invitation to %.*s opens nothing any more.\n", STR_FMT(e.shown));
    return EXIT_GOOD;
}

/* ---- reset: the second factor is lost ---- */

/* Whoever runs the portal has made sure that it is they. The desk stays shut until there is a new one. */
static enum err clear_factors(struct tx *tx, void *arg)
{
    struct staffing *x = arg;
    CLEANUP(key_wipe) struct key k;
    struct staff s;
    TRY(account_find(tx, &x->p->privacy, x->address, &x->account));
    TRY(staff_get(tx, &x->p->privacy, x->account, NULL, &s));
    TRY(vault_subject_key(x->p->privacy.vault, x->account.id, &k, tx_arena(tx), tx_fault(tx)));
    TRY(factors_clear(tx, x->account));
    TRY(session_end_others(tx, x->account.id, (id){{0}}));
    struct trail_event e = {.kind = STR("factors-cleared")};
    TRY(trail_add(tx, &x->p->privacy, x->account.id, &k, &e));
    return account_tell(tx, x->p, x->account, &k, "factors-reset", STR("/sign-in"), NULL);
}

static int reset(struct call *c)
{
    struct staffing x = {.p = c->portal};
    struct email e;
    if (c->argc != 3 || email_parse(c->arena, str_from(c->argv[2]), &e) != OK)
        return call_usage(c, "wants an address");
    x.address = e.shown;
    enum err did = db_transact(c->portal->privacy.db, c->arena, &c->fault, clear_factors, &x);
    if (did == ERR_NOT_FOUND)
        fault_clear(&c->fault);
    if (did != OK)
        return call_failed(c, did == ERR_NOT_FOUND ? "nobody who works here has that address" : "staff");
    work_wake(c->portal->work);
    fprintf(c->out, "%.*s has no second factor any more, and is signed out everywhere. The desk stays shut until there is a new one.\n",
            STR_FMT(e.shown));
    return EXIT_GOOD;
}

int command_staff(struct call *c)
{
    static const struct {
        const char *name;
        int (*run)(struct call *c);
    } deeds[] = {{"add", add}, {"list", list}, {"role", change}, {"remove", take_out}, {"reset", reset}};
    for (size_t i = 0; c->argc > 1 && i < COUNT(deeds); i++)
        if (strcmp(c->argv[1], deeds[i].name) == 0)
            return deeds[i].run(c);
    return call_usage(c, NULL);
}
