"""What the database knows of an alert's deliveries: where each stands, and when it reached its rungs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import Select

from broadcast_core.aside import aside
from broadcast_core.clock import from_ms
from broadcast_core.model import Channel, DeliveryKind, Progress, Reason
from broadcast_core.report.shape import RUNG_OF, RUNGS, Mark, Rung
from broadcast_core.store.schema import delivery as delivery_table
from broadcast_core.store.schema import receipt as receipt_table


@dataclass(slots=True)
class Evidence:
    """One delivery as it stands.

    `recorded` are epoch milliseconds of the first evidence of a rung or of any above it, because a higher rung proves
    the lower ones; `at` is the endpoint's own time of the rung itself. Failures, stops and expiries are no rungs.
    """

    revision: int
    kind: DeliveryKind
    endpoint_id: str
    channel: Channel
    simulated: bool
    progress: Progress
    reason: Reason | None
    attempts: int
    via: str | None
    recorded: dict[Rung, int] = field(default_factory=dict)
    at: dict[Rung, int] = field(default_factory=dict)
    played: timedelta | None = None
    detail: str = ""  # the words of the last failure
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
    # Two plain reads and a pass in Python take half the time of one that joins, groups and sorts in the database.
    deliveries = (await connection.execute(_of(delivery_table, _STANDING, alert_id, kind, revision))).all()
    receipts = (await connection.execute(_of(receipt_table, _PIECE, alert_id, kind, revision))).all()
    return await aside(_put_together, deliveries, receipts)


def _of(
    table: Table, columns: tuple[str, ...], alert_id: str, kind: DeliveryKind | None, revision: int | None
) -> Select[Any]:
    t = table.c
    wanted = [t.alert_id == alert_id]
    if revision is not None:
        wanted.append(t.revision == revision)
    if kind is not None:
        wanted.append(t.kind == kind.value)
    # The whole primary key, so that it is read in its order and nothing is sorted.
    return select(*(t[c] for c in columns)).where(*wanted).order_by(t.alert_id, t.revision, t.kind, t.endpoint_id)


def _put_together(deliveries: Iterable[Any], receipts: Iterable[Any]) -> list[Evidence]:
    by_key: dict[tuple[int, str, str], Evidence] = {}
    for revision, kind, endpoint_id, channel, simulated, progress, reason, attempt, via in deliveries:
        by_key[revision, kind, endpoint_id] = Evidence(
            revision=revision,
            kind=_KINDS[kind],
            endpoint_id=endpoint_id,
            channel=_CHANNELS[channel],
            simulated=bool(simulated),
            progress=_PROGRESSES[progress],
            reason=None if reason is None else Reason(reason),
            attempts=attempt,
            via=via,
        )
    for revision, kind, endpoint_id, *piece in receipts:
        evidence = by_key.get((revision, kind, endpoint_id))
        if evidence is not None:  # a stop is recorded after its first evidence
            _add(evidence, *piece)
    for evidence in by_key.values():
        evidence.recorded = _cumulative(evidence)
    return list(by_key.values())


def _add(
    evidence: Evidence,
    progress: int,
    attempt: int,
    at: int,
    recorded_at: int,
    reason: str | None,
    detail: str,
    played: int | None,
) -> None:
    """One receipt; the first evidence of a rung counts."""
    rung = _RUNGS.get(progress)
    if rung is not None:
        evidence.recorded[rung] = min(recorded_at, evidence.recorded.get(rung, recorded_at))
        evidence.at[rung] = min(at, evidence.at.get(rung, at))
    if played is not None:
        evidence.played = max(timedelta(milliseconds=played), evidence.played or timedelta())
    if reason is not None:
        evidence.detail = detail or evidence.detail
        if evidence.reason is None and progress == evidence.progress:
            evidence.reason = Reason(reason)  # a stop's row comes after its first evidence, and knows no reason
        # Followed by another attempt, one that was not answered may have gone out twice.
        if reason == Reason.GATEWAY_TIMEOUT and attempt < evidence.attempts and evidence.progress > Progress.QUEUED:
            evidence.possible_duplicate = True


def _cumulative(evidence: Evidence) -> dict[Rung, int]:
    """The rungs that the channel has, lowest first, each with the first evidence of it or of any above it."""
    found: dict[Rung, int] = {}
    earliest: int | None = None
    for rung in reversed(RUNGS[evidence.channel]):
        recorded = evidence.recorded.get(rung)
        if recorded is not None:
            earliest = recorded if earliest is None else min(recorded, earliest)
        if earliest is not None:
            found[rung] = earliest
    return dict(reversed(found.items()))


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)


_STANDING: Final = (
    "revision", "kind", "endpoint_id", "channel", "simulated", "progress", "reason", "attempt", "via",
)  # fmt: skip
_PIECE: Final = (
    "revision", "kind", "endpoint_id", "progress", "attempt", "at", "recorded_at", "reason", "detail", "played_ms",
)  # fmt: skip
# Looked up some ten thousand times for a report: an enum's own call is five times slower.
_KINDS: Final = {kind.value: kind for kind in DeliveryKind}
_CHANNELS: Final = {channel.value: channel for channel in Channel}
_PROGRESSES: Final = {progress.value: progress for progress in Progress}
_RUNGS: Final = {int(progress): rung for progress, rung in RUNG_OF.items()}
