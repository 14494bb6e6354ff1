#include "work/live.h"

#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

enum { CONFIG_BYTES = 8 * 1024, TIMEOUT_MS = 300, MAX_TARGET = 200 };

struct live {
    struct arena *arena;
    const char *to[LIVE_TARGETS_MAX]; /* "http://127.0.0.1:8081" */
    size_t n;
};

static bool fits(str s, const char *also)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == '\0' || strchr(also, c) == NULL))
            return false;
    }
    return s.n > 0;
}

static const char *read_target(struct arena *a, str one, const char **t)
{
    static const char wanted[] = "http://127.0.0.1:PORT, one blank between several";
    int64_t port;
    if (one.n > MAX_TARGET)
        return wanted;
    /* Another machine is not offered: who may speak there may wake everybody. */
    str host = STR("http://127.0.0.1:");
    if (!str_starts(one, host) || !str_to_int(str_skip(one, host.n), &port) || port < 1 || port > 65535)
        return wanted;
    *t = str_cstr(a, one);
    return NULL;
}

static const char *read_targets(struct arena *a, str targets, const char **to, size_t *n)
{
    str rest = targets;
    *n = 0;
    while (rest.n > 0) {
        str one = rest, after = {NULL, 0};
        str_cut(rest, ' ', &one, &after);
        if (*n == LIVE_TARGETS_MAX)
            return "at most eight of them";
        const char *wrong = read_target(a, one, &to[*n]);
        if (wrong)
            return wrong;
        (*n)++;
        rest = after;
    }
    return NULL;
}

const char *live_wrong_targets(struct arena *a, str targets)
{
    const char *to[LIVE_TARGETS_MAX];
    size_t n;
    return read_targets(a, targets, to, &n);
}

enum err live_open(struct live **out, str targets, struct fault *f)
{
    *out = NULL;
    if (targets.n == 0)
        return OK;
    struct arena *a = arena_new(CONFIG_BYTES);
    struct live *l = ARENA_NEW(a, struct live);
    l->arena = a;
    const char *wrong = read_targets(a, targets, l->to, &l->n);
    if (wrong) {
        arena_free(&a);
        return FAIL(f, ERR_INPUT, "live: %s", wrong);
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    *out = l;
    return OK;
}

void live_close(struct live **l)
{
    if (*l == NULL)
        return;
    struct arena *a = (*l)->arena;
    *l = NULL;
    arena_free(&a);
}

static size_t drop(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    (void)arg;
    return size * n;
}

static void headers_free(struct curl_slist **h)
{
    curl_slist_free_all(*h);
}

static bool say_to(const char *base, str channel, const char *type, const char *text)
{
    CLEANUP(headers_free) struct curl_slist *head = NULL;
    char line[80];
    char url[MAX_TARGET + LIVE_CHANNEL_MAX + 8];
    long status = 0;
    snprintf(url, sizeof url, "%s/%.*s", base, (int)channel.n, channel.p);
    CURL *c = curl_easy_init();
    if (c == NULL)
        return false;
    snprintf(line, sizeof line, "Content-Type: %s", type);
    head = curl_slist_append(NULL, line);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, head);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(c, CURLOPT_PROXY, ""); /* none that the environment may name */
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    CURLcode r = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(c);
    return r == CURLE_OK && status >= 200 && status < 300; /* 202: nobody listens, which is fine */
}

enum err live_say(struct live *l, str channel, const char *type, const char *text, struct fault *f)
{
    size_t deaf = 0;
    if (channel.n > LIVE_CHANNEL_MAX || !fits(channel, "/"))
        return FAIL(f, ERR_INPUT, "live: no channel");
    for (size_t i = 0; l && i < l->n; i++)
        deaf += !say_to(l->to[i], channel, type, text);
    return deaf ? FAIL(f, ERR_BUSY, "live: %zu of %zu did not hear it", deaf, l->n) : OK;
}
