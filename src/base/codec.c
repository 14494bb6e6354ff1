#include "base/codec.h"

#include <string.h>

#include <sodium.h>

str hex_encode(struct arena *a, const void *bytes, size_t n)
{
    char *out = arena_alloc(a, n * 2 + 1);
    sodium_bin2hex(out, n * 2 + 1, bytes, n);
    return str_of(out, n * 2);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum err hex_decode(struct arena *a, str s, str *out)
{
    if (s.n % 2)
        return ERR_INPUT;
    char *p = arena_alloc(a, s.n / 2 + 1);
    for (size_t i = 0; i < s.n; i += 2) {
        int high = hex_digit(s.p[i]), low = hex_digit(s.p[i + 1]);
        if (high < 0 || low < 0)
            return ERR_INPUT;
        p[i / 2] = (char)(high << 4 | low);
    }
    *out = str_of(p, s.n / 2);
    return OK;
}

str base64url_encode(struct arena *a, const void *bytes, size_t n)
{
    size_t max = sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *out = arena_alloc(a, max);
    sodium_bin2base64(out, max, bytes, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return str_from(out);
}

enum err base64url_decode(struct arena *a, str s, str *out)
{
    unsigned char *p = arena_alloc(a, s.n + 1);
    size_t n;
    if (s.n == 0) {
        *out = str_of(p, 0);
        return OK;
    }
    /* libsodium 1.0.18 takes some bytes from 0x80 on for digits. */
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return ERR_INPUT;
    if (sodium_base642bin(p, s.n, s.p, s.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return ERR_INPUT;
    *out = str_of(p, n);
    return OK;
}

str percent_encode(struct arena *a, str s)
{
    static const char hex[] = "0123456789ABCDEF";
    char *p = arena_alloc(a, s.n * 3 + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            p[n++] = (char)c;
        } else {
            p[n++] = '%';
            p[n++] = hex[c >> 4];
            p[n++] = hex[c & 15];
        }
    }
    return str_of(p, n);
}

enum err percent_decode(struct arena *a, str s, bool form, str *out)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (s.n - i < 3)
                return ERR_INPUT;
            int high = hex_digit(s.p[i + 1]), low = hex_digit(s.p[i + 2]);
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return ERR_INPUT;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (form && c == '+') {
            c = ' ';
        }
        p[n++] = c;
    }
    *out = str_of(p, n);
    return OK;
}

/* Length of the code point at s.p, or 0 if it is not valid; its value in *cp. */
static size_t utf8_next(str s, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s.p;
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0xc2 || p[0] > 0xf4 || s.n < n)
        return 0;
    uint32_t v = p[0] & (0x7f >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3f);
    }
    if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    *cp = v;
    return n;
}

bool utf8_valid(str s)
{
    while (s.n > 0) {
        uint32_t cp;
        size_t n = utf8_next(s, &cp);
        if (n == 0)
            return false;
        s = str_skip(s, n);
    }
    return true;
}

size_t utf8_length(str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

bool utf8_is_line(str s)
{
    while (s.n > 0) {
        uint32_t cp;
        size_t n = utf8_next(s, &cp);
        /* C0, DEL, C1, and the separators and overrides that hide or reorder text. */
        if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 ||
            (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069))
            return false;
        s = str_skip(s, n);
    }
    return true;
}
