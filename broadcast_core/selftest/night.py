"""When each endpoint has its turn. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zlib import crc32
from zoneinfo import ZoneInfo

from broadcast_core.config import SelfTests
from scheduler.local_time import instant, local_date

_DAY: Final = timedelta(days=1)
_SPREAD: Final = 0.8  # of the window: the rest is for those whom an alert, or a core that was away, has held up


@dataclass(frozen=True, kw_only=True, slots=True)
class Night:
    """The window that begins on a local date."""

    date: date
    start: datetime
    end: datetime

    @property
    def occasion(self) -> str:
        return f"night:{self.date.isoformat()}"

    def turn(self, endpoint_id: str) -> datetime:
        """An endpoint's place in this night: drawn by its id, so that neighbours do not stand together, and by the
        date, so that nobody is tested at the same minute for ever."""
        lot = crc32(f"{self.date.isoformat()}/{endpoint_id}".encode()) / 2**32
        return self.start + (self.end - self.start) * (_SPREAD * lot)


def night_at(now: datetime, settings: SelfTests, tz: ZoneInfo) -> Night | None:
    """The night that it is, or None by day."""
    today = local_date(now, tz)
    for when in (today - _DAY, today):
        night = _night(when, settings, tz)
        if night is not None and night.start <= now < night.end:
            return night
    return None


def _night(when: date, settings: SelfTests, tz: ZoneInfo) -> Night | None:
    over_midnight = settings.end <= settings.start
    start = instant(when, settings.start, tz)
    end = instant(when + _DAY if over_midnight else when, settings.end, tz, second=True)
    if start is None or end is None or end <= start:
        return None
    return Night(date=when, start=start, end=end)
