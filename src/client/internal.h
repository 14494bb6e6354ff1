/* Inside libtroth: what its files share. It stands alone: nothing of the portal's is included here. */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include "client/troth.h"

#include <curl/curl.h>
#include <jansson.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define COUNT(a)    (sizeof(a) / sizeof *(a))
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        enum troth_result try_result = (call);                                                                         \
        if (try_result != TROTH_OK)                                                                                    \
            return try_result;                                                                                         \
    } while (0)

enum {
    ANSWER_MAX = 256 << 10, /* bytes of an answer */
    LIST_MAX = 64,          /* members of a list in an answer */
    QUEUE_MAX = 64,         /* messages that wait for a network */
    ID_LENGTH = 26,
    TEXT_MAX = 500,
    LONG_TEXT_MAX = 100000, /* a statement's text, a license file */
    INTERVAL_MIN = 1,
    INTERVAL_MAX = 86400,
    LONG_POLL_MS = 60000, /* the portal answers after 55 s */
};

/* What was handed out last, of each kind: structs whose texts lie in the JSON that they were read from. */
struct told_statement {
    json_t *from;
    struct troth_statement is;
    struct troth_document documents[LIST_MAX];
    struct troth_field fields[LIST_MAX];
};
struct told_state {
    json_t *from;
    struct troth_state is;
    struct troth_license license;
    char *information;
    const char *features[LIST_MAX], *codes[LIST_MAX];
};
struct told_commands {
    json_t *from;
    size_t n;
    struct troth_command is[LIST_MAX];
};
struct told_file {
    json_t *from;
    struct troth_license_file is;
    const char *features[LIST_MAX];
};

struct troth {
    char *url, *application_id, *application_version, *application_locale, *folder, *ca_file;
    int patience;
    json_t *built_keys; /* troth_options.license_keys; NULL: none */
    CURL *curl;

    /* what lasts: the file's one object (state.c) */
    json_t *kept;
    int lock, locked; /* the lock's file; how often it is held */
    char mark[48];    /* which writing of the file `kept` is */

    /* what lasts as long as signing in does */
    char *context, *temporary_id, *device_code;
    char bind_key[33];
    int grant_interval;
    json_t *grant;
    struct troth_grant grant_is;

    /* the last call */
    json_t *problem_from;
    struct troth_problem problem;
    int retry_after;

    /* the loop */
    int64_t skew;                          /* the portal's clock less ours, seconds */
    int64_t try_at, report_at, wait_again; /* by the monotonic clock, milliseconds */
    int failures;
    enum troth_result failed_with;
    char wait_etag[201], wait_modified[201]; /* of the last answer to a long poll: whoever names them is not told twice */
    int64_t waited_at;

    struct troth_ids ids;
    struct told_statement statement;
    struct told_state state;
    struct told_commands commands;
    struct told_file file;
};

/* ---- os.c: the system ---- */

int64_t os_seconds(void);   /* since 1970 */
int64_t os_monotonic(void); /* milliseconds */
void os_sleep(int64_t ms);
void os_random_text(char *out, size_t n); /* n - 1 letters and digits, and an end */
/* 256 KiB at most. TROTH_UNCHANGED: there is no such file. */
enum troth_result os_read(const char *path, char **out);
/* Whole or not at all, also where the power fails; for the owner alone. */
enum troth_result os_write(const char *folder, const char *name, const char *text);
enum troth_result os_make_folder(const char *path);
void os_unlock(const int *fd);
void text_free(char **text);
void text_wipe(char **text);
void json_done(json_t **j);
/* The same, and what stands in it is overwritten. */
void json_wipe(json_t **j);
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- state.c: what lasts ---- */

enum troth_result state_open(struct troth *t);
/* Holds the file against other processes of the app, and reads it where one has written. */
enum troth_result state_enter(struct troth *t);
void state_leave(struct troth *const *t);
enum troth_result state_save(struct troth *t);
const char *state_text(const struct troth *t, const char *name); /* NULL: none */
void state_set(struct troth *t, const char *name, json_t *value);
void state_forget(struct troth *t, const char *name);
bool state_bound(const struct troth *t);

/* The rest of the function holds the file. */
#define ENTER(t)                                                                                                       \
    TRY(state_enter(t));                                                                                               \
    CLEANUP(state_leave) __attribute__((unused)) struct troth *const entered = (t)

/* ---- http.c: one message, and its answer ---- */

struct call {
    const char *method, *path; /* path: below /api/v1 */
    json_t *body;              /* or NULL */
    const char *form;          /* instead of it, for RFC 8628 */
    const char *key;           /* Idempotency-Key; NULL: a new one for a POST */
    const char *etag;          /* If-None-Match */
    const char *modified;      /* If-Modified-Since */
    bool signs;                /* with the binding's token */
    int64_t wait_ms;           /* a long poll: how long it may last */
};
struct answer {
    long status;
    char *body;
    size_t n;
    char etag[201], modified[201];
    int retry_after; /* -1: the answer says nothing of it */
    int64_t date;    /* 0: likewise */
};
/* Milliseconds to wait after so many failures: what doubles from `first` up to `most`, random from half of it. */
int64_t back_off(int failures, int64_t first, int64_t most);
enum troth_result http_ask(struct troth *t, const struct call *c, struct answer *out);
/* ... and its answer is an object of JSON; NULL where it had no body. */
enum troth_result http_ask_json(struct troth *t, const struct call *c, struct answer *out, json_t **j);
void answer_done(struct answer *a);
void http_no_problem(struct troth *t);
void http_problem(struct troth *t, int status, const char *code);

/* ---- answer.c: reading, with limits; TROTH_ANSWER for what breaks them ---- */

json_t *answer_json(const char *text, size_t n); /* NULL: not one object */
const char *answer_text(const json_t *object, const char *name, size_t max);
bool answer_id(const char *text);
bool answer_token(const char *text);
bool answer_time(const char *text, int64_t *out); /* RFC 3339 with Z */
bool answer_url(const char *url);                 /* may a portal be asked at it? */
/* These keep `j` (they take a reference) on TROTH_OK, and change nothing otherwise; of a statement nothing is left. */
enum troth_result answer_statement(json_t *j, struct told_statement *out);
enum troth_result answer_state(json_t *j, struct told_state *out);
enum troth_result answer_commands(json_t *j, struct told_commands *out);
enum troth_result answer_grant(json_t *j, struct troth_grant *out);
enum troth_result answer_binding(json_t *j);
enum troth_next answer_next(const json_t *j); /* 0: unknown */
bool answer_waiting(const json_t *j);         /* of a long poll: does something wait? */
void statement_done(struct told_statement *s);
void told_state_done(struct told_state *s);

/* ---- work.c ---- */

/* Does ALTCHA's work. NULL: the challenge is none, or asks for more than is decent. */
char *work_solve(const json_t *challenge);

/* ---- license.c ---- */

struct license_texts {
    const char *file, *revocations;   /* revocations may be NULL */
    const json_t *keys, *more_keys;   /* JWK sets, or NULL */
    const char *device, *application, *issuer;
    int64_t now;
    int64_t end; /* out: of a file that is signed, whether it is over or not; 0: it is none */
};
/* NULL: good; otherwise why not. On NULL *out is filled. */
const char *license_verify(struct license_texts *l, struct told_file *out);
void told_file_done(struct told_file *f);

/* ---- queue.c ---- */

/* Sends it, behind what waits already; keeps it where there is no network. */
enum troth_result queue_send(struct troth *t, const char *path, json_t *body);
/* *last: how the last one went that the portal has answered. */
enum troth_result queue_flush(struct troth *t, enum troth_result *last);

/* ---- report.c ---- */

/* Keeps what an answer says of state, or of the license alone. */
enum troth_result report_state(struct troth *t, json_t *j);
enum troth_result report_send(struct troth *t, const struct troth_device *device, const struct troth_license *license);
/* Tells the portal of the end, and forgets the binding. */
enum troth_result end_send(struct troth *t);
/* Every answer goes through here: the end of a binding is the end wherever it is heard of. */
enum troth_result heard(struct troth *t, enum troth_result r);
/* May anything be sent? */
enum troth_result may_send(const struct troth *t);

#endif
