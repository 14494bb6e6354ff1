/*
 * What an installed app is answered, and license files that come on a stick (src/client).
 *
 * Input: a letter that says what the rest is. What must hold: what is taken is within the limits that the app's
 * side promises; what is refused leaves nothing behind; a license file is good only with a signature by the key, as
 * this device's; and what is signed, whatever it says, is read within its limits.
 */
#include "fuzz.h"

#include <string.h>

#include <sodium.h>

/* The library has its own of these. */
#undef COUNT
#undef TRY
#include "client/internal.h"

#define DEVICE "d0123456789abcdefghjkmnpqr"

/* RFC 8037, appendix A, as tests/vectors/license.json has it. */
static const char seed[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
static const char keys_text[] = "{\"keys\":[{\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\",\"crv\":\"Ed25519\","
                                "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
static const char head[] = "{\"alg\":\"EdDSA\",\"typ\":\"troth-license\",\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\"}";

static void check_state(json_t *j)
{
    struct told_state s = {0};
    if (answer_state(j, &s) == TROTH_OK) {
        MUST(s.is.interval >= INTERVAL_MIN && s.is.interval <= INTERVAL_MAX && s.is.commands_waiting >= 0);
        MUST(s.is.n_activation_codes <= LIST_MAX && s.license.n_features <= LIST_MAX);
        for (size_t i = 0; i < s.is.n_activation_codes; i++)
            MUST(strlen(s.is.activation_codes[i]) <= 60);
        MUST(strlen(s.license.type) <= 40 && strlen(s.license.service_information) <= 2048);
    } else {
        MUST(s.from == NULL && s.information == NULL);
    }
    told_state_done(&s);
}

static void check_others(json_t *j)
{
    struct told_commands c = {0};
    struct told_statement s = {0};
    struct troth_grant g = {0};
    if (answer_commands(j, &c) == TROTH_OK)
        for (size_t i = 0; i < c.n; i++)
            MUST(answer_id(c.is[i].id) && strlen(c.is[i].kind) <= 40);
    json_done(&c.from);
    if (answer_statement(j, &s) == TROTH_OK)
        MUST(!strpbrk(s.is.version, "/?#% \r\n") && s.is.n_fields <= LIST_MAX);
    else
        MUST(s.is.version == NULL && s.from == NULL);
    statement_done(&s);
    if (answer_grant(j, &g) == TROTH_OK)
        MUST(!strpbrk(answer_text(j, "device_code", 80), "&=% \r\n") && g.interval >= 0);
    if (answer_binding(j) == TROTH_OK)
        MUST(answer_token(answer_text(j, "token", 199)) && answer_id(answer_text(j, "binding_id", ID_LENGTH)));
    (void)answer_next(j);
    (void)answer_waiting(j);
}

/* Work itself is bounded; here it would only be slow. */
static void check_work(json_t *j)
{
    json_t *p = json_object_get(j, "parameters");
    if (json_integer_value(json_object_get(p, "cost")) <= 2)
        json_object_set_new(p, "keyPrefix", json_string(""));
    else
        json_object_set_new(p, "cost", json_integer(20001));
    CLEANUP(text_free) char *reply = work_solve(j);
    MUST(!reply || strlen(reply) > 10);
}

static struct license_texts texts(const json_t *keys, const char *file, const char *list)
{
    return (struct license_texts){.file = file,
                                  .keys = keys,
                                  .revocations = list,
                                  .device = DEVICE,
                                  .application = "com.example.total-security",
                                  .issuer = "https://portal.example.com",
                                  .now = 1795600860};
}

static void check_file(const json_t *keys, const char *file, const char *list)
{
    struct told_file f = {0};
    struct license_texts l = texts(keys, file, list);
    if (license_verify(&l, &f) == NULL) {
        MUST(answer_id(f.is.seat) && f.is.expires > l.now && f.is.n_features <= LIST_MAX);
        for (size_t i = 0; i < f.is.n_features; i++)
            MUST(f.is.features[i] != NULL);
    } else {
        MUST(f.from == NULL);
    }
    told_file_done(&f);
}

static char *encoded(const char *text, size_t n)
{
    size_t max = sodium_base64_encoded_len(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *out = malloc(max);
    return sodium_bin2base64(out, max, (const unsigned char *)text, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* The input as what was signed: past the signature. */
static void check_signed(const json_t *keys, const char *payload, size_t n)
{
    unsigned char bytes[crypto_sign_SEEDBYTES], key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    unsigned char signature[crypto_sign_BYTES];
    sodium_hex2bin(bytes, sizeof bytes, seed, strlen(seed), NULL, NULL, NULL);
    crypto_sign_seed_keypair(key, secret, bytes);
    CLEANUP(text_free) char *one = encoded(head, strlen(head));
    CLEANUP(text_free) char *two = encoded(payload, n);
    CLEANUP(text_free) char *both = text_format("%s.%s", one, two);
    crypto_sign_detached(signature, NULL, (const unsigned char *)both, strlen(both), secret);
    CLEANUP(text_free) char *three = encoded((const char *)signature, sizeof signature);
    CLEANUP(text_free) char *file = text_format("%s.%s", both, three);
    check_file(keys, file, NULL);
}

static void check_texts(const char *text)
{
    int64_t when = -1;
    if (answer_time(text, &when))
        MUST(when >= 0 && text[strlen(text) - 1] == 'Z' && strlen(text) <= 40);
    if (answer_url(text))
        MUST(!strpbrk(text, "@ \r\n") && (strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0 || sodium_init() < 0)
        return 0;
    CLEANUP(text_free) char *text = calloc(1, n);
    memcpy(text, data + 1, n - 1);
    CLEANUP(json_done) json_t *keys = answer_json(keys_text, strlen(keys_text));
    CLEANUP(json_done) json_t *j = data[0] == 'a' || data[0] == 'w' ? answer_json(text, n - 1) : NULL;
    if (j && data[0] == 'a') {
        check_state(j);
        check_others(j);
    } else if (j) {
        check_work(j);
    } else if (data[0] == 'f') {
        check_file(keys, text, text);
    } else if (data[0] == 's') {
        check_signed(keys, text, n - 1);
    } else if (data[0] == 't') {
        check_texts(text);
    }
    return 0;
}
