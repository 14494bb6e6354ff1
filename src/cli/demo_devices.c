/* The demo's devices: as households and a small office have them, with what apps on them told. */
#include "cli/demo_devices.h"

#include "features/account/account.h"
#include "features/devices/devices.h"
#include "privacy/consent.h"

struct device_seed {
    const char *address, *name, *network_name, *type, *os, *version;
    const char *license, *status, *information;
    int license_days; /* left */
    int days;         /* since it was connected */
    int silent;       /* minutes since it was heard of */
    bool office;
};

#define FINE "{\"protection\":\"on\",\"databases\":\"current\"}"

static const struct device_seed seeds[] = {
    {"anna.lindqvist@example.com", "Köket", "kitchen-pc", "desktop", "Windows", "11", "commercial", "active", FINE, 212, 300, 3, false},
    {"anna.lindqvist@example.com", NULL, "annas-laptop", "laptop", "macOS", "14.6", "commercial", "active",
     "{\"protection\":\"on\",\"databases\":\"outdated\"}", 212, 180, 11, false},
    {"anna.lindqvist@example.com", "Ellens mobil", "Pixel-8", "phone", "Android", "15", "commercial", "active", FINE, 212, 40, 1700, false},
    {"james.okafor@example.com", "Studio", "STUDIO-7", "desktop", "Windows", "11", "trial", "active",
     "{\"protection\":\"off\",\"databases\":\"current\"}", 9, 21, 6, false},
    {"james.okafor@example.com", NULL, "okafor-nas", "server", "Debian", "12", "commercial", "active", FINE, 301, 210, 2, true},
    {"james.okafor@example.com", "Front desk", "OKAFOR-FD", "desktop", "Windows", "10", "commercial", "expired", FINE, -4, 205, 25, true},
    {"elsa.bergstrom@example.com", NULL, "elsa-x1", "laptop", "Ubuntu", "24.04", "free", "active", FINE, 0, 77, 4, false},
};

struct seeding {
    struct portal *p;
    const struct device_seed *s;
};

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
    moment now = clock_now(p->clock);
    TRY(account_find(tx, p, str_from(s->address), &which));
    TRY(account_get(tx, p, which, NULL, &account));
    TRY(vault_subject_key(p->vault, which.id, &k, tx_arena(tx), tx_fault(tx)));
    struct clock then = *p->clock, lately = *p->clock;
    struct privacy past = *p, present = *p;
    then.offset -= s->days * MOMENT_DAY;
    lately.offset -= s->silent * MOMENT_MINUTE;
    past.clock = &then;
    present.clock = &lately;
    struct binding_start start = {
        .account = which,
        .device = {str_from(s->network_name), str_from(s->type), str_from(s->os), str_from(s->version)},
        .app = {STR("troth-agent"), STR("1.0.0"), account.language},
        .statement = STR("1.demo"),
        .for_all = s->office,
        .office = s->office,
    };
    struct license_facts l = {str_from(s->license), str_from(s->status), str_from(s->information), STR(""),
                              s->license_days ? now + s->license_days * MOMENT_DAY : 0, STR("[]")};
    unsigned char digest[16] = {1};
    TRY(consent_record(tx, &past, which.id, inventory_purpose(p->inventory, STR(PURPOSE_REPORTS)), true,
                       str_cstr(tx_arena(tx), account.language), "app-statement"));
    TRY(device_bind(tx, &past, &k, &start, &b, &token));
    TRY(device_report(tx, &present, &k, &b, &start.device, &start.app, &l, digest, &changed));
    return s->name ? device_rename(tx, which, b.device, &k, str_from(s->name)) : OK;
}

enum err demo_connect_devices(struct portal *p, struct fault *f)
{
    for (size_t i = 0; i < COUNT(seeds); i++) {
        struct seeding x = {p, &seeds[i]};
        struct arena *a = arena_new(8 << 20);
        enum err e = db_transact(p->privacy.db, a, f, add_one, &x);
        arena_free(&a);
        TRY(e);
    }
    return OK;
}
