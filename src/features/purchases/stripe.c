/* Stripe's requests and answers. */
#include "features/purchases/stripe.h"

#include <string.h>

#include <sodium.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/json.h"
#include "base/network.h"
#include "features/purchases/purchases.h"
#include "features/purchases/stripe_read.h"
#include "work/call.h"

enum { CONFIG_BYTES = 32 * 1024, FORM_BYTES = 8 * 1024, KEY_MAX = 256, SECRET_FILE_MAX = 4096, URL_BYTES = 4096 };

struct stripe {
    struct store_provider face; /* first: the interface is what others hold */
    struct arena *arena;
    str base; /* https://HOST */
    struct secret key;
    str secret;
    struct stripe_config config;
    bool tls;
};

/* ---- configuration ---- */

static bool is_word(str s, size_t max, const char *also)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == '\0' || strchr(also, c) == NULL))
            return false;
    }
    return s.n > 0 && s.n <= max;
}

/* NULL: read. Never says what stood there. */
static const char *read_target(struct arena *a, str url, str *base, str *key, bool *tls)
{
    str rest, place, host, port;
    *tls = str_starts(url, STR("https://"));
    if (!*tls && !str_starts(url, STR("http://")))
        return "https://KEY@HOST";
    rest = str_skip(url, *tls ? 8 : 7);
    if (!str_cut_last(rest, '@', key, &place))
        return "KEY@ must stand before the host";
    if (str_ends(*key, STR(":")))
        key->n--;
    if (!is_word(*key, KEY_MAX, "_"))
        return "the key has something in it that none has";
    if (str_ends(place, STR("/")))
        place.n--;
    host = place;
    if (str_cut_last(host, ':', &host, &port) && str_ends(port, STR("]")))
        host = place;
    if (!is_word(place, 200, ".:-[]") || host.n == 0)
        return "the store has no name";
    if (!*tls && !host_is_loopback(host))
        return "http:// is for this machine only: a store elsewhere needs https://";
    *base = str_fmt(a, "%s%.*s", *tls ? "https://" : "http://", STR_FMT(place));
    return NULL;
}

const char *store_wrong_target(struct arena *a, str target)
{
    str base, key;
    bool tls;
    return target.n == 0 ? NULL : read_target(a, target, &base, &key, &tls);
}

const char *store_wrong_secret(struct arena *a, str secret)
{
    (void)a;
    bool file = str_starts(secret, STR("file:/"));
    return secret.n == 0 || file || (str_starts(secret, STR("whsec_")) && is_word(secret, 1000, "_ ")) ? NULL : "whsec_… or file:/PATH";
}

static enum err read_secret(struct arena *a, str said, str *out, struct fault *f)
{
    str text = said;
    if (str_starts(said, STR("file:")))
        TRY(file_read(a, str_cstr(a, str_skip(said, 5)), SECRET_FILE_MAX, &text, f));
    char *copy = str_cstr(a, str_trim(text));
    for (char *c = copy; *c; c++)
        if (*c == '\n' || *c == '\r')
            *c = ' ';
    *out = str_from(copy);
    if (said.n > 0 && (out->n == 0 || store_wrong_secret(a, *out)))
        return FAIL(f, ERR_INPUT, "store_webhook_secret: the file holds no whsec_…");
    return OK;
}

/* ---- one request ---- */

static bool code_ok(str s)
{
    return is_word(s, 60, "_");
}

/* The provider's word for what is wrong: its decline code before its code. */
static str reason_of(struct arena *a, str body)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (json_decode(body, &j, NULL) != OK)
        return STR("unknown");
    const json_t *e = json_object_get(j, "error");
    static const char *const places[] = {"decline_code", "code", "type"};
    for (size_t i = 0; i < COUNT(places); i++)
        if (code_ok(json_get_str(e, places[i])))
            return str_dup(a, json_get_str(e, places[i]));
    return STR("unknown");
}

/*
 * What a status means for a request that may have been done. 401, 403 and 404 are about us, not about this
 * person's order; 409 is our own request, still running; 429 asks for patience.
 */
static enum store_answer judge(const struct call_answer *x, str reason)
{
    if (x->status >= 200 && x->status < 300)
        return STORE_DONE;
    if (x->status == 402 || (x->status == 400 && !str_is(reason, "idempotency_error")))
        return STORE_REFUSED;
    if (x->status == 401 || x->status == 403 || x->status == 404 || x->status == 429)
        return STORE_LATER;
    return STORE_UNCERTAIN;
}

struct exchange_with {
    const char *method;
    str path;
    const struct buf *form;
    str once; /* an idempotency key; or empty */
};

static enum store_answer ask(struct store_provider *p, struct arena *a, const struct exchange_with *x, struct call_answer *out,
                             str *reason, struct fault *f)
{
    const struct stripe *s = (const struct stripe *)p;
    struct call c = {.method = x->method,
                     .url = str_fmt(a, "%.*s%.*s", STR_FMT(s->base), STR_FMT(x->path)),
                     .user = s->key,
                     .headers = {STR("Stripe-Version: " STRIPE_VERSION), STR("Expect:")},
                     .n_headers = 2,
                     .ca_file = s->config.ca_file,
                     .timeout_ms = s->config.timeout_ms};
    *reason = (str){NULL, 0};
    if (x->once.n > 0)
        c.headers[c.n_headers++] = str_fmt(a, "Idempotency-Key: %.*s", STR_FMT(x->once));
    if (x->form && x->form->over) {
        (void)FAIL(f, ERR_LIMIT, "a form for the store is too long");
        return STORE_LATER;
    }
    if (x->form)
        c.form = buf_str(x->form);
    enum err e = call_make(a, &c, out, f);
    if (e != OK)
        return out->sent ? STORE_UNCERTAIN : STORE_LATER;
    *reason = reason_of(a, out->body);
    enum store_answer answer = judge(out, *reason);
    if (answer != STORE_DONE && f->code == OK)
        (void)FAIL(f, ERR_BUSY, "the store answers %ld, %.*s", out->status, STR_FMT(*reason));
    return answer;
}

/* It answered; can it be read? What cannot be read was perhaps done. */
static enum store_answer unread(struct fault *f)
{
    (void)FAIL(f, ERR_BUSY, "the store's answer cannot be read");
    return STORE_UNCERTAIN;
}

/* ---- the calls ---- */

static enum store_answer open_customer(struct store_provider *p, struct arena *a, id user, id once, str *customer, struct fault *f)
{
    struct buf form = buf_new(a, FORM_BYTES);
    struct call_answer answer;
    str reason;
    call_field(&form, "metadata[user]", id_str(&user));
    struct exchange_with x = {"POST", STR("/v1/customers"), &form, str_fmt(a, "customer-%s", once.text)};
    enum store_answer r = ask(p, a, &x, &answer, &reason, f);
    if (r != STORE_DONE)
        return r;
    CLEANUP(json_done) json_t *j = NULL;
    if (json_decode(answer.body, &j, NULL) != OK || !stripe_id_ok(json_get_str(j, "id"), "cus_"))
        return unread(f);
    *customer = str_dup(a, json_get_str(j, "id"));
    return STORE_DONE;
}

static enum store_answer card_page(struct store_provider *p, struct arena *a, id user, str customer, id once, const char *language,
                                   str done_url, str back_url, str *url, struct fault *f)
{
    const struct stripe *s = (const struct stripe *)p;
    struct buf form = buf_new(a, FORM_BYTES);
    struct call_answer answer;
    str reason;
    call_field(&form, "mode", STR("setup"));
    call_field(&form, "payment_method_types[0]", STR("card"));
    call_field(&form, "customer", customer);
    call_field(&form, "client_reference_id", id_str(&user));
    call_field(&form, "setup_intent_data[metadata][user]", id_str(&user));
    call_field(&form, "locale", str_from(language));
    call_field(&form, "success_url", done_url);
    call_field(&form, "cancel_url", back_url);
    struct exchange_with x = {"POST", STR("/v1/checkout/sessions"), &form, str_fmt(a, "card-%s", once.text)};
    enum store_answer r = ask(p, a, &x, &answer, &reason, f);
    if (r != STORE_DONE)
        return r;
    CLEANUP(json_done) json_t *j = NULL;
    if (json_decode(answer.body, &j, NULL) != OK)
        return unread(f);
    str there = json_get_str(j, "url");
    bool safe = str_starts(there, STR("https://")) || (!s->tls && host_is_loopback(url_host(there)) && str_starts(there, STR("http://")));
    if (!safe || there.n > URL_BYTES || !utf8_is_line(there))
        return unread(f);
    *url = str_dup(a, there);
    return STORE_DONE;
}

static enum store_answer order(struct store_provider *p, struct arena *a, const struct store_order *o, struct store_payment *out,
                               struct fault *f)
{
    struct buf form = buf_new(a, FORM_BYTES);
    struct call_answer answer;
    str reason;
    call_field(&form, "amount", str_fmt(a, "%lld", (long long)o->amount));
    call_field(&form, "currency", str_lower(a, o->currency));
    call_field(&form, "customer", o->customer);
    call_field(&form, "payment_method", o->method);
    call_field(&form, "payment_method_types[0]", STR("card"));
    call_field(&form, "off_session", STR("true"));
    call_field(&form, "confirm", STR("true"));
    call_field(&form, "metadata[user]", id_str(&o->user));
    call_field(&form, "metadata[order]", id_str(&o->order));
    call_field(&form, "metadata[product]", o->product);
    call_field(&form, "metadata[by]", o->renewal ? STR("mandate") : STR("person"));
    call_field(&form, "metadata[proof]", o->proof);
    struct exchange_with x = {"POST", STR("/v1/payment_intents"), &form, str_fmt(a, "order-%s", o->order.text)};
    enum store_answer r = ask(p, a, &x, &answer, &reason, f);
    if (r == STORE_REFUSED)
        out->reason = reason;
    if (r != STORE_DONE)
        return r;
    CLEANUP(json_done) json_t *j = NULL;
    if (json_decode(answer.body, &j, NULL) != OK || !stripe_payment(a, j, out) || !str_eq(out->order, id_str(&o->order)))
        return unread(f);
    return STORE_DONE;
}

/* A list of payments, from either of the two calls that have one. */
static enum store_answer payments(struct store_provider *p, struct arena *a, str path, struct store_payment *list, size_t max, size_t *n,
                                  struct fault *f)
{
    struct call_answer answer;
    str reason;
    struct exchange_with x = {"GET", path, NULL, {NULL, 0}};
    enum store_answer r = ask(p, a, &x, &answer, &reason, f);
    if (r != STORE_DONE)
        return r;
    CLEANUP(json_done) json_t *j = NULL;
    if (json_decode(answer.body, &j, NULL) != OK || !json_is_array(json_object_get(j, "data")))
        return unread(f);
    size_t i;
    json_t *one;
    *n = 0;
    json_array_foreach(json_object_get(j, "data"), i, one)
    {
        if (*n == max || !stripe_payment(a, one, &list[*n]))
            continue;
        ++*n;
    }
    return STORE_DONE;
}

enum { LOOK_MAX = 100 };

static enum store_answer find(struct store_provider *p, struct arena *a, str customer, id order_id, struct store_payment *out, struct fault *f)
{
    struct store_payment *list = ARENA_ARRAY(a, struct store_payment, LOOK_MAX);
    size_t n = 0;
    str path = str_fmt(a, "/v1/payment_intents?customer=%.*s&limit=%d", STR_FMT(percent_encode(a, customer)), LOOK_MAX);
    enum store_answer r = payments(p, a, path, list, LOOK_MAX, &n, f);
    if (r != STORE_DONE)
        return r;
    *out = (struct store_payment){.state = PAYMENT_PENDING};
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i].order, id_str(&order_id)))
            *out = list[i];
    return STORE_DONE;
}

static enum store_answer history(struct store_provider *p, struct arena *a, id user, struct store_payment **out, size_t *n, struct fault *f)
{
    struct store_payment *list = ARENA_ARRAY(a, struct store_payment, STORE_HISTORY_MAX);
    str query = percent_encode(a, str_fmt(a, "metadata['user']:'%s'", user.text));
    str path = str_fmt(a, "/v1/payment_intents/search?query=%.*s&limit=%d", STR_FMT(query), STORE_HISTORY_MAX);
    size_t found = 0;
    enum store_answer r = payments(p, a, path, list, STORE_HISTORY_MAX, &found, f);
    if (r != STORE_DONE)
        return r;
    *out = list;
    *n = found;
    return STORE_DONE;
}

static enum store_answer forget(struct store_provider *p, struct arena *a, str customer, struct fault *f)
{
    struct call_answer answer;
    str reason;
    struct fault why = {0};
    struct exchange_with x = {"DELETE", str_fmt(a, "/v1/customers/%.*s", STR_FMT(percent_encode(a, customer))), NULL, {NULL, 0}};
    enum store_answer r = ask(p, a, &x, &answer, &reason, &why);
    if (r == STORE_DONE || (answer.status == 404 && str_is(reason, "resource_missing")))
        return STORE_DONE;
    (void)FAIL(f, ERR_BUSY, "%s", why.text);
    return STORE_LATER;
}

static enum store_answer probe(struct store_provider *p, struct arena *a, bool *reads, struct fault *f)
{
    struct call_answer answer;
    str reason;
    struct fault why = {0};
    struct exchange_with x = {"GET", STR("/v1/payment_methods/pm_no_card_of_anybody"), NULL, {NULL, 0}};
    (void)ask(p, a, &x, &answer, &reason, &why);
    if (answer.status != 403 && answer.status != 404 && answer.status != 200) {
        (void)FAIL(f, ERR_BUSY, "%s", why.text);
        return STORE_LATER;
    }
    *reads = answer.status != 403;
    return STORE_DONE;
}

static enum err event(struct store_provider *p, struct arena *a, str body, str signature, moment now, struct store_event *out,
                      struct fault *f)
{
    const struct stripe *s = (const struct stripe *)p;
    TRY(stripe_signature(s->secret, signature, body, now, f));
    return stripe_event(a, body, out, f);
}

static void close_stripe(struct store_provider **p)
{
    struct stripe *s = (struct stripe *)*p;
    struct arena *a = s->arena;
    *p = NULL;
    arena_free(&a);
}

enum err stripe_open(struct store_provider **out, const struct stripe_config *config, struct fault *f)
{
    struct arena *a = arena_new(CONFIG_BYTES);
    struct stripe *s = ARENA_NEW(a, struct stripe);
    str key = {NULL, 0};
    s->face = (struct store_provider){.name = "Stripe",
                                      .open_customer = open_customer,
                                      .card_page = card_page,
                                      .order = order,
                                      .find = find,
                                      .history = history,
                                      .forget = forget,
                                      .probe = probe,
                                      .event = event,
                                      .close = close_stripe};
    s->arena = a;
    s->config = *config;
    const char *wrong = read_target(a, str_dup(a, config->target), &s->base, &key, &s->tls);
    enum err e = wrong ? FAIL(f, ERR_INPUT, "store: %s", wrong) : read_secret(a, config->secret, &s->secret, f);
    s->key = (struct secret){key};
    if (e != OK) {
        arena_free(&a);
        return e;
    }
    call_begin();
    *out = &s->face;
    return OK;
}
