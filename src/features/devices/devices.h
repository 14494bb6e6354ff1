/*
 * Devices of a person (spec MYA-36 to MYA-41, WPS-16 to WPS-20, WPS-28): a device, the apps on it that
 * are bound to the account, what they reported last, and commands for them. What other features may
 * call; features/connect speaks it over HTTP.
 *
 * All of it belongs to the service my-account and is sealed with the person's key. What is of one
 * account does not exist for another (ERR_NOT_FOUND, MYA-41).
 */
#ifndef FEATURES_DEVICES_H
#define FEATURES_DEVICES_H

#include "features/account/account.h"

ID_TYPE(device_id);
ID_TYPE(binding_id);
ID_TYPE(command_id);

enum {
    DEVICE_NAME_MAX = 100,     /* bytes of a network name, or of the name that its owner gives */
    DEVICE_WORD_MAX = 60,      /* of an operating system's name, of its version, of an app's version */
    SERVICE_INFORMATION_MAX = 1024, /* bytes of JSON (AMB-47) */
    FEATURES_MAX = 32, FEATURE_MAX = 40, /* of the feature array */
    COMMAND_TEXT_MAX = 300,
};

#define DEVICE_PASSWORD_LASTS (10 * MOMENT_MINUTE) /* to connect an app with (WPS-16) */
#define DEVICE_STALE          (3 * MOMENT_HOUR)    /* silent for longer: shown as such (WPS-08) */
#define COMMAND_LASTS         (3 * MOMENT_DAY)     /* not fetched by then: expired */
#define POSITION_LASTS        (6 * MOMENT_HOUR)    /* published; then it is erased (ATW-05) */
#define DEVICE_SEEN_EVERY     (5 * MOMENT_MINUTE)  /* how often it is noted that one was heard of */
#define DEVICE_ROTATE_EVERY   (30 * MOMENT_DAY)    /* an app gets a new token so often */

#define PURPOSE_DEVICES "manage-devices"
#define PURPOSE_REPORTS "remote-management" /* of the service my-account: consent, by the app's statement */

/* What a device says of itself: WPF-20 without the portal's own ID. */
struct device_facts {
    str network_name;
    str type; /* desktop, laptop, server, phone, tablet, other */
    str os_type, os_version;
};

/* What an app says of its license: the six leaves of WPF-21. */
struct license_facts {
    str type;        /* none, trial, commercial, subscription, free */
    str status;      /* none, active, grace, expired, revoked, error */
    str information; /* service information: a JSON object in text, SERVICE_INFORMATION_MAX */
    str error;       /* activation error: a code, [a-z-]; empty: none */
    moment expires;  /* 0: never, or not known */
    str features;    /* the feature array: a JSON array of words in text */
};

/* The app itself: WPF-17 to WPF-19. */
struct app_facts {
    str id;
    str version;
    str locale;
};

/* ---- bindings: what an app holds ---- */

struct binding {
    account_id account;
    device_id device;
    binding_id id;
    id application;  /* the app's instance (WPF-16) */
    str app;         /* WPF-17 */
    str statement;   /* the version that was accepted (WPS-30) */
    str token_type, service; /* WPF-22, WPF-23; empty until told */
    bool office;     /* a Small Office device */
    bool next_used;  /* the app spoke with its next token: the old one is dead from now on */
    moment made, reported;
    moment rotate_at; /* from then on the answer gives it a new token */
    unsigned char state[16]; /* of what it reported last: the ETag */
    int64_t pending; /* commands that wait for it, licenses and codes that changed since its last report */
};

struct binding_start {
    account_id account;
    struct device_facts device;
    struct app_facts app;
    device_id same;  /* the app says that it is on this device already; none: a new one */
    str statement;
    bool for_all;    /* others use the device, and were told and agreed before (WPS-04, SOS-03) */
    bool office;
};

/*
 * Binds an app to the account, with a device of its own or one that is there. *token is its credential:
 * "d1." and letters and digits; it carries account and binding, and its hash alone is stored.
 * ERR_DENIED: not enrolled in My Account, or too many devices (DEVICES_MAX).
 */
enum { DEVICES_MAX = 200 };
CHECKED enum err device_bind(struct tx *tx, const struct privacy *p, const struct key *k,
                             const struct binding_start *s, struct binding *out, str *token);

/* By the credential. One primary-key read. ERR_NOT_FOUND: never was one; ERR_DENIED: it was, and is
 * disconnected, or the account is closed (410 to the app, WPS-10). */
CHECKED enum err device_by_token(struct tx *tx, const struct clock *clock, str token,
                                 struct binding *out);
/* A new token beside the present one, which dies when the new one is first used. */
CHECKED enum err device_rotate(struct tx *tx, const struct clock *clock, const struct binding *b,
                               str *token);
/* The token type and service of WPS-19. */
CHECKED enum err device_set_service(struct tx *tx, const struct binding *b, str token_type, str service);
/* The statement that was accepted anew. */
CHECKED enum err device_set_statement(struct tx *tx, const struct clock *clock, const struct binding *b,
                                      str statement, bool for_all);

/*
 * A regular report (WPS-08, WPS-21). `digest` is over what came, as it came: where it is the one that is
 * stored, only `seen` is noted, at most every five minutes, and *changed is false.
 */
CHECKED enum err device_report(struct tx *tx, const struct privacy *p, const struct key *k,
                               const struct binding *b, const struct device_facts *d,
                               const struct app_facts *app, const struct license_facts *l,
                               const unsigned char digest[16], bool *changed);

/* Ends a binding, at once: its token is refused from now on, what it told is erased, its commands are over.
 * The device goes with its last binding, and the consent to sending with the last of the account's (WPS-10).
 * ERR_NOT_FOUND. */
CHECKED enum err device_disconnect(struct tx *tx, struct portal *p, account_id which, binding_id binding);
/* Ends all of a device's. ERR_NOT_FOUND. */
CHECKED enum err device_disconnect_all(struct tx *tx, struct portal *p, account_id which, device_id device);
/* Something is there for the apps of a device: they find it at their next question, and those that wait are
 * told once this is committed. */
CHECKED enum err device_wake(struct tx *tx, struct portal *p, account_id which, device_id device);

/* ---- connecting with a one-time password (WPS-16) ---- */

/* Eight characters, shown in two groups, for DEVICE_PASSWORD_LASTS; the one before is void. */
CHECKED enum err device_password_make(struct tx *tx, const struct privacy *p, account_id which,
                                      bool office, str *password, moment *ends);
/* Uses it up. ERR_NOT_FOUND: wrong, old or used. */
CHECKED enum err device_password_redeem(struct tx *tx, const struct privacy *p, str password,
                                        account_id *which, bool *office);

/* ---- what its owner sees ---- */

/* What is wrong with a product (MYA-38): words device-problem.CODE, and what helps: device-fix.CODE. */
struct problem {
    const char *code; /* "protection-off" */
    const char *fix;  /* the command that mends it; NULL: none does */
    bool grave;       /* a problem; else a warning */
};
enum { PROBLEMS_MAX = 6 };

/* An app on a device, as it told last. */
struct device_product {
    binding_id binding;
    str app, version, locale;
    struct license_facts license;
    moment reported;
    struct problem problems[PROBLEMS_MAX];
    size_t n_problems;
};

struct device_entry {
    device_id id;
    str name;         /* what its owner calls it, else its network name; opened; may be empty */
    str own_name;     /* empty: its owner has given none */
    str network_name; /* empty: nothing was told, or the person took their consent back */
    str type, os_type, os_version;
    bool office;
    moment made, seen;
    const char *state; /* the worst of its products: good, warning, problem; silent; unknown: nothing told yet */
    struct device_product *products;
    size_t n_products;
};
/* The connected ones, the one that was heard of last first; at most DEVICES_MAX. */
CHECKED enum err device_list(struct tx *tx, const struct privacy *p, account_id which,
                             const struct key *k, struct device_entry **out, size_t *n);
CHECKED enum err device_get(struct tx *tx, const struct privacy *p, account_id which, device_id device,
                            const struct key *k, struct device_entry *out);
/* Does one of its apps say that its license has that feature ("anti-theft")? */
bool device_offers(const struct device_entry *d, str feature);
/* What its owner calls it; empty: by its network name again. ERR_INPUT: too long. ERR_NOT_FOUND. */
CHECKED enum err device_rename(struct tx *tx, account_id which, device_id device, const struct key *k,
                               str name);

/* ---- commands (WPS-20, ATW-02, ATW-03) ---- */

/* message, alarm, locate, lock, wipe; enable-protection, update-databases, renew-license: fixes. */
struct command_start {
    account_id account;
    device_id device;
    const char *kind;
    str text;     /* for message and lock: what the device shows; or empty */
    id session;   /* by which session it was given */
    const char *feature; /* for those apps only that say that they have it ("anti-theft"); NULL: for every app */
};
/* To the apps on the device that are bound. ERR_NOT_FOUND: no such device, or no such app on it;
 * ERR_CONFLICT: the same one waits already; ERR_DENIED: privacy_may refuses. */
CHECKED enum err command_add(struct tx *tx, struct portal *p, const struct key *k,
                             const struct command_start *s, command_id *out);
/* Takes back what no app has fetched yet: all that wait of that kind, for whichever app. They end as expired,
 * with the reason COMMAND_TAKEN_BACK. ERR_CONFLICT: none waits, or none any more. */
#define COMMAND_TAKEN_BACK "taken-back"
CHECKED enum err command_take_back(struct tx *tx, const struct privacy *p, account_id which, device_id device,
                                   const char *kind);

struct command {
    command_id id;
    device_id device;
    binding_id binding;
    str kind, text; /* opened with a key */
    str state;  /* queued, delivered, done, failed, expired */
    str reason; /* of a failure: a code */
    moment made, delivered, ended, expires;
    id session;
};
/* What waits for the binding's app, in order; they are delivered from now on. */
CHECKED enum err command_fetch(struct tx *tx, const struct privacy *p, const struct key *k,
                               const struct binding *b, struct command **out, size_t *n);
/* The app says how it went: "done" or "failed" with a code; a second answer changes nothing.
 * ERR_NOT_FOUND: not this binding's, or expired. */
CHECKED enum err command_answer(struct tx *tx, struct portal *p, const struct key *k,
                                const struct binding *b, command_id command, bool done, str reason);
/* Commands of a device, newest first, with those that time ended. */
CHECKED enum err command_list(struct tx *tx, const struct privacy *p, account_id which, device_id device,
                              const struct key *k, int limit, struct command **out, size_t *n);

/* A position, where a locate command of the owner's asked for one; otherwise ERR_DENIED and nothing is
 * stored. Degrees, WGS 84; accuracy in metres. */
struct position {
    double latitude, longitude, accuracy;
    moment made, ends;
};
CHECKED enum err position_add(struct tx *tx, const struct privacy *p, const struct key *k,
                              const struct binding *b, command_id command, const struct position *at);
/* The newest that is there. ERR_NOT_FOUND. */
CHECKED enum err position_get(struct tx *tx, const struct privacy *p, account_id which, device_id device,
                              const struct key *k, struct position *out);

#endif
