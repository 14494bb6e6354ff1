/*
 * agents: connected apps, for script/bench.
 *
 *     agents report PORT CONNECTIONS SECONDS DEVICES changed|unchanged|license
 *                     each connection sends one report after the other, of one device after the other; or it
 *                     fetches the devices' license files
 *     agents hold PORT N SECONDS RATE DEVICES
 *                     N apps wait for commands, each over a connection of its own, by TLS; "held" is printed when
 *                     all wait. Then others report, unchanged and every tenth changed, RATE times a second
 *
 * DEVICES is what `apps` wrote. What is answered within SECONDS, after a second of warming up, counts: "rate" a
 * second, "p50" and "p99" in microseconds, "failed" in all. The certificate is not checked: it is the bench's own.
 */
#include <arpa/inet.h>
#include <fcntl.h>
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

#include <openssl/ssl.h>

enum {
    ANSWER = 16 * 1024,
    MAX_THREADS = 512,
    MAX_DEVICES = 20000,
    REPORTERS = 16, /* connections that report while others wait */
    SLOTS = 200000, /* of the histogram */
    SLOT_MICROS = 10,
};

struct device {
    char token[160], account[32], binding[32], id[32], application[32];
    char etag[64];
    long n; /* reports */
};

static struct device devices[MAX_DEVICES];
static int n_devices, port, threads;
static enum { CHANGED, UNCHANGED, LICENSE } sends = UNCHANGED;
static SSL_CTX *tls; /* NULL: plain */
static double from, until, pause_each;
static atomic_uint answers[SLOTS];
static atomic_long done, failed;
static atomic_int odd;

struct connection {
    int fd, number;
    SSL *ssl;
    char answer[ANSWER];
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void dial(struct connection *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int yes = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&a, sizeof a) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (tls == NULL)
        return;
    c->ssl = SSL_new(tls);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_tlsext_host_name(c->ssl, "portal.example.com");
    if (SSL_connect(c->ssl) != 1)
        die("TLS");
}

static void hang_up(struct connection *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
}

static bool put(struct connection *c, const char *text)
{
    size_t n = strlen(text);
    return c->ssl ? SSL_write(c->ssl, text, (int)n) == (int)n : send(c->fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static long take(struct connection *c, char *p, size_t n)
{
    return c->ssl ? SSL_read(c->ssl, p, (int)n) : recv(c->fd, p, n, 0);
}

/* Sends the request and reads the whole answer; its status, or 0 where the connection ended. */
static int ask(struct connection *c, const char *request)
{
    size_t have = 0;
    char *end = NULL;
    if (!put(c, request))
        return 0;
    for (long body = -1; body < 0 || have < (size_t)(end - c->answer) + 4 + (size_t)body;) {
        long r = take(c, c->answer + have, sizeof c->answer - 1 - have);
        if (r <= 0)
            return 0;
        have += (size_t)r;
        c->answer[have] = '\0';
        if (body < 0 && (end = strstr(c->answer, "\r\n\r\n")) != NULL) {
            const char *length = strcasestr(c->answer, "\r\nContent-Length:");
            body = length && length < end ? atol(length + 17) : 0;
        }
    }
    return atoi(c->answer + 9);
}

/* ---- reports ---- */

static void keep_etag(struct device *d, const char *answer)
{
    const char *e = strcasestr(answer, "\r\nETag: ");
    if (e == NULL)
        return;
    size_t n = strcspn(e + 8, "\r");
    if (n < sizeof d->etag) {
        memcpy(d->etag, e + 8, n);
        d->etag[n] = '\0';
    }
}

static int report(struct connection *c, struct device *d)
{
    char body[2048], request[4096];
    int n = snprintf(body, sizeof body,
                     "{\"device_id\":\"%s\",\"application_instance_id\":\"%s\",\"application_id\":\"troth-agent\","
                     "\"application_version\":\"1.0.0\",\"application_locale\":\"en\",\"device\":{\"device_id\":\"%s\","
                     "\"network_name\":\"bench-laptop\",\"type\":\"laptop\",\"os_type\":\"Debian GNU/Linux\",\"os_version\":\"12\"},"
                     "\"license\":{\"type\":\"none\",\"status\":\"none\",\"service_information\":{\"n\":%ld},\"activation_error\":\"\","
                     "\"expires\":null,\"features\":[]},\"binding_id\":\"%s\"}",
                     d->id, d->application, d->id, ++d->n + 1000000, d->binding);
    snprintf(request, sizeof request,
             "PUT /api/v1/bindings/%s/state HTTP/1.1\r\nHost: portal.example.com\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
             d->binding, d->token, n, body);
    int status = ask(c, request);
    keep_etag(d, c->answer);
    return status;
}

static int look(struct connection *c, const struct device *d)
{
    char request[1024];
    snprintf(request, sizeof request,
             "GET /api/v1/bindings/%s/state HTTP/1.1\r\nHost: portal.example.com\r\nAuthorization: Bearer %s\r\n"
             "If-None-Match: %s\r\n\r\n",
             d->binding, d->token, d->etag);
    return ask(c, request);
}

static int fetch_license(struct connection *c, const struct device *d)
{
    char request[1024];
    snprintf(request, sizeof request, "GET /api/v1/license-file HTTP/1.1\r\nHost: portal.example.com\r\nAuthorization: Bearer %s\r\n\r\n",
             d->token);
    return ask(c, request);
}

static void *send_reports(void *arg)
{
    struct connection *c = arg;
    dial(c);
    /* Every device is one connection's own. */
    for (long i = c->number, n = 0; now() < until; i = i + threads < n_devices ? i + threads : c->number, n++) {
        struct device *d = &devices[i];
        bool anew = sends == CHANGED || d->etag[0] == '\0' || (pause_each > 0 && n % 10 == 9), fetches = sends == LICENSE;
        double began = now();
        int status = fetches ? fetch_license(c, d) : anew ? report(c, d) : look(c, d);
        double ended = now();
        bool good = status == (fetches || anew ? 200 : 304);
        if (ended >= from && ended < until && good && (sends != UNCHANGED || !anew || pause_each > 0)) {
            long slot = (long)((ended - began) * 1e6 / SLOT_MICROS);
            answers[slot < SLOTS ? slot : SLOTS - 1]++;
            done++;
        }
        if (!good) {
            failed++;
            odd = status;
            hang_up(c);
            dial(c);
        }
        if (pause_each > 0 && ended - began < pause_each)
            usleep((useconds_t)((pause_each - (ended - began)) * 1e6));
    }
    hang_up(c);
    return NULL;
}

static long percentile(double part)
{
    long wanted = (long)((double)done * part), seen = 0;
    for (long i = 0; i < SLOTS; i++)
        if ((seen += answers[i]) > wanted)
            return (i + 1) * SLOT_MICROS;
    return 0;
}

static int send_all(double seconds)
{
    pthread_t list[MAX_THREADS];
    struct connection *c = calloc((size_t)threads, sizeof *c);
    from = now() + 1;
    until = from + seconds;
    for (int i = 0; i < threads; i++) {
        c[i].number = i;
        pthread_create(&list[i], NULL, send_reports, &c[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(list[i], NULL);
    printf("rate %.3f\np50 %ld\np99 %ld\nfailed %ld\n", (double)done / seconds, percentile(0.5), percentile(0.99), (long)failed);
    if (failed)
        fprintf(stderr, "agents: %ld failed, the last with status %d\n", (long)failed, (int)odd);
    free(c);
    return 0;
}

/* ---- waiting ---- */

static void wait_for_commands(struct connection *c, const struct device *d)
{
    char request[1024];
    dial(c);
    snprintf(request, sizeof request, "GET /api/v1/commands/wait HTTP/1.1\r\nHost: portal.example.com\r\nAuthorization: Bearer %s\r\n\r\n",
             d->token);
    if (!put(c, request))
        die("wait");
}

/* Those that are no longer held. What TLS itself sends after the handshake is no answer. */
static long count_answered(struct connection *c, int n)
{
    long answered = 0;
    for (int i = 0; i < n; i++) {
        char byte;
        fcntl(c[i].fd, F_SETFL, O_NONBLOCK);
        int r = SSL_peek(c[i].ssl, &byte, 1);
        answered += r > 0 || SSL_get_error(c[i].ssl, r) != SSL_ERROR_WANT_READ;
    }
    return answered;
}

static int hold(int n, double seconds, double rate)
{
    struct connection *c = calloc((size_t)n, sizeof *c);
    char word[8];
    if (n > n_devices)
        die("too few devices");
    for (int i = 0; i < n; i++)
        wait_for_commands(&c[i], &devices[i]);
    usleep(500000);
    printf("held %d\n", n);
    fflush(stdout);
    if (fgets(word, sizeof word, stdin) == NULL) /* memory is read meanwhile */
        return 1;
    threads = REPORTERS;
    pause_each = REPORTERS / rate;
    send_all(seconds);
    printf("answered %ld\n", count_answered(c, n));
    return 0;
}

static void read_devices(const char *path)
{
    FILE *in = fopen(path, "r");
    if (in == NULL)
        die(path);
    for (struct device *d = devices; n_devices < MAX_DEVICES && fscanf(in, "%159s %31s %31s %31s %31s", d->token, d->account,
                                                                      d->binding, d->id, d->application) == 5; d++)
        n_devices++;
    fclose(in);
}

int main(int argc, char **argv)
{
    bool reports = argc == 7 && strcmp(argv[1], "report") == 0, holds = argc == 7 && strcmp(argv[1], "hold") == 0;
    if (!reports && !holds) {
        fprintf(stderr, "usage: agents report PORT CONNECTIONS SECONDS DEVICES changed|unchanged|license\n"
                        "       agents hold PORT N SECONDS RATE DEVICES\n");
        return 2;
    }
    port = atoi(argv[2]);
    read_devices(argv[reports ? 5 : 6]);
    if (holds) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
        return hold(atoi(argv[3]), atof(argv[4]), atof(argv[5]));
    }
    sends = strcmp(argv[6], "changed") == 0 ? CHANGED : strcmp(argv[6], "license") == 0 ? LICENSE : UNCHANGED;
    threads = atoi(argv[3]);
    if (threads < 1 || threads > MAX_THREADS || threads > n_devices)
        die("how many connections?");
    return send_all(atof(argv[4]));
}
