/*
 * Dates, terms and the arithmetic of promises (spec RET-05).
 *
 * A term is an ISO 8601 duration. Months and years are counted as people count them: the same day
 * and time of day in the target month, clipped to its last day (31 January + P1M = 28 or 29
 * February), in UTC. Terms are only ever added to an anchor, never subtracted from now.
 * The calendar is the proleptic Gregorian one; years 1 to 9999.
 */
#ifndef BASE_CALENDAR_H
#define BASE_CALENDAR_H

#include "base/clock.h"
#include "base/str.h"

struct date {
    int year;  /* 1..9999 */
    int month; /* 1..12 */
    int day;   /* 1..31 */
};

/* How long something lasts: months first, then the exact part. Never negative. */
struct term {
    int32_t months; /* years count twelve; at most 12000 */
    int64_t exact;  /* microseconds: weeks, days, hours, minutes, seconds */
};

/* "P1M", "P1Y6M", "P14D", "P2W", "PT30M", "P1DT12H". Signs and fractions are refused; so is a
 * term of more than 1000 years. ERR_INPUT. */
CHECKED enum err term_parse(str s, struct term *out);
/* The shortest form of the same term: "P1Y", "P1M2DT3H", "PT0S". */
str term_format(struct arena *a, struct term t);
bool term_eq(struct term a, struct term b);
bool term_is_zero(struct term t);

/* The moment when a term that began at `anchor` ends; saturates at the end of year 9999. */
moment term_end(moment anchor, struct term t);

/*
 * The latest anchor whose term has ended at `now`: everything anchored at or before it may go.
 * Never deletes late. Months that are shorter than the anchor's may let a record of the month's
 * end draw along records anchored up to a day before it, that is, early by less than a day.
 */
moment term_cutoff(moment now, struct term t);

/* RFC 3339. "2026-01-31T12:00:00Z"; microseconds only if there are any. Offsets other than Z are
 * read and turned into UTC. ERR_INPUT. */
CHECKED enum err moment_parse(str s, moment *out);
str moment_format(struct arena *a, moment m);

struct date moment_date(moment m);
moment date_moment(struct date d); /* midnight UTC; the date must be valid */
int date_month_days(int year, int month);

#endif
