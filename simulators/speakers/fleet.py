"""Many simulated speakers in one process."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Literal, Self

from broadcast_core.clock import Clock, SystemClock
from broadcast_core.signing import Mac, Verifier
from drivers.ip_speaker.wire import Topics
from drivers.ip_speaker.wire.provision import Provision, SpeakerKey
from simulators.speakers import memory, sound
from simulators.speakers.device import Habits
from simulators.speakers.faults import Fault, Faults
from simulators.speakers.fetch import AudioSource
from simulators.speakers.guard import Guard, SharedOpener
from simulators.speakers.memory import Memory
from simulators.speakers.played import Played, PlayLog
from simulators.speakers.recording import Recording
from simulators.speakers.station import Station, World
from simulators.speakers.tones import BUILT_IN_TONE

_BEAT_S: Final = 1.0
_POLL_S: Final = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetOptions:
    """How the fleet lives. The defaults are the honest ones: each speaker verifies and fetches for itself."""

    verify: Literal["each", "once"] = "each"
    fetch: Literal["each", "once"] = "each"
    connect_at_once: int = 64
    habits: Habits = field(default_factory=Habits)
    log: Path | None = None  # JSON lines of what was played
    flash: Path | None = None  # what the speakers remember when the process ends
    record: Mapping[str, Path] = field(default_factory=dict)  # endpoint id -> WAV file


class Fleet:
    """`async with Fleet(provision) as fleet: await fleet.ready()`. Entering does not wait for the broker."""

    def __init__(
        self,
        provision: Provision,
        *,
        faults: Faults | None = None,
        options: FleetOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._provision = provision
        self._faults = faults or Faults()
        self._options = options or FleetOptions()
        self._clock = clock or SystemClock()
        self._memories: dict[str, Memory] = {}
        self._stations: dict[str, Station] = {}
        self._log = PlayLog(self._options.log)
        self._audio = AudioSource(once=self._options.fetch == "once", keep_pcm=bool(self._options.record))
        self._stack = contextlib.AsyncExitStack()
        self._world: World | None = None
        self._flashed = b""

    async def __aenter__(self) -> Self:
        self._stack.callback(self._log.close)
        await self._stack.enter_async_context(self._audio)
        self._record()
        self._world = self._make_world()
        self._memories = self._remember()
        for number, speaker in enumerate(self._provision.speakers):
            self._stations[speaker.id] = self._install(speaker, Random(f"{self._faults.seed}/{number}"))  # noqa: S311, jitter
        self._stack.push_async_callback(self._shut_down)
        self._world.spawn(self._beat(), "fleet's heartbeat")
        for station in self._stations.values():
            station.plug()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def __len__(self) -> int:
        return len(self._stations)

    @property
    def faults(self) -> Faults:
        """What is wrong with whom; assign to change it while they run."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        for endpoint_id, station in self._stations.items():
            station.afflict(faults.of(endpoint_id))

    def afflict(self, fault: Fault) -> None:
        """One fault more."""
        self.faults = self._faults.plus(fault)

    async def ready(self, timeout_s: float = 60.0) -> int:
        """Wait until every speaker that can is connected and has its orders; how many can. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while self.settled < len(self._stations):  # noqa: ASYNC110, a thousand events would cost more
                await asyncio.sleep(_POLL_S)
        return len(self._stations)

    @property
    def size(self) -> int:
        """How many speakers there are."""
        return len(self._stations)

    @property
    def settled(self) -> int:
        """How many have an answer to their hello, or by their faults cannot have one."""
        return sum(station.settled for station in self._stations.values())

    def played(self, endpoint_id: str) -> tuple[Played, ...]:
        """What this speaker played, oldest first."""
        return self._log.of(endpoint_id)

    def remembered(self, endpoint_id: str) -> Memory:
        """This speaker's flash, to look at."""
        return self._memories[endpoint_id]

    def refused(self, endpoint_id: str | None = None) -> Counter[str]:
        """Why commands were not obeyed, counted; by one speaker since its boot, or by all."""
        stations = self._stations.values() if endpoint_id is None else (self._stations[endpoint_id],)
        return sum((station.device.refused for station in stations), Counter())

    def reboot(self, endpoint_id: str) -> None:
        """Cut this speaker's power for a moment."""
        self._stations[endpoint_id].reboot()

    def disconnect(self, endpoint_id: str) -> None:
        """Pull this speaker's network cable."""
        self._stations[endpoint_id].unplug()

    def reconnect(self, endpoint_id: str) -> None:
        """Plug it in again."""
        self._stations[endpoint_id].plug()

    def _make_world(self) -> World:
        provision, options = self._provision, self._options
        guard = Guard(Verifier({key.key_id: key for key in provision.trusted}), provision.domain)
        return World(
            broker=provision.broker,
            tls=ssl.create_default_context() if provision.broker.tls else None,
            topics=Topics(provision.prefix, provision.domain),
            opener=SharedOpener(guard) if options.verify == "once" else guard.open,
            habits=options.habits,
            audio=self._audio,
            log=self._log,
            clock=self._clock,
            gate=asyncio.Semaphore(options.connect_at_once),
        )

    def _install(self, speaker: SpeakerKey, random: Random) -> Station:
        assert self._world is not None
        flash = self._memories.setdefault(speaker.id, Memory(session=int(self._clock.now().timestamp())))
        if speaker.id in self._options.record:
            flash.tones.clear()  # their sound is wanted, so they fetch it anew
            flash.store.clear()
        station = Station(Mac(speaker.id, speaker.mac_key), flash, self._world, random)
        station.afflict(self._faults.of(speaker.id))
        return station

    def _record(self) -> None:
        tone = sound.built_in_tone(BUILT_IN_TONE.ms) if self._options.record else b""
        for endpoint_id, file in self._options.record.items():
            recording = Recording(file, self._audio.pcm, tone)
            self._stack.callback(recording.close)
            self._log.tap(endpoint_id, recording.add)

    def _remember(self) -> dict[str, Memory]:
        file = self._options.flash
        return memory.load(file.read_bytes()) if file is not None and file.exists() else {}

    def _write_flash(self) -> None:
        if self._options.flash is None:
            return
        contents = memory.dump(self._memories)
        if contents != self._flashed:
            new = self._options.flash.with_suffix(".new")
            new.write_bytes(contents)
            new.replace(self._options.flash)
            self._flashed = contents

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            for station in self._stations.values():
                station.beat()
            self._log.flush()
            self._write_flash()

    async def _shut_down(self) -> None:
        assert self._world is not None
        tasks = tuple(self._world.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for station in self._stations.values():
            station.leave()
        self._write_flash()
        await asyncio.sleep(0)  # let the transports close
