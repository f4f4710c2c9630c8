"""What is known of earlier messages, what can become of a new one, and what to remember of it."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from broadcast_core.model import Reference

_ID_CHARACTERS: Final = 15  # of base32: 75 bits

Ends = tuple[tuple[str, int], ...]  # (alert_id, revision): everything of it up to and including that revision


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A message that belongs to a chain known here.

    Revisions count from 1 within the chain. Revision 0 is a message that goes out no more: it was replaced or
    cancelled before it came, or its chain was joined to another; it is kept because later messages may name it.
    """

    alert_id: str  # of the first message of its chain that went out here
    revision: int
    expires: datetime
    ended: bool  # by a stop, a Cancel or another chain; that its time is over is not "ended"


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """Goes out as the first of its chain."""

    alert_id: str
    revision: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Revise:
    """Goes out as the next revision of a chain; other chains that it replaces end."""

    alert_id: str
    revision: int
    ends: Ends = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """A Cancel: chains end, and what has not come yet will never sound.

    Neither is left where the chain's newest message was sent after the Cancel: it came too late.
    """

    ends: Ends = ()
    awaits: tuple[Reference, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Await:
    """A Cancel that came before everything it names."""

    references: tuple[Reference, ...]


class SuppressCause(StrEnum):
    """Why a message is recorded and never sounds."""

    CANCELLED = "cancelled"  # a Cancel sent after it took it back
    SUPERSEDED = "superseded"  # a newer message took its place
    EXPIRED = "expired"  # its own time is over, but it ends what it replaces


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppress:
    """Never sounds, but is recorded; chains that it shows to be over end."""

    alert_id: str  # of the chain it belongs to
    cause: SuppressCause
    ends: Ends = ()


Decision = Begin | Revise | End | Await | Suppress


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """What to remember after a decision (see `learn`)."""

    known: Mapping[Reference, Known] = field(default_factory=dict)
    cancelled: Mapping[Reference, datetime] = field(default_factory=dict)


def alert_id_of(reference: Reference) -> str:
    """The alert_id of the message that `reference` names, whether or not it has come: "a" and 15 of [a-z2-7]."""
    sent = reference.sent.astimezone(UTC).isoformat()
    digest = sha256(f"{reference.sender},{reference.identifier},{sent}".encode()).digest()
    return "a" + b32encode(digest).decode("ascii").lower()[:_ID_CHARACTERS]
