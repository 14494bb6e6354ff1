/* Inside work: a message as the bytes of a mail. */
#ifndef WORK_MAIL_BUILD_H
#define WORK_MAIL_BUILD_H

#include "base/clock.h"
#include "base/str.h"

struct mail_parts {
    str id; /* of the Message-ID, left of the @ */
    str from, from_name;
    str to;
    str subject, text, html;
    str unsubscribe_url; /* or empty */
    const char *language;
    moment date;
};

/* RFC 5322 with CRLF: multipart/alternative of text and HTML. Nothing in the parts can become a
 * header of its own. */
str mail_build(struct arena *a, const struct mail_parts *p);

#endif
