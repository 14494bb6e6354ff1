#include "base/calendar.h"

#include <assert.h>
#include <stdio.h>

enum { MAX_MONTHS = 12000, MONTHS_IN_YEAR = 12 };

#define MAX_EXACT  (366000 * MOMENT_DAY)
#define LAST_YEAR  9999
#define TIME_BEGIN (-62135596800LL * MOMENT_SECOND) /* 0001-01-01 */
#define TIME_END   (253402300800LL * MOMENT_SECOND - 1)

int date_month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Days since 1970-01-01 of a date, and back, after Howard Hinnant's "chrono-Compatible Low-Level
 * Date Algorithms": eras of 400 years that begin on 1 March. */
static int64_t days_of(struct date d)
{
    int64_t y = d.year - (d.month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (d.month + (d.month > 2 ? -3 : 9)) + 2) / 5 + d.day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static struct date date_of(int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int day = (int)(doy - (153 * mp + 2) / 5 + 1);
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    return (struct date){(int)(yoe + era * 400 + (month <= 2)), month, day};
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static moment clamp(moment m)
{
    return m < TIME_BEGIN ? TIME_BEGIN : m > TIME_END ? TIME_END : m;
}

struct date moment_date(moment m)
{
    return date_of(floor_div(clamp(m), MOMENT_DAY));
}

moment date_moment(struct date d)
{
    assert(d.month >= 1 && d.month <= MONTHS_IN_YEAR);
    return days_of(d) * MOMENT_DAY;
}

/* The day `months` later (or earlier), clipped to the end of its month. */
static struct date add_months(struct date d, int months)
{
    int64_t index = (int64_t)d.year * MONTHS_IN_YEAR + d.month - 1 + months;
    struct date r = {(int)floor_div(index, MONTHS_IN_YEAR),
                     (int)(index - floor_div(index, MONTHS_IN_YEAR) * MONTHS_IN_YEAR) + 1, d.day};
    r.day = MIN_OF(r.day, date_month_days(r.year, r.month));
    return r;
}

moment term_end(moment anchor, struct term t)
{
    anchor = clamp(anchor);
    int64_t day = floor_div(anchor, MOMENT_DAY);
    moment in_day = anchor - day * MOMENT_DAY;
    struct date d = add_months(date_of(day), t.months);
    if (d.year > LAST_YEAR)
        return TIME_END;
    return clamp(days_of(d) * MOMENT_DAY + in_day + t.exact);
}

moment term_cutoff(moment now, struct term t)
{
    moment end = clamp(clamp(now) - t.exact); /* the months must have ended by then */
    if (t.months == 0)
        return end;
    int64_t today = floor_div(end, MOMENT_DAY);
    moment in_day = end - today * MOMENT_DAY;
    struct date back = add_months(date_of(today), -t.months);
    if (back.year < 1)
        return TIME_BEGIN;
    /* Clipping maps at most four days onto one, so the answer lies within four days of it. */
    int64_t first = days_of(back) + 4;
    for (int64_t day = first;; day--) {
        int64_t ends = days_of(add_months(date_of(day), t.months));
        if (ends < today)
            return clamp(day * MOMENT_DAY + MOMENT_DAY - 1);
        if (ends == today)
            return clamp(day * MOMENT_DAY + in_day);
    }
}

bool term_eq(struct term a, struct term b)
{
    return a.months == b.months && a.exact == b.exact;
}

bool term_is_zero(struct term t)
{
    return t.months == 0 && t.exact == 0;
}

static bool digits(str *s, int max, int64_t *out)
{
    size_t n = 0;
    int64_t v = 0;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9') {
        if ((int)n >= max)
            return false;
        v = v * 10 + (s->p[n++] - '0');
    }
    *s = str_skip(*s, n);
    *out = v;
    return n > 0;
}

enum err term_parse(str s, struct term *out)
{
    static const struct unit {
        char letter;
        bool time;
        int months;
        int64_t exact;
    } units[] = {
        {'Y', false, MONTHS_IN_YEAR, 0}, {'M', false, 1, 0},
        {'W', false, 0, 7 * MOMENT_DAY}, {'D', false, 0, MOMENT_DAY},
        {'H', true, 0, MOMENT_HOUR},     {'M', true, 0, MOMENT_MINUTE},
        {'S', true, 0, MOMENT_SECOND},
    };
    if (s.n < 2 || s.p[0] != 'P')
        return ERR_INPUT;
    s = str_skip(s, 1);
    struct term t = {0};
    bool time = false;
    size_t at = 0; /* units come in this order, each once */
    while (s.n > 0) {
        if (!time && s.p[0] == 'T') {
            time = true;
            s = str_skip(s, 1);
            if (s.n == 0)
                return ERR_INPUT;
        }
        int64_t v;
        if (!digits(&s, 9, &v) || s.n == 0)
            return ERR_INPUT;
        while (at < COUNT(units) && (units[at].letter != s.p[0] || units[at].time != time))
            at++;
        if (at == COUNT(units))
            return ERR_INPUT;
        int64_t months = t.months + v * units[at].months;
        int64_t exact;
        if (__builtin_mul_overflow(v, units[at].exact, &exact))
            return ERR_INPUT;
        if (months > MAX_MONTHS || exact > MAX_EXACT || t.exact + exact > MAX_EXACT)
            return ERR_INPUT;
        t.months = (int32_t)months;
        t.exact += exact;
        at++;
        s = str_skip(s, 1);
    }
    *out = t;
    return OK;
}

str term_format(struct arena *a, struct term t)
{
    struct buf b = buf_new(a, 128);
    buf_char(&b, 'P');
    if (t.months / MONTHS_IN_YEAR)
        buf_fmt(&b, "%dY", t.months / MONTHS_IN_YEAR);
    if (t.months % MONTHS_IN_YEAR)
        buf_fmt(&b, "%dM", t.months % MONTHS_IN_YEAR);
    int64_t days = t.exact / MOMENT_DAY, rest = t.exact % MOMENT_DAY;
    if (days)
        buf_fmt(&b, "%lldD", (long long)days);
    if (rest) {
        buf_char(&b, 'T');
        if (rest / MOMENT_HOUR)
            buf_fmt(&b, "%lldH", (long long)(rest / MOMENT_HOUR));
        if (rest % MOMENT_HOUR / MOMENT_MINUTE)
            buf_fmt(&b, "%lldM", (long long)(rest % MOMENT_HOUR / MOMENT_MINUTE));
        if (rest % MOMENT_MINUTE)
            buf_fmt(&b, "%lldS", (long long)(rest % MOMENT_MINUTE / MOMENT_SECOND));
    }
    if (b.n == 1)
        buf_text(&b, "T0S");
    return buf_str(&b);
}

/* Exactly `width` digits. */
static bool fixed(str *s, size_t width, int64_t *out)
{
    size_t before = s->n;
    return digits(s, (int)width, out) && before - s->n == width;
}

enum err moment_parse(str s, moment *out)
{
    int64_t year, month, day, hour, minute, second, micro = 0, offset = 0;
#define LITERAL(c) (s.n > 0 && s.p[0] == (c) && (s = str_skip(s, 1), true))
    if (!fixed(&s, 4, &year) || !LITERAL('-') || !fixed(&s, 2, &month) || !LITERAL('-') ||
        !fixed(&s, 2, &day) || !(LITERAL('T') || LITERAL('t')) || !fixed(&s, 2, &hour) ||
        !LITERAL(':') || !fixed(&s, 2, &minute) || !LITERAL(':') || !fixed(&s, 2, &second))
        return ERR_INPUT;
    if (LITERAL('.')) {
        str before = s;
        if (!digits(&s, 6, &micro))
            return ERR_INPUT;
        for (size_t n = before.n - s.n; n < 6; n++)
            micro *= 10;
    }
    if (!LITERAL('Z') && !LITERAL('z')) {
        int64_t h, m;
        bool minus = s.n > 0 && s.p[0] == '-';
        if (!(LITERAL('+') || LITERAL('-')) || !fixed(&s, 2, &h) || !LITERAL(':') ||
            !fixed(&s, 2, &m) || h > 23 || m > 59)
            return ERR_INPUT;
        offset = (h * 60 + m) * (minus ? -1 : 1);
    }
#undef LITERAL
    if (s.n != 0 || year < 1 || month < 1 || month > 12 || day < 1 ||
        day > date_month_days((int)year, (int)month) || hour > 23 || minute > 59 || second > 59)
        return ERR_INPUT;
    moment m = date_moment((struct date){(int)year, (int)month, (int)day}) + hour * MOMENT_HOUR +
               (minute - offset) * MOMENT_MINUTE + second * MOMENT_SECOND + micro;
    if (m != clamp(m))
        return ERR_INPUT;
    *out = m;
    return OK;
}

str moment_format(struct arena *a, moment m)
{
    m = clamp(m);
    struct date d = moment_date(m);
    int64_t in_day = m - date_moment(d);
    int64_t seconds = in_day / MOMENT_SECOND, micro = in_day % MOMENT_SECOND;
    str s = str_fmt(a, "%04d-%02d-%02dT%02d:%02d:%02d", d.year, d.month, d.day,
                    (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
    if (micro)
        return str_fmt(a, "%.*s.%06dZ", STR_FMT(s), (int)micro);
    return str_fmt(a, "%.*sZ", STR_FMT(s));
}
