/*
 * load: fills the portal's stores with people, and times what the portal does to them, in the
 * portal's own code but without its commands' start. For benchmarks only; not installed.
 *
 *     load fill N TOKENS      N accounts, each with its key, address, consent and session; the
 *                             first thousand sessions' cookies go to the file TOKENS
 *     load ids N              N accounts at random, one ID a line
 *     load second N           a second step (TOTP) for N accounts at random: an address and the secret
 *                             in hex, one a line
 *     load close N            closes N accounts at random, 40 days ago
 *     load tables             the tables that an erasure empties, with the subject's column
 *     load erase FILE         erases the accounts of that file one by one
 *     load sweep [whole]      one sweep
 *
 * The configuration comes from TROTH_… as for the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <liboath/oath.h>

#include "base/codec.h"
#include "base/email.h"
#include "cli/config.h"
#include "cli/portal.h"
#include "features/account/password.h"
#include "features/factors/model.h"
#include "privacy/consent.h"
#include "privacy/erasure.h"
#include "privacy/lookup.h"
#include "privacy/retention.h"

enum {
    BATCH = 500,
    BATCH_ARENA = 64 << 20,
    TOKENS = 1000,
    CLOSED_DAYS = 40,
    MAX_IDS = 100000,
};

struct load {
    struct portal *p;
    struct arena *a;
    struct fault *f;
};

static double seconds_since(int64_t ticks)
{
    return (double)(clock_ticks() - ticks) / 1e6;
}

/* ---- filling ---- */

struct filling {
    const struct privacy *p;
    const id *ids;
    size_t n, first;
    str hash;     /* of a password: the same for all, sealed for each */
    FILE *tokens; /* where the first sessions' cookies go */
};

static enum err add_account(struct tx *tx, const struct filling *l, size_t i, const struct key *k)
{
    struct arena *a = tx_arena(tx);
    struct email email;
    moment made = clock_now(l->p->clock) - (moment)((l->first + i) % 360 + 1) * MOMENT_DAY;
    str address = str_fmt(a, "person-%s@example.com", l->ids[i].text);
    TRY(email_parse(a, address, &email));
    struct query *q =
        SQL(tx, "INSERT INTO account (id, email, password, language, zone, country, made, "
                "unconfirmed, closed, erase_at) VALUES ($1, $2, $3, 'en', 'Europe/Stockholm', 'SE', "
                "$4, NULL, NULL, NULL)");
    bind_id(q, l->ids[i]);
    bind_blob(q, privacy_seal(a, k, "account", "email", l->ids[i], email.shown));
    bind_blob(q, privacy_seal(a, k, "account", "password", l->ids[i], l->hash));
    bind_time(q, made);
    TRY(query_run(q));
    return lookup_add(tx, l->p, "account_email", email.same, l->ids[i]);
}

static enum err add_person(struct tx *tx, const struct filling *l, size_t i)
{
    CLEANUP(key_wipe) struct key k;
    struct session session;
    str token;
    TRY(vault_subject_key(l->p->vault, l->ids[i], &k, tx_arena(tx), tx_fault(tx)));
    TRY(add_account(tx, l, i, &k));
    TRY(consent_record(tx, l->p, l->ids[i], inventory_purpose(l->p->inventory, STR("product-news")),
                       true, "en", CONSENT_WAY_SIGN_UP));
    struct session_start start = {l->ids[i], &k, STR("192.0.2.17"), STR("Firefox, Linux"), "password", false};
    TRY(session_begin(tx, l->p, &start, &session, &token));
    if (l->first + i < TOKENS)
        fprintf(l->tokens, "%.*s\n", STR_FMT(token));
    return OK;
}

static enum err add_people(struct tx *tx, void *arg)
{
    const struct filling *l = arg;
    for (size_t i = 0; i < l->n; i++)
        TRY(add_person(tx, l, i));
    return OK;
}

static int compare(const void *x, const void *y)
{
    return strcmp(((const id *)x)->text, ((const id *)y)->text);
}

static enum err fill(struct load *l, size_t n, const char *tokens)
{
    struct filling x = {.p = &l->p->privacy, .tokens = fopen(tokens, "w")};
    struct secret password = {STR("correct horse battery staple")};
    id *ids = ARENA_ARRAY(l->a, id, n);
    int64_t began = clock_ticks();
    if (x.tokens == NULL)
        return FAIL(l->f, ERR_IO, "cannot write %s", tokens);
    TRY(password_hash(l->p->passwords, password, l->a, &x.hash, l->f));
    for (size_t i = 0; i < n; i++)
        ids[i] = id_new();
    /* In the order of the IDs: random ones would turn over every page of every index. */
    qsort(ids, n, sizeof *ids, compare);
    for (x.first = 0; x.first < n; x.first += BATCH) {
        struct arena *a = arena_new(BATCH_ARENA);
        x.ids = ids + x.first;
        x.n = MIN_OF((size_t)BATCH, n - x.first);
        enum err e = vault_add_subjects(x.p->vault, x.ids, x.n, "account", a, l->f);
        if (e == OK)
            e = db_transact(x.p->db, a, l->f, add_people, &x);
        arena_free(&a);
        TRY(e);
    }
    fclose(x.tokens);
    TRY(db_checkpoint(x.p->db, l->f));
    TRY(db_checkpoint(vault_keyring(x.p->vault), l->f));
    printf("seconds %.3f\n", seconds_since(began));
    return OK;
}

/* ---- accounts at random ---- */

static enum err random_ids(struct load *l, size_t n, id **out)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(l->p->privacy.db, TX_READ, l->a, l->f);
    *out = ARENA_ARRAY(l->a, id, n);
    for (size_t i = 0, tries = 0; i < n && tries < 100 * n; tries++) {
        struct query *q = SQL(tx, "SELECT id FROM account WHERE id > $1 AND closed IS NULL "
                                  "ORDER BY id LIMIT 1");
        bind_id(q, id_new());
        if (query_row(q))
            (*out)[i++] = row_id(q, 0);
        TRY(query_end(q));
    }
    qsort(*out, n, sizeof **out, compare);
    return OK;
}

/* As above, each once: of a small store some come up twice. */
static enum err different_ids(struct load *l, size_t n, id **out)
{
    id *list;
    size_t kept = 0;
    TRY(random_ids(l, 4 * n, &list));
    for (size_t i = 0; i < 4 * n; i++)
        if (!id_is_none(list[i]) && (kept == 0 || !id_eq(list[kept - 1], list[i])))
            list[kept++] = list[i];
    if (kept < n)
        return FAIL(l->f, ERR_LIMIT, "there are not that many accounts");
    /* Shuffled, and the first n of them taken. */
    for (size_t i = 0; i < n; i++) {
        size_t k = i + (size_t)rand() % (kept - i);
        id swap = list[i];
        list[i] = list[k];
        list[k] = swap;
    }
    *out = list;
    return OK;
}

static enum err print_ids(struct load *l, size_t n)
{
    id *list;
    TRY(different_ids(l, n, &list));
    for (size_t i = 0; i < n; i++)
        printf("%s\n", list[i].text);
    return OK;
}

/* ---- second steps ---- */

struct enrolling {
    const struct privacy *p;
    const id *list;
    size_t n;
};

static enum err enrol(struct tx *tx, const struct privacy *p, id who)
{
    CLEANUP(key_wipe) struct key k;
    account_id which = {who};
    str secret;
    bool right;
    char code[TOTP_DIGITS + 1];
    time_t before = (time_t)(clock_now(p->clock) / MOMENT_SECOND) - TOTP_STEP; /* this moment's code is left */
    TRY(vault_subject_key(p->vault, who, &k, tx_arena(tx), tx_fault(tx)));
    TRY(totp_begin(tx, p, which, &k));
    TRY(totp_waiting(tx, p, which, &k, &secret));
    if (oath_totp_generate(secret.p, secret.n, before, TOTP_STEP, 0, TOTP_DIGITS, code) != OATH_OK)
        return FAIL(tx_fault(tx), ERR_IO, "liboath makes no code");
    TRY(totp_turn_on(tx, p, which, &k, str_from(code), &right));
    if (!right)
        return FAIL(tx_fault(tx), ERR_IO, "the code was not taken");
    printf("person-%s@example.com %.*s\n", who.text, STR_FMT(hex_encode(tx_arena(tx), secret.p, secret.n)));
    return OK;
}

static enum err enrol_all(struct tx *tx, void *arg)
{
    const struct enrolling *e = arg;
    for (size_t i = 0; i < e->n; i++)
        TRY(enrol(tx, e->p, e->list[i]));
    return OK;
}

static enum err enrol_some(struct load *l, size_t n)
{
    id *list;
    TRY(different_ids(l, n, &list));
    struct enrolling e = {&l->p->privacy, list, n};
    return db_transact(l->p->privacy.db, l->a, l->f, enrol_all, &e);
}

struct closing {
    const struct privacy *p;
    const id *list;
    size_t n;
};

static enum err close_all(struct tx *tx, void *arg)
{
    const struct closing *c = arg;
    moment at = clock_now(c->p->clock) - CLOSED_DAYS * MOMENT_DAY;
    for (size_t i = 0; i < c->n; i++) {
        struct query *q = SQL(tx, "UPDATE account SET closed = $2, erase_at = $3 WHERE id = $1");
        bind_id(q, c->list[i]);
        bind_time(q, at);
        bind_time(q, at + 14 * MOMENT_DAY);
        TRY(query_run(q));
    }
    return OK;
}

static enum err close_some(struct load *l, size_t n)
{
    id *list;
    TRY(different_ids(l, n, &list));
    struct closing c = {&l->p->privacy, list, n};
    TRY(db_transact(l->p->privacy.db, l->a, l->f, close_all, &c));
    printf("cutoff %lld\n", (long long)(clock_now(l->p->privacy.clock) - 39 * MOMENT_DAY));
    return db_checkpoint(l->p->privacy.db, l->f);
}

/* ---- what is timed ---- */

static enum err print_tables(struct load *l)
{
    const struct inventory *v = l->p->privacy.inventory;
    for (size_t i = v->n_records; i-- > 0;) {
        const struct record *r = &v->records[i];
        if (record_of_any(r) || str_is(r->subject, "account"))
            printf("%.*s %.*s\n", STR_FMT(r->name), STR_FMT(record_subject_column(r)));
    }
    return OK;
}

static enum err read_ids(struct load *l, const char *file, id **out, size_t *n)
{
    char line[128];
    FILE *in = fopen(file, "r");
    if (in == NULL)
        return FAIL(l->f, ERR_IO, "cannot read %s", file);
    *out = ARENA_ARRAY(l->a, id, MAX_IDS);
    for (*n = 0; *n < MAX_IDS && fgets(line, sizeof line, in) != NULL; ++*n) {
        line[strcspn(line, "\n")] = '\0';
        if (id_parse(str_from(line), &(*out)[*n]) != OK)
            return FAIL(l->f, ERR_INPUT, "%s: not an ID: %s", file, line);
    }
    fclose(in);
    return OK;
}

static enum err erase(struct load *l, const char *file)
{
    id *list;
    size_t n;
    struct erasure_counts counts = {0};
    TRY(read_ids(l, file, &list, &n));
    int64_t began = clock_ticks();
    for (size_t i = 0; i < n; i++) {
        struct arena *a = arena_new(BATCH_ARENA);
        enum err e = erasure_run(&l->p->privacy, STR("account"), &list[i], 1, &counts, a, l->f);
        arena_free(&a);
        TRY(e);
    }
    printf("seconds %.6f\nrecords %lld\n", seconds_since(began), (long long)counts.records);
    return OK;
}

static enum err sweep(struct load *l, bool whole)
{
    struct sweep_report r;
    int64_t began = clock_ticks();
    TRY(retention_sweep(&l->p->privacy, false, whole, l->a, &r, l->f));
    printf("seconds %.6f\nsubjects %lld\nrecords %lld\n", seconds_since(began),
           (long long)r.subjects, (long long)r.records);
    return OK;
}

static enum err run(struct load *l, int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    size_t n = argc > 2 ? (size_t)atol(argv[2]) : 0;
    if (argc == 4 && strcmp(what, "fill") == 0)
        return fill(l, n, argv[3]);
    if (argc == 3 && strcmp(what, "ids") == 0)
        return print_ids(l, n);
    if (argc == 3 && strcmp(what, "second") == 0)
        return enrol_some(l, n);
    if (argc == 3 && strcmp(what, "close") == 0)
        return close_some(l, n);
    if (argc == 2 && strcmp(what, "tables") == 0)
        return print_tables(l);
    if (argc == 3 && strcmp(what, "erase") == 0)
        return erase(l, argv[2]);
    if (strcmp(what, "sweep") == 0)
        return sweep(l, argc == 3 && strcmp(argv[2], "whole") == 0);
    return FAIL(l->f, ERR_INPUT, "usage: load fill | ids | second | close | tables | erase | sweep");
}

int main(int argc, char **argv)
{
    struct arena *a = arena_new((size_t)1 << 30);
    struct clock clock = {0};
    struct log log = {STDERR_FILENO, LOG_WARNING, &clock};
    struct settings settings;
    struct portal *p = NULL;
    struct fault f = {0};
    int lock = -1, changes;
    umask(0077);
    srand((unsigned)clock_ticks());
    enum err e = config_read(NULL, environ, a, &settings, &f);
    if (e == OK && portal_on_sqlite(&settings))
        e = portal_lock(&settings, &lock, &f);
    if (e == OK)
        e = portal_open(&p, &settings, &clock, &log, PORTAL_MIGRATED, &changes, &f);
    if (e == OK) {
        struct load l = {p, a, &f};
        e = run(&l, argc, argv);
    }
    if (e != OK)
        fprintf(stderr, "load: %s: %s\n", err_name(e), f.text);
    portal_close(&p);
    arena_free(&a);
    return e == OK ? 0 : 1;
}
