#include "web/qr.h"

#include <qrencode.h>
#include <sodium.h>


enum { QUIET = 4, PATH_BYTES = 256 << 10 };

enum err qr_make(struct arena *a, str text, struct qr *out, struct fault *f)
{
    QRcode *code = QRcode_encodeString8bit(str_cstr(a, text), 0, QR_ECLEVEL_M);
    if (code == NULL)
        return FAIL(f, ERR_IO, "no QR code of %zu bytes", text.n);
    struct buf b = buf_new(a, PATH_BYTES);
    for (int y = 0; y < code->width; y++)
        for (int x = 0; x < code->width; x++)
            if (code->data[y * code->width + x] & 1)
                buf_fmt(&b, "M%d %dh1v1h-1z", x + QUIET, y + QUIET);
    out->side = code->width + 2 * QUIET;
    sodium_memzero(code->data, (size_t)code->width * (size_t)code->width); /* it may say a secret */
    QRcode_free(code);
    return buf_end(&b, &out->path);
}
