/*
 * What a browser or an authenticator sends: client data, attestation objects, authenticator data, CBOR.
 *
 * Input: a byte for which of them, then its bytes. What must hold: nothing is read past the end; CBOR that
 * the scanner takes ends where it says, is taken again as it stands, and in no shorter form; a key that
 * is taken has a credential ID, and verifies no signature of zeros.
 */
#include "fuzz.h"

#include "features/factors/webauthn.h"

#include <string.h>

#include <fido.h>
#include <sodium.h>

static const struct webauthn_site site = {STR("portal.example.com"), STR("https://portal.example.com")};

static void cbor(str s)
{
    size_t used, again;
    if (webauthn_cbor(s, &used) != OK)
        return;
    MUST(used > 0 && used <= s.n);
    MUST(webauthn_cbor(str_head(s, used), &again) == OK && again == used);
    for (size_t n = 0; n < used; n++)
        MUST(webauthn_cbor(str_head(s, n), &again) != OK);
}

static void client_data(struct arena *a, str s)
{
    struct fault f = {0};
    str challenge;
    static const char *const types[] = {WEBAUTHN_CREATE, WEBAUTHN_GET};
    int taken = 0;
    for (size_t i = 0; i < COUNT(types); i++) {
        if (webauthn_client_data(a, &site, types[i], s, &challenge, &f) != OK)
            continue;
        MUST(challenge.n == WEBAUTHN_CHALLENGE && s.n <= WEBAUTHN_CLIENT_DATA_MAX);
        taken++;
    }
    MUST(taken <= 1);
}

static void sign_in(const struct webauthn_key *key, str auth_data)
{
    struct fault f = {0};
    char zeros[64] = {0};
    struct webauthn_answer answer = {STR("{}"), auth_data, {zeros, sizeof zeros}};
    int64_t counter;
    MUST(webauthn_assert(&site, key, &answer, true, &counter, &f) != OK);
    MUST(webauthn_assert(&site, key, &answer, false, &counter, &f) != OK);
}

static void attestation(struct arena *a, str s)
{
    struct fault f = {0};
    struct webauthn_key key;
    if (webauthn_register(a, &site, STR("{}"), s, &key, &f) != OK)
        return;
    MUST(s.n <= WEBAUTHN_ATTESTATION_MAX && key.credential.n > 0 && key.credential.n <= WEBAUTHN_CREDENTIAL_MAX);
    MUST(key.public_key.n > 0 && key.counter >= 0);
    unsigned char head[37] = {0};
    crypto_hash_sha256(head, (const unsigned char *)site.rp_id.p, site.rp_id.n);
    head[32] = 0x05;
    sign_in(&key, str_of(head, sizeof head));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool begun;
    if (!begun) {
        fido_init(0);
        begun = true;
    }
    if (n == 0)
        return 0;
    struct arena *a = arena_new(FUZZ_ARENA);
    str s = str_dup(a, str_of(data + 1, n - 1));
    static char ed25519[32] = {1};
    const struct webauthn_key key = {STR("id"), WEBAUTHN_EDDSA, {ed25519, sizeof ed25519}, 0};
    switch (data[0]) {
    case 'c':
        client_data(a, s);
        break;
    case 'a':
        attestation(a, s);
        break;
    case 'g':
        sign_in(&key, s);
        break;
    default:
        cbor(s);
    }
    arena_free(&a);
    return 0;
}
