"""Slots as VEVENTs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
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
    file.add_missing_timezones()
    return bytes(file.to_ical())


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
    first = next_date(recurrence, begin, calendar)
    if first is None:  # over, or never: the rule itself is still in X-TOCSIN-RECURRENCE
        event.add("DTSTART", datetime.combine(begin, slot.start or time(), tzinfo=tz))
        return
    if isinstance(rule, CalendarDays | Festivals | Cron):
        dates = _listed(slot, calendar, tz, max(since, begin))
        starts = dates or [datetime.combine(first, slot.start or time(), tzinfo=tz)]
        event.add("DTSTART", starts[0])
        _add_dates(event, "RDATE", starts[1:])
        return
    assert slot.start is not None

    def at(when: date) -> datetime:
        assert slot.start is not None
        return datetime.combine(when, slot.start, tzinfo=tz)

    event.add("DTSTART", at(first))
    also = {when for when in recurrence.also if when > first} - set(recurrence.without)
    if isinstance(rule, Dates):
        within = (d for d in rule.dates if d > first and d <= (recurrence.last or date.max))
        also |= set(within) - set(recurrence.without)
    else:
        event.add("RRULE", _rrule(rule, at(recurrence.last) if recurrence.last else None))
        _add_dates(event, "EXDATE", [at(when) for when in sorted(set(recurrence.without)) if when > first])
    _add_dates(event, "RDATE", [at(when) for when in sorted(also)])


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
