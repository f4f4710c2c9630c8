"""One start on one coil: what was read back of it, and what may therefore be said of it in the end. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Final, Self

from broadcast_core.clock import from_ms
from broadcast_core.model import Progress, Reason, Standing
from drivers.serial_relay import wire
from drivers.serial_relay.timeline import Timeline, is_on

# A pattern that was joined late has every phase but not every second. Below this share of its time it was not
# "finished" but "partly": no rule of the trade says where, so the line is ours (docs/protocols/serial-relay.md).
FINISHED_SHARE: Final = 0.75


class End(Enum):
    """Why a sounding is over."""

    OVER = auto()  # its pattern has come to its end
    EXPIRED = auto()
    STOPPED = auto()  # by a stop, or by a newer revision
    PREEMPTED = auto()  # something higher took its time


@dataclass(slots=True, kw_only=True, eq=False)
class Sounding:
    """A pattern at work. Instants are monotonic seconds; `anchor` is where the pattern's second 0 lies."""

    order: wire.Sound
    timeline: Timeline
    anchor: float
    generation: int
    taken_over: bool = False  # from a worker that died
    waiting_since: float | None = None
    received: bool = False
    started: bool = False
    phases: set[int] = field(default_factory=set)
    played_s: float = 0.0
    trouble: tuple[Reason, str] | None = None
    _closed_since: float | None = None
    _confirmed_at: float = 0.0

    @classmethod
    def of(cls, order: wire.Sound, generation: int, longest_on_s: float) -> Self:
        """The sounding of an order, with the proof it brings along from an earlier worker."""
        proof = order.proof or wire.Proof(anchor=order.starts, phases=(), played_s=0.0)
        steps = () if order.silent else order.steps
        return cls(
            order=order,
            timeline=Timeline.of(steps, min(order.max_on_s, longest_on_s)),
            anchor=proof.anchor,
            generation=generation,
            taken_over=order.proof is not None,
            started=proof.started,
            phases=set(proof.phases),
            played_s=proof.played_s,
        )

    # What precedence asks of an item.

    @property
    def standing(self) -> Standing:
        return self.order.standing

    @property
    def issued_at(self) -> datetime:
        return from_ms(self.order.issued_ms)

    @property
    def identifier(self) -> str:
        return f"{self.order.key.alert_id}/{self.order.key.revision}"

    # Time.

    def phase(self, now: float) -> int:
        return self.timeline.phase(now - self.anchor)

    def ends_at(self) -> float:
        return self.anchor + self.timeline.total

    def next_edge(self, now: float) -> float:
        """When it next changes, its end included."""
        edge = self.timeline.ends(self.phase(now))
        return self.ends_at() if edge is None else self.anchor + edge

    # Proof.

    @property
    def proof(self) -> wire.Proof:
        return wire.Proof(
            anchor=self.anchor, phases=tuple(sorted(self.phases)), played_s=self.played_s, started=self.started
        )

    def proved(self, phase: int, acknowledged_at: float, at: float) -> None:
        """A write of `phase`, acknowledged then, was read back `at`."""
        self.phases.add(phase)
        if is_on(phase):
            if self._closed_since is None:
                self._closed_since = acknowledged_at
            self._confirmed_at = at
        else:
            self.proved_elsewhere(acknowledged_at)

    def proved_elsewhere(self, acknowledged_at: float) -> None:
        """Since `acknowledged_at` the coil has provably not been closed for this sounding."""
        if self._closed_since is not None:
            self.played_s += acknowledged_at - self._closed_since
            self._closed_since = None

    def doubted(self) -> None:
        """The board did not answer as it should: what it did since it last confirmed is unknown and not counted."""
        if self._closed_since is not None:
            self.played_s += max(0.0, self._confirmed_at - self._closed_since)
            self._closed_since = None

    # The last word.

    def verdict(self, end: End, at: float, detail: str) -> wire.Evidence:
        """What may be said now that `end` came and what comes after it was read back."""
        progress, reason = _PLAIN.get(end, (Progress.FINISHED, None))
        if end is End.OVER and (shortfall := self._shortfall()) is not None:
            progress, (reason, detail) = Progress.FAILED, shortfall
        return self.evidence(progress, at, reason, detail)

    def evidence(
        self, progress: Progress, at: float, reason: Reason | None = None, detail: str = ""
    ) -> wire.Evidence:
        return wire.Evidence(
            key=self.order.key,
            progress=progress,
            at=at,
            reason=reason,
            detail=detail,
            played_s=round(self.played_s, 3) if progress >= Progress.EXPIRED else None,
        )

    def _shortfall(self) -> tuple[Reason, str] | None:
        if self.timeline.capped:
            return Reason.MAX_ON_REACHED, "cut at the longest time a coil may be closed"
        missing = self.timeline.missing(self.phases)
        if not missing and self.played_s >= FINISHED_SHARE * self.timeline.on_s:
            return None
        reason, cause = self.trouble or self._interruption()
        sounds = sum(1 for phase in missing if is_on(phase))
        return reason, (
            f"{self.timeline.sounds - sounds} of {self.timeline.sounds} sounds proven, "
            f"{self.played_s:.1f} of {self.timeline.on_s:.1f} s; {cause}"
        )

    def _interruption(self) -> tuple[Reason, str]:
        if self.taken_over:
            return Reason.DRIVER_CRASHED, "the driver's process died meanwhile"
        return Reason.INTERRUPTED, "joined after its beginning"


_PLAIN: Final = {
    End.EXPIRED: (Progress.EXPIRED, Reason.EXPIRED),
    End.STOPPED: (Progress.STOPPED, None),
    End.PREEMPTED: (Progress.FAILED, Reason.PREEMPTED),
}
