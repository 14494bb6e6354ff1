/*
 * Small things that come as text: IDs, terms, moments, mail addresses, networks, encodings, words of
 * formats.
 *
 * Input: the text. What must hold: what is read and written again reads as the same; an accepted
 * address is one word without anything that a header, a log or a page could stumble over; what we
 * call UTF-8 the JSON library calls so, too; a value in words is UTF-8 where the value was, and the
 * same whether formatters are kept or not.
 */
#include "fuzz.h"

#include "base/codec.h"
#include "base/email.h"
#include "base/id.h"
#include "base/json.h"
#include "base/network.h"
#include "text/format.h"

static void check_id(str s)
{
    id i;
    if (id_parse(s, &i) == OK)
        MUST(str_eq(id_str(&i), s) && !id_is_none(i));
}

static void check_term(struct arena *a, str s)
{
    struct term t, again;
    if (term_parse(s, &t) != OK)
        return;
    MUST(t.months >= 0 && t.exact >= 0);
    MUST(term_parse(term_format(a, t), &again) == OK && term_eq(t, again));
    for (moment now = 0; now < 2000 * 366 * MOMENT_DAY; now += 977 * MOMENT_DAY) {
        moment cutoff = term_cutoff(now, t), end = term_end(cutoff, t);
        MUST(term_end(now, t) >= now);
        /* What is anchored at the cut-off has had its term, unless time itself begins there. */
        MUST(end <= now || moment_date(cutoff).year == 1);
    }
}

static void check_moment(struct arena *a, str s)
{
    moment m, again;
    if (moment_parse(s, &m) == OK)
        MUST(moment_parse(moment_format(a, m), &again) == OK && m == again);
}

static void check_word(str s)
{
    MUST(s.n > 0 && utf8_is_line(s));
    for (size_t i = 0; i < s.n; i++)
        MUST((unsigned char)s.p[i] > 0x20 && s.p[i] != 0x7f && s.p[i] != '<' && s.p[i] != '"');
}

static void check_email(struct arena *a, str s)
{
    struct email e, again;
    if (email_parse(a, s, &e) != OK)
        return;
    check_word(e.shown);
    check_word(e.wire);
    for (size_t i = 0; i < e.wire.n; i++)
        MUST((unsigned char)e.wire.p[i] < 0x80);
    MUST(e.wire.n <= EMAIL_MAX);
    MUST(email_parse(a, e.wire, &again) == OK && str_eq(again.same, e.same));
    if (e.shown.n <= EMAIL_MAX)
        MUST(email_parse(a, e.shown, &again) == OK && str_eq(again.same, e.same));
}

/* A network has its own first address; what is in a longer prefix is in the shorter one. */
static void check_network(struct arena *a, str s)
{
    struct network n;
    struct networks many;
    str address = s, length;
    if (networks_parse(a, s, &many) == OK)
        MUST(many.n <= s.n && (many.n > 0 || str_trim(s).n == 0 || str_has(s, ',')));
    if (network_parse(s, &n) != OK)
        return;
    MUST(n.bits >= 0 && n.bits <= (n.v6 ? 128 : 32));
    str_cut(s, '/', &address, &length);
    for (; n.bits > 0; n.bits--)
        MUST(networks_have(&(struct networks){&n, 1}, address));
    MUST(networks_have(&(struct networks){&n, 1}, address));
}

static void check_codecs(struct arena *a, str s)
{
    str out, again;
    MUST(hex_decode(a, hex_encode(a, s.p, s.n), &out) == OK && str_eq(out, s));
    MUST(base64url_decode(a, base64url_encode(a, s.p, s.n), &out) == OK && str_eq(out, s));
    if (hex_decode(a, s, &out) == OK)
        MUST(str_eq(hex_encode(a, out.p, out.n), str_lower(a, s)));
    if (base64url_decode(a, s, &out) == OK)
        MUST(str_eq(base64url_encode(a, out.p, out.n), s));
    if (!str_has(s, '\0'))
        MUST(percent_decode(a, percent_encode(a, s), true, &out) == OK && str_eq(out, s));
    if (percent_decode(a, s, false, &out) == OK && !str_has(out, '\0'))
        MUST(percent_decode(a, percent_encode(a, out), false, &again) == OK && str_eq(out, again));
    (void)base32_encode(a, s.p, s.n);
}

static void check_utf8(str s)
{
    json_t *v = json_stringn(s.n ? s.p : "", s.n);
    MUST((v != NULL) == utf8_valid(s));
    json_decref(v);
    MUST(!utf8_is_line(s) || utf8_valid(s));
    MUST(utf8_length(s) <= s.n);
}

static void check_json(struct arena *a, str s)
{
    json_t *v = NULL, *again = NULL;
    struct fault f = {0};
    if (json_decode(s, &v, &f) != OK)
        return;
    MUST(json_decode(json_encode(a, v, false), &again, &f) == OK && json_equal(v, again));
    json_decref(v);
    json_decref(again);
}

static void check_formats(struct arena *a, str s)
{
    static struct formats *formats;
    if (formats == NULL)
        formats = formats_new();
    struct locale l = {.code = s.n % 2 ? "sv" : "en", .formats = formats}, bare = l;
    bare.formats = NULL;
    if (!utf8_valid(s) || str_has(s, '\0') || s.n > 60)
        return;
    for (enum format f = FORMAT_DATE; f < FORMAT_UNKNOWN; f++) {
        str words = format_value(a, &l, f, s);
        MUST(utf8_valid(words) && str_eq(words, format_value(a, &bare, f, s)));
    }
    if (format_zone_ok(s)) {
        l.zone = str_cstr(a, s);
        MUST(format_value(a, &l, FORMAT_DATETIME, STR("2026-01-31T12:00:00Z")).n > 0);
    }
}

static void check_int(struct arena *a, str s)
{
    int64_t v, again;
    if (str_to_int(s, &v))
        MUST(str_to_int(str_fmt(a, "%lld", (long long)v), &again) && v == again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(FUZZ_ARENA);
    str s = str_of(data, n);
    check_id(s);
    check_term(a, s);
    check_moment(a, s);
    check_email(a, s);
    check_network(a, s);
    check_codecs(a, s);
    check_utf8(s);
    check_json(a, s);
    check_formats(a, s);
    check_int(a, s);
    arena_free(&a);
    return 0;
}
