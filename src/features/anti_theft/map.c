/* Outlines, cut to a window around a place, as an SVG. */
#include "features/anti_theft/map.h"

#include <math.h>
#include <stdlib.h>

#include "features/anti_theft/world.h"

enum { SVG_BYTES = 1 << 20, MARGIN = 8, CROSSINGS = 256, BOXES = 64 };

#define LETTERS "font-family=\"system-ui, sans-serif\""
#define HALO    LETTERS " stroke=\"%s\" stroke-opacity=\"0.7\" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\""

#define SPAN          9.0  /* degrees from top to bottom: a country, or a region of a large one */
#define SPAN_MAX      60.0
#define FARTHEST      80.0 /* towards a pole meridians meet: from there on the map keeps its shape */
#define DEGREE_METRES 111320.0
#define EARTH_METRES  6371000.0
#define STEP          0.6 /* pixels: what is nearer to the last point is not drawn */
#define MARK          9.0
#define CLOSE         17.0 /* pixels: what is so near is under the mark */
#define NEAR          0.15 /* degrees: what lies so close to a coast is of that country */

struct point {
    double x, y;
};

/* Points, with room for n more than there are. */
struct outline {
    struct point *at;
    size_t n;
};

/* Where something stands that nothing else may cover. */
struct box {
    double left, top, right, bottom;
};

struct window {
    double west, north;       /* its corner */
    double per_x, per_y;      /* pixels for a degree */
    double east, south;
    double metres;            /* of a pixel */
    struct point mark;
    struct box taken[BOXES];
    size_t n_taken;
};

struct colours {
    const char *sea, *land, *border, *words, *mark, *halo;
};
static const struct colours light = {"#dde8ec", "#faf8f4", "#a9a292", "#56605c", "#a3271f", "#ffffff"};
static const struct colours dark_ones = {"#141c20", "#29312e", "#59645f", "#a3aeaa", "#f0938b", "#111615"};

/* ---- reading the outlines ---- */

static int64_t read_step(size_t *at)
{
    uint64_t v = 0;
    for (int shift = 0;; shift += 7) {
        unsigned char byte = world_steps[(*at)++];
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
    }
}

static void turn_round(struct point *p, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct point x = p[i];
        p[i] = p[n - 1 - i];
        p[n - 1 - i] = x;
    }
}

static void read_arc(int member, struct outline *o)
{
    const struct world_arc *arc = &world_arcs[member < 0 ? ~member : member];
    struct point *first = o->at + o->n;
    int64_t x = 0, y = 0;
    size_t at = arc->at;
    for (uint32_t i = 0; i < arc->n; i++) {
        x += read_step(&at);
        y += read_step(&at);
        first[i] = (struct point){world_origin[0] + world_scale[0] * (double)x, world_origin[1] + world_scale[1] * (double)y};
    }
    if (member < 0)
        turn_round(first, arc->n);
    o->n += arc->n;
}

/* Takes out the jumps at the 180th meridian. What goes all around a pole is closed there. */
static void unroll(struct outline *o)
{
    double shift = 0;
    for (size_t i = 1; i < o->n; i++) {
        double step = o->at[i].x + shift - o->at[i - 1].x;
        shift += step > 180 ? -360 : step < -180 ? 360 : 0;
        o->at[i].x += shift;
    }
    struct point first = o->at[0], last = o->at[o->n - 1];
    if (fabs(last.x - first.x) < 180)
        return;
    double pole = first.y < 0 ? -90 : 90;
    o->at[o->n++] = (struct point){last.x, pole};
    o->at[o->n++] = (struct point){first.x, pole};
}

/* In degrees. */
static struct outline read_ring(struct arena *a, const struct world_ring *r)
{
    struct outline o = {ARENA_ARRAY(a, struct point, r->n_points + 2), 0};
    for (int i = 0; i < r->n_arcs; i++)
        read_arc(world_members[r->member + i], &o);
    unroll(&o);
    return o;
}

static double longitude_of(int32_t x)
{
    return world_origin[0] + world_scale[0] * x;
}

static double latitude_of(int32_t y)
{
    return world_origin[1] + world_scale[1] * y;
}

/* ---- the window ---- */

static double within(double v, double least, double most)
{
    return v < least ? least : v > most ? most : v;
}

static struct window window_around(const struct map_place *at)
{
    struct window w = {.n_taken = 2};
    double span = within(at->accuracy / DEGREE_METRES * 5, SPAN, SPAN_MAX);
    double middle = within(at->latitude, -90 + span / 2, 90 - span / 2);
    w.per_y = MAP_HEIGHT / span;
    w.per_x = w.per_y * cos(within(middle, -FARTHEST, FARTHEST) * M_PI / 180);
    w.north = middle + span / 2;
    w.south = middle - span / 2;
    w.west = at->longitude - MAP_WIDTH / w.per_x / 2;
    w.east = at->longitude + MAP_WIDTH / w.per_x / 2;
    w.metres = DEGREE_METRES / w.per_y;
    w.mark = (struct point){MAP_WIDTH / 2.0, (w.north - at->latitude) * w.per_y};
    w.taken[0] = (struct box){w.mark.x - MARK - 4, w.mark.y - MARK - 4, w.mark.x + MARK + 4, w.mark.y + MARK + 4};
    w.taken[1] = (struct box){0, MAP_HEIGHT - 40, 230, MAP_HEIGHT}; /* the scale */
    return w;
}

static bool is_in_view(const struct window *w, const struct world_ring *r, double shift)
{
    return longitude_of(r->east) + shift > w->west && longitude_of(r->west) + shift < w->east &&
           latitude_of(r->north) > w->south && latitude_of(r->south) < w->north;
}

/* ---- cutting (Sutherland and Hodgman: one side after another) ---- */

/* How far inside the i-th side. */
static double inside(struct point p, int side)
{
    switch (side) {
    case 0:
        return p.x + MARGIN;
    case 1:
        return MAP_WIDTH + MARGIN - p.x;
    case 2:
        return p.y + MARGIN;
    default:
        return MAP_HEIGHT + MARGIN - p.y;
    }
}

static struct outline cut_side(struct arena *a, struct outline o, int side)
{
    struct outline out = {ARENA_ARRAY(a, struct point, 2 * o.n), 0};
    for (size_t i = 0; i < o.n; i++) {
        struct point from = o.at[i ? i - 1 : o.n - 1], to = o.at[i];
        double f = inside(from, side), t = inside(to, side);
        if ((f >= 0) != (t >= 0)) {
            double k = f / (f - t);
            out.at[out.n++] = (struct point){from.x + k * (to.x - from.x), from.y + k * (to.y - from.y)};
        }
        if (t >= 0)
            out.at[out.n++] = to;
    }
    return out;
}

static struct outline cut(struct arena *a, const struct window *w, const struct world_ring *r, double shift)
{
    struct outline o = read_ring(a, r);
    for (size_t i = 0; i < o.n; i++)
        o.at[i] = (struct point){(o.at[i].x + shift - w->west) * w->per_x, (w->north - o.at[i].y) * w->per_y};
    for (int side = 0; side < 4 && o.n; side++)
        o = cut_side(a, o, side);
    return o;
}

/* ---- names ---- */

struct label {
    struct point at;
    double wide; /* room for it */
};

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Where a line across the map enters and leaves a country, in order. */
static size_t crossings(const struct outline *o, size_t n, double y, double *out)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < o[i].n && count < CROSSINGS; k++) {
            struct point from = o[i].at[k ? k - 1 : o[i].n - 1], to = o[i].at[k];
            if ((from.y <= y) != (to.y <= y))
                out[count++] = from.x + (y - from.y) / (to.y - from.y) * (to.x - from.x);
        }
    qsort(out, count, sizeof *out, by_value);
    return count;
}

static bool is_free(const struct window *w, struct box b)
{
    if (b.left < 2 || b.top < 2 || b.right > MAP_WIDTH - 2 || b.bottom > MAP_HEIGHT - 2)
        return false;
    for (size_t i = 0; i < w->n_taken; i++)
        if (b.left < w->taken[i].right && b.right > w->taken[i].left && b.top < w->taken[i].bottom && b.bottom > w->taken[i].top)
            return false;
    return true;
}

static bool take(struct window *w, struct box b)
{
    if (w->n_taken == BOXES || !is_free(w, b))
        return false;
    w->taken[w->n_taken++] = b;
    return true;
}

static struct box box_of(struct point middle, double length)
{
    return (struct box){middle.x - length / 2, middle.y - 10, middle.x + length / 2, middle.y + 8};
}

/* The widest room that a country has in the window for a name of that length. */
static struct label find_room(const struct window *w, const struct outline *o, size_t n, double length)
{
    double cross[CROSSINGS];
    struct label best = {{0, 0}, 0};
    for (int y = 20; y < MAP_HEIGHT - 15; y += 15) {
        size_t count = crossings(o, n, y, cross);
        for (size_t i = 0; i + 1 < count; i += 2) {
            double from = within(cross[i], 4, MAP_WIDTH - 4), to = within(cross[i + 1], 4, MAP_WIDTH - 4);
            struct point at = {(from + to) / 2, y};
            if (to - from > best.wide && is_free(w, box_of(at, length)))
                best = (struct label){at, to - from};
        }
    }
    return best;
}

static double length_of(str name)
{
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++)
        n += ((unsigned char)name.p[i] & 0xc0) != 0x80;
    return 7.6 * (double)n + 10;
}

/* ---- writing ---- */

static void put_escaped(struct buf *b, str s)
{
    for (size_t i = 0; i < s.n; i++)
        switch (s.p[i]) {
        case '&':
            buf_text(b, "&amp;");
            break;
        case '<':
            buf_text(b, "&lt;");
            break;
        case '>':
            buf_text(b, "&gt;");
            break;
        default:
            buf_put(b, str_of(s.p + i, 1));
        }
}

static void put_outline(struct buf *b, const struct outline *o)
{
    struct point last = {0, 0};
    for (size_t i = 0; i < o->n; i++) {
        struct point p = o->at[i];
        if (i > 0 && fabs(p.x - last.x) < STEP && fabs(p.y - last.y) < STEP)
            continue;
        buf_fmt(b, "%s%.1f %.1f", i ? "L" : "M", p.x, p.y);
        last = p;
    }
    buf_text(b, "Z");
}

/* Draws the country whose first ring is r[0]; says how many rings it has, and where its name has room. */
static size_t put_country(struct buf *b, struct arena *a, const struct window *w, const struct world_ring *r, size_t most,
                          struct outline *cuts, size_t *n_cuts)
{
    size_t n = 0;
    *n_cuts = 0;
    for (; n < most && r[n].country == r[0].country; n++)
        for (double shift = -360; shift <= 360; shift += 360)
            if (is_in_view(w, &r[n], shift)) {
                struct outline o = cut(a, w, &r[n], shift);
                if (o.n > 2)
                    cuts[(*n_cuts)++] = o;
            }
    if (*n_cuts == 0)
        return n;
    buf_text(b, "<path d=\"");
    for (size_t i = 0; i < *n_cuts; i++)
        put_outline(b, &cuts[i]);
    buf_text(b, "\"/>");
    return n;
}

static void put_name(struct buf *names, struct arena *a, const struct locale *l, struct window *w, int country,
                     const struct outline *cuts, size_t n)
{
    str code = format_country_code(a, country);
    if (code.n == 0)
        return;
    str name = format_value(a, l, FORMAT_COUNTRY, code);
    double length = length_of(name);
    struct label at = find_room(w, cuts, n, length);
    if (at.wide < length || !take(w, box_of(at.at, length)))
        return;
    buf_fmt(names, "<text x=\"%.0f\" y=\"%.0f\">", at.at.x, at.at.y + 4);
    put_escaped(names, name);
    buf_text(names, "</text>");
}

static void put_countries(struct buf *b, struct arena *a, const struct locale *l, struct window *w, const struct colours *c)
{
    struct buf names = buf_new(a, SVG_BYTES);
    struct outline *cuts = ARENA_ARRAY(a, struct outline, 3 * n_world_rings);
    buf_fmt(b, "<g fill=\"%s\" stroke=\"%s\" stroke-width=\"1\" stroke-linejoin=\"round\" fill-rule=\"evenodd\">", c->land,
            c->border);
    for (size_t i = 0, n_cuts; i < n_world_rings;) {
        int country = world_rings[i].country;
        i += put_country(b, a, w, &world_rings[i], n_world_rings - i, cuts, &n_cuts);
        if (n_cuts)
            put_name(&names, a, l, w, country, cuts, n_cuts);
    }
    buf_fmt(b, "</g><g fill=\"%s\" " HALO " font-size=\"13\" text-anchor=\"middle\">", c->words, c->land);
    buf_put(b, buf_str(&names));
    buf_text(b, "</g>");
}

/* Beside a point, so far from it. */
static bool take_side(struct window *w, struct point at, double off, double length, bool right)
{
    double from = right ? at.x + off : at.x - off - length;
    return take(w, (struct box){from, at.y - 8, from + length, at.y + 8});
}

/* A dot with its name beside it. What lies under the mark has its name beside that. */
static void put_town(struct buf *b, struct window *w, struct point at, str name, const struct colours *c)
{
    double length = length_of(name), x = at.x - w->mark.x, y = at.y - w->mark.y, off = 4;
    bool under = hypot(x, y) < CLOSE, right = !under || x > -2;
    if (under) {
        off = hypot(x, y) > MARK + 4 ? 4 : CLOSE;
        at = off > 4 ? w->mark : at;
    } else if (!take(w, (struct box){at.x - 4, at.y - 4, at.x + 4, at.y + 4}))
        return;
    if (off < CLOSE)
        buf_fmt(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\" fill=\"%s\" stroke=\"none\"/>", at.x, at.y, c->words);
    if (!take_side(w, at, off, length, right)) {
        right = !right;
        if (!take_side(w, at, off, length, right))
            return;
    }
    off += 3;
    buf_fmt(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", at.x + (right ? off : -off), at.y + 4, right ? "start" : "end");
    put_escaped(b, name);
    buf_text(b, "</text>");
}

static void put_towns(struct buf *b, struct arena *a, const struct locale *l, struct window *w, const struct colours *c)
{
    buf_fmt(b, "<g fill=\"%s\" " HALO " font-size=\"12\">", c->words, c->land);
    for (size_t i = 0; i < n_world_towns; i++)
        for (double shift = -360; shift <= 360; shift += 360) {
            const struct world_town *t = &world_towns[i];
            struct point at = {(t->longitude + shift - w->west) * w->per_x, (w->north - t->latitude) * w->per_y};
            if (at.x > 4 && at.x < MAP_WIDTH - 4 && at.y > 4 && at.y < MAP_HEIGHT - 4)
                put_town(b, w, at, format_zone_town(a, l, t->zone), c);
        }
    buf_text(b, "</g>");
}

/* The longest of these that is shorter than a quarter of the map. */
static void put_scale(struct buf *b, struct arena *a, const struct locale *l, const struct window *w, const struct colours *c)
{
    static const int lengths[] = {20, 50, 100, 200, 500, 1000, 2000};
    int km = lengths[0];
    for (size_t i = 0; i < COUNT(lengths); i++)
        if (lengths[i] * 1000 / w->metres < MAP_WIDTH / 4.0)
            km = lengths[i];
    double wide = km * 1000 / w->metres;
    str number = format_value(a, l, FORMAT_NUMBER, str_fmt(a, "%d", km));
    buf_fmt(b, "<path d=\"M16 %dv6h%.1fv-6\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>", MAP_HEIGHT - 22, wide, c->words);
    buf_fmt(b, "<text x=\"%.1f\" y=\"%d\" fill=\"%s\" " LETTERS " font-size=\"13\">", wide + 24,
            MAP_HEIGHT - 14, c->words);
    put_escaped(b, number);
    buf_text(b, " km</text>");
}

static void put_mark(struct buf *b, const struct window *w, const struct map_place *at, const struct colours *c)
{
    double r = at->accuracy / w->metres, x = w->mark.x, y = w->mark.y;
    if (r > MARK)
        buf_fmt(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\"0.15\" stroke=\"%s\"/>", x, y, r, c->mark,
                c->mark);
    buf_fmt(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"none\" stroke=\"%s\" stroke-width=\"5\"/>", x, y, MARK, c->halo);
    buf_fmt(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\"/>", x, y, MARK, c->mark);
    buf_fmt(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>", x, y, c->mark);
}

enum err map_draw(struct arena *a, const struct locale *l, const struct map_place *at, bool dark, str *svg)
{
    const struct colours *c = dark ? &dark_ones : &light;
    struct window w = window_around(at);
    struct buf b = buf_new(a, SVG_BYTES);
    buf_fmt(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">", MAP_WIDTH,
            MAP_HEIGHT, MAP_WIDTH, MAP_HEIGHT);
    buf_fmt(&b, "<path fill=\"%s\" d=\"M0 0h%dv%dH0z\"/>", c->sea, MAP_WIDTH, MAP_HEIGHT);
    struct buf towns = buf_new(a, SVG_BYTES);
    put_towns(&towns, a, l, &w, c); /* first come, first placed; countries are drawn under them */
    put_countries(&b, a, l, &w, c);
    buf_put(&b, buf_str(&towns));
    put_scale(&b, a, l, &w, c);
    put_mark(&b, &w, at, c);
    buf_text(&b, "</svg>");
    return buf_end(&b, svg);
}

/* ---- which country ---- */

static bool has_inside(struct arena *a, const struct world_ring *r, struct point p)
{
    bool in = false;
    if (p.x < longitude_of(r->west) || p.x > longitude_of(r->east))
        return false;
    struct outline o = read_ring(a, r);
    for (size_t i = 0; i < o.n; i++) {
        struct point from = o.at[i ? i - 1 : o.n - 1], to = o.at[i];
        if ((from.y <= p.y) != (to.y <= p.y) && p.x < from.x + (p.y - from.y) / (to.y - from.y) * (to.x - from.x))
            in = !in;
    }
    return in;
}

static int country_at(struct arena *a, double latitude, double longitude)
{
    int last = 0;
    bool in = false;
    for (size_t i = 0; i < n_world_rings; i++) {
        const struct world_ring *r = &world_rings[i];
        if (r->country != last && in)
            break;
        last = r->country;
        if (latitude < latitude_of(r->south) || latitude > latitude_of(r->north))
            continue;
        for (double shift = -360; shift <= 360; shift += 360)
            in ^= has_inside(a, r, (struct point){longitude + shift, latitude});
    }
    return in ? last : 0;
}

str map_country(struct arena *a, const struct map_place *at)
{
    static const struct point around[] = {{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}};
    int country = 0;
    for (size_t i = 0; i < COUNT(around) && country == 0; i++)
        country = country_at(a, at->latitude + NEAR * around[i].y, at->longitude + NEAR * around[i].x);
    return format_country_code(a, country);
}

/* ---- which town ---- */

static double far_apart(double latitude, double longitude, const struct world_town *t)
{
    double k = M_PI / 180, a = sin((t->latitude - latitude) * k / 2), b = sin((t->longitude - longitude) * k / 2);
    double h = a * a + cos(latitude * k) * cos(t->latitude * k) * b * b;
    return 2 * EARTH_METRES * asin(sqrt(within(h, 0, 1)));
}

struct map_town map_nearest(const struct map_place *at)
{
    struct map_town best = {world_towns[0].zone, far_apart(at->latitude, at->longitude, &world_towns[0])};
    for (size_t i = 1; i < n_world_towns; i++) {
        double metres = far_apart(at->latitude, at->longitude, &world_towns[i]);
        if (metres < best.metres)
            best = (struct map_town){world_towns[i].zone, metres};
    }
    return best;
}
