"""One request to the gateway, and what became of it."""

from __future__ import annotations

from typing import Final, Self

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from yarl import URL

from broadcast_core.config import Sms
from broadcast_core.i18n import _
from broadcast_core.model import Reason
from drivers.sms_gateway.wire import Answer, HttpRequest, Outcome, classify

_REPLY_BYTES: Final = 4096
_KEPT_ALIVE_S: Final = 10.0  # shorter than gateways keep theirs, so that we seldom write into a closed one


class _ConnectionLost(aiohttp.ClientError):
    """The connection broke after it was there: the request may have been read."""


async def _never_resend(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """aiohttp repeats a GET by itself when its connection breaks; a second message is ours to decide on and count."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionLost from error


class GatewayClient:
    """Kept-alive connections to the gateway. Requests hold the password, so nothing here logs or quotes one."""

    def __init__(self, settings: Sms) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.connections, keepalive_timeout=_KEPT_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_never_resend,),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def submit(self, request: HttpRequest) -> Answer:
        """Write the request and read the reply, within `timeout_s`. Never raises for what the gateway does."""
        if self._session is None:
            raise RuntimeError("the gateway's client is not open")
        url = URL(request.url, encoded=True)
        try:
            async with self._session.request(
                request.method, url, headers=request.headers, data=request.body, allow_redirects=False
            ) as response:
                return classify(self._settings.gateway, response.status, await _beginning(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            detail = f"{_('The gateway cannot be reached.')} {type(error).__name__}"
            return Answer(outcome=Outcome.RETRY, reason=Reason.CHANNEL_DOWN, detail=detail)
        except (aiohttp.ClientError, TimeoutError):
            detail = str(_("Sent, but the gateway did not answer: it may have taken the message."))
            return Answer(outcome=Outcome.UNKNOWN, reason=Reason.GATEWAY_TIMEOUT, detail=detail)


async def _beginning(response: ClientResponse) -> str:
    """As much of the reply as anybody needs."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_REPLY_BYTES):
        body += chunk
        if len(body) >= _REPLY_BYTES:
            break
    return body[:_REPLY_BYTES].decode("utf-8", "replace")
