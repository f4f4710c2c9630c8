"""When a speaker says that it is alive. Pure; times are monotonic ms."""

from __future__ import annotations

from random import Random


class Heartbeat:
    """One connection's beats: `at` is when the next is due (None: not connected)."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.at: int | None = None
        self.n = 0  # rises within a session

    def begin(self, every_s: float, now: int) -> None:
        """A connection is there: the first beat anywhere within one, so that a fleet spreads."""
        if self.at is None:
            self.n = 0
            self.pace(every_s, now)

    def pace(self, every_s: float, now: int) -> None:
        """Beat at this pace from now on."""
        self.at = now + self._random.randrange(round(every_s * 1000) + 1)

    def stop(self) -> None:
        self.at = None

    def beat(self, every_s: float, now: int) -> int | None:
        """The number of the beat that is due now, if one is."""
        if self.at is None or self.at > now:
            return None
        self.n += 1
        self.at = now + round(every_s * 1000 * self._random.uniform(0.9, 1.1))
        return self.n
