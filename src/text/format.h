/*
 * Values as people read them: dates, terms, numbers in a language and a time zone (ICU).
 */
#ifndef TEXT_FORMAT_H
#define TEXT_FORMAT_H

#include "base/calendar.h"
#include "base/json.h"

/* Formatters that ICU has made, kept for reuse: making one costs more than a page. Threads may
 * share it. */
struct formats;
struct formats *formats_new(void);
void formats_free(struct formats **f); /* for CLEANUP */

/* A language and a time zone. Values, passed by pointer; the strings are borrowed. */
struct locale {
    int language;            /* in the catalog */
    const char *code;        /* ISO 639: "en", "sv" */
    const char *zone;        /* IANA name: "Europe/Stockholm"; NULL means UTC */
    struct formats *formats; /* may be NULL */
};

enum format {
    FORMAT_NONE,
    FORMAT_DATE,     /* RFC 3339 -> 31 January 2026 */
    FORMAT_DATETIME, /* RFC 3339 -> 31 January 2026 at 13:00 CET */
    FORMAT_TERM,     /* ISO 8601 duration -> 1 month, 14 days */
    FORMAT_NUMBER,   /* 12345 -> 12,345 */
    FORMAT_BYTES,    /* 12345 -> 12 kB */
    FORMAT_LANGUAGE, /* sv -> Swedish */
    FORMAT_COUNTRY,  /* SE -> Sweden */
    FORMAT_UPPER,    /* nothing but capitals: for codes */
    FORMAT_UNKNOWN,  /* no such format */
};

enum format format_named(str name); /* "date" …; FORMAT_UNKNOWN */

/* The value in words; a value that does not fit the format comes out as it is. */
str format_value(struct arena *a, const struct locale *l, enum format format, str value);

/* Is it a time zone that ICU knows by that name? */
bool format_zone_ok(str zone);
/* All canonical zones of the world ("Europe/Stockholm"), sorted; made once per call. */
void format_zones(struct arena *a, str **out, size_t *n);
/* The town that a zone is named by, in the language: "Köpenhamn" for "Europe/Copenhagen". */
str format_zone_town(struct arena *a, const struct locale *l, const char *zone);

/* All countries (ISO 3166) with their names in the language, sorted by name. */
void format_countries(struct arena *a, const struct locale *l, str **codes, str **names, size_t *n);
/* A country's two letters by its number (ISO 3166-1: 752 is "SE"); empty where it is none. */
str format_country_code(struct arena *a, int number);

#endif
