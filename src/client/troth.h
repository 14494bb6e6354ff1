/*
 * libtroth: an installed app's side of the Connect API (docs/apps.md has the way in forty lines).
 *
 * A handle is one app on one device. It has no thread of its own and nothing global: calls block, at most for
 * the patience that it was opened with, and belong to one thread at a time. What lasts (IDs, the token, what waits
 * to be sent, license files) is kept in one file of the folder that the app names, readable by its owner alone;
 * several processes may open the same folder.
 *
 * What a call hands out belongs to the handle, and is good until the next call on it. Texts are UTF-8. What comes
 * from the portal is checked for type and length, and may hold any character: clean it before a terminal shows it.
 *
 * ABI: values and members are only ever added at the end (src/client/abi.txt is the list). A struct that the app
 * fills begins with its size. The header is C99, and C++11.
 */
#ifndef TROTH_H
#define TROTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TROTH_API     __attribute__((visibility("default")))
#define TROTH_CHECKED __attribute__((warn_unused_result))

/* How a call ended. Below zero: it did not do what it says. */
enum troth_result {
    TROTH_OK = 0,
    TROTH_UNCHANGED = 1,           /* nothing new */
    TROTH_PENDING = 2,             /* the person has not decided yet */
    TROTH_QUEUED = 3,              /* not possible now: kept, troth_step() sends it */
    TROTH_USAGE = -1,              /* called out of order, or with what cannot be */
    TROTH_STORAGE = -2,            /* the folder cannot be read or written */
    TROTH_OFFLINE = -3,            /* no answer */
    TROTH_LATER = -4,              /* the portal asks for patience: troth_retry_after() */
    TROTH_REFUSED = -5,            /* troth_problem() says why */
    TROTH_STATEMENT_CHANGED = -6,  /* or consent was taken back: nothing is sent until it is accepted anew */
    TROTH_DISCONNECTED = -7,       /* the binding has ended */
    TROTH_ANSWER = -8,             /* an answer that is none of a portal's */
    TROTH_FULL = -9,               /* more waits to be sent than is kept */
    TROTH_VOID = -10,              /* the license file is not good; troth_problem() says why */
};

struct troth;

struct troth_options {
    size_t size;                     /* sizeof (struct troth_options) */
    const char *url;                 /* of the portal: https, or http on loopback. NULL: that of the folder */
    const char *application_id;      /* WPF-17 */
    const char *application_version; /* WPF-18 */
    const char *application_locale;  /* WPF-19, BCP 47 */
    const char *folder;              /* made where it is missing */
    const char *ca_file;             /* certificates to trust, PEM; NULL: the system's */
    int patience;                    /* seconds that a call may wait to try again; 0: none */
    /* A JWK set that the app was built with, or NULL; license files are believed by these keys and by those that
     * were fetched from the portal. Never keys that came with a file: they would vouch for whoever made it. */
    const char *license_keys;
};

TROTH_CHECKED TROTH_API enum troth_result troth_open(const struct troth_options *options, struct troth **out);
TROTH_API void troth_close(struct troth *t);

/* Why the last call was refused. Never NULL; empty where it was not. `code` is stable, title and detail are for
 * people, in the app's language. */
struct troth_problem {
    int status;
    const char *code, *title, *detail;
};
TROTH_API const struct troth_problem *troth_problem(const struct troth *t);
TROTH_API const char *troth_result_text(enum troth_result r);
/* Seconds until it makes sense to try again, after TROTH_LATER and TROTH_OFFLINE. */
TROTH_API int troth_retry_after(const struct troth *t);
/* Seconds since 1970, by the portal's clock as far as it is known. */
TROTH_API int64_t troth_now(const struct troth *t);
TROTH_API const char *troth_url(const struct troth *t);

/* ---- 1: the statement, before anything else (WPS-01 to WPS-04) ---- */

struct troth_document {
    const char *rel, *title, *url;
};
struct troth_field {
    const char *name, *group, *meaning; /* group: NULL where it has none */
};
struct troth_statement {
    const char *version, *locale, *title, *text;
    size_t n_documents, n_fields;
    const struct troth_document *documents;
    const struct troth_field *fields; /* all that the app may ever send */
};
TROTH_CHECKED TROTH_API enum troth_result troth_statement(struct troth *t, const struct troth_statement **out);

enum troth_choice {
    TROTH_PARTICIPATE = 1,
    TROTH_PARTICIPATE_FOR_ALL = 2, /* everybody who uses this device has understood and accepted, too */
};
/* The person's choice on the statement that troth_statement() gave last. While the app is bound: on one that has
 * changed; sending goes on. */
TROTH_CHECKED TROTH_API enum troth_result troth_accept(struct troth *t, enum troth_choice choice);

/* ---- 2 to 5: who it is, in one of four ways; then the binding ---- */

enum troth_next {
    TROTH_NEXT_CONFIRM = 1, /* the person follows the link in the mail; then troth_sign_in() */
    TROTH_NEXT_SECOND_FACTOR = 2,
    TROTH_NEXT_BIND = 3,
};
struct troth_registration {
    size_t size;
    const char *email, *password, *locale, *region; /* region: ISO 3166, two letters */
    bool marketing_agreement;
};
/* Captchas are solved by the library: some seconds of work (ALTCHA). */
TROTH_CHECKED TROTH_API enum troth_result troth_register(struct troth *t, const struct troth_registration *r,
                                                         enum troth_next *next);
TROTH_CHECKED TROTH_API enum troth_result troth_sign_in(struct troth *t, const char *email, const char *password,
                                                        const char *locale, enum troth_next *next);
/* Sends a code by text message, where the person has that second step. */
TROTH_CHECKED TROTH_API enum troth_result troth_send_code(struct troth *t);
TROTH_CHECKED TROTH_API enum troth_result troth_second_factor(struct troth *t, const char *one_time_password);
/* The one-time password that the portal shows under "add a device". */
TROTH_CHECKED TROTH_API enum troth_result troth_connect(struct troth *t, const char *connection_password);

/* RFC 8628: the person types user_code at uri, on another device. */
struct troth_grant {
    const char *user_code, *uri, *uri_complete;
    int expires_in, interval; /* seconds */
};
TROTH_CHECKED TROTH_API enum troth_result troth_ask_grant(struct troth *t, const struct troth_grant **out);
/* Waits the interval, then asks once. TROTH_PENDING: call it again. */
TROTH_CHECKED TROTH_API enum troth_result troth_await_grant(struct troth *t);

struct troth_device {
    size_t size;
    const char *network_name;
    const char *type; /* desktop, laptop, server, phone, tablet, other */
    const char *os_type, *os_version;
    const char *device_id; /* for troth_bind(): where another app of the vendor's has bound this device; or NULL */
};
TROTH_CHECKED TROTH_API enum troth_result troth_bind(struct troth *t, const struct troth_device *device);

struct troth_ids {
    const char *device_id, *application_instance_id, *binding_id, *user_id;
};
/* NULL: not bound. */
TROTH_API const struct troth_ids *troth_ids(struct troth *t);

/* ---- 6: which kind of device token ("none", "apns", "fcm", "wns"; its value is not sent) and which service ---- */

TROTH_CHECKED TROTH_API enum troth_result troth_set_service(struct troth *t, const char *device_token_type,
                                                            const char *service_id);

/* ---- 7: the regular report, and commands ---- */

struct troth_license {
    size_t size;
    const char *type, *status;
    const char *service_information; /* a JSON object without objects in it, 1 KiB at most */
    const char *activation_error;    /* empty: none */
    const char *expires;             /* RFC 3339; NULL: never */
    const char *const *features;
    size_t n_features;
};
struct troth_state {
    int commands_waiting;
    int interval;                         /* seconds until the next report */
    const struct troth_license *license;  /* as the portal has it */
    const char *const *activation_codes;  /* for the app to activate, with troth_activate() */
    size_t n_activation_codes;
};
/* Sends what changed; where nothing did, it only asks whether something waits. TROTH_UNCHANGED: nothing does.
 * `license` NULL: the one that the portal told last. */
TROTH_CHECKED TROTH_API enum troth_result troth_report(struct troth *t, const struct troth_device *device,
                                                       const struct troth_license *license);
/* What the portal told last, also in an earlier run. Never NULL. */
TROTH_API const struct troth_state *troth_state(struct troth *t);

struct troth_command {
    const char *id, *kind, *text; /* text: NULL where there is none */
    int64_t made, expires;        /* seconds since 1970, the portal's clock */
};
/* Fetches them; from then on they are delivered, and each wants an answer: until then it comes again. */
TROTH_CHECKED TROTH_API enum troth_result troth_commands(struct troth *t, const struct troth_command **out, size_t *n);
TROTH_CHECKED TROTH_API enum troth_result troth_done(struct troth *t, const char *command_id);
/* reason: a code in small letters and dashes. */
TROTH_CHECKED TROTH_API enum troth_result troth_failed(struct troth *t, const char *command_id, const char *reason);
/* For a locate command only, before troth_done(). Degrees (WGS 84) and metres. Like every answer to a command:
 * TROTH_QUEUED where it cannot be sent now; TROTH_REFUSED where it never can, and is dropped. */
TROTH_CHECKED TROTH_API enum troth_result troth_position(struct troth *t, const char *command_id, double latitude,
                                                         double longitude, double accuracy);

/*
 * One turn of an app's loop: sends what is queued, reports when it is due, and waits at most that many seconds for
 * commands: by a long poll where the portal has one, otherwise asleep. TROTH_OK: something is new (troth_state());
 * commands_waiting says whether to fetch some. TROTH_UNCHANGED: nothing. After a failure it does nothing until
 * the time has come to try again (it sleeps within the seconds that it was given).
 */
TROTH_CHECKED TROTH_API enum troth_result troth_step(struct troth *t, const struct troth_device *device,
                                                     const struct troth_license *license, int seconds);

/* ---- 8, 9: codes and purchases; troth_state()->license is what became of it ---- */

TROTH_CHECKED TROTH_API enum troth_result troth_activate(struct troth *t, const char *activation_code);

struct troth_purchase {
    size_t size;
    const char *item_name, *purchased_at, *package_name, *receipt_name, *purchase_token, *signature;
    const char *purchase_status; /* purchased, pending, refunded */
};
/* Without a network it is queued. */
TROTH_CHECKED TROTH_API enum troth_result troth_purchase(struct troth *t, const struct troth_purchase *p);

/* ---- license files, for use without a network (docs/license-file.md) ---- */

struct troth_license_file {
    const char *product, *license, *seat;
    const char *const *features;
    size_t n_features;
    int64_t made, ends, expires; /* between ends and expires: grace */
};
/* Fetches the device's file, the keys and the list of revocations, and keeps them. The portal's clock is believed:
 * what a wrong clock of this device has spoilt is good again. */
TROTH_CHECKED TROTH_API enum troth_result troth_license_fetch(struct troth *t);
/* Is what is kept good now? Asks nobody. A clock that was set back prolongs nothing; one that was ahead once costs
 * the file of that day, and no other. TROTH_VOID: the code is one
 * of license-missing, license-malformed, license-key-unknown, license-forged, license-elsewhere,
 * license-expired, license-from-the-future, license-revoked. */
TROTH_CHECKED TROTH_API enum troth_result troth_license_check(struct troth *t, const struct troth_license_file **out);
/* The same for texts that came in another way (a file on a stick): kept where they are good, by the keys that are
 * there already (troth_options.license_keys, or fetched). `revocations` may be NULL. */
TROTH_CHECKED TROTH_API enum troth_result troth_license_import(struct troth *t, const char *file,
                                                               const char *revocations);

/* ---- 10: the end ---- */

/* Withdraws the choice to take part. From now on nothing else is sent, whatever happens. TROTH_QUEUED: the portal
 * has not heard of it yet; troth_step() tells it. */
TROTH_CHECKED TROTH_API enum troth_result troth_disconnect(struct troth *t);

#ifdef __cplusplus
}
#endif
#endif
