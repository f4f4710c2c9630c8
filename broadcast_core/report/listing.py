"""Lists: alerts newest first, and one alert's deliveries, in pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Row as DatabaseRow
from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.clock import from_ms
from broadcast_core.errors import NotFound
from broadcast_core.model import Channel, DeliveryKind, MessageKind, Progress
from broadcast_core.registry import Registry
from broadcast_core.report import tally
from broadcast_core.report.evidence import Evidence, read_evidence
from broadcast_core.report.messages import Message, message_of
from broadcast_core.report.shape import STATE_OF, Row, State, Summary
from broadcast_core.report.whole import rows_of
from broadcast_core.store import Store
from broadcast_core.store.schema import alert as alert_table
from broadcast_core.store.schema import delivery as delivery_table

T = TypeVar("T")
_Standing = tuple[Channel, Progress, int]  # so many deliveries of a channel stand there


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """Part of a list. `following` asks for the next part; None at the end."""

    items: tuple[T, ...]
    following: str | None
    total: int | None = None  # of the whole list, where it is known


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which deliveries. None wants all; a zone wants everything below it too."""

    revision: int | None = None  # None: the newest that went out
    kind: DeliveryKind = DeliveryKind.START
    channel: Channel | None = None
    state: State | None = None
    zone: str | None = None


async def summaries(store: Store, *, limit: int, before: str | None = None) -> Page[Summary]:
    """Alerts by when they were first accepted, newest first; `before` is the last alert of the page before.

    Raises NotFound for an unknown `before`, StorageFailed.
    """
    async with store.read() as connection:
        begun = await _begun(connection, limit + 1, before)
        shown = {row.alert_id: row.first for row in begun[:limit]}
        newest = await _newest(connection, shown)
        standing = await _standing(connection, newest)
    items = tuple(_summary(newest[i], first, standing.get(i, ())) for i, first in shown.items())
    return Page(items=items, following=items[-1].alert_id if len(begun) > limit else None)


async def deliveries(
    store: Store, alert_id: str, registry: Registry, wanted: Wanted, *, limit: int, after: str | None = None
) -> Page[Row]:
    """Deliveries of one revision by endpoint id; `after` is the last endpoint of the page before.

    Raises NotFound for an unknown alert, revision or zone, and StorageFailed.
    """
    inside = None if wanted.zone is None else {e.id for e in registry.members(wanted.zone, wanted.channel)}
    async with store.read() as connection:
        revision = await _revision(connection, alert_id, wanted.revision)
        evidence = await read_evidence(connection, alert_id, kind=wanted.kind, revision=revision)
    found = [e for e in evidence if _fits(e, wanted) and (inside is None or e.endpoint_id in inside)]
    rest = [e for e in found if after is None or e.endpoint_id > after]
    page = rest[:limit]
    return Page(
        items=rows_of(page, registry),
        following=page[-1].endpoint_id if len(rest) > limit else None,
        total=len(found),
    )


def _fits(evidence: Evidence, wanted: Wanted) -> bool:
    return wanted.channel in (None, evidence.channel) and wanted.state in (None, STATE_OF[evidence.progress])


async def _revision(connection: AsyncConnection, alert_id: str, revision: int | None) -> int:
    a = alert_table.c
    statement = select(func.max(a.revision)).where(a.alert_id == alert_id)
    if revision is not None:
        statement = statement.where(a.revision == revision)
    found = (await connection.execute(statement)).scalar()
    if found is None:
        raise NotFound("alert", alert_id if revision is None else f"{alert_id} revision {revision}")
    return int(found)


async def _begun(
    connection: AsyncConnection, limit: int, before: str | None
) -> Sequence[DatabaseRow[tuple[str, int]]]:
    """The alerts by their first revision, with when that was accepted."""
    a = alert_table.c
    statement: Select[tuple[str, int]] = select(a.alert_id, a.accepted_at.label("first")).where(
        a.revision == 1, a.kind == MessageKind.ALERT.value
    )
    if before is not None:
        last = (await connection.execute(statement.where(a.alert_id == before))).first()
        if last is None:
            raise NotFound("alert", before)
        earlier = or_(a.accepted_at < last.first, and_(a.accepted_at == last.first, a.alert_id < last.alert_id))
        statement = statement.where(earlier)
    statement = statement.order_by(a.accepted_at.desc(), a.alert_id.desc()).limit(limit)
    return (await connection.execute(statement)).all()


async def _newest(connection: AsyncConnection, alert_ids: Iterable[str]) -> dict[str, Message]:
    a = alert_table.c
    statement = select(alert_table).where(a.alert_id.in_(list(alert_ids))).order_by(a.revision)
    return {row["alert_id"]: message_of(row) for row in (await connection.execute(statement)).mappings()}


async def _standing(connection: AsyncConnection, newest: dict[str, Message]) -> dict[str, list[_Standing]]:
    """Where the starts of the newest revisions stand."""
    d = delivery_table.c
    statement = (
        select(d.alert_id, d.revision, d.channel, d.progress, func.count())
        .where(d.alert_id.in_(list(newest)), d.kind == DeliveryKind.START.value)
        .group_by(d.alert_id, d.revision, d.channel, d.progress)
    )
    found: dict[str, list[_Standing]] = {}
    for alert_id, revision, channel, progress, n in await connection.execute(statement):
        if newest[alert_id].revision == revision:
            found.setdefault(alert_id, []).append((Channel(channel), Progress(progress), n))
    return found


def _summary(newest: Message, first: int, standing: Iterable[_Standing]) -> Summary:
    targets: Counter[Channel] = Counter()
    states = tally.states_of(())
    for channel, progress, n in standing:
        targets[channel] += n
        states[STATE_OF[progress]] += n
    return Summary(
        alert_id=newest.alert_id,
        revision=newest.revision,
        identifier=newest.identifier,
        sender=newest.sender,
        msg_type=newest.msg_type,
        event=newest.event,
        headline=newest.headline,
        actor=newest.actor,
        first_accepted_at=from_ms(first),
        accepted_at=newest.accepted_at,
        expires=newest.expires,
        ended=newest.ended,
        targets=targets,
        states=states,
    )
