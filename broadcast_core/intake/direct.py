"""Messages that are not CAP (an occurrence of a slot, a switch of mode): durable first, then on their way.

They go through the same outbox, dispatch, drivers and receipts as an alert; docs/decisions/0006 says why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import structlog
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit, outbox
from broadcast_core.clock import Clock, to_ms
from broadcast_core.dispatch import Dispatch
from broadcast_core.live import Live, LiveAlert, LiveDelivery
from broadcast_core.model import Channel, DeliveryKind, Endpoint, MessageKind, MsgType, Opening, Plan, Progress, Stop
from broadcast_core.model.form import encode_starts
from broadcast_core.plan import make_plan, on_their_own
from broadcast_core.registry import Registry
from broadcast_core.store import Store
from broadcast_core.store.schema import alert as alert_table

log = structlog.get_logger(__name__)

Also = Callable[[AsyncConnection], Awaitable[None]]  # what else becomes durable in the same transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message to the field. `starts` are what its channels are told; a higher revision replaces a lower."""

    kind: MessageKind
    alert_id: str
    revision: int
    starts: Mapping[Channel, Opening]
    targets: Sequence[Endpoint]
    expires: datetime
    actor: str
    title: str  # for lists
    detail: Mapping[str, Any] = field(default_factory=dict)  # for the audit
    alone: bool = False  # each endpoint on its own topic: a test reaches one at a time


class Direct:
    """Opens and withdraws messages. `registry` gives the current one."""

    def __init__(
        self, *, store: Store, live: Live, dispatch: Dispatch, registry: Callable[[], Registry], clock: Clock
    ) -> None:
        self._store = store
        self._live = live
        self._dispatch = dispatch
        self._registry = registry
        self._clock = clock

    async def open(self, messages: Sequence[Message], also: Also | None = None) -> None:
        """Make these durable in one transaction, with whatever `also` writes, then send them.

        Raises StorageFailed; nothing is sent then. With no messages only `also` is done.
        """
        now, registry, stops_seen = self._clock.now(), self._registry(), self._live.stops
        planned = [(m, _plan_of(m, registry)) for m in messages]

        async def job(connection: AsyncConnection) -> None:
            for message, plan in planned:
                await _enter(connection, message, plan, now)
            if also is not None:
                await also(connection)

        await self._store.write(job)
        stopped = []
        for message, plan in planned:
            live = self._begin(message, plan, now)
            if self._live.stopped_since(message.alert_id, stops_seen):
                stopped.append(self._end(live))
            else:
                self._dispatch.hand_over(live, live.deliveries.values())
        for stop in stopped:
            await self._store.write(partial(outbox.end, stop=stop))

    async def withdraw(
        self, alert_id: str, endpoints: Collection[str], *, actor: str, cause: str, also: Also | None = None
    ) -> int:
        """Take a live message back from some endpoints, everywhere it may have gone; the others do not notice.

        Returns how many are told. Raises StorageFailed; nothing is sent then.
        """
        revisions = self._live.revisions(alert_id)
        meant = [
            (live, entry)
            for live in revisions
            for entry in live.deliveries.values()
            if entry.key.endpoint_id in endpoints and entry.key.kind is DeliveryKind.START
        ]
        if not meant:
            if also is not None:
                await self._store.write(also)
            return 0
        newest = revisions[-1]
        with self._live.held([(alert_id, newest.revision)]):
            return await self._take_back(newest, meant, endpoints, actor=actor, cause=cause, also=also)

    async def _take_back(
        self,
        newest: LiveAlert,
        meant: Sequence[tuple[LiveAlert, LiveDelivery]],
        endpoints: Collection[str],
        *,
        actor: str,
        cause: str,
        also: Also | None,
    ) -> int:
        alert_id, now = newest.alert_id, self._clock.now()
        reached = [
            (live, entry)
            for live in self._live.revisions(alert_id)
            for entry in live.possibly_sounding()
            if entry.key.endpoint_id in endpoints
        ]
        stop = self._live.stop_of(alert_id, newest.revision, actor=actor, cause=cause, now=now, domain=newest.domain)
        # A zone's topic would also reach those that keep it.
        plan = on_their_own(self._live.stopping(stop, reached))

        async def job(connection: AsyncConnection) -> None:
            await outbox.withdraw(connection, alert_id, stop.revision, endpoints, plan, stop=stop, now=now)
            detail = {"revision": stop.revision, "cause": cause, "endpoints": len(plan.deliveries)}
            action = f"{newest.kind}.withdraw"
            await audit.record(connection, now=now, actor=actor, action=action, object_=alert_id, detail=detail)
            if also is not None:
                await also(connection)

        await self._store.write(job)
        for live, entry in meant:
            if entry.progress is Progress.QUEUED:
                self._live.advance(live, entry, Progress.STOPPED)
        self._dispatch.hand_over(newest, self._live.add(newest, plan.deliveries))
        return len(plan.deliveries)

    def _begin(self, message: Message, plan: Plan, now: datetime) -> LiveAlert:
        return self._live.begin(
            plan, starts=message.starts, expires=message.expires, accepted_at=now, kind=message.kind
        )

    def _end(self, live: LiveAlert) -> Stop:
        """Somebody has stopped it while it was being made durable: it is there, and has ended."""
        stop = self._live.stop_of(
            live.alert_id, live.revision, actor="", cause="stop", now=self._clock.now(), domain=live.domain
        )
        self._live.end(stop)
        log.warning("stopped before anything was sent", alert=stop.alert_id, revision=stop.revision)
        return stop


def _plan_of(message: Message, registry: Registry) -> Plan:
    plan = make_plan(message.alert_id, message.revision, message.starts, message.targets, registry)
    return on_their_own(plan) if message.alone else plan


async def _enter(connection: AsyncConnection, message: Message, plan: Plan, now: datetime) -> None:
    await connection.execute(
        insert(alert_table).values(
            alert_id=message.alert_id,
            revision=message.revision,
            kind=message.kind.value,
            sender=f"tocsin:{message.kind}",
            identifier=f"{message.alert_id}/{message.revision}",
            sent=to_ms(now),
            msg_type=MsgType.ALERT.value,
            cap=msgspec.json.encode({"info": [{"event": message.kind, "headline": message.title}]}).decode(),
            expression="null",
            notes="[]",
            accepted_at=to_ms(now),
            expires=to_ms(message.expires),
            actor=message.actor,
            starts=encode_starts(message.starts),
        )
    )
    await outbox.put(connection, plan, expires=message.expires, now=now, progress=Progress.CLAIMED)
    await audit.record(
        connection,
        now=now,
        actor=message.actor,
        action=f"{message.kind}.open",
        object_=message.alert_id,
        detail={
            "revision": message.revision,
            "title": message.title,
            "targets": len(plan.deliveries),
            "unreachable": len(plan.unreachable),
            **message.detail,
        },
    )
