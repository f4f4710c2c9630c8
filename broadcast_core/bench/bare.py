"""The least an MQTT 5 client can do: what the raw limit is measured with. No library, no parsing beyond lengths."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

ALERT_TOPIC: Final = "bench/all"
ACK_TOPIC: Final = "bench/ack"
ALERT: Final = b"x" * 512
ACK: Final = b"y" * 240  # about a receipt's size


def own_topic(number: int) -> str:
    """The topic of one device, for the naive way."""
    return f"bench/own/{number}"


class Bare(asyncio.Protocol):
    """Connects, subscribes, and hands over each PUBLISH's packet id."""

    def __init__(self, client_id: str, topics: tuple[str, ...], published: Callable[[Bare, int], None]) -> None:
        self._client_id = client_id
        self._topics = topics
        self._published = published
        self._rest = b""
        self._packet_id = 0
        self.transport: asyncio.WriteTransport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def publish(self, topic: bytes, payload: bytes) -> bytes:
        """A QoS 1 PUBLISH, not yet written."""
        self._packet_id = self._packet_id % 65535 + 1
        body = len(topic).to_bytes(2, "big") + topic + self._packet_id.to_bytes(2, "big") + b"\x00" + payload
        return b"\x32" + _varint(len(body)) + body

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport
        name = self._client_id.encode()
        body = b"\x00\x04MQTT\x05\x02\x00\x00\x00" + len(name).to_bytes(2, "big") + name
        self.write(b"\x10" + _varint(len(body)) + body)

    def data_received(self, data: bytes) -> None:
        acks = []
        for first, packet in self._packets(data):
            kind = first >> 4
            if kind == 3:
                at = 2 + int.from_bytes(packet[:2], "big")
                acks.append(b"\x40\x02" + packet[at : at + 2])
                self._published(self, at)
            elif kind == 2:
                self._subscribe()
            elif kind == 9 and not self.ready.done():
                self.ready.set_result(None)
        if acks:
            self.write(b"".join(acks))

    def _subscribe(self) -> None:
        if not self._topics:
            self.ready.set_result(None)
            return
        body = b"\x00\x01\x00" + b"".join(len(t).to_bytes(2, "big") + t.encode() + b"\x01" for t in self._topics)
        self.write(b"\x82" + _varint(len(body)) + body)

    def _packets(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        data = self._rest + data
        start = 0
        while len(data) - start >= 2:
            size = shift = 0
            at = start + 1
            while at < len(data):
                size |= (data[at] & 0x7F) << shift
                shift += 7
                at += 1
                if data[at - 1] < 0x80:
                    break
            else:
                break
            if at + size > len(data):
                break
            yield data[start], data[at : at + size]
            start = at + size
        self._rest = data[start:]


async def connect(port: int, client_id: str, topics: tuple[str, ...], published: Callable[[Bare, int], None]) -> Bare:
    """One bare client, connected and subscribed."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Bare(client_id, topics, published), "127.0.0.1", port)
    await client.ready
    return client


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)
