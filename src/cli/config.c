#include "cli/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/email.h"
#include "base/file.h"
#include "base/network.h"
#include "work/live.h"
#include "features/purchases/purchases.h"
#include "work/sms.h"

enum { MAX_FILE = 256 * 1024, NAME_BYTES = 64 };

#define AT(field) offsetof(struct settings, field)

static const char *const levels[] = {"debug", "info", "warning", "error", NULL};
/* Two words that are a flag: the second sets it. */
static const char *const rotators[] = {"program", "operator", NULL};
static const char *const switches[] = {"on", "off", NULL};

/* ---- what a text must look like ---- */

static const char *wrong_listen(struct arena *a, str v)
{
    str host, port;
    int64_t n;
    (void)a;
    bool path = str_starts(v, STR("unix:")) && v.n > 5;
    bool address = str_cut_last(v, ':', &host, &port) && host.n > 0 && str_to_int(port, &n) && n > 0 && n < 65536;
    return path || address ? NULL : "HOST:PORT or unix:PATH";
}

static const char *wrong_database(struct arena *a, str v)
{
    (void)a;
    bool known = (str_starts(v, STR("sqlite:")) && v.n > 7) || str_starts(v, STR("postgres://")) ||
                 str_starts(v, STR("postgresql://"));
    return known ? NULL : "sqlite:PATH or postgres://…";
}

static const char *wrong_url(struct arena *a, str v)
{
    (void)a;
    bool web = str_starts(v, STR("https://")) || str_starts(v, STR("http://"));
    return web && url_host(v).n > 0 ? NULL : "https://HOST or http://HOST";
}

static const char *wrong_mail(struct arena *a, str v)
{
    (void)a;
    bool known = (str_starts(v, STR("smtp://")) && v.n > 7) || (str_starts(v, STR("smtps://")) && v.n > 8) ||
                 (str_starts(v, STR("file:")) && v.n > 5);
    return known ? NULL : "smtp://HOST, smtps://HOST or file:DIR";
}

static const char *wrong_address(struct arena *a, str v)
{
    struct email e;
    return email_parse(a, v, &e) == OK ? NULL : "not a mail address";
}

static const char *wrong_prefixes(struct arena *a, str v)
{
    (void)a;
    str one, rest = v;
    while (rest.n > 0) {
        if (!str_cut(rest, ' ', &one, &rest)) {
            one = rest;
            rest = (str){NULL, 0};
        }
        bool fine = one.n >= 2 && one.n <= 8 && one.p[0] == '+' && one.p[1] != '0';
        for (size_t i = 1; i < one.n; i++)
            fine &= one.p[i] >= '0' && one.p[i] <= '9';
        if (!fine)
            return "prefixes as numbers begin with, one blank between them: +46 +47";
    }
    return v.n ? NULL : "at least one prefix";
}

/* The European Economic Area, Switzerland and the United Kingdom. */
#define PREFIXES "+30 +31 +32 +33 +34 +351 +352 +353 +354 +356 +357 +358 +359 +36 +370 +371 +372 " \
                 "+385 +386 +39 +40 +41 +420 +421 +423 +43 +44 +45 +46 +47 +48 +49"

const struct config_key config_keys[] = {
    {"data", KEY_TEXT, AT(data), "/var/lib/troth", .about = "The data directory; made if it is not there."},
    {"listen", KEY_TEXT, AT(listen), "127.0.0.1:8080", .wrong = wrong_listen, .about = "HOST:PORT or unix:PATH. Behind nginx: loopback or a socket."},
    {"database", KEY_TEXT, AT(database), NULL, .wrong = wrong_database, .about = "sqlite:PATH or postgres://…; otherwise sqlite: in the data directory."},
    {"keyring", KEY_TEXT, AT(keyring), NULL, .wrong = wrong_database, .about = "Where people's keys lie; otherwise beside the database: a file of its own, or a schema of its own."},
    {"public_url", KEY_TEXT, AT(public_url), NULL, .wrong = wrong_url, .about = "As people reach the portal: https://portal.example.com; otherwise http:// and `listen`."},
    {"master_key_file", KEY_TEXT, AT(master_key_file), NULL, .about = "32 random bytes, mode 0600; otherwise the systemd credential troth-master-key, or master.key in the data directory."},
    {"master_key_next_file", KEY_TEXT, AT(master_key_next_file), "", .about = "The next master key, where an operator brings it (several servers, systemd credentials)."},
    {"master_key_every", KEY_TERM, AT(master_key_every), "P7D", .about = "How often the master key is replaced."},
    {"master_key_by", KEY_WORD, AT(master_key_by_operator), "program", rotators, .about = "Who replaces it: program or operator."},
    {"mail", KEY_TEXT, AT(mail), "smtp://127.0.0.1:25", .wrong = wrong_mail, .about = "smtp://[USER:PASSWORD@]HOST[:PORT], smtps://…, or file:DIR (one .eml each)."},
    {"mail_from", KEY_TEXT, AT(mail_from), NULL, .wrong = wrong_address, .about = "The sender's address; otherwise no-reply@ the public URL's host."},
    {"mail_ca_file", KEY_TEXT, AT(mail_ca_file), "", .about = "Certificates to believe a mail server by; otherwise the system's."},
    {"sms", KEY_TEXT, AT(sms), "", .wrong = sms_wrong_target, .about = "Who sends codes by text message (Twilio's HTTP API): https://SID:TOKEN@HOST?from=+46…, or file:DIR (one .json each). Without it, no such codes are offered."},
    {"sms_prefixes", KEY_TEXT, AT(sms_prefixes), PREFIXES, .wrong = wrong_prefixes, .about = "Where text messages may go: the beginnings of numbers, one blank between them."},
    {"sms_per_day", KEY_INT, AT(sms_per_day), "2000", .least = 1, .most = 10000000, .about = "Text messages a day at most, from the whole portal: fraud by expensive numbers ends there."},
    {"store", KEY_TEXT, AT(store), "", .wrong = store_wrong_target, .about = "Where things are bought (Stripe's API): https://KEY@api.stripe.com, a restricted key. Without it, nothing is sold here."},
    {"store_webhook_secret", KEY_TEXT, AT(store_webhook_secret), "", .wrong = store_wrong_secret, .about = "What the store signs its events with: whsec_… (several with blanks between while it changes), or file:/PATH."},
    {"store_ca_file", KEY_TEXT, AT(store_ca_file), "", .about = "Certificates to believe the store by; otherwise the system's."},
    {"app_stores", KEY_TEXT, AT(app_stores), "", .about = "Whose signed purchases apps may hand over (app-stores.yaml). Without it, none."},
    {"organisation_file", KEY_TEXT, AT(organisation_file), "", .about = "Who runs the portal (organisation.yaml); otherwise the demo's."},
    {"catalogue", KEY_TEXT, AT(catalogue), "", .about = "What is licensed: products, terms, devices (catalogue.yaml); otherwise the demo's."},
    {"places", KEY_TEXT, AT(places), "", .about = "A file that says about where a network address is (MaxMind's format, .mmdb): sign-ins are shown with the place. Without it, with the address alone."},
    {"live", KEY_TEXT, AT(live), "", .wrong = live_wrong_targets, .about = "Where nginx takes word for apps and pages that wait (nchan; deploy/nginx.conf): http://127.0.0.1:PORT, a blank between several. Without it nobody waits: all look again by themselves."},
    {"overlay", KEY_TEXT, AT(overlay), "", .about = "A folder of your own that lies over ours: ROOM/views/NAME.html, ROOM/locale/CODE.mo."},
    {"reopen_window", KEY_TERM, AT(reopen_window), "P14D", .about = "How long a closed account can be reopened; never past the promised month."},
    {"argon_memory", KEY_BYTES_SIZE, AT(argon_memory), "67108864", .least = 8 << 20, .most = (int64_t)4 << 30, .about = "Memory of one password hash, in bytes (Argon2id; RFC 9106's second choice)."},
    {"argon_passes", KEY_INT, AT(argon_passes), "3", .least = 1, .most = 100, .about = "Passes of one password hash."},
    {"max_connections", KEY_INT, AT(max_connections), "64", .least = 1, .most = 4096, .about = "Connections at a time; one thread each."},
    {"workers", KEY_INT, AT(workers), "2", .least = 1, .most = 16, .about = "Threads for work done later."},
    {"limits", KEY_WORD, AT(limits_off), "on", switches, .about = "How often one address may ask: on or off. Off is for benchmarks, and for a proxy that limits."},
    {"staff_networks", KEY_NETWORKS, AT(staff_networks), "", .about = "From where people who work here reach the desk: a list of networks (192.0.2.0/24, 2001:db8::/32); otherwise from anywhere."},
    {"behind_proxy", KEY_FLAG, AT(behind_proxy), "false", .about = "Believe X-Forwarded-For: a proxy of yours sets it."},
    {"demo", KEY_FLAG, AT(demo), "false", .about = "Say that this is a demo, and show the mail that it sends."},
    {"log_level", KEY_WORD, AT(log_level), "info", levels, .about = "debug, info, warning or error."},
};
const size_t n_config_keys = COUNT(config_keys);

static void env_name(const struct config_key *k, char out[NAME_BYTES])
{
    size_t n = 6;
    memcpy(out, "TROTH_", 6);
    for (const char *p = k->name; *p && n + 1 < NAME_BYTES; p++)
        out[n++] = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
    out[n] = '\0';
}

/* Where a value came from, for what is said of it. */
struct source {
    const char *file;
    int line;
    const char *name;
};

static enum err complain(const struct source *s, struct fault *f, const char *why)
{
    if (s->file)
        return FAIL(f, ERR_INPUT, "%s:%d: %s: %s", s->file, s->line, s->name, why);
    return FAIL(f, ERR_INPUT, "%s: %s", s->name, why);
}

static bool is_word(const char *const *words, str value)
{
    for (; *words; words++)
        if (str_is(value, *words))
            return true;
    return false;
}

static enum err set_value(const struct config_key *k, struct arena *a, struct settings *out,
                          str value, const struct source *s, struct fault *f)
{
    const char *wrong = k->wrong ? k->wrong(a, value) : NULL;
    void *at = (char *)out + k->offset;
    if (wrong)
        return complain(s, f, wrong);
    switch (k->type) {
    case KEY_TEXT:
        *(str *)at = value;
        return OK;
    case KEY_TERM:
        if (term_parse(value, at) != OK || term_is_zero(*(struct term *)at))
            return complain(s, f, "not a term (ISO 8601: P14D, P1M)");
        return OK;
    case KEY_INT:
    case KEY_BYTES_SIZE:
        if (!str_to_int(value, at) || *(int64_t *)at < k->least || *(int64_t *)at > k->most)
            return complain(s, f, "not a number within its limits");
        return OK;
    case KEY_FLAG:
        if (!str_is(value, "true") && !str_is(value, "false"))
            return complain(s, f, "true or false");
        *(bool *)at = str_is(value, "true");
        return OK;
    case KEY_NETWORKS:
        if (networks_parse(a, value, at) != OK)
            return complain(s, f, "networks, such as 192.0.2.0/24 or 2001:db8::/32, with no bit set past their length");
        return OK;
    case KEY_WORD:
        if (!is_word(k->words, value))
            return complain(s, f, "not one of its words");
        if (k->words == rotators || k->words == switches)
            *(bool *)at = str_is(value, k->words[1]);
        else
            *(str *)at = value;
        return OK;
    }
    return OK;
}

static const struct config_key *key_named(str name)
{
    for (size_t i = 0; i < COUNT(config_keys); i++)
        if (str_is(name, config_keys[i].name))
            return &config_keys[i];
    return NULL;
}

/* The text of a key's value: a list is its entries, with commas between. */
static bool value_text(const struct config_key *k, const struct yaml *n, struct arena *a, str *out)
{
    struct buf b = buf_new(a, MAX_FILE);
    *out = n->text;
    if (n->kind == YAML_SCALAR)
        return true;
    if (n->kind != YAML_LIST || k->type != KEY_NETWORKS)
        return false;
    YAML_EACH(one, n)
    {
        if (one->kind != YAML_SCALAR)
            return false;
        buf_put(&b, one->text);
        buf_char(&b, ',');
    }
    *out = buf_str(&b);
    return true;
}

static enum err read_file(const char *file, struct arena *a, struct settings *out, bool *given,
                          struct fault *f)
{
    str text;
    struct yaml *root;
    TRY(file_read(a, file, MAX_FILE, &text, f));
    enum err e = yaml_parse(a, text, &root, f);
    if (e != OK)
        fault_prefix(f, "%s:", file);
    TRY(e);
    if (root->kind != YAML_MAP)
        return FAIL(f, ERR_INPUT, "%s:%d: a mapping of keys to values", file, root->line);
    YAML_EACH(n, root)
    {
        const struct config_key *k = key_named(n->key);
        if (k == NULL)
            return FAIL(f, ERR_INPUT, "%s:%d: there is no key %.*s (troth help config lists them)", file,
                        n->line, STR_FMT(n->key));
        struct source s = {file, n->line, k->name};
        str value;
        if (!value_text(k, n, a, &value))
            return complain(&s, f, k->type == KEY_NETWORKS ? "a list of networks" : "one value");
        TRY(set_value(k, a, out, value, &s, f));
        given[k - config_keys] = true;
    }
    return OK;
}

static enum err read_environment(char *const *environment, struct arena *a, struct settings *out,
                                 bool *given, struct fault *f)
{
    for (size_t i = 0; i < COUNT(config_keys); i++) {
        char name[NAME_BYTES];
        env_name(&config_keys[i], name);
        size_t n = strlen(name);
        for (char *const *e = environment; *e; e++) {
            if (strncmp(*e, name, n) != 0 || (*e)[n] != '=')
                continue;
            struct source s = {NULL, 0, name};
            TRY(set_value(&config_keys[i], a, out, str_dup(a, str_from(*e + n + 1)), &s, f));
            given[i] = true;
        }
    }
    return OK;
}

const char *config_unknown(char *const *environment, size_t *from)
{
    for (; environment[*from]; ++*from) {
        str before, after, name = str_from(environment[*from]);
        if (!str_starts(name, STR("TROTH_")) || !str_cut(name, '=', &before, &after) ||
            str_is(before, "TROTH_CONFIG") || str_starts(before, STR("TROTH_TEST_")))
            continue;
        bool known = false;
        for (size_t i = 0; i < COUNT(config_keys) && !known; i++) {
            char own[NAME_BYTES];
            env_name(&config_keys[i], own);
            known = str_is(before, own);
        }
        if (!known)
            return environment[(*from)++];
    }
    return NULL;
}

/* ---- what follows from the rest ---- */

static str in_data(const struct settings *s, struct arena *a, const char *prefix, const char *name)
{
    return str_fmt(a, "%s%.*s/%s", prefix, STR_FMT(s->data), name);
}

static void settle_master_key(struct settings *s, struct arena *a)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    str path = credentials ? str_fmt(a, "%s/troth-master-key", credentials) : (str){NULL, 0};
    if (s->master_key_file.n == 0 && credentials && file_exists(path.p))
        s->master_key_file = path;
    if (s->master_key_file.n == 0)
        s->master_key_file = in_data(s, a, "", "master.key");
    /* systemd's copy is not ours to replace. */
    s->master_key_read_only = credentials && str_starts(s->master_key_file, str_from(credentials));
    s->master_key_by_operator |= s->master_key_read_only;
}

static enum err settle(struct settings *s, struct arena *a, struct fault *f)
{
    if (s->database.n == 0)
        s->database = in_data(s, a, "sqlite:", "troth.db");
    bool sqlite = str_starts(s->database, STR("sqlite:"));
    if (s->keyring.n == 0)
        s->keyring = sqlite ? in_data(s, a, "sqlite:", "keyring.db") : s->database;
    if (s->public_url.n == 0)
        s->public_url = str_starts(s->listen, STR("unix:"))
                            ? STR("http://localhost")
                            : str_fmt(a, "http://%.*s", STR_FMT(s->listen));
    while (str_ends(s->public_url, STR("/")))
        s->public_url.n--;
    str host = url_host(s->public_url);
    settle_master_key(s, a);
    struct email from;
    if (s->mail_from.n == 0)
        s->mail_from = str_fmt(a, "no-reply@%.*s", STR_FMT(str_has(host, '.') && !(host.p[0] >= '0' && host.p[0] <= '9') ? host : STR("example.com")));
    if (email_parse(a, s->mail_from, &from) != OK)
        return FAIL(f, ERR_INPUT, "mail_from: not a mail address");
    s->mail_from = from.wire;
    return OK;
}

enum err config_read(const char *file, char *const *environment, struct arena *a,
                     struct settings *out, struct fault *f)
{
    bool given[COUNT(config_keys)] = {false};
    struct settings s = {0};
    for (size_t i = 0; i < COUNT(config_keys); i++) {
        struct source none = {NULL, 0, config_keys[i].name};
        if (config_keys[i].otherwise)
            TRY(set_value(&config_keys[i], a, &s, str_from(config_keys[i].otherwise), &none, f));
    }
    if (file)
        TRY(read_file(file, a, &s, given, f));
    TRY(read_environment(environment, a, &s, given, f));
    TRY(settle(&s, a, f));
    *out = s;
    return OK;
}
