"""One row of a registry file, in either direction: named cells of text against a zone or an endpoint.

CSV and GeoJSON share these columns, so that both say the same with the same words (docs/registry.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from broadcast_core.errors import RejectReason, RowError
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Channel, CoilAddress, Endpoint, Point, Zone, ZoneLevel

COLUMNS: Final = (
    "kind", "id", "zone", "name", "name_en", "lat", "lon", "phone", "serial_line", "unit", "coil", "language",
    "simulated", "enabled",
)  # fmt: skip
REQUIRED_COLUMNS: Final = ("kind", "id", "zone", "name")
LONGEST_CELL: Final = 1000
REDACTED: Final = "redacted"  # stands in the phone column of a file exported without phones

_COMMON: Final = frozenset(REQUIRED_COLUMNS)
_OF_ANY_ENDPOINT: Final = _COMMON | {"lat", "lon", "simulated", "enabled"}
_BELONG: Final[dict[str, frozenset[str]]] = {
    **{level.value: _COMMON | {"name_en"} for level in ZoneLevel},
    Channel.SPEAKER: _OF_ANY_ENDPOINT,
    Channel.HORN: _OF_ANY_ENDPOINT | {"serial_line", "unit", "coil"},
    Channel.SMS: _OF_ANY_ENDPOINT | {"phone", "language"},
}
_TRUE: Final = frozenset({"true", "1", "yes", "是"})
_FALSE: Final = frozenset({"false", "0", "no", "否"})
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,3})?")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_BETWEEN_DIGITS: Final = re.compile(r"[\s()-]")


def write_record(item: Zone | Endpoint, *, with_phones: bool) -> dict[str, str]:
    """The cells of a zone or an endpoint that are not empty. Without `with_phones` a number is `REDACTED`."""
    if isinstance(item, Zone):
        cells = {"kind": item.level.value, "id": item.code, "zone": item.parent or "", "name": item.name_zh}
        return {k: v for k, v in {**cells, "name_en": item.name_en}.items() if v}
    cells = {"kind": item.channel.value, "id": item.id, "zone": item.zone, "name": item.name}
    if item.position is not None:
        cells |= {"lat": repr(item.position.lat), "lon": repr(item.position.lon)}
    if item.phone is not None:
        cells["phone"] = item.phone if with_phones else REDACTED
    if item.coil is not None:
        cells |= {"serial_line": item.coil.line, "unit": str(item.coil.unit), "coil": str(item.coil.coil)}
    if item.language is not None:
        cells["language"] = item.language
    return cells | {"simulated": str(item.simulated).lower(), "enabled": str(item.enabled).lower()}


def read_record(cells: Mapping[str, str], line: int) -> tuple[Zone | Endpoint | None, list[RowError]]:
    """The zone or endpoint in the cells, or None and everything that could not be read.

    Only reads; the rules that the values must keep are those of `check`. Missing cells are empty ones.
    """
    row = _Row(cells, line)
    item = row.item()
    return (None if row.errors else item), row.errors


def code_text(raw: str) -> str:
    """A cell that is a code, a number or a word: full-width forms made plain, spaces around it dropped."""
    return (raw if raw.isascii() else unicodedata.normalize("NFKC", raw)).strip()


class _Row:
    """Reads cells one by one and keeps every error."""

    def __init__(self, cells: Mapping[str, str], line: int) -> None:
        self._cells = cells
        self._line = line
        self.errors: list[RowError] = []

    def item(self) -> Zone | Endpoint | None:
        for column, raw in self._cells.items():
            if len(raw) > LONGEST_CELL:
                self._refuse(column, RejectReason.TOO_LARGE, _("More than {most} characters.", most=LONGEST_CELL))
        kind = self._word("kind").lower()
        if self.errors:
            return None
        if kind not in _BELONG:
            kinds = ", ".join(_BELONG)
            reason = RejectReason.INVALID_VALUE if kind else RejectReason.MISSING
            self._refuse("kind", reason, _("{kind!r} is not a kind; kinds are {kinds}.", kind=kind[:40], kinds=kinds))
            return None
        for column in COLUMNS:
            if column not in _BELONG[kind] and self._word(column):
                self._refuse(
                    column,
                    RejectReason.INVALID_VALUE,
                    _("A row of kind {kind} has no {column}.", kind=kind, column=column),
                )
        return self._zone(ZoneLevel(kind)) if kind in set(ZoneLevel) else self._endpoint(Channel(kind))

    def _zone(self, level: ZoneLevel) -> Zone:
        name = self._name("name")
        return Zone(
            code=self._word("id"),
            parent=self._word("zone") or None,
            level=level,
            name_zh=name,
            name_en=self._name("name_en") or name,
        )

    def _endpoint(self, channel: Channel) -> Endpoint:
        return Endpoint(
            id=self._word("id"),
            channel=channel,
            zone=self._word("zone"),
            name=self._name("name"),
            position=self._position(),
            phone=self._phone(),
            coil=self._coil() if channel is Channel.HORN else None,
            language=self._word("language") or None,
            simulated=self._flag("simulated", default=False),
            enabled=self._flag("enabled", default=True),
        )

    def _word(self, column: str) -> str:
        return code_text(self._cells.get(column, ""))

    def _name(self, column: str) -> str:
        return " ".join(self._cells.get(column, "").split())

    def _position(self) -> Point | None:
        lat, lon = self._number("lat"), self._number("lon")
        if lat is None or lon is None:
            for column, other in (("lat", "lon"), ("lon", "lat")):
                if self._word(other) and not self._word(column):
                    self._refuse(
                        column, RejectReason.MISSING, _("A position takes both lat and lon; one is missing.")
                    )
            return None
        return Point(lat=lat, lon=lon)

    def _phone(self) -> str | None:
        return _BETWEEN_DIGITS.sub("", self._word("phone")) or None

    def _coil(self) -> CoilAddress | None:
        line, unit, coil = self._word("serial_line"), self._whole("unit"), self._whole("coil")
        if line and unit is not None and coil is not None:
            return CoilAddress(line=line, unit=unit, coil=coil)
        for column in ("serial_line", "unit", "coil"):
            if not self._word(column):
                self._refuse(column, RejectReason.MISSING, _("A horn needs its serial line, unit and coil."))
        return None

    def _number(self, column: str) -> float | None:
        text = self._word(column)
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            self._refuse(column, RejectReason.INVALID_VALUE, _("{value!r} is no number.", value=text[:40]))
            return None
        return float(text)

    def _whole(self, column: str) -> int | None:
        text = self._word(column)
        if not text:
            return None
        if not _WHOLE.fullmatch(text):
            self._refuse(column, RejectReason.INVALID_VALUE, _("{value!r} is no whole number.", value=text[:40]))
            return None
        return int(text)

    def _flag(self, column: str, *, default: bool) -> bool:
        text = self._word(column).lower()
        if not text:
            return default
        if text not in _TRUE | _FALSE:
            self._refuse(
                column, RejectReason.INVALID_VALUE, _("{value!r} is neither true nor false.", value=text[:40])
            )
        return text in _TRUE

    def _refuse(self, column: str, reason: RejectReason, sentence: Sentence) -> None:
        self.errors.append(RowError(self._line, column, reason, sentence))
