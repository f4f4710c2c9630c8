"""The token that a delivery report brings back: which delivery it is about, and proof that we wrote it. Pure.

Nothing is remembered between sending and reporting, so a report that comes after a restart is understood, and one for
an id that we never gave away is not. Layout (docs/protocols/sms-gateway.md, "Token"), base64url without padding:

    version 1 | revision | attempt | length of alert id | alert id | endpoint id | MAC
    1 byte      varint     varint    1 byte               UTF-8      UTF-8         12 bytes

The MAC is the first 12 bytes of HMAC-SHA-256 over everything before it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Final

from broadcast_core.model import DeliveryKey, DeliveryKind

_VERSION: Final = 1
_MAC_BYTES: Final = 12
_LONGEST: Final = 400  # characters; ours are below 100, and a stranger's are not worth decoding
_SECRET_BYTES: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """Which delivery, and which attempt at it, a report is about."""

    key: DeliveryKey
    attempt: int


class Tokens:
    """Writes and reads tokens under one secret (at least 16 bytes, else ValueError)."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _SECRET_BYTES:
            raise ValueError(f"the secret for delivery reports is shorter than {_SECRET_BYTES} bytes")
        self._key = hmac.digest(secret, b"tocsin sms report token 1", "sha256")
        self.path_secret: Final = _text(hmac.digest(secret, b"tocsin sms report path 1", "sha256")[:_MAC_BYTES])

    def path(self, token: str | None = None) -> str:
        """The path of our listener, for one message or (without a token) for the whole account."""
        return f"/dlr/{self.path_secret}" + (f"/{token}" if token else "")

    def encode(self, key: DeliveryKey, attempt: int) -> str:
        """The token of one attempt at a start. ValueError if the alert's id has more than 255 bytes."""
        alert = key.alert_id.encode()
        if len(alert) > 255:
            raise ValueError("an alert's id of more than 255 bytes does not fit a report token")
        head = bytes((_VERSION,)) + _varint(key.revision) + _varint(attempt)
        body = head + bytes((len(alert),)) + alert + key.endpoint_id.encode()
        return _text(body + self._mac(body))

    def decode(self, token: str) -> Reported | None:
        """What `encode` was given, or None for anything that it did not write under this secret."""
        raw = _raw(token)
        if raw is None or len(raw) <= _MAC_BYTES:
            return None
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)) or body[0] != _VERSION:
            return None
        revision, after = _read_varint(body, 1)
        attempt, after = _read_varint(body, after)
        end = after + 1 + body[after]
        key = DeliveryKey(
            alert_id=body[after + 1 : end].decode(),
            revision=revision,
            kind=DeliveryKind.START,
            endpoint_id=body[end:].decode(),
        )
        return Reported(key=key, attempt=attempt)

    def opens(self, secret: str) -> bool:
        """Whether `secret` is the one of our path, compared in constant time."""
        return hmac.compare_digest(secret.encode(errors="replace"), self.path_secret.encode())

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_MAC_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(token: str) -> bytes | None:
    """The bytes of a token in its one canonical spelling."""
    if not token.isascii() or len(token) > _LONGEST:
        return None
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        return None
    return raw if _text(raw) == token else None


def _varint(number: int) -> bytes:
    """Seven bits a byte, least significant first, the top bit set on all but the last."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = raw[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte <= 0x7F:
            return number, at
