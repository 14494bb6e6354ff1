/* troth-agent: the commands of the terminal, and the loop. */
#include "client/agent/agent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_MAX = 1025, STEP_S = 55, PATIENCE_S = 20, CODES_MAX = 8 };

static void close_library(struct troth **t)
{
    troth_close(*t);
}

/* What the portal, or the library, says of it; and how the program ends. */
static enum exit_code ended(struct troth *t, enum troth_result r)
{
    const struct troth_problem *p = troth_problem(t);
    if (r >= TROTH_OK)
        return EXIT_FINE;
    complain("%s%s%s%s%s", troth_result_text(r), *p->code ? ": " : "", p->code, *p->detail ? "\n" : "", p->detail);
    if (r == TROTH_LATER)
        complain("try again in %d s", troth_retry_after(t));
    return r == TROTH_LATER || r == TROTH_OFFLINE ? EXIT_LATER : r == TROTH_USAGE ? EXIT_USAGE : EXIT_REFUSED;
}

/* ---- the statement ---- */

static void show_statement(const struct troth_statement *s)
{
    say("%s\n\n%s\n\n", s->title, s->text);
    for (size_t i = 0; i < s->n_documents; i++)
        say("  %s: %s\n", s->documents[i].title, s->documents[i].url);
    say("\n");
    for (size_t i = 0; i < s->n_fields; i++)
        say("  %s%s%s: %s\n", s->fields[i].group ? s->fields[i].group : "", s->fields[i].group ? "." : "",
            s->fields[i].name, s->fields[i].meaning);
    say("\nVersion %s\n", s->version);
}

static enum exit_code accept_statement(struct agent *a)
{
    const struct options *o = a->options;
    const struct troth_statement *s;
    char answer[20];
    enum troth_result r = troth_statement(a->t, &s);
    if (r != TROTH_OK)
        return ended(a->t, r);
    show_statement(s);
    if (o->accept && strcmp(o->accept, s->version) != 0) {
        complain("that is not the version of the statement: %s", s->version);
        return EXIT_REFUSED;
    }
    if (!o->accept && (!ask("\nDo you accept it? Type yes: ", false, answer, sizeof answer) || strcmp(answer, "yes") != 0)) {
        say("Nothing was sent.\n");
        return EXIT_REFUSED;
    }
    return ended(a->t, troth_accept(a->t, o->for_all ? TROTH_PARTICIPATE_FOR_ALL : TROTH_PARTICIPATE));
}

/* ---- who it is ---- */

static enum troth_result sign_in(struct agent *a, const char *password)
{
    char code[64];
    enum troth_next next;
    enum troth_result r = troth_sign_in(a->t, a->options->email, password, a->options->locale, &next);
    if (r != TROTH_OK || next != TROTH_NEXT_SECOND_FACTOR)
        return r;
    if (!ask("Code of the second step: ", true, code, sizeof code))
        return TROTH_USAGE;
    r = troth_second_factor(a->t, code);
    explicit_bzero(code, sizeof code);
    return r;
}

static enum troth_result register_person(struct agent *a, const char *password)
{
    char line[20];
    enum troth_next next;
    struct troth_registration who = {.size = sizeof who,
                                     .email = a->options->email,
                                     .password = password,
                                     .locale = a->options->locale,
                                     .region = a->options->region ? a->options->region : "",
                                     .marketing_agreement = a->options->offers};
    say("Working on the captcha …\n");
    enum troth_result r = troth_register(a->t, &who, &next);
    if (r != TROTH_OK)
        return r;
    if (!ask("There is a mail on its way to you. Follow the link in it, then press Enter.\n", false, line, sizeof line))
        return TROTH_USAGE;
    return sign_in(a, password);
}

static enum troth_result by_password(struct agent *a)
{
    char password[SECRET_MAX];
    if (!ask("Password: ", true, password, sizeof password))
        return TROTH_USAGE;
    enum troth_result r = a->options->registers ? register_person(a, password) : sign_in(a, password);
    explicit_bzero(password, sizeof password);
    return r;
}

static enum troth_result by_device_code(struct agent *a)
{
    const struct troth_grant *g;
    enum troth_result r = troth_ask_grant(a->t, &g);
    if (r != TROTH_OK)
        return r;
    say("On another device, open %s\nand type in the code %s\n", g->uri, g->user_code);
    while ((r = troth_await_grant(a->t)) == TROTH_PENDING)
        ;
    return r;
}

static struct troth_device device_of(const struct facts *f)
{
    return (struct troth_device){.size = sizeof(struct troth_device),
                                 .network_name = f->network_name,
                                 .type = f->type,
                                 .os_type = f->os_type,
                                 .os_version = f->os_version};
}

static enum exit_code connect_device(struct agent *a)
{
    const struct options *o = a->options;
    struct facts facts;
    facts_read(&facts);
    struct troth_device device = device_of(&facts);
    if (troth_ids(a->t)) {
        complain("this computer is connected with %s already; see troth-agent disconnect", troth_url(a->t));
        return EXIT_REFUSED;
    }
    enum exit_code code = accept_statement(a);
    if (code != EXIT_FINE)
        return code;
    enum troth_result r = o->code    ? troth_connect(a->t, o->code)
                          : o->email ? by_password(a)
                                     : by_device_code(a);
    if (r == TROTH_OK)
        r = troth_bind(a->t, &device);
    if (r == TROTH_OK)
        r = troth_set_service(a->t, "none", "my-account");
    a->own = (struct own){.protection = true, .databases = troth_now(a->t)};
    if (r == TROTH_OK && !own_write(o->folder, &a->own))
        r = TROTH_STORAGE;
    if (r == TROTH_OK)
        say("Connected. troth-agent run keeps it so.\n");
    return ended(a->t, r);
}

/* ---- the loop ---- */

static struct troth_license license_of(struct agent *a, char information[static 100])
{
    struct troth_license l = *troth_state(a->t)->license;
    own_information(&a->own, troth_now(a->t), information);
    l.service_information = information;
    l.activation_error = a->own.error;
    return l;
}

static enum troth_result activate(struct agent *a, const char *code)
{
    enum troth_result r = troth_activate(a->t, code);
    const char *error = r == TROTH_REFUSED ? troth_problem(a->t)->code : "";
    if (r == TROTH_OK || r == TROTH_REFUSED) {
        snprintf(a->own.error, sizeof a->own.error, "%s", error);
        if (!own_write(a->options->folder, &a->own))
            note_down(a, "not kept", "agent.json");
        note_down(a, "activation code", *error ? error : "added");
    }
    return r;
}

/* Codes that the portal sent for this device. They are copied: each call's end is the end of what it was told. */
static void activate_all(struct agent *a)
{
    char codes[CODES_MAX][61];
    size_t n = 0;
    const struct troth_state *s = troth_state(a->t);
    for (; n < s->n_activation_codes && n < CODES_MAX; n++)
        snprintf(codes[n], sizeof codes[n], "%s", s->activation_codes[n]);
    for (size_t i = 0; i < n; i++)
        if (activate(a, codes[i]) < TROTH_OK)
            return;
}

static void copy_text(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
}

/* Once in a turn: one whose answer was refused comes again. */
static void do_commands(struct agent *a)
{
    const struct troth_command *list;
    size_t n;
    if (troth_commands(a->t, &list, &n) != TROTH_OK || n == 0)
        return;
    struct troth_command *own = calloc(n, sizeof *own);
    char *(*texts)[3] = calloc(n, sizeof *texts);
    for (size_t i = 0; own && texts && i < n; i++) {
        copy_text(&texts[i][0], list[i].id);
        copy_text(&texts[i][1], list[i].kind);
        copy_text(&texts[i][2], list[i].text);
        own[i] = (struct troth_command){texts[i][0], texts[i][1], texts[i][2], list[i].made, list[i].expires};
    }
    for (size_t i = 0; own && texts && i < n; i++) {
        if (own[i].id && own[i].kind)
            act(a, &own[i]);
        for (size_t k = 0; k < 3; k++)
            free(texts[i][k]);
    }
    free(texts);
    free(own);
}

/* What is new was heard: it is done, and what that changed is told at once. */
static enum troth_result follow(struct agent *a, const struct troth_device *device)
{
    char information[100];
    activate_all(a);
    if (troth_state(a->t)->commands_waiting > 0)
        do_commands(a);
    struct troth_license license = license_of(a, information);
    return troth_report(a->t, device, &license);
}

static enum troth_result turn(struct agent *a, int seconds)
{
    char information[100];
    struct facts facts;
    facts_read(&facts);
    struct troth_device device = device_of(&facts);
    if (!own_read(a->options->folder, &a->own)) /* another command may have set it */
        return TROTH_STORAGE;
    struct troth_license license = license_of(a, information);
    enum troth_result r = troth_step(a->t, &device, &license, seconds);
    return r == TROTH_OK ? follow(a, &device) : r;
}

static bool is_end(struct agent *a, enum troth_result r)
{
    return r == TROTH_DISCONNECTED || r == TROTH_USAGE || r == TROTH_STORAGE ||
           (r == TROTH_REFUSED && troth_problem(a->t)->status == 401);
}

static enum exit_code run(struct agent *a)
{
    enum troth_result before = TROTH_OK, r;
    if (!troth_ids(a->t)) {
        complain("this computer is not connected; see troth-agent connect");
        return EXIT_REFUSED;
    }
    do {
        r = turn(a, a->options->once ? 0 : STEP_S);
        if (r < TROTH_OK && r != before)
            note_down(a, "portal", troth_result_text(r));
        before = r;
    } while (!a->options->once && !is_end(a, r));
    return ended(a->t, r);
}

/* ---- the other commands ---- */

static enum exit_code status(struct agent *a)
{
    char information[100];
    struct facts f;
    const struct troth_ids *ids = troth_ids(a->t);
    struct troth_license l = license_of(a, information);
    facts_read(&f);
    say("network name: %s\ntype: %s\nsystem: %s %s\n", f.network_name, f.type, f.os_type, f.os_version);
    say("state: %s\n", information);
    say("sandbox: %s\n", *a->options->sandbox ? a->options->sandbox : "none");
    if (!ids) {
        say("connected: no\n");
        return EXIT_REFUSED;
    }
    say("connected: %s\ndevice: %s\nbinding: %s\n", troth_url(a->t), ids->device_id, ids->binding_id);
    say("license: %s, %s%s%s\n", l.type, l.status, l.expires ? ", until " : "", l.expires ? l.expires : "");
    if (*l.activation_error)
        say("last activation: %s\n", l.activation_error);
    return EXIT_FINE;
}

static enum exit_code check_license(struct agent *a)
{
    const struct troth_license_file *f;
    enum troth_result r = troth_license_fetch(a->t);
    if (r == TROTH_OFFLINE || r == TROTH_LATER)
        complain("%s; what is kept is checked", troth_result_text(r));
    else if (r != TROTH_OK)
        return ended(a->t, r);
    r = troth_license_check(a->t, &f);
    if (r != TROTH_OK)
        return ended(a->t, r);
    say("%s: good%s\n", f->product, troth_now(a->t) >= f->ends ? ", for a while after its end" : "");
    for (size_t i = 0; i < f->n_features; i++)
        say("  %s\n", f->features[i]);
    return EXIT_FINE;
}

static enum exit_code set(struct agent *a)
{
    const char *word = a->options->word;
    bool on = strcmp(word, "protection=on") == 0, current = strcmp(word, "databases=current") == 0;
    if (on || strcmp(word, "protection=off") == 0) {
        a->own.protection = on;
    } else if (current || strcmp(word, "databases=outdated") == 0) {
        a->own.databases = current ? troth_now(a->t) : 0;
    } else {
        complain("see troth-agent --help");
        return EXIT_USAGE;
    }
    return own_write(a->options->folder, &a->own) ? EXIT_FINE : ended(a->t, TROTH_STORAGE);
}

static enum exit_code unlock(struct agent *a)
{
    const char *why = sandbox_unlock(a->options->sandbox, a->options->folder);
    if (why)
        complain("%s", why);
    return why ? EXIT_REFUSED : EXIT_FINE;
}

static enum exit_code disconnect(struct agent *a)
{
    enum troth_result r = troth_disconnect(a->t);
    if (r == TROTH_QUEUED)
        say("Nothing more is sent. The portal has not heard of it yet; troth-agent run tells it.\n");
    else if (r == TROTH_OK)
        say("Disconnected.\n");
    return ended(a->t, r);
}

static enum exit_code add_code(struct agent *a)
{
    return ended(a->t, activate(a, a->options->word));
}

static const struct {
    const char *name;
    enum exit_code (*does)(struct agent *a);
} commands[] = {
    {"connect", connect_device}, {"run", run},       {"status", status}, {"activate", add_code},     {"license", check_license},
    {"accept", accept_statement}, {"set", set},      {"unlock", unlock}, {"disconnect", disconnect},
};

static enum exit_code dispatch(struct agent *a)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (strcmp(commands[i].name, a->options->command) == 0)
            return commands[i].does(a);
    return EXIT_USAGE;
}

static enum exit_code open_and_do(const struct options *o)
{
    CLEANUP(close_library) struct troth *t = NULL;
    bool connects = strcmp(o->command, "connect") == 0;
    enum troth_result r = troth_open(&(struct troth_options){.size = sizeof(struct troth_options),
                                                             .url = connects ? o->word : NULL,
                                                             .application_id = "troth-agent",
                                                             .application_version = AGENT_VERSION,
                                                             .application_locale = o->locale,
                                                             .folder = o->folder,
                                                             .ca_file = o->ca,
                                                             .patience = PATIENCE_S},
                                     &t);
    if (r == TROTH_USAGE) {
        complain(connects ? "the portal's address begins with https://, ends without a slash, and is the one that this "
                            "computer is connected with, if it is"
                          : "this computer is not connected; see troth-agent connect");
        return EXIT_USAGE;
    }
    if (r != TROTH_OK) {
        complain("%s: %s", o->folder, troth_result_text(r));
        return EXIT_REFUSED;
    }
    struct agent a = {.options = o, .t = t};
    if (!own_read(o->folder, &a.own)) {
        complain("%s/agent.json: no JSON", o->folder);
        return EXIT_REFUSED;
    }
    bool was_bound = troth_ids(t) != NULL;
    enum exit_code code = dispatch(&a);
    if (was_bound && !troth_ids(t))
        own_forget(o->folder); /* the end of a connection is the end of what came by it */
    return code;
}

int main(int argc, char **argv)
{
    struct options o;
    bool over;
    /* Nobody waits for the programs that sound or show something. What is kept is written whole or not at all, so
     * a signal may end this one at any time. */
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT}, NULL);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    enum exit_code code = options_read(argc, argv, &o, &over);
    return code != EXIT_FINE || over ? (int)code : (int)open_and_do(&o);
}
