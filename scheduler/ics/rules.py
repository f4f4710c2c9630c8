"""RRULE to our rules, where they say exactly the same; None where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from scheduler.model import Cron, Daily, Rule, Weekly, Yearly
from scheduler.recurrence import MOST_DATES

_DAYS: Final = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
_LAST: Final = -1
Parts = Mapping[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Exact:
    """What an RRULE says: a rule from the event's start to `last`."""

    rule: Rule
    last: date | None


def exact(parts: Parts, text: str, start: datetime, tz: ZoneInfo) -> Exact | None:
    """The same as the RRULE from this local start on, or None. `text` is the rule as written."""
    interval = int(parts.get("INTERVAL", [1])[0])
    by = {name for name in parts if name.startswith("BY")}
    if {"RSCALE", "SKIP"} & set(parts) or interval < 1:
        return None
    match str(parts["FREQ"][0]).upper():
        case "DAILY":
            rule = _daily(parts, by, interval, start)
        case "WEEKLY":
            rule = _weekly(parts, by, interval, start)
        case "MONTHLY" if interval == 1:
            rule = _monthly(parts, by, start)
        case "YEARLY" if interval == 1:
            rule = _yearly(parts, by, start)
        case _:
            rule = None
    if rule is None:
        return None
    return Exact(rule, _last(parts, text, start, tz))


def _daily(parts: Parts, by: set[str], interval: int, start: datetime) -> Rule | None:
    if not by:
        return Daily() if interval == 1 else Daily(every=interval, anchor=start.date())
    if by == {"BYDAY"} and interval == 1:
        return _weekly(parts, by, 1, start)
    return None


def _weekly(parts: Parts, by: set[str], interval: int, start: datetime) -> Rule | None:
    if by - {"BYDAY"}:
        return None
    days = tuple(sorted({_DAYS.get(str(day).upper(), _LAST) for day in parts.get("BYDAY", [])}))
    days = days or (start.weekday(),)
    if _LAST in days or start.weekday() not in days:
        return None  # "the second Monday" means nothing here; a start that is no instance is anybody's guess
    if interval == 1:
        return Weekly(days=days)
    if str(parts.get("WKST", ["MO"])[0]).upper() != "MO" and len(days) > 1:
        return None  # weeks that begin on Sunday are other weeks
    return Weekly(days=days, every=interval, anchor=start.date())


def _monthly(parts: Parts, by: set[str], start: datetime) -> Rule | None:
    """By a cron, which has its own time of day."""
    if start.second:
        return None
    at = f"{start.minute} {start.hour}"
    if by <= {"BYMONTHDAY"}:
        days = [int(day) for day in parts.get("BYMONTHDAY", [start.day])]
        if start.day not in days or any(day < 1 for day in days):
            return None
        return Cron(expression=f"{at} {','.join(map(str, sorted(days)))} * *")
    if by == {"BYDAY"} and len(parts["BYDAY"]) == 1:
        text = str(parts["BYDAY"][0]).upper()
        day, ordinal = _DAYS.get(text[-2:]), text[:-2].lstrip("+")
        if day != start.weekday():
            return None
        if ordinal == "-1":
            last = (start + timedelta(days=7)).month != start.month
            return Cron(expression=f"{at} * * {(day + 1) % 7}L") if last else None
        if ordinal.isdigit() and (start.day + 6) // 7 == int(ordinal):
            return Cron(expression=f"{at} * * {(day + 1) % 7}#{ordinal}")
    return None


def _yearly(parts: Parts, by: set[str], start: datetime) -> Rule | None:
    month = [int(m) for m in parts.get("BYMONTH", [start.month])]
    day = [int(d) for d in parts.get("BYMONTHDAY", [start.day])]
    if by <= {"BYMONTH", "BYMONTHDAY"} and (month, day) == ([start.month], [start.day]):
        # "On the 15th" without a month is every month's.
        return None if by == {"BYMONTHDAY"} else Yearly(month=start.month, day=start.day)
    return None


def _last(parts: Parts, text: str, start: datetime, tz: ZoneInfo) -> date | None:
    """The date of the last instance, from UNTIL or COUNT."""
    if until := parts.get("UNTIL"):
        return _until(until[0], start, tz)
    if "COUNT" not in parts:
        return None
    rule = rrulestr(text, dtstart=start.replace(tzinfo=None))
    instances = list(islice(rule, MOST_DATES))
    return instances[-1].date() if instances else start.date()


def _until(until: date, start: datetime, tz: ZoneInfo) -> date:
    if not isinstance(until, datetime):
        return until
    local = (until.astimezone(tz) if until.tzinfo else until).replace(tzinfo=None)
    return local.date() if local.time() >= start.time() else local.date() - timedelta(days=1)


def local(value: datetime, tz: ZoneInfo) -> datetime:
    """A start in the district's local time; one without a zone is meant locally."""
    return value.astimezone(tz) if value.tzinfo else value.replace(tzinfo=tz)


def same_clock(value: datetime, tz: ZoneInfo) -> bool:
    """Whether the value's zone shows the same time as ours, now and over the next two years."""
    if value.tzinfo is None:
        return True
    moments = (value.astimezone(UTC) + timedelta(days=30 * n) for n in range(25))
    return all(m.astimezone(value.tzinfo).utcoffset() == m.astimezone(tz).utcoffset() for m in moments)
