"""Evidence that is owed is asked for, from those who owe it; what has expired is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from broadcast_core import outbox
from broadcast_core.clock import Clock
from broadcast_core.dispatch.line import Line
from broadcast_core.dispatch.presence import PresenceBoard
from broadcast_core.errors import StorageFailed
from broadcast_core.live import Live, LiveAlert, LiveDelivery, sounding_time
from broadcast_core.model import (
    Channel,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    MessageKind,
    Presence,
    Progress,
    Query,
    Reason,
    Stop,
)
from broadcast_core.store import Store

log = structlog.get_logger(__name__)

_TICK_S: Final = 0.5
_FIRST_ASK_S: Final = 2.0  # a speaker that got it answers within milliseconds; a slow link within a second
_LONGEST_WAIT_S: Final = 30.0
_SLACK: Final = timedelta(seconds=3)  # over the computed end, before the end's evidence is asked for
_UNPROVEN_END: Final = timedelta(seconds=60)
_LEAST_ASKED: Final = 2  # questions for a programme's sum, before it is given up
_KEEP_COMPLETE: Final = timedelta(minutes=5)


class Chaser:
    """Looks over everything that is live twice a second."""

    def __init__(
        self, live: Live, lines: Mapping[Channel, Line], presence: PresenceBoard, store: Store, clock: Clock
    ) -> None:
        self._live = live
        self._lines = lines
        self._presence = presence
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            for live in self._live:
                try:
                    await self._look_at(live)
                except StorageFailed as error:
                    log.error("expiry not yet recorded", alert=live.alert_id, detail=error.detail)  # noqa: TRY400
                await asyncio.sleep(0)

    async def _look_at(self, live: LiveAlert) -> None:
        now = self._clock.now()
        if live.complete:
            if now > _forgotten_at(live):
                self._live.forget(live)
            return
        if _rests(live, now):
            return
        await self._expire(live, now)
        line = self._lines.get(Channel.SPEAKER)
        if line is not None:
            await line.send_now(self._questions(live, now))

    def _questions(self, live: LiveAlert, now: datetime) -> list[Delivery]:
        """What to send again, and what to ask, to the speakers' own topics."""
        monotonic = self._clock.monotonic()
        found = []
        for entry in live.deliveries.values():
            if entry.progress.ended or entry.delivery.endpoint.channel is not Channel.SPEAKER:
                continue
            if monotonic < entry.ask_at or entry.progress < Progress.CLAIMED:
                continue
            if entry.key.kind is DeliveryKind.START and now >= live.expires and entry.progress < Progress.RECEIVED:
                continue  # late means never
            question = self._question(live, entry, now, monotonic)
            if question is not None and self._presence.of(entry.key.endpoint_id) is not Presence.OFFLINE:
                entry.asked += 1
                entry.ask_at = monotonic + min(_FIRST_ASK_S * 2**entry.asked, _LONGEST_WAIT_S)
                found.append(question)
        return found

    def _question(self, live: LiveAlert, entry: LiveDelivery, now: datetime, monotonic: float) -> Delivery | None:
        delivery = replace(entry.delivery, via=None, via_version=0, excluded=())
        is_start = entry.key.kind is DeliveryKind.START
        if is_start and live.ended and entry.progress < Progress.RECEIVED:
            return None  # must not start any more; its stop asks for the evidence
        if entry.progress < Progress.RECEIVED:
            overdue = entry.sent_at is None or monotonic >= entry.sent_at + _FIRST_ASK_S
            return delivery if overdue else None
        if is_start and now < _due(live, entry) + _SLACK:
            return None
        query = Query(
            alert_id=live.alert_id,
            revision=live.revision,
            domain=live.domain,
            expires=now + timedelta(minutes=1),
        )
        return replace(delivery, order=query)

    async def _expire(self, live: LiveAlert, now: datetime) -> None:
        """Time is over: what cannot start any more has ended, what may still sound is given its time."""
        over = [
            (entry, self._why(entry))
            for entry in live.deliveries.values()
            if not entry.progress.ended and now >= _over_at(live, entry) and not self._owes_an_answer(live, entry)
        ]
        if not over:
            return
        rows: list[tuple[DeliveryKey, Reason]] = [(entry.key, reason) for entry, reason in over]
        await self._store.write(lambda c: outbox.expire(c, rows))
        for entry, _ in over:
            self._live.advance(live, entry, Progress.EXPIRED)

    def _owes_an_answer(self, live: LiveAlert, entry: LiveDelivery) -> bool:
        """Whether a speaker that has the programme has still to be asked for its sum, or to answer.

        It may have reported while the core was away, to nobody. One that is not there says so in its next hello.
        """
        if live.proof_due is None or isinstance(entry.delivery.order, Stop) or entry.progress < Progress.RECEIVED:
            return False
        if self._presence.of(entry.key.endpoint_id) is Presence.OFFLINE:
            return False
        return entry.asked < _LEAST_ASKED or self._clock.monotonic() < entry.ask_at

    def _why(self, entry: LiveDelivery) -> Reason:
        if entry.progress <= Progress.SENT and entry.setback is not None:
            return entry.setback
        if entry.progress <= Progress.CLAIMED:
            return Reason.CHANNEL_DOWN
        presence = self._presence.of(entry.key.endpoint_id)
        return Reason.OFFLINE if presence in {Presence.OFFLINE, Presence.SILENT} else Reason.NO_ANSWER


def _forgotten_at(live: LiveAlert) -> datetime:
    """Until when a message stays in memory although it is complete."""
    if live.kind is MessageKind.SLOT:
        return live.expires  # until then the runner has to know who has been told
    return min(live.expires, live.accepted_at + _KEEP_COMPLETE) + live.longest()


def _rests(live: LiveAlert, now: datetime) -> bool:
    """Whether every speaker has the programme and none owes its sum yet: thousands of rows need no look."""
    due = live.proof_due
    return (
        due is not None
        and not live.ended
        and now < due
        and not any(n for (_, _, progress), n in live.tally.items() if progress < Progress.RECEIVED)
    )


def _due(live: LiveAlert, entry: LiveDelivery) -> datetime:
    """When an endpoint that has received its start owes the next evidence."""
    if live.proof_due is not None:
        return live.proof_due
    opening = live.starts[entry.delivery.endpoint.channel]
    if entry.progress is Progress.RECEIVED:
        return opening.starts_at
    return opening.starts_at + sounding_time(opening)


def _over_at(live: LiveAlert, entry: LiveDelivery) -> datetime:
    """When nothing more is to be expected of a delivery."""
    if isinstance(entry.delivery.order, Stop):
        return entry.delivery.order.expires
    if entry.progress < Progress.RECEIVED:
        return live.expires
    if live.proof_due is not None:  # it ends when it expires, whatever is still to come
        return live.proof_due + _UNPROVEN_END
    return live.expires + live.longest() + _UNPROVEN_END
