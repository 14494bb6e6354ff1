#include "web/assets.h"

#include <assert.h>
#include <string.h>

str asset_url(struct arena *a, const char *name)
{
    for (size_t i = 0; i < n_assets; i++)
        if (strcmp(assets[i].name, name) == 0)
            return str_fmt(a, "/assets/%s", assets[i].hashed);
    assert(!"no such asset");
    return (str){NULL, 0};
}

const struct asset *asset_find(str hashed)
{
    for (size_t i = 0; i < n_assets; i++)
        if (str_is(hashed, assets[i].hashed))
            return &assets[i];
    return NULL;
}

/* Is the coding among those accepted, and not with q=0? */
static bool accepts(str header, const char *coding)
{
    str one, rest = header, params, q;
    while (rest.n > 0) {
        if (!str_cut(rest, ',', &one, &rest)) {
            one = rest;
            rest = (str){NULL, 0};
        }
        params = (str){NULL, 0};
        str_cut(one, ';', &one, &params);
        if (!str_is(str_trim(one), coding))
            continue;
        return !str_cut(params, '=', &q, &params) || !str_starts(str_trim(params), STR("0")) ||
               str_trim(params).n > 1;
    }
    return false;
}

str asset_body(const struct asset *x, str accept_encoding, const char **encoding)
{
    *encoding = NULL;
    if (x->brotli.n > 0 && accepts(accept_encoding, "br")) {
        *encoding = "br";
        return x->brotli;
    }
    if (x->gzip.n > 0 && accepts(accept_encoding, "gzip")) {
        *encoding = "gzip";
        return x->gzip;
    }
    return x->plain;
}
