/*
 * Commands: a table of rows, from which dispatch, --help and the manual page follow.
 *
 * Exit codes are the contract: 0 good, 1 a promise broken or a refusal, 2 wrong usage.
 * Every command but `serve` and `migrate` works whether or not the server runs: on SQLite, where the
 * server owns the data directory, it is handed to the server over its control socket and runs there.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli/portal.h"

#include <stdio.h>

enum { EXIT_GOOD = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, MAX_ARGS = 32 };

/* A command that runs: in its own process, or in the server's on behalf of one. */
struct call {
    const struct settings *settings;
    struct portal *portal; /* NULL where the command needs none */
    int argc;
    char **argv; /* argv[0] is the command's name */
    FILE *out, *err;
    int dir; /* the caller's working directory, for relative paths */
    struct arena *arena;
    struct fault fault;
};

enum command_kind {
    COMMAND_PLAIN,   /* needs no database, or says so itself (call_with_portal) */
    COMMAND_PORTAL,  /* works on the data */
    COMMAND_ALONE,   /* works on the data, and no server may run beside it (SQLite) */
};

struct command {
    const char *name;
    const char *args;  /* "EMAIL FILE.zip"; several forms: one a line */
    const char *brief; /* one line */
    const char *about; /* paragraphs, for --help and the manual */
    enum command_kind kind;
    enum portal_need need;
    int (*run)(struct call *c);
};

extern const struct command commands[];
extern const size_t n_commands;

/* "troth: why" and the exit code for it. */
int call_failed(struct call *c, const char *what);
int call_usage(struct call *c, const char *why);

/* Is `flag` among the arguments? Takes it out. */
bool call_flag(struct call *c, const char *flag);
/* The value after `option`, taken out; NULL where it is not there. */
const char *call_option(struct call *c, const char *option);

/*
 * Runs it on the portal: in this process where nothing else has the data, in the server over its
 * control socket where one runs. In the server itself, at once.
 */
int call_with_portal(struct call *c, bool alone, enum portal_need need,
                     int (*run_it)(struct call *c));

int command_serve(struct call *c);
int command_migrate(struct call *c);
int command_sweep(struct call *c);
int command_verify(struct call *c);
int command_export(struct call *c);
int command_erase(struct call *c);
int command_policy(struct call *c);
int command_vault(struct call *c);
int command_rights(struct call *c);
int command_staff(struct call *c);
int command_demo(struct call *c);
int command_license(struct call *c);
int command_help(struct call *c);

/* Runs a command on an open portal: in the server for a caller, or in the command's own process. */
int command_run(const struct command *command, struct call *c);

#endif
