/*
 * License files (docs/license-file.md): JWS in compact form, Ed25519, and nothing else. The checks stand in the
 * order of that page; the signature comes before anything that is signed is believed.
 */
#include "client/internal.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

enum { FILE_MAX = 8192, LIST_TEXT_MAX = 200000, KEYS_MAX = 64, SIGNATURE = crypto_sign_BYTES };

#define DAY 86400

void told_file_done(struct told_file *f)
{
    json_done(&f->from);
    *f = (struct told_file){0};
}

/* base64url without padding; *n bytes and an end. */
static unsigned char *decode(const char *text, size_t len, size_t *n)
{
    const char *end = NULL;
    unsigned char *out = calloc(1, len + 1);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0x80) { /* libsodium 1.0.18 takes some for digits */
            free(out);
            return NULL;
        }
    if (out && (sodium_base642bin(out, len, text, len, NULL, n, &end, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
                end != text + len)) {
        free(out);
        return NULL;
    }
    return out;
}

static void bytes_free(unsigned char **b)
{
    free(*b);
}

static json_t *decode_json(const char *text, size_t len)
{
    size_t n = 0;
    CLEANUP(bytes_free) unsigned char *bytes = decode(text, len, &n);
    return bytes ? answer_json((const char *)bytes, n) : NULL;
}

static bool key_named(const json_t *keys, const char *kid, unsigned char out[static crypto_sign_PUBLICKEYBYTES])
{
    const json_t *list = json_object_get(keys, "keys");
    for (size_t i = 0; i < json_array_size(list) && i < KEYS_MAX; i++) {
        const json_t *k = json_array_get(list, i);
        const char *id = answer_text(k, "kid", 100), *x = answer_text(k, "x", 43), *curve = answer_text(k, "crv", 20);
        size_t n = 0;
        if (!id || !x || !curve || strcmp(id, kid) != 0 || strcmp(curve, "Ed25519") != 0)
            continue;
        CLEANUP(bytes_free) unsigned char *bytes = decode(x, strlen(x), &n);
        if (!bytes || n != crypto_sign_PUBLICKEYBYTES)
            continue;
        memcpy(out, bytes, n);
        return true;
    }
    return false;
}

/* Steps 1 and 2. NULL: *payload is what was signed. */
static const char *open_jws(const struct license_texts *l, const char *text, const char *type, json_t **payload)
{
    const char *dot = strchr(text, '.'), *second = dot ? strchr(dot + 1, '.') : NULL;
    unsigned char key[crypto_sign_PUBLICKEYBYTES];
    size_t n = 0;
    if (!second || strchr(second + 1, '.'))
        return "license-malformed";
    CLEANUP(json_done) json_t *head = decode_json(text, (size_t)(dot - text));
    CLEANUP(bytes_free) unsigned char *signature = decode(second + 1, strlen(second + 1), &n);
    const char *alg = answer_text(head, "alg", 20), *typ = answer_text(head, "typ", 40), *kid = answer_text(head, "kid", 100);
    if (!signature || n != SIGNATURE || !alg || strcmp(alg, "EdDSA") != 0 || !typ || strcmp(typ, type) != 0 || !kid ||
        json_object_get(head, "crit"))
        return "license-malformed";
    if (!key_named(l->keys, kid, key) && !key_named(l->more_keys, kid, key))
        return "license-key-unknown";
    if (crypto_sign_verify_detached(signature, (const unsigned char *)text, (size_t)(second - text), key) != 0)
        return "license-forged";
    *payload = decode_json(dot + 1, (size_t)(second - dot - 1));
    return *payload ? NULL : "license-malformed";
}

static int64_t number(const json_t *j, const char *name)
{
    return json_integer_value(json_object_get(j, name));
}

static bool is(const json_t *j, const char *name, const char *value)
{
    const char *text = answer_text(j, name, TEXT_MAX);
    return text && value && strcmp(text, value) == 0;
}

static const char *take(json_t *j, struct told_file *out)
{
    struct told_file f = {.is = {.product = answer_text(j, "product", TEXT_MAX),
                                 .license = answer_text(j, "license", ID_LENGTH),
                                 .seat = answer_text(j, "seat", ID_LENGTH),
                                 .made = number(j, "iat"),
                                 .ends = number(j, "ends"),
                                 .expires = number(j, "exp")}};
    const json_t *features = json_object_get(j, "features");
    size_t n = json_array_size(features);
    if (!f.is.product || !answer_id(f.is.license) || !answer_id(f.is.seat) || !json_is_array(features) || n > LIST_MAX)
        return "license-malformed";
    for (size_t i = 0; i < n; i++)
        if (!(f.features[i] = json_string_value(json_array_get(features, i))))
            return "license-malformed";
    f.is.n_features = n;
    f.from = json_incref(j);
    told_file_done(out);
    *out = f;
    out->is.features = out->features;
    return NULL;
}

/* Step 5. A list that is not good revokes nothing, and is none: the caller keeps the one before. */
static bool is_revoked(const struct license_texts *l, const char *seat)
{
    CLEANUP(json_done) json_t *j = NULL;
    if (!l->revocations || open_jws(l, l->revocations, "troth-revocations", &j) || !is(j, "iss", l->issuer))
        return false;
    const json_t *seats = json_object_get(j, "seats");
    for (size_t i = 0; i < json_array_size(seats); i++) {
        const char *text = json_string_value(json_array_get(seats, i));
        if (text && strcmp(text, seat) == 0)
            return true;
    }
    return false;
}

const char *license_verify(struct license_texts *l, struct told_file *out)
{
    l->end = 0;
    CLEANUP(json_done) json_t *j = NULL;
    if (!l->file)
        return "license-missing";
    if (strlen(l->file) > FILE_MAX)
        return "license-malformed";
    const char *why = open_jws(l, l->file, "troth-license", &j);
    if (why)
        return why;
    l->end = number(j, "exp");
    if (!is(j, "device", l->device) || !is(j, "application", l->application) || !is(j, "iss", l->issuer))
        return "license-elsewhere";
    if (l->now >= l->end)
        return "license-expired";
    if (number(j, "iat") > l->now + DAY)
        return "license-from-the-future";
    struct told_file f = {0};
    why = take(j, &f);
    if (!why && is_revoked(l, f.is.seat))
        why = "license-revoked";
    if (why) {
        told_file_done(&f);
        return why;
    }
    told_file_done(out);
    *out = f;
    out->is.features = out->features;
    return NULL;
}

/* ---- what is kept of them ---- */

/*
 * The latest time that was seen (member "latest"). What is signed is believed as it is. Of the device's own clock
 * it takes no more than the end of the file that is kept: that file is then over for good, as it would be, and no
 * other is touched by a clock that was wrong once.
 */
static int64_t latest(const struct troth *t)
{
    int64_t kept = number(t->kept, "latest"), now = troth_now(t);
    return kept > now ? kept : now;
}

/* Is it news? */
static bool remember(struct troth *t, int64_t when)
{
    if (when <= number(t->kept, "latest"))
        return false;
    state_set(t, "latest", json_integer(when));
    return true;
}

static bool remember_now(struct troth *t, int64_t end)
{
    int64_t now = troth_now(t);
    return remember(t, now < end ? now : end);
}

static struct license_texts texts_of(struct troth *t, const char *file, const char *revocations)
{
    return (struct license_texts){.file = file,
                                  .keys = t->built_keys,
                                  .more_keys = json_object_get(t->kept, "keys"),
                                  .revocations = revocations,
                                  .device = state_text(t, "device_id"),
                                  .application = t->application_id,
                                  .issuer = state_text(t, "url"),
                                  .now = latest(t)};
}

static enum troth_result verdict(struct troth *t, const char *why)
{
    http_no_problem(t);
    if (why)
        http_problem(t, 0, why);
    return why ? TROTH_VOID : TROTH_OK;
}

enum troth_result troth_license_check(struct troth *t, const struct troth_license_file **out)
{
    ENTER(t);
    struct license_texts l = texts_of(t, state_text(t, "license_file"), state_text(t, "revocations"));
    if (!l.device)
        return TROTH_USAGE;
    const char *why = license_verify(&l, &t->file);
    if (remember_now(t, l.end))
        TRY(state_save(t));
    TRY(verdict(t, why));
    *out = &t->file.is;
    return TROTH_OK;
}

/* Is the list signed, this portal's, and no older than the one that is kept? *made: when. */
static const char *list_fits(const struct license_texts *l, const char *list, const char *kept, int64_t *made)
{
    CLEANUP(json_done) json_t *j = NULL;
    CLEANUP(json_done) json_t *before = NULL;
    const char *why = strlen(list) > LIST_TEXT_MAX ? "license-malformed" : open_jws(l, list, "troth-revocations", &j);
    if (why)
        return why;
    if (!is(j, "iss", l->issuer))
        return "license-elsewhere";
    *made = number(j, "iat");
    if (*made > l->now + DAY)
        return "license-from-the-future";
    if (kept && !open_jws(l, kept, "troth-revocations", &before) && *made < number(before, "iat"))
        return "license-malformed";
    return NULL;
}

static enum troth_result keep_list(struct troth *t, const char *list)
{
    int64_t made = 0;
    const char *kept = state_text(t, "revocations");
    struct license_texts l = texts_of(t, NULL, kept);
    TRY(verdict(t, list_fits(&l, list, kept, &made)));
    state_set(t, "revocations", json_string(list));
    remember(t, made);
    return state_save(t);
}

enum troth_result troth_license_import(struct troth *t, const char *file, const char *revocations)
{
    ENTER(t);
    if (!file || !state_bound(t))
        return TROTH_USAGE;
    if (revocations)
        TRY(keep_list(t, revocations));
    struct license_texts l = texts_of(t, file, state_text(t, "revocations"));
    TRY(verdict(t, license_verify(&l, &t->file)));
    state_set(t, "license_file", json_string(file));
    remember(t, t->file.is.made);
    remember_now(t, t->file.is.expires);
    return state_save(t);
}

/* ---- from the portal ---- */

static enum troth_result fetch(struct troth *t, const char *path, bool signs, char **out)
{
    CLEANUP(answer_done) struct answer a = {0};
    TRY(http_ask(t, &(struct call){.method = "GET", .path = path, .signs = signs}, &a));
    *out = a.body ? strdup(a.body) : NULL;
    if (!*out)
        return TROTH_ANSWER;
    (*out)[strcspn(*out, "\r\n")] = 0; /* each is one line */
    return TROTH_OK;
}

/* The keys, and the portal's clock: both are believed because of who answers. */
static enum troth_result fetch_keys(struct troth *t)
{
    CLEANUP(answer_done) struct answer a = {0};
    CLEANUP(json_done) json_t *j = NULL;
    TRY(http_ask_json(t, &(struct call){.method = "GET", .path = "/keys"}, &a, &j));
    if (!json_is_array(json_object_get(j, "keys")))
        return TROTH_ANSWER;
    state_set(t, "keys", json_incref(j));
    if (a.date)
        state_set(t, "latest", json_integer(a.date));
    return TROTH_OK;
}

enum troth_result troth_license_fetch(struct troth *t)
{
    ENTER(t);
    CLEANUP(text_free) char *file = NULL;
    CLEANUP(text_free) char *revocations = NULL;
    TRY(may_send(t));
    TRY(fetch_keys(t));
    TRY(fetch(t, "/revocations", false, &revocations));
    TRY(keep_list(t, revocations));
    enum troth_result r = heard(t, fetch(t, "/license-file", true, &file));
    if (r == TROTH_REFUSED && t->problem.status == 404) {
        state_forget(t, "license_file"); /* this device has no license: an old file of it is none either */
        TRY(state_save(t));
    }
    TRY(r);
    return troth_license_import(t, file, NULL);
}
