"""The registry is a checked tree that answers by slices."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from broadcast_core.errors import NotFound, RegistryRejected, RejectReason
from broadcast_core.model import Channel, Circle, CoilAddress, Endpoint, Point, Zone, ZoneLevel
from broadcast_core.registry import Registry


def ids(endpoints: tuple[Endpoint, ...]) -> set[str]:
    return {endpoint.id for endpoint in endpoints}


def test_a_zone_has_the_members_of_its_whole_subtree(small: Registry) -> None:
    assert ids(small.members("N")) == {"SPK-1", "SPK-2", "SPK-3", "HRN-1", "SMS-1"}
    assert ids(small.members("N", Channel.SPEAKER)) == {"SPK-1", "SPK-2", "SPK-3"}
    assert ids(small.members("D")) == set(small.endpoints)
    assert ids(small.members("S1", Channel.HORN)) == set()
    assert (small.count(), small.count("N"), small.count("N", Channel.SMS), small.count("D", Channel.SPEAKER)) == (
        7,
        5,
        1,
        4,
    )


def test_the_tree_is_known_upwards_and_downwards(small: Registry) -> None:
    assert small.root.code == "D"
    assert [z.code for z in small.children("D")] == ["N", "S"]
    assert [z.code for z in small.ancestors("N1")] == ["N", "D"]
    assert small.ancestors("D") == ()


def test_endpoints_of_a_subdistrict_itself_belong_to_it_and_to_no_community(small: Registry) -> None:
    direct = replace(small.endpoint("SPK-1"), id="SPK-9", zone="N")
    registry = Registry(small.zones.values(), [*small.endpoints.values(), direct])
    assert "SPK-9" in ids(registry.members("N"))
    assert "SPK-9" not in ids(registry.members("N1")) | ids(registry.members("N2"))


def test_members_are_the_slice_that_span_names(small: Registry) -> None:
    for channel in (None, *Channel):
        for code in small.zones:
            low, high = small.span(code, channel)
            assert small.ordered(channel)[low:high] == small.members(code, channel)


def test_what_is_not_registered_is_not_found(small: Registry) -> None:
    for ask in (small.zone, small.children, small.ancestors, small.members, small.endpoint, small.index):
        with pytest.raises(NotFound):
            ask("missing")


def test_an_empty_registry_is_one_without_a_district() -> None:
    empty = Registry()
    assert (len(empty.zones), len(empty.endpoints), empty.count()) == (0, 0, 0)
    assert empty.within([], [Circle(centre=Point(lat=0, lon=0), radius_km=20_000)]) == ()
    with pytest.raises(NotFound):
        _ = empty.root


def test_equality_is_that_of_all_zones_and_endpoints(small: Registry) -> None:
    same = Registry(reversed(small.zones.values()), reversed(small.endpoints.values()))
    assert same == small
    assert hash(same) == hash(small)
    renamed = [replace(e, name="另一个") if e.id == "SPK-1" else e for e in small.endpoints.values()]
    assert Registry(small.zones.values(), renamed) != small


def test_a_polygon_takes_its_edge_and_a_circle_its_radius(small: Registry) -> None:
    square = ((28.1, 112.9), (28.2, 112.9), (28.2, 112.91), (28.1, 112.91), (28.1, 112.9))
    ring = tuple(Point(lat=lat, lon=lon) for lat, lon in square)
    assert ids(small.within([ring])) == {"SPK-1", "SPK-3", "HRN-1", "SMS-1"}  # all of them on its edges
    around = Point(lat=28.0, lon=112.9)
    kilometre = 180 / math.pi / 6371.0088  # degrees of latitude
    assert ids(small.within(circles=[Circle(centre=around, radius_km=0.15 / kilometre + 0.001)])) >= {"SPK-3"}
    assert ids(small.within(circles=[Circle(centre=around, radius_km=0.15 / kilometre - 0.001)])) == {
        "SPK-4",
        "SMS-2",
    }


def test_who_has_no_position_is_where_their_zone_is_on_average(small: Registry) -> None:
    between = Circle(centre=Point(lat=28.20, lon=112.91), radius_km=0.1)  # the middle of SPK-1 and SPK-2
    assert ids(small.within(circles=[between])) == {"SMS-1"}


def test_who_has_no_position_in_a_zone_without_any_is_nowhere(small: Registry) -> None:
    lost = [replace(e, position=None) for e in small.endpoints.values()]
    everywhere = Circle(centre=Point(lat=28, lon=113), radius_km=20_000)
    assert Registry(small.zones.values(), lost).within(circles=[everywhere]) == ()


def test_a_polygon_that_crosses_itself_holds_both_its_lobes(small: Registry) -> None:
    bow = ((28.10, 112.89), (28.25, 112.91), (28.25, 112.89), (28.10, 112.91), (28.10, 112.89))
    ring = tuple(Point(lat=lat, lon=lon) for lat, lon in bow)
    assert ids(small.within([ring])) == {"SPK-1", "SPK-3"}  # above and below the crossing, HRN-1 beside it


def test_a_polygon_of_one_point_is_that_point(small: Registry) -> None:
    assert ids(small.within([(Point(lat=28.2, lon=112.9),) * 4])) == {"SPK-1"}


BROKEN = {
    "a second district": ("D2", None, ZoneLevel.DISTRICT, "kind", RejectReason.DUPLICATE_ELEMENT),
    "a community right under the district": ("X", "D", ZoneLevel.COMMUNITY, "zone", RejectReason.INVALID_VALUE),
    "a subdistrict in a subdistrict": ("X", "N", ZoneLevel.SUBDISTRICT, "zone", RejectReason.INVALID_VALUE),
    "a zone in itself": ("X", "X", ZoneLevel.COMMUNITY, "zone", RejectReason.INVALID_VALUE),
    "a zone in none": ("X", None, ZoneLevel.COMMUNITY, "zone", RejectReason.MISSING),
    "a zone in a missing one": ("X", "Y", ZoneLevel.COMMUNITY, "zone", RejectReason.UNKNOWN_AREA),
    "a code twice": ("N1", "S", ZoneLevel.COMMUNITY, "id", RejectReason.DUPLICATE_ELEMENT),
    "a code that is an endpoint's": ("SPK-1", "S", ZoneLevel.COMMUNITY, "id", RejectReason.DUPLICATE_ELEMENT),
    "a code with a wildcard": ("N/#", "S", ZoneLevel.COMMUNITY, "id", RejectReason.INVALID_VALUE),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_tree_is_refused(small: Registry, what: str) -> None:
    code, parent, level, field, reason = BROKEN[what]
    extra = Zone(code=code, parent=parent, level=level, name_zh="某区", name_en="Some")
    with pytest.raises(RegistryRejected) as refused:
        Registry([*small.zones.values(), extra], small.endpoints.values())
    assert (field, reason) in {(row.field, row.reason) for row in refused.value.rows}


def test_a_cycle_is_refused(small: Registry) -> None:
    zones = [replace(z, parent="N1") if z.code == "N" else z for z in small.zones.values()]
    with pytest.raises(RegistryRejected):
        Registry(zones, small.endpoints.values())


FAULTS = {
    "lat": {"position": Point(lat=90.1, lon=0)},
    "lon": {"position": Point(lat=0, lon=math.inf)},
    "phone": {"phone": "+8613800138000"},
    "language": {"language": "zh-CN"},
    "coil": {"coil": CoilAddress(line="line-1", unit=1, coil=1)},
    "name": {"name": "两  格"},
    "id": {"id": "SPK 1"},
    "zone": {"zone": "nowhere"},
}


@pytest.mark.parametrize("field", FAULTS)
def test_a_speaker_with_a_fault_is_refused_by_field(small: Registry, field: str) -> None:
    with pytest.raises(RegistryRejected) as refused:
        Registry(small.zones.values(), [replace(small.endpoint("SPK-1"), **FAULTS[field])])
    assert [row.field for row in refused.value.rows] == [field]


@pytest.mark.parametrize("name", ["", "a\u202eb", "a\nb", " a", "x" * 201, "\ud800"])
def test_a_name_hides_nothing(small: Registry, name: str) -> None:
    with pytest.raises(RegistryRejected) as refused:
        Registry(small.zones.values(), [replace(small.endpoint("SPK-1"), name=name)])
    assert [row.field for row in refused.value.rows] == ["name"]


def test_two_horns_share_no_coil_and_two_people_no_phone(small: Registry) -> None:
    twins = [replace(small.endpoint("HRN-1"), id="HRN-2"), replace(small.endpoint("SMS-1"), id="SMS-3")]
    with pytest.raises(RegistryRejected) as refused:
        Registry(small.zones.values(), [*small.endpoints.values(), *twins])
    assert {(row.field, row.reason) for row in refused.value.rows} == {
        ("coil", RejectReason.DUPLICATE_ELEMENT),
        ("phone", RejectReason.DUPLICATE_ELEMENT),
    }
    assert "+999" not in str(refused.value)  # a phone number is personal, and errors are logged
