/* Passkeys: what the browser is asked, what it answers, and what is kept. */
#include "features/factors/model.h"

#include <string.h>

#include <sodium.h>

#include "base/codec.h"
#include "base/network.h"

#define CHALLENGE_LASTS (5 * MOMENT_MINUTE)

/* ---- the site ---- */

static struct webauthn_site site_of(const struct request *req)
{
    str url = PORTAL(req)->settings->public_url;
    return (struct webauthn_site){url_host(url), url};
}

bool passkeys_offered(const struct request *req)
{
    str host = site_of(req).rp_id, visited = url_host(head_get(req->head, "Host"));
    bool named = false;
    if (str_is(host, "localhost") && !str_eq(host, visited))
        return false; /* the same machine by its number: the browser would refuse */
    for (size_t i = 0; i < host.n; i++)
        named |= (host.p[i] >= 'a' && host.p[i] <= 'z') || (host.p[i] >= 'A' && host.p[i] <= 'Z');
    return named && host.p[0] != '[';
}

/* ---- challenges ---- */

/* The browser's own secret: what one browser was asked, no other can answer. */
static str browser_secret(const struct request *req)
{
    return req->session.there ? str_from(req->session.secret.text) : request_cookie(req, "form");
}

static str challenge_hash(const struct request *req, enum ceremony c, account_id which,
                          str challenge)
{
    str secret = browser_secret(req);
    str text = str_fmt(req->arena, "%d %s %.*s %.*s", (int)c, which.id.text, STR_FMT(secret),
                       STR_FMT(hex_encode(req->arena, challenge.p, challenge.n)));
    return secret_hash(req->arena, text);
}

static enum err make_challenge(struct request *req, struct tx *tx, enum ceremony c,
                               account_id which, str *out)
{
    char *bytes = arena_alloc(req->arena, WEBAUTHN_CHALLENGE);
    randombytes_buf(bytes, WEBAUTHN_CHALLENGE);
    *out = str_of(bytes, WEBAUTHN_CHALLENGE);
    struct query *q = SQL(tx, "INSERT INTO challenge (hash, ends) VALUES ($1, $2)");
    bind_blob(q, challenge_hash(req, c, which, *out));
    bind_time(q, clock_now(request_privacy(req)->clock) + CHALLENGE_LASTS);
    return query_run(q);
}

struct using {
    str hash;
    moment now;
    bool ours;
};

/* Of two that bring the same, one removes the row. */
static enum err remove_challenge(struct tx *tx, void *arg)
{
    struct using *u = arg;
    struct query *q = SQL(tx, "DELETE FROM challenge WHERE hash = $1 AND ends > $2");
    bind_blob(q, u->hash);
    bind_time(q, u->now);
    TRY(query_run(q));
    u->ours = query_changes(q) == 1;
    return OK;
}

/* Good for one answer, right or wrong: so it goes in a transaction of its own. */
static enum err use_challenge(struct request *req, enum ceremony c, account_id which, str challenge,
                              bool *ours)
{
    const struct privacy *p = request_privacy(req);
    struct using *u = request_memo(req, "challenge", sizeof *u);
    if (u->now == 0) { /* not in an earlier attempt */
        struct using x = {challenge_hash(req, c, which, challenge), clock_now(p->clock), false};
        TRY(db_transact(p->db, req->arena, req->fault, remove_challenge, &x));
        *u = x;
    }
    *ours = u->ours;
    return OK;
}

/* ---- asking ---- */

static enum err put_known(struct tx *tx, account_id which, json_t *out, const char *name)
{
    json_t *list = json_put_array(out, name);
    struct query *q = SQL(tx, "SELECT credential FROM passkey WHERE account = $1 ORDER BY made LIMIT 100");
    bind_id(q, which.id);
    while (query_row(q)) {
        str own = row_blob(q, 0);
        json_t *j = json_add_object(list);
        json_put_text(j, "type", "public-key");
        json_put_str(j, "id", base64url_encode(tx_arena(tx), own.p, own.n));
    }
    return query_end(q);
}

static enum err put_creation(struct request *req, struct tx *tx, account_id which, json_t *out)
{
    static const int algorithms[] = {WEBAUTHN_EDDSA, WEBAUTHN_ES256, WEBAUTHN_RS256};
    const struct privacy *p = request_privacy(req);
    CLEANUP(key_wipe) struct key k;
    struct account x;
    TRY(request_key(req, &k));
    TRY(account_get(tx, p, which, &k, &x));
    json_t *rp = json_put_object(out, "rp"), *user = json_put_object(out, "user");
    json_put_str(rp, "id", site_of(req).rp_id);
    json_put_str(rp, "name", p->organisation->product);
    json_put_str(user, "id", base64url_encode(req->arena, which.id.text, ID_LENGTH));
    json_put_str(user, "name", x.email);
    json_put_str(user, "displayName", x.email);
    json_t *list = json_put_array(out, "pubKeyCredParams");
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        json_t *j = json_add_object(list);
        json_put_text(j, "type", "public-key");
        json_put_int(j, "alg", algorithms[i]);
    }
    json_t *wish = json_put_object(out, "authenticatorSelection");
    json_put_text(wish, "residentKey", "preferred");
    json_put_text(wish, "userVerification", "preferred");
    json_put_text(out, "attestation", "none");
    return put_known(tx, which, out, "excludeCredentials");
}

enum err passkey_options(struct request *req, struct tx *tx, enum ceremony c, account_id which,
                         json_t *out)
{
    str challenge;
    TRY(make_challenge(req, tx, c, which, &challenge));
    json_put_str(out, "challenge", base64url_encode(req->arena, challenge.p, challenge.n));
    json_put_int(out, "timeout", CHALLENGE_LASTS / (MOMENT_SECOND / 1000));
    if (c == CEREMONY_ADD)
        return put_creation(req, tx, which, out);
    json_put_str(out, "rpId", site_of(req).rp_id);
    json_put_text(out, "userVerification", c == CEREMONY_ENTER ? "required" : "preferred");
    return c == CEREMONY_ENTER ? OK : put_known(tx, which, out, "allowCredentials");
}

/* ---- answers ---- */

struct kept {
    id id;
    struct webauthn_key key;
};

/* ERR_NOT_FOUND. */
static enum err find_kept(struct tx *tx, account_id which, str credential, struct kept *out)
{
    struct query *q = SQL(tx, "SELECT id, algorithm, public_key, counter FROM passkey "
                              "WHERE account = $1 AND credential = $2");
    bind_id(q, which.id);
    bind_blob(q, credential);
    bool found = query_row(q);
    if (found)
        *out = (struct kept){row_id(q, 0), {credential, row_int(q, 1), row_blob(q, 2), row_int(q, 3)}};
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

/* *there is false where it was removed, or used elsewhere, since it was read. */
static enum err note_use(struct tx *tx, account_id which, const struct kept *x, int64_t counter,
                         moment now, bool *there)
{
    struct query *q =
        SQL(tx, "UPDATE passkey SET counter = $3, used = $4 WHERE account = $1 AND id = $2 AND counter = $5");
    bind_id(q, which.id);
    bind_id(q, x->id);
    bind_int(q, counter);
    bind_time(q, now);
    bind_int(q, x->key.counter);
    TRY(query_run(q));
    *there = query_changes(q) == 1;
    return OK;
}

static bool decode(struct request *req, const char *name, str *out)
{
    return base64url_decode(req->arena, form_value(&req->form, name), out) == OK && out->n > 0;
}

/* The user handle is the account's ID, as it was given when the passkey was made. */
static bool read_owner(struct request *req, account_id *out)
{
    str handle;
    return decode(req, "user_handle", &handle) && id_parse(handle, &out->id) == OK;
}

/* Why it was refused is for the operator; the person is told what to do. */
static void log_refusal(struct request *req, const struct fault *why)
{
    log_event(request_privacy(req)->log, LOG_INFO, "passkey-refused", LOG_TEXT("id", id_str(&req->id)),
              LOG_TEXT("why", str_from(why->text)));
}

struct noting {
    struct request *req;
    account_id account;
};

static enum err note_copy(struct tx *tx, void *arg)
{
    const struct noting *n = arg;
    CLEANUP(key_wipe) struct key k;
    TRY(vault_subject_key(request_privacy(n->req)->vault, n->account.id, &k, tx_arena(tx), tx_fault(tx)));
    return factors_tell(n->req, tx, n->account, &k, "passkey-copied", "passkey-copied", NULL);
}

enum err passkey_use(struct request *req, enum ceremony c, account_id *which,
                     enum passkey_result *result)
{
    struct webauthn_site site = site_of(req);
    struct webauthn_answer x;
    struct kept k;
    struct fault why = {0};
    account_id asked = *which;
    str credential, challenge;
    int64_t counter;
    bool ours;
    *result = PASSKEY_WRONG;
    if (!decode(req, "credential", &credential) || !decode(req, "client_data", &x.client_data) ||
        !decode(req, "auth_data", &x.auth_data) || !decode(req, "signature", &x.signature) ||
        (c == CEREMONY_ENTER && !read_owner(req, which)))
        return OK;
    if (webauthn_client_data(req->arena, &site, WEBAUTHN_GET, x.client_data, &challenge, &why) != OK) {
        log_refusal(req, &why);
        return OK;
    }
    TRY(use_challenge(req, c, asked, challenge, &ours));
    if (!ours)
        return OK;
    enum err e = find_kept(request_read(req), *which, credential, &k);
    if (e == ERR_NOT_FOUND) {
        *result = PASSKEY_UNKNOWN;
        return OK;
    }
    TRY(e);
    if (webauthn_assert(&site, &k.key, &x, c == CEREMONY_ENTER, &counter, &why) != OK) {
        log_refusal(req, &why);
        return OK;
    }
    /* A count that does not grow is a copy's (WebAuthn §6.1.1); 0 counts nothing. */
    if ((counter != 0 || k.key.counter != 0) && counter <= k.key.counter) {
        struct noting n = {req, *which};
        *result = PASSKEY_COPIED;
        return db_transact(request_privacy(req)->db, req->arena, req->fault, note_copy, &n);
    }
    bool there;
    TRY(note_use(request_write(req), *which, &k, counter, clock_now(request_privacy(req)->clock), &there));
    *result = there ? PASSKEY_RIGHT : PASSKEY_UNKNOWN;
    return OK;
}

/* ---- adding, listing, removing ---- */

static enum err count_kept(struct tx *tx, account_id which, int64_t *n)
{
    struct query *q = SQL(tx, "SELECT count(*) FROM passkey WHERE account = $1");
    bind_id(q, which.id);
    *n = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

static enum err insert(struct request *req, struct tx *tx, account_id which, const struct key *k,
                       str name, const struct webauthn_key *key)
{
    id passkey = id_new();
    struct query *q = SQL(tx, "INSERT INTO passkey (account, id, name, credential, algorithm, public_key, "
                              "counter, made, used) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL)");
    bind_id(q, which.id);
    bind_id(q, passkey);
    bind_blob(q, privacy_seal(req->arena, k, "passkey", "name", passkey, name));
    bind_blob(q, key->credential);
    bind_int(q, key->algorithm);
    bind_blob(q, key->public_key);
    bind_int(q, key->counter);
    bind_time(q, clock_now(request_privacy(req)->clock));
    return query_run(q);
}

enum err passkey_add(struct request *req, account_id which, const struct key *k, str name,
                     str client_data, str attestation, enum passkey_result *result)
{
    struct webauthn_site site = site_of(req);
    struct webauthn_key key;
    struct kept there;
    struct fault why = {0};
    str client, object, challenge;
    int64_t n;
    bool ours;
    *result = PASSKEY_WRONG;
    if (base64url_decode(req->arena, client_data, &client) != OK ||
        base64url_decode(req->arena, attestation, &object) != OK)
        return OK;
    if (webauthn_client_data(req->arena, &site, WEBAUTHN_CREATE, client, &challenge, &why) != OK) {
        log_refusal(req, &why);
        return OK;
    }
    TRY(use_challenge(req, CEREMONY_ADD, which, challenge, &ours));
    if (!ours)
        return OK;
    if (webauthn_register(req->arena, &site, client, object, &key, &why) != OK) {
        log_refusal(req, &why);
        return OK;
    }
    struct tx *tx = request_write(req);
    TRY(count_kept(tx, which, &n));
    if (n >= PASSKEYS_MAX)
        return ERR_LIMIT;
    enum err e = find_kept(tx, which, key.credential, &there);
    if (e != ERR_NOT_FOUND)
        return e == OK ? ERR_CONFLICT : e;
    TRY(insert(req, tx, which, k, name, &key));
    *result = PASSKEY_RIGHT;
    return OK;
}

enum err passkey_remove(struct tx *tx, account_id which, id passkey)
{
    struct query *q = SQL(tx, "DELETE FROM passkey WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, passkey);
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_NOT_FOUND;
}

enum err passkey_list(struct tx *tx, account_id which, const struct key *k, json_t *list)
{
    struct query *q = SQL(tx, "SELECT id, name, made, used FROM passkey WHERE account = $1 "
                              "ORDER BY made, id LIMIT 100");
    bind_id(q, which.id);
    while (query_row(q)) {
        id passkey = row_id(q, 0);
        str name;
        TRY(privacy_unseal(tx_arena(tx), k, "passkey", "name", passkey, row_blob(q, 1), &name, tx_fault(tx)));
        json_t *j = json_add_object(list);
        json_put_text(j, "id", passkey.text);
        json_put_str(j, "name", name);
        json_put_moment(j, "made", tx_arena(tx), row_time(q, 2));
        json_put_bool(j, "was_used", !row_is_null(q, 3));
        json_put_moment(j, "used", tx_arena(tx), row_time(q, 3));
    }
    return query_end(q);
}
