"""What plays when, and why not."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from broadcast_core.model import Authority, LateRule, Mode, ResumeRule, Zone, ZoneLevel
from scheduler.calendar import Calendar
from scheduler.day import Because, Circumstances, ModeSpan, ZoneDay
from scheduler.held import Held
from scheduler.kindness import Ceiling, Kindness, Quiet, Rules, ZoneKindness
from scheduler.model import DayKind, Fill, ItemKind, Schedule
from scheduler.sending import message_id
from scheduler.what_plays import day_of, messages, what_plays

DAY = date(2026, 11, 25)  # a Wednesday
TOWN, COUNTY = Authority.SUBDISTRICT, Authority.DISTRICT


def at(clock: str, day: date = DAY) -> datetime:
    """The instant of a time of day in Shanghai."""
    return datetime.combine(day, time.fromisoformat(clock), tzinfo=UTC) - timedelta(hours=8)


def sounds(day: ZoneDay) -> list[tuple[str, str, str]]:
    """(what, from, until) in Shanghai's time of day."""
    return [
        (s.item_id, f"{s.starts_at + timedelta(hours=8):%H:%M:%S}", f"{s.ends_at + timedelta(hours=8):%H:%M:%S}")
        for s in day.segments
    ]


def why_held(day: ZoneDay) -> list[tuple[str | None, Held]]:
    return [(h.item_id, h.held) for h in day.held]


def test_a_programme_plays_in_its_zones_and_nowhere_else(make: Any) -> None:
    schedule = make.schedule(
        make.item("chime", 6, kind=ItemKind.CHIME),
        make.item("news", 300),
        make.item("song", 180),
        make.playlist("p", "news", "song", gap=timedelta(seconds=2), chime="chime"),
        make.slot(zones=("S1",)),
    )
    circumstances = make.circumstances(schedule)
    expected = [
        ("chime", "08:00:00", "08:00:06"),
        ("news", "08:00:08", "08:05:08"),
        ("song", "08:05:10", "08:08:10"),
    ]
    for zone in ("S1", "A", "B"):
        day = what_plays(circumstances, zone, DAY)
        assert sounds(day) == expected
        assert day.held == ()
        assert {s.volume for s in day.segments} == {60}
    for zone in ("D", "S2", "C"):
        assert what_plays(circumstances, zone, DAY).segments == ()
    assert what_plays(circumstances, "A", DAY).at(at("08:05:09")) is None
    playing = what_plays(circumstances, "A", DAY).at(at("08:05:10"))
    assert playing is not None
    assert playing.item_id == "song"


def test_the_county_interrupts_the_town_which_goes_on_where_it_was(make: Any) -> None:
    schedule = make.schedule(
        make.item("town", 600),
        make.item("county", 120),
        make.playlist("t", "town"),
        make.playlist("c", "county"),
        make.slot("town", playlist="t", authority=TOWN),
        make.slot("county", playlist="c", start=time(8, 4), authority=COUNTY),
    )
    day = what_plays(make.circumstances(schedule), "A", DAY)
    assert sounds(day) == [
        ("town", "08:00:00", "08:04:00"),
        ("county", "08:04:00", "08:06:00"),
        ("town", "08:06:00", "08:12:00"),
    ]
    assert day.segments[2].position == timedelta(minutes=4)
    assert [(h.item_id, h.held, h.by) for h in day.held] == [("town", Held.OUTRANKED, "county/2026-11-25")]
    (conflict,) = day.conflicts
    assert (conflict.winner, conflict.loser) == ("county/2026-11-25", "town/2026-11-25")
    assert conflict.because is Because.AUTHORITY
    assert (conflict.starts_at, conflict.ends_at) == (at("08:04"), at("08:06"))


def _interrupted(make: Any, rule: ResumeRule) -> ZoneDay:
    schedule = make.schedule(
        make.item("one", 600, resume=rule),
        make.item("two", 300),
        make.item("county", 120),
        make.playlist("t", "one", "two"),
        make.playlist("c", "county"),
        make.slot("town", playlist="t", authority=TOWN),
        make.slot("county", playlist="c", start=time(8, 4), authority=COUNTY),
    )
    return what_plays(make.circumstances(schedule), "A", DAY)


def test_after_an_interruption_each_item_goes_on_by_its_own_rule(make: Any) -> None:
    after = {rule: sounds(_interrupted(make, rule))[2:] for rule in ResumeRule}
    assert after[ResumeRule.POSITION] == [("one", "08:06:00", "08:12:00"), ("two", "08:12:00", "08:17:00")]
    assert after[ResumeRule.START] == [("one", "08:06:00", "08:16:00"), ("two", "08:16:00", "08:21:00")]
    assert after[ResumeRule.SKIP] == [("two", "08:10:00", "08:15:00")]
    assert after[ResumeRule.LIVE] == [("one", "08:06:00", "08:10:00"), ("two", "08:10:00", "08:15:00")]
    live = _interrupted(make, ResumeRule.LIVE)
    assert live.segments[2].position == timedelta(minutes=6)
    assert ("one", Held.INTERRUPTED) in why_held(_interrupted(make, ResumeRule.SKIP))


def test_of_equals_the_one_that_began_first_keeps_the_zone_and_the_other_follows_its_late_rule(make: Any) -> None:
    def day(late: LateRule, grace: timedelta) -> ZoneDay:
        schedule = make.schedule(
            make.item("first", 1200),
            make.item("second", 1200),
            make.playlist("f", "first"),
            make.playlist("s", "second"),
            make.slot("first", playlist="f"),
            make.slot("second", playlist="s", start=time(8, 15), late=late, grace=grace),
        )
        return what_plays(make.circumstances(schedule), "A", DAY)

    joined = day(LateRule.JOIN, timedelta(minutes=1))
    assert sounds(joined) == [("first", "08:00:00", "08:20:00"), ("second", "08:20:00", "08:35:00")]
    assert joined.segments[1].position == timedelta(minutes=5)
    assert [c.because for c in joined.conflicts] == [Because.BEGAN_FIRST]
    skipped = day(LateRule.SKIP, timedelta(minutes=1))
    assert sounds(skipped) == [("first", "08:00:00", "08:20:00")]
    assert why_held(skipped) == [(None, Held.OUTRANKED), (None, Held.LATE)]
    in_grace = day(LateRule.SKIP, timedelta(minutes=5))
    assert sounds(in_grace)[1] == ("second", "08:20:00", "08:40:00")


def test_of_two_that_begin_together_the_smaller_identifier_on_the_wire_wins(make: Any) -> None:
    for names in (("a", "b"), ("a", "c"), ("a", "d"), ("a", "e")):  # of these, some are in the other order
        first, second = sorted((f"{name}/2026-11-25" for name in names), key=message_id)
        schedule = make.schedule(*(make.slot(name) for name in names))
        day = what_plays(make.circumstances(schedule), "A", DAY)
        assert [s.occurrence for s in day.segments] == [first]
        assert [(c.winner, c.loser, c.because) for c in day.conflicts] == [(first, second, Because.IDENTIFIER)]


def test_after_an_interruption_skip_goes_to_the_item_whose_own_time_is_still_to_come(make: Any) -> None:
    schedule = make.schedule(
        *(make.item(name, 300, resume=ResumeRule.SKIP) for name in ("one", "two", "three")),
        make.item("county", 240),
        make.playlist("t", "one", "two", "three"),
        make.playlist("c", "county"),
        make.slot("town", playlist="t", authority=TOWN),
        make.slot("county", playlist="c", authority=COUNTY, start=time(8, 4)),
    )
    assert sounds(what_plays(make.circumstances(schedule), "A", DAY)) == [
        ("one", "08:00:00", "08:04:00"),
        ("county", "08:04:00", "08:08:00"),
        ("three", "08:10:00", "08:15:00"),
    ]


def test_what_joins_in_a_gap_has_the_zone_before_it_sounds(make: Any) -> None:
    schedule = make.schedule(
        make.item("county", 360),
        make.item("one", 300),
        make.item("two", 300),
        make.item("other", 60),
        make.playlist("c", "county"),
        make.playlist("gap", "one", "two", gap=timedelta(minutes=5)),
        make.playlist("o", "other"),
        make.slot("county", playlist="c", authority=COUNTY),
        make.slot("joins", playlist="gap", authority=TOWN),
        make.slot("equal", playlist="o", authority=TOWN, start=time(8, 7), late=LateRule.SKIP),
    )
    day = what_plays(make.circumstances(schedule), "A", DAY)
    assert sounds(day) == [("county", "08:00:00", "08:06:00"), ("two", "08:10:00", "08:15:00")]
    waits = [h for h in day.held if h.slot_id == "equal"]
    assert [(h.held, h.by) for h in waits] == [(Held.OUTRANKED, "joins/2026-11-25")]


def test_what_delays_the_one_before_delays_the_one_after(make: Any) -> None:
    schedule = make.schedule(
        make.item("i", 600),
        make.item("short", 120),
        make.playlist("p", "i"),
        make.playlist("q", "short"),
        make.slot("county", authority=COUNTY, length=timedelta(minutes=10)),
        make.slot("town", authority=TOWN, start=time(8, 5), grace=timedelta(minutes=5)),
        make.slot("after", authority=TOWN, start=time(8, 16), playlist="q", grace=timedelta(minutes=5)),
    )
    assert sounds(what_plays(make.circumstances(schedule), "A", DAY)) == [
        ("i", "08:00:00", "08:10:00"),
        ("i", "08:10:00", "08:20:00"),
        ("short", "08:20:00", "08:22:00"),
    ]


def test_an_emergency_frees_no_budget_because_what_does_not_fit_was_never_sent(make: Any) -> None:
    rules = Rules(quiet=(), ceilings=(), no_repeat=timedelta(), budget=6.0)
    schedule = make.schedule(make.slot("morning"), make.slot("later", start=time(9)))
    modes = (ModeSpan(zone="A", mode=Mode.EMERGENCY, since=at("08:00"), until=at("08:45")),)
    circumstances = make.circumstances(schedule, rules, modes=modes)
    day = what_plays(circumstances, "A", DAY)
    assert day.segments == ()
    assert why_held(day) == [(None, Held.EMERGENCY_MODE), ("i", Held.BUDGET)]
    assert [m.sent.slot.id for m in messages(circumstances, DAY)] == ["morning"]


def test_an_emergency_mode_holds_publicity_and_afterwards_the_right_item_plays(make: Any) -> None:
    schedule = make.schedule(make.item("long", 1500), make.slot())
    modes = (
        ModeSpan(zone="S1", mode=Mode.EMERGENCY, since=at("08:05"), until=at("08:10")),
        ModeSpan(zone="B", mode=Mode.PEACETIME, since=at("00:00")),
    )
    circumstances = make.circumstances(schedule, modes=modes)
    assert sounds(what_plays(circumstances, "A", DAY)) == [
        ("long", "08:00:00", "08:05:00"),
        ("long", "08:10:00", "08:30:00"),
    ]
    assert why_held(what_plays(circumstances, "A", DAY)) == [("long", Held.EMERGENCY_MODE)]
    undisturbed = [("long", "08:00:00", "08:25:00")]
    assert sounds(what_plays(circumstances, "B", DAY)) == undisturbed  # its own mode, not its parent's
    assert sounds(what_plays(circumstances, "C", DAY)) == undisturbed


def test_an_emergency_without_an_end_holds_everything_after_it(make: Any) -> None:
    circumstances = make.circumstances(
        make.schedule(make.slot()), modes=(ModeSpan(zone="D", mode=Mode.EMERGENCY, since=at("07:00")),)
    )
    day = what_plays(circumstances, "A", DAY)
    assert day.segments == ()
    assert why_held(day) == [(None, Held.EMERGENCY_MODE)]


def test_the_clips_that_reach_into_quiet_hours_are_dropped(make: Any) -> None:
    quiet = Rules(quiet=(Quiet(start=time(21, 0), end=time(7, 0)),), ceilings=(), no_repeat=timedelta(), budget=1e9)
    schedule = make.schedule(
        make.item("one", 600),
        make.item("two", 600),
        make.item("three", 600),
        make.slot("evening", start=time(20, 45)),
        make.slot("morning", start=time(6, 45)),
        make.slot("night", start=time(23, 0)),
    )
    day = what_plays(make.circumstances(schedule, quiet), "A", DAY)
    assert sounds(day) == [("three", "07:05:00", "07:15:00"), ("one", "20:45:00", "20:55:00")]
    assert {h for _item, h in why_held(day)} == {Held.QUIET_HOURS}
    assert len(day.held) == 2 + 2 + 3
    ends = {sent.slot.id: sent.expires for sent in day.sent}
    assert ends["evening"] == at("21:00")  # what is interrupted may not play on into the night


def test_a_slot_that_begins_with_quiet_hours_plays_after_them(make: Any) -> None:
    quiet = Rules(quiet=(Quiet(start=time(8), end=time(8, 10)),), ceilings=(), no_repeat=timedelta(), budget=1e9)
    schedule = make.schedule(make.item("one", 600), make.item("two", 600), make.slot())
    assert sounds(what_plays(make.circumstances(schedule, quiet), "A", DAY)) == [("two", "08:10:00", "08:20:00")]


def test_where_clocks_are_put_back_it_is_quiet_until_the_second_time(make: Any) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    quiet = Rules(quiet=(Quiet(start=time(0), end=time(2, 30)),), ceilings=(), no_repeat=timedelta(), budget=1e9)
    slot = make.slot(start=time(2, 0), length=timedelta(hours=3), fill=Fill.REPEAT)
    circumstances = make.circumstances(make.schedule(make.item("i", 600), slot), quiet, tz=berlin)
    first = what_plays(circumstances, "A", date(2026, 10, 25)).segments[0]
    assert first.starts_at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 02:30, the second time


def test_quiet_hours_volume_and_budget_are_inherited_unless_a_zone_sets_its_own(make: Any) -> None:
    rules = Rules(
        quiet=(), ceilings=(Ceiling(start=time(8), end=time(9), volume=40),), no_repeat=timedelta(), budget=9
    )
    kindness = Kindness(
        default=rules,
        zones={
            "S1": ZoneKindness(quiet=(Quiet(start=time(8), end=time(9)),)),
            "B": ZoneKindness(quiet=(), ceilings=()),
        },
    )
    circumstances = make.circumstances(make.schedule(make.slot()), kindness=kindness)
    assert what_plays(circumstances, "A", DAY).segments == ()
    assert [s.volume for s in what_plays(circumstances, "B", DAY).segments] == [60]
    assert [s.volume for s in what_plays(circumstances, "C", DAY).segments] == [40]
    assert what_plays(circumstances, "C", DAY).spent == 10 * 0.4
    assert {(m.sent.volume, m.zones) for m in messages(circumstances, DAY)} == {
        (40, ("C", "D", "S2")),
        (60, ("B",)),
    }


def test_the_same_item_is_not_heard_again_within_the_window(make: Any) -> None:
    rules = Rules(quiet=(), ceilings=(), no_repeat=timedelta(minutes=30), budget=1e9)
    schedule = make.schedule(
        make.item("chime", 6, kind=ItemKind.CHIME),
        make.item("i", 300),
        make.playlist("p", "i", chime="chime"),
        make.slot("a", length=timedelta(minutes=10)),
        make.slot("b", start=time(8, 30), length=timedelta(minutes=10)),
        make.slot("c", start=time(9, 0), length=timedelta(minutes=10)),
    )
    day = what_plays(make.circumstances(schedule, rules), "A", DAY)
    assert [s.slot_id for s in day.segments] == ["a", "a", "c", "c"]
    assert why_held(day) == [("chime", Held.NO_REPEAT), ("i", Held.NO_REPEAT)]  # no chime before nothing


def test_a_slot_that_fills_itself_by_repeating_is_no_repeat(make: Any) -> None:
    rules = Rules(quiet=(), ceilings=(), no_repeat=timedelta(hours=2), budget=1e9)
    day = what_plays(make.circumstances(make.schedule(make.slot(fill=Fill.REPEAT)), rules), "A", DAY)
    assert len(day.segments) == 3


def test_when_the_budget_is_used_up_the_rest_is_held_and_the_higher_authority_has_its_share_first(make: Any) -> None:
    rules = Rules(quiet=(), ceilings=(), no_repeat=timedelta(), budget=12.0)
    schedule = make.schedule(
        make.item("i", 600),
        make.slot("town", authority=TOWN),
        make.slot("county", start=time(18), authority=COUNTY),
        make.slot("town-later", start=time(19), authority=TOWN),
    )
    day = what_plays(make.circumstances(schedule, rules), "A", DAY)
    assert [s.slot_id for s in day.segments] == ["town", "county"]  # 6 minutes each at volume 60
    assert why_held(day) == [("i", Held.BUDGET)]
    assert day.spent == 12.0


def test_an_expired_item_is_left_out_and_an_empty_playlist_is_said(make: Any) -> None:
    schedule = make.schedule(
        make.item("old", 60, expires_on=date(2026, 11, 24)),
        make.item("new", 60, expires_on=DAY),
        make.playlist("p", "old", "new"),
        make.playlist("q", "old"),
        make.slot("a"),
        make.slot("b", playlist="q", start=time(9)),
    )
    day = what_plays(make.circumstances(schedule), "A", DAY)
    assert [s.item_id for s in day.segments] == ["new"]
    assert why_held(day) == [
        ("old", Held.ITEM_EXPIRED),
        ("old", Held.ITEM_EXPIRED),
        (None, Held.PLAYLIST_EMPTY),
    ]


def test_what_reaches_over_midnight_is_in_both_days_and_begins_in_one(make: Any) -> None:
    schedule = make.schedule(
        make.item("i", 1800), make.slot(start=time(23, 45)), make.slot("late", start=time(0, 5), authority=TOWN)
    )
    circumstances = make.circumstances(schedule)
    tonight, tomorrow = (what_plays(circumstances, "A", DAY + timedelta(days=n)) for n in (0, 1))
    assert ("i", "23:45:00", "00:15:00") in sounds(tonight)
    assert tonight.segments[-1] == tomorrow.segments[0]
    assert [s.occurrence.key for s in tonight.sent] == ["s/2026-11-25", "late/2026-11-25"]
    # Joined at 00:15 in progress: it has lost the ten minutes that the other one took.
    assert sounds(tomorrow)[1] == ("i", "00:15:00", "00:35:00")


def test_a_disabled_slot_is_not_there(make: Any) -> None:
    assert what_plays(make.circumstances(make.schedule(make.slot(enabled=False))), "A", DAY) == ZoneDay(
        date=DAY, segments=(), held=(), conflicts=(), sent=(), spent=0.0
    )


times = st.times().map(lambda t: t.replace(second=0, microsecond=0, fold=0))
kinds = st.sampled_from([None, DayKind.WORK, DayKind.REST])
windows = st.builds(Quiet, start=times, end=times, on=kinds)
zones_of_the_world = st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"])
dates = st.dates(date(2026, 1, 1), date(2026, 12, 31)) | st.sampled_from(
    [date(2026, 3, 29), date(2026, 10, 25), date(2018, 11, 4), date(2026, 4, 5), date(2026, 10, 4), date(2028, 2, 29)]
)


@st.composite
def circumstances_of_any_kind(draw: st.DrawFn, make: Any) -> Circumstances:
    rules = list(ResumeRule)
    items = [make.item(f"i{n}", draw(st.integers(1, 3000)), resume=draw(st.sampled_from(rules))) for n in range(3)]
    slots = [
        make.slot(
            f"s{n}",
            start=draw(times),
            length=timedelta(minutes=draw(st.integers(1, 24 * 60))),
            authority=draw(st.sampled_from([TOWN, COUNTY])),
            fill=draw(st.sampled_from(Fill)),
            late=draw(st.sampled_from(LateRule)),
            zones=(draw(st.sampled_from(["D", "S1", "A"])),),
        )
        for n in range(draw(st.integers(1, 4)))
    ]
    rules_ = Rules(
        quiet=tuple(draw(st.lists(windows, max_size=3))),
        ceilings=(Ceiling(start=draw(times), end=draw(times), volume=20),),
        no_repeat=timedelta(minutes=draw(st.integers(0, 200))),
        budget=draw(st.floats(0, 500)),
    )
    day = draw(dates)
    began = datetime.combine(day, draw(times), tzinfo=UTC)
    modes = (
        ModeSpan(
            zone="S1", mode=Mode.EMERGENCY, since=began, until=began + timedelta(minutes=draw(st.integers(0, 900)))
        ),
    )
    return make.circumstances(
        make.schedule(*items, *slots), rules_, tz=ZoneInfo(draw(zones_of_the_world)), modes=modes
    )


def _is_quiet(instant: datetime, circumstances: Circumstances) -> bool:
    """By the clock on the wall, without the code under test."""
    local = instant.astimezone(circumstances.tz)
    clock, kind = local.time().replace(fold=0), Calendar().kind(local.date())
    return any(
        (quiet.on is None or quiet.on is kind)
        and (
            quiet.start <= clock < quiet.end if quiet.start < quiet.end else clock >= quiet.start or clock < quiet.end
        )
        for quiet in circumstances.kindness.default.quiet
    )


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_whatever_is_scheduled_nothing_sounds_in_quiet_hours_in_an_emergency_twice_or_beyond_the_budget(
    make: Any, data: st.DataObject
) -> None:
    circumstances = data.draw(circumstances_of_any_kind(make))
    day = what_plays(circumstances, "A", data.draw(dates))
    (mode,) = circumstances.modes
    assert mode.until is not None
    for segment in day.segments:
        assert segment.starts_at < segment.ends_at
        instant = segment.starts_at
        while instant < segment.ends_at:
            assert not _is_quiet(instant, circumstances), segment
            instant += timedelta(minutes=1)
        assert not _is_quiet(segment.ends_at - timedelta(microseconds=1), circumstances), segment
        # Half-open on both sides: a mode of no length at all holds nothing.
        assert max(segment.starts_at, mode.since) >= min(segment.ends_at, mode.until), segment
    for earlier, later in zip(day.segments, day.segments[1:], strict=False):
        assert earlier.ends_at <= later.starts_at
    assert day.spent <= circumstances.kindness.default.budget
    for sent in day.sent:
        for clip in sent.clips:
            assert not _is_quiet(sent.occurrence.starts_at + clip.offset, circumstances)
            last = min(sent.occurrence.starts_at + clip.offset + clip.audio.duration, sent.expires)
            assert not _is_quiet(last - timedelta(microseconds=1), circumstances)
    assert what_plays(circumstances, "A", day.date) == day


def _district(make: Any, communities: int) -> Circumstances:
    zones = {"D": Zone(code="D", parent=None, level=ZoneLevel.DISTRICT, name_zh="D", name_en="D")}
    for n in range(14):
        zones[f"S{n}"] = Zone(code=f"S{n}", parent="D", level=ZoneLevel.SUBDISTRICT, name_zh="S", name_en="S")
    for n in range(communities):
        zones[f"C{n}"] = Zone(code=f"C{n}", parent=f"S{n % 14}", level=ZoneLevel.COMMUNITY, name_zh="C", name_en="C")
    items = [make.item(f"i{n}", 180) for n in range(10)]
    slots = [make.slot(f"s{hour}", start=time(hour)) for hour in range(7, 21)]
    own = [make.slot(f"own{n}", start=time(10, 30), zones=(f"S{n}",), authority=TOWN) for n in range(14)]
    schedule = make.schedule(*items, make.playlist("p", *(i.id for i in items)), *slots, *own)
    return make.circumstances(schedule, zones=zones)


def test_communities_with_the_same_inputs_share_one_day(make: Any) -> None:
    circumstances = _district(make, 734)
    groups = day_of(circumstances, DAY)
    assert len(groups) == 1 + 14  # the district's own zone, and each subdistrict with its communities
    assert sum(len(group.zones) for group in groups) == 1 + 14 + 734
    assert len(messages(circumstances, DAY)) == 14 + 14


def test_an_empty_schedule_is_a_silent_day(make: Any) -> None:
    (group,) = day_of(make.circumstances(Schedule()), DAY)
    assert group.day.segments == ()
    assert len(group.zones) == 6
