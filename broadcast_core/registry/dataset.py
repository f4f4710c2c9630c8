"""The default data set: deterministic, generated, and marked as such.

Real are only the boundary of the district and the codes and names of the district and its 14 subdistricts
(`data/README.md`). Communities, their codes (with a G, so that no real code is taken), speakers, horns and people
are generated; every endpoint is `simulated`. The phone numbers are in country code 999, which the ITU keeps in
reserve and has assigned to nobody: no network can deliver to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from broadcast_core.config import Board, BoardTimer, SerialLine
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Channel, CoilAddress, Endpoint, Point, Zone, ZoneLevel
from broadcast_core.registry.places import DISTRICT, FIRST_SYLLABLES, SECOND_SYLLABLES, SUBDISTRICTS
from broadcast_core.registry.snapshot import Registry
from broadcast_core.registry.terrain import Chance, cells, near, scatter, spacing_km

NOTICE: Final[Sentence] = _(
    "This registry is generated: the communities, speakers, horns and phones in it do not exist, and the phone "
    "numbers (+999) belong to nobody."
)

SEED: Final = 430103
HORN_LINES: Final = ("line-1", "line-2", "line-3")
# Two kinds of board, so that both are met: eight coils on one, or two boards of four on the same line.
_COILS_OF_A_BOARD: Final = {"line-1": 8, "line-2": 8, "line-3": 4}
_WITH_POSITION: Final = 0.7  # of the SMS recipients: a list of phones seldom says where people live
_LANGUAGES: Final = ((0.06, "en"), (0.70, "zh-CN"))  # cumulative; the others said nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class _Community:
    zone: Zone
    centre: Point
    radius_km: float
    weight: float


@cache
def default_registry() -> Registry:
    """The data set of the project: 1,099 speakers in 734 communities, 24 horns on 3 lines, 2,400 phones."""
    return generate()


def generate(
    *, speakers: int = 1099, communities: int = 734, horns: int = 24, recipients: int = 2400, seed: int = SEED
) -> Registry:
    """A registry of exactly these numbers; the same arguments always give the same one.

    Every community gets a speaker while there are enough. Raises ValueError for fewer than 14 communities, since no
    subdistrict is empty, or for more horns than 247 boards on each line can carry.
    """
    if communities < len(SUBDISTRICTS):
        raise ValueError(f"at least {len(SUBDISTRICTS)} communities are needed, one for each subdistrict")
    chance = Random(seed).random  # noqa: S311 - a data set, not a secret
    settled = list(_communities(communities, chance))
    endpoints = (
        *_speakers(settled, speakers, chance),
        *_horns(settled, horns),
        *_phones(settled, recipients, chance),
    )
    zones = (DISTRICT, *(place.zone for place in SUBDISTRICTS), *(c.zone for c in settled))
    return Registry(zones, endpoints)


def serial_lines(
    horns: int = 24,
    ports: Sequence[str] = ("/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyUSB2"),
    timer: BoardTimer | None = None,
) -> tuple[SerialLine, ...]:
    """The settings of the lines and boards that the generated horns hang on, one port for each line."""
    coils = [_coil(i, horns) for i in range(horns)]
    return tuple(
        SerialLine(name=line, port=port, boards=_boards(line, [c for c in coils if c.line == line], timer))
        for line, port in zip(HORN_LINES, ports, strict=True)
    )


def _boards(line: str, coils: Sequence[CoilAddress], timer: BoardTimer | None) -> tuple[Board, ...]:
    units = sorted({coil.unit for coil in coils})
    return tuple(Board(unit=unit, coils=_COILS_OF_A_BOARD[line], timer=timer) for unit in units)


def _coil(number: int, horns: int) -> CoilAddress:
    """Where horn `number` of `horns` hangs: the lines share them evenly, each line fills board after board."""
    on_each = -(-horns // len(HORN_LINES))
    line = HORN_LINES[number // on_each]
    unit, coil = divmod(number % on_each, _COILS_OF_A_BOARD[line])
    return CoilAddress(line=line, unit=unit + 1, coil=coil)


def _communities(count: int, chance: Chance) -> Iterator[_Community]:
    names = _names(chance)
    shares = apportion(count - len(SUBDISTRICTS), [place.share for place in SUBDISTRICTS])
    for place, further in zip(SUBDISTRICTS, shares, strict=True):
        here, cell = further + 1, cells()[place.zone.code]
        radius = spacing_km(cell, here) * 0.45
        width = max(2, len(str(here)))
        for number, centre in enumerate(scatter(cell, here, chance), start=1):
            name_zh, name_en = next(names)
            zone = Zone(
                code=f"{place.zone.code}G{number:0{width}d}",
                parent=place.zone.code,
                level=ZoneLevel.COMMUNITY,
                name_zh=name_zh,
                name_en=name_en,
            )
            yield _Community(zone=zone, centre=centre, radius_km=radius, weight=0.5 + chance())


def _names(chance: Chance) -> Iterator[tuple[str, str]]:
    """Chinese and English names without end, none of them twice."""
    pairs = [
        (first + second, (sound + following).capitalize())
        for first, sound in FIRST_SYLLABLES
        for second, following in SECOND_SYLLABLES
    ]
    pairs = [pair for _drawn, pair in sorted((chance(), pair) for pair in pairs)]
    yield from ((f"{zh}社区", f"{en} Community") for zh, en in pairs)
    turn = 2
    while True:
        yield from ((f"{zh}第{turn}社区", f"{en} Community {turn}") for zh, en in pairs)
        turn += 1


def _speakers(communities: Sequence[_Community], count: int, chance: Chance) -> Iterator[Endpoint]:
    weights = [community.weight for community in communities]
    if count >= len(communities):
        shares = [1 + n for n in apportion(count - len(communities), weights)]
    else:
        shares = apportion(count, weights)
    number, width = 0, max(4, len(str(count)))
    for community, share in zip(communities, shares, strict=True):
        for nth in range(1, share + 1):
            number += 1
            yield Endpoint(
                id=f"SPK-{number:0{width}d}",
                channel=Channel.SPEAKER,
                zone=community.zone.code,
                name=f"{community.zone.name_zh}{nth}号广播",
                position=_near(community, chance),
                simulated=True,
            )


def _horns(communities: Sequence[_Community], count: int) -> Iterator[Endpoint]:
    """Horns stand far apart: every subdistrict gets its part by area, in communities spread over it."""
    areas = [cell.area for cell in cells().values()]
    shares = [1 + n for n in apportion(count - len(areas), areas)] if count >= len(areas) else apportion(count, areas)
    number, width = 0, max(2, len(str(count)))
    for place, share in zip(SUBDISTRICTS, shares, strict=True):
        here = [c for c in communities if c.zone.parent == place.zone.code]
        for nth in range(share):
            community = here[nth * len(here) // share]
            coil = _coil(number, count)
            number += 1
            yield Endpoint(
                id=f"HRN-{number:0{width}d}",
                channel=Channel.HORN,
                zone=community.zone.code,
                name=f"{place.zone.name_zh}{nth + 1}号警报器",
                position=community.centre,
                coil=coil,
                simulated=True,
            )


def _phones(communities: Sequence[_Community], count: int, chance: Chance) -> Iterator[Endpoint]:
    shares = apportion(count, [community.weight for community in communities])
    number, width = 0, max(4, len(str(count)))
    for community, share in zip(communities, shares, strict=True):
        for _nth in range(share):
            number += 1
            yield Endpoint(
                id=f"SMS-{number:0{width}d}",
                channel=Channel.SMS,
                zone=community.zone.code,
                name=f"接收人{number:0{width}d}",
                position=_near(community, chance) if chance() < _WITH_POSITION else None,
                phone=f"+999{number:010d}",
                language=_language(chance()),
                simulated=True,
            )


def _near(community: _Community, chance: Chance) -> Point:
    subdistrict = community.zone.parent
    assert subdistrict is not None  # a community lies in one
    return near(community.centre, community.radius_km, cells()[subdistrict], chance)


def _language(drawn: float) -> str | None:
    return next((language for below, language in _LANGUAGES if drawn < below), None)


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """Split `total` in proportion to `weights` by largest remainders; the parts add up exactly."""
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [int(part) for part in exact]
    remainders = sorted(range(len(weights)), key=lambda i: (parts[i] - exact[i], i))
    for i in remainders[: total - sum(parts)]:
        parts[i] += 1
    return parts
