/*
 * A security question (spec KBH-07, KBH-08, KSC-04): beside the mailed link, never in its place. Kept for
 * members of services that declare it; the answer is hashed like a password, without regard to capitals
 * and blanks, and few answers can be tried in a day.
 */
#include "features/account/model.h"

#include "privacy/enrolment.h"
#include "text/fold.h"

#define OFFER    "security-question"
#define COUNTED  MOMENT_DAY

enum err question_offered(struct tx *tx, const struct privacy *p, account_id which, bool *yes)
{
    *yes = false;
    for (size_t i = 0; i < p->inventory->n_accounts && !*yes; i++) {
        const struct service_account *s = &p->inventory->accounts[i];
        if (service_account_offers(s, OFFER))
            TRY(enrolment_active(tx, p, which.id, s->service, yes));
    }
    return OK;
}

enum err question_get(struct tx *tx, account_id which, const struct key *k,
                      struct own_question *out)
{
    struct arena *a = tx_arena(tx);
    struct query *q = SQL(tx, "SELECT id, question, answer, made FROM security_question WHERE account = $1 LIMIT 1");
    bind_id(q, which.id);
    *out = (struct own_question){.there = query_row(q)};
    if (!out->there)
        return query_end(q);
    id row = row_id(q, 0);
    str question = row_blob(q, 1), answer = row_blob(q, 2);
    out->made = row_time(q, 3);
    TRY(query_end(q));
    TRY(privacy_unseal(a, k, "security_question", "question", row, question, &out->question, tx_fault(tx)));
    return privacy_unseal(a, k, "security_question", "answer", row, answer, &out->answer_hash, tx_fault(tx));
}

enum err question_remove(struct tx *tx, account_id which)
{
    struct query *q = SQL(tx, "DELETE FROM security_question WHERE account = $1");
    bind_id(q, which.id);
    TRY(query_run(q));
    q = SQL(tx, "DELETE FROM answer_try WHERE account = $1");
    bind_id(q, which.id);
    return query_run(q);
}

str question_answer(struct arena *a, str typed)
{
    return text_fold(a, typed);
}

enum err question_set(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                      str question, str answer_hash)
{
    struct arena *a = tx_arena(tx);
    id row = id_new();
    TRY(question_remove(tx, which));
    struct query *q = SQL(tx, "INSERT INTO security_question (account, id, question, answer, made) "
                              "VALUES ($1, $2, $3, $4, $5)");
    bind_id(q, which.id);
    bind_id(q, row);
    bind_blob(q, privacy_seal(a, k, "security_question", "question", row, question));
    bind_blob(q, privacy_seal(a, k, "security_question", "answer", row, answer_hash));
    bind_time(q, clock_now(p->clock));
    return query_run(q);
}

/* ---- answering ---- */

struct trying {
    const struct privacy *p;
    account_id which;
    bool allowed;
};

/* Counted before it is looked at, so that answers which come together are counted together. */
static enum err take_try(struct tx *tx, void *arg)
{
    struct trying *t = arg;
    moment now = clock_now(t->p->clock);
    struct query *q = SQL(tx, "SELECT count(*) FROM answer_try WHERE account = $1 AND ends > $2");
    bind_id(q, t->which.id);
    bind_time(q, now);
    t->allowed = query_row(q) && row_int(q, 0) < ANSWERS_A_DAY;
    TRY(query_end(q));
    if (!t->allowed)
        return OK;
    q = SQL(tx, "INSERT INTO answer_try (account, id, made, ends) VALUES ($1, $2, $3, $4)");
    bind_id(q, t->which.id);
    bind_id(q, id_new());
    bind_time(q, now);
    bind_time(q, now + COUNTED);
    return query_run(q);
}

enum err question_try(struct request *req, account_id which, bool *allowed)
{
    const struct privacy *p = request_privacy(req);
    struct trying *t = request_memo(req, "answer", sizeof *t);
    if (t->p == NULL) { /* not in an earlier attempt */
        struct trying x = {p, which, false};
        TRY(db_transact(p->db, req->arena, req->fault, take_try, &x));
        *t = x;
    }
    *allowed = t->allowed;
    return OK;
}

enum err question_left(struct tx *tx, struct portal *p, id account)
{
    bool offered;
    struct account x;
    TRY(account_get(tx, &p->privacy, (account_id){account}, NULL, &x));
    if (x.closed) /* it may be opened again; if not, all of it goes */
        return OK;
    TRY(question_offered(tx, &p->privacy, (account_id){account}, &offered));
    return offered ? OK : question_remove(tx, (account_id){account});
}
