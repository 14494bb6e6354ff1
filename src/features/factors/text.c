/*
 * Codes by text message. A number is kept for this alone (spec MYA-09): beside its owner's own page and copy,
 * read_number() is the one place that opens it, and hands it to work/sms.h, which can say nothing but a code.
 *
 * Handed over at most once: as with mail, the step is noted before it is taken, and what ends without
 * an answer is not sent again; the person is told, and asks for another.
 */
#include "features/factors/model.h"

#include <string.h>

#include <sodium.h>

#define LABEL       "troth text code"
#define MARK        "phone-number" /* the vault's secret that numbers are counted under */
#define WAITS       (30 * MOMENT_MINUTE)
#define COUNTED     MOMENT_DAY

/* ---- the number ---- */

static enum err remove_phone(struct tx *tx, account_id which, const char *state, bool *was_there)
{
    struct query *q = SQL(tx, "DELETE FROM phone WHERE account = $1 AND state = $2");
    bind_id(q, which.id);
    bind_text(q, str_from(state));
    TRY(query_run(q));
    *was_there = query_changes(q) > 0;
    return OK;
}

enum err phone_begin(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                     str number, id *phone)
{
    struct arena *a = tx_arena(tx);
    struct vault_hashes mark;
    id fresh = id_new();
    moment now = clock_now(p->clock);
    bool there;
    TRY(vault_hash(p->vault, MARK, number, &mark, a, tx_fault(tx)));
    TRY(remove_phone(tx, which, PHONE_NEW, &there));
    struct query *q = SQL(tx, "INSERT INTO phone (account, id, state, number, ending, mark, made, ends) "
                              "VALUES ($1, $2, 'new', $3, $4, $5, $6, $7)");
    bind_id(q, which.id);
    bind_id(q, fresh);
    bind_blob(q, privacy_seal(a, k, "phone", "number", fresh, number));
    bind_blob(q, privacy_seal(a, k, "phone", "ending", fresh, str_skip(number, number.n - 2)));
    bind_blob(q, str_of(mark.bytes[0], VAULT_HASH_BYTES));
    bind_time(q, now);
    bind_time(q, now + WAITS);
    *phone = fresh;
    return query_run(q);
}

enum err phone_waiting(struct tx *tx, const struct privacy *p, account_id which,
                       const struct key *k, id *phone, str *ending)
{
    struct query *q = SQL(tx, "SELECT id, ending FROM phone "
                              "WHERE account = $1 AND state = 'new' AND ends > $2");
    bind_id(q, which.id);
    bind_time(q, clock_now(p->clock));
    bool found = query_row(q);
    str sealed = {NULL, 0};
    if (found) {
        *phone = row_id(q, 0);
        sealed = row_blob(q, 1);
    }
    TRY(query_end(q));
    if (!found)
        return ERR_NOT_FOUND;
    return privacy_unseal(tx_arena(tx), k, "phone", "ending", *phone, sealed, ending, tx_fault(tx));
}

/* In place of one that was on. ERR_NOT_FOUND: it waits no longer. */
static enum err put_on(struct tx *tx, const struct privacy *p, account_id which, id phone)
{
    bool there;
    TRY(remove_phone(tx, which, PHONE_ON, &there));
    struct query *q = SQL(tx, "UPDATE phone SET state = 'on', made = $3, ends = NULL "
                              "WHERE account = $1 AND id = $2 AND state = 'new'");
    bind_id(q, which.id);
    bind_id(q, phone);
    bind_time(q, clock_now(p->clock));
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_NOT_FOUND;
}

enum err phone_turn_on(struct tx *tx, const struct privacy *p, account_id which,
                       const struct key *k, id phone, str code, bool *right)
{
    TRY(text_use(tx, p, which, k, phone, code, right));
    if (!*right)
        return OK;
    enum err e = put_on(tx, p, which, phone);
    *right = e == OK;
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err phone_give(struct tx *tx, const struct privacy *p, account_id which, const struct key *k, str number)
{
    id phone;
    TRY(phone_begin(tx, p, which, k, number, &phone));
    return put_on(tx, p, which, phone);
}

enum err phone_turn_off(struct tx *tx, const struct clock *clock, account_id which, bool *was_on)
{
    bool waiting;
    TRY(remove_phone(tx, which, PHONE_NEW, &waiting));
    TRY(remove_phone(tx, which, PHONE_ON, was_on));
    /* Codes are void; that they were sent stays counted for its day. */
    struct query *q = SQL(tx, "UPDATE text_code SET code = NULL, ends = $2 WHERE account = $1 AND ends > $2");
    bind_id(q, which.id);
    bind_time(q, clock_now(clock));
    return query_run(q);
}

/* ---- asking for a code ---- */

struct asking {
    struct portal *p;
    account_id account;
    const struct key *key;
    id phone, about;
    str mark;
    moment now;
    str language;
};

static enum err find_phone(struct tx *tx, struct asking *x, const char *state)
{
    struct query *q = SQL(tx, "SELECT id, mark FROM phone WHERE account = $1 AND state = $2 AND "
                              "(ends IS NULL OR ends > $3)");
    bind_id(q, x->account.id);
    bind_text(q, str_from(state));
    bind_time(q, x->now);
    bool found = query_row(q);
    if (found) {
        x->phone = row_id(q, 0);
        x->mark = row_blob(q, 1);
    }
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

static enum err count_rows(struct query *q, int64_t *n)
{
    *n = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

/* By account, by number (whoever asks), and for the whole portal. */
static enum err within_limits(struct tx *tx, const struct asking *x, bool *yes)
{
    static const struct {
        moment span;
        int64_t most;
    } limits[] = {{MOMENT_HOUR, TEXTS_AN_HOUR}, {MOMENT_DAY, TEXTS_A_DAY}};
    int64_t own, number, all;
    *yes = true;
    for (size_t i = 0; i < COUNT(limits) && *yes; i++) {
        struct query *q = SQL(tx, "SELECT count(*) FROM text_code WHERE account = $1 AND made > $2");
        bind_id(q, x->account.id);
        bind_time(q, x->now - limits[i].span);
        TRY(count_rows(q, &own));
        q = SQL(tx, "SELECT count(*) FROM text_sent WHERE mark = $1 AND made > $2");
        bind_blob(q, x->mark);
        bind_time(q, x->now - limits[i].span);
        TRY(count_rows(q, &number));
        *yes = own < limits[i].most && number < limits[i].most;
    }
    struct query *q = SQL(tx, "SELECT count(*) FROM text_sent WHERE made > $1");
    bind_time(q, x->now - MOMENT_DAY);
    TRY(count_rows(q, &all));
    *yes &= all < x->p->settings->sms_per_day;
    return OK;
}

static enum err asked_just_now(struct tx *tx, const struct asking *x, bool *yes)
{
    struct query *q = SQL(tx, "SELECT count(*) FROM text_code WHERE account = $1 AND about = $2 AND "
                              "phone = $3 AND made > $4 AND used IS NULL AND state IN "
                              "('queued', 'handing-over', 'sent')");
    int64_t n;
    bind_id(q, x->account.id);
    bind_id(q, x->about);
    bind_id(q, x->phone);
    bind_time(q, x->now - TEXT_PAUSE);
    TRY(count_rows(q, &n));
    *yes = n > 0;
    return OK;
}

static str code_hash(struct arena *a, const struct key *k, id row, str code)
{
    return factor_hash(a, k, LABEL, str_fmt(a, "%s %.*s", row.text, STR_FMT(code)));
}

static enum err insert_code(struct tx *tx, const struct asking *x, id row)
{
    struct arena *a = tx_arena(tx);
    str code = str_fmt(a, "%06u", randombytes_uniform(1000000));
    struct query *q =
        SQL(tx, "INSERT INTO text_code (account, id, phone, about, code, hash, language, state, tries, "
                "made, ends, used, gone) VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', 0, $8, $9, NULL, $10)");
    bind_id(q, x->account.id);
    bind_id(q, row);
    bind_id(q, x->phone);
    bind_id(q, x->about);
    bind_blob(q, privacy_seal(a, x->key, "text_code", "code", row, code));
    bind_blob(q, code_hash(a, x->key, row, code));
    bind_text(q, x->language);
    bind_time(q, x->now);
    bind_time(q, x->now + TEXT_LASTS);
    bind_time(q, x->now + COUNTED);
    TRY(query_run(q));
    q = SQL(tx, "INSERT INTO text_sent (id, mark, made, ends) VALUES ($1, $2, $3, $4)");
    bind_id(q, id_new());
    bind_blob(q, x->mark);
    bind_time(q, x->now);
    bind_time(q, x->now + COUNTED);
    return query_run(q);
}

static enum err void_older(struct tx *tx, const struct asking *x)
{
    struct query *q = SQL(tx, "UPDATE text_code SET ends = $3, code = NULL WHERE account = $1 AND "
                              "about = $2 AND ends > $3");
    bind_id(q, x->account.id);
    bind_id(q, x->about);
    bind_time(q, x->now);
    return query_run(q);
}

enum err text_ask(struct tx *tx, struct portal *p, account_id which, const struct key *k,
                  const char *state, id about, const char *language, enum text_asked *asked)
{
    struct asking x = {.p = p, .account = which, .key = k, .about = about,
                       .now = clock_now(p->privacy.clock), .language = str_from(language)};
    bool just_now, within;
    id row = id_new();
    *asked = TEXT_COMES;
    TRY(find_phone(tx, &x, state));
    TRY(asked_just_now(tx, &x, &just_now));
    if (just_now)
        return OK;
    TRY(within_limits(tx, &x, &within));
    if (!within) {
        *asked = TEXT_TOO_MANY;
        return OK;
    }
    TRY(void_older(tx, &x));
    TRY(insert_code(tx, &x, row));
    return job_add(tx, p->privacy.clock, JOB_TEXT, which.id, str_dup(tx_arena(tx), id_str(&row)),
                   str_fmt(tx_arena(tx), "text:%s", row.text), x.now);
}

/* ---- using it ---- */

struct taking {
    account_id account;
    id about;
    moment now;
};

static enum err take_try(struct tx *tx, void *arg)
{
    const struct taking *t = arg;
    struct query *q = SQL(tx, "UPDATE text_code SET tries = tries + 1 WHERE account = $1 AND "
                              "about = $2 AND used IS NULL AND ends > $3");
    bind_id(q, t->account.id);
    bind_id(q, t->about);
    bind_time(q, t->now);
    return query_run(q);
}

enum err text_take_try(struct request *req, account_id which, id about)
{
    struct taking *t = request_memo(req, "try of a text", sizeof *t);
    if (t->now != 0) /* in an earlier attempt */
        return OK;
    struct taking x = {which, about, clock_now(request_privacy(req)->clock)};
    TRY(db_transact(request_privacy(req)->db, req->arena, req->fault, take_try, &x));
    *t = x;
    return OK;
}

enum err text_use(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                  id about, str code, bool *right)
{
    moment now = clock_now(p->clock);
    struct query *q =
        SQL(tx, "SELECT id, hash FROM text_code WHERE account = $1 AND about = $2 AND used IS NULL "
                "AND ends > $3 AND tries <= $4 AND phone IN (SELECT id FROM phone WHERE account = $1) "
                "ORDER BY made DESC LIMIT 1");
    bind_id(q, which.id);
    bind_id(q, about);
    bind_time(q, now);
    bind_int(q, TEXT_TRIES);
    id row = {{0}};
    *right = false;
    if (query_row(q)) {
        row = row_id(q, 0);
        *right = secret_eq(row_blob(q, 1), code_hash(tx_arena(tx), k, row, code));
    }
    TRY(query_end(q));
    if (!*right)
        return OK;
    q = SQL(tx, "UPDATE text_code SET used = $3, code = NULL WHERE account = $1 AND id = $2 AND used IS NULL");
    bind_id(q, which.id);
    bind_id(q, row);
    bind_time(q, now);
    TRY(query_run(q));
    *right = query_changes(q) == 1;
    return OK;
}

enum err text_state(struct tx *tx, const struct privacy *p, account_id which, id about, str *state)
{
    struct query *q = SQL(tx, "SELECT state FROM text_code WHERE account = $1 AND about = $2 AND "
                              "used IS NULL AND ends > $3 ORDER BY made DESC LIMIT 1");
    bind_id(q, which.id);
    bind_id(q, about);
    bind_time(q, clock_now(p->clock));
    *state = query_row(q) ? row_text(q, 0) : STR("none");
    if (str_is(*state, "handing-over"))
        *state = STR("queued"); /* the same to a person: it is on its way */
    return query_end(q);
}

/* ---- sending ---- */

struct sending {
    struct portal *p;
    id account, row;
    str state, language;
    str number, code; /* opened */
    moment ends;
    str next; /* the state that it is to have */
    bool elsewhere;
    struct arena *arena;
    struct fault *fault;
};

/* The one place where a number is opened. */
static enum err read_number(struct tx *tx, struct sending *s, const struct key *k, id phone)
{
    struct query *q = SQL(tx, "SELECT number FROM phone WHERE account = $1 AND id = $2");
    bind_id(q, s->account);
    bind_id(q, phone);
    str sealed = query_row(q) ? row_blob(q, 0) : (str){NULL, 0};
    TRY(query_end(q));
    if (sealed.n == 0)
        return ERR_NOT_FOUND; /* removed meanwhile */
    return privacy_unseal(tx_arena(tx), k, "phone", "number", phone, sealed, &s->number, tx_fault(tx));
}

/* ERR_NOT_FOUND: there is nothing to send any more. */
static enum err read_message(struct tx *tx, struct sending *s)
{
    CLEANUP(key_wipe) struct key k;
    struct query *q = SQL(tx, "SELECT phone, code, state, language, ends FROM text_code "
                              "WHERE account = $1 AND id = $2 AND code IS NOT NULL");
    bind_id(q, s->account);
    bind_id(q, s->row);
    bool found = query_row(q);
    id phone = {{0}};
    str code = {NULL, 0};
    if (found) {
        phone = row_id(q, 0);
        code = row_blob(q, 1);
        s->state = row_text(q, 2);
        s->language = row_text(q, 3);
        s->ends = row_time(q, 4);
    }
    TRY(query_end(q));
    if (!found)
        return ERR_NOT_FOUND;
    TRY(vault_subject_key(s->p->privacy.vault, s->account, &k, tx_arena(tx), tx_fault(tx)));
    TRY(privacy_unseal(tx_arena(tx), &k, "text_code", "code", s->row, code, &s->code, tx_fault(tx)));
    return read_number(tx, s, &k, phone);
}

static enum err hand_over(struct tx *tx, void *arg)
{
    struct sending *s = arg;
    struct query *q = SQL(tx, "UPDATE text_code SET state = 'handing-over' "
                              "WHERE account = $1 AND id = $2 AND state = 'queued'");
    bind_id(q, s->account);
    bind_id(q, s->row);
    TRY(query_run(q));
    s->elsewhere = query_changes(q) == 0;
    return s->elsewhere ? ERR_CONFLICT : OK;
}

static enum err before_sms(void *arg)
{
    struct sending *s = arg;
    return db_transact(s->p->privacy.db, s->arena, s->fault, hand_over, s);
}

static enum err set_state(struct tx *tx, void *arg)
{
    struct sending *s = arg;
    bool again = str_is(s->next, "queued"); /* the code is still needed */
    struct query *q =
        again ? SQL(tx, "UPDATE text_code SET state = $3 WHERE account = $1 AND id = $2")
              : SQL(tx, "UPDATE text_code SET state = $3, code = NULL WHERE account = $1 AND id = $2");
    bind_id(q, s->account);
    bind_id(q, s->row);
    bind_text(q, s->next);
    return query_run(q);
}

static enum err move_to(struct sending *s, const char *state)
{
    s->next = str_from(state);
    return db_transact(s->p->privacy.db, s->arena, s->fault, set_state, s);
}

static enum err deliver(struct sending *s)
{
    const struct privacy *p = &s->p->privacy;
    int l = catalog_find_language(p->catalog, s->language);
    struct locale locale = {l < 0 ? 0 : l, catalog_language(p->catalog, l < 0 ? 0 : l), NULL, p->formats};
    struct sms_code c = {s->row, &locale, s->number, {s->code}};
    long status;
    int64_t reason;
    enum sms_result r = sms_send_code(s->p->texts, &c, before_sms, s, &status, &reason);
    if (s->elsewhere)
        return FAIL(s->fault, ERR_BUSY, "another worker has the message");
    if (r != SMS_SENT)
        log_event(p->log, r == SMS_LATER ? LOG_INFO : LOG_WARNING, "text-not-sent",
                  LOG_TEXT("code", id_str(&s->row)), LOG_INT("status", status), LOG_INT("reason", reason));
    switch (r) {
    case SMS_SENT:
        return move_to(s, "sent");
    case SMS_REFUSED:
        return move_to(s, "refused");
    case SMS_UNCERTAIN:
        return move_to(s, "uncertain");
    case SMS_LATER:
        TRY(move_to(s, "queued"));
        return FAIL(s->fault, ERR_BUSY, "the gateway does not take it now (%ld)", status);
    }
    return ERR_IO;
}

static enum err send_text(struct sending *s)
{
    const struct privacy *p = &s->p->privacy;
    struct tx *tx = tx_begin(p->db, TX_READ, s->arena, s->fault);
    enum err e = read_message(tx, s);
    tx_end(&tx);
    if (e == ERR_NOT_FOUND) {
        fault_clear(s->fault);
        return OK;
    }
    TRY(e);
    if (s->ends <= clock_now(p->clock) || s->p->texts == NULL)
        return move_to(s, "late");
    if (str_is(s->state, "handing-over")) { /* a worker died in the middle of it */
        log_event(p->log, LOG_WARNING, "text-uncertain", LOG_TEXT("code", id_str(&s->row)));
        return move_to(s, "uncertain");
    }
    return str_is(s->state, "queued") ? deliver(s) : OK;
}

enum err run_text(struct job_run *r)
{
    struct sending s = {.p = r->app, .account = r->job.subject, .arena = r->arena, .fault = r->fault};
    TRY(id_parse(r->job.payload, &s.row));
    return send_text(&s);
}

/* ---- the proof ---- */

/* One number a person at most, none that waits past its time, and no code that can be read after it went
 * out. */
enum err check_numbers(struct check *c)
{
    int64_t numbers, people, left, readable;
    TRY(count_rows(SQL(c->tx, "SELECT count(*) FROM phone WHERE state = 'on'"), &numbers));
    TRY(count_rows(SQL(c->tx, "SELECT count(DISTINCT account) FROM phone WHERE state = 'on'"), &people));
    struct query *q = SQL(c->tx, "SELECT count(*) FROM phone WHERE state <> 'on' AND "
                                 "(ends IS NULL OR ends < $1)");
    bind_time(q, clock_now(c->p->clock) - MOMENT_DAY);
    TRY(count_rows(q, &left));
    TRY(count_rows(SQL(c->tx, "SELECT count(*) FROM text_code WHERE code IS NOT NULL AND "
                              "state NOT IN ('queued', 'handing-over')"), &readable));
    bool kept = numbers == people && left == 0 && readable == 0;
    json_put_int(c->values, "count", numbers);
    c->verdict = kept ? VERDICT_KEPT : VERDICT_BROKEN;
    c->evidence = kept ? MSG("evidence.numbers") : MSG("evidence.numbers-broken");
    return OK;
}
