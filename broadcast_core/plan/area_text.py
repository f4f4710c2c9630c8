"""Areas as people write them, on the command line and in forms, and as an alert carries them.

    district                               the whole district, said in so many words
    zone:430103002                         a zone and everything below it
    polygon:28.2,112.9 28.2,113 28.1,113   at least three corners, lat,lon; closed by itself
    circle:28.15,112.97 2.5                centre lat,lon and radius in km
    endpoint:SPK-0001                      one endpoint
    exclude:430103002                      not this zone or endpoint

Several go together, parted by semicolons or new lines; full-width forms of all this are read alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NoReturn

from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Area, Circle, NamedValue, Point
from broadcast_core.plan.expression import ENDPOINT, EXCLUDE, ZONE, Expression, checked

LONGEST: Final = 100_000  # characters; a polygon of thousands of corners fits

_NUMBER: Final = re.compile(r"[+-]?\d{1,20}(\.\d{0,30})?([eE][+-]?\d{1,3})?")


def parse_area(text: str, root: str) -> Expression:
    """What the text says. `root` is the code of the district.

    Raises AlertRejected: NO_AREA for a text that says nothing, INVALID_VALUE naming the part that is not understood.
    Whether zones and endpoints exist, only `resolve` knows.
    """
    if len(text) > LONGEST:
        sentence = _("The area has more than {most} characters.", most=LONGEST)
        raise AlertRejected(RejectReason.TOO_LARGE, sentence, "area")
    expression = Expression()
    for part in _parts(text):
        expression |= _parse_part(part, root)
    if expression == Expression():
        raise AlertRejected(RejectReason.NO_AREA, _("No area is given. Say zone:…, polygon:… or district."), "area")
    return checked(expression)


def parse_areas(texts: Iterable[str], root: str) -> Expression:
    """Several texts together, as from a repeated option."""
    return parse_area(";".join(texts), root)


def format_area(expression: Expression) -> str:
    """The text that `parse_area` reads back to the same expression (less foreign geocodes)."""
    parts = [
        *(f"zone:{code}" for code in expression.zones),
        *(f"polygon:{' '.join(map(_pair, polygon))}" for polygon in expression.polygons),
        *(f"circle:{_pair(circle.centre)} {circle.radius_km!r}" for circle in expression.circles),
        *(f"endpoint:{identifier}" for identifier in expression.endpoints),
        *(f"exclude:{identifier}" for identifier in expression.excluded),
    ]
    return "; ".join(parts)


def areas_of(expression: Expression, description: str | None = None) -> tuple[Area, ...]:
    """The expression as CAP areas (one), described by its own text if not otherwise. Undoes `expression_of`."""
    named = ((ZONE, expression.zones), (ENDPOINT, expression.endpoints), (EXCLUDE, expression.excluded))
    geocodes = (NamedValue(name=name, value=value) for name, values in named for value in values)
    area = Area(
        area_desc=description or format_area(expression),
        polygons=expression.polygons,
        circles=expression.circles,
        geocodes=(*geocodes, *expression.foreign),
    )
    return (area,)


def _pair(point: Point) -> str:
    return f"{point.lat!r},{point.lon!r}"


def _parts(text: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKC", text)
    yield from (part for piece in re.split(r"[;\r\n]", plain) if (part := piece.strip()))


def _parse_part(part: str, root: str) -> Expression:
    if part.lower() == "district":
        return Expression(zones=(root,))
    kind, colon, value = part.partition(":")
    parse = _KINDS.get(kind.strip().lower())
    if not colon or parse is None or not value.strip():
        _refuse(part)
    return parse(value.strip(), part)


def _polygon(value: str, part: str) -> Expression:
    ring = tuple(_point(pair, part) for pair in value.split())
    if len(ring) >= 3 and ring[0] != ring[-1]:
        ring = (*ring, ring[0])
    return Expression(polygons=(ring,))


def _circle(value: str, part: str) -> Expression:
    pieces = value.split()
    if len(pieces) != 2:
        _refuse(part)
    return Expression(circles=(Circle(centre=_point(pieces[0], part), radius_km=_number(pieces[1], part)),))


def _point(pair: str, part: str) -> Point:
    lat, comma, lon = pair.partition(",")
    if not comma:
        _refuse(part)
    return Point(lat=_number(lat, part), lon=_number(lon, part))


def _number(text: str, part: str) -> float:
    if not _NUMBER.fullmatch(text):
        _refuse(part)
    return float(text)


def _refuse(part: str) -> NoReturn:
    sentence = _(
        "{part!r} is no area. Areas are: district, zone:CODE, polygon:LAT,LON LAT,LON LAT,LON …, "
        "circle:LAT,LON KM, endpoint:ID, exclude:CODE-OR-ID.",
        part=part[:80],
    )
    raise AlertRejected(RejectReason.INVALID_VALUE, sentence, "area")


_KINDS: Final[dict[str, Callable[[str, str], Expression]]] = {
    "zone": lambda value, _part: Expression(zones=(value,)),
    "polygon": _polygon,
    "circle": _circle,
    "endpoint": lambda value, _part: Expression(endpoints=(value,)),
    "exclude": lambda value, _part: Expression(excluded=(value,)),
}
