"""The light fleet, a process of its own: speakers that check, answer and sound nothing.

In the field each speaker has a processor of its own; here 1,099 of them share two cores with the core and the
broker, so identical bytes are verified and read once. The simulated speakers (`simulators.speakers`) do all that the
protocol asks; `tocsin bench` runs them too.

`python -m broadcast_core.bench.light PROVISION`; prints "ready" once every speaker has its orders.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from broadcast_core.clock import SystemClock, to_ms
from broadcast_core.signing import Mac, Verifier
from drivers.ip_speaker.wire import Topics, Up, command, mqtt5, provision, report
from drivers.ip_speaker.wire.command import Command, ModeCommand, OrdersCommand, StartCommand, StopCommand
from drivers.ip_speaker.wire.provision import Provision
from simulators.speakers.connection import KEEP_ALIVE_S, Connection

_AT_ONCE: Final = 64


class Reader:
    """Verifies and reads each distinct message once for all speakers."""

    def __init__(self, provided: Provision) -> None:
        self._verifier = Verifier({key.key_id: key for key in provided.trusted})
        self._newest: tuple[bytes, Command] | None = None

    def read(self, payload: bytes) -> Command:
        if self._newest is None or self._newest[0] != payload:
            self._newest = payload, command.decode(self._verifier.verify(payload).payload)
        return self._newest[1]


class Light:
    """One speaker."""

    __slots__ = ("_alive", "_hello", "_mac", "_own", "_reader", "_receipts", "_topics", "connection", "ready")

    def __init__(self, topics: Topics, endpoint_id: str, mac: Mac, reader: Reader) -> None:
        self._topics = topics
        self._own = topics.own(endpoint_id)
        self._hello = mqtt5.encoded_topic(topics.up(endpoint_id, Up.HELLO))
        self._receipts = mqtt5.encoded_topic(topics.up(endpoint_id, Up.RECEIPT))
        self._mac = mac
        self._reader = reader
        self.connection: Connection | None = None
        self.ready = False

    async def connect(self, host: str, port: int) -> None:
        hello = mqtt5.connect(self._mac.endpoint_id, KEEP_ALIVE_S)
        _, self.connection = await asyncio.get_running_loop().create_connection(
            partial(Connection, hello, self), host, port
        )
        await self.connection.accepted
        self.connection.subscribe([self._own])

    def subscribed(self, refused: Sequence[int]) -> None:
        if self.ready or self.connection is None:
            return
        hello = report.HelloReport(session=1, nonce=secrets.token_urlsafe(16), at=to_ms(SystemClock().now()))
        self.connection.publish(self._hello, self._mac.seal(report.encode(hello)), qos=1)

    def published(self, topic: str, payload: bytes, retained: bool) -> None:
        match self._reader.read(payload):
            case StartCommand() as start:
                self._say(start, "start", "received")
            case StopCommand() as stop:
                for kind, progress in (("stop", "received"), ("stop", "finished"), ("start", "stopped")):
                    self._say(stop, kind, progress)
            case ModeCommand() as change:
                for progress in ("received", "finished"):
                    self._say(change, "start", progress)
            case OrdersCommand() as orders if not self.ready and self.connection is not None:
                self.ready = True
                self.connection.subscribe([membership.topic for membership in orders.zones.values()])

    def lost(self) -> None:
        """The bench is over."""

    def _say(self, about: StartCommand | StopCommand | ModeCommand, kind: str, progress: str) -> None:
        assert self.connection is not None
        said = report.ReceiptReport(alert=about.alert, rev=about.rev, kind=kind, progress=progress, at=about.iat)
        self.connection.publish(self._receipts, self._mac.seal(report.encode(said)), qos=1)


async def _main(provided: Provision) -> None:
    topics, reader = Topics(provided.prefix, provided.domain), Reader(provided)
    lights = [Light(topics, s.id, Mac(s.id, s.mac_key), reader) for s in provided.speakers]
    for start in range(0, len(lights), _AT_ONCE):
        group = lights[start : start + _AT_ONCE]
        await asyncio.gather(*(light.connect(provided.broker.host, provided.broker.port) for light in group))
    beating = asyncio.create_task(_beat(lights))
    while not all(light.ready for light in lights):  # noqa: ASYNC110  once, at the start
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)  # the zone subscriptions
    gc.collect()
    gc.freeze()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    beating.cancel()


async def _beat(lights: Sequence[Light]) -> None:
    while True:
        await asyncio.sleep(5)
        now = asyncio.get_running_loop().time()
        for light in lights:
            if light.connection is not None:
                light.connection.beat(now)


if __name__ == "__main__":
    asyncio.run(_main(provision.decode(Path(sys.argv[1]).read_bytes())))
