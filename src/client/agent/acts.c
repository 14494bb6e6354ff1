/* What commands do. Each is answered, also where it cannot be done: its owner wants to know. */
#include "client/agent/agent.h"

#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Starts a program that nobody waits for, without terminal. False: there is no such one. */
static bool start(const char *const words[])
{
    posix_spawn_file_actions_t quiet;
    pid_t pid;
    if (posix_spawn_file_actions_init(&quiet) != 0)
        return false;
    bool fine = true;
    for (int fd = 0; fd < 3; fd++)
        fine = fine && posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", fd == 0 ? 0 : 1, 0) == 0;
    fine = fine && posix_spawnp(&pid, words[0], &quiet, NULL, (char *const *)(uintptr_t)words, environ) == 0;
    posix_spawn_file_actions_destroy(&quiet);
    return fine;
}

static const char *message(struct agent *a, const char *text)
{
    (void)a;
    (void)start((const char *const[]){"notify-send", "--", "Troth Agent", text, NULL});
    return NULL; /* it stands in the terminal and in the log: act() put it there */
}

static const char *alarm_sound(struct agent *a, const char *text)
{
    static const char sound[] = "/usr/share/sounds/freedesktop/stereo/alarm-clock-elapsed.oga";
    static const char plain[] = "/usr/share/sounds/alsa/Front_Center.wav";
    (void)a;
    (void)text;
    fputc('\a', stdout);
    fflush(stdout);
    if (access(sound, R_OK) == 0 && start((const char *const[]){"paplay", sound, NULL}))
        return NULL;
    if (access(plain, R_OK) == 0)
        (void)start((const char *const[]){"aplay", "-q", plain, NULL});
    return NULL;
}

static const char *lock(struct agent *a, const char *text)
{
    return sandbox_lock(a->options->sandbox, a->options->folder, text);
}

static const char *wipe(struct agent *a, const char *text)
{
    (void)text;
    return sandbox_wipe(a->options->sandbox, a->options->folder);
}

static const char *keep(struct agent *a)
{
    return own_write(a->options->folder, &a->own) ? NULL : "not-kept";
}

static const char *enable_protection(struct agent *a, const char *text)
{
    (void)text;
    a->own.protection = true;
    return keep(a);
}

static const char *update_databases(struct agent *a, const char *text)
{
    (void)text;
    a->own.databases = troth_now(a->t);
    return keep(a);
}

/* A fresh license file; without a network it stays as it was. */
static const char *renew_license(struct agent *a, const char *text)
{
    (void)text;
    enum troth_result r = troth_license_fetch(a->t);
    return r == TROTH_OK ? NULL : r == TROTH_REFUSED ? "no-license" : "license-not-fetched";
}

static const struct {
    const char *kind;
    const char *(*does)(struct agent *a, const char *text);
} acts[] = {
    {"message", message},
    {"alarm", alarm_sound},
    {"lock", lock},
    {"wipe", wipe},
    {"enable-protection", enable_protection},
    {"update-databases", update_databases},
    {"renew-license", renew_license},
};

static const char *carry_out(struct agent *a, const char *kind, const char *text)
{
    for (size_t i = 0; i < COUNT(acts); i++)
        if (strcmp(acts[i].kind, kind) == 0)
            return acts[i].does(a, text);
    return "not-known-here";
}

/* The position is the answer; this machine has none but the one that its configuration declares. */
static enum troth_result locate(struct agent *a, const char *id)
{
    const struct options *o = a->options;
    if (!o->has_position)
        return troth_failed(a->t, id, "no-position");
    enum troth_result r = troth_position(a->t, id, o->latitude, o->longitude, o->accuracy);
    return r >= TROTH_OK ? troth_done(a->t, id) : troth_failed(a->t, id, "position-refused");
}

void act(struct agent *a, const struct troth_command *c)
{
    const char *why = c->expires <= troth_now(a->t) ? "too-late" : NULL;
    enum troth_result r;
    note_down(a, c->kind, c->text);
    if (!why && strcmp(c->kind, "locate") == 0) {
        r = locate(a, c->id);
    } else {
        if (!why)
            why = carry_out(a, c->kind, c->text ? c->text : "");
        r = why ? troth_failed(a->t, c->id, why) : troth_done(a->t, c->id);
    }
    if (why)
        note_down(a, "not done", why);
    if (r < TROTH_OK)
        note_down(a, "not answered", troth_result_text(r));
}
