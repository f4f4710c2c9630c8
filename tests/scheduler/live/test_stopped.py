"""What a person has stopped, and what was taken back, stays so: over looks, edits and restarts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from broadcast_core.model import Progress, Start, Stop
from scheduler.runner import message_id

OCCURRENCE = message_id("s/2026-03-04")


async def sent_to_all(day: Any, make: Any) -> None:
    day.speakers.answers = (Progress.SENT, Progress.RECEIVED)
    await day.desk.put_slot(make.slot("s", zones=("D",)), actor="publicity")
    await day.look()
    await day.until(lambda: len(day.speakers.orders(Start)) == 5)


async def test_a_stopped_occurrence_is_not_sent_again(day: Any, make: Any) -> None:
    await sent_to_all(day, make)
    await day.express.stop(OCCURRENCE, actor="duty")
    await day.look()
    await day.desk.put_slot(make.slot("s", zones=("D",), volume=40), actor="publicity")
    await day.look()
    await day.express.drain()
    await day.crash()
    await day.begin()
    await day.look()
    assert len(day.speakers.orders(Start)) == 5
    assert {e.id for e in day.intake.registry.endpoints.values() if day.live.starts_for(e, day.clock.now())} == set()


async def test_a_stop_while_a_new_revision_becomes_durable_means_it_too(
    day: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sent_to_all(day, make)
    write, writing, go = day.store.write, asyncio.Event(), asyncio.Event()

    async def slow(job: Any) -> Any:
        done = await write(job)
        writing.set()
        await go.wait()
        return done

    await day.desk.put_slot(make.slot("s", zones=("D",), volume=40), actor="publicity")
    monkeypatch.setattr(day.store, "write", slow)
    looking = asyncio.create_task(day.runner.reconcile())
    await writing.wait()
    await day.express.stop(OCCURRENCE, actor="duty")
    monkeypatch.undo()
    go.set()
    await looking
    await day.look()
    assert [live.ended for live in day.live.revisions(OCCURRENCE)] == [True, True]
    assert {start.volume for starts in day.sent().values() for start in starts} == {60}
    await day.express.drain()
    await day.crash()
    await day.begin()
    await day.look()
    assert {start.volume for starts in day.sent().values() for start in starts} == {60}


async def test_what_was_taken_back_is_still_taken_back_after_a_restart(day: Any, make: Any) -> None:
    await sent_to_all(day, make)
    await day.desk.put_slot(make.slot("s", zones=("N",)), actor="publicity")
    await day.look()
    await day.until(lambda: len(day.speakers.orders(Stop)) == 2)
    await day.crash()
    await day.begin()
    assert set(day.live.told(OCCURRENCE)) == {"SPK-N0", "SPK-N1", "SPK-N2"}
    assert day.live.starts_for(day.intake.registry.endpoints["SPK-S0"], day.clock.now()) == ()
