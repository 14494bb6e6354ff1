/*
 * Mail addresses (RFC 5321, 5322 without comments and quoted local parts; domains by IDNA2008/UTS 46).
 */
#ifndef BASE_EMAIL_H
#define BASE_EMAIL_H

#include "base/str.h"

enum { EMAIL_MAX = 254, EMAIL_LOCAL_MAX = 64 };

struct email {
    str shown; /* as typed, without blanks at its ends; the domain in lower case */
    str wire;  /* for SMTP: the domain in ASCII (xn--…) */
    str same;  /* two addresses are the same where these are: all in lower case */
};

/* ERR_INPUT where it cannot be an address: no @, a domain without a dot, a character that needs
 * quotes … Whether anybody reads it only a mail tells. */
CHECKED enum err email_parse(struct arena *a, str typed, struct email *out);

#endif
