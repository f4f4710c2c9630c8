"""The default data set: exact, inside the district, the same every time, and never to be taken for real."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pytest
import shapely

from broadcast_core.model import Channel, ZoneLevel
from broadcast_core.registry import Registry, csv_file
from broadcast_core.registry.dataset import HORN_LINES, apportion, default_registry, generate, serial_lines
from broadcast_core.registry.terrain import boundary, cells, subdistrict_cells

# Changes with the data set, which is then another one for everybody who has it: on purpose only.
FINGERPRINT = "859b784fb0be3840927372cfb8d959211ff2149497d9bfdb06bd4fe46d01221e"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return default_registry()


def test_it_has_exactly_the_numbers_of_the_district(registry: Registry) -> None:
    levels = Counter(zone.level for zone in registry.zones.values())
    assert levels == {ZoneLevel.DISTRICT: 1, ZoneLevel.SUBDISTRICT: 14, ZoneLevel.COMMUNITY: 734}
    channels = Counter(endpoint.channel for endpoint in registry.endpoints.values())
    assert channels == {Channel.SPEAKER: 1099, Channel.HORN: 24, Channel.SMS: 2400}


def test_it_is_the_same_every_time(registry: Registry) -> None:
    assert generate() == registry
    assert sha256(csv_file.encode(registry, with_phones=True)).hexdigest() == FINGERPRINT
    assert generate(seed=1) != registry


def test_every_community_has_a_speaker(registry: Registry) -> None:
    communities = [z for z in registry.zones.values() if z.level is ZoneLevel.COMMUNITY]
    assert min(registry.count(zone.code, Channel.SPEAKER) for zone in communities) == 1


def test_every_position_lies_in_the_real_boundary_and_in_its_subdistrict(registry: Registry) -> None:
    for endpoint in registry.endpoints.values():
        if endpoint.position is None:
            assert endpoint.channel is Channel.SMS
            continue
        lon, lat = endpoint.position.lon, endpoint.position.lat
        assert shapely.contains_xy(boundary(), lon, lat)
        subdistrict = registry.zone(endpoint.zone).parent
        assert subdistrict is not None
        assert shapely.contains_xy(cells()[subdistrict], lon, lat)


def test_nothing_in_it_can_be_taken_for_real(registry: Registry) -> None:
    assert all(endpoint.simulated for endpoint in registry.endpoints.values())
    phones = [e.phone or "" for e in registry.members("430103", Channel.SMS)]
    assert all(phone.startswith("+999") and len(phone) == 14 for phone in phones)
    assert all("G" in z.code for z in registry.zones.values() if z.level is ZoneLevel.COMMUNITY)


def test_subdistricts_are_the_real_fourteen_from_north_to_south(registry: Registry) -> None:
    names = {zone.code: zone.name_zh for zone in registry.children("430103")}
    assert names["430103002"] == "坡子街街道"
    assert names["430103016"] == "南托街道"
    south = [cells()[code].centroid.y for code in ("430103002", "430103011", "430103012", "430103015", "430103016")]
    assert south == sorted(south, reverse=True)


def test_the_north_is_denser_than_the_south(registry: Registry) -> None:
    def density(code: str) -> float:
        return registry.count(code, Channel.SPEAKER) / cells()[code].area

    assert density("430103002") > 10 * density("430103016")


def test_names_are_told_apart_in_both_languages(registry: Registry) -> None:
    for language in ("name_zh", "name_en"):
        names = Counter(getattr(zone, language) for zone in registry.zones.values())
        assert names.most_common(1)[0][1] == 1
    assert all(zone.name_en.isascii() for zone in registry.zones.values())


def test_some_recipients_said_a_language(registry: Registry) -> None:
    languages = Counter(e.language for e in registry.members("430103", Channel.SMS))
    assert set(languages) == {"zh-CN", "en", None}
    assert languages["zh-CN"] > languages[None] > languages["en"] > 50


@pytest.mark.parametrize("horns", [0, 1, 3, 24, 25, 60])
def test_every_horn_hangs_on_a_coil_of_the_matching_lines(horns: int) -> None:
    lines = serial_lines(horns)
    assert [line.name for line in lines] == list(HORN_LINES)
    there = {(line.name, board.unit, coil) for line in lines for board in line.boards for coil in range(board.coils)}
    hung = generate(speakers=14, communities=14, horns=horns, recipients=0).members("430103", Channel.HORN)
    addresses = {(h.coil.line, h.coil.unit, h.coil.coil) for h in hung if h.coil}
    assert len(addresses) == horns
    assert addresses <= there


def test_the_shipped_horns_fill_three_lines_of_which_one_has_two_boards() -> None:
    assert [[board.coils for board in line.boards] for line in serial_lines()] == [[8], [8], [4, 4]]


@pytest.mark.parametrize(("speakers", "communities"), [(10_000, 734), (5, 20), (0, 14), (40, 2000)])
def test_any_size_can_be_asked_for(speakers: int, communities: int) -> None:
    registry = generate(speakers=speakers, communities=communities, horns=2, recipients=3)
    assert registry.count("430103", Channel.SPEAKER) == speakers
    assert sum(z.level is ZoneLevel.COMMUNITY for z in registry.zones.values()) == communities
    assert len({z.name_en for z in registry.zones.values()}) == len(registry.zones)


def test_fewer_communities_than_subdistricts_are_refused() -> None:
    with pytest.raises(ValueError, match="14 communities"):
        generate(communities=13)


def test_cells_part_the_district_without_gap_or_overlap() -> None:
    assert sum(cell.area for cell in cells().values()) == pytest.approx(boundary().area, rel=1e-9)
    features = subdistrict_cells()["features"]
    assert len(features) == 14
    assert all(f["geometry"]["type"] == "Polygon" and f["properties"]["generated"] for f in features)


def test_shares_add_up_exactly() -> None:
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert apportion(0, [3, 2]) == [0, 0]
    assert sum(apportion(1099, [0.5, 0.1, 7.3])) == 1099
