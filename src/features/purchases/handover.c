/* Purchases that apps hand over from app stores: one purchase, one license (spec WPS-23). */
#include "features/purchases/model.h"

#include "privacy/enrolment.h"

#define SECRET      "app purchase" /* the vault's, that tokens are hashed under */
#define CLOCKS      (5 * MOMENT_MINUTE)

struct handing {
    struct portal *p;
    account_id account;
    const struct key *key;
    const struct store_purchase *said;
    struct signed_purchase is;
    str hash;
    const char **why;
};

static enum err refuse(const struct handing *h, enum err e, const char *why)
{
    *h->why = why;
    return e;
}

static bool same_second(moment a, moment b)
{
    moment apart = a > b ? a - b : b - a;
    return apart < MOMENT_SECOND;
}

/* What is said must be what is signed: an app that says something else is wrong, whichever is true. */
static bool said_is_signed(const struct store_purchase *said, const struct signed_purchase *is)
{
    static const char *const states[] = {[SIGNED_PAID] = "purchased", [SIGNED_PENDING] = "pending", [SIGNED_REFUNDED] = "refunded"};
    return str_eq(said->item, is->item) && str_eq(said->package, is->package) && str_eq(said->receipt, is->receipt) &&
           str_eq(said->token, is->token) && same_second(said->bought, is->bought) && str_is(said->status, states[is->state]);
}

static enum err hash_token(struct tx *tx, struct handing *h)
{
    struct vault_hashes hashes;
    struct arena *a = tx_arena(tx);
    str text = str_fmt(a, "%.*s %.*s", STR_FMT(h->is.package), STR_FMT(h->is.token));
    TRY(vault_hash(h->p->privacy.vault, SECRET, text, &hashes, a, tx_fault(tx)));
    /* One generation for ever: a purchase must be found again as long as its license is there. */
    h->hash = str_dup(a, str_of(hashes.bytes[hashes.n - 1], VAULT_HASH_BYTES));
    return OK;
}

/* Whose it is already. *purchase is none where it is nobody's. */
static enum err find_token(struct tx *tx, const struct handing *h, account_id *owner, id *purchase)
{
    struct query *q = SQL(tx, "SELECT account, purchase FROM app_purchase_token WHERE hash = $1");
    bind_blob(q, h->hash);
    *purchase = (id){{0}};
    if (query_row(q)) {
        owner->id = row_id(q, 0);
        *purchase = row_id(q, 1);
    }
    return query_end(q);
}

static enum err take(struct tx *tx, const struct handing *h, license_id license)
{
    struct arena *a = tx_arena(tx);
    id row = id_new();
    struct query *q = SQL(tx, "INSERT INTO app_purchase_token (hash, account, purchase) VALUES ($1, $2, $3) "
                              "ON CONFLICT (hash) DO NOTHING");
    bind_blob(q, h->hash);
    bind_id(q, h->account.id);
    bind_id(q, row);
    TRY(query_run(q));
    if (query_changes(q) == 0) /* somebody was faster: the caller's transaction is of no use */
        return tx_fail(tx, FAIL(tx_fault(tx), ERR_BUSY, "the same purchase was handed over at the same time"));
    q = SQL(tx, "INSERT INTO app_purchase (account, id, item, package, receipt, license, bought, made, refunded) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL)");
    bind_id(q, h->account.id);
    bind_id(q, row);
    bind_text(q, h->is.item);
    bind_text(q, h->is.package);
    bind_blob(q, privacy_seal(a, h->key, "app_purchase", "receipt", row, h->is.receipt));
    bind_id(q, license.id);
    bind_time(q, h->is.bought);
    bind_time(q, clock_now(h->p->privacy.clock));
    return query_run(q);
}

static enum err known(struct tx *tx, const struct handing *h, id purchase, license_id *license, bool *refunded)
{
    struct query *q = SQL(tx, "SELECT license, refunded FROM app_purchase WHERE account = $1 AND id = $2");
    bind_id(q, h->account.id);
    bind_id(q, purchase);
    bool found = query_row(q);
    if (found) {
        license->id = row_id(q, 0);
        *refunded = !row_is_null(q, 1);
    }
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

static enum err refund(struct tx *tx, const struct handing *h, id purchase, license_id license)
{
    struct query *q = SQL(tx, "UPDATE app_purchase SET refunded = $3 WHERE account = $1 AND id = $2 AND refunded IS NULL");
    bind_id(q, h->account.id);
    bind_id(q, purchase);
    bind_time(q, clock_now(h->p->privacy.clock));
    TRY(query_run(q));
    enum err e = license_revoke(tx, h->p, h->account, license);
    return e == ERR_NOT_FOUND ? OK : e; /* its term has ended long ago */
}

static enum err first_time(struct tx *tx, const struct handing *h, license_id *out)
{
    const struct product *product = product_of_store_item(h->p, h->is.item);
    license_id license;
    if (h->is.state != SIGNED_PAID)
        return refuse(h, ERR_DENIED, PURCHASE_ERROR_PENDING);
    if (product == NULL)
        return refuse(h, ERR_INPUT, PURCHASE_ERROR_ITEM);
    enum err e = license_grant(tx, h->p, h->account, h->key, product, "store", &license);
    if (e == ERR_DENIED)
        return refuse(h, e, PURCHASE_ERROR_JOIN);
    TRY(e);
    TRY(take(tx, h, license));
    *out = license;
    return OK;
}

static enum err again(struct tx *tx, const struct handing *h, id purchase, license_id *out)
{
    license_id license;
    bool refunded = false;
    enum err e = known(tx, h, purchase, &license, &refunded);
    if (e == ERR_NOT_FOUND) /* refunded so long ago that it is forgotten */
        return refuse(h, ERR_DENIED, PURCHASE_ERROR_REFUNDED);
    TRY(e);
    if (h->is.state == SIGNED_REFUNDED)
        TRY(refund(tx, h, purchase, license));
    else if (refunded)
        return refuse(h, ERR_DENIED, PURCHASE_ERROR_REFUNDED);
    *out = license;
    return OK;
}

enum err purchase_hand_over(struct tx *tx, struct portal *p, account_id which, const struct key *k,
                            const struct store_purchase *s, license_id *out, const char **why)
{
    struct handing h = {.p = p, .account = which, .key = k, .said = s, .why = why};
    moment now = clock_now(p->privacy.clock);
    struct fault f = {0}; /* forged data is nothing that the operator's log must know at length */
    account_id owner = {{{0}}};
    bool enrolled;
    id purchase;
    enum err e = signed_verify(&purchases_of(p)->apps, tx_arena(tx), s->signature, now, &h.is, &f);
    if (e == ERR_DENIED) {
        log_event(p->privacy.log, LOG_INFO, "purchase-refused", LOG_TEXT("why", str_from(f.text)));
        return refuse(&h, ERR_DENIED, PURCHASE_ERROR_FORGED);
    }
    TRY(e);
    if (!said_is_signed(s, &h.is))
        return refuse(&h, ERR_INPUT, PURCHASE_ERROR_OTHER);
    if (h.is.bought > now + CLOCKS)
        return refuse(&h, ERR_INPUT, PURCHASE_ERROR_FUTURE);
    TRY(enrolment_active(tx, &p->privacy, which.id, STR(STORE_SERVICE), &enrolled));
    if (!enrolled)
        return refuse(&h, ERR_DENIED, PURCHASE_ERROR_JOIN);
    TRY(hash_token(tx, &h));
    TRY(find_token(tx, &h, &owner, &purchase));
    if (!id_is_none(purchase) && !id_eq(owner.id, which.id))
        return refuse(&h, ERR_CONFLICT, PURCHASE_ERROR_TAKEN);
    return id_is_none(purchase) ? first_time(tx, &h, out) : again(tx, &h, purchase, out);
}
