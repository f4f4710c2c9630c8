"""One relay board: the state its coils are to have, what it has acknowledged and proven, and when it is next to be
spoken to. Pure: the line does the talking.

A board is driven by state, never by pulses: whenever the coils' intents differ from what it last acknowledged, or
anything about it is in doubt, the whole board is written with FC0F and read back with FC01. After any doubt it is
the write that comes first, so that a reply that arrives one request late answers the wrong function and shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from broadcast_core.model import Reason
from drivers.serial_relay import rtu, wire
from drivers.serial_relay.coil import Coil, Intent
from drivers.serial_relay.proving import Proving

CONFIRM_S: Final = 2.0  # how often a board with a closed coil is read
IDLE_CHECK_S: Final = 10.0  # how often an idle board is read: presence, and coils that somebody else closed
BACKOFF_S: Final = 0.25  # after the second failure in a row; doubles
BACKOFF_BUSY_MAX_S: Final = 1.0  # while an alert wants the board
BACKOFF_IDLE_MAX_S: Final = 5.0
TIMER_MARGIN_S: Final = 1.0  # what the board's own timer gets on top, so that it never cuts a sound short

Report = Callable[[wire.Evidence | wire.Proven | wire.Presence], None]


class Rank(IntEnum):
    """What a board needs; the smaller goes first on the line."""

    STOP_WRITE = 0
    STOP_READ = 1
    WRITE = 2
    READ = 3
    RETRY = 4
    CHECK = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """The state to write, decided at one moment, and the seconds for the board's timer if it has one to arm."""

    intents: tuple[Intent, ...]
    timer_s: int | None
    opens_at: float | None  # when the last closed coil is to open
    acknowledged_at: float = 0.0

    @property
    def bits(self) -> rtu.Bits:
        return tuple(intent.on for intent in self.intents)


class Board:
    """A board on a line, seen from the master."""

    def __init__(self, line: str, config: wire.BoardConfig, settings: wire.Configure, report: Report) -> None:
        self.line = line
        self.config = config
        self.coils = tuple(Coil(settings.max_on_s, report) for _ in range(config.coils))
        self.proving = Proving(config, report)
        self.failures = 0
        self.served_at = 0.0
        self._reply_timeout_s = settings.reply_timeout_s
        self._report = report
        self._written: Write | None = None
        self._proven = False
        self._retry_at = 0.0
        self._check_at = 0.0
        self._rearm_at = math.inf
        self._open_by: float | None = None  # set with every closing write, gone when all is proven open
        self._tried_to_open = False
        self._latency_s = 0.0
        self._presence: wire.Presence | None = None

    # What it needs.

    def need(self, now: float) -> Rank | None:
        """What is due at this board now, if anything."""
        writes = self._must_write(now)
        if self.failures:
            return Rank.RETRY if now >= self._retry_at else None
        urgent = any(coil.urgent for coil in self.coils)
        if writes:
            return Rank.STOP_WRITE if urgent else Rank.WRITE
        if not self._proven:
            return Rank.STOP_READ if urgent else Rank.READ
        return Rank.CHECK if now >= self._check_at or self._may_prove(now) else None

    def next_edge(self, now: float) -> float:
        """When its coils' wishes change next; infinity if only an order can change them."""
        changes = (coil.next_change(now) for coil in self.coils)
        return min((change for change in changes if change is not None), default=math.inf)

    def next_need(self, now: float) -> float:
        """When `need` has to be asked again at the latest."""
        own = self._retry_at if self.failures else min(self._check_at, self._rearm_at)
        if not self.failures and self._may_prove(now):
            own = now
        return min(own, self.next_edge(now))

    def reads_timer(self, now: float) -> bool:
        """Whether the read that is due is the timer's, for a self-test."""
        return self._proven and not self.failures and self._may_prove(now) and self.proving.wants_timer(now)

    def plan(self, now: float) -> Write | None:
        """The write that is due, or None if it is the read."""
        if not self._must_write(now):
            return None
        closings = [until for coil in self.coils if (until := coil.closed_until(now)) is not None]
        opens_at = max(closings, default=None)
        timer_s = None
        if opens_at is not None and self.config.timer_register is not None:
            timer_s = min(math.ceil(opens_at - now + TIMER_MARGIN_S), self.config.timer_max_s)
        return Write(intents=self._intents(now), timer_s=timer_s, opens_at=opens_at)

    @property
    def patience_s(self) -> float:
        """How long to wait for its answer. A failing or slow board gets more, when nobody else is waiting."""
        slow = self.failures > 1 or self._latency_s > self._reply_timeout_s / 2
        return self._reply_timeout_s * (2 if slow else 1)

    @property
    def slowness(self) -> float:
        """Among boards of one rank the quick ones go first."""
        return math.inf if self.failures else self._latency_s

    @property
    def busy(self) -> bool:
        """Whether an alert wants it."""
        return any(coil.busy for coil in self.coils)

    @property
    def proven_open(self) -> bool:
        """Whether all its coils were read back open after the last order."""
        return self._proven and self._written is not None and not any(self._written.bits)

    def closed(self) -> wire.Closed | None:
        """What the guard has to know: None if all coils are proven open."""
        if self._open_by is None:
            return None
        return wire.Closed(line=self.line, unit=self.config.unit, until=self._open_by, tried=self._tried_to_open)

    # What it said.

    def closing(self, write: Write) -> None:
        """About to be written: from here on coils may be closed, whatever the board answers."""
        if write.opens_at is not None:
            self._open_by = write.opens_at
            self._tried_to_open = False

    def acknowledged(self, write: Write, at: float, latency_s: float) -> None:
        """It acknowledged a write."""
        self._latency_s = latency_s
        self._written = Write(
            intents=write.intents, timer_s=write.timer_s, opens_at=write.opens_at, acknowledged_at=at
        )
        self._proven = False
        self._retry_at = at
        self._rearm_at = math.inf
        if write.timer_s is not None and write.opens_at is not None and at + write.timer_s < write.opens_at:
            self._rearm_at = at + write.timer_s / 2
        for coil, intent in zip(self.coils, write.intents, strict=True):
            coil.acknowledged(intent, at)

    def read(self, bits: rtu.Bits, at: float, latency_s: float) -> None:
        """It gave its coils: proof if they are as written, a fault if not."""
        written = self._written
        if written is None or bits != written.bits:
            wanted = "" if written is None else _text(written.bits)
            detail = f"wrote {wanted}, read {_text(bits)}"
            if written is not None:
                self.proving.failed(Reason.READBACK_DIFFERS, detail, at)
            self.failed(Reason.READBACK_DIFFERS, detail, at)
            return
        self._latency_s = latency_s
        self._proven = True
        self.failures = 0
        self._check_at = at + (CONFIRM_S if any(bits) else IDLE_CHECK_S)
        if not any(bits):
            self._open_by = None
        for coil, intent in zip(self.coils, written.intents, strict=True):
            coil.proved(intent, written.acknowledged_at, at)
        self._present(online=True, at=at, detail="")
        self.proving.coils(bits, at)

    def answered_badly(self, answer: rtu.Refused | rtu.Wrong | rtu.Silent, at: float) -> None:
        """It did not do, or did not say, what it was asked."""
        match answer:
            case rtu.Refused(code):
                self.failed(Reason.BOARD_EXCEPTION, f"exception {code}", at)
            case rtu.Wrong(detail):
                self.failed(Reason.READBACK_DIFFERS, detail, at)
            case rtu.Silent(noise):
                self.failed(Reason.BOARD_SILENT, f"{noise} bytes of noise" if noise else "no answer", at)

    def failed(self, reason: Reason, detail: str, at: float) -> None:
        """Something went wrong with it: all is in doubt until it has been written and read again.

        The first failure is tried again at once and without a word; it may have been noise.
        """
        self.failures += 1
        self._doubt(at)
        self._retry_at = at if self.failures == 1 else at + self._backoff_s()
        doubt = self.failures > 1 or reason is not Reason.BOARD_SILENT
        for coil in self.coils:
            coil.troubled(reason, detail, doubt=doubt)
        if self.failures > 1:
            self._present(online=False, at=at, detail=f"{reason}: {detail}")
            self.proving.failed(reason, detail, at)

    def unreachable(self, detail: str, at: float) -> None:
        """Its port is gone. When it is back the board is as new."""
        self._doubt(at)
        if self.failures:  # the first time may have been a replugged adapter
            self.proving.failed(Reason.PORT_LOST, detail, at)
        self.failures = max(self.failures, 1)
        self._retry_at = at
        for coil in self.coils:
            coil.troubled(Reason.PORT_LOST, detail, doubt=True)
        self._present(online=False, at=at, detail=f"{Reason.PORT_LOST}: {detail}")

    def reachable(self) -> None:
        """Its port has been opened (again): nothing is known of it, and nothing held against it."""
        self.failures = 0
        self._written, self._proven = None, False

    def advance(self, now: float) -> None:
        """End what is over although the board cannot be spoken to."""
        self._intents(now)

    def drop(self, now: float) -> None:
        """Forget every order and open all coils, now."""
        for coil in self.coils:
            coil.drop()
        self._written, self._proven = None, False
        self.failures = min(self.failures, 1)
        self._retry_at = now

    # Inside.

    def _may_prove(self, now: float) -> bool:
        """A self-test waits, and no alert wants the board."""
        return self.proving.due(now) and not self.busy

    def _doubt(self, at: float) -> None:
        self._written, self._proven = None, False
        if self._open_by is not None and at >= self._open_by:
            self._tried_to_open = True

    def _intents(self, now: float) -> tuple[Intent, ...]:
        return tuple(coil.intent(now) for coil in self.coils)

    def _must_write(self, now: float) -> bool:
        intents = self._intents(now)  # always asked: it also ends what is over
        return self._written is None or self._written.intents != intents or now >= self._rearm_at

    def _backoff_s(self) -> float:
        most = BACKOFF_BUSY_MAX_S if self.busy else BACKOFF_IDLE_MAX_S
        return min(BACKOFF_S * 2.0 ** min(self.failures - 2, 10), most)

    def _present(self, *, online: bool, at: float, detail: str) -> None:
        last = self._presence
        if last is not None and last.online == online and at - last.at < IDLE_CHECK_S * 0.9:
            return
        self._presence = wire.Presence(line=self.line, unit=self.config.unit, online=online, at=at, detail=detail)
        self._report(self._presence)


def _text(bits: rtu.Bits) -> str:
    """Coil 0 first: `1000` is coil 0 closed."""
    return "".join("1" if bit else "0" for bit in bits)
