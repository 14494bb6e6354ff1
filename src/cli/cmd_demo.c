/*
 * A demo with realistic data: people who came over a year, with devices of their choosing, news and
 * no news, an objection, a restriction, accounts about to be forgotten, one just forgotten. And one
 * member of staff for each role.
 */
#include "cli/command.h"
#include "cli/demo_devices.h"
#include "cli/demo_services.h"

#include <string.h>

#include "base/secret.h"
#include "features/account/account.h"
#include "features/account/password.h"
#include "features/staff/staff.h"
#include "privacy/consent.h"
#include "privacy/reading.h"
#include "privacy/retention.h"
#include "privacy/rights.h"

#define DEMO_PASSWORD "correct horse battery staple"

struct person_seed {
    const char *address, *language, *zone, *country;
    int days; /* ago */
    bool news;
    enum { PLAIN, OBJECTS, RESTRICTS, CLOSED, ERASED } story;
};

static const struct person_seed people[] = {
    {"anna.lindqvist@example.com", "sv", "Europe/Stockholm", "SE", 311, true, PLAIN},
    {"james.okafor@example.com", "en", "Europe/London", "GB", 287, false, PLAIN},
    {"sofia.ek@example.com", "sv", "Europe/Stockholm", "SE", 264, false, OBJECTS},
    {"liam.murphy@example.com", "en", "Europe/Dublin", "IE", 251, true, PLAIN},
    {"elsa.bergstrom@example.com", "sv", "Europe/Stockholm", "SE", 240, true, PLAIN},
    {"priya.raman@example.com", "en", "Asia/Singapore", "SG", 233, false, PLAIN},
    {"oskar.nyman@example.com", "sv", "Europe/Helsinki", "FI", 219, false, RESTRICTS},
    {"chloe.dubois@example.com", "en", "Europe/Paris", "FR", 205, true, PLAIN},
    {"maja.holm@example.com", "sv", "Europe/Stockholm", "SE", 190, true, PLAIN},
    {"tom.becker@example.com", "en", "Europe/Berlin", "DE", 181, false, PLAIN},
    {"nils.akerman@example.com", "sv", "Europe/Stockholm", "SE", 170, false, CLOSED},
    {"hannah.stein@example.com", "en", "Europe/Zurich", "CH", 163, false, PLAIN},
    {"wilma.sjoberg@example.com", "sv", "Europe/Stockholm", "SE", 150, true, PLAIN},
    {"kenji.watanabe@example.com", "en", "Asia/Tokyo", "JP", 142, false, PLAIN},
    {"astrid.lund@example.com", "sv", "Europe/Copenhagen", "DK", 131, true, PLAIN},
    {"emma.wilson@example.com", "en", "America/Toronto", "CA", 122, false, CLOSED},
    {"gustav.norberg@example.com", "sv", "Europe/Stockholm", "SE", 110, false, PLAIN},
    {"marta.kowalska@example.com", "en", "Europe/Warsaw", "PL", 101, true, PLAIN},
    {"linnea.forsberg@example.com", "sv", "Europe/Stockholm", "SE", 88, false, PLAIN},
    {"daniel.garcia@example.com", "en", "Europe/Madrid", "ES", 79, true, PLAIN},
    {"ebba.sandstrom@example.com", "sv", "Europe/Stockholm", "SE", 66, true, PLAIN},
    {"noah.jensen@example.com", "en", "Europe/Oslo", "NO", 54, false, PLAIN},
    {"agnes.hedlund@example.com", "sv", "Europe/Stockholm", "SE", 41, false, PLAIN},
    {"olivia.brown@example.com", "en", "America/New_York", "US", 33, true, PLAIN},
    {"viktor.strand@example.com", "sv", "Europe/Stockholm", "SE", 21, false, ERASED},
    {"lucas.moreau@example.com", "en", "Europe/Brussels", "BE", 12, false, PLAIN},
    {"alva.dahl@example.com", "sv", "Europe/Stockholm", "SE", 5, true, PLAIN},
    {"grace.taylor@example.com", "en", "Europe/London", "GB", 1, false, PLAIN},
};

struct seeding {
    struct portal *p;
    const struct person_seed *who;
    account_id account;
};

static enum err give_history(struct tx *tx, void *arg)
{
    const struct seeding *s = arg;
    const struct privacy *p = &s->p->privacy;
    const struct person_seed *who = s->who;
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    struct session session;
    str token;
    id receipt;
    TRY(vault_subject_key(p->vault, s->account.id, &k, a, tx_fault(tx)));
    struct query *q = SQL(tx, "UPDATE account SET made = $2, country = $3 WHERE id = $1");
    bind_id(q, s->account.id);
    bind_time(q, clock_now(p->clock) - who->days * MOMENT_DAY);
    bind_text(q, str_from(who->country));
    TRY(query_run(q));
    if (who->news)
        TRY(consent_record(tx, p, s->account.id, inventory_purpose(p->inventory, STR("product-news")),
                           true, who->language, CONSENT_WAY_SIGN_UP));
    struct session_start start = {s->account.id, &k, STR("192.0.2.17"), STR("Firefox, Linux"), "password", false};
    if (who->days % 3 != 0)
        TRY(session_begin(tx, p, &start, &session, &token));
    if (who->story == OBJECTS)
        TRY(objection_make(tx, p, s->account.id, &k, STR("protect-accounts"),
                           STR("Jag vill inte att min IP-adress sparas."), (str){NULL, 0}));
    if (who->story == RESTRICTS)
        TRY(restriction_set(tx, p, s->account.id, &k, STR("accuracy"), STR("Landet stämmer inte.")));
    if (who->story == CLOSED || who->story == ERASED)
        TRY(account_close(tx, s->p, s->account, who->story == ERASED, "request", &receipt));
    return OK;
}

static enum err seed_person(struct call *c, const struct person_seed *who, str hash)
{
    struct seeding s = {.p = c->portal, .who = who};
    struct arena *a = arena_new(16 << 20);
    enum err e = account_make(c->portal, str_from(who->address), hash, who->language, who->zone, a,
                              &s.account, &c->fault);
    if (e == OK)
        e = db_transact(c->portal->privacy.db, a, &c->fault, give_history, &s);
    arena_free(&a);
    return e;
}

/* ---- who works here ---- */

static const struct staff_seed {
    const char *address, *name, *language;
    enum role role;
} staff[] = {
    {"nora.support@example.com", "Nora Sandberg", "sv", ROLE_SUPPORT},
    {"felix.licensing@example.com", "Felix Hart", "en", ROLE_LICENSING},
    {"ines.marketing@example.com", "Ines Costa", "en", ROLE_MARKETING},
    {"david.privacy@example.com", "David Ahlgren", "sv", ROLE_PRIVACY},
    {"mira.statistics@example.com", "Mira Singh", "en", ROLE_STATISTICS},
    {"olle.operations@example.com", "Olle Bergqvist", "sv", ROLE_OPERATIONS},
};

struct hiring {
    struct portal *p;
    const struct staff_seed *who;
    account_id account, customer;
};

/* One of them has looked at somebody, so that both find it recorded. */
static enum err look(struct tx *tx, const struct hiring *h)
{
    const struct privacy *p = &h->p->privacy;
    CLEANUP(key_wipe) struct key k;
    struct staff me;
    TRY(staff_get(tx, p, h->account, NULL, &me));
    TRY(vault_subject_key(p->vault, h->customer.id, &k, tx_arena(tx), tx_fault(tx)));
    struct reading r = {.reader = h->account.id,
                        .pseudonym = me.pseudonym,
                        .roles = me.roles,
                        .records = reading_records(p, tx_arena(tx), STR("account"), me.roles, false),
                        .reason = STR("Ärende 1042: kommer inte in på sitt konto.")};
    return reading_add(tx, p, h->customer.id, &k, &r);
}

static enum err hire(struct tx *tx, void *arg)
{
    const struct hiring *h = arg;
    moment now = clock_now(h->p->privacy.clock);
    TRY(staff_join(tx, h->p, h->account, str_from(h->who->name), ROLE_BIT(h->who->role), now));
    return h->who->role == ROLE_SUPPORT ? look(tx, h) : OK;
}

static enum err find_account(struct call *c, const char *address, account_id *out)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(c->portal->privacy.db, TX_READ, c->arena, &c->fault);
    return account_find(tx, &c->portal->privacy, str_from(address), out);
}

static enum err seed_staff(struct call *c, const struct staff_seed *who, str hash)
{
    struct hiring h = {.p = c->portal, .who = who};
    struct arena *a = arena_new(16 << 20);
    enum err e = account_make(c->portal, str_from(who->address), hash, who->language, "Europe/Stockholm", a, &h.account, &c->fault);
    if (e == OK)
        e = find_account(c, people[0].address, &h.customer);
    if (e == OK)
        e = db_transact(c->portal->privacy.db, a, &c->fault, hire, &h);
    arena_free(&a);
    return e;
}

/* How to sign in as each of them: the second step is the factors' to give. */
static enum err print_staff(struct call *c)
{
    fprintf(c->out, "and, for the desk, as\n");
    for (size_t i = 0; i < COUNT(staff); i++) {
        account_id who;
        str how;
        TRY(find_account(c, staff[i].address, &who));
        TRY(feature_demo_factor(c->portal, who.id, c->arena, &how, &c->fault));
        fprintf(c->out, "  %-28s (%s)%s%.*s\n", staff[i].address, role_name(staff[i].role), how.n ? "  second step: " : "", STR_FMT(how));
    }
    return OK;
}

static enum err has_people(struct call *c, bool *yes)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(c->portal->privacy.db, TX_READ, c->arena, &c->fault);
    struct query *q = SQL(tx, "SELECT 1 FROM account LIMIT 1");
    *yes = query_row(q);
    return query_end(q);
}

static enum err fill(struct call *c)
{
    str hash;
    int ran, broken;
    struct sweep_report r;
    struct secret password = {STR(DEMO_PASSWORD)};
    TRY(password_hash(c->portal->passwords, password, c->arena, &hash, &c->fault));
    for (size_t i = 0; i < COUNT(people); i++)
        TRY(seed_person(c, &people[i], hash));
    for (size_t i = 0; i < COUNT(staff); i++)
        TRY(seed_staff(c, &staff[i], hash));
    TRY(demo_join_services(c->portal, &c->fault));
    TRY(demo_connect_devices(c->portal, &c->fault));
    TRY(work_run_due(c->portal->work, (id){{0}}, &ran, &c->fault));
    TRY(retention_sweep(&c->portal->privacy, false, true, c->arena, &r, &c->fault));
    return verify_run(&c->portal->privacy, &c->portal->facts, &broken, &c->fault);
}

int command_demo(struct call *c)
{
    bool there;
    if (c->argc > 1)
        return call_usage(c, "takes no arguments");
    if (has_people(c, &there) != OK)
        return call_failed(c, "demo");
    if (there) {
        fprintf(c->out, "There are people already; the demo leaves them alone.\n");
        return EXIT_GOOD;
    }
    if (fill(c) != OK)
        return call_failed(c, "demo");
    fprintf(c->out,
            "The demo is ready. Sign in as\n"
            "  anna.lindqvist@example.com   (Swedish)\n"
            "  james.okafor@example.com     (English)\n");
    if (print_staff(c) != OK)
        return call_failed(c, "demo");
    fprintf(c->out, "with the password: " DEMO_PASSWORD "\n");
    return EXIT_GOOD;
}
