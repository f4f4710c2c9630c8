"""What a speaker believes: signature first, then scope and domain, and only then the words.

A refusal is silent. It is counted, by its reason, and nothing is answered to a stranger.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct, field

from broadcast_core.clock import from_ms
from broadcast_core.model import Domain, Standing
from broadcast_core.signing import KeyScope, SignatureRefused, Verified, Verifier
from drivers.ip_speaker.wire import MalformedMessage, command
from drivers.ip_speaker.wire.command import Command, SelfTestCommand, StartCommand, Target

# Which key may sign a start of which class; everything that is not a start needs CONTROL.
SCOPE_OF_CLASS: Final = {
    "air-raid": KeyScope.EMERGENCY,
    "emergency": KeyScope.EMERGENCY,
    "live-microphone": KeyScope.EMERGENCY,
    "drill": KeyScope.EMERGENCY,
    "test": KeyScope.TEST,
    "publicity": KeyScope.PUBLICITY,
}
_SHARED: Final = 256


@dataclass(frozen=True, slots=True)
class Admitted:
    """A command that a key of the right scope and domain signed. `standing` and `issued_at` only of a start."""

    command: Command
    standing: Standing | None = None
    issued_at: datetime | None = None
    token: bytes = b""  # of a start: as it was signed


class NotUnderstood(Struct, frozen=True):
    """A start, signed by a key of the right scope, whose critical fields or words this firmware does not know."""

    act: str
    alert: str
    rev: int
    domain: str
    iat: int
    exp: int
    target: Target
    sound_class: str = field(name="class")


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the guard let nothing through: a word for the count."""

    why: str


Verdict = Admitted | NotUnderstood | Refused
Opener = Callable[[bytes], Verdict]

_gist: Final = msgspec.json.Decoder(NotUnderstood)


class Guard:
    """Opens commands with the keys a speaker was provisioned with, for the one domain it lives in."""

    def __init__(self, verifier: Verifier, domain: Domain) -> None:
        self._verifier = verifier
        self._domain = domain

    def open(self, token: bytes) -> Verdict:
        """Prove, decode and judge a compact JWS. Never raises."""
        try:
            verified = self._verifier.verify(token)
        except SignatureRefused as refusal:
            return Refused(str(refusal))
        if verified.domain is not self._domain:
            return Refused("domain")
        try:
            read = command.decode(verified.payload)
        except MalformedMessage:
            return self._not_understood(verified)
        if read.domain != self._domain:
            return Refused("domain")
        if verified.scope is not _scope_for(read):
            return Refused("scope")
        if isinstance(read, StartCommand):
            return _admitted_start(read, token)
        if isinstance(read, SelfTestCommand) and not _alone(read.target):
            return Refused("scope")
        return Admitted(read)

    def _not_understood(self, verified: Verified) -> Verdict:
        try:
            gist = _gist.decode(verified.payload)
        except msgspec.DecodeError:
            return Refused("malformed")
        if gist.domain != self._domain or SCOPE_OF_CLASS.get(gist.sound_class) is not verified.scope:
            return Refused("malformed")
        return gist if gist.act == "start" else Refused("malformed")


class SharedOpener:
    """Opens identical bytes once for a whole fleet. Only a measurement of the core may want that."""

    def __init__(self, guard: Guard) -> None:
        self._open = guard.open
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()

    def __call__(self, token: bytes) -> Verdict:
        verdict = self._verdicts.get(token)
        if verdict is None:
            verdict = self._verdicts[token] = self._open(token)
            if len(self._verdicts) > _SHARED:
                self._verdicts.popitem(last=False)
        return verdict


def nested_start(opener: Opener, token: bytes, me: str) -> tuple[Admitted, StartCommand] | None:
    """A complete signed start that came within something else; None if it proves nothing."""
    verdict = opener(token)
    if not isinstance(verdict, Admitted) or not isinstance(verdict.command, StartCommand):
        return None
    start = verdict.command
    if start.sound_class == "test" and start.target.endpoints != (me,):
        return None
    return verdict, start


def sets_clock(command: Command) -> bool:
    """Whether its signature tells the time: a key for publicity or tests, in wrong hands, would let alerts expire."""
    return _scope_for(command) in {KeyScope.CONTROL, KeyScope.EMERGENCY}


def _scope_for(read: Command) -> KeyScope:
    if isinstance(read, SelfTestCommand):
        return KeyScope.TEST
    return SCOPE_OF_CLASS[read.sound_class] if isinstance(read, StartCommand) else KeyScope.CONTROL


def _alone(target: Target) -> bool:
    """A test key reaches one endpoint at a time."""
    return target.zone is None and len(target.endpoints) == 1


def _admitted_start(read: StartCommand, token: bytes) -> Verdict:
    if read.sound_class == "test" and not _alone(read.target):
        return Refused("scope")
    try:
        return Admitted(read, read.standing, from_ms(read.iat if read.issued is None else read.issued), token)
    except OverflowError:
        return Refused("malformed")
