/*
 * Networks in CIDR notation ("192.0.2.0/24", "2001:db8::/32"; RFC 4632, RFC 4291), and whether an
 * address lies in one. What is written in two ways is refused, so that nobody reads a narrow network
 * where the program reads a wide one.
 */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include "base/str.h"

struct network {
    unsigned char bytes[16]; /* IPv4: the first four */
    int bits;
    bool v6;
};

struct networks {
    const struct network *list;
    size_t n;
};

/* An address alone is a network of one. ERR_INPUT: no address, a length that it cannot have, bits set
 * past the length, an IPv4 address in IPv6 clothes. */
CHECKED enum err network_parse(str s, struct network *out);

/* The host of "scheme://host[:port][/path]", an IPv6 address with its brackets. */
str url_host(str url);

/* Does the host's name mean this machine: localhost, 127.x.x.x, [::1]? */
bool host_is_loopback(str host);

/* Several, between blanks or commas; none is none. ERR_INPUT where one of them is none. */
CHECKED enum err networks_parse(struct arena *a, str s, struct networks *out);

/* Does the address lie in one of them? An IPv4 address that came over IPv6 (::ffff:192.0.2.1) is the
 * IPv4 address. What is no address lies nowhere. */
bool networks_have(const struct networks *n, str address);

#endif
