/*
 * The inventory: what every feature keeps about people, why, how long, and who gets it. Read from
 * the records.yaml files (docs/records.md describes them), and from it alone follow the tables,
 * retention, erasure, export, the published policy and its proof.
 *
 * Everything in it lives in the arena it was read into and is constant afterwards.
 *
 * Sources: spec GEN-05, GEN-06, GEN-11, GEN-23, REC-01, RET-04, REC-08; terms of GDPR and W3C DPV.
 */
#ifndef PRIVACY_INVENTORY_H
#define PRIVACY_INVENTORY_H

#include "base/calendar.h"
#include "base/yaml.h"
#include "privacy/role.h"
#include "store/schema.h"
#include "text/i18n.h"

enum legal_basis {
    BASIS_CONTRACT,            /* Art. 6(1)(b) GDPR */
    BASIS_LEGITIMATE_INTEREST, /* Art. 6(1)(f): may be objected to */
    BASIS_CONSENT,             /* Art. 6(1)(a): may be withdrawn */
    BASIS_LEGAL_OBLIGATION,    /* Art. 6(1)(c) */
};
const char *basis_name(enum legal_basis b); /* "contract" … */

/* What kind of thing a field holds. */
struct category {
    const char *name;
    bool sealed; /* it identifies or contacts a person: a field that leaves it plain does not start */
    bool secret; /* shown to nobody, not even in the person's own export: that it is there is said */
};
const struct category *category_named(str name); /* NULL where there is none */

struct purpose {
    str name;
    str service;
    enum legal_basis basis;
    bool marketing;   /* direct marketing: an objection is absolute (RGT-09), mails carry a way out */
    bool essential;   /* goes on under restriction: the person's own access, and security */
    int version;      /* of the text that is consented to */
    struct term lasts; /* how long a consent lasts; zero: until it is withdrawn */
    str controller;   /* whom a consent names, by key in the organisation's file; empty: the first */
    bool elsewhere;   /* it is asked for where it is needed (an app's statement), not on our pages; they can
                       * take it back */
};

struct field {
    str name;
    enum column_type type;
    bool file; /* a text that names a sealed file */
    bool null;
    bool shared; /* every service account has it: its words are field.enrolment.NAME */
    const struct category *category;
    str words; /* how its values are said to people: a key of the catalog, with '*' for the value ("event.*");
                * empty: as they are. A '+' in a value is a '-' in its key */
};

enum keep_kind {
    KEEP_AFTER, /* a term that begins with the moment in the field */
    KEEP_AT,    /* at the very moment in the field, which somebody chose */
};

struct keep_rule {
    enum keep_kind kind;
    str name; /* "device.disconnected": the table and field of the anchor */
    str table, field; /* the record's own, or its subject's */
    bool implied;     /* the subject ends by the same rule, and the record with it */
    struct term term;
    struct term most; /* an organisation may choose another, up to this; zero: it may not */
    const struct record *record; /* what it ends */
};

struct record {
    str name; /* its table's, too */
    str service;
    str subject; /* the table of its subjects; its own name where it is one; "any": a subject of
                  * whatever kind; empty: nobody's */
    bool subject_optional; /* some rows belong to nobody */
    const struct purpose *purpose;
    struct field *fields; /* declared ones, without the subject's column and the ID */
    size_t n_fields;
    bool has_id;
    struct keep_rule *rules; /* whichever comes due first ends the record */
    size_t n_rules;
    str *recipients; /* by key in the organisation's file */
    size_t n_recipients;
    unsigned staff; /* which roles may read it (REC-01); 0: nobody who works here */
    str finds_record, finds_field; /* a lookup: which sealed field it finds by its keyed hash */
    const struct table *table;
};

/* One question of the form with which a person joins a service. */
struct question {
    const struct field *field; /* optional ones may be NULL in the table */
    bool required;
    size_t max;                /* bytes */
    const char *fill;          /* what the browser may fill in (HTML autofill), or NULL */
};

/*
 * A service account (spec README, decision 1): a person's enrolment in a service, of which the
 * record below holds one row a person. Declared in the service's records.yaml:
 *
 *     service: mail-protection
 *     account:
 *       record: mail_protection       # its table
 *       subject: account              # whose; a kind of subject
 *       purpose: provide-mail-protection
 *       terms: 1                      # version of the text terms.mail-protection.1; raise it, and
 *                                     # everybody is asked again
 *       uses: [account.email]         # what it takes from the subject's own record
 *       form:                         # what is asked; nothing else is
 *         company: {type: sealed, category: company-name, required: true, max: 120,
 *                   fill: organization}
 *       fields:                       # what the program notes itself; all null: true
 *         license_ended: {type: time, category: lifecycle, null: true}
 *       roles: [administrator]        # the first is given with joining
 *       served_by: business-hub       # an account there serves here as well
 *       keep:                         # what comes due first ends all that the service holds
 *         - {after: left_at, for: P1M}
 *         - {after: license_ended, for: P6M}
 *
 * Beside these, as a service needs them: `needs: SERVICE` (only with an account there; ends with it;
 * its terms hold here where `terms` is left out), `includes: [NAME …]` (surfaces that the same
 * account opens), `offers: [security-question]` (its members may set one), `leaving: erase` (all is erased at the moment of leaving; the term is the ceiling),
 * `recipients`, and in a keep rule `at_most: P1Y` (the organisation's file may choose another term
 * under `periods`, up to that).
 *
 * The consents that joining offers are the purposes of the same service that rest on consent. Every
 * record of the service that belongs to the same kind of subject ends with the enrolment.
 *
 * Its record has, of its own accord: joined, left_at; with terms: terms_version, terms_language,
 * terms_accepted; with roles: role; with served_by: served_by.
 */
struct service_account {
    str service;
    const struct record *record;
    int terms;                  /* 0: those of the service that it needs */
    struct question *form;
    size_t n_form;
    const struct field **uses;  /* fields of the subject's own record */
    size_t n_uses;
    str *roles;
    size_t n_roles;
    str *includes;
    size_t n_includes;
    str *offers; /* what its members may set for their identity: "security-question" */
    size_t n_offers;
    str needs, served_by;       /* services; or empty */
    bool erase_at_leaving;
    const struct keep_rule *leaving; /* the rule after left_at */
    size_t index;               /* of its record, while reading */
    int line;
    str source;
};

enum cookie_type { COOKIE_NECESSARY, COOKIE_FUNCTIONAL, COOKIE_ANALYSIS, COOKIE_ADVERTISING };

struct cookie {
    str name;
    str service;
    enum cookie_type type;
    const struct purpose *purpose;
    struct term lasts; /* zero: until the browser closes */
};

/* A promise that is no retention rule: its text is promise.KEY, its check a function that the
 * feature exports under that name. */
struct promise {
    str key;
    str ids;   /* of the specification: "MYA-25 RET-06" */
    str check;
    str service;
};

struct inventory {
    str *services;
    size_t n_services;
    struct purpose *purposes;
    size_t n_purposes;
    struct record *records; /* subjects first */
    size_t n_records;
    struct service_account *accounts;
    size_t n_accounts;
    struct cookie *cookies;
    size_t n_cookies;
    struct promise *promises;
    size_t n_promises;
    struct schema schema;
};

/* One records.yaml: where it came from (for what is said of it) and its text. */
struct inventory_source {
    str name;
    str text;
};

/*
 * Reads all sources into one inventory. ERR_INPUT, with source and line, for anything that is not
 * as docs/records.md says: an unknown word, a field without a category, a category that must be
 * sealed and is not, one that the law calls special (GEN-11), a rule whose anchor no field is …
 */
CHECKED enum err inventory_read(struct arena *a, const struct inventory_source *sources, size_t n,
                                struct inventory **out, struct fault *f);

const struct record *inventory_record(const struct inventory *v, str name);
const struct purpose *inventory_purpose(const struct inventory *v, str name);
const struct cookie *inventory_cookie(const struct inventory *v, str name);
/* NULL: one joins nothing there. */
const struct service_account *inventory_account(const struct inventory *v, str service);
/* Does it hold the enrolments of a service? */
bool inventory_is_account(const struct inventory *v, const struct record *r);
bool service_account_offers(const struct service_account *s, const char *what);
const struct field *record_field(const struct record *r, str name);
const struct field *record_of_category(const struct record *r, const char *category); /* the first */
/* The key of its words: "field.RECORD.NAME". */
str inventory_field_key(struct arena *a, const struct record *r, const struct field *f);
/* A value of it as people read it; itself where there are no words for it. */
str inventory_value_words(const struct catalog *c, const struct locale *l, struct arena *a,
                          const struct field *f, str value);

/* Is the record erased with its subject (it has the subject's column)? */
bool record_has_subject(const struct record *r);
/* Is it the table of subjects itself? */
bool record_is_subject(const struct record *r);
/* Does it belong to subjects of whatever kind? */
bool record_of_any(const struct record *r);
/* The column that names the subject: "id" in the subject's own table, "subject" where it may be
 * any, else the subject's table. */
str record_subject_column(const struct record *r);

/* The translation keys that people's pages need for this inventory, one by one: record.NAME,
 * field.NAME.FIELD, purpose.NAME … Each must be in the catalog. */
CHECKED enum err inventory_each_text(const struct inventory *v, struct arena *a,
                                     enum err (*each)(str key, void *arg), void *arg);

#endif
