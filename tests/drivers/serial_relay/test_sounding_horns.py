"""Patterns, stops, expiry and precedence, as the boards' own logs saw them."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from broadcast_core.errors import DriverUnavailable
from broadcast_core.model import (
    Delivery,
    DeliveryKind,
    Domain,
    Presence,
    Progress,
    Query,
    Reason,
    SoundClass,
)

P = Progress


async def test_a_pattern_sounds_as_it_is_written_and_every_rung_is_reported(bench, start):
    b = await bench({"L1": (1, 2), "L2": (1,)})
    await b.send(start([(0.6, 0.5), (0.6, 0.5), (0.6, 0.0)]))
    await b.ended()
    for horn in ("L1-1", "L1-2", "L2-1"):
        assert b.progress(horn) == [P.SENT, P.RECEIVED, P.STARTED, P.FINISHED]
        sounds = b.sounds(horn)
        assert len(sounds) == 3
        for (_, off), (on, _) in pairwise(sounds):
            assert 0.2 < on - off < 0.9
        on_s = sum(off - on for on, off in sounds)
        played = b.last(horn).played
        assert played is not None
        assert played.total_seconds() == pytest.approx(on_s, abs=0.4)
        assert played.total_seconds() == pytest.approx(1.8, abs=0.6)


async def test_only_the_ordered_coil_moves(bench, start):
    b = await bench()
    await b.send(start([(0.4, 0.0)]), "L1-2")
    await b.ended("L1-2")
    assert {(e.unit, e.coil) for e in b.bus().edges} == {(2, 0)}


async def test_a_late_order_joins_its_pattern_where_it_stands(bench, start, until):
    b = await bench()
    order = start([(1.0, 0.6), (3.0, 0.0)], after_s=-1.3)  # in the middle of the first silence
    await b.send(order, "L1-1")
    await b.ended("L1-1")
    assert len(b.sounds("L1-1")) == 1
    receipt = b.last("L1-1")
    assert (receipt.progress, receipt.reason) == (P.FAILED, Reason.INTERRUPTED)
    assert "1 of 2 sounds" in receipt.detail


async def test_a_pattern_whose_end_has_passed_is_never_sounded(bench, start):
    b = await bench()
    await b.send(start([(0.5, 0.0)], after_s=-5.0), "L1-1")
    await b.ended("L1-1")
    assert b.edges("L1-1") == []
    assert (b.last("L1-1").progress, b.last("L1-1").reason) == (P.EXPIRED, Reason.EXPIRED)


async def test_sending_again_sounds_nothing_again_and_gives_the_evidence_again(bench, start, until):
    b = await bench()
    order = start([(0.5, 0.0)])
    await b.send(order, "L1-1")
    await b.send(order, "L1-1")
    await b.ended("L1-1")
    b.said.clear()
    await b.send(order, "L1-1")
    await b.ended("L1-1")
    assert b.progress("L1-1") == [P.SENT, P.RECEIVED, P.STARTED, P.FINISHED]
    assert len(b.sounds("L1-1")) == 1


async def test_a_query_is_answered_with_the_evidence_held(bench, start):
    b = await bench()
    order = start([(0.4, 0.0)])
    await b.send(order, "L1-1")
    await b.ended("L1-1")
    b.said.clear()
    query = Query(alert_id="a", revision=1, domain=Domain.LIVE, expires=order.expires)
    await b.driver.send([Delivery(endpoint=b.horn("L1-1"), order=query)])
    await b.ended("L1-1")
    assert b.last("L1-1").progress is P.FINISHED


async def test_a_stop_opens_the_coil_and_proves_it(bench, start, stop, until):
    b = await bench()
    await b.send(start([(30.0, 0.0)]))
    await until(lambda: P.STARTED in b.progress("L1-1") and P.STARTED in b.progress("L1-2"))
    await b.send(stop())
    await b.ended()
    for horn in ("L1-1", "L1-2"):
        await until(lambda horn=horn: P.FINISHED in b.progress(horn, DeliveryKind.STOP))
        assert b.progress(horn, DeliveryKind.STOP) == [P.SENT, P.RECEIVED, P.FINISHED]
        assert b.last(horn).progress is P.STOPPED
        [(on, off)] = b.sounds(horn)
        assert b.last(horn).played == pytest.approx(timedelta(seconds=off - on), abs=timedelta(seconds=0.5))
    assert b.silent()


async def test_a_start_that_arrives_after_its_stop_never_sounds(bench, start, stop, until):
    b = await bench()
    await b.send(stop(revision=2), "L1-1")
    await until(lambda: P.FINISHED in b.progress("L1-1", DeliveryKind.STOP))
    await b.send(start([(0.5, 0.0)], revision=2), "L1-1")
    await b.ended("L1-1")
    assert b.last("L1-1").progress is P.STOPPED
    assert b.edges("L1-1") == []
    b.said.clear()
    await b.send(start([(0.5, 0.0)], revision=3), "L1-1")  # a newer one is not what was stopped
    await b.ended("L1-1")
    assert b.last("L1-1").progress is P.FINISHED


async def test_expiry_opens_the_coil(bench, start):
    b = await bench()
    await b.send(start([(30.0, 0.0)], lifetime_s=1.0), "L1-1")
    await b.ended("L1-1")
    assert (b.last("L1-1").progress, b.last("L1-1").reason) == (P.EXPIRED, Reason.EXPIRED)
    assert b.silent()


@pytest.mark.parametrize("limit", ["order", "settings"])
async def test_no_coil_stays_closed_longer_than_its_maximum(bench, start, limit):
    longest = {"order": {"max_on_s": 0.6}, "settings": {}}[limit]
    b = await bench(**{"order": {}, "settings": {"max_on_s": 0.6}}[limit])
    await b.send(start([(2.5, 0.0)], **longest), "L1-1")
    await b.ended("L1-1")
    [(on, off)] = b.sounds("L1-1")
    assert off - on < 1.5
    assert (b.last("L1-1").progress, b.last("L1-1").reason) == (P.FAILED, Reason.MAX_ON_REACHED)


async def test_a_higher_alert_interrupts_and_the_lower_one_begins_again_after_it(bench, start, until):
    b = await bench()
    await b.send(start([(1.2, 0.0)], alert_id="flood"), "L1-1")
    await until(lambda: P.STARTED in b.progress("L1-1", alert_id="flood"))
    await b.send(
        start([(0.4, 0.4), (0.4, 0.4)], alert_id="raid", sound_class=SoundClass.AIR_RAID, after_s=0.1), "L1-1"
    )
    await b.ended("L1-1", alert_id="raid")
    assert b.last("L1-1", alert_id="raid").progress is P.FINISHED
    await b.ended("L1-1", alert_id="flood")
    assert b.last("L1-1", alert_id="flood").progress is P.FINISHED
    on, off = b.sounds("L1-1")[-1]
    assert off - on == pytest.approx(1.2, abs=0.4)


async def test_an_equal_alert_waits_its_turn(bench, start):
    b = await bench()
    await b.send(start([(0.8, 0.4)], alert_id="one"), "L1-1")
    await b.send(start([(0.4, 0.0)], alert_id="two", after_s=0.5), "L1-1")
    await b.ended("L1-1", alert_id="two")
    first, second = b.sounds("L1-1")
    assert first[1] - first[0] == pytest.approx(0.8, abs=0.3)
    assert second[1] - second[0] == pytest.approx(0.4, abs=0.3)
    assert b.last("L1-1", alert_id="two").progress is P.FINISHED


async def test_a_newer_revision_replaces_the_older_one(bench, start, until):
    b = await bench()
    await b.send(start([(30.0, 0.0)], revision=1), "L1-1")
    await until(lambda: P.STARTED in b.progress("L1-1"))
    await b.send(start([(0.5, 0.0)], revision=2), "L1-1")
    await until(lambda: sum(p.ended for p in b.progress("L1-1")) == 2)
    ends = {r.key.revision: r.progress for r in b.receipts("L1-1") if r.progress.ended}
    assert ends == {1: P.STOPPED, 2: P.FINISHED}
    assert b.silent()


async def test_a_coil_found_closed_at_the_start_is_opened(bench, until):
    b = await bench(before=lambda field: field.buses["L1"].board(2).closed.__setitem__(5, True))
    await until(b.silent)
    assert b.bus().edges[0].coil == 5


async def test_boards_that_answer_make_their_horns_online(bench, until):
    b = await bench()
    await until(lambda: b.presence("L1-1") and b.presence("L1-2"))
    assert b.presence("L1-1")[0].presence is Presence.ONLINE


@pytest.mark.parametrize("domain", [Domain.DRILL, Domain.SIMULATION])
async def test_a_drill_or_a_simulation_closes_no_relay_of_a_real_horn(bench, start, domain):
    b = await bench()
    await b.send(start([(0.4, 0.0)], domain=domain), "L1-1")
    await b.ended("L1-1")
    assert b.last("L1-1").reason is Reason.UNSUPPORTED
    assert b.edges("L1-1") == []


async def test_a_silent_start_proves_the_way_and_sounds_nothing(bench, start):
    b = await bench()
    await b.send(start([(0.4, 0.0)], domain=Domain.DRILL, silent=True), "L1-1")
    await b.ended("L1-1")
    assert b.last("L1-1").progress is P.FINISHED
    assert b.last("L1-1").played == timedelta(0)
    assert b.edges("L1-1") == []


async def test_a_closed_driver_is_unavailable(bench, start):
    b = await bench()
    await b.driver.__aexit__(None, None, None)
    with pytest.raises(DriverUnavailable):
        await b.send(start([(0.4, 0.0)]))
