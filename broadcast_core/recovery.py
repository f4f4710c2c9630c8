"""After a start: what was live is live again.

Journaled stops are recorded first, so that nothing that was stopped is ever claimed; then the live messages are built
from the outbox. Claimed rows go back to queued in `Dispatch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog
from sqlalchemy import Row, RowMapping, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import outbox
from broadcast_core.clock import Clock, from_ms, to_ms
from broadcast_core.journal import Journal
from broadcast_core.live import Live, sounding_time
from broadcast_core.model import (
    Channel,
    Delivery,
    DeliveryKind,
    Endpoint,
    MessageKind,
    Opening,
    Plan,
    Progress,
    Stop,
)
from broadcast_core.model.form import decode_starts
from broadcast_core.registry import Registry
from broadcast_core.stop import record_stop
from broadcast_core.store import Store
from broadcast_core.store.schema import alert as alert_table
from broadcast_core.store.schema import delivery as delivery_table
from broadcast_core.store.schema import fact

log = structlog.get_logger(__name__)

# Evidence may come this long after an alert's expiry; older messages are history.
_STILL_OF_INTEREST: Final = timedelta(hours=1)


async def next_epoch(store: Store, clock: Clock) -> int:
    """A number larger than at any earlier start, also after an old database was restored: seconds since 1970."""

    async def take(connection: AsyncConnection) -> int:
        stored = (await connection.execute(select(fact.c.value).where(fact.c.name == "epoch"))).scalar()
        epoch = max(int(stored or 0) + 1, to_ms(clock.now()) // 1000)
        module = sqlite if connection.dialect.name == "sqlite" else postgresql
        statement = module.insert(fact).values(name="epoch", value=str(epoch))
        await connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": str(epoch)}))
        return epoch

    return await store.write(take)


async def recover(store: Store, registry: Registry, journal: Journal, clock: Clock) -> Live:
    """Replay the journal, then rebuild what is live."""
    pending = await asyncio.to_thread(journal.pending)
    for stop in pending:
        await _replay(store, registry, stop, clock)
        log.warning(
            "a stop from the journal is now recorded", alert=stop.alert_id, acted_at=stop.acted_at.isoformat()
        )
    if pending:
        await asyncio.to_thread(journal.clear)
    live = Live()
    for message in await _stored(store, clock.now()):
        _revive(live, message, registry)
    return live


@dataclass(frozen=True, slots=True)
class _Message:
    """A message as it is stored."""

    row: Row[tuple[object, ...]]
    deliveries: list[RowMapping]


async def _stored(store: Store, now: datetime, alert_id: str | None = None) -> list[_Message]:
    a = alert_table.c
    alive = a.expires > to_ms(now - _STILL_OF_INTEREST)
    chosen = select(alert_table).where(alive if alert_id is None else a.alert_id == alert_id)
    async with store.read() as connection:
        rows = (await connection.execute(chosen.order_by(a.accepted_at, a.revision))).all()
        return [
            _Message(row, list(await outbox.load_deliveries(connection, row.alert_id, row.revision))) for row in rows
        ]


async def _replay(store: Store, registry: Registry, stop: Stop, clock: Clock) -> None:
    live = Live()
    for message in await _stored(store, clock.now(), stop.alert_id):
        _revive(live, message, registry)
    plan = live.stopping(stop, live.end(stop))

    async def job(connection: AsyncConnection) -> None:
        await record_stop(connection, stop, plan, reason="", clock=clock, replayed=True)
        # Whether it reached the field before we died is not known: it goes out again.
        d = delivery_table.c
        await connection.execute(
            update(delivery_table)
            .where(
                d.alert_id == stop.alert_id,
                d.revision == stop.revision,
                d.kind == DeliveryKind.STOP.value,
                d.progress == int(Progress.SENT),
            )
            .values(progress=int(Progress.QUEUED))
        )

    await store.write(job)


def _revive(live: Live, message: _Message, registry: Registry) -> None:
    row = message.row
    starts = decode_starts(str(row.starts))
    stop = _stop_of(row, starts, message.deliveries)
    deliveries = tuple(_deliveries(message.deliveries, starts, stop, registry))
    plan = Plan(alert_id=row.alert_id, revision=row.revision, deliveries=deliveries)
    revived = live.begin(
        plan,
        starts=starts,
        expires=from_ms(row.expires),
        accepted_at=from_ms(row.accepted_at),
        kind=MessageKind(row.kind),
    )
    revived.ended = row.ended_at is not None
    stored = {(d["kind"], d["endpoint_id"]): d for d in message.deliveries}
    for entry in revived.deliveries.values():
        of_entry = stored[entry.key.kind.value, entry.key.endpoint_id]
        progress = Progress(of_entry["progress"])
        # Nobody is sending: a claimed row is queued again (`outbox.recover`). It may have reached the field.
        entry.handed = progress is Progress.CLAIMED or of_entry["attempt"] > 1
        live.advance(revived, entry, Progress.QUEUED if progress is Progress.CLAIMED else progress)
        entry.attempt = of_entry["attempt"]


def _deliveries(
    rows: Iterable[RowMapping], starts: dict[Channel, Opening], stop: Stop | None, registry: Registry
) -> Iterable[Delivery]:
    for row in rows:
        channel = Channel(row["channel"])
        order = stop if row["kind"] == DeliveryKind.STOP.value else starts.get(channel)
        if order is None:
            continue
        endpoint = registry.endpoints.get(row["endpoint_id"])
        if endpoint is None:  # removed since; its evidence still counts
            endpoint = Endpoint(
                id=row["endpoint_id"], channel=channel, zone="", name=row["endpoint_id"], enabled=False
            )
        yield Delivery(
            endpoint=endpoint,
            order=order,
            via=row["via"],
            via_version=row["via_version"],
            excluded=tuple(msgspec.json.decode(row["excluded"], type=list[str])),
            attempt=row["attempt"],
        )


def _stop_of(
    row: Row[tuple[object, ...]], starts: dict[Channel, Opening], deliveries: Iterable[RowMapping]
) -> Stop | None:
    """The stop that ended a message, or that took it back from some endpoints; None if there was neither."""
    withdrawn = any(d["kind"] == DeliveryKind.STOP.value for d in deliveries)
    if row.ended_at is None and not withdrawn:
        return None
    longest = max((sounding_time(start) for start in starts.values()), default=timedelta())
    return Stop(
        alert_id=row.alert_id,
        revision=row.revision,
        domain=next(iter(starts.values())).domain,
        # Of a withdrawal the audit has the instant; for those who still have to be told any past one will do.
        acted_at=from_ms(row.accepted_at if row.ended_at is None else row.ended_at),
        expires=from_ms(row.expires) + longest + timedelta(minutes=5),
        actor=row.ended_by or "",
        cause=row.ended_cause or ("withdrawn" if row.ended_at is None else "stop"),
    )
