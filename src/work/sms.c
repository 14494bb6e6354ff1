#include "work/sms.h"

#include <string.h>

#include <curl/curl.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/json.h"
#include "base/network.h"

enum { CONFIG_BYTES = 16 * 1024, MESSAGE_BYTES = 64 * 1024, ANSWER_BYTES = 16 * 1024,
       TIMEOUT_MS = 15000, CONNECT_MS = 5000, MIN_DIGITS = 8, MAX_DIGITS = 15, MAX_SENDER = 11 };

struct target {
    const char *dir; /* file:DIR; NULL: a gateway */
    str url;         /* of its messages */
    str sid, token, from;
    bool tls;
};

struct sms {
    struct arena *arena;
    struct sms_config config;
    struct target to;
};

/* ---- numbers ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

enum err sms_number(struct arena *a, str typed, str *out)
{
    struct buf b = buf_new(a, MAX_DIGITS + 3);
    str s = str_trim(typed);
    bool plus = str_starts(s, STR("+")), zeros = str_starts(s, STR("00"));
    if (!plus && !zeros)
        return ERR_INPUT;
    s = str_skip(s, plus ? 1 : 2);
    buf_char(&b, '+');
    for (size_t i = 0; i < s.n; i++) {
        if (is_digit(s.p[i]))
            buf_char(&b, s.p[i]);
        else if (s.p[i] == '\0' || strchr(" -./()", s.p[i]) == NULL)
            return ERR_INPUT;
    }
    if (b.over || b.n < MIN_DIGITS + 1 || b.n > MAX_DIGITS + 1 || b.p[1] == '0')
        return ERR_INPUT;
    *out = str_dup(a, buf_str(&b));
    return OK;
}

bool sms_prefix_ok(str number, str prefixes)
{
    while (prefixes.n > 0) {
        str one = prefixes, rest = {NULL, 0};
        str_cut(prefixes, ' ', &one, &rest);
        if (one.n > 1 && str_starts(number, one))
            return true;
        prefixes = rest;
    }
    return false;
}

/* ---- where messages go ---- */

static bool is_word(str s, size_t max, const char *also)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
        if (!word && (c == '\0' || strchr(also, c) == NULL))
            return false;
    }
    return s.n > 0 && s.n <= max;
}

static bool sender_ok(struct arena *a, str from)
{
    str number;
    return is_word(from, MAX_SENDER, " ") || (sms_number(a, from, &number) == OK && str_eq(number, from));
}

/* https://SID:TOKEN@HOST[:PORT][/PREFIX]?from=SENDER. NULL: read. Never says what stood there. */
static const char *read_gateway(struct arena *a, str url, struct target *t)
{
    str rest, user, place, query, host, port, path;
    t->tls = str_starts(url, STR("https://"));
    if (!t->tls && !str_starts(url, STR("http://")))
        return "https://SID:TOKEN@HOST?from=NUMBER or file:DIR";
    rest = str_skip(url, t->tls ? 8 : 7);
    if (!str_cut_last(rest, '@', &user, &place) || !str_cut(user, ':', &t->sid, &t->token))
        return "SID:TOKEN@ must stand before the host";
    if (!is_word(t->sid, 64, "") || !is_word(t->token, 128, "-._~"))
        return "the SID or the token has something in it that none has";
    if (!str_cut(place, '?', &place, &query) || !str_starts(query, STR("from=")) ||
        percent_decode(a, str_skip(query, 5), false, &t->from) != OK || !sender_ok(a, t->from))
        return "?from= must name the sender: a number (+46…) or at most eleven letters and digits";
    host = place;
    str_cut(place, '/', &host, &path);
    if (str_cut_last(host, ':', &host, &port) && str_ends(port, STR("]")))
        host = place;
    if (host.n == 0 || !is_word(place, 200, ".:-/[]"))
        return "the gateway has no name";
    if (!t->tls && !host_is_loopback(host))
        return "http:// is for this machine only: a gateway elsewhere needs https://";
    while (str_ends(place, STR("/")))
        place.n--;
    t->url = str_fmt(a, "%s%.*s/2010-04-01/Accounts/%.*s/Messages.json", t->tls ? "https://" : "http://",
                     STR_FMT(place), STR_FMT(t->sid));
    return NULL;
}

static const char *read_target(struct arena *a, str target, struct target *t)
{
    if (!str_starts(target, STR("file:")))
        return read_gateway(a, target, t);
    t->dir = str_cstr(a, str_skip(target, 5));
    return target.n > 5 ? NULL : "file:DIR names no folder";
}

const char *sms_wrong_target(struct arena *a, str target)
{
    struct target t = {0};
    return target.n == 0 ? NULL : read_target(a, target, &t);
}

enum err sms_open(struct sms **out, const struct sms_config *config, struct fault *f)
{
    struct arena *a = arena_new(CONFIG_BYTES);
    struct sms *s = ARENA_NEW(a, struct sms);
    s->arena = a;
    s->config = *config;
    s->config.product = str_dup(a, config->product);
    s->config.host = str_dup(a, config->host);
    const char *wrong = read_target(a, str_dup(a, config->target), &s->to);
    enum err e = wrong ? FAIL(f, ERR_INPUT, "sms: %s", wrong) : s->to.dir ? dir_make(s->to.dir, 0700, f) : OK;
    if (e != OK) {
        arena_free(&a);
        return e;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    *out = s;
    return OK;
}

void sms_close(struct sms **s)
{
    if (*s == NULL)
        return;
    struct arena *a = (*s)->arena;
    *s = NULL;
    arena_free(&a);
}

/* ---- the message ---- */

/* The last line is for browsers: they offer the code on that host only. */
static str text_of(const struct sms *s, struct arena *a, const struct sms_code *c)
{
    CLEANUP(json_done) json_t *values = json_object();
    json_put_str(values, "code", c->code.bytes);
    json_put_str(values, "product", s->config.product);
    str words = catalog_text(s->config.catalog, c->locale, a, MSG("sms.code"), values);
    return str_fmt(a, "%.*s\n\n@%.*s #%.*s", STR_FMT(words), STR_FMT(s->config.host),
                   STR_FMT(c->code.bytes));
}

static enum sms_result into_folder(const struct sms *s, struct arena *a, const struct sms_code *c,
                                   str text)
{
    CLEANUP(json_done) json_t *j = json_object();
    json_put_str(j, "to", c->number);
    json_put_str(j, "text", text);
    json_put_moment(j, "when", a, clock_now(s->config.clock));
    str path = str_fmt(a, "%s/%s.json", s->to.dir, c->name.text);
    return file_write(path.p, json_encode(a, j, true), 0600, NULL) == OK ? SMS_SENT : SMS_LATER;
}

static size_t keep_answer(char *p, size_t size, size_t n, void *arg)
{
    buf_put(arg, str_of(p, size * n));
    return size * n; /* what is too long is dropped, not refused: the message is on its way */
}

static int64_t reason_of(str answer)
{
    CLEANUP(json_done) json_t *j = NULL;
    return json_decode(answer, &j, NULL) == OK ? json_get_int(j, "code") : 0;
}

static void set_options(CURL *c, const struct sms *s, struct arena *a, str form, struct buf *answer)
{
    long timeout = s->config.timeout_ms ? s->config.timeout_ms : TIMEOUT_MS;
    curl_easy_setopt(c, CURLOPT_URL, str_cstr(a, s->to.url));
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, s->to.tls ? "https" : "http");
    curl_easy_setopt(c, CURLOPT_PROXY, ""); /* none that the environment may name */
    curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(c, CURLOPT_USERNAME, str_cstr(a, s->to.sid));
    curl_easy_setopt(c, CURLOPT_PASSWORD, str_cstr(a, s->to.token));
    curl_easy_setopt(c, CURLOPT_POST, 1L);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, form.p);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)form.n);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep_answer);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, timeout < CONNECT_MS ? timeout : (long)CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (s->config.ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, s->config.ca_file);
}

static enum sms_result judge(CURLcode r, long status, long request)
{
    if (r != CURLE_OK && status == 0)
        return request == 0 ? SMS_LATER : SMS_UNCERTAIN; /* 0: not a byte of it has left */
    if (status == 200 || status == 201)
        return SMS_SENT;
    if (status == 400)
        return SMS_REFUSED;
    /* 401, 403, 404 are about us, not about this message; 429 asks for patience. */
    return status >= 300 && status < 500 ? SMS_LATER : SMS_UNCERTAIN;
}

static enum sms_result to_gateway(const struct sms *s, struct arena *a, str number, str text,
                                  long *status, int64_t *reason)
{
    struct buf answer = buf_new(a, ANSWER_BYTES);
    long request = 0;
    str form = str_fmt(a, "To=%.*s&From=%.*s&Body=%.*s", STR_FMT(percent_encode(a, number)),
                       STR_FMT(percent_encode(a, s->to.from)), STR_FMT(percent_encode(a, text)));
    CURL *c = curl_easy_init();
    if (c == NULL)
        return SMS_LATER;
    set_options(c, s, a, form, &answer);
    CURLcode r = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, status);
    curl_easy_getinfo(c, CURLINFO_REQUEST_SIZE, &request);
    curl_easy_cleanup(c);
    enum sms_result result = judge(r, *status, request);
    if (result != SMS_SENT)
        *reason = reason_of(buf_str(&answer));
    return result;
}

enum sms_result sms_send_code(const struct sms *s, const struct sms_code *c, before_sms_fn *before,
                              void *arg, long *status, int64_t *reason)
{
    struct arena *a = arena_new(MESSAGE_BYTES); /* it holds the number and the code: wiped here */
    str text = text_of(s, a, c);
    *status = 0;
    *reason = 0;
    enum sms_result r = SMS_LATER;
    if (before(arg) == OK)
        r = s->to.dir ? into_folder(s, a, c, text) : to_gateway(s, a, c->number, text, status, reason);
    arena_free(&a);
    return r;
}
