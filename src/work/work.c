#include "work/work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    DEFAULT_WORKERS = 2,
    MAX_WORKERS = 16,
    JOB_ARENA = 1 << 30,
    IDLE_MS = 500,
    FIRST_WAIT_S = 5,
    MAX_WAIT_S = 3600,
};

#define LEASE (2 * MOMENT_MINUTE)
#define NEVER (INT64_MAX / 2)

struct worker {
    struct work *work;
    pthread_t thread;
    id job; /* that it runs; under the mutex */
};

struct work {
    struct work_config config;
    char owner[ID_LENGTH + 1]; /* this process, in leases */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping, running, keeping; /* the last two: threads that there are */
    uint64_t calls; /* of work_wake() */
    struct worker workers[MAX_WORKERS];
    pthread_t scheduler, keeper;
    int n_workers;
    atomic_int_least64_t done, failed, given_up;
};

enum err job_add(struct tx *tx, const struct clock *clock, const char *kind, id subject,
                 str payload, str once, moment due)
{
    id job = id_new();
    struct query *q =
        SQL(tx, "INSERT INTO job (subject, id, kind, payload, once, made, due, leased, owner, "
                "attempts, failure) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '', 0, '') "
                "ON CONFLICT (once) DO NOTHING");
    if (id_is_none(subject))
        bind_null(q);
    else
        bind_id(q, subject);
    bind_id(q, job);
    bind_text(q, str_from(kind));
    bind_text(q, payload);
    bind_text(q, once.n ? once : str_dup(tx_arena(tx), id_str(&job)));
    bind_time(q, clock_now(clock));
    bind_time(q, due);
    return query_run(q);
}

/* ---- taking and ending jobs ---- */

struct taking {
    struct work *w;
    id subject;
    struct job job;
    bool found;
};

static enum err take_job(struct tx *tx, void *arg)
{
    struct taking *t = arg;
    moment now = clock_now(t->w->config.clock);
    struct query *q =
        id_is_none(t->subject)
            ? SQL(tx, "UPDATE job SET leased = $1, owner = $2, attempts = attempts + 1 WHERE id = "
                      "(SELECT id FROM job WHERE due <= $3 AND leased <= $3 ORDER BY due LIMIT 1) "
                      "AND leased <= $3 RETURNING id, subject, kind, payload, attempts")
            : SQL(tx, "UPDATE job SET leased = $1, owner = $2, attempts = attempts + 1 WHERE id = "
                      "(SELECT id FROM job WHERE due <= $3 AND leased <= $3 AND subject = $4 "
                      "ORDER BY due LIMIT 1) "
                      "AND leased <= $3 RETURNING id, subject, kind, payload, attempts");
    bind_time(q, now + t->w->config.lease);
    bind_text(q, str_from(t->w->owner));
    bind_time(q, now);
    if (!id_is_none(t->subject))
        bind_id(q, t->subject);
    t->found = query_row(q);
    if (t->found)
        t->job = (struct job){.id = row_id(q, 0),
                              .subject = row_is_null(q, 1) ? (id){{0}} : row_id(q, 1),
                              .kind = row_text(q, 2),
                              .payload = row_text(q, 3),
                              .attempts = (int)row_int(q, 4)};
    return query_end(q);
}

/* Is there anything to take? A read first, so that an idle worker never writes. */
static enum err any_due(struct work *w, id subject, bool *yes, struct arena *a, struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(w->config.db, TX_READ, a, f);
    struct query *q =
        id_is_none(subject)
            ? SQL(tx, "SELECT 1 FROM job WHERE due <= $1 AND leased <= $1 LIMIT 1")
            : SQL(tx, "SELECT 1 FROM job WHERE due <= $1 AND leased <= $1 AND subject = $2 LIMIT 1");
    bind_time(q, clock_now(w->config.clock));
    if (!id_is_none(subject))
        bind_id(q, subject);
    *yes = query_row(q);
    return query_end(q);
}

static enum err remove_job(struct tx *tx, void *arg)
{
    struct query *q = SQL(tx, "DELETE FROM job WHERE id = $1");
    bind_id(q, *(id *)arg);
    return query_run(q);
}

struct putting_off {
    struct work *w;
    const struct job *job;
    const struct job_kind *kind;
    enum err why;
    bool given_up;
};

static enum err put_off(struct tx *tx, void *arg)
{
    struct putting_off *p = arg;
    moment now = clock_now(p->w->config.clock), made = 0;
    struct query *q = SQL(tx, "SELECT made FROM job WHERE id = $1");
    bind_id(q, p->job->id);
    bool found = query_row(q);
    if (found)
        made = row_time(q, 0);
    TRY(query_end(q));
    if (!found)
        return OK; /* erased meanwhile, with its subject */
    int64_t wait = FIRST_WAIT_S;
    for (int i = 1; i < p->job->attempts && wait < MAX_WAIT_S; i++)
        wait *= 2;
    p->given_up = p->kind == NULL || now > term_end(made, p->kind->patience);
    q = SQL(tx, "UPDATE job SET due = $2, leased = $3, owner = '', failure = $4 WHERE id = $1");
    bind_id(q, p->job->id);
    bind_time(q, p->given_up ? now : now + MIN_OF(wait, (int64_t)MAX_WAIT_S) * MOMENT_SECOND);
    bind_time(q, p->given_up ? NEVER : 0);
    bind_text(q, str_from(p->given_up ? "given-up" : err_name(p->why)));
    return query_run(q);
}

static const struct job_kind *kind_of(const struct work *w, str name)
{
    for (size_t i = 0; i < w->config.n_kinds; i++)
        if (str_is(name, w->config.kinds[i].name))
            return &w->config.kinds[i];
    return NULL;
}

static enum err run_job(struct work *w, const struct job *job, struct arena *a, struct fault *f)
{
    struct fault why = {0};
    const struct job_kind *kind = kind_of(w, job->kind);
    struct job_run r = {*job, w->config.app, a, &why};
    enum err e = kind ? kind->run(&r) : FAIL(&why, ERR_IO, "no such kind of job");
    if (e == OK) {
        id done = job->id;
        w->done++;
        return db_transact(w->config.db, a, f, remove_job, &done);
    }
    struct putting_off p = {w, job, kind, e, false};
    TRY(db_transact(w->config.db, a, f, put_off, &p));
    w->failed++;
    w->given_up += p.given_up;
    if (e != ERR_BUSY || p.given_up) {
        if (why.code == OK)
            FAIL(&why, e, "job failed");
        fault_prefix(&why, "%.*s%s: ", STR_FMT(job->kind), p.given_up ? " given up" : "");
        log_fault(w->config.log, "job-failed", id_str(&job->id), &why);
    }
    return OK;
}

static void note_running(struct work *w, id *slot, id job)
{
    if (slot == NULL)
        return;
    pthread_mutex_lock(&w->mutex);
    *slot = job;
    pthread_mutex_unlock(&w->mutex);
}

/* Takes and runs one job; *ran tells whether there was one. `slot` is where the keeper sees it. */
static enum err run_next(struct work *w, id subject, id *slot, bool *ran, struct fault *f)
{
    struct arena *a = arena_new(JOB_ARENA);
    struct taking t = {.w = w, .subject = subject};
    bool any = false;
    enum err e = any_due(w, subject, &any, a, f);
    if (e == OK && any)
        e = db_transact(w->config.db, a, f, take_job, &t);
    *ran = e == OK && t.found;
    if (*ran) {
        note_running(w, slot, t.job.id);
        e = run_job(w, &t.job, a, f);
        note_running(w, slot, (id){{0}});
    }
    arena_free(&a);
    return e;
}

enum err work_run_due(struct work *w, id subject, int *ran, struct fault *f)
{
    *ran = 0;
    for (bool more = true; more; *ran += more)
        TRY(run_next(w, subject, NULL, &more, f));
    return OK;
}

/* ---- the schedule ---- */

static enum err add_tasks(struct tx *tx, void *arg)
{
    struct work *w = arg;
    for (size_t i = 0; i < w->config.n_tasks; i++) {
        struct query *q = SQL(tx, "INSERT INTO schedule (name, due, leased, owner, ran, ended) "
                                  "VALUES ($1, 0, 0, '', NULL, '') ON CONFLICT (name) DO NOTHING");
        bind_text(q, str_from(w->config.tasks[i].name));
        TRY(query_run(q));
    }
    if (w->config.alone) {
        TRY(query_run(SQL(tx, "UPDATE schedule SET leased = 0, owner = '' WHERE leased > 0")));
        struct query *q = SQL(tx, "UPDATE job SET leased = 0, owner = '' WHERE leased > 0 AND leased < $1");
        bind_time(q, NEVER);
        TRY(query_run(q));
    }
    return OK;
}

struct task_claim {
    struct work *w;
    const struct task *task;
    bool mine;
    enum err ended;
};

static enum err claim_task(struct tx *tx, void *arg)
{
    struct task_claim *c = arg;
    moment now = clock_now(c->w->config.clock);
    struct query *q = SQL(tx, "UPDATE schedule SET leased = $2, owner = $3 "
                              "WHERE name = $1 AND due <= $4 AND leased <= $4");
    bind_text(q, str_from(c->task->name));
    bind_time(q, now + c->w->config.lease);
    bind_text(q, str_from(c->w->owner));
    bind_time(q, now);
    TRY(query_run(q));
    c->mine = query_changes(q) == 1;
    return OK;
}

static enum err end_task(struct tx *tx, void *arg)
{
    struct task_claim *c = arg;
    moment now = clock_now(c->w->config.clock);
    int64_t every = c->ended == OK ? c->task->every : MIN_OF(c->task->every, MOMENT_MINUTE);
    struct query *q = SQL(tx, "UPDATE schedule SET due = $2, leased = 0, owner = '', ran = $3, "
                              "ended = $4 WHERE name = $1 AND owner = $5");
    bind_text(q, str_from(c->task->name));
    bind_time(q, now + every);
    bind_time(q, now);
    bind_text(q, str_from(err_name(c->ended)));
    bind_text(q, str_from(c->w->owner));
    return query_run(q);
}

static enum err task_due(struct work *w, const struct task *t, bool *yes, struct arena *a,
                         struct fault *f)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(w->config.db, TX_READ, a, f);
    struct query *q = SQL(tx, "SELECT 1 FROM schedule WHERE name = $1 AND due <= $2 AND leased <= $2");
    bind_text(q, str_from(t->name));
    bind_time(q, clock_now(w->config.clock));
    *yes = query_row(q);
    return query_end(q);
}

static enum err run_if_due(struct work *w, const struct task *t, struct fault *f)
{
    struct arena *a = arena_new(JOB_ARENA);
    struct task_claim c = {.w = w, .task = t};
    bool due = false;
    enum err e = task_due(w, t, &due, a, f);
    if (e == OK && due)
        e = db_transact(w->config.db, a, f, claim_task, &c);
    if (e == OK && c.mine) {
        struct fault why = {0};
        c.ended = t->run(w->config.app, a, &why);
        if (c.ended != OK)
            log_fault(w->config.log, "task-failed", str_from(t->name), &why);
        e = db_transact(w->config.db, a, f, end_task, &c);
    }
    arena_free(&a);
    return e;
}

enum err work_run_task(struct work *w, const char *name, struct arena *a, struct fault *f)
{
    for (size_t i = 0; i < w->config.n_tasks; i++)
        if (strcmp(w->config.tasks[i].name, name) == 0)
            return w->config.tasks[i].run(w->config.app, a, f);
    return FAIL(f, ERR_NOT_FOUND, "no task %s", name);
}

/* ---- threads ---- */

/* Waits until stopping, or for a moment; where `seen` is given, also until woken. False when
 * stopping. */
static bool wait_for_work(struct work *w, uint64_t *seen, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&w->mutex);
    while (!w->stopping && (seen == NULL || w->calls == *seen))
        if (pthread_cond_timedwait(&w->wake, &w->mutex, &until) != 0)
            break;
    if (seen)
        *seen = w->calls;
    bool go_on = !w->stopping;
    pthread_mutex_unlock(&w->mutex);
    return go_on;
}

static bool is_stopping(struct work *w)
{
    pthread_mutex_lock(&w->mutex);
    bool yes = w->stopping;
    pthread_mutex_unlock(&w->mutex);
    return yes;
}

/* A database that is away is told once when it goes and once when it is back. */
static void tell(struct work *w, bool *away, enum err e, const struct fault *f)
{
    if (e != OK && !*away)
        log_fault(w->config.log, "work-waits", (str){NULL, 0}, f);
    else if (e == OK && *away)
        log_event(w->config.log, LOG_INFO, "work-goes-on");
    *away = e != OK;
}

static void *worker(void *arg)
{
    struct worker *self = arg;
    struct work *w = self->work;
    uint64_t seen = 0;
    bool away = false;
    id all = {{0}};
    do {
        for (bool ran = true; ran && !is_stopping(w);) {
            struct fault f = {0};
            enum err e = run_next(w, all, &self->job, &ran, &f);
            tell(w, &away, e, &f);
            ran &= e == OK;
        }
    } while (wait_for_work(w, &seen, IDLE_MS));
    return NULL;
}

static void *schedule(void *arg)
{
    struct work *w = arg;
    bool away = false;
    do {
        for (size_t i = 0; i < w->config.n_tasks && !is_stopping(w); i++) {
            struct fault f = {0};
            enum err e = run_if_due(w, &w->config.tasks[i], &f);
            tell(w, &away, e, &f);
        }
    } while (wait_for_work(w, NULL, 4 * IDLE_MS));
    return NULL;
}

static enum err renew(struct tx *tx, void *arg)
{
    struct work *w = arg;
    moment until = clock_now(w->config.clock) + w->config.lease;
    id running[MAX_WORKERS];
    int n = 0;
    pthread_mutex_lock(&w->mutex);
    for (int i = 0; i < w->n_workers; i++)
        if (!id_is_none(w->workers[i].job))
            running[n++] = w->workers[i].job;
    pthread_mutex_unlock(&w->mutex);
    for (int i = 0; i < n; i++) { /* as many as there are threads */
        struct query *q = SQL(tx, "UPDATE job SET leased = $1 WHERE id = $2 AND owner = $3");
        bind_time(q, until);
        bind_id(q, running[i]);
        bind_text(q, str_from(w->owner));
        TRY(query_run(q));
    }
    struct query *q = SQL(tx, "UPDATE schedule SET leased = $1 WHERE owner = $2");
    bind_time(q, until);
    bind_text(q, str_from(w->owner));
    return query_run(q);
}

/* Jobs and tasks may take longer than a lease lasts. */
static void *keep_leases(void *arg)
{
    struct work *w = arg;
    bool away = false;
    while (wait_for_work(w, NULL, (int)(w->config.lease / 4000))) {
        struct arena *a = arena_new(1 << 20);
        struct fault f = {0};
        enum err e = db_transact(w->config.db, a, &f, renew, w);
        tell(w, &away, e, &f);
        arena_free(&a);
    }
    return NULL;
}

static void cond_by_monotonic(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

enum err work_open(struct work **out, const struct work_config *config, struct fault *f)
{
    struct work *w = calloc(1, sizeof *w);
    if (w == NULL)
        return FAIL(f, ERR_BUSY, "out of memory");
    w->config = *config;
    if (w->config.workers == 0)
        w->config.workers = DEFAULT_WORKERS;
    if (w->config.lease == 0)
        w->config.lease = LEASE;
    w->config.workers = MIN_OF(w->config.workers, MAX_WORKERS);
    id owner = id_new();
    memcpy(w->owner, owner.text, sizeof w->owner);
    pthread_mutex_init(&w->mutex, NULL);
    cond_by_monotonic(&w->wake);
    *out = w;
    return OK;
}

enum err work_start(struct work *w, struct fault *f)
{
    struct arena *a = arena_new(1 << 20);
    enum err e = db_transact(w->config.db, a, f, add_tasks, w);
    arena_free(&a);
    TRY(e);
    w->stopping = false;
    for (; w->n_workers < w->config.workers; w->n_workers++) {
        struct worker *x = &w->workers[w->n_workers];
        x->work = w;
        if (pthread_create(&x->thread, NULL, worker, x) != 0)
            return FAIL(f, ERR_BUSY, "no thread for a worker");
    }
    if (pthread_create(&w->keeper, NULL, keep_leases, w) != 0)
        return FAIL(f, ERR_BUSY, "no thread for the leases");
    w->keeping = true;
    if (pthread_create(&w->scheduler, NULL, schedule, w) != 0)
        return FAIL(f, ERR_BUSY, "no thread for the schedule");
    w->running = true;
    return OK;
}

void work_stop(struct work *w)
{
    pthread_mutex_lock(&w->mutex);
    w->stopping = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    if (w->keeping)
        pthread_join(w->keeper, NULL);
    for (; w->n_workers > 0; w->n_workers--)
        pthread_join(w->workers[w->n_workers - 1].thread, NULL);
    if (w->running)
        pthread_join(w->scheduler, NULL);
    w->running = w->keeping = false;
}

void work_close(struct work **w)
{
    if (*w == NULL)
        return;
    work_stop(*w);
    pthread_cond_destroy(&(*w)->wake);
    pthread_mutex_destroy(&(*w)->mutex);
    free(*w);
    *w = NULL;
}

void work_wake(struct work *w)
{
    pthread_mutex_lock(&w->mutex);
    w->calls++;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->mutex);
}

struct work_figures work_figures(const struct work *w)
{
    return (struct work_figures){w->done, w->failed, w->given_up};
}
