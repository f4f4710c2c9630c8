"""What the preview says sounds is, to the millisecond, what a speaker plays of what the runner sends it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from broadcast_core.clock import to_ms
from broadcast_core.model import Authority, LateRule, Mode, ResumeRule, Zone, ZoneLevel
from broadcast_core.player import Event, Item, ModeSet, Programme, Stretch, in_store, item_of, timeline
from scheduler.day import Circumstances, ModeSpan, Segment
from scheduler.held import Held
from scheduler.kindness import Kindness, Quiet, Rules
from scheduler.model import Fill, Overrun, Playlist, Schedule, Slot
from scheduler.sending import message_id, start_of
from scheduler.what_plays import messages, what_plays

DAY = date(2026, 11, 25)
EIGHT = datetime(2026, 11, 25, 0, 0, tzinfo=UTC)  # in Shanghai
END = to_ms(EIGHT + timedelta(hours=6))
ZONES = {"A": Zone(code="A", parent=None, level=ZoneLevel.COMMUNITY, name_zh="A", name_en="A")}

minutes = st.integers(0, 40).map(lambda n: timedelta(minutes=n))
# Round numbers, so that things meet; and odd ones.
lengths = st.sampled_from([60, 120, 300, 600]) | st.integers(1, 900_000).map(lambda ms: ms / 1000)
UNKIND = Rules(quiet=(), ceilings=(), no_repeat=timedelta(), budget=1e9)
kindnesses = st.builds(
    Rules,
    quiet=st.lists(
        st.builds(Quiet, start=st.integers(0, 59).map(lambda m: time(8, m)), end=st.just(time(9))), max_size=1
    ).map(tuple),
    ceilings=st.just(()),
    no_repeat=minutes,
    budget=st.floats(0, 40),
)


@st.composite
def slots(draw: st.DrawFn, make: Any, name: str, items: list[str]) -> tuple[Slot, Playlist]:
    """A slot with a playlist of its own, somewhere in three quarters of an hour."""
    listed = draw(st.lists(st.sampled_from(items), min_size=1, max_size=4))
    gap = draw(st.sampled_from([timedelta(), timedelta(minutes=1), timedelta(minutes=5), timedelta(seconds=7.5)]))
    slot = make.slot(
        name,
        zones=("A",),
        start=time(8, draw(st.integers(0, 45))),
        length=timedelta(minutes=draw(st.integers(1, 60))),
        playlist=name,
        authority=draw(st.sampled_from([Authority.SUBDISTRICT, Authority.DISTRICT, Authority.CITY])),
        late=draw(st.sampled_from(LateRule)),
        grace=draw(
            st.sampled_from([timedelta(), timedelta(seconds=90), timedelta(minutes=5), timedelta(minutes=20)])
        ),
        fill=draw(st.sampled_from(Fill)),
        overrun=draw(st.sampled_from(Overrun)),
    )
    return slot, make.playlist(name, *listed, gap=gap)


@st.composite
def a_morning(draw: st.DrawFn, make: Any, rules: st.SearchStrategy[Rules]) -> Circumstances:
    parts: list[Any] = [
        make.item(f"i{n}", draw(lengths), resume=rule) for n, rule in enumerate((*ResumeRule, *ResumeRule))
    ]
    items = [item.id for item in parts]
    for name in "abcd"[: draw(st.integers(1, 4))]:
        parts += draw(slots(make, name, items))
    modes = []
    for _n in range(draw(st.integers(0, 3))):
        since = EIGHT + draw(minutes)
        modes.append(ModeSpan(zone="A", mode=Mode.EMERGENCY, since=since, until=since + draw(minutes)))
    schedule: Schedule = make.schedule(*parts)
    return make.circumstances(schedule, zones=ZONES, modes=tuple(modes), kindness=Kindness(default=draw(rules)))


def played(circumstances: Circumstances) -> list[Stretch]:
    """What a speaker in zone A plays of the messages that the runner sends, with the zone's emergencies."""
    sents = [message.sent for message in messages(circumstances, DAY)]
    items = [item_of(start_of(message_id(sent.occurrence.key), 1, sent)) for sent in sents]
    events: list[Event] = in_store(items, _lengths(items), to_ms(EIGHT) - 1)
    for at, change in _changes(circumstances):
        events.append(ModeSet(at, Mode.EMERGENCY if change else Mode.PEACETIME))
    return [stretch for stretch in timeline(events, until=END).stretches if stretch.sound is not None]


def _lengths(items: list[Item]) -> dict[str, int]:
    return {
        clip.sha256: clip.ms for item in items if isinstance(item.content, Programme) for clip in item.content.clips
    }


def _changes(circumstances: Circumstances) -> list[tuple[int, bool]]:
    """When an emergency begins or ends, whatever overlaps; two that meet are one."""
    spans = [(to_ms(span.since), to_ms(span.until)) for span in circumstances.modes if span.until is not None]
    at = sorted({instant for span in spans for instant in span})
    return [(instant, any(since <= instant < until for since, until in spans)) for instant in at]


def as_heard(stretch: Stretch) -> tuple[str, str, int, int, int]:
    assert stretch.sound is not None
    sound = stretch.sound
    return sound.identifier, sound.item_id, stretch.began, stretch.ended, sound.position_ms


def as_previewed(segment: Segment) -> tuple[str, str, int, int, int]:
    position = segment.position // timedelta(milliseconds=1)
    return (
        message_id(segment.occurrence),
        segment.item_id,
        to_ms(segment.starts_at),
        to_ms(segment.ends_at),
        position,
    )


def agree(circumstances: Circumstances) -> None:
    day = what_plays(circumstances, "A", DAY)
    assert [as_previewed(segment) for segment in day.segments] == [as_heard(s) for s in played(circumstances)]
    waiting = [held for held in day.held if held.held in (Held.OUTRANKED, Held.EMERGENCY_MODE, Held.INTERRUPTED)]
    for held in waiting:
        assert held.starts_at < held.ends_at
        for segment in day.segments:
            if segment.occurrence == held.occurrence:
                assert segment.ends_at <= held.starts_at or held.ends_at <= segment.starts_at, (segment, held)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_the_preview_and_the_player_agree_to_the_millisecond(make: Any, data: st.DataObject) -> None:
    agree(data.draw(a_morning(make, st.just(UNKIND))))


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_they_agree_about_what_kindness_leaves(make: Any, data: st.DataObject) -> None:
    agree(data.draw(a_morning(make, kindnesses)))
