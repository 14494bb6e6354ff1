/*
 * Text messages out: codes that prove who somebody is, and nothing else (spec MYA-09). There is one
 * message type, and its words are made here, so that no other code can send a number anything.
 *
 * The gateway speaks Twilio's HTTP API: POST /2010-04-01/Accounts/{SID}/Messages.json, basic
 * authentication, a form To, From, Body; 201 when it has taken the message. Or a folder, for demos.
 *
 * Never twice: the gateway has no way to ask whether it took a message. So `before` notes in the
 * database that the message is about to be handed over, and what then ends without an answer is
 * uncertain and not sent again; only what surely did not arrive is (no connection, 429, 401).
 */
#ifndef WORK_SMS_H
#define WORK_SMS_H

#include "base/id.h"
#include "base/secret.h"
#include "text/i18n.h"

struct sms;

struct sms_config {
    str target; /* https://SID:TOKEN@HOST[:PORT]?from=+46…, or file:DIR (one .json each) */
    const char *ca_file; /* whom to believe; NULL: the system's */
    const struct catalog *catalog;
    const struct clock *clock;
    str product; /* who writes */
    str host;    /* where the code is to be typed: browsers offer it there and nowhere else */
    int timeout_ms; /* for one message; 0 means 15 s */
};

/* NULL: it can be read; otherwise what it should look like. http:// is for this machine only. */
const char *sms_wrong_target(struct arena *a, str target);

/* ERR_INPUT as above. */
CHECKED enum err sms_open(struct sms **out, const struct sms_config *config, struct fault *f);
void sms_close(struct sms **s); /* for CLEANUP */

/* A number as people write it, as E.164: "+46701234567". ERR_INPUT: not one, or without its country. */
CHECKED enum err sms_number(struct arena *a, str typed, str *out);
/* Does it begin with one of these prefixes ("+46 +47")? */
bool sms_prefix_ok(str number, str prefixes);

enum sms_result {
    SMS_SENT,
    SMS_LATER,     /* the gateway surely has nothing */
    SMS_REFUSED,   /* it never will take it: 400 */
    SMS_UNCERTAIN, /* handed over, and no answer, or 5xx */
};

typedef enum err before_sms_fn(void *arg);

struct sms_code {
    id name; /* of the file, where messages go to a folder */
    const struct locale *locale;
    str number; /* E.164 */
    struct secret code;
};

/* `before` is called last; an error of it stops the message (SMS_LATER). *status is the gateway's,
 * *reason its own number for what is wrong (21211 …) or 0; for the log. */
enum sms_result sms_send_code(const struct sms *s, const struct sms_code *c, before_sms_fn *before,
                              void *arg, long *status, int64_t *reason);

#endif
