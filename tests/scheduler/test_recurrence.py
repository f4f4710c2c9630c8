"""When a slot happens: against brute force, over the years, over daylight saving, and what is refused."""

from __future__ import annotations

import calendar as months
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.calendar import Calendar, CalendarEdit, Source, edited
from scheduler.festivals import dates_in, festivals
from scheduler.model import (
    CalendarDays,
    Cron,
    Daily,
    Dates,
    DayKind,
    Festivals,
    Recurrence,
    Rule,
    Weekly,
    Yearly,
)
from scheduler.recurrence import MOST_A_DAY, happens_on, occurrences, on_date, refusal

OFFICIAL = Calendar()
BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)


def dates_of(rule: Rule, begin: date, end: date, **bounds: Any) -> list[date]:
    recurrence = Recurrence(rule=rule, **bounds)
    days = (begin + DAY * n for n in range((end - begin).days + 1))
    return [when for when in days if happens_on(recurrence, when, OFFICIAL)]


def brute(rule: Rule, when: date) -> bool:
    """What the rule means, said another way."""
    match rule:
        case Weekly(days=days, every=every, anchor=anchor):
            anchor = anchor or when
            while anchor.weekday() != 0:
                anchor -= DAY
            monday = when - DAY * when.weekday()
            return when.weekday() in days and ((monday - anchor).days // 7) % every == 0
        case Daily(every=every, anchor=anchor):
            return (when.toordinal() - (anchor or when).toordinal()) % every == 0
        case Yearly(month=month, day=day):
            return when.month == month and when.day == day
        case Dates(dates=dates):
            return when in dates
        case CalendarDays(kind=kind, weekdays=weekdays):
            china = holidays.country_holidays("CN", years=when.year)
            rests = (when in china or when.weekday() in (5, 6)) and when not in china.weekend_workdays
            return when.weekday() in weekdays and (kind is DayKind.REST) == rests
        case _:
            raise AssertionError(rule)


day = st.dates(date(2015, 1, 1), date(2026, 12, 31))
simple = st.one_of(
    st.builds(Daily, every=st.integers(1, 12), anchor=day),
    st.builds(Weekly, days=st.sets(st.integers(0, 6), min_size=1).map(tuple), every=st.integers(1, 5), anchor=day),
    st.builds(Yearly, month=st.integers(1, 12), day=st.integers(1, 31)),
    st.builds(Dates, dates=st.sets(day, min_size=1, max_size=9).map(tuple)),
    st.builds(
        CalendarDays,
        kind=st.sampled_from(DayKind),
        weekdays=st.sets(st.integers(0, 6), min_size=1).map(tuple),
    ),
)


@settings(deadline=None, max_examples=80)
@given(simple, day, st.none() | day, st.none() | day, st.sets(day, max_size=20), st.sets(day, max_size=5))
def test_a_rule_is_what_it_says_over_two_years(
    rule: Rule, begin: date, first: date | None, last: date | None, without: set[date], also: set[date]
) -> None:
    end = min(begin + 730 * DAY, date(2026, 12, 31))
    found = dates_of(rule, begin, end, first=first, last=last, without=tuple(without), also=tuple(also))
    expected = []
    when = begin
    while when <= end:
        inside = (first is None or when >= first) and (last is None or when <= last)
        if when not in without and (when in also or (inside and brute(rule, when))):
            expected.append(when)
        when += DAY
    assert found == expected


every_zone = st.sampled_from(
    ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"]
).map(ZoneInfo)


@settings(deadline=None, max_examples=120)
@given(
    simple | st.sampled_from([Cron(expression=e) for e in ("30 1,2,3 * * *", "0 0 * * *", "*/45 0-4 29 2 *")]),
    st.times().map(lambda t: t.replace(fold=0)),
    every_zone,
    st.integers(0, 15 * 365 * 24 * 60).map(lambda n: datetime(2011, 12, 25, tzinfo=UTC) + timedelta(minutes=n)),
    st.lists(st.integers(0, 60 * 24 * 40), max_size=6),
)
def test_each_occurrence_is_in_exactly_one_part_of_any_split(
    make: Any, rule: Rule, start: time, tz: ZoneInfo, begin: datetime, cuts: list[int]
) -> None:
    slot = make.slot(start=None if isinstance(rule, Cron) else start, recurrence=Recurrence(rule=rule))
    end = begin + 40 * DAY
    whole = list(occurrences(slot, begin, end, OFFICIAL, tz))
    bounds = [begin, *sorted(begin + timedelta(minutes=cut) for cut in cuts), end]
    parts = [o for a, b in pairwise(bounds) for o in occurrences(slot, a, b, OFFICIAL, tz)]
    assert sorted(parts, key=lambda o: o.key) == sorted(whole, key=lambda o: o.key)
    assert len({o.key for o in whole}) == len(whole)
    for occurrence in whole:
        assert occurrence.ends_at - occurrence.starts_at == slot.length


def starts(slot: Any, when: date, tz: ZoneInfo) -> list[str]:
    return [o.starts_at.astimezone(tz).isoformat() for o in on_date(slot, when, OFFICIAL, tz)]


def test_clocks_put_forward_move_the_start_to_the_next_instant_and_put_back_play_once(make: Any) -> None:
    slot = make.slot(start=time(2, 30))
    assert starts(slot, date(2026, 3, 29), BERLIN) == ["2026-03-29T03:00:00+02:00"]
    assert starts(slot, date(2026, 10, 25), BERLIN) == ["2026-10-25T02:30:00+02:00"]
    assert starts(slot, date(2026, 3, 28), BERLIN) == ["2026-03-28T02:30:00+01:00"]
    assert starts(slot, date(2011, 12, 30), ZoneInfo("Pacific/Apia")) == []  # the date never was


def test_two_cron_times_that_the_clocks_make_one_are_one_occurrence(make: Any) -> None:
    slot = make.slot(start=None, recurrence=Recurrence(rule=Cron(expression="0,30 2,3 * * *")))
    spring = on_date(slot, date(2026, 3, 29), OFFICIAL, BERLIN)
    assert [o.key for o in spring] == ["s/2026-03-29T02:00", "s/2026-03-29T03:30"]
    assert len(on_date(slot, date(2026, 10, 25), OFFICIAL, BERLIN)) == 4


def test_29_february_happens_in_leap_years_only() -> None:
    leap = [date(y, 2, 29) for y in range(2020, 2034) if months.isleap(y)]
    assert dates_of(Yearly(month=2, day=29), date(2020, 1, 1), date(2033, 12, 31)) == leap
    assert dates_of(Cron(expression="0 8 29 2 *"), date(2020, 1, 1), date(2033, 12, 31)) == leap


def test_a_cron_means_monday_when_it_says_monday() -> None:
    assert dates_of(Cron(expression="0 8 * * 1"), date(2026, 11, 23), date(2026, 11, 29)) == [date(2026, 11, 23)]


def test_the_year_ends_without_a_gap_or_a_double(make: Any) -> None:
    slot = make.slot(start=time(23, 59, 59))
    found = list(
        occurrences(slot, datetime(2026, 12, 30, tzinfo=UTC), datetime(2027, 1, 3, tzinfo=UTC), OFFICIAL, SHANGHAI)
    )
    assert [o.date.isoformat() for o in found] == ["2026-12-30", "2026-12-31", "2027-01-01", "2027-01-02"]


# From the State Council's notices for 2025 and 2026.
@pytest.mark.parametrize(
    ("when", "kind"),
    [
        ("2026-02-14", DayKind.WORK),  # a Saturday, made up for Spring Festival
        ("2026-02-28", DayKind.WORK),
        ("2026-02-20", DayKind.REST),
        ("2026-05-05", DayKind.REST),
        ("2026-05-09", DayKind.WORK),
        ("2026-10-10", DayKind.WORK),
        ("2026-10-11", DayKind.REST),
        ("2025-10-08", DayKind.REST),
        ("2025-09-28", DayKind.WORK),
        ("2026-11-25", DayKind.WORK),
    ],
)
def test_working_days_follow_the_official_calendar_with_make_up_days(when: str, kind: DayKind) -> None:
    found = OFFICIAL.day(date.fromisoformat(when))
    assert (found.kind, found.source) == (kind, Source.OFFICIAL)


def test_a_year_that_is_not_announced_is_expected_and_says_so() -> None:
    new_year = OFFICIAL.day(date(2050, 1, 1))
    assert (new_year.kind, new_year.source, new_year.name) == (DayKind.REST, Source.EXPECTED, "元旦")
    assert OFFICIAL.day(date(2050, 1, 3)).kind is DayKind.WORK
    for year in (1, 1900, 2099, 2100, 9999):
        assert OFFICIAL.day(date(year, 6, 1)).source is Source.EXPECTED
    assert OFFICIAL.notes(date(2025, 1, 1), date(2026, 12, 31)) == ()
    assert [str(note) for note in OFFICIAL.notes(date(2026, 6, 1), date(2050, 1, 1))][-1] == (
        "The public holidays of 2050 are not announced yet: no make-up days are known for it."
    )


def test_an_administrators_edit_stands_over_the_official_calendar() -> None:
    calendar = edited(
        CalendarEdit(date=date(2027, 2, 20), kind=DayKind.WORK, name="调休"),
        CalendarEdit(date=date(2026, 11, 25), kind=DayKind.REST, name="停工"),
    )
    assert calendar.kind(date(2027, 2, 20)) is DayKind.WORK
    assert calendar.day(date(2026, 11, 25)).source is Source.EDITED
    working = Recurrence(rule=CalendarDays(kind=DayKind.WORK))
    assert happens_on(working, date(2027, 2, 20), calendar)
    assert not happens_on(working, date(2026, 11, 25), calendar)


@pytest.mark.parametrize(
    ("festival", "year", "expected"),
    [
        ("chunjie", 2026, ["2026-02-17"]),
        ("chuxi", 2026, ["2026-02-16"]),  # the 29th of a short month
        ("yuanxiao", 2026, ["2026-03-03"]),
        ("duanwu", 2026, ["2026-06-19"]),
        ("zhongqiu", 2026, ["2026-09-25"]),
        ("chongyang", 2026, ["2026-10-18"]),
        ("qingming", 2026, ["2026-04-05"]),
        ("qixi", 2025, ["2025-08-29"]),  # after the leap sixth month
        ("laba", 2022, ["2022-01-10", "2022-12-30"]),
        ("laba", 2023, []),
        ("chunjie", 1850, []),
        ("chunjie", 2150, []),
    ],
)
def test_festivals_fall_where_the_lunar_calendar_has_them(festival: str, year: int, expected: list[str]) -> None:
    assert [when.isoformat() for when in dates_in(festival, year)] == expected


def test_festivals_agree_with_the_official_holidays_of_every_announced_year() -> None:
    named = {"chunjie": "春节", "duanwu": "端午节", "zhongqiu": "中秋节", "qingming": "清明节"}
    for year in range(2008, 2027):
        china = holidays.country_holidays("CN", years=year, language="zh_CN", observed=False)
        for festival, name in named.items():
            (when,) = dates_in(festival, year)
            assert name in china.get(when, ""), (festival, when)


def test_a_festival_may_begin_ahead_and_last_some_days_over_the_years_end() -> None:
    rule = Festivals(names=("chunjie",), before=2, days=4)
    assert dates_of(rule, date(2026, 2, 1), date(2026, 2, 28)) == [date(2026, 2, d) for d in (15, 16, 17, 18)]
    rule = Festivals(names=("laba",), before=10, days=1)  # 10 January 2022
    assert dates_of(rule, date(2021, 12, 1), date(2022, 1, 10)) == [date(2021, 12, 31)]
    assert len(festivals()) == 13


@pytest.mark.parametrize(
    ("recurrence", "start", "why"),
    [
        (Recurrence(rule=Yearly(month=2, day=30)), time(8), "This never happens"),
        (Recurrence(rule=Cron(expression="0 8 30 2 *")), None, "or never happens"),
        (Recurrence(rule=Cron(expression="0 8 31 4,6 *")), None, "or never happens"),
        (Recurrence(rule=Daily(), last=date(2020, 1, 1)), time(8), "This never happens"),
        (Recurrence(rule=Daily(), first=date(2027, 1, 2), last=date(2027, 1, 1)), time(8), "ends before it begins"),
        (
            Recurrence(rule=Dates(dates=(date(2026, 12, 1),)), without=(date(2026, 12, 1),)),
            time(8),
            "This never happens",
        ),
        (Recurrence(rule=CalendarDays(kind=DayKind.WORK, weekdays=())), time(8), "Weekdays are numbers"),
        (Recurrence(rule=Weekly(days=(7,))), time(8), "Weekdays are numbers"),
        (Recurrence(rule=Weekly(days=(1,), every=2)), time(8), "a date to count from"),
        (Recurrence(rule=Dates(dates=())), time(8), "dates are wanted"),
        (Recurrence(rule=Festivals(names=("christmas",))), time(8), "Known festivals"),
        (Recurrence(rule=Festivals(names=("chunjie",), days=0)), time(8), "lasts 1 to 60 days"),
        (Recurrence(rule=Cron(expression="* * * * *")), None, "more than 48 times a day"),
        (Recurrence(rule=Cron(expression="* * * * * *")), None, "five fields"),
        (Recurrence(rule=Cron(expression="0 25 * * *")), None, "no cron expression"),
        (Recurrence(rule=Cron(expression="0,10 8 * * *")), None, "begins again before"),
        (Recurrence(rule=Cron(expression="0 8 * * *")), time(8), "leave the start out"),
        (Recurrence(rule=Cron(expression="0 8 * * *"), also=(date(2027, 1, 1),)), None, "no further dates"),
        (Recurrence(rule=Daily()), None, "no start"),
        (Recurrence(rule=Daily()), time(8, tzinfo=UTC), "without a time zone"),
    ],
)
def test_what_never_happens_or_too_often_is_refused_with_a_sentence(
    make: Any, recurrence: Recurrence, start: time | None, why: str
) -> None:
    refused = refusal(make.slot(start=start, recurrence=recurrence), date(2026, 11, 25), OFFICIAL)
    assert refused is not None
    assert why in str(refused.sentence)


def test_a_rule_of_leap_days_is_no_rule_that_never_happens(make: Any) -> None:
    slot = make.slot(recurrence=Recurrence(rule=Yearly(month=2, day=29)))
    assert refusal(slot, date(2096, 3, 1), OFFICIAL) is None  # the next is in 2104


def test_even_a_slot_that_was_never_checked_happens_a_bounded_number_of_times(make: Any) -> None:
    slot = make.slot(start=None, recurrence=Recurrence(rule=Cron(expression="* * * * *")))
    assert len(on_date(slot, date(2026, 11, 25), OFFICIAL, SHANGHAI)) == MOST_A_DAY
