/*
 * Activation codes: 25 characters of an alphabet of 32 without 0, 1, I and O. The first four name the lot, 19
 * are random (95 bits), the last two check.
 *
 * The characters are symbols of GF(32), and the code a word of a Reed-Solomon code of distance 3: both sums,
 * of x[i] * a^i and of x[i] * a^2i, are zero. Two such words differ in three places at least, so what
 * differs in one or two – any character for another, any two in each other's place – is none.
 */
#include "features/licenses/model.h"

#include <string.h>

#include <sodium.h>

enum { SYMBOLS = 32, GROUP = 5 };

static const char alphabet[SYMBOLS + 1] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/* GF(32) by x^5 + x^2 + 1. */
static unsigned times(unsigned a, unsigned b)
{
    unsigned product = 0;
    for (int bit = 4; bit >= 0; bit--) {
        product <<= 1;
        if (product & 32)
            product ^= 37;
        if (b >> bit & 1)
            product ^= a;
    }
    return product;
}

static unsigned power(unsigned a, int n)
{
    unsigned p = 1;
    for (int i = 0; i < n; i++)
        p = times(p, a);
    return p;
}

static unsigned inverse(unsigned a)
{
    return power(a, SYMBOLS - 2);
}

/* Both sums over the first n symbols. */
static void sums(const unsigned char *x, int n, unsigned *one, unsigned *two)
{
    *one = *two = 0;
    for (int i = n - 1; i >= 0; i--) {
        *one = times(*one, 2) ^ x[i];
        *two = times(*two, 4) ^ x[i];
    }
}

/* The two symbols that make both sums zero. */
static void put_checks(unsigned char x[LICENSE_CODE_LENGTH])
{
    enum { U = LICENSE_CODE_LENGTH - 2, V };
    unsigned one, two, au = power(2, U), av = power(2, V), bu = power(4, U), bv = power(4, V);
    sums(x, U, &one, &two);
    unsigned determinant = inverse(times(au, bv) ^ times(av, bu));
    x[U] = (unsigned char)times(times(one, bv) ^ times(two, av), determinant);
    x[V] = (unsigned char)times(times(two, au) ^ times(one, bu), determinant);
}

static int symbol_of(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* How many bytes of what people put between groups stand here: blanks and dashes, also those that a
 * text program makes of them (U+00A0, U+2010 to U+2015). */
static size_t gap(str s)
{
    if (s.p[0] == ' ' || s.p[0] == '-' || s.p[0] == '\t')
        return 1;
    if (s.n >= 2 && memcmp(s.p, "\xc2\xa0", 2) == 0)
        return 2;
    bool dash = s.n >= 3 && memcmp(s.p, "\xe2\x80", 2) == 0 && (unsigned char)s.p[2] >= 0x90 && (unsigned char)s.p[2] <= 0x95;
    return dash ? 3 : 0;
}

enum code_shape license_code_check(str typed, char out[LICENSE_CODE_LENGTH])
{
    char plain[LICENSE_CODE_LENGTH];
    unsigned char x[LICENSE_CODE_LENGTH];
    int n = 0;
    bool foreign = false;
    for (str rest = typed; rest.n > 0;) {
        size_t skip = gap(rest);
        if (skip > 0) {
            rest = str_skip(rest, skip);
            continue;
        }
        char c = rest.p[0] >= 'a' && rest.p[0] <= 'z' ? (char)(rest.p[0] - 32) : rest.p[0];
        if (n == LICENSE_CODE_LENGTH || !is_letter_or_digit(c))
            return CODE_MALFORMED;
        int s = symbol_of(c);
        foreign |= s < 0;
        x[n] = (unsigned char)(s < 0 ? 0 : s);
        plain[n++] = c;
        rest = str_skip(rest, 1);
    }
    if (n != LICENSE_CODE_LENGTH)
        return CODE_MALFORMED;
    unsigned one, two;
    sums(x, LICENSE_CODE_LENGTH, &one, &two);
    if (foreign || one != 0 || two != 0)
        return CODE_SLIP;
    memcpy(out, plain, sizeof plain);
    return CODE_FINE;
}

str license_code_text(struct arena *a, str plain)
{
    struct buf b = buf_new(a, LICENSE_CODE_TEXT + 1);
    for (size_t i = 0; i < plain.n; i++) {
        if (i > 0 && i % GROUP == 0)
            buf_char(&b, '-');
        buf_char(&b, plain.p[i]);
    }
    return buf_str(&b);
}

void lot_new(char out[LOT_LENGTH])
{
    for (int i = 0; i < LOT_LENGTH; i++)
        out[i] = alphabet[randombytes_uniform(SYMBOLS)];
}

bool lot_ok(str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (symbol_of(text.p[i]) < 0)
            return false;
    return text.n == LOT_LENGTH;
}

void license_code_new(const char lot[LOT_LENGTH], char out[LICENSE_CODE_LENGTH])
{
    unsigned char x[LICENSE_CODE_LENGTH];
    randombytes_buf(x, sizeof x);
    for (int i = 0; i < LICENSE_CODE_LENGTH; i++)
        x[i] = i < LOT_LENGTH ? (unsigned char)symbol_of(lot[i]) : x[i] % SYMBOLS;
    put_checks(x);
    for (int i = 0; i < LICENSE_CODE_LENGTH; i++)
        out[i] = alphabet[x[i]];
    sodium_memzero(x, sizeof x);
}
