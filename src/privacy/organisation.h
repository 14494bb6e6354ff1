/*
 * Who runs this portal: what the declarations cannot know, from the organisation's own file
 * (organisation.yaml; docs/organisation.md). Controllers, contacts, representatives, processors,
 * places of processing, surfaces that the policy covers, and the rules of single countries.
 *
 * Sources: spec GEN-02 to GEN-04, GEN-12 to GEN-14, CNT-01 to CNT-06, REC-08, XFR-01, RGT-11.
 */
#ifndef PRIVACY_ORGANISATION_H
#define PRIVACY_ORGANISATION_H

#include "privacy/inventory.h"

/* A text in each language, in the catalog's order; one given plainly stands for all. */
struct texts {
    str text[8];
};

/* A company or an office, with how to reach it. */
struct party {
    str key;
    str name;
    struct texts role; /* "data protection officer"; may be empty */
    str address;       /* lines separated by newlines */
    str email, phone, url;
    str country; /* ISO 3166; a contact may be for one country's people only */
};

struct processor {
    str key; /* what records.yaml names as recipient */
    str name;
    struct texts service;
    str country;
    bool contract; /* an Art. 28 contract is in place */
};

/* A site, service or product, and whose policy it is under (GEN-02, GEN-03). */
struct surface {
    struct texts name;
    str url;
    bool covered;   /* by this portal's policy */
    str policy_url; /* its own, where it is not */
};

/* What the law of one country adds to a purpose (GEN-12 to GEN-14). */
struct country_rule {
    str country;
    str purpose;
    bool separate_consent;
    bool assessment;     /* an impact assessment is needed first … */
    str assessment_ref;  /* … and this is it; empty: the purpose may not run there */
};

/* A shorter term for people of one country. */
struct country_term {
    str country;
    str rule; /* "account.closed" */
    struct term term;
};

/* A term that the organisation chose where a declaration leaves it to it (at_most). */
struct period {
    str rule; /* "company_account.left_at" */
    struct term term;
};

struct organisation {
    str product; /* the portal's name on its pages */
    struct party *controllers; /* the first is the one unless a purpose names another */
    size_t n_controllers;
    struct party *contacts; /* data protection officers, representatives, support */
    size_t n_contacts;
    struct party authority; /* the supervisory authority that complaints may go to (RGT-11) */
    struct processor *processors;
    size_t n_processors;
    str *countries; /* outside the EU and EEA where data may be processed (XFR-01) */
    size_t n_countries;
    str *regions; /* where data of people in the EU is stored (XFR-02) */
    size_t n_regions;
    struct surface *surfaces;
    size_t n_surfaces;
    struct country_rule *rules;
    size_t n_rules;
    struct country_term *terms;
    size_t n_terms;
    struct period *periods;
    size_t n_periods;
    str country;          /* whose law holds where a person's country is not known */
    str security_contact; /* for security.txt: mailto: or https: */
};

/* `languages` are the catalog's codes. ERR_INPUT with the line. */
CHECKED enum err organisation_read(struct arena *a, str name, str text,
                                   const char *const *languages, size_t n_languages,
                                   struct organisation **out, struct fault *f);
/* Does it fit the inventory: a processor for each recipient, a controller for each consent, purposes
 * and rules that there are? ERR_INPUT, by name. */
CHECKED enum err organisation_check(const struct organisation *o, const struct inventory *v,
                                    struct fault *f);

/* Puts the terms that it chose into the inventory. ERR_INPUT: no such rule, not one to choose, or
 * longer than its at_most. To be called before anything is made of the inventory. */
CHECKED enum err organisation_choose_periods(const struct organisation *o, struct inventory *v,
                                             struct fault *f);

const struct party *organisation_controller(const struct organisation *o, str key);
const struct processor *organisation_processor(const struct organisation *o, str key);
/* Does any country ask for a separate consent to it? */
bool organisation_asks(const struct organisation *o, str purpose);
/* The rule of a country for a purpose, or NULL. */
const struct country_rule *organisation_rule(const struct organisation *o, str country,
                                             str purpose);

#endif
