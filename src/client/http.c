/*
 * One message and its answer. Retried where nothing was lost by it: no answer, 502 to 504, and a Retry-After that is
 * within the app's patience; every message is a question, or carries an Idempotency-Key that stays the same. Waits
 * double, and are random between half and whole, so that apps do not come back in step.
 */
#include "client/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

enum { TRIES = 4, FIRST_WAIT_MS = 500, MOST_WAIT_MS = 60000, CONNECT_S = 10 };
#define TIMEOUT_MS 30000L

void answer_done(struct answer *a)
{
    if (a->body)
        sodium_memzero(a->body, a->n);
    text_free(&a->body);
}

static void headers_done(struct curl_slist **h)
{
    curl_slist_free_all(*h);
}

/* ---- what went wrong ---- */

void http_no_problem(struct troth *t)
{
    json_done(&t->problem_from);
    t->problem = (struct troth_problem){0, "", "", ""};
}

void http_problem(struct troth *t, int status, const char *code)
{
    http_no_problem(t);
    t->problem.status = status;
    t->problem.code = code; /* a literal */
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* RFC 9457; of a status alone where the body is something else (a proxy's page). */
static void read_problem(struct troth *t, const struct answer *a)
{
    http_problem(t, (int)a->status, "");
    CLEANUP(json_done) json_t *j = answer_json(a->body, a->n);
    if (!j)
        return;
    t->problem.code = or_empty(answer_text(j, "code", 60));
    if (!*t->problem.code) /* RFC 6749's, of /token */
        t->problem.code = or_empty(answer_text(j, "error", 60));
    t->problem.title = or_empty(answer_text(j, "title", TEXT_MAX));
    t->problem.detail = or_empty(answer_text(j, "detail", 4 * TEXT_MAX));
    t->problem_from = json_incref(j);
}

static enum troth_result refused(struct troth *t, const struct answer *a)
{
    read_problem(t, a);
    if (a->status == 429 || a->status == 503)
        return TROTH_LATER;
    if (strcmp(t->problem.code, "statement-changed") == 0 || strcmp(t->problem.code, "consent-withdrawn") == 0)
        return TROTH_STATEMENT_CHANGED;
    if (a->status == 410 && strcmp(t->problem.code, "disconnected") == 0)
        return TROTH_DISCONNECTED;
    if (a->status >= 500)
        return TROTH_OFFLINE;
    return a->status >= 400 ? TROTH_REFUSED : TROTH_ANSWER;
}

/* ---- what comes ---- */

static size_t take_body(char *bytes, size_t one, size_t n, void *to)
{
    struct answer *a = to;
    (void)one;
    if (n > ANSWER_MAX - a->n)
        return 0; /* curl ends the transfer */
    char *more = realloc(a->body, a->n + n + 1);
    if (!more)
        return 0;
    memcpy(more + a->n, bytes, n);
    a->body = more;
    a->n += n;
    a->body[a->n] = 0;
    return n;
}

/* The value of a header of that name, without blanks around it; false: it is another. */
static bool header_is(const char *line, size_t n, const char *name, char *out, size_t max)
{
    size_t k = strlen(name);
    if (n <= k || strncasecmp(line, name, k) != 0 || line[k] != ':')
        return false;
    const char *from = line + k + 1, *end = line + n;
    while (from < end && (*from == ' ' || *from == '\t'))
        from++;
    while (end > from && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    size_t len = (size_t)(end - from);
    if (len >= max)
        len = 0;
    memcpy(out, from, len);
    out[len] = 0;
    return true;
}

/* Seconds, or a date: RFC 9110, section 10.2.3. A day at most. */
static int read_retry_after(const char *text, int64_t date)
{
    int64_t s = 0;
    if (*text < '0' || *text > '9') {
        time_t then = curl_getdate(text, NULL);
        s = then < 0 || date == 0 ? 60 : then - date;
    } else {
        for (const char *c = text; *c >= '0' && *c <= '9' && s <= INTERVAL_MAX; c++)
            s = s * 10 + *c - '0';
    }
    return s < 0 ? 0 : s > INTERVAL_MAX ? INTERVAL_MAX : (int)s;
}

static size_t take_header(char *line, size_t one, size_t n, void *to)
{
    struct answer *a = to;
    char value[201];
    (void)one;
    if (header_is(line, n, "Date", value, sizeof value)) {
        time_t then = curl_getdate(value, NULL);
        a->date = then > 0 ? then : 0;
    } else if (header_is(line, n, "ETag", value, sizeof value)) {
        memcpy(a->etag, value, sizeof value);
    } else if (header_is(line, n, "Last-Modified", value, sizeof value)) {
        memcpy(a->modified, value, sizeof value);
    } else if (header_is(line, n, "Retry-After", value, sizeof value)) {
        a->retry_after = read_retry_after(value, a->date ? a->date : os_seconds());
    }
    return n;
}

/* ---- one try ---- */

/* A header that cannot be put in (memory, a line break in what it says) is a message not sent. */
static bool header_add(struct curl_slist **h, const char *name, const char *value)
{
    if (!value || strpbrk(value, "\r\n"))
        return false;
    CLEANUP(text_wipe) char *line = text_format("%s: %s", name, value);
    struct curl_slist *more = line ? curl_slist_append(*h, line) : NULL;
    if (!more)
        return false;
    *h = more;
    return true;
}

static bool headers_make(const struct troth *t, const struct call *c, const char *key, struct curl_slist **h)
{
    bool fine = header_add(h, "Accept", "application/json, application/jose") &&
                header_add(h, "Accept-Language", t->application_locale) && header_add(h, "Expect", "");
    if (c->body)
        fine = fine && header_add(h, "Content-Type", "application/json");
    if (key)
        fine = fine && header_add(h, "Idempotency-Key", key);
    if (c->etag && *c->etag)
        fine = fine && header_add(h, "If-None-Match", c->etag);
    if (c->modified && *c->modified)
        fine = fine && header_add(h, "If-Modified-Since", c->modified);
    if (c->signs) {
        CLEANUP(text_wipe) char *bearer = text_format("Bearer %s", state_text(t, "token"));
        fine = fine && header_add(h, "Authorization", bearer);
    }
    return fine;
}

static bool settle(struct troth *t, const struct call *c, const char *body, struct curl_slist *h, struct answer *out,
                   const char *url)
{
    CURL *u = t->curl;
    curl_easy_reset(u);
    bool fine = curl_easy_setopt(u, CURLOPT_URL, url) == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_CUSTOMREQUEST, c->method) == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_HTTPHEADER, h) == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S) == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_TIMEOUT_MS, c->wait_ms ? (long)c->wait_ms : TIMEOUT_MS) == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_USERAGENT, "libtroth") == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_WRITEDATA, out) == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
                curl_easy_setopt(u, CURLOPT_HEADERDATA, out) == CURLE_OK;
    if (body)
        fine = fine && curl_easy_setopt(u, CURLOPT_POSTFIELDS, body) == CURLE_OK;
    /* On loopback there is no TLS: a proxy that the environment names would read all of it. */
    if (strncmp(url, "http:", 5) == 0)
        fine = fine && curl_easy_setopt(u, CURLOPT_PROXY, "") == CURLE_OK;
    if (t->ca_file)
        fine = fine && curl_easy_setopt(u, CURLOPT_CAINFO, t->ca_file) == CURLE_OK;
    return fine;
}

static enum troth_result once(struct troth *t, const struct call *c, const char *body, const char *key,
                              struct answer *out)
{
    CLEANUP(headers_done) struct curl_slist *h = NULL;
    CLEANUP(text_free) char *url = text_format("%s/api/v1%s", t->url, c->path);
    struct answer a = {.retry_after = -1};
    if (!url || !headers_make(t, c, key, &h) || !settle(t, c, body, h, &a, url))
        return TROTH_USAGE;
    int64_t began = os_monotonic();
    CURLcode code = curl_easy_perform(t->curl);
    if (code != CURLE_OK) {
        answer_done(&a);
        if (code == CURLE_OPERATION_TIMEDOUT && c->wait_ms)
            return TROTH_UNCHANGED; /* a long poll that nobody answered */
        bool foreign = code == CURLE_WRITE_ERROR || code == CURLE_WEIRD_SERVER_REPLY ||
                       code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_PEER_FAILED_VERIFICATION;
        return foreign ? TROTH_ANSWER : TROTH_OFFLINE;
    }
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &a.status);
    if (a.date && os_monotonic() - began < 10000)
        t->skew = a.date - os_seconds();
    *out = a;
    return TROTH_OK;
}

/* ---- and again ---- */

int64_t back_off(int failures, int64_t first, int64_t most)
{
    int64_t whole = first;
    for (int i = 0; i < failures && whole < most; i++)
        whole *= 2;
    if (whole > most)
        whole = most;
    return whole / 2 + randombytes_uniform((uint32_t)(whole / 2) + 1);
}

/* Milliseconds until it may be tried again; -1: it is of no use. */
static int64_t again_in(const struct call *c, enum troth_result r, const struct answer *a, int tries)
{
    bool passing = r == TROTH_OFFLINE || (r == TROTH_OK && (a->status == 429 || (a->status >= 502 && a->status <= 504)));
    if (!passing || c->wait_ms || tries + 1 >= TRIES)
        return -1;
    if (r == TROTH_OK && a->retry_after >= 0)
        return (int64_t)a->retry_after * 1000 + randombytes_uniform(FIRST_WAIT_MS);
    return back_off(tries, FIRST_WAIT_MS, MOST_WAIT_MS);
}

static enum troth_result try_all(struct troth *t, const struct call *c, const char *body, const char *key,
                                 struct answer *out)
{
    int64_t left = (int64_t)t->patience * 1000;
    for (int tries = 0;; tries++) {
        struct answer a = {0};
        enum troth_result r = once(t, c, body, key, &a);
        int64_t wait = again_in(c, r, &a, tries);
        if (wait < 0 || wait > left) {
            *out = a;
            return r;
        }
        answer_done(&a);
        os_sleep(wait);
        left -= wait;
    }
}

enum troth_result http_ask(struct troth *t, const struct call *c, struct answer *out)
{
    char fresh[33];
    const char *key = c->key;
    CLEANUP(text_wipe) char *body = c->form ? strdup(c->form) : c->body ? json_dumps(c->body, JSON_COMPACT) : NULL;
    http_no_problem(t);
    t->retry_after = 0;
    if (!key && c->body && strcmp(c->method, "POST") == 0) {
        os_random_text(fresh, sizeof fresh);
        key = fresh;
    }
    struct answer a = {0};
    enum troth_result r = try_all(t, c, body, key, &a);
    if (r == TROTH_OK && (a.status < 200 || a.status > 299) && a.status != 304)
        r = refused(t, &a);
    if (r == TROTH_LATER || r == TROTH_OFFLINE)
        t->retry_after = a.retry_after > 0 ? a.retry_after : 30;
    if (r == TROTH_OK)
        *out = a;
    else
        answer_done(&a);
    return r;
}

enum troth_result http_ask_json(struct troth *t, const struct call *c, struct answer *out, json_t **j)
{
    TRY(http_ask(t, c, out));
    *j = NULL;
    if (out->status == 204 || out->status == 304)
        return TROTH_OK;
    *j = answer_json(out->body, out->n);
    return *j ? TROTH_OK : TROTH_ANSWER;
}
