"""The driver against a real Kannel (bearerbox, smsbox) with its own fake centre behind it.

With `smsc = fake` Kannel reports type 8 when it has handed a message to the centre and type 1 right after it (now and
then before it), so both rungs are real here. What only a handset could say (type 2) is left to the simulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import aiohttp
import pytest

from broadcast_core.config import Sms
from broadcast_core.model import Channel, Progress, Reason
from drivers.sms_gateway.arrivals import Arrivals
from drivers.sms_gateway.client import GatewayClient
from drivers.sms_gateway.reports import Limits, ReportListener
from drivers.sms_gateway.tally import Tally
from drivers.sms_gateway.wire import Account, TextMessage, build_request, parts_of
from drivers.sms_gateway.wire_token import Tokens

FAKESMSC = Path("/usr/lib/kannel/test/fakesmsc")
BEARERBOX = Path("/usr/sbin/bearerbox")
SMSBOX = Path("/usr/sbin/smsbox")
PASSWORD = "only-for-tests"
UNROUTABLE = "+8699"

Settings = Callable[..., Sms]

CONFIGURATION = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = {password}
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
box-deny-ip = "*.*.*.*"
dlr-storage = internal

group = smsc
smsc = fake
smsc-id = centre
port = {centre}
connect-allow-ip = 127.0.0.1
denied-prefix = "{unroutable}"

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
http-request-retry = 3
http-queue-delay = 1

group = sendsms-user
username = tocsin
password = {password}
concatenation = true
max-messages = 10

group = sms-service
keyword = default
max-messages = 0
text = none
"""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait until an awaitable or plain condition holds."""
    async with asyncio.timeout(seconds):
        while True:
            held = condition()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            await asyncio.sleep(0.05)


@dataclass
class Kannel:
    """A private Kannel in a directory of its own, on ports of its own."""

    folder: Path
    ports: dict[str, int] = field(
        default_factory=lambda: dict(zip(("admin", "boxes", "centre", "sendsms"), free_ports(4), strict=True))
    )
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['sendsms']}/cgi-bin/sendsms"

    @property
    def configuration(self) -> Path:
        return self.folder / "kannel.conf"

    async def start(self) -> None:
        text = CONFIGURATION.format(password=PASSWORD, unroutable=UNROUTABLE, **self.ports)
        self.configuration.write_text(text)
        await self.run("bearerbox", BEARERBOX, "-v", "2", str(self.configuration))
        await until(lambda: self.listens("boxes"))
        await self.start_smsbox()
        await self.connect_centre()

    async def start_smsbox(self) -> None:
        await self.run("smsbox", SMSBOX, "-v", "2", str(self.configuration))
        await until(lambda: self.listens("sendsms"))
        await until(lambda: self.status_says(r"smsbox:.*on-line"))

    async def connect_centre(self) -> None:
        where = ("-H", "127.0.0.1", "-r", str(self.ports["centre"]))
        await self.run("fakesmsc", FAKESMSC, *where, "-m", "1", "100 200 text hello")
        await until(lambda: self.status_says(r"FAKE:\d+ \(online"))

    async def run(self, name: str, program: Path, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                program, *arguments, stdout=log, stderr=log, cwd=self.folder
            )

    async def end(self, name: str) -> None:
        process = self.processes.pop(name)
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def admin(self, command: str) -> str:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.ports['admin']}/{command}", params={"password": PASSWORD}) as response,
        ):
            return await response.text()

    async def status_says(self, pattern: str) -> bool:
        return re.search(pattern, await self.admin("status.txt")) is not None

    async def listens(self, port: str) -> bool:
        try:
            _reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[port])
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def at_the_centre(self, phone: str) -> list[tuple[str, bytes]]:
        """What the centre got for a phone: (kind of line, bytes or text as it printed them), in order."""
        log = (self.folder / "fakesmsc.log").read_text("utf-8", "replace")
        lines = re.findall(rf"Got message \d+: <\S+ {re.escape(phone)} (.*)>", log)
        return [_parsed(line) for line in lines]


def _parsed(line: str) -> tuple[str, bytes]:
    kind, _, rest = line.partition(" ")
    if kind == "udh":
        _header, _, rest = rest.split(" ", 2)
    return kind, rest.encode() if kind == "text" else unquote_to_bytes(rest)


@pytest.fixture
async def kannel(tmp_path: Path) -> AsyncIterator[Kannel]:
    missing = [str(program) for program in (BEARERBOX, SMSBOX, FAKESMSC) if not program.exists()]
    assert not missing, f"install Debian's kannel and kannel-extras: {missing} not found"
    kannel = Kannel(tmp_path)
    try:
        await kannel.start()
        yield kannel
    finally:
        for name in ("fakesmsc", "smsbox", "bearerbox"):
            if name in kannel.processes:
                await kannel.end(name)


@pytest.mark.parametrize(
    ("text", "kind", "on_the_air"),
    [
        ("暴雨红色预警😀", "ucs-2", "暴雨红色预警😀".encode("utf-16-be")),
        ("Storm: €5 [a] {b} ~ ^ \\ | Ç é ñ", "text", "Storm: €5 [a] {b} ~ ^ \\ | Ç é ñ".encode()),
        ("a & b = c + 100%d ?x=#", "text", b"a & b = c + 100%d ?x=#"),
    ],
    ids=["chinese", "gsm-7", "reserved characters"],
)
async def test_a_message_arrives_as_it_was_written_and_both_reports_come_back(
    text: str, kind: str, on_the_air: bytes, orders: Any, sms: Settings, open_desk: Any, kannel: Kannel
) -> None:
    phone, start = orders.phone(1), orders.start(text)
    async with open_desk(sms(kannel.url)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: len(desk.said(phone, start)) == 3)
        assert {r.progress for r in desk.said(phone, start)} == {
            Progress.SENT,
            Progress.RECEIVED,
            Progress.FINISHED,
        }
    await until(lambda: bool(kannel.at_the_centre(phone.phone)))
    assert kannel.at_the_centre(phone.phone) == [(kind, on_the_air)]


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("雨" * 670, "utf-16-be"),
        ("雨" * 71, "utf-16-be"),
        ("a€b[" * 60, "utf-8"),  # the fake centre prints GSM-7 as UTF-8
    ],
    ids=["ten parts", "two parts", "gsm-7 with its extension"],
)
async def test_a_long_message_takes_the_parts_we_counted_and_has_one_set_of_reports(
    text: str, codec: str, orders: Any, sms: Settings, open_desk: Any, kannel: Kannel
) -> None:
    phone, start = orders.phone(1), orders.start(text)
    async with open_desk(sms(kannel.url)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: len(desk.said(phone, start)) == 3)
        # Another message and its reports: by then a second set for the first one would have come.
        other = orders.start("x", alert="alert-2")
        await desk.send(other, [phone])
        await desk.until(lambda: len(desk.said(phone, other)) == 3)
        assert len(desk.said(phone, start)) == 3
    await until(lambda: ("text", b"x") in kannel.at_the_centre(phone.phone))
    parts = [data for kind, data in kannel.at_the_centre(phone.phone) if kind == "udh"]
    assert len(parts) == parts_of(text).count
    assert b"".join(parts).decode(codec) == text


async def test_a_text_that_kannel_would_cut_is_refused_before_it_sees_it(
    orders: Any, sms: Settings, open_desk: Any, kannel: Kannel
) -> None:
    """Kannel answers "accepted" and "delivered" for a text above max-messages, and sends its beginning."""
    phone, start = orders.phone(1), orders.start("雨" * 671)
    async with open_desk(sms(kannel.url, max_parts=10)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: desk.reached(start, Progress.FAILED) == 1)
        assert [r.reason for r in desk.said(phone, start)] == [Reason.TOO_LONG]
        assert kannel.at_the_centre(phone.phone) == []
    async with open_desk(sms(kannel.url, max_parts=11)) as careless:
        await careless.send(start, [phone])
        await careless.until(lambda: careless.reached(start, Progress.FINISHED) == 1)
        await until(lambda: len(kannel.at_the_centre(phone.phone)) == 10)  # of eleven


async def test_a_number_without_a_route_is_refused_for_good(
    orders: Any, sms: Settings, open_desk: Any, kannel: Kannel
) -> None:
    phone, start = orders.phone(1, phone=f"{UNROUTABLE}12345678"), orders.start()
    async with open_desk(sms(kannel.url)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: desk.driver.tally.reports == 1)  # Kannel also reports type 16
        assert desk.reached(start, Progress.FAILED) == 1
        assert {r.reason for r in desk.said(phone, start)} == {Reason.GATEWAY_REFUSED}
        assert desk.driver.tally.refused == 1
        assert desk.driver.tally.returned == 0
    assert kannel.at_the_centre(phone.phone) == []


async def test_a_wrong_password_is_tried_again_until_somebody_corrects_it(
    orders: Any, sms: Settings, open_desk: Any, kannel: Kannel
) -> None:
    phone, start = orders.phone(1), orders.start()
    async with open_desk(sms(kannel.url), password="wrong") as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: len(desk.said(phone, start)) >= 3)
        assert {r.detail for r in desk.receipts} == {"403 Authorization failed for sendsms"}
        assert desk.reached(start, Progress.CLAIMED) == 1


async def test_an_unknown_centre_is_routed_elsewhere_in_silence(
    orders: Any, sms: Settings, open_desk: Any, kannel: Kannel
) -> None:
    """Not what one would expect, and nothing a client can see: a wrong `smsc=` has to be found in Kannel's log."""
    phone, start = orders.phone(1), orders.start()
    async with open_desk(sms(kannel.url + "?smsc=no-such-centre")) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 1)
    await until(lambda: len(kannel.at_the_centre(phone.phone)) == 1)


async def test_a_suspended_kannel_does_not_answer_and_sends_nevertheless(
    orders: Any, sms: Settings, open_desk: Any, kannel: Kannel
) -> None:
    """Why a time-out is "sent, unknown": the report that comes later saves the repeat."""
    first, second = orders.phone(1), orders.phone(2)
    start = orders.start()
    async with open_desk(
        sms(kannel.url, timeout_s=1.0, retry_delay_s=60.0, retry_delay_max_s=60.0, connections=2)
    ) as desk:
        assert "suspended" in await kannel.admin("suspend")
        await desk.send(start, [first, second])  # the first still passes its router, the second waits in it
        await desk.until(lambda: desk.driver.tally.unknown >= 1)
        assert "resumed" in await kannel.admin("resume")
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 2)
        assert desk.driver.tally.possible_duplicates == 0
        unknown = [r for r in desk.receipts if r.reason is Reason.GATEWAY_TIMEOUT]
        assert unknown
        assert all(r.retry_after is not None for r in unknown)
    await until(lambda: [len(kannel.at_the_centre(p.phone)) for p in (first, second)] == [1, 1])


async def test_messages_wait_while_the_gateway_is_down_and_go_out_when_it_is_back(
    orders: Any, sms: Settings, open_desk: Any, kannel: Kannel
) -> None:
    await kannel.end("smsbox")
    phones = orders.phones(200)
    start = orders.start()
    async with open_desk(sms(kannel.url, connections=40)) as desk:
        await desk.send(start, phones)
        await desk.until(lambda: desk.driver.tally.returned >= 400)
        assert {r.reason for r in desk.receipts} == {Reason.CHANNEL_DOWN}
        await kannel.start_smsbox()
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 200, 30)
    await until(lambda: [len(kannel.at_the_centre(p.phone)) for p in phones] == [1] * 200)


async def test_a_queueing_kannel_is_sent_not_received_until_its_centre_is_back(
    orders: Any, sms: Settings, open_desk: Any, kannel: Kannel
) -> None:
    await kannel.end("fakesmsc")
    await until(lambda: kannel.status_says("re-connecting"))
    phone, start = orders.phone(1), orders.start()
    async with open_desk(sms(kannel.url)) as desk:
        await desk.send(start, [phone])
        await desk.until(lambda: desk.reached(start, Progress.SENT) == 1)
        assert desk.said(phone, start)[0].detail == "202 3: Queued for later delivery"
        await kannel.connect_centre()
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) == 1, 30)


async def test_a_report_that_we_could_not_take_is_asked_for_again_by_kannel(
    orders: Any, sms: Settings, kannel: Kannel
) -> None:
    """With http-request-retry set; by default Kannel drops a report that was not answered with 2xx."""
    settings, tokens, arrivals, tally = sms(kannel.url), Tokens(b"0" * 16), Arrivals(Channel.SMS), Tally()
    key = orders.key(orders.phone(1), orders.start())
    listener = ReportListener(settings, tokens, orders.clock, arrivals, tally, lambda _: None, Limits(durable_s=0.1))
    async with listener, GatewayClient(settings) as client:
        message = TextMessage(
            to="+861000000001",
            text="x",
            reference="",
            dlr_url=listener.base_url + tokens.path(tokens.encode(key, 1)),
            valid_for=timedelta(minutes=5),
        )
        account = Account(username="tocsin", password=PASSWORD, sender="12345")
        await client.submit(build_request(settings.gateway, account, message))
        await until(lambda: tally.late == 2)  # nobody made the two reports durable
        durable = []
        async with asyncio.timeout(20):
            async for batch in arrivals.batches():
                batch.settled()
                durable += batch.events
                if len(durable) == 4:
                    break
        assert Counter(r.progress for r in durable) == {Progress.RECEIVED: 2, Progress.FINISHED: 2}
        await until(lambda: tally.reports == 4)
