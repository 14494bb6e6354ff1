/*
 * offline: an app that asks libtroth whether its license is good, for script/bench. Not installed.
 *
 *     offline sign FOLDER               a bound app's state, with a license file and a list of revoked seats
 *     offline check FOLDER SECONDS      troth_license_check, again and again
 *     offline bare FOLDER SECONDS       the signatures of the two texts alone
 *     offline signatures SECONDS THREADS
 *                                       signatures of a text as long as a license file's, made
 *
 * One thread, where none are named; prints "rate", a second.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <sodium.h>

#include "client/troth.h"

#define PORTAL "https://portal.example.com"
#define APP    "com.example.total-security"
#define DEVICE "d0123456789abcdefghjkmnpqr"
#define SEAT   "s0123456789abcdefghjkmnpqr"
#define KEYS   "{\"keys\":[{\"kid\":\"bench\",\"crv\":\"Ed25519\",\"x\":\"%s\"}]}"

enum { TEXT = 65536, REVOKED = 100, DAY = 86400, MAX_THREADS = 512, SIGNED = 500, AT_ONCE = 64 };

static unsigned char secret[crypto_sign_SECRETKEYBYTES], public[crypto_sign_PUBLICKEYBYTES];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "offline: %s\n", what);
    exit(1);
}

static void told(long n, double seconds)
{
    printf("rate %.3f\n", (double)n / seconds);
}

static void encode(char *out, size_t size, const void *bytes, size_t n)
{
    sodium_bin2base64(out, size, bytes, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* JWS in compact form; owns the payload. */
static void sign(char out[static 2 * TEXT], const char *type, json_t *payload)
{
    unsigned char signature[crypto_sign_BYTES];
    char head[200], one[400], two[TEXT], three[100];
    char *body = json_dumps(payload, JSON_COMPACT);
    json_decref(payload);
    snprintf(head, sizeof head, "{\"alg\":\"EdDSA\",\"typ\":\"%s\",\"kid\":\"bench\"}", type);
    encode(one, sizeof one, head, strlen(head));
    encode(two, sizeof two, body, strlen(body));
    free(body);
    int n = snprintf(out, 2 * TEXT, "%s.%s", one, two);
    crypto_sign_detached(signature, NULL, (const unsigned char *)out, (size_t)n, secret);
    encode(three, sizeof three, signature, sizeof signature);
    snprintf(out + n, (size_t)(2 * TEXT - n), ".%s", three);
}

static void put_state(const char *folder)
{
    static char file[2 * TEXT], list[2 * TEXT], keys[200], x[50], path[4096];
    json_int_t made = (json_int_t)time(NULL);
    json_t *seats = json_array();
    for (int i = 0; i < REVOKED; i++) {
        char seat[30];
        snprintf(seat, sizeof seat, "r%025d", i);
        json_array_append_new(seats, json_string(seat));
    }
    sign(file, "troth-license",
         json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:[s, s]}", "iss", PORTAL, "iat", made, "exp", made + 30 * DAY,
                   "license", DEVICE, "seat", SEAT, "device", DEVICE, "product", "total-security", "application", APP, "ends",
                   made + 20 * DAY, "features", "virus-protection", "firewall"));
    sign(list, "troth-revocations", json_pack("{s:s, s:I, s:I, s:o}", "iss", PORTAL, "iat", made, "exp", made + 7 * DAY, "seats", seats));
    encode(x, sizeof x, public, sizeof public);
    snprintf(keys, sizeof keys, KEYS, x);
    snprintf(path, sizeof path, "%s/troth.json", folder);
    json_t *state = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "url", PORTAL, "token", "d1.bench", "device_id", DEVICE,
                              "binding_id", SEAT, "application_instance_id", DEVICE, "user_id", DEVICE, "license_file", file,
                              "revocations", list, "bench_keys", keys);
    if (json_dump_file(state, path, JSON_COMPACT) != 0)
        die("the state cannot be written");
    json_decref(state);
}

static json_t *read_state(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/troth.json", folder);
    json_t *state = json_load_file(path, 0, NULL);
    if (state == NULL)
        die("there is no state");
    return state;
}

static void check(const char *folder, double seconds)
{
    struct troth *t = NULL;
    const struct troth_license_file *f;
    json_t *state = read_state(folder);
    struct troth_options o = {.size = sizeof o, .application_id = APP, .application_version = "1.0.0", .application_locale = "en",
                              .folder = folder, .license_keys = json_string_value(json_object_get(state, "bench_keys"))};
    if (troth_open(&o, &t) != TROTH_OK)
        die("the library does not open");
    long n = 0;
    for (double until = now() + seconds; now() < until; n++)
        if (troth_license_check(t, &f) != TROTH_OK || f->n_features != 2)
            die("a good license is void");
    troth_close(t);
    json_decref(state);
    told(n, seconds);
}

/* Is the text's signature good? */
static bool is_signed(const char *text, const unsigned char *signature, const unsigned char *key)
{
    return crypto_sign_verify_detached(signature, (const unsigned char *)text, (size_t)(strrchr(text, '.') - text), key) == 0;
}

static void decode(unsigned char *out, size_t n, const char *text)
{
    size_t got = 0;
    if (text == NULL || sodium_base642bin(out, n, text, strlen(text), NULL, &got, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 || got != n)
        die("the state is not ours");
}

static void bare(const char *folder, double seconds)
{
    json_t *state = read_state(folder);
    json_t *keys = json_loads(json_string_value(json_object_get(state, "bench_keys")), 0, NULL);
    const char *texts[] = {json_string_value(json_object_get(state, "license_file")), json_string_value(json_object_get(state, "revocations"))};
    unsigned char signatures[2][crypto_sign_BYTES];
    decode(public, sizeof public, json_string_value(json_object_get(json_array_get(json_object_get(keys, "keys"), 0), "x")));
    for (int i = 0; i < 2; i++)
        decode(signatures[i], crypto_sign_BYTES, strrchr(texts[i], '.') + 1);
    long n = 0;
    for (double until = now() + seconds; now() < until; n++)
        if (!is_signed(texts[0], signatures[0], public) || !is_signed(texts[1], signatures[1], public))
            die("a good signature is none");
    json_decref(keys);
    json_decref(state);
    told(n, seconds);
}

static double until;
static atomic_long signatures_made;

static void *make_signatures(void *arg)
{
    unsigned char text[SIGNED] = {0}, signature[crypto_sign_BYTES];
    (void)arg;
    while (now() < until) {
        for (int i = 0; i < AT_ONCE; i++, text[0]++)
            crypto_sign_detached(signature, NULL, text, sizeof text, secret);
        signatures_made += AT_ONCE;
    }
    return NULL;
}

static void make(double seconds, int threads)
{
    pthread_t list[MAX_THREADS];
    if (threads < 1 || threads > MAX_THREADS)
        die("how many threads?");
    until = now() + seconds;
    for (int i = 0; i < threads; i++)
        pthread_create(&list[i], NULL, make_signatures, NULL);
    for (int i = 0; i < threads; i++)
        pthread_join(list[i], NULL);
    told(signatures_made, seconds);
}

int main(int argc, char **argv)
{
    if (sodium_init() < 0)
        die("no libsodium");
    crypto_sign_keypair(public, secret);
    const char *what = argc > 2 ? argv[1] : "";
    if (argc == 3 && strcmp(what, "sign") == 0)
        put_state(argv[2]);
    else if (argc == 4 && strcmp(what, "check") == 0)
        check(argv[2], atof(argv[3]));
    else if (argc == 4 && strcmp(what, "bare") == 0)
        bare(argv[2], atof(argv[3]));
    else if (argc == 4 && strcmp(what, "signatures") == 0)
        make(atof(argv[2]), atoi(argv[3]));
    else {
        fprintf(stderr, "usage: offline sign FOLDER | check|bare FOLDER SECONDS | signatures SECONDS THREADS\n");
        return 2;
    }
    return 0;
}
