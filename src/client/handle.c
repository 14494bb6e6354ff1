/* A handle: opened, asked about itself, closed. */
#include "client/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

static bool shaped(const char *text, size_t max, const char *also)
{
    size_t n = text ? strlen(text) : 0;
    if (n == 0 || n > max)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr(also, text[i]))
            return false;
    return true;
}

static bool copy(char **to, const char *text)
{
    *to = text ? strdup(text) : NULL;
    return *to || !text;
}

static void close_handle(struct troth **t)
{
    troth_close(*t);
}

/* The portal is the one that the folder is bound to; to another one it says nothing. */
static enum troth_result choose_url(struct troth *t, const char *url)
{
    const char *kept = state_text(t, "url");
    if (!url)
        url = kept;
    if (!url || !answer_url(url) || (kept && state_bound(t) && strcmp(kept, url) != 0))
        return TROTH_USAGE;
    return copy(&t->url, url) ? TROTH_OK : TROTH_STORAGE;
}

enum troth_result troth_open(const struct troth_options *o, struct troth **out)
{
    if (!o || o->size < sizeof *o || !o->folder || !*o->folder || !shaped(o->application_id, 60, ".-") ||
        !shaped(o->application_version, 40, ".+_-") || !shaped(o->application_locale, 35, "-") || o->patience < 0)
        return TROTH_USAGE;
    if (sodium_init() < 0)
        return TROTH_STORAGE;
    CLEANUP(close_handle) struct troth *t = calloc(1, sizeof *t);
    if (!t)
        return TROTH_STORAGE;
    t->lock = -1;
    t->patience = o->patience;
    http_no_problem(t);
    told_state_done(&t->state);
    t->curl = curl_easy_init();
    if (!t->curl || !copy(&t->application_id, o->application_id) ||
        !copy(&t->application_version, o->application_version) ||
        !copy(&t->application_locale, o->application_locale) || !copy(&t->folder, o->folder) ||
        !copy(&t->ca_file, o->ca_file))
        return TROTH_STORAGE;
    if (o->license_keys && !(t->built_keys = answer_json(o->license_keys, strlen(o->license_keys))))
        return TROTH_USAGE;
    TRY(state_open(t));
    TRY(choose_url(t, o->url));
    *out = t;
    t = NULL;
    return TROTH_OK;
}

void troth_close(struct troth *t)
{
    if (!t)
        return;
    char **const texts[] = {&t->url,    &t->application_id, &t->application_version, &t->application_locale,
                            &t->folder, &t->ca_file,        &t->context,             &t->temporary_id,
                            &t->device_code};
    for (size_t i = 0; i < COUNT(texts); i++)
        text_wipe(texts[i]);
    curl_easy_cleanup(t->curl);
    json_wipe(&t->kept);
    json_done(&t->built_keys);
    json_done(&t->grant);
    json_done(&t->problem_from);
    statement_done(&t->statement);
    told_state_done(&t->state);
    json_done(&t->commands.from);
    told_file_done(&t->file);
    os_unlock(&t->lock);
    free(t);
}

const struct troth_problem *troth_problem(const struct troth *t)
{
    return &t->problem;
}

int troth_retry_after(const struct troth *t)
{
    return t->retry_after;
}

int64_t troth_now(const struct troth *t)
{
    return os_seconds() + t->skew;
}

const char *troth_url(const struct troth *t)
{
    return t->url;
}

const char *troth_result_text(enum troth_result r)
{
    switch (r) {
    case TROTH_OK:
        return "done";
    case TROTH_UNCHANGED:
        return "nothing new";
    case TROTH_PENDING:
        return "nobody has decided yet";
    case TROTH_QUEUED:
        return "kept, and sent later";
    case TROTH_USAGE:
        return "asked for out of order, or with something that cannot be";
    case TROTH_STORAGE:
        return "the folder cannot be read or written";
    case TROTH_OFFLINE:
        return "the portal does not answer";
    case TROTH_LATER:
        return "the portal asks to wait a while";
    case TROTH_REFUSED:
        return "the portal refused it";
    case TROTH_STATEMENT_CHANGED:
        return "nothing is sent until the statement is accepted anew";
    case TROTH_DISCONNECTED:
        return "the connection has ended";
    case TROTH_ANSWER:
        return "what answered is not a portal";
    case TROTH_FULL:
        return "too much waits to be sent";
    case TROTH_VOID:
        return "the license file is not good";
    }
    return "unknown";
}

const struct troth_ids *troth_ids(struct troth *t)
{
    if (!state_bound(t))
        return NULL;
    t->ids = (struct troth_ids){state_text(t, "device_id"), state_text(t, "application_instance_id"),
                                state_text(t, "binding_id"), state_text(t, "user_id")};
    return &t->ids;
}

const struct troth_state *troth_state(struct troth *t)
{
    /* The structs point into the handle; a copy of them does not. */
    t->state.is.license = &t->state.license;
    return &t->state.is;
}
