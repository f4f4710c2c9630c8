"""Delivery reports on their way back to whoever sent the messages."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import aiohttp
from yarl import URL

_SENDERS: Final = 32
_TRIES: Final = 4  # as Kannel does with http-request-retry = 3
_RETRY_S: Final = 0.2
_ESCAPE: Final = re.compile(r"%([A-Za-z%])")


@dataclass(frozen=True, kw_only=True, slots=True)
class OutgoingReport:
    """A report that is ready to be requested."""

    url: str
    unknown_id: bool


class Reporter:
    """Sends reports when they are due, and again when they are not taken.

    `answers` counts the final status of each report by (unknown id, status); 0 is no answer.
    """

    def __init__(self) -> None:
        self.answers: Counter[tuple[bool, int]] = Counter()
        self.pending = 0
        self._due: asyncio.Queue[OutgoingReport] = asyncio.Queue()
        self._session: aiohttp.ClientSession | None = None
        self._senders: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_SENDERS), timeout=aiohttp.ClientTimeout(total=10)
        )
        self._senders = [asyncio.create_task(self._send_forever(self._session)) for _ in range(_SENDERS)]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def plan(self, report: OutgoingReport, after_s: float) -> None:
        """Send a report in `after_s` seconds."""
        self.pending += 1
        asyncio.get_running_loop().call_later(after_s, self._due.put_nowait, report)

    async def _send_forever(self, session: aiohttp.ClientSession) -> None:
        while True:
            report = await self._due.get()
            self.answers[report.unknown_id, await _request(session, report.url)] += 1
            self.pending -= 1


async def _request(session: aiohttp.ClientSession, url: str) -> int:
    status = 0
    for tries in range(_TRIES):
        if tries:
            await asyncio.sleep(_RETRY_S)
        try:
            async with session.get(URL(url, encoded=True)) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        if 200 <= status < 300:
            break
    return status


def fill_escapes(dlr_url: str, values: Mapping[str, str]) -> str:
    """`dlr_url` with Kannel's escapes (%d the type, %p the phone, ...) filled in; unknown ones become empty."""
    return _ESCAPE.sub(lambda match: values.get(match.group(1), ""), dlr_url)
