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
#include "cli/access.h"
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
    {"policy", "show [SERVICE] [--format text|json|csv|dpv] [--language CODE]\ncheck\ndue ANCHOR TERM",
     "The published policy.",
     "show: what the declarations say; csv and dpv are the record of processing activities.\n"
     "check: exits 1 when what is published is not what is declared.\n"
     "due: the moment when a term ends that begins at ANCHOR, in calendar months: "
     "`troth policy due 2026-01-31T12:00:00Z P1M`.",
     COMMAND_PLAIN, PORTAL_MIGRATED, command_policy},
    {"vault", "init\nrotate [--prepare]", "The master key.",
     "init: makes one, where there is none.\n"
     "rotate: replaces it, wraps every person's key anew and destroys the old one; from then on no "
     "old copy gives an erased person back. --prepare only writes the next key, to be carried to other servers first.",
     COMMAND_PLAIN, PORTAL_MIGRATED, command_vault},
    {"rights", "list\nshow NUMBER\nrule NUMBER --by NAME --uphold\nrule NUMBER --by NAME --overrule --ground TEXT",
     "Objections that wait for a human.",
     "list: open objections.\n"
     "show: one of them, with its reason.\n"
     "rule: a human decides one; to overrule it needs compelling grounds, which the person who "
     "objected reads.",
     COMMAND_PORTAL, PORTAL_MIGRATED, command_rights},
    {"staff", "add EMAIL --role ROLE [--role ROLE …] [--language CODE]\nlist\nrole EMAIL --role ROLE [--role ROLE …]\nremove EMAIL\nreset EMAIL",
     "Who works here, and for what.",
     "Roles: support, licensing, marketing, privacy, statistics, operations. What each may enter and read: "
     "`troth help access`.\n"
     "add: mails an invitation that works once, for seven days, with that address alone. The desk opens when "
     "they have joined and set up a second factor.\n"
     "list: who works here, and who is invited.\n"
     "role: sets the roles, in place of those before, from the next request on.\n"
     "remove: signs them out everywhere at once; an open invitation opens nothing any more.\n"
     "reset: for who has lost the second factor, once you are sure that it is they: takes it away, signs them out "
     "everywhere. The desk opens with a new one.",
     COMMAND_PORTAL, PORTAL_MIGRATED, command_staff},
    {"license", "issue --product KEY --count N [--note TEXT] [--out FILE]\nrevoke CODE|LOT\ncatalogue",
     "Activation codes.",
     "issue: makes a lot of codes for a product of the catalogue and prints them, or writes them to a new file that "
     "you alone can read. They are kept as hashes: nobody can print them a second time. A note is about the lot (an "
     "order's number), not about a person.\n"
     "revoke: a code, or all of a lot (its four characters), with the licenses that were made of them. Their devices "
     "hear of it.\n"
     "catalogue: the products, as the file has them.",
     COMMAND_PORTAL, PORTAL_MIGRATED, command_license},
    {"demo", "", "Fill the portal with a demo.",
     "Makes people with a history, closed and open accounts, choices and mail, somebody of the staff for each "
     "role, and prints how to sign in. Does nothing where there are people already.",
     COMMAND_PORTAL, PORTAL_MIGRATE, command_demo},
    {"help", "[COMMAND]\nconfig\naccess\nman", "This text, or that of a command.",
     "config: every key of the configuration.\naccess: who may enter where, and which role reads what (docs/access.md).\nman: the manual page, as roff.", COMMAND_PLAIN,
     PORTAL_MIGRATED, command_help},
};
const size_t n_commands = COUNT(commands);

/* ---- how a command reads ---- */

/* Lines of at most 79 columns, the first begun at column `at`, the others at `indent`. */
static void print_wrapped(FILE *out, int at, int indent, const char *text)
{
    enum { WIDTH = 79 };
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " \n");
        int columns = 0;
        for (size_t i = 0; i < n; i++)
            columns += ((unsigned char)p[i] & 0xc0) != 0x80;
        if (at > indent && at + 1 + columns > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        }
        at += columns + fprintf(out, "%s", at > indent ? " " : "");
        fwrite(p, 1, n, out);
        p += n;
        if (*p == '\n') {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        }
        p += *p != '\0';
    }
    fputc('\n', out);
}

static void print_usage(FILE *out, const struct command *command)
{
    const char *lead = "usage:";
    for (const char *p = command->args;; p++) {
        size_t n = strcspn(p, "\n");
        fprintf(out, "%-6s troth %s%s%.*s\n", lead, command->name, n ? " " : "", (int)n, p);
        lead = "";
        p += n;
        if (*p == '\0')
            return;
    }
}

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
            print_usage(c->err, &commands[i]);
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
        print_usage(c->out, command);
        fprintf(c->out, "\n%s\n\n", command->brief);
        print_wrapped(c->out, 0, 0, command->about);
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
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *k = &config_keys[i];
        bool has_default = k->otherwise && k->otherwise[0];
        char about[512];
        snprintf(about, sizeof about, "%s%s%s%s", k->about, has_default ? " [" : "",
                 has_default ? k->otherwise : "", has_default ? "]" : "");
        fprintf(out, "  %-21s ", k->name);
        print_wrapped(out, 24, 24, about);
    }
}

/* mdoc(7), from the same tables. */
static void print_manual(FILE *out)
{
    fprintf(out, ".Dd November 22, 2026\n.Dt TROTH 1\n.Os\n.Sh NAME\n.Nm troth\n"
                 ".Nd a customer portal that keeps its promises\n.Sh SYNOPSIS\n.Nm\n"
                 ".Op Fl -config Ar FILE\n.Ar command\n.Sh DESCRIPTION\n"
                 "Troth is a self-hosted customer portal whose privacy policy is a program.\n"
                 ".Sh COMMANDS\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < n_commands; i++) {
        for (const char *p = commands[i].args;; p++) {
            size_t n = strcspn(p, "\n");
            fprintf(out, ".It Cm %s%s%.*s\n", commands[i].name, n ? " Ar " : "", (int)n, p);
            p += n;
            if (*p == '\0')
                break;
        }
        fprintf(out, "%s\n.Pp\n%s\n", commands[i].brief, commands[i].about);
    }
    fprintf(out, ".El\n.Sh CONFIGURATION\nOne YAML file; each key also as environment\n"
                 ".Ev TROTH_KEY .\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < n_config_keys; i++)
        fprintf(out, ".It Cm %s\n%s\n", config_keys[i].name, config_keys[i].about);
    fprintf(out, ".El\n.Sh EXIT STATUS\n0 good; 1 a promise is broken, or a refusal; 2 wrong usage.\n"
                 ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/troth/troth.yaml\nthe configuration that "
                 "deploy/troth.service names\n.It Pa /var/lib/troth\nthe data directory\n.El\n");
}

static int print_access(struct call *c)
{
    struct portal_words w;
    if (portal_words(&w, c->settings, c->arena, &c->fault) != OK)
        return call_failed(c, "help");
    str text = access_text(c->arena, &w);
    fwrite(text.p, 1, text.n, c->out);
    formats_free(&w.formats);
    return EXIT_GOOD;
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
    if (strcmp(c->argv[1], "access") == 0)
        return print_access(c);
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

/* Takes --config FILE out of the arguments, wherever it stands. False: its file is missing. */
static bool take_config(int *argc, char **argv, const char **config)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--config") != 0)
            continue;
        if (i + 1 >= *argc)
            return false;
        *config = argv[i + 1];
        for (int k = i; k + 2 <= *argc; k++)
            argv[k] = argv[k + 2];
        *argc -= 2;
        i--;
    }
    return true;
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
    if (changes > 0 && serves) /* its standard error is a log, line by line */
        log_event(&log, LOG_INFO, "migrated", LOG_INT("statements", changes));
    else if (changes > 0)
        fprintf(c->err, "%d statements brought the database up to date.\n", changes);
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
    if (!take_config(&argc, argv, &config)) {
        fprintf(stderr, "troth: --config wants a file\n");
        return EXIT_USAGE;
    }
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--version") == 0) {
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
