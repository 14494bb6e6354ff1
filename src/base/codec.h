/* Bytes as text and back: hex, base64url (RFC 4648), percent-encoding (RFC 3986), UTF-8. */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/str.h"

str hex_encode(struct arena *a, const void *bytes, size_t n);
CHECKED enum err hex_decode(struct arena *a, str s, str *out); /* even length, either case */

str base64url_encode(struct arena *a, const void *bytes, size_t n); /* without padding */
CHECKED enum err base64url_decode(struct arena *a, str s, str *out);

/* Everything but RFC 3986's unreserved characters becomes %XX. */
str percent_encode(struct arena *a, str s);
/* With `form`, '+' means a blank. A broken escape or an escaped NUL: ERR_INPUT. */
CHECKED enum err percent_decode(struct arena *a, str s, bool form, str *out);

/* Valid UTF-8 as RFC 3629 has it: no surrogates, nothing overlong, at most U+10FFFF. */
bool utf8_valid(str s);
/* How many code points a valid string has. */
size_t utf8_length(str s);
/* A line of text as a person types it: valid UTF-8 without control characters. */
bool utf8_is_line(str s);

#endif
