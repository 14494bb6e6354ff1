#include "base/email.h"

#include <string.h>

#include <unicode/uidna.h>

#include "base/codec.h"

static bool is_atext(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Words of atext with single dots between them. */
static bool local_ok(str s)
{
    if (s.n == 0 || s.n > EMAIL_LOCAL_MAX || s.p[0] == '.' || s.p[s.n - 1] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_atext(s.p[i]) && !(s.p[i] == '.' && s.p[i - 1] != '.'))
            return false;
    return true;
}

static bool label_ok(str s)
{
    if (s.n == 0 || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

/* At least two labels, the last of them no number. */
static bool domain_ok(str s)
{
    str label, rest = s;
    int labels = 0;
    for (bool more = true; more; labels++) {
        more = str_cut(rest, '.', &label, &rest);
        if (!more)
            label = rest;
        if (!label_ok(label))
            return false;
    }
    return labels >= 2 && !(label.p[0] >= '0' && label.p[0] <= '9') && s.n <= 253;
}

static enum err domain_to_ascii(struct arena *a, str domain, str *out)
{
    char text[256];
    UErrorCode e = U_ZERO_ERROR;
    UIDNAInfo info = UIDNA_INFO_INITIALIZER;
    UIDNA *idna = uidna_openUTS46(UIDNA_USE_STD3_RULES | UIDNA_NONTRANSITIONAL_TO_ASCII |
                                      UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ,
                                  &e);
    int32_t n = uidna_nameToASCII_UTF8(idna, domain.p, (int32_t)domain.n, text, sizeof text, &info, &e);
    uidna_close(idna);
    if (U_FAILURE(e) || info.errors != 0 || n <= 0 || n >= (int32_t)sizeof text)
        return ERR_INPUT;
    *out = str_dup(a, str_of(text, (size_t)n));
    return OK;
}

enum err email_parse(struct arena *a, str typed, struct email *out)
{
    str local, domain, ascii;
    typed = str_trim(typed);
    if (typed.n > EMAIL_MAX || !utf8_is_line(typed) ||
        !str_cut_last(typed, '@', &local, &domain) || !local_ok(local) || domain.n == 0)
        return ERR_INPUT;
    bool plain = true;
    for (size_t i = 0; i < domain.n; i++)
        plain &= (unsigned char)domain.p[i] < 0x80;
    domain = str_lower(a, domain);
    if (plain)
        ascii = domain;
    else
        TRY(domain_to_ascii(a, domain, &ascii));
    if (!domain_ok(ascii))
        return ERR_INPUT;
    out->shown = str_fmt(a, "%.*s@%.*s", STR_FMT(local), STR_FMT(domain));
    out->wire = str_fmt(a, "%.*s@%.*s", STR_FMT(local), STR_FMT(ascii));
    out->same = str_lower(a, out->wire);
    return out->wire.n > EMAIL_MAX ? ERR_INPUT : OK;
}
