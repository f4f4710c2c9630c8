"""A programme through core, broker and fleet: it starts together and once, whoever is away. The truth is its log."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from broadcast_core.model import Channel
from simulators.speakers import Fault, FaultKind, Faults
from tests.acceptance.peacetime import QUICK, Peacetime, faked

pytestmark = pytest.mark.slow

_TOGETHER_S = 0.050


async def test_a_programme_starts_together_and_its_proofs_add_up(new_site: Any) -> None:
    """Clocks are 5 s off both ways and drift apart until they are told the time."""
    wrong = Faults(
        faults=(
            Fault(kind=FaultKind.CLOCK, share=1.0, seconds=5, ppm=100),
            Fault(kind=FaultKind.CLOCK, share=0.5, seconds=-5, ppm=-100),
        )
    )
    site = await new_site(speakers=80, faults=wrong, habits=QUICK)
    peace = Peacetime(site)
    await peace.open(4)
    for speaker in site.speakers:  # of a crowd's arrival, half of each answer's way says little
        site.fleet.reboot(speaker)
        await site.eventually(lambda: site.fleet.settled >= len(site.speakers) - 5, 10, "a few at a time")
    await site.fleet.ready()
    due = await peace.slot("morning", in_s=4, length_s=10)
    await peace.held(due)
    await peace.over(due)
    assert peace.whys(due) == {("complete",)}
    starts = [played for (played,) in peace.starts(due).values()]
    began = [p.began for p in starts]
    # When each one's clock showed the time, and how much later this machine let it sound.
    late = [p.began_utc / 1000 - due.starts_at.timestamp() for p in starts]
    shown = [b - after for b, after in zip(began, late, strict=True)]
    apart, clocks = max(began) - min(began), max(shown) - min(shown)
    print(f"began within {apart * 1000:.0f} ms; clocks {clocks * 1000:.0f} ms, the machine {max(late) * 1000:.0f} ms")
    assert min(late) >= 0
    assert clocks < _TOGETHER_S
    one = await peace.proven(due)
    assert (one["targets"], one["proven"], one["skipped"]) == (80, 80, False)
    (item,) = one["items"].values()
    assert (item["times"], item["speakers"], item["reasons"]) == (80, 80, {})
    assert abs(item["played_s"] - sum(p.played_ms for p in starts) / 1000) < 0.01 * len(starts)


@pytest.mark.timeout(300)  # a core on a busy machine takes its seconds to start
async def test_twenty_restarts_around_its_start_make_one_start(new_site: Any) -> None:
    site = await new_site(speakers=60, habits=QUICK)
    peace = Peacetime(site)
    await peace.open(3)
    dues = [await peace.slot(f"in-{s}", in_s=s, length_s=20) for s in (6, 13, 20, 27)]
    for due in dues:
        await peace.held(due)
    cores = []
    for number in range(20):
        began = peace.now
        await (site.core.kill() if number % 2 else site.core.stop())
        await site.core.start()
        cores.append((began, peace.now))
        if number == 10:  # the core that sent it is gone before it is due
            dues.append(await peace.slot("saved-between", in_s=3, length_s=20))
            await peace.held(dues[-1])
    for due in dues:
        await peace.over(due)
    assert any(down < due.starts_at < up for down, up in cores for due in dues), "one is due while the core is away"
    assert [peace.whys(due) for due in dues] == [{("complete",)}] * len(dues)
    assert site.sounds() == len(dues) * len(site.speakers)


async def test_speakers_go_on_with_the_day_when_core_or_broker_are_gone(new_site: Any, mosquitto: Any) -> None:
    """The broker is away for seconds, the core for an hour by its clock: what was reported to nobody is asked for."""
    site = await new_site(speakers=60, habits=QUICK)
    peace = Peacetime(site)
    await peace.open(3)
    without_broker = await peace.slot("without-broker", in_s=4, length_s=10)
    without_core = await peace.slot("without-core", in_s=17, length_s=10)
    await peace.held(without_broker)
    await peace.held(without_core)
    mosquitto.kill()
    await peace.over(without_broker)
    mosquitto.start()
    one = await peace.proven(without_broker)
    assert (one["targets"], one["proven"]) == (60, 60)
    assert peace.now < without_core.starts_at
    await site.core.kill()
    await peace.over(without_core)
    reported = time.monotonic() + QUICK.report_spread_ms / 1000
    await site.eventually(lambda: time.monotonic() > reported + 1, 5, "all have reported to nobody")
    site.core.environment = faked(timedelta(hours=1))
    await site.core.start()
    one = await peace.proven(without_core)
    assert (one["targets"], one["proven"]) == (60, 60)
    for due in (without_core, without_broker):
        assert peace.whys(due) == {("complete",)}
    assert site.sounds() == 2 * len(site.speakers)


async def test_an_edit_while_it_plays_reaches_the_speakers(new_site: Any) -> None:
    """The volume, fewer zones, a holiday, and the slot taken away: at once, and only where it changes something."""
    site = await new_site(speakers=60, habits=QUICK)
    peace = Peacetime(site)
    await peace.open(50)
    everybody = set(site.speakers)
    registry = site.stage.registry
    part = registry.children(peace.root)[0].code
    inside = {e.id for e in registry.members(part, Channel.SPEAKER)}
    assert inside < everybody
    today = peace.now.astimezone(site.stage.settings.zone_info).date().isoformat()
    await peace.ask("PUT", f"/calendar/{today}", json={"kind": "work"})
    due = await peace.slot("morning", in_s=4, length_s=59, recurrence={"rule": "calendar", "kind": "work"})
    await peace.held(due)
    await peace.begun(due)

    async def sound(who: set[str], volume: int) -> None:
        def so() -> bool:
            return set(site.sounding()) == who and peace.volumes(who) == {volume}

        await site.eventually(so, 10, f"{len(who)} sound at {volume}")

    await sound(everybody, 60)
    await peace.change("morning", volume=40)
    await sound(everybody, 40)
    for louder, softer in peace.starts(due).values():  # it goes on, it does not begin again
        assert abs(softer.position_ms - louder.played_ms) <= 1
        assert softer.began - louder.ended < 0.005
    await peace.change("morning", zones=[part])
    await sound(inside, 40)
    assert {len(played) for played in peace.starts(due, inside).values()} == {2}, "they have not noticed"
    await peace.ask("PUT", f"/calendar/{today}", json={"kind": "rest", "name": "test"})
    await site.eventually(lambda: not site.sounding(), 10, "nobody works today")
    await peace.ask("PUT", f"/calendar/{today}", json={"kind": "work"})
    await sound(inside, 40)
    await peace.ask("DELETE", "/schedule/slots/morning")
    await site.eventually(lambda: not site.sounding(), 10, "it is taken away")
