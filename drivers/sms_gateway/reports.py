"""The listener for delivery reports.

It stands open to strangers, so everything is bounded, and only what carries our secret and our token is believed.
200 is said when the report is durable, 503 when that takes too long (the gateway asks again), 404 to what we never
gave away.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from broadcast_core.clock import Clock
from broadcast_core.config import Sms, SmsGateway
from broadcast_core.errors import DriverUnavailable
from broadcast_core.model import Channel, Progress, Reason, Receipt
from drivers.sms_gateway.arrivals import Arrivals
from drivers.sms_gateway.tally import Tally
from drivers.sms_gateway.wire import Report, report_of
from drivers.sms_gateway.wire_token import Tokens

log = structlog.get_logger(__name__)

_BODY_BYTES: Final = 16_384
_BODY_S: Final = 2.0
_WAITING: Final = 20_000  # receipts that nobody has taken up; beyond it the gateway has to ask again

# What a report proves: the rung, and the reason if it is a failure.
_PROVES: Final[Mapping[Report, tuple[Progress, Reason | None]]] = {
    Report.ACCEPTED: (Progress.RECEIVED, None),
    Report.DELIVERED: (Progress.FINISHED, None),
    Report.FAILED: (Progress.FAILED, Reason.UNDELIVERED),
    Report.REFUSED: (Progress.FAILED, Reason.GATEWAY_REFUSED),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a stranger may take from the listener."""

    connections: int = 600  # Kannel reports on up to 512 at a time (max-pending-requests)
    idle_s: float = 15.0  # also for a request whose head does not end
    durable_s: float = 5.0


class _Server(web.Server):
    """aiohttp's, with a cap on connections."""

    def __init__(self, handler: Callable[[web.BaseRequest], Any], limits: Limits) -> None:
        super().__init__(
            handler, access_log=None, keepalive_timeout=limits.idle_s, lingering_time=1.0, auto_decompress=False
        )
        self._cap = limits.connections

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > self._cap:
            # Not at once: aiohttp has yet to start the task that it ends when the connection is lost.
            asyncio.get_running_loop().call_soon(transport.abort)


class ReportListener:
    """`async with` listens; every believed report goes to `believed` first, then to `arrivals`."""

    def __init__(
        self,
        settings: Sms,
        tokens: Tokens,
        clock: Clock,
        arrivals: Arrivals,
        tally: Tally,
        believed: Callable[[Receipt], None],
        limits: Limits = Limits(),
    ) -> None:
        self._settings = settings
        self._gateway: SmsGateway = settings.gateway
        self._tokens = tokens
        self._clock = clock
        self._arrivals = arrivals
        self._tally = tally
        self._believed = believed
        self._limits = limits
        self._runner: web.ServerRunner | None = None
        self.base_url = settings.reports.public_url or ""

    async def __aenter__(self) -> Self:
        """Raises DriverUnavailable if the address cannot be had."""
        where = self._settings.reports
        self._runner = web.ServerRunner(_Server(self._answer, self._limits), shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, where.host, where.port).start()
        except OSError as error:
            await self._runner.cleanup()
            detail = f"cannot listen for delivery reports on {where.host}:{where.port}: {error.strerror}"
            raise DriverUnavailable(Channel.SMS, detail) from error
        host, port = self._runner.addresses[0][:2]
        self.base_url = (where.public_url or f"http://{host}:{port}").rstrip("/")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.method not in {"GET", "POST"}:
            return web.Response(status=405, headers={"Allow": "GET, POST"})
        _empty, dlr, secret, token = (*request.path.split("/", 3), "", "", "", "")[:4]
        if dlr != "dlr" or not self._tokens.opens(secret):
            return self._stranger("path")
        try:
            parameters = {**request.query, **await _body_parameters(request)}
        except TimeoutError:
            return web.Response(status=408)
        except ValueError as error:
            log.info("delivery report not understood", detail=str(error))
            return web.Response(status=400)
        reported = self._tokens.decode(token or parameters.get(self._gateway.report_id_parameter, ""))
        if reported is None:
            return self._stranger("token")
        report = report_of(self._gateway, parameters.get(self._gateway.report_type_parameter, ""))
        if report is None:
            self._tally.strangers += 1
            log.info("delivery report of an unknown type", endpoint=reported.key.endpoint_id)
            return web.Response(status=200)  # asking again would not make it known
        progress, reason = _PROVES[report]
        receipt = Receipt(
            key=reported.key,
            progress=progress,
            at=self._clock.now(),
            reason=reason,
            detail=f"{report.value}, attempt {reported.attempt}",
        )
        return await self._settle(receipt)

    async def _settle(self, receipt: Receipt) -> web.Response:
        self._tally.reports += 1
        self._believed(receipt)
        if len(self._arrivals) >= _WAITING:
            return self._late()
        try:
            async with asyncio.timeout(self._limits.durable_s):
                await self._arrivals.report(receipt)
        except TimeoutError:
            return self._late()
        return web.Response(status=200)

    def _stranger(self, what: str) -> web.Response:
        self._tally.strangers += 1
        log.debug("delivery report refused", wrong=what)  # counted; a flood of them must not fill the log
        return web.Response(status=404)

    def _late(self) -> web.Response:
        self._tally.late += 1
        return web.Response(status=503, headers={"Retry-After": "5"})


async def _body_parameters(request: web.BaseRequest) -> Mapping[str, str]:
    """The parameters in the body of a POST, a form or one flat JSON object.

    Raises ValueError if they are neither or too large, TimeoutError if they come too slowly.
    """
    if request.method != "POST":
        return {}
    body = bytearray()
    async with asyncio.timeout(_BODY_S):
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > _BODY_BYTES:
                raise ValueError("too large")
    if request.content_type != "application/json":
        return dict(parse_qsl(body.decode(), max_num_fields=100))
    try:
        values = json.loads(body or b"{}")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - bad input, not a programming error
    return {str(name): str(value) for name, value in values.items()}
