/*
 * libtroth against a portal that says what the test wants: on loopback, one answer for each request, each request
 * kept to be looked at. The real portal is met in tests/api/test_agent.py.
 */
#include "client/internal.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#define DEVICE  "d0123456789abcdefghjkmnpqr"
#define BINDING "b0123456789abcdefghjkmnpqr"
#define COMMAND "c0123456789abcdefghjkmnpqr"
#define LICENSE "{\"type\":\"none\",\"status\":\"none\",\"service_information\":{},\"activation_error\":\"\",\"expires\":null,\"features\":[]}"
#define STATE   "{\"commands_waiting\":0,\"interval\":300,\"activation_codes\":[],\"license\":" LICENSE "}"

/* ---- the double ---- */

enum { ASKED_MAX = 16 };

struct says {
    const char *status; /* "200 OK"; NULL: it hangs up without a word */
    const char *head;   /* lines that end in \r\n, or NULL */
    const char *body;
    bool silent; /* it takes the request, and says nothing until the other has gone */
};
struct double_portal {
    int fd, port;
    const struct says *says;
    size_t n, asked;
    char requests[ASKED_MAX][4096];
    int64_t asked_at[ASKED_MAX];
    pthread_t thread;
    bool runs;
};

static size_t content_length(const char *request)
{
    const char *at = strcasestr(request, "\r\nContent-Length:");
    return at ? strtoul(at + 17, NULL, 10) : 0;
}

static void read_request(int fd, char out[static 4096])
{
    size_t n = 0;
    for (ssize_t got; n < 4095 && (got = read(fd, out + n, 4095 - n)) > 0;) {
        n += (size_t)got;
        out[n] = 0;
        const char *end = strstr(out, "\r\n\r\n");
        if (end && strlen(end + 4) >= content_length(out))
            return;
    }
}

static void *serve(void *arg)
{
    struct double_portal *p = arg;
    int fd;
    while (p->asked < p->n && (fd = accept(p->fd, NULL, NULL)) >= 0) {
        const struct says *s = &p->says[p->asked];
        char rest;
        p->asked_at[p->asked] = os_monotonic();
        read_request(fd, p->requests[p->asked++]);
        if (s->silent)
            while (read(fd, &rest, 1) > 0)
                ;
        else if (s->status)
            dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n%s", s->status,
                    s->body ? strlen(s->body) : 0, s->head ? s->head : "", s->body ? s->body : "");
        close(fd);
    }
    return NULL;
}

/* Its address is taken, and nobody answers there yet. */
static void portal_reserve(struct double_portal *p)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    *p = (struct double_portal){0};
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&at, &n), 0);
    p->port = ntohs(at.sin_port);
}

static void portal_serve(struct double_portal *p, const struct says *says, size_t n)
{
    p->says = says;
    p->n = n;
    p->asked = 0;
    if (!p->runs)
        assert_int_equal(listen(p->fd, 8), 0);
    p->runs = true;
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

/* It was asked all that it has answers for. */
static void portal_asked(struct double_portal *p)
{
    pthread_join(p->thread, NULL);
    assert_int_equal(p->asked, p->n);
}

/* The value of a header of a request; "" where it has none. */
static const char *header(const struct double_portal *p, size_t i, const char *name)
{
    static _Thread_local char out[4][512];
    static _Thread_local int turn;
    char *to = out[turn++ & 3];
    char *start = text_format("\r\n%s: ", name);
    const char *at = strcasestr(p->requests[i], start);
    snprintf(to, 512, "%.*s", at ? (int)strcspn(at + strlen(start), "\r") : 0, at ? at + strlen(start) : "");
    free(start);
    return to;
}

static void assert_asked(const struct double_portal *p, size_t i, const char *line)
{
    if (strncmp(p->requests[i], line, strlen(line)) != 0)
        fail_msg("asked %.60s, not %s", p->requests[i], line);
}

/* ---- an app ---- */

static char folder[64];
static struct double_portal portal;

static int up(void **state)
{
    (void)state;
    assert_true(sodium_init() >= 0);
    strcpy(folder, "/tmp/troth-client-XXXXXX");
    assert_non_null(mkdtemp(folder));
    portal_reserve(&portal);
    return 0;
}

static int down(void **state)
{
    (void)state;
    static const char *const names[] = {"troth.json", "troth.json.new", "troth.lock"};
    close(portal.fd);
    for (size_t i = 0; i < COUNT(names); i++) {
        CLEANUP(text_free) char *path = text_format("%s/%s", folder, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static enum troth_result try_app(struct troth **t, int patience, const char *keys)
{
    CLEANUP(text_free) char *url = text_format("http://127.0.0.1:%d", portal.port);
    return troth_open(&(struct troth_options){.size = sizeof(struct troth_options),
                                              .url = url,
                                              .application_id = "com.example.total-security",
                                              .application_version = "1.4.2",
                                              .application_locale = "en-GB",
                                              .folder = folder,
                                              .patience = patience,
                                              .license_keys = keys},
                      t);
}

static struct troth *app(int patience)
{
    struct troth *t = NULL;
    assert_int_equal(try_app(&t, patience, NULL), TROTH_OK);
    return t;
}

static void write_state(const char *text)
{
    assert_int_equal(os_write(folder, "troth.json", text), TROTH_OK);
}

/* As a binding leaves it. */
static void be_bound(const char *more)
{
    CLEANUP(text_free)
    char *text = text_format("{\"url\":\"http://127.0.0.1:%d\",\"token\":\"d1.first\",\"device_id\":\"" DEVICE
                             "\",\"binding_id\":\"" BINDING "\",\"application_instance_id\":\"" DEVICE
                             "\",\"user_id\":\"" DEVICE "\"%s}",
                             portal.port, more);
    write_state(text);
}

static json_t *kept(void)
{
    CLEANUP(text_free) char *path = text_format("%s/troth.json", folder);
    json_t *j = json_load_file(path, 0, NULL);
    assert_non_null(j);
    return j;
}

static size_t queued(void)
{
    CLEANUP(json_done) json_t *j = kept();
    return json_array_size(json_object_get(j, "queue"));
}

static const struct troth_device device = {.size = sizeof device,
                                           .network_name = "kitchen-laptop",
                                           .type = "laptop",
                                           .os_type = "Debian GNU/Linux",
                                           .os_version = "12"};

/* ---- reading ---- */

/* Fails if an answer that is no portal's is taken, or one that is refused. */
static void answers_have_limits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum troth_result is;
    } states[] = {
        {STATE, TROTH_OK},
        {"{\"commands_waiting\":-1,\"interval\":300,\"activation_codes\":[],\"license\":" LICENSE "}", TROTH_ANSWER},
        {"{\"commands_waiting\":0,\"interval\":0,\"activation_codes\":[],\"license\":" LICENSE "}", TROTH_ANSWER},
        {"{\"commands_waiting\":0,\"interval\":86401,\"activation_codes\":[],\"license\":" LICENSE "}", TROTH_ANSWER},
        {"{\"commands_waiting\":9000000000,\"interval\":5,\"activation_codes\":[],\"license\":" LICENSE "}", TROTH_ANSWER},
        {"{\"commands_waiting\":0,\"interval\":5,\"activation_codes\":[1],\"license\":" LICENSE "}", TROTH_ANSWER},
        {"{\"commands_waiting\":0,\"interval\":5,\"activation_codes\":[],\"license\":null}", TROTH_ANSWER},
        {"{\"commands_waiting\":\"0\",\"interval\":5,\"activation_codes\":[],\"license\":" LICENSE "}", TROTH_ANSWER},
    };
    for (size_t i = 0; i < COUNT(states); i++) {
        struct told_state told = {0};
        CLEANUP(json_done) json_t *j = answer_json(states[i].text, strlen(states[i].text));
        assert_non_null(j);
        assert_int_equal(answer_state(j, &told), states[i].is);
        told_state_done(&told);
    }
    /* A list, a text and an object beyond what they may be. */
    CLEANUP(json_done) json_t *j = answer_json(STATE, strlen(STATE));
    json_t *codes = json_object_get(j, "activation_codes"), *license = json_object_get(j, "license");
    struct told_state told = {0};
    for (int i = 0; i < LIST_MAX; i++)
        json_array_append_new(codes, json_string("ABCDE"));
    assert_int_equal(answer_state(j, &told), TROTH_OK);
    assert_int_equal(told.is.n_activation_codes, LIST_MAX);
    json_array_append_new(codes, json_string("ABCDE"));
    assert_int_equal(answer_state(j, &told), TROTH_ANSWER);
    assert_int_equal(told.is.n_activation_codes, LIST_MAX); /* what was told before stays */
    json_array_clear(codes);
    json_object_set_new(license, "status", json_string("0123456789012345678901234567890123456789x"));
    assert_int_equal(answer_state(j, &told), TROTH_ANSWER);
    told_state_done(&told);
    static const char *const none[] = {"", "[]", "{", "{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}", "\"x\"", "{} {}"};
    for (size_t i = 0; i < COUNT(none); i++)
        assert_null(answer_json(none[i], strlen(none[i])));
}

/* Fails if a command without its parts, a grant, a binding or a statement of a foreign shape is taken. */
static void answers_have_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool fine;
    } commands[] = {
        {"{\"id\":\"" COMMAND "\",\"kind\":\"lock\",\"made\":\"2026-11-25T10:00:00Z\",\"expires\":\"2026-11-26T10:00:00Z\"}", true},
        {"{\"id\":\"c0123\",\"kind\":\"lock\",\"made\":\"2026-11-25T10:00:00Z\",\"expires\":\"2026-11-26T10:00:00Z\"}", false},
        {"{\"id\":\"../../etc\",\"kind\":\"lock\",\"made\":\"2026-11-25T10:00:00Z\",\"expires\":\"2026-11-26T10:00:00Z\"}", false},
        {"{\"id\":\"" COMMAND "\",\"made\":\"2026-11-25T10:00:00Z\",\"expires\":\"2026-11-26T10:00:00Z\"}", false},
        {"{\"id\":\"" COMMAND "\",\"kind\":\"lock\",\"text\":5,\"made\":\"2026-11-25T10:00:00Z\",\"expires\":\"2026-11-26T10:00:00Z\"}", false},
        {"{\"id\":\"" COMMAND "\",\"kind\":\"lock\",\"made\":\"2026-11-25\",\"expires\":\"2026-11-26T10:00:00Z\"}", false},
    };
    for (size_t i = 0; i < COUNT(commands); i++) {
        struct told_commands told = {0};
        CLEANUP(text_free) char *text = text_format("{\"commands\":[%s]}", commands[i].text);
        CLEANUP(json_done) json_t *j = answer_json(text, strlen(text));
        assert_int_equal(answer_commands(j, &told), commands[i].fine ? TROTH_OK : TROTH_ANSWER);
        json_done(&told.from);
    }
    static const char *const versions[] = {"1.k3f9", "1.", "x.k3f", "1/../2", "1.K3F"};
    for (size_t i = 0; i < COUNT(versions); i++) {
        struct told_statement told = {0};
        CLEANUP(json_done)
        json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:[], s:[{s:s, s:s}]}", "version", versions[i], "locale", "en", "title",
                              "A", "text", "B", "documents", "fields", "name", "email", "meaning", "C");
        assert_int_equal(answer_statement(j, &told), i == 0 ? TROTH_OK : TROTH_ANSWER);
        assert_true((told.is.version != NULL) == (i == 0));
        statement_done(&told);
    }
    static const char *const tokens[] = {"d1.0abc", "", "d1.a\r\nX: y", "D1.A"};
    for (size_t i = 0; i < COUNT(tokens); i++) {
        CLEANUP(json_done)
        json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "device_id", DEVICE, "application_instance_id", DEVICE,
                              "binding_id", BINDING, "user_id", DEVICE, "token", tokens[i], "interval", 5);
        assert_int_equal(answer_binding(j), i == 0 ? TROTH_OK : TROTH_ANSWER);
    }
    CLEANUP(json_done) json_t *long_code = json_pack("{s:s}", "device_code", "a b&c=d");
    struct troth_grant g;
    assert_int_equal(answer_grant(long_code, &g), TROTH_ANSWER);
}

/* Fails if a date that does not exist counts as a time, or a portal is asked where it could be overheard. */
static void times_and_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t is; /* 0: none */
    } times[] = {
        {"2026-11-25T10:00:00Z", 1795600800},    {"2000-02-29T00:00:00.5Z", 951782400}, {"1970-01-01T00:00:01Z", 1},
        {"2100-02-29T00:00:00Z", 0},             {"2026-02-31T00:00:00Z", 0},           {"2026-11-25T10:00:00 what Z", 0},
        {"2026-11-25T10:00:00+01:00", 0},        {"2026-11-25T24:00:00Z", 0},           {"2026-11-25T10:00:00.Z", 0},
        {"2026-11-25T10:00:00", 0},              {"2026-11-25T10:00:00ZZ", 0},          {"-026-11-25T10:00:00Z", 0},
    };
    for (size_t i = 0; i < COUNT(times); i++) {
        int64_t got = 0;
        assert_true(answer_time(times[i].text, &got) == (times[i].is != 0));
        assert_int_equal(got, times[i].is);
    }
    static const struct {
        const char *url;
        bool fine;
    } urls[] = {
        {"https://portal.example.com", true},      {"http://127.0.0.1:8080", true},        {"http://[::1]:80", true},
        {"http://portal.example.com", false},      {"http://127.0.0.1.example.com", false}, {"https://a@b.example", false},
        {"https://portal.example.com/", false},    {"https:///x", false},                  {"ftp://127.0.0.1", false},
        {"http://localhost.example", false},       {"https://a.example?x", false},         {"", false},
    };
    for (size_t i = 0; i < COUNT(urls); i++)
        assert_true(answer_url(urls[i].url) == urls[i].fine);
}

/* Fails if more work is done for a captcha than is decent, or none for one that is. */
static void captchas_have_a_price(void **state)
{
    (void)state;
    static const struct {
        int cost;
        const char *prefix, *algorithm;
        bool fine;
    } cases[] = {{10, "0", "PBKDF2/SHA-256", true},     {20001, "0", "PBKDF2/SHA-256", false}, {0, "0", "PBKDF2/SHA-256", false},
                 {10, "0000", "PBKDF2/SHA-256", false}, {10, "g", "PBKDF2/SHA-256", false},    {10, "0", "SHA-1", false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(json_done)
        json_t *j = json_pack("{s:{s:s, s:i, s:i, s:s, s:s, s:s}}", "parameters", "algorithm", cases[i].algorithm, "cost",
                              cases[i].cost, "keyLength", 32, "keyPrefix", cases[i].prefix, "nonce", "00112233", "salt",
                              "8899aabb");
        CLEANUP(text_free) char *reply = work_solve(j);
        assert_true((reply != NULL) == cases[i].fine);
    }
}

/* ---- license files ---- */

struct vectors {
    json_t *all, *keys;
    const char *file, *list;
};

static void vectors_done(struct vectors *v)
{
    json_done(&v->all);
    json_done(&v->keys);
}

static struct vectors vectors(void)
{
    CLEANUP(text_free) char *path = text_format("%s/tests/vectors/license.json", getenv("TROTH_SOURCE"));
    struct vectors v = {.all = json_load_file(path, 0, NULL)};
    assert_non_null(v.all);
    v.file = json_string_value(json_object_get(v.all, "license"));
    v.list = json_string_value(json_object_get(v.all, "revocations"));
    v.keys = json_pack("{s:[{s:s, s:s, s:O, s:O}]}", "keys", "kty", "OKP", "crv", "Ed25519", "kid",
                       json_object_get(v.all, "kid"), "x", json_object_get(v.all, "x"));
    assert_non_null(v.keys);
    return v;
}

#define MADE    INT64_C(1795600800)
#define EXPIRES INT64_C(1828346400)

static struct license_texts texts(const struct vectors *v)
{
    return (struct license_texts){.file = v->file,
                                  .keys = v->keys,
                                  .device = DEVICE,
                                  .application = "com.example.total-security",
                                  .issuer = "https://portal.example.com",
                                  .now = MADE + 60};
}

/* Fails if a file that is not this device's, this app's, this portal's, of this time, or signed is good. */
static void a_license_file_is_good_or_void(void **state)
{
    (void)state;
    CLEANUP(vectors_done) struct vectors v = vectors();
    CLEANUP(told_file_done) struct told_file f = {0};
    struct license_texts l = texts(&v);
    assert_null(license_verify(&l, &f));
    assert_string_equal(f.is.product, "total-security");
    assert_int_equal(f.is.n_features, 2);
    assert_string_equal(f.is.features[1], "firewall");
    assert_int_equal(f.is.expires, EXPIRES);

    l.device = BINDING;
    assert_string_equal(license_verify(&l, &f), "license-elsewhere");
    l = texts(&v);
    l.application = "other";
    assert_string_equal(license_verify(&l, &f), "license-elsewhere");
    l = texts(&v);
    l.issuer = "https://portal.example.org";
    assert_string_equal(license_verify(&l, &f), "license-elsewhere");
    l = texts(&v);
    l.now = EXPIRES;
    assert_string_equal(license_verify(&l, &f), "license-expired");
    l.now = EXPIRES - 1;
    assert_null(license_verify(&l, &f));
    l.now = MADE - 86401;
    assert_string_equal(license_verify(&l, &f), "license-from-the-future");
    l = texts(&v);
    l.revocations = v.list;
    assert_string_equal(license_verify(&l, &f), "license-revoked");
    l = texts(&v);
    l.file = NULL;
    assert_string_equal(license_verify(&l, &f), "license-missing");
    l = texts(&v);
    l.file = v.list; /* signed by the right key, and something else */
    assert_string_equal(license_verify(&l, &f), "license-malformed");
    l = texts(&v);
    CLEANUP(json_done) json_t *none = json_pack("{s:[]}", "keys");
    l.keys = none;
    assert_string_equal(license_verify(&l, &f), "license-key-unknown");
    l.more_keys = v.keys;
    assert_null(license_verify(&l, &f));
}

/* Fails if a file of which one character was changed is good. */
static void no_character_of_a_license_file_can_be_changed(void **state)
{
    (void)state;
    CLEANUP(vectors_done) struct vectors v = vectors();
    CLEANUP(told_file_done) struct told_file f = {0};
    CLEANUP(text_free) char *text = strdup(v.file);
    struct license_texts l = texts(&v);
    l.file = text;
    for (size_t i = 0; i < strlen(v.file); i++) {
        char right = text[i];
        text[i] = right == 'A' ? 'Q' : 'A';
        assert_non_null(license_verify(&l, &f));
        text[i] = right;
    }
    assert_null(license_verify(&l, &f));
    /* Of another algorithm, and of none. */
    static const char *const heads[] = {"eyJhbGciOiJub25lIiwidHlwIjoidHJvdGgtbGljZW5zZSIsImtpZCI6ImsifQ", "e30", "bm8"};
    for (size_t i = 0; i < COUNT(heads); i++) {
        CLEANUP(text_free) char *other = text_format("%s%s", heads[i], strchr(v.file, '.'));
        l.file = other;
        assert_string_equal(license_verify(&l, &f), "license-malformed");
    }
}

static char *encoded(const json_t *j)
{
    CLEANUP(text_free) char *text = json_dumps(j, JSON_COMPACT);
    size_t n = sodium_base64_encoded_len(strlen(text), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *out = malloc(n);
    return sodium_bin2base64(out, n, (unsigned char *)text, strlen(text), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

struct signer {
    unsigned char secret[crypto_sign_SECRETKEYBYTES];
    char kid[20], x[44];
};

static struct signer signer(const char *kid)
{
    struct signer s;
    unsigned char key[crypto_sign_PUBLICKEYBYTES];
    crypto_sign_keypair(key, s.secret);
    snprintf(s.kid, sizeof s.kid, "%s", kid);
    sodium_bin2base64(s.x, sizeof s.x, key, sizeof key, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return s;
}

static char *keys_of(const struct signer *s)
{
    return text_format("{\"keys\":[{\"kid\":\"%s\",\"crv\":\"Ed25519\",\"x\":\"%s\"}]}", s->kid, s->x);
}

static char *sign(const struct signer *s, const char *type, json_t *payload)
{
    unsigned char signature[crypto_sign_BYTES];
    char text[90];
    CLEANUP(json_done) json_t *owned = payload;
    CLEANUP(json_done) json_t *head = json_pack("{s:s, s:s, s:s}", "alg", "EdDSA", "typ", type, "kid", s->kid);
    CLEANUP(text_free) char *one = encoded(head);
    CLEANUP(text_free) char *two = encoded(owned);
    CLEANUP(text_free) char *both = text_format("%s.%s", one, two);
    crypto_sign_detached(signature, NULL, (unsigned char *)both, strlen(both), s->secret);
    sodium_bin2base64(text, sizeof text, signature, sizeof signature, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return text_format("%s.%s", both, text);
}

static char *file_of(const struct signer *s, int64_t made, int64_t expires)
{
    CLEANUP(text_free) char *url = text_format("http://127.0.0.1:%d", portal.port);
    return sign(s, "troth-license",
                json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:[]}", "iss", url, "iat", (json_int_t)made, "exp",
                          (json_int_t)expires, "license", COMMAND, "seat", BINDING, "device", DEVICE, "product", "p",
                          "application", "com.example.total-security", "ends", (json_int_t)expires, "features"));
}

static char *list_of(const struct signer *s, int64_t made, const char *seat)
{
    CLEANUP(text_free) char *url = text_format("http://127.0.0.1:%d", portal.port);
    return sign(s, "troth-revocations",
                json_pack("{s:s, s:I, s:I, s:[s]}", "iss", url, "iat", (json_int_t)made, "exp", (json_int_t)made + 604800, "seats",
                          seat));
}

static void at(struct troth *t, int64_t now)
{
    t->skew = now - os_seconds();
}

/* Fails if keys that are not the portal's vouch for a file, or an older list of revocations displaces a newer one. */
static void keys_are_built_in_or_fetched(void **state)
{
    (void)state;
    struct signer ours = signer("ours"), theirs = signer("ours"); /* the same name */
    CLEANUP(text_free) char *keys = keys_of(&ours);
    CLEANUP(text_free) char *good = file_of(&ours, MADE, EXPIRES);
    CLEANUP(text_free) char *forged = file_of(&theirs, MADE, EXPIRES);
    CLEANUP(text_free) char *newer = list_of(&ours, MADE + 10, BINDING);
    CLEANUP(text_free) char *older = list_of(&ours, MADE, COMMAND);
    const struct troth_license_file *f;
    struct troth *t = NULL;
    be_bound("");
    t = app(0);
    at(t, MADE + 60);
    assert_int_equal(troth_license_import(t, good, NULL), TROTH_VOID);
    assert_string_equal(troth_problem(t)->code, "license-key-unknown");
    troth_close(t);

    assert_int_equal(try_app(&t, 0, "no JSON"), TROTH_USAGE);
    assert_int_equal(try_app(&t, 0, keys), TROTH_OK);
    at(t, MADE + 60);
    assert_int_equal(troth_license_check(t, &f), TROTH_VOID);
    assert_string_equal(troth_problem(t)->code, "license-missing");
    assert_int_equal(troth_license_import(t, forged, NULL), TROTH_VOID);
    assert_string_equal(troth_problem(t)->code, "license-forged");
    assert_int_equal(troth_license_import(t, good, older), TROTH_OK);
    assert_int_equal(troth_license_check(t, &f), TROTH_OK);
    assert_string_equal(f->seat, BINDING);
    assert_int_equal(troth_license_import(t, good, newer), TROTH_VOID);
    assert_string_equal(troth_problem(t)->code, "license-revoked");
    assert_int_equal(troth_license_import(t, good, older), TROTH_VOID); /* the newer list stays */
    assert_int_equal(troth_license_check(t, &f), TROTH_VOID);
    troth_close(t);
}

/* Fails if a clock that is set back prolongs a file, or if one that was wrong once voids every later file. */
static void a_clock_that_was_wrong_once(void **state)
{
    (void)state;
    struct signer s = signer("ours");
    CLEANUP(text_free) char *keys = keys_of(&s);
    CLEANUP(text_free) char *first = file_of(&s, MADE, MADE + 86400);
    CLEANUP(text_free) char *second = file_of(&s, MADE + 100, MADE + 2 * 86400);
    const struct troth_license_file *f;
    struct troth *t = NULL;
    be_bound("");
    assert_int_equal(try_app(&t, 0, keys), TROTH_OK);
    at(t, MADE + 60);
    assert_int_equal(troth_license_import(t, first, NULL), TROTH_OK);
    at(t, MADE + 86400);
    assert_int_equal(troth_license_check(t, &f), TROTH_VOID);
    at(t, MADE + 60); /* set back */
    assert_int_equal(troth_license_check(t, &f), TROTH_VOID);
    assert_string_equal(troth_problem(t)->code, "license-expired");
    at(t, INT64_C(4070908800)); /* 2099 */
    assert_int_equal(troth_license_check(t, &f), TROTH_VOID);
    at(t, MADE + 120);
    assert_int_equal(troth_license_check(t, &f), TROTH_VOID);
    assert_int_equal(troth_license_import(t, second, NULL), TROTH_OK); /* another file is good */
    assert_int_equal(troth_license_check(t, &f), TROTH_OK);
    at(t, MADE + 30);
    assert_int_equal(troth_license_check(t, &f), TROTH_OK);
    troth_close(t);
    assert_int_equal(try_app(&t, 0, keys), TROTH_OK); /* what was seen is remembered over a restart */
    at(t, INT64_C(4070908800));
    assert_int_equal(troth_license_check(t, &f), TROTH_VOID);
    troth_close(t);

    /* The portal's clock mends it, for the same file. */
    CLEANUP(text_free) char *third = text_format("%s\n", second);
    CLEANUP(text_free) char *list = list_of(&s, MADE, COMMAND);
    CLEANUP(text_free) char *date = strdup("Date: Wed, 25 Nov 2026 11:00:00 GMT\r\n");
    const struct says says[] = {{"200 OK", date, keys}, {"200 OK", date, list}, {"200 OK", date, third}, {"200 OK", date, keys},
                                {"200 OK", date, list}, {"404 Not Found", date, "{\"code\":\"no-license\"}"}};
    t = app(0);
    portal_serve(&portal, says, COUNT(says));
    assert_int_equal(troth_license_fetch(t), TROTH_OK);
    assert_int_equal(troth_license_check(t, &f), TROTH_OK);
    assert_string_equal(header(&portal, 0, "Authorization"), ""); /* keys and the list are everybody's */
    assert_string_equal(header(&portal, 2, "Authorization"), "Bearer d1.first");
    /* Where the portal says that there is none, an old one is none either. */
    assert_int_equal(troth_license_fetch(t), TROTH_REFUSED);
    assert_int_equal(troth_license_check(t, &f), TROTH_VOID);
    assert_string_equal(troth_problem(t)->code, "license-missing");
    troth_close(t);
    portal_asked(&portal);
}

/* ---- sending ---- */

/* Fails if waits grow without end, or if apps come back in step. */
static void waits_double_between_half_and_whole(void **state)
{
    (void)state;
    for (int n = 0; n < 40; n++) {
        int64_t whole = n < 11 ? 2000 << n : 3600000, least = INT64_MAX, most = 0;
        if (whole > 3600000)
            whole = 3600000;
        for (int i = 0; i < 300; i++) {
            int64_t wait = back_off(n, 2000, 3600000);
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
        }
        assert_true(least >= whole / 2 && most <= whole);
        assert_true(most - least > whole / 3); /* 300 draws of an even spread over whole / 2 */
    }
}

/* Fails if a message is given up where it could be sent, is another one the second time, or waits beyond patience. */
static void a_message_is_sent_again_with_its_key(void **state)
{
    (void)state;
    static const struct says says[] = {{"503 Service Unavailable", "Retry-After: 0\r\n", NULL},
                                       {NULL, NULL, NULL},
                                       {"200 OK", NULL, "{\"license\":" LICENSE "}"},
                                       {"429 Too Many Requests", "Retry-After: 3600\r\n", "{\"code\":\"too-many\"}"}};
    be_bound("");
    struct troth *t = app(5);
    portal_serve(&portal, says, COUNT(says));
    assert_int_equal(troth_activate(t, "ABCDE"), TROTH_OK);
    assert_string_not_equal(header(&portal, 0, "Idempotency-Key"), "");
    for (size_t i = 0; i < 3; i++) {
        assert_asked(&portal, i, "POST /api/v1/activation-codes HTTP/1.1");
        assert_string_equal(header(&portal, i, "Idempotency-Key"), header(&portal, 0, "Idempotency-Key"));
    }
    assert_int_equal(troth_activate(t, "ABCDE"), TROTH_LATER);
    assert_int_equal(troth_retry_after(t), 3600);
    assert_string_equal(troth_problem(t)->code, "too-many");
    assert_string_not_equal(header(&portal, 3, "Idempotency-Key"), header(&portal, 0, "Idempotency-Key"));
    troth_close(t);
    portal_asked(&portal);
}

#define WHO "\"device_id\":\"" DEVICE "\",\"application_instance_id\":\"" DEVICE "\",\"binding_id\":\"" BINDING "\",\"user_id\":\"" DEVICE "\""

/* Fails if the token or an ID is lost between the binding and the next message, at a rotation or over a restart; or
 * if an app can take a step before the statement was shown. */
static void wps_01_wps_16_wps_18_the_way_in(void **state)
{
    (void)state;
    static const struct says says[] = {
        {"200 OK", NULL,
         "{\"version\":\"1.abc\",\"locale\":\"en\",\"title\":\"T\",\"text\":\"X\",\"documents\":[],\"fields\":[]}"},
        {"201 Created", NULL, "{\"context\":\"c1.one\",\"expires\":\"2026-11-25T10:00:00Z\"}"},
        {"200 OK", NULL, "{\"context\":\"c1.two\",\"next\":\"bind\"}"},
        {"201 Created", NULL, "{" WHO ",\"token\":\"d1.first\",\"interval\":5}"},
        {"204 No Content", NULL, NULL},
        {"200 OK", "ETag: \"e1\"\r\n",
         "{\"commands_waiting\":0,\"interval\":7,\"activation_codes\":[\"ABC\"],\"token\":\"d1.second\",\"license\":" LICENSE "}"},
        {"304 Not Modified", "ETag: \"e1\"\r\n", NULL},
    };
    const struct troth_statement *s;
    struct troth *t = app(0);
    assert_int_equal(troth_connect(t, "ABCD"), TROTH_USAGE);
    assert_int_equal(troth_accept(t, TROTH_PARTICIPATE), TROTH_USAGE);
    assert_int_equal(troth_report(t, &device, NULL), TROTH_USAGE);
    portal_serve(&portal, says, COUNT(says));
    assert_int_equal(troth_statement(t, &s), TROTH_OK);
    assert_int_equal(troth_accept(t, TROTH_PARTICIPATE), TROTH_OK);
    assert_int_equal(troth_connect(t, "ABCD"), TROTH_OK);
    assert_int_equal(troth_bind(t, &device), TROTH_OK);
    assert_int_equal(troth_set_service(t, "none", "my-account"), TROTH_OK);
    assert_int_equal(troth_report(t, &device, NULL), TROTH_OK);
    assert_int_equal(troth_state(t)->interval, 7);
    assert_string_equal(troth_state(t)->license->status, "none");
    assert_string_equal(troth_state(t)->activation_codes[0], "ABC");
    assert_non_null(strstr(portal.requests[2], "\"context\":\"c1.one\""));
    assert_non_null(strstr(portal.requests[3], "\"context\":\"c1.two\""));
    assert_asked(&portal, 4, "PUT /api/v1/bindings/" BINDING "/service HTTP/1.1");
    assert_string_equal(header(&portal, 4, "Authorization"), "Bearer d1.first");
    assert_asked(&portal, 5, "PUT /api/v1/bindings/" BINDING "/state HTTP/1.1");
    assert_non_null(strstr(portal.requests[5], "\"network_name\":\"kitchen-laptop\""));
    troth_close(t);

    t = app(0);
    assert_string_equal(troth_ids(t)->binding_id, BINDING);
    assert_string_equal(troth_ids(t)->user_id, DEVICE);
    assert_string_equal(troth_state(t)->activation_codes[0], "ABC");
    assert_string_equal(troth_state(t)->license->type, "none");
    assert_int_equal(troth_report(t, &device, NULL), TROTH_UNCHANGED); /* the same: one small question */
    assert_asked(&portal, 6, "GET /api/v1/bindings/" BINDING "/state HTTP/1.1");
    assert_string_equal(header(&portal, 6, "If-None-Match"), "\"e1\"");
    assert_string_equal(header(&portal, 6, "Authorization"), "Bearer d1.second");
    troth_close(t);
    portal_asked(&portal);
}

/* Fails if what could not be sent is lost with the app, is sent under another key, or blocks what follows when it is
 * refused for good; or if what is only held up for a while is thrown away. */
static void wps_20_the_queue_outlives_the_app(void **state)
{
    (void)state;
    static const struct says held[] = {{"403 Forbidden", NULL, "{\"code\":\"restricted\"}"},
                                       {"403 Forbidden", NULL, "{\"code\":\"consent-withdrawn\"}"}};
    static const struct says passed[] = {{"404 Not Found", NULL, "{\"code\":\"command-unknown\"}"},
                                         {"204 No Content", NULL, NULL},
                                         {"200 OK", NULL, STATE}};
    be_bound("");
    struct troth *t = app(0);
    assert_int_equal(troth_done(t, COMMAND), TROTH_QUEUED); /* nobody listens there yet */
    assert_int_equal(troth_failed(t, COMMAND, "no-position"), TROTH_QUEUED);
    assert_int_equal(troth_failed(t, COMMAND, "No Position"), TROTH_USAGE);
    assert_int_equal(troth_done(t, "../../accounts"), TROTH_USAGE);
    assert_int_equal(queued(), 2);
    troth_close(t);
    CLEANUP(json_done) json_t *before = kept();
    const char *key = json_string_value(json_object_get(json_array_get(json_object_get(before, "queue"), 0), "key"));

    t = app(0);
    portal_serve(&portal, held, COUNT(held));
    assert_int_equal(troth_step(t, &device, NULL, 0), TROTH_REFUSED);
    assert_int_equal(queued(), 2);
    t->try_at = 0; /* the wait is over */
    assert_int_equal(troth_step(t, &device, NULL, 0), TROTH_STATEMENT_CHANGED);
    assert_int_equal(queued(), 2);
    portal_asked(&portal);
    troth_close(t);

    t = app(0);
    portal_serve(&portal, passed, COUNT(passed));
    assert_int_equal(troth_step(t, &device, NULL, 0), TROTH_OK);
    assert_int_equal(queued(), 0);
    assert_asked(&portal, 0, "POST /api/v1/commands/" COMMAND "/done HTTP/1.1");
    assert_string_equal(header(&portal, 0, "Idempotency-Key"), key);
    assert_asked(&portal, 1, "POST /api/v1/commands/" COMMAND "/failed?reason=no-position HTTP/1.1");
    troth_close(t);
    portal_asked(&portal);
}

/* Fails if the queue grows without end. */
static void the_queue_is_full_one_day(void **state)
{
    (void)state;
    be_bound("");
    struct troth *t = app(0);
    for (int i = 0; i < QUEUE_MAX; i++)
        assert_int_equal(troth_done(t, COMMAND), TROTH_QUEUED);
    assert_int_equal(troth_done(t, COMMAND), TROTH_FULL);
    assert_int_equal(queued(), QUEUE_MAX);
    troth_close(t);
}

/* Fails if anything is kept of a binding that has ended, or anything sent after a person has left. */
static void wps_10_wps_28_the_end_is_the_end(void **state)
{
    (void)state;
    static const struct says gone[] = {{"410 Gone", NULL, "{\"code\":\"disconnected\"}"}};
    static const struct says heard_of[] = {{"200 OK", NULL, "{\"ended\":\"2026-11-25T10:00:00Z\"}"}};
    be_bound(",\"license_file\":\"x\",\"told\":" STATE);
    struct troth *t = app(0);
    assert_int_equal(troth_done(t, COMMAND), TROTH_QUEUED);
    assert_int_equal(troth_disconnect(t), TROTH_QUEUED);
    assert_int_equal(queued(), 0); /* nothing is told any more but the end */
    assert_int_equal(troth_report(t, &device, NULL), TROTH_DISCONNECTED);
    troth_close(t);
    t = app(0);
    assert_int_equal(troth_done(t, COMMAND), TROTH_DISCONNECTED);
    portal_serve(&portal, heard_of, COUNT(heard_of));
    assert_int_equal(troth_step(t, &device, NULL, 0), TROTH_DISCONNECTED);
    assert_asked(&portal, 0, "POST /api/v1/disconnections HTTP/1.1");
    portal_asked(&portal);
    assert_null(troth_ids(t));
    troth_close(t);

    be_bound(",\"license_file\":\"x\"");
    t = app(0);
    portal_serve(&portal, gone, COUNT(gone));
    assert_int_equal(troth_report(t, &device, NULL), TROTH_DISCONNECTED);
    portal_asked(&portal);
    CLEANUP(json_done) json_t *j = kept();
    assert_int_equal(json_object_size(j), 1);
    assert_non_null(json_object_get(j, "url"));
    assert_null(troth_ids(t));
    troth_close(t);
}

/* Fails if an app asks again for what it was told, comes back without a pause, or waits longer than it was told to. */
static void wps_20_a_long_poll_names_what_it_has_heard(void **state)
{
    (void)state;
    static const char said[] = "Last-Modified: Wed, 25 Nov 2026 10:00:00 GMT\r\nEtag: 7\r\n";
    static const struct says says[] = {{"200 OK", NULL, STATE},
                                       {"304 Not Modified", NULL, NULL}, /* the report */
                                       {"200 OK", said, "{\"commands_waiting\":1}"},
                                       {"304 Not Modified", NULL, NULL}, /* ... and again, for something waits */
                                       {.silent = true}};
    be_bound("");
    struct troth *t = app(0);
    portal_serve(&portal, says, COUNT(says));
    assert_int_equal(troth_step(t, &device, NULL, 5), TROTH_OK); /* told for the first time */
    t->report_at = 0;
    assert_int_equal(troth_step(t, &device, NULL, 5), TROTH_UNCHANGED);
    assert_asked(&portal, 2, "GET /api/v1/commands/wait HTTP/1.1");
    assert_string_equal(header(&portal, 2, "If-None-Match"), "");
    int64_t began = os_monotonic();
    assert_int_equal(troth_step(t, &device, NULL, 2), TROTH_UNCHANGED);
    int64_t took = os_monotonic() - began;
    assert_string_equal(header(&portal, 4, "If-None-Match"), "7");
    assert_string_equal(header(&portal, 4, "If-Modified-Since"), "Wed, 25 Nov 2026 10:00:00 GMT");
    assert_true(took >= 1900 && took < 2900);
    assert_true(portal.asked_at[4] - portal.asked_at[2] >= 950);
    troth_close(t);
    portal_asked(&portal);
}

/* Fails if what is sent on loopback goes to a proxy, if the portal's clock is not believed, or a page of somebody
 * else's is taken for an answer. */
static void what_answers_is_the_portal(void **state)
{
    (void)state;
    static const struct says says[] = {{"304 Not Modified", "Date: Wed, 25 Nov 2026 10:00:00 GMT\r\n", NULL},
                                       {"200 OK", NULL, "<html>Welcome to the hotel</html>"},
                                       {"302 Found", "Location: http://hotel.example/\r\n", NULL}};
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    be_bound("");
    struct troth *t = app(0);
    portal_serve(&portal, says, COUNT(says));
    assert_int_equal(troth_report(t, &device, NULL), TROTH_UNCHANGED);
    assert_in_range(troth_now(t), MADE, MADE + 5);
    assert_int_equal(troth_report(t, &device, NULL), TROTH_ANSWER);
    assert_int_equal(troth_done(t, COMMAND), TROTH_QUEUED);
    unsetenv("http_proxy");
    troth_close(t);
    portal_asked(&portal);
}

/* Fails if a file that another wrote is believed, others may read it, or two processes undo each other's work. */
static void what_lasts_is_one_file(void **state)
{
    (void)state;
    static const char *const foreign[] = {"", "[]", "{\"token\":\"d1.a\\r\\nX\"}", "{\"token\":\"d1.a\"}",
                                          "{\"token\":\"d1.a\",\"device_id\":\"../x\"}"};
    struct troth *t = NULL, *u;
    struct stat s;
    for (size_t i = 0; i < COUNT(foreign); i++) {
        write_state(foreign[i]);
        assert_int_equal(try_app(&t, 0, NULL), TROTH_STORAGE);
    }
    be_bound("");
    t = app(0);
    u = app(0);
    assert_int_equal(troth_done(t, COMMAND), TROTH_QUEUED);
    assert_int_equal(troth_done(u, COMMAND), TROTH_QUEUED);
    assert_int_equal(queued(), 2);
    CLEANUP(text_free) char *path = text_format("%s/troth.json", folder);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    troth_close(t);
    troth_close(u);
    /* Another portal than the one that it is bound to hears nothing. */
    portal.port++;
    assert_int_equal(try_app(&t, 0, NULL), TROTH_USAGE);
    portal.port--;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)
    const struct CMUnitTest tests[] = {
        TEST(answers_have_limits),
        TEST(answers_have_shapes),
        TEST(times_and_addresses),
        TEST(captchas_have_a_price),
        TEST(a_license_file_is_good_or_void),
        TEST(no_character_of_a_license_file_can_be_changed),
        TEST(keys_are_built_in_or_fetched),
        TEST(a_clock_that_was_wrong_once),
        TEST(waits_double_between_half_and_whole),
        TEST(a_message_is_sent_again_with_its_key),
        TEST(wps_01_wps_16_wps_18_the_way_in),
        TEST(wps_20_the_queue_outlives_the_app),
        TEST(the_queue_is_full_one_day),
        TEST(wps_10_wps_28_the_end_is_the_end),
        TEST(wps_20_a_long_poll_names_what_it_has_heard),
        TEST(what_answers_is_the_portal),
        TEST(what_lasts_is_one_file),
    };
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
