"""Polygons and circles: WGS-84 degrees, latitude first (CAP 3.2.4)."""

from __future__ import annotations

from typing import Final

from broadcast_core.cap.leaf import (
    Leaf,
    Unfit,
    check_decimal,
    json_list,
    json_number,
    read_decimal,
    shown,
    write_decimal,
)
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Circle, Point

Polygon = tuple[Point, ...]

_FEWEST_POINTS: Final = 4


def _bad_point(text: object) -> Sentence:
    return _("{value} is not a position; write latitude,longitude such as 28.112,112.985.", value=shown(text))


def _read_point(text: str) -> Point:
    parts = text.split(",")
    if len(parts) != 2:
        raise Unfit(_bad_point(text))
    try:
        return Point(lat=read_decimal(parts[0]), lon=read_decimal(parts[1]))
    except Unfit:
        raise Unfit(_bad_point(text)) from None


def _write_point(point: Point) -> str:
    return f"{write_decimal(point.lat)},{write_decimal(point.lon)}"


def _point_from_json(value: object) -> Point:
    pair = json_list(value)
    if len(pair) != 2:
        raise Unfit(_bad_point(pair))
    return Point(lat=json_number(pair[0]), lon=json_number(pair[1]))


def _point_to_json(point: Point) -> list[float]:
    return [float(point.lat), float(point.lon)]


def _check_point(point: Point) -> None:
    # Written so that NaN, which compares false with everything, is refused too.
    if not (-90 <= point.lat <= 90 and -180 <= point.lon <= 180):
        raise Unfit(
            _(
                "{lat},{lon} is not on the Earth: latitude (-90 to 90) comes first, then longitude (-180 to 180).",
                lat=point.lat,
                lon=point.lon,
            )
        )


def _check_polygon(points: Polygon) -> None:
    for point in points:
        _check_point(point)
    if len(points) < _FEWEST_POINTS:
        raise Unfit(_("A polygon needs at least 4 points, the last equal to the first; this has {n}.", n=len(points)))
    if points[0] != points[-1]:
        raise Unfit(_("The polygon is not closed; repeat its first point at the end."))


def _read_circle(text: str) -> Circle:
    parts = text.split()
    if len(parts) != 2:
        raise Unfit(_("{value} is not a circle; write latitude,longitude radius-in-km.", value=shown(text)))
    return Circle(centre=_read_point(parts[0]), radius_km=read_decimal(parts[1]))


def _circle_from_json(value: object) -> Circle:
    parts = json_list(value)
    if len(parts) != 2:
        raise Unfit(_("A circle is [[latitude, longitude], radius in km]."))
    return Circle(centre=_point_from_json(parts[0]), radius_km=json_number(parts[1]))


def _check_circle(circle: Circle) -> None:
    _check_point(circle.centre)
    check_decimal(circle.radius_km)
    if not circle.radius_km >= 0:
        raise Unfit(_("The radius of a circle cannot be negative."))


def _polygon_from_json(value: object) -> Polygon:
    return tuple(_point_from_json(pair) for pair in json_list(value))


POLYGON: Final[Leaf[Polygon]] = Leaf(
    from_text=lambda text: tuple(_read_point(pair) for pair in text.split()),
    to_text=lambda points: " ".join(map(_write_point, points)),
    from_json=_polygon_from_json,
    to_json=lambda points: [_point_to_json(point) for point in points],
    check=_check_polygon,
)
CIRCLE: Final[Leaf[Circle]] = Leaf(
    from_text=_read_circle,
    to_text=lambda circle: f"{_write_point(circle.centre)} {write_decimal(circle.radius_km)}",
    from_json=_circle_from_json,
    to_json=lambda circle: [_point_to_json(circle.centre), float(circle.radius_km)],
    check=_check_circle,
)
