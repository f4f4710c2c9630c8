"""The district's real boundary, its subdistricts as cells around their seeds, and points scattered in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
import numpy as np
import shapely
from shapely.geometry import mapping, shape

from broadcast_core.model import Point
from broadcast_core.registry.places import SUBDISTRICTS, Place

# Plain numbers in [0, 1): the one generator whose sequence the standard library promises to keep for a seed.
Chance = Callable[[], float]

KM_PER_DEGREE: Final = 111.195
_CANDIDATES: Final = 8  # of which the one farthest from the others is taken: more is more even, and slower
_DECIMALS: Final = 6  # about 0.1 m


@cache
def boundary() -> shapely.MultiPolygon:
    """The district's boundary, WGS-84, coordinates (lon, lat). Origin and licence: data/README.md."""
    text = files("broadcast_core.registry").joinpath("data/tianxin.geojson").read_bytes()
    polygon: shapely.MultiPolygon = shape(msgspec.json.decode(text)["geometry"])
    shapely.prepare(polygon)
    return polygon


@cache
def cells() -> dict[str, shapely.Polygon]:
    """Each subdistrict's share of the district by code: all that is nearer to its seed than to any other.

    Generated; the real limits of the subdistricts are different.
    """
    seeds = shapely.MultiPoint([(place.seed.lon, place.seed.lat) for place in SUBDISTRICTS])
    drawn = shapely.voronoi_polygons(seeds, extend_to=boundary(), ordered=True)
    parts = {
        place.zone.code: shapely.intersection(cell, boundary())
        for place, cell in zip(SUBDISTRICTS, drawn.geoms, strict=True)
    }
    for part in parts.values():
        shapely.prepare(part)
    return parts


def subdistrict_cells() -> dict[str, Any]:
    """The cells as a GeoJSON FeatureCollection of polygons with code, name_zh, name_en and generated = true."""
    return {
        "type": "FeatureCollection",
        "features": [_feature(place, cells()[place.zone.code]) for place in SUBDISTRICTS],
    }


def _feature(place: Place, cell: shapely.Polygon) -> dict[str, Any]:
    zone = place.zone
    properties = {"code": zone.code, "name_zh": zone.name_zh, "name_en": zone.name_en, "generated": True}
    return {"type": "Feature", "properties": properties, "geometry": mapping(cell)}


def scatter(cell: shapely.Polygon, count: int, chance: Chance) -> tuple[Point, ...]:
    """`count` points in the cell that keep their distance from each other (best of several candidates each)."""
    placed = np.empty((count, 2))
    for i in range(count):
        candidates = np.array([_anywhere_in(cell, chance) for _ in range(_CANDIDATES if i else 1)])
        nearest = [((placed[:i] - candidate) ** 2).sum(axis=1).min(initial=math.inf) for candidate in candidates]
        placed[i] = candidates[int(np.argmax(nearest))]
    return tuple(Point(lat=float(lat), lon=float(lon)) for lon, lat in placed)


def near(centre: Point, radius_km: float, cell: shapely.Polygon, chance: Chance) -> Point:
    """A point of the cell within `radius_km` of `centre`, which lies in it."""
    while True:
        distance, bearing = radius_km * math.sqrt(chance()), math.tau * chance()
        lat = centre.lat + distance * math.cos(bearing) / KM_PER_DEGREE
        lon = centre.lon + distance * math.sin(bearing) / KM_PER_DEGREE / math.cos(math.radians(centre.lat))
        lat, lon = round(lat, _DECIMALS), round(lon, _DECIMALS)
        if _holds(cell, lon, lat):
            return Point(lat=lat, lon=lon)
        radius_km *= 0.9  # a centre on the very edge still comes to an end


def spacing_km(cell: shapely.Polygon, count: int) -> float:
    """About how far apart `count` points lie in the cell."""
    square_km = cell.area * KM_PER_DEGREE**2 * math.cos(math.radians(cell.centroid.y))
    return math.sqrt(square_km / max(count, 1))


def _anywhere_in(cell: shapely.Polygon, chance: Chance) -> Sequence[float]:
    west, south, east, north = cell.bounds
    while True:
        lon = round(west + chance() * (east - west), _DECIMALS)
        lat = round(south + chance() * (north - south), _DECIMALS)
        if _holds(cell, lon, lat):
            return lon, lat


def _holds(cell: shapely.Polygon, lon: float, lat: float) -> bool:
    return bool(shapely.contains_xy(cell, lon, lat))
