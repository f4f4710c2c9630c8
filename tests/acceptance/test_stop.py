"""A stop always wins: over distance, over a locked database, over the death of the core."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.acceptance.conftest import locked

pytestmark = pytest.mark.slow


async def test_a_stop_silences_all_in_three_seconds_and_those_away_stay_silent(new_site: Any) -> None:
    site = await new_site(speakers=60, engine="espeak", repeats=10)
    away, there = site.speakers[:8], site.speakers[8:]
    for speaker in away[:4]:  # these never hear of the alert before its stop
        site.fleet.disconnect(speaker)
    alert = await site.send(long=True)
    await site.eventually(lambda: len(site.sounding()) == len(site.speakers) - 4, 20, "all others sound")
    for speaker in away[4:]:  # these sound and cannot hear the stop
        site.fleet.disconnect(speaker)
    asked = time.monotonic()
    await site.stop(alert)
    await site.eventually(lambda: not site.sounding(there), 10, "silence")
    assert max(site.fleet.played(s)[-1].ended for s in there) - asked <= 3
    for speaker in away:
        site.fleet.reconnect(speaker)
    await site.fleet.ready()
    await site.eventually(lambda: not site.sounding(), 10, "those that come back are silent")
    # What the core claims agrees with what was heard: whoever was told to stop has proven it, those away included.
    evidence = await site.silence(alert, within_s=40)
    assert evidence["total"]["told"] >= len(there)
    assert evidence["unproven"] == []
    assert not any(site.fleet.played(s) for s in away[:4])
    assert not site.sounding()


async def test_a_locked_database_does_not_hold_a_stop_back(new_site: Any) -> None:
    site = await new_site(speakers=60, horns=6, engine="espeak", repeats=10)
    buses = site.relays.buses.values()
    alert = await site.send("speaker,horn", long=True)
    await site.eventually(lambda: len(site.sounding()) == len(site.speakers), 20, "all speakers sound")
    await site.eventually(lambda: all(bus.edges for bus in buses), 20, "the horns sound")
    with locked(site):
        asked = time.monotonic()
        await site.stop(alert)
        await site.eventually(lambda: not site.sounding(), 10, "silence")
        assert max(site.fleet.played(s)[-1].ended for s in site.speakers) - asked <= 3
        await site.eventually(lambda: not any(bus.closed() for bus in buses), 5, "every horn is open")
        await asyncio.sleep(2)  # one beat of the pattern and the next would have begun
        assert max(edge.monotonic for bus in buses for edge in bus.edges) - asked <= 2
        assert site.audited() == []
    rows = await site.eventually(site.audited, 30, "the stop is recorded")
    _assert_recorded_later(rows)


async def test_a_stop_that_the_core_died_with_is_recorded_by_the_next_one_and_holds(new_site: Any) -> None:
    """The database was locked at the stop, so only the journal knows of it."""
    site = await new_site(speakers=60, engine="espeak", repeats=10)
    away, there = site.speakers[:8], site.speakers[8:]
    for speaker in away:
        site.fleet.disconnect(speaker)
    alert = await site.send(long=True)
    await site.eventually(lambda: len(site.sounding()) == len(there), 20, "all that are there sound")
    with locked(site):
        await site.stop(alert)
        await site.eventually(lambda: not site.sounding(), 10, "silence")
        sounds = site.sounds()
        await site.core.kill()
    assert site.audited() == []
    await site.core.start()
    _assert_recorded_later(site.audited())
    for speaker in away:
        site.fleet.reconnect(speaker)
    await site.fleet.ready()
    evidence = await site.silence(alert, within_s=40)
    assert evidence["unproven"] == []
    assert not any(site.fleet.played(s) for s in away)
    assert site.sounds() == sounds
    _assert_recorded_later(site.audited())


async def test_the_journal_is_replayed_before_anything_is_claimed(new_site: Any, mosquitto: Any) -> None:
    """Without the stop every speaker would be served: the alert is in the outbox and nobody has heard it."""
    site = await new_site(speakers=60)
    mosquitto.kill()
    alert = await site.send()
    await site.reached(alert, lambda count: count["states"].get("queued") == count["targets"], within_s=20)
    with locked(site):
        await site.stop(alert)
        await site.core.kill()
    mosquitto.start()
    async with site.overhear("zone/#") as heard:
        await site.core.start()
        _assert_recorded_later(site.audited())
        await site.fleet.ready()
        second = await site.send(identifier="the-second")
        await site.finished(second, within_s=30)
    assert not any(site.stretches(alert).values())
    assert all(site.stretches(second).values())
    assert not [h for h in heard if alert.encode() in h.payload and b'"act":"start"' in h.payload]


def _assert_recorded_later(rows: list[tuple[int, int]]) -> None:
    """The audit has one stop, with the time it acted and the later one it was recorded."""
    assert len(rows) == 1
    acted_at, recorded_at = rows[0]
    assert acted_at < recorded_at
