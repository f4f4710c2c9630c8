"""`tocsin simulate`: the simulated field of an installation."""

from __future__ import annotations

import asyncio
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
    """Run every speaker, relay board and the SMS gateway that the settings and the registry name, simulated.

    On the core's machine, after its registry was imported: the speakers' keys come from its data directory.
    """
    settings = load(config)
    try:
        keys = asyncio.run(provision_from(settings))
    except (OSError, TocsinError, InsecureSecret) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from error
    with tempfile.TemporaryDirectory(prefix="tocsin-simulate-") as directory:
        provision = Path(directory) / "provision.json"
        write_secret(provision, keys)
        command = [sys.executable, "-P", "-m", "simulators", "--provision", str(provision)]
        for name, value in (("--config", config), ("--faults", faults), ("--log", log)):
            command += [name, str(value)] if value is not None else []
        for one in record or ():
            command += ["--record", one]
        raise typer.Exit(subprocess.run(command, check=False).returncode)
