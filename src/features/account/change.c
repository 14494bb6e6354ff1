/* What people change: password, address, preferences, news. */
#include "features/account/model.h"

#include <string.h>

#include "features/factors/factors.h"
#include "privacy/consent.h"
#include "privacy/lookup.h"

#define RECOVER_WITHIN (30 * MOMENT_MINUTE)
#define CHANGE_WITHIN  (2 * MOMENT_DAY)
#define LOOKUP         "account_email"
#define NEWS           "product-news"

enum { MAC_BYTES = 20, MAC_CHARS = 32, MAX_LINKS = 5 };

/* The account with its key and its address opened. */
static enum err open_account(struct tx *tx, struct portal *p, account_id which, struct key *k,
                             struct account *out)
{
    TRY(vault_subject_key(p->privacy.vault, which.id, k, tx_arena(tx), tx_fault(tx)));
    return account_get(tx, &p->privacy, which, k, out);
}

/* ---- passwords ---- */

enum err account_set_password(struct tx *tx, struct portal *p, account_id which, str hash,
                              id keep_session, bool tell)
{
    CLEANUP(key_wipe) struct key k;
    struct account x;
    TRY(open_account(tx, p, which, &k, &x));
    TRY(account_write_password(tx, &k, which, hash));
    if (!tell)
        return OK;
    TRY(session_end_others(tx, which.id, keep_session));
    TRY(factors_end_steps(tx, which));
    /* Whatever else was begun with the old one ends with it. */
    TRY(ticket_use(tx, which, TICKET_RECOVER));
    TRY(ticket_use(tx, which, TICKET_SHARE));
    TRY(address_change_drop(tx, which));
    TRY(lost_drop(tx, which));
    return account_mail(tx, p, &x, &k, "password-changed", x.email, STR("/recover"), NULL);
}

enum err account_send_recovery(struct tx *tx, struct portal *p, str address)
{
    CLEANUP(key_wipe) struct key k;
    account_id which;
    struct account x;
    str token;
    int64_t links;
    enum err e = account_find(tx, &p->privacy, address, &which);
    if (e == ERR_NOT_FOUND)
        return OK;
    TRY(e);
    TRY(open_account(tx, p, which, &k, &x));
    struct query *q = SQL(tx, "SELECT count(*) FROM ticket WHERE account = $1 AND kind = 'recover' "
                              "AND ends > $2");
    bind_id(q, which.id);
    bind_time(q, clock_now(p->privacy.clock));
    links = query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    if (x.closed || links >= MAX_LINKS)
        return OK;
    TRY(ticket_make(tx, &p->privacy, which, &k, TICKET_RECOVER, (str){NULL, 0}, (str){NULL, 0},
                    clock_now(p->privacy.clock) + RECOVER_WITHIN, &token));
    return account_mail(tx, p, &x, &k, "recover", x.email,
                        str_fmt(tx_arena(tx), "/recover/new?t=%.*s", STR_FMT(token)), NULL);
}

enum err account_recover(struct tx *tx, struct portal *p, str token, str hash)
{
    struct ticket t;
    TRY(ticket_find(tx, &p->privacy, TICKET_RECOVER, token, &t));
    /* The link came to the address: it is confirmed by that. */
    struct query *q = SQL(tx, "UPDATE account SET unconfirmed = NULL WHERE id = $1 AND closed IS NULL");
    bind_id(q, t.account.id);
    TRY(query_run(q));
    if (query_changes(q) == 0)
        return ERR_NOT_FOUND;
    TRY(ticket_use(tx, t.account, TICKET_CONFIRM));
    TRY(factors_forget_devices(tx, t.account));
    return account_set_password(tx, p, t.account, hash, (id){{0}}, true);
}

enum err account_set_preferences(struct tx *tx, struct portal *p, account_id which, str language, str zone,
                                 str country)
{
    struct account before;
    TRY(account_get(tx, &p->privacy, which, NULL, &before));
    if (!str_eq(before.country, country))
        TRY(account_place(tx, p, which, country));
    struct query *q =
        SQL(tx, "UPDATE account SET language = $2, zone = $3, country = $4 WHERE id = $1");
    bind_id(q, which.id);
    bind_text(q, language);
    bind_text(q, zone);
    bind_text(q, country);
    return query_run(q);
}

/* ---- the address ---- */

enum err address_change_drop(struct tx *tx, account_id which)
{
    struct query *q = SQL(tx, "DELETE FROM address_change WHERE account = $1");
    bind_id(q, which.id);
    return query_run(q);
}

static enum err insert_change(struct tx *tx, struct portal *p, account_id which,
                              const struct key *k, const struct email *to, str tokens[2])
{
    struct arena *a = tx_arena(tx);
    struct bearer old = bearer_new(), fresh = bearer_new();
    id change = id_new();
    moment now = clock_now(p->privacy.clock);
    struct query *q =
        SQL(tx, "INSERT INTO address_change (account, id, address, old_secret, new_secret, "
                "old_agreed, new_agreed, made, ends) VALUES ($1, $2, $3, $4, $5, NULL, NULL, $6, $7)");
    bind_id(q, which.id);
    bind_id(q, change);
    bind_blob(q, privacy_seal(a, k, "address_change", "address", change, to->shown));
    bind_blob(q, secret_hash(a, str_from(old.text)));
    bind_blob(q, secret_hash(a, str_from(fresh.text)));
    bind_time(q, now);
    bind_time(q, now + CHANGE_WITHIN);
    TRY(query_run(q));
    tokens[0] = str_fmt(a, "%s%s%s", which.id.text, change.text, old.text);
    tokens[1] = str_fmt(a, "%s%s%s", which.id.text, change.text, fresh.text);
    return OK;
}

enum err address_change_ask(struct tx *tx, struct portal *p, account_id which,
                            const struct email *to)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    CLEANUP(json_done) json_t *values = json_object();
    struct account x;
    account_id other;
    str tokens[2];
    TRY(open_account(tx, p, which, &k, &x));
    TRY(address_change_drop(tx, which));
    TRY(insert_change(tx, p, which, &k, to, tokens));
    json_put_str(values, "address", to->shown);
    TRY(account_mail(tx, p, &x, &k, "change-old", x.email,
                     str_fmt(a, "/account/email?t=%.*s", STR_FMT(tokens[0])), values));
    /* An address that somebody has gets no link; the page says the same either way. */
    enum err e = lookup_find(tx, &p->privacy, LOOKUP, to->same, &other.id);
    if (e != ERR_NOT_FOUND)
        return e;
    return account_mail(tx, p, &x, &k, "change-new", to->shown,
                        str_fmt(a, "/account/email?t=%.*s", STR_FMT(tokens[1])), values);
}

struct change_row {
    account_id account;
    id id;
    bool old_side;
    str address;
    moment old_agreed, new_agreed;
};

static enum err find_change(struct tx *tx, const struct privacy *p, str token,
                            struct change_row *out)
{
    struct arena *a = tx_arena(tx);
    struct change_row c = {0};
    if (token.n != TICKET_TOKEN_LENGTH ||
        id_parse(str_head(token, ID_LENGTH), &c.account.id) != OK ||
        id_parse(str_head(str_skip(token, ID_LENGTH), ID_LENGTH), &c.id) != OK)
        return ERR_NOT_FOUND;
    str hash = secret_hash(a, str_skip(token, 2 * (size_t)ID_LENGTH));
    struct query *q = SQL(tx, "SELECT address, old_secret, new_secret, old_agreed, new_agreed "
                              "FROM address_change WHERE account = $1 AND id = $2 AND ends > $3");
    bind_id(q, c.account.id);
    bind_id(q, c.id);
    bind_time(q, clock_now(p->clock));
    bool found = false;
    if (query_row(q)) {
        c.old_side = secret_eq(row_blob(q, 1), hash);
        found = c.old_side || secret_eq(row_blob(q, 2), hash);
        c.address = row_blob(q, 0);
        c.old_agreed = row_time(q, 3);
        c.new_agreed = row_time(q, 4);
    }
    TRY(query_end(q));
    if (!found)
        return ERR_NOT_FOUND;
    *out = c;
    return OK;
}

enum err address_change_find(struct tx *tx, const struct privacy *p, str token)
{
    struct change_row c;
    return find_change(tx, p, token, &c);
}

static enum err note_agreement(struct tx *tx, struct portal *p, struct change_row *c)
{
    moment now = clock_now(p->privacy.clock);
    struct query *q =
        c->old_side
            ? SQL(tx, "UPDATE address_change SET old_agreed = $3 WHERE account = $1 AND id = $2")
            : SQL(tx, "UPDATE address_change SET new_agreed = $3 WHERE account = $1 AND id = $2");
    bind_id(q, c->account.id);
    bind_id(q, c->id);
    bind_time(q, now);
    if (c->old_side)
        c->old_agreed = now;
    else
        c->new_agreed = now;
    return query_run(q);
}

/* Both have agreed: the address is changed, and both hear of it. */
static enum err apply_change(struct tx *tx, struct portal *p, const struct change_row *c,
                             enum address_answer *answer)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    CLEANUP(json_done) json_t *values = json_object();
    struct account x;
    struct email to;
    account_id other;
    str address;
    TRY(open_account(tx, p, c->account, &k, &x));
    TRY(privacy_unseal(a, &k, "address_change", "address", c->id, c->address, &address, tx_fault(tx)));
    TRY(tx_fail(tx, email_parse(a, address, &to)));
    TRY(address_change_drop(tx, c->account));
    enum err e = lookup_find(tx, &p->privacy, LOOKUP, to.same, &other.id);
    if (e == OK && !id_eq(other.id, c->account.id)) {
        *answer = ADDRESS_TAKEN;
        return OK;
    }
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    TRY(lookup_remove(tx, &p->privacy, LOOKUP, c->account.id));
    TRY(lookup_add(tx, &p->privacy, LOOKUP, to.same, c->account.id));
    struct query *q = SQL(tx, "UPDATE account SET email = $2 WHERE id = $1");
    bind_id(q, c->account.id);
    bind_blob(q, privacy_seal(a, &k, "account", "email", c->account.id, to.shown));
    TRY(query_run(q));
    *answer = ADDRESS_CHANGED;
    TRY(ticket_use(tx, c->account, TICKET_RECOVER)); /* it went to the old address */
    TRY(account_log(tx, &p->privacy, c->account, &k, "address-changed"));
    json_put_str(values, "address", to.shown);
    TRY(account_mail(tx, p, &x, &k, "changed", x.email, (str){NULL, 0}, values));
    return account_mail(tx, p, &x, &k, "changed", to.shown, (str){NULL, 0}, values);
}

enum err address_change_agree(struct tx *tx, struct portal *p, str token,
                              enum address_answer *answer)
{
    struct change_row c;
    TRY(find_change(tx, &p->privacy, token, &c));
    TRY(note_agreement(tx, p, &c));
    *answer = ADDRESS_WAITS;
    return c.old_agreed && c.new_agreed ? apply_change(tx, p, &c, answer) : OK;
}

enum err address_change_get(struct tx *tx, const struct privacy *p, account_id which,
                            const struct key *k, struct address_change *out)
{
    struct query *q = SQL(tx, "SELECT id, address, old_agreed, new_agreed, ends "
                              "FROM address_change WHERE account = $1 AND ends > $2 LIMIT 1");
    bind_id(q, which.id);
    bind_time(q, clock_now(p->clock));
    *out = (struct address_change){.there = query_row(q)};
    if (out->there) {
        id change = row_id(q, 0);
        str sealed = row_blob(q, 1);
        out->old_agreed = row_time(q, 2) != 0;
        out->new_agreed = row_time(q, 3) != 0;
        out->ends = row_time(q, 4);
        TRY(tx_error(tx));
        TRY(privacy_unseal(tx_arena(tx), k, "address_change", "address", change, sealed,
                           &out->address, tx_fault(tx)));
    }
    return query_end(q);
}

/* ---- news ---- */

static enum err unsubscribe_mac(const struct privacy *p, account_id which, struct arena *a,
                                str *out, struct fault *f)
{
    struct vault_hashes h;
    str text = str_fmt(a, "%s " NEWS, which.id.text);
    TRY(vault_hash(p->vault, "unsubscribe", text, &h, a, f));
    *out = base32_encode(a, h.bytes[0], MAC_BYTES);
    return OK;
}

enum err unsubscribe_token(const struct privacy *p, account_id which, struct arena *a, str *out,
                           struct fault *f)
{
    str mac;
    TRY(unsubscribe_mac(p, which, a, &mac, f));
    *out = str_fmt(a, "%s%.*s", which.id.text, STR_FMT(mac));
    return OK;
}

enum err unsubscribe_find(const struct privacy *p, str token, struct arena *a, account_id *out,
                          struct fault *f)
{
    str mac;
    if (token.n != ID_LENGTH + MAC_CHARS || id_parse(str_head(token, ID_LENGTH), &out->id) != OK)
        return ERR_NOT_FOUND;
    TRY(unsubscribe_mac(p, *out, a, &mac, f));
    return secret_eq(mac, str_skip(token, ID_LENGTH)) ? OK : ERR_NOT_FOUND;
}

enum err account_set_news(struct tx *tx, struct portal *p, account_id which, bool wanted,
                          const char *language, const char *way)
{
    const struct purpose *news = inventory_purpose(p->privacy.inventory, STR(NEWS));
    CLEANUP(key_wipe) struct key k;
    struct account x;
    bool before;
    TRY(consent_holds(tx, &p->privacy, which.id, news, &before, NULL));
    TRY(consent_record(tx, &p->privacy, which.id, news, wanted, language, way));
    if (!wanted || before)
        return OK;
    TRY(open_account(tx, p, which, &k, &x));
    return account_mail(tx, p, &x, &k, "news-welcome", x.email, (str){NULL, 0}, NULL);
}
