#include "base/network.h"

#include <arpa/inet.h>
#include <string.h>

enum { V4_BITS = 32, V6_BITS = 128, MAPPED_BYTES = 12 };

static const unsigned char mapped[MAPPED_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* inet_pton(3) refuses zones ("%eth0"), leading zeros and short forms of IPv4. */
static bool read_address(str s, struct network *out)
{
    char text[INET6_ADDRSTRLEN];
    struct network n = {0};
    if (s.n == 0 || s.n >= sizeof text || str_has(s, '\0'))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    n.v6 = str_has(s, ':');
    n.bits = n.v6 ? V6_BITS : V4_BITS;
    if (inet_pton(n.v6 ? AF_INET6 : AF_INET, text, n.bytes) != 1)
        return false;
    *out = n;
    return true;
}

static bool is_mapped(const struct network *n)
{
    return n->v6 && memcmp(n->bytes, mapped, sizeof mapped) == 0;
}

/* Plain digits: no sign, no leading zero. */
static bool read_length(str s, int most, int *out)
{
    int64_t bits;
    bool plain = s.n > 0 && s.n <= 3 && (s.p[0] != '0' || s.n == 1);
    for (size_t i = 0; i < s.n; i++)
        plain &= s.p[i] >= '0' && s.p[i] <= '9';
    if (!plain || !str_to_int(s, &bits) || bits > most)
        return false;
    *out = (int)bits;
    return true;
}

static bool bit(const unsigned char *bytes, int i)
{
    return bytes[i / 8] >> (7 - i % 8) & 1;
}

enum err network_parse(str s, struct network *out)
{
    struct network n;
    str address = s, length;
    bool cut = str_cut(s, '/', &address, &length);
    if (!read_address(address, &n) || is_mapped(&n))
        return ERR_INPUT;
    int all = n.bits;
    if (cut && !read_length(length, all, &n.bits))
        return ERR_INPUT;
    for (int i = n.bits; i < all; i++)
        if (bit(n.bytes, i))
            return ERR_INPUT;
    *out = n;
    return OK;
}

static bool is_gap(char c)
{
    return c == ' ' || c == ',' || c == '\t';
}

enum err networks_parse(struct arena *a, str s, struct networks *out)
{
    struct network *list = NULL;
    size_t cap = 0, n = 0;
    while (s.n > 0) {
        size_t len = 0;
        while (len < s.n && !is_gap(s.p[len]))
            len++;
        if (len > 0) {
            ARENA_GROW(a, list, cap, n + 1);
            TRY(network_parse(str_head(s, len), &list[n]));
            n++;
        }
        s = str_skip(s, MAX_OF(len, (size_t)1));
    }
    *out = (struct networks){list, n};
    return OK;
}

bool networks_have(const struct networks *n, str address)
{
    struct network x;
    if (!read_address(address, &x))
        return false;
    if (is_mapped(&x)) {
        memmove(x.bytes, x.bytes + MAPPED_BYTES, 4);
        x.v6 = false;
    }
    for (size_t i = 0; i < n->n; i++) {
        const struct network *one = &n->list[i];
        bool in = one->v6 == x.v6;
        for (int b = 0; in && b < one->bits; b++)
            in = bit(one->bytes, b) == bit(x.bytes, b);
        if (in)
            return true;
    }
    return false;
}

str url_host(str url)
{
    str before, host = url, rest;
    const char *at = memmem(url.p, url.n, "://", 3);
    if (at)
        host = str_skip(url, (size_t)(at - url.p) + 3);
    str_cut(host, '/', &host, &rest);
    if (str_cut_last(host, ':', &before, &rest) && !str_ends(host, STR("]")))
        host = before;
    return host;
}

bool host_is_loopback(str host)
{
    if (str_is(host, "localhost") || str_is(host, "[::1]"))
        return true;
    for (size_t i = 0; i < host.n; i++) /* "127.0.0.1.example.com" is somebody's */
        if (host.p[i] != '.' && (host.p[i] < '0' || host.p[i] > '9'))
            return false;
    return str_starts(host, STR("127."));
}
