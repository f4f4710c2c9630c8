"""An alert as it happens: the core's stream says that something moved, a look at the alert says what it came to.

The stream is told from memory and goes on while the database does not answer, but it knows only where deliveries
stand; reasons, times and the end are in the report. So both are asked: a look at the beginning, one at most each
second while the stream tells of changes, one at the end; while there is no stream, looks alone. A new stream begins
with the whole truth, so nothing has to be remembered over a restart of the core.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from broadcast_core.cli.client import PREFIX, Refused, Unreachable, json_of, problem_of
from broadcast_core.cli.examples import Rows, wanted
from broadcast_core.cli.where import Where
from broadcast_core.cli.why import why_not
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.tasks import end

_LOOK_S: Final = 1.0
_REST_S: Final = 30.0  # looked at all the same if the stream tells nothing for so long
_AGAIN_S: Final = 0.5
_AWAY_S: Final = 60.0  # a core that restarts is back within seconds
_SILENT_S: Final = 40.0  # the stream has a comment every 15 s
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
_STREAM_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENT_S)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """How an alert stands: the last look, and what the stream has told of its live revisions since."""

    report: Json
    live: Mapping[int, Json]
    rows: Rows  # deliveries that failed, not all of them


@asynccontextmanager
async def following(at: Where, alert_id: str) -> AsyncIterator[AsyncIterator[Picture]]:
    """Pictures until every delivery has ended; the last one is a look at the finished alert.

    Raises Refused, or Unreachable: at once if the core is not there at the beginning, later when it has said nothing
    for a minute.
    """
    headers = {"Authorization": f"Bearer {at.token()}", "Accept-Language": terminal_language()}
    async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:
        follower = _Follower(session, f"{at.url.rstrip('/')}{PREFIX}/alerts/{alert_id}")
        listening = asyncio.create_task(follower.listen(), name="stream")
        try:
            yield follower.pictures()
        finally:
            await end([listening])


@dataclass(eq=False)
class _Follower:
    session: aiohttp.ClientSession
    url: str
    known: asyncio.Event = field(default_factory=asyncio.Event)  # the alert is there: a stream makes sense
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    live: dict[int, Json] = field(default_factory=dict)
    streaming: bool = False
    behind: bool = True  # the report may say more than the last look did
    failures: Sequence[tuple[str, str, int]] = ()
    rows: Rows = ()

    def __post_init__(self) -> None:
        self.now = asyncio.get_running_loop().time
        self.heard_at = self.now()

    async def pictures(self) -> AsyncIterator[Picture]:
        while True:
            self.behind = False
            report = await self.look()
            looked_at = self.now()
            self.known.set()
            yield Picture(report, dict(self.live), self.rows)
            if report["complete"]:
                return
            while await self.stirs(looked_at):
                yield Picture(report, dict(self.live), self.rows)

    async def stirs(self, looked_at: float) -> bool:
        """Wait for the stream to tell something: True. False when it is time for the next look."""
        rest = _LOOK_S if self.behind or not self.streaming else _REST_S
        try:
            async with asyncio.timeout_at(looked_at + rest):
                await self.moved.wait()
        except TimeoutError:
            return False
        self.moved.clear()
        return True

    async def look(self) -> Json:
        """The report without single deliveries, asked for until the core gives it."""
        while True:
            why: Sentence | str
            try:
                report: Json = (await self.get("", {}))["report"]
                await self.look_at_failures(report)
            except Unreachable as error:
                why = error.why
            except Refused as refusal:
                if refusal.status < 500:
                    raise
                why = str(refusal.problem.get("detail") or refusal.status)
            else:
                return report
            if not self.known.is_set() or self.now() - self.heard_at > _AWAY_S:
                raise Unreachable(why)
            await asyncio.sleep(_AGAIN_S)

    async def look_at_failures(self, report: Json) -> None:
        """Examples of what has failed, when other things have failed than before."""
        failures = wanted(report)
        if failures != self.failures:
            pages = [
                (await self.get("/deliveries", {"channel": channel, "state": state}))["items"]
                for channel, state, _count in failures
            ]
            self.rows = [row for page in pages for row in page]
            self.failures = failures

    async def get(self, path: str, parameters: Mapping[str, str]) -> Any:
        try:
            async with self.session.get(self.url + path, params=parameters) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(why_not(error)) from error
        except ValueError as error:  # aiohttp.InvalidURL is one
            raise Unreachable(_("that is no address such as http://127.0.0.1:8790")) from error
        self.heard_at = self.now()
        if answer.status >= 400:
            raise Refused(answer.status, problem_of(body))
        return json_of(body)

    async def listen(self) -> None:
        """Follow the stream, and its successors."""
        await self.known.wait()
        while True:
            try:
                async with self.session.get(f"{self.url}/events", timeout=_STREAM_TIMEOUT) as answer:
                    self.streaming = answer.status == 200
                    if self.streaming:
                        async for name, data in self.events(answer.content):
                            self.hear(name, data)
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass  # the looks tell what is wrong with the core
            # What is no longer told may be no longer true.
            self.streaming, self.behind = False, True
            self.live.clear()
            self.moved.set()
            await asyncio.sleep(_AGAIN_S)

    async def events(self, content: aiohttp.StreamReader) -> AsyncIterator[tuple[str, Any]]:
        """The server-sent events with their names. Lines may be long: thousands of endpoints move at once."""
        rest, name = b"", ""
        async for chunk in content.iter_any():
            self.heard_at = self.now()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                word, _colon, value = line.rstrip(b"\r").partition(b": ")
                if word == b"event":
                    name = value.decode()
                elif word == b"data":
                    yield name, json.loads(value)

    def hear(self, name: str, data: Any) -> None:
        counts = [data["count"]] if name == "changes" else data.get("revisions", ())
        self.live.update({count["revision"]: count for count in counts})
        self.behind = True
        self.moved.set()
