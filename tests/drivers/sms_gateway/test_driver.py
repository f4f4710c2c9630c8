"""The driver against the simulated gateway: what was said is what happened to the phones."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from broadcast_core.config import Listener, Sms
from broadcast_core.errors import DriverUnavailable
from broadcast_core.model import (
    Channel,
    Domain,
    Level,
    Progress,
    Query,
    Reason,
    SirenPattern,
    Sounded,
)
from drivers.sms_gateway.driver import SmsGatewayDriver
from simulators.sms_gateway import Faults, Reply, SmsGatewaySimulator

Settings = Callable[..., Sms]
Open = Callable[..., Any]


async def test_every_phone_rings_once_and_every_rung_is_proven(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    phones = orders.phones(300)
    start = orders.start("暴雨红色预警：请立即转移。")
    async with open_desk(sms(gateway.url)) as desk:
        await desk.send(start, phones)
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 300)
        assert all(gateway.rung(p.phone) == 1 for p in phones)
        assert {a.text for a in gateway.log} == {"暴雨红色预警：请立即转移。"}
        assert {a.coding for a in gateway.log} == {"2"}
        for phone in phones:
            rungs = {r.progress for r in desk.said(phone, start)}
            assert rungs == {Progress.SENT, Progress.RECEIVED, Progress.FINISHED}


async def test_each_recipient_reads_their_own_language(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    start = orders.start((("zh-CN", "暴雨"), ("en-US", "Rainstorm")))
    chinese, english, neither = orders.phone(1), orders.phone(2, language="en"), orders.phone(3, language="fr")
    async with open_desk(sms(gateway.url)) as desk:
        await desk.send(start, [chinese, english, neither])
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 3)
    texts = [gateway.messages_to(p.phone)[0].text for p in (chinese, english, neither)]
    assert texts == ["暴雨", "Rainstorm", "暴雨"]


async def test_what_cannot_go_out_whole_or_at_all_fails_with_its_reason_and_nothing_is_sent(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    pattern = SirenPattern(id="p", name_zh="p", name_en="p", steps=((timedelta(1), timedelta(1)),))
    phone = orders.phone(1)
    cases = [
        (orders.start("雨" * 67 * 2 + "雨", alert="long"), phone, Reason.TOO_LONG),
        (orders.start(alert="number"), orders.phone(2, phone="13800000000"), Reason.NUMBER_INVALID),
        (orders.start(alert="none"), orders.phone(3, phone=None), Reason.NUMBER_INVALID),
        (orders.start(alert="silent", silent=True), phone, Reason.UNSUPPORTED),
        (orders.start(alert="empty", text=" "), phone, Reason.CONTENT_UNAVAILABLE),
        (orders.start(alert="nothing", text=()), phone, Reason.CONTENT_UNAVAILABLE),
        (orders.start(alert="half", text="\ud83d"), phone, Reason.CONTENT_UNAVAILABLE),
        (
            orders.start(alert="siren", content=Sounded(pattern=pattern, max_on=timedelta(1))),
            phone,
            Reason.UNSUPPORTED,
        ),
    ]
    async with open_desk(sms(gateway.url, max_parts=2)) as desk:
        for start, endpoint, _reason in cases:
            await desk.send(start, [endpoint])
        await desk.until(lambda: desk.tally()[Progress.FAILED] == len(cases))
        assert [desk.said(e, s)[0].reason for s, e, _ in cases] == [reason for _, _, reason in cases]
    assert gateway.log == []


async def test_a_text_of_exactly_the_allowed_parts_arrives_whole(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    text = "雨" * 670
    async with open_desk(sms(gateway.url, max_parts=10)) as desk:
        start = orders.start(text)
        await desk.send(start, [orders.phone(1)])
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 1)
    assert gateway.log[0].text == text


async def test_a_gateway_that_answers_500_gets_the_message_when_it_recovers(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    gateway.faults = Faults(error=1.0)
    phones = orders.phones(20)
    start = orders.start()
    async with open_desk(sms(gateway.url)) as desk:
        await desk.send(start, phones)
        await desk.until(lambda: len(gateway.log) >= 60)
        assert desk.tally()[Progress.CLAIMED] == 20
        gateway.faults = Faults()
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 20)
        failures = [r for r in desk.receipts if r.progress is Progress.FAILED]
        assert {r.reason for r in failures} == {Reason.GATEWAY_ERROR}
        assert all(r.retry_after is not None for r in failures)
    assert all(gateway.rung(p.phone) == 1 for p in phones)


async def test_a_gateway_that_is_gone_is_waited_for_with_growing_pauses(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    await gateway.go_down()
    phone, start = orders.phone(1), orders.start()
    async with open_desk(sms(gateway.url)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: len(desk.said(phone, start)) >= 4)
        await gateway.come_back()
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 1)
        failures = [r for r in desk.said(phone, start) if r.progress is Progress.FAILED]
        assert {r.reason for r in failures} == {Reason.CHANNEL_DOWN}
        waits = [r.retry_after.total_seconds() for r in failures]
        assert waits[:4] == [0.05, 0.1, 0.2, 0.2]  # doubled up to retry_delay_max_s
    assert gateway.rung(phone.phone) == 1


async def test_a_time_out_is_sent_unknown_and_repeated_once_and_counted(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    gateway.faults = Faults(hangs=1.0, lost_reports=1.0)
    phone, start = orders.phone(1), orders.start()
    async with open_desk(sms(gateway.url, timeout_s=0.2)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: desk.reached(start, Progress.FAILED) == 1)
        first, second = desk.said(phone, start)
        assert (first.reason, first.retry_after) == (Reason.GATEWAY_TIMEOUT, timedelta(seconds=0.05))
        assert (second.reason, second.retry_after) == (Reason.GATEWAY_TIMEOUT, None)
        assert (desk.driver.tally.unknown, desk.driver.tally.possible_duplicates) == (2, 1)
        await desk.driver.send(orders.deliveries(start, [phone]))  # not even when asked again
        await desk.until(lambda: len(desk.said(phone, start)) == 3)
    assert gateway.rung(phone.phone) == 2


async def test_the_repeat_that_succeeds_says_that_it_may_be_a_duplicate(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    gateway.faults = Faults(hangs=1.0, lost_reports=1.0)
    phone, start = orders.phone(1), orders.start()
    async with open_desk(sms(gateway.url, timeout_s=0.2)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: bool(gateway.log))
        gateway.faults = Faults()
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 1)
        sent = next(r for r in desk.said(phone, start) if r.progress is Progress.SENT)
        assert sent.detail.startswith("Possible duplicate")
        assert desk.driver.tally.possible_duplicates == 1


async def test_a_report_during_the_silence_saves_the_repeat(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    gateway.faults = Faults(hangs=1.0)
    phones = orders.phones(5)
    start = orders.start()
    async with open_desk(sms(gateway.url, timeout_s=0.5)) as desk:
        await desk.send(start, phones)
        await desk.until(lambda: desk.driver.tally.unknown == 5)
        await desk.until(lambda: all(len(desk.said(p, start)) == 3 for p in phones))
        assert desk.reached(start, Progress.FINISHED) == 5
        assert not any(r.progress is Progress.FAILED for r in desk.receipts)
    assert all(gateway.rung(p.phone) == 1 for p in phones)


async def test_a_broken_connection_is_not_repeated_behind_our_back(
    orders: Any, sms: Settings, open_desk: Open
) -> None:
    requests = 0

    async def read_and_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1
        writer.close()

    server = await asyncio.start_server(read_and_hang_up, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/cgi-bin/sendsms"
        phone, start = orders.phone(1), orders.start()
        async with open_desk(sms(url)) as desk:
            await desk.send(start, [phone])
            await desk.until(lambda: desk.reached(start, Progress.FAILED) == 1)
            assert [r.reason for r in desk.said(phone, start)] == [Reason.GATEWAY_TIMEOUT] * 2
            assert requests == 2  # the first, and the one repeat that dispatch was allowed


async def test_a_refusal_is_final_and_a_wrong_password_is_not(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    gateway.faults = Faults(refused=1.0)
    phone, start = orders.phone(1), orders.start()
    async with open_desk(sms(gateway.url)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: desk.reached(start, Progress.FAILED) == 1)
        (refused,) = desk.said(phone, start)
        assert (refused.reason, refused.retry_after) == (Reason.GATEWAY_REFUSED, None)
        assert refused.detail == "403 Not routable. Do not try again."
    async with open_desk(sms(gateway.url), password="wrong") as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: len(desk.said(phone, start)) >= 2)
        assert all(r.reason is Reason.GATEWAY_REFUSED for r in desk.receipts)
        assert all(r.retry_after is not None for r in desk.receipts)
        assert desk.reached(start, Progress.CLAIMED) == 1


async def test_nothing_is_sent_after_the_alert_has_expired(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    phones = orders.phones(30)
    start = orders.start(lifetime=0.5)
    async with open_desk(sms(gateway.url, rate_per_second=20.0)) as desk:
        await desk.send(start, phones)
        await desk.until(lambda: not desk.tally()[Progress.CLAIMED])
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == len(gateway.log))
        expired = desk.reached(start, Progress.EXPIRED)
        assert expired + len(gateway.log) == 30
        assert expired >= 15
        assert desk.driver.tally.expired == expired


async def test_a_stop_withdraws_what_is_unsent_and_owns_up_to_the_rest(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    phones = orders.phones(100)
    start, stop = orders.start(), orders.stop()
    async with open_desk(sms(gateway.url, rate_per_second=50.0, connections=2)) as desk:
        await desk.send(start, phones)
        await desk.until(lambda: len(gateway.log) >= 5)
        await desk.send(stop, phones)
        rung = len(gateway.log)
        await desk.until(lambda: desk.reached(stop, Progress.FINISHED) + desk.reached(stop, Progress.FAILED) == 100)
        await desk.until(
            lambda: desk.reached(start, Progress.FINISHED) + desk.reached(start, Progress.STOPPED) == 100
        )
        assert len(gateway.log) <= rung + 2  # those that were being written
        for phone in phones:
            rang = gateway.rung(phone.phone) == 1
            assert desk.progress[orders.key(phone, start)] is (Progress.FINISHED if rang else Progress.STOPPED)
            assert desk.progress[orders.key(phone, stop)] is (Progress.FAILED if rang else Progress.FINISHED)
            if rang:
                assert desk.said(phone, stop)[-1].reason is Reason.UNSUPPORTED
        await desk.driver.send(orders.deliveries(start, phones))  # a late retry of a stopped alert
        await desk.until(lambda: not desk.driver._ledger.waiting)
        assert len(gateway.log) <= rung + 2


async def test_a_stop_leaves_newer_revisions_and_other_alerts_alone(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    phones = orders.phones(10)
    old, new, other = orders.start("old"), orders.start("new", revision=2), orders.start("other", alert="alert-2")
    async with open_desk(sms(gateway.url, rate_per_second=200.0)) as desk:
        for start in (old, new, other):
            await desk.send(start, phones)
        await desk.send(orders.stop(revision=1), phones)
        await desk.until(lambda: desk.reached(new, Progress.FINISHED) == desk.reached(other, Progress.FINISHED) == 10)
    assert sum(a.text == "old" for a in gateway.log) <= 10
    assert sum(a.text == "new" for a in gateway.log) == sum(a.text == "other" for a in gateway.log) == 10


async def test_a_stop_for_what_an_earlier_process_sent_does_not_claim_success(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    phone, stop = orders.phone(1), orders.stop()
    async with open_desk(sms(gateway.url)) as desk:
        await desk.send(stop, [phone])
        await desk.until(lambda: desk.reached(stop, Progress.FAILED) == 1)
        assert desk.said(phone, stop)[-1].reason is Reason.UNSUPPORTED


async def test_a_stop_during_a_silent_request_ends_the_message_without_a_repeat(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    gateway.faults = Faults(hangs=1.0, lost_reports=1.0)
    phone, start, stop = orders.phone(1), orders.start(), orders.stop()
    async with open_desk(sms(gateway.url, timeout_s=0.3)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: bool(gateway.log))
        await desk.send(stop, [phone])
        await desk.until(lambda: desk.reached(start, Progress.FAILED) == desk.reached(stop, Progress.FAILED) == 1)
        (unknown,) = desk.said(phone, start)
        assert (unknown.reason, unknown.retry_after) == (Reason.GATEWAY_TIMEOUT, None)
    assert gateway.rung(phone.phone) == 1


async def test_a_delivery_that_is_handed_over_twice_rings_once(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    phones = orders.phones(20)
    start = orders.start()
    async with open_desk(sms(gateway.url, rate_per_second=100.0)) as desk:
        for _ in range(3):
            await desk.send(start, phones)
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 20)
        await desk.send(start, phones)
        await desk.until(lambda: not desk.driver._ledger.waiting)
    assert [gateway.rung(p.phone) for p in phones] == [1] * 20


async def test_a_graver_alert_does_not_wait_behind_a_lighter_one(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    phones = orders.phones(40)
    blue, red = orders.start("blue", alert="b", level=Level.BLUE), orders.start("red", alert="r")
    async with open_desk(sms(gateway.url, rate_per_second=100.0, connections=2)) as desk:
        await desk.send(blue, phones)
        await desk.until(lambda: len(gateway.log) >= 3)
        await desk.send(red, phones)
        before = len(gateway.log)
        await desk.until(lambda: len(gateway.log) == 80)
    texts = [a.text for a in gateway.log]
    assert "blue" not in texts[before + 5 : before + 40]


async def test_the_account_is_not_overrun(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    rate, count = 200.0, 300
    async with open_desk(sms(gateway.url, rate_per_second=rate)) as desk:
        start = orders.start()
        await desk.send(start, orders.phones(count))
        await desk.until(lambda: len(gateway.log) == count)
    times = sorted(a.at for a in gateway.log)
    assert all(a <= b for a, b in pairwise(times))
    busiest = max(bisect_left(times, t + 0.5) - i for i, t in enumerate(times))
    assert busiest <= rate * 0.5 * 1.5  # half a second's worth, with room for a noisy machine
    assert times[-1] - times[0] >= count / rate * 0.8


async def test_states_add_up_at_every_moment_whatever_goes_wrong(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    """The desk asserts the sum after each batch; at the end the phones' side is compared as well."""
    gateway.faults = Faults(
        error=0.15, busy=0.1, refused=0.1, hangs=0.03, rejected=0.1, undelivered=0.1, lost_reports=0.1,
        doubled_reports=0.2, swapped_reports=0.2, unknown_reports=0.1,
    )  # fmt: skip
    phones = orders.phones(400)
    start, stop = orders.start(), orders.stop()
    async with open_desk(sms(gateway.url, rate_per_second=800.0, timeout_s=0.5, connections=20)) as desk:
        await desk.send(start, phones)
        await desk.until(lambda: len(gateway.log) >= 200)
        await desk.send(stop, phones[300:])
        await desk.until(lambda: not desk.reached(start, Progress.CLAIMED))
        await desk.until(lambda: not gateway.reporter.pending)
        await desk.until(lambda: desk.reached(stop, Progress.FINISHED) + desk.reached(stop, Progress.FAILED) == 100)
        tally = desk.driver.tally
        answered = [a.reply for a in gateway.log]
        assert tally.accepted == answered.count(Reply.ACCEPTED)
        assert tally.unknown == answered.count(Reply.HANGS)
        assert tally.refused == answered.count(Reply.REFUSED)
        for phone in phones:
            progress = desk.progress[orders.key(phone, start)]
            if progress in {Progress.FINISHED, Progress.RECEIVED, Progress.SENT}:
                assert gateway.rung(phone.phone) >= 1
            if progress is Progress.STOPPED:
                assert gateway.rung(phone.phone) <= 1
            assert gateway.rung(phone.phone) <= 2
        rung_twice = sum(gateway.rung(p.phone) == 2 for p in phones)
        assert rung_twice <= tally.possible_duplicates
        # A report for an id that was never given away is refused, every true one is taken.
        assert set(gateway.reporter.answers) <= {(False, 200), (True, 404)}
        assert gateway.reporter.answers[True, 404] > 0


async def test_what_phones_cannot_do_is_ignored_quietly(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    query = Query(alert_id="alert-1", revision=1, domain=Domain.LIVE, expires=orders.clock.now())
    phone, start = orders.phone(1), orders.start()
    async with open_desk(sms(gateway.url)) as desk:
        await desk.driver.send([replace(orders.deliveries(start, [phone])[0], order=query)])
        await desk.send(start, [phone])
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 1)
        assert len(desk.receipts) == 3


async def test_a_driver_that_is_not_running_says_so(orders: Any, gateway: SmsGatewaySimulator, sms: Settings) -> None:
    driver = SmsGatewayDriver(sms(gateway.url), "x", b"0123456789abcdef", orders.clock)
    with pytest.raises(DriverUnavailable):
        await driver.send([])
    async with driver:
        await driver.send([])
    with pytest.raises(DriverUnavailable):
        await driver.send([])


async def test_an_address_that_is_taken_is_said_at_the_start(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings
) -> None:
    taken = int(gateway.url.split(":")[2].split("/")[0])
    driver = SmsGatewayDriver(sms(gateway.url, reports=Listener(port=taken)), "x", b"0123456789abcdef", orders.clock)
    with pytest.raises(DriverUnavailable) as caught:
        async with driver:
            pass
    assert caught.value.channel is Channel.SMS


async def test_leaving_waits_for_the_answers_to_what_is_being_sent(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Open
) -> None:
    gateway.faults = Faults(lost_reports=1.0)
    phones = orders.phones(200)
    start = orders.start()
    async with open_desk(sms(gateway.url)) as desk:
        await desk.send(start, phones)
        await desk.until(lambda: len(gateway.log) >= 20)
    accepted = sum(a.reply is Reply.ACCEPTED for a in gateway.log)
    assert sum(p > Progress.CLAIMED for p in desk.progress.values()) == accepted
