"""What was proven how long ago, as numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from broadcast_core.model import Endpoint

DAY: Final = timedelta(days=1)
WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """Some endpoints in service. `simulated` ones are counted like the others and are no proof of anything."""

    endpoints: int = 0
    simulated: int = 0
    proven_day: int = 0  # within the last 24 hours
    proven_week: int = 0
    never: int = 0
    oldest: datetime | None = None  # the proof that is longest ago, of those that have one

    @property
    def share_day(self) -> float | None:
        """None where there is nobody to prove anything: that is not everybody."""
        return self.proven_day / self.endpoints if self.endpoints else None

    @property
    def share_week(self) -> float | None:
        return self.proven_week / self.endpoints if self.endpoints else None


def freshness(endpoints: Iterable[Endpoint], proven: Mapping[str, datetime], now: datetime) -> Freshness:
    """The numbers of these endpoints, those out of service left out. `proven` is when each was last proven."""
    count = simulated = day = week = never = 0
    oldest: datetime | None = None
    for endpoint in endpoints:
        if not endpoint.enabled:
            continue
        count += 1
        simulated += endpoint.simulated
        at = proven.get(endpoint.id)
        if at is None:
            never += 1
            continue
        day += now - at < DAY
        week += now - at < WEEK
        oldest = at if oldest is None else min(oldest, at)
    return Freshness(
        endpoints=count, simulated=simulated, proven_day=day, proven_week=week, never=never, oldest=oldest
    )
