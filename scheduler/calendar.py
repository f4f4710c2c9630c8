"""Working days and days of rest by the official Chinese calendar, and the administrator's table over it.

The announced calendar comes from the `holidays` package (State Council notices, make-up days included). A year that
it has no notice for is *expected*: the statutory holidays and weekends rest, no day is made up, and `notes` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Final

import holidays

from broadcast_core.i18n import Sentence, _
from scheduler.model import DayKind

_FIRST_YEAR: Final = 1950
_LAST_YEAR: Final = 2099  # the package computes no lunar dates beyond
_SATURDAY: Final = 5


class Source(StrEnum):
    """Where a day's kind comes from."""

    OFFICIAL = "official"  # the State Council's notice for that year
    EXPECTED = "expected"  # no notice known yet: statutory holidays and weekends
    EDITED = "edited"  # an administrator's


@dataclass(frozen=True, kw_only=True, slots=True)
class CalendarDay:
    """One day: work or rest, and its name where it has one."""

    date: date
    kind: DayKind
    source: Source
    name: str = ""  # in Chinese, as announced


@dataclass(frozen=True, kw_only=True, slots=True)
class CalendarEdit:
    """One row of the administrator's table: this day is of this kind, whatever was announced."""

    date: date
    kind: DayKind
    name: str = ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The official calendar with the administrator's edits over it."""

    edits: Mapping[date, CalendarEdit] = field(default_factory=dict)

    def day(self, when: date) -> CalendarDay:
        """What kind of day it is. Never raises: a year that nobody announced is expected."""
        if edit := self.edits.get(when):
            return CalendarDay(date=when, kind=edit.kind, source=Source.EDITED, name=edit.name)
        year = _year(when.year)
        source = Source.OFFICIAL if year.announced else Source.EXPECTED
        if when in year.made_up:
            return CalendarDay(date=when, kind=DayKind.WORK, source=source, name="调休上班")
        rests = when in year.rest or when.weekday() >= _SATURDAY
        kind = DayKind.REST if rests else DayKind.WORK
        return CalendarDay(date=when, kind=kind, source=source, name=year.rest.get(when, ""))

    def kind(self, when: date) -> DayKind:
        return self.day(when).kind

    def notes(self, first: date, last: date) -> tuple[Sentence, ...]:
        """What a person should know about the days from `first` to `last`: the years that are not announced."""
        return tuple(
            _("The public holidays of {year} are not announced yet: no make-up days are known for it.", year=year)
            for year in range(first.year, last.year + 1)
            if not _year(year).announced
        )


def edited(*edits: CalendarEdit) -> Calendar:
    """The official calendar with these rows over it; of two for one day the later counts."""
    return Calendar({edit.date: edit for edit in edits})


@dataclass(frozen=True, slots=True)
class _Year:
    announced: bool
    rest: Mapping[date, str]
    made_up: frozenset[date]


@cache
def _year(year: int) -> _Year:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return _Year(False, {}, frozenset())
    # The package moves days of rest by notices of the year before as well (New Year's Eve), hence the neighbours.
    official = holidays.country_holidays("CN", years=(year - 1, year, year + 1), language="zh_CN")
    made_up = frozenset(day for day in official.weekend_workdays if day.year == year)
    announced = bool(made_up)
    if not announced:  # what the package then calls "observed" is its guess
        official = holidays.country_holidays("CN", years=year, language="zh_CN", observed=False)
    return _Year(announced, {day: name for day, name in official.items() if day.year == year}, made_up)
