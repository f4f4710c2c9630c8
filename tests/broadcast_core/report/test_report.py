"""Reports: numbers that add up, proof that is proof, on both databases."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from broadcast_core.errors import NotFound
from broadcast_core.i18n import _
from broadcast_core.model import Channel, DeliveryKind, MsgType, Progress, Reason
from broadcast_core.registry import Registry
from broadcast_core.report import Rung, State, encode_csv, message, report
from broadcast_core.store import Store

SPEAKERS = tuple(f"SPK-{n}" for n in range(1, 8))
DONE = (Progress.SENT, Progress.RECEIVED, Progress.STARTED, Progress.FINISHED)


async def channels_of(store: Store, registry: Registry, alert_id: str = "A") -> Any:
    return (await report(store, alert_id, registry)).revisions[0].channels


async def test_rungs_are_cumulative_and_states_add_up_to_the_targets(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", SPEAKERS)
    await ledger.claim(Channel.SPEAKER)
    await ledger.say("A", "SPK-1", Progress.SENT)
    await ledger.say("A", "SPK-2", Progress.SENT, Progress.RECEIVED)
    await ledger.say("A", "SPK-3", Progress.SENT, Progress.RECEIVED, Progress.STARTED)
    await ledger.say("A", "SPK-4", *DONE)
    await ledger.say("A", "SPK-5", *DONE, Progress.HEARD)
    await ledger.say("A", "SPK-6", Progress.SENT, Progress.RECEIVED, Progress.FAILED, reason=Reason.HARDWARE)
    count = (await channels_of(store, registry))[Channel.SPEAKER]
    assert count.targets == 7
    assert list(count.rungs.values()) == [6, 5, 3, 2, 1]
    assert {s: n for s, n in count.states.items() if n} == {
        State.CLAIMED: 1, State.SENT: 1, State.RECEIVED: 1, State.STARTED: 1, State.FAILED: 1, State.FINISHED: 2,
    }  # fmt: skip
    assert sum(count.states.values()) == count.targets
    assert count.failed == {Reason.HARDWARE: 1}


async def test_nothing_simulated_counts_as_proof(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", SPEAKERS)
    for speaker in SPEAKERS:
        await ledger.say("A", speaker, *DONE)
    count = (await channels_of(store, registry))[Channel.SPEAKER]
    assert (count.rungs[Rung.FINISHED], count.proof[Rung.FINISHED], count.simulated) == (7, 2, 5)


async def test_a_rung_without_its_own_receipt_is_proven_by_a_higher_one(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", ["SPK-1"])
    await ledger.say("A", "SPK-1", Progress.FINISHED, after=20)
    found = await report(store, "A", registry)
    assert list(found.revisions[0].channels[Channel.SPEAKER].rungs.values()) == [1, 1, 1, 1, 0]
    marks = found.deliveries[0].rungs
    assert marks[Rung.RECEIVED].at is None
    assert marks[Rung.RECEIVED].recorded_at == marks[Rung.FINISHED].recorded_at


async def test_a_phone_has_no_rung_that_it_cannot_prove(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", ["SMS-1"])
    await ledger.say("A", "SMS-1", Progress.SENT, Progress.RECEIVED, Progress.FINISHED)
    found = await report(store, "A", registry)
    assert found.revisions[0].channels[Channel.SMS].rungs == {Rung.SENT: 1, Rung.RECEIVED: 1, Rung.FINISHED: 1}
    assert set(found.deliveries[0].rungs) == {Rung.SENT, Rung.RECEIVED, Rung.FINISHED}


async def test_who_could_not_be_reached_is_a_target_that_failed(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", ["SPK-1"], unreachable=["SPK-2"])
    count = (await channels_of(store, registry))[Channel.SPEAKER]
    assert (count.targets, count.failed, count.attempts) == (2, {Reason.DISABLED: 1}, 1)


async def test_expired_deliveries_tell_why_apart_from_failed_ones(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", ["SPK-1", "SPK-2"])
    await ledger.expire("A", "SPK-1", Reason.OFFLINE)
    await ledger.say("A", "SPK-2", Progress.FAILED, reason=Reason.PREEMPTED)
    found = await report(store, "A", registry)
    count = found.revisions[0].total
    assert (count.expired, count.failed) == ({Reason.OFFLINE: 1}, {Reason.PREEMPTED: 1})
    assert found.complete


async def test_late_evidence_turns_failed_into_finished(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", ["SPK-1"])
    await ledger.say("A", "SPK-1", Progress.FAILED, reason=Reason.NO_ANSWER)
    assert (await channels_of(store, registry))[Channel.SPEAKER].states[State.FAILED] == 1
    await ledger.say("A", "SPK-1", Progress.FINISHED, after=100)
    count = (await channels_of(store, registry))[Channel.SPEAKER]
    assert (count.states[State.FINISHED], count.failed) == (1, {})


async def test_seconds_run_from_the_acceptance_to_the_record(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", SPEAKERS)
    for n, speaker in enumerate(SPEAKERS, start=1):
        await ledger.say("A", speaker, Progress.RECEIVED, after=n)
    spread = (await channels_of(store, registry))[Channel.SPEAKER].seconds[Rung.RECEIVED]
    assert (spread.first, spread.median, spread.p95, spread.last) == (1.0, 4.0, 7.0, 7.0)


async def test_a_rung_nobody_reached_has_no_seconds(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", SPEAKERS)
    assert (await report(store, "A", registry)).revisions[0].total.seconds == {}


async def test_a_message_sent_again_after_an_unanswered_attempt_is_a_possible_duplicate(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", ["SMS-1", "SMS-2", "SMS-3"])
    await ledger.claim(Channel.SMS)
    for phone, reason in (("SMS-1", Reason.GATEWAY_TIMEOUT), ("SMS-2", Reason.GATEWAY_ERROR)):
        await ledger.say("A", phone, Progress.FAILED, reason=reason, retry_after=timedelta(seconds=2))
        await ledger.again("A", phone, 2)
        await ledger.say("A", phone, Progress.SENT, attempt=2)
    await ledger.say("A", "SMS-3", Progress.FAILED, reason=Reason.GATEWAY_TIMEOUT)
    found = await report(store, "A", registry)
    count = found.revisions[0].channels[Channel.SMS]
    assert (count.possible_duplicates, count.retried, count.attempts) == (1, 2, 5)
    assert [row.endpoint_id for row in found.deliveries if row.possible_duplicate] == ["SMS-1"]


async def test_a_stop_is_proven_endpoint_by_endpoint(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", ["SPK-1", "SPK-2", "SPK-3"])
    await ledger.stop("A", ["SPK-1", "SPK-2"], after=10, reason="误报")
    await ledger.say("A", "SPK-1", Progress.RECEIVED, Progress.FINISHED, kind=DeliveryKind.STOP, after=11.5)
    found = await report(store, "A", registry)
    newest = found.revisions[0]
    assert newest.silence is not None
    silent = newest.silence.channels[Channel.SPEAKER]
    assert silent == newest.silence.total
    assert (silent.told, silent.proven) == (2, 1)
    assert silent.seconds is not None
    assert silent.seconds.last == 1.5
    assert [(u.endpoint_id, u.name, u.state) for u in newest.silence.unproven] == [("SPK-2", "喇叭 2", State.SENT)]
    assert newest.ended is not None
    assert (newest.ended.by, newest.ended.cause) == ("王主任", "stop")
    stops = [moment for moment in found.timeline if moment.what == "alert.stop"]
    assert [(m.actor, m.detail["reason"], m.at) for m in stops] == [("王主任", "误报", newest.ended.at)]
    # What was withdrawn before it was sent is stopped and needs no proof.
    assert newest.channels[Channel.SPEAKER].states[State.STOPPED] == 3


async def test_a_stop_that_failed_before_it_was_recorded_keeps_its_reason(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", ["SMS-1"])
    await ledger.say("A", "SMS-1", Progress.FAILED, kind=DeliveryKind.STOP, reason=Reason.UNSUPPORTED, after=10.1)
    await ledger.stop("A", ["SMS-1"], after=10)
    silence = (await report(store, "A", registry)).revisions[0].silence
    assert silence is not None
    assert [(u.endpoint_id, u.reason) for u in silence.unproven] == [("SMS-1", Reason.UNSUPPORTED)]


async def test_stops_are_never_counted_among_the_targets(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", ["SPK-1"])
    await ledger.stop("A", ["SPK-1"])
    found = await report(store, "A", registry)
    assert found.revisions[0].total.targets == 1
    assert {row.kind for row in found.deliveries} == {DeliveryKind.START, DeliveryKind.STOP}


async def test_revisions_are_told_apart_newest_first(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", SPEAKERS, headline="一")
    await ledger.accept("A", ["SPK-1"], revision=2, at=_later(60), headline="二")
    await ledger.say("A", "SPK-1", *DONE, after=61, revision=2)
    found = await report(store, "A", registry)
    assert [(r.revision, r.headline, r.msg_type) for r in found.revisions] == [
        (2, "二", MsgType.UPDATE), (1, "一", MsgType.ALERT),
    ]  # fmt: skip
    assert [r.total.targets for r in found.revisions] == [1, 7]
    assert found.revisions[0].total.seconds[Rung.FINISHED].first == 1.0
    assert not found.complete


async def test_the_report_says_who_let_it_out_where_and_what_to_know(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", ["SPK-1"], notes=[_("Speech failed, tone and text go out alone: {why}", why="x")])
    newest = (await report(store, "A", registry)).revisions[0]
    assert (newest.actor, newest.approval, newest.approved_by) == ("李值班", "one-person", ("李值班",))
    assert newest.area == "zone:D"
    assert newest.notes == ("Speech failed, tone and text go out alone: x",)
    assert newest.event == "暴雨"


async def test_the_timeline_has_acts_and_evidence_in_their_order(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", ["SPK-1", "SPK-2"])
    await ledger.say("A", "SPK-1", Progress.RECEIVED, after=1)
    await ledger.say("A", "SPK-2", Progress.RECEIVED, after=2)
    await ledger.stop("A", ["SPK-1"], after=3)
    found = await report(store, "A", registry)
    assert [m.what for m in found.timeline] == ["alert.begin", "first_received", "last_received", "alert.stop"]
    assert [m.at for m in found.timeline] == sorted(m.at for m in found.timeline)


async def test_a_cancel_is_in_the_report_of_what_it_ended(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", ["SPK-1"])
    await ledger.file("A", "C-1")
    found = await report(store, "A", registry)
    assert [(f.identifier, f.outcome) for f in found.filed] == [("C-1", "end")]
    assert (await message(store, "A")).identifier == "A-1"


async def test_an_alert_that_never_went_out_has_a_report_too(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.file("B", "C-1")
    found = await report(store, "B", registry)
    assert (found.revisions, found.deliveries, len(found.filed)) == ((), (), 1)
    assert (await message(store, "B")).identifier == "C-1"


async def test_an_unknown_alert_is_not_found(store: Store, registry: Registry) -> None:
    for asking in (report(store, "X", registry), message(store, "X"), message(store, "X", 2)):
        with pytest.raises(NotFound):
            await asking


async def test_an_endpoint_that_has_left_the_registry_keeps_its_evidence(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", ["SPK-1"])
    await ledger.say("A", "SPK-1", *DONE, played=timedelta(seconds=12.5))
    found = await report(store, "A", Registry())
    row = found.deliveries[0]
    assert (row.endpoint_id, row.name, row.zone, row.state) == ("SPK-1", "", "", State.FINISHED)
    assert row.played_seconds == 12.5


async def test_without_rows_only_the_rows_are_missing(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", ["SPK-1"])
    whole, short = await report(store, "A", registry), await report(store, "A", registry, rows=False)
    assert short.deliveries == ()
    assert short.revisions == whole.revisions


async def test_the_csv_has_a_line_for_each_delivery_and_runs_nothing(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", ["SPK-1", "SMS-1"])
    await ledger.say("A", "SMS-1", Progress.FAILED, reason=Reason.GATEWAY_REFUSED, detail="@SUM(1)\r\nx", after=3)
    data = encode_csv(await report(store, "A", registry))
    assert data.startswith(b"\xef\xbb\xbf")
    assert b"+999" not in data
    lines = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [line["endpoint"] for line in lines] == ["SMS-1", "SPK-1"]
    phone = lines[0]
    assert (phone["name"], phone["detail"]) == ("'=人", "'@SUM(1) x")
    assert (phone["state"], phone["reason"]) == ("failed", "gateway_refused")
    assert lines[1]["received_at"] == ""


async def test_a_report_is_json_as_it_is(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", ["SPK-1"])
    await ledger.say("A", "SPK-1", *DONE, after=2)
    read = msgspec.json.decode(msgspec.json.encode(await report(store, "A", registry)))
    assert read["revisions"][0]["channels"]["speaker"]["rungs"]["finished"] == 1
    mark = read["deliveries"][0]["rungs"]["finished"]
    assert mark == {"at": "2026-11-22T03:00:01Z", "recorded_at": "2026-11-22T03:00:02Z"}


def _later(seconds: float) -> Any:
    from datetime import UTC, datetime

    return datetime(2026, 11, 22, 3, 0, tzinfo=UTC) + timedelta(seconds=seconds)
