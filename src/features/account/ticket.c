/* Links that are mailed: account, ticket and a secret of which the store has the hash. */
#include "features/account/model.h"

#include <string.h>

enum err ticket_make(struct tx *tx, const struct privacy *p, account_id account,
                     const struct key *k, const char *kind, str password, str detail, moment ends,
                     str *token)
{
    struct arena *a = tx_arena(tx);
    struct bearer secret = bearer_new();
    id ticket = id_new();
    struct query *q = SQL(tx, "INSERT INTO ticket (account, id, kind, secret, password, detail, "
                              "made, ends) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    bind_id(q, account.id);
    bind_id(q, ticket);
    bind_text(q, str_from(kind));
    bind_blob(q, secret_hash(a, str_from(secret.text)));
    if (password.n > 0)
        bind_blob(q, privacy_seal(a, k, "ticket", "password", ticket, password));
    else
        bind_null(q);
    bind_text(q, detail.p ? detail : STR(""));
    bind_time(q, clock_now(p->clock));
    bind_time(q, ends);
    TRY(query_run(q));
    *token = str_fmt(a, "%s%s%s", account.id.text, ticket.text, secret.text);
    return OK;
}

enum err ticket_find(struct tx *tx, const struct privacy *p, const char *kind, str token,
                     struct ticket *out)
{
    struct arena *a = tx_arena(tx);
    struct ticket t = {0};
    CLEANUP(key_wipe) struct key k;
    if (token.n != TICKET_TOKEN_LENGTH ||
        id_parse(str_head(token, ID_LENGTH), &t.account.id) != OK ||
        id_parse(str_head(str_skip(token, ID_LENGTH), ID_LENGTH), &t.id) != OK)
        return ERR_NOT_FOUND;
    struct query *q = SQL(tx, "SELECT secret, password, detail FROM ticket "
                              "WHERE account = $1 AND id = $2 AND kind = $3 AND ends > $4");
    bind_id(q, t.account.id);
    bind_id(q, t.id);
    bind_text(q, str_from(kind));
    bind_time(q, clock_now(p->clock));
    str password = {NULL, 0};
    bool found = query_row(q) &&
                 secret_eq(row_blob(q, 0), secret_hash(a, str_skip(token, 2 * (size_t)ID_LENGTH)));
    if (found) {
        password = row_blob(q, 1);
        t.detail = row_text(q, 2);
    }
    TRY(query_end(q));
    if (!found)
        return ERR_NOT_FOUND;
    if (password.n > 0) {
        TRY(vault_subject_key(p->vault, t.account.id, &k, a, tx_fault(tx)));
        TRY(privacy_unseal(a, &k, "ticket", "password", t.id, password, &t.password, tx_fault(tx)));
    }
    *out = t;
    return OK;
}

enum err ticket_use(struct tx *tx, account_id account, const char *kind)
{
    struct query *q = SQL(tx, "DELETE FROM ticket WHERE account = $1 AND kind = $2");
    bind_id(q, account.id);
    bind_text(q, str_from(kind));
    return query_run(q);
}
