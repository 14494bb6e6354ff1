/*
 * Work that is done later: jobs that survive crashes, and a schedule.
 *
 * A job is a row, added in the transaction that wants it done, so it exists exactly if that
 * transaction was committed. A worker leases it, runs it, removes it. If the process dies, the
 * lease runs out and the job runs again: what a job does must be safe to do again, and each kind
 * says how (erasure and exports find their work done; mail asks before its last step, see mail.h).
 * A job that fails comes back after 5 s, 10 s, 20 s … up to an hour, for its kind's patience, and is
 * given up then.
 *
 * Several processes may work on one database. Nothing about a job that is personal stands in its
 * payload: IDs only.
 */
#ifndef WORK_WORK_H
#define WORK_WORK_H

#include "base/log.h"
#include "privacy/privacy.h"

struct work;

struct job {
    id id;
    id subject; /* may be none */
    str kind;
    str payload;
    int attempts; /* this one included */
};

/* What a running job has. */
struct job_run {
    struct job job;
    void *app; /* whatever work_start() was given */
    struct arena *arena;
    struct fault *fault;
};

/* OK: done. ERR_BUSY: not now, try again later. Anything else: it failed; it is tried again too,
 * but noted as an error. */
typedef enum err job_fn(struct job_run *r);

struct job_kind {
    const char *name;
    job_fn *run;
    struct term patience; /* how long it is tried */
};

/* Something that is done again and again, by one process at a time. */
typedef enum err task_fn(void *app, struct arena *a, struct fault *f);

struct task {
    const char *name;
    task_fn *run;
    int64_t every; /* microseconds */
};

struct work_config {
    struct db *db;
    const struct clock *clock;
    const struct log *log;
    void *app;
    const struct job_kind *kinds; /* lists of the caller's, that live as long */
    size_t n_kinds;
    const struct task *tasks;
    size_t n_tasks;
    int workers;  /* threads; 0 means 2 */
    int64_t lease; /* microseconds that a job or task of a process that died stays taken; while it
                    * lives it renews them. 0 means two minutes */
    bool alone;   /* no other process works on this database: leases left over are void */
};

/* Adds a job that is due at `due`. `once` names it: a second of the same name is not added; pass an
 * empty one for a job that may be there many times. */
CHECKED enum err job_add(struct tx *tx, const struct clock *clock, const char *kind, id subject,
                         str payload, str once, moment due);

/* Makes work without starting it: work_run_due() runs what is due in the caller's thread. */
CHECKED enum err work_open(struct work **out, const struct work_config *config, struct fault *f);
/* Starts the workers and the scheduler. */
CHECKED enum err work_start(struct work *w, struct fault *f);
/* Lets running jobs end, then stops the threads. */
void work_stop(struct work *w);
void work_close(struct work **w); /* for CLEANUP; stops first */

/* There may be something to do: called after a commit that added a job. */
void work_wake(struct work *w);

/* Runs jobs that are due until there are none, of one subject only unless it is none; for commands
 * and tests. *ran counts them. */
CHECKED enum err work_run_due(struct work *w, id subject, int *ran, struct fault *f);
/* Runs a task of that name now. ERR_NOT_FOUND. */
CHECKED enum err work_run_task(struct work *w, const char *name, struct arena *a, struct fault *f);

struct work_figures {
    int64_t done, failed, given_up;
};
struct work_figures work_figures(const struct work *w);

#endif
