"""What a file says about the registry, and the registry that results from believing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from broadcast_core.errors import RegistryRejected, RejectReason, RowError
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Endpoint, Zone
from broadcast_core.registry.check import faults
from broadcast_core.registry.record import REDACTED, code_text, read_record
from broadcast_core.registry.snapshot import Registry

MOST_BYTES: Final = 64 * 1024 * 1024
MOST_ROWS: Final = 100_000
MOST_ERRORS: Final = 1000  # a person reads none beyond these, and a hostile file must not fill the memory

Record = tuple[int, Mapping[str, str]]  # the line, and the cells that are there


class ImportMode(StrEnum):
    """What becomes of what is registered and not in the file."""

    MERGE = "merge"  # it stays
    REPLACE = "replace"  # it is removed: the file is the whole registry


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """The rows of a file: what could be read, each with its line, and what was wrong with the others.

    `refused` are the codes and ids of the rows that could not be read.
    """

    zones: tuple[tuple[int, Zone], ...] = ()
    endpoints: tuple[tuple[int, Endpoint], ...] = ()
    errors: tuple[RowError, ...] = ()
    refused: frozenset[str] = frozenset()

    @classmethod
    def of(cls, registry: Registry) -> Self:
        """A registry as if read from a file without lines."""
        return cls(
            zones=tuple((0, zone) for zone in registry.zones.values()),
            endpoints=tuple((0, endpoint) for endpoint in registry.endpoints.values()),
        )


def sheet_of(records: Iterable[Record | RowError]) -> Sheet:
    """Read the records of a file, among them what gave no record.

    Raises RegistryRejected at once for a file that was exported without phones, has more than `MOST_ROWS` rows, or
    more than `MOST_ERRORS` errors.
    """
    zones: list[tuple[int, Zone]] = []
    endpoints: list[tuple[int, Endpoint]] = []
    found: list[RowError] = []
    refused: set[str] = set()
    for count, record in enumerate(records, start=1):
        if len(found) > MOST_ERRORS:
            raise RegistryRejected(_bounded(found))
        if isinstance(record, RowError):
            found.append(record)
            continue
        line, cells = record
        _check_file(count, line, cells)
        item, wrong = read_record(cells, line)
        if isinstance(item, Zone):
            zones.append((line, item))
        elif isinstance(item, Endpoint):
            endpoints.append((line, item))
        else:
            refused.add(code_text(cells.get("id", "")))
            found += wrong
    return Sheet(zones=tuple(zones), endpoints=tuple(endpoints), errors=tuple(found), refused=frozenset(refused))


def combine(current: Registry, sheet: Sheet, mode: ImportMode = ImportMode.MERGE) -> Registry:
    """The registry after the import. Membership versions are not the file's to say: `change` sets them.

    Raises RegistryRejected with everything wrong in the file, its own errors and those against the rest of the
    registry; nothing of it counts then.
    """
    zones, endpoints = list(sheet.zones), list(sheet.endpoints)
    if not (zones or endpoints or sheet.errors):
        raise refusal(RejectReason.MISSING, _("There is nothing in the file."))
    if mode is ImportMode.MERGE:
        named = {zone.code for _line, zone in zones} | sheet.refused
        zones += ((0, zone) for code, zone in current.zones.items() if code not in named)
        named = {endpoint.id for _line, endpoint in endpoints} | sheet.refused
        endpoints += ((0, endpoint) for identifier, endpoint in current.endpoints.items() if identifier not in named)
    found = [*sheet.errors, *faults(zones, endpoints, sheet.refused, most=MOST_ERRORS + 1)]
    if found:
        raise RegistryRejected(_bounded(sorted(found, key=lambda error: error.line)))
    return Registry((zone for _line, zone in zones), (endpoint for _line, endpoint in endpoints))


def check_size(data: bytes) -> None:
    """Raises RegistryRejected for a file beyond `MOST_BYTES`, before anything of it is read."""
    if len(data) > MOST_BYTES:
        raise refusal(
            RejectReason.TOO_LARGE, _("The file has more than {most} MiB.", most=MOST_BYTES // 1024 // 1024)
        )


def refusal(reason: RejectReason, sentence: Sentence, *, line: int = 0, field: str = "file") -> RegistryRejected:
    """The refusal of a whole file that cannot be read row by row."""
    return RegistryRejected([RowError(line, field, reason, sentence)])


def _check_file(count: int, line: int, cells: Mapping[str, str]) -> None:
    if count > MOST_ROWS:
        raise refusal(RejectReason.TOO_LARGE, _("The file has more than {most} rows.", most=MOST_ROWS), line=line)
    if code_text(cells.get("phone", "")).lower() == REDACTED:
        raise refusal(
            RejectReason.INVALID_VALUE,
            _("This file was exported without phone numbers and cannot be imported. Export it with phones."),
            line=line,
            field="phone",
        )


def _bounded(found: Sequence[RowError]) -> Sequence[RowError]:
    if len(found) <= MOST_ERRORS:
        return found
    sentence = _("There are more errors than the {most} listed.", most=MOST_ERRORS)
    last = RowError(found[MOST_ERRORS].line, "file", RejectReason.TOO_LARGE, sentence)
    return [*found[:MOST_ERRORS], last]
