"""Kindness: quiet hours, volume ceilings, the no-repeat window and the nuisance budget, by zone.

A zone that does not set one of them has its parent's. All times are local times of day. A window whose end is not
after its start reaches over midnight; one that starts where it ends is the whole day. A window for days of one kind
covers what of it lies on such days: over midnight, their early morning and their late evening.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from broadcast_core.model import Zone
from scheduler.calendar import Calendar
from scheduler.local_time import day_bounds, instant, local_date
from scheduler.model import DayKind

_DAY: Final = timedelta(days=1)
FULL_VOLUME: Final = 100
Span = tuple[datetime, datetime]  # [from, until), UTC


@dataclass(frozen=True, kw_only=True, slots=True)
class Quiet:
    """Quiet hours, on every day or on days of one kind."""

    start: time
    end: time
    on: DayKind | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """No louder than this between these times of day."""

    start: time
    end: time
    volume: int  # 0-100
    on: DayKind | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ZoneKindness:
    """What one zone sets; None has the parent's. An empty tuple sets that there are none."""

    quiet: tuple[Quiet, ...] | None = None
    ceilings: tuple[Ceiling, ...] | None = None
    no_repeat: timedelta | None = None  # the same item sounds once within this, in one day and community
    budget: float | None = None  # full-volume minutes a day, see `cost`


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What holds in one zone after inheritance. Hashable: zones of equal rules have equal programmes."""

    quiet: tuple[Quiet, ...]
    ceilings: tuple[Ceiling, ...]
    no_repeat: timedelta
    budget: float


DEFAULT: Final = Rules(
    quiet=(Quiet(start=time(21, 0), end=time(7, 0)),),
    ceilings=(Ceiling(start=time(12, 0), end=time(14, 30), volume=60),),
    no_repeat=timedelta(minutes=30),
    budget=120.0,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kindness:
    """The settings of all zones, over `default`."""

    zones: Mapping[str, ZoneKindness] = field(default_factory=dict)
    default: Rules = DEFAULT
    reference_lufs: float = -16.0  # the loudness that counts once; 6 LU more counts about twice

    def below(self, parent: Rules, zone: str) -> Rules:
        """The rules of a zone under a parent with these."""
        own = self.zones.get(zone)
        if own is None:
            return parent
        return Rules(
            quiet=parent.quiet if own.quiet is None else own.quiet,
            ceilings=parent.ceilings if own.ceilings is None else own.ceilings,
            no_repeat=parent.no_repeat if own.no_repeat is None else own.no_repeat,
            budget=parent.budget if own.budget is None else own.budget,
        )


def rules_of(kindness: Kindness, zones: Mapping[str, Zone], zone: str) -> Rules:
    """The rules that hold in a zone."""
    chain: list[str] = []
    at: str | None = zone
    while at is not None and at in zones:
        chain.append(at)
        at = zones[at].parent
    rules = kindness.default
    for code in reversed(chain):
        rules = kindness.below(rules, code)
    return rules


def cost(minutes: float, volume: int, loudness_lufs: float, reference_lufs: float) -> float:
    """Nuisance of a sound: minutes × loudness, in minutes at full volume and the reference loudness."""
    return float(minutes * (volume / FULL_VOLUME) * 10 ** ((loudness_lufs - reference_lufs) / 20))


def quiet_spans(rules: Rules, since: datetime, until: datetime, calendar: Calendar, tz: ZoneInfo) -> tuple[Span, ...]:
    """The quiet times that meet [since, until), merged, in order; they may reach beyond it on both sides."""
    return merged(
        [
            span
            for quiet in rules.quiet
            for span in _spans(quiet.start, quiet.end, quiet.on, since, until, calendar, tz)
        ]
    )


def volume_between(
    rules: Rules, wanted: int, since: datetime, until: datetime, calendar: Calendar, tz: ZoneInfo
) -> int:
    """The volume under the lowest ceiling that holds at any instant of [since, until)."""
    holding = (
        ceiling.volume
        for ceiling in rules.ceilings
        if _spans(ceiling.start, ceiling.end, ceiling.on, since, until, calendar, tz)
    )
    return min(wanted, *holding, FULL_VOLUME)


def merged(spans: list[Span]) -> tuple[Span, ...]:
    """The union of spans, as disjoint spans in order."""
    union: list[Span] = []
    for start, end in sorted(spans):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        elif end > start:
            union.append((start, end))
    return tuple(union)


def _spans(
    start: time, end: time, on: DayKind | None, since: datetime, until: datetime, calendar: Calendar, tz: ZoneInfo
) -> list[Span]:
    """The parts of a daily window that meet [since, until), on the dates of that kind."""
    first, last = local_date(since, tz), local_date(until, tz)
    return [
        span
        for when in (first + _DAY * n for n in range((last - first).days + 1))
        if on is None or calendar.kind(when) is on
        for span in _parts(start, end, when, tz)
        if span[0] < until and span[1] > since
    ]


@lru_cache(maxsize=4096)
def _parts(start: time, end: time, when: date, tz: ZoneInfo) -> tuple[Span, ...]:
    """The window's parts on one date: one, or over midnight the morning's and the evening's.

    Where clocks are put back the window lasts from the first `start` to the second `end`: in doubt it is quiet.
    """
    midnight, next_midnight = day_bounds(when, tz)
    begins = instant(when, start, tz) or midnight
    ends = instant(when, end, tz, second=True) or midnight
    if end > start:
        return ((begins, ends),) if begins < ends else ()
    return tuple(span for span in ((midnight, ends), (begins, next_midnight)) if span[0] < span[1])
