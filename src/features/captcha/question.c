#include "features/captcha/question.h"

#include <string.h>

#include "base/codec.h"
#include "base/json.h"

enum { WORDS = 21, KINDS = 4 };

static const char *const numbers[WORDS] = {
    MSG("captcha.n0"),  MSG("captcha.n1"),  MSG("captcha.n2"),  MSG("captcha.n3"),  MSG("captcha.n4"),
    MSG("captcha.n5"),  MSG("captcha.n6"),  MSG("captcha.n7"),  MSG("captcha.n8"),  MSG("captcha.n9"),
    MSG("captcha.n10"), MSG("captcha.n11"), MSG("captcha.n12"), MSG("captcha.n13"), MSG("captcha.n14"),
    MSG("captcha.n15"), MSG("captcha.n16"), MSG("captcha.n17"), MSG("captcha.n18"), MSG("captcha.n19"),
    MSG("captcha.n20"),
};

static const char *const texts[KINDS] = {MSG("captcha.sum"), MSG("captcha.difference"),
                                         MSG("captcha.largest"), MSG("captcha.after")};

struct question {
    int kind, a, b, c;
    int answer;
};

static struct question question_of(uint32_t n)
{
    struct question q = {.kind = (int)(n % KINDS)};
    n /= KINDS;
    q.a = 1 + (int)(n % 10);
    n /= 10;
    q.b = 1 + (int)(n % 10);
    n /= 10;
    q.c = 1 + (int)(n % 10);
    if (q.kind == 1 && q.a < q.b) { /* nobody is asked for less than nothing */
        int swap = q.a;
        q.a = q.b;
        q.b = swap;
    }
    int largest = q.a + 3;
    if (q.kind == 2) { /* three different ones, the largest in any place */
        int three[3] = {largest, largest - 1 - q.b % 2, largest - 3}, first = q.c % 3;
        q.a = three[first];
        q.b = three[(first + 1) % 3];
        q.c = three[(first + 2) % 3];
    }
    int answers[KINDS] = {q.a + q.b, q.a - q.b, largest, q.a + 1};
    q.answer = answers[q.kind];
    return q;
}

static str word(const struct catalog *c, const struct locale *l, struct arena *a, int n)
{
    return catalog_text(c, l, a, numbers[n], NULL);
}

str question_text(const struct catalog *c, const struct locale *l, struct arena *a, uint32_t number)
{
    struct question q = question_of(number);
    CLEANUP(json_done) json_t *values = json_object();
    json_put_str(values, "a", word(c, l, a, q.a));
    json_put_str(values, "b", word(c, l, a, q.b));
    json_put_str(values, "c", word(c, l, a, q.c));
    return catalog_text(c, l, a, texts[q.kind], values);
}

/* As people type: in capitals, with a full stop. */
static str tidy(struct arena *a, str s)
{
    s = str_trim(s);
    if (str_ends(s, STR(".")))
        s = str_head(s, s.n - 1);
    char *p = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    return str_of(p, s.n);
}

bool question_answered(const struct catalog *c, struct arena *a, uint32_t number, str answer)
{
    int right = question_of(number).answer;
    str said = tidy(a, answer);
    bool is = str_eq(said, str_fmt(a, "%d", right));
    for (size_t i = 0; i < catalog_languages(c); i++) {
        struct locale l = {(int)i, catalog_language(c, (int)i), NULL, NULL};
        is |= str_eq(said, word(c, &l, a, right));
    }
    return is;
}

/* ---- what travels with it ---- */

str question_token(struct arena *a, const struct asked *q)
{
    return str_fmt(a, "%lld.%.*s", (long long)q->made, STR_FMT(hex_encode(a, q->nonce, sizeof q->nonce)));
}

bool question_read(struct arena *a, str token, struct asked *q, str *text, str *signature)
{
    str made, nonce, bytes;
    if (!str_cut_last(token, '.', text, signature) || !str_cut(*text, '.', &made, &nonce) ||
        !str_to_int(made, &q->made) || q->made < 0 || q->made > INT64_MAX / 1000 ||
        hex_decode(a, nonce, &bytes) != OK || bytes.n != NONCE_BYTES)
        return false;
    memcpy(q->nonce, bytes.p, NONCE_BYTES);
    return true;
}
