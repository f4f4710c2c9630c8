"""A small district whose schedule runs: store, outbox, dispatch and runner are real, the field is in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broadcast_core.clock import SystemClock
from broadcast_core.model import Start
from broadcast_core.store import Store
from scheduler import rows
from scheduler.desk import ScheduleDesk
from scheduler.kindness import ZoneKindness
from scheduler.model import Item
from scheduler.runner import Runner
from tests.broadcast_core.intake.conftest import Site


class MovedClock(SystemClock):
    """The machine's clock, moved: to any day, and stepped in the middle."""

    def __init__(self, starts_at: datetime) -> None:
        self.moved = starts_at - super().now()

    def now(self) -> datetime:
        return super().now() + self.moved


class Day(Site):
    """A site with a schedule. `stop` and `begin` are a restart of the whole core."""

    def __init__(self, store: Store, folder: Path, starts_at: datetime, items: dict[str, Item]) -> None:
        super().__init__(store, folder, emergency_levels=())
        self.clock = self.moved = MovedClock(starts_at)
        self.items = items

    async def begin(self) -> None:
        await self.start()
        registry = self.intake.registry
        self.desk = ScheduleDesk(
            await rows.load(self.store),
            store=self.store,
            registry=lambda: registry,
            modes=lambda: self.modes.modes,
            items=self.find_items,
            changed=lambda: self.runner.look(),
            tz=self.settings.zone_info,
            reference_lufs=-16.0,
            clock=self.clock,
        )
        self.runner = Runner(
            self.desk.look,
            direct=self.direct,
            live=self.live,
            store=self.store,
            registry=lambda: registry,
            clock=self.clock,
        )
        await self.runner.load()

    async def find_items(self) -> dict[str, Item]:
        return self.items

    async def look(self) -> None:
        """One look of the runner, and everything it opened handed over."""
        await self.runner.reconcile()
        await asyncio.sleep(0)
        for line in self.dispatch.lines.values():
            await line.settled()

    def sent(self, slot: str | None = None) -> dict[str, list[Start]]:
        """The programmes that went to each speaker, oldest first."""
        found: dict[str, list[Start]] = {}
        for delivery in self.speakers.orders(Start):
            found.setdefault(delivery.endpoint.id, []).append(delivery.order)
        return found


@pytest.fixture
async def day(tmp_path: Path, make: Any) -> AsyncIterator[Day]:
    """A day that begins at 05:00 in Shanghai on a Wednesday, with a playlist `p` of two items and no kindness."""
    items = {i.id: i for i in (make.item("i1", 600), make.item("i2", 600))}
    async with Store(f"sqlite+aiosqlite:///{tmp_path / 'day.db'}") as store:
        running = Day(store, tmp_path, datetime(2026, 3, 3, 21, 0, tzinfo=UTC), items)
        await running.begin()
        kind = ZoneKindness(quiet=(), ceilings=(), no_repeat=timedelta(), budget=1e9)
        await running.desk.put_kindness(rows.EVERYWHERE, kind, actor="test")
        await running.desk.put_playlist(make.playlist("p", "i1", "i2"), actor="publicity")
        yield running
        await running.express.drain()
        await running.crash()
