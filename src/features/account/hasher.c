#include "features/account/hasher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "features/account/password.h"

enum { MOST = 64, POLITE = 10, FIRST_FD = 3 };

struct request {
    unsigned long long passes;
    size_t memory, n;
    bool verifies;
    char text[crypto_pwhash_STRBYTES], password[PASSWORD_MAX];
};

struct reply {
    bool right;
    char text[crypto_pwhash_STRBYTES];
};

struct hasher_child {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    unsigned long long next, turn; /* tickets: drawn, and whose turn it is */
    pid_t pid;
    int channels[MOST], n, works; /* descriptors; how many, and how many of them still work */
    int free[MOST], n_free;
    int most, busy;               /* how many hash at a time, wherever they do it */
};

static void work(const struct request *q, struct reply *r)
{
    memcpy(r->text, q->text, sizeof r->text);
    int e = q->verifies ? crypto_pwhash_str_verify(r->text, q->password, q->n)
                        : crypto_pwhash_str_alg(r->text, q->password, q->n, q->passes, q->memory, crypto_pwhash_ALG_ARGON2ID13);
    r->right = e == 0;
}

/* ---- the child ---- */

static void *serve(void *arg)
{
    int fd = *(int *)arg;
    struct request q;
    struct reply r;
    while (recv(fd, &q, sizeof q, 0) == (ssize_t)sizeof q && q.n <= sizeof q.password) {
        work(&q, &r);
        sodium_memzero(&q, sizeof q);
        if (send(fd, &r, sizeof r, MSG_NOSIGNAL) != (ssize_t)sizeof r)
            break;
        sodium_memzero(&r, sizeof r);
    }
    _exit(0); /* the parent is gone, or speaks nonsense */
}

/* Nothing of the parent's is used here but its memory as it was; malloc is safe after fork in glibc. */
static void live(const int *theirs, int n)
{
    pthread_t threads[MOST];
    int fds[MOST], nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    prctl(PR_SET_NAME, "troth-hash");
    signal(SIGINT, SIG_IGN); /* it ends with its parent, which drains first */
    signal(SIGTERM, SIG_IGN);
    if (nowhere < 0)
        _exit(1);
    for (int i = 0; i < FIRST_FD; i++)
        dup2(nowhere, i);
    for (int i = 0; i < n; i++)
        if ((fds[i] = fcntl(theirs[i], F_DUPFD_CLOEXEC, 200)) < 0) /* out of the way of what follows */
            _exit(1);
    for (int i = 0; i < n; i++)
        fds[i] = dup2(fds[i], FIRST_FD + i);
    close_range((unsigned)(FIRST_FD + n), ~0U, 0);
    setpriority(PRIO_PROCESS, 0, POLITE);
    for (int i = 1; i < n; i++)
        if (pthread_create(&threads[i], NULL, serve, &fds[i]) != 0)
            _exit(1);
    serve(&fds[0]);
}

/* ---- the parent ---- */

static void end_child(struct hasher_child *c)
{
    for (int i = 0; i < c->n; i++)
        close(c->channels[i]);
    if (c->pid > 0)
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    c->pid = 0;
    c->n = c->works = c->n_free = 0;
}

static bool make_channels(struct hasher_child *c, int n, int *theirs)
{
    for (int i = 0; i < n; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
            while (i-- > 0)
                close(theirs[i]);
            return false;
        }
        c->channels[c->n++] = pair[0];
        theirs[i] = pair[1];
    }
    return true;
}

static void start_child(struct hasher_child *c, int n)
{
    int theirs[MOST];
    if (!make_channels(c, n, theirs)) {
        end_child(c);
        return;
    }
    c->pid = fork();
    if (c->pid == 0)
        live(theirs, n);
    for (int i = 0; i < n; i++)
        close(theirs[i]);
    if (c->pid < 0) {
        end_child(c);
        return;
    }
    memcpy(c->free, c->channels, sizeof c->free);
    c->works = c->n_free = n;
}

struct hasher_child *hasher_child_new(int n)
{
    struct hasher_child *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->moved, NULL);
    c->most = n < 1 ? 1 : n > MOST ? MOST : n;
    start_child(c, c->most);
    return c;
}

void hasher_child_free(struct hasher_child **child)
{
    struct hasher_child *c = *child;
    if (c == NULL)
        return;
    end_child(c);
    pthread_cond_destroy(&c->moved);
    pthread_mutex_destroy(&c->lock);
    free(c);
    *child = NULL;
}

/* Waits for a turn: a channel, or -1 where there is none left that works and the caller hashes itself. */
static int take_turn(struct hasher_child *c)
{
    pthread_mutex_lock(&c->lock);
    unsigned long long ticket = c->next++;
    while (c->turn != ticket || c->busy == c->most || (c->works > 0 && c->n_free == 0))
        pthread_cond_wait(&c->moved, &c->lock);
    int fd = c->works > 0 ? c->free[--c->n_free] : -1;
    c->turn++;
    c->busy++;
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
    return fd;
}

/* The channel works no more; the turn goes on without it. */
static void drop_channel(struct hasher_child *c)
{
    pthread_mutex_lock(&c->lock);
    c->works--;
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
}

static void end_turn(struct hasher_child *c, int fd)
{
    pthread_mutex_lock(&c->lock);
    if (fd >= 0)
        c->free[c->n_free++] = fd;
    c->busy--;
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
}

static bool ask(int fd, const struct request *q, struct reply *r)
{
    ssize_t n;
    if (send(fd, q, sizeof *q, MSG_NOSIGNAL) != (ssize_t)sizeof *q)
        return false;
    while ((n = recv(fd, r, sizeof *r, 0)) < 0 && errno == EINTR)
        ;
    return n == (ssize_t)sizeof *r;
}

void hasher_child_run(struct hasher_child *c, struct hashing *x)
{
    struct request q = {.passes = x->passes, .memory = x->memory, .n = x->password.n, .verifies = x->verifies};
    struct reply r = {0};
    x->right = false;
    if (x->password.n > sizeof q.password)
        return; /* nobody has one that long */
    memcpy(q.text, x->text, sizeof q.text);
    if (x->password.n > 0)
        memcpy(q.password, x->password.p, x->password.n);
    int fd = take_turn(c);
    bool works = fd >= 0 && ask(fd, &q, &r);
    if (fd >= 0 && !works) {
        drop_channel(c);
        fd = -1;
    }
    if (!works)
        work(&q, &r);
    end_turn(c, fd);
    x->right = r.right;
    memcpy(x->text, r.text, sizeof x->text);
    sodium_memzero(&q, sizeof q);
    sodium_memzero(&r, sizeof r);
}
