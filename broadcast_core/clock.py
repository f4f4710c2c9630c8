"""Time as the system uses it: aware UTC instants, monotonic durations, and the clock passed in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where a component gets its time from, so that a test or a simulated device can have another one."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step; only differences mean something."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def to_ms(instant: datetime) -> int:
    """UTC epoch milliseconds of an aware instant: what is stored and what goes over the wire."""
    if instant.tzinfo is None:
        raise ValueError("a naive datetime has no instant")
    return (instant - EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """The aware UTC instant of epoch milliseconds."""
    return EPOCH + timedelta(milliseconds=milliseconds)
