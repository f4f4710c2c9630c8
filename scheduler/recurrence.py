"""When a slot happens: dates of a rule, times of a cron, occurrences between two instants.

Everything is bounded: a slot happens at most `MOST_A_DAY` times a day, and `refusal` says what never or too often
happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from broadcast_core.i18n import Sentence, _
from scheduler import festivals
from scheduler.calendar import Calendar
from scheduler.local_time import instant, local_date
from scheduler.model import (
    CalendarDays,
    Cron,
    Daily,
    Dates,
    Festivals,
    Occurrence,
    Recurrence,
    Rule,
    Slot,
    Weekly,
    Yearly,
)

MOST_A_DAY: Final = 48  # every half hour; more is a mistake, not a programme
LONGEST: Final = timedelta(hours=24)
MOST_DATES: Final = 4000  # in one recurrence: every day for ten years
HORIZON: Final = timedelta(days=366 * 9)  # 29 February comes after eight years at the latest (1896-1904, 2096-2104)
_DAY: Final = timedelta(days=1)
_WEEK: Final = 7
_CRON_FIELDS: Final = 5
_ENOUGH: Final = MOST_A_DAY + 1


def happens_on(recurrence: Recurrence, when: date, calendar: Calendar) -> bool:
    """Whether a recurrence falls on a local date."""
    if when in recurrence.without:
        return False
    if when in recurrence.also:
        return True
    if (recurrence.first and when < recurrence.first) or (recurrence.last and when > recurrence.last):
        return False
    return _rule_on(recurrence.rule, when, calendar)


def _rule_on(rule: Rule, when: date, calendar: Calendar) -> bool:
    match rule:
        case Daily(every=every, anchor=anchor):
            return every == 1 or (when - (anchor or when)).days % every == 0
        case Weekly(days=days, every=every, anchor=anchor):
            return when.weekday() in days and (every == 1 or _weeks(anchor or when, when) % every == 0)
        case Yearly(month=month, day=day):
            return (when.month, when.day) == (month, day)
        case Dates(dates=dates):
            return when in dates
        case CalendarDays(kind=kind, weekdays=weekdays):
            return when.weekday() in weekdays and calendar.kind(when) is kind
        case Festivals():
            return when in _festival_days(rule, when.year)
        case Cron(expression=expression):
            return bool(_cron_times(expression, when))
        case _:
            assert_never(rule)


def _weeks(anchor: date, when: date) -> int:
    """Weeks (Monday first) from the anchor's to that of `when`."""
    return ((when - timedelta(days=when.weekday())) - (anchor - timedelta(days=anchor.weekday()))).days // _WEEK


@lru_cache(maxsize=256)
def _festival_days(rule: Festivals, year: int) -> frozenset[date]:
    first = (
        when - timedelta(days=rule.before)
        for name in rule.names
        for near in (year - 1, year, year + 1)
        for when in festivals.dates_in(name, near)
    )
    return frozenset(start + timedelta(days=n) for start in first for n in range(rule.days))


@lru_cache(maxsize=4096)
def _cron_times(expression: str, when: date) -> tuple[time, ...]:
    """The nominal local times of one date, at most `_ENOUGH`."""
    start = datetime.combine(when, time())  # naive on purpose: the zone's jumps are ours to resolve
    found: list[time] = []
    for at in CronSim(expression, start - timedelta(seconds=1)):
        if at.date() != when or len(found) == _ENOUGH:
            break
        found.append(at.time())
    return tuple(found)


def _times(slot: Slot, when: date) -> tuple[time, ...]:
    if isinstance(slot.recurrence.rule, Cron):
        return _cron_times(slot.recurrence.rule.expression, when)
    assert slot.start is not None  # `refusal` sees to it
    return (slot.start,)


def on_date(slot: Slot, when: date, calendar: Calendar, tz: ZoneInfo) -> tuple[Occurrence, ...]:
    """The slot's occurrences of one local date, by start. Two times that daylight saving makes one are one."""
    if not happens_on(slot.recurrence, when, calendar):
        return ()
    timed = isinstance(slot.recurrence.rule, Cron)
    found: dict[datetime, Occurrence] = {}
    for at in _times(slot, when)[:MOST_A_DAY]:
        starts_at = instant(when, at, tz)
        if starts_at is None or starts_at in found:
            continue
        key = f"{slot.id}/{when.isoformat()}" + (f"T{at:%H:%M}" if timed else "")
        found[starts_at] = Occurrence(
            key=key, slot_id=slot.id, date=when, starts_at=starts_at, ends_at=starts_at + slot.length
        )
    return tuple(found[starts_at] for starts_at in sorted(found))


def occurrences(
    slot: Slot, since: datetime, until: datetime, calendar: Calendar, tz: ZoneInfo
) -> Iterator[Occurrence]:
    """Those that *start* in [since, until), by date. Over any split of a range each is in exactly one part."""
    when, last = local_date(since, tz) - _DAY, local_date(until, tz) + _DAY
    while when <= last:  # a day more on both sides: a gap at midnight moves a start into the next date
        for occurrence in on_date(slot, when, calendar, tz):
            if since <= occurrence.starts_at < until:
                yield occurrence
        when += _DAY


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a recurrence is refused, and where it is wrong."""

    field: str
    sentence: Sentence


def refusal(slot: Slot, since: date, calendar: Calendar) -> Refusal | None:
    """What is wrong with when the slot happens: malformed, never from `since` on, or too often. None if nothing."""
    malformed = _malformed(slot)
    if malformed:
        return malformed
    if isinstance(slot.recurrence.rule, Cron):
        often = _too_often(slot, slot.recurrence.rule, since)
        if often:
            return often
    if next_date(slot.recurrence, since, calendar) is None:
        return Refusal(
            "recurrence",
            _(
                "This never happens: the recurrence has no day between {first} and {last}.",
                first=since.isoformat(),
                last=(since + HORIZON).isoformat(),
            ),
        )
    return None


def next_date(recurrence: Recurrence, since: date, calendar: Calendar) -> date | None:
    """The first date on or after `since` within `HORIZON`, or None."""
    for n in range(HORIZON.days):
        if happens_on(recurrence, since + timedelta(days=n), calendar):
            return since + timedelta(days=n)
    return None


def _too_often(slot: Slot, rule: Cron, since: date) -> Refusal | None:
    """Judged on the first date that fires: a cron has the same times on each."""
    try:
        first = next(CronSim(rule.expression, datetime.combine(since, time()) - timedelta(seconds=1)))
    except StopIteration:
        return None  # never: said by `refusal`
    times = _cron_times(rule.expression, first.date())
    if len(times) > MOST_A_DAY:
        return Refusal(
            "recurrence.expression",
            _("“{cron}” happens more than {most} times a day.", cron=rule.expression, most=MOST_A_DAY),
        )
    starts = [datetime.combine(first, at) for at in times]
    if any(later - earlier < slot.length for earlier, later in pairwise(starts)):
        return Refusal(
            "recurrence.expression",
            _("“{cron}” begins again before the slot's {length} are over.", cron=rule.expression, length=slot.length),
        )
    return None


def _malformed(slot: Slot) -> Refusal | None:
    recurrence = slot.recurrence
    if recurrence.first and recurrence.last and recurrence.last < recurrence.first:
        return Refusal("recurrence.last", _("The recurrence ends before it begins."))
    if len(recurrence.without) + len(recurrence.also) > MOST_DATES:
        return Refusal("recurrence", _("More than {most} dates in one recurrence.", most=MOST_DATES))
    if isinstance(recurrence.rule, Cron):
        if slot.start is not None:
            return Refusal("start", _("A cron recurrence has times of its own; leave the start out."))
        if recurrence.also:
            return Refusal("recurrence.also", _("A cron recurrence takes no further dates."))
    elif slot.start is None:
        return Refusal("start", _("The slot has no start."))
    elif slot.start.tzinfo is not None:
        return Refusal("start", _("The start is a local time of day, without a time zone."))
    return _malformed_rule(recurrence.rule)


def _malformed_rule(rule: Rule) -> Refusal | None:
    match rule:
        case Daily(every=every, anchor=anchor) | Weekly(every=every, anchor=anchor) if every < 1 or (
            every > 1 and anchor is None
        ):
            return Refusal("recurrence.every", _("“Every n-th” needs a number from 1 and a date to count from."))
        case Weekly(days=days) | CalendarDays(weekdays=days) if not days or not set(days) <= set(range(_WEEK)):
            return Refusal("recurrence.days", _("Weekdays are numbers from 0 (Monday) to 6 (Sunday), at least one."))
        case Dates(dates=dates) if not dates or len(dates) > MOST_DATES:
            return Refusal("recurrence.dates", _("From 1 to {most} dates are wanted.", most=MOST_DATES))
        case Festivals(names=names) if not names or not set(names) <= set(festivals.festivals()):
            return Refusal(
                "recurrence.names", _("Known festivals are {known}.", known=", ".join(festivals.festivals()))
            )
        case Festivals(before=before, days=days_) if not (0 <= before <= 60 and 1 <= days_ <= 60):
            return Refusal("recurrence.days", _("A festival reaches from 0 to 60 days ahead and lasts 1 to 60 days."))
        case Cron(expression=expression):
            return _malformed_cron(expression)
        case _:
            return None


def _malformed_cron(expression: str) -> Refusal | None:
    if len(expression) > 200 or len(expression.split()) != _CRON_FIELDS:
        return Refusal(
            "recurrence.expression",
            _("A cron recurrence has five fields: minute, hour, day of the month, month, day of the week."),
        )
    try:
        CronSim(expression, datetime(2000, 1, 1))  # noqa: DTZ001
    except CronSimError as error:
        return Refusal(
            "recurrence.expression",
            _("“{cron}” is no cron expression, or never happens: {why}.", cron=expression, why=str(error)),
        )
    return None
