"""The self-test of a board: its coils and its switch-off timer are read, and nothing is written. Pure.

It has the lowest rank on the line, and a board that an alert wants is not asked at all.
"""

from __future__ import annotations

from collections.abc import Callable

from broadcast_core.model import Part, PartResult, Progress, Reason, say_parts
from drivers.serial_relay import rtu, wire

Report = Callable[[wire.Evidence], None]


class Proving:
    """The tests that a board still owes. All that wait are proven by the same two reads."""

    def __init__(self, config: wire.BoardConfig, report: Report) -> None:
        self._config = config
        self._report = report
        self._waiting: list[wire.Prove] = []
        self._coils: PartResult | None = None

    def take(self, order: wire.Prove, now: float) -> None:
        """A test has come."""
        if all(waiting.key != order.key for waiting in self._waiting):
            self._waiting.append(order)
            self._report(wire.Evidence(key=order.key, progress=Progress.SENT, at=now))

    def due(self, now: float) -> bool:
        """Whether something is to be read. What has expired is dropped: the core knows when that is."""
        self._waiting = [order for order in self._waiting if order.expires > now]
        return bool(self._waiting)

    def wants_timer(self, now: float) -> bool:
        """The coils are proven; the timer's register is next."""
        return self._coils is not None and self.due(now)

    def coils(self, bits: rtu.Bits, at: float) -> None:
        """The coils were read, and are as they were written."""
        if not self.due(at):
            return
        closed = sum(bits)
        note = f"{len(bits) - closed} open" + (f", {closed} closed" if closed else "")
        self._coils = PartResult(part=Part.COILS, ok=True, note=note)
        if self._config.timer_register is None:
            self._end((self._coils,), None, at)

    def timer(self, answer: rtu.Good | rtu.Refused, at: float) -> None:
        """The timer's register was read, or the board refused to have it read."""
        if self._coils is None:
            return
        if isinstance(answer, rtu.Refused):
            result = PartResult(part=Part.TIMER, ok=False, note=f"exception {answer.code}")
            self._end((self._coils, result), Reason.BOARD_EXCEPTION, at)
            return
        seconds = answer.values[0]
        possible = seconds <= self._config.timer_max_s
        result = PartResult(part=Part.TIMER, ok=possible, note=f"{seconds} s")
        self._end((self._coils, result), None if possible else Reason.READBACK_DIFFERS, at)

    def failed(self, reason: Reason, detail: str, at: float) -> None:
        """The board did not answer, or not with what was written to it."""
        if self.due(at):
            self._end((PartResult(part=Part.COILS, ok=False, note=detail),), reason, at)

    def _end(self, results: tuple[PartResult, ...], reason: Reason | None, at: float) -> None:
        waiting, self._waiting, self._coils = self._waiting, [], None
        progress = Progress.FINISHED if reason is None else Progress.FAILED
        for order in waiting:
            self._report(
                wire.Evidence(key=order.key, progress=progress, at=at, reason=reason, detail=say_parts(results))
            )
