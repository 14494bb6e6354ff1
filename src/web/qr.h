/*
 * QR codes (ISO/IEC 18004), for cameras: as what an SVG draws.
 */
#ifndef WEB_QR_H
#define WEB_QR_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct qr {
    int side; /* of the square, with the quiet zone that readers need */
    str path; /* its dark squares: a path's "d" within 0 0 side side */
};

/* Of the bytes of `text`, with correction level M. ERR_IO: it is too long for one. */
CHECKED enum err qr_make(struct arena *a, str text, struct qr *out, struct fault *f);

#endif
