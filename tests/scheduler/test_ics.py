"""iCalendar: ours comes back as it was, anybody's is a proposal or refused with a reason."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
import recurring_ical_events
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.model import Authority, LateRule
from scheduler.calendar import Calendar
from scheduler.festivals import festivals
from scheduler.ics import Imported, read, write
from scheduler.model import (
    CalendarDays,
    Cron,
    Daily,
    Dates,
    DayKind,
    Festivals,
    Fill,
    Overrun,
    Recurrence,
    Weekly,
    Yearly,
)
from scheduler.recurrence import next_date, occurrences

SHANGHAI = ZoneInfo("Asia/Shanghai")
TODAY = date(2026, 11, 25)
OFFICIAL = Calendar()


def file(*lines: str, calendar: tuple[str, ...] = ()) -> bytes:
    """A calendar of one VEVENT with these lines, as another vendor writes it."""
    event = ("BEGIN:VEVENT", "UID:1@vendor", "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT")
    return "\r\n".join(
        ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Vendor//1//EN", *calendar, *event, "END:VCALENDAR", "")
    ).encode()


def reads(*lines: str, since: date = TODAY) -> Imported:
    return read(file(*lines), SHANGHAI, since)


def refusal(*lines: str) -> str:
    imported = reads(*lines)
    assert imported.slots == imported.proposals == ()
    (refused,) = imported.refused
    assert (refused.component, refused.uid) == ("VEVENT", "1@vendor")
    return str(refused.sentence)


day = st.dates(date(2026, 1, 1), date(2029, 12, 31))
rules = st.one_of(
    st.builds(Daily, every=st.integers(1, 9), anchor=day),
    st.builds(Weekly, days=st.sets(st.integers(0, 6), min_size=1).map(tuple), every=st.integers(1, 4), anchor=day),
    st.builds(Yearly, month=st.integers(1, 12), day=st.integers(1, 29)),
    st.builds(Dates, dates=st.sets(day, min_size=1, max_size=5).map(tuple)),
    st.builds(CalendarDays, kind=st.sampled_from(DayKind)),
    st.builds(Festivals, names=st.sets(st.sampled_from(sorted(festivals())), min_size=1).map(tuple)),
)
recurrences = st.builds(
    Recurrence,
    rule=rules,
    first=st.none() | day,
    last=st.none() | day,
    without=st.lists(day, max_size=3).map(tuple),
    also=st.lists(day, max_size=3).map(tuple),
)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_slot_comes_back_from_its_file_as_it_was(make: Any, data: st.DataObject) -> None:
    cron = data.draw(st.booleans())
    slot = make.slot(
        "早-1" if data.draw(st.booleans()) else "morning.1",
        name=data.draw(
            st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1).filter(str.strip)
        ).strip(),
        zones=tuple(data.draw(st.lists(st.sampled_from(["D", "S,1", 'A"B', "社区;1"]), min_size=1, unique=True))),
        start=None if cron else time(data.draw(st.integers(0, 23)), data.draw(st.integers(0, 59))),
        length=timedelta(seconds=data.draw(st.integers(1, 86400))),
        recurrence=Recurrence(rule=Cron(expression="30 7,18 * * 1-5")) if cron else data.draw(recurrences),
        authority=data.draw(st.sampled_from(Authority)),
        late=data.draw(st.sampled_from(LateRule)),
        grace=timedelta(seconds=data.draw(st.integers(0, 600))),
        fill=data.draw(st.sampled_from(Fill)),
        overrun=data.draw(st.sampled_from(Overrun)),
        enabled=data.draw(st.booleans()),
    )
    text = write([slot], OFFICIAL, SHANGHAI, TODAY)
    imported = read(text, SHANGHAI, date(2020, 1, 1))
    assert imported.refused == ()
    assert imported.slots == (slot,)
    assert write(imported.slots, OFFICIAL, SHANGHAI, TODAY) == text


@settings(deadline=None, max_examples=100)
@given(recurrences, st.times().map(lambda t: t.replace(second=0, microsecond=0)))
def test_another_program_reads_the_same_instances_from_our_file(
    make: Any, recurrence: Recurrence, start: time
) -> None:
    slot = make.slot(recurrence=recurrence, start=start, created_at=datetime(2026, 1, 1, tzinfo=UTC))
    begin = datetime(2026, 11, 25, tzinfo=SHANGHAI)
    end = begin + timedelta(days=360)
    ours = [o.starts_at for o in occurrences(slot, begin, end, OFFICIAL, SHANGHAI)]
    text = write([slot], OFFICIAL, SHANGHAI, TODAY)
    theirs = recurring_ical_events.of(icalendar.Calendar.from_ical(text)).between(begin, end)
    starts = sorted(event["DTSTART"].dt.astimezone(UTC) for event in theirs)
    if ours or recurrence_happens(recurrence):
        assert [s for s in starts if s >= begin] == ours


def recurrence_happens(recurrence: Recurrence) -> bool:
    """Whether there is an instance at all; without one a VEVENT still needs a DTSTART, which others show."""
    return next_date(recurrence, recurrence.first or TODAY.replace(month=1, day=1), OFFICIAL) is not None


def test_an_event_of_ours_that_another_program_moved_is_read_as_moved(make: Any) -> None:
    slot = make.slot(recurrence=Recurrence(rule=Weekly(days=(0, 2))))
    text = write([slot], OFFICIAL, SHANGHAI, TODAY).decode()
    moved = text.replace("BYDAY=MO,WE", "BYDAY=MO,FR").replace("T080000", "T093000")
    assert moved != text
    (read_back,) = read(moved.encode(), SHANGHAI, TODAY).slots
    assert read_back.start == time(9, 30)
    assert isinstance(read_back.recurrence.rule, Dates | Weekly)
    starts = [o.date for o in occurrences(read_back, *_fortnight(), OFFICIAL, SHANGHAI)]
    assert {when.weekday() for when in starts} == {0, 4}
    assert (read_back.playlist, read_back.zones, read_back.volume) == ("p", ("D",), 60)


def _fortnight() -> tuple[datetime, datetime]:
    begin = datetime(2026, 11, 25, tzinfo=UTC)
    return begin, begin + timedelta(days=14)


def test_a_foreign_event_becomes_a_proposal_without_zones_and_playlist() -> None:
    imported = reads(
        "SUMMARY:防火宣传",
        "DTSTART;TZID=China Standard Time:20261130T073000",  # as Outlook names it
        "DTEND;TZID=China Standard Time:20261130T080000",
        "RRULE:FREQ=WEEKLY;BYDAY=MO,TH;UNTIL=20270101T000000Z",
        "EXDATE;TZID=China Standard Time:20261203T073000",
        "BEGIN:VALARM",
        "ACTION:AUDIO",
        "TRIGGER:-PT5M",
        "ATTACH:file:///etc/passwd",
        "END:VALARM",
    )
    (proposal,) = imported.proposals
    assert (proposal.name, proposal.start, proposal.length) == ("防火宣传", time(7, 30), timedelta(minutes=30))
    assert proposal.recurrence == Recurrence(
        rule=Weekly(days=(0, 3)),
        first=date(2026, 11, 30),
        last=date(2027, 1, 1),
        without=(date(2026, 12, 3),),
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=DAILY", Recurrence(rule=Daily(), first=TODAY)),
        ("FREQ=DAILY;COUNT=3", Recurrence(rule=Daily(), first=TODAY, last=date(2026, 11, 27))),
        ("FREQ=DAILY;INTERVAL=2", Recurrence(rule=Daily(every=2, anchor=TODAY), first=TODAY)),
        ("FREQ=YEARLY", Recurrence(rule=Yearly(month=11, day=25), first=TODAY)),
        ("FREQ=MONTHLY", Recurrence(rule=Cron(expression="0 8 25 * *"), first=TODAY)),
        ("FREQ=MONTHLY;BYDAY=4WE", Recurrence(rule=Cron(expression="0 8 * * 3#4"), first=TODAY)),
        ("FREQ=MONTHLY;BYDAY=-1WE", Recurrence(rule=Cron(expression="0 8 * * 3L"), first=TODAY)),
        ("FREQ=WEEKLY;INTERVAL=2", Recurrence(rule=Weekly(days=(2,), every=2, anchor=TODAY), first=TODAY)),
    ],
)
def test_rules_that_we_can_say_are_kept_as_rules(rule: str, expected: Recurrence) -> None:
    lines = ("DTSTART;TZID=Asia/Shanghai:20261125T080000", "DURATION:PT30M", f"RRULE:{rule}")
    (proposal,) = reads(*lines).proposals
    assert proposal.recurrence == expected
    assert proposal.notes == ()


def test_a_rule_that_we_cannot_say_is_listed_as_dates_and_says_until_when() -> None:
    (proposal,) = reads(
        "DTSTART;TZID=Asia/Shanghai:20261130T080000",
        "DURATION:PT30M",
        "RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    ).proposals
    assert isinstance(proposal.recurrence.rule, Dates)
    assert proposal.recurrence.rule.dates[:3] == (date(2026, 11, 30), date(2026, 12, 31), date(2027, 1, 29))
    assert [str(note) for note in proposal.notes] == [
        "Its rule cannot be kept; these are its dates until 2028-12-01."
    ]


def test_a_recurring_event_of_a_zone_with_daylight_saving_is_one_proposal_for_each_local_time() -> None:
    imported = reads(
        "DTSTART;TZID=Europe/Berlin:20261125T010000",
        "DTEND;TZID=Europe/Berlin:20261125T013000",
        "RRULE:FREQ=WEEKLY;COUNT=40",
    )
    assert [p.start for p in imported.proposals] == [time(8, 0), time(7, 0)]
    assert sum(len(p.recurrence.rule.dates) for p in imported.proposals if isinstance(p.recurrence.rule, Dates)) == 40


def test_a_moved_and_a_cancelled_instance_are_exceptions_to_their_series() -> None:
    series = ("DTSTART;TZID=Asia/Shanghai:20261125T080000", "DURATION:PT30M", "RRULE:FREQ=DAILY")
    moved = (
        "END:VEVENT",
        "BEGIN:VEVENT",
        "UID:1@vendor",
        "RECURRENCE-ID;TZID=Asia/Shanghai:20261127T080000",
        "DTSTART;TZID=Asia/Shanghai:20261127T100000",
        "DURATION:PT15M",
        "END:VEVENT",
        "BEGIN:VEVENT",
        "UID:1@vendor",
        "STATUS:CANCELLED",
        "RECURRENCE-ID;TZID=Asia/Shanghai:20261128T080000",
        "DTSTART;TZID=Asia/Shanghai:20261128T080000",
        "DURATION:PT30M",
    )
    daily, once = reads(*series, *moved).proposals
    assert daily.recurrence.without == (date(2026, 11, 27), date(2026, 11, 28))
    assert (once.start, once.length) == (time(10, 0), timedelta(minutes=15))
    assert once.recurrence.rule == Dates(dates=(date(2026, 11, 27),))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("DTSTART;VALUE=DATE:20261125",), "It is for whole days; a programme needs a time of day."),
        (("SUMMARY:x",), "It has no DTSTART, or one that cannot be read."),
        (("DTSTART:20261131T080000Z", "DURATION:PT1H"), "It has no DTSTART, or one that cannot be read."),
        (("DTSTART:20261125T080000Z",), "It has no end (DTEND or DURATION)."),
        (
            ("DTSTART:20261125T080000Z", "DTEND:20261125T070000Z"),
            "It lasts -1 day, 23:00:00; a slot lasts longer than nothing and at most 24 hours.",
        ),
        (
            ("DTSTART:20261125T080000Z", "DURATION:P2D"),
            "It lasts 2 days, 0:00:00; a slot lasts longer than nothing and at most 24 hours.",
        ),
        (
            ("DTSTART:20261125T080000Z", "DURATION:PT1S", "RRULE:FREQ=SECONDLY"),
            "“FREQ=SECONDLY” would play many times an hour.",
        ),
        (("DTSTART:20201125T080000Z", "DURATION:PT1H"), "It was over before 2026-11-25."),
        (("STATUS:CANCELLED", "DTSTART:20261125T080000Z", "DURATION:PT1H"), "The event is cancelled."),
        (
            ("DTSTART:20261125T080000Z", "DURATION:PT1H", "RRULE:FREQ=SOMETIMES"),
            "RRULE cannot be read.",
        ),
        (
            ("DTSTART:20261125T080000Z", "DURATION:PT1H", "X-TOCSIN-PLAYLIST:p", "X-TOCSIN-ZONES:D,E"),
            "X-TOCSIN-ZONES cannot be read.",
        ),
    ],
)
def test_what_cannot_become_a_slot_is_refused_by_component_with_a_reason(lines: tuple[str, ...], why: str) -> None:
    assert refusal(*lines) == why


def test_other_components_are_refused_by_their_name_and_the_events_beside_them_are_read() -> None:
    todo = ("BEGIN:VTODO", "UID:t", "SUMMARY:paint", "END:VTODO")
    imported = read(file("DTSTART:20261125T080000Z", "DURATION:PT1H", calendar=todo), SHANGHAI, TODAY)
    assert [(r.component, r.uid, r.name) for r in imported.refused] == [("VTODO", "t", "paint")]
    assert len(imported.proposals) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", RejectReason.MALFORMED),
        (b"\xff\xfe\x00", RejectReason.MALFORMED),
        (b"#EXTM3U\nhttp://example.net/a.mp3\n", RejectReason.MALFORMED),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", RejectReason.MALFORMED),
        (b"BEGIN:VCARD\r\nVERSION:3.0\r\nEND:VCARD\r\n", RejectReason.MALFORMED),
        (b"x" * 2_000_001, RejectReason.TOO_LARGE),
        (file(*["END:VEVENT", "BEGIN:VEVENT"] * 2001), RejectReason.TOO_LARGE),
    ],
)
def test_what_is_no_calendar_is_refused_as_a_whole(data: bytes, reason: RejectReason) -> None:
    with pytest.raises(Rejected) as refused:
        read(data, SHANGHAI, TODAY)
    assert refused.value.reason is reason


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_file_is_refused_or_read_and_never_more(make: Any, data: st.DataObject) -> None:
    text = bytearray(write([make.slot(recurrence=Recurrence(rule=Weekly(days=(1, 3))))], OFFICIAL, SHANGHAI, TODAY))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        imported = read(bytes(text), SHANGHAI, TODAY)
    except Rejected:  # and nothing else
        return
    assert len(imported.slots) + len(imported.refused) + len(imported.proposals) <= 2
