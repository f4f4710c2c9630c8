"""Following an alert through a line that can be cut: the stream where there is one, looks where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from broadcast_core.cli.client import Refused, Unreachable
from broadcast_core.cli.follow import Picture, following
from broadcast_core.cli.where import Where
from broadcast_core.config import Settings

Send = Callable[..., str]

PATIENCE_S = 60.0
QUIET_S = 3.0  # three times as long as it would take to look again


@dataclass
class Line:
    """Everything to the core goes through here."""

    to: int
    streams_allowed: bool = True
    port: int = 0
    streams: int = 0
    looks: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.open.add(back)
        with suppress(OSError):
            far, onward = await asyncio.open_connection("127.0.0.1", self.to)
            self.open.add(onward)
            async with asyncio.TaskGroup() as both:
                both.create_task(self.pipe(near, onward, asked=True))
                both.create_task(self.pipe(far, back, asked=False))

    async def pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asked: bool) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if asked and b"/events HTTP/" in data:
                    self.streams += 1
                    if not self.streams_allowed:
                        break
                self.looks += asked and b"/events HTTP/" not in data
                sink.write(data)
                await sink.drain()
        sink.close()

    def cut(self) -> None:
        """Break every connection."""
        for writer in self.open:
            writer.transport.abort()
        self.open.clear()


@asynccontextmanager
async def line_to(core: Any) -> AsyncIterator[Line]:
    line = Line(Settings.load(core.config).api.port)
    server = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        line.cut()


def through(line: Line, core: Any) -> Where:
    token_file = Settings.load(core.config).secrets_dir / "api-token"
    return Where(url=f"http://127.0.0.1:{line.port}", token_file=token_file)


async def to_the_end(pictures: AsyncIterator[Picture]) -> Picture:
    last = None
    async with asyncio.timeout(PATIENCE_S):
        async for picture in pictures:
            last = picture
    assert last is not None
    return last


async def stop(core: Any, alert_id: str) -> None:
    await asyncio.to_thread(core.run, "stop", alert_id)


async def test_an_alert_that_stands_still_is_not_looked_at_again_and_again(core: Any, send: Send) -> None:
    alert_id = send()
    async with line_to(core) as line, following(through(line, core), alert_id) as pictures:
        quiet = False
        for _picture in range(20):
            coming = asyncio.ensure_future(anext(pictures))
            done, _waiting = await asyncio.wait([coming], timeout=QUIET_S)
            if not done and line.streams:
                quiet = True
                break
            await coming
        assert quiet
        looks = line.looks
        await stop(core, alert_id)
        async with asyncio.timeout(PATIENCE_S):
            picture = await coming  # the stream has told of it
            assert picture.live[1]["ended"]
            while picture.report["revisions"][0]["ended"] is None:
                picture = await anext(pictures)
        assert picture.report["revisions"][0]["ended"]["cause"] == "stop"
        assert line.looks > looks


async def test_without_a_stream_it_is_looked_at(core: Any, send: Send) -> None:
    alert_id = send("--lifetime", "3s")
    async with line_to(core) as line:
        line.streams_allowed = False
        async with following(through(line, core), alert_id) as pictures:
            last = await to_the_end(pictures)
        assert line.streams > 0
    assert last.report["complete"]
    assert sum(last.report["revisions"][0]["total"]["expired"].values()) == 14
    assert {row["endpoint_id"] for row in last.rows} == {f"SPK-{n:04}" for n in range(1, 15)}


async def test_a_line_that_breaks_is_taken_up_again(core: Any, send: Send) -> None:
    alert_id = send("--lifetime", "10s")
    async with line_to(core) as line, following(through(line, core), alert_id) as pictures:
        async with asyncio.timeout(PATIENCE_S):
            while line.streams == 0:
                await anext(pictures)
            line.cut()
            while line.streams < 2:
                await anext(pictures)
        assert (await to_the_end(pictures)).report["complete"]


async def test_an_alert_that_is_over_is_one_picture(core: Any, send: Send) -> None:
    alert_id = send("--lifetime", "2s")
    async with line_to(core) as line:
        async with following(through(line, core), alert_id) as pictures:
            await to_the_end(pictures)
        async with following(through(line, core), alert_id) as pictures:
            assert len([picture async for picture in pictures]) == 1


async def test_what_the_core_refuses_and_a_core_that_is_not_there_end_it_at_once(core: Any) -> None:
    async with line_to(core) as line:
        with pytest.raises(Refused) as refused:
            async with following(through(line, core), "nobody-knows-it") as pictures:
                await anext(pictures)
        assert refused.value.status == 404
        at = through(line, core)
    with pytest.raises(Unreachable):
        async with following(at, "nobody-knows-it") as pictures:
            await anext(pictures)
