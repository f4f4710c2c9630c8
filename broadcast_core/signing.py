"""Signatures and MACs: who may make what sound, checked by the endpoint itself.

Everything signed travels as a JWS in compact form (RFC 7515): commands with `EdDSA` (Ed25519, RFC 8037), what an
endpoint says with `HS256` under its own key. The bytes that are signed are the bytes that are sent, so nothing has
to be canonicalised. `alg` is never trusted: the key decides the algorithm, and another `alg` is a forgery.

A key has a scope and a domain. An emergency key cannot sign publicity, a drill key nothing live; the device looks
both up by the key id in what it was provisioned with.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from broadcast_core.model import Domain


class KeyScope(StrEnum):
    """What a signing key may be used for; the device enforces it."""

    EMERGENCY = "emergency"
    PUBLICITY = "publicity"
    TEST = "test"  # one endpoint at a time
    CONTROL = "control"  # stop, the answer to hello, queries, the beacon


class SignatureRefused(Exception):
    """The bytes are not what they claim: forged, unknown key, wrong scope or algorithm, not a JWS at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedKey:
    """A public key as a device is provisioned with it."""

    key_id: str
    scope: KeyScope
    domain: Domain
    public: Ed25519PublicKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What a signature proved: these payload bytes, signed by a key of this scope and domain."""

    payload: bytes
    key_id: str
    scope: KeyScope
    domain: Domain


class Signer(Protocol):
    """Signs for the core. Asynchronous, so that the keys can live in a process or a module of their own."""

    async def sign(self, scope: KeyScope, domain: Domain, payload: bytes) -> bytes:
        """The compact JWS over `payload`. Raises KeyError if this installation holds no such key."""
        ...


class LocalSigner:
    """Keys held in this process."""

    def __init__(self, keys: Mapping[tuple[KeyScope, Domain], Ed25519PrivateKey]) -> None:
        self._keys = {
            which: (key, _header({"alg": "EdDSA", "kid": key_id_of(key.public_key()), "typ": "tocsin+jws"}))
            for which, key in keys.items()
        }

    def trusted(self, domain: Domain) -> tuple[TrustedKey, ...]:
        """The public halves of a domain's keys, as devices are provisioned with them."""
        return tuple(
            TrustedKey(key_id=key_id_of(public), scope=scope, domain=domain, public=public)
            for (scope, of_domain), (key, _header) in self._keys.items()
            if of_domain is domain
            for public in (key.public_key(),)
        )

    async def sign(self, scope: KeyScope, domain: Domain, payload: bytes) -> bytes:
        key, header = self._keys[scope, domain]
        signing_input = header + b"." + b64url(payload)
        return signing_input + b"." + b64url(key.sign(signing_input))


class Verifier:
    """What a device does with a command before it reads a word of it."""

    def __init__(self, keys: Mapping[str, TrustedKey]) -> None:
        self._keys = dict(keys)

    def verify(self, token: bytes) -> Verified:
        """The proven payload. Raises SignatureRefused; the message never says more than the kind of refusal."""
        header, payload, signing_input, signature = split(token)
        if header.get("alg") != "EdDSA":
            raise SignatureRefused("algorithm")
        if "crit" in header:
            raise SignatureRefused("critical header")
        key_id = header.get("kid")
        key = self._keys.get(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise SignatureRefused("unknown key")
        try:
            key.public.verify(signature, signing_input)
        except InvalidSignature:
            raise SignatureRefused("signature") from None
        return Verified(payload=payload, key_id=key.key_id, scope=key.scope, domain=key.domain)


class Mac:
    """One endpoint's own key: it authenticates what it says, the core checks it."""

    __slots__ = ("_header", "_keyed", "endpoint_id")

    def __init__(self, endpoint_id: str, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("a MAC key has at least 32 bytes")
        self.endpoint_id: Final = endpoint_id
        self._keyed = hmac.new(key, digestmod=sha256)
        self._header = _header({"alg": "HS256", "kid": endpoint_id, "typ": "tocsin+jws"})

    def seal(self, payload: bytes) -> bytes:
        """The compact JWS over `payload`."""
        signing_input = self._header + b"." + b64url(payload)
        return signing_input + b"." + b64url(self._tag(signing_input))

    def open(self, token: bytes) -> bytes:
        """The payload, if this endpoint's key sealed it. Raises SignatureRefused.

        The header must be this endpoint's to the byte or, from another implementation, say the same.
        """
        head, _, rest = token.partition(b".")
        if head != self._header:
            header = _parse_header(head)
            if header.get("alg") != "HS256" or header.get("kid") != self.endpoint_id or "crit" in header:
                raise SignatureRefused("header")
        body, _, tag = rest.partition(b".")
        if not hmac.compare_digest(b64url(self._tag(token[: len(head) + 1 + len(body)])), tag):
            raise SignatureRefused("mac")
        return from_b64url(body)

    def _tag(self, signing_input: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(signing_input)
        return keyed.digest()


def split(token: bytes) -> tuple[Mapping[str, Any], bytes, bytes, bytes]:
    """A compact JWS as (header, payload, signing input, signature). Nothing is proven yet."""
    parts = token.split(b".")
    if len(parts) != 3:
        raise SignatureRefused("not a compact JWS")
    return _parse_header(parts[0]), from_b64url(parts[1]), parts[0] + b"." + parts[1], from_b64url(parts[2])


def key_id_of(public: Ed25519PublicKey) -> str:
    """The key's own name: the first 16 hex digits of the SHA-256 of its raw 32 bytes."""
    return sha256(public.public_bytes_raw()).hexdigest()[:16]


def b64url(data: bytes) -> bytes:
    """Base64url without padding, as JWS wants it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def from_b64url(data: bytes) -> bytes:
    """The inverse of `b64url`; raises SignatureRefused on anything else."""
    if b"=" in data:
        raise SignatureRefused("base64")
    try:
        return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SignatureRefused("base64") from None


def _header(fields: Mapping[str, str]) -> bytes:
    return b64url(msgspec.json.encode(fields))


def _parse_header(encoded: bytes) -> Mapping[str, Any]:
    try:
        header = msgspec.json.decode(from_b64url(encoded))
    except (msgspec.DecodeError, ValueError, RecursionError):  # ValueError: bytes that are not UTF-8
        raise SignatureRefused("header") from None
    if not isinstance(header, dict):
        raise SignatureRefused("header")
    return header
