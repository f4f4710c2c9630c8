"""The outbox: the only queue of the system, and the only place where intake and dispatch meet.

put      one transaction, before anything is sent; who sends at once claims in the same transaction
claim    a row leaves the queue in the transaction that reads it
settle   evidence is appended; a delivery's progress is the maximum of its evidence and never falls
release  back into the queue, not before some instant
withdraw back from some endpoints, while the others keep it
end      what a stop, cancel or update ends
recover  claimed rows go back to queued at a start

Every function here but `load_live` is a job for `Store.write`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping, and_, bindparam, func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.clock import to_ms
from broadcast_core.model import (
    Channel,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Plan,
    Progress,
    Reason,
    Receipt,
    Stop,
)
from broadcast_core.store import bulk
from broadcast_core.store.schema import alert as alert_table
from broadcast_core.store.schema import chain as chain_table
from broadcast_core.store.schema import delivery as delivery_table
from broadcast_core.store.schema import receipt as receipt_table

_DELIVERY_COLUMNS: Final = [c.name for c in delivery_table.c]
_RECEIPT_COLUMNS: Final = [c.name for c in receipt_table.c]
_KEY: Final = ("k_alert", "k_revision", "k_kind", "k_endpoint")
_KEYS_IN_A_QUERY: Final = 200  # four parameters each; databases limit them

_THIS_DELIVERY: Final = and_(
    delivery_table.c.alert_id == bindparam("k_alert"),
    delivery_table.c.revision == bindparam("k_revision"),
    delivery_table.c.kind == bindparam("k_kind"),
    delivery_table.c.endpoint_id == bindparam("k_endpoint"),
)
_RAISE: Final = (
    update(delivery_table)
    .where(_THIS_DELIVERY, delivery_table.c.progress < bindparam("to_progress"))
    .values(progress=bindparam("new_progress"), reason=bindparam("new_reason"))
)
_RELEASE: Final = (
    update(delivery_table)
    .where(_THIS_DELIVERY, delivery_table.c.progress <= int(Progress.SENT))
    .values(progress=int(Progress.QUEUED), not_before=bindparam("new_not_before"), attempt=bindparam("new_attempt"))
)

_WITHDRAW: Final = (
    update(delivery_table)
    .where(
        delivery_table.c.alert_id == bindparam("k_alert"),
        delivery_table.c.revision <= bindparam("k_revision"),
        delivery_table.c.kind == bindparam("k_kind"),
        delivery_table.c.endpoint_id == bindparam("k_endpoint"),
        delivery_table.c.progress <= int(Progress.CLAIMED),
    )
    .values(progress=bindparam("new_progress"))
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """A row taken from the queue: which delivery, and which attempt it is."""

    key: DeliveryKey
    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """A receipt as it is stored: with the attempt it belongs to and when we had it.

    A delivery that is not `live` may be history, or may never have been: then its evidence is nobody's.
    """

    receipt: Receipt
    attempt: int
    recorded_at: datetime
    live: bool = True


async def put(
    connection: AsyncConnection, plan: Plan, *, expires: datetime, now: datetime, progress: Progress = Progress.QUEUED
) -> None:
    """Store a plan's deliveries, queued, and those that cannot be reached as failed. Again is harmless.

    With `progress` CLAIMED the caller sends them itself, at once. With SENT they have gone out already (a stop acts
    before it is recorded); evidence that came before the rows did is counted.
    """
    rows = _rows_of(plan, expires, progress)
    await bulk(connection, _insert(connection, delivery_table), rows, _DELIVERY_COLUMNS)
    if progress is Progress.SENT:
        await _raise_to_evidence(connection, plan.alert_id, plan.revision)
    failed = [
        Evidence(
            receipt=Receipt(
                key=DeliveryKey(
                    alert_id=plan.alert_id,
                    revision=plan.revision,
                    kind=DeliveryKind.START,
                    endpoint_id=unreachable.endpoint.id,
                ),
                progress=Progress.FAILED,
                at=now,
                reason=unreachable.reason,
            ),
            attempt=0,
            recorded_at=now,
        )
        for unreachable in plan.unreachable
    ]
    await settle(connection, failed)


async def claim(connection: AsyncConnection, channel: Channel, now: datetime) -> list[Claimed]:
    """Take what is due on a channel, and not expired, out of the queue."""
    d = delivery_table.c
    taking = (
        update(delivery_table)
        .where(
            d.channel == channel.value,
            d.progress == int(Progress.QUEUED),
            d.not_before <= to_ms(now),
            d.expires > to_ms(now),
        )
        .values(progress=int(Progress.CLAIMED))
        .returning(d.alert_id, d.revision, d.kind, d.endpoint_id, d.attempt)
    )
    return [
        Claimed(
            key=DeliveryKey(alert_id=r[0], revision=r[1], kind=DeliveryKind(r[2]), endpoint_id=r[3]), attempt=r[4]
        )
        for r in (await connection.execute(taking)).all()
    ]


async def settle(connection: AsyncConnection, evidence: Sequence[Evidence]) -> Sequence[Evidence]:
    """Append evidence and raise progress to its maximum. Doubles and latecomers change nothing.

    Returns what was taken: all but the evidence of deliveries that there never were, so that a stolen key cannot fill
    the disk with claims.
    """
    evidence = await _of_somebody(connection, evidence)
    receipts = [_receipt_row(e) for e in evidence]
    await bulk(connection, _insert(connection, receipt_table), receipts, _RECEIPT_COLUMNS)
    raises = [
        (*_key_values(e.receipt.key), int(e.receipt.progress), int(e.receipt.progress), e.receipt.reason)
        for e in evidence
        if e.receipt.retry_after is None
    ]
    await bulk(connection, _RAISE, raises, (*_KEY, "to_progress", "new_progress", "new_reason"))
    return evidence


async def release(connection: AsyncConnection, releases: Iterable[tuple[DeliveryKey, int, datetime]]) -> None:
    """Put deliveries back: (key, next attempt, not before). Those that have evidence beyond sent stay."""
    rows = [(*_key_values(key), to_ms(not_before), attempt) for key, attempt, not_before in releases]
    await bulk(connection, _RELEASE, rows, (*_KEY, "new_not_before", "new_attempt"))


async def end(connection: AsyncConnection, stop: Stop) -> None:
    """Mark the alert's revisions as ended and withdraw what was never handed to the field."""
    a, d, m = alert_table.c, delivery_table.c, chain_table.c
    await connection.execute(
        update(chain_table).where(m.alert_id == stop.alert_id, m.revision <= stop.revision).values(ended=True)
    )
    await connection.execute(
        update(alert_table)
        .where(a.alert_id == stop.alert_id, a.revision <= stop.revision, a.ended_at.is_(None))
        .values(ended_at=to_ms(stop.acted_at), ended_by=stop.actor, ended_cause=stop.cause)
    )
    await connection.execute(
        update(delivery_table)
        .where(
            d.alert_id == stop.alert_id,
            d.revision <= stop.revision,
            d.kind == DeliveryKind.START.value,
            d.progress <= int(Progress.CLAIMED),
        )
        .values(progress=int(Progress.STOPPED))
    )


async def withdraw(
    connection: AsyncConnection,
    alert_id: str,
    revision: int,
    endpoints: Iterable[str],
    stops: Plan,
    *,
    stop: Stop,
    now: datetime,
) -> None:
    """Take a message back from some endpoints: what was never handed to the field does not go; the rest is told."""
    queued = [(alert_id, revision, DeliveryKind.START.value, e, int(Progress.STOPPED)) for e in endpoints]
    await bulk(connection, _WITHDRAW, queued, (*_KEY, "new_progress"))
    await put(connection, stops, expires=stop.expires, now=now, progress=Progress.CLAIMED)


async def expire(connection: AsyncConnection, keys: Sequence[tuple[DeliveryKey, Reason]]) -> None:
    """End deliveries whose time is over; the reason says why there is no proof."""
    await bulk(
        connection,
        _RAISE,
        [(*_key_values(k), int(Progress.EXPIRED), int(Progress.EXPIRED), reason) for k, reason in keys],
        (*_KEY, "to_progress", "new_progress", "new_reason"),
    )


async def recover(connection: AsyncConnection) -> int:
    """At a start: nobody is sending, so what was claimed is queued again. Returns how many."""
    result = await connection.execute(
        update(delivery_table)
        .where(delivery_table.c.progress == int(Progress.CLAIMED))
        .values(progress=int(Progress.QUEUED), not_before=0)
    )
    return result.rowcount


async def load_deliveries(connection: AsyncConnection, alert_id: str, revision: int) -> Sequence[RowMapping]:
    """All delivery rows of a message, for rebuilding what is live (a read)."""
    d = delivery_table.c
    statement = select(delivery_table).where(d.alert_id == alert_id, d.revision == revision)
    return (await connection.execute(statement)).mappings().all()


async def _of_somebody(connection: AsyncConnection, evidence: Sequence[Evidence]) -> Sequence[Evidence]:
    doubtful = list(dict.fromkeys(e.receipt.key for e in evidence if not e.live))
    if not doubtful:
        return evidence
    d = delivery_table.c
    identity = tuple_(d.alert_id, d.revision, d.kind, d.endpoint_id)
    stored: set[tuple[str, int, str, str]] = set()
    for at in range(0, len(doubtful), _KEYS_IN_A_QUERY):
        keys = [_key_values(key) for key in doubtful[at : at + _KEYS_IN_A_QUERY]]
        found = await connection.execute(select(*identity.clauses).where(identity.in_(keys)))
        stored.update((row[0], row[1], row[2], row[3]) for row in found)
    return [e for e in evidence if e.live or _key_values(e.receipt.key) in stored]


async def _raise_to_evidence(connection: AsyncConnection, alert_id: str, revision: int) -> None:
    d, r = delivery_table.c, receipt_table.c
    newest = (
        select(func.max(r.progress))
        .where(
            r.alert_id == d.alert_id,
            r.revision == d.revision,
            r.kind == d.kind,
            r.endpoint_id == d.endpoint_id,
        )
        .scalar_subquery()
    )
    await connection.execute(
        update(delivery_table)
        .where(d.alert_id == alert_id, d.revision == revision, d.progress < newest)
        .values(progress=newest)
    )


def _rows_of(plan: Plan, expires: datetime, progress: Progress) -> list[tuple[object, ...]]:
    until = to_ms(expires)
    rows: list[tuple[object, ...]] = [_delivery_row(plan, d, until, progress) for d in plan.deliveries]
    rows += [
        (
            plan.alert_id, plan.revision, DeliveryKind.START.value, u.endpoint.id, u.endpoint.channel.value,
            None, 0, "[]", u.endpoint.simulated, int(Progress.FAILED), u.reason.value, 0, 0, until,
        )
        for u in plan.unreachable
    ]  # fmt: skip
    return rows


def _delivery_row(plan: Plan, delivery: Delivery, until: int, progress: Progress) -> tuple[object, ...]:
    kind = DeliveryKind.STOP if isinstance(delivery.order, Stop) else DeliveryKind.START
    excluded = msgspec.json.encode(delivery.excluded).decode() if delivery.excluded else "[]"
    return (
        plan.alert_id, plan.revision, kind.value, delivery.endpoint.id, delivery.endpoint.channel.value,
        delivery.via, delivery.via_version, excluded, delivery.endpoint.simulated,
        int(progress), None, 1, 0, until,
    )  # fmt: skip


def _receipt_row(evidence: Evidence) -> tuple[object, ...]:
    receipt = evidence.receipt
    played = None if receipt.played is None else round(receipt.played.total_seconds() * 1000)
    plays = None if not receipt.plays else msgspec.json.encode(receipt.plays).decode()
    return (
        *_key_values(receipt.key), int(receipt.progress), evidence.attempt,
        to_ms(receipt.at), to_ms(evidence.recorded_at), receipt.reason, receipt.detail, played, plays,
    )  # fmt: skip


def _key_values(key: DeliveryKey) -> tuple[str, int, str, str]:
    return key.alert_id, key.revision, key.kind, key.endpoint_id


def _insert(connection: AsyncConnection, table: Any) -> Any:
    """An insert that leaves existing rows alone, in the dialect at hand."""
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    return module.insert(table).on_conflict_do_nothing()
