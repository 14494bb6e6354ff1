/* Licenses: adding them, their state, their end. */
#include "features/licenses/model.h"

#include <string.h>

#include "privacy/enrolment.h"

/* ---- reading ---- */

#define COLUMNS                                                                                    \
    "id, product, application, origin, lot, term, leeway, devices, hash, added, activated, expires, " \
    "revoked, look_at, mandate"

static enum err read_row(struct query *q, struct tx *tx, account_id which, struct license_row *out)
{
    *out = (struct license_row){.id = {row_id(q, 0)},
                                .account = which,
                                .product = row_text(q, 1),
                                .application = row_text(q, 2),
                                .origin = row_text(q, 3),
                                .lot = row_text(q, 4),
                                .devices = row_int(q, 7),
                                .hash = row_blob(q, 8),
                                .added = row_time(q, 9),
                                .activated = row_time(q, 10),
                                .expires = row_time(q, 11),
                                .revoked = row_time(q, 12),
                                .look_at = row_time(q, 13)};
    if (!row_is_null(q, 14))
        out->mandate = row_id(q, 14);
    if (term_parse(row_text(q, 5), &out->term) != OK || term_parse(row_text(q, 6), &out->grace) != OK)
        return tx_error(tx) != OK ? tx_error(tx) : FAIL(tx_fault(tx), ERR_IO, "a license has no term");
    return OK;
}

enum err license_row(struct tx *tx, account_id which, license_id license, struct license_row *out)
{
    struct query *q = SQL(tx, "SELECT " COLUMNS " FROM license WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, license.id);
    bool found = query_row(q);
    if (found)
        TRY(read_row(q, tx, which, out));
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

moment license_last(const struct license_row *l)
{
    return term_is_zero(l->grace) ? l->expires : term_end(l->expires, l->grace);
}

const char *license_state(const struct license_row *l, moment now)
{
    if (l->revoked)
        return "revoked";
    if (l->activated == 0)
        return "new";
    if (now < l->expires)
        return "active";
    return now < license_last(l) ? "grace" : "expired";
}

static void fill(struct license *out, const struct license_row *l, moment now)
{
    *out = (struct license){.id = l->id,
                            .product = l->product,
                            .origin = l->origin,
                            .state = str_from(license_state(l, now)),
                            .added = l->added,
                            .activated = l->activated,
                            .expires = l->expires,
                            .last = l->expires ? license_last(l) : 0,
                            .devices = l->devices,
                            .renews = !id_is_none(l->mandate)};
}

/* How many seats each has, in one query. */
static enum err count_seats(struct tx *tx, account_id which, struct license *list, size_t n)
{
    struct query *q = SQL(tx, "SELECT license, count(*) FROM seat WHERE account = $1 AND freed IS NULL "
                              "GROUP BY license");
    bind_id(q, which.id);
    while (query_row(q)) {
        id license = row_id(q, 0);
        for (size_t i = 0; i < n; i++)
            if (id_eq(list[i].id.id, license))
                list[i].used = row_int(q, 1);
    }
    return query_end(q);
}

static enum err open_codes(struct tx *tx, account_id which, const struct key *k, struct license *list, size_t n)
{
    struct query *q = SQL(tx, "SELECT id, code FROM license WHERE account = $1 AND code IS NOT NULL");
    bind_id(q, which.id);
    while (query_row(q)) {
        id license = row_id(q, 0);
        str sealed = row_blob(q, 1);
        TRY(tx_error(tx));
        for (size_t i = 0; i < n; i++)
            if (id_eq(list[i].id.id, license))
                TRY(privacy_unseal(tx_arena(tx), k, "license", "code", license, sealed, &list[i].code, tx_fault(tx)));
    }
    return query_end(q);
}

enum err license_list(struct tx *tx, struct portal *p, account_id which, const struct key *k,
                      struct license **out, size_t *n)
{
    struct license *list = ARENA_ARRAY(tx_arena(tx), struct license, LICENSES_MAX);
    moment now = clock_now(p->privacy.clock);
    struct query *q = SQL(tx, "SELECT " COLUMNS " FROM license WHERE account = $1 ORDER BY added DESC, id LIMIT $2");
    bind_id(q, which.id);
    bind_int(q, LICENSES_MAX);
    *n = 0;
    while (query_row(q)) {
        struct license_row l;
        TRY(read_row(q, tx, which, &l));
        fill(&list[(*n)++], &l, now);
    }
    TRY(query_end(q));
    *out = list;
    TRY(count_seats(tx, which, list, *n));
    return k ? open_codes(tx, which, k, list, *n) : OK;
}

enum err license_list_on(struct tx *tx, struct portal *p, account_id which, id device, struct license **out, size_t *n)
{
    struct license *all;
    size_t n_all;
    TRY(license_list(tx, p, which, NULL, &all, &n_all));
    struct license *list = ARENA_ARRAY(tx_arena(tx), struct license, n_all);
    struct query *q = SQL(tx, "SELECT license FROM seat WHERE account = $1 AND device = $2 AND freed IS NULL ORDER BY made, id");
    bind_id(q, which.id);
    bind_id(q, device);
    *n = 0;
    while (query_row(q)) {
        id license = row_id(q, 0);
        for (size_t i = 0; i < n_all && *n < n_all; i++)
            if (id_eq(all[i].id.id, license))
                list[(*n)++] = all[i];
    }
    *out = list;
    return query_end(q);
}

enum err license_get(struct tx *tx, struct portal *p, account_id which, license_id license, const struct key *k,
                     struct license *out)
{
    struct license_row l;
    TRY(license_row(tx, which, license, &l));
    fill(out, &l, clock_now(p->privacy.clock));
    TRY(count_seats(tx, which, out, 1));
    return k ? open_codes(tx, which, k, out, 1) : OK;
}

/* ---- adding ---- */

static void bind_or_null(struct query *q, str s)
{
    if (s.n > 0)
        bind_text(q, s);
    else
        bind_null(q);
}

static void bind_moment(struct query *q, moment m)
{
    if (m)
        bind_time(q, m);
    else
        bind_null(q);
}

enum err license_add(struct tx *tx, const struct portal *p, account_id which, const struct key *k,
                     license_id license, const struct license_new *x)
{
    struct arena *a = tx_arena(tx);
    moment now = clock_now(p->privacy.clock);
    struct query *q = SQL(tx, "INSERT INTO license (account, id, product, application, origin, lot, term, leeway, "
                              "devices, code, hash, added, activated, expires, revoked, ended, look_at, mandate) "
                              "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, NULL, $15, $16, NULL)");
    bind_id(q, which.id);
    bind_id(q, license.id);
    bind_text(q, x->product);
    bind_text(q, x->application);
    bind_text(q, str_from(x->origin));
    bind_or_null(q, x->lot);
    bind_text(q, term_format(a, x->term));
    bind_text(q, term_format(a, x->grace));
    bind_int(q, x->devices);
    if (x->code.n > 0)
        bind_blob(q, privacy_seal(a, k, "license", "code", license.id, x->code));
    else
        bind_null(q);
    if (x->hash.n > 0)
        bind_blob(q, x->hash);
    else
        bind_null(q);
    bind_time(q, now);
    bind_moment(q, x->activated);
    bind_moment(q, x->expires);
    bind_moment(q, x->expires);
    bind_moment(q, x->expires ? license_next_look(catalogue_of(p), x->expires, now) : 0);
    return query_run(q);
}

static enum err may_have(struct tx *tx, const struct portal *p, account_id which)
{
    bool enrolled;
    TRY(enrolment_active(tx, &p->privacy, which.id, STR(LICENSE_SERVICE), &enrolled));
    return enrolled ? OK : ERR_DENIED;
}

/* ERR_CONFLICT: it was had. */
static enum err take_trial(struct tx *tx, const struct portal *p, account_id which, str product)
{
    struct query *q = SQL(tx, "INSERT INTO trial_taken (account, product, made) VALUES ($1, $2, $3) "
                              "ON CONFLICT (account, product) DO NOTHING");
    bind_id(q, which.id);
    bind_text(q, product);
    bind_time(q, clock_now(p->privacy.clock));
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_CONFLICT;
}

enum err license_grant(struct tx *tx, struct portal *p, account_id which, const struct key *k,
                       const struct product *product, const char *origin, license_id *out)
{
    license_id license = {id_new()};
    struct license_new x = {.product = product->key,
                            .application = product->application,
                            .origin = origin,
                            .term = product->term,
                            .grace = product->grace,
                            .devices = product->devices};
    TRY(may_have(tx, p, which));
    if (product->trial)
        TRY(take_trial(tx, p, which, product->key));
    TRY(license_add(tx, p, which, k, license, &x));
    *out = license;
    return OK;
}

/* ---- its end ---- */

/* The end stands in all that goes with the license, so that it goes when it goes. */
static enum err write_ends(struct tx *tx, const struct license_row *l, moment ended)
{
    struct query *q = SQL(tx, "UPDATE license SET ended = $3 WHERE account = $1 AND id = $2");
    bind_id(q, l->account.id);
    bind_id(q, l->id.id);
    bind_time(q, ended);
    TRY(query_run(q));
    q = SQL(tx, "UPDATE seat SET ended = $3 WHERE account = $1 AND license = $2");
    bind_id(q, l->account.id);
    bind_id(q, l->id.id);
    bind_time(q, ended);
    TRY(query_run(q));
    if (l->hash.n == 0)
        return OK;
    q = SQL(tx, "UPDATE code_owner SET ended = $2 WHERE hash = $1");
    bind_blob(q, l->hash);
    bind_time(q, ended);
    TRY(query_run(q));
    q = SQL(tx, "UPDATE activation_code SET ended = $2 WHERE hash = $1");
    bind_blob(q, l->hash);
    bind_time(q, ended);
    return query_run(q);
}

enum err license_set_end(struct tx *tx, const struct portal *p, const struct license_row *l, moment activated,
                         moment expires)
{
    struct query *q = SQL(tx, "UPDATE license SET activated = $3, expires = $4, look_at = $5 "
                              "WHERE account = $1 AND id = $2");
    bind_id(q, l->account.id);
    bind_id(q, l->id.id);
    bind_time(q, activated);
    bind_time(q, expires);
    bind_moment(q, license_next_look(catalogue_of(p), expires, clock_now(p->privacy.clock)));
    TRY(query_run(q));
    if (l->hash.n > 0) {
        q = SQL(tx, "UPDATE activation_code SET activated = $2, expires = $3 WHERE hash = $1");
        bind_blob(q, l->hash);
        bind_time(q, activated);
        bind_time(q, expires);
        TRY(query_run(q));
    }
    return write_ends(tx, l, expires);
}

enum err license_renew(struct tx *tx, struct portal *p, account_id which, license_id license, moment *expires)
{
    struct license_row l;
    moment now = clock_now(p->privacy.clock);
    TRY(license_row(tx, which, license, &l));
    if (l.revoked || l.activated == 0)
        return ERR_CONFLICT;
    *expires = term_end(now < license_last(&l) ? l.expires : now, l.term);
    return license_set_end(tx, p, &l, l.activated, *expires);
}

enum err license_revoke(struct tx *tx, struct portal *p, account_id which, license_id license)
{
    struct license_row l;
    moment now = clock_now(p->privacy.clock);
    TRY(license_row(tx, which, license, &l));
    if (l.revoked)
        return OK;
    struct query *q = SQL(tx, "UPDATE license SET revoked = $3, look_at = NULL, mandate = NULL "
                              "WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, license.id);
    bind_time(q, now);
    TRY(query_run(q));
    q = SQL(tx, "UPDATE renewal_mandate SET ended = $3 WHERE account = $1 AND license = $2 AND ended IS NULL");
    bind_id(q, which.id);
    bind_id(q, license.id);
    bind_time(q, now);
    TRY(query_run(q));
    q = SQL(tx, "DELETE FROM sent_code WHERE account = $1 AND license = $2");
    bind_id(q, which.id);
    bind_id(q, license.id);
    TRY(query_run(q));
    if (l.hash.n > 0) {
        q = SQL(tx, "UPDATE activation_code SET revoked = $2 WHERE hash = $1");
        bind_blob(q, l.hash);
        bind_time(q, now);
        TRY(query_run(q));
    }
    TRY(seats_revoke_files(tx, p, which, license));
    return write_ends(tx, &l, now);
}
