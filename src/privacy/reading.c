#include "privacy/reading.h"

#include "privacy/retention.h"
#include "privacy/verify.h"

enum { RECORDS_MAX = 3000, LIST_MAX = 200 };

bool reading_may(const struct record *r, unsigned roles, bool restricted)
{
    bool open = !restricted || r->purpose->essential || roles & ROLE_BIT(ROLE_PRIVACY);
    return (r->staff & roles) != 0 && open;
}

str reading_records(const struct privacy *p, struct arena *a, str kind, unsigned roles,
                    bool restricted)
{
    struct buf b = buf_new(a, RECORDS_MAX);
    for (size_t i = 0; i < p->inventory->n_records; i++) {
        const struct record *r = &p->inventory->records[i];
        if ((!record_of_any(r) && !str_eq(r->subject, kind)) || !reading_may(r, roles, restricted))
            continue;
        if (b.n > 0)
            buf_char(&b, ',');
        buf_put(&b, r->name);
    }
    return buf_str(&b);
}

/* ---- recording ---- */

/* The log's newest row is the one that was just added. */
static enum err list_for_review(struct tx *tx, const struct privacy *p, id subject, id reader)
{
    id event = {{0}};
    moment made = clock_now(p->clock);
    struct query *q = SQL(tx, "SELECT id, made FROM security_event WHERE subject = $1 ORDER BY seq DESC LIMIT 1");
    bind_id(q, subject);
    if (query_row(q)) {
        event = row_id(q, 0);
        made = row_time(q, 1); /* the same, so that the two can be held against each other */
    }
    TRY(query_end(q));
    q = SQL(tx, "INSERT INTO staff_reading (event, actor, made) VALUES ($1, $2, $3)");
    bind_id(q, event);
    bind_id(q, reader);
    bind_time(q, made);
    return query_run(q);
}

static enum err add(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                    const struct reading *r, const char *kind)
{
    struct arena *a = tx_arena(tx);
    str reason = str_trim(r->reason);
    if (reason.n == 0 || reason.n > READING_REASON_MAX)
        return FAIL(tx_fault(tx), ERR_INPUT, "a reading needs a reason of at most %d bytes", READING_REASON_MAX);
    struct trail_event e = {
        .kind = str_from(kind),
        .actor = r->reader,
        .address = r->address,
        .browser = r->browser,
        .note = str_fmt(a, "%.*s %.*s %.*s\n%.*s", STR_FMT(roles_text(a, r->roles, ',')),
                        STR_FMT(r->pseudonym), STR_FMT(r->records), STR_FMT(reason)),
    };
    TRY(trail_add(tx, p, subject, k, &e));
    return list_for_review(tx, p, subject, r->reader);
}

enum err reading_add(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                     const struct reading *r)
{
    return add(tx, p, subject, k, r, EVENT_READ);
}

enum err reading_in_vain(struct tx *tx, const struct privacy *p, const struct key *k,
                         const struct reading *r)
{
    return add(tx, p, r->reader, k, r, EVENT_IN_VAIN);
}

/* ---- what was recorded ---- */

bool reading_parse(str note, struct reading_note *out)
{
    str head, reason, roles, rest;
    struct reading_note n;
    if (!str_cut(note, '\n', &head, &reason) || !str_cut(head, ' ', &roles, &rest) ||
        !str_cut(rest, ' ', &n.pseudonym, &n.records) || roles_parse(roles, &n.roles) != OK)
        return false;
    n.reason = reason;
    *out = n;
    return true;
}

static str next_name(str *names)
{
    str one;
    if (!str_cut(*names, ',', &one, names)) {
        one = *names;
        *names = (str){NULL, 0};
    }
    return one;
}

/* Are all of these among those? */
static bool covers(str those, str these)
{
    while (these.n > 0) {
        str wanted = next_name(&these), rest = those;
        bool found = false;
        while (rest.n > 0 && !found)
            found = str_eq(next_name(&rest), wanted);
        if (!found)
            return false;
    }
    return true;
}

static enum err open_note(struct tx *tx, const struct key *k, id event, str sealed,
                          struct reading_note *out, bool *is_one)
{
    str note;
    *is_one = false;
    if (sealed.n == 0)
        return OK;
    TRY(privacy_unseal(tx_arena(tx), k, "security_event", "note", event, sealed, &note, tx_fault(tx)));
    *is_one = reading_parse(note, out);
    return OK;
}

enum err reading_holds(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                       id reader, str records, moment *until)
{
    enum { MOST = 50 }; /* a few may last at a time: of the card, of an objection */
    struct {
        id event;
        moment made;
        str sealed;
    } rows[MOST];
    size_t found = 0;
    *until = 0;
    struct query *q = SQL(tx, "SELECT id, made, note FROM security_event WHERE subject = $1 "
                              "AND actor = $2 AND kind = '" EVENT_READ "' AND made > $3 "
                              "ORDER BY seq DESC LIMIT $4");
    bind_id(q, subject);
    bind_id(q, reader);
    bind_time(q, clock_now(p->clock) - READING_LASTS);
    bind_int(q, MOST);
    for (; query_row(q); found++) {
        rows[found].event = row_id(q, 0);
        rows[found].made = row_time(q, 1);
        rows[found].sealed = row_blob(q, 2);
    }
    TRY(query_end(q));
    for (size_t i = 0; i < found && *until == 0; i++) {
        struct reading_note n;
        bool is_one;
        TRY(open_note(tx, k, rows[i].event, rows[i].sealed, &n, &is_one));
        if (is_one && covers(n.records, records))
            *until = rows[i].made + READING_LASTS;
    }
    return OK;
}

enum err reading_count(struct tx *tx, id reader, moment since, int64_t *count)
{
    struct query *q = SQL(tx, "SELECT count(*) FROM staff_reading WHERE actor = $1 AND made > $2");
    bind_id(q, reader);
    bind_time(q, since);
    *count = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

json_t *reading_view(const struct privacy *p, struct arena *a, const struct locale *l,
                     const struct reading_note *n)
{
    json_t *j = json_object();
    struct buf who = buf_new(a, 1000), what = buf_new(a, 16 * RECORDS_MAX);
    str rest = n->records;
    for (int i = 0; i < ROLES; i++)
        if (n->roles & ROLE_BIT(i))
            buf_fmt(&who, "%s%.*s", who.n ? ", " : "",
                    STR_FMT(catalog_text(p->catalog, l, a, str_fmt(a, "role.%s", role_name((enum role)i)).p, NULL)));
    buf_fmt(&who, " (%.*s)", STR_FMT(n->pseudonym));
    while (rest.n > 0) {
        str name = next_name(&rest);
        /* A record that is no longer declared keeps its name. */
        str key = str_fmt(a, "record.%.*s", STR_FMT(name));
        buf_fmt(&what, "%s%.*s", what.n ? "; " : "",
                STR_FMT(catalog_key(p->catalog, key) < 0 ? name : catalog_text(p->catalog, l, a, key.p, NULL)));
    }
    json_put_str(j, "who", buf_str(&who));
    json_put_str(j, "records", buf_str(&what));
    json_put_str(j, "reason", n->reason);
    return j;
}

/* ---- the review ---- */

/* The log's row: erased, where it is gone with its subject, or its subject's key is. */
static enum err read_event(struct tx *tx, const struct privacy *p, struct reading_entry *e)
{
    CLEANUP(key_wipe) struct key k;
    str sealed = {NULL, 0};
    bool is_one;
    struct query *q = SQL(tx, "SELECT subject, kind, note FROM security_event WHERE id = $1");
    bind_id(q, e->event);
    e->erased = !query_row(q);
    if (!e->erased) {
        e->subject = row_id(q, 0);
        e->in_vain = str_is(row_text(q, 1), EVENT_IN_VAIN);
        sealed = row_blob(q, 2);
    }
    TRY(query_end(q));
    if (e->erased)
        return OK;
    enum err found = vault_subject_key(p->vault, e->subject, &k, tx_arena(tx), tx_fault(tx));
    if (found == ERR_NOT_FOUND) {
        fault_clear(tx_fault(tx));
        e->erased = true;
        e->subject = (id){{0}};
        return OK;
    }
    TRY(found);
    return open_note(tx, &k, e->event, sealed, &e->note, &is_one);
}

enum err reading_list(struct tx *tx, const struct privacy *p, id reader, moment before,
                      id before_event, int limit, struct reading_entry **out, size_t *n)
{
    int most = MIN_OF(limit, (int)LIST_MAX);
    struct reading_entry *list = ARENA_ARRAY(tx_arena(tx), struct reading_entry, (size_t)most);
    struct query *q =
        id_is_none(reader)
            ? SQL(tx, "SELECT event, actor, made FROM staff_reading WHERE made < $1 OR (made = $1 AND event < $2) "
                      "ORDER BY made DESC, event DESC LIMIT $3")
            : SQL(tx, "SELECT event, actor, made FROM staff_reading WHERE actor = $4 AND (made < $1 OR (made = $1 AND event < $2)) "
                      "ORDER BY made DESC, event DESC LIMIT $3");
    bind_time(q, before ? before : clock_now(p->clock) + MOMENT_DAY);
    bind_id(q, before_event);
    bind_int(q, most);
    if (!id_is_none(reader))
        bind_id(q, reader);
    *n = 0;
    while (query_row(q))
        list[(*n)++] = (struct reading_entry){.event = row_id(q, 0), .reader = row_id(q, 1), .made = row_time(q, 2)};
    TRY(query_end(q));
    for (size_t i = 0; i < *n; i++)
        TRY(read_event(tx, p, &list[i]));
    *out = list;
    return OK;
}

enum err check_readings(struct check *c)
{
    int64_t all = 0, unseen = 0;
    struct query *q = SQL(c->tx, "SELECT count(*) FROM staff_reading");
    all = query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    /* The sweeper takes the one, then the other: rows about to leave are no evidence. */
    q = SQL(c->tx, "SELECT count(*) FROM security_event WHERE kind IN ('" EVENT_READ "', '" EVENT_IN_VAIN "') "
                   "AND made > $1 AND id NOT IN (SELECT event FROM staff_reading)");
    bind_time(q, clock_now(c->p->clock) - 360 * MOMENT_DAY);
    unseen = query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    /* And none that says another reader, or another time, than the log. */
    q = SQL(c->tx, "SELECT count(*) FROM staff_reading r JOIN security_event e ON e.id = r.event "
                   "WHERE e.actor <> r.actor OR e.made <> r.made OR e.actor IS NULL");
    unseen += query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    json_put_int(c->values, "count", all);
    json_put_int(c->values, "unseen", unseen);
    c->verdict = unseen == 0 ? VERDICT_KEPT : VERDICT_BROKEN;
    c->evidence = unseen == 0 ? MSG("evidence.readings") : MSG("evidence.readings-broken");
    return OK;
}
