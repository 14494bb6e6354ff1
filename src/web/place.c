#include "web/place.h"

#include <stdlib.h>
#include <string.h>

#include <maxminddb.h>

#include "base/codec.h"

enum { ADDRESS_MAX = 64, NAME_MAX_BYTES = 100 };

struct places {
    MMDB_s db;
};

enum err places_open(struct places **out, str file, struct fault *f)
{
    *out = NULL;
    if (file.n == 0)
        return OK;
    struct places *p = calloc(1, sizeof *p);
    char *name = strndup(file.p, file.n);
    int r = p && name ? MMDB_open(name, MMDB_MODE_MMAP, &p->db) : MMDB_OUT_OF_MEMORY_ERROR;
    free(name);
    if (r != MMDB_SUCCESS) {
        free(p);
        return FAIL(f, ERR_INPUT, "places: %.*s: %s", STR_FMT(file), MMDB_strerror(r));
    }
    *out = p;
    return OK;
}

void places_close(struct places **p)
{
    if (*p == NULL)
        return;
    MMDB_close(&(*p)->db);
    free(*p);
    *p = NULL;
}

/* A text at that path; empty where there is none. The file is the operator's, not ours: it is checked. */
static str text_at(MMDB_entry_s *e, const char *const *path)
{
    MMDB_entry_data_s d;
    if (MMDB_aget_value(e, &d, path) != MMDB_SUCCESS || !d.has_data || d.type != MMDB_DATA_TYPE_UTF8_STRING)
        return (str){NULL, 0};
    str s = str_of(d.utf8_string, d.data_size);
    return s.n > 0 && s.n <= NAME_MAX_BYTES && utf8_valid(s) ? s : (str){NULL, 0};
}

static str town_at(MMDB_entry_s *e, const char *language)
{
    str town = text_at(e, (const char *const[]){"city", "names", language, NULL});
    return town.n > 0 ? town : text_at(e, (const char *const[]){"city", "names", "en", NULL});
}

str place_of(const struct places *p, struct arena *a, const struct locale *l, str address)
{
    char text[ADDRESS_MAX];
    int resolving, wrong;
    if (p == NULL || address.n == 0 || address.n >= sizeof text)
        return (str){NULL, 0};
    memcpy(text, address.p, address.n);
    text[address.n] = '\0';
    MMDB_lookup_result_s r = MMDB_lookup_string(&p->db, text, &resolving, &wrong);
    if (resolving != 0 || wrong != MMDB_SUCCESS || !r.found_entry)
        return (str){NULL, 0};
    str town = town_at(&r.entry, l->code), code = text_at(&r.entry, (const char *const[]){"country", "iso_code", NULL});
    str country = code.n == 2 ? format_value(a, l, FORMAT_COUNTRY, code) : (str){NULL, 0};
    if (town.n == 0 || country.n == 0)
        return str_dup(a, country);
    return str_fmt(a, "%.*s, %.*s", STR_FMT(town), STR_FMT(country));
}
