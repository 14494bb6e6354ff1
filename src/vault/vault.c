#include "vault/vault.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "vault/internal.h"

#include "base/file.h"

/* ---- tables ---- */

static struct column subject_columns[] = {
    {{"subject", 7}, COLUMN_TEXT, false}, {{"kind", 4}, COLUMN_TEXT, false},
    {{"master", 6}, COLUMN_TEXT, false},  {{"wrapped", 7}, COLUMN_BLOB, false},
    {{"made", 4}, COLUMN_TIME, false},
};
static struct column secret_columns[] = {
    {{"name", 4}, COLUMN_TEXT, false},   {{"generation", 10}, COLUMN_INT, false},
    {{"master", 6}, COLUMN_TEXT, false}, {{"wrapped", 7}, COLUMN_BLOB, false},
    {{"made", 4}, COLUMN_TIME, false},
};
static struct column master_columns[] = {
    {{"one_row", 7}, COLUMN_INT, false}, /* enum master_row */
    {{"master", 6}, COLUMN_TEXT, false},
    {{"since", 5}, COLUMN_TIME, false},
};
static str by_subject[] = {{"subject", 7}};
static str by_name[] = {{"name", 4}, {"generation", 10}};
static str by_one_row[] = {{"one_row", 7}};
static str by_master[] = {{"master", 6}};
static str by_kind[] = {{"kind", 4}, {"subject", 7}};
static struct index subject_indexes[] = {
    {.name = {"subject_key_master", 18}, .columns = by_master, .n_columns = 1},
    {.name = {"subject_key_kind", 16}, .columns = by_kind, .n_columns = 2},
};
static struct table tables[] = {
    {.name = {"subject_key", 11}, .kind = TABLE_LOOKUP, .columns = subject_columns,
     .n_columns = COUNT(subject_columns), .key = by_subject, .n_key = 1,
     .indexes = subject_indexes, .n_indexes = COUNT(subject_indexes)},
    {.name = {"secret_key", 10}, .kind = TABLE_REFERENCE, .columns = secret_columns,
     .n_columns = COUNT(secret_columns), .key = by_name, .n_key = 2},
    {.name = {"master_key", 10}, .kind = TABLE_REFERENCE, .columns = master_columns,
     .n_columns = COUNT(master_columns), .key = by_one_row, .n_key = 1},
};
static const struct schema schema = {tables, COUNT(tables)};

const struct schema *vault_schema(void)
{
    return &schema;
}

/* ---- wrapping ---- */

enum { NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
       TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
       WRAPPED = NONCE + KEY_BYTES + TAG };

static str wrap_text(struct arena *a, str what, const char *master)
{
    return str_fmt(a, "%.*s|%s", STR_FMT(what), master);
}

str vault_wrap(struct arena *a, const struct master *m, str what, const struct key *k)
{
    unsigned char *out = arena_alloc(a, WRAPPED);
    str ad = wrap_text(a, what, m->id);
    randombytes_buf(out, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE, NULL, k->bytes, sizeof k->bytes,
                                               (const unsigned char *)ad.p, ad.n, NULL, out,
                                               m->key.bytes);
    return str_of(out, WRAPPED);
}

static enum err unwrap(struct arena *a, const struct master *m, str what, str wrapped,
                       struct key *out, struct fault *f)
{
    str ad = wrap_text(a, what, m->id);
    const unsigned char *in = (const unsigned char *)wrapped.p;
    if (wrapped.n != WRAPPED ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(out->bytes, NULL, NULL, in + NONCE,
                                                   WRAPPED - NONCE, (const unsigned char *)ad.p,
                                                   ad.n, in, m->key.bytes) != 0)
        return FAIL(f, ERR_CONFLICT, "a key in the keyring is damaged");
    return OK;
}

/* The mutex is held. What is known stays where the files cannot be read now. */
static enum err load_masters(struct vault *v, struct fault *f)
{
    struct masters fresh;
    enum err e = masters_load(&v->paths, &fresh, f);
    if (e == OK)
        *v->masters = fresh;
    sodium_memzero(&fresh, sizeof fresh);
    return e;
}

enum err vault_load_masters(struct vault *v, struct fault *f)
{
    pthread_mutex_lock(&v->mutex);
    enum err e = load_masters(v, f);
    pthread_mutex_unlock(&v->mutex);
    return e;
}

/* A copy of the master key of that name; files are read again where it is not known, for another
 * process may have rotated: twice, for it may be renaming them this very moment. */
static enum err master_named(struct vault *v, str name, struct master *out, struct fault *f)
{
    pthread_mutex_lock(&v->mutex);
    const struct master *m = master_find(v->masters, name);
    enum err e = OK;
    for (int i = 0; i < 2 && m == NULL && e == OK; i++) {
        e = load_masters(v, f);
        m = e == OK ? master_find(v->masters, name) : NULL;
    }
    if (m != NULL)
        *out = *m;
    else if (e == OK)
        e = FAIL(f, ERR_DENIED,
                 "the master key in %s (%s) does not open this keyring, which needs %.*s",
                 v->paths.file, v->masters->list[0].id, STR_FMT(name));
    pthread_mutex_unlock(&v->mutex);
    return e;
}

enum err vault_unwrap(struct vault *v, struct arena *a, str master, str what, str wrapped,
                             struct key *out, struct fault *f)
{
    CLEANUP(master_wipe) struct master m = {0};
    TRY(master_named(v, master, &m, f));
    return unwrap(a, &m, what, wrapped, out, f);
}

/* The master key in use, as the keyring has it; read in the transaction that then writes, so that
 * a rotation in between is noticed. */
static enum err current_master(struct vault *v, struct tx *tx, struct master *out)
{
    struct query *q = SQL(tx, "SELECT master FROM master_key WHERE one_row = 1");
    str name = query_row(q) ? row_text(q, 0) : (str){NULL, 0};
    TRY(query_end(q));
    if (name.n == 0)
        return FAIL(tx_fault(tx), ERR_DENIED, "the keyring has no master key");
    return tx_fail(tx, master_named(v, name, out, tx_fault(tx)));
}

/* ---- the cache ---- */

static struct cached *slot_of(struct vault *v, id subject)
{
    uint32_t h;
    memcpy(&h, subject.text + 4, sizeof h); /* an ID is random */
    h = h * 2654435761u >> 16;
    return &v->cache[h % VAULT_CACHE_SLOTS];
}

static bool cache_get(struct vault *v, id subject, struct key *out)
{
    pthread_mutex_lock(&v->mutex);
    struct cached *c = slot_of(v, subject);
    bool hit = id_eq(c->subject, subject) && c->until > clock_ticks();
    if (hit)
        *out = c->key;
    pthread_mutex_unlock(&v->mutex);
    return hit;
}

static void cache_put(struct vault *v, id subject, const struct key *k)
{
    pthread_mutex_lock(&v->mutex);
    struct cached *c = slot_of(v, subject);
    c->subject = subject;
    c->until = clock_ticks() + VAULT_CACHE_SECONDS * MOMENT_SECOND;
    c->key = *k;
    pthread_mutex_unlock(&v->mutex);
}

static void cache_drop(struct vault *v, id subject)
{
    pthread_mutex_lock(&v->mutex);
    struct cached *c = slot_of(v, subject);
    if (id_eq(c->subject, subject))
        sodium_memzero(c, sizeof *c);
    pthread_mutex_unlock(&v->mutex);
}

/* ---- start and stop ---- */

static enum err adopt(struct vault *v, struct tx *tx)
{
    struct query *q = SQL(tx, "INSERT INTO master_key (one_row, master, since) VALUES (1, $1, $2) "
                              "ON CONFLICT (one_row) DO NOTHING");
    bind_text(q, str_from(v->masters->list[0].id));
    bind_time(q, clock_now(v->clock));
    return query_run(q);
}

/* Takes an empty keyring as its own; finishes the files of a rotation that the keyring has seen. */
static enum err settle(struct vault *v, struct arena *a, struct fault *f)
{
    CLEANUP(master_wipe) struct master m = {0};
    CLEANUP(tx_end) struct tx *tx = tx_begin(v->keyring, TX_WRITE, a, f);
    TRY(adopt(v, tx));
    TRY(current_master(v, tx, &m));
    TRY(tx_commit(tx));
    if (v->read_only)
        return OK;
    struct master in_file = {0};
    bool settled = master_read(v->paths.file, &in_file, NULL) == OK &&
                   strcmp(in_file.id, m.id) == 0 && !file_exists(v->paths.old);
    master_wipe(&in_file);
    return settled ? OK : master_settle(&v->paths, str_from(m.id), f);
}

enum err vault_make_master(const char *path, struct fault *f)
{
    return master_make(path, f);
}

enum err vault_start(struct vault **out, const struct vault_config *config, struct db *keyring,
                     const struct clock *clock, struct fault *f)
{
    if (sodium_init() < 0)
        return FAIL(f, ERR_IO, "libsodium cannot be used here");
    struct vault *v = calloc(1, sizeof *v);
    if (v == NULL)
        return FAIL(f, ERR_BUSY, "out of memory");
    v->keyring = keyring;
    v->clock = clock;
    v->read_only = config->read_only;
    pthread_mutex_init(&v->rotation, NULL);
    pthread_mutex_init(&v->mutex, NULL);
    v->masters = sodium_malloc(sizeof *v->masters);
    v->cache = sodium_malloc(VAULT_CACHE_SLOTS * sizeof *v->cache);
    enum err e = v->masters && v->cache ? OK : FAIL(f, ERR_BUSY, "no locked memory for keys");
    if (e == OK) {
        sodium_memzero(v->cache, VAULT_CACHE_SLOTS * sizeof *v->cache);
        e = master_paths(config->master_path, config->next_path, &v->paths, f);
    }
    if (e == OK)
        e = masters_load(&v->paths, v->masters, f);
    if (e == OK) {
        struct arena *a = arena_new(1 << 20);
        e = settle(v, a, f);
        arena_free(&a);
    }
    if (e != OK) {
        vault_stop(&v);
        return e;
    }
    *out = v;
    return OK;
}

void vault_stop(struct vault **v)
{
    if (*v == NULL)
        return;
    sodium_free((*v)->masters);
    sodium_free((*v)->cache);
    pthread_mutex_destroy(&(*v)->rotation);
    pthread_mutex_destroy(&(*v)->mutex);
    free(*v);
    *v = NULL;
}

struct db *vault_keyring(const struct vault *v)
{
    return v->keyring;
}

/* ---- subjects ---- */

struct new_subjects {
    struct vault *vault;
    const char *kind;
    const id *list;
    const struct key *keys;
    size_t n;
};

str vault_subject_label(struct arena *a, id subject)
{
    return str_fmt(a, "subject:%s", subject.text);
}

static enum err add_subjects(struct tx *tx, void *arg)
{
    const struct new_subjects *s = arg;
    struct arena *a = tx_arena(tx);
    CLEANUP(master_wipe) struct master m = {0};
    TRY(current_master(s->vault, tx, &m));
    for (size_t i = 0; i < s->n; i++) {
        struct query *q = SQL(tx, "INSERT INTO subject_key (subject, kind, master, wrapped, made) "
                                  "VALUES ($1, $2, $3, $4, $5)");
        bind_text(q, str_from(s->list[i].text));
        bind_text(q, str_from(s->kind));
        bind_text(q, str_from(m.id));
        bind_blob(q, vault_wrap(a, &m, vault_subject_label(a, s->list[i]), &s->keys[i]));
        bind_time(q, clock_now(s->vault->clock));
        TRY(query_run(q));
    }
    return OK;
}

enum err vault_add_subjects(struct vault *v, const id *subjects, size_t n, const char *kind,
                            struct arena *a, struct fault *f)
{
    struct key *keys = ARENA_ARRAY(a, struct key, n);
    struct new_subjects s = {v, kind, subjects, keys, n};
    for (size_t i = 0; i < n; i++)
        keys[i] = key_new();
    enum err e = db_transact(v->keyring, a, f, add_subjects, &s);
    for (size_t i = 0; i < n && e == OK; i++)
        cache_put(v, subjects[i], &keys[i]);
    sodium_memzero(keys, n * sizeof *keys);
    return e;
}

enum err vault_add_subject(struct vault *v, id subject, const char *kind, struct arena *a,
                           struct fault *f)
{
    return vault_add_subjects(v, &subject, 1, kind, a, f);
}

static enum err read_subject_key(struct vault *v, id subject, struct key *out, struct arena *a,
                                 struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(v->keyring, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT master, wrapped FROM subject_key WHERE subject = $1");
    bind_id(q, subject);
    bool found = query_row(q);
    str master = found ? row_text(q, 0) : (str){NULL, 0};
    str wrapped = found ? row_blob(q, 1) : (str){NULL, 0};
    TRY(query_end(q));
    if (!found)
        return FAIL(f, ERR_NOT_FOUND, "the subject has no key");
    return vault_unwrap(v, a, master, vault_subject_label(a, subject), wrapped, out, f);
}

enum err vault_subject_key(struct vault *v, id subject, struct key *out, struct arena *a,
                           struct fault *f)
{
    struct fault first = {0};
    if (cache_get(v, subject, out))
        return OK;
    enum err e = read_subject_key(v, subject, out, a, &first);
    if (e == ERR_DENIED) /* wrapped anew, and its master key destroyed, since it was read */
        e = read_subject_key(v, subject, out, a, f);
    else if (e != OK)
        FAIL(f, e, "%s", first.text);
    if (e == OK)
        cache_put(v, subject, out);
    return e;
}

struct subjects {
    const id *list;
    size_t n;
};

/* In groups, so that a thousand keys do not take a thousand round trips. */
static enum err forget(struct tx *tx, void *arg)
{
    enum { GROUP = 8 };
    const struct subjects *s = arg;
    for (size_t from = 0; from < s->n; from += GROUP) {
        size_t n = MIN_OF(s->n - from, (size_t)GROUP);
        struct query *q = SQL(tx, "DELETE FROM subject_key WHERE subject IN "
                                  "($1, $2, $3, $4, $5, $6, $7, $8)");
        for (size_t i = 0; i < GROUP; i++) /* a short group repeats its last */
            bind_text(q, str_from(s->list[from + MIN_OF(i, n - 1)].text));
        TRY(query_run(q));
    }
    return OK;
}

enum err vault_forget_many(struct vault *v, const id *subjects, size_t n, struct arena *a,
                           struct fault *f)
{
    struct subjects s = {subjects, n};
    enum err e = db_transact(v->keyring, a, f, forget, &s);
    for (size_t i = 0; i < n; i++)
        cache_drop(v, subjects[i]);
    return e;
}

enum err vault_forget(struct vault *v, id subject, struct arena *a, struct fault *f)
{
    return vault_forget_many(v, &subject, 1, a, f);
}

enum err vault_list_subjects(struct vault *v, const char *kind, id after, moment before, int limit,
                             struct arena *a, id **out, size_t *n, struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(v->keyring, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT subject FROM subject_key WHERE kind = $1 AND subject > $2 "
                              "AND made < $3 ORDER BY subject LIMIT $4");
    bind_text(q, str_from(kind));
    bind_text(q, str_from(after.text));
    bind_time(q, before);
    bind_int(q, limit);
    id *list = ARENA_ARRAY(a, id, (size_t)limit);
    size_t count = 0;
    while (query_row(q))
        list[count++] = row_id(q, 0);
    *out = list;
    *n = count;
    return query_end(q);
}

enum err vault_missing(struct vault *v, const id *subjects, size_t n, bool *missing,
                       struct arena *a, struct fault *f)
{
    if (n == 0)
        return OK;
    CLEANUP(tx_end) struct tx *tx = tx_begin(v->keyring, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT subject FROM subject_key WHERE subject >= $1 AND "
                              "subject <= $2 ORDER BY subject");
    bind_text(q, str_from(subjects[0].text));
    bind_text(q, str_from(subjects[n - 1].text));
    size_t i = 0;
    while (query_row(q)) {
        id there = row_id(q, 0);
        for (; i < n && strcmp(subjects[i].text, there.text) < 0; i++)
            missing[i] = true;
        if (i < n && id_eq(subjects[i], there))
            missing[i++] = false;
    }
    for (; i < n; i++)
        missing[i] = true;
    return query_end(q);
}

/* ---- secrets ---- */

str vault_secret_label(struct arena *a, str name, int64_t generation)
{
    return str_fmt(a, "secret:%.*s:%lld", STR_FMT(name), (long long)generation);
}

struct secret_work {
    struct vault *vault;
    const char *name;
    bool renew; /* add a generation though there is one */
};

static enum err add_secret(struct tx *tx, void *arg)
{
    struct secret_work *w = arg;
    struct query *q = SQL(tx, "SELECT count(*), coalesce(max(generation), 0) FROM secret_key "
                              "WHERE name = $1");
    bind_text(q, str_from(w->name));
    int64_t n = query_row(q) ? row_int(q, 0) : 0;
    int64_t last = n ? row_int(q, 1) : 0;
    TRY(query_end(q));
    if (n >= (w->renew ? 2 : 1))
        return OK;
    CLEANUP(master_wipe) struct master m = {0};
    CLEANUP(key_wipe) struct key k = key_new();
    TRY(current_master(w->vault, tx, &m));
    q = SQL(tx, "INSERT INTO secret_key (name, generation, master, wrapped, made) "
                "VALUES ($1, $2, $3, $4, $5)");
    bind_text(q, str_from(w->name));
    bind_int(q, last + 1);
    bind_text(q, str_dup(tx_arena(tx), str_from(m.id)));
    bind_blob(q, vault_wrap(tx_arena(tx), &m, vault_secret_label(tx_arena(tx), str_from(w->name), last + 1), &k));
    bind_time(q, clock_now(w->vault->clock));
    return query_run(q);
}

void secret_keys_wipe(struct secret_keys *s)
{
    sodium_memzero(s, sizeof *s);
}

static enum err read_secret_once(struct vault *v, const char *name, struct secret_keys *out,
                                 struct arena *a, struct fault *f)
{
    out->n = 0;
    CLEANUP(tx_end) struct tx *tx = tx_begin(v->keyring, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT generation, master, wrapped FROM secret_key WHERE name = $1 "
                              "ORDER BY generation DESC LIMIT 2");
    bind_text(q, str_from(name));
    while (query_row(q)) {
        int64_t generation = row_int(q, 0);
        str master = row_text(q, 1), wrapped = row_blob(q, 2);
        TRY(tx_error(tx));
        TRY(vault_unwrap(v, a, master, vault_secret_label(a, str_from(name), generation), wrapped,
                         &out->key[out->n], f));
        out->generation[out->n++] = generation;
    }
    return query_end(q);
}

static enum err read_secret(struct vault *v, const char *name, struct secret_keys *out,
                            struct arena *a, struct fault *f)
{
    struct fault first = {0};
    enum err e = read_secret_once(v, name, out, a, &first);
    if (e == ERR_DENIED) /* as in vault_subject_key() */
        return read_secret_once(v, name, out, a, f);
    return e == OK ? OK : FAIL(f, e, "%s", first.text);
}

enum err vault_secret(struct vault *v, const char *secret, struct secret_keys *out, struct arena *a,
                      struct fault *f)
{
    TRY(read_secret(v, secret, out, a, f));
    if (out->n == 0) {
        struct secret_work w = {v, secret, false};
        TRY(db_transact(v->keyring, a, f, add_secret, &w));
        TRY(read_secret(v, secret, out, a, f));
    }
    return out->n > 0 ? OK : FAIL(f, ERR_IO, "the secret %s was not made", secret);
}

enum err vault_hash(struct vault *v, const char *secret, str text, struct vault_hashes *out,
                    struct arena *a, struct fault *f)
{
    CLEANUP(secret_keys_wipe) struct secret_keys keys = {.n = 0};
    TRY(vault_secret(v, secret, &keys, a, f));
    for (int i = 0; i < keys.n; i++) {
        crypto_generichash(out->bytes[i], VAULT_HASH_BYTES, (const unsigned char *)text.p, text.n,
                           keys.key[i].bytes, KEY_BYTES);
        out->generation[i] = keys.generation[i];
    }
    out->n = keys.n;
    return OK;
}

enum err vault_renew_secret(struct vault *v, const char *secret, struct arena *a, struct fault *f)
{
    struct secret_work w = {v, secret, true};
    return db_transact(v->keyring, a, f, add_secret, &w);
}

static enum err retire_secret(struct tx *tx, void *arg)
{
    struct secret_work *w = arg;
    struct query *q = SQL(tx, "SELECT coalesce(max(generation), 0) FROM secret_key WHERE name = $1");
    bind_text(q, str_from(w->name));
    int64_t newest = query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    q = SQL(tx, "DELETE FROM secret_key WHERE name = $1 AND generation < $2");
    bind_text(q, str_from(w->name));
    bind_int(q, newest);
    return query_run(q);
}

enum err vault_retire_secret(struct vault *v, const char *secret, struct arena *a, struct fault *f)
{
    struct secret_work w = {v, secret, false};
    return db_transact(v->keyring, a, f, retire_secret, &w);
}

enum err vault_state(struct vault *v, struct arena *a, struct vault_state *out, struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(v->keyring, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT since FROM master_key WHERE one_row = 1");
    out->since = query_row(q) ? row_time(q, 0) : 0;
    TRY(query_end(q));
    q = SQL(tx, "SELECT count(*) FROM subject_key");
    out->subjects = query_row(q) ? row_int(q, 0) : 0;
    TRY(query_end(q));
    q = SQL(tx, "SELECT 1 FROM master_key WHERE one_row = 2");
    out->rotating = query_row(q);
    return query_end(q);
}
