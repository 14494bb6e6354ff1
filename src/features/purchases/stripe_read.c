/* Stripe's events: who signed them, and the little that is kept of them. */
#include "features/purchases/stripe_read.h"

#include <string.h>

#include <sodium.h>

#include "base/codec.h"
#include "base/secret.h"
#include "features/purchases/stripe.h"

enum { HEADER_MAX = 2048, SIGNATURES_MAX = 16, MAC = crypto_auth_hmacsha256_BYTES, DIGITS_MAX = 12 };

/* ---- the signature ---- */

static void mac_of(str secret, str time, str body, unsigned char out[MAC])
{
    crypto_auth_hmacsha256_state h;
    crypto_auth_hmacsha256_init(&h, (const unsigned char *)secret.p, secret.n);
    crypto_auth_hmacsha256_update(&h, (const unsigned char *)time.p, time.n);
    crypto_auth_hmacsha256_update(&h, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&h, (const unsigned char *)body.p, body.n);
    crypto_auth_hmacsha256_final(&h, out);
    sodium_memzero(&h, sizeof h);
}

static bool hex_is(str hex, const unsigned char mac[MAC])
{
    char expected[2 * MAC + 1];
    sodium_bin2hex(expected, sizeof expected, mac, MAC);
    return secret_eq(hex, str_of(expected, 2 * MAC));
}

struct header_parts {
    str time;
    str v1[SIGNATURES_MAX];
    size_t n;
};

static bool read_header(str header, struct header_parts *out)
{
    str rest = header, one, name, value;
    if (header.n == 0 || header.n > HEADER_MAX)
        return false;
    while (rest.n > 0) {
        if (!str_cut(rest, ',', &one, &rest)) {
            one = rest;
            rest = (str){NULL, 0};
        }
        if (!str_cut(one, '=', &name, &value))
            return false;
        if (str_is(name, "t")) {
            if (out->time.n > 0 || value.n > DIGITS_MAX)
                return false; /* which of two? */
            out->time = value;
        } else if (str_is(name, "v1")) {
            if (out->n == SIGNATURES_MAX)
                return false;
            out->v1[out->n++] = value;
        }
    }
    return out->time.n > 0 && out->n > 0;
}

enum err stripe_signature(str secrets, str header, str body, moment now, struct fault *f)
{
    struct header_parts h = {.n = 0};
    int64_t seconds;
    bool right = false;
    str one, rest = secrets;
    if (!read_header(header, &h) || !str_to_int(h.time, &seconds) || seconds <= 0)
        return FAIL(f, ERR_DENIED, "an event's signature is none");
    while (rest.n > 0) {
        unsigned char mac[MAC];
        if (!str_cut(rest, ' ', &one, &rest)) {
            one = rest;
            rest = (str){NULL, 0};
        }
        if (one.n == 0)
            continue;
        mac_of(one, h.time, body, mac);
        for (size_t i = 0; i < h.n; i++)
            right |= hex_is(h.v1[i], mac);
    }
    if (!right)
        return FAIL(f, ERR_DENIED, "an event's signature is wrong");
    moment apart = now - seconds * MOMENT_SECOND;
    if (apart > STRIPE_TOLERANCE || apart < -STRIPE_TOLERANCE)
        return FAIL(f, ERR_DENIED, "an event was signed too long ago, or in the future");
    return OK;
}

/* ---- what is in it ---- */

bool stripe_id_ok(str s, const char *prefix)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return s.n <= STORE_ID_MAX && s.n > strlen(prefix) && str_starts(s, str_from(prefix));
}

static str word(struct arena *a, str s, size_t max)
{
    return s.n > 0 && s.n <= max && utf8_is_line(s) ? str_dup(a, s) : (str){NULL, 0};
}

static str capitals(struct arena *a, str s)
{
    char *out = str_cstr(a, s);
    for (char *c = out; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 32);
    return str_from(out);
}

static bool is_currency(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z')))
            return false;
    return s.n == 3;
}

static str reason_of(struct arena *a, const json_t *j)
{
    const json_t *e = json_object_get(j, "last_payment_error");
    static const char *const places[] = {"decline_code", "code"};
    for (size_t i = 0; i < COUNT(places); i++)
        if (stripe_id_ok(json_get_str(e, places[i]), ""))
            return str_dup(a, json_get_str(e, places[i]));
    return (str){NULL, 0};
}

/* What a payment and a charge have in common. */
static bool money(struct arena *a, const json_t *j, struct store_payment *out)
{
    const json_t *amount = json_object_get(j, "amount"), *made = json_object_get(j, "created"), *m = json_object_get(j, "metadata");
    if (!json_is_integer(amount) || json_integer_value(amount) < 0 || !json_is_integer(made) || json_integer_value(made) < 0 ||
        json_integer_value(made) > INT64_MAX / MOMENT_SECOND || !is_currency(json_get_str(j, "currency")))
        return false;
    *out = (struct store_payment){.order = word(a, json_get_str(m, "order"), ID_LENGTH),
                                  .product = word(a, json_get_str(m, "product"), 100),
                                  .amount = json_integer_value(amount),
                                  .currency = capitals(a, json_get_str(j, "currency")),
                                  .made = json_integer_value(made) * MOMENT_SECOND};
    return true;
}

bool stripe_payment(struct arena *a, const json_t *j, struct store_payment *out)
{
    struct store_payment p;
    str status = json_get_str(j, "status");
    if (!str_is(json_get_str(j, "object"), "payment_intent") || !money(a, j, &p))
        return false;
    p.state = str_is(status, "succeeded")                                               ? PAYMENT_PAID
              : str_is(status, "processing") || str_is(status, "requires_capture") ? PAYMENT_PENDING
                                                                                        : PAYMENT_FAILED;
    if (p.state == PAYMENT_FAILED)
        p.reason = str_is(status, "requires_action") ? STR("authentication_required") : reason_of(a, j);
    *out = p;
    return true;
}

static bool digits(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

/* A card: expiry and last four. The rest – brand, country, fingerprint, who it belongs to – is not read. */
static void card_event(struct arena *a, const json_t *object, struct store_event *out)
{
    const json_t *card = json_object_get(object, "card");
    str ending = json_get_str(card, "last4"), method = json_get_str(object, "id"), customer = json_get_str(object, "customer");
    int64_t month = json_get_int(card, "exp_month"), year = json_get_int(card, "exp_year");
    if (!str_is(json_get_str(object, "type"), "card") || ending.n != 4 || !digits(ending) || month < 1 || month > 12 || year < 2000 ||
        year > 9999 || !stripe_id_ok(method, "pm_") || !stripe_id_ok(customer, "cus_"))
        return;
    out->kind = EVENT_CARD;
    out->ending = str_dup(a, ending);
    out->expiry = str_fmt(a, "%04d-%02d", (int)year, (int)month);
    out->method = str_dup(a, method);
    out->customer = str_dup(a, customer);
}

static void card_gone_event(struct arena *a, const json_t *data, struct store_event *out)
{
    str customer = json_get_str(json_object_get(data, "previous_attributes"), "customer");
    str method = json_get_str(json_object_get(data, "object"), "id");
    if (!stripe_id_ok(customer, "cus_") || !stripe_id_ok(method, "pm_"))
        return;
    out->kind = EVENT_CARD_GONE;
    out->customer = str_dup(a, customer);
    out->method = str_dup(a, method);
}

static void payment_event(struct arena *a, str type, const json_t *object, struct store_event *out)
{
    const json_t *m = json_object_get(object, "metadata");
    bool refund = str_is(type, "charge.refunded");
    if (refund ? !json_get_bool(object, "refunded") || !money(a, object, &out->payment) : !stripe_payment(a, object, &out->payment))
        return;
    if (refund)
        out->payment.state = PAYMENT_REFUNDED;
    out->user = word(a, json_get_str(m, "user"), ID_LENGTH);
    out->proof = word(a, json_get_str(m, "proof"), 100);
    if (out->user.n > 0 && out->proof.n > 0 && out->payment.order.n > 0)
        out->kind = EVENT_PAYMENT;
}

enum err stripe_event(struct arena *a, str body, struct store_event *out, struct fault *f)
{
    CLEANUP(json_done) json_t *j = NULL;
    struct store_event e = {.kind = EVENT_OTHER};
    if (body.n > STORE_EVENT_MAX || json_decode(body, &j, NULL) != OK || !str_is(json_get_str(j, "object"), "event"))
        return FAIL(f, ERR_INPUT, "a signed event is not to be read");
    str type = json_get_str(j, "type"), name = json_get_str(j, "id");
    int64_t created = json_get_int(j, "created");
    const json_t *data = json_object_get(j, "data"), *object = json_object_get(data, "object");
    if (!stripe_id_ok(name, "evt_") || created <= 0 || created > INT64_MAX / MOMENT_SECOND || !json_is_object(object))
        return FAIL(f, ERR_INPUT, "a signed event lacks what an event has");
    e.id = str_dup(a, name);
    e.made = created * MOMENT_SECOND;
    if (str_is(type, "payment_method.attached") || str_is(type, "payment_method.updated") ||
        str_is(type, "payment_method.automatically_updated"))
        card_event(a, object, &e);
    else if (str_is(type, "payment_method.detached"))
        card_gone_event(a, data, &e);
    else if (str_is(type, "customer.deleted") && stripe_id_ok(json_get_str(object, "id"), "cus_")) {
        e.kind = EVENT_CUSTOMER_GONE;
        e.customer = str_dup(a, json_get_str(object, "id"));
    } else if (str_is(type, "payment_intent.succeeded") || str_is(type, "payment_intent.payment_failed") || str_is(type, "charge.refunded"))
        payment_event(a, type, object, &e);
    *out = e;
    return OK;
}
