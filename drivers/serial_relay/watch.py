"""Whether the worker still deserves its ports: the guard's judgement. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.serial_relay import wire

START_S: Final = 15.0  # what a worker may need to start on a loaded machine


class Watch:
    """Counts the worker's silence. `watchdog_s` of it is too much, and so is a coil left closed for that long."""

    def __init__(self, watchdog_s: float, now: float) -> None:
        self.period_s = watchdog_s / 4  # how often to tick
        self._watchdog_s = watchdog_s
        self._ticked_at = now
        self._silence_s = watchdog_s - START_S
        self._heard = False
        self._closed: Sequence[wire.Closed] = ()

    def beat(self, beat: wire.Beat) -> None:
        """The worker has said that it lives, and which boards are not proven open."""
        self._heard = True
        self._closed = beat.closed

    def tick(self, now: float) -> str | None:
        """Why the worker has to be ended, or None.

        Silence is counted from the first tick after a heartbeat, and each tick for two periods at most: when the
        whole machine stood still, or the guard itself got no time, that was not the worker's silence.
        """
        elapsed = min(now - self._ticked_at, 2 * self.period_s)
        self._silence_s = 0.0 if self._heard else self._silence_s + elapsed
        self._ticked_at = now
        self._heard = False
        if self._silence_s > self._watchdog_s:
            return "worker hung"
        for board in self._closed:
            if now > board.until + self._watchdog_s and not board.tried:
                return f"coils of {board.line}/{board.unit} overdue"
        return None
