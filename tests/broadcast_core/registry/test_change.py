"""Membership versions rise exactly where speakers come and go, and never fall."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from broadcast_core.model import Channel, Endpoint, Zone, ZoneLevel
from broadcast_core.registry import Registry
from broadcast_core.registry.change import Change, Difference, succession


def versions(registry: Registry) -> dict[str, int]:
    return {code: zone.membership_version for code, zone in registry.zones.items()}


def with_endpoints(registry: Registry, endpoints: Iterable[Endpoint]) -> Registry:
    return Registry(registry.zones.values(), endpoints)


def test_no_change_changes_nothing(small: Registry) -> None:
    target, change = succession(small, small)
    assert target == small
    assert not change
    assert change == Change()


def test_versions_are_not_the_targets_to_say(small: Registry) -> None:
    sly = Registry((replace(z, membership_version=99) for z in small.zones.values()), small.endpoints.values())
    target, change = succession(small, sly)
    assert target == small
    assert not change


def test_a_new_speaker_raises_its_path(small: Registry) -> None:
    new = replace(small.endpoint("SPK-1"), id="SPK-9")
    target, change = succession(small, with_endpoints(small, [*small.endpoints.values(), new]))
    assert versions(target) == {"D": 2, "N": 2, "N1": 2, "N2": 1, "S": 1, "S1": 1}
    assert change == Change(endpoints=Difference(added=("SPK-9",)), raised=("D", "N", "N1"))


def test_a_speaker_that_is_gone_raises_its_path(small: Registry) -> None:
    left = [e for e in small.endpoints.values() if e.id != "SPK-4"]
    target, change = succession(small, with_endpoints(small, left))
    assert change.raised == ("D", "S", "S1")
    assert change.endpoints.removed == ("SPK-4",)
    assert versions(target)["N"] == 1


def test_a_speaker_that_moves_raises_both_its_paths(small: Registry) -> None:
    moved = [replace(e, zone="S1") if e.id == "SPK-3" else e for e in small.endpoints.values()]
    target, change = succession(small, with_endpoints(small, moved))
    assert versions(target) == {"D": 2, "N": 2, "N1": 1, "N2": 2, "S": 2, "S1": 2}
    assert change.endpoints == Difference(changed=("SPK-3",))


def test_a_community_that_moves_takes_its_speakers_along(small: Registry) -> None:
    zones = [replace(z, parent="S") if z.code == "N2" else z for z in small.zones.values()]
    target, change = succession(small, Registry(zones, small.endpoints.values()))
    assert versions(target) == {"D": 2, "N": 2, "N1": 1, "N2": 2, "S": 2, "S1": 1}
    assert change.zones == Difference(changed=("N2",))


def test_horns_phones_names_and_being_out_of_service_raise_nothing(small: Registry) -> None:
    endpoints = [replace(e, name="新名", enabled=False) for e in small.endpoints.values() if e.id != "HRN-1"]
    endpoints.append(replace(small.endpoint("SMS-1"), id="SMS-9", phone="+9990000000009"))
    _target, change = succession(small, with_endpoints(small, endpoints))
    assert change.raised == ()
    assert change.endpoints.added == ("SMS-9",)


def test_a_code_that_comes_back_never_shows_an_old_version(small: Registry) -> None:
    without = Registry(
        (z for z in small.zones.values() if z.code != "N2"), (e for e in small.endpoints.values() if e.zone != "N2")
    )
    gone, change = succession(small, without)
    assert change.zones.removed == ("N2",)
    back, _change = succession(gone, small)
    assert versions(back)["N2"] == versions(back)["D"] == 3


def test_another_district_starts_above_the_old_one(small: Registry) -> None:
    other = Registry([Zone(code="E", parent=None, level=ZoneLevel.DISTRICT, name_zh="另区", name_en="Other")])
    target, _change = succession(small, other)
    assert versions(target) == {"E": 2}


placements = st.dictionaries(
    st.sampled_from([f"SPK-{i}" for i in range(6)]), st.sampled_from(["D", "N", "N1", "N2", "S1"])
)


@settings(deadline=None)
@given(st.lists(placements, min_size=1, max_size=6))
def test_whoever_belongs_to_a_zone_changed_since_shows_in_its_version(history: list[dict[str, str]]) -> None:
    levels = {"D": (None, "district"), "N": ("D", "subdistrict"), "S": ("D", "subdistrict")}
    levels |= {"N1": ("N", "community"), "N2": ("N", "community"), "S1": ("S", "community")}
    zones = [
        Zone(code=code, parent=parent, level=ZoneLevel(level), name_zh=code, name_en=code)
        for code, (parent, level) in levels.items()
    ]
    current = Registry()
    seen: dict[tuple[str, int], set[str]] = {}
    for placement in history:
        endpoints = [Endpoint(id=i, channel=Channel.SPEAKER, zone=z, name=i) for i, z in placement.items()]
        current, _change = succession(current, Registry(zones, endpoints))
        for code, zone in current.zones.items():
            members = {e.id for e in current.members(code)}
            assert seen.setdefault((code, zone.membership_version), members) == members
            assert zone.membership_version <= current.root.membership_version
