/* Inside troth-agent: an app for Linux on libtroth, of which it uses the public header alone. */
#ifndef CLIENT_AGENT_H
#define CLIENT_AGENT_H

#include "client/troth.h"

#include <jansson.h>
#include <limits.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define COUNT(a)    (sizeof(a) / sizeof *(a))

enum exit_code { EXIT_FINE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_LATER = 3 };

/* ---- options.c: what was asked for, and where things lie ---- */

struct options {
    const char *command, *word; /* "connect", and what stands behind it */
    const char *code, *email, *region, *accept, *ca, *locale;
    bool device_code, registers, for_all, offers, once;
    char language[36];        /* of the environment */
    char folder[PATH_MAX];    /* --state, or troth-agent below $XDG_STATE_HOME */
    char sandbox[PATH_MAX];   /* --sandbox, or the configuration's; empty: none */
    bool has_position;        /* the configuration declares one */
    double latitude, longitude, accuracy;
};
/* EXIT_FINE: go on. Otherwise what was wrong has been said; *over is true where --help was answered. */
enum exit_code options_read(int argc, char **argv, struct options *out, bool *over);

/* ---- facts.c: what the machine is ---- */

struct facts {
    char network_name[101], os_type[61], os_version[61];
    const char *type;
};
void facts_read(struct facts *out);
/* By the number of SMBIOS, table 17. */
const char *facts_chassis(int number);
/* A value of os-release(5), without its quotes. False: it is not there, or too long. */
bool facts_release(const char *text, const char *name, char *out, size_t max);

/* ---- own.c: the state of what this app is for: here, a protection that is only said to be there ---- */

struct own {
    bool protection;
    int64_t databases; /* when they were brought up to date; 0: never */
    char error[61];    /* of the last activation; empty: none */
};
bool own_read(const char *folder, struct own *out);
bool own_write(const char *folder, const struct own *o);
/* With the log, in which stands what the portal said. */
void own_forget(const char *folder);
/* Service information: {"protection": "on", "databases": "current"}. */
void own_information(const struct own *o, int64_t now, char out[static 100]);

/* ---- acts.c: commands ---- */

struct agent {
    const struct options *options;
    struct troth *t;
    struct own own;
};
/* Does it, and answers it. */
void act(struct agent *a, const struct troth_command *c);

/* ---- sandbox.c: lock and wipe, in the one folder that was given for it, and nowhere else ---- */

/* NULL: done; otherwise the code of what was in the way. The note lies beside the folder, in FOLDER.note. */
const char *sandbox_lock(const char *folder, const char *state_folder, const char *note);
const char *sandbox_unlock(const char *folder, const char *state_folder);
/* All that is in it, links themselves and not what they lead to. */
const char *sandbox_wipe(const char *folder, const char *state_folder);

/* ---- talk.c: the terminal, and the log ---- */

/* Printed without what would move a terminal's cursor or turn its text around. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line of standard input, into out; a secret is not shown while it is typed. False: there is none. */
bool ask(const char *question, bool secret, char *out, size_t max);
/* Also into FOLDER/agent.log, with the time. */
void note_down(const struct agent *a, const char *what, const char *text);

#endif
