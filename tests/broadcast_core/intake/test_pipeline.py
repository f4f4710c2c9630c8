"""From a message to what the field was told, over crashes, stops, updates and cancels; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from broadcast_core.errors import AlertRejected, NotFound, RejectReason
from broadcast_core.lifecycle import alert_id_of
from broadcast_core.model import (
    Alert,
    Channel,
    DeliveryKind,
    MsgType,
    NamedValue,
    Progress,
    Reason,
    Reference,
    Start,
    Stop,
)
from broadcast_core.services import Accepted, Idempotency
from broadcast_core.store.schema import alert as alert_table
from broadcast_core.store.schema import audit, delivery, receipt

if TYPE_CHECKING:
    from conftest import Site  # the fixture's own module; only for reading


async def until(true: object, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0.005)


def ids(deliveries: list) -> set[str]:
    return {d.endpoint.id for d in deliveries}


async def test_an_alert_reaches_exactly_its_zone_on_every_channel(site: Site) -> None:
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: len(site.speakers.sent) == 3 and len(site.phones.sent) == 1)
    assert ids(site.speakers.sent) == {"SPK-N0", "SPK-N1", "SPK-N2"}
    assert {d.via for d in site.speakers.sent} <= {"N", "N1"}
    assert sum(accepted.targets.values()) == 4


async def test_who_is_out_of_service_is_named_and_not_told(site: Site) -> None:
    accepted = await site.intake.submit(site.alert("S"), actor="duty")
    await until(lambda: len(site.speakers.sent) == 2)
    assert accepted.unreachable == 1
    async with site.store.read() as c:
        row = (await c.execute(select(delivery).where(delivery.c.endpoint_id == "SPK-OFF"))).mappings().one()
    assert (row["progress"], row["reason"]) == (Progress.FAILED, Reason.DISABLED)


async def test_no_area_is_no_alert(site: Site) -> None:
    with pytest.raises(AlertRejected) as refused:
        await site.intake.submit(site.alert(), actor="duty")
    assert refused.value.reason is RejectReason.NO_AREA
    assert await rows(site) == 0


async def test_an_unknown_zone_is_refused_and_nothing_is_stored(site: Site) -> None:
    with pytest.raises(AlertRejected) as refused:
        await site.intake.submit(site.alert("N", "nowhere"), actor="duty")
    assert refused.value.reason is RejectReason.UNKNOWN_AREA
    assert await rows(site) == 0


async def test_everybody_without_saying_the_district_is_refused(site: Site) -> None:
    with pytest.raises(AlertRejected) as refused:
        await site.intake.submit(site.alert("N", "S"), actor="duty")
    assert refused.value.reason is RejectReason.WHOLE_DISTRICT_NOT_SAID
    await site.intake.submit(site.alert("D"), actor="duty")


async def test_horns_without_a_pattern_are_refused(site: Site) -> None:
    asked = (NamedValue(name="tocsin:channels", value="speaker,horn"),)
    with pytest.raises(AlertRejected) as refused:
        await site.intake.submit(site.alert("N", parameter=asked), actor="duty")
    assert refused.value.reason is RejectReason.UNKNOWN_PATTERN


async def test_the_same_message_twice_is_one_alert(site: Site) -> None:
    alert = site.alert("N")
    first = await site.intake.submit(alert, actor="duty")
    again = await site.intake.submit(alert, actor="duty")
    assert (again.alert_id, again.repeated) == (first.alert_id, True)
    assert await rows(site) == 1


async def test_fifty_at_once_with_one_key_are_one_alert(site: Site) -> None:
    alert, key = site.alert("N"), Idempotency(key="k", fingerprint="f")
    answers = await asyncio.gather(*(site.intake.submit(alert, actor="duty", idempotency=key) for _ in range(50)))
    assert len({a.alert_id for a in answers}) == 1
    assert sum(not a.repeated for a in answers) == 1
    assert await rows(site) == 1


async def test_a_key_stands_for_one_request(site: Site) -> None:
    await site.intake.submit(site.alert("N"), actor="duty", idempotency=Idempotency(key="k", fingerprint="one"))
    with pytest.raises(AlertRejected) as refused:
        await site.intake.submit(site.alert("N"), actor="duty", idempotency=Idempotency(key="k", fingerprint="two"))
    assert refused.value.reason is RejectReason.IDEMPOTENCY_KEY_REUSED


async def test_every_acceptance_has_a_name_in_the_audit(site: Site) -> None:
    await site.intake.submit(site.alert("N"), actor="duty officer Li")
    async with site.store.read() as c:
        rows = (await c.execute(select(audit.c.actor, audit.c.action).order_by(audit.c.seq))).all()
    assert tuple(rows[-1]) == ("duty officer Li", "alert.begin")


async def test_a_channel_that_is_down_gets_it_when_it_is_back_and_the_others_at_once(site: Site) -> None:
    site.speakers.down = True
    await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: len(site.phones.sent) == 1)
    assert site.speakers.sent == []
    site.speakers.down = False
    await until(lambda: len(site.speakers.sent) == 3)


async def test_after_a_crash_what_was_accepted_goes_out_and_what_had_gone_out_does_not(site: Site) -> None:
    site.phones.down = True
    site.speakers.answers = (Progress.SENT, Progress.FINISHED)
    await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: site.dispatch.settler.durable[Progress.FINISHED] == 3)
    await site.crash()
    site.phones.down = False
    site.speakers.sent.clear()
    await site.start()
    await until(lambda: len(site.phones.sent) == 1)
    assert site.speakers.sent == []


async def test_an_attempt_that_failed_for_now_is_made_again_with_its_number(site: Site) -> None:
    site.phones.answers = ()
    await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: len(site.phones.sent) == 1)
    site.phones.say(site.phones.sent[0], Progress.FAILED, retry_after=timedelta(milliseconds=10))
    await until(lambda: len(site.phones.sent) == 2)
    assert site.phones.sent[1].attempt == 2


async def test_a_speaker_that_owes_its_receipt_is_asked_alone(site: Site) -> None:
    site.speakers.answers = (Progress.SENT,)
    await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: len(site.speakers.sent) == 3)
    for told in site.speakers.sent[:2]:
        site.speakers.say(told, Progress.RECEIVED)
    owing = site.speakers.sent[2].endpoint.id
    await until(lambda: len(site.speakers.sent) > 3, seconds=20)
    again = site.speakers.sent[3:]
    assert ids(again) == {owing}
    assert {d.via for d in again} == {None}


async def test_a_stop_reaches_who_may_sound_and_is_recorded_with_both_times(site: Site) -> None:
    site.speakers.answers = (Progress.SENT, Progress.RECEIVED, Progress.STARTED)
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: (DeliveryKind.START, Progress.STARTED) in site.states(accepted.alert_id))
    stopped = await site.express.stop(accepted.alert_id, actor="duty")
    assert stopped.journaled
    assert ids(site.speakers.orders(Stop)) == {"SPK-N0", "SPK-N1", "SPK-N2"}
    await site.express.drain()
    async with site.store.read() as c:
        row = (await c.execute(select(audit).where(audit.c.action == "alert.stop"))).mappings().one()
        assert (await c.execute(select(alert_table.c.ended_cause))).scalar() == "stop"
    assert row["acted_at"] <= row["recorded_at"]
    assert site.journal.pending() == []


async def test_a_stop_is_answered_although_a_channel_hangs(site: Site) -> None:
    site.speakers.answers = (Progress.SENT, Progress.RECEIVED, Progress.STARTED)
    site.phones.answers = (Progress.SENT, Progress.RECEIVED)
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: len(site.speakers.sent) == 3 and len(site.phones.sent) == 1)
    await until(lambda: site.dispatch.settler.durable[Progress.STARTED] == 3)
    site.speakers.hangs = asyncio.Event()
    async with asyncio.timeout(4):  # an answer that waited for the hanging channel would never come
        stopped = await site.express.stop(accepted.alert_id, actor="duty")
    assert stopped.taken[Channel.SPEAKER] is False
    assert stopped.taken[Channel.SMS] is True
    site.speakers.hangs.set()
    await until(lambda: len(site.speakers.orders(Stop)) == 3)


async def test_what_was_not_sent_yet_is_never_sent_after_a_stop(site: Site) -> None:
    site.phones.down = True
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: len(site.speakers.sent) == 3)
    await site.express.stop(accepted.alert_id, actor="duty")
    await site.express.drain()
    site.phones.down = False
    await asyncio.sleep(1.5)  # the time after which a channel that was down is tried again
    assert site.phones.orders(Start) == []


async def test_stopping_what_is_not_live_says_so(site: Site) -> None:
    with pytest.raises(NotFound):
        await site.express.stop("anobody", actor="duty")
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    await site.express.stop(accepted.alert_id, actor="duty")
    with pytest.raises(AlertRejected) as refused:
        await site.express.stop(accepted.alert_id, actor="duty")
    assert refused.value.reason is RejectReason.NOT_LIVE


async def test_a_stop_from_the_journal_is_recorded_before_anything_is_claimed(site: Site) -> None:
    site.speakers.down = site.phones.down = True
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    live = site.live.get(accepted.alert_id, 1)
    assert live is not None
    order = Stop(
        alert_id=accepted.alert_id,
        revision=1,
        domain=live.domain,
        acted_at=site.clock.now(),
        expires=live.expires,
        actor="duty",
        cause="stop",
    )
    await site.crash()
    site.journal.append(order)  # the core died between the journal and the database
    site.speakers.down = site.phones.down = False
    await site.start()
    await asyncio.sleep(0.3)
    assert site.speakers.orders(Start) == []
    assert site.phones.orders(Start) == []
    assert site.journal.pending() == []
    await site.crash()
    site.journal.append(order)  # or between the database and the clearing of the journal
    await site.start()
    async with site.store.read() as c:
        rows = (await c.execute(select(audit).where(audit.c.action == "alert.stop"))).all()
    assert len(rows) == 1


async def test_a_stop_replayed_from_the_journal_reaches_what_may_have_gone_out(site: Site) -> None:
    site.speakers.answers = ()  # the field got it, and the core dies before it hears of that
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: len(site.speakers.sent) == 3)
    live = site.live.get(accepted.alert_id, 1)
    assert live is not None
    order = Stop(
        alert_id=accepted.alert_id,
        revision=1,
        domain=live.domain,
        acted_at=site.clock.now(),
        expires=live.expires,
        actor="duty",
        cause="stop",
    )
    await site.crash()
    site.journal.append(order)
    await site.start()
    await until(lambda: ids(site.speakers.orders(Stop)) == {"SPK-N0", "SPK-N1", "SPK-N2"})
    assert len(site.speakers.orders(Start)) == 3


async def test_a_stop_reaches_those_whose_start_was_not_acknowledged(site: Site) -> None:
    site.speakers.forgetful = True
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    await until(
        lambda: len(site.speakers.sent) == 3 and (DeliveryKind.START, Progress.QUEUED) in states(site, accepted)
    )
    site.speakers.forgetful = False
    await site.express.stop(accepted.alert_id, actor="duty")
    assert ids(site.speakers.orders(Stop)) == {"SPK-N0", "SPK-N1", "SPK-N2"}
    assert len(site.speakers.orders(Start)) == 3


async def test_a_stop_means_the_update_that_is_being_composed_too(site: Site) -> None:
    first = site.alert("N")
    accepted = await site.intake.submit(first, actor="duty")
    await until(lambda: len(site.speakers.sent) == 3)
    site.voice.clear()
    update = site.alert("N", msg_type=MsgType.UPDATE, references=(first.reference,))
    submitting = asyncio.create_task(site.intake.submit(update, actor="feed"))
    await asyncio.sleep(0.2)  # it has decided, and waits for its voice
    await site.express.stop(accepted.alert_id, actor="duty")
    site.voice.set()
    with pytest.raises(AlertRejected) as refused:
        await submitting
    assert refused.value.reason is RejectReason.NOT_LIVE
    again = await site.intake.submit(update, actor="duty")  # said once more, it is meant
    assert again.revision == 2
    await until(lambda: len(site.speakers.orders(Start)) == 6)


async def test_a_stop_means_the_update_that_is_being_stored_too(site: Site) -> None:
    first = site.alert("N")
    accepted = await site.intake.submit(first, actor="duty")
    await until(lambda: len(site.speakers.sent) == 3)
    async with busy_writer(site):
        update = site.alert("N", msg_type=MsgType.UPDATE, references=(first.reference,))
        submitting = asyncio.create_task(site.intake.submit(update, actor="feed"))
        await asyncio.sleep(0.3)  # it has decided, and waits for its turn to be stored
        await site.express.stop(accepted.alert_id, actor="duty")
    assert (await submitting).revision == 2
    await site.express.drain()
    await asyncio.sleep(1.2)  # longer than the queue is left alone
    assert len(site.speakers.orders(Start)) == 3
    assert site.live.starts_for(site.intake.registry.endpoint("SPK-N0"), site.clock.now()) == ()
    async with site.store.read() as c:
        ended = (await c.execute(select(alert_table.c.ended_at).order_by(alert_table.c.revision))).scalars().all()
    assert None not in ended


async def test_nothing_leaves_while_its_cancel_is_being_stored(site: Site) -> None:
    """Whom the Cancel tells is fixed by then: who got the start after that would sound on."""
    site.speakers.down = site.phones.down = True
    first = site.alert("N")
    await site.intake.submit(first, actor="duty")
    await asyncio.sleep(0.5)  # it is back in the queue, due within a second
    async with busy_writer(site):
        site.speakers.down = site.phones.down = False
        site.dispatch.wake(Channel)
        await asyncio.sleep(1.2)  # the lines have asked for what is due (all of it, by now), and wait for their turn
        cancel = site.alert("N", msg_type=MsgType.CANCEL, references=(first.reference,))
        submitting = asyncio.create_task(site.intake.submit(cancel, actor="duty"))
        await asyncio.sleep(0.3)
    await submitting
    await asyncio.sleep(1.2)
    assert site.speakers.orders(Start) == site.phones.orders(Start) == []


async def test_what_was_held_for_a_cancel_that_failed_goes_out(site: Site) -> None:
    site.speakers.down = True
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    with site.live.held([(accepted.alert_id, 1)]):
        site.speakers.down = False
        await asyncio.sleep(1.5)
        assert site.speakers.sent == []
    await until(lambda: len(site.speakers.orders(Start)) == 3)


async def test_an_update_goes_out_as_the_next_revision_and_ends_what_it_leaves_out(site: Site) -> None:
    site.speakers.answers = (Progress.SENT, Progress.RECEIVED, Progress.STARTED)
    first = site.alert("D")
    accepted = await site.intake.submit(first, actor="duty")
    await until(lambda: len(site.speakers.sent) == 5)
    update = site.alert("N", msg_type=MsgType.UPDATE, references=(first.reference,))
    updated = await site.intake.submit(update, actor="duty")
    assert (updated.alert_id, updated.revision) == (accepted.alert_id, 2)
    await until(lambda: len(site.speakers.orders(Stop)) == 2)
    assert ids(site.speakers.orders(Stop)) == {"SPK-S0", "SPK-S1"}
    assert {d.via for d in site.speakers.orders(Stop)} == {None}
    assert {d.endpoint.id for d in site.speakers.orders(Start) if d.order.revision == 2} == {
        "SPK-N0", "SPK-N1", "SPK-N2",
    }  # fmt: skip


async def test_an_alert_without_an_end_goes_out_and_can_be_stopped(site: Site) -> None:
    for n, year in enumerate((2099, 9999), start=1):
        alert = site.alert("N")
        forever = tuple(replace(i, expires=datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)) for i in alert.infos)
        accepted = await site.intake.submit(replace(alert, infos=forever), actor="duty")
        assert any("31" in note.say("en") for note in accepted.notes)
        await until(lambda n=n: len(site.speakers.orders(Start)) == 3 * n)  # type: ignore[misc]
        await site.express.stop(accepted.alert_id, actor="duty")
        assert len(site.speakers.orders(Stop)) == 3 * n


async def test_an_update_may_name_thousands_and_a_chain_may_have_them(site: Site) -> None:
    first = site.alert("N")
    await site.intake.submit(first, actor="duty")
    many = tuple(Reference(sender=first.sender, identifier=f"old{n}", sent=first.sent) for n in range(2500))
    update = site.alert("N", msg_type=MsgType.UPDATE, references=(*many, first.reference))
    assert (await site.intake.submit(update, actor="duty")).revision == 2
    cancel = site.alert("N", msg_type=MsgType.CANCEL, references=(many[0],))  # all 2,502 are one chain now
    assert (await site.intake.submit(cancel, actor="duty")).ended == ((first_id(first), 2),)


async def test_a_cancel_ends_the_whole_chain(site: Site) -> None:
    first = site.alert("N")
    accepted = await site.intake.submit(first, actor="duty")
    await until(lambda: len(site.speakers.sent) == 3)
    await site.intake.submit(site.alert(msg_type=MsgType.CANCEL, references=(first.reference,)), actor="duty")
    await until(lambda: len(site.speakers.orders(Stop)) == 3)
    live = site.live.get(accepted.alert_id, 1)
    assert live is not None
    assert live.ended


async def test_an_alert_whose_cancel_came_first_never_goes_out(site: Site) -> None:
    late = site.alert("N")
    await site.intake.submit(site.alert(msg_type=MsgType.CANCEL, references=(late.reference,)), actor="duty")
    accepted = await site.intake.submit(late, actor="duty")
    assert sum(accepted.targets.values()) == 0
    await asyncio.sleep(0.2)
    assert site.speakers.sent == []
    assert await rows(site) == 0


async def test_the_orders_of_an_endpoint_are_what_is_live_for_it(site: Site) -> None:
    site.speakers.answers = (Progress.SENT,)
    accepted = await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: len(site.speakers.sent) == 3)
    now, north, south = site.clock.now(), site.speakers.sent[0].endpoint, site.intake.registry.endpoint("SPK-S0")
    assert [s.alert_id for s in site.live.starts_for(north, now)] == [accepted.alert_id]
    assert site.live.starts_for(south, now) == ()
    await site.express.stop(accepted.alert_id, actor="duty")
    assert site.live.starts_for(north, now) == ()


async def test_late_means_never(site: Site) -> None:
    site.speakers.down = True
    await site.intake.submit(site.alert("N", lifetime=timedelta(seconds=2)), actor="duty")
    await asyncio.sleep(3)
    site.speakers.down = False
    await asyncio.sleep(1.5)
    assert site.speakers.orders(Start) == []
    async with site.store.read() as c:
        states = (await c.execute(select(delivery.c.progress).where(delivery.c.channel == "speaker"))).scalars()
        assert set(states) == {Progress.EXPIRED}


async def test_receipts_are_kept_once(site: Site) -> None:
    site.speakers.answers = (Progress.SENT, Progress.RECEIVED, Progress.RECEIVED, Progress.FINISHED)
    await site.intake.submit(site.alert("N"), actor="duty")
    await until(lambda: site.dispatch.settler.durable[Progress.FINISHED] == 3)
    async with site.store.read() as c:
        count = await c.scalar(select(func.count()).select_from(receipt).where(receipt.c.progress == 3))
    assert count == 3


def states(site: Site, accepted: Accepted) -> set[tuple[DeliveryKind, Progress]]:
    return set(site.states(accepted.alert_id))


@asynccontextmanager
async def busy_writer(site: Site) -> AsyncIterator[None]:
    """The database takes its time; what comes meanwhile queues for one commit."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_connection: object) -> None:
        begun.set()
        await go_on.wait()

    writing = asyncio.create_task(site.store.write(slow))
    await begun.wait()
    try:
        yield
    finally:
        go_on.set()
        await writing


def first_id(alert: Alert) -> str:
    return alert_id_of(alert.reference)


async def rows(site: Site) -> int:
    async with site.store.read() as c:
        return int(await c.scalar(select(func.count()).select_from(alert_table)) or 0)
