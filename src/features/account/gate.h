/*
 * Inside account: who may try (spec MYA-14, SEC-06). Wrong passwords are counted for the address that
 * was typed, for the visitor's range and for the whole installation (web/quota.h). Where a bucket is
 * empty, the next try needs a captcha; nobody is ever locked out:
 *
 * - a browser that has signed in to this account before ("known device") goes through, with a bucket of
 *   its own;
 * - a captcha goes through, and costs whoever tries in bulk.
 *
 * What is typed decides, not whether there is such an account: nothing here tells one from the other.
 */
#ifndef FEATURES_ACCOUNT_GATE_H
#define FEATURES_ACCOUNT_GATE_H

#include "features/account/model.h"

enum gate_kind { GATE_SIGN_IN, GATE_SIGN_UP, GATE_RECOVER };

struct gate {
    enum gate_kind kind;
    str same;    /* the address that was typed, as all its spellings are one */
    str device;  /* names this browser's bucket; empty where it is not known */
    bool asks;   /* a captcha is needed */
    bool passed; /* and was passed */
};

/* Is a captcha needed for the next try? */
CHECKED enum err gate_of(struct request *req, enum gate_kind kind, str address, struct gate *out);
/* ERR_INPUT, with the form telling what is wrong: a captcha is needed, or was wrong. */
CHECKED enum err gate_enter(struct request *req, enum gate_kind kind, str address, struct gate *out);
/* The form's "password", once more within a session. Few wrong ones at a time, so that a session which was
 * stolen is no way to guess it; ERR_INPUT, with the form telling. Holds no transaction meanwhile. */
CHECKED enum err gate_password(struct request *req, account_id which);
/* A new address is asked for: few in an hour, of one account and to one mailbox. ERR_INPUT, with the form telling. */
CHECKED enum err gate_address(struct request *req, account_id which, str same);
/* It was tried: a wrong password; each sign-up; each mail that is asked for. */
CHECKED enum err gate_count(struct request *req, const struct gate *g);
/* Has this browser signed in before, with that address (as all its spellings are one)? */
CHECKED enum err gate_knows(struct request *req, str same, bool *known);
/* Signed in, with whatever second step there is: it is known from now on. */
CHECKED enum err gate_remember(struct request *req, str same);
/* Puts the captcha onto the form's page where the next try will need it. */
CHECKED enum err gate_show(struct request *req, enum gate_kind kind, str address);

#endif
