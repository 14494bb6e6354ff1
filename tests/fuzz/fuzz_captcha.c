/*
 * What the captcha's widget sends, and what travels with a question in words.
 *
 * Input: the text of the field (base64 of JSON; or TIME.NONCE.SIGNATURE). What must hold: what is read has the
 * bounds that the header says, and signs the same text when it is put out and read again.
 */
#include "fuzz.h"

#include "features/captcha/question.h"
#include "features/captcha/work.h"

#include "base/codec.h"

#include <sodium.h>

/* As the widget would send it. */
static str sent(struct arena *a, const struct work_solution *s)
{
    CLEANUP(json_done) json_t *j = json_object();
    work_put(json_put_object(j, "challenge"), a, &s->challenge, s->signature);
    json_t *solution = json_put_object(j, "solution");
    json_put_int(solution, "counter", s->counter);
    json_put_str(solution, "derivedKey", hex_encode(a, s->key, sizeof s->key));
    str text = json_encode(a, j, false);
    size_t n = sodium_base64_encoded_len(text.n, sodium_base64_VARIANT_ORIGINAL);
    char *out = arena_alloc(a, n);
    sodium_bin2base64(out, n, (const unsigned char *)text.p, text.n, sodium_base64_VARIANT_ORIGINAL);
    return str_of(out, n - 1);
}

static void question(struct arena *a, str token)
{
    struct asked q, again;
    str text, signature;
    if (!question_read(a, token, &q, &text, &signature))
        return;
    MUST(q.made >= 0 && q.made <= INT64_MAX / 1000 && text.n + signature.n + 1 == token.n);
    str once = str_fmt(a, "%.*s.%.*s", STR_FMT(question_token(a, &q)), STR_FMT(signature));
    MUST(question_read(a, once, &again, &text, &signature));
    MUST(again.made == q.made && sodium_memcmp(again.nonce, q.nonce, sizeof q.nonce) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(FUZZ_ARENA);
    struct work_solution s, again;
    struct fault f = {0};
    if (work_read(a, str_of((const char *)data, n), &s, &f) == OK) {
        str once = sent(a, &s);
        if (once.n <= 1600) {
            MUST(work_read(a, once, &again, &f) == OK);
            MUST(str_eq(work_text(a, &s.challenge), work_text(a, &again.challenge)));
            MUST(s.counter == again.counter && str_eq(s.signature, again.signature));
        }
    }
    /* The same as JSON, for what random bytes rarely are: base64. */
    size_t len = sodium_base64_encoded_len(n, sodium_base64_VARIANT_ORIGINAL);
    char *coded = arena_alloc(a, len);
    sodium_bin2base64(coded, len, data, n, sodium_base64_VARIANT_ORIGINAL);
    enum err e = work_read(a, str_of(coded, len - 1), &s, &f);
    MUST(e == OK || e == ERR_INPUT || e == ERR_LIMIT);
    question(a, str_of((const char *)data, n));
    arena_free(&a);
    return 0;
}
