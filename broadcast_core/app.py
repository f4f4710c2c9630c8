"""The one place that wires the core: a straight line, teardown beside each construction."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from broadcast_core.alone import alone_on
from broadcast_core.aside import settled
from broadcast_core.audio.listener import MediaListener
from broadcast_core.audio.media import MediaStore
from broadcast_core.audio.shelf import store_test_file, store_tones
from broadcast_core.audio.voice import Announcer
from broadcast_core.broker import EmbeddedBroker
from broadcast_core.clock import Clock, SystemClock
from broadcast_core.config import Listener, Settings
from broadcast_core.dispatch import Dispatch
from broadcast_core.driver import Driver
from broadcast_core.intake import Intake
from broadcast_core.intake.direct import Direct
from broadcast_core.intake.following import Following
from broadcast_core.intake.modes import ModeDesk, load_modes
from broadcast_core.intake.speaking import Speaking
from broadcast_core.journal import Journal
from broadcast_core.keys import EndpointKeys, read_secret, secret_bytes, signing_keys
from broadcast_core.library import Library
from broadcast_core.live import Live
from broadcast_core.model import AudioRef, Channel, Endpoint, Mode, PartResult, SirenPattern
from broadcast_core.patterns import patterns
from broadcast_core.recovery import next_epoch, recover
from broadcast_core.registry import Change, Registry
from broadcast_core.registry import rows as registry_rows
from broadcast_core.registry.current import CurrentRegistry
from broadcast_core.reserve import Reserve
from broadcast_core.retention import Retention
from broadcast_core.selftest import SelfTestDesk, SelfTestRunner
from broadcast_core.selftest.book import Book
from broadcast_core.services import Services
from broadcast_core.signing import LocalSigner
from broadcast_core.siren import SirenDesk, SirenRunner, templates
from broadcast_core.siren import rows as siren_rows
from broadcast_core.siren.signals import Signals
from broadcast_core.stop import ExpressLane
from broadcast_core.store import Store
from broadcast_core.tasks import end, keep_running
from broadcast_core.tokens import TokenBook
from broadcast_core.web import make_app
from broadcast_core.web.connections import listening
from broadcast_core.web.kit import CONNECTIONS
from drivers.ip_speaker.driver import IpSpeakerDriver
from drivers.serial_relay.driver import SerialRelayDriver
from drivers.sms_gateway import account
from drivers.sms_gateway.driver import SmsGatewayDriver
from scheduler import rows as schedule_rows
from scheduler.desk import ScheduleDesk
from scheduler.runner import Runner
from scheduler.shelf import Shelf, Users

log = structlog.get_logger(__name__)


async def serve(settings: Settings, *, ready: Callable[[Services], None] | None = None) -> None:
    """Run the core until SIGTERM or SIGINT. `ready` is called once everything listens."""
    os.umask(0o077)  # the database holds endpoints' keys and phone numbers, and its directory may be open to all
    # The writer's thread needs the interpreter at every row: with the usual 5 ms receipts were durable 30 ms later.
    sys.setswitchinterval(0.0005)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with running(settings) as services:
        if ready is not None:
            ready(services)
        await ended.wait()
        log.info("ending")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """The core, running, for as long as the context is held.

    Raises AlreadyRunning, StorageFailed, InsecureSecret or OSError (an address is taken), never starts half.
    """
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(alone_on(settings.data_dir))
        signer = LocalSigner(signing_keys(settings.secrets_dir))
        reserve = await stack.enter_async_context(Reserve(settings.data_dir, settings.space))
        store = await stack.enter_async_context(Store(settings.database_url, on_full=reserve.let_go))
        tokens = TokenBook(store, clock)
        await tokens.load()
        await tokens.first_token(settings.secrets_dir / "api-token")

        with settled():
            current = CurrentRegistry(await registry_rows.load(store))
        keys = await EndpointKeys.load(store)
        await keys.provide(store, current.speakers(), clock.now())
        epoch = await next_epoch(store, clock)
        journal = Journal(settings.data_dir / "stops.journal", on_full=reserve.let_go)
        live = await recover(store, current.registry, journal, clock)

        media = MediaStore(settings.media_dir, on_full=reserve.let_go)
        media.sweep()
        await stack.enter_async_context(MediaListener(settings.media, settings.media_dir))
        announcer = Announcer(settings.voice, media, _url(settings.media), language=settings.language)
        speak = Speaking(await stack.enter_async_context(announcer), media)
        library = Library(
            settings=settings, store=store, media=media, clock=clock, admit=reserve.admit, users_of=Users(clock).of
        )
        await library.open()
        tones = await asyncio.to_thread(store_tones, media, _url(settings.media))
        test_file = await asyncio.to_thread(store_test_file, media, _url(settings.media))
        if settings.mqtt.embedded:
            broker = EmbeddedBroker(settings.mqtt.host, settings.mqtt.port, settings.data_dir)
            await stack.enter_async_context(broker)

        speakers = IpSpeakerDriver(
            settings.mqtt,
            password=_password(settings.mqtt.password_file),
            signer=signer,
            mac_of=keys.mac_of,
            zones=current,
            tones=tones,
            epoch=epoch,
            clock=clock,
        )
        drivers: list[Driver] = [speakers]
        horns: SerialRelayDriver | None = None
        if settings.serial.lines:
            horns = SerialRelayDriver(settings.serial, clock, current.registry.ordered(Channel.HORN))
            drivers.append(horns)
        if settings.sms.enabled:
            secret = secret_bytes(settings.secrets_dir / "sms-reports")
            phones = SmsGatewayDriver(settings.sms, _password(settings.sms.password_file) or "", secret, clock)
            drivers.append(phones)

        desk: ModeDesk

        def mode_of(endpoint: Endpoint) -> tuple[Mode, int]:
            return desk.of(endpoint)

        dispatch = Dispatch(
            drivers, store=store, live=live, endpoint_of=current.endpoint_of, clock=clock, mode_of=mode_of
        )
        direct = Direct(store=store, live=live, dispatch=dispatch, registry=current, clock=clock)
        desk = ModeDesk(
            await load_modes(store), store=store, direct=direct, registry=current, policy=settings.policy, clock=clock
        )
        following = Following(desk, current, settings.policy, clock)
        await stack.enter_async_context(dispatch)
        express = ExpressLane(live=live, dispatch=dispatch, store=store, journal=journal, clock=clock)
        stack.push_async_callback(express.drain)

        runner: Runner

        async def registry_changed(registry: Registry, change: Change) -> None:
            speakers = [endpoint.id for endpoint in registry.ordered(Channel.SPEAKER)]
            await keys.provide(store, speakers, clock.now())  # first: nobody is told before its answer can be checked
            current.registry = registry
            runner.look()
            if horns is not None:
                horns.watch(registry.ordered(Channel.HORN))
            for endpoint in current.affected(change):
                dispatch.orders.push(endpoint)

        known_patterns = patterns(settings.patterns_file)
        intake = Intake(
            settings=settings,
            store=store,
            live=live,
            dispatch=dispatch,
            current=current.registry,
            patterns=known_patterns,
            speak=speak,
            clock=clock,
            registry_changed=registry_changed,
            began=following.began,
        )
        stack.push_async_callback(following.close)
        for alert in live:
            following.began(alert)
        _keep(stack, "mode-reminder", desk.remind_forever)
        base = _Base(settings, clock, store, live, current, direct, desk, intake, express)
        shelf = Shelf(library, _url(settings.media))
        planner, runner = await _schedule(base, shelf, stack)
        tests = await _selftest(base, planner, test_file, stack)
        sirens = await _sirens(base, known_patterns, stack)
        services = Services(
            settings=settings,
            store=store,
            live=live,
            dispatch=dispatch,
            intake=intake,
            express=express,
            modes=desk,
            library=library,
            clock=clock,
            reserve=reserve,
            registry=current,
        )
        held = [ref.sha256 for ref in (*tones.values(), test_file)]
        retention = Retention(settings.retention, store=store, live=live, media=media, tones=held, clock=clock)
        await stack.enter_async_context(retention)
        api = make_app(services, tokens, planner, tests, sirens)
        await stack.enter_async_context(listening(api, settings.api, api[CONNECTIONS]))
        dispatch.wake(Channel)
        yield services


@dataclass(frozen=True, slots=True)
class _Base:
    """What everything beside the alerts' own way is built on."""

    settings: Settings
    clock: Clock
    store: Store
    live: Live
    registry: CurrentRegistry
    direct: Direct
    modes: ModeDesk
    intake: Intake
    express: ExpressLane


def _keep(stack: AsyncExitStack, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A task for as long as the core runs."""
    stack.push_async_callback(end, [asyncio.create_task(keep_running(name, work), name=name)])


async def _schedule(base: _Base, shelf: Shelf, stack: AsyncExitStack) -> tuple[ScheduleDesk, Runner]:
    """Peacetime: what is saved, and what brings it to the speakers."""
    runner: Runner
    planner = ScheduleDesk(
        await schedule_rows.load(base.store),
        store=base.store,
        registry=base.registry,
        modes=lambda: base.modes.modes,
        items=shelf.items,
        changed=lambda: runner.look(),
        tz=base.settings.zone_info,
        reference_lufs=base.settings.voice.loudness_lufs,
        clock=base.clock,
    )
    runner = Runner(
        planner.look, direct=base.direct, live=base.live, store=base.store, registry=base.registry, clock=base.clock
    )
    await runner.load()
    _keep(stack, "schedule", runner.run)
    return planner, runner


async def _selftest(base: _Base, planner: ScheduleDesk, test_file: AudioRef, stack: AsyncExitStack) -> SelfTestDesk:
    """Endpoints that prove themselves at night."""
    book = Book()
    await book.load(base.store, base.clock.now())
    tests = SelfTestDesk(
        book,
        settings=base.settings.selftest,
        store=base.store,
        live=base.live,
        registry=base.registry,
        modes=lambda: base.modes.modes,
        circumstances=planner.circumstances,
        clock=base.clock,
    )
    tester = SelfTestRunner(
        tests,
        direct=base.direct,
        live=base.live,
        registry=base.registry,
        circumstances=planner.circumstances,
        file=test_file,
        clock=base.clock,
        account=_account(base.settings),
    )
    _keep(stack, "selftest", tester.run)
    return tests


async def _sirens(base: _Base, known: Mapping[str, SirenPattern], stack: AsyncExitStack) -> SirenDesk:
    """The siren calendar, and acts of several signals."""
    async with base.store.read() as connection:
        stored = await siren_rows.load(connection)
    signals = Signals(
        templates=templates(known, base.settings.sirens_file),
        intake=base.intake,
        express=base.express,
        live=base.live,
        store=base.store,
        registry=base.registry,
        sender=base.settings.policy.sender,
        clock=base.clock,
    )
    await signals.load(stored)
    sirens = SirenDesk(
        stored,
        signals=signals,
        store=base.store,
        registry=base.registry,
        tz=base.settings.zone_info,
        clock=base.clock,
    )
    _keep(stack, "sirens", SirenRunner(sirens, base.clock).run)
    return sirens


def _url(listener: Listener) -> str:
    return listener.public_url or f"http://{listener.host}:{listener.port}"


def _account(settings: Settings) -> Callable[[], Awaitable[PartResult]] | None:
    """How to look at the SMS gateway's account, where the gateway offers it."""
    if not settings.sms.enabled or settings.sms.gateway.account_url is None:
        return None
    password = _password(settings.sms.password_file) or ""
    return lambda: account.look(settings.sms, password)


def _password(path: Path | None) -> str | None:
    return None if path is None else read_secret(path).decode().strip()
