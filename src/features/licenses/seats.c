/* Licenses on devices (MYA-43): seats, and what a device hears of its license. */
#include "features/licenses/model.h"

#include <string.h>

#include "privacy/enrolment.h"

/* ---- reading ---- */

enum err seat_list(struct tx *tx, account_id which, license_id license, struct seat **out, size_t *n)
{
    struct seat *list = ARENA_ARRAY(tx_arena(tx), struct seat, SEATS_MAX);
    struct query *q = id_is_none(license.id)
                          ? SQL(tx, "SELECT id, license, device, application, made, seen, freed, filed FROM seat "
                                    "WHERE account = $1 ORDER BY made, id LIMIT $2")
                          : SQL(tx, "SELECT id, license, device, application, made, seen, freed, filed FROM seat "
                                    "WHERE account = $1 AND license = $2 ORDER BY made, id LIMIT $3");
    bind_id(q, which.id);
    if (!id_is_none(license.id))
        bind_id(q, license.id);
    bind_int(q, SEATS_MAX);
    for (*n = 0; query_row(q); ++*n)
        list[*n] = (struct seat){.id = row_id(q, 0),
                                 .license = row_id(q, 1),
                                 .device = row_id(q, 2),
                                 .application = row_text(q, 3),
                                 .made = row_time(q, 4),
                                 .seen = row_time(q, 5),
                                 .freed = row_time(q, 6),
                                 .filed = row_time(q, 7)};
    *out = list;
    return query_end(q);
}

bool seat_unused(const struct seat *s, moment now)
{
    return now - s->seen > SEAT_UNUSED;
}

/* ---- license files that are void before their time ---- */

static enum err revoke_file(struct tx *tx, const struct portal *p, id seat, moment filed)
{
    moment now = clock_now(p->privacy.clock);
    if (filed <= now)
        return OK;
    struct query *q = SQL(tx, "INSERT INTO revoked_seat (seat, made, ends) VALUES ($1, $2, $3) "
                              "ON CONFLICT (seat) DO NOTHING");
    bind_id(q, seat);
    bind_time(q, now);
    bind_time(q, filed);
    return query_run(q);
}

enum err seats_revoke_files(struct tx *tx, const struct portal *p, account_id which, license_id license)
{
    struct seat *seats;
    size_t n;
    TRY(seat_list(tx, which, license, &seats, &n));
    for (size_t i = 0; i < n; i++)
        TRY(revoke_file(tx, p, seats[i].id, seats[i].filed));
    return OK;
}

enum err seats_end(struct tx *tx, const struct portal *p, account_id which)
{
    TRY(seats_revoke_files(tx, p, which, (license_id){{{0}}}));
    struct query *q = SQL(tx, "DELETE FROM seat WHERE account = $1");
    bind_id(q, which.id);
    TRY(query_run(q));
    q = SQL(tx, "DELETE FROM sent_code WHERE account = $1");
    bind_id(q, which.id);
    return query_run(q);
}

/* ---- taking a seat ---- */

/* One that was in use counts for a day more; one that nobody used is free for the next at once. */
static enum err free_seat(struct tx *tx, const struct portal *p, account_id which, const struct seat *s, bool cools)
{
    moment now = clock_now(p->privacy.clock);
    struct query *q;
    TRY(revoke_file(tx, p, s->id, s->filed));
    if (cools && !seat_unused(s, now)) {
        q = SQL(tx, "UPDATE seat SET freed = $3, filed = NULL WHERE account = $1 AND id = $2");
        bind_id(q, which.id);
        bind_id(q, s->id);
        bind_time(q, now);
        return query_run(q);
    }
    q = SQL(tx, "DELETE FROM seat WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, s->id);
    return query_run(q);
}

static enum err delete_sent(struct tx *tx, account_id which, license_id license, id device)
{
    struct query *q = SQL(tx, "DELETE FROM sent_code WHERE account = $1 AND license = $2 AND device = $3");
    bind_id(q, which.id);
    bind_id(q, license.id);
    bind_id(q, device);
    return query_run(q);
}

static enum err add_seat(struct tx *tx, const struct portal *p, const struct license_row *l, id device, moment ended)
{
    moment now = clock_now(p->privacy.clock);
    struct query *q = SQL(tx, "INSERT INTO seat (account, id, license, device, application, made, seen, freed, filed, "
                              "ended) VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, NULL, $8)");
    bind_id(q, l->account.id);
    bind_id(q, id_new());
    bind_id(q, l->id.id);
    bind_id(q, device);
    bind_text(q, l->application);
    bind_time(q, now);
    bind_time(q, now);
    bind_time(q, ended);
    return query_run(q);
}

/* How the seats of the account stand to this wish. */
struct places {
    int64_t taken, cooling;
    const struct seat *same;  /* this device's, by this license, also one that it gave up lately */
    const struct seat *other; /* this device's, by another license */
};

static struct places look_at_seats(const struct license_row *l, id device, const struct seat *seats, size_t n, moment now)
{
    struct places x = {0};
    for (size_t i = 0; i < n; i++) {
        const struct seat *s = &seats[i];
        bool ours = id_eq(s->license, l->id.id), here = id_eq(s->device, device);
        if (ours && here) {
            if (x.same == NULL || s->freed == 0)
                x.same = s;
        } else if (ours) {
            x.taken += s->freed == 0;
            x.cooling += s->freed != 0 && now < s->freed + LICENSE_COOLING;
        } else if (here && s->freed == 0 && str_eq(s->application, l->application)) {
            x.other = s;
        }
    }
    return x;
}

static enum err may_take(const struct license_row *l, const struct places *x, str application, moment now,
                         const char **why)
{
    *why = NULL;
    if (application.n > 0 && !str_eq(application, l->application))
        *why = LICENSE_ERROR_PRODUCT;
    else if (l->revoked || (l->activated && now >= l->expires))
        *why = LICENSE_ERROR_OVER;
    else if (x->same != NULL && x->same->freed == 0)
        return OK;
    else if (x->taken >= l->devices)
        *why = LICENSE_ERROR_FULL;
    else if (x->taken + x->cooling >= l->devices)
        *why = LICENSE_ERROR_COOLING;
    if (*why == NULL)
        return OK;
    return str_is(str_from(*why), LICENSE_ERROR_OVER)      ? ERR_DENIED
           : str_is(str_from(*why), LICENSE_ERROR_PRODUCT) ? ERR_INPUT
                                                           : ERR_CONFLICT;
}

enum err license_bind(struct tx *tx, struct portal *p, account_id which, license_id license, id device,
                      str application, const char **why)
{
    struct license_row l;
    struct seat *seats;
    size_t n;
    moment now = clock_now(p->privacy.clock);
    TRY(license_row(tx, which, license, &l));
    TRY(seat_list(tx, which, (license_id){{{0}}}, &seats, &n));
    struct places x = look_at_seats(&l, device, seats, n, now);
    TRY(may_take(&l, &x, application, now, why));
    TRY(delete_sent(tx, which, license, device));
    if (x.same != NULL && x.same->freed == 0)
        return OK;
    if (x.same != NULL) /* it comes back: nothing moved */
        TRY(free_seat(tx, p, which, x.same, false));
    if (x.other != NULL)
        TRY(free_seat(tx, p, which, x.other, false));
    moment expires = l.activated ? l.expires : term_end(now, l.term);
    if (l.activated == 0)
        TRY(license_set_end(tx, p, &l, now, expires));
    return add_seat(tx, p, &l, device, expires);
}

/* ---- giving it up ---- */

static enum err free_seats(struct tx *tx, const struct portal *p, account_id which, license_id license, id device,
                           int64_t *freed)
{
    struct seat *seats;
    size_t n;
    *freed = 0;
    TRY(seat_list(tx, which, license, &seats, &n));
    for (size_t i = 0; i < n; i++) {
        if (seats[i].freed != 0 || !id_eq(seats[i].device, device))
            continue;
        TRY(free_seat(tx, p, which, &seats[i], true));
        ++*freed;
    }
    return OK;
}

enum err license_unbind(struct tx *tx, struct portal *p, account_id which, license_id license, id device)
{
    int64_t freed;
    TRY(free_seats(tx, p, which, license, device, &freed));
    return freed > 0 ? OK : ERR_NOT_FOUND;
}

enum err license_forget_device(struct tx *tx, struct portal *p, account_id which, id device)
{
    int64_t freed;
    struct query *q = SQL(tx, "DELETE FROM sent_code WHERE account = $1 AND device = $2");
    bind_id(q, which.id);
    bind_id(q, device);
    TRY(query_run(q));
    return free_seats(tx, p, which, (license_id){{{0}}}, device, &freed);
}

enum err license_seen(struct tx *tx, struct portal *p, account_id which, id device)
{
    moment now = clock_now(p->privacy.clock);
    struct query *q = SQL(tx, "UPDATE seat SET seen = $3 WHERE account = $1 AND device = $2 AND freed IS NULL "
                              "AND seen < $4");
    bind_id(q, which.id);
    bind_id(q, device);
    bind_time(q, now);
    bind_time(q, now - MOMENT_HOUR);
    return query_run(q);
}

/* ---- what a device hears ---- */

enum err license_of_device(struct tx *tx, account_id which, id device, str application, license_id *out)
{
    struct query *q = SQL(tx, "SELECT license FROM seat WHERE account = $1 AND device = $2 AND application = $3 "
                              "AND freed IS NULL ORDER BY made DESC LIMIT 1");
    bind_id(q, which.id);
    bind_id(q, device);
    bind_text(q, application);
    bool found = query_row(q);
    if (found)
        out->id = row_id(q, 0);
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

static const char *type_of(const struct portal *p, const struct license_row *l)
{
    const struct product *product = product_named(p, l->product);
    if (str_is(l->origin, ORIGIN_TRIAL) || (product && product->trial))
        return "trial";
    return !id_is_none(l->mandate) || str_is(l->origin, ORIGIN_STORE) ? "subscription" : "commercial";
}

static void put_features(const struct portal *p, str key, json_t *list)
{
    const struct product *product = product_named(p, key);
    for (size_t i = 0; product && i < product->n_features; i++)
        json_add_str(list, product->features[i]);
}

static void put_leaves(const struct portal *p, const struct license_row *l, struct arena *a, moment now, json_t *out)
{
    const struct product *product = product_named(p, l->product);
    json_put_text(out, "type", type_of(p, l));
    json_put_text(out, "status", license_state(l, now));
    json_t *information = json_put_object(out, "service_information");
    json_put_str(information, "license", id_str(&l->id.id));
    json_put_str(information, "product", l->product);
    json_put_str(information, "edition", product ? product->edition : STR(""));
    json_put_text(out, "activation_error", "");
    json_put_moment(out, "expires", a, l->expires);
    put_features(p, l->product, json_put_array(out, "features"));
}

static void put_none(json_t *out)
{
    json_put_text(out, "type", "none");
    json_put_text(out, "status", "none");
    json_put_object(out, "service_information");
    json_put_text(out, "activation_error", "");
    json_put(out, "expires", json_null());
    json_put_array(out, "features");
}

enum err license_leaves(struct tx *tx, struct portal *p, account_id which, id device, str application, json_t *out)
{
    license_id license;
    struct license_row l;
    enum err e = license_of_device(tx, which, device, application, &license);
    if (e == OK)
        e = license_row(tx, which, license, &l);
    if (e == OK)
        put_leaves(p, &l, tx_arena(tx), clock_now(p->privacy.clock), out);
    else if (e == ERR_NOT_FOUND)
        put_none(out);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- codes to a device ---- */

enum err license_send_code(struct tx *tx, struct portal *p, account_id which, license_id license, id device)
{
    struct license_row l;
    moment now = clock_now(p->privacy.clock);
    TRY(license_row(tx, which, license, &l));
    if (l.hash.n == 0 || l.revoked || (l.activated && now >= l.expires))
        return ERR_CONFLICT;
    struct query *q = SQL(tx, "INSERT INTO sent_code (account, license, device, made, ends) VALUES ($1, $2, $3, $4, $5) "
                              "ON CONFLICT (account, license, device) DO UPDATE SET made = excluded.made, ends = excluded.ends");
    bind_id(q, which.id);
    bind_id(q, license.id);
    bind_id(q, device);
    bind_time(q, now);
    bind_time(q, now + CODE_SENT_LASTS);
    return query_run(q);
}

enum err license_codes_for(struct tx *tx, struct portal *p, account_id which, const struct key *k, id device,
                           str **codes, size_t *n)
{
    enum { MOST = 20 };
    str *list = ARENA_ARRAY(tx_arena(tx), str, MOST);
    struct query *q = SQL(tx, "SELECT l.id, l.code FROM sent_code c JOIN license l ON l.account = c.account AND "
                              "l.id = c.license WHERE c.account = $1 AND c.device = $2 AND c.ends > $3 AND "
                              "l.code IS NOT NULL AND l.revoked IS NULL ORDER BY c.made, l.id LIMIT $4");
    bind_id(q, which.id);
    bind_id(q, device);
    bind_time(q, clock_now(p->privacy.clock));
    bind_int(q, MOST);
    for (*n = 0; query_row(q); ++*n) {
        id license = row_id(q, 0);
        str sealed = row_blob(q, 1);
        TRY(tx_error(tx));
        TRY(privacy_unseal(tx_arena(tx), k, "license", "code", license, sealed, &list[*n], tx_fault(tx)));
    }
    *codes = list;
    return query_end(q);
}
