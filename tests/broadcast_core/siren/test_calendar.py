"""The yearly siren test: proposed, confirmed, sounded once; or not confirmed and not sounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from broadcast_core.clock import SystemClock
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.model import Channel, CoilAddress, Endpoint, Level, Progress, SoundClass, Start
from broadcast_core.patterns import patterns
from broadcast_core.registry import Registry
from broadcast_core.siren import SirenDesk, SirenRunner, templates
from broadcast_core.siren import rows as siren_rows
from broadcast_core.siren.rows import EventState, SignalOutcome
from broadcast_core.siren.signals import Signals
from broadcast_core.siren.templates import SHIPPED
from broadcast_core.store import Store
from broadcast_core.store.schema import audit as audit_table
from tests.broadcast_core.intake.conftest import ENDPOINTS, ZONES, Site

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = date(2026, 11, 1)
NAME = "changsha-1-november"


class MovedClock(SystemClock):
    def __init__(self) -> None:
        self.moved = timedelta()

    def now(self) -> datetime:
        return super().now() + self.moved

    def set(self, *local: int) -> None:
        self.moved += datetime(*local, tzinfo=SHANGHAI).astimezone(UTC) - self.now()  # type: ignore[arg-type,misc]


class Town(Site):
    """A district with one horn and its siren calendar."""

    def __init__(self, store: Store, folder: Path) -> None:
        super().__init__(store, folder, emergency_levels=("RED", "ORANGE"))
        self.clock = self.moved = MovedClock()
        self.file: Path | None = None

    async def begin(self) -> None:
        await self.start()
        horn = Endpoint(
            id="HRN-N", channel=Channel.HORN, zone="N1", name="x", coil=CoilAddress(line="L", unit=1, coil=0)
        )
        registry = Registry(ZONES, (*ENDPOINTS, horn))
        self.intake.registry = registry
        async with self.store.read() as connection:
            stored = await siren_rows.load(connection)
        self.signals = Signals(
            templates=templates(patterns(), self.file), intake=self.intake, express=self.express, live=self.live,
            store=self.store, registry=lambda: registry, sender="duty@district.invalid", clock=self.clock,
        )  # fmt: skip
        await self.signals.load(stored)
        self.sirens = SirenDesk(
            stored, signals=self.signals, store=self.store, registry=lambda: registry, tz=SHANGHAI, clock=self.clock
        )
        self.calendar = SirenRunner(self.sirens, self.clock)

    async def look(self, *local: int) -> None:
        self.moved.set(*local)
        await self.calendar.step()

    @property
    def event(self) -> siren_rows.Event:
        return self.sirens.events[f"{NAME}:{DAY.isoformat()}"]

    def outcomes(self) -> list[SignalOutcome]:
        return [s.outcome for s in self.signals.of(self.event.act_id)]

    def sounded(self) -> list[str]:
        """The patterns that went to the horn, in order."""
        return [d.order.content.pattern.id for d in self.horns.orders(Start)]

    async def handed_over(self, count: int) -> None:
        await self.until(lambda: len(self.horns.orders(Start)) == count)

    async def audited(self) -> list[tuple[str, str]]:
        async with self.store.read() as connection:
            a = audit_table.c
            rows = await connection.execute(select(a.action, a.actor).where(a.action.like("siren.%")).order_by(a.seq))
            return [(row.action, row.actor) for row in rows]


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with Store(f"sqlite+aiosqlite:///{tmp_path / 'town.db'}") as store:
        town = Town(store, tmp_path)
        town.horns.answers = (Progress.SENT, Progress.STARTED, Progress.FINISHED)
        town.moved.set(2026, 9, 1, 12)
        await town.begin()
        yield town
        await town.express.drain()
        await town.crash()


async def test_it_is_proposed_once_and_waits_for_an_officer(town: Town) -> None:
    await town.look(2026, 10, 1, 12)
    assert town.sirens.calendar() == []
    await town.look(2026, 10, 2, 12)
    await town.look(2026, 10, 20, 12)
    assert town.event.state is EventState.PROPOSED
    await town.look(2026, 11, 1, 9, 30, 1)
    assert town.event.state is EventState.LAPSED
    await town.look(2026, 11, 1, 9, 46, 1)
    assert town.sounded() == []
    assert await town.audited() == [("siren.propose", "siren-calendar"), ("siren.lapse", "siren-calendar")]
    with pytest.raises(Rejected) as refused:
        await town.sirens.confirm(NAME, DAY, actor="duty")
    assert refused.value.reason is RejectReason.NOT_LIVE


async def test_confirmed_it_sounds_each_signal_once_at_its_time(town: Town) -> None:
    await town.look(2026, 10, 20, 12)
    await town.sirens.confirm(NAME, DAY, actor="officer")
    await town.sirens.confirm(NAME, DAY, actor="officer")
    assert [c.actor for c in town.event.confirmed] == ["officer"]
    await town.look(2026, 11, 1, 9, 29, 59)
    assert town.sounded() == []
    for count, minute in enumerate((30, 38, 46), 1):
        await town.look(2026, 11, 1, 9, minute, 1)
        await town.handed_over(count)
        await town.crash()
        await town.begin()  # in the same minute: it is not sounded again
        await town.look(2026, 11, 1, 9, minute, 5)
        assert len(town.sounded()) == count
    assert town.sounded() == ["cd-pre-warning", "cd-air-raid", "cd-all-clear"]
    assert town.outcomes() == [SignalOutcome.SENT] * 3
    assert town.event.state is EventState.OVER
    order = town.horns.orders(Start)[0].order
    assert (order.standing.sound_class, order.standing.level) == (SoundClass.AIR_RAID, Level.BLUE)
    assert town.modes.modes.settings == {}  # the yearly test takes no zone into emergency mode
    assert [s.sent.astimezone(SHANGHAI).strftime("%H:%M") for s in town.signals.of(town.event.act_id)] == [
        "09:30", "09:38", "09:46",
    ]  # fmt: skip


async def test_what_a_core_that_was_away_has_missed_is_never_made_up_for(town: Town) -> None:
    await town.look(2026, 10, 20, 12)
    await town.sirens.confirm(NAME, DAY, actor="officer")
    await town.crash()
    town.moved.set(2026, 11, 1, 9, 31)
    await town.begin()
    await town.calendar.step()
    assert town.outcomes() == [SignalOutcome.MISSED]
    await town.look(2026, 11, 1, 9, 38, 20)
    await town.handed_over(1)
    assert town.sounded() == ["cd-air-raid"]
    assert town.outcomes() == [SignalOutcome.MISSED, SignalOutcome.SENT]


async def test_taken_back_it_is_silent(town: Town) -> None:
    town.horns.answers = (Progress.SENT, Progress.STARTED)
    await town.look(2026, 10, 20, 12)
    await town.sirens.confirm(NAME, DAY, actor="officer")
    await town.look(2026, 11, 1, 9, 30, 1)
    await town.handed_over(1)
    await town.sirens.withdraw(NAME, DAY, actor="chief")
    (signal,) = town.signals.of(town.event.act_id)
    assert signal.alert_id is not None
    assert town.live.revisions(signal.alert_id)[-1].ended
    await town.look(2026, 11, 1, 9, 38, 1)
    assert town.sounded() == ["cd-pre-warning"]
    assert ("siren.withdraw", "chief") in await town.audited()


async def test_a_template_changed_after_the_confirmation_does_not_sound(town: Town, tmp_path: Path) -> None:
    await town.look(2026, 10, 20, 12)
    await town.sirens.confirm(NAME, DAY, actor="officer")
    await town.crash()
    town.file = tmp_path / "sirens.toml"
    town.file.write_text(SHIPPED.read_text().replace('area = ["district"]', 'area = ["zone:N"]'))
    await town.begin()
    await town.look(2026, 11, 1, 9, 30, 1)
    assert town.sounded() == []
    assert town.outcomes() == [SignalOutcome.MISSED]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("09:38:00", "09:32:00", "calendar.changsha-1-november.at"),
        (", 09:46:00", "", "calendar.changsha-1-november.at"),
        ("month = 11", "month = 2\n#", "calendar.changsha-1-november.day"),
        ('act = "yearly-test"', 'act = "x"', "calendar.changsha-1-november.act"),
        ('pattern = "cd-air-raid"', 'pattern = "disaster-3-3"', "act.civil-defence.signals[1].pattern"),
        ('pattern = "cd-air-raid"', 'pattern = "demo-short"', "act.civil-defence.signals[1].pattern"),
        ("test = false", "", None),
        ("test = false", 'test = false\nvolume = "loud"', None),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(tmp_path: Path, old: str, new: str, field: str | None) -> None:
    text = SHIPPED.read_text()
    assert old in text
    text = text.replace(old, new, 1)
    if "month = 2" in new:
        text = text.replace("\nday = 1\n", "\nday = 30\n")
    (tmp_path / "sirens.toml").write_text(text)
    with pytest.raises(Rejected) as refused:
        templates(patterns(), tmp_path / "sirens.toml")
    assert refused.value.field == field


async def test_a_real_act_says_so_and_a_stop_while_it_is_made_wins(town: Town) -> None:
    held: list[Any] = []

    async def speak(*asked: Any) -> Any:
        if not held:
            held.append(await town.sirens.stop(actor="chief"))  # while the second signal is being composed
        return await town_speak(*asked)

    town_speak = town.speak
    view = await town.sirens.start("civil-defence", ("district",), actor="officer")
    assert (view.running, view.following) == (True, 1)
    start = town.horns.orders(Start)
    await town.handed_over(1)
    start = town.horns.orders(Start)[0].order
    assert (start.standing.sound_class, start.standing.level) == (SoundClass.AIR_RAID, Level.RED)
    town.intake._speak = speak
    after = await town.sirens.next(actor="officer")
    assert not after.running
    assert after.signals[1].stopped
    assert after.signals[1].signal is not None
    live = town.live.revisions(after.signals[1].signal.alert_id or "")[-1]
    assert live.ended
    with pytest.raises(Rejected) as refused:
        await town.sirens.next(actor="officer")
    assert refused.value.reason is RejectReason.NOT_LIVE


async def test_next_said_twice_sounds_one_signal(town: Town) -> None:
    """Two officers, or one whose answer got lost, mean the same signal: the act does not run ahead of them."""
    await town.sirens.start("civil-defence", ("district",), actor="officer")
    both = await asyncio.gather(*(town.sirens.next(actor=actor, signal=1) for actor in ("officer", "chief")))
    assert [view.following for view in both] == [2, 2]
    assert len(town.sirens.signals.of(both[0].row.id)) == 2
    with pytest.raises(Rejected) as refused:
        await town.sirens.next(actor="officer", signal=7)
    assert (refused.value.reason, refused.value.field) == (RejectReason.NOT_LIVE, "signal")
