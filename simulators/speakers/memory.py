"""A speaker's flash: what it still knows after a reboot, so that nothing is played twice and no proof is lost."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct, field

from broadcast_core.player import Checkpoint, Sound
from drivers.ip_speaker.wire.command import Membership
from drivers.ip_speaker.wire.report import ReceiptReport

KEEP_AFTER_EXPIRY_MS: Final = 3_600_000
MOST_ALERTS: Final = 500
HELLO_EVIDENCE: Final = 20
HELLO_PLAYS: Final = 500  # a hello stays below 64 KiB


class Stored(Struct, frozen=True):
    """Audio that was fetched ahead."""

    ms: int
    size: int  # bytes


class Held(Struct):
    """A programme that was accepted: the start as it was signed, believed anew after a reboot."""

    rev: int
    token: str  # "" once it has ended
    exp: int
    checkpoint: Checkpoint | None = None  # once it has begun


class Known(Struct):
    """What is remembered of one alert."""

    rev: int = -1  # the highest revision accepted
    ended_rev: int = -1  # a stop ended revisions up to this one
    keep_until: int = 0  # device's UTC ms
    starts: dict[int, ReceiptReport] = field(default_factory=dict)  # last evidence by revision
    stops: dict[int, ReceiptReport] = field(default_factory=dict)


class Memory(Struct):
    """Everything that survives. A factory-new speaker has `Memory()`."""

    session: int = 0
    floor: tuple[int, int] = (-1, -1)  # (epoch, seq) of the newest orders
    heartbeat_s: float = 20.0
    zones: dict[str, Membership] = field(default_factory=dict)
    tones: dict[str, Sound] = field(default_factory=dict)
    day: dict[str, Held] = field(default_factory=dict)  # publicity by occurrence
    store: dict[str, Stored] = field(default_factory=dict)  # audio by SHA-256, oldest first
    mode: str = "peacetime"
    volume_floor: int = 0
    mode_order: tuple[int, int] = (-1, -1)  # of what set the mode
    alerts: dict[str, Known] = field(default_factory=dict)

    def of(self, alert: str, expires: int, now: int) -> Known:
        """The entry of an alert, made if there is none; kept until an hour after the later expiry."""
        known = self.alerts.get(alert)
        if known is None:
            if len(self.alerts) >= MOST_ALERTS:
                self.forget(now)
            known = self.alerts[alert] = Known()
        known.keep_until = max(known.keep_until, expires + KEEP_AFTER_EXPIRY_MS)
        return known

    def forget(self, now: int) -> None:
        """Drop what is over; if the flash is still full, what will be over first."""
        self.alerts = {alert: known for alert, known in self.alerts.items() if known.keep_until > now}
        while len(self.alerts) >= MOST_ALERTS:
            del self.alerts[min(self.alerts, key=lambda alert: self.alerts[alert].keep_until)]

    def newest_evidence(self) -> tuple[ReceiptReport, ...]:
        """What a hello carries: the newest, oldest first."""
        everything = [r for known in self.alerts.values() for r in (*known.starts.values(), *known.stops.values())]
        everything.sort(key=lambda report: report.at)
        newest, plays = everything[-HELLO_EVIDENCE:], 0
        for at in range(len(newest) - 1, -1, -1):
            plays += len(newest[at].plays)
            if plays > HELLO_PLAYS:
                return tuple(newest[at + 1 :])
        return tuple(newest)


_decoder: Final = msgspec.json.Decoder(dict[str, Memory])


def dump(memories: dict[str, Memory]) -> bytes:
    """The flash of many speakers as the bytes of one file."""
    return msgspec.json.encode(memories)


def load(data: bytes) -> dict[str, Memory]:
    """The inverse of `dump`. Raises msgspec.DecodeError."""
    return _decoder.decode(data)
