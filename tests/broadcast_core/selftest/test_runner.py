"""The night as the runner does it: store, outbox and dispatch are real, the field is in memory, the clock moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from broadcast_core.clock import SystemClock
from broadcast_core.config import AudibleTest, SelfTests
from broadcast_core.errors import NotFound, Rejected, RejectReason
from broadcast_core.model import (
    SPEAKER_PARTS,
    AudioRef,
    Channel,
    DeliveryKind,
    MessageKind,
    Mode,
    Progress,
    SelfTest,
    SoundClass,
    Start,
)
from broadcast_core.selftest import SelfTestDesk, SelfTestRunner
from broadcast_core.selftest.book import Book
from broadcast_core.selftest.rows import Outcome
from broadcast_core.store import Store
from scheduler.calendar import Calendar
from scheduler.kindness import DEFAULT, Kindness
from tests.broadcast_core.intake.conftest import Site

SHANGHAI = ZoneInfo("Asia/Shanghai")
FILE = AudioRef(sha256="0" * 64, url="http://x/y", mime_type="audio/wav", size=1, duration=timedelta(seconds=1))
SPEAKERS = {"SPK-N0", "SPK-N1", "SPK-N2", "SPK-S0", "SPK-S1"}
ANSWERED = (Progress.SENT, Progress.RECEIVED, Progress.FINISHED)


class MovedClock(SystemClock):
    def __init__(self, starts_at: datetime) -> None:
        self.moved = starts_at - super().now()
        self.quicker = 0.0

    def now(self) -> datetime:
        return super().now() + self.moved

    def monotonic(self) -> float:
        return super().monotonic() + self.quicker

    def go_on(self, by: timedelta) -> None:
        self.moved += by
        self.quicker += by.total_seconds()


class Around:
    kindness = Kindness(default=DEFAULT)
    calendar = Calendar({})
    tz = SHANGHAI


class Night(Site):
    """A small district in which it is night. `begin` after `crash` is a restart."""

    def __init__(self, store: Store, folder: Path, starts_at: datetime, settings: SelfTests) -> None:
        super().__init__(store, folder, emergency_levels=())
        self.clock = self.moved = MovedClock(starts_at)
        self.tests = settings

    async def begin(self) -> None:
        await self.start()
        registry = self.intake.registry
        book = Book()
        await book.load(self.store, self.clock.now())
        self.desk = SelfTestDesk(
            book, settings=self.tests, store=self.store, live=self.live, registry=lambda: registry,
            modes=lambda: self.modes.modes, circumstances=Around, clock=self.clock,
        )  # fmt: skip
        self.runner = SelfTestRunner(
            self.desk, direct=self.direct, live=self.live, registry=lambda: registry, circumstances=Around,
            file=FILE, clock=self.clock,
        )  # fmt: skip

    async def look(self, by: timedelta = timedelta()) -> None:
        """Some time later: one look of the runner, and everything said by then made durable."""
        self.moved.go_on(by)
        await self.runner.step()
        await self.until(self._all_have_answered)
        for line in self.dispatch.lines.values():
            await line.settled()

    def _all_have_answered(self) -> bool:
        tests = [live for live in self.live if live.kind is MessageKind.TEST]
        said = max(self.speakers.answers, default=Progress.QUEUED)
        return all(entry.progress >= said for live in tests for entry in live.deliveries.values())

    def told(self) -> list[str]:
        """Who was told to prove itself, in order."""
        return [d.endpoint.id for d in self.speakers.orders(SelfTest)]


@pytest.fixture
async def night(tmp_path: Path) -> AsyncIterator[Any]:
    """`await night(hour, **settings)`: a site at that hour in Shanghai."""
    made: list[Night] = []
    async with Store(f"sqlite+aiosqlite:///{tmp_path / 'night.db'}") as store:

        async def make(hour: int, **settings: Any) -> Night:
            starts_at = datetime(2026, 3, 5, hour, tzinfo=SHANGHAI).astimezone(UTC)
            site = Night(store, tmp_path, starts_at, SelfTests(**settings))
            site.speakers.answers = ANSWERED
            await site.begin()
            made.append(site)
            return site

        yield make
        for site in made:
            await site.express.drain()
            await site.crash()


async def through(site: Night, hours: float) -> None:
    for _ in range(int(hours * 12)):
        await site.look(timedelta(minutes=5))


async def test_in_one_night_everybody_is_tested_once_and_alone(night: Any) -> None:
    site = await night(1)
    await through(site, 4.2)
    assert sorted(site.told()) == sorted(SPEAKERS)
    tests = site.speakers.orders(SelfTest)
    assert all(d.via is None for d in tests)  # never on a zone's topic
    assert all(d.order.parts == SPEAKER_PARTS for d in tests)
    assert site.speakers.orders(Start) == []
    assert set(site.desk.book.proven) == SPEAKERS
    fresh = site.desk.freshness()
    assert sum(f.endpoints for f in fresh.values()) == sum(f.proven_day for f in fresh.values()) == 5
    await site.look(timedelta(days=3))
    assert sum(f.proven_day for f in site.desk.freshness().values()) == 0
    assert sum(f.proven_week for f in site.desk.freshness().values()) == 5


async def test_by_day_nobody_is_tested(night: Any) -> None:
    site = await night(8)
    await through(site, 2)
    assert site.told() == []


async def test_a_restart_in_the_night_goes_on_and_tests_nobody_twice(night: Any) -> None:
    site = await night(1)
    while len(site.told()) < 2:
        await site.look(timedelta(minutes=5))
    before = len(site.told())
    await site.crash()
    await site.begin()
    await through(site, 4.2)
    assert before < len(site.told()) or before == len(SPEAKERS)
    assert sorted(site.told()) == sorted(SPEAKERS)
    assert set(site.desk.book.proven) == SPEAKERS


async def test_while_an_alert_is_live_nothing_is_sent_and_afterwards_it_goes_on(night: Any) -> None:
    site = await night(1)
    site.speakers.answers = (Progress.SENT, Progress.RECEIVED)
    accepted = await site.intake.submit(site.alert("N", lifetime=timedelta(hours=2)), actor="duty")
    await through(site, 1)
    assert site.told() == []
    assert site.desk.held_by().alert_id == accepted.alert_id
    await site.express.stop(accepted.alert_id, actor="duty")
    site.speakers.answers = ANSWERED
    await through(site, 3.2)
    assert sorted(site.told()) == sorted(SPEAKERS)


async def test_a_turn_that_does_not_come_is_missed_and_proves_nothing(night: Any) -> None:
    site = await night(1)
    site.speakers.answers = (Progress.SENT, Progress.RECEIVED)
    await site.intake.submit(site.alert("D", lifetime=timedelta(hours=6)), actor="duty")
    await through(site, 4.2)
    assert site.told() == []
    assert site.desk.book.open == {}
    assert site.desk.book.proven == {}
    assert all(f.never == f.endpoints for f in site.desk.freshness().values())


async def test_not_more_than_so_many_at_a_time(night: Any) -> None:
    site = await night(1, most_at_once=2, every_s=60)
    await site.desk.run((), None, actor="technician")
    await site.look()
    assert len(site.told()) == 2
    await site.look(timedelta(seconds=30))
    assert len(site.told()) == 3
    await site.look(timedelta(seconds=60))
    assert len(site.told()) == 5


async def test_no_answer_is_no_proof_and_a_late_one_is(night: Any) -> None:
    site = await night(8, answer_within_s=2.0)
    site.speakers.answers = (Progress.SENT,)
    await site.desk.run(["SPK-N0"], None, actor="technician")
    await site.look()
    told = site.speakers.orders(SelfTest)[0]
    site.speakers.answers = ()
    await site.until(lambda: site.live.get(told.order.alert_id, 1).complete)
    await site.look()
    assert site.desk.book.latest["SPK-N0"].outcome is Outcome.UNANSWERED
    site.speakers.say(told, Progress.FINISHED)
    await site.until(
        lambda: (
            site.live.get(told.order.alert_id, 1).tally[Channel.SPEAKER, DeliveryKind.START, Progress.FINISHED] == 1
        )
    )
    await site.look(timedelta(minutes=2))
    assert site.desk.book.latest["SPK-N0"].outcome is Outcome.PROVEN
    assert "SPK-N0" in site.desk.book.proven


async def test_audible_tests_are_refused_where_they_would_be_unkind(night: Any) -> None:
    site = await night(10)
    for names, zone, reason in (
        ((), "D", RejectReason.INVALID_VALUE),
        ((), None, RejectReason.MISSING),
        (("SPK-N0",), "N", RejectReason.MISSING),
        (("SMS-N",), None, RejectReason.UNKNOWN_CHANNEL),
    ):
        with pytest.raises(Rejected) as refused:
            await site.desk.audible(names, zone, volume=40, actor="technician")
        assert refused.value.reason is reason
    with pytest.raises(NotFound):
        await site.desk.audible(("SPK-9",), None, volume=40, actor="technician")
    await site.modes.set(["N"], Mode.EMERGENCY, actor="duty", reason="flood")
    with pytest.raises(Rejected) as refused:
        await site.desk.audible((), "N", volume=40, actor="technician")
    assert refused.value.reason is RejectReason.LOCKED
    site.moved.go_on(timedelta(hours=12))
    with pytest.raises(Rejected) as refused:
        await site.desk.audible((), "S1", volume=40, actor="technician")
    assert refused.value.reason is RejectReason.QUIET_HOURS
    await site.look()
    assert site.speakers.orders(Start) == []


async def test_a_zone_is_one_message_each_one_after_the_other(night: Any) -> None:
    site = await night(13)  # at noon the district is quieter
    opened = await site.desk.audible((), "N", volume=90, actor="technician")
    assert set(opened.endpoints) == {"SPK-N0", "SPK-N1", "SPK-N2"}
    for _ in range(3):
        await site.look()
        assert len(site.speakers.orders(Start)) <= 1 + _
        await site.look(timedelta(seconds=6))
    starts = site.speakers.orders(Start)
    assert [d.via for d in starts] == [None] * 3
    assert len({d.order.alert_id for d in starts}) == 3
    assert {d.order.volume for d in starts} == {60}
    assert {d.order.standing.sound_class for d in starts} == {SoundClass.TEST}
    assert all(d.order.content.tone == "end-1" for d in starts)


async def test_an_audible_test_by_calendar_is_done_once(night: Any) -> None:
    plan = AudibleTest(name="monthly", cron="5 10 * * *", zone="S1")
    site = await night(10, audible=(plan,))
    await site.look(timedelta(minutes=1))
    assert site.speakers.orders(Start) == []
    for _ in range(4):
        await site.look(timedelta(minutes=2))
    assert len(site.speakers.orders(Start)) == 2
    await site.crash()
    await site.begin()
    for _ in range(4):
        await site.look(timedelta(minutes=1))
    assert len(site.speakers.orders(Start)) == 2
