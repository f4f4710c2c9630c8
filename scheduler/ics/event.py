"""One VEVENT with its exceptions: our own slot, or proposals."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events
from icalendar import Event, vBroken

from broadcast_core.i18n import Sentence, _
from scheduler.ics import names
from scheduler.ics.proposal import Proposal
from scheduler.ics.rules import exact, local, same_clock
from scheduler.model import Cron, Dates, Recurrence, Slot
from scheduler.record import recurrence_of, recurrence_record, slot_of
from scheduler.recurrence import LONGEST, MOST_DATES

_TOO_OFTEN: Final = {"SECONDLY", "MINUTELY", "HOURLY"}
AHEAD: Final = timedelta(days=2 * 366)  # how far a rule that we cannot keep is listed as dates
_ZERO: Final = timedelta()
_LONGEST_NAME: Final = 200
T = TypeVar("T")


class Unusable(Exception):
    """This event becomes nothing; the sentence says why."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(str(sentence))
        self.sentence = sentence


def own_slot(events: list[Event], tz: ZoneInfo, since: date) -> Slot:
    """The slot that we wrote, or a stranger's event with our properties. Raises `Unusable` or `Rejected`."""
    event = events[0]
    kept = _kept_recurrence(event) if len(events) == 1 else None
    if kept is None:
        found = proposals(events, tz, since)
        if len(found) != 1:
            raise Unusable(_("The event was changed elsewhere into several; a slot has one time of day."))
        start, recurrence = found[0].start, found[0].recurrence
    else:
        recurrence = kept
        start = None if isinstance(kept.rule, Cron) else _start(event, tz).time()
    uid = str(event.get("UID", ""))
    record: dict[str, Any] = {
        "id": uid.removesuffix(names.UID_DOMAIN),
        "name": _name(event),
        "zones": _json(event, names.ZONES),
        "start": start.isoformat() if start else None,
        "length_s": _length(event, tz).total_seconds(),
        "playlist": names.text(event, names.PLAYLIST),
        "volume": _number(event, names.VOLUME, int),
        "created_at": names.text(event, names.CREATED) if names.CREATED in event else _stamp(event, tz),
    }
    for key, name in (
        ("authority", names.AUTHORITY),
        ("late", names.LATE),
        ("fill", names.FILL),
        ("overrun", names.OVERRUN),
    ):
        if name in event:
            record[key] = names.text(event, name)
    if names.GRACE in event:
        record["grace_s"] = _number(event, names.GRACE, float)
    if names.ENABLED in event:
        record["enabled"] = names.text(event, names.ENABLED).upper() != "FALSE"
    return slot_of(record | {"recurrence": recurrence_record(recurrence)}, uid)


def proposals(events: list[Event], tz: ZoneInfo, since: date) -> list[Proposal]:
    """What an event, with the exceptions to it, proposes. Raises `Unusable`."""
    series = events[0]
    if _cancelled(series):
        raise Unusable(_("The event is cancelled."))
    start, length = _start(series, tz), _length(series, tz)
    rules = _all(series, "RRULE")
    for rule in rules:
        if str(rule.get("FREQ", [""])[0]).upper() in _TOO_OFTEN:
            raise Unusable(_("“{rule}” would play many times an hour.", rule=_text(rule)))
    simple = not any(map(_moves_the_future, events)) and "RECURRENCE-ID" not in series and "EXRULE" not in series
    kept = _kept(series, rules, start, tz) if simple and len(rules) <= 1 else None
    if kept is None:
        found = _listed(events, tz, since)
    else:
        found = [_proposal(series, kept, start, length)]
        for changed in events[1:]:
            found = _without(found, _recurrence_id(changed, tz))
            if not _cancelled(changed):
                at = _start(changed, tz)
                once = Recurrence(rule=Dates(dates=(at.date(),)))
                found.append(_proposal(changed, once, at, _length(changed, tz)))
    alive = [proposal for proposal in found if not _over(proposal.recurrence, since)]
    if not alive:
        raise Unusable(_("It was over before {date}.", date=since))
    return alive


def _kept(series: Event, rules: list[Any], start: datetime, tz: ZoneInfo) -> Recurrence | None:
    """The event's recurrence in our own words, or None if it cannot be said exactly."""
    if not rules:
        dates = Recurrence(rule=Dates(dates=(start.date(),)))
        return _with_dates(dates, series, start, tz)
    if not same_clock(_written(series, "DTSTART"), tz):
        return None
    found = exact(rules[0], _text(rules[0]), start, tz)
    if found is None:
        return None
    return _with_dates(Recurrence(rule=found.rule, first=start.date(), last=found.last), series, start, tz)


def _with_dates(recurrence: Recurrence, series: Event, start: datetime, tz: ZoneInfo) -> Recurrence | None:
    """With the event's RDATEs and EXDATEs; None if one of them is at another time of day."""
    also = _dates(series, "RDATE", start, tz)
    without = _dates(series, "EXDATE", start, tz)
    if also is None or without is None or len(also) + len(without) > MOST_DATES:
        return None
    if also and isinstance(recurrence.rule, Cron):
        return None
    return Recurrence(rule=recurrence.rule, first=recurrence.first, last=recurrence.last, without=without, also=also)


def _dates(event: Event, name: str, start: datetime, tz: ZoneInfo) -> tuple[date, ...] | None:
    found: set[date] = set()
    for group in _all(event, name):
        for value in getattr(group, "dts", ()):
            when = value.dt
            if isinstance(when, datetime):
                at = local(when, tz)
                if at.time() != start.time():
                    return None
                found.add(at.date())
            elif isinstance(when, date) and name == "EXDATE":
                found.add(when)
            else:  # a PERIOD, or a date among times
                return None
    return tuple(sorted(found))


def _listed(events: list[Event], tz: ZoneInfo, since: date) -> list[Proposal]:
    """The event's instances as dates, one proposal for each time of day and length."""
    one = icalendar.Calendar()
    for event in events:
        one.add_component(event)
    begin = max(since, min(_start(event, tz).date() for event in events))
    groups: dict[tuple[str, time, timedelta], set[date]] = {}
    for instance in _instances(one, begin, begin + AHEAD, tz):
        at = _start(instance, tz)
        groups.setdefault((_name(instance), at.time(), _length(instance, tz)), set()).add(at.date())
        if sum(map(len, groups.values())) > MOST_DATES:
            raise Unusable(_("It happens more than {most} times until {date}.", most=MOST_DATES, date=begin + AHEAD))
    endless = any("UNTIL" not in rule and "COUNT" not in rule for e in events for rule in _all(e, "RRULE"))
    note = _("Its rule cannot be kept; these are its dates until {date}.", date=begin + AHEAD)
    return [
        Proposal(
            uid=str(events[0].get("UID", "")),
            name=name,
            start=at,
            length=length,
            recurrence=Recurrence(rule=Dates(dates=tuple(sorted(dates)))),
            notes=(note,) if endless else (),
        )
        for (name, at, length), dates in sorted(groups.items(), key=lambda group: (min(group[1]), group[0]))
    ]


def _instances(one: icalendar.Calendar, begin: date, end: date, tz: ZoneInfo) -> list[Event]:
    since, until = (datetime.combine(when, time(), tzinfo=tz) for when in (begin, end))
    try:
        query = recurring_ical_events.of(one, components=["VEVENT"])
        return [i for i in query.between(since, until) if _start(i, tz) >= since and not _cancelled(i)]
    except Unusable:
        raise
    except Exception as error:
        raise Unusable(
            _("Its recurrence cannot be read: {why}", why=f"{type(error).__name__}: {error}"[:200])
        ) from error


def _proposal(event: Event, recurrence: Recurrence, start: datetime, length: timedelta) -> Proposal:
    return Proposal(
        uid=str(event.get("UID", "")),
        name=_name(event),
        start=None if isinstance(recurrence.rule, Cron) else start.time(),
        length=length,
        recurrence=recurrence,
    )


def _without(found: list[Proposal], when: date) -> list[Proposal]:
    series, *others = found
    recurrence = series.recurrence
    less = Recurrence(
        rule=recurrence.rule,
        first=recurrence.first,
        last=recurrence.last,
        without=tuple(sorted({*recurrence.without, when})),
        also=recurrence.also,
    )
    return [
        Proposal(uid=series.uid, name=series.name, start=series.start, length=series.length, recurrence=less),
        *others,
    ]


def _over(recurrence: Recurrence, since: date) -> bool:
    last = max(recurrence.rule.dates, default=since) if isinstance(recurrence.rule, Dates) else recurrence.last
    return last is not None and max((last, *recurrence.also)) < since


def _written(event: Event, name: str) -> Any:
    """A property's date, time or duration as it stands in the file; None where it is missing or unreadable."""
    value = event.get(name)
    return None if isinstance(value, vBroken) else getattr(value, "dt", None)


def _start(event: Event, tz: ZoneInfo) -> datetime:
    value = _written(event, "DTSTART")
    if value is None:
        raise Unusable(_("It has no DTSTART, or one that cannot be read."))
    if not isinstance(value, datetime):
        raise Unusable(_("It is for whole days; a programme needs a time of day."))
    return local(value, tz).replace(fold=0)


def _length(event: Event, tz: ZoneInfo) -> timedelta:
    start = _start(event, tz)
    end, duration = _written(event, "DTEND"), _written(event, "DURATION")
    if isinstance(end, datetime):
        duration = local(end, tz).timestamp() - start.timestamp()
        duration = timedelta(seconds=duration)
    if not isinstance(duration, timedelta):
        raise Unusable(_("It has no end (DTEND or DURATION)."))
    if not _ZERO < duration <= LONGEST:
        raise Unusable(
            _("It lasts {length}; a slot lasts longer than nothing and at most 24 hours.", length=duration)
        )
    return duration


def _recurrence_id(event: Event, tz: ZoneInfo) -> date:
    value = _written(event, "RECURRENCE-ID")
    if isinstance(value, datetime):
        return local(value, tz).date()
    if isinstance(value, date):
        return value
    raise Unusable(_("Two events have this UID, and neither is an exception to the other."))


def _cancelled(event: Event) -> bool:
    return str(event.get("STATUS", "")).upper() == "CANCELLED"


def _moves_the_future(event: Event) -> bool:
    identity = event.get("RECURRENCE-ID")
    return identity is not None and "RANGE" in identity.params


def _kept_recurrence(event: Event) -> Recurrence | None:
    """Our own words for it, if nobody changed the standard ones since."""
    own = event.get(names.RECURRENCE)
    if own is None or own.params.get(names.DIGEST) != names.digest(event):
        return None
    return recurrence_of(_json(event, names.RECURRENCE))


def _json(event: Event, name: str) -> Any:
    try:
        return json.loads(names.text(event, name))
    except ValueError as error:
        raise Unusable(_("{property} cannot be read.", property=name)) from error


def _number(event: Event, name: str, kind: Callable[[str], T]) -> T:
    try:
        return kind(names.text(event, name))
    except (KeyError, ValueError) as error:
        raise Unusable(_("{property} cannot be read.", property=name)) from error


def _stamp(event: Event, tz: ZoneInfo) -> str:
    value = _written(event, "DTSTAMP")
    at = value if isinstance(value, datetime) else _start(event, tz)
    return local(at, tz).isoformat()


def _name(event: Event) -> str:
    return (str(event.get("SUMMARY", "")).strip() or str(event.get("UID", "")) or "VEVENT")[:_LONGEST_NAME]


def _all(event: Event, name: str) -> list[Any]:
    values = event.get(name, [])
    found = values if isinstance(values, list) else [values]
    if any(isinstance(value, vBroken) for value in found):
        raise Unusable(_("{property} cannot be read.", property=name))
    return found


def _text(rule: Any) -> str:
    with suppress(UnicodeDecodeError):
        return str(rule.to_ical().decode())
    return "RRULE"
