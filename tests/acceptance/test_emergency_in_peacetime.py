"""An emergency in the middle of a programme: those it is for fall silent, nobody else does, and the day goes on."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import Any

import pytest

from broadcast_core.cli.demo.timetable import music
from tests.acceptance.conftest import locked
from tests.acceptance.peacetime import QUICK, Peacetime, until

pytestmark = pytest.mark.slow


async def test_a_switch_of_one_community_touches_nobody_else_and_its_day_goes_on(new_site: Any) -> None:
    """One of its speakers is away at the switch, one loses its power, and the core is killed."""
    site = await new_site(speakers=100, communities=20, habits=QUICK)
    peace = Peacetime(site)
    await peace.open(50)
    zone, inside = _largest_community(site)
    outside = [s for s in site.speakers if s not in inside]
    away, rebooted, *there = inside
    assert there
    due = await peace.slot("morning", in_s=4, length_s=59)
    await peace.held(due)
    await peace.begun(due)
    site.fleet.disconnect(away)
    switched = await peace.mode("emergency", zone)
    assert switched["endpoints"] == len(inside)
    await site.eventually(lambda: not site.sounding([*there, rebooted]), 10, "those that are there are silent")
    assert set(site.sounding()) == {away, *outside}
    await until(lambda: _told(peace, switched, len(inside) - 1), 10, "the switch is proven by those that are there")
    await site.core.kill()
    await site.core.start()
    assert (await peace.ask("GET", "/modes"))["speakers"] == {"peacetime": len(outside), "emergency": len(inside)}
    site.fleet.reboot(rebooted)
    site.fleet.reconnect(away)
    await site.eventually(lambda: not site.sounding([away]), 10, "it obeys when it is back")
    await site.fleet.ready()
    assert set(site.sounding()) == set(outside)
    await peace.mode("peacetime", zone)
    await site.eventually(lambda: len(site.sounding()) == len(site.speakers), 10, "its day goes on")
    assert {len(played) for played in peace.starts(due, outside).values()} == {1}, "they have not noticed"
    for cut, rest in peace.starts(due, [away, *there]).values():
        assert cut.why == "interrupted"
        assert abs(rest.position_ms - cut.played_ms) <= 1
    # Its power was gone, so it is where the clock says.
    ((first, last),) = peace.starts(due, [rebooted]).values()
    assert first.why == "interrupted"
    assert last.position_ms == pytest.approx(last.began_utc - due.starts_at.timestamp() * 1000, abs=20)
    assert last.position_ms > first.played_ms


async def test_an_alert_silences_publicity_and_its_stop_gives_the_turn_back_whatever_the_database(
    new_site: Any,
) -> None:
    more = "[policy]\nemergency_levels = []"  # so that the alert alone is what silences
    site = await new_site(speakers=60, communities=20, habits=QUICK, engine="espeak", repeats=10, more=more)
    peace = Peacetime(site)
    await peace.open(16)
    zone, inside = _largest_community(site)
    outside = [s for s in site.speakers if s not in inside]
    due = await peace.slot("morning", in_s=4, length_s=59)
    await peace.held(due)
    await peace.begun(due)
    alert = await site.send(long=True, zones=[zone])
    await site.eventually(lambda: all(site.stretches(alert, inside).values()), 20, "the alert sounds")
    with locked(site):
        asked = time.monotonic()
        await site.stop(alert)
        await site.eventually(lambda: all(p[-1].ended for p in site.stretches(alert, inside).values()), 10, "silence")
        assert max(p[-1].ended for p in site.stretches(alert, inside).values()) - asked <= 3
        await site.eventually(lambda: len(site.sounding()) == len(site.speakers), 10, "publicity goes on")
        assert site.audited() == []
    await site.eventually(site.audited, 30, "the stop is recorded")
    await peace.over(due)
    assert peace.whys(due, outside) == {("complete",)}
    assert not any(site.stretches(alert, outside).values())
    for speaker, (cut, rest) in peace.starts(due, inside).items():
        assert (cut.why, rest.why) == ("interrupted", "complete")
        assert abs(rest.position_ms - cut.played_ms) <= 1
        spoken = site.stretches(alert, [speaker])[speaker]
        assert cut.ended <= spoken[0].began
        assert spoken[-1].ended <= rest.began


async def test_a_flood_of_publicity_delays_no_alert(new_site: Any) -> None:
    """The whole district plays while uploads and changes of the schedule never cease."""
    site = await new_site(speakers=1099, habits=QUICK)
    peace = Peacetime(site)
    await peace.open(40)
    due = await peace.slot("morning", in_s=12, length_s=59)
    await peace.held(due)
    await peace.begun(due)
    done = [0, 0]
    flood = [asyncio.create_task(_upload(site, peace, done, n)) for n in range(2)]
    flood.append(asyncio.create_task(_change(peace, done)))
    await site.eventually(lambda: all(done), 20, "the flood has begun")
    before = list(done)
    asked = time.monotonic()
    alert = await site.send()
    accepted_s = time.monotonic() - asked
    await site.eventually(lambda: all(site.stretches(alert).values()), 30, "everybody sounds the alert")
    last_s = max(played[0].began for played in site.stretches(alert).values()) - asked
    await site.eventually(lambda: all(d > b for d, b in zip(done, before, strict=True)), 30, "the flood goes on")
    failed = [task for task in flood if task.done()]
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    assert not failed, failed[0].exception()
    print(f"accepted {accepted_s:.1f} s, all sound {last_s:.1f} s; uploads and changes {before}, then {done}")
    assert last_s <= 10
    for speaker, (first, *_) in site.stretches(alert).items():
        publicity = [p for p in site.fleet.played(speaker) if p.alert == due.alert and p.began < first.began]
        assert publicity[-1].ended <= first.began


async def _upload(site: Any, peace: Peacetime, done: list[int], number: int) -> None:
    """One upload after the other; what is refused for being too much at once is part of the flood."""
    for turn in count():
        wav = await asyncio.to_thread(music, 1 + number / 10 + turn / 100)
        parameters = {"title": f"flood-{number}-{turn}", "resume": "position", "licence": "generated"}
        headers = {"Content-Type": "audio/wav"}
        async with site.session.post("/api/v1/media", params=parameters, data=wav, headers=headers) as answer:
            assert answer.status in {201, 429, 503}, await answer.text()
            done[0] += answer.status == 201


async def _change(peace: Peacetime, done: list[int]) -> None:
    """A new volume for everybody, again and again: each is a revision for the whole district."""
    for turn in count():
        await peace.change("morning", volume=30 + turn % 40)
        done[1] += 1
        await asyncio.sleep(0.5)


def _largest_community(site: Any) -> tuple[str, list[str]]:
    """A community with most speakers, and these."""
    zones: dict[str, list[str]] = {}
    for speaker in site.speakers:
        zones.setdefault(site.stage.registry.endpoints[speaker].zone, []).append(speaker)
    return max(zones.items(), key=lambda item: (len(item[1]), item[0]))


async def _told(peace: Peacetime, switched: Any, proven: int) -> bool:
    (message,) = switched["messages"]
    states = (await peace.site.report(message))["revisions"][0]["channels"]["speaker"]["states"]
    return bool(states.get("finished", 0) >= proven)
