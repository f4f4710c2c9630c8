"""IP speakers over MQTT 5: thin I/O between our orders and the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any, Final, Self

import structlog

from broadcast_core.clock import Clock, to_ms
from broadcast_core.config import Mqtt
from broadcast_core.errors import DriverUnavailable
from broadcast_core.model import (
    AudioRef,
    Batch,
    Channel,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Domain,
    FieldEvent,
    ModeChange,
    Order,
    Orders,
    Progress,
    Query,
    Receipt,
    SelfTest,
    SoundClass,
    Start,
    Stop,
)
from broadcast_core.signing import KeyScope, Mac, Signer
from broadcast_core.tasks import end, keep_running
from drivers.ip_speaker.access import Access
from drivers.ip_speaker.collector import Collector
from drivers.ip_speaker.link import Link, LinkDown
from drivers.ip_speaker.membership import Zones, ZoneTopics
from drivers.ip_speaker.roll_call import RollCall
from drivers.ip_speaker.wire import Topics, Up, command
from drivers.ip_speaker.wire.selftest import selftest_command

log = structlog.get_logger(__name__)

_BEACON_S: Final = 15.0
_TARGETS_IN_A_MESSAGE: Final = 50  # endpoints that share one signature when each is told on its own topic
_PUBLISHES_AT_ONCE: Final = 64
_ORDERS_LIFETIME_S: Final = 30.0
_SENT_DELAY_S: Final = 0.25
# Of the publicity that a speaker does not hold, orders carry this much, beginning with what is due first. A broker
# drops what is larger than its client takes (1 MiB), and a speaker whose orders never come hears no alert either. The
# rest is in the next orders: a speaker asks for the time before each occurrence.
_AHEAD_IN_ORDERS: Final = 256 * 1024  # bytes
_PROGRAMMES_IN_ORDERS: Final = 64


@dataclass(frozen=True, slots=True)
class _Message:
    """Signed bytes and where they go."""

    topics: tuple[str, ...]
    payload: bytes
    lifetime_s: float


class IpSpeakerDriver:
    """The speakers' driver; see `broadcast_core.driver.Driver`.

    `mac_of` gives an endpoint's key (None: not ours), `zones` its memberships, `tones` what every speaker keeps in
    its local store. `epoch` rises with every start of the core and orders all commands together with a counter.
    """

    channel: Final = Channel.SPEAKER

    def __init__(
        self,
        settings: Mqtt,
        *,
        password: str | None,
        signer: Signer,
        mac_of: Callable[[str], Mac | None],
        zones: Zones,
        tones: Mapping[str, AudioRef],
        epoch: int,
        clock: Clock,
        domain: Domain = Domain.LIVE,
    ) -> None:
        self._settings = settings
        self._signer = signer
        self._clock = clock
        self._domain: Final = domain
        self._tones = {name: command.audio_of(ref) for name, ref in tones.items()}
        self._epoch: Final = epoch
        self._sequence = count(1)
        topics = Topics(settings.prefix, domain)
        self._topics: Final = topics
        self._zone_topics: Final = ZoneTopics(topics, zones, settings.shard_size)
        self._events: asyncio.Queue[Batch | None] = asyncio.Queue()
        self._roll_call = RollCall(
            topics, mac_of, self._events, clock, expected=zones.speakers, silent_after_s=settings.silent_after_s
        )
        access = Access(settings, password)
        # Connections of their own: alerts never queue behind publicity, hellos, their answers, or receipts.
        self._commands = Link(access, f"{domain}-commands")
        self._calm = Link(access, f"{domain}-calm")  # publicity and tests
        self._desk = Link(access, f"{domain}-desk")
        # Read by our own reader too: aiomqtt queues without a bound what comes faster than it is taken.
        self._roll = Collector(
            access,
            f"{domain}-roll",
            (topics.all_up(Up.HELLO), topics.all_up(Up.ALIVE)),
            self._roll_call.take_statuses,
        )
        self._receipts = Collector(
            access, f"{domain}-receipts", (topics.all_up(Up.RECEIPT),), self._roll_call.take_receipts
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for name, work in (
            ("commands", self._commands.run),
            ("calm", self._calm.run),
            ("desk", self._desk.run),
            ("roll", self._roll.run),
            ("receipts", self._receipts.run),
            ("beacon", self._beacon_forever),
            ("roll-call", self._roll_call.run),
        ):
            self._start(f"speakers-{name}", work)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await end(self._tasks)
        self._events.put_nowait(None)

    async def ready(self) -> None:
        """All connections are up."""
        links = (self._commands, self._calm, self._desk, self._roll, self._receipts)
        await asyncio.gather(*(link.wait_up() for link in links))

    async def send(self, deliveries: Sequence[Delivery]) -> None:
        orders = [d for d in deliveries if isinstance(d.order, Orders)]
        calm = [_on_its_own(d) for d in deliveries if _may_wait(d.order)]
        others = [d for d in deliveries if not isinstance(d.order, Orders) and not _may_wait(d.order)]
        for link, part in ((self._commands, others), (self._calm, calm)):
            if part:
                await self._publish(link, [await self._sign(group) for group in _groups(part)])
                # Our own word, not an endpoint's: put together only when the first rush of receipts is over.
                asyncio.get_running_loop().call_later(_SENT_DELAY_S, self._report_sent, part, self._clock.now())
        if orders:
            await self._publish(self._desk, [await self._sign_orders(delivery) for delivery in orders])

    async def listen(self) -> AsyncIterator[Batch]:
        while (batch := await self._events.get()) is not None:
            yield batch

    def _start(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.create_task(keep_running(name, work), name=name))

    async def _publish(self, link: Link, messages: Sequence[_Message]) -> None:
        if not link.is_up:
            raise DriverUnavailable(self.channel, "the broker cannot be reached")
        slots = asyncio.Semaphore(_PUBLISHES_AT_ONCE)

        async def publish(topic: str, message: _Message) -> None:
            async with slots:
                await link.publish(topic, message.payload, message.lifetime_s)

        try:
            async with asyncio.TaskGroup() as group:
                for message in messages:
                    for topic in message.topics:
                        group.create_task(publish(topic, message))
        except* LinkDown as down:
            raise DriverUnavailable(self.channel, str(down.exceptions[0])) from down

    async def _sign(self, group: Sequence[Delivery]) -> _Message:
        first = group[0]
        if first.via is not None:
            topics = self._zone_topics.of_zone(first.via)
            target = command.Target(zone=first.via, version=first.via_version, excluded=first.excluded)
        else:
            endpoints = tuple(d.endpoint.id for d in group)
            topics = tuple(self._topics.own(e) for e in endpoints)
            target = command.Target(endpoints=endpoints)
        payload, scope, expires = self._encode(first.order, target)
        lifetime = (expires - self._clock.now()).total_seconds()
        return _Message(topics, await self._signer.sign(scope, self._domain, payload), lifetime)

    def _encode(self, order: Order, target: command.Target) -> tuple[bytes, KeyScope, datetime]:
        stamp = self._stamp()
        match order:
            case Start():
                return command.encode(command.start_command(order, target, stamp)), _scope_of(order), order.expires
            case Stop():
                return command.encode(command.stop_command(order, target, stamp)), KeyScope.CONTROL, order.expires
            case ModeChange():
                return command.encode(command.mode_command(order, target, stamp)), KeyScope.CONTROL, order.expires
            case SelfTest():
                return command.encode(selftest_command(order, target, stamp)), KeyScope.TEST, order.expires
            case Query():
                return command.encode(command.query_command(order, target, stamp)), KeyScope.CONTROL, order.expires
            case _:
                raise TypeError(f"not a command for speakers: {order!r}")

    async def _sign_orders(self, delivery: Delivery) -> _Message:
        orders = delivery.order
        assert isinstance(orders, Orders)
        endpoint_id = delivery.endpoint.id
        # Position and content are taken in the same instant: every start signed before it is in `live` or has
        # ended, every later one has a higher position. The speaker relies on that (rules 4 and 9 of the protocol).
        stamp, starts = self._stamp(), orders.live()
        due = {s.alert_id: s.revision for s in starts if s.standing.sound_class is SoundClass.PUBLICITY}
        live = [await self._sign([replace(delivery, order=s)]) for s in starts if s.alert_id not in due]
        ahead = [s for s in starts if s.alert_id in due and orders.holds.get(s.alert_id) != s.revision]
        live += await self._sign_ahead(delivery, sorted(ahead, key=lambda s: s.starts_at))
        message = command.OrdersCommand(
            domain=self._domain,
            epoch=stamp.epoch,
            seq=stamp.seq,
            iat=stamp.iat,
            exp=stamp.iat + int(_ORDERS_LIFETIME_S * 1000),
            target=command.Target(endpoints=(endpoint_id,)),
            nonce=orders.nonce,
            live=tuple(m.payload.decode() for m in live),
            zones=self._zone_topics.of_endpoint(endpoint_id),
            heartbeat_s=self._settings.heartbeat_s,
            tones=self._tones,
            mode=orders.mode,
            volume_floor=orders.volume_floor,
            due=due,
        )
        payload = await self._signer.sign(KeyScope.CONTROL, self._domain, command.encode(message))
        return _Message((self._topics.own(endpoint_id),), payload, _ORDERS_LIFETIME_S)

    async def _sign_ahead(self, delivery: Delivery, ahead: Sequence[Start]) -> list[_Message]:
        """As much of the publicity as orders can carry; at least the first."""
        signed: list[_Message] = []
        room = _AHEAD_IN_ORDERS
        for start in ahead[:_PROGRAMMES_IN_ORDERS]:
            message = await self._sign([replace(delivery, order=start)])
            room -= len(message.payload)
            if signed and room < 0:
                break
            signed.append(message)
        return signed

    def _stamp(self) -> command.Stamp:
        return command.Stamp(epoch=self._epoch, seq=next(self._sequence), iat=to_ms(self._clock.now()))

    def _report_sent(self, deliveries: Sequence[Delivery], at: datetime) -> None:
        events: list[FieldEvent] = []
        for delivery in deliveries:
            order = delivery.order
            if isinstance(order, (Start, Stop, ModeChange, SelfTest)):
                kind = DeliveryKind.STOP if isinstance(order, Stop) else DeliveryKind.START
                key = DeliveryKey(
                    alert_id=order.alert_id, revision=order.revision, kind=kind, endpoint_id=delivery.endpoint.id
                )
                events.append(Receipt(key=key, progress=Progress.SENT, at=at))
        if events:
            self._events.put_nowait(Batch(channel=self.channel, events=events))

    async def _beacon_forever(self) -> None:
        while True:
            await self._commands.wait_up()
            stamp = self._stamp()
            beacon = command.BeaconCommand(
                domain=self._domain,
                epoch=stamp.epoch,
                seq=stamp.seq,
                iat=stamp.iat,
                exp=stamp.iat + int(_BEACON_S * 1000),
                target=command.Target(),
            )
            payload = await self._signer.sign(KeyScope.CONTROL, self._domain, command.encode(beacon))
            try:
                await self._commands.publish(self._topics.beacon, payload, _BEACON_S)
            except LinkDown as down:
                log.debug("no beacon", detail=str(down))
            await asyncio.sleep(_BEACON_S)


def _groups(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Deliveries that one signed message can carry: the same order through the same zone, or to a few endpoints."""
    by_way: dict[tuple[Order | int, str | None], list[Delivery]] = {}
    for delivery in deliveries:
        by_way.setdefault((id(delivery.order), delivery.via), []).append(delivery)
    groups: list[list[Delivery]] = []
    for (_, via), group in by_way.items():
        size = len(group) if via is not None else _TARGETS_IN_A_MESSAGE
        if _is_test(group[0].order):
            size = 1
        groups += [group[i : i + size] for i in range(0, len(group), size)]
    return groups


def _may_wait(order: Order) -> bool:
    """Publicity and tests."""
    return _is_test(order) or (isinstance(order, Start) and order.standing.sound_class is SoundClass.PUBLICITY)


def _is_test(order: Order) -> bool:
    """What the key for tests signs: a speaker obeys it only where it is the one target."""
    return isinstance(order, SelfTest) or (isinstance(order, Start) and _scope_of(order) is KeyScope.TEST)


def _on_its_own(delivery: Delivery) -> Delivery:
    """A test never goes by a zone's topic, however the plan would save a message."""
    if delivery.via is None or not _is_test(delivery.order):
        return delivery
    return replace(delivery, via=None, via_version=0, excluded=())


def _scope_of(start: Start) -> KeyScope:
    if start.standing.sound_class is SoundClass.PUBLICITY:
        return KeyScope.PUBLICITY
    if start.standing.sound_class is SoundClass.TEST:
        return KeyScope.TEST
    if not start.approval.actors:
        raise DriverUnavailable(Channel.SPEAKER, "an emergency start without the record of who let it start")
    return KeyScope.EMERGENCY
