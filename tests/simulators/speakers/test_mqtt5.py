"""The codec and the connection: whatever way bytes are cut, and whatever a broker sends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.ip_speaker.wire import mqtt5
from simulators.speakers.connection import Connection, ConnectionRefused

STREAM = (
    b"\x20\x06\x00\x00\x03\x21\x00\x14"  # CONNACK, receive maximum 20
    b"\x90\x05\x00\x01\x00\x01\x87"  # SUBACK: granted, not authorised
    b"\x32\x0f\x00\x03a/b\x00\x07\x05\x02\x00\x00\x00\x3chi"  # PUBLISH QoS 1 with an expiry
    b"\x31\x08\x00\x01t\x00wxyz"  # PUBLISH QoS 0, retained
    b"\x40\x02\x00\x07"  # PUBACK
    b"\x40\x03\x00\x08\x87"  # PUBACK, not authorised
    b"\xd0\x00"  # PINGRESP
    b"\xe0\x01\x8e"  # DISCONNECT, session taken over
)
PACKETS: list[mqtt5.Packet] = [
    mqtt5.ConnAck(0, 20),
    mqtt5.SubAck(1, b"\x01\x87"),
    mqtt5.Publish("a/b", b"hi", 1, False, 7),
    mqtt5.Publish("t", b"wxyz", 0, True, 0),
    mqtt5.PubAck(7, 0),
    mqtt5.PubAck(8, 0x87),
    mqtt5.PingResp(),
    mqtt5.Disconnect(0x8E),
]


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_cut_anywhere_gives_the_same_packets(cuts: list[int]) -> None:
    reader, packets = mqtt5.Reader(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for begin, end in itertools.pairwise(edges):
        packets += list(reader.feed(STREAM[begin:end]))
    assert packets == PACKETS


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_garbage_is_packets_or_a_protocol_error_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(mqtt5.ProtocolError):
        list(mqtt5.Reader().feed(data))


def test_a_packet_that_would_fill_the_memory_is_refused_before_it_comes() -> None:
    with pytest.raises(mqtt5.ProtocolError):
        list(mqtt5.Reader().feed(b"\x30\xff\xff\xff\x7f"))


@pytest.mark.parametrize("size", [0, 100, 127, 128, 16_300, 16_383, 16_384, 70_000])
def test_what_is_published_reads_back(size: int) -> None:
    sent = mqtt5.publish(mqtt5.encoded_topic("a/b"), b"x" * size, 9)
    assert list(mqtt5.Reader().feed(sent)) == [mqtt5.Publish("a/b", b"x" * size, 1, False, 9)]


class Ear:
    """Writes down what the connection tells."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def published(self, topic: str, payload: bytes, retained: bool) -> None:
        self.told.append((topic, payload, retained))

    def subscribed(self, refused: Sequence[int]) -> None:
        self.told.append(("subscribed", list(refused)))

    def lost(self) -> None:
        self.told.append("lost")


class Script:
    """A broker that does what the test says: it reads whatever comes and writes what it is told."""

    async def __aenter__(self) -> Script:
        self.came = asyncio.Queue[bytes]()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.ear = Ear()
        loop = asyncio.get_running_loop()
        _, self.connection = await loop.create_connection(
            lambda: Connection(b"\x10\x00", self.ear), "127.0.0.1", self.port
        )
        await self.came.get()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.connection.drop()
        self.writer.close()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        while data := await reader.read(1 << 16):
            self.came.put_nowait(data)

    async def until(self, count: int) -> bytes:
        """What the client has sent, once that is `count` bytes."""
        got = b""
        while len(got) < count:
            got += await asyncio.wait_for(self.came.get(), 5)
        return got


async def test_publishes_beyond_the_receive_maximum_wait_for_their_puback() -> None:
    topic = mqtt5.encoded_topic("t")
    async with Script() as script:
        script.writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x02")
        await asyncio.wait_for(script.connection.accepted, 5)
        for text in (b"1", b"2", b"3"):
            script.connection.publish(topic, text, 1)
        first = await script.until(18)
        assert [p.payload for p in mqtt5.Reader().feed(first) if isinstance(p, mqtt5.Publish)] == [b"1", b"2"]
        script.writer.write(b"\x40\x02\x00\x01")
        (third,) = mqtt5.Reader().feed(await script.until(9))
        assert third == mqtt5.Publish("t", b"3", 1, False, 3)


async def test_a_refusal_is_an_error_and_not_a_connection() -> None:
    async with Script() as script:
        script.writer.write(b"\x20\x03\x00\x87\x00")
        with pytest.raises(ConnectionRefused, match="0x87"):
            await asyncio.wait_for(script.connection.accepted, 5)


async def test_a_broker_that_no_longer_answers_a_ping_is_left() -> None:
    async with Script() as script:
        script.writer.write(b"\x20\x03\x00\x00\x00")
        await asyncio.wait_for(script.connection.accepted, 5)
        now = asyncio.get_running_loop().time()
        script.connection.beat(now + 21)
        assert await script.until(2) == mqtt5.PINGREQ
        script.connection.beat(now + 30)
        assert script.ear.told == []
        script.connection.beat(now + 40)
        deadline = asyncio.get_running_loop().time() + 5
        while script.ear.told != ["lost"] and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        assert script.ear.told == ["lost"]


async def test_a_message_is_acknowledged_together_with_what_it_makes_the_speaker_say() -> None:
    async with Script() as script:
        script.writer.write(b"\x20\x03\x00\x00\x00")
        await asyncio.wait_for(script.connection.accepted, 5)
        topic = mqtt5.encoded_topic("t")
        answer = script.connection
        script.ear.published = lambda *_: answer.publish(topic, b"received", 1)  # type: ignore[method-assign]
        script.writer.write(mqtt5.publish(topic, b"start", 5))
        together = await asyncio.wait_for(script.came.get(), 5)
        assert together.startswith(mqtt5.puback(5))
        assert b"received" in together
