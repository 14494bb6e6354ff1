/*
 * The published policy: made from the declarations and the organisation's file, never written
 * twice (spec GEN-01 to GEN-06, GEN-25, OLD-02, RET-04, XFR-01).
 *
 * There is one policy per service. Whenever the declarations change, a new version is published in
 * every language, with its date and with what changed; a version once published never changes.
 */
#ifndef PRIVACY_POLICY_H
#define PRIVACY_POLICY_H

#include "privacy/privacy.h"

/* What the declarations say now, in one language, as the body of a policy. The caller owns it. */
json_t *policy_body(const struct privacy *p, struct arena *a, str service, const struct locale *l);

/* Publishes what has changed. `published` (may be NULL) counts new versions. */
CHECKED enum err policy_publish(const struct privacy *p, int *published, struct fault *f);

/* Versions that were read from the store, kept decoded: what is published never changes. Threads may
 * share it; struct privacy may do without. */
struct policies *policies_new(void);
void policies_free(struct policies **policies); /* for CLEANUP */
/* Which is the newest is believed for two seconds, for another server may publish; whoever publishes here
 * says so with this. */
void policies_forget(struct policies *policies);

/* A published version (0: the latest) with its number, date and changes. The caller owns it and may
 * add members to it, but not change what is in them. ERR_NOT_FOUND. */
CHECKED enum err policy_get(struct tx *tx, const struct privacy *p, str service, int64_t version,
                            const struct locale *l, json_t **out);

struct policy_version {
    int64_t version;
    moment published;
};
/* Newest first. */
CHECKED enum err policy_versions(struct tx *tx, const struct privacy *p, str service,
                                 struct policy_version **out, size_t *n);

/* Is what is published what is declared? *service is the first that differs, or empty. */
CHECKED enum err policy_check(struct tx *tx, const struct privacy *p, str *service);

/* The record of processing activities (Art. 30 GDPR), as CSV and as JSON-LD in W3C DPV terms. */
str policy_record_csv(const struct privacy *p, struct arena *a, const struct locale *l);
json_t *policy_record_dpv(const struct privacy *p, struct arena *a, const struct locale *l);

#endif
