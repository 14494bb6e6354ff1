#include "work/smtp.h"

#include <string.h>

#include <curl/curl.h>

struct upload {
    str rest;
    before_dot_fn *before_dot;
    void *arg;
    bool dotted;
};

/* libcurl sends the final dot after this has returned 0 for the first time. */
static size_t read_mail(char *p, size_t size, size_t n, void *arg)
{
    struct upload *u = arg;
    size_t room = size * n;
    if (u->rest.n == 0) {
        if (!u->dotted && u->before_dot(u->arg) != OK)
            return CURL_READFUNC_ABORT;
        u->dotted = true;
        return 0;
    }
    size_t take = MIN_OF(room, u->rest.n);
    memcpy(p, u->rest.p, take);
    u->rest = str_skip(u->rest, take);
    return take;
}

static size_t ignore(char *p, size_t size, size_t n, void *arg)
{
    (void)p, (void)arg;
    return size * n;
}

static void set_options(CURL *c, const struct smtp_target *t, const char *from,
                        struct curl_slist *to, struct upload *u)
{
    curl_easy_setopt(c, CURLOPT_URL, t->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(c, CURLOPT_MAIL_FROM, from);
    curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, read_mail);
    curl_easy_setopt(c, CURLOPT_READDATA, u);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)t->timeout_ms);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)MIN_OF(t->timeout_ms, 10000));
    curl_easy_setopt(c, CURLOPT_USE_SSL, (long)(t->need_tls ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!t->need_tls) { /* this machine only: its certificate says nothing that we do not know */
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (t->ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, t->ca_file);
    if (t->user) {
        curl_easy_setopt(c, CURLOPT_USERNAME, t->user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, t->password);
    }
}

static enum delivery judge(CURLcode r, long code, const struct upload *u)
{
    if (r == CURLE_OK)
        return DELIVERED;
    /* libcurl's errors for a refused sender, recipient or DATA, and for a refused dot. Before those,
     * 5xx is about us (a wrong password, a server that is closed), not about this mail. */
    bool answered = r == (u->dotted ? CURLE_WEIRD_SERVER_REPLY : CURLE_SEND_ERROR) && code >= 400;
    bool about_us = code == 530 || code == 535 || code == 538;
    if (answered && code >= 500)
        return about_us ? DELIVERY_LATER : DELIVERY_REFUSED;
    return u->dotted && !answered ? DELIVERY_UNCERTAIN : DELIVERY_LATER;
}

enum delivery smtp_deliver(const struct smtp_target *t, const char *from, const char *to, str mail,
                           before_dot_fn *before_dot, void *arg, long *code)
{
    struct upload u = {mail, before_dot, arg, false};
    *code = 0;
    CURL *c = curl_easy_init();
    struct curl_slist *list = curl_slist_append(NULL, to);
    if (c == NULL || list == NULL) {
        curl_slist_free_all(list);
        curl_easy_cleanup(c);
        return DELIVERY_LATER;
    }
    set_options(c, t, from, list, &u);
    CURLcode r = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, code);
    enum delivery d = judge(r, *code, &u);
    curl_slist_free_all(list);
    curl_easy_cleanup(c);
    return d;
}
