#include "base/id.h"

#include <string.h>

#include <sodium.h>

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static void encode(const unsigned char *bytes, size_t n, char *out)
{
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < n; i++) {
        bits = (bits << 8 | bytes[i]) & 0xfff;
        held += 8;
        while (held >= 5) {
            held -= 5;
            *out++ = alphabet[bits >> held & 31];
        }
    }
    if (held)
        *out++ = alphabet[bits << (5 - held) & 31];
    *out = '\0';
}

id id_new(void)
{
    unsigned char bytes[16];
    randombytes_buf(bytes, sizeof bytes);
    id i;
    encode(bytes, sizeof bytes, i.text);
    return i;
}

str id_str(const id *i)
{
    return str_from(i->text);
}

bool id_is_none(id i)
{
    return i.text[0] == '\0';
}

bool id_eq(id a, id b)
{
    return strcmp(a.text, b.text) == 0;
}

enum err id_parse(str s, id *out)
{
    if (s.n != ID_LENGTH)
        return ERR_INPUT;
    for (size_t k = 0; k < s.n; k++)
        if (s.p[k] == '\0' || strchr(alphabet, s.p[k]) == NULL)
            return ERR_INPUT;
    memcpy(out->text, s.p, ID_LENGTH);
    out->text[ID_LENGTH] = '\0';
    return OK;
}

struct bearer bearer_new(void)
{
    unsigned char bytes[32];
    randombytes_buf(bytes, sizeof bytes);
    struct bearer b;
    encode(bytes, sizeof bytes, b.text);
    sodium_memzero(bytes, sizeof bytes);
    return b;
}

str base32_encode(struct arena *a, const void *bytes, size_t n)
{
    char *out = arena_alloc(a, (n * 8 + 4) / 5 + 1);
    encode(bytes, n, out);
    return str_from(out);
}
