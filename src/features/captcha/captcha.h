/*
 * "Are you a person?", without a third party (spec WPS-13): asked only where there was abuse, never of
 * everybody.
 *
 * Two ways, of which one is enough:
 * - A proof of work (ALTCHA's format and its widget, served by us): the browser computes for a second
 *   or two. It costs a person nothing and whoever tries passwords by the million a computer each.
 * - A question in words, for those without JavaScript: easy to read aloud, easy to answer. A program
 *   can answer it too, so it is as slow as the work: it is good only CAPTCHA_PATIENCE after it was
 *   asked, and each visitor gets a few of them at a time.
 *
 * Either is good once, for CAPTCHA_LASTS, and signed by this installation. What it holds off: trying
 * and registering in bulk. What not: somebody who pays for computers, or people who type.
 */
#ifndef FEATURES_CAPTCHA_H
#define FEATURES_CAPTCHA_H

#include "features/feature.h"

#define CAPTCHA_LASTS    (10 * MOMENT_MINUTE)
#define CAPTCHA_PATIENCE (5 * MOMENT_SECOND)

/* The fields of a form that may ask for it: three rows of its field list. */
#define CAPTCHA_FIELDS                                                                             \
    {"altcha", FIELD_HIDDEN, .max = 1600},                                                         \
    {"captcha_question", FIELD_HIDDEN, .max = 200},                                                \
    {"captcha_answer", FIELD_TEXT, .max = 60, .label = MSG("captcha.answer")}

enum captcha { CAPTCHA_ABSENT, CAPTCHA_WRONG, CAPTCHA_PASSED };

/* Reads what the form sent. A pass is used up by this, whatever becomes of the request. */
CHECKED enum err captcha_check(struct request *req, enum captcha *out);

/* Puts "captcha" into the view, for {{>captcha/box}} inside the form: false where none is asked for. */
CHECKED enum err captcha_put(struct request *req, bool asked);

/* ---- for apps (features/connect) ---- */

/* A captcha of either kind into `out`: captcha_id and challenge. *allowed is false where this visitor was asked
 * too many questions lately. */
CHECKED enum err captcha_issue(struct request *req, bool question, json_t *out, bool *allowed);
/* The reply to the captcha of that ID and kind; it is used up by this. Hold no write transaction. */
CHECKED enum err captcha_reply(struct request *req, bool question, str which, str reply, enum captcha *out);

#endif
