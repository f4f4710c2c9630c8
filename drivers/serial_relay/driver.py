"""The horns' driver: the core's side. See docs/protocols/serial-relay.md for the three processes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Self

import msgspec
import structlog

from broadcast_core.clock import Clock
from broadcast_core.config import Serial
from broadcast_core.errors import DriverUnavailable
from broadcast_core.model import (
    Availability,
    Batch,
    Channel,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Endpoint,
    FieldEvent,
    Presence,
    Progress,
    Query,
    Reason,
    Receipt,
    SelfTest,
    Start,
    Stop,
)
from drivers.serial_relay import orders, wire
from drivers.serial_relay.ledger import Ledger
from drivers.serial_relay.tree import Tree

_START_S: Final = 2.0  # how long entering waits for the processes to exist, which is not yet for the field
_RESTART_FIRST_S: Final = 0.1
_RESTART_MAX_S: Final = 5.0
_STABLE_S: Final = 30.0  # a worker that lived this long starts the waits anew
_MAX_WAITING: Final = 1000  # batches nobody has taken; beyond it news of presence is dropped, receipts never are

log = structlog.get_logger(__name__)


class SerialRelayDriver:
    """Keeps guard and worker running, and every live order with them. Implements broadcast_core.driver.Driver."""

    channel: Channel = Channel.HORN

    def __init__(self, settings: Serial, clock: Clock, endpoints: Iterable[Endpoint] = ()) -> None:
        self._configuration = orders.configuration(settings)
        self._coils = orders.coils_by_board(settings)
        self._clock = clock
        self._ledger = Ledger()
        self._tree: Tree | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._started = asyncio.Event()
        self._batches: asyncio.Queue[Batch | None] = asyncio.Queue()
        self._horns: dict[tuple[str, int], frozenset[str]] = {}
        self._present: dict[tuple[str, int], wire.Presence] = {}
        self.watch(endpoints)

    async def __aenter__(self) -> Self:
        if self._configuration.lines:
            self._keeper = asyncio.create_task(self._keep(), name="serial_relay.keeper")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_START_S):
                    await self._started.wait()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        self._batches.put_nowait(None)

    def watch(self, endpoints: Iterable[Endpoint]) -> None:
        """The horns whose availability is to be reported. May be called again when the registry changes."""
        horns: dict[tuple[str, int], set[str]] = {}
        for endpoint in endpoints:
            if endpoint.coil is not None:
                horns.setdefault((endpoint.coil.line, endpoint.coil.unit), set()).add(endpoint.id)
        self._horns = {board: frozenset(ids) for board, ids in horns.items()}
        self._say([event for presence in self._present.values() for event in self._availability(presence)])

    async def send(self, deliveries: Sequence[Delivery]) -> None:
        """See Driver.send. Without a worker a stop is remembered all the same: the next worker hears it before
        anything else, and only then is told again what was live."""
        told: list[FieldEvent] = []
        untold = False
        for delivery in deliveries:
            match delivery.order:
                case Start() | Stop() | SelfTest() as order:
                    receipts, passed_on = self._take(delivery, order)
                    told += receipts
                    untold |= not passed_on
                case Query(alert_id=alert_id, revision=revision):
                    told += self._held(alert_id, revision, delivery.endpoint.id)
                case other:
                    log.warning("serial_relay.not_for_horns", order=type(other).__name__)
        self._say(told)
        if untold:
            raise DriverUnavailable(self.channel, "no serial worker is running")

    async def listen(self) -> AsyncIterator[Batch]:
        """See Driver.listen."""
        while (batch := await self._batches.get()) is not None:
            yield batch

    @property
    def processes(self) -> tuple[int | None, int | None]:
        """The process ids of guard and worker, as far as they are running."""
        tree = self._tree
        return (None, None) if tree is None else (tree.guard_pid, tree.worker_pid)

    # Orders.

    def _take(self, delivery: Delivery, order: Start | Stop | SelfTest) -> tuple[Sequence[Receipt], bool]:
        """Remember an order and pass it on. Returns what can be said at once, and whether a worker has heard it."""
        key = orders.key_of(delivery.endpoint, order)
        try:
            message = self._message(delivery, order)
        except orders.Unsupported as refusal:
            return [self._failed(key, Reason.UNSUPPORTED, str(refusal))], True
        if held := self._ledger.receipts(key):
            return held, True
        tree = self._tree
        if tree is None and not isinstance(order, Stop):
            return [], False
        if self._ledger.put(message, time.monotonic()) and tree is not None:
            tree.tell(message)
        return [], tree is not None

    def _message(self, delivery: Delivery, order: Start | Stop | SelfTest) -> wire.Sound | wire.Silence | wire.Prove:
        match order:
            case Start():
                return orders.sound(delivery, order, self._coils, self._monotonic)
            case Stop():
                return orders.silence(delivery, order, self._coils, self._monotonic)
            case SelfTest():
                return orders.prove(delivery, order, self._coils, self._monotonic)

    def _held(self, alert_id: str, revision: int, endpoint_id: str) -> Sequence[Receipt]:
        keys = [
            DeliveryKey(alert_id=alert_id, revision=revision, kind=kind, endpoint_id=endpoint_id)
            for kind in DeliveryKind
        ]
        return [receipt for key in keys for receipt in self._ledger.receipts(key)]

    # The processes.

    async def _keep(self) -> None:
        """Start guard and worker again for as long as the driver is open."""
        delay = _RESTART_FIRST_S
        while True:
            started_at = time.monotonic()
            try:
                await self._live_once()
            except (OSError, ValueError, msgspec.DecodeError):
                log.exception("serial_relay.start_failed")
            self._started.set()
            self._mourn()
            if time.monotonic() - started_at > _STABLE_S:
                delay = _RESTART_FIRST_S
            if delay > _RESTART_FIRST_S:  # once may happen; again is a fault that people have to see
                self._miss_all()
            log.error("serial_relay.restart", after_s=delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _RESTART_MAX_S)

    async def _live_once(self) -> None:
        """One life of guard and worker, from start to the certain end of both."""
        tree = await Tree.start(self._configuration)
        try:
            for message in self._ledger.again(time.monotonic()):
                tree.tell(message)
            tree.tell(wire.Begin())
            self._tree = tree
            self._started.set()
            async for events in tree.events():
                self._report(events)
        finally:
            self._tree = None
            await tree.end()

    def _mourn(self) -> None:
        """Say what nobody can prove any more."""
        lost = self._ledger.abandoned(time.monotonic())
        self._say([self._failed(o.key, Reason.DRIVER_CRASHED, "no worker when its pattern ended") for o in lost])

    def _miss_all(self) -> None:
        now = time.monotonic()
        for line, unit in self._horns:
            missed = wire.Presence(line=line, unit=unit, online=False, at=now, detail="no serial worker is running")
            self._present[line, unit] = missed
            self._say(self._availability(missed))

    # Evidence.

    def _report(self, events: wire.Events) -> None:
        for proven in events.proven:
            self._ledger.proven(proven.key, proven.proof)
        for presence in events.presence:
            self._present[presence.line, presence.unit] = presence
        told: list[FieldEvent] = [self._receipt(evidence) for evidence in events.evidence]
        if self._batches.qsize() < _MAX_WAITING:
            told += [event for presence in events.presence for event in self._availability(presence)]
        self._say(told)

    def _say(self, events: Sequence[FieldEvent]) -> None:
        if not events:
            return
        for event in events:
            if isinstance(event, Receipt):
                self._ledger.witnessed(event)
        self._batches.put_nowait(Batch(channel=self.channel, events=tuple(events)))

    def _receipt(self, evidence: wire.Evidence) -> Receipt:
        if evidence.progress is Progress.SENT:
            self._ledger.taken(evidence.key)
        return Receipt(
            key=evidence.key,
            progress=evidence.progress,
            at=self._utc(evidence.at),
            reason=evidence.reason,
            detail=evidence.detail,
            played=_duration(evidence.played_s),
            retry_after=_duration(evidence.retry_after_s),
        )

    def _failed(self, key: DeliveryKey, reason: Reason, detail: str) -> Receipt:
        return Receipt(key=key, progress=Progress.FAILED, at=self._clock.now(), reason=reason, detail=detail)

    def _availability(self, presence: wire.Presence) -> list[Availability]:
        return [
            Availability(
                endpoint_id=endpoint_id,
                presence=Presence.ONLINE if presence.online else Presence.SILENT,
                at=self._utc(presence.at),
                detail=presence.detail,
            )
            for endpoint_id in sorted(self._horns.get((presence.line, presence.unit), ()))
        ]

    # Between the wall clock, which may be stepped, and the one that never is.

    def _monotonic(self, instant: datetime) -> float:
        return time.monotonic() + (instant - self._clock.now()).total_seconds()

    def _utc(self, monotonic: float) -> datetime:
        return self._clock.now() - timedelta(seconds=time.monotonic() - monotonic)


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
