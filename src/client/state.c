/*
 * What lasts from one run to the next: one object of JSON in FOLDER/troth.json, written whole or not at all. Beside
 * it FOLDER/troth.lock, so that two processes of an app (its service, and a command) do not undo each other's work;
 * nothing is held while a long poll waits.
 */
#include "client/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_FILE "troth.json"

const char *state_text(const struct troth *t, const char *name)
{
    return json_string_value(json_object_get(t->kept, name));
}

void state_set(struct troth *t, const char *name, json_t *value)
{
    json_object_set_new(t->kept, name, value ? value : json_null());
}

void state_forget(struct troth *t, const char *name)
{
    json_object_del(t->kept, name);
}

bool state_bound(const struct troth *t)
{
    return state_text(t, "token") != NULL;
}

/* Another writing has another inode, for each is a new file. */
static void mark_of(struct troth *t, char out[static 48])
{
    CLEANUP(text_free) char *path = text_format("%s/" STATE_FILE, t->folder);
    struct stat s;
    *out = 0;
    if (path && stat(path, &s) == 0)
        snprintf(out, 48, "%llu.%lld.%ld", (unsigned long long)s.st_ino, (long long)s.st_mtim.tv_sec,
                 s.st_mtim.tv_nsec);
}

/* What the file says is as foreign as an answer: another program may have written it. */
static bool fits(const json_t *kept)
{
    static const char *const ids[] = {"device_id", "application_instance_id", "binding_id", "user_id"};
    const char *token = json_string_value(json_object_get(kept, "token"));
    if (!token)
        return true;
    for (size_t i = 0; i < COUNT(ids); i++)
        if (!answer_id(answer_text(kept, ids[i], ID_LENGTH)))
            return false;
    return answer_token(token);
}

static enum troth_result load(struct troth *t)
{
    CLEANUP(text_free) char *path = text_format("%s/" STATE_FILE, t->folder);
    CLEANUP(text_wipe) char *text = NULL;
    CLEANUP(json_done) json_t *j = NULL;
    enum troth_result r = path ? os_read(path, &text) : TROTH_STORAGE;
    if (r == TROTH_UNCHANGED)
        j = json_object();
    else if (r != TROTH_OK)
        return r;
    else
        j = answer_json(text, strlen(text));
    if (!j || !fits(j))
        return TROTH_STORAGE;
    json_done(&t->kept);
    t->kept = json_incref(j);
    json_t *told = json_object_get(j, "told");
    if (!told || answer_state(told, &t->state) != TROTH_OK)
        told_state_done(&t->state);
    return TROTH_OK;
}

enum troth_result state_enter(struct troth *t)
{
    char mark[48];
    if (t->locked++ > 0)
        return TROTH_OK;
    while (flock(t->lock, LOCK_EX) != 0)
        if (errno != EINTR) {
            t->locked--;
            return TROTH_STORAGE;
        }
    mark_of(t, mark);
    if (t->kept && strcmp(mark, t->mark) == 0)
        return TROTH_OK;
    enum troth_result r = load(t);
    if (r == TROTH_OK)
        memcpy(t->mark, mark, sizeof mark);
    else
        state_leave(&t);
    return r;
}

void state_leave(struct troth *const *t)
{
    if (--(*t)->locked == 0)
        (void)flock((*t)->lock, LOCK_UN);
}

enum troth_result state_save(struct troth *t)
{
    CLEANUP(text_wipe) char *text = json_dumps(t->kept, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text || strlen(text) >= ANSWER_MAX)
        return TROTH_STORAGE;
    TRY(os_write(t->folder, STATE_FILE, text));
    mark_of(t, t->mark);
    return TROTH_OK;
}

enum troth_result state_open(struct troth *t)
{
    TRY(os_make_folder(t->folder));
    CLEANUP(text_free) char *path = text_format("%s/troth.lock", t->folder);
    t->lock = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (t->lock < 0)
        return TROTH_STORAGE;
    ENTER(t);
    return TROTH_OK;
}
