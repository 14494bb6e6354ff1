/* The map: is what is drawn where it is? */
#include "features/anti_theft/map.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MOST = 64 << 20 };

static const struct locale en = {0, "en", NULL, NULL}, sv = {1, "sv", NULL, NULL};

static str drawn(struct arena *a, const struct locale *l, struct map_place at)
{
    str svg;
    assert_int_equal(map_draw(a, l, &at, false, &svg), OK);
    return svg;
}

static bool has(str s, const char *what)
{
    return memmem(s.p, s.n, what, strlen(what)) != NULL;
}

/* Fails if a place is taken for another country's, or a hole in a country for the country. */
static void atw_05_places_lie_in_their_country(void **state)
{
    static const struct {
        double latitude, longitude;
        const char *country;
    } places[] = {
        {59.6, 17.0, "SE"},   {51.5, -1.0, "GB"},    {-29.5, 28.2, "LS"}, /* within South Africa */
        {-28.0, 25.0, "ZA"},  {43.94, 12.45, "SM"},  {67.5, 178.5, "RU"}, {67.0, -174.0, "RU"}, /* on both sides of 180° */
        {-17.8, 178.0, "FJ"}, {0.0, 0.0, ""}, {59.3293, 18.0686, "SE"}, /* on an island too small to be drawn */
               {-85.0, 20.0, "AQ"}, {39.0, -98.0, "US"},
        {200.0, 400.0, ""},   {34.9, 33.1, "CY"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(places); i++) {
        CLEANUP(arena_free) struct arena *a = arena_new(MOST);
        struct map_place at = {places[i].latitude, places[i].longitude, 10};
        str country = map_country(a, &at);
        if (!str_is(country, places[i].country))
            fail_msg("%.1f, %.1f: %.*s", at.latitude, at.longitude, STR_FMT(country));
    }
}

/* Where the mark stands in the picture, in pixels. */
static double mark_at(str svg, const char *name)
{
    const char *from = memmem(svg.p, svg.n, "r=\"3\"", 5), *found = NULL;
    assert_non_null(from);
    for (const char *p = svg.p; p < from; p++)
        if (strncmp(p, name, strlen(name)) == 0)
            found = p + strlen(name);
    assert_non_null(found);
    return strtod(found, NULL);
}

/* Fails if the mark is not in the middle, a pole or the date line breaks the picture, or it grows without bounds. */
static void atw_05_every_place_can_be_drawn(void **state)
{
    (void)state;
    for (double latitude = -90; latitude <= 90; latitude += 22.5)
        for (double longitude = -180; longitude <= 180; longitude += 45) {
            CLEANUP(arena_free) struct arena *a = arena_new(MOST);
            str svg = drawn(a, &en, (struct map_place){latitude, longitude, 30});
            assert_true(svg.n < 200 * 1000);
            assert_false(has(svg, "nan ") || has(svg, "nan\""));
            assert_false(has(svg, "inf ") || has(svg, "inf\""));
            assert_true(fabs(mark_at(svg, "cx=\"") - MAP_WIDTH / 2.0) < 0.1);
            double y = mark_at(svg, "cy=\"");
            assert_true(y >= 0 && y <= MAP_HEIGHT);
            assert_true(fabs(latitude) > 85 || fabs(y - MAP_HEIGHT / 2.0) < 0.1);
        }
}

/* Fails if names are in another language, or the land on the far side of 180° is missing. */
static void atw_05_names_are_the_readers(void **state)
{
    CLEANUP(arena_free) struct arena *a = arena_new(MOST);
    (void)state;
    struct map_place lund = {55.7, 13.2, 30};
    assert_true(has(drawn(a, &en, lund), ">Denmark<") && has(drawn(a, &en, lund), ">Sweden<"));
    assert_true(has(drawn(a, &sv, lund), ">Danmark<") && has(drawn(a, &sv, lund), ">Sverige<"));
    assert_true(has(drawn(a, &en, (struct map_place){67.0, 179.9, 30}), ">Russia<"));
    assert_true(has(drawn(a, &en, (struct map_place){67.0, -179.9, 30}), ">Russia<"));
}

/* Fails if the nearest town is another, is off by more than a hair, or has no name in the reader's language. */
static void atw_05_towns_to_know_it_by(void **state)
{
    static const struct {
        double latitude, longitude, km;
        const char *zone;
    } places[] = {
        {59.3293, 18.0686, 1.0, "Europe/Stockholm"}, /* the list has 59°20' N 18°03' E */
        {55.7047, 13.1910, 38.3, "Europe/Copenhagen"},
        {-16.5, -179.9, 254.8, "Pacific/Fiji"}, /* on the other side of 180° */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(places); i++) {
        struct map_town t = map_nearest(&(struct map_place){places[i].latitude, places[i].longitude, 10});
        if (strcmp(t.zone, places[i].zone) != 0 || fabs(t.metres / 1000 - places[i].km) > 1)
            fail_msg("%s, %.1f km", t.zone, t.metres / 1000);
    }
    CLEANUP(arena_free) struct arena *a = arena_new(MOST);
    assert_true(str_is(format_zone_town(a, &sv, "Europe/Copenhagen"), "Köpenhamn"));
    assert_true(str_is(format_zone_town(a, &en, "Europe/Copenhagen"), "Copenhagen"));
    assert_true(has(drawn(a, &sv, (struct map_place){55.7, 13.2, 30}), ">Köpenhamn<"));
    assert_true(has(drawn(a, &sv, (struct map_place){55.67, 12.58, 30}), ">Köpenhamn<")); /* right under the mark */
}

/* Fails if what is known less exactly looks as exact, or what is exact has a circle that says it is not. */
static void atw_05_the_circle_is_as_large_as_the_doubt(void **state)
{
    CLEANUP(arena_free) struct arena *a = arena_new(MOST);
    (void)state;
    assert_false(has(drawn(a, &en, (struct map_place){55.7, 13.2, 30}), "fill-opacity"));
    /* 50 km, where 400 pixels are nine degrees of 111.32 km */
    assert_true(has(drawn(a, &en, (struct map_place){55.7, 13.2, 50000}), "r=\"20.0\""));
    str svg = drawn(a, &en, (struct map_place){55.7, 13.2, 1000000}); /* the map widens to five times that */
    assert_true(has(svg, "r=\"80.0\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(atw_05_places_lie_in_their_country),
        cmocka_unit_test(atw_05_every_place_can_be_drawn),
        cmocka_unit_test(atw_05_names_are_the_readers),
        cmocka_unit_test(atw_05_towns_to_know_it_by),
        cmocka_unit_test(atw_05_the_circle_is_as_large_as_the_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
