"""`tocsin simulate`: the simulated field of an installation."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from broadcast_core.cli.exits import FAILED
from broadcast_core.cli.settings import ConfigOption, load
from broadcast_core.errors import TocsinError
from broadcast_core.i18n import _
from broadcast_core.keys import InsecureSecret, write_secret
from broadcast_core.provision import provision_from


def simulate(
    config: ConfigOption = None,
    faults: Annotated[Path | None, typer.Option(help=_("Faults (TOML), read again on SIGHUP.").msgid)] = None,
    log: Annotated[Path | None, typer.Option(help=_("Append what the speakers played, JSON lines.").msgid)] = None,
    record: Annotated[
        list[str] | None, typer.Option(metavar="ID=WAV", help=_("Write what a speaker sounded.").msgid)
    ] = None,
) -> None:
    """Run the registry's simulated speakers, and every relay board and the SMS gateway that the settings name.

    On the core's machine, after its registry was imported: the speakers' keys come from its data directory. A
    speaker that the registry does not call simulated is left alone: what it says is proof.
    """
    settings = load(config)
    try:
        keys = asyncio.run(provision_from(settings, lambda speaker: speaker.simulated, here=True))
    except (OSError, TocsinError, InsecureSecret) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from error
    with tempfile.TemporaryDirectory(prefix="tocsin-simulate-") as directory:
        provision = Path(directory) / "provision.json"
        write_secret(provision, keys)
        command = [sys.executable, "-P", "-m", "simulators", "--until-stdin-closes", "--provision", str(provision)]
        for name, value in (("--config", config), ("--faults", faults), ("--log", log)):
            command += [name, str(value)] if value is not None else []
        for one in record or ():
            command += ["--record", one]
        raise typer.Exit(_run(command))


def _run(command: list[str]) -> int:
    """The program's exit code. Signals are handed on; it ends with this process, however that ends."""
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda received, _frame: process.send_signal(received))
        return process.wait()
