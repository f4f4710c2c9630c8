"""One endpoint's test on one occasion, in and out of the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import and_, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.clock import from_ms, to_ms
from broadcast_core.model import DeliveryKind, Progress, Reason
from broadcast_core.store import bulk
from broadcast_core.store.schema import delivery as delivery_table
from broadcast_core.store.schema import receipt as receipt_table
from broadcast_core.store.schema import selftest as table

NIGHT: Final = "night:"
ACCOUNT: Final = "sms-account"  # stands for the SMS gateway where an endpoint's id stands


class Kind(StrEnum):
    SILENT = "silent"
    AUDIBLE = "audible"


class Outcome(StrEnum):
    """How a test ended. Closed: also the API's words."""

    PROVEN = "proven"
    FAILED = "failed"  # it answered, and something is wrong
    UNANSWERED = "unanswered"
    MISSED = "missed"  # its turn did not come: an alert was live, or the core was away


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One test. Without `alert_id` it waits for its turn, without `ended_at` for its answer."""

    occasion: str
    endpoint_id: str
    channel: str
    kind: Kind
    simulated: bool
    due_at: datetime
    until: datetime
    actor: str
    volume: int = 0
    alert_id: str | None = None
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    detail: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.occasion, self.endpoint_id

    @property
    def nightly(self) -> bool:
        return self.occasion.startswith(NIGHT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the database knows of a test that was sent."""

    progress: Progress
    reason: Reason | None
    detail: str
    recorded_at: datetime | None


_COLUMNS: Final = [c.name for c in table.c]
_THIS: Final = and_(table.c.occasion == bindparam("k_occasion"), table.c.endpoint_id == bindparam("k_endpoint"))
_SENT: Final = update(table).where(_THIS).values(alert_id=bindparam("new_alert"), sent_at=bindparam("new_sent"))
_ENDED: Final = (
    update(table)
    .where(_THIS)
    .values(
        ended_at=bindparam("new_ended"),
        outcome=bindparam("new_outcome"),
        reason=bindparam("new_reason"),
        detail=bindparam("new_detail"),
    )
)


async def insert(connection: AsyncConnection, rows: Iterable[Row]) -> None:
    """Rows that are there already stay as they are."""
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    await bulk(connection, module.insert(table).on_conflict_do_nothing(), [_values(r) for r in rows], _COLUMNS)


async def note_sent(connection: AsyncConnection, rows: Iterable[Row]) -> None:
    values = [(r.occasion, r.endpoint_id, r.alert_id, _ms(r.sent_at)) for r in rows]
    await bulk(connection, _SENT, values, ("k_occasion", "k_endpoint", "new_alert", "new_sent"))


async def note_ended(connection: AsyncConnection, rows: Iterable[Row]) -> None:
    values = [(r.occasion, r.endpoint_id, _ms(r.ended_at), r.outcome, r.reason, r.detail) for r in rows]
    names = ("k_occasion", "k_endpoint", "new_ended", "new_outcome", "new_reason", "new_detail")
    await bulk(connection, _ENDED, values, names)


async def open_rows(connection: AsyncConnection) -> list[Row]:
    """Those that have not ended."""
    return [_row(r) for r in (await connection.execute(select(table).where(table.c.ended_at.is_(None)))).all()]


async def since(connection: AsyncConnection, instant: datetime) -> list[Row]:
    """Those that have ended since."""
    return [
        _row(r) for r in (await connection.execute(select(table).where(table.c.ended_at >= to_ms(instant)))).all()
    ]


async def newest(connection: AsyncConnection, kind: Kind, outcome: Outcome | None = None) -> list[Row]:
    """The newest that has ended of each endpoint, of those with that outcome."""
    t = table.c
    wanted = [t.kind == kind.value, t.ended_at.is_not(None)]
    wanted.append(t.outcome == outcome.value if outcome is not None else t.outcome != Outcome.MISSED.value)
    last = (
        select(t.endpoint_id.label("who"), func.max(t.ended_at).label("at"))
        .where(*wanted)
        .group_by(t.endpoint_id)
        .subquery()
    )
    statement = select(table).join(last, and_(t.endpoint_id == last.c.who, t.ended_at == last.c.at)).where(*wanted)
    return [_row(r) for r in (await connection.execute(statement)).all()]


async def of_endpoint(connection: AsyncConnection, endpoint_id: str, limit: int) -> list[Row]:
    """An endpoint's tests, newest first."""
    t = table.c
    statement = select(table).where(t.endpoint_id == endpoint_id).order_by(t.due_at.desc()).limit(limit)
    return [_row(r) for r in (await connection.execute(statement)).all()]


async def of_occasion(connection: AsyncConnection, occasion: str) -> list[Row]:
    """All tests of an occasion, in the order of their turns."""
    t = table.c
    statement = select(table).where(t.occasion == occasion).order_by(t.due_at, t.endpoint_id)
    return [_row(r) for r in (await connection.execute(statement)).all()]


async def answers(connection: AsyncConnection, alert_ids: Sequence[str]) -> dict[tuple[str, str], Answer]:
    """By (message, endpoint): how far the evidence reaches, and the last word of the endpoint."""
    d, r = delivery_table.c, receipt_table.c
    statement = (
        select(d.alert_id, d.endpoint_id, d.progress, d.reason, r.detail, r.recorded_at)
        .outerjoin(
            receipt_table,
            and_(
                r.alert_id == d.alert_id,
                r.revision == d.revision,
                r.kind == d.kind,
                r.endpoint_id == d.endpoint_id,
                r.progress == d.progress,
            ),
        )
        .where(d.alert_id.in_(alert_ids), d.kind == DeliveryKind.START.value)
    )
    return {
        (row.alert_id, row.endpoint_id): Answer(
            progress=Progress(row.progress),
            reason=None if row.reason is None else Reason(row.reason),
            detail=row.detail or "",
            recorded_at=None if row.recorded_at is None else from_ms(row.recorded_at),
        )
        for row in (await connection.execute(statement)).all()
    }


def sent(row: Row, alert_id: str, at: datetime) -> Row:
    return replace(row, alert_id=alert_id, sent_at=at)


def ended(row: Row, at: datetime, outcome: Outcome, reason: Reason | None = None, detail: str = "") -> Row:
    return replace(row, ended_at=at, outcome=outcome, reason=reason, detail=detail)


def _values(row: Row) -> tuple[object, ...]:
    times = {name: _ms(getattr(row, name)) for name in ("due_at", "until", "sent_at", "ended_at")}
    return tuple(times[name] if name in times else getattr(row, name) for name in _COLUMNS)


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_ms(instant)


def _row(row: Any) -> Row:
    return Row(
        occasion=row.occasion,
        endpoint_id=row.endpoint_id,
        channel=row.channel,
        kind=Kind(row.kind),
        simulated=row.simulated,
        volume=row.volume,
        due_at=from_ms(row.due_at),
        until=from_ms(row.until),
        actor=row.actor,
        alert_id=row.alert_id,
        sent_at=None if row.sent_at is None else from_ms(row.sent_at),
        ended_at=None if row.ended_at is None else from_ms(row.ended_at),
        outcome=None if row.outcome is None else Outcome(row.outcome),
        reason=None if row.reason is None else Reason(row.reason),
        detail=row.detail,
    )
