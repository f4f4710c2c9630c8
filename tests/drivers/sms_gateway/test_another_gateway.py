"""A gateway of another make, end to end, by configuration alone: a form is posted, JSON answers, and reports come by
POST to one address for the whole account, with names and words of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from broadcast_core.config import Sms
from broadcast_core.model import Progress, Reason

Settings = Callable[..., Sms]

CONFIGURATION: dict[str, Any] = {
    "method": "POST",
    "headers": {"X-Api-Key": "{password}"},
    "parameters": {"account": "{username}", "mobile": "{to_digits}", "content": "{text}", "extno": "{reference}"},
    "accepted_status": (200,),
    "accepted_pattern": r'"code":\s*0\b',
    "retry_pattern": r'"code":\s*107\b',
    "report_id_parameter": "extno",
    "report_type_parameter": "stat",
    "report_accepted": (),
    "report_delivered": ("DELIVRD",),
    "report_failed": ("UNDELIV", "EXPIRED"),
    "report_refused": ("REJECTD",),
}


class OtherGateway:
    """Answers 107 (too fast) to a number's first request, refuses numbers that end in 9, reports on `report_to`."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.report_to = ""
        self.url = ""
        self._asked: set[str] = set()
        self._reporting: set[asyncio.Task[None]] = set()

    async def take(self, request: web.Request) -> web.Response:
        form = await request.post()
        if request.headers.get("X-Api-Key") != "only-for-tests" or form["account"] != "tocsin":
            return web.json_response({"code": 101, "msg": "bad login"})
        mobile = str(form["mobile"])
        if mobile not in self._asked:
            self._asked.add(mobile)
            return web.json_response({"code": 107, "msg": "too fast"})
        if mobile.endswith("9"):
            return web.json_response({"code": 103, "msg": "number blocked"})
        self.texts.setdefault(mobile, []).append(str(form["content"]))
        stat = "UNDELIV" if mobile.endswith("8") else "DELIVRD"
        self._reporting.add(asyncio.create_task(self._report({"extno": str(form["extno"]), "stat": stat})))
        return web.json_response({"code": 0, "msg": "ok", "msgid": "1"})

    async def _report(self, form: dict[str, str]) -> None:
        async with aiohttp.ClientSession() as http, http.post(self.report_to, data=form) as response:
            assert response.status == 200

    async def reported(self) -> None:
        await asyncio.gather(*self._reporting)


@pytest.fixture
async def other() -> AsyncIterator[OtherGateway]:
    gateway = OtherGateway()
    app = web.Application()
    app.router.add_post("/v2/send", gateway.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v2/send"
    yield gateway
    await runner.cleanup()


async def test_another_gateway_is_configuration_not_code(
    orders: Any, sms: Settings, open_desk: Any, other: OtherGateway
) -> None:
    phones = orders.phones(30)  # three of them end in 8, three in 9
    start = orders.start("暴雨红色预警")
    async with open_desk(sms(other.url, gateway=CONFIGURATION)) as desk:
        other.report_to = desk.driver.reports_url
        await desk.send(start, phones)
        await desk.until(lambda: desk.reached(start, Progress.FINISHED) + desk.reached(start, Progress.FAILED) == 30)
        await other.reported()
        assert desk.tally() == {Progress.FINISHED: 24, Progress.FAILED: 6}
        final = [r.reason for r in desk.receipts if r.progress is Progress.FAILED and r.retry_after is None]
        assert sorted(map(str, final)) == [Reason.GATEWAY_REFUSED] * 3 + [Reason.UNDELIVERED] * 3
        assert desk.driver.tally.returned == 30
    assert len(other.texts) == 27
    assert all(texts == ["暴雨红色预警"] for texts in other.texts.values())
