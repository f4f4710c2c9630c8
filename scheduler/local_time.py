"""From local dates and times to instants, also where daylight saving skips or repeats an hour."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)


def instant(when: date, at: time, tz: ZoneInfo, *, second: bool = False) -> datetime | None:
    """The UTC instant of a local time.

    A time that happens twice (clocks put back) is its first, or with `second` its second; one that never happens
    (put forward) is the next instant that does. None for a date that the zone skipped altogether (Apia,
    30 December 2011).
    """
    local = datetime.combine(when, at.replace(fold=0), tzinfo=tz)
    utc = local.astimezone(UTC)
    if utc.astimezone(tz).replace(tzinfo=None) == local.replace(tzinfo=None):
        return local.replace(fold=1).astimezone(UTC) if second else utc
    before = local.replace(fold=1).astimezone(UTC)  # reads the new offset, so it lies before the change
    if utc - before >= _DAY:
        return None
    return _change(before, utc, tz)


def local_date(at: datetime, tz: ZoneInfo) -> date:
    """The local date of an instant."""
    return at.astimezone(tz).date()


def day_bounds(when: date, tz: ZoneInfo) -> tuple[datetime, datetime]:
    """The instants at which a local date begins and ends. Empty (equal) for a date that the zone skipped."""
    start, end = instant(when, time(), tz), instant(when + _DAY, time(), tz)
    if end is None:
        end = instant(when + 2 * _DAY, time(), tz)
    assert end is not None  # no zone skipped two dates in a row
    return start or end, end


def _change(low: datetime, high: datetime, tz: ZoneInfo) -> datetime:
    """The first second in (low, high] with the offset of `high`."""
    offset = high.astimezone(tz).utcoffset()
    while high - low > _SECOND:
        middle = low + max(_SECOND, (high - low) // 2 // _SECOND * _SECOND)
        if middle.astimezone(tz).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high
