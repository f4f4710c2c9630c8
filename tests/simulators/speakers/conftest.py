"""A small core for tests: it signs what the protocol page says, and a bench on which one bare device lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broadcast_core.model import Domain
from broadcast_core.player import Sound
from broadcast_core.signing import KeyScope, TrustedKey, Verifier, b64url, key_id_of
from drivers.ip_speaker.wire import Topics, command
from drivers.ip_speaker.wire.command import (
    Audio,
    BeaconCommand,
    Command,
    Membership,
    OrdersCommand,
    QueryCommand,
    SpokenContent,
    StartCommand,
    StopCommand,
    Target,
)
from drivers.ip_speaker.wire.report import HelloReport, ReceiptReport
from simulators.speakers.device import Device, Habits
from simulators.speakers.downloads import Fetched
from simulators.speakers.effects import Effect, Fetch, Say, SoundBegan, SoundEnded
from simulators.speakers.guard import Guard
from simulators.speakers.memory import Memory
from simulators.speakers.signed_time import DeviceClock

ME = "SPK-0001"
T0 = 1_800_000_000_000  # the core's UTC ms when the bench's monotonic clock shows 0
SHA = "ab" * 32


@dataclass
class Pen:
    """The core's keys, and commands signed with them. Each command takes the next place in the order."""

    domain: str = "live"
    epoch: int = 1
    seq: int = 0
    keys: dict[tuple[KeyScope, Domain], Ed25519PrivateKey] = field(
        default_factory=lambda: {
            (s, d): Ed25519PrivateKey.from_private_bytes(bytes([i + 16 * j]) * 32)
            for i, s in enumerate(KeyScope)
            for j, d in enumerate((Domain.LIVE, Domain.DRILL))
        }
    )

    @property
    def trusted(self) -> tuple[TrustedKey, ...]:
        return tuple(
            TrustedKey(key_id=key_id_of(k.public_key()), scope=s, domain=d, public=k.public_key())
            for (s, d), k in self.keys.items()
        )

    def sign(self, written: Command | bytes, scope: KeyScope, domain: Domain = Domain.LIVE) -> bytes:
        key = self.keys[scope, domain]
        payload = written if isinstance(written, bytes) else command.encode(written)
        header = b'{"alg":"EdDSA","kid":"%b","typ":"tocsin+jws"}' % key_id_of(key.public_key()).encode()
        signing_input = b64url(header) + b"." + b64url(payload)
        return signing_input + b"." + b64url(key.sign(signing_input))

    def stamp(self, iat: int, exp: int | None) -> dict[str, Any]:
        self.seq += 1
        return {
            "domain": self.domain,
            "epoch": self.epoch,
            "seq": self.seq,
            "iat": iat,
            "exp": iat + 600_000 if exp is None else exp,
        }

    def start(
        self,
        iat: int,
        target: Target,
        *,
        alert: str = "A",
        rev: int = 1,
        exp: int | None = None,
        start_at: int | None = None,
        audio: Audio | None = None,
        **other: Any,
    ) -> StartCommand:
        words: dict[str, Any] = {
            "sound_class": "emergency",
            "authority": "district",
            "level": 2,
            "urgency": "Immediate",
            "certainty": "Observed",
        }
        return StartCommand(
            **self.stamp(iat, exp),
            target=target,
            alert=alert,
            rev=rev,
            start_at=iat if start_at is None else start_at,
            content=SpokenContent(tone="attention", audio=audio, text=(("zh", "演习"),)),
            **(words | other),
        )

    def stop(
        self, iat: int, target: Target, alert: str = "A", rev: int = 1, exp: int | None = None, cause: str = "stop"
    ) -> StopCommand:
        return StopCommand(**self.stamp(iat, exp), target=target, alert=alert, rev=rev, cause=cause, acted_at=iat)

    def query(self, iat: int, target: Target, alert: str = "A", rev: int = 1) -> QueryCommand:
        return QueryCommand(**self.stamp(iat, None), target=target, alert=alert, rev=rev)

    def beacon(self, iat: int) -> BeaconCommand:
        return BeaconCommand(**self.stamp(iat, None), target=Target())

    def orders(
        self,
        iat: int,
        nonce: str | None,
        live: tuple[bytes, ...] = (),
        zones: dict[str, Membership] | None = None,
        me: str = ME,
        **other: Any,
    ) -> OrdersCommand:
        return OrdersCommand(
            **self.stamp(iat, None),
            target=Target(endpoints=(me,)),
            nonce=nonce,
            live=tuple(token.decode() for token in live),
            zones=zones or {},
            **other,
        )


@dataclass
class Bench:
    """One device, its time, and the core's pen. `now` is the device's monotonic ms; the core's UTC is T0 + now."""

    pen: Pen = field(default_factory=Pen)
    now: int = 0
    memory: Memory = field(default_factory=Memory)
    zones: dict[str, Membership] = field(default_factory=lambda: {"430103": Membership(version=7, topic=_ZONE)})
    effects: list[Effect] = field(default_factory=list)
    rtc_error: int = -86_400_000
    device: Device = field(init=False)

    def __post_init__(self) -> None:
        self.boot()

    @property
    def utc(self) -> int:
        """The core's time."""
        return T0 + self.now

    def boot(self) -> None:
        guard = Guard(Verifier({key.key_id: key for key in self.pen.trusted}), Domain.LIVE)
        clock = DeviceClock(self.utc + self.rtc_error, self.now)
        self.device = Device(ME, Topics("tocsin/1", Domain.LIVE), guard.open, self.memory, clock, Random(1), Habits())

    def greet(self, live: tuple[bytes, ...] = ()) -> list[Effect]:
        """Connect, say hello, get orders; and again, because the orders brought a zone."""
        self.device.connecting()
        self.device.connected()
        done = self.answer(live)
        if not self.device.settled:
            done += self.answer(live)
        return done

    def answer(self, live: tuple[bytes, ...] = ()) -> list[Effect]:
        """SUBACK, hello, and its answer."""
        (hello,) = self.device.subscribed(self.now)
        assert isinstance(hello, Say)
        assert isinstance(hello.report, HelloReport)
        orders = self.pen.orders(self.utc, hello.report.nonce, live, self.zones)
        return self.hear(self.pen.sign(orders, KeyScope.CONTROL))

    def hear(self, token: bytes, *, retained: bool = False) -> list[Effect]:
        return self._note(self.device.heard(token, retained, self.now))

    def start(self, **words: Any) -> list[Effect]:
        """An emergency start at this speaker, now; see `Pen.start`."""
        return self.hear(self.signed_start(**words))

    def signed_start(self, scope: KeyScope = KeyScope.EMERGENCY, **words: Any) -> bytes:
        target = words.pop("target", Target(endpoints=(ME,)))
        return self.pen.sign(self.pen.start(self.utc, target, **words), scope)

    def stop(self, **words: Any) -> list[Effect]:
        target = words.pop("target", Target(endpoints=(ME,)))
        return self.hear(self.pen.sign(self.pen.stop(self.utc, target, **words), KeyScope.CONTROL))

    def query(self, **words: Any) -> list[Effect]:
        query = self.pen.query(self.utc, Target(endpoints=(ME,)), **words)
        return self.hear(self.pen.sign(query, KeyScope.CONTROL))

    def push(self, live: tuple[bytes, ...] = (), **words: Any) -> list[Effect]:
        orders = self.pen.orders(self.utc, None, live, words.pop("zones", self.zones), **words)
        return self.hear(self.pen.sign(orders, KeyScope.CONTROL))

    def beacon(self) -> list[Effect]:
        return self.hear(self.pen.sign(self.pen.beacon(self.utc), KeyScope.CONTROL))

    def supply(self, ms: int | None = 3000, *, sha256: str = SHA, size: int = 1000, asked: str = SHA) -> list[Effect]:
        """The audio has come."""
        return self._note(self.device.fetched(asked, Fetched(sha256=sha256, size=size, ms=ms), self.now))

    def nothing_came(self) -> list[Effect]:
        return self._note(self.device.fetched(SHA, None, self.now))

    def run(self, ms: int) -> list[Effect]:
        """Let time pass, waking the device exactly when it asked to be woken."""
        until, done = self.now + ms, []
        while (wake := self.device.next_wake(self.now)) is not None and wake <= until:
            self.now = max(self.now, wake)
            done += self._note(self.device.woken(self.now))
        self.now = until
        return done

    def _note(self, effects: list[Effect]) -> list[Effect]:
        self.effects += effects
        return effects


_ZONE = "tocsin/1/live/zone/430103/0"


def audio(size: int = 1000, ms: int = 3000, sha256: str = SHA, url: str = "http://127.0.0.1/a.mp3") -> Audio:
    return Audio(sha256=sha256, url=url, mime="audio/mpeg", size=size, ms=ms)


@dataclass(frozen=True)
class Read:
    """Ways to read a list of effects."""

    @staticmethod
    def receipts(effects: list[Effect]) -> list[ReceiptReport]:
        return [e.report for e in effects if isinstance(e, Say) and isinstance(e.report, ReceiptReport)]

    @staticmethod
    def words(effects: list[Effect]) -> list[str]:
        """The receipts' progress, with the reason where there is one."""
        return [
            r.progress if r.reason is None else f"{r.progress}/{r.reason}"
            for r in Read.receipts(effects)
            if r.kind == "start"
        ]

    @staticmethod
    def hellos(effects: list[Effect]) -> list[HelloReport]:
        return [e.report for e in effects if isinstance(e, Say) and isinstance(e.report, HelloReport)]

    @staticmethod
    def sounds(effects: list[Effect]) -> list[tuple[int, str]]:
        """When which sound began, and when it ended, as (monotonic ms, words)."""
        lines = []
        for e in effects:
            if isinstance(e, SoundBegan):
                lines.append((e.at, f"{e.identifier}/{e.revision} {e.what}@{e.position_ms}"))
            elif isinstance(e, SoundEnded):
                lines.append((e.at, e.why))
        return lines

    @staticmethod
    def fetches(effects: list[Effect]) -> list[Fetch]:
        return [e for e in effects if isinstance(e, Fetch)]


@pytest.fixture
def pen() -> Pen:
    return Pen()


@pytest.fixture
def new_bench() -> Callable[[], Bench]:
    return Bench


@pytest.fixture
def bench() -> Bench:
    """A device that is connected and has its orders."""
    bench = Bench()
    bench.greet()
    assert bench.device.settled
    bench.effects.clear()
    return bench


@pytest.fixture
def cold() -> Bench:
    """A device that has only been switched on."""
    return Bench()


@pytest.fixture
def read() -> type[Read]:
    return Read


@pytest.fixture
def make_audio() -> Callable[..., Audio]:
    return audio


@pytest.fixture
def clip() -> Sound:
    return Sound(SHA, 3000)
