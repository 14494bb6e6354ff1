/*
 * apps: connects an app to each account of the portal's store, for script/bench. Not installed.
 *
 *     apps STATEMENT N FILE     the accounts join My Account, accept that version of troth-agent's statement, and
 *                               have one device each, which has reported. N of them, spread evenly, have a license,
 *                               and FILE gets a line for each: the token, and the IDs of account, binding, device
 *                               and application
 *
 * The configuration comes from TROTH_… as for the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/portal.h"
#include "features/devices/devices.h"
#include "features/licenses/licenses.h"
#include "privacy/consent.h"
#include "privacy/enrolment.h"

enum { BATCH = 500, BATCH_ARENA = 64 << 20 };

struct connecting {
    struct portal *portal;
    const struct privacy *p;
    str statement;
    id after; /* the last account of the batch before */
    size_t n, done, every;
    FILE *out;
};

static enum err license_one(struct tx *tx, struct connecting *c, id who, const struct key *k, const struct binding *b)
{
    const char *why;
    license_id license;
    const struct product *product = product_named(c->portal, STR("linux-agent"));
    if (product == NULL)
        return FAIL(tx_fault(tx), ERR_INPUT, "the catalogue has no linux-agent");
    TRY(license_grant(tx, c->portal, (account_id){who}, k, product, "purchase", &license));
    return license_bind(tx, c->portal, (account_id){who}, license, b->device.id, STR("troth-agent"), &why);
}

static enum err connect_one(struct tx *tx, struct connecting *c, id who)
{
    CLEANUP(key_wipe) struct key k;
    struct binding b;
    str token;
    bool changed;
    struct binding_start s = {
        .account = {who},
        .device = {STR("bench-laptop"), STR("laptop"), STR("Debian GNU/Linux"), STR("12")},
        .app = {STR("troth-agent"), STR("1.0.0"), STR("en")},
        .statement = c->statement,
    };
    struct license_facts l = {STR("none"), STR("none"), STR("{\"n\":0}"), STR(""), 0, STR("[]")};
    unsigned char digest[16] = {1};
    TRY(vault_subject_key(c->p->vault, who, &k, tx_arena(tx), tx_fault(tx)));
    TRY(enrolment_join(tx, c->p, who, inventory_account(c->p->inventory, STR("my-account")), NULL, "en"));
    TRY(consent_record(tx, c->p, who, inventory_purpose(c->p->inventory, STR(PURPOSE_REPORTS)), true, "en", "app-statement"));
    TRY(device_bind(tx, c->p, &k, &s, &b, &token));
    TRY(device_report(tx, c->p, &k, &b, &s.device, &s.app, &l, digest, &changed));
    if (c->done++ % c->every != 0)
        return OK;
    fprintf(c->out, "%.*s %s %s %s %s\n", STR_FMT(token), who.text, b.id.id.text, b.device.id.text, b.application.text);
    return license_one(tx, c, who, &k, &b);
}

static enum err connect_batch(struct tx *tx, void *arg)
{
    struct connecting *c = arg;
    id *list = ARENA_ARRAY(tx_arena(tx), id, BATCH);
    struct query *q = SQL(tx, "SELECT id FROM account WHERE id > $1 ORDER BY id LIMIT $2");
    bind_text(q, id_str(&c->after));
    bind_int(q, BATCH);
    for (c->n = 0; query_row(q); c->n++)
        list[c->n] = row_id(q, 0);
    TRY(query_end(q));
    for (size_t i = 0; i < c->n; i++)
        TRY(connect_one(tx, c, list[i]));
    if (c->n)
        c->after = list[c->n - 1];
    return OK;
}

static enum err count_accounts(struct portal *p, struct arena *a, struct fault *f, size_t *n)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT count(*) FROM account");
    *n = query_row(q) ? (size_t)row_int(q, 0) : 0;
    return query_end(q);
}

static enum err connect_all(struct portal *p, char **argv, struct arena *a, struct fault *f)
{
    size_t accounts, wanted = (size_t)atol(argv[2]);
    struct connecting c = {.portal = p, .p = &p->privacy, .statement = str_from(argv[1]), .out = fopen(argv[3], "w")};
    if (c.out == NULL || wanted == 0)
        return FAIL(f, ERR_IO, "cannot write %s", argv[3]);
    TRY(count_accounts(p, a, f, &accounts));
    c.every = accounts > wanted ? accounts / wanted : 1;
    do {
        struct arena *own = arena_new(BATCH_ARENA);
        enum err e = db_transact(p->privacy.db, own, f, connect_batch, &c);
        arena_free(&own);
        TRY(e);
    } while (c.n == BATCH);
    fclose(c.out);
    TRY(db_checkpoint(p->privacy.db, f));
    return db_checkpoint(vault_keyring(p->privacy.vault), f);
}

int main(int argc, char **argv)
{
    struct arena *a = arena_new((size_t)1 << 28);
    struct clock clock = {0};
    struct log log = {STDERR_FILENO, LOG_WARNING, &clock};
    struct settings settings;
    struct portal *p = NULL;
    struct fault f = {0};
    int lock = -1, changes;
    umask(0077);
    enum err e = argc == 4 ? config_read(NULL, environ, a, &settings, &f) : FAIL(&f, ERR_INPUT, "usage: apps STATEMENT N FILE");
    if (e == OK && portal_on_sqlite(&settings))
        e = portal_lock(&settings, &lock, &f);
    if (e == OK)
        e = portal_open(&p, &settings, &clock, &log, PORTAL_MIGRATED, &changes, &f);
    if (e == OK)
        e = connect_all(p, argv, a, &f);
    if (e != OK)
        fprintf(stderr, "apps: %s: %s\n", err_name(e), f.text);
    portal_close(&p);
    arena_free(&a);
    return e == OK ? 0 : 1;
}
