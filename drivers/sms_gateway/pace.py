"""Sending no faster than the account allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_BURST_S: Final = 0.05  # what a late timer may catch up with; without it every oversleep would lower the rate


class Pace:
    """A token bucket: in any second at most `rate` + `burst` turns are given."""

    def __init__(self, rate: float, monotonic: Callable[[], float]) -> None:
        self.burst: Final = max(1.0, rate * _BURST_S)
        self._interval: Final = 1.0 / rate
        self._monotonic = monotonic
        self._due = float("-inf")  # when the next turn would be on time

    async def turn(self) -> None:
        """Return when one more message may go out."""
        wait = self.reserve()
        if wait > 0:
            await asyncio.sleep(wait)

    def reserve(self) -> float:
        """Take the next turn; returns the seconds until it comes."""
        now = self._monotonic()
        earliest = max(self._due, now - (self.burst - 1) * self._interval)
        self._due = earliest + self._interval
        return max(0.0, earliest - now)
