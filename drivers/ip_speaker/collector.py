"""The receipts' own connection to the broker: a reader of one subscription, and nothing else.

Why it is ours (docs/decisions/0004): it takes everything that came in one read as one batch, and acknowledges that
batch to the broker in one write, only after it is durable. What was not yet durable when the core dies comes again
or is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from drivers.ip_speaker.access import Access
from drivers.ip_speaker.wire import mqtt5

log = structlog.get_logger(__name__)

Message = tuple[str, bytes]  # topic, payload
Take = Callable[[Sequence[Message], Callable[[], None]], None]

_KEEP_ALIVE_S: Final = 15
_PING_S: Final = 10.0
_DEAD_S: Final = 5.0  # no answer to a ping for this long: the broker is gone although TCP has not noticed
_CONNECT_TIMEOUT_S: Final = 5.0
_RECONNECT_S: Final = 0.5


class Collector:
    """Subscribes `topic` at QoS 1. `take(messages, settled)` gets each read's messages and calls `settled` once they
    are durable."""

    def __init__(self, access: Access, name: str, topics: Sequence[str], take: Take) -> None:
        self._access = access
        self._name = name
        self._topics = topics
        self._take = take
        self._up = asyncio.Event()

    async def wait_up(self) -> None:
        await self._up.wait()

    async def run(self) -> None:
        """Stay connected until cancelled. The links beside it say when there is no broker."""
        while True:
            try:
                await self._session()
            except (OSError, TimeoutError, mqtt5.ProtocolError) as error:
                log.debug("no broker", link=self._name, detail=str(error))
            finally:
                self._up.clear()
            await asyncio.sleep(_RECONNECT_S)

    async def _session(self) -> None:
        settings = self._access.settings
        hello = mqtt5.connect(
            f"tocsin-{self._name}",
            _KEEP_ALIVE_S,
            username=settings.username,
            password=self._access.password,
        )
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(hello, self._topics, self._take),
                settings.host,
                settings.port,
                ssl=self._access.tls(),
            )
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await connection.subscribed
            self._up.set()
            log.info("connected to the broker", link=self._name)
            while not connection.lost.done():
                await asyncio.wait({connection.lost}, timeout=_PING_S)
                connection.beat()
        finally:
            connection.drop()


class _Connection(asyncio.Protocol):
    """One TCP connection's worth of the collector."""

    def __init__(self, hello: bytes, topics: Sequence[str], take: Take) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._hello = hello
        self._topics = topics
        self._take = take
        self._reader = mqtt5.Reader()
        self._transport: asyncio.Transport | None = None
        self._heard_at = loop.time()
        self.subscribed: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport  # asyncio has set TCP_NODELAY
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        messages: list[Message] = []
        packet_ids: list[int] = []
        try:
            for packet in self._reader.feed(data):
                if type(packet) is mqtt5.Publish:
                    if packet.qos:  # of QoS 0 there is nothing to acknowledge: a broker ends the connection over it
                        packet_ids.append(packet.packet_id)
                    if not packet.retained:
                        messages.append((packet.topic, packet.payload))
                else:
                    self._other(packet)
        except mqtt5.ProtocolError as error:
            log.error("the broker broke the protocol", detail=str(error))  # noqa: TRY400
            self.drop()
        if messages or packet_ids:
            acknowledgements = b"".join(map(mqtt5.puback, packet_ids))
            self._take(messages, lambda: self._write(acknowledgements))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)
        if not self.subscribed.done():
            self.subscribed.set_exception(ConnectionResetError("closed before the subscription"))
            self.subscribed.exception()  # seen, also when whoever waited for it has gone

    def beat(self) -> None:
        """Ask whether the broker is there; drop the connection if it has not answered for too long."""
        if self._loop.time() - self._heard_at > _PING_S + _DEAD_S:
            self.drop()
        else:
            self._write(mqtt5.PINGREQ)

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _other(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.ConnAck):
            if packet.reason >= mqtt5.REFUSED:
                self._fail(f"the broker refused the login, reason {packet.reason:#x}")
            else:
                self._write(mqtt5.subscribe(1, self._topics))
        elif isinstance(packet, mqtt5.SubAck):
            if any(reason >= mqtt5.REFUSED for reason in packet.reasons):
                self._fail("the broker refused the subscription to receipts")
            elif not self.subscribed.done():
                self.subscribed.set_result(None)
        elif isinstance(packet, mqtt5.Disconnect):
            self.drop()

    def _fail(self, why: str) -> None:
        log.error(why)
        if not self.subscribed.done():
            self.subscribed.set_exception(ConnectionRefusedError(why))
        self.drop()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
