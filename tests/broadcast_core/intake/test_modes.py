"""Peacetime and emergency through the pipeline: durable, to those whose mode changes and nobody else, and proven."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from broadcast_core.errors import NotFound, Rejected, RejectReason
from broadcast_core.intake.following import zones_of
from broadcast_core.model import Channel, DeliveryKind, Hello, Mode, ModeChange, Orders, Progress
from broadcast_core.report import report, summaries
from broadcast_core.store.schema import audit


@pytest.fixture
def policy() -> dict[str, Any]:
    return {"emergency_levels": ("RED", "ORANGE")}


PROOF = (Progress.SENT, Progress.RECEIVED, Progress.FINISHED)


def told(site: Any) -> dict[str, Mode]:
    return {d.endpoint.id: d.order.mode for d in site.speakers.orders(ModeChange)}


async def audited(site: Any, action: str) -> list[dict[str, Any]]:
    async with site.store.read() as connection:
        statement = select(audit.c.detail).where(audit.c.action == action).order_by(audit.c.seq)
        return [json.loads(row.detail) for row in await connection.execute(statement)]


async def test_a_switch_reaches_the_zones_speakers_and_no_other(site: Any, eventually: Any) -> None:
    site.speakers.answers = PROOF
    done = await site.modes.set(["N"], Mode.EMERGENCY, actor="duty", reason="flood")
    assert set(done.changed) == {"N", "N1"}
    await eventually(lambda: len(told(site)) == 3)
    assert told(site) == dict.fromkeys(("SPK-N0", "SPK-N1", "SPK-N2"), Mode.EMERGENCY)
    assert {d.order.volume_floor for d in site.speakers.orders(ModeChange)} == {60}
    assert done.endpoints == 3
    (message,) = done.messages
    await eventually(lambda: site.states(message) == {(DeliveryKind.START, Progress.FINISHED): 3})


async def test_the_proof_is_reported_and_a_switch_is_no_alert(site: Any, eventually: Any) -> None:
    site.speakers.answers = PROOF
    (message,) = (await site.modes.set(["N"], Mode.EMERGENCY, actor="duty", reason="flood")).messages
    await eventually(lambda: site.dispatch.settler.durable[Progress.FINISHED] == 3)
    found = await report(site.store, message, site.intake.registry)
    assert found.revisions[0].channels[Channel.SPEAKER].states["finished"] == 3
    assert (await summaries(site.store, limit=10)).items == ()


async def test_it_needs_a_reason_and_a_zone_that_exists(site: Any) -> None:
    with pytest.raises(Rejected) as refused:
        await site.modes.set(["N"], Mode.EMERGENCY, actor="duty", reason="  ")
    assert (refused.value.reason, refused.value.field) == (RejectReason.MISSING, "reason")
    with pytest.raises(Rejected) as refused:
        await site.modes.set([], Mode.EMERGENCY, actor="duty", reason="flood")
    assert refused.value.reason is RejectReason.NO_AREA
    with pytest.raises(NotFound):
        await site.modes.set(["N", "elsewhere"], Mode.EMERGENCY, actor="duty", reason="flood")
    assert site.modes.modes.settings == {}
    assert await audited(site, "mode.set") == []


async def test_it_survives_a_restart_and_a_speaker_that_comes_back_is_told(site: Any, eventually: Any) -> None:
    await site.modes.set(["N"], Mode.EMERGENCY, actor="duty", reason="flood")
    await site.crash()
    await site.start()
    assert site.modes.modes.settings["N"].reason == "flood"
    site.speakers.sent.clear()
    for endpoint in ("SPK-N0", "SPK-S0"):
        site.dispatch.orders.greet(
            Channel.SPEAKER, Hello(endpoint_id=endpoint, nonce="n", at=site.clock.now(), holds={"o1": 2})
        )
    await eventually(lambda: sum(isinstance(d.order, Orders) for d in site.speakers.sent) == 2)
    orders = {d.endpoint.id: d.order for d in site.speakers.sent if isinstance(d.order, Orders)}
    assert (orders["SPK-N0"].mode, orders["SPK-N0"].volume_floor) == (Mode.EMERGENCY, 60)
    assert (orders["SPK-S0"].mode, orders["SPK-S0"].volume_floor) == (Mode.PEACETIME, 0)
    assert orders["SPK-N0"].holds == {"o1": 2}
    assert all(o.live() == () for o in orders.values())  # a switch is no start


async def test_one_zone_may_differ_from_its_parent_and_inherit_again(site: Any, eventually: Any) -> None:
    await site.modes.set(["D"], Mode.EMERGENCY, actor="duty", reason="flood")
    await eventually(lambda: len(told(site)) == 5)
    done = await site.modes.set(["S1"], Mode.PEACETIME, actor="duty", reason="dry here")
    assert set(done.changed) == {"S1"}
    await eventually(lambda: told(site)["SPK-S0"] is Mode.PEACETIME)
    assert told(site)["SPK-N0"] is Mode.EMERGENCY
    done = await site.modes.clear("S1", actor="duty", reason="not dry")
    assert done.changed == {"S1": Mode.EMERGENCY}
    await eventually(lambda: told(site)["SPK-S0"] is Mode.EMERGENCY)
    with pytest.raises(NotFound):
        await site.modes.clear("S1", actor="duty", reason="again")
    kept = await audited(site, "mode.set")
    assert [row["mode"] for row in kept] == ["emergency", "peacetime", "inherited"]
    assert [row["reason"] for row in kept] == ["flood", "dry here", "not dry"]


async def test_an_alert_of_a_named_level_switches_its_zones_after_itself(site: Any, eventually: Any) -> None:
    site.speakers.answers = (Progress.SENT, Progress.RECEIVED)
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    await eventually(lambda: len(told(site)) == 3)
    setting = site.modes.modes.settings["N"]
    assert (setting.cause, setting.actor) == (accepted.alert_id, "policy")
    assert setting.remind_at - site.clock.now() < timedelta(minutes=11)


async def test_an_alert_that_was_live_at_a_crash_still_switches(site: Any, eventually: Any) -> None:
    await site.intake.submit(site.alert("N"), actor="duty")
    await site.crash()  # before the mode has followed
    assert site.modes.modes.settings == {}
    await site.start()
    await eventually(lambda: "N" in site.modes.modes.settings)


async def test_the_zones_of_an_alert_are_the_fewest(site: Any) -> None:
    registry = site.intake.registry
    everybody = {e.id for e in registry.ordered(Channel.SPEAKER)}
    assert zones_of(everybody, registry) == ["D"]
    assert zones_of({"SPK-N0"}, registry) == ["N1"]
    assert zones_of({"SPK-N0", "SPK-N1", "SPK-N2", "SPK-S0"}, registry) == ["S1", "N"]
    assert zones_of(set(), registry) == []


async def test_an_emergency_that_has_outlived_its_reason_is_asked_about_once(site: Any) -> None:
    await site.modes.set(["N"], Mode.EMERGENCY, actor="duty", reason="flood", remind_after=timedelta(milliseconds=1))
    await site.modes.set(["S"], Mode.EMERGENCY, actor="duty", reason="flood", remind_after=timedelta(hours=1))
    reminding = asyncio.create_task(site.modes.remind_forever())
    try:
        async with asyncio.timeout(10):
            while not (rows := await audited(site, "mode.remind")):
                await asyncio.sleep(0.01)
    finally:
        reminding.cancel()
    assert [row["set_by"] for row in rows] == ["duty"]
