/* The demo's people in its services: who joined what, with what answers, and who left again. */
#include "cli/command.h"
#include "cli/demo_services.h"

#include "features/account/account.h"
#include "privacy/consent.h"
#include "privacy/enrolment.h"

enum { MAX_ANSWERS = 6 };

struct joining_seed {
    const char *address, *service;
    int days;      /* since joining */
    int left_days; /* since leaving; 0: still there */
    const char *answers[MAX_ANSWERS]; /* in the form's order */
    const char *consent;              /* a purpose; or NULL */
};

static const struct joining_seed joinings[] = {
    {"anna.lindqvist@example.com", "my-account", 310, 0, {NULL}, NULL},
    {"anna.lindqvist@example.com", "business-hub", 120, 0, {"SE"}, "business-hub-news"},
    {"anna.lindqvist@example.com", "endpoint-cloud", 119, 0, {NULL}, NULL},
    {"anna.lindqvist@example.com", "report-parser", 40, 0, {NULL}, NULL},
    {"james.okafor@example.com", "my-account", 286, 0, {NULL}, NULL},
    {"james.okafor@example.com", "company-account", 200, 0,
     {"James", "Okafor", "Okafor & Daughters Ltd", "GB", "EX-4471-2093-8812", "en"}, NULL},
    {"james.okafor@example.com", "partner-portal", 90, 0, {NULL}, NULL},
    {"liam.murphy@example.com", "business-hub", 230, 0, {""}, "business-hub-reviews"},
    {"liam.murphy@example.com", "mail-protection", 229, 0, {"Murphy Dairy Co-op"}, "mail-protection-news"},
    {"elsa.bergstrom@example.com", "my-account", 239, 0, {NULL}, NULL},
    {"priya.raman@example.com", "cloud-console", 221, 0, {NULL}, NULL},
    {"chloe.dubois@example.com", "mail-protection", 188, 0, {"Atelier Dubois"}, NULL},
    {"maja.holm@example.com", "company-account", 185, 0,
     {"Maja", "Holm", "Holms Bageri AB", "SE", "EX-1180-7720-0043", ""}, NULL},
    {"tom.becker@example.com", "company-account", 170, 0,
     {"Tom", "Becker", "Becker Maschinenbau GmbH", "DE", "EX-9027-5513-6401", "en"}, NULL},
    {"hannah.stein@example.com", "partner-portal", 150, 0, {NULL}, NULL},
    {"kenji.watanabe@example.com", "cloud-console", 140, 9, {NULL}, NULL},
    {"astrid.lund@example.com", "business-hub", 128, 3, {"DK"}, NULL},
    {"gustav.norberg@example.com", "my-account", 108, 0, {NULL}, NULL},
    {"daniel.garcia@example.com", "report-parser", 60, 0, {NULL}, NULL},
    {"ebba.sandstrom@example.com", "my-account", 65, 12, {NULL}, NULL},
    {"olivia.brown@example.com", "my-account", 33, 0, {NULL}, NULL},
};

struct seeding {
    struct portal *p;
    const struct joining_seed *j;
};

static enum err join_one(struct tx *tx, void *arg)
{
    const struct seeding *x = arg;
    const struct privacy *p = &x->p->privacy;
    const struct service_account *s = inventory_account(p->inventory, str_from(x->j->service));
    CLEANUP(key_wipe) struct key k;
    struct account account;
    account_id which;
    str answers[MAX_ANSWERS];
    TRY(account_find(tx, p, str_from(x->j->address), &which));
    TRY(account_get(tx, p, which, NULL, &account));
    TRY(vault_subject_key(p->vault, which.id, &k, tx_arena(tx), tx_fault(tx)));
    for (size_t i = 0; i < MAX_ANSWERS; i++)
        answers[i] = str_from(x->j->answers[i] ? x->j->answers[i] : "");
    const char *language = str_cstr(tx_arena(tx), account.language);
    /* As it was done then: everything takes the time from the clock that it is handed. */
    struct clock then = *p->clock, later = *p->clock;
    struct privacy past = *p, lately = *p;
    then.offset -= x->j->days * MOMENT_DAY;
    later.offset -= x->j->left_days * MOMENT_DAY;
    past.clock = &then;
    lately.clock = &later;
    TRY(enrolment_join(tx, &past, which.id, s, answers, language));
    if (x->j->consent)
        TRY(consent_record(tx, &past, which.id, inventory_purpose(p->inventory, str_from(x->j->consent)), true, language,
                           "join-form"));
    return x->j->left_days ? enrolment_leave(tx, &lately, which.id, s, language) : OK;
}

enum err demo_join_services(struct portal *p, struct fault *f)
{
    for (size_t i = 0; i < COUNT(joinings); i++) {
        struct seeding x = {p, &joinings[i]};
        struct arena *a = arena_new(16 << 20);
        enum err e = db_transact(p->privacy.db, a, f, join_one, &x);
        arena_free(&a);
        TRY(e);
    }
    return OK;
}
