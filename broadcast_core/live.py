"""What is live right now, in memory.

The express lane, the answer to a hello and the chaser read it; none of them may wait for the database. It is built
from the outbox at a start and follows it from then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from broadcast_core.model import (
    Channel,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Domain,
    Endpoint,
    MessageKind,
    Opening,
    Plan,
    Programme,
    Progress,
    Receipt,
    Sounded,
    Spoken,
    Start,
    Stop,
)

# A speaker sends its sum of a programme at random within this time after the end (docs/protocols/ip-speaker.md).
PROOF_SPREAD: Final = timedelta(seconds=60)
_STOP_OUTLIVES: Final = timedelta(minutes=5)  # a stop is kept up a little longer than the last thing it ends

_STOPS_KEPT: Final = 10_000  # far more than can come while one message is being composed


@dataclass(slots=True)
class LiveDelivery:
    """One delivery on its way, and how far its evidence reaches."""

    delivery: Delivery
    key: DeliveryKey
    progress: Progress = Progress.QUEUED
    attempt: int = 1
    handed: bool = False  # it was, or may have been, given to the field, whatever became of that attempt
    sent_at: float | None = None  # monotonic; of the newest attempt
    asked: int = 0  # how often its missing evidence was asked for
    ask_at: float = 0.0  # monotonic; not asked again before

    def this_attempt(self) -> Delivery:
        """The delivery as it goes out now."""
        return self.delivery if self.attempt == 1 else replace(self.delivery, attempt=self.attempt)


@dataclass(slots=True)
class LiveAlert:
    """One message on its way: its starts, or its stops."""

    alert_id: str
    revision: int
    expires: datetime
    accepted_at: datetime
    starts: Mapping[Channel, Opening]
    kind: MessageKind = MessageKind.ALERT
    deliveries: dict[DeliveryKey, LiveDelivery] = field(default_factory=dict)
    tally: Counter[tuple[Channel, DeliveryKind, Progress]] = field(default_factory=Counter)
    ended: bool = False  # by a stop, cancel or update
    held: int = 0  # how many messages that end it are being made durable: meanwhile nothing new of it goes out

    @property
    def complete(self) -> bool:
        """Every delivery has ended, one way or the other."""
        return all(n == 0 or progress.ended for (_, _, progress), n in self.tally.items())

    @property
    def domain(self) -> Domain:
        """The domain that all starts of a message share."""
        return next(iter(self.starts.values())).domain

    def possibly_sounding(self) -> list[LiveDelivery]:
        """Start deliveries that were handed to the field and whose end is not proven.

        One that failed may sound all the same (its report got lost), and so may one that waits for another attempt
        (the first one's acknowledgement got lost); only a proven end is an end.
        """
        return [
            entry
            for entry in self.deliveries.values()
            if entry.key.kind is DeliveryKind.START
            and entry.progress < Progress.STOPPED
            and (entry.handed or entry.progress > Progress.QUEUED)
        ]

    def longest(self) -> timedelta:
        """How long the longest of its contents sounds."""
        return max((sounding_time(s) for s in self.starts.values()), default=timedelta())

    @property
    def proof_due(self) -> datetime | None:
        """Of a programme: when a speaker's sum of it is due, and not before. None: each rung is due at its time."""
        if any(isinstance(s, Start) and isinstance(s.content, Programme) for s in self.starts.values()):
            return self.expires + PROOF_SPREAD
        return None


class Live:
    """All live messages, by identity and by endpoint."""

    def __init__(self) -> None:
        self._alerts: dict[tuple[str, int], LiveAlert] = {}
        self._by_endpoint: dict[str, dict[DeliveryKey, LiveAlert]] = {}
        self._stops: dict[str, int] = {}  # alert -> the number of its last stop
        self.stops = 0  # the number of the last stop of any alert

    def __iter__(self) -> Iterator[LiveAlert]:
        return iter(list(self._alerts.values()))

    def alerts(self) -> Iterator[LiveAlert]:
        """Only the alerts among the messages."""
        return (live for live in self if live.kind is MessageKind.ALERT)

    def get(self, alert_id: str, revision: int) -> LiveAlert | None:
        return self._alerts.get((alert_id, revision))

    def revisions(self, alert_id: str) -> list[LiveAlert]:
        """The live revisions of an alert, oldest first."""
        found = [a for (known, _), a in self._alerts.items() if known == alert_id]
        return sorted(found, key=lambda a: a.revision)

    def begin(
        self,
        plan: Plan,
        *,
        starts: Mapping[Channel, Opening],
        expires: datetime,
        accepted_at: datetime,
        kind: MessageKind = MessageKind.ALERT,
    ) -> LiveAlert:
        """Take up a message that was just made durable."""
        live = LiveAlert(plan.alert_id, plan.revision, expires, accepted_at, starts, kind)
        for unreachable in plan.unreachable:  # targets too, failed from the first second
            live.tally[unreachable.endpoint.channel, DeliveryKind.START, Progress.FAILED] += 1
        self._alerts[plan.alert_id, plan.revision] = live
        self.add(live, plan.deliveries)
        return live

    def add(self, live: LiveAlert, deliveries: Iterable[Delivery]) -> list[LiveDelivery]:
        """More deliveries of a live message (its stops). Those already there stay as they are."""
        added = []
        for delivery in deliveries:
            key = key_of(delivery, live.alert_id, live.revision)
            if key in live.deliveries:
                continue
            entry = LiveDelivery(delivery, key)
            live.deliveries[key] = entry
            live.tally[delivery.endpoint.channel, key.kind, Progress.QUEUED] += 1
            self._by_endpoint.setdefault(delivery.endpoint.id, {})[key] = live
            added.append(entry)
        return added

    def forget(self, live: LiveAlert) -> None:
        """Nothing more will come of this message."""
        self._alerts.pop((live.alert_id, live.revision), None)
        for key in live.deliveries:
            of_endpoint = self._by_endpoint.get(key.endpoint_id)
            if of_endpoint is not None:
                of_endpoint.pop(key, None)
                if not of_endpoint:
                    del self._by_endpoint[key.endpoint_id]

    def find(self, key: DeliveryKey) -> tuple[LiveAlert, LiveDelivery] | None:
        live = self._alerts.get((key.alert_id, key.revision))
        if live is None:
            return None
        entry = live.deliveries.get(key)
        return None if entry is None else (live, entry)

    def note(self, receipt: Receipt) -> LiveDelivery | None:
        """Take evidence into account; the delivery it is about, if that is live."""
        found = self.find(receipt.key)
        if found is None:
            return None
        live, entry = found
        if receipt.retry_after is None:
            self.advance(live, entry, receipt.progress)
        return entry

    def advance(self, live: LiveAlert, entry: LiveDelivery, progress: Progress) -> bool:
        """Raise a delivery's progress; it never falls."""
        if progress <= entry.progress:
            return False
        self._move(live, entry, progress)
        return True

    def requeue(self, live: LiveAlert, entry: LiveDelivery) -> None:
        """The one way back: an attempt failed before there was any evidence, and dispatch tries again."""
        if entry.progress <= Progress.SENT:
            self._move(live, entry, Progress.QUEUED)

    def _move(self, live: LiveAlert, entry: LiveDelivery, progress: Progress) -> None:
        channel = entry.delivery.endpoint.channel
        live.tally[channel, entry.key.kind, entry.progress] -= 1
        live.tally[channel, entry.key.kind, progress] += 1
        entry.progress = progress

    def end(self, stop: Stop) -> list[tuple[LiveAlert, LiveDelivery]]:
        """Mark the alert's revisions as ended; returns what may be sounding or on its way.

        What waits in the queue is withdrawn at once.
        """
        reached: list[tuple[LiveAlert, LiveDelivery]] = []
        for live in self.revisions(stop.alert_id):
            if live.revision > stop.revision:
                continue
            live.ended = True
            reached += [(live, entry) for entry in live.possibly_sounding()]
            for entry in live.deliveries.values():
                if entry.key.kind is DeliveryKind.START and entry.progress is Progress.QUEUED:
                    self.advance(live, entry, Progress.STOPPED)
        return reached

    def stop_of(self, alert_id: str, revision: int, *, actor: str, cause: str, now: datetime, domain: Domain) -> Stop:
        """The order that ends an alert up to a revision, valid until the last of what it ends is surely over."""
        ends = [a for a in self.revisions(alert_id) if a.revision <= revision]
        return Stop(
            alert_id=alert_id,
            revision=max((a.revision for a in ends), default=revision),
            domain=domain,
            acted_at=now,
            expires=max([now, *(a.expires + a.longest() for a in ends)]) + _STOP_OUTLIVES,
            actor=actor,
            cause=cause,
        )

    def note_stop(self, alert_id: str) -> None:
        """Somebody has stopped the alert: what was under way to become its next revision is meant too."""
        self.stops += 1
        self._stops.pop(alert_id, None)
        self._stops[alert_id] = self.stops
        if len(self._stops) > _STOPS_KEPT:
            del self._stops[next(iter(self._stops))]

    def stopped_since(self, alert_id: str, number: int) -> bool:
        """Whether somebody has stopped the alert after the stop of that number."""
        return self._stops.get(alert_id, 0) > number

    @contextmanager
    def held(self, ends: Iterable[tuple[str, int]]) -> Iterator[None]:
        """While what ends these (up to a revision) becomes durable nothing new of them goes out.

        Whom the end has to be told is fixed when it is stored; a start that left after that would sound on.
        """
        held = [live for alert_id, upto in ends for live in self.revisions(alert_id) if live.revision <= upto]
        for live in held:
            live.held += 1
        try:
            yield
        finally:
            for live in held:
                live.held -= 1

    def stopping(self, stop: Stop, reached: Iterable[tuple[LiveAlert, LiveDelivery]]) -> Plan:
        """The deliveries of a stop: to everyone its starts may have reached, the way the starts went."""
        by_endpoint = {entry.key.endpoint_id: entry.delivery for _, entry in reached}
        deliveries = tuple(replace(delivery, order=stop, attempt=1) for delivery in by_endpoint.values())
        return Plan(alert_id=stop.alert_id, revision=stop.revision, deliveries=deliveries)

    def starts_for(self, endpoint: Endpoint, now: datetime) -> tuple[Start, ...]:
        """The current orders of an endpoint: of each message the newest start that is meant for it, unless that has
        been stopped here, has ended or has expired."""
        known = self._by_endpoint.get(endpoint.id, {})
        newest: dict[str, DeliveryKey] = {}
        stopped: dict[str, int] = {}
        for key in known:
            if key.kind is DeliveryKind.STOP:
                stopped[key.alert_id] = max(stopped.get(key.alert_id, 0), key.revision)
            elif key.alert_id not in newest or key.revision > newest[key.alert_id].revision:
                newest[key.alert_id] = key
        found = []
        for alert_id, key in newest.items():
            live = known[key]
            start = live.starts[endpoint.channel]
            over = live.ended or live.expires <= now or key.revision <= stopped.get(alert_id, 0)
            if isinstance(start, Start) and not over and not live.deliveries[key].progress.ended:
                found.append(start)
        return tuple(found)

    def told(self, alert_id: str) -> dict[str, int]:
        """The endpoints for which a message's start holds, with its newest revision there: those it was withdrawn
        from are left out."""
        starts: dict[str, int] = {}
        stops: dict[str, int] = {}
        for live in self.revisions(alert_id):
            for key in live.deliveries:
                of_kind = stops if key.kind is DeliveryKind.STOP else starts
                of_kind[key.endpoint_id] = max(of_kind.get(key.endpoint_id, 0), key.revision)
        return {endpoint: revision for endpoint, revision in starts.items() if revision > stops.get(endpoint, 0)}


def key_of(delivery: Delivery, alert_id: str, revision: int) -> DeliveryKey:
    """The identity of a delivery of this message."""
    kind = DeliveryKind.STOP if isinstance(delivery.order, Stop) else DeliveryKind.START
    return DeliveryKey(alert_id=alert_id, revision=revision, kind=kind, endpoint_id=delivery.endpoint.id)


def sounding_time(opening: Opening) -> timedelta:
    """How long it sounds when nothing goes wrong."""
    if not isinstance(opening, Start):
        return timedelta()
    start = opening
    if isinstance(start.content, Programme):
        return start.expires - start.starts_at
    if isinstance(start.content, Spoken):
        return start.content.audio.duration if start.content.audio else timedelta(seconds=10)
    if isinstance(start.content, Sounded):
        return start.content.pattern.total
    return timedelta()
