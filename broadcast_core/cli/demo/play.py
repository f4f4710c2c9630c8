"""One performance of the demo: everything up, one alert sent, watched to its end."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console
from rich.live import Live as LiveDisplay

from broadcast_core import cap
from broadcast_core.cli.board import Board
from broadcast_core.cli.client import Refused, Unreachable
from broadcast_core.cli.demo.alert import demo_alert
from broadcast_core.cli.demo.outcome import outcome
from broadcast_core.cli.demo.stage import Stage, StageFailed, write_configuration
from broadcast_core.cli.follow import following
from broadcast_core.cli.where import Where
from broadcast_core.clock import SystemClock
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.model import Channel
from broadcast_core.registry.dataset import generate

_LONGEST_S: Final = 300.0
_SUGGESTIONS: Final = (
    "tocsin alert send --event 暴雨 --headline 暴雨橙色预警 --area zone:430103002 --watch",
    "tocsin stop",  # the one above, while it is watched
    "tocsin alert list",
    "tocsin registry show",
    "tocsin doctor",
)


class Play:
    """One performance. `result` is what came of it, once the alert is over."""

    def __init__(self, root: Path, console: Console, *, speakers: int, recipients: int, horns: int) -> None:
        self._console = console
        self._language = terminal_language()
        self._horns = horns
        self.board = Board(self._language)
        self.result: dict[str, Any] | None = None
        registry = generate(speakers=speakers, communities=min(734, speakers), horns=horns, recipients=recipients)
        self._stage = Stage(root, write_configuration(root, self._language, horns), registry)

    async def run(self, recordings: dict[str, Path], faults: Path | None, *, stay: bool) -> None:
        stage = self._stage
        async with AsyncExitStack() as stack:
            self._say(_("Starting the core (embedded broker, SQLite) in {place} …", place=stage.root))
            await stack.enter_async_context(stage.core())
            await stage.import_registry()
            self._say(
                _("Starting the simulated field: {count} speakers, {horns} horns, an SMS gateway …",
                  count=stage.registry.count(channel=Channel.SPEAKER), horns=self._horns)
            )  # fmt: skip
            await stack.enter_async_context(stage.field(record=recordings, faults=faults))
            accepted = await self._send()
            report = await self._watch(accepted["alert_id"])
            self.result = outcome(report, accepted)
            if stay:
                await self._stay()

    async def _send(self) -> dict[str, Any]:
        root = self._stage.registry.root
        now = SystemClock().now().replace(microsecond=0)
        alert = demo_alert(now, root.code, root.name_zh, horns=self._horns > 0)
        headers = {"Content-Type": "application/cap+xml", "Accept-Language": self._language, **self._stage.headers}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{self._stage.url}/api/v1/alerts", data=cap.encode_xml(alert)) as answer,
        ):
            if answer.status != 201:
                raise StageFailed(await answer.text())
            accepted: dict[str, Any] = await answer.json()
        self._say(_("Alert {alert} is accepted.", alert=accepted["alert_id"]))
        return accepted

    async def _watch(self, alert_id: str) -> dict[str, Any]:
        at = Where(url=self._stage.url, token_file=self._stage.token_file)
        try:
            async with asyncio.timeout(_LONGEST_S):
                return await self._follow(at, alert_id)
        except (Unreachable, Refused, TimeoutError) as error:
            raise StageFailed(f"{alert_id}: {error!r}\n{self._stage.words_of_the_core()}") from error

    async def _follow(self, at: Where, alert_id: str) -> dict[str, Any]:
        report: dict[str, Any] = {}
        with LiveDisplay(self.board, console=self._console, refresh_per_second=4):
            async with following(at, alert_id) as pictures:
                async for picture in pictures:
                    report = dict(picture.report)
                    self.board.update(report, live=picture.live, rows=picture.rows)
        if not self._console.is_terminal:  # there the last picture has no line end
            self._console.print()
        return report

    async def _stay(self) -> None:
        stage = self._stage
        self._say(_("Everything goes on until Ctrl-C. Try, in another terminal, line by line:"))
        self._say_plain(f"  export PATH={Path(sys.executable).parent}:$PATH TOCSIN_CONFIG={stage.config}")
        for line in _SUGGESTIONS:
            self._say_plain(f"  {line}")
        try:
            await asyncio.Event().wait()
        finally:
            self._say(_("Ending: core and field are told to go …"))

    def _say(self, sentence: Sentence) -> None:
        self._say_plain(sentence.say(self._language))

    def _say_plain(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
