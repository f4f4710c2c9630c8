"""A report's deliveries as CSV, for spreadsheets: UTF-8 with BOM and CRLF. No phone number is in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

from broadcast_core.report.shape import Report, Row, Rung

_COLUMNS: Final = (
    "alert", "revision", "kind", "endpoint", "channel", "zone", "zone_name", "name", "simulated", "state", "reason",
    "detail", "attempts", "possible_duplicate", "via", "played_seconds",
    *(f"{rung}_{which}" for rung in Rung for which in ("at", "recorded_at")),
)  # fmt: skip
# A spreadsheet runs a cell that begins with one of these as a formula; an apostrophe before it makes it text.
_RISKY: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def encode_csv(report: Report) -> bytes:
    """One line for each delivery. `…_at` is the endpoint's own time, `…_recorded_at` ours, both UTC."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(_COLUMNS)
    for row in report.deliveries:
        lines.writerow([_guarded(cell) for cell in _cells(report.alert_id, row)])
    return text.getvalue().encode("utf-8-sig")


def _cells(alert_id: str, row: Row) -> Iterable[object]:
    yield from (alert_id, row.revision, row.kind.value, row.endpoint_id, row.channel.value, row.zone, row.zone_name)
    yield from (row.name, _flag(row.simulated), row.state.value, row.reason or "", row.detail, row.attempts)
    yield from (
        _flag(row.possible_duplicate),
        row.via or "",
        "" if row.played_seconds is None else row.played_seconds,
    )
    for rung in Rung:
        mark = row.rungs.get(rung)
        yield "" if mark is None or mark.at is None else mark.at.isoformat(timespec="milliseconds")
        yield "" if mark is None else mark.recorded_at.isoformat(timespec="milliseconds")


def _flag(value: bool) -> str:
    return str(value).lower()


def _guarded(cell: object) -> object:
    """Text that cannot run; a line break inside a cell would make two rows of one in careless readers."""
    if not isinstance(cell, str):
        return cell
    line = " ".join(cell.splitlines()) if not cell.isprintable() else cell
    return f"'{line}" if line.startswith(_RISKY) else line
