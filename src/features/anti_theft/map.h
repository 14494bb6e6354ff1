/*
 * A place on an outline map, drawn here: whoever looks at it asks nobody else (ATW-05). The map shows in which
 * region a place lies, no streets: it is drawn from Natural Earth's 1:50m outlines, which are right to some
 * kilometres.
 */
#ifndef FEATURES_ANTI_THEFT_MAP_H
#define FEATURES_ANTI_THEFT_MAP_H

#include "text/format.h"

enum { MAP_WIDTH = 720, MAP_HEIGHT = 400 };

/* Degrees, WGS 84; metres. */
struct map_place {
    double latitude, longitude, accuracy;
};

/* An SVG of the region, north up, with names of countries and some towns, a scale, and a circle as large as the place is
 * uncertain where that can be seen. ERR_LIMIT: larger than 1 MiB. */
CHECKED enum err map_draw(struct arena *a, const struct locale *l, const struct map_place *at, bool dark, str *svg);

/* The country in which the outlines have it, or that lies close by: "SE"; empty: at sea. */
str map_country(struct arena *a, const struct map_place *at);

/* The town nearest to it of those that the map knows, and how far that is as the crow flies. */
struct map_town {
    const char *zone; /* names it: format_zone_town() */
    double metres;
};
struct map_town map_nearest(const struct map_place *at);

#endif
