"""As much of MQTT 5 (OASIS, 2019) as a speaker, and the collector of their receipts, need. Pure codec.

Left out because neither has a use for it: QoS 2, topic aliases, enhanced authentication, flow control downwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from broadcast_core.errors import TocsinError

PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
# Reason 0x04: the server publishes the will although the client says goodbye.
DISCONNECT_WITH_WILL: Final = b"\xe0\x01\x04"
REFUSED: Final = 0x80  # reason codes from here on are refusals

# SUBSCRIBE option: QoS 1, keep the publisher's retain flag, send nothing that is retained.
_SUBSCRIPTION: Final = 0b0010_1001
_RECEIVE_MAXIMUM: Final = 0x21
_MAX_PACKET: Final = 1 << 20
_LARGEST: Final = b"\x05\x27" + _MAX_PACKET.to_bytes(4, "big")  # CONNECT's properties: Maximum Packet Size


class ProtocolError(TocsinError):
    """Bytes that a broker must not send."""


class ConnAck(NamedTuple):
    reason: int
    receive_maximum: int  # QoS 1 messages that may wait for their PUBACK at a time


class Publish(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retained: bool
    packet_id: int


class PubAck(NamedTuple):
    packet_id: int
    reason: int


class SubAck(NamedTuple):
    """Answer to a SUBSCRIBE or an UNSUBSCRIBE."""

    packet_id: int
    reasons: bytes


class PingResp(NamedTuple):
    pass


class Disconnect(NamedTuple):
    reason: int


Packet = ConnAck | Publish | PubAck | SubAck | PingResp | Disconnect


def connect(
    client_id: str,
    keep_alive_s: int,
    *,
    will: tuple[str, bytes] | None = None,
    username: str | None = None,
    password: str | None = None,
) -> bytes:
    """CONNECT: clean start, session expiry 0; a will (topic, payload) goes out at QoS 1 and is not retained.

    It names the largest packet that `Reader` takes. The broker then drops what is larger by itself: otherwise anybody
    who may publish to us could end our connection with one packet, again and again.
    """
    flags = 0b0000_0010 | (0b1100 if will else 0) | (0x80 if username is not None else 0)
    flags |= 0x40 if password is not None else 0
    body = _text("MQTT") + b"\x05" + bytes((flags,)) + keep_alive_s.to_bytes(2, "big") + _LARGEST + _text(client_id)
    if will is not None:
        body += b"\x00" + _text(will[0]) + _binary(will[1])
    for part in (username, password):
        if part is not None:
            body += _text(part)
    return b"\x10" + _varint(len(body)) + body


def subscribe(packet_id: int, topics: Iterable[str]) -> bytes:
    """SUBSCRIBE, all at QoS 1."""
    body = packet_id.to_bytes(2, "big") + b"\x00" + b"".join(_text(t) + bytes((_SUBSCRIPTION,)) for t in topics)
    return b"\x82" + _varint(len(body)) + body


def unsubscribe(packet_id: int, topics: Iterable[str]) -> bytes:
    """UNSUBSCRIBE."""
    body = packet_id.to_bytes(2, "big") + b"\x00" + b"".join(_text(t) for t in topics)
    return b"\xa2" + _varint(len(body)) + body


def encoded_topic(topic: str) -> bytes:
    """A topic as it stands in a PUBLISH, so that a device encodes its few topics once."""
    return _text(topic)


def publish(topic: bytes, payload: bytes, packet_id: int | None) -> bytes:
    """PUBLISH to an `encoded_topic`: QoS 1 with a packet id, QoS 0 without; never retained, no properties."""
    if packet_id is None:
        return b"\x30" + _varint(len(topic) + 1 + len(payload)) + topic + b"\x00" + payload
    return b"\x32%b%b%b\x00%b" % (
        _varint(len(topic) + 3 + len(payload)),
        topic,
        packet_id.to_bytes(2, "big"),
        payload,
    )


def puback(packet_id: int) -> bytes:
    """PUBACK, success."""
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


class Reader:
    """Cuts a byte stream into packets."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets completed by `data`. Raises ProtocolError; the connection is then of no use."""
        data = self._rest + data if self._rest else data
        start, end = 0, len(data)
        while end - start >= 2:
            size, body = _length(data, start + 1, end)
            if size < 0 or body + size > end:
                break
            yield _packet(data[start], data, body, body + size)
            start = body + size
        self._rest = data[start:]


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A variable byte integer and where it ends; -1 while it is not all there."""
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > _MAX_PACKET:
                raise ProtocolError(f"a packet of {value} bytes")
            return value, at
        shift += 7
        if shift > 21:
            raise ProtocolError("length")
    return -1, at


def _packet(first: int, data: bytes, at: int, end: int) -> Packet:
    kind = first >> 4
    try:
        if kind == 3:
            return _publish(first, data, at, end)
        if kind == 4:
            return PubAck(_u16(data, at), data[at + 2] if end - at > 2 else 0)
        if kind == 2:
            return ConnAck(data[at + 1], _receive_maximum(data, at + 2, end))
        if kind in (9, 11):
            properties, body = _length(data, at + 2, end)
            return SubAck(_u16(data, at), data[body + properties : end])
        if kind == 13:
            return PingResp()
        if kind == 14:
            return Disconnect(data[at] if end > at else 0)
    except (IndexError, UnicodeDecodeError) as error:
        raise ProtocolError(f"packet type {kind}: {error}") from None
    raise ProtocolError(f"packet type {kind}")


def _publish(first: int, data: bytes, at: int, end: int) -> Publish:
    qos = first >> 1 & 3
    body = at + 2 + _u16(data, at)
    topic = data[at + 2 : body].decode()
    packet_id = 0
    if qos:
        packet_id = _u16(data, body)
        body += 2
    properties, body = _length(data, body, end)
    body += properties
    if properties < 0 or body > end or qos > 1:
        raise ProtocolError("PUBLISH")
    return Publish(topic, data[body:end], qos, bool(first & 1), packet_id)


def _receive_maximum(data: bytes, at: int, end: int) -> int:
    """The one property of CONNACK that binds us; 65,535 when absent."""
    size, at = _length(data, at, end)
    end = min(end, at + size)
    while at < end:
        if data[at] == _RECEIVE_MAXIMUM:
            return _u16(data, at + 1)
        at += 1 + _property_size(data, at)
    return 65535


def _property_size(data: bytes, at: int) -> int:
    """Bytes of a CONNACK property's value."""
    identifier = data[at]
    if identifier in (0x24, 0x25, 0x28, 0x29, 0x2A):
        return 1
    if identifier in (0x22, 0x13):
        return 2
    if identifier in (0x11, 0x27):
        return 4
    if identifier in (0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F):
        return 2 + _u16(data, at + 1)
    if identifier == 0x26:  # user property: two strings
        key = 2 + _u16(data, at + 1)
        return key + 2 + _u16(data, at + 1 + key)
    raise ProtocolError(f"property {identifier:#x} in CONNACK")


def _u16(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))


def _text(value: str) -> bytes:
    return _binary(value.encode())


def _binary(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value
