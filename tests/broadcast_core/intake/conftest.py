"""The pipeline, all real but the field: a driver that keeps its protocol and remembers what it was told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from broadcast_core.audit import record
from broadcast_core.clock import Clock, SystemClock
from broadcast_core.config import Policy, Settings
from broadcast_core.dispatch import Dispatch
from broadcast_core.errors import DriverUnavailable
from broadcast_core.intake import Intake
from broadcast_core.intake.compose import Speak
from broadcast_core.intake.direct import Direct
from broadcast_core.intake.following import Following
from broadcast_core.intake.modes import ModeDesk, load_modes
from broadcast_core.journal import Journal
from broadcast_core.live import Live
from broadcast_core.model import (
    Alert,
    Area,
    Batch,
    Category,
    Certainty,
    Channel,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Endpoint,
    Info,
    Level,
    Mode,
    ModeChange,
    MsgType,
    NamedValue,
    Progress,
    Reason,
    Receipt,
    Reference,
    Scope,
    SelfTest,
    Severity,
    Spoken,
    Start,
    Status,
    Stop,
    Urgency,
    Zone,
    ZoneLevel,
)
from broadcast_core.patterns import patterns
from broadcast_core.recovery import recover
from broadcast_core.registry import Change, Registry
from broadcast_core.registry.rows import apply
from broadcast_core.render import Words
from broadcast_core.stop import ExpressLane
from broadcast_core.store import Store


class FieldInMemory:
    """A channel whose endpoints do what `answers` says, in order, as soon as they are told."""

    def __init__(self, channel: Channel, answers: Sequence[Progress] = (Progress.SENT,)) -> None:
        self._channel = channel
        self.answers = tuple(answers)
        self.sent: list[Delivery] = []
        self.down = False
        self.hangs: asyncio.Event | None = None  # set it to let a hanging channel go on
        self.forgetful = False  # takes what it is given, and fails before it has said so
        self._events: asyncio.Queue[Batch | None] = asyncio.Queue()

    @property
    def channel(self) -> Channel:
        return self._channel

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._events.put_nowait(None)

    async def send(self, deliveries: Sequence[Delivery]) -> None:
        if self.down:
            raise DriverUnavailable(self._channel, "down")
        if self.hangs is not None:
            await self.hangs.wait()
        self.sent += deliveries
        if self.forgetful:
            raise DriverUnavailable(self._channel, "no acknowledgement")
        for delivery in deliveries:
            for progress in self.answers:
                self.say(delivery, progress)

    async def listen(self) -> AsyncIterator[Batch]:
        while (batch := await self._events.get()) is not None:
            yield batch

    def say(
        self,
        delivery: Delivery,
        progress: Progress,
        retry_after: timedelta | None = None,
        reason: Reason | None = None,
    ) -> None:
        order = delivery.order
        if not isinstance(order, (Start, Stop, ModeChange, SelfTest)):
            return
        kind = DeliveryKind.STOP if isinstance(order, Stop) else DeliveryKind.START
        key = DeliveryKey(
            alert_id=order.alert_id, revision=order.revision, kind=kind, endpoint_id=delivery.endpoint.id
        )
        receipt = Receipt(key=key, progress=progress, at=SystemClock().now(), retry_after=retry_after, reason=reason)
        self._events.put_nowait(Batch(channel=self._channel, events=(receipt,)))

    def orders(self, kind: type[Start] | type[Stop] | type[ModeChange] | type[SelfTest]) -> list[Delivery]:
        return [d for d in self.sent if isinstance(d.order, kind)]


class Site:
    """A small district, running."""

    def __init__(self, store: Store, folder: Path, **policy: Any) -> None:
        self.store = store
        self.folder = folder
        self.clock: Clock = SystemClock()
        self.settings = Settings(data_dir=folder, policy=Policy(default_channels=("speaker", "sms"), **policy))
        self.speakers = FieldInMemory(Channel.SPEAKER)
        self.horns = FieldInMemory(Channel.HORN)
        self.phones = FieldInMemory(Channel.SMS)
        self.speak: Speak = tone_only
        self.registry_changed: Callable[[Registry, Change], Awaitable[None]] = unchanged
        self.journal = Journal(folder / "stops.journal")
        self.voice = asyncio.Event()  # while it is not set, composing takes its time
        self.voice.set()
        self._stack = AsyncExitStack()
        self._numbers = iter(range(1, 1000))

    async def start(self) -> None:
        """From nothing, or again after `crash`."""
        registry = Registry(ZONES, ENDPOINTS)
        await apply(self.store, registry, actor="test", now=self.clock.now(), record=record)
        self.live: Live = await recover(self.store, registry, self.journal, self.clock)
        self.dispatch = Dispatch(
            [self.speakers, self.horns, self.phones],
            store=self.store,
            live=self.live,
            endpoint_of=registry.endpoints.get,
            clock=self.clock,
            mode_of=self._mode_of,
        )
        await self._stack.enter_async_context(self.dispatch)
        self.direct = Direct(
            store=self.store, live=self.live, dispatch=self.dispatch, registry=lambda: registry, clock=self.clock
        )
        self.modes = ModeDesk(
            await load_modes(self.store),
            store=self.store,
            direct=self.direct,
            registry=lambda: registry,
            policy=self.settings.policy,
            clock=self.clock,
        )
        self.following = Following(self.modes, lambda: registry, self.settings.policy, self.clock)
        self._stack.push_async_callback(self.following.close)
        self.express = ExpressLane(
            live=self.live, dispatch=self.dispatch, store=self.store, journal=self.journal, clock=self.clock
        )
        self.intake = Intake(
            settings=self.settings,
            store=self.store,
            live=self.live,
            dispatch=self.dispatch,
            current=registry,
            patterns=patterns(),
            speak=self._speak,
            clock=self.clock,
            registry_changed=self.registry_changed,
            began=self.following.began,
        )
        for alert in self.live:
            self.following.began(alert)
        self.dispatch.wake(Channel)

    def _mode_of(self, endpoint: Endpoint) -> tuple[Mode, int]:
        return self.modes.of(endpoint)

    async def crash(self) -> None:
        """Everything in memory is gone."""
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    def alert(
        self,
        *zones: str,
        msg_type: MsgType = MsgType.ALERT,
        references: tuple[Reference, ...] = (),
        lifetime: timedelta = timedelta(minutes=10),
        sent: datetime | None = None,
        parameter: tuple[NamedValue, ...] = (),
    ) -> Alert:
        now = self.clock.now().replace(microsecond=0)
        area = Area(area_desc="x", geocodes=tuple(NamedValue(name="tocsin:zone", value=z) for z in zones))
        info = Info(
            category=(Category.MET,),
            event="Rain",
            urgency=Urgency.IMMEDIATE,
            severity=Severity.SEVERE,
            certainty=Certainty.OBSERVED,
            headline="Rain",
            expires=now + lifetime,
            area=(area,),
            parameter=parameter,
        )
        return Alert(
            identifier=f"n{next(self._numbers)}",
            sender="duty@district.invalid",
            sent=sent or now,
            status=Status.ACTUAL,
            msg_type=msg_type,
            scope=Scope.PUBLIC,
            references=references,
            infos=() if msg_type is MsgType.CANCEL else (info,),
        )

    @staticmethod
    async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
        await until(true, seconds)

    async def _speak(self, words: Sequence[Words], level: Level, clip: str | None) -> Spoken:
        await self.voice.wait()
        return await self.speak(words, level, clip)

    def states(self, alert_id: str, revision: int = 1) -> Counter[tuple[DeliveryKind, Progress]]:
        live = self.live.get(alert_id, revision)
        assert live is not None
        return Counter({(kind, progress): n for (_, kind, progress), n in live.tally.items() if n})


async def tone_only(words: Sequence[Words], level: Level, clip: str | None) -> Spoken:
    return Spoken(tone="attention-1", audio=None, text=tuple((w.language, w.text) for w in words))


async def unchanged(*_: object) -> None:
    pass


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something to become true; fail when it does not."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def _zone(code: str, parent: str | None, level: ZoneLevel) -> Zone:
    return Zone(code=code, parent=parent, level=level, name_zh=code, name_en=code)


ZONES = (
    _zone("D", None, ZoneLevel.DISTRICT),
    _zone("N", "D", ZoneLevel.SUBDISTRICT),
    _zone("S", "D", ZoneLevel.SUBDISTRICT),
    _zone("N1", "N", ZoneLevel.COMMUNITY),
    _zone("S1", "S", ZoneLevel.COMMUNITY),
)
ENDPOINTS = (
    *(Endpoint(id=f"SPK-N{n}", channel=Channel.SPEAKER, zone="N1", name="x") for n in range(3)),
    *(Endpoint(id=f"SPK-S{n}", channel=Channel.SPEAKER, zone="S1", name="x") for n in range(2)),
    Endpoint(id="SPK-OFF", channel=Channel.SPEAKER, zone="S1", name="x", enabled=False),
    Endpoint(id="SMS-N", channel=Channel.SMS, zone="N1", name="x", phone="+9990000000001"),
    Endpoint(id="SMS-S", channel=Channel.SMS, zone="S1", name="x", phone="+9990000000002"),
)


@pytest.fixture
def policy() -> dict[str, Any]:
    """No alert switches a mode, where that is not what a test is about."""
    return {"emergency_levels": ()}


@pytest.fixture
async def site(store: Store, tmp_path: Path, policy: dict[str, Any]) -> AsyncIterator[Site]:
    running = Site(store, tmp_path, **policy)
    await running.start()
    yield running
    await running.express.drain()
    await running.crash()


@pytest.fixture
def eventually() -> Callable[..., Any]:
    return until
