/*
 * work: jobs on SQLite and PostgreSQL, messages parsed back, and mail servers of every temper.
 * That a mail is never sent twice is tested on the whole portal (tests/api/test_mail.py).
 */
#include "work/mail_build.h"
#include "work/smtp.h"
#include "work/work.h"

#include "base/file.h"
#include "store/testing.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <gmime/gmime.h>

static struct testing_db t;
static struct arena *a;
static struct fault fault;
static struct clock clock_;
static struct log log_ = {.fd = -1};
static enum db_kind kind;
static const struct migrations none = {NULL, 0};

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        if ((expr) != OK)                                                                          \
            fail_msg("%s: %s", #expr, fault.text);                                                 \
    } while (0)

static int up(void **state)
{
    (void)state;
    static const char *const files[] = {"src/privacy/records.yaml", "src/work/records.yaml"};
    struct inventory_source s[COUNT(files)];
    struct inventory *v;
    a = arena_new(256 << 20);
    fault_clear(&fault);
    clock_ = (struct clock){0};
    log_.clock = &clock_;
    testing_db_open(&t, kind, "main");
    for (size_t i = 0; i < COUNT(files); i++) {
        s[i].name = str_from(files[i]);
        assert_ok(file_read(a, str_fmt(a, "%s/%s", getenv("TROTH_SOURCE"), files[i]).p, 1 << 20, &s[i].text, &fault));
    }
    assert_ok(inventory_read(a, s, COUNT(s), &v, &fault));
    assert_ok(schema_migrate(t.db, &v->schema, &none, a, NULL, &fault));
    return 0;
}

static int down(void **state)
{
    (void)state;
    testing_db_close(&t);
    arena_free(&a);
    return 0;
}

/* ---- jobs ---- */

static atomic_int runs;
static str last_payload;
static enum err answer_with;
static int take_ms;

static enum err run_count(struct job_run *r)
{
    runs++;
    last_payload = str_dup(a, r->job.payload);
    usleep((useconds_t)take_ms * 1000);
    return answer_with;
}

static const struct job_kind kinds[] = {{"count", run_count, {0, MOMENT_HOUR}}};

static struct work *open_work(int64_t lease, const struct task *tasks, size_t n)
{
    struct work *w;
    struct work_config c = {.db = t.db, .clock = &clock_, .log = &log_, .kinds = kinds, .n_kinds = 1,
                            .tasks = tasks, .n_tasks = n, .workers = 3, .lease = lease};
    runs = 0;
    answer_with = OK;
    take_ms = 0;
    assert_ok(work_open(&w, &c, &fault));
    return w;
}

static void add(const char *payload, const char *once, moment due, bool commit)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(t.db, TX_WRITE, a, &fault);
    assert_ok(job_add(tx, &clock_, "count", (id){{0}}, str_from(payload), str_from(once), due));
    if (commit)
        assert_ok(tx_commit(tx));
}

static int64_t jobs(void)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(t.db, TX_READ, a, &fault);
    struct query *q = SQL(tx, "SELECT count(*) FROM job");
    assert_true(query_row(q));
    int64_t n = row_int(q, 0);
    assert_ok(query_end(q));
    return n;
}

static int run_due(struct work *w)
{
    int ran;
    assert_ok(work_run_due(w, (id){{0}}, &ran, &fault));
    return ran;
}

/* Fails if a job exists without its transaction, or runs twice, or too early. */
static void a_job_lives_with_its_transaction(void **state)
{
    (void)state;
    CLEANUP(work_close) struct work *w = open_work(0, NULL, 0);
    add("a", "", clock_now(&clock_), false);
    assert_int_equal(run_due(w), 0);
    add("b", "one", clock_now(&clock_), true);
    add("c", "one", clock_now(&clock_), true); /* of the same name: not again */
    add("d", "", clock_now(&clock_) + MOMENT_HOUR, true);
    assert_int_equal(run_due(w), 1);
    assert_true(str_is(last_payload, "b"));
    assert_int_equal(jobs(), 1);
    clock_.offset += MOMENT_HOUR;
    assert_int_equal(run_due(w), 1);
    assert_int_equal(runs, 2);
    assert_int_equal(jobs(), 0);
}

/* Fails if a failing job is forgotten, tried without rest, or tried for ever. */
static void a_job_that_fails_comes_back_and_is_given_up(void **state)
{
    (void)state;
    CLEANUP(work_close) struct work *w = open_work(0, NULL, 0);
    answer_with = ERR_IO;
    add("a", "", clock_now(&clock_), true);
    static const int waits[] = {5, 10, 20, 40};
    for (size_t i = 0; i < COUNT(waits); i++) {
        assert_int_equal(run_due(w), 1);
        clock_.offset += (waits[i] - 1) * MOMENT_SECOND;
        assert_int_equal(run_due(w), 0);
        clock_.offset += MOMENT_SECOND + MOMENT_SECOND / 10;
    }
    clock_.offset += 2 * MOMENT_HOUR; /* beyond its kind's patience */
    assert_int_equal(run_due(w), 1);
    assert_int_equal(work_figures(w).given_up, 1);
    clock_.offset += 48 * MOMENT_HOUR;
    assert_int_equal(run_due(w), 0);
    assert_int_equal(jobs(), 1); /* stays in view until retention takes it */
}

static enum err run_die(struct job_run *r)
{
    (void)r;
    _exit(7);
}

/* Fails if the job of a process that dies is lost, or taken by another before it can know. */
static void a_job_of_a_crash_runs_again(void **state)
{
    (void)state;
    CLEANUP(work_close) struct work *w = open_work(0, NULL, 0);
    add("a", "", clock_now(&clock_), true);
    pid_t child = fork();
    if (child == 0) {
        static const struct job_kind deadly[] = {{"count", run_die, {0, MOMENT_HOUR}}};
        struct db *db;
        struct db_config config = {.url = str_from(t.url), .space = t.space};
        struct work_config c = {.clock = &clock_, .log = &log_, .kinds = deadly, .n_kinds = 1};
        struct work *other;
        int ran;
        if (db_open(&db, &config, &fault) != OK)
            _exit(1);
        c.db = db;
        if (work_open(&other, &c, &fault) != OK || work_run_due(other, (id){{0}}, &ran, &fault) != OK)
            _exit(2);
        _exit(3);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    assert_int_equal(run_due(w), 0);
    clock_.offset += 2 * MOMENT_MINUTE + MOMENT_SECOND;
    assert_int_equal(run_due(w), 1);
    assert_int_equal(runs, 1);
}

static bool wait_until(int64_t wanted)
{
    for (int i = 0; i < 1000 && jobs() != wanted; i++)
        usleep(10000);
    return jobs() == wanted;
}

/* Fails if two workers take one job, or one is left over. */
static void two_processes_share_jobs(void **state)
{
    (void)state;
    CLEANUP(work_close) struct work *w = open_work(0, NULL, 0), *other = NULL;
    for (int i = 0; i < 100; i++)
        add("a", "", clock_now(&clock_), true);
    other = open_work(0, NULL, 0);
    assert_ok(work_start(w, &fault));
    assert_ok(work_start(other, &fault));
    work_wake(w);
    assert_true(wait_until(0));
    work_stop(w);
    work_stop(other);
    assert_int_equal(runs, 100);
    work_close(&other);
}

/* Fails if a job that takes longer than a lease lasts is taken from the process that runs it. */
static void a_long_job_keeps_its_lease(void **state)
{
    (void)state;
    CLEANUP(work_close) struct work *w = open_work(600000, NULL, 0), *other = NULL;
    other = open_work(600000, NULL, 0);
    take_ms = 2500;
    add("a", "", clock_now(&clock_), true);
    assert_ok(work_start(w, &fault));
    work_wake(w);
    while (runs == 0)
        usleep(1000);
    assert_ok(work_start(other, &fault));
    assert_true(wait_until(0));
    assert_int_equal(runs, 1);
    work_close(&other);
}

static atomic_int task_runs, task_answer;

static enum err run_task(void *app, struct arena *arena, struct fault *f)
{
    (void)app, (void)arena;
    task_runs++;
    return task_answer ? FAIL(f, ERR_IO, "on purpose") : OK;
}

/* Fails if two processes run one task, or it never runs again, or a failure waits a whole day. */
static void a_task_runs_once_and_again_when_due(void **state)
{
    (void)state;
    static const struct task tasks[] = {{"t", run_task, MOMENT_DAY}};
    CLEANUP(work_close) struct work *w = open_work(0, tasks, 1), *other = NULL;
    other = open_work(0, tasks, 1);
    task_runs = task_answer = 0;
    assert_ok(work_start(w, &fault));
    assert_ok(work_start(other, &fault));
    usleep(500000);
    work_stop(w);
    work_stop(other);
    assert_int_equal(task_runs, 1);
    task_answer = 1;
    clock_.offset += MOMENT_DAY + MOMENT_SECOND;
    assert_ok(work_start(w, &fault));
    usleep(300000);
    work_stop(w);
    assert_int_equal(task_runs, 2);
    task_answer = 0;
    clock_.offset += MOMENT_MINUTE + MOMENT_SECOND;
    assert_ok(work_start(w, &fault));
    usleep(300000);
    work_stop(w);
    assert_int_equal(task_runs, 3);
    assert_int_equal(work_run_task(w, "none", a, &fault), ERR_NOT_FOUND);
    work_close(&other);
}

/* ---- messages ---- */

static char *header_of(GMimeMessage *m, const char *name)
{
    const char *v = g_mime_object_get_header(GMIME_OBJECT(m), name);
    return v ? g_mime_utils_header_decode_text(NULL, v) : NULL;
}

static GMimeMessage *parse(str bytes)
{
    GMimeStream *s = g_mime_stream_mem_new_with_buffer(bytes.p, bytes.n);
    GMimeParser *parser = g_mime_parser_new_with_stream(s);
    GMimeMessage *m = g_mime_parser_construct_message(parser, NULL);
    g_object_unref(parser);
    g_object_unref(s);
    return m;
}

static void assert_part(GMimeMessage *m, int i, const char *type, str expected)
{
    GMimeObject *o = g_mime_multipart_get_part(GMIME_MULTIPART(g_mime_message_get_mime_part(m)), i);
    char *mime = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(o));
    char *text = g_mime_text_part_get_text(GMIME_TEXT_PART(o));
    assert_string_equal(mime, type);
    struct buf unix_text = buf_new(a, strlen(text) + 1);
    for (char *c = text; *c; c++)
        if (*c != '\r')
            buf_put(&unix_text, str_of(c, 1));
    assert_true(str_eq(buf_str(&unix_text), expected));
    g_free(mime);
    g_free(text);
}

/* Fails if what we write is not what a mail program reads, or a value becomes a header. */
static void a_message_is_what_mail_programs_read(void **state)
{
    (void)state;
    g_mime_init();
    struct buf text = buf_new(a, 8192);
    buf_put(&text, STR("Hej Åsa!\n.\n..två punkter\nFrom början\n"));
    for (int i = 0; i < 300; i++)
        buf_put(&text, STR("lång rad "));
    buf_put(&text, STR("\n"));
    struct mail_parts p = {
        .id = STR("abc"), .from = STR("portal@example.com"), .from_name = STR("Tröth \"x\" <a@b>"),
        .to = STR("asa@xn--bcher-kva.example"), .subject = STR("Välkommen\r\nBcc: x@evil.example"),
        .text = buf_str(&text), .html = STR("<p>Hej Åsa &amp; co</p>\n"),
        .unsubscribe_url = STR("https://p.example.com/unsubscribe?t=abc"), .language = "sv",
        .date = 1700000000 * MOMENT_SECOND};
    str mail = mail_build(a, &p);
    /* RFC 5321 §4.5.3.1.6: lines of at most 998; all of them end in CRLF; and 7 bits. */
    size_t line = 0;
    for (size_t i = 0; i < mail.n; i++) {
        assert_true((unsigned char)mail.p[i] < 0x80);
        if (mail.p[i] == '\n') {
            assert_true(i > 0 && mail.p[i - 1] == '\r');
            line = 0;
        } else {
            assert_true(++line <= 999);
        }
    }
    GMimeMessage *m = parse(mail);
    assert_non_null(m);
    assert_null(g_mime_object_get_header(GMIME_OBJECT(m), "Bcc"));
    assert_non_null(strstr(g_mime_message_get_subject(m), "Välkommen"));
    assert_string_equal(g_mime_message_get_message_id(m), "abc@example.com");
    char *list = header_of(m, "List-Unsubscribe"), *post = header_of(m, "List-Unsubscribe-Post");
    assert_string_equal(list, "<https://p.example.com/unsubscribe?t=abc>");
    assert_string_equal(post, "List-Unsubscribe=One-Click");
    g_free(list);
    g_free(post);
    assert_string_equal(g_mime_object_get_header(g_mime_message_get_mime_part(m), "Content-Language"), "sv");
    assert_int_equal(internet_address_list_length(g_mime_message_get_all_recipients(m)), 1);
    InternetAddressList *from = g_mime_message_get_from(m);
    assert_int_equal(internet_address_list_length(from), 1);
    assert_string_equal(internet_address_get_name(internet_address_list_get_address(from, 0)), "Tröth \"x\" <a@b>");
    assert_part(m, 0, "text/plain", buf_str(&text));
    assert_part(m, 1, "text/html", p.html);
    g_object_unref(m);
}

/* ---- mail servers ---- */

/* A server whose answer to each step is given; what it does after is written in `then`. */
struct temper {
    const char *greeting, *ehlo, *from, *to, *data, *dot;
    enum { GO_ON, HANG_UP_AT_DATA, HANG_UP_AT_DOT, SAY_NOTHING } then;
};

struct double_server {
    int fd, port;
    const struct temper *temper;
    char got[16384];
    size_t n;
    bool dotted;
};

static void say(int fd, const char *line)
{
    char out[256];
    int n = snprintf(out, sizeof out, "%s\r\n", line);
    if (send(fd, out, (size_t)n, MSG_NOSIGNAL) < 0)
        return;
}

static bool read_line(int fd, char *line, size_t size)
{
    size_t n = 0;
    while (n + 1 < size && recv(fd, line + n, 1, 0) == 1)
        if (line[n++] == '\n') {
            line[n] = '\0';
            return true;
        }
    return false;
}

static bool read_mail_data(struct double_server *s, int fd)
{
    char line[2048];
    while (read_line(fd, line, sizeof line)) {
        if (strcmp(line, ".\r\n") == 0)
            return s->dotted = true;
        const char *plain = line[0] == '.' ? line + 1 : line; /* RFC 5321 §4.5.2 */
        size_t n = strlen(plain);
        if (s->n + n < sizeof s->got) {
            memcpy(s->got + s->n, plain, n);
            s->n += n;
        }
        if (s->temper->then == HANG_UP_AT_DATA)
            return false;
    }
    return false;
}

static void *serve_one(void *arg)
{
    struct double_server *s = arg;
    const struct temper *x = s->temper;
    char line[2048];
    int fd = accept(s->fd, NULL, NULL);
    if (x->then == SAY_NOTHING)
        usleep(1500000);
    else
        say(fd, x->greeting ? x->greeting : "220 double");
    while (x->then != SAY_NOTHING && read_line(fd, line, sizeof line)) {
        if (strncmp(line, "EHLO", 4) == 0) {
            say(fd, x->ehlo ? x->ehlo : "250 double");
        } else if (strncmp(line, "AUTH", 4) == 0) {
            say(fd, "535 5.7.8 no");
        } else if (strncmp(line, "MAIL", 4) == 0) {
            say(fd, x->from ? x->from : "250 ok");
        } else if (strncmp(line, "RCPT", 4) == 0) {
            say(fd, x->to ? x->to : "250 ok");
        } else if (strncmp(line, "DATA", 4) == 0) {
            say(fd, x->data ? x->data : "354 go");
            if (x->data == NULL && (!read_mail_data(s, fd) || x->then == HANG_UP_AT_DOT))
                break;
            if (x->data == NULL)
                say(fd, x->dot ? x->dot : "250 taken");
        } else if (strncmp(line, "QUIT", 4) == 0) {
            say(fd, "221 bye");
            break;
        } else {
            say(fd, "500 what");
        }
    }
    close(fd);
    return NULL;
}

static int notes;
static enum err note_answer;

static enum err note(void *arg)
{
    (void)arg;
    notes++;
    return note_answer;
}

static enum delivery deliver(const struct temper *x, struct smtp_target target, struct double_server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    pthread_t thread;
    long code;
    *s = (struct double_server){.temper = x};
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &n), 0);
    pthread_create(&thread, NULL, serve_one, s);
    notes = 0;
    target.url = str_fmt(a, "smtp://127.0.0.1:%d", ntohs(at.sin_port)).p;
    target.timeout_ms = 700;
    enum delivery d = smtp_deliver(&target, "portal@example.com", "anna@example.com",
                                   STR("Subject: x\r\n\r\na\r\n.\r\n..b\r\n"), note, NULL, &code);
    pthread_join(thread, NULL);
    close(s->fd);
    return d;
}

/*
 * Fails if a mail is given up that should be tried again, tried again that the server may
 * have, or handed over without the note before its last step.
 */
static void ntf_04_delivery_is_judged_by_what_the_server_may_have(void **state)
{
    (void)state;
    static const struct {
        struct temper temper;
        enum delivery expected;
        int notes;
        bool dotted;
    } cases[] = {
        {{0}, DELIVERED, 1, true},
        {{.greeting = "421 busy"}, DELIVERY_LATER, 0, false},
        {{.greeting = "554 closed"}, DELIVERY_LATER, 0, false},
        {{.greeting = "garbage"}, DELIVERY_LATER, 0, false},
        {{.from = "451 later"}, DELIVERY_LATER, 0, false},
        {{.from = "530 5.7.0 sign in first"}, DELIVERY_LATER, 0, false},
        {{.from = "550 not you"}, DELIVERY_REFUSED, 0, false},
        {{.to = "450 mailbox busy"}, DELIVERY_LATER, 0, false},
        {{.to = "550 no such user"}, DELIVERY_REFUSED, 0, false},
        {{.data = "451 later"}, DELIVERY_LATER, 0, false},
        {{.data = "554 no"}, DELIVERY_REFUSED, 0, false},
        {{.dot = "452 full"}, DELIVERY_LATER, 1, true},
        {{.dot = "552 too large"}, DELIVERY_REFUSED, 1, true},
        {{.dot = "250 taken", .then = HANG_UP_AT_DOT}, DELIVERY_UNCERTAIN, 1, true},
        {{.then = SAY_NOTHING}, DELIVERY_LATER, 0, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct double_server s;
        note_answer = OK;
        enum delivery d = deliver(&cases[i].temper, (struct smtp_target){0}, &s);
        if (d != cases[i].expected || notes != cases[i].notes || s.dotted != cases[i].dotted)
            fail_msg("case %zu: delivery %d, notes %d, dot %d", i, d, notes, s.dotted);
        if (s.dotted) {
            const char *expected = "Subject: x\r\n\r\na\r\n.\r\n..b\r\n";
            assert_int_equal(s.n, strlen(expected));
            assert_memory_equal(s.got, expected, s.n);
        }
    }
}

/* Fails if the dot is sent although the note could not be made, or secrets go over a bare line. */
static void delivery_stops_before_the_dot(void **state)
{
    (void)state;
    static const struct temper good = {0}, with_auth = {.ehlo = "250-double\r\n250 AUTH PLAIN LOGIN"};
    struct double_server s;
    note_answer = ERR_BUSY;
    assert_int_equal(deliver(&good, (struct smtp_target){0}, &s), DELIVERY_LATER);
    assert_int_equal(notes, 1);
    assert_false(s.dotted);
    note_answer = OK;
    assert_int_equal(deliver(&good, (struct smtp_target){.need_tls = true}, &s), DELIVERY_LATER);
    assert_false(s.dotted);
    assert_int_equal(deliver(&with_auth, (struct smtp_target){.user = "u", .password = "p"}, &s), DELIVERY_LATER);
    assert_false(s.dotted);
    long code;
    struct smtp_target nobody = {.url = "smtp://127.0.0.1:1", .timeout_ms = 500};
    assert_int_equal(smtp_deliver(&nobody, "a@example.com", "b@example.com", STR("x"), note, NULL, &code), DELIVERY_LATER);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest on_a_database[] = {
        T(a_job_lives_with_its_transaction), T(a_job_that_fails_comes_back_and_is_given_up), T(a_job_of_a_crash_runs_again), T(two_processes_share_jobs),
        T(a_long_job_keeps_its_lease), T(a_task_runs_once_and_again_when_due),
    };
    const struct CMUnitTest by_themselves[] = {
        cmocka_unit_test_setup_teardown(a_message_is_what_mail_programs_read, up, down),
        cmocka_unit_test_setup_teardown(ntf_04_delivery_is_judged_by_what_the_server_may_have, up, down),
        cmocka_unit_test_setup_teardown(delivery_stops_before_the_dot, up, down),
    };
    static const char *const names[] = {[DB_SQLITE] = "work on SQLite", [DB_POSTGRES] = "work on PostgreSQL"};
    int failed = 0;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    for (kind = DB_SQLITE; kind <= DB_POSTGRES; kind++)
        if (testing_wants(kind))
            failed += cmocka_run_group_tests_name(names[kind], on_a_database, NULL, NULL);
    kind = DB_SQLITE;
    if (testing_wants(kind))
        failed += cmocka_run_group_tests_name("mail", by_themselves, NULL, NULL);
    return failed;
}
