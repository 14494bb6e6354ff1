/*
 * drive: people at the door, for script/bench. Each thread is a browser with one connection that it
 * keeps: it opens the form's page once, and then sends the form again and again.
 *
 *     drive sign-up PORT THREADS SECONDS
 *     drive sign-in PORT THREADS SECONDS PASSWORD ADDRESSES     (a file, one a line; or two words: the
 *                                                                address and a TOTP secret in hex)
 *     drive browse  PORT THREADS SECONDS TOKENS                 (a file of sessions' cookies, one a line)
 *
 * Each sign-up is of an address of its own. Who signs in keeps the cookie by which the portal knows the
 * browser, as people's browsers do. Who browses opens /account, and reads for 50 to 150 ms. What is answered within SECONDS, after a second of
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

#include <liboath/oath.h>

enum {
    ANSWER = 64 * 1024,
    MAX_THREADS = 512,
    MAX_ADDRESSES = 4000,
    SECRET = 20,
    TOTP_STEP = 30,
    SLOTS = 200000, /* of the histogram */
    SLOT_MICROS = 50,
};

struct drive {
    const char *form; /* its path */
    int port;
    int threads;
    bool browses;
    const char *password;
    struct owner {
        char address[128], known[128]; /* a session's cookie, where it browses */
        char secret[SECRET];
        bool second;
    } owners[MAX_ADDRESSES];
    int n_owners;
    atomic_long next;
    pthread_mutex_t knowing;
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
    struct owner *owner; /* who signs in now */
    char cookie[128], token[128], step[256];
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
    b->owner = d->n_owners > 0 ? &d->owners[d->next++ % d->n_owners] : NULL;
    if (b->owner)
        return b->owner->address;
    snprintf(out, size, "p%lx-%d-%ld@example.com", d->run, b->number, b->sent);
    return out;
}

static int post(struct browser *b, const char *path, const char *known, const char *body)
{
    char request[4096];
    snprintf(request, sizeof request,
             "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nCookie: form=%s; step=%s; known=%s\r\n"
             "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s",
             path, b->drive->port, b->cookie, b->step, known, strlen(body), body);
    return ask(b, request);
}

/* The second step, if the first led there: 303 once more. */
static int send_code(struct browser *b, const char *known)
{
    char body[512], code[8];
    if (strstr(b->answer, "\r\nLocation: /sign-in/second") == NULL)
        return 0;
    cut(b->answer, "Set-Cookie: step=", ';', b->step, sizeof b->step);
    if (oath_totp_generate(b->owner->secret, SECRET, time(NULL), TOTP_STEP, 0, 6, code) != OATH_OK)
        return 0;
    snprintf(body, sizeof body, "csrf=%s&next=&code=%s", b->token, code);
    return post(b, "/sign-in/second/totp", known, body);
}

static int send_form(struct browser *b)
{
    struct drive *d = b->drive;
    char body[1024], address[128], known[128] = "";
    snprintf(body, sizeof body, "csrf=%s&email=%s&password=%s", b->token,
             address_of(b, address, sizeof address), d->password);
    b->sent++;
    b->step[0] = '\0';
    pthread_mutex_lock(&d->knowing);
    if (b->owner)
        memcpy(known, b->owner->known, sizeof known);
    pthread_mutex_unlock(&d->knowing);
    int status = post(b, d->form, known, body);
    if (b->owner && b->owner->second && status == 303)
        status = send_code(b, known);
    if (b->owner && status == 303) {
        pthread_mutex_lock(&d->knowing);
        cut(b->answer, "Set-Cookie: known=", ';', b->owner->known, sizeof b->owner->known);
        pthread_mutex_unlock(&d->knowing);
    }
    return status;
}

static void read_a_while(void)
{
    struct timespec reading = {0, 50000000 + rand() % 100000000};
    nanosleep(&reading, NULL);
}

static int open_page(struct browser *b)
{
    char request[512];
    snprintf(request, sizeof request, "GET /account HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nCookie: session=%s\r\n\r\n",
             b->drive->port, b->drive->owners[b->number % b->drive->n_owners].address);
    return ask(b, request);
}

static void *browse(void *arg)
{
    struct browser *b = arg;
    struct drive *d = b->drive;
    if (d->browses)
        b->fd = dial(d->port);
    else
        open_form(b);
    d->begun++;
    while (now() < d->until) {
        if (d->browses)
            read_a_while();
        double began = now();
        int status = d->browses ? open_page(b) : send_form(b);
        double ended = now();
        if (ended < d->from || ended >= d->until)
            continue;
        if (status == (d->browses ? 200 : 303)) {
            long slot = (long)((ended - began) * 1e6 / SLOT_MICROS);
            d->answers[slot < SLOTS ? slot : SLOTS - 1]++;
            d->done++;
            continue;
        }
        d->failed++;
        d->odd = status;
        if (status == 0) {
            close(b->fd);
            if (d->browses)
                b->fd = dial(d->port);
            else
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

/* "address", or "address secret". */
static void read_owners(struct drive *d, const char *path)
{
    char line[256];
    FILE *in = fopen(path, "r");
    while (in && d->n_owners < MAX_ADDRESSES && fgets(line, sizeof line, in)) {
        struct owner *o = &d->owners[d->n_owners++];
        line[strcspn(line, "\n")] = '\0';
        char *secret = strchr(line, ' ');
        if (secret) {
            *secret++ = '\0';
            o->second = true;
            for (int i = 0; i < SECRET; i++)
                o->secret[i] = (char)strtol((char[]){secret[2 * i], secret[2 * i + 1], '\0'}, NULL, 16);
        }
        snprintf(o->address, sizeof o->address, "%.127s", line);
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
    d.browses = argc == 6 && strcmp(argv[1], "browse") == 0;
    if ((!up && !in && !d.browses) || (d.threads = atoi(argv[3])) < 1 || d.threads > MAX_THREADS) {
        fprintf(stderr, "usage: drive sign-up PORT THREADS SECONDS\n"
                        "       drive sign-in PORT THREADS SECONDS PASSWORD ADDRESSES\n"
                        "       drive browse PORT THREADS SECONDS TOKENS\n");
        return 2;
    }
    d.form = up ? "/sign-up" : "/sign-in";
    d.port = atoi(argv[2]);
    d.password = in ? argv[5] : "correct+horse+battery+staple";
    d.run = (long)time(NULL) << 16 ^ getpid();
    pthread_mutex_init(&d.knowing, NULL);
    oath_init();
    if (in || d.browses)
        read_owners(&d, argv[argc - 1]);
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
