"""What should be on the speakers gets there, once, whatever happens in between."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.library import User
from broadcast_core.model import LateRule, MessageKind, Mode, Progress, SoundClass, Start, Stop
from broadcast_core.store.schema import occurrence
from scheduler.calendar import CalendarEdit
from scheduler.model import CalendarDays, Cron, DayKind, Overrun, Recurrence
from scheduler.runner import MOST_AHEAD
from scheduler.sending import message_id
from scheduler.shelf import Users

EVERYBODY = {"SPK-N0", "SPK-N1", "SPK-N2", "SPK-S0", "SPK-S1"}


async def occurrences(day: Any) -> list[tuple[str, int, str]]:
    async with day.store.read() as connection:
        o = occurrence.c
        return [tuple(row) for row in await connection.execute(select(o.key, o.revision, o.outcome))]


async def test_the_next_day_is_sent_ahead_once(day: Any, make: Any) -> None:
    await day.desk.put_slot(make.slot("s", zones=("D",)), actor="publicity")
    for _ in range(3):
        await day.look()
    await day.until(lambda: len(day.speakers.orders(Start)) == 5)
    sent = day.sent()
    assert set(sent) == EVERYBODY
    (start,) = sent["SPK-N0"]
    assert start.starts_at == datetime(2026, 3, 4, 0, 0, tzinfo=UTC)  # 08:00 in Shanghai
    assert start.standing.sound_class is SoundClass.PUBLICITY
    assert [(c.item_id, c.offset) for c in start.content.clips] == [
        ("i1", timedelta()),
        ("i2", timedelta(minutes=10)),
    ]
    assert {d.via for d in day.speakers.orders(Start)} == {"D"}  # one message for the whole district
    (live,) = day.live
    assert live.kind is MessageKind.SLOT


async def test_tomorrows_comes_when_it_is_near(day: Any, make: Any) -> None:
    await day.desk.put_slot(make.slot("s"), actor="publicity")
    await day.look()
    day.moved.moved += timedelta(days=1)
    await day.look()
    await day.until(lambda: len(day.sent()["SPK-N0"]) == 2)
    assert [s.starts_at.day for s in day.sent()["SPK-N0"]] == [4, 5]


async def test_twenty_restarts_send_nothing_again(day: Any, make: Any) -> None:
    await day.desk.put_slot(make.slot("s"), actor="publicity")
    await day.look()
    for _ in range(20):
        await day.crash()
        await day.begin()
        await day.look()
    assert await occurrences(day) == [("s/2026-03-04", 1, "sent")]
    # A restart may hand over again what was claimed and not proven; it is the same message, and a speaker drops it.
    assert {(s.alert_id, s.revision) for starts in day.sent().values() for s in starts} == {
        (message_id("s/2026-03-04"), 1)
    }


async def test_an_edit_replaces_by_a_higher_revision(day: Any, make: Any) -> None:
    await day.desk.put_slot(make.slot("s", volume=60), actor="publicity")
    await day.look()
    await day.desk.put_slot(make.slot("s", volume=40), actor="publicity")
    await day.look()
    await day.until(lambda: len(day.sent()["SPK-N0"]) == 2)
    assert [(s.revision, s.volume) for s in day.sent()["SPK-N0"]] == [(1, 60), (2, 40)]


async def test_a_slot_for_fewer_zones_is_taken_back_from_the_others_only(day: Any, make: Any) -> None:
    day.speakers.answers = (Progress.SENT, Progress.RECEIVED)
    await day.desk.put_slot(make.slot("s", zones=("D",)), actor="publicity")
    await day.look()
    await day.until(lambda: len(day.speakers.orders(Start)) == 5)
    await day.desk.put_slot(make.slot("s", zones=("N",)), actor="publicity")
    await day.look()
    await day.until(lambda: len(day.speakers.orders(Stop)) == 2)
    assert {d.endpoint.id for d in day.speakers.orders(Stop)} == {"SPK-S0", "SPK-S1"}
    assert {d.via for d in day.speakers.orders(Stop)} == {None}  # the district's topic would silence everybody
    assert set(day.live.told(message_id("s/2026-03-04"))) == {"SPK-N0", "SPK-N1", "SPK-N2"}
    held = {e: day.live.starts_for(day.intake.registry.endpoints[e], day.clock.now()) for e in ("SPK-N0", "SPK-S0")}
    assert (len(held["SPK-N0"]), len(held["SPK-S0"])) == (1, 0)
    await day.look()
    assert len(day.speakers.orders(Start)) == 5
    await day.desk.put_slot(make.slot("s", zones=("D",)), actor="publicity")
    await day.look()
    await day.until(lambda: len(day.speakers.orders(Start)) == 7)
    assert {d.endpoint.id for d in day.speakers.orders(Start)[5:]} == {"SPK-S0", "SPK-S1"}
    assert {d.order.revision for d in day.speakers.orders(Start)[5:]} == {2}


async def test_a_removed_slot_is_taken_back(day: Any, make: Any) -> None:
    day.speakers.answers = (Progress.SENT, Progress.RECEIVED)
    await day.desk.put_slot(make.slot("s"), actor="publicity")
    await day.look()
    await day.desk.remove_slot("s", actor="publicity")
    await day.look()
    await day.until(lambda: len(day.speakers.orders(Stop)) == 5)


async def test_an_item_is_needed_until_it_is_taken_back(day: Any, make: Any) -> None:
    async def users() -> list[User]:
        async with day.store.read() as connection:
            return [u for u in await Users(day.clock).of(connection, "i1") if u.kind == "occurrence"]

    day.speakers.answers = (Progress.SENT, Progress.RECEIVED)
    await day.desk.put_slot(make.slot("s"), actor="publicity")
    await day.look()
    (needs,) = await users()
    assert needs.name == make.slot("s").name
    await day.desk.remove_slot("s", actor="publicity")
    await day.look()
    assert await users() == []


async def test_a_holiday_declared_while_it_is_queued_takes_it_back(day: Any, make: Any) -> None:
    day.speakers.answers = (Progress.SENT, Progress.RECEIVED)
    work = Recurrence(rule=CalendarDays(kind=DayKind.WORK))
    await day.desk.put_slot(make.slot("s", recurrence=work), actor="publicity")
    await day.look()
    await day.until(lambda: len(day.speakers.orders(Start)) == 5)
    when = date(2026, 3, 4)
    await day.desk.put_day(when, CalendarEdit(date=when, kind=DayKind.REST, name="测试"), actor="admin")
    await day.look()
    await day.until(lambda: len(day.speakers.orders(Stop)) == 5)
    await day.desk.put_day(when, None, actor="admin")  # a mistake
    await day.look()
    await day.until(lambda: len(day.speakers.orders(Start)) == 10)
    assert {s.revision for starts in day.sent().values() for s in starts[1:]} == {2}


@pytest.mark.parametrize(("late", "sent"), [(LateRule.JOIN, 5), (LateRule.SKIP, 0)])
async def test_what_was_missed_is_joined_or_skipped_by_its_rule(
    day: Any, make: Any, late: LateRule, sent: int
) -> None:
    await day.desk.put_slot(make.slot("s", late=late), actor="publicity")
    day.moved.moved += timedelta(hours=3, minutes=10)  # the core was away: it is 08:10
    await day.crash()
    await day.begin()
    for _ in range(2):
        await day.look()
    today = [s for starts in day.sent().values() for s in starts if s.starts_at.day == 4]
    assert len(today) == sent
    outcome = "sent" if sent else "skipped"
    assert ("s/2026-03-04", 1 if sent else 0, outcome) in await occurrences(day)
    if not sent:
        await day.crash()
        await day.begin()
        await day.look()
        assert [row[2] for row in await occurrences(day) if row[0] == "s/2026-03-04"] == ["skipped"]


async def test_what_is_over_is_not_sent(day: Any, make: Any) -> None:
    await day.desk.put_slot(make.slot("s"), actor="publicity")
    day.moved.moved += timedelta(hours=3, minutes=31)
    await day.look()
    assert [s.starts_at.day for starts in day.sent().values() for s in starts] == [5] * 5


@pytest.mark.parametrize("step", [timedelta(hours=2), timedelta(hours=-2)])
async def test_a_clock_that_steps_starts_nothing_twice(day: Any, make: Any, step: timedelta) -> None:
    await day.desk.put_slot(make.slot("s", start=time(8, 0)), actor="publicity")
    await day.look()
    for _ in range(3):
        day.moved.moved += step
        await day.look()
        day.moved.moved -= step
        await day.look()
    assert [row[:2] for row in await occurrences(day) if row[0] == "s/2026-03-04"] == [("s/2026-03-04", 1)]


async def test_the_schedule_is_locked_where_there_is_an_emergency(day: Any, make: Any) -> None:
    await day.desk.put_slot(make.slot("s", zones=("D",)), actor="publicity")
    await day.modes.set(["N1"], Mode.EMERGENCY, actor="duty", reason="flood")
    for act in (
        day.desk.put_slot(make.slot("s", volume=1), actor="publicity"),
        day.desk.put_slot(make.slot("t", zones=("N1",), start=time(9)), actor="publicity"),
        day.desk.remove_slot("s", actor="publicity"),
        day.desk.put_playlist(make.playlist("p", "i1"), actor="publicity"),
    ):
        with pytest.raises(Rejected) as refused:
            await act
        assert refused.value.reason is RejectReason.LOCKED
    await day.desk.put_slot(make.slot("t", zones=("S",), start=time(9)), actor="publicity")  # elsewhere life goes on


async def test_a_mode_is_the_speakers_own_business_and_sends_nothing_again(day: Any, make: Any) -> None:
    await day.desk.put_slot(make.slot("s"), actor="publicity")
    await day.look()
    await day.modes.set(["N1"], Mode.EMERGENCY, actor="duty", reason="flood")
    await day.look()
    await day.modes.clear("N1", actor="duty", reason="over")
    await day.look()
    assert [row[1] for row in await occurrences(day)] == [1]
    assert day.speakers.orders(Stop) == []


async def test_an_alert_does_not_wait_for_publicity_that_is_on_its_way(day: Any, make: Any) -> None:
    await day.desk.put_slot(make.slot("s"), actor="publicity")
    day.speakers.hangs = asyncio.Event()  # whatever is sent now hangs in the channel
    await day.look()
    await day.until(lambda: day.live.told(message_id("s/2026-03-04")) != {})
    await asyncio.sleep(0.1)  # it has been taken up
    hanging, day.speakers.hangs = day.speakers.hangs, None
    accepted = await day.intake.submit(day.alert("N"), actor="duty")
    await day.until(lambda: {d.order.alert_id for d in day.speakers.orders(Start)} == {accepted.alert_id})
    hanging.set()
    await day.until(lambda: len(day.sent().get("SPK-S0", ())) == 1)


async def test_speakers_are_told_no_more_than_they_can_hold_and_the_rest_in_its_time(day: Any, make: Any) -> None:
    """Every half hour of two slots is 96 a day."""
    for name, minutes in (("a", "5,35"), ("b", "20,50")):
        slot = make.slot(
            name,
            start=None,
            recurrence=Recurrence(rule=Cron(expression=f"{minutes} * * * *")),
            length=timedelta(minutes=10),
            overrun=Overrun.CUT,
        )
        await day.desk.put_slot(slot, actor="publicity")
    await day.look()
    sent = day.sent()["SPK-N0"]
    assert len(sent) == MOST_AHEAD
    last = max(start.starts_at for start in sent)
    day.moved.moved += timedelta(hours=1)
    await day.look()
    later = [start.starts_at for start in day.sent()["SPK-N0"][MOST_AHEAD:]]
    assert len(later) == 4
    assert min(later) > last
    assert day.speakers.orders(Stop) == []  # nothing is taken back for it
