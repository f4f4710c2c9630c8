"""`tocsin serve`: the core."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from typing import Annotated, Literal

import typer

from broadcast_core import app as core
from broadcast_core.cli.exits import FAILED
from broadcast_core.cli.logging import log_to_stderr
from broadcast_core.cli.settings import ConfigOption, load, open_all_descriptors
from broadcast_core.errors import TocsinError
from broadcast_core.i18n import _, terminal_language
from broadcast_core.keys import InsecureSecret
from broadcast_core.services import Services


def serve(
    config: ConfigOption = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help=_("What the log holds.").msgid)
    ] = "info",
    until_stdin_closes: Annotated[
        bool,
        typer.Option("--until-stdin-closes", help=_("End with the process that started it.").msgid, hidden=True),
    ] = False,
) -> None:
    """Run the core until SIGTERM: API, dispatch, drivers, and the embedded broker unless another is set."""
    settings = load(config)
    log_to_stderr(log_level)
    open_all_descriptors()
    language = terminal_language()

    def ready(services: Services) -> None:
        if until_stdin_closes:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _end)
        # What lives as long as the process need not be looked through again at every collection.
        gc.collect()
        gc.freeze()
        api, root = services.settings.api, services.settings.data_dir
        where = api.public_url or f"http://{api.host}:{api.port}"
        sentence = _("Tocsin is up: API at {url}, token in {token}.", url=where, token=root / "secrets/api-token")
        typer.echo(sentence.say(language))

    try:
        asyncio.run(core.serve(settings, ready=ready))
    except (TocsinError, InsecureSecret, OSError) as error:
        typer.echo(_("Tocsin does not start: {why}", why=str(error)).say(language), err=True)
        raise typer.Exit(FAILED) from error


def _end() -> None:
    """Standard input is closed: end as at a SIGTERM."""
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    os.kill(os.getpid(), signal.SIGTERM)
