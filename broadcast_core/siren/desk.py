"""The acts on sirens: lead one through its signals, stop it at any time; confirm a day of the calendar."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit
from broadcast_core.clock import Clock
from broadcast_core.errors import NotFound, Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Channel
from broadcast_core.plan import parse_areas, resolve
from broadcast_core.registry import Registry
from broadcast_core.siren import rows
from broadcast_core.siren.rows import ActRow, Confirmation, Event, EventState, SignalOutcome, Sounded
from broadcast_core.siren.signals import Signals
from broadcast_core.siren.templates import Act, Yearly
from broadcast_core.store import Store
from scheduler.local_time import instant

# How many people a calendar day takes. Two come with the approvals; who confirmed is recorded already.
CONFIRMATIONS: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalView:
    """One signal of an act as it stands. `sounds_until` only while it may sound."""

    number: int
    pattern: str
    planned: datetime | None  # by the calendar
    signal: Sounded | None  # None: not yet
    stopped: bool
    sounds_until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ActView:
    """An act and its state. `following` is the number of the signal that comes next; None after the last."""

    row: ActRow
    act: Act
    signals: tuple[SignalView, ...]
    following: int | None

    @property
    def running(self) -> bool:
        """Led on or stopped by somebody, it is not over: it waits for the next signal, or the last one sounds."""
        if self.row.ended_at is not None:
            return False
        return self.following is not None or any(s.sounds_until is not None for s in self.signals)


@dataclass(frozen=True, kw_only=True, slots=True)
class EventView:
    event: Event
    yearly: Yearly
    act: Act
    signals: tuple[SignalView, ...]


class SirenDesk:
    """One act at a time. A stop waits for none of the others."""

    def __init__(
        self, stored: rows.Stored, *, signals: Signals, store: Store, registry: Callable[[], Registry], tz: ZoneInfo,
        clock: Clock,
    ) -> None:  # fmt: skip
        self.signals = signals
        self.templates = signals.templates
        self.events: dict[str, Event] = dict(stored.events)
        self.tz = tz
        self._acts = dict(stored.acts)
        self._store = store
        self._registry = registry
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    # The act led by a person.

    async def start(self, template: str, area: tuple[str, ...], *, actor: str) -> ActView:
        """Begin an act with its first signal. Raises NotFound, Rejected (one is running, no area), StorageFailed."""
        act = self.templates.acts.get(template)
        if act is None:
            raise NotFound("siren act", template)
        root = self._registry().root.code
        resolve(parse_areas(area, root), self._registry(), tuple(Channel(c) for c in act.channels))  # or refuses
        async with self._one_at_a_time:
            running = self.running()
            if running is not None:
                sentence = _("The siren act {act} is running: lead it on, or stop it first.", act=running.row.id)
                raise Rejected(RejectReason.LOCKED, sentence)
            now = self._clock.now()
            row = ActRow(
                id=f"act-{secrets.token_hex(4)}", template=template, area=area, started_at=now, started_by=actor
            )
            await self._keep_act(row, "siren.start", actor, {"template": template, "area": area})
            await self._sound(row, act, 0, actor)
        return self._view(self._acts[row.id])

    async def next(self, *, actor: str, signal: int | None = None) -> ActView:
        """End the signal that sounds and sound the next. Raises Rejected, StorageFailed.

        `signal` is the number of the one that is meant: said again, or by two people, it sounds once.
        """
        async with self._one_at_a_time:
            running = self.running()
            if running is None:
                raise _nothing_runs()
            if signal is not None and running.following != signal:
                return self._already(running, signal)
            if running.following is None:
                sentence = _("The siren act {act} has sounded its last signal.", act=running.row.id)
                raise Rejected(RejectReason.NOT_LIVE, sentence)
            await self.signals.stop(running.row.id, actor=actor)  # of equal weight, they would wait for each other
            if self._acts[running.row.id].ended_at is not None:  # it was stopped meanwhile
                raise _nothing_runs()
            await self._sound(running.row, running.act, running.following, actor)
        return self._view(self._acts[running.row.id])

    def _already(self, running: ActView, signal: int) -> ActView:
        """The act as it stands, if this signal has been sounded; else it is not its turn."""
        if any(view.number == signal and view.signal is not None for view in running.signals):
            return running
        sentence = _("Signal {signal} is not the next one of the siren act {act}.", signal=signal, act=running.row.id)
        raise Rejected(RejectReason.NOT_LIVE, sentence, "signal")

    async def stop(self, *, actor: str) -> ActView:
        """Silence the act, and let nothing more come of it. Never behind another act: it takes no lock."""
        running = self.running()
        if running is None:
            raise _nothing_runs()
        ended = replace(running.row, ended_at=self._clock.now(), ended_by=actor)
        self._acts[ended.id] = ended  # what is being composed at this moment is stopped when it comes
        stopped = await self.signals.stop(ended.id, actor=actor)
        await self._keep_act(ended, "siren.stop", actor, {"stopped": stopped})
        return self._view(ended)

    def running(self) -> ActView | None:
        """The act that is running."""
        views = (self._view(row) for row in self._known() if row.ended_at is None)
        return next((view for view in views if view.running), None)

    def newest(self) -> ActView | None:
        """The act that is running, or the last one."""
        last = max(self._known(), key=lambda row: row.started_at, default=None)
        return self.running() or (None if last is None else self._view(last))

    def _known(self) -> list[ActRow]:
        """The acts whose template there still is: another file may have taken its place."""
        return [row for row in self._acts.values() if row.template in self.templates.acts]

    async def _sound(self, row: ActRow, act: Act, number: int, actor: str) -> None:
        sent = self._clock.now().replace(microsecond=0)
        await self.signals.sound(row.id, act, number, area=row.area, sent=sent, actor=actor)
        if self._acts[row.id].ended_at is not None:  # it was stopped while this was being made
            await self.signals.stop(row.id, actor=self._acts[row.id].ended_by or actor)

    # The calendar.

    async def confirm(self, template: str, when: date, *, actor: str) -> EventView:
        """Let a proposed day sound. Raises NotFound, Rejected (too late, taken back, or changed since)."""
        async with self._one_at_a_time:
            event = self._event(template, when)
            if event.state not in {EventState.PROPOSED, EventState.CONFIRMED}:
                raise self._over(event)
            first = self.planned(event, 0)
            if first is None or self._clock.now() >= first:
                raise self._over(event)
            digest = self.templates.digest(template)
            if event.confirmed and event.digest != digest:
                event = replace(event, confirmed=())  # it is another day than the one that was confirmed
            if all(c.actor != actor for c in event.confirmed):
                confirmation = Confirmation(actor=actor, at=self._clock.now())
                event = replace(event, confirmed=(*event.confirmed, confirmation))
            enough = len(event.confirmed) >= CONFIRMATIONS
            state = EventState.CONFIRMED if enough else EventState.PROPOSED
            event = replace(event, state=state, digest=digest)
            await self.keep_event(event, "siren.confirm", actor)
        return self.event_view(event)

    async def withdraw(self, template: str, when: date, *, actor: str) -> EventView:
        """Take a day back, and silence what of it sounds. Raises NotFound, Rejected."""
        event = self._event(template, when)
        if event.state not in {EventState.PROPOSED, EventState.CONFIRMED}:
            raise self._over(event)
        event = replace(event, state=EventState.WITHDRAWN)
        self.events[event.act_id] = event
        await self.signals.stop(event.act_id, actor=actor)
        await self.keep_event(event, "siren.withdraw", actor)
        return self.event_view(event)

    def calendar(self) -> list[EventView]:
        """Every day that was proposed, the newest first."""
        known = [e for e in self.events.values() if e.template in self.templates.calendar]
        return [self.event_view(e) for e in sorted(known, key=lambda e: e.date, reverse=True)]

    def planned(self, event: Event, number: int) -> datetime | None:
        """The instant of a signal of that day."""
        return instant(event.date, self.templates.calendar[event.template].at[number], self.tz)

    def event_view(self, event: Event) -> EventView:
        yearly = self.templates.calendar[event.template]
        act = self.templates.acts[yearly.act]
        return EventView(event=event, yearly=yearly, act=act, signals=self._signals(event.act_id, act, event))

    async def keep_event(self, event: Event, action: str, actor: str) -> None:
        detail = {"state": event.state.value, "digest": event.digest, "confirmed": [c.actor for c in event.confirmed]}
        await self._store.write(partial(_put_event, event=event, action=action, actor=actor, detail=detail,
                                        now=self._clock.now()))  # fmt: skip
        self.events[event.act_id] = event

    # Inside.

    async def _keep_act(self, row: ActRow, action: str, actor: str, detail: dict[str, Any]) -> None:
        now = self._clock.now()

        async def job(connection: AsyncConnection) -> None:
            await rows.put_act(connection, row)
            await audit.record(connection, now=now, actor=actor, action=action, object_=row.id, detail=detail)

        await self._store.write(job)
        self._acts[row.id] = row

    def _view(self, row: ActRow) -> ActView:
        act = self.templates.acts[row.template]
        views = self._signals(row.id, act, None)
        going = (v.number for v in views if v.signal is None or v.signal.outcome is not SignalOutcome.SENT)
        return ActView(row=row, act=act, signals=views, following=next(going, None))

    def _signals(self, act_id: str, act: Act, event: Event | None) -> tuple[SignalView, ...]:
        found = []
        for number, signal in enumerate(act.signals):
            sounded = self.signals.known.get((act_id, number))
            stopped, until = self._standing(sounded)
            planned = None if event is None else self.planned(event, number)
            found.append(
                SignalView(
                    number=number, pattern=signal.pattern, planned=planned, signal=sounded, stopped=stopped,
                    sounds_until=until,
                )
            )  # fmt: skip
        return tuple(found)

    def _standing(self, sounded: Sounded | None) -> tuple[bool, datetime | None]:
        """Whether it was stopped, and until when it may sound; from what is live, so it is true after a restart."""
        if sounded is None or sounded.alert_id is None:
            return False, None
        revisions = self.signals.live.revisions(sounded.alert_id)
        if any(live.ended for live in revisions):
            return True, None
        now = self._clock.now()
        ends = (live.accepted_at + live.longest() for live in revisions if not live.complete)
        return False, max((end for end in ends if end > now), default=None)

    def _event(self, template: str, when: date) -> Event:
        event = self.events.get(f"{template}:{when.isoformat()}")
        if event is None or template not in self.templates.calendar:
            raise NotFound("siren day", f"{template} {when.isoformat()}")
        return event

    def _over(self, event: Event) -> Rejected:
        sentence = _("The siren day {day} is {state}.", day=event.act_id, state=event.state.value)
        return Rejected(RejectReason.NOT_LIVE, sentence)


def _nothing_runs() -> Rejected:
    return Rejected(RejectReason.NOT_LIVE, _("No siren act is running."))


async def _put_event(
    connection: AsyncConnection, event: Event, action: str, actor: str, detail: dict[str, Any], now: datetime
) -> None:
    await rows.put_event(connection, event)
    await audit.record(connection, now=now, actor=actor, action=action, object_=event.act_id, detail=detail)
