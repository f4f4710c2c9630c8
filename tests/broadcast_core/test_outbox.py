"""The outbox: claimed once, settled by the maximum of the evidence, never falling."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from broadcast_core import outbox
from broadcast_core.clock import SystemClock
from broadcast_core.dispatch.settler import Settler
from broadcast_core.live import Live
from broadcast_core.model import (
    Approval,
    Authority,
    Certainty,
    Channel,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Domain,
    Endpoint,
    Level,
    Plan,
    Progress,
    Reason,
    Receipt,
    SoundClass,
    Spoken,
    Standing,
    Start,
    Stop,
    Unreachable,
    Urgency,
)
from broadcast_core.outbox import Evidence
from broadcast_core.store import Store
from broadcast_core.store.schema import delivery, receipt

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def speaker(number: int) -> Endpoint:
    return Endpoint(id=f"SPK-{number:04}", channel=Channel.SPEAKER, zone="z", name="x", simulated=True)


def start(alert_id: str = "a1") -> Start:
    standing = Standing(
        sound_class=SoundClass.EMERGENCY,
        authority=Authority.DISTRICT,
        level=Level.RED,
        urgency=Urgency.IMMEDIATE,
        certainty=Certainty.OBSERVED,
    )
    return Start(
        alert_id=alert_id,
        revision=1,
        domain=Domain.LIVE,
        standing=standing,
        issued_at=NOW,
        starts_at=NOW,
        expires=NOW + HOUR,
        content=Spoken(tone="attention-1", audio=None, text=()),
        approval=Approval(kind="one-person", actors=("x",)),
    )


def plan(count: int, alert_id: str = "a1", unreachable: Sequence[Endpoint] = ()) -> Plan:
    order = start(alert_id)
    return Plan(
        alert_id=alert_id,
        revision=1,
        deliveries=tuple(Delivery(endpoint=speaker(n), order=order, via="z", via_version=1) for n in range(count)),
        unreachable=tuple(Unreachable(endpoint=e, reason=Reason.DISABLED) for e in unreachable),
    )


def key(number: int, alert_id: str = "a1", kind: DeliveryKind = DeliveryKind.START) -> DeliveryKey:
    return DeliveryKey(alert_id=alert_id, revision=1, kind=kind, endpoint_id=f"SPK-{number:04}")


def evidence(number: int, progress: Progress, reason: Reason | None = None, attempt: int = 1) -> Evidence:
    return Evidence(
        receipt=Receipt(key=key(number), progress=progress, at=NOW, reason=reason), attempt=attempt, recorded_at=NOW
    )


async def put(store: Store, count: int, alert_id: str = "a1", unreachable: Sequence[Endpoint] = ()) -> None:
    p = plan(count, alert_id, unreachable)
    await store.write(lambda c: outbox.put(c, p, expires=NOW + HOUR, now=NOW))


async def progress(store: Store) -> dict[str, Progress]:
    async with store.read() as connection:
        rows = await connection.execute(select(delivery.c.endpoint_id, delivery.c.progress, delivery.c.kind))
        return {r.endpoint_id + ("" if r.kind == "start" else "/stop"): Progress(r.progress) for r in rows}


async def claim(store: Store, now: datetime = NOW) -> list[outbox.Claimed]:
    return await store.write(lambda c: outbox.claim(c, Channel.SPEAKER, now))


async def settle(store: Store, *pieces: Evidence) -> None:
    await store.write(lambda c: outbox.settle(c, pieces))


async def test_a_delivery_is_claimed_once(store: Store) -> None:
    await put(store, 3)
    assert {c.key for c in await claim(store)} == {key(0), key(1), key(2)}
    assert await claim(store) == []


async def test_other_channels_are_not_touched(store: Store) -> None:
    await put(store, 1)
    assert await store.write(lambda c: outbox.claim(c, Channel.SMS, NOW)) == []


async def test_nothing_is_claimed_after_its_expiry(store: Store) -> None:
    await put(store, 1)
    assert await claim(store, NOW + HOUR) == []


async def test_putting_again_changes_nothing(store: Store) -> None:
    await put(store, 2)
    await claim(store)
    await put(store, 2)
    assert set((await progress(store)).values()) == {Progress.CLAIMED}


async def test_who_cannot_be_reached_has_failed_from_the_first_second(store: Store) -> None:
    await put(store, 1, unreachable=[speaker(9)])
    assert await progress(store) == {"SPK-0000": Progress.QUEUED, "SPK-0009": Progress.FAILED}


async def test_evidence_in_any_order_gives_its_maximum(store: Store) -> None:
    rungs = [Progress.SENT, Progress.RECEIVED, Progress.STARTED, Progress.FAILED, Progress.FINISHED]
    orders = list(itertools.permutations(rungs))
    chosen = random.Random(7).sample(orders, 20)
    await put(store, len(chosen))
    await claim(store)
    for number, order in enumerate(chosen):
        for rung in order:
            await settle(store, evidence(number, rung, Reason.HARDWARE if rung is Progress.FAILED else None))
    assert set((await progress(store)).values()) == {Progress.FINISHED}


async def test_a_receipt_that_overtakes_the_sent_mark_is_not_overwritten(store: Store) -> None:
    await put(store, 1)
    await claim(store)
    await settle(store, evidence(0, Progress.RECEIVED))
    await settle(store, evidence(0, Progress.SENT))
    assert await progress(store) == {"SPK-0000": Progress.RECEIVED}


async def test_doubles_are_one_piece_of_evidence(store: Store) -> None:
    await put(store, 1)
    for _ in range(3):
        await settle(store, evidence(0, Progress.RECEIVED), evidence(0, Progress.RECEIVED))
    async with store.read() as connection:
        assert len((await connection.execute(select(receipt))).all()) == 1


async def test_late_evidence_of_having_finished_wins_over_a_failure_and_both_are_kept(store: Store) -> None:
    await put(store, 1)
    await settle(store, evidence(0, Progress.FAILED, Reason.NO_ANSWER))
    await settle(store, evidence(0, Progress.FINISHED))
    assert await progress(store) == {"SPK-0000": Progress.FINISHED}
    async with store.read() as connection:
        assert len((await connection.execute(select(receipt))).all()) == 2


async def test_what_is_released_comes_back_when_its_time_has_come(store: Store) -> None:
    await put(store, 1)
    await claim(store)
    later = NOW + timedelta(seconds=5)
    await store.write(lambda c: outbox.release(c, [(key(0), 2, later)]))
    assert await claim(store, NOW) == []
    assert await claim(store, later) == [outbox.Claimed(key=key(0), attempt=2)]


async def test_what_was_received_meanwhile_is_not_released(store: Store) -> None:
    await put(store, 1)
    await claim(store)
    await settle(store, evidence(0, Progress.RECEIVED))
    await store.write(lambda c: outbox.release(c, [(key(0), 2, NOW)]))
    assert await claim(store) == []


async def test_a_restart_queues_again_what_was_claimed(store: Store) -> None:
    await put(store, 2)
    await claim(store)
    await settle(store, evidence(1, Progress.SENT))
    assert await store.write(outbox.recover) == 1
    assert [c.key for c in await claim(store)] == [key(0)]


async def test_a_stop_withdraws_what_was_not_sent_and_leaves_what_was(store: Store) -> None:
    await put(store, 2)
    await claim(store)
    await settle(store, evidence(1, Progress.SENT))
    await store.write(lambda c: outbox.end(c, stop()))
    assert await progress(store) == {"SPK-0000": Progress.STOPPED, "SPK-0001": Progress.SENT}


async def test_evidence_that_came_before_a_stop_was_recorded_counts(store: Store) -> None:
    order = stop()
    stopping = Plan(alert_id="a1", revision=1, deliveries=(Delivery(endpoint=speaker(0), order=order),))
    early = Evidence(
        receipt=Receipt(key=key(0, kind=DeliveryKind.STOP), progress=Progress.FINISHED, at=NOW),
        attempt=1,
        recorded_at=NOW,
    )
    await settle(store, early)
    await store.write(lambda c: outbox.put(c, stopping, expires=NOW + HOUR, now=NOW, progress=Progress.SENT))
    assert await progress(store) == {"SPK-0000/stop": Progress.FINISHED}


async def test_the_states_add_up_at_every_moment(store: Store) -> None:
    chance = random.Random(1)
    await put(store, 50)
    for _ in range(200):
        match chance.randrange(4):
            case 0:
                await claim(store)
            case 1:
                await settle(store, evidence(chance.randrange(50), chance.choice(list(Progress)[2:])))
            case 2:
                number, attempt = chance.randrange(50), chance.randrange(2, 9)
                await store.write(lambda c, n=number, a=attempt: outbox.release(c, [(key(n), a, NOW)]))
            case _:
                await store.write(outbox.recover)
        assert len(await progress(store)) == 50


def stop() -> Stop:
    return Stop(
        alert_id="a1", revision=1, domain=Domain.LIVE, acted_at=NOW, expires=NOW + HOUR, actor="x", cause="stop"
    )


async def test_evidence_of_what_never_was_is_not_kept_and_that_of_history_is(store: Store) -> None:
    await put(store, 1)
    late = replace(evidence(0, Progress.FINISHED), live=False)
    unknown = Evidence(
        receipt=Receipt(key=key(0, alert_id="a-never"), progress=Progress.FINISHED, at=NOW),
        attempt=1,
        recorded_at=NOW,
        live=False,
    )
    assert await store.write(lambda c: outbox.settle(c, [unknown, late])) == [late]
    async with store.read() as connection:
        assert (await connection.execute(select(receipt.c.alert_id))).scalars().all() == ["a1"]
    assert await progress(store) == {"SPK-0000": Progress.FINISHED}


async def test_evidence_that_cannot_be_stored_costs_only_itself(store: Store) -> None:
    """Asked of the settler, which writes whole groups: no key may spoil the others' evidence."""
    await put(store, 3)
    settler = Settler(store, Live(), SystemClock())
    running = asyncio.create_task(settler.run())
    pieces = [evidence(n, Progress.FINISHED).receipt for n in range(3)]
    pieces[1] = replace(pieces[1], at=NOW.replace(tzinfo=None))  # no instant: a fault of a driver
    async with asyncio.timeout(10):
        await settler.settle(pieces)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    found = await progress(store)
    assert (found["SPK-0000"], found["SPK-0002"]) == (Progress.FINISHED, Progress.FINISHED)
    assert settler.waiting == 0
