/*
 * Signed license files, the list of those that are void, and the keys that sign (docs/license-file.md): JWS
 * in compact form with EdDSA (RFC 7515, RFC 8037). The seeds lie in the keyring and do not leave the vault.
 */
#include "features/licenses/model.h"

#include <string.h>

#include <sodium.h>

#include "base/codec.h"

#define SECRET "license-signing"

enum { REVOKED_AT_MOST = 100000, KEYS_AT_MOST = 20 };
#define REVOCATIONS_LAST (7 * MOMENT_DAY) /* a list that is older is to be fetched anew */

/* ---- keys ---- */

str license_key_id(struct arena *a, const unsigned char public_key[32])
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    str jwk = str_fmt(a, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%.*s\"}",
                      STR_FMT(base64url_encode(a, public_key, VAULT_PUBLIC_BYTES)));
    crypto_hash_sha256(hash, (const unsigned char *)jwk.p, jwk.n);
    return base64url_encode(a, hash, sizeof hash);
}

static enum err publish(struct tx *tx, const struct portal *p, const unsigned char *public_key, int64_t generation,
                        moment signs)
{
    struct arena *a = tx_arena(tx);
    struct query *q = SQL(tx, "INSERT INTO signing_key (kid, public_key, generation, made, signs, retired, published) "
                              "VALUES ($1, $2, $3, $4, $5, NULL, NULL) ON CONFLICT (kid) DO NOTHING");
    bind_text(q, license_key_id(a, public_key));
    bind_text(q, base64url_encode(a, public_key, VAULT_PUBLIC_BYTES));
    bind_int(q, generation);
    bind_time(q, clock_now(p->privacy.clock));
    bind_time(q, signs);
    return query_run(q);
}

struct signer {
    str kid;
    int64_t generation;
    moment made;
};

/* The newest whose time to sign has come. ERR_NOT_FOUND. */
static enum err signer_now(struct tx *tx, const struct portal *p, struct signer *out)
{
    struct query *q = SQL(tx, "SELECT kid, generation, made FROM signing_key WHERE signs <= $1 AND retired IS NULL "
                              "ORDER BY generation DESC LIMIT 1");
    bind_time(q, clock_now(p->privacy.clock));
    bool found = query_row(q);
    if (found)
        *out = (struct signer){row_text(q, 0), row_int(q, 1), row_time(q, 2)};
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

/* Makes the first, where there is none. */
static enum err signer_get(struct tx *tx, const struct portal *p, struct signer *out)
{
    struct vault_signers s;
    enum err e = signer_now(tx, p, out);
    if (e != ERR_NOT_FOUND)
        return e;
    TRY(vault_signers(p->privacy.vault, SECRET, &s, tx_arena(tx), tx_fault(tx)));
    TRY(publish(tx, p, s.public_key[0], s.generation[0], clock_now(p->privacy.clock)));
    return signer_now(tx, p, out);
}

enum err license_sign(struct tx *tx, const struct portal *p, const char *type, const json_t *payload, struct arena *a,
                      str *out)
{
    CLEANUP(json_done) json_t *head = json_object();
    unsigned char signature[VAULT_SIGNATURE_BYTES];
    struct signer s;
    TRY(signer_get(tx, p, &s));
    json_put_text(head, "alg", "EdDSA");
    json_put_text(head, "typ", type);
    json_put_str(head, "kid", s.kid);
    str one = json_encode(a, head, false), two = json_encode(a, payload, false);
    str signed_text = str_fmt(a, "%.*s.%.*s", STR_FMT(base64url_encode(a, one.p, one.n)),
                              STR_FMT(base64url_encode(a, two.p, two.n)));
    TRY(vault_sign(p->privacy.vault, SECRET, s.generation, signed_text, signature, a, tx_fault(tx)));
    *out = str_fmt(a, "%.*s.%.*s", STR_FMT(signed_text), STR_FMT(base64url_encode(a, signature, sizeof signature)));
    return OK;
}

/* ---- a new key, in good time ---- */

struct keeping {
    const struct portal *p;
    bool renew, retire;
    int64_t generation; /* the one that signs now */
};

static enum err look_at_keys(struct tx *tx, void *arg)
{
    struct keeping *k = arg;
    struct signer s;
    int64_t newest = 0, kept = 0;
    moment now = clock_now(k->p->privacy.clock), made = 0;
    TRY(signer_get(tx, k->p, &s));
    struct query *q = SQL(tx, "SELECT max(generation), count(*), max(made) FROM signing_key WHERE retired IS NULL");
    if (query_row(q)) {
        newest = row_int(q, 0);
        kept = row_int(q, 1);
        made = row_int(q, 2);
    }
    TRY(query_end(q));
    k->generation = s.generation;
    k->retire = kept > 1 && newest == s.generation;
    k->renew = newest == s.generation && now >= made + SIGNING_EVERY;
    q = SQL(tx, "DELETE FROM signing_key WHERE published <= $1");
    bind_time(q, now);
    return query_run(q);
}

/* What it signed is good for as long as a file lasts; then nobody needs its public half. */
static enum err note_retired(struct tx *tx, void *arg)
{
    const struct keeping *k = arg;
    moment now = clock_now(k->p->privacy.clock);
    struct query *q = SQL(tx, "UPDATE signing_key SET retired = $2, published = $3 WHERE generation < $1 AND retired IS NULL");
    bind_int(q, k->generation);
    bind_time(q, now);
    bind_time(q, now + FILE_LASTS);
    return query_run(q);
}

static enum err publish_next(struct tx *tx, void *arg)
{
    const struct keeping *k = arg;
    struct vault_signers s;
    TRY(vault_signers(k->p->privacy.vault, SECRET, &s, tx_arena(tx), tx_fault(tx)));
    if (s.generation[0] == k->generation)
        return OK;
    return publish(tx, k->p, s.public_key[0], s.generation[0], clock_now(k->p->privacy.clock) + SIGNING_OVERLAP);
}

/* First the old seed is destroyed, then a new one made: a secret has two generations at most. Cut off
 * anywhere, it goes on where it stood: what is in the keyring already is not made again. */
enum err task_signing_keys(void *app, struct arena *a, struct fault *f)
{
    struct portal *p = app;
    struct keeping k = {.p = p};
    TRY(db_transact(p->privacy.db, a, f, look_at_keys, &k));
    if (k.retire) {
        TRY(vault_retire_secret(p->privacy.vault, SECRET, a, f));
        TRY(db_transact(p->privacy.db, a, f, note_retired, &k));
    }
    if (!k.renew)
        return OK;
    TRY(vault_renew_secret(p->privacy.vault, SECRET, a, f));
    return db_transact(p->privacy.db, a, f, publish_next, &k);
}

enum err license_keys(struct tx *tx, struct portal *p, json_t *out)
{
    struct signer s;
    struct arena *a = tx_arena(tx);
    TRY(signer_get(tx, p, &s));
    json_t *keys = json_put_array(out, "keys");
    struct query *q = SQL(tx, "SELECT kid, public_key, signs, retired FROM signing_key ORDER BY generation DESC LIMIT $1");
    bind_int(q, KEYS_AT_MOST);
    while (query_row(q)) {
        json_t *j = json_add_object(keys);
        json_put_text(j, "kty", "OKP");
        json_put_text(j, "crv", "Ed25519");
        json_put_text(j, "alg", "EdDSA");
        json_put_text(j, "use", "sig");
        json_put_str(j, "kid", row_text(q, 0));
        json_put_str(j, "x", row_text(q, 1));
        json_put_moment(j, "signs_from", a, row_time(q, 2));
    }
    return query_end(q);
}

/* ---- a license file ---- */

/* The device's own seat. ERR_NOT_FOUND. */
static enum err find_seat(struct tx *tx, account_id which, license_id license, id device, struct seat *out)
{
    struct seat *seats;
    size_t n;
    TRY(seat_list(tx, which, license, &seats, &n));
    for (size_t i = 0; i < n; i++) {
        if (seats[i].freed != 0 || !id_eq(seats[i].device, device))
            continue;
        *out = seats[i];
        return OK;
    }
    return ERR_NOT_FOUND;
}

static enum err note_file(struct tx *tx, account_id which, id seat, moment until)
{
    struct query *q = SQL(tx, "UPDATE seat SET filed = $3 WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, seat);
    bind_time(q, until);
    return query_run(q);
}

/* NumericDate (RFC 7519): whole seconds. */
static void put_seconds(json_t *j, const char *key, moment m)
{
    json_put_int(j, key, m / MOMENT_SECOND);
}

enum err license_file(struct tx *tx, struct portal *p, account_id which, license_id license, id device,
                      struct arena *a, str *out)
{
    CLEANUP(json_done) json_t *payload = json_object();
    struct license_row l;
    struct seat s;
    moment now = clock_now(p->privacy.clock);
    TRY(license_row(tx, which, license, &l));
    TRY(find_seat(tx, which, license, device, &s));
    moment last = MIN_OF(license_last(&l), now + FILE_LASTS);
    if (l.revoked || now >= license_last(&l))
        return ERR_DENIED;
    const struct product *product = product_named(p, l.product);
    json_put_str(payload, "iss", p->settings->public_url);
    put_seconds(payload, "iat", now);
    put_seconds(payload, "exp", last);
    json_put_str(payload, "license", id_str(&license.id));
    json_put_str(payload, "seat", id_str(&s.id));
    json_put_str(payload, "device", id_str(&device));
    json_put_str(payload, "product", l.product);
    json_put_str(payload, "application", l.application);
    put_seconds(payload, "ends", l.expires);
    json_t *does = json_put_array(payload, "features");
    for (size_t i = 0; product && i < product->n_features; i++)
        json_add_str(does, product->features[i]);
    TRY(note_file(tx, which, s.id, last));
    return license_sign(tx, p, "troth-license", payload, a, out);
}

enum err license_revocations(struct tx *tx, struct portal *p, struct arena *a, str *out)
{
    CLEANUP(json_done) json_t *payload = json_object();
    moment now = clock_now(p->privacy.clock);
    json_put_str(payload, "iss", p->settings->public_url);
    put_seconds(payload, "iat", now);
    put_seconds(payload, "exp", now + REVOCATIONS_LAST);
    json_t *seats = json_put_array(payload, "seats");
    struct query *q = SQL(tx, "SELECT seat FROM revoked_seat WHERE ends > $1 ORDER BY seat LIMIT $2");
    bind_time(q, now);
    bind_int(q, REVOKED_AT_MOST);
    while (query_row(q))
        json_add_str(seats, row_text(q, 0));
    TRY(query_end(q));
    return license_sign(tx, p, "troth-revocations", payload, a, out);
}
