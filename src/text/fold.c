#include "text/fold.h"

#include <unicode/unorm2.h>
#include <unicode/ustring.h>


static str one_blank(struct arena *a, str s)
{
    struct buf b = buf_new(a, s.n + 1);
    bool blank = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            blank = true;
            continue;
        }
        if (blank && buf_str(&b).n > 0)
            buf_char(&b, ' ');
        blank = false;
        buf_char(&b, c);
    }
    return buf_str(&b);
}

str text_fold(struct arena *a, str s)
{
    enum { GROWS = 18 }; /* the most that NFKC makes of one code unit */
    UErrorCode e = U_ZERO_ERROR;
    const UNormalizer2 *n = unorm2_getNFKCCasefoldInstance(&e);
    int32_t most = (int32_t)s.n + 1, folded_most = GROWS * most, length = 0;
    UChar *wide = ARENA_ARRAY(a, UChar, most), *folded = ARENA_ARRAY(a, UChar, folded_most);
    u_strFromUTF8(wide, most, &length, s.p ? s.p : "", (int32_t)s.n, &e);
    length = unorm2_normalize(n, wide, length, folded, folded_most, &e);
    int32_t bytes_most = 3 * length + 1, bytes = 0;
    char *out = arena_alloc(a, (size_t)bytes_most);
    u_strToUTF8(out, bytes_most, &bytes, folded, length, &e);
    return U_FAILURE(e) ? (str){NULL, 0} : one_blank(a, str_of(out, (size_t)bytes));
}
