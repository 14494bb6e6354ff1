#include "text/format.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unicode/ucal.h>
#include <unicode/ucol.h>
#include <unicode/udat.h>
#include <unicode/udatpg.h>
#include <unicode/uenum.h>
#include <unicode/uldnames.h>
#include <unicode/uloc.h>
#include <unicode/ulistformatter.h>
#include <unicode/unumberformatter.h>
#include <unicode/uregion.h>
#include <unicode/ustring.h>

enum { WIDE = 256, NARROW = 512, KEPT = 32, ZONE_BYTES = 48 };
enum { NUMBERS = 64, SAID = 512, SAID_KEY = 24, SAID_TEXT = 72 }; /* SAID: a power of two */

/* A date formatter; taken out of the pool while it is used. */
struct kept {
    UDateFormat *date;
    enum format format;
    char code[8];
    char zone[ZONE_BYTES];
};

/* A number formatter never changes: threads use it together. */
struct number {
    UNumberFormatter *formatter;
    const char *skeleton; /* a literal */
    char code[8];
};

/* How a term, a language or a country is said: there are few, and they are nobody's own. */
struct said {
    enum format format; /* FORMAT_NONE: free */
    char code[8];
    char value[SAID_KEY];
    unsigned char n;
    char text[SAID_TEXT];
};

struct formats {
    pthread_mutex_t mutex;
    struct kept kept[KEPT];
    int n;
    struct number numbers[NUMBERS];
    int n_numbers;
    struct said said[SAID];
};

struct formats *formats_new(void)
{
    struct formats *f = calloc(1, sizeof *f);
    if (f != NULL)
        pthread_mutex_init(&f->mutex, NULL);
    return f;
}

void formats_free(struct formats **f)
{
    if (*f == NULL)
        return;
    for (int i = 0; i < (*f)->n; i++)
        udat_close((*f)->kept[i].date);
    for (int i = 0; i < (*f)->n_numbers; i++)
        unumf_close((*f)->numbers[i].formatter);
    pthread_mutex_destroy(&(*f)->mutex);
    free(*f);
    *f = NULL;
}

enum format format_named(str name)
{
    static const struct {
        const char *name;
        enum format format;
    } names[] = {
        {"date", FORMAT_DATE},         {"datetime", FORMAT_DATETIME}, {"term", FORMAT_TERM},
        {"number", FORMAT_NUMBER},     {"bytes", FORMAT_BYTES},       {"language", FORMAT_LANGUAGE},
        {"country", FORMAT_COUNTRY},   {"upper", FORMAT_UPPER},
    };
    for (size_t i = 0; i < COUNT(names); i++)
        if (str_is(name, names[i].name))
            return names[i].format;
    return FORMAT_UNKNOWN;
}

/* ICU's name for a language of ours: the calendar and the digits of the West, and for English the
 * order of dates that most of the world reads. */
static void icu_locale(const char *code, char *out, size_t n)
{
    snprintf(out, n, "%s@calendar=gregorian;numbers=latn", strcmp(code, "en") == 0 ? "en_GB" : code);
}

static str narrow(struct arena *a, const UChar *wide, int32_t n)
{
    char text[NARROW];
    int32_t length = 0;
    UErrorCode e = U_ZERO_ERROR;
    u_strToUTF8(text, sizeof text, &length, wide, n, &e);
    if (U_FAILURE(e) || length >= (int32_t)sizeof text)
        return (str){NULL, 0};
    return str_dup(a, str_of(text, (size_t)length));
}

static int32_t widen(const char *text, UChar *out)
{
    int32_t n = 0;
    UErrorCode e = U_ZERO_ERROR;
    u_strFromUTF8(out, WIDE, &n, text, -1, &e);
    return U_FAILURE(e) ? 0 : n;
}

/* ---- dates ---- */

static UDateFormat *date_open(const struct locale *l, enum format format)
{
    char locale[64];
    UChar zone[WIDE], pattern[WIDE], skeleton[WIDE];
    UErrorCode e = U_ZERO_ERROR;
    icu_locale(l->code, locale, sizeof locale);
    int32_t zone_n = widen(l->zone ? l->zone : "UTC", zone);
    int32_t skeleton_n = widen(format == FORMAT_DATE ? "yMMMMd" : "yMMMMdHmz", skeleton);
    UDateTimePatternGenerator *g = udatpg_open(locale, &e);
    int32_t pattern_n = udatpg_getBestPattern(g, skeleton, skeleton_n, pattern, WIDE, &e);
    udatpg_close(g);
    UDateFormat *d = udat_open(UDAT_PATTERN, UDAT_PATTERN, locale, zone, zone_n, pattern, pattern_n, &e);
    return U_FAILURE(e) ? NULL : d;
}

static UDateFormat *date_take(const struct locale *l, enum format format)
{
    struct formats *f = l->formats;
    const char *zone = l->zone ? l->zone : "UTC";
    UDateFormat *found = NULL;
    if (f != NULL) {
        pthread_mutex_lock(&f->mutex);
        for (int i = 0; i < f->n && found == NULL; i++) {
            struct kept *k = &f->kept[i];
            if (k->format != format || strcmp(k->code, l->code) != 0 || strcmp(k->zone, zone) != 0)
                continue;
            found = k->date;
            *k = f->kept[--f->n];
        }
        pthread_mutex_unlock(&f->mutex);
    }
    return found ? found : date_open(l, format);
}

static void date_give(const struct locale *l, enum format format, UDateFormat *d)
{
    struct formats *f = l->formats;
    const char *zone = l->zone ? l->zone : "UTC";
    UDateFormat *out = d;
    if (f != NULL && strlen(l->code) < sizeof f->kept[0].code && strlen(zone) < ZONE_BYTES) {
        pthread_mutex_lock(&f->mutex);
        /* A full pool lets its oldest go: the last in use are the likeliest to come again. */
        out = f->n == KEPT ? f->kept[0].date : NULL;
        if (f->n == KEPT)
            memmove(f->kept, f->kept + 1, (size_t)--f->n * sizeof *f->kept);
        struct kept *k = &f->kept[f->n++];
        k->date = d;
        k->format = format;
        snprintf(k->code, sizeof k->code, "%s", l->code);
        snprintf(k->zone, sizeof k->zone, "%s", zone);
        pthread_mutex_unlock(&f->mutex);
    }
    if (out != NULL)
        udat_close(out);
}

static str format_date(struct arena *a, const struct locale *l, enum format format, str value)
{
    moment m;
    UChar text[WIDE];
    UErrorCode e = U_ZERO_ERROR;
    UDateFormat *d = moment_parse(value, &m) == OK ? date_take(l, format) : NULL;
    if (d == NULL)
        return value;
    int32_t n = udat_format(d, (UDate)m / 1000, text, WIDE, NULL, &e);
    date_give(l, format, d);
    return U_FAILURE(e) ? value : narrow(a, text, n);
}

/* ---- numbers and units ---- */

static UNumberFormatter *number_open(const struct locale *l, const char *skeleton)
{
    char locale[64];
    UChar wide[WIDE];
    UErrorCode e = U_ZERO_ERROR;
    icu_locale(l->code, locale, sizeof locale);
    UNumberFormatter *f = unumf_openForSkeletonAndLocale(wide, widen(skeleton, wide), locale, &e);
    if (U_FAILURE(e)) {
        unumf_close(f);
        return NULL;
    }
    return f;
}

/* One that is kept, or a fresh one that is kept from now on; *own: there was no room for it. */
static UNumberFormatter *number_for(const struct locale *l, const char *skeleton, bool *own)
{
    struct formats *f = l->formats;
    UNumberFormatter *found = NULL;
    *own = f == NULL || strlen(l->code) >= sizeof f->numbers[0].code;
    if (*own)
        return number_open(l, skeleton);
    pthread_mutex_lock(&f->mutex);
    for (int i = 0; i < f->n_numbers && found == NULL; i++)
        if (strcmp(f->numbers[i].skeleton, skeleton) == 0 && strcmp(f->numbers[i].code, l->code) == 0)
            found = f->numbers[i].formatter;
    if (found == NULL) {
        found = number_open(l, skeleton);
        *own = found == NULL || f->n_numbers == NUMBERS;
        if (!*own) {
            struct number *x = &f->numbers[f->n_numbers++];
            x->formatter = found;
            x->skeleton = skeleton;
            snprintf(x->code, sizeof x->code, "%s", l->code);
        }
    }
    pthread_mutex_unlock(&f->mutex);
    return found;
}

static int32_t number_with(const struct locale *l, const char *skeleton, double v, UChar *out)
{
    bool own;
    UErrorCode e = U_ZERO_ERROR;
    UNumberFormatter *f = number_for(l, skeleton, &own);
    if (f == NULL)
        return 0;
    UFormattedNumber *r = unumf_openResult(&e);
    unumf_formatDouble(f, v, r, &e);
    int32_t n = unumf_resultToString(r, out, WIDE, &e);
    unumf_closeResult(r);
    if (own)
        unumf_close(f);
    return U_FAILURE(e) ? 0 : n;
}

static str format_number(struct arena *a, const struct locale *l, str value)
{
    int64_t v;
    UChar text[WIDE];
    int32_t n = str_to_int(value, &v) ? number_with(l, ".", (double)v, text) : 0;
    return n ? narrow(a, text, n) : value;
}

static str format_bytes(struct arena *a, const struct locale *l, str value)
{
    static const char *const units[] = {
        "measure-unit/digital-byte .", "measure-unit/digital-kilobyte @@#",
        "measure-unit/digital-megabyte @@#", "measure-unit/digital-gigabyte @@#",
    };
    int64_t v;
    if (!str_to_int(value, &v))
        return value;
    double x = (double)v;
    size_t u = 0;
    for (; x >= 1000 && u + 1 < COUNT(units); u++)
        x /= 1000;
    UChar text[WIDE];
    int32_t n = number_with(l, units[u], x, text);
    return n ? narrow(a, text, n) : value;
}

static str format_term(struct arena *a, const struct locale *l, str value)
{
    struct term t;
    if (term_parse(value, &t) != OK)
        return value;
    const struct {
        int64_t n;
        const char *skeleton;
    } parts[] = {
        {t.months / 12, "measure-unit/duration-year unit-width-full-name"},
        {t.months % 12, "measure-unit/duration-month unit-width-full-name"},
        {t.exact / MOMENT_DAY, "measure-unit/duration-day unit-width-full-name"},
        {t.exact % MOMENT_DAY / MOMENT_HOUR, "measure-unit/duration-hour unit-width-full-name"},
        {t.exact % MOMENT_HOUR / MOMENT_MINUTE, "measure-unit/duration-minute unit-width-full-name"},
        {t.exact % MOMENT_MINUTE / MOMENT_SECOND, "measure-unit/duration-second unit-width-full-name"},
    };
    UChar texts[COUNT(parts)][WIDE], joined[WIDE];
    const UChar *list[COUNT(parts)];
    int32_t lengths[COUNT(parts)], n = 0;
    for (size_t i = 0; i < COUNT(parts); i++) {
        if (parts[i].n == 0 && !(i + 1 == COUNT(parts) && n == 0))
            continue;
        list[n] = texts[n];
        lengths[n] = number_with(l, parts[i].skeleton, (double)parts[i].n, texts[n]);
        n++;
    }
    if (n == 1)
        return narrow(a, list[0], lengths[0]);
    char locale[64];
    UErrorCode e = U_ZERO_ERROR;
    icu_locale(l->code, locale, sizeof locale);
    UListFormatter *f = ulistfmt_open(locale, &e);
    int32_t length = ulistfmt_format(f, list, lengths, n, joined, WIDE, &e);
    ulistfmt_close(f);
    return U_FAILURE(e) ? value : narrow(a, joined, length);
}

/* ---- names ---- */

static str format_name(struct arena *a, const struct locale *l, enum format format, str value)
{
    UDisplayContext contexts[] = {UDISPCTX_CAPITALIZATION_FOR_UI_LIST_OR_MENU};
    char locale[64];
    UChar text[WIDE];
    UErrorCode e = U_ZERO_ERROR;
    if (value.n == 0 || value.n > 16)
        return value;
    icu_locale(l->code, locale, sizeof locale);
    ULocaleDisplayNames *d = uldn_openForContext(locale, contexts, COUNT(contexts), &e);
    const char *name = str_cstr(a, value);
    int32_t n = format == FORMAT_LANGUAGE ? uldn_localeDisplayName(d, name, text, WIDE, &e)
                                          : uldn_regionDisplayName(d, name, text, WIDE, &e);
    uldn_close(d);
    return U_FAILURE(e) ? value : narrow(a, text, n);
}

static str format_upper(struct arena *a, str value)
{
    char *p = str_cstr(a, value);
    for (size_t i = 0; i < value.n; i++)
        if (p[i] >= 'a' && p[i] <= 'z')
            p[i] -= 'a' - 'A';
    return str_of(p, value.n);
}

/* ---- what is said again and again ---- */

static struct said *said_slot(struct formats *f, const struct locale *l, enum format format,
                              str value)
{
    uint32_t h = 2166136261u ^ (uint32_t)format;
    for (const char *c = l->code; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    for (size_t i = 0; i < value.n; i++)
        h = (h ^ (unsigned char)value.p[i]) * 16777619u;
    return &f->said[(h ^ h >> 16) & (SAID - 1)];
}

static str said_before(struct arena *a, const struct locale *l, enum format format, str value)
{
    str text = {NULL, 0};
    pthread_mutex_lock(&l->formats->mutex);
    const struct said *s = said_slot(l->formats, l, format, value);
    if (s->format == format && strcmp(s->code, l->code) == 0 && str_is(value, s->value))
        text = str_dup(a, str_of(s->text, s->n));
    pthread_mutex_unlock(&l->formats->mutex);
    return text;
}

static void say_again(const struct locale *l, enum format format, str value, str text)
{
    if (text.n == 0 || text.n > SAID_TEXT)
        return;
    pthread_mutex_lock(&l->formats->mutex);
    struct said *s = said_slot(l->formats, l, format, value);
    s->format = format;
    snprintf(s->code, sizeof s->code, "%s", l->code);
    memcpy(s->value, value.p, value.n);
    s->value[value.n] = '\0';
    memcpy(s->text, text.p, text.n);
    s->n = (unsigned char)text.n;
    pthread_mutex_unlock(&l->formats->mutex);
}

static str say(struct arena *a, const struct locale *l, enum format format, str value)
{
    return format == FORMAT_TERM ? format_term(a, l, value) : format_name(a, l, format, value);
}

static str say_once(struct arena *a, const struct locale *l, enum format format, str value)
{
    if (l->formats == NULL || value.n == 0 || value.n >= SAID_KEY || str_has(value, '\0') ||
        strlen(l->code) >= sizeof l->formats->said[0].code)
        return say(a, l, format, value);
    str text = said_before(a, l, format, value);
    if (text.n > 0)
        return text;
    text = say(a, l, format, value);
    say_again(l, format, value, text);
    return text;
}

str format_value(struct arena *a, const struct locale *l, enum format format, str value)
{
    switch (format) {
    case FORMAT_DATE:
    case FORMAT_DATETIME:
        return format_date(a, l, format, value);
    case FORMAT_NUMBER:
        return format_number(a, l, value);
    case FORMAT_BYTES:
        return format_bytes(a, l, value);
    case FORMAT_TERM:
    case FORMAT_LANGUAGE:
    case FORMAT_COUNTRY:
        return say_once(a, l, format, value);
    case FORMAT_UPPER:
        return format_upper(a, value);
    default:
        return value;
    }
}

/* ---- time zones ---- */

static int compare(const void *x, const void *y)
{
    return str_cmp(*(const str *)x, *(const str *)y);
}

void format_zones(struct arena *a, str **out, size_t *n)
{
    str *list = NULL;
    size_t cap = 0;
    UErrorCode e = U_ZERO_ERROR;
    *n = 0;
    UEnumeration *zones = ucal_openTimeZoneIDEnumeration(UCAL_ZONE_TYPE_CANONICAL_LOCATION, NULL, NULL, &e);
    int32_t length;
    for (const char *z; (z = uenum_next(zones, &length, &e)) != NULL && U_SUCCESS(e);) {
        ARENA_GROW(a, list, cap, *n + 2);
        list[(*n)++] = str_dup(a, str_of(z, (size_t)length));
    }
    uenum_close(zones);
    if (*n > 0)
        qsort(list, *n, sizeof *list, compare);
    *out = list;
}

/* ---- countries ---- */

struct country {
    str code, name;
    UChar *key; /* of the language's order */
    int32_t n_key;
};

static int compare_countries(const void *x, const void *y)
{
    const struct country *a = x, *b = y;
    return u_memcmp(a->key, b->key, MIN_OF(a->n_key, b->n_key));
}

static size_t read_countries(struct arena *a, const struct locale *l, struct country *list,
                             size_t max)
{
    char locale[64];
    UErrorCode e = U_ZERO_ERROR;
    icu_locale(l->code, locale, sizeof locale);
    ULocaleDisplayNames *d = uldn_open(locale, ULDN_STANDARD_NAMES, &e);
    UCollator *order = ucol_open(locale, &e);
    size_t n = 0;
    for (const char *const *c = uloc_getISOCountries(); U_SUCCESS(e) && *c && n < max; c++) {
        UChar name[WIDE];
        uint8_t key[WIDE];
        int32_t length = uldn_regionDisplayName(d, *c, name, WIDE, &e);
        int32_t size = ucol_getSortKey(order, name, length, key, sizeof key);
        struct country *x = &list[n++];
        x->code = str_from(*c);
        x->name = narrow(a, name, length);
        x->n_key = MIN_OF(size, (int32_t)sizeof key);
        x->key = ARENA_ARRAY(a, UChar, (size_t)x->n_key + 1);
        for (int32_t i = 0; i < x->n_key; i++)
            x->key[i] = key[i];
    }
    ucol_close(order);
    uldn_close(d);
    return n;
}

void format_countries(struct arena *a, const struct locale *l, str **codes, str **names, size_t *n)
{
    enum { MAX_COUNTRIES = 300 };
    struct country *list = ARENA_ARRAY(a, struct country, MAX_COUNTRIES);
    *n = read_countries(a, l, list, MAX_COUNTRIES);
    if (*n > 0)
        qsort(list, *n, sizeof *list, compare_countries);
    *codes = ARENA_ARRAY(a, str, *n);
    *names = ARENA_ARRAY(a, str, *n);
    for (size_t i = 0; i < *n; i++) {
        (*codes)[i] = list[i].code;
        (*names)[i] = list[i].name;
    }
}

bool format_zone_ok(str zone)
{
    char text[ZONE_BYTES];
    UChar wide[WIDE], canonical[WIDE];
    UBool system = 0;
    UErrorCode e = U_ZERO_ERROR;
    if (zone.n == 0 || zone.n >= sizeof text || str_has(zone, '\0'))
        return false;
    memcpy(text, zone.p, zone.n);
    text[zone.n] = '\0';
    int32_t n = widen(text, wide);
    ucal_getCanonicalTimeZoneID(wide, n, canonical, WIDE, &system, &e);
    return n > 0 && U_SUCCESS(e) && system;
}

str format_zone_town(struct arena *a, const struct locale *l, const char *zone)
{
    char locale[64], text[NARROW];
    UChar wide[WIDE], pattern[WIDE], out[WIDE];
    UErrorCode e = U_ZERO_ERROR;
    icu_locale(l->code, locale, sizeof locale);
    int32_t zone_n = widen(zone, wide), pattern_n = widen("VVV", pattern), n = 0;
    UDateFormat *d = udat_open(UDAT_PATTERN, UDAT_PATTERN, locale, wide, zone_n, pattern, pattern_n, &e);
    udat_format(d, 0, out, WIDE, NULL, &e);
    udat_close(d);
    u_strToUTF8(text, sizeof text, &n, out, -1, &e);
    return U_SUCCESS(e) ? str_dup(a, str_of(text, (size_t)n)) : (str){NULL, 0};
}

str format_country_code(struct arena *a, int number)
{
    UErrorCode e = U_ZERO_ERROR;
    const URegion *region = number > 0 ? uregion_getRegionFromNumericCode(number, &e) : NULL;
    if (region == NULL || U_FAILURE(e) || uregion_getType(region) != URGN_TERRITORY)
        return (str){NULL, 0};
    return str_dup(a, str_from(uregion_getRegionCode(region)));
}
