"""One speaker's TCP connection to the broker: MQTT 5 on a bare asyncio protocol.

A client library per speaker costs more than the speaker; 1,099 of these share one process without being noticed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from drivers.ip_speaker.wire import mqtt5

KEEP_ALIVE_S: Final = 30
# A PINGREQ goes out after this long without a word of ours, well inside the keep-alive.
_IDLE_S: Final = 20.0
# No answer to a PINGREQ for this long: the broker is gone although TCP has not noticed.
_DEAD_S: Final = 15.0


class ConnectionRefused(Exception):
    """The broker answered CONNECT with a refusal."""


class Listener(Protocol):
    """Who is told what comes in."""

    def published(self, topic: str, payload: bytes, retained: bool) -> None: ...

    def subscribed(self, refused: Sequence[int]) -> None:
        """A SUBSCRIBE was answered; `refused` are the reason codes of the topics that were not granted."""
        ...

    def lost(self) -> None:
        """The connection ended, however it did. Called once, only after it had been accepted."""
        ...


class Connection(asyncio.Protocol):
    """MQTT over one transport. Everything written while input is read leaves in one piece, PUBACK included."""

    __slots__ = (
        "_backlog",
        "_corked",
        "_in_flight",
        "_last_out",
        "_listener",
        "_loop",
        "_out",
        "_packet_id",
        "_ping_since",
        "_reader",
        "_subscriptions",
        "_transport",
        "_window",
        "accepted",
        "refused_publishes",
    )

    def __init__(self, hello: bytes, listener: Listener) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._reader = mqtt5.Reader()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = [hello]
        self._corked = False
        self._packet_id = 0
        self._in_flight = 0
        self._window = 65535
        self._backlog: deque[tuple[bytes, bytes]] = deque()
        self._subscriptions: set[int] = set()
        self._last_out = 0.0
        self._ping_since: float | None = None
        self.accepted: asyncio.Future[None] = self._loop.create_future()
        self.refused_publishes = 0

    def publish(self, topic: bytes, payload: bytes, qos: int) -> None:
        """Send to an `mqtt5.encoded_topic`. QoS 1 beyond the broker's receive maximum waits for PUBACKs."""
        if qos == 0:
            self._write(mqtt5.publish(topic, payload, None))
        elif self._in_flight >= self._window:
            self._backlog.append((topic, payload))
        else:
            self._in_flight += 1
            self._write(mqtt5.publish(topic, payload, self._next_id()))

    def subscribe(self, topics: Sequence[str]) -> None:
        packet_id = self._next_id()
        self._subscriptions.add(packet_id)
        self._write(mqtt5.subscribe(packet_id, topics))

    def unsubscribe(self, topics: Sequence[str]) -> None:
        self._write(mqtt5.unsubscribe(self._next_id(), topics))

    def beat(self, now: float) -> None:
        """Call every few seconds: keeps the connection alive, and drops it when the broker has gone dumb."""
        if self._ping_since is not None:
            if now - self._ping_since > _DEAD_S:
                self.drop()
        elif now - self._last_out > _IDLE_S:
            self._ping_since = now
            self._write(mqtt5.PINGREQ)

    def leave(self) -> None:
        """Say goodbye, and have the will published all the same."""
        self._write(mqtt5.DISCONNECT_WITH_WILL)
        if self._transport is not None:
            self._transport.close()

    def drop(self) -> None:
        """Be gone at once, as with a pulled cable."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport  # asyncio has set TCP_NODELAY
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._corked = True
        try:
            for packet in self._reader.feed(data):
                if type(packet) is mqtt5.Publish:
                    if packet.qos:
                        self._out.append(mqtt5.puback(packet.packet_id))
                    self._listener.published(packet.topic, packet.payload, packet.retained)
                elif type(packet) is mqtt5.PubAck:
                    self._acknowledged(packet)
                else:
                    self._other(packet)
        except mqtt5.ProtocolError:
            self.drop()
        finally:
            self._corked = False
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.accepted.done():
            self.accepted.set_exception(ConnectionRefused("closed before CONNACK"))
        elif not self.accepted.cancelled() and self.accepted.exception() is None:
            self._listener.lost()

    def _other(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.ConnAck):
            self._window = packet.receive_maximum
            if self.accepted.done():
                self.drop()
            elif packet.reason >= mqtt5.REFUSED:
                self.accepted.set_exception(ConnectionRefused(f"reason {packet.reason:#x}"))
            else:
                self.accepted.set_result(None)
        elif isinstance(packet, mqtt5.SubAck):
            if packet.packet_id in self._subscriptions:
                self._subscriptions.discard(packet.packet_id)
                self._listener.subscribed([r for r in packet.reasons if r >= mqtt5.REFUSED])
        elif isinstance(packet, mqtt5.PingResp):
            self._ping_since = None
        elif isinstance(packet, mqtt5.Disconnect):
            self.drop()

    def _acknowledged(self, ack: mqtt5.PubAck) -> None:
        self._in_flight -= 1
        if ack.reason >= mqtt5.REFUSED:
            self.refused_publishes += 1
        if self._backlog:
            self.publish(*self._backlog.popleft(), qos=1)

    def _next_id(self) -> int:
        self._packet_id = self._packet_id % 65535 + 1
        return self._packet_id

    def _write(self, packet: bytes) -> None:
        self._out.append(packet)
        if not self._corked:
            self._flush()

    def _flush(self) -> None:
        out = self._out
        if not out or self._transport is None:
            return
        self._last_out = self._loop.time()
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        out.clear()
