"""What changes, told to whoever watches: looked at four times a second, written once for all watchers.

Nothing is done while nobody watches. A watcher that does not keep up loses its backlog and gets the numbers anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.live import LiveAlert
from broadcast_core.model import Channel, DeliveryKey, DeliveryKind, MessageKind, Progress
from broadcast_core.report import LiveCount, State, live_counts, state_of
from broadcast_core.services import Services
from broadcast_core.web.presence import PresenceCounts, presence_counts

log = structlog.get_logger(__name__)

TICK_S: Final = 0.25
_MOST_WATCHERS: Final = 128  # far below the cap on connections: a stop always finds room
_BACKLOG: Final = 64  # events; 16 seconds of a busy alert

Identity = tuple[str, int]
_Tally = tuple[dict[tuple[Channel, DeliveryKind, Progress], int], bool]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of an alert's live revisions, oldest first: the first event of a stream."""

    alert_id: str
    revisions: tuple[LiveCount, ...]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What has changed in one revision since the last event: its numbers now, and who stands where now."""

    count: LiveCount
    starts: Mapping[State, list[str]]
    stops: Mapping[State, list[str]]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """All live alerts, or those that have changed; `gone` are no longer live."""

    alerts: tuple[LiveCount, ...]
    gone: tuple[Identity, ...] = ()
    presence: PresenceCounts | None = None  # None: as before


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    name: str
    data: str
    last: bool = False


@dataclass(eq=False, slots=True)
class Watcher:
    """One stream's waiting events."""

    alert_id: str | None  # None watches everything
    over: bool = False
    events: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(_BACKLOG))

    async def follow(self) -> AsyncIterator[Event]:
        """The events as they come, until the last one."""
        while True:
            event = await self.events.get()
            yield event
            if event.last:
                return


class Watch:
    """Everybody who watches, and the one task that looks for them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._watchers: set[Watcher] = set()
        self._looking: asyncio.Task[None] | None = None
        self._tallies: dict[Identity, _Tally] = {}
        self._stood: dict[Identity, dict[DeliveryKey, Progress]] = {}
        self._presence: PresenceCounts = {}
        self._closed = False

    @contextmanager
    def watching(self, alert_id: str | None) -> Iterator[Watcher]:
        """Watch an alert, or everything. Raises Rejected(BUSY) beyond the most that may."""
        if len(self._watchers) >= _MOST_WATCHERS or self._closed:
            sentence = _("{count} streams are open, that is the most; close one.", count=len(self._watchers))
            raise Rejected(RejectReason.BUSY, sentence)
        if self._looking is None:
            self.look()  # nobody watched: how it stands now is where changes begin
            self._looking = asyncio.create_task(self._look_forever(), name="watch")
            self._looking.add_done_callback(self._ended)
        watcher = Watcher(alert_id)
        self._watchers.add(watcher)
        self._begin(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._rest()

    def close(self) -> None:
        """End all streams: the server goes down."""
        self._closed = True
        self._end_all()

    def is_live(self, alert_id: str) -> bool:
        return bool(self._services.live.revisions(alert_id))

    def look(self) -> None:
        """Compare what is live with how it stood, and tell the watchers."""
        changed = [live for live in self._services.live if self._moved(live)]
        known = {(live.alert_id, live.revision) for live in self._services.live}
        gone = tuple(identity for identity in self._tallies if identity not in known)
        for identity in gone:
            del self._tallies[identity]
            self._stood.pop(identity, None)
        for live in changed:
            self._tell_changes(live)
        for alert_id in {w.alert_id for w in self._watchers} - {None}:
            assert alert_id is not None
            if self._is_over(alert_id):
                self._tell_all(alert_id, self._end(alert_id))
        self._tell_overview(changed, gone)

    def _begin(self, watcher: Watcher) -> None:
        """How it stands. The next changes may tell some of it again: they say how things are, not what was added."""
        watcher.events.put_nowait(self._first(watcher))
        if watcher.alert_id is None:
            return
        for live in self._services.live.revisions(watcher.alert_id):
            self._stood.setdefault((live.alert_id, live.revision), _standing(live))
        if self._is_over(watcher.alert_id):
            self._tell(watcher, self._end(watcher.alert_id))

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.look()

    def _ended(self, looking: asyncio.Task[None]) -> None:
        """A stream that stands still without an end would look like an alert that stands still."""
        if not looking.cancelled() and looking.exception() is not None:
            log.error("nobody looks for the watchers any more, their streams end", exc_info=looking.exception())
            self._looking = None
            self._end_all()

    def _end_all(self) -> None:
        for watcher in self._watchers:
            self._tell(watcher, Event("end", "{}", last=True))

    def _rest(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self._tallies.clear()
        self._stood.clear()
        self._presence = {}

    def _moved(self, live: LiveAlert) -> bool:
        identity = (live.alert_id, live.revision)
        tally = (dict(live.tally), live.ended)
        if self._tallies.get(identity) == tally:
            return False
        self._tallies[identity] = tally
        return True

    def _tell_changes(self, live: LiveAlert) -> None:
        identity = (live.alert_id, live.revision)
        before = self._stood.pop(identity, {})
        if any(w.alert_id == live.alert_id for w in self._watchers):
            now = self._stood[identity] = _standing(live)
            self._tell_all(live.alert_id, _event("changes", _changes(live, now.items() - before.items())))

    def _tell_overview(self, changed: Iterable[LiveAlert], gone: tuple[Identity, ...]) -> None:
        if not any(w.alert_id is None for w in self._watchers):
            return
        presence = self._count_presence()
        new_presence = None if presence == self._presence else presence
        self._presence = presence
        counts = tuple(live_counts(live for live in changed if live.kind is MessageKind.ALERT))
        if counts or gone or new_presence is not None:
            event = _event("changes", Overview(alerts=counts, gone=gone, presence=new_presence))
            self._tell_all(None, event)

    def _tell_all(self, alert_id: str | None, event: Event) -> None:
        for watcher in self._watchers:
            if watcher.alert_id == alert_id:
                self._tell(watcher, event)

    def _tell(self, watcher: Watcher, event: Event) -> None:
        if watcher.over:
            return
        watcher.over = event.last
        if watcher.events.full():
            while not watcher.events.empty():
                watcher.events.get_nowait()
            watcher.events.put_nowait(self._first(watcher))
        watcher.events.put_nowait(event)

    def _first(self, watcher: Watcher) -> Event:
        live = self._services.live
        if watcher.alert_id is None:
            return _event(
                "counts", Overview(alerts=tuple(live_counts(live.alerts())), presence=self._count_presence())
            )
        counts = tuple(live_counts(live.revisions(watcher.alert_id)))
        return _event("counts", Counts(alert_id=watcher.alert_id, revisions=counts))

    def _end(self, alert_id: str) -> Event:
        counts = tuple(live_counts(self._services.live.revisions(alert_id)))
        return _event("end", Counts(alert_id=alert_id, revisions=counts), last=True)

    def _is_over(self, alert_id: str) -> bool:
        return all(live.complete for live in self._services.live.revisions(alert_id))

    def _count_presence(self) -> PresenceCounts:
        return presence_counts(self._services.registry(), self._services.dispatch.presence)


def _standing(live: LiveAlert) -> dict[DeliveryKey, Progress]:
    return {key: entry.progress for key, entry in live.deliveries.items()}


def _changes(live: LiveAlert, moved: Iterable[tuple[DeliveryKey, Progress]]) -> Changes:
    starts: dict[State, list[str]] = {}
    stops: dict[State, list[str]] = {}
    for key, progress in moved:
        who = starts if key.kind is DeliveryKind.START else stops
        who.setdefault(state_of(progress), []).append(key.endpoint_id)
    return Changes(count=live_counts([live])[0], starts=starts, stops=stops)


def _event(name: str, body: Counts | Changes | Overview, *, last: bool = False) -> Event:
    return Event(name, msgspec.json.encode(body).decode(), last)
