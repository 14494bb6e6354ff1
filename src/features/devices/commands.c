/*
 * Commands (ATW-02, ATW-03): queued, delivered, done or failed; expired where nobody fetched one in time, or
 * where its app was disconnected. Time ends them where they are read; no task goes about it.
 */
#include "features/devices/model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "features/live/live.h"
#include "privacy/rights.h"

static const char *const kinds[] = {"message", "alarm", "locate", "lock", "wipe", "enable-protection", "update-databases",
                                    "renew-license"};

static bool is_kind(const char *kind)
{
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(kinds[i], kind) == 0)
            return true;
    return false;
}

enum err commands_drop(struct tx *tx, account_id which, binding_id binding)
{
    struct query *q = SQL(tx, "UPDATE device_command SET state = 'expired' WHERE account = $1 AND ($2 = '' OR binding = $2) "
                              "AND state IN ('queued', 'delivered')");
    bind_id(q, which.id);
    bind_text(q, id_str(&binding.id));
    return query_run(q);
}

/* ---- given ---- */

static enum err waits_already(struct tx *tx, const struct command_start *s, moment now, bool *yes)
{
    struct query *q = SQL(tx, "SELECT 1 FROM device_command WHERE account = $1 AND device = $2 AND kind = $3 AND "
                              "state = 'queued' AND expires > $4 LIMIT 1");
    bind_id(q, s->account.id);
    bind_id(q, s->device.id);
    bind_text(q, str_from(s->kind));
    bind_time(q, now);
    *yes = query_row(q);
    return query_end(q);
}

static enum err apps_on(struct tx *tx, const struct command_start *s, binding_id *list, size_t most, size_t *n)
{
    struct query *q = SQL(tx, "SELECT b.id, r.features FROM binding b LEFT JOIN device_report r ON r.account = b.account AND "
                              "r.id = b.id WHERE b.account = $1 AND b.device = $2 AND b.ended IS NULL ORDER BY b.made LIMIT $3");
    bind_id(q, s->account.id);
    bind_id(q, s->device.id);
    bind_int(q, (int64_t)most);
    *n = 0;
    while (query_row(q))
        if (s->feature == NULL || (!row_is_null(q, 1) && told_feature(row_text(q, 1), str_from(s->feature))))
            list[(*n)++].id = row_id(q, 0);
    return query_end(q);
}

static enum err add_for(struct tx *tx, const struct key *k, const struct command_start *s, binding_id app, moment now, id made)
{
    struct query *q = SQL(tx, "INSERT INTO device_command (account, id, device, binding, kind, text, state, reason, session, made, "
                              "expires, delivered, ended) VALUES ($1, $2, $3, $4, $5, $6, 'queued', '', $7, $8, $9, NULL, NULL)");
    bind_id(q, s->account.id);
    bind_id(q, made);
    bind_id(q, s->device.id);
    bind_id(q, app.id);
    bind_text(q, str_from(s->kind));
    if (s->text.n)
        bind_blob(q, privacy_seal(tx_arena(tx), k, "device_command", "text", made, s->text));
    else
        bind_null(q);
    bind_text(q, id_str(&s->session));
    bind_time(q, now);
    bind_time(q, now + COMMAND_LASTS);
    return query_run(q);
}

enum err command_add(struct tx *tx, struct portal *p, const struct key *k, const struct command_start *s, command_id *out)
{
    enum { APPS_MAX = 8 };
    binding_id apps[APPS_MAX];
    size_t n;
    bool waits;
    enum may may;
    moment now = clock_now(p->privacy.clock);
    assert(is_kind(s->kind));
    if (s->text.n > COMMAND_TEXT_MAX)
        return ERR_INPUT;
    TRY(privacy_may(tx, &p->privacy, s->account.id, (str){NULL, 0}, PURPOSE_DEVICES, &may));
    if (may != MAY)
        return FAIL(tx_fault(tx), ERR_DENIED, "a command: %s", may_name(may));
    TRY(apps_on(tx, s, apps, APPS_MAX, &n));
    if (n == 0)
        return ERR_NOT_FOUND;
    TRY(waits_already(tx, s, now, &waits));
    if (waits)
        return FAIL(tx_fault(tx), ERR_CONFLICT, "the same command waits already");
    for (size_t i = 0; i < n; i++) {
        id made = id_new();
        TRY(add_for(tx, k, s, apps[i], now, made));
        if (i == 0)
            out->id = made;
    }
    return device_wake(tx, p, s->account, s->device);
}

enum err command_take_back(struct tx *tx, const struct privacy *p, account_id which, device_id device, const char *kind)
{
    struct query *q = SQL(tx, "UPDATE device_command SET state = 'expired', reason = '" COMMAND_TAKEN_BACK "', ended = $4 "
                              "WHERE account = $1 AND device = $2 AND kind = $3 AND state = 'queued' AND expires > $4");
    bind_id(q, which.id);
    bind_id(q, device.id);
    bind_text(q, str_from(kind));
    bind_time(q, clock_now(p->clock));
    TRY(query_run(q));
    return query_changes(q) > 0 ? OK : ERR_CONFLICT;
}

/* ---- fetched and answered ---- */

static enum err mark_delivered(struct tx *tx, const struct binding *b, moment now)
{
    struct query *q = SQL(tx, "UPDATE device_command SET state = 'delivered', delivered = $3 "
                              "WHERE account = $1 AND binding = $2 AND state = 'queued' AND expires > $3");
    bind_id(q, b->account.id);
    bind_text(q, id_str(&b->id.id));
    bind_time(q, now);
    TRY(query_run(q));
    q = SQL(tx, "UPDATE binding SET pending = 0 WHERE account = $1 AND id = $2 AND pending > 0");
    bind_id(q, b->account.id);
    bind_id(q, b->id.id);
    return query_run(q);
}

#define COLUMNS "id, device, binding, kind, text, state, reason, made, delivered, ended, expires, session"

static enum err read_command(struct query *q, struct arena *a, const struct key *k, moment now, struct command *c, struct fault *f)
{
    *c = (struct command){.id = {row_id(q, 0)},
                          .kind = row_text(q, 3),
                          .state = row_text(q, 5),
                          .reason = row_text(q, 6),
                          .made = row_time(q, 7),
                          .delivered = row_time(q, 8),
                          .ended = row_time(q, 9),
                          .expires = row_time(q, 10)};
    if (id_parse(row_text(q, 1), &c->device.id) != OK || id_parse(row_text(q, 2), &c->binding.id) != OK)
        return FAIL(f, ERR_IO, "a command of no device");
    str session = row_text(q, 11);
    if (session.n && id_parse(session, &c->session) != OK)
        return FAIL(f, ERR_IO, "a command of no session");
    if (now >= c->expires && (str_is(c->state, "queued") || str_is(c->state, "delivered")))
        c->state = STR("expired");
    if (k && !row_is_null(q, 4))
        TRY(privacy_unseal(a, k, "device_command", "text", c->id.id, row_blob(q, 4), &c->text, f));
    return OK;
}

static enum err read_commands(struct tx *tx, struct query *q, const struct key *k, moment now, struct command **out, size_t *n)
{
    struct command *list = NULL;
    size_t cap = 0;
    *n = 0;
    while (query_row(q)) {
        ARENA_GROW(tx_arena(tx), list, cap, *n + 1);
        TRY(read_command(q, tx_arena(tx), k, now, &list[*n], tx_fault(tx)));
        ++*n;
    }
    *out = list;
    return query_end(q);
}

/* Those that were delivered and not answered come again: the app may have ended in between. */
enum err command_fetch(struct tx *tx, const struct privacy *p, const struct key *k, const struct binding *b,
                       struct command **out, size_t *n)
{
    moment now = clock_now(p->clock);
    TRY(binding_settle(tx, b));
    TRY(mark_delivered(tx, b, now));
    struct query *q = SQL(tx, "SELECT " COLUMNS " FROM device_command WHERE account = $1 AND binding = $2 AND "
                              "state = 'delivered' AND expires > $3 ORDER BY made, id LIMIT 50");
    bind_id(q, b->account.id);
    bind_text(q, id_str(&b->id.id));
    bind_time(q, now);
    return read_commands(tx, q, k, now, out, n);
}

static enum err command_of(struct tx *tx, const struct privacy *p, const struct binding *b, command_id which, struct command *out)
{
    struct command *list;
    size_t n;
    struct query *q = SQL(tx, "SELECT " COLUMNS " FROM device_command WHERE account = $1 AND id = $2 AND binding = $3");
    bind_id(q, b->account.id);
    bind_id(q, which.id);
    bind_text(q, id_str(&b->id.id));
    TRY(read_commands(tx, q, NULL, clock_now(p->clock), &list, &n));
    if (n == 0 || str_is(list[0].state, "expired"))
        return ERR_NOT_FOUND;
    *out = list[0];
    return OK;
}

enum err command_answer(struct tx *tx, struct portal *p, const struct key *k, const struct binding *b, command_id which,
                        bool done, str reason)
{
    struct command c;
    (void)k;
    TRY(binding_settle(tx, b));
    TRY(command_of(tx, &p->privacy, b, which, &c));
    struct query *q = SQL(tx, "UPDATE device_command SET state = $3, reason = $4, ended = $5 "
                              "WHERE account = $1 AND id = $2 AND state IN ('queued', 'delivered')");
    bind_id(q, b->account.id);
    bind_id(q, which.id);
    bind_text(q, done ? STR("done") : STR("failed"));
    bind_text(q, done ? STR("") : reason);
    bind_time(q, clock_now(p->privacy.clock));
    live_wake_pages(tx, p, b->account.id);
    return query_run(q);
}

enum err command_list(struct tx *tx, const struct privacy *p, account_id which, device_id device, const struct key *k, int limit,
                      struct command **out, size_t *n)
{
    struct query *q = SQL(tx, "SELECT " COLUMNS " FROM device_command WHERE account = $1 AND device = $2 "
                              "ORDER BY made DESC, id LIMIT $3");
    bind_id(q, which.id);
    bind_text(q, id_str(&device.id));
    bind_int(q, limit);
    return read_commands(tx, q, k, clock_now(p->clock), out, n);
}

enum err fix_list(struct tx *tx, const struct privacy *p, account_id which, device_id device, struct command **out, size_t *n)
{
    moment now = clock_now(p->clock);
    struct query *q = SQL(tx, "SELECT " COLUMNS " FROM device_command WHERE account = $1 AND ($2 = '' OR device = $2) AND "
                              "made > $3 AND kind IN ('enable-protection', 'update-databases', 'renew-license') "
                              "ORDER BY made DESC, id LIMIT $4");
    bind_id(q, which.id);
    bind_text(q, id_str(&device.id));
    bind_time(q, now - 2 * COMMAND_LASTS);
    bind_int(q, FIXES_MAX);
    return read_commands(tx, q, NULL, now, out, n);
}

/* ---- where it is ---- */

enum err position_add(struct tx *tx, const struct privacy *p, const struct key *k, const struct binding *b, command_id which,
                      const struct position *at)
{
    struct command c;
    moment now = clock_now(p->clock);
    TRY(binding_settle(tx, b));
    enum err e = command_of(tx, p, b, which, &c);
    if (e == ERR_NOT_FOUND || (e == OK && (!str_is(c.kind, "locate") || !str_is(c.state, "delivered"))))
        return FAIL(tx_fault(tx), ERR_DENIED, "nobody asked where it is");
    TRY(e);
    /* One position of a device is enough. */
    struct query *q = SQL(tx, "DELETE FROM device_position WHERE account = $1 AND device = $2");
    bind_id(q, b->account.id);
    bind_text(q, id_str(&b->device.id));
    TRY(query_run(q));
    str place = str_fmt(tx_arena(tx), "%.6f %.6f %.1f", at->latitude, at->longitude, at->accuracy);
    q = SQL(tx, "INSERT INTO device_position (account, id, device, place, made, ends) VALUES ($1, $2, $3, $4, $5, $6)");
    bind_id(q, b->account.id);
    bind_id(q, which.id);
    bind_text(q, id_str(&b->device.id));
    bind_blob(q, privacy_seal(tx_arena(tx), k, "device_position", "place", which.id, place));
    bind_time(q, now);
    bind_time(q, now + POSITION_LASTS);
    return query_run(q);
}

enum err position_get(struct tx *tx, const struct privacy *p, account_id which, device_id device, const struct key *k,
                      struct position *out)
{
    struct position at = {0};
    str sealed = {NULL, 0}, place;
    id command = {{0}};
    struct query *q = SQL(tx, "SELECT id, place, made, ends FROM device_position WHERE account = $1 AND device = $2 AND ends > $3 "
                              "ORDER BY made DESC LIMIT 1");
    bind_id(q, which.id);
    bind_text(q, id_str(&device.id));
    bind_time(q, clock_now(p->clock));
    if (query_row(q)) {
        command = row_id(q, 0);
        sealed = row_blob(q, 1);
        at.made = row_time(q, 2);
        at.ends = row_time(q, 3);
    }
    TRY(query_end(q));
    if (sealed.n == 0)
        return ERR_NOT_FOUND;
    TRY(privacy_unseal(tx_arena(tx), k, "device_position", "place", command, sealed, &place, tx_fault(tx)));
    const char *text = str_cstr(tx_arena(tx), place);
    char *end;
    at.latitude = strtod(text, &end);
    at.longitude = strtod(end, &end);
    at.accuracy = strtod(end, &end);
    *out = at;
    return OK;
}
