/* Devices and the apps that are bound to them: beginning, credentials, end. */
#include "features/devices/model.h"

#include <string.h>

#include "features/licenses/licenses.h"
#include "features/live/live.h"
#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/rights.h"

#define TOKEN_BEGINS    "d1."
#define WAY_DISCONNECTED "app-disconnected"

enum { TOKEN_LENGTH = 3 + 2 * ID_LENGTH + SECRET_LENGTH, PASSWORD_CHARS = 8 };

/* ---- tokens ---- */

static str token_of(struct arena *a, account_id which, binding_id b, const struct bearer *secret)
{
    return str_fmt(a, TOKEN_BEGINS "%s%s%s", which.id.text, b.id.text, secret->text);
}

static bool read_token(str token, account_id *which, binding_id *b, str *secret)
{
    str rest = str_skip(token, 3);
    if (token.n != TOKEN_LENGTH || !str_starts(token, STR(TOKEN_BEGINS)) ||
        id_parse(str_head(rest, ID_LENGTH), &which->id) != OK ||
        id_parse(str_head(str_skip(rest, ID_LENGTH), ID_LENGTH), &b->id) != OK)
        return false;
    *secret = str_skip(rest, 2 * ID_LENGTH);
    return true;
}

static id read_id(str text)
{
    id i = {{0}};
    if (id_parse(text, &i) != OK)
        return (id){{0}};
    return i;
}

static void read_binding(struct query *q, struct binding *b)
{
    str state = row_blob(q, 10);
    b->device.id = read_id(row_text(q, 0));
    b->application = read_id(row_text(q, 1));
    b->app = row_text(q, 2);
    b->statement = row_text(q, 3);
    b->rotate_at = row_time(q, 6) + DEVICE_ROTATE_EVERY;
    b->token_type = row_text(q, 7);
    b->service = row_text(q, 8);
    b->office = row_flag(q, 9);
    if (state.n == sizeof b->state)
        memcpy(b->state, state.p, sizeof b->state);
    b->reported = row_time(q, 11);
    b->pending = row_int(q, 12);
    b->made = row_time(q, 13);
}

enum err device_by_token(struct tx *tx, const struct clock *clock, str token, struct binding *out)
{
    struct binding b = {0};
    str secret;
    bool right = false, ended = false;
    (void)clock;
    if (!read_token(token, &b.account, &b.id, &secret))
        return ERR_NOT_FOUND;
    struct query *q = SQL(tx, "SELECT device, application, app, statement, token, next_token, rotated, token_type, "
                              "service, office, state, reported, pending, made, ended FROM binding "
                              "WHERE account = $1 AND id = $2");
    bind_id(q, b.account.id);
    bind_id(q, b.id.id);
    if (query_row(q)) {
        str hash = secret_hash(tx_arena(tx), secret);
        read_binding(q, &b);
        b.next_used = !row_is_null(q, 5) && secret_eq(row_blob(q, 5), hash);
        right = b.next_used || secret_eq(row_blob(q, 4), hash);
        ended = !row_is_null(q, 14);
    }
    TRY(query_end(q));
    if (!right)
        return ERR_NOT_FOUND;
    if (ended)
        return ERR_DENIED;
    *out = b;
    return OK;
}

enum err binding_settle(struct tx *tx, const struct binding *b)
{
    if (!b->next_used)
        return OK;
    struct query *q = SQL(tx, "UPDATE binding SET token = next_token, next_token = NULL "
                              "WHERE account = $1 AND id = $2 AND next_token IS NOT NULL");
    bind_id(q, b->account.id);
    bind_id(q, b->id.id);
    return query_run(q);
}

enum err device_rotate(struct tx *tx, const struct clock *clock, const struct binding *b, str *token)
{
    struct bearer secret = bearer_new();
    TRY(binding_settle(tx, b));
    struct query *q = SQL(tx, "UPDATE binding SET next_token = $3, rotated = $4 WHERE account = $1 AND id = $2");
    bind_id(q, b->account.id);
    bind_id(q, b->id.id);
    bind_blob(q, secret_hash(tx_arena(tx), str_from(secret.text)));
    bind_time(q, clock_now(clock));
    TRY(query_run(q));
    *token = token_of(tx_arena(tx), b->account, b->id, &secret);
    return OK;
}

/* ---- binding ---- */

static enum err count_devices(struct tx *tx, account_id which, int64_t *n)
{
    struct query *q = SQL(tx, "SELECT count(*) FROM device WHERE account = $1 AND disconnected IS NULL");
    bind_id(q, which.id);
    *n = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

static enum err device_is_there(struct tx *tx, account_id which, device_id device)
{
    struct query *q = SQL(tx, "SELECT 1 FROM device WHERE account = $1 AND id = $2 AND disconnected IS NULL");
    bind_id(q, which.id);
    bind_id(q, device.id);
    bool there = query_row(q);
    TRY(query_end(q));
    return there ? OK : ERR_NOT_FOUND;
}

static enum err add_device(struct tx *tx, const struct binding_start *s, moment now, device_id *out)
{
    int64_t n;
    if (!id_is_none(s->same.id)) {
        *out = s->same;
        return device_is_there(tx, s->account, s->same);
    }
    TRY(count_devices(tx, s->account, &n));
    if (n >= DEVICES_MAX)
        return FAIL(tx_fault(tx), ERR_DENIED, "no more than %d devices", DEVICES_MAX);
    out->id = id_new();
    struct query *q = SQL(tx, "INSERT INTO device (account, id, name, office, made, seen, disconnected) "
                              "VALUES ($1, $2, NULL, $3, $4, $4, NULL)");
    bind_id(q, s->account.id);
    bind_id(q, out->id);
    bind_flag(q, s->office);
    bind_time(q, now);
    return query_run(q);
}

static enum err add_binding(struct tx *tx, const struct binding_start *s, const struct binding *b,
                            const struct bearer *secret)
{
    struct query *q = SQL(tx, "INSERT INTO binding (account, id, device, application, app, statement, everybody, accepted, "
                              "token, next_token, rotated, token_type, service, office, state, reported, pending, made, "
                              "ended) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, $8, '', '', $10, $11, $8, 0, $8, NULL)");
    bind_id(q, b->account.id);
    bind_id(q, b->id.id);
    bind_id(q, b->device.id);
    bind_id(q, b->application);
    bind_text(q, b->app);
    bind_text(q, b->statement);
    bind_flag(q, s->for_all);
    bind_time(q, b->made);
    bind_blob(q, secret_hash(tx_arena(tx), str_from(secret->text)));
    bind_flag(q, b->office);
    bind_blob(q, str_of(b->state, sizeof b->state));
    return query_run(q);
}

enum err device_bind(struct tx *tx, const struct privacy *p, const struct key *k, const struct binding_start *s,
                     struct binding *out, str *token)
{
    moment now = clock_now(p->clock);
    struct bearer secret = bearer_new();
    bool enrolled, changed;
    struct binding b = {.account = s->account,
                        .id = {id_new()},
                        .application = id_new(),
                        .app = s->app.id,
                        .statement = s->statement,
                        .office = s->office,
                        .made = now,
                        .reported = now,
                        .rotate_at = now + DEVICE_ROTATE_EVERY};
    TRY(enrolment_active(tx, p, s->account.id, STR("my-account"), &enrolled));
    if (!enrolled)
        return FAIL(tx_fault(tx), ERR_DENIED, "not in My Account");
    TRY(add_device(tx, s, now, &b.device));
    TRY(add_binding(tx, s, &b, &secret));
    /* What it said of the device so far; of licenses it has told nothing yet. */
    struct license_facts none = {STR("none"), STR(""), STR("{}"), STR(""), 0, STR("[]")};
    TRY(device_report(tx, p, k, &b, &s->device, &s->app, &none, b.state, &changed));
    *token = token_of(tx_arena(tx), b.account, b.id, &secret);
    *out = b;
    return OK;
}

enum err device_set_service(struct tx *tx, const struct binding *b, str token_type, str service)
{
    TRY(binding_settle(tx, b));
    struct query *q = SQL(tx, "UPDATE binding SET token_type = $3, service = $4 WHERE account = $1 AND id = $2");
    bind_id(q, b->account.id);
    bind_id(q, b->id.id);
    bind_text(q, token_type);
    bind_text(q, service);
    return query_run(q);
}

enum err device_set_statement(struct tx *tx, const struct clock *clock, const struct binding *b, str statement,
                              bool for_all)
{
    TRY(binding_settle(tx, b));
    struct query *q = SQL(tx, "UPDATE binding SET statement = $3, everybody = $4, accepted = $5 "
                              "WHERE account = $1 AND id = $2");
    bind_id(q, b->account.id);
    bind_id(q, b->id.id);
    bind_text(q, statement);
    bind_flag(q, for_all);
    bind_time(q, clock_now(clock));
    return query_run(q);
}

enum err device_wake(struct tx *tx, struct portal *p, account_id which, device_id device)
{
    struct query *q = SQL(tx, "UPDATE binding SET pending = pending + 1 "
                              "WHERE account = $1 AND device = $2 AND ended IS NULL RETURNING id");
    bind_id(q, which.id);
    bind_id(q, device.id);
    while (query_row(q))
        feature_waits(tx, p, row_id(q, 0));
    live_wake_pages(tx, p, which.id);
    return query_end(q);
}

/* ---- the end ---- */

/* A person whose last app is gone sends nothing any more, and that is written in the ledger. */
static enum err end_consent(struct tx *tx, const struct privacy *p, account_id which)
{
    struct account x;
    const struct purpose *purpose = inventory_purpose(p->inventory, STR(PURPOSE_REPORTS));
    struct query *q = SQL(tx, "SELECT 1 FROM binding WHERE account = $1 AND ended IS NULL LIMIT 1");
    bind_id(q, which.id);
    bool some = query_row(q);
    bool holds;
    TRY(query_end(q));
    if (some || purpose == NULL)
        return OK;
    TRY(consent_holds(tx, p, which.id, purpose, &holds, NULL));
    if (!holds)
        return OK;
    TRY(account_get(tx, p, which, NULL, &x));
    return consent_record(tx, p, which.id, purpose, false, str_cstr(tx_arena(tx), x.language), WAY_DISCONNECTED);
}

/* The rows of these bindings, once they have ended: what they told, and their commands. */
static enum err drop_told(struct tx *tx, account_id which, binding_id b)
{
    struct query *q = SQL(tx, "DELETE FROM device_report WHERE account = $1 AND id = $2");
    bind_id(q, which.id);
    bind_id(q, b.id);
    TRY(query_run(q));
    return commands_drop(tx, which, b);
}

/* The device goes with its last binding, and what was there for it. */
static enum err end_device(struct tx *tx, struct portal *p, account_id which, device_id device, moment now)
{
    struct query *q = SQL(tx, "UPDATE device SET disconnected = $3 WHERE account = $1 AND id = $2 AND disconnected IS NULL "
                              "AND NOT EXISTS (SELECT 1 FROM binding b WHERE b.account = $1 AND b.device = $2 AND "
                              "b.ended IS NULL)");
    bind_id(q, which.id);
    bind_id(q, device.id);
    bind_time(q, now);
    TRY(query_run(q));
    if (query_changes(q) == 0)
        return OK;
    q = SQL(tx, "DELETE FROM device_position WHERE account = $1 AND device = $2");
    bind_id(q, which.id);
    bind_id(q, device.id);
    TRY(query_run(q));
    return license_forget_device(tx, p, which, device.id);
}

enum err device_disconnect(struct tx *tx, struct portal *p, account_id which, binding_id binding)
{
    moment now = clock_now(p->privacy.clock);
    struct query *q = SQL(tx, "UPDATE binding SET ended = $3, next_token = NULL, pending = 0 "
                              "WHERE account = $1 AND id = $2 AND ended IS NULL RETURNING device");
    bind_id(q, which.id);
    bind_id(q, binding.id);
    bind_time(q, now);
    bool there = query_row(q);
    device_id device = {there ? read_id(row_text(q, 0)) : (id){{0}}};
    TRY(query_end(q));
    if (!there)
        return ERR_NOT_FOUND;
    TRY(drop_told(tx, which, binding));
    TRY(end_device(tx, p, which, device, now));
    feature_waits(tx, p, binding.id); /* whoever waits is to hear that it is over */
    live_wake_pages(tx, p, which.id);
    return end_consent(tx, &p->privacy, which);
}

static enum err bindings_of(struct tx *tx, account_id which, device_id device, binding_id **out, size_t *n)
{
    binding_id *list = NULL;
    size_t cap = 0;
    struct query *q = id_is_none(device.id)
                          ? SQL(tx, "SELECT id FROM binding WHERE account = $1 AND ended IS NULL")
                          : SQL(tx, "SELECT id FROM binding WHERE account = $1 AND device = $2 AND ended IS NULL");
    bind_id(q, which.id);
    if (!id_is_none(device.id))
        bind_id(q, device.id);
    *n = 0;
    while (query_row(q)) {
        ARENA_GROW(tx_arena(tx), list, cap, *n + 1);
        list[(*n)++].id = row_id(q, 0);
    }
    *out = list;
    return query_end(q);
}

enum err device_disconnect_all(struct tx *tx, struct portal *p, account_id which, device_id device)
{
    binding_id *list;
    size_t n;
    TRY(device_is_there(tx, which, device));
    TRY(bindings_of(tx, which, device, &list, &n));
    for (size_t i = 0; i < n; i++)
        TRY(device_disconnect(tx, p, which, list[i]));
    return n > 0 ? OK : end_device(tx, p, which, device, clock_now(p->privacy.clock));
}

/* ---- one-time passwords ---- */

static enum err hash_password(const struct privacy *p, struct arena *a, str typed, struct vault_hashes *h,
                              struct fault *f)
{
    char plain[PASSWORD_CHARS];
    size_t n = 0;
    str low = str_lower(a, typed);
    for (size_t i = 0; i < low.n; i++) {
        if (low.p[i] == ' ' || low.p[i] == '-')
            continue;
        if (n == PASSWORD_CHARS)
            return ERR_NOT_FOUND;
        plain[n++] = low.p[i];
    }
    if (n != PASSWORD_CHARS)
        return ERR_NOT_FOUND;
    return vault_hash(p->vault, "device-password", str_of(plain, n), h, a, f);
}

enum err device_password_make(struct tx *tx, const struct privacy *p, account_id which, bool office, str *password,
                              moment *ends)
{
    struct arena *a = tx_arena(tx);
    struct vault_hashes h;
    struct bearer random = bearer_new();
    moment now = clock_now(p->clock);
    str plain = str_of(random.text, PASSWORD_CHARS); /* 40 bits, for ten minutes, and tries are limited */
    struct query *q = SQL(tx, "DELETE FROM device_password WHERE account = $1");
    bind_id(q, which.id);
    TRY(query_run(q));
    TRY(hash_password(p, a, plain, &h, tx_fault(tx)));
    q = SQL(tx, "INSERT INTO device_password (account, id, hash, office, made, ends) VALUES ($1, $2, $3, $4, $5, $6)");
    bind_id(q, which.id);
    bind_id(q, id_new());
    bind_blob(q, str_of(h.bytes[0], VAULT_HASH_BYTES));
    bind_flag(q, office);
    bind_time(q, now);
    bind_time(q, now + DEVICE_PASSWORD_LASTS);
    TRY(query_run(q));
    *ends = now + DEVICE_PASSWORD_LASTS;
    *password = str_fmt(a, "%.4s-%.4s", plain.p, plain.p + 4);
    return OK;
}

enum err device_password_redeem(struct tx *tx, const struct privacy *p, str password, account_id *which, bool *office)
{
    struct vault_hashes h;
    bool there = false;
    TRY(hash_password(p, tx_arena(tx), password, &h, tx_fault(tx)));
    for (int i = 0; i < h.n && !there; i++) {
        struct query *q = SQL(tx, "DELETE FROM device_password WHERE hash = $1 AND ends > $2 RETURNING account, office");
        bind_blob(q, str_of(h.bytes[i], VAULT_HASH_BYTES));
        bind_time(q, clock_now(p->clock));
        there = query_row(q);
        if (there) {
            which->id = row_id(q, 0);
            *office = row_flag(q, 1);
        }
        TRY(query_end(q));
    }
    return there ? OK : ERR_NOT_FOUND;
}

enum err office_attest(struct tx *tx, const struct privacy *p, account_id which, str wording, const char *language)
{
    struct query *q = SQL(tx, "INSERT INTO office_attestation (account, id, wording, language, made, ended) "
                              "VALUES ($1, $2, $3, $4, $5, NULL)");
    bind_id(q, which.id);
    bind_id(q, id_new());
    bind_text(q, wording);
    bind_text(q, str_from(language));
    bind_time(q, clock_now(p->clock));
    return query_run(q);
}

/* ---- everything at once ---- */

static enum err run_of(struct query *q, account_id which)
{
    bind_id(q, which.id);
    return query_run(q);
}

enum err devices_end(struct tx *tx, struct portal *p, account_id which)
{
    moment now = clock_now(p->privacy.clock);
    device_id *list = NULL;
    size_t n = 0, cap = 0;
    struct query *q = SQL(tx, "UPDATE device SET disconnected = $2 WHERE account = $1 AND disconnected IS NULL RETURNING id");
    bind_id(q, which.id);
    bind_time(q, now);
    while (query_row(q)) {
        ARENA_GROW(tx_arena(tx), list, cap, n + 1);
        list[n++].id = row_id(q, 0);
    }
    TRY(query_end(q));
    q = SQL(tx, "UPDATE binding SET ended = $2, next_token = NULL, pending = 0 WHERE account = $1 AND ended IS NULL");
    bind_id(q, which.id);
    bind_time(q, now);
    TRY(query_run(q));
    TRY(run_of(SQL(tx, "DELETE FROM device_report WHERE account = $1"), which));
    TRY(run_of(SQL(tx, "DELETE FROM device_position WHERE account = $1"), which));
    TRY(run_of(SQL(tx, "DELETE FROM device_password WHERE account = $1"), which));
    q = SQL(tx, "UPDATE office_attestation SET ended = $2 WHERE account = $1 AND ended IS NULL");
    bind_id(q, which.id);
    bind_time(q, now);
    TRY(query_run(q));
    TRY(commands_drop(tx, which, (binding_id){{{0}}}));
    for (size_t i = 0; i < n; i++) /* DEVICES_MAX at most, once in an account's life */
        TRY(license_forget_device(tx, p, which, list[i].id));
    return end_consent(tx, &p->privacy, which);
}
