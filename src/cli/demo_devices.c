/* The demo's devices: as households and a small office have them, with what apps on them told. */
#include "cli/demo_devices.h"

#include <string.h>

#include "features/account/account.h"
#include "features/devices/devices.h"
#include "features/licenses/licenses.h"
#include "privacy/consent.h"

struct device_seed {
    const char *address, *name, *network_name, *type, *os, *version;
    const char *app, *product; /* of the catalogue; NULL: no license */
    const char *origin;        /* how it was got */
    const char *status, *information, *features;
    int days;   /* since it was connected */
    int silent; /* minutes since it was heard of */
    bool office;
};

#define FINE  "{\"protection\":\"on\",\"databases\":\"current\"}"
#define OLD   "{\"protection\":\"on\",\"databases\":\"outdated\"}"
#define OFF   "{\"protection\":\"off\",\"databases\":\"current\"}"
#define THEFT "[\"virus-protection\",\"anti-theft\"]"
#define PLAIN "[\"virus-protection\"]"

/* Of one product, one person has one license for all. */
static const struct device_seed seeds[] = {
    {"anna.lindqvist@example.com", "Köket", "kitchen-pc", "desktop", "Windows", "11", "total-security", "total-security", "purchase",
     "active", FINE, THEFT, 300, 3, false},
    {"anna.lindqvist@example.com", NULL, "annas-laptop", "laptop", "macOS", "14.6", "total-security", "total-security", "purchase",
     "active", OLD, THEFT, 180, 11, false},
    {"anna.lindqvist@example.com", "Ellens mobil", "Pixel-8", "phone", "Android", "15", "mobile-security", "mobile-security", "store",
     "active", FINE, THEFT, 40, 1700, false},
    {"james.okafor@example.com", "Studio", "STUDIO-7", "desktop", "Windows", "11", "total-security", "total-security-trial", "trial",
     "active", OFF, PLAIN, 21, 6, false},
    {"james.okafor@example.com", NULL, "okafor-nas", "server", "Debian", "12", "small-office-security", "small-office", "purchase",
     "active", FINE, PLAIN, 64, 2, true},
    {"james.okafor@example.com", "Front desk", "OKAFOR-FD", "desktop", "Windows", "10", "small-office-security", "small-office",
     "purchase", "active", OLD, PLAIN, 61, 25, true},
    {"elsa.bergstrom@example.com", NULL, "elsa-x1", "laptop", "Ubuntu", "24.04", "troth-agent", NULL, NULL, "none", FINE, PLAIN, 77,
     4, false},
};

struct seeding {
    struct portal *p;
    const struct device_seed *s;
    license_id *licenses; /* one for each seed */
};

/* The license that an earlier device of theirs has, or a new one; with a place on this device. */
static enum err license_it(struct tx *tx, struct portal *past, const struct seeding *x, account_id which, const struct key *k,
                           const struct binding *b, moment *expires)
{
    const struct device_seed *s = x->s;
    size_t at = (size_t)(s - seeds);
    const char *why;
    struct license l;
    x->licenses[at] = (license_id){{{0}}};
    for (size_t i = 0; i < at; i++)
        if (strcmp(seeds[i].address, s->address) == 0 && seeds[i].product && strcmp(seeds[i].product, s->product) == 0)
            x->licenses[at] = x->licenses[i];
    if (id_is_none(x->licenses[at].id))
        TRY(license_grant(tx, past, which, k, product_named(past, str_from(s->product)), s->origin, &x->licenses[at]));
    TRY(license_bind(tx, past, which, x->licenses[at], b->device.id, str_from(s->app), &why));
    TRY(license_get(tx, past, which, x->licenses[at], k, &l));
    *expires = l.expires;
    return OK;
}

static enum err add_one(struct tx *tx, void *arg)
{
    const struct seeding *x = arg;
    const struct device_seed *s = x->s;
    const struct privacy *p = &x->p->privacy;
    CLEANUP(key_wipe) struct key k;
    struct account account;
    struct binding b;
    account_id which;
    str token;
    bool changed;
    moment expires = 0;
    TRY(account_find(tx, p, str_from(s->address), &which));
    TRY(account_get(tx, p, which, NULL, &account));
    TRY(vault_subject_key(p->vault, which.id, &k, tx_arena(tx), tx_fault(tx)));
    struct clock then = *p->clock, lately = *p->clock;
    struct privacy past = *p, present = *p;
    then.offset -= s->days * MOMENT_DAY;
    lately.offset -= s->silent * MOMENT_MINUTE;
    past.clock = &then;
    struct portal past_portal = *x->p;
    past_portal.privacy.clock = &then;
    present.clock = &lately;
    struct binding_start start = {
        .account = which,
        .device = {str_from(s->network_name), str_from(s->type), str_from(s->os), str_from(s->version)},
        .app = {str_from(s->app), STR("1.0.0"), account.language},
        .statement = STR("1.demo"),
        .for_all = s->office,
        .office = s->office,
    };
    unsigned char digest[16] = {1};
    TRY(consent_record(tx, &past, which.id, inventory_purpose(p->inventory, STR(PURPOSE_REPORTS)), true,
                       str_cstr(tx_arena(tx), account.language), "app-statement"));
    TRY(device_bind(tx, &past, &k, &start, &b, &token));
    if (s->product)
        TRY(license_it(tx, &past_portal, x, which, &k, &b, &expires));
    const char *type = s->product == NULL ? "none" : strcmp(s->origin, "trial") == 0 ? "trial" : "commercial";
    struct license_facts l = {str_from(type), str_from(s->status), str_from(s->information), STR(""), expires, str_from(s->features)};
    TRY(device_report(tx, &present, &k, &b, &start.device, &start.app, &l, digest, &changed));
    return s->name ? device_rename(tx, which, b.device, &k, str_from(s->name)) : OK;
}

enum err demo_connect_devices(struct portal *p, struct fault *f)
{
    license_id licenses[COUNT(seeds)];
    for (size_t i = 0; i < COUNT(seeds); i++) {
        struct seeding x = {p, &seeds[i], licenses};
        struct arena *a = arena_new(8 << 20);
        enum err e = db_transact(p->privacy.db, a, f, add_one, &x);
        arena_free(&a);
        TRY(e);
    }
    return OK;
}
