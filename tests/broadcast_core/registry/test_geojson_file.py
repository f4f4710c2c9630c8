"""The GeoJSON form says the same as the CSV form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broadcast_core.errors import RegistryRejected, RejectReason, RowError
from broadcast_core.registry import Registry, csv_file, geojson_file
from broadcast_core.registry.dataset import default_registry
from broadcast_core.registry.sheet import combine

DISTRICT = {"kind": "district", "id": "D", "name": "某区"}


def feature(properties: dict[str, Any], geometry: Any = None) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def point(*coordinates: object) -> dict[str, Any]:
    return {"type": "Point", "coordinates": coordinates}


def imported(features: list[Any] | bytes, **members: object) -> Registry:
    if not isinstance(features, bytes):
        features = json.dumps({"type": "FeatureCollection", "features": features, **members}).encode()
    return combine(Registry(), geojson_file.parse(features))


def refused(features: list[Any] | bytes, **members: object) -> list[RowError]:
    with pytest.raises(RegistryRejected) as caught:
        imported(features, **members)
    return list(caught.value.rows)


def test_importing_the_export_gives_an_equal_registry(small: Registry) -> None:
    for registry in (small, default_registry()):
        assert imported(geojson_file.encode(registry, with_phones=True)) == registry


def test_both_forms_say_the_same(small: Registry) -> None:
    through_csv = combine(Registry(), csv_file.parse(csv_file.encode(small, with_phones=True)))
    assert imported(geojson_file.encode(small, with_phones=True)) == through_csv


def test_an_endpoint_is_a_point_in_longitude_and_latitude(small: Registry) -> None:
    features = json.loads(geojson_file.encode(small))["features"]
    speaker = next(f for f in features if f["properties"]["id"] == "SPK-1")
    assert speaker["geometry"] == {"type": "Point", "coordinates": [112.9, 28.2]}
    assert speaker["properties"]["enabled"] is True


def test_phones_leave_only_when_asked_for_and_a_file_without_them_cannot_come_back(small: Registry) -> None:
    exported = geojson_file.encode(small)
    assert b"+999" not in exported
    assert [e.field for e in refused(exported)] == ["phone"]


def test_what_other_programs_write_is_accepted() -> None:
    polygon = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    speaker = feature({"kind": "speaker", "id": 17, "zone": "D", "name": "x", "phone": None}, point(112, 28, 55.0))
    registry = imported([feature(DISTRICT, polygon), speaker], crs=crs, name="layer")
    assert registry.endpoint("17").position is not None


def test_every_bad_feature_is_refused_with_its_number() -> None:
    good = {"kind": "speaker", "zone": "D", "name": "x"}
    errors = refused(
        [
            feature(DISTRICT),
            7,
            feature({**good, "id": "S1", "colour": "red"}),
            feature({**good, "id": "S2", "lat": 28.1}),
            feature({**good, "id": "S3", "simulated": [True]}),
            feature({**good, "id": "S4"}, point(112, "28")),
            feature({**good, "id": "S5"}, {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}),
            feature({**good, "id": "S6"}, point(112.9, 91)),
            feature({**good, "id": "S7", "zone": "E"}),
            feature({"kind": "subdistrict", "id": "Z", "zone": "D", "name": "x"}, point(112, 28)),
            {"type": "Feature", "geometry": None},
        ]
    )
    assert {(e.line, e.field, e.reason) for e in errors} == {
        (2, "feature", RejectReason.MALFORMED),
        (3, "properties.colour", RejectReason.UNKNOWN_ELEMENT),
        (4, "properties.lat", RejectReason.UNKNOWN_ELEMENT),
        (5, "properties.simulated", RejectReason.INVALID_VALUE),
        (6, "geometry", RejectReason.INVALID_VALUE),
        (7, "geometry", RejectReason.INVALID_VALUE),
        (8, "lat", RejectReason.INVALID_VALUE),
        (9, "zone", RejectReason.UNKNOWN_AREA),
        (10, "geometry", RejectReason.INVALID_VALUE),
        (11, "feature", RejectReason.MALFORMED),
    }


HOSTILE = {
    "no JSON": (b"{", RejectReason.MALFORMED),
    "not a number": (b'{"type": "FeatureCollection", "features": [NaN]}', RejectReason.MALFORMED),
    "no UTF-8": (b'{"type": "\xff"}', RejectReason.MALFORMED),
    "deep": (b"[" * 100_000, RejectReason.MALFORMED),
    "another type": (b'{"type": "Topology"}', RejectReason.MALFORMED),
    "an array": (b"[]", RejectReason.MALFORMED),
    "no features": (b'{"type": "FeatureCollection"}', RejectReason.MISSING),
    "millions of values": (
        b'{"type": "FeatureCollection", "features": [' + b"[]," * 2_000_001,
        RejectReason.TOO_LARGE,
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_feature_collection_is_refused_whole(what: str) -> None:
    data, reason = HOSTILE[what]
    assert [e.reason for e in refused(data)] == [reason]


def test_positions_in_another_system_are_refused() -> None:
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
    assert [e.field for e in refused([feature(DISTRICT)], crs=crs)] == ["crs"]
