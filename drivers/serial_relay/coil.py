"""What one coil is to do at any moment, out of everything ordered for it, and the receipts this earns. Pure: time is
passed in, evidence is handed to `report`.

The coil's wish is an `Intent`. It carries a generation that rises with every order and every end, so that a write
made before a stop can never prove the silence after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from broadcast_core import precedence
from broadcast_core.model import DeliveryKey, Progress, Reason, ResumeRule
from drivers.serial_relay import wire
from drivers.serial_relay.sounding import End, Sounding
from drivers.serial_relay.timeline import is_on

# How long the proof of an end may take before its failure is said: two full rounds of a line with a dead board.
PATIENCE_S: Final = 3.0
STOP_RETRY_S: Final = 5.0

Report = Callable[[wire.Evidence | wire.Proven], None]


@dataclass(frozen=True, slots=True)
class Intent:
    """What the coil is to be, and for whom. Two intents that differ need a write and a read-back each."""

    on: bool
    key: DeliveryKey | None
    phase: int
    generation: int


@dataclass(slots=True, kw_only=True, eq=False)
class _Ending:
    """A start or a stop that is over as soon as what comes after it was read back."""

    generation: int
    since: float
    end: End
    detail: str
    sounding: Sounding | None = None
    stop: wire.Silence | None = None
    received: bool = False
    late: bool = False  # its failure has been said


class Coil:
    """The orders of one coil. `longest_on_s` caps every order's own maximum."""

    def __init__(self, longest_on_s: float, report: Report) -> None:
        self._longest_on_s = longest_on_s
        self._report = report
        self._generation = 0
        self._live: dict[DeliveryKey, Sounding] = {}
        self._current: Sounding | None = None
        self._endings: list[_Ending] = []
        self._stopped: dict[str, tuple[int, float]] = {}  # alert -> revisions up to, until
        self._trouble = (Reason.BOARD_SILENT, "not reached yet")

    # Orders.

    def sound(self, order: wire.Sound, now: float) -> None:
        """Take a start. One that is known changes nothing; one that comes late joins its pattern where it stands."""
        key = order.key
        if key in self._live:
            return
        self._generation += 1
        sounding = Sounding.of(order, self._generation, self._longest_on_s)
        self._report(sounding.evidence(Progress.SENT, now))
        refusal = self._refusal(sounding, now)
        if refusal is None:
            self._supersede(sounding, now)
            self._live[key] = sounding
        elif sounding.taken_over:  # it has sounded under a worker that died: its silence is to be proven
            self._end(sounding, refusal[0], now, refusal[1])
        else:
            self._report(sounding.verdict(refusal[0], now, refusal[1]))

    def silence(self, stop: wire.Silence, now: float) -> None:
        """Take a stop: it ends what it names, also what has not arrived yet."""
        self._generation += 1
        self._report(_of_stop(stop, Progress.SENT, now))
        self._stopped = {alert: (n, until) for alert, (n, until) in self._stopped.items() if until > now}
        revision, until = self._stopped.get(stop.key.alert_id, (0, 0.0))
        self._stopped[stop.key.alert_id] = (max(revision, stop.key.revision), max(until, stop.expires))
        for sounding in list(self._of(stop.key.alert_id)):
            if sounding.order.key.revision <= stop.key.revision:
                self._end(sounding, End.STOPPED, now, "")
        if all(e.stop is None or e.stop.key != stop.key for e in self._endings):
            self._endings.append(
                _Ending(generation=self._generation, since=now, end=End.STOPPED, detail="", stop=stop)
            )

    def drop(self) -> None:
        """Forget every order: the coil is to be open. Nothing is reported of what was dropped."""
        self._generation += 1
        self._live.clear()
        self._endings.clear()
        self._current = None

    # Wishes.

    def intent(self, now: float) -> Intent:
        """What the coil is to be now. Ends what is over and lets precedence choose."""
        self._retire(now)
        self._choose(now)
        self._complain(now)
        if self._current is None:
            return Intent(on=False, key=None, phase=0, generation=self._generation)
        phase = self._current.phase(now)
        return Intent(is_on(phase), self._current.order.key, phase, self._generation)

    def next_change(self, now: float) -> float | None:
        """When `intent` has to be asked again at the latest; None while only an order can change it."""
        return min(self._changes(now), default=None)

    def closed_until(self, now: float) -> float | None:
        """When the sound that is on now ends; None while nothing sounds."""
        if self._current is None or not is_on(self._current.phase(now)):
            return None
        return min(self._current.next_edge(now), self._current.order.expires)

    @property
    def busy(self) -> bool:
        """Whether anything is live here or owes a proof."""
        return bool(self._live or self._endings)

    @property
    def urgent(self) -> bool:
        """Whether something has ended here whose silence is not proven."""
        return bool(self._endings)

    # What the board said.

    def acknowledged(self, intent: Intent, at: float) -> None:
        """The board acknowledged a write of `intent`."""
        for sounding in self._live.values():
            if not sounding.received and sounding.generation <= intent.generation:
                sounding.received = True
                self._report(sounding.evidence(Progress.RECEIVED, at))
        for ending in self._endings:
            if ending.stop is not None and not ending.received and ending.generation <= intent.generation:
                ending.received = True
                self._report(_of_stop(ending.stop, Progress.RECEIVED, at))

    def proved(self, intent: Intent, acknowledged_at: float, at: float) -> None:
        """A write of `intent`, acknowledged then, was read back `at`."""
        for sounding in self._all():
            if sounding.order.key == intent.key:
                self._credit(sounding, intent.phase, acknowledged_at, at)
            else:
                sounding.proved_elsewhere(acknowledged_at)
        done = [e for e in self._endings if e.generation <= intent.generation]
        self._endings = [e for e in self._endings if e.generation > intent.generation]
        for ending in done:
            if ending.sounding is not None:
                self._report(ending.sounding.verdict(ending.end, at, ending.detail))
            if ending.stop is not None:
                detail = "" if intent.key is None else "another alert holds the coil"
                self._report(_of_stop(ending.stop, Progress.FINISHED, at, detail=detail))

    def troubled(self, reason: Reason, detail: str, *, doubt: bool) -> None:
        """The board or its line failed: remembered for the verdict of everything it touches. With `doubt` the coil
        may have changed by itself since it was last read."""
        for sounding in self._all():
            sounding.trouble = (reason, detail)
            if doubt:
                sounding.doubted()
        self._trouble = (reason, detail)

    # Inside.

    def _of(self, alert_id: str) -> Iterator[Sounding]:
        return (s for s in self._live.values() if s.order.key.alert_id == alert_id)

    def _all(self) -> Iterator[Sounding]:
        yield from self._live.values()
        yield from (e.sounding for e in self._endings if e.sounding is not None)

    def _refusal(self, sounding: Sounding, now: float) -> tuple[End, str] | None:
        """Why a start that arrives is over already, or None."""
        key, order = sounding.order.key, sounding.order
        revision, until = self._stopped.get(key.alert_id, (0, 0.0))
        newest = max((s.order.key.revision for s in self._of(key.alert_id)), default=0)
        if key.revision <= revision and now < until:
            return End.STOPPED, "stopped before it arrived"
        if newest > key.revision:
            return End.STOPPED, f"superseded by revision {newest}"
        if sounding.taken_over:
            return None
        if now >= order.expires:
            return End.EXPIRED, "expired before it arrived"
        if now >= sounding.ends_at() and not order.silent:
            return End.EXPIRED, "its pattern had ended before it arrived"
        return None

    def _end(self, sounding: Sounding, end: End, now: float, detail: str) -> None:
        """Over: from here on only the proof of what comes after is owed."""
        self._generation += 1
        self._live.pop(sounding.order.key, None)
        if self._current is sounding:
            self._current = None
        self._endings.append(
            _Ending(generation=self._generation, since=now, end=end, detail=detail, sounding=sounding)
        )

    def _supersede(self, newer: Sounding, now: float) -> None:
        """A newer revision takes the place of the older ones, whatever it is worth itself."""
        for older in list(self._of(newer.order.key.alert_id)):
            was_current = self._current is older
            self._end(older, End.STOPPED, now, f"superseded by revision {newer.order.key.revision}")
            if was_current and newer.anchor <= now:
                self._current = newer

    def _retire(self, now: float) -> None:
        for sounding in list(self._live.values()):
            waits = sounding is not self._current and sounding.waiting_since is not None
            if now >= sounding.order.expires:
                end, detail = (End.PREEMPTED, "waited until it expired") if waits else (End.EXPIRED, "")
                self._end(sounding, end, now, detail)
            elif waits and sounding.order.resume is ResumeRule.SKIP:
                self._end(sounding, End.PREEMPTED, now, "skipped when interrupted")
            elif now >= sounding.ends_at():
                if not waits:
                    self._end(sounding, End.OVER, now, "")
                elif sounding.order.resume is ResumeRule.LIVE:
                    self._end(sounding, End.PREEMPTED, now, "its time had passed")

    def _choose(self, now: float) -> None:
        ready = [s for s in self._live.values() if s.anchor <= now]
        chosen = precedence.what_sounds(ready, self._current)
        for sounding in ready:
            if sounding is not chosen and sounding.waiting_since is None:
                sounding.waiting_since = now
        if chosen is not None and chosen.waiting_since is not None:
            _resume(chosen, now)
        self._current = chosen

    def _complain(self, now: float) -> None:
        """Say once that an end could not be proven. A stop goes on trying; the rest is given up."""
        for ending in [e for e in self._endings if not e.late and now >= e.since + PATIENCE_S]:
            reason, detail = self._trouble
            detail = f"silence not proven: {detail}"
            ending.late = True
            if ending.sounding is not None:
                ending.sounding.doubted()
                self._report(ending.sounding.evidence(Progress.FAILED, now, reason, detail))
            if ending.stop is not None:
                self._report(_of_stop(ending.stop, Progress.FAILED, now, reason, detail, STOP_RETRY_S))
        self._endings = [e for e in self._endings if not e.late or e.end is End.STOPPED]

    def _credit(self, sounding: Sounding, phase: int, acknowledged_at: float, at: float) -> None:
        known = len(sounding.phases)
        sounding.proved(phase, acknowledged_at, at)
        if is_on(phase) and not sounding.started:
            sounding.started = True
            self._report(sounding.evidence(Progress.STARTED, acknowledged_at))
        if len(sounding.phases) != known:
            self._report(wire.Proven(key=sounding.order.key, proof=sounding.proof))

    def _changes(self, now: float) -> Iterator[float]:
        for sounding in self._live.values():
            yield sounding.order.expires
            if sounding.anchor > now:
                yield sounding.anchor
            elif sounding is self._current:
                yield sounding.next_edge(now)
            elif sounding.order.resume is ResumeRule.LIVE:
                yield sounding.ends_at()
        yield from (e.since + PATIENCE_S for e in self._endings if not e.late)


def _resume(sounding: Sounding, now: float) -> None:
    """Its turn has come (again): the anchor moves as its own rule says."""
    if sounding.order.resume is ResumeRule.START:
        sounding.anchor = now
        sounding.phases.clear()
    elif sounding.order.resume is ResumeRule.POSITION and sounding.waiting_since is not None:
        sounding.anchor += now - sounding.waiting_since
    sounding.waiting_since = None


def _of_stop(
    stop: wire.Silence,
    progress: Progress,
    at: float,
    reason: Reason | None = None,
    detail: str = "",
    retry_after_s: float | None = None,
) -> wire.Evidence:
    return wire.Evidence(
        key=stop.key, progress=progress, at=at, reason=reason, detail=detail, retry_after_s=retry_after_s
    )
