"""Which of many positions lie in polygons and circles, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from broadcast_core.model import Circle, Point

Mask = NDArray[np.bool_]

EARTH_RADIUS_KM: Final = 6371.0088  # IUGG mean radius


class Positions:
    """WGS-84 positions as arrays in degrees. A position that is nowhere is NaN and lies in nothing."""

    def __init__(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> None:
        self._lat = lat
        self._lon = lon

    def inside(self, polygons: Iterable[Sequence[Point]], circles: Iterable[Circle]) -> Mask:
        """Whether each position lies in any of the areas; on the edge counts as inside, since it is warned in doubt.

        Edges are straight in degrees; of a polygon that crosses itself, what an odd number of turns encloses is
        inside. No area may span the 180th meridian.
        """
        mask = np.zeros(len(self._lat), dtype=np.bool_)
        for polygon in polygons:
            self._mark(mask, shapely.Polygon([(p.lon, p.lat) for p in polygon]))
        for circle in circles:
            mask |= self._distance_km(circle.centre) <= circle.radius_km
        return mask

    def _mark(self, mask: Mask, shape: shapely.Polygon) -> None:
        # The box first: a message may hold thousands of small polygons. And no repair of the polygon, which a
        # hostile one would make endless; the count of crossings behind this test needs none.
        west, south, east, north = shape.bounds
        box = ~mask & (self._lat >= south) & (self._lat <= north) & (self._lon >= west) & (self._lon <= east)
        near = np.flatnonzero(box)
        shapely.prepare(shape)
        mask[near] = shapely.intersects_xy(shape, self._lon[near], self._lat[near])

    def _distance_km(self, centre: Point) -> NDArray[np.float64]:
        """Haversine distance; NaN where the position is nowhere."""
        lat, lon = np.radians(self._lat), np.radians(self._lon)
        lat0, lon0 = np.radians(centre.lat), np.radians(centre.lon)
        half = np.sin((lat - lat0) / 2) ** 2 + np.cos(lat) * np.cos(lat0) * np.sin((lon - lon0) / 2) ** 2
        distance: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
        return distance
