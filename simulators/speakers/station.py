"""One simulated speaker in the world: its device, its connection, its timer, and whatever is wrong with it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import structlog

from broadcast_core.clock import Clock, to_ms
from broadcast_core.signing import Mac
from drivers.ip_speaker.wire import Topics, Up, mqtt5, report
from drivers.ip_speaker.wire.command import Audio
from drivers.ip_speaker.wire.provision import Broker
from drivers.ip_speaker.wire.report import ReceiptReport
from simulators.speakers.connection import KEEP_ALIVE_S, Connection, ConnectionRefused
from simulators.speakers.device import Device, Habits
from simulators.speakers.effects import Effect, Fetch, Say, SoundBegan, SoundEnded, Subscribe
from simulators.speakers.faults import Afflictions
from simulators.speakers.fetch import AudioSource
from simulators.speakers.guard import Opener
from simulators.speakers.memory import Memory
from simulators.speakers.played import PlayLog
from simulators.speakers.selftest import Health
from simulators.speakers.signed_time import DeviceClock, Oscillator

log = structlog.get_logger(__name__)

_CONNECT_TIMEOUT_S: Final = 10.0
_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 8.0
_BOOT_S: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What all speakers of a fleet share."""

    broker: Broker
    tls: ssl.SSLContext | None
    topics: Topics
    opener: Opener
    habits: Habits
    audio: AudioSource
    log: PlayLog
    clock: Clock
    gate: asyncio.Semaphore  # so many connect at a time: a listen backlog is short
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task that lives until it ends or the fleet does."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


class Station:
    """Carries out what a device wants, and tells it what happens. Its methods are the hand on the real thing."""

    __slots__ = (
        "_afflictions",
        "_connection",
        "_dialing",
        "_loop",
        "_mac",
        "_memory",
        "_oscillator",
        "_plugged",
        "_random",
        "_rebooted",
        "_timer",
        "_topics",
        "_up",
        "_wake_at",
        "_world",
        "device",
    )

    def __init__(self, mac: Mac, memory: Memory, world: World, random: Random) -> None:
        self._loop = asyncio.get_running_loop()
        self._world = world
        self._mac = mac
        self._memory = memory
        self._random = random
        self._afflictions = Afflictions()
        self._oscillator = Oscillator(self._loop.time())
        self._up = {up: mqtt5.encoded_topic(world.topics.up(mac.endpoint_id, up)) for up in Up}
        self._connection: Connection | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at: int | None = None
        self._plugged = False
        self._rebooted = False
        self.device = self._boot()

    @property
    def endpoint_id(self) -> str:
        return self._mac.endpoint_id

    @property
    def settled(self) -> bool:
        """Connected and answered; or, by its faults, not expected to be."""
        excused = self._afflictions.offline or self._afflictions.deaf or not self._plugged
        return excused or (self._connection is not None and self.device.settled)

    def plug(self) -> None:
        """Connect, and reconnect whenever the connection is lost."""
        self._plugged = True
        self._dial(0.0)

    def unplug(self) -> None:
        """Be gone from the network at once. What sounds goes on."""
        self._plugged = False
        self._drop()

    def leave(self) -> None:
        """Go off the network properly; the will is published."""
        self._plugged = False
        if self._connection is not None:
            self._connection.leave()
        self._power_off()

    def reboot(self) -> None:
        """Lose power and come back: everything but the flash is gone."""
        self._drop()
        self._power_off()
        if self._plugged:
            self._dial(_BOOT_S)

    def afflict(self, now_wrong: Afflictions) -> None:
        """From now on exactly this is wrong with it."""
        before, self._afflictions = self._afflictions, now_wrong
        self._rebooted = False
        self._wear(self.device)
        self.device.clock.glitch(now_wrong.skew_ms - before.skew_ms)
        self._oscillator.drift(self._loop.time(), now_wrong.drift_ppm)
        if now_wrong.offline:
            self._drop()
        elif self._plugged:
            self._dial(0.0)
        self._rearm()

    def beat(self) -> None:
        """Call every few seconds, for the connection's sake."""
        if self._connection is not None:
            self._connection.beat(self._loop.time())

    def published(self, topic: str, payload: bytes, retained: bool) -> None:
        """The connection's: a message came down."""
        wrong = self._afflictions
        if wrong.deaf:
            return
        if wrong.late_s:
            self._loop.call_later(wrong.late_s, self._hear, self.device, payload, retained)
        else:
            self._hear(self.device, payload, retained)

    def subscribed(self, refused: Sequence[int]) -> None:
        """The connection's: a SUBSCRIBE was answered."""
        if refused:
            log.warning("subscription_refused", endpoint=self.endpoint_id, reasons=list(refused))
        self._carry_out(self.device.subscribed(self._now()))

    def lost(self) -> None:
        """The connection's: it is no more."""
        self._connection = None
        self.device.lost()
        self._rearm()
        self._dial(self._random.uniform(0, _FIRST_RETRY_S))

    def _boot(self) -> Device:
        now = self._loop.time()
        rtc = to_ms(self._world.clock.now()) + self._afflictions.skew_ms
        device = Device(
            self.endpoint_id,
            self._world.topics,
            self._world.opener,
            self._memory,
            DeviceClock(rtc, self._oscillator.ms(now)),
            self._random,
            self._world.habits,
        )
        self._wear(device)
        return device

    def _wear(self, device: Device) -> None:
        """The defects of its hardware, also after a reboot."""
        wrong = self._afflictions
        device.player.hung = wrong.hung
        device.tests.health = Health(amplifier=not wrong.amplifier_dead, storage=not wrong.storage_full)

    def _power_off(self) -> None:
        now = self._loop.time()
        if self.device.player.sounding is not None:
            self._world.log.ended(self.endpoint_id, SoundEnded(self._oscillator.ms(now), "power"), now)
        self._forget_timer()
        self.device = self._boot()  # what was due for the old one, a fetch say, finds it gone

    def _dial(self, pause_s: float) -> None:
        dialing = self._dialing is not None and not self._dialing.done()
        if self._plugged and not self._afflictions.offline and self._connection is None and not dialing:
            self._dialing = self._world.spawn(self._connect(pause_s), f"connect {self.endpoint_id}")

    async def _connect(self, pause_s: float) -> None:
        wait = _FIRST_RETRY_S
        await asyncio.sleep(pause_s)
        while True:
            try:
                async with self._world.gate, asyncio.timeout(_CONNECT_TIMEOUT_S):
                    self._connection = await self._open()
                break
            except (OSError, ConnectionRefused, TimeoutError):
                wait = min(2 * wait, _LONGEST_RETRY_S)
            await asyncio.sleep(self._random.uniform(wait / 2, wait))
        self._carry_out(self.device.connected())

    async def _open(self) -> Connection:
        broker = self._world.broker
        hello = mqtt5.connect(
            self.endpoint_id,
            KEEP_ALIVE_S,
            will=(
                self._world.topics.up(self.endpoint_id, Up.ALIVE),
                self._mac.seal(report.encode(self.device.connecting())),
            ),
            username=broker.username,
            password=broker.password,
        )
        transport, connection = await self._loop.create_connection(
            lambda: Connection(hello, self), broker.host, broker.port, ssl=self._world.tls
        )
        try:
            await connection.accepted
        except BaseException:
            transport.abort()
            raise
        if transport.is_closing():
            raise ConnectionRefused("closed after CONNACK")
        return connection

    def _drop(self) -> None:
        if self._dialing is not None:
            self._dialing.cancel()
            self._dialing = None
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.drop()
            self.device.lost()

    def _now(self) -> int:
        return self._oscillator.ms(self._loop.time())

    def _hear(self, device: Device, payload: bytes, retained: bool) -> None:
        if device is self.device:
            self._carry_out(device.heard(payload, retained, self._now()))

    def _wake(self) -> None:
        self._timer = self._wake_at = None
        self._carry_out(self.device.woken(self._now()))

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Say):
                self._say(effect)
            elif isinstance(effect, SoundBegan):
                utc = self.device.clock.now(effect.at)
                self._world.log.began(self.endpoint_id, effect, self._oscillator.machine(effect.at), utc)
            elif isinstance(effect, SoundEnded):
                self._world.log.ended(self.endpoint_id, effect, self._oscillator.machine(effect.at))
            elif isinstance(effect, Fetch):
                self._loop.call_later(effect.delay_ms / 1000, self._fetch, self.device, effect.audio)
            elif self._connection is not None:
                if isinstance(effect, Subscribe):
                    self._connection.subscribe(effect.topics)
                else:
                    self._connection.unsubscribe(effect.topics)
        self._rearm()

    def _rearm(self) -> None:
        wake = self.device.next_wake(self._now())
        if wake == self._wake_at:
            return
        self._forget_timer()
        if wake is not None:
            self._wake_at = wake
            self._timer = self._loop.call_at(self._oscillator.machine(wake), self._wake)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._wake_at = None

    def _say(self, say: Say) -> None:
        wrong = self._afflictions
        if wrong.spoil_receipts and isinstance(say.report, ReceiptReport):
            self._spoil(say.to, say.report)
        else:
            self._publish(say.to, self._mac.seal(report.encode(say.report)))

    def _publish(self, to: Up, sealed: bytes) -> None:
        if self._connection is not None:  # else it is in the ledger, and comes with the next hello
            self._connection.publish(self._up[to], sealed, 0 if to is Up.ALIVE else 1)

    def _spoil(self, to: Up, receipt: ReceiptReport) -> None:
        wrong, sealed = self._afflictions, self._mac.seal(report.encode(receipt))
        if wrong.reboot_at == receipt.progress and not self._rebooted:
            self._rebooted = True
            self._loop.call_later(wrong.reboot_after_s, self.reboot)
        if self._random.random() < wrong.loses:
            return
        for _ in range(2 if self._random.random() < wrong.duplicates else 1):
            if wrong.held_s:
                self._loop.call_later(self._random.uniform(0, wrong.held_s), self._publish, to, sealed)
            else:
                self._publish(to, sealed)

    def _fetch(self, device: Device, audio: Audio) -> None:
        if device is self.device:
            self._world.spawn(self._fetch_for(device, audio), f"fetch for {self.endpoint_id}")

    async def _fetch_for(self, device: Device, audio: Audio) -> None:
        body = await self._world.audio.fetch(audio)
        if body is not None and self._afflictions.corrupts:
            body = type(body)(sha256=body.sha256[::-1], size=body.size, ms=body.ms)
        if device is self.device:
            self._carry_out(device.fetched(audio.sha256, body, self._now()))
