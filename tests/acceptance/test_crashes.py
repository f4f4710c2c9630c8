"""The core killed in the middle of an alert. The truth is the field's own log."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from simulators.speakers import Fault, FaultKind, Faults

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("moment", ["after_the_201", "among_the_receipts"])
async def test_a_core_killed_after_its_201_serves_everybody_once(new_site: Any, moment: str) -> None:
    site = await new_site(speakers=100)
    alert = await site.send()
    if moment == "among_the_receipts":
        await site.eventually(lambda: len(site.sounding()) > 20, 10, "speakers sound")
    await site.core.kill()
    await site.core.start()
    count = await site.finished(alert, within_s=40)
    assert count["targets"] == len(site.speakers)
    assert {len(played) for played in site.stretches(alert).values()} == {1}


async def test_a_core_restarted_while_an_alert_is_live_makes_nobody_play_again(new_site: Any) -> None:
    site = await new_site(speakers=60)
    alert = await site.send()
    await site.finished(alert, within_s=30)
    await site.core.stop()
    await site.core.start()
    await site.eventually(lambda: site.fleet.settled == len(site.speakers), 30, "all connected")
    site.fleet.reboot(site.speakers[0])
    await site.fleet.ready()
    second = await site.send(identifier="the-second")
    await site.finished(second, within_s=30)
    assert {len(played) for played in site.stretches(alert).values()} == {1}
    assert {len(played) for played in site.stretches(second).values()} == {1}


async def test_at_the_reference_size_a_core_killed_among_the_receipts_resumes_within_five_seconds(
    new_site: Any,
) -> None:
    """A third of the district has not heard the alert when the core dies; it is served by the next one."""
    site = await new_site(speakers=1099)
    deaf = site.speakers[::3]
    site.fleet.afflict(Fault(kind=FaultKind.DEAF, ids=frozenset(deaf)))
    async with site.overhear("up/+/receipt") as receipts:
        sending = asyncio.create_task(site.send())
        await site.eventually(lambda: len(receipts) >= 300, 10, "the first receipts")
        await site.core.kill()
        among = len(receipts)
    assert among < len(site.speakers) - len(deaf), "killed in the middle"
    alert = await sending
    site.fleet.faults = Faults()
    restarted = time.monotonic()
    await site.core.start()
    up_s = time.monotonic() - restarted
    await site.eventually(lambda: all(site.stretches(alert).values()), 30, "everybody sounds")
    resumed_s = max(played[0].began for played in site.stretches(alert, deaf).values()) - restarted
    count = await site.finished(alert, within_s=40)
    finished_s = time.monotonic() - restarted
    print(f"{among} receipts; up {up_s:.1f} s, resumed {resumed_s:.1f} s, done {finished_s:.1f} s")
    # Promised for two cores of its own; where others want them too it gets its share.
    assert resumed_s <= 5 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert count["targets"] == len(site.speakers) == 1099
    assert {len(played) for played in site.stretches(alert).values()} == {1}
