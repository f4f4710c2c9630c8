"""Slots as VEVENTs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, assert_never
from zoneinfo import ZoneInfo

import icalendar
from icalendar import Event

from scheduler.calendar import Calendar
from scheduler.ics import names
from scheduler.model import (
    CalendarDays,
    Cron,
    Daily,
    Dates,
    Festivals,
    Recurrence,
    Slot,
    Weekly,
    Yearly,
)
from scheduler.record import recurrence_record
from scheduler.recurrence import next_date, on_date

_AHEAD: Final = timedelta(days=366)
_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_PRODUCT: Final = "-//Tocsin//Schedule//EN"


def write(slots: Iterable[Slot], calendar: Calendar, tz: ZoneInfo, since: date) -> bytes:
    """An iCalendar file of these slots, the same bytes for the same input.

    Rules that RFC 5545 cannot say (working days, festivals, cron) are written for other programs as the dates of the
    year from `since`; `X-TOCSIN-RECURRENCE` has the rule itself.
    """
    file = icalendar.Calendar()
    file.add("PRODID", _PRODUCT)
    file.add("VERSION", "2.0")
    file.add("X-WR-TIMEZONE", tz.key)
    for slot in sorted(slots, key=lambda slot: slot.id):
        file.add_component(_event(slot, calendar, tz, since))
    file.add_component(_timezone(tz.key, since.year))
    return bytes(file.to_ical())


@lru_cache(maxsize=16)
def _timezone(key: str, year: int) -> icalendar.Timezone:
    """The zone's offsets over the years that matter; the library's own search through all years takes long."""
    return icalendar.Timezone.from_tzid(key, first_date=date(year - 1, 1, 1), last_date=date(year + 12, 1, 1))


def _event(slot: Slot, calendar: Calendar, tz: ZoneInfo, since: date) -> Event:
    event = Event()
    event.add("UID", slot.id + names.UID_DOMAIN)
    event.add("DTSTAMP", slot.created_at.astimezone(UTC))
    event.add("SUMMARY", slot.name)
    event.add("STATUS", "CONFIRMED" if slot.enabled else "TENTATIVE")
    _add_when(event, slot, calendar, tz, since)
    event.add("DURATION", slot.length)
    for name, text in _own(slot).items():
        event.add(name, icalendar.vText(text))
    recurrence = icalendar.vText(json.dumps(recurrence_record(slot.recurrence), separators=(",", ":")))
    recurrence.params[names.DIGEST] = names.digest(event)
    event.add(names.RECURRENCE, recurrence)
    return event


def _own(slot: Slot) -> dict[str, str]:
    return {
        names.PLAYLIST: slot.playlist,
        names.ZONES: json.dumps(slot.zones, ensure_ascii=False),
        names.VOLUME: str(slot.volume),
        names.AUTHORITY: slot.authority.name.lower(),
        names.LATE: slot.late.value,
        names.GRACE: repr(slot.grace.total_seconds()),
        names.FILL: slot.fill.value,
        names.OVERRUN: slot.overrun.value,
        names.ENABLED: "TRUE" if slot.enabled else "FALSE",
        names.CREATED: slot.created_at.isoformat(),
    }


def _add_when(event: Event, slot: Slot, calendar: Calendar, tz: ZoneInfo, since: date) -> None:
    recurrence, rule = slot.recurrence, slot.recurrence.rule
    begin = recurrence.first or min(slot.created_at.astimezone(tz).date(), since)
    # Intervals are counted from DTSTART, so it is a date of the rule, not one of those beside it.
    first = next_date(replace(recurrence, also=()), begin, calendar)
    if isinstance(rule, CalendarDays | Festivals | Cron):
        starts = _listed(slot, calendar, tz, since)
    elif first is None or isinstance(rule, Dates):
        starts = [_at(slot, when, tz) for when in _all_dates(recurrence)]
    else:
        event.add("DTSTART", _at(slot, first, tz))
        event.add("RRULE", _rrule(rule, _at(slot, recurrence.last, tz) if recurrence.last else None))
        without = sorted(when for when in set(recurrence.without) if when > first)
        _add_dates(event, "EXDATE", [_at(slot, when, tz) for when in without])
        also = sorted(set(recurrence.also) - set(recurrence.without) - {first})
        _add_dates(event, "RDATE", [_at(slot, when, tz) for when in also])
        return
    # A VEVENT needs a start, even if the slot has none any more.
    starts = starts or [_at(slot, first or begin, tz)]
    event.add("DTSTART", starts[0])
    _add_dates(event, "RDATE", starts[1:])


def _at(slot: Slot, when: date, tz: ZoneInfo) -> datetime:
    return datetime.combine(when, slot.start or time(), tzinfo=tz)


def _all_dates(recurrence: Recurrence) -> list[date]:
    """Every date of a recurrence that has only dates."""
    dates = recurrence.rule.dates if isinstance(recurrence.rule, Dates) else ()
    first, last = recurrence.first or date.min, recurrence.last or date.max
    within = {when for when in dates if first <= when <= last}
    return sorted((within | set(recurrence.also)) - set(recurrence.without))


def _rrule(rule: Daily | Weekly | Yearly, last: datetime | None) -> dict[str, object]:
    until: dict[str, object] = {"UNTIL": last.astimezone(UTC)} if last else {}
    match rule:
        case Daily(every=every):
            return {"FREQ": "DAILY", "INTERVAL": every} | until
        case Weekly(days=days, every=every):
            return {"FREQ": "WEEKLY", "INTERVAL": every, "BYDAY": [_DAYS[day] for day in sorted(days)]} | until
        case Yearly(month=month, day=day):
            return {"FREQ": "YEARLY", "BYMONTH": month, "BYMONTHDAY": day} | until
        case _:
            assert_never(rule)


def _listed(slot: Slot, calendar: Calendar, tz: ZoneInfo, since: date) -> list[datetime]:
    """The starts of the year from `since`, in local time."""
    dates = (since + timedelta(days=n) for n in range(_AHEAD.days))
    return [occurrence.starts_at.astimezone(tz) for when in dates for occurrence in on_date(slot, when, calendar, tz)]


def _add_dates(event: Event, name: str, starts: list[datetime]) -> None:
    if starts:
        event.add(name, starts)
