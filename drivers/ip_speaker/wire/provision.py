"""The provision file: what a speaker is given before it is hung on a wall. Pure codec, bytes to types and back.

One file may hold many speakers (a fleet of simulated ones). It contains their secret keys: mode 0600, never logged.
"""

from __future__ import annotations

from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from broadcast_core.errors import TocsinError
from broadcast_core.model import Domain
from broadcast_core.signing import KeyScope, SignatureRefused, TrustedKey, b64url, from_b64url

VERSION: Final = 1
_KEY_BYTES: Final = 32


class MalformedProvision(TocsinError):
    """Bytes that are not a provision file of this version."""


class Broker(Struct, frozen=True, kw_only=True):
    """Where a speaker connects to."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Broker({self.host}:{self.port})"


class SpeakerKey(Struct, frozen=True, kw_only=True):
    """One speaker: its identifier, and the 32 bytes under which it authenticates what it says."""

    id: str
    mac_key: bytes

    def __repr__(self) -> str:
        return f"SpeakerKey({self.id})"


class Provision(Struct, frozen=True, kw_only=True):
    """Everything the speakers of one installation and domain need to know."""

    broker: Broker
    prefix: str
    domain: Domain
    trusted: tuple[TrustedKey, ...]
    speakers: tuple[SpeakerKey, ...]


class _TrustedText(Struct, frozen=True, kw_only=True):
    kid: str
    scope: KeyScope
    domain: Domain
    public: str


class _SpeakerText(Struct, frozen=True, kw_only=True):
    id: str
    mac_key: str


class _File(Struct, frozen=True, kw_only=True):
    v: int
    broker: Broker
    prefix: str
    domain: Domain
    trusted: tuple[_TrustedText, ...]
    speakers: tuple[_SpeakerText, ...]


def encode(provision: Provision) -> bytes:
    """The file's bytes."""
    return msgspec.json.encode(
        _File(
            v=VERSION,
            broker=provision.broker,
            prefix=provision.prefix,
            domain=provision.domain,
            trusted=tuple(
                _TrustedText(
                    kid=key.key_id, scope=key.scope, domain=key.domain, public=_text(key.public.public_bytes_raw())
                )
                for key in provision.trusted
            ),
            speakers=tuple(_SpeakerText(id=s.id, mac_key=_text(s.mac_key)) for s in provision.speakers),
        )
    )


def decode(data: bytes) -> Provision:
    """The provision in a file's bytes. Raises MalformedProvision."""
    try:
        file = msgspec.json.decode(data, type=_File)
    except msgspec.DecodeError as error:
        raise MalformedProvision(str(error)) from None
    if file.v != VERSION:
        raise MalformedProvision(f"version {file.v}")
    return Provision(
        broker=file.broker,
        prefix=file.prefix,
        domain=file.domain,
        trusted=tuple(
            TrustedKey(
                key_id=key.kid,
                scope=key.scope,
                domain=key.domain,
                public=Ed25519PublicKey.from_public_bytes(_raw(key.public, f"key {key.kid}")),
            )
            for key in file.trusted
        ),
        speakers=tuple(SpeakerKey(id=s.id, mac_key=_raw(s.mac_key, f"speaker {s.id}")) for s in file.speakers),
    )


def _text(raw: bytes) -> str:
    return b64url(raw).decode()


def _raw(text: str, whose: str) -> bytes:
    try:
        raw = from_b64url(text.encode())
    except SignatureRefused:
        raise MalformedProvision(f"{whose}: not base64url") from None
    if len(raw) != _KEY_BYTES:
        raise MalformedProvision(f"{whose}: {len(raw)} bytes instead of {_KEY_BYTES}")
    return raw
