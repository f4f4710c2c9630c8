"""Where an alert is meant, as it was said: zones, shapes and endpoints, less exceptions.

In CAP it is written in areas: polygons, circles, and geocodes with our value names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Final, TypeVar

import msgspec

from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Alert, Circle, NamedValue, Point

ZONE: Final = "tocsin:zone"
ENDPOINT: Final = "tocsin:endpoint"
EXCLUDE: Final = "tocsin:exclude"

_FARTHEST_KM: Final = 20_040.0  # half way round the Earth
_LONGEST_EDGE: Final = 180.0  # degrees of longitude

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """The union of zones (with all below them), polygons, circles and endpoints, less `excluded` zones or endpoints.

    Polygons are closed rings of at least four WGS-84 points. `foreign` are geocodes of other systems (SAME, UGC):
    they are kept, and nothing here can resolve them.
    """

    zones: tuple[str, ...] = ()
    polygons: tuple[tuple[Point, ...], ...] = ()
    circles: tuple[Circle, ...] = ()
    endpoints: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    foreign: tuple[NamedValue, ...] = ()

    @property
    def says_where(self) -> bool:
        """Whether there is anything in it that can be resolved."""
        return bool(self.zones or self.polygons or self.circles or self.endpoints)

    def __or__(self, other: Expression) -> Expression:
        """Both together, nothing twice. What either excludes is excluded from the whole."""
        both = {f.name: _once((*getattr(self, f.name), *getattr(other, f.name))) for f in fields(Expression)}
        return Expression(**both)


def expression_of(alert: Alert) -> Expression:
    """Where the alert says it is meant: all areas of all its infos together. Raises AlertRejected for bad shapes."""
    areas = [area for info in alert.infos for area in info.area]
    geocodes = [geocode for area in areas for geocode in area.geocodes]
    return checked(
        Expression(
            zones=_valued(geocodes, ZONE),
            polygons=_once(polygon for area in areas for polygon in area.polygons),
            circles=_once(circle for area in areas for circle in area.circles),
            endpoints=_valued(geocodes, ENDPOINT),
            excluded=_valued(geocodes, EXCLUDE),
            foreign=_once(geocode for geocode in geocodes if geocode.name not in (ZONE, ENDPOINT, EXCLUDE)),
        )
    )


def to_builtins(expression: Expression) -> dict[str, Any]:
    """The expression as what JSON holds; its keys are the fields' names, and empty ones are there too."""
    built: dict[str, Any] = msgspec.to_builtins(expression)
    return built


def from_builtins(value: object) -> Expression:
    """The inverse of `to_builtins`; keys may be missing. Raises AlertRejected for anything else."""
    known = {f.name for f in fields(Expression)}
    if not isinstance(value, dict) or not value.keys() <= known:
        keys = ", ".join(sorted(known))
        raise AlertRejected(RejectReason.MALFORMED, _("An area is an object of {keys}.", keys=keys), "area")
    try:
        return checked(msgspec.convert(value, Expression))
    except msgspec.ValidationError as error:
        sentence = _("The area is malformed: {error}", error=str(error))
        raise AlertRejected(RejectReason.MALFORMED, sentence, "area") from error


def checked(expression: Expression) -> Expression:
    """The same expression. Raises AlertRejected(INVALID_VALUE) for shapes that cannot be on Earth."""
    for i, polygon in enumerate(expression.polygons):
        where = f"area.polygon[{i}]"
        if len(polygon) < 4 or polygon[0] != polygon[-1]:
            sentence = _("A polygon has at least four points, and its last one is its first.")
            raise AlertRejected(RejectReason.INVALID_VALUE, sentence, where)
        for point in polygon:
            _check_point(point, where)
        if any(abs(one.lon - next_.lon) > _LONGEST_EDGE for one, next_ in pairwise(polygon)):
            # Read as it stands it would reach round the other side of the Earth: a strip of sea becomes the district.
            sentence = _("The polygon crosses longitude 180, or is wider than half the Earth: cut it in two.")
            raise AlertRejected(RejectReason.INVALID_VALUE, sentence, where)
    for i, circle in enumerate(expression.circles):
        where = f"area.circle[{i}]"
        _check_point(circle.centre, where)
        if not 0 <= circle.radius_km <= _FARTHEST_KM:
            sentence = _("{radius} km is no radius of a circle.", radius=circle.radius_km)
            raise AlertRejected(RejectReason.INVALID_VALUE, sentence, where)
    return expression


def _check_point(point: Point, where: str) -> None:
    if not (math.isfinite(point.lat) and math.isfinite(point.lon) and abs(point.lat) <= 90 and abs(point.lon) <= 180):
        sentence = _("{lat},{lon} is no position in degrees.", lat=point.lat, lon=point.lon)
        raise AlertRejected(RejectReason.INVALID_VALUE, sentence, where)


def _valued(geocodes: Iterable[NamedValue], name: str) -> tuple[str, ...]:
    return _once(geocode.value.strip() for geocode in geocodes if geocode.name == name)


def _once(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))
