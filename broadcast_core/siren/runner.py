"""The calendar's clock: proposes days, sounds what was confirmed, and says what was not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from broadcast_core.clock import Clock
from broadcast_core.errors import AlertRejected, StorageFailed
from broadcast_core.siren.desk import SirenDesk
from broadcast_core.siren.rows import Event, EventState, SignalOutcome
from scheduler.local_time import local_date

log = structlog.get_logger(__name__)

ACTOR: Final = "siren-calendar"
_LOOK_S: Final = 0.5
GRACE: Final = timedelta(seconds=30)  # a core that comes back later does not sound it: people look at their clocks


class SirenRunner:
    """`run` until cancelled."""

    def __init__(self, desk: SirenDesk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    async def run(self) -> None:
        while True:
            try:
                await self.step()
            except StorageFailed as error:
                log.error("the siren calendar waits for the storage", detail=error.detail)  # noqa: TRY400
            await asyncio.sleep(_LOOK_S)

    async def step(self) -> None:
        """One look. Raises StorageFailed; it is looked again, and nothing sounds twice."""
        now = self._clock.now()
        await self._propose(now)
        for event in list(self._desk.events.values()):
            if event.template not in self._desk.templates.calendar:
                continue
            if event.state is EventState.CONFIRMED:
                await self._lead(event, now)
            elif event.state is EventState.PROPOSED and self._first(event) <= now:
                log.error("nobody confirmed the siren day: nothing sounds", day=event.act_id)
                await self._desk.keep_event(replace(event, state=EventState.LAPSED), "siren.lapse", ACTOR)

    async def _propose(self, now: datetime) -> None:
        today = local_date(now, self._desk.tz)
        for name, yearly in self._desk.templates.calendar.items():
            for year in (today.year, today.year + 1):
                when = yearly.on(year)
                if when is None or not today <= when <= today + timedelta(days=yearly.propose_days):
                    continue
                event = Event(
                    template=name,
                    date=when,
                    state=EventState.PROPOSED,
                    digest=self._desk.templates.digest(name),
                    proposed_at=now,
                )
                if event.act_id not in self._desk.events and now < self._first(event):
                    await self._desk.keep_event(event, "siren.propose", ACTOR)
                    log.warning("a siren day waits for confirmation", day=event.act_id)

    async def _lead(self, event: Event, now: datetime) -> None:
        view = self._desk.event_view(event)
        for signal in view.signals:
            done = signal.signal is not None and signal.signal.outcome is not SignalOutcome.SENDING
            if done or signal.planned is None or now < signal.planned:
                continue
            if event.digest != self._desk.templates.digest(event.template):
                await self._miss(
                    event, signal.number, signal.planned, "the template was changed after it was confirmed"
                )
            elif now - signal.planned > GRACE:
                await self._miss(event, signal.number, signal.planned, "the core was away")
            elif self._desk.events[event.act_id].state is EventState.CONFIRMED:
                await self._sound(event, signal.number, signal.planned)
        signals = self._desk.event_view(event).signals
        if all(s.signal is not None and s.signal.outcome is not SignalOutcome.SENDING for s in signals):
            current = self._desk.events[event.act_id]
            if current.state is EventState.CONFIRMED:
                await self._desk.keep_event(replace(current, state=EventState.OVER), "siren.over", ACTOR)

    async def _sound(self, event: Event, number: int, planned: datetime) -> None:
        view = self._desk.event_view(event)
        signals = self._desk.signals
        try:
            await signals.sound(
                event.act_id, view.act, number, area=view.yearly.area, sent=planned, actor=event.confirmed[0].actor
            )
        except AlertRejected as refusal:
            log.error("the siren was refused", day=event.act_id, why=str(refusal))  # noqa: TRY400
        if self._desk.events[event.act_id].state is EventState.WITHDRAWN:  # while it was being made
            await signals.stop(event.act_id, actor=ACTOR)

    async def _miss(self, event: Event, number: int, planned: datetime, why: str) -> None:
        act = self._desk.event_view(event).act
        await self._desk.signals.miss(event.act_id, act, number, sent=planned, actor=ACTOR, why=why)

    def _first(self, event: Event) -> datetime:
        """When its first signal is due; a day that the zone skips is over before it begins."""
        return self._desk.planned(event, 0) or event.proposed_at
