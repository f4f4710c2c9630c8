"""The simulated gateway speaks as Kannel does, and goes wrong exactly as it is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from simulators.sms_gateway import Faults, Reply, SmsGatewaySimulator, Timing
from simulators.sms_gateway.faults import fate_of

PASSWORD = "only-for-tests"
PROMPT = Timing(accepted_s=0.0, delivered_s=0.02)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


class Sender:
    """Somebody who sends messages and gets reports."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.reports: list[str] = []
        self.statuses: list[int] = []  # what to answer next; 200 when used up
        self.base = ""

    async def take_report(self, request: web.BaseRequest) -> web.Response:
        self.reports.append(str(request.rel_url))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    async def send(self, gateway: SmsGatewaySimulator, to: str = "+861012345678", **more: str) -> tuple[int, str]:
        query = {
            "username": "tocsin",
            "password": PASSWORD,
            "to": to,
            "text": "暴雨",
            "coding": "2",
            "dlr-mask": "31",
            "dlr-url": f"{self.base}/dlr/abc?type=%d&to=%p",
            **more,
        }
        async with self.http.get(gateway.url, params=query) as response:
            return response.status, await response.text()


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        sender = Sender(http)
        runner = web.ServerRunner(web.Server(sender.take_report, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sender.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield sender
        await runner.cleanup()


@pytest.fixture
async def gateway(sender: Sender) -> AsyncIterator[SmsGatewaySimulator]:
    """Ends before its sender does, so that every report finds somebody."""
    async with SmsGatewaySimulator(password=PASSWORD, timing=PROMPT) as simulator:
        yield simulator
        await until(lambda: not simulator.reporter.pending)


async def test_an_accepted_message_is_logged_redacted_and_reported_twice(
    gateway: SmsGatewaySimulator, sender: Sender
) -> None:
    assert await sender.send(gateway) == (202, "0: Accepted for delivery")
    await until(lambda: len(sender.reports) == 2)
    assert sender.reports == ["/dlr/abc?type=8&to=%2B861012345678", "/dlr/abc?type=1&to=%2B861012345678"]
    (arrival,) = gateway.log
    assert (arrival.text, arrival.coding, arrival.reply) == ("暴雨", "2", Reply.ACCEPTED)
    assert "12345678" not in repr(gateway.log)
    assert gateway.messages_to("+861012345678") == [arrival]
    assert gateway.rung("+861012345679") == 0


@pytest.mark.parametrize(
    ("mask", "types"), [("0", []), ("1", ["1"]), ("8", ["8"]), ("24", ["8"]), ("31", ["8", "1"]), ("x", [])]
)
async def test_only_the_reports_that_the_mask_asks_for_are_sent(
    mask: str, types: list[str], gateway: SmsGatewaySimulator, sender: Sender
) -> None:
    await sender.send(gateway, **{"dlr-mask": mask, "dlr-url": f"{sender.base}/?%d"})
    await until(lambda: not gateway.reporter.pending)
    assert sender.reports == [f"/?{t}" for t in types]


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"password": "wrong"}, 403, "Authorization failed for sendsms"),
        ({"to": ""}, 400, "Empty receiver number not allowed, rejected"),
    ],
)
async def test_what_kannel_refuses_is_refused_in_its_words(
    more: dict[str, str], status: int, words: str, gateway: SmsGatewaySimulator, sender: Sender
) -> None:
    assert await sender.send(gateway, **more) == (status, words)
    assert gateway.log == []


@pytest.mark.parametrize(
    ("faults", "status", "types"),
    [
        (Faults(error=1), 500, []),
        (Faults(busy=1), 503, []),
        (Faults(refused=1), 403, []),
        (Faults(rejected=1), 202, ["16"]),
        (Faults(undelivered=1), 202, ["8", "2"]),
        (Faults(lost_reports=1), 202, []),
        (Faults(doubled_reports=1), 202, ["8", "8", "1", "1"]),
        (Faults(swapped_reports=1), 202, ["1", "8"]),
    ],
)
async def test_each_fault_does_what_it_says_and_is_switched_while_it_runs(
    faults: Faults, status: int, types: list[str], gateway: SmsGatewaySimulator, sender: Sender
) -> None:
    gateway.faults = faults
    assert (await sender.send(gateway))[0] == status
    await until(lambda: not gateway.reporter.pending)
    assert [r.split("type=")[1].split("&")[0] for r in sender.reports] == types
    gateway.faults = Faults()
    assert (await sender.send(gateway))[0] == 202


async def test_an_unknown_report_has_an_id_of_its_own(gateway: SmsGatewaySimulator, sender: Sender) -> None:
    gateway.faults = Faults(unknown_reports=1)
    await sender.send(gateway)
    await until(lambda: not gateway.reporter.pending)
    assert Counter(r.split("?")[0] for r in sender.reports) == {"/dlr/abc": 2, "/dlr/abA": 1}


async def test_a_hanging_request_is_never_answered_and_the_phone_rings(
    gateway: SmsGatewaySimulator, sender: Sender
) -> None:
    gateway.faults = Faults(hangs=1)
    asking = asyncio.create_task(sender.send(gateway))
    await until(lambda: len(sender.reports) == 2)
    assert not asking.done()
    assert gateway.rung("+861012345678") == 1
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_report_that_is_not_taken_is_sent_again(gateway: SmsGatewaySimulator, sender: Sender) -> None:
    sender.statuses = [503, 500]
    await sender.send(gateway, **{"dlr-mask": "1"})
    await until(lambda: not gateway.reporter.pending)
    assert len(sender.reports) == 3
    assert gateway.reporter.answers == {(False, 200): 1}


async def test_it_goes_down_and_comes_back_on_the_same_port(gateway: SmsGatewaySimulator, sender: Sender) -> None:
    url = gateway.url
    await gateway.go_down()
    with pytest.raises(aiohttp.ClientConnectorError):
        await sender.send(gateway)
    await gateway.come_back()
    assert gateway.url == url
    assert (await sender.send(gateway))[0] == 202


def test_the_same_seed_has_the_same_faults_in_any_order() -> None:
    faults = Faults(error=0.2, hangs=0.1, undelivered=0.3, doubled_reports=0.2, swapped_reports=0.2)
    phones = [f"+8610{n:08d}" for n in range(500)]

    def fates(order: list[str], seed: int) -> dict[str, Any]:
        return {p: fate_of(faults, PROMPT, seed=seed, phone=p, nth=0, mask=31) for p in order}

    assert fates(phones, 1) == fates(phones[::-1], 1)
    assert fates(phones, 1) != fates(phones, 2)
    replies = Counter(f.reply for f in fates(phones, 1).values())
    assert 60 <= replies[Reply.ERROR] <= 140
    assert 25 <= replies[Reply.HANGS] <= 80


def test_one_fault_does_not_move_the_others() -> None:
    phones = [f"+8610{n:08d}" for n in range(300)]

    def failing(faults: Faults) -> set[str]:
        return {p for p in phones if fate_of(faults, PROMPT, seed=1, phone=p, nth=0, mask=31).reply is Reply.ERROR}

    assert failing(Faults(error=0.2)) == failing(Faults(error=0.2, undelivered=0.5, doubled_reports=0.9, hangs=0.2))
