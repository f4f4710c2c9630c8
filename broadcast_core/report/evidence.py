"""What the database knows of an alert's deliveries: one row for each, with the times of its rungs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.aside import aside
from broadcast_core.clock import from_ms
from broadcast_core.model import Channel, DeliveryKind, Progress, Reason
from broadcast_core.report.shape import RUNG_OF, RUNGS, Mark, Rung
from broadcast_core.store.schema import delivery as delivery_table
from broadcast_core.store.schema import receipt as receipt_table

_KEY: Final = ("alert_id", "revision", "kind", "endpoint_id")


@dataclass(slots=True)
class Evidence:
    """One delivery as it stands. `recorded` are epoch milliseconds of this or any higher rung's first evidence."""

    revision: int
    kind: DeliveryKind
    endpoint_id: str
    channel: Channel
    simulated: bool
    progress: Progress
    reason: Reason | None
    attempts: int
    via: str | None
    recorded: dict[Rung, int]
    at: dict[Rung, int]
    played: timedelta | None
    detail: str = ""
    possible_duplicate: bool = False

    def marks(self) -> Mapping[Rung, Mark]:
        """The rungs as instants."""
        return {
            rung: Mark(at=_instant(self.at.get(rung)), recorded_at=from_ms(recorded))
            for rung, recorded in self.recorded.items()
        }


async def read_evidence(
    connection: AsyncConnection, alert_id: str, *, kind: DeliveryKind | None = None, revision: int | None = None
) -> list[Evidence]:
    """Every delivery of an alert (of one kind, of one revision), by revision, kind and endpoint."""
    d = delivery_table.c
    wanted = [d.alert_id == alert_id]
    if kind is not None:
        wanted.append(d.kind == kind.value)
    if revision is not None:
        wanted.append(d.revision == revision)
    statement = (
        select(
            d.revision, d.kind, d.endpoint_id, d.channel, d.simulated, d.progress, d.reason, d.attempt, d.via,
            *_RUNG_COLUMNS, _PLAYED,
        )
        .select_from(delivery_table.outerjoin(receipt_table, _SAME_DELIVERY))
        .where(*wanted)
        .group_by(d.alert_id, d.revision, d.kind, d.endpoint_id)
        .order_by(d.revision, d.kind, d.endpoint_id)
    )  # fmt: skip
    rows = (await connection.execute(statement)).all()
    found = await aside(lambda: [_evidence(row) for row in rows])
    await _add_faults(connection, alert_id, found)
    return found


async def _add_faults(connection: AsyncConnection, alert_id: str, found: Iterable[Evidence]) -> None:
    """The words of the last failure, and whether an unanswered attempt was followed by another."""
    r = receipt_table.c
    statement = (
        select(r.revision, r.kind, r.endpoint_id, r.attempt, r.reason, r.detail)
        .where(r.alert_id == alert_id, or_(r.reason.is_not(None), r.detail != ""))
        .order_by(r.recorded_at)
    )
    by_key = {(e.revision, e.kind.value, e.endpoint_id): e for e in found}
    for revision, kind, endpoint_id, attempt, reason, detail in await connection.execute(statement):
        evidence = by_key.get((revision, kind, endpoint_id))
        if evidence is None:
            continue
        evidence.detail = detail or evidence.detail
        if reason == Reason.GATEWAY_TIMEOUT and attempt < evidence.attempts and evidence.progress > Progress.QUEUED:
            evidence.possible_duplicate = True


def _evidence(row: Row[Any]) -> Evidence:
    revision, kind, endpoint_id, channel, simulated, progress, reason, attempt, via, *times, played = tuple(row)
    known = _COLUMNS_OF[channel]
    return Evidence(
        revision=revision,
        kind=_KINDS[kind],
        endpoint_id=endpoint_id,
        channel=_CHANNELS[channel],
        simulated=bool(simulated),
        progress=_PROGRESSES[progress],
        reason=None if reason is None else Reason(reason),
        attempts=attempt,
        via=via,
        recorded={rung: ms for rung, i in known if (ms := times[i]) is not None},
        at={rung: ms for rung, i in known if (ms := times[i + 1]) is not None},
        played=None if played is None else timedelta(milliseconds=played),
    )


def _rung_columns() -> list[ColumnElement[int | None]]:
    """For each rung: when it or anything above it was first on record, and the endpoint's own time of it.

    Evidence of a higher rung proves the lower ones; failures, stops and expiries are no rungs.
    """
    r = receipt_table.c
    columns: list[ColumnElement[int | None]] = []
    for progress in RUNG_OF:
        above = [int(p) for p in RUNG_OF if p >= progress]
        columns.append(func.min(case((r.progress.in_(above), r.recorded_at))))
        columns.append(func.min(case((r.progress == int(progress), r.at))))
    return columns


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)


# Looked up some ten thousand times for a report: an enum's own call is five times slower.
_KINDS: Final = {kind.value: kind for kind in DeliveryKind}
_CHANNELS: Final = {channel.value: channel for channel in Channel}
_PROGRESSES: Final = {progress.value: progress for progress in Progress}
# For each channel its rungs, and where the times of each stand among those of all rungs.
_COLUMNS_OF: Final = {
    channel.value: [(rung, 2 * i) for i, rung in enumerate(Rung) if rung in rungs] for channel, rungs in RUNGS.items()
}
_RUNG_COLUMNS: Final = _rung_columns()
_PLAYED: Final = func.max(receipt_table.c.played_ms)
_SAME_DELIVERY: Final = and_(*(delivery_table.c[name] == receipt_table.c[name] for name in _KEY))
