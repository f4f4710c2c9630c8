"""Raw MQTT 5 connections that find out what a broker is good for: alone, under a storm, and in a crowd."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from broadcast_core.errors import TocsinError
from drivers.ip_speaker.access import Access
from drivers.ip_speaker.wire import mqtt5

NOT_AUTHORIZED: Final = 0x87
_CONNECT_S: Final = 5.0
_QUIET_S: Final = 3.0  # a storm is over when nothing has come for so long
_KEEP_ALIVE_S: Final = 60
_WINDOW: Final = 500  # publishes without their PUBACK; fewer where the broker says so
_AT_ONCE: Final = 64  # connects; a listen backlog of 100 makes more of them wait a second
_PAYLOAD_BYTES: Final = 64


@dataclass(eq=False)
class BrokerRefused(TocsinError):
    """The broker answered with a refusal: an MQTT 5 reason code."""

    code: int

    def __str__(self) -> str:
        return f"MQTT 5 reason 0x{self.code:02x}"


class LoginRefused(BrokerRefused):
    """The broker did not take the connection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Storm:
    """What became of so many acknowledgements at once."""

    sent: int
    arrived: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Crowd:
    """How many connections the broker took; `ours` is whether it was this process that ran out of descriptors."""

    wanted: int
    taken: int
    ours: bool


async def greet(access: Access, *, anonymous: bool = False) -> None:
    """Connect and leave again. Raises BrokerRefused, ProtocolError, OSError or TimeoutError."""
    async with _connected(access, anonymous=anonymous):
        pass


async def storm(access: Access, count: int) -> Storm:
    """Have `count` QoS 1 messages wait for one subscriber at once, as after an alert to so many speakers.

    The subscriber acknowledges nothing before the last one was published: the core too waits for its commit. The
    topic is the prefix's own ``doctor`` branch, where no device listens. Raises like `greet`.
    """
    topic = f"{access.settings.prefix}/doctor/{secrets.token_hex(8)}"
    async with _connected(access) as ear, _connected(access) as mouth:
        await ear.subscribe(topic)
        subscriber = _Subscriber(ear, count)
        listening = asyncio.create_task(subscriber.listen(), name="doctor-storm")
        try:
            await _publish(mouth, topic, count)
            subscriber.acknowledge()
            arrived = -1
            while not listening.done() and arrived < len(subscriber.arrived):
                arrived = len(subscriber.arrived)
                await asyncio.wait({listening}, timeout=_QUIET_S)
            if listening.done():
                await listening  # what ended it early says why
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    return Storm(sent=count, arrived=len(subscriber.arrived))


async def crowd(access: Access, wanted: int) -> Crowd:
    """Hold `wanted` connections at the same time, then let them go."""
    gate, ours = asyncio.Semaphore(_AT_ONCE), False
    full = asyncio.Event()
    async with AsyncExitStack() as stack:

        async def join() -> bool:
            nonlocal ours
            async with gate:
                if full.is_set():
                    return False
                try:
                    await stack.enter_async_context(_connected(access))
                except OSError as error:  # TimeoutError is one of them
                    ours = ours or error.errno in (errno.EMFILE, errno.ENFILE)
                    full.set()
                except (BrokerRefused, mqtt5.ProtocolError):
                    full.set()
                else:
                    return True
                return False

        taken = sum(await asyncio.gather(*(join() for _ in range(wanted))))
    return Crowd(wanted=wanted, taken=taken, ours=ours)


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._cut = mqtt5.Reader()
        self._packets: list[mqtt5.Packet] = []  # newest first
        self.receive_maximum = 0

    def write(self, packet: bytes) -> None:
        self._writer.write(packet)

    async def drain(self) -> None:
        await self._writer.drain()

    async def subscribe(self, topic: str) -> None:
        """Subscribe with QoS 1. Raises BrokerRefused."""
        self.write(mqtt5.subscribe(1, [topic]))
        async with asyncio.timeout(_CONNECT_S):
            answer = await self.next()
        if not isinstance(answer, mqtt5.SubAck):
            raise mqtt5.ProtocolError(f"{type(answer).__name__} instead of SUBACK")
        if answer.reasons[0] >= mqtt5.REFUSED:
            raise BrokerRefused(answer.reasons[0])

    async def next(self) -> mqtt5.Packet:
        """The next packet. Raises ConnectionError at the end of the stream."""
        while not self._packets:
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "the broker closed the connection")
            self._packets = [*self._cut.feed(data)][::-1]
        return self._packets.pop()


class _Subscriber:
    """Takes a storm in, and holds its acknowledgements back until told otherwise."""

    def __init__(self, connection: _Connection, count: int) -> None:
        self._connection = connection
        self._count = count
        self._held: list[int] | None = []
        self.arrived: set[bytes] = set()

    async def listen(self) -> None:
        """Until every message has arrived. Raises like `_Connection.next`."""
        while len(self.arrived) < self._count:
            packet = await self._connection.next()
            if not isinstance(packet, mqtt5.Publish):
                continue
            self.arrived.add(packet.payload)
            if self._held is None:
                self._connection.write(mqtt5.puback(packet.packet_id))
            else:
                self._held.append(packet.packet_id)

    def acknowledge(self) -> None:
        """Acknowledge what has arrived, and from now on everything at once."""
        for packet_id in self._held or ():
            self._connection.write(mqtt5.puback(packet_id))
        self._held = None


@asynccontextmanager
async def _connected(access: Access, *, anonymous: bool = False) -> AsyncIterator[_Connection]:
    settings = access.settings
    async with asyncio.timeout(_CONNECT_S):
        reader, writer = await asyncio.open_connection(settings.host, settings.port, ssl=access.tls())
    connection = _Connection(reader, writer)
    try:
        name = f"tocsin-doctor-{secrets.token_hex(6)}"
        username, password = (None, None) if anonymous else (settings.username, access.password)
        connection.write(mqtt5.connect(name, _KEEP_ALIVE_S, username=username, password=password))
        async with asyncio.timeout(_CONNECT_S):
            answer = await connection.next()
        if not isinstance(answer, mqtt5.ConnAck):
            raise mqtt5.ProtocolError(f"{type(answer).__name__} instead of CONNACK")
        if answer.reason >= mqtt5.REFUSED:
            raise LoginRefused(answer.reason)
        connection.receive_maximum = answer.receive_maximum
        yield connection
        connection.write(mqtt5.DISCONNECT)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _publish(mouth: _Connection, topic: str, count: int) -> None:
    """Publish and wait for every PUBACK, the first alone: mosquitto hangs up on many that it denies. Raises
    BrokerRefused."""
    encoded, widest = mqtt5.encoded_topic(topic), min(_WINDOW, mouth.receive_maximum)
    sent = acknowledged = 0
    while acknowledged < count:
        window = widest if acknowledged else 1
        while sent < count and sent - acknowledged < window:
            sent += 1
            mouth.write(mqtt5.publish(encoded, sent.to_bytes(_PAYLOAD_BYTES), sent))
        await mouth.drain()
        async with asyncio.timeout(_QUIET_S):
            answer = await mouth.next()
        if isinstance(answer, mqtt5.PubAck):
            if answer.reason >= mqtt5.REFUSED:
                raise BrokerRefused(answer.reason)
            acknowledged += 1
