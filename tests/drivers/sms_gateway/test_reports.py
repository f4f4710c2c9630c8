"""Delivery reports: believed only with our token, acknowledged only when durable, and strangers get little."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from broadcast_core.config import Sms
from broadcast_core.model import Batch, Channel, Progress, Reason, Receipt
from drivers.sms_gateway.arrivals import Arrivals
from drivers.sms_gateway.driver import SmsGatewayDriver
from drivers.sms_gateway.reports import Limits, ReportListener
from drivers.sms_gateway.tally import Tally
from drivers.sms_gateway.wire_token import Tokens
from simulators.sms_gateway import SmsGatewaySimulator

SECRET = b"sixteen bytes or more"
Settings = Callable[..., Sms]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Listening:
    """A report listener with nobody behind it but the test."""

    def __init__(self, settings: Sms, clock: Any, **limits: Any) -> None:
        self.tokens = Tokens(SECRET)
        self.arrivals = Arrivals(Channel.SMS)
        self.tally = Tally()
        self.believed: list[Receipt] = []
        self.listener = ReportListener(
            settings, self.tokens, clock, self.arrivals, self.tally, self.believed.append, Limits(**limits)
        )

    def url(self, token: str | None, query: str = "type=1") -> str:
        return f"{self.listener.base_url}{self.tokens.path(token)}?{query}"

    async def settle_all(self) -> None:
        async for batch in self.arrivals.batches():
            batch.settled()

    async def first(self) -> Batch:
        return await anext(aiter(self.arrivals.batches()))


async def closed_by_peer(reader: asyncio.StreamReader) -> bool:
    """Whether the other side hangs up without a word."""
    try:
        async with asyncio.timeout(10):
            return await reader.read() == b""
    except ConnectionResetError:
        return True


async def status_of(request: Any) -> int:
    async with request as response:
        return int(response.status)


async def test_200_is_said_only_when_the_report_is_durable(
    orders: Any, sms: Settings, http: aiohttp.ClientSession
) -> None:
    listening = Listening(sms("http://127.0.0.1:9/"), orders.clock)
    key = orders.key(orders.phone(1), orders.start())
    async with listening.listener:
        asking = asyncio.create_task(status_of(http.get(listening.url(listening.tokens.encode(key, 1)))))
        batch = await listening.first()
        assert [(e.key, e.progress) for e in batch.events] == [(key, Progress.FINISHED)]
        done, _ = await asyncio.wait({asking}, timeout=0.1)
        assert not done
        batch.settled()
        assert await asking == 200


async def test_what_cannot_be_made_durable_is_asked_for_again(
    orders: Any, sms: Settings, http: aiohttp.ClientSession
) -> None:
    listening = Listening(sms("http://127.0.0.1:9/"), orders.clock, durable_s=0.1)
    token = listening.tokens.encode(orders.key(orders.phone(1), orders.start()), 1)
    async with listening.listener:
        assert await status_of(http.get(listening.url(token))) == 503
        assert listening.tally.late == 1
        (await listening.first()).settled()  # late, and harmless


@pytest.mark.parametrize(
    ("kind", "progress", "reason"),
    [
        ("8", Progress.RECEIVED, None),
        ("4", Progress.RECEIVED, None),
        ("1", Progress.FINISHED, None),
        ("2", Progress.FAILED, Reason.UNDELIVERED),
        ("16", Progress.FAILED, Reason.GATEWAY_REFUSED),
    ],
)
async def test_each_type_proves_its_rung(
    kind: str, progress: Progress, reason: Reason | None, orders: Any, sms: Settings, http: aiohttp.ClientSession
) -> None:
    listening = Listening(sms("http://127.0.0.1:9/"), orders.clock)
    key = orders.key(orders.phone(1), orders.start())
    async with listening.listener:
        asking = asyncio.create_task(
            status_of(http.get(listening.url(listening.tokens.encode(key, 2), f"type={kind}")))
        )
        batch = await listening.first()
        batch.settled()
        assert await asking == 200
    (receipt,) = batch.events
    assert isinstance(receipt, Receipt)
    assert (receipt.key, receipt.progress, receipt.reason) == (key, progress, reason)
    assert receipt.detail.endswith("attempt 2")
    assert listening.believed == [receipt]


async def test_nothing_forged_or_unknown_is_believed(orders: Any, sms: Settings, http: aiohttp.ClientSession) -> None:
    listening = Listening(sms("http://127.0.0.1:9/"), orders.clock)
    key = orders.key(orders.phone(1), orders.start())
    token = listening.tokens.encode(key, 1)
    strangers = Tokens(b"another secret of length")
    async with listening.listener:
        base = listening.listener.base_url
        wrong = [
            f"{base}/",
            f"{base}/dlr",
            f"{base}/dlr/{token}?type=1",
            f"{base}{strangers.path(token)}?type=1",
            f"{base}/dlr//{token}?type=1",
            listening.url(strangers.encode(key, 1)),
            listening.url(token[:-1] + ("A" if token[-1] != "A" else "B")),
            listening.url(token + "/more"),
            listening.url(None, "type=1"),
            listening.url(None, "type=1&id=12345"),
        ]
        assert [await status_of(http.get(url)) for url in wrong] == [404] * len(wrong)
        assert await status_of(http.get(listening.url(token, "type=99"))) == 200  # not asked for again
        assert await status_of(http.put(listening.url(token))) == 405
        assert listening.tally.strangers == len(wrong) + 1
    assert listening.believed == []
    assert len(listening.arrivals) == 0


async def test_the_token_may_come_back_as_a_parameter_and_by_post(
    orders: Any, sms: Settings, http: aiohttp.ClientSession
) -> None:
    gateway = {
        "report_id_parameter": "ext",
        "report_type_parameter": "state",
        "report_delivered": ("DELIVRD",),
        "report_failed": ("UNDELIV", "EXPIRED"),
    }
    listening = Listening(sms("http://127.0.0.1:9/", gateway=gateway), orders.clock)
    key = orders.key(orders.phone(1), orders.start())
    token = listening.tokens.encode(key, 1)
    async with listening.listener:
        url = listening.url(None, "")
        settling = asyncio.create_task(listening.settle_all())
        assert await status_of(http.get(f"{url}ext={token}&state=DELIVRD")) == 200
        assert await status_of(http.post(url, data={"ext": token, "state": "EXPIRED"})) == 200
        assert await status_of(http.post(url, json={"ext": token, "state": "DELIVRD", "n": 1})) == 200
        listening.arrivals.close()
        await settling
    assert [r.progress for r in listening.believed] == [Progress.FINISHED, Progress.FAILED, Progress.FINISHED]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"x" * 20_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(500)), "application/x-www-form-urlencoded"),
        (b"[" * 16_000, "application/json"),
        (b"[]", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_body_that_is_no_report_is_refused(
    body: bytes, kind: str, orders: Any, sms: Settings, http: aiohttp.ClientSession
) -> None:
    listening = Listening(sms("http://127.0.0.1:9/"), orders.clock)
    async with listening.listener:
        url = listening.url(None, "")
        assert await status_of(http.post(url, data=body, headers={"Content-Type": kind})) == 400
    assert listening.believed == []


async def test_a_connection_that_says_nothing_or_half_a_head_is_closed(orders: Any, sms: Settings) -> None:
    listening = Listening(sms("http://127.0.0.1:9/"), orders.clock, idle_s=0.2)
    async with listening.listener:
        host, port = listening.listener.base_url.removeprefix("http://").split(":")
        for opening in (b"", b"GET /dlr/x HTTP/1.1\r\nHost: a\r\nX-Slow: "):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(opening)
            assert await closed_by_peer(reader)
            writer.close()


async def test_a_body_that_never_ends_is_given_up(orders: Any, sms: Settings) -> None:
    listening = Listening(sms("http://127.0.0.1:9/"), orders.clock)
    async with listening.listener:
        host, port = listening.listener.base_url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        path = listening.tokens.path()
        writer.write(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nid=".encode())
        started = time.monotonic()
        async with asyncio.timeout(20):
            assert (await reader.readline()).startswith(b"HTTP/1.1 408")
            await reader.read()
        assert time.monotonic() - started < 15
        writer.close()


async def test_one_connection_too_many_is_closed_and_the_others_are_served(
    orders: Any, sms: Settings, http: aiohttp.ClientSession
) -> None:
    listening = Listening(sms("http://127.0.0.1:9/"), orders.clock, connections=5)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    async with listening.listener:
        host, port = listening.listener.base_url.removeprefix("http://").split(":")
        async with http.get(f"{listening.listener.base_url}/first") as response:  # one of the five, kept alive
            assert response.status == 404
            opened = [await asyncio.open_connection(host, int(port)) for _ in range(4)]
            reader, writer = await asyncio.open_connection(host, int(port))
            assert await closed_by_peer(reader)
            writer.close()
        assert await status_of(http.get(f"{listening.listener.base_url}/again")) == 404
        for _reader, kept in opened:
            kept.close()
    gc.collect()  # a task whose exception nobody saw complains when it is collected
    assert complaints == []


async def test_doubled_late_and_swapped_reports_only_move_a_message_forward(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Any, http: aiohttp.ClientSession
) -> None:
    phone, start = orders.phone(1), orders.start()
    tokens = Tokens(SECRET)
    async with open_desk(sms(gateway.url)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 1)
        url = desk.driver.reports_url + "/" + tokens.encode(orders.key(phone, start), 1)
        for kind in ("1", "1", "8", "2", "16"):
            assert await status_of(http.get(f"{url}?type={kind}")) == 200
            assert desk.progress[orders.key(phone, start)] is Progress.FINISHED
        assert desk.driver.tally.reports == 7


async def test_a_report_for_what_an_earlier_process_sent_is_understood(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, http: aiohttp.ClientSession
) -> None:
    key = orders.key(orders.phone(1), orders.start())
    before_the_restart = Tokens(SECRET).encode(key, 1)
    async with SmsGatewayDriver(sms(gateway.url), "x", SECRET, orders.clock) as driver:
        asking = asyncio.create_task(status_of(http.get(f"{driver.reports_url}/{before_the_restart}?type=1")))
        batch = await anext(aiter(driver.listen()))
        batch.settled()
        assert await asking == 200
    assert [e.key for e in batch.events] == [key]


async def test_thousands_of_reports_come_in_groups(
    orders: Any, gateway: SmsGatewaySimulator, sms: Settings, open_desk: Any
) -> None:
    start = orders.start()
    async with open_desk(sms(gateway.url)) as desk:
        await desk.send(start, [orders.phone(n, phone="none") for n in range(1000)])  # 1,000 receipts at once
        await desk.until(lambda: desk.tally()[Progress.FAILED] == 1000)
        assert sum(desk.batches) == 1000
        assert max(desk.batches) == 256
