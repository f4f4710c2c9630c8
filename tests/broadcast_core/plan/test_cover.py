"""The cover reaches exactly those meant, with as few messages as any cover could."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from broadcast_core.model import Channel, Endpoint, Zone, ZoneLevel
from broadcast_core.plan import Cover, cover
from broadcast_core.registry import Registry
from broadcast_core.registry.dataset import default_registry

Cost = tuple[int, int, int]


def zone(code: str, parent: str | None, level: ZoneLevel) -> Zone:
    return Zone(code=code, parent=parent, level=level, name_zh=code, name_en=code)


def speakers(where: Iterable[str]) -> list[Endpoint]:
    return [Endpoint(id=f"S{i}", channel=Channel.SPEAKER, zone=z, name=f"S{i}") for i, z in enumerate(where)]


@st.composite
def districts(draw: st.DrawFn) -> tuple[Registry, tuple[Endpoint, ...]]:
    """A small tree, up to nine speakers anywhere in it, and some of them as targets."""
    zones = [zone("D", None, ZoneLevel.DISTRICT)]
    for i, communities in enumerate(draw(st.lists(st.integers(0, 2), max_size=3))):
        zones.append(zone(f"D{i}", "D", ZoneLevel.SUBDISTRICT))
        zones += [zone(f"D{i}{j}", f"D{i}", ZoneLevel.COMMUNITY) for j in range(communities)]
    where = draw(st.lists(st.sampled_from([z.code for z in zones]), max_size=9))
    registry = Registry(zones, speakers(where))
    wanted = draw(st.lists(st.booleans(), min_size=len(where), max_size=len(where)))
    return registry, tuple(e for e, meant in zip(registry.ordered(), wanted, strict=True) if meant)


def cost_of(covers: Collection[Cover]) -> Cost:
    return len(covers), sum(len(c.excluded) for c in covers), sum(c.zone is None for c in covers)


def least_cost(registry: Registry, targets: Collection[Endpoint], most_excluded: int) -> Cost:
    """By trying every set of zone topics; whom they leave out is reached alone."""
    meant = {endpoint.id for endpoint in targets}
    possible: list[tuple[set[str], int]] = []
    for code in registry.zones:
        members = {endpoint.id for endpoint in registry.members(code)}
        excluded = len(members - meant)
        if members & meant and excluded <= min(most_excluded, len(members & meant)):
            possible.append((members & meant, excluded))
    costs = []
    for size in range(len(possible) + 1):
        for chosen in combinations(possible, size):
            alone = len(meant - set().union(*(reached for reached, _ in chosen)))
            costs.append((size + alone, sum(excluded for _, excluded in chosen), alone))
    return min(costs)


@settings(deadline=None, max_examples=300)
@given(districts(), st.integers(0, 3))
def test_a_cover_reaches_exactly_the_targets_once_and_none_is_smaller(
    drawn: tuple[Registry, tuple[Endpoint, ...]], most_excluded: int
) -> None:
    registry, targets = drawn
    covers = cover(targets, registry, most_excluded=most_excluded)
    reached = [speaker.id for part in covers for speaker in part.speakers]
    assert sorted(reached) == sorted(endpoint.id for endpoint in targets)
    for part in covers:
        heard = {e.id for e in registry.members(part.zone)} if part.zone else {part.speakers[0].id}
        assert heard - set(part.excluded) == {speaker.id for speaker in part.speakers}
    assert cost_of(covers) == least_cost(registry, targets, most_excluded)


def test_the_whole_district_is_one_message() -> None:
    registry = default_registry()
    (whole,) = cover(registry.members("430103", Channel.SPEAKER), registry)
    assert (whole.zone, whole.excluded, len(whole.speakers)) == ("430103", (), 1099)


def test_three_communities_are_three_messages() -> None:
    registry = default_registry()
    codes = ["430103002G01", "430103008G05", "430103016G26"]
    targets = [endpoint for code in codes for endpoint in registry.members(code, Channel.SPEAKER)]
    assert [part.zone for part in cover(targets, registry)] == codes


def test_nobody_is_no_message(registry: Registry) -> None:
    assert cover((), registry) == ()


def test_a_single_speaker_of_a_zone_is_reached_by_its_zone_and_one_of_many_alone() -> None:
    zones = [zone("D", None, ZoneLevel.DISTRICT), zone("A", "D", ZoneLevel.SUBDISTRICT)]
    zones.append(zone("B", "D", ZoneLevel.SUBDISTRICT))
    registry = Registry(zones, speakers(["A", "B", "B", "B"]))
    first, *others = registry.ordered()
    assert [part.zone for part in cover([first], registry)] == ["A"]
    assert [part.zone for part in cover(others[:1], registry)] == [None]


def test_a_few_exceptions_are_named_and_many_are_not() -> None:
    registry = default_registry()
    everybody = registry.members("430103", Channel.SPEAKER)
    (almost,) = cover(everybody[:500] + everybody[554:], registry)
    assert len(almost.excluded) == 54  # 5 % of 1,099
    parts = cover(everybody[:500] + everybody[555:], registry)
    assert 1 < len(parts) < 40
    assert sum(len(part.speakers) for part in parts) == 1099 - 55


def test_a_speaker_out_of_service_is_excluded_by_name(registry: Registry) -> None:
    targets = [e for e in registry.members("D", Channel.SPEAKER) if e.enabled]
    (whole,) = cover(targets, registry)
    assert (whole.zone, whole.version, whole.excluded) == ("D", 7, ("SPK-5",))


def test_a_speaker_that_an_import_removed_meanwhile_is_still_reached(registry: Registry) -> None:
    targets = registry.members("N1", Channel.SPEAKER)
    left = Registry(registry.zones.values(), [e for e in registry.endpoints.values() if e.id != "SPK-1"])
    parts = cover(targets, left)
    assert {(part.zone, part.speakers[0].id) for part in parts} == {(None, "SPK-1"), ("N1", "SPK-2")}
    assert [part.zone for part in cover(targets, Registry())] == [None, None]


def test_the_version_is_that_of_the_zone(registry: Registry) -> None:
    zones = [replace(z, membership_version=9) if z.code == "N1" else z for z in registry.zones.values()]
    newer = Registry(zones, registry.endpoints.values())
    assert [part.version for part in cover(newer.members("N1", Channel.SPEAKER), newer)] == [9]
