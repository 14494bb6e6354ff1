#include "work/call.h"

#include <string.h>

#include <curl/curl.h>

#include "base/codec.h"

enum { TIMEOUT_MS = 20000, CONNECT_MS = 5000 };

void call_begin(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void call_field(struct buf *form, const char *name, str value)
{
    buf_fmt(form, "%s%.*s=%.*s", form->n ? "&" : "", STR_FMT(percent_encode(form->arena, str_from(name))),
            STR_FMT(percent_encode(form->arena, value)));
}

/* What is too long ends the transfer. */
static size_t keep(char *p, size_t size, size_t n, void *arg)
{
    struct buf *b = arg;
    buf_put(b, str_of(p, size * n));
    return b->over ? 0 : size * n;
}

static void set_safety(CURL *h, const struct call *c)
{
    long timeout = c->timeout_ms ? c->timeout_ms : TIMEOUT_MS;
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, str_starts(c->url, STR("https://")) ? "https" : "http");
    curl_easy_setopt(h, CURLOPT_PROXY, ""); /* none that the environment may name */
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, timeout);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, timeout < CONNECT_MS ? timeout : (long)CONNECT_MS);
    curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(h, CURLOPT_MAXFILESIZE, (long)CALL_ANSWER_MAX);
    if (c->ca_file)
        curl_easy_setopt(h, CURLOPT_CAINFO, c->ca_file);
}

static struct curl_slist *set_request(CURL *h, struct arena *a, const struct call *c, struct buf *body)
{
    struct curl_slist *headers = NULL;
    for (size_t i = 0; i < c->n_headers; i++)
        headers = curl_slist_append(headers, str_cstr(a, c->headers[i]));
    curl_easy_setopt(h, CURLOPT_URL, str_cstr(a, c->url));
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, body);
    if (c->user.bytes.n > 0) {
        curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(h, CURLOPT_USERNAME, str_cstr(a, c->user.bytes));
        curl_easy_setopt(h, CURLOPT_PASSWORD, "");
    }
    if (strcmp(c->method, "POST") == 0) {
        curl_easy_setopt(h, CURLOPT_POST, 1L);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, c->form.n ? c->form.p : "");
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, (long)c->form.n);
    } else if (strcmp(c->method, "GET") != 0) {
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, c->method);
    }
    return headers;
}

enum err call_make(struct arena *a, const struct call *c, struct call_answer *out, struct fault *f)
{
    struct buf body = buf_new(a, CALL_ANSWER_MAX);
    long request = 0;
    *out = (struct call_answer){0};
    CURL *h = curl_easy_init();
    if (h == NULL)
        return FAIL(f, ERR_BUSY, "libcurl has no memory");
    set_safety(h, c);
    struct curl_slist *headers = set_request(h, a, c, &body);
    CURLcode r = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &out->status);
    curl_easy_getinfo(h, CURLINFO_REQUEST_SIZE, &request);
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
    out->sent = request > 0;
    if (body.over)
        return FAIL(f, ERR_LIMIT, "an answer of more than %d bytes", CALL_ANSWER_MAX);
    if (r != CURLE_OK)
        return FAIL(f, ERR_BUSY, "no whole answer: %s", curl_easy_strerror(r));
    out->body = buf_str(&body);
    return OK;
}
