"""Bad input: each a clear refusal or a documented outcome, never a silent gap."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import pytest

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.model import MOST_CLIPS, Authority
from scheduler.checks import Finding, FindingKind, check, refuse
from scheduler.held import Held
from scheduler.kindness import DEFAULT, Quiet, Rules
from scheduler.layout import lay_out
from scheduler.model import (
    CalendarDays,
    Cron,
    Daily,
    Dates,
    DayKind,
    Fill,
    Overrun,
    PlayOrder,
    Recurrence,
    Schedule,
)
from scheduler.recurrence import on_date
from scheduler.what_plays import day_of, messages, what_plays

TODAY = date(2026, 11, 25)  # a Wednesday
NOW = datetime(2026, 11, 24, 16, tzinfo=UTC)  # its midnight in Shanghai


def findings(make: Any, *parts: Any, rules: Rules | None = None, **more: Any) -> tuple[Finding, ...]:
    return check(make.circumstances(make.schedule(*parts), rules or make.unkind, **more), TODAY)


def test_a_good_schedule_has_nothing_to_say(make: Any) -> None:
    assert findings(make, make.slot()) == ()


@pytest.mark.parametrize(
    ("slot", "problem", "reason", "field"),
    [
        ({"zones": ()}, FindingKind.NO_ZONE, RejectReason.NO_AREA, "zones"),
        ({"zones": ("D", "X")}, FindingKind.UNKNOWN_ZONE, RejectReason.UNKNOWN_AREA, "zones"),
        ({"playlist": "none"}, FindingKind.UNKNOWN_PLAYLIST, RejectReason.NOT_FOUND, "playlist"),
        ({"playlist": "empty"}, FindingKind.PLAYLIST_EMPTY, RejectReason.MISSING, "playlist"),
        ({"playlist": "ghost"}, FindingKind.UNKNOWN_ITEM, RejectReason.NOT_FOUND, "playlist"),
        ({"playlist": "old"}, FindingKind.ITEM_EXPIRES, RejectReason.EXPIRED, "playlist"),
        ({"length": timedelta(minutes=9)}, FindingKind.TOO_LONG, RejectReason.TOO_LARGE, "length"),
        ({"length": timedelta(0)}, FindingKind.LENGTH, RejectReason.INVALID_VALUE, "length"),
        ({"length": timedelta(hours=25)}, FindingKind.LENGTH, RejectReason.INVALID_VALUE, "length"),
        ({"grace": timedelta(hours=1)}, FindingKind.LENGTH, RejectReason.INVALID_VALUE, "grace"),
        ({"volume": 0}, FindingKind.VOLUME, RejectReason.INVALID_VALUE, "volume"),
        ({"volume": 101}, FindingKind.VOLUME, RejectReason.INVALID_VALUE, "volume"),
        (
            {"recurrence": Recurrence(rule=Dates(dates=(date(2020, 1, 1),)))},
            FindingKind.RECURRENCE,
            None,
            "recurrence",
        ),
        (
            {"start": None, "recurrence": Recurrence(rule=Cron(expression="* * * * *"))},
            FindingKind.RECURRENCE,
            None,
            "recurrence.expression",
        ),
    ],
)
def test_a_bad_slot_is_refused_with_its_field(
    make: Any, slot: dict[str, Any], problem: FindingKind, reason: RejectReason | None, field: str
) -> None:
    found = findings(
        make,
        make.item("i"),
        make.item("gone", expires_on=date(2026, 11, 24)),
        make.playlist("p", "i"),
        make.playlist("empty"),
        make.playlist("ghost", "i", "no-such-item"),
        make.playlist("old", "gone"),
        make.slot(**slot),
    )
    assert (found[0].problem, found[0].refused, found[0].field) == (problem, True, f"slots.s.{field}")
    with pytest.raises(Rejected) as refused:
        refuse(found)
    assert refused.value.reason is (reason or RejectReason.INVALID_VALUE)
    assert str(refused.value.sentence)


def test_an_identifier_that_would_break_a_key_is_refused(make: Any) -> None:
    for bad in ("a/b", "", "x" * 65, "早", "a b"):
        assert findings(make, make.slot(bad))[0].problem is FindingKind.IDENTIFIER


def test_overlaps_are_saved_with_a_warning_that_says_who_wins(make: Any) -> None:
    found = findings(
        make,
        make.slot("town", authority=Authority.SUBDISTRICT, zones=("S1",)),
        make.slot("county", start=time(8, 5), zones=("A",)),
        make.slot("elsewhere", zones=("C",)),
    )
    assert [(f.problem, f.refused, f.slot_id) for f in found] == [(FindingKind.OVERLAP, False, "town")]
    assert str(found[0].sentence) == "“county” interrupts “town” on 2026-11-25: its authority is higher."
    refuse(found)  # nothing to refuse


def test_an_item_that_expires_before_it_plays_is_a_warning_as_long_as_others_are_left(make: Any) -> None:
    found = findings(
        make,
        make.item("i"),
        make.item("soon", 60, expires_on=date(2026, 11, 27)),
        make.slot(recurrence=Recurrence(rule=Daily(), first=date(2026, 11, 28))),
    )
    assert [(f.problem, f.refused) for f in found] == [(FindingKind.ITEM_EXPIRES, False)]
    assert "“soon” expires before it plays" in str(found[0].sentence)


def test_a_playlist_longer_than_its_slot_is_cut_where_that_was_chosen(make: Any) -> None:
    slot = make.slot(length=timedelta(minutes=15), overrun=Overrun.CUT)
    items = (make.item("a"), make.item("b"), make.item("c"))
    found = findings(make, *items, slot)
    assert (found[0].problem, found[0].refused) == (FindingKind.TOO_LONG, False)
    day = what_plays(make.circumstances(make.schedule(*items, slot)), "A", TODAY)
    assert [(s.item_id, s.ends_at - s.starts_at) for s in day.segments] == [
        ("a", timedelta(minutes=10)),
        ("b", timedelta(minutes=5)),
    ]
    assert [(h.item_id, h.held.value) for h in day.held] == [("c", "too_long")]


def test_a_slot_with_more_clips_than_a_speaker_keeps_is_silent_after_them_and_says_so(make: Any) -> None:
    slot = make.slot(length=timedelta(hours=8), fill=Fill.REPEAT)
    short, long_ = make.item("i", 120), make.item("i", 150)
    found = findings(make, short, slot)
    assert [(f.problem, f.refused) for f in found] == [(FindingKind.HELD, False)]
    assert "at most 200 items" in str(found[0].sentence)
    day = what_plays(make.circumstances(make.schedule(short, slot)), "A", TODAY)
    assert (len(day.segments), [(h.item_id, h.held.value) for h in day.held]) == (200, [("i", "too_many")])
    assert findings(make, long_, slot) == ()  # 192 of these fill it
    listed = [make.item(f"i{n}", 60) for n in range(202)]
    day = what_plays(make.circumstances(make.schedule(*listed, replace(slot, fill=Fill.ONCE))), "A", TODAY)
    assert [(h.item_id, h.held.value) for h in day.held] == [("i200", "too_many"), ("i201", "too_many")]


def test_what_kindness_would_hold_is_warned_of_when_it_is_saved(make: Any) -> None:
    found = findings(
        make,
        make.item("i"),
        make.slot("early", start=time(6, 30)),
        make.slot("again", start=time(8, 15)),
        make.slot("first"),
        rules=replace(DEFAULT, ceilings=()),
    )
    said = {(f.slot_id, f.problem): str(f.sentence) for f in found}
    assert said[("early", FindingKind.HELD)].endswith("in D and 5 other zones: Quiet hours.")
    assert "no-repeat window" in said[("again", FindingKind.HELD)]
    assert all(not f.refused for f in found)


def test_a_slot_beyond_the_coming_days_is_played_through_as_well(make: Any) -> None:
    quiet = Rules(quiet=(Quiet(start=time(8), end=time(9)),), ceilings=(), no_repeat=timedelta(), budget=1e9)
    slot = make.slot(recurrence=Recurrence(rule=Dates(dates=(date(2027, 6, 1),))))
    assert [f.problem for f in findings(make, slot, rules=quiet)] == [FindingKind.HELD]


def test_a_slot_on_working_days_says_which_years_are_not_announced(make: Any) -> None:
    found = findings(make, make.slot(recurrence=Recurrence(rule=CalendarDays(kind=DayKind.WORK))))
    assert [f.problem for f in found] == [FindingKind.CALENDAR]
    assert "2027" in str(found[0].sentence)


def test_shuffling_is_the_same_everywhere_another_one_each_day_and_without_repeats(make: Any) -> None:
    names = [f"i{n}" for n in range(8)]
    slot = make.slot(length=timedelta(hours=8), fill=Fill.REPEAT)
    schedule = make.schedule(
        *(make.item(n, 300) for n in names), make.playlist("p", *names, order=PlayOrder.SHUFFLED), slot
    )
    circumstances = make.circumstances(schedule)

    def order(when: date) -> list[str]:
        (occurrence,) = on_date(slot, when, circumstances.calendar, circumstances.tz)
        return [laid.clip.item_id for laid in lay_out(occurrence, slot, schedule).clips]

    played = order(TODAY)
    assert played == order(TODAY)
    assert len(played) == 96
    for n in range(0, 96, 8):
        assert sorted(played[n : n + 8]) == names
    assert all(a != b for a, b in pairwise(played))
    assert len({tuple(order(TODAY + timedelta(days=n))) for n in range(7)}) == 7


def test_a_playlist_of_next_to_nothing_does_not_fill_a_slot_thousands_of_times(make: Any) -> None:
    slot = make.slot(fill=Fill.REPEAT, length=timedelta(hours=24))
    schedule = make.schedule(make.item("click", 0.01), slot)
    assert len(what_plays(make.circumstances(schedule), "A", TODAY).segments) == 1
    schedule = make.schedule(make.item("click", 1), slot)
    day = what_plays(make.circumstances(schedule), "A", TODAY)
    assert len(day.segments) == MOST_CLIPS
    assert {piece.held for piece in day.held} == {Held.TOO_MANY}


def test_what_comes_after_the_last_clip_of_a_programme_is_said(make: Any) -> None:
    """A speaker refuses a programme of more clips as a whole: hours of silence that nobody was told of."""
    names = [f"i{n:03}" for n in range(MOST_CLIPS + 2)]
    slot = make.slot(length=timedelta(hours=4))
    items = [make.item(name, 60) for name in names]
    schedule = Schedule(
        slots={"s": slot}, playlists={"p": make.playlist("p", *names)}, items={item.id: item for item in items}
    )
    (message,) = messages(make.circumstances(schedule), TODAY)
    assert len(message.sent.clips) == MOST_CLIPS
    found = check(make.circumstances(schedule), TODAY)
    assert [(f.problem, f.refused) for f in found] == [(FindingKind.HELD, False)]
    assert "200" in str(found[0].sentence)


def test_the_published_timetables_play_as_published(make: Any) -> None:
    published = {
        "yuetang": {
            TODAY: ["07:30-08:00 town", "18:00-18:30 town"],
            date(2026, 11, 26): ["07:30-08:00 town", "12:00-12:30 county", "18:00-18:30 town"],
        },
        "fengjie": {
            TODAY: [
                "08:00-08:30 county",
                "08:35-09:10 town",
                "12:00-12:30 town",
                "16:00-16:30 town",
                "18:00-18:30 county",
            ]
        },
    }
    for place, days in published.items():
        slots = make.timetable(place)
        playlist_of = {slot.id: slot.playlist for slot in slots.values()}
        full = [replace(slot, fill=Fill.REPEAT) for slot in slots.values()]
        schedule = make.schedule(
            make.item("town", 300),
            make.item("county", 300),
            make.playlist("town", "town"),
            make.playlist("county", "county"),
            *full,
        )
        circumstances = make.circumstances(schedule, DEFAULT)
        assert check(circumstances, TODAY) == ()  # kind, without an overlap
        for when, expected in days.items():
            (group,) = day_of(circumstances, when)
            heard = {}
            for segment in group.day.segments:
                first, _last = heard.get(segment.occurrence, (segment.starts_at, None))
                heard[segment.occurrence] = (first, segment.ends_at)
            found = [
                f"{first.astimezone(make.tz):%H:%M}-{last.astimezone(make.tz):%H:%M} {playlist_of[key.split('/')[0]]}"
                for key, (first, last) in heard.items()
            ]
            assert found == expected
        authorities = {slot.playlist: slot.authority for slot in slots.values()}
        assert authorities == {"town": Authority.SUBDISTRICT, "county": Authority.DISTRICT}
