"""Makes the outlines of the world's countries, and towns to know them by: world.py OUT.c DIR COUNTRIES.json ZONES.tab

COUNTRIES.json is Natural Earth's 1:50m map as npm's world-atlas has it (TopoJSON, quantized). Borders that
two countries share are there once, as an arc; a country's ring names arcs, backwards as ~n. An arc is kept as
its first point and then steps, in units of the quantization, each number as a zigzag varint. A ring may go over
the 180th meridian, where its longitude jumps; its box is that of the ring with the jumps taken out.
ZONES.tab names time zones by a town of each, and where that is: some four hundred, one in every country at least.
src/features/anti_theft/world.h says what comes out.
"""
import json
import re
import sys

out, source, zones = sys.argv[1], sys.argv[3], sys.argv[4]
with open(source, encoding="utf-8") as f:
    topology = json.load(f)
scale, origin = topology["transform"]["scale"], topology["transform"]["translate"]


def varint(v, data):
    v = v << 1 if v >= 0 else (-v << 1) - 1
    while v > 0x7f:
        data.append(v & 0x7f | 0x80)
        v >>= 7
    data.append(v)


def points(arc):
    x = y = 0
    for dx, dy in arc:
        x, y = x + dx, y + dy
        yield x, y


def ring_points(ring):
    """All the way, without jumps at the 180th meridian."""
    turn, last, shift = round(360 / scale[0]), None, 0
    for a in ring:
        arc = list(points(topology["arcs"][a if a >= 0 else ~a]))
        for x, y in arc if a >= 0 else reversed(arc):
            if last is not None and abs(x + shift - last) > turn / 2:
                shift += turn if x + shift < last else -turn
            last = x + shift
            yield last, y


data, offsets = bytearray(), []
for arc in topology["arcs"]:
    offsets.append((len(data), len(arc)))
    for dx, dy in arc:
        varint(dx, data)
        varint(dy, data)

rings, members = [], []
for country in topology["objects"]["countries"]["geometries"]:
    polygons = {"Polygon": [country.get("arcs")], "MultiPolygon": country.get("arcs")}[country["type"]]
    for polygon in polygons:
        for ring in polygon:
            every = list(ring_points(ring))
            box = [min(x for x, _ in every), min(y for _, y in every), max(x for x, _ in every), max(y for _, y in every)]
            rings.append((int(country.get("id", 0)), len(members), len(ring), len(every), *box))
            members += ring
if len(rings) < 1000 or max(offsets[-1]) > 1 << 30:
    sys.exit(f"{source}: not the map that is meant")


def degrees(text, whole):
    """+5920 or -0740023: a sign, so many digits of degrees, minutes, and seconds where there are some."""
    parts = [text[1:1 + whole], *re.findall(r"\d\d", text[1 + whole:])]
    return (-1 if text[0] == "-" else 1) * sum(int(part) / 60 ** i for i, part in enumerate(parts))


# Counties and the like, whose times were their own for a while: nobody knows where they are.
OBSCURE = re.compile(r"America/(Indiana/(?!Indianapolis)|North_Dakota/|Kentucky/Monticello)")
towns = []
with open(zones, encoding="utf-8") as f:
    for line in f:
        if line.startswith("#"):
            continue
        _, where, zone = line.rstrip("\n").split("\t")[:3]
        latitude, longitude = re.match(r"([+-]\d+)([+-]\d+)$", where).groups()
        if not OBSCURE.match(zone):
            towns.append((zone, degrees(latitude, 2), degrees(longitude, 3)))
if len(towns) < 300:
    sys.exit(f"{zones}: not the list that is meant")


def wrapped(items, width=24):
    items = list(items)
    return "".join("    " + ",".join(items[i:i + width]) + ",\n" for i in range(0, len(items), width))


with open(out, "w", encoding="utf-8") as f:
    f.write('/* Made by tools/world.py. */\n#include "features/anti_theft/world.h"\n\n')
    f.write(f"const double world_scale[2] = {{{scale[0]!r}, {scale[1]!r}}}, world_origin[2] = {{{origin[0]!r}, {origin[1]!r}}};\n")
    f.write(f"const unsigned char world_steps[] = {{\n{wrapped(map(str, data), 48)}}};\n")
    f.write(f"const struct world_arc world_arcs[] = {{\n{wrapped(f'{{{at},{n}}}' for at, n in offsets)}}};\n")
    f.write(f"const int16_t world_members[] = {{\n{wrapped(map(str, members))}}};\n")
    f.write(f"const struct world_ring world_rings[] = {{\n{wrapped(('{' + ','.join(map(str, r)) + '}' for r in rings), 4)}}};\n")
    f.write(f"const size_t n_world_rings = {len(rings)};\n")
    lines = (f'{{"{zone}",{latitude:.4f}f,{longitude:.4f}f}}' for zone, latitude, longitude in towns)
    f.write(f"const struct world_town world_towns[] = {{\n{wrapped(lines, 3)}}};\n")
    f.write(f"const size_t n_world_towns = {len(towns)};\n")
