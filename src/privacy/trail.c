#include "privacy/trail.h"

#include <string.h>

#include <sodium.h>

#include "privacy/retention.h"
#include "privacy/rights.h"

enum { HASH_BYTES = 32, MAX_LISTED = 1000, WALK_PAGE = 500, WALK_ARENA = 16 << 20 };

/* The rows' term in records.yaml, less the margin that the sweeper has. */
#define EARLIEST_END (365 * MOMENT_DAY - 2 * RETENTION_MARGIN)

struct row {
    id id;
    int64_t seq;
    str kind, actor;
    moment made, earlier; /* of the row before; 0 for the first */
    str address, browser, note, chain; /* sealed */
};

#define ROW_COLUMNS "id, seq, kind, actor, made, earlier, address, browser, note, chain "

static struct row read_row(struct query *q)
{
    return (struct row){row_id(q, 0),   row_int(q, 1),  row_text(q, 2), row_text(q, 3), row_time(q, 4),
                        row_time(q, 5), row_blob(q, 6), row_blob(q, 7), row_blob(q, 8), row_blob(q, 9)};
}

static void hash_part(crypto_generichash_state *s, str part)
{
    uint64_t n = part.n; /* lengths go in, so that two ways of cutting are two hashes */
    crypto_generichash_update(s, (const unsigned char *)&n, sizeof n);
    crypto_generichash_update(s, (const unsigned char *)(part.p ? part.p : ""), part.n);
}

static str chain_of(struct arena *a, id subject, const struct key *k, const struct row *r, str before)
{
    static const char label[] = "troth security log";
    unsigned char *h = arena_alloc(a, HASH_BYTES);
    CLEANUP(key_wipe) struct key own;
    crypto_generichash(own.bytes, sizeof own.bytes, (const unsigned char *)label, sizeof label,
                       k->bytes, sizeof k->bytes);
    int64_t numbers[] = {r->seq, r->made, r->earlier};
    crypto_generichash_state s;
    crypto_generichash_init(&s, own.bytes, sizeof own.bytes, HASH_BYTES);
    hash_part(&s, before);
    hash_part(&s, str_from(subject.text));
    hash_part(&s, str_from(r->id.text));
    hash_part(&s, str_of((const char *)numbers, sizeof numbers));
    hash_part(&s, r->kind);
    hash_part(&s, r->actor);
    hash_part(&s, r->address);
    hash_part(&s, r->browser);
    hash_part(&s, r->note);
    crypto_generichash_final(&s, h, HASH_BYTES);
    return str_of(h, HASH_BYTES);
}

/* ---- adding ---- */

struct head {
    int64_t seq;
    moment made;
    str chain;
};

static enum err read_head(struct tx *tx, id subject, struct head *out, bool *found)
{
    struct query *q = SQL(tx, "SELECT seq, made, chain FROM security_head WHERE subject = $1 AND part = 'log'");
    bind_id(q, subject);
    *found = query_row(q);
    if (*found)
        *out = (struct head){row_int(q, 0), row_time(q, 1), row_blob(q, 2)};
    return query_end(q);
}

static enum err write_head(struct tx *tx, id subject, const struct row *r)
{
    struct query *q = SQL(tx, "INSERT INTO security_head (subject, part, seq, made, chain) "
                              "VALUES ($1, 'log', $2, $3, $4) ON CONFLICT (subject, part) DO UPDATE "
                              "SET seq = excluded.seq, made = excluded.made, chain = excluded.chain");
    bind_id(q, subject);
    bind_int(q, r->seq);
    bind_time(q, r->made);
    bind_blob(q, r->chain);
    return query_run(q);
}

static void bind_optional(struct query *q, str sealed)
{
    if (sealed.n > 0)
        bind_blob(q, sealed);
    else
        bind_null(q);
}

static enum err insert_row(struct tx *tx, id subject, const struct row *r)
{
    struct query *q = SQL(tx, "INSERT INTO security_event (subject, " ROW_COLUMNS
                              ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
    bind_id(q, subject);
    bind_id(q, r->id);
    bind_int(q, r->seq);
    bind_text(q, r->kind);
    if (r->actor.n > 0)
        bind_text(q, r->actor);
    else
        bind_null(q);
    bind_time(q, r->made);
    if (r->earlier)
        bind_time(q, r->earlier);
    else
        bind_null(q);
    bind_optional(q, r->address);
    bind_optional(q, r->browser);
    bind_optional(q, r->note);
    bind_blob(q, r->chain);
    return query_run(q);
}

static str seal(struct arena *a, const struct key *k, const char *column, id row, str plain)
{
    if (plain.n == 0)
        return (str){NULL, 0};
    return privacy_seal(a, k, "security_event", column, row, plain);
}

enum err trail_begun(struct tx *tx, id subject, bool *yes)
{
    struct head head;
    return read_head(tx, subject, &head, yes);
}

enum err trail_add(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                   const struct trail_event *e)
{
    struct arena *a = tx_arena(tx);
    struct head head = {0};
    bool found;
    enum may may;
    if (e->note.n > TRAIL_NOTE_MAX)
        return ERR_INPUT;
    TRY(privacy_may(tx, p, subject, (str){NULL, 0}, "protect-accounts", &may));
    TRY(read_head(tx, subject, &head, &found));
    struct row r = {.id = id_new(),
                    .seq = head.seq + 1,
                    .kind = e->kind,
                    .actor = str_dup(a, str_from(e->actor.text)),
                    .made = clock_now(p->clock),
                    .earlier = head.made};
    if (may == MAY) {
        r.address = seal(a, k, "address", r.id, e->address);
        r.browser = seal(a, k, "browser", r.id, e->browser);
    }
    r.note = seal(a, k, "note", r.id, e->note);
    r.chain = chain_of(a, subject, k, &r, head.chain);
    TRY(write_head(tx, subject, &r));
    return insert_row(tx, subject, &r);
}

/* ---- reading ---- */

static enum err open_part(struct tx *tx, const struct key *k, const char *column, id row,
                          str sealed, str *out)
{
    *out = (str){NULL, 0};
    if (sealed.n == 0)
        return OK;
    return privacy_unseal(tx_arena(tx), k, "security_event", column, row, sealed, out,
                          tx_fault(tx));
}

enum err trail_list(struct tx *tx, const struct privacy *p, id subject, const struct key *k,
                    int64_t before, int limit, struct trail_event **out, size_t *n)
{
    int most = MIN_OF(limit, (int)MAX_LISTED);
    struct trail_event *list = ARENA_ARRAY(tx_arena(tx), struct trail_event, (size_t)most);
    struct query *q = SQL(tx, "SELECT " ROW_COLUMNS "FROM security_event WHERE subject = $1 "
                              "AND (seq < $2 OR $2 = 0) ORDER BY seq DESC LIMIT $3");
    (void)p;
    bind_id(q, subject);
    bind_int(q, before);
    bind_int(q, most);
    *n = 0;
    while (query_row(q)) {
        struct row r = read_row(q);
        struct trail_event *e = &list[(*n)++];
        *e = (struct trail_event){.seq = r.seq, .kind = r.kind, .made = r.made};
        if (r.actor.n > 0)
            TRY(id_parse(r.actor, &e->actor));
        TRY(open_part(tx, k, "address", r.id, r.address, &e->address));
        TRY(open_part(tx, k, "browser", r.id, r.browser, &e->browser));
        TRY(open_part(tx, k, "note", r.id, r.note, &e->note));
    }
    *out = list;
    return query_end(q);
}

/* Rows leave from the oldest on, when their term ends: the one before the oldest that is there must
 * be that old. */
static bool left_in_time(const struct privacy *p, moment earlier)
{
    return earlier == 0 || clock_now(p->clock) - earlier >= EARLIEST_END;
}

/* How far a chain has been looked through. */
struct walk {
    struct head head; /* as it was when the walk began: what is added meanwhile is not its business */
    bool found, whole, first;
    int64_t seq;
    moment made;
    unsigned char chain[HASH_BYTES];
};

static enum err begin_walk(struct tx *tx, id subject, struct walk *w)
{
    *w = (struct walk){.whole = true, .first = true};
    TRY(read_head(tx, subject, &w->head, &w->found));
    return OK;
}

static void step(struct walk *w, const struct privacy *p, id subject, const struct key *k, const struct row *r, struct arena *a)
{
    str last = str_of(w->chain, w->first ? 0 : HASH_BYTES);
    if (w->first) /* its predecessor is gone: its own hash is where the chain begins */
        w->whole &= left_in_time(p, r->earlier) && (r->seq == 1) == (r->earlier == 0);
    else
        w->whole &= r->seq == w->seq + 1 && r->earlier == w->made;
    if (!w->first || r->seq == 1)
        w->whole &= secret_eq(r->chain, chain_of(a, subject, k, r, last));
    w->whole &= r->chain.n == HASH_BYTES;
    if (r->chain.n == HASH_BYTES)
        memcpy(w->chain, r->chain.p, HASH_BYTES);
    w->seq = r->seq;
    w->made = r->made;
    w->first = false;
}

/* The next rows, at most WALK_PAGE; *n of them. */
static enum err walk_on(struct tx *tx, const struct privacy *p, id subject, const struct key *k, struct walk *w, size_t *n)
{
    struct query *q = SQL(tx, "SELECT " ROW_COLUMNS "FROM security_event WHERE subject = $1 AND seq > $2 AND seq <= $3 "
                              "ORDER BY seq LIMIT $4");
    bind_id(q, subject);
    bind_int(q, w->seq);
    bind_int(q, w->head.seq);
    bind_int(q, WALK_PAGE);
    for (*n = 0; query_row(q); ++*n) {
        struct row r = read_row(q);
        step(w, p, subject, k, &r, tx_arena(tx));
    }
    return query_end(q);
}

static bool ends_whole(const struct walk *w, const struct privacy *p, str head)
{
    if (w->first) /* all have left, or there were none */
        return w->whole && left_in_time(p, w->head.made);
    return w->whole && w->found && w->head.seq == w->seq && w->head.made == w->made &&
           secret_eq(head, str_of(w->chain, HASH_BYTES));
}

/* Nothing stands past the head, as it is now. */
static enum err ends_there(struct tx *tx, id subject, bool *yes)
{
    struct head head = {0};
    bool found;
    TRY(read_head(tx, subject, &head, &found));
    struct query *q = SQL(tx, "SELECT 1 FROM security_event WHERE subject = $1 AND seq > $2 LIMIT 1");
    bind_id(q, subject);
    bind_int(q, head.seq);
    *yes = !query_row(q);
    return query_end(q);
}

enum err trail_check(struct db *db, const struct privacy *p, id subject, const struct key *k, struct fault *f)
{
    struct walk w;
    struct arena *kept = arena_new(1 << 20);
    struct tx *tx = tx_begin(db, TX_READ, kept, f);
    enum err e = begin_walk(tx, subject, &w);
    str head = str_dup(kept, w.head.chain);
    tx_end(&tx);
    for (size_t n = WALK_PAGE; e == OK && n == WALK_PAGE;) {
        struct arena *a = arena_new(WALK_ARENA); /* each page its own: a log has no bound */
        tx = tx_begin(db, TX_READ, a, f);
        e = walk_on(tx, p, subject, k, &w, &n);
        tx_end(&tx);
        arena_free(&a);
    }
    bool there = false;
    tx = tx_begin(db, TX_READ, kept, f);
    if (e == OK)
        e = ends_there(tx, subject, &there);
    tx_end(&tx);
    if (e == OK && !(there && ends_whole(&w, p, head)))
        e = ERR_CONFLICT;
    arena_free(&kept);
    return e;
}
