"""A small core at a real broker, and a real HTTP server for the audio: what a simulated fleet talks to."""

from __future__ import annotations

import asyncio
import contextlib
import io
import secrets
import socket
import time
import wave
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import aiomqtt
import pytest
from aiohttp import web

from broadcast_core.model import Domain
from broadcast_core.signing import KeyScope, Mac
from drivers.ip_speaker.wire import Topics, Up, report
from drivers.ip_speaker.wire.command import Audio, Membership, Target
from drivers.ip_speaker.wire.provision import Broker, Provision, SpeakerKey
from drivers.ip_speaker.wire.report import GoneReport, HelloReport, ReceiptReport, Report

TOPICS = Topics("tocsin/1", Domain.LIVE)
ZONE = "430103"
PATIENCE_S = 20.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def wav(ms: int, hz: int = 440, rate: int = 22050) -> bytes:
    """A square wave: easy to find again in a recording."""
    samples = array("h", (8000 if (n * 2 * hz // rate) % 2 else -8000 for n in range(rate * ms // 1000)))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file.getvalue()


@dataclass
class Media:
    """An HTTP server of audio; `served` counts requests, `status` makes them fail."""

    url: str = ""
    served: Counter[str] = field(default_factory=Counter)
    status: int = 200
    bodies: dict[str, bytes] = field(default_factory=dict)

    def put(self, body: bytes, ms: int) -> Audio:
        digest = sha256(body).hexdigest()
        self.bodies[digest] = body
        return Audio(sha256=digest, url=f"{self.url}/{digest}", mime="audio/wav", size=len(body), ms=ms)

    async def serve(self, request: web.Request) -> web.Response:
        digest = request.match_info["digest"]
        self.served[digest] += 1
        return web.Response(status=self.status, body=self.bodies[digest] if self.status == 200 else b"")


@dataclass
class Core:
    """Answers hellos, signs commands, and writes down everything that speakers say under their own keys."""

    pen: Any
    host: str
    port: int
    ids: list[str]
    answering: bool = True
    version: int = 7
    live: list[bytes] = field(default_factory=list)
    tones: dict[str, Audio] = field(default_factory=dict)
    heard: list[tuple[str, Report, bool]] = field(default_factory=list)
    refused: int = 0

    def __post_init__(self) -> None:
        self.macs = {i: Mac(i, secrets.token_bytes(32)) for i in self.ids}
        self._keys = {i: secrets.token_bytes(32) for i in self.ids}
        self.macs = {i: Mac(i, key) for i, key in self._keys.items()}
        self._client: aiomqtt.Client | None = None
        self._news = asyncio.Event()

    @property
    def provision(self) -> Provision:
        return Provision(
            broker=Broker(host=self.host, port=self.port),
            prefix=TOPICS.prefix,
            domain=TOPICS.domain,
            trusted=self.pen.trusted,
            speakers=tuple(SpeakerKey(id=i, mac_key=key) for i, key in self._keys.items()),
        )

    @property
    def zones(self) -> dict[str, Membership]:
        return {ZONE: Membership(version=self.version, topic=TOPICS.zone(ZONE, 0))}

    async def run(self, up: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                await self._serve(up)
            await asyncio.sleep(0.1)

    async def publish(self, topic: str, token: bytes, *, retain: bool = False) -> None:
        assert self._client is not None
        await self._client.publish(topic, token, qos=1, retain=retain)

    async def start(self, target: Target | None = None, **words: Any) -> bytes:
        """Publish an emergency start to the zone, or to one speaker's own topic; its bytes."""
        target = target or Target(zone=ZONE, version=self.version)
        token: bytes = self.pen.sign(self.pen.start(now_ms(), target, **words), KeyScope.EMERGENCY)
        self.live.append(token)
        await self.publish(self._topic(target), token)
        return token

    async def stop(self, target: Target | None = None, **words: Any) -> bytes:
        target = target or Target(zone=ZONE, version=self.version)
        self.live.clear()
        token: bytes = self.pen.sign(self.pen.stop(now_ms(), target, **words), KeyScope.CONTROL)
        await self.publish(self._topic(target), token)
        return token

    async def query(self, endpoint_id: str, **words: Any) -> None:
        query = self.pen.query(now_ms(), Target(endpoints=(endpoint_id,)), **words)
        await self.publish(TOPICS.own(endpoint_id), self.pen.sign(query, KeyScope.CONTROL))

    async def until(self, true: Callable[[], bool], what: str = "") -> None:
        """Wait until something heard makes it true."""
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            self._news.clear()
            left = deadline - time.monotonic()
            assert left > 0, f"waited in vain for {what}; heard {Counter(self.words())}"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(left, 0.1))

    def receipts(self, endpoint_id: str | None = None, alert: str = "A", kind: str = "start") -> list[ReceiptReport]:
        return [
            r
            for who, r, _ in self.heard
            if isinstance(r, ReceiptReport) and r.alert == alert and r.kind == kind and endpoint_id in (None, who)
        ]

    def words(self, endpoint_id: str | None = None, alert: str = "A", kind: str = "start") -> list[str]:
        return [
            r.progress if r.reason is None else f"{r.progress}/{r.reason}"
            for r in self.receipts(endpoint_id, alert, kind)
        ]

    def who(self, word: str, alert: str = "A", kind: str = "start") -> set[str]:
        """The speakers that have said it."""
        return {i for i in self.ids if word in self.words(i, alert, kind)}

    def hellos(self, endpoint_id: str) -> list[HelloReport]:
        return [r for who, r, _ in self.heard if who == endpoint_id and isinstance(r, HelloReport)]

    def gone(self) -> list[tuple[str, GoneReport, bool]]:
        return [(who, r, retained) for who, r, retained in self.heard if isinstance(r, GoneReport)]

    @staticmethod
    def _topic(target: Target) -> str:
        return TOPICS.zone(ZONE, 0) if target.zone else TOPICS.own(target.endpoints[0])

    async def _serve(self, up: asyncio.Event) -> None:
        async with aiomqtt.Client(
            self.host,
            self.port,
            protocol=aiomqtt.ProtocolVersion.V5,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        ) as client:
            client.pending_calls_threshold = 10_000
            self._client = client
            for what in Up:
                await client.subscribe(TOPICS.all_up(what), qos=1)
            up.set()
            async for message in client.messages:
                await self._take(str(message.topic), bytes(message.payload), bool(message.retain))

    async def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        who = TOPICS.endpoint_of(topic)
        said = report.decode(self.macs[who].open(payload))
        self.heard.append((who, said, retained))
        self._news.set()
        if isinstance(said, HelloReport):
            self.heard += [(who, evidence, retained) for evidence in said.evidence]
            if self.answering:
                orders = self.pen.orders(
                    now_ms(), said.nonce, tuple(self.live), self.zones, who, tones=self.tones, heartbeat_s=1.0
                )
                await self.publish(TOPICS.own(who), self.pen.sign(orders, KeyScope.CONTROL))


@pytest.fixture
async def new_core(mosquitto: Any, pen: Any) -> AsyncIterator[Callable[[int], Any]]:
    """Start a core for so many speakers; the broker must be up."""
    tasks: list[asyncio.Task[None]] = []

    async def start(count: int) -> Core:
        core = Core(pen, mosquitto.host, mosquitto.port, [f"SPK-{n:04}" for n in range(1, count + 1)])
        up = asyncio.Event()
        tasks.append(asyncio.create_task(core.run(up)))
        await asyncio.wait_for(up.wait(), PATIENCE_S)
        return core

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def core(new_core: Callable[[int], Any]) -> Core:
    """A core for six speakers."""
    made: Core = await new_core(6)
    return made


@pytest.fixture
async def media() -> AsyncIterator[Media]:
    media = Media()
    app = web.Application()
    app.router.add_get("/{digest}", media.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    media.url = f"http://{host}:{port}"
    yield media
    await runner.cleanup()


@pytest.fixture
def make_wav() -> Callable[..., bytes]:
    return wav
