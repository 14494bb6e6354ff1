/* What a person has, and what is said of it. */
#include "features/factors/model.h"

#include <sodium.h>

enum { HASH_BYTES = 32 };

static enum err read_totp(struct tx *tx, account_id which, struct factors *out)
{
    struct query *q = SQL(tx, "SELECT made FROM totp WHERE account = $1 AND state = 'on'");
    bind_id(q, which.id);
    out->totp = query_row(q);
    if (out->totp)
        out->totp_made = row_time(q, 0);
    return query_end(q);
}

static enum err read_phone(struct tx *tx, account_id which, const struct key *k,
                           struct factors *out)
{
    struct query *q =
        SQL(tx, "SELECT id, ending, made FROM phone WHERE account = $1 AND state = 'on'");
    bind_id(q, which.id);
    out->phone = query_row(q);
    id phone = {{0}};
    str ending = {NULL, 0};
    if (out->phone) {
        phone = row_id(q, 0);
        ending = row_blob(q, 1);
        out->phone_made = row_time(q, 2);
    }
    TRY(query_end(q));
    if (!out->phone || k == NULL)
        return OK;
    return privacy_unseal(tx_arena(tx), k, "phone", "ending", phone, ending, &out->phone_ending,
                          tx_fault(tx));
}

static enum err count(struct query *q, account_id which, int64_t *out)
{
    bind_id(q, which.id);
    *out = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

enum err factors_get(struct tx *tx, account_id which, const struct key *k, struct factors *out)
{
    struct factors f = {0};
    TRY(read_totp(tx, which, &f));
    TRY(read_phone(tx, which, k, &f));
    TRY(count(SQL(tx, "SELECT count(*) FROM passkey WHERE account = $1"), which, &f.passkeys));
    TRY(count(SQL(tx, "SELECT count(*) FROM recovery_code WHERE account = $1 AND used IS NULL"), which,
              &f.recovery_left));
    *out = f;
    return OK;
}

enum err factors_on(struct tx *tx, account_id which, bool *on)
{
    struct factors f;
    TRY(factors_get(tx, which, NULL, &f));
    *on = factors_any(&f);
    return OK;
}

str factor_hash(struct arena *a, const struct key *k, const char *label, str text)
{
    unsigned char *h = arena_alloc(a, HASH_BYTES);
    CLEANUP(key_wipe) struct key own;
    str name = str_from(label);
    crypto_generichash(own.bytes, sizeof own.bytes, (const unsigned char *)name.p, name.n, k->bytes,
                       sizeof k->bytes);
    crypto_generichash(h, HASH_BYTES, (const unsigned char *)(text.p ? text.p : ""), text.n,
                       own.bytes, sizeof own.bytes);
    return str_of(h, HASH_BYTES);
}

/* ---- being told ---- */

/* A factor's name in the language of its owner, who may read another one here and now. */
static str name_of(struct request *req, const struct account *x, const char *name)
{
    const struct catalog *c = request_privacy(req)->catalog;
    int l = catalog_find_language(c, x->language);
    struct locale own = {l < 0 ? 0 : l, catalog_language(c, l < 0 ? 0 : l), NULL, NULL};
    return catalog_text(c, &own, req->arena, str_fmt(req->arena, "factor.%s", name).p, NULL);
}

enum err factors_tell(struct request *req, struct tx *tx, account_id which, const struct key *k,
                      const char *event, const char *mail, const char *name)
{
    CLEANUP(json_done) json_t *values = json_object();
    struct account x;
    TRY(account_note(req, tx, which, k, event));
    TRY(account_get(tx, request_privacy(req), which, NULL, &x));
    if (name)
        json_put_str(values, "factor", name_of(req, &x, name));
    return account_tell(tx, PORTAL(req), which, k, mail, STR("/account/security"), values);
}

/* ---- the end of it ---- */

static enum err remove_all(struct query *q, account_id which)
{
    bind_id(q, which.id);
    return query_run(q);
}

enum err factors_forget_devices(struct tx *tx, account_id which)
{
    return remove_all(SQL(tx, "DELETE FROM known_device WHERE account = $1"), which);
}

static enum err remove_codes(struct tx *tx, account_id which)
{
    TRY(remove_all(SQL(tx, "DELETE FROM recovery_code WHERE account = $1"), which));
    return factors_forget_devices(tx, which);
}

enum err factors_settle(struct tx *tx, account_id which)
{
    bool on;
    TRY(factors_on(tx, which, &on));
    return on ? OK : remove_codes(tx, which);
}

enum err factors_end_steps(struct tx *tx, account_id which)
{
    return remove_all(SQL(tx, "DELETE FROM step WHERE account = $1"), which);
}

enum err factors_clear(struct tx *tx, account_id which)
{
    TRY(remove_all(SQL(tx, "DELETE FROM totp WHERE account = $1"), which));
    TRY(remove_all(SQL(tx, "DELETE FROM phone WHERE account = $1"), which));
    TRY(remove_all(SQL(tx, "DELETE FROM text_code WHERE account = $1"), which));
    TRY(remove_all(SQL(tx, "DELETE FROM passkey WHERE account = $1"), which));
    TRY(factors_end_steps(tx, which));
    return remove_codes(tx, which);
}

/* ---- proving it again ---- */

enum err factors_proved(struct request *req, bool *proved)
{
    bool on;
    moment now = clock_now(request_privacy(req)->clock);
    TRY(factors_on(request_read(req), (account_id){req->session.account}, &on));
    *proved = !on || now - req->session.factor < SESSION_RECENT;
    return OK;
}
