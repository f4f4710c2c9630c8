"""`tocsin demo`: the whole system on this machine, its field simulated, and one alert through it."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import tempfile
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
import typer
from rich.console import Console
from rich.live import Live as LiveDisplay

from broadcast_core import cap
from broadcast_core.cli.demo.alert import demo_alert
from broadcast_core.cli.demo.board import DemoBoard
from broadcast_core.cli.demo.outcome import all_finished, outcome
from broadcast_core.cli.demo.stage import Stage, StageFailed, write_configuration
from broadcast_core.cli.settings import open_all_descriptors
from broadcast_core.clock import SystemClock
from broadcast_core.i18n import _, terminal_language
from broadcast_core.model import Channel
from broadcast_core.registry.dataset import generate

_POLL_S: Final = 0.5
_LONGEST_S: Final = 300.0
_FAILED: Final = 1
_WIDTH_OF_A_FILE: Final = 120


def demo(
    once: Annotated[bool, typer.Option("--once", help="End when the alert is over.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
    speakers: Annotated[int, typer.Option(min=14, max=20000)] = 1099,
    recipients: Annotated[int, typer.Option(min=0, max=20000)] = 2400,
    horns: Annotated[int, typer.Option(min=0, max=24)] = 24,
    record: Annotated[
        list[str] | None, typer.Option(help="SPK-0001=out.wav: what that speaker sounded.", metavar="ID=WAV")
    ] = None,
    faults: Annotated[Path | None, typer.Option(help="Faults of the field (TOML), see docs/operations.md.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Save the last picture of the board (SVG).")] = None,
    keep: Annotated[Path | None, typer.Option(help="Use this new directory, and leave it.")] = None,
) -> None:
    """Start everything, import the generated district, send one alert, and show who said it."""
    open_all_descriptors()
    recordings = {name: Path(path).absolute() for name, _sign, path in (text.partition("=") for text in record or ())}
    console = Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH_OF_A_FILE)
    place = nullcontext(str(_new(keep))) if keep else tempfile.TemporaryDirectory(prefix="tocsin-demo-")
    with place as root:
        play = Play(Path(root), console, speakers=speakers, recipients=recipients, horns=horns)
        try:
            result = asyncio.run(play.run(recordings, faults, stay=not once))
        except StageFailed as error:
            console.print(f"[red]{error}[/red]")
            raise typer.Exit(_FAILED) from error
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
    if picture is not None:
        _save(picture, play.board)
    if as_json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    raise typer.Exit(0 if all_finished(result) else _FAILED)


class Play:
    """One performance."""

    def __init__(self, root: Path, console: Console, *, speakers: int, recipients: int, horns: int) -> None:
        self._console = console
        self._language = terminal_language()
        self._horns = horns
        self.board = DemoBoard(self._language)
        registry = generate(speakers=speakers, communities=min(734, speakers), horns=horns, recipients=recipients)
        self._stage = Stage(root, write_configuration(root, self._language, horns), registry)

    async def run(self, recordings: dict[str, Path], faults: Path | None, *, stay: bool) -> dict[str, Any]:
        """The whole demo; its outcome. Raises StageFailed."""
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
            headers = {"Authorization": f"Bearer {stage.token_file.read_text().strip()}"}
            session = await stack.enter_async_context(aiohttp.ClientSession(stage.url, headers=headers))
            accepted = await self._send(session)
            report = await self._watch(session, accepted["alert_id"])
            result = outcome(report, accepted)
            if stay:
                await self._stay()
        return result

    async def _send(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        root = self._stage.registry.root
        now = SystemClock().now().replace(microsecond=0)
        alert = demo_alert(now, root.code, root.name_zh, horns=self._horns > 0)
        body, content = cap.encode_xml(alert), {"Content-Type": "application/cap+xml"}
        async with session.post("/api/v1/alerts", data=body, headers=content) as answer:
            if answer.status != 201:
                raise StageFailed(await answer.text())
            accepted: dict[str, Any] = await answer.json()
        self._say(_("Alert {alert} is accepted.", alert=accepted["alert_id"]))
        return accepted

    async def _watch(self, session: aiohttp.ClientSession, alert_id: str) -> dict[str, Any]:
        board = self.board
        async with asyncio.timeout(_LONGEST_S):
            with LiveDisplay(board, console=self._console, refresh_per_second=4) as display:
                while True:
                    async with session.get(f"/api/v1/alerts/{alert_id}/report.json") as answer:
                        answer.raise_for_status()
                        report: dict[str, Any] = await answer.json()
                    board.update(report)
                    display.refresh()
                    if report["complete"]:
                        return report
                    await asyncio.sleep(_POLL_S)

    async def _stay(self) -> None:
        stage = self._stage
        self._say(_("Everything goes on until Ctrl-C. Try, in another terminal:"))
        self._say_plain(f"  export TOCSIN_URL={stage.url} TOCSIN_TOKEN_FILE={stage.token_file}")
        self._say_plain(f"  tocsin alert list; tocsin registry show; tocsin doctor --config {stage.config}")
        await asyncio.Event().wait()

    def _say(self, sentence: Any) -> None:
        self._say_plain(sentence.say(self._language))

    def _say_plain(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def _new(directory: Path) -> Path:
    directory = directory.absolute()
    directory.mkdir(mode=0o700, parents=True)
    return directory


def _save(file: Path, board: DemoBoard) -> None:
    paper = Console(record=True, width=_WIDTH_OF_A_FILE, file=io.StringIO())
    paper.print(board)
    paper.save_svg(str(file), title="tocsin demo")
