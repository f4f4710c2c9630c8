"""The gateway itself: answers sendsms as Kannel 1.4.5 does, keeps a log, and has its faults set while it runs."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote

from aiohttp import web

from drivers.sms_gateway.wire import redact
from simulators.sms_gateway.faults import Fate, Faults, PlannedReport, Reply, Timing, fate_of
from simulators.sms_gateway.reporter import OutgoingReport, Reporter, fill_escapes

_PATH: Final = "/cgi-bin/sendsms"
_NO_FAULTS: Final = Faults()
_PROMPT: Final = Timing()
_LINE: Final = 65_536  # ten parts of Chinese are 6 kB in a URL


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """One request as the gateway saw it. `at` is monotonic; the recipient is redacted."""

    at: float
    recipient: str
    text: str
    coding: str
    reply: Reply


class SmsGatewaySimulator:
    """`async with SmsGatewaySimulator(password=...) as gateway:` listens on loopback; configure `gateway.url`.

    `faults` may be set at any time and holds for the requests that follow. `log` is every request with a correct
    login, in order; `messages_to` finds those of one phone although the log is redacted.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        password: str,
        username: str = "tocsin",
        seed: int = 0,
        faults: Faults = _NO_FAULTS,
        timing: Timing = _PROMPT,
    ) -> None:
        self.faults = faults
        self.log: list[Arrival] = []
        self.reporter: Final = Reporter()
        self._host = host
        self._port = port
        self._login = (username, password)
        self._seed = seed
        self._timing = timing
        self._salt = secrets.token_bytes(16)
        self._by_phone: defaultdict[bytes, list[Arrival]] = defaultdict(list)
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}{_PATH}"

    async def __aenter__(self) -> Self:
        await self.reporter.__aenter__()
        await self.come_back()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.go_down()
        await self.reporter.__aexit__()

    async def come_back(self) -> None:
        """Listen (again), on the same port as before."""
        server = web.Server(
            self._answer, handler_cancellation=True, access_log=None, max_line_size=_LINE, max_field_size=_LINE
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, backlog=1024).start()
        self._port = self._runner.addresses[0][1]

    async def go_down(self) -> None:
        """Refuse connections and break those that are open. Reports that are planned still go out."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def messages_to(self, phone: str) -> list[Arrival]:
        """The requests for one phone, in order."""
        return self._by_phone[self._digest(phone)]

    def rung(self, phone: str) -> int:
        """How often that phone rang."""
        return sum(arrival.reply.reaches_the_phone for arrival in self.messages_to(phone))

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        query = request.query
        if request.path != _PATH:
            return web.Response(status=404)
        if (query.get("username"), query.get("password")) != self._login:
            return web.Response(status=403, text="Authorization failed for sendsms")
        phone, text = query.get("to", ""), query.get("text", "")
        if not phone:
            return web.Response(status=400, text="Empty receiver number not allowed, rejected")
        dlr_url = query.get("dlr-url", "")
        fate = self._record(
            phone, text, query.get("coding", "0"), _mask(query.get("dlr-mask", "0")) if dlr_url else 0
        )
        for planned in fate.reports:
            self.reporter.plan(_report(dlr_url, phone, planned), planned.after_s)
        if fate.reply is Reply.HANGS:
            await asyncio.Event().wait()  # ends when the client gives up
        status, words = fate.reply.value
        return web.Response(status=status, text=words)

    def _record(self, phone: str, text: str, coding: str, mask: int) -> Fate:
        known = self._by_phone[self._digest(phone)]
        fate = fate_of(self.faults, self._timing, seed=self._seed, phone=phone, nth=len(known), mask=mask)
        arrival = Arrival(at=time.monotonic(), recipient=redact(phone), text=text, coding=coding, reply=fate.reply)
        known.append(arrival)
        self.log.append(arrival)
        return fate

    def _digest(self, phone: str) -> bytes:
        return hashlib.blake2b(phone.encode(), key=self._salt, digest_size=16).digest()


def _mask(value: str) -> int:
    return int(value) if value.isdecimal() else 0


def _report(dlr_url: str, phone: str, planned: PlannedReport) -> OutgoingReport:
    path, _, query = dlr_url.partition("?")
    if planned.unknown_id:
        path = path[:-1] + ("A" if path[-1:] != "A" else "B")
    values = {"d": str(planned.kind), "p": quote(phone, safe=""), "T": str(int(time.time())), "%": "%25"}
    return OutgoingReport(url=fill_escapes(f"{path}?{query}", values), unknown_id=planned.unknown_id)
