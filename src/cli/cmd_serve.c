#include "cli/command.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/control.h"
#include "web/server.h"

enum { DRAIN_MS = 15000 };

/* sd_notify(3), without its library. */
static void tell_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof a.sun_path)
        return;
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (a.sun_path[0] == '@')
        a.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        ssize_t ignored = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&a,
                                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
        (void)ignored;
        close(fd);
    }
}

/* A start may follow a crash or a restored backup: keyring and data are joined at once. */
static enum err reconcile_first(struct tx *tx, void *arg)
{
    (void)arg;
    return query_run(SQL(tx, "UPDATE schedule SET due = 0 WHERE name = 'reconcile'"));
}

static void warn_of_unknown(struct call *c)
{
    size_t from = 0;
    for (const char *e; (e = config_unknown(environ, &from)) != NULL;) {
        str name = str_from(e), rest;
        str_cut(name, '=', &name, &rest);
        log_event(c->portal->privacy.log, LOG_WARNING, "unknown-key", LOG_TEXT("key", name));
    }
}

static enum err start(struct call *c, struct control **control, struct server **server)
{
    struct portal *p = c->portal;
    struct server_config config = {.listen = p->settings->listen,
                                   .max_connections = (int)p->settings->max_connections,
                                   .log = p->privacy.log};
    TRY(db_transact(p->privacy.db, c->arena, &c->fault, reconcile_first, NULL));
    if (portal_on_sqlite(p->settings))
        TRY(control_start(control, p, &c->fault));
    TRY(work_start(p->work, &c->fault));
    return server_start(server, p->web, &config, &c->fault);
}

int command_serve(struct call *c)
{
    struct portal *p = c->portal;
    struct control *control = NULL;
    struct server *server = NULL;
    sigset_t set;
    int signal_number, code = EXIT_GOOD;
    if (c->argc > 1)
        return call_usage(c, "takes no arguments");
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* threads inherit it */
    warn_of_unknown(c);
    if (start(c, &control, &server) != OK) {
        code = call_failed(c, NULL);
    } else {
        log_event(p->privacy.log, LOG_INFO, "started", LOG_TEXT("listen", p->settings->listen),
                  LOG_TEXT("url", p->settings->public_url));
        fprintf(c->out, "troth serves %.*s\n", STR_FMT(p->settings->public_url));
        fflush(c->out);
        tell_systemd("READY=1");
        sigwait(&set, &signal_number);
        tell_systemd("STOPPING=1");
        log_event(p->privacy.log, LOG_INFO, "stopping", LOG_INT("signal", signal_number));
    }
    server_drain(&server, DRAIN_MS);
    work_stop(p->work);
    control_stop(&control);
    log_event(p->privacy.log, LOG_INFO, "stopped");
    return code;
}
