/* Inside privacy: declarations in words, for exports, policies and proofs. */
#ifndef PRIVACY_WORDS_H
#define PRIVACY_WORDS_H

#include "privacy/privacy.h"

str words_service(const struct privacy *p, const struct locale *l, struct arena *a, str service);
str words_purpose(const struct privacy *p, const struct locale *l, struct arena *a,
                  const struct purpose *purpose);
str words_basis(const struct privacy *p, const struct locale *l, struct arena *a,
                enum legal_basis basis);
str words_record(const struct privacy *p, const struct locale *l, struct arena *a,
                 const struct record *r);
str words_field(const struct privacy *p, const struct locale *l, struct arena *a,
                const struct record *r, const struct field *f);
str words_category(const struct privacy *p, const struct locale *l, struct arena *a,
                   const struct category *c);
/* "1 month after the account was closed" */
str words_rule(const struct privacy *p, const struct locale *l, struct arena *a,
               const struct keep_rule *rule);
/* Every rule that may end a record, its subject's included, as a JSON array of texts. */
json_t *words_kept(const struct privacy *p, const struct locale *l, struct arena *a,
                   const struct record *r);
/* The names of those who receive it, as a JSON array of {name, service, country}. */
json_t *words_recipients(const struct privacy *p, const struct locale *l, struct arena *a,
                         const struct record *r);
/* The roles that may read it, as a JSON array of {name: their label, role}. */
json_t *words_readers(const struct privacy *p, const struct locale *l, struct arena *a,
                      unsigned roles);
/* A party as {name, role, address: [lines], email, phone, url}; absent ones are null. */
json_t *words_party(const struct party *party, const struct locale *l);

#endif
