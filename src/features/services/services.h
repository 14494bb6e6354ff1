/* Inside services: the forms that follow from the declarations. */
#ifndef FEATURES_SERVICES_H
#define FEATURES_SERVICES_H

#include "features/feature.h"
#include "privacy/enrolment.h"

#define CONSENT_WAY_JOIN    "join-form"
#define CONSENT_WAY_SERVICE "service-page"

#define FIELD_TERMS   "terms"
#define FIELD_VERSION "version"

/* A service that can be joined. Lives as long as the portal. */
struct service {
    const struct service_account *account;
    const struct purpose **consents; /* its purposes that rest on consent */
    size_t n_consents;
    struct form join;    /* the questions, the consents, the terms */
    struct form correct; /* the questions alone */
    struct form accept;  /* the terms alone */
};

struct services {
    struct service *list; /* in the order in which they are shown */
    size_t n;
};

/* ERR_INPUT: a form that would be too long, by the service's name. */
CHECKED enum err services_make(struct portal *p, struct services **out, struct fault *f);
const struct service *service_named(const struct services *s, str service);

extern const struct route service_routes[];
extern const struct named_check service_checks[];
extern const size_t n_service_checks;
extern const struct feature feature_services;

#endif
