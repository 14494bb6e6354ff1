/* Inside devices: what its pages share. */
#ifndef FEATURES_DEVICES_PAGES_H
#define FEATURES_DEVICES_PAGES_H

#include "features/devices/model.h"

#define LIST          "/account/devices"
#define SIGNED_IN(req) ((account_id){(req)->session.account})
#define SHOWS(...)    (const struct form *const[]){__VA_ARGS__, NULL}

enum { DEVICE_ID_MAX = ID_LENGTH, FIX_MAX = 40 };

extern const struct form fix_form;

/* The text whose key is the prefix and the word: what the word means. The word itself where there is none. */
str device_word(struct request *req, const char *prefix, str word);
str device_reason(struct request *req, str code);
str device_title(struct request *req, const struct device_entry *d);
/* "5 minutes ago"; a date where it is long ago. */
str device_ago(struct request *req, moment then);

/* A device with its products, their problems, and how the fixes go that were asked for. */
void device_put(struct request *req, json_t *j, const struct device_entry *d, const struct command *fixes, size_t n);
/* Devices into the view: {devices, none, total, count …}: all, or those of the office. */
CHECKED enum err devices_put(struct request *req, const struct key *k, bool office);
/* What the page needs to be told of changes; `source`: from where it is fetched again. */
void device_put_live(struct request *req, str source);

/* A new password to connect an app with, shown on this page and nowhere again. */
CHECKED enum err device_show_password(struct request *req, bool office, const char *template);

extern const struct route device_routes[], device_add_routes[], office_routes[];

#endif
