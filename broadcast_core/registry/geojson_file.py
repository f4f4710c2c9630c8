"""The registry as a GeoJSON FeatureCollection (RFC 7946): a feature for each zone and endpoint (docs/registry.md).

Properties are the columns of the CSV form; an endpoint's position is its geometry. A zone has no geometry of its
own; polygons that others drew for zones are accepted and not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from broadcast_core.errors import RejectReason, RowError
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Channel, Endpoint, Zone, ZoneLevel
from broadcast_core.registry.record import COLUMNS, write_record
from broadcast_core.registry.sheet import Record, Sheet, check_size, refusal, sheet_of
from broadcast_core.registry.snapshot import Registry

# Values, and so objects in memory, are at most one more than these; full of numbers the file would need gigabytes.
_MOST_SEPARATORS: Final = 4_000_000
_IN_GEOMETRY: Final = frozenset({"lat", "lon"})
_ZONES: Final = frozenset(level.value for level in ZoneLevel)
_ENDPOINTS: Final = frozenset(channel.value for channel in Channel)
_WGS84: Final = ("CRS84", "EPSG::4326", "EPSG:4326")


def encode(registry: Registry, *, with_phones: bool = False) -> bytes:
    """The whole registry. Without `with_phones` no number is in it, and it cannot be imported again."""
    items: tuple[Zone | Endpoint, ...] = (*registry.zones.values(), *registry.endpoints.values())
    features = [_feature(item, with_phones=with_phones) for item in items]
    return msgspec.json.encode({"type": "FeatureCollection", "features": features})


def parse(data: bytes) -> Sheet:
    """Read a file. Errors of single features are in the sheet; their `line` is the feature's number, from 1.

    Raises RegistryRejected for what is no FeatureCollection in WGS-84, is too large, or was exported without phones.
    """
    check_size(data)
    if sum(data.count(separator) for separator in (b",", b"[", b"{")) > _MOST_SEPARATORS:
        raise refusal(RejectReason.TOO_LARGE, _("The file holds too many values."))
    try:
        collection = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(RejectReason.MALFORMED, _("The file is no JSON: {error}", error=str(error)[:200])) from error
    if not isinstance(collection, dict) or collection.get("type") != "FeatureCollection":
        raise refusal(RejectReason.MALFORMED, _("The file is no GeoJSON FeatureCollection."), field="type")
    _check_reference_system(collection.get("crs"))
    features = collection.get("features")
    if not isinstance(features, list):
        raise refusal(RejectReason.MISSING, _("The collection has no list of features."), field="features")
    return sheet_of(_records(features))


def _feature(item: Zone | Endpoint, *, with_phones: bool) -> dict[str, Any]:
    cells = write_record(item, with_phones=with_phones)
    position = item.position if isinstance(item, Endpoint) else None
    geometry = None if position is None else {"type": "Point", "coordinates": (position.lon, position.lat)}
    properties: dict[str, Any] = {column: cell for column, cell in cells.items() if column not in _IN_GEOMETRY}
    if isinstance(item, Endpoint):
        properties |= {"simulated": item.simulated, "enabled": item.enabled}
    if isinstance(item, Endpoint) and item.coil is not None:
        properties |= {"unit": item.coil.unit, "coil": item.coil.coil}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _check_reference_system(crs: object) -> None:
    """The obsolete `crs` member still comes out of GIS programs; a position in another system would be wrong."""
    if crs is None:
        return
    name = crs.get("properties", {}) if isinstance(crs, dict) else {}
    name = name.get("name") if isinstance(name, dict) else None
    if not (isinstance(name, str) and name.endswith(_WGS84)):
        sentence = _("Positions must be WGS-84 (longitude, latitude); the file says {name}.", name=str(name)[:80])
        raise refusal(RejectReason.INVALID_VALUE, sentence, field="crs")


def _records(features: list[Any]) -> Iterator[Record | RowError]:
    for number, feature in enumerate(features, start=1):
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if not isinstance(properties, dict) or feature.get("type") != "Feature":
            yield RowError(
                number, "feature", RejectReason.MALFORMED, _("This is no GeoJSON feature with properties.")
            )
            continue
        for name, value in properties.items():
            fault = _fault_of_property(name, value)
            if fault is not None:
                yield RowError(number, f"properties.{name[:40]}", *fault)
        cells = {n: _cell(v) for n, v in properties.items() if v is not None and _fault_of_property(n, v) is None}
        position = _position(feature.get("geometry"), properties.get("kind"))
        if isinstance(position, Sentence):
            yield RowError(number, "geometry", RejectReason.INVALID_VALUE, position)
        else:
            cells |= position
        yield number, cells


def _fault_of_property(name: str, value: object) -> tuple[RejectReason, Sentence] | None:
    if name not in COLUMNS or name in _IN_GEOMETRY:
        return RejectReason.UNKNOWN_ELEMENT, _("There is no such property.")
    if not isinstance(value, str | int | float | None):
        return RejectReason.INVALID_VALUE, _("The value is neither text nor a number nor true or false.")
    return None


def _cell(value: str | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def _position(geometry: object, kind: object) -> dict[str, str] | Sentence:
    """The cells lat and lon, none of them for no position, or what is wrong."""
    if geometry is None:
        return {}
    shape = geometry.get("type") if isinstance(geometry, dict) else None
    if kind in _ZONES and shape in ("Polygon", "MultiPolygon"):
        return {}
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if shape != "Point" or kind in _ZONES or not isinstance(coordinates, list) or len(coordinates) not in (2, 3):
        return _("An endpoint's geometry is a Point or null, a zone's null or its polygon.")
    lon, lat = coordinates[:2]
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in (lon, lat)):
        return _("The coordinates are no numbers.")
    return {"lat": repr(lat), "lon": repr(lon)}
