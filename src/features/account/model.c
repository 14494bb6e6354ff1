/* Accounts: finding, registering, confirming, signing in. */
#include "features/account/model.h"

#include <string.h>

#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/lookup.h"
#include "privacy/rights.h"
#include "privacy/trail.h"

#define CONFIRM_WITHIN MOMENT_DAY /* well before what was begun is erased (records.yaml), a margin early */
#define TELL_EVERY     MOMENT_HOUR

#define LOOKUP "account_email"

/* ---- finding ---- */

enum err account_get(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                     struct account *out)
{
    struct query *q = SQL(tx, "SELECT email, language, zone, country, made, unconfirmed, closed, "
                              "erase_at FROM account WHERE id = $1");
    (void)p;
    bind_id(q, which.id);
    bool found = query_row(q);
    str email = {NULL, 0};
    if (found) {
        email = row_blob(q, 0);
        *out = (struct account){.id = which,
                                .language = row_text(q, 1),
                                .zone = row_text(q, 2),
                                .country = row_text(q, 3),
                                .made = row_time(q, 4),
                                .unconfirmed = row_time(q, 5),
                                .closed = row_time(q, 6),
                                .erase_at = row_time(q, 7)};
    }
    TRY(query_end(q));
    if (!found)
        return ERR_NOT_FOUND;
    if (k != NULL)
        TRY(privacy_unseal(tx_arena(tx), k, "account", "email", which.id, email, &out->email,
                           tx_fault(tx)));
    return OK;
}

enum err account_find(struct tx *tx, const struct privacy *p, str address, account_id *out)
{
    struct email e;
    TRY(email_parse(tx_arena(tx), address, &e));
    return lookup_find(tx, p, LOOKUP, e.same, &out->id);
}

enum err account_log(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                     const char *kind)
{
    struct trail_event e = {.kind = str_from(kind)};
    return trail_add(tx, p, which.id, k, &e);
}

/* ---- mail ---- */

struct locale account_locale(const struct portal *p, struct arena *a, const struct account *x)
{
    const struct catalog *c = p->privacy.catalog;
    int l = catalog_find_language(c, x->language);
    l = l < 0 ? 0 : l;
    return (struct locale){l, catalog_language(c, l), x->zone.n ? str_cstr(a, x->zone) : NULL,
                           p->privacy.formats};
}

enum err account_mail(struct tx *tx, struct portal *p, const struct account *to,
                      const struct key *k, const char *kind, str address, str path,
                      const json_t *values)
{
    struct arena *a = tx_arena(tx);
    struct email e;
    struct locale l = account_locale(p, a, to);
    CLEANUP(json_done) json_t *all = values ? json_deep_copy(values) : json_object();
    TRY(tx_fail(tx, email_parse(a, address, &e)));
    json_put_str(all, "product", p->privacy.organisation->product);
    json_put_str(all, "email", to->email);
    struct mail mail = {.kind = kind,
                        .purpose = "deliver-messages",
                        .subject = to->id.id,
                        .key = k,
                        .to = e.wire,
                        .locale = &l,
                        .values = all};
    if (path.n > 0)
        mail.action_url = str_fmt(a, "%.*s%.*s", STR_FMT(p->settings->public_url), STR_FMT(path));
    if (strcmp(kind, "news-welcome") == 0) {
        str token;
        mail.purpose = "product-news";
        TRY(unsubscribe_token(&p->privacy, to->id, a, &token, tx_fault(tx)));
        mail.unsubscribe_url = str_fmt(a, "%.*s/unsubscribe?t=%.*s",
                                       STR_FMT(p->settings->public_url), STR_FMT(token));
    }
    return mail_add(tx, p->mailer, &mail);
}

/* ---- registering ---- */

enum err account_place(struct tx *tx, struct portal *p, account_id which, str region)
{
    return p->place ? p->place(tx, p, which.id, region) : OK;
}

static enum err insert_account(struct tx *tx, struct portal *portal, account_id which,
                               const struct key *k, const struct email *email, str hash,
                               const char *language, const char *zone, str country, bool confirmed)
{
    const struct privacy *p = &portal->privacy;
    struct arena *a = tx_arena(tx);
    moment now = clock_now(p->clock);
    TRY(account_place(tx, portal, which, country));
    struct query *q =
        SQL(tx, "INSERT INTO account (id, email, password, language, zone, country, made, "
                "unconfirmed, closed, erase_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, NULL)");
    bind_id(q, which.id);
    bind_blob(q, privacy_seal(a, k, "account", "email", which.id, email->shown));
    bind_blob(q, privacy_seal(a, k, "account", "password", which.id, hash));
    bind_text(q, str_from(language));
    bind_text(q, str_from(zone ? zone : ""));
    bind_text(q, country);
    bind_time(q, now);
    if (confirmed)
        bind_null(q);
    else
        bind_time(q, now);
    TRY(query_run(q));
    return lookup_add(tx, p, LOOKUP, email->same, which.id);
}

/*
 * What a registration chose travels with its own link: the password, and news, by the language that
 * the question was asked in. Only the address's owner can open the link, so nobody can choose for
 * somebody else.
 */
static enum err send_confirmation(struct tx *tx, struct portal *p, const struct account *x,
                                  const struct key *k, const struct registration *r)
{
    str token, news = r->news ? str_from(r->locale->code) : (str){NULL, 0};
    moment ends = clock_now(p->privacy.clock) + CONFIRM_WITHIN;
    TRY(ticket_make(tx, &p->privacy, x->id, k, TICKET_CONFIRM, r->password_hash, news, ends, &token));
    return account_mail(tx, p, x, k, "confirm", x->email,
                        str_fmt(tx_arena(tx), "/verify-email?t=%.*s", STR_FMT(token)), NULL);
}

/* Did the owner hear of it already within the hour? Nobody can fill a stranger's mailbox. */
static enum err told_lately(struct tx *tx, const struct privacy *p, account_id which,
                            const char *kind, bool *yes)
{
    struct query *q = SQL(tx, "SELECT 1 FROM mail WHERE subject = $1 AND kind = $2 AND made > $3 LIMIT 1");
    bind_id(q, which.id);
    bind_text(q, str_from(kind));
    bind_time(q, clock_now(p->clock) - TELL_EVERY);
    *yes = query_row(q);
    return query_end(q);
}

static enum err count_tickets(struct tx *tx, account_id which, const char *kind, int64_t *n)
{
    struct query *q = SQL(tx, "SELECT count(*) FROM ticket WHERE account = $1 AND kind = $2");
    bind_id(q, which.id);
    bind_text(q, str_from(kind));
    *n = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

/* A new attempt has the time that its mail promises: what was begun lasts as long as its last link. */
static enum err begin_anew(struct tx *tx, const struct privacy *p, account_id which)
{
    struct query *q = SQL(tx, "UPDATE account SET unconfirmed = $2 WHERE id = $1 AND unconfirmed IS NOT NULL");
    bind_id(q, which.id);
    bind_time(q, clock_now(p->clock));
    return query_run(q);
}

/* The address is known: its owner is told, the visitor sees nothing. */
static enum err register_known(struct tx *tx, struct portal *p, const struct registration *r,
                               account_id which)
{
    enum { MAX_LINKS = 5 };
    CLEANUP(key_wipe) struct key k;
    struct account x;
    bool lately;
    int64_t links;
    TRY(vault_subject_key(p->privacy.vault, which.id, &k, tx_arena(tx), tx_fault(tx)));
    TRY(account_get(tx, &p->privacy, which, &k, &x));
    if (x.unconfirmed) {
        TRY(count_tickets(tx, which, TICKET_CONFIRM, &links));
        if (links >= MAX_LINKS)
            return OK;
        TRY(begin_anew(tx, &p->privacy, which));
        return send_confirmation(tx, p, &x, &k, r);
    }
    TRY(told_lately(tx, &p->privacy, which, "known", &lately));
    if (lately || x.closed)
        return OK;
    return account_mail(tx, p, &x, &k, "known", x.email, STR("/sign-in"), NULL);
}

enum err account_new_key(struct portal *p, id subject, const char *kind, struct key *k, struct arena *a,
                         struct fault *f)
{
    enum err e = vault_subject_key(p->privacy.vault, subject, k, a, f);
    if (e != ERR_NOT_FOUND)
        return e;
    fault_clear(f);
    TRY(vault_add_subject(p->privacy.vault, subject, kind, a, f));
    return vault_subject_key(p->privacy.vault, subject, k, a, f);
}

static enum err register_new(struct tx *tx, struct portal *p, const struct registration *r)
{
    CLEANUP(key_wipe) struct key k;
    account_id which = {r->id};
    TRY(account_new_key(p, which.id, "account", &k, tx_arena(tx), tx_fault(tx)));
    TRY(insert_account(tx, p, which, &k, &r->email, r->password_hash, r->locale->code,
                       r->locale->zone, r->country, false));
    struct account x = {.id = which,
                        .email = r->email.shown,
                        .language = str_from(r->locale->code),
                        .zone = str_from(r->locale->zone)};
    return send_confirmation(tx, p, &x, &k, r);
}

enum err account_register(struct tx *tx, struct portal *p, const struct registration *r)
{
    account_id which;
    enum err e = lookup_find(tx, &p->privacy, LOOKUP, r->email.same, &which.id);
    if (e == ERR_NOT_FOUND)
        return register_new(tx, p, r);
    TRY(e);
    return register_known(tx, p, r, which);
}

struct making {
    struct portal *p;
    account_id which;
    struct email email;
    str hash;
    const char *language, *zone;
};

static enum err make(struct tx *tx, void *arg)
{
    struct making *m = arg;
    CLEANUP(key_wipe) struct key k;
    TRY(vault_subject_key(m->p->privacy.vault, m->which.id, &k, tx_arena(tx), tx_fault(tx)));
    return insert_account(tx, m->p, m->which, &k, &m->email, m->hash, m->language,
                          m->zone, STR(""), true);
}

enum err account_make(struct portal *p, str address, str hash, const char *language,
                      const char *zone, struct arena *a, account_id *out, struct fault *f)
{
    struct making m = {
        .p = p, .which = {id_new()}, .hash = hash, .language = language, .zone = zone};
    if (email_parse(a, address, &m.email) != OK)
        return FAIL(f, ERR_INPUT, "not a mail address");
    TRY(vault_add_subject(p->privacy.vault, m.which.id, "account", a, f));
    TRY(db_transact(p->privacy.db, a, f, make, &m));
    *out = m.which;
    return OK;
}

enum err account_write_password(struct tx *tx, const struct key *k, account_id which, str hash)
{
    struct query *q = SQL(tx, "UPDATE account SET password = $2 WHERE id = $1");
    bind_id(q, which.id);
    bind_blob(q, privacy_seal(tx_arena(tx), k, "account", "password", which.id, hash));
    return query_run(q);
}

enum err account_confirm(struct tx *tx, struct portal *p, str token)
{
    struct ticket t;
    struct account x;
    CLEANUP(key_wipe) struct key k;
    TRY(ticket_find(tx, &p->privacy, TICKET_CONFIRM, token, &t));
    TRY(vault_subject_key(p->privacy.vault, t.account.id, &k, tx_arena(tx), tx_fault(tx)));
    TRY(account_get(tx, &p->privacy, t.account, &k, &x));
    if (x.closed)
        return ERR_NOT_FOUND;
    struct query *q = SQL(tx, "UPDATE account SET unconfirmed = NULL WHERE id = $1");
    bind_id(q, t.account.id);
    TRY(query_run(q));
    TRY(account_write_password(tx, &k, t.account, t.password));
    TRY(ticket_use(tx, t.account, TICKET_CONFIRM));
    if (t.detail.n == 0)
        return OK;
    return account_set_news(tx, p, t.account, true, str_cstr(tx_arena(tx), t.detail),
                            CONSENT_WAY_SIGN_UP);
}

/* ---- signing in ---- */

static enum err stored_hash(struct tx *tx, const struct privacy *p, account_id which, str *hash)
{
    CLEANUP(key_wipe) struct key k;
    struct query *q = SQL(tx, "SELECT password FROM account WHERE id = $1");
    bind_id(q, which.id);
    str sealed = query_row(q) ? row_blob(q, 0) : (str){NULL, 0};
    TRY(query_end(q));
    if (sealed.n == 0)
        return ERR_NOT_FOUND;
    TRY(vault_subject_key(p->vault, which.id, &k, tx_arena(tx), tx_fault(tx)));
    return privacy_unseal(tx_arena(tx), &k, "account", "password", which.id, sealed, hash,
                          tx_fault(tx));
}

/* As much is read for an address that nobody has, so that the time tells nothing. */
static void read_nobody(struct tx *tx, const struct privacy *p)
{
    CLEANUP(key_wipe) struct key k;
    struct account x;
    struct fault ignored = {0};
    account_id nobody = {id_new()};
    str hash;
    enum err e[] = {stored_hash(tx, p, nobody, &hash),
                    vault_subject_key(p->vault, nobody.id, &k, tx_arena(tx), &ignored),
                    account_get(tx, p, nobody, NULL, &x)};
    (void)e; /* there is none: that is the answer */
}

enum err account_sign_in(struct portal *p, str address, struct secret password, struct arena *a,
                         struct fault *f, enum sign_in *result, account_id *out, bool *dated, str *proved)
{
    struct account x = {0};
    str hash = {NULL, 0};
    struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, f);
    enum err e = account_find(tx, &p->privacy, address, out);
    if (e == OK)
        e = stored_hash(tx, &p->privacy, *out, &hash);
    if (e == OK)
        e = account_get(tx, &p->privacy, *out, NULL, &x);
    if (e == ERR_NOT_FOUND || e == ERR_INPUT)
        read_nobody(tx, &p->privacy);
    tx_end(&tx);
    if (e != OK && e != ERR_NOT_FOUND && e != ERR_INPUT)
        return e;
    fault_clear(f);
    bool right = password_verify(p->passwords, password, hash);
    *dated = right && password_is_dated(p->passwords, hash);
    /* Whoever has just signed up with an address learns nothing by signing in: were it known, theirs would be
     * another's password, too (MYA-15). */
    *result = !right || x.unconfirmed ? SIGN_IN_WRONG : x.closed ? SIGN_IN_CLOSED : SIGN_IN_OK;
    *proved = hash;
    return OK;
}

enum err account_own_words(struct tx *tx, const struct privacy *p, const struct account *x, str *out)
{
    struct arena *a = tx_arena(tx);
    struct buf b = buf_new(a, 64 << 10);
    buf_put(&b, x->email);
    for (size_t i = 0; i < p->inventory->n_accounts; i++) {
        const struct service_account *s = &p->inventory->accounts[i];
        struct enrolment e;
        str *answers = ARENA_ARRAY(a, str, s->n_form + 1);
        if (s->n_form == 0)
            continue;
        TRY(enrolment_get(tx, p, x->id.id, s, &e));
        if (e.state == ENROLMENT_NONE)
            continue;
        TRY(enrolment_answers(tx, p, x->id.id, s, &e, answers));
        for (size_t k = 0; k < s->n_form; k++)
            buf_fmt(&b, " %.*s", STR_FMT(answers[k]));
    }
    *out = buf_str(&b);
    return OK;
}

enum err account_still(struct tx *tx, const struct privacy *p, account_id which, str proved, bool *yes)
{
    struct account x;
    str hash = {NULL, 0};
    *yes = false;
    enum err e = account_get(tx, p, which, NULL, &x);
    if (e == OK)
        e = stored_hash(tx, p, which, &hash);
    if (e == ERR_NOT_FOUND) { /* erased meanwhile */
        fault_clear(tx_fault(tx));
        return OK;
    }
    TRY(e);
    *yes = !x.closed && !x.unconfirmed && secret_eq(hash, proved);
    return OK;
}

enum err account_check_password(struct portal *p, account_id which, struct secret password,
                                struct arena *a, struct fault *f, bool *right)
{
    str hash;
    struct tx *tx = tx_begin(p->privacy.db, TX_READ, a, f);
    enum err e = stored_hash(tx, &p->privacy, which, &hash);
    tx_end(&tx);
    TRY(e);
    *right = password_verify(p->passwords, password, hash);
    return OK;
}
