/*
 * What pages link to: style sheets, scripts, images. Embedded in the program under names that carry
 * a hash of their content, with compressed forms, so that a browser may keep them for ever.
 */
#ifndef WEB_ASSETS_H
#define WEB_ASSETS_H

#include "base/str.h"

struct asset {
    const char *name;   /* "app.css" */
    const char *hashed; /* "app.5f2c….css" */
    const char *type;   /* media type */
    str plain, gzip, brotli; /* gzip and brotli may be empty */
};

/* Generated at build time (assets/meson.build). */
extern const struct asset assets[];
extern const size_t n_assets;

/* "/assets/app.5f2c….css" for "app.css"; a name that is not there is a bug and aborts. */
str asset_url(struct arena *a, const char *name);
/* By what stands behind /assets/. NULL where there is none. */
const struct asset *asset_find(str hashed);
/* The best form for an Accept-Encoding header; *encoding is NULL for the plain one. */
str asset_body(const struct asset *x, str accept_encoding, const char **encoding);

#endif
