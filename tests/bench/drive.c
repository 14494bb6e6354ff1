/*
 * drive: people at the door, for script/bench. Each thread is a browser with one connection that it
 * keeps: it opens the form's page once, and then sends the form again and again.
 *
 *     drive sign-up PORT THREADS SECONDS
 *     drive sign-in PORT THREADS SECONDS PASSWORD ADDRESSES     (a file, one a line)
 *
 * Each sign-up is of an address of its own. What is answered within SECONDS, after a second of
 * warming up, counts: "rate" a second, "p50" and "p99" in microseconds, "failed" in all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ANSWER = 64 * 1024,
    MAX_THREADS = 512,
    MAX_ADDRESSES = 1000,
    SLOTS = 200000, /* of the histogram */
    SLOT_MICROS = 50,
};

struct drive {
    const char *form; /* its path */
    int port;
    int threads;
    const char *password;
    char *addresses[MAX_ADDRESSES];
    int n_addresses;
    long run; /* makes this run's addresses new ones */
    double from, until;
    atomic_uint answers[SLOTS];
    atomic_long done, failed, begun;
    atomic_int odd; /* the last status that was none of those expected */
};

struct browser {
    struct drive *drive;
    int fd, number;
    long sent;
    char cookie[128], token[128];
    char answer[ANSWER];
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof a) != 0) {
        perror("connect");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* Sends the request and reads the whole answer; its status, or 0 where the connection ended. */
static int ask(struct browser *b, const char *request)
{
    size_t n = strlen(request), have = 0;
    if (send(b->fd, request, n, MSG_NOSIGNAL) != (ssize_t)n)
        return 0;
    char *end = NULL;
    for (long body = -1; body < 0 || have < (size_t)(end - b->answer) + 4 + (size_t)body;) {
        ssize_t r = recv(b->fd, b->answer + have, sizeof b->answer - 1 - have, 0);
        if (r <= 0)
            return 0;
        have += (size_t)r;
        b->answer[have] = '\0';
        if (body < 0 && (end = strstr(b->answer, "\r\n\r\n")) != NULL) {
            const char *length = strcasestr(b->answer, "\r\nContent-Length:");
            body = length && length < end ? atol(length + 17) : 0;
        }
    }
    return atoi(b->answer + 9);
}

/* What stands between `before` and `after`, if it is there. */
static void cut(const char *text, const char *before, char after, char *out, size_t size)
{
    const char *from = strstr(text, before);
    if (from == NULL)
        return;
    from += strlen(before);
    size_t n = 0;
    while (n + 1 < size && from[n] != after && from[n] != '\0')
        n++;
    memcpy(out, from, n);
    out[n] = '\0';
}

static void open_form(struct browser *b)
{
    char request[512];
    b->fd = dial(b->drive->port);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
             b->drive->form, b->drive->port);
    if (ask(b, request) != 200) {
        fprintf(stderr, "drive: no form at %s: %.200s\n", b->drive->form, b->answer);
        exit(1);
    }
    cut(b->answer, "Set-Cookie: form=", ';', b->cookie, sizeof b->cookie);
    cut(b->answer, "name=\"csrf\" value=\"", '"', b->token, sizeof b->token);
}

static const char *address_of(struct browser *b, char *out, size_t size)
{
    struct drive *d = b->drive;
    if (d->n_addresses > 0)
        return d->addresses[(b->number + b->sent * d->threads) % d->n_addresses];
    snprintf(out, size, "p%lx-%d-%ld@example.com", d->run, b->number, b->sent);
    return out;
}

static int send_form(struct browser *b)
{
    struct drive *d = b->drive;
    char request[2048], body[1024], address[128];
    int n = snprintf(body, sizeof body, "csrf=%s&email=%s&password=%s", b->token,
                     address_of(b, address, sizeof address), d->password);
    snprintf(request, sizeof request,
             "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nCookie: form=%s\r\n"
             "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
             d->form, d->port, b->cookie, n, body);
    b->sent++;
    return ask(b, request);
}

static void *browse(void *arg)
{
    struct browser *b = arg;
    struct drive *d = b->drive;
    open_form(b);
    d->begun++;
    while (now() < d->until) {
        double began = now();
        int status = send_form(b);
        double ended = now();
        if (ended < d->from || ended >= d->until)
            continue;
        if (status == 303) {
            long slot = (long)((ended - began) * 1e6 / SLOT_MICROS);
            d->answers[slot < SLOTS ? slot : SLOTS - 1]++;
            d->done++;
            continue;
        }
        d->failed++;
        d->odd = status;
        if (status == 0) {
            close(b->fd);
            open_form(b);
        }
    }
    close(b->fd);
    return NULL;
}

static long percentile(const struct drive *d, double part)
{
    long wanted = (long)((double)d->done * part), seen = 0;
    for (long i = 0; i < SLOTS; i++)
        if ((seen += d->answers[i]) > wanted)
            return (i + 1) * SLOT_MICROS;
    return 0;
}

static void read_addresses(struct drive *d, const char *path)
{
    char line[256];
    FILE *in = fopen(path, "r");
    while (in && d->n_addresses < MAX_ADDRESSES && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        d->addresses[d->n_addresses++] = strdup(line);
    }
    if (in)
        fclose(in);
}

int main(int argc, char **argv)
{
    static struct drive d;
    pthread_t threads[MAX_THREADS];
    bool up = argc == 5 && strcmp(argv[1], "sign-up") == 0;
    bool in = argc == 7 && strcmp(argv[1], "sign-in") == 0;
    if ((!up && !in) || (d.threads = atoi(argv[3])) < 1 || d.threads > MAX_THREADS) {
        fprintf(stderr, "usage: drive sign-up PORT THREADS SECONDS\n"
                        "       drive sign-in PORT THREADS SECONDS PASSWORD ADDRESSES\n");
        return 2;
    }
    d.form = up ? "/sign-up" : "/sign-in";
    d.port = atoi(argv[2]);
    d.password = up ? "correct+horse+battery+staple" : argv[5];
    d.run = (long)time(NULL) << 16 ^ getpid();
    if (in)
        read_addresses(&d, argv[6]);
    double seconds = atof(argv[4]);
    d.from = now() + 1;
    d.until = d.from + seconds;
    struct browser *list = calloc((size_t)d.threads, sizeof *list);
    for (int i = 0; i < d.threads; i++) {
        list[i] = (struct browser){.drive = &d, .number = i};
        pthread_create(&threads[i], NULL, browse, &list[i]);
    }
    for (int i = 0; i < d.threads; i++)
        pthread_join(threads[i], NULL);
    printf("rate %.3f\np50 %ld\np99 %ld\nfailed %ld\n", (double)d.done / seconds,
           percentile(&d, 0.5), percentile(&d, 0.99), (long)d.failed);
    if (d.failed)
        fprintf(stderr, "drive: %ld failed, the last with status %d\n", (long)d.failed, (int)d.odd);
    return 0;
}
