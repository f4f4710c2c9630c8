"""The express lane: a stop waits for nothing, least of all for the database (P4).

Who may stop, what is live and how to reach it are in memory; the stop is written to a small journal beside the
database, goes out, and is recorded when the database answers, with the time it acted and the time it was recorded.
Even if the journal fails it goes out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit, outbox
from broadcast_core.clock import Clock
from broadcast_core.dispatch import Dispatch
from broadcast_core.errors import AlertRejected, NotFound, RejectReason, StorageFailed
from broadcast_core.i18n import _
from broadcast_core.journal import Journal
from broadcast_core.live import Live, LiveAlert
from broadcast_core.model import Plan, Progress, Stop
from broadcast_core.services import Stopped
from broadcast_core.store import Store

log = structlog.get_logger(__name__)

_JOURNAL_TIMEOUT_S: Final = 0.5  # a disk that takes longer must not hold a stop back
_RECORD_RETRY_S: Final = 0.5
_ACTION: Final = "alert.stop"  # in the audit


class ExpressLane:
    """Stops, and nothing else."""

    def __init__(self, *, live: Live, dispatch: Dispatch, store: Store, journal: Journal, clock: Clock) -> None:
        self._live = live
        self._dispatch = dispatch
        self._store = store
        self._journal = journal
        self._clock = clock
        self._recording: set[asyncio.Task[None]] = set()
        self._unrecorded = 0  # stops that have acted and whose journal line is still needed

    async def stop(self, alert_id: str, *, actor: str, reason: str = "") -> Stopped:
        """End an alert everywhere, now. Raises NotFound, or AlertRejected(NOT_LIVE) if it has ended already."""
        revisions = self._live.revisions(alert_id)
        self._live.note_stop(alert_id)
        if not revisions:
            raise NotFound("live alert", alert_id)
        if all(live.ended for live in revisions):
            raise AlertRejected(RejectReason.NOT_LIVE, _("Alert {alert} has been ended already.", alert=alert_id))
        stop = self._order(revisions, actor)
        plan = self._live.stopping(stop, self._live.end(stop))
        added = self._live.add(revisions[-1], plan.deliveries)
        sent_at = self._clock.monotonic()
        for entry in added:
            self._live.advance(revisions[-1], entry, Progress.CLAIMED)
            entry.sent_at = sent_at
        self._unrecorded += 1
        journaled = await self._write_journal(stop)
        taken = await self._dispatch.send_now(plan.deliveries)
        log.warning("stopped", alert=alert_id, actor=actor, endpoints=len(plan.deliveries), journaled=journaled)
        self._record_later(stop, plan, reason)
        return Stopped(
            alert_id=alert_id,
            revision=stop.revision,
            acted_at=stop.acted_at,
            endpoints=Counter(d.endpoint.channel for d in plan.deliveries),
            taken=taken,
            journaled=journaled,
        )

    async def drain(self) -> None:
        """Wait until everything that was stopped is recorded too."""
        while self._recording:
            await asyncio.gather(*self._recording)

    def _order(self, revisions: list[LiveAlert], actor: str) -> Stop:
        newest = revisions[-1]
        return self._live.stop_of(
            newest.alert_id,
            newest.revision,
            actor=actor,
            cause="stop",
            now=self._clock.now(),
            domain=newest.domain,
        )

    async def _write_journal(self, stop: Stop) -> bool:
        try:
            async with asyncio.timeout(_JOURNAL_TIMEOUT_S):
                await asyncio.to_thread(self._journal.append, stop)
        except (OSError, TimeoutError) as error:
            log.error("the journal failed, the stop goes out all the same", detail=str(error))  # noqa: TRY400
            return False
        return True

    def _record_later(self, stop: Stop, plan: Plan, reason: str) -> None:
        task = asyncio.create_task(self._record(stop, plan, reason), name=f"record-stop-{stop.alert_id}")
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def _record(self, stop: Stop, plan: Plan, reason: str) -> None:
        while True:
            try:
                await self._store.write(lambda c: record_stop(c, stop, plan, reason=reason, clock=self._clock))
                break
            except StorageFailed as error:
                log.error("a stop is not yet recorded", alert=stop.alert_id, detail=error.detail)  # noqa: TRY400
                await asyncio.sleep(_RECORD_RETRY_S)
        self._unrecorded -= 1
        if self._unrecorded == 0:
            self._journal.clear()


async def record_stop(
    connection: AsyncConnection, stop: Stop, plan: Plan, *, reason: str, clock: Clock, replayed: bool = False
) -> None:
    """A job: what a stop did, into the database.

    Again is harmless: a crash between this commit and the clearing of the journal has it replayed.
    """
    now = clock.now()
    await outbox.end(connection, stop)
    await outbox.put(connection, plan, expires=stop.expires, now=now, progress=Progress.SENT)
    if await audit.has(connection, acted_at=stop.acted_at, actor=stop.actor, action=_ACTION, object_=stop.alert_id):
        return
    await audit.record(
        connection,
        now=now,
        acted_at=stop.acted_at,
        actor=stop.actor,
        action=_ACTION,
        object_=stop.alert_id,
        detail={
            "revision": stop.revision,
            "cause": stop.cause,
            "endpoints": len(plan.deliveries),
            "reason": reason,
            "replayed": replayed,
        },
    )
