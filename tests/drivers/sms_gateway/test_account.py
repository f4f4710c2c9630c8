"""The state of the gateway's account, from a real HTTP server; nothing of the password is ever said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from broadcast_core.config import Sms, SmsGateway
from broadcast_core.model import Part
from drivers.sms_gateway.account import look

PASSWORD = "p&ss word"


class Gateway:
    """Answers as told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.url = 200, "credit 120", ""
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, dict(request.query)))
        return web.Response(status=self.status, text=self.body)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    app = web.Application()
    app.router.add_get("/account", gateway.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}/account?u={{username}}&p={{password}}"
    yield gateway
    await runner.cleanup()


@pytest.fixture
def settings() -> Callable[..., Sms]:
    def make(url: str) -> Sms:
        account = SmsGateway(account_url=url, account_pattern=r"credit [1-9]")
        return Sms(gateway=account, username="tocsin", timeout_s=5)

    return make


async def test_an_account_with_credit_is_proven(gateway: Gateway, settings: Callable[..., Sms]) -> None:
    result = await look(settings(gateway.url), PASSWORD)
    assert (result.part, result.ok) == (Part.ACCOUNT, True)
    assert gateway.asked == [("GET", {"u": "tocsin", "p": PASSWORD})]


@pytest.mark.parametrize(("status", "body"), [(200, "credit 0"), (403, "credit 5"), (302, ""), (500, "")])
async def test_anything_else_is_not(gateway: Gateway, settings: Callable[..., Sms], status: int, body: str) -> None:
    gateway.status, gateway.body = status, body
    result = await look(settings(gateway.url), PASSWORD)
    assert not result.ok
    assert "p&ss" not in result.note


async def test_nobody_there_is_a_failure_without_a_secret(gateway: Gateway, settings: Callable[..., Sms]) -> None:
    result = await look(settings("http://127.0.0.1:1/x?p={password}"), PASSWORD)
    assert not result.ok
    assert "ss" not in result.note.replace("ClientConnectorError", "")
