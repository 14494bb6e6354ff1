/* Inside licenses: decisions and SQL; no HTTP, no HTML. */
#ifndef FEATURES_LICENSES_MODEL_H
#define FEATURES_LICENSES_MODEL_H

#include "features/licenses/licenses.h"

#define LICENSE_SERVICE   "my-account"
#define PURPOSE_LICENSES  "manage-licenses"
#define PURPOSE_REMINDERS "license-reminders"

#define SEAT_UNUSED     (30 * MOMENT_DAY) /* not heard of for longer: shown as unused */
#define CODE_SENT_LASTS (7 * MOMENT_DAY)  /* a code that was sent to a device waits for it this long */

#define ORIGIN_CODE     "code"
#define ORIGIN_PURCHASE "purchase"
#define ORIGIN_STORE    "store"
#define ORIGIN_TRIAL    "trial"

enum { LICENSES_MAX = 500, SEATS_MAX = 2000, HASH_BYTES = 32 };

/* ---- the catalogue (catalogue.c) ---- */

enum { REMINDERS_MAX = 8 };

struct feature_name {
    str key;
    struct texts name;
};

struct catalogue {
    struct product *products; /* in the order of the file */
    size_t n_products;
    struct feature_name *features;
    size_t n_features;
    struct term reminders[REMINDERS_MAX]; /* the longest first; days only */
    size_t n_reminders;
    struct term renewal; /* how long before the end a renewal is ordered; days only */
};
/* ERR_INPUT with file and line. `languages` are the catalog's codes. */
CHECKED enum err catalogue_read(struct arena *a, str name, str text, const char *const *languages,
                                size_t n_languages, struct catalogue **out, struct fault *f);
const struct catalogue *catalogue_of(const struct portal *p);
/* What a feature does, in the reader's language; its key where the catalogue does not know it. */
str catalogue_feature(const struct catalogue *c, str key, const struct locale *l);
/* The steps as people read them: "30 days, 7 days, 1 day". */
str catalogue_steps(const struct catalogue *c, struct arena *a, const struct locale *l);

/* ---- codes (code.c) ---- */

void license_code_new(const char lot[LOT_LENGTH], char out[LICENSE_CODE_LENGTH]);
void lot_new(char out[LOT_LENGTH]);

/* What finds a code: a hash under a key of the installation's. */
struct code_hasher {
    unsigned char key[HASH_BYTES];
};
void code_hasher_wipe(struct code_hasher *h); /* for CLEANUP */
CHECKED enum err code_hasher_get(const struct privacy *p, struct arena *a, struct code_hasher *out,
                                 struct fault *f);
str code_hash(const struct code_hasher *h, struct arena *a, const char code[LICENSE_CODE_LENGTH]);

/* ---- lots (lots.c) ---- */

enum { DESK_CODES_MAX = 500 };

CHECKED enum err lot_get(struct tx *tx, str lot, struct lot *out);
/* The newest first. */
CHECKED enum err lot_list(struct tx *tx, int limit, struct lot **out, size_t *n);
CHECKED enum err lot_count_used(struct tx *tx, str lot, int64_t *used, int64_t *revoked);

#define JOB_REVOKE_LOT "license.revoke-lot"
enum err run_revoke_lot(struct job_run *r);
/* What is known of a code that is right in itself. */
struct code_state {
    str hash, lot, product;
    bool there;
    moment activated, expires, revoked; /* revoked: it, or its lot */
    bool owned;
    account_id owner;
    license_id license;
    int64_t conflicts; /* how often another account tried to add it */
    moment conflict;   /* when one last did */
};
CHECKED enum err code_find(struct tx *tx, const struct privacy *p, const char code[LICENSE_CODE_LENGTH],
                           struct code_state *out);

/* ---- licenses (model.c) ---- */

struct license_row {
    license_id id;
    account_id account;
    str product, application, origin, lot, hash;
    struct term term, grace;
    int64_t devices;
    moment added, activated, expires, revoked, look_at;
    id mandate;
};
CHECKED enum err license_row(struct tx *tx, account_id which, license_id license, struct license_row *out);
/* new, active, grace, expired, revoked. */
const char *license_state(const struct license_row *l, moment now);
/* Until when the app works: the end of its grace. */
moment license_last(const struct license_row *l);
/* Notes a new end of the license's in all that goes with it. */
CHECKED enum err license_set_end(struct tx *tx, const struct portal *p, const struct license_row *l,
                                 moment activated, moment expires);
/* What is to be added. */
struct license_new {
    str product, application;
    const char *origin;
    struct term term, grace;
    int64_t devices;
    str code, hash, lot; /* empty where there was no code */
    moment activated, expires;
};
CHECKED enum err license_add(struct tx *tx, const struct portal *p, account_id which, const struct key *k,
                             license_id license, const struct license_new *x);

/* ---- seats (seats.c) ---- */

struct seat {
    id id, license, device;
    str application;
    moment made, seen;
    moment freed; /* 0: it is taken */
    moment filed; /* until when a license file that was made for it is good; 0: none was */
};
/* Those of one license, or (none) of all; also those that were freed lately. */
CHECKED enum err seat_list(struct tx *tx, account_id which, license_id license, struct seat **out, size_t *n);
bool seat_unused(const struct seat *s, moment now);
/* What was given out for these seats and is good still goes on the list of the revoked. */
CHECKED enum err seats_revoke_files(struct tx *tx, const struct portal *p, account_id which, license_id license);

/* All of the account's go. */
CHECKED enum err seats_end(struct tx *tx, const struct portal *p, account_id which);

/* A code on its way to a device. ERR_CONFLICT: the license has none, or is over. */
CHECKED enum err license_send_code(struct tx *tx, struct portal *p, account_id which, license_id license, id device);

/* ---- signing (file.c) ---- */

#define FILE_LASTS      (400 * MOMENT_DAY) /* at most, then another is made */
#define SIGNING_EVERY   (180 * MOMENT_DAY) /* a new key */
#define SIGNING_OVERLAP (30 * MOMENT_DAY)  /* published that long before it signs */

/* A JWS in compact form (RFC 7515), EdDSA (RFC 8037), by the key that signs now. */
CHECKED enum err license_sign(struct tx *tx, const struct portal *p, const char *type, const json_t *payload,
                              struct arena *a, str *out);
/* RFC 7638, RFC 8037 A.3. */
str license_key_id(struct arena *a, const unsigned char public_key[32]);
CHECKED enum err task_signing_keys(void *app, struct arena *a, struct fault *f);

/* ---- reminders and renewal (remind.c) ---- */

/* The next moment after `after` when something is to be done before the license ends; 0: none. */
moment license_next_look(const struct catalogue *c, moment expires, moment after);
CHECKED enum err task_licenses(void *app, struct arena *a, struct fault *f);
/* What somebody agrees to who switches it on: product, price, term, when it is ordered. */
str mandate_wording(const struct portal *p, struct arena *a, const struct product *product, const struct locale *l);
#define JOB_RENEW "license.renew"
enum err run_renew(struct job_run *r);

/* Gives or takes back the consent to be reminded. */
CHECKED enum err reminders_set(struct tx *tx, const struct portal *p, account_id which, bool wanted,
                               const char *language, const char *way);
CHECKED enum err reminders_get(struct tx *tx, const struct portal *p, account_id which, bool *wanted);
/* The link in the mail that ends them without signing in. */
CHECKED enum err reminders_token(const struct privacy *p, account_id which, struct arena *a, str *out, struct fault *f);
CHECKED enum err reminders_find(const struct privacy *p, str token, struct arena *a, account_id *out, struct fault *f);

/* Automatic renewal, on or off: a record with time and wording. ERR_CONFLICT: cannot be renewed. */
CHECKED enum err mandate_set(struct tx *tx, const struct portal *p, account_id which, license_id license, bool on,
                             const struct locale *l);
CHECKED enum err mandates_end(struct tx *tx, const struct portal *p, account_id which);

#define WAY_LICENSES "license-page"

extern const struct named_check license_checks[];
extern const size_t n_license_checks;
extern const struct route license_routes[], license_desk_routes[];

#endif
