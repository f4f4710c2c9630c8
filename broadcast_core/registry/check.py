"""The rules every registry keeps, whatever it was read from.

A rule that fails is a `RowError` at the line its zone or endpoint stands on (0: no file, or already registered),
with the column's name as the field. Everything that is wrong is reported, not only the first fault.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from broadcast_core.errors import RejectReason, RowError
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Channel, CoilAddress, Endpoint, Zone, ZoneLevel

LONGEST_NAME: Final = 200
MOST_COILS: Final = 64  # of one board, as in the settings

# Codes and ids become parts of MQTT topics, file names and area texts, so they hold none of their separators.
_ZONE_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_ENDPOINT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LINE_NAME: Final = _ENDPOINT_ID
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")  # E.164
_LANGUAGE: Final = re.compile(r"(?=.{2,16}$)[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # the shape of BCP 47
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, bidi override, surrogate, line separators

_ABOVE: Final = {
    ZoneLevel.DISTRICT: None,
    ZoneLevel.SUBDISTRICT: ZoneLevel.DISTRICT,
    ZoneLevel.COMMUNITY: ZoneLevel.SUBDISTRICT,
}

Fault = tuple[str, RejectReason, Sentence]  # (column, reason, what to tell the person)
Numbered = tuple[int, Zone] | tuple[int, Endpoint]


def faults(
    zones: Sequence[tuple[int, Zone]],
    endpoints: Sequence[tuple[int, Endpoint]],
    refused: Collection[str] = frozenset(),
    most: int = 1000,
) -> list[RowError]:
    """What is wrong with the zones and endpoints, each given with its line: at most `most` faults, by line.

    `refused` are codes and ids of rows that were already refused for another reason: pointing at one of them is no
    fault of its own. Of two rows that clash the one with the higher line is at fault.
    """
    zones, endpoints = sorted(zones, key=_line), sorted(endpoints, key=_line)
    found = chain(
        (RowError(line, *fault) for line, zone in zones for fault in _of_zone(zone)),
        (RowError(line, *fault) for line, endpoint in endpoints for fault in _of_endpoint(endpoint)),
        _of_identifiers(sorted([*zones, *endpoints], key=_line)),
        _of_tree(zones, endpoints, refused),
        _of_addresses(endpoints),
    )
    return sorted(islice(found, most), key=lambda error: error.line)


def _line(numbered: Numbered) -> int:
    return numbered[0]


def _of_zone(zone: Zone) -> Iterator[Fault]:
    if not _ZONE_CODE.fullmatch(zone.code):
        yield _malformed_identifier("id", zone.code, 32)
    yield from _of_name("name", zone.name_zh)
    if zone.name_en != zone.name_zh:  # equal where the file gave only one of them
        yield from _of_name("name_en", zone.name_en)


def _of_endpoint(endpoint: Endpoint) -> Iterator[Fault]:
    if not _ENDPOINT_ID.fullmatch(endpoint.id):
        yield _malformed_identifier("id", endpoint.id, 64)
    yield from _of_name("name", endpoint.name)
    yield from _of_position(endpoint)
    yield from _of_phone(endpoint)
    yield from _of_coil(endpoint)
    yield from _of_language(endpoint)


def _malformed_identifier(column: str, value: str, longest: int) -> Fault:
    return (
        column,
        RejectReason.MISSING if not value else RejectReason.INVALID_VALUE,
        _(
            "{value!r} is no identifier: it takes 1 to {longest} letters, digits, '.', '_' or '-', first a letter "
            "or digit.",
            value=value[:80],
            longest=longest,
        ),
    )


def _of_name(column: str, name: str) -> Iterator[Fault]:
    if not name:
        yield column, RejectReason.MISSING, _("A name is missing.")
    elif len(name) > LONGEST_NAME:
        yield (
            column,
            RejectReason.TOO_LARGE,
            _("The name has {length} characters; {most} are allowed.", length=len(name), most=LONGEST_NAME),
        )
    elif name != " ".join(name.split()) or _hides_something(name):
        yield (
            column,
            RejectReason.INVALID_VALUE,
            _("The name holds control characters, or spaces where none are needed."),
        )


def _hides_something(name: str) -> bool:
    return not (name.isascii() and name.isprintable()) and any(unicodedata.category(c) in _HIDDEN for c in name)


def _of_position(endpoint: Endpoint) -> Iterator[Fault]:
    if endpoint.position is None:
        return
    degrees = (("lat", endpoint.position.lat, 90), ("lon", endpoint.position.lon, 180))
    for column, value, limit in degrees:
        if not (math.isfinite(value) and -limit <= value <= limit):
            yield (
                column,
                RejectReason.INVALID_VALUE,
                _("{value} is outside ±{limit} degrees.", value=value, limit=limit),
            )


def _of_phone(endpoint: Endpoint) -> Iterator[Fault]:
    wanted = endpoint.channel is Channel.SMS
    if endpoint.phone is None:
        if wanted:
            yield "phone", RejectReason.MISSING, _("An SMS recipient needs a phone number.")
    elif not wanted:
        yield "phone", RejectReason.INVALID_VALUE, _only_for("phone", Channel.SMS)
    elif not _PHONE.fullmatch(endpoint.phone):
        # The number itself stays out of the message: it is personal, and messages are logged.
        yield (
            "phone",
            RejectReason.INVALID_VALUE,
            _("The phone number is not in international form: '+', country code, number, 7 to 15 digits."),
        )


def _of_coil(endpoint: Endpoint) -> Iterator[Fault]:
    coil, wanted = endpoint.coil, endpoint.channel is Channel.HORN
    if coil is None:
        if wanted:
            yield "coil", RejectReason.MISSING, _("A horn needs its serial line, unit and coil.")
        return
    if not wanted:
        yield "coil", RejectReason.INVALID_VALUE, _only_for("coil", Channel.HORN)
    if not _LINE_NAME.fullmatch(coil.line):
        yield _malformed_identifier("serial_line", coil.line, 64)
    for column, value, low, high in (("unit", coil.unit, 1, 247), ("coil", coil.coil, 0, MOST_COILS - 1)):
        if not low <= value <= high:
            yield (
                column,
                RejectReason.INVALID_VALUE,
                _("{value} is outside {low} to {high}.", value=value, low=low, high=high),
            )


def _of_language(endpoint: Endpoint) -> Iterator[Fault]:
    if endpoint.language is None:
        return
    if endpoint.channel is not Channel.SMS:
        yield "language", RejectReason.INVALID_VALUE, _only_for("language", Channel.SMS)
    elif not _LANGUAGE.fullmatch(endpoint.language):
        yield (
            "language",
            RejectReason.INVALID_VALUE,
            _("{value!r} is no language tag such as zh-CN or en.", value=endpoint.language[:40]),
        )


def _only_for(column: str, channel: Channel) -> Sentence:
    return _("{column} is only for endpoints of kind {kind}.", column=column, kind=channel.value)


def _of_identifiers(items: Iterable[Numbered]) -> Iterator[RowError]:
    """A code or an id names one thing, be it zone or endpoint: an exclusion may name either."""
    first: dict[str, int] = {}
    for line, item in items:
        identifier = item.code if isinstance(item, Zone) else item.id
        if identifier in first:
            yield RowError(line, "id", RejectReason.DUPLICATE_ELEMENT, _second(identifier, first[identifier]))
        else:
            first[identifier] = line


def _second(identifier: str, first: int) -> Sentence:
    if first:
        return _("{what} is in line {line} already.", what=identifier, line=first)
    return _("{what} is registered already, as something else.", what=identifier)


def _of_addresses(endpoints: Iterable[tuple[int, Endpoint]]) -> Iterator[RowError]:
    """Two horns on one coil could not be told apart, and one phone must not ring twice."""
    coils: dict[CoilAddress, str] = {}
    phones: dict[str, str] = {}
    for line, endpoint in endpoints:
        if endpoint.coil is not None:
            other = coils.setdefault(endpoint.coil, endpoint.id)
            if other != endpoint.id:
                yield _clash(line, "coil", _coil_text(endpoint.coil), other)
        if endpoint.phone is not None:
            other = phones.setdefault(endpoint.phone, endpoint.id)
            if other != endpoint.id:
                yield _clash(line, "phone", _("This phone number"), other)


def _clash(line: int, column: str, what: object, other: str) -> RowError:
    sentence = _("{what} is already that of {other}.", what=what, other=other)
    return RowError(line, column, RejectReason.DUPLICATE_ELEMENT, sentence)


def _coil_text(coil: CoilAddress) -> str:
    return f"{coil.line}/{coil.unit}/{coil.coil}"


def _of_tree(
    zones: Sequence[tuple[int, Zone]], endpoints: Sequence[tuple[int, Endpoint]], refused: Collection[str]
) -> Iterator[RowError]:
    """One district at the top, and every zone exactly one level under its parent, which rules out cycles."""
    levels = {zone.code: zone.level for _line, zone in zones}
    if not refused:
        yield from _of_root(zones, endpoints)
    for line, zone in zones:
        fault = _of_parent(zone, levels, refused)
        if fault is not None:
            yield RowError(line, *fault)
    for line, endpoint in endpoints:
        if endpoint.zone not in levels and endpoint.zone not in refused:
            yield RowError(line, *_unknown_zone(endpoint.zone))


def _of_root(zones: Sequence[tuple[int, Zone]], endpoints: Sequence[tuple[int, Endpoint]]) -> Iterator[RowError]:
    roots = [(line, zone.code) for line, zone in zones if zone.level is ZoneLevel.DISTRICT]
    for line, code in roots[1:]:
        sentence = _("{code} is a second district; {first} already is the root.", code=code, first=roots[0][1])
        yield RowError(line, "kind", RejectReason.DUPLICATE_ELEMENT, sentence)
    if not roots and (zones or endpoints):
        yield RowError(0, "kind", RejectReason.MISSING, _("There is no zone of kind district, the root of all."))


def _of_parent(zone: Zone, levels: dict[str, ZoneLevel], refused: Collection[str]) -> Fault | None:
    above = _ABOVE[zone.level]
    if zone.parent is None:
        if above is None:
            return None
        sentence = _("A {level} lies in a {above}; the zone column says which.", level=zone.level, above=above)
        return "zone", RejectReason.MISSING, sentence
    if zone.parent in refused:
        return None
    if above is None:
        return "zone", RejectReason.INVALID_VALUE, _("A district is the root and lies in no other zone.")
    if zone.parent not in levels:
        return _unknown_zone(zone.parent)
    if levels[zone.parent] is not above:
        sentence = _(
            "A {level} lies in a {above}, but {parent} is a {actual}.",
            level=zone.level,
            above=above,
            parent=zone.parent,
            actual=levels[zone.parent],
        )
        return "zone", RejectReason.INVALID_VALUE, sentence
    return None


def _unknown_zone(code: str) -> Fault:
    if not code:
        return "zone", RejectReason.MISSING, _("The zone it lies in is missing.")
    return "zone", RejectReason.UNKNOWN_AREA, _("There is no zone {code}.", code=code[:80])
