"""Proof of play: only what a speaker summed up counts, and everything adds up."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from broadcast_core.model import Batch, Channel, DeliveryKey, DeliveryKind, ItemPlay, Progress, Reason, Receipt, Start
from scheduler.plays import plays_report

WHEN = date(2026, 3, 4)


def final(day: Any, delivery: Any, progress: Progress, *plays: ItemPlay, reason: Reason | None = None) -> None:
    key = DeliveryKey(
        alert_id=delivery.order.alert_id,
        revision=delivery.order.revision,
        kind=DeliveryKind.START,
        endpoint_id=delivery.endpoint.id,
    )
    receipt = Receipt(key=key, progress=progress, at=day.clock.now(), plays=plays, reason=reason)
    day.speakers._events.put_nowait(Batch(channel=Channel.SPEAKER, events=(receipt,)))


def play(item: str, times: int, minutes: float, reason: Reason | None = None) -> ItemPlay:
    return ItemPlay(item_id=item, times=times, played=timedelta(minutes=minutes), reason=reason)


async def test_it_adds_up_by_occurrence_item_and_zone(day: Any, make: Any) -> None:
    day.speakers.answers = (Progress.SENT, Progress.RECEIVED)
    await day.desk.put_slot(make.slot("s"), actor="publicity")
    await day.look()
    await day.until(lambda: day.dispatch.settler.durable[Progress.RECEIVED] == 5)
    told = {d.endpoint.id: d for d in day.speakers.orders(Start)}
    whole = (play("i1", 1, 10), play("i2", 1, 10))
    for endpoint in ("SPK-N0", "SPK-N1"):
        final(day, told[endpoint], Progress.FINISHED, *whole)
        final(day, told[endpoint], Progress.FINISHED, *whole)  # twice is once
    final(day, told["SPK-N2"], Progress.FINISHED, play("i1", 0, 4, Reason.PREEMPTED), play("i2", 1, 10))
    final(day, told["SPK-S0"], Progress.FAILED, reason=Reason.CONTENT_UNAVAILABLE)
    await day.until(lambda: day.dispatch.settler.durable[Progress.FINISHED] >= 3)
    await day.until(lambda: day.dispatch.settler.durable[Progress.FAILED] == 1)
    found = await plays_report(day.store, day.intake.registry, WHEN, WHEN)
    (one,) = found.occurrences
    assert (one.targets, one.proven, one.failed, one.owed, one.withdrawn) == (5, 3, 1, 1, 0)
    assert one.reasons == {Reason.CONTENT_UNAVAILABLE: 1}
    assert (one.items["i1"].times, one.items["i1"].played) == (2, timedelta(minutes=24))
    assert one.items["i1"].reasons == {Reason.PREEMPTED: 1}
    assert len(found.items["i2"].speakers) == 3
    assert found.zones == {"N1": 54.0}
    north = await plays_report(day.store, day.intake.registry, WHEN, WHEN, "S")
    assert [(o.targets, o.proven) for o in north.occurrences] == [(2, 0)]
    assert north.zones == {}


async def test_an_endpoint_counts_by_its_newest_revision_and_no_sound_is_lost(day: Any, make: Any) -> None:
    day.speakers.answers = (Progress.SENT, Progress.RECEIVED)
    await day.desk.put_slot(make.slot("s", zones=("S1",)), actor="publicity")
    await day.look()
    await day.desk.put_slot(make.slot("s", zones=("S1",), volume=20), actor="publicity")
    await day.look()
    await day.until(lambda: len(day.speakers.orders(Start)) == 4)
    first, second = (
        next(d for d in day.speakers.orders(Start) if d.endpoint.id == "SPK-S0" and d.order.revision == r)
        for r in (1, 2)
    )
    final(day, first, Progress.STOPPED, play("i1", 0, 3, Reason.PREEMPTED))
    final(day, second, Progress.FINISHED, play("i1", 0, 7), play("i2", 1, 10))
    await day.until(lambda: day.dispatch.settler.durable[Progress.FINISHED] == 1)
    (one,) = (await plays_report(day.store, day.intake.registry, WHEN, WHEN)).occurrences
    assert (one.targets, one.proven, one.owed) == (2, 1, 1)
    assert one.items["i1"].played == timedelta(minutes=10)


async def test_what_was_skipped_is_in_the_report(day: Any, make: Any) -> None:
    from broadcast_core.model import LateRule

    await day.desk.put_slot(make.slot("s", late=LateRule.SKIP), actor="publicity")
    day.moved.moved += timedelta(hours=3, minutes=10)
    await day.look()
    (one,) = (await plays_report(day.store, day.intake.registry, WHEN, WHEN)).occurrences
    assert (one.skipped, one.targets) == (True, 0)
