/* What apps tell, what follows from it, and how their owner sees it. */
#include "features/devices/model.h"

#include <string.h>

#include <sodium.h>

#include "base/json.h"

/* ---- a report ---- */

static str seal(struct tx *tx, const struct key *k, const struct binding *b, const char *column, str text)
{
    return privacy_seal(tx_arena(tx), k, "device_report", column, b->id.id, text);
}

static void bind_moment(struct query *q, moment m)
{
    if (m)
        bind_time(q, m);
    else
        bind_null(q);
}

static enum err keep_report(struct tx *tx, const struct key *k, const struct binding *b, const struct device_facts *d,
                            const struct app_facts *app, const struct license_facts *l, moment now)
{
    struct query *q = SQL(tx, "INSERT INTO device_report (account, id, device, network_name, type, os_type, os_version, app, "
                              "app_version, app_locale, license_type, license_status, information, error, expires, features, "
                              "reported) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) "
                              "ON CONFLICT (account, id) DO UPDATE SET network_name = excluded.network_name, "
                              "type = excluded.type, os_type = excluded.os_type, os_version = excluded.os_version, "
                              "app_version = excluded.app_version, app_locale = excluded.app_locale, "
                              "license_type = excluded.license_type, license_status = excluded.license_status, "
                              "information = excluded.information, error = excluded.error, expires = excluded.expires, "
                              "features = excluded.features, reported = excluded.reported");
    bind_id(q, b->account.id);
    bind_id(q, b->id.id);
    bind_id(q, b->device.id);
    bind_blob(q, seal(tx, k, b, "network_name", d->network_name));
    bind_text(q, d->type);
    bind_text(q, d->os_type);
    bind_text(q, d->os_version);
    bind_text(q, app->id);
    bind_text(q, app->version);
    bind_text(q, app->locale);
    bind_text(q, l->type);
    bind_text(q, l->status);
    bind_blob(q, seal(tx, k, b, "information", l->information));
    bind_text(q, l->error);
    bind_moment(q, l->expires);
    bind_text(q, l->features);
    bind_time(q, now);
    return query_run(q);
}

/* It was heard of: the binding with what it told, and its device. */
static enum err note_seen(struct tx *tx, const struct binding *b, const unsigned char digest[16], moment now)
{
    struct query *q = SQL(tx, "UPDATE binding SET reported = $3, state = $4 WHERE account = $1 AND id = $2");
    bind_id(q, b->account.id);
    bind_id(q, b->id.id);
    bind_time(q, now);
    bind_blob(q, str_of(digest, 16));
    TRY(query_run(q));
    q = SQL(tx, "UPDATE device SET seen = $3 WHERE account = $1 AND id = $2");
    bind_id(q, b->account.id);
    bind_id(q, b->device.id);
    bind_time(q, now);
    return query_run(q);
}

enum err device_report(struct tx *tx, const struct privacy *p, const struct key *k, const struct binding *b,
                       const struct device_facts *d, const struct app_facts *app, const struct license_facts *l,
                       const unsigned char digest[16], bool *changed)
{
    static const unsigned char nothing[16];
    moment now = clock_now(p->clock);
    bool same = sodium_memcmp(digest, b->state, 16) == 0 && sodium_memcmp(b->state, nothing, 16) != 0;
    TRY(binding_settle(tx, b));
    if (same && now - b->reported < DEVICE_SEEN_EVERY) {
        *changed = false;
        return OK;
    }
    if (!same)
        TRY(keep_report(tx, k, b, d, app, l, now));
    TRY(note_seen(tx, b, digest, now));
    *changed = !same;
    return OK;
}

/* ---- what is wrong ---- */

static void add_problem(struct device_product *p, const char *code, const char *fix, bool grave)
{
    if (p->n_problems < PROBLEMS_MAX)
        p->problems[p->n_problems++] = (struct problem){code, fix, grave};
}

/* By the license's status, then by what service information says where we know the word; what we do not know
 * is the app's own business. */
void product_judge(struct device_product *p)
{
    static const struct {
        const char *status, *code;
        bool grave;
    } statuses[] = {{"expired", "license-expired", true},
                    {"revoked", "license-revoked", true},
                    {"error", "activation-failed", true},
                    {"grace", "license-ending", false},
                    {"none", "license-none", false}};
    static const struct {
        const char *word, *value, *code, *fix;
        bool grave;
    } words[] = {{"protection", "off", "protection-off", "enable-protection", true},
                 {"databases", "outdated", "databases-outdated", "update-databases", false}};
    CLEANUP(json_done) json_t *told = NULL;
    p->n_problems = 0;
    for (size_t i = 0; i < COUNT(words) && json_decode(p->license.information, &told, NULL) == OK; i++) {
        if (str_is(json_get_str(told, words[i].word), words[i].value))
            add_problem(p, words[i].code, words[i].fix, words[i].grave);
        json_decref(told);
        told = NULL;
    }
    for (size_t i = 0; i < COUNT(statuses); i++)
        if (str_is(p->license.status, statuses[i].status))
            add_problem(p, statuses[i].code, NULL, statuses[i].grave);
}

const char *device_state(const struct device_entry *d, moment now)
{
    const char *worst = "unknown";
    if (now - d->seen > DEVICE_STALE)
        return "silent";
    for (size_t i = 0; i < d->n_products; i++) {
        if (d->products[i].license.status.n > 0 && strcmp(worst, "unknown") == 0)
            worst = "good"; /* it has told of itself since it was bound */
        for (size_t k = 0; k < d->products[i].n_problems; k++) {
            if (d->products[i].problems[k].grave)
                return "problem";
            worst = "warning";
        }
    }
    return worst;
}

bool told_feature(str told, str feature)
{
    CLEANUP(json_done) json_t *list = NULL;
    if (json_decode(told, &list, NULL) != OK)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one && str_is(feature, one))
            return true;
    }
    return false;
}

bool device_offers(const struct device_entry *d, str feature)
{
    for (size_t i = 0; i < d->n_products; i++)
        if (told_feature(d->products[i].license.features, feature))
            return true;
    return false;
}

/* ---- what its owner sees ---- */

struct told {
    str device; /* its ID */
    str network_name, type, os_type, os_version;
    struct device_product product;
};

static enum err read_told(struct query *q, struct arena *a, const struct key *k, struct told *t, struct fault *f)
{
    struct device_product *p = &t->product;
    str information = row_blob(q, 11), name = row_blob(q, 2);
    p->binding.id = row_id(q, 0);
    t->device = row_text(q, 1);
    t->type = row_text(q, 3);
    t->os_type = row_text(q, 4);
    t->os_version = row_text(q, 5);
    p->app = row_text(q, 6);
    p->version = row_text(q, 7);
    p->locale = row_text(q, 8);
    p->license = (struct license_facts){.type = row_text(q, 9),
                                        .status = row_text(q, 10),
                                        .error = row_text(q, 12),
                                        .expires = row_time(q, 13),
                                        .features = row_text(q, 14)};
    p->reported = row_time(q, 15);
    TRY(privacy_unseal(a, k, "device_report", "network_name", p->binding.id, name, &t->network_name, f));
    TRY(privacy_unseal(a, k, "device_report", "information", p->binding.id, information, &p->license.information, f));
    product_judge(p);
    return OK;
}

/* All that the account's apps told, or those of one device. */
static enum err told_by(struct tx *tx, account_id which, device_id device, const struct key *k, struct told **out, size_t *n)
{
    struct told *list = NULL;
    size_t cap = 0;
    struct query *q = SQL(tx, "SELECT id, device, network_name, type, os_type, os_version, app, app_version, app_locale, "
                              "license_type, license_status, information, error, expires, features, reported "
                              "FROM device_report WHERE account = $1 AND ($2 = '' OR device = $2) ORDER BY reported DESC LIMIT 1000");
    bind_id(q, which.id);
    bind_text(q, id_str(&device.id));
    *n = 0;
    while (query_row(q)) {
        ARENA_GROW(tx_arena(tx), list, cap, *n + 1);
        list[*n] = (struct told){0};
        TRY(read_told(q, tx_arena(tx), k, &list[*n], tx_fault(tx)));
        ++*n;
    }
    *out = list;
    return query_end(q);
}

/* The device's own from among them; those that told last say what it is. */
static void take_told(struct device_entry *d, struct arena *a, const struct told *told, size_t n)
{
    d->products = ARENA_ARRAY(a, struct device_product, n);
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(told[i].device, id_str(&d->id.id)))
            continue;
        if (d->n_products == 0) {
            d->network_name = told[i].network_name;
            d->type = told[i].type;
            d->os_type = told[i].os_type;
            d->os_version = told[i].os_version;
        }
        d->products[d->n_products++] = told[i].product;
    }
    d->name = d->own_name.n ? d->own_name : d->network_name;
}

static enum err read_devices(struct tx *tx, const struct privacy *p, account_id which, device_id device, const struct key *k,
                             struct device_entry **out, size_t *n)
{
    struct device_entry *list = ARENA_ARRAY(tx_arena(tx), struct device_entry, id_is_none(device.id) ? DEVICES_MAX : 1);
    struct told *told;
    size_t n_told, count = 0;
    moment now = clock_now(p->clock);
    TRY(told_by(tx, which, device, k, &told, &n_told));
    struct query *q = SQL(tx, "SELECT id, name, office, made, seen FROM device WHERE account = $1 AND ($2 = '' OR id = $2) "
                              "AND disconnected IS NULL ORDER BY seen DESC, id LIMIT $3");
    bind_id(q, which.id);
    bind_text(q, id_str(&device.id));
    bind_int(q, id_is_none(device.id) ? DEVICES_MAX : 1);
    while (query_row(q)) {
        struct device_entry *d = &list[count++];
        *d = (struct device_entry){.id = {row_id(q, 0)}, .office = row_flag(q, 2), .made = row_time(q, 3), .seen = row_time(q, 4)};
        if (!row_is_null(q, 1))
            TRY(privacy_unseal(tx_arena(tx), k, "device", "name", d->id.id, row_blob(q, 1), &d->own_name, tx_fault(tx)));
        take_told(d, tx_arena(tx), told, n_told);
        d->state = device_state(d, now);
    }
    *out = list;
    *n = count;
    return query_end(q);
}

enum err device_list(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                     struct device_entry **out, size_t *n)
{
    return read_devices(tx, p, which, (device_id){{{0}}}, k, out, n);
}

enum err device_get(struct tx *tx, const struct privacy *p, account_id which, device_id device, const struct key *k,
                    struct device_entry *out)
{
    struct device_entry *list;
    size_t n;
    TRY(read_devices(tx, p, which, device, k, &list, &n));
    if (n == 0)
        return ERR_NOT_FOUND;
    *out = list[0];
    return OK;
}

enum err device_rename(struct tx *tx, account_id which, device_id device, const struct key *k, str name)
{
    if (name.n > DEVICE_NAME_MAX)
        return ERR_INPUT;
    struct query *q = SQL(tx, "UPDATE device SET name = $3 WHERE account = $1 AND id = $2 AND disconnected IS NULL");
    bind_id(q, which.id);
    bind_id(q, device.id);
    if (name.n)
        bind_blob(q, privacy_seal(tx_arena(tx), k, "device", "name", device.id, name));
    else
        bind_null(q);
    TRY(query_run(q));
    return query_changes(q) ? OK : ERR_NOT_FOUND;
}

/* ---- what is promised ---- */

static enum err count_in(struct check *c, struct query *q, bool *kept, int64_t *n)
{
    int64_t wrong = 0;
    if (query_row(q)) {
        *n = row_int(q, 0);
        wrong = *n - row_int(q, 1);
    }
    TRY(query_end(q));
    json_put_int(c->values, "count", *n);
    json_put_int(c->values, "wrong", wrong);
    *kept = wrong == 0;
    return OK;
}

static void say(struct check *c, bool kept, const char *evidence)
{
    c->verdict = kept ? VERDICT_KEPT : VERDICT_BROKEN;
    c->evidence = evidence;
}

/* Every position that is kept was asked for by a command of its owner's. */
static enum err check_positions(struct check *c)
{
    bool kept;
    int64_t n = 0;
    TRY(count_in(c, SQL(c->tx, "SELECT count(p.id), count(x.id) FROM device_position p LEFT JOIN device_command x ON "
                               "x.account = p.account AND x.id = p.id AND x.kind = 'locate'"), &kept, &n));
    say(c, kept, kept ? MSG("evidence.positions") : MSG("evidence.positions-broken"));
    return OK;
}

/* Every report is of an app that is connected, under a statement that was accepted. */
static enum err check_reports(struct check *c)
{
    bool kept;
    int64_t n = 0;
    TRY(count_in(c, SQL(c->tx, "SELECT count(r.id), count(b.id) FROM device_report r LEFT JOIN binding b ON "
                               "b.account = r.account AND b.id = r.id AND b.ended IS NULL AND b.statement <> ''"), &kept, &n));
    say(c, kept, kept ? MSG("evidence.reports") : MSG("evidence.reports-broken"));
    return OK;
}

const struct named_check device_checks[] = {
    {"check_positions", check_positions},
    {"check_reports", check_reports},
};
const size_t n_device_checks = COUNT(device_checks);
