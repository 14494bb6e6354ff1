/* Adding a code (MYA-42, MYA-50). */
#include "features/licenses/model.h"

#include <string.h>

#include <sodium.h>

#include "privacy/enrolment.h"
#include "web/quota.h"

/* Wrong codes or right ones: ten at a time, and one more every six minutes. */
static const struct quota tries = {"activation-code", 10, 6 * MOMENT_MINUTE};

/* ---- finding a code ---- */

void code_hasher_wipe(struct code_hasher *h)
{
    sodium_memzero(h, sizeof *h);
}

/* One key for a whole lot: derived from the installation's secret, which never changes its generation, for
 * a code that nobody owns can be hashed anew by nobody. 95 random bits cannot be guessed. */
enum err code_hasher_get(const struct privacy *p, struct arena *a, struct code_hasher *out, struct fault *f)
{
    struct vault_hashes h;
    _Static_assert((int)HASH_BYTES == (int)VAULT_HASH_BYTES, "a key is a hash");
    TRY(vault_hash(p->vault, "activation-code", STR("codes"), &h, a, f));
    memcpy(out->key, h.bytes[h.n - 1], sizeof out->key);
    sodium_memzero(&h, sizeof h);
    return OK;
}

str code_hash(const struct code_hasher *h, struct arena *a, const char code[LICENSE_CODE_LENGTH])
{
    unsigned char *out = arena_alloc(a, HASH_BYTES);
    crypto_generichash(out, HASH_BYTES, (const unsigned char *)code, LICENSE_CODE_LENGTH, h->key, sizeof h->key);
    return str_of(out, HASH_BYTES);
}

static enum err find_owner(struct tx *tx, struct code_state *out)
{
    struct query *q = SQL(tx, "SELECT account, license FROM code_owner WHERE hash = $1");
    bind_blob(q, out->hash);
    out->owned = query_row(q);
    if (out->owned) {
        out->owner.id = row_id(q, 0);
        out->license.id = row_id(q, 1);
    }
    return query_end(q);
}

static enum err find_conflicts(struct tx *tx, struct code_state *out)
{
    struct query *q = SQL(tx, "SELECT count(*), coalesce(max(made), 0) FROM code_conflict WHERE hash = $1");
    bind_blob(q, out->hash);
    if (query_row(q)) {
        out->conflicts = row_int(q, 0);
        out->conflict = row_int(q, 1);
    }
    return query_end(q);
}

static enum err find_code(struct tx *tx, const struct privacy *p, const char code[LICENSE_CODE_LENGTH],
                          struct code_state *out, struct lot *lot)
{
    CLEANUP(code_hasher_wipe) struct code_hasher h;
    TRY(code_hasher_get(p, tx_arena(tx), &h, tx_fault(tx)));
    *out = (struct code_state){.hash = code_hash(&h, tx_arena(tx), code)};
    struct query *q = SQL(tx, "SELECT lot, activated, expires, revoked FROM activation_code WHERE hash = $1");
    bind_blob(q, out->hash);
    out->there = query_row(q);
    if (out->there) {
        out->lot = row_text(q, 0);
        out->activated = row_time(q, 1);
        out->expires = row_time(q, 2);
        out->revoked = row_time(q, 3);
    }
    TRY(query_end(q));
    if (!out->there)
        return OK;
    TRY(lot_get(tx, out->lot, lot));
    out->product = lot->product;
    if (out->revoked == 0)
        out->revoked = lot->revoked;
    return find_owner(tx, out);
}

enum err code_find(struct tx *tx, const struct privacy *p, const char code[LICENSE_CODE_LENGTH],
                   struct code_state *out)
{
    struct lot lot;
    TRY(find_code(tx, p, code, out, &lot));
    return out->there ? find_conflicts(tx, out) : OK;
}

/* ---- adding it ---- */

struct redeeming {
    struct portal *p;
    account_id account;
    const struct key *key;
    char code[LICENSE_CODE_LENGTH];
    license_id license;
    const char *why;
    str hash; /* of one that is in another account */
};

static enum err refuse(struct redeeming *r, enum err e, const char *why)
{
    r->why = why;
    return e;
}

/* The first of two accounts has it: the primary key decides, also where both ask at once. */
static enum err take_code(struct tx *tx, const struct redeeming *r, const struct code_state *c, bool *taken)
{
    struct query *q = SQL(tx, "INSERT INTO code_owner (account, hash, license, lot, made, ended) "
                              "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (hash) DO NOTHING");
    bind_id(q, r->account.id);
    bind_blob(q, c->hash);
    bind_id(q, r->license.id);
    bind_text(q, c->lot);
    bind_time(q, clock_now(r->p->privacy.clock));
    if (c->expires)
        bind_time(q, c->expires);
    else
        bind_null(q);
    TRY(query_run(q));
    *taken = query_changes(q) == 1;
    return OK;
}

static enum err is_mine(struct tx *tx, struct redeeming *r, struct code_state *c)
{
    TRY(find_owner(tx, c));
    if (!id_eq(c->owner.id, r->account.id)) {
        r->hash = c->hash;
        return refuse(r, ERR_CONFLICT, CODE_ERROR_TAKEN);
    }
    r->license = c->license;
    return refuse(r, ERR_CONFLICT, CODE_ERROR_MINE);
}

static enum err redeem(struct tx *tx, void *arg)
{
    struct redeeming *r = arg;
    r->why = NULL; /* it may run again */
    r->hash = (str){NULL, 0};
    struct code_state c;
    struct lot lot;
    bool enrolled, taken;
    TRY(enrolment_active(tx, &r->p->privacy, r->account.id, STR(LICENSE_SERVICE), &enrolled));
    if (!enrolled)
        return refuse(r, ERR_DENIED, LICENSE_ERROR_JOIN);
    TRY(find_code(tx, &r->p->privacy, r->code, &c, &lot));
    if (!c.there)
        return refuse(r, ERR_NOT_FOUND, CODE_ERROR_UNKNOWN);
    if (c.owned)
        return is_mine(tx, r, &c);
    if (c.revoked)
        return refuse(r, ERR_DENIED, CODE_ERROR_REVOKED);
    if (c.expires && clock_now(r->p->privacy.clock) >= c.expires)
        return refuse(r, ERR_DENIED, LICENSE_ERROR_OVER);
    TRY(take_code(tx, r, &c, &taken));
    if (!taken)
        return is_mine(tx, r, &c);
    struct license_new x = {.product = lot.product,
                            .application = lot.application,
                            .origin = ORIGIN_CODE,
                            .term = lot.term,
                            .grace = lot.grace,
                            .devices = lot.devices,
                            .code = str_of(r->code, sizeof r->code),
                            .hash = c.hash,
                            .lot = c.lot,
                            .activated = c.activated,
                            .expires = c.expires};
    return license_add(tx, r->p, r->account, r->key, r->license, &x);
}

/* So that whoever asks support is not the first to tell (MYA-50). */
static enum err note_conflict(struct tx *tx, void *arg)
{
    const struct redeeming *r = arg;
    struct query *q = SQL(tx, "INSERT INTO code_conflict (account, hash, made) VALUES ($1, $2, $3) "
                              "ON CONFLICT (account, hash) DO UPDATE SET made = excluded.made");
    bind_id(q, r->account.id);
    bind_blob(q, r->hash);
    bind_time(q, clock_now(r->p->privacy.clock));
    return query_run(q);
}

enum err license_redeem(struct portal *p, account_id which, const struct key *k, str typed, struct arena *a,
                        license_id *out, const char **why, struct fault *f)
{
    struct redeeming r = {.p = p, .account = which, .key = k, .license = {id_new()}};
    bool had;
    enum code_shape shape = license_code_check(typed, r.code);
    if (shape != CODE_FINE) {
        *why = shape == CODE_SLIP ? CODE_ERROR_SLIP : CODE_ERROR_MALFORMED;
        return ERR_INPUT;
    }
    TRY(quota_take(&p->privacy, &tries, id_str(&which.id), &had, a, f));
    if (!had) {
        *why = CODE_ERROR_TOO_OFTEN;
        return ERR_LIMIT;
    }
    enum err e = db_transact(p->privacy.db, a, f, redeem, &r);
    sodium_memzero(r.code, sizeof r.code);
    *why = r.why;
    if (e == OK || (r.why && str_is(str_from(r.why), CODE_ERROR_MINE)))
        *out = r.license;
    if (r.hash.n > 0)
        TRY(db_transact(p->privacy.db, a, f, note_conflict, &r));
    return e;
}
