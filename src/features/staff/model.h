/* Inside staff: decisions and SQL; no HTML. */
#ifndef FEATURES_STAFF_MODEL_H
#define FEATURES_STAFF_MODEL_H

#include "features/staff/staff.h"

enum { INVITATION_TOKEN_LENGTH = ID_LENGTH + SECRET_LENGTH };

/* ERR_NOT_FOUND: wrong, used, or too late; all alike. */
CHECKED enum err invitation_find(struct tx *tx, const struct privacy *p, str token,
                                 struct staff_invitation *out);
CHECKED enum err invitation_use(struct tx *tx, const struct privacy *p, id which);

/* What these roles may look for somebody by. */
#define SEARCHERS (ROLE_BIT(ROLE_SUPPORT) | ROLE_BIT(ROLE_PRIVACY))

/* Pages of the desk, by file. */
extern const struct route join_routes[], desk_routes[], person_routes[], review_routes[];

/* Roles by their names in the reader's language: "customer support, data protection". */
str roles_words(const struct privacy *p, const struct locale *l, struct arena *a, unsigned roles);

#endif
