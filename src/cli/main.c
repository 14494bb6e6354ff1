/* troth: finds the command, puts together what it needs, runs it. */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/config.h"
#include "cli/control.h"

#ifndef TROTH_VERSION
#define TROTH_VERSION "unknown"
#endif

enum { MAIN_ARENA = 1 << 30 };

const struct command commands[] = {
    {"serve", "", "Run the portal.",
     "Answers on `listen` until SIGTERM or SIGINT; then it takes no new requests, lets running ones "
     "end, and stops. An empty database is filled. Logs are lines of JSON on standard error.",
     COMMAND_ALONE, PORTAL_MIGRATED, command_serve},
    {"migrate", "", "Bring the database up to date.",
     "Creates what is missing and runs the numbered migrations, all in one transaction.",
     COMMAND_ALONE, PORTAL_MIGRATE, command_migrate},
    {"sweep", "[--dry-run]", "Remove what is due.",
     "Removes every record whose term ends within 25 hours, drops what has no key any more, and "
     "says what it removed, in counts. --dry-run only counts.",
     COMMAND_PORTAL, PORTAL_MIGRATED, command_sweep},
    {"verify", "[--json]", "Check every promise.",
     "Checks the data against what is promised and prints each promise with its evidence. "
     "Exits 1 when a promise is broken.",
     COMMAND_PORTAL, PORTAL_MIGRATED, command_verify},
    {"export", "EMAIL FILE.zip", "Write what is held of a person.",
     "The same zip that the person can take along: data.json, its schema, a readable page, files. "
     "FILE.zip must not exist; it is made readable for you alone.",
     COMMAND_PORTAL, PORTAL_MIGRATED, command_export},
    {"erase", "EMAIL", "Erase a person.",
     "Closes the account, sends its last mail, destroys its key, deletes its rows and files, and "
     "prints the number of the receipt.",
     COMMAND_PORTAL, PORTAL_MIGRATED, command_erase},
    {"policy", "show [SERVICE] [--format text|json|csv|dpv] [--language CODE] | check | due ANCHOR TERM",
     "The published policy.",
     "show: what the declarations say; csv and dpv are the record of processing activities. "
     "check: exits 1 when what is published is not what is declared. "
     "due: the moment when a term ends that begins at ANCHOR, in calendar months: "
     "`troth policy due 2026-01-31T12:00:00Z P1M`.",
     COMMAND_PLAIN, PORTAL_MIGRATED, command_policy},
    {"vault", "init | rotate [--prepare]", "The master key.",
     "init: makes one, where there is none. rotate: replaces it, wraps every person's key anew and "
     "destroys the old one; from then on no old copy gives an erased person back. --prepare only "
     "writes the next key, to be carried to other servers first.",
     COMMAND_PLAIN, PORTAL_MIGRATED, command_vault},
    {"rights", "list | rule NUMBER --by NAME (--uphold | --overrule --ground TEXT)",
     "Objections that wait for a human.",
     "list: open objections. rule: a person decides one; to overrule it needs compelling grounds, "
     "which the person who objected reads.",
     COMMAND_PORTAL, PORTAL_MIGRATED, command_rights},
    {"demo", "", "Fill the portal with a demo.",
     "Makes people with a history, closed and open accounts, choices and mail, and prints how to "
     "sign in. Does nothing where there are people already.",
     COMMAND_PORTAL, PORTAL_MIGRATE, command_demo},
    {"help", "[COMMAND | config | man]", "This text, or that of a command.",
     "config: every key of the configuration. man: the manual page, as roff.", COMMAND_PLAIN,
     PORTAL_MIGRATED, command_help},
};
const size_t n_commands = COUNT(commands);

/* ---- for commands ---- */

int call_failed(struct call *c, const char *what)
{
    fprintf(c->err, "troth: %s%s%s\n", what ? what : "", what && c->fault.text[0] ? ": " : "", c->fault.text);
    return EXIT_REFUSED;
}

int call_usage(struct call *c, const char *why)
{
    if (why)
        fprintf(c->err, "troth %s: %s\n", c->argv[0], why);
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i].name, c->argv[0]) == 0)
            fprintf(c->err, "usage: troth %s %s\n", commands[i].name, commands[i].args);
    return EXIT_USAGE;
}

static void take_out(struct call *c, int at, int n)
{
    for (int i = at; i + n <= c->argc; i++)
        c->argv[i] = c->argv[i + n];
    c->argc -= n;
}

bool call_flag(struct call *c, const char *flag)
{
    for (int i = 1; i < c->argc; i++) {
        if (strcmp(c->argv[i], flag) != 0)
            continue;
        take_out(c, i, 1);
        return true;
    }
    return false;
}

const char *call_option(struct call *c, const char *option)
{
    for (int i = 1; i + 1 < c->argc; i++) {
        if (strcmp(c->argv[i], option) != 0)
            continue;
        const char *value = c->argv[i + 1];
        take_out(c, i, 2);
        return value;
    }
    return NULL;
}

int command_run(const struct command *command, struct call *c)
{
    for (int i = 1; i < c->argc; i++) {
        if (strcmp(c->argv[i], "--help") != 0 && strcmp(c->argv[i], "-h") != 0)
            continue;
        fprintf(c->out, "usage: troth %s %s\n\n%s\n\n%s\n", command->name, command->args, command->brief,
                command->about);
        return EXIT_GOOD;
    }
    return command->run(c);
}

/* ---- help ---- */

static void print_commands(FILE *out)
{
    fprintf(out, "usage: troth [--config FILE] COMMAND\n\n");
    for (size_t i = 0; i < n_commands; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].brief);
    fprintf(out, "\n`troth COMMAND --help` says more; `troth help config` lists the configuration.\n");
}

static void print_config(FILE *out)
{
    fprintf(out, "Keys of the configuration file; in the environment TROTH_ and capitals.\n\n");
    for (size_t i = 0; i < n_config_keys; i++)
        fprintf(out, "  %-21s %s%s%s%s\n", config_keys[i].name, config_keys[i].about,
                config_keys[i].otherwise && config_keys[i].otherwise[0] ? " [" : "",
                config_keys[i].otherwise ? config_keys[i].otherwise : "",
                config_keys[i].otherwise && config_keys[i].otherwise[0] ? "]" : "");
}

/* mdoc(7), from the same tables. */
static void print_manual(FILE *out)
{
    fprintf(out, ".Dd November 22, 2026\n.Dt TROTH 1\n.Os\n.Sh NAME\n.Nm troth\n"
                 ".Nd a customer portal that keeps its promises\n.Sh SYNOPSIS\n.Nm\n"
                 ".Op Fl -config Ar FILE\n.Ar command\n.Sh DESCRIPTION\n"
                 "Troth is a self-hosted customer portal whose privacy policy is a program.\n"
                 ".Sh COMMANDS\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < n_commands; i++)
        fprintf(out, ".It Cm %s %s\n%s\n%s\n", commands[i].name, commands[i].args, commands[i].brief,
                commands[i].about);
    fprintf(out, ".El\n.Sh CONFIGURATION\nOne YAML file; each key also as environment\n"
                 ".Ev TROTH_KEY .\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < n_config_keys; i++)
        fprintf(out, ".It Cm %s\n%s\n", config_keys[i].name, config_keys[i].about);
    fprintf(out, ".El\n.Sh EXIT STATUS\n0 good; 1 a promise is broken, or a refusal; 2 wrong usage.\n"
                 ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/troth/troth.yaml\nthe configuration of the "
                 "Debian package\n.It Pa /var/lib/troth\nthe data directory\n.El\n");
}

int command_help(struct call *c)
{
    if (c->argc == 1) {
        print_commands(c->out);
        return EXIT_GOOD;
    }
    if (strcmp(c->argv[1], "config") == 0) {
        print_config(c->out);
        return EXIT_GOOD;
    }
    if (strcmp(c->argv[1], "man") == 0) {
        print_manual(c->out);
        return EXIT_GOOD;
    }
    for (size_t i = 0; i < n_commands; i++) {
        if (strcmp(commands[i].name, c->argv[1]) != 0)
            continue;
        char help[] = "--help", *argv[] = {c->argv[1], help, NULL};
        struct call inner = *c;
        inner.argc = 2;
        inner.argv = argv;
        return command_run(&commands[i], &inner);
    }
    return call_usage(c, "no such command");
}

/* ---- running ---- */

static struct clock wall_clock;

/* Nothing of what this process holds may end in a core dump. */
static void protect(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    umask(0077);
    signal(SIGPIPE, SIG_IGN);
}

static enum log_level level_of(str name)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (str_is(name, names[i]))
            return (enum log_level)i;
    return LOG_INFO;
}

int call_with_portal(struct call *c, bool alone, enum portal_need need, int (*run_it)(struct call *c))
{
    struct log log = {STDERR_FILENO, level_of(c->settings->log_level), &wall_clock};
    CLEANUP(fd_close) int lock = -1;
    bool sqlite = portal_on_sqlite(c->settings), serves = strcmp(c->argv[0], "serve") == 0;
    int code, changes = 0;
    if (c->portal != NULL) /* in the server already */
        return run_it(c);
    if (sqlite) {
        enum err e = portal_lock(c->settings, &lock, &c->fault);
        if (e == ERR_CONFLICT && !alone) {
            fault_clear(&c->fault);
            if (control_call(c->settings, c->argc, c->argv, &code, &c->fault) == OK)
                return code;
            return call_failed(c, "the data directory is in use, and its owner does not answer");
        }
        if (e != OK)
            return call_failed(c, NULL);
    }
    if (!serves && log.least < LOG_WARNING)
        log.least = LOG_WARNING; /* a command says what it does itself */
    if (portal_open(&c->portal, c->settings, &wall_clock, &log, need, &changes, &c->fault) != OK)
        return call_failed(c, NULL);
    if (changes > 0)
        fprintf(c->out, "%d statements brought the database up to date.\n", changes);
    code = run_it(c);
    portal_close(&c->portal);
    return code;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int run(int argc, char **argv, const char *config)
{
    const struct command *command = NULL;
    struct settings settings = {0};
    struct call c = {.settings = &settings, .argc = argc, .argv = argv, .out = stdout, .err = stderr,
                     .arena = arena_new(MAIN_ARENA)};
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i].name, argv[0]) == 0)
            command = &commands[i];
    int code = EXIT_USAGE;
    if (command == NULL) {
        fprintf(stderr, "troth: there is no command %s\n", argv[0]);
        print_commands(stderr);
    } else if (asks_for_help(argc, argv) || strcmp(argv[0], "help") == 0) {
        code = command_run(command, &c);
    } else if (argc > MAX_ARGS) {
        code = call_usage(&c, "too many arguments");
    } else if (config_read(config, environ, c.arena, &settings, &c.fault) != OK) {
        code = call_failed(&c, NULL);
    } else {
        c.dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        code = command->kind == COMMAND_PLAIN
                   ? command->run(&c)
                   : call_with_portal(&c, command->kind == COMMAND_ALONE, command->need, command->run);
        close(c.dir);
    }
    arena_free(&c.arena);
    return code;
}

int main(int argc, char **argv)
{
    const char *config = getenv("TROTH_CONFIG");
    int at = 1;
    protect();
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--config") == 0 && at + 1 < argc) {
            config = argv[++at];
        } else if (strcmp(argv[at], "--version") == 0) {
            puts("troth " TROTH_VERSION);
            return EXIT_GOOD;
        } else if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            print_commands(stdout);
            return EXIT_GOOD;
        } else {
            fprintf(stderr, "troth: there is no option %s\n", argv[at]);
            print_commands(stderr);
            return EXIT_USAGE;
        }
    }
    if (at >= argc) {
        print_commands(stderr);
        return EXIT_USAGE;
    }
    return run(argc - at, argv + at, config);
}
