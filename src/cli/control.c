#include "cli/control.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"

enum { MAX_MESSAGE = 16 * 1024, N_FDS = 3, CALL_ARENA = 1 << 30 };

struct control {
    struct portal *portal;
    int fd;
    pthread_t thread;
    struct sockaddr_un address;
};

static enum err address_of(const struct settings *s, struct sockaddr_un *a, struct fault *f)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(a->sun_path, sizeof a->sun_path, "%.*s/control.sock", STR_FMT(s->data));
    if (n < 0 || (size_t)n >= sizeof a->sun_path)
        return FAIL(f, ERR_INPUT, "the data directory's path is too long for a socket");
    return OK;
}

/* ---- the server's side ---- */

static bool is_trusted(int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
           (who.uid == geteuid() || who.uid == 0);
}

/* One message with the arguments, each ended by NUL, and three descriptors. */
static bool receive(int fd, char *text, size_t *n, int fds[N_FDS])
{
    union {
        char bytes[CMSG_SPACE(N_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec io = {text, MAX_MESSAGE};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c == NULL || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(N_FDS * sizeof(int)))
        return false;
    memcpy(fds, CMSG_DATA(c), N_FDS * sizeof(int));
    *n = (size_t)got;
    return text[got - 1] == '\0';
}

static const struct command *command_named(const char *name)
{
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int run_for(struct control *k, char *text, size_t n, int fds[N_FDS])
{
    char *argv[MAX_ARGS + 1];
    int argc = 0, code = EXIT_USAGE;
    for (size_t at = 0; at < n && argc < MAX_ARGS; at += strlen(text + at) + 1)
        argv[argc++] = text + at;
    argv[argc] = NULL;
    struct call c = {.settings = k->portal->settings,
                     .portal = k->portal,
                     .argc = argc,
                     .argv = argv,
                     .out = fdopen(dup(fds[0]), "w"),
                     .err = fdopen(dup(fds[1]), "w"),
                     .dir = fds[2],
                     .arena = arena_new(CALL_ARENA)};
    const struct command *command = argc > 0 ? command_named(argv[0]) : NULL;
    if (c.out && c.err && command && command->kind != COMMAND_ALONE)
        code = command_run(command, &c);
    if (c.out)
        fclose(c.out);
    if (c.err)
        fclose(c.err);
    arena_free(&c.arena);
    return code;
}

static void answer(struct control *k, int fd)
{
    char text[MAX_MESSAGE];
    int fds[N_FDS] = {-1, -1, -1};
    size_t n;
    if (!is_trusted(fd) || !receive(fd, text, &n, fds))
        return;
    unsigned char code = (unsigned char)run_for(k, text, n, fds);
    for (int i = 0; i < N_FDS; i++)
        fd_close(&fds[i]);
    ssize_t ignored = write(fd, &code, 1);
    (void)ignored;
}

static void *listen_for_commands(void *arg)
{
    struct control *k = arg;
    for (;;) {
        int fd = accept4(k->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            return NULL; /* shut down */
        answer(k, fd);
        close(fd);
    }
}

enum err control_start(struct control **out, struct portal *p, struct fault *f)
{
    struct control *k = calloc(1, sizeof *k);
    if (k == NULL)
        return FAIL(f, ERR_BUSY, "out of memory");
    k->portal = p;
    enum err e = address_of(p->settings, &k->address, f);
    k->fd = e == OK ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) : -1;
    if (e == OK) {
        unlink(k->address.sun_path); /* we have the lock: it is nobody's */
        mode_t before = umask(0177);
        bool bound = k->fd >= 0 && bind(k->fd, (const struct sockaddr *)&k->address, sizeof k->address) == 0;
        umask(before);
        if (!bound || listen(k->fd, 8) != 0 || pthread_create(&k->thread, NULL, listen_for_commands, k) != 0)
            e = FAIL(f, ERR_IO, "control socket: %s", strerror(errno));
    }
    if (e != OK) {
        if (k->fd >= 0)
            close(k->fd);
        free(k);
        return e;
    }
    *out = k;
    return OK;
}

void control_stop(struct control **control)
{
    struct control *k = *control;
    *control = NULL;
    if (k == NULL)
        return;
    shutdown(k->fd, SHUT_RDWR);
    pthread_join(k->thread, NULL);
    close(k->fd);
    unlink(k->address.sun_path);
    free(k);
}

/* ---- the command's side ---- */

static bool send_call(int fd, int argc, char **argv, const int fds[N_FDS])
{
    char text[MAX_MESSAGE];
    size_t n = 0;
    for (int i = 0; i < argc; i++) {
        size_t len = strlen(argv[i]) + 1;
        if (len > sizeof text - n)
            return false;
        memcpy(text + n, argv[i], len);
        n += len;
    }
    union {
        char bytes[CMSG_SPACE(N_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct iovec io = {text, n};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(N_FDS * sizeof(int));
    memcpy(CMSG_DATA(c), fds, N_FDS * sizeof(int));
    return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)n;
}

enum err control_call(const struct settings *s, int argc, char **argv, int *exit_code,
                      struct fault *f)
{
    struct sockaddr_un address;
    TRY(address_of(s, &address, f));
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return FAIL(f, ERR_NOT_FOUND, "no server answers at %s", address.sun_path);
    CLEANUP(fd_close) int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int fds[N_FDS] = {STDOUT_FILENO, STDERR_FILENO, dir};
    unsigned char code;
    if (dir < 0 || !send_call(fd, argc, argv, fds))
        return FAIL(f, ERR_IO, "the server at %s takes no command", address.sun_path);
    ssize_t n;
    do
        n = read(fd, &code, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        return FAIL(f, ERR_IO, "the server at %s ended the command", address.sun_path);
    *exit_code = code;
    return OK;
}
