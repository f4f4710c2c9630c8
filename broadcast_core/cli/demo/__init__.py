"""`tocsin demo`: the whole system on this machine, its field simulated, and one alert through it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from broadcast_core.cli.client import JsonOption, say_error
from broadcast_core.cli.demo.day import DayPlay, all_well
from broadcast_core.cli.demo.outcome import all_finished
from broadcast_core.cli.demo.performing import perform
from broadcast_core.cli.demo.picture import paper_of, save_picture
from broadcast_core.cli.demo.play import Play
from broadcast_core.cli.demo.stage import StageFailed
from broadcast_core.cli.exits import BAD_INPUT, FAILED, INTERRUPTED
from broadcast_core.cli.settings import open_all_descriptors
from broadcast_core.cli.why import why_not
from broadcast_core.i18n import _

_WIDTH_OF_A_FILE: Final = 120


def demo(
    once: Annotated[bool, typer.Option("--once", help=_("End when the alert is over.").msgid)] = False,
    as_json: JsonOption = False,
    speakers: Annotated[int, typer.Option(min=14, max=20000, help=_("How many.").msgid)] = 1099,
    recipients: Annotated[int, typer.Option(min=0, max=20000, help=_("How many phones.").msgid)] = 2400,
    horns: Annotated[int, typer.Option(min=0, max=24, help=_("How many.").msgid)] = 24,
    record: Annotated[
        list[str] | None,
        typer.Option(help=_("SPK-0001=out.wav: what that speaker sounded.").msgid, metavar="ID=WAV"),
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(help=_("Faults of the field (TOML), see docs/operations.md.").msgid)
    ] = None,
    day: Annotated[
        bool, typer.Option("--day", help=_("A morning of peacetime with an emergency in it, instead.").msgid)
    ] = False,
    speed: Annotated[float, typer.Option(min=5, max=40, help=_("With --day: how fast its clock runs.").msgid)] = 30.0,
    picture: Annotated[Path | None, typer.Option(help=_("Save the last picture of the board (SVG).").msgid)] = None,
    keep: Annotated[Path | None, typer.Option(help=_("Use this new directory, and leave it.").msgid)] = None,
) -> None:
    """Start everything, import the generated district, send one alert, and show who said it."""
    open_all_descriptors()
    recordings = {name: Path(path).absolute() for name, _sign, path in (text.partition("=") for text in record or ())}
    if faults is not None and not faults.is_file():
        say_error(_("{file} cannot be read: {why}.", file=faults, why=_("there is no such file or directory")))
        raise typer.Exit(BAD_INPUT)
    told = sys.stderr.isatty() or "COLUMNS" in os.environ
    console = Console(stderr=True, width=None if told else _WIDTH_OF_A_FILE)
    place = nullcontext(str(_new(keep))) if keep else tempfile.TemporaryDirectory(prefix="tocsin-demo-")
    play: Play | DayPlay
    with place as root:
        if day:
            play = DayPlay(Path(root), console, speakers=speakers, speed=speed)
        else:
            play = Play(Path(root), console, speakers=speakers, recipients=recipients, horns=horns)
        try:
            code = perform(lambda: play.run(recordings, faults, stay=not once))
        except StageFailed as error:
            console.print(str(error), style="red", markup=False, highlight=False)
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt:
            code = INTERRUPTED
    if play.result is None:  # ended from outside before the alert was over
        raise typer.Exit(code)
    if picture is not None:
        paper = paper_of(play.board) if isinstance(play, Play) else play.picture
        if paper is not None:
            save_picture(paper, picture, "tocsin demo --day" if day else "tocsin demo")
    if as_json:
        sys.stdout.write(json.dumps(play.result, ensure_ascii=False) + "\n")
    done = all_finished(play.result) if isinstance(play, Play) else all_well(play.result)
    raise typer.Exit(0 if done else FAILED)


def _new(directory: Path) -> Path:
    directory = directory.absolute()
    try:
        directory.mkdir(mode=0o700, parents=True)
    except OSError as error:
        say_error(_("{file} cannot be written: {why}.", file=directory, why=why_not(error)))
        raise typer.Exit(BAD_INPUT) from error
    return directory
