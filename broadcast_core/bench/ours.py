"""Our whole path: accepted, signed, published, answered, every receipt durable with synchronous=FULL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from broadcast_core.clock import SystemClock
from broadcast_core.config import Mqtt, Policy, Settings, Sms
from broadcast_core.dispatch import Dispatch
from broadcast_core.intake import Intake
from broadcast_core.intake.direct import Direct, Message
from broadcast_core.intake.modes import ModeDesk, load_modes
from broadcast_core.journal import Journal
from broadcast_core.keys import EndpointKeys, signing_keys, write_secret
from broadcast_core.live import Live
from broadcast_core.model import (
    Alert,
    Approval,
    AudioRef,
    Authority,
    Category,
    Certainty,
    Channel,
    Clip,
    Domain,
    Info,
    LateRule,
    Level,
    MessageKind,
    Mode,
    MsgType,
    Programme,
    Progress,
    ResumeRule,
    Scope,
    Severity,
    SoundClass,
    Spoken,
    Standing,
    Start,
    Status,
    Urgency,
)
from broadcast_core.patterns import patterns
from broadcast_core.plan import parse_area
from broadcast_core.provision import provision_file
from broadcast_core.recovery import next_epoch
from broadcast_core.registry import Registry
from broadcast_core.registry.current import CurrentRegistry
from broadcast_core.registry.dataset import generate
from broadcast_core.render import Words
from broadcast_core.signing import LocalSigner
from broadcast_core.stop import ExpressLane
from broadcast_core.store import Store
from drivers.ip_speaker.driver import IpSpeakerDriver

_POLL_S = 0.001
_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Seconds, each from when the alert was accepted (its commit done)."""

    submitted_to_accepted: float
    accepted_to_last_received: float  # the last receipt known
    accepted_to_last_durable: float  # and committed
    stop_to_last_silent: float
    switch_to_last_proven: float  # of the mode, from before it is durable to the last speaker's proof


class OurPath:
    """The core's own parts, wired as in `app`, on a broker that is already there."""

    def __init__(
        self, intake: Intake, modes: ModeDesk, express: ExpressLane, live: Live, dispatch: Dispatch, speakers: int
    ) -> None:
        self._intake = intake
        self._modes = modes
        self._express = express
        self._live = live
        self._dispatch = dispatch
        self._speakers = speakers
        self._numbers = count()

    async def once(self) -> Run:
        alert = self._alert()
        area = parse_area("district", self._intake.registry.root.code)
        settler, everybody = self._dispatch.settler, self._speakers
        durable_before = settler.durable[Progress.RECEIVED]
        submitted = time.perf_counter()
        accepted = await self._intake.submit(alert, actor="bench", area=area)
        start = time.perf_counter()
        live = self._live.get(accepted.alert_id, accepted.revision)
        assert live is not None
        await _until(lambda: sum(n for (_, _, p), n in live.tally.items() if p >= Progress.RECEIVED) >= everybody)
        received = time.perf_counter()
        await _until(lambda: settler.durable[Progress.RECEIVED] - durable_before >= everybody)
        durable = time.perf_counter()
        await self._express.stop(accepted.alert_id, actor="bench")
        await _until(lambda: live.complete)
        silent = time.perf_counter()
        await self._express.drain()
        self._live.forget(live)
        switched = await self._switch(Mode.EMERGENCY)
        await self._switch(Mode.PEACETIME)
        return Run(
            submitted_to_accepted=start - submitted,
            accepted_to_last_received=received - start,
            accepted_to_last_durable=durable - start,
            stop_to_last_silent=silent - durable,
            switch_to_last_proven=switched,
        )

    async def _switch(self, mode: Mode) -> float:
        root = self._intake.registry.root.code
        start = time.perf_counter()
        (message,) = (await self._modes.set([root], mode, actor="bench", reason="bench")).messages
        live = self._live.get(message, 1)
        assert live is not None
        await _until(lambda: live.complete)
        took = time.perf_counter() - start
        self._live.forget(live)
        return took

    def _alert(self) -> Alert:
        now = SystemClock().now().replace(microsecond=0)
        info = Info(
            category=(Category.MET,),
            event="Bench",
            urgency=Urgency.IMMEDIATE,
            severity=Severity.EXTREME,
            certainty=Certainty.OBSERVED,
            headline="This is a measurement on simulated speakers.",
            expires=now + timedelta(minutes=5),
        )
        return Alert(
            identifier=f"bench-{next(self._numbers)}",
            sender="bench@tocsin.invalid",
            sent=now,
            status=Status.ACTUAL,
            msg_type=MsgType.ALERT,
            scope=Scope.PUBLIC,
            infos=(info,),
        )


@asynccontextmanager
async def our_path(
    directory: Path, port: int, speakers: int, *, programmes: int = 0
) -> AsyncIterator[tuple[OurPath, Path, Callable[[], Awaitable[None]]]]:
    """The core, the provision file for its fleet, and what sends every speaker so many programmes of its day."""
    settings = Settings(
        data_dir=directory,
        mqtt=Mqtt(embedded=False, port=port, heartbeat_s=20),
        sms=Sms(enabled=False),
        policy=Policy(default_channels=("speaker",)),
    )
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store(settings.database_url))
        signer = LocalSigner(signing_keys(settings.secrets_dir))
        registry = CurrentRegistry(generate(speakers=speakers, horns=0, recipients=0))
        keys = await EndpointKeys.load(store)
        await keys.provide(store, registry.speakers(), clock.now())
        live = Live()
        driver = IpSpeakerDriver(
            settings.mqtt,
            password=None,
            signer=signer,
            mac_of=keys.mac_of,
            zones=registry,
            tones={},
            epoch=await next_epoch(store, clock),
            clock=clock,
        )
        dispatch = Dispatch([driver], store=store, live=live, endpoint_of=registry.endpoint_of, clock=clock)
        await stack.enter_async_context(dispatch)
        await driver.ready()
        journal = Journal(directory / "stops.journal")
        express = ExpressLane(live=live, dispatch=dispatch, store=store, journal=journal, clock=clock)
        intake = Intake(
            settings=settings,
            store=store,
            live=live,
            dispatch=dispatch,
            current=registry.registry,
            patterns=patterns(),
            speak=_tone_only,
            clock=clock,
            registry_changed=_unchanged,
        )
        file = directory / "provision.json"
        write_secret(file, provision_file(settings.mqtt, signer, keys, registry.speakers()))
        direct = Direct(store=store, live=live, dispatch=dispatch, registry=registry, clock=clock)
        modes = ModeDesk(
            await load_modes(store),
            store=store,
            direct=direct,
            registry=registry,
            policy=settings.policy,
            clock=clock,
        )

        async def send_the_day() -> None:
            for number in range(programmes):
                await _programme(direct, registry.registry, number, clock.now())
            await _until(
                lambda: all(n == 0 for a in live for (_, _, p), n in a.tally.items() if p < Progress.RECEIVED)
            )

        yield OurPath(intake, modes, express, live, dispatch, speakers), file, send_the_day


async def _programme(direct: Direct, registry: Registry, number: int, now: datetime) -> None:
    """An occurrence that every speaker is playing right now, of twenty items."""
    audio = AudioRef(
        sha256="0" * 64, url="http://127.0.0.1/x", mime_type="audio/mpeg", size=1, duration=timedelta(minutes=1)
    )
    clips = tuple(
        Clip(item_id=f"item-{n}", audio=audio, offset=timedelta(minutes=n), resume=ResumeRule.POSITION)
        for n in range(20)
    )
    start = Start(
        alert_id=f"obench{number}",
        revision=1,
        domain=Domain.LIVE,
        standing=Standing(
            sound_class=SoundClass.PUBLICITY,
            authority=Authority.DISTRICT,
            level=Level.UNKNOWN,
            urgency=Urgency.UNKNOWN,
            certainty=Certainty.UNKNOWN,
        ),
        issued_at=now,
        starts_at=now,
        expires=now + timedelta(hours=1),
        content=Programme(clips=clips, late=LateRule.JOIN, grace=timedelta(minutes=1)),
        approval=Approval(kind="schedule", actors=("bench",)),
    )
    message = Message(
        kind=MessageKind.SLOT,
        alert_id=start.alert_id,
        revision=1,
        starts={Channel.SPEAKER: start},
        targets=registry.ordered(Channel.SPEAKER),
        expires=start.expires,
        actor="bench",
        title="bench",
    )
    await direct.open([message])


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(_TIMEOUT_S):
        while not true():  # noqa: ASYNC110  no event is worth having in the product for this
            await asyncio.sleep(_POLL_S)


async def _tone_only(words: Sequence[Words], level: Level, clip: str | None) -> Spoken:
    """The voice is measured by itself; here the fan-out is."""
    return Spoken(tone="attention-1", audio=None, text=tuple((w.language, w.text) for w in words))


async def _unchanged(*_: object) -> None:
    """The registry stays as it is."""
