"""The core with real parts behind a real listener on loopback; only the field is inside the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import pytest

from broadcast_core import audit
from broadcast_core.audio.media import MediaStore
from broadcast_core.clock import SystemClock
from broadcast_core.config import Listener, Policy, Settings, Space
from broadcast_core.dispatch import Dispatch
from broadcast_core.driver import Driver
from broadcast_core.errors import DriverUnavailable
from broadcast_core.intake import Intake
from broadcast_core.intake.direct import Direct
from broadcast_core.intake.modes import ModeDesk, load_modes
from broadcast_core.journal import Journal
from broadcast_core.library import Library, User
from broadcast_core.live import Live
from broadcast_core.model import (
    AudioRef,
    Availability,
    Batch,
    Channel,
    CoilAddress,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Endpoint,
    ModeChange,
    Point,
    Presence,
    Progress,
    Reason,
    Receipt,
    SelfTest,
    Spoken,
    Start,
    Stop,
    Zone,
    ZoneLevel,
)
from broadcast_core.patterns import patterns
from broadcast_core.registry import Change, Registry
from broadcast_core.registry import rows as registry_rows
from broadcast_core.reserve import Reserve
from broadcast_core.selftest import SelfTestDesk, SelfTestRunner
from broadcast_core.selftest.book import Book
from broadcast_core.services import Services
from broadcast_core.siren import SirenDesk, templates
from broadcast_core.siren import rows as siren_rows
from broadcast_core.siren.signals import Signals
from broadcast_core.stop import ExpressLane
from broadcast_core.store import Store
from broadcast_core.tokens import TokenBook, TokenScope
from broadcast_core.web import CONNECTIONS, Limits, listening, make_app
from scheduler import rows as schedule_rows
from scheduler.desk import ScheduleDesk
from scheduler.model import Item

T = TypeVar("T")
ITEMS = {
    id_: Item(
        id=id_,
        title=id_,
        audio=AudioRef(
            sha256="0" * 64, url="http://x/y", mime_type="audio/mpeg", size=1, duration=timedelta(minutes=10)
        ),
        loudness_lufs=-16.0,
    )
    for id_ in ("news", "music")
}
NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
ALL = (Progress.RECEIVED, Progress.STARTED, Progress.FINISHED)

CAP = """<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
  <identifier>{identifier}</identifier><sender>duty@tianxin</sender><sent>{sent}</sent>
  <status>Actual</status><msgType>{msg_type}</msgType><scope>Public</scope>{references}
  <info><language>zh-CN</language><category>Met</category><event>暴雨</event><urgency>Immediate</urgency>
    <severity>Severe</severity><certainty>Observed</certainty><headline>{headline}</headline>
    <parameter><valueName>tocsin:channels</valueName><value>{channels}</value></parameter>
    <area><areaDesc>north</areaDesc>
      <geocode><valueName>tocsin:zone</valueName><value>{zone}</value></geocode></area></info>
</alert>"""


def district() -> Registry:
    def zone(code: str, parent: str | None, level: ZoneLevel) -> Zone:
        return Zone(code=code, parent=parent, level=level, name_zh=f"{code}区", name_en=f"Zone {code}")

    def speaker(number: int, where: str, **more: Any) -> Endpoint:
        position = Point(lat=28.1 + number / 100, lon=112.9)
        return Endpoint(
            id=f"SPK-{number}", channel=Channel.SPEAKER, zone=where, name=f"喇叭 {number}", position=position, **more
        )

    return Registry(
        (
            zone("D", None, ZoneLevel.DISTRICT),
            zone("N", "D", ZoneLevel.SUBDISTRICT),
            zone("S", "D", ZoneLevel.SUBDISTRICT),
            zone("N1", "N", ZoneLevel.COMMUNITY),
            zone("N2", "N", ZoneLevel.COMMUNITY),
            zone("S1", "S", ZoneLevel.COMMUNITY),
        ),
        (
            speaker(1, "N1"),
            speaker(2, "N1", simulated=True),
            speaker(3, "N2"),
            speaker(4, "S1"),
            speaker(5, "S1", enabled=False),
            Endpoint(
                id="HRN-1", channel=Channel.HORN, zone="N2", name="警报器 1",
                coil=CoilAddress(line="line-1", unit=1, coil=0),
            ),
            Endpoint(id="SMS-1", channel=Channel.SMS, zone="N1", name="人 1", phone="+9990000000001"),
            Endpoint(id="SMS-2", channel=Channel.SMS, zone="S1", name="人 2", phone="+9990000000002"),
        ),
    )  # fmt: skip


class Loopback:
    """A driver whose field is inside the process: every endpoint answers at once as `answers` says."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.answers: dict[str, Sequence[Progress]] = {}  # ALL for whoever is not here
        self.reasons: dict[str, Reason] = {}
        self.down = False
        self.sent: list[Delivery] = []
        self._events: asyncio.Queue[Batch | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._events.put_nowait(None)

    async def send(self, deliveries: Sequence[Delivery]) -> None:
        if self.down:
            raise DriverUnavailable(self.channel, "unplugged")
        self.sent += deliveries
        for delivery in deliveries:
            if isinstance(delivery.order, (Start, Stop, ModeChange, SelfTest)):
                self._answer(delivery, delivery.order)

    async def listen(self) -> AsyncIterator[Batch]:
        while (batch := await self._events.get()) is not None:
            yield batch

    def report(
        self, key: DeliveryKey, *progresses: Progress, reason: Reason | None = None, played: timedelta | None = None
    ) -> None:
        """An endpoint says how far it is."""
        now = SystemClock().now()
        receipts = [
            Receipt(
                key=key,
                progress=progress,
                at=now,
                reason=reason if progress is Progress.FAILED else None,
                played=played if progress is Progress.FINISHED else None,
            )
            for progress in progresses
        ]
        self._events.put_nowait(Batch(channel=self.channel, events=receipts))

    def presence(self, endpoint_id: str, presence: Presence) -> None:
        news = Availability(endpoint_id=endpoint_id, presence=presence, at=SystemClock().now())
        self._events.put_nowait(Batch(channel=self.channel, events=[news]))

    def _answer(self, delivery: Delivery, order: Start | Stop | ModeChange | SelfTest) -> None:
        stopping = isinstance(order, Stop)
        key = DeliveryKey(
            alert_id=order.alert_id,
            revision=order.revision,
            kind=DeliveryKind.STOP if stopping else DeliveryKind.START,
            endpoint_id=delivery.endpoint.id,
        )
        said = self.answers.get(delivery.endpoint.id, ALL)
        if not isinstance(order, Start):
            said = (Progress.RECEIVED, Progress.FINISHED) if said else ()
        self.report(
            key,
            Progress.SENT,
            *said,
            reason=self.reasons.get(delivery.endpoint.id),
            played=timedelta(seconds=12),
        )


@dataclass
class Disk:
    """What the core believes of its disk."""

    free: int = 10_000_000_000


@dataclass(kw_only=True)
class Core:
    """A running core and how to talk to it."""

    url: str
    address: tuple[str, int]
    services: Services
    tokens: TokenBook
    field_of: Mapping[Channel, Loopback]
    http: aiohttp.ClientSession
    database: Path
    express: ExpressLane
    planner: ScheduleDesk
    tests: SelfTestDesk
    tester: SelfTestRunner
    sirens: SirenDesk
    listener: AsyncExitStack  # close it to take the server down
    disk: Disk
    users: dict[str, list[User]]  # who needs an item of the library
    texts: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def cap(
        identifier: str = "A-1", *, zone: str = "N1", channels: str = "speaker", msg_type: str = "Alert",
        references: str = "", sent: str = NOW, headline: str = "暴雨红色预警",
    ) -> bytes:  # fmt: skip
        """A CAP 1.2 message in XML."""
        refers = f"<references>{references}</references>" if references else ""
        return CAP.format(
            identifier=identifier, sent=sent, msg_type=msg_type, references=refers, channels=channels, zone=zone,
            headline=headline,
        ).encode()  # fmt: skip

    @staticmethod
    async def until(condition: Callable[[], Awaitable[T]], seconds: float = 20.0) -> T:
        """The condition's first true answer, or a failure after some seconds."""
        async with asyncio.timeout(seconds):
            while not (answer := await condition()):
                await asyncio.sleep(0.02)
        return answer

    @property
    def speakers(self) -> Loopback:
        return self.field_of[Channel.SPEAKER]

    def bearer(self, name: str = "all") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.texts[name]}"}

    async def ask(
        self, method: str, path: str, *, token: str | None = "all", headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> aiohttp.ClientResponse:  # fmt: skip
        """One request, its body read."""
        sent = {**(self.bearer(token) if token else {}), **(headers or {})}
        async with self.http.request(method, f"{self.url}{path}", headers=sent, **more) as response:
            await response.read()
            return response

    async def send(self, body: bytes, *, path: str = "/api/v1/alerts", **more: Any) -> dict[str, Any]:
        """Submit a message and expect it to be accepted."""
        headers = {"Content-Type": "application/cap+xml", **more.pop("headers", {})}
        response = await self.ask("POST", path, data=body, headers=headers, **more)
        assert response.status in (200, 201), await response.text()
        return dict(await response.json())

    async def report(self, alert_id: str) -> dict[str, Any]:
        response = await self.ask("GET", f"/api/v1/alerts/{alert_id}/report")
        assert response.status == 200, await response.text()
        return dict(await response.json())

    async def until_complete(self, alert_id: str) -> dict[str, Any]:
        async def complete() -> dict[str, Any]:
            found = await self.report(alert_id)
            return found if found["complete"] else {}

        return await self.until(complete)


async def find_items() -> dict[str, Item]:
    return dict(ITEMS)


async def speak(words: Sequence[Any], *_more: object) -> Spoken:
    """No voice here: tone and text go out alone, as they do when speech fails."""
    text = tuple((said.language, said.text) for said in words)
    return Spoken(tone="attention", audio=None, text=text, note="no voice in this test")


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
async def core(tmp_path: Path, limits: Limits) -> AsyncIterator[Core]:
    async with AsyncExitStack() as stack:
        core = await start_core(stack, tmp_path, limits)
        yield core


async def start_core(stack: AsyncExitStack, directory: Path, limits: Limits) -> Core:
    clock = SystemClock()
    settings = Settings(data_dir=directory, policy=Policy(default_channels=("speaker",)))
    store = await stack.enter_async_context(Store(settings.database_url))
    tokens = TokenBook(store, clock)
    await tokens.load()
    current = [district()]
    await registry_rows.apply(store, current[0], actor="test", now=clock.now(), record=audit.record)
    live = Live()
    field_of = {channel: Loopback(channel) for channel in Channel}
    drivers: list[Driver] = [await stack.enter_async_context(driver) for driver in field_of.values()]
    dispatch = await stack.enter_async_context(
        Dispatch(drivers, store=store, live=live, endpoint_of=lambda i: current[0].endpoints.get(i), clock=clock)
    )
    journal = Journal(directory / "stops.journal")
    express = ExpressLane(live=live, dispatch=dispatch, store=store, journal=journal, clock=clock)
    stack.push_async_callback(express.drain)

    async def registry_changed(registry: Registry, _change: Change) -> None:
        current[0] = registry

    direct = Direct(store=store, live=live, dispatch=dispatch, registry=lambda: current[0], clock=clock)
    desk = ModeDesk(
        await load_modes(store),
        store=store,
        direct=direct,
        registry=lambda: current[0],
        policy=settings.policy,
        clock=clock,
    )
    disk = Disk()
    reserve = Reserve(directory, Space(ballast_mb=0), free=lambda _folder: disk.free)
    intake = Intake(
        settings=settings,
        store=store,
        live=live,
        dispatch=dispatch,
        current=current[0],
        patterns=patterns(),
        speak=speak,
        clock=clock,
        registry_changed=registry_changed,
    )
    users: dict[str, list[User]] = {}

    async def users_of(_connection: object, item_id: str) -> list[User]:
        return users.get(item_id, [])

    library = Library(
        settings=settings,
        store=store,
        media=MediaStore(settings.media_dir),
        clock=clock,
        admit=reserve.admit,
        users_of=users_of,
    )
    await library.open()
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
        registry=lambda: current[0],
    )
    planner = ScheduleDesk(
        await schedule_rows.load(store),
        store=store,
        registry=lambda: current[0],
        modes=lambda: desk.modes,
        items=find_items,
        changed=lambda: None,
        tz=settings.zone_info,
        reference_lufs=-16.0,
        clock=clock,
    )
    book = Book()
    await book.load(store, clock.now())
    tests = SelfTestDesk(
        book, settings=settings.selftest, store=store, live=live, registry=lambda: current[0],
        modes=lambda: desk.modes, circumstances=planner.circumstances, clock=clock,
    )  # fmt: skip
    tester = SelfTestRunner(
        tests, direct=direct, live=live, registry=lambda: current[0], circumstances=planner.circumstances,
        file=ITEMS["news"].audio, clock=clock,
    )  # fmt: skip
    signals = Signals(
        templates=templates(patterns()), intake=intake, express=express, live=live, store=store,
        registry=lambda: current[0], sender=settings.policy.sender, clock=clock,
    )  # fmt: skip
    sirens = SirenDesk(
        siren_rows.Stored(), signals=signals, store=store, registry=lambda: current[0], tz=settings.zone_info,
        clock=clock,
    )  # fmt: skip
    app = make_app(services, tokens, planner, tests, sirens, limits)
    listener = await stack.enter_async_context(AsyncExitStack())
    address = await listener.enter_async_context(listening(app, Listener(port=0), app[CONNECTIONS]))
    http = await stack.enter_async_context(aiohttp.ClientSession())
    core = Core(
        url=f"http://{address[0]}:{address[1]}",
        address=address,
        services=services,
        tokens=tokens,
        field_of=field_of,
        http=http,
        database=directory / "tocsin.db",
        express=express,
        planner=planner,
        tests=tests,
        tester=tester,
        sirens=sirens,
        listener=listener,
        disk=disk,
        users=users,
    )
    for name, scopes in (
        ("all", tuple(TokenScope)),
        ("reader", (TokenScope.READ,)),
        ("sender", (TokenScope.ALERT_SEND,)),
        ("stopper", (TokenScope.ALERT_STOP,)),
        ("admin", (TokenScope.ADMIN,)),
    ):
        _token, core.texts[name] = await tokens.issue(actor=f"{name}-person", scopes=scopes, expires=None, by="test")
    return core
